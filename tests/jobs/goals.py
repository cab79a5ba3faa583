"""Trainings of models of other tasks than classify: tags, numbers, a class a pixel, texts; against NumPy. For goals.sh.

usage: goals.py NIGHTSHIFT [PART...], in an empty folder
"""
import json
import os
import pathlib
import sys

import numpy

import predict
import tiny
from onnx_file import node
from predict import AS_IT_IS, f32, near, ppm, put, run
from tiny import check
from tune import tensors

ROWS, EPOCHS, RATE, MOMENTUM, DECAY = 24, 5, .4, .9, .01
EXACT = ["--train.batch=24", "--train.virtual_ranks=4", f"--train.epochs={EPOCHS}", f"--train.lr={RATE}", "--train.schedule=constant", "--train.warmup_epochs=0", "--train.ema=0",
         f"--train.weight_decay={DECAY}", "--train.clip=0", "--threads=1"]
FIT = ["--fit", "stretch", "--filter", "nearest", "--input=[16, 16]"]
NAMES = ["a", "b", "c"]


def lines(name, said):
    pathlib.Path(f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    run("ingest", f"{name}.jsonl", "--ingest.encoding=encoded", "--out", name)


def colours(name, words, seed=5, more=()):
    """images of one colour each, with what words(colour, i) says of them; as the network sees them"""
    draw, x, said = numpy.random.default_rng(seed), [], []
    pathlib.Path(f"{name}-in").mkdir(exist_ok=True)
    for i in range(ROWS):
        colour = draw.integers(0, 256, 3)
        ppm(f"{name}-in/{i:02}.ppm", predict.flat(20, 12, colour))
        x.append(colour / 255)
        said.append({"path": f"{name}-in/{i:02}.ppm", **words(colour, i)})
    for i, one in enumerate(more):
        ppm(f"{name}-in/more{i}.ppm", predict.flat(8, 8, (9, 9, 9)))
        said.append({"path": f"{name}-in/more{i}.ppm", **one})
    lines(name, said)
    return numpy.array(x)


def linear(name, task, end=(), seed=7):
    """means of channels, times a matrix"""
    w, b = numpy.random.default_rng(seed).normal(0, .3, (3, 3)).astype("f4"), numpy.array([.1, -.2, .3], "f4")
    put(f"{name}.onnx", [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "w", "b"], ["z" if end else "y"]), *end], [f32("w", 3, 3, values=w), f32("b", 3, values=b), f32("low", values=[0]), f32("high", values=[1])])
    said = run("import", f"{name}.onnx", "--task", task, f"--classes={json.dumps(NAMES)}", *AS_IT_IS, *FIT, "--out", name)
    check("a training may change 2 weights, of 12 numbers" in said, f"{said}")
    return w.astype("f8"), b.astype("f8")


def by_hand(params, slopes_of, epochs=EPOCHS, rate=RATE):
    """Nesterov's momentum over full batches; slopes_of(*params) -> loss, a slope of each"""
    speed, losses = [numpy.zeros_like(p) for p in params], []
    for _ in range(epochs):
        loss, slopes = slopes_of(*params)
        losses.append(loss)
        for k, slope in enumerate(slopes):
            g = slope + DECAY * params[k]
            speed[k] = MOMENTUM * speed[k] + g
            params[k] = params[k] - rate * (g + MOMENTUM * speed[k])
    return params, losses


def trained(name, source, data, before, slopes_of, *more, hits=None):
    run("train", "--data", data, "--from", source, "--out", name, "--force", *EXACT, *more)
    rate = [float(one.split("=")[1]) for one in (*EXACT, *more) if one.startswith("--train.lr=")][-1]
    wanted, losses = by_hand(list(before), slopes_of, rate=rate)
    found = tensors(f"{name}/model.onnx")
    for k, was, want in zip("wb", before, wanted):
        moved, apart = float(numpy.abs(want - was).max()), float(numpy.abs(found[k].reshape(want.shape) - want).max())
        check(moved > 1e-2 and apart < 2e-4 * moved, f"{name}: {k} is {apart} from NumPy's, which moved by {moved}")
    said = [json.loads(line) for line in open(f"{name}/metrics.jsonl", encoding="utf-8")]
    near([line["loss"] for line in said], losses, f"{name}: losses", 1e-5)
    check(losses[-1] < losses[0], f"{name} learns nothing: {losses}")
    if hits is not None:
        near(said[0]["accuracy"], hits, f"{name}: the first epoch's share of right decisions", 1e-6)
    return found, said


def logistic(z):
    return 1 / (1 + numpy.exp(-z))


# --- parts ---

