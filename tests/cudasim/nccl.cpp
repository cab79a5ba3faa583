/*
 * tests/cudasim/nccl.cpp - what host/comm/nccl.c calls of NCCL, over MPI and the simulator's streams: a library that the
 * program opens in NCCL's place (NS_NCCL_LIBRARY). It does work when its stream's turn comes, and complains of what NCCL would
 * hang or fail at. NS_NCCLSIM_FAIL=CALL makes that call fail.
 */
#include "tests/cudasim/cudasim.h"

#include <mpi.h>

#include <vector>

extern "C" {
typedef struct {
	char internal[128];
} ncclUniqueId;

struct ncclComm {
	MPI_Comm mpi;
	int rank, size;
};
typedef ncclComm *ncclComm_t;
}

namespace
{
struct operation {
	ncclComm_t comm;
	cudaStream_t stream;
	float *data;
	size_t n;
	int peer, sends;
};
std::vector<operation> group;
int depth;

int fails(const char *call)
{
	const char *which = getenv("NS_NCCLSIM_FAIL");

	return which && !strcmp(which, call);
}

void exchange(std::vector<operation> todo)
{
	std::vector<MPI_Request> requests(todo.size());

	for (size_t i = 0; i < todo.size(); i++) {
		operation &o = todo[i];

		if (o.sends)
			MPI_Isend(o.data, (int)o.n, MPI_FLOAT, o.peer, 0, o.comm->mpi, &requests[i]);
		else
			MPI_Irecv(o.data, (int)o.n, MPI_FLOAT, o.peer, 0, o.comm->mpi, &requests[i]);
	}
	MPI_Waitall((int)requests.size(), requests.data(), MPI_STATUSES_IGNORE);
}

int add(operation o, int type)
{
	if (type != 7 || o.peer < 0 || o.peer >= o.comm->size)
		return 4; /* ncclInvalidArgument */
	if (!depth)
		cudasim::wrong("an exchange of %zu floats with rank %d outside of a group: two of these wait for each other", o.n, o.peer);
	cudasim::check_pointer("NCCL", o.sends, o.data);
	group.push_back(o);
	return 0;
}
} // namespace

extern "C" {
int ncclGetVersion(int *version)
{
	*version = 22809;
	return 0;
}

int ncclGetUniqueId(ncclUniqueId *id)
{
	snprintf(id->internal, sizeof id->internal, "the simulator's");
	return fails("id") ? 2 : 0;
}

int ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank)
{
	ncclComm_t c = new ncclComm;

	if (strcmp(id.internal, "the simulator's"))
		cudasim::wrong("ncclCommInitRank with an id that rank 0 did not make");
	MPI_Comm_dup(MPI_COMM_WORLD, &c->mpi);
	MPI_Comm_rank(c->mpi, &c->rank);
	MPI_Comm_size(c->mpi, &c->size);
	if (c->rank != rank || c->size != ranks)
		cudasim::wrong("ncclCommInitRank as rank %d of %d, but this is %d of %d", rank, ranks, c->rank, c->size);
	*comm = c;
	return fails("init") ? 2 : 0;
}

int ncclCommDestroy(ncclComm_t comm)
{
	MPI_Comm_free(&comm->mpi);
	delete comm;
	return 0;
}

int ncclGroupStart(void)
{
	depth++;
	return 0;
}

int ncclGroupEnd(void)
{
	if (--depth || group.empty())
		return 0;
	auto todo = std::move(group);

	group.clear();
	for (auto &o : todo)
		if (o.stream != todo[0].stream)
			cudasim::wrong("one group on two streams");
	cudasim::submit(todo[0].stream, [=]() { exchange(todo); });
	return 0;
}

int ncclSend(const void *data, size_t n, int type, int peer, ncclComm_t comm, cudaStream_t stream)
{
	return add({comm, stream, (float *)(uintptr_t)data, n, peer, 1}, type);
}

int ncclRecv(void *data, size_t n, int type, int peer, ncclComm_t comm, cudaStream_t stream)
{
	return add({comm, stream, (float *)data, n, peer, 0}, type);
}

int ncclAllGather(const void *send, void *receive, size_t n, int type, ncclComm_t comm, cudaStream_t stream)
{
	if (type != 7)
		return 4;
	if ((const float *)send != (float *)receive + n * (size_t)comm->rank)
		cudasim::wrong("ncclAllGather: not in place");
	cudasim::check_pointer("NCCL", 0, receive);
	cudasim::submit(stream, [=]() { MPI_Allgather(MPI_IN_PLACE, 0, MPI_FLOAT, receive, (int)n, MPI_FLOAT, comm->mpi); });
	return 0;
}

int ncclCommGetAsyncError(ncclComm_t, int *error)
{
	*error = fails("later") ? 6 : 0;
	return 0;
}

const char *ncclGetErrorString(int error)
{
	return error == 6 ? "remote process exited or there was a network error" : "unhandled system error";
}
}
