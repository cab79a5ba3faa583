#!/usr/bin/env bash
# Refs move, go back, and tell their history; damage is found; many writers at once lose nothing.
. "$(dirname "$0")/lib.sh"
"$images" idx src 200 3 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data
for seed in 1 2; do
	quietly "$ns" train --data data --model.blocks='[1]' --model.width=4 --train.epochs=1 --seed=$seed --out m$seed
done
a=$(sha256sum m1/model.json | cut -c1-64) b=$(sha256sum m2/model.json | cut -c1-64)
quietly "$ns" registry promote production "${a:0:12}"
quietly "$ns" registry promote production "$b" --why "better"
[ "$(cat registry/refs/production)" = "$b" ] || fail "refs/production"
quietly "$ns" registry rollback production
[ "$(cat registry/refs/production)" = "$a" ] || fail "rollback"
quietly "$ns" registry log production
grep -q better log || fail "the log keeps no reason"
refuses 64 "no digest before" "$ns" registry rollback production # back, and not forward again
refuses 64 "read as a digest" "$ns" registry promote deadbeef "$a"
weights=$(sha256sum m1/model.safetensors | cut -c1-64)
refuses 65 "" "$ns" registry promote production "$weights"
cp -r registry changed && object=changed/objects/${a:0:2}/${a:2} && chmod +w "$object" && sed -i 's/"temperature": *1[.0-9]*/"temperature": 2.0/; s/"temperature":1[.0-9]*/"temperature":2.0/' "$object"
refuses 77 "was changed" "$ns" infer --model "$a" --registry changed --data data --out refused
refuses 74 "has no object" "$ns" registry promote production 0123456789abcdef
refuses 64 "invalid ref name" "$ns" registry promote ../x "$a"
# 64 writers at once, each with a model of its own: every one is in the log, each on top of the one before it
mkdir many
for i in $(seq 64); do
	"$python" -c 'import json,sys; m=json.load(open(sys.argv[1])); m["temperature"]=1+int(sys.argv[2])/100; json.dump(m,open(sys.argv[3],"w"))' \
		m1/model.json "$i" many/$i.json
	d=$(sha256sum many/$i.json | cut -c1-64)
	mkdir -p "registry/objects/${d:0:2}" && cp many/$i.json "registry/objects/${d:0:2}/${d:2}"
	echo "$d" >many/$i
done
for i in $(seq 64); do "$ns" registry promote busy "$(cat many/$i)" --why "$i" >/dev/null 2>many/err.$i & done
wait
[ "$(cat many/err.* | wc -l)" = 0 ] || fail "a writer failed: $(cat many/err.*)"
"$python" - <<'P' || fail "the log of 64 writers"
import json, os
names = sorted(os.listdir("registry/log/busy"))
assert names == ["%06d.json" % i for i in range(1, 65)], names
entries = [json.load(open("registry/log/busy/" + n)) for n in names]
assert all(e["old"] == p["new"] for p, e in zip(entries, entries[1:])) and not entries[0]["old"]
assert {e["new"] for e in entries} == {open("many/%d" % i).read().strip() for i in range(1, 65)}
assert open("registry/refs/busy").read().strip() == entries[-1]["new"]
P
ok
# a ref that is there already stays as it is
quietly "$ns" registry promote busy "$(cat registry/refs/busy)"
[ "$(ls registry/log/busy | wc -l)" = 64 ] || fail "the same digest made an entry"
ok
quietly "$ns" registry verify
# two whole nights at once on one registry, by mistake: each ends, nothing is lost, each move stands on the one before it
"$images" idx train 1800 1 && "$images" idx test 300 2 || fail images
printf 'augment:\n  - rotate: [40, 50]\n  - brightness: 0.4\n' >dark.yaml
cat >night.yaml <<'Y'
registry: shared
model: {blocks: [1], width: 8}
train: {epochs: 2, precision: f32}
infer: {precision: f32}
retrain: {replay: 300}
drift: {permutations: 99}
gate: {old_floor: -0.5, old_estimate: -0.5}
night:
  train: train/images-idx3-ubyte
  test: test/images-idx3-ubyte
  split: {train: 1000, reference: 300, changed: 400}
  audited: 200
  nights: [{name: changed, recipe: dark.yaml}]
Y
for seed in 1 2; do "$ns" night --config night.yaml --seed=$seed --threads=1 --out at-once-$seed >at-once-$seed.log 2>&1 & pids[seed]=$!; done
for seed in 1 2; do
	wait ${pids[seed]}
	case $? in 0) ;; 1) grep -q 'somebody else moved it\|gate refused' at-once-$seed.log || fail "$(tail -3 at-once-$seed.log)" ;; *) fail "$(tail -3 at-once-$seed.log)" ;; esac
done
quietly "$ns" registry verify --registry shared
"$python" - <<'P' || fail "the log of two nights"
import json, os
entries = [json.load(open("shared/log/production/" + n)) for n in sorted(os.listdir("shared/log/production"))]
assert entries and all(e["old"] == p["new"] for p, e in zip(entries, entries[1:])) and not entries[0]["old"], entries
P
ok
# gc spares what is young, which a running job may be about to name, and takes what killed writers left
d=$(echo '{"no": 1}' | sha256sum | cut -c1-64)
mkdir -p "registry/objects/${d:0:2}" && echo '{"no": 1}' >"registry/objects/${d:0:2}/${d:2}"
left=("registry/objects/${d:0:2}/${d:2}" "registry/objects/${d:0:2}/${d:2}.0123456789abcdef.tmp" registry/log/busy/000065.json.0123456789abcdef.tmp
	registry/refs/busy.0123456789abcdef.tmp)
touch "${left[@]}"
quietly "$ns" registry gc
grep -q ': 0 files' log && [ -e "${left[0]}" ] || fail "gc took what was young: $(cat log)"
touch -d '2 hours ago' "${left[@]}"
quietly "$ns" registry gc --registry.gc_hours=1 --registry.dry
grep -q ': 4 files' log && [ -e "${left[0]}" ] || fail "gc's count: $(cat log)"
quietly "$ns" registry gc --registry.gc_hours=1
for f in "${left[@]}"; do [ ! -e "$f" ] || fail "gc left $f"; done
quietly "$ns" registry verify
object=registry/objects/${b:0:2}/${b:2}
chmod +w "$object" && echo >>"$object"
refuses 77 "the object is damaged" "$ns" registry verify
done_testing
