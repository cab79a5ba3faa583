#!/usr/bin/env bash
# A candidate on trial: votes of nights add up, nights without labels count, late labels are counted, what taught does not judge, people approve, reject and override, and the registry keeps it all.
#
#	tests/jobs/trial.sh [--keep] [over_nights | nights_without_labels | labels_that_come_late | who_may_judge | at_once | no_second_candidate | people ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/trial.py" "$ns" "$@"
