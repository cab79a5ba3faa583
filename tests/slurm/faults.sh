#!/usr/bin/env bash
# What tests/slurm/kill.sh decides by: that a fault leaves its note before it acts and is planned again where it did not come to it, and
# what is made of the notes. Wants no Slurm: a stand-in is struck, and the jobs' ends are written by hand.
. "$(dirname "$0")/../jobs/lib.sh"
top=$(cd "$here/../.." && pwd)
faults=$top/tests/slurm/faults.py
[ -e "$build/crash.so" ] || fail "$build/crash.so is not there: it is built with -DNS_TESTS=ON and without NS_SANITIZE"

# --- the faults: a program called nightshift that renames three files one after the other, and lives for half a second ---
cat >stand-in.py <<'P'
import os, time
for i in range(3):
    try:
        os.rename("new-%d" % i, "file-%d" % i)
    except OSError as e:
        print("file-%d: %s" % (i, e.strerror))
time.sleep(0.5)
print("done")
P
start() { # STEP TASK RANK START: its exit code
	rm -f file-* && touch new-{0,1,2}
	{ # and not a word about who was killed
		SLURM_ARRAY_TASK_ID=$2 PMIX_RANK=$3 SLURM_RESTART_COUNT=$4 SLURM_JOB_ID=77 NST_CRASH=crash.txt NST_STRUCK=struck LD_PRELOAD=$build/crash.so \
			bash -c 'exec -a nightshift "$0" stand-in.py --step "$1"' "$python" "$1" >start.log 2>&1
	} 2>/dev/null
}
has() { # NOTES...: these and no others
	[ "$(ls struck | paste -sd' ')" = "$*" ] || fail "notes: $(ls struck | paste -sd' '), wanted $*"
	ok
}
mkdir struck
cat >crash.txt <<'T'
a/b -1 0 before 1
a/b -1 1 kill 100
a/b -1 0 full 2
a/b -1 0 kill 60000
c/d 3 0 after 1
T
start x/y -1 0 0 || fail "a step without a fault: $(cat start.log)"
has
start c/d 2 0 0 || fail "a task without a fault: $(cat start.log)"
has
start a/b -1 0 0
[ $? = 137 ] && [ -e file-0 ] && [ ! -e file-1 ] || fail "before the second call: $(cat start.log; ls)"
has 1.armed.0 1.struck.0
grep -q "^77 $(hostname) [0-9]* [0-9]*\.[0-9]*$" struck/1.struck.0 || fail "the note: $(cat struck/1.struck.0)"
# a rank of the same start that looks later has no other fault in it
start a/b -1 1 0 || fail "the second fault came in the first one's start: $(cat start.log)"
has 1.armed.0 1.struck.0
# this start ends before the place of rank 1 comes; the next has it again
start a/b -1 0 1 || fail "rank 0 had rank 1's fault: $(cat start.log)"
has 1.armed.0 1.struck.0
start a/b -1 1 2
[ $? = 137 ] || fail "killed after 100 ms: $(cat start.log)"
has 1.armed.0 1.struck.0 2.armed.2 2.struck.2
start a/b -1 0 3 || fail "a full disk: $(cat start.log)"
grep -q 'file-2: No space left' start.log && [ -e file-1 ] || fail "a full disk from the third call: $(cat start.log)"
has 1.armed.0 1.struck.0 2.armed.2 2.struck.2 3.armed.3 3.struck.3
start a/b -1 0 4 || fail "a moment that does not come: $(cat start.log)"
[ ! -e struck/4.struck.4 ] && [ -e struck/4.armed.4 ] || fail "a fault that did not come: $(ls struck)"
start c/d 3 0 0
[ $? = 137 ] && [ -e file-1 ] && [ ! -e file-2 ] || fail "after the second call: $(cat start.log; ls)"
ok
printf 'e/f -1 0 stop 100\n' >crash.txt && rm struck/*
start e/f -1 0 0 &
for _ in $(seq 100); do [ -s struck/1.struck.0 ] && break; sleep 0.1; done
read -r _ _ process _ <struck/1.struck.0 || fail "it did not stop: $(cat start.log)"
for _ in $(seq 50); do state=$(sed 's/.*) //; s/ .*//' "/proc/$process/stat") && [ "$state" = T ] && break; sleep 0.1; done
[ "$state" = T ] || fail "process $process is $state, not stopped"
kill -9 "$process"
wait
ok

