"""What a training may be told. For options.sh.

usage: options.py NIGHTSHIFT [PART...], in an empty folder with the data set `data` of 300 images (28, 28, 1) of 3 classes
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import time

import numpy

import import_onnx
import tiny
import tune
from import_onnx import run, weights
from onnx_file import graph, model, node, value
from tiny import check
from tune import floats, imported, plain, tensors, train

TRIMMED = os.environ.get("NST_TRIM", "0") != "0"
ONE = ["--train.epochs=1", "--train.schedule=constant", "--train.warmup_epochs=0", "--train.ema=0", "--train.weight_decay=0", "--train.momentum=0", "--train.nesterov=false", "--train.clip=0"]


def one_step(w, b, x, label, rate, of_class, gamma):
    """a full batch of softmax regression: weighted, or focal"""
    w, b = w.astype("f8"), b.astype("f8")
    z = x @ w + b
    z -= z.max(1, keepdims=True)
    p = numpy.exp(z) / numpy.exp(z).sum(1, keepdims=True)
    own = p[numpy.arange(len(x)), label]
    row = of_class[label]
    loss = (row * (1 - own) ** gamma * -numpy.log(own)).mean()
    slope = row * ((1 - own) ** gamma - gamma * (1 - own) ** (gamma - 1) * own * numpy.log(own))
    d = slope[:, None] * (p - numpy.eye(p.shape[1])[label]) / len(x)
    return w - rate * x.T @ d, b - rate * d.sum(0), loss


def same_as(name, out, wanted_w, wanted_b, was, loss):
    found = tensors(f"{out}/model.onnx")
    for k, wanted in (("w", wanted_w), ("b", wanted_b)):
        moved, apart = float(numpy.abs(wanted - was[k]).max()), float(numpy.abs(found[k] - wanted).max())
        check(moved > 0 and apart < 3e-4 * moved, f"{name}: {k} is {apart} from NumPy's, which moved by {moved}")
    said = json.loads(open(f"{out}/metrics.jsonl", encoding="utf-8").readline())["loss"]
    check(abs(said - loss) < 2e-5 * loss, f"{name}: loss {said}, wanted {loss}")


def losses(_binary):
    """a step is NumPy's: of weighted classes, of the focal loss, of both; balanced weights are what they are said to be"""
    message, w, b = plain()
    imported("one", message)
    x, label = tune.rows("data")
    x = x.reshape(len(x), -1)
    count = numpy.bincount(label, minlength=3)
    ways = {"list": (["--train.class_weights=[0.5, 2, 1]"], [.5, 2, 1], 0), "balanced": (["--train.class_weights=balanced"], len(x) / (3 * count), 0), "focal": (["--train.loss=focal"], [1, 1, 1], 2),
            "both": (["--train.loss=focal", "--train.focal_gamma=0.5", "--train.class_weights=[1, 0, 3]"], [1, 0, 3], .5)}
    for name, (more, of_class, gamma) in ways.items():
        train("one", f"l-{name}", *ONE, "--train.batch=300", "--train.lr=0.01", *more)
        same_as(name, f"l-{name}", *one_step(w, b, x, label, .01, numpy.array(of_class, "f8"), gamma)[:2], {"w": w, "b": b}, one_step(w, b, x, label, .01, numpy.array(of_class, "f8"), gamma)[2])


