"""Models as ONNX files, by another reader of ONNX and of safetensors. For export.sh.

usage: export.py NIGHTSHIFT [PART...], in an empty folder; onnx_run lies beside it
"""
import collections
import json
import pathlib
import struct
import subprocess
import sys

import h5py
import numpy

import predict
import tiny
from onnx_file import decode, node
from predict import flat, means, near, ppm, put, run
from tiny import check

NS = None
LAYERS = {"basic": ["--model.blocks=[1,1]", "--model.width=8"],
          "deep": ["--model.blocks=[1,2]", "--model.width=4", "--model.block=bottleneck", "--model.stem=imagenet", "--model.epsilon=1e-3"]}


def world():
    """images of noise, and a network of each kind trained on them"""
    if pathlib.Path("basic").exists():
        return
    noise = numpy.random.default_rng(1)
    for k in range(2):
        pathlib.Path(f"rgb/{k}").mkdir(parents=True)
    for i in range(24):
        ppm(f"rgb/{i % 2}/{i:02}.ppm", noise.integers(0, 256, (32, 24, 3)))
    run("ingest", "rgb", "--ingest.size=32x24x3", "--out", "rgb-set")
    for name, args in LAYERS.items():
        run("train", "--data", "rgb-set", *args, "--train.epochs=1", "--train.batch=8", "--train.virtual_ranks=2", "--train.precision=f32", "--out", name)
        facts = json.load(open(f"{name}/model.json", encoding="utf-8"))
        pathlib.Path(f"{name}/model.json").write_text(json.dumps({**facts, "temperature": 1.5}), encoding="utf-8")


def prob(model):
    run("infer", "--model", model, "--data", "rgb-set", "--infer.precision=f32", "--out", "p", "--force")
    with h5py.File("p/predictions-00000.h5") as f:
        return f["prob"][:]


def computed(file, pixels):
    """outputs of an ONNX file, by the engine, image by image"""
    out = collections.defaultdict(list)
    for image in pixels:
        image.tofile("in.raw")
        dims = ",".join(map(str, (1, *image.shape)))
        done = subprocess.run(["env", "ASAN_OPTIONS=detect_leaks=0", pathlib.Path(NS).parent / "onnx_run", "cpu", "1", "out.raw", file, f"in.raw:{image.dtype}:{dims}"], capture_output=True, text=True, check=False)
        check(done.returncode == 0, done.stderr)
        for k in range(done.stdout.count("\n") - 1):
            out[k].append(numpy.fromfile(f"out.raw.{k}", "<f4"))
    return [numpy.array(out[k]) for k in sorted(out)]


def images():
    with h5py.File("rgb-set/shard-00000.h5") as f:
        return f["image"][:]


def fields(message, number):
    return [v for f, v in message if f == number]


def text_of(message, number):
    return (fields(message, number) or [b""])[-1].decode()


