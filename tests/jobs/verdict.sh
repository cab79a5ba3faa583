#!/usr/bin/env bash
# drift: every figure and every rule of the verdict against its definition, and pairs of windows where one rule alone makes the difference.
#
#	tests/jobs/verdict.sh [--keep] [figures | rare_classes | rules | least_p | broken_values | label_shift | nights | policy ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/verdict.py" "$ns" "$@"
