#!/usr/bin/env bash
# The gate: each of its rules alone on both sides of its bound, and what it moves in the registry, also cut off and beside other nights.
#
#	tests/jobs/gate.sh [--keep] [rules | no_evaluation | shown | others | first_model ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/gate.py" gate "$ns" "$@"
