# tests/jobs/lib.sh - what the job tests share. Each runs in a folder of its own and counts what it checked.
#
# --keep among a script's arguments, or NS_KEEP=1: a script that fails leaves its folder and says where. NST_TRIM=1, which CMake sets where
# sanitizers are built in: a script leaves out what its head says that it leaves out.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../build.sh"
ns=$build/nightshift
images=$build/images
python=/usr/bin/python3
keep=${NS_KEEP:-}
for argument; do # "$@" without --keep: the rest is the script's own
	shift
	if [ "$argument" = --keep ]; then keep=1; else set -- "$@" "$argument"; fi
done
[ -z "$keep" ] || export NS_KEEP=1 # for what a script starts
work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-test.XXXXXX")
failures=$work.failed # beside the folder: it is written in subshells too, and no script looks at it
at_end() { :; }       # a script that has more to put away defines it anew
ending() {
	local status=$?
	at_end
	if [ -s "$failures" ] && [ $status = 0 ]; then status=1; fi # fail in a subshell whose exit code nobody looked at
	if [ $status = 0 ] || [ $status = 77 ] || [ -z "$keep" ]; then
		rm -rf "$work"
	else
		echo "kept: $work" >&2
	fi
	if [ $status != 0 ] && [ $status != 77 ]; then # once more where a log that is cut in the middle still has it
		[ -s "$failures" ] || echo "$(basename "$0"): exit $status" >"$failures"
		sed 's/^/FAILED: /' "$failures" >&2
	fi
	rm -f "$failures"
	exit $status
}
trap ending EXIT
cd "$work" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
trimmed() { [ "${NST_TRIM:-0}" != 0 ]; }
# MPI's own allocations outlive it; ours are checked in the runs without a launcher
mpi() {
	local ranks=$1
	shift
	ASAN_OPTIONS=detect_leaks=0 mpirun -n "$ranks" "$@"
}
checks=0
# the line of the script that called, whatever functions of this file lie between; and where that line is in a function of the script,
# the line of the script that called it
place() {
	local i last=$((${#BASH_SOURCE[@]} - 1)) name line
	for ((i = 1; i < last; i++)); do
		[[ ${BASH_SOURCE[i]} == */lib.sh ]] || break
	done
	name=${BASH_SOURCE[i]##*/} line=${BASH_LINENO[i - 1]}
	echo "$name:$line$([ "${BASH_LINENO[last - 1]}" = "$line" ] || echo " (from line ${BASH_LINENO[last - 1]})")"
}
fail() {
	local said
	said="$(place): $*"
	echo "${said%%$'\n'*}" >>"$failures" # how files differ has been shown by then
	echo "FAILED: $said" >&2
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
# same A B: the same bytes. How they differ is said by differ.py: a tensor, a data set, a line or an offset, with both values
same() {
	cmp -s "$1" "$2" || fail "$1 and $2 differ: $("$python" "$here/differ.py" "$1" "$2" 2>&1)"
	ok
}
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