def idx(name, x, label):
    pathlib.Path(name).mkdir(exist_ok=True)
    pathlib.Path(name, "images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, len(x), 28, 28) + x.astype("u1").tobytes())
    pathlib.Path(name, "labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, len(x)) + numpy.asarray(label, "u1").tobytes())
    run("ingest", f"{name}/images-idx3-ubyte", "--out", f"{name}-set", "--force")


def sampling(_binary):
    """each class comes as often, however rare, and none without rows; of an epoch a rare class's rows come evenly often"""
    message, w, b = plain(seed=5)
    imported("s", message)
    label = numpy.array([0] * 240 + [1] * 50 + [2] * 10)
    looks = numpy.random.default_rng(7).integers(0, 256, (3, 28, 28))
    idx("rare", looks[label], label)
    x = (looks[[0, 1, 2]].reshape(3, -1) / 255 - tune.MEAN[0]) / tune.STD[0]
    for way in ("sampling", "class_weights"):  # weights that balance make the same step of rows as they are
        run("train", "--data", "rare-set", "--from", "s", "--out", "s-t", *ONE, "--train.batch=300", "--train.lr=0.001", f"--train.{way}=balanced", "--force")
        same_as(way, "s-t", *one_step(w, b, x, numpy.arange(3), .001, numpy.ones(3), 0)[:2], {"w": w, "b": b}, one_step(w, b, x, numpy.arange(3), .001, numpy.ones(3), 0)[2])
    # a class of 10 rows, each with a light of its own: 100 draws are 10 of each
    rare = numpy.zeros((300, 28, 28), "u1")
    rare[290:, 0, 0] = numpy.arange(10) * 25
    idx("even", rare, label)
    run("train", "--data", "even-set", "--from", "s", "--out", "s-e", *ONE, "--train.batch=300", "--train.lr=0.001", "--train.sampling=balanced", "--force")
    x = (numpy.stack([rare[0]] * 20 + [rare[0]] * 20 + [*rare[290:]] * 2).reshape(60, -1) / 255 - tune.MEAN[0]) / tune.STD[0]
    third = numpy.array([0] * 20 + [1] * 20 + [2] * 20)
    same_as("evenly", "s-e", *one_step(w, b, x, third, .001, numpy.ones(3), 0)[:2], {"w": w, "b": b}, one_step(w, b, x, third, .001, numpy.ones(3), 0)[2])
    again(w, b)


def again(w, b):
    """a row that comes again is augmented anew: of 100 showings of the only row of a class about half are turned round (50, with a deviation of 5)"""
    once, count = numpy.zeros((300, 28, 28), "u1"), []
    once[299, 0, 0] = 255
    idx("once", once, [0] * 150 + [1] * 149 + [2])
    run("train", "--data", "once-set", "--from", "s", "--out", "s-o", *ONE, "--train.batch=300", "--train.lr=0.01", "--train.sampling=balanced", "--augment=[{flip: 0.5}]", "--force")
    moved = (tensors("s-o/model.onnx")["w"].astype("f8") - w)[:, 2]
    for at in (0, 27):  # how much further than that of a dark pixel a lit one's weight moved says how often it was lit
        p = numpy.exp(((numpy.arange(784) == at) - tune.MEAN[0]) / tune.STD[0] @ w.astype("f8") + b)
        count.append((moved[at] - moved[400]) * 300 * tune.STD[0] / .01 / (1 - p[2] / p.sum()))
    check(all(abs(n - round(n)) < .01 and 25 < n < 75 for n in count) and abs(sum(count) - 100) < .02, f"it was lit {count[0]} times at the left, {count[1]} at the right")


LONG = ["--train.schedule=constant", "--train.warmup_epochs=0", "--train.lr=0.2", "--train.batch=60", "--model.blocks=[1]", "--model.width=4", "--train.precision=f32", "--seed=4"]


def accuracies(out):
    return [json.loads(line)["val_accuracy"] for line in open(f"{out}/metrics.jsonl", encoding="utf-8")]


def best(_binary):
    """the weights that are kept are those of the best epoch; patience ends a training; both say so"""
    run("train", "--data", "data", "--val", "data", "--out", "b-all", *LONG, "--train.epochs=8", "--train.keep=best", "--force")
    found = accuracies("b-all")
    at = found.index(max(found)) + 1
    check(1 <= at < 8, f"the best of {found} is the last: this says nothing")
    check(json.load(open("b-all/model.json", encoding="utf-8"))["training"]["best_epoch"] == at, "the best epoch is another")
    run("train", "--data", "data", "--val", "data", "--out", "b-few", *LONG, f"--train.epochs={at}", "--force")
    check(pathlib.Path("b-all/model.safetensors").read_bytes() == pathlib.Path("b-few/model.safetensors").read_bytes(), "the weights are not those of the best epoch")
    run("train", "--data", "data", "--val", "data", "--out", "b-end", *LONG, "--train.epochs=200", "--train.patience=3", "--force")
    found = accuracies("b-end")
    top = found.index(max(found)) + 1
    check(len(found) == top + 3 < 200, f"patience 3 ended after {len(found)} epochs, the best was {top}: {found}")


def resumed(_binary):
    """killed in the middle, the same epoch is the best and the same bits are kept"""
    more = [*LONG, "--train.epochs=8", "--train.keep=best", "--train.checkpoint_steps=2"]
    run("train", "--data", "data", "--val", "data", "--out", "k-whole", *more, "--force")
    for after in (3, 27):
        command = [import_onnx.NS, "train", "--data", "data", "--val", "data", "--out", f"k-{after}", *more]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(4000):
            if any(int(p.stem) >= after for p in pathlib.Path(f"k-{after}.partial/checkpoint").glob("*.json")) or running.poll() is not None:
                break
            time.sleep(.002)
        running.kill()
        running.wait()
        if after == 3:  # which set compares epochs decides which are kept
            run("ingest", "src/images-idx3-ubyte", "--out", "other-val", "--force", "--ingest.shard_rows=150")
            run(*command[1:4], "--val", "other-val", *command[6:], code=78, said="belongs to another configuration")
        run(*command[1:])
        check(pathlib.Path(f"k-{after}/model.safetensors").read_bytes() == pathlib.Path("k-whole/model.safetensors").read_bytes(), f"killed after step {after} it has other bits")


def depth(_binary):
    """a layer before another takes a step as much smaller, in files of others and in networks built here"""
    draw = numpy.random.default_rng(9)
    w = {"a": draw.normal(0, .05, (784, 6)).astype("f4"), "c": draw.normal(0, .3, (6, 3)).astype("f4"), "e": numpy.zeros(6, "f4"), "m": numpy.ones(6, "f4"), "s": numpy.zeros(3, "f4")}
    nodes = [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "a", "e"], ["g"]), node("Mul", ["g", "m"], ["k"]), node("Tanh", ["k"], ["h"]), node("MatMul", ["h", "c"], ["p"]), node("Add", ["p", "s"], ["y"])]
    imported("d", model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], [floats(k, v) for k, v in w.items()])))
    train("d", "d-1", *ONE, "--train.batch=300", "--train.lr=0.01")
    train("d", "d-2", *ONE, "--train.batch=300", "--train.lr=0.01", "--train.depth_decay=0.25")
    one, other = tensors("d-1/model.onnx"), tensors("d-2/model.onnx")
    for k, share in (("a", .25), ("e", .25), ("m", .25), ("c", 1), ("s", 1)):  # what is multiplied or added after a product is of its layer
        whole, part = one[k] - w[k], other[k] - w[k]
        check(numpy.abs(whole).max() > 1e-6 and numpy.allclose(part, share * whole, rtol=2e-2, atol=2e-7), f"{k}: {numpy.abs(part - share * whole).max()} of {numpy.abs(whole).max()}")
    common = ["--model.blocks=[1]", "--model.width=8", "--train.precision=f32", "--train.batch=300", *ONE[:-1]]
    for out, more in (("n-0", ["--train.lr=0"]), ("n-1", ["--train.lr=0.01"]), ("n-2", ["--train.lr=0.01", "--train.depth_decay=0.5"])):
        run("train", "--data", "data", "--out", out, *common, *more, "--force")
    was, one, other = (weights(f"n-{k}") for k in range(3))
    for k, share in (("fc.weight", 1), ("fc.bias", 1), ("layer1.0.conv2.weight", .5), ("layer1.0.bn2.bias", .5), ("layer1.0.conv1.weight", .25), ("conv1.weight", .125), ("bn1.bias", .125)):
        whole, part = one[k] - was[k], other[k] - was[k]
        check(numpy.abs(whole).max() > 1e-7 and numpy.allclose(part, share * whole, rtol=3e-2, atol=3e-8), f"{k}: {numpy.abs(part - share * whole).max()} of {numpy.abs(whole).max()}")
    check((one["bn1.running_mean"] == other["bn1.running_mean"]).all(), "statistics have no rate")
    run("train", "--data", "data", "--out", "n-3", *common, "--train.lr=0.01", "--train.depth_decay=0.5", "--threads=1", "--force")
    check(pathlib.Path("n-3/model.safetensors").read_bytes() == pathlib.Path("n-2/model.safetensors").read_bytes(), "one worker gives other bits than two")


