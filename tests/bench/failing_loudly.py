#!/usr/bin/env python3
"""The protocol of "Failing Loudly" with nightshift's detectors; see failing_loudly.sh.

A classifier is trained on most of a data set. Of the 20,000 images that it has not seen, a seed puts half into the reference and half
into the current window. The reference has as many rows as the window. Images stay bytes, so noise is rounded; an image has one version
a shift, which all seeds share, so that the classifier runs once over each.
"""
import argparse
import collections
import io
import json
import math
import multiprocessing
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tarfile
import time
import zlib

import h5py
import numpy as np

ALPHA = 0.05
FRACTIONS = (0.1, 0.5, 1.0)
FASHION = "/usr/share/datasets/fashion-mnist"
# versions of an image, in the order of the pool: noise (sigma of 255), or degrees, share of the side, zoom, flip, vertical flip
VERSIONS = {"clean": None, "small noise": 1, "medium noise": 10, "large noise": 100, "small image": (10, 0.05, 0.1, 0, 0),
            "medium image": (40, 0.2, 0.2, 1, 0), "large image": (90, 0.4, 0.4, 1, 1)}
AT = {name: i for i, name in enumerate(VERSIONS)}
SHIFTS = [*list(VERSIONS)[1:], "knock-out", "medium image + knock-out", "only one class + medium image"]
NONE = "no shift"
REDUCED = 32  # dimensions that the paper reduces to
# row, its file, which tests of drift.json belong to it; adding a method is adding a row
Method = collections.namedtuple("Method", "name kind takes")
METHODS = [
    Method("KS, pixels", "given", lambda t, d: int(t["column"]) < d),
    Method("KS, 32 principal components of the training pixels", "given", lambda t, d: d <= int(t["column"]) < d + REDUCED),
    Method("KS, 32 sparse random projections of the pixels", "given", lambda t, d: int(t["column"]) >= d + REDUCED),
    Method("KS, principal components of the window's pixels", "flat", lambda t, d: t["column"].startswith("component ")),
    Method("KS, random projections of the window's pixels", "flat", lambda t, d: t["column"].startswith("projection ")),
    Method("MMD, pixels", "flat", lambda t, d: t["detector"] == "mmd"),
    Method("KS, image statistics", "net", lambda t, d: t["kind"] == "input"),
    Method("KS, softmax outputs (BBSDs)", "net", lambda t, d: t["column"].startswith("P: ")),
    Method("chi-square, predicted class (BBSDh)", "net", lambda t, d: t["detector"] == "chi2"),
    Method("KS, principal components of the network's embedding", "net", lambda t, d: t["column"].startswith("component ")),
    Method("KS, random projections of the network's embedding", "net", lambda t, d: t["column"].startswith("projection ")),
    Method("MMD, the network's embedding", "net", lambda t, d: t["detector"] == "mmd"),
]
COMBINED, SPARED = "combined: any corrected p", "combined, without principal components"
PAPER = {"paper: KS, softmax outputs (BBSDs)": dict(zip((10, 20, 50, 100, 200, 500, 1000, 10000), (.19, .28, .47, .47, .51, .65, .70, .79))),
         "paper: KS, PCA": {10000: .63}, "paper: KS, sparse random projections": {10000: .68}, "paper: MMD, autoencoder": {1000: .61}}


def say(*words):
    print(*words, flush=True)


