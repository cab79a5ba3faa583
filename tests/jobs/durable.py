#!/usr/bin/env python3
"""The power fails: what was published is there afterwards, and what was not is no half.

usage: durable.py BUILD [--every | --seconds N] [--seed N] [--only JOB,JOB...] [--verbose]

Each job of tiny.py runs under tests/tools/unflushed.c, which logs its changes and what it flushed, and is cut off before the N-th of
them, or at its end. From the log come disks that a power cut may leave:

- names dropped: neither data nor names that were not flushed are there (the worst);
- names kept: names are, as where a journal was written in time, but of a file only what was flushed;
- names to a point: of the names that were not flushed those up to a random one, of a file what was flushed.

A rename is whole on a disk or not at all, also from one folder into another. On each disk: the result is the old one, the new one or
absent, and whole; it is the new one where the job had exited 0 or said that it published; every object that a ref reaches is there; and
the same command again succeeds, to the same bytes, after which the registry is sound.
"""
import argparse
import collections
import pathlib
import random
import re
import shutil
import sys
import tempfile
import time

import faults
import tiny

POWER_CUT = 125
DISKS = ("names dropped", "names kept", "names to a point")


class Node:
    """a file: where its flushed content lies, None: empty; a folder: its names now, and those on the disk"""
    def __init__(self, content=None, folder=False):
        self.content, self.folder, self.now, self.kept = content, folder, {}, {}


class Disk:
    """what the operating system shows, and what the platters hold, after each line of a log"""
    def __init__(self, world, pristine):
        self.world, self.inodes, self.pending = world, {}, []
        self.root = self.scan(world, pristine)

    def scan(self, place, copy):
        node = Node(None if place.is_dir() else copy, place.is_dir())
        self.inodes[place.stat().st_ino] = node
        for inner in place.iterdir() if node.folder else ():
            node.now[inner.name] = node.kept[inner.name] = self.scan(inner, copy / inner.name)
        return node

    def folder_of(self, path):
        parts = pathlib.PurePath(path).relative_to(self.world).parts
        node = self.root
        for part in parts[:-1]:
            node = node.now[part]
        return node, parts[-1]

    def change(self, *edits):
        """(folder, name, node or None) each; pending until one of the folders is flushed"""
        for folder, name, node in edits:
            if node:
                folder.now[name] = node
            else:
                folder.now.pop(name, None)
        self.pending.append(edits)

    def settle(self, edits):
        for folder, name, node in edits:
            if node:
                folder.kept[name] = node
            else:
                folder.kept.pop(name, None)

    def flush_folder(self, folder):
        """its changes, and those before them of the folders that they touch as well: a journal is written in order"""
        touched, due = {folder}, []
        for edits in reversed(self.pending):
            if any(f in touched for f, _, _ in edits):
                touched |= {f for f, _, _ in edits}
                due.append(edits)
        for edits in reversed(due):
            self.settle(edits)
            self.pending.remove(edits)

    def apply(self, line):
        _, what, inode, path, other = line.split("\t")
        inode = int(inode)
        if what == "unknown":
            raise SystemExit(f"{path}: flushed or changed in a way that unflushed.c does not know")
        if what in ("file", "mkdir"):
            self.inodes[inode] = Node(folder=what == "mkdir")
            self.change((*self.folder_of(path), self.inodes[inode]))
        elif what == "trunc":
            self.inodes[inode].content = None
        elif what == "sync":
            self.inodes[inode].content = pathlib.Path(other)
        elif what == "syncdir":
            self.flush_folder(self.inodes[inode])
        elif what == "unlink":
            self.change((*self.folder_of(path), None))
        elif what in ("rename", "link", "exchange"):
            (a, x), (b, y) = self.folder_of(path), self.folder_of(other)
            back = {"rename": ((a, x, None),), "link": (), "exchange": ((a, x, b.now.get(y)),)}[what]
            self.change((b, y, a.now[x]), *back)
        elif what != "write": # data alone: lost until a flush
            raise SystemExit(f"unflushed.c: operation '{what}'")

    def picture(self, kind, draw):
        """{path: node} of a disk that may be left; in the order of DISKS: the last one settles some changes for good"""
        if kind == "names to a point":
            for edits in self.pending[:draw.randrange(len(self.pending) + 1)]:
                self.settle(edits)
        found = {}

        def walk(node, path):
            found[path] = node
            for name, inner in (node.now if kind == "names kept" else node.kept).items():
                walk(inner, f"{path}/{name}")
        walk(self.root, ".")
        return found


