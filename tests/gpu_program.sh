#!/usr/bin/env bash
# The whole program on a real GPU: the same bits on 1 and 2 ranks, after a stop, and beside the processor's answers; then the
# two nights of `./run night` there.
#	tests/gpu_program.sh PROGRAM OUT     PROGRAM: the folder that `tests/gpu.sh prepare` carried: nightshift, mpirun, lib, data
# NS_DEVICE=cpu tries the script itself where there is no GPU.
set -u
program=$(cd "$1" && pwd) out=$(mkdir -p "$2" && cd "$2" && pwd)
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 1
ns=$program/nightshift
export LD_LIBRARY_PATH=$program/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} PATH=$program:$PATH OPAL_PREFIX=$program PMIX_INSTALL_PREFIX=$program
export OMPI_MCA_mca_base_component_path=$program/lib/openmpi3 PMIX_MCA_mca_base_component_path=$program/lib/pmix
export OMPI_MCA_mca_base_component_show_load_errors=0 PMIX_MCA_mca_base_component_show_load_errors=0
export OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_plm=isolated OMPI_MCA_plm_rsh_agent=false
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
device_of=${NS_DEVICE:-cuda} bad=0
say() { echo "program: $*"; }
red() { bad=1; say "RED: $*"; }
quietly() {
	local code
	"$@" >log 2>&1 && return
	code=$?
	tail -5 log
	red "exit $code of $*"
	return 1
}
same() { if cmp -s "$1" "$2"; then say "$1 = $2"; else red "$1 and $2 differ"; fi; }

"$ns" doctor >"$out/doctor.txt" 2>&1 || red "doctor"
grep -iE "cuda|gpu|nccl" "$out/doctor.txt"
quietly "$ns" ingest "$program/data/t10k-images-idx3-ubyte.gz" --out data --ingest.shard_rows=2500
settings=(--data data --model.blocks='[1,1]' --model.width=16 --train.epochs=2 --train.batch=64 --train.virtual_ranks=4 --train.lr=0.05 --device=$device_of
	--augment='[{crop: {padding: 2}}, {rotate: [-10, 10]}, {brightness: [0.8, 1.2]}]')
for precision in f32 bf16; do
	quietly "$ns" train "${settings[@]}" --train.precision=$precision --out $precision
	quietly mpirun -n 2 "$ns" train "${settings[@]}" --train.precision=$precision --out $precision-2 && same $precision/model.safetensors $precision-2/model.safetensors
	same $precision/metrics.jsonl $precision-2/metrics.jsonl
done
grep -h '"by":"MPI' log | head -1
"$ns" train "${settings[@]}" --train.precision=f32 --train.epochs=8 --out whole >log 2>&1 || red "training"
"$ns" train "${settings[@]}" --train.precision=f32 --train.epochs=8 --train.checkpoint_steps=20 --out stopped >stop.log 2>&1 &
pid=$!
for _ in $(seq 2000); do
	ls stopped.partial/checkpoint/*.json >/dev/null 2>&1 && break
	sleep 0.01
done
kill -USR2 $pid
wait $pid
code=$?
[ $code = 75 ] || { tail -3 stop.log; red "a run stopped by USR2 exited $code, wanted 75"; }
quietly "$ns" train "${settings[@]}" --train.precision=f32 --train.epochs=8 --train.checkpoint_steps=20 --out stopped
same whole/model.safetensors stopped/model.safetensors
quietly "$ns" train "${settings[@]}" --train.precision=f32 --device=cpu --out cpu
tail -qn 1 f32/metrics.jsonl bf16/metrics.jsonl cpu/metrics.jsonl
for side in cuda cpu; do
	device=$([ $side = cpu ] && echo cpu || echo $device_of)
	quietly "$ns" infer --model f32 --data data --device=$device --infer.precision=f32 --out "p-$side"
	quietly "$ns" augment --data data --name x --device=$device --out "a-$side" --augment='[{zoom: [0.8, 1.2]}, {blur: [0.5, 1.5]}, {noise: 0.05}]'
done
for side in cuda cpu; do
	device=$([ $side = cpu ] && echo cpu || echo $device_of)
	quietly "$ns" drift --reference p-cpu --current p-cuda --device=$device --drift.permutations=99 --out "d-$side"
	quietly "$ns" drift --reference p-cpu --current p-cuda --device=$device --drift.detectors='[ks, chi2]' --out "k-$side" # the device's own KS
done
same d-cuda/drift.json d-cpu/drift.json
same k-cuda/drift.json k-cpu/drift.json
quietly timeout 90 "$ns" bench --device=$device_of --bench.seconds=0.1 --out "$out/bench"
# without this, which also needs h5py, predictions and images are not compared
python3 - <<'P' || red "predictions or images differ between the devices"
import glob, os
try:
    import h5py
except ImportError:
    print("program: no h5py: predictions and augmented images are not compared"); raise SystemExit
for f in sorted(glob.glob("p-cpu/predictions-*.h5")):
    a, b = h5py.File(f), h5py.File(f.replace("-cpu/", "-cuda/"))
    p, e = (abs(a[k][:] - b[k][:]).max() for k in ("prob", "embedding"))
    same = (a["stats"][:] == b["stats"][:]).all()
    print(f"program: {os.path.basename(f)}: prob differs by {p:.2g} at most, embedding by {e:.2g}, stats {'equal' if same else 'DIFFER'}")
    assert same and p < 1e-4 and e < 1e-3 * abs(a["embedding"][:]).max()
for f in sorted(glob.glob("a-cpu/shard-*.h5")):
    a, b = (h5py.File(g)["image"][:] for g in (f, f.replace("-cpu/", "-cuda/")))
    print(f"program: {os.path.basename(f)}: {(a != b).sum()} of {a.size} augmented bytes differ")
    assert (a == b).all()
P
cd "$checkout" || exit 1
start=$(date +%s.%N)
timeout "${NS_NIGHT_SECONDS:-120}" "$ns" night --config datasets/demo/night.yaml --device=$device_of --night.train="$program/data/train-images-idx3-ubyte.gz" \
	--night.test="$program/data/t10k-images-idx3-ubyte.gz" --registry="$work/registry" --out "$work/night" >"$out/night.log" 2>&1 || { tail -5 "$out/night.log"; red "the night"; }
say "the two nights took $(echo "$(date +%s.%N) $start" | awk '{ printf "%.1f", $1 - $2 }') s"
mkdir -p "$out/night"
cp "$work"/night/{night.html,summary.json} "$out/night/" 2>/dev/null
python3 -c 'import json,sys; print(json.dumps(json.load(open(sys.argv[1])))[:1500])' "$out/night/summary.json"
exit $bad
