#!/usr/bin/env bash
# What gc removes is what nothing reaches, and only if everything reachable was read; a promotion beside it never names what is gone.
. "$(dirname "$0")/lib.sh"
"$images" idx src 200 3 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data
for seed in 1 2 3; do
	quietly "$ns" train --data data --model.blocks='[1]' --model.width=4 --train.epochs=1 --train.precision=f32 --seed=$seed --out m$seed
	digest[seed]=$(sha256sum m$seed/model.json | cut -c1-64)
done
quietly "$ns" registry promote production "${digest[1]}"
quietly "$ns" registry promote production "${digest[2]}"
find registry -type f -exec touch -d '30 days ago' {} +
cp -a registry whole
at() { echo "registry/objects/${1:0:2}/${1:2}"; }
fresh() { rm -rf registry && cp -a whole registry; }
names() { (cd "$1" && find objects log -type f | sort); }
# gc CODE TEXT: refused so, and not one file is missing
keeps() {
	names registry >before
	refuses "$1" "$2" "$ns" registry gc
	names registry >after
	same before after
}

# what nothing reaches goes: the third model and its weights; the first, which is history, stays, and so do all weights
quietly "$ns" registry gc
weights() { sha256sum m$1/model.safetensors | cut -c1-64; }
for k in 1 2; do [ -e "$(at "${digest[k]}")" ] && [ -e "$(at "$(weights $k)")" ] || fail "gc took model $k"; done
[ ! -e "$(at "${digest[3]}")" ] && [ ! -e "$(at "$(weights 3)")" ] || fail "gc left what nothing reaches"
quietly "$ns" registry verify
ok

# an error while marking is not "nothing there": links that lead to themselves cannot be read by root either
for what in log log/production log/production/000001.json "objects/${digest[1]:0:2}" "objects/${digest[2]:0:2}/${digest[2]:2}" refs; do
	fresh
	rm -rf "registry/$what" && ln -s "$(basename "$what")" "registry/$what"
	keeps 74 ""
done
fresh && rm registry/log/production/000001.json
keeps 74 "000001.json"
fresh && rm -r registry/log/production
keeps 74 "its log is not"
fresh && rm -r registry/log registry/refs
keeps 74 "no ref"
fresh && chmod +w "$(at "${digest[2]}")" && printf x | dd of="$(at "${digest[2]}")" conv=notrunc 2>/dev/null # no JSON any more
keeps 77 "the object is damaged"
fresh && chmod +w "$(at "$(weights 2)")" && echo >>"$(at "$(weights 2)")"
keeps 77 "the object is damaged"
fresh && rm -f "$(at "$(weights 2)")"
keeps 74 "the object of its weights is not there"
refuses 74 "the object of its weights is not there" "$ns" registry verify
for bad in "${digest[2]:0:63}" "${digest[2]}0" "${digest[2]:0:63}g" "${digest[2]^^}" ../x; do
	fresh
	sed -i "s/\"new\": \"[^\"]*\"/\"new\": \"${bad/\//\\/}\"/" registry/log/production/000002.json
	keeps 65 "expected digests of 64 hexadecimal digits"
	refuses 65 "digests of 64" "$ns" registry log production
	refuses 65 "digests of 64" "$ns" infer --model production --data data --out refused
done

fresh && rm -r registry/log registry/refs && mkdir registry/log # not mounted
keeps 74 "no ref"
fresh && rm registry/log/production/000002.json # put back from an older backup: the copy alone knows what production is
quietly "$ns" registry gc
[ -e "$(at "${digest[2]}")" ] && [ -e "$(at "$(weights 2)")" ] || fail "gc took what a copy names"
fresh && rm -f "$(at "$(weights 3)")"
refuses 74 "the object of its weights is not there" "$ns" registry promote candidate "${digest[3]}"
[ ! -e registry/log/candidate/000001.json ] || fail "a model without weights was promoted"

fresh && rm -r registry/log/production
refuses 74 "its log is not" "$ns" registry verify
fresh && quietly "$ns" registry promote candidate "${digest[3]}"
[ -z "$(find "$(at "${digest[3]}")" "$(at "$(weights 3)")" -mmin +5)" ] || fail "promoted, and as old as before"
fresh && sed -i 's/"old": "[0-9a-f]*"/"old": "..\/x"/' registry/log/production/000002.json
keeps 65 "expected digests of 64 hexadecimal digits"
fresh && echo '{}' >registry/log/production/7.json # not one of ours: those have six digits at least
quietly "$ns" registry verify
quietly "$ns" registry promote production "${digest[1]}"
[ -e registry/log/production/000003.json ] || fail "a stranger's file counted as an entry"

