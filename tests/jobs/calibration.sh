#!/usr/bin/env bash
# The temperature: fitted on the labelled rows that --calibrate names and on no others, to the optimum that is known or that a search finds,
# and applied as softmax(z / T).
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/calibration.py" "$ns"
