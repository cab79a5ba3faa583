#!/usr/bin/env bash
# Detection rates of `nightshift drift` on the shifts of "Failing Loudly" (Rabanser, Guennemann, Lipton 2019), table 1(a), all but the adversarial one.
#
#	tests/bench/failing_loudly.sh [--cifar FILE] [--data fashion,cifar] [--seeds N] [--sizes 10,20,...] [--minutes N] [--out DIR] ...
#
# --cifar: CIFAR-10 as a tar of class folders; without it that half is skipped, aloud. All options: failing_loudly.sh --help.
# Leaves out/failing_loudly/failing_loudly.json and .md, and measured.jsonl even when it is stopped.
# Exit code: 0 measured, 2 a run of nightshift failed, 64 usage, 77 nothing could be measured.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
ns=${NS_BUILD:-$root/build}/nightshift
python=${PYTHON:-/usr/bin/python3}
[ -x "$ns" ] || { echo "failing_loudly: $ns is missing: ./run build" >&2; exit 77; }
"$python" -c 'import h5py, numpy' 2>/dev/null || { echo "failing_loudly: $python has no h5py and numpy (python3-h5py)" >&2; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-loudly.XXXXXX")
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
"$python" "$here/failing_loudly.py" --nightshift "$ns" --work "$work" --out "$root/out/failing_loudly" "$@"
