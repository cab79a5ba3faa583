/* host/comm_mpi.c - the only file that includes mpi.h. */
#include "host/comm.h"

#include <mpi.h>
#include <stdlib.h>

#define PIECE ((size_t)1 << 30) /* MPI counts are int */

static enum ns_status check(int code, const char *what)
{
	char text[MPI_MAX_ERROR_STRING];
	int len = 0;

	if (code == MPI_SUCCESS)
		return NS_OK;
	MPI_Error_string(code, text, &len);
	return ns_fail(NS_INTERNAL, "%s: %.*s", what, len, text);
}

static enum ns_status mpi_barrier(struct ns_comm *comm)
{
	(void)comm;
	return check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
}

static enum ns_status mpi_broadcast(struct ns_comm *comm, void *data, size_t bytes, int root)
{
	size_t at;

	(void)comm;
	for (at = 0; at < bytes; at += PIECE) {
		int n = (int)(bytes - at < PIECE ? bytes - at : PIECE);

		NS_TRY(check(MPI_Bcast((char *)data + at, n, MPI_BYTE, root, MPI_COMM_WORLD), "MPI_Bcast"));
	}
	return NS_OK;
}

static enum ns_status mpi_sum_i64(struct ns_comm *comm, int64_t *data, size_t n)
{
	(void)comm;
	return check(MPI_Allreduce(MPI_IN_PLACE, data, (int)n, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD), "MPI_Allreduce");
}

static enum ns_status mpi_exchange(struct ns_comm *comm, const float *send, const int *send_counts, float *receive,
				   const int *receive_counts)
{
	int *at = malloc(2 * (size_t)comm->size * sizeof *at), *from = at + comm->size, r;
	enum ns_status status;

	if (!at)
		return ns_fail(NS_NO_MEMORY, "no memory for %d offsets", comm->size);
	for (r = 0; r < comm->size; r++) {
		at[r] = r ? at[r - 1] + send_counts[r - 1] : 0;
		from[r] = r ? from[r - 1] + receive_counts[r - 1] : 0;
	}
	status = check(MPI_Alltoallv(send, send_counts, at, MPI_FLOAT, receive, receive_counts, from, MPI_FLOAT,
				     MPI_COMM_WORLD),
		       "MPI_Alltoallv");
	free(at);
	return status;
}

static enum ns_status mpi_gather(struct ns_comm *comm, float *data, const int *counts, const int *at)
{
	(void)comm;
	return check(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, data, counts, at, MPI_FLOAT, MPI_COMM_WORLD),
		     "MPI_Allgatherv");
}

static void mpi_abort(struct ns_comm *comm, int code)
{
	(void)comm;
	MPI_Abort(MPI_COMM_WORLD, code);
}

static void mpi_close(struct ns_comm *comm)
{
	(void)comm;
	MPI_Finalize();
}

static const struct ns_comm_ops mpi_ops = {mpi_barrier, mpi_broadcast, mpi_sum_i64, mpi_exchange,
					   mpi_gather,	mpi_abort,     mpi_close};

enum ns_status ns_comm_mpi(struct ns_comm *comm, int *argc, char ***argv)
{
	MPI_Comm node;
	int provided;

	NS_TRY(check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread"));
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	comm->ops = &mpi_ops;
	MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
	NS_TRY(check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &node),
		     "MPI_Comm_split_type"));
	MPI_Comm_rank(node, &comm->local_rank);
	MPI_Comm_size(node, &comm->local_size);
	MPI_Comm_free(&node);
	return NS_OK;
}
