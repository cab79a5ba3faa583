#!/usr/bin/env bash
# Drift on anybody's HDF5: verdicts, the same p for any number of ranks, and columns that cannot be judged.
. "$(dirname "$0")/lib.sh"
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
r = np.random.default_rng(1)
def write(name, **columns):
    with h5py.File(name, "w") as f:
        for k, v in columns.items(): f[k] = v
n, d = 600, 24
a = r.normal(size=(n, d)).astype("f4")
write("ref.h5", embedding=a)
write("same.h5", embedding=r.normal(size=(n, d)).astype("f4"))
write("moved.h5", embedding=(r.normal(size=(n, d)) + .6).astype("f4"))
b = r.normal(size=(n, d)).astype("f4"); b[3, 5] = np.nan
write("nan.h5", embedding=b)
write("wide.h5", embedding=np.zeros((n, d + 1), "f4"))
write("one.h5", embedding=a[:1])
write("nothing.h5", other=a)
write("empty.h5", embedding=a[:0])
c = a.copy(); c[:, 0] = 7
write("stats-ref.h5", stats=c); write("stats-cur.h5", stats=c[::-1].copy())
write("ragged.h5", embedding=a, pred=np.zeros(n - 1, "i4"))
P
quietly "$ns" drift --reference ref.h5 --current same.h5 --out same
[ "$(field same/drift.json status)" = none ] || fail "the same distribution is seen as drift"
quietly "$ns" drift --reference ref.h5 --current moved.h5 --out moved
[ "$(field moved/drift.json status)" != none ] || fail "a shift of 0.6 in 24 dimensions is not seen"
"$python" - <<'P' || fail "MMD's p-value"
import json
t = {x["detector"]: x for x in json.load(open("moved/drift.json"))["tests"]}
assert t["mmd"]["p"] == 0.001, t["mmd"]
t = {x["detector"]: x for x in json.load(open("same/drift.json"))["tests"]}
assert t["mmd"]["p"] > 0.01, t["mmd"]
P
ok
for ranks in 2 3; do
	quietly mpi $ranks "$ns" drift --reference ref.h5 --current moved.h5 --out "moved-$ranks"
	same moved/drift.json "moved-$ranks/drift.json"
	quietly mpi $ranks "$ns" drift --reference ref.h5 --current same.h5 --out "same-$ranks"
	same same/drift.json "same-$ranks/drift.json"
done
"$ns" drift --reference ref.h5 --current moved.h5 --out code --exit-code >/dev/null 2>&1
[ $? = 1 ] || fail "--exit-code makes a finding 1"
ok
quietly "$ns" drift --reference ref.h5 --current same.h5 --out code0 --exit-code
quietly "$ns" drift --reference ref.h5 --current nan.h5 --out nan
grep -q 'no finite numbers' nan/drift.json || fail "NaN is not said"
quietly "$ns" drift --reference ref.h5 --current one.h5 --out one
grep -q 'at least two rows' one/drift.json || fail "one row is not said"
# the same embeddings as .npy, in both widths: the same answer
"$python" - <<'P' || fail "npy"
import h5py, numpy as np
for n in "ref", "moved":
    np.save(n + ".npy", h5py.File(n + ".h5")["embedding"][:])
np.save("wide.npy", np.load("moved.npy").astype("f8"))
np.save("turned.npy", np.asfortranarray(np.load("ref.npy"))); np.save("ints.npy", np.zeros((9, 3), "i4")); np.save("flat.npy", np.zeros(9, "f4"))
open("short.npy", "wb").write(open("ref.npy", "rb").read()[:-4]); open("text.npy", "w").write("embedding, 1, 2, 3")
P
for cur in moved wide; do
	quietly "$ns" drift --reference ref.npy --current $cur.npy --out npy-$cur
	"$python" -c 'import json,sys; a,b=(json.load(open(f)) for f in sys.argv[1:]); sys.exit(a["tests"] != b["tests"])' npy-$cur/drift.json moved/drift.json ||
		fail "$cur.npy is judged otherwise than moved.h5"
