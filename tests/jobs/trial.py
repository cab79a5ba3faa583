"""A candidate on trial over nights, and what people decide about it, by known answers: for trial.sh.

usage: trial.py NIGHTSHIFT [part ...], in an empty folder
"""
import os
import pathlib
import pwd
import shutil
import sys

import numpy as np

import evaluate
import gate
import tiny
from evaluate import agree, check
from gate import NEW, OLD, Night, read, write


class Later(Night):
    """a later night of the same site, whose predictions have so many labels"""

    def __init__(self, binary, first, number, labels=40, approve="auto", nights=14):
        super().__init__(binary, nights=("later",), more=f"night.approve: {approve}\ngate.nights: {nights}\n")
        shutil.rmtree(self.registry)
        self.registry.symlink_to(first.registry)
        self.a, self.b, self.c = first.a, first.b, first.c
        r = np.random.default_rng(100 + number)
        n = 60
        label = r.integers(0, 3, n)
        label[labels:] = -1
        p = evaluate.Predictions(r.integers(0, 1 << 63, n), label, r.integers(0, 3, n), r.dirichlet(np.ones(3), n), ["x", "y", "z"], self.a)
        p.write(self.night / "later/predictions")
        self.digest = p.digest
        self.begun()
        self.done("later/predictions")

    def votes(self, better, worse, wanted=0):
        self.done("later/trial-votes")
        write(self.night / "later/trial-votes/evaluation.json",
              {"schema": "nightshift.evaluation/1", "correct": 30, "against": {"rows": 40, "better": better, "worse": worse}})
        self.run("--step", "later/trial", wanted=wanted)
        return read(self.night / "later/trial.json")


def alarm(binary, same_night=False, new=NEW):
    n = Night(binary).begun()
    n.evaluated(new, OLD, same_night=same_night).gate()
    return n


def registry(n, *args, wanted=0):
    done = tiny.run(n.binary, ["registry", *args, "--registry", str(n.registry)], n.dir)
    check(done.code == wanted, f"registry {' '.join(args)} exited {done.code}, wanted {wanted}: {done.text}")
    return done.text


def over_nights(binary):
    """the votes of nights add up, until the evidence of all suffices: the same night again adds nothing"""
    n, better, worse = alarm(binary), 0, 0
    for k, (b, c) in enumerate(((3, 1), (4, 0), (0, 0), (5, 1), (2, 0)), 1):
        better, worse = better + b, worse + c
        evidence = evaluate.evidence(better, worse)
        later = Later(binary, n, k)
        t = later.votes(b, c)
        state = "passed" if evidence >= gate.NEEDED else "waiting"
        agree([t["better"], t["worse"], t["rows"], t["log_evidence"], t["state"]], [better, worse, 40 * k, evidence, state], f"night {k}")
        check(t["votes"][-1] == {"night": "later", "predictions": later.digest, "rows": 40, "correct": 30, "better": b, "worse": c}, f"night {k}: {t['votes']}")
        check(n.moves("trial")[-1][0] == tiny.digest(later.night / "later/trial.json"), f"night {k}: the registry's trial")
        before = [n.moves(ref) for ref in ("trial", "production")]
        (later.night / "steps/later.trial.json").unlink()
        check(later.votes(b, c) == t and [n.moves(ref) for ref in ("trial", "production")] == before, f"night {k}, again")
        wanted = [(n.a, "")] + ([(n.b, tiny.digest(later.night / "later/trial.json"))] if state == "passed" else [])
        check(n.moves() == wanted, f"night {k}: {n.moves()}, wanted {wanted}")
        if state == "passed":
            break
    check(k == 4, f"passed on night {k}: a case that does not do what it is for")
    last = Later(binary, n, 9)
    last.skipped("later/trial-votes")
    last.run("--step", "later/trial")
    check(last.state("later/trial") == "skipped" and not (last.night / "later/trial.json").exists(), "a trial that is over goes on")


def nights_without_labels(binary):
    """such a night infers nothing for the trial and counts as a night; after so many the candidate is refused"""
    n = alarm(binary)
    for k in range(1, 4):
        later = Later(binary, n, k, labels=0, nights=3)
        for step in ("trial-predictions", "trial-votes"):
            later.run("--step", f"later/{step}")
            check(later.state(f"later/{step}") == "skipped", f"{step} of a night without labels is {later.state(f'later/{step}')}")
        later.run("--step", "later/trial")
        t = read(later.night / "later/trial.json")
        check(t["state"] == ("refused" if k == 3 else "waiting") and len(t["votes"]) == k + 1 and t["rows"] == 0, f"night {k}: {t}")
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
    n.log_is((n.a, "first", ""), (n.c, "by hand", ""))
    other = Later(binary, n, 2)
    other.skipped("later/trial-votes")
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
    check((entry["new"], entry["why"], entry["evidence"], entry["who"], entry["uid"]) ==
          (n.b, "looked at fifty images", trial, me, os.geteuid()), f"approved: {entry}")
    t = read(n.registry / "objects" / trial[:2] / trial[2:])
    check((t["state"], t["who"], t["why"]) == ("approved", me, "looked at fifty images"), f"approved: {t}")
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
    check(n.has(t) and n.has(n.evidence()), "what argued for a trial was collected")


if __name__ == "__main__":
    os.environ.update(OMP_NUM_THREADS="1", USER="nobody")
    binary, *names = sys.argv[1:]
    for part in tiny.chosen((over_nights, nights_without_labels, no_second_candidate, people), names):
        part(binary)
    print(f"{evaluate.checks} checks passed")
