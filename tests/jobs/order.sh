#!/usr/bin/env bash
# The order of write, flush, rename and flush of the folder, on every path by which something is published.
#
#	tests/jobs/order.sh [--keep] [--only JOB,JOB...] [--log] [--verbose]
. "$(dirname "$0")/lib.sh"
TMPDIR=$work PYTHONDONTWRITEBYTECODE=1 "$python" "$here/order.py" "$build" "$@"