def learn_from_batches(name):
    """a file's normalisations do so where its model was built here"""
    facts = json.load(open(f"{name}/model.json", encoding="utf-8"))
    facts["architecture"]["normalisations"] = "batch"
    json.dump(facts, open(f"{name}/model.json", "w", encoding="utf-8"))


def batches(_binary):
    """normalisations that learn from batches do what they do in networks built here: the same ResNet node by node, trained beside our own, has the same weights and statistics"""
    common = ["--train.precision=f32", "--train.batch=60", "--train.epochs=2", "--train.lr=0.05", "--train.clip=0", "--force"]
    run("train", "--data", "data", "--out", "m", "--model.blocks=[1]", "--model.width=8", "--train.precision=f32", "--train.epochs=1", "--seed=3", "--force")
    pre = json.load(open("m/model.json", encoding="utf-8"))["preprocess"]
    run("import", import_onnx.put("g.onnx", import_onnx.resnet(weights("m"))), "--import.classes=[\"0\", \"1\", \"2\"]", f"--import.mean={pre['mean']}", f"--import.std={pre['std']}", "--out", "g", "--force")
    learn_from_batches("g")
    run("train", "--data", "data", "--from", "m", "--model.blocks=[1]", "--model.width=8", "--out", "m-t", *common)
    run("train", "--data", "data", "--from", "g", "--out", "g-t", *common)
    ours, theirs, was = weights("m-t"), tensors("g-t/model.onnx"), weights("m")
    for k, v in ours.items():
        if "num_batches" in k:
            continue
        moved, apart = float(numpy.abs(v - was[k]).max()), float(numpy.abs(v - theirs[k]).max())
        check(moved > 0 and apart < 2e-2 * moved, f"{k}: {apart} apart, and it moved by {moved}")
    one, other = ([json.loads(line)["loss"] for line in open(f"{m}-t/metrics.jsonl", encoding="utf-8")] for m in "mg")
    check(numpy.allclose(one, other, rtol=1e-4), f"losses {one} and {other}")
    statistics()


