#!/usr/bin/env bash
# 60,000 real photographs, JPEG files in class folders in a zstd tar: taken in whole, learned from, and the same on two ranks.
. "$(dirname "$0")/lib.sh"
tar=${NS_DATA:-$here/../../../shared/data}/cifar10-jpeg.tar.zst
[ -e "$tar" ] || { echo "SKIPPED: $tar is not there (NS_DATA names the folder)"; exit 77; }
quietly "$ns" ingest "$tar" --name cifar --out all
[ "$(field all/dataset.json rows)" = 60000 ] || fail "$(field all/dataset.json rows) rows, wanted 60000"
[ "$(field all/dataset.json classes | tr -d "[],'" | wc -w)" = 10 ] || fail "classes: $(field all/dataset.json classes)"
[ ! -s all/quarantine.jsonl ] || fail "good images were refused: $(head -1 all/quarantine.jsonl)"
ok
quietly mpi 2 "$ns" ingest "$tar" --name cifar --out again
same all/shard-00000.h5 again/shard-00000.h5
"$python" - <<'P' || fail "h5py reads other images"
import h5py, json
rows = 0
for s in json.load(open("all/dataset.json"))["shards"]:
    f = h5py.File("all/" + s["file"], "r")
    assert f["image"].shape[1:] == (32, 32, 3) and f["image"].dtype == "u1", f["image"]
    assert set(f["label"][:]) <= set(range(10))
    assert 90 < f["image"][:2000].mean() < 150, "these are not photographs"
    rows += len(f["label"])
assert rows == 60000, rows
P
ok
# a few hundred steps of a small network must do better than chance by far
quietly "$ns" ingest "$tar" --ingest.split='{train: 12800, val: 2000}' --out split
quietly mpi 2 "$ns" train --data split/train --val split/val --model.blocks='[1, 1, 1]' --model.width=8 --train.epochs=2 \
	--augment='[{crop: {padding: 4}}, {flip: 0.5}]' --out model
"$python" - <<'P' || fail "it did not learn: $(tail -1 model/metrics.jsonl)"
import json
v = json.loads(open("model/metrics.jsonl").readlines()[-1])
assert v["val_accuracy"] > 0.35, v
P
ok
done_testing
