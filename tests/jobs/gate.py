"""The gate of a night, and the night's summary, by known answers: shared by gate.sh and night_summary.sh.

usage: gate.py gate|nights NIGHTSHIFT, in an empty folder

A night's folder is written by hand, as its steps would have left it, and only the steps that judge are run in it. So each rule of the
gate is tried on both sides of its bound while all the others hold, and what became of it is read from the files: gate.json, the
registry's log and refs, rollback.json, the records of the steps and summary.json.
"""
import hashlib
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy as np

import evaluate
import tiny
from evaluate import agree, check

RECORD = {"schema": "nightshift.step/1", "state": "done", "why": "", "try_again": False, "starts": 1, "first_start": 1.7e9,
          "start": 1.7e9, "end": 1.7e9}
# what evaluate says of a candidate that passes: surely better on the night's rows, and on the old ones a little worse than production
NEW = {"rows": 100, "better": 18, "worse": 3, "change": 0.15, "low": 0.04, "high": 0.24, "p": 0.0015, "log_evidence": evaluate.evidence(18, 3),
       "worse_classes": []}
OLD = {"rows": 20000, "better": 200, "worse": 280, "change": -0.004, "low": -0.009, "high": 0.003, "p": 0.3, "log_evidence": -3.0,
       "worse_classes": []}
NEEDED = math.log(20)
FLOOR, ESTIMATE = -0.01, -0.005 # what a configuration that says nothing allows on old images


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def write(path, json_or_text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json_or_text if isinstance(json_or_text, str) else json.dumps(json_or_text))


