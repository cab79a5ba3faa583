#!/usr/bin/env python3
"""run.py BUILD [options] - runs, for each mutant planted in BUILD, the tests that must kill it, one by one until one fails. See README."""
import argparse
import collections
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import plant

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 5  # times a test's own time, after which it hangs
LEAST = 20  # seconds; other jobs may want the processors, too
PLACES = 65536  # mutant.c knows it, too
GOOD = ("killed", "excused")


class Tests:
    """What ctest knows of each test; how long it takes where no mutant is chosen, and which mutants' places it evaluates then."""

    def __init__(self, build, within):
        said = subprocess.run(["ctest", "--show-only=json-v1"], cwd=build, capture_output=True, text=True, check=True).stdout
        self.known = {t["name"]: t for t in json.loads(said)["tests"]}
        self.build, self.within, self.unfit, self.took, self.reaches = build, within, {}, {}, {}
        self.scratch = tempfile.mkdtemp(prefix="mutants.")
        os.chmod(self.scratch, 0o755)  # some tests act as somebody else in theirs

    def run(self, name, bound, mutant):
        """(exit code or None where it hung, seconds, numbers of the places it evaluated, its last line); temporary files go with it"""
        test = self.known[name]
        p = {x["name"]: x["value"] for x in test.get("properties", [])}
        folder = tempfile.mkdtemp(dir=self.scratch)
        os.chmod(folder, 0o755)
        temporary, reached, said = (os.path.join(folder, x) for x in ("tmp", "reached", "log"))
        os.mkdir(temporary)
        os.chmod(temporary, 0o1777)
        with open(reached, "wb") as f:
            f.truncate(PLACES)
        env = dict(os.environ, TMPDIR=temporary, NST_MUTANT=str(mutant), NST_MUTANT_REACHED=reached)
        env.update(x.split("=", 1) for x in p.get("ENVIRONMENT", []))
        os.chmod(reached, 0o666)
        start = time.monotonic()
        with open(said, "wb") as log:
            child = subprocess.Popen(test["command"], cwd=p.get("WORKING_DIRECTORY", self.build), env=env, stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, start_new_session=True)
            try:
                code = child.wait(bound)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                self.end(child)
        took = time.monotonic() - start
        here = {i for i, b in enumerate(open(reached, "rb").read()) if b}
        words = open(said, errors="replace").read().strip().splitlines()
        shutil.rmtree(folder, ignore_errors=True)
        return code, took, here, words[-1][:160] if words else ""

    @staticmethod
    def end(child):
        """what is left of its session: a launcher ends its ranks when it is asked to"""
        for sign, wait in ((signal.SIGTERM, 3), (signal.SIGKILL, 0)):
            until = time.monotonic() + wait
            try:
                os.killpg(child.pid, sign)
                while time.monotonic() < until:
                    child.poll()
                    os.killpg(child.pid, 0)
                    time.sleep(0.05)
            except ProcessLookupError:
                break
        child.wait()

    def baseline(self, name):
        """runs it without a mutant: unfit[name] is '' where it is green, else why it says nothing"""
        if name not in self.known:
            self.unfit[name] = "no test of that name"
        else:
            code, self.took[name], self.reaches[name], words = self.run(name, self.within, -1)
            skip = {x["name"]: x["value"] for x in self.known[name].get("properties", [])}.get("SKIP_RETURN_CODE")
            self.unfit[name] = ("" if code == 0 else "it takes longer than %g s" % self.within if code is None
                                else "it is skipped here" if code == skip else "it fails without a mutant: " + words)
        print("%s: %s" % (name, self.unfit[name] or "%.0f s, %d places" % (self.took[name], len(self.reaches[name]))), flush=True)


