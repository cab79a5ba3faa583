# tests/jobs/lib.sh - what the job tests share. Each runs in a folder of its own and counts what it checked.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../build.sh"
ns=$build/nightshift
images=$build/images
python=/usr/bin/python3
work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
# MPI's own allocations outlive it; ours are checked in the runs without a launcher
mpi() {
	local ranks=$1
	shift
	ASAN_OPTIONS=detect_leaks=0 mpirun -n "$ranks" "$@"
}
checks=0
fail() {
	echo "FAILED: $*" >&2
	exit 1
}
ok() { checks=$((checks + 1)); }
# quietly CMD...: must succeed
quietly() { "$@" >log 2>&1 || { cat log >&2; fail "$*"; }; ok; }
# refuses CODE TEXT CMD...: must exit with CODE, one line on stderr that holds TEXT, and publish nothing at ./refused
refuses() {
	local code=$1 text=$2 got
	shift 2
	rm -rf refused
	"$@" >out.log 2>err.log
	got=$?
	[ "$got" = "$code" ] || { cat out.log err.log >&2; fail "$* exited $got, wanted $code"; }
	grep -q -- "$text" err.log || { cat err.log >&2; fail "$*: no '$text' in its message"; }
	[ "$(grep -c '^nightshift:' err.log)" = 1 ] || { cat err.log >&2; fail "$*: one line is wanted"; }
	[ ! -e refused ] || fail "$*: half a result was published"
	ok
}
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; ok; }
field() { "$python" -c 'import json,sys; v=json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."): v=v[int(k)] if k.isdigit() else v[k]
print(v)' "$1" "$2"; }
# sign FOLDER: its dataset.json or predictions.json vouches for the files as they are now, as an attacker's would
sign() { "$python" - "$1" <<'P'
import hashlib, json, os, sys
for name, key in (("dataset.json", "shards"), ("predictions.json", "files")):
    path = os.path.join(sys.argv[1], name)
    if os.path.exists(path):
        j = json.load(open(path))
        for f in j[key]: f["sha256"] = hashlib.sha256(open(os.path.join(sys.argv[1], f["file"]), "rb").read()).hexdigest()
        j["digest"] = hashlib.sha256(json.dumps(j[key], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
        json.dump(j, open(path, "w"))
P
}
done_testing() { echo "$checks checks passed"; }
