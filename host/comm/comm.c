/* host/comm/comm.c - what every kind of communicator shares, above all the fixed tree. */
#include "host/comm/comm.h"

#include <stdlib.h>
#include <string.h>

void ns_comm_close(struct ns_comm *comm)
{
	if (comm->ops)
		comm->ops->close(comm);
	free(comm->scratch);
	memset(comm, 0, sizeof *comm);
}

enum ns_status ns_comm_barrier(struct ns_comm *comm)
{
	return comm->ops->barrier(comm);
}

enum ns_status ns_comm_broadcast(struct ns_comm *comm, void *data, size_t bytes, int root)
{
	return comm->ops->broadcast(comm, data, bytes, root);
}

enum ns_status ns_comm_sum_i64(struct ns_comm *comm, int64_t *data, size_t n)
{
	return comm->ops->sum_i64(comm, data, n);
}

enum ns_status ns_comm_plain_sum(struct ns_comm *comm, float *data, size_t n)
{
	return comm->ops->plain_sum(comm, data, n);
}

void ns_comm_abort(struct ns_comm *comm, int code)
{
	if (comm->ops)
		comm->ops->abort(comm, code);
}

void ns_comm_share(const struct ns_comm *comm, int rank, int virtual_ranks, int *begin, int *end)
{
	*begin = (int)((int64_t)virtual_ranks * rank / comm->size);
	*end = (int)((int64_t)virtual_ranks * (rank + 1) / comm->size);
}

static void add(float *restrict x, const float *restrict y, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		x[i] += y[i];
}

int64_t ns_comm_slice(const struct ns_comm *comm, int64_t n)
{
	return ((n + comm->size - 1) / comm->size + 15) / 16 * 16;
}

int ns_comm_subtrees(int begin, int end, int *first, int *width)
{
	int count = 0;

	while (begin < end) {
		int w = 1;

		while (begin % (2 * w) == 0 && begin + 2 * w <= end)
			w *= 2;
		first[count] = begin;
		width[count++] = w;
		begin += w;
	}
	return count;
}

/* Adds siblings, level by level, until nodes[first] is the sum of the subtree [first, first + width). */
static void fold(float **nodes, int first, int width, size_t n)
{
	int step, i;

	for (step = 1; step < width; step *= 2)
		for (i = first; i < first + width; i += 2 * step)
			if (nodes[i] && nodes[i + step]) {
				add(nodes[i], nodes[i + step], n);
				nodes[i + step] = NULL;
			}
}

struct plan { /* who sends what: `parts` of rank r are its subtrees */
	int *first, *width, *parts, *counts, *at, *send, *receive, *owner;
	int total;
};

static enum ns_status scratch(struct ns_comm *comm, size_t bytes, void **p)
{
	if (comm->scratch_bytes < bytes) {
		free(comm->scratch);
		comm->scratch_bytes = 0;
		comm->scratch = malloc(bytes);
		if (!comm->scratch)
			return ns_fail(NS_NO_MEMORY, "out of memory for %zu bytes to exchange gradients", bytes);
		comm->scratch_bytes = bytes;
	}
	*p = comm->scratch;
	return NS_OK;
}

#define PIECE ((size_t)1 << 24) /* floats of one exchange */

/* Assigns slices of n to the ranks, and lists the subtrees of every rank. */
static void lay_out(const struct ns_comm *comm, int virtual_ranks, size_t n, struct plan *p)
{
	int r, begin, end, i;

	p->total = 0;
	for (r = 0; r < comm->size; r++) {
		size_t a = n * (size_t)r / (size_t)comm->size, b = n * (size_t)(r + 1) / (size_t)comm->size;

		p->at[r] = (int)a;
		p->counts[r] = (int)(b - a);
		ns_comm_share(comm, r, virtual_ranks, &begin, &end);
		p->parts[r] = ns_comm_subtrees(begin, end, p->first + p->total, p->width + p->total);
		for (i = 0; i < p->parts[r]; i++)
			p->owner[p->total + i] = r;
		p->total += p->parts[r];
	}
	for (r = 0; r < comm->size; r++) {
		p->send[r] = p->counts[r] * p->parts[comm->rank];
		p->receive[r] = p->counts[comm->rank] * p->parts[r];
	}
}

