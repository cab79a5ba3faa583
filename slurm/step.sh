# slurm/step.sh - sourced by every *.sbatch as the batch script: NIGHT STEP. What it adds to srun's one line: the site's
# environment, a checkpoint when Slurm asks for the nodes, and another attempt where one may help.
#
# The proof that a step was done is its record under NIGHT/steps, never an exit code: srun was seen to return 0 after its node
# had died. A step that was stopped, or that failed for a reason that may pass (a lost node, a killed rank, a full disk), goes
# back into the queue; so nothing ever exits non-zero to be tried again. What is given up leaves a record that says so: those
# after it do not wait for it.
set -u
pid= stopped= ended=
trap 'stopped=1' USR2
trap 'ended=1' TERM
. "$1/slurm/site.conf"
# whatever signal Slurm was asked for: the ranks know USR2
[ "$NS_SIGNAL" = USR2 ] || trap - USR2
trap 'stopped=1; [ -z "$pid" ] || kill -s USR2 "$pid" 2>/dev/null' "$NS_SIGNAL"
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # since Slurm 22.05 srun does not take it from the job by itself

ns_night=$1 ns_step=$2
ns_record="$1/steps/${2//\//.}"
ns_job=$SLURM_JOB_ID # of an array the task alone: the last task's own number is also the array's
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
	ns_record+=$(printf '.%05d' "$SLURM_ARRAY_TASK_ID")
	ns_job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
fi
mkdir -p "$1/steps"
# how long this attempt has lasted; SECONDS would follow whoever sets the clock
ns_uptime() { local up rest && read -r up rest </proc/uptime && echo "${up%%.*}"; }
ns_began=$(ns_uptime)
ns_ran() { echo $(($(ns_uptime) - ns_began)); }
ns_field() { sed -n "s/^ \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$ns_record.json" 2>/dev/null; }
ns_asked() { scontrol -o show job "$ns_job" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1; } # of Slurm
# A reason as the inside of a JSON string, on one line: it may quote a path, a host, or what a record says. What is not UTF-8 would be no
# JSON either.
ns_quoted() {
	local text=${1//\\/\\\\}
	text=${text//\"/\\\"}
	text=${text//$'\n'/\\n} text=${text//$'\t'/\\t}
	iconv -f UTF-8 -t UTF-8 <<<"$text" >/dev/null 2>&1 || text=$(LC_ALL=C && printf %s "${text//[^ -~]/?}")
	printf %s "${text//[[:cntrl:]]/ }"
}
ns_event() { # EVENT WHY [EXIT]
	printf '{"event":"%s","step":"%s","restarts":%d%s,"why":"%s"}\n' "$1" "$ns_step" "${SLURM_RESTART_COUNT:-0}" "${3:+,\"exit\":$3}" "$(ns_quoted "$2")"
}

# After TERM: Slurm has put the job back already, or somebody wants it gone. Only a time limit without a warning, or a signal from
# elsewhere, is neither. While this script lives, what Slurm calls COMPLETING may be any of them; the reason tells.
is_over() {
	[ -n "$ended" ] || return 1
	case $(ns_asked JobState)/$(ns_asked Reason) in RUNNING/* | */TimeLimit) ended= && return 1 ;; esac
	return 0
}

# back into the queue, with what is published and the newest checkpoint in place; Slurm then ends this script
again() {
	local tries
	ns_event requeue "$1"
	for tries in $(seq 20); do
		is_over && exit 75
		if scontrol requeue "$ns_job" 2>/dev/null; then
			sleep 30 & # the end comes from Slurm
			wait $!
			exit 0
		fi
		# who preempts us has put the job back already, and ends us; or Slurm is away for a while
		[ -z "$ended" ] || continue
		sleep 30 &
		wait $!
	done
	give_up 75 "Slurm would not take the job back (is JobRequeue off?)"
}

# A record with its end: running or stopped is none; failed and blocked stay what they are. No text is part of a sed script here.
ns_ended() { # NOW WHY, quoted
	local line
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		' "state": "'[rs]*) line=' "state": "failed",' ;;
		' "try_again": true'*) line=${line/true/false} ;;
		' "end": null'*) line=${line/null/$1} ;;
		' "why": "",') line=" \"why\": \"$2\"," ;;
		esac
		printf '%s\n' "$line" || return
	done
}

