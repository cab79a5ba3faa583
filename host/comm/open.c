/* host/comm/open.c - chooses the communicator: apart from comm.c, so that programs that need no launcher link without MPI. */
#include "host/comm/comm.h"

#include <stdlib.h>
#include <string.h>

/*
 * An srun whose --mpi plugin does not fit this MPI starts N processes that each see a single rank: N jobs that overwrite each
 * other instead of one job of N ranks. comm->rank is set, so that only the first task reports it.
 */
static enum ns_status refuse_singletons(struct ns_comm *comm)
{
	const char *tasks = getenv("SLURM_STEP_NUM_TASKS"), *number = getenv("SLURM_PROCID");

	if (getenv("OMPI_COMM_WORLD_SIZE") || !tasks || atoi(tasks) < 2 || !number)
		return NS_OK;
	comm->rank = atoi(number);
	return ns_fail(NS_USAGE,
		       "srun started %s tasks that do not know of each other; start them with: srun --mpi=pmix nightshift ... (srun --mpi=list "
		       "shows what this Slurm supports; NS_SRUN in slurm/site.conf), or with mpirun",
		       tasks);
}

enum ns_status ns_comm_open(struct ns_comm *comm, int *argc, char ***argv)
{
	/* set by mpirun, by srun with PMIx or PMI2, and by hydra */
	static const char *const launched[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_FD"};
	size_t i;

	double timeout = comm->timeout;

	memset(comm, 0, sizeof *comm);
	comm->timeout = timeout;
	for (i = 0; i < sizeof launched / sizeof *launched; i++)
		if (getenv(launched[i])) {
			if (ns_comm_mpi_wants_pmix() && !getenv("PMIX_RANK"))
				NS_TRY(refuse_singletons(comm));
			return ns_comm_mpi(comm, argc, argv);
		}
	NS_TRY(refuse_singletons(comm));
	return ns_comm_self(comm);
}
