#!/usr/bin/env bash
# Where results appear: nothing that is not ours is ever removed, nobody else's work is mixed in, and at any moment the old
# result or the new one is there.
. "$(dirname "$0")/lib.sh"
"$images" idx a 400 7 && "$images" idx b 300 8 || fail images
a=(ingest a/images-idx3-ubyte)
b=(ingest b/images-idx3-ubyte)

# a folder of the user's, with --force or without
mkdir precious && echo thesis >precious/thesis.txt
for force in "" --force; do
	refuses 74 "is not a result of nightshift" "$ns" "${a[@]}" --out precious $force
	[ "$(cat precious/thesis.txt)" = thesis ] || fail "a user's file is gone"
done
refuses 74 "is not a result of nightshift" "$ns" night --night.train a/images-idx3-ubyte --night.test b/images-idx3-ubyte --night.split='{train: 100, quiet: 100}' --night.nights='[{name: quiet}]' --out precious --force
mkdir mine.partial && echo thesis >mine.partial/thesis.txt
refuses 74 "is not nightshift's" "$ns" "${a[@]}" --out mine
[ "$(cat mine.partial/thesis.txt)" = thesis ] || fail "a user's file is gone"
mkdir empty
quietly "$ns" "${a[@]}" --out empty
refuses 64 "empty" "$ns" "${a[@]}" --out ""

# replaced only when asked, and then whole
quietly "$ns" "${a[@]}" --out data
refuses 74 "say --force" "$ns" "${b[@]}" --out data
[ "$(field data/dataset.json rows)" = 400 ] || fail "the old result changed"
quietly "$ns" "${b[@]}" --out data --force
[ "$(field data/dataset.json rows)" = 300 ] || fail "the new result is not there"
[ "$(ls | grep -cE 'partial$|replaced$|lock$')" = 1 ] || fail "something was left behind: $(ls)" # the user's own mine.partial
ok

# what a failed run leaves is removed; what a killed one leaves is taken over only by its own verb
refuses 74 "" "$ns" ingest nothing.tar --out refused
[ ! -e refused.partial ] && [ ! -e refused.lock ] || fail "a failed run left its folder"
mkdir stale.partial && echo '{"schema": "nightshift.partial/1", "verb": "ingest"}' >stale.partial/partial.json
touch stale.partial/shard-00007.h5
mkdir stale.partial/checkpoint && echo 'of another verb, which train could not read' >stale.partial/checkpoint/7.json
quietly "$ns" train --data data --model.blocks='[1]' --model.width=4 --train.epochs=1 --out stale
[ ! -e stale/shard-00007.h5 ] || fail "another verb's leftovers were published"
ok
# of what its own verb left a run keeps the checkpoints and removes the rest, but nothing where a file of the user's lies among it
mkdir mixed.partial && echo '{"schema": "nightshift.partial/1", "verb": "train"}' >mixed.partial/partial.json && echo thesis >mixed.partial/thesis.txt
refuses 74 "mixed.partial/thesis.txt: is not one of the files" "$ns" train --data data --model.blocks='[1]' --model.width=4 --train.epochs=1 --out mixed
[ "$(cat mixed.partial/thesis.txt)" = thesis ] || fail "a user's file among a stopped run's is gone"
rm -r mixed.partial

# a process that died between two renames: the old result is found again
mv data data.replaced
refuses 74 "say --force" "$ns" "${a[@]}" --out data
[ "$(field data/dataset.json rows)" = 300 ] || fail "the old result was not put back"

# two at once: one of them is told, and what is published is one run's alone
for i in 1 2 3; do
	"$ns" "${a[@]}" --out race --force --ingest.shard_rows=20 >race.a 2>&1 &
	"$ns" "${b[@]}" --out race --force --ingest.shard_rows=20 >race.b 2>&1
	wait
	"$python" - <<'P' || fail "a mixture was published"
import hashlib, json, os
d = json.load(open("race/dataset.json"))
assert d["rows"] in (300, 400) and len(d["shards"]) == len([f for f in os.listdir("race") if f.startswith("shard")])
for s in d["shards"]:
    assert hashlib.sha256(open("race/" + s["file"], "rb").read()).hexdigest() == s["sha256"], s
P
	ok
