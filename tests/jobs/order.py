#!/usr/bin/env python3
"""The order in which a job writes, flushes and publishes, asserted over the log of its calls.

usage: order.py BUILD [--only JOB,JOB...] [--log] [--verbose]

durable.py cuts the power at sampled places and looks at what is left. Here each job runs once, uncut, under tests/tools/unflushed.c, and
every change in its log is held against these rules, so that a flush that is missing or late in one place alone is found though no sampled
cut and no later flush of the same folder shows it:

- content: a file that gets a final name (by rename, link, or as part of a folder that is renamed) was flushed after its last write; a
  folder that gets one has all its names flushed, and so have the folders in it;
- place: nothing is made or written under a final name; it comes there by a rename or a link;
- name: once a name is final, its folder is flushed before the next name becomes final anywhere, and before the job ends;
- old: what was published before is removed only when the new result's name is flushed;
- again: a job that is killed right after a name became final, before its folder was flushed, and is then run again, leaves all of it on
  the disk, although it finds much of its work done;
- registry: when a log entry appears, every object that it reaches is on the disk; when a ref's copy appears, the log entry is;
- night: when a step's record says done, the step's result is on the disk, and a ref names a model that it made; when the night's own
  record appears, all of the night is, and nothing but step records comes after it;
- checkpoint: when its record appears, its weights are on the disk; an older record goes when two newer ones are there.

"On the disk" is what durable.py's model of a disk keeps where everything that was not flushed is lost. Each kind of publication has to
occur in some job, or the rules would hold of nothing.
"""
import argparse
import collections
import json
import pathlib
import re
import shutil
import sys
import tempfile
import time

import durable
import pages_world
import tiny

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp$|\.(partial|replaced|lock)$|\.replaced\.[0-9a-f]{16}$|\.[0-9a-f]{16}\.gone$")
CHECKPOINT = re.compile(r"/checkpoint[^/]*/(\d{8})\.(json|safetensors)$")
DIGEST = re.compile(r'"([0-9a-f]{64})"')

# every publication is of one of these kinds, the first that fits its path below the world; adding a kind is adding a row
KINDS = (
    ("log entry", re.compile(r"/log/[^/]+/\d{6}\.json$")),
    ("ref", re.compile(r"/refs/[^/]+$")),
    ("object", re.compile(r"/objects/[0-9a-f]{2}/[0-9a-f]{62}$")),
    ("checkpoint record", re.compile(r"/checkpoint[^/]*/\d{8}\.json$")),
    ("checkpoint weights", re.compile(r"/checkpoint[^/]*/\d{8}\.safetensors$")),
    ("plan", re.compile(r"^night/steps/plan\.json$")),
    ("step record", re.compile(r"^night/steps/[^/]+\.json$")),
    ("night's record", re.compile(r"^night/run\.json$")),
    ("night's file", re.compile(r"^night/([^/]+/)?[^/]+\.(json|html|h5)$")),
    ("gc's clock", re.compile(r"/objects/\.clock$")),
    ("history line", re.compile(r"^history/[^/]+\.json$")),
    ("followed list", re.compile(r"^seen\.jsonl$")),
    ("file in a result", re.compile(r"\.partial/")),
    ("result", re.compile(r"^(o|night/.*)$")),
)
AGAIN = ("ingest", "train", "drift", "promote", "step-data") # jobs that find work of their own done, each kind of it
OTHER = ("result by exchange", "result by two renames", "shard of a part") # seen by their calls, not by a path


def kind_of(path):
    return next((kind for kind, pattern in KINDS if pattern.search(path)), None)


def is_temporary(path):
    return any(TEMPORARY.search(part) for part in pathlib.PurePath(path).parts)


