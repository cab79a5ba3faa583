#!/usr/bin/env bash
# Every kind of source; broken images go to quarantine; plain h5py reads what is written.
. "$(dirname "$0")/lib.sh"
"$images" png png 30 1 && "$images" jpeg jpeg 30 1 && "$images" idx idx 90 1 || fail images
head -c 300 jpeg/disc/00000.jpg >jpeg/disc/truncated.jpg
echo hello >png/square/text.png
echo hello >png/square/README.md
: >png/square/empty.png
quietly "$ns" ingest png --out d-png
grep -q "2 of 32 images were refused: quarantine.jsonl says why" log || fail "more than one in a hundred is not said aloud: $(cat log)"
[ "$(field d-png/run.json counts.refused)" = 2 ] && [ "$(field d-png/run.json counts.out)" = 30 ] || fail "$(field d-png/run.json counts)"
ok
[ "$(wc -l <d-png/quarantine.jsonl)" = 2 ] || fail "two of the PNG folder's files are broken"
grep -q '"path":"square/text.png"' d-png/quarantine.jsonl || fail "quarantine names no file"
grep -q '"square/text.png".*no image' d-png/quarantine.jsonl || fail "quarantine names no reason"
[ "$(cat d-png/passed.jsonl)" = '{"path":"square/README.md","reason":"is no image by its name"}' ] || fail "passed over: $(cat d-png/passed.jsonl)"
quietly "$ns" ingest jpeg --out d-jpeg --encoding encoded
[ "$(wc -l <d-jpeg/quarantine.jsonl)" = 1 ] || fail "one JPEG is truncated"
quietly "$ns" ingest jpeg --out d-sized --size 16x16x1
# a header may end behind the first 16 KiB, and behind the first 256
mkdir -p long/disc
"$python" - <<'P' || fail "JPEGs with long headers"
import pathlib
for i, parts in enumerate([0, 4, 60]):
    data = pathlib.Path("jpeg/disc/00000.jpg").read_bytes()
    remark = b"\xff\xfe" + (5000).to_bytes(2, "big") + bytes(4998)
    pathlib.Path(f"long/disc/{i}.jpg").write_bytes(data[:2] + parts * remark + data[2:])
P
for one in 0 1 2; do
	mkdir -p alone-$one/disc && cp long/disc/$one.jpg alone-$one/disc
	quietly "$ns" ingest alone-$one --out d-alone-$one
	[ "$(field d-alone-$one/dataset.json rows) $(field d-alone-$one/dataset.json encoding)" = "1 raw" ] || fail "$(cat d-alone-$one/dataset.json)"
