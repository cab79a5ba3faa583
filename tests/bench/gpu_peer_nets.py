"""
PyTorch on the same GPU, whole networks and two large ops, as gpu_nets.c and gpu_ops.c have them: one JSON line each. channels_last,
bf16 under autocast with f32 parameters, fused SGD, torch.compile with max-autotune (CUDA graphs); "how" says what it came to.
`gpu_peer_nets.py --cpu-check` runs every path with tiny shapes on the processor, without compiling. `--warm` only fills the compiler's
cache, and --only=TEXT takes those with TEXT in their name: compiling takes minutes, and other work can go on beside it.
NS_PEER_HOWS are torch.compile's modes, of which the first that works is taken ("max-autotune,default,eager").
"""
import json, os, sys, time
import torch
from torch import nn
from torch.nn import functional as F

small, warm = "--cpu-check" in sys.argv, "--warm" in sys.argv
only = next((a[7:] for a in sys.argv if a.startswith("--only=")), "")
hows = os.environ.get("NS_PEER_HOWS", "max-autotune,default,eager").split(",")
device = "cpu" if small else "cuda"

def sync():
    if not small:
        torch.cuda.synchronize()

def best(run):
    if warm:
        run(), sync()
        return 1
    for _ in range(1 if small else 10):
        run()
    sync()
    times = []
    for _ in range(1 if small else 5):
        start = time.perf_counter()
        for _ in range(1 if small else 20):
            run()
        sync()
        times.append((time.perf_counter() - start) / (1 if small else 20))
    return min(times)

def measure(what, items, make):
    """make(how) gives something to run, compiled that way; the first that works is what counts"""
    if only not in what:
        return
    for how in ("eager",) if small else hows:
        try:
            t = best(make(None if how == "eager" else how))
            print(json.dumps({"what": what, "how": how, "us": t * 1e6, "items_per_second": items / t}), flush=True)
            return
        except Exception as e:  # whatever a compiler throws
            trouble = f"{type(e).__name__}: {e}"[:300]
        finally:
            torch.compiler.reset()
            if not small:
                torch.cuda.empty_cache()
    print(json.dumps({"what": what, "failed": trouble}), flush=True)

class Block(nn.Module):
    def __init__(self, c, k, stride, bottleneck):
        super().__init__()
        out = 4 * k if bottleneck else k
        # stride on the 3x3, as torchvision has it
        sizes = [(c, k, 1, 1), (k, k, 3, stride), (k, out, 1, 1)] if bottleneck else [(c, k, 3, stride), (k, k, 3, 1)]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, r, s, r // 2, bias=False) for i, o, r, s in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _, _ in sizes)
        self.down = nn.Sequential(nn.Conv2d(c, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if stride != 1 or c != out else None

    def forward(self, x):
        y = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            y = norm(conv(y))
            if i + 1 < len(self.convs):
                y = torch.relu(y)
        return torch.relu(y + (x if self.down is None else self.down(x)))

def resnet(blocks, bottleneck, imagenet, classes, width=64):
    stem = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)] if imagenet else \
        [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    body, c = [], width
    for stage, count in enumerate(blocks):
        for i in range(count):
            k = width << stage
            body.append(Block(c, k, 2 if stage and not i else 1, bottleneck))
            c = 4 * k if bottleneck else k
    return nn.Sequential(*stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes)).to(device, memory_format=torch.channels_last)

def images(n, side):
    return torch.randn(n, 3, side, side, device=device, dtype=torch.bfloat16).to(memory_format=torch.channels_last)

def train(net, n, side, classes):
    def make(how):
        model = net().train()
        optimiser = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=not small)
        x, t = images(n, side), torch.arange(n, device=device) % min(classes, 10)
        def loss_of(x, t):
            with torch.autocast(device, torch.bfloat16):
                y = model(x)
            return F.cross_entropy(y.float(), t)
        loss_of = torch.compile(loss_of, mode=how) if how else loss_of
        def step():
            optimiser.zero_grad(set_to_none=True)
            loss_of(x, t).backward()
            optimiser.step()
        return step
    return make

def infer(net, n, side):
    def make(how):
        model = net().eval().to(torch.bfloat16)
        x = images(n, side)
        run = torch.compile(model, mode=how) if how else model
        def once():
            with torch.inference_mode():
                return run(x)
        return once
    return make

def mmd(n, permutations, d=32, gamma=0.02):
    """sums of the kernel over random halves as one product K W, W of 0 and 1; f32, or tf32 where the GPU has it"""
    def make(how):
        torch.set_float32_matmul_precision("high")
        x = torch.rand(2 * n, d, device=device)
        def run():
            square = (x * x).sum(1)
            kernel = torch.exp(-gamma * (square[:, None] + square[None, :] - 2 * (x @ x.T)).clamp_min(0))
            w = torch.zeros(2 * n, permutations + 1, device=device)
            w.scatter_(0, torch.rand(2 * n, permutations + 1, device=device).argsort(0)[:n], 1.0)
            k = kernel @ w
            return (w * k).sum(0), k.sum(0)
        return torch.compile(run, mode=how) if how else run
    return make

def augment(n, side):
    def make(how):
        x = torch.randint(0, 256, (n, 3, side, side), device=device, dtype=torch.uint8)
        map2 = torch.rand(n, 2, 3, device=device) * 0.1 + torch.eye(2, 3, device=device)
        colour = torch.rand(n, 3, 4, device=device)
        def run():
            y = F.grid_sample(x.float(), F.affine_grid(map2, [n, 3, side, side], align_corners=False), align_corners=False)
            y = torch.einsum("nkc,nchw->nkhw", colour[:, :, :3], y) + colour[:, :, 3, None, None]
            return ((y.clamp(0, 255) - 120) * 0.01).to(torch.bfloat16)
        return torch.compile(run, mode="max-autotune-no-cudagraphs" if how == "max-autotune" else "default" if how == "reduce-overhead" else how) if how else run
    return make

def main():
    name = "cpu" if small else torch.cuda.get_device_name()
    print(json.dumps({"device": name, "torch": torch.__version__, "cudnn": torch.backends.cudnn.version()}))
    torch.backends.cudnn.benchmark = True
    width, classes = (8, 10) if small else (64, 1000)
    cifar = lambda: resnet([2, 2, 2, 2], False, False, 10, width)
    imagenet = lambda: resnet([3, 4, 6, 3], True, True, classes, width)
    n = lambda full: 2 if small else full
    measure("augment 32 px, affine + colour, to bf16", n(8192), augment(n(8192), 32))
    measure("augment 256 px, affine + colour, to bf16", n(256), augment(n(256), 256))
    measure("mmd, 10,000 + 10,000 rows, 999 permutations", 4 * n(10000) ** 2, mmd(n(10000), 9 if small else 999))
    for batch in (128, 512):
        measure(f"train resnet18 cifar, n {batch}", n(batch), train(cifar, n(batch), 32, 10))
    measure("infer resnet18 cifar, n 512", n(512), infer(cifar, n(512), 32))
    for batch in (256, 64):
        side = 64 if small else 224
        measure(f"train resnet50, n {batch}", n(batch), train(imagenet, n(batch), side, classes))
    measure("infer resnet50, n 256", n(256), infer(imagenet, n(256), 64 if small else 224))

main()
