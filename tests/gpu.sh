#!/usr/bin/env bash
# Everything CUDA on a machine with a GPU, in one command: build, every case against ref, the ops' speed, PyTorch's beside it.
#
#	tests/gpu.sh [OUT]          results go to OUT (build-gpu/out by default): gpu.md, gpu.json, log
#	tests/gpu.sh prepare        on a machine with Debian's packages: what such a machine may lack, packed into .carry/ (57 MiB)
#
# Wants nvcc and CMake; cuDNN, oneDNN, compute-sanitizer and PyTorch are used where they are. Whole networks want four small
# libraries, which `prepare` carries along, and with them the whole program and a night's images (tests/gpu_program.sh). Red where
# no case ran on the GPU. NS_PEERS=0 and NS_PROGRAM=0 leave PyTorch and the program out, NS_PEER_SECONDS bounds the one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = prepare ]; then
	./run build >/dev/null # its set-up installs what is carried from
	rm -rf .carry && mkdir .carry && cd .carry
	apt-get download -qq libcmocka0 libcmocka-dev libjansson-dev libyaml-dev libssl-dev libxxhash-dev
	for f in *.deb; do dpkg -x "$f" . && rm "$f"; done
	rm -rf usr/share usr/lib/x86_64-linux-gnu/libssl.a
	[ -d /usr/local/cuda/include ] && find -L /usr/local/cuda/include -maxdepth 1 -name 'cudnn*.h' -exec install -D -m644 -t usr/include {} +
	# the program itself, with the libraries it was linked with but for the C library's and the compiler's, and a night's images
	mkdir -p program/lib program/data
	cmake -S .. -B ../build-carry -G Ninja -DNS_TESTS=OFF -DNS_CUDA=ON -DNS_ARCH=x86-64-v3 -DNS_CUDA_ARCHITECTURES="${NS_CARRY_FOR:-90-real}" >/dev/null
	cmake --build ../build-carry -- --quiet
	cp ../build-carry/nightshift ../build-carry/libnightshift-cuda.so program/
	plugins=/usr/lib/x86_64-linux-gnu
	cp -rL $plugins/openmpi/lib/openmpi3 program/lib/ && cp -rL $plugins/pmix2/lib/pmix program/lib/
	cp -L /usr/bin/orted program/ && cp -L /usr/bin/mpirun.openmpi program/mpirun
	ldd program/nightshift program/mpirun program/orted program/lib/openmpi3/mca_{pmix_ext3x,btl_vader,pml_ob1}.so |
		awk '$3 ~ /^\// { print $3 }' | sort -u | grep -vE '/(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|stdc\+\+|gcc_s))\.so' | xargs cp -L -t program/lib
	find program -type f -exec strip --strip-unneeded {} + 2>/dev/null
	cp /usr/share/datasets/fashion-mnist/*.gz program/data/
	tar -cJf carry.tar.xz usr program && rm -r usr program
	du -sh .
	exit
fi

[ ! -f .carry/carry.tar.xz ] || [ .carry/usr -nt .carry/carry.tar.xz ] || { python3 -m tarfile -e .carry/carry.tar.xz .carry && touch .carry/usr; }
out=$(mkdir -p "${1:-build-gpu/out}" && cd "${1:-build-gpu/out}" && pwd)
build=$PWD/build-gpu
generator=$(command -v ninja >/dev/null && echo Ninja || echo "Unix Makefiles")
# PyTorch brings a cuDNN of its own, with the libraries that it opens in turn
nvidia=$(python3 -c 'import glob,os,sys; print(":".join(sorted({os.path.dirname(f) for p in sys.path for f in glob.glob(p + "/nvidia/*/lib/*.so*")})))' 2>/dev/null || true)
cudnn=$([ -z "$nvidia" ] || find ${nvidia//:/ } -maxdepth 1 -name libcudnn.so.9 | head -1)
options=() warmers=
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
export LD_LIBRARY_PATH=$PWD/.carry/usr/lib/x86_64-linux-gnu${nvidia:+:$nvidia}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export NS_CUDA_MODULE=$build/libnightshift-cuda.so NST_BACKENDS=cuda

# PyTorch's compiler takes minutes: its cache is filled beside what takes no time yet
if [ "${NS_PEERS:-1}" = 1 ]; then
	for only in augment mmd "resnet18" "resnet50"; do
		timeout "${NS_WARM_SECONDS:-300}" python3 tests/bench/gpu_peer_nets.py --warm --only="$only" >>"$out/warm.log" 2>&1 &
		warmers+=" $!"
	done
fi
# every case, and memory errors and races on the device itself: side by side, as no time is taken yet
bad=0 sanitizers= judges= programs="conv dense image queue reorder shift tensor types windows steps"
judged() { # NAME CMD...: its output and its exit code in OUT
	local name=$1 rc=0
	shift
	timeout "${NS_CASES_SECONDS:-200}" "$@" >"$out/$name.log" 2>&1 || rc=$?
	echo $rc >"$out/$name.rc"
}
[ ! -x "$build/test_plan" ] || programs+=" plan" # asks the CPU backend, where that was built too
command -v compute-sanitizer >/dev/null && sanitizers="memcheck racecheck" || echo "gpu: no compute-sanitizer here"
for t in $programs; do
	judged "test_$t" "$build/test_$t" &
	judges+=" $!"
done
for tool in $sanitizers; do
	judged $tool compute-sanitizer --tool $tool --error-exitcode 9 "$build/gpu_ops" small &
	judges+=" $!"
done
wait $judges
for t in $programs; do
	[ "$(cat "$out/test_$t.rc")" = 0 ] || {
		bad=1
		echo "gpu: RED: test_$t: exit $(cat "$out/test_$t.rc")"
		grep -hE "FAILED|ERROR|Error|differs|but ref" "$out/test_$t.log" | head -20 || true
	}
done
for tool in $sanitizers; do
	[ "$(cat "$out/$tool.rc")" = 0 ] && echo "gpu: compute-sanitizer $tool: clean" && continue
	bad=1
	echo "gpu: RED: compute-sanitizer $tool: exit $(cat "$out/$tool.rc")"
	grep -E "=====" "$out/$tool.log" | head -15 || true
done
cat "$out"/test_*.log >>"$out/log"
# every implementation of the backend has run cases: "conv: cuda: conv/cudnn ran 224 cases, declined 0"
ran=$(grep -hE ': cuda: [a-z0-9_]+/[a-z]+ ran [1-9]' "$out"/test_*.log | sed 's/.* ran \([0-9]*\) cases.*/\1/' | awk '{ s += $1 } END { print s + 0 }' || true)
echo "gpu: ${ran:-0} cases ran on the GPU"
[ "${ran:-0}" -gt 0 ] || { echo "gpu: RED: no case ran on a GPU"; exit 1; }
if [ -x .carry/program/nightshift ] && [ "${NS_PROGRAM:-1}" = 1 ]; then
	LD_LIBRARY_PATH=${nvidia:-} tests/gpu_program.sh .carry/program "$out/program" 2>&1 | tee "$out/program.log" || bad=1
