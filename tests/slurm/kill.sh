#!/usr/bin/env bash
# A small night on a real Slurm, disturbed: its processes are killed before and after their changes of files and at random moments,
# stopped, starved of disk space; its nodes are lost, its jobs preempted. What it publishes in the end is, byte for byte, what an
# undisturbed night published.
#
#	tests/slurm/kill.sh [--kills N] [--seed S] [--nodes-lost L] [--preemptions P] [--keep FOLDER]
. "$(dirname "$0")/lib.sh"
kills=24 seed=1 lost=1 preemptions=2 keep=
while [ $# -gt 0 ]; do
	case $1 in
	--kills) kills=$2 ;;
	--seed) seed=$2 ;;
	--nodes-lost) lost=$2 ;;
	--preemptions) preemptions=$2 ;;
	--keep) keep=$2 ;;
	*) fail "unknown option $1" ;;
	esac
	shift 2
done
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

# which of them are the places: each line strikes one start of one task. Two in three are before or after what publishes (rename,
# link, unlink); a rank that hangs, one that dies and a full disk are in every plan.
"$python" - "$kills" "$seed" >crash.txt <<'P'
import json, os, random, sys
n, rng, tasks = int(sys.argv[1]), random.Random(int(sys.argv[2])), {}
for name in sorted(os.listdir("counts")):
    step, task, rank = name.rsplit(" ", 2)
    tasks.setdefault((step, int(task)), {})[int(rank)] = open("counts/" + name).read()
records = {}
for name in os.listdir("undisturbed/steps"):
    r = json.load(open("undisturbed/steps/" + name)) if name.endswith(".json") else {}
    if r.get("schema") == "nightshift.step/1":
        records[(r["step"].replace("/", "."), r["task"])] = r
keys = sorted(tasks)
weights = [6 if len(tasks[k]) > 1 else 2 if k[1] >= 0 else 1 for k in keys]  # training, arrays, the rest
starts = {}

def strike(k, what):
    ranks, start = tasks[k], starts.get(k, 0)
    rank = rng.choice(sorted(ranks)) if what in ("kill", "stop") else 0
    if what in ("kill", "stop"):  # while it works
        number = int(1000 * rng.uniform(0.02, max(0.05, records[k].get("seconds") or 0.05)))
    else:
        calls = ranks[0] if start == 0 else ranks[0][:12]  # a later start may have little left to do
        publishing = [i for i, c in enumerate(calls) if c in "rlu"] if rng.random() < 0.67 else []
        number = rng.choice(publishing or range(len(calls)))
    starts[k] = start + 1
    print(records[k]["step"], k[1], rank, start, what, number)

training = ("prepare.model", -1)
for k, what in [(training, "stop"), (("prepare.data.parts", 0), "full"), (training, "kill")][:n]:
    strike(k, what)
for i in range(n - 3):
    k = rng.choices(keys, weights)[0]
    strike(k, rng.choices(["before", "after", "kill", "full", "stop"], [30, 30, 20, 8, 6 if len(tasks[k]) > 1 else 0])[0])
P
export NST_CRASH=$work/crash.txt
quietly "$submit" --config night.yaml --out night --site site.conf
RANDOM=$seed
events=$(for i in $(seq "$lost"); do echo lose; done; for i in $(seq "$preemptions"); do echo preempt; done)
for event in $(shuf -e $events --random-source=<(yes $seed)); do
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
finish $((300 + 20 * kills))
struck=$(cat night/steps/*.tries 2>/dev/null | wc -l)
restarts=$(cat night/slurm/log/*.out | grep -c '"event":"requeue"')
awk '{ n[$5]++ } END { for (w in n) printf "%s%s %d", sep, w, n[w], sep = ", "; print " planned" }' crash.txt
echo "$struck failures were tried again, $restarts jobs put themselves back, $lost nodes were lost, $preemptions preemptions asked for"
hung=$(grep -hE 'rank [01] \(.*(did not come|not every rank did) within' night/slurm/log/*.out | head -n 1)
echo "of a rank that hung: ${hung:-nothing}"
[ -n "$hung" ] || fail "no rank was named that hung"
[ "$struck" -ge $((kills / 3)) ] || fail "only $struck of $kills planned failures happened"
ok
same_night undisturbed night
quietly "$ns" registry verify --registry night/registry
find night/registry -name '*.tmp' -exec touch -d '1 hour ago' {} +
quietly "$ns" registry gc --registry night/registry --registry.gc_hours=0.5
[ -z "$(find night/registry -name '*.tmp')" ] || fail "gc left $(find night/registry -name '*.tmp')"
[ -z "$(ls night/prepare | grep -E 'partial$|lock$|replaced$')" ] || fail "something was left behind: $(ls night/prepare)"
[ -z "$keep" ] || cp -r undisturbed night crash.txt "$keep"
"$ns" report --night night || fail "its page cannot be drawn"
[ -z "$keep" ] || cp night/night.html "$keep/killed-night.html"
done_testing
