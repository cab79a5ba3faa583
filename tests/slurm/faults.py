#!/usr/bin/env python3
"""The faults of tests/slurm/kill.sh: which are planned, and which of them struck. See tests/tools/crash.c for the lines and the notes.

    faults.py plan KILLS SEED COUNTS UNDISTURBED [AGAIN]   lines for NST_CRASH; AGAIN: those that are planned once more
    faults.py proof CRASH STRUCK NIGHT JOBCOMP AGAIN       what became of each; AGAIN gets those that did not strike

proof exits 1 where a rank hung, nothing but the time-out could end it, and nobody named it.
"""
import glob, json, os, random, re, sys


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


# --- plan ---

def undisturbed(counts, night):
    tasks, records = {}, {}
    for name in sorted(os.listdir(counts)):
        step, task, rank = name.rsplit(" ", 2)
        tasks.setdefault((step, int(task)), {})[int(rank)] = read(counts + "/" + name)
    for name in os.listdir(night + "/steps"):
        r = json.loads(read(night + "/steps/" + name)) if name.endswith(".json") else {}
        if r.get("schema") == "nightshift.step/1":
            records[(r["step"].replace("/", "."), r["task"])] = r
    return tasks, records


def plan(kills, seed, counts, night, again=None):
    """Two in three are before or after what publishes (rename, link, unlink); a rank that hangs, one that dies and a full disk are in every plan."""
    tasks, records = undisturbed(counts, night)
    rng = random.Random(int(seed) + (1000003 if again else 0))
    starts = {}

    def strike(k, what, latest=1.0):
        ranks, start = tasks[k], starts.get(k, 0)
        rank = rng.choice(sorted(ranks)) if what in ("kill", "stop") else 0
        if what in ("kill", "stop"):  # while it works
            number = int(1000 * rng.uniform(0.02, max(0.05, latest * (records[k].get("seconds") or 0.05))))
        else:
            calls = ranks[0][:max(1, int(latest * len(ranks[0])))] if start == 0 else ranks[0][:12]  # a later start may have little left to do
            publishing = [i for i, c in enumerate(calls) if c in "rlu"] if rng.random() < 0.67 else []
            number = rng.choice(publishing or range(len(calls)))
        starts[k] = start + 1
        print(records[k]["step"], k[1], rank, what, number)

    if again:
        for line in read(again).splitlines():  # earlier, so that another machine's haste does not outrun it once more
            step, task, _, what, _ = line.split()
            strike((step.replace("/", "."), int(task)), what, 0.5)
        return
    keys, n, training = sorted(tasks), int(kills), ("prepare.model", -1)
    weights = [6 if len(tasks[k]) > 1 else 2 if k[1] >= 0 else 1 for k in keys]  # training, arrays, the rest
    for k, what in [(training, "stop"), (("prepare.data.parts", 0), "full"), (training, "kill")][:n]:
        strike(k, what)
    for _ in range(n - 3):
        k = rng.choices(keys, weights)[0]
        strike(k, rng.choices(["before", "after", "kill", "full", "stop"], [30, 30, 20, 8, 6 if len(tasks[k]) > 1 else 0])[0])


# --- proof ---

def notes(folder, line, what):
    """(start, job, host, process) of each note"""
    found = []
    for path in glob.glob("%s/%d.%s.*" % (folder, line, what)):
        job, host, process, _ = read(path).split()
        found.append((int(path.rsplit(".", 1)[1]), job, host, process))
    return sorted(found)


class Night:
    """How the starts of a night's jobs ended: Slurm's own line for each, and what the job's script said before."""

    def __init__(self, night, jobcomp):
        self.runs, self.night = {}, night
        for line in read(jobcomp).splitlines():
            fields = dict(f.split("=", 1) for f in line.split(" ") if "=" in f)
            self.runs.setdefault(fields["JobId"], []).append(fields["JobState"])

    def log(self, step):
        return "".join(read(p) for p in sorted(glob.glob("%s/slurm/log/%s-*.out" % (self.night, step.replace("/", ".")))))

    def end(self, step, job, start):
        """(whether it ended by what the harness or Slurm did to it, in words)"""
        runs = self.runs.get(job, [])
        state = runs[start] if start < len(runs) else "of an end that Slurm did not write down"
        why = [e.get("why", "") for e in events(self.log(step)) if e["restarts"] == start and e["event"] == "requeue"]
        if state == "NODE_FAIL":
            return True, "its node was lost"
        if state == "PREEMPTED":
            return True, "it was preempted"
        if state == "COMPLETED":
            return False, "the step was done before its place came"
        if not why or "stopped" in why:
            return True, "it was stopped and put back (%s)" % state
        return False, "that start ended otherwise (%s)" % "; ".join(why)

    def named(self, step, start, rank, process):
        """by the others; or, of a rank that hung where all of them begin and end, by another that waited for it there"""
        log = part(self.log(step), start)
        if re.search(r"rank %d \([^)]*process %s\b[^)]*\)(, rank [^;]*)? did not come within" % (rank, process), log):
            return True
        return any(int(r) != rank for r in re.findall(r"rank (\d+) \([^)]*\) came, but not every rank did within", log))


def part(log, start):
    """What was said in this start: from the last event of an earlier one to its own. A start whose node was lost has no event."""
    lines = []
    for line in log.splitlines():
        e = next(events(line), None)
        if e and e["restarts"] >= start:
            break
        lines = [] if e else lines + [line]
    return "\n".join(lines)


def events(log):
    for line in log.splitlines():
        try:
            e = json.loads(line)
        except ValueError:
            continue
        if isinstance(e, dict) and "event" in e and "restarts" in e:
            yield e


def judge(night, struck, i, line):
    """("struck" or "again" or "bad", in words)"""
    step, _, rank, what, _ = line.split()
    hits, armed = notes(struck, i, "struck"), notes(struck, i, "armed")
    if not hits and not armed:
        return "again", "no start of it came after those before it"
    if not hits:
        return "again", "; ".join("start %d: %s" % (a[0], night.end(step, a[1], a[0])[1]) for a in armed)
    start, job, host, process = hits[0]
    where = "start %d, job %s on %s, process %s" % (start, job, host, process)
    if what != "stop":
        return "struck", where
    if night.named(step, start, int(rank), process):
        return "struck", where + "; named"
    disturbed, words = night.end(step, job, start)
    # Whether the time-out would have come is not known then: the next round, in which nothing else happens, shows it.
    return ("again", where + "; not named, but " + words) if disturbed else ("bad", where + "; nobody named it: " + words)


def proof(crash, struck, folder, jobcomp, again):
    night, count, later = Night(folder, jobcomp), {}, []
    for i, line in enumerate(read(crash).splitlines(), 1):
        verdict, words = judge(night, struck, i, line)
        count[verdict] = count.get(verdict, 0) + 1
        print("  %-7s %-45s %s" % (verdict, line, words))
        if verdict == "again":
            later.append(line + "\n")
    with open(again, "w") as f:
        f.writelines(later)
    print("of %d faults %d struck, %d are planned again" % (sum(count.values()), count.get("struck", 0), len(later)))
    return 1 if count.get("bad") else 0


if __name__ == "__main__":
    verbs = {"plan": plan, "proof": proof}
    sys.exit(verbs[sys.argv[1]](*sys.argv[2:]))
