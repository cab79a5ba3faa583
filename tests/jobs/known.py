"""What tests with known answers share: the program's formulas in plain Python, and writers of the files that it reads.

The formulas are written from their papers and from docs/formats.md, not from the program's code: where both agree, two have read the same
definition.
"""
import hashlib
import json
import os
import pathlib
import struct
import subprocess

import h5py
import numpy as np

from draws import AUDIT, draw

EPOCH = 1700000000


# --- the gate's half ---

def audit_draw(identity, seed):
    low, high = draw(seed, AUDIT, 1, int(identity), 0)[:2]
    return high << 32 | low


def gate_rows(ids, labels, seed, of=None):
    """of the labelled rows the half with the smaller draws; an image that is there twice is on one side, and a sequence, of[i] of row i, is drawn whole: then
    the half ends where a draw does, nearest to the middle"""
    least = {b: min(i for i, c in zip(ids, of) if c == b) for b in set(of)} if of else {}
    order = sorted((audit_draw(least[of[i]] if of else ids[i], seed), i) for i in range(len(ids)) if labels[i] >= 0)
    ends = [0] + [k + 1 for k in range(len(order) - 1) if order[k][0] != order[k + 1][0]]
    return {i for _, i in order[:min(ends, key=lambda k: (abs(k - len(order) // 2), -k))]}


# --- files ---

def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def identity(image):
    h, w, c = image.shape
    return int.from_bytes(hashlib.sha256(image.tobytes() + struct.pack("<III", h, w, c)).digest()[:8], "big")


def texts(list_of_text):
    return np.array([t.encode() for t in list_of_text])


def shard(path, images, labels, classes, times=None):
    """a shard as another program would write it; returns its identities"""
    ids = np.array([identity(x) for x in images], dtype="u8")
    with h5py.File(path, "w") as f:
        f.attrs["schema"] = np.bytes_("nightshift.shard/1")
        f.attrs["dataset"] = np.bytes_("known")
        f.attrs["encoding"] = np.bytes_("raw")
        f.attrs["created"] = np.bytes_("2023-11-14T22:13:20Z")
        f.attrs["classes"] = texts(classes)
        f["image"] = np.asarray(images, dtype="u1")
        f["label"] = np.asarray(labels, dtype="i4")
        f["id"] = ids
        f["time"] = np.asarray(times if times is not None else [EPOCH] * len(ids), dtype="i8")
        f["group"] = np.zeros(len(ids), dtype="i4")
    return ids


def predictions(path, ids, labels, prob, classes, model="", times=None):
    prob = np.asarray(prob, dtype="f4")
    with h5py.File(path, "w") as f:
        f.attrs["schema"] = np.bytes_("nightshift.predictions/1")
        f.attrs["temperature"] = 1.0
        if model:
            f.attrs["model"] = np.bytes_(model)
        f.attrs["classes"] = texts(classes)
        f["id"], f["label"] = np.asarray(ids, dtype="u8"), np.asarray(labels, dtype="i4")
        f["prob"], f["pred"] = prob, prob.argmax(1).astype("i4")
        if times is not None:
            f["time"] = np.asarray(times, dtype="i8")


def put(registry, data):
    """an object of the registry; returns its digest"""
    digest = hashlib.sha256(data).hexdigest()
    path = pathlib.Path(registry, "objects", digest[:2], digest[2:])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return digest


def read(path):
    return json.loads(pathlib.Path(path).read_text())


# --- runs ---

def start(binary, *args, **env):
    settings = dict(os.environ, OMP_NUM_THREADS="1", USER="known", **env)
    return subprocess.run([binary, *map(str, args)], env=settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")


def must(binary, *args, **env):
    done = start(binary, *args, **env)
    if done.returncode:
        raise SystemExit(f"nightshift {' '.join(map(str, args))} exited {done.returncode}: {done.stdout}")
    return done.stdout


CHECKS = [0]


def equal(got, want, what):
    if isinstance(got, list) and isinstance(want, list) and len(got) == len(want) > 8: # where they differ is enough
        at = next((i for i, pair in enumerate(zip(got, want)) if pair[0] != pair[1]), 0)
        got, want, what = got[at:], want[at:], f"{what}, from item {at} on"
        assert got == want, f"{what}: {got[:2]!r}, wanted {want[:2]!r}"
    assert got == want, f"{what}: {got!r}, wanted {want!r}"
    CHECKS[0] += 1


def near(got, want, tolerance, what):
    assert got is not None and abs(got - want) <= tolerance, f"{what}: {got!r}, wanted {want!r} within {tolerance}"
    CHECKS[0] += 1