def one_mutant(row, tests):
    """(state, the test that killed it or what is to be said); the quickest test that evaluates its place comes first"""
    names = [t for t in row.tests.split() if t != "timeout"]
    may_hang = "timeout" in row.tests.split()
    usable = [t for t in names if not tests.unfit[t]]
    hung = []
    if not usable:
        return "not run", ", ".join(names) + ": see above" if names else "it names no test"
    able = sorted((t for t in usable if row.id in tests.reaches[t]), key=lambda t: tests.took[t])
    for name in able:
        code, _, here, words = tests.run(name, max(LEAST, PATIENCE * tests.took[name]), row.id)
        if code is None:
            hung.append(name)
            if may_hang and row.id in here:
                return "killed", name + " (hung)"
        elif code and row.id in here:
            return "killed", name
        elif code:
            return "not run", "%s failed, but it was never reached: %s" % (name, words)
    return ("survived" if able else "never reached"), ", ".join(able or usable) + (" (hung: %s)" % ", ".join(hung) if hung else "")


def judge(row, state):
    if row.reason and state in ("survived", "never reached"):
        return "excused"
    if row.reason and state == "killed":
        return "stale reason"
    return state


def chosen(rows, args):
    if args.only:
        wanted = {int(x) for x in args.only.split(",")}
        rows = [r for r in rows if r.id in wanted]
    if args.file:
        rows = [r for r in rows if args.file in r.file]
    if args.test:
        rows = [r._replace(tests=" ".join(t for t in r.tests.split() if t in (args.test, "timeout"))) for r in rows if args.test in r.tests.split()]
    if args.tenth:
        k = time.localtime().tm_yday % 10 if args.tenth == "today" else int(args.tenth)
        rows = [r for r in rows if r.id % 10 == k]
    return rows


def summary(results):
    folders = collections.OrderedDict()
    for row, verdict in results:
        folders.setdefault(row.file.split("/")[0], collections.Counter())[verdict] += 1
    folders["all"] = sum(folders.values(), collections.Counter())
    for folder, count in folders.items():
        all_of = sum(count.values())
        print("%-10s %3d mutants: %s; %.1f %% killed" % (folder, all_of, ", ".join("%d %s" % (n, v) for v, n in sorted(count.items())),
                                                         100 * count["killed"] / max(1, all_of)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--tenth", help="rows whose id ends in this digit; today: in the day of the year's")
    parser.add_argument("--only", help="ids, by commas")
    parser.add_argument("--file", help="rows whose file holds this text")
    parser.add_argument("--test", help="this test alone, and the rows that name it")
    parser.add_argument("--within", type=float, default=900, help="leave out tests that take longer than so many seconds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="tests that run at once")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it has started is ended, too
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    build = os.path.realpath(args.build)
    rows = chosen(plant.read_table(os.path.join(HERE, "table.tsv")), args)
    refused = dict(line.rstrip("\n").split(" ", 1) for line in open(os.path.join(build, "planted", "refused"), encoding="utf-8"))
    lines = {x.split()[0]: ":".join(x.split()[1:]) for x in open(os.path.join(build, "planted", "planted"), encoding="utf-8")}
    tests, results = Tests(build, args.within), []

    def verdict_of(row):
        if str(row.id) in refused:
            state, why = "not planted", refused[str(row.id)]
        elif str(row.id) not in lines:
            state, why = "not planted", "the build is older than the table"
        else:
            state, why = one_mutant(row, tests)
        verdict = judge(row, state)
        print("%4d %-14s %-34s %s%s" % (row.id, verdict, lines.get(str(row.id), row.file), why, "; " + row.reason if row.reason else ""), flush=True)
        return row, verdict

    pool = concurrent.futures.ThreadPoolExecutor(args.jobs)
    try:
        list(pool.map(tests.baseline, sorted({t for r in rows for t in r.tests.split()} - {"timeout"})))
        results = list(pool.map(verdict_of, rows))
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(tests.scratch, ignore_errors=True)
    for row, verdict in results:
        if verdict not in GOOD:
            print("%s %d: %s: %s -> %s" % (verdict, row.id, row.file, row.old, row.new))
    summary(results)
    sys.exit(0 if all(v in GOOD for _, v in results) else 1)


if __name__ == "__main__":
    main()
