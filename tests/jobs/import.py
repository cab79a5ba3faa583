"""Weights that others trained, by known answers: each file is written here, from the weights of a model of ours whose predictions are known. For import.sh.

usage: import.py NIGHTSHIFT [PART...], in an empty folder
"""
import json
import os
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import zipfile

import h5py
import numpy as np

import tiny
from tiny import check

NS = None
SMALL = ["--model.blocks=[1, 2]", "--model.width=4", "--train.epochs=1", "--train.batch=4", "--train.virtual_ranks=2", "--train.precision=f32", "--threads=1"]
INPUT = "--import.input=[8, 8]"


def run(*args, wanted=0, said=""):
    done = subprocess.run([NS, *map(str, args)], capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    text = done.stdout + done.stderr
    check(done.returncode == wanted and said in text, f"{' '.join(map(str, args))} exited {done.returncode}, wanted {wanted} and '{said}': {text[-1200:]}")
    return text


def read(path):
    """{name: array} of a safetensors file of F32"""
    data = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return {k: np.frombuffer(data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]], "<f4").reshape(v["shape"]) for k, v in header.items()}


def bf16(x):
    """the upper halves, rounded to the nearest even one"""
    bits = np.ascontiguousarray(x, "<f4").view("<u4")
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write(path, tensors, kind="F32"):
    """by the format's own description: length, header, data"""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    header, data = {}, b""
    for name, x in tensors.items():
        of = "I64" if x.dtype == np.int64 else kind
        raw = {"F32": lambda x=x: x.astype("<f4"), "F64": lambda x=x: x.astype("<f8"), "F16": lambda x=x: x.astype("<f2"), "BF16": lambda x=x: bf16(x),
               "I64": lambda x=x: x.astype("<i8"), "I32": lambda x=x: x.astype("<i4")}[of]().tobytes()
        header[name] = {"dtype": of, "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def world():
    """a model of two classes, three channels of 8x8, with normalisations that are not at identity"""
    if pathlib.Path("data").exists():
        return read("base.safetensors")
    draw = np.random.default_rng(4)
    for i in range(16):
        path = pathlib.Path("photos", ("cat", "dog")[i % 2], f"{i:02}.ppm")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P6 8 8 255\n" + draw.integers(0, 256, 192, dtype="u1").tobytes())
    run("ingest", "photos", "--out", "data", "--ingest.size=8x8")
    run("train", "--data", "data", "--out", "model", "--registry", "reg", *SMALL)
    base = {}
    for name, x in read("model/model.safetensors").items():
        base[name] = (x + draw.normal(0, 0.05, x.shape)).astype("f4")
        if "running_var" in name:
            base[name] = np.abs(base[name]) + np.float32(0.1)
    write("base.safetensors", base)
    return base


def prob(model, out):
    run("infer", "--model", model, "--data", "data", "--out", out, "--registry", "reg", "--threads=1", "--infer.precision=f32", "--force")
    with h5py.File(f"{out}/predictions-00000.h5") as f:
        return f["prob"][:]


def imported(file, name, *more, **how):
    text = run("import", file, "--out", name, "--registry", "reg", "--force", "--import.classes=[cat, dog]", INPUT, *more, **how)
    return prob(name, f"p-{name}") if not how.get("wanted") else text


def types(_binary):
    """what a type holds is what is computed with"""
    base = world()
    plain = imported("base.safetensors", "plain")
    check(np.ptp(plain[:, 0]) > 1e-3, "a model that says the same of every image")
    check((imported(write("f64.safetensors", base, "F64"), "f64") == plain).all(), "F64 of floats are these floats")
    rounded = {"F16": {k: x.astype("<f2").astype("<f4") for k, x in base.items()}, "BF16": {k: (bf16(x).astype("<u4") << 16).view("<f4").reshape(x.shape) for k, x in base.items()}}
    for kind, values in rounded.items():
        wanted = imported(write("rounded.safetensors", values), f"rounded-{kind}")
        check((imported(write("half.safetensors", base, kind), f"half-{kind}") == wanted).all() and (wanted != plain).any(), f"{kind} is other numbers")
        check(read(f"half-{kind}/model.safetensors").keys() == base.keys(), "the names of ours")
        for k, x in read(f"half-{kind}/model.safetensors").items():
            check((x == values[k]).all(), f"{kind}: {k}")
    # the ends of F16: subnormal numbers, both zeros, and what is no number
    small = {**base, "fc.bias": np.array([6e-8, -0.0], "f4")}
    imported(write("small.safetensors", small, "F16"), "small")
    check(read("small/model.safetensors")["fc.bias"].tobytes() == np.array([2.0 ** -24, -0.0], "<f4").tobytes(), "subnormal numbers")
    imported(write("inf.safetensors", {**base, "fc.bias": np.array([1e6, 0], "f4")}, "F16"), "inf", wanted=65, said="fc.bias[0] is inf")
    imported(write("big.safetensors", {**base, "fc.bias": np.array([1e300, 0])}, "F64"), "big", wanted=65, said="fc.bias[0] is inf")
    imported(write("int.safetensors", base, "I32"), "int", wanted=65, said="expected F32, F16, BF16 or F64")


def hugging(name):
    """what Hugging Face's ResNetForImageClassification calls it"""
    name = re.sub(r"^fc\.", "classifier.1.", name)
    name = re.sub(r"^conv1\.", "resnet.embedder.embedder.convolution.", re.sub(r"^bn1\.", "resnet.embedder.embedder.normalization.", name))
    m = re.match(r"layer(\d)\.(\d)\.(?:(conv|bn)(\d)|downsample\.([01]))\.(.*)", name)
    if not m:
        return name
    kind = "convolution" if m[3] == "conv" or m[5] == "0" else "normalization"
    where = f"layer.{int(m[4]) - 1}" if m[4] else "shortcut"
    return f"resnet.encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.{where}.{kind}.{m[6]}"


def names(_binary):
    """prefixes, others' names, counters: the same model"""
    base = world()
    plain = imported("base.safetensors", "plain")
    counters = {"bn1.num_batches_tracked": np.array(7, "i8"), "layer1.0.bn1.num_batches_tracked": np.array(7, "i8")}
    for what, tensors, said in (("counters", {**base, **counters}, "torchvision's"),
                                ("module.", {f"module.{k}": x for k, x in {**base, **counters}.items()}, "below module."),
                                ("two", {f"model.backbone.{k}": x for k, x in base.items()}, "below model.backbone."),
                                ("hugging", {hugging(k): x for k, x in {**base, **counters}.items()}, "Hugging Face's"),
                                ("both", {f"module.{hugging(k)}": x for k, x in base.items()}, "Hugging Face's, below module.")):
        text = run("import", write(f"{what}.safetensors", tensors), "--out", f"n-{what}", "--registry", "reg", "--import.classes=[cat, dog]", INPUT)
        check(said in text and "basic blocks [1, 2], width 4, small stem" in text, f"{what}: {text}")
        check((prob(f"n-{what}", f"pn-{what}") == plain).all(), f"{what}: another model")
    check(len({pathlib.Path(f"n-{w}/model.safetensors").read_bytes() for w in ("counters", "module.", "two", "hugging", "both")}) == 1, "and the same weights")
    imported(write("twice.safetensors", {**base, hugging("conv1.weight"): base["conv1.weight"]}), "twice", wanted=65, said="are both conv1.weight")
    # it is a model like any other: in the registry, by its digest, as production
    digest = tiny.digest("n-hugging/model.json")
    check((prob(digest, "by-digest") == plain).all(), "by its digest")
    run("registry", "promote", "production", digest, "--registry", "reg")
    model = json.loads(pathlib.Path("n-hugging/model.json").read_text())
    check(model["imported"] == {"file": "hugging.safetensors", "sha256": tiny.digest("hugging.safetensors")}, f"where it is from: {model['imported']}")


def leftovers(_binary):
    """what nobody reads is no secret"""
    base = world()
    more = {**base, "projector.weight": np.zeros((3, 3), "f4"), "layer3.0.conv1.weight": np.zeros((16, 8, 3, 3), "f4")}
    write("more.safetensors", {k: x for k, x in more.items() if k != "layer3.0.conv1.weight"})
    imported("more.safetensors", "more", wanted=65, said="1 tensors are none of this network's, the first is 'projector.weight'")
    check((imported("more.safetensors", "more", "--model.leftovers=true") == imported("base.safetensors", "plain")).all(), "left out")
    imported(write("deeper.safetensors", more), "deeper", wanted=65, said="has no tensor 'layer3.0")
    run("train", "--data", "data", "--from", "more.safetensors", "--out", "t-more", "--registry", "reg", *SMALL, wanted=65, said="projector.weight")
    run("train", "--data", "data", "--from", "more.safetensors", "--out", "t-more", "--registry", "reg", *SMALL, "--model.leftovers=true")
    # a larger network's file is no smaller network
    run("train", "--data", "data", "--from", "base.safetensors", "--out", "t-less", "--registry", "reg", *SMALL, "--model.blocks=[1, 1]", wanted=78, said="has [1,2]")
    run("train", "--data", "data", "--from", "base.safetensors", "--out", "t-wide", "--registry", "reg", *SMALL, "--model.width=8", wanted=78, said="model.width = 8")
    # and what is not said is read off its shapes
    run("train", "--data", "data", "--from", "base.safetensors", "--out", "t-shapes", "--registry", "reg", *SMALL[2:])
    check(json.loads(pathlib.Path("t-shapes/model.json").read_text())["architecture"]["blocks"] == [1, 2], "its shapes")
    missing = {k: x for k, x in base.items() if k != "layer2.1.bn2.running_var"}
    imported(write("missing.safetensors", missing), "missing", wanted=65, said="has no tensor 'layer2.1.bn2.running_var'")


def heads(_binary):
    """a classifier of other classes is a new one, and that is said"""
    base = world()
    other = {**base, "fc.weight": np.zeros((5, 8), "f4"), "fc.bias": np.zeros(5, "f4")}
    still = ["--train.lr=1e-30", "--train.warmup_epochs=0"]
    text = run("train", "--data", "data", "--from", write("five.safetensors", other), "--out", "t-five", "--registry", "reg", *SMALL, *still)
    check("has 5 classes, and the data 2: the classifier (fc) is a new one" in text, f"a new head: {text}")
    text = run("train", "--data", "data", "--from", write("none.safetensors", {k: x for k, x in base.items() if k[:3] != "fc."}), "--out", "t-none", "--registry", "reg",
               *SMALL, *still)
    check("has no classifier (fc)" in text, f"no head: {text}")
    text = run("train", "--data", "data", "--from", "base.safetensors", "--out", "t-same", "--registry", "reg", *SMALL, *still)
    check("a new one" not in text, f"the same classes: {text}")
    got = {name: read(f"t-{name}/model.safetensors") for name in ("five", "none", "same")}
    check(np.abs(got["same"]["fc.weight"] - base["fc.weight"]).max() < 1e-6, "the classifier of the same classes is kept")
    check((got["five"]["fc.weight"] == got["none"]["fc.weight"]).all() and np.abs(got["five"]["fc.weight"]).max() > 0.01, "a new one begins at random")
    check(np.abs(got["five"]["conv1.weight"] - base["conv1.weight"]).max() < 1e-6, "the rest is kept")
    imported("none.safetensors", "none", wanted=65, said="has no classifier")
    imported("five.safetensors", "five", wanted=78, said="has 5 classes, but the configuration names 2")
    grey = {**base, "conv1.weight": base["conv1.weight"][:, :1]}
    run("train", "--data", "data", "--from", write("grey.safetensors", grey), "--out", "t-grey", "--registry", "reg", *SMALL, wanted=65, said="of 1 channels, and the data has 3")


def epsilon(_binary):
    """1/sqrt(var + e): a larger e is a larger variance"""
    base = world()
    moved = {k: x + np.float32(1e-3 - 1e-5) if "running_var" in k else x for k, x in base.items()}
    wanted, plain = imported(write("moved.safetensors", moved), "moved"), imported("base.safetensors", "plain")
    got = imported("base.safetensors", "keras", "--model.epsilon=1e-3")
    check(np.abs(got - wanted).max() < 1e-6 < np.abs(got - plain).max(), f"epsilon: {np.abs(got - wanted).max()}, {np.abs(got - plain).max()}")
    check(abs(json.loads(pathlib.Path("keras/model.json").read_text())["architecture"]["epsilon"] - 1e-3) < 1e-8, "it is part of the model")
    check("epsilon" not in json.loads(pathlib.Path("plain/model.json").read_text())["architecture"], "the usual one is not said")
    run("train", "--data", "data", "--from", "keras", "--out", "t-keras", "--registry", "reg", *SMALL, wanted=78, said="another architecture")
    run("train", "--data", "data", "--from", "keras", "--out", "t-keras", "--registry", "reg", *SMALL, "--model.epsilon=1e-3")
    imported("base.safetensors", "no", "--model.epsilon=0", wanted=78)


def beside(_binary):
    """what lies beside a file is taken, what is asked for comes before it, and a default is said to be one"""
    base = world()
    plain = lambda folder, *more, **how: run("import", f"{folder}/model.safetensors", "--out", f"{folder}-m", "--registry", "reg", "--force", *more, **how)
    model = lambda folder: json.loads(pathlib.Path(f"{folder}-m/model.json").read_text())
    def put(folder, **files):
        write(f"{folder}/model.safetensors", base)
        for name, value in files.items():
            pathlib.Path(folder, f"{name}.json").write_text(json.dumps(value))
    put("hf", config={"id2label": {"1": "dog", "0": "cat"}}, preprocessor_config={"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "size": {"height": 12, "width": 16}})
    text = plain("hf")
    m = model("hf")
    check(m["classes"] == ["cat", "dog"] and m["architecture"]["input"] == [12, 16, 3], f"{m['classes']}, {m['architecture']}")
    check(np.allclose(m["preprocess"]["mean"], [0.1, 0.2, 0.3]) and np.allclose(m["preprocess"]["std"], [0.4, 0.5, 0.6]), f"{m['preprocess']}")
    check(text.count("preprocessor_config.json") == 2 and "named by config.json" in text, f"it says: {text}")
    text = plain("hf", "--import.classes=[ant, bee]", "--import.mean=[0, 0, 0]", "--import.std=[1, 1, 1]", INPUT)
    m = model("hf")
    check((m["classes"], m["architecture"]["input"], m["preprocess"]["std"]) == (["ant", "bee"], [8, 8, 3], [1, 1, 1]) and text.count("the configuration") == 3, f"asked: {text}")
    put("timm", config={"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "input_size": [3, 10, 9], "label_names": ["x", "y"]}})
    plain("timm")
    m = model("timm")
    check((m["classes"], m["architecture"]["input"], m["preprocess"]["mean"]) == (["x", "y"], [10, 9, 3], [0.5] * 3), f"timm: {m}")
    put("bare")
    plain("bare", wanted=78, said="import.input: [H, W] is required")
    text = plain("bare", INPUT)
    m = model("bare")
    check(m["classes"] == ["0", "1"] and "they are their numbers" in text and "ImageNet's are taken" in text, f"bare: {text}")
    check(np.allclose(m["preprocess"]["mean"], [0.485, 0.456, 0.406]), "ImageNet's")
    plain("bare", INPUT, "--import.mean=[0, 0, 0]", wanted=78, said="one was given without the other")
    plain("bare", INPUT, "--import.mean=[0, 0]", "--import.std=[1, 1]", wanted=78, said="has 2 numbers")
    plain("bare", INPUT, "--import.mean=[0, 0, 0]", "--import.std=[1, 0, 1]", wanted=78, said="std[1]")
    plain("bare", "--import.input=[8]", wanted=78, said="expected [H, W]")
    put("odd", config={"id2label": {"0": "cat", "1": "dog", "2": "emu"}})
    plain("odd", INPUT, wanted=65, said="has 2 classes, but config.json names 3")
    put("gap", config={"id2label": {"0": "cat", "2": "dog"}})
    plain("gap", INPUT, wanted=65, said="config.json names 0")
    write("grey/model.safetensors", {**base, "conv1.weight": base["conv1.weight"][:, :1]})
    plain("grey", INPUT, wanted=78, said="import.mean and import.std are required")
    plain("grey", INPUT, "--import.mean=[0.5]", "--import.std=[0.5]")
    big = {**base, "conv1.weight": np.zeros((4, 3, 7, 7), "f4")}
    write("stem/model.safetensors", big)
    text = plain("stem")
    check(model("stem")["architecture"]["input"] == [224, 224, 3] and model("stem")["architecture"]["stem"] == "imagenet" and "224x224 is taken" in text, f"{text}")
    flops = 2 * (49 * 3 * 4 * 112 * 112 + 2 * 9 * 16 * 56 * 56 + (9 * 32 + 9 * 64 + 32) * 28 * 28 + 2 * 9 * 64 * 28 * 28 + 8 * 2)
    check(f"{flops / 1e9:.2f} GFLOP" in text, f"wanted {flops / 1e9:.2f}: {text}")


def others(_binary):
    """a file that is something else is told as what it is; one that is not there may be a ref"""
    base = world()
    with zipfile.ZipFile("new.pth", "w") as z:
        z.writestr("archive/data.pkl", pickle.dumps({}))
    pathlib.Path("old.pt").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    pathlib.Path("net.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    pathlib.Path("empty.safetensors").write_bytes(b"")
    for verb in (["import"], ["train", "--data", "data", *SMALL, "--from"], ["infer", "--data", "data", "--model"]):
        for file, said in (("new.pth", "checkpoint of PyTorch"), ("old.pt", "checkpoint of PyTorch"), ("net.onnx", "neither safetensors"), ("empty.safetensors", "neither safetensors")):
            said = "has no graph" if (verb, file) == (["import"], "net.onnx") else said
            run(*verb, file, "--out", "x", "--registry", "reg", wanted=65, said=said)
    run("infer", "--data", "data", "--model", "base.safetensors", "--out", "x", "--registry", "reg", wanted=65, said="nightshift import makes a model")
    run("infer", "--data", "data", "--model", "nowhere", "--out", "x", "--registry", "reg", wanted=74, said="no ref 'nowhere'")
    run("import", "nowhere.safetensors", "--out", "x", "--registry", "reg", wanted=74, said="no such file")
    run("import", "--out", "x", wanted=64)
    # of the same names, and another family
    shapes = lambda **more: {**base, **{k.replace("_", "."): np.zeros(s, "f4") for k, s in more.items()}}
    for what, tensors, said in (
            ("groups", shapes(layer1_0_conv1_weight=(4, 4, 1, 1), layer1_0_conv2_weight=(4, 2, 3, 3), layer1_0_conv3_weight=(16, 4, 1, 1)), "works in groups"),
            ("wide", shapes(layer1_0_conv1_weight=(8, 4, 1, 1), layer1_0_conv2_weight=(8, 8, 3, 3), layer1_0_conv3_weight=(16, 8, 1, 1)), "a wide ResNet"),
            ("stem of 5", shapes(conv1_weight=(4, 3, 5, 5)), "expected 3x3 (small) or 7x7"),
            ("four channels", shapes(conv1_weight=(4, 4, 3, 3)), "expected 1 to 4096 of 1 or 3"),
            ("no blocks", {"conv1.weight": base["conv1.weight"], "fc.weight": base["fc.weight"]}, "no layer1.0.conv1.weight"),
            ("a transformer", {"vit.encoder.weight": np.zeros((3, 3), "f4"), "vit.head.bias": np.zeros(3, "f4")}, "is no ResNet")):
        imported(write("other.safetensors", tensors), "other", wanted=65, said=said)


if __name__ == "__main__":
    NS, *parts = sys.argv[1:]
    for part in tiny.chosen((types, names, leftovers, heads, epsilon, beside, others), parts):
        part(NS)
    print(f"{tiny.checks} checks passed")