def nightshift(*words):
    run = subprocess.run([args.nightshift, *words, "--force", "--json"], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError("nightshift %s: %s" % (words[0], (run.stderr.strip().splitlines() or ["exit %d" % run.returncode])[-1]))


# --- images ---


def moved(images, how, rng):
    """One random affine map an image, as a generator of augmented images draws it: zoom, then shift, then rotation, about the centre."""
    degrees, share, zoom, flip, vertical = how
    n, h, w, _ = images.shape
    draw = lambda reach: rng.uniform(-reach, reach, (n, 1, 1)).astype("f4")
    angle, down, right, zy, zx = draw(math.radians(degrees)), draw(share) * h, draw(share) * w, 1 + draw(zoom), 1 + draw(zoom)
    y, x = np.mgrid[:h, :w].astype("f4") - np.array([(h - 1) / 2, (w - 1) / 2], "f4")[:, None, None]
    y, x = zy * y + down, zx * x + right
    y, x = np.cos(angle) * y - np.sin(angle) * x + (h - 1) / 2, np.sin(angle) * y + np.cos(angle) * x + (w - 1) / 2
    y, x = np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)  # beyond the edge: the nearest pixel
    y0, x0 = y.astype(int), x.astype(int)
    y1, x1, i = np.minimum(y0 + 1, h - 1), np.minimum(x0 + 1, w - 1), np.arange(n)[:, None, None]
    fy, fx = (y - y0)[..., None], (x - x0)[..., None]
    out = (images[i, y0, x0] * (1 - fx) + images[i, y0, x1] * fx) * (1 - fy) + (images[i, y1, x0] * (1 - fx) + images[i, y1, x1] * fx) * fy
    for wanted, axis in ((flip, 2), (vertical, 1)):
        turned = (rng.random(n) < 0.5) & bool(wanted)
        out[turned] = np.flip(out[turned], axis)
    return out


def version(images, how, rng):
    if how is None:
        return images
    pieces = []
    for at in range(0, len(images), 1000):
        part = images[at:at + 1000]
        out = moved(part, how, rng) if isinstance(how, tuple) else part + rng.normal(0, how, part.shape)
        pieces.append(np.rint(np.clip(out, 0, 255)).astype("u1"))
    return np.concatenate(pieces)


def png(image):
    h, w, c = image.shape
    rows = np.zeros((h, 1 + w * c), "u1")
    rows[:, 1:] = image.reshape(h, -1)
    chunk = lambda kind, data: len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    head = w.to_bytes(4, "big") + h.to_bytes(4, "big") + bytes([8, 2 if c == 3 else 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)) + chunk(b"IEND", b"")


def pack(path, images, labels, classes):
    with tarfile.open(path, "w") as tar:
        for i, image in enumerate(images):
            data = png(image)
            entry = tarfile.TarInfo("%s/%06d.png" % (classes[labels[i]], i))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


# --- a data set: training, the pool in all its versions, what the network says of it ---


def columns(folder, names):
    """The columns of all files of a result, one below the other."""
    found = {name: [] for name in names}
    for path in sorted(pathlib.Path(folder).glob("*-[0-9]*.h5")):
        with h5py.File(path, "r") as f:
            for name in names:
                found[name].append(f[name][:])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def reductions(train):
    """(d, 64): 32 principal directions of training images by subspace iteration, 32 sparse random ones (density 1 / sqrt d)."""
    rng = np.random.default_rng(1)
    x = train.reshape(len(train), -1).astype("f4") / 255
    x -= x.mean(0)
    d = x.shape[1]
    v = np.linalg.qr(rng.normal(size=(d, REDUCED + 8)).astype("f4"))[0]
    for _ in range(10):
        v = np.linalg.qr(x.T @ (x @ v))[0]
    v = v @ np.linalg.svd(x @ v, full_matrices=False)[2].T
    sparse = rng.choice([-1, 0, 1], (d, REDUCED), p=[.5 / math.sqrt(d), 1 - 1 / math.sqrt(d), .5 / math.sqrt(d)])
    return np.hstack([v[:, :REDUCED], sparse]).astype("f4")


def take_in(name, folder):
    if name == "fashion":
        nightshift("ingest", FASHION + "/train-images-idx3-ubyte.gz", "--ingest.split={train: 50000, pool: 10000}", "--out", folder + "/all")
        nightshift("ingest", FASHION + "/t10k-images-idx3-ubyte.gz", "--out", folder + "/test")
        return ["all/pool", "test"]
    nightshift("ingest", args.cifar, "--ingest.split={train: 40000, pool: 20000}", "--size=32x32", "--out", folder + "/all")
    return ["all/pool"]


