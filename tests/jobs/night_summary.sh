#!/usr/bin/env bash
# Nights whose every number is known: which predictions are judged against which, what the gate and the summary say of them, what is promoted.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/gate.py" nights "$ns"