done
flock_holder() { exec "$python" -c 'import fcntl,sys,time; f=open(sys.argv[1],"w"); fcntl.flock(f,fcntl.LOCK_EX); f.write("held by a test"); f.flush(); print("ready",flush=True); time.sleep(30)' "$1"; }
flock_holder busy.lock >ready &
holder=$!
while ! grep -q ready ready; do sleep 0.05; done
refuses 74 "another run works there (held by a test)" "$ns" "${a[@]}" --out busy
kill $holder
wait $holder 2>/dev/null
quietly "$ns" "${a[@]}" --out busy # the lock does not outlive its process

# OUT may be a symbolic link: what it leads to is replaced, and it stays one
mkdir there && ln -s there link
quietly "$ns" "${a[@]}" --out link
[ -L link ] && [ -e there/run.json ] && [ ! -e link.partial ] && [ ! -e there.partial ] && [ ! -e there.lock ] || fail "a link to an empty folder: $(ls -l)"
quietly "$ns" "${b[@]}" --out link/ --force
[ -L link ] && [ "$(field there/dataset.json rows)" = 300 ] || fail "a link to a result"
mpi 2 "$ns" "${a[@]}" --out link --force >log 2>&1 || fail "$(cat log)"
[ -L link ] && [ "$(field there/dataset.json rows)" = 400 ] || fail "a link to a result, two ranks"
ln -s nowhere dangling
refuses 74 "leads nowhere" "$ns" "${a[@]}" --out dangling
for out in . .. /; do refuses 64 "own name" "$ns" "${a[@]}" --out $out; done
ok

# what is ours is said by a record of the right schema and the files that it lists
quietly "$ns" "${a[@]}" --ingest.split='{x: 200, y: 100}' --out owned
[ "$(field owned/run.json outputs | grep -o "'[^']*h5'" | tr -d "'" | paste -sd' ')" = "x/shard-00000.h5 y/shard-00000.h5" ] || fail "outputs: $(field owned/run.json outputs)"
for thesis in owned/thesis.txt owned/x/thesis.txt owned/z/thesis.txt owned/x/shard-00001.h5; do
	mkdir -p "$(dirname $thesis)" && echo thesis >$thesis
	refuses 74 "$thesis: is not one of the files" "$ns" "${b[@]}" --out owned --force
	[ "$(cat $thesis)" = thesis ] && [ -e owned/x/shard-00000.h5 ] && [ ! -e owned.partial ] || fail "something of it is gone"
	rm $thesis
done
rmdir owned/z
for name in 0001.json labels.json model.json x.lock shard-00009.h5; do # our names are ours where no list says otherwise, and here one does
	mkdir owned/notes && echo thesis >owned/notes/$name
	refuses 74 "owned/notes/$name: is not one of the files" "$ns" "${b[@]}" --out owned --force
	[ "$(cat owned/notes/$name)" = thesis ] && rm -r owned/notes || fail "owned/notes/$name is gone"
done
mkdir owned/exp && echo '{"tool": "mlflow"}' >owned/exp/run.json
refuses 74 "owned/exp/run.json: is not one of the files" "$ns" "${b[@]}" --out owned --force
[ -e owned/exp/run.json ] && rm -r owned/exp || fail "another tool's record is gone"
quietly "$ns" "${a[@]}" --out owned/mine # a result of its own inside another
refuses 74 "owned/mine: is a result of its own" "$ns" "${b[@]}" --out owned --force
[ -e owned/mine/dataset.json ] && rm -r owned/mine || fail "a result inside another is gone"
mkdir owned.replaced.backup && cp owned/run.json owned.replaced.backup # nobody asked for it to go
mkdir elsewhere && echo thesis >elsewhere/thesis && ln -s ../elsewhere owned/link
quietly "$ns" "${b[@]}" --out owned --force # a link holds nothing; what it leads to stays
[ "$(cat elsewhere/thesis)" = thesis ] && [ ! -e owned/x ] || fail "a link inside a result"
[ -e owned.replaced.backup/run.json ] && rm -r owned.replaced.backup || fail "a copy that somebody has kept is gone"
for record in '{}' '{"tool": "mlflow"}' '{"schema": "nightshift.run/2", "outputs": []}' 'no json'; do
	for name in other other.partial; do
		mkdir $name && echo thesis >$name/thesis && echo "$record" >$name/run.json
		refuses 74 "" "$ns" "${a[@]}" --out other --force
		[ "$(cat $name/thesis)" = thesis ] || fail "$name: another tool's folder was taken"
		rm -r $name
	done
	mkdir other && echo thesis >other/thesis && echo "$record" >other/run.json # --force is not offered where it would not help
	refuses 74 "other: exists and is not a result of nightshift" "$ns" "${a[@]}" --out other
	rm -r other
