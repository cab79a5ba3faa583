#!/usr/bin/env bash
# What nvcc makes of every CUDA kernel, per architecture, without a GPU: registers, shared memory, spills, occupancy, and for
# memory-bound kernels the instructions an element. A spill is red. Skipped aloud where there is no nvcc; without cuobjdump
# (in the toolkit, or brought along by tests/bench/peers.sh) instructions are not counted.
cd "$(dirname "$0")/.." || exit 1
nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
[ -x "$nvcc" ] || { echo "SKIPPED: no nvcc"; exit 77; }
dump=$(command -v cuobjdump || ls "$(dirname "$nvcc")/cuobjdump" .venv-bench/lib/python3*/site-packages/triton/backends/nvidia/bin/cuobjdump 2>/dev/null | head -1)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
known=$("$nvcc" --list-gpu-arch)
gencode=()
for a in 80 90 100; do
	[[ $known == *compute_$a* ]] && gencode+=(-gencode "arch=compute_$a,code=sm_$a")
done
cudnn=$(find -L "$(dirname "$nvcc")/../include" /usr/include -maxdepth 1 -name cudnn.h 2>/dev/null | head -1)
compile() {
	local to
	to=$dir/$(basename "$1")
	"$nvcc" -std=c++17 -fmad=false -O3 -I. "${gencode[@]}" -Werror all-warnings -Xptxas -v -c "$1" -o "$to.o" >"$to.log" 2>&1 || echo error >>"$to.log"
	[ -z "$dump" ] || "$dump" -sass "$to.o" >"$to.sass"
}
for f in kernels/cuda/*.cu tests/roofline_probe.cu; do
	[[ $f == */cudnn_* && -z $cudnn ]] && continue
	compile "$f" &
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
done
wait
python3 tests/roofline.py "$dir"
