#!/usr/bin/env bash
# Which rows a retraining uses, and which labels it gives them: every row of the selection, every figure of the manifest and the weights of
# both rounds, from the definitions.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/selection.py" "$ns"
