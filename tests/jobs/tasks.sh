#!/usr/bin/env bash
# Models of other tasks than classify over data sets: answers, the numbers that are watched, drift of them, and evaluation against what people said of the images.
#
#	tests/jobs/tasks.sh [--keep] [answers | bits | watched | judged | pixels | regions | identities | edges | nights | refused ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/tasks.py" "$ns" "$@"
