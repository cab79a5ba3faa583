#!/usr/bin/env bash
# slurm/submit.sh - one night as a static graph of Slurm jobs: submitted whole, then this script is done. Nothing polls.
#
#   slurm/submit.sh --config night.yaml [--out FOLDER] [--site FILE] [--date YYYY-MM-DD] [--begin TIME] [--dry-run]
#   slurm/submit.sh --config night.yaml --out 'FOLDER/{date}' [--site FILE] --standing HH:MM | --scrontab HH:MM
#
# The steps are those of `nightshift night --plan`. Dependencies (afterany) only order them: a step looks for the commit
# records of those before it, and a step without work leaves at once with a record. What is done already is not submitted
# again: the same command finishes a night that was cut off. {date} in the configuration and in FOLDER is the night's date, today by
# default; `--date evening` is yesterday until noon.
#
# What is read from a person (names, dates, paths) or from the plan is looked at before it is used: never arithmetic, a pattern, a part
# of a sed script, or an option. FOLDER may hold all but blanks, control characters and backslashes.
#
# Every night: --scrontab prints the line for `scrontab -e`; where a site has no scrontab, --standing puts a job into the queue that
# submits the night at that time, and itself for the next day.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" >/dev/null && pwd)
config= out= site=$here/site.conf date=$(date +%F) begin= dry= every= at=

usage() {
	sed -n '2,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
	exit 64
}
while [ $# -gt 0 ]; do
	case $1 in
	--config=* | --out=* | --site=* | --date=* | --begin=* | --standing=* | --scrontab=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
	esac
	case $1 in
	--dry-run) dry=1 && shift && continue ;;
	--help | -h) (usage 2>&1) || exit 0 ;;
	--config | --out | --site | --date | --begin | --standing | --scrontab) [ $# -gt 1 ] || usage ;;
	*) echo "submit.sh: unknown option '$1'" >&2 && usage ;;
	esac
	case $1 in
	--config) config=$2 ;;
	--out) out=$2 ;;
	--site) site=$2 ;;
	--date) date=$2 ;;
	--begin) begin=$2 ;;
	--standing | --scrontab) every=$1 at=$2 ;;
	esac
	shift 2
done
die() {
	echo "submit.sh: $2" >&2
	exit "$1"
}
# the same letters in every locale: to some, [a-z] has letters with accents
matches() { # TEXT EXPRESSION
	local LC_ALL=C
	[[ $1 =~ $2 ]]
}
# out: as YAML has it on one line, plain or in quotes; --out says what this does not understand
out_of_config() {
	local line end='([[:blank:]]*|[[:blank:]]+#.*)$'
	local plain='([^]["#|>&*!{}%@`,[:blank:]'\''-][^[:blank:]]*|-[^[:blank:]]+)' double='"([^"\]+)"' single="'([^']+)'"
	while IFS= read -r line || [ -n "$line" ]; do
		if [[ $line =~ ^out:[[:blank:]]+$plain$end || $line =~ ^out:[[:blank:]]+$double$end || $line =~ ^out:[[:blank:]]+$single$end ]]; then
			printf %s "${BASH_REMATCH[1]}"
			return
		fi
	done <"$config"
}
[ -n "$config" ] || usage
[ -r "$config" ] && [ ! -d "$config" ] || die 74 "$config: cannot be read"
[ -r "$site" ] || die 74 "$site: cannot be read"
[ -n "$out" ] || out=$(out_of_config)
[ -n "$out" ] || die 64 "--out FOLDER is wanted, or out: in $config"
# Slurm's --output takes a backslash for an order of its own, and squeue's lines are read by their blanks
check_out() {
	case $1 in *[[:space:][:cntrl:]\\]*) die 64 "--out $(printf %q "$1"): a folder without blanks, control characters and backslashes is wanted" ;; esac
}
check_out "$out"
[ "$date" != evening ] || date=$(date -d '-12 hours' +%F) # of a night that begins a little after midnight, the day before
# what date itself would write so is digits and dashes
[ "$(date -u -d "$date" +%F 2>/dev/null)" = "$date" ] ||
	die 64 "--date $(printf %q "$date"): YYYY-MM-DD, a day of the calendar, or evening is wanted"
