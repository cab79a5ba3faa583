#!/usr/bin/env bash
# Pages: whatever a class, a column, a file or a label is called stays text, and each figure is that of the JSON beside it.
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
page() { quietly "$python" "$here/pages.py" "$@"; }
world() { "$python" "$here/pages_world.py" "$@" || fail "pages_world.py $*"; }
one="<b>&\"'" # as classes, columns and files are called, see pages_world.py
two="<i x=\"1\">'&amp;"

# windows of every kind of column, a page with all of its sections: slices, sequences, past windows, self-test, mix of classes
world windows
settings="--drift.permutations=99 --drift.self_test=12 --drift.sequence_seconds=5 --drift.history=history --threads=1 --device=cpu"
for night in a b; do
	quietly "$ns" drift --reference before.h5 --current $night.h5 --out drift-$night $settings \
		--drift.label "$one $night" --drift.guarded "[\"class ${two//\"/\\\"}\"]"
done
quietly "$ns" drift --reference few.h5 --current b.h5 --out few --drift.self_test=0 --threads=1 --device=cpu
page drift drift-a drift-b few
page names drift-b/drift.html "$one b" "class $one" "class $two (guarded)" "P: $one" "column $one"

"$python" - <<'P' || fail "a section of the page was not there to be looked at"
import json
d = json.load(open("drift-b/drift.json"))
assert len(d["slices"]) == 6 and d["sequences"] and d["alarm_budget"]["windows"] == 2 and d["self_test"]
assert len(d["label_shift"]["weights"]) == 3
assert d["performance"]["audited"] >= 30 and any(t["status"] not in ("none", "descriptive") and t["slice"] != "all" for t in d["tests"])
assert json.load(open("few/drift.json"))["quality"]
P
ok

# a night of two windows, with a retraining after the second
world night
"$ns" night --config night.yaml --out night >log 2>&1
code=$?
[ $code = 0 ] || [ $code = 1 ] || { cat log; fail "the night exited $code"; }
[ -s night/changed/gate.json ] || { cat log; fail "there was no retraining, so half of the page is not there"; }
ok
page drift night/quiet/drift night/changed/drift
for f in drift.html drift.json; do same night/changed/drift/$f night/changed/$f; done
quietly "$ns" report --night night # the record of the night's own report says done now
page names night/night.html "$one" "$two"
# where nothing is over, and where nothing has been measured
mkdir young && cp -r night/steps young/
quietly "$ns" report --night young
# a step that fails says why, in the words of a file's name
"$ns" night --config broken.yaml --out broken >log 2>&1 && fail "a night without images has ended well"
mkdir begun && cp -r broken/steps begun/
quietly "$ns" report --night begun
"$ns" night --config broken.yaml --out broken --step report >log 2>&1 && fail "a night of which a step is missing has ended well"
ok
quietly "$ns" report --night broken
page night night young begun broken
page names broken/night.html "$one"
# names in the files that a page is drawn from which are no names of ours
world spoil night
quietly "$ns" report --night night
page names night/night.html "$one"

# the bench: rows, the limits of the run, and rows of an earlier run
quietly "$ns" bench --only augment --bench.seconds=0.01 --threads=1 --device=cpu --out bench
page bench bench
world earlier bench/bench.json >earlier.json
quietly "$ns" bench --only augment --bench.seconds=0.01 --threads=1 --device=cpu --against earlier.json --out against
page bench against earlier.json

# every page that is written was looked at
others=$(find . -name '*.html' | grep -Ev '/(drift|drift.fragment|night|bench)\.html$')
[ -z "$others" ] || fail "$others: a page that pages.py does not know"
ok
done_testing
