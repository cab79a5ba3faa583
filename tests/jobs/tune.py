"""Models that came as ONNX and are trained here. For tune.sh.

usage: tune.py NIGHTSHIFT [PART...], in an empty folder with the data set `data` of 300 images (28, 28, 1) of 3 classes
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time

import h5py
import numpy

import import_onnx
import tiny
from import_onnx import put, resnet, run
from onnx_file import decode, graph, model, node, tensor, value
from tiny import check

MEAN, STD = [0.3], [0.25]
FACTS = [f"--import.mean={MEAN}", f"--import.std={STD}"]


def rows(place):
    """images as the network sees them, and labels"""
    x, y = [], []
    for path in sorted(pathlib.Path(place).glob("*.h5")):
        with h5py.File(path) as f:
            x.append(f["image"][:])
            y.append(f["label"][:])
    return (numpy.concatenate(x).astype("f8") / 255 - MEAN[0]) / STD[0], numpy.concatenate(y)


def tensors(path):
    """float weights of an ONNX file by name"""
    g = next(v for k, v in decode(pathlib.Path(path).read_bytes()) if k == 7)
    out = {}
    for k, v in decode(g):
        if k != 5:
            continue
        t = decode(v)
        name, raw = next(x for n, x in t if n == 8).decode(), [x for n, x in t if n == 9]
        if next(x for n, x in t if n == 2) == 1:
            out[name] = numpy.frombuffer(raw[0], "<f4").reshape([x for n, x in t if n == 1])
    return out


def floats(name, array):
    return tensor(name, list(array.shape), raw=array.astype("<f4").tobytes())


def imported(name, message, classes=("0", "1", "2"), said=""):
    text = run("import", put(f"{name}.onnx", message), *FACTS, f"--import.classes={json.dumps(list(classes))}", "--out", name, "--force", said=said)
    return text


def train(source, out, *more, code=0, said=""):
    return run("train", "--data", "data", "--from", source, "--out", out, "--force", *more, code=code, said=said)


def plain(seed=1, softmax=False):
    """one layer, by which a training is known in closed form; its bias is in a node of its own, as Paddle writes them"""
    draw = numpy.random.default_rng(seed)
    w, b = draw.normal(0, .02, (784, 3)).astype("f4"), draw.normal(0, .1, 3).astype("f4")
    held = [[(1, "value"), (5, tensor("", [3], raw=b.tobytes())), (20, 4)]]
    nodes = [node("Constant", [], ["b"], "", held), node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["p"]), node("Add", ["p", "b"], ["z" if softmax else "y"])]
    nodes += [node("Softmax", ["z"], ["y"])] if softmax else []
    return model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], [floats("w", w)])), w, b


def by_hand(w, b, epochs, rate, momentum, decay):
    """full batches of softmax regression with Nesterov's momentum"""
    x, label = rows("data")
    x, label = x.reshape(len(x), -1)[:], label
    w, b = w.astype("f8"), b.astype("f8")
    speed = [numpy.zeros_like(w), numpy.zeros_like(b)]
    losses = []
    for _ in range(epochs):
        z = x @ w + b
        z -= z.max(1, keepdims=True)
        p = numpy.exp(z) / numpy.exp(z).sum(1, keepdims=True)
        losses.append(-numpy.log(p[numpy.arange(len(x)), label]).mean())
        d = (p - numpy.eye(3)[label]) / len(x)
        for k, (value_of, slope) in enumerate(((w, x.T @ d), (b, d.sum(0)))):
            g = slope + decay * value_of
            speed[k] = momentum * speed[k] + g
            value_of -= rate * (g + momentum * speed[k])
    return w, b, losses


KNOWN = ["--train.batch=300", "--train.virtual_ranks=4", "--train.epochs=6", "--train.lr=0.003", "--train.schedule=constant", "--train.warmup_epochs=0", "--train.ema=0",
         "--train.weight_decay=0.01", "--train.clip=0"]