class Disk(durable.Disk):
    """a disk that knows as well which files were written since their last flush"""
    def __init__(self, world, pristine):
        self.dirty = set()
        super().__init__(world, pristine)

    def apply(self, line):
        super().apply(line)
        _, what, inode, _, _ = line.split("\t")
        node = self.inodes.get(int(inode))
        if what in ("file", "write", "trunc"):
            self.dirty.add(node)
        elif what == "sync":
            self.dirty.discard(node)

    def node(self, path):
        """what is there now, or None"""
        node = self.root
        for part in pathlib.PurePath(path).parts:
            node = node.now.get(part) if node and node.folder else None
        return node

    def is_kept(self, path):
        """would it be there, under this name and with what it holds now, were everything lost that was not flushed?"""
        node = self.root
        for part in pathlib.PurePath(path).parts:
            node, now = node.kept.get(part), node.now.get(part)
            if node is None or node is not now:
                return False
        return node not in self.dirty

    def unkept_below(self, node, path):
        """the first file or folder under it that a power cut would take something from, or None"""
        if not node.folder:
            return path if node in self.dirty else None
        if node.now != node.kept:
            odd = sorted(k for k in set(node.now) | set(node.kept) if node.now.get(k) is not node.kept.get(k))
            return f"{path}/{odd[0]}"
        return next(filter(None, (self.unkept_below(inner, f"{path}/{name}") for name, inner in node.now.items())), None)


class Rules:
    def __init__(self, disk, world, job):
        self.disk, self.world, self.job = disk, world, job
        self.owed = {} # folder: the name in it that is final and not yet surely there
        self.done = set() # steps whose record says so, and the night itself
        self.seen, self.broken = collections.Counter(), []

    def short(self, path):
        return str(pathlib.PurePath(path).relative_to(self.world))

    def break_rule(self, rule, path, why):
        self.broken.append(f"{rule}: {path}: {why}")

    def text(self, node):
        return node.content.read_text(errors="replace") if node.content else ""

    # --- before a change is made ---

    def before(self, what, inode, path, other):
        path = self.short(path)
        if what in ("file", "write", "trunc") and not is_temporary(path):
            self.break_rule("place", path, "is written under its final name")
        if what == "mkdir" and not is_temporary(path):
            self.appears("folder", path, None, self.disk.folder_of(f"{self.world}/{path}")[0])
        if what in ("rename", "link", "exchange"):
            self.moves(what, path, self.short(other), self.disk.inodes[inode])
        if what in ("unlink", "rmdir") and any(kind_of(name) == "result" for name in self.owed.values()):
            self.break_rule("old", path, f"is removed before the folder of {next(iter(self.owed.values()))} is flushed")
        if what == "unlink" and CHECKPOINT.search(path):
            self.checkpoint_goes(path)

    def moves(self, what, path, to, node):
        kind = kind_of(to)
        if is_temporary(pathlib.PurePath(to).name): # put aside
            return
        if what == "exchange":
            node = self.disk.node(path)
            self.seen["result by exchange"] += 1
        if what == "rename" and node.folder and any(p.startswith(f"{to}.replaced") for p in self.tops(to)):
            self.seen["result by two renames"] += 1
        if what == "link" and kind == "file in a result" and not TEMPORARY.search(path):
            self.seen["shard of a part"] += 1
        if kind is None:
            self.break_rule("kinds", to, "is a publication of no kind that order.py knows")
            return
        self.seen[kind] += 1
        lost = self.disk.unkept_below(node, to)
        if lost:
            self.break_rule("content", lost, f"is not flushed when {to} appears")
        if kind != "file in a result": # that is in sight when its folder is
            self.appears(kind, to, node, self.disk.folder_of(f"{self.world}/{to}")[0])

    def tops(self, to):
        parent = str(pathlib.PurePath(to).parent)
        node = self.disk.node(parent) if parent != "." else self.disk.root
        return [name if parent == "." else f"{parent}/{name}" for name in (node.now if node else ())]

    def appears(self, kind, path, node, folder):
        for name in self.owed.values():
            self.break_rule("name", name, f"its folder is not flushed when {path} appears")
        self.owed = {folder: path}
        if path in self.done or ("night" in self.done and path.startswith("night/") and kind != "step record"):
            self.break_rule("night", path, "appears after the record that says it is done")
        check = {"log entry": self.log_entry, "ref": self.ref, "step record": self.step_record, "night's record": self.night_record,
                 "checkpoint record": self.checkpoint_record}.get(kind)
        if check:
            check(path, node)

    def after(self, what, inode):
        if what == "syncdir":
            self.owed.pop(self.disk.inodes[inode], None)

    def ends(self):
        for name in self.owed.values():
            self.break_rule("name", name, "its folder is not flushed when the job ends")

    # --- what has to be there before it ---

    def log_entry(self, path, node):
        registry, todo, done = path.split("/log/")[0], DIGEST.findall(self.text(node)), set()
        while todo:
            one = todo.pop()
            at = f"{registry}/objects/{one[:2]}/{one[2:]}"
            if one in done or not self.disk.node(at):
                continue
            done.add(one)
            if not self.disk.is_kept(at):
                self.break_rule("registry", at, f"is not on the disk when {path}, which reaches it, appears")
            inner = self.disk.node(at).content
            if inner and inner.read_bytes()[:1] == b"{":
                todo += DIGEST.findall(inner.read_text(errors="replace"))
        if json.loads(self.text(node))["new"] not in done:
            self.break_rule("registry", path, "names an object that is not there")

    def ref(self, path, node):
        log, name = path.replace("/refs/", "/log/"), self.text(node).strip()
        entries = sorted(self.disk.node(log).now)
        entries = [e for e in entries if not is_temporary(e)]
        if not entries or not self.disk.is_kept(f"{log}/{entries[-1]}"):
            self.break_rule("registry", path, "appears before its log entry is on the disk")
        elif json.loads(self.text(self.disk.node(f"{log}/{entries[-1]}")))["new"] != name:
            self.break_rule("registry", path, "is not what the log says")

    def step_record(self, path, node):
        record = json.loads(self.text(node))
        if record.get("schema") != "nightshift.step/1" or record["state"] != "done":
            return
        result = f"night/{record['step']}"
        self.done.add(result)
        if not self.disk.node(result): # a step that publishes none
            return
        lost = self.disk.unkept_below(self.disk.node(result), result)
        if not self.disk.is_kept(result) or lost:
            self.break_rule("night", lost or result, f"is not on the disk when {path} says done")
        self.seen["done with a result"] += 1
        model = self.disk.node(f"{result}/model.json")
        if not model:
            return
        digest, refs = tiny.digest(model.content), self.disk.node("night/registry/log")
        entries = [f"night/registry/log/{ref}/{e}" for ref, log in refs.now.items() for e in log.now] if refs else []
        if not any(self.names(e, digest) and self.disk.is_kept(e) for e in entries):
            self.break_rule("night", path, f"says done, but no ref names the model {digest[:12]} on the disk")
        self.seen["done with a model"] += 1

    def names(self, entry, model):
        """does an entry of a log name the model, or a release of it that is on the disk?"""
        text = self.text(self.disk.node(entry))
        new = json.loads(text)["new"] if text else ""
        release = f"night/registry/objects/{new[:2]}/{new[2:]}"
        return model in text or (self.disk.node(release) and self.disk.is_kept(release) and model in self.text(self.disk.node(release)))

    def night_record(self, path, node):
        self.done.add("night")
        lost = self.disk.unkept_below(self.disk.node("night"), "night")
        if lost and lost != "night/run.json" and not is_temporary(lost):
            self.break_rule("night", lost, f"is not on the disk when {path} appears")

    def checkpoint_record(self, path, node):
        weights = path.replace(".json", ".safetensors")
        if not self.disk.node(weights) or not self.disk.is_kept(weights):
            self.break_rule("checkpoint", weights, "is not on the disk when its record appears")

    def checkpoint_goes(self, path):
        folder, name = path.rsplit("/", 1)
        newer = [n for n in self.disk.node(folder).now if n.endswith(".json") and n > name and self.disk.is_kept(f"{folder}/{n}")]
        if name.endswith(".json"):
            self.seen["checkpoint goes"] += 1
            if len(newer) < 2:
                self.break_rule("checkpoint", path, "goes though there are not two newer ones on the disk")


