"""The temperature against closed forms and a search of its own.

    calibration.py BINARY      in an empty folder

A network of zeros with a bias says the same logits (a, 0) to every image. Where a share p of the calibration rows is of class 0, the
likelihood of softmax(z / T) (Guo et al. 2017) is greatest where its first entry is p: T = a / ln(p / (1 - p)).
"""
import json
import math
import pathlib
import struct
import sys

import h5py
import numpy as np

from known import equal, must, near, read, shard, CHECKS

NET = ["--model.blocks=[1]", "--model.width=4", "--train.batch=16", "--train.virtual_ranks=2", "--train.precision=f32", "--threads=1"]
binary = sys.argv[1]
rng = np.random.default_rng(5)


def images(n):
    return [rng.integers(0, 256, (8, 8, 1), dtype="u1") for _ in range(n)]


def constant(path, bias):
    """weights of NET's network that say `bias` to every image: torchvision's names and shapes, nothing but zeros before"""
    shapes = {"conv1.weight": (4, 1, 3, 3), "layer1.0.conv1.weight": (4, 4, 3, 3), "layer1.0.conv2.weight": (4, 4, 3, 3),
              "fc.weight": (len(bias), 4)}
    for norm in ("bn1", "layer1.0.bn1", "layer1.0.bn2"):
        shapes.update({f"{norm}.{part}": (4,) for part in ("weight", "bias", "running_mean", "running_var")})
    tensors = {name: np.full(shape, name.endswith("running_var"), dtype="<f4") for name, shape in shapes.items()}
    tensors["fc.bias"] = np.array(bias, dtype="<f4")
    header, at = {}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(x.tobytes() for x in tensors.values()))


def nll(logits, labels, t):
    z = logits / t
    z = z - z.max(1, keepdims=True)
    return (np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels]).mean()


