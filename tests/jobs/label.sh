#!/usr/bin/env bash
# Labels: which images are asked for and why, the page, answers in three formats, who disagrees, ten who import at once, and where labels meet.
#
#	tests/jobs/label.sh [--keep] [asked | page | answers | at_once | meet | teach | refusals ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/label.py" "$ns" "$@"
