#!/usr/bin/env python3
"""differ.py A B: where two files differ, and how. An HDF5 file by data set, safetensors by tensor, text by line, others by byte."""
import json
import pathlib
import subprocess
import sys


def tensors(data):
    """(name, type, first byte, last byte) of a safetensors file, or nothing"""
    size = int.from_bytes(data[:8], "little")
    if not 2 <= size <= len(data) - 8 or data[8:9] != b"{":
        return []
    try:
        header = json.loads(data[8:8 + size])
        return [(name, t["dtype"], *(8 + size + at for at in t["data_offsets"])) for name, t in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError):
        return []


def of_bytes(a, b):
    n = min(len(a), len(b))
    places = [i for i in range(n) if a[i] != b[i]]
    sizes = f"{len(a)} and {len(b)} bytes" if len(a) != len(b) else f"{n} bytes each"
    if not places:
        return f"{sizes}, the same as far as both go"
    first = places[0]
    said = f"{sizes}, {len(places)} differ, the first at offset {first}: 0x{a[first]:02x} and 0x{b[first]:02x}"
    for name, kind, begin, end in tensors(a):
        if begin <= first < end:
            width = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2}.get(kind, 1)
            said += f"; it is {name}[{(first - begin) // width}]"
    return said


def of_text(a, b, paths):
    for number, (x, y) in enumerate(zip(a.splitlines(), b.splitlines()), 1):
        if x != y:
            column = next((i for i, (p, q) in enumerate(zip(x, y)) if p != q), min(len(x), len(y)))
            near = slice(max(0, column - 30), column + 40)
            where = f"line {number}, column {column + 1}: '{x[near]}' and '{y[near]}'"
            break
    else:
        where = f"{len(a.splitlines())} and {len(b.splitlines())} lines, the same as far as both go"
    shown = subprocess.run(["diff", "-u", *paths], capture_output=True, text=True).stdout.splitlines()
    return "\n".join([where, *(line[:200] for line in shown[:20])] + ([f"... {len(shown) - 20} lines more"] if len(shown) > 20 else []))


def differing_values(name, x, y):
    import numpy as np
    if x.shape != y.shape or x.dtype != y.dtype:
        return f"{name}: {x.dtype}{list(x.shape)} and {y.dtype}{list(y.shape)}"
    places = np.argwhere(np.asarray(x != y) & ~np.asarray((x != x) & (y != y))) # a NaN is itself here
    if not len(places):
        return None
    at = tuple(int(i) for i in places[0])
    return f"{name}: {len(places)} of {x.size} values differ, the first at {list(at)}: {x[at]!r} and {y[at]!r}"


def of_hdf5(paths):
    import h5py
    with h5py.File(paths[0], "r") as a, h5py.File(paths[1], "r") as b:
        found = [[], []]
        for f, names in zip((a, b), found):
            f.visititems(lambda name, item, names=names: names.append(name) if isinstance(item, h5py.Dataset) else None)
        said = [f"{name} is in {paths[name in found[1]]} alone" for name in sorted(set(found[0]) ^ set(found[1]))]
        both = [name for name in found[0] if name in found[1]]
        said += [differing_values(name, a[name][()], b[name][()]) for name in both]
        for name in ["/", *both]:
            for key in sorted({*a[name].attrs, *b[name].attrs}):
                x, y = (f[name].attrs.get(key) for f in (a, b))
                if repr(x) != repr(y):
                    said.append(f"attribute {key} of {name}: {str(x)[:80]!r} and {str(y)[:80]!r}")
    said = [line for line in said if line]
    return "\n".join(said[:20]) if said else "the same data sets and attributes, stored in other bytes"


def main():
    paths = sys.argv[1:3]
    for path in paths:
        if not pathlib.Path(path).is_file():
            return f"{path} is not there"
    a, b = (pathlib.Path(path).read_bytes() for path in paths)
    if a == b:
        return "they do not"
    if a[:4] == b[:4] == b"\x89HDF":
        try:
            return of_hdf5(paths) + "\n" + of_bytes(a, b)
        except (ImportError, OSError, KeyError) as why: # damaged, or no h5py
            return f"{of_bytes(a, b)} (as HDF5 they cannot be read: {why})"
    try:
        if b"\0" not in a + b:
            return of_text(a.decode(), b.decode(), paths)
    except UnicodeDecodeError:
        pass
    return of_bytes(a, b)


if __name__ == "__main__":
    print(main())
