"""What a person is to do after a window, by drift.json's `next`, and which retraining is asked for: for next.sh.

usage: next.py NIGHTSHIFT [part ...], in an empty folder
"""
import json
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy as np

import nights
import tiny
from nights import START, Window, check


def judge(binary, ref, cur, out, *options, day=START, history=None):
    more = () if history is None else (f"--drift.history={history}",)
    run = subprocess.run([binary, "drift", "--reference", ref, "--current", cur, "--out", out, "--drift.self_test=0", "--drift.permutations=19",
                          "--threads=1", *more, *options], capture_output=True, text=True,
                         env={**nights.os.environ, "SOURCE_DATE_EPOCH": str(day * nights.DAY + 7200)}, check=False)
    check(run.returncode == 0, f"{out}: exit {run.returncode}: {run.stderr}")
    return json.loads((pathlib.Path(out) / "drift.json").read_text(encoding="utf-8"))


def flags(d):
    return [q["flag"] for q in d["quality"]]


def cameras(binary):
    """a group that is gone, a group whose images are all alike, a group that is new"""
    ref = Window(1, rows=300, labelled=300)
    ref.write("ref.h5")
    gone = Window(2, rows=300)
    gone.group[gone.group == 1] = 0
    d = judge(binary, "ref.h5", gone.write("gone.h5"), "gone")
    check(d["next"]["do"] == "look" and d["next"]["dead"] == ["group 1"] and "dead group" in flags(d), f"a camera that is gone: {d['next']}")
    check("Look at group 1" in pathlib.Path("gone/drift.html").read_text(encoding="utf-8"), "a camera that is gone: the page does not say it")
    dark = Window(3, rows=300)
    dark.stats[dark.group == 2] = 0.25
    d = judge(binary, "ref.h5", dark.write("dark.h5"), "dark")
    check(d["next"]["dead"] == ["group 2"] and d["next"]["do"] == "look", f"a camera that is dark: {d['next']}")
    half = Window(4, rows=300)
    half.stats[half.group == 2, :2] = 0.25  # of one statistic it still says something
    d = judge(binary, "ref.h5", half.write("half.h5"), "half")
    check(d["next"]["dead"] == [] and "dead group" not in flags(d), f"a camera of which two statistics are constant: {d['next']}")
    few = Window(5, rows=50)
    few.group[few.group == 1] = 0  # 17 are expected: too few to be missed
    check(judge(binary, "ref.h5", few.write("few.h5"), "few")["next"]["dead"] == [], "a group of which few images are expected")
    new = Window(6, rows=300, labelled=300, right=0.9)
    new.group[200:] = 7
    bad = new.group == 7
    new.label[bad] = np.where(np.arange(100) % 3 == 0, new.pred[bad], (new.pred[bad] + 1) % 3)
    d = judge(binary, "ref.h5", new.write("new.h5"), "new", "--drift.tolerance=0.4")
    check("new group" in flags(d) and d["status"] != "harmful", f"a new group: {flags(d)}, {d['status']}")
    d = judge(binary, "ref.h5", "new.h5", "guarded", "--drift.tolerance=0.4", "--drift.guarded=[group 7]")
    check(d["status"] == "harmful" and "group 7" in d["decided_by"], f"a guarded group that the reference lacks: {d['status']}, {d['decided_by']}")


def unsure(seed, top, labelled=0, right=0.9):
    w = Window(seed, rows=300, moved=(1.5, 0, 0), labelled=300, right=right)
    w.prob = np.repeat(((1 - top) / 2), 3).astype("f4") + np.zeros((300, 3), "f4")
    w.prob[np.arange(300), w.pred] = top
    w.label[labelled:] = -1
    return w


