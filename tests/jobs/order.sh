#!/usr/bin/env bash
# The order of write, flush, rename and flush of the folder, on every path by which something is published.
. "$(dirname "$0")/lib.sh"
TMPDIR=$work PYTHONDONTWRITEBYTECODE=1 "$python" "$here/order.py" "$build" "$@"
