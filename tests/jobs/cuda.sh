#!/usr/bin/env bash
# Jobs on a device with memory of its own: the CUDA backend, here on the simulator. The same bits for any number of ranks,
# close to what the processor computes, and refused by name where there is no such device.
#
# Trimmed (NST_TRIM=1), which the sanitizers' build is: two orders of threads become one, and two, three and four ranks that meet through
# NCCL become the three, whose shares are unequal. Which bits they come to is the plain build's question; what is read and written is the same.
. "$(dirname "$0")/lib.sh"
orders=(reverse shuffle:5) teams=(2 3 4)
! trimmed || { orders=(shuffle:5) teams=(3); }
sim=$build/nightshift-sim
"$images" idx src 128 7 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data --ingest.shard_rows=80 --size=16x16
settings=(--data data --model.blocks='[1]' --model.width=4 --train.epochs=1 --train.batch=16 --train.lr=0.05 --threads=1
	--augment='[{crop: {padding: 2}}, {rotate: [-10, 10]}, {brightness: [0.8, 1.2]}]')
for precision in f32 bf16; do
	quietly "$sim" train "${settings[@]}" --device=cuda --train.precision=$precision --out "$precision-1"
	quietly mpi 2 "$sim" train "${settings[@]}" --device=cuda --train.precision=$precision --out "$precision-2"
	same "$precision-1/model.safetensors" "$precision-2/model.safetensors"
	same "$precision-1/metrics.jsonl" "$precision-2/metrics.jsonl"
done
grep -q '"by":"MPI, through the host","because":"\(ranks 0 and 1 share one GPU\|rank 0: NCCL cannot be opened\)' log || { cat log; fail "why NCCL is not used is not said"; }
for order in "${orders[@]}"; do
	quietly env NS_CUDASIM_ORDER=$order NS_CUDASIM_STREAMS=lazy "$sim" train "${settings[@]}" --device=cuda --train.precision=f32 --out lazy-$order
	same f32-1/model.safetensors lazy-$order/model.safetensors
done
refuses 69 "share one GPU" mpi 2 env "NS_NCCL_LIBRARY=$build/libnccl-sim.so" "$sim" train "${settings[@]}" --device=cuda --train.collective=nccl --out refused
refuses 78 "expected auto, nccl or mpi" "$sim" train "${settings[@]}" --device=cuda --train.collective=ring --out refused

# ranks with a GPU each meet through NCCL (here its stand-in), to the same bits; so do three ranks, whose shares are unequal
own=(env NS_CUDASIM_GPU_A_RANK=1 "NS_NCCL_LIBRARY=$build/libnccl-sim.so" NS_CUDASIM_STREAMS=lazy)
for ranks in "${teams[@]}"; do
	quietly mpi $ranks "${own[@]}" "$sim" train "${settings[@]}" --device=cuda --train.precision=f32 --train.collective=nccl --out nccl-$ranks
	grep -q '"by":"NCCL 2.28.9"' log || fail "ranks did not meet through NCCL"
	same f32-1/model.safetensors nccl-$ranks/model.safetensors
	same f32-1/metrics.jsonl nccl-$ranks/metrics.jsonl
done
refuses 69 "NCCL cannot be opened: /nowhere.so" mpi 2 "${own[@]}" NS_NCCL_LIBRARY=/nowhere.so "$sim" train "${settings[@]}" --device=cuda \
	--train.collective=nccl --out refused
quietly mpi 2 "${own[@]}" NS_NCCL_LIBRARY=/nowhere.so "$sim" train "${settings[@]}" --device=cuda --train.precision=f32 --out no-nccl
grep -q 'because":"rank 0: NCCL cannot be opened' log || fail "that NCCL is missing is not said"
same f32-1/model.safetensors no-nccl/model.safetensors
mpi 2 "${own[@]}" NS_NCCLSIM_FAIL=later "$sim" train "${settings[@]}" --device=cuda --out refused >log 2>&1 && fail "a lost rank went by"
grep -q 'train: step 0 .*there is no checkpoint yet): rank . *: NCCL: another rank' log || { cat log; fail "a lost rank is not named"; }
ok