def ours(_binary):
    """weights are in one place, or inside; either way the file gives what the model gives"""
    world()
    pixels = images()
    for name in LAYERS:
        wanted = prob(name)
        run("export", name, "--out", f"x-{name}")
        check((pathlib.Path(name, "model.safetensors").read_bytes() == pathlib.Path(f"x-{name}", "model.safetensors").read_bytes()), "other weights")
        held = pathlib.Path(f"x-{name}/model.safetensors").read_bytes()
        n = struct.unpack("<Q", held[:8])[0]
        head = json.loads(held[8:8 + n])
        data = pathlib.Path(f"x-{name}/model.onnx").read_bytes()
        graph = decode(fields(decode(data), 7)[0])
        seen = set()
        for tensor in map(decode, fields(graph, 5)):
            where = {text_of(decode(e), 1): text_of(decode(e), 2) for e in fields(tensor, 13)}
            if text_of(tensor, 8) == "calibration":
                check(not where and fields(tensor, 9)[0] == struct.pack("<f", 1 / 1.5), "the temperature")
                continue
            at = head[text_of(tensor, 8)]
            dims = fields(tensor, 1)
            check(where == {"location": "model.safetensors", "offset": str(8 + n + at["data_offsets"][0]), "length": str(at["data_offsets"][1] - at["data_offsets"][0])}
                  and dims == at["shape"] and fields(tensor, 14) == [1] and not fields(tensor, 9), f"{text_of(tensor, 8)}: {where} {dims}, {at}")
            seen.add(text_of(tensor, 8))
        check(seen == set(head) - {"__metadata__"}, f"{set(head) ^ seen}")
        check(len(data) < 20000, f"{len(data)} bytes beside the weights")
        facts = json.load(open(f"x-{name}/export.json", encoding="utf-8"))
        check(facts["input"] == {"type": "float32", "shape": ["n", 3, 32, 24], "colours": "rgb"} and facts["classes"] == ["0", "1"] and facts["temperature"] == 1.5, f"{facts}")
        pre = facts["preprocess"]
        run("import", f"x-{name}/model.onnx", f"--mean={pre['mean']}", f"--std={pre['std']}", "--out", f"again-{name}")
        again = json.load(open(f"again-{name}/model.json", encoding="utf-8"))
        pathlib.Path(f"again-{name}/model.json").write_text(json.dumps({**again, "temperature": 1.5}), encoding="utf-8")
        near(prob(f"again-{name}"), wanted, f"{name}, its weights gathered from beside it", 1e-5)
        check(len(pathlib.Path(f"again-{name}/model.onnx").read_bytes()) > sum(at["data_offsets"][1] - at["data_offsets"][0] for k, at in head.items() if k != "__metadata__"), "weights are inside")
        # as its own file it is imported again
        run("export", name, "--inside", "--out", f"i-{name}")
        check(not pathlib.Path(f"i-{name}/model.safetensors").exists(), "weights twice")
        run("import", f"i-{name}/model.onnx", f"--mean={pre['mean']}", f"--std={pre['std']}", "--out", f"again-{name}")
        again = json.load(open(f"again-{name}/model.json", encoding="utf-8"))
        check(again["architecture"]["embedding"] == (16 if name == "basic" else 32) and again["architecture"]["outputs"] == "logits", f"{again['architecture']}")
        pathlib.Path(f"again-{name}/model.json").write_text(json.dumps({**again, "temperature": 1.5}), encoding="utf-8")
        near(prob(f"again-{name}"), wanted, f"{name}, imported again", 1e-5)
        x = ((pixels / numpy.float32(255) - numpy.float32(pre["mean"])) / numpy.float32(pre["std"])).astype("<f4").transpose(0, 3, 1, 2)
        logits, p = computed(f"i-{name}/model.onnx", numpy.ascontiguousarray(x))
        near(p, wanted, f"{name}, probabilities", 1e-5)
        e = numpy.exp(logits / 1.5 - (logits / 1.5).max(1, keepdims=True))
        near(e / e.sum(1, keepdims=True), wanted, f"{name}, logits", 1e-5)
        # bytes as they come from a decoder
        run("export", name, "--inside", "--with-preprocessing", "--out", f"b-{name}")
        near(computed(f"b-{name}/model.onnx", pixels)[1], wanted, f"{name}, of bytes", 1e-5)
        facts = json.load(open(f"b-{name}/export.json", encoding="utf-8"))
        check(facts["input"] == {"type": "uint8", "shape": ["n", 32, 24, 3], "colours": "rgb"} and facts["preprocess"] is None, f"{facts}")


def strangers(_binary):
    """a file of a stranger leaves as it came, or with what prepares its pixels in front"""
    means()
    put("last.onnx", [node("ReduceMean", ["x"], ["y"], "", [predict.ints("axes", 1, 2), predict.one("keepdims", 0)])], shape=("n", 16, 16, 3))
    ppm("a.ppm", flat(16, 16, (51, 204, 102)))
    pixels = numpy.broadcast_to(numpy.array([51, 204, 102], numpy.uint8), (1, 16, 16, 3)).copy()
    for file in ("means.onnx", "last.onnx"):
        for colours in ("rgb", "bgr"):
            run("import", file, "--task", "embed", "--import.mean=[.1, .2, .3]", "--import.std=[1, 2, 4]", "--colours", colours, "--out", "e")
            run("export", "e", "--out", "same", "--force")
            check(pathlib.Path("same/model.onnx").read_bytes() == pathlib.Path(file).read_bytes(), "it was changed")
            facts = json.load(open("same/export.json", encoding="utf-8"))
            near(facts["preprocess"]["mean"], [.1, .2, .3], "mean in the order of its channels", 1e-6)
            check(facts["input"]["colours"] == colours and facts["input"]["shape"] == (["n", 3, 16, 16] if file == "means.onnx" else ["n", 16, 16, 3]), f"{facts}")
            run("export", "e", "--with-preprocessing", "--out", "bytes", "--force")
            wanted = predict.predict("e", "a.ppm")["a.ppm"]["embedding"]
            near(computed("bytes/model.onnx", pixels)[0][0], wanted, f"{file}, {colours}", 1e-5)
            graph = decode(fields(decode(pathlib.Path("bytes/model.onnx").read_bytes()), 7)[0])
            check([text_of(decode(v), 1) for v in fields(graph, 11)] == ["images"], "its inputs")


def refused(_binary):
    """what is no model"""
    world()
    run("export", "--out", "x", code=64, said="expected a model")
    run("export", "basic", "deep", "--out", "x", code=64, said="expected a model")
    run("export", "nothing", "--out", "x", code=74, said="nothing")
    run("export", "basic/model.safetensors", "--out", "x", code=65, said="holds weights alone")
    check(not pathlib.Path("x").exists(), "something was made")


if __name__ == "__main__":
    NS, *parts = sys.argv[1:]
    predict.NS = NS
    for part in tiny.chosen((ours, strangers, refused), parts):
        part(NS)
    print(f"{tiny.checks} checks passed")
