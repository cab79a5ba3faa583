#!/usr/bin/env bash
# Drift tests beside alibi-detect, scipy and numpy, and beside the arithmetic floor, on all cores of this machine, turn by turn: A B A B ...
#
#	tests/bench/drift_peers.sh [--rounds N] [--only TEXT] [--columns N] [--rows N] [--out DIR]
#
# Leaves out/drift_peers/drift_peers.json and .md. Exit code: 0 every bar met, 1 one missed, 2 ours failed, 77 no peer was measured.
# The first call installs the peers (about 6 GB) into .venv-bench/drift: alibi-detect wants an older numpy than the peers of peers.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$root/.venv-bench/drift/bin/python
export NS_BUILD=${NS_BUILD:-$root/build} PYTHONDONTWRITEBYTECODE=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

[ -x "$NS_BUILD/nightshift" ] || {
	echo "drift_peers: $NS_BUILD/nightshift is missing: ./run build" >&2
	exit 2
}
[ -x "$python" ] || python3 -m venv "$root/.venv-bench/drift"
for package in 'alibi-detect[torch]' scipy h5py; do # what cannot be installed becomes a row that says so
	module=${package%%\[*}
	"$python" -c "import importlib.util, sys; sys.exit(not importlib.util.find_spec('${module//-/_}'))" && continue
	echo "installing $package" >&2
	"$python" -m pip install -q "$package" >&2 || echo "drift_peers: $package cannot be installed" >&2
done
"$python" -c 'import numpy, h5py' || exit 77 # nothing can be written for either side to read
exec "$python" "$here/drift_peers.py" --out "$root/out/drift_peers" "$@"
