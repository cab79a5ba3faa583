#!/usr/bin/env bash
# The house's rules on this build; see fences.py, which prints each breach.
. "$(dirname "$0")/build.sh"
/usr/bin/python3 "$(dirname "$0")/fences.py" "$build" --headers
