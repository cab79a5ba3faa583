#!/usr/bin/env bash
# What a stranger may have made: archives that are cut or changed, models with values that are none, HDF5 files over which libhdf5
# crashes, loops or takes all memory. Each is refused by name; nothing hangs, nothing crashes, nothing is lost in silence.
. "$(dirname "$0")/lib.sh"
"$images" png photos 30 5 && "$images" idx idx 60 3 || fail images
# bounded CODE TEXT CMD...: refused so within a minute, on a machine that others use too, and 2 GiB; the sanitizers' own memory is theirs
bounded() {
	local code=$1 text=$2
	shift 2
	refuses "$code" "$text" timeout 60 "$@"
}

# --- archives: what is not whole is refused, and nothing of it is published ---
"$python" - <<'P' || fail "archives"
import bz2, gzip, io, os, tarfile, zlib
def tar(name, mode="w", files=None):
    with tarfile.open(name, mode) as t:
        for f in files or sorted(os.path.join(d, x) for d, _, fs in os.walk("photos") for x in fs): t.add(f, f[len("photos/"):])
tar("good.tar"); tar("good.tar.gz", "w:gz")
b = open("good.tar", "rb").read(); z = open("good.tar.gz", "rb").read()
open("cut.tar.gz", "wb").write(z[:-8])                      # without its checksum
open("crc.tar.gz", "wb").write(z[:-8] + bytes([z[-8] ^ 1]) + z[-7:])
open("junk.tar.gz", "wb").write(z + b"not gzip")
open("two.tar.gz", "wb").write(gzip.compress(b[:20000]) + gzip.compress(b[20000:])) # members, as pigz and bgzip make them
open("zeros.tar.gz", "wb").write(z + bytes(512))
names = [m.offset for m in tarfile.open("good.tar")]
h = bytearray(b); h[names[7] + 3] ^= 1                      # a header that its checksum does not fit
open("header.tar", "wb").write(h)
open("between.tar", "wb").write(b[:names[20]])              # cut between two files
open("inside.tar", "wb").write(b[:names[20] + 700])
fs = sorted(os.path.join(d, x) for d, _, fs in os.walk("photos") for x in fs)
tar("a.tar", files=fs[:10]); tar("b.tar", files=fs[10:])
open("joined.tar", "wb").write(open("a.tar", "rb").read() + open("b.tar", "rb").read())
lines = "\n".join(f + "\t" + f.split("/")[1] for f in fs) + "\n"
open("good.txt", "w").write(lines); open("zero.txt", "wb").write(lines.encode().replace(b"\n", b"\0\n", 3))
x = open("idx/images-idx3-ubyte", "rb").read(); y = open("idx/labels-idx1-ubyte", "rb").read()
for name, i in (("ok", gzip.compress(x)), ("cut", gzip.compress(x)[:-4]), ("crc", gzip.compress(x)[:-8] + b"\1\2\3\4" + gzip.compress(x)[-4:]), ("more", gzip.compress(x + b"?"))):
    os.makedirs(name); open(name + "/images-idx3-ubyte.gz", "wb").write(i); open(name + "/labels-idx1-ubyte.gz", "wb").write(gzip.compress(y))
os.makedirs("labels"); open("labels/images-idx3-ubyte.gz", "wb").write(gzip.compress(x)); open("labels/labels-idx1-ubyte.gz", "wb").write(gzip.compress(y)[:-3])
P
for good in good.tar good.tar.gz two.tar.gz zeros.tar.gz joined.tar good.txt; do
	quietly "$ns" ingest $good --out out-$good --size 16x16
	[ "$(field out-$good/dataset.json rows)" = 30 ] || fail "$good: $(field out-$good/dataset.json rows) rows"
done
quietly "$ns" ingest ok/images-idx3-ubyte.gz --out out-idx
refuses 65 "cut short" "$ns" ingest cut.tar.gz --out refused
refuses 65 "incorrect data check" "$ns" ingest crc.tar.gz --out refused
refuses 65 "something else follows" "$ns" ingest junk.tar.gz --out refused
refuses 65 "after 7 files" "$ns" ingest header.tar --out refused
refuses 65 "tar's end mark" "$ns" ingest between.tar --out refused
refuses 65 "after" "$ns" ingest inside.tar --out refused
refuses 65 "is a zero" "$ns" ingest zero.txt --out refused
refuses 65 "cut short" "$ns" ingest cut/images-idx3-ubyte.gz --out refused
refuses 65 "incorrect data check" "$ns" ingest crc/images-idx3-ubyte.gz --out refused
refuses 65 "goes on after" "$ns" ingest more/images-idx3-ubyte.gz --out refused
refuses 65 "cut short" "$ns" ingest labels/images-idx3-ubyte.gz --out refused

