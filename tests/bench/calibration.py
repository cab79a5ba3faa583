#!/usr/bin/env python3
"""How often each detector of `nightshift drift` alarms: without drift, at every window size, and with it, the larger it is.

	tests/bench/calibration.py NIGHTSHIFT OUT [--windows W] [--sizes 50,200,1000,10000]

Wants h5py and numpy. Windows hold seven image statistics, probabilities of four classes, what they predict, and embeddings of 16
dimensions, all of them dependent, as a network's are. Leaves calibration.json, calibration.md and power.svg. Exit code 1 where a detector alarms
more often than alpha + 2 standard errors.
"""
import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

ALPHA, D = 0.05, 16
SHIFTS = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
KINDS = {"ks": 1, "cvm": 1, "chi2": 0, "g": 0, "mmd": 0, "energy": 0, "c2st": 0}  # 1: of many columns, the least p times their number


def write(path, r, n, shift):
    hidden = r.normal(size=(n, D)) * np.linspace(1.5, 0.3, D) + shift
    logits = hidden[:, :4] * 1.5
    prob = np.exp(logits - logits.max(1, keepdims=True))
    prob /= prob.sum(1, keepdims=True)
    with h5py.File(path, "w") as f:
        f["embedding"] = hidden.astype("f4")
        f["prob"] = prob.astype("f4")
        f["pred"] = prob.argmax(1).astype("i4")
        f["stats"] = (hidden[:, :7] + r.normal(size=(n, 7))).astype("f4")
        f["stats"].attrs.create("stats_names", [f"s{i}" for i in range(7)], dtype=h5py.string_dtype())


def judge(args):
    """which detectors alarm on one pair of windows, and whether the corrected verdict does"""
    ns, seed, n, shift = args
    r = np.random.default_rng([seed, n, int(1000 * shift)])
    with tempfile.TemporaryDirectory() as t:
        write(f"{t}/ref.h5", r, n, 0)
        write(f"{t}/cur.h5", r, n, shift)
        run = subprocess.run([ns, "drift", "--reference", f"{t}/ref.h5", "--current", f"{t}/cur.h5", "--out", f"{t}/out", "--drift.permutations=199",
                              "--drift.self_test=0", f"--seed={seed}", "--threads=1", f"--drift.detectors=[{','.join(KINDS)}]"],
                             capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stderr)
        found = json.load(open(f"{t}/out/drift.json"))
    alarms = {}
    for kind, many in KINDS.items():
        p = [t["p"] for t in found["tests"] if t["detector"] == kind and t["slice"] == "all" and t["p"] is not None]
        alarms[kind] = min(p) * (len(p) if many else 1) <= ALPHA
    alarms["verdict"] = found["status"] != "none"
    return alarms


def rates(pool, ns, n, shift, windows):
    found = list(pool.map(judge, [(ns, seed, n, shift) for seed in range(windows)]))
    return {k: sum(f[k] for f in found) / windows for k in found[0]}


def svg(curves, n):
    colours = ["#0072b2", "#56b4e9", "#e69f00", "#f0e442", "#d55e00", "#cc79a7", "#009e73", "#000000"]
    x = lambda s: 50 + 420 * s / SHIFTS[-1]
    y = lambda v: 270 - 240 * v
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="640" height="320" font-family="sans-serif" font-size="12" role="img">',
           f'<title>Share of windows of {n} rows in which each detector alarms, by the shift of every column</title><rect width="640" height="320" fill="#fff"/>']
    for v in (0, 0.25, 0.5, 0.75, 1):
        out.append(f'<line x1="50" x2="470" y1="{y(v)}" y2="{y(v)}" stroke="#ccc"/><text x="44" y="{y(v) + 4}" text-anchor="end">{v:g}</text>')
    for s in SHIFTS:
        out.append(f'<text x="{x(s)}" y="288" text-anchor="middle">{s:g}</text>')
    out.append(f'<text x="260" y="310" text-anchor="middle">shift of every column (its deviation is 0.3 to 1.5); {n} + {n} rows</text>')
    for i, kind in enumerate(curves[0]):
        points = " ".join(f"{x(s):.1f},{y(c[kind]):.1f}" for s, c in zip(SHIFTS, curves))
        dash = ' stroke-dasharray="6 3"' if i % 2 else ""
        out.append(f'<polyline fill="none" stroke="{colours[i]}" stroke-width="2"{dash} points="{points}"/>'
                   f'<line x1="490" x2="515" y1="{40 + 20 * i}" y2="{40 + 20 * i}" stroke="{colours[i]}" stroke-width="2"{dash}/>'
                   f'<text x="522" y="{44 + 20 * i}">{kind}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


parser = argparse.ArgumentParser()
parser.add_argument("nightshift")
parser.add_argument("out", type=pathlib.Path)
parser.add_argument("--windows", type=int, default=200)
parser.add_argument("--sizes", default="50,200,1000,10000")
args = parser.parse_args()
sizes = [int(n) for n in args.sizes.split(",")]
args.out.mkdir(parents=True, exist_ok=True)
with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    calm, bad = {}, 0
    for n in sizes:
        windows = args.windows if n <= 1000 else max(20, args.windows // 4)
        calm[n] = rates(pool, args.nightshift, n, 0, windows)
        most = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / windows)
        print(n, windows, calm[n], f"at most {most:.3f}", file=sys.stderr, flush=True)
        bad += sum(v > most for v in calm[n].values())
        calm[n]["windows"], calm[n]["bound"] = windows, most
    curves = {n: [rates(pool, args.nightshift, n, s, max(20, args.windows // 4)) for s in SHIFTS] for n in sizes if n <= 200}
kinds = list(KINDS) + ["verdict"]
text = "| rows | windows | " + " | ".join(kinds) + " | alpha + 2 s.e. |\n" + "|---" * (len(kinds) + 3) + "|\n"
for n in sizes:
    text += f"| {n:,} | {calm[n]['windows']} | " + " | ".join(f"{calm[n][k]:.3f}" for k in kinds) + f" | {calm[n]['bound']:.3f} |\n"
(args.out / "calibration.md").write_text(text)
(args.out / "calibration.json").write_text(json.dumps({"calm": calm, "shifts": SHIFTS, "power": curves}, indent=1) + "\n")
if curves:
    (args.out / "power.svg").write_text(svg(curves[max(curves)], max(curves)))
print(text, end="")
sys.exit(1 if bad else 0)