fi
wait $warmers || true # what it has not compiled in time is compiled, or left out, below
"$build/gpu_ops" >"$out/ours.jsonl" || bad=1
if [ -x "$build/gpu_nets" ]; then
	"$build/gpu_nets" | tail -n +2 >>"$out/ours.jsonl" || bad=1
else
	echo "gpu: whole networks are not measured: $(grep -h 'whole networks' "$out/log")"
fi
if [ "${NS_PEERS:-1}" = 0 ]; then
	echo "gpu: PyTorch is not measured (NS_PEERS=0)"
	echo '{"device": "not measured"}' >"$out/peer.jsonl"
else
	python3 tests/bench/gpu_peer.py >"$out/peer.jsonl" 2>"$out/peer.log" || echo '{"failed": "PyTorch was not measured"}' >>"$out/peer.jsonl"
	if timeout "${NS_PEER_SECONDS:-240}" python3 tests/bench/gpu_peer_nets.py >"$out/peer_nets.jsonl" 2>"$out/peer_nets.log"; then
		tail -n +2 "$out/peer_nets.jsonl" >>"$out/peer.jsonl"
	else
		tail -n +2 "$out/peer_nets.jsonl" >>"$out/peer.jsonl"
		echo "gpu: PyTorch's networks were not all measured (NS_PEER_SECONDS=${NS_PEER_SECONDS:-240}); see $out/peer_nets.log"
	fi
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
