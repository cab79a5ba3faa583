#!/usr/bin/env bash
# The same bits for any number of ranks and workers, after USR2 and after SIGTERM, and after a damaged checkpoint.
. "$(dirname "$0")/lib.sh"
"$images" idx src 1400 7 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data --ingest.shard_rows=500
settings=(--data data --model.blocks='[1, 1]' --model.width=8 --train.epochs=3 --train.precision=f32
	--augment='[{crop: {padding: 2}}, {rotate: [-10, 10]}, {flip: 0.5}, {brightness: [0.8, 1.2]}]')
# 1400 / 64 = 21 steps an epoch, 63 in all
quietly "$ns" train "${settings[@]}" --threads=1 --out one
for ranks in 1 2 4; do
	for threads in 1 2; do
		quietly mpi $ranks "$ns" train "${settings[@]}" --threads=$threads --out "r$ranks-t$threads"
		same one/model.safetensors "r$ranks-t$threads/model.safetensors"
		same one/metrics.jsonl "r$ranks-t$threads/metrics.jsonl"
	done
done
# another seed gives another model: the comparison above can fail
quietly "$ns" train "${settings[@]}" --threads=1 --seed=2 --out other
cmp -s one/model.safetensors other/model.safetensors && fail "two seeds gave the same model"
ok

# the other optimiser, clipping, smoothing, no average: other bits, the same for any number of ranks
other=(--train.optimizer=adamw --train.lr=0.002 --train.clip=0.5 --train.label_smoothing=0.1 --train.ema=0 --train.schedule=constant)
quietly "$ns" train "${settings[@]}" "${other[@]}" --threads=2 --out adamw
quietly mpi 2 "$ns" train "${settings[@]}" "${other[@]}" --threads=1 --out adamw-2
same adamw/model.safetensors adamw-2/model.safetensors
for without in train.clip=0 train.label_smoothing=0 train.optimizer=sgd; do
	quietly "$ns" train "${settings[@]}" "${other[@]}" --$without --out "no-$without"
	cmp -s adamw/model.safetensors "no-$without/model.safetensors" && fail "--$without changed nothing"
	ok
done
[ "$(tail -1 adamw/metrics.jsonl | "$python" -c 'import json,sys; v=json.loads(sys.stdin.read()); print(v["loss"] < 2 and v["gradient_norm"] > 0)')" = True ] ||
	fail "AdamW did not learn: $(tail -1 adamw/metrics.jsonl)"
ok

# bf16 keeps the promise too, where the processor has it
if grep -q avx512_bf16 /proc/cpuinfo; then
	for ranks in 1 2; do
		quietly mpi $ranks "$ns" train "${settings[@]}" --train.precision=bf16 --out "bf16-$ranks"
	done
	same bf16-1/model.safetensors bf16-2/model.safetensors
else
	echo "skipped: this processor has no bf16"
fi

# stopped in the middle of an epoch, gone on with on another number of ranks
for signal in USR2 TERM; do
	"$ns" train "${settings[@]}" --train.checkpoint_steps=5 --threads=1 --out "stop-$signal" >stop.log 2>&1 &
	pid=$!
	for _ in $(seq 2000); do
		ls "stop-$signal.partial/checkpoint/"*.json >/dev/null 2>&1 && break
		sleep 0.01
	done
	kill -$signal $pid
	wait $pid
	code=$?
	[ $code = 75 ] || { cat stop.log; fail "a run stopped by $signal exited $code, wanted 75"; }
	[ -e "stop-$signal" ] && fail "a stopped run published"
	quietly mpi 2 "$ns" train "${settings[@]}" --train.checkpoint_steps=5 --threads=1 --out "stop-$signal"
	grep -q '"resumed"' log || fail "it did not go on from the checkpoint"
	same one/model.safetensors "stop-$signal/model.safetensors"
	same one/metrics.jsonl "stop-$signal/metrics.jsonl"
done

# killed without warning, and the newest checkpoint damaged: the one before it is used, once, said aloud; two are too many
"$ns" train "${settings[@]}" --train.checkpoint_steps=5 --threads=1 --out damaged >/dev/null 2>&1 &
pid=$!
for _ in $(seq 2000); do
	[ "$(ls damaged.partial/checkpoint/*.json 2>/dev/null | wc -l)" = 2 ] && break
	sleep 0.01
done
kill -9 $pid
wait $pid 2>/dev/null
newest=$(ls damaged.partial/checkpoint/*.json | tail -1)
printf X | dd of="${newest%.json}.safetensors" bs=1 seek=2000 conv=notrunc 2>/dev/null
cp -r damaged.partial twice.partial
for f in twice.partial/checkpoint/*.safetensors; do printf X | dd of="$f" bs=1 seek=2000 conv=notrunc 2>/dev/null; done
refuses 77 "two checkpoints are damaged" "$ns" train "${settings[@]}" --threads=1 --out twice
cp -r damaged.partial only.partial
rm -f "$(ls only.partial/checkpoint/*.json | head -1)"
refuses 77 "none before it" "$ns" train "${settings[@]}" --threads=1 --out only
quietly "$ns" train "${settings[@]}" --threads=1 --out damaged
[ "$(grep -c 'checkpoint REFUSED' log)" = 1 ] || fail "a damaged checkpoint was not named, or not once"
grep 'checkpoint REFUSED' log | grep -q "${newest#*checkpoint/}\|$(basename "${newest%.json}")" || fail "it was not named: $(grep REFUSED log)"
same one/model.safetensors damaged/model.safetensors

# inference does not depend on ranks or workers
quietly "$ns" infer --model one --data data --out p1 --threads=1 --infer.precision=f32
quietly mpi 2 "$ns" infer --model one --data data --out p2 --threads=2 --infer.precision=f32
for f in p1/predictions-*.h5; do same "$f" "p2/$(basename "$f")"; done
done_testing
