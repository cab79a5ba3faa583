"""Models of every task over image files, whose answers follow from the pixels. For predict.sh.

usage: predict.py NIGHTSHIFT [PART...], in an empty folder
"""
import csv
import io
import json
import pathlib
import struct
import subprocess
import sys
import zlib

import numpy

import tiny
from onnx_file import encode, graph, model, node, tensor, value
from tiny import check

NS = None
AS_IT_IS = ["--import.mean=[0,0,0]", "--import.std=[1,1,1]"]


def run(*args, code=0, said=""):
    more = ["--force"] if args[0] in ("import", "ingest") else []  # parts use the same names
    done = subprocess.run([NS, *args, *more], capture_output=True, text=True, check=False, timeout=120)
    text = done.stdout + done.stderr
    check(done.returncode == code and said in text, f"{' '.join(args)}: exit {done.returncode}, wanted {code} and '{said}': {text[-900:]}")
    return done.stdout


def predict(*args, code=0):
    """results by their files"""
    return {r["file"]: r for r in map(json.loads, run("predict", *args, "--json", code=code).splitlines()) if "file" in r}


def near(found, wanted, what, most=1e-4):
    found, wanted = numpy.asarray(found, float), numpy.asarray(wanted, float)
    check(found.shape == wanted.shape and numpy.abs(found - wanted).max(initial=0) <= most, f"{what}: {found.tolist()}, wanted {wanted.tolist()}")


def ppm(name, pixels):
    pixels = numpy.asarray(pixels, numpy.uint8)
    pathlib.Path(name).write_bytes(b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes())
    return name


def flat(h, w, colour):
    return numpy.broadcast_to(numpy.array(colour, numpy.uint8), (h, w, 3))


def f32(name, *dims, values=()):
    return tensor(name, list(dims), raw=numpy.asarray(values, "<f4").tobytes())


def i64(name, *values):
    return tensor(name, [len(values)], 7, raw=struct.pack(f"<{len(values)}q", *values))


def put(name, nodes, weights=(), outputs=("y",), shape=("n", 3, 16, 16)):
    pathlib.Path(name).write_bytes(encode(model(graph(nodes, [value("x", list(shape))], [value(o, ["n", 3]) for o in outputs], weights))))
    return name


def ints(name, *v):
    return [(1, name), *((8, x) for x in v), (20, 7)]


def one(name, v):
    return [(1, name), (3, v), (20, 2)]


def means(name="means.onnx"):
    """the mean of each channel"""
    return put(name, [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["y"])])


def constant(name, outputs, shape=("n", 3, 32, 32)):
    """outputs that are what they are whatever the image: each with 0 times its mean added, so that they are computed"""
    nodes, weights = [node("ReduceMean", ["x"], ["m"], "", [one("keepdims", 0)]), node("Mul", ["m", "zero"], ["none"])], [f32("zero", values=[0])]
    for k, v in enumerate(outputs):
        weights.append(f32(f"c{k}", *v.shape, values=v))
        nodes.append(node("Add", [f"c{k}", "none"], [f"y{k}"]))
    return put(name, nodes, weights, [f"y{k}" for k in range(len(outputs))], shape)


def soft(z):
    e = numpy.exp(numpy.asarray(z, float) - max(z))
    return e / e.sum()


def grey_set():
    """eight images of two classes, as files and as the data set `data`"""
    if pathlib.Path("data").exists():
        return
    pathlib.Path("src/0").mkdir(parents=True)
    pathlib.Path("src/1").mkdir()
    for i in range(8):
        ppm(f"src/{i % 2}/{i}.ppm", flat(16, 16, (i * 30,) * 3))
    run("ingest", "src", "--ingest.size=16x16x1", "--out", "data")


# --- parts ---

def vectors(_binary):
    """numbers of an image: classes, tags, values, embeddings, and outputs as they are"""
    means()
    ppm("a.ppm", flat(20, 30, (51, 204, 102)))
    x = numpy.array([.2, .8, .4])
    run("import", "means.onnx", "--classes=[r, g, b]", *AS_IT_IS, "--out", "m")
    found = predict("m", "a.ppm")["a.ppm"]
    check([c["class"] for c in found["classes"]] == ["g", "b", "r"] and (found["width"], found["height"]) == (30, 20), f"{found}")
    near([c["probability"] for c in found["classes"]], sorted(soft(x))[::-1], "probabilities")
    check(len(predict("m", "a.ppm", "--top", "2")["a.ppm"]["classes"]) == 2, "--top")
    run("import", "means.onnx", "--task", "tags", "--classes=[r, g, b]", *AS_IT_IS, "--score", ".3", "--out", "t")
    found = predict("t", "a.ppm")["a.ppm"]["tags"]
    check([t["tag"] for t in found] == ["g", "b"], f"{found}")
    near([t["probability"] for t in found], [.8, .4], "tags")
    check([t["tag"] for t in predict("t", "a.ppm", "--score", ".1")["a.ppm"]["tags"]] == ["r", "g", "b"], "--score")
    run("import", "means.onnx", "--task", "tags", "--import.mean=[1,.5,.5]", "--import.std=[.4,.4,.4]", "--score", "0", "--out", "tl")
    found = predict("tl", "a.ppm")["a.ppm"]["tags"]  # logits, as one is below 0; names are numbers
    check([t["tag"] for t in found] == ["0", "1", "2"], f"{found}")
    near([t["probability"] for t in found], 1 / (1 + numpy.exp(-(x - [1, .5, .5]) / .4)), "tags of logits")
    run("import", "means.onnx", "--task", "regress", "--classes=[red, green, blue]", "--import.mean=[100, 0, 0]", "--import.std=[1, 2, 4]", "--range", "255", "--out", "r")
    found = predict("r", "a.ppm")["a.ppm"]["values"]
    check([v["name"] for v in found] == ["red", "green", "blue"], f"{found}")
    near([v["value"] for v in found], [51 - 100, 204 / 2, 102 / 4], "values of 0 to 255", 1e-3)
    run("import", "means.onnx", "--task", "embed", *AS_IT_IS, "--out", "e")
    near(predict("e", "a.ppm")["a.ppm"]["embedding"], x, "an embedding")
    run("import", put("two.onnx", [node("GlobalMaxPool", ["x"], ["p"]), node("ArgMax", ["p"], ["a"], "", [one("axis", 1)])], outputs=("p", "a")), "--task", "raw", *AS_IT_IS, "--out", "w")
    found = predict("w", "a.ppm")["a.ppm"]["outputs"]
    check([(o["name"], o["shape"]) for o in found] == [("p", [1, 3, 1, 1]), ("a", [1, 1, 1, 1])], f"{found}")
    near(found[0]["values"], x, "a raw output")
    near(found[1]["values"], [1], "whole numbers")
    # a network of ours, and one of one channel
    grey_set()
    run("train", "--data", "data", *tiny.NET, "--out", "ours")
    run("infer", "--model", "ours", "--data", "data", "--infer.precision=f32", "--out", "p")
    found = predict("ours", "src/0", "src/1")
    check(list(found) == [f"src/{i % 2}/{i}.ppm" for i in (0, 2, 4, 6, 1, 3, 5, 7)], f"{list(found)}")
    import h5py
    with h5py.File("p/predictions-00000.h5") as f:
        for row, name in zip(f["prob"][:], sorted(found)):
            near(sorted(c["probability"] for c in found[name]["classes"]), sorted(row), f"{name} as infer has it", 1e-5)