def tags(_binary):
    """binary cross-entropy, the mean over names; of a file that ends with logits or with probabilities; names that the model has not are not learned, and rows without a word are none"""
    x = colours("t", lambda c, i: {"tags": [n for n, v in zip(NAMES, c) if v > 100 + 3 * i] + (["other"] if i == 2 else [])}, more=[{}, {"tags": None}])
    t = numpy.array([[v * 255 > 100 + 3 * i for v in row] for i, row in enumerate(x)], float)

    def slopes(w, b):
        z = x @ w + b
        d = (logistic(z) - t) / (3 * ROWS)
        return (numpy.logaddexp(0, z) - z * t).mean(1).mean(), (x.T @ d, d.sum(0))

    clipped = (node("Sigmoid", ["z"], ["s"]), node("Clip", ["s", "low", "high"], ["y"]))
    for name, end in (("tl", ()), ("tp", (node("Sigmoid", ["z"], ["y"]),)), ("tc", clipped)):
        w, b = linear(name, "tags", end)
        trained(f"{name}-t", name, "t", (w, b), slopes, hits=((x @ w + b > 0) == (t > 0)).mean())
    run("train", "--data", "t", "--from", "tl", "--out", "tl-again", "--force", *EXACT, "--train.loss=binary", said="1 of what its annotations name the model has no name for")
    check(pathlib.Path("tl-again/model.onnx").read_bytes() == pathlib.Path("tl-t/model.onnx").read_bytes(), "the task's own loss by its name")
    # what it answers then: logits within 0 and 1 are none the less logits
    put("tz.onnx", [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "w", "b"], ["y"])], [f32("w", 3, 3, values=w / 10), f32("b", 3, values=[.2, .3, .4])])
    run("import", "tz.onnx", "--task", "tags", f"--classes={json.dumps(NAMES)}", *AS_IT_IS, *FIT, "--out", "tz")
    run("train", "--data", "t", "--from", "tz", "--out", "tz-t", "--force", *EXACT, "--train.epochs=1", "--train.lr=0.0001")
    found = tensors("tz-t/model.onnx")
    z = x @ found["w"] + found["b"]
    p = logistic(z)
    check(((z >= 0) & (z <= 1)).all(1).sum() > 12, "no rows have logits that could be taken for probabilities")
    said = {r["file"]: {one["tag"]: one["probability"] for one in r["tags"]} for r in map(json.loads, run("predict", "tz-t", "t-in", "--json").splitlines()) if "file" in r}
    for i, row in enumerate(p):
        near([said[f"t-in/{i:02}.ppm"].get(n, 0) for n in NAMES], numpy.where(row >= .5, row, 0), f"tags of row {i}", 1e-5)
    run("infer", "--model", "tl-t", "--data", "t", "--out", "t-p", "--force")
    run("evaluate", "--predictions", "t-p", "--data", "t", "--out", "t-e", "--force")
    check(json.load(open("t-e/evaluation.json", encoding="utf-8"))["labelled"] == ROWS, "rows that nobody spoke of")


def numbers(_binary):
    """smooth L1, the mean over names; of a number that nobody said nothing is learned, and there is no right and wrong"""
    def words(c, i):
        return {"values": {n: float(v) / 64 - 1 for k, (n, v) in enumerate(zip(NAMES, c)) if (i + k) % 4}}

    x = colours("n", words)
    t = numpy.array([[v * 255 / 64 - 1 if (i + k) % 4 else numpy.nan for k, v in enumerate(row)] for i, row in enumerate(x)])

    def slopes(w, b):
        d = numpy.where(numpy.isnan(t), 0, x @ w + b - numpy.nan_to_num(t))
        loss = numpy.where(abs(d) < 1, d * d / 2, abs(d) - .5)
        check((abs(d) > 1).any() and (abs(d) < 1).any(), "only one side of the loss is tried")
        g = numpy.clip(d, -1, 1) / (3 * ROWS)
        return loss.mean(), (x.T @ g, g.sum(0))

    _, said = trained("n-t", "r", "n", linear("r", "regress"), slopes)
    check(all(line["accuracy"] is None for line in said), f"{said}")


def pixels_of(seed, h, w):
    """pictures of noise with rectangles of classes, drawn as outlines; the last row of pixels is of nobody"""
    draw, pictures, masks, said = numpy.random.default_rng(seed), [], [], []
    for i in range(ROWS):
        picture, mask, objects = draw.integers(0, 256, (h, w, 3)), numpy.zeros((h, w), int), []
        for cls in (1, 2, 1):
            y, x, dy, dx = (int(v) for v in (*draw.integers(0, (h - 6, w - 6)), *draw.integers(3, 7, 2)))
            mask[y:y + dy, x:x + dx] = cls
            objects.append({"category": NAMES[cls], "segmentation": [[x, y, x + dx, y, x + dx, y + dy, x, y + dy]]})
        mask[h - 2:] = -1
        objects.append({"category": "nobody's", "segmentation": [[0, h - 2, w, h - 2, w, h, 0, h]]})
        pictures.append(picture)
        masks.append(mask)
        said.append(objects)
    return numpy.array(pictures), numpy.array(masks), said


