#!/usr/bin/env bash
# drift: effects, every p of tonight among the nights, alarms, labels over nights, and nights that are done again, late or not at all, against
# definitions in another arithmetic.
#
#	tests/jobs/nights.sh [--keep] [figures | year | again | labels | adapted | old_lines ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/nights.py" "$ns" "$@"