def try_job(bench, job, show):
    """(what was seen, what was broken)"""
    run, lines, _ = bench.cut(job, None)
    if run.code and (job.name != "night" or run.code != 1): # 1: the gate refused, as it may
        raise SystemExit(f"{job.name}: exit {run.code}: {run.text}")
    disk, rules = bench.disk, Rules(bench.disk, bench.live, job)
    for line in lines:
        _, what, inode, path, other = line.split("\t")
        if show:
            print(what, rules.short(path), rules.short(other) if other.startswith(str(bench.live)) else "", sep="\t")
        rules.before(what, int(inode), path, other)
        disk.apply(line)
        rules.after(what, int(inode))
    rules.ends()
    return rules.seen, rules.broken


def kept_at_the_end(disk):
    """the first place that a power cut would take something from after all has ended, or None"""
    for top in ("o", "r", "night", "history"):
        node = disk.node(top)
        lost = node and (disk.unkept_below(node, top) or (None if disk.root.kept.get(top) is node else top))
        if lost and not is_temporary(lost):
            return lost
    return None


def run_again(bench, job):
    """killed after each name that it made, before anything else, and run again: what is broken then"""
    _, lines, _ = bench.cut(job, None)
    places = [int(line.split("\t")[0]) + 1 for line in lines if line.split("\t")[1] in ("rename", "link", "mkdir", "exchange")]
    broken, more = [], bench.work / "again"
    for n in places:
        run, lines, disk = bench.cut(job, n)
        if run.code != durable.POWER_CUT:
            continue
        for line in lines:
            disk.apply(line)
        shutil.rmtree(more, ignore_errors=True)
        more.mkdir()
        log = bench.work / "again.log"
        log.unlink(missing_ok=True)
        run = tiny.run(bench.binary, job.args, bench.live, bench.tool, NST_CUT_UNDER=str(bench.live), NST_CUT_LOG=str(log), NST_CUT_SNAPSHOTS=str(more))
        rules = Rules(disk, bench.live, job)
        for line in log.read_text().splitlines() if log.exists() else []:
            _, what, inode, path, other = line.split("\t")
            rules.before(what, int(inode), path, other)
            disk.apply(line)
            rules.after(what, int(inode))
        if run.code == 74 and "holds a published result" in run.said(): # it was killed after that, and the user is told
            continue
        rules.ends()
        lost = kept_at_the_end(disk)
        broken += [f"again: killed after {lines[-1].split(chr(9))[1]} {rules.short(lines[-1].split(chr(9))[3])}: {why}" for why in
                   rules.broken + ([f"{lost} is not on the disk at the end"] if lost else []) + ([f"exit {run.code}: {run.said()}"] if run.code else [])]
    return len(places), broken