# --- images: thousands of scans, transparency over what the memory held ---
"$python" - <<'P' || fail "images"
import os, struct, zlib
os.makedirs("odd/a"); os.makedirs("odd/b")
def png(w, h, rows, color, extra=b""):
    ch = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
    return b"\x89PNG\r\n\x1a\n" + ch(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, color, 0, 0, 0)) + extra + ch(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows))) + ch(b"IEND", b"")
open("odd/a/half.png", "wb").write(png(8, 8, [bytes([200, 100, 50, 128]) * 8] * 8, 6))
open("odd/b/clear.png", "wb").write(png(8, 8, [bytes([200, 100, 50, 0]) * 8] * 8, 6))
# a progressive JPEG: one DC scan, then 5,000 scans of nothing
def seg(m, d): return bytes([255, m]) + struct.pack(">H", len(d) + 2) + d
j = b"\xff\xd8" + seg(0xdb, b"\0" + bytes([1] * 64)) + seg(0xc2, struct.pack(">BHHB", 8, 8, 8, 1) + b"\1\x11\0") + seg(0xc4, b"\0" + bytes([1] + [0] * 15) + b"\0") + seg(0xc4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
j += seg(0xda, b"\1\1\0\0\0\0") + b"\x7f" + b"".join(seg(0xda, b"\1\1\0\1\1\0") + b"\x7f" for _ in range(5000)) + b"\xff\xd9"
open("odd/a/scans.jpg", "wb").write(j)
i = j.index(b"\xff\xc2") + 5 # 10 scans of a vast image: each few, together too many
v = j[:i] + struct.pack(">HH", 16384, 16384) + j[i + 4:]; one = seg(0xda, b"\1\1\0\1\1\0") + b"\x7f"
open("odd/b/vast.jpg", "wb").write(v[:v.index(one)] + one * 9 + b"\xff\xd9")
P
ln -s self.png odd/a/self.png && truncate -s 2G odd/b/film.png && mkfifo odd/a/pipe.png
for out in odd1 odd2; do quietly "$ns" ingest odd --out $out --size 8x8x3 --name odd --ingest.background=black --ingest.max_pixels=268435456; done
same odd1/shard-00000.h5 odd2/shard-00000.h5
grep -q '"a/scans.jpg".*5001 scans' odd1/quarantine.jsonl || fail "$(cat odd1/quarantine.jsonl)"
for what in 'a/self.png.*symbolic links' 'b/film.png.*2147483648 bytes' 'a/pipe.png.*named pipe' 'b/vast.jpg.*10 scans of 16384'; do # of each its own fault, and no end of the job
	grep -q "$what" odd1/quarantine.jsonl || fail "$what: $(cat odd1/quarantine.jsonl)"
done
"$python" -c 'import h5py; x = h5py.File("odd1/shard-00000.h5")["image"]; assert not x[1].any() and (x[0] == x[0, 0, 0]).all() and x[0, 0, 0].all(), x[:, 0, 0]' || fail "transparent pixels are not over black"
ok

# --- models ---
quietly "$ns" ingest idx/images-idx3-ubyte --out data --ingest.shard_rows=20
quietly "$ns" train --data data --model.blocks='[1]' --model.width=4 --train.epochs=1 --train.batch=16 --out model
# spoil CODE...: a copy of the model, changed, its digests right
spoil() { rm -rf bad && cp -r model bad && "$python" - "$1" <<'P'
import hashlib, json, struct, sys
import numpy as np
nan, inf = float("nan"), float("inf")
j = json.load(open("bad/model.json"))
w = open("bad/model.safetensors", "rb").read()
n = struct.unpack("<Q", w[:8])[0]
h, d = json.loads(w[8:8 + n]), bytearray(w[8 + n:])
def put(name, i, x): d[h[name]["data_offsets"][0] + 4 * i:h[name]["data_offsets"][0] + 4 * i + 4] = struct.pack("<f", x)
tail = b""
exec(sys.argv[1])
t = json.dumps(h).encode()
w = struct.pack("<Q", len(t)) + t + bytes(d) + tail
open("bad/model.safetensors", "wb").write(w)
j["weights"] = hashlib.sha256(w).hexdigest()
json.dump(j, open("bad/model.json", "w"))
P
}
infer=("$ns" infer --model bad --data data --out refused)
spoil "pass" && quietly "$ns" infer --model bad --data data --out good
spoil 'put("conv1.weight", 3, nan)' && refuses 65 "conv1.weight\[3\] is nan" "${infer[@]}"
spoil 'put("fc.bias", 0, inf)' && refuses 65 "fc.bias\[0\] is inf" "${infer[@]}"
spoil 'put("bn1.running_var", 1, -1.0)' && refuses 65 "bn1.running_var\[1\] is -1, expected a variance" "${infer[@]}"
spoil '[put("layer1.0.bn2.bias", i, 10.0) for i in range(4)]; [put("fc.weight", i, 3e38) for i in range(12)]' && refuses 65 "data/shard-0000[0-9].h5: row [0-9]*: the model gives" "${infer[@]}"
spoil 'j["preprocess"]["mean"] = [1e999]' && refuses 65 "" "${infer[@]}"
spoil 'j["preprocess"]["mean"] = ["0.5"]' && refuses 65 'preprocess.mean\[0\] is "0.5"' "${infer[@]}"
spoil 'j["preprocess"]["std"] = [1e300]' && refuses 65 "preprocess.std\[0\]" "${infer[@]}"
spoil 'j["preprocess"]["std"] = [1.0, 1.0]' && refuses 65 "preprocess.std has 2 numbers" "${infer[@]}"
spoil 'j["temperature"] = "2"' && refuses 65 'temperature is "2"' "${infer[@]}"
spoil 'del j["temperature"]' && refuses 65 "temperature is missing" "${infer[@]}"
spoil 'j["temperature"] = 1e-300' && refuses 65 "temperature" "${infer[@]}"
spoil 'j["precision"] = "f16"' && refuses 65 "precision is 'f16'" "${infer[@]}"
spoil 'j["architecture"]["width"] = 2**32 + 4' && refuses 65 "width is 4294967300" "${infer[@]}"
spoil 'j["architecture"]["width"] = 4.0' && refuses 65 "width is 4.0" "${infer[@]}"
spoil 'j["architecture"]["classes"] = "3"' && refuses 65 'classes is "3"' "${infer[@]}"
spoil 'j["architecture"]["input"] = [28, 28, 1, 7]' && refuses 65 "input has 4 entries" "${infer[@]}"
spoil 'tail = b"x"' && refuses 65 "are there" "${infer[@]}"
spoil 'h["fc.bias"]["data_offsets"] = h["bn1.bias"]["data_offsets"]' && refuses 65 "takes\|begins at byte" "${infer[@]}"
spoil 'h["more"] = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}' && refuses 65 "begins at byte 0" "${infer[@]}"
spoil 'h["more"] = {"dtype": "F32", "shape": [1], "data_offsets": [len(d) + 4, len(d) + 8]}; tail = bytes(8)' && refuses 65 "begins at byte" "${infer[@]}"
spoil 'h["more"] = {"dtype": "F31", "shape": [1], "data_offsets": [len(d), len(d) + 4]}; tail = bytes(4)' && refuses 65 "F31" "${infer[@]}"
spoil 'h["more"] = {"dtype": "U8", "shape": [2**62, 8], "data_offsets": [len(d), len(d)]}' && refuses 65 "impossible size" "${infer[@]}"
spoil 'h["__metadata__"] = {"a": 1}' && refuses 65 "__metadata__" "${infer[@]}"

# --- HDF5: an old shard, whose texts lie in a global heap; libhdf5 1.10 follows what it says out of its memory ---
mkdir old && gunzip -c "$here/../golden/shard-1.h5.gz" >old/shard-00000.h5 && gunzip -c "$here/../golden/predictions-1.h5.gz" >old.h5
echo '{"schema": "nightshift.dataset/1", "name": "old", "rows": 12, "shards": [{"file": "shard-00000.h5", "rows": 12}]}' >old/dataset.json
sign old
quietly "$ns" infer --model model --data old --out old-predictions
"$python" - <<'P' || fail "an old shard"
import h5py
f = h5py.File("old/shard-00000.h5")
assert f.attrs["schema"] == "nightshift.shard/1" and b"GCOL" in open("old/shard-00000.h5", "rb").read()
assert (h5py.File("old-predictions/predictions-00000.h5")["label"][:] == f["label"][:]).all()
P
quietly "$ns" drift --reference old.h5 --current old.h5 --out old-drift
heap() { # OFFSET VALUE BYTES: of the first global heap of attack/shard-00000.h5
	rm -rf attack && cp -r old attack && "$python" -c "
b = bytearray(open('attack/shard-00000.h5', 'rb').read()); at = b.index(b'GCOL') + $1
b[at:at + $3] = ($2).to_bytes($3, 'little'); open('attack/shard-00000.h5', 'wb').write(b)"
}
crashed=0
for where in "24 2**31 8" "24 2**63 8" "24 2**64-8 8" "24 0 8" "24 40 8" "16 60000 2" "16 0 2" "8 2**40 8" "8 4097 8" "8 16 8"; do
	heap $where
	bounded 77 "its SHA-256 is" "$ns" infer --model model --data attack --out refused
	sign attack # whoever changes a shard can change its digest
	for data in attack attack/shard-00000.h5; do
		rm -rf refused
		timeout 60 "$ns" infer --model model --data $data --out refused >/dev/null 2>err.log
		case $? in 0) ;; 65) crashed=$((crashed + $(grep -c "in a process of its own" err.log))) ;; *) fail "heap $where: $(cat err.log)" ;; esac
		ok
	done
