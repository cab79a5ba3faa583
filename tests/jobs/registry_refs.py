"""Refs: what each move does to the log, and races of which the order is chosen.

    registry_refs.py BINARY FAULT       in an empty folder; FAULT: the library that holds a process at a call, not there beside a sanitizer
"""
import json
import os
import pwd
import pathlib
import re
import signal
import subprocess
import sys
import time

from known import equal, must, put, start, CHECKS

binary, fault = sys.argv[1:]
REFUSED, USAGE, DAMAGED = 1, 64, 77

ME = pwd.getpwuid(os.geteuid()).pw_name  # whatever USER says


def make_models(names):
    for name in names:
        weights = put("registry", b"\x40\0\0\0\0\0\0\0 weights of " + name.encode())
        digest[name] = put("registry", json.dumps({"schema": "nightshift.model/1", "weights": weights, "name": name}).encode())
        called[digest[name]] = name


digest, called = {}, {"": ""}


def entries(ref):
    folder = pathlib.Path("registry/log", ref)
    names = sorted(p.name for p in folder.glob("*.json"))
    equal(names, [f"{i:06}.json" for i in range(1, len(names) + 1)], f"the numbers of {ref}")
    return [json.loads((folder / name).read_text()) for name in names]


def history(ref):
    """the models that it went through, each from the one before; the copy for people is the last"""
    log = entries(ref)
    equal([e["old"] for e in log], [""] + [e["new"] for e in log][:-1], f"{ref}: each entry goes from the one before")
    equal(pathlib.Path("registry/refs", ref).read_text(), log[-1]["new"] + "\n", f"the copy of {ref}")
    return "".join(called[e["new"]] for e in log)


def moves():
    """a rollback goes to what stood before, in the log read as a stack; whoever goes forward again goes on from there"""
    steps = [ # what is done, its exit code, the models that the ref went through by then
        ("A", 0, "A"), ("rollback", USAGE, "A"), ("B", 0, "AB"), ("C", 0, "ABC"), ("C", 0, "ABC"),
        ("rollback", 0, "ABCB"), ("rollback", 0, "ABCBA"), ("rollback", USAGE, "ABCBA"), # two back, and not forward again
        ("C", 0, "ABCBAC"), ("rollback", 0, "ABCBACA"), # C stands on A now
        ("D", 0, "ABCBACAD"), ("B", 0, "ABCBACADB"), ("D", 0, "ABCBACADBD"), # to what stood before, by hand: that is a rollback as well
        ("rollback", 0, "ABCBACADBDA"), ("rollback", USAGE, "ABCBACADBDA")]
    for i, (what, code, went) in enumerate(steps):
        args = ["rollback", "production"] if what == "rollback" else ["promote", "production", digest[what][:12]]
        equal(start(binary, "registry", *args, *(["--why", f"step {i}"] if i % 2 else [])).returncode, code, f"step {i}, {what}")
        equal(history("production"), went, f"after step {i}")
    log = entries("production")
    hand = "promoted by hand"
    equal([e["why"] for e in log[:6]], [hand, hand, "step 3", "step 5", "rolled back", hand], "why")
    equal([(e["who"], e["ref"], e["evidence"]) for e in log], [(ME, "production", "")] * len(log), "who, which, by what")
    assert all(abs(e["time"] - time.time()) < 600 for e in log) and [e["time"] for e in log] == sorted(e["time"] for e in log), log
    must(binary, "registry", "promote", "candidate", digest["C"])
    equal((history("candidate"), len(entries("production"))), ("C", len(log)), "another ref is another history")
    listed = dict(line.split() for line in must(binary, "registry", "list").splitlines())
    equal(listed, {"production": digest["A"], "candidate": digest["C"]}, "list")
    shown = [re.search(r"(\d+) .* ([0-9a-f]{12}|\(new\)) -> ([0-9a-f]{12})  (.*)", line).groups()
             for line in must(binary, "registry", "log", "production").splitlines()]
    equal(shown, [(str(i), e["old"][:12] or "(new)", e["new"][:12], e["why"]) for i, e in enumerate(log, 1)], "log")
    candidate = pathlib.Path("registry/objects", digest["C"][:2], digest["C"][2:]).read_text()
    equal(must(binary, "registry", "show", "candidate"), candidate, "show")


