#!/usr/bin/env bash
# Shards by known answers: every stretch's checksum, and groups and times from the images up to the verdict.
. "$(dirname "$0")/lib.sh"
known() { "$python" "$here/ingest_known.py" "$@" >known.log 2>&1 || { cat known.log >&2; fail "ingest_known.py $*"; }; ok; }

known make_encoded encoded + make_tiny tiny + make_windows
quietly "$ns" ingest encoded --encoding encoded --out kept
quietly "$ns" ingest tiny/images-idx3-ubyte --ingest.classes='[a, b]' --ingest.shard_rows=300000 --out many
known damage "$ns" many augment + damage "$ns" kept drift
# groups and times
small=(--model.blocks='[1]' --model.width=4 --train.epochs=1 --train.batch=8 --train.virtual_ranks=2 --train.precision=f32 --threads=1)
for w in reference window; do quietly "$ns" ingest $w-photos --ingest.shard_rows=40 --out $w; done
known group_windows
quietly "$ns" train --data reference "${small[@]}" --out model
for w in reference window; do quietly "$ns" infer --data $w --model model --infer.precision=f32 --out $w-predictions; done
drift=(--drift.self_test=0 --drift.permutations=19 --drift.sequence_seconds=3)
quietly "$ns" drift --reference reference-predictions --current window-predictions "${drift[@]}" --out verdict
quietly "$ns" drift --reference reference --current window "${drift[@]}" --out of-images
known check_windows reference-predictions reference reference + check_windows window-predictions window window + check_drift verdict + \
	check_drift of-images
done_testing
