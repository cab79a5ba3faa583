#!/usr/bin/env bash
# gc keeps all that a ref's history reaches, however old and by whatever way, and takes the rest once it is older than its grace.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/registry_reach.py" "$ns"
