#!/usr/bin/env bash
# What look tells of sets whose every figure is known: on the terminal, in look.json and on the page; the same bytes for any ranks and threads.
#
#	tests/jobs/look.sh [--keep] [files | raw | many | splits | refused | wrong ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/look.py" "$ns" "$@"