class Bench(durable.Bench):
    """keeps the disk as it is before the job, with this file's model of it"""
    def cut(self, job, n):
        kept, durable.Disk = durable.Disk, Disk
        try:
            run, lines, self.disk = super().cut(job, n)
        finally:
            durable.Disk = kept
        return run, lines, self.disk


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("--only", type=lambda t: t.split(","), default=[])
    p.add_argument("--log", action="store_true")
    p.add_argument("--verbose", action="store_true")
    args = p.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="nightshift-order."))
    try:
        tiny.EPOCH = str(int(time.time())) # a manifest expires by the clock
        bench = Bench(args.build.resolve(), work)
        jobs = [j for j in tiny.jobs(bench.live) if not j.name.startswith("verify")]
        train = next(j for j in jobs if j.name == "train")
        often = [*train.args, "--train.epochs=2", "--train.checkpoint_steps=1"]
        jobs.append(tiny.Job("train-checkpoints", often, "o", also=("r",), registry="r"))
        for place, seed, count in (("many", 1, 260), ("later", 2, 80)): # a night with a retraining: the tiny one sees no drift
            pages_world.photos(bench.live / place, seed, count)
            shutil.copytree(bench.live / place, bench.pristine / place)
        for folder in (bench.live, bench.pristine):
            (folder / "dark.yaml").write_text("augment:\n  - brightness: 0.6\n")
            (folder / "whole.yaml").write_text(pages_world.NIGHT.format(out="night", source="many", test="later"))
        jobs.append(tiny.Job("night", ["night", "--config", "whole.yaml", "--out", "night"], "night", {"night": None}))
        seen, report = collections.Counter(), tiny.Report(args.verbose)
        for job in jobs:
            if args.only and job.name not in args.only:
                continue
            found, broken = try_job(bench, job, args.log)
            seen += found
            report.line(not broken, f"{job.name}: {sum(found.values())} publications",
                        [line + (f" ({times} times)" if times > 1 else "") for line, times in collections.Counter(broken).items()])
            if job.name in AGAIN:
                places, broken = run_again(bench, job)
                report.line(not broken, f"{job.name}: killed at {places} names and run again", sorted(set(broken)))
        for kind in [k for k, _ in KINDS] + list(OTHER) + ["done with a result", "done with a model", "checkpoint goes"]:
            if not seen[kind] and not args.only:
                report.line(False, f"no job has shown: {kind}")
        return report.end(f"{sum(seen.values())} publications seen")
    finally:
        tiny.put_away(work)


if __name__ == "__main__":
    sys.exit(main())