def prepare(name):
    folder = str(args.out / "prepared" / name)
    start = time.time()
    if not (args.reuse and os.path.exists(folder + "/pool.npy")):
        os.makedirs(folder, exist_ok=True)
        pools = [columns("%s/%s" % (folder, p), ("image", "label")) for p in take_in(name, folder)]
        image, label = (np.concatenate([p[k] for p in pools])[:20000] for k in ("image", "label"))
        nightshift("train", "--data", folder + "/all/train", "--model.blocks=[1, 1, 1]", "--model.width=16", "--registry", folder + "/registry",
                   "--train.epochs=%d" % args.epochs, "--out", folder + "/model")
        say("%s: trained, %.0f s" % (name, time.time() - start))
        rng = np.random.default_rng(0)
        pool = np.concatenate([version(image, how, rng) for how in VERSIONS.values()])
        classes = json.load(open(folder + "/all/train/dataset.json"))["classes"]
        pack(folder + "/pool.tar", pool, np.tile(label, len(VERSIONS)), classes)
        nightshift("ingest", folder + "/pool.tar", "--ingest.classes=" + json.dumps(classes), "--out", folder + "/shifted")
        nightshift("infer", "--data", folder + "/shifted", "--model", folder + "/model", "--registry", folder + "/registry", "--out", folder + "/predictions")
        os.remove(folder + "/pool.tar")
        shutil.rmtree(folder + "/shifted")
        np.save(folder + "/reduced.npy", reduce(pool, reductions(columns(folder + "/all/train", ["image"])["image"][:10000])))
        np.save(folder + "/pool.npy", pool)
    data = columns(folder + "/predictions", ("stats", "prob", "pred", "embedding", "label"))
    data["pixels"], data["reduced"] = np.load(folder + "/pool.npy", "r"), np.load(folder + "/reduced.npy", "r")
    data["label"] = data["label"].reshape(len(VERSIONS), -1)
    assert (data["label"] == data["label"][0]).all(), "rows came back in another order"
    right = (data["pred"].reshape(len(VERSIONS), -1) == data["label"]).mean(1)
    accuracy = {v: round(float(a), 4) for v, a in zip(VERSIONS, right)}
    say("%s: ready, %.0f s; accuracy: %s" % (name, time.time() - start, ", ".join("%s %.3f" % a for a in accuracy.items())))
    return data, accuracy


def reduce(pool, directions):
    flat = pool.reshape(len(pool), -1)
    return np.concatenate([flat[i:i + 5000].astype("f4") @ directions / 255 for i in range(0, len(flat), 5000)])


# --- windows ---

Task = collections.namedtuple("Task", "kind seed size shift fraction")


def window(task):
    """Rows of the pool (version * images + image) of the reference and of the window. Smaller windows of a seed are the beginnings of larger ones."""
    label = data["label"][0]
    rng = np.random.default_rng([task.seed, *(task.shift + str(task.fraction)).encode()])
    order = (rng if task.shift == NONE else np.random.default_rng(task.seed)).permutation(len(label))
    ref, cur = np.split(order, 2)
    share, shift = task.fraction, task.shift
    if shift.startswith("only"):
        cur = cur[label[cur] == 0]
    version_of = np.zeros(len(cur), int)
    for name in list(VERSIONS)[1:]:
        if name in shift:  # half of the images where a class is knocked out besides
            some = rng.choice(len(cur), math.ceil((0.5 if "knock" in shift else share) * len(cur)), replace=False)
            version_of[some] = AT[name]
    rows = version_of * len(label) + cur
    if "knock" in shift:
        zero = np.flatnonzero(label[cur] == 0)
        rows = np.delete(rows, zero[:math.ceil(share * len(zero))])
    rows = rng.permutation(rows)[:task.size]
    return ref[:args.reference or len(rows)], rows


