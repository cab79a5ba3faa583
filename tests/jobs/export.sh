#!/usr/bin/env bash
# Models as ONNX files: read by another reader, run by the engine that runs strangers' files, and imported again; each gives what the model gives.
#
#	tests/jobs/export.sh [--keep] [ours | strangers | refused ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/export.py" "$ns" "$@"
