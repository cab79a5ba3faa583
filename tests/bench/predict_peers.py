"""predict beside the pipelines of those who made the models: Pillow and OpenCV prepare, ONNX Runtime computes, NumPy decodes. For predict_peers.sh.

usage: predict_peers.py NIGHTSHIFT MODELS, in an empty folder; MODELS: the .onnx files of models.tsv
"""
import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from PIL import Image, ImageDraw, ImageFont

onnxruntime.set_default_logger_severity(4)
NS, MODELS = sys.argv[1], pathlib.Path(sys.argv[2])
AS_BYTES = ["--mean", "[0,0,0]", "--std", "[1,1,1]", "--range", "255"]
failed = 0


def report(what, fine, figure):
    global failed
    failed += not fine
    print(f"{'equal ' if fine else 'DIFFERS'} {what}: {figure}", flush=True)


def nightshift(*args):
    done = subprocess.run([NS, *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"nightshift {' '.join(args)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def predict(*args):
    return {r["file"]: r for r in map(json.loads, nightshift("predict", *args, "--json").splitlines()) if "file" in r}


def session(name):
    return onnxruntime.InferenceSession(str(MODELS / f"{name}.onnx"), providers=["CPUExecutionProvider"])


def bgr(file):
    return np.ascontiguousarray(np.asarray(Image.open(file).convert("RGB"))[:, :, ::-1])


def pictures():
    """lines of text, pages of them, and noise, of several sizes"""
    draw = np.random.default_rng(5)
    words = "nightly batch of 2026: shards, drift & retrain (v1.7) 42% OK?".split()
    lines, pages = [], []
    for i in range(12):
        size, text = int(draw.integers(18, 60)), " ".join(draw.permutation(words)[:int(draw.integers(1, 6))])
        font = ImageFont.load_default(size)
        box = font.getbbox(text)
        im = Image.new("RGB", (box[2] + 20, box[3] + 14), tuple(int(v) for v in draw.integers(180, 256, 3)))
        ImageDraw.Draw(im).text((9, 5), text, font=font, fill=tuple(int(v) for v in draw.integers(0, 90, 3)))
        im.save(f"line{i}.png")
        lines.append((f"line{i}.png", text))
    for i, (w, h) in enumerate(((640, 480), (1300, 900), (333, 777), (96, 50))):
        im = Image.new("RGB", (w, h), (240, 240, 235))
        for _ in range(8):
            ImageDraw.Draw(im).text((int(draw.integers(0, w * .7)), int(draw.integers(0, h * .9))), " ".join(draw.permutation(words)[:2]),
                                    font=ImageFont.load_default(int(draw.integers(14, 40))), fill=tuple(int(v) for v in draw.integers(0, 120, 3)))
        im.save(f"page{i}.png")
        pages.append(f"page{i}.png")
    return lines, pages


# --- the models ---

def classes(pages):
    nightshift("import", str(MODELS / "open-nsfw.onnx"), "--classes", "[safe, not]", "--fit", "stretch", "--filter", "bilinear", "--colours", "bgr", "--range", "255", "--mean", "[104,117,123]",
               "--std", "[1,1,1]", "--out", "nsfw")
    found, worst, s = predict("nsfw", *pages), 0, session("open-nsfw")
    for f in pages:
        x = np.asarray(Image.open(f).convert("RGB").resize((224, 224), Image.BILINEAR))[:, :, ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
        wanted = s.run(None, {s.get_inputs()[0].name: x[None]})[0][0]
        got = {c["class"]: c["probability"] for c in found[f]["classes"]}
        worst = max(worst, abs(got["safe"] - wanted[0]), abs(got["not"] - wanted[1]))
    report("open-nsfw, classify", worst < 1e-4, f"largest difference of a probability {worst:.1e}, {len(pages)} images")


def suppress(boxes, scores, iou):
    order, kept = np.argsort(-scores, kind="stable"), []
    for i in order:
        for k in kept:
            w, h = np.minimum(boxes[i, 2:], boxes[k, 2:]) - np.maximum(boxes[i, :2], boxes[k, :2])
            both = max(w, 0) * max(h, 0)
            if both / (np.prod(boxes[i, 2:] - boxes[i, :2]) + np.prod(boxes[k, 2:] - boxes[k, :2]) - both) > iou:
                break
        else:
            kept.append(i)
    return boxes[kept], scores[kept]


def same_boxes(what, pages, found, wanted):
    worst, n = 0, 0
    for f in pages:
        boxes, scores = wanted(f)
        im = bgr(f)
        boxes = boxes.clip(0, [im.shape[1], im.shape[0]] * 2)
        got = found[f]["boxes"]
        if len(got) != len(boxes):
            report(what, False, f"{f}: {len(got)} boxes, the peer has {len(boxes)}")
            return
        for g, b, s in zip(got, boxes, scores):
            worst = max(worst, np.abs(np.array(g["box"]) - b).max(), abs(g["score"] - s))
            n += 1
    report(what, n > 0 and worst < .05, f"{n} boxes in {len(pages)} images, largest difference {worst:.1e} pixels")


def yolox(pages):
    nightshift("import", str(MODELS / "common_det.onnx"), "--task", "detect", "--head", "yolox", "--classes", "[text]", "--colours", "bgr", *AS_BYTES, "--fit", "corner", "--filter", "opencv",
               "--fill", "114", "--score", ".1", "--iou", ".45", "--out", "yolox")
    s = session("common_det")

    def wanted(f):
        im = bgr(f)
        r = min(416 / im.shape[0], 416 / im.shape[1])
        x = np.full((416, 416, 3), 114, np.uint8)
        small = cv2.resize(im, (int(im.shape[1] * r), int(im.shape[0] * r)), interpolation=cv2.INTER_LINEAR)
        x[:small.shape[0], :small.shape[1]] = small
        y = s.run(None, {s.get_inputs()[0].name: x.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        grids = [(j, i, st) for st in (8, 16, 32) for i in range(416 // st) for j in range(416 // st)]
        g, st = np.array([a[:2] for a in grids]), np.array([a[2] for a in grids])[:, None]
        middle, size, score = (y[:, :2] + g) * st, np.exp(y[:, 2:4]) * st, y[:, 4] * y[:, 5]
        keep = score >= .1
        boxes = np.concatenate([middle - size / 2, middle + size / 2], 1)[keep]
        boxes, score = suppress(boxes, score[keep], .45)
        return boxes / np.tile([small.shape[1] / im.shape[1], small.shape[0] / im.shape[0]], 2), score
    same_boxes("ddddocr common_det, detect (yolox)", pages, predict("yolox", *pages), wanted)


def centerface(pages):
    model = onnx.load(MODELS / "centerface.onnx")
    for v in (*model.graph.input, *model.graph.output):  # its sizes are those of an example
        if v.name in ("input.1", *(o.name for o in model.graph.output)):
            v.type.tensor_type.shape.dim[0].dim_value = 1
            v.type.tensor_type.shape.dim[2].dim_param, v.type.tensor_type.shape.dim[3].dim_param = "h", "w"
    onnx.save(model, "cf.onnx")
    nightshift("import", "cf.onnx", "--task", "detect", "--head", "centerface", "--classes", "[face]", "--input", "[480, 640]", *AS_BYTES, "--fit", "stretch", "--filter", "opencv", "--score", ".1",
               "--iou", ".3", "--out", "face")
    s = onnxruntime.InferenceSession("cf.onnx", providers=["CPUExecutionProvider"])

    def wanted(f):
        im = bgr(f)
        x = cv2.resize(im, (640, 480), interpolation=cv2.INTER_LINEAR)[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        heat, scale, offset = (o[0] for o in s.run(None, {"input.1": x})[:3])
        ys, xs = np.where(heat[0] >= .1)
        size = np.exp(scale[:, ys, xs]) * 4
        cy, cx = (ys + offset[0, ys, xs] + .5) * 4, (xs + offset[1, ys, xs] + .5) * 4
        boxes, score = suppress(np.stack([cx - size[1] / 2, cy - size[0] / 2, cx + size[1] / 2, cy + size[0] / 2], 1), heat[0, ys, xs], .3)
        return boxes / np.tile([640 / im.shape[1], 480 / im.shape[0]], 2), score
    faces = []
    for i, (x, y, r) in enumerate(((150, 160, 60), (400, 200, 90), (80, 90, 30))):  # two eyes and a mouth are a face to it
        im = Image.new("RGB", (520, 400), (90, 110, 130))
        d = ImageDraw.Draw(im)
        d.ellipse([x - r * .8, y - r, x + r * .8, y + r], fill=(224, 172, 135))
        for e in (-1, 1):
            d.ellipse([x + e * r * .35 - r * .12, y - r * .3, x + e * r * .35 + r * .12, y - r * .12], fill=(40, 30, 30))
        d.line([x, y - r * .1, x - r * .08, y + r * .2, x + r * .08, y + r * .2], fill=(150, 100, 80), width=4)
        d.ellipse([x - r * .3, y + r * .4, x + r * .3, y + r * .55], fill=(150, 40, 40))
        im.save(f"face{i}.png")
        faces.append(f"face{i}.png")
    same_boxes("centerface, detect", faces + pages, predict("face", *faces, *pages), wanted)


def reads(lines):
    model = onnx.load(MODELS / "ch_PP-OCRv4_rec_infer.onnx")
    symbols = [*next(p.value for p in model.metadata_props if p.key == "character").split("\n"), " "]
    pathlib.Path("symbols.yaml").write_text(json.dumps({"import": {"classes": symbols}}, ensure_ascii=False), encoding="utf-8")
    nightshift("import", str(MODELS / "ch_PP-OCRv4_rec_infer.onnx"), "--task", "read", "--config", "symbols.yaml", "--input", "[48, 320]", "--fit", "height", "--filter", "opencv", "--fill", "127.5",
               "--colours", "bgr", "--mean", "[.5,.5,.5]", "--std", "[.5,.5,.5]", "--out", "rec")
    found, s, worst, right = predict("rec", *(f for f, _ in lines)), session("ch_PP-OCRv4_rec_infer"), 0, 0
    for f, text in lines:
        im = bgr(f)
        ratio = im.shape[1] / im.shape[0]
        canvas = max(320, int(48 * ratio))  # as PaddleOCR's resize_norm_img() has it
        w = min(int(np.ceil(48 * ratio)), canvas)
        x = np.zeros((48, canvas, 3), np.float32)
        x[:, :w] = (cv2.resize(im, (w, 48), interpolation=cv2.INTER_LINEAR) / 255 - .5) / .5
        p = s.run(None, {s.get_inputs()[0].name: x.transpose(2, 0, 1)[None]})[0][0]
        best, sure = p.argmax(1), p.max(1)
        keep = (best != 0) & (np.r_[-1, best[:-1]] != best)
        wanted = "".join(symbols[k - 1] for k in best[keep])
        right += wanted.replace(" ", "") == text.replace(" ", "")
        if found[f]["text"] != wanted:
            report("PP-OCRv4 rec, read", False, f"{f}: '{found[f]['text']}', the peer has '{wanted}'")
            return
        worst = max(worst, abs(found[f]["confidence"] - sure[keep].mean()))
    report("PP-OCRv4 rec, read", worst < 1e-3, f"{len(lines)} lines, the same text, largest difference of confidence {worst:.1e}; {right} are what was drawn")


def shared(a, b):
    """of two convex shapes, intersection over union"""
    both = cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))[0]
    return both / (cv2.contourArea(a.astype(np.float32)) + cv2.contourArea(b.astype(np.float32)) - both)


def finds(pages):
    nightshift("import", str(MODELS / "ppocrv5_det.onnx"), "--task", "regions", "--input", "[960, 960]", "--fit", "within", "--filter", "opencv", "--colours", "bgr", "--mean", "[.485,.456,.406]",
               "--std", "[.229,.224,.225]", "--score", ".6", "--out", "det")
    found, s, least, n = predict("det", *pages), session("ppocrv5_det"), 1, 0
    for f in pages:
        im = bgr(f)
        r = min(1, 960 / max(im.shape[:2]))
        h, w = (max(32, int(round(v * r / 32)) * 32) for v in im.shape[:2])
        x = (cv2.resize(im, (w, h), interpolation=cv2.INTER_LINEAR) / 255 - np.array([.485, .456, .406])) / np.array([.229, .224, .225])
        p = s.run(None, {s.get_inputs()[0].name: x.transpose(2, 0, 1)[None].astype(np.float32)})[0][0, 0]
        wanted = []
        for contour in cv2.findContours((p > .3).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]:
            (cx, cy), (a, b), angle = cv2.minAreaRect(contour)
            if min(a, b) < 3:
                continue
            mask = np.zeros(p.shape, np.uint8)
            cv2.fillPoly(mask, [cv2.boxPoints(((cx, cy), (a, b), angle)).astype(np.int32)], 1)
            if p[mask > 0].mean() < .6:
                continue
            grow = a * b * 1.6 / (2 * (a + b))
            wanted.append(cv2.boxPoints(((cx, cy), (a + 2 * grow, b + 2 * grow), angle)) / [w / im.shape[1], h / im.shape[0]])
        got = [np.array(g["corners"]) for g in found[f]["regions"]]
        for q in wanted:
            q = q.clip(0, [im.shape[1], im.shape[0]])
            least, n = min(least, max((shared(q, g) for g in got), default=0)), n + 1
        if len(got) != len(wanted):
            report("PP-OCRv5 det, regions", False, f"{f}: {len(got)} regions, the peer has {len(wanted)}")
            return
    report("PP-OCRv5 det, regions", n > 0 and least > .85, f"{n} regions in {len(pages)} images, smallest intersection over union {least:.3f}")


line_files, page_files = pictures()
classes(page_files)
yolox(page_files)
centerface(page_files)
reads(line_files)
finds(page_files)
sys.exit(1 if failed else 0)