done
# a result of before: subfolders that its record does not list, by the names in them
quietly "$ns" "${a[@]}" --ingest.split='{x: 200, y: 100}' --out before
"$python" -c 'import json; j = json.load(open("before/run.json")); j["outputs"] = [o for o in j["outputs"] if "/" not in o["file"]]; del j["outputs_of"]; json.dump(j, open("before/run.json", "w"))'
echo thesis >before/x/thesis && refuses 74 "before/x/thesis: is not one of the files" "$ns" "${b[@]}" --out before --force && rm before/x/thesis
quietly "$ns" "${b[@]}" --out before --force
# what each verb leaves when it is killed, another run of it removes; and no night removes a registry
"$images" idx e 1200 3
quietly "$ns" ingest e/images-idx3-ubyte --out e-data
quietly "$ns" train --data e-data --calibrate e-data --model.blocks='[1]' --model.width=4 --train.epochs=1 --out e-model
quietly "$ns" infer --data e-data --model e-model --out e-pred
quietly "$ns" evaluate --predictions e-pred --out e-eval
printf 'augment:\n  - flip: 1\n' >flip.yaml
quietly "$ns" augment --data e-data --config flip.yaml --out e-aug
quietly "$ns" drift --reference e-pred --current e-pred --out e-drift
for verb in "ingest e/images-idx3-ubyte" "train --data e-data --model.blocks=[1] --model.width=4 --train.epochs=1" "infer --data e-data --model e-model" \
	"evaluate --predictions e-pred" "augment --data e-data --config flip.yaml" "drift --reference e-pred --current e-pred"; do
	for left in e-data e-model e-pred e-eval e-aug e-drift; do
		rm -rf left left.partial && cp -r $left left.partial && rm left.partial/run.json
		echo '{"schema": "nightshift.partial/1", "verb": "x"}' >left.partial/partial.json
	done
	quietly "$ns" $verb --out left
	[ ! -e left.partial ] || fail "left.partial stays"
done
mkdir night && echo '{"schema": "nightshift.night/1"}' >night/night.json && cp -r registry night/registry
refuses 74 "night/registry/.*is not one of the files" "$ns" night --night.train a/images-idx3-ubyte --night.test b/images-idx3-ubyte --night.split='{train: 100, quiet: 100}' --night.nights='[{name: quiet}]' --out night --force
[ "$(ls night/registry/objects | wc -l)" = "$(ls registry/objects | wc -l)" ] || fail "a night took a registry"
ok
# in a night lie the results of the steps that it has planned; any other is a user's, also where its name begins as one of theirs does
mkdir -p planned/steps planned/quiet/predictions.parts && echo '{"schema": "nightshift.night/1"}' >planned/night.json
echo '{"schema": "nightshift.plan/1", "steps": [{"step": "quiet/drift"}, {"step": "quiet/predictions"}]}' >planned/steps/plan.json
echo '{"schema": "nightshift.run/1", "outputs_of": "tree", "outputs": []}' >planned/run.json
cp -r e-drift planned/quiet/drift && cp -r e-pred planned/quiet/predictions.parts/00003
for mine in planned/mine planned/quiet/drift2 planned/quiet/drift-kept; do
	cp -r e-pred $mine
	refuses 74 "$mine: is a result of its own inside another" "$ns" "${b[@]}" --out planned --force
	[ -e $mine/predictions.json ] && [ -e planned/quiet/drift/drift.json ] && rm -r $mine || fail "$mine, or what lies beside it, is gone"
