#!/usr/bin/env bash
# Models of every task over image files: each network is a few nodes whose answer is known from the pixels.
#
#	tests/jobs/predict.sh [--keep] [vectors | colours | boxes | places | texts | masks | files | shown | edges | named | hostile | refused ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/predict.py" "$ns" "$@"