done
quietly "$ns" ingest long --out d-long
[ "$(field d-long/dataset.json rows) $(field d-long/dataset.json duplicates)" = "3 2" ] || fail "$(cat d-long/dataset.json)"
# images of no class are predicted on, and become drift's windows
mkdir bare && for one in png/*/000*.png; do cp "$one" "bare/$(echo "$one" | tr / -)"; done
quietly "$ns" ingest bare --out d-bare
quietly "$ns" train --data d-png --model.blocks='[1]' --model.width=4 --train.epochs=1 --train.batch=8 --out bare-model
quietly "$ns" infer --model bare-model --data d-bare --out bare-predictions
[ "$(field bare-predictions/run.json counts.rows)" = 30 ] || fail "$(field bare-predictions/run.json counts)"
# workers decode, scale and hash; their number changes no byte
for threads in 1 3; do quietly "$ns" ingest png --out t$threads --name t --size 20x24 --threads $threads; done
same t1/shard-00000.h5 t3/shard-00000.h5
same t1/quarantine.jsonl t3/quarantine.jsonl
for kind in tar tar.gz tar.bz2 tar.xz tar.zst; do
	if [ $kind = tar.zst ] && ! command -v zstd >/dev/null; then
		echo "skipped: no zstd to make a .tar.zst with"
		continue
	fi
	tar -caf png.$kind --sort=name --owner=0 --group=0 -C png disc square stripes
	quietly "$ns" ingest png.$kind --out d-$kind --name d-png
	[ "$(field d-$kind/dataset.json rows)" = 30 ] || fail "$kind: 30 rows are wanted"
	[ "$(wc -l <d-$kind/quarantine.jsonl)" = 2 ] || fail "$kind: two are broken"
done
printf 'png/disc/00000.png\tdisc\npng/square/00001.png\tsquare\nmissing.png\tdisc\n' >list.txt
quietly "$ns" ingest list.txt --out d-list
[ "$(field d-list/dataset.json rows)" = 2 ] || fail "the list has two images that exist"
gzip -k idx/images-idx3-ubyte idx/labels-idx1-ubyte
split='{a: 40, b: 30, c: 20}'
quietly "$ns" ingest idx/images-idx3-ubyte.gz --out d-idx --ingest.split="$split" --ingest.labelled='{b: 7}' --ingest.shard_rows=16
quietly mpi 3 "$ns" ingest idx/images-idx3-ubyte --out d-idx3 --ingest.split="$split" --ingest.labelled='{b: 7}' --ingest.shard_rows=16
for part in a b c; do
	[ "$(field d-idx/$part/dataset.json digest)" = "$(field d-idx3/$part/dataset.json digest)" ] || fail "$part depends on ranks"
	ok
done
[ "$(field d-idx/b/dataset.json unlabelled)" = 23 ] || fail "7 of 30 keep their label"
"$python" - <<'P' || fail "h5py"
import h5py, hashlib, json, numpy as np
f = h5py.File("d-png/shard-00000.h5")
# texts have a fixed length: none of them lies in a global heap, over which libhdf5 crashes where it is damaged
assert f.attrs["schema"] == b"nightshift.shard/1" and list(f.attrs["classes"]) == [b"disc", b"square", b"stripes"]
assert b"GCOL" not in open("d-png/shard-00000.h5", "rb").read()
x = f["image"][:]
assert x.shape == (30, 32, 32, 3) and x.dtype == np.uint8
assert f["image"].id.get_offset() % 4096 == 0
i = hashlib.sha256(x[3].tobytes() + np.array([32, 32, 3], "<u4").tobytes()).digest()[:8]
assert int.from_bytes(i, "big") == int(f["id"][3])
assert sorted(np.bincount(f["label"][:])) == [10, 10, 10]
off = f["source_offset"][:]
assert bytes(f["source"][off[0]:off[1]]).decode().startswith("disc/")
g = h5py.File("d-jpeg/shard-00000.h5")
assert g.attrs["encoding"] == b"jpeg" and bytes(g["image_bytes"][:3]) == b"\xff\xd8\xff"
h = h5py.File("d-sized/shard-00000.h5")
assert h["image"].shape == (30, 16, 16, 1)
ids = set()
for part in "abc":
    d = json.load(open(f"d-idx/{part}/dataset.json"))
    for s in d["shards"]:
        s = h5py.File(f"d-idx/{part}/" + s["file"])
        ids |= {bytes(x) for x in s["image"][:].reshape(len(s["image"]), -1)}
assert len(ids) == 90
P
ok
# a dataset that h5py wrote, chunked, is read too
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
a = h5py.File("d-png/shard-00000.h5")
with h5py.File("foreign.h5", "w") as f:
    for k in ("schema", "dataset", "encoding", "created"): f.attrs[k] = a.attrs[k].decode() # of any length, as h5py writes them
    f.attrs["classes"] = np.array([c.decode() for c in a.attrs["classes"]], dtype=h5py.string_dtype())
    f.create_dataset("image", data=a["image"][:], chunks=(7, 32, 32, 3), compression="gzip")
    f["label"] = a["label"][:]; f["id"] = a["id"][:]
P
quietly "$ns" augment --data foreign.h5 --augment='[{flip: 1}]' --out flipped
quietly "$ns" augment --data flipped --augment='[{flip: 1}]' --out back
"$python" -c 'import h5py; assert (h5py.File("back/shard-00000.h5")["image"][:] == h5py.File("foreign.h5")["image"][:]).all()' || fail "flip twice"
ok
[ -s flipped/contact.png ] || fail "no contact sheet"
# one image of another size, and all stay files as they came, of whatever kinds; where raw is wanted, --size is asked for; names are UTF-8
"$images" png odd 70 32 || fail images
"$python" - "$(dirname "$(find odd -name '*.png' | head -1)")/zzz.png" <<'P'
import struct, sys, zlib
def part(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(b"\0" + bytes(48 * 3) for _ in range(40))
open(sys.argv[1], "wb").write(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", 48, 40, 8, 2, 0, 0, 0)) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b""))
P
quietly "$ns" ingest odd --out odd-data
[ "$(field odd-data/dataset.json rows) $(field odd-data/dataset.json encoding)" = "71 png" ] || fail "$(cat odd-data/dataset.json)"
refuses 78 "several sizes" "$ns" ingest odd --out refused --encoding raw
head -c 60 "$(find odd -name '*.png' | head -1)" >odd/disc/broken.png
quietly "$ns" ingest odd --out odd-broken
grep -q "1 of 72 images were refused" log || fail "one of 72 is more than one in a hundred: $(cat log)"
rm odd/disc/broken.png
# files of two kinds stay together, and are read as what they are
cp -r odd both && cp jpeg/disc/00000.jpg both/disc/one.jpg
quietly "$ns" ingest both --out both-data
[ "$(field both-data/dataset.json rows) $(field both-data/dataset.json encoding)" = "72 files" ] || fail "$(cat both-data/dataset.json)"
quietly "$ns" drift --reference both-data --current both-data --out both-drift --drift.self_test=0
quietly "$ns" ingest odd --size 32x32 --out odd-scaled
[ "$(field odd-scaled/dataset.json rows)" = 71 ] || fail "--size does not scale"
mkdir -p latin/$'caf\xe9' && cp "$(find odd -name '*.png' | head -1)" latin/$'caf\xe9'/
refuses 65 "not UTF-8" "$ns" ingest latin --out refused
# raw images are scaled too, and a size without channels takes those of the images
"$images" idx grey 40 7 || fail images
quietly "$ns" ingest grey/images-idx3-ubyte --size=16x12 --out grey-scaled
shape=$("$python" -c 'import h5py; print(h5py.File("grey-scaled/shard-00000.h5", "r")["image"].shape)')
[ "$shape" = "(40, 16, 12, 1)" ] || fail "--size 16x12 of grey images gave $shape"
ok
quietly "$ns" ingest grey/images-idx3-ubyte --size=16x12x3 --out grey-as-colour
"$python" -c '
import h5py, numpy
grey, colour = (h5py.File(f"{d}/shard-00000.h5", "r")["image"][:] for d in ("grey-scaled", "grey-as-colour"))
assert colour.shape == (40, 16, 12, 3) and (colour == numpy.repeat(grey, 3, 3)).all(), colour.shape
' || fail "grey images as colour"
ok
done_testing
