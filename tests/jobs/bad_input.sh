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
refuses 78 "expected 0 to 1000" "${train[@]}" --train.lr=-1
refuses 78 "is not an option of this verb" "$ns" registry list --drift.alpha=0.1
printf 'train:\n  epochss: 3\n' >typo.yaml
refuses 78 "typo.yaml: unknown key 'train.epochss'; did you mean" "${train[@]}" --config typo.yaml
refuses 78 "unknown key 'model': it is an option of other verbs" "$ns" export --model m --out no
printf 'train: [\n' >broken.yaml
refuses 78 "broken.yaml: line" "${train[@]}" --config broken.yaml
refuses 78 "brightnes" "${train[@]}" --augment='[{brightnes: 1}]'
refuses 78 "acts before" "${train[@]}" --augment='[{brightness: 1}, {rotate: 3}]'
refuses 78 "rotate: \[0, 500\], expected values within -360 to 360" "${train[@]}" --augment='[{rotate: [0, 500]}]'
refuses 78 "blur: \[-1, 1\], expected values within 0 to 4" "${train[@]}" --augment='[{blur: [-1, 1]}]'
refuses 78 "zoom: \[1.5, 0.7\], expected" "${train[@]}" --augment='[{zoom: {range: [1.5, 0.7]}}]'
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

# damaged shards: whatever it is, the digest in dataset.json tells before libhdf5 sees it
change() { rm -rf bad; cp -r data bad; "$python" -c "
import h5py
f = h5py.File('bad/shard-00001.h5', 'r+')
$1"; }
# hostile ones: the digest is right, too
damage() { change "$1"; sign bad; }
infer=("$ns" infer --model model --data bad --out refused)
for what in "f['label'][7] = (f['label'][7] + 1) % 3" "f['label'][...] = 2 - f['label'][...]; del f['checksum/label']" "del f['time']" "f.attrs['schema'] = 'other/9'" \
	"f['image'][3, 4, 5, 0] = 99 - f['image'][3, 4, 5, 0] // 2"; do
	change "$what"
	refuses 77 "bad/shard-00001.h5: its SHA-256 is" "${infer[@]}"
	refuses 77 "bad/shard-00001.h5: its SHA-256 is" mpi 2 "${infer[@]}"
	refuses 77 "bad/shard-00001.h5: its SHA-256 is" "${train[@]}" --data bad
done
rm -rf bad && cp -r data bad && cp data/shard-00002.h5 bad/shard-00001.h5
refuses 77 "bad/shard-00001.h5: its SHA-256 is" "${infer[@]}"
sign bad
refuses 65 "shard-00002.h5 is listed twice" "${infer[@]}"
list() { rm -rf bad; cp -r data bad; "$python" -c "
import json
j = json.load(open('bad/dataset.json'))
$1
json.dump(j, open('bad/dataset.json', 'w'))"; }
list "del j['shards'][1]"
refuses 77 "its list of shards has" "${infer[@]}"
list "j['shards'][1] = j['shards'][0]"
refuses 65 "is listed twice" "${infer[@]}"
list "j['shards'].reverse()"
refuses 77 "its list of shards has" "${infer[@]}"
list "del j['shards'][1]['sha256']"
refuses 65 "expected 64 hexadecimal digits" "${infer[@]}"
list "j['shards'][1]['rows'] = 2**32 + 100"
refuses 65 "rows is 4294967396" "${infer[@]}"
list "j['shards'][1]['rows'] = 100.0"
refuses 65 "rows is 100.0" "${infer[@]}"
list "j['rows'] = 299"
refuses 65 "rows is 299" "${infer[@]}"
list "j['classes'].reverse()"
refuses 65 "its classes are not those" "${infer[@]}"
rm -rf bad && cp -r data bad && mv bad/shard-00001.h5 bad/real.h5 && ln -s real.h5 bad/shard-00001.h5
refuses 74 "shard-00001.h5: cannot open" "${infer[@]}" # below a folder of ours no link is followed
damage "f['label'][7] = 12"
refuses 65 "bad/shard-00001.h5: label\[7\] = 12, but classes has 3" "${infer[@]}"
# a shard alone has no digest, but its checksums, however its images are stored
for store in "f['image'][3, 4, 5, 0] ^= 1" "a = f['image'][:]; a[99, 27, 27, 0] ^= 1; del f['image']; f.create_dataset('image', data=a, chunks=(7, 28, 28, 1), compression='gzip')"; do
	change "$store"
	refuses 77 "do not match their checksum" "${infer[@]}" --data bad/shard-00001.h5
done
change "a = f['image'][:]; del f['image']; f.create_dataset('image', data=a, chunks=(7, 28, 28, 1), compression='gzip')"
quietly "$ns" infer --model model --data bad/shard-00001.h5 --out packed
quietly "$ns" infer --model model --data data/shard-00001.h5 --out plain
"$python" -c 'import h5py; a, b = [h5py.File(x + "/predictions-00000.h5")["prob"][:] for x in ("packed", "plain")]; assert (a == b).all()' || fail "chunks are read otherwise"
ok
damage "del f['checksum/label']"
refuses 65 "none of 'label'" "${infer[@]}"
damage "f['away'] = f['checksum']; del f['checksum']; f['checksum'] = h5py.ExternalLink('shard-00000.h5', '/checksum')"
refuses 65 "not a link" "${infer[@]}"
damage "del f['checksum']; del f['label']; f['label'] = [.7] * 100"
refuses 65 "label: holds fractions" "${infer[@]}"
damage "del f['checksum']; del f['group']; f['group'] = [2**32] * 100"
refuses 65 "group" "${infer[@]}"
damage "del f['checksum']; del f['id']; f['id'] = [-1] * 100"
refuses 65 "id" "${infer[@]}"
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
damage "pass"; truncate -s 40000 bad/shard-00001.h5; sign bad
refuses 65 "shard-00001.h5" "${infer[@]}"
damage "pass"; head -c 5000 /dev/urandom >bad/shard-00001.h5; sign bad
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
	at_end() { umount "$work/small" 2>/dev/null; }
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
