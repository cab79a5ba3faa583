#!/usr/bin/env bash
# Names, dates and paths on their way to a shell, to Slurm, to the plan's columns and to JSON: what cannot be carried safely is refused
# where it is read, and the rest arrives as it is. Wants no Slurm: dry runs, and programs of Slurm's names that write down what they are told.
. "$(dirname "$0")/../jobs/lib.sh"
top=$(cd "$here/../.." && pwd)
submit=$top/slurm/submit.sh
export NIGHTSHIFT=$ns SOURCE_DATE_EPOCH=1777900000 TZ=UTC
mkdir work && cd work || exit 1

night_yaml() { # NAME-AS-YAML [SPLIT-KEY]
	printf 'registry: night/registry\nnight:\n  train: t\n  test: t\n  split: {train: 10, reference: 10, %s: 10}\n' "${2:-tonight}"
	printf '  nights: [{name: %s, source: /data/tonight}]\n' "$1"
}
night_yaml tonight >night.yaml
says() { # CODE TEXT CMD...
	local code=$1 text=$2 got
	shift 2
	"$@" >says.log 2>&1
	got=$?
	[ $got = "$code" ] && grep -qF -- "$text" says.log || { cat says.log; fail "$(printf '%q ' "$@")exited $got, wanted $code and '$text'"; }
	[ ! -e pwned ] || fail "$(printf '%q ' "$@")ran a command that was in a text"
	ok
}
dry() { "$submit" --dry-run "$@"; }

# --- nights and sets ---
for name in '"a b"' '"a,b"' '"*"' '"a\tb"' '"a\nb"' '-x' '.x' '..' '"a/b"' '"a\"b"' '"a|b&c"' '"$(touch pwned)"' '"`touch pwned`"' '"a;b"' "\"it's\"" 'ä' '""' \
	'"a\\b"' '"%j"' '"x\ty\tcount[$(touch pwned)]\t"' "$(printf 'x%.0s' {1..65})"; do
	night_yaml "$name" >odd.yaml
	says 78 "night.nights[0].name = '" dry --config odd.yaml --out o
done
for name in prepare steps slurm registry report run.json night.json night.html summary.json partial.json; do
	night_yaml "$name" >odd.yaml
	says 78 "night.nights[0].name = '$name', which a night's folder uses itself" dry --config odd.yaml --out o
done
night_yaml 20260504 >odd.yaml
says 78 "night.nights[0].name is a number" dry --config odd.yaml --out o
night_yaml 'tonight, source: a}, {name: tonight' >odd.yaml
says 78 "night.nights[1].name = 'tonight', which is also the name of night.nights[0]" dry --config odd.yaml --out o
for name in '"a b"' '"a,b"' '"../x"' .x -x; do
	night_yaml tonight "$name" >odd.yaml
	says 78 "night.split = '" dry --config odd.yaml --out o
done
for name in tonight _ 2026-05-04 Cam_3.b "$(printf 'x%.0s' {1..64})"; do
	night_yaml "\"$name\"" >fine.yaml
	dry --config fine.yaml --out o >plan.txt || fail "a night called $name: $(cat plan.txt)"
	grep -A1 "^$name/predictions.parts " plan.txt | grep -q -- "--dependency=afterany:[^ ]*<$name/images\\\\>" || fail "$name: inference does not wait for its images: $(cat plan.txt)"
	ok
done
[ ! -e o ] || fail "a dry run made a folder"

"$images" idx src 40 1 || fail images
for name in '"a b"' '"../x"' .x -x '"a,b"' '"a/b"' run.json part.json partial.json quarantine.jsonl quarantine.0; do
	says 78 "ingest.split" "$ns" ingest src/images-idx3-ubyte --out refused --ingest.split="{$name: 1, b: 1}"
done
quietly "$ns" ingest src/images-idx3-ubyte --out taken --ingest.split="{a.b-_1: 10, b: 10}"
for name in 'a b' .x a/b 'ä' 'a,b' '' "$(printf 'x%.0s' {1..65})"; do
	says 64 "invalid ref name" "$ns" registry rollback --registry r "$name"
done

# --- dates ---
for date in 2026/05/04 'x/;e touch pwned'$'\n''s/a' 2026-5-4 2026-02-30 2026-13-01 '' today '2026-05-04 ' -1 '&' '2026-05-04|' $'2026-05-04\n2026-05-05'; do
	says 64 "YYYY-MM-DD" dry --config night.yaml --out 'o/{date}' --date "$date"