def colours(_binary):
    """the order of channels and their place"""
    means()
    ppm("a.ppm", flat(20, 30, (51, 204, 102)))
    run("import", "means.onnx", "--task", "embed", "--import.mean=[.1, .2, .3]", "--import.std=[1, 2, 4]", "--colours", "bgr", "--out", "b")
    near(predict("b", "a.ppm")["a.ppm"]["embedding"], [.4 - .1, (.8 - .2) / 2, (.2 - .3) / 4], "BGR, and the mean in that order")
    run("import", put("last.onnx", [node("ReduceMean", ["x"], ["y"], "", [ints("axes", 1, 2), one("keepdims", 0)])], shape=("n", 16, 16, 3)), "--task", "embed", *AS_IT_IS, "--colours",
        "bgr", "--out", "l")
    near(predict("l", "a.ppm")["a.ppm"]["embedding"], [.4, .8, .2], "channels last")
    run("import", "means.onnx", "--classes=[b, g, r]", "--colours", "bgr", *AS_IT_IS, "--out", "c")
    check(predict("c", "a.ppm", "--top", "1")["a.ppm"]["classes"][0]["class"] == "g", "a classifier in BGR")
    # what the canvas has beside the image
    for rule, share in (("letterbox", .5), ("corner", .5), ("stretch", 1), ("cover", 1)):
        run("import", "means.onnx", "--task", "embed", *AS_IT_IS, "--fit", rule, "--filter", "nearest", "--fill", "255", "--out", "f", "--force")
        ppm("wide.ppm", flat(10, 20, (51, 204, 102)))
        near(predict("f", "wide.ppm")["wide.ppm"]["embedding"], share * numpy.array([.2, .8, .4]) + (1 - share), rule)


def boxes(_binary):
    """places on the canvas become places of the image, by each way in which it came there"""
    y = numpy.zeros((1, 6, 4))
    y[0, :, 0] = [16, 16, 8, 4, .9, .1]  # 12 to 20 across, 14 to 18 down
    y[0, :, 1] = [17, 16, 8, 4, .8, .1]  # the same thing
    y[0, :, 2] = [8, 24, 8, 8, .2, .7]
    y[0, :, 3] = [30, 2, 4, 4, .3, .3]
    constant("yolo.onnx", [y])
    ppm("a.ppm", flat(50, 100, (9, 9, 9)))
    on = {"stretch": lambda x, y: (x / .32, y / .64), "letterbox": lambda x, y: (x / .32, (y - 8) / .32), "corner": lambda x, y: (x / .32, y / .32),
          "cover": lambda x, y: ((x + 16) / .64, y / .64)}
    for rule, back in on.items():
        run("import", "yolo.onnx", "--task", "detect", "--head", "yolov8", "--classes=[cat, dog]", *AS_IT_IS, "--fit", rule, "--filter", "bilinear", "--out", "y", "--force")
        found = predict("y", "a.ppm")["a.ppm"]["boxes"]
        wanted = []
        for name, score, box in (("cat", .9, (12, 14, 20, 18)), ("dog", .7, (4, 20, 12, 28))):
            b = numpy.array([*back(*box[:2]), *back(*box[2:])])
            b = b.clip(0, [100, 50, 100, 50])
            if b[2] > b[0] and b[3] > b[1]:
                wanted.append((name, score, b))
        check([b["class"] for b in found] == [w[0] for w in wanted], f"{rule}: {found}, wanted {wanted}")
        for b, (_, score, box) in zip(found, wanted):
            near(b["box"], box, rule, 1e-3)
            near(b["score"], score, rule)
    run("import", "yolo.onnx", "--task", "detect", "--head", "yolov8", "--classes=[cat, dog]", *AS_IT_IS, "--fit", "stretch", "--iou", ".9", "--score", ".75", "--out", "y2")
    check([b["score"] for b in predict("y2", "a.ppm")["a.ppm"]["boxes"]] == [.9, .8], "--iou and --score")


def bars(h, w, columns):
    """white columns on black"""
    pixels = numpy.zeros((h, w, 3), numpy.uint8)
    for a, b in columns:
        pixels[:, a:b] = 255
    return pixels


def reader(name, blank_first=True, z=((1, 0), (-1, 2), (.9, .9))):
    """each column is a step: blank where it is dark, `a` where it is white, `b` where it is grey"""
    z = numpy.array(z)  # scores of a brightness of 0 and 1, as lines: blank, a, b
    order = [0, 1, 2] if blank_first else [1, 2, 0]
    slope, start = (40 * (z[:, 1] - z[:, 0]))[order], (40 * z[:, 0])[order]
    nodes = [node("ReduceMean", ["x"], ["m"], "", [ints("axes", 1, 2), one("keepdims", 0)]), node("Unsqueeze", ["m", "two"], ["u"]), node("Mul", ["u", "slope"], ["s"]),
             node("Add", ["s", "start"], ["y"])]
    return put(name, nodes, [i64("two", 2), f32("slope", 3, values=slope), f32("start", 3, values=start)], shape=("n", 3, 8, "w"))


