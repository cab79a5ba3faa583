#!/usr/bin/env bash
# drift: what a person is to do, and which retraining is asked for: dead cameras, labels that are wanted or deny harm, alarms that stay open, times in
# milliseconds.
#
#	tests/jobs/next.sh [--keep] [cameras | labels | stays_open | times ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/next.py" "$ns" "$@"