def search(logits, labels):
    """the best T of a grid over [1/20, 20], refined around the best until it is known to 1e-9"""
    low, high = math.log(1 / 20), math.log(20)
    while high - low > 1e-9:
        grid = np.linspace(low, high, 21)
        best = int(np.argmin([nll(logits, labels, math.exp(x)) for x in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 20)]
    return math.exp((low + high) / 2)


def calibrate(out, *more):
    """model.json, the event that tells of the fit, and the reference's predictions"""
    said = must(binary, "train", "--out", out, "--json", "--train.epochs=1", "--registry=registry", *NET, *more)
    event = [json.loads(line) for line in said.splitlines() if '"event":"calibrated"' in line]
    with h5py.File(f"{out}/baseline/predictions-00000.h5") as f:
        return read(f"{out}/model.json"), event[0], f["prob"][:], f["label"][:], f.attrs["temperature"], f["id"][:]


def known_logits():
    """name, bias, rows of each class to calibrate on, T"""
    shard("even.h5", images(32), [0, 1] * 16, ["ant", "bee"]) # what is trained on: fitted to it, T would be infinite
    cases = [("too-sure", (2.0, 0.0), (30, 10), 2 / math.log(3)), ("not-sure-enough", (1.0, 0.0), (36, 4), 1 / math.log(9)),
             ("shifted", (5.0, 3.0), (30, 10), 2 / math.log(3)), ("right", (math.log(4), 0.0), (32, 8), 1.0)]
    for name, bias, counts, t in cases:
        labels = [0] * counts[0] + [1] * counts[1] + [-1] * 17 # rows without a label say nothing
        order = rng.permutation(len(labels))
        shard(f"{name}.h5", images(len(labels)), [labels[i] for i in order], ["ant", "bee"])
        constant(f"{name}.safetensors", bias)
        model, event, prob, _, used, _ = calibrate(name, "--data=even.h5", f"--calibrate={name}.h5",
                                                      f"--model.from={name}.safetensors", "--train.lr=1e-30")
        near(model["temperature"], t, 2e-5 * t, f"{name}: the temperature")
        near(used, t, 2e-5 * t, f"{name}: the baseline's temperature")
        p = counts[0] / sum(counts)
        near(np.abs(prob - [p, 1 - p]).max(), 0, 2e-5, f"{name}: the calibrated probabilities")
        z = np.tile(bias, (sum(counts), 1))
        of = np.repeat([0, 1], counts)
        near(event["nll_before"], nll(z, of, 1), 1e-5, f"{name}: NLL before")
        near(event["nll_after"], -p * math.log(p) - (1 - p) * math.log(1 - p), 1e-5, f"{name}: NLL after, the entropy of the labels")
    # without an optimum within the range, its ends: always right wants T = 0, as often right as not wants T without end
    for name, counts, t in (("always", (20, 0), math.exp(-3)), ("never", (10, 10), math.exp(3))):
        shard(f"{name}.h5", images(20), [0] * counts[0] + [1] * counts[1], ["ant", "bee"])
        model = calibrate(name, "--data=even.h5", f"--calibrate={name}.h5", "--model.from=right.safetensors", "--train.lr=1e-30")[0]
        near(model["temperature"], t, 1e-4 * t, f"{name}: the end of the range")


def brightness(labels, spread):
    return [np.clip(50 + 60 * k + spread * rng.standard_normal((8, 8, 1)), 0, 255).astype("u1") for k in labels]


def trained_network():
    """a network that has learnt: its logits differ from row to row, and are known but for a constant of each row, which no softmax sees"""
    classes = ["ant", "bee", "cat"]
    labels = [i % 3 for i in range(96)]
    shard("train.h5", brightness(labels, 30), labels, classes)
    seen = [i % 3 for i in range(60)]
    said = [(k + (i % 4 == 0)) % 3 if i % 5 else -1 for i, k in enumerate(seen)] # a quarter is labelled otherwise, a fifth not at all
    shard("reference.h5", brightness(seen, 30), said, classes)
    longer = ["--train.epochs=8", "--train.lr=0.3"]
    model, event, prob, label, _, _ = calibrate("learnt", "--data=train.h5", "--calibrate=reference.h5", *longer)
    must(binary, "train", "--data=train.h5", "--out=cold", "--registry=registry", *NET, *longer)
    equal(read("cold/model.json")["temperature"], 1.0, "nothing is calibrated where nothing was asked for")
    equal(read("cold/model.json")["weights"], model["weights"], "calibrating changes no weight")
    logits = {}
    for data in ("reference", "train"):
        must(binary, "infer", "--model=cold", f"--data={data}.h5", f"--out={data}-p", "--infer.precision=f32", "--threads=1")
        with h5py.File(f"{data}-p/predictions-00000.h5") as f:
            logits[data] = np.log(f["prob"][:].astype("f8"))
    z, of = logits["reference"][label >= 0], label[label >= 0]
    t = search(z, of)
    both = search(np.concatenate([z, logits["train"]]), np.concatenate([of, labels]))
    other = search(z, (of + 1) % 3)
    assert abs(math.log(t)) > 0.1 and abs(t - both) > 0.05 and abs(t - other) > 0.05, "the case is to tell right from wrong"
    near(model["temperature"], t, 1e-3 * t, "the temperature of a network that has learnt")
    near(event["nll_before"], nll(z, of, 1), 1e-4, "NLL before")
    near(event["nll_after"], nll(z, of, t), 1e-4, "NLL after")
    assert event["nll_after"] < event["nll_before"]
    odds = np.exp(logits["reference"] / t)
    near(np.abs(prob - odds / odds.sum(1, keepdims=True)).max(), 0, 1e-4, "softmax(z / T)")
    equal(model["baseline"], read("learnt/baseline/predictions.json")["digest"], "the model names its baseline")


def idx(folder, pixels, labels):
    pathlib.Path(folder).mkdir()
    head = struct.pack(">IIII", 0x803, len(pixels), 8, 8)
    pathlib.Path(folder, "images-idx3-ubyte").write_bytes(head + b"".join(x.tobytes() for x in pixels))
    pathlib.Path(folder, "labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, len(labels)) + bytes(labels))


def first_night():
    """the site's first model is calibrated on the rows that the split calls reference: fitted on them once more, T stays what it is"""
    for name, n in (("photos", 120), ("old", 24)):
        of = [i % 3 for i in range(n)]
        idx(name, brightness(of, 90), of)
    pathlib.Path("night.yaml").write_text("""registry: night/registry
model: {blocks: [1], width: 4}
train: {epochs: 4, batch: 16, virtual_ranks: 2, precision: f32}
infer: {precision: f32}
device: cpu
threads: 1
ingest: {classes: [ant, bee, cat]}
night:
  train: photos/images-idx3-ubyte
  test: old/images-idx3-ubyte
  split: {train: 60, reference: 30, quiet: 30}
  tasks: 1
  nights: [{name: quiet}]
""")
    for step in ("prepare/data", "prepare/model"):
        must(binary, "night", "--config", "night.yaml", "--out", "night", "--step", step)
    with h5py.File("night/prepare/model/baseline/predictions-00000.h5") as f, h5py.File("night/prepare/data/reference/shard-00000.h5") as d:
        equal((f["id"][:].tolist(), f["label"][:].tolist()), (d["id"][:].tolist(), d["label"][:].tolist()), "the baseline's rows")
        near(search(np.log(f["prob"][:].astype("f8")), f["label"][:]), 1, 2e-3, "T on the night's reference rows")


known_logits()
trained_network()
first_night()
print(f"{CHECKS[0]} checks passed")
