#!/usr/bin/env bash
# A small night on a real Slurm, disturbed: its processes are killed before and after their changes of files and at random moments,
# stopped, starved of disk space; its nodes are lost, its jobs preempted. What it publishes in the end is, byte for byte, what an
# undisturbed night published. Every fault that was planned is seen to have struck: it leaves a note, and one without is planned again.
#
#	tests/slurm/kill.sh [--kills N] [--seed S] [--nodes-lost L] [--preemptions P] [--save FOLDER] [--keep]
. "$(dirname "$0")/lib.sh"
kills=24 seed=1 lost=1 preemptions=2 save=
while [ $# -gt 0 ]; do
	case $1 in
	--kills) kills=$2 ;;
	--seed) seed=$2 ;;
	--nodes-lost) lost=$2 ;;
	--preemptions) preemptions=$2 ;;
	--save) save=$2 ;;
	*) fail "unknown option $1" ;;
	esac
	shift 2
done
[ -e "$build/crash.so" ] || fail "$build/crash.so is not there: it is built with -DNS_TESTS=ON and without NS_SANITIZE"
begin 3
small_night "NS_TRIES=$((20 + kills))" 'NS_SBATCH_train="--ntasks=2 --nodes=2"' \
	"NS_SRUN=\"--mpi=pmix --kill-on-bad-exit=1 --export=ALL,LD_PRELOAD=$build/crash.so\""

# undisturbed, counting the calls that change files
mkdir counts
export NST_COUNT=$work/counts
quietly "$submit" --config night.yaml --out night --site site.conf
finish 300
unset NST_COUNT
for s in night/steps/*.json; do
	[ -e "${s%.json}.tries" ] && fail "the undisturbed night had to try again: $(cat "${s%.json}.tries")"
done
mv night undisturbed
echo "undisturbed: $(ls counts | wc -l) tasks made $(cat counts/* | wc -c) changes of files"

# A round: the night once more, its faults in crash.txt; what it publishes is what the undisturbed one did, and faults that did not strike
# (their start was preempted or lost its node, the step was done before their place came) are in again.txt.
mkdir struck
export NST_CRASH=$work/crash.txt NST_STRUCK=$work/struck
disturb() { # lost nodes and preemptions, while the night is in the queue
	local event node
	for event in $({ yes lose | head -n "$lost" && yes preempt | head -n "$preemptions"; } | shuf --random-source=<(yes "$seed")); do
		sleep $((4 + RANDOM % 6))
		[ -n "$(squeue -h)" ] || break
		case $event in
		lose)
			node=n$((1 + RANDOM % 3))
			echo "lost: $node with $(squeue -h -w $node -o %j | paste -sd' ')"
			cluster_lose $node
			sleep 2
			cluster_node $node
			;;
		preempt)
			echo "preempted: $(squeue -h -t R -o %j | paste -sd' ')"
			sbatch -p urgent --exclusive -N 3 -o /dev/null --job-name=urgent --wrap 'sleep 1' >/dev/null
			;;
		esac
	done
}
same_in_the_end() {
	same_night undisturbed night
	quietly "$ns" registry verify --registry night/registry
	find night/registry -name '*.tmp' -exec touch -d '1 hour ago' {} +
	quietly "$ns" registry gc --registry night/registry --registry.gc_hours=0.5
	[ -z "$(find night/registry -name '*.tmp')" ] || fail "gc left $(find night/registry -name '*.tmp')"
	[ -z "$(ls night/prepare | grep -E 'partial$|lock$|replaced$')" ] || fail "something was left behind: $(ls night/prepare)"
}
run_round() { # WITH
	rm -f struck/*
	quietly "$submit" --config night.yaml --out night --site site.conf
	$1
	finish $((300 + 20 * kills))
	awk '{ n[$4]++ } END { for (w in n) printf "%s%s %d", sep, w, n[w], sep = ", "; print " planned" }' crash.txt
	echo "$(cat night/steps/*.tries 2>/dev/null | wc -l) failures were tried again, $(cat night/slurm/log/*.out | grep -c '"event":"requeue"') jobs put themselves back"
	"$python" "$top/tests/slurm/faults.py" proof crash.txt struck night "$cluster/log/jobcomp.log" again.txt || fail "a rank hung and nobody named it"
	ok
	same_in_the_end
}
"$python" "$top/tests/slurm/faults.py" plan "$kills" "$seed" counts undisturbed >crash.txt || fail "no plan"
RANDOM=$seed
run_round disturb
echo "$lost nodes to lose and $preemptions preemptions were asked for"
# planned again, with nothing else in the way: at most so many nights more
for i in 1 2 3; do
	[ -s again.txt ] || break
	mv night "disturbed-$i"
	"$python" "$top/tests/slurm/faults.py" plan "$kills" "$((seed + i))" counts undisturbed again.txt >crash.txt || fail "no plan"
	run_round :
done
[ ! -s again.txt ] || fail "these never struck: $(paste -sd';' again.txt)"
ok
[ -z "$save" ] || cp -r undisturbed disturbed-* night crash.txt struck "$save" 2>/dev/null
"$ns" report --night night || fail "its page cannot be drawn"
[ -z "$save" ] || cp night/night.html "$save/killed-night.html"
done_testing
