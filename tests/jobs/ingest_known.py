"""Inputs with known answers for `ingest`, and what the data sets made of them must hold, by oracles of the test's own."""
import gzip
import hashlib
import json
import math
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib

import h5py
import numpy as np

from draws import AUDIT, SPLIT, permute


def png(x, level=9):
    """(H, W) or (H, W, 3) bytes as a PNG; another level is another file of the same pixels"""
    x = np.asarray(x, "u1")
    rows = b"".join(b"\0" + r.tobytes() for r in x)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", x.shape[1], x.shape[0], 8, 0 if x.ndim == 2 else 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows, level)) + chunk(b"IEND", b""))


def write(path, data, time=None):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if time is not None: # with a fraction, which is cut off
        os.utime(path, ns=(0, time * 10**9 + 999_999_999))


def identity(x):
    """docs/formats.md: the first 8 bytes, big-endian, of the SHA-256 of the pixels followed by H, W, C as little-endian u32"""
    return int.from_bytes(hashlib.sha256(x.tobytes() + struct.pack("<III", *x.shape)).digest()[:8], "big")


def folder(path):
    """its dataset.json, and its shards in the order of the list"""
    j = json.load(open(f"{path}/dataset.json"))
    return j, [h5py.File(f"{path}/{s['file']}", "r") for s in j["shards"]]


def column(shards, name):
    return np.concatenate([s[name][:] for s in shards])


def sources(shards):
    out = []
    for s in shards:
        off, text = s["source_offset"][:], s["source"][:].tobytes()
        assert off[0] == 0 and off[-1] == len(text)
        out += [text[a:b].decode() for a, b in zip(off, off[1:])]
    return out