# the record is final: nobody waits for this step
give_up() { # EXIT WHY
	local now why beside="$ns_record.json.$$.tmp"
	now=$(date +%s) why=$(ns_quoted "$2")
	ns_event failed "$2" "$1"
	if [ -s "$ns_record.json" ]; then
		ns_ended "$now" "$why" <"$ns_record.json" >"$beside"
	else
		printf '{\n "schema": "nightshift.step/1",\n "step": "%s",\n "task": %d,\n "state": "failed",\n "why": "%s",\n "try_again": false,\n "starts": %d,\n "start": %d,\n "end": %d\n}' \
			"$ns_step" "${SLURM_ARRAY_TASK_ID:--1}" "$why" $((${SLURM_RESTART_COUNT:-0} + 1)) $((now - $(ns_ran))) "$now" >"$beside"
	fi && mv "$beside" "$ns_record.json"
	[ "$1" != 0 ] || exit 70
	exit "$1"
}

# a failure that may pass: as often as the site says, and never without an end
once_more() { # EXIT WHY
	local tries
	echo "$SLURM_JOB_ID ${SLURM_RESTART_COUNT:-0} $(ns_quoted "$2")" 2>/dev/null >>"$ns_record.tries" # a line a try
	tries=$(wc -l 2>/dev/null <"$ns_record.tries")
	[ "${SLURM_RESTART_COUNT:-0}" -lt $((NS_TRIES + 1000)) ] || give_up "$1" "$2; started ${SLURM_RESTART_COUNT} times"
	# a disk so full that not even a line fits counts by Slurm's own number
	[ "${tries:-0}" -gt 0 ] || tries=$((${SLURM_RESTART_COUNT:-0} + 1))
	[ "$tries" -le "$NS_TRIES" ] || give_up "$1" "$2; given up after $tries times"
	again "$2; failure $tries"
}

# hours:minutes:seconds, perhaps with days before, as seconds; 0 for UNLIMITED and the like
ns_seconds() {
	[[ $1 =~ ^(([0-9]+)-)?([0-9]+):([0-9]+):([0-9]+)$ ]] || { echo 0 && return; }
	echo $((10#0${BASH_REMATCH[2]} * 86400 + 10#${BASH_REMATCH[3]} * 3600 + 10#${BASH_REMATCH[4]} * 60 + 10#${BASH_REMATCH[5]}))
}

# the time limit came, and nothing that this attempt did is kept: the next would end no otherwise
in_vain() {
	local limit ran
	ran=$(ns_ran)
	[ -z "$(find "$ns_night/$ns_step.partial" -path '*/checkpoint*' -name '*.json' -newer "$ns_record.began" 2>/dev/null | head -n 1)" ] || return 1
	limit=$(ns_seconds "$(ns_asked TimeLimit)")
	[ "$limit" -gt 0 ] && [ $((ran + NS_WARNING + 60)) -ge "$limit" ] && [ $((2 * ran)) -ge "$limit" ]
}

# where Slurm measures energy (AcctGatherEnergyType) and keeps it
keep_energy() {
	local joules
	joules=$(timeout 10 sacct -n -P -j "$ns_job" -o ConsumedEnergyRaw 2>/dev/null | sort -n | tail -n 1)
	case $joules in '' | 0 | *[!0-9]*) ;; *) echo "$joules" >"$ns_record.joules" ;; esac
}

attempt() {
	local code state
	cd "$NS_DIR" || once_more 74 "$NS_DIR is not there on $(hostname)"
	touch "$ns_record.began"
	"$@" &
	pid=$!
	[ -z "$stopped" ] || kill -s USR2 "$pid"
	# bash lets a trap interrupt its waiting
	while wait "$pid"; code=$?; [ $code -gt 128 ] && kill -0 "$pid" 2>/dev/null; do :; done
	wait "$pid" 2>/dev/null
	code=$?
	state=$(ns_field state)
	case $state in
	done | skipped)
		rm -f "$ns_record.began"
		keep_energy
		exit 0
		;;
	esac
	if [ -n "$ended" ]; then
		is_over && exit 75
		stopped=1
	fi
	if [ -n "$stopped" ] || [ $code = 75 ]; then
		in_vain && once_more 75 "the time limit came before anything was done that can be kept: raise --time, or night.tasks"
		again "stopped"
	fi
	[ "$(ns_field try_again)" = false ] || once_more "$code" "exit $code, its record says ${state:-nothing}"
	give_up "$code" "exit $code"
}
