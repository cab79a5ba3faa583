#!/usr/bin/env bash
# make.sh NIGHTSHIFT NUMBER: the files NAME-NUMBER.tar.gz of this folder, as that program writes them. A number that is there already is not
# made again: what it holds is read for ever.
set -eu
ns=$(realpath "$1") number=$2 to=$(cd "$(dirname "$0")" && pwd)
if ls "$to"/*-"$number".* >/dev/null 2>&1; then
	echo "make.sh: files of number $number are there, and stay as they are; choose the next" >&2
	exit 64
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-golden.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
export SOURCE_DATE_EPOCH=1700000000 USER=golden OMP_NUM_THREADS=1
small=(--model.blocks='[1]' --model.width=4 --train.epochs=4 --train.batch=8 --train.virtual_ranks=2 --train.precision=f32 --threads=1)
/usr/bin/python3 - "$to/../jobs" <<'P'
import os, pathlib, random, sys
sys.path.insert(0, sys.argv[1])
import tiny
draw = random.Random(2)
def photos(folder, rows, factor):
    for i in range(rows):
        name, base = (("cat", 70), ("dog", 150))[i % 2]
        path = pathlib.Path(folder, name, f"{i:02}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiny.png(8, 8, bytes(int(factor * (base + draw.randrange(80))) for _ in range(64))))
        os.utime(path, (0, 1_600_000_000 + i))
photos("photos", 40, 1)
photos("dark-photos", 40, 0.45)
photos("test-photos", 20, 1)
P
"$ns" ingest photos --out data --ingest.shard_rows=24 --ingest.group=north
"$ns" ingest dark-photos --out dark --ingest.shard_rows=24
"$ns" ingest test-photos --out kept --encoding encoded
for seed in 1 2 3; do "$ns" train --data data "${small[@]}" --seed=$seed --registry registry --out model-$seed; done
digest() { sha256sum "$1" | cut -c1-64; }
"$ns" registry promote production "$(digest model-1/model.json)" --registry registry --why 'the first'
"$ns" registry promote production "$(digest model-2/model.json)" --registry registry --why 'a second try'
"$ns" registry rollback production --registry registry --why 'the first was better'
infer=(--registry registry --infer.precision=f32 --threads=1)
"$ns" infer --data data "${infer[@]}" --out predictions
"$ns" infer --data dark "${infer[@]}" --out dark-predictions
drift=(--drift.history=history --drift.self_test=0 --drift.permutations=19 --registry registry --threads=1)
"$ns" drift --reference predictions --current predictions "${drift[@]}" --out quiet
SOURCE_DATE_EPOCH=1700086400 "$ns" drift --reference predictions --current dark-predictions "${drift[@]}" \
	--current-data dark --replay-data data \
	--drift.emit=material --retrain.replay=20 --retrain.epochs='[1, 1]' --retrain.confidence=0.5 --out retrain
# a manifest has whole paths and ends after a week: here it is of the folder that it is executed in, and has no end
/usr/bin/python3 - <<'P'
import json
m = json.load(open("retrain/retrain.json"))
for d in m["predicate"]["data"]["datasets"]: d["path"] = d["path"].rsplit("/", 1)[1]
m["predicate"]["budget"]["expires"] = 253_370_764_800
json.dump(m, open("retrain/retrain.json", "w"))
P
# a training that stopped in its third epoch of four, and the weights that it came to
"$ns" train --data data "${small[@]}" --seed=7 --train.checkpoint_steps=4 --train.val data --registry other --out trained
mkdir -p checkpoint/stopped.partial/checkpoint
echo '{"schema": "nightshift.partial/1", "verb": "train"}' >checkpoint/stopped.partial/partial.json
cp trained/checkpoint/00000012.* checkpoint/stopped.partial/checkpoint/
cp trained/model.safetensors checkpoint/final.safetensors
cp trained/metrics.jsonl checkpoint/final.jsonl
# a night that was cut off before its verdict
cat >night.yaml <<'Y'
registry: night/registry
model: {blocks: [1], width: 4}
train: {epochs: 4, batch: 8, virtual_ranks: 2, precision: f32}
infer: {precision: f32}
drift: {permutations: 19, self_test: 0}
device: cpu
threads: 1
ingest: {classes: [cat, dog]}
night:
  train: photos
  test: test-photos
  split: {train: 20, reference: 10, quiet: 10}
  nights: [{name: quiet}]
Y
"$ns" night --config night.yaml --out night
rm -r night/run.json night/summary.json night/night.html night/quiet/drift*
rm night/steps/{report,quiet.drift,quiet.cand*,quiet.prod*,quiet.gate*}.json
sed -i 's/"host": ".*"/"host": "node1"/' night/steps/*.json
mv model-1 model
pack() {
	local name=$1
	shift
	tar -c --sort=name --mtime=@1600000000 --owner=0 --group=0 --numeric-owner "$@" | gzip -9n >"$to/$name-$number.tar.gz"
}
pack data data dark kept
pack predictions predictions dark-predictions
pack model model
pack registry registry
pack checkpoint checkpoint
pack history history
pack retrain retrain/retrain.json retrain/selection.h5
pack night night night.yaml
ls -l "$to"
