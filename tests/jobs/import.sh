#!/usr/bin/env bash
# Weights that others trained: types, names and prefixes, what is left over, heads, epsilon, what lies beside them, and files that are something else.
#
#	tests/jobs/import.sh [--keep] [types | names | leftovers | heads | epsilon | beside | others ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/import.py" "$ns" "$@"
