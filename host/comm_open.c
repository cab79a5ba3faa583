/* host/comm_open.c - which communicator: apart from comm.c, so that what needs no launcher links without MPI. */
#include "host/comm.h"

#include <stdlib.h>
#include <string.h>

enum ns_status ns_comm_open(struct ns_comm *comm, int *argc, char ***argv)
{
	/* set by mpirun, by srun with PMIx or PMI2, and by hydra */
	static const char *const launched[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_FD"};
	size_t i;

	memset(comm, 0, sizeof *comm);
	for (i = 0; i < sizeof launched / sizeof *launched; i++)
		if (getenv(launched[i]))
			return ns_comm_mpi(comm, argc, argv);
	return ns_comm_self(comm);
}
