#!/usr/bin/env bash
# Models that come as ONNX: imported, run, kept; each compared with the same network in our own format.
#
#	tests/jobs/import_onnx.sh [--keep] [same | bits | kept | night | refused ...]
. "$(dirname "$0")/lib.sh"
"$images" idx src 300 3 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/import_onnx.py" "$ns" "$@"
