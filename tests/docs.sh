#!/usr/bin/env bash
# The commands of README.md and docs/ as a reader types them: see tests/docs.py.
. "$(dirname "$0")/jobs/lib.sh"
"$python" "$here/../docs.py" "$here/../.." "$build"
