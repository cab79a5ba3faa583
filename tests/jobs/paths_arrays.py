"""Images and labels as arrays of NumPy and HDF5, for paths.py: what numpy and h5py wrote, to the pixel; and each error with its file, what was
found and what is wanted."""
import io
import json
import pathlib
import struct
import zipfile

import h5py
import numpy


def stored(folder="out"):
    """[(name, class or None)], pixels (N,H,W,C), classes: as a set has them"""
    index = json.loads(pathlib.Path(folder, "dataset.json").read_text(encoding="utf-8"))
    names, pixels = [], []
    for shard in index["shards"]:
        with h5py.File(f"{folder}/{shard['file']}") as f:
            source, at, label = f["source"][()].tobytes(), f["source_offset"][:], f["label"][:]
            names += [(source[int(at[i]):int(at[i + 1])].decode(), index["classes"][k] if k >= 0 else None) for i, k in enumerate(label)]
            pixels.append(f["image"][:])
    return names, numpy.concatenate(pixels), index["classes"]


def images(n, *shape, seed=1):
    return numpy.random.default_rng(seed).integers(0, 256, (n, *shape), dtype="u1")


def npy(array, **how):
    out = io.BytesIO()
    numpy.lib.format.write_array(out, array, **how)
    return out.getvalue()


class Checks:
    def __init__(self, binary, check, ingest, lines):
        self.binary, self.check, self.ingest, self.lines = binary, check, ingest, lines

    def taken(self, source, x, names, classes, *options, folder="out", key=None, run=True):
        """the pixels of x and these names of classes, item by item; returns what was said"""
        said = self.ingest(self.binary, source, *options) if run else ""
        wanted = [f"{pathlib.Path(source).name}{f'[{key}]' if key else ''}#{i}" for i in range(len(x))]
        found, pixels, classes_of = stored(folder)
        x = x[..., None] if x.ndim == 3 else x
        self.check(found == list(zip(wanted, names)), f"{source}: rows {found}, wanted {list(zip(wanted, names))}")
        self.check(classes_of == classes, f"{source}: classes {classes_of}, wanted {classes}")
        self.check(pixels.shape == x.shape and (pixels == x).all(), f"{source}: other pixels, of {pixels.shape}, wanted {x.shape}")
        return said

    def refused(self, source, *said):
        text = self.ingest(self.binary, source, wanted=65)
        for part in (*said, str(source)):
            self.check(part in text, f"{source}: no error with '{part}': {text}")
        self.check(not pathlib.Path("out/dataset.json").exists(), f"{source}: something is published")