done
rm -rf refused
[ $crashed -gt 0 ] || echo "this libhdf5 does not crash over a global heap"
"$python" - <<'P' || fail "bombs"
import h5py, numpy as np, os, zlib
def shard(name, fn):
    with h5py.File("data/shard-00000.h5") as a, h5py.File(name, "w") as b:
        for k in a:
            if k != "checksum": a.copy(k, b)
        for k, v in a.attrs.items(): b.attrs[k] = v
        fn(b)
def chunk(f):
    del f["image"]
    f.create_dataset("image", shape=(20, 28, 28, 1), maxshape=(None, 28, 28, 1), chunks=(2 << 20, 28, 28, 1), dtype="u1", compression="gzip", compression_opts=9)
    f["image"].id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(1 << 20), 9))
shard("chunk.h5", chunk)
def rows(f):
    for k in list(f): del f[k]
    n = 50_000_000
    z = zlib.compress(bytes(10_000_000), 9)
    f.create_dataset("image", shape=(n, 28, 28, 1), chunks=(1 << 10, 28, 28, 1), dtype="u1", compression="gzip")
    for k in ("label", "id"):
        d = f.create_dataset(k, shape=(n,), chunks=(10_000_000,), dtype="u1", compression="gzip")
        for i in range(0, n, 10_000_000): d.id.write_direct_chunk((i,), z)
