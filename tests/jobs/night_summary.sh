#!/usr/bin/env bash
# Nights whose every number is known: which predictions are judged against which, what the gate and the summary say of them, what is promoted.
#
#	tests/jobs/night_summary.sh [--keep] [passing_night | refusing_night | two_nights | who_predicts ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/gate.py" nights "$ns" "$@"
