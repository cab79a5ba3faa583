"""Selection and pseudo-labels against the definitions.

    selection.py BINARY      in an empty folder

A window of 60 to 70 rows has the same image several times: labelled twice across the border of the gate's half, and unlabelled beside a
labelled one on either side. What the manifest may select follows from identities alone and is computed here. What the two rounds train
on is built as plain data sets, on which `train --model.from` must come to the very weights that executing the manifest comes to.
"""
import json
import math
import pathlib
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np

import draws
from draws import SPLIT, permute
from known import (CHECKS, EPOCH, audit_draw, equal, gate_rows, identity, must, near, predictions, put, read, sha256, shard, start)

CLASSES = ["ant", "bee", "cat"]
SEED, TEMPERATURE = 7, 0.5
NOW, WEEK = int(time.time()), 7 * 86400 # a manifest is good for a week of the clock
NET = ["--model.blocks=[1]", "--model.width=4", "--train.batch=16", "--train.virtual_ranks=2", "--train.precision=f32", "--threads=1"]
RECIPE = [{"crop": {"padding": 2}}, {"flip": 0.5}, {"brightness": [0.6, 1.4]}, {"cutout": {"range": [0.2, 0.5], "p": 0.5}}]
binary = sys.argv[1]
rng = np.random.default_rng(3)


def images(labels):
    """of each class another brightness, with enough noise for a model to be unsure"""
    return [np.clip(50 + 60 * k + 45 * rng.standard_normal((8, 8, 1)), 0, 255).astype("u1") for k in labels]


# --- a data set and a window ---

class Rows:
    def __init__(self, pixels, labels, times=None):
        self.pixels, self.labels, self.times = list(pixels), list(labels), times

    def write(self, path):
        self.ids = [int(i) for i in shard(path, self.pixels, self.labels, CLASSES, self.times)]
        return self


def make_old():
    labels = [i % 3 for i in range(60)]
    pixels = images(labels)
    for i in range(6): # nobody labelled these: to replay them trains on nothing, and the first round labels rows of the window alone
        labels[permute(5 * i, 60, SEED, SPLIT, 1)] = -1
    return Rows(pixels, labels).write("old.h5")


def make_window(path, across):
    """39 labelled images, 24 unlabelled ones; across: one image is there twice, and the gate's half ends between the two"""
    labels = [i % 3 for i in range(39)]
    pixels = images(labels)
    order = sorted(range(39), key=lambda i: audit_draw(identity(pixels[i]), SEED))
    other = images([i % 3 for i in range(24)])
    rows = list(zip(pixels, labels)) + [(x, -1) for x in other]
    if across:
        rows.append((pixels[order[19]], labels[order[19]]))
        rows += [(pixels[order[i]], -1) for i in (0, 3, 3, 19, 20, 35)] # unlabelled twins: of the gate's rows, and of two of the others
    rows = [rows[i] for i in rng.permutation(len(rows))]
    times = [EPOCH - 7200 + int(t) for t in rng.permutation(len(rows)) * 60]
    return Rows([r[0] for r in rows], [r[1] for r in rows], times).write(path)