done
says 0 "o/2024-02-29/slurm" dry --config night.yaml --out 'o/{date}' --date 2024-02-29
says 0 "o/$(date -d '-12 hours' +%F)/slurm" dry --config night.yaml --out 'o/{date}' --date=evening

# --- paths ---
says 0 "$PWD/n%%j/slurm/log/%x-%j.out" dry --config night.yaml --out 'n%j'
says 0 "$PWD/n%%%%/slurm/log/%x-%A_%a.out" dry --config night.yaml --out 'n%%'
says 0 "$PWD/-x/slurm/log" dry --config night.yaml --out -x
says 0 "$PWD/-x/slurm/log" dry --config night.yaml --out=-x
for out in 'a b' 'a\b' $'a\nb' $'a\n' $'a\tb' $'a\x7fb'; do
	says 64 "a folder without blanks, control characters and backslashes" dry --config night.yaml --out "$out"
done
cp night.yaml ./-n.yaml && cp "$top/slurm/site.conf" ./-s.conf && cp "$top/slurm/site.conf" 'a|b & c.conf'
says 0 "$PWD/o/slurm" dry --config -n.yaml --site -s.conf --out o
says 0 "$PWD/o/slurm" dry --config=-n.yaml --site='a|b & c.conf' --out o
printf 'echo sourced here; exit 3\n' >ls # a site's file is not sought on PATH
says 3 'sourced here' dry --config night.yaml --site ls --out o
out_of() { { printf 'out: %s\n' "$1" && cat night.yaml; } >with-out.yaml; }
while IFS='~' read -r yaml path; do
	out_of "$yaml"
	says 0 "--comment=$PWD/$path " dry --config with-out.yaml --date 2026-05-04
done <<'T'
o/x~o/x
o/{date} # tonight's~o/2026-05-04
"o/y"  # quoted~o/y
'o/{date}'~o/2026-05-04
-x~-x
o#x~o#x
T
for yaml in '"a b"' "'a b'" '"a\tb"' '|' '>-' '&a b' '!!str x' '[a]' '{a: b}' '- a' '"a" b' 'a b'; do
	out_of "$yaml"
	says 64 "--out" dry --config with-out.yaml
done
says 64 'SOURCE_DATE_EPOCH=' env 'SOURCE_DATE_EPOCH=1|/e touch pwned' "$submit" --dry-run --config night.yaml --out o
# every night: a line that Slurm and a shell read
says 0 "submit.sh --config $PWD/night.yaml --out $PWD/o/{date} --site" "$submit" --config night.yaml --out 'o/{date}' --scrontab 02:05
for out in 'o|{date}' 'o&{date}' 'o;{date}' 'o%{date}' 'o$(id>pwned){date}' "o'{date}" 'o*{date}'; do
	says 64 "where a night stands" "$submit" --config night.yaml --out "$out" --scrontab 02:05
	says 64 "where a night stands" "$submit" --config night.yaml --out "$out" --standing 02:05 --dry-run
done
cp night.yaml 'a,b.yaml'
says 64 "its name becomes the job's" "$submit" --config 'a,b.yaml' --out 'o/{date}' --standing 02:05 --dry-run
for at in 25:00 '2:5' '02:05;' "02:05\$(touch pwned)" ''; do
	says 64 "HH:MM is wanted" "$submit" --config night.yaml --out 'o/{date}' --standing "$at" --dry-run
done

# --- the plan of two nights: each step comes after those whose results it reads, and after what may move production ---
cat >two.yaml <<'Y'
registry: night/registry
night:
  train: t
  test: t
  split: {train: 10, reference: 10, second: 10}
  tasks: 2
  nights: [{name: first, source: s, recipe: dark.yaml}, {name: second}]
Y
printf 'augment: [{brightness: 0.4}]\n' >dark.yaml
"$ns" night --config two.yaml --out two --plan >two.tsv || fail "the plan of two nights"
before() { awk -F'\t' -v step="$1" '$1 == step { gsub(",", " ", $5); print $5 }' two.tsv; }
for whole in $(sed -n 's/\.parts\t.*//p' two.tsv); do
	[ "$(before $whole)" = $whole.parts ] || fail "$whole is merged after '$(before $whole)'"
done
[ "$(sed -n 's/\.parts\t.*//p' two.tsv | paste -sd' ')" = "prepare/data prepare/test first/images first/predictions first/reference second/predictions second/reference" ] ||
	fail "arrays: $(cat two.tsv)"