static enum ns_status tree_over_ranks(struct ns_comm *comm, int v, float **nodes, size_t n, float *out)
{
	size_t ints = 8 * (size_t)(v + comm->size), slice = n / (size_t)comm->size + 1;
	struct plan p;
	float *send, *receive, *to;
	float **at;
	int *base, i, r, part, mine = 0;
	void *memory = NULL;

	NS_TRY(scratch(comm,
		       ints * sizeof(int) + (size_t)v * sizeof(float *) + 64 +
			       (slice * (size_t)v + ((size_t)comm->size + n) * (size_t)v) * sizeof(float),
		       &memory));
	at = memory;
	base = (int *)(void *)(at + v);
	p.first = base;
	p.width = base + v;
	p.parts = base + 2 * v;
	p.owner = p.parts + comm->size;
	p.counts = p.owner + v;
	p.at = p.counts + comm->size;
	p.send = p.at + comm->size;
	p.receive = p.send + comm->size;
	receive = (float *)(void *)(base + ints);
	send = receive + slice * (size_t)v;
	lay_out(comm, v, n, &p);
	for (i = 0; i < p.total && p.owner[i] < comm->rank; i++)
		mine++;
	for (to = send, r = 0; r < comm->size; r++)
		for (part = 0; part < p.parts[comm->rank]; part++, to += p.counts[r]) {
			fold(nodes, p.first[mine + part], p.width[mine + part], n);
			memcpy(to, nodes[p.first[mine + part]] + p.at[r], (size_t)p.counts[r] * sizeof *to);
		}
	NS_TRY(comm->ops->exchange(comm, send, p.send, receive, p.receive));
	for (i = 0; i < v; i++)
		at[i] = NULL;
	for (i = 0; i < p.total; i++)
		at[p.first[i]] = receive + (size_t)i * (size_t)p.counts[comm->rank];
	/* siblings of unequal width never meet: a subtree is complete before its parent is formed */
	for (i = 1; i < v; i *= 2)
		for (r = 0; r < v; r += 2 * i)
			if (at[r] && at[r + i]) {
				add(at[r], at[r + i], (size_t)p.counts[comm->rank]);
				at[r + i] = NULL;
			}
	memcpy(out + p.at[comm->rank], at[0], (size_t)p.counts[comm->rank] * sizeof *out);
	return comm->ops->gather_slices(comm, out, p.counts, p.at);
}

enum ns_status ns_comm_tree_sum(struct ns_comm *comm, int virtual_ranks, float *const *leaves, size_t n, float *out)
{
	float *nodes[1024] = {NULL};
	int begin, end, i;
	size_t at;

	if (virtual_ranks < comm->size || virtual_ranks > 1024 || virtual_ranks & (virtual_ranks - 1))
		return ns_fail(NS_CONFIG, "train.virtual_ranks = %d must be a power of two, at most 1024 and at least the %d ranks", virtual_ranks,
			       comm->size);
	ns_comm_share(comm, comm->rank, virtual_ranks, &begin, &end);
	/* MPI counts are int: pieces stay far below that, however many parameters and parts there are */
	for (at = 0; comm->size > 1 && at < n; at += PIECE) {
		for (i = begin; i < end; i++)
			nodes[i] = leaves[i - begin] + at;
		NS_TRY(tree_over_ranks(comm, virtual_ranks, nodes, n - at < PIECE ? n - at : PIECE, out + at));
	}
	if (comm->size > 1)
		return NS_OK;
	for (i = begin; i < end; i++)
		nodes[i] = leaves[i - begin];
	fold(nodes, 0, virtual_ranks, n);
	memcpy(out, nodes[0], n * sizeof *out);
	return NS_OK;
}
