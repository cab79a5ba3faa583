/* host/comm/self.c - one rank, alone. */
#include "host/comm/comm.h"

#include <stdlib.h>
#include <string.h>

static enum ns_status self_barrier(struct ns_comm *comm)
{
	(void)comm;
	return NS_OK;
}

static enum ns_status self_broadcast(struct ns_comm *comm, void *data, size_t bytes, int root)
{
	(void)comm;
	(void)data;
	(void)bytes;
	(void)root;
	return NS_OK;
}

static enum ns_status self_sum_i64(struct ns_comm *comm, int64_t *data, size_t n)
{
	(void)comm;
	(void)data;
	(void)n;
	return NS_OK;
}

static enum ns_status self_exchange(struct ns_comm *comm, const float *send, const int *send_counts, float *receive, const int *receive_counts)
{
	(void)comm;
	(void)receive_counts;
	memcpy(receive, send, (size_t)send_counts[0] * sizeof *send);
	return NS_OK;
}

static enum ns_status self_gather(struct ns_comm *comm, float *data, const int *counts, const int *at)
{
	(void)comm;
	(void)data;
	(void)counts;
	(void)at;
	return NS_OK;
}

static enum ns_status self_plain_sum(struct ns_comm *comm, float *data, size_t n)
{
	(void)comm;
	(void)data;
	(void)n;
	return NS_OK;
}

static void self_abort(struct ns_comm *comm, int code)
{
	(void)comm;
	(void)code;
}

static void self_close(struct ns_comm *comm)
{
	(void)comm;
}

static const struct ns_comm_ops self_ops = {self_barrier, self_broadcast, self_sum_i64, self_exchange,
					    self_gather,  self_plain_sum, self_abort,	self_close};

enum ns_status ns_comm_self(struct ns_comm *comm)
{
	*comm = (struct ns_comm){.rank = 0, .size = 1, .local_rank = 0, .local_size = 1, .ops = &self_ops};
	return NS_OK;
}
