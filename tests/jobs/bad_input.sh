#!/usr/bin/env bash
# Bad input: one clear line, its exit code, nothing half-published, no rank left hanging.
. "$(dirname "$0")/lib.sh"
"$images" idx src 300 3 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data --ingest.shard_rows=100
train=("$ns" train --data data --model.blocks='[1]' --model.width=8 --train.epochs=1 --out refused)
quietly "$ns" train --data data --model.blocks='[1]' --model.width=8 --train.epochs=1 --out model
refuses 64 "did you mean 'train'" "$ns" trian
refuses 78 "did you mean 'train.epochs'" "${train[@]}" --train.epoch=3
refuses 78 "a whole number" "${train[@]}" --train.epochs=many
refuses 78 "0 to 1000 is wanted" "${train[@]}" --train.lr=-1
refuses 78 "means nothing to this verb" "$ns" registry list --drift.alpha=0.1
printf 'train:\n  epochss: 3\n' >typo.yaml
refuses 78 "typo.yaml: unknown key 'train.epochss'; did you mean" "${train[@]}" --config typo.yaml
printf 'train: [\n' >broken.yaml
refuses 78 "broken.yaml: line" "${train[@]}" --config broken.yaml
refuses 78 "brightnes" "${train[@]}" --augment='[{brightnes: 1}]'
refuses 78 "acts before" "${train[@]}" --augment='[{brightness: 1}, {rotate: 3}]'
refuses 78 "power of two" "${train[@]}" --train.virtual_ranks=3
refuses 78 "virtual_ranks" mpi 4 "${train[@]}" --train.virtual_ranks=2
refuses 69 "device cuda: " "${train[@]}" --device=cuda
refuses 78 "no implementation 'conv/fast'" env NS_FORCE=conv/fast "${train[@]}"
refuses 65 "became" "${train[@]}" --train.lr=1000 --train.weight_decay=10 --train.epochs=20
refuses 65 "became" mpi 2 "${train[@]}" --train.lr=1000 --train.weight_decay=10 --train.epochs=20
refuses 74 "no such file" "$ns" ingest nowhere --out refused
refuses 74 "no such file" "$ns" train --data nowhere --out refused
mkdir empty
refuses 65 "holds no images" "$ns" ingest empty --out refused
refuses 74 "holds a published result" "$ns" ingest src/images-idx3-ubyte --out data

# hostile and damaged shards
damage() { rm -rf bad; cp -r data bad; "$python" -c "
import h5py
f = h5py.File('bad/shard-00001.h5', 'r+')
$1"; }
infer=("$ns" infer --model model --data bad --out refused)
damage "f['label'][7] = 12"
refuses 65 "bad/shard-00001.h5: label\[7\] = 12, but classes has 3" "${infer[@]}"
damage "f['image'][3, 4, 5, 0] = 99 - f['image'][3, 4, 5, 0] // 2"
refuses 77 "do not match their checksum" "${infer[@]}"
refuses 77 "do not match their checksum" mpi 2 "${infer[@]}"
damage "f.attrs['classes'] = f.attrs['classes'][:2]"
refuses 65 "classes" "${infer[@]}"
damage "c = list(f.attrs['classes']); f.attrs['classes'] = [c[1], c[0], c[2]]"
refuses 65 "class 0 is" "${infer[@]}"
damage "del f['label']; f['label'] = h5py.SoftLink('/id')"
refuses 65 "is a link, which is refused" "${infer[@]}"
damage "del f['image']; f.create_dataset('image', (100, 28, 28, 1), 'u1', external=[('/etc/passwd', 0, 78400)])"
refuses 65 "keeps its data in another file" "${infer[@]}"
damage "del f['image']; f['image'] = [1.5]"
refuses 65 "image" "${infer[@]}"
damage "f.attrs['schema'] = 'other/9'"
refuses 65 "schema is 'other/9'" "${infer[@]}"
damage "pass"; truncate -s 40000 bad/shard-00001.h5
refuses 65 "shard-00001.h5" "${infer[@]}"
damage "pass"; head -c 5000 /dev/urandom >bad/shard-00001.h5
refuses 65 "is not an HDF5 file" "${infer[@]}"
damage "pass"; echo '{' >bad/dataset.json
refuses 65 "dataset.json: line" "${infer[@]}"

# models
cp -r model other; printf X | dd of=other/model.safetensors bs=1 seek=3000 conv=notrunc 2>/dev/null
refuses 77 "its SHA-256 is" "$ns" infer --model other --data data --out refused
refuses 74 "has no ref 'nobody'" "$ns" infer --model nobody --data data --out refused
quietly "$ns" ingest src/images-idx3-ubyte --out renamed --ingest.classes='[b, a, c]'
refuses 65 "the order must agree" "$ns" infer --model model --data renamed --out refused
quietly "$ns" ingest src/images-idx3-ubyte --out more --ingest.classes='[0, 1, 2, 3]'
refuses 65 "has no image" "$ns" train --data more --model.blocks='[1]' --out refused

# places that cannot be written; root may write anywhere, so a file stands in the way
: >file
refuses 74 "cannot make the folder" "$ns" ingest src/images-idx3-ubyte --out file/refused
if [ -w /dev/full ] && mkdir small && mount -t tmpfs -o size=64k none small 2>/dev/null; then
	trap 'umount "$work/small" 2>/dev/null; rm -rf "$work"' EXIT
	refuses 74 "disk full" "$ns" ingest src/images-idx3-ubyte --out small/refused
	[ -e small/refused ] && fail "a full disk published"
	umount small
else
	echo "skipped: no small file system can be mounted here, so none can be filled"
fi
# aliases of aliases multiply: a small file must not become a large one
"$python" -c '
print("x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]")
for i in range(1, 12): print("x%d: &x%d [%s]" % (i, i, ", ".join(["*x%d" % (i - 1)] * 10)))' >laughs.yaml
refuses 78 "more than 100000" "$ns" train --config laughs.yaml --data data --out refused
done_testing
