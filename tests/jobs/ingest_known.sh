#!/usr/bin/env bash
# Ingest by known answers: copies by pixels, histogram, order, times, split, scaling.
. "$(dirname "$0")/lib.sh"
export TZ=XYZ-9 # times are UTC wherever the machine stands
known() { "$python" "$here/ingest_known.py" "$@" >known.log 2>&1 || { cat known.log >&2; fail "ingest_known.py $*"; }; ok; }
known make_photos photos 0 + make_photos again 1 + make_list list.txt + make_tar photos.tar + make_encoded encoded + make_idx idx + \
	make_scaled big
# a folder: what is in it decides, and neither the order in which files were made nor the number of ranks nor who wrote which shard
how=(--name photos --ingest.shard_rows=4 --ingest.group='camera 7')
quietly "$ns" ingest photos "${how[@]}" --out one
quietly "$ns" ingest again "${how[@]}" --out other
quietly mpi 3 "$ns" ingest photos "${how[@]}" --out ranks
for i in 0 1; do quietly "$ns" ingest photos "${how[@]}" --part $i/2 --out parts/0000$i; done
quietly "$ns" merge parts --out merged
for d in other ranks merged; do
	[ "$(field $d/dataset.json digest)" = "$(field one/dataset.json digest)" ] || fail "$d has other shards than one"
	ok
done
quietly "$ns" ingest photos --name photos --ingest.shard_rows=5 --ingest.group='camera 7' --out five
quietly "$ns" ingest photos --ingest.classes='[bee, nobody, ant]' --ingest.shard_rows=4 --out given
quietly "$ns" ingest list.txt --ingest.shard_rows=2 --out listed
quietly "$ns" ingest photos.tar --ingest.shard_rows=2 --out tarred
quietly "$ns" ingest encoded --encoding encoded --out kept
split=(--ingest.classes='[p, q, r, s, t]' --ingest.shard_rows=16
	--ingest.split='{train: 50, held-out: 20, night: 17}' --ingest.labelled='{night: 6}')
quietly "$ns" ingest idx/images-idx3-ubyte.gz "${split[@]}" --out split
quietly mpi 2 "$ns" ingest idx/images-idx3-ubyte.gz "${split[@]}" --seed=123456789012 --out other-split
quietly "$ns" ingest big --size 12x16 --out scaled
known check_photos one 4 + check_photos merged 4 + check_photos five 5 + check_given_classes given + check_list listed + \
	check_tar tarred + check_encoded kept + check_split split 1 16 + check_split other-split 123456789012 16 + check_scaled scaled
# images that are scaled when they are read
quietly "$ns" ingest big --encoding encoded --out unscaled
small=(--model.blocks='[1]' --model.width=4 --train.epochs=1 --train.batch=2 --train.virtual_ranks=1 --train.precision=f32)
quietly "$ns" train --data scaled "${small[@]}" --out scaler
for d in scaled unscaled; do quietly "$ns" infer --data $d --model scaler --infer.precision=f32 --out p-$d; done
known check_scaled_later p-scaled p-unscaled
done_testing
