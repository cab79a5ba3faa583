#!/usr/bin/env bash
# Drift that a person can act on: which group moved, which class suffers, guarded slices, and what many nights add up to.
. "$(dirname "$0")/lib.sh"
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
r = np.random.default_rng(5)
names = ["brightness", "contrast", "saturation", "sharpness", "noise", "dark", "bright"]
def window(name, n=1200, dark=0.0, groups=(), ill=None, mix=None, labels=True, seed=0):
    r = np.random.default_rng(seed)
    label = r.choice(4, n, p=mix).astype("i4"); group = r.integers(0, 4, n).astype("i4")
    right = np.where((label == ill) if ill is not None else False, 0.3, 0.9)
    pred = np.where(r.random(n) < right, label, (label + 1) % 4).astype("i4")
    top = np.clip(r.normal(.9, .04, n), .5, .99); top = np.where(label == ill, top - .3, top) if ill is not None else top
    prob = np.repeat(((1 - top) / 3)[:, None], 4, 1); prob[np.arange(n), pred] = top
    stats = r.normal(size=(n, 7)); hit = np.isin(group, groups)
    stats[hit, 0] -= dark; stats[hit, 3] -= dark / 2
    with h5py.File(name, "w") as f:
        f["label"], f["pred"], f["group"], f["id"] = (label if labels else np.full(n, -1, "i4")), pred, group, np.arange(n, dtype="u8")
        f["prob"] = prob.astype("f4"); f["stats"] = stats.astype("f4"); f["stats"].attrs["stats_names"] = names
        f["embedding"] = (r.normal(size=(n, 12)) + .3 * dark * hit[:, None]).astype("f4")
        f.attrs["classes"] = ["ant", "bag", "cat", "dog"]
        f.attrs["model"] = "a" * 64
window("ref.h5", seed=1)
for k in range(6): window(f"calm{k}.h5", seed=10 + k)
window("moved.h5", dark=2.0, groups=(3,), ill=1, seed=2)
window("unseen.h5", dark=2.0, groups=(3,), labels=False, seed=3)
window("ill.h5", ill=1, seed=4)
window("mix.h5", mix=[.55, .15, .15, .15], labels=False, seed=6)
window("tiny.h5", n=12, seed=7)
P

# who moved and who suffers, in words and by name
quietly "$ns" drift --reference ref.h5 --current moved.h5 --out moved
"$python" - <<'P' || fail "attribution"
import json
d = json.load(open("moved/drift.json")); s = {x["slice"]: x for x in d["slices"]}
print(d["summary"])
assert d["status"] == "harmful", d["status"]
assert d["summary"].startswith("Images became darker and blurrier, mostly group 3; class cat suffers most (accuracy "), d["summary"]
assert s["group 3"]["status"] in ("material", "harmful") and s["group 3"]["column"] == "brightness", s["group 3"]
assert all(s[f"group {g}"]["column"] == "confidence" and s[f"group {g}"]["moved"] < .35 for g in range(3)), s
t = [x for x in d["tests"] if x["slice"] == "group 3" and x["column"] == "brightness"]
assert len(t) == 1 and t[0]["effect"] > .5 and t[0]["p_adjusted"] < 1e-6, t
by = {(x["detector"], x["column"]): x for x in d["tests"] if x["slice"] == "all"}
w = by["wasserstein", "brightness"]
assert abs(w["effect"] - 2 / 4) < .12 and w["effect_low"] < .5 < w["effect_high"], w   # a quarter of the rows is 2 deviations darker
assert by["energy", "embedding"]["p"] == .001 and by["c2st", "embedding"]["p"] < .01, (by["energy", "embedding"], by["c2st", "embedding"])
assert by["wasserstein", "brightness"]["status"] == by["fid", "embedding"]["status"] == "descriptive"
assert set(d["methods"]) == {x["detector"] for x in d["tests"]} and all(m["source"] and m["meaning"] for m in d["methods"].values())
P
ok
[ "$(wc -c <moved/drift.html)" -lt 1048576 ] || fail "the page is over 1 MB"
for said in 'mostly group 3' 'Slices' 'classifier two-sample test' 'What the words mean'; do
	grep -q "$said" moved/drift.html || fail "the page does not say '$said'"
