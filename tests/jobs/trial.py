"""A candidate on trial over nights, and what people decide about it, by known answers: for trial.sh.

usage: trial.py NIGHTSHIFT [part ...], in an empty folder
"""
import json
import os
import pwd
import shutil
import subprocess
import sys

import h5py
import numpy as np

import evaluate
import gate
import tiny
from evaluate import agree, check
from gate import NEW, OLD, Night, read, write


class Later(Night):
    """a later night of the same site: of its 60 images so many have labels, of which the candidate alone and production alone are right on so many"""

    def __init__(self, binary, first, number, better=0, worse=0, labels=40, approve="auto", nights=14, pinned=False, like=None):
        super().__init__(binary, nights=("later",), more=f"night.approve: {approve}\ngate.nights: {nights}\n")
        shutil.rmtree(self.registry)
        self.registry.symlink_to(first.registry)
        self.a, self.b, self.c = first.a, first.b, first.c
        r = np.random.default_rng(100 + number)
        n = 60
        id, label, prob = r.integers(0, 1 << 63, n), r.integers(0, 3, n), r.dirichlet(np.ones(3), n)
        both = np.where(np.arange(n) % 2, label, (label + 1) % 3)  # right on every second image
        old, new = both.copy(), both.copy()
        new[:better], old[:better] = label[:better], (label[:better] + 1) % 3
        of = slice(better, better + worse)
        new[of], old[of] = (label[of] + 1) % 3, label[of]
        id = id if like is None else ids_of(like)
        self.truth = [(int(i), "xyz"[k]) for i, k in zip(id, label)]
        self.correct, self.labelled = int(np.sum((new == label)[:labels])), labels
        seen = np.where(np.arange(n) < labels, label, -1)
        self.data = f"{number:064x}"
        for step, model, pred in (("predictions", self.a, old), ("trial-predictions", self.b, new)):
            evaluate.Predictions(id, seen, pred, prob, ["x", "y", "z"], model, self.data).write(self.night / "later" / step)
        self.begun()
        self.done("later/predictions", "later/trial-predictions")
        if pinned:
            self.pin()

    def pin(self):
        """it has asked already, and goes on later"""
        write(self.night / "later/on-trial.json", {"schema": "nightshift.on_trial/1", "candidate": self.b, "busy": True})
        write(self.night / "later/production.json", {"schema": "nightshift.pin/1", "value": self.a})

    def judge(self):
        self.run("--step", "later/trial")
        return read(self.night / "later/trial.json")

    def vote(self, better, worse):
        return {"night": "later", "folder": str((self.night / "later").resolve()), "data": self.data, "rows": self.labelled, "labelled": self.labelled,
                "correct": self.correct, "better": better, "worse": worse, "accuracy": self.correct / 40, "worth": 40.0, "labels": ""}


def alarm(binary, same_night=False, new=NEW):
    n = Night(binary).begun()
    n.evaluated(new, OLD, same_night=same_night).gate()
    return n


def registry(n, *args, wanted=0):
    done = tiny.run(n.binary, ["registry", *args, "--registry", str(n.registry)], n.dir)
    check(done.code == wanted, f"registry {' '.join(args)} exited {done.code}, wanted {wanted}: {done.text}")
    return done.text


