#!/usr/bin/env bash
# What nvcc makes of every CUDA kernel: registers, shared memory, stack and spills, per architecture. A spill is red.
# Skipped aloud where there is no nvcc.
cd "$(dirname "$0")/.." || exit 1
nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
[ -x "$nvcc" ] || { echo "SKIPPED: no nvcc"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
known=$("$nvcc" --list-gpu-arch)
gencode=()
for a in 80 90 100; do
	[[ $known == *compute_$a* ]] && gencode+=(-gencode "arch=compute_$a,code=sm_$a")
done
cudnn=$(find -L "$(dirname "$nvcc")/../include" /usr/include -maxdepth 1 -name cudnn.h 2>/dev/null | head -1)
for f in kernels/cuda/*.cu; do
	[[ $f == */cudnn_* && -z $cudnn ]] && continue
	"$nvcc" -std=c++17 -fmad=false -O3 -I. "${gencode[@]}" -Werror all-warnings -Xptxas -v -c "$f" -o "$dir/$(basename "$f").o" >"$dir/$(basename "$f").log" 2>&1 &
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
done
wait
python3 - "$dir"/*.log <<'P'
import re, subprocess, sys
rows, bad = [], 0
for log in sys.argv[1:]:
    name = None
    text = open(log).read()
    if "error" in text:
        print(text)
        bad = 1
    for line in text.splitlines():
        if m := re.search(r"Compiling entry function '(\S+)' for '(\S+)'", line):
            name, arch = m.groups()
        elif m := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            frame, stores, loads = map(int, m.groups())
        elif (m := re.search(r"Used (\d+) registers", line)) and name:
            shared = re.search(r"(\d+) bytes smem", line)
            rows.append([name, arch, int(m[1]), int(shared[1]) if shared else 0, frame, stores + loads])
            name = None
names = subprocess.run(["c++filt"], input="\n".join(r[0] for r in rows), capture_output=True, text=True).stdout.split("\n")
print(f"{'kernel':64} {'arch':7} regs shared stack spills")
for r, n in sorted(zip(rows, names), key=lambda x: (x[1], x[0][1])):
    n = re.sub(r"\(.*", "", re.sub(r"^void |\(anonymous namespace\)::", "", n))
    print(f"{n[:64]:64} {r[1]:7} {r[2]:4} {r[3]:6} {r[4]:5} {r[5]:6}{'   SPILL' if r[5] else ''}")
    bad |= r[5] > 0
print(f"{len(rows)} kernels")
sys.exit(bad or not rows)
P
