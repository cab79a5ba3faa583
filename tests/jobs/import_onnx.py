"""Models that come as ONNX against the same network in our own format: the file is written here from a trained model's weights. For import_onnx.sh.

usage: import_onnx.py NIGHTSHIFT [PART...], in an empty folder with the data sets `data` and `digits` (the first with 3 classes)
"""
import json
import pathlib
import struct
import subprocess
import sys

import h5py
import numpy

import tiny
from onnx_file import encode, graph, model, node, tensor, value
from tiny import check

NS = None


def run(*args, code=0, said=""):
    done = subprocess.run([NS, *args], capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    check(done.returncode == code and said in text, f"{' '.join(args)}: exit {done.returncode}, wanted {code} and '{said}': {text[-700:]}")
    return text


def weights(folder):
    data = pathlib.Path(folder, "model.safetensors").read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + n])
    return {k: numpy.frombuffer(data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]], "<f4").reshape(v["shape"]) for k, v in head.items() if k != "__metadata__"}


def ints(name, *v):
    return [(1, name), *((8, x) for x in v), (20, 7)]


def resnet(w, last=False, softmax=False, fixed=False, extra=(), shape=("n", 1, 28, 28), outputs=("y",), classes=3):
    """One basic block, as nightshift trains it, node by node. last: images with channels last; fixed: the batch is written into a shape."""
    nodes = [node("Transpose", ["x"], ["t0"], "", [ints("perm", 0, 3, 1, 2)])] if last else []
    at = "t0" if last else "x"

    def conv(name, norm, x, y, stride=1):
        k = w[name].shape[2]
        nodes.append(node("Conv", [x, name], [y + "c"], name, [ints("pads", *[k // 2] * 4), ints("strides", stride, stride)]))
        nodes.append(node("BatchNormalization", [y + "c", *(f"{norm}.{p}" for p in ("weight", "bias", "running_mean", "running_var"))], [y]))
    conv("conv1.weight", "bn1", at, "a")
    nodes.append(node("Relu", ["a"], ["b"]))
    conv("layer1.0.conv1.weight", "layer1.0.bn1", "b", "c")
    nodes.append(node("Relu", ["c"], ["d"]))
    conv("layer1.0.conv2.weight", "layer1.0.bn2", "d", "e")
    nodes.extend([node("Add", ["e", "b"], ["f"]), node("Relu", ["f"], ["g"]), node("GlobalAveragePool", ["g"], ["h"])])
    nodes.append(node("Reshape", ["h", "shape"], ["i"]) if fixed else node("Flatten", ["h"], ["i"]))
    nodes.append(node("Gemm", ["i", "fc.weight", "fc.bias"], ["z" if softmax else "y"], "", [[(1, "transB"), (3, 1), (20, 2)]]))
    if softmax:
        nodes.append(node("Softmax", ["z"], ["y"]))
    nodes.extend(extra)
    held = [tensor(k, list(v.shape), raw=v.astype("<f4").tobytes()) for k, v in w.items() if "num_batches" not in k]
    if fixed:
        held.append(tensor("shape", [2], 7, raw=struct.pack("<2q", 1, w["fc.weight"].shape[1])))
    return model(graph(nodes, [value("x", list(shape))], [value(o, ["n", classes]) for o in outputs], held))


def put(name, message):
    pathlib.Path(name).write_bytes(encode(message))
    return name


def predictions(model_name, out, *args):
    run("infer", "--model", model_name, "--data", "data", "--out", out, "--force", *args)
    columns = {k: [] for k in ("prob", "embedding", "pred", "stats")}
    for path in sorted(pathlib.Path(out).glob("predictions-*.h5")):
        with h5py.File(path) as f:
            for k in columns:
                columns[k].append(f[k][:])
    return {k: numpy.concatenate(v) for k, v in columns.items()}


def facts(m):
    """mean and standard deviation of the trained model, for the import"""
    pre = json.load(open(f"{m}/model.json", encoding="utf-8"))
    return ["--import.classes=[\"0\", \"1\", \"2\"]", f"--import.mean={pre['preprocess']['mean']}", f"--import.std={pre['preprocess']['std']}"]


def trained():
    if not pathlib.Path("m").exists():
        run("train", "--data", "data", "--model.blocks=[1]", "--model.width=8", "--train.epochs=2", "--train.precision=f32", "--seed=3", "--out", "m")
    return weights("m")


def same(_binary):
    """the same weights in both formats give the same predictions, whatever the file's way to say them"""
    w = trained()
    wanted = predictions("m", "p", "--infer.precision=f32")
    ways = {"plain": ({}, "outputs are taken as logits", []), "softmax": ({"softmax": True}, "outputs are probabilities", []),
            "last": ({"last": True, "shape": ("n", 28, 28, 1)}, "channels last", []), "fixed": ({"fixed": True}, "images are run one by one", []),
            "free": ({"shape": ("n", 1, "h", "w")}, "give what each gives alone", ["--import.input=[28, 28]"])}
    for name, (how, said, more) in ways.items():
        text = run("import", put(f"{name}.onnx", resnet(w, **how)), *facts("m"), *more, "--out", f"i-{name}", said=said)
        check("two images together give what each gives alone" in text or name == "fixed", text)
        found = predictions(f"i-{name}", f"p-{name}")
        for column, within in (("prob", 2e-5), ("embedding", 1e-4)):
            check(found[column].shape == wanted[column].shape, f"{name}: {column} has the shape {found[column].shape}, wanted {wanted[column].shape}")
            apart = float(numpy.abs(found[column] - wanted[column]).max())
            check(apart < within, f"{name}: {column} differs by {apart}")
        check((found["pred"] == wanted["pred"]).mean() > 0.999 and (found["stats"] == wanted["stats"]).all(), f"{name}: predictions or statistics differ")
    check(wanted["prob"].std() > 0.05, "the predictions say nothing")
    # a batch that runs, and gives each image something of the others
    nodes = [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("ReduceMean", ["f"], ["m"], "", [ints("axes", 0)]), node("Add", ["f", "f"], ["t"]), node("Sub", ["t", "m"], ["d"]),
             node("MatMul", ["d", "w"], ["y"])]
    put("mixes.onnx", model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], [tensor("w", [1, 3], raw=struct.pack("<3f", 1, 2, 3))])))
    run("import", "mixes.onnx", *facts("m"), "--out", "mixes", said="do not give what each gives alone: images are run one by one")


def bits(_binary):
    """the same bits for any batch and any number of workers"""
    w = trained()
    run("import", put("b.onnx", resnet(w)), *facts("m"), "--out", "b", "--force")
    one = predictions("b", "q", "--infer.batch=64", "--threads=1")
    for more in (["--infer.batch=64", "--threads=2"], ["--infer.batch=7", "--threads=2"], ["--infer.batch=1", "--threads=1"]):
        other = predictions("b", "q2", *more)
        for column in one:
            check(one[column].tobytes() == other[column].tobytes(), f"{column} has other bits with {more}")


def kept(_binary):
    """it is an object of the registry as any model is, and predictions of it are compared as any are"""
    w = trained()
    run("import", put("k.onnx", resnet(w)), *facts("m"), "--out", "k", "--force")
    digest = tiny.digest("k/model.json")
    run("registry", "promote", "production", digest)
    run("registry", "gc")
    run("registry", "verify")
    by_name = predictions("production", "by-name")
    check((by_name["prob"] == predictions("k", "by-folder")["prob"]).all(), "by its name it is another")
    run("drift", "--reference", "by-name", "--current", "by-folder", "--out", "drift", "--force")
    run("evaluate", "--predictions", "by-name", "--out", "evaluation", "--force")
    # images that it is wrong about: harm, and a manifest, as it can be trained
    pathlib.Path("worse").mkdir(exist_ok=True)
    noise = numpy.random.default_rng(5)
    pathlib.Path("worse/images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, 900, 28, 28) + noise.integers(0, 256, (900, 28, 28), "u1").tobytes())
    pathlib.Path("worse/labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 900) + (numpy.arange(900) % 3).astype("u1").tobytes())
    run("ingest", "worse/images-idx3-ubyte", "--out", "worse-data", "--force")
    run("infer", "--model", "production", "--data", "worse-data", "--out", "worse-p", "--force")
    run("drift", "--reference", "by-name", "--current", "worse-p", "--reference-data", "data", "--current-data", "worse-data", "--replay-data", "data", "--out", "drift",
        "--force")
    found = json.load(open("drift/drift.json", encoding="utf-8"))
    check(found["status"] == "harmful" and found["manifest"]["emit"] and pathlib.Path("drift/retrain.json").exists(), f"{found['status']} {found['manifest']}")
    pathlib.Path("k/model.onnx").write_bytes(encode(resnet({**w, "fc.bias": w["fc.bias"] + 1})))
    run("infer", "--model", "k", "--data", "data", "--out", "changed", code=77, said="model.onnx: its SHA-256")


def night(_binary):
    """it is the production of a night, on any processor: a precision that is found out for the night's other models is not asked of it"""
    w = trained()
    run("import", put("k.onnx", resnet(w)), *facts("m"), "--out", "k", "--force")
    run("registry", "promote", "production", tiny.digest("k/model.json"), "--registry", "night-registry", "--override", "--why", "imported", code=74)
    run("import", "k.onnx", *facts("m"), "--out", "k", "--registry", "night-registry", "--force")
    run("registry", "promote", "production", tiny.digest("k/model.json"), "--registry", "night-registry", "--override", "--why", "imported")
    for place in ("data/train", "data/reference", "test"):
        run("ingest", "src/images-idx3-ubyte", "--out", f"night-prep/{place}", "--force")
    pathlib.Path("night.yaml").write_text("registry: night-registry\ndrift: {permutations: 199, self_test: 0}\nnight:\n  prepared: night-prep\n  nights: [{name: tonight, source: src/images-idx3-ubyte}]\n")
    run("night", "--config", "night.yaml", "--out", "night", "--force")
    found = json.load(open("night/summary.json", encoding="utf-8"))
    check(found["tonight_status"] == "none" and found["production_accuracy"] > .5 and not found["unfinished"], f"{found}")


def refused(_binary):
    """what is not a classifier of one image, and what can't be done with one"""
    w = trained()
    f = facts("m")

    def no(message, said, code=65, more=()):
        run("import", put("no.onnx", message), *f, *more, "--out", "no", code=code, said=said)
        check(not pathlib.Path("no").exists(), "something was left")
    no(resnet(w, extra=[node("Fancy", ["g"], ["u"], "strange"), node("NonZero", ["g"], ["v"])], outputs=("y", "u", "v")), "node 13 (Fancy strange): the operator; node 14 (NonZero")
    no(model(graph([node("Add", ["x", "x2"], ["y"])], [value("x", ["n", 1, 28, 28]), value("x2", ["n", 1, 28, 28])], [value("y", ["n", 3])])), "has 2 inputs")
    no(model(graph([node("Relu", ["x"], ["y"])], [value("x", ["n", 5])], [value("y", ["n", 5])])), "expected float32 images")
    no(model(graph([node("Relu", ["x"], ["y"])], [value("x", ["n", 1, 28, 28])], [value("y", ["n", 1, 28, 28])])), "784 classes", 78)
    no(resnet({**w, "fc.bias": numpy.array([0, float("nan"), 0], "f4")}), "expected a finite number")
    no(resnet(w, shape=("n", 1, "h", "w")), "import.input", 78)
    no(resnet(w, shape=("n", 1, 28, 30000)), "at most 4096")
    held = [tensor("big", [1], more=[(13, [(1, "location"), (2, "w.bin")]), (14, 1)])]
    no(model(graph([node("Add", ["x", "big"], ["y"])], [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], held)), "w.bin", 74)
    pathlib.Path("w.bin").write_bytes(b"\0\0")
    no(model(graph([node("Add", ["x", "big"], ["y"])], [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], held)), "'w.bin' has 2")
    pathlib.Path("w.bin").write_bytes(b"\0\0\0\0")
    inside = node("Constant", [], ["big"], "", [[(1, "value"), (5, held[0]), (20, 4)]])
    no(model(graph([inside, node("Add", ["x", "big"], ["y"])], [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])])), "constants of nodes in other files")
    run("import", put("ok.onnx", resnet(w)), *f, "--out", "ok", "--force")
    run("infer", "--model", "ok", "--data", "data", "--infer.precision=bf16", "--out", "no", code=78, said="computed in f32")
    run("infer", "--model", "ok.onnx", "--data", "data", "--out", "no", code=65, said="nightshift import makes a model of an ONNX file")


if __name__ == "__main__":
    NS, *parts = sys.argv[1:]
    for part in tiny.chosen((same, bits, kept, night, refused), parts):
        part(NS)
    print(f"{tiny.checks} checks passed")
