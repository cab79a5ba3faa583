"""Sets that are made so that every figure of look is known, and what look says of them: for look.sh.

usage: look.py NIGHTSHIFT [part ...], in an empty folder
"""
import collections
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import zlib

import h5py
import numpy as np

import draws
import tiny
from page import Page
from paths import chunk
from tiny import check

EVIL = "<script>alert(1)" # a class's folder
TIME = {"2024:02:29 23:59:58": 1709251198, "2020:01:01 00:00:00": 1577836800, "2025:06:30 12:00:00": 1751284800}


# --- images ---

def exif(camera, time, orientation, placed):
    """as an eXIf chunk: orientation, and what else is given"""
    entries, tail = [(0x112, 3, 1, struct.pack(">HH", orientation, 0))], b""
    texts = [(tag, 2, t.encode() + b"\0") for tag, t in ((0x110, camera), (0x132, time)) if t]
    count = 1 + len(texts) + bool(placed)
    base = 8 + 2 + 12 * count + 4
    for tag, kind, data in texts:
        entries.append((tag, kind, len(data), struct.pack(">I", base + len(tail))))
        tail += data
    if placed:
        entries.append((0x8825, 4, 1, struct.pack(">I", base + len(tail))))
        tail += struct.pack(">HI", 0, 0)
    body = b"".join(struct.pack(">HHI", *e[:3]) + e[3] for e in sorted(entries))
    return chunk(b"eXIf", b"MM\0*\0\0\0\x08" + struct.pack(">H", count) + body + b"\0\0\0\0" + tail)


class Image:
    """pixels (h, w, 3) or (h, w, 1) and the file that holds them"""
    def __init__(self, pixels, kind="png", level=6, camera=None, time=None, orientation=1, placed=False):
        self.pixels = np.asarray(pixels, "u1")
        self.h, self.w, self.c = self.pixels.shape
        self.kind, self.camera, self.time, self.orientation, self.placed = kind, camera, time, orientation, placed
        raw = self.pixels.tobytes()
        if kind == "pnm":
            self.data = b"P%d\n%d %d\n255\n" % (6 if self.c == 3 else 5, self.w, self.h) + raw
            return
        lines = b"".join(b"\0" + raw[i * self.w * self.c:(i + 1) * self.w * self.c] for i in range(self.h))
        self.data = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", self.w, self.h, 8, 2 if self.c == 3 else 0, 0, 0, 0))
                     + (exif(camera, time, orientation, placed) if camera or time or orientation > 1 or placed else b"")
                     + chunk(b"IDAT", zlib.compress(lines, level)) + chunk(b"IEND", b""))

    def upright(self):
        return self.pixels[::-1, ::-1] if self.orientation == 3 else np.rot90(self.pixels, -1) if self.orientation == 6 else self.pixels

    def measures(self):
        """brightness, contrast and saturation, from kernels/formula/stats.h, in millionths"""
        p = self.pixels.astype("i8")
        l = p[:, :, 0] if self.c == 1 else 77 * p[:, :, 0] + 150 * p[:, :, 1] + 29 * p[:, :, 2] + 128 >> 8
        n, mean = l.size, float(l.sum()) / l.size
        out = mean / 255, math.sqrt(max(0, float((l * l).sum()) / n - mean * mean)) / 255, float((p.max(2) - p.min(2)).sum()) / n / 255
        return [int(math.floor(float(np.float32(x)) * 1e6 + 0.5)) for x in out]


def flat(value, h=8, w=8, c=3):
    return np.full((h, w, c), value, "u1") if np.isscalar(value) else np.full((h, w, 3), value, "u1")


def two_tone(low, high, h=8, w=8):
    x = np.full((h, w, 3), low, "u1")
    x[:, w // 2:] = high
    return x


def write(folder, images):
    for name, image in images.items():
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.data if isinstance(image, Image) else image)


# --- runs ---

