#!/usr/bin/env python3
"""What others do in the same time. One piece a run, one JSON line a measurement:

    peers.py PIECE [--seconds S] [--threads N] [--serve]

pieces: train-demo train-resnet18 infer-demo infer-resnet18 augment-32 augment-256 start versions
Every variant of a peer (precision, memory layout, eager or compiled) is screened briefly, and those near the top are
measured. With --serve a line on standard input asks for one more round, so that two programs can take turns while
compiling and warming up are done once.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings

warnings.filterwarnings("ignore")
sys.dont_write_bytecode = True  # nothing appears in the source tree
REPEATS = 7  # as nightshift bench has it: the median of seven
NEAR, KEPT = 0.9, 2  # this near the best of the screening noise could have decided; but at most so many of a family


def clock(once, items, seconds, repeats=REPEATS):
    rates = []
    if repeats == REPEATS:
        start = time.perf_counter()
        once()
        if time.perf_counter() - start > seconds / 2:  # a large network: three steps say enough
            repeats = 3
    for _ in range(repeats):
        n, start = 0, time.perf_counter()
        while True:
            once()
            n += 1
            t = time.perf_counter() - start
            if t >= seconds / repeats:
                break
        rates.append(n * items / t)
    return statistics.median(rates)


class Peer:
    """name: of the program measured; variant: how; family: rows of one family compete, the best of it stands for it"""

    def __init__(self, family, variant, make, items):
        self.family, self.variant, self.make, self.items = family, variant, make, items
        self.once, self.why = None, None

    def line(self, what, rate):
        row = {"what": what, "peer": self.family, "variant": self.variant, "unit": "images/s"}
        row.update({"rate": rate} if rate else {"rate": None, "why": self.why})
        print(json.dumps(row), flush=True)


def say(text):
    print(text, file=sys.stderr, flush=True)


def screen(peers):
    """make and warm every variant; short turns for those that are not far behind after the first; keep what is near the top"""
    best = {}

    def far(p, share):
        return best[p] < share * max(best[q] for q in best if q.family == p.family)

    for p in peers:
        try:
            p.once = p.make()
            for _ in range(2):  # the second call may compile too
                p.once()
            best[p] = clock(p.once, p.items, 0.2, 1)
            say(f"  {p.family} {p.variant}: {best[p]:.1f}")
        except Exception as e:  # a peer that cannot run is a row that says so
            p.once, p.why = None, f"{type(e).__name__}: {e}".split("\n")[0][:160]
            say(f"  {p.family} {p.variant}: {p.why}")
        for q in best:
            if q.once and far(q, 0.7):
                q.once = None  # and its memory
    for _ in range(2):
        for p in best:
            if p.once:
                best[p] = max(best[p], clock(p.once, p.items, 0.3, 1))
    near = sorted((p for p in best if p.once and not far(p, NEAR)), key=best.get, reverse=True)
    return [p for i, p in enumerate(near) if sum(q.family == p.family for q in near[:i]) < KEPT]


# --- networks ---


def torch_ready(threads):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    torch._logging.set_logs(all=50)
    return torch


def arch_of(piece):
    import resnet

    return resnet.DEMO if piece.endswith("demo") else resnet.RESNET18


def network(torch, arch, layout, dtype=None):
    from resnet import ResNet

    h, w, c = arch["input"]
    m, x = ResNet(arch), torch.randn(128, c, h, w)
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    m, x = m.to(memory_format=form), x.to(memory_format=form)
    return (m, x) if dtype is None else (m.to(dtype), x.to(dtype))


def training_step(torch, arch, how, layout, precision, parts):
    def make():
        m, x = network(torch, arch, layout, torch.bfloat16 if precision == "bf16" else None)
        m.train()
        y = torch.randint(0, arch["classes"], (128,))
        sgd = torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)
        pieces = list(zip(x.chunk(parts), y.chunk(parts)))

        def loss(x, y):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
                z = m(x)
            return torch.nn.functional.cross_entropy(z.float(), y) / parts

        f = torch.compile(loss) if how == "compiled" else loss

        def once():
            sgd.zero_grad(set_to_none=True)
            for piece in pieces:
                f(*piece).backward()
            sgd.step()

        return once

    return make


def training(piece, threads):
    torch, arch = torch_ready(threads), arch_of(piece)
    kinds = [(how, p, layout, 1) for how in ("eager", "compiled") for p in ("f32", "autocast", "bf16")
             for layout in ("channels_last", "contiguous")]
    # nightshift normalises over quarters of a batch and adds their gradients: smaller tensors may suit the caches of a peer too
    kinds += [(how, p, "channels_last", 4) for how in ("eager", "compiled") for p in ("f32", "autocast")]
    return [Peer("PyTorch f32" if p == "f32" else "PyTorch bf16",
                 f"{how}, {p}, {layout}" + (f", {parts} parts" if parts > 1 else ""),
                 training_step(torch, arch, how, layout, p, parts), 128) for how, p, layout, parts in kinds]


def torch_inference(torch, arch, how, layout, precision):
    def make():
        import copy

        m, x = network(torch, arch, layout)
        shake(torch, m)
        m.eval()
        # folded as anybody who ships a model would; the compiler does it by itself once it may freeze
        if how == "eager":
            m = torch.fx.experimental.optimization.fuse(copy.deepcopy(m))
            if layout == "channels_last":
                m = m.to(memory_format=torch.channels_last)
        if precision == "bf16":
            m, x = m.to(torch.bfloat16), x.to(torch.bfloat16)
        f = torch.compile(m) if how == "compiled" else m

        def once():
            with torch.inference_mode():
                return torch.softmax(f(x).float(), 1)

        return once

    return make


def shake(torch, m):
    """statistics as after training: folding must have something to fold"""
    for b in m.modules():
        if isinstance(b, torch.nn.BatchNorm2d):
            b.running_mean.normal_(0, 0.1)
            b.running_var.uniform_(0.5, 1.5)


def ort_inference(torch, arch, threads):
    def make():
        import tempfile

        import numpy as np
        import onnxruntime as ort

        class WithSoftmax(torch.nn.Module):
            def __init__(self, m):
                super().__init__()
                self.m = m

            def forward(self, x):
                return torch.softmax(self.m(x), 1)

        m, x = network(torch, arch, "contiguous")
        shake(torch, m)
        m.eval()
        o = ort.SessionOptions()
        o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
        o.log_severity_level = 3
        with tempfile.TemporaryDirectory() as d:
            out, sys.stdout = sys.stdout, sys.stderr  # the exporter talks
            try:
                torch.onnx.export(WithSoftmax(m).eval(), (x,), f"{d}/m.onnx", dynamo=True, verbose=False)
            finally:
                sys.stdout = out
            s = ort.InferenceSession(f"{d}/m.onnx", o, providers=["CPUExecutionProvider"])
        name, x = s.get_inputs()[0].name, np.ascontiguousarray(x.numpy())
        with torch.inference_mode():
            want = torch.softmax(m(torch.from_numpy(x)), 1).numpy()
        if not np.allclose(s.run(None, {name: x})[0], want, atol=1e-4):
            raise RuntimeError("ONNX Runtime gives other probabilities than PyTorch")
        # bound once: no copy of input or output is charged to it
        b = s.io_binding()
        b.bind_cpu_input(name, x)
        b.bind_output(s.get_outputs()[0].name)
        return lambda: s.run_with_iobinding(b)

    return make


def inference(piece, threads):
    torch, arch = torch_ready(threads), arch_of(piece)
    import torch._inductor.config as inductor
    import torch.fx.experimental.optimization

    inductor.freezing = True
    peers = [Peer("ONNX Runtime f32", "all optimisations", ort_inference(torch, arch, threads), 128)]
    for p in ("f32", "bf16"):
        peers += [
            Peer("PyTorch " + p, f"{how}, {layout}", torch_inference(torch, arch, how, layout, p), 128)
            for how in ("eager", "compiled")
            for layout in ("channels_last", "contiguous")
        ]
    return peers


# --- augmentation: rotate 15 degrees, zoom 0.9 to 1.1, flip, brightness, contrast, saturation 0.6 to 1.4, hue 36 degrees ---


def pixels(side, n):
    import numpy as np

    return np.random.default_rng(1).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


MEAN, STD = 127.5, 64.0


def dali(side, n, threads, layout, feed, dynamic):
    def make():
        import numpy as np
        from nvidia.dali import fn, pipeline_def, types

        x = pixels(side, n)

        @pipeline_def(batch_size=n, num_threads=threads, device_id=None, seed=1, prefetch_queue_depth=1 if dynamic else 2,
                      **({"exec_dynamic": True} if dynamic else {}))
        def recipe():
            if feed == "constant":
                image = fn.constant(idata=x[0].ravel().tolist(), shape=list(x[0].shape), dtype=types.UINT8, layout="HWC")
            else:
                image = fn.external_source(source=lambda: x, layout="HWC", no_copy=True)
            middle = [side / 2, side / 2]
            m = fn.transforms.rotation(angle=fn.random.uniform(range=[-15, 15]), center=middle)
            zoom = fn.random.uniform(range=[0.9, 1.1])
            m = fn.transforms.scale(m, scale=fn.stack(zoom, zoom), center=middle)
            y = fn.warp_affine(image, matrix=m, fill_value=0, interp_type=types.INTERP_LINEAR, inverse_map=False)
            y = fn.color_twist(y, brightness=fn.random.uniform(range=[0.6, 1.4]), contrast=fn.random.uniform(range=[0.6, 1.4]),
                               saturation=fn.random.uniform(range=[0.6, 1.4]), hue=fn.random.uniform(range=[-36, 36]))
            return fn.crop_mirror_normalize(y, mirror=fn.random.coin_flip(), dtype=types.FLOAT, output_layout=layout,
                                            mean=[MEAN] * 3, std=[STD] * 3)

        pipe = recipe()
        pipe.build()
        out = np.array(pipe.run()[0][0])
        want = (side, side, 3) if layout == "HWC" else (3, side, side)
        if out.shape != want or out.dtype != np.float32:
            raise RuntimeError(f"DALI gives {out.dtype} {out.shape}")
        return lambda: pipe.run()

    return make


def kornia(side, n, threads):
    def make():
        torch = torch_ready(threads)
        import kornia.augmentation as K

        x = torch.from_numpy(pixels(side, n)).permute(0, 3, 1, 2)
        f = K.AugmentationSequential(
            K.RandomAffine(15, scale=(0.9, 1.1), p=1.0), K.RandomHorizontalFlip(p=0.5),
            K.ColorJiggle(0.4, 0.4, 0.4, 0.1, p=1.0),
            K.Normalize(mean=torch.full((3,), MEAN / 255), std=torch.full((3,), STD / 255)))

        def once():
            with torch.inference_mode():
                return f(x.float() / 255)

        return once

    return make


def albumentations(side, n, threads):
    def make():
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import albumentations as A
        import cv2

        cv2.setNumThreads(threads if threads > 1 else 0)
        x = pixels(side, n)
        f = A.Compose([
            A.Affine(rotate=(-15, 15), scale=(0.9, 1.1), p=1), A.HorizontalFlip(p=0.5),
            A.ColorJitter(brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.6, 1.4), hue=(-0.1, 0.1), p=1),
            A.Normalize(mean=[MEAN / 255] * 3, std=[STD / 255] * 3)])
        return lambda: [f(image=i)["image"] for i in x]

    return make


def torchvision(side, n, threads):
    def make():
        torch = torch_ready(threads)
        from torchvision.transforms import v2

        x = torch.from_numpy(pixels(side, n)).permute(0, 3, 1, 2)
        f = v2.Compose([
            v2.RandomAffine(15, scale=(0.9, 1.1), interpolation=v2.InterpolationMode.BILINEAR), v2.RandomHorizontalFlip(0.5),
            v2.ColorJitter(0.4, 0.4, 0.4, 0.1), v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([MEAN / 255] * 3, [STD / 255] * 3)])
        return lambda: [f(i) for i in x]

    return make


def augmentation(piece, threads):
    side = int(piece.split("-")[1])
    n = 16 if side > 100 else 256
    peers = [Peer("DALI", f"{layout}, {feed}, {'dynamic' if dynamic else 'static'} executor",
                  dali(side, n, threads, layout, feed, dynamic), n)
             for layout in ("HWC", "CHW") for feed in ("array", "constant") for dynamic in (False, True)]
    peers += [Peer("kornia", "a batch at a time", kornia(side, n, threads), n),
              Peer("albumentations", "an image at a time", albumentations(side, n, threads), n),
              Peer("torchvision v2", "an image at a time", torchvision(side, n, threads), n)]
    return peers


# --- the program ---


def versions():
    """of what can be imported; a missing peer is named, with the reason"""
    import importlib

    found = {}
    for package in ("torch", "torchvision", "onnxruntime", "nvidia.dali", "kornia", "albumentations", "numpy"):
        try:
            found[package] = importlib.import_module(package).__version__
        except Exception as e:
            found[package] = f"missing ({type(e).__name__})"
    print(json.dumps(found))


FIRST_STEP = """
import torch, resnet
torch.set_num_threads(1)
m, x, y = resnet.ResNet(resnet.DEMO), torch.randn(128, 1, 28, 28), torch.randint(0, 10, (128,))
sgd = torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True)
torch.nn.functional.cross_entropy(m(x), y).backward()
sgd.step()
"""


def start():
    """seconds of a fresh interpreter: the import alone, and up to a first step that reads no data"""
    for variant, program in ("import torch", "import torch"), ("to the first step, no data read", FIRST_STEP):
        begin = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program], cwd=os.path.dirname(os.path.abspath(__file__)))
        row = {"what": "start", "peer": "PyTorch, " + variant, "variant": "eager", "unit": "s"}
        took = time.perf_counter() - begin
        row.update({"rate": took} if done.returncode == 0 else {"rate": None, "why": "see the log"})
        print(json.dumps(row), flush=True)


PIECES = {"train-demo": training, "train-resnet18": training, "infer-demo": inference, "infer-resnet18": inference,
          "augment-32": augmentation, "augment-256": augmentation}
FAMILIES = {"train": ["PyTorch f32", "PyTorch bf16"], "infer": ["ONNX Runtime f32", "PyTorch f32", "PyTorch bf16"], "augment": []}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("piece", choices=[*PIECES, "start", "versions"])
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--serve", action="store_true")
    a = p.parse_args()
    if a.piece == "versions":
        return versions()
    if a.piece == "start":
        return start()
    try:
        peers = PIECES[a.piece](a.piece, a.threads)
    except ImportError as e:
        peers = [Peer(f, "none", None, 0) for f in FAMILIES[a.piece.split("-")[0]]]
        for p in peers:
            p.why = str(e)
            p.line(a.piece, None)
        return
    near = screen(peers)
    for p in peers:
        if not p.once and not any(q.family == p.family for q in near):
            p.line(a.piece, None)
    while True:
        if a.serve:
            print(json.dumps({"ready": len(near)}), flush=True)
            if not sys.stdin.readline():
                return
        for p in near:
            p.line(a.piece, clock(p.once, p.items, a.seconds))
        if not a.serve:
            return


if __name__ == "__main__":
    main()