def known(_binary):
    """weights and losses are those of the same training in NumPy, whether the file ends with logits or with probabilities"""
    for name, softmax in (("one", False), ("two", True)):
        message, w, b = plain(softmax=softmax)
        imported(name, message, said="a training may change 2 weights, of 2355 numbers")
        train(name, f"{name}-t", *KNOWN)
        wanted_w, wanted_b, losses = by_hand(w, b, 6, .003, .9, .01)
        found = tensors(f"{name}-t/model.onnx")
        for k, (got, wanted, was) in {"w": (found["w"], wanted_w, w), "b": (found["b"], wanted_b, b)}.items():
            moved, apart = float(numpy.abs(wanted - was).max()), float(numpy.abs(got - wanted).max())
            check(apart < 1e-4 * moved, f"{name}: {k} is {apart} from NumPy's, which moved by {moved}")
        said = [json.loads(line)["loss"] for line in open(f"{name}-t/metrics.jsonl", encoding="utf-8")]
        check(numpy.allclose(said, losses, rtol=2e-5), f"{name}: losses {said}, wanted {losses}")
        check(losses[-1] < .8 * losses[0], "it learns nothing")


def random_net(seed=2, fixed=False, softmax=False):
    """the residual network of import_onnx.py, untrained"""
    draw = numpy.random.default_rng(seed)
    shapes = {"conv1.weight": (8, 1, 3, 3), "layer1.0.conv1.weight": (8, 8, 3, 3), "layer1.0.conv2.weight": (8, 8, 3, 3), "fc.weight": (3, 8), "fc.bias": (3,)}
    w = {k: draw.normal(0, (2 / numpy.prod(s[1:] or (8,))) ** .5, s).astype("f4") for k, s in shapes.items()}
    for norm in ("bn1", "layer1.0.bn1", "layer1.0.bn2"):
        w.update({f"{norm}.weight": numpy.ones(8, "f4"), f"{norm}.bias": numpy.zeros(8, "f4"), f"{norm}.running_mean": numpy.zeros(8, "f4"), f"{norm}.running_var": numpy.ones(8, "f4")})
    return resnet(w, fixed=fixed, softmax=softmax), w


SHORT = ["--train.epochs=3", "--train.lr=0.02", "--train.batch=60"]


def bits(_binary):
    """the same bits for any number of workers and ranks, and after it was stopped; images one by one give nearly the same"""
    imported("r", random_net()[0])
    train("r", "b1", *SHORT, "--threads=1")
    first = pathlib.Path("b1/model.onnx").read_bytes()
    train("r", "b2", *SHORT, "--threads=2")
    check(pathlib.Path("b2/model.onnx").read_bytes() == first, "two workers give other bits than one")
    mpi = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", import_onnx.NS]
    done = subprocess.run([*mpi, "train", "--data", "data", "--from", "r", "--out", "b3", *SHORT, "--threads=1"], capture_output=True, text=True, check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})  # as lib.sh has it
    check(done.returncode == 0 and pathlib.Path("b3/model.onnx").read_bytes() == first, f"two ranks give other bits than one: {done.stdout[-300:]}{done.stderr[-300:]}")
    imported("f", random_net(fixed=True)[0], said="images are run one by one")
    train("f", "b4", *SHORT)
    one, other = tensors("b1/model.onnx"), tensors("b4/model.onnx")
    for k, v in one.items():
        check(numpy.allclose(v, other[k], rtol=1e-3, atol=1e-5), f"{k}: one by one differs by {numpy.abs(v - other[k]).max()}")


def learns(_binary):
    """it learns, is measured after each epoch as it is then, keeps the statistics of its normalisations, and its predictions are those of what is stored"""
    message, w = random_net()
    imported("n", message, said="a training may change 11 weights, of 1299 numbers; 48 others stay")
    train("n", "n-t", "--train.epochs=10", "--train.lr=0.05", "--train.batch=60", "--val", "data", "--calibrate", "data")
    lines = [json.loads(line) for line in open("n-t/metrics.jsonl", encoding="utf-8")]
    check(max(line["val_accuracy"] for line in lines) > .8 and lines[0]["val_accuracy"] < .6, f"{[line['val_accuracy'] for line in lines]}")
    found = tensors("n-t/model.onnx")
    for k, v in w.items():
        same = (found[k] == v).all()
        check(same == ("running" in k), f"{k}: {'as it was' if same else 'changed'}")
    run("infer", "--model", "n-t", "--data", "data", "--out", "n-p", "--force")
    predicted, label = [], []
    for path in sorted(pathlib.Path("n-p").glob("predictions-*.h5")):
        with h5py.File(path) as f:
            predicted.append(f["pred"][:])
            label.append(f["label"][:])
    accuracy = float((numpy.concatenate(predicted) == numpy.concatenate(label)).mean())
    check(abs(accuracy - lines[-1]["val_accuracy"]) < 1e-9, f"the stored model is right in {accuracy}, the last epoch said {lines[-1]['val_accuracy']}")
    facts = json.load(open("n-t/model.json", encoding="utf-8"))
    check(facts["parents"] == [tiny.digest("n/model.json")] and facts["fit"] and facts["temperature"] != 1 and facts["training"]["rows"] == 300, f"{facts}")
    train("n-t", "n-u", *SHORT)  # and again
    check((tensors("n-u/model.onnx")["fc.weight"] != found["fc.weight"]).any(), "the second training changed nothing")


