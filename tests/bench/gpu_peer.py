"""PyTorch on the same GPU, the same shapes as gpu_ops.c: one JSON line each. A copy and a GEMM (cuBLAS) first: the limits of what memory and what arithmetic bounds."""
import json, time
import torch

def best(run, n=20):
    run()
    torch.cuda.synchronize()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(n):
            run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / n)
    return min(times)

def say(what, seconds, bytes=0, flops=0):
    print(json.dumps({"what": what, "us": seconds * 1e6, "GB_per_second": bytes / seconds / 1e9, "TFLOP_per_second": flops / seconds / 1e12}), flush=True)

print(json.dumps({"device": torch.cuda.get_device_name(), "torch": torch.__version__, "cudnn": torch.backends.cudnn.version()}))
torch.backends.cudnn.benchmark = True
n = 64 << 20
a, b = torch.randn(n, device="cuda"), torch.randn(n, device="cuda")
say("copy", best(lambda: b.copy_(a)), 8 * n)
g = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
say("gemm bf16", best(lambda: g @ g), flops=2 * 8192**3)
del g
say("ema 64 M", best(lambda: torch._foreach_lerp_([b], [a], 0.01)), 12 * n)
for name, make in (("sgd 64 M, Nesterov", lambda p: torch.optim.SGD([p], 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=True)),
                   ("adamw 64 M", lambda p: torch.optim.AdamW([p], 1e-3, fused=True))):
    p = torch.nn.Parameter(torch.randn(n, device="cuda"))
    p.grad = torch.randn_like(p)
    say(name, best(make(p).step), (20 if name[0] == "s" else 28) * n)
say("norm2 64 M", best(lambda: torch.linalg.vector_norm(a)), 4 * n)
for batch, s, c, k, r in ((128, 32, 64, 64, 3), (128, 16, 128, 128, 3), (128, 8, 256, 256, 3), (128, 4, 512, 512, 3), (128, 56, 64, 256, 1)):
    x = torch.randn(batch, c, s, s, device="cuda", dtype=torch.bfloat16).to(memory_format=torch.channels_last).requires_grad_()
    conv = torch.nn.Conv2d(c, k, r, padding=r // 2, bias=False, device="cuda", dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    norm = torch.nn.BatchNorm2d(k, device="cuda", dtype=torch.float32)
    flops = 2 * batch * s * s * k * c * r * r
    shape = f"{r}x{r} {s}x{s}x{c} to {k}, n {batch}, bf16"
    with torch.no_grad():
        say(f"conv {shape}", best(lambda: torch.relu_(conv(x))), flops=flops)
    train = lambda: torch.relu_(norm(conv(x)))
    with torch.no_grad():
        say(f"conv_train {shape}", best(train), flops=flops)
    y = train()
    g = torch.randn_like(y)
    say(f"conv_backward {shape}", best(lambda: torch.autograd.grad(y, [x, conv.weight, norm.weight, norm.bias], g, retain_graph=True)), flops=2 * flops)
x, t = torch.randn(4096, 1000, device="cuda", requires_grad=True), torch.randint(1000, (4096,), device="cuda")
say("xent 4096 x 1000", best(lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(x, t, label_smoothing=0.1), x)), 8 * 4096 * 1000)
m = 1 << 20
z = torch.randn(64, 2 * m, device="cuda")
say("ks, 1 M + 1 M rows, 64 columns (sort alone)", best(lambda: torch.sort(z, dim=1), 3), 8 * m * 64)