def over_nights(binary):
    """the votes of nights add up, until the evidence of all suffices: the same night again adds nothing, nor do the same images"""
    n, better, worse, correct = alarm(binary), 0, 0, 0
    for k, (b, c) in enumerate(((3, 1), (4, 0), (0, 0), (5, 1), (2, 0)), 1):
        better, worse = better + b, worse + c
        evidence = evaluate.evidence(better, worse)
        later = Later(binary, n, k, b, c)
        correct += later.correct
        t = later.judge()
        state = "passed" if evidence >= gate.NEEDED else "waiting"
        agree([t[key] for key in ("better", "worse", "rows", "correct", "log_evidence", "state")], [better, worse, 40 * k, correct, evidence, state],
              f"night {k}")
        images = t["votes"][-1].pop("images")
        agree(t["votes"][-1], later.vote(b, c), f"night {k}")
        kept = read(n.registry / "objects" / images[:2] / images[2:])["images"]
        check(kept == [f"{i:016x}" for i, _ in later.truth[:40]], f"night {k}: the images that voted")
        t["votes"][-1]["images"] = images
        check(n.moves("trial")[-1][0] == tiny.digest(later.night / "later/trial.json"), f"night {k}: the registry's trial")
        production = n.moves()
        (later.night / "steps/later.trial.json").unlink()
        check(later.judge()["votes"] == t["votes"] and n.moves() == production, f"night {k}, again")
        wanted = [(n.a, "")] + ([(n.b, tiny.digest(later.night / "later/trial.json"))] if state == "passed" else [])
        check(n.moves() == wanted, f"night {k}: {n.moves()}, wanted {wanted}")
        if k == 1:  # another night over the same images
            check(Later(binary, n, k, b, c).judge()["votes"] == t["votes"], "the same images vote twice")
        if k == 2:  # what a night said stays when its folder goes
            shutil.rmtree(later.dir)
        if state == "passed":
            break
    check(k == 4, f"passed on night {k}: a case that does not do what it is for")
    last = Later(binary, n, 9)
    last.run("--step", "later/trial")
    check(last.state("later/trial") == "skipped" and not (last.night / "later/trial.json").exists(), "a trial that is over goes on")


def nights_without_labels(binary):
    """such a night counts as a night; after so many the candidate is refused"""
    n = alarm(binary)
    for k in range(1, 4):
        t = Later(binary, n, k, labels=0, nights=3).judge()
        check(t["state"] == ("refused" if k == 3 else "waiting") and len(t["votes"]) == k + 1 and t["rows"] == t["labelled"] == 0, f"night {k}: {t}")
    # a second candidate of the same production needs twice the evidence, a third four times
    for attempt, needed in ((2, 40.0), (3, 80.0)):
        m = Night(binary)
        shutil.rmtree(m.registry)
        m.registry.symlink_to(n.registry)
        name = f"attempt {attempt}"
        m.a, m.b = n.a, m.put_model(name)
        m.model_is("changed/candidate", m.b)
        m.begun().evaluated({**NEW, **gate.votes(7, 0)}, OLD).gate()
        t = read(m.night / "changed/trial.json")
        check((t["attempt"], t["needed"], t["state"]) == (attempt, needed, "waiting"), f"{name}: {t}")
        registry(m, "reject", m.b, "--why", "the next one")


def answer(n, queue, rows, measures=True):
    """what people answered lies in the registry"""
    data = n.put(json.dumps({"schema": "nightshift.answers/1", "queue": queue, "files": [],
                             "rows": [{"id": f"{i:016x}", "label": k, "by": "ann", "measures": measures} for i, k in rows]}).encode())
    log = n.registry / "log/labels"
    old = n.moves("labels")[-1][0] if log.exists() else ""
    number = len(list(log.glob("*.json"))) + 1 if log.exists() else 1
    write(log / f"{number:06}.json", {"schema": "nightshift.ref/1", "ref": "labels", "time": 1700000000, "old": old, "new": data, "who": "", "why": "",
                                      "evidence": ""})
    write(n.registry / "refs/labels", data + "\n")


def labels_that_come_late(binary):
    """what people answer after a night is counted by the next one; images that were not drawn at random do not judge"""
    n = alarm(binary, same_night=False)
    first = Later(binary, n, 1, 8, 0, labels=0)
    t = first.judge()
    check((t["labelled"], t["better"], t["state"]) == (0, 0, "waiting"), f"before the labels: {t}")
    answer(n, "1", first.truth[:30], measures=False)
    t = Later(binary, n, 2, labels=0).judge()
    check((t["labelled"], t["better"], t["state"]) == (0, 0, "waiting"), f"labels that were chosen to teach: {t}")
    answer(n, "2", first.truth[:5])
    t = Later(binary, n, 3, labels=0).judge()
    agree([t[key] for key in ("labelled", "correct", "better", "worse", "state")], [5, 5, 5, 0, "waiting"], "five labels, one night late")
    answer(n, "3", first.truth[5:20])
    t = Later(binary, n, 4, labels=0).judge()
    agree([t[key] for key in ("labelled", "correct", "better", "worse", "state")], [20, 14, 8, 0, "passed"], "twenty labels, three nights late")
    check(n.moves()[-1][0] == n.b, "evidence that came late does not promote")


def ids_of(number):
    """those of that later night"""
    return np.random.default_rng(100 + number).integers(0, 1 << 63, 60)