def head(_binary):
    """of other classes the last weights are new, but for those of the same names; what the file says of its output follows"""
    _, w = random_net()
    draw = numpy.random.default_rng(8)
    w["fc.weight"], w["fc.bias"] = draw.normal(0, 1, (5, 8)).astype("f4"), draw.normal(0, 1, 5).astype("f4")
    for name, softmax in (("h", False), ("hs", True)):
        imported(name, resnet(w, softmax=softmax, classes=5), classes=("x", "2", "y", "0", "z"))
        train(name, f"{name}-t", "--train.epochs=1", "--train.lr=0", "--train.ema=0", said="has 5 classes, and the data 3: its last weights are of these now, 2 of them as they were")
        found = tensors(f"{name}-t/model.onnx")
        check(found["fc.weight"].shape == (3, 8) and found["fc.bias"].shape == (3,), f"{found['fc.weight'].shape}")
        check((found["fc.weight"][[0, 2]] == w["fc.weight"][[3, 1]]).all() and found["fc.bias"][2] == w["fc.bias"][1], "rows of the same names are not as they were")
        new = found["fc.weight"][1]
        check(0 < numpy.abs(new).max() <= 8 ** -.5 + 1e-6, f"the new row is {new}")
        check((found["conv1.weight"] == w["conv1.weight"]).all(), "weights before the head changed")
        g = decode(next(v for k, v in decode(pathlib.Path(f"{name}-t/model.onnx").read_bytes()) if k == 7))
        shape = decode(decode(decode(decode(next(v for k, v in g if k == 12))[1][1])[0][1])[1][1])
        check([decode(d)[0][1] for _, d in shape] == [b"n", 3], f"the output says {shape}")
    # other outputs no longer say how many classes they have, an axis of images keeps its length, and names of classes inside are no longer there
    for last, wanted in ((5, (1, 3)), ("c", (2, b"c"))):
        message = resnet(w, softmax=True, classes=5, shape=(5, 1, 28, 28))
        whole = next(v for k, v in message if k == 7)
        whole[:] = [(k, v) for k, v in whole if k != 12] + [(12, value("y", [5, last])), (12, value("z", ["n", 5])), (13, value("i", [5, 8])), (13, value("z", ["n", 5]))]
        imported("several", [*message, (14, [(1, "classes"), (2, "abcde")]), (14, [(1, "by"), (2, "them")])], classes=("x", "2", "y", "0", "z"))
        train("several", "several-t", "--train.epochs=1", "--train.lr=0", "--train.ema=0")
        m = decode(pathlib.Path("several-t/model.onnx").read_bytes())
        g = decode(next(v for k, v in m if k == 7))
        dims = [[decode(d) for _, d in decode(decode(decode(decode(v)[1][1])[0][1])[1][1])] for k, v in g if k == 12]
        check(dims == [[[(1, 5)], [wanted]], [[(2, b"n")], []]], f"the outputs say {dims}")
        check([decode(v)[0][1] for k, v in m if k == 14] == [b"by"], "names of the old classes are in the file")
        check(not any(k == 13 for k, _ in g), "sizes of what lies between are of the old classes")
    # weights of the last layer that something else reads too, or a shape that has the classes written in
    held = [floats("w", draw.normal(0, 1, (3, 784))), tensor("s", [2], 7, raw=struct.pack("<2q", -1, 5)), floats("v", draw.normal(0, 1, (784, 5)))]
    nodes = [node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "v"], ["p"]), node("Reshape", ["p", "s"], ["y"])]
    imported("baked", model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 5])], held[1:])), classes="abcde")
    train("baked", "no", code=78, said="cannot become 3")