def write(path, kind, rows):
    pixels = lambda: np.asarray(data["pixels"][rows]).reshape(len(rows), -1).astype("f4") / 255
    with h5py.File(path, "w") as f:
        if kind == "given":
            f["stats"] = np.hstack([pixels(), data["reduced"][rows]])
        elif kind == "flat":
            f["embedding"] = pixels()
        else:
            for name in ("stats", "prob", "pred", "embedding"):
                f[name] = data[name][rows]


def judge(kind, tests):
    """{method: found}: the least p times the columns, untested ones counted too, as the paper does; the combined rule by drift's own correction."""
    d = int(np.prod(data["pixels"].shape[1:]))
    found = {}
    for m in METHODS:
        own = [t for t in tests if m.kind == kind and t["detector"] not in ("psi", "js") and m.takes(t, d)]
        if own:
            found[m.name] = min([t["p"] for t in own if t["p"] is not None], default=1) * len(own) < ALPHA
    if kind == "net":
        found[COMBINED] = any(t["p_adjusted"] is not None and t["p_adjusted"] < ALPHA for t in tests)
        spared = [t["p"] for t in tests if t["p"] is not None and not t["column"].startswith("component ")]
        found[SPARED] = min(spared, default=1) * len(spared) < ALPHA
    return found


def measure(task):
    if time.time() > deadline:
        return None
    ref, rows = window(task)
    own = "%s/%d" % (args.work, os.getpid())
    line = {"data": name, **task._asdict(), "rows": len(rows)}
    try:
        write(own + "-ref.h5", task.kind, ref)
        write(own + "-cur.h5", task.kind, rows)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        nightshift("drift", "--reference", own + "-ref.h5", "--current", own + "-cur.h5", "--out", own, "--threads=1", "--device=cpu",
                   "--drift.permutations=%d" % (99 if task.kind == "flat" else 999), "--seed=%d" % (task.seed + 1),
                   "--drift.detectors=[ks,chi2,mmd]", "--drift.slices=false", "--drift.self_test=0")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        line["seconds"] = round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3)
        line["found"] = {m: bool(v) for m, v in judge(task.kind, json.load(open(own + "/drift.json"))["tests"]).items()}
    except (RuntimeError, OSError, ValueError) as e:
        line["error"] = str(e)
    return line


def plan():
    """Quick windows first, seed by seed; those above 1,000 rows then; whole images as an embedding last."""
    tasks = []
    for kind in args.files:
        for size in args.pixel_sizes if kind == "flat" else args.sizes:
            for seed in range(args.pixel_seeds if kind == "flat" else args.large_seeds if size > 1000 else args.seeds):
                tasks += [Task(kind, seed, size, s, f) for s in SHIFTS for f in FRACTIONS if size <= 1000 or not s.startswith("only")]
                tasks += [Task(kind, seed, size, NONE, i) for i in range(args.null)]
    return sorted(tasks, key=lambda t: (t.kind == "flat", t.size > 1000, t.seed, t.size))


def measure_all(to):
    lines, tasks, start, shown = [], plan(), time.time(), time.time()
    with multiprocessing.Pool(args.workers) as workers:
        for line in workers.imap_unordered(measure, tasks):
            if line:
                lines.append(line)
                print(json.dumps(line), file=to, flush=True)
            if time.time() > shown + 20:
                shown = time.time()
                hits = [l["found"][COMBINED] for l in lines if l["shift"] != NONE and COMBINED in l.get("found", {})]
                say("%s: %d of %d windows, %.1f a second; combined rule so far %.3f" % (
                    name, len(lines), len(tasks), len(lines) / (shown - start), np.mean(hits) if hits else math.nan))
    if len(lines) < len(tasks):
        say("%s: %d of %d windows were left out: --minutes" % (name, len(tasks) - len(lines), len(tasks)))
    return lines


# --- tables ---