done
quietly "$ns" "${b[@]}" --out planned --force
[ ! -e planned/quiet ] && [ "$(field planned/dataset.json rows)" = 300 ] || fail "steps of a night that was replaced stay"
# an old result that cannot be removed, as it is another's: the new one is there, the old one is put aside
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$work" && mkdir -m 2775 group && chgrp 65534 group && chmod -R a+rX a b
	quietly "$ns" "${a[@]}" --out group/x
	colleague() { setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent TMPDIR=/tmp sh -c 'umask 002; exec "$@"' sh "$@"; }
	colleague "$ns" "${b[@]}" --out "$work/group/x" --force >log 2>&1 || fail "$(cat log)"
	grep -q "the result is published; of the one before it" log && [ "$(field group/x/dataset.json rows)" = 300 ] && ls group/x.replaced.* >/dev/null || fail "$(cat log; ls -l group)"
	quietly "$ns" "${a[@]}" --out group/x --force # its owner's next run takes it away
	[ "$(ls group)" = x ] || fail "left: $(ls group)"
	ok
fi
# names that are not UTF-8
bad=$(printf 'caf\351 \n$(x)')
cp -r a "a$bad"
USER=$bad quietly "$ns" ingest "a$bad/images-idx3-ubyte" --out "out$bad"
grep -q 'xE9' "out$bad/run.json" && [ "$(field "out$bad/run.json" inputs | grep -c images-idx3)" = 1 ] || fail "run.json: $(field "out$bad/run.json" inputs)"
"$python" -c 'import json, sys; json.load(open(sys.argv[1], encoding="utf-8")); json.load(open(sys.argv[2], encoding="utf-8"))' "out$bad/run.json" "out$bad/dataset.json" || fail "no UTF-8"
USER=$bad quietly "$ns" registry promote production "$(sha256sum e-model/model.json | cut -c1-64)"
quietly "$ns" registry log production
ok

# SIGTERM ends what has no checkpoint at once, and nothing is published
"$images" idx many 60000 9 || fail images
"$ns" ingest many/images-idx3-ubyte --ingest.shard_rows=10 --out ended >/dev/null 2>&1 &
sleep 0.3
kill -TERM $! 2>/dev/null
wait $!
[ $? = 143 ] || fail "SIGTERM came too late to be a test"
[ ! -e ended ] || fail "half a result"
rm -rf many ended.partial ended.lock
# what is no file is refused, and never waited for
mkfifo waits.tar waits.txt waits.npy waits.h5 waits-images-idx3-ubyte
for pipe in waits.tar waits.txt waits-images-idx3-ubyte; do
	timeout 10 "$ns" ingest $pipe --out refused >/dev/null 2>err.log
	case $? in 65 | 74) ;; *) fail "a named pipe as a source: $(cat err.log)" ;; esac
	grep -q "named pipe" err.log || fail "$(cat err.log)"
	ok
done
ok

# tampered columns, lists and objects are found by their digests
cp -r busy tampered
"$python" -c 'import h5py; f=h5py.File("tampered/shard-00000.h5","a"); f["label"][...]=(f["label"][...]+1)%3'
refuses 77 "shard-00000.h5: its SHA-256 is" "$ns" train --data tampered --out refused
cp tampered/shard-00000.h5 alone.h5 # a shard alone has its columns' checksums
refuses 77 "label" "$ns" train --data alone.h5 --out refused
quietly "$ns" train --data busy --model.blocks='[1]' --model.width=4 --train.epochs=1 --out model
quietly "$ns" infer --model model --data busy --out predictions
cp -r predictions changed
"$python" -c 'import h5py,glob; f=h5py.File(glob.glob("changed/*.h5")[0],"a"); f["pred"][0]=1-f["pred"][0] if f["pred"][0]<2 else 0'
refuses 77 "was changed" "$ns" evaluate --predictions changed --out refused
for attack in 'f["pred"][0]=50000000' 'f["pred"][0]=-900000' 'f["label"][0]=77' 'f["prob"][0,0]=float("nan")' \
	'del f["stats"].attrs["stats_names"]; f["stats"].attrs["stats_names"]=["x","y"]'; do
	cp "$(ls predictions/*.h5 | head -1)" attack.h5
	"$python" -c "import h5py; f=h5py.File('attack.h5','a'); $attack"
	refuses 65 "attack.h5" "$ns" drift --reference predictions --current attack.h5 --out refused
	refuses 65 "attack.h5" "$ns" evaluate --predictions attack.h5 --out refused
done
cp busy/shard-00000.h5 link.h5
"$python" -c 'import h5py; f=h5py.File("link.h5","a"); del f["time"]; f["time"]=h5py.SoftLink("/label")'
refuses 65 "time" "$ns" train --data link.h5 --out refused
done_testing
