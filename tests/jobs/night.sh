#!/usr/bin/env bash
# A whole small night on generated images, under two ranks, cut off once and gone on with.
. "$(dirname "$0")/lib.sh"
"$images" idx train 2400 1 && "$images" idx test 400 2 || fail images
cat >dark.yaml <<'Y'
augment:
  - rotate: [40, 50]
  - brightness: 0.4
Y
cat >night.yaml <<'Y'
registry: night/registry
model: {blocks: [1, 1], width: 8}
train: {epochs: 3, precision: f32}
infer: {precision: f32}
retrain: {replay: 400}
drift: {permutations: 199}
gate: {old_floor: -0.2, old_estimate: -0.1}
ingest: {classes: [disc, square, stripes]}
night:
  train: train/images-idx3-ubyte
  test: test/images-idx3-ubyte
  split: {train: 1200, reference: 400, quiet: 400, changed: 400}
  audited: 200
  show_rollback: true
  nights: [{name: quiet}, {name: changed, recipe: dark.yaml}]
Y
# what is wrong with a later night is said before the first is prepared
sed 's/dark.yaml/missing.yaml/' night.yaml >bad.yaml
refuses 74 "missing.yaml" "$ns" night --config bad.yaml --out refused
printf 'augment: [{rotat: 5}]\n' >odd.yaml && sed 's/dark.yaml/odd.yaml/' night.yaml >bad.yaml
refuses 78 "rotat" "$ns" night --config bad.yaml --out refused
mpi 2 "$ns" night --config night.yaml --out night >log 2>&1
code=$?
[ $code = 0 ] || [ $code = 1 ] || { cat log; fail "the night exited $code"; }
ok
[ "$(field night/summary.json quiet_status)" = none ] || fail "the quiet night is $(field night/summary.json quiet_status)"
ok
case $(field night/summary.json changed_status) in harmful | material) ok ;; *) fail "the changed night is not seen" ;; esac
for f in night.html summary.json run.json quiet/drift.html changed/drift.json registry/refs/production; do
	[ -s night/$f ] || fail "night/$f is missing"
	ok
done
grep -Eq 'src="http|href="http|@import|<script' night/night.html && fail "the page reaches outside"
ok
quietly "$ns" registry verify --registry night/registry
quietly "$ns" report --night night
# what was published is not done again; a missing result is, to the same bytes
refuses 74 "this night is done" "$ns" night --config night.yaml --out night
cp night/changed/drift.json before.json
rm -rf night/run.json night/changed/drift
mv dark.yaml tonight.yaml && sed 's/0.4/0.5/' tonight.yaml >dark.yaml # tomorrow's
refuses 78 "was begun with other recipes" "$ns" night --config night.yaml --out night
mv tonight.yaml dark.yaml
# a night that was begun before recipes had versions has the first; the list of today is another recipe
cp night/night.json kept.json
"$python" - <<'P' || fail "night.json has no version"
import json
night = json.load(open("night/night.json"))
assert night["recipes"]["changed"]["version"] == 2, night
night["recipes"]["changed"] = night["recipes"]["changed"]["operations"]
json.dump(night, open("night/night.json", "w"))
json.dump({"augment": {"version": 1, "operations": night["recipes"]["changed"]}}, open("first.json", "w"))
P
refuses 78 "was begun with other recipes" "$ns" night --config night.yaml --out night --plan --night.open
mv dark.yaml tonight.yaml && cp first.json dark.yaml # JSON is YAML
quietly "$ns" night --config night.yaml --out night --plan --night.open
mv tonight.yaml dark.yaml && mv kept.json night/night.json
"$ns" night --config night.yaml --out night >log 2>&1
[ -s night/run.json ] || { cat log; fail "a cut off night does not go on"; }
same before.json night/changed/drift.json
# the device that a night has decided for holds for all its steps, whatever a node has
sim=$build/nightshift-sim
sed 's|night/registry|pinned/registry|; s/^infer:.*//' night.yaml >pinned.yaml
quietly "$sim" night --config pinned.yaml --out pinned --plan --night.open --night.tasks=1
for verb in train infer; do echo '{"schema": "nightshift.pin/1", "what": "device.'$verb'", "value": "cpu"}' >pinned/steps/device.$verb.json; done
for step in prepare/data prepare/test prepare/model prepare/test-predictions; do
	quietly "$sim" night --config pinned.yaml --out pinned --night.tasks=1 --step $step
done
[ "$(field pinned/prepare/model/run.json config.device)" = cpu ] || fail "training was not given the night's device"
for result in model test-predictions; do
	case $(field pinned/prepare/$result/run.json device) in *cudasim*) fail "prepare/$result ran on another device than its night's" ;; esac
done
case $(field pinned/steps/precision.infer.json value) in f32 | bf16) ;; *) fail "the night's precision was not kept" ;; esac
for measured in 0 1; do # what is decided is not measured again; and once nobody has decided, it is
	rm -r pinned/prepare/test-predictions
	quietly "$sim" night --config pinned.yaml --out pinned --night.tasks=1 --step prepare/test-predictions
	[ "$(grep -c '"event":"precision"' log)" = $measured ] || fail "$measured measurements of precision are wanted: $(cat log)"
	rm pinned/steps/precision.infer.json
done
ok
done_testing
