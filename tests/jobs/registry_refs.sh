#!/usr/bin/env bash
# Where a ref goes: forward, back and forward again, entry by entry; and of two who move it at once, who may.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/registry_refs.py" "$ns" "$build/fault.so"