def texts(_binary):
    """columns of an image as steps: repetitions and blanks go, wherever the blank stands"""
    reader("first.onnx")
    reader("last.onnx", False)
    ppm("aab.ppm", bars(8, 40, [(2, 6), (8, 20)]))
    grey = bars(8, 40, [(2, 6), (8, 20)])
    grey[:, 25:30] = 128  # between: b is likelier than a, and than a blank
    ppm("grey.ppm", grey)
    ppm("none.ppm", flat(8, 40, (0, 0, 0)))
    for blank in ("first", "last"):
        run("import", f"{blank}.onnx", "--task", "read", "--classes=[a, b]", *AS_IT_IS, "--fit", "height", "--filter", "bilinear", "--input=[8, 16]", "--blank", blank, "--out", blank)
        found = predict(blank, "aab.ppm", "grey.ppm", "none.ppm")
        check([found[f]["text"] for f in ("aab.ppm", "grey.ppm", "none.ppm")] == ["aa", "aab", ""], f"{blank}: {found}")
        check(found["aab.ppm"]["confidence"] > .9 and found["none.ppm"]["confidence"] == 0, f"{found}")
        check(predict(blank, "grey.ppm", "--beam", "8")["grey.ppm"]["text"] == "aab", "--beam")
    # an image twice as high is twice as wide as it needs: the same text
    ppm("high.ppm", bars(16, 80, [(4, 12), (16, 40)]))
    run("import", "first.onnx", "--task", "read", "--classes=[a, b]", *AS_IT_IS, "--fit", "height", "--filter", "box", "--input=[8, 16]", "--out", "box")
    check(predict("box", "high.ppm")["high.ppm"]["text"] == "aa", "scaled to the height")
    run("import", "first.onnx", "--task", "read", "--classes=[a, b, c]", *AS_IT_IS, "--fit", "height", "--input=[8, 16]", "--filter", "opencv", "--out", "x", code=65,
        said="first.onnx: the network has 3 symbols, a blank among them, but the model has 3 names, expected 2")
    run("import", "first.onnx", "--task", "read", *AS_IT_IS, "--fit", "height", "--input=[8, 16]", "--filter", "opencv", "--out", "x", code=78, said="import.classes is required")


def places(_binary):
    """regions of a map that is the image itself, and what is read in them"""
    red = put("red.onnx", [node("Slice", ["x", "from", "to", "axes"], ["y"])], [i64("from", 0), i64("to", 1), i64("axes", 1)], shape=("n", 3, "h", "w"))
    run("import", red, "--task", "regions", *AS_IT_IS, "--fit", "within", "--multiple", "4", "--filter", "nearest", "--input=[80, 80]", "--score", ".5", "--out", "d")
    pixels = numpy.zeros((40, 80, 3), numpy.uint8)
    pixels[10:20, 8:40] = 255
    pixels[30:34, 60:76] = 200
    ppm("a.ppm", pixels)
    found = predict("d", "a.ppm")["a.ppm"]["regions"]

    def grown(x0, y0, x1, y1):  # from the middle of a pixel to that of another
        x0, y0, x1, y1 = x0 + .5, y0 + .5, x1 - .5, y1 - .5
        g = 1.6 * (x1 - x0) * (y1 - y0) / (2 * (x1 - x0 + y1 - y0))
        return [[max(x0 - g, 0), max(y0 - g, 0)], [min(x1 + g, 80), max(y0 - g, 0)], [min(x1 + g, 80), min(y1 + g, 40)], [max(x0 - g, 0), min(y1 + g, 40)]]
    check(len(found) == 2, f"{found}")
    near(found[0]["corners"], grown(8, 10, 40, 20), "a region", 1e-3)
    near(found[1]["corners"], grown(60, 30, 76, 34), "another", 1e-3)
    near([r["score"] for r in found], [1, 200 / 255], "scores")
    # an image of twice the size is scaled to fit, and places are in its own pixels
    ppm("big.ppm", pixels.repeat(2, 0).repeat(2, 1))
    near(predict("d", "big.ppm")["big.ppm"]["regions"][0]["corners"], 2 * numpy.array(grown(8, 10, 40, 20)), "at half size", 1e-3)
    # two models: the first finds, the second reads what is there
    reader("first.onnx")
    run("import", "first.onnx", "--task", "read", "--classes=[a, b]", *AS_IT_IS, "--fit", "height", "--filter", "bilinear", "--input=[8, 16]", "--out", "r")
    found = predict("d", "a.ppm", "--then", "r")["a.ppm"]["regions"]
    check([r["text"] for r in found] == ["b", "b"] and found[0]["confidence"] > .5, f"{found}")  # grey, as the region is higher than the bar
    rows = list(csv.reader(io.StringIO(run("predict", "d", "a.ppm", "--then", "r", "--csv"))))
    check(rows[0] == ["file", "score", *(f"{a}{k}" for k in range(4) for a in "xy"), "text", "confidence"] and len(rows) == 3 and rows[1][10] == "b", f"{rows}")
    run("predict", "r", "a.ppm", "--then", "r", code=78, said="finds no places (its task is read)")
    run("predict", "d", "a.ppm", "--then", "d", code=78, said="its task is regions")


