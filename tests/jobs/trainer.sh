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
done_testing