class Night:
    """a folder of its own with night.yaml, a registry in which A is production, and a begun night whose candidate is B"""
    count, begun_before = 0, {}

    def __init__(self, binary, nights=("changed",), gate="", show=False, prepared="prepared: base", more=""):
        Night.count += 1
        self.binary, self.dir = binary, pathlib.Path(f"night-{Night.count}").absolute()
        self.night, self.registry = self.dir / "night", self.dir / "registry"
        self.names = nights
        write(self.dir / "dark.yaml", "augment:\n  - brightness: 0.5\n")
        write(self.dir / "night.yaml", "registry: registry\ndevice: cpu\nthreads: 1\ninfer: {precision: f32}\n"
              + more + (f"gate: {gate}\n" if gate else "") + f"night:\n  {prepared}\n  tasks: 1\n  show_rollback: {str(show).lower()}\n  nights:\n"
              + "".join(f"  - {{name: {n}, source: tonight, recipe: dark.yaml}}\n" for n in nights))
        self.a, self.b, self.c = (self.put_model(name) for name in "ABC")
        self.log_is((self.a, "first", ""))
        self.model_is("changed/candidate", self.b)

    def begun(self):
        """as the first step of it has begun it, or that of an earlier one with the same configuration"""
        config = (self.dir / "night.yaml").read_text()
        if config not in Night.begun_before:
            self.run("--plan", "--night.open")
            Night.begun_before[config] = self.night
        for name in ("night.json", "steps/plan.json"):
            write(self.night / name, (Night.begun_before[config] / name).read_text())
        self.steps = [s["step"] for s in read(self.night / "steps/plan.json")["steps"]]
        return self

    def run(self, *more, wanted=0, launcher=()):
        done = subprocess.run([*launcher, self.binary, "night", "--config", "night.yaml", "--out", "night", *more], cwd=self.dir,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        check(done.returncode == wanted,
              f"{self.dir.name}: night {' '.join(more)} exited {done.returncode}, wanted {wanted}: {done.stderr[-1000:]}")

    def gate(self, **how):
        self.run("--step", "changed/gate", **how)

    # --- the registry ---

    def put(self, data):
        digest = hashlib.sha256(data).hexdigest()
        path = self.registry / "objects" / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest

    def put_model(self, name):
        weights = self.put(f"weights of {name}\n".encode())
        return self.put(json.dumps({"schema": "nightshift.model/1", "name": name, "weights": weights}).encode())

    def model_is(self, step, digest):
        """the result of a training"""
        path = self.night / step / "model.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.registry / "objects" / digest[:2] / digest[2:], path)

    def log_is(self, *entries):
        """production's history from its beginning"""
        shutil.rmtree(self.registry / "log/production", ignore_errors=True)
        old = ""
        for i, (new, why, evidence) in enumerate(entries, 1):
            write(self.registry / f"log/production/{i:06}.json",
                  {"schema": "nightshift.ref/1", "ref": "production", "time": 1700000000, "old": old, "new": new, "who": "", "why": why,
                   "evidence": evidence})
            old = new
        write(self.registry / "refs/production", old + "\n")

    def object(self, digest):
        return read(self.registry / "objects" / digest[:2] / digest[2:])

    def model_of(self, digest):
        """a release's, or that model alone"""
        return self.object(digest).get("model", digest)

    def moves(self, ref="production"):
        """(model, evidence) of each entry of a log, which must be one chain and end where its copy says"""
        entries = [read(p) for p in sorted((self.registry / "log" / ref).glob("[0-9]*.json"))]
        check([e["old"] for e in entries] == ["", *(e["new"] for e in entries[:-1])], f"{self.dir.name}: the log of {ref} is no chain")
        check((self.registry / "refs" / ref).read_text() == entries[-1]["new"] + "\n",
              f"{self.dir.name}: refs/{ref} is not the newest of its log")
        return [(self.model_of(e["new"]), e["evidence"]) for e in entries]

    def forget(self):
        """no gate has been in this night, and no candidate on trial"""
        for path in ("changed/gate.json", "changed/trial.json", "changed/production.json", "changed/on-trial.json", "steps/changed.gate.json"):
            (self.night / path).unlink(missing_ok=True)
        shutil.rmtree(self.registry / "log/trial", ignore_errors=True)
        (self.registry / "refs/trial").unlink(missing_ok=True)

    def has(self, digest):
        return (self.registry / "objects" / digest[:2] / digest[2:]).exists()

    # --- steps that are not run ---

    def done(self, *steps):
        for step in steps:
            write(self.night / "steps" / (step.replace("/", ".") + ".json"), {**RECORD, "step": step, "task": -1})
            write(self.night / step / "run.json", {"schema": "nightshift.run/1", "outputs": []})

    def skipped(self, *steps):
        for step in steps:
            write(self.night / "steps" / (step.replace("/", ".") + ".json"), {**RECORD, "step": step, "task": -1, "state": "skipped"})

    def state(self, step):
        return read(self.night / "steps" / (step.replace("/", ".") + ".json"))["state"]

    def evaluated(self, new, old, first=None, same_night=True):
        """everything before the gate is done, and the gate's evaluations say this of the pairs"""
        self.done("changed/gate-old", "changed/gate-new", *(("changed/gate-first",) if first else ()))
        self.skipped("changed/trial", *(() if first else ("changed/gate-first",)))
        write(self.night / "changed/drift/retrain.json", {})
        write(self.night / "changed/drift.json", {"schema": "nightshift.drift/1", "status": "harmful", "same_night": same_night})
        write(self.night / "changed/retrain.json", {"a": "manifest"})
        for step, against in (("gate-new", new), ("gate-old", old), *((("gate-first", first),) if first else ())):
            write(self.night / f"changed/{step}/evaluation.json",
                  {"schema": "nightshift.evaluation/1", "rows": 7, "correct": 5, "worth": 7.0, "accuracy": 0.5, "low": 0.4, "high": 0.6, "against": against})
        return self

    def evidence(self):
        return tiny.digest(self.night / "changed/gate.json")


# --- the rules ---

def decision(template, what, new, old, better, no_harm, floor=FLOOR, estimate=ESTIMATE):
    """the gate on this pair of evaluations: passed where both rules held, and production is the candidate then and no other time"""
    n, passed = template, better and no_harm
    n.log_is((n.a, "first", ""))
    n.forget()
    new, old = {**NEW, **new}, {**OLD, **old}
    n.evaluated(new, old).gate()
    g, t = read(n.night / "changed/gate.json"), read(n.night / "changed/trial.json")
    check(g["schema"] == "nightshift.gate/2" and g["candidate"] == n.b and g["production"] == n.a, f"{what}: {g}")
    held = [r["held"] for r in g["rules"]]
    check(held == [better, no_harm], f"{what}: held {held}, wanted {[better, no_harm]}")
    agree([r["measured"] for r in g["rules"]], [new, old], f"{what}: measured")
    for name, path in (("drift", "drift.json"), ("manifest", "retrain.json"), ("gate_old", "gate-old/evaluation.json"),
                       ("gate_new", "gate-new/evaluation.json")):
        check(g["evidence"][name] == tiny.digest(n.night / "changed" / path), f"{what}: evidence {name}")
        check(n.has(g["evidence"][name]), f"{what}: {name} is not in the registry")
    state = "passed" if passed else "waiting" if no_harm else "refused"
    wanted = {"schema": "nightshift.trial/1", "candidate": n.b, "production": n.a, "gate": n.evidence(), "attempt": 1, "needed": 20.0, "sequence_seconds": 0.0,
              "votes": [{"night": "changed", "folder": "", "data": "", "labelled": 7, "correct": 5, "accuracy": 0.5, "worth": 7.0, **{k: new[k] for k in ("rows", "better", "worse")}}],
              "labelled": 7, "correct": 5, **{k: new[k] for k in ("rows", "better", "worse")}, "log_evidence": evaluate.evidence(new["better"], new["worse"]), "state": state,
              **({} if no_harm else {"why": "a rule of the gate does not hold"})}
    agree({k: v for k, v in t.items() if k != "release"}, wanted, f"{what}: the trial")
    check(("release" in t) is passed, f"{what}: a release where nothing passed, or none where something did")
    if passed: # of what is not there it names nothing; what argued for it, and what it is held to
        agree(n.object(t["release"]), {"schema": "nightshift.release/1", "model": n.b, "previous": n.a, "how": "passed its gate", "reference": None, "replay": None,
                                       "test": None, "calibration": {"temperature": 1.0}, "thresholds": {"accuracy": 0.5, "labels": float(new["rows"])},
                                       "evidence": {**g["evidence"], "gate": n.evidence()}}, f"{what}: the release")
    check(n.has(n.evidence()) and n.moves("trial")[-1][0] == tiny.digest(n.night / "changed/trial.json"), f"{what}: the registry's trial")
    agree([g["old_floor"], g["old_estimate"]], [floor, estimate], f"{what}: bounds")
    check(n.moves() == [(n.a, ""), *([(n.b, n.evidence())] if passed else [])], f"{what}: production's history is {n.moves()}")
    check(n.state("changed/gate") == "done" and not (n.night / "changed/rollback.json").exists(), f"{what}: the step's record")
    pin = read(n.night / "changed/production.json")
    check(pin["value"] == n.a, f"{what}: the night holds {pin['value']} for production")


def rules(binary):
    n = Night(binary).begun()
    decision(n, "passes", {}, {}, True, True)
    # a gain: the evidence of the rows alone decides. Seven for it and none against are the fewest
    for better, worse, enough in ((7, 0, True), (6, 0, False), (9, 1, False), (10, 1, True), (18, 3, True), (17, 4, True), (13, 3, False), (3, 18, False)):
        check((evaluate.evidence(better, worse) >= NEEDED) is enough, f"a case that does not do what it is for: {better}, {worse}")
        decision(n, f"{better} for it, {worse} against", votes(better, worse), {}, enough, True)
    # no harm, the lower bound: at the floor is below it
    decision(n, "just above the floor", {}, {"low": float(np.nextafter(FLOOR, 0))}, True, True)
    decision(n, "at the floor", {}, {"low": FLOOR}, True, False)
    decision(n, "below the floor", {}, {"low": -0.03, "change": 0.01, "high": 0.05}, True, False)
    # no harm, the estimate
    decision(n, "just above the estimate", {}, {"change": float(np.nextafter(ESTIMATE, 0))}, True, True)
    decision(n, "at the estimate", {}, {"change": ESTIMATE}, True, False)
    decision(n, "below the estimate", {}, {"change": -0.006, "low": -0.0065, "high": -0.0055}, True, False)
    # which is which: what would pass with old and new in each other's place, and nothing that holds
    decision(n, "better on old images alone", votes(4, 4), {"low": 0.2, "change": 0.3, "high": 0.4, "log_evidence": 9.0}, False, True)
    decision(n, "worse everywhere", votes(3, 18), {"low": -0.3, "change": -0.2, "high": -0.1}, False, False)
    # what is not there is not better
    for what, new, old, held in (("no bound of old ones", {}, {"low": None}, (True, False)), ("no estimate of old ones", {}, {"change": None}, (True, False))):
        decision(n, what, new, old, *held)
    # few old images cannot tell: of an equal model that differs on d of n, nine of ten pass, which is 3.24 and 1.28 times sqrt(d n + 2) / n
    few = {"rows": 200, "better": 4, "worse": 6}
    s = math.sqrt(4 + 6 + 2) / 200
    decision(n, "few images, above their bounds", {}, {**few, "low": -3.23 * s, "change": -1.27 * s}, True, True)
    # of a model that never differs the score's bound is -z^2 / (n + z^2), which is below the floor where n is 300
    decision(n, "the same on few images", {}, {"rows": 300, "better": 0, "worse": 0, "change": 0, "low": -3.8415 / 303.8415, "high": 3.8415 / 303.8415}, True, True)
    decision(n, "few images, below their floor", {}, {**few, "low": -3.25 * s, "change": -1.27 * s}, True, False)
    decision(n, "few images, below their estimate", {}, {**few, "low": -3.23 * s, "change": -1.29 * s}, True, False)
    # other bounds, each of which must be read for its own
    n = Night(binary, gate="{old_floor: -0.3, old_estimate: -0.02}").begun()
    bounds = {"floor": -0.3, "estimate": -0.02}
    decision(n, "within wider bounds", {}, {"low": -0.29, "change": -0.019}, True, True, **bounds)
    decision(n, "below the wider floor", {}, {"low": -0.31, "change": -0.019}, True, False, **bounds)
    decision(n, "below the wider estimate", {}, {"low": -0.29, "change": -0.021}, True, False, **bounds)


def votes(better, worse):
    return {"better": better, "worse": worse, "log_evidence": evaluate.evidence(better, worse)}


def other_rules(binary):
    """labels that called for the retraining do not judge it; a class that is lost; the site's first model"""
    n = Night(binary).begun()
    n.evaluated(NEW, OLD, same_night=False).gate()
    g, t = read(n.night / "changed/gate.json"), read(n.night / "changed/trial.json")
    check([r["held"] for r in g["rules"]] == [False, True] and g["rules"][0]["measured"] is None, f"the alarm's own labels: {g['rules']}")
    check((t["state"], t["rows"], t["better"], t["worse"]) == ("waiting", 0, 0, 0) and n.moves() == [(n.a, "")], f"the alarm's own labels: {t}")
    n = Night(binary).begun()
    lost = {"class": "x", "better": 0, "worse": 40, "p": 1e-12}
    n.evaluated(NEW, {**OLD, "worse_classes": [lost]}).gate()
    g = read(n.night / "changed/gate.json")
    check([r["held"] for r in g["rules"]] == [True, True, False] and g["rules"][2]["measured"] == lost, f"a class is lost: {g['rules']}")
    check(read(n.night / "changed/trial.json")["state"] == "refused" and n.moves() == [(n.a, "")], "a class is lost, and it was promoted")
    # no ratchet: not worse than production, but worse than what the site began with
    for first, state in ((OLD, "passed"), ({**OLD, "change": -0.02, "low": -0.03, "high": -0.01}, "refused")):
        n = Night(binary).begun()
        n.log_is((n.c, "first", ""), (n.a, "second", ""))
        n.evaluated(NEW, OLD, first).gate()
        g, t = read(n.night / "changed/gate.json"), read(n.night / "changed/trial.json")
        check([r["held"] for r in g["rules"]] == [True, True, state == "passed"], f"against the first: {g['rules']}")
        agree(g["rules"][2]["measured"], first, "against the first: measured")
        check(t["state"] == state and len(n.moves()) == (3 if state == "passed" else 2), f"against the first: {t['state']}")


def no_evaluation(binary):
    """the gate does not decide on half of what it compares"""
    for what in ("gate-new", "gate-old"):
        for how in ("gone", "damaged", "without its pairs"):
            n = Night(binary).begun().evaluated(NEW, OLD)
            path = n.night / f"changed/{what}/evaluation.json"
            if how == "gone":
                path.unlink()
            else:
                path.write_text("{" if how == "damaged" else '{"schema": "nightshift.evaluation/1", "accuracy": 1, "low": 1, "change": 1}')
            done = tiny.run(binary, ["night", "--config", "night.yaml", "--out", "night", "--step", "changed/gate"], n.dir)
            if how == "without its pairs":  # that is an evaluation that says nothing for it
                check(done.code == 0 and read(n.night / "changed/trial.json")["state"] in ("refused", "waiting"), f"{what} {how}: {done.text}")
                check(n.moves() == [(n.a, "")], f"{what} {how}: production has moved")
                continue
            check(done.code in (65, 70, 74), f"{what} {how}: exited {done.code}: {done.text}")
            check(n.moves() == [(n.a, "")] and n.state("changed/gate") == "failed", f"{what} {how}: production has moved")


# --- what is moved ---

def shown(binary):
    """passed with night.show_rollback: back to what was, and forward again; and the same where it was cut off between two moves"""
    n = Night(binary, show=True).begun().evaluated(NEW, OLD)
    n.gate(launcher=evaluate.RANKS)
    ours = (n.b, n.evidence())
    whole = [(n.a, ""), ours, (n.a, ""), ours]
    check(n.moves() == whole, f"the rollback shown: {n.moves()}")
    n.gate()
    check(n.moves() == whole, f"run again: {n.moves()}")
    n.log_is(*[(new, "", evidence) for new, evidence in whole], (n.c, "", ""))
    n.gate()
    check(n.moves() == [*whole, (n.c, "")], f"run again after another night moved production: {n.moves()}")
    check(read(n.night / "changed/rollback.json") == {"schema": "nightshift.rollback/1", "rolled_back_and_forward": True}, "rollback.json")
    back_and_forward = [(n.a, ""), ours]
    for kept, then in ((1, [ours, *back_and_forward]), (2, back_and_forward), (3, [ours, *back_and_forward]), (4, back_and_forward)):
        n.log_is(*[(new, "rollback, shown" if i == 2 else "", evidence) for i, (new, evidence) in enumerate(whole[:kept])])
        (n.night / "changed/rollback.json").unlink()
        n.gate()
        check(n.moves() == whole[:kept] + then, f"cut off after {kept} entries: {n.moves()}")
        check(read(n.night / "changed/rollback.json")["rolled_back_and_forward"] is True, f"cut off after {kept} entries: rollback.json")
    # refused, there is nothing to go back from
    m = Night(binary, show=True).begun().evaluated({**NEW, **votes(5, 0)}, OLD)
    m.gate()
    check(m.moves() == [(m.a, "")] and not (m.night / "changed/rollback.json").exists(), "refused, and moved all the same")


def others(binary):
    """other nights and people move production too"""
    n = Night(binary).begun().evaluated(NEW, OLD)
    n.gate()
    ours = (n.b, "", n.evidence())
    for what, log, then in (
            ("moved on after ours", [(n.a, "", ""), ours, (n.c, "", "")], []),
            ("ours, and taken back by a person", [(n.a, "", ""), ours, (n.a, "rolled back", "")], []),
            ("ours, taken back, and another since", [(n.a, "", ""), ours, (n.a, "rolled back", ""), (n.c, "", "")], []),
            ("the same model by another night's evidence", [(n.a, "", ""), (n.b, "", "e" * 64), (n.a, "", "")], [ours]),
            ("the same model by hand", [(n.a, "", ""), (n.b, "", "")], [])):
        n.log_is(*log)
        (n.registry / "refs/production").write_text("0" * 64 + "\n") # a copy that the cut off one left old
        n.gate()
        check(n.moves() == [(new, evidence) for new, _, evidence in log + then], f"{what}: {n.moves()}")
    # another night's move to the same model is not ours, and what came after it is not what was compared
    n.log_is((n.a, "", ""), (n.b, "", "e" * 64), (n.c, "", ""))
    n.gate(wanted=1)
    check(n.moves() == [(n.a, ""), (n.b, "e" * 64), (n.c, "")], f"another night's evidence: {n.moves()}")
    # another model than the one that was compared: nothing moves, and the summary says so although the rules held
    n = Night(binary).begun().evaluated(NEW, OLD)
    write(n.night / "changed/production.json", {"schema": "nightshift.pin/1", "what": "production", "value": n.a})
    n.log_is((n.a, "", ""), (n.c, "by hand", ""))
    n.gate(wanted=1)
    check(n.moves() == [(n.a, ""), (n.c, "")], f"another's model was replaced: {n.moves()}")
    check(read(n.night / "changed/trial.json")["state"] == "passed", "the rules held")
    check(n.state("changed/gate") == "failed", "the record of a gate that could not move")
    n.done(*(s for s in n.steps if s not in ("changed/gate", "report")))
    n.run("--step", "report", wanted=74)
    s = read(n.night / "summary.json")
    check(s["promoted"] is False and s["rolled_back_and_forward"] is False and s["next"]["do"] == "look", f"the summary promotes what was not: {s}")
    check([(u["step"], u["state"]) for u in s["unfinished"]] == [("changed/gate", "failed")], f"unfinished: {s['unfinished']}")
    check(not (n.night / "run.json").exists(), "a night that was not finished has its record")


def first_model(binary):
    """a site's first night puts its model into production, and no other does"""
    n = Night(binary, prepared="train: t\n  test: t\n  split: {train: 1, reference: 1}").begun()
    n.done("prepare/data", "prepare/model")
    n.model_is("prepare/model", n.b)
    shutil.rmtree(n.registry / "log")
    n.run("--step", "prepare/model")
    check(n.moves() == [(n.b, "")], f"the first model: {n.moves()}")
    n.log_is((n.a, "", ""), (n.c, "", ""))
    n.run("--step", "prepare/model")
    check(n.moves() == [(n.a, ""), (n.c, "")], f"the first model of a later night: {n.moves()}")


# --- a whole night ---

KEPT = ("images", "data", "predictions", "reference", "drift", "candidate", "production-test", "candidate-test", "candidate-night",
        "first-test", "final-data", "final-before", "final-after")


def rows(seed, n, right):
    """n labelled rows of three classes, of which `right` says where the answer is right"""
    r = np.random.default_rng(seed)
    label, prob = r.integers(0, 3, n), r.dirichlet(np.ones(3), n)
    pred = np.where(right, label, (label + r.integers(1, 3, n)) % 3)
    return r.integers(0, 1 << 63, n), label, pred, prob


class Predicted:
    """two models on the same rows, in an order of its own each: `before` and `after` say where they are right"""
    def __init__(self, night, seed, before, after, models, folders):
        id, label, pred, prob = rows(seed, len(before), before)
        self.before = evaluate.Predictions(id, label, pred, prob, ["x", "y", "z"], models[0])
        guess = np.where(after, label, (label + 1) % 3)
        order = np.random.default_rng(seed + 1).permutation(len(before))
        self.after = evaluate.Predictions(id, label, guess, prob[:, ::-1], ["x", "y", "z"], models[1]).take(order)
        for p, folder in zip((self.before, self.after), folders):
            if not (night.night / folder / "predictions.json").exists():
                shutil.rmtree(night.night / folder, ignore_errors=True)
                p.write(night.night / folder)
                night.done(folder)


def thirds(n, *shares):
    """where (before, after) are right: shares of both, of after alone and of before alone"""
    both, better, worse = (int(s * n) for s in shares)
    i = np.arange(n)
    return i < both + worse, (i < both) | ((i >= both + worse) & (i < both + worse + better))


def predicted(n, name, seed, production, candidate, gains):
    """what the inferences of a night leave. gains: whether the candidate is better on the gate's half of the audited rows; on the
    other half it is the other way round"""
    models, prefix = (production, candidate), f"{name}/"
    old = Predicted(n, seed, *thirds(900, 0.8, 0.004, 0.006), models, (prefix + "production-test", prefix + "candidate-test"))
    final = Predicted(n, seed + 10, *thirds(900, 0.4, 0.3, 0.05), models, (prefix + "final-before", prefix + "final-after"))
    id = rows(seed + 20, 240, np.ones(240))[0]
    half = evaluate.gate_rows(id, np.zeros(240), 1)
    before, after = (~half, half) if gains else (half, ~half)
    chance = np.random.default_rng(seed).random(240)
    before, after = before ^ (chance < 0.1), after ^ (chance > 0.9)
    new = Predicted(n, seed + 20, before, after, models, (prefix + "predictions", prefix + "candidate-night"))
    return old, new, final


def wanted_accuracies(summary, key, e):
    summary.update({key: e["accuracy"], f"{key}_low": e["low"], f"{key}_high": e["high"]})


def whole_night(binary, gains, show=False):
    """a quiet night and one whose candidate gains or does not: evaluated, decided and reported by the program, all else kept"""
    names = ("quiet", "changed") if gains else ("changed", "quiet")  # what is to be done is said, whichever night says it
    # images of the old test set are no sequences, so that the second night's steps would fail if they were asked to be
    n = Night(binary, nights=names, show=show, more="" if gains else "drift: {sequence_seconds: 5}\n").begun()
    write(n.night / "quiet/on-trial.json", {"schema": "nightshift.on_trial/1", "candidate": "", "busy": False})  # it asked first
    for name in n.names:
        n.done(*(f"{name}/{step}" for step in KEPT if not (name == "quiet" and step in ("candidate", "final-before"))))
        write(n.night / name / "drift/drift.json", {"schema": "nightshift.drift/1", "status": "none" if name == "quiet" else "harmful",
                                                    "same_night": True, "next": {"do": "nothing", "dead": []}})
    write(n.night / "changed/drift/retrain.json", {})
    old, new, final = predicted(n, "changed", 5, n.a, n.b, gains)
    test = Predicted(n, 5, *thirds(900, 0.8, 0.004, 0.006), (n.a, n.b), ("prepare/test-predictions", "unused"))
    n.run()
    # each evaluation is of the pair that the plan names, on the rows that it names
    judged = {"prepare/test-evaluation": evaluate.evaluation(test.before), "changed/gate-old": evaluate.evaluation(old.after, old.before),
              "changed/gate-new": evaluate.evaluation(new.after, new.before, "gate"),
              "changed/final": evaluate.evaluation(final.after, final.before),
              "changed/final-before-evaluation": evaluate.evaluation(final.before)}
    for step, e in judged.items():
        agree(read(n.night / step / "evaluation.json"), e, step)
    e = {step: read(n.night / step / "evaluation.json") for step in judged}
    check(len({x["accuracy"] for x in e.values()}) == 5, "two evaluations are alike, and could be taken for each other")
    g = read(n.night / "changed/gate.json")
    check([r["held"] for r in g["rules"]] == [gains, True], f"the gate says {g}")
    check([r["measured"] for r in g["rules"]] == [e[f"changed/{step}"]["against"] for step in ("gate-new", "gate-old")],
          "gate.json and the evaluations")
    moves = [(n.a, "")] + ([(n.b, n.evidence())] if gains else []) + ([(n.a, ""), (n.b, n.evidence())] if gains and show else [])
    check(n.moves() == moves and n.moves("candidate") == [(n.b, "")], f"{n.moves()}, wanted {moves}; candidate {n.moves('candidate')}")
    check(not (n.night / "quiet/gate.json").exists() and n.state("quiet/gate") == "skipped", "a quiet night has a gate")
    wanted = {"schema": "nightshift.summary/1", "promoted": gains, "rolled_back_and_forward": gains and show,
              "nights": list(names), "quiet_status": "none", "changed_status": "harmful", "unfinished": []}
    wanted_accuracies(wanted, "production_accuracy", e["prepare/test-evaluation"])
    wanted_accuracies(wanted, "old_accuracy_before", e["prepare/test-evaluation"])
    wanted_accuracies(wanted, "old_accuracy_after", e["changed/gate-old"])
    wanted_accuracies(wanted, "changed_accuracy_before", e["changed/final-before-evaluation"])
    wanted_accuracies(wanted, "changed_accuracy_after", e["changed/final"])
    s = read(n.night / "summary.json")
    after, last = s.pop("next"), [n.a, n.b][gains]
    energy = s.pop("energy_joules")
    check(energy is None or energy >= 0, f"energy is {energy}")
    release = s.pop("release")
    check((s.pop("production"), s.pop("site")) == (last, None) and len(s.pop("date")) == 10, "whose night it was")
    check(release == (read(n.night / "changed/trial.json")["release"] if gains else None), f"its release is {release}")
    check(after["do"] == ("nothing" if gains else "label"), f"next is {after}")
    check(after["say"].startswith("A better model is in production." if gains else "A candidate is on trial and waits for labels"), f"next is {after}")
    check(s.pop("seconds") >= 0 and s == wanted, f"summary.json is {s}, wanted {wanted}")
    check((n.night / "run.json").exists() and read(n.night / "changed/drift.json")["status"] == "harmful", "the night's record")


def passing_night(binary):
    whole_night(binary, True, show=True)


def refusing_night(binary):
    whole_night(binary, False)


def two_nights(binary):
    """each night's gate compares with, and replaces, what the one before it left; gone on with, none of them moves again"""
    n = Night(binary, nights=("one", "two")).begun()
    for name, production, candidate, seed in (("one", n.a, n.b, 5), ("two", n.b, n.c, 8)):
        n.done(*(f"{name}/{step}" for step in KEPT))
        write(n.night / name / "drift/drift.json", {"schema": "nightshift.drift/1", "status": "harmful", "same_night": True,
                                                    "next": {"do": "look", "dead": ["group 7"]} if name == "one" else {"do": "nothing", "dead": []}})
        write(n.night / name / "drift/retrain.json", {})
        n.model_is(f"{name}/candidate", candidate)
        predicted(n, name, seed, production, candidate, True)
    shutil.rmtree(n.night / "two/first-test")  # of the first model, which says what production says
    shutil.copytree(n.night / "two/production-test", n.night / "two/first-test")
    n.done("two/first-test")
    Predicted(n, 5, *thirds(900, 0.8, 0.004, 0.006), (n.a, n.b), ("prepare/test-predictions", "unused"))
    n.run()
    moves = [(n.a, ""), *((m, tiny.digest(n.night / name / "gate.json")) for m, name in ((n.b, "one"), (n.c, "two")))]
    check(n.moves() == moves, f"two nights: {n.moves()}")
    check([n.model_of(read(n.night / name / "production.json")["value"]) for name in ("one", "two")] == [n.a, n.b], "whom each night is held against")
    summary = read(n.night / "summary.json")
    check(summary["promoted"] is True and summary["nights"] == ["one", "two"], f"two nights: {summary}")
    check(summary["next"]["do"] == "look" and "group 7" in summary["next"]["say"], f"what is urgent is said, whatever came after it: {summary['next']}")
    (n.night / "run.json").unlink()
    n.run()
    check(n.moves() == moves, f"two nights, gone on with: {n.moves()}")


def who_predicts(binary):
    """with models that really predict: whose answers each step judges, and of which images"""
    n = Night(binary, nights=("changed",)).begun()
    tiny.photos(n.dir / "photos", 1)
    tiny.photos(n.dir / "tonight", 2)
    train = ["train", "--data", "base/test", "--threads=1", *tiny.NET]
    for args in (["ingest", "photos", "--out", "base/test"], ["ingest", "photos", "--ingest.split={reference: 6}", "--out", "base/data"],
                 [*train, "--seed=1", "--out", "model-1"], [*train, "--seed=2", "--out", "model-2"]):
        done = tiny.run(binary, args, n.dir)
        check(done.code == 0, f"{args} exited {done.code}: {done.text}")
    models = [tiny.digest(n.dir / f"model-{seed}/model.json") for seed in (1, 2)]
    # another night has put the second model into production since this one began
    n.log_is((models[0], "", ""), (models[1], "", ""))
    for night in ("prepare", "changed"):
        write(n.night / night / "production.json", {"schema": "nightshift.pin/1", "what": "production", "value": models[0]})
    shutil.rmtree(n.night / "changed/candidate")
    shutil.copytree(n.dir / "model-2", n.night / "changed/candidate")
    write(n.night / "changed/drift/run.json", {"schema": "nightshift.run/1"})
    write(n.night / "changed/drift/drift.json", {"schema": "nightshift.drift/1", "status": "harmful", "same_night": True})
    write(n.night / "changed/drift/retrain.json", {})
    done = tiny.run(binary, ["night", "--config", "night.yaml", "--out", "night"], n.dir)
    # whichever of two such models is better
    check(done.code in (0, 1) and (n.night / "run.json").exists(), f"the night exited {done.code}: {done.text}")
    of = {"test": n.dir / "base/test", "data": n.night / "changed/data", "final": n.night / "changed/final-data"}
    of = {name: read(path / "dataset.json")["digest"] for name, path in of.items()}
    check(len({*of.values()}) == 3, "the sets of images differ")
    for step, data, model in (("prepare/test-predictions", "test", 0), ("changed/predictions", "data", 0),
                              ("changed/production-test", "test", 0), ("changed/candidate-test", "test", 1),
                              ("changed/candidate-night", "data", 1), ("changed/final-before", "final", 0),
                              ("changed/final-after", "final", 1)):
        with h5py.File(next((n.night / step).glob("*.h5"))) as f:
            told = [x.decode() if isinstance(x, bytes) else x for x in (f.attrs["dataset"], f.attrs["model"])]
        check(told == [of[data], models[model]], f"{step} predicts {told}")
    for step, model in (("prepare/test-evaluation", 0), ("changed/gate-old", 1), ("changed/gate-new", 1),
                        ("changed/final-before-evaluation", 0), ("changed/final", 1)):
        e = read(n.night / step / "evaluation.json")
        check(e["model"] == models[model] and e["half"] == ("gate" if step == "changed/gate-new" else "all"), f"{step} judges {e['model']}")


if __name__ == "__main__":
    os.environ.update(OMP_NUM_THREADS="1", USER="gate")
    what, binary, *names = sys.argv[1:]
    parts = {"gate": (rules, other_rules, no_evaluation, shown, others, first_model),
             "nights": (passing_night, refusing_night, two_nights, who_predicts)}[what]
    for part in tiny.chosen(parts, names):
        part(binary)
    print(f"{tiny.checks} checks passed")
