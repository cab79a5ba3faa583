#!/usr/bin/env bash
# Old files (tests/golden) open for ever, and mean what they meant: shards, predictions, a model, a registry, a checkpoint, a history, a
# retrain manifest, a night that was cut off.
. "$(dirname "$0")/lib.sh"
export SOURCE_DATE_EPOCH=1700172800
known() { "$python" "$here/golden.py" "$@" >known.log 2>&1 || { cat known.log >&2; fail "golden.py $*"; }; ok; }
for f in "$here"/../golden/*-2.tar.gz; do tar -xzf "$f" || fail "$f"; done
gunzip -c "$here/../golden/shard-1.h5.gz" >old-1.h5 || fail "gunzip"
gunzip -c "$here/../golden/predictions-1.h5.gz" >old-predictions-1.h5 || fail "gunzip"
for f in "$here"/../golden/*.gz; do
	[ "$(stat -c %s "$f")" -lt 51200 ] || fail "$f has more than 50 KiB"
done
# data sets and shards
for d in old-1.h5 data dark; do quietly "$ns" augment --data $d --augment='[{flip: 0}]' --out copy-${d%.h5}; done
known check_shard old-1 copy-old-1 + check_shard data copy-data + check_shard dark copy-dark
# registry, model and predictions
infer=(--registry registry --infer.precision=f32 --threads=1)
cp -r registry registry-before
quietly "$ns" infer --data kept "${infer[@]}" --out kept-predictions
quietly "$ns" infer --data data "${infer[@]}" --out by-ref-predictions
quietly "$ns" infer --data data --model model "${infer[@]}" --out by-folder-predictions
for p in predictions dark-predictions old-predictions-1.h5; do quietly "$ns" evaluate --predictions $p --out evaluation-${p%.h5}; done
known check_encoded kept-predictions + check_model by-ref-predictions predictions + check_model by-folder-predictions predictions + \
	check_evaluation evaluation-predictions 40 40 + check_evaluation evaluation-dark-predictions 20 40 + \
	check_evaluation evaluation-old-predictions-1 4 12
quietly "$ns" registry verify --registry registry
known check_registry registry 0
quietly "$ns" registry promote production 4cf760fa9cc9 --why 'once more' --registry registry
known check_registry registry 1
quietly "$ns" registry gc --registry registry
quietly "$ns" registry verify --registry registry
known check_collected registry
rm -rf registry && mv registry-before registry
# a checkpoint is gone on with
small=(--model.blocks='[1]' --model.width=4 --train.epochs=4 --train.batch=8 --train.virtual_ranks=2 --train.precision=f32 --threads=1)
cp -r checkpoint/stopped.partial taken-up.partial
quietly "$ns" train --data data "${small[@]}" --seed=7 --train.val data --registry other --out taken-up
grep -q '"event":"resumed".*"step":12' log || { cat log >&2; fail "the checkpoint was not taken up"; }
known check_continued taken-up checkpoint
# a history: a window of before counts once, a new one is the third
cp -r history history-before
drift=(--drift.history=history --drift.self_test=0 --drift.permutations=19 --registry registry --threads=1)
quietly "$ns" drift --reference predictions --current dark-predictions "${drift[@]}" --current-data dark --replay-data data \
	--drift.emit=material --retrain.replay=20 --retrain.epochs='[1, 1]' --retrain.confidence=0.5 --out judged-again
known check_history judged-again 2 0 + check_again history-before history
same retrain/selection.h5 judged-again/selection.h5
quietly "$ns" drift --reference predictions --current predictions "${drift[@]}" --out first-again # what came later is none of its past
known check_history first-again 1 0
quietly "$ns" drift --reference predictions --current kept-predictions "${drift[@]}" --out third
known check_history third 3 1
# a manifest is executed
quietly "$ns" train --manifest retrain/retrain.json "${small[@]}" --registry registry --out retrained
known check_retrained retrained retrain/retrain.json
# a night goes on
cp -r night night-before
"$ns" night --config night.yaml --out night --plan --night.tasks=1 >plan.txt || fail "the plan of an old night"
quietly "$ns" night --config night.yaml --out night
known check_plan plan.txt + check_night night night-before
quietly "$ns" report --night night
done_testing
