"""What drift.html must say, from drift.json, the predictions that were compared and the history of past windows; see pages.py."""
import pathlib
import re

from page import Page
from pages_want import NEAR, Pictures, Table, Text, bars, compare, confusion, lines, load, num, p_value, percent

TESTED = ("none", "statistical", "material", "harmful")
PICTURE_BINS, SLICE_ROWS = 30, 30


class Window:
    """predictions, as far as plots need them"""
    def __init__(self, path):
        import h5py # here alone: half a second, which pages without windows do without

        files = sorted(path.glob("predictions-*.h5")) if path.is_dir() else [path]
        with h5py.File(files[0]) as f:
            names = f.attrs.get("classes", [])
            self.classes = [n.decode() for n in names]
            self.label, self.pred = (f[k][:] if k in f else None for k in ("label", "pred"))
            names = f["stats"].attrs["stats_names"] if "stats" in f else []
            self.stats = {n.decode(): f["stats"][:, i].astype("f8") for i, n in enumerate(names)}

    def counts(self):
        k = len(self.classes)
        return [[int(((self.label == a) & (self.pred == b)).sum()) for b in range(k)] for a in range(k)]


class Drift:
    def __init__(self, folder):
        self.json, run = load(folder / "drift.json"), load(folder / "run.json")
        self.conf = run["config"]
        self.ref, self.cur = (Window(pathlib.Path(self.conf[f"drift.{k}"])) for k in ("reference", "current"))
        self.all = [t for t in self.json["tests"] if t["slice"] == "all" and t["status"] in TESTED]

    def shares(self, column):
        """of an image statistic, before and now; of what is computed from the other columns nothing is known here"""
        if column not in self.ref.stats:
            return None
        a, b = self.ref.stats[column].tolist(), self.cur.stats[column].tolist()
        low, high = min(a + b), max(a + b)
        if not high > low: # nothing is drawn
            return None
        shares = [[0] * PICTURE_BINS, [0] * PICTURE_BINS]
        for side, rows in zip(shares, (a, b)):
            for x in rows:
                side[min(PICTURE_BINS - 1, int(PICTURE_BINS * (x - low) / (high - low)))] += 1 / len(rows)
        return low, high, *shares

    def verdict(self):
        p, d, after = self.json["performance"], self.json, self.json["next"]
        figs = [num("%d", p["audited"]), num("%d", after["labels_for_nine_of_ten"])] if after["do"] == "label" else []
        if after["do"] == "nothing" and d["manifest"]["emit"]:  # what the labels at hand can show, before the training is paid for
            few = after["chance"] < 0.9
            figs = [num("%d", p["audited"]), *([num("%.0f", 10 * after["chance"]), "10", num("%d", after["labels_for_nine_of_ten"] - p["audited"]), "9", "10"] if few else [])]
        if after["nights_since_alarm"]:
            figs.append(num("%d", after["nights_since_alarm"]))
        if p["measured"] is not None:
            low, high = (percent(p[k], unit="") for k in ("low", "high"))
            figs += [num("%d", p["audited"]), percent(p["measured"]), low, high, percent(p["baseline"])]
        if p["estimated"] is not None:
            figs += [percent(p["estimated"]), percent(p["estimated_baseline"])]
        return Text("verdict", *figs, names=[n for n in (d["summary"], d["manifest"]["because"]) if n])

    def moved(self):
        for kind, label in (("input", "inputs"), ("output", "outputs"), ("embedding", "embeddings")):
            tests = [t for t in self.all if t["kind"] == kind]
            if tests:
                yield Strongest(f"strongest of the {label}", tests)
        for kind, most in (("input", 6), ("output", 6), ("embedding", 3)):
            yield Pictures(f"plots of {kind}", [t for t in self.all if t["kind"] == kind and t["detector"] == "ks"], most, self.shares)

    def slices(self):
        if not self.json["slices"]:
            return
        yield Text("slices", {str(SLICE_ROWS)})
        rows = []
        for s in self.json["slices"]:
            name, status = s["slice"] + " (guarded)" * s["guarded"], None if s["status"] == "untested" else s["status"]
            rows.append([name, num("%d", s["reference_rows"]), num("%d", s["current_rows"]), s["column"], num("%.3f", s["moved"]),
                         *(percent(s[k]) for k in ("confidence_reference", "confidence", "baseline", "measured")),
                         num("%d", s["audited"]), status])
        yield Table("table of slices", {1: "before", 2: "now", 5: "before", 6: "now", 7: "before", 8: "measured"}, rows)

    def confusions(self):
        p, k = self.json["performance"], len(self.cur.classes)
        if 2 <= k <= 30 and p["baseline"] is not None and p["measured"] is not None and p["audited"] >= SLICE_ROWS:
            yield confusion("what is taken for what, reference", Text("Reference"), self.ref.counts(), self.cur.classes)
            yield confusion("what is taken for what, current", Text("Current"), self.cur.counts(), self.cur.classes)

    def nights(self):
        b = self.json["alarm_budget"]
        if not b:
            return
        yield Text("past windows", num("%d", b["windows"]), num("%d", b["alarms_before"]), num("%.2g", b["p_needed"]),
                   num("%g", b["false_alarms"] / 2))
        n = self.json["nights"]
        yield Text("nights", num("%d", n["known"] + n["reference_days"]), num("%.2f", n["unseen"]))
        rows = []
        for f in n["families"]:
            rows.append([f["family"], *({"-"} if f["p"][k] is None else num("%.2g", f["p"][k])
                                        for k in ("tonight", "average of .3", "average of .1", "step")),
                         [num("%d", f["nights_further_out"]), num("%d", n["nights_of_this_release"])]])
        yield Table("families", {0: "family", 1: "tonight", 4: "step"}, rows)
        past = [load(p) for p in pathlib.Path(self.conf["drift.history"]).glob("*.json")]
        past = sorted((w for w in past if w["window"] <= b["windows"]), key=lambda w: w["window"])
        past[-1] = {"effect": max((t["effect"] for t in self.all), default=None), "estimated": self.json["performance"]["estimated"],
                    "measured": self.json["performance"]["measured"]}
        if len(past) != b["windows"]:
            raise SystemExit(f"drift.json counts {b['windows']} windows, the history has {len(past)}")
        if len(past) == 1:
            return
        yield lines("largest effect", Text(""), [[w["effect"] for w in past]], ["largest effect"])
        yield lines("accuracy", Text(""), [[w[k] for w in past] for k in ("estimated", "measured")], ["estimated", "measured"])

    def self_test(self):
        found = self.json["self_test"]
        if not found:
            return
        yield Text("self-test", num("%d", list(found.values())[-1]["rounds"]), {"95%"}, percent(self.json["alpha"], "%.0f"))
        yield bars("self-test's bars", Text(""), [(k, v["alarms"] / v["rounds"], v["low"], v["high"]) for k, v in found.items()])

    def label_mix(self):
        m = self.json["label_shift"]
        if not m["weights"]:
            if m["condition"] is not None:
                yield Text("mix of classes", num("%.3g", m["condition"]))
            return
        yield Text("mix of classes", num("%.3g", m["condition"]), percent(self.json["performance"]["reweighted"]))
        if min(m["weights"]) < 0:
            yield Text("weights below zero", {"0"})
        rows = [[name, num("%.2f", w), {"-"} if lo is None else [num("%.2f", lo), num("%.2f", hi)]]
                for name, w, lo, hi in zip(self.cur.classes, m["weights"], m["low"], m["high"])]
        yield Table("table of weights", {0: "class", 1: "weight"}, rows)

    def tests(self, decides):
        rows = []
        for t in self.json["tests"]:
            if self.json["methods"][t["detector"]]["decides"] != decides or (t["slice"] != "all" and t["status"] == "none"):
                continue
            if t["effect_low"] is None:
                effect = num("%.3f", t["effect"]) if t["effect_high"] is None else [num("%.3f", t["effect"]), num("%.3f", t["effect_high"])]
            else:
                effect = [num("%.3f", t[k]) for k in ("effect", "effect_low", "effect_high")]
            small = self.shares(t["column"]) if t["slice"] == "all" and t["detector"] == "ks" else None
            rows.append([t["column"], *([lambda got, small=small: spark(got, small)] if decides else []), t["slice"], t["detector"],
                         num("%.4g", t["statistic"]), p_value(t["p"]), p_value(t["p_adjusted"]), effect,
                         t["note"] if t["status"] == "untested" and "note" in t else t["status"]])
        at = 5 if decides else 4
        heads = {0: "column", at - 1: "statistic", at: "p", at + 1: "adjusted", at + 2: "effect"}
        return Table("tests that decide" if decides else "tests that do not", heads, rows)

    def fragment(self):
        yield self.verdict()
        yield from self.moved()

    def page(self):
        d = self.json
        yield Text("rows", *(num("%d", d[k]["rows"]) for k in ("current", "reference")), num("%g", d["alpha"]),
                   *(num("%d", d[k]) for k in ("permutations", "seed")), names=[d["correction"]])
        if d["sequences"]:
            q = d["sequences"]
            yield Text("sequences", *(num("%d", q[k]) for k in ("reference_blocks", "current_blocks")),
                       *(num("%.0f", q[k]) for k in ("reference_effective", "current_effective")))
        yield from self.fragment()
        for part in (self.slices, self.confusions, self.nights, self.self_test, self.label_mix):
            yield from part()
        for q in d["quality"]:
            yield Text("what could not be judged", names=[q["detail"]])
        yield self.tests(True)
        yield self.tests(False)