shard("rows.h5", rows)
os.mkfifo("fifo")
def away(f): f["checksum"] = h5py.ExternalLink("fifo", "/")
shard("away.h5", away)
def names(f): # 1.5 GiB of source names in 1.5 MB
    del f["source"], f["source_offset"]
    n = 3 << 29; z = zlib.compress(bytes(64 << 20), 9)
    d = f.create_dataset("source", (n,), "u1", chunks=(64 << 20,), compression=9)
    for i in range(0, n, 64 << 20): d.id.write_direct_chunk((i,), z)
    f["source_offset"] = np.array([0] * 20 + [n], "u8")
shard("names.h5", names)
def slow(f): # 15 GiB of pixels in 15 MB
    for k in list(f): del f[k]
    z = zlib.compress(bytes(3 << 26), 9)
    d = f.create_dataset("image", (80, 8192, 8192, 3), "u1", chunks=(1, 8192, 8192, 3), compression=9)
    for i in range(80): d.id.write_direct_chunk((i, 0, 0, 0), z)
    f["label"] = np.zeros(80, "i4"); f["id"] = np.arange(80, dtype="u8")
shard("slow.h5", slow)
def broad(f): # whole numbers of 4 KiB each
    del f["label"]
    t, p = h5py.h5t.STD_I32LE.copy(), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    t.set_size(4096); p.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    h5py.h5d.create(f.id, b"label", t, h5py.h5s.create_simple((20,)), p)