def make_bursts():
    """sixty images of fifteen bursts of one camera, in no order; a third of the frames have labels"""
    pixels, burst = images([i % 3 for i in range(60)]), [int(i) for i in rng.permutation(60)]  # burst: place in time, four frames each
    labels = [i % 3 if rng.random() < 0.4 else -1 for i in range(60)]
    return Rows(pixels, labels, [EPOCH - 7200 + 300 * (b // 4) + 10 * (b % 4) for b in burst]).write("bursts.h5"), [b // 4 for b in burst]


def select(old, window, replay, repeat, of=None):
    """(set, row, id, label, source, repeat) in the selection's order, and how many rows were left out. of: sequences, which stay whole"""
    n = len(old.ids)
    gate = gate_rows(window.ids, window.labels, SEED, of)
    judged = {window.ids[i] for i in gate}
    if of:
        judged |= {one for one, b in zip(window.ids, of) if b in {of[i] for i in gate}}
    first = [r for r in (permute(i, n, SEED, SPLIT, 1) for i in range(n)) if old.ids[r] not in judged][:replay]
    rows = [(0, r, old.ids[r], old.labels[r], 0, 1) for r in first]
    for i, (one, label) in enumerate(zip(window.ids, window.labels)):
        if one not in judged:
            rows.append((1, i, one, label, 0, repeat) if label >= 0 else (1, i, one, -1, 1, 1))
    return rows, sum(one in judged for one in window.ids), gate


# --- the manifest ---

def emit(out, window, more, made=NOW):
    must(binary, "drift", "--reference", "pa.h5", "--current", f"{window}-p.h5", "--current-data", f"{window}.h5",
         "--replay-data", "old.h5", "--out", out, "--drift.emit=material", "--drift.slices=false", "--drift.self_test=0",
         "--drift.permutations=19", f"--seed={SEED}", "--threads=1", "--retrain.epochs=[2, 3]", "--retrain.lr=0.05",
         "--retrain.audited_repeat=3", "--gate.old_floor=-0.07", "--gate.old_estimate=-0.03", "--drift.cooldown_days=2.5",
         *more, SOURCE_DATE_EPOCH=str(made))
    return read(f"{out}/retrain.json")["predicate"]


def check_selection(out, p, rows, excluded):
    with h5py.File(f"{out}/selection.h5") as f:
        got = list(zip(*(f[c][:].tolist() for c in ("set", "row", "id", "label", "source", "repeat"))))
    equal(got, rows, f"{out}: the selection")
    human = [r for r in rows if r[0] == 1 and r[3] >= 0]
    equal(p["data"]["rows"], {"replayed": sum(r[0] == 0 for r in rows), "earlier": 0, "audited": len(human), "to_label": sum(r[4] for r in rows),
                              "excluded": excluded}, f"{out}: data.rows")
    equal(p["data"]["classes"], {c: sum(r[3] == k for r in rows) for k, c in enumerate(CLASSES)}, f"{out}: data.classes")
    equal(p["data"]["sha256"], sha256(f"{out}/selection.h5"), f"{out}: data.sha256")
    equal(read(f"{out}/retrain.json")["subject"], [{"name": "selection.h5", "digest": {"sha256": p["data"]["sha256"]}}], f"{out}: subject")


def wilson(hits, n):
    z = 1.959963984540054
    centre, half = (hits + z * z / 2) / (n + z * z), z / (n + z * z) * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return centre - half, centre + half


def ks(a, b):
    both = np.sort(np.concatenate([a, b]))
    return np.abs(np.searchsorted(np.sort(a), both, "right") / len(a) - np.searchsorted(np.sort(b), both, "right") / len(b)).max()


def check_figures(out, p, window, pa, pb):
    """what the manifest says of the window, from the predictions"""
    (prob_a, label_a), (prob_b, label_b) = pa, pb
    audited = label_b >= 0
    hits = int((prob_b.argmax(1) == label_b)[audited].sum())
    harm = p["trigger"]["harm"]
    near(harm["baseline_accuracy"], (prob_a.argmax(1) == label_a).mean(), 1e-12, "baseline_accuracy")
    near(harm["measured_accuracy"], hits / audited.sum(), 1e-12, "measured_accuracy")
    near(harm["measured_low"], wilson(hits, int(audited.sum()))[0], 1e-9, "measured_low")
    near(harm["measured_high"], wilson(hits, int(audited.sum()))[1], 1e-9, "measured_high")
    near(harm["estimated_accuracy"], prob_b.max(1).astype("f8").mean(), 1e-6, "estimated_accuracy")
    equal(harm["audited"], int(audited.sum()), "harm.audited")
    equal(p["labels"]["audited_rows"], int(audited.sum()), "labels.audited_rows")
    equal(p["labels"]["suspect_rows"], harm["suspect_labels"], "suspect rows")
    equal(p["trigger"]["windows"], {"reference": {"digest": sha256("pa.h5"), "rows": len(label_a)},
                                    "current": {"digest": sha256(f"{window}-p.h5"), "rows": len(label_b)}}, "trigger.windows")
    equal(p["trigger"]["report"], sha256(f"{out}/drift.json"), "trigger.report")
    equal([p["trigger"][k] for k in ("alpha", "seed", "permutations", "correction")], [0.05, SEED, 19, "holm"], "the tests' settings")
    said = {d["column"]: d["statistic"] for d in p["trigger"]["detectors"] if d["detector"] == "ks"}
    sure = [np.asarray(x.max(1), dtype="f4") for x in (prob_a, prob_b)]
    near(said["confidence"], ks(*sure), 1e-9, "KS of the confidence")
    effects = [d["effect"] for d in p["trigger"]["detectors"]]
    equal(effects, sorted(effects, reverse=True), "the strongest detector first")
    equal([(g["slice"], g["comparator"], g["threshold"]) for g in p["gates"]],
          [("the gate's half of the window's labelled rows", "lower bound above", 0), ("the test images", "lower bound above", -0.07),
           ("the test images", "estimate above", -0.03)], "gates")


# --- the two rounds ---

def training_set(path, rows, old, window, labels):
    """the rows that a round trains on, each as often as it is to be shown, as a plain data set"""
    pixels, targets = [], []
    for (where, row, _, label, _, repeat), mine in zip(rows, labels):
        if label >= 0 or mine >= 0:
            pixels += [(old, window)[where].pixels[row]] * repeat
            targets += [label if label >= 0 else mine] * repeat
    shard(path, pixels, targets, CLASSES)
    return len(targets)


def train_from(base, data, out, epochs):
    must(binary, "train", "--data", data, "--model.from", base, "--out", out, "--registry", f"{out}-registry", f"--train.epochs={epochs}",
         "--train.lr=0.05", f"--seed={SEED}", *NET)


def confident(rows, prob, threshold):
    return [int(prob[r[1]].argmax()) if r[4] and float(prob[r[1]].max()) > threshold else -1 for r in rows]


def sharpened(prob, power):
    p = prob.astype("f8") ** power
    return p / p.sum(1, keepdims=True)


def at_temperature(model, temperature, out):
    """the same weights under another temperature"""
    shutil.copytree(model, out)
    pathlib.Path(out).chmod(0o755)
    facts = pathlib.Path(out, "model.json")
    facts.chmod(0o644)
    facts.write_text(json.dumps(dict(read(facts), temperature=temperature)))


def infer(model, data, out):
    must(binary, "infer", "--model", model, "--data", data, "--out", out, "--infer.precision=f32", "--threads=1")
    with h5py.File(f"{out}/predictions-00000.h5") as f:
        return f["prob"][:]


def first_round(rows, old, window):
    """what the first round's model says of the window: production trained on, under production's temperature"""
    training_set("round-1.h5", rows, old, window, [-1] * len(rows))
    train_from("base", "round-1.h5", "first", 2)
    at_temperature("first", TEMPERATURE, "first-warm")
    prob, plain = infer("first-warm", "across.h5", "first-warm-p"), infer("first", "across.h5", "first-p")
    near(np.abs(prob - sharpened(plain, 1 / TEMPERATURE)).max(), 0, 1e-5, "softmax(z / T)")
    return prob, plain


def written(found, out, **config):
    """a manifest written by hand: one's own numbers have nine digits"""
    shutil.copytree(found, out)
    manifest = pathlib.Path(out, "retrain.json")
    manifest.chmod(0o644)
    whole = read(manifest)
    whole["predicate"]["config"].update(config)
    manifest.write_text(json.dumps(whole))
    return whole["predicate"]


def executing(manifest, out, *more):
    return [binary, "train", "--manifest", f"{manifest}/retrain.json", "--out", out, f"--seed={SEED}", *NET, *more]


def execute(manifest, out, *more):
    must(*executing(manifest, out, *more))
    return read(f"{out}/run.json")["counts"]["labelled_by_model"]


def second_round(out, rows, old, window, labels):
    """digest of the weights that the second round's rows come to"""
    trained = training_set(f"{out}.h5", rows, old, window, labels)
    train_from("base", f"{out}.h5", out, 3)
    return sha256(f"{out}/model.safetensors"), trained


def check_rounds(out, p, rows, old, window, prob, base):
    """executing the manifest comes to the weights that the two plain trainings come to"""
    labels = confident(rows, prob, p["config"]["confidence"])
    kept = execute(out, f"{out}-model")
    equal(read(f"{out}-model/checkpoint-1/labels.json")["labels"], labels, f"{out}: the labels by the model")
    equal(kept, sum(k >= 0 for k in labels), f"{out}: rows labelled by the model")
    equal(read(f"{out}-model/run.json")["counts"]["selected"], len(rows), f"{out}: rows selected")
    weights, trained = second_round(f"{out}-second", rows, old, window, labels)
    equal(sha256(f"{out}-model/model.safetensors"), weights, f"{out}: the weights of the second round")
    model = read(f"{out}-model/model.json")
    equal([model["parents"], model["training_data"], model["manifest"], model["temperature"], model["training"]["rows"]],
          [[base], p["data"]["sha256"], sha256(f"{out}/retrain.json"), TEMPERATURE, trained], f"{out}: where the model comes from")
    for name in ("model.json", "model.safetensors"):
        digest = sha256(f"{out}-model/{name}")
        equal(sha256(f"registry/objects/{digest[:2]}/{digest[2:]}"), digest, f"{out}: {name} in the registry")
    return kept


def check_resumed(rows, old, window):
    """
    What was stopped in its second round goes on with the labels that it began with, though it would give others today; those of another
    manifest are none of its own.
    """
    labels = read("at-model/checkpoint-1/labels.json")
    some = [i for i, k in enumerate(labels["labels"]) if k >= 0]
    changed = list(labels["labels"])
    changed[some[0]], changed[some[1]] = -1, (changed[some[1]] + 1) % 3
    want = {"resumed": second_round("resumed-second", rows, old, window, changed)[0], "foreign": sha256("at-model/model.safetensors")}
    for out, manifest in (("resumed", labels["manifest"]), ("foreign", "0" * 64)):
        shutil.copytree("at-model/checkpoint-1", f"{out}.partial/checkpoint-1")
        pathlib.Path(f"{out}.partial/partial.json").write_text('{"schema": "nightshift.partial/1", "verb": "train"}')
        kept = pathlib.Path(f"{out}.partial/checkpoint-1/labels.json")
        kept.chmod(0o644)
        kept.write_text(json.dumps(dict(labels, manifest=manifest, labels=changed, kept=len(some) - 1)))
        execute("at", out)
        equal(sha256(f"{out}/model.safetensors"), want[out], f"{out}: the weights")


def check_other_numbers():
    """a checkpoint of the first round is of its learning rate and epochs: of a manifest with others, at the same path, it is refused"""
    pathlib.Path("at").rename("at-kept") # the path is a part of the configuration, too
    for what, change in (("lr", {"lr": 0.01}), ("epochs", {"epochs": [1, 3]})):
        written("at-kept", "at", **change)
        shutil.copytree("at-model/checkpoint-1", f"other-{what}-model.partial/checkpoint-1")
        pathlib.Path(f"other-{what}-model.partial/partial.json").write_text('{"schema": "nightshift.partial/1", "verb": "train"}')
        pathlib.Path(f"other-{what}-model.partial/checkpoint-1/labels.json").unlink()
        run = start(*executing("at", f"other-{what}-model"))
        equal(run.returncode, 78, f"another {what}: {run.stdout}")
        shutil.rmtree("at")
    pathlib.Path("at-kept").rename("at")


def check_other_labels():
    """a checkpoint of the second round is one of its rows under their labels: under others it is refused, and then nothing is lost"""
    written("at", "long", epochs=[1, 200])
    going = subprocess.Popen(executing("long", "long-model", "--train.checkpoint_steps=1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while going.poll() is None and not list(pathlib.Path("long-model.partial/checkpoint").glob("*.json")):
        time.sleep(0.01)
    going.terminate()
    equal(going.wait(), 75, "stopped in its second round")
    kept = pathlib.Path("long-model.partial/checkpoint-1/labels.json")
    kept.chmod(0o644)
    labels = kept.read_text()
    changed = json.loads(labels)
    one = next(i for i, k in enumerate(changed["labels"]) if k >= 0)
    changed["labels"][one] = (changed["labels"][one] + 1) % 3
    kept.write_text(json.dumps(changed))
    refused = start(*executing("long", "long-model"))
    equal([refused.returncode, "belongs to another configuration" in refused.stdout], [78, True], f"under another label: {refused.stdout}")
    kept.write_text(labels)
    execute("long", "long-model")


def check_shown(rows, old, window):
    """a row that is shown several times is changed anew each time: one epoch comes to the weights of one on images that were changed before"""
    pixels, targets = [], []
    for where, row, one, label, _, repeat in rows:
        for k in range(repeat if label >= 0 else 0):
            pixels.append(draws.Sample(RECIPE, SEED, 0, one, k).to((old, window)[where].pixels[row]))
            targets.append(label)
    shard("shown.h5", pixels, targets, CLASSES)
    train_from("base", "shown.h5", "shown", 1)
    written("found", "changed", epochs=[1, 1], confidence=1)
    equal(execute("changed", "changed-model", "--augment=" + json.dumps(RECIPE)), 0, "nobody is surer than sure")
    equal(sha256("changed-model/model.safetensors"), sha256("shown/model.safetensors"), "the weights of rows that were changed each time")


# --- all of it ---

def main():
    old = make_old()
    across, plain = make_window("across.h5", 1), make_window("plain.h5", 0)
    must(binary, "train", "--data", "old.h5", "--out", "cold", "--train.epochs=2", "--registry=elsewhere", *NET)
    at_temperature("cold", TEMPERATURE, "base")
    must(binary, "train", "--data", "old.h5", "--out", "newer", "--train.epochs=1", "--seed=2", *NET)
    newer, base = sha256("newer/model.json"), put("registry", pathlib.Path("base/model.json").read_bytes())
    put("registry", pathlib.Path("base/model.safetensors").read_bytes())
    must(binary, "registry", "promote", "production", newer)

    # sure in the reference, unsure in the window
    label_a = np.arange(80) % 3
    prob_a = np.array([np.roll([0.9 - i / 1000, 0.06 + i / 1000, 0.04], (i + (i % 9 == 0)) % 3) for i in range(80)])
    predictions("pa.h5", range(1, 81), label_a, prob_a, CLASSES, base)
    prob_b = {}
    for name, window in (("across", across), ("plain", plain)):
        n = len(window.ids)
        prob_b[name] = np.array([np.roll([0.5 + i / 1000, 0.3 - i / 1000, 0.2], i % 3) for i in range(n)])
        predictions(f"{name}-p.h5", window.ids, window.labels, prob_b[name], CLASSES, base if name == "across" else "", window.times)
    predictions("stranger.h5", range(1, 81), label_a, prob_a, CLASSES)

    rows, excluded, gate = select(old, across, 30, 3)
    equal([len(gate), excluded], [21, 25], "40 audited rows: 20, one across the border; and 4 twins without labels")
    prob, cold = first_round(rows, old, across)
    sure = sorted(float(prob[r[1]].max()) for r in rows if r[4])
    exactly = sure[len(sure) // 2]
    below = float(np.nextafter(exactly, 0))
    assert exactly > 0.5 and sum(s == exactly for s in sure) == 1, "the threshold is to be one row's confidence"
    wrong = [confident(rows, x, exactly) for x in (cold, sharpened(cold, TEMPERATURE))]
    assert all(w != confident(rows, prob, exactly) for w in wrong), "another temperature is to label other rows"

    # the gate judges by the very rows that are left out
    must(binary, "evaluate", "--predictions=across-p.h5", "--evaluate.rows=gate", f"--seed={SEED}", "--out=judged")
    hits = sum(prob_b["across"][i].argmax() == across.labels[i] for i in gate)
    equal([read("judged/evaluation.json")[k] for k in ("rows", "correct")], [len(gate), hits], "the gate's rows")
    check_selection("found", emit("found", "across", ["--retrain.replay=30", "--retrain.confidence=0.75"]), rows, excluded)
    kept = []
    for out, threshold in (("at", exactly), ("below", below)):
        kept.append(check_rounds(out, written("found", out, confidence=threshold), rows, old, across, prob, base))
    equal(kept[1], kept[0] + 1, "a row whose confidence is the threshold is not above it")
    check_resumed(rows, old, across)
    check_other_numbers()
    check_other_labels()
    check_shown(rows, old, across)

    p = read("found/retrain.json")["predicate"]
    check_figures("found", p, "across", (prob_a, label_a), (prob_b["across"], np.array(across.labels)))
    equal(p["base"], {"model": base, "production": newer, "baseline": sha256("pa.h5")},
          "base: the model that was measured, not what is production now")
    equal(p["promote"], {"ref": "production", "previous": newer, "cooldown_days": 2.5}, "promote")
    equal(p["rollback"]["to"], newer, "rollback.to")
    equal([p["config"][k] for k in ("seed", "epochs", "lr", "confidence")], [SEED, [2, 3], 0.05, 0.75], "config")
    equal(p["budget"]["expires"], NOW + WEEK, "budget.expires")
    equal(p["data"]["time"], {"from": min(across.times), "to": max(across.times)}, "the window's time")
    equal([(d["rows"], d["digest"]) for d in p["data"]["datasets"]], [(60, sha256("old.h5")), (len(across.ids), sha256("across.h5"))],
          "data sets")

    # an odd number of audited rows, no twins, every old row, and predictions that name no model
    rows, excluded, gate = select(old, plain, 1000, 3)
    equal([len(gate), excluded, sum(r[0] == 0 for r in rows)], [19, 19, 60], "half of 39, and all old rows")
    p = emit("whole", "plain", ["--retrain.replay=1000", "--reference=stranger.h5"])
    check_selection("whole", p, rows, excluded)
    equal([p["base"]["model"], p["base"]["baseline"]], [newer, sha256("stranger.h5")], "base of predictions without a model: production")
    equal([p["config"]["confidence"], [g["rows"] for g in p["gates"]]], [0.9, [len(gate), None, None]], "the default, and the gates' rows")
    # images that the gate judges by lie among the old ones: to replay them would be to train on the answers
    twins = Rows(old.pixels + [plain.pixels[i] for i in sorted(gate)[:5]], old.labels + [plain.labels[i] for i in sorted(gate)[:5]]).write("twins.h5")
    for replay, wanted in ((1000, 60), (62, 60), (58, 58)):
        rows, excluded, _ = select(twins, plain, replay, 3)
        equal(sum(r[0] == 0 for r in rows), wanted, "old rows that are not the gate's, as many as are asked for")
        assert not {r[2] for r in rows} & {plain.ids[i] for i in gate}
        check_selection(f"twins-{replay}", emit(f"twins-{replay}", "plain", [f"--retrain.replay={replay}", "--replay-data=twins.h5"]), rows, excluded)
    # frames of a sequence are in one half, and what is beside a frame of the gate's is not trained on either
    bursts, of = make_bursts()
    rows, excluded, gate = select(old, bursts, 20, 3, of)
    assert excluded > len(gate) and gate != select(old, bursts, 20, 3)[2], "a case that does not do what it is for"
    prob_c = np.array([np.roll([0.5 + i / 1000, 0.3 - i / 1000, 0.2], i % 3) for i in range(60)])
    predictions("bursts-p.h5", bursts.ids, bursts.labels, prob_c, CLASSES, base, bursts.times)
    predictions("pa-timed.h5", range(1, 81), label_a, prob_a, CLASSES, base, [EPOCH - 10 ** 6 + 100 * i for i in range(80)])
    for file in ("bursts-p.h5", "pa-timed.h5"):
        with h5py.File(file, "a") as f:
            f.require_dataset("group", (len(f["id"]),), "i4")
    apart = ["--drift.sequence_seconds=20"]
    check_selection("bursts-found", emit("bursts-found", "bursts", ["--retrain.replay=20", "--reference=pa-timed.h5", "--retrain.labels=10", *apart]), rows, excluded)
    must(binary, "evaluate", "--predictions=bursts-p.h5", "--evaluate.rows=gate", f"--seed={SEED}", "--out=bursts-judged", *apart)
    hits = sum(prob_c[i].argmax() == bursts.labels[i] for i in gate)
    equal([read("bursts-judged/evaluation.json")[k] for k in ("rows", "correct")], [len(gate), hits], "the gate's rows of bursts")
    must(binary, "train", "--manifest", "bursts-found/retrain.json", "--out", "bursts-model", f"--seed={SEED}", *NET)
    # a manifest is good for a week, and nothing is replayed where nothing is wanted
    rows, excluded, _ = select(old, across, 0, 3)
    for out, made, code in (("stale", NOW - WEEK - 600, 65), ("fresh", NOW - WEEK + 600, 0)):
        check_selection(out, emit(out, "across", ["--retrain.replay=0"], made), rows, excluded)
        executed = start(binary, "train", "--manifest", f"{out}/retrain.json", "--out", f"{out}-model", f"--seed={SEED}", *NET)
        equal(executed.returncode, code, f"{out}: {executed.stdout}")


main()
print(f"{CHECKS[0]} checks passed")
