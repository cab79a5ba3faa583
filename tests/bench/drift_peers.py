#!/usr/bin/env python3
"""Drift tests beside their peers and bounds; started by drift_peers.sh.

A turn of ours is a whole process `nightshift drift`: start, reading and hashing two HDF5 files (which lie in the page cache), tests,
pages. Its results do not tell one test's seconds apart, but its events tell the tests from the reading: the last one before them
warns of missing columns, the first one after them is the verdict. Peers find their input in memory, and are imported and warm.
"""
import argparse
import datetime
import json
import multiprocessing
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import h5py
import numpy as np

warnings.filterwarnings("ignore")
NS = os.environ["NS_BUILD"] + "/nightshift"
CORES = sorted(os.sched_getaffinity(0))
D, P = 32, 999
versions = {"numpy": np.__version__}
rows, loads, agreement = [], [], {}


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(*args, core=None):
    pin = [] if core is None else ["taskset", "-c", str(core)]
    return subprocess.Popen([*pin, NS, *args, "--device=cpu", "--json", "--force"], cwd=work, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def end(p):
    text = p.communicate()[0]
    if p.returncode:
        say(text)
        sys.exit(2)
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def ours(detector):
    """seconds of the process and of its tests, of CPU time, and what it found"""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    events = end(run("drift", "--reference=a.h5", "--current=b.h5", f"--drift.permutations={P}", f"--drift.detectors=[{detector}]",
                     "--drift.slices=false", "--drift.self_test=0", "--out=drift"))
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    verdict = [i for i, e in enumerate(events) if e["event"] == "verdict"][0]
    tests = events[verdict]["t"] - events[verdict - 1]["t"]
    found = json.loads((work / "drift/drift.json").read_text())["tests"]
    return wall, tests, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, found


def clock(f):
    start = time.perf_counter()
    found = f()
    return time.perf_counter() - start, found


def turns(what, detector, peers, rounds, wanted, per=1, unit="s"):
    """peers: [(name, seconds-and-findings of one turn or why there is none, most rounds)]; wanted: of the first of them"""
    mine, theirs = [], [[] for _ in peers]
    for r in range(rounds):
        say(f"{what}: round {r + 1} of {rounds}")
        loads.append(os.getloadavg()[0])
        mine.append(ours(detector))
        for (_, turn, most), took in zip(peers, theirs):
            if callable(turn) and r < most:
                took.append(turn())
    for (name, turn, _), took in zip(peers, theirs):
        row = {"what": what, "unit": unit, "peer_name": name, "wanted": wanted, "verdict": ""}
        row.update({key: [m[i] * per for m in mine] for i, key in enumerate(("ours", "ours_tests", "ours_cpu"))})
        if took:
            row["peer"] = [t[0] * per for t in took]
            row["ratio"], row["ratio_tests"] = (statistics.median(row["peer"]) / statistics.median(row[k]) for k in ("ours", "ours_tests"))
            row["verdict"] = "" if wanted is None else "met" if row["ratio"] >= wanted else "MISSED"
        else:
            row["verdict"] = "not measured: " + turn
        rows.append(row)
        wanted = None
    return mine[-1][3], [t[-1][1] if t else None for t in theirs]


def peer(package, module, make):
    """a turn of a peer, or why there is none"""
    try:
        versions[package] = __import__(module).__version__
        return make()
    except Exception as e:
        return f"{type(e).__name__}: {e}".split("\n")[0][:160]


def put(name, column, x, names=None):
    with h5py.File(work / name, "w") as f:
        f[column] = x
        if names:
            f[column].attrs.create("stats_names", names, dtype=h5py.string_dtype())
    return x


def embeddings(n):
    draw = np.random.default_rng(n).standard_normal
    return put("a.h5", "embedding", draw((n, D), "f4")), put("b.h5", "embedding", draw((n, D), "f4") + np.float32(0.1))


def mmd_beside_alibi(rounds):
    a, b = embeddings(2000)

    def make():
        import torch
        from alibi_detect.cd import MMDDrift

        torch.set_num_threads(len(CORES))
        versions["torch"] = torch.__version__

        def turn(permutations=P):  # the detector too: the reference's bandwidth and kernel matrix are part of our turn
            return clock(lambda: MMDDrift(a, backend="pytorch", n_permutations=permutations, device="cpu").predict(b)["data"]["p_val"])

        turn(2)
        return turn

    alibi = "alibi-detect MMDDrift", peer("alibi-detect", "alibi_detect", make), 2
    found, (p,) = turns(f"MMD, P = {P}, D = {D}, 2,000 + 2,000 rows", "mmd", [alibi], rounds, 300)
    same([t["p"] for t in found if t["detector"] == "mmd"], [] if p is None else [max(p, 1 / (P + 1))], 1 / P, "p of MMD")  # it may say 0


def mmd_beside_floor(rounds):
    embeddings(10000)
    flop = (2 * 10000) ** 2 * (D + P)

    def peak():  # every core at the same time: a lone one may be clocked higher
        started = [run("bench", "--bench.only=augment 32 px: crop, flip", "--bench.seconds=0.5", "--threads=1", f"--out=bench{c}", core=c)
                   for c in CORES]
        for p in started:
            end(p)
        return flop / sum(json.loads((work / f"bench{c}/bench.json").read_text())["fma_flops_per_second"] for c in CORES), None

    turns(f"MMD, P = {P}, D = {D}, 10,000 + 10,000 rows", "mmd", [("floor: N²(D + P) flop at the f32 FMA peak", peak, rounds)], rounds, 0.5)


def scipy_column(c):
    from scipy.stats import ks_2samp

    return ks_2samp(columns[0][c], columns[1][c], method="asymp")[:2]


def sort_column(c):
    for x in columns:
        np.sort(x[c])


def ks(rounds, count, n):
    global columns
    draw = np.random.default_rng(n).standard_normal
    names = [f"column {c}" for c in range(count)]
    shift = np.linspace(0, 0.01, count, dtype="f4")
    columns = [np.ascontiguousarray(put(name, "stats", draw((n, count), "f4") + s, names).T) for name, s in (("a.h5", 0), ("b.h5", shift))]
    with multiprocessing.get_context("fork").Pool(len(CORES)) as pool:  # processes that share the columns: no lock of Python's between them
        def turn(f):
            return lambda: clock(lambda: pool.map(f, range(count), 1))

        def make(f):
            pool.map(f, CORES, 1)
            return turn(f)

        peers = [("scipy ks_2samp, asymp", peer("scipy", "scipy", lambda: make(scipy_column)), rounds),
                 ("bound: numpy's sort of the columns", make(sort_column), rounds)]
        found, (theirs, _) = turns(f"KS, {count} columns of {n:,} + {n:,} rows", "ks", peers, rounds, None, 1e3 / count, "ms a column")
    same([t["statistic"] for t in found], [d for d, _ in theirs or []], 1e-8, "D of KS")
    same([t["p"] for t in found], [p for _, p in theirs or []], 1e-6, "p of KS")


def same(mine, theirs, bound, what):
    far = max((abs(x - y) for x, y in zip(mine, theirs)), default=None)
    if far is not None:
        agreement[what] = far
    if theirs and (len(mine) != len(theirs) or not far <= bound):
        say(f"drift_peers: {what}: ours {mine}, theirs {theirs}")
        sys.exit(2)


def number(x):
    return f"{x:.3f}" if x < 10 else f"{x:.1f}" if x < 1000 else f"{x:,.0f}"


def cells(row):
    def spread(key):
        x = row.get(key)
        return f"{number(statistics.median(x))} ({number(min(x))} to {number(max(x))}, {len(x)})" if x else ""

    return [row["what"], row["unit"], spread("ours"), spread("ours_tests"), spread("ours_cpu"), row["peer_name"], spread("peer"),
            f"{row['ratio']:.2f} ({row['ratio_tests']:.2f})" if "ratio" in row else "", f">= {row['wanted']}" if row["wanted"] else "",
            row["verdict"]]


def table(out, rounds):
    cpu = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    facts = {"schema": "nightshift.drift_peers/1", "date": datetime.date.today().isoformat(), "cpu": cpu[0] if cpu else "unknown",
             "cores": len(CORES), "rounds": rounds, "load": loads, "versions": versions, "agreement": agreement, "rows": rows}
    ours = subprocess.run([NS, "--version"], text=True, stdout=subprocess.PIPE).stdout.strip()
    text = f"""{facts['cpu']}, {len(CORES)} cores, {facts['date']}; medians (least to most, turns), in turns; load average {min(loads):.1f} to {max(loads):.1f}.
{ours}; {", ".join(f"{k} {v}" for k, v in versions.items())}.

Ours: the whole process, for its results do not tell one test's time apart; tests: all of it but start, reading and hashing (MMD's
hold the witness too); CPU time: of the process. Peers: input in memory, all cores. Floor: N = m + n rows in all, every
pair once, D + P multiply-adds of 2 flop each: N²(D + P) flop, at the peak of all cores at the same time. KS is counted a column.
Ratio: the peer's or bound's time over ours; in brackets over that of our tests.
Furthest from the peer's: {", ".join(f"{k} {v:.2g}" for k, v in agreement.items()) or "not compared"}.

"""
    head = ["what", "unit", "ours", "tests", "CPU time", "peer or bound", "its", "ratio", "wanted", "verdict"]
    grid = [head] + [cells(r) for r in rows]
    for i, r in enumerate(grid):
        text += "| " + " | ".join(r) + " |\n" + ("|" + "---|" * len(r) + "\n" if i == 0 else "")
    out.mkdir(parents=True, exist_ok=True)
    (out / "drift_peers.json").write_text(json.dumps(facts, indent=1) + "\n")
    (out / "drift_peers.md").write_text(text)
    print(text, end="")


parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--only", default="", help="text in: mmd-alibi mmd-floor ks")
parser.add_argument("--columns", type=int, default=64, help="of KS")
parser.add_argument("--rows", type=int, default=1000000, help="of each window of KS")
parser.add_argument("--out", type=pathlib.Path, required=True)
args = parser.parse_args()
with tempfile.TemporaryDirectory(prefix="nightshift-drift-peers.") as work:
    work = pathlib.Path(work)
    for name, piece in (("ks", lambda n: ks(n, args.columns, args.rows)), ("mmd-floor", mmd_beside_floor), ("mmd-alibi", mmd_beside_alibi)):
        if args.only in name:
            piece(args.rounds)
if not rows:
    parser.exit(64, f"drift_peers: no piece has '{args.only}' in its name\n")
table(args.out, args.rounds)
sys.exit(77 if not any("ratio" in r for r in rows) else any(r["verdict"] == "MISSED" for r in rows))