class Strongest(Text):
    """of equally strong tests any"""
    def __init__(self, label, tests):
        top = max(t["effect"] for t in tests)
        super().__init__(label, {"any"})
        self.best = [t for t in tests if t["effect"] >= top * (1 - NEAR)]

    def check(self, text):
        said = [Text("", num("%.3f", t["effect"]), num("%.3g", max(t["p_adjusted"], 1e-300)),
                     names=(t["column"], t["status"], t["detector"])).check(text) for t in self.best]
        return None if None in said else said[0]


def spark(got, shares):
    if isinstance(got, str):
        return None if not got and shares is None else "has no small plot"
    if shares is None:
        return None
    most = max(1e-12, *shares[2], *shares[3])
    for path, side in zip(got.of("path"), shares[2:]):
        heights = [float(v) for v in re.findall(r"V(-?\d+)h2", path["d"])]
        odd = [i for i, (h, x) in enumerate(zip(heights, side)) if abs(h - 18 * (1 - x / most)) > .51]
        if len(heights) != len(side) or odd:
            return f"small plot: {heights}, wanted {[round(18 * (1 - x / most)) for x in side]}"
    return None


def drop_words(page, methods):
    """the list of what the words mean is the methods of the JSON, each with its own meaning"""
    words = [(tag, text) for kind, tag, text in (i for i in page.items if i[0] == "text") if tag in ("dt", "dd")]
    if sorted(t.split(":")[0] for tag, t in words if tag == "dt") != sorted(methods):
        raise SystemExit(f"{page.path}: explains other detectors than were used")
    for (_, name), (_, meaning) in zip(words[::2], words[1::2]):
        m = methods[name.split(":")[0]]
        if m["title"] not in name or any(m[k] not in meaning for k in ("meaning", "statistic", "effect", "source")):
            raise SystemExit(f"{page.path}: {name}: {meaning}: is not what drift.json says")
    page.items = [i for i in page.items if i[0] != "text" or i[1] not in ("dt", "dd")]


def check_images(page, top):
    if page.images and [c for _, c in page.images] != [t["class"] or "" for t in top[:len(page.images)]]:
        raise SystemExit(f"{page.path}: images are not those of drift.json's top")
    if any(alt != caption for alt, caption in page.images):
        raise SystemExit(f"{page.path}: an image is described otherwise than it is captioned")
    page.items = [i for i in page.items if i[0] != "text" or i[1] != "figcaption" or i[2] not in [c for _, c in page.images]]


def check_drift(folder):
    page, drift = Page(folder / "drift.html"), Drift(folder)
    drop_words(page, drift.json["methods"])
    check_images(page, drift.json["top"])
    whole, part = ((folder / f"drift{end}.html").read_bytes() for end in ("", ".fragment"))
    if part not in whole:
        raise SystemExit(f"{folder}: drift.fragment.html is no part of drift.html")
    return compare(page, drift.page())