done
ok
refuses 65 "Fortran" "$ns" drift --reference turned.npy --current moved.npy --out refused
refuses 65 "descr is '<i4'" "$ns" drift --reference ref.npy --current ints.npy --out refused
refuses 65 "shape is (9,)" "$ns" drift --reference ref.npy --current flat.npy --out refused
refuses 65 "bytes of values" "$ns" drift --reference ref.npy --current short.npy --out refused
refuses 65 "not a file of numpy.save" "$ns" drift --reference ref.npy --current text.npy --out refused
quietly "$ns" drift --reference stats-ref.h5 --current stats-cur.h5 --out constant
grep -q 'is constant' constant/drift.json || fail "a constant column is not said"
"$python" -c 'import json,sys
for p in sys.argv[1:]: json.load(open(p), parse_constant=lambda x: sys.exit(p + " holds " + x))' ./*/drift.json || fail "drift.json holds NaN"
ok
refuses 65 "25" "$ns" drift --reference ref.h5 --current wide.h5 --out refused
refuses 65 "has none of the columns" "$ns" drift --reference ref.h5 --current nothing.h5 --out refused
refuses 65 "has no rows" "$ns" drift --reference ref.h5 --current empty.h5 --out refused
refuses 65 "pred" "$ns" drift --reference ref.h5 --current ragged.h5 --out refused
refuses 65 "no column in common" "$ns" drift --reference ref.h5 --current stats-cur.h5 --out refused
refuses 78 "cannot be reached" "$ns" drift --reference ref.h5 --current same.h5 --out refused --drift.permutations=19 --drift.alpha=0.01
[ "$(wc -c <moved/drift.html)" -lt 1048576 ] || fail "the page is over 1 MB"

# two data sets without predictions: their image statistics; a darker one has moved
"$images" idx src 500 7 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --ingest.split='{a: 240, b: 240}' --out day
quietly "$ns" augment --data day/b --augment='[{brightness: 0.5}]' --out dark
quietly "$ns" drift --reference day/a --current day/b --out same-images
[ "$(field same-images/drift.json status)" = none ] || fail "the same photography is seen as drift"
quietly mpi 2 "$ns" drift --reference day/a --current dark --out dark-images
[ "$(field dark-images/drift.json status)" = harmful ] && fail "nobody measured harm"
[ "$(field dark-images/drift.json status)" != none ] || fail "half the light is not seen"
quietly "$ns" drift --reference day/a --current day/b/shard-00000.h5 --out shard-images
ok

# a model whose accuracy fell on rows that a person labelled is harmed, whether or not its inputs moved
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
r = np.random.default_rng(3)
def write(name, right, model):
    n = 400
    label = r.integers(0, 3, n).astype("i4")
    pred = np.where(r.random(n) < right, label, (label + 1) % 3).astype("i4")
    prob = np.full((n, 3), 0.05, "f4"); prob[np.arange(n), pred] = 0.9
    with h5py.File(name, "w") as f:
        f["label"], f["pred"], f["prob"], f["id"] = label, pred, prob, np.arange(n, dtype="u8")
        f.attrs["model"] = model
        f["stats"] = r.normal(size=(n, 2)).astype("f4"); f["stats"].attrs["stats_names"] = ["x", "y"]
write("well.h5", 0.9, "a" * 64); write("well2.h5", 0.9, "a" * 64); write("ill.h5", 0.4, "a" * 64); write("other.h5", 0.9, "b" * 64)
with h5py.File("well2.h5", "r") as f, h5py.File("names.h5", "w") as g:
    for k in f: f.copy(k, g)
    g["stats"].attrs["stats_names"] = ["y", "x"]
