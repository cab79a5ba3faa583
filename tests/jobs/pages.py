#!/usr/bin/env python3
"""Every figure of a page is the one in the JSON beside it, and every name on it is text.

usage: pages.py drift FOLDER... | night FOLDER... | bench FOLDER [OLD.json] | names FILE.html NAME...

What a page must say is written down here from the JSON, item by item in the page's order: a text's figures with their units (words are
free, and names are found as they are), a table cell by cell, a plot's labels and the places of its shapes. The page is read by page.py;
a figure of the page for which nothing is written down is an error, as is one that is missing. JSON has nine digits of a number, so a
figure may be that number rounded from a little above or below.
"""
import hashlib
import json
import math
import pathlib
import sys

from page import Page, figures
from pages_drift import Drift, check_drift, check_images
from pages_want import NEAR, Plot, Table, Text, bars, compare, confusion, lines, load, num, p_value, percent


# --- night.html ---

def metrics(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {key: [r.get(key) for r in rows] for key in ("loss", "accuracy", "val_accuracy")} if rows else None


def curves(label, path):
    m = metrics(path)
    if not m:
        return
    names, series = ["training", "reference"], [m["accuracy"], m["val_accuracy"]]
    if m["val_accuracy"][0] is None:
        names, series = names[:1], series[:1]
    yield lines(f"{label}: loss", Text("", *([{label.split()[1]}] if " " in label else [])), [m["loss"]], ["loss"])
    yield lines(f"{label}: accuracy", Text("", *([{label.split()[1]}] if " " in label else [])), series, names)


def gate_table(gate):
    def cell(m, key, what, *how):
        return {"-"} if m.get(key) is None else what(*((m[key], *how) if what is percent else (*how, m[key])))

    def interval(m):
        return {"-"} if m.get("low") is None else [percent(m[k], "%+.2f", "") for k in ("low", "high")]
    return Table("gate", {1: "rows", 2: "better", 3: "worse", 4: "change", 6: "p"},
                 [row for r in gate["rules"] for m in (r["measured"] or {},) for row in (
                     [r["rule"]], ["yes" if r["held"] else "NO", *(cell(m, k, num, "%d") for k in ("rows", "better", "worse")),
                                   cell(m, "change", percent, "%+.2f", "points"), interval(m), cell(m, "p", num, "%.3g")])])


def literally(text):
    """the figures of a text that another file has word for word"""
    return [{f} for f in figures(text)]


def trial_table(trial):
    yield Text("on trial", num("%.3g", math.exp(trial["log_evidence"])), num("%.0f", trial["needed"]))
    yield Table("votes", {1: "rows", 2: "for", 3: "against"},
                [["/".join(pathlib.PurePath(v["folder"]).parts[-2:]) if v["folder"] else v["night"], *(num("%d", v[k]) for k in ("rows", "better", "worse"))] for v in trial["votes"]])


def strongest_tests(drift):
    tests = [t for t in drift["tests"] if t["slice"] == "all" and t["status"] not in ("untested", "descriptive")]

    def pick(rows):
        """in falling order of effect; of equally strong ones any"""
        left, wanted = tests[:], []
        for row in rows[:10]:
            top = max((t["effect"] for t in left), default=0)
            at = [t for t in left if t["effect"] >= top * (1 - NEAR)]
            t = next((t for t in at if [t["column"], t["detector"]] == [row[0], row[2]]), at[0] if at else None)
            if t:
                left.remove(t)
                wanted.append([t["column"], t["kind"], t["detector"], p_value(t["p_adjusted"]), num("%.3f", t["effect"]), t["status"]])
        return wanted if len(wanted) == min(10, len(tests)) else [["too few or too many rows"]]
    return Table("strongest tests", {3: "adjusted", 4: "effect", 5: "status"}, [], pick)


class Night:
    def __init__(self, folder):
        self.dir, self.summary = folder, load(folder / "summary.json")

    def read(self, *names):
        return load(self.dir.joinpath(*names))

    def model_of(self, digest):
        """a release's, or that model alone"""
        for registry in (self.dir / "registry", self.dir.parent / "registry"):
            path = registry / "objects" / digest[:2] / digest[2:]
            if path.exists():
                return load(path).get("model", digest)
        return digest

    def check_summary(self):
        """each accuracy is that of the evaluation that it is named for, and that one is of the model that it should be of"""
        s, wanted = self.summary, [("production_accuracy", "prepare/test-evaluation"), ("old_accuracy_before", "prepare/test-evaluation")]
        for night in s["nights"]:
            if s[f"{night}_status"] != self.read(night, "drift.json")["status"]:
                raise SystemExit(f"summary.json: {night}_status is not drift.json's")
            if self.read(night, "gate.json"):
                wanted += [("old_accuracy_after", f"{night}/gate-old"), (f"{night}_accuracy_before", f"{night}/final-before-evaluation"),
                           (f"{night}_accuracy_after", f"{night}/final")]
                before, after = (self.read(night, f"final-{x}/predictions.json")["model"] for x in ("before", "after"))
                candidate = hashlib.sha256((self.dir / night / "candidate/model.json").read_bytes()).hexdigest()
                if after != candidate or before != self.model_of(self.read(night, "production.json")["value"]):
                    raise SystemExit(f"{night}: before and after are of the models {before} and {after}")
        for key, place in wanted:
            e = self.read(place, "evaluation.json")
            if [s[key], s[key + "_low"], s[key + "_high"]] != [e["accuracy"], e["low"], e["high"]]:
                raise SystemExit(f"summary.json: {key} is not that of {place}")
        odd = [k for k in s if k.endswith("_accuracy_before") and not [w for w, _ in wanted if w == k]]
        if odd:
            raise SystemExit(f"summary.json: {odd} come from nowhere")

    def headline(self):
        s, u, figs = self.summary, self.summary["unfinished"], []
        for night in s["nights"]:
            if f"{night}_accuracy_after" in s:
                figs += [percent(s[f"{which}_accuracy_{when}"]) for which in (night, "old") for when in ("before", "after")]
        if u and not s["next"]["say"].startswith(f"{len(u)} step"):
            raise SystemExit(f"summary.json: next is {s['next']} with {len(u)} unfinished steps")
        yield Text("headline", *figs, names=[s["next"]["say"], *([u[0]["step"], u[0]["state"], u[0]["why"]] if u else []),
                                             *(s[f"{n}_status"] for n in s["nights"] if s[f"{n}_status"])])
        yield Text("whose night", *literally(f"{s['date']}; model {(s['production'] or 'none')[:12]}."))

    def one_night(self, night):
        folder, s = self.dir / night, self.summary
        drift, gate, final, run, trial = (self.read(night, n) for n in ("drift.json", "gate.json", "final/evaluation.json", "candidate/run.json",
                                                                        "trial.json"))
        if drift:
            yield from Drift(folder / "drift").fragment()
            yield Text("number of tests", num("%d", len(drift["tests"])))
            yield strongest_tests(drift)
        if not gate:
            if trial:
                yield from trial_table(trial)
            return
        yield Text("selection", num("%d", run["counts"]["selected"]), num("%d", run["counts"].get("labelled_by_model", 0)))
        yield from curves("Round 1", folder / "candidate/metrics-1.jsonl")
        yield from curves("Round 2", folder / "candidate/metrics.jsonl")
        yield gate_table(gate)
        yield bars("accuracies", Text("", {"95%"}), [(name, *(s[key + end] for end in ("", "_low", "_high"))) for name, key in (
            ("changed images, before", f"{night}_accuracy_before"), ("changed images, after", f"{night}_accuracy_after"),
            ("old images, before", "old_accuracy_before"), ("old images, after", "old_accuracy_after"))])
        yield confusion("new model", Text(""), final["confusion"], final["classes"])
        yield from trial_table(trial)

    def lineage(self):
        m = self.read("prepare/model/model.json")
        rows = [[None, m["weights"][:16], m["training_data"][:16]]] if m else []
        if self.summary["release"]:
            rows.append([None, self.summary["release"][:16], self.summary["production"][:16]])
        for night in self.summary["nights"]:
            c = self.read(night, "candidate/model.json")
            if c:
                rows += [[None, c["weights"][:16], c["training_data"][:16]], [None, c["manifest"][:16], c["parents"][0][:16]]]
        return Table("lineage", {1: "digest", 2: "from"}, rows)

    def page(self):
        s, e = self.summary, self.read("prepare/test-evaluation/evaluation.json")
        yield from self.headline()
        yield Text("duration", num("%.0f", s["seconds"]))
        if e:
            yield Text("production", percent(s["production_accuracy"], "%.2f"), percent(s["production_accuracy_low"], "%.2f", ""),
                       percent(s["production_accuracy_high"], "%.2f", ""), num("%.3f", e["calibration_error"]))
        yield from curves("Training", self.dir / "prepare/model/metrics.jsonl")
        if e:
            yield confusion("production", Text(""), e["confusion"], e["classes"])
        for night in s["nights"]:
            yield from self.one_night(night)
        yield self.lineage()
        yield from Graph(self.dir).items()


class Graph:
    """how the night went, from its plan and the steps' records"""
    STATES = ("done", "skipped", "none", "running", "stopped", "blocked", "failed")

    def __init__(self, folder):
        self.steps = load(folder / "steps/plan.json")["steps"]
        self.records = {s["step"]: load(folder / f"steps/{s['step'].replace('/', '.')}.json") or {"state": "none"} for s in self.steps}

    def waited(self, step):
        mine = self.records[step["step"]]
        ends = [self.records[a].get("end") for a in step["after"] if self.records.get(a, {}).get("end") is not None]
        return max(0, mine["first_start"] - max(ends)) if ends and mine.get("first_start") is not None else None

    @staticmethod
    def time(s):
        if s is None:
            return {"-"}
        if s < 100:
            return {t for v in (s - 1e-6, s, s + 1e-6) for t in num("%.2f" if s < 10 else "%.1f", abs(v), "s")}
        return {f"{s // 60:.0f}min{s % 60 // 1:02.0f}s"}

    @staticmethod
    def rate(r):
        c = r.get("counts") or {}
        rows = c.get("rows", c.get("in"))
        return c.get("images_per_second", c.get("rows_per_second", None if rows is None else rows / r["seconds"]))

    def ran(self, r):
        return None if r.get("start") is None or r.get("end") is None else r["end"] - r["start"]

    def items(self):
        for s in self.steps:
            r = self.records[s["step"]]
            if r.get("why") and r["state"] not in ("done", "skipped"):
                yield Text("what went wrong", names=[s["step"], r["why"]])
        yield self.drawn()
        rows = []
        for s in self.steps:
            r = self.records[s["step"]]
            memory = r.get("peak_memory_bytes")
            where = r.get("where", {})
            state = {"none": None, "failed": "FAILED"}.get(r["state"], r["state"])
            rows.append([s["step"], state, self.time(self.waited(s)), self.time(self.ran(r)), num("%d", max(0, r.get("starts", 0) - 1)),
                         num("%.0f", self.rate(r)), num("%.0f", None if memory is None else memory / 2**20, "MiB"),
                         num("%.0f", r.get("energy_joules"), "J"), where.get("SLURM_JOB_NODELIST") or where.get("host", "")])
        yield Table("steps", {1: "state", 2: "waited", 3: "ran", 4: "restarts", 5: "samples/s", 6: "memory", 7: "energy"}, rows)

    def drawn(self):
        known = [r for r in self.records.values() if r.get("first_start") is not None]
        begin, end = min(r["first_start"] for r in known), max(r["end"] for r in known if r.get("end") is not None)
        end = max(end, max(r["start"] for r in known))
        step = next(t for t in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600) if (end - begin) / t <= 7)
        texts, boxes = [{f"{t}s"} for t in range(0, int(end - begin) + 1, step)], []

        def x(t):
            return 215 + 520 * (t - begin) / (end - begin)
        for s in self.steps:
            r = self.records[s["step"]]
            texts.append(s["step"])
            extra = max(0, r.get("starts", 0) - 1)
            if r["state"] == "done" or extra:
                texts.append([*([self.time(self.ran(r))] if r["state"] == "done" else []), *([{str(extra)}] if extra else [])])
            if r.get("start") is not None:
                boxes.append((x(r["start"]), x(r["end"] if r.get("end") is not None else end)))
        # of a bar only one that has its end is opaque
        return Steps("steps over time", texts, boxes)