def is_true_of_all(path, j, shards):
    """what any data set says of itself, computed again"""
    label, ids = column(shards, "label"), column(shards, "id")
    assert j["rows"] == len(label) == sum(s["rows"] for s in j["shards"])
    assert [s["rows"] for s in j["shards"]] == [len(s["label"]) for s in shards]
    assert j["histogram"] == [int((label == k).sum()) for k in range(len(j["classes"]))], j["histogram"]
    assert j["unlabelled"] == int((label == -1).sum())
    assert j["duplicates"] == len(ids) - len(set(ids.tolist())), j["duplicates"]
    for s in j["shards"]:
        assert s["sha256"] == hashlib.sha256(pathlib.Path(path, s["file"]).read_bytes()).hexdigest()
    assert j["digest"] == hashlib.sha256(json.dumps(j["shards"], sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    for s in shards:
        assert [c.decode() for c in s.attrs["classes"]] == j["classes"] and [g.decode() for g in s.attrs["groups"]] == j["groups"]
        if "image" in s:
            assert s["id"][:].tolist() == [identity(x) for x in s["image"][:]]


# --- a folder of photos: copies by pixels, times, names in an order of their own ---

NEW, OLD = 1_700_000_000, -86_400 # of 2023, and of the day before 1970
# path, pixels (two rows of one number have the same), time; in the order in which they must stand: name by name, byte by byte
PHOTOS = [("Zebra/10.png", 1, 1_500_000_000), ("Zebra/9.png", 2, 1_400_000_000), ("Zebra/a.png", 3, 1_600_000_000),
          ("ant/A.png", 4, 1_300_000_003), ("ant/a copy.png", 2, 1_300_000_001), ("ant/b.png", 5, OLD),
          ("bee/1.png", 6, NEW), ("bee/2.png", 6, 1_000_000_000), ("bee/3.png", 2, 1_000_000_001), ("bee/4.png", 7, 1_000_000_002),
          ("bee-eater/0.png", 8, OLD), ("loose.png", 9, OLD - 1)]
CLASSES = ["Zebra", "ant", "bee", "bee-eater"]
HISTOGRAM, DUPLICATES = [3, 3, 4, 1], 3 # pixels 2 are there three times, pixels 6 twice


def photo_pixels(number):
    x = np.random.default_rng(number).integers(0, 256, (8, 8), "u1")
    if number == 7: # all but one byte of another's
        x = photo_pixels(6)
        x[7, 7] ^= 1
    return x


def make_photos(out, backwards):
    files = PHOTOS[::-1] if backwards else PHOTOS
    for i, (name, number, time) in enumerate(files):
        x = photo_pixels(number)
        # the same pixels as other files: another compression, or colours that are all grey
        grey, level = name != "bee/3.png", 0 if name in ("ant/a copy.png", "bee/2.png") else 9
        write(f"{out}/{name}", png(x if grey else np.stack([x] * 3, 2), level), time)
    write(f"{out}/bee/broken.png", b"\x89PNG\r\n\x1a\n and no more", NEW + 5) # in quarantine: neither a row nor a time
    write(f"{out}/bee/.hidden.png", png(photo_pixels(1)))
    write(f"{out}/bee/.deeper/1.png", png(photo_pixels(1)))


def check_photos(path, rows):
    j, shards = folder(path)
    is_true_of_all(path, j, shards)
    assert sources(shards) == [p[0] for p in PHOTOS], sources(shards)
    assert column(shards, "time").tolist() == [p[2] for p in PHOTOS]
    assert column(shards, "label").tolist() == [CLASSES.index(p[0].split("/")[0]) if "/" in p[0] else -1 for p in PHOTOS]
    want = np.stack([np.stack([photo_pixels(p[1])] * 3, 2) for p in PHOTOS])
    got = column(shards, "image")
    assert got.shape == want.shape and (got == want).all() # channels: the most that one has
    assert j["classes"] == CLASSES and j["groups"] == ["camera 7"] and j["name"] == "photos" and j["encoding"] == "raw"
    assert j["histogram"] == HISTOGRAM and j["unlabelled"] == 1 and j["duplicates"] == DUPLICATES and j["rows"] == len(PHOTOS)
    assert (column(shards, "group") == 0).all()
    # `created` is the time of the shard's newest row in UTC, and 1970 where all are older; the clock's is nowhere
    times = [p[2] for p in PHOTOS]
    times.insert(10, 0) # the broken file has its place behind bee/4.png, and leaves it empty
    newest = [max([0] + times[i:i + rows]) for i in range(0, len(times), rows)]
    assert len(newest) == len(shards)
    stamps = {1_600_000_000: "2020-09-13T12:26:40Z", NEW: "2023-11-14T22:13:20Z", 1_000_000_002: "2001-09-09T01:46:42Z",
              1_300_000_003: "2011-03-13T07:06:43Z", 0: "1970-01-01T00:00:00Z"}
    assert [s.attrs["created"].decode() for s in shards] == [stamps[n] for n in newest], [s.attrs["created"] for s in shards]
    quarantine = [json.loads(line) for line in open(f"{path}/quarantine.jsonl")]
    assert [q["path"] for q in quarantine] == ["bee/broken.png"], quarantine


def check_given_classes(path):
    """--ingest.classes=[bee, nobody, ant]: labels by that order, a class without rows counts 0, files of others are refused by name"""
    j, shards = folder(path)
    is_true_of_all(path, j, shards)
    assert j["classes"] == ["bee", "nobody", "ant"] and j["histogram"] == [4, 0, 3] and j["unlabelled"] == 1 and j["duplicates"] == 2
    kept = [p for p in PHOTOS if p[0].startswith(("bee/", "ant/", "loose"))]
    assert sources(shards) == [p[0] for p in kept]
    assert column(shards, "label").tolist() == [{"bee": 0, "ant": 2}.get(p[0].split("/")[0], -1) for p in kept]
    quarantine = sorted(json.loads(line)["path"] for line in open(f"{path}/quarantine.jsonl"))
    assert quarantine == sorted(["bee/broken.png"] + [p[0] for p in PHOTOS if p not in kept]), quarantine


LISTED = [6, 0, 11, 6, 3] # rows of PHOTOS; the third without a class, the fourth a second time


def make_list(path):
    with open(path, "w") as f:
        for i in LISTED:
            name = PHOTOS[i][0]
            f.write(f"photos/{name}" + (f"\t{name.split('/')[0]}\n" if "/" in name else "\n"))


def check_list(path):
    j, shards = folder(path)
    is_true_of_all(path, j, shards)
    assert sources(shards) == ["photos/" + PHOTOS[i][0] for i in LISTED] # as listed, not sorted
    assert column(shards, "time").tolist() == [PHOTOS[i][2] for i in LISTED]
    assert j["classes"] == ["Zebra", "ant", "bee"] and column(shards, "label").tolist() == [2, 0, -1, 2, 1] and j["duplicates"] == 1


TARRED = [7, 5, 0, 11, 2]


def make_tar(path):
    with tarfile.open(path, "w") as tar:
        for i in TARRED:
            info = tarfile.TarInfo("./day/" + PHOTOS[i][0])
            info.mtime, info.size = 1_234_567_890 + i, os.path.getsize("photos/" + PHOTOS[i][0])
            tar.addfile(info, open("photos/" + PHOTOS[i][0], "rb"))


def check_tar(path):
    """in the archive's order; times are the entries', not the files'; a folder around all is no class"""
    j, shards = folder(path)
    is_true_of_all(path, j, shards)
    assert sources(shards) == ["./day/" + PHOTOS[i][0] for i in TARRED]
    assert column(shards, "time").tolist() == [1_234_567_890 + i for i in TARRED]
    assert j["classes"] == ["Zebra", "ant", "bee"] and column(shards, "label").tolist() == [2, 1, 0, -1, 0]


def make_encoded(path):
    x = np.zeros((4, 16), "u1")
    for i, one in enumerate([x, x.reshape(8, 8), x, np.zeros((8, 8, 3), "u1"), x + 1]):
        write(f"{path}/{'aaabb'[i]}/{i}.png", png(one, 9 if i < 2 else 0), 1000 + i)


def check_encoded(path):
    """Kept as the files came: the identity is still of the pixels and their shape, so the third is the first again, and nothing else is."""
    j, shards = folder(path)
    is_true_of_all(path, j, shards)
    assert j["encoding"] == "png" and j["duplicates"] == 1
    want = [(4, 16, 1), (8, 8, 1), (4, 16, 1), (8, 8, 3), (4, 16, 1)]
    assert column(shards, "id").tolist() == [identity(np.full(s, i == 4, "u1")) for i, s in enumerate(want)]
    off, data = shards[0]["image_offset"][:], shards[0]["image_bytes"][:].tobytes()
    for i in range(5):
        assert data[off[i]:off[i + 1]] == open(f"encoded/{'aaabb'[i]}/{i}.png", "rb").read()


# --- a split: stretches of the keyed permutation ---

IDX = 100
SPLIT_ROWS, LABELLED = {"train": 50, "held-out": 20, "night": 17}, {"night": 6}


def make_idx(path):
    x = np.random.default_rng(5).integers(0, 256, (IDX, 6, 7), "u1")
    os.mkdir(path)
    with gzip.open(f"{path}/images-idx3-ubyte.gz", "wb") as f:
        f.write(struct.pack(">IIII", 0x803, *x.shape) + x.tobytes())
    with gzip.open(f"{path}/labels-idx1-ubyte.gz", "wb") as f:
        f.write(struct.pack(">II", 0x801, IDX) + bytes(i * i % 5 for i in range(IDX)))


def check_split(path, seed, shard_rows):
    """Each set is a stretch of one permutation of all rows; of a shard's rows the order is the source's."""
    images = np.frombuffer(gzip.open("idx/images-idx3-ubyte.gz").read()[16:], "u1").reshape(IDX, 6, 7, 1)
    first, used = 0, []
    for name, rows in SPLIT_ROWS.items():
        j, shards = folder(f"{path}/{name}")
        is_true_of_all(f"{path}/{name}", j, shards)
        want, label = [], []
        for begin in range(0, rows, shard_rows):
            here = sorted((permute(first + at, IDX, seed, SPLIT, 0), at) for at in range(begin, min(begin + shard_rows, rows)))
            want += [item for item, at in here]
            label += [item * item % 5 if permute(at, rows, seed, AUDIT, 0) < LABELLED.get(name, rows) else -1 for item, at in here]
        assert sources(shards) == [f"images-idx3-ubyte#{i}" for i in want], (name, sources(shards))
        got = column(shards, "image")
        assert got.shape == images[want].shape and (got == images[want]).all()
        assert column(shards, "label").tolist() == label and j["unlabelled"] == (rows - LABELLED[name] if name in LABELLED else 0)
        assert (column(shards, "time") == 0).all() and all(s.attrs["created"] == b"1970-01-01T00:00:00Z" for s in shards) # IDX has no times
        assert j["made"]["seed"] == seed and j["made"]["first"] == first and j["made"]["rows"] == rows
        used += want
        first += rows
    assert len(set(used)) == len(used) == sum(SPLIT_ROWS.values())


# --- scaling: an antialiased bilinear filter ---

SIZE = (12, 16)
SHAPES = [(37, 53), (12, 16), (5, 7), (24, 32), (13, 16), (200, 17), (9, 120), (1, 1), (12, 17), (100, 90), (48, 64)]


def weights(n, out, scale):
    """
    (out, n): each output pixel is a triangle around its centre, as wide as max(1, scale) pixels of the input each way, of weight 1 in all.
    The middle of the input is the middle of the output. Beyond the border its last pixel goes on.
    """
    w = np.zeros((out, n))
    radius = max(1.0, scale)
    for j in range(out):
        centre = n / 2 + (j + 0.5 - out / 2) * scale - 0.5
        taps = range(math.floor(centre - radius) - 1, math.ceil(centre + radius) + 2)
        t = np.array([max(0.0, 1 - abs(i - centre) / radius) for i in taps])
        for i, one in zip(taps, t / t.sum()):
            w[j, min(max(i, 0), n - 1)] += one
    return w


def resize(x, h, w):
    """covers h x w: one scale for both sides, so that what is more than the shape asks for is cut off on both ends"""
    scale = min(x.shape[0] / h, x.shape[1] / w)
    return np.einsum("ij,jkc,lk->ilc", weights(x.shape[0], h, scale), x.astype("f8"), weights(x.shape[1], w, scale))


def scaled_images():
    draw = np.random.default_rng(9)
    plain, line = np.full((33, 71, 3), 201, "u1"), np.kron(np.eye(30, 40)[..., None], [[[255, 128, 64]]]).astype("u1")
    return [draw.integers(0, 256, (*s, 3), "u1") for s in SHAPES] + [plain, line]


def make_scaled(path):
    for i, x in enumerate(scaled_images()):
        write(f"{path}/{'ab'[i > 6]}/{i:02}.png", png(x), 1000)


def check_scaled(path):
    """
    Each grey level is the reference's, rounded to the nearest: half a level, and a thousandth for single precision between the two passes.
    What has the size already comes through as it is, and what is of one colour stays so.
    """
    j, shards = folder(path)
    is_true_of_all(path, j, shards)
    got = column(shards, "image")
    assert got.shape == (len(scaled_images()), *SIZE, 3)
    worst = 0
    for i, x in enumerate(scaled_images()):
        off = np.abs(got[i] - resize(x, *SIZE)).max()
        worst = max(worst, off)
        assert off <= 0.501, (i, x.shape, off)
        if x.shape[:2] == SIZE:
            assert (got[i] == x).all()
    assert (got[len(SHAPES)] == 201).all()
    # the reference itself: halving in both directions weighs four pixels a side by 1, 3, 3, 1
    x = np.arange(64.0).reshape(8, 8, 1) ** 1.5
    k = np.array([1, 3, 3, 1]) / 8
    assert np.allclose(resize(x, 4, 4)[1, 1, 0], k @ x[1:5, 1:5, 0] @ k)
    print(f"scaled images are within {worst:.3f} grey levels of the reference")


def check_scaled_later(raw, encoded):
    """what is scaled when it is read has the bytes of what was scaled when it was taken in: so do its statistics and probabilities"""
    a, b = (h5py.File(f"{p}/predictions-00000.h5", "r") for p in (raw, encoded))
    assert len(a["id"]) == len(scaled_images())
    for name in ("stats", "prob", "embedding", "pred", "time", "group", "label"):
        assert (a[name][:] == b[name][:]).all(), name
    names = [n.decode() for n in a["stats"].attrs["stats_names"]]
    pixels = np.stack([np.floor(resize(x, *SIZE) + 0.5) for x in scaled_images()]).astype("i8")
    luma = (pixels @ [77, 150, 29] + 128 >> 8) / 255 # kernels/formula/stats.h
    off = np.abs(b["stats"][:, names.index("brightness")] - luma.mean((1, 2))).max()
    assert off < 1 / 255, off # a level that is rounded the other way here and there


# --- damage ---

STRETCH = 1 << 20
TINY = 140_000 # rows of one pixel: columns of 8 bytes a row have two stretches, names have four


def make_tiny(path):
    draw = np.random.default_rng(3)
    os.mkdir(path)
    with open(f"{path}/images-idx3-ubyte", "wb") as f:
        f.write(struct.pack(">IIII", 0x803, TINY, 1, 1) + draw.integers(0, 256, TINY, "u1").tobytes())
    with open(f"{path}/labels-idx1-ubyte", "wb") as f:
        f.write(struct.pack(">II", 0x801, TINY) + draw.integers(0, 2, TINY, "u1").tobytes())


def sign(path):
    j = json.load(open(f"{path}/dataset.json"))
    for s in j["shards"]:
        s["sha256"] = hashlib.sha256(pathlib.Path(path, s["file"]).read_bytes()).hexdigest()
    j["digest"] = hashlib.sha256(json.dumps(j["shards"], sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    json.dump(j, open(f"{path}/dataset.json", "w"))


# how far from the end of a stretch the byte stands of which one bit may turn without any value being impossible: the low byte of the last
# element; of offsets the last one is held by the end, so the one before it
COLUMNS = {"label": 4, "id": 1, "time": 1, "group": 4, "source": 1, "source_offset": 16, "image_offset": 16, "image": 1, "image_bytes": 1,
           **{f"file_{k}": 4 for k in ("height", "width", "channels", "format", "orientation", "camera", "position")},
           "file_bytes": 8, "file_captured": 8, "file_sha256": 1}


def damage(ns, path, verb):
    """
    The end of every stretch of every column is changed, with all digests signed again, so that nothing but the shard's own checksums can
    know. Columns are looked at wherever the shard is opened; images, which a data set's digests vouch for, where the shard stands alone.
    """
    shard = f"{path}/shard-00000.h5"
    with h5py.File(shard, "r+") as f:
        f.attrs["groups"] = np.array([b"a", b"b"]) # so that a group of 1 is none that cannot be
        places = {k: (f[k].id.get_offset(), f[k].size * f[k].dtype.itemsize) for k in f if k in COLUMNS}
        assert set(f["checksum"]) == set(places), set(f["checksum"])
        for k, (_, size) in places.items():
            assert len(f["checksum"][k]) == (size + STRETCH - 1) // STRETCH
    sign(path)

    def open_it(data):
        shutil.rmtree("refused", ignore_errors=True)
        args = {"augment": ["--data", data, "--augment=[{flip: 1}]"],
                "drift": ["--reference", data, "--current", data, "--drift.self_test=0"]}
        done = subprocess.run([ns, verb, *args[verb], "--out", "refused", "--threads=1"], capture_output=True, text=True)
        assert done.returncode == 0 or not os.path.exists("refused")
        return done.returncode, done.stderr
    for data in (path, shard):
        code, said = open_it(data)
        assert code == 0, said
    tried = 0
    for name, (at, size) in places.items():
        back = COLUMNS[name]
        images = name in ("image", "image_bytes")
        for end in [*range(STRETCH, size, STRETCH), size]:
            # a change that only a checksum sees; and of the column's very last byte, which may make a value that cannot be
            for where, codes in {**({size - 1: (65, 77)} if end == size else {}), end - back: (77,)}.items():
                with open(shard, "r+b") as f:
                    f.seek(at + where)
                    old = f.read(1)
                    f.seek(at + where)
                    f.write(bytes([old[0] ^ 1]))
                sign(path)
                code, said = open_it(shard if images else path)
                assert code in codes, f"{name}: byte {where} of {size} was changed: {code}, {said}"
                with open(shard, "r+b") as f:
                    f.seek(at + where)
                    f.write(old)
                tried += 1
    sign(path)
    code, said = open_it(path)
    assert code == 0, said
    print(f"{path}: {tried} changed bytes were found")


# --- groups and times, from the images to the verdict ---

GROUPED = 60


def group_windows():
    for name, (group, start) in WINDOWS.items():
        put_groups(name, group, start)


def put_groups(path, group, start):
    """two shards with groups and times of their own, signed; foreign ones: nobody computed checksums of these columns"""
    j, shards = folder(path)
    for s in shards:
        s.close()
    at = 0
    for s in j["shards"]:
        n = s["rows"]
        with h5py.File(f"{path}/{s['file']}", "r+") as f:
            f.attrs["groups"] = np.array([b"north", b"south", b"east"])
            f["group"][...] = group(np.arange(at, at + n))
            f["time"][...] = start(np.arange(at, at + n))
            del f["checksum"]
        at += n
    assert at == GROUPED
    sign(path)


BURST = 5 # pictures a second apart, then a pause of an hour
WINDOWS = {"reference": (lambda i: i % 3, lambda i: 10_000 + i // BURST * 3600 + i % BURST), # a burst has rows of all three groups
           "window": (lambda i: i // 20, lambda i: 2_000_000_000 + i // BURST * 3600 + i % BURST)} # and here of one


def make_windows():
    draw = random.Random(8)
    for name in WINDOWS:
        for i in range(GROUPED):
            write(f"{name}-photos/{'ab'[i % 2]}/{i:03}.png", png(np.array([draw.randrange(256) for _ in range(64)]).reshape(8, 8)), 77)


def check_windows(predictions, data, name):
    j, shards = folder(data)
    p = json.load(open(f"{predictions}/predictions.json"))
    files = [h5py.File(f"{predictions}/{f['file']}", "r") for f in p["files"]]
    assert len(files) == len(shards) == 2
    group, start = WINDOWS[name]
    rows = np.arange(GROUPED)
    assert (column(files, "group") == group(rows)).all() and (column(files, "time") == start(rows)).all()
    for one in ("id", "label", "group", "time"):
        for a, b in zip(files, shards):
            assert (a[one][:] == b[one][:]).all() and a[one].dtype == b[one].dtype, one


def blocks(group, start, seconds):
    """rows of one group whose times follow within so many seconds are a block"""
    rows = sorted(zip(group.tolist(), start.tolist()))
    return 1 + sum(a[0] != b[0] or b[1] - a[1] > seconds for a, b in zip(rows, rows[1:]))


def check_drift(path):
    """the groups' rows and the bursts are those that the images came with"""
    d = json.load(open(f"{path}/drift.json"))
    rows = np.arange(GROUPED)
    slices = {s["slice"]: (s["reference_rows"], s["current_rows"]) for s in d["slices"] if s["slice"].startswith("group")}
    assert slices == {"group north": (20, 20), "group south": (20, 20), "group east": (20, 20)}, slices
    ref, cur = ((g(rows), t(rows)) for g, t in WINDOWS.values())
    s = d["sequences"]
    assert (s["reference_blocks"], s["current_blocks"]) == (blocks(*ref, 3), blocks(*cur, 3)), s
    assert (s["reference_blocks"], s["current_blocks"]) == (36, 12), s # of twelve bursts: rows of three groups each, and of one


if __name__ == "__main__": # NAME ARGUMENT... + NAME ARGUMENT... +
    for call in " ".join(sys.argv[1:]).split(" + "):
        name, *args = call.split()
        try:
            globals()[name](*[int(a) if a.isdigit() else a for a in args])
        except AssertionError:
            print(f"in {call}:")
            raise