def who_may_judge(binary):
    """images that taught the candidate do not judge it, whatever night they are in; what is no pair, or damaged, or moved; a trial that is none"""
    n = Night(binary).begun()
    n.night.joinpath("changed").mkdir(parents=True, exist_ok=True)
    taught = ids_of(1)[3:30]  # of the first eight, which speak for it, five; and what has no label
    with h5py.File(n.night / "changed/selection.h5", "w") as f:
        f.attrs["schema"] = np.bytes_("nightshift.selection/1")
        k = len(taught)
        for name, values, kind in (("set", np.ones(k), "u4"), ("row", np.arange(k), "u8"), ("id", taught, "u8"), ("label", np.zeros(k), "i4"),
                                   ("source", np.zeros(k), "u1"), ("repeat", np.ones(k), "u4")):
            f[name] = np.asarray(values, kind)
    alarmed = ids_of(9)[:30]
    evaluate.Predictions(alarmed, np.zeros(30), np.zeros(30), np.full((30, 3), 1 / 3), ["x", "y", "z"], n.a, "e" * 64).write(n.night / "changed/predictions")
    n.evaluated(NEW, OLD, same_night=False).gate()
    first = Later(binary, n, 1, 8, 0)
    t = first.judge()
    agree([t[key] for key in ("rows", "labelled", "better", "worse", "state")], [13, 13, 3, 0, "waiting"], "images that taught do not judge")
    # images that voted, or raised the alarm, do not vote again, in whatever data set they are
    t = Later(binary, n, 8, 5, 0, like=1).judge()
    check((t["votes"][-1]["rows"], t["better"]) == (0, 3), f"the same images in another data set: {t['votes'][-1]}")
    t = Later(binary, n, 9, 0, 0).judge()
    check((t["votes"][-1]["rows"], t["better"]) == (10, 3), f"images of the alarm: {t['votes'][-1]}")
    # what is no pair says nothing
    for k, broken in enumerate(("no pred", "fewer rows", "other images"), 2):
        later = Later(binary, n, k, 5, 0)
        shutil.rmtree(later.night / "later/predictions")
        id = ids_of(k)[:50 if broken == "fewer rows" else 60]
        p = evaluate.Predictions(id, np.zeros(len(id)), np.zeros(len(id)), np.full((len(id), 3), 1 / 3), ["x", "y", "z"], n.a,
                                 "f" * 64 if broken == "other images" else later.data)
        p.write(later.night / "later/predictions", without=("pred",) if broken == "no pred" else ())
        later.done("later/predictions")
        t = later.judge()
        check((t["votes"][-1]["rows"], t["better"]) == (0, 3), f"{broken}: {t['votes'][-1]}")
    # another night's predictions are damaged: its votes stay, and tonight's count
    (first.night / "later/predictions/predictions-00000.h5").write_bytes(b"no longer")
    answer(n, "1", [])
    t = Later(binary, n, 6, 2, 0).judge()
    check((t["better"], t["votes"][1]["better"], t["state"]) == (5, 3, "waiting"), f"a damaged night: {t}")
    # a night that is moved is counted where it is now
    shutil.move(first.night / "later", "moved")
    t = Later(binary, n, 1, 8, 0).judge()
    check((t["better"], len(t["votes"])) == (5, 8) and "moved" not in t["votes"][1]["folder"], f"a night that was moved: {t}")
    # a person made another model production meanwhile: the night says nothing, then and later
    late = Later(binary, n, 7, 40, 0, pinned=True)
    registry(n, "promote", "production", n.c, "--override", "--why", "by hand")
    late.run("--step", "later/trial")
    check(read(late.night / "later/trial.json")["state"] == "waiting", "a night judged against what is production no more")
    (late.night / "steps/later.trial.json").unlink()
    check(n.moves()[-1][0] == n.c, "a trial moved what a person chose")
    # one night passes it and a person takes it back while another goes on: it stays so
    n = alarm(binary, same_night=False)
    slow = Later(binary, n, 2, 3, 0, pinned=True)
    Later(binary, n, 1, 9, 0).judge()
    check(n.moves()[-1][0] == n.b, "a case that does not do what it is for")
    registry(n, "rollback", "production", "--why", "worse on the dock")
    slow.judge()
    check(n.moves()[-1][0] == n.a, "a slow night undid what a person took back")
    # a trial that nobody here wrote
    for what, change in (("needs nothing", {"needed": 0}), ("no votes", {"votes": []}), ("a vote of many", {"votes": [{"better": 1e300}]})):
        n = alarm(binary, same_night=False)
        newest = n.moves("trial")[-1][0]
        made = n.put(json.dumps({**read(n.registry / "objects" / newest[:2] / newest[2:]), **change}).encode())
        write(n.registry / "log/trial/000002.json", {"schema": "nightshift.ref/1", "ref": "trial", "time": 1700000000, "old": newest, "new": made, "who": "",
                                                     "why": "", "evidence": ""})
        later = Later(binary, n, 1, 0, 0)
        later.run("--step", "later/trial")
        check(later.state("later/trial") == "skipped" and n.moves() == [(n.a, "")], f"{what}: {later.state('later/trial')}, {n.moves()}")