class Steps(Plot):
    def __init__(self, label, texts, boxes):
        super().__init__(label, None, texts, {})
        self.boxes = boxes

    def check(self, svg):
        why = super().check(svg)
        bars = [a for a in svg.of("rect") if a.get("opacity") == "0.90"]
        if why or len(bars) != len(self.boxes):
            return why or f"has {len(bars)} bars, wanted {len(self.boxes)}"
        odd = [i for i, (b, (x, to)) in enumerate(zip(bars, self.boxes))
               if abs(float(b["x"]) - x) > .06 or abs(float(b["width"]) - max(1.5, to - x)) > .06]
        return f"bar {odd[0] + 1} is {bars[odd[0]]}, wanted {self.boxes[odd[0]]}" if odd else None


def check_night(folder):
    page, night = Page(folder / "night.html"), Night(folder)
    if night.summary is None:
        return compare(page, Graph(folder).items())
    night.check_summary() if not night.summary["unfinished"] else None
    whole = (folder / "night.html").read_bytes()
    images = []
    for name in night.summary["nights"]:
        part = folder / name / "drift/drift.fragment.html"
        if part.exists():
            if part.read_bytes() not in whole:
                raise SystemExit(f"night.html: the drift of {name} is not in it as it is")
            images += night.read(name, "drift.json")["top"]
    if len(page.images) == len(images):
        check_images(page, images)
    return compare(page, night.page())