def masks(_binary):
    """a class a pixel, as COCO's run lengths of the image"""
    nodes = [node("Conv", ["x", "w", "b"], ["y"])]
    put("seg.onnx", nodes, [f32("w", 3, 3, 1, 1, values=numpy.eye(3)[[2, 0, 1]].reshape(3, 3, 1, 1) * [[[[1]]], [[[2]]], [[[2]]]]), f32("b", 3, values=[.4, 0, 0])])
    pixels = numpy.zeros((8, 16, 3), numpy.uint8)
    pixels[2:6, 4:8] = (255, 0, 0)
    pixels[:, 12:] = (0, 255, 0)
    ppm("a.ppm", pixels)
    run("import", "seg.onnx", "--task", "segment", "--classes=[nothing, red, green]", *AS_IT_IS, "--fit", "letterbox", "--filter", "nearest", "--out", "s")
    found = predict("s", "a.ppm")["a.ppm"]["classes"]
    truth = numpy.where(pixels[..., 0] > 0, 1, numpy.where(pixels[..., 1] > 0, 2, 0))
    check([c["class"] for c in found] == ["nothing", "red", "green"], f"{found}")
    for k, c in enumerate(found):
        near(c["share"], (truth == k).mean(), c["class"])
        check(all(c["rle"]["counts"][1:]), "run lengths: only the first may be zero")
        mask = numpy.concatenate([numpy.full(n, i % 2) for i, n in enumerate(c["rle"]["counts"])]).reshape(c["rle"]["size"][::-1]).T
        check((mask == (truth == k)).all(), f"{c}")
    # of one channel: whether, or not
    put("one.onnx", [node("Slice", ["x", "from", "to", "axes"], ["y"])], [i64("from", 0), i64("to", 1), i64("axes", 1)])
    run("import", "one.onnx", "--task", "segment", *AS_IT_IS, "--fit", "letterbox", "--filter", "nearest", "--out", "s1")
    found = predict("s1", "a.ppm")["a.ppm"]["classes"]
    near([c["share"] for c in found], [1 - 16 / 128, 16 / 128], "whether it is red")


def files(_binary):
    """several files, some of them none; workers change nothing"""
    means()
    run("import", "means.onnx", "--task", "embed", *AS_IT_IS, "--out", "e")
    pathlib.Path("in").mkdir()
    for i in range(70):
        ppm(f"in/{i:03}.ppm", flat(5 + i, 9, (i, 2 * i, 3 * i)))
    one_worker = run("predict", "e", "in", "--json", "--threads", "1")
    check(run("predict", "e", "in", "--json", "--threads", "3") == one_worker and len(one_worker.splitlines()) == 70, "workers")
    pathlib.Path("in/005.ppm").write_bytes(b"P6 4 4 255\nabc")
    pathlib.Path("in/.hidden").write_bytes(b"x")
    pathlib.Path("in/notes.txt").write_text("no image")
    found = predict("e", "in", "gone.ppm", code=65)
    check(len(found) == 72 and {f for f, r in found.items() if "error" in r} == {"in/005.ppm", "in/notes.txt", "gone.ppm"}, f"{[f for f, r in found.items() if 'error' in r]}")
    near(found["in/006.ppm"]["embedding"], numpy.array([6, 12, 18]) / 255, "the one behind")
    text = subprocess.run([NS, "predict", "e", "in", "gone.ppm"], capture_output=True, text=True, check=False)
    check("3 of 72 files have no prediction" in text.stderr and "in/notes.txt: no prediction" in text.stderr, text.stderr[-500:])
    pathlib.Path("empty").mkdir()
    run("predict", "e", "empty", code=65, said="holds no files")
    run("predict", "e", code=64, said="expected a model and images")
    rows = list(csv.reader(io.StringIO(run("predict", "e", ppm("a,b.ppm", flat(4, 4, (255, 0, 0))), "--csv"))))
    check(rows == [["file", "embedding"], ["a,b.ppm", "1", "0", "0"]], f"{rows}")


