#!/usr/bin/env bash
# Arrays: parts made by tasks of their own, merged to the bytes of one job; what is missing, foreign or damaged is refused. And a
# night step by step, each a process of its own: the bytes of the night in one go.
#
# Trimmed (NST_TRIM=1), which the sanitizers' build is: the night by its steps and its refusals stay; what it is compared with, the same
# night in one go, and a night of its own images are left out, as jobs.night runs that code under the sanitizers too.
. "$(dirname "$0")/lib.sh"
"$images" idx src 1000 7 && "$images" png photos 60 3 || fail images
for class in disc square; do echo "no image" >photos/$class/broken.png; done # item 20, of the third shard, and item 41, of the fifth
split=(--ingest.split='{x: 700, y: 300}' --ingest.shard_rows=100)
files_of() { (cd "$1" && find . -type f ! -name run.json | sort | xargs sha256sum); }
same_result() {
	diff <(files_of "$1") <(files_of "$2") >diff.log || { cat diff.log; fail "$1 and $2 differ"; }
	ok
}
quietly "$ns" ingest src/images-idx3-ubyte "${split[@]}" --name src --out whole
for i in 0 1 2; do quietly "$ns" ingest src/images-idx3-ubyte "${split[@]}" --name src --part $i/3 --out parts/0000$i; done
quietly "$ns" merge parts --out merged
same_result whole merged
# no split, two broken images: their tasks' quarantines are the whole's, in its order, and the later one is an earlier task's
quietly "$ns" ingest photos --ingest.shard_rows=10 --name photos --out photos-whole
for i in 0 1 2 3; do quietly mpi 2 "$ns" ingest photos --ingest.shard_rows=10 --name photos --part $i/4 --out photos.parts/0000$i; done
quietly "$ns" merge photos.parts --out photos-merged
same_result photos-whole photos-merged
[ "$(sed 's/.*"path":"\([^"]*\)".*/\1/' photos-merged/quarantine.jsonl | tr '\n' ' ')" = "disc/broken.png square/broken.png " ] ||
	fail "quarantine: $(cat photos-merged/quarantine.jsonl)"
# splits that were found: each task writes its part of each
"$images" png halves/train 24 5 && "$images" png halves/test 12 6 || fail images
quietly "$ns" ingest halves --ingest.shard_rows=5 --out halves-whole
for i in 0 1 2; do quietly "$ns" ingest halves --ingest.shard_rows=5 --part $i/3 --out halves.parts/0000$i; done
quietly "$ns" merge halves.parts --out halves-merged
same_result halves-whole halves-merged
[ "$(field halves-merged/train/dataset.json rows) $(field halves-merged/test/dataset.json rows)" = "24 12" ] || fail "$(ls halves-merged)"
grep -q square.broken photos.parts/00000/quarantine.jsonl && grep -q disc.broken photos.parts/00002/quarantine.jsonl || fail "the broken images lie otherwise"
[ "$(field photos-merged/run.json counts.refused)" = 2 ] && [ "$(field photos-merged/run.json counts.out)" = 60 ] || fail "counts"
ok
quietly "$ns" train --data whole/x --model.blocks='[1]' --model.width=4 --train.epochs=1 --out model
quietly "$ns" infer --infer.precision=f32 --data whole/x --model model --out p-whole
for i in 0 1 2 3; do quietly "$ns" infer --infer.precision=f32 --data whole/x --model model --part $i/4 --out p.parts/0000$i; done
quietly "$ns" merge p.parts --out p-merged
same_result p-whole p-merged
# more tasks than shards: some have nothing to do
for i in 0 1 2 3 4; do quietly "$ns" infer --infer.precision=f32 --data whole/y --model model --part $i/5 --out few.parts/0000$i; done
quietly "$ns" merge few.parts --out few
quietly "$ns" infer --infer.precision=f32 --data whole/y --model model --out few-whole
same_result few few-whole
"$python" - <<'P' || fail "counts of a merge"
import json
whole, merged = (json.load(open(f"{name}/run.json"))["counts"] for name in ("p-whole", "p-merged"))
assert whole.pop("rows_per_second") > 0 # speeds of tasks that need not run at once have no sum
assert merged == whole and merged["rows"] == 700, (merged, whole)
P
ok

refuses 64 "expected I/N" "$ns" infer --data whole/x --model model --part 4/4 --out refused
refuses 64 "name is required" "$ns" ingest photos --part 0/2 --out refused
mv p.parts/00002/run.json . # written, but never committed
refuses 74 "part 2 of 4 is not there" "$ns" merge p.parts --out refused
mv run.json p.parts/00002/
mv p.parts/00002 . && quietly "$ns" infer --infer.precision=f32 --data whole/x --model model --part 2/4 --infer.precision=f32 --infer.batch=64 --out p.parts/00002
refuses 65 "of other work" "$ns" merge p.parts --out refused
rm -r p.parts/00002 && mv 00002 p.parts/
# a part in another's place; and lists of files that somebody has changed: one in two parts, one that nobody has
mv p.parts/00002 . && cp -r p.parts/00001 p.parts/00002
refuses 65 "part.json: is part 1 of 4, expected 2 of 4" "$ns" merge p.parts --out refused
rm -r p.parts/00002
listed() { rm -rf p.parts/00002 && cp -r 00002 p.parts/00002 && "$python" -c "
import json, shutil
one, two = (json.load(open(f'p.parts/0000{i}/part.json')) for i in (1, 2))
$1
json.dump(two, open('p.parts/00002/part.json', 'w'))"; }
listed "two['files'] = one['files']; [shutil.copy('p.parts/00001/' + f['file'], 'p.parts/00002') for f in one['files']]"
refuses 65 "is in two parts" "$ns" merge p.parts --out refused
listed "del two['files'][0]"
refuses 65 "6 files in all parts, expected 7" "$ns" merge p.parts --out refused
rm -r p.parts/00002 && mv 00002 p.parts/
# the same words, but another model of that name when the task came to it
quietly "$ns" train --data whole/x --model.blocks='[1]' --model.width=4 --train.epochs=1 --seed=2 --out other-model
mv p.parts/00002 . && mv model first-model && mv other-model model && quietly "$ns" infer --infer.precision=f32 --data whole/x --model model --part 2/4 --out p.parts/00002
refuses 65 "of other work" "$ns" merge p.parts --out refused
rm -r p.parts/00002 && mv 00002 p.parts/
printf X | dd of="$(ls p.parts/00001/*.h5 | head -1)" bs=1 seek=4000 conv=notrunc 2>/dev/null
refuses 77 "was changed" "$ns" merge p.parts --out refused

# --- a night by its steps ---
export SOURCE_DATE_EPOCH=$(date +%s)
"$images" idx train 2400 1 && "$images" idx test 400 2 || fail images
printf 'augment:\n  - rotate: [40, 50]\n  - brightness: 0.4\n' >dark.yaml
cat >night.yaml <<'Y'
registry: night/registry
model: {blocks: [1, 1], width: 8}
train: {epochs: 3, precision: f32}
infer: {precision: f32}
retrain: {replay: 400}
drift: {permutations: 199}
gate: {old_floor: -0.2, old_estimate: -0.1}
ingest: {classes: [disc, square, stripes], shard_rows: 100}
night:
  train: train/images-idx3-ubyte
  test: test/images-idx3-ubyte
  split: {train: 1200, reference: 400, quiet: 400, changed: 400}
  audited: 200
  tasks: 3
  nights: [{name: quiet}, {name: changed, recipe: dark.yaml}]
Y
night() { "$ns" night --config night.yaml --out night "$@"; }
step() { quietly night --step "$@"; }
refuses 74 "prepare/model: cannot begin: prepare/data: has no commit record" night --step prepare/model
grep -q '"blocked"' night/steps/prepare.model.json || fail "a blocked step left no record"
refuses 64 "no step 'prepare/nothing'" night --step prepare/nothing
refuses 64 "is an array" night --step prepare/data.parts
night --plan >plan.tsv || fail plan
# whatever production predicts on the second night waits for the first one's gate, which may move it; what waits for data alone does not
[ "$(awk -F'\t' '("," $5 ",") ~ /,quiet\/gate,/ { printf "%s ", $1 }' plan.tsv)" = \
	"changed/predictions.parts changed/reference.parts changed/trial-predictions changed/production-test changed/first-test changed/final-before " ] ||
	fail "what comes after the first night's gate: $(cat plan.tsv)"
# what failed says whether it may go better another time: a folder that is not there may come back, images that are none stay so
first_of_test() { for key in state try_again starts; do field night/steps/prepare.test.parts.00000.json $key; done | paste -sd' '; }
mv test there
refuses 74 "no such file" night --step prepare/test.parts --task 0
[ "$(first_of_test)" = "failed True 1" ] || fail "a folder that is not there: $(first_of_test)"
cp -r there test && printf 'no images' >test/images-idx3-ubyte
refuses 65 "images-idx3-ubyte" night --step prepare/test.parts --task 0
[ "$(first_of_test)" = "failed False 2" ] || fail "images that are none: $(first_of_test)"
rm -r test && mv there test
while IFS=$'\t' read -r name stage tasks state after; do
	if [ "$tasks" = 0 ]; then
		step "$name"
	else
		for t in $(seq $((tasks - 1)) -1 0); do step "$name" --task $t; done
	fi
done <plan.tsv
for s in done skipped; do grep -lq "\"state\": \"$s\"" night/steps/*.json || fail "no step is $s"; done
[ "$(field night/steps/quiet.candidate.json state)" = skipped ] || fail "a quiet night retrained"
[ "$(field night/steps/changed.gate.json state)" = "done" ] || fail "the changed night's gate"
[ ! -e night/prepare/data.parts ] || fail "parts were left behind"
[ "$(first_of_test)" = "done False 3" ] || fail "two tries failed before the one that did it: $(first_of_test)"
ok
# again: nothing is done twice
before=$(find night -name run.json ! -path night/run.json | sort | xargs sha256sum | sha256sum)
for s in changed/candidate "prepare/data.parts --task 1" changed/gate quiet/drift; do step $s; done
[ "$before" = "$(find night -name run.json ! -path night/run.json | sort | xargs sha256sum | sha256sum)" ] || fail "a kept step did its work again"
ok
refuses 78 "begun with another configuration" night --step changed/gate --seed 2
if trimmed; then
	done_testing
	exit
fi
published() { (cd "$1" && find . -type f ! -name run.json ! -path './steps/*' ! -name night.html ! -name summary.json ! -path './registry/log/*' | sort | xargs sha256sum); }
mv night stepped
quietly mpi 2 "$ns" night --config night.yaml --out night
diff <(published stepped) <(published night) >diff.log || { cat diff.log; fail "step by step and in one go differ"; }
[ "$(published night | wc -l)" -gt 100 ] || fail "too few files were compared"
ok
diff <(grep -v seconds stepped/summary.json) <(grep -v seconds night/summary.json) || fail summary
ok

# a night of its own images, after a preparation done before
"$images" png tonight 200 9 >/dev/null
"$images" idx tonight-idx 300 9
cat >tonight.yaml <<'Y'
registry: night/registry
infer: {precision: f32}
drift: {permutations: 199}
ingest: {classes: [disc, square, stripes]}
night:
  prepared: night/prepare
  nights: [{name: tonight, source: tonight-idx/images-idx3-ubyte}]
Y
quietly "$ns" night --config tonight.yaml --out tonight-night
[ "$(field tonight-night/summary.json tonight_status)" = none ] || fail "the same kind of images drifted"
ok
[ ! -e tonight-night/prepare/model ] || fail "it prepared again"
ok
sed 's/tonight-idx.*ubyte/nowhere/; s/, source: [^}]*//' tonight.yaml >bad.yaml
refuses 78 "has no source" "$ns" night --config bad.yaml --out refused
done_testing