def drawn(name, pictures, said, scale=1):
    """each pixel as a square of scale x scale"""
    pathlib.Path(f"{name}-in").mkdir(exist_ok=True)
    for i, picture in enumerate(pictures):
        ppm(f"{name}-in/{i:02}.ppm", picture.repeat(scale, 0).repeat(scale, 1))
        for one in said[i]:
            one["segmentation"] = [[v * scale for v in ring] for ring in one["segmentation"]]
    lines(name, [{"path": f"{name}-in/{i:02}.ppm", "objects": objects} for i, objects in enumerate(said)])


def overlap_slopes(p, t, known, iou):
    """1 less the mean share, of each image, and its slope by p (n, h, w, k)"""
    both, sums, of = (p * t).sum((1, 2)), (p * known[..., None]).sum((1, 2)), t.sum((1, 2))
    above, below = (both + 1, sums + of - both + 1) if iou else (2 * both + 1, sums + of + 1)
    n, k = above.shape
    by_both = (below + above) / below**2 if iou else 2 / below
    by_sum = -above / below**2
    return 1 - (above / below).mean(1).mean(), -(by_both[:, None, None] * t + by_sum[:, None, None] * known[..., None]) / (n * k)


def segments(_binary):
    """cross-entropy a pixel, Dice and IoU; of files that end with logits or probabilities, of images larger than the canvas, of maps smaller than it; what nobody drew is the background, what
    nobody knows is not learned"""
    global NAMES
    NAMES = ["background", "b", "c"]
    pictures, masks, said = pixels_of(3, 16, 16)
    drawn("s", pictures, said)
    x, known = pictures / 255, masks >= 0
    t = numpy.eye(3)[masks] * known[..., None]

    def soft(w, b, x=x):
        z = x @ w.T + b
        z = z - z.max(-1, keepdims=True)
        return numpy.exp(z) / numpy.exp(z).sum(-1, keepdims=True)

    def entropy(w, b, x=x, t=t, known=known):
        p = soft(w, b, x)
        d = (p - t) * known[..., None] / known.size
        return -(t * numpy.log(p)).sum() / known.size, (numpy.einsum("nhwk,nhwc->kc", d, x), d.sum((0, 1, 2)))

    def shares(iou):
        def slopes(w, b):
            p = soft(w, b)
            loss, g = overlap_slopes(p, t, known, iou)
            d = p * (g - (g * p).sum(-1, keepdims=True))
            return loss, (numpy.einsum("nhwk,nhwc->kc", d, x), d.sum((0, 1, 2)))
        return slopes

    w, b = numpy.random.default_rng(9).normal(0, .3, (3, 3)).astype("f4"), numpy.array([.1, -.2, .3], "f4")
    held, before = [f32("w", 3, 3, 1, 1, values=w), f32("b", 3, values=b)], (w.astype("f8"), b.astype("f8"))
    for name, nodes in (("sl", [node("Conv", ["x", "w", "b"], ["y"])]), ("sp", [node("Conv", ["x", "w", "b"], ["z"]), node("Softmax", ["z"], ["y"], "", [predict.one("axis", 1)])]),
                        ("sh", [node("AveragePool", ["x"], ["h"], "", [predict.ints("kernel_shape", 2, 2), predict.ints("strides", 2, 2)]), node("Conv", ["h", "w", "b"], ["y"])])):
        put(f"{name}.onnx", nodes, held)
        run("import", f"{name}.onnx", "--task", "segment", f"--classes={json.dumps(NAMES)}", *AS_IT_IS, *FIT, "--out", name)
    right = ((soft(*before).argmax(-1) == masks) & known).sum() / known.size
    trained("sl-t", "sl", "s", before, entropy, hits=right)
    trained("sp-t", "sp", "s", before, entropy, hits=right)
    trained("sd-t", "sl", "s", before, shares(False), "--train.loss=dice", hits=right)
    trained("si-t", "sp", "s", before, shares(True), "--train.loss=iou", hits=right)
    # probabilities that are turned afterwards, as TensorFlow's exporters write them
    put("st.onnx", [node("Conv", ["x", "w", "b"], ["z"]), node("Transpose", ["z"], ["u"], "", [predict.ints("perm", 0, 2, 3, 1)]), node("Softmax", ["u"], ["v"], "", [predict.one("axis", 3)]),
                    node("Transpose", ["v"], ["y"], "", [predict.ints("perm", 0, 3, 1, 2)])], held)
    run("import", "st.onnx", "--task", "segment", f"--classes={json.dumps(NAMES)}", *AS_IT_IS, *FIT, "--out", "st")
    trained("st-t", "st", "s", before, entropy, hits=right)
    # larger images, each pixel four: the same canvas
    drawn("s2", pictures, [json.loads(json.dumps(one)) for one in said], 2)
    trained("s2-t", "sl", "s2", before, entropy)
    # a map of half the size: each of its pixels is what lies over its middle, the lower right one of four
    half = x.reshape(ROWS, 8, 2, 8, 2, 3).mean((2, 4))
    trained("sh-t", "sh", "s", before, lambda w, b: entropy(w, b, half, t[:, 1::2, 1::2], known[:, 1::2, 1::2]))
    # mirrored, what is true of an image goes along
    trained("sf-t", "sl", "s", before, entropy, '--augment=[{"flip": 1}]')
    # one channel: the class of 1, and the background
    put("sb.onnx", [node("Conv", ["x", "w", "b"], ["z"]), node("Sigmoid", ["z"], ["y"])], [f32("w", 1, 3, 1, 1, values=w[:1]), f32("b", 1, values=b[:1])])
    run("import", "sb.onnx", "--task", "segment", '--classes=["background", "b"]', *AS_IT_IS, *FIT, "--out", "sb")
    one, sure = (masks == 1).astype(float), known & (masks != 2)  # c is of nobody here

    def channel(w, b):
        z = (x @ w.T + b)[..., 0]
        d = (logistic(z) - one) * sure / known.size
        return ((numpy.logaddexp(0, z) - z * one) * sure).sum() / known.size, (numpy.einsum("nhw,nhwc->c", d, x)[None], numpy.array([d.sum()]))

    trained("sb-t", "sb", "s", (before[0][:1], before[1][:1]), channel)
    run("train", "--data", "s", "--from", "sb", "--out", "no", "--force", *EXACT, "--train.loss=dice", code=78, said="a mask of one channel has the loss binary alone")