pattern() { printf %s "${1//%/%%}"; } # a path where Slurm reads %j and the like

# every night: nothing but the queue, or a line to paste, is touched here
standing() {
	local next name queued
	name=nightshift-$(basename -- "${config%.*}")
	matches "$at" '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$' || die 64 "$every $(printf %q "$at"): HH:MM is wanted, from 00:00 to 23:59"
	case $out in *'{date}'*) ;; *) die 64 "--out $out: {date} is wanted in it, as each night has a folder of its own" ;; esac
	matches "$name" '^[A-Za-z0-9._-]+$' || die 64 "$(printf %q "$config"): its name becomes the job's; letters, digits, . _ - are wanted"
	config=$(realpath -- "$config") site=$(realpath -- "$site") out=$(realpath -m -- "$out")
	# a line of scrontab is read by Slurm and by a shell; both know these letters alone, and {date}
	matches "$here$config$out$site$PWD" '^[A-Za-z0-9/._{}@+:,=-]+$' ||
		die 64 "$(printf '%q ' "$here" "$config" "$out" "$site" "$PWD"): paths of letters, digits and / . _ - @ + : , = are wanted where a night stands"
	. "$site"
	if [ "$every" = --scrontab ]; then
		printf '#SCRON --job-name=%s --time=00:10:00 --ntasks=1 --chdir=%s --output=%s/nightshift-standing.out --open-mode=append%s\n' "$name" "$PWD" \
			"$PWD" "${NS_SBATCH:+ $NS_SBATCH}"
		printf '%d %d * * * %s/submit.sh --config %s --out %s --site %s%s\n' "$((10#${at:3:2}))" "$((10#${at:0:2}))" "$here" "$config" "$out" "$site" \
			"$([ "${at:0:2}" -lt 12 ] || echo ' --date evening')"
		return
	fi
	queued=$(squeue -h -n "$name" -u "$(id -un)" -o %A) || die 69 "squeue does not answer"
	queued=$(paste -sd' ' <<<"$queued")
	[ -z "$queued" ] || die 74 "$name stands in the queue already (job $queued); scancel it first"
	next=$date
	[ "$(date -d "$next $at" +%s)" -gt "$(date +%s)" ] || next=$(date -d "$next + 1 day" +%F)
	# shellcheck disable=SC2086
	set -- --job-name="$name" --begin="${next}T$at" --dependency=singleton --chdir="$PWD" --output="$(pattern "$PWD")/nightshift-standing.out" $NS_SBATCH \
		"$here/standing.sbatch" "$here" "$config" "$out" "$site" "$at" "$next"
	if [ -n "$dry" ]; then
		printf 'sbatch'
		printf ' %q' "$@"
		printf '\n'
	else
		sbatch --parsable "$@" >/dev/null || die 69 "sbatch refused $name"
		echo "$name stands in the queue; the first night begins on $next at $at"
	fi
}
if [ -n "$every" ]; then
	standing
	exit
fi
out=$(realpath -m -- "${out//\{date\}/$date}")
check_out "$out"
epoch=${SOURCE_DATE_EPOCH:-$(date +%s)}
matches "$epoch" '^[0-9]+$' || die 64 "$(printf 'SOURCE_DATE_EPOCH=%q: seconds since 1970 are wanted' "$epoch")"

# The night's own copy of all that it was told: who edits the configuration tonight changes tomorrow.
work=$(realpath -- "$(mktemp -d)") # also where TMPDIR has a leading -
trap 'rm -rf "$work"' EXIT
sed "s/{date}/$date/g" <"$config" >"$work/night.yaml" # of digits and dashes
{
	cat <"$site"
	printf 'NS_DIR=%q\n' "$PWD"
	# what a night makes twice is the same twice: dates in its files are those of its submission
	printf 'export SOURCE_DATE_EPOCH=%s\n' "$epoch"
} >"$work/site.conf"
. "$work/site.conf"
[ "$NS_SIGNAL" != TERM ] || die 78 "$site: NS_SIGNAL=TERM is Slurm's own last word; USR2 is meant"
if [ -z "$NS_CONTAINER" ]; then # in a container the name is the container's
	program=$(command -v -- "$NIGHTSHIFT") || die 69 "$NIGHTSHIFT: no such program; NIGHTSHIFT in $site says where it is"
	NIGHTSHIFT=$(realpath -- "$program")