# stopped and gone on with, as on the processor
quietly "$sim" train "${settings[@]}" --device=cuda --train.precision=f32 --train.epochs=2 --out two
"$sim" train "${settings[@]}" --device=cuda --train.precision=f32 --train.epochs=2 --train.checkpoint_steps=3 --out stopped >stop.log 2>&1 &
pid=$!
for _ in $(seq 2000); do
	ls stopped.partial/checkpoint/*.json >/dev/null 2>&1 && break
	sleep 0.01
done
kill -USR2 $pid
wait $pid
code=$?
[ $code = 75 ] || { cat stop.log; fail "a run stopped by USR2 exited $code, wanted 75"; }
quietly "$sim" train "${settings[@]}" --device=cuda --train.precision=f32 --train.epochs=2 --train.checkpoint_steps=3 --out stopped
grep -q '"resumed"' log || fail "it did not go on from the checkpoint"
same two/model.safetensors stopped/model.safetensors
same two/metrics.jsonl stopped/metrics.jsonl

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
	quietly "$sim" drift --reference p-cpu --current p-cuda --device=$device --drift.detectors='[ks, chi2]' --threads=1 --out "k-$device" # the device's own KS
done
same d-cuda/drift.json d-cpu/drift.json
same k-cuda/drift.json k-cpu/drift.json
for device in cuda cpu; do
	quietly "$sim" augment --data data --name x --device=$device --out "a-$device" --augment='[{zoom: [0.8, 1.2]}, {blur: [0.5, 1.5]}, {noise: 0.05}]'
done
for f in a-cpu/shard-*.h5; do
	"$python" -c 'import h5py,sys; a,b=(h5py.File(f,"r") for f in sys.argv[1:]); sys.exit(not (a["image"][:] == b["image"][:]).all())' \
		"$f" "a-cuda/$(basename "$f")" || fail "augmentation differs between devices"
	ok
done

# models that came as ONNX: a classifier by batches, and one whose outputs are kept as they come, an image at a time
quietly "$ns" export cpu --inside --out onnx
for task in classify raw; do
	names=() && [ $task = raw ] || names=(--classes='["0", "1", "2"]')
	quietly "$ns" import onnx/model.onnx --task $task "${names[@]}" --mean '[0.5]' --std '[0.5]' --out "of-$task"
	for device in cuda cpu; do
		quietly "$sim" infer --model "of-$task" --data data --device=$device --threads=1 --infer.batch=64 --out "o-$task-$device"
	done
done
"$python" - <<'P' || fail "the two devices answer differently for models of ONNX"
import glob, h5py, json, os
for task in ("classify", "raw"):
    files = glob.glob(f"o-{task}-cpu/predictions-*.h5")
    assert len(files) == 2
    for s in map(os.path.basename, files):
        a, b = h5py.File(f"o-{task}-cpu/{s}", "r"), h5py.File(f"o-{task}-cuda/{s}", "r")
        if task == "classify":
            assert 0 < a["prob"][:].std() and abs(a["prob"][:] - b["prob"][:]).max() < 1e-5
        else:
            for k in ("monitor", "embedding"):
                x, y = a[k][:], b[k][:]
                assert x.size and abs(x - y).max() < 1e-4 * abs(x).max(), (k, abs(x - y).max())
run = json.load(open("o-raw-cuda/run.json"))
assert "cudasim" in json.dumps(run["device"]), run["device"]
P
ok
refuses 78 "trained on CPUs alone" "$sim" train --data data --from of-classify --device=cuda --out refused

# no device, and no memory
refuses 69 "device cuda" "$ns" train "${settings[@]}" --device=cuda --out refused
refuses 69 "no GPU driver" env NS_CUDASIM_OLD_DRIVER=0 "$sim" train "${settings[@]}" --device=cuda --out refused
refuses 69 "driver is made for CUDA 12.4, this build wants" env NS_CUDASIM_OLD_DRIVER=12040 "$sim" train "${settings[@]}" --device=cuda --out refused
refuses 69 "is sm_90, but this build is for" env NS_CUDASIM_OTHER_GPU=1 "$sim" train "${settings[@]}" --device=cuda --out refused
refuses 69 "no GPU" env NS_CUDASIM_NO_DEVICE=1 "$sim" train "${settings[@]}" --device=cuda --out refused
quietly env NS_CUDASIM_NO_DEVICE=1 "$sim" infer --model cpu --data data --device=auto --out auto
grep -q cudasim auto/run.json && fail "auto took a device that is not there"
refuses 70 "bytes of device memory, of which .* of 100000 are free: out of memory" env NS_CUDASIM_MEMORY=100000 "$sim" train "${settings[@]}" \
	--device=cuda --out refused
grep -q "activations of 4 images" err.log || { cat err.log; fail "what wanted the memory is not said"; }
# a device that is lost in the middle: which step, and what is left of the work
lost=(env NS_CUDASIM_LOST=8 "$sim" train "${settings[@]}" --device=cuda --train.precision=f32)
refuses 69 "step 6 (nothing is published, and there is no checkpoint yet): CUDA: .*an illegal memory access" "${lost[@]}" --out refused
refuses 69 "step 6 (nothing is published; the checkpoint of step 5 is in refused.partial/checkpoint)" "${lost[@]}" --train.checkpoint_steps=5 --out refused
done_testing
