#!/usr/bin/env bash
# Windows that are read in pieces: the same answer from one file or several, whole or in chunks, for any memory and number of ranks.
#
# Trimmed (NST_TRIM=1), which the sanitizers' build is: a window has 2,500 rows and not 5,000, still several pieces of the least memory; the
# memory of two large windows, which no sanitizer's build can keep to, and the size of a page of 600 columns are not asked.
. "$(dirname "$0")/lib.sh"
rows=5000
! trimmed || rows=2500
"$python" - "$rows" <<'P' || fail "h5py"
import h5py, json, numpy as np, os, sys
N = int(sys.argv[1])
r = np.random.default_rng(5)
K, D = 64, 40
def columns(n, moved):
    p = r.dirichlet(np.full(K, .3), n).astype("f4")
    return {"prob": p, "pred": p.argmax(1).astype("i4"), "label": np.where(r.random(n) < .2, r.integers(0, K, n), -1).astype("i4"),
            "group": r.integers(0, 5, n).astype("i4"), "time": np.arange(n, dtype="i8"), "id": np.arange(n, dtype="u8"),
            "embedding": (r.normal(size=(n, D)) + moved).astype("f4"), "stats": (r.normal(size=(n, 3)) + moved).astype("f4")}
def write(path, c, first=0, last=None, **how):
    with h5py.File(path, "w") as f:
        for k, v in c.items():
            v = v[first:last]
            wide = v.ndim == 2 and how
            f.create_dataset(k, data=v.astype("f8") if wide else v, **({"chunks": (max(1, min(777, len(v))), 7 if v.shape[1] > 7 else 2), **how} if wide else {}))
        f["stats"].attrs["stats_names"] = ["x", "y", "z"]
ref, cur = columns(N * 6 // 5, 0), columns(N, .1)
write("ref.h5", ref); write("cur.h5", cur); write("packed.h5", cur, compression="gzip", shuffle=True)
def folder(name, parts):
    os.makedirs(name)
    json.dump({"schema": "nightshift.predictions/1", "files": [{"file": f} for f in parts]}, open(name + "/predictions.json", "w"))
folder("split", ["a.h5", "b.h5", "c.h5"])
cut = N * 2 // 5
write("split/a.h5", cur, 0, cut - 1); write("split/b.h5", cur, cut - 1, cut, compression="gzip"); write("split/c.h5", cur, cut)
folder("lacking", ["a.h5", "b.h5"]); write("lacking/a.h5", {k: v for k, v in cur.items() if k != "prob"}, 0, 999); write("lacking/b.h5", cur, 999)
folder("more", ["a.h5", "b.h5"]); write("more/a.h5", cur, 0, 999); write("more/b.h5", {k: v for k, v in cur.items() if k != "id"}, 999)
folder("hollow", ["a.h5", "b.h5"]); write("hollow/a.h5", cur, 0, 0); write("hollow/b.h5", {k: v for k, v in cur.items() if k != "label"})
folder("begun", ["a.h5", "b.h5"]); write("begun/a.h5", cur, 0, 0); write("begun/b.h5", cur)
bad = dict(cur); bad["prob"] = cur["prob"].copy(); bad["prob"][N - 679, 17] = 1.5
folder("bad", ["a.h5", "b.h5"]); write("bad/a.h5", bad, 0, N - 1000); write("bad/b.h5", bad, N - 1000)
for name in ("large-ref", "large-cur") if N == 5000 else ():
    with h5py.File(name + ".h5", "w") as f:
        f["embedding"] = r.standard_normal((40000, 512), "f4")
P
ask() { # OUT CURRENT ARGUMENTS: drift.json without the window's digest
	quietly "${@:4}" "$ns" drift --reference ref.h5 --current "$2" --out "$1" --drift.projections=5 --drift.self_test=6 --drift.memory="$3"
	grep -v '"digest"' "$1/drift.json" >"$1.json"
}
ask whole cur.h5 1024
[ "$(field whole/drift.json performance.audited)" -gt $((rows / 10)) ] || fail "no labels were read"
ask least cur.h5 1
same whole.json least.json
ask packed packed.h5 1
same whole.json packed.json
ask parts split 1
same whole.json parts.json
ok
for ranks in 2 3; do
	ask "ranks$ranks" split 1 mpi "$ranks"
	same whole.json "ranks$ranks.json"
done
ok
refuses 65 "has 'prob', but the files before it do not" "$ns" drift --reference ref.h5 --current lacking --out refused
refuses 65 "has no 'id', but the files before it do" "$ns" drift --reference ref.h5 --current more --out refused
refuses 65 "has no 'label', but the files before it do" "$ns" drift --reference ref.h5 --current hollow --out refused
ask after begun 1 # a shard without rows is none that is missing
same whole.json after.json
ulimit -n 64 # files are open only while they are read
"$python" - "$rows" <<'P' || fail "h5py"
import h5py, json, os, sys
per = int(sys.argv[1]) // 50
os.makedirs("many")
with h5py.File("cur.h5") as f:
    for i in range(50):
        with h5py.File(f"many/{i:02}.h5", "w") as g:
            for k in f: g[k] = f[k][i * per:i * per + per]
            g["stats"].attrs["stats_names"] = ["x", "y", "z"]
json.dump({"schema": "nightshift.predictions/1", "files": [{"file": f"{i:02}.h5"} for i in range(50)]}, open("many/predictions.json", "w"))
P
ask shards many 1
same whole.json shards.json
refuses 65 "bad/b.h5: prob\[$((rows - 679))\]\[17\] = 1.5" "$ns" drift --reference ref.h5 --current bad --out refused
ok
if trimmed; then
	done_testing
	exit
fi
# two windows of 82 MB, judged in less than both of them take
quietly "$ns" drift --reference large-ref.h5 --current large-cur.h5 --out large --drift.memory=8 --drift.detectors='[ks, mmd]' --drift.self_test=2 --drift.permutations=19
bytes=$(field large/run.json peak_memory_bytes)
[ "$(field large/drift.json status)" = none ] || fail "the same distribution is seen as drift"
echo "peak memory: $bytes bytes"
grep -q "^NS_SANITIZE:[A-Z]*=." "$build/CMakeCache.txt" || [ "$bytes" -lt 130000000 ] || fail "$bytes bytes of memory for windows of 81,920,000"
# six hundred columns: the page stays small, and asks nobody for anything
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
r = np.random.default_rng(9)
for name, moved in ("columns-ref", 0), ("columns-cur", .5):
    with h5py.File(name + ".h5", "w") as f:
        f["stats"] = (r.standard_normal((3000, 600)) + moved).astype("f4"); f["stats"].attrs["stats_names"] = [f"a column with a name of its own {i}" for i in range(600)]
        f["group"] = r.integers(0, 9, 3000).astype("i4")
P
quietly "$ns" drift --reference columns-ref.h5 --current columns-cur.h5 --out columns --drift.self_test=0
[ "$(wc -c <columns/drift.html)" -lt 1048576 ] || fail "a page of $(wc -c <columns/drift.html) bytes"
grep -Eq '(src|href)="?(http|//)|<script|@import|url\(' columns/drift.html && fail "the page asks somebody"
ok
done_testing