def rates(lines, wanted):
    """{method: {size: rate}}: mean over seeds, then over fractions, shifts and data sets, each condition with the same weight."""
    cells = collections.defaultdict(lambda: collections.defaultdict(list))
    for l in lines:
        if wanted(l):
            for method, found in l.get("found", {}).items():
                cells[method, l["size"]][l["data"], l["shift"], l["fraction"] if l["shift"] != NONE else 0].append(found)
    out = collections.defaultdict(dict)
    for (method, size), conditions in sorted(cells.items(), key=lambda c: c[0][1]):
        out[method][size] = round(float(np.mean([np.mean(v) for v in conditions.values()])), 4)
    return {m: out[m] for m in [m.name for m in METHODS] + [SPARED, COMBINED] if m in out}


def table(title, head, rows, sizes, how="%.2f"):
    """Rows without a number are left out; so is a table without rows."""
    rows = {name: row for name, row in rows.items() if any(s in row for s in sizes)}
    if not rows:
        return ""
    text = [title + "\n"] + ["| %s | %s |" % (head, " | ".join("{:,}".format(s) for s in sizes)), "|---|" + "---|" * len(sizes)]
    text += ["| %s | %s |" % (name, " | ".join(how % row[s] if s in row else "" for s in sizes)) for name, row in rows.items()]
    return "\n".join(text) + "\n"


def publish(lines, accuracy, seconds):
    sets = sorted({l["data"] for l in lines})
    sizes = sorted({l["size"] for l in lines})
    shifted = rates(lines, lambda l: l["shift"] != NONE)
    by_shift = {s: rates(lines, lambda l: l["shift"] == s) for s in SHIFTS}
    by_set = {s: rates(lines, lambda l: l["data"] == s and l["shift"] != NONE) for s in sets}
    by_fraction = {f: rates(lines, lambda l: l["fraction"] == f and l["shift"] != NONE) for f in FRACTIONS}
    alarms = rates(lines, lambda l: l["shift"] == NONE)
    count = lambda size, none: len({(l["data"], l["seed"], l["shift"], l["fraction"]) for l in lines
                                    if l["size"] == size and none == (l["shift"] == NONE)})
    windows = {"with a shift": {s: count(s, False) for s in sizes}, "without": {s: count(s, True) for s in sizes}}
    combined = lambda many: {k: v.get(COMBINED, {}) for k, v in many.items()}
    errors = [l for l in lines if "error" in l]
    slow = {kind: {s: round(float(np.median(t)), 3) for s in sizes
                   if (t := [l["seconds"] for l in lines if l["kind"] == kind and l["size"] == s and "seconds" in l])} for kind in args.files}
    version = subprocess.run([args.nightshift, "--version"], capture_output=True, text=True).stdout.strip()
    result = {"schema": "nightshift.failing_loudly/1", "version": version, "alpha": ALPHA, "data": sets, "accuracy": accuracy, "seconds": round(seconds),
              "options": {k: v for k, v in vars(args).items() if k not in ("nightshift", "work", "out", "cifar", "reuse", "workers")},
              "detection": shifted, "paper": PAPER, "by_shift": by_shift, "by_fraction": by_fraction, "by_set": by_set, "false_alarms": alarms,
              "seconds_a_run": slow, "windows": windows, "failed": errors[:20]}
    (args.out / "failing_loudly.json").write_text(json.dumps(result, indent=1) + "\n")
    reference = "%d rows" % args.reference if args.reference else "as many rows as the window"
    page = ["Shifts of \"Failing Loudly\" without the adversarial one, on %s; alpha %.2f; reference: %s; %s.\n" % (
                " and ".join(sets), ALPHA, reference, version),
            table("Windows, by their rows:", "windows", windows, sizes, "%d"),
            table("Detection rate, mean over shifts, fractions and data sets (the paper's rows: MNIST and CIFAR-10, the adversarial shift too):", "method",
                  {**shifted, **PAPER}, sizes),
            *(table("The combined rule by %s:" % what, what, combined(many), sizes)
              for what, many in (("shift", by_shift), ("fraction", by_fraction), ("data set", by_set))),
            table("False alarm rate, windows without shift:", "method", alarms, sizes),
            table("Processor seconds of a run, median (given: pixels and reductions as `stats`; flat: pixels as `embedding`; net: what `infer` wrote):",
                  "file", slow, sizes)]
    (args.out / "failing_loudly.md").write_text("\n".join(filter(None, page)))
    say("\n".join(filter(None, page)))
    for l in errors[:5]:
        say("failed: %s %s, %d rows, seed %d: %s" % (l["data"], l["shift"], l["size"], l["seed"], l["error"]))
    return 2 if errors else 0 if lines else 77


