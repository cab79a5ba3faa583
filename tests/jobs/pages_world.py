#!/usr/bin/env python3
"""What pages.sh draws pages from: windows, images of a small night, and JSON that was meddled with.

usage: pages_world.py windows | night | spoil NIGHT | earlier BENCH.json
"""
import json
import pathlib
import random
import sys

import tiny

ONE, TWO = "<b>&\"'", "<i x=\"1\">'&amp;"
NIGHT = """registry: {out}/registry
model: {{blocks: [1], width: 4}}
train: {{epochs: 3, batch: 16, virtual_ranks: 2, precision: f32}}
infer: {{precision: f32}}
retrain: {{replay: 60, epochs: [2, 3], confidence: 0.6}}
drift: {{permutations: 99, self_test: 6, emit: material}}
gate: {{old_floor: -0.9, old_estimate: -0.9}}
device: cpu
threads: 1
night:
  train: {source}
  test: {test}
  split: {{train: 80, reference: 60, quiet: 60, changed: 60}}
  audited: 40
  tasks: 1
  nights: [{{name: quiet}}, {{name: changed, recipe: dark.yaml}}]
"""


def photos(folder, seed, count):
    """of two classes that a small network tells apart, though not always"""
    draw = random.Random(seed)
    for name, base in ((ONE, 90), (TWO, 125)):
        (folder / name).mkdir(parents=True)
        for i in range(count // 2):
            level = base + draw.randrange(-30, 31)
            pixels = bytes(level - 20 + noise % 41 for noise in draw.randbytes(64))
            (folder / name / f"<u>{i:03}&.png").write_bytes(tiny.png(8, 8, pixels))


def night():
    photos(pathlib.Path("photos"), 1, 260)
    photos(pathlib.Path("tonight"), 2, 80)
    pathlib.Path(ONE).mkdir() # of no images
    pathlib.Path("dark.yaml").write_text("augment:\n  - brightness: 0.6\n")
    pathlib.Path("night.yaml").write_text(NIGHT.format(out="night", source="photos", test="tonight"))
    pathlib.Path("broken.yaml").write_text(NIGHT.format(out="broken", source="photos", test=json.dumps(ONE)))


def windows():
    import h5py # here alone: half a second, which the rest does without
    import numpy as np

    r = np.random.default_rng(1)
    classes = [ONE, TWO, "plain"]

    def write(name, rows, shift, odds, labelled):
        label = r.choice(3, rows, p=odds)
        logits = 2.2 * np.eye(3)[label] + r.normal(size=(rows, 3)) * (1 + shift)
        prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        prob = (prob / prob.sum(1, keepdims=True)).astype("f4")
        group = r.integers(0, 3, rows)
        with h5py.File(name, "w") as f:
            f.attrs["classes"] = np.array([c.encode() for c in classes])
            f["prob"], f["pred"] = prob, prob.argmax(1).astype("i4")
            f["label"] = np.where(np.arange(rows) < labelled, label, -1).astype("i4")
            f["group"] = group.astype("i4")
            f["time"] = (1000 * group + np.arange(rows) // 2).astype("i8") # sequences of a few rows
            f["id"] = np.arange(rows).astype("u8") + (1 << 20) * len(name)
            f["embedding"] = (r.normal(size=(rows, 6)) + shift * np.arange(6)).astype("f4")
            stats = r.normal(size=(rows, 4)) * [1, 2, 0.001, 1e6] + shift * np.array([0.5, 0, 0.001, 0])
            f["stats"] = stats.astype("f4")
            f["stats"].attrs["stats_names"] = np.array([c.encode() for c in ("brightness", "column " + ONE, TWO, "noise")])
    write("before.h5", 330, 0, [.4, .3, .3], 330)
    write("a.h5", 300, 0, [.4, .3, .3], 120)
    write("b.h5", 280, .8, [.1, .3, .6], 140)
    write("few.h5", 20, 0, [.4, .3, .3], 20)


def spoil(folder):
    """every text that a page takes from these files, but for those by which it finds others, becomes markup"""
    keep = {"schema", "nights", "step", "stage", "night", "after", "file"}

    def change(value, key=""):
        if isinstance(value, dict):
            return {k: change(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [change(v, key) for v in value]
        return ONE if isinstance(value, str) and key not in keep else value
    summary = json.loads((folder / "summary.json").read_text())
    summary["changed_status"] = ONE
    (folder / "summary.json").write_text(json.dumps(summary))
    for name in ("changed/drift.json", "changed/gate.json", "changed/final/evaluation.json", "prepare/test-evaluation/evaluation.json",
                 "prepare/model/model.json"):
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
    for path in (folder / "steps").glob("*.*.json"):
        record = json.loads(path.read_text())
        record |= {"why": ONE, "state": "failed", "where": {"host": ONE}}
        path.write_text(json.dumps(record))


def earlier(path):
    """a run in which the first row was slow, the second fast, and the third missing"""
    bench = json.loads(path.read_text())
    for row, factor in zip(bench["results"], (1e-3, 1e3)):
        for key in ("rate", "low", "high"):
            row[key] *= factor
    del bench["results"][2:3]
    print(json.dumps(bench))


if __name__ == "__main__":
    {"windows": windows, "night": night, "spoil": spoil, "earlier": earlier}[sys.argv[1]](*map(pathlib.Path, sys.argv[2:]))
