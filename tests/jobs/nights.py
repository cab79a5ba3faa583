"""What drift must say of tonight among the nights of a history, from the definitions of docs/judgement.md and in another arithmetic than its own: for
nights.sh.

usage: nights.py NIGHTSHIFT [part ...], in an empty folder
"""
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import h5py
import numpy as np

import tiny
from tiny import check

DAY = 86400
START = 20000  # a Wednesday
STATS = ["brightness", "contrast", "sharpness"]
CLASSES = ["ant", "bag", "cat"]
FALSE_ALARMS = 2.0
ALONE = 3.841468489269817  # scipy.stats.t.isf(.1 * .3 / 365, 199)


def near(found, wanted, what, rel=1e-6, absolute=1e-9):
    if wanted is None or math.isnan(wanted):
        check(found is None, f"{what}: is {found}, wanted none")
    else:
        check(found is not None and math.isclose(found, wanted, rel_tol=rel, abs_tol=absolute), f"{what}: is {found}, wanted {wanted}")


class Window:
    """Rows of three classes from a site that has days of its own; what a test turns is an argument."""

    def __init__(self, seed, rows=80, moved=(0, 0, 0), right=0.9, labelled=0, day=None, days=1, missing=0, wider=1.0):
        r = np.random.default_rng(seed)
        self.label = r.integers(0, 3, rows).astype("i4")
        self.pred = np.where(r.random(rows) < right, self.label, (self.label + 1) % 3).astype("i4")
        tops = np.clip(r.normal(0.88, 0.05, rows), 0.4, 0.98)
        self.prob = np.repeat(((1 - tops) / 2)[:, None], 3, 1).astype("f4")
        self.prob[np.arange(rows), self.pred] = tops
        self.stats = (r.normal(size=(rows, 3)) * wider + np.asarray(moved)).astype("f4")
        self.stats[:missing, 1] = np.nan
        self.group = (np.arange(rows) % 3).astype("i4")
        self.time = None if day is None else ((day - np.arange(rows) * days // rows) * DAY + 3600).astype("i8")
        self.label[labelled:] = -1

    def write(self, name, first=0):
        with h5py.File(name, "w") as f:
            for key in ("label", "pred", "prob", "stats", "group") + (() if self.time is None else ("time",)):
                f[key] = getattr(self, key)
            f["stats"].attrs["stats_names"] = STATS
            f["id"] = np.arange(len(self.pred), dtype="u8") + np.uint64(first)
            f.attrs["classes"] = CLASSES
            f.attrs["model"] = "a" * 64
        return name


def drift(binary, ref, cur, out, *options, day=START, history="past", wanted=0, said=""):
    run = subprocess.run([binary, "drift", "--reference", ref, "--current", cur, "--out", out, "--drift.self_test=0", "--drift.slices=false",
                          "--drift.permutations=19", f"--drift.history={history}", "--threads=1", *options], capture_output=True, text=True,
                         env={**os.environ, "SOURCE_DATE_EPOCH": str(day * DAY + 7200)}, check=False)
    if run.returncode != wanted or said not in run.stderr:
        raise SystemExit(f"FAILED: {out}: exit {run.returncode}: {run.stderr}")
    return None if wanted else json.loads((pathlib.Path(out) / "drift.json").read_text(encoding="utf-8"))


# --- effects ---

def scores(pool, x):
    """Phi^-1 of the mid-ranks of x in the pool"""
    pool = np.sort(pool[np.isfinite(pool)])
    less, both = np.searchsorted(pool, x, "left"), np.searchsorted(pool, x, "right")
    return np.array([statistics.NormalDist().inv_cdf(q) for q in (less + (both - less) / 2 + 0.5) / (len(pool) + 1)])


def angle(part, of):
    return 2 * math.asin(math.sqrt(part / of))


def effects(ref, cur, rows=slice(None)):
    """those of the rows of a window, in the families of docs/judgement.md"""
    e = {"images": {}, "spread": {}, "outputs": {}, "groups": {}, "missing": {}}
    for i, name in enumerate(STATS):
        x = cur.stats[rows, i]
        z = scores(ref.stats[:, i], x[np.isfinite(x)])
        own = scores(ref.stats[:, i], ref.stats[np.isfinite(ref.stats[:, i]), i])
        last = statistics.NormalDist().inv_cdf((len(own) + 0.5) / (len(own) + 1))
        more = max(0, max(np.std((own - own.mean()) ** 2), last ** 2 / math.sqrt(len(own))) / math.sqrt(2) - np.var(own))
        e["images"][name], e["spread"][name] = float(z.mean() - own.mean()), math.log((np.var(z, ddof=1) + more) / (np.var(own) + more)) / math.sqrt(2)
        e["missing"][name] = angle(np.sum(~np.isfinite(x)), len(x)) - angle(np.sum(~np.isfinite(ref.stats[:, i])), len(ref.stats))
    for name, of in (("confidence", lambda p: p.max(axis=1)), ("entropy", lambda p: -np.sum(p.astype("f8") * np.log(p.astype("f8")), axis=1))):
        pool = of(ref.prob).astype("f4")
        e["outputs"][name] = float(scores(pool, of(cur.prob[rows]).astype("f4")).mean() - scores(pool, pool).mean())
    for family, prefix, column, names in (("outputs", "class ", "pred", CLASSES), ("groups", "group ", "group", ["0", "1", "2"])):
        a, b = getattr(ref, column), getattr(cur, column)[rows]
        count = np.bincount(a, minlength=3)
        e[family][prefix + "(new)"] = angle(np.sum(~np.isin(b, a)), len(b))
        for k in range(2):  # the last one's share is what these leave
            e[family][prefix + names[k]] = angle(np.sum(b == k), len(b)) - angle(count[k], len(a))
    return e


# --- the judge: one site, from docs/judgement.md ---

def beta_cf(x, a, b):
    """the continued fraction of the incomplete beta function (Abramowitz, Stegun 26.5.8), by Lentz"""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    h = d
    for m in range(1, 400):
        for n in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d, c = 1 / (1 + n * d), 1 + n / c
            h *= c * d
    return h


def f_sf(x, d1, d2):
    if x < 1e-14:
        return 1.0
    y = d2 / (d2 + d1 * x)
    a, b = d2 / 2, d1 / 2
    front = math.exp(a * math.log(y) + b * math.log(d1 * x / (d2 + d1 * x)) - math.lgamma(a) - math.lgamma(b) + math.lgamma(a + b))
    return front * beta_cf(y, a, b) / a if y < (a + 1) / (a + b + 2) else 1 - front * beta_cf(1 - y, b, a) / b


class Judge:
    def __init__(self, sizes, rows, first=()):
        self.fam, at = [], 0
        for n in sizes:
            self.fam.append(slice(at, at + n))
            at += n
        self.k, self.rows, self.level = at, rows, FALSE_ALARMS / 2 / 365 / (4 * len(sizes))
        self.h, self.ok, self.w = [x for x, _ in first], [True] * len(first), [d for _, d in first]
        self.wait, self.E, self.last, self.t, self.since, self.recent = [], np.zeros((3, at)), None, 0, 0, []
        self.pool = 1
        self.opening, self.old, self.oldok, self.keep, self.b = not first, [], [], np.zeros((7, at)), np.zeros((7, at))

    def fit(self):
        h, ok, w = (np.array(a[-180:]) for a in (self.h, self.ok, self.w))
        n, k = len(h), self.k
        carried = self.keep if n < 21 else np.zeros((7, k))
        h = (h - carried[w] if n else np.zeros((0, k))).reshape(-1, k)
        ok = ok.astype(bool)
        quiet = int(ok.sum())
        self.mu = h[ok].sum(0) / max(quiet + self.pool, 1) if n else np.zeros(k)
        r = np.where(ok[:, None], h - self.mu, 0.0)
        b = np.zeros((7, k))
        if quiet >= 21:
            count = np.array([np.sum(ok & (w == d)) for d in range(7)])[:, None]
            mean = np.array([r[w == d].sum(0) for d in range(7)]) / np.maximum(count, 1)
            between, total = (count * mean ** 2).sum(0), (r ** 2).sum(0)
            f = between / 6 / np.maximum((total - between) / max(quiet - 7, 1), 1e-12)
            b = np.where(f > 2, 1 - 1 / np.maximum(f, 1), 0) * mean
        self.b = b + carried
        if n:
            r = r - b[w] * ok[:, None]
        r, ok = np.concatenate([np.array(self.old).reshape(-1, k), r]), np.concatenate([np.array(self.oldok, bool), ok])
        n, nn, known = int(ok.sum()), max(int(ok.sum()), 1), quiet
        q = (r * r).sum(0)
        var = np.maximum(q / nn, 1e-12)
        r1 = np.clip((r[1:] * r[:-1]).sum(0) / max(np.sum(ok[1:] & ok[:-1]), 1) / var, -1, 1)
        r1 = np.clip(r1 + (1 + 3 * np.clip(r1, 0, 1)) / nn, 0, 0.95)
        r2 = (r[2:] * r[:-2]).sum(0) / max(np.sum(ok[2:] & ok[:-2]), 1) / var + 3 / nn
        self.rho, self.phi, self.v, self.R, self.df = np.empty(k), np.empty(k), np.empty(k), [], []
        for f in self.fam:
            d = f.stop - f.start
            pool = r1[f].mean() if n > 14 else 0.6
            rho = self.rho[f] = np.clip((n * r1[f] + 20 * pool) / (n + 20), 0, 0.95)
            phi = self.phi[f] = np.maximum(rho, np.clip(r2[f].sum() / max(r1[f].sum(), 0.3), 0.7, 0.95) if n > 28 else 0.7)
            nu = np.maximum(n * (1 - rho ** 2) / (1 + rho ** 2) - 1, 0)
            own = q[f] / nn / np.maximum(1 - (1 + 2 * rho / (1 - phi)) / nn, 0.3)
            family = (6 * (0.2 ** 2 + 1 / self.rows) + (nu * own).sum()) / (6 + nu.sum())
            self.v[f] = (6 * family + nu * own) / (6 + nu)
            sd = np.sqrt(np.maximum(q[f], 1e-12 * nn))
            a = d / (d + nu.mean()) if n > 5 else 1
            c = (1 - a) * (r[:, f].T @ r[:, f]) / np.outer(sd, sd) if n else np.zeros((d, d))
            np.fill_diagonal(c, 1)
            self.R.append(np.linalg.inv(c))
            z = r[:, f] / np.sqrt(self.v[f])
            z[~ok] = np.nan
            u = (z[1:] - rho * z[:-1]) / np.sqrt(1 - rho ** 2)
            tails = []
            for x in (z, u):
                y = x[np.isfinite(x)]
                kurtosis = max((y ** 4).sum() / max((y ** 2).sum(), 1e-9) ** 2 * len(y) - 3, 0.05) if len(x) > 14 else 0.3
                tails.append(min(6 + nu.mean(), 4 + 6 / kurtosis))
            self.df.append(tails)
        self.M = np.minimum(1, (1 + 2 * self.rho / (1 - self.phi)) / max(known + self.pool, 1))

    def test(self, z, size, step):
        p, q, alarm = [], [], False
        for i, f in enumerate(self.fam):
            q.append(float(z[f] @ self.R[i] @ z[f]))
            p.append(f_sf(q[-1] / (f.stop - f.start), f.stop - f.start, self.df[i][step]))
            alarm |= p[-1] < self.level and (size is None or np.abs(size[f]).max() >= 0.1)
        return p, q, alarm

    def night(self, x, weekday, gap=False):
        """p (memory, family), and whether it is an alarm"""
        if self.since < 28 or self.t % 7 == 0:
            self.fit()
        self.last = None if gap else self.last
        c, out, alarm = x - self.mu - self.b[weekday], [], False
        for j, lam in enumerate((1, 0.3, 0.1)):
            self.E[j] += lam * (c - self.E[j])
            g = lam / (2 - lam) * (1 + 2 * (1 - lam) * self.rho / (1 - (1 - lam) * self.phi))
            p, q, hit = self.test(self.E[j] / np.sqrt(self.v * (g + self.M)), self.E[j], 0)
            out.append(p)
            alarm |= hit
            if not j:
                self.q = q
        out.append([None] * len(self.fam))
        if self.last is not None:
            s = np.sqrt(self.v * (1 - self.rho ** 2 + self.M * (1 - self.rho) ** 2))
            out[3], _, hit = self.test((c - self.rho * self.last) / s, c, 1)
            alarm |= hit
        if self.opening and self.t in (6, 13, 27):
            h = np.array(self.h + [x for x, _, _ in self.wait])
            s = np.sqrt(self.v * (1 + np.minimum(1, (1 + 2 * self.rho / (1 - self.phi)) / len(h))))
            p, _, hit = self.test(h.mean(0) / s, None, 0)
            out[0] = [min(a, b) for a, b in zip(out[0], p)]
            alarm |= hit
        self.last = c
        if alarm:
            self.E[:], self.last = 0, None
        self.wait.append((x, not alarm, weekday))
        self.recent = (self.recent + [(x, weekday)])[-14:]
        self.t, self.since = self.t + 1, self.since + 1
        while len(self.wait) > min(max(self.t // 3, 3), 28):
            x, ok, w = self.wait.pop(0)
            self.h.append(x)
            self.ok.append(ok)
            self.w.append(w)
        return out, bool(alarm)

    def renew(self, first=(), last=0):
        """another reference: scale and correlation are carried, the centre is that of its own days; or of the last nights"""
        first = [(x, w) for x, w in self.recent[len(self.recent) - last:]] if last else first
        self.pool = 0 if last else 1  # of a release whose centre is that of its own nights, the reference is none of them
        r = [(x - self.mu - self.b[w]) if ok else np.zeros(self.k) for x, ok, w in zip(self.h, self.ok, self.w)]
        self.old, self.oldok, self.keep = self.old + r, self.oldok + self.ok, self.b
        self.h, self.ok, self.w, self.wait = [x for x, _ in first], [True] * len(first), [d for _, d in first], []
        self.E[:], self.last, self.since, self.opening = 0, None, 0, False


def vector(e):
    return np.array([v for family in e.values() for v in family.values()])


def agree(d, out, alarm, judge, where, rel=2e-5):
    """drift.json against the judge's night"""
    n = d["nights"]
    check([f["family"] for f in n["families"]] == ["images", "spread", "outputs", "groups", "missing"], f"{where}: families {n['families']}")
    for i, family in enumerate(n["families"]):
        for m, name in enumerate(("tonight", "average of .3", "average of .1", "step")):
            wanted = out[m][i]
            near(family["p"][name], math.nan if wanted is None else wanted, f"{where}: p of {family['family']}, {name}", rel, 1e-12)
    near(d["alarm_budget"]["p_needed"], judge.level, f"{where}: level")
    near(d["alarm_budget"]["evidence"], judge.level / min(p for row in out for p in row if p is not None), f"{where}: evidence", rel)
    check(d["alarm_budget"]["rejected"] == alarm, f"{where}: alarm is {d['alarm_budget']['rejected']}, wanted {alarm}")
    least = min(p for row in out for p in row if p is not None)
    status = "material" if alarm else "statistical" if least < 10 * judge.level else "none"
    check(d["status"] in (status, "harmful"), f"{where}: is {d['status']}, wanted {status}")


def weekday(day):
    return (day + 3) % 7  # Monday is 0


# --- parts ---

def figures(binary):
    """the effects of one night, with values that are missing, and ties"""
    ref, cur = Window(1, rows=300, missing=9), Window(2, rows=90, moved=(0.3, 0, -0.4), missing=5, wider=1.3)
    cur.stats[3:30, 2] = ref.stats[0, 2]
    ref.stats[40:60, 2] = ref.stats[0, 2]
    d = drift(binary, ref.write("ref.h5"), cur.write("cur.h5"), "figures", history="figures-past")
    wanted = effects(ref, cur)
    check(set(wanted) == set(d["nights"]["effects"]), f"families are {list(d['nights']['effects'])}")
    for family, columns in wanted.items():
        check(set(columns) == set(d["nights"]["effects"][family]), f"{family}: columns are {list(d['nights']['effects'][family])}")
        for name, value in columns.items():
            near(d["nights"]["effects"][family][name], value, f"effect of {name}, {family}", 1e-5, 1e-6)
    missing = next(t for t in d["tests"] if t["column"] == "missing: contrast")
    near(missing["p"], fisher(9, 300, 5, 90), "p of missing values")
    # groups are names: what number a camera has is of no consequence, and one that the reference lacks is a share of its own
    for w in (ref, cur):
        w.group *= 1_000_000_000
    cur.group[:30] = 77
    d = drift(binary, ref.write("ref.h5"), cur.write("cur.h5"), "numbers", history="numbers-past")
    wanted = [angle(30, 90), *(angle(np.sum(cur.group == k), 90) - angle(100, 300) for k in (0, 1_000_000_000))]
    for value, (name, found) in zip(wanted, d["nights"]["effects"]["groups"].items(), strict=True):
        near(found, value, f"effect of {name}, of other numbers", 1e-5, 1e-6)


def fisher(a, m, b, n):
    ways = {x: math.comb(m, x) * math.comb(n, a + b - x) for x in range(max(0, a + b - n), min(m, a + b) + 1)}
    return sum(w for w in ways.values() if w <= ways[a] * (1 + 1e-7)) / math.comb(m + n, a + b)


def site(nights, seed=5, weekend=0.0, at=10 ** 9, moved=(0, 0, 0), **more):
    """(day, window) of a site whose days differ, and whose weekends are brighter"""
    r, e, out = np.random.default_rng(seed), np.zeros(3), []
    for t in range(nights):
        e = 0.7 * e + 0.1 * math.sqrt(1 - 0.49) * r.normal(size=3)
        day = START + t
        shift = e + (np.array([weekend, 0, 0]) if weekday(day) > 4 else 0) + (np.asarray(moved) if t >= at else 0)
        out.append((day, Window(1000 + t, moved=shift, **more)))
    return out


def year(binary):
    """every p of every night against another arithmetic: quiet, weekends, an alarm, a gap, another reference"""
    refs = [Window(7, rows=400), Window(8, rows=400, moved=(1, 1, 0), day=START + 43, days=6)]
    nights = site(58, weekend=0.8, at=44, moved=(1.2, 1.2, 0))
    judge, count, alarms, seen, past = None, 0, 0, [], []
    for t, (day, window) in enumerate(nights):
        if 30 <= t < 33:  # no windows on these
            continue
        ref = refs[t >= 50]
        e = vector(effects(ref, window))
        if t == 50:  # a new release: a dated reference
            first = [(vector(effects(ref, ref, np.flatnonzero(ref.time // DAY == d))), weekday(int(d))) for d in sorted(set(ref.time // DAY))]
            judge.renew(first)
            past = []
        judge = judge or Judge((3, 3, 5, 3, 3), 80)
        out, alarm = judge.night(e, weekday(day), gap=t == 33)
        d = drift(binary, ref.write(f"ref{t >= 50}.h5"), window.write(f"n{t}.h5"), f"o{t}", day=day)
        count += 1
        agree(d, out, alarm, judge, f"night {t}")
        further = [sum(q[i] > judge.q[i] for q in past) for i in range(len(judge.q))]
        check([f["nights_further_out"] for f in d["nights"]["families"]] == further and d["nights"]["nights_of_this_release"] == len(past),
              f"night {t}: rank among the nights, wanted {further} of {len(past)}: {d['nights']['families']}")
        past.append(judge.q)
        check(d["alarm_budget"]["windows"] == count and d["alarm_budget"]["alarms_before"] == alarms, f"night {t}: {d['alarm_budget']}")
        check(d["nights"]["reference_days"] == (6 if t >= 50 else 0), f"night {t}: days of the reference")
        seen.append((t, alarm))
        alarms += alarm
    check(not any(a for t, a in seen if t < 44), f"a quiet night alarmed: {seen}")
    check(any(a for t, a in seen if 44 <= t < 50), "no alarm, so that a night which is not quiet was not tried")


def again(binary):
    """a night that is judged again, or late, or beside others, has the past that it had; labels that come late are of the same window"""
    def facts(d):
        return {k: d[k] for k in ("status", "alarm_budget", "nights", "accuracy", "decided_by")}
    first = json.loads(pathlib.Path("o20/drift.json").read_text(encoding="utf-8"))
    lines = sorted(os.listdir("past"))
    check(facts(drift(binary, "refFalse.h5", "n20.h5", "again", day=START + 300)) == facts(first), "judged again, much later")
    check(sorted(os.listdir("past")) == lines, "a window that was judged again is counted twice")
    with h5py.File("n20.h5") as f, h5py.File("n20-labelled.h5", "w") as g:
        for key in f:
            f.copy(key, g)
        g.attrs.update(f.attrs)
        g["label"][:] = np.where(np.arange(80) < 50, f["pred"][:], -1)
    d = drift(binary, "refFalse.h5", "n20-labelled.h5", "with-labels", day=START + 300)
    check(d["alarm_budget"]["windows"] == first["alarm_budget"]["windows"] and d["nights"] == first["nights"], "labels that come late")
    check(d["performance"]["audited"] == 50 and sorted(os.listdir("past")) == lines, f"labels that come late: {sorted(os.listdir('past'))}")
    # a camera that is dead shows the same on two nights, which are two
    for k in range(2):
        w = Window(4000)
        w.stats[:] = 0.5
        d = drift(binary, "refFalse.h5", w.write("dark.h5", first=900 * k), f"dark{k}", day=START + 40 + k, history="dark")
    check(d["alarm_budget"]["windows"] == 2, f"the second night of a dead camera: {d['alarm_budget']}")
    # where all windows have times their days are the order, and what is judged late has the past of its day
    pool = Window(9, rows=300, day=START - 1)
    pool.write("dated.h5")
    for name, order in (("in-order", range(8)), ("late", (0, 1, 2, 4, 5, 6, 7, 3))):
        for at, t in enumerate(order):
            Window(2000 + t, day=START + t).write(f"d{t}.h5")
            drift(binary, "dated.h5", f"d{t}.h5", f"{name}{t}", day=START + 50 + at, history=name)
    for t in range(4):
        a, b = (json.loads(pathlib.Path(f"{name}{t}/drift.json").read_text(encoding="utf-8")) for name in ("in-order", "late"))
        check(a["nights"] == b["nights"], f"night {t}, which came late")
    a = drift(binary, "dated.h5", Window(2008, day=START + 8).write("d8.h5"), "in-order8", history="in-order")
    b = drift(binary, "dated.h5", "d8.h5", "late8", history="late")
    check(a["nights"] == b["nights"], "the night after one that came late")


def step(c, y, v, d):
    return max(0.0, c - (d * y + d * d / 2) / v)


def labels(binary):
    """measured harm: y, its variance, two CUSUMs against thresholds of the history, the fall since the change"""
    ref = Window(31, rows=600, labelled=600)
    ref.write("labelled.h5")
    base = float(np.mean(ref.pred == ref.label))
    c, weight, total, harmful, young = [0, 0], [0, 0], [0, 0], [], [0.0, 0]
    for t in range(10):
        w = Window(3000 + t, rows=400, labelled=200, right=0.9 if t < 4 else 0.78)
        d = drift(binary, "labelled.h5", w.write("l.h5"), f"l{t}", day=START + t, history="labels")
        a = d["accuracy"]["all"]
        conf = w.prob.max(axis=1).astype("f8")
        gap = (w.pred == w.label)[:200] - conf[:200]
        y, noise = conf.mean() + gap.mean(), np.mean(gap ** 2) / 200 + conf.var() / 400
        near(a["accuracy"], y, f"labels {t}: accuracy", 1e-6)
        near(a["noise"], noise, f"labels {t}: noise", 1e-5)
        near(a["baseline"], base, f"labels {t}: baseline", 1e-6)
        check(a["labels"] == 200 and a["simulated"] == 200 and len(a["thresholds"]) == 4, f"labels {t}: {a}")
        h, v = a["thresholds"][2], noise + 0.02 ** 2  # two points of day effect are assumed
        change = y - base - young[0] / (600 + young[1])
        for k, size in enumerate((0.05, 0.15)):
            c[k] = step(c[k], change, v, size)
            weight[k], total[k] = (weight[k] + 1 / v, total[k] + change / v) if c[k] > 0 else (0, 0)
        most = int(c[1] > c[0])
        if c[most] < 2:  # labels of the first nights join a baseline of fewer than a thousand, unless they speak of a fall
            young[0], young[1] = young[0] + 200 * (y - base), young[1] + 200
        near(a["evidence"], c[most] / h, f"labels {t}: evidence", 1e-4, 1e-7)
        fall = -total[most] / weight[most] if weight[most] else math.nan
        near(a["fall"], fall, f"labels {t}: fall", 1e-4)
        # one night alone, beyond the t of 199 degrees at a tenth of its share of .3 a year
        now = (c[most] > h or -change / math.sqrt(v + base * (1 - base) / 600) > ALONE) and fall >= 0.03
        check((d["status"] == "harmful") == (now or d["accuracy"]["half"]["harmful"]), f"labels {t}: is {d['status']}, wanted {now}")
        harmful.append(now)
        if now:
            c, weight, total = [0, 0], [0, 0], [0, 0]
    check(not any(harmful[:4]) and any(harmful[4:]), f"labels: {harmful}")


def changed(binary):
    """thresholds stay while what they were found for does, and are found anew when it changes"""
    before = json.loads(pathlib.Path("l9/drift.json").read_text(encoding="utf-8"))["accuracy"]["all"]["thresholds"]
    for name, size, options in (("as before", 200, ()), ("labels within a fifth", 190, ()), ("another tolerance", 200, ("--drift.tolerance=0.06",)),
                                ("another budget", 200, ("--drift.false_alarms=0.5",)), ("half the labels", 100, ())):
        shutil.rmtree("labels-on", ignore_errors=True)
        shutil.copytree("labels", "labels-on")
        d = drift(binary, "labelled.h5", Window(3010, rows=400, labelled=size).write("l.h5"), f"l-on {name}", *options, day=START + 10, history="labels-on")
        now = d["accuracy"]["all"]["thresholds"]
        check((now == before) is (not options and size > 150), f"{name}: thresholds are {now}, before {before}")


def adapted(binary):
    """another model on the images of before: it was made for the nights since the change, so these are what is usual, and nothing is out of the ordinary"""
    def put(name, w, model):
        with h5py.File(name, "w") as f:
            f["stats"], f["id"] = w.stats, np.arange(len(w.stats), dtype="u8")
            f["stats"].attrs["stats_names"] = STATS
            f.attrs["model"], f.attrs["dataset"] = model * 64, "d" * 64
        return name
    ref, judge, alarms = Window(7, rows=400), Judge((3, 3, 3), 80), []
    for t, (day, window) in enumerate(site(46, seed=6, at=32, moved=(1.5, 1.5, 0))):
        model = "b" if t >= 35 else "a"
        e = effects(ref, window)
        x = np.array([v for family in ("images", "spread", "missing") for v in e[family].values()])
        if t == 35:
            first = next(k for k in alarms if k >= 32)
            judge.renew(last=35 - first)
        out, alarm = judge.night(x, weekday(day))
        d = drift(binary, put(f"of-{model}.h5", ref, model), put(f"w{t}.h5", window, model), f"w{t}", day=day, history="adapted")
        for i, family in enumerate(d["nights"]["families"]):
            for m, name in enumerate(("tonight", "average of .3", "average of .1", "step")):
                near(family["p"][name], math.nan if out[m][i] is None else out[m][i], f"adapted {t}: {family['family']}, {name}", 2e-5, 1e-12)
        check(d["alarm_budget"]["rejected"] == alarm, f"adapted {t}: {d['alarm_budget']}")
        alarms += [t] if alarm else []
        check(t < 35 or d["status"] == "none", f"adapted {t}: {d['status']}")
    check([t for t in alarms if t < 32] == [] and len([t for t in alarms if 32 <= t < 35]) > 0, f"a case that does not do what it is for: {alarms}")


def nearly_constant(binary):
    """a column that says the same of nearly every row hangs on few of them: that none of these is there is nothing; that it begins to vary is a change"""
    def put(name, w, varied):
        w.stats[:, 2] = 0
        w.stats[:varied, 2] = 5
        w.write(name)
        return w
    ref = put("plain.h5", Window(9, rows=400), 1)
    judge, alarms = Judge((3, 3, 5, 3, 3), 80), []
    for t, varied in enumerate((0, 0, 1, 0, 2, 0, 0, 1, 0, 0, 0, 30)):
        window = put(f"plain{t}.h5", Window(900 + t), varied)
        out, alarm = judge.night(vector(effects(ref, window)), weekday(START + t))
        d = drift(binary, "plain.h5", f"plain{t}.h5", f"plain-{t}", day=START + t, history="plain")
        agree(d, out, alarm, judge, f"night {t} of a column that is nearly constant")
        alarms += [t] if alarm else []
    check(alarms == [11], f"alarms of a column that is nearly constant: {alarms}")


def old_lines(binary):
    """a history of the version before: its windows count, and no night is learnt from them; one that is neither is refused"""
    shutil.copytree("in-order", "before")
    line = {"schema": "nightshift.history/1", "time": (START - 9) * DAY, "window": 1, "rejected_before": 0, "rejected": True, "reference": "0" * 64,
            "current": "1" * 64, "status": "material", "evidence": 90.0, "level": 0.01, "alarm": True, "emitted": True, "effect": 0.2,
            "estimated": 0.8, "measured": None}
    pathlib.Path("only-old").mkdir()
    (pathlib.Path("only-old") / f"{line['time']:012d}-{1:016d}-{0:016d}.json").write_text(json.dumps(line), encoding="utf-8")
    d = drift(binary, "dated.h5", "d0.h5", "old", history="only-old")
    first = json.loads(pathlib.Path("in-order0/drift.json").read_text(encoding="utf-8"))
    check(d["nights"] == first["nights"], "an old line changed what is usual")
    check((d["alarm_budget"]["windows"], d["alarm_budget"]["alarms_before"]) == (2, 1), f"an old line does not count: {d['alarm_budget']}")
    (pathlib.Path("before") / "000000000000-x.json").write_text('{"schema": "nightshift.history/9"}', encoding="utf-8")
    drift(binary, "dated.h5", "d0.h5", "refused", history="before", wanted=65, said="nightshift.history/9")


if __name__ == "__main__":
    binary, *names = sys.argv[1:]
    for part in tiny.chosen((figures, year, again, labels, changed, adapted, nearly_constant, old_lines), names):
        part(binary)
    print(f"{tiny.checks} checks passed")