def npy_files(t):
    """shapes, widths of labels, texts, what the labels' file is called"""
    x, y = images(12, 5, 7), numpy.arange(12) % 3
    numbers = [str(k) for k in y]
    for name, beside in (("x.npy", "y.npy"), ("X.npy", "y.npy"), ("x_train.npy", "y_train.npy"), ("train-images.NPY", "train-labels.NPY"), ("Images.npy", "Labels.npy"),
                         ("data.npy", "labels.npy"), ("max_x.npy", "max_y.npy"), ("my.data.npy", "my.target.npy"), ("image_1.npy", "label_1.npy")):
        folder = pathlib.Path("npy", name)
        folder.mkdir(parents=True)
        (folder / name).write_bytes(npy(x))
        t.taken(f"{folder}/{name}", x, [None] * 12, [])
        t.check(t.lines("passed.jsonl") and "not there" in list(t.lines("passed.jsonl").values())[0], f"{name}: {t.lines('passed.jsonl')}")
        (folder / beside).write_bytes(npy(y))
        said = t.taken(f"{folder}/{name}", x, numbers, ["0", "1", "2"])
        t.check(f"{name}: is uint8 (12, 5, 7), taken for (N,H,W)" in said, f"{name}: {said}")
    numpy.save("npy/pixels.npy", x) # the x in a word is none
    said = t.taken("npy/pixels.npy", x, [None] * 12, [])
    t.check("no labels: those of images.npy are sought" in said, said)
    numpy.save("npy/xenon.npy", x)
    numpy.save("npy/yenon.npy", y)
    t.taken("npy/xenon.npy", x, [None] * 12, [])
    for form in ("u1", "i1", "<u2", ">u2", "<i2", ">i4", "<u4", "<i8", ">i8", "<u8", ">u8"):
        numpy.save("npy/x.npy/y.npy", y.astype(form).reshape(-1, 1))
        t.taken("npy/x.npy/x.npy", x, numbers, ["0", "1", "2"])
    numpy.save("npy/x.npy/y.npy", y == 1)
    t.taken("npy/x.npy/x.npy", x, ["1" if k == 1 else "0" for k in y], ["0", "1"])
    numpy.save("npy/x.npy/y.npy", numpy.where(y == 2, -1, y * 10).astype(">i2"))
    t.taken("npy/x.npy/x.npy", x, [None if k == 2 else f"{k * 10:02}" for k in y], [f"{k:02}" for k in range(11)])
    t.taken("npy/x.npy/x.npy", x, [["a", "k", None][k] for k in y], list("abcdefghijklm")[:11], "--ingest.classes=[a, b, c, d, e, f, g, h, i, j, k]")
    texts = ["käse", "猫 𝄞", "", "dog"] * 3
    numpy.save("npy/x.npy/y.npy", numpy.array(texts))
    t.taken("npy/x.npy/x.npy", x, [n or None for n in texts], ["dog", "käse", "猫 𝄞"])
    numpy.save("npy/x.npy/y.npy", numpy.array(texts).astype(">U7"))
    t.taken("npy/x.npy/x.npy", x, [n or None for n in texts], ["dog", "käse", "猫 𝄞"])
    numpy.save("npy/x.npy/y.npy", numpy.array([["cat"], ["bee"]] * 6, "S5"))
    t.taken("npy/x.npy/x.npy", x, ["cat", "bee"] * 6, ["bee", "cat"])
    t.ingest(t.binary, "npy/x.npy/x.npy", "--ingest.classes=[cat, ant]")
    t.check(len(stored()[0]) == 6 and "class 'bee' is not in ingest.classes" in t.lines("quarantine.jsonl")["x.npy#1"], f"an unknown class: {t.lines('quarantine.jsonl')}")
    numpy.save("npy/x.npy/y.npy", numpy.array(["10", "9", "-1"] * 4)) # texts that are numbers are in the order of numbers
    t.taken("npy/x.npy/x.npy", x, ["10", "9", None] * 4, ["9", "10"])
    numpy.save("npy/x.npy/y.npy", numpy.array(["1", "0", "cat"] * 4)) # or indices into names that are given
    t.taken("npy/x.npy/x.npy", x, ["dog", "cat", "cat"] * 4, ["cat", "dog"], "--ingest.classes=[cat, dog]")
    for shape, taken in (((6, 4, 5, 1), "(N,H,W,C)"), ((6, 4, 5, 3), "(N,H,W,C)"), ((6, 1, 4, 5), "(N,C,H,W)"), ((6, 3, 4, 5), "(N,C,H,W)"), ((6, 3, 4, 3), "(N,H,W,C)"),
                         ((6, 4, 3, 1), "(N,H,W,C)"), ((1, 1, 1), "(N,H,W)"), ((300, 33, 31), "(N,H,W)")):
        z = images(*shape)
        numpy.save("npy/z.npy", z)
        said = t.taken("npy/z.npy", z.transpose(0, 2, 3, 1) if taken == "(N,C,H,W)" else z, [None] * len(z), [])
        t.check(f"taken for {taken}" in said, f"{shape}: {said}")
    for version in ((1, 0), (2, 0), (3, 0)):
        pathlib.Path("npy/z.npy").write_bytes(npy(x, version=version))
        t.taken("npy/z.npy", x, [None] * 12, [])
    old = b"{'shape': (12L, 5L, 7L), \"descr\" :'|u1','fortran_order':False}\n"
    pathlib.Path("npy/z.npy").write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(old)) + old + x.tobytes())
    t.taken("npy/z.npy", x, [None] * 12, [])


