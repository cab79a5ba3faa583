#!/usr/bin/env bash
# drift: every figure and every rule of the verdict against its definition, and pairs of windows where one rule alone makes the difference.
#
#	tests/jobs/verdict.sh [--keep] [figures | rare_classes | rules | least_p | broken_values | label_shift | policy ...]
#
# Trimmed it leaves out the pairs and the policy: sanitizers find nothing there that the other parts do not pass through.
. "$(dirname "$0")/lib.sh"
if trimmed && [ $# = 0 ]; then set -- figures rare_classes least_p broken_values label_shift; fi
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/verdict.py" "$ns" "$@"
