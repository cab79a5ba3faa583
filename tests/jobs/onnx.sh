#!/usr/bin/env bash
# ONNX files: what look says of them against another reader, on ONNX's own operator tests where Debian's libonnx-testdata is installed, and on files made
# here, most of which are wrong in some way.
#
#	tests/jobs/onnx.sh [--keep] [known | graphs | edges | weights | wrong | outside | deep | official ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/onnx.py" "$ns" "$@"
