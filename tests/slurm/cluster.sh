# tests/slurm/cluster.sh - a real Slurm of several nodes on this machine, for tests: munged, slurmctld and a slurmd a node, in a
# folder of their own, on ports of their own, as root or as anybody. Source it.
#
#	cluster_up FOLDER NODES     SLURM_CONF is set, all nodes are idle
#	cluster_down                nothing of it is left running
#
# Each node has a host name and a /dev/shm of its own where this user may make namespaces; else they share them, and MPI between
# ranks of one node goes by TCP.
export PATH=$PATH:/usr/sbin
cluster_missing() {
	local p
	for p in munged slurmctld slurmd srun; do
		command -v $p >/dev/null || { echo "$p is not installed (packages slurm-wlm and munge)" && return 0; }
	done
	return 1
}

cluster_conf() { # ports are free when it is called
	local user host node
	user=$(id -un) host=$(hostname -s)
	cat <<-C
		ClusterName=nstest
		SlurmctldHost=$host(127.0.0.1)
		SlurmctldPort=$cluster_port
		SlurmUser=$user
		SlurmdUser=$user
		AuthType=auth/munge
		CredType=cred/munge
		AuthInfo=socket=$cluster/munge/munge.sock,cred_expire=5
		StateSaveLocation=$cluster/state
		SlurmdSpoolDir=$cluster/spool/%n
		TmpFS=$cluster/tmp/%n
		SlurmctldPidFile=$cluster/run/slurmctld.pid
		SlurmdPidFile=$cluster/run/slurmd.%n.pid
		SlurmctldLogFile=$cluster/log/slurmctld.log
		SlurmdLogFile=$cluster/log/slurmd.%n.log
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		SwitchType=switch/none
		MpiDefault=pmix
		JobAcctGatherType=jobacct_gather/linux
		JobAcctGatherFrequency=1
		JobCompType=jobcomp/filetxt
		JobCompLoc=$cluster/log/jobcomp.log
		AccountingStorageType=accounting_storage/none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU
		GresTypes=gpu
		SlurmdParameters=config_overrides
		SchedulerType=sched/backfill
		SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
		PreemptType=preempt/partition_prio
		PreemptMode=REQUEUE
		SlurmctldParameters=preempt_send_user_signal
		JobRequeue=1
		KillWait=5
		MinJobAge=86400
		MaxArraySize=1001
		ReturnToService=2
		SlurmdTimeout=8
		SlurmctldTimeout=10
		MailProg=/bin/true
		PlugStackConfig=$cluster/etc/plugstack.conf
	C
	for node in $cluster_nodes; do
		[ $cluster_mode = plain ] || host=$node
		echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((cluster_port + 10 + ${node#n})) CPUs=2 RealMemory=4000 Gres=gpu:2 State=UNKNOWN"
	done
	echo "PartitionName=normal Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=20 State=UP"
	echo "PartitionName=urgent Nodes=ALL Default=NO MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP"
}

cluster_node() { # start the daemon of one node
	rm -rf "$cluster/tmp/$1"/* "$cluster/spool/$1"/*pmix* # a killed step's sockets would be in the way of its next attempt
	if [ $cluster_mode = plain ]; then
		NST_NODE=$1 slurmd -N "$1" # its steps' daemons inherit the name, what runs in them does not
	else
		local options=()
		[ "$(id -u)" = 0 ] || options=(--user --map-current-user --keep-caps)
		unshare "${options[@]}" --uts --mount --propagation private \
			sh -c "hostname $1 && mount -t tmpfs none /dev/shm && exec slurmd -N $1"
	fi
}

cluster_ready() {
	local tries
	for tries in $(seq 300); do
		[ "$(sinfo -h -N -p normal -o %T 2>/dev/null | grep -cE 'idle|mixed|allocated$')" = "$(wc -w <<<"$cluster_nodes")" ] && return 0
		sleep 0.1
	done
	echo "cluster: the nodes are $(sinfo -h -N -p normal -o '%N %T' | paste -sd, ), not idle; see $cluster/log" >&2
	return 1
}

cluster_up() {
	local options=() i
	cluster=$1 cluster_nodes=$(seq -f 'n%g' "$2") cluster_mode=plain
	cluster_port=$((17000 + ($$ % 100) * 25))
	while ss -ltn 2>/dev/null | grep -q ":$cluster_port "; do cluster_port=$((cluster_port + 25)); done
	[ "$(id -u)" = 0 ] || options=(--user --map-current-user --keep-caps)
	[ -z "${NST_PLAIN:-}" ] && # where namespaces are there, but plain mode is to be tried
		unshare "${options[@]}" --uts --mount --propagation private sh -c 'hostname n0 && mount -t tmpfs none /dev/shm' 2>/dev/null && cluster_mode=ns
	mkdir -p "$cluster"/{etc,log,run,state,munge} || return 1
	for i in $cluster_nodes; do mkdir -p "$cluster/spool/$i" "$cluster/tmp/$i"; done
	chmod 755 "$cluster" "$cluster"/{etc,run,munge}
	(umask 077 && head -c 1024 /dev/urandom >"$cluster/etc/munge.key")
	cluster_conf >"$cluster/etc/slurm.conf"
	echo "CgroupPlugin=cgroup/v1" >"$cluster/etc/cgroup.conf"
	echo "PMIxCollFence=ring" >"$cluster/etc/mpi.conf"
	: >"$cluster/etc/plugstack.conf"
	for i in /dev/null /dev/zero; do echo "NodeName=$(paste -sd, <<<"$cluster_nodes") Name=gpu File=$i"; done >"$cluster/etc/gres.conf"
	export SLURM_CONF=$cluster/etc/slurm.conf
	# more ranks than cores, and no network but this machine's own
	export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo
	[ $cluster_mode = ns ] || export OMPI_MCA_btl=tcp,self
	munged --socket="$cluster/munge/munge.sock" --key-file="$cluster/etc/munge.key" --pid-file="$cluster/run/munged.pid" \
		--log-file="$cluster/log/munged.log" --seed-file="$cluster/munge/munged.seed" || return 1
	slurmctld || return 1
	for i in $cluster_nodes; do cluster_node "$i" || return 1; done
	cluster_ready
}

# every process of a node, as if it had lost its power (its own namespace tells them); in plain mode the daemon and its steps
cluster_lose() {
	local pid ns p
	pid=$(cat "$cluster/run/slurmd.$1.pid")
	# Slurm's own first: none may live to tell the controller that a job's shell was killed
	local daemons="$pid" others=
	ns=$(readlink "/proc/$pid/ns/uts")
	for p in /proc/[0-9]*; do
		if [ $cluster_mode = plain ]; then
			grep -qzxF "SLURM_CONF=$cluster/etc/slurm.conf" "$p/environ" 2>/dev/null || continue
			grep -qzxE "(NST_NODE|SLURMD_NODENAME)=$1" "$p/environ" 2>/dev/null || continue
		else
			[ "$(readlink "$p/ns/uts" 2>/dev/null)" = "$ns" ] || continue
		fi
		case $(cat "$p/comm" 2>/dev/null) in slurmd | slurmstepd) daemons+=" ${p#/proc/}" ;; *) others+=" ${p#/proc/}" ;; esac
	done
	kill -9 $daemons $others 2>/dev/null
}

# until the given jobs are in no queue
cluster_wait() { # SECONDS
	local until=$((SECONDS + $1))
	while [ -n "$(squeue -h -r -t PD,R,CG,CF,S,RQ,RH,SO,SI 2>/dev/null)" ]; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.2
	done
}

# daemons, steps, and what runs in them
cluster_processes() {
	local p
	for p in /proc/[0-9]*; do
		case $(cat "$p/comm" 2>/dev/null) in
		slurm* | munged | srun | sbatch | nightshift* | orted | mpirun)
			grep -qzF "SLURM_CONF=$cluster/etc/slurm.conf" "$p/environ" 2>/dev/null && echo "${p#/proc/}"
			;;
		esac
	done
}

cluster_down() {
	local pids tries
	[ -n "${cluster:-}" ] || return 0
	[ ! -s "$cluster/run/slurmctld.pid" ] || scancel -u "$(id -un)" 2>/dev/null
	for tries in $(seq 100); do
		[ -n "$(squeue -h -t R,CG 2>/dev/null)" ] || break
		sleep 0.1
	done
	pids=$(cat "$cluster"/run/*.pid 2>/dev/null)
	kill $pids 2>/dev/null
	for tries in $(seq 200); do
		[ -n "$(cluster_processes)" ] || break
		sleep 0.1
	done
	pids=$(cluster_processes)
	[ -z "$pids" ] || { echo "cluster: these did not end by themselves: $(ps -o pid=,args= -p "$(paste -sd, <<<"$pids")")" && kill -9 $pids; }
	cluster=
}