def labels(binary):
    """unlabelled harm asks for labels and trains nothing; with them it asks for a retraining; labels that show no harm deny it"""
    d = judge(binary, "ref.h5", unsure(11, 0.7).write("unsure.h5"), "unsure")
    check(d["status"] == "harmful" and d["next"]["do"] == "label" and not d["manifest"]["emit"], f"unlabelled: {d['status']}, {d['next']}")
    check("labels are asked for" in d["manifest"]["because"] and "0 rows have labels" in d["manifest"]["because"], d["manifest"]["because"])
    check("Label some of its images" in pathlib.Path("unsure/drift.html").read_text(encoding="utf-8"), "the page does not ask for labels")
    d = judge(binary, "ref.h5", "unsure.h5", "none-wanted", "--retrain.labels=0")
    check("do not say what to select from" in d["manifest"]["because"], d["manifest"]["because"])
    d = judge(binary, "ref.h5", unsure(12, 0.7, 29, 0.7).write("few-labels.h5"), "few-labels")
    check(d["status"] == "harmful" and "29 rows have labels" in d["manifest"]["because"], f"29 labels: {d['status']}, {d['manifest']}")
    d = judge(binary, "ref.h5", unsure(13, 0.7, 300, 0.92).write("denied.h5"), "denied")
    check(d["status"] == "material", f"labels that show no harm: {d['status']}, {d['decided_by']}")
    # an estimated fall within what so few rows may show is none: .045 of the confidence with an error of .029, .08 of ATC with one of .06
    for rows, wanted in ((40, "material"), (4000, "harmful")):
        ref, w = Window(14, rows=300, labelled=300), Window(15, rows=rows, moved=(1.5, 0, 0))
        for x, low in ((ref, 0.4), (w, 0.355)):
            top = np.linspace(low, low + 0.59, len(x.pred))
            x.prob = np.repeat((1 - top) / 2, 3).reshape(-1, 3).astype("f4")
            x.prob[np.arange(len(top)), x.pred] = top
        d = judge(binary, ref.write("even.h5"), w.write("within.h5"), f"within{rows}")
        check(d["status"] == wanted, f"an estimated fall of {rows} rows: {d['status']}, {d['performance']}")
    d = judge(binary, "ref.h5", unsure(13, 0.7, 12, 0.6).write("twelve.h5"), "twelve")
    check(d["status"] == "harmful", f"twelve labels that do not deny it: {d['status']}")
    near = nights.near
    near(d["next"]["chance"], 0.0, "power of twelve labels", 1, 0.01)
    check(d["next"]["labels_for_nine_of_ten"] == 217, f"labels wanted: {d['next']}")  # scipy: .8994 with 216, .9009 with 217


def labels_over_nights(binary):
    """labels of the nights since the change are enough together, those of before it are not; a history without data knows of none"""
    for t in range(9):
        w = Window(300 + t, rows=300, labelled=20, right=0.9) if t < 6 else unsure(300 + t, 0.7, 12, 0.6)
        with h5py.File(w.write("g.h5"), "a") as f:
            f.attrs["dataset"] = f"{t:064x}"
        for history, more in (("gather", ("--current-data=g.h5",)), ("gather-not", ("--current-data=g.h5", "--retrain.earlier=0")), ("gather-no-data", ())):
            d = judge(binary, "ref.h5", "g.h5", f"{history}{t}", *more, day=START + t, history=history)
            known = 12 * (t - 5) if history == "gather" else 12
            if t < 6:
                check(d["status"] in ("none", "statistical"), f"night {t} before the change: {d['status']}")
                continue
            check(d["status"] == "harmful", f"night {t}, {history}: {d['status']}, {d['decided_by']}")
            wanted = "do not say what to select from" if known >= 30 else f"{known} rows have labels since the change"
            check(wanted in d["manifest"]["because"], f"night {t}, {history}: {d['manifest']}")


