"""Models of other tasks than classify over data sets, whose answers follow from the pixels. For tasks.sh.

usage: tasks.py NIGHTSHIFT [PART...], in an empty folder
"""
import json
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy

import predict
import tiny
from onnx_file import node
from predict import AS_IT_IS, bars, constant, f32, flat, i64, means, near, ppm, put, reader, run
from tiny import check

NS = None
RANKS = ("env", "ASAN_OPTIONS=detect_leaks=0", "mpirun", "-n", "2")  # MPI leaves allocations of its own


def finder(out="d"):
    """finds bright rectangles in the red of an image"""
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Conv", ["c", "v"], ["y"])]
    put("red.onnx", nodes, [f32("w", 2, 3, 1, 1, values=[1, 0, 0, 0, 1, 0]), f32("v", 1, 2, 1, 1, values=[1, 0])], shape=("n", 3, "h", "w"))
    run("import", "red.onnx", "--task", "regions", *AS_IT_IS, "--fit", "within", "--multiple", "4", "--filter", "nearest", "--input=[64, 64]", "--score", ".5", "--out", out)


def images(folder, n, seed, most=3, bright=255):
    """one to `most` bright rectangles on black in each, in a grid so that they do not meet; returns how many"""
    draw, counts = numpy.random.default_rng(seed), []
    pathlib.Path(folder).mkdir(exist_ok=True)
    for i in range(n):
        pixels, count = numpy.zeros((48, 64, 3), numpy.uint8), int(draw.integers(1, most + 1))
        for cell in draw.permutation(4)[:count]:
            h, w = draw.integers(4, 9, 2)
            y, x = 8 + 24 * (cell // 2), 8 + 32 * (cell % 2)
            pixels[y:y + h, x:x + w] = (bright, 40, 0)
        ppm(f"{folder}/{i:04}.ppm", pixels)
        counts.append(count)
    return counts


def columns(folder):
    out = {}
    for path in sorted(pathlib.Path(folder).glob("predictions-*.h5")):
        with h5py.File(path) as f:
            at, text = f["result_offset"][:], f["result"][:].tobytes()
            for k, v in {"answers": [json.loads(text[a:b]) for a, b in zip(at, at[1:])], "monitor": f["monitor"][:], "stats": f["stats"][:], "id": f["id"][:],
                         **({"embedding": f["embedding"][:]} if "embedding" in f else {})}.items():
                out.setdefault(k, []).append(v)
            check("label" not in f and "prob" not in f and "pred" not in f, "columns of a classifier")
            task = f.attrs["task"]
            out["names"], out["task"] = list(f["monitor"].attrs["monitor_names"].astype(str)), task.decode() if isinstance(task, bytes) else str(task)
    return {k: v if k in ("names", "task") else sum(v, []) if k == "answers" else numpy.concatenate(v) for k, v in out.items()}


def infer(model, data, out, *args):
    run("infer", "--model", model, "--data", data, "--out", out, "--force", *args)
    return columns(out)


# --- parts ---

def answers(_binary):
    """what predict says of a file, infer says of its row; and the numbers that are watched, by hand"""
    finder()
    counts = images("in", 20, 1)
    run("ingest", "in", "--ingest.encoding=encoded", "--out", "set")
    found = infer("d", "set", "p")
    said = predict.predict("d", "in")
    # rows are in the order of their files
    for i, (answer, (name, wanted)) in enumerate(zip(found["answers"], sorted(said.items()))):
        wanted.pop("file")
        check(answer == wanted and len(answer["regions"]) == counts[i], f"{name}: {answer}, wanted {wanted}")
    check(found["names"] == ["found", "mean score", "mean area", "mean x", "mean y"] and found["task"] == "regions", f"{found['names']}")
    near(found["monitor"][:, 0], counts, "how many")
    for row, answer in zip(found["monitor"], found["answers"]):
        area = [abs(numpy.cross(c[1] - c[0], c[3] - c[0])) for c in (numpy.array(r["corners"]) for r in answer["regions"])]
        near(row[1:3], [numpy.mean([r["score"] for r in answer["regions"]]), numpy.mean(area) / 48 / 64], "scores and areas")
        near(row[3:], numpy.mean([numpy.mean(r["corners"], 0) for r in answer["regions"]], 0) / [64, 48], "places")
    # the embedding is what the last convolution reads, its mean over places: of red and green here
    near(found["embedding"], [[(numpy.asarray(bright(f"in/{i:04}.ppm"), float)[..., k] / 255).mean() for k in (0, 1)] for i in range(20)], "embeddings")
    near(found["stats"][:, 0], [luma(f"in/{i:04}.ppm") for i in range(20)], "brightness", .01)  # of the image as it covers 64x64
    # nothing found: no mean
    pathlib.Path("dark").mkdir()
    ppm("dark/a.ppm", flat(48, 64, (0, 0, 0)))
    run("ingest", "dark", "--ingest.encoding=encoded", "--out", "dark-set")
    row = infer("d", "dark-set", "dark-p")["monitor"][0]
    check(row[0] == 0 and numpy.isnan(row[1:]).all(), f"{row}")
    # raw rows, and rows with classes, whose labels are not the model's
    run("ingest", "in", "--ingest.size=48x64x3", "--out", "raw")
    check(infer("d", "raw", "raw-p")["answers"] == found["answers"], "raw rows of the same size")
    # other tasks' numbers
    means()
    reader("first.onnx")
    pathlib.Path("one").mkdir()
    ppm("one/a.ppm", flat(16, 16, (51, 204, 102)))
    ppm("one/b.ppm", bars(8, 40, [(2, 6), (8, 20)]))
    run("ingest", "one", "--ingest.encoding=encoded", "--out", "one-set")
    y = numpy.zeros((1, 6, 3))
    y[0, :, 0], y[0, :, 1], y[0, :, 2] = [16, 16, 8, 4, .9, .1], [8, 8, 8, 8, .8, .1], [24, 24, 16, 16, .1, .7]
    constant("yolo.onnx", [y])
    for task, args, names, first in (
            ("tags", ["means.onnx", "--classes=[r, g, b]", "--score", ".3"], ["tags", "tag: r", "tag: g", "tag: b"], [2, 0, 1, 1]),
            ("regress", ["means.onnx", "--classes=[r, g, b]"], ["value: r", "value: g", "value: b"], [.2, .8, .4]),
            ("embed", ["means.onnx"], ["length"], [(.2**2 + .8**2 + .4**2)**.5]),
            ("raw", ["means.onnx"], ["output 0: mean", "output 0: deviation"], [1.4 / 3, numpy.std([.2, .8, .4])]),
            ("detect", ["yolo.onnx", "--head", "yolov8", "--classes=[cat, dog]", "--fit", "stretch"], ["found", "mean score", "mean area", "mean x", "mean y", "found: cat", "found: dog"],
             [3, .8, (32 + 64 + 256) / 3 / 1024, .5, .5, 2, 1]),
            ("read", ["first.onnx", "--classes=[a, b]", "--fit", "height", "--filter", "bilinear", "--input=[8, 16]"], ["length", "confidence"], None)):
        run("import", args[0], "--task", task, *args[1:], *AS_IT_IS, "--out", "m")
        found = infer("m", "one-set", "q")
        check(found["names"] == names, f"{task}: {found['names']}")
        if first:
            near(found["monitor"][0], first, task, 1e-3)
        else:
            check(found["monitor"][1][0] == 2 and [a["text"] for a in found["answers"]][1] == "aa", f"{found['answers']}")
    run("import", "means.onnx", "--task", "embed", *AS_IT_IS, "--out", "m")
    near(infer("m", "one-set", "q")["embedding"][0], [.2, .8, .4], "an embedding is the output itself")


def bright(path):
    data = pathlib.Path(path).read_bytes().split(b" 255\n", 1)
    w, h = map(int, data[0].split()[1:3])
    return numpy.frombuffer(data[1], numpy.uint8).reshape(h, w, 3)


def luma(path):
    """of the middle that covers a square"""
    x = bright(path)[:, 8:56].astype(int)
    return (((77 * x[..., 0] + 150 * x[..., 1] + 29 * x[..., 2] + 128) >> 8) / 255).mean()


def bits(_binary):
    """workers, ranks and parts change nothing"""
    finder()
    images("in2", 30, 2)
    run("ingest", "in2", "--ingest.encoding=encoded", "--ingest.shard_rows=8", "--out", "set2")
    run("infer", "--model", "d", "--data", "set2", "--out", "b1", "--threads", "1")
    names = sorted(p.name for p in pathlib.Path("b1").glob("predictions*"))
    check(len(names) == 5, f"{names}")

    def same(folder):
        for name in names:
            check(pathlib.Path("b1", name).read_bytes() == pathlib.Path(folder, name).read_bytes(), f"{folder}/{name} differs")
    run("infer", "--model", "d", "--data", "set2", "--out", "b3", "--threads", "3")
    same("b3")
    done = subprocess.run([*RANKS, NS, "infer", "--model", "d", "--data", "set2", "--out", "b2"], capture_output=True, text=True, check=False)
    check(done.returncode == 0, done.stderr[-500:])
    same("b2")
    for part in range(2):
        run("infer", "--model", "d", "--data", "set2", "--part", f"{part}/2", "--out", f"parts/{part:05}")
    run("merge", "parts", "--out", "merged")
    same("merged")


def watched(_binary):
    """more things in the images is drift of the answers; the same kind of images is none"""
    finder()
    for name, seed, most in (("ref", 3, 2), ("same", 4, 2), ("more", 5, 4)):
        images(f"in-{name}", 300, seed, most)
        run("ingest", f"in-{name}", "--ingest.encoding=encoded", "--out", f"set-{name}")
        run("infer", "--model", "d", "--data", f"set-{name}", "--out", f"p-{name}")
    for name, statuses in (("same", ("none",)), ("more", ("material",))):
        run("drift", "--reference", "p-ref", "--current", f"p-{name}", "--drift.self_test=0", "--out", f"drift-{name}")
        found = json.load(open(f"drift-{name}/drift.json", encoding="utf-8"))
        check(found["status"] in statuses and not found["quality"], f"{name}: {found['status']}, {found['quality']}")
        tests = {t["column"]: t for t in found["tests"] if t["kind"] == "output" and t.get("p_adjusted") is not None}
        check({"found", "mean area", "mean x", "mean y"} <= set(tests), f"{list(tests)}")
    check(tests["found"]["p_adjusted"] < 1e-6, f"{tests['found']}")
    # nothing here trains such a model: no manifest is written for it, whatever calls for one
    run("drift", "--reference", "p-ref", "--current", "p-more", "--drift.self_test=0", "--drift.emit=material", "--out", "drift-emit")
    found = json.load(open("drift-emit/drift.json", encoding="utf-8"))["manifest"]
    check(not found["emit"] and "is one that is not trained here" in found["because"] and not pathlib.Path("drift-emit/retrain.json").exists(), f"{found}")
    # nights remember them among the outputs
    run("drift", "--reference", "p-ref", "--current", "p-more", "--drift.self_test=0", "--drift.history", "history", "--out", "drift-night")
    effects = json.load(open("drift-night/drift.json", encoding="utf-8"))["nights"]["effects"]["outputs"]
    check(list(effects) == ["found", "mean score", "mean area", "mean x", "mean y"] and effects["found"] > 1 and abs(effects["mean x"]) < .3, f"{effects}")
    # answers of another model's columns are not compared
    means()
    run("import", "means.onnx", "--task", "regress", *AS_IT_IS, "--out", "m")
    run("infer", "--model", "m", "--data", "set-same", "--out", "p-other")
    run("drift", "--reference", "p-ref", "--current", "p-other", "--out", "x", code=65, said="answers of the reference have 5 columns, of the current window 3")


def judged(_binary):
    """answers against annotations: boxes of COCO's file, texts of a CSV, tags and numbers of JSON lines"""
    y = numpy.zeros((1, 6, 3))
    y[0, :, 0], y[0, :, 1], y[0, :, 2] = [16, 16, 8, 4, .9, .1], [8, 8, 8, 8, .8, .1], [24, 24, 16, 16, .1, .7]
    constant("yolo.onnx", [y])
    run("import", "yolo.onnx", "--task", "detect", "--head", "yolov8", "--classes=[cat, dog]", "--fit", "stretch", "--filter", "nearest", *AS_IT_IS, "--out", "y")
    pathlib.Path("coco").mkdir()
    for i in range(3):
        ppm(f"coco/{i}.ppm", flat(32, 64, (i, i, i)))  # twice as wide as the canvas
    boxes = [(0, 1, [24, 14, 16, 4]), (0, 1, [8, 4, 16, 8]), (0, 2, [32, 16, 32, 16]), (1, 1, [24, 14, 16, 4]), (2, 3, [0, 0, 5, 5])]
    json.dump({"images": [{"id": i, "file_name": f"{i}.ppm"} for i in range(3)], "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "cow"}],
               "annotations": [{"id": k, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0} for k, (i, c, b) in enumerate(boxes)]}, open("coco/all.json", "w"))
    run("ingest", "coco", "--ingest.encoding=encoded", "--out", "coco-set")
    run("infer", "--model", "y", "--data", "coco-set", "--out", "coco-p")
    run("evaluate", "--predictions", "coco-p", "--data", "coco-set", "--out", "e", "--force")
    found = json.load(open("e/evaluation.json", encoding="utf-8"))
    # cats: 3 said, 6 found of which 3 exactly right, as (score, image): .9 right right wrong, .8 right wrong wrong; dogs: 1 said, and 3 found of one score, the first right
    cat = (numpy.arange(101) <= 66).sum() / 101 + (numpy.arange(101) > 66).sum() / 101 * 3 / 4
    near([found["classes"]["cat"], found["classes"]["dog"], found["ap"], found["ap50"], found["recall"]], [cat, 1, (cat + 1) / 2, (cat + 1) / 2, 1], "average precision", 1e-6)
    check((found["rows"], found["labelled"], found["objects"], found["objects_of_unknown_classes"], found["task"]) == (3, 3, 4, 1, "detect"), f"{found}")
    run("evaluate", "--predictions", "coco-p", "--out", "e", "--force", code=64, said="--data is required")
    # texts
    reader("first.onnx")
    run("import", "first.onnx", "--task", "read", "--classes=[a, b]", *AS_IT_IS, "--fit", "height", "--filter", "bilinear", "--input=[8, 16]", "--out", "r")
    pathlib.Path("lines").mkdir()
    for name, columns_of in (("x", [(2, 6), (8, 20)]), ("y", [(2, 6)]), ("z", [(2, 6), (8, 12), (20, 30)]), ("n", [(1, 2)])):
        ppm(f"lines/{name}.ppm", bars(8, 40, columns_of))
    pathlib.Path("lines.csv").write_text("path,text\nlines/x.ppm,aa\nlines/y.ppm,b\nlines/z.ppm,aab\nlines/n.ppm,a\n")
    run("ingest", "lines.csv", "--ingest.encoding=encoded", "--out", "lines-set")
    run("infer", "--model", "r", "--data", "lines-set", "--out", "lines-p")
    run("evaluate", "--predictions", "lines-p", "--data", "lines-set", "--out", "e", "--force")
    found = json.load(open("e/evaluation.json", encoding="utf-8"))
    edits, length = numpy.array([0, 1, 1, 0]), numpy.array([2, 1, 3, 1])
    rate = edits.sum() / length.sum()
    wide = 1.959963985 * numpy.sqrt(((edits - rate * length)**2).sum() * 4 / 3) / length.sum()
    near([found["character_error_rate"], found["character_error_low"], found["character_error_high"], found["accuracy"]], [rate, max(0, rate - wide), rate + wide, .5], "texts", 1e-6)
    check((found["labelled"], found["characters"], found["correct"]) == (4, 7, 2) and found["low"] < .5 < found["high"], f"{found}")
    run("evaluate", "--predictions", "lines-p", "--data", "lines-set", "--evaluate.truth=words", "--out", "e2", code=65, said="no row's annotation has a member 'words'")
    # tags and numbers
    means()
    pathlib.Path("one2").mkdir()
    said = []
    for i, (colour, tags) in enumerate((((255, 0, 0), ["r"]), ((255, 255, 0), ["r"]), ((0, 0, 255), ["g", "b"]), ((0, 255, 0), None))):
        ppm(f"one2/{i}.ppm", flat(16, 16, colour))
        said.append({"path": f"one2/{i}.ppm", **({"tags": tags, "values": {"r": .5}} if tags else {})})
    pathlib.Path("tags.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    run("ingest", "tags.jsonl", "--ingest.encoding=encoded", "--out", "tags-set")
    run("import", "means.onnx", "--task", "tags", "--classes=[r, g, b]", *AS_IT_IS, "--out", "t")
    run("infer", "--model", "t", "--data", "tags-set", "--out", "tags-p")
    run("evaluate", "--predictions", "tags-p", "--data", "tags-set", "--out", "e", "--force")
    found = json.load(open("e/evaluation.json", encoding="utf-8"))
    check((found["rows"], found["labelled"]) == (4, 3), f"{found}")
    near([found["all"][k] for k in ("right", "found", "said", "precision", "recall", "f1")], [3, 4, 4, .75, .75, .75], "tags")
    near([found["classes"]["g"][k] for k in ("right", "found", "said")], [0, 1, 1], "one tag")
    run("import", "means.onnx", "--task", "regress", "--classes=[r, g, b]", *AS_IT_IS, "--out", "t")
    run("infer", "--model", "t", "--data", "tags-set", "--out", "tags-p", "--force")
    run("evaluate", "--predictions", "tags-p", "--data", "tags-set", "--out", "e", "--force")
    found = json.load(open("e/evaluation.json", encoding="utf-8"))["values"]
    near([found["r"][k] for k in ("rows", "mean_error", "mean_absolute_error", "root_mean_square_error")], [3, .5 / 3, .5, .5], "numbers")
    check(found["g"]["rows"] == 0 and found["g"]["mean_error"] is None, f"{found}")
    # of another set, and of a task without a measure
    run("evaluate", "--predictions", "tags-p", "--data", "coco-set", "--out", "e2", code=65, said="4 predictions, but coco-set has 3 rows")
    run("evaluate", "--predictions", "tags-p", "--data", "lines-set", "--out", "e2", code=65, said="are of another image")
    run("import", "means.onnx", "--task", "raw", *AS_IT_IS, "--out", "t")
    run("infer", "--model", "t", "--data", "tags-set", "--out", "tags-p", "--force")
    run("evaluate", "--predictions", "tags-p", "--data", "tags-set", "--out", "e2", code=78, said="of the task raw there is no measure here")


def text_of_runs(counts):
    """COCO's text of run lengths"""
    out = ""
    for i, n in enumerate(counts):
        x = n - counts[i - 2] if i > 2 else n
        more = True
        while more:
            c, x = x & 31, x >> 5
            more = x != (-1 if c & 16 else 0)
            out += chr(48 + (c | 32 if more else c))
    return out


def pixels(_binary):
    """classes of pixels against outlines and run lengths, over all images; the background, what nobody said, crowds and unknown classes"""
    put("seg.onnx", [node("Conv", ["x", "w", "b"], ["y"])], [f32("w", 3, 3, 1, 1, values=numpy.eye(3)[[2, 0, 1]].reshape(3, 3, 1, 1) * [[[[1]]], [[[2]]], [[[2]]]]), f32("b", 3, values=[.4, 0, 0])])
    pathlib.Path("px").mkdir()
    draw, said, truths, founds = numpy.random.default_rng(3), [], [], []
    for i in range(4):
        found, truth, objects = numpy.zeros((24, 32), int), numpy.zeros((24, 32), int), []
        for k in range(3):
            y, x, h, w, cls = (int(v) for v in (*draw.integers(0, 10, 2), *draw.integers(5, 12, 2), draw.integers(1, 3)))
            truth[y:y + h, x:x + w] = cls
            box = [x, y, x + w, y, x + w, y + h, x, y + h]
            runs = numpy.zeros((24, 32), int)
            runs[y:y + h, x:x + w] = 1
            down = runs.T.flatten()
            edges = [0, *(numpy.flatnonzero(down[1:] != down[:-1]) + 1), down.size]
            counts = ([0] if down[0] else []) + [int(n) for n in numpy.diff(edges)]
            way = (i + k) % 4
            objects.append({"category": ["", "red", "green"][cls], **({"segmentation": [box]} if way == 0 else {"segmentation": {"size": [24, 32], "counts": counts}} if way == 1 else
                                                                     {"segmentation": {"size": [24, 32], "counts": text_of_runs(counts)}} if way == 2 else
                                                                     {"polygon_normalized": [v / (24 if j % 2 else 32) for j, v in enumerate(box)]})})
            dy, dx = (int(v) for v in draw.integers(0, 3, 2))
            found[y + dy:y + h + dy, x + dx:x + w + dx] = cls if draw.random() < .8 else 3 - cls
        if i == 3:  # nobody knows what these pixels are
            objects += [{"category": "red", "iscrowd": 1, "segmentation": [[0, 0, 8, 0, 8, 3, 0, 3]]}, {"category": "blue", "segmentation": [[20, 20, 32, 20, 32, 24, 20, 24]]}]
            truth[:3, :8], truth[20:, 20:] = -1, -1
        picture = numpy.zeros((24, 32, 3), numpy.uint8)
        picture[found == 1], picture[found == 2] = (255, 0, 0), (0, 255, 0)
        ppm(f"px/{i}.ppm", picture)
        said.append({"path": f"px/{i}.ppm", "objects": objects})
        truths.append(truth)
        founds.append(found)
    pathlib.Path("px.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    run("ingest", "px.jsonl", "--ingest.encoding=encoded", "--out", "px-set")
    t = numpy.array(truths)
    for background in ("background", "nothing"):
        run("import", "seg.onnx", "--task", "segment", f"--classes=[{background}, red, green]", *AS_IT_IS, "--fit", "letterbox", "--filter", "nearest", "--out", "s", "--force")
        f = numpy.array([sum(c["id"] * numpy.concatenate([numpy.full(n, k % 2) for k, n in enumerate(c["rle"]["counts"])]).reshape(32, 24).T for c in a["classes"])
                         for a in infer("s", "px-set", "px-p")["answers"]])
        check((f == numpy.array(founds)).mean() > .9, "the masks are of other images")
        found = evaluated("px-p", "px-set")
        known = t >= 0 if background == "background" else t > 0
        ious = [((t == k) & (f == k) & known).sum() / (((t == k) | (f == k)) & known).sum() for k in range(3)]
        near([found["classes"][n] for n in (background, "red", "green")], ious, "intersections over unions", 1e-9)
        near([found["mean_iou"], found["pixel_accuracy"]], [numpy.mean(ious), ((t == f) & known).sum() / known.sum()], "means", 1e-9)
        check((found["pixels"], found["objects_of_unknown_classes"], found["labelled"]) == (int(known.sum()), 1, 4), f"{found}")
    # an empty list is no outline; of a box alone nobody knows which pixels are the object's
    boxed = [{"category": "red", "segmentation": [], "bbox": [4, 2, 10, 6]}, {"category": "green", "segmentation": [], "polygon_normalized": [0, 0, .25, 0, .25, .25, 0, .25]}]
    pathlib.Path("boxed.jsonl").write_text(json.dumps({"path": "px/0.ppm", "objects": boxed}) + "\n")
    run("ingest", "boxed.jsonl", "--ingest.encoding=encoded", "--out", "boxed-set", "--force")
    run("import", "seg.onnx", "--task", "segment", "--classes=[background, red, green]", *AS_IT_IS, "--fit", "letterbox", "--filter", "nearest", "--out", "sb", "--force")
    infer("sb", "boxed-set", "boxed-p")
    found = evaluated("boxed-p", "boxed-set")
    check((found["pixels"], found["objects_without_outline"], found["rows_with_errors"]) == (24 * 32 - 60 + 4 * 4, 1, 0), f"{found}")
    for bad, what in (({"category": "red"}, "without a segmentation"), ({"category": "red", "segmentation": [[1, 2, 3]]}, "at least three points"),
                      ({"category": "red", "segmentation": {"size": [24, 32], "counts": [5, 5]}}, "run lengths that are not"), ({"category": "red", "segmentation": {"size": [24, 32], "counts": "!!"}}, "run lengths that are not")):
        pathlib.Path("bad.jsonl").write_text(json.dumps({"path": "px/0.ppm", "objects": [bad]}) + "\n")
        run("ingest", "bad.jsonl", "--ingest.encoding=encoded", "--out", "bad-set", "--force")
        infer("s", "bad-set", "bad-p")
        run("evaluate", "--predictions", "bad-p", "--data", "bad-set", "--out", "e2", code=65, said=what)


def regions(_binary):
    """regions against outlines: found, missed, made up; crowds are neither"""
    finder()
    pathlib.Path("rg").mkdir()
    said, boxes = [], [[(4, 4, 10, 8), (36, 6, 9, 7)], [(6, 28, 8, 8)], [(40, 30, 12, 9), (8, 8, 7, 7)]]
    for i, of in enumerate(boxes):
        picture, objects = numpy.zeros((48, 64, 3), numpy.uint8), []
        for x, y, w, h in of:
            picture[y:y + h, x:x + w] = (255, 40, 0)
        for k, (x, y, w, h) in enumerate(of):
            if (i, k) == (1, 0):
                x += 20  # drawn elsewhere: one is missed, one is made up
            x, y, w, h = x - 2, y - 2, w + 4, h + 4  # as regions are: wider than what is bright
            fine = [v for t in numpy.linspace(0, 1, 60, endpoint=False) for v in (x + w * t, y)] + [v for t in numpy.linspace(0, 1, 60, endpoint=False) for v in (x + w, y + h * t)] + [x + w, y + h, x, y + h]
            objects.append({"bbox": [x, y, w, h], "segmentation": []} if k else {"segmentation": [fine if i else [x, y, x + w, y, x + w, y + h, x, y + h]]})
        if i == 2:
            objects[1]["iscrowd"] = 1
        ppm(f"rg/{i}.ppm", picture)
        said.append({"path": f"rg/{i}.ppm", "objects": objects})
    pathlib.Path("rg.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    run("ingest", "rg.jsonl", "--ingest.encoding=encoded", "--out", "rg-set")
    answers_of = infer("d", "rg-set", "rg-p")["answers"]
    check([len(a["regions"]) for a in answers_of] == [2, 1, 2], f"{answers_of}")
    found = evaluated("rg-p", "rg-set")
    check((found["regions"], found["found"], found["right"]) == (4, 4, 3), f"{found}")
    near([found["precision"], found["recall"], found["f1"]], [.75, .75, .75], "regions")
    check(.5 < found["mean_iou"] <= 1, f"{found}")


def identities(_binary):
    """embeddings against who is shown: area, accepted pairs and nearest, as NumPy has them of all pairs"""
    means()
    run("import", "means.onnx", "--task", "embed", *AS_IT_IS, "--out", "em", "--force")
    pathlib.Path("who").mkdir()
    draw, said = numpy.random.default_rng(6), []
    middle = draw.integers(40, 216, (8, 3))
    for i in range(60):
        colour = numpy.clip(middle[i % 8] + draw.normal(0, 22, 3), 0, 255).astype(int)
        ppm(f"who/{i:02}.ppm", flat(8, 8, tuple(int(c) for c in colour)))
        said.append({"path": f"who/{i:02}.ppm", **({"identity": f"p{i % 8}"} if i < 56 else {})})
    pathlib.Path("who.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    run("ingest", "who.jsonl", "--ingest.encoding=encoded", "--out", "who-set")
    x = numpy.array([a["embedding"] for a in infer("em", "who-set", "who-p")["answers"]])[:56]
    x /= numpy.linalg.norm(x, axis=1, keepdims=True)
    cosine, who = x @ x.T, numpy.arange(56) % 8
    pairs = numpy.triu_indices(56, 1)
    c, same = cosine[pairs], (who[:, None] == who)[pairs]
    found = evaluated("who-p", "who-set")
    area = ((c[same][:, None] > c[~same]).sum() + .5 * (c[same][:, None] == c[~same]).sum()) / same.sum() / (~same).sum()
    limit = numpy.sort(c[~same])[::-1][int(.01 * (~same).sum())]
    numpy.fill_diagonal(cosine, -2)
    near([found["auroc"], found["accepted_at_1e-2"], found["nearest_is_same"]], [area, (c[same] > limit).mean(), (who[cosine.argmax(1)] == who).mean()], "identities", 2e-2)
    near(found["auroc"], area, "the area", 1e-3)
    check((found["identities"], found["pairs_same"], found["pairs_other"], found["labelled"]) == (8, int(same.sum()), int((~same).sum()), 56), f"{found}")
    check(.5 < found["auroc"] < 1 and 0 <= found["accepted_at_1e-3"] <= found["accepted_at_1e-2"] < 1, f"{found}")
    # two persons, each once in red and once in green: each is as far from himself as from the other in the other colour, and nearest to who has his colour
    said = [{"path": ppm(f"who/{k}{c}.ppm", flat(8, 8, ((255, 0, 0), (0, 255, 0))[c])), "identity": k} for k in "ab" for c in range(2)]
    pathlib.Path("tied.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    run("ingest", "tied.jsonl", "--ingest.encoding=encoded", "--out", "tied-set")
    infer("em", "tied-set", "tied-p")
    found = evaluated("tied-p", "tied-set")
    near([found[k] for k in ("auroc", "accepted_at_1e-2", "nearest_is_same")], [.25, 0, 0], "pairs of which half are tied")


def evaluated(predictions, data):
    run("evaluate", "--predictions", predictions, "--data", data, "--out", "e", "--force")
    return json.load(open("e/evaluation.json", encoding="utf-8"))


def edges(_binary):
    """embeddings of sequences, many names, characters of several bytes, answers of several shards, annotations of other kinds"""
    # what the last weights read is a sequence: its mean over steps
    nodes = [node("ReduceMean", ["x"], ["m"], "", [predict.ints("axes", 2), predict.one("keepdims", 0)]), node("Transpose", ["m"], ["t"], "", [predict.ints("perm", 0, 2, 1)]),
             node("MatMul", ["t", "w"], ["y"])]
    put("seq.onnx", nodes, [f32("w", 3, 3, values=[9, -9, 0, 0, 0, 0, 0, 0, 1])], shape=("n", 3, 8, "w"))
    run("import", "seq.onnx", "--task", "read", "--classes=[ä, b]", *AS_IT_IS, "--fit", "height", "--filter", "box", "--input=[8, 16]", "--blank", "last", "--out", "r")
    pathlib.Path("seq").mkdir()
    pixels = numpy.zeros((8, 20, 3), numpy.uint8)
    pixels[:, 2:6] = pixels[:, 8:16] = (255, 0, 51)
    pixels[..., 2] += 51
    ppm("seq/a.ppm", pixels)
    ppm("seq/b.ppm", flat(8, 20, (0, 0, 255)))
    run("ingest", "seq", "--ingest.encoding=encoded", "--out", "seq-set")
    found = infer("r", "seq-set", "q")
    near(found["embedding"], [pixels.reshape(-1, 3).mean(0) / 255, [0, 0, 1]], "embedding of a sequence")
    check([a["text"] for a in found["answers"]] == ["ää", ""] and found["monitor"][0][0] == 2 and numpy.isnan(found["monitor"][1][1]), f"{found}")
    # no more columns than are judged
    put("fifty.onnx", [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]), node("Flatten", ["p"], ["y"])], [f32("w", 50, 3, 1, 1, values=numpy.ones((50, 3)) / 3)])
    run("import", "fifty.onnx", "--task", "tags", *AS_IT_IS, "--out", "t")
    check(len(infer("t", "seq-set", "q")["names"]) == 41, "columns")
    run("import", put("log.onnx", [node("GlobalAveragePool", ["x"], ["p"]), node("Log", ["p"], ["l"]), node("Log", ["l"], ["y"])]), "--task", "raw", *AS_IT_IS, "--out", "w")
    check(numpy.isnan(infer("w", "seq-set", "q")["monitor"]).all(), "the mean of what is no number")
    run("import", put("map.onnx", [node("Flatten", ["x"], ["y"])], shape=("n", 3, "h", "w")), "--task", "embed", *AS_IT_IS, "--fit", "within", "--multiple", "4", "--filter", "box", "--input=[16, 16]", "--out", "x",
        code=65, said="its embedding has 768 numbers of one image and 384 of a wider one")
    # one image that the model makes no sense of does not cost the others
    pathlib.Path("some").mkdir()
    ppm("some/a.ppm", bars(8, 20, [(2, 6)]))
    ppm("some/b.ppm", flat(1, 5000, (1, 2, 3)))
    ppm("some/c.ppm", bars(8, 20, [(8, 16)]))
    run("ingest", "some", "--ingest.encoding=encoded", "--out", "some-set")
    found = infer("r", "some-set", "some-p")
    check([list(a)[-1] for a in found["answers"]] == ["confidence", "error", "confidence"] and "expected sides of at most" in found["answers"][1]["error"], f"{found['answers']}")
    check(numpy.isnan(found["monitor"][1]).all() and not numpy.isnan(found["monitor"][0]).any(), f"{found['monitor']}")
    run("drift", "--reference", "some-p", "--current", "some-p", "--out", "some-drift")
    # statistics are of the image's middle, upright
    pathlib.Path("left").mkdir()
    pixels = numpy.zeros((48, 64, 3), numpy.uint8)
    pixels[:, :8] = 255
    ppm("left/a.ppm", pixels)
    run("ingest", "left", "--ingest.encoding=encoded", "--out", "left-set")
    finder()
    check(infer("d", "left-set", "q")["stats"][0][0] < .02, "what lies beside the middle")
    # classes of a folder are not the model's; a device by name
    for k in "xy":
        pathlib.Path(f"folders/{k}").mkdir(parents=True)
        ppm(f"folders/{k}/a.ppm", pixels)
    run("ingest", "folders", "--ingest.encoding=encoded", "--out", "folders-set")
    check(len(infer("d", "folders-set", "q", "--device", "cpu")["answers"]) == 2, "a set with classes of its own")
    # columns of another name; offsets that do not fit
    images("in4", 6, 9)
    run("ingest", "in4", "--ingest.encoding=encoded", "--ingest.shard_rows=2", "--out", "set4")
    run("infer", "--model", "d", "--data", "set4", "--out", "p4")
    for name, change, said in (("names", lambda f: f["monitor"].attrs.__setitem__("monitor_names", numpy.array([b"lost", *f["monitor"].attrs["monitor_names"][1:].astype("S")])), "column 0 of the answers is"),
                               ("short", lambda f: f["result_offset"].__setitem__(2, f["result_offset"][2] - 1), "but its rows end at"),
                               ("order", lambda f: f["result_offset"].__setitem__(1, f["result_offset"][2] + 0), None), ("first", lambda f: f["result_offset"].__setitem__(0, 1), "offsets that grow")):
        shutil.copy("p4/predictions-00000.h5", f"{name}.h5")
        with h5py.File(f"{name}.h5", "r+") as f:
            change(f)
        if said:
            run("drift", "--reference", "p4", "--current", f"{name}.h5", "--out", "x", code=65, said=said)
    # texts of several shards; a single text has no width
    reader("first.onnx")
    run("import", "first.onnx", "--task", "read", "--classes=[a, b]", *AS_IT_IS, "--fit", "height", "--filter", "bilinear", "--input=[8, 16]", "--out", "r2")
    pathlib.Path("several").mkdir()
    lines = []
    for i in range(5):
        pixels = bars(8, 40, [(2, 6), (8, 20)][:1 + i % 2])
        pixels[0, 39] = i  # no two are the same
        ppm(f"several/{i}.ppm", pixels)
        lines.append(f"{'a' * (1 + i // 2)},several/{i}.ppm")
    pathlib.Path("several.csv").write_text("text,path\n" + "\n".join(lines) + "\n")
    figures = []
    for rows in (2, 100):
        run("ingest", "several.csv", "--ingest.encoding=encoded", f"--ingest.shard_rows={rows}", "--out", "several-set")
        run("infer", "--model", "r2", "--data", "several-set", "--out", "q", "--force")
        figures.append({k: v for k, v in evaluated("q", "several-set").items() if k != "predictions"})
    check(figures[0] == figures[1] and figures[0]["labelled"] == 5, f"{figures}")
    pathlib.Path("one.csv").write_text("path,text\nseveral/0.ppm,ab\n")
    run("ingest", "one.csv", "--ingest.encoding=encoded", "--out", "one-line")
    run("infer", "--model", "r2", "--data", "one-line", "--out", "q", "--force")
    found = evaluated("q", "one-line")
    near([found[f"character_error_{k}"] for k in ("rate", "low", "high")], [.5, .5, .5], "one text")
    # what is said in another way than is asked is no label, or an error
    for text, code, said in ((None, 65, "no row's annotation has a member 'text'"), (5, 65, "member 'text' is not what it should be: expected a text"), (["a"], 65, "expected a text")):
        pathlib.Path("odd.jsonl").write_text(json.dumps({"path": "several/0.ppm", "text": text}) + "\n")
        run("ingest", "odd.jsonl", "--ingest.encoding=encoded", "--out", "odd-set")
        run("infer", "--model", "r2", "--data", "odd-set", "--out", "q", "--force")
        run("evaluate", "--predictions", "q", "--data", "odd-set", "--out", "x", code=code, said=said)
    # tags that are found more often than they are said
    means()
    run("import", "means.onnx", "--task", "tags", "--classes=[r, g, b]", *AS_IT_IS, "--out", "t")
    pathlib.Path("white.jsonl").write_text(json.dumps({"path": ppm("white.ppm", flat(16, 16, (255, 255, 255))), "tags": ["r"]}) + "\n")
    run("ingest", "white.jsonl", "--ingest.encoding=encoded", "--out", "white-set")
    run("infer", "--model", "t", "--data", "white-set", "--out", "q", "--force")
    near([evaluated("q", "white-set")["all"][k] for k in ("precision", "recall", "f1")], [1 / 3, 1, .5], "tags")
    # crowds, areas of objects, and boxes of both kinds
    y = numpy.zeros((1, 5, 2))
    y[0, :, 0], y[0, :, 1] = [16, 16, 20, 20, .9], [5, 5, 4, 4, .8]
    run("import", constant("yolo.onnx", [y]), "--task", "detect", "--head", "yolov8", "--classes=[cat]", "--fit", "stretch", "--filter", "nearest", *AS_IT_IS, "--out", "y")
    shares = [{"category": "cat", "bbox": [12, 12, 40, 40], "bbox_normalized": [0, 0, .1, .1], "area": 900}, {"category": "cat", "bbox": [40, 0, 20, 6], "iscrowd": 1},
              {"category": "cat", "bbox_normalized": [6 / 64, 6 / 64, 8 / 64, 8 / 64]}]
    pathlib.Path("boxes.jsonl").write_text(json.dumps({"path": ppm("boxes.ppm", flat(64, 64, (1, 2, 3))), "objects": shares}) + "\n")
    run("ingest", "boxes.jsonl", "--ingest.encoding=encoded", "--out", "boxes-set")
    run("infer", "--model", "y", "--data", "boxes-set", "--out", "q", "--force")
    found = evaluated("q", "boxes-set")
    near([found[k] for k in ("ap", "recall", "ap_small")], [1, 1, 1], "crowds, areas, shares")
    check(found["ap_medium"] is None and found["objects"] == 3, f"{found}")
    for objects, said in (("cat", "expected a list of objects"), ([{"category": "cat", "bbox": ["a", "b", "c", "d"]}], "an object whose box is not"), ([{"category": "cat", "bbox": [1, 1, -5, 5]}], "an object whose box is not"),
                          ([{"category": "cat"}], "an object whose box is not")):
        pathlib.Path("boxes.jsonl").write_text(json.dumps({"path": "boxes.ppm", "objects": objects}) + "\n")
        run("ingest", "boxes.jsonl", "--ingest.encoding=encoded", "--out", "boxes-set")
        run("infer", "--model", "y", "--data", "boxes-set", "--out", "q", "--force")
        run("evaluate", "--predictions", "q", "--data", "boxes-set", "--out", "x", code=65, said=said)
    # files of two tasks, or of two kinds of columns
    for change, said in ((lambda f: f.attrs.create("task", "read", dtype=h5py.string_dtype("utf-8", 4)), "its task is 'read'"),
                         (lambda f: f["monitor"].attrs.__setitem__("monitor_names", numpy.array([b"lost", *f["monitor"].attrs["monitor_names"][1:].astype("S")])), "column 0 of monitor is 'lost'")):
        shutil.rmtree("mixed", ignore_errors=True)
        shutil.copytree("p4", "mixed")
        with h5py.File("mixed/predictions-00001.h5", "r+") as f:
            change(f)
        index = json.load(open("mixed/predictions.json", encoding="utf-8"))
        for one in index["files"]:
            one.pop("sha256")
        index.pop("digest")
        pathlib.Path("mixed/predictions.json").write_text(json.dumps(index), encoding="utf-8")
        run("drift", "--reference", "p4", "--current", "mixed", "--out", "x", code=65, said=said)


def night(model, name, reference, tonight, says):
    """two nights of a site whose production is that model; what they say"""
    folder = pathlib.Path(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for place in ("data/train", "data/reference", "test"):
        run("ingest", reference, "--ingest.encoding=encoded", "--out", f"{name}/prep/{place}")
    run("registry", "promote", "production", tiny.digest(f"{model}/model.json"), "--override", "--why", "imported", "--registry", "registry")
    nights = "".join(f"    - {{name: {k}, source: {v}}}\n" for k, v in tonight.items())
    pathlib.Path(f"{name}.yaml").write_text(f"registry: registry\ningest: {{encoding: encoded}}\ndrift: {{permutations: 199, self_test: 0}}\nnight:\n  prepared: {name}/prep\n  nights:\n{nights}")
    run("night", "--config", f"{name}.yaml", "--out", f"{name}/night")
    page = pathlib.Path(f"{name}/night/night.html").read_text(encoding="utf-8")
    check(all(k in page for k in tonight) and says in page and "calibration error" not in page, page[:2000])
    return json.load(open(f"{name}/night/summary.json", encoding="utf-8"))


def lines(name, n, seed, bright):
    """images of a few white bars, and what they say"""
    draw, rows = numpy.random.default_rng(seed), ["path,text"]
    pathlib.Path(name).mkdir(exist_ok=True)
    for i in range(n):
        count = int(draw.integers(1, 5))
        pixels = numpy.zeros((8, 60, 3))
        for k in range(count):
            pixels[:, 4 + 12 * k:4 + 12 * k + int(draw.integers(4, 8))] = 255
        pixels[0, 59] = draw.integers(0, 256, 3)
        ppm(f"{name}/{i:04}.ppm", pixels * bright)
        rows.append(f"{name}/{i:04}.ppm,{'a' * count}")
    pathlib.Path(f"{name}.csv").write_text("\n".join(rows) + "\n")
    return f"{name}.csv"


def nights(_binary):
    """a night on a reader, whose test set says what is right, and one on a finder of regions, for which there is no measure"""
    reader("first.onnx")
    run("import", "first.onnx", "--task", "read", "--classes=[a, b]", *AS_IT_IS, "--fit", "height", "--filter", "bilinear", "--input=[8, 16]", "--out", "nr")
    found = night("nr", "reading", lines("n-ref", 300, 2, 1), {"quiet": lines("n-quiet", 300, 4, 1), "changed": lines("n-changed", 300, 5, .45)}, "of the old test images are read without a mistake")
    check((found["quiet_status"], found["changed_status"], found["unfinished"]) == ("none", "material", []) and found["production_accuracy"] > .9, f"{found}")
    check(found["next"]["do"] == "look", f"{found['next']}")
    finder("nf")
    for k, seed, most in (("ref", 3, 2), ("quiet", 4, 2), ("changed", 5, 4)):
        images(f"n-in-{k}", 300, seed, most)
    found = night("nf", "finding", "n-in-ref", {"quiet": "n-in-quiet", "changed": "n-in-changed"}, "Its task is regions; nobody said")
    check((found["quiet_status"], found["changed_status"], found["unfinished"]) == ("none", "material", []) and found.get("production_accuracy") is None, f"{found}")


def refused(_binary):
    """what does not go with these tasks"""
    finder()
    images("in3", 4, 6)
    run("ingest", "in3", "--ingest.encoding=encoded", "--out", "set3")
    run("infer", "--model", "d", "--data", "set3", "--out", "x", "--infer.precision=bf16", code=78, said="computed in f32")
    run("infer", "--model", "d", "--data", "set3", "--out", "x", "--device", "cuda", code=69, said="device cuda")
    check(not pathlib.Path("x").exists(), "something was made")
    # offsets that point outside
    run("infer", "--model", "d", "--data", "set3", "--out", "p3")
    shutil.copy("p3/predictions-00000.h5", "bad.h5")
    with h5py.File("bad.h5", "r+") as f:
        at = f["result_offset"][:]
        f["result_offset"][:] = [*at[:-1], 10**9]
    run("drift", "--reference", "bad.h5", "--current", "p3", "--out", "x", code=65, said="result_offset")


if __name__ == "__main__":
    NS, *parts = sys.argv[1:]
    predict.NS = NS
    for part in tiny.chosen((answers, bits, watched, judged, pixels, regions, identities, edges, nights, refused), parts):
        part(NS)
    print(f"{tiny.checks} checks passed")