# --- bench.html ---

def si(v):
    for unit in ("", "k", "M", "G", "T"):
        if v < 1000 or unit == "T":
            near = (v, v * (1 + NEAR), v * (1 - NEAR))
            return {t for x in near for t in num("%.2f" if x < 10 else "%.1f" if x < 100 else "%.0f", x, unit)}
        v /= 1000


def check_bench(folder, old=None):
    b, page = load(folder / "bench.json"), Page(folder / "bench.html")
    before = {r["name"]: r for r in old["results"]} if old else {}
    rows, circles, names = [], [], []
    top = math.log10(b["fma_flops_per_second"]) + .2
    for i, r in enumerate(b["results"]):
        rate = {v + r["unit"].replace(" ", "") for v in si(r["rate"])}
        row = [f"{i + 1}. {r['name']}", rate, [si(r["low"]), si(r["high"])], percent(r["share"], "%.0f"), r["bound"]]
        if old:
            was = before.get(r["name"])
            row.append(None if not was else (lambda got, r=r, was=was: against(got, r, was)))
        rows.append(row)
        if r["flops"] > 0 and r["bytes"] > 0:
            across, up = math.log10(r["flops"] / r["bytes"]), math.log10(r["flops"] * r["rate"])
            circles.append({"cx": 60 + 104 * (across + 1), "cy": 290 - 260 * (up - top + 2.2) / 2.2})
            names.append((r["name"], i + 1))
    axis = [{f"{10. ** i:g}"} for i in range(-1, 5)] + [si(10. ** i) for i in range(math.ceil(top - 2.2), int(top) + 1)]
    texts = axis + [{str(n)} for _, n in names]
    plot = next(i[1] for i in page.items if i[0] == "svg")
    if [t for tag, t in plot.texts if tag == "title"] != [n for n, _ in names]:
        raise SystemExit(f"{page.path}: the roofline's points are not the table's rows")
    return compare(page, [
        Text("limits", num("%.1f", b["copy_bytes_per_second"] / 1e9, "GB/s"), num("%.0f", b["fma_flops_per_second"] / 1e9, "GF/s"),
             num("%.0f", b["bf16_flops_per_second"] / 1e9), names=[b["device"]]),
        Plot("roofline", None, texts, {"circle": circles}),
        Table("table", {1: "rate", 3: "share"} | ({5: "before"} if old else {}), rows)])


def against(got, now, was):
    ratio = now["rate"] / was["rate"]
    if len(figures(got)) != 1 or figures(got)[0] not in num("%.2f", ratio, "x"):
        return f"{got!r}, wanted a ratio of {ratio}"
    word = "faster" if now["low"] > was["high"] and ratio > 1.02 else "slower" if now["high"] < was["low"] and ratio < .98 else "same"
    return None if word in got.lower() else f"{got!r}, wanted {word!r}"


# --- names ---

def check_names(path, names):
    text = Page(path).everything()
    lost = [n for n in names if n not in text]
    if lost:
        raise SystemExit(f"{path}: {lost[0]!r} is not on it as it is")
    return len(names)


def main(what, folder, *rest):
    folder = pathlib.Path(folder)
    if what == "names":
        n = check_names(folder, rest)
    elif what == "bench":
        n = check_bench(folder, load(pathlib.Path(rest[0])) if rest else None)
    else:
        check = {"drift": check_drift, "night": check_night}[what]
        n = sum(check(f) for f in (folder, *map(pathlib.Path, rest)))
    print(f"{n} items of {folder} are as they should be")


if __name__ == "__main__":
    main(*sys.argv[1:])