e = r.normal(size=(300, 4)).astype("f4"); h5py.File("e.h5", "w")["embedding"] = e
e = r.normal(size=(300, 4)).astype("f4"); e[7] = np.nan; h5py.File("one-dead.h5", "w")["embedding"] = e
e[20:120] = np.nan; h5py.File("dead.h5", "w")["embedding"] = e
e[:] = np.nan; h5py.File("all-dead.h5", "w")["embedding"] = e
P
quietly "$ns" drift --reference well.h5 --current well2.h5 --out well
[ "$(field well/drift.json status)" = none ] || fail "$(field well/drift.json status) where nothing changed"
quietly "$ns" drift --reference well.h5 --current ill.h5 --out ill
[ "$(field ill/drift.json status)" = harmful ] || fail "a dead model is $(field ill/drift.json status)"
refuses 65 "two models" "$ns" drift --reference well.h5 --current other.h5 --out refused
refuses 65 "image statistic" "$ns" drift --reference well.h5 --current names.h5 --out refused
# one row that is no row of numbers is left out, a third of them are a shift by themselves, and so are all
for name in one-dead:none dead:material all-dead:material; do
	quietly "$ns" drift --reference e.h5 --current "${name%:*}.h5" --out "${name%:*}"
	[ "$(field "${name%:*}/drift.json" status)" = "${name#*:}" ] || fail "embeddings of NaN, $name: $(field "${name%:*}/drift.json" status)"
done

# a fall of ten points: of 4000 labelled rows it is harm; of 40, whose accuracy may have been 0.8 all along, it is none (Newcombe's interval).
# ATC: scores above the reference's third of ten, and not those that are it. Bursts of 1 to 9 frames count as many rows as the analysis of
# variance says
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
def write(name, columns, **more):
    with h5py.File(name + ".h5", "w") as f:
        for k, v in columns.items(): f[k] = v
        for k, v in more.items(): f["stats"].attrs[k] = v
def judged(name, n, right):
    r = np.random.default_rng(n)
    label = (np.arange(n) % 3).astype("i4"); pred = np.where(r.permutation(n) < right, label, (label + 1) % 3).astype("i4")
    write(name, dict(label=label, pred=pred, stats=np.linspace(0, 1, n)[r.permutation(n), None].astype("f4")), stats_names=["x"])
judged("many", 4000, 3600); judged("few", 40, 36); judged("fallen", 400, 320)
def sure(name, top, label):
    top = np.array(top, "f4"); prob = np.stack([top, 1 - top], 1)
    write(name, dict(prob=prob, pred=np.zeros(len(top), "i4"), label=np.array(label, "i4")))
