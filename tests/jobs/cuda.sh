#!/usr/bin/env bash
# Jobs on a device with memory of its own: the CUDA backend, here on the simulator. The same bits for any number of ranks,
# close to what the processor computes, and refused by name where there is no such device.
. "$(dirname "$0")/lib.sh"
sim=$build/nightshift-sim
"$images" idx src 160 7 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data --ingest.shard_rows=100
settings=(--data data --model.blocks='[1]' --model.width=4 --train.epochs=1 --train.batch=16 --train.lr=0.05 --threads=1
	--augment='[{crop: {padding: 2}}, {rotate: [-10, 10]}, {brightness: [0.8, 1.2]}]')
for precision in f32 bf16; do
	quietly "$sim" train "${settings[@]}" --device=cuda --train.precision=$precision --out "$precision-1"
	quietly mpi 2 "$sim" train "${settings[@]}" --device=cuda --train.precision=$precision --out "$precision-2"
	same "$precision-1/model.safetensors" "$precision-2/model.safetensors"
	same "$precision-1/metrics.jsonl" "$precision-2/metrics.jsonl"
done
quietly env NS_CUDASIM_ORDER=reverse NS_CUDASIM_STREAMS=lazy "$sim" train "${settings[@]}" --device=cuda --train.precision=f32 --out lazy
same f32-1/model.safetensors lazy/model.safetensors
quietly "$sim" train "${settings[@]}" --device=cpu --train.precision=f32 --out cpu
"$python" - <<'P' || fail "the two devices learn differently"
import json
a, b = (json.loads(open(f"{d}/metrics.jsonl").readlines()[-1]) for d in ("f32-1", "cpu"))
assert abs(a["loss"] - b["loss"]) < 0.02 * b["loss"], (a, b)
P
ok

# inference and drift: the model is the same, so are the answers to rounding
for device in cuda cpu; do
	quietly "$sim" infer --model cpu --data data --device=$device --infer.precision=f32 --threads=1 --infer.batch=64 --out "p-$device"
done
"$python" - <<'P' || fail "the two devices predict differently"
import h5py, json
import glob, os
files = glob.glob("p-cpu/predictions-*.h5")
assert len(files) == 2
for s in map(os.path.basename, files):
    a, b = h5py.File("p-cpu/" + s, "r"), h5py.File("p-cuda/" + s, "r")
    assert abs(a["prob"][:] - b["prob"][:]).max() < 1e-5
    assert abs(a["embedding"][:] - b["embedding"][:]).max() < 1e-4 * abs(a["embedding"][:]).max()
    assert (a["stats"][:] == b["stats"][:]).all() and (a["id"][:] == b["id"][:]).all()
P
ok
for device in cuda cpu; do
	quietly "$sim" drift --reference p-cpu --current p-cuda --device=$device --drift.permutations=99 --threads=1 --out "d-$device"
done
same d-cuda/drift.json d-cpu/drift.json
for device in cuda cpu; do
	quietly "$sim" augment --data data --name x --device=$device --out "a-$device" --augment='[{zoom: [0.8, 1.2]}, {blur: [0.5, 1.5]}, {noise: 0.05}]'
done
for f in a-cpu/shard-*.h5; do
	"$python" -c 'import h5py,sys; a,b=(h5py.File(f,"r") for f in sys.argv[1:]); sys.exit(not (a["image"][:] == b["image"][:]).all())' \
		"$f" "a-cuda/$(basename "$f")" || fail "augmentation differs between devices"
	ok
done

# no device, and no memory
refuses 69 "device cuda" "$ns" train "${settings[@]}" --device=cuda --out refused
refuses 69 "no GPU" env NS_CUDASIM_NO_DEVICE=1 "$sim" train "${settings[@]}" --device=cuda --out refused
quietly env NS_CUDASIM_NO_DEVICE=1 "$sim" infer --model cpu --data data --device=auto --out auto
grep -q cudasim auto/run.json && fail "auto took a device that is not there"
refuses 70 "out of memory" env NS_CUDASIM_MEMORY=100000 "$sim" train "${settings[@]}" --device=cuda --out refused
done_testing