for night in first second; do
	[ "$(before $night/gate)" = "$night/gate-old $night/gate-first $night/gate-new $night/trial" ] || fail "$night/gate comes after $(before $night/gate)"
done
for step in predictions.parts reference.parts production-test; do # by production's model, which the first night's gate may move
	case " $(before second/$step) " in *" first/gate "*) ;; *) fail "second/$step comes after $(before second/$step)" ;; esac
done
# the report waits for whatever nobody else waits for: the evaluations that are shown alone, and the last gate
[ "$(before report)" = "prepare/test-evaluation first/final-before-evaluation first/final second/gate" ] || fail "the report comes after $(before report)"
ok

# --- the plan's columns: a program that prints another one ---
cat >planner <<'P'
#!/bin/sh
cat "$PLAN"
P
chmod +x planner
export PLAN=$PWD/plan.tsv
planned() { NIGHTSHIFT=./planner "$submit" --dry-run --config night.yaml --out o; }
fine=$'a/images\tingest\t0\topen\t-\na/x.parts\tinfer\t2\topen\ta/images\nreport\treport\t0\topen\ta/images,a/x.parts\n'
printf %s "$fine" >"$PLAN"
says 0 "report (report) after a/images,a/x.parts" planned
grep -q -- '--array=0-1 ' says.log || fail "an array: $(cat says.log)"
touch images a # what a pattern would find
while IFS='~' read -r what line; do
	printf '%s%b\n' "$fine" "$line" >"$PLAN"
	says 70 "the plan of" planned
	grep -q "$what" says.log || fail "$what: $(cat says.log)"
done <<'T'
tasks~b\tinfer\tx[$(touch pwned)]\topen\t-
tasks~b\tinfer\t-1\topen\t-
tasks~b\tinfer\t1e3\topen\t-
tasks~b\tinfer\t08\topen\t-
stage~b\tx[$(touch pwned)]\t0\topen\t-
stage~b\t../slurm/infer\t0\topen\t-
stage~b\tnosuch\t0\topen\t-
state~b\tinfer\t0\tperhaps\t-
a step's name~b c\tinfer\t0\topen\t-
a step's name~-b\tinfer\t0\topen\t-
a step's name~../b\tinfer\t0\topen\t-
a step's name~$(touch pwned)\tinfer\t0\topen\t-
to come after~b\tinfer\t0\topen\t*
to come after~b\tinfer\t0\topen\ta/images,
to come after~b\tinfer\t0\topen\ta/images b
to come after~b\tinfer\t0\topen\ta/images\tmore
to come after~b\tinfer\t0\topen
not before it~b\tinfer\t0\topen\ta/nosuch
not before it~b\tinfer\t0\topen\tb
twice~a/images\tinfer\t0\topen\t-
T
: >"$PLAN"
says 70 "has no step" planned

