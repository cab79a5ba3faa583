"""What drift must say of given windows, from the definitions of docs/drift.md and in another arithmetic than its own: for verdict.sh.

usage: verdict.py NIGHTSHIFT [part ...], in an empty folder
"""
import json
import math
import pathlib
import subprocess
import sys

import h5py
import numpy as np

import tiny
from tiny import check

Z = 1.959963984540054  # scipy.stats.norm.ppf(0.975)
CHI2_95 = {2: 5.991464547107979, 9: 16.918977604620448}  # scipy.stats.chi2.ppf(0.95, df)
STATS = ["brightness", "contrast", "sharpness"]
CLASSES = ["ant", "bag", "cat"]
DAY = 86400


def near(found, wanted, what, rel=1e-8, absolute=1e-9):
    if wanted is None or isinstance(wanted, float) and math.isnan(wanted):
        check(found is None, f"{what}: is {found}, wanted none")
    else:
        check(found is not None and math.isclose(found, wanted, rel_tol=rel, abs_tol=absolute), f"{what}: is {found}, wanted {wanted}")


# --- windows ---

class Window:
    """Rows of three classes with image statistics; what a test turns is an attribute."""

    def __init__(self, seed, rows=120, right=0.9, top=0.8, moved=0.0, mix=None, labelled=None):
        r = np.random.default_rng(seed)
        self.label = r.choice(3, rows, p=mix).astype("i4")
        self.pred = np.where(r.random(rows) < right, self.label, (self.label + 1) % 3).astype("i4")
        tops = np.clip(r.normal(top, 0.04, rows), 0.4, 0.98)
        self.prob = np.repeat(((1 - tops) / 2)[:, None], 3, 1).astype("f4")
        self.prob[np.arange(rows), self.pred] = tops
        self.stats = r.normal(size=(rows, 3)).astype("f4")
        self.stats[:, 0] += moved
        self.group = (np.arange(rows) % 2).astype("i4")
        self.model = "a" * 64
        if labelled is not None:
            self.label[labelled:] = -1

    def write(self, name, without=()):
        with h5py.File(name, "w") as f:
            for key in ("label", "pred", "prob", "stats", "group"):
                if key not in without:
                    f[key] = getattr(self, key)
            if "stats" not in without:
                f["stats"].attrs["stats_names"] = STATS
            f["id"] = np.arange(len(self.pred), dtype="u8")
            f.attrs["classes"] = CLASSES
            f.attrs["model"] = self.model
        return name


def drift(binary, ref, cur, out, *options, wanted=0, day=None):
    """drift.json of two windows; without the self-test, which is a matter of its own"""
    env = None if day is None else {**__import__("os").environ, "SOURCE_DATE_EPOCH": str(day * DAY)}
    run = subprocess.run([binary, "drift", "--reference", ref, "--current", cur, "--out", out, "--drift.self_test=0", *options],
                         capture_output=True, text=True, env=env, check=False)
    if run.returncode != wanted:
        raise SystemExit(f"FAILED: {out}: exit {run.returncode}: {run.stderr}")
    return json.loads((pathlib.Path(out) / "drift.json").read_text(encoding="utf-8")) if not wanted else None


# --- definitions: of two samples of one column ---

def ks(x, y):
    """D, and its exact p: the share of the ways to merge the two whose distribution functions stay nearer than D"""
    both = np.concatenate([x, y])
    f, g = (np.searchsorted(np.sort(a), both, side="right") / len(a) for a in (x, y))
    d, m, n = float(np.abs(f - g).max()), len(x), len(y)
    row = np.zeros(n + 1)
    for i in range(m + 1):
        for j in range(n + 1):
            if i == j == 0:
                row[0] = 1
            else:
                row[j] = (row[j] * i + (row[j - 1] * j if j else 0)) / (i + j)
            if abs(i / m - j / n) >= d - 1e-12:
                row[j] = 0
    return d, 1 - row[n]


def integral(x, y, of):
    """of |F - G| over the line: steps between neighbouring values of either"""
    both = np.sort(np.concatenate([x, y]))
    f, g = (np.searchsorted(np.sort(a), both[:-1], side="right") / len(a) for a in (x, y))
    return float(np.sum(of(np.abs(f - g)) * np.diff(both)))


