"""known answers for `train`: trainer.py BINARY [DEVICE], in a folder that it may fill

A small network is trained for a few steps by the program, in f32, and by the class below, in double: forward, backward, softmax
cross-entropy, the optimisers as kernels/op.h defines them, schedule, average of weights, running statistics. What is drawn (first
weights, order of an epoch, augmentation) comes from draws.py.
"""
import hashlib
import json
import math
import pathlib
import struct
import subprocess
import sys

import h5py
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import draws
from augment import png

H, W, SEED = 8, 6, 2**33 + 11
EPS = 1e-5 # of the normalisation, as torchvision has it
AUGMENT = [{"crop": {"padding": 1}}, {"rotate": {"range": [-20, 20], "p": 0.7}}, {"flip": 0.5}, {"brightness": [0.7, 1.3]},
           {"noise": {"range": [0, 0.035], "p": 0.5}}, {"cutout": {"range": [0.2, 0.5], "p": 0.5}}]
DEFAULTS = {"epochs": 1, "batch": 8, "virtual_ranks": 2, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "beta2": 0.999, "nesterov": True,
            "weight_decay": 0, "decay_all": True, "schedule": "cosine", "warmup_epochs": 0, "label_smoothing": 0, "ema": 0, "clip": 0}
SMALL = {"block": "basic", "blocks": [1, 1], "width": 3, "stem": "small"}
DEEP = {"block": "bottleneck", "blocks": [1], "width": 2, "stem": "imagenet"}


# --- layers: each gives its output and what takes the output's gradient back ---

def convolution(x, w, stride):
    k, _, r, _ = w.shape
    pad = r // 2
    wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    seen = sliding_window_view(wide, (r, r), (1, 2))[:, ::stride, ::stride] # n p q c i j
    y = np.einsum("npqcij,kcij->npqk", seen, w)

    def back(g):
        d = np.zeros_like(wide)
        p, q = g.shape[1:3]
        for i in range(r):
            for j in range(r):
                d[:, i:i + stride * p:stride, j:j + stride * q:stride] += g @ w[:, :, i, j]
        return d[:, pad:pad + x.shape[1], pad:pad + x.shape[2]], np.einsum("npqk,npqcij->kcij", g, seen)
    return y, back


def normalisation(z, gamma, beta):
    """over all but the channels (Ioffe, Szegedy 2015); mean and variance with n - 1 are for the running statistics"""
    n = z.size // z.shape[3]
    mean, var = z.mean((0, 1, 2)), z.var((0, 1, 2))
    hat = (z - mean) / np.sqrt(var + EPS)

    def back(g):
        dgamma, dbeta = (g * hat).sum((0, 1, 2)), g.sum((0, 1, 2))
        return gamma / np.sqrt(var + EPS) * (g - dbeta / n - hat * dgamma / n), dgamma, dbeta
    return hat * gamma + beta, mean, var * n / (n - 1), back


