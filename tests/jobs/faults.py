#!/usr/bin/env python3
"""A call fails, at every place where one can: what is published stays whole, and the exit code says what is.

usage: faults.py BUILD [--every | --places | --seconds N] [--seed N] [--only JOB,JOB...] [--kinds KIND,KIND...] [--verbose]

Each job of tiny.py runs once undisturbed under tests/tools/fault.c, which counts its calls. Then it runs again and again, each time with
one call failing (or all from one on), and each time:

- it ends within 30 seconds, by no signal, with 0 or a code of sysexits.h and, if not 0, a message;
- 0 means that the new result is there, whole and as without the fault; anything else that the old one is, whole, or none;
- a call that is interrupted or comes back short is no error at all;
- the same command again succeeds, to the same bytes, and leaves nothing behind;
- an object that a ref reaches is never gone, and a damaged registry is never called sound.

--every takes each call with each error (hours), --places one of those that look alike with each error (half an hour); else a sample
spread over both, until the time is over. A line a job and kind that failed, FAIL with the first place; of all of them with --verbose.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile
import time

import tiny

# what a call of each kind can fail with; a short read or write is for descriptors alone, libc goes on after one of a stream's
ERRORS = {
    "open": ["EIO", "ESTALE", "EMFILE", "ENOMEM", "EINTR"], "read": ["EIO", "ESTALE", "EINTR", "SHORT"],
    "write": ["ENOSPC", "EIO", "EDQUOT", "EINTR", "SHORT"], "fsync": ["EIO", "ENOSPC", "EDQUOT", "EINTR"], "truncate": ["EIO", "ENOSPC", "EINTR"],
    "rename": ["EIO", "ESTALE", "ENOSPC", "EDQUOT"], "link": ["EIO", "ENOSPC", "EDQUOT", "ESTALE"], "unlink": ["EIO", "ESTALE"],
    "mkdir": ["ENOSPC", "EIO", "EDQUOT", "ESTALE"], "rmdir": ["EIO"], "opendir": ["EIO", "EMFILE", "ESTALE", "ENOMEM"], "readdir": ["EIO", "ESTALE"],
    "flock": ["EIO", "ENOLCK", "EINTR"], "stat": ["EIO", "ESTALE", "ENOMEM"], "close": ["EIO", "ENOSPC", "EDQUOT"], "chmod": ["EIO", "ESTALE"],
    "utime": ["EIO", "ESTALE"],
}
# from the K-th call on: a full disk, a quota, no descriptors left, a server that is gone, a file system without links
LASTING = {"space": ["ENOSPC", "EDQUOT"], "open": ["EMFILE"], "read": ["EIO"], "stat": ["ESTALE"], "opendir": ["EIO"], "fsync": ["EIO"], "unlink": ["EIO"],
           "link": ["EXDEV"]}
HARMLESS = ("EINTR", "SHORT")
STREAMS = ("fread", "fgets", "fgetc", "getc", "fwrite", "fflush", "fclose")
MOVES = ("promote", "promote-again", "rollback", "step-model") # jobs that move a ref
# files that tell the time of a run
VOLATILE = {"run.json", "metrics.jsonl"}

Call = collections.namedtuple("Call", "kind number name caller path")
Fault = collections.namedtuple("Fault", "call error lasting")


class Undisturbed:
    """what a job comes to when nothing fails"""
    def __init__(self, bench, job):
        job.reset(bench.world)
        self.old = bench.content(job)
        self.begun = bench.everything()
        self.calls, run = bench.count(job)
        self.code, self.said = run.code, run.text if job.name.startswith("verify") else None
        if bool(run.code) != (job.name == "verify-damaged"):
            raise SystemExit(f"{job.name}: exit {run.code} undisturbed: {run.text}")
        self.new = bench.content(job)
        self.head = tiny.head(bench.world / "r", ref_of(job))
        self.also = {place: bench.tree(place) for place in job.also}
        self.objects = tiny.objects(bench.world / "r") if "r" in job.given else set()
        self.reachable = tiny.reachable(bench.world / "r") if "r" in job.given else set()


class Bench:
    """a world, and the tools to disturb a job in it"""
    def __init__(self, build, work):
        self.binary, self.tool, self.work, self.world = build / "nightshift", build / "fault.so", work, work / "world"
        tiny.make(self.binary, self.world)

    def tree(self, place):
        return {name: hash for name, hash in tiny.tree(self.world / place).items() if pathlib.PurePath(name).name not in VOLATILE
                and not name.endswith(".tmp") and not re.match(r"log/.*/\d+\.json", name)}

    def everything(self):
        """what jobs write to, to the last temporary file and empty folder"""
        found = {}
        for top in self.world.iterdir():
            if top.name.split(".")[0] in tiny.WRITTEN:
                for p in [top, *top.rglob("*")]:
                    found[p.relative_to(self.world)] = tiny.digest(p) if p.is_file() else "folder"
        return found

    def content(self, job):
        return self.tree(job.out) if job.out else {}

    def run(self, job, args=(), **env):
        env = {k: str(v) for k, v in {**env, **({"NST_FAULT_WITHOUT": job.without} if job.without else {})}.items()}
        return tiny.run(self.binary, [*job.args, *args], self.world, self.tool if env else None, NST_FAULT_UNDER=str(self.world), **env)

    def count(self, job):
        file = self.work / "calls"
        file.unlink(missing_ok=True)
        job.reset(self.world)
        run = self.run(job, NST_FAULT_COUNT=file)
        lines = file.read_text().splitlines() if file.exists() else []
        return [Call(k, int(n), name, caller, path) for k, n, name, caller, path in (line.split("\t") for line in lines)], run

    def strike(self, job, fault):
        """the run, and the first call that was struck"""
        file = self.work / "struck"
        file.unlink(missing_ok=True)
        job.reset(self.world)
        run = self.run(job, NST_FAULT=f"{fault.call.kind} {fault.call.number} {fault.error}", NST_FAULT_STRUCK=file,
                       **({"NST_FAULT_LASTING": 1} if fault.lasting else {}))
        return run, file.read_text().splitlines()[0].split("\t") if file.exists() else None


# --- what must hold ---

def result_now(bench, job, want):
    """new, old, absent, or what is wrong with it"""
    out = bench.world / job.out
    if not out.exists():
        return "absent"
    if not (out / "run.json").exists():
        return "a folder without a record"
    lie = tiny.lies(out)
    if lie:
        return f"half: {lie}"
    now = bench.content(job)
    if now == want.new:
        return "new"
    if want.old and want.old == now:
        return "old"
    differ = sorted(k for k in set(now) | set(want.new) if now.get(k) != want.new.get(k))
    return f"of other content ({', '.join(differ[:3])})"


def may_stop(fault):
    """Interrupted and short calls are no errors. What a library opens and locks cannot be asked again from outside it."""
    if fault.error not in HARMLESS:
        return fault.error != "EINVAL" # of renameat2: there is another way
    return fault.call.kind in ("open", "flock") and fault.call.caller != "nightshift"


def of_any_run(run, fault, want):
    if run.hung:
        return "hangs"
    if run.code < 0:
        return f"killed by signal {-run.code}"
    if run.code and not 64 <= run.code <= 78:
        return f"exit {run.code}"
    if run.code and not run.said():
        return f"exit {run.code} without a message"
    if run.said().endswith(": Success"):
        return f"exit {run.code} with a message that says Success"
    if run.code and run.code != want.code and not may_stop(fault):
        return f"exit {run.code}: {fault.error} is no error"
    return None


def of_result(bench, job, want, run):
    now = result_now(bench, job, want)
    before = "old" if (bench.world / job.given.get(job.out, "")).is_dir() and job.out in job.given else "absent"
    if run.code == 0 and now != "new":
        return f"exit 0, but the result is {now}"
    if run.code == 0 and any(bench.tree(place) != tree for place, tree in want.also.items()):
        return f"exit 0, but {' and '.join(job.also)} is not as undisturbed"
    if run.code and now == "new" and not job.step: # of a step the record counts, which comes after
        return f"exit {run.code}, but the new result is published"
    if run.code and now not in (before, "new"):
        return f"exit {run.code}, and instead of the {before} result it is {now}"
    if job.step:
        record = bench.world / job.step
        try:
            state = json.loads(record.read_text())["state"] if record.exists() else "none"
        except ValueError:
            state = "unreadable"
        if state == "unreadable" or (state == "done") != (run.code == 0):
            return f"exit {run.code}, and its record says {state}"
    return None


def ref_of(job):
    return "canary" if job.name == "promote" else "labels" if job.name == "label-answers" else "production"


def of_registry(bench, job, want, run, fault):
    registry = bench.world / "r"
    lost = want.reachable & tiny.objects(bench.world / job.given["r"]) - tiny.objects(registry)  # what is new may not have come
    head = tiny.head(registry, ref_of(job))
    if job.name != "verify-damaged" and (lost or tiny.damaged(registry)):
        return f"exit {run.code}, and {len(lost)} objects that a ref reaches are gone, {len(tiny.damaged(registry))} are damaged"
    if run.code == 0 and want.code:
        return "a damaged registry is called sound"
    if run.code == 0 and want.said is not None and run.text != want.said:
        return f"exit 0, but it says '{run.text.strip()}', not '{want.said.strip()}'"
    if run.code == 0 and job.name == "gc" and tiny.objects(registry) != want.objects:
        return "exit 0, but garbage is left"
    if run.code == 0 and head != want.head:
        return "exit 0, but the ref is where it was"
    # the log's entry moves a ref, and stays: whoever fails after it must say so. A flush that failed leaves open whether it lasts
    if run.code and job.name in MOVES and head == want.head and fault.call.kind != "fsync" and "has moved" not in run.said():
        return f"exit {run.code}, but the ref has moved"
    return None


def of_leftovers(bench, job):
    left = [job.out + end for end in tiny.LEFT_BEHIND if (bench.world / (job.out + end)).exists()] if job.out else []
    return f"leaves {', '.join(left)}" if left else None


def of_next_run(bench, job, want, run):
    """the same again, undisturbed; where the result is there already, as a user would replace it"""
    if run.code and bench.everything() == want.begun: # as if it had never run
        return None
    if run.code == 0 and not of_leftovers(bench, job):
        if not job.registry:
            return None
    elif job.name == "verify-damaged" or (job.name == "ingest-follow" and not run.code): # what is taken is taken, and there is nothing new
        return None
    elif job.name == "rollback" and tiny.head(bench.world / "r") == want.head: # once more would go further back
        return of_copy(bench, job, run, want.head)
    else:
        again = bench.run(job, ["--force"] if run.code == 0 and not job.step and "--force" not in job.args else [])
        if again.hung or again.code:
            return f"exit {run.code}, and the same again: exit {again.code}: {again.said()}"
        why = (of_result(bench, job, want, again) if job.out else None) or of_leftovers(bench, job)
        if why:
            return f"exit {run.code}, and the same again: {why}"
        if job.name == "gc" and tiny.objects(bench.world / "r") != want.objects:
            return "the same again leaves garbage"
    return of_copy(bench, job, run, tiny.head(bench.world / job.registry, ref_of(job))) if job.registry else None


def of_copy(bench, job, run, head):
    """the registry is sound; of a ref that moved the copy may be old, until it is promoted again"""
    def verify():
        return tiny.run(bench.binary, ["registry", "verify", "--registry", job.registry], bench.world)
    sound = verify()
    if sound.code and job.name == "label-answers":  # who imports again writes the copy
        tiny.run(bench.binary, job.args, bench.world)
        sound = verify()
    elif sound.code and job.name in MOVES and head:
        tiny.run(bench.binary, ["registry", "promote", ref_of(job), head, "--registry", job.registry], bench.world)
        sound = verify()
    return f"exit {run.code}, and registry verify afterwards: {sound.said()}" if sound.code else None


def judge(bench, job, want, fault, codes):
    """None, or why it may not be so, and where it was"""
    run, struck = bench.strike(job, fault)
    codes[run.code] += 1
    if not struck:
        return f"{fault.call.kind} #{fault.call.number} {fault.error} did not strike: the calls of an undisturbed run do not come again"
    why = of_any_run(run, fault, want) or (of_result(bench, job, want, run) if job.out else of_registry(bench, job, want, run, fault))
    why = why or of_next_run(bench, job, want, run)
    if not why:
        return None
    kind, number, name, caller, path = struck
    said = f" [{run.said()}]" if run.said() and run.said() not in why else ""
    return f"{why}{said} at {name}, {kind} #{number}, {fault.error} ({caller}) {os.path.relpath(path, bench.world)}"


# --- which ---

def look(path):
    """paths that look alike: numbers and digests are all one"""
    return re.sub(r"\d+", "N", re.sub(r"[0-9a-f]{16,}|(?<=objects/)[0-9a-f]{2}", "N", path))


def faults_of(calls, kinds, args, draw):
    """all; or of places that look alike one with each error; or an order in which each kind, each place and each error come soon"""
    found = [Fault(c, e, False) for c in calls for e in ERRORS.get(c.kind, []) if not (e == "SHORT" and c.name in STREAMS)]
    found += [Fault(c, "EINVAL", False) for c in calls if c.name == "renameat2"] # a file system that cannot exchange
    found += [Fault(c, e, True) for c in calls for e in LASTING.get(c.kind, [])]
    found = [f for f in found if not kinds or f.call.kind in kinds]
    if args.every:
        return found
    places = collections.defaultdict(list)
    for f in found: # most of the 256 folders of a registry's objects are not there
        places[f.call.kind, f.lasting, f.call.name, f.call.caller, look(f.call.path), os.path.lexists(f.call.path)].append(f)
    turns = collections.defaultdict(list) # of a kind: its places in turn
    for (kind, lasting, *_), some in places.items():
        draw.shuffle(some)
        if args.places:
            some = list({f.error: f for f in some}.values())
        turns[kind, lasting] += [(turn, draw.random(), f) for turn, f in enumerate(some)]
    queues = [collections.deque(f for _, _, f in sorted(t)) for t in turns.values()]
    order = []
    while queues:
        queues = [q for q in queues if q]
        order += [q.popleft() for q in queues]
    return order


def campaign(bench, job, args, seconds, report):
    draw = random.Random(f"{args.seed} {job.name}")
    want = Undisturbed(bench, job)
    faults = faults_of(want.calls, args.kinds, args, draw)
    tried, codes, wrong = collections.Counter(), collections.Counter(), collections.defaultdict(dict)
    until = time.monotonic() + seconds
    for fault in faults:
        if not args.every and not args.places and time.monotonic() > until:
            break
        kind = f"{fault.call.kind}{', lasting' if fault.lasting else ''}"
        tried[kind] += 1
        why = judge(bench, job, want, fault, codes)
        if why:
            wrong[kind].setdefault(re.sub(r"[0-9a-f]{16,}|\d{3,}", "N", re.sub(r" \[.*| at .*", "", why)), []).append(why)
    for kind in sorted(tried):
        n = sum(len(w) for w in wrong[kind].values())
        report.line(not n, f"{job.name}: {kind}: {tried[kind]} faults" + (f", {n} wrong" if n else ""),
                    [f"{len(places)} x {places[0]}" for places in wrong[kind].values()])
    ends = ", ".join(f"{code}: {codes[code]}" for code in sorted(codes))
    report.note(f"{job.name}: {sum(tried.values())} of {len(faults)} faults; exit codes {ends}")
    return sum(tried.values())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("--every", action="store_true")
    p.add_argument("--places", action="store_true")
    p.add_argument("--seconds", type=float, default=80)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--only", type=lambda t: t.split(","), default=[])
    p.add_argument("--kinds", type=lambda t: t.split(","), default=[])
    p.add_argument("--verbose", action="store_true")
    args = p.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="nightshift-faults."))
    try:
        bench = Bench(args.build.resolve(), work)
        chosen = [j for j in tiny.jobs(bench.world) if not args.only or j.name in args.only]
        begun = time.monotonic()
        report, tried = tiny.Report(args.verbose), 0
        for i, job in enumerate(chosen): # what a quick job leaves is the others'
            left = args.seconds - (time.monotonic() - begun)
            tried += campaign(bench, job, args, left / (len(chosen) - i), report)
        return report.end(f"{len(chosen)} jobs, {tried} faults")
    finally:
        tiny.put_away(work)


if __name__ == "__main__":
    sys.exit(main())