# --- submitted, with programs of Slurm's names ---
mkdir bin
cat >bin/sbatch <<'P'
#!/usr/bin/env bash
printf '%s\n' "$@" >>"$SAID"
n=$(($(cat "$SAID.n" 2>/dev/null || echo 0) + 1))
echo $n >"$SAID.n"
[ "$n" != "${REFUSE_AT:-}" ] || exit 1
echo "${REPLY_AS:-$n};cluster"
P
printf '#!/bin/sh\nexit 0\n' >bin/squeue
printf '#!/bin/sh\necho "$@" >>"$SAID.cancelled"\n' >bin/scancel
printf '#!/bin/sh\necho scontrol "$@"\nexit 1\n' >bin/scontrol
chmod +x bin/*
export SAID=$work/said
really() { PATH=$PWD/bin:$PATH "$submit" --config night.yaml "$@"; }
odd="o|&\$(id>pwned)';%j*"
says 0 "submitted" really --out "$odd"
grep -qxF -- "--comment=$PWD/$odd" "$SAID" && grep -qxF -- "$PWD/$odd/slurm/infer.sbatch" "$SAID" && grep -qxF -- "--output=$PWD/${odd/\%/%%}/slurm/log/%x-%j.out" "$SAID" ||
	fail "sbatch was told: $(cat "$SAID")"
[ -s "$odd/slurm/site.conf" ] && [ "$(bash -c '. "$1" && echo "$NS_DIR $SOURCE_DATE_EPOCH"' - "$odd/slurm/site.conf")" = "$PWD $SOURCE_DATE_EPOCH" ] || fail "$odd/slurm/site.conf"
ok
# again: the dates are those of the first submission, and the record of a night with a like name stays
night_yaml 'a, source: s}, {name: a.drift.1' >night.yaml
says 0 "submitted" really --out like
touch like/steps/a.drift.1.images.json like/steps/a.drift.json like/steps/a.images.parts.00001.json
SOURCE_DATE_EPOCH=1888888888 says 0 "submitted" really --out like
[ "$(bash -c '. like/slurm/site.conf && echo $SOURCE_DATE_EPOCH')" = 1777900000 ] || fail "other dates: $(grep EPOCH like/slurm/site.conf)"
[ ! -e like/steps/a.drift.json ] && [ ! -e like/steps/a.images.parts.00001.json ] || fail "old records stay: $(ls like/steps)"
# all of a.drift.1 is still to be done, so that its own line removes its record; what a/drift's line removes is told by the plan alone
sed 's|^a\.drift\.1/images\(.*\)open|a.drift.1/images\1done|' like/slurm/plan.tsv >"$PLAN"
touch like/steps/a.drift.1.images.parts.00000.json like/steps/a.drift.1.images.json
NIGHTSHIFT=./planner says 0 "submitted" really --out like
[ -e like/steps/a.drift.1.images.json ] || fail "a/drift took the record of a.drift.1/images with it"
ok
# what is refused takes with it what was submitted before it, and no more
rm -f "$SAID.n"
REFUSE_AT=1 says 69 "sbatch refused" really --out first
[ ! -e "$SAID.cancelled" ] || fail "cancelled: $(cat "$SAID.cancelled")"
rm -f "$SAID.n"
REFUSE_AT=4 says 69 "sbatch refused" really --out fourth
[ "$(tr ' ' '\n' <"$SAID.cancelled" | sort | paste -sd' ')" = "1 2 3" ] || fail "cancelled: $(cat "$SAID.cancelled")"
REPLY_AS='x[$(touch pwned)]' says 69 "a job's number was wanted" really --out reply

# --- what a job says when it gives up: JSON, whatever the reason ---
mkdir -p box/slurm box/steps
printf 'NS_SIGNAL=USR2\nNS_TRIES=1\nNS_WARNING=120\nNS_DIR=/\n' >box/slurm/site.conf
cat >job.sh <<'P'
. "$STEP_SH" "$@"
for limit in 1-02:03:04 08:09:10 UNLIMITED 'x[$(touch pwned)]:1:1'; do ns_seconds "$limit"; done >seconds
SECONDS=99999 # as if somebody had set the clock
give_up 70 "$WHY"
P
reasons=('plain' 'a|b&c/d' 'say "no"' 'back\slash \n' $'two\nlines\tand a tab' $'bell\a' 'ä' $'\xff' '$(touch pwned)`touch pwned`' '%s%n')
for why in "${reasons[@]}"; do
	for record in none '{\n "schema": "s",\n "state": "running",\n "why": "",\n "try_again": true,\n "end": null,\n "last": 1\n}'; do
		rm -f box/steps/*
		[ "$record" = none ] || printf "$record" >box/steps/a.b.json
		STEP_SH=$top/slurm/step.sh WHY=$why SLURM_JOB_ID=1 bash job.sh "$PWD/box" a/b >event.log 2>err.log
		[ $? = 70 ] || fail "give_up: $(cat event.log err.log)"
		"$python" - "$why" <<'P' || fail "$(printf %q "$why"): $(cat box/steps/a.b.json event.log)"
import json, os, sys
why = os.fsencode(sys.argv[1])
try:
    why = why.decode().replace("\a", " ")
except UnicodeDecodeError:
    why = "?"
record, event = json.load(open("box/steps/a.b.json")), [json.loads(l) for l in open("event.log")]
assert record["state"] == "failed" and record["try_again"] is False and record["end"] > 1e9 and record["why"] == why, record
assert record["end"] - record.get("start", record["end"]) < 1000, record
assert len(event) == 1 and event[0]["why"] == why and event[0]["exit"] == 70 and event[0]["step"] == "a/b", event
P
		ok
	done
done
[ "$(paste -sd, seconds)" = 93784,29350,0,0 ] || fail "time limits: $(paste -sd, seconds)"
[ ! -e pwned ] || fail "a reason ran a command"
ok
done_testing
