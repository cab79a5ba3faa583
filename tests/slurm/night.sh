#!/usr/bin/env bash
# A night on real photos (Fashion-MNIST) through slurm/submit.sh: what submit.sh refuses and prints; an undisturbed night; one that is
# preempted in training, cancelled, and finished by the same command with another number of ranks: the same bits. Then a night
# every day, and what becomes of one that cannot succeed.
. "$(dirname "$0")/lib.sh"
photos=${NST_FASHION:-/usr/share/datasets/fashion-mnist}
[ -d "$photos" ] || photos=$(dirname "$(dpkg -L dataset-fashion-mnist 2>/dev/null | grep train-images | head -n 1)")
if [ ! -d "$photos" ] || [ "$photos" = . ]; then
	echo "SKIPPED: Fashion-MNIST is not installed (package dataset-fashion-mnist)"
	exit 77
fi
begin 3
train=$(ls "$photos"/train-images* | head -n 1) test=$(ls "$photos"/t10k-images* | head -n 1)
printf 'augment:\n  - rotate: [-30, 30]\n  - brightness: 0.5\n' >dim.yaml
cat >night.yaml <<Y
registry: night/registry
model: {blocks: [1, 1], width: 8}
train: {epochs: 2, precision: f32, checkpoint_steps: 20, lr: 0.05}
infer: {precision: f32}
retrain: {replay: 2000, epochs: [1, 1]}
drift: {permutations: 199}
gate: {old_floor: -0.5, old_estimate: -0.3}
ingest: {shard_rows: 1000}
night:
  train: $train
  test: $test
  split: {train: 12000, reference: 1500, quiet: 1500, changed: 1500}
  audited: 300
  tasks: 2
  nights: [{name: quiet}, {name: changed, recipe: dim.yaml}]
Y
site() { cat "$top/slurm/site.conf" && printf '%s\n' "$@"; }
site 'NS_SBATCH_train="--ntasks=2 --nodes=2"' >two.conf
site 'NS_SBATCH_train="--ntasks=1"' >one.conf
submit_with() { quietly "$submit" --config night.yaml --out night --site "$1"; }

# what would be submitted, and nothing made
"$submit" --config night.yaml --out night --site two.conf --dry-run >plan.txt || fail "--dry-run"
grep -q '^prepare/data.parts (ingest, 2 tasks)' plan.txt && grep -q 'sbatch .*--dependency=afterany:.*--ntasks=2 --nodes=2 .*train.sbatch' plan.txt &&
	[ ! -e night ] && [ -z "$(squeue -h)" ] || fail "--dry-run: $(cat plan.txt)"
ok
refuse() { # CODE TEXT CMD...
	local code=$1 text=$2 got
	shift 2
	"$@" >refuse.log 2>&1
	got=$?
	[ $got = "$code" ] && grep -q -- "$text" refuse.log || { cat refuse.log; fail "$* exited $got, wanted $code and '$text'"; }
	ok
}
sed 's/^model:/modle:/' night.yaml >odd.yaml
refuse 78 "modle" "$submit" --config odd.yaml --out odd --site two.conf
[ ! -e odd ] || fail "a night with a wrong configuration left a folder"
refuse 69 "no such program" env NIGHTSHIFT=/nowhere/nightshift "$submit" --config night.yaml --out odd --site two.conf
printf '#!/bin/sh\nPATH=%s:$PATH exec "$@"\n' "$build" >box && chmod +x box # the program is in the container alone
site "NS_CONTAINER=$work/box" 'NIGHTSHIFT=nightshift' >box.conf
quietly env PATH=/usr/bin:/bin "$submit" --config night.yaml --out odd --site box.conf --dry-run
refuse 78 "USR2 is meant" "$submit" --config night.yaml --out odd --site <(site NS_SIGNAL=TERM)
refuse 64 "unknown option" "$submit" --confg night.yaml

# undisturbed
submit_with two.conf
refuse 74 "still in the queue" "$submit" --config night.yaml --out night --site two.conf
finish 240
refuse 74 "is done" "$submit" --config night.yaml --out night --site two.conf
[ "$(field night/summary.json changed_status)" != none ] || fail "the change was not seen"
"$python" - <<'P' || fail "the graph of the night"
page = open("night/night.html").read()
assert "How the night went" in page and "changed/candidate" in page and "samples/s" in page, "no graph"
assert page.count("<script") == 0 and "http://" not in page.replace("http://www.w3.org", ""), "not self-contained"
P
ok
mv night undisturbed

