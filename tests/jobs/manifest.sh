#!/usr/bin/env bash
# A retrain manifest: what was selected is selected again, whatever was changed is refused by name, and a plan is executed once.
. "$(dirname "$0")/lib.sh"
small=(--model.blocks='[1]' --model.width=4 --train.epochs=2 --train.precision=f32)
"$images" idx src 900 3 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --ingest.split='{old: 400, a: 200, b: 200}' --out data
quietly "$ns" augment --data data/b --augment='[{rotate: [60, 61]}, {brightness: 0.5}]' --out changed
quietly "$ns" train --data data/old "${small[@]}" --out model
quietly "$ns" registry promote production "$(sha256sum model/model.json | cut -c1-64)"
quietly "$ns" infer --data data/a --infer.precision=f32 --out pa
quietly "$ns" infer --data changed --infer.precision=f32 --out pb
emit() { quietly "$ns" drift --reference pa --current pb --current-data changed --replay-data data/old --drift.emit=material --drift.min_effect=0.05 \
	--drift.self_test=0 --retrain.replay=100 --retrain.epochs='[1, 1]' --retrain.confidence=0.5 "$@"; }
emit --out found
[ -s found/retrain.json ] || fail "no manifest: $(field found/drift.json manifest.because)"
emit --out again
same found/selection.h5 again/selection.h5
"$python" - <<'P' || fail "what the manifest says"
import h5py, json
m = json.load(open("found/retrain.json"))
d, s = m["predicate"]["data"], h5py.File("found/selection.h5")
assert m["subject"][0]["digest"]["sha256"] == d["sha256"]
assert d["query"]["replay"] == 100 and (s["set"][:] == 0).sum() == 100 == d["rows"]["replayed"]
assert len(s["row"]) == sum(d["rows"][k] for k in ("replayed", "audited", "to_label")), d["rows"]
assert d["rows"]["excluded"] and d["rows"]["audited"]
p = m["predicate"]
assert [g["threshold"] for g in p["gates"]] == [0, -0.01, -0.005] and p["gates"][0]["rows"] == 100, p["gates"]
assert p["labels"]["audited_rows"] == 200 and p["base"]["baseline"] == json.load(open("pa/predictions.json"))["digest"], p
assert {"trigger", "data", "labels", "base", "config", "budget", "gates", "promote", "rollback"} == set(m["predicate"])
P
ok
run() { "$ns" train --manifest "$1/retrain.json" "${small[@]}" --out "${2:-refused}"; }
quietly run found retrained
# asked for again: nothing is done, nothing is said to be wrong; elsewhere: the same model
before=$(stat -c %Y.%i retrained/model.json)
quietly run found retrained
[ "$before" = "$(stat -c %Y.%i retrained/model.json)" ] || fail "a manifest was executed twice"
grep -q executed log || fail "nobody said that it was executed before"
quietly run found elsewhere
same retrained/model.json elsewhere/model.json
ok
chmod u+w elsewhere elsewhere/model.json && echo >>elsewhere/model.json
refuses 74 "published result" run found elsewhere # it is there, but not as it was
# spoil NAME CODE: a copy of the manifest m (and the selection s, whose digest m then has), spoilt
spoil() {
	rm -rf "$1" && cp -r found "$1" && chmod -R u+w "$1"
	"$python" - "$1" "$2" <<'P' || fail "spoil $1"
import hashlib, h5py, json, sys
name, code = sys.argv[1:]
m = json.load(open(name + "/retrain.json"))
p = m["predicate"]
with h5py.File(name + "/selection.h5", "r+") as s:
    exec(code)
if "s[" in code:
    p["data"]["sha256"] = hashlib.sha256(open(name + "/selection.h5", "rb").read()).hexdigest()
json.dump(m, open(name + "/retrain.json", "w"))
P
}
spoil s1 'm["extra"] = 1'
refuses 65 "unknown key 'extra'" run s1
spoil s2 'p["config"]["momentum"] = 1'
refuses 65 "unknown key 'momentum'" run s2
spoil s3 'p["data"]["more"] = []'
refuses 65 "unknown key 'more'" run s3
spoil s17 'p["budget"]["node_hours"] = 3'
refuses 65 "unknown key 'node_hours'" run s17
spoil s4 'p["data"]["query"]["where"] = "label = 3"'
refuses 65 "unknown key 'where'" run s4
spoil s5 'p["budget"]["expires"] = 1'
refuses 65 "has expired" run s5
spoil s6 'p["data"]["datasets"][1]["digest"] = "0" * 64'
refuses 77 "its digest is" run s6
spoil s7 'p["data"]["sha256"] = "0" * 64'
refuses 77 "selection.h5: its SHA-256" run s7
spoil s8 'p["config"]["seed"] += 1'
refuses 78 "was made with seed" run s8
spoil s9 's["id"][150] = 5'
refuses 77 "its identity differs from the data set" run s9
spoil s10 's["label"][50] = (s["label"][50] + 1) % 3'
refuses 77 "row 50 of .* is not what data.query selects" run s10
spoil s11 'p["data"]["query"]["replay"] = 99'
refuses 77 "row 99 of .* is not what data.query selects" run s11
spoil s15 'p["data"]["query"]["seed"] += 1'
refuses 65 "data.query.seed" run s15
spoil s16 'p["data"]["query"]["replay"] = 100.0'
refuses 65 "whole numbers" run s16
spoil s12 'del p["data"]["query"]'
refuses 65 "data.query" run s12
spoil s13 'p["data"]["query"]["rule"] = "the best ones"'
refuses 65 "rule" run s13
spoil s14 's["repeat"][120] = 60'
refuses 77 "is not what data.query selects" run s14
last=$(($("$python" -c 'import h5py; print(len(h5py.File("found/selection.h5")["row"]))') - 1))
spoil s18 'for c in ("set", "row", "id", "label", "source", "repeat"): rest = s[c][:-1]; del s[c]; s[c] = rest' # the rows that are left are as they were
refuses 77 "row $last of $last is not what data.query selects, which selects $((last + 1)) rows" run s18
# labels that came after the predictions: their gate would be of other rows
cp -r pb pc && chmod -R u+w pc && "$python" - <<'P' || fail "labels"
import h5py, json
j = json.load(open("pc/predictions.json"))
with h5py.File("pc/" + j["files"][0]["file"], "r+") as f: f["label"][7] = -1
P
sign pc
refuses 65 "predict once more" "$ns" drift --reference pa --current pc --current-data changed --replay-data data/old --drift.emit=material --drift.min_effect=0.05 --out refused
done_testing