def options():
    p = argparse.ArgumentParser(prog="failing_loudly.sh", description=__doc__.splitlines()[0])
    p.error = lambda text: (p.print_usage(sys.stderr), print("failing_loudly: " + text, file=sys.stderr), sys.exit(64))
    numbers = lambda text: [int(n) for n in text.split(",") if n]
    p.add_argument("--nightshift", help=argparse.SUPPRESS)
    p.add_argument("--work", help=argparse.SUPPRESS)
    p.add_argument("--out", type=lambda t: pathlib.Path(t).absolute())
    p.add_argument("--data", type=lambda t: t.split(","), default=["fashion", "cifar"], help="data sets [fashion,cifar]")
    p.add_argument("--cifar", help="CIFAR-10, a tar of class folders")
    p.add_argument("--sizes", type=numbers, default=[10, 20, 50, 100, 200, 500, 1000, 10000], help="rows of a window [10,...,10000]")
    p.add_argument("--seeds", type=int, default=5, help="windows of each kind up to 1,000 rows [5]")
    p.add_argument("--large-seeds", type=int, default=1, help="of those above, which cost a hundred times as much [1]")
    p.add_argument("--pixel-sizes", type=numbers, default=[10, 100, 1000], help="rows where whole images are the embedding, which is slow [10,100,1000]")
    p.add_argument("--pixel-seeds", type=int, default=1, help="seeds of those [1]")
    p.add_argument("--files", type=lambda t: t.split(","), default=["net", "given", "flat"], help="what is given to drift [net,given,flat]")
    p.add_argument("--null", type=int, default=6, help="windows without shift of each size and seed [6]")
    p.add_argument("--reference", type=int, default=0, help="rows of the reference; 0: as many as the window, as the paper has it [0]")
    p.add_argument("--epochs", type=int, default=6, help="of the classifier [6]")
    p.add_argument("--minutes", type=float, default=0, help="start no more windows after so many minutes of windows; 0: no end [0]")
    p.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at once [one a core]")
    p.add_argument("--reuse", action="store_true", help="the models and versions that an earlier call left in --out")
    got = p.parse_args()
    if set(got.data) - {"fashion", "cifar"} or set(got.files) - {"net", "given", "flat"}:
        p.error("--data is of fashion and cifar, --files of net, given and flat")
    return got


args = options()
args.out.mkdir(parents=True, exist_ok=True)
able = {"fashion": os.path.exists(FASHION + "/t10k-images-idx3-ubyte.gz"), "cifar": bool(args.cifar) and os.path.exists(args.cifar)}
for name in args.data:
    if not able[name]:
        say("SKIPPED: %s: %s" % (name, "install dataset-fashion-mnist" if name == "fashion" else "--cifar names no file"))
sets, lines, accuracy, began = [n for n in args.data if able[n]], [], {}, time.time()
if not sets:
    sys.exit(77)
with open(args.out / "measured.jsonl", "w") as to:
    left = args.minutes * 60 or math.inf
    for i, name in enumerate(sets):  # workers are forked from here: they see name, data and deadline
        data, accuracy[name] = prepare(name)
        start = time.time()
        deadline = start + left / (len(sets) - i)
        lines += measure_all(to)
        left -= time.time() - start
sys.exit(publish(lines, accuracy, time.time() - began))
