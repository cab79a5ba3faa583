#!/usr/bin/env bash
# Sets of thousands of classes: their names in a shard, a network for them, and what is said of them stays small.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/classes.py" "$ns" "$@"