shard("broad.h5", broad)
with h5py.File("away-stats.h5", "w") as f: f["pred"] = np.zeros(40, "i4"); f["stats"] = h5py.ExternalLink("fifo", "/stats")
with h5py.File("narrow.h5", "w") as f: f["pred"] = np.full(40, 2**32, "i8")
with h5py.File("fraction.h5", "w") as f: f["pred"] = np.full(40, .7)
with h5py.File("hot.h5", "w") as f: f["prob"] = np.full((40, 2), .5, "f4"); f.attrs["temperature"] = "2"
with h5py.File("hotter.h5", "w") as f: f["prob"] = np.full((40, 2), .5, "f4"); f.attrs["temperature"] = np.ones(4096)
with h5py.File("wide.h5", "w") as f:
    d = f.create_dataset("embedding", (2, 1), "f4", maxshape=(None, 1), chunks=(1 << 27, 1), compression=9); d.id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 20), 9)); f["id"] = np.arange(2, dtype="u8")
P
bounded 65 "in chunks of more than" "$ns" infer --model model --data chunk.h5 --out refused
if ! nm -D "$ns" 2>/dev/null | grep -q __asan_init; then # whose shadow takes terabytes, so that there is no limit
	bounded 65 "more than a file of its size may need" "$ns" infer --model model --data names.h5 --out refused
fi
bounded 65 "takes longer to read it" "$ns" infer --model model --data slow.h5 --out refused
bounded 65 "has a type that is refused" "$ns" infer --model model --data broad.h5 --out refused
bounded 65 "claims 50000000 rows" "$ns" infer --model model --data rows.h5 --out refused
bounded 65 "checksum" "$ns" infer --model model --data away.h5 --out refused
bounded 65 "stats: is a link" "$ns" drift --reference away-stats.h5 --current away-stats.h5 --out refused
bounded 65 "beyond 4 bytes" "$ns" drift --reference narrow.h5 --current narrow.h5 --out refused
bounded 65 "holds fractions" "$ns" drift --reference fraction.h5 --current fraction.h5 --out refused
bounded 65 "'temperature' is invalid, expected one finite number" "$ns" drift --reference hot.h5 --current hot.h5 --out refused
bounded 65 "'temperature' is invalid, expected one finite number" "$ns" drift --reference hotter.h5 --current hotter.h5 --out refused
bounded 65 "in chunks of more than" "$ns" drift --reference wide.h5 --current wide.h5 --out refused
for pipe in "infer --model model --data fifo" "drift --reference fifo --current fifo" "evaluate --predictions fifo" "train --config fifo" "train --manifest fifo" "infer --data data --model fifo"; do
	timeout 60 "$ns" $pipe --out refused >/dev/null 2>err.log
	case $? in 65 | 74 | 78) ok ;; *) fail "$pipe: $(cat err.log)" ;; esac
done
printf '%0200000d' 0 | tr 0 '[' >deep.yaml
bounded 78 "nested deeper than 32" "$ns" train --config deep.yaml --data data --out refused
"$python" -c 'print("\n".join("a%d: &a%d 1" % (i, i) for i in range(200000)))' >anchors.yaml
bounded 78 "more than 1000 anchors" "$ns" train --config anchors.yaml --data data --out refused

# --- few descriptors, files that may not grow ---
quietly "$ns" ingest idx/images-idx3-ubyte --out shards --ingest.shard_rows=1
(ulimit -n 48 && quietly "$ns" infer --model model --data shards --out few && quietly "$ns" train --data shards --model.blocks='[1]' --model.width=4 --train.epochs=1 --train.batch=16 --out few-model) || exit 1
[ "$(field few/predictions.json rows)" = 60 ] || fail "60 shards under 48 descriptors"
ok
(ulimit -f 20 && refuses 74 "File too large\|disk full" "$ns" ingest idx/images-idx3-ubyte --out refused) || exit 1
"$ns" --version >/dev/full 2>err.log
[ $? = 74 ] && grep -q "standard output" err.log || fail "what cannot be printed is no success: $(cat err.log)"
ok
done_testing