def policy_over_days(binary):
    """cool-down and budget know of manifests of nights that are judged after tonight's day; a night that emitted has, when it is judged again; a line that is
    damaged is named"""
    ill = unsure(21, 0.8, 300, 0.3)
    ill.time = np.full(300, START * nights.DAY + 3600, "i8")
    ill.write("dated-ill.h5")

    def history(name, **change):
        shutil.rmtree(name, ignore_errors=True)
        pathlib.Path(name).mkdir()
        line = {"schema": "nightshift.history/2", "time": (START + 5) * nights.DAY, "window": 1, "day": START + 5, "dated": True, "rejected": False,
                "reference": "0" * 64, "current": "1" * 64, "identity": "2" * 64, "status": "harmful", "emitted": True, **change}
        (pathlib.Path(name) / "000000000001-a-b.json").write_text(json.dumps(line), encoding="utf-8")
        return name

    for options, wanted in ((("--drift.cooldown_days=7",), "the last manifest is"), (("--drift.budget=1",), "drift.budget is 1"), ((), "do not say what to select")):
        d = judge(binary, "ref.h5", "dated-ill.h5", f"late-{len(options and options[0])}", *options, day=START + 6, history=history("late-past"))
        check(d["status"] == "harmful" and wanted in d["manifest"]["because"], f"{options}: {d['status']}, {d['manifest']}")
    line = next(p for p in pathlib.Path("late-past").glob("*.json") if "-a-b" not in p.name)
    line.write_text(json.dumps({**json.loads(line.read_text()), "emitted": True}), encoding="utf-8")
    judge(binary, "ref.h5", "dated-ill.h5", "late-again", day=START + 7, history="late-past")
    check(json.loads(line.read_text())["emitted"] is True, "a night that emitted forgets it")
    for window in (1e300, 0, -4, 2 ** 60, "one", None):
        history("damaged-past", window=window)
        run = subprocess.run([binary, "drift", "--reference", "ref.h5", "--current", "dated-ill.h5", "--out", "damaged", "--drift.self_test=0",
                              "--drift.permutations=19", "--threads=1", "--drift.history=damaged-past"], capture_output=True, text=True, check=False)
        check(run.returncode == 65 and "000000000001-a-b.json" in run.stderr, f"a line with window {window}: exit {run.returncode}: {run.stderr}")


def stays_open(binary):
    """an alarm is open for the nights after it, until the reference changes or it has been quiet for two weeks"""
    with h5py.File("ref.h5") as f, h5py.File("other-ref.h5", "w") as g:
        for key in f:
            f.copy(key, g)
        g.attrs.update(f.attrs)
        g["stats"][0, 0] += 1
    judge(binary, "ref.h5", unsure(21, 0.8, 300, 0.3).write("ill.h5"), "ill", history="open")
    for t in range(1, 16):
        d = judge(binary, "ref.h5", Window(100 + t, rows=300).write("calm.h5"), f"calm{t}", day=START + t, history="open")
        check(d["status"] in ("none", "statistical"), f"calm night {t} is {d['status']}")
        wanted = t if t <= 14 else None
        check(d["next"]["nights_since_alarm"] == wanted, f"calm night {t}: {d['next']}")
        check(d["next"]["do"] == ("label" if wanted else "nothing"), f"calm night {t}: {d['next']}")
    d = judge(binary, "ref.h5", Window(121, rows=300, labelled=40).write("calm.h5"), "labelled", day=START + 3, history="open-2")
    check(d["next"]["do"] == "nothing", f"nothing is open: {d['next']}")
    judge(binary, "ref.h5", "ill.h5", "ill-2", day=START + 4, history="open-2")
    d = judge(binary, "ref.h5", Window(122, rows=300, labelled=40).write("calm2.h5"), "open-labelled", day=START + 5, history="open-2")
    check(d["next"]["do"] == "look", f"an open alarm with labels at hand: {d['next']}")
    d = judge(binary, "other-ref.h5", "calm2.h5", "released", day=START + 6, history="open-2")
    check(d["next"]["nights_since_alarm"] is None and d["next"]["do"] == "nothing", f"another reference: {d['next']}")


def times(binary):
    """times in milliseconds are noticed, and are the same days as in seconds"""
    a, b = (Window(31, rows=300, day=START, days=5) for _ in range(2))
    b.time = b.time * 1000 + 7
    cur = Window(32, rows=90, day=START + 1)
    cur.write("then.h5")
    d = judge(binary, a.write("s.h5"), "then.h5", "s", history="s-past")
    e = judge(binary, b.write("ms.h5"), "then.h5", "ms", history="ms-past")
    check("times" in flags(e) and "times" not in flags(d), f"milliseconds: {flags(e)}, seconds: {flags(d)}")
    check(d["nights"]["reference_days"] == 5 and e["nights"] == d["nights"], f"milliseconds: {e['nights']['reference_days']} days")


if __name__ == "__main__":
    binary, *names = sys.argv[1:]
    for part in tiny.chosen((cameras, labels, labels_over_nights, policy_over_days, stays_open, times), names):
        part(binary)
    print(f"{tiny.checks} checks passed")
