#!/usr/bin/env bash
# Ingest of photos and the training loader beside libjpeg-turbo, torchvision and DALI on one core of this machine, turn by turn: A B A B ...
#
#	tests/bench/ingest.sh [--rounds N] [--images N] [--only TEXT] [--core N] [--out DIR]
#
# Leaves out/ingest/ingest.json and ingest.md. Exit code: 0 every bar met, 1 one missed, 2 ours failed, 77 no peer was measured.
# The peers' Python is .venv-bench, as of peers.sh; NS_BENCH_PYTHON names another. The first call installs what is missing (about 6 GB).
# Photos are made by ingest_peer.c (its head says how) of CIFAR-10's where NS_DATA or shared/data has them, else of noise alone.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${NS_BUILD:-$root/build}
ns=$build/nightshift
venv=$root/.venv-bench
python=${NS_BENCH_PYTHON:-$venv/bin/python}
out=$root/out/ingest
rounds=5 images=600 only='' core=$(($(nproc) - 1))
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2 ;;
	--images) images=$2 ;;
	--only) only=$2 ;;
	--core) core=$2 ;;
	--out) out=$2 ;;
	*)
		echo "usage: ingest.sh [--rounds N] [--images N] [--only TEXT] [--core N] [--out DIR]" >&2
		exit 64
		;;
	esac
	shift 2
done
work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-ingest.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
out=$(cd "$out" && pwd)
log=$out/ingest.log
: >"$log"
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

fail() {
	echo "ingest: $*" >&2
	exit 2
}

[ -x "$ns" ] || fail "$ns is missing: ./run build"
cp "$ns" "$work/nightshift" # the one that is measured, whatever is built meanwhile

have() { "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)" 2>/dev/null; }
install() { # MODULE PACKAGE...: any of the packages brings the module
	local module=$1 package
	shift
	for package in "$@"; do
		if ! have "$module" && [ "$python" = "$venv/bin/python" ]; then
			echo "installing $package" >&2
			"$venv/bin/pip" install -q "$package" >>"$log" 2>&1 || true
		fi
	done
	have "$module" || echo "ingest: $module: is not there and cannot be installed, see $log" >&2
}
[ -x "$python" ] || [ "$python" != "$venv/bin/python" ] || python3 -m venv "$venv" >>"$log" 2>&1 || true
install torch torch
install torchvision torchvision
install nvidia.dali nvidia-dali-cuda130 nvidia-dali-cuda120

"${CC:-cc}" -O3 -march=native -std=c11 "$here/ingest_peer.c" -o "$work/ingest_peer" -ljpeg -lm 2>>"$log" || fail "ingest_peer.c: see $log"

# Our loader, linked as the program is: with main.c's object replaced. What cannot be built becomes rows that say so.
link=$(ninja -C "$build" -t commands nightshift 2>>"$log" | tail -1 |
	sed 's/^: && //; s/ && .*//; s| [^ ]*jobs/main\.c\.o -o nightshift | LOADER |') || link=''
flags=$(pkg-config --cflags jansson 2>>"$log"; pkg-config --cflags hdf5-serial 2>/dev/null || pkg-config --cflags hdf5 2>>"$log") || true
# shellcheck disable=SC2086 # flags are words
if [[ $link == *' LOADER '* ]] && "${CC:-cc}" -O2 -std=c11 -w $flags -I"$root" -c "$here/ingest_loader.c" -o "$work/loader.o" 2>>"$log"; then
	(cd "$build" && eval "${link/ LOADER / \"$work/loader.o\" -o \"$work/ingest_loader\" }") >>"$log" 2>&1 || true
fi
[ -x "$work/ingest_loader" ] || echo "ingest: ingest_loader.c: does not build with $build, see $log" >&2

small=''
for data in "${NS_DATA:-}" "$root/shared/data" "$root/../shared/data"; do
	if [ -z "$small" ] && [ -n "$data" ] && [ -e "$data/cifar10-jpeg.tar.zst" ]; then
		mkdir "$work/small"
		tar --zstd -xf "$data/cifar10-jpeg.tar.zst" -C "$work/small" --wildcards 'train/*/00[0-4]?.jpg' 2>>"$log" && small=$work/small
	fi
done
[ -n "$small" ] || echo "ingest: cifar10-jpeg.tar.zst is not there (NS_DATA names the folder): the photos are noise and shaded ellipses" >&2
echo "making $images photos" >&2
"$work/ingest_peer" photos "$work/photos" "$images" ${small:+"$small"} || fail "the photos could not be made"

python3 "$here/ingest.py" "$work" "$out" "$python" --rounds "$rounds" --core "$core" --only "$only" --photos "${small:+with CIFAR-10}"