sure("ten", [.52, .56, .61, .66, .71, .76, .81, .86, .91, .96], [1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
sure("five", [.61, .61, .56, .62, .99], [-1] * 5)
def bursts(name, seed, mean):
    r = np.random.default_rng(seed); scene = np.repeat(np.arange(40), 1 + np.arange(40) % 9); n = scene.size
    x = r.normal(size=40)[scene] + r.normal(size=n) + mean
    write(name, dict(stats=x[:, None].astype("f4"), group=np.zeros(n, "i4"), time=(100 * scene + np.arange(n)).astype("i8")), stats_names=["x"])
bursts("unequal", 1, 0); bursts("unequal2", 2, 0)
P
known=(--drift.self_test=0 --drift.permutations=19)
quietly "$ns" drift --reference many.h5 --current fallen.h5 "${known[@]}" --out surely
[ "$(field surely/drift.json status)" = harmful ] || fail "ten points less than 4000 rows had are $(field surely/drift.json status)"
quietly "$ns" drift --reference few.h5 --current fallen.h5 "${known[@]}" --out perhaps
[ "$(field perhaps/drift.json status)" = none ] || fail "ten points less than 40 rows had are $(field perhaps/drift.json status)"
quietly "$ns" drift --reference ten.h5 --current five.h5 "${known[@]}" --out atc
[ "$(field atc/drift.json performance.atc)" = 0.4 ] || fail "ATC is $(field atc/drift.json performance.atc), two of five are above the threshold"
quietly "$ns" drift --reference unequal.h5 --current unequal2.h5 "${known[@]}" --drift.sequence_seconds=5 --out unequal
"$python" - <<'P' || fail "the rows that bursts count for"
import h5py, json, numpy as np
s = json.load(open("unequal/drift.json"))["sequences"]
for name, side in ("unequal", "reference"), ("unequal2", "current"):
    with h5py.File(name + ".h5") as f:
        x, scene = f["stats"][:, 0].astype("f8"), f["time"][:] - np.arange(len(f["time"])) # 100 times the scene
    each = [x[scene == k] for k in np.unique(scene)]
    n, k, size = len(x), len(each), np.array([len(e) for e in each])
    between = sum(len(e) * (e.mean() - x.mean()) ** 2 for e in each) / (k - 1)
    within = sum(((e - e.mean()) ** 2).sum() for e in each) / (n - k)
    even = (n - (size ** 2).sum() / n) / (k - 1)
    alike = (between - within) / (between + (even - 1) * within)
    want = n / (1 + ((size ** 2).sum() / n - 1) * alike)
    assert s[side + "_blocks"] == k == 40 and .3 < alike < .9 and abs(s[side + "_effective"] - want) < 1e-6 * want, (s, want, alike)
P
ok

# rows that only together are unlike any before, beside three hundred columns that are as ever: heard, for they are corrected by themselves
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
for name, seed in ("signs-ref", 1), ("signs-same", 2), ("signs", 3):
    r = np.random.default_rng(seed); n = 600
    x = np.sign(r.normal(size=(n, 3)))
    if name == "signs": x[:, 2] = x[:, 0] * x[:, 1] # each two of them are independent, as before
    with h5py.File(name + ".h5", "w") as f:
        f["embedding"] = ((x + .3 * r.normal(size=(n, 3))) * [1, 1.4, 1.9]).astype("f4") # components are the axes
        f["stats"] = r.normal(size=(n, 300)).astype("f4"); f["stats"].attrs["stats_names"] = [f"s{i}" for i in range(300)]
P
quietly "$ns" drift --reference signs-ref.h5 --current signs-same.h5 --out signs-same
[ "$(field signs-same/drift.json status)" = none ] || fail "the same signs are $(field signs-same/drift.json status)"
quietly "$ns" drift --reference signs-ref.h5 --current signs.h5 --out signs --drift.min_effect=0.03
[ "$(field signs/drift.json status)" = material ] || fail "signs that depend on each other are $(field signs/drift.json status)"
"$python" - <<'P' || fail "signs"
import json
t = [x for x in json.load(open("signs/drift.json"))["tests"] if x["p_adjusted"] is not None and x["p_adjusted"] < .05]
assert [x["detector"] for x in t] == ["mmd"] and abs(t[0]["p_adjusted"] - .01) < 1e-9, t
P

# a policy holds keys of drift: alone, and the command line stays above it
printf 'drift: {alpha: 0.01}\n' >policy.yaml
quietly "$ns" drift --reference well.h5 --current well2.h5 --policy policy.yaml --out p1
[ "$(field p1/drift.json alpha)" = 0.01 ] || fail "the policy was not used"
quietly "$ns" drift --reference well.h5 --current well2.h5 --policy policy.yaml --drift.alpha=0.2 --out p2
[ "$(field p2/drift.json alpha)" = 0.2 ] || fail "the policy overruled the command line"
printf 'drift: {reference: nothing.h5, current: nothing.h5}\n' >policy.yaml
quietly "$ns" drift --reference well.h5 --current well2.h5 --policy policy.yaml --out p3
printf 'seed: 9\n' >policy.yaml
refuses 78 "expected only keys under drift" "$ns" drift --reference well.h5 --current well2.h5 --policy policy.yaml --out refused
# a baseline is compared with what its own model says, by the digest of the weights, and with nothing else
quietly "$ns" ingest src/images-idx3-ubyte --ingest.split='{train: 200, reference: 150, now: 150}' --out based
for seed in 1 2; do
	quietly "$ns" train --data based/train --calibrate based/reference --model.blocks='[1]' --model.width=4 --train.epochs=1 --train.precision=f32 --seed=$seed --out b$seed
done
quietly "$ns" infer --model b1 --data based/now --infer.precision=f32 --out now
quietly "$ns" drift --reference b1/baseline --current now --drift.permutations=19 --drift.self_test=0 --out own
refuses 65 "predicted by weights" "$ns" drift --reference b2/baseline --current now --out refused
done_testing
