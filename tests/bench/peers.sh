#!/usr/bin/env bash
# nightshift beside PyTorch, ONNX Runtime, DALI and others on one core of this machine, turn by turn: A B A B ...
#
#	tests/bench/peers.sh [--rounds N] [--only PATTERN] [--seconds S] [--core N] [--out DIR]
#
# Leaves out/peers/peers.json and peers.md, and measured.jsonl even when it is stopped. Exit code: 0 every bar met, 1 one missed, 2 ours failed, 77 no peer was measured.
# The first call installs the peers into .venv-bench (about 6 GB: PyPI has PyTorch for Linux with CUDA's libraries only).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
ns=${NS_BUILD:-$root/build}/nightshift
images=${NS_BUILD:-$root/build}/images
venv=$root/.venv-bench
python=$venv/bin/python
out=$root/out/peers
rounds=5 only='' seconds=2 core=$(($(nproc) - 1))
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2 ;;
	--only) only=$2 ;;
	--seconds) seconds=$2 ;;
	--core) core=$2 ;;
	--out) out=$2 ;;
	*)
		echo "usage: peers.sh [--rounds N] [--only PATTERN] [--seconds S] [--core N] [--out DIR]" >&2
		exit 64
		;;
	esac
	shift 2
done

work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-peers.XXXXXX")
peer=''
cleanup() {
	[ -z "$peer" ] || kill "$peer" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap '' PIPE # a peer that dies is a row of the table, not our end
mkdir -p "$out"
: >"$out/peers.log"
: >"$out/measured.jsonl"
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NO_ALBUMENTATIONS_UPDATE=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

fail() {
	echo "peers: $*" >&2
	exit 2
}

# --- the peers' programs: what cannot be installed becomes a row that says so ---

have() { "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)" 2>/dev/null; }
install() { # MODULE PACKAGE...: any of the packages brings the module
	local module=$1 package
	shift
	for package in "$@"; do
		have "$module" && return
		echo "installing $package" >&2
		"$venv/bin/pip" install -q "$package" >>"$out/peers.log" 2>&1 || true
	done
	have "$module" || echo "peers: $module: cannot be installed, see $out/peers.log" >&2
}
[ -x "$python" ] || python3 -m venv "$venv"
install torch torch
install torchvision torchvision
install numpy numpy
install h5py h5py
install safetensors safetensors
install onnx onnx
install onnxscript onnxscript
install onnxruntime onnxruntime
install nvidia.dali nvidia-dali-cuda130 nvidia-dali-cuda120
install kornia kornia
install cv2 opencv-python-headless # before albumentations, which takes the one that is there
install albumentations albumentations

# --- turns ---

[ -x "$ns" ] || fail "$ns is missing: ./run build"
"$ns" bench --bench.only none --out "$work/dry" --dry-run >/dev/null 2>&1 || fail "$ns bench has no --bench.only: build it again"

ours() { # PIECE ROUND NAME: every measurement of ours that has NAME in its name
	taskset -c "$core" "$ns" bench --threads 1 --device cpu --bench.seconds "$seconds" --bench.batch 128 --bench.only "$3" \
		--out "$work/ours" --force --json >>"$out/peers.log" 2>&1 || fail "nightshift bench --bench.only '$3': see $out/peers.log"
	"$python" - "$work/ours/bench.json" "$1" "$2" "$3" >>"$out/measured.jsonl" <<-'END' || fail "no measurement is called '$3'"
		import json, sys
		path, piece, turn, name = sys.argv[1:]
		rows = [r for r in json.load(open(path))["results"] if name in r["name"]]
		for r in rows:
		    print(json.dumps({"what": piece, "peer": "ours", "variant": r["name"], "rate": r["rate"], "round": int(turn)}))
		sys.exit(not rows)
	END
}

answers() { # the lines of a peer's turn; false when it has ended
	local line
	while IFS= read -r line <&4; do
		case $line in
		'{"ready"'*) return 0 ;;
		'{'*) echo "$line" >>"$out/measured.jsonl" ;;
		esac
	done
	return 1
}

turns() { # PIECE NAME
	local piece=$1 name=$2 round alive=1
	[[ -z $only || $piece == *$only* || $name == *$only* ]] || return 0
	echo "$name: warming up the peers" >&2
	rm -f "$work/ask" "$work/answer"
	mkfifo "$work/ask" "$work/answer"
	taskset -c "$core" "$python" "$here/peers.py" "$piece" --seconds "$seconds" --serve \
		<"$work/ask" >"$work/answer" 2>>"$out/peers.log" &
	peer=$!
	exec 3>"$work/ask" 4<"$work/answer"
	answers || alive=0
	for round in $(seq "$rounds"); do
		echo "$name: round $round of $rounds" >&2
		ours "$piece" "$round" "$name" 3>&- 4<&-
		if [ $alive = 1 ]; then
			{ echo go >&3; } 2>/dev/null && answers || alive=0
		fi
	done
	exec 3>&- 4<&-
	wait "$peer" || echo "$name: the peers' side ended badly, see $out/peers.log" >&2
	peer=''
}

starting() {
	local round
	[[ -z $only || start == *$only* ]] || return 0
	[ -x "$images" ] || fail "$images is missing: it makes the data set (build with NS_TESTS=ON)"
	"$images" idx "$work/src" 1400 7 || fail "images"
	"$ns" ingest "$work/src/images-idx3-ubyte" --out "$work/data" >>"$out/peers.log" 2>&1 || fail "nightshift ingest"
	for round in $(seq "$rounds"); do
		echo "start: round $round of $rounds" >&2
		rm -rf "$work/trained" "$work/trained.partial" "$work/registry"
		taskset -c "$core" "$python" "$here/first_step.py" "$ns" train --data "$work/data" --registry "$work/registry" \
			--out "$work/trained" --threads 1 --device cpu --train.epochs=1 --model.blocks='[1, 1, 1]' --model.width=16 \
			--train.batch=128 --json >>"$out/measured.jsonl" 2>>"$out/peers.log" || fail "nightshift train"
		taskset -c "$core" "$python" "$here/peers.py" start >>"$out/measured.jsonl" 2>>"$out/peers.log" || true
	done
}

turns train-demo 'training demo network'
turns train-resnet18 'training ResNet-18 (CIFAR)'
turns infer-demo 'inference demo network'
turns infer-resnet18 'inference ResNet-18 (CIFAR)'
turns augment-32 'augment 32 px: affine, colour'
turns augment-256 'augment 256 px: affine, colour'
starting

"$python" "$here/peers.py" versions >"$work/versions.json" 2>>"$out/peers.log" || echo '{}' >"$work/versions.json"
"$ns" --version >"$work/ours.version" 2>/dev/null || true
python3 "$here/table.py" "$work" "$out" "$rounds" "$seconds"
