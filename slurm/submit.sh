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
# Every night: --scrontab prints the line for `scrontab -e`; where a site has no scrontab, --standing puts a job into the queue that
# submits the night at that time, and itself for the next day.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
config= out= site=$here/site.conf date=$(date +%F) begin= dry= every= at=

usage() {
	sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
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
[ -n "$config" ] || usage
[ -r "$config" ] || die 74 "$config: cannot be read"
[ -r "$site" ] || die 74 "$site: cannot be read"
[ -n "$out" ] || out=$(sed -n 's/^out: *\([^ #]*\).*/\1/p' "$config")
[ -n "$out" ] || die 64 "--out FOLDER is wanted, or out: in $config"

# every night: nothing but the queue, or a line to paste, is touched here
standing() {
	local next name="nightshift-$(basename "${config%.*}")" queued
	[[ $at =~ ^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$ ]] || die 64 "$every $at: HH:MM is wanted, from 00:00 to 23:59"
	case $out in *'{date}'*) ;; *) die 64 "--out $out: {date} is wanted in it, as each night has a folder of its own" ;; esac
	config=$(realpath "$config") site=$(realpath "$site") out=$(realpath -m "$out")
	case $here$config$out$site in *[[:space:]]*) die 64 "paths without blanks are wanted: $here $config $out $site" ;; esac
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
	set -- --job-name="$name" --begin="${next}T$at" --dependency=singleton --chdir="$PWD" --output="$PWD/nightshift-standing.out" $NS_SBATCH \
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
[ "$date" != evening ] || date=$(date -d '-12 hours' +%F) # of a night that begins a little after midnight, the day before
out=$(realpath -m "${out//\{date\}/$date}")
case $out in *[[:space:]]*) die 64 "$out: a folder without blanks is wanted" ;; esac

# The night's own copy of all that it was told: who edits the configuration tonight changes tomorrow.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed "s/{date}/$date/g" "$config" >"$work/night.yaml"
{
	cat "$site"
	printf 'NS_DIR=%q\n' "$PWD"
	# what a night makes twice is the same twice: dates in its files are those of its submission
	printf 'export SOURCE_DATE_EPOCH=%q\n' "${SOURCE_DATE_EPOCH:-$(date +%s)}"
} >"$work/site.conf"
. "$work/site.conf"
[ "$NS_SIGNAL" != TERM ] || die 78 "$site: NS_SIGNAL=TERM is Slurm's own last word; USR2 is meant"
if [ -z "$NS_CONTAINER" ]; then # in a container the name is the container's
	program=$(command -v "$NIGHTSHIFT") || die 69 "$NIGHTSHIFT: no such program; NIGHTSHIFT in $site says where it is"
	NIGHTSHIFT=$(realpath "$program")
fi
printf 'NIGHTSHIFT=%q\n' "$NIGHTSHIFT" >>"$work/site.conf"
[ -z "$NS_CONTAINER" ] || printf 'NS_SRUN+=" $NS_CONTAINER"\n' >>"$work/site.conf"

# what is wrong with the configuration is said before anything is made
# shellcheck disable=SC2086
$NS_CONTAINER "$NIGHTSHIFT" night --config "$work/night.yaml" --out "$out" --plan >"$work/plan.tsv"
if [ -z "$dry" ]; then
	mkdir -p "$out/slurm/log" "$out/steps"
	exec 9>"$out/slurm/submit.lock"
	flock -n 9 || die 74 "$out: somebody else is submitting this night"
	queue=$(squeue -h -u "$(id -un)" -o '%A %k') || die 69 "squeue does not answer: whether $out is in the queue cannot be told"
	queued=$(awk -v night="$out" '$2 == night { print $1 }' <<<"$queue" | sort -u | paste -sd' ')
	[ -z "$queued" ] || [ ! -e "$out/slurm/submitted" ] || die 74 "$out: this night is still in the queue; to begin again: scancel $queued"
	# whoever submitted it was killed half-way: half a graph has no report
	# shellcheck disable=SC2086
	[ -z "$queued" ] || scancel $queued
	rm -f "$out/slurm/submitted"
fi
if [ -e "$out/slurm/night.yaml" ]; then
	cmp -s "$out/slurm/night.yaml" "$work/night.yaml" || die 78 "$out: was begun with another configuration; name another --out"
	was=$(sed -n 's/^NS_DIR=//p' "$out/slurm/site.conf")
	[ "$was" = "$(printf %q "$PWD")" ] || die 78 "$out: was begun in $was, where its relative paths begin; submit it from there"
	sed -i "s/^export SOURCE_DATE_EPOCH=.*/$(grep '^export SOURCE_DATE_EPOCH=' "$out/slurm/site.conf")/" "$work/site.conf"
	. "$work/site.conf"
fi
if [ -z "$dry" ]; then
	# shellcheck disable=SC2086
	$NS_CONTAINER "$NIGHTSHIFT" night --config "$work/night.yaml" --out "$out" --plan --night.open >"$work/plan.tsv"
	# a new submission: as many tries, and no old record that could be taken for this one's
	rm -f "$out"/steps/*.tries
	while IFS=$'\t' read -r step _ _ state _; do
		[ "$state" = done ] || rm -f "$out/steps/${step//\//.}".json "$out/steps/${step//\//.}".[0-9]*.json
	done <"$work/plan.tsv"
	for file in "$work/site.conf" "$work/plan.tsv" "$here/step.sh" "$here"/*.sbatch "$work/night.yaml"; do # night.yaml says that all are there
		cp "$file" "$out/slurm/.new" && mv "$out/slurm/.new" "$out/slurm/${file##*/}"
	done
fi

# where this runs in a job itself (a standing chain, scrontab), that job's own variables are no matter of the night's
# shellcheck disable=SC2046
unset $(compgen -e | grep '^SLURM_' | grep -vx SLURM_CONF) || true

declare -A id
submit() {
	if [ -n "$dry" ]; then
		printf '  sbatch'
		printf ' %q' "$@"
		printf '\n'
		reply="<$step>"
	else
		if ! reply=$(sbatch --parsable "$@"); then
			[ ${#id[@]} = 0 ] || scancel "${id[@]}" # half a graph has no report
			die 69 "sbatch refused $step; what was submitted before it is cancelled"
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
		args+=(--output="$out/slurm/log/%x-%j.out")
	else
		args+=(--output="$out/slurm/log/%x-%A_%a.out" --array="0-$((tasks - 1))")
	fi
	before=
	for name in ${after//,/ }; do
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
