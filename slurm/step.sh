# slurm/step.sh - sourced by every *.sbatch as the batch script: NIGHT STEP. What it adds to srun's one line: the site's
# environment, a checkpoint when Slurm asks for the nodes, and another attempt where one may help.
#
# The proof that a step was done is its record under NIGHT/steps, never an exit code: srun was seen to return 0 after its node
# had died. A step that was stopped, or that failed for a reason that may pass (a lost node, a killed rank, a full disk), goes
# back into the queue; so nothing ever exits non-zero to be tried again.
set -u
. "$1/slurm/site.conf"
cd "$NS_DIR" || exit 74
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # since Slurm 22.05 srun does not take it from the job by itself

ns_record="$1/steps/${2//\//.}"
[ -z "${SLURM_ARRAY_TASK_ID:-}" ] || ns_record+=$(printf '.%05d' "$SLURM_ARRAY_TASK_ID")
ns_field() { sed -n "s/^ \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$ns_record.json" 2>/dev/null; }
ns_event() { printf '{"event":"%s","step":"%s","restarts":%d%s}\n' "$1" "$ns_step" "${SLURM_RESTART_COUNT:-0}" "${2:+,$2}"; }
ns_step=$2

# back into the queue, with what is published and the newest checkpoint in place; Slurm then ends this script
again() {
	trap 'exit 0' TERM
	ns_event requeue "\"why\":\"$1\""
	scontrol requeue "$SLURM_JOB_ID" 2>/dev/null
	# whoever preempts us has put the job back already; either way the end comes from Slurm
	sleep 120 &
	wait $!
	ns_event "not requeued" "\"why\":\"Slurm would not take the job back (is JobRequeue off?)\""
	exit 75
}

attempt() {
	local pid code stopped= state tries
	trap 'stopped=1; kill -s "$NS_SIGNAL" "$pid" 2>/dev/null' "$NS_SIGNAL"
	trap 'stopped=1' TERM
	"$@" &
	pid=$!
	# bash lets a trap interrupt its waiting
	while wait "$pid"; code=$?; [ $code -gt 128 ] && kill -0 "$pid" 2>/dev/null; do :; done
	wait "$pid" 2>/dev/null
	code=$?
	state=$(ns_field state)
	case $state in
	done | skipped) exit 0 ;;
	esac
	[ -z "$stopped" ] && [ $code != 75 ] || again "stopped"
	if [ "$(ns_field try_again)" != false ]; then
		echo "$SLURM_JOB_ID ${SLURM_RESTART_COUNT:-0} exit $code, record: ${state:-none}" >>"$ns_record.tries"
		tries=$(wc -l <"$ns_record.tries")
		[ "$tries" -gt "$NS_TRIES" ] || again "exit $code, its record says ${state:-nothing}; failure $tries"
	fi
	ns_event failed "\"exit\":$code,\"state\":\"${state:-none}\""
	[ "$code" != 0 ] || code=70
	exit "$code"
}
