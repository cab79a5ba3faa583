"""What evaluate must say of given predictions, from the definitions and in another arithmetic than its own: for evaluate.sh and gate.py.

usage: evaluate.py NIGHTSHIFT, in an empty folder
"""
import fractions
import hashlib
import json
import math
import pathlib
import subprocess
import sys

import h5py
import numpy as np

import tiny
from draws import AUDIT, draw
from tiny import check

Z = 1.959963984540054 # scipy.stats.norm.ppf(0.975)
HAND = 0.054983882971804676, 0.6300136197079043 # by hand: see known_constants
CLOSE = 6e-9 # a result keeps nine digits
RANKS = ("env", "ASAN_OPTIONS=detect_leaks=0", "mpirun", "-n", "2") # MPI leaves allocations of its own


def agree(found, wanted, where):
    """equal in every key and item; numbers to the digits that are kept"""
    if isinstance(wanted, dict):
        check(isinstance(found, dict) and set(found) == set(wanted), f"{where}: has {found}, wanted {wanted}")
        for key in wanted:
            agree(found[key], wanted[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        check(isinstance(found, list) and len(found) == len(wanted), f"{where}: is {found}, wanted {wanted}")
        for i, (a, b) in enumerate(zip(found, wanted)):
            agree(a, b, f"{where}[{i}]")
    elif isinstance(wanted, float):
        check(isinstance(found, (int, float)) and math.isclose(found, wanted, rel_tol=CLOSE, abs_tol=1e-12),
              f"{where}: is {found}, wanted {wanted}")
    else:
        check(found == wanted, f"{where}: is {found}, wanted {wanted}")


# --- predictions ---

class Predictions:
    """columns of a prediction, as infer would have written them"""
    def __init__(self, id, label, pred, prob, classes, model="a" * 64, dataset="c" * 64):
        self.id, self.label, self.pred = np.array(id, "u8"), np.array(label, "i4"), np.array(pred, "i4")
        self.prob, self.classes, self.model, self.dataset, self.digest = np.array(prob, "f4"), list(classes), model, dataset, None

    def take(self, rows):
        return Predictions(self.id[rows], self.label[rows], self.pred[rows], self.prob[rows], self.classes, self.model, self.dataset)

    def write(self, folder, cuts=(), without=(), each=None):
        """one file, or several that are cut before these rows; each: what file i is without"""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True)
        files = []
        for first, last in zip((0, *cuts), (*cuts, len(self.id))):
            path = folder / f"predictions-{len(files):05}.h5"
            with h5py.File(path, "w") as f:
                f.attrs.update(schema="nightshift.predictions/1", model=self.model, weights="b" * 64, dataset=self.dataset, temperature=1.0)
                f.attrs["classes"] = self.classes
                for name in ("id", "label", "pred", "prob"):
                    if name not in without and name not in (each or {}).get(len(files), ()):
                        f[name] = getattr(self, name)[first:last]
            files.append({"file": path.name, "rows": int(last - first), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
        self.digest = hashlib.sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        (folder / "predictions.json").write_text(json.dumps({"schema": "nightshift.predictions/1", "files": files, "digest": self.digest}))
        return self


# --- the definitions ---

def audit_draw(seed, id):
    """the draw of a row's identity for audits, which are number 4 of the purposes, in epoch 1"""
    v = draw(seed, AUDIT, 1, id, 0)
    return v[1] << 32 | v[0]


def gate_rows(id, label, seed):
    """of the labelled rows the half with the lowest draws; rows of one identity are on one side, so it ends between two, as near to the middle as can be"""
    draws = sorted((audit_draw(seed, int(i)), int(i)) for i, y in zip(id, label) if y >= 0)
    ends = [0] + [k + 1 for k in range(len(draws) - 1) if draws[k][1] != draws[k + 1][1]]
    chosen = {i for _, i in draws[:min(ends, key=lambda k: (abs(k - len(draws) // 2), -k))]}
    return np.array([y >= 0 and int(i) in chosen for i, y in zip(id, label)])


def wilson(k, n):
    """the two p with |k/n - p| = z sqrt(p (1 - p) / n): roots of (n + z^2) p^2 - (2 k + z^2) p + k^2 / n (Wilson 1927)"""
    a, b, c = n + Z * Z, -(2 * k + Z * Z), k * k / n
    root = math.sqrt(max(0, b * b - 4 * a * c))
    return max(0.0, (-b - root) / (2 * a)), min(1.0, (-b + root) / (2 * a))


def mcnemar(b, c):
    """P(a fair coin is at least as far from its mean as b of b + c), both sides counted in whole numbers"""
    n = b + c
    ways = sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(b - c))
    return float(fractions.Fraction(ways, 2 ** n))


def paired(n, b, c):
    """where Tango's score is z, by the likelihood itself: the most probable table with that difference is searched for; or, if that is wider, the
    exact bounds of the share of disagreements that are better"""
    def score(d):
        low, high = max(0.0, -d), (1 - d) / 2  # of the chance of "worse"
        for _ in range(200):                    # the log likelihood b log(q + d) + c log q + (n - b - c) log(1 - 2 q - d) is concave in q
            q = (low + high) / 2
            slope = (b / (q + d) if b else 0) + (c / q if c else 0) - (2 * (n - b - c) / (1 - 2 * q - d) if n > b + c else 0)
            low, high = (q, high) if slope > 0 else (low, q)
        v = n * (2 * low + d - d * d)
        return (b - c - n * d) / math.sqrt(v) if v > 1e-12 else math.copysign(math.inf, b - c - n * d)

    def root(f, low, high):
        for _ in range(100):
            x = (low + high) / 2
            low, high = (x, high) if f(x) else (low, x)
        return x

    def tail(b, n, p):
        """P(Bin(n, p) >= b)"""
        return math.fsum(math.exp(math.log(math.comb(n, k)) + k * math.log(p) + (n - k) * math.log1p(-p)) for k in range(b, n + 1))
    low, high = root(lambda d: score(d) > Z, -1 + 1e-9, 1 - 1e-9), root(lambda d: score(d) > -Z, -1 + 1e-9, 1 - 1e-9)
    if b + c:
        m, least = b + c, [root(lambda p, k=k: tail(k, b + c, p) < 0.025, 1e-12, 1 - 1e-12) if k else 0 for k in (b, c)]
        low, high = min(low, m / n * (2 * least[0] - 1)), max(high, m / n * (1 - 2 * least[1]))
    return low, high


def evidence(b, c):
    """log of the mean of (2 p)^b (2 (1 - p))^c over p from 1/2 to 1, by summing the binomial series of the integral in whole numbers"""
    n = b + c
    # the integral of p^b (1 - p)^c from 1/2 to 1 is B(b + 1, c + 1) P(Bin(n + 1, 1/2) <= b)
    part = fractions.Fraction(sum(math.comb(n + 1, k) for k in range(b + 1)), 2 ** (n + 1))
    beta = fractions.Fraction(math.factorial(b) * math.factorial(c), math.factorial(n + 1))
    e = 2 * 2 ** n * beta * part
    return math.log(e.numerator) - math.log(e.denominator)


def worse_classes(p, y, better, worse):
    """classes of which a fair coin would be for them as seldom in less than .01 / (classes that differ)"""
    of = [(k, int(better[y == k].sum()), int(worse[y == k].sum())) for k in range(len(p.classes))]
    differ, found = max(1, sum(b + c > 0 for _, b, c in of)), []
    for k, b, c in of:
        chance = sum(math.comb(b + c, i) for i in range(c, b + c + 1)) / 2 ** (b + c)
        if c > b and chance < 0.01 / differ:
            found.append({"class": p.classes[k], "better": b, "worse": c, "p": chance})
    return found


def calibration_error(confidence, right):
    """Guo et al. 2017: bins ((m - 1) / 15, m / 15), each weighted by its rows; an edge belongs to the bin above it"""
    bins = np.minimum(np.floor(np.asarray(confidence, "f8") * 15), 14)
    return math.fsum(np.mean(bins == m) * abs(np.mean(right[bins == m]) - np.mean(np.asarray(confidence, "f8")[bins == m]))
                     for m in range(15) if np.any(bins == m))


def evaluation(p, q=None, rows="all", seed=1):
    """evaluation.json"""
    counted = gate_rows(p.id, p.label, seed) if rows == "gate" else p.label >= 0
    y, guess = p.label[counted], p.pred[counted]
    right = guess == y
    n, k = len(y), len(p.classes)
    low, high = wilson(int(right.sum()), n)
    e = {"schema": "nightshift.evaluation/1", "correct": int(right.sum()), "rows": n, "worth": float(n), "accuracy": float(right.mean()),
         "low": low, "high": high,
         "calibration_error": float(calibration_error(p.prob[counted][np.arange(n), guess], right)),
         "confusion": [[int(np.sum((y == a) & (guess == b))) for b in range(k)] for a in range(k)],
         "classes": p.classes, "half": rows, "model": p.model, "predictions": p.digest}
    if q:
        theirs = {int(i): int(g) for i, g in zip(q.id, q.pred)}
        was = np.array([theirs[int(i)] == t for i, t in zip(p.id[counted], y)])
        first = np.unique(p.id[counted], return_index=True)[1] # an image votes once, however often it is there
        better, worse, n = int(np.sum((right & ~was)[first])), int(np.sum((was & ~right)[first])), len(first)
        low, high = paired(n, better, worse)
        e["against"] = {"rows": n, "better": better, "worse": worse, "change": (better - worse) / n, "low": low, "high": high,
                        "p": mcnemar(better, worse), "log_evidence": evidence(better, worse),
                        "worse_classes": worse_classes(p, y[first], (right & ~was)[first], (was & ~right)[first]),
                        "test": "McNemar, exact, two-sided; interval by the score, and exact given the disagreements; one vote an image and a "
                                "sequence; evidence: mixture e-value against no gain"}
    return e


# --- cases ---

def evaluate(binary, p, q=None, *more, out, launcher=(), wanted=0, said=""):
    args = [*launcher, binary, "evaluate", "--predictions", p, "--out", out, *(("--against", q) if q else ()), *more]
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    check(done.returncode == wanted, f"{' '.join(map(str, args))} exited {done.returncode}, wanted {wanted}: {done.stderr}")
    if wanted:
        check(said in done.stderr, f"{' '.join(map(str, args))}: no '{said}' in {done.stderr}")
        check(not pathlib.Path(out).exists(), f"{out}: something was published")
        return None
    return json.loads((pathlib.Path(out) / "evaluation.json").read_text())


def random_pair():
    """2,600 rows that cross what is read at once, of 1,024, and the cuts between files; one class has no rows, one is never predicted"""
    r = np.random.default_rng(17)
    n, k = 2600, 5
    id = r.integers(0, 1 << 64, n, dtype="u8")
    label = r.choice([0, 1, 2, 3], n)
    label[r.random(n) < 0.15] = -1
    prob = r.dirichlet(np.full(k, 0.4), n).astype("f4")
    pred = np.where(r.random(n) < 0.5, np.maximum(label, 0), r.choice([0, 1, 3, 4], n)) # not always the likeliest class
    pred[pred == 2] = 0
    edges = [np.float32(m / 15) for m in range(16)]
    edges += [np.nextafter(edge, np.float32(0)) for edge in edges[1:]] + [np.float32(1.0005)]
    for i, edge in enumerate(edges): # a confidence on each edge of a bin and just below
        prob[1000 + i, pred[1000 + i]] = edge
    twins = r.choice(n, 40, replace=False) # the same image again, also across the files
    for a, b in twins.reshape(-1, 2):
        id[b], label[b], pred[b] = id[a], label[a], pred[a]
    names = ["ant", "bee", "cat", "dog", "empty"]
    p = Predictions(id, label, pred, prob, names)
    theirs = np.where(r.random(n) < 0.4, np.maximum(label, 0), r.choice(k, n))
    for a, b in twins.reshape(-1, 2):
        theirs[b] = theirs[a]
    q = Predictions(id, label, theirs, r.dirichlet(np.ones(k), n), names, "d" * 64).take(r.permutation(n))
    return p, q


def by_hand():
    """20 rows of two classes: 15 right now, 7 before, 9 better and 1 worse; the confidence is 0.9 where it is right now, else 0.7"""
    right = np.array([1] * 15 + [0] * 5)
    was = np.array([0] * 9 + [1] * 6 + [1] + [0] * 4)
    label = np.arange(20) % 2
    pred = np.where(right, label, 1 - label)
    prob = np.empty((20, 2))
    prob[np.arange(20), pred] = np.where(right, 0.9, 0.7)
    prob[np.arange(20), 1 - pred] = 1 - prob[np.arange(20), pred]
    id = np.arange(100, 120)
    before = Predictions(id, label, np.where(was, label, 1 - label), prob, ["a", "b"])
    return Predictions(id, label, pred, prob, ["a", "b"]), before.take(slice(None, None, -1))


def known_constants(binary):
    p, q = by_hand()
    p.write("hand-p")
    q.write("hand-q")
    e = evaluate(binary, "hand-p", "hand-q", out="hand")
    # statsmodels: proportion_confint(15, 20, method="wilson"), mcnemar([[0, 9], [1, 0]], exact=True); the interval of the change is the exact one,
    # 10/20 (2 x - 1) with x of proportion_confint(9, 10, method="beta"), below, and Tango's score's above; the error of calibration is
    # (15 |1 - 0.9| + 5 |0 - 0.7|) / 20
    wanted = {"correct": 15, "rows": 20, "accuracy": 0.75, "low": 0.5312991223812559, "high": 0.8881382985923344,
              "confusion": [[8, 2], [3, 7]]}
    for key, value in wanted.items():
        agree(e[key], value, f"by hand: {key}")
    for key, value in {"rows": 20, "better": 9, "worse": 1, "change": 0.4, "low": HAND[0], "high": HAND[1], "p": 0.021484375}.items():
        agree(e["against"][key], value, f"by hand: against.{key}")
    check(abs(e["calibration_error"] - 0.25) < 1e-7, f"by hand: calibration_error {e['calibration_error']}") # 0.9 and 0.7 are floats
    agree(e, evaluation(p, q), "by hand")
    # the other way round
    e = evaluate(binary, "hand-q", "hand-p", out="back")
    agree(e, evaluation(q, p), "back")
    for key, value in {"better": 1, "worse": 9, "change": -0.4, "low": -HAND[1], "high": -HAND[0], "p": 0.021484375}.items():
        agree(e["against"][key], value, f"back: against.{key}")
    # nothing changed, everything right, nothing right: the intervals are proportion_confint(10, 10) and (0, 10)
    e = evaluate(binary, "hand-p", "hand-p", out="same")["against"]
    agree([e["better"], e["worse"], e["change"], e["p"]], [0, 0, 0.0, 1.0], "against itself")
    agree([e["low"], e["high"]], [-Z * Z / (20 + Z * Z), Z * Z / (20 + Z * Z)], "against itself") # of no disagreement in 20
    right = Predictions(range(10), [0, 1] * 5, [0, 1] * 5, [[1, 0], [0, 1]] * 5, ["a", "b"]).write("right")
    wrong = Predictions(range(10), [0, 1] * 5, [1, 0] * 5, [[0.5, 0.5]] * 10, ["a", "b"]).write("wrong")
    for p, name, q, other, low, high, p_value in ((right, "right", wrong, "wrong", 0.7224672001371106, 1.0, 0.001953125),
                                                  (wrong, "wrong", right, "right", 0.0, 0.27753279986288926, 0.001953125)):
        e = evaluate(binary, name, other, out=f"all-{name}")
        agree(e, evaluation(p, q), f"all {name}")
        agree([e["low"], e["high"], e["against"]["p"]], [low, high, p_value], f"all {name}")
    # as many better as worse: a sum of both tails that counts the middle twice is above 1
    even = Predictions(range(10), [0, 1] * 5, [0, 1] * 2 + [1, 0] * 3, [[0.5, 0.5]] * 10, ["a", "b"]).write("even")
    odd = Predictions(range(10), [0, 1] * 5, [1, 0] * 2 + [0, 1] * 2 + [1, 0], [[0.5, 0.5]] * 10, ["a", "b"]).write("odd")
    e = evaluate(binary, "even", "odd", out="ties")
    agree(e, evaluation(even, odd), "ties")
    agree([e["against"]["better"], e["against"]["worse"], e["against"]["p"]], [4, 4, 1.0], "ties")


def definitions(binary):
    p, q = random_pair()
    p.write("p", cuts=(1, 1501))
    q.write("q", cuts=(777,))
    agree(evaluate(binary, "p", out="alone"), evaluation(p), "alone")
    e = evaluate(binary, "p", "q", out="paired")
    agree(e, evaluation(p, q), "paired")
    check(sum(e["confusion"][4]) == 0 and not any(row[2] for row in e["confusion"]), "a class has no rows, another no predictions")
    run = json.loads(pathlib.Path("paired/run.json").read_text())
    check({i["what"]: i["digest"] for i in run["inputs"]} == {"predictions": p.digest, "against": q.digest},
          f"run.json: inputs {run['inputs']}")
    check(run["counts"]["rows"] == e["rows"], "run.json: counts")
    evaluate(binary, "p", "q", out="ranks", launcher=RANKS)
    check(pathlib.Path("ranks/evaluation.json").read_bytes() == pathlib.Path("paired/evaluation.json").read_bytes(),
          "two ranks say something else")
    q.write("unlabelled", without=("label",)) # of the other one, its labels are not wanted
    agree(evaluate(binary, "p", "unlabelled", out="theirs")["against"], e["against"], "against predictions without labels")


def a_class_is_lost(binary):
    """a class of 40 of 4,000 that nothing gets right any more: the sum of all hardly moves, and the class is named"""
    r = np.random.default_rng(3)
    label = np.r_[np.zeros(40, int), r.integers(1, 5, 3960)]
    was, now = r.random(4000) < 0.95, r.random(4000) < 0.97
    now[:40] = False
    make = lambda right: Predictions(np.arange(4000), label, np.where(right, label, (label + 1) % 5), r.dirichlet(np.ones(5), 4000), list("abcde"))
    p, q = make(now), make(was)
    p.write("lost")
    q.write("kept")
    e = evaluate(binary, "lost", "kept", out="lost-class")
    agree(e, evaluation(p, q), "a class is lost")
    check([c["class"] for c in e["against"]["worse_classes"]] == ["a"] and e["against"]["change"] > 0, f"a class is lost: {e['against']}")


def sequences(binary):
    """frames of a sequence vote once together, whichever way most of them go; without group and time that cannot be"""
    p, q = by_hand()
    p, q = (Predictions(x.id, x.label, x.pred, x.prob, x.classes) for x in (p, q))
    p.write("seq-p")
    q.write("seq-q")
    with h5py.File(next(pathlib.Path("seq-p").glob("*.h5")), "a") as f:  # rows 0-4, 5-8, 9, 10-15 and 16-19 are sequences of one group
        f["group"] = np.zeros(20, "i4")
        f["time"] = np.repeat([0, 100, 200, 300, 400], [5, 4, 1, 6, 4]) + np.arange(20)
    relist("seq-p")
    e = evaluate(binary, "seq-p", "seq-q", "--drift.sequence_seconds=5", out="by-sequence")["against"]
    check((e["rows"], e["better"], e["worse"]) == (5, 2, 1), f"votes of sequences: {e}")
    with h5py.File(next(pathlib.Path("seq-p").glob("*.h5")), "a") as f:  # the same in milliseconds
        f["time"][:] = (1_700_000_000 + f["time"][:]) * 1000
    relist("seq-p")
    again = evaluate(binary, "seq-p", "seq-q", "--drift.sequence_seconds=5", out="by-sequence-ms")["against"]
    check(again == e, f"votes of sequences in milliseconds: {again}")
    evaluate(binary, "seq-p", "seq-q", out="by-image")
    # of one sequence alone nothing is the gate's: something is left to teach
    whole = evaluate(binary, "seq-p", "seq-q", "--evaluate.rows=gate", "--evaluate.empty=true", "--drift.sequence_seconds=1000", out="one-sequence")
    check(whole["rows"] == 0, f"the gate's half of one sequence: {whole['rows']}")
    # the manifest says which sequences stayed whole when the candidate was taught, whatever the configuration says by now
    rows = {}
    for name, query in (("with", {"sequence_seconds": 5}), ("without", {})):
        pathlib.Path(f"{name}.json").write_text(json.dumps({"predicate": {"data": {"query": query}}}))
        for seconds in (0, 5):
            rows[name, seconds] = evaluate(binary, "seq-p", "seq-q", "--evaluate.rows=gate", f"--evaluate.manifest={name}.json",
                                           f"--drift.sequence_seconds={seconds}", out=f"{name}-{seconds}")["against"]["rows"]
    check(rows["with", 0] == rows["with", 5] < rows["without", 0] == rows["without", 5], f"sequences of the manifest: {rows}")
    evaluate(binary, "hand-p", "hand-q", "--drift.sequence_seconds=5", out="refused", wanted=65, said="group and time")


def relist(folder):
    """predictions.json of files as they are now"""
    index = json.loads(pathlib.Path(folder, "predictions.json").read_text())
    for f in index["files"]:
        f["sha256"] = hashlib.sha256(pathlib.Path(folder, f["file"]).read_bytes()).hexdigest()
    index["digest"] = hashlib.sha256(json.dumps(index["files"], sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    pathlib.Path(folder, "predictions.json").write_text(json.dumps(index))


def the_gates_half(binary):
    p, q = random_pair()
    p, q = p.take(slice(0, 301)), None
    for seed in (1, 1 << 33 | 5):
        # the last of the half has a twin beyond it, which must join it
        draws = sorted((audit_draw(seed, int(i)), row) for row, i in enumerate(p.id) if p.label[row] >= 0)
        half = len(draws) // 2
        a, b = draws[half - 1][1], draws[half][1]
        p.id[b], p.label[b], p.pred[b] = p.id[a], p.label[a], p.pred[a]
        r = np.random.default_rng(seed)
        q = Predictions(p.id, p.label, r.choice(5, len(p.id)), p.prob, p.classes)
        for twin in range(len(q.id)):
            q.pred[twin] = q.pred[np.flatnonzero(q.id == q.id[twin])[0]]
        q = q.take(r.permutation(len(p.id)))
        names = f"half-p-{seed}", f"half-q-{seed}"
        p.write(names[0], cuts=(100,))
        q.write(names[1])
        wanted = evaluation(p, q, "gate", seed)
        check(wanted["rows"] == half + 1, "the twin is in the half")
        e = evaluate(binary, *names, "--evaluate.rows=gate", f"--seed={seed}", out=f"half-{seed}")
        agree(e, wanted, f"the gate's half, seed {seed}")
    check(wanted["confusion"] != evaluation(p, q, "gate", 1)["confusion"], "both seeds draw the same half")


def relabel(p, label):
    return Predictions(p.id, label, p.pred, p.prob, p.classes)


def refusals(binary):
    p, q = by_hand()
    relabelled = q.label.copy()
    relabelled[3] = 1 - relabelled[3]
    cases = relabel(q, relabelled), q.take(slice(0, 19)), Predictions(q.id, q.label, q.pred, q.prob, ["b", "a"])
    for i, them in enumerate(cases): # another label, a row less, the classes in another order
        them.write(f"refused-{i}")
        evaluate(binary, "hand-p", f"refused-{i}", out="refused", wanted=65)
    # all of one class, so that no label tells that the rows are not the same
    relabel(p, np.zeros(20)).write("one-class")
    for strange in (5, 999):
        q.id[3] = strange
        relabel(q, np.zeros(20)).write(f"strange-{strange}")
        evaluate(binary, "one-class", f"strange-{strange}", out="refused", wanted=65)
    q = by_hand()[1]
    for name in ("id", "pred"):
        q.write(f"their-{name}", without=(name,))
        evaluate(binary, "hand-p", f"their-{name}", out="refused", wanted=65)
    for name in ("id", "label", "pred", "prob"):
        p.write(f"lacking-{name}", without=(name,))
        evaluate(binary, f"lacking-{name}", out="refused", wanted=65)
    Predictions(p.id, np.full(20, -1), p.pred, p.prob, p.classes).write("no-label")
    evaluate(binary, "no-label", out="refused", wanted=65)
    Predictions(q.id, np.full(20, -1), q.pred, q.prob, q.classes).write("no-label-q")
    e = evaluate(binary, "no-label", "no-label-q", "--evaluate.empty=true", out="empty")
    agree([e["rows"], e["accuracy"], e["against"]["rows"], e["against"]["change"], e["against"]["low"]], [0, None, 0, None, None], "no label")
    agree(e["against"]["log_evidence"], 0.0, "no label")
    evaluate(binary, "hand-p", None, "--evaluate.rows=most", out="refused", wanted=78)
    lists(binary, p)


def lists(binary, p):
    """predictions.json must be the list that was digested, and say of each file what it holds; all files have the same columns"""
    p.write("cut", cuts=(7,))
    evaluate(binary, "cut", out="whole-list")
    index = pathlib.Path("cut/predictions.json")
    good = json.loads(index.read_text())
    index.write_text(json.dumps({**good, "files": good["files"][::-1]}))
    evaluate(binary, "cut", out="refused", wanted=77, said="its list of files has")
    files = [good["files"][0], {**good["files"][1], "rows": 14}]
    digest = hashlib.sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    index.write_text(json.dumps({**good, "files": files, "digest": digest}))
    evaluate(binary, "cut", out="refused", wanted=65, said="has 13 rows, but cut/predictions.json says 14")
    for name in ("label", "prob"): # a column kept in memory, and one of several values a row
        for i, text in enumerate((f"has '{name}', but the files before it do not", f"has no '{name}', but the files before it do")):
            p.write(f"odd-{name}-{i}", cuts=(7,), each={i: (name,)})
            evaluate(binary, f"odd-{name}-{i}", out="refused", wanted=65, said=text)


if __name__ == "__main__":
    binary, *names = sys.argv[1:]
    for part in tiny.chosen((known_constants, definitions, a_class_is_lost, sequences, the_gates_half, refusals), names):
        part(binary)
    print(f"{tiny.checks} checks passed")
