"""Thirty whole nights with real training on small images, as a site has them: what becomes of a change that lasts. For thirty.sh.

usage: thirty.py NIGHTSHIFT [NIGHTS], in an empty folder

200 images a night, 60 of them with labels; from night 12 on the camera is dim, blurred and turned. Nights before are quiet; then the model suffers, a
candidate is trained, judged by labels that came after the alarm, and promoted; then nights are quiet again. It is all said by summaries.
"""
import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "jobs"))
import tiny
from tiny import check

SIDE, ROWS, LABELS, CHANGE, START = 12, 200, 60, 12, 20000
CLASSES = ["bar", "dot", "ring"]


def shape(r, kind, dim):
    y, x = np.mgrid[0:SIDE, 0:SIDE] - r.uniform(3.5, SIDE - 4.5, 2)[:, None, None]
    if dim:  # the camera hangs askew
        y, x = 0.8 * y - 0.6 * x, 0.6 * y + 0.8 * x
    far = np.hypot(y, x)
    on = {"bar": np.abs(y) < 1.1, "dot": far < 2.1, "ring": np.abs(far - 3) < 0.9}[kind]
    light = r.normal(0.75, 0.06)
    image = 0.25 + (light - 0.25) * on * r.uniform(0.35, 1) + r.normal(0, 0.16, (SIDE, SIDE))
    if dim:
        image = (image + np.roll(image, 1, 0) + np.roll(image, 1, 1)) / 3
        image = 0.12 + 0.5 * image + r.normal(0, 0.02, (SIDE, SIDE))
    return bytes(np.clip(image * 255, 0, 255).astype("u1").reshape(-1))


def images(folder, seed, rows, labels, dim):
    """a list of images of which the first have labels"""
    r = np.random.default_rng(seed)
    pathlib.Path(folder).mkdir(parents=True)
    lines = []
    for i in range(rows):
        kind = CLASSES[r.integers(0, 3)]
        pathlib.Path(folder, f"{i:04}.png").write_bytes(tiny.png(SIDE, SIDE, shape(r, kind, dim)))
        lines.append(json.dumps({"file": f"{folder}/{i:04}.png", **({"label": kind} if i < labels else {})}))
    pathlib.Path(f"{folder}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"{folder}.jsonl"


CONFIG = """registry: registry
model: {{blocks: [1], width: 8}}
train: {{epochs: 14, batch: 16, virtual_ranks: 2, precision: f32, optimizer: sgd, lr: 0.05, momentum: 0.9}}
infer: {{precision: f32}}
retrain: {{lr: 0.02, replay: 300, epochs: [4, 8], confidence: 0.8, audited_repeat: 4}}
drift: {{permutations: 99, self_test: 0, slices: false}}
device: cpu
threads: 1
ingest: {{classes: [bar, dot, ring]}}
night:
  {prepared}
  site: test
  nights: [{{name: night, source: {source}}}]
"""


def run(binary, out, source, day, prepared):
    name = pathlib.Path(f"{out}.yaml")
    name.write_text(CONFIG.format(prepared=prepared, source=source), encoding="utf-8")
    done = subprocess.run([binary, "night", "--config", name, "--out", f"nights/{out}"], capture_output=True, text=True, check=False,
                          env={**os.environ, "SOURCE_DATE_EPOCH": str(day * 86400 + 3600), "OMP_NUM_THREADS": "1"})
    check(done.returncode == 0, f"night {out} exited {done.returncode}: {done.stderr[-1500:]}")
    read = lambda n: json.loads(pathlib.Path(f"nights/{out}", n).read_text(encoding="utf-8")) if pathlib.Path(f"nights/{out}", n).exists() else {}
    s, d, t = read("summary.json"), read("night/drift.json"), read("night/trial.json")
    print(f"{out}: {d['status']:11} {d['decided_by'] or '-':60.60} {t.get('state', '-'):8} {s['next']['do']:8} measured "
          f"{d['accuracy'].get('all', {}).get('accuracy', math.nan):.3f}", flush=True)
    return s, d, t


def accuracy(binary, model, name):
    """on images with labels that no night has seen"""
    for args in (["infer", "--data", name, "--infer.model", model, "--registry", "registry", "--threads=1", "--infer.precision=f32", "--out", f"p-{name}-{model[:6]}"],
                 ["evaluate", "--predictions", f"p-{name}-{model[:6]}", "--out", f"e-{name}-{model[:6]}", "--registry", "none"]):
        done = tiny.run(binary, args, ".")
        check(done.code == 0, f"{args}: {done.text[-600:]}")
    return json.loads(pathlib.Path(f"e-{name}-{model[:6]}/evaluation.json").read_text())["accuracy"]


def main(binary, nights):
    train, test = images("train", 1, 900, 900, False), images("test", 2, 300, 300, False)
    prepared = f"train: {train}\n  test: {test}\n  split: {{train: 600, reference: 300}}\n  audited: 0"
    said = []
    for k in range(nights):
        source = images(f"images{k:02}", 100 + k, ROWS, LABELS, k >= CHANGE)
        said.append(run(binary, f"{k:02}", source, START + k, prepared if k == 0 else "prepared: nights/00/prepare"))
    status = [d["status"] for _, d, _ in said]
    promoted = [k for k, (s, _, _) in enumerate(said) if s["promoted"]]
    check(all(x in ("none", "statistical") for x in status[:CHANGE]), f"quiet nights: {status[:CHANGE]}")
    check(status[CHANGE] in ("material", "harmful"), f"the change is {status[CHANGE]} on its first night")
    check(len(promoted) == 1 and CHANGE <= promoted[0] <= CHANGE + 7, f"promoted on nights {promoted}")
    after = status[promoted[0] + 1:]
    check(after and after[0] == "none" and sum(x in ("material", "harmful") for x in after) <= 1, f"nights after the adaptation: {after}")
    check(len({d["alarm_budget"]["windows"] for _, d, _ in said}) == nights, "each night is a window of its own")
    models = [said[0][0]["production"], said[-1][0]["production"]]
    for name, dim in (("new", True), ("old", False)):
        listed = images(f"fresh-{name}", 90 + dim, 600, 600, dim)
        done = tiny.run(binary, ["ingest", listed, "--out", name, "--ingest.classes=[bar, dot, ring]"], ".")
        check(done.code == 0, done.text)
    figures = {(m, name): accuracy(binary, model, name) for m, model in zip(("first", "last"), models) for name in ("new", "old")}
    print("accuracy on fresh images:", {f"{m} model, {n} camera": round(v, 3) for (m, n), v in figures.items()})
    check(figures["last", "new"] > figures["first", "new"] + 0.08, f"what the adaptation won: {figures}")
    check(figures["last", "old"] > figures["first", "old"] - 0.08, f"what it lost: {figures}")
    done = tiny.run(binary, ["report", "--site", "nights"], ".")
    check(done.code == 0 and pathlib.Path("nights/site.html").exists(), done.text)
    done = tiny.run(binary, ["registry", "gc", "--registry.gc_hours=0", "--registry", "registry"], ".")
    check(done.code == 0 and tiny.run(binary, ["registry", "verify", "--registry", "registry"], ".").code == 0, "the registry after thirty nights")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30)
    print(f"{tiny.checks} checks passed")
