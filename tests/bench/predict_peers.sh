#!/usr/bin/env bash
# predict beside the pipelines of those who made the models: Pillow and OpenCV prepare, ONNX Runtime computes, NumPy decodes. A detector of objects, one of faces, one of text, a
# reader, a classifier; each has to find the same.
#
#	tests/bench/predict_peers.sh [--keep]
#
# Models and peers are those of tests/bench/models.sh, which fetches them; never committed. Exit code: 0 all equal, 1 one differs, 77 no peer or no model was to be had.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
ns=${NS_BUILD:-$root/build}/nightshift venv=$root/.venv-models models=$root/.models
[ -x "$ns" ] || { echo "predict_peers.sh: $ns is not there: ./run build builds it" >&2; exit 2; }
[ -x "$venv/bin/python" ] && [ -e "$models/ppocrv5_det.onnx" ] || { echo "SKIPPED: tests/bench/models.sh has not fetched peers and models"; exit 77; }
"$venv/bin/python" -c 'import cv2, onnx, onnxruntime, PIL' 2>/dev/null || "$venv/bin/pip" install --quiet onnx==1.23.2 opencv-python-headless==5.0.0.93 pillow==13.0.0 ||
	{ echo "SKIPPED: OpenCV and Pillow cannot be installed"; exit 77; }
work=$(mktemp -d)
[ "${1:-}" = --keep ] || trap 'rm -rf "$work"' EXIT
cd "$work"
"$venv/bin/python" "$here/predict_peers.py" "$ns" "$models"