done
grep -qiE '<script|src="http|href="http|@import|url\(' moved/drift.html && fail "the page asks for something from elsewhere"
ok
quietly mpi 2 "$ns" drift --reference ref.h5 --current moved.h5 --out moved-2
same moved/drift.json moved-2/drift.json

# a guarded slice makes the whole window harmful; a name that nobody has is said
quietly "$ns" drift --reference ref.h5 --current ill.h5 --out ill --drift.tolerance=0.4
[ "$(field ill/drift.json status)" = harmful ] && fail "on the whole, accuracy did not fall by 0.4"
quietly "$ns" drift --reference ref.h5 --current ill.h5 --out guarded --drift.tolerance=0.4 --drift.guarded='[class cat, group 9]'
grep -q "'group 9'" log || fail "a guarded slice without rows is not said"
refuses 78 "expected names" "$ns" drift --reference ref.h5 --current ill.h5 --out refused --drift.guarded='[1]'
refuses 78 "expected a list of names" "$ns" drift --reference ref.h5 --current ill.h5 --out refused --drift.guarded='group 1'
refuses 78 "expected a list" "$ns" drift --reference ref.h5 --current ill.h5 --out refused --drift.detectors=ks
refuses 78 "'f' is no detector" "$ns" drift --reference ref.h5 --current ill.h5 --out refused --drift.detectors='[ks, f]'
quietly "$ns" drift --reference ref.h5 --current moved.h5 --out support --drift.detectors='[cvm, g]'
grep -q 'names none that decides' support/drift.json || fail "that nothing decides is not said"

# more of one class and nothing else: the weights say how much, the interval holds the truth
quietly "$ns" drift --reference ref.h5 --current mix.h5 --out mix
"$python" - <<'P' || fail "label shift"
import json
l = json.load(open("mix/drift.json"))["label_shift"]
for w, low, high, true in zip(l["weights"], l["low"], l["high"], (2.2, .6, .6, .6)):
    assert low <= w <= high and low - .1 < true < high + .1, (w, low, high, true)
P
ok

# a window too small for chi-square's table is permuted, and says so; slices of too few rows are not tested
quietly "$ns" drift --reference ref.h5 --current tiny.h5 --out tiny
grep -q 'expected fewer than five times' tiny/drift.json || fail "small counts are not said"
"$python" - <<'P' || fail "a tiny window"
import json
d = json.load(open("tiny/drift.json"), parse_constant=lambda x: 1 / 0)
assert all(s["status"] == "untested" for s in d["slices"]) and d["status"] != "harmful", d["status"]
P
ok
quietly "$ns" drift --reference ref.h5 --current calm0.h5 --out few --drift.slices=false --drift.projections=5
"$python" - <<'P' || fail "projections"
import json
d = json.load(open("few/drift.json"))
assert d["slices"] == [] and sum(t["column"].startswith("projection ") and t["detector"] == "ks" for t in d["tests"]) == 5
P
ok

# the reference against itself: the share of alarms; sound detectors stay at alpha
"$python" - <<'P' || fail "the self-test"
import json
d = json.load(open("moved/drift.json"))["self_test"]
assert set(d) == {"ks", "cvm", "chi2", "mmd", "c2st", "all that decide"}, d
assert all(x["rounds"] == 40 and x["low"] <= .05 for x in d.values()), d
P
ok
quietly "$ns" drift --reference calm1.h5 --current calm2.h5 --out self --drift.self_test=0
[ "$(field self/drift.json self_test)" = "{}" ] || fail "a self-test that nobody asked for"

