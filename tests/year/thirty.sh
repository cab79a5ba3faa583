#!/usr/bin/env bash
# Thirty whole nights with real training on small images: quiet, a change that lasts, an adaptation, quiet again.
#
#	tests/year/thirty.sh [--keep] [NIGHTS]
#
# Trimmed it has twenty nights.
. "$(dirname "$0")/../jobs/lib.sh"
if trimmed && [ $# = 0 ]; then set -- 20; fi
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/../year/thirty.py" "$ns" "$@"