def masks(_binary):
    """what is added to attention's scores to shut some out does not learn, and 0 times infinity does not spoil what does"""
    draw = numpy.random.default_rng(4)
    w = {"q": draw.normal(0, .3, (28, 8)), "k": draw.normal(0, .3, (28, 8)), "v": draw.normal(0, .3, (28, 8)), "out": draw.normal(0, .3, (8, 3)), "shift": draw.normal(0, .1, (1, 8))}
    scale = numpy.array([.5], "f4")  # a number by itself is no weight
    for name, low in (("inf", -numpy.inf), ("hundred", -100)):
        mask = numpy.triu(numpy.full((28, 28), low), 1).astype("f4") if numpy.isfinite(low) else numpy.where(numpy.triu(numpy.ones((28, 28)), 1) > 0, low, 0).astype("f4")
        nodes = [node("Reshape", ["x", "rows"], ["r"]), *(node("MatMul", ["r", k], [f"r{k}"]) for k in "qkv"), node("Transpose", ["rk"], ["t"], "", [import_onnx.ints("perm", 0, 2, 1)]),
                 node("MatMul", ["rq", "t"], ["whole"]), node("Mul", ["whole", "scale"], ["s"]), node("Add", ["s", "mask"], ["m"]), node("Softmax", ["m"], ["a"], "", [[(1, "axis"), (3, 2), (20, 2)]]), node("MatMul", ["a", "rv"], ["o"]),
                 node("Add", ["o", "shift"], ["p"]), node("ReduceMean", ["p"], ["z"], "", [import_onnx.ints("axes", 1), [(1, "keepdims"), (3, 0), (20, 2)]]), node("MatMul", ["z", "out"], ["y"])]
        held = [floats(k, v) for k, v in {**w, "mask": mask, "scale": scale}.items()] + [tensor("rows", [3], 7, raw=struct.pack("<3q", -1, 28, 28))]
        imported(name, model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], held)), said="of 704 numbers; 784 others stay")
        train(name, f"{name}-t", *SHORT)
        found = tensors(f"{name}-t/model.onnx")
        check((found["mask"] == mask).all() and (found["scale"] == scale).all() and (found["shift"] != w["shift"].astype("f4")).any() and numpy.isfinite(found["q"]).all(), f"{name}: the mask learned, or what is added did not")


def parents(_binary):
    """a training that was killed does not go on from another model that has come under the same name; one that is trained has a temperature of its own"""
    imported("pa", random_net(3)[0])
    command = [import_onnx.NS, "train", "--data", "data", "--from", "pa", "--out", "pb", "--train.epochs=300", "--train.batch=60", "--train.checkpoint_steps=5", "--train.lr=0.001"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(2000):
        if list(pathlib.Path("pb.partial/checkpoint").glob("*.json")):
            break
        time.sleep(.01)
    running.kill()
    running.wait()
    run(*command[1:], "--train.clip=0.0", code=78, said="belongs to another configuration")  # what is the key's default is not this training's
    imported("pa", random_net(4)[0])
    run(*command[1:], code=78, said="belongs to another configuration")
    train("pa", "pc", *SHORT, "--calibrate", "data")
    train("pc", "pd", *SHORT)
    one, other = (json.load(open(f"{m}/model.json", encoding="utf-8"))["temperature"] for m in ("pc", "pd"))
    check(one != 1 and other == 1, f"temperatures {one} and {other}")


def halves(_binary):
    """a network that computes its middle in float16 learns as the same in float32 does"""
    draw = numpy.random.default_rng(8)
    w = {"c": draw.normal(0, .3, (6, 1, 3, 3)), "d": draw.normal(0, .3, (6 * 6 * 6, 3))}
    found = {}
    for name, half in (("whole", False), ("half", True)):
        nodes = [node("Conv", ["x", "c"], ["a"]), node("Relu", ["a"], ["b"]), *([node("Cast", ["b"], ["b16"], "", [[(1, "to"), (3, 10), (20, 2)]])] if half else []),
                 node("AveragePool", ["b16" if half else "b"], ["p"], "", [import_onnx.ints("kernel_shape", 5, 5), import_onnx.ints("strides", 4, 4), import_onnx.ints("pads", 1, 1, 1, 1)]),
                 *([node("Cast", ["p"], ["p32"], "", [[(1, "to"), (3, 1), (20, 2)]])] if half else []), node("Flatten", ["p32" if half else "p"], ["f"]), node("MatMul", ["f", "d"], ["y"])]
        imported(name, model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], [floats(k, v) for k, v in w.items()])), said="a training may change 2 weights")
        train(name, f"{name}-t", "--train.epochs=2", "--train.lr=0.02", "--train.batch=60")
        found[name] = tensors(f"{name}-t/model.onnx")
    for k, v in w.items():
        moved = numpy.abs(found["whole"][k] - v.astype("f4")).max()
        apart = numpy.abs(found["whole"][k] - found["half"][k]).max()
        check(moved > 1e-3 and 0 < apart < .05 * moved, f"{k}: moved by {moved}, apart by {apart}")