def is_written(path):
    return path.split("/")[1:] != [] and path.split("/")[1].split(".")[0] in tiny.WRITTEN


def build(picture, place):
    """the inputs, which nobody writes, are put there once"""
    fresh = not place.exists()
    for old in () if fresh else place.iterdir():
        if is_written(f"./{old.name}"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for path, node in picture.items():
        if not is_written(path) and not fresh:
            continue
        if node.folder:
            (place / path).mkdir()
        elif node.content:
            shutil.copy2(node.content, place / path) # with its time: gc goes by it
        else:
            (place / path).touch()


def likeness(picture):
    """the same for disks on which the same would happen: random names, process numbers and the time of a run make no difference"""
    found = set()
    for path, node in picture.items():
        if is_written(path):
            content = node.content and node.content.stat().st_size and (
                "something" if path.endswith((".lock", "/run.json", "metrics.jsonl")) else tiny.digest(node.content))
            found.add((re.sub(r"\.[0-9a-f]{16}\.tmp$", ".tmp", path), node.folder, content))
    return frozenset(found)


class Bench(faults.Bench):
    def __init__(self, build, work):
        super().__init__(build, work)
        self.tool, self.live, self.pristine, self.snapshots, self.log = build / "unflushed.so", self.world, work / "pristine", work / "snapshots", work / "log"
        shutil.copytree(self.live, self.pristine)

    def without(self, job):
        """the tool and its settings for a file system that does not have a call; None, {} where it has all"""
        if not job.without:
            return None, {}
        return self.tool.with_name("fault.so"), {"NST_FAULT_UNDER": str(self.work), "NST_FAULT_WITHOUT": job.without}

    def cut(self, job, n):
        """the run, the lines of its log; n None: to its end"""
        self.world = self.live
        job.reset(self.live)
        shutil.rmtree(self.snapshots, ignore_errors=True)
        self.snapshots.mkdir()
        for place in tiny.WRITTEN:
            shutil.rmtree(self.pristine / place, ignore_errors=True)
            if (self.live / place).exists():
                shutil.copytree(self.live / place, self.pristine / place)
        self.log.unlink(missing_ok=True)
        disk = Disk(self.live, self.pristine)
        fault, without = self.without(job)
        tools = f"{self.tool}:{fault}" if fault else self.tool
        run = tiny.run(self.binary, job.args, self.live, tools, **without, NST_CUT_UNDER=str(self.live), NST_CUT_LOG=str(self.log),
                       NST_CUT_SNAPSHOTS=str(self.snapshots), **({} if n is None else {"NST_CUT": str(n)}))
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return run, lines, disk


class Whole:
    """what a job comes to when the power does not fail, and the places where it may"""
    def __init__(self, bench, job, every):
        job.reset(bench.live)
        self.old = bench.content(job)
        run, lines, _ = bench.cut(job, None)
        if run.code:
            raise SystemExit(f"{job.name}: fails undisturbed: {run.text}")
        self.new = bench.content(job)
        self.also = {place: bench.tree(place) for place in job.also}
        registry = bench.live / (job.registry or "")
        self.objects = tiny.objects(registry)
        self.head = tiny.head(registry, faults.ref_of(job))
        self.places, last = [], None
        for number, what, inode, *_ in (line.split("\t") for line in lines): # of many writes to one file the first
            if every or (what, inode) != last:
                self.places.append(int(number))
            last = (what, inode) if what == "write" else None


def judge(bench, job, want, run, done):
    """what is wrong with a disk; done: the job had said so"""
    if job.out:
        now = faults.result_now(bench, job, want)
        fine = ("new",) if done else ("new", "old" if want.old else "absent")
        if now not in fine and not (now == "absent" and job.without and not done): # between two renames there is none
            return f"the result is {now}"
        step = bench.world / job.step if job.step else None
        if run.code == 0 and step and not (step.exists() and '"done"' in step.read_text()):
            return "the result is there, but the step's record does not say done"
        if run.code == 0 and any(bench.tree(place) != tree for place, tree in want.also.items()):
            lost = [f"{place}/{name}" for place, tree in want.also.items() for name in tree if bench.tree(place).get(name) != tree[name]]
            return f"the result is there, but not {', '.join(lost[:3]) or 'without more'} ({len(lost)} files)"
    if job.registry:
        registry = bench.world / job.registry
        lost = tiny.reachable(registry) & want.objects - tiny.objects(registry)
        if lost or tiny.damaged(registry):
            return f"{len(lost)} objects that a ref reaches are gone, {len(tiny.damaged(registry))} are damaged"
        if job.out and now == "new":  # a model's; a release of it comes after it
            model = bench.world / job.out / "model.json"
            of = (tiny.reachable(registry, model) | {tiny.digest(model)}) & want.objects if model.exists() else want.objects
            if of - tiny.objects(registry):
                return f"the result is there, but {len(of - tiny.objects(registry))} of its objects are not"
        if run.code == 0 and tiny.head(registry, faults.ref_of(job)) != want.head:
            return "the ref is where it was"
    return None


def again(bench, job, want):
    args = job.args
    if job.name == "rollback" and tiny.head(bench.world / "r") == want.head: # it has moved, and would move further: write the copy again
        args = ["registry", "promote", "production", want.head, "--registry", "r"]
    if job.out and not job.step and (bench.world / job.out).exists() and "--force" not in args:
        args = [*args, "--force"]
    fault, without = bench.without(job)
    run = tiny.run(bench.binary, args, bench.world, fault, **without)
    if job.name == "ingest-follow" and run.code == 65 and faults.result_now(bench, job, want) == "new": # the list and the set are both there: nothing is new
        return None
    if run.hung or run.code:
        return f"the same again: {'hangs' if run.hung else f'exit {run.code}'}: {run.said()}"
    why = faults.of_leftovers(bench, job)
    if not why and job.out and faults.result_now(bench, job, want) != "new":
        why = f"the result is {faults.result_now(bench, job, want)}"
    if not why and job.registry:
        verify = tiny.run(bench.binary, ["registry", "verify", "--registry", job.registry], bench.world)
        why = f"registry verify: {verify.said()}" if verify.code else None
    return f"the same again: {why}" if why else None


def try_disks(bench, job, want, n, draw, known):
    """(disk, what is wrong or None, the change that was not made) for each; known: what was found of disks like it"""
    run, lines, disk = bench.cut(job, n)
    if run.code not in (0, POWER_CUT):
        yield DISKS[0], f"exit {run.code}: {run.said()}", ""
        return
    at = "its end" if run.code == 0 else f"change {n}, after {lines[-1].split(chr(9))[1:4:2] if lines else 'nothing'}"
    done = run.code == 0 or '"published"' in run.text and not job.step
    for line in lines:
        disk.apply(line)
    for kind in DISKS:
        picture = disk.picture(kind, draw)
        key = likeness(picture), done, run.code
        if key not in known:
            bench.world = bench.work / "disk"
            build(picture, bench.world)
            known[key] = judge(bench, job, want, run, done) or (again(bench, job, want) if run.code else None)
        yield kind, known[key], at.replace(str(bench.live) + "/", "")


def campaign(bench, job, args, seconds, report):
    draw = random.Random(f"{args.seed} {job.name}")
    bench.world = bench.live
    want = Whole(bench, job, args.every)
    until = time.monotonic() + seconds
    places = want.places[:]
    draw.shuffle(places)
    tried, wrong = collections.Counter(), collections.defaultdict(lambda: collections.defaultdict(list))
    cuts, known = 0, {}
    for n in [None, *places]:
        if n is not None and not args.every and time.monotonic() > until:
            break
        cuts += 1
        for kind, why, at in try_disks(bench, job, want, n, draw, known):
            group = f"{'done' if n is None else 'cut off'}, {kind}"
            tried[group] += 1
            if why:
                wrong[group][why].append(at)
    for group in sorted(tried):
        n = sum(len(w) for w in wrong[group].values())
        report.line(not n, f"{job.name}: {group}: {tried[group]} disks" + (f", {n} wrong" if n else ""),
                    [f"{len(at)} x {why}, cut at {at[0]}" for why, at in wrong[group].items()])
    report.note(f"{job.name}: cut at {cuts} of {len(want.places) + 1} places, {len(known)} different disks")
    return sum(tried.values())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("--every", action="store_true")
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--only", type=lambda t: t.split(","), default=[])
    p.add_argument("--verbose", action="store_true")
    args = p.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="nightshift-durable."))
    try:
        bench = Bench(args.build.resolve(), work)
        chosen = [j for j in tiny.jobs(bench.live) if j.name in args.only or (not args.only and not j.name.startswith("verify"))]
        begun = time.monotonic()
        report, tried = tiny.Report(args.verbose), 0
        for i, job in enumerate(chosen):
            left = args.seconds - (time.monotonic() - begun)
            tried += campaign(bench, job, args, left / (len(chosen) - i), report)
        return report.end(f"{len(chosen)} jobs, {tried} disks")
    finally:
        tiny.put_away(work)


if __name__ == "__main__":
    sys.exit(main())
