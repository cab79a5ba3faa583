"""gc against a registry written by hand, whose every object is known to be in use or not.

    registry_reach.py BINARY      in an empty folder
"""
import json
import os
import pathlib
import re
import shutil
import sys
import time

import numpy as np

from known import equal, must, put, sha256, shard, CHECKS

binary = sys.argv[1]
HOUR = 3600
objects = {} # name -> digest


def add(name, data):
    objects[name] = put("registry", data if isinstance(data, bytes) else json.dumps(data).encode())
    return objects[name]


def model(name, **facts):
    """a model with weights of its own"""
    weights = add(f"{name}'s weights", b"\x40\0\0\0\0\0\0\0 weights of " + name.encode())
    return add(name, dict({"schema": "nightshift.model/1", "weights": weights}, **facts))


def log(ref, *entries):
    folder = pathlib.Path("registry/log", ref)
    folder.mkdir(parents=True)
    for i, (old, new, evidence) in enumerate(entries, 1):
        (folder / f"{i:06}.json").write_text(json.dumps({"schema": "nightshift.ref/1", "ref": ref, "time": 1, "old": old, "new": new,
                                                         "who": "", "why": "", "evidence": evidence}))
    pathlib.Path("registry/refs").mkdir(exist_ok=True)
    pathlib.Path("registry/refs", ref).write_text(entries[-1][1] + "\n")


def make():
    """objects in use, then the others; returns the names of those in use"""
    shard_of_it = add("a shard's predictions", b"\x89HDF\r\n\x1a\n of the reference")
    baseline = add("baseline", {"schema": "nightshift.predictions/1", "files": [{"file": "predictions-00000.h5", "sha256": shard_of_it}]})
    selection = add("selection", b"\x89HDF\r\n\x1a\n of the selection")
    deep = {"deep": [[{"down": ["no digest", selection]}]]}
    manifest = add("manifest", {"predicateType": "nightshift.retrain/1", "predicate": {"data": deep}})
    grandparent = model("grandparent")
    parent = model("parent", parents=["0" * 64, grandparent], baseline=baseline)
    evaluation = add("evaluation", {"rows": 3})
    evidence = add("evidence", {"schema": "nightshift.gate/1", "rules": [{"evaluation": evaluation}]})
    before = model("before the log")
    first = model("first", parents=[parent], manifest=manifest)
    second = model("second")
    # a header of 123 bytes: these weights begin as JSON does
    brace = add("weights that begin with a brace", b"{\0\0\0\0\0\0\0 weights")
    third = add("third", {"schema": "nightshift.model/1", "weights": brace})
    array = add("a list", [model("listed")])
    fourth = model("fourth", more=array)
    log("production", (before, first, ""), (first, second, evidence), (second, third, ""))
    log("candidate", ("", fourth, ""))
    used = set(objects)
    # the rest names what is in use, and is named by what is not
    model("forgotten", parents=[first], baseline=baseline, manifest=manifest)
    nobody = add("named by what nobody names", b"\x89HDF of nobody")
    add("names another", {"file": nobody, "model": third})
    add("bytes", b"\x89HDF of an aborted run")
    return used


def there():
    found = {p.parent.name + p.name for p in pathlib.Path("registry/objects").glob("*/*")}
    names = {digest: name for name, digest in objects.items()}
    return {names.get(digest, digest) for digest in found}


def path_of(name):
    return pathlib.Path("registry/objects", objects[name][:2], objects[name][2:])


def age(path, hours):
    os.utime(path, (time.time() - hours * HOUR,) * 2)


def gc(*more):
    files, size = re.search(r": (\d+) files, (\d+) bytes (?:would be )?removed", must(binary, "registry", "gc", *more)).groups()
    return int(files), int(size)


def whole(used):
    """everything is of 1970: what is reached stays, the rest goes, and both are told to the byte"""
    for path in pathlib.Path("registry").rglob("*"):
        os.utime(path, (1e6, 1e6))
    shutil.copytree("registry", "before", copy_function=shutil.copy2)
    rest = set(objects) - used
    size = sum(path_of(name).stat().st_size for name in rest)
    equal(gc("--registry.dry"), (len(rest), size), "what would go")
    equal(there(), set(objects), "nothing goes where nothing is to go")
    equal(gc(), (len(rest), size), "what went")
    equal(there(), used, "what stays")
    equal(gc(), (0, 0), "once more")
    must(binary, "registry", "verify")
    # the newest entry is one of many: the way back stays open, and so does what lay on it
    must(binary, "registry", "rollback", "production")
    must(binary, "registry", "rollback", "production")
    for path in pathlib.Path("registry").rglob("*"):
        os.utime(path, (1e6, 1e6))
    equal(gc(), (0, 0), "after rollbacks")
    equal(there(), used, "what stays after rollbacks")


def restore():
    shutil.rmtree("registry")
    shutil.copytree("before", "registry", copy_function=shutil.copy2)


def without_candidate(used):
    """of two refs each keeps its own"""
    restore()
    shutil.rmtree("registry/log/candidate")
    os.unlink("registry/refs/candidate")
    gc()
    equal(there(), used - {"fourth", "fourth's weights", "a list", "listed", "listed's weights"}, "what stays without the candidate")


def grace(used):
    """by the file's own time, to the minute, with the hours that are said or a week"""
    restore()
    rest = sorted(set(objects) - used)
    left = pathlib.Path("registry/refs/production.0123456789abcdef.tmp")
    for more, hours in (([], 168), (["--registry.gc_hours=2.5"], 2.5), (["--registry.gc_hours=0"], 0)):
        for minutes, goes in ((-2, False), (2, True)):
            if hours == 0 and minutes < 0:
                continue
            left.write_text("killed")
            for path in [path_of(name) for name in rest] + [left]:
                age(path, hours + minutes / 60)
            taken = gc("--registry.dry", *more)[0]
            equal(taken, (len(rest) + 1) * goes, f"{hours} hours and {minutes} minutes old")
    # of what nothing names, each is judged by itself
    for i, name in enumerate(rest):
        age(path_of(name), 167 if i % 2 else 169)
    age(left, 167)
    gc()
    equal(there(), used | set(rest[1::2]), "a week")
    assert left.exists(), "what a writer left within the week"


def put_again():
    """whoever puts an object that is there already is about to name it: it becomes young"""
    net = ["--model.blocks=[1]", "--model.width=4", "--train.epochs=1", "--train.batch=4", "--train.virtual_ranks=2",
           "--train.precision=f32", "--threads=1"]
    shard("data.h5", [np.full((8, 8, 1), 10 * i, dtype="u1") for i in range(8)], [i % 2 for i in range(8)], ["ant", "bee"])
    for out in ("one", "two"):
        must(binary, "train", "--data=data.h5", "--out", out, *net)
        put_now = [sha256(f"{out}/{name}") for name in ("model.json", "model.safetensors")]
        paths = [pathlib.Path("registry/objects", d[:2], d[2:]) for d in put_now]
        if out == "one":
            before = put_now
            for path in paths:
                age(path, 1000)
    equal(put_now, before, "the same model")
    equal([p.stat().st_mtime > time.time() - 600 for p in paths], [True, True], "put again, and young")
    equal([oct(p.stat().st_mode & 0o777) for p in paths], ["0o444"] * 2, "objects are read-only")


used = make()
equal(len(used) + 5, len(objects), "five objects that nobody names")
whole(used)
without_candidate(used)
grace(used)
put_again()
print(f"{CHECKS[0]} checks passed")
