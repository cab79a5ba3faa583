#!/usr/bin/env bash
# Every call that touches a file can fail: results stay whole, exit codes tell what is there. A sample here; faults.py --every by hand.
#
#	tests/jobs/faults.sh [--keep] [--every | --places | --seconds N] [--only JOB,JOB...] [--kinds KIND,...] [--verbose]
. "$(dirname "$0")/lib.sh"
TMPDIR=$work PYTHONDONTWRITEBYTECODE=1 "$python" "$here/faults.py" "$build" "$@"