fi
printf 'NIGHTSHIFT=%q\n' "$NIGHTSHIFT" >>"$work/site.conf"
[ -z "$NS_CONTAINER" ] || printf 'NS_SRUN+=" $NS_CONTAINER"\n' >>"$work/site.conf"

# The plan, each column looked at: a graph with a step or a dependency less is no night.
declare -A listed
check_plan() {
	local line step stage tasks state after name names rest odd of='[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?'
	listed=()
	while IFS= read -r line || [ -n "$line" ]; do
		IFS=$'\t' read -r step stage tasks state after rest <<<"$line"
		odd=
		matches "$step" "^$of\$" || odd="a step's name that is none"
		matches "$stage" '^[a-z]+$' && [ -r "$here/$stage.sbatch" ] || odd="a stage that no file beside submit.sh is for"
		matches "$tasks" '^(0|[1-9][0-9]{0,5})$' || odd="tasks that are no number"
		matches "$state" '^(open|done)$' || odd="a state that is neither open nor done"
		matches "$after" "^(-|$of(,$of)*)\$" && [ -z "$rest" ] || odd="something else than steps to come after"
		if [ -z "$odd" ]; then
			IFS=, read -ra names <<<"$after"
			for name in "${names[@]}"; do
				[ "$name" = - ] || [ -n "${listed[$name]:-}" ] || odd="a step that comes after what is not before it"
			done
			[ -z "${listed[$step]:-}" ] || odd="a step twice"
			listed[$step]=1
		fi
		[ -z "$odd" ] || die 70 "the plan of $NIGHTSHIFT has $odd: $(printf %q "$line"); is it of this version?"
	done <"$work/plan.tsv"
	[ ${#listed[@]} -gt 0 ] || die 70 "the plan of $NIGHTSHIFT has no step; is it of this version?"
}
# what is wrong with the configuration is said before anything is made
# shellcheck disable=SC2086
$NS_CONTAINER "$NIGHTSHIFT" night --config "$work/night.yaml" --out "$out" --plan >"$work/plan.tsv"
check_plan
if [ -z "$dry" ]; then
	mkdir -p "$out/slurm/log" "$out/steps"
	exec 9>"$out/slurm/submit.lock"
	flock -n 9 || die 74 "$out: somebody else is submitting this night"
	queue=$(squeue -h -u "$(id -un)" -o '%A %k') || die 69 "squeue does not answer: whether $out is in the queue cannot be told"
	queued=$(night=$out awk '$2 == ENVIRON["night"] { print $1 }' <<<"$queue" | sort -u | paste -sd' ')
	[ -z "$queued" ] || [ ! -e "$out/slurm/submitted" ] || die 74 "$out: this night is still in the queue; to begin again: scancel $queued"
	# whoever submitted it was killed half-way: half a graph has no report
	# shellcheck disable=SC2086
	[ -z "$queued" ] || scancel $queued
	rm -f "$out/slurm/submitted"
fi
if [ -e "$out/slurm/night.yaml" ]; then
	cmp -s "$out/slurm/night.yaml" "$work/night.yaml" || die 78 "$out: was begun with another configuration; name another --out"
	was=$(sed -n 's/^NS_DIR=//p' "$out/slurm/site.conf" | tail -n 1)
	[ "$was" = "$(printf %q "$PWD")" ] || die 78 "$out: was begun in $was, where its relative paths begin; submit it from there"
	epoch=$(sed -n 's/^export SOURCE_DATE_EPOCH=\([0-9][0-9]*\)$/\1/p' "$out/slurm/site.conf" | tail -n 1)
	[ -n "$epoch" ] || die 74 "$out/slurm/site.conf: does not say SOURCE_DATE_EPOCH, the dates of this night's files"
	printf 'export SOURCE_DATE_EPOCH=%s\n' "$epoch" >>"$work/site.conf" # the last one holds
	. "$work/site.conf"
fi
if [ -z "$dry" ]; then
	# shellcheck disable=SC2086
	$NS_CONTAINER "$NIGHTSHIFT" night --config "$work/night.yaml" --out "$out" --plan --night.open >"$work/plan.tsv"
	check_plan
	# a new submission: as many tries, and no old record that could be taken for this one's
	rm -f "$out"/steps/*.tries
	while IFS=$'\t' read -r step _ _ state _; do
		[ "$state" = done ] || rm -f "$out/steps/${step//\//.}".json "$out/steps/${step//\//.}".[0-9][0-9][0-9][0-9][0-9].json
	done <"$work/plan.tsv"
	for file in "$work/site.conf" "$work/plan.tsv" "$here/step.sh" "$here"/*.sbatch "$work/night.yaml"; do # night.yaml says that all are there
		cp "$file" "$out/slurm/.new" && mv "$out/slurm/.new" "$out/slurm/${file##*/}"
	done
fi

# where this runs in a job itself (a standing chain, scrontab), that job's own variables are no matter of the night's
# shellcheck disable=SC2046
unset $(compgen -e | grep '^SLURM_' | grep -vx SLURM_CONF) || true

declare -A id=() # empty is not unset: the first job may be refused
submit() {
	if [ -n "$dry" ]; then
		printf '  sbatch'
		printf ' %q' "$@"
		printf '\n'
		reply="<$step>"
	else
		if ! reply=$(sbatch --parsable "$@") || ! matches "$reply" '^[0-9]+(;|$)'; then
			[ ${#id[@]} = 0 ] || scancel "${id[@]}" # half a graph has no report
			die 69 "sbatch refused $step (${reply:+it said $(printf %q "$reply"), }a job's number was wanted); what was submitted before it is cancelled"
		fi
		reply=${reply%%;*} # job;cluster
		printf '%s\t%s\t%s\n' "$reply" "$step" "$(date +%s)" >>"$out/slurm/jobs.tsv"
	fi
}
count=0
while IFS=$'\t' read -r step stage tasks state after; do
	[ "$state" != done ] || continue
	own=NS_SBATCH_$stage
	args=(--chdir="$PWD" --comment="$out" --job-name="${step//\//.}" --signal="B:$NS_SIGNAL@$NS_WARNING" --requeue --open-mode=append)
	if [ "$tasks" = 0 ]; then
		args+=(--output="$(pattern "$out")/slurm/log/%x-%j.out")
	else
		args+=(--output="$(pattern "$out")/slurm/log/%x-%A_%a.out" --array="0-$((tasks - 1))")
	fi
	before=
	IFS=, read -ra names <<<"$after"
	for name in "${names[@]}"; do # those that are done have no job
		[ -z "${id[$name]:-}" ] || before+=:${id[$name]}
	done
	# the report comes last, whatever of the chain before it was done already
	[ "$stage" != report ] || before=$(printf ':%s' "${id[@]}")
	[ "$before" != : ] || before=
	[ -z "$before" ] || args+=(--dependency="afterany$before")
	[ -n "$before" ] || [ -z "$begin" ] || args+=(--begin="$begin")
	[ -z "$dry" ] || printf '%s (%s%s) after %s\n' "$step" "$stage" "$([ "$tasks" = 0 ] || echo ", $tasks tasks")" "$after"
	# shellcheck disable=SC2086
	submit "${args[@]}" $NS_SBATCH ${!own:-} "$out/slurm/$stage.sbatch" "$out" "$step"
	id[$step]=$reply
	count=$((count + 1))
done <"$work/plan.tsv"
[ -n "$dry" ] || touch "$out/slurm/submitted"
[ -n "$dry" ] || echo "submitted $count jobs; the report will be $out/night.html"
