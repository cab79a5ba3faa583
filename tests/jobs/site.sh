#!/usr/bin/env bash
# The page over all nights of a site: every count and point, links, odd names, records that cannot be read, a thousand nights.
#
#	tests/jobs/site.sh [--keep] [few | damaged | thousand ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/site.py" "$ns" "$@"
