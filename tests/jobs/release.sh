#!/usr/bin/env bash
# Lists of data sets that are read as one; releases: what production names moves with it, forward and back, is accepted by a person, kept from being
# removed, and missed by name where it is gone.
#
#	tests/jobs/release.sh [--keep] [lists | damaged | alike | made | nights | at_once | odd_name | upgrade ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/release.py" "$ns" "$@"