# --- what is made of the notes ---
mkdir -p night/slurm/log
rm -f struck/*
jobcomp() { # JOB STATE...: the ends of its starts
	local job=$1 state
	shift
	for state in "$@"; do printf 'JobId=%s UserId=root(0) Name=x JobState=%s Partition=normal EndTime=2026-01-01T00:00:00 \n' "$job" "$state"; done >>jobcomp.log
}
event() { printf '{"event":"%s","step":"%s","restarts":%d,"why":"%s"}\n' "$1" "$2" "$3" "$4"; }
note() { echo "$3 n1 ${4:-4711} 1.000" >"struck/$1.$2"; } # LINE WHAT.START JOB PROCESS
missing="nightshift: MPI_Allreduce (call 9 of this run): rank 1 (n1, process 4711) did not come within 6 s (comm.timeout)"
case_of() { # WANTED TEXT: of crash.txt's only line, with the notes, jobcomp.log and the logs as they are; begins anew
	local got code
	"$python" "$faults" proof crash.txt struck night jobcomp.log again.txt >proof.log
	code=$?
	got=$(awk 'NR == 1 { print $1 }' proof.log)
	[ "$got" = "$1" ] && grep -q -- "$2" proof.log || { cat proof.log; fail "wanted $1: $2"; }
	[ $code = "$([ "$1" = bad ] && echo 1 || echo 0)" ] || fail "$1: exit $code"
	[ "$1" = again ] && ! cmp -s crash.txt again.txt && fail "it is not planned again"
	[ "$1" != again ] && [ -s again.txt ] && fail "it is planned again"
	rm -f struck/* night/slurm/log/* && : >jobcomp.log
	ok
}
: >jobcomp.log
echo 'p/data 2 0 before 7' >crash.txt
jobcomp 5 COMPLETED
case_of again "no start of it"
note 1 armed.0 5 && jobcomp 5 COMPLETED
case_of again "done before its place"
note 1 armed.0 5 && note 1 struck.0 5 && jobcomp 5 PENDING COMPLETED
case_of struck "start 0, job 5 on n1"
note 1 armed.0 5 && jobcomp 5 NODE_FAIL COMPLETED
case_of again "start 0: its node was lost"
note 1 armed.0 5 && jobcomp 5 PENDING COMPLETED && event requeue p/data 0 stopped >night/slurm/log/p.data-5_2.out
case_of again "start 0: it was stopped and put back"
note 1 armed.0 5 && jobcomp 5 PREEMPTED COMPLETED && event requeue p/data 0 "exit 70; failure 1" >night/slurm/log/p.data-5_2.out
case_of again "start 0: it was preempted"
note 1 armed.0 5 && note 1 armed.1 5 && jobcomp 5 PENDING COMPLETED && event requeue p/data 0 "exit 70; failure 1" >night/slurm/log/p.data-5_2.out
case_of again "start 0: that start ended otherwise (exit 70; failure 1); start 1: the step was done"
echo 'p/model -1 1 stop 700' >crash.txt
log=night/slurm/log/p.model-6.out
hung() { note 1 armed."$1" 6 && note 1 struck."$1" 6; }
hung 0 && jobcomp 6 PENDING COMPLETED && { echo "$missing" && event requeue p/model 0 "exit 70; failure 1"; } >$log
case_of struck "named"
hung 0 && jobcomp 6 PENDING COMPLETED && event requeue p/model 0 "exit 137; failure 1" >$log
case_of bad "nobody named it"
hung 0 && jobcomp 6 PENDING COMPLETED && { echo "${missing/4711/4712}" && event requeue p/model 0 "exit 70; failure 1"; } >$log
case_of bad "nobody named it" # another process was named
hung 1 && jobcomp 6 PENDING PENDING COMPLETED && { echo "$missing" && event requeue p/model 0 "exit 70; failure 1" && event requeue p/model 1 "exit 70; failure 2"; } >$log
case_of bad "nobody named it" # in another start
hung 0 && jobcomp 6 COMPLETED
case_of bad "nobody named it" # a rank that hung, and a step that was done none the less
hung 0 && jobcomp 6 NODE_FAIL COMPLETED
case_of again "its node was lost"
hung 0 && jobcomp 6 PENDING COMPLETED && event requeue p/model 0 stopped >$log
case_of again "not named, but it was stopped"
hung 0 && jobcomp 6 PREEMPTED COMPLETED
case_of again "not named, but it was preempted"
hung 0 && jobcomp 6 PENDING COMPLETED && { echo "$missing" && event requeue p/model 0 stopped; } >$log
case_of struck "named" # before it was preempted
hung 1 && jobcomp 6 NODE_FAIL PENDING COMPLETED && { echo "$missing" && event requeue p/model 1 "exit 70; failure 1"; } >$log
case_of struck "named" # a start whose node was lost leaves no event
late="nightshift: MPI_Finalize: rank 0 (n2, process 99) came, but not every rank did within 6 s (comm.timeout)"
hung 0 && jobcomp 6 PENDING COMPLETED && { echo "$late" && event requeue p/model 0 "exit 70; failure 1"; } >$log
case_of struck "named"
hung 0 && jobcomp 6 PENDING COMPLETED && { echo "${late/rank 0/rank 1}" && event requeue p/model 0 "exit 70; failure 1"; } >$log
case_of bad "nobody named it" # the rank itself waited for another
done_testing