def largest(x):
    """3 x 3, stride 2, one row and column of nothing around"""
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    seen = sliding_window_view(wide, (3, 3), (1, 2))[:, ::2, ::2]
    n, p, q, c = seen.shape[:4]
    which = seen.reshape(n, p, q, c, 9).argmax(4)

    def back(g):
        d = np.zeros_like(wide)
        at = np.indices(which.shape)
        np.add.at(d, (at[0], 2 * at[1] + which // 3, 2 * at[2] + which % 3, at[3]), g)
        return d[:, 1:-1, 1:-1]
    return seen.max((4, 5)), back


class Network:
    """torchvision's ResNet of one architecture; its parameters are given by name with each call"""
    def __init__(self, arch, classes):
        self.arch, self.classes, self.units = arch, classes, []
        deep, width, imagenet = arch["block"] == "bottleneck", arch["width"], arch["stem"] == "imagenet"
        self.stem = self.unit("conv1", "bn1", width, 3, 7 if imagenet else 3, 2 if imagenet else 1)
        self.blocks, c = [], width
        for stage, count in enumerate(arch["blocks"]):
            for index in range(count):
                name, k, stride = f"layer{stage + 1}.{index}.", width << stage, 2 if stage and not index else 1
                out = 4 * k if deep else k
                down = self.unit(name + "downsample.0", name + "downsample.1", out, c, 1, stride) if stride != 1 or c != out else None
                shapes = [(k, c, 1, 1), (k, k, 3, stride), (out, k, 1, 1)] if deep else [(k, c, 3, stride), (k, k, 3, 1)]
                path = [self.unit(f"{name}conv{i + 1}", f"{name}bn{i + 1}", *s) for i, s in enumerate(shapes)]
                self.blocks.append((down, path))
                c = out
        self.features = c

    def unit(self, conv, norm, k, c, r, stride):
        self.units.append((conv, norm, (k, c, r, r), stride))
        return self.units[-1]

    def names(self):
        """weights, then vectors, then statistics: this order numbers the parameters for their first draw"""
        weights = [u[0] + ".weight" for u in self.units] + ["fc.weight"]
        vectors = [u[1] + end for u in self.units for end in (".weight", ".bias")] + ["fc.bias"]
        return weights, vectors, [u[1] + end for u in self.units for end in (".running_mean", ".running_var")]

    def first(self, seed):
        """He et al. 2015 by fan-out for convolutions, within 1 / sqrt(features) for the last layer; normalisations begin at 1 and 0"""
        values, shapes = {}, {}
        for conv, norm, shape, _ in self.units:
            shapes[conv + ".weight"] = shape
            for end, value in ((".weight", 1), (".bias", 0), (".running_mean", 0), (".running_var", 1)):
                values[norm + end] = np.full(shape[0], float(value))
        for number, name in enumerate(sum(self.names(), [])):
            if name in values:
                continue
            shape = shapes.get(name, (self.classes, self.features) if name == "fc.weight" else (self.classes,))
            words = [draws.draw(seed, draws.INIT, number, i, 0) for i in range(math.prod(shape))]
            u, v = (np.array([draws.unit(w[i]) for w in words]) for i in (0, 1))
            if name in shapes: # output, row, column, input: the order in memory
                k, c, r, s = shape
                normal = np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * math.pi * v)
                values[name] = (normal * math.sqrt(2 / (k * r * s))).reshape(k, r, s, c).transpose(0, 3, 1, 2)
            else:
                values[name] = ((2 * u - 1) / math.sqrt(self.features)).reshape(shape)
        return values

    def apply(self, v, x, unit, relu, residual, tape):
        """convolution, normalisation (by running statistics where nothing is taped), residual, ReLU"""
        conv, norm, _, stride = unit
        z, conv_back = convolution(x, v[conv + ".weight"], stride)
        if tape is None:
            scale = v[norm + ".weight"] / np.sqrt(v[norm + ".running_var"] + EPS)
            y = (z - v[norm + ".running_mean"]) * scale + v[norm + ".bias"]
            norm_back = None
        else:
            y, mean, var, norm_back = normalisation(z, v[norm + ".weight"], v[norm + ".bias"])
            tape[norm + ".running_mean"], tape[norm + ".running_var"] = mean, var
        if residual is not None:
            y = y + residual
        if relu:
            y = np.maximum(y, 0)

        def back(g):
            g = g * (y > 0) if relu else g
            dz, tape[norm + ".weight"], tape[norm + ".bias"] = norm_back(g)
            dx, tape[conv + ".weight"] = conv_back(dz)
            return dx, g # of the input, and of the residual
        return y, back

    def logits(self, v, x, tape=None):
        backs = []
        x, stem_back = self.apply(v, x, self.stem, True, None, tape)
        if self.arch["stem"] == "imagenet":
            x, pool_back = largest(x)
        for down, path in self.blocks:
            skip, down_back = self.apply(v, x, down, False, None, tape) if down else (x, None)
            inner = []
            for i, unit in enumerate(path):
                x, back = self.apply(v, x, unit, True, skip if i == len(path) - 1 else None, tape)
                inner.append(back)
            backs.append((down_back, inner))
        area, shape = x.shape[1] * x.shape[2], x.shape
        features = x.mean((1, 2))

        def back(g):
            tape["fc.weight"], tape["fc.bias"] = g.T @ features, g.sum(0)
            g = np.broadcast_to((g @ v["fc.weight"])[:, None, None] / area, shape)
            for down_back, inner in reversed(backs):
                g, skip = inner[-1](g)
                for one in reversed(inner[:-1]):
                    g, _ = one(g)
                g = g + (down_back(skip)[0] if down_back else skip)
            stem_back(pool_back(g) if self.arch["stem"] == "imagenet" else g)
        return features @ v["fc.weight"].T + v["fc.bias"], back

    def step(self, v, x, labels, smoothing, batch):
        """loss summed over the rows, rows that were right, gradients of the sum over `batch`, statistics"""
        tape = {}
        logits, back = self.logits(v, x, tape)
        target = (1 - smoothing) * np.eye(self.classes)[labels] + smoothing / self.classes
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        assert_apart(logits)
        back((p - target) / batch)
        return -(target * np.log(p)).sum(), (logits.argmax(1) == labels).sum(), tape


def assert_apart(logits):
    """what is counted must not hang on the last bit"""
    two = np.sort(logits, 1)[:, -2:]
    assert (two[:, 1] - two[:, 0] > 1e-4).all(), "the two largest logits are nearly equal: take another seed"


# --- training ---

class Data:
    """a data set's rows in order, without those that have no label"""
    def __init__(self, folder):
        index = json.loads((folder / "dataset.json").read_text())
        shards = [h5py.File(folder / s["file"], "r") for s in index["shards"]]
        image, label, identity = (np.concatenate([s[name][:] for s in shards]) for name in ("image", "label", "id"))
        self.classes, self.digest, self.unlabelled = len(index["classes"]), index["digest"], int((label < 0).sum())
        self.image, self.label, self.identity = image[label >= 0], label[label >= 0], [int(i) for i in identity[label >= 0]]
        share = self.image.reshape(-1, 3) / 255
        self.mean, self.std = share.mean(0), share.std(0)


def learning_rate(s, step, per_epoch):
    """linear from lr / (w + 1) to lr in w steps of warm-up, which is reached in the step after them; then half a cosine over the rest"""
    warm, total = s["warmup_epochs"] * per_epoch, per_epoch * s["epochs"]
    if step < warm:
        return s["lr"] * (step + 1) / (warm + 1)
    return s["lr"] * (1 if s["schedule"] == "constant" else (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2)


def gradients(net, v, data, s, rows, images):
    """each virtual rank normalises by itself; their gradients add up, their statistics are averaged"""
    loss = hits = 0
    total, part = {}, s["batch"] // s["virtual_ranks"]
    for i in range(0, s["batch"], part):
        one, right, tape = net.step(v, images[i:i + part], data.label[rows[i:i + part]], s["label_smoothing"], s["batch"])
        loss, hits = loss + one, hits + right
        for name, value in tape.items():
            total[name] = total.get(name, 0) + value
    return loss, hits, total


def update(s, v, m, m2, gradient, decay, rate, t):
    for name, g in gradient.items():
        wd = s["weight_decay"] * (name in decay)
        if s["optimizer"] == "adamw": # Loshchilov, Hutter 2019
            v[name] = v[name] * (1 - rate * wd)
            m[name] = s["momentum"] * m[name] + (1 - s["momentum"]) * g
            m2[name] = s["beta2"] * m2[name] + (1 - s["beta2"]) * g**2
            v[name] = v[name] - rate * (m[name] / (1 - s["momentum"]**t)) / (np.sqrt(m2[name] / (1 - s["beta2"]**t)) + 1e-8)
        else: # PyTorch's SGD, dampening 0
            g = g + wd * v[name]
            m[name] = s["momentum"] * m[name] + g
            v[name] = v[name] - rate * (g + s["momentum"] * m[name] if s["nesterov"] else m[name])


def train(net, data, s, start, mean, std, recipe):
    """what is kept, and the lines of metrics"""
    weights, vectors, statistics = net.names()
    v = {k: x.copy() for k, x in start.items()}
    average, m, m2 = dict(v), {k: np.zeros_like(x) for k, x in v.items()}, {k: np.zeros_like(x) for k, x in v.items()}
    decay = weights + vectors if s["decay_all"] else weights
    n, lines, step = len(data.label), [], 0
    per_epoch = n // s["batch"]
    for epoch in range(s["epochs"]):
        order = [draws.permute(i, n, SEED, draws.SHUFFLE, epoch) for i in range(n)]
        loss = hits = 0
        for i in range(per_epoch): # what is left over waits for another epoch
            rows = order[i * s["batch"]:(i + 1) * s["batch"]]
            images = [draws.Sample(recipe, SEED, epoch, data.identity[r]).to(data.image[r]) if recipe else data.image[r] for r in rows]
            one, right, total = gradients(net, v, data, s, rows, (np.array(images) / 255 - mean) / std)
            gradient = {k: total[k] for k in weights + vectors}
            norm = math.sqrt(sum((g**2).sum() for g in gradient.values()))
            if s["clip"]:
                gradient = {k: g * min(1, s["clip"] / norm) for k, g in gradient.items()}
            rate = learning_rate(s, step, per_epoch)
            step += 1
            update(s, v, m, m2, gradient, decay, rate, step)
            for k in statistics:
                v[k] = 0.9 * v[k] + 0.1 * total[k] / s["virtual_ranks"]
            keep = min(s["ema"], step / (9 + step)) # of what was averaged so far: little in the beginning, as TensorFlow has it
            average = {k: keep * average[k] + (1 - keep) * v[k] for k in v}
            loss, hits = loss + one, hits + right
        seen = per_epoch * s["batch"]
        lines.append({"epoch": epoch + 1, "step": step, "loss": loss / seen, "accuracy": hits / seen, "learning_rate": rate,
                      "gradient_norm": norm, "kept": average if s["ema"] else dict(v)})
    return lines


# --- the program's side ---

def must(*args):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, (args, done.stdout)


def tensors(path):
    raw = path.read_bytes()
    size, = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(raw[8 + size:][slice(*t["data_offsets"])], "<f4").reshape(t["shape"]).astype(float)
            for name, t in header.items()}


def write_tensors(path, values):
    header, body = {}, b""
    for name, x in values.items():
        data = x.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + body)


