#!/usr/bin/env bash
# Everything CUDA on a machine with a GPU, in one command: build, every case against ref, the ops' speed, PyTorch's beside it.
#
#	tests/gpu.sh [OUT]          results go to OUT (build-gpu/out by default): gpu.md, gpu.json, log
#	tests/gpu.sh prepare        on a machine with Debian's packages: what such a machine may lack, unpacked into .carry/
#
# Wants nvcc and CMake; cuDNN, oneDNN, compute-sanitizer and PyTorch are used where they are. Whole networks want four small
# libraries, which `prepare` carries along. Red where no case ran on the GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = prepare ]; then
	mkdir -p .carry && cd .carry
	apt-get download -qq libcmocka0 libcmocka-dev libjansson-dev libyaml-dev libssl-dev libxxhash-dev
	for f in *.deb; do dpkg -x "$f" . && rm "$f"; done
	[ -d /usr/local/cuda/include ] && find -L /usr/local/cuda/include -maxdepth 1 -name 'cudnn*.h' -exec install -D -m644 -t usr/include {} +
	du -sh .
	exit
fi

out=$(mkdir -p "${1:-build-gpu/out}" && cd "${1:-build-gpu/out}" && pwd)
build=$PWD/build-gpu
generator=$(command -v ninja >/dev/null && echo Ninja || echo "Unix Makefiles")
# PyTorch brings a cuDNN of its own: its library and headers, or else the carried ones
cudnn=$(python3 -c 'import glob,os,nvidia.cudnn as c; print(glob.glob(os.path.join(list(c.__path__)[0],"lib","libcudnn.so.9"))[0])' 2>/dev/null || true)
options=()
if [ -n "$cudnn" ]; then
	for include in "$(dirname "$cudnn")/../include" "$PWD/.carry/usr/include"; do
		[ -e "$include/cudnn.h" ] && options=("-DCUDNN_LIBRARY=$cudnn" "-DCUDNN_INCLUDE=$include") && break
	done
fi
export CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d . || true)
cmake -S . -B "$build" -G "$generator" -DNS_KERNELS_ONLY=ON -DNS_TESTS=ON -DNS_CUDA=ON ${arch:+-DNS_CUDA_ARCHITECTURES=$arch-real} \
	"${options[@]}" >"$out/log" 2>&1 || { tail -30 "$out/log"; exit 2; }
cmake --build "$build" -j "$(nproc)" >>"$out/log" 2>&1 || { tail -50 "$out/log"; exit 2; }
grep -h "CUDA backend" "$out/log" || true
export LD_LIBRARY_PATH=$PWD/.carry/usr/lib/x86_64-linux-gnu${cudnn:+:$(dirname "$cudnn")}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export NS_CUDA_MODULE=$build/libnightshift-cuda.so NST_BACKENDS=cuda

bad=0
for t in conv dense image queue reorder shift plan; do
	"$build/test_$t" >"$out/test_$t.log" 2>&1 || { bad=1; grep -hE "FAILED|ERROR|Error|differs|but ref" "$out/test_$t.log" | head -20; }
done
cat "$out"/test_*.log >>"$out/log"
# every implementation of the backend has run cases: "conv: cuda: conv/cudnn ran 224 cases, declined 0"
ran=$(grep -hE ': cuda: [a-z0-9_]+/[a-z]+ ran [1-9]' "$out"/test_*.log | sed 's/.* ran \([0-9]*\) cases.*/\1/' | awk '{ s += $1 } END { print s + 0 }' || true)
echo "gpu: ${ran:-0} cases ran on the GPU"
[ "${ran:-0}" -gt 0 ] || { echo "gpu: RED: no case ran on a GPU"; exit 1; }
# memory errors and races on the device itself
if command -v compute-sanitizer >/dev/null; then
	for tool in memcheck racecheck; do
		compute-sanitizer --tool $tool --error-exitcode 9 "$build/gpu_ops" small >"$out/$tool.log" 2>&1 && echo "gpu: compute-sanitizer $tool: clean" ||
			{ bad=1; echo "gpu: compute-sanitizer $tool:"; grep -E "=====" "$out/$tool.log" | head -10; }
	done
else
	echo "gpu: no compute-sanitizer here"
fi
"$build/gpu_ops" >"$out/ours.jsonl" || bad=1
if [ -x "$build/gpu_nets" ]; then
	"$build/gpu_nets" | tail -n +2 >>"$out/ours.jsonl" || bad=1
else
	echo "gpu: whole networks are not measured: $(grep -h 'whole networks' "$out/log")"
fi
python3 tests/bench/gpu_peer.py >"$out/peer.jsonl" 2>"$out/peer.log" || echo '{"failed": "PyTorch was not measured"}' >>"$out/peer.jsonl"
if timeout "${NS_PEER_SECONDS:-240}" python3 tests/bench/gpu_peer_nets.py >"$out/peer_nets.jsonl" 2>"$out/peer_nets.log"; then
	tail -n +2 "$out/peer_nets.jsonl" >>"$out/peer.jsonl"
else
	tail -n +2 "$out/peer_nets.jsonl" >>"$out/peer.jsonl"
	echo "gpu: PyTorch's networks were not all measured (NS_PEER_SECONDS=${NS_PEER_SECONDS:-240}); see $out/peer_nets.log"
fi
python3 - "$out" "$ran" "$bad" <<'P'
import datetime, json, sys
out, ran, bad = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ours, peer = ([json.loads(l) for l in open(f"{out}/{n}.jsonl")] for n in ("ours", "peer"))
head, them = ours[0], {p["what"]: p for p in peer if "what" in p}
copy, gemm = (them.get(n, {}).get(k) or 0 for n, k in (("copy", "GB_per_second"), ("gemm bf16", "TFLOP_per_second")))
lines = [f"{head['device']}; {', '.join(f'{k} {v}' for k, v in peer[0].items())}; {datetime.date.today()}; {ran} cases against ref, "
         f"{'some FAILED' if bad else 'all pass'}; copy {copy:.0f} GB/s (read + written), GEMM {gemm:.0f} TFLOP/s in bf16", "",
         "| op | implementation | time (us) | items/s | GB/s | of a copy | TFLOP/s | of a GEMM | PyTorch (us) | ratio |", "|---|---|---|---|---|---|---|---|---|---|"]
for o in ours[1:]:
    p = them.get(o["what"])
    if "failed" in o:
        lines.append(f"| {o['what']} | FAILED: {o['failed']} | | | | | | | | |")
        continue
    of_copy = f"{o['GB_per_second'] / copy:.2f}" if copy and o["GB_per_second"] else ""
    of_gemm = f"{o['TFLOP_per_second'] / gemm:.2f}" if gemm and o["TFLOP_per_second"] else ""
    lines.append(f"| {o['what']} | {o['impl']} | {o['us']:.1f} | {o['items_per_second']:.3g} | {o['GB_per_second']:.0f} | {of_copy} | "
                 f"{o['TFLOP_per_second']:.1f} | {of_gemm} | "
                 + (f"{p['us']:.1f}{' (' + p['how'] + ')' if 'how' in p else ''} | {p['us'] / o['us']:.2f} |" if p and "us" in p else "failed | |" if p else "| |"))
open(f"{out}/gpu.md", "w").write("\n".join(lines) + "\n")
json.dump({"ours": ours, "peer": peer, "cases": ran, "failed": bad}, open(f"{out}/gpu.json", "w"), indent=1)
print("\n".join(lines))
P
exit $bad