def cramer(x, y):
    m, n = len(x), len(y)
    rank = np.empty(m + n)
    rank[np.argsort(np.concatenate([x, y]), kind="stable")] = np.arange(1, m + n + 1)
    u = m * np.sum((np.sort(rank[:m]) - np.arange(1, m + 1)) ** 2) + n * np.sum((np.sort(rank[m:]) - np.arange(1, n + 1)) ** 2)
    return float(u / (m * n * (m + n)) - (4 * m * n - 1) / (6 * (m + n)))


def binned(x, y):
    x = np.sort(x)
    edges = [x[len(x) * b // 10] for b in range(1, 10)]
    check(len(set(edges)) == 9, "a window of this test has ties at the quantiles")
    return (np.bincount(np.searchsorted(edges, a, side="right"), minlength=10) for a in (x, y))


def psi(a, b):
    p, q = ((c + 0.5) / np.sum(c + 0.5) for c in (a, b))
    return float(np.sum((p - q) * np.log(p / q)))


def jensen(a, b):
    p, q = a / a.sum(), b / b.sum()
    h = (p + q) / 2
    return sum(float(np.sum(c[c > 0] * np.log(c[c > 0] / h[c > 0]))) / 2 for c in (p, q))


def columns(w):
    """the columns of single values of a window, by kind and name"""
    p = w.prob.astype("f8")
    entropy = -np.sum(p * np.log(p), axis=1)
    out = {("input", name): w.stats[:, i].astype("f8") for i, name in enumerate(STATS)}
    out["output", "confidence"] = p.max(axis=1)
    out["output", "entropy"] = entropy.astype("f4").astype("f8")
    return out


def figures(binary):
    """statistic, p, effect and interval of each detector of columns and counts"""
    ref, cur = Window(1, rows=90), Window(2, rows=70, moved=0.7, mix=[0.6, 0.2, 0.2])
    d = drift(binary, ref.write("figures-ref.h5"), cur.write("figures-cur.h5"), "figures", "--drift.slices=false")
    found = {(t["kind"], t["column"], t["detector"]): t for t in d["tests"]}
    m, n = 90, 70
    now = columns(cur)
    for (kind, name), x in columns(ref).items():
        y, where = now[kind, name], f"{kind} {name}"
        t = {k[2]: v for k, v in found.items() if k[:2] == (kind, name)}
        check(list(t) == ["ks", "cvm", "wasserstein", "energy", "psi", "js"], f"{where}: detectors {list(t)}")
        statistic, p = ks(x, y)
        half = 1.3581 * math.sqrt((m + n) / (m * n))
        for key, wanted in zip(("statistic", "effect", "p", "effect_low", "effect_high"),
                               (statistic, statistic, p, max(0, statistic - half), min(1, statistic + half))):
            near(t["ks"][key], wanted, f"{where}: ks {key}")
        near(t["cvm"]["statistic"], cramer(x, y), f"{where}: cvm")
        wide = integral(x, y, lambda v: v)
        near(t["wasserstein"]["statistic"], wide, f"{where}: wasserstein", 1e-6)
        near(t["wasserstein"]["effect"], wide / x.std(ddof=1), f"{where}: wasserstein's effect", 1e-6)
        energy, across = 2 * integral(x, y, np.square), float(np.abs(x[:, None] - y[None]).mean())
        near(t["energy"]["statistic"], energy, f"{where}: energy", 1e-6)
        near(t["energy"]["effect"], energy / (2 * across), f"{where}: energy's effect", 1e-6)
        a, b = binned(x, y)
        for detector, value, share in (("psi", psi(a, b), 1), ("js", jensen(a, b), 8)):
            near(t[detector]["statistic"], value, f"{where}: {detector}")
            near(t[detector]["effect"], value, f"{where}: {detector}'s effect")
            near(t[detector]["effect_high"], (1 / m + 1 / n) * CHI2_95[9] / share, f"{where}: {detector} without drift")
    counted(found, ref, cur)


def counted(found, ref, cur):
    a, b = (np.bincount(w.pred, minlength=3).astype("f8") for w in (ref, cur))
    m, n, both = a.sum(), b.sum(), a + b
    t = {k[2]: v for k, v in found.items() if k[1] == "predicted class"}
    check(list(t) == ["chi2", "g", "psi", "js"], f"predicted class: detectors {list(t)}")
    e, f = both * m / (m + n), both * n / (m + n)
    check(min(e.min(), f.min()) >= 5, "a class of this test is rare")
    x = float(np.sum((a - e) ** 2 * (1 / e + 1 / f)))
    v = math.sqrt(x / (m + n))
    wide = 1.96 * math.sqrt(1 / (m + n))
    for key, wanted in zip(("statistic", "p", "effect"), (x, math.exp(-x / 2), v)):  # two degrees of freedom
        near(t["chi2"][key], wanted, f"chi2 {key}")
    near(t["chi2"]["effect_low"], max(0, v - wide), "chi2 low")
    near(t["chi2"]["effect_high"], min(1, v + wide), "chi2 high")
    g = 2 * float(np.sum(a * np.log(a / e)) + np.sum(b * np.log(b / f)))
    williams = 1 + ((m + n) / m + (m + n) / n - 1) * (float(np.sum((m + n) / both)) - 1) / (6 * (m + n) * 2)
    near(t["g"]["statistic"], g, "g")
    near(t["g"]["p"], math.exp(-g / williams / 2), "g's p")
    near(t["g"]["effect"], v, "g's effect")
    for detector, value, share in (("psi", psi(a, b), 1), ("js", jensen(a, b), 8)):
        near(t[detector]["statistic"], value, f"classes: {detector}")
        near(t[detector]["effect_high"], (1 / m + 1 / n) * CHI2_95[2] / share, f"classes: {detector} without drift")


def rare_classes(binary):
    """a class that is expected fewer than five times: p over tables of the same margins, beside as many drawn here"""
    ref, cur = Window(3, rows=40, mix=[0.5, 0.45, 0.05]), Window(4, rows=30, mix=[0.45, 0.5, 0.05])
    d = drift(binary, ref.write("rare-ref.h5"), cur.write("rare-cur.h5"), "rare", "--drift.slices=false", "--drift.permutations=4999")
    t = next(t for t in d["tests"] if t["detector"] == "chi2")
    check("fewer than five times" in t.get("note", ""), f"rare classes: {t}")
    pooled, r = np.concatenate([ref.pred, cur.pred]), np.random.default_rng(0)

    def statistic(rows):
        both = np.bincount(pooled, minlength=3)
        b = np.bincount(rows, minlength=3)
        return float(np.sum((b - both * 30 / 70) ** 2 / np.maximum(both, 1)))
    least = statistic(cur.pred) - 1e-9
    p = np.mean([statistic(r.permutation(pooled)[:30]) >= least for _ in range(4999)])
    check(0.1 < p < 0.9, f"rare classes: a test that cannot tell: p is {p}")
    near(t["p"], p, "p of rare classes", 0, 0.04)


# --- definitions: of the verdict ---

def wilson(hits, n):
    p = hits / n
    centre, half = (p + Z * Z / (2 * n)) / (1 + Z * Z / n), Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return max(0, centre - half), min(1, centre + half)


def accuracy(w, rows=None):
    rows = np.arange(len(w.pred)) if rows is None else rows
    rows = rows[w.label[rows] >= 0]
    if not len(rows):
        return math.nan, 0, math.nan, math.nan
    hits = int(np.sum(w.label[rows] == w.pred[rows]))
    return (hits / len(rows), len(rows), *wilson(hits, len(rows)))


def fell(base, now, tolerance):
    gap = math.hypot(base[0] - base[2], now[3] - now[0])
    return base[0] - now[0] > tolerance and base[0] - now[0] > gap


def holm(p):
    adjusted, most = {}, 0
    for at, (key, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        most = max(most, min(1, (len(p) - at) * value))
        adjusted[key] = most
    return adjusted


def hochberg(p):
    adjusted, least = {}, 1
    for at, (key, value) in reversed(list(enumerate(sorted(p.items(), key=lambda item: item[1]), 1))):
        least = min(least, value * len(p) / at)
        adjusted[key] = least
    return adjusted


ORDER = ["none", "statistical", "material", "harmful"]


def decided(d, alpha=0.05, min_effect=0.1, correction=holm):
    """(status of the window before harm, least adjusted p of a material test, status of each test) from the p and effects of drift.json"""
    family = [2 if t["slice"] != "all" else 1 if t["detector"] == "mmd" else 0 for t in d["tests"]]
    deciding = [t["detector"] in ("ks", "chi2", "mmd") and t["p"] is not None for t in d["tests"]]
    there = sorted({f for f, yes in zip(family, deciding) if yes})
    share = {f: (0, 0.1, 0.2)[f] for f in there[1:]}
    share[there[0]] = 1 - sum(share.values())
    status, least = [None] * len(family), math.inf
    for f in there:
        adjusted = correction({i: d["tests"][i]["p"] for i, yes in enumerate(deciding) if yes and family[i] == f})
        for i, p in adjusted.items():
            p = min(1, p / share[f])
            t, where = d["tests"][i], f"{d['tests'][i]['column']} of {d['tests'][i]['slice']}"
            near(t["p_adjusted"], p, f"adjusted p, {where}")
            significant = p <= alpha if correction is hochberg else p < alpha
            status[i] = "none" if not significant else "material" if t["effect"] >= min_effect else "statistical"
            check(t["status"] == status[i], f"{where}: is {t['status']}, wanted {status[i]}")
            if status[i] == "material":
                least = min(least, p)
    return max((s for s in status if s), key=ORDER.index, default="none"), least, status


def performance(d, ref, cur, tolerance=0.05):
    """checks the numbers; returns whether the window is harmful by a measured accuracy, and whether by an estimated one"""
    p = d["performance"]
    base, now = accuracy(ref), accuracy(cur)
    sure, sure_now = ref.prob.max(axis=1).astype("f8"), cur.prob.max(axis=1).astype("f8")
    at = int(len(sure) * (1 - base[0]) + 0.5) if base[1] else 0
    atc = float(np.mean(sure_now > np.sort(sure)[max(0, min(at, len(sure)) - 1)])) if base[1] else math.nan
    own = float(np.mean(sure > np.sort(sure)[max(0, min(at, len(sure)) - 1)])) if base[1] else math.nan
    error = math.sqrt(sure.var() / len(sure) + sure_now.var() / len(sure_now))
    atc_error = math.sqrt(own * (1 - own) / len(sure) + atc * (1 - atc) / len(sure_now))
    for key, wanted in (("measured", now[0]), ("low", now[2]), ("high", now[3]), ("baseline", base[0]), ("estimated", sure_now.mean()),
                        ("estimated_baseline", sure.mean()), ("atc", atc), ("atc_baseline", own), ("estimated_error", error), ("atc_error", atc_error)):
        near(p[key], wanted, key, 1e-6)
    check(p["audited"] == now[1], f"audited is {p['audited']}, wanted {now[1]}")
    measured = now[1] >= 30 and base[1] >= 30 and fell(base, now, tolerance)
    return measured, any(fall > tolerance and fall > Z * e for fall, e in ((sure.mean() - sure_now.mean(), error), (own - atc, atc_error))) and \
        not denied(d, ref, cur, tolerance)


def denied(d, ref, cur, tolerance):
    """do the labels, with what the confidences foretell taken out, leave no fall of the tolerance?"""
    rows = np.flatnonzero(cur.label >= 0)
    if not len(rows):
        check("all" not in d["accuracy"], f"accuracy without labels: {d['accuracy']}")
        return False
    sure, base = cur.prob.max(axis=1).astype("f8"), accuracy(ref)
    gap = (cur.label == cur.pred)[rows] - sure[rows]
    now, noise = sure.mean() + gap.mean(), np.mean(gap ** 2) / len(rows) + sure.var() / len(sure)
    near(d["accuracy"]["all"]["accuracy"], now, "accuracy of all rows by labels and confidences", 1e-6)
    near(d["accuracy"]["all"]["noise"], noise, "its variance", 1e-5)
    if base[1]:
        return base[0] - now + Z * math.sqrt(noise + base[0] * (1 - base[0]) / base[1]) < tolerance
    return ref.prob.max(axis=1).mean(dtype="f8") - now + Z * math.sqrt(noise) < tolerance


def slices(d, ref, cur, tolerance=0.05, guarded=()):
    """checks the slices; returns the status of each"""
    of = {f"group {g}": [np.flatnonzero(w.group == g) for w in (ref, cur)] for g in (0, 1)}
    of.update({f"class {c}": [np.flatnonzero(w.pred == i) for w in (ref, cur)] for i, c in enumerate(CLASSES)})
    status = {}
    check({s["slice"] for s in d["slices"]} == set(of), f"slices are {[s['slice'] for s in d['slices']]}")
    for s in d["slices"]:
        before, now = of[s["slice"]]
        base, measured = accuracy(ref, before), accuracy(cur, now)
        where = s["slice"]
        sure, sure_now = ref.prob[before].max(axis=1).mean(dtype="f8"), cur.prob[now].max(axis=1).mean(dtype="f8")
        for key, wanted in (("confidence_reference", sure), ("confidence", sure_now), ("baseline", base[0]), ("measured", measured[0]),
                            ("low", measured[2]), ("high", measured[3])):
            near(s[key], wanted, f"{where}: {key}", 1e-6)
        check((s["reference_rows"], s["current_rows"], s["audited"]) == (len(before), len(now), measured[1]), f"{where}: rows {s}")
        check(s["guarded"] == (where in guarded), f"{where}: guarded is {s['guarded']}")
        tests = [t for t in d["tests"] if t["slice"] == where]
        status[where] = "untested"
        if min(len(before), len(now)) >= 30:
            status[where] = max((t["status"] for t in tests), key=ORDER.index)
            if measured[1] >= 30 and base[1] >= 30:
                status[where] = "harmful" if fell(base, measured, tolerance) else status[where]
            elif status[where] == "material" and sure_now < sure - tolerance:
                status[where] = "harmful"
            near(s["moved"], max(t["effect"] for t in tests), f"{where}: moved")
        check(s["status"] == status[where], f"{where}: is {s['status']}, wanted {status[where]}")
    return status


def judged(binary, out, ref, cur, *options, tolerance=0.05, alpha=0.05, min_effect=0.1, correction=holm, guarded=(), wanted=None):
    """everything that decides of two windows; wanted: the status that this case is made for"""
    d = drift(binary, ref.write(out + "-ref.h5"), cur.write(out + "-cur.h5"), out, f"--drift.tolerance={tolerance}", f"--drift.alpha={alpha}",
              f"--drift.min_effect={min_effect}", "--drift.correction=" + ("bh" if correction is hochberg else "holm"),
              "--drift.guarded=[" + ",".join(guarded) + "]", *options)
    status = decided(d, alpha, min_effect, correction)[0]
    measured, estimated = performance(d, ref, cur, tolerance)
    parts = slices(d, ref, cur, tolerance, guarded)
    if measured or status == "material" and estimated or any(parts[g] == "harmful" for g in guarded):
        status = "harmful"
    check(d["status"] == status, f"{out}: is {d['status']}, wanted {status}")
    check(wanted in (None, status), f"{out}: a case that does not do what it is for: {status}, wanted {wanted}")
    return d


def rules(binary):
    """pairs of windows where one rule alone makes the difference"""
    ref = Window(11, rows=200)
    judged(binary, "same", ref, Window(12, rows=200), wanted="none")
    moved = Window(13, rows=200, moved=0.8)
    judged(binary, "moved", ref, moved, wanted="material")
    judged(binary, "small", ref, moved, min_effect=0.9, wanted="statistical")
    judged(binary, "strict", ref, Window(13, rows=200, moved=0.3), alpha=0.002, wanted="none")
    judged(binary, "lenient", ref, Window(13, rows=200, moved=0.3), alpha=0.2, wanted="material")
    judged(binary, "hochberg", ref, Window(13, rows=200, moved=0.3), correction=hochberg)
    # measured: the fall against its tolerance, and against its interval; of 29 labelled rows nothing is measured
    judged(binary, "fallen", ref, Window(14, rows=200, right=0.6), wanted="harmful")
    judged(binary, "tolerated", ref, Window(14, rows=200, right=0.6), tolerance=0.5)
    judged(binary, "measured", ref, Window(15, rows=200, right=0.5, labelled=30), wanted="harmful")
    few = Window(15, rows=200, right=0.5, labelled=29)
    check(accuracy(few)[0] < 0.7, "few: a case that does not do what it is for")
    judged(binary, "few", ref, few, wanted="none")
    # estimated: it counts only with a material shift, and only where it falls
    judged(binary, "unsure", ref, Window(16, rows=200, moved=0.8, top=0.65, labelled=0), wanted="harmful")
    judged(binary, "patient", ref, Window(16, rows=200, moved=0.8, top=0.65, labelled=0), tolerance=0.95, wanted="material")
    judged(binary, "still", ref, Window(17, rows=200, moved=0.8, top=0.81, labelled=0), wanted="material")
    judged(binary, "unlabelled", Window(11, rows=200, labelled=0), Window(16, rows=200, moved=0.8, top=0.65, labelled=0), wanted="harmful")
    # a slice that suffers is the window's harm only where it is guarded
    one = Window(18, rows=400, labelled=400)
    wrong = np.flatnonzero((one.pred == 1) & (np.arange(400) % 5 < 2))
    one.label[wrong] = 0
    big = Window(19, rows=400)
    d = judged(binary, "unguarded", big, one, tolerance=0.2, wanted="none")
    check(any(s["status"] == "harmful" for s in d["slices"]), "unguarded: a case that does not do what it is for")
    judged(binary, "guarded", big, one, tolerance=0.2, guarded=("class bag",), wanted="harmful")
    judged(binary, "another", big, one, tolerance=0.2, guarded=("class ant",), wanted="none")


def least_p(binary):
    """p = alpha to the last bit: Holm rejects below alpha, Benjamini-Hochberg at it"""
    for name, shift in (("edge-ref", 0), ("edge-cur", 3)):
        with h5py.File(name + ".h5", "w") as f:
            f["embedding"] = (np.random.default_rng(shift).normal(size=(60, 4)) + shift).astype("f4")
    for correction, wanted in (("holm", "none"), ("bh", "material")):
        d = drift(binary, "edge-ref.h5", "edge-cur.h5", "edge-" + correction, "--drift.detectors=[mmd]", "--drift.permutations=19",
                  "--drift.correction=" + correction)
        t = d["tests"][0]
        check(t["p"] == 0.05 and t["p_adjusted"] == 0.05, f"edge: p is {t['p']}, {t['p_adjusted']}")
        check(d["status"] == t["status"] == wanted, f"edge, {correction}: is {d['status']}, wanted {wanted}")


def broken_values(binary):
    """missing values are a share that is tested, and numbers are tested without them: one of many is nothing, a third is material"""
    ref, cur = Window(21), Window(22)
    cur.stats[5, 1] = np.nan
    d = drift(binary, ref.write("whole.h5"), cur.write("broken.h5"), "broken")
    ks, share = ([t for t in d["tests"] if t["column"] == c and t["slice"] == "all" and t["detector"] == k]
                 for c, k in (("contrast", "ks"), ("missing: contrast", "chi2")))
    check(len(ks) == len(share) == 1, f"a broken value: {ks}, {share}")
    statistic, p = globals()["ks"](ref.stats[:, 1].astype("f8"), np.delete(cur.stats[:, 1], 5).astype("f8"))
    near(ks[0]["statistic"], statistic, "D without the value that is missing")
    near(ks[0]["p"], p, "its p")
    near(share[0]["p"], 1.0, "p of one missing value")
    check(d["status"] == "none", f"one broken value: the window is {d['status']}")
    cur.stats[:40, 1] = np.inf
    d = drift(binary, "whole.h5", cur.write("broken.h5"), "third")
    share = next(t for t in d["tests"] if t["column"] == "missing: contrast")
    near(share["p"], 2 * math.comb(120, 0) * math.comb(120, 40) / math.comb(240, 40), "p of forty missing values, both tails")
    check(share["status"] == d["status"] == "material", f"a third broken: {share['status']}, {d['status']}")
    cur.stats[:, 1] = np.nan
    d = drift(binary, "whole.h5", cur.write("broken.h5"), "gone")
    t = next(t for t in d["tests"] if t["column"] == "contrast")
    check(t["status"] == "untested" and "current window" in t["note"] and d["status"] == "material", f"a column that is gone: {t}")
    ref.stats[:, 1] = np.nan
    d = drift(binary, ref.write("broken-ref.h5"), "broken.h5", "both")
    check(d["status"] == "none", f"a column gone from both: the window is {d['status']}")


def label_shift(binary):
    """weights by the reference's confusion matrix, the accuracy that follows, the condition number; refused where it is above 1,000"""
    ref, cur = Window(31, rows=300), Window(32, rows=300, mix=[0.6, 0.3, 0.1], labelled=0)
    d = drift(binary, ref.write("mix-ref.h5"), cur.write("mix-cur.h5"), "mix", "--drift.slices=false")
    c = np.zeros((3, 3))
    np.add.at(c, (ref.pred, ref.label), 1 / 300)
    mu = np.bincount(cur.pred, minlength=3) / 300
    w = np.linalg.solve(c, mu)
    for i in range(3):
        near(d["label_shift"]["weights"][i], w[i], f"weight {i}")
    near(d["label_shift"]["condition"], np.abs(c).sum(axis=0).max() * np.abs(np.linalg.inv(c)).sum(axis=0).max(), "condition")
    near(d["performance"]["reweighted"], min(1, float(np.sum(np.maximum(w, 0) * np.diag(c)))), "reweighted")
    ref.pred = np.where(np.arange(300) % 3 == 0, ref.label, np.arange(300) // 3 % 3).astype("i4")
    ref.pred[:] = np.arange(300) % 3
    ref.label[:] = np.arange(300) // 3 % 3  # what is predicted says nothing of the label
    d = drift(binary, ref.write("noise-ref.h5"), "mix-cur.h5", "noise", "--drift.slices=false")
    check(not d["label_shift"] or d["label_shift"]["weights"] is None or d["label_shift"]["weights"] == [], f"weights of noise: {d['label_shift']}")
    check(d["performance"]["reweighted"] is None, f"reweighted by noise: {d['performance']['reweighted']}")


# --- the policy ---

def past_line(day, window, status, emitted):
    """a line of the history, of a window that is no other's"""
    return {"schema": "nightshift.history/1", "time": day * DAY, "window": window, "rejected_before": 0, "rejected": False, "reference": "0" * 64,
            "current": f"{window:064d}", "status": status, "evidence": 1.0, "level": 0.01, "alarm": status != "none", "emitted": emitted,
            "effect": 0.2, "estimated": 0.8, "measured": None}


def policy(binary):
    """hysteresis, cooldown and budget: each at its edge; what they say is the reason in drift.json"""
    ref = Window(51, rows=200).write("policy-ref.h5")
    fallen = Window(52, rows=200, right=0.5).write("policy-cur.h5")
    cases = [  # lines (day, status, emitted), options, why not; None: it calls for a manifest
        ([], ("--drift.hysteresis=1",), None),
        ([(99, "none", 0)], ("--drift.hysteresis=2",), "1 window in a row"),
        ([(98, "harmful", 0), (99, "harmful", 0)], ("--drift.hysteresis=3",), None),
        ([(98, "harmful", 0), (99, "material", 0)], ("--drift.hysteresis=2",), "1 window in a row"),
        ([(98, "harmful", 0), (99, "material", 0)], ("--drift.hysteresis=3", "--drift.emit=material"), None),
        ([(98, "statistical", 0), (99, "harmful", 0)], ("--drift.hysteresis=3", "--drift.emit=material"), "2 windows in a row"),
        ([(94, "harmful", 1)], ("--drift.cooldown_days=6",), None),
        ([(95, "harmful", 1)], ("--drift.cooldown_days=6",), "the last manifest is 5.0 days old"),
        ([(95, "harmful", 0)], ("--drift.cooldown_days=6",), None),
        ([(71, "harmful", 1), (80, "harmful", 1)], ("--drift.budget=2", "--drift.cooldown_days=0"), "2 manifests in the last 30 days"),
        ([(70, "harmful", 1), (80, "harmful", 1)], ("--drift.budget=2", "--drift.cooldown_days=0"), None),
    ]
    for i, (lines, options, why) in enumerate(cases):
        folder = pathlib.Path(f"policy{i}")
        folder.mkdir()
        for k, (day, status, emitted) in enumerate(lines, 1):
            line = past_line(day, k, status, bool(emitted))
            (folder / f"{day * DAY:012d}-{k:016d}-{'0' * 16}.json").write_text(json.dumps(line), encoding="utf-8")
        d = drift(binary, ref, fallen, f"policy-out{i}", f"--drift.history={folder}", "--drift.hysteresis=1", "--drift.cooldown_days=0",
                  "--drift.budget=0", "--drift.slices=false", *options, day=100)
        check(d["status"] == "harmful", f"policy {i}: is {d['status']}")
        said = d["manifest"]["because"]
        if why:
            check(said.startswith(why), f"policy {i}: says '{said}', wanted '{why}'")
        else:  # the run names no data to select from, which is the last thing that it asks
            check("do not say what to select from" in said, f"policy {i}: says '{said}', wanted a manifest")


if __name__ == "__main__":
    binary, *names = sys.argv[1:]
    for part in tiny.chosen((figures, rare_classes, rules, least_p, broken_values, label_shift, policy), names):
        part(binary)
    print(f"{tiny.checks} checks passed")