def at_once(binary):
    """nights that end together, and a person who decides meanwhile: no vote is lost, and a decision stays"""
    n = alarm(binary, same_night=False)
    nights = [Later(binary, n, k, 1, 0, pinned=True) for k in range(1, 5)]
    runs = [subprocess.Popen([binary, "night", "--config", "night.yaml", "--out", "night", "--step", "later/trial"], cwd=m.dir,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for m in nights]
    for k, r in enumerate(runs):
        check(r.wait() == 0, f"night {k}, at once: {r.stderr.read()}")
    newest = n.moves("trial")[-1][0]
    t = read(n.registry / "objects" / newest[:2] / newest[2:])
    check((t["better"], len(t["votes"])) == (4, 5), f"four nights at once: {t}")
    check(sorted(v["data"] for v in t["votes"][1:]) == [m.data for m in nights], f"four nights at once: {t['votes']}")
    # the gate's own step is run again: it leaves what came since
    (n.night / "steps/changed.gate.json").unlink()
    n.gate()
    check(n.moves("trial")[-1][0] == newest, "the gate's step, again, forgot the nights since")
    last = Later(binary, n, 9, 40, 0, pinned=True)
    registry(n, "reject", n.b, "--why", "not this one")
    check(last.judge()["state"] == "rejected" and n.moves() == [(n.a, "")], "a night went on after a person rejected its candidate")
    m = Night(binary)  # another training makes the same model again
    shutil.rmtree(m.registry)
    m.registry.symlink_to(n.registry)
    m.a, m.b = n.a, n.b
    m.begun().evaluated({**NEW, "rows": 101}, OLD).gate()
    t = read(m.night / "changed/trial.json")
    check((t["state"], t["why"]) == ("refused", "this candidate was turned down before") and n.moves() == [(n.a, "")], f"turned down, and again: {t}")
    # the gate that finds another candidate on trial refuses its own
    n = alarm(binary, same_night=False)
    m = Night(binary)
    shutil.rmtree(m.registry)
    m.registry.symlink_to(n.registry)
    m.a, m.b = n.a, m.put_model("the second")
    m.model_is("changed/candidate", m.b)
    m.begun().evaluated(NEW, OLD)
    write(m.night / "changed/on-trial.json", {"schema": "nightshift.on_trial/1", "candidate": "", "busy": False})  # it asked before
    m.gate()
    t = read(m.night / "changed/trial.json")
    check((t["state"], t["why"]) == ("refused", "another candidate is on trial") and n.moves() == [(n.a, "")], f"two gates: {t}")
    newest = n.moves("trial")[-1][0]
    check(read(n.registry / "objects" / newest[:2] / newest[2:])["candidate"] == n.b, "two gates: the first candidate is on trial no more")


def no_second_candidate(binary):
    """while one is on trial no other is trained; one whose production has gone is on trial no more"""
    n = alarm(binary)
    later = Later(binary, n, 1)
    later.done("later/drift", "later/reference")
    write(later.night / "later/drift/retrain.json", {})
    write(later.night / "later/drift/drift.json", {"schema": "nightshift.drift/1"})
    later.run("--step", "later/candidate")
    why = read(later.night / "steps/later.candidate.json")
    check(why["state"] == "skipped" and why["why"] == "a candidate is on trial", f"a second candidate: {why}")
    held = Night(binary, more="night.approve: person\n").begun()
    held.evaluated(NEW, OLD).gate()
    for after in (Later(binary, held, 3), Later(binary, held, 4, approve="person")):
        after.done("later/drift", "later/reference")
        write(after.night / "later/drift/retrain.json", {})
        after.run("--step", "later/candidate")
        check(after.state("later/candidate") == "skipped", "a second candidate while one waits for a person")
        after.run("--step", "later/trial")
        check(after.state("later/trial") == "skipped" and held.moves() == [(held.a, "")], "a night judges what waits for a person")
    # a night that asks nothing of it says what waits for a person
    after.done(*(s for s in after.steps if s != "report"))
    after.run("--step", "report")
    s = read(after.night / "summary.json")["next"]
    check(s["do"] == "approve" and held.b[:12] in s["say"], f"what waits is said on every night: {s}")
    n.log_is((n.a, "first", ""), (n.c, "by hand", ""))
    other = Later(binary, n, 2)
    other.run("--step", "later/trial")
    check(other.state("later/trial") == "skipped", "the trial of a candidate against what is production no more")


def people(binary):
    """night.approve: person holds what passes; approve and reject, by whom and why; what a gate refused is promoted with --override and --why alone"""
    n = Night(binary, more="night.approve: person\n").begun()
    n.evaluated(NEW, OLD).gate()
    t = read(n.night / "changed/trial.json")
    check(t["state"] == "held" and n.moves() == [(n.a, "")], f"held: {t['state']}, {n.moves()}")
    registry(n, "approve", n.b, wanted=64)
    check("no candidate" in registry(n, "approve", n.c, "--why", "I like it", wanted=65), "approve what was never on trial")
    check("is held" in registry(n, "promote", "production", n.b, wanted=1), "promote what is held")
    registry(n, "approve", n.b[:12], "--why", "looked at fifty images")
    entry = read(sorted((n.registry / "log/production").glob("*.json"))[-1])
    trial = n.moves("trial")[-1][0]
    me = pwd.getpwuid(os.geteuid()).pw_name
    check((n.model_of(entry["new"]), entry["why"], entry["evidence"], entry["who"], entry["uid"]) ==
          (n.b, "looked at fifty images", trial, me, os.geteuid()), f"approved: {entry}")
    t = read(n.registry / "objects" / trial[:2] / trial[2:])
    check((t["state"], t["who"], t["why"]) == ("approved", me, "looked at fifty images"), f"approved: {t}")
    check(entry["new"] == t["release"], "what a person approved is not the release that the night put together")
    log = n.moves()
    registry(n, "approve", n.b, "--why", "again")  # as if it had been killed in between
    check(n.moves() == log, "approved again")
    check("approved" in registry(n, "reject", n.b, "--why", "no", wanted=1), "reject what is approved")
    n = alarm(binary)
    registry(n, "reject", n.b, "--why", "not this one")
    t = n.moves("trial")[-1][0]
    check(read(n.registry / "objects" / t[:2] / t[2:])["state"] == "rejected", "rejected while it waits")
    check("is rejected" in registry(n, "approve", n.b, "--why", "but yes", wanted=1), "approve what is rejected")
    for args in ((), ("--override",), ("--why", "because")):
        check("did not let model" in registry(n, "promote", "production", n.b, *args, wanted=1), f"promote what is rejected, {args}")
    check(n.moves() == [(n.a, "")], "promoted all the same")
    registry(n, "promote", "other", n.b)  # only production has a gate
    registry(n, "promote", "production", n.b, "--override", "--why", "the site is dark")
    check(n.moves()[-1] == (n.b, ""), "overridden")
    registry(n, "promote", "trial", n.b, wanted=64)
    registry(n, "gc", "--registry.gc_hours=0")
    registry(n, "verify")
    registry(n, "promote", "labels", n.b, wanted=64)
    registry(n, "rollback", "trial", wanted=64)
    check(n.has(t) and n.has(n.evidence()), "what argued for a trial was collected")


if __name__ == "__main__":
    os.environ.update(OMP_NUM_THREADS="1", USER="nobody")
    binary, *names = sys.argv[1:]
    for part in tiny.chosen((over_nights, nights_without_labels, labels_that_come_late, who_may_judge, at_once, no_second_candidate, people), names):
        part(binary)
    print(f"{tiny.checks} checks passed")
