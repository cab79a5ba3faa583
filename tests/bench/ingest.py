#!/usr/bin/env python3
"""The turns and the table of ingest.sh, which says what they are: ingest.py WORK OUT PYTHON --rounds N --core N --only TEXT --photos TEXT"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

p = argparse.ArgumentParser()
p.add_argument("work", type=pathlib.Path)
p.add_argument("out", type=pathlib.Path)
p.add_argument("python")
p.add_argument("--rounds", type=int)
p.add_argument("--core")
p.add_argument("--only")
p.add_argument("--photos")
a = p.parse_args()
here = pathlib.Path(__file__).resolve().parent
photos, ns, log = a.work / "photos", a.work / "nightshift", open(a.out / "ingest.log", "a")
COUNT = sum(len(files) for _, _, files in os.walk(photos))
both = sorted(os.sched_getaffinity(0))[:2]
SIZE = ("--size", "224x224")

# figure, ours, peer, the judge, wanted ratio (None: for information). One core is judged by seconds of the processor, since others may
# want it too; two by the clock where the machine had two to give (the row of plain loops says so), else by those of the busier thread
ROWS = [
    ("ingest, kept as they are", "keep", "decode", "cpu", 0.70),
    ("ingest --size 224x224", "size", "decode", "cpu", 0.55),
    ("ingest --size 224x224", "size", "resize", "cpu", 2.5),
    ("ingest, of equal size and so stored raw", "raw", "decode", "cpu", None),
    ("ingest, kept as they are: 2 workers and 1", "keep2", "keep", "wall", 1.9),
    ("ingest --size 224x224: 2 workers and 1", "size2", "size", "wall", 1.9),
    ("two plain loops at once and one: this machine's limit", "decode2", "decode", "wall", None),
    ("loader of training, crops of 224", "loader", "tv", "cpu", 3.0),
    ("loader of training, crops of 224", "loader", "tensors", "cpu", None),
    ("loader of training, crops of 224", "loader", "dali", "cpu", 1.0),
]
NAMES = {"decode": "a loop over libjpeg-turbo", "resize": "torchvision, Pillow, Resize", "tv": "torchvision, ImageFolder, Pillow",
         "tensors": "torchvision, ImageFolder, decode_image", "dali": "DALI on the CPU", "keep": "1 worker", "size": "1 worker"}
OURS = ("keep", "size", "raw", "keep2", "size2", "loader")
rows = [r for r in ROWS if a.only in f"{r[0]} and {NAMES[r[2]]}"]
if not rows:
    sys.exit(f"ingest: --only '{a.only}': no figure or peer has this in its name")
rows += [r for r in ROWS if r[1] == "decode2" and r not in rows and any(s[3] == "wall" for s in rows)]
sides = list(dict.fromkeys(s for r in rows for s in r[1:3]))
measured = {s: [] for s in sides}  # a dictionary a round: images, wall, cpu
why, said = {}, {}


def tell(text):
    print(text, file=sys.stderr, flush=True)


def second_thread(child):
    """seconds of the processor that the second of its threads has had when it ends"""
    seen = {}
    while not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        try:
            for thread in os.listdir(f"/proc/{child.pid}/task"):
                seen[int(thread)] = int(pathlib.Path(f"/proc/{child.pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e9
        except OSError:
            pass  # a thread that has just ended
        time.sleep(0.005)
    return seen[sorted(seen)[1]] if len(seen) > 1 else 0


def run(cores, *command, threads=1):
    """output, seconds, seconds of the processor; with threads 2, of the longer of both threads where none waits for another process"""
    start, second = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+", dir=a.work) as output:
        child = subprocess.Popen(["taskset", "-c", ",".join(map(str, cores)), *map(str, command)], stdout=output, stderr=log)
        if threads > 1:
            second = second_thread(child)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        output.seek(0)
        text = output.read()
    child.returncode = os.waitstatus_to_exitcode(status)
    log.write(text)
    log.flush()
    if child.returncode:
        raise RuntimeError(f"{pathlib.Path(str(command[0])).name} ended with {child.returncode}, see {a.out}/ingest.log")
    return text, wall, used.ru_utime + used.ru_stime - second


def ingest(source, workers, *more):
    made = a.work / "made"
    shutil.rmtree(made, ignore_errors=True)
    _, wall, cpu = run(both if workers > 1 else [a.core], ns, "ingest", source, "--out", made, "--threads", workers, *more, threads=workers)
    rows = json.loads((made / "dataset.json").read_text())["rows"]
    return {"images": rows, "wall": wall, "cpu": cpu}


def equal():
    """landscapes alone, so that ingest stores them raw"""
    folder = a.work / "equal"
    if not folder.exists():
        for f in sorted(photos.rglob("*.jpg")):
            if int(f.stem) % 4 != 3:
                (folder / f.parent.name).mkdir(parents=True, exist_ok=True)
                (folder / f.parent.name / f.name).symlink_to(f)
    return folder


def decode(cores):
    start = time.perf_counter()
    all = [subprocess.Popen(["taskset", "-c", str(c), a.work / "ingest_peer", "decode", photos], stdout=subprocess.PIPE, text=True) for c in cores]
    got = [json.loads(c.communicate()[0]) for c in all]
    said["decode"] = said["decode2"] = got[0]["library"]
    wall = time.perf_counter() - start
    return {"images": sum(g["images"] for g in got), "bytes": got[0]["bytes"], "wall": wall, "cpu": max(g["cpu"] for g in got)}


def loader():
    if not (a.work / "ingest_loader").exists():
        why["loader"] = "ingest_loader.c does not build here, see ingest.log"
        return None
    if not (a.work / "encoded").exists():
        run([a.core], ns, "ingest", photos, "--out", a.work / "encoded", "--encoding", "encoded")
    return json.loads(run([a.core], a.work / "ingest_loader", a.work / "encoded", 224, 2)[0])


class Peer:
    def __init__(self, piece):
        self.child = None
        if not os.access(a.python, os.X_OK):
            why[piece] = f"{a.python} is not there"
            return
        self.child = subprocess.Popen(["taskset", "-c", a.core, a.python, here / "ingest_peer.py", {"tv": "loader"}.get(piece, piece), photos],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        first = self.answer()
        if "ready" in first:
            said[piece] = first["ready"]
        else:
            why[piece], self.child = first.get("why", "no answer, see ingest.log"), None

    def answer(self):
        for line in self.child.stdout:
            if line.startswith("{"):
                return json.loads(line)
        return {}

    def turn(self):
        if not self.child:
            return None
        self.child.stdin.write("go\n")
        self.child.stdin.flush()
        return self.answer() or None

    def end(self):
        if self.child:
            self.child.stdin.close()
            self.child.wait()


peers = {}
for s in sides:
    if s in ("resize", "tv", "tensors", "dali"):
        tell(f"starting {NAMES[s]}")
        peers[s] = Peer(s)
        if s in why:
            tell(f"ingest: SKIPPED: {NAMES[s]}: {why[s]}")
TURN = {"decode": lambda: decode([a.core]), "decode2": lambda: decode(both), "raw": lambda: ingest(equal(), 1), "loader": loader,
        "keep": lambda: ingest(photos, 1), "size": lambda: ingest(photos, 1, *SIZE), "keep2": lambda: ingest(photos, 2),
        "size2": lambda: ingest(photos, 2, *SIZE)}
if len(both) < 2:
    for s in ("keep2", "size2", "decode2"):
        why[s] = "one core alone"
        tell(f"ingest: SKIPPED: {s}: {why[s]}")
for r in range(-1, a.rounds):  # the first round warms the page cache, and is not counted
    tell("warming up" if r < 0 else f"round {r + 1} of {a.rounds}")
    for s in sides:
        if s in why:
            continue
        try:
            got = peers[s].turn() if s in peers else TURN[s]()
        except (RuntimeError, ValueError, OSError) as e:
            if s in OURS:
                tell(f"ingest: {s}: {e}")
                sys.exit(2)
            got = None
        if not got and r >= 0:
            why.setdefault(s, "no answer, see ingest.log")
        elif got and r >= 0:
            measured[s].append(got)
for peer in peers.values():
    peer.end()


def rate(side, clock, best=False):
    rates = [m["images"] / m[clock] for m in measured[side]]
    return (max if best else statistics.median)(rates)


def two_cores():
    return bool(measured.get("decode2") and measured.get("decode")) and rate("decode2", "wall") >= 1.9 * rate("decode", "wall")


def number(x):
    return f"{x:.2f}" if x < 10 else f"{x:,.0f}"


def pair(side, clock):
    return f"{number(rate(side, clock))} ({number(rate(side, clock, True))})"


table, worst = [["figure", "ours by clock", "by processor", "peer", "by clock", "by processor", "ratio by clock", "by processor", "wanted",
                 "verdict"]], 0
for figure, ours, peer, judge, wanted in rows:
    cells = [figure, "", "", NAMES[peer], "", "", "", "", f">= {wanted:.2f}" if wanted else "", ""]
    for at, side in ((1, ours), (4, peer)):
        if measured[side]:
            cells[at:at + 2] = pair(side, "wall"), pair(side, "cpu")
    if measured[ours] and measured[peer]:
        ratio = {c: (rate(ours, c) / rate(peer, c), rate(ours, c, True) / rate(peer, c, True)) for c in ("wall", "cpu")}
        cells[6:8] = [f"{ratio[c][0]:.2f} ({ratio[c][1]:.2f})" for c in ("wall", "cpu")]
        if judge == "wall" and not two_cores():
            judge = "cpu"
        if wanted:
            cells[8:] = f">= {wanted:.2f} by {'clock' if judge == 'wall' else 'processor'}", "met" if ratio[judge][0] >= wanted else "MISSED"
        worst |= cells[9] == "MISSED"
    else:
        cells[9] = "SKIPPED: " + (why.get(peer) or why.get(ours) or "not measured")
    table.append(cells)


def cpu():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


size = next((m["bytes"] / m["images"] for m in measured.get("decode", [])), sum(f.stat().st_size for f in photos.rglob("*.jpg")) / COUNT) / 1e3
version = subprocess.run([ns, "--version"], capture_output=True, text=True).stdout.strip()
text = f"{cpu()}, {os.cpu_count()} cores, one of them used unless a row says 2 workers, {datetime.date.today()}; images/s, median (best) of"
text += f" {a.rounds} rounds, taken in turns; {COUNT} photos of 500x375 and 375x500, {size:.0f} KB each on average"
text += f"{', ' + a.photos if a.photos else ''}, page cache warm; load average at the end {os.getloadavg()[0]:.1f}.\n"
text += f"Ours is a whole process, from exec to exit, except the loader; peers are counted without their start. {version}; "
text += "; ".join(dict.fromkeys(said.values())) + ".\n\n"
wide = [max(len(r[i]) for r in table) for i in range(len(table[0]))]
for i, r in enumerate(table):
    text += "| " + " | ".join(c.ljust(w) for c, w in zip(r, wide)) + " |\n"
    if i == 0:
        text += "|" + "|".join("-" * (w + 2) for w in wide) + "|\n"
facts = {"schema": "nightshift.ingest-peers/1", "date": datetime.date.today().isoformat(), "cpu": cpu(), "cores": os.cpu_count(), "images": COUNT,
         "rounds": a.rounds, "ours": version, "peers": said, "skipped": why, "measured": measured}
(a.out / "ingest.json").write_text(json.dumps(facts, indent=1) + "\n")
(a.out / "ingest.md").write_text(text)
print(text, end="")
if not any(measured[r[1]] and measured[r[2]] for r in rows):
    sys.exit(77)
sys.exit(worst)