def npz_files(t):
    """keys, packed and stored, splits in any order, labels before their images"""
    x, y, v, w = images(40, 6, 5), numpy.arange(40) % 4, images(9, 6, 5, seed=2), numpy.arange(9) % 2 + 3
    classes, names_y, names_w = [str(k) for k in range(5)], [str(k) for k in y], [str(k) for k in w]
    for save in (numpy.savez, numpy.savez_compressed):
        for keys in (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "target"), ("data", "targets"), ("arr_0", "arr_1"), ("image", "Label")):
            save("one.npz", **{keys[1]: y, "other": numpy.zeros(3), keys[0]: x})
            t.taken("one.npz", x, names_y, classes[:4], key=keys[0])
            t.check("by its name" in t.lines("passed.jsonl")["one.npz[other]"], f"{keys}: {t.lines('passed.jsonl')}")
            save("bare.npz", **{keys[0]: x})
            t.taken("bare.npz", x, [None] * 40, [], key=keys[0])
        for keys in (("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels"), ("x_val", "y_val", "X_Train", "Y_Train")):
            for order in ((0, 1, 2, 3), (3, 0, 1, 2), (2, 3, 1, 0)):
                save("both.npz", **{keys[i]: (x, y.reshape(-1, 1).astype("u1"), v, w.reshape(-1, 1).astype("u1"))[i] for i in order})
                first, second = (next(p for p in k.split("_") if p not in ("x", "y", "X", "images")) for k in (keys[0], keys[2]))
                t.ingest(t.binary, "both.npz")
                t.taken("both.npz", x, names_y, classes, folder=f"out/{first}", key=keys[0], run=False)
                t.taken("both.npz", v, names_w, classes, folder=f"out/{second}", key=keys[2], run=False)
        t.taken("both.npz", v, names_w, classes, f"--ingest.splits={second}", key=keys[2])
        t.ingest(t.binary, "both.npz", "--ingest.splits=pool")
        t.check(len(stored()[0]) == 49, "pooled")
        save("only.npz", pictures=x, weights=numpy.zeros(40, "f4"), labels=y)
        t.check("the only array that can be" in t.taken("only.npz", x, names_y, classes[:4], key="pictures"), "the only array is not told")
        save("alone.npz", x_train=x, y_train=y)
        t.taken("alone.npz", x, names_y, classes[:4], key="x_train")
        save("beside.npz", x_train=x, y_train=y, x_test=v, y_test=w, images=v)
        t.ingest(t.binary, "beside.npz")
        t.check("others are" in t.lines("passed.jsonl")["beside.npz[images]"], f"beside splits: {t.lines('passed.jsonl')}")
        colour = images(8, 3, 70, 50)
        save("texts.npz", images=colour, labels=numpy.array(["b", "a"] * 4))
        t.taken("texts.npz", colour.transpose(0, 2, 3, 1), ["b", "a"] * 4, ["a", "b"], key="images")
        t.ingest(t.binary, "texts.npz", "--ingest.split={one: 4, two: 4}") # in another order than the file has them
        found = {name: (of, p.tobytes()) for s in ("one", "two") for (name, of), p in zip(*stored(f"out/{s}")[:2])}
        wanted = {f"texts.npz[images]#{i}": ("ba"[i % 2], p.tobytes()) for i, p in enumerate(colour.transpose(0, 2, 3, 1))}
        t.check(found == wanted, "texts.npz: permuted, other pixels")
    for bad, keys in (({"images": x, "labels": y, "a/b": y}, ()), ({"x": x, "data": y, "y": y}, ("one.npz[data]",))): # the first name of the table is the images'
        numpy.savez("one.npz", **bad)
        t.ingest(t.binary, "one.npz")
        t.check(set(keys) <= set(t.lines("passed.jsonl")), f"{list(bad)}: {t.lines('passed.jsonl')}")