def statistics():
    """a tenth of what is kept is the batch's mean and its variance, of n - 1"""
    draw = numpy.random.default_rng(10)
    pixels = draw.integers(0, 256, (12, 28, 28))
    idx("twelve", pixels, numpy.arange(12) % 3)
    w = {"a": draw.normal(0, .05, (784, 6)), "scale": numpy.ones(6), "shift": numpy.zeros(6), "mean": draw.normal(0, 1, 6), "var": draw.uniform(1, 2, 6), "c": draw.normal(0, .3, (6, 3))}
    w = {k: v.astype("f4") for k, v in w.items()}
    nodes = [node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "a"], ["p"]), node("BatchNormalization", ["p", "scale", "shift", "mean", "var"], ["h"]), node("MatMul", ["h", "c"], ["y"])]
    imported("few", model(graph(nodes, [value("x", ["n", 1, 28, 28])], [value("y", ["n", 3])], [floats(k, v) for k, v in w.items()])))
    learn_from_batches("few")
    run("train", "--data", "twelve-set", "--from", "few", "--out", "few-t", *ONE, "--train.batch=12", "--train.virtual_ranks=1", "--train.lr=0.01", "--force")
    found, seen = tensors("few-t/model.onnx"), (pixels.reshape(12, -1) / 255 - tune.MEAN[0]) / tune.STD[0] @ w["a"].astype("f8")
    for k, measured in (("mean", seen.mean(0)), ("var", seen.var(0, ddof=1))):
        wanted = .9 * w[k] + .1 * measured
        check(numpy.allclose(found[k], wanted, rtol=1e-5, atol=1e-5), f"{k}: {found[k]}, wanted {wanted}")


