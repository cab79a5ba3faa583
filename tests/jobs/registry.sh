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
refuses 64 "is no name for a ref" "$ns" registry promote ../x "$a"
for i in $(seq 64); do "$ns" registry promote busy "$a" --why "$i" >/dev/null 2>err.$i & done
wait
[ "$(ls registry/log/busy/*.json | wc -l)" = 64 ] || fail "64 writers made $(ls registry/log/busy | wc -l) entries"
ok
quietly "$ns" registry verify
quietly "$ns" registry gc --registry.dry
object=registry/objects/${b:0:2}/${b:2}
chmod +w "$object" && echo >>"$object"
refuses 77 "the object is damaged" "$ns" registry verify
done_testing