# preempted in training by somebody who is worth more: it goes back into the queue with its checkpoint, by itself
wait_for() { # WHAT CONDITION...
	local tries what=$1
	shift
	for tries in $(seq 600); do
		"$@" && return
		sleep 0.1
	done
	squeue
	fail "never: $what"
}
has_checkpoint() { ls night/prepare/model.partial/checkpoint/*.json >/dev/null 2>&1; }
requeued() { grep -q '"event":"requeue"' night/slurm/log/prepare.model-*.out 2>/dev/null; }
submit_with two.conf
wait_for "a checkpoint of training" has_checkpoint
sbatch -p urgent --exclusive -N 3 -o /dev/null --job-name=urgent --wrap 'sleep 1' >/dev/null
wait_for "training put back" requeued
grep -q '"why":"stopped"' night/slurm/log/prepare.model-*.out || fail "it was not stopped: $(cat night/slurm/log/prepare.model-*.out)"
grep -q 'stopped at step' night/slurm/log/prepare.model-*.out || fail "it made no checkpoint when it was stopped"
ok
# cancelled by a person: nothing comes back. The same command, with another number of ranks, finishes it.
scancel -u "$(id -un)"
cluster_wait 60 || fail "a night that was cancelled stays in the queue: $(squeue)"
[ ! -e night/run.json ] || fail "it was done before it was cancelled"
submit_with one.conf
finish 240
grep -q '"event":"resumed"' night/slurm/log/prepare.model-*.out || fail "training began anew"
[ "$(field night/steps/prepare.model.json where.ranks)" = 1 ] || fail "not another number of ranks"
same_night undisturbed night
ok

# a night that cannot succeed: what fails is said once, nobody waits for it, the page is there
mkdir torn && zcat "$train" | head -c 100000 >torn/train-images-idx3-ubyte && zcat "${train/images-idx3/labels-idx1}" >torn/train-labels-idx1-ubyte
sed 's|^  train: /.*|  train: torn/train-images-idx3-ubyte|' night.yaml >bad.yaml
quietly "$submit" --config bad.yaml --out bad --site two.conf
cluster_wait 240 || { squeue; fail "a night that fails stays in the queue"; }
[ ! -e bad/run.json ] || fail "it was committed"
[ "$(field bad/steps/prepare.data.parts.00000.json state)" = failed ] || fail "prepare/data did not fail"
grep -q '"why": "prepare/data.parts, task 0: failed (.*torn/train' bad/steps/changed.drift.json ||
	fail "who is blocked does not know by whom: $(cat bad/steps/changed.drift.json bad/steps/prepare.data.parts.00000.json)"
[ -z "$(ls bad/steps/*.tries 2>/dev/null)" ] || fail "what cannot change was tried again: $(cat bad/steps/*.tries)"
grep -q 'did not come to their end' bad/night.html && grep -q 'torn/train-images' bad/night.html || fail "the page does not say it"
ok
# nor does one whose program does not start at all: as often as the site says, then never again; in a folder whose name is Slurm's
# pattern, a shell's command and a sed script
never="ne%ver|&\$(id>pwned)'j"
{ cat two.conf && echo 'NS_TRIES=1; [ "${SLURM_JOB_NAME:-}" != prepare.data.parts ] || NS_SRUN="--mpi=nonsense"'; } >nonsense.conf
quietly "$submit" --config night.yaml --out "$never" --site nonsense.conf
refuse 74 "still in the queue" "$submit" --config night.yaml --out "$never" --site nonsense.conf
cluster_wait 240 || { squeue; fail "a night that never starts stays in the queue"; }
[ "$(field "$never/steps/prepare.model.json" try_again)" = False ] && [ "$(field "$never/steps/prepare.data.parts.00001.json" state)" = failed ] &&
	[ "$(wc -l <"$never/steps/prepare.data.parts.00001.tries")" = 2 ] && [ ! -e pwned ] && ls "$never"/slurm/log/prepare.data.parts-*_1.out >/dev/null ||
	fail "it was not given up: $(cat "$never"/steps/*)"
ok

# every day
refuse 64 "{date} is wanted" "$submit" --config night.yaml --out nights --site two.conf --standing 22:00
"$submit" --config night.yaml --out 'nights/{date}' --site two.conf --scrontab 22:05 >scron.txt || fail scrontab
grep -q '^#SCRON .*--chdir=' scron.txt && grep -q "^5 22 \* \* \* .*submit.sh --config $work/night.yaml --out $work/nights/{date} --site .* --date evening" scron.txt ||
	fail "$(cat scron.txt)"
ok
soon=$(date -d '+3 seconds' +%H:%M:%S)
quietly "$submit" --config night.yaml --out 'nights/{date}' --site two.conf --standing "$soon"
refuse 74 "in the queue already" "$submit" --config night.yaml --out 'nights/{date}' --site two.conf --standing "$soon"
begun() { ls -d nights/*/slurm/jobs.tsv >/dev/null 2>&1; }
wait_for "the night of a standing chain" begun
tomorrow() { [ "$(squeue -h -n nightshift-night -t PD -o %S)" = "$(date -d "tomorrow $soon" +%FT%T)" ]; }
wait_for "tomorrow's: $(squeue -h -n nightshift-night -o '%S %R')" tomorrow
ok
done_testing
