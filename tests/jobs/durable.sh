#!/usr/bin/env bash
# The power fails before any change of a file, or after the last: what was published is there, what was not is no half. A sample here;
# durable.py --every by hand.
#
#	tests/jobs/durable.sh [--keep] [--every | --seconds N] [--only JOB,JOB...] [--verbose]
. "$(dirname "$0")/lib.sh"
TMPDIR=$work PYTHONDONTWRITEBYTECODE=1 "$python" "$here/durable.py" "$build" "$@"
