#!/usr/bin/env bash
# Drift on anybody's HDF5: verdicts, the same p for any number of ranks, and columns that cannot be judged.
. "$(dirname "$0")/lib.sh"
"$python" - <<'P' || fail "h5py"
import h5py, numpy as np
r = np.random.default_rng(1)
def write(name, **columns):
    with h5py.File(name, "w") as f:
        for k, v in columns.items(): f[k] = v
n, d = 600, 24
a = r.normal(size=(n, d)).astype("f4")
write("ref.h5", embedding=a)
write("same.h5", embedding=r.normal(size=(n, d)).astype("f4"))
write("moved.h5", embedding=(r.normal(size=(n, d)) + .6).astype("f4"))
b = r.normal(size=(n, d)).astype("f4"); b[3, 5] = np.nan
write("nan.h5", embedding=b)
write("wide.h5", embedding=np.zeros((n, d + 1), "f4"))
write("one.h5", embedding=a[:1])
write("nothing.h5", other=a)
write("empty.h5", embedding=a[:0])
c = a.copy(); c[:, 0] = 7
write("stats-ref.h5", stats=c); write("stats-cur.h5", stats=c[::-1].copy())
write("ragged.h5", embedding=a, pred=np.zeros(n - 1, "i4"))
P
quietly "$ns" drift --reference ref.h5 --current same.h5 --out same
[ "$(field same/drift.json status)" = none ] || fail "the same distribution is seen as drift"
quietly "$ns" drift --reference ref.h5 --current moved.h5 --out moved
[ "$(field moved/drift.json status)" != none ] || fail "a shift of 0.6 in 24 dimensions is not seen"
"$python" - <<'P' || fail "MMD's p-value"
import json
t = {x["detector"]: x for x in json.load(open("moved/drift.json"))["tests"]}
assert t["mmd"]["p"] == 0.001, t["mmd"]
t = {x["detector"]: x for x in json.load(open("same/drift.json"))["tests"]}
assert t["mmd"]["p"] > 0.01, t["mmd"]
P
ok
for ranks in 2 3; do
	quietly mpi $ranks "$ns" drift --reference ref.h5 --current moved.h5 --out "moved-$ranks"
	same moved/drift.json "moved-$ranks/drift.json"
	quietly mpi $ranks "$ns" drift --reference ref.h5 --current same.h5 --out "same-$ranks"
	same same/drift.json "same-$ranks/drift.json"
done
"$ns" drift --reference ref.h5 --current moved.h5 --out code --exit-code >/dev/null 2>&1
[ $? = 1 ] || fail "--exit-code makes a finding 1"
ok
quietly "$ns" drift --reference ref.h5 --current same.h5 --out code0 --exit-code
quietly "$ns" drift --reference ref.h5 --current nan.h5 --out nan
grep -q 'no finite numbers' nan/drift.json || fail "NaN is not said"
quietly "$ns" drift --reference ref.h5 --current one.h5 --out one
grep -q 'at least two rows' one/drift.json || fail "one row is not said"
quietly "$ns" drift --reference stats-ref.h5 --current stats-cur.h5 --out constant
grep -q 'is constant' constant/drift.json || fail "a constant column is not said"
"$python" -c 'import json,sys
for p in sys.argv[1:]: json.load(open(p), parse_constant=lambda x: sys.exit(p + " holds " + x))' ./*/drift.json || fail "drift.json holds NaN"
ok
refuses 65 "25" "$ns" drift --reference ref.h5 --current wide.h5 --out refused
refuses 65 "has none of the columns" "$ns" drift --reference ref.h5 --current nothing.h5 --out refused
refuses 65 "has no rows" "$ns" drift --reference ref.h5 --current empty.h5 --out refused
refuses 65 "pred" "$ns" drift --reference ref.h5 --current ragged.h5 --out refused
refuses 65 "no column in common" "$ns" drift --reference ref.h5 --current stats-cur.h5 --out refused
refuses 78 "cannot be reached" "$ns" drift --reference ref.h5 --current same.h5 --out refused --drift.permutations=19 --drift.alpha=0.01
[ "$(wc -c <moved/drift.html)" -lt 1048576 ] || fail "the page is over 1 MB"
done_testing
