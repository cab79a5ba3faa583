#!/usr/bin/env bash
# evaluate: every number against its definition, and the fixed ones of scipy and statsmodels; rows are paired by identity.
#
#	tests/jobs/evaluate.sh [--keep] [known_constants | definitions | the_gates_half | refusals ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/evaluate.py" "$ns" "$@"