def freeze(_binary):
    """up to a value of the file nothing changes; after it everything does"""
    message, w = random_net()
    imported("z", message)
    train("z", "z-t", *SHORT, "--train.freeze=d")
    found = tensors("z-t/model.onnx")
    for k, v in w.items():
        held = k.startswith(("conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1")) or "running" in k
        check((found[k] == v).all() == held, f"{k}: {'changed' if held else 'as it was'}")
    train("z", "no", "--train.freeze=nothing", code=78, said="no value or weight of the name 'nothing'")
    train("z", "no", "--train.freeze=y", code=78, said="has no weight that a training could change")


def manifest(_binary):
    """harm to one that is in production becomes a manifest, which is executed, and its result is a model that came as ONNX"""
    imported("p0", random_net()[0])
    train("p0", "p", "--train.epochs=8", "--train.lr=0.05", "--train.batch=60")
    run("registry", "promote", "production", tiny.digest("p/model.json"), "--override", "--why", "the first")
    x = numpy.random.default_rng(5).integers(0, 256, (900, 28, 28), "u1")
    x[:, :, :9] //= 8
    pathlib.Path("worse").mkdir(exist_ok=True)
    pathlib.Path("worse/images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, 900, 28, 28) + x.tobytes())
    pathlib.Path("worse/labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 900) + (numpy.arange(900) % 3).astype("u1").tobytes())
    run("ingest", "worse/images-idx3-ubyte", "--out", "worse-data", "--force")
    for data, out in (("data", "ref-p"), ("worse-data", "worse-p")):
        run("infer", "--model", "production", "--data", data, "--out", out, "--force")
    run("drift", "--reference", "ref-p", "--current", "worse-p", "--reference-data", "data", "--current-data", "worse-data", "--replay-data", "data", "--out", "drift", "--force", "--retrain.lr=0.02")
    check(json.load(open("drift/retrain.json", encoding="utf-8"))["predicate"]["config"]["lr"] == .02, "a rate that was given is another")
    pathlib.Path("adamw.yaml").write_text("train: {optimizer: adamw}\n")
    run("drift", "--config", "adamw.yaml", "--reference", "ref-p", "--current", "worse-p", "--reference-data", "data", "--current-data", "worse-data", "--replay-data", "data", "--out", "drift-a", "--force")
    rate = json.load(open("drift-a/retrain.json", encoding="utf-8"))["predicate"]["config"]["lr"]
    check(abs(rate / .0001 - 1) < 1e-9, f"with adamw it is retrained at {rate}")
    found = json.load(open("drift/drift.json", encoding="utf-8"))
    check(found["status"] == "harmful" and found["manifest"]["emit"], f"{found['status']} {found['manifest']}")
    run("train", "--manifest", "drift/retrain.json", "--out", "again", "--force")
    facts, one, other = json.load(open("again/model.json", encoding="utf-8")), tensors("p/model.onnx"), tensors("again/model.onnx")
    check(facts["parents"] == [tiny.digest("p/model.json")] and facts["fit"], f"{facts}")
    check((one["fc.weight"] != other["fc.weight"]).any() and (one["bn1.running_mean"] == other["bn1.running_mean"]).all(), "it learned nothing, or what it should not")
    run("infer", "--model", "again", "--data", "data", "--out", "again-p", "--force")


def night(binary):
    """one that came as ONNX is in production; a night finds harm, trains it, and its gate lets it through: a file that others read, and a way back"""
    imported("p0", random_net()[0])
    train("p0", "np", "--train.epochs=30", "--train.lr=0.05", "--train.batch=60", "--calibrate", "data", "--registry", "nights")
    run("registry", "promote", "production", tiny.digest("np/model.json"), "--override", "--why", "the first", "--registry", "nights")
    for place in ("data/train", "data/reference", "test"):
        run("ingest", f"{place.split('/')[-1]}-src/images-idx3-ubyte", "--out", f"prep/{place}", "--force")
    dark = pathlib.Path("changed-src/images-idx3-ubyte")
    head, x = dark.read_bytes()[:16], numpy.frombuffer(dark.read_bytes()[16:], "u1")
    dark.write_bytes(head + (x * .5).astype("u1").tobytes())
    pathlib.Path("night.yaml").write_text("""registry: nights
retrain: {replay: 300, epochs: [6, 10], audited_repeat: 1}
drift: {permutations: 199, self_test: 0}
gate: {old_floor: -0.2, old_estimate: -0.1}
night: {prepared: prep, audited: 200, show_rollback: true, nights: [{name: quiet, source: quiet-src/images-idx3-ubyte}, {name: changed, source: changed-src/images-idx3-ubyte}]}
""")
    before = tiny.digest("np/model.json")
    run("night", "--config", "night.yaml", "--out", "night", "--force")
    found = json.load(open("night/summary.json", encoding="utf-8"))
    check((found["quiet_status"], found["changed_status"], found["promoted"]) == ("none", "harmful", True) and found["rolled_back_and_forward"], f"{found}")
    manifest_of = json.load(open("night/changed/drift/retrain.json", encoding="utf-8"))
    check(manifest_of["predicate"]["config"]["lr"] == .003, f"{manifest_of['predicate']['config']}")
    candidate = json.load(open("night/changed/candidate/model.json", encoding="utf-8"))
    check(candidate["parents"] == [before] and candidate["precision"] == "f32", f"{candidate}")
    steps = json.load(open("night/changed/candidate/run.json", encoding="utf-8"))["config"]
    check(steps["device"] == "cpu" and steps["train.precision"] == "f32", f"{steps['device']} {steps['train.precision']}")
    run("registry", "gc", "--registry", "nights")
    run("registry", "verify", "--registry", "nights")
    run("export", "production", "--out", "exported", "--registry", "nights", "--force")
    one, other = tensors("exported/model.onnx"), tensors("np/model.onnx")
    check((one["fc.weight"] == tensors("night/changed/candidate/model.onnx")["fc.weight"]).all() and (one["fc.weight"] != other["fc.weight"]).any(), "another file was exported")
    run("registry", "rollback", "production", "--registry", "nights")
    run("export", "production", "--out", "exported", "--registry", "nights", "--force")
    check((tensors("exported/model.onnx")["fc.weight"] == other["fc.weight"]).all(), "the way back leads to other weights")
    elsewhere(binary)


def elsewhere(binary):
    """its candidate once more, by a night that has opened a GPU: CPUs train it, to the same bits"""
    model_of = pathlib.Path("night/changed/candidate/model.onnx")
    before = model_of.read_bytes()
    shutil.rmtree("night/changed/candidate")
    for step in ("changed.candidate", "device.train", "precision.train"):
        pathlib.Path(f"night/steps/{step}.json").unlink()
    import_onnx.NS = str(pathlib.Path(binary).with_name("nightshift-sim"))
    try:
        run("night", "--config", "night.yaml", "--out", "night", "--step", "changed/candidate")
    finally:
        import_onnx.NS = binary
    check(json.load(open("night/steps/device.train.json", encoding="utf-8"))["value"] == "cuda" and model_of.read_bytes() == before, "the candidate is another one, or there was no GPU")


def devices(binary):
    """where a GPU is found, and nobody asked for it, CPUs train it in f32; a GPU that is asked for is refused"""
    sim = str(pathlib.Path(binary).with_name("nightshift-sim"))
    imported("s", random_net()[0])
    train("s", "s1", *SHORT, "--device=cpu")
    import_onnx.NS = sim
    try:
        train("s", "s2", *SHORT)
        train("s", "no", *SHORT, "--device=cuda", code=78, said="is trained on CPUs alone")
    finally:
        import_onnx.NS = binary
    check(pathlib.Path("s1/model.onnx").read_bytes() == pathlib.Path("s2/model.onnx").read_bytes(), "it was trained elsewhere")
    check("cuda" not in json.load(open("s2/run.json", encoding="utf-8"))["device"], "it was trained elsewhere")
    # of operators that no kernel of a GPU supports it is run by CPUs, unless a GPU is asked for
    grid = numpy.stack(numpy.meshgrid(numpy.linspace(-1, 1, 6), numpy.linspace(-1, 1, 6)), -1)[None]
    nodes = [node("GridSample", ["x", "grid"], ["s"]), node("Flatten", ["s"], ["y"])]
    put("grid.onnx", model(graph(nodes, [value("x", [1, 1, 28, 28])], [value("y", [1, 36])], [floats("grid", grid)])))
    nodes = [node("GridSample", ["x", "grid"], ["s"]), node("Flatten", ["s"], ["f"]), node("MatMul", ["f", "w"], ["y"])]
    imported("grid", model(graph(nodes, [value("x", [1, 1, 28, 28])], [value("y", [1, 3])], [floats("grid", grid), floats("w", numpy.ones((36, 3)) * [0, 1, 2])])))
    run("import", "grid.onnx", "--task", "embed", *FACTS, "--out", "grid-e", "--force")
    import_onnx.NS = sim
    try:
        for name in ("grid", "grid-e"):
            run("infer", "--model", name, "--data", "data", "--out", f"{name}-p", said="the model runs on CPUs: ")
            run("infer", "--model", name, "--data", "data", "--out", f"{name}-no", "--device=cuda", code=69, said="no implementation of grid")
    finally:
        import_onnx.NS = binary


def refused(_binary):
    """what is asked of the wrong model, and a graph that has no gradient"""
    imported("o", random_net()[0])
    train("o", "no", "--model.blocks=[1]", code=78, said="model.blocks: is of networks that are built here")
    train("o", "no", "--train.precision=bf16", code=78, said="is trained in f32")
    run("train", "--data", "data", "--out", "no", "--train.freeze=d", code=78, said="train.freeze: is of models that came as ONNX")
    w = numpy.random.default_rng(3).normal(1, .01, (784, 3)).astype("f4")
    nodes = [node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["p"]), node("ReduceProd", ["p"], ["q"], "", [import_onnx.ints("axes", 1)]), node("Add", ["p", "q"], ["y"])]
    # sizes that are computed from what would learn: it is imported all the same
    sized = [node("Mul", ["one", "two"], ["scales"]), node("Resize", ["x", "", "scales"], ["r"]), node("GlobalAveragePool", ["r"], ["p"]), node("Flatten", ["p"], ["f"]), node("MatMul", ["f", "w"], ["y"])]
    held = [floats("one", numpy.array([1, 1, 2, 2])), floats("two", numpy.array([1, 1, .5, .5])), floats("w", w[:1])]
    imported("sized", model(graph(sized, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], held)), said="it is not trained here: ")
    imported("d", model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], [floats("w", w)])), said="it is not trained here: cannot be trained: reduce: products")
    train("d", "no", code=78, said="reduce: products have no gradient here")
    nodes = [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("Concat", ["f", "f", "f"], ["y"], "", [[(1, "axis"), (3, 1), (20, 2)]])]
    imported("e", model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])])), said="it is not trained here: has no weight")


if __name__ == "__main__":
    import_onnx.NS, *parts = sys.argv[1:]
    for part in tiny.chosen((known, bits, learns, head, masks, halves, parents, freeze, manifest, night, devices, refused), parts):
        part(import_onnx.NS)
    print(f"{tiny.checks} checks passed")
