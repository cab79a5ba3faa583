#!/usr/bin/env bash
# Trainings of models of other tasks than classify: tags, numbers, a class a pixel, texts; against NumPy.
#
#	tests/jobs/goals.sh [--keep] [tags | numbers | segments | texts | recurrent | bits | refused ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/goals.py" "$ns" "$@"
