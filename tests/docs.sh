#!/usr/bin/env bash
# The commands of README.md and docs/ as a reader types them: see tests/docs.py.
. "$(dirname "$0")/jobs/lib.sh"
export ASAN_OPTIONS=detect_leaks=0 # MPI's own allocations outlive it
"$python" "$here/../docs.py" "$here/../.." "$build"
