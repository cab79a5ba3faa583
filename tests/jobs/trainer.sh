#!/usr/bin/env bash
# Training by known answers: weights and metrics after a few steps are those of a reference in double (trainer.py), for each rule of the
# optimisers, the schedule, the average of weights, running statistics, clipping, smoothing, the order of rows and the augmentation of each
# epoch, and what training begins with. Where the tests were built, also with the device's steps, on the simulator.
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
mkdir cpu cuda
(cd cpu && "$python" "$here/trainer.py" "$ns") || fail "trainer.py"
ok
[ ! -x "$build/nightshift-sim" ] || (cd cuda && "$python" "$here/trainer.py" "$build/nightshift-sim" cuda) || fail "trainer.py with the device cuda"
ok
# a rate that nobody gave suits the optimiser; a warm-up as long as the training is warned of
small=(--data cpu/data --train.batch=8 --train.virtual_ranks=2 --model.blocks='[1]' --model.width=2 --train.precision=f32 --threads=1)
near() { "$python" -c 'import sys; a, b = map(float, sys.argv[1:]); sys.exit(abs(a - b) > 1e-6 * b)' "$@"; }
for one in sgd=0.1 adamw=0.001; do
	quietly "$ns" train "${small[@]}" --train.epochs=1 --train.optimizer="${one%=*}" --train.schedule=constant --train.warmup_epochs=0 --out "own-${one%=*}"
	near "$(field "own-${one%=*}/metrics.jsonl" learning_rate)" "${one#*=}" || fail "${one%=*}: $(cat "own-${one%=*}/metrics.jsonl")"
	grep -q warmup log && fail "a warning of no warm-up"
done
quietly "$ns" train "${small[@]}" --train.epochs=2 --train.warmup_epochs=2 --out warm
grep -q "train.warmup_epochs = 2, and training ends after 2" log || { cat log >&2; fail "no warning of a warm-up that never ends"; }
done_testing
