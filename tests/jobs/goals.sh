#!/usr/bin/env bash
# Trainings of models of other tasks than classify: tags, numbers, a class a pixel, texts; against NumPy.
#
#	tests/jobs/goals.sh [--keep] [tags | numbers | segments | texts | recurrent | fresh | bits | refused ...]
#
# Trimmed (NST_TRIM=1): new networks are trained for an epoch, and that they learn is the plain build's question.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/goals.py" "$ns" "$@"
