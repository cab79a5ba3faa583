/*
 * host/comm/nccl.c - NCCL, opened at run time. The few declarations that this needs are NCCL's stable interface of version 2,
 * written out here because host code compiles without CUDA; tests/host/test_nccl.c holds them against nccl.h.
 */
#include "host/comm/comm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/comm/nccl_abi_inner.h"

struct ns_nccl {
	struct ns_comm *comm;
	void *library;
	ncclComm_t handle;
	char version[32];
	ncclResult_t (*get_version)(int *version);
	ncclResult_t (*unique_id)(ncclUniqueId *id);
	ncclResult_t (*init)(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank);
	ncclResult_t (*destroy)(ncclComm_t comm);
	ncclResult_t (*group_start)(void);
	ncclResult_t (*group_end)(void);
	ncclResult_t (*send)(const void *data, size_t n, ncclDataType_t type, int peer, ncclComm_t comm, void *stream);
	ncclResult_t (*receive)(void *data, size_t n, ncclDataType_t type, int peer, ncclComm_t comm, void *stream);
	ncclResult_t (*all_gather)(const void *send, void *receive, size_t n, ncclDataType_t type, ncclComm_t comm, void *stream);
	ncclResult_t (*async_error)(ncclComm_t comm, ncclResult_t *error);
	const char *(*error_string)(ncclResult_t error);
};

static enum ns_status check(const struct ns_nccl *nccl, ncclResult_t result, const char *what)
{
	if (result == NS_NCCL_SUCCESS)
		return NS_OK;
	return ns_fail(NS_NO_DEVICE, "rank %d: NCCL: %s: %s", nccl->comm->rank, what, nccl->error_string(result));
}

static enum ns_status load(struct ns_nccl *n)
{
	const char *name = getenv("NS_NCCL_LIBRARY");
	const struct {
		const char *name;
		void *to;
	} all[] = {
		{"ncclGetVersion", &n->get_version},
		{"ncclGetUniqueId", &n->unique_id},
		{"ncclCommInitRank", &n->init},
		{"ncclCommDestroy", &n->destroy},
		{"ncclGroupStart", &n->group_start},
		{"ncclGroupEnd", &n->group_end},
		{"ncclSend", &n->send},
		{"ncclRecv", &n->receive},
		{"ncclAllGather", &n->all_gather},
		{"ncclCommGetAsyncError", &n->async_error},
		{"ncclGetErrorString", &n->error_string},
	};
	size_t i;
	int v = 0;

	n->library = dlopen(name ? name : "libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!n->library)
		return ns_fail(NS_NO_DEVICE, "NCCL cannot be opened: %s", dlerror());
	for (i = 0; i < sizeof all / sizeof *all; i++) {
		void *symbol = dlsym(n->library, all[i].name);

		if (!symbol)
			return ns_fail(NS_NO_DEVICE, "NCCL: %s has no %s", name ? name : "libnccl.so.2", all[i].name);
		memcpy(all[i].to, &symbol, sizeof symbol); /* ISO C has no cast from an object pointer to a function pointer */
	}
	NS_TRY(check(n, n->get_version(&v), "asking its version"));
	snprintf(n->version, sizeof n->version, "NCCL %d.%d.%d", v / 10000, v / 100 % 100, v % 100);
	return NS_OK;
}

/* Does each rank have the library and a GPU of its own? The first that does not is named on all ranks. */
static enum ns_status everyone_can(struct ns_comm *comm, const unsigned char id[16], enum ns_status mine)
{
	struct {
		unsigned char id[16];
		char reason[512];
	} *all = calloc((size_t)comm->size, sizeof *all);
	enum ns_status status = NS_OK;
	int r, s;

	if (!all)
		return ns_fail(NS_NO_MEMORY, "out of memory for comparing %d GPUs", comm->size);
	memcpy(all[comm->rank].id, id, 16);
	if (mine != NS_OK)
		snprintf(all[comm->rank].reason, sizeof all->reason, "%s", ns_message());
	for (r = 0; r < comm->size && status == NS_OK; r++)
		status = ns_comm_broadcast(comm, &all[r], sizeof *all, r);
	for (r = 0; r < comm->size && status == NS_OK; r++) {
		if (all[r].reason[0])
			status = ns_fail(NS_NO_DEVICE, "rank %d: %s", r, all[r].reason);
		for (s = 0; s < r && status == NS_OK; s++)
			if (!memcmp(all[r].id, all[s].id, 16))
				status = ns_fail(NS_NO_DEVICE, "ranks %d and %d share one GPU, which NCCL does not do", s, r);
	}
	free(all);
	return status;
}

enum ns_status ns_nccl_open(struct ns_nccl **nccl, struct ns_comm *comm, const unsigned char id[16])
{
	struct ns_nccl *n = calloc(1, sizeof *n);
	struct {
		ncclUniqueId unique;
		int failed;
	} start = {{{0}}, 0};
	enum ns_status status = n ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for NCCL");

	if (n)
		n->comm = comm;
	if (status == NS_OK)
		status = load(n);
	status = everyone_can(comm, id, status);
	if (status != NS_OK) {
		ns_nccl_close(n);
		return status;
	}
	if (comm->rank == 0)
		start.failed = n->unique_id(&start.unique) != NS_NCCL_SUCCESS;
	NS_GO(ns_comm_broadcast(comm, &start, sizeof start, 0));
	NS_GO(start.failed ? ns_fail(NS_NO_DEVICE, "NCCL makes no id on rank 0") : NS_OK);
	NS_GO(check(n, n->init(&n->handle, comm->size, start.unique, comm->rank), "meeting the other ranks"));
	*nccl = n;
	return NS_OK;
out:
	ns_nccl_close(n);
	return status;
}

void ns_nccl_close(struct ns_nccl *n)
{
	if (!n)
		return;
	if (n->handle)
		n->destroy(n->handle);
	/* the library stays: it has threads of its own, which outlive a communicator */
	free(n);
}

const char *ns_nccl_version(const struct ns_nccl *n)
{
	return n->version;
}

enum ns_status ns_nccl_begin(struct ns_nccl *n)
{
	return check(n, n->group_start(), "beginning an exchange");
}

enum ns_status ns_nccl_send(struct ns_nccl *n, const float *data, int64_t count, int to, void *stream)
{
	return check(n, n->send(data, (size_t)count, NS_NCCL_FLOAT, to, n->handle, stream), "sending");
}

enum ns_status ns_nccl_receive(struct ns_nccl *n, float *data, int64_t count, int from, void *stream)
{
	return check(n, n->receive(data, (size_t)count, NS_NCCL_FLOAT, from, n->handle, stream), "receiving");
}

enum ns_status ns_nccl_end(struct ns_nccl *n)
{
	return check(n, n->group_end(), "an exchange");
}

enum ns_status ns_nccl_gather(struct ns_nccl *n, float *data, int64_t count, void *stream)
{
	return check(n, n->all_gather(data + count * n->comm->rank, data, (size_t)count, NS_NCCL_FLOAT, n->handle, stream), "gathering");
}

enum ns_status ns_nccl_check(struct ns_nccl *n)
{
	ncclResult_t error = NS_NCCL_SUCCESS;

	NS_TRY(check(n, n->async_error(n->handle, &error), "asking how it goes"));
	return check(n, error, "another rank");
}
