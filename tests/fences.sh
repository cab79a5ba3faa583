#!/usr/bin/env bash
# The dependency rule: jobs -> datasets -> host -> kernels, and fences around libraries and clocks. Prints each breach.
cd "$(dirname "$0")/.." || exit 1
bad=0
breach() {
	local hits
	hits=$(grep -rnE "$1" "${@:3}" --include='*.c' --include='*.h' --include='*.cu' 2>/dev/null | grep -vE "$2" | grep -vE ':[0-9]+:[[:space:]]*(/\*|\*)')
	[ -z "$hits" ] || { echo "$hits"; bad=1; }
}
breach '#include "(host|datasets|jobs)/' '^$' kernels
breach '#include "(datasets|jobs)/' '^$' host
breach '#include "jobs/' '^$' datasets
breach '#include <(mpi\.h)' '^host/comm_mpi\.c' kernels host datasets jobs
breach '#include <hdf5' '^datasets/' kernels host datasets jobs
breach '#include <(cuda|cudnn)' '^kernels/cuda/' kernels host datasets jobs
breach '#include <nccl' '^host/comm_nccl\.c' kernels host datasets jobs
breach '#include <oneapi' '^kernels/cpu/dnnl\.c' kernels host datasets jobs
breach '\b(exit|abort)\(' '(ns_comm_abort|ops->abort|mpi_abort|MPI_Abort|self_abort|\(\*abort\))' kernels host datasets
# what waits or measures goes by ns_now(), which nobody sets; when something happened is for records
breach '\b(MPI_Wtime|gettimeofday)\(|CLOCK_REALTIME' '^jobs/night_step\.c:[0-9]+:.*gettimeofday\(&t, NULL\)' kernels host datasets jobs
# the fences themselves can be seen to hold: there is something behind each
grep -q '#include <mpi.h>' host/comm_mpi.c && grep -q 'oneapi' kernels/cpu/dnnl.c || bad=1
[ $bad = 0 ] && echo "the fences hold"
exit $bad