def hdf5_files(t):
    """names, groups, splits by groups and names, texts of any length; chunks and what packs them"""
    x, y = images(20, 6, 5, 3), numpy.arange(20) % 2
    ways = ({}, {"chunks": (7, 6, 5, 3), "compression": "gzip", "shuffle": True}, {"chunks": (1, 2, 5, 1), "fletcher32": True})
    for name, how in zip(("a.h5", "b.hdf5", "c.HDF"), ways):
        for keys in (("images", "labels"), ("x", "y"), ("data", "label"), ("some/image", "some/target")):
            with h5py.File(name, "w") as f:
                f.create_dataset(keys[0], data=x, **how)
                f[keys[1]] = y.astype(">i4")
                f["deep/deeper/x"] = x
            t.taken(name, x, [str(k) for k in y], ["0", "1"], key=keys[0])
    with h5py.File("a.h5", "w") as f:
        f["pictures"], f["notes"] = x[..., 0], numpy.zeros((20, 6, 5))
    t.check("the only array" in t.taken("a.h5", x[..., 0], [None] * 20, [], key="pictures"), "the only array is not told")
    large = images(3000, 28, 28) # of more than is read at once
    with h5py.File("a.h5", "w") as f:
        f.create_dataset("x", data=large, chunks=True)
    t.taken("a.h5", large, [None] * 3000, [], key="x")
    t.ingest(t.binary, "a.h5", "--ingest.split={few: 7, some: 900}")
    for name, pixels in (pair for s in ("few", "some") for pair in zip(*stored(f"out/{s}")[:2])):
        t.check((pixels[..., 0] == large[int(name[0].split("#")[1])]).all(), f"{name}: other pixels")
    texts = ["käse", "dog ", "", "猫"] * 5
    for form in (h5py.string_dtype(), h5py.string_dtype("ascii"), h5py.string_dtype("utf-8", 6), h5py.string_dtype("ascii", 4)):
        these = [n if n.isascii() else "cat" for n in texts] if h5py.check_string_dtype(form).encoding == "ascii" else texts
        with h5py.File("a.h5", "w") as f:
            f["x"] = x
            f.create_dataset("label", data=[n.encode() for n in these], dtype=form)
        t.taken("a.h5", x, [n or None for n in these], sorted({n for n in these if n}), key="x")
    for keys in (("train/x", "train/y", "test/x", "test/y"), ("train_set_x", "train_set_y", "test_set_x", "test_set_y"), ("train_images", "train_labels", "test_images", "test_labels")):
        with h5py.File("a.h5", "w") as f:
            for i, values in enumerate((x, y, x[:3] ^ 255, y[:3])):
                f[keys[i]] = values
            f["list_classes"] = numpy.array([b"non-cat", b"cat"])
        t.ingest(t.binary, "a.h5")
        t.taken("a.h5", x, [str(k) for k in y], ["0", "1"], folder="out/train", key=keys[0], run=False)
        t.taken("a.h5", x[:3] ^ 255, [str(k) for k in y[:3]], ["0", "1"], folder="out/test", key=keys[2], run=False)
        t.check("by its name" in t.lines("passed.jsonl")["a.h5[list_classes]"], f"{keys}: {t.lines('passed.jsonl')}")


def several(t):
    """arrays of several files as one set, whose files are closed in between"""
    x, y = images(4, 6, 5), numpy.arange(4) % 3
    for i in range(3):
        numpy.savez(f"s{i}.npz", x=x + i, y=y)
        numpy.save(f"s{i}_x.npy", x + 3 + i)
        numpy.save(f"s{i}_y.npy", y)
        with h5py.File(f"s{i}.h5", "w") as f:
            f["x"], f["y"] = x + 6 + i, y
    sources = [f"s{i}{end}" for end in (".npz", "_x.npy", ".h5") for i in range(3)]
    t.ingest(t.binary, sources[0], *sources[1:])
    found, pixels, classes = stored()
    t.check([c for _, c in found] == [str(k) for k in y] * 9 and classes == ["0", "1", "2"], f"several: {found}")
    t.check((pixels[..., 0] == numpy.concatenate([x + i for i in range(9)])).all(), "several: other pixels")