def two_of_one_beginning():
    """digits with which two objects begin name neither; all 64 still name one"""
    one = pathlib.Path("registry/objects", digest["E"][:2], digest["E"][2:])
    other = one.with_name(one.name[:-1] + ("1" if one.name[-1] == "0" else "0"))
    other.write_bytes(one.read_bytes())
    for verb in (["show"], ["promote", "candidate"]):
        refused = start(binary, "registry", *verb, digest["E"][:63])
        equal((refused.returncode, "is not unique" in refused.stdout), (USAGE, True), f"{verb} of two: {refused.stdout}")
    equal(history("candidate"), "C", "nobody has moved it")
    equal(must(binary, "registry", "show", digest["E"]), one.read_text(), "the whole digest is of one")
    other.unlink()
    equal(must(binary, "registry", "show", digest["E"][:63]), one.read_text(), "and so are its digits once it is alone")


def copies():
    """the copy for people says what the log says, and nothing behind it"""
    copy = pathlib.Path("registry/refs/production")
    says = copy.read_text()
    for text in (digest["C"] + "\n", says + "\n", says[:64], ""):
        copy.write_text(text)
        found = start(binary, "registry", "verify")
        equal((found.returncode, "but the log says " + digest["A"][:12] in found.stdout), (DAMAGED, True), f"{text!r}: {found.stdout}")
    copy.write_text(says)
    must(binary, "registry", "verify")


def held(*args):
    """started, and stopped right before its entry is put in place"""
    env = dict(os.environ, OMP_NUM_THREADS="1", USER="known", LD_PRELOAD=fault, NST_FAULT="link 0 STOP",
               NST_FAULT_UNDER=os.path.realpath("registry/log"))
    process = subprocess.Popen([binary, "registry", *args], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    until = time.time() + 60
    while "State:\tT" not in pathlib.Path(f"/proc/{process.pid}/status").read_text():
        assert process.poll() is None and time.time() < until, f"{args} was not held: {process.returncode}"
        time.sleep(0.01)
    return process


def race(first, second, codes, went):
    """`first` has looked at the log and is about to write; `second` comes in between. Refs named so are new."""
    ref = "".join(first[1:2])
    if "rollback" in first:
        for name in "ABC":
            must(binary, "registry", "promote", ref, digest[name])
    process = held(*first)
    got = start(binary, "registry", *second).returncode
    process.send_signal(signal.SIGCONT)
    process.communicate()
    equal((process.returncode, got), codes, f"{first} and then {second}")
    equal(history(ref), went, f"{ref}: after {first} and {second}")
    left = [p.name for p in pathlib.Path("registry/log", ref).iterdir() if not p.name.endswith(".json")]
    equal(left, [], f"{ref}: nothing is left of the race")


def races():
    promote, rollback = (lambda ref, name: ["promote", ref, digest[name]]), (lambda ref: ["rollback", ref])
    # a rollback expects what it has seen: where that is no longer there, it would not go back but undo another's move
    race(rollback("r1"), promote("r1", "D"), (REFUSED, 0), "ABCD")
    race(rollback("r2"), promote("r2", "A"), (REFUSED, 0), "ABCA")
    # two who want the same of the same: one step, and both are where they wanted to be
    race(rollback("r3"), rollback("r3"), (0, 0), "ABCB")
    # a promotion by hand expects nothing: it goes on top of whatever came in between, from there
    race(promote("p1", "D"), promote("p1", "E"), (0, 0), "ED")
    race(promote("p2", "D"), promote("p2", "D"), (0, 0), "D")


make_models("ABCDE")
moves()
two_of_one_beginning()
copies()
if os.path.exists(fault):
    races()
else:
    print("races were not chosen: nothing holds a process beside a sanitizer")
print(f"{CHECKS[0]} checks passed")