# bursts of a camera: thirty scenes of twenty frames are not six hundred images. Without sequences anything is drift; with them
# nothing is that is none, and a shift is still seen
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
def bursts(name, seed, shift=0.0):
    r = np.random.default_rng(seed); scenes, frames = 30, 20
    scene = np.repeat(np.arange(scenes), frames); n = scene.size
    with h5py.File(name, "w") as f:
        f["stats"] = (r.normal(size=(scenes, 2))[scene] + .3 * r.normal(size=(n, 2)) + shift).astype("f4"); f["stats"].attrs["stats_names"] = ["x", "y"]
        f["embedding"] = (r.normal(size=(scenes, 6))[scene] + .3 * r.normal(size=(n, 6)) + shift).astype("f4")
        kind = (r.random(scenes) < .5)[scene]
        f["pred"] = np.where(r.random(n) < .9, kind, ~kind).astype("i4")
        f["group"] = (scene % 3).astype("i4"); f["time"] = (scene * 1000 + np.tile(np.arange(frames), scenes)).astype("i8")
        f["id"] = np.arange(n, dtype="u8")
bursts("scenes.h5", 1); bursts("shifted.h5", 99, 2.0)
for k in range(5): bursts(f"scenes{k}.h5", 20 + k)
P
alarms=0
for k in 0 1 2 3 4; do
	quietly "$ns" drift --reference scenes.h5 --current scenes$k.h5 --out "naive$k" --drift.self_test=0
	[ "$(field "naive$k/drift.json" status)" = none ] || alarms=$((alarms + 1))
	quietly "$ns" drift --reference scenes.h5 --current scenes$k.h5 --out "bursts$k" --drift.self_test=0 --drift.sequence_seconds=60
	[ "$(field "bursts$k/drift.json" status)" = none ] || fail "scenes that differ by chance are $(field "bursts$k/drift.json" status)"
done
[ $alarms -ge 4 ] || fail "only $alarms of 5 windows of bursts alarm when frames are taken as independent: this test shows nothing"
quietly "$ns" drift --reference scenes.h5 --current shifted.h5 --out shifted --drift.sequence_seconds=60
[ "$(field shifted/drift.json status)" = material ] || fail "a shift of two deviations in bursts is $(field shifted/drift.json status)"
"$python" - <<'P' || fail "sequences"
import json
s = json.load(open("shifted/drift.json"))["sequences"]
assert s["reference_blocks"] == s["current_blocks"] == 30 and 25 < s["reference_effective"] < 60, s
# Wasserstein's interval knows it too: it reaches down to no distance at all, where frames by themselves would be sure of one
def low(name):
    return [t["effect_low"] for k in range(5) for t in json.load(open(f"{name}{k}/drift.json"))["tests"] if t["detector"] == "wasserstein" and t["kind"] == "input"]
naive, bursts = low("naive"), low("bursts")
assert sum(x > 0 for x in naive) >= 8 and sum(x > 0 for x in bursts) <= 2, (naive, bursts)
P
# the self-test finds it out by itself where rows have times
quietly "$ns" drift --reference scenes.h5 --current scenes1.h5 --out found
grep -q 'what was taken together is alike' found/drift.json || fail "a reference of bursts is not found out: $(field found/drift.json self_test)"
quietly "$ns" drift --reference scenes.h5 --current scenes1.h5 --out told --drift.sequence_seconds=60
grep -q 'what was taken together is alike' told/drift.json && fail "sequences that are known are found out: $(field told/drift.json self_test)"
quietly mpi 2 "$ns" drift --reference scenes.h5 --current shifted.h5 --out shifted-2 --drift.sequence_seconds=60
same shifted/drift.json shifted-2/drift.json
# one sequence a side: it counts as one row, and nothing can be said of it
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
for k in range(2):
    r = np.random.default_rng(k)
    with h5py.File(f"one{k}.h5", "w") as f:
        f["stats"] = r.normal(size=(300, 1)).astype("f4"); f["stats"].attrs["stats_names"] = ["x"]
        f["group"] = np.zeros(300, "i4"); f["time"] = np.arange(300, dtype="i8"); f["pred"] = np.full(300, k, "i4")
        f["label"] = np.where(np.arange(300) < 200 - 100 * k, k, 1 - k).astype("i4"); f["prob"] = np.tile([.5, .5], (300, 1)).astype("f4")