def wrong_arrays(t):
    """each by all three kinds of file, where it can be in one"""
    x, y = images(6, 4, 5), numpy.arange(6)

    def each(said, images_, labels=None, kinds="nzh"):
        for name in ("bad/x.npy", "bad/x.npz", "bad/x.h5"):
            pathlib.Path("bad").mkdir(exist_ok=True)
            pathlib.Path("bad/y.npy").unlink(missing_ok=True)
            if name[-1] == "y" and "n" in kinds:
                pathlib.Path(name).write_bytes(npy(images_))
                if labels is not None:
                    pathlib.Path("bad/y.npy").write_bytes(npy(labels))
            elif name[-1] == "z" and "z" in kinds:
                numpy.savez(name, x=images_, **({} if labels is None else {"y": labels}))
            elif name[-1] == "5" and "h" in kinds:
                with h5py.File(name, "w") as f:
                    f["x"] = images_
                    if labels is not None:
                        f["y"] = labels
            else:
                continue
            place = {"y": "bad/y.npy", "z": "bad/x.npz[y]", "5": "bad/x.h5[y]"}[name[-1]]
            text = t.ingest(t.binary, name, wanted=65)
            for part in said:
                part = part.replace("Y:", place + ":").replace("X:", (place.replace("y.npy", "x.npy") if name[-1] == "y" else f"{name}[x]") + ":")
                t.check(part in text, f"{name}: no error with '{part}': {text}")

    each(["X: is float32 (6, 4, 5); images of uint8 are taken: multiply by 255"], x.astype("f4"))
    each(["X: is float64 (6, 4, 5)", "store them as uint8"], x / 255)
    each(["X: is int8 (6, 4, 5); images of uint8"], x.astype("i1"))
    each(["X: is uint16 (6, 4, 5); images of uint8"], x.astype("<u2"))
    each(["X: is bool (6, 4, 5); images of uint8"], x > 100, kinds="nz")
    each(["X: is object (6,), a pickle that could run anything and is never loaded"], numpy.array([None, *range(5)], object), kinds="nz")
    each(["X: is uint8 (6, 4, 5) in Fortran order, expected C order"], numpy.asfortranarray(x), kinds="nz")
    each(["X: is uint8 (6, 20), expected (N,H,W)"], x.reshape(6, 20))
    each(["X: is uint8 (6, 4, 5, 4), expected 1 or 3 channels"], images(6, 4, 5, 4))
    each(["X: is uint8 (6, 2, 4, 5), expected 1 or 3 channels"], images(6, 2, 4, 5))
    each(["X: is uint8 (1, 6, 4, 5, 1), expected (N,H,W)"], x[None, ..., None])
    each(["X: is uint8 (1, 1, 1, 1, 1, 1, 1, 1, ...), expected (N,H,W)"], x[:, 0, 0].reshape((1,) * 8 + (6,)))
    each(["X: is uint8 (0, 4, 5): holds no images"], x[:0])
    each(["X: is uint8 (6, 0, 5): images of 0 x 5, expected sides from 1 to 16384"], x[:, :0])
    each(["X: is uint8 (6, 4, 0): images of 4 x 0"], x[..., :0])
    each(["X: is uint8 (1, 1, 16385): images of 1 x 16385, expected sides from 1 to 16384"], images(1, 1, 16385))
    each(["Y: has 5 labels, but bad/x", " has 6 images"], x, y[:5])
    each(["Y: is int64 (6, 3), expected one label for each image, (N,) or (N,1)"], x, numpy.eye(6, 3, dtype=int))
    each(["Y: is float32 (6,), expected labels that are whole numbers or texts", "y.astype('int64')"], x, y.astype("f4"))
    each(["Y: is object (6,), expected labels", "never loaded"], x, numpy.array(["a", None] * 3, object), kinds="nz")
    each(["Y: label 4 is -2, expected 0 to 1048575, or -1"], x, numpy.where(y == 4, -2, y))
    each(["Y: label 2 is 1048576, expected"], x, numpy.where(y == 2, 1048576, y))
    each(["Y: label 2 is 9223372036854775807, expected"], x, numpy.array([0, 1, 2**64 - 1, 3, 4, 5], "u8"), kinds="nz")
    each(["a number in it is beyond 8 bytes"], x, numpy.array([2**64 - 1] * 6, "u8"), kinds="h")
    each(["Y: is <M8[D] (6,), expected labels"], x, numpy.array(["2024-01-01"] * 6, "M8[D]"), kinds="nz")
    each(["Y: is records (6,), expected labels"], x, numpy.zeros(6, [("a", "i4"), ("b(]", "f4", (2,))]), kinds="nz")
    each(["Y: is |S4097 (6,), of 4097 bytes each"], x, numpy.array(["x" * 4097] * 6, "S"), kinds="nz")
    each(["Y: label 0 has a 0 within its text"], x, numpy.array([b"a\0b"] * 6), kinds="nz")
    each(["Y: label 1 is no text of Unicode"], x, numpy.array([[65], [0xd800]] * 3, "<u4").view("<U1"), kinds="nz")
    each(["has a name that is not UTF-8"], x, numpy.array([b"caf\xe9"] * 6))


