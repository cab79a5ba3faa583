#!/usr/bin/env bash
# Exported models before ONNX's own checker and in ONNX Runtime: ResNets of two kinds that are trained here, as floats with weights beside them and as bytes with all inside, and a
# stranger's classifier with its preprocessing in front.
#
#	tests/bench/export_peers.sh [--keep]
#
# The peers are those of tests/bench/models.sh. Exit code: 0 all equal, 1 one differs, 77 no peer was to be had.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
ns=${NS_BUILD:-$root/build}/nightshift venv=$root/.venv-models models=$root/.models
[ -x "$ns" ] || { echo "export_peers.sh: $ns is not there: ./run build builds it" >&2; exit 2; }
"$venv/bin/python" -c 'import onnx, onnxruntime, numpy' 2>/dev/null || { echo "SKIPPED: tests/bench/models.sh has not fetched the peers"; exit 77; }
work=$(mktemp -d)
[ "${1:-}" = --keep ] || trap 'rm -rf "$work"' EXIT
cd "$work"
"$venv/bin/python" "$here/export_peers.py" "$ns" "$models"