# gc is held right before it sets an object aside: a new time that it is given then is seen, and so is a log that comes to name it
"$python" -c 'import json; m = json.load(open("m1/model.json")); m["temperature"] = 1.5; json.dump(m, open("late.json", "w"))'
late=$(sha256sum late.json | cut -c1-64)
held() { # CMD...: done meanwhile
	fresh
	mkdir -p "registry/objects/${late:0:2}" && cp late.json "$(at "$late")" && touch -d '30 days ago' "$(at "$late")"
	LD_PRELOAD=$build/fault.so NST_FAULT="rename 0 STOP" NST_FAULT_UNDER=$PWD/registry/objects/${late:0:2}/${late:2} "$ns" registry gc >gc.log 2>&1 &
	gc=$!
	until grep -q '^State:.T' /proc/$gc/status; do sleep 0.02; done
	"$@"
	kill -CONT $gc
	wait $gc || fail "$(cat gc.log)"
	[ -e "$(at "$late")" ] || fail "gc took it: $*"
	quietly "$ns" registry verify
}
slowly() { quietly "$ns" registry promote late "$late" && touch -d '30 days ago' "$(at "$late")"; } # days between the new time and the log
if [ -e "$build/fault.so" ]; then # not beside a sanitizer
	held touch "$(at "$late")"
	held slowly
fi

# set aside by a gc that was killed: taken back by whoever wants it, put back by the next gc if a log names it, removed if none does
fresh && mv "$(at "$(weights 2)")" "$(at "$(weights 2)").0123456789abcdef.gone"
quietly "$ns" infer --model production --data data --out taken-back
[ -e "$(at "$(weights 2)")" ] || fail "it was not taken back"
fresh && mv "$(at "$(weights 2)")" "$(at "$(weights 2)").0123456789abcdef.gone" && mv "$(at "${digest[3]}")" "$(at "${digest[3]}").0123456789abcdef.gone"
quietly "$ns" registry gc
[ -e "$(at "$(weights 2)")" ] && [ ! -e "$(at "${digest[3]}").0123456789abcdef.gone" ] && [ ! -e "$(at "${digest[3]}")" ] || fail "what was set aside"
quietly "$ns" registry verify
ok

# a file of somebody's among the objects is nobody's garbage
fresh && echo thesis >"registry/objects/${digest[1]:0:2}/thesis" && touch -d '1 year ago' "registry/objects/${digest[1]:0:2}/thesis"
quietly "$ns" registry gc
[ "$(cat "registry/objects/${digest[1]:0:2}/thesis")" = thesis ] || fail "gc took a stranger's file"
ok

# a damaged object that is already there is not trusted when it is put again
fresh && chmod +w "$(at "${digest[3]}")" && echo >>"$(at "${digest[3]}")"
quietly "$ns" train --data data --model.blocks='[1]' --model.width=4 --train.epochs=1 --train.precision=f32 --seed=3 --out m3 --force
quietly "$ns" registry promote candidate "${digest[3]}"
quietly "$ns" registry verify

# promotions beside gc, of what gc has found to be garbage: whatever wins, a ref names what is there
fresh
"$python" - "${digest[1]}" <<'P'
import hashlib, json, os, sys
model = json.load(open("m1/model.json"))
with open("garbage", "w") as out:
    for i in range(300):
        model["temperature"] = 1 + i / 1000
        text = json.dumps(model)
        d = hashlib.sha256(text.encode()).hexdigest()
        path = "registry/objects/%s/%s" % (d[:2], d[2:])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write(text)
        os.utime(path, (1e9, 1e9))
        print(d, file=out)
P
"$ns" registry gc >gc.log 2>&1 &
gc=$!
won=0 lost=0
for d in $(sort -R --random-source=garbage garbage | head -40); do
	if "$ns" registry promote beside "$d" >promote.log 2>&1; then
		won=$((won + 1))
		ls "$(at "$d")"* >/dev/null 2>&1 || fail "promoted, and gone: $d"
	else
		lost=$((lost + 1))
		grep -q "has no object\|cannot be given a new time\|was removed meanwhile" promote.log || fail "$(cat promote.log)"
	fi
done
wait $gc || fail "$(cat gc.log)"
quietly "$ns" registry verify
[ "$(ls registry/log/beside 2>/dev/null | wc -l)" = "$won" ] || fail "the log has other entries than $won"
"$ns" registry gc >/dev/null || fail "gc after all"
quietly "$ns" registry verify
echo "$won promotions came before gc, $lost after it"
done_testing