def wrong_files(t):
    """files that are damaged, cut short, or hold no images"""
    x, y = images(6, 4, 5), numpy.arange(6)
    whole, path = npy(x), pathlib.Path("bad/x.npy")
    for data, said in ((whole[:-1], "holds 119 bytes of values, expected 120 of uint8 (6, 4, 5)"), (whole + b"x", "holds 121 bytes of values, expected 120"),
                       (whole[:11], "has 11 bytes, expected an array"), (b"", "has 0 bytes"), (whole[:100], "a header of 128: it is cut short"),
                       (b"PK\3\4" + whole[4:], "starts 504b0304"), (whole[:6] + b"\4" + whole[7:], "is of version 4"), (whole.replace(b"descr", b"dexcr"), "has the header {'dexcr'"),
                       (whole.replace(b"(6, 4, 5)", b"(6, 4, -)"), "has the header"), (whole.replace(b"False", b"Falsh"), "has the header"),
                       (whole.replace(b"(6, 4, 5), }", b"(6, 4, 5),  "), "has the header"), (whole.replace(b"'|u1'", b"'*u1'"), "has the header"),
                       (whole.replace(b"(6, 4, 5), }         ", b"(99999999999, 6, 6), }"), "expected 3599999999964"),
                       (b"\x93NUMPY\2\0\xff\xff\xff\x7f" + whole[10:], "claims a header of 2147483647 bytes")):
        path.write_bytes(data)
        t.refused("bad/x.npy", said)
    numpy.savez_compressed("bad/x.npz", x_train=images(600, 9, 9), y_train=numpy.arange(600) % 7)
    numpy.savez("bad/stored.npz", x_train=images(600, 9, 9), y_train=numpy.arange(600) % 7)
    for name in ("bad/x.npz", "bad/stored.npz"):
        good = pathlib.Path(name).read_bytes()
        for cut in (10, 60, 5000, good.index(b"y_train") - 30, good.index(b"y_train") + 60):
            pathlib.Path("bad/cut.npz").write_bytes(good[:cut])
            t.refused("bad/cut.npz")
        for at in (3000, 20000, 45000):
            pathlib.Path("bad/turned.npz").write_bytes(good[:at] + bytes([good[at] ^ 16]) + good[at + 1:])
            t.refused("bad/turned.npz", "in array 1: ")
    for members, said in (({"images.npy": whole[:-1]}, "bad/x.npz[images]: holds 119 bytes of values, expected 120"), ({"images.npy": whole[:9]}, "[images]: has 9 bytes"),
                          ({"images.npy": whole[:60]}, "[images]: ends within its header"), ({"a.txt": b"words"}, "holds no images"),
                          ({"images.npy": whole, "labels.npy": npy(y)[:-8]}, "[labels]: holds 40 bytes"), ({"a.npy": npy(y), "b.npy": npy(x.astype("f4"))}, "found a: int64 (6,), b: float32 (6, 4, 5)"),
                          ({"a.npy": whole, "b.npy": whole}, "several arrays could be its images"), ({"a/x.npy": whole, "b/x.npy": whole}, "are both images, expected one"),
                          ({"x_train.npy": whole, "y_train.npy": npy(y), "x_test.npy": whole, "y_test.npy": npy(y.astype("S1"))}, "numbers and labels that are texts"), ({}, "holds no images")):
        with zipfile.ZipFile("bad/x.npz", "w", zipfile.ZIP_DEFLATED) as z:
            for name, data in members.items():
                z.writestr(name, data)
        t.refused("bad/x.npz", said)
    pathlib.Path("bad/x.npz").write_bytes(whole)
    t.refused("bad/x.npz")
    with h5py.File("bad/good.h5", "w") as f:
        f.create_dataset("x", data=images(500, 8, 8), chunks=(50, 8, 8), compression="gzip")
        f["y"] = numpy.arange(500) % 3
    good = pathlib.Path("bad/good.h5").read_bytes()
    for data in (good[:-1], good[:3000], good[:100], b"", whole, b"\x0e\x03\x13\x01" + bytes(500)):
        pathlib.Path("bad/x.h5").write_bytes(data)
        t.refused("bad/x.h5")
    for fill, said in ((lambda f: f.create_dataset("x", (2**40, 8, 8), "u1", chunks=(50, 8, 8)), "claims"), (lambda f: f.create_dataset("x", data=x, compression="lzf"), "lzf"),
                       (lambda f: f.__setitem__("x", h5py.ExternalLink("good.h5", "x")), "holds no images"), (lambda f: f.__setitem__("x", h5py.SoftLink("/y")), "holds no images"),
                       (lambda f: f.create_dataset("x", (500, 8, 8), "u1", external=[("good.h5", 0, 32000)]), "another file"),
                       (lambda f: (f.create_dataset("x", data=x), f.create_dataset("y", data=["x" * 4097] * 6)), "a text has more than 4096 bytes"),
                       (lambda f: f.attrs.__setitem__("schema", "nightshift.shard/1"), "is a file of nightshift's own (nightshift.shard/1)"),
                       (lambda f: [f.create_dataset(f"{i:05}", data=0) for i in range(4097)], "more than 4096 data sets")):
        with h5py.File("bad/x.h5", "w") as f:
            fill(f)
        t.refused("bad/x.h5", said)


