#!/usr/bin/env bash
# Somebody sets the time while ranks wait for each other: nobody is ended by that, nobody waits longer, and the model has the same bits.
. "$(dirname "$0")/lib.sh"
[ -e "$build/clock.so" ] || fail "$build/clock.so is not there: it is built with -DNS_TESTS=ON and without NS_SANITIZE"
"$images" idx src 200 3 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data
train() { # OUT COMMAND...
	local out=$1
	shift
	quietly "$@" "$ns" train --data data --model.blocks='[1]' --model.width=4 --train.epochs=2 --train.precision=f32 --device=cpu \
		--train.virtual_ranks=2 --comm.timeout=60 --out "$out"
}
train still env
# two readings of the clock are two hours apart
LD_PRELOAD=$build/clock.so "$python" -c 'import time; assert abs(time.time() - time.time()) > 7000 and abs(time.monotonic() - time.monotonic()) < 60' ||
	fail "clock.so does nothing"
train set mpi 2 env LD_PRELOAD="$build/clock.so"
same still/model.safetensors set/model.safetensors

# a rank that is not there is missed after as many seconds as were said, and not before
cat >rank.sh <<'R'
#!/bin/sh
[ "$OMPI_COMM_WORLD_RANK" = 0 ] || exec sleep 30 # never comes to MPI_Init
exec env LD_PRELOAD="$CLOCK_SO" "$@"
R
chmod +x rank.sh
read -r before _ </proc/uptime
CLOCK_SO=$build/clock.so mpi 2 ./rank.sh "$ns" train --data data --comm.timeout=3 --out refused >log 2>&1 && fail "a lone rank trained"
read -r after _ </proc/uptime
[ $((${after%.*} - ${before%.*})) -ge 3 ] || fail "it did not wait: $(cat log)"
grep -q 'MPI_Init: rank 0 .* came, but not every rank did within 3 s' log || fail "the rank that waited did not say so: $(cat log)"
ok
done_testing