def ctc(p, text, blank):
    """-log of the probability of a text, and how often each symbol is at each step, given it; p (steps, symbols)"""
    line = [blank]
    for s in text:
        line += [s, blank]
    steps, states = len(p), len(line)
    ahead, behind = numpy.zeros((steps, states)), numpy.zeros((steps, states))
    may = numpy.array([[s == r or s == r + 1 or (s == r + 2 and line[s] != blank and line[s] != line[r]) for s in range(states)] for r in range(states)], float)
    ahead[0, :2] = p[0, line[:2]]
    behind[-1, -2:] = 1
    for t in range(1, steps):
        ahead[t] = (ahead[t - 1] @ may) * p[t, line]
        behind[-1 - t] = may @ (behind[-t] * p[-t, line])
    total, share = ahead[-1, -2:].sum(), numpy.zeros_like(p)
    for s, symbol in enumerate(line):
        share[:, symbol] += ahead[:, s] * behind[:, s]
    return -numpy.log(total), share / total


def texts(_binary):
    """connectionist temporal classification, wherever the blank stands and however the file ends; symbols are the longest names; what has other symbols, or more than there are steps, is left"""
    global NAMES
    NAMES = ["a", "c", "ch"]
    draw, x, words, said = numpy.random.default_rng(11), [], [], []
    pathlib.Path("l-in").mkdir()
    for i in range(ROWS):
        picture = draw.integers(0, 256, (8, 16, 3))
        ppm(f"l-in/{i:02}.ppm", picture)
        x.append(picture.mean(0) / 255)
        symbols = [int(s) for s in draw.integers(0, 3, draw.integers(0, 6))]
        while any(symbols[k:k + 2] == [1, 1] for k in range(len(symbols))):  # cch is c, ch, and c, c is cc: no text is two
            symbols.remove(1)
        words.append(symbols if i < ROWS - 2 else None)
        text = "".join(NAMES[s] for s in symbols) if i < ROWS - 2 else "abc" if i == ROWS - 2 else "ac" * 9
        said.append({"path": f"l-in/{i:02}.ppm", "text": text})
    lines("l", said)
    x = numpy.array(x)
    w, b = draw.normal(0, .3, (3, 4)).astype("f4"), numpy.array([.1, -.2, .3, 0], "f4")
    for name, last, end in (("lf", False, ()), ("ll", True, (node("Softmax", ["z"], ["y"], "", [predict.one("axis", 2)]),))):
        put(f"{name}.onnx", [node("ReduceMean", ["x"], ["m"], "", [predict.ints("axes", 2), predict.one("keepdims", 0)]), node("Transpose", ["m"], ["t"], "", [predict.ints("perm", 0, 2, 1)]),
                             node("MatMul", ["t", "w"], ["p"]), node("Add", ["p", "b"], ["z" if end else "y"]), *end], [f32("w", 3, 4, values=w), f32("b", 4, values=b)], shape=("n", 3, 8, "w"))
        run("import", f"{name}.onnx", "--task", "read", f"--classes={json.dumps(NAMES)}", *AS_IT_IS, "--fit", "height", "--filter", "bilinear", "--input=[8, 16]",
            *(["--import.blank=last"] if last else []), "--out", name)
        blank, first = (3, 0) if last else (0, 1)

        def slopes(w, b):
            z = x @ w + b
            p = numpy.exp(z - z.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            d, loss = numpy.zeros_like(z), 0
            for i, symbols in enumerate(words):
                if symbols is not None:
                    one, share = ctc(p[i], [s + first for s in symbols], blank)
                    loss += one
                    d[i] = (p[i] - share) / ROWS
            return loss / ROWS, (numpy.einsum("ntc,ntk->ck", x, d), d.sum((0, 1)))

        trained(f"{name}-t", name, "l", (w.astype("f8"), b.astype("f8")), slopes, "--train.lr=0.05")
        if last:  # steps first, and turned once probabilities are made
            for other, nodes in (("ls", [node("Transpose", ["y0"], ["y"], "", [predict.ints("perm", 1, 0, 2)])]), ("lt", [node("Squeeze", ["y0", "none"], ["y1"]), node("Unsqueeze", ["y1", "one"], ["y"])])):
                put(f"{other}.onnx", [node("ReduceMean", ["x"], ["m"], "", [predict.ints("axes", 2), predict.one("keepdims", 0)]), node("Transpose", ["m"], ["t"], "", [predict.ints("perm", 0, 2, 1)]),
                                      node("MatMul", ["t", "w"], ["p"]), node("Add", ["p", "b"], ["z"]), node("Softmax", ["z"], ["y0"], "", [predict.one("axis", 2)]), *nodes],
                    [f32("w", 3, 4, values=w), f32("b", 4, values=b), predict.i64("none", 0), predict.i64("one", 1)], shape=("n", 3, 8, "w"))
                run("import", f"{other}.onnx", "--task", "read", f"--classes={json.dumps(NAMES)}", *AS_IT_IS, "--fit", "height", "--filter", "bilinear", "--input=[8, 16]", "--import.blank=last", "--out", other)
                trained(f"{other}-t", other, "l", (w.astype("f8"), b.astype("f8")), slopes, "--train.lr=0.05")
    lines("l0", [{**one, "text": "ab" * 40} for one in said])
    run("train", "--data", "l0", "--from", "lf", "--out", "none", "--force", *EXACT, code=65, said="of none of the 120 images that were shown anything could be learned")
    lines("v0", [{"path": one["path"], "values": {"a": 1e300, "c": 1, "ch": 1}} for one in said])
    put("v.onnx", [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("MatMul", ["f", "v"], ["y"])], [f32("v", 3, 3, values=numpy.eye(3))], shape=("n", 3, 8, 16))
    run("import", "v.onnx", "--task", "regress", f"--classes={json.dumps(NAMES)}", *AS_IT_IS, "--fit", "stretch", "--filter", "nearest", "--input=[8, 16]", "--out", "v")
    run("train", "--data", "v0", "--from", "v", "--out", "none", "--force", *EXACT, code=65, said="its value 'a' is 1e+300, which no float32 holds")
    run("train", "--data", "l", "--from", "lf", "--out", "told", "--force", *EXACT, said="1 of what its annotations name the model has no name for")


def unrolled(kind, steps, hidden, words):
    """a recurrent layer as elementary nodes, the last state h"""
    nodes, h, c = [], "h0", None
    for s in range(steps):
        n = f"{s}_"
        t = steps - 1 - s if words == "reverse" else s
        nodes += [node("Gather", ["q", f"i{t}"], [n + "x"], "", [predict.one("axis", 0)]), node("Gemm", [n + "x", "W", "B1"], [n + "gx"], "", [predict.one("transB", 1)]),
                  node("Gemm", [h, "R", "B2"], [n + "gr"], "", [predict.one("transB", 1)])]
        if kind == "LSTM":  # i, o, f, c
            nodes += [node("Add", [n + "gx", n + "gr"], [n + "z"]), node("Split", [n + "z"], [n + k for k in "iofc"], "", [predict.one("axis", 1)]),
                      *(node("Sigmoid", [n + k], [n + k + "s"]) for k in "iof"), node("Tanh", [n + "c"], [n + "cs"]), node("Mul", [n + "is", n + "cs"], [n + "new"])]
            if c:
                nodes += [node("Mul", [n + "fs", c], [n + "old"]), node("Add", [n + "old", n + "new"], [n + "cell"])]
            c = n + "cell" if c else n + "new"
            nodes += [node("Tanh", [c], [n + "ct"]), node("Mul", [n + "os", n + "ct"], [n + "h"])]
        else:  # z, r, h, with linear_before_reset
            nodes += [node("Split", [n + "gx"], [n + k for k in "zrh"], "", [predict.one("axis", 1)]), node("Split", [n + "gr"], [n + k + "r" for k in "zrh"], "", [predict.one("axis", 1)]),
                      *(node("Add", [n + k, n + k + "r"], [n + k + "a"]) for k in "zr"), *(node("Sigmoid", [n + k + "a"], [n + k + "s"]) for k in "zr"),
                      node("Mul", [n + "rs", n + "hr"], [n + "in"]), node("Add", [n + "h", n + "in"], [n + "ha"]), node("Tanh", [n + "ha"], [n + "hs"]),
                      node("Sub", ["one", n + "zs"], [n + "zn"]), node("Mul", [n + "zn", n + "hs"], [n + ("a" if s else "h2")]),
                      *([node("Mul", [n + "zs", h], [n + "b"]), node("Add", [n + "a", n + "b"], [n + "h2"])] if s else [])]  # the first state is 0, and does not learn
        h = n + ("h" if kind == "LSTM" else "h2")
    return nodes, h


def recurrent(_binary):
    """a layer learns what the same layer written out in elementary nodes does: by its last state, and by all of its steps, of which the last is taken"""
    global NAMES
    NAMES = ["a", "b", "c"]
    steps, hidden, draw = 6, 5, numpy.random.default_rng(13)
    pathlib.Path("q2-in").mkdir()
    said = []
    for i in range(ROWS):
        ppm(f"q2-in/{i:02}.ppm", draw.integers(0, 256, (4, steps, 3)))
        said.append({"path": f"q2-in/{i:02}.ppm", "values": {n: float(v) for n, v in zip(NAMES, draw.normal(0, 1, 3))}})
    lines("q2", said)
    ahead = [node("ReduceMean", ["x"], ["s"], "", [predict.ints("axes", 2), predict.one("keepdims", 0)]), node("Transpose", ["s"], ["q"], "", [predict.ints("perm", 2, 0, 1)])]
    for kind, gates, words, whole in (("LSTM", 4, "forward", False), ("LSTM", 4, "reverse", True), ("GRU", 3, "forward", True), ("GRU", 3, "reverse", False)):
        w = {"W": draw.normal(0, .5, (gates * hidden, 3)), "R": draw.normal(0, .5, (gates * hidden, hidden)), "B1": draw.normal(0, .3, gates * hidden), "B2": draw.normal(0, .3, gates * hidden),
             "out": draw.normal(0, .5, (hidden, 3))}
        w = {k: v.astype("f4") for k, v in w.items()}
        last = 0 if words == "reverse" else steps - 1  # where the last step stands among all of them
        layer = [node(kind, ["q", "LW", "LR", "LB"], ["all", "state"], "", [predict.one("hidden_size", hidden), [(1, "direction"), (4, words), (20, 3)], *([predict.one("linear_before_reset", 1)] if kind == "GRU" else [])]),
                 *([node("Gather", ["all", f"i{last}"], ["g"], "", [predict.one("axis", 0)]), node("Squeeze", ["g", "none"], ["h"])] if whole else [node("Squeeze", ["state", "none"], ["h"])]), node("MatMul", ["h", "out"], ["y"])]
        held = [predict.i64("none", 0), *(predict.tensor(f"i{t}", [], 7, raw=t.to_bytes(8, "little")) for t in range(steps)), f32("out", hidden, 3, values=w["out"])]
        put("layer.onnx", ahead + layer, held + [f32("LW", 1, *w["W"].shape, values=w["W"]), f32("LR", 1, *w["R"].shape, values=w["R"]), f32("LB", 1, 2 * gates * hidden, values=numpy.concatenate([w["B1"], w["B2"]]))], shape=("n", 3, 4, steps))
        nodes, h = unrolled(kind, steps, hidden, words)
        put("written.onnx", ahead + nodes + [node("MatMul", [h, "out"], ["y"])], held + [f32(k, *w[k].shape, values=w[k]) for k in ("W", "R", "B1", "B2")] +
            [f32("h0", 1, hidden, values=numpy.zeros(hidden)), f32("one", values=[1])], shape=("n", 3, 4, steps))
        found = {}
        for name in ("layer", "written"):
            run("import", f"{name}.onnx", "--task", "regress", f"--classes={json.dumps(NAMES)}", *AS_IT_IS, "--fit", "stretch", "--filter", "nearest", f"--input=[4, {steps}]", "--out", name, said="a training may change")
            run("train", "--data", "q2", "--from", name, "--out", f"{name}-t", "--force", *EXACT, "--train.lr=0.1")
            found[name] = tensors(f"{name}-t/model.onnx")
        pairs = {"LW": found["written"]["W"], "LR": found["written"]["R"], "LB": numpy.concatenate([found["written"]["B1"], found["written"]["B2"]]), "out": found["written"]["out"]}
        began = {"LW": w["W"], "LR": w["R"], "LB": numpy.concatenate([w["B1"], w["B2"]]), "out": w["out"]}
        for k, wanted in pairs.items():
            moved, apart = numpy.abs(wanted - began[k]).max(), numpy.abs(found["layer"][k].reshape(wanted.shape) - wanted).max()
            check(moved > 1e-3 and apart < 1e-3 * moved, f"{kind} {words}: {k} is {apart} from the same written out, which moved by {moved}")


def glyphs(word):
    """letters as bars: the whole height, the upper half, the lower half"""
    picture = numpy.zeros((16, 48, 3), numpy.uint8)
    for k, letter in enumerate(word):
        top, bottom = {"a": (0, 16), "b": (0, 8), "c": (8, 16)}[letter]
        picture[top:bottom, 3 + 7 * k:7 + 7 * k] = 255
    return picture


def score(model, data, *path):
    run("infer", "--model", model, "--data", data, "--out", "fresh-p", "--force")
    run("evaluate", "--predictions", "fresh-p", "--data", data, "--out", "fresh-e", "--force")
    found = json.load(open("fresh-e/evaluation.json", encoding="utf-8"))
    for key in path:
        found = found[key]
    return found


def fresh(_binary):
    """new networks of each task learn what annotations say, and name what these name; to the same bits for one worker and two"""
    draw, said = numpy.random.default_rng(17), []
    trimmed = bool(os.environ.get("NST_TRIM"))
    pathlib.Path("w-in").mkdir()
    for i in range(96):
        word = "".join("abc"[k] for k in draw.integers(0, 3, draw.integers(1, 6)))
        ppm(f"w-in/{i:02}.ppm", glyphs(word) // 255 * draw.integers(120, 256, dtype=numpy.uint8))
        said.append({"path": f"w-in/{i:02}.ppm", "text": word})
    lines("w", said)
    said = []
    pathlib.Path("g-in").mkdir()
    for i in range(64):
        picture, mask, objects = draw.integers(0, 90, (16, 16, 3)), numpy.zeros((16, 16), int), []
        for cls in (1, 2):
            y, x, dy, dx = (int(v) for v in (*draw.integers(0, 10, 2), *draw.integers(3, 7, 2)))
            mask[y:y + dy, x:x + dx] = cls
            objects.append({"category": ["", "blue", "red"][cls], "segmentation": [[x, y, x + dx, y, x + dx, y + dy, x, y + dy]]})
        picture[mask == 1, 2] += 150
        picture[mask == 2, 0] += 150
        ppm(f"g-in/{i:02}.ppm", picture)
        said.append({"path": f"g-in/{i:02}.ppm", "objects": objects, "tags": [n for n, k in (("dim", 0), ("blue", 2), ("red", 0)) if k and (mask == {"blue": 1}[n]).sum() > 20], "values": {"share": float((mask == 2).mean())}})
    lines("g", said)
    fast = ["--train.optimizer=adamw", "--train.lr=0.01", "--train.warmup_epochs=1", "--train.ema=0", "--train.virtual_ranks=2"]
    for task, family, data, names, more, epochs, path, least, most in (
            ("read", "crnn", "w", ["a", "b", "c"], ["--model.input=[16, 48, 3]", "--model.blocks=[1, 1]", "--model.width=8", "--train.batch=16"], 60, ("character_error_rate",), 0, .1),
            ("segment", "unet", "g", ["background", "blue", "red"], ["--model.input=[16, 16, 3]", "--model.blocks=[1, 1]", "--model.width=16", "--train.batch=16"], 40, ("mean_iou",), .85, 1),
            ("tags", "mobilenet", "g", ["blue"], ["--model.input=[16, 16, 3]", "--model.blocks=[1]", "--model.width=8", "--train.batch=16"], 40, ("all", "f1"), .8, 1),
            ("regress", "convnext", "g", ["share"], ["--model.input=[16, 16, 3]", "--model.blocks=[1]", "--model.width=8", "--model.patch=4", "--train.batch=16"], 40, ("values", "share", "root_mean_square_error"), 0, .04)):
        common = ["train", "--data", data, f"--model.task={task}", f"--model.family={family}", *more, *fast, "--force"]
        run(*common, f"--train.epochs={1 if trimmed else epochs}", "--out", f"f-{task}")
        facts = json.load(open(f"f-{task}/model.json", encoding="utf-8"))
        check(facts["classes"] == names and facts["architecture"]["task"] == task, f"{task}: {facts['classes']}")
        found = score(f"f-{task}", data, *path)
        check(trimmed or (found is not None and least <= found <= most), f"{task}: {path} is {found}")
        run(*common, "--train.epochs=2", "--threads=1", "--out", "f-1")
        run(*common, "--train.epochs=2", "--threads=2", "--out", "f-2")
        check(pathlib.Path("f-1/model.onnx").read_bytes() == pathlib.Path("f-2/model.onnx").read_bytes(), f"{task}: two workers give other bits than one")
        run("train", "--data", data, "--from", f"f-{task}", *more[-1:], *fast, "--train.epochs=1", "--out", "f-3", "--force")
        run("export", f"f-{task}", "--out", "f-e", "--force")
    for more, told in ((["--model.task=tags"], "is of families that are built as graphs, and model.family is resnet"), (["--model.task=tags", "--model.family=unet", "--model.input=[16, 16, 3]"], "makes no models of the task tags"),
                       (["--model.task=detect"], "expected classify, tags, regress, segment or read"), (["--model.task=read", "--from", "f-tags"], "but the model that goes on has the task tags"),
                       (["--model.task=segment", "--model.family=unet", "--model.input=[18, 18, 3]", "--model.blocks=[1, 1, 1]"], "expected multiples of 4"),
                       (["--model.task=segment", "--model.family=unet", "--train.val", "g", "--model.input=[16, 16, 3]"], "train.val: is of classifiers")):
        run("train", "--data", "g", *more, "--out", "no", "--force", code=78, said=told)


def bits(_binary):
    """the same weights for one worker, two, and two ranks, and after a kill"""
    colours("t", lambda c, i: {"tags": [n for n, v in zip(["a", "b", "c"], c) if v > 100]})
    global NAMES
    NAMES = ["a", "b", "c"]
    linear("tl", "tags")
    for name, args in (("one", ["--threads=1"]), ("two", ["--threads=2"])):
        run("train", "--data", "t", "--from", "tl", "--out", name, "--force", *EXACT[:-1], *args)
    check(pathlib.Path("one/model.onnx").read_bytes() == pathlib.Path("two/model.onnx").read_bytes(), "other bits with two workers")
    env = ("env", "ASAN_OPTIONS=detect_leaks=0", "mpirun", "-n", "2")
    tiny.run(env[0], [*env[1:], predict.NS, "train", "--data", "t", "--from", "tl", "--out", "ranks", "--force", *EXACT], pathlib.Path("."), limit=120)
    check(pathlib.Path("one/model.onnx").read_bytes() == pathlib.Path("ranks/model.onnx").read_bytes(), "other bits with two ranks")


def refused(_binary):
    """what does not go together is said by name"""
    global NAMES
    NAMES = ["a", "b", "c"]
    colours("t", lambda c, i: {"tags": ["a"], "wrong": "a"})
    linear("tl", "tags")
    linear("r", "regress")
    to = ["--out", "no", "--force", *EXACT]
    run("train", "--data", "t", "--from", "r", *to, code=65, said="no row's annotation has a member 'values'")
    run("train", "--data", "t", "--from", "tl", *to, "--train.truth=wrong", code=65, said="its annotation's member 'wrong' is not what it should be: expected a list")
    run("train", "--data", "t", "--from", "tl", *to, "--train.loss=dice", code=78, said="train.loss = 'dice': is not of models of the task tags")
    run("train", "--data", "t", "--from", "tl", *to, "--train.loss=focal", code=78, said="train.loss = 'focal': is not of models of the task tags")
    run("train", "--data", "t", "--from", "tl", *to, "--train.class_weights=balanced", code=78, said="are of one class an image, and the task is tags")
    run("train", "--data", "t", "--from", "tl", *to, "--train.val", "t", code=78, said="train.val: is of classifiers")
    put("e.onnx", [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("MatMul", ["f", "w"], ["y"])], [f32("w", 3, 3, values=numpy.eye(3))])
    run("import", "e.onnx", "--task", "embed", *AS_IT_IS, *FIT, "--out", "e")
    run("train", "--data", "t", "--from", "e", *to, code=78, said="a model of the task embed is not trained here")
    put("m.onnx", [node("Conv", ["x", "w"], ["y"])], [f32("w", 3, 3, 1, 1, values=numpy.eye(3))], shape=("n", 3, "h", "w"))
    run("import", "m.onnx", "--task", "segment", '--classes=["background", "b", "c"]', *AS_IT_IS, "--fit", "within", "--filter", "nearest", "--input=[16, 16]", "--out", "m")
    run("train", "--data", "t", "--from", "m", *to, code=78, said="its images come in several sizes (fit within)")
    check(not pathlib.Path("no").exists() or not any(pathlib.Path("no").glob("model.*")), "a refused training has left a model")


if __name__ == "__main__":
    predict.NS, *chosen = sys.argv[1:]
    for part in tiny.chosen((tags, numbers, segments, texts, recurrent, fresh, bits, refused), chosen):
        part(predict.NS)
    print(f"{tiny.checks} checks passed")