def foreign_files(t):
    """what is not read says what to do; by its first bytes, whatever it is called, or by its name"""
    for name, data, said in (("a.parquet", b"PAR1", "is Parquet, "), ("b", b"PAR1 and more", "pyarrow.parquet"), ("c.arrow", b"ARROW1\0\0", "open_file"), ("d.arrow", b"\xff\xff\xff\xff", "open_stream"),
                             ("e.tfrecord", b"", "TFRecordDataset"), ("f.tfrecord-00000-of-00010", b"x", "TFRecord"), ("data.mdb", b"\0" * 99, "lmdb.open"), ("g.PKL", b"", "never read here"),
                             ("data_batch_1", b"\x80\x04\x95", "pickle.load")):
        path = pathlib.Path("foreign", name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        t.refused(str(path), said, 'python3 -c "')
        path.unlink() if name != "data.mdb" else None
    t.refused("foreign", "is LMDB")
    for command in t.ingest(t.binary, "foreign", wanted=65).split('python3 -c "')[1:]:
        compile(command.split('" FILE')[0], "command", "exec")


def run(binary, check, ingest, lines):
    t = Checks(binary, check, ingest, lines)
    for part in (npy_files, npz_files, hdf5_files, several, wrong_arrays, wrong_files, foreign_files):
        part(t)