class Checker:
    def __init__(self, binary, device):
        self.binary, self.device, self.checks, self.worst = binary, device, 0, 0

    def make(self, name, rows, unlabelled, seed, shift=0):
        """photographs of three classes that differ in where they are bright, in a folder a class"""
        random, folder = np.random.default_rng(seed), pathlib.Path("photos-" + name)
        for i in range(rows + unlabelled):
            place = folder / "abc"[i % 3] if i < rows else folder
            place.mkdir(parents=True, exist_ok=True)
            y, x, c = np.mgrid[:H, :W, :3]
            image = 110 + shift * c + 40 * np.sin(y * (1 + i % 3) / 2 + c) + random.normal(0, 45, (H, W, 3))
            (place / f"{i:02}.png").write_bytes(png(np.clip(image, 0, 255).astype(np.uint8)))
        must(self.binary, "ingest", str(folder), "--out", name, "--ingest.shard_rows=9")
        return Data(pathlib.Path(name))

    def run(self, name, data, more=(), threads=1, ranks=1, arch=SMALL, **settings):
        s = {**DEFAULTS, **settings}
        words = [f"--train.{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in s.items()]
        words += [f"--model.{k}={v}" for k, v in arch.items()]
        launcher = ["env", "ASAN_OPTIONS=detect_leaks=0", "mpirun", "-n", str(ranks)] if ranks > 1 else [] # MPI's own memory outlives it
        must(*launcher, self.binary, "train", "--data", data, "--out", name, f"--seed={SEED}", f"--threads={threads}",
             f"--device={self.device}", "--train.precision=f32", *words, *more)
        return s

    def near(self, what, got, want, bound, rounded=False):
        """the largest difference is within the bound; how near it comes is said in the end, but for what is only rounded"""
        assert np.shape(got) == np.shape(want), (what, np.shape(got), np.shape(want))
        off = float(np.max(np.abs(np.asarray(got) - np.asarray(want)) / bound))
        self.worst = max(self.worst, off * (not rounded))
        assert off <= 1, f"{what}: {got} for {want}, {off:.3g} times the bound"
        self.checks += 1

    def trained(self, name, net, data, s, start, recipe=(), val=None, mean=None, std=None):
        """weights and metrics against the reference

        The bound: f32 has 24 bits; a value of this network is a sum of some hundred products of order 1, off by about 1e-6, and a few
        steps at a learning rate of 0.1 leave about that in a weight (measured: 1e-6 at most). A rule that is broken moves some weight by
        1e-4 at least.
        """
        lines = train(net, data, s, start, data.mean if mean is None else mean, data.std if std is None else std, recipe)
        got = tensors(pathlib.Path(name) / "model.safetensors")
        assert set(got) == set(start), (name, set(got) ^ set(start))
        for k, want in lines[-1]["kept"].items():
            self.near(f"{name}: {k}", got[k], want, 2e-5 * np.maximum(1, np.abs(want)))
        written = [json.loads(line) for line in (pathlib.Path(name) / "metrics.jsonl").read_text().splitlines()]
        assert len(written) == len(lines), (name, len(written))
        for one, want in zip(written, lines):
            for k in ("epoch", "step"):
                assert one[k] == want[k], (name, k, one[k], want[k])
            for k in ("loss", "accuracy", "learning_rate", "gradient_norm"):
                self.near(f"{name}: {k} of epoch {want['epoch']}", one[k], want[k], 2e-5 * max(1e-3, abs(want[k])))
            if val:
                logits = net.logits(want["kept"], (val.image / 255 - data.mean) / data.std)[0]
                assert_apart(logits)
                self.near(f"{name}: val_accuracy", one["val_accuracy"], np.mean(logits.argmax(1) == val.label), 1e-8, True)
            else:
                assert "val_accuracy" not in one, name
        return lines


def first_weights(c, net, data, start):
    """a rate of 0 leaves what training begins with"""
    c.run("still", "data", lr=0)
    got = tensors(pathlib.Path("still/model.safetensors"))
    for name in sum(net.names()[:2], []):
        c.near(f"first {name}", got[name], start[name], 1e-7 * np.maximum(1, np.abs(start[name])), True)
    about = json.loads(pathlib.Path("still/model.json").read_text())
    c.near("mean", about["preprocess"]["mean"], data.mean, 1e-7, True)
    c.near("std", about["preprocess"]["std"], data.std, 1e-7, True)
    assert about["training"] == {"what": "train", "steps": 2, "rows": len(data.label)}, about["training"]
    assert about["training_data"] == data.digest and "parents" not in about
    assert about["weights"] == hashlib.sha256(pathlib.Path("still/model.safetensors").read_bytes()).hexdigest()


def rules(c, net, data, val, start, only=None):
    """each line is one training, and what it alone would show"""
    cases = {
        "one": dict(batch=20, momentum=0, nesterov=False, virtual_ranks=1), # one step of plain descent
        "two": dict(batch=20, epochs=2, nesterov=False), # momentum
        "nesterov": dict(batch=20, epochs=2, virtual_ranks=4, label_smoothing=0.1),
        "six": dict(batch=20, epochs=6, warmup_epochs=2.5, schedule="cosine", ema=0.99, val=True), # each step's rate; the average's warm-up
        "ranks": dict(epochs=4, lr=0.2, ema=0.5, val=True, ranks=2), # who validates what, and whose rows are whose
        "constant": dict(epochs=3, warmup_epochs=0.5, schedule="constant", ema=0.15), # beyond the average's warm-up; the rest of an epoch
        "decay": dict(epochs=2, weight_decay=0.3),
        "decay-weights": dict(epochs=2, weight_decay=0.3, decay_all=False, threads=2), # the boundary lies within a worker's part
        "clip": dict(epochs=2, clip=0.3, weight_decay=0.3, label_smoothing=0.2), # decay is not clipped
        "clip-wide": dict(epochs=2, clip=1e6),
        "adamw": dict(epochs=3, optimizer="adamw", lr=0.01, weight_decay=2, clip=0.3, momentum=0.8, beta2=0.95, warmup_epochs=1),
        "adamw-weights": dict(epochs=2, optimizer="adamw", lr=0.01, weight_decay=2, decay_all=False, threads=2),
    }
    for name, case in cases.items():
        if only and name not in only:
            continue
        more = ["--train.val=val", "--infer.batch=7"] if case.pop("val", False) else []
        s = c.run(name, "data", more, case.pop("threads", 1), case.pop("ranks", 1), **case)
        lines = c.trained(name, net, data, s, start, val=val if more else None)
        if name == "clip":
            assert lines[-1]["gradient_norm"] > 0.3, "nothing was clipped"


def drawn_anew(c, net, data, start):
    """an order and draws of its own for each epoch"""
    s = c.run("augmented", "data", ["--augment=" + json.dumps(AUGMENT)], epochs=3, lr=0.05)
    c.trained("augmented", net, data, s, start, AUGMENT)
    n = len(data.label)
    orders = [tuple(draws.permute(i, n, SEED, draws.SHUFFLE, epoch) for i in range(n)) for epoch in range(50)]
    assert all(sorted(o) == list(range(n)) for o in orders) and len(set(orders)) == 50
    images = {draws.Sample(AUGMENT, SEED, epoch, data.identity[0]).to(data.image[0]).tobytes() for epoch in range(50)}
    assert len(images) == 50
    c.checks += 2


class Photos:
    """files of H3 x W3 pixels, of which a random resized crop takes a window of H x W, so that nothing is scaled"""
    def __init__(self, name, n):
        random = np.random.default_rng(9)
        self.made = {}
        for i in range(n):
            place = pathlib.Path(f"{name}-photos/{'ab'[i % 2]}")
            place.mkdir(parents=True, exist_ok=True)
            image = random.integers(0, 256, (3 * H, 3 * W, 3), dtype=np.uint8)
            (place / f"{i:02}.png").write_bytes(png(image))
            self.made[f"{'ab'[i % 2]}/{i:02}.png"] = image

    def read(self, name):
        """in the order of the set's rows"""
        with h5py.File(f"{name}/shard-00000.h5") as f:
            names, at = f["source"][()].tobytes(), f["source_offset"][:]
            self.image = [self.made[names[int(a):int(b)].decode()] for a, b in zip(at, at[1:])]
            self.label, self.identity = f["label"][:], [int(i) for i in f["id"][:]]


class Windows(draws.Sample):
    """the crop is taken from the file, the rest acts on what it gave"""
    def to(self, image):
        x, y, w, h = self.window(*image.shape[:2])
        assert (h, w) == (H, W)
        del self.recipe["random_resized_crop"]
        return super().to(image[y:y + h, x:x + w])


def cut_out_of_files(c, net, start):
    """a random resized crop that is listed first is cut out of the photo, not of what was made of it for the network"""
    recipe = [{"random_resized_crop": {"range": 1 / 9, "aspect": W / H}}, {"flip": 0.5}, {"brightness": [0.8, 1.2]}]
    photos = Photos("windows", 22)
    must(c.binary, "ingest", "windows-photos", "--out", "windows", "--encoding=encoded")
    photos.read("windows")
    plain, draws.Sample = draws.Sample, Windows
    for threads, ranks in ((1, 1), (2, 1), (1, 2)):
        name = f"windows-{threads}-{ranks}"
        s = c.run(name, "windows", ["--augment=" + json.dumps(recipe), f"--model.input=[{H},{W},3]"], threads, ranks, epochs=3, lr=0.05)
        prepared = json.loads(pathlib.Path(f"{name}/model.json").read_text())["preprocess"]
        c.trained(name, net, photos, s, start, recipe, mean=np.array(prepared["mean"]), std=np.array(prepared["std"]))
    draws.Sample = plain


def other_start(c, net, data, other, start):
    """weights of a model bring their preprocessing and are its parent; weights of a file are weights alone, and may lack some"""
    s = c.run("base", "other", epochs=2)
    c.trained("base", net, other, s, start)
    base = tensors(pathlib.Path("base/model.safetensors"))
    s = c.run("second", "data", ["--model.from=base"], epochs=1, ema=0.99, warmup_epochs=1)
    about = [json.loads(pathlib.Path(f"{m}/model.json").read_text()) for m in ("base", "second")]
    assert about[0]["preprocess"] == about[1]["preprocess"] and np.abs(data.mean - other.mean).max() > 0.02
    assert about[1]["parents"] == [hashlib.sha256(pathlib.Path("base/model.json").read_bytes()).hexdigest()]
    c.trained("second", net, data, s, base, mean=other.mean, std=other.std)
    write_tensors(pathlib.Path("some.safetensors"), {k: v for k, v in base.items() if not k.startswith("fc.")})
    s = c.run("third", "data", ["--model.from=some.safetensors"])
    c.trained("third", net, data, s, {**base, "fc.weight": start["fc.weight"], "fc.bias": start["fc.bias"]})
    c.checks += 2


def main(binary, device="cpu"):
    c = Checker(binary, device)
    data, val, other = c.make("data", 22, 3, 1), c.make("val", 30, 4, 2), c.make("other", 16, 0, 3, 20)
    assert (len(data.label), data.unlabelled) == (22, 3)
    net = Network(SMALL, 3)
    start = net.first(SEED)
    if device == "cpu":
        first_weights(c, net, data, start)
        rules(c, net, data, val, start)
        other_start(c, net, data, other, start)
        deep = Network(DEEP, 3)
        cut_out_of_files(c, Network(SMALL, 2), Network(SMALL, 2).first(SEED))
        s = c.run("deep", "data", arch=DEEP, epochs=2, ema=0.5)
        c.trained("deep", deep, data, s, deep.first(SEED))
    else: # steps are recorded and follow each other without the host: each must have numbers, rows and labels of its own
        rules(c, net, data, val, start, ("constant", "adamw"))
    drawn_anew(c, net, data, start)
    print(f"{c.checks} checks, the largest difference is {c.worst:.2g} of what is allowed")


if __name__ == "__main__":
    main(*sys.argv[1:])
