"""Five thousand classes through every verb, a hundred thousand through ingest: for classes.sh.

usage: classes.py NIGHTSHIFT, in an empty folder
"""
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile

import h5py
import numpy as np

import tiny
from tiny import check

NAMES = [f"a class of things \u00e4 {i:05}" for i in range(5000)]  # 25 bytes each: 125,000, which no object header holds
NET = ("--model.blocks=[1]", "--model.width=4", "--model.stem=imagenet", "--train.epochs=1", "--train.batch=128", "--train.precision=f32", "--device=cpu")


def run(*arguments, code=0):
    """what was said"""
    # a shell forks once more: what a process needed at most includes what its parent had when it was forked
    done = subprocess.run(["bash", "-c", '"$@" || exit $?', "bash", sys.argv[1], *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == code, f"{' '.join(arguments)[:200]} ended with {done.returncode}: {done.stdout[-500:]}")
    return done.stdout


def needs_less(mib, out):
    """memory; a sanitizer's is its own"""
    found = load(f"{out}/run.json")["peak_memory_bytes"] / (1 << 20)
    check(found < mib or os.environ.get("NST_TRIM", "0") != "0", f"{out} took {found:.0f} MiB, expected less than {mib}")


def load(path):
    return json.loads(pathlib.Path(path).read_text())


def archive(path, entries):
    """of images of 32 x 32, class folder by class folder"""
    draw = random.Random(path)
    with tarfile.open(path, "w") as tar:
        for name, count in entries:
            for i in range(count):
                info = tarfile.TarInfo(f"{name}/{i}.ppm")
                data = b"P6 32 32 255\n" + draw.randbytes(32 * 32 * 3)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def ingest():
    archive("all.tar", [(n, 2) for n in NAMES])
    archive("some.tar", [(n, 1) for n in NAMES[1::10]])
    run("ingest", "all.tar", "--out", "data")
    run("ingest", "some.tar", "--out", "some", "--like", "data")
    for folder, labels in (("data", np.repeat(np.arange(5000), 2)), ("some", np.arange(1, 5000, 10))):
        with h5py.File(f"{folder}/shard-00000.h5") as f:
            check("classes" not in f.attrs and f["class_names"].shape == (5000,), f"{folder}: the names are no data set of 5,000")
            check(list(f["class_names"].asstr()[:]) == NAMES, f"{folder}: h5py reads other names")
            check(f["class_names"].dtype == "S26" and f["class_names"].id.get_offset() is not None, f"{folder}: {f['class_names'].dtype}")
            check(np.array_equal(f["label"][:], labels), f"{folder}: other labels")
        check(load(f"{folder}/dataset.json")["classes"] == NAMES, f"{folder}: dataset.json has other classes")


def an_attribute_below_the_border():
    """4,000 names of 16 bytes; and what was an attribute beyond it, in a set from before there was the other form, is read"""
    names = [f"{i:016}" for i in range(5000)]
    archive("one.tar", [(names[3999], 2)])
    pathlib.Path("given").mkdir()
    for count, form in ((4000, "classes"), (4001, "class_names")):
        pathlib.Path("given/dataset.json").write_text(json.dumps({"classes": names[:count]}))
        run("ingest", "one.tar", "--out", f"at-{count}", "--like", "given")
        with h5py.File(f"at-{count}/shard-00000.h5") as f:
            check(("classes" in f.attrs) == (form == "classes") and ("class_names" in f) == (form == "class_names"), f"{count} names are no {form}")
            found = [n.decode() for n in (f.attrs["classes"] if form == "classes" else f["class_names"])]
            check(found == names[:count], f"{count}: other names")
    with h5py.File("at-4001/shard-00000.h5") as f, h5py.File("former.h5", "w", libver=("v108", "latest")) as g:
        for name in f:
            if name not in ("class_names", "checksum"):
                f.copy(name, g)
        for name, value in f.attrs.items():
            g.attrs[name] = value
        g.attrs["classes"] = np.array([n.encode() for n in names], "S16")
    said = run("drift", "--reference", "former.h5", "--current", "at-4000", "--out", "refused", code=65)
    check("the reference has 5000 classes" in said, said)


def a_hundred_thousand():
    names = [f"class {i:07} " + "x" * (i % 40) for i in range(100000)]
    names[5] = "l" * 4096  # one long name: padded to it they would be 400 MB
    archive("few.tar", [(names[99999], 2), (names[7], 1)])
    pathlib.Path("given/dataset.json").write_text(json.dumps({"classes": names}))
    run("ingest", "few.tar", "--out", "many", "--like", "given")
    needs_less(400, "many")
    check(pathlib.Path("many/shard-00000.h5").stat().st_size < 20 << 20, "100,000 names with one of 4,096 bytes make a large shard")
    with h5py.File("many/shard-00000.h5") as f:
        check(list(f["class_names"].asstr()[:]) == names, "100,000: h5py reads other names")
        check(sorted(f["label"][:]) == [7, 99999, 99999], "100,000: other labels")
    names[6] = "l" * 4097
    pathlib.Path("given/dataset.json").write_text(json.dumps({"classes": names}))
    said = run("ingest", "few.tar", "--out", "refused", "--like", "given", code=65)
    check("name 6 of its classes has 4097 bytes, expected at most 4096" in said, said)
    names[6] = names[9]
    pathlib.Path("given/dataset.json").write_text(json.dumps({"classes": names}))
    said = run("ingest", "few.tar", "--out", "refused", "--like", "given", code=78)
    check(f"'{names[9]}' is entry 6 and entry 9" in said, said)


def train():
    run("train", "--data", "data", "--out", "model", *NET)
    model = load("model/model.json")
    check(model["classes"] == NAMES and model["architecture"]["classes"] == 5000, "model.json has other classes")
    said = run("train", "--data", "data", "--out", "refused", "--model.blocks=[1,1,1,1,1,1,1,1]", "--model.width=512", "--device=cpu", code=78)
    check("5000 classes x 65536 features are a classifier of more than 2^28 weights" in said, said)
    for data, out in (("data", "reference"), ("some", "current")):
        run("infer", "--model", "model", "--data", data, "--out", out, "--infer.precision=f32", "--device=cpu")
        needs_less(600, out)
        with h5py.File(f"{out}/predictions-00000.h5") as f:
            check("classes" not in f.attrs and list(f["class_names"].asstr()[:]) == NAMES, f"{out}: other names")
            prob = f["prob"][:]
            check(prob.shape[1] == 5000 and np.array_equal(prob.argmax(1), f["pred"][:]) and np.allclose(prob.sum(1), 1, atol=1e-4), f"{out}: prob")
    said = run("infer", "--model", "model", "--data", "at-4001", "--out", "refused", code=65)
    check("has 4001 classes, but the model has 5000" in said, said)


def predictions(folder):
    with h5py.File(f"{folder}/predictions-00000.h5") as f:
        return f["label"][:].astype("i8"), f["pred"][:].astype("i8"), f["prob"][:]


def evaluate():
    label, pred, _ = predictions("reference")
    pred = np.where(label % 3 == 0, label, (label + 7) % 5000)  # two rows of nearly every cell, so that the rest has more rows than cells
    pred[-1] = 3
    with h5py.File("reference/predictions-00000.h5", "r+") as f:
        f["pred"][:] = pred
    subprocess.run(["bash", "-c", f'. "{pathlib.Path(__file__).parent}/lib.sh" >/dev/null; cd "{os.getcwd()}"; sign reference'], check=True)
    run("evaluate", "--predictions", "reference", "--out", "evaluation")
    needs_less(200, "evaluation")
    check(pathlib.Path("evaluation/evaluation.json").stat().st_size < 400000, "evaluation.json is large")
    e = load("evaluation/evaluation.json")
    check(e["correct"] == int((label == pred).sum()) and e["class_count"] == 5000 and e["confusion"] is None, "evaluation.json")
    cells, sizes = np.unique((label * 5000 + pred)[label != pred], return_counts=True)
    order = np.lexsort((cells, -sizes))
    want = [{"label": NAMES[cells[i] // 5000], "pred": NAMES[cells[i] % 5000], "rows": int(sizes[i])} for i in order[:1000]]
    check(e["confusions"]["cells"] == want, "other cells of the confusion matrix")
    check(e["confusions"]["rest"] == {"cells": max(0, len(cells) - 1000), "rows": int(sizes[order[1000:]].sum())}, e["confusions"]["rest"])
    rows, hits = np.bincount(label, minlength=5000), np.bincount(label[label == pred], minlength=5000)
    used = sorted(np.flatnonzero(rows), key=lambda k: (-hits[k] / rows[k], -rows[k], k))
    entry = lambda k: {"class": NAMES[k], "rows": int(rows[k]), "correct": int(hits[k])}
    by = e["by_class"]
    check(by["best"] == [entry(k) for k in used[:100]] and by["worst"] == [entry(k) for k in used[:-101:-1]], "other best and worst classes")
    rest = used[100:-100]
    check(by["rest"] == {"classes": len(rest), "rows": int(rows[rest].sum()), "correct": int(hits[rest].sum())}, by["rest"])
    check(by["without_rows"] == 5000 - len(used), by["without_rows"])


def ks(a, b):
    at = np.sort(np.concatenate([a, b]))
    return np.abs(np.searchsorted(np.sort(a), at, "right") / len(a) - np.searchsorted(np.sort(b), at, "right") / len(b)).max()


def drift():
    _, before, p = predictions("reference")
    _, now, q = predictions("current")
    run("drift", "--reference", "reference", "--current", "current", "--out", "drift", "--drift.detectors=[ks, chi2]", "--drift.self_test=2",
                 "--drift.permutations=99", "--device=cpu")
    needs_less(400, "drift")
    check(pathlib.Path("drift/drift.html").stat().st_size < 1 << 20 and pathlib.Path("drift/drift.json").stat().st_size < 2 << 20, "drift's page is large")
    d = load("drift/drift.json")
    count = np.bincount(before, minlength=5000) + np.bincount(now, minlength=5000)
    picked = np.sort(np.lexsort((np.arange(5000), -count))[:1023])
    tests = {t["column"]: t for t in d["tests"] if t["column"].startswith("P: ") and t["slice"] == "all"}
    check(list(tests) == ["P: " + NAMES[k] for k in picked] + ["P: the other 3977 classes"], "other columns are tested")
    for k in (picked[0], picked[511], picked[1022]):
        check(abs(tests["P: " + NAMES[k]]["statistic"] - ks(p[:, k], q[:, k])) < 1e-6, f"KS of class {k}")
    others = np.setdiff1d(np.arange(5000), picked)
    rest = [x[:, others].astype("f8").sum(1).astype("f4") for x in (p, q)]
    check(abs(tests["P: the other 3977 classes"]["statistic"] - ks(*rest)) < 2e-3, "KS of the sum of the others")
    a, b = np.bincount(before, minlength=5000), np.bincount(now, minlength=5000)
    both = (a + b) > 0
    expected = (a + b)[both] / (len(before) + len(now))
    chi2 = sum(((x[both] - n * expected) ** 2 / (n * expected)).sum() for x, n in ((a, len(before)), (b, len(now))))
    found = [t for t in d["tests"] if t["detector"] == "chi2"][0]["statistic"]
    check(abs(found - chi2) < 1e-6 * chi2, f"chi-square is {found}, expected {chi2}")
    said = [f["detail"] for f in d["quality"] if f["flag"] == "many classes"]
    check(len(said) == 2 and said[0].startswith("5000 classes: the probabilities of the 1023 that are predicted most") and "up to 200 classes, and these are 5000" in said[1], said)
    check(d["label_shift"]["weights"] == [], "label shift of 5,000 classes")


def report():
    night = pathlib.Path("night/prepare/test-evaluation")
    night.mkdir(parents=True)
    (night / "evaluation.json").write_text(pathlib.Path("evaluation/evaluation.json").read_text())
    pathlib.Path("night/summary.json").write_text(json.dumps({"schema": "nightshift.summary/1", "nights": [], "production_accuracy": 0.5}))
    run("report", "--night", "night")
    page = pathlib.Path("night/night.html").read_text()
    check("which of its many classes are taken for which is in evaluation.json" in page and len(page) < 100000, f"a page of {len(page)} bytes")
    for classes, drawn in ((100, True), (101, False)):
        matrix = (np.eye(classes, dtype=int) * 3).tolist()
        (night / "evaluation.json").write_text(json.dumps({"accuracy": 1, "confusion": matrix, "classes": NAMES[:classes]}))
        run("report", "--night", "night")
        page = pathlib.Path("night/night.html").read_text()
        check(("which of its many classes" in page) != drawn and (page.count("<rect") >= classes**2) == drawn, f"the matrix of {classes} classes")


for step in (ingest, an_attribute_below_the_border, a_hundred_thousand, train, evaluate, drift, report):
    step()
print(f"{tiny.checks} checks passed")