def families(_binary):
    """networks beside ResNets: each learns, to the same bits however it runs, goes on, and leaves as ONNX"""
    for name, more in (("vit", ["--model.blocks=[2]", "--model.width=16", "--model.heads=2", "--train.optimizer=adamw", "--train.lr=0.003"]), ("convnext", ["--model.blocks=[1, 1]", "--model.width=8", "--train.optimizer=adamw", "--train.lr=0.003"]),
                       ("mobilenet", ["--model.blocks=[1, 1]", "--model.width=8"]), ("resnext", ["--model.blocks=[1, 1]", "--model.width=16", "--model.groups=4"])):
        common = ["--data", "data", f"--model.family={name}", *more, "--train.batch=60", "--train.ema=0.9"]
        run("train", *common, f"--train.epochs={1 if TRIMMED else 12}", "--val", "data", "--train.keep=best", "--out", f"f-{name}", "--force")
        found = accuracies(f"f-{name}")
        check(TRIMMED or max(found) > .5, f"{name}: {found}")
        run("train", *common, f"--train.epochs={1 if TRIMMED else 2}", "--threads=1", "--out", "f-1", "--force")
        run("train", *common, f"--train.epochs={1 if TRIMMED else 2}", "--threads=2", "--out", "f-2", "--force")
        check(pathlib.Path("f-1/model.onnx").read_bytes() == pathlib.Path("f-2/model.onnx").read_bytes(), f"{name}: two workers give other bits than one")
        run("infer", "--model", f"f-{name}", "--data", "data", "--out", "f-p", "--force")
        train(f"f-{name}", "f-3", "--train.epochs=1", "--train.batch=60")
        run("export", f"f-{name}", "--out", "f-e", "--force")
        before, after = tensors(f"f-{name}/model.onnx"), tensors("f-3/model.onnx")
        check(set(before) == set(after) and sum((before[k] != after[k]).any() for k in before) > len(before) // 2, f"{name}: it does not go on")


def rates(_binary):
    """what the highest learning rate is where nobody gives one: of a new network, of one that goes on, by optimiser"""
    of = lambda out: json.loads(open(f"{out}/metrics.jsonl", encoding="utf-8").readline())["learning_rate"]
    vit = ["--data", "data", "--model.family=vit", "--model.blocks=[1]", "--model.width=8", "--model.heads=2"]
    once = ["--train.epochs=1", "--train.batch=60", "--train.schedule=constant", "--train.warmup_epochs=0", "--force"]
    for out, more, wanted in (("r-1", [*vit, "--train.optimizer=adamw"], .001), ("r-2", vit, .01), ("r-3", ["--data", "data", "--from", "r-1", "--train.optimizer=adamw"], .0001),
                              ("r-4", ["--data", "data", "--from", "r-1"], .01), ("r-5", [*vit, "--model.family=mobilenet"], .1), ("r-6", ["--data", "data", "--model.blocks=[1]", "--model.width=4", "--train.optimizer=adamw"], .001)):
        run("train", *(m for m in more if out != "r-5" or "heads" not in m), *once, "--out", out)
        check(abs(of(out) / wanted - 1) < 1e-6, f"{out}: {of(out)}, wanted {wanted}")


def refused(_binary):
    """words that are none, and keys that do not go together"""
    imported("old", plain()[0])
    for more, said in ((["--train.loss=hinge"], "expected softmax, focal, binary"), (["--train.loss=focal", "--train.label_smoothing=0.1"], "without train.label_smoothing"), (["--train.focal_gamma=3"], "is of train.loss = focal"),
                       (["--train.keep=best"], "compared by --val"), (["--train.patience=2"], "compared by --val"), (["--train.sampling=often"], "expected shuffle or balanced"),
                       (["--train.class_weights=[1, 2]"], "a list of 3 numbers"), (["--train.class_weights=[1, -2, 1]"], "number 1 is not within"), (["--train.class_weights=even"], "expected none, balanced"),
                       (["--model.family=vit", "--model.blocks=[1]", "--model.heads=3"], "a width that 3 heads divide"), (["--model.family=vit", "--model.blocks=[1]", "--model.patch=9"], "expected multiples of 9"),
                       (["--model.family=convnext", "--model.blocks=[1, 1, 1, 1, 1]", "--model.patch=2"], "expected multiples of 32"), (["--model.family=vit", "--model.stem=small"], "model.stem: is of resnet, and model.family is vit"),
                       (["--model.heads=2"], "model.heads: is of vit"), (["--model.family=resnext", "--model.groups=5"], "5 groups"), (["--model.family=lenet"], "lenet"),
                       (["--model.family=vit", "--model.blocks=[1]", "--train.freeze=x"], "of a model that goes on"),
                       (["--model.family=vit", "--model.blocks=[1]", "--train.epochs=1", "--from", "old"], "is of a new network; old goes on with what it is")):
        run("train", "--data", "data", "--out", "no", *more, code=78, said=said)
    check(not pathlib.Path("no").exists(), "something was made")


if __name__ == "__main__":
    import_onnx.NS, *parts = sys.argv[1:]
    for part in tiny.chosen((losses, sampling, best, resumed, depth, batches, families, rates, refused), parts):
        part(import_onnx.NS)
    print(f"{tiny.checks} checks passed")