def png(path):
    """pixels of a PNG of 8 bits, by its description"""
    data, at, packed = pathlib.Path(path).read_bytes(), 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            w, h = struct.unpack(">II", data[at + 8:at + 16])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + n]
        at += 12 + n
    rows = zlib.decompress(packed)
    out = numpy.zeros((h, w * 3), int)
    for y in range(h):
        line, how = list(rows[y * (3 * w + 1) + 1:(y + 1) * (3 * w + 1)]), rows[y * (3 * w + 1)]
        for x in range(3 * w):
            a, b, c = out[y, x - 3] if x >= 3 else 0, out[y - 1, x] if y else 0, out[y - 1, x - 3] if x >= 3 and y else 0
            p = a + b - c
            near_one = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            out[y, x] = (line[x] + (0, a, b, (a + b) // 2, near_one)[how]) % 256
    return out.reshape(h, w, 3)


def shown(_binary):
    """--out: all results, a picture each, and a page; nothing half"""
    y = numpy.zeros((1, 5, 1))
    y[0, :, 0] = [16, 16, 16, 8, .9]
    constant("yolo.onnx", [y])
    run("import", "yolo.onnx", "--task", "detect", "--head", "yolov8", "--classes=[\"<cat>\"]", *AS_IT_IS, "--fit", "stretch", "--filter", "nearest", "--out", "y")
    ppm("a.ppm", flat(32, 32, (10, 10, 10)))
    pathlib.Path("bad.ppm").write_bytes(b"P6")
    run("predict", "y", "a.ppm", "bad.ppm", "--out", "o", code=65)
    whole = json.load(open("o/predict.json", encoding="utf-8"))
    check(whole["schema"] == "nightshift.predict/1" and whole["task"] == "detect" and [r["file"] for r in whole["results"]] == ["a.ppm", "bad.ppm"], f"{whole}")
    check(whole["results"][0]["picture"] == "picture-00000.png" and "error" in whole["results"][1], f"{whole}")
    drawn = (png("o/picture-00000.png") != 10).any(2)
    edge = numpy.zeros((32, 32), bool)
    edge[12:21, 8:25] = True
    edge[14:19, 10:23] = False
    check(drawn[12, 8:25].all() and drawn[12:21, 8].all() and not drawn[14:19, 10:23].any() and not (drawn & ~edge)[:11].any(), f"{numpy.argwhere(drawn).tolist()}")
    page = pathlib.Path("o/predict.html").read_text(encoding="utf-8")
    check("&lt;cat&gt;" in page and "<cat>" not in page and "src=\"picture-00000.png\"" in page and "bad.ppm" in page, page[:300])
    run("predict", "y", "a.ppm", "--out", "o", code=74)
    run("predict", "y", "a.ppm", "--out", "o2", "--csv", code=64, said="expected one of them")
    run("predict", "y", "a.ppm", "--out", "o", "--force")
    check(len(json.load(open("o/predict.json", encoding="utf-8"))["results"]) == 1 and json.load(open("o/run.json", encoding="utf-8"))["counts"]["files"] == 1, "replaced")
    # for a person
    text = run("predict", "y", "a.ppm")
    check("a.ppm: 32x32\n" in text and "<cat> 0.9 8 12 24 20" in text, text)


def edges(_binary):
    """ties, bounds, sizes that do not divide, and what is not to be told"""
    means()
    noise = numpy.random.default_rng(3)
    # a network of ours sees an image as ingest would have scaled it
    for i in range(8):
        pathlib.Path(f"rough/{i % 2}").mkdir(parents=True, exist_ok=True)
        ppm(f"rough/{i % 2}/{i}.ppm", numpy.repeat(noise.integers(0, 256, (41, 57, 1)), 3, 2))
    run("ingest", "rough", "--ingest.size=16x16x1", "--out", "rough-set")
    run("train", "--data", "rough-set", *tiny.NET, "--out", "rough-model")
    run("infer", "--model", "rough-model", "--data", "rough-set", "--infer.precision=f32", "--out", "rough-p")
    found = predict("rough-model", "rough/0", "rough/1")
    import h5py
    with h5py.File("rough-p/predictions-00000.h5") as f:
        for row, name in zip(f["prob"][:], sorted(found)):
            near([{c["class"]: c["probability"] for c in found[name]["classes"]}[k] for k in "01"], row, f"{name} as infer has it", 1e-5)
    # and a stranger's classifier over a data set of files as predict has them, by every rule
    ways = [("letterbox", []), ("corner", []), ("stretch", []), ("cover", ["--resize", "20", "--filter", "bicubic"])]
    for i in range(4):
        pathlib.Path("files2").mkdir(exist_ok=True)
        ppm(f"files2/{i}.ppm", noise.integers(0, 256, (20 + 9 * i, 50 - 7 * i, 3)))
    run("ingest", "files2", "--ingest.encoding=encoded", "--out", "files2-set")
    for rule, more in ways:
        run("import", "means.onnx", "--classes=[r, g, b]", *AS_IT_IS, "--fit", rule, "--filter", "bilinear", "--fill", "200", *more, "--out", "m")
        run("infer", "--model", "m", "--data", "files2-set", "--out", "files2-p", "--force")
        found = predict("m", "files2")
        with h5py.File("files2-p/predictions-00000.h5") as f:
            for row, name in zip(f["prob"][:], sorted(found)):
                near([{c["class"]: c["probability"] for c in found[name]["classes"]}[k] for k in "rgb"], row, f"{name} by {rule} as infer has it", 1e-6)
    run("import", "means.onnx", "--classes=[r, g, b]", *AS_IT_IS, "--fit", "letterbox", "--fill", "127.5", "--out", "x", code=78, said="import.fill is 127.5")
    # ties are in the order of classes; a tag of exactly the least probability is there
    run("import", "means.onnx", "--classes=[r, g, b]", *AS_IT_IS, "--out", "m")
    check([c["class"] for c in predict("m", ppm("grey.ppm", flat(4, 4, (90, 90, 90))))["grey.ppm"]["classes"]] == ["r", "g", "b"], "a tie")
    run("import", "means.onnx", "--task", "tags", "--classes=[r, g, b]", *AS_IT_IS, "--score", "1", "--out", "t")
    check([t["tag"] for t in predict("t", ppm("red.ppm", flat(4, 4, (255, 0, 0))))["red.ppm"]["tags"]] == ["r"], "of exactly 1")
    # numbers that are none are that image's error
    run("import", put("log.onnx", [node("GlobalAveragePool", ["x"], ["p"]), node("Log", ["p"], ["y"])]), "--task", "embed", *AS_IT_IS, "--out", "e")
    found = predict("e", ppm("black.ppm", flat(4, 4, (0, 0, 0))), "grey.ppm", code=65)
    check("expected a finite number" in found["black.ppm"]["error"] and "embedding" in found["grey.ppm"], f"{found}")
    # a reader of images of several widths, one worker, and one that would be too wide
    reader("first.onnx")
    run("import", "first.onnx", "--task", "read", "--classes=[ä, b]", *AS_IT_IS, "--fit", "height", "--filter", "box", "--input=[8, 16]", "--out", "r")
    ppm("w40.ppm", bars(8, 40, [(2, 6), (8, 20)]))
    ppm("w60.ppm", bars(8, 60, [(2, 6), (8, 20), (30, 50)]))
    ppm("w5000.ppm", flat(1, 5000, (9, 9, 9)))
    found = predict("r", "w40.ppm", "w60.ppm", "w5000.ppm", "w40.ppm", "--threads", "1", code=65)
    check((found["w40.ppm"]["text"], found["w60.ppm"]["text"]) == ("ää", "äää") and "expected sides of at most" in found["w5000.ppm"]["error"], f"{found}")
    rows = list(csv.reader(io.StringIO(run("predict", "r", "w40.ppm", "--csv"))))
    check(rows[0] == ["file", "text", "confidence"] and len(rows[1]) == 3, f"{rows}")
    rows = list(csv.reader(io.StringIO(run("predict", "m", ppm("\"q.ppm", flat(4, 4, (0, 0, 9))), "--csv", "--top", "1"))))
    check(rows[1][:2] == ["\"q.ppm", "b"], f"{rows}")
    # what stands is read as what lies is
    run("import", put("red.onnx", [node("Slice", ["x", "from", "to", "axes"], ["y"])], [i64("from", 0), i64("to", 1), i64("axes", 1)], shape=("n", 3, "h", "w")), "--task", "regions", *AS_IT_IS,
        "--fit", "within", "--multiple", "4", "--filter", "nearest", "--input=[80, 80]", "--score", ".5", "--out", "d")
    tall = numpy.zeros((80, 40, 3), numpy.uint8)
    tall[16:64, 16:24] = (255, 0, 0)
    tall[20:30, 16:24] = 255
    tall[44:50, 16:24] = 255
    ppm("tall.ppm", tall)
    ppm("lying.ppm", numpy.rot90(tall))
    reader("bars.onnx", z=((1, -2), (-1, 3), (-9, -9)))
    run("import", "bars.onnx", "--task", "read", "--classes=[a, b]", *AS_IT_IS, "--fit", "height", "--filter", "box", "--input=[8, 16]", "--out", "rb")
    found = predict("d", "tall.ppm", "lying.ppm", "--then", "rb")
    check([found[f]["regions"][0]["text"] for f in ("tall.ppm", "lying.ppm")] == ["aa", "aa"], f"{found}")
    run("import", put("grey.onnx", [node("ReduceMean", ["x"], ["m"], "", [ints("axes", 2), one("keepdims", 0)]), node("Transpose", ["m"], ["t"], "", [ints("perm", 0, 2, 1)]), node("Concat", ["t", "t", "t"], ["y"], "",
        [one("axis", 2)])], shape=("n", 1, 8, "w")), "--task", "read", "--classes=[a, b]", "--mean=[0]", "--std=[1]", "--fit", "height", "--filter", "box", "--input=[8, 16]", "--out", "r1")
    run("predict", "d", "tall.ppm", "--then", "r1", code=78, said="of 1 channels; expected one that reads, of 3")
    # masks of sizes that do not divide; classes that are not there are not told; the background keeps its colour
    run("import", put("one.onnx", [node("Slice", ["x", "from", "to", "axes"], ["y"])], [i64("from", 0), i64("to", 1), i64("axes", 1)]), "--task", "segment", "--classes=[nothing, thing]", *AS_IT_IS,
        "--fit", "stretch", "--filter", "nearest", "--out", "s")
    pixels = numpy.zeros((10, 10, 3), numpy.uint8)
    on = numpy.array([0, 1, 0, 0, 1, 1, 0, 1, 0, 1], bool)
    pixels[on] = 200
    ppm("rows.ppm", pixels)
    run("predict", "s", "rows.ppm", "--out", "masks")
    found = json.load(open("masks/predict.json", encoding="utf-8"))["results"][0]["classes"]
    check([(c["class"], c["id"]) for c in found] == [("nothing", 0), ("thing", 1)], f"{found}")
    mask = numpy.concatenate([numpy.full(n, i % 2) for i, n in enumerate(found[1]["rle"]["counts"])]).reshape(10, 10).T
    check((mask == on[:, None]).all(), f"{mask}")
    drawn = png("masks/picture-00000.png")
    check((drawn[~on] == 0).all() and (drawn[on] != 200).any(2).all(), "colours")
    run("predict", "s", ppm("white.ppm", flat(10, 10, (255, 255, 255))), "black.ppm", "--out", "masks", "--force")
    found = json.load(open("masks/predict.json", encoding="utf-8"))["results"]
    check([[c["class"] for c in r["classes"]] for r in found] == [["thing"], ["nothing"]], f"{found}")
    check((png("masks/picture-00000.png") != 255).any(2).all(), "a thing everywhere is coloured, though it is the first class told")
    # for a person
    run("import", put("eight.onnx", [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["y"])], [f32("w", 8, 3, 1, 1, values=numpy.eye(8, 3))]), "--task", "embed", *AS_IT_IS, "--out", "e8")
    told = run("predict", "e8", "grey.ppm").splitlines()[1]
    check("..." not in told and len(told.split()) == 8, f"eight numbers are told: {told}")
    y = numpy.zeros((1, 5, 12))
    y[0, :, :] = numpy.array([numpy.arange(12) * 2 + 4, numpy.full(12, 16), numpy.full(12, 1), numpy.full(12, 4), numpy.full(12, .9)])
    run("import", constant("twelve.onnx", [y]), "--task", "detect", "--head", "yolov8", "--classes=[a]", *AS_IT_IS, "--fit", "stretch", "--out", "y12")
    pathlib.Path("bad.ppm").write_bytes(b"P6")
    run("predict", "y12", "grey.ppm", "bad.ppm", "--out", "page", code=65)
    page = pathlib.Path("page/predict.html").read_text(encoding="utf-8")
    check("more, in predict.json" not in page and page.count("<li>") == 12 and "Nothing was found" not in page, page[-600:])
    # what import takes and refuses
    run("import", "means.onnx", "--classes=[r, g, b]", *AS_IT_IS, "--fit", "cover", "--resize", "20", "--out", "c")
    check(json.load(open("c/model.json", encoding="utf-8"))["fit"] == {"rule": "cover", "filter": "bilinear", "resize": 20, "multiple": 0, "fill": 0.0}, "the filter of a side of its own")
    listed = model(graph([node("Mul", ["x", "w"], ["m"]), node("GlobalAveragePool", ["m"], ["y"])], [value("x", ["n", 3, 16, 16]), value("w", [1])], [value("y", ["n", 3])], [f32("w", 1, values=[2])]))
    pathlib.Path("listed.onnx").write_bytes(encode(listed))
    run("import", "listed.onnx", "--task", "embed", *AS_IT_IS, "--out", "l")
    near(predict("l", "red.ppm")["red.ppm"]["embedding"], [2, 0, 0], "weights that are listed among the inputs")
    for task in ("raw", "regions"):
        run("import", "means.onnx", "--task", task, "--classes=[a]", *AS_IT_IS, "--out", "x", code=78, said="has no names")
    run("import", "means.onnx", "--task", "embed", "--mean=[0,0,0]", "--std=[1,1,1]", "--range", "100", "--out", "x", code=78, said="import.range is 100, expected 1 or 255")
    run("import", "rough-model/model.safetensors", "--task", "embed", "--out", "x", code=78, said="is of models that come as ONNX")
    run("import", put("half.onnx", [node("MaxPool", ["x"], ["y"], "", [ints("kernel_shape", 2, 2), ints("strides", 2, 2)])]), "--task", "regions", *AS_IT_IS, "--fit", "stretch", "--out", "x", code=65,
        said="is no map of 16x16")
    for member, key, bad, said in (("decode", "blank", "middle", "decode.blank is 'middle'"), ("fit", "filter", "area", "the filter area")):
        changed = json.load(open("r/model.json", encoding="utf-8"))
        changed[member][key] = bad
        pathlib.Path("odd").mkdir(exist_ok=True)
        pathlib.Path("odd/model.json").write_text(json.dumps(changed), encoding="utf-8")
        pathlib.Path("odd/model.onnx").write_bytes(pathlib.Path("r/model.onnx").read_bytes())
        run("predict", "odd", "w40.ppm", code=65, said=said)


def named(_binary):
    """names that a file brings along in its metadata"""
    means()

    def with_property(name, source, key, text):
        data = pathlib.Path(source).read_bytes() + encode([(14, [(1, key), (2, text.encode() if isinstance(text, str) else text)])])
        pathlib.Path(name).write_bytes(data)
        return name

    def classes(*args, code=0, said=""):
        run("import", *args, *AS_IT_IS, "--out", "n", code=code, said=said)
        return json.load(open("n/model.json", encoding="utf-8"))["classes"] if not code else None
    y = numpy.zeros((1, 6, 3))
    y[0, :, 0] = [16, 16, 8, 8, .1, .9]
    constant("plain.onnx", [y])
    detect = ["--task", "detect", "--head", "yolov8", "--fit", "stretch", "--filter", "nearest"]
    for text in ("{0: 'cat', 1: \"dog's\"}", "{0:'cat',1:'dog\\'s'}", "{0: 'cat',\n 1: 'dog\\'s',}"):
        check(classes(with_property("yolo.onnx", "plain.onnx", "names", text), *detect) == ["cat", "dog's"], text)
    check(predict("n", ppm("a.ppm", flat(32, 32, (1, 2, 3))))["a.ppm"]["boxes"][0]["class"] == "dog's", "its class")
    for text in ("{1: 'cat', 0: 'dog'}", "{0: 'cat', 2: 'dog'}", "{0: 'cat'", "{0: cat}", "{0: 'cat}", "['cat', 'dog']", "", "{}", b"{0: '\xff'}", "{99999999999999999999: 'a'}"):
        classes(with_property("yolo.onnx", "plain.onnx", "names", text), *detect, code=78, said="import.classes is required")
    check(classes(with_property("yolo.onnx", "plain.onnx", "names", "{0: 'a', 1: 'b'}"), *detect, "--classes=[x, y]") == ["x", "y"], "what was asked for")
    # symbols of readers: without the blank, and without the space that comes last
    reader("first.onnx")
    read = ["--task", "read", "--fit", "height", "--filter", "bilinear", "--input=[8, 16]"]
    check(classes(with_property("rec.onnx", "first.onnx", "character", "ä"), *read) == ["ä", " "], "a space is added")
    check(classes(with_property("rec.onnx", "first.onnx", "character", "ä\nb\n"), *read) == ["ä", "b"], "as many as there are")
    classes(with_property("rec.onnx", "first.onnx", "character", "a\nb\nc\nd"), *read, code=65, said="has 3 symbols, a blank among them, but the model has 4 names")
    # a classifier's
    check(classes(with_property("c.onnx", "means.onnx", "classes", '["r", "g", "b"]')) == ["r", "g", "b"], "JSON")
    classes(with_property("c.onnx", "means.onnx", "labels", '["r", "g"]'), code=65, said="has 3 classes, but the file names 2")
    classes(with_property("c.onnx", "means.onnx", "labels", '["r", "g", 3]'), code=65, said="class 2 of the file is no name")
    check(classes(with_property("c.onnx", "means.onnx", "license", "MIT")) == ["0", "1", "2"], "another property")
    check(classes(with_property("e.onnx", "means.onnx", "classes", '["r", "g", "b"]'), "--task", "embed") == [], "a vector has no names")


def hostile(_binary):
    """what once read beyond its end, took minutes, or took everything with it"""
    means()
    ppm("s.ppm", flat(5, 5, (1, 2, 3)))
    for rule in ("within", "height"):
        run("import", "means.onnx", "--classes=[r, g, b]", *AS_IT_IS, "--fit", rule, "--multiple", "1", "--filter", "box", "--out", "x", code=65, said=f"the rule {rule} makes several")
    run("import", "means.onnx", "--classes=[r, g, b]", *AS_IT_IS, "--out", "cw")
    facts = json.load(open("cw/model.json", encoding="utf-8"))
    for key, bad, said in (("rule", "within", "makes several"), ("fill", 1e308, "expected 0 to 255"), ("fill", -1, "expected 0 to 255")):
        pathlib.Path("cw/model.json").write_text(json.dumps({**facts, "fit": {**facts["fit"], "filter": "box", key: bad}}), encoding="utf-8")
        run("predict", "cw", "s.ppm", code=65, said=said)
    for shape in ((1, 2, 0, 16), (1, 2, 16, 0), (1, 2, 0, 0)):
        put("zero.onnx", [node("Slice", ["x", "from", "to", "axes"], ["y"])], [i64("from", 0, 0, 0), i64("to", *shape[1:]), i64("axes", 1, 2, 3)])
        run("import", "zero.onnx", "--task", "segment", *AS_IT_IS, "--fit", "stretch", "--out", "x", code=65)
    for head in ("yolov8", "yolov5"):
        run("import", constant("none.onnx", [numpy.ones((1, 4, 7) if head == "yolov8" else (1, 7, 5))]), "--task", "detect", "--head", head, "--classes=[]", *AS_IT_IS, "--fit", "stretch", "--out", "x", code=78,
            said="import.classes is required")
    run("import", "means.onnx", "--task", "tags", "--classes=[a, a, b]", *AS_IT_IS, "--out", "x", code=78, said="'a' is there twice")
    # a thin strip among what was found is its own error, and no other's
    y = numpy.zeros((1, 5, 2))
    y[0, :, 0], y[0, :, 1] = [16, 16, 32, .01, .9], [16, 16, 8, 4, .8]
    run("import", constant("thin.onnx", [y]), "--task", "detect", "--head", "yolov8", "--classes=[a]", *AS_IT_IS, "--fit", "stretch", "--filter", "nearest", "--out", "d2")
    reader("first.onnx")
    run("import", "first.onnx", "--task", "read", "--classes=[a, b]", *AS_IT_IS, "--fit", "height", "--filter", "bilinear", "--input=[8, 16]", "--out", "r3")
    ppm("wide.ppm", flat(32, 3200, (255, 255, 255)))
    found = predict("d2", "wide.ppm", "--then", "r3")["wide.ppm"]["boxes"]
    check("expected sides of at most" in found[0]["error"] and found[1]["text"] == "a", f"{found}")
    # the default of our own models takes any shape
    grey_set()
    if not pathlib.Path("ours").exists():
        run("train", "--data", "data", *tiny.NET, "--out", "ours")
    check("classes" in predict("ours", ppm("strip.ppm", flat(1, 16000, (9, 9, 9))))["strip.ppm"], "a strip")
    # many symbols: beginnings grow by the probable ones alone; and rows that do not add up are looked at once
    put("many.onnx", [node("ReduceMean", ["x"], ["m"], "", [ints("axes", 1, 2), one("keepdims", 0)]), node("Unsqueeze", ["m", "two"], ["u"]), node("Mul", ["u", "w"], ["y"])],
        [i64("two", 2), f32("w", 6001, values=numpy.random.default_rng(1).normal(0, 3, 6001))], shape=("n", 3, 8, "w"))
    run("import", "many.onnx", "--task", "read", f"--classes={json.dumps([str(k) for k in range(6000)])}", *AS_IT_IS, "--fit", "height", "--filter", "box", "--input=[8, 16]", "--out", "many")
    ppm("text.ppm", numpy.repeat(numpy.random.default_rng(2).integers(0, 256, (1, 160, 1)), 3, 2).repeat(8, 0))
    check(isinstance(predict("many", "text.ppm", "--beam", "10")["text.ppm"]["text"], str), "a beam")


def refused(_binary):
    """what does not go together is said at import, and a model of another task is not taken for a classifier"""
    means()
    y = numpy.zeros((1, 6, 4))
    constant("yolo.onnx", [y])
    detect = ["import", "yolo.onnx", "--task", "detect", *AS_IT_IS, "--out", "x"]
    run(*detect, "--classes=[a, b]", code=78, said="import.head is not given, expected yolox")
    run(*detect, "--classes=[a, b]", "--head", "yolo9000", code=78, said="import.head is 'yolo9000', expected yolox")
    run(*detect, "--head", "yolov8", code=78, said="import.classes is required")
    run(*detect, "--classes=[a, b, c]", "--head", "yolov8", code=65, said="the network gives (1, 6, 4) for 32x32 pixels, expected (1, 4 + classes, places) with 3 classes")
    run(*detect, "--classes=[a, b]", "--head", "yolov8", "--fit", "askew", code=78, said="import.fit is 'askew', expected cover")
    run(*detect, "--classes=[a, b]", "--head", "yolov8", "--filter", "sharp", code=78, said="import.filter is 'sharp'")
    run(*detect, "--classes=[a, b]", "--head", "yolov8", "--fit", "stretch", "--filter", "area", code=78, said="the filter area")
    run(*detect, "--classes=[a, b]", "--head", "yolov8", "--fit", "stretch", "--resize", "40", code=78, said="import.resize is of the rule cover")
    run(*detect, "--classes=[a, b]", "--head", "yolov8", "--colours", "cmyk", code=78, said="import.colours is 'cmyk'")
    run("import", "means.onnx", "--task", "guess", "--out", "x", code=78, said="import.task is 'guess', expected classify, tags")
    run("import", "means.onnx", "--task", "embed", "--head", "ssd", *AS_IT_IS, "--out", "x", code=78, said="import.head is of the task detect")
    run("import", "means.onnx", "--task", "embed", "--classes=[a]", *AS_IT_IS, "--out", "x", code=78, said="has no names")
    run("import", "means.onnx", "--task", "regress", "--classes=[a]", *AS_IT_IS, "--out", "x", code=78, said="has 3 classes, but the configuration names 1")
    run("import", "means.onnx", "--task", "embed", "--range", "255", "--out", "x", code=78, said="import.range is of import.mean")
    run("import", "means.onnx", "--task", "read", "--classes=[a]", *AS_IT_IS, "--out", "x", code=65, said="expected (1, steps, symbols)")
    run("import", "means.onnx", "--task", "segment", *AS_IT_IS, "--out", "x", code=65, said="(1, classes, h, w)")
    check(not pathlib.Path("x").exists(), "something was made")
    run(*detect[:-1], "y", "--classes=[a, b]", "--head", "yolov8")
    ppm("a.ppm", flat(8, 8, (1, 2, 3)))
    grey_set()
    run("train", "--data", "data", "--from", "y", "--out", "q", code=78, said="a model of the task detect is not trained here")
    run("predict", "means.onnx", "a.ppm", code=65, said="nightshift import makes a model of an ONNX file")
    # what changes in model.json is seen
    facts = json.load(open("y/model.json", encoding="utf-8"))
    for path, bad, said in ((("fit", "rule"), "askew", "fit.rule is 'askew'"), (("fit", "filter"), "sharp", "fit.filter is 'sharp'"), (("decode", "head"), "x", "decode.head is 'x'"),
                            (("architecture", "task"), "guess", "task is 'guess'"), (("fit", "multiple"), -1, "multiple")):
        changed = json.loads(json.dumps(facts))
        changed[path[0]][path[1]] = bad
        pathlib.Path("y/model.json").write_text(json.dumps(changed), encoding="utf-8")
        run("predict", "y", "a.ppm", code=65, said=said)
    pathlib.Path("y/model.json").write_text(json.dumps(facts), encoding="utf-8")
    done = subprocess.run(["env", "ASAN_OPTIONS=detect_leaks=0", "mpirun", "-n", "2", NS, "predict", "y", "a.ppm"], capture_output=True, text=True, check=False)
    check("predict: works in one process" in done.stderr, done.stderr[-400:])


if __name__ == "__main__":
    NS, *parts = sys.argv[1:]
    for part in tiny.chosen((vectors, colours, boxes, texts, places, masks, files, shown, edges, named, hostile, refused), parts):
        part(NS)
    print(f"{tiny.checks} checks passed")
