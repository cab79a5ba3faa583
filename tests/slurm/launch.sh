#!/usr/bin/env bash
# How srun and mpirun start ranks: what each may use of its node, which GPU is whose, the same bits whatever the launch; the
# classic mistake is refused; a rank that hangs or dies ends the job and is named.
. "$(dirname "$0")/lib.sh"
begin 2
sim=$build/nightshift-sim
"$images" idx src 400 3 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data
settings=(--data data --model.blocks='[1]' --model.width=4 --train.epochs=2 --train.batch=32 --train.virtual_ranks=4 --train.precision=f32
	--train.checkpoint_steps=1000 --device=cpu)
quietly "$ns" train "${settings[@]}" --out alone

# N processes that do not know of each other are no job of N ranks
refuses 64 "srun --mpi=pmix" srun --mpi=none -n 2 -N 2 "$ns" train "${settings[@]}" --out refused
refuses 64 "srun started 2 tasks" srun --mpi=pmi2 -n 2 -N 1 "$ns" doctor

# the same bits: two nodes, an uneven share of three ranks on two nodes, mpirun in an allocation
quietly srun --mpi=pmix -n 2 -N 2 "$ns" train "${settings[@]}" --out two
same alone/model.safetensors two/model.safetensors
quietly srun --mpi=pmix -n 3 -N 2 "$ns" train "${settings[@]}" --out three
same alone/model.safetensors three/model.safetensors
[ "$(field three/run.json ranks)" = 3 ] || fail "three/run.json does not say 3 ranks"
quietly salloc -Q -n 2 -N 2 mpirun -n 2 "$ns" train "${settings[@]}" --out by-mpirun
same alone/model.safetensors by-mpirun/model.safetensors

# workers: what Slurm gave a rank, not what the node has
doctor() { "$@" >doctor.log 2>&1 || { cat doctor.log; fail "$*"; }; }
doctor srun --mpi=pmix -n 1 -c 2 "$ns" doctor --device=cpu
grep -q '^rank 0 .*workers: 2' doctor.log || fail "one task of two processors: $(grep '^rank ' doctor.log)"
ok
doctor srun --mpi=pmix -n 3 -N 2 -c 1 "$ns" doctor --device=cpu
[ "$(grep -c '^rank .*workers: 1' doctor.log)" = 3 ] || fail "three tasks of a processor: $(grep '^rank ' doctor.log)"
if [ "$cluster_mode" = ns ]; then
	[ "$(grep '^rank ' doctor.log | grep -o '[01] of [12] there' | sort | paste -sd,)" = "0 of 1 there,0 of 2 there,1 of 2 there" ] ||
		fail "places on the nodes: $(grep '^rank ' doctor.log)"
fi
ok

# each rank its own GPU, whether Slurm shows it one or all of its node
doctor srun --mpi=pmix -n 4 -N 2 --gpus-per-task=1 "$sim" doctor --device=cuda
[ "$(grep -o 'GPU 0 of the 1 .*VISIBLE_DEVICES=[01]' doctor.log | grep -o '[01]$' | sort | paste -sd,)" = 0,0,1,1 ] ||
	fail "GPUs by task: $(grep '^rank ' doctor.log)"
ok
doctor srun --mpi=pmix -n 2 -N 1 --gres=gpu:2 "$sim" doctor --device=cuda
[ "$(grep '^rank ' doctor.log | grep -o 'GPU [01] of the 2' | sort | paste -sd,)" = "GPU 0 of the 2,GPU 1 of the 2" ] || fail "GPUs by node: $(grep '^rank ' doctor.log)"
ok
refuses 69 "device cuda" srun --mpi=pmix -n 1 env CUDA_VISIBLE_DEVICES= "$sim" doctor --device=cuda

# a rank that dies takes the job with it; one that hangs is named with its call
long=("${settings[@]}" --train.epochs=2000 --comm.timeout=3)
pids() { pgrep -f "nightshift train .*--out $1"; }
srun --mpi=pmix --kill-on-bad-exit=1 -n 2 -N 2 "$ns" train "${long[@]}" --out dies >dies.log 2>&1 &
until [ "$(pids dies | wc -l)" -ge 3 ]; do sleep 0.1; done # srun itself is one
sleep 1
kill -9 "$(pids dies | tail -1)"
wait $! && fail "a job of which a rank died ended with 0"
[ ! -e dies ] || fail "it published"
ok
srun --mpi=pmix --kill-on-bad-exit=1 -n 2 -N 2 "$ns" train "${long[@]}" --out hangs >hangs.log 2>&1 &
until [ "$(pids hangs | wc -l)" -ge 3 ]; do sleep 0.1; done
sleep 1
stopped=$(pids hangs | tail -1)
kill -STOP "$stopped"
wait $! && fail "a job of which a rank hung ended with 0"
grep -q "MPI_.*rank [01] (.*process $stopped) did not come within 3 s" hangs.log || { cat hangs.log; fail "the rank that hung was not named"; }
ok
done_testing