def run(binary, *args, wanted=0, ranks=1, env=()):
    start = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*start, binary, *args], capture_output=True, text=True, check=False,
                          env={**os.environ, **({"ASAN_OPTIONS": "detect_leaks=0"} if ranks > 1 else {}), **dict(env)})
    if done.returncode != wanted:
        raise SystemExit(f"FAILED: {args}: exit {done.returncode}, wanted {wanted}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    return done.stdout if not wanted else done.stderr


def look(binary, data, out):
    """look.json and the page, which are the same for any ranks and threads, and as what is printed with --json"""
    said = run(binary, "look", data)
    check(not pathlib.Path(out).exists() and run(binary, "look", data, "--threads=2") == said, f"{data}: the terminal says otherwise with two threads")
    for i, (ranks, threads) in enumerate(((1, 1), (1, 2), (2, 1))):
        run(binary, "look", data, "--out", f"{out}{i or ''}", f"--threads={threads}", ranks=ranks)
        for name in ("look.json", "look.html"):
            check(pathlib.Path(out, name).read_bytes() == pathlib.Path(f"{out}{i or ''}", name).read_bytes(), f"{data}: {name} with {ranks} ranks, {threads} threads")
    found = json.loads(pathlib.Path(out, "look.json").read_text(encoding="utf-8"))
    check(found["schema"] == "nightshift.look/1" and json.loads(run(binary, "look", data, "--json")) == found, f"{data}: --json")
    check(sorted(os.listdir(out)) == ["look.html", "look.json", "run.json"], f"{data}: {os.listdir(out)}")
    return found, Page(pathlib.Path(out, "look.html")), said


def agree(got, wanted, where):
    """the same, numbers within the nine digits that JSON has"""
    if isinstance(wanted, dict):
        check(isinstance(got, dict) and list(sorted(got)) == list(sorted(wanted)), f"{where}: {got}, wanted {wanted}")
        for key, value in wanted.items():
            agree(got[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        check(isinstance(got, list) and len(got) == len(wanted), f"{where}: {got}, wanted {wanted}")
        for i, value in enumerate(wanted):
            agree(got[i], value, f"{where}[{i}]")
    elif isinstance(wanted, float):
        check(abs(got - wanted) <= 2e-8 * max(1, abs(wanted)), f"{where}: {got}, wanted {wanted}")
    else:
        check(got == wanted and isinstance(got, type(wanted)), f"{where}: {got}, wanted {wanted}")


# --- what must be told, computed a second time ---

def spread(values):
    values, bins = sorted(values), [0] * 20
    for v in values:
        bins[(v - values[0]) * 20 // (values[-1] - values[0] + 1)] += 1
    return {"min": values[0], "median": values[(len(values) - 1) // 2], "max": values[-1], "histogram": bins}


def ranked(values, most=None):
    return [{"name": n, "rows": c} for n, c in sorted(collections.Counter(values).items(), key=lambda x: (-x[1], x[0].encode()))][:most]


class Want:
    """of images by name, in the order of the set's rows; labels: class by name, None without one"""
    def __init__(self, folder, images, labels, classes):
        index = json.loads(pathlib.Path(folder, "dataset.json").read_text(encoding="utf-8"))
        self.folder, self.index, self.classes = folder, index, classes
        self.names = []
        for shard in index["shards"]:
            with h5py.File(f"{folder}/{shard['file']}") as f:
                source, at = f["source"][()].tobytes(), f["source_offset"][:]
                self.names += [os.fsdecode(source[int(at[i]):int(at[i + 1])]) for i in range(len(at) - 1)]
        self.images, self.labels = [images[n] for n in self.names], [labels[n] for n in self.names]
        self.rows = [{"row": i, "class": self.labels[i], "source": n} for i, n in enumerate(self.names)]

    def same(self):
        groups = collections.defaultdict(list)
        for i, image in enumerate(self.images):
            u = image.upright()
            groups[hashlib.sha256(u.tobytes() + struct.pack("<III", *u.shape)).hexdigest()[:16]].append(i)
        conflict = {k: g for k, g in groups.items() if len({self.labels[i] for i in g} - {None}) > 1}
        files = collections.Counter(i.data for i in self.images)
        return ({"rows": sum(len(g) - 1 for g in groups.values()), "images": sum(len(g) > 1 for g in groups.values()), "files": sum(files.values()) - len(files),
                 "conflicts": len(conflict), "conflict_rows": sum(map(len, conflict.values()))},
                [{"id": k, "count": len(g), "rows": [self.rows[i] for i in g[:4]]} for k, g in sorted(conflict.items(), key=lambda x: x[1][0])][:10])

    def files(self):
        times, cameras = [TIME[i.time] for i in self.images if i.time], [i.camera for i in self.images if i.camera]
        return {"rows": len(self.images), "grey": sum(i.c == 1 for i in self.images), "formats": ranked(i.kind for i in self.images),
                "orientations": [sum(i.orientation == o for i in self.images) for o in range(1, 9)],
                "turned": sum(i.orientation > 1 for i in self.images),
                "captured": {"first": min(times, default=None), "last": max(times, default=None), "without": len(self.images) - len(times)},
                "cameras": ranked(cameras, 5), "camera_count": len(set(cameras)), "without_camera": len(self.images) - len(cameras),
                "positions": sum(i.placed for i in self.images),
                "width": spread([i.w for i in self.images]), "height": spread([i.h for i in self.images]), "bytes": spread([len(i.data) for i in self.images])}

    def strange(self):
        m = [i.measures() for i in self.images]
        size = [i.h * i.w for i in self.images]

        def first(key, most, which=lambda i: True):
            return sorted((i for i in range(len(m)) if which(i)), key=lambda i: (key(i), i))[:most]

        def measured(name, k, rows):
            return [{**self.rows[i], name: m[i][k] / 1e6} for i in rows]

        def sized(rows):
            return [{**self.rows[i], "width": self.images[i].w, "height": self.images[i].h} for i in rows] if len(set(size)) > 1 else []
        return {"largest": sized(first(lambda i: -size[i], 5)), "smallest": sized(first(lambda i: size[i], 5)),
                "darkest": measured("brightness", 0, first(lambda i: m[i][0], 10)), "brightest": measured("brightness", 0, first(lambda i: -m[i][0], 10)),
                "flattest": measured("contrast", 1, first(lambda i: m[i][1], 10)),
                "most_saturated": measured("saturation", 2, first(lambda i: -m[i][2], 10, lambda i: m[i][2] > 0)), "conflicts": self.same()[1]}

    def sheet(self):
        seed, out = int(self.index["digest"][:16], 16), []
        for name in [*self.classes[:100], None]:
            rows = [i for i, l in enumerate(self.labels) if l == name]
            words = {i: draws.draw(seed, draws.SHUFFLE, 0, i, 0) for i in rows}
            rows = sorted(sorted(rows, key=lambda i: ((words[i][1] << 32 | words[i][0]) >> 1, i))[:8 if self.classes else 48])
            if rows or name is not None:
                out.append({"class": name, "rows": rows})
        return out

    def figures(self, folder, stored):
        m = np.array([i.measures() for i in self.images]) / 1e6
        counts, bins = [self.labels.count(c) for c in self.classes], [0] * 20
        for b, _, _ in (i.measures() for i in self.images):
            bins[min(19, b * 20 // 1000000)] += 1
        some = [c for c in counts if c]
        return {"folder": folder, "name": self.index["name"], "digest": self.index["digest"], "rows": len(self.rows),
                "labelled": sum(counts), "unlabelled": len(self.rows) - sum(counts), "classes": [{"name": n, "rows": c} for n, c in zip(self.classes, counts)],
                "empty_classes": counts.count(0), "imbalance": max(some) / min(some) if some else None, "shards": len(self.index["shards"]),
                "bytes": sum(os.path.getsize(f"{self.folder}/{s['file']}") for s in self.index["shards"]), "stored": stored,
                "groups": [{"name": "north", "rows": len(self.rows)}],
                "brightness": {"mean": float(m[:, 0].mean()), "std": float(m[:, 0].std()), "histogram": bins},
                "contrast": float(m[:, 1].mean()), "saturation": float(m[:, 2].mean()),
                "duplicates": self.same()[0], "files": self.files(), "strange": self.strange(), "sheet": self.sheet()}


def on_page(page, texts, where):
    said = page.everything()
    for text in texts:
        check(text in said, f"{where}: the page does not say '{text}'")


def lines(said, wanted, where):
    got = said.splitlines()
    for line in wanted:
        check(any(re.fullmatch(line, g) for g in got), f"{where}: no line '{line}' on the terminal:\n{said}")


# --- parts ---

def photos():
    """16 images: sizes, kinds, cameras, times; equal pixels in one class, in two, in equal and in other files"""
    grey = flat(200, c=1)
    images = {
        "cat/black.png": Image(flat(0)), "cat/dim.png": Image(flat(10)), "cat/red.png": Image(flat((255, 0, 0)), camera="Lens 3", time="2024:02:29 23:59:58"),
        "cat/turned.png": Image(two_tone(50, 90, 6, 12), orientation=6, camera="Lens 3", time="2020:01:01 00:00:00", placed=True),
        "cat/down.png": Image(two_tone(70, 90, 6, 6), orientation=3, camera="Another", placed=True),
        "cat/large.png": Image(flat(120, 300, 600)), "cat/grey.pgm": Image(grey, "pnm"), "cat/small.png": Image(flat(130, 1, 2)),
        "dog/white.png": Image(flat(255)), "dog/contrast.png": Image(two_tone(0, 255)), "dog/teal.ppm": Image(flat((0, 128, 128)), "pnm"),
        "dog/black.png": Image(flat(0), level=0), "dog/again.png": Image(flat((255, 0, 0)), camera="Lens 3", time="2024:02:29 23:59:58"),
        "dog/low.png": Image(two_tone(100, 101)), "elk/dim.png": Image(flat(10)), "elk/dim2.png": Image(flat(10), level=1),
        "loose.png": Image(flat(90), camera="Third", time="2025:06:30 12:00:00"), "cat/loose.png": Image(flat(90)),
        f"{EVIL}/<b>.png": Image(flat((9, 200, 30), 9, 7)),
    }
    for i in range(4): # six cameras in all, of which five are named
        images[f"elk/camera{i}.png"] = Image(flat(140 + i), camera=f"Box {i}")
    labels = {n: n.split("/")[0] if "/" in n else None for n in images}
    return images, labels


def files(binary):
    """files of many sizes, kept as they came: every figure, and names that are text on the page"""
    images, labels = photos()
    classes = sorted({l for l in labels.values() if l} | {"yak"}, key=str.encode)
    write("photos", images)
    pathlib.Path("photos/yak").mkdir()
    run(binary, "ingest", "photos", "--out", "set", "--ingest.group=north", "--ingest.shard_rows=5")
    want = Want("set", images, labels, classes)
    found, page, said = look(binary, "set", "look")
    wanted = want.figures("", {"encoding": "files", "orientation": "exif", "background": "none"})
    check([wanted["duplicates"][k] for k in ("rows", "images", "files", "conflicts", "conflict_rows")] == [5, 4, 2, 3, 7], f"the set itself: {wanted['duplicates']}")
    agree(found["sets"], [wanted], "look.json: sets")
    agree({k: found[k] for k in found if k not in ("sets", "schema")},
          {"between": [], "refused": {"file": "quarantine.jsonl", "lines": 0, "reasons": [], "others": 0},
           "passed": {"file": "passed.jsonl", "lines": 1, "reasons": [{"reason": "is an empty folder; at a class's place the class stays", "lines": 1,
                                                                       "differ": False, "first": "yak"}], "others": 0}}, "look.json")
    digest = want.index["digest"]
    lines(said, ["set", f"digest +{digest}", "rows +23: 22 labelled, 1 unlabelled", "stored +files as they came \\(files\\); 5 shards, .*",
                 "classes +5; the largest has 9 times the rows of the smallest; 1 without rows", " +9  #{30}  cat", " +0 +yak",
                 "duplicates +5 rows whose pixels an earlier row has; 2 whose file is the same", "conflicts +3 images are in several classes, in 7 rows",
                 "files +png 21, pnm 2; 1 are grey", "  width +2 to 600, median 8", "  height +1 to 300, median 8", "turned +2 by EXIF's orientation",
                 "captured +2020-01-01 00:00:00 to 2025-06-30 12:00:00; 19 do not say when",
                 "cameras +Lens 3 3, Another 1, Box 0 1, Box 1 1, Box 2 1, and 2 others; 14 name none", "places +2 say where they were taken", "groups +north 23",
                 "refused +0, as quarantine.jsonl says"], "files")
    on_page(page, ["set", digest, EVIL, "<b>.png", "yak", "23: 22 labelled, 1 unlabelled", "5 rows whose pixels an earlier row has; 2 whose file is the same",
                   "3 images, in 7 rows", "600 x 300; cat, row", "Box 2", "2020-01-01 00:00:00 to 2025-06-30 12:00:00; 19 do not say when"], "files")
    strange = wanted["strange"]
    shown = [f"row {r}" for c in wanted["sheet"] for r in c["rows"]] + [f"row {r['row']}" for c in strange["conflicts"] for r in c["rows"]]
    shown += [f"row {r['row']}" for k in ("largest", "smallest", "darkest", "brightest", "flattest", "most_saturated") for r in strange[k]]
    check([a for a, _ in page.images] == shown, f"the page shows {[a for a, _ in page.images]}, wanted {shown}")
    check("<script" not in pathlib.Path("look/look.html").read_text(encoding="utf-8"), "a class's name is an element")


def raw(binary):
    """equal sizes, kept raw, without labels; a shard alone; and nothing strange in sizes"""
    images = {f"{i:02}.png": Image(two_tone(3 * i, 4 * i, 4, 6), level=6 * (i % 2)) for i in range(60)}
    write("bare", images)
    run(binary, "ingest", "bare", "--out", "bare-set", "--ingest.group=north", "--ingest.shard_rows=7")
    want = Want("bare-set", images, dict.fromkeys(images), [])
    found, page, said = look(binary, "bare-set", "bare-look")
    wanted = want.figures("", {"encoding": "raw", "height": 4, "width": 6, "channels": 3})
    check(len(wanted["sheet"][0]["rows"]) == 48 and not wanted["strange"]["largest"] and not wanted["strange"]["most_saturated"], "the set itself")
    agree(found["sets"], [wanted], "bare: sets")
    lines(said, ["rows +60: 0 labelled, 60 unlabelled", "stored +raw, 4x6x3; 9 shards, .*", "classes +0", "captured +no file says when", "cameras +no file names one"], "bare")
    on_page(page, ["The set names no classes.", "raw, 4 x 6 x 3", "without a label"], "bare")
    run(binary, "look", "bare-set/shard-00002.h5", "--out", "alone")
    one = json.loads(pathlib.Path("alone/look.json").read_text(encoding="utf-8"))["sets"][0]
    check(one["rows"] == 7 and one["digest"] == hashlib.sha256(pathlib.Path("bare-set/shard-00002.h5").read_bytes()).hexdigest(), f"a shard alone: {one}")


def many(binary):
    """103 classes: 40 lines tell them, 100 are on the sheet; images that are noise stay within the page's bounds; a drawing of others than the first rows"""
    noise = np.random.default_rng(1)
    images = {f"c{k:03}/{i}.png": Image(noise.integers(0, 256, (100, 100, 3))) for k in range(103) for i in range(4 + (k == 7) * 30 + (k == 3) + (k % 20 == 9) * 8)}
    write("many", images)
    run(binary, "ingest", "many", "--out", "many-set", "--ingest.group=north")
    want = Want("many-set", images, {n: n.split("/")[0] for n in images}, sorted({n.split("/")[0] for n in images}))
    found, page, said = look(binary, "many-set", "many-look")
    agree(found["sets"][0]["sheet"], want.sheet(), "many: sheet")
    check(want.sheet()[7]["rows"] != list(range(want.sheet()[7]["rows"][0], want.sheet()[7]["rows"][0] + 8)), "the draw takes the first rows")
    told = [l for l in said.splitlines() if re.fullmatch(r" +\d+  #* *  c\d{3}", l)]
    check(len(told) == 39 and told[0].endswith("c007") and told[1].endswith("c009") and told[-1].endswith("c102"), f"many classes: {told}")
    lines(said, [" +256  in 64 classes between these"], "many")
    on_page(page, ["c102"], "many")
    check(len(page.images) == sum(len(c["rows"]) for c in want.sheet()) + 40 and len(want.sheet()) == 100, f"many: {len(page.images)} images")
    size = os.path.getsize("many-look/look.html")
    check(3e6 < size < 8e6, f"many: a page of {size} bytes")
    with_class = {c["class"] for c in found["sets"][0]["sheet"]}
    check("c099" in with_class and "c100" not in with_class, "the first hundred classes are on the sheet")


def splits(binary):
    """train and test share images, one of them under another class; what is told of each is what it is alone"""
    images, labels = photos()
    train = {n: i for n, i in images.items() if labels[n] in ("cat", "dog")}
    test = {"cat/new.png": Image(flat(33)), "cat/a.png": Image(flat(0), level=3), "cat/b.png": Image(flat(0)), "dog/teal.png": Image(flat((0, 128, 128))), "cat/low.png": images["dog/low.png"],
            "dog/white.png": images["dog/white.png"]}
    val = {"cat/v.png": Image(flat(34)), "dog/v.png": Image(flat(33))}
    write("splits", {f"{s}/{n}": i for s, these in (("train", train), ("val", val), ("test", test)) for n, i in these.items()})
    run(binary, "ingest", "splits", "--out", "sets", "--ingest.group=north")
    for other in (".hidden", "more.partial"): # neither is a set: one is hidden, and on the other somebody works
        shutil.copytree("sets/val", f"sets/{other}")
    found, page, said = look(binary, "sets", "splits-look")
    for place, (name, these) in enumerate((("test", test), ("train", train), ("val", val))):
        want = Want(f"sets/{name}", {f"{name}/{n}": i for n, i in these.items()}, {f"{name}/{n}": n.split("/")[0] for n in these}, ["cat", "dog"])
        stored = found["sets"][place]["stored"]
        agree(found["sets"][place], want.figures(name, stored), f"splits: {name}")
    between = {(p["a"], p["b"]): p for p in found["between"]}
    # black in two rows of each, teal, low (a dog there, a cat here) and white: four images; test's (33) is a dog in val
    wanted = {("test", "train"): (4, 5, 5, 1), ("test", "val"): (1, 1, 1, 1), ("train", "val"): (0, 0, 0, 0)}
    check({k: tuple(p[x] for x in ("images", "rows_a", "rows_b", "conflicts")) for k, p in between.items()} == wanted, f"splits: between {found['between']}")
    pair = between["test", "val"]["first"][0]
    check((pair["a"]["class"], pair["b"]["class"], pair["a"]["source"], pair["b"]["source"]) == ("cat", "dog", "test/cat/new.png", "val/dog/v.png"), f"{pair}")
    check(len(between["test", "train"]["first"]) == 4 and pair["id"] == hashlib.sha256(bytes([33] * 192) + struct.pack("<III", 8, 8, 3)).hexdigest()[:16], f"{pair}")
    lines(said, ["sets: 3 data sets", " +6 +0 +2 +1 +0  test", f" +{len(train)} +0 +2 +2 +2  train", " +4  test and train: 5 rows of the one, 5 of the other; 1 under another class",
                 " +0  train and val"], "splits")
    on_page(page, ["What two sets share", "test and train", "In test and in val", "cat, row", "val/dog/v.png"], "splits")
    table = next(t for kind, t in (i[:2] for i in page.items) if kind == "table" and t[0][0] == "two sets")
    check(table[1:] == [["test and train", "4", "5", "5", "1"], ["test and val", "1", "1", "1", "1"], ["train and val", "0", "0", "0", "0"]], f"{table}")
    alone = run(binary, "look", "sets/test", "--json")
    agree(json.loads(alone)["refused"]["file"], "../quarantine.jsonl", "a split alone")


def refused(binary):
    """refusals and what is passed over, by reason; of a kind are those that differ in numbers and in what is quoted"""
    write("broken", {"a/1.png": Image(flat(1)), "a/2.png": b"\x89PNG\r\n\x1a\n and no more", "a/3.png": b"\x89PNG\r\n\x1a\n or less",
                     "b/4.png": Image(flat(2)), "b/empty.png": b"", "b/.hidden.png": Image(flat(3)), "b/readme.txt": b"words", "b/notes.txt": b"words"})
    run(binary, "ingest", "broken", "--out", "broken-set")
    found, page, said = look(binary, "broken-set", "broken-look")
    refusals = [json.loads(x) for x in pathlib.Path("broken-set/quarantine.jsonl").read_text(encoding="utf-8").splitlines()]
    check([(r["lines"], r["differ"], r["first"]) for r in found["refused"]["reasons"]] == [(2, False, "a/2.png"), (1, False, "b/empty.png")], f"{found['refused']}")
    check([r["reason"] for r in found["refused"]["reasons"]] == [refusals[0]["reason"], "is an empty file"] and found["refused"]["lines"] == 3, f"{found['refused']}")
    check([(r["lines"], r["first"]) for r in found["passed"]["reasons"]] == [(2, "b/notes.txt"), (1, "b/.hidden.png")], f"{found['passed']}")
    lines(said, ["refused +3, as quarantine.jsonl says", " +1  is an empty file \\(b/empty.png\\)", "passed over 3, as passed.jsonl says"], "refused")
    on_page(page, ["3, as quarantine.jsonl says.", "b/empty.png"], "refused")
    alike = [{"path": f"p{i}", "item": i, "reason": f"{5 * i} x 4 pixels of '{i}x' \x1b[31m"} for i in range(3)]
    kinds = [{"path": "k", "item": 9, "reason": "kind " + "abcdefghij"[i // 10] + "abcdefghij"[i % 10]} for i in range(100)]
    pathlib.Path("broken-set/quarantine.jsonl").write_text("".join(json.dumps(x) + "\n" for x in alike + kinds), encoding="utf-8")
    found = json.loads(run(binary, "look", "broken-set", "--json"))["refused"]
    agree(found["reasons"][0], {"reason": alike[0]["reason"], "lines": 3, "differ": True, "first": "p0"}, "alike")
    check(found["lines"] == 103 and found["others"] == 1 and len(found["reasons"]) == 100, f"many reasons: {found['lines']}, {found['others']}")
    lines(run(binary, "look", "broken-set"), [r" +3  0 x 4 pixels of '0x' \\x1B\[31m, or alike \(the first: p0\)", "  and 90 other reasons"], "alike")
    pathlib.Path("broken-set/quarantine.jsonl").write_text('{"path": "x", "reason": "y"}\nno JSON\n', encoding="utf-8")
    check("quarantine.jsonl: line 2 is no JSON object" in run(binary, "look", "broken-set", wanted=65), "a line that is no JSON")


def wrong(binary):
    """what is no data set is told so, by what it is; a shard that was changed is not read"""
    write("wrong/a", {"1.png": Image(flat(1)), "2.png": Image(flat(2))})
    check("'nightshift ingest wrong --out SET' makes one" in run(binary, "look", "wrong", wanted=65), "a folder of images")
    check("expected a folder with dataset.json" in run(binary, "look", "wrong/a/1.png", wanted=65), "an image")
    check("no such file or folder" in run(binary, "look", "nowhere", wanted=74), "nothing")
    check("expected a data set" in run(binary, "look", wanted=64) and "expected a data set" in run(binary, "look", "a", "b", wanted=64), "no operand, or two")
    pathlib.Path("model").mkdir()
    pathlib.Path("model/model.json").write_text("{}")
    check("not a data set but a model" in run(binary, "look", "model", wanted=65), "a model")
    run(binary, "ingest", "wrong", "--out", "right")
    run(binary, "look", "right", "--out", "seen")
    check("not a data set but what look wrote" in run(binary, "look", "seen", wanted=65), "its own result")
    check("holds a published result" in run(binary, "look", "right", "--out", "seen", wanted=74), "a result that is there")
    shard = pathlib.Path("right/shard-00000.h5")
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    check("shard-00000.h5" in run(binary, "look", "right", "--out", "spoiled", wanted=77) and not os.path.exists("spoiled"), "a changed shard")


if __name__ == "__main__":
    program, *parts = sys.argv[1:]
    for part in tiny.chosen((files, raw, many, splits, refused, wrong), parts):
        part(program)
    print(f"{tiny.checks} checks passed")