P
quietly timeout 60 "$ns" drift --reference one0.h5 --current one1.h5 --out one --drift.sequence_seconds=60
[ "$(field one/drift.json status)" = none ] || fail "one sequence beside one other is $(field one/drift.json status)"
refuses 65 "group and time" "$ns" drift --reference ref.h5 --current calm1.h5 --out refused --drift.sequence_seconds=60

# many nights: a window judged twice counts once, and its answer stays what it was
for k in 0 1 2 3 4 5; do
	quietly env SOURCE_DATE_EPOCH=$((1000000 + 86400 * k)) "$ns" drift --reference ref.h5 --current calm$k.h5 --out night$k --drift.history=past
	[ "$(field night$k/drift.json status)" = none ] || [ "$(field night$k/drift.json status)" = statistical ] || fail "night $k: $(field night$k/drift.json status)"
done
quietly env SOURCE_DATE_EPOCH=2000000 "$ns" drift --reference ref.h5 --current calm2.h5 --out again --drift.history=past
same night2/drift.json again/drift.json
[ "$(ls past | wc -l)" = 6 ] || fail "a window that was judged twice is counted twice: $(ls past)"
seventh() { env SOURCE_DATE_EPOCH=$((1000000 + 86400 * 6)) "$ns" drift --reference ref.h5 --drift.history=past "$@"; }
quietly seventh --current moved.h5 --out night6
"$python" - <<'P' || fail "the alarm budget"
import json
d = json.load(open("night6/drift.json"))
# of a pool without dates a change of one group of four is not seen in its first week; labels show the harm
assert d["status"] == "harmful" and d["decided_by"] == "the measured accuracy fell" and d["alarm_budget"]["alarms_before"] == 0, d["decided_by"]
assert d["same_night"] and d["accuracy"]["all"]["harmful"] and d["next"]["do"] == "look", d["next"]
assert not d["manifest"]["emit"] and "do not say what to select from" in d["manifest"]["because"], d["manifest"]
import glob
for f in glob.glob("past/*.json"):              # as if it had come with data to select from
    line = json.load(open(f))
    if line["window"] == 7:
        assert line["alarm"] and not line["emitted"], line
        line["emitted"] = True
        json.dump(line, open(f, "w"))
P
ok
grep -q 'Window 7 of this history' night6/drift.html || fail "the page does not show past windows"
eighth() { env SOURCE_DATE_EPOCH=$((1000000 + 86400 * 7)) "$ns" drift --reference ref.h5 --current ill.h5 --drift.history=past "$@"; }
cp -r past before
why() { field "$1/drift.json" manifest.because; }
quietly eighth --out wait --drift.hysteresis=3
why wait | grep -q '2 windows in a row called for it, drift.hysteresis wants 3' || fail "hysteresis: $(why wait)"
rm -r past && cp -r before past
quietly eighth --out cool --drift.cooldown_days=7
why cool | grep -q 'the last manifest is 1.0 days old' || fail "cool-down: $(why cool)"
rm -r past && cp -r before past
quietly eighth --out spent --drift.budget=1
why spent | grep -q '1 manifests in the last 30 days' || fail "budget: $(why spent)"
[ "$(field spent/drift.json manifest.emit)" = False ] || fail "the budget was overdrawn"
# thirty days after the one manifest it is none of the last thirty days; a second before, it is
for left in 0 1; do
	rm -r past && cp -r before past
	quietly env SOURCE_DATE_EPOCH=$((1000000 + 86400 * 36 - left)) "$ns" drift --reference ref.h5 --current ill.h5 --drift.history=past --out month$left --drift.budget=1
done
why month0 | grep -q 'do not say what to select from' || fail "a budget of thirty days counts a manifest of long ago: $(why month0)"
why month1 | grep -q '1 manifests in the last 30 days' || fail "budget, in the last second: $(why month1)"
ok
echo '{"schema": "other"}' >past/000000000000-x.json
refuses 65 "past/000000000000-x.json" "$ns" drift --reference ref.h5 --current ill.h5 --out refused --drift.history=past
done_testing
