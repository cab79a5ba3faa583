/*
 * jobs/bench/comm.c - compares the sum of gradients whose bits do not depend on the number of ranks with MPI's own, which does not
 * promise that: both in turns, on the gradients of the demo network and of ResNet-18. Collective: under mpirun -n 2 or more.
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/bench/bench_inner.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS 15
#define PIECE  ((size_t)1 << 18) /* floats: large all-reduces of Open MPI are fastest in pieces of about a MiB */

struct sums {
	struct ns_comm *comm;
	size_t n;
	int virtual_ranks, local;
	float **leaf, *out;
};

static void refill(struct sums *s)
{
	size_t i;
	int v;

	for (v = 0; v < s->local; v++)
		for (i = 0; i < s->n; i++)
			s->leaf[v][i] = (float)((i + (size_t)v) % 17) - 8;
}

/* What a data-parallel trainer without that promise does: add its own gradients, then one MPI_Allreduce. */
static enum ns_status plain(struct sums *s)
{
	size_t i, at;
	int v;

	for (v = 1; v < s->local; v++) {
		float *restrict x = s->leaf[0];
		const float *restrict y = s->leaf[v];

		for (i = 0; i < s->n; i++)
			x[i] += y[i];
	}
	for (at = 0; at < s->n; at += PIECE)
		NS_TRY(ns_comm_plain_sum(s->comm, s->leaf[0] + at, s->n - at < PIECE ? s->n - at : PIECE));
	return NS_OK;
}

static enum ns_status take_turns(struct sums *s, double tree[ROUNDS], double mpi[ROUNDS])
{
	double start;
	int r;

	for (r = -2; r < ROUNDS; r++) { /* two rounds of warm-up */
		refill(s);
		NS_TRY(ns_comm_barrier(s->comm));
		start = ns_now();
		NS_TRY(ns_comm_tree_sum(s->comm, s->virtual_ranks, s->leaf, s->n, s->out));
		NS_TRY(ns_comm_barrier(s->comm));
		if (r >= 0)
			tree[r] = 1 / (ns_now() - start);
		refill(s);
		NS_TRY(ns_comm_barrier(s->comm));
		start = ns_now();
		NS_TRY(plain(s));
		NS_TRY(ns_comm_barrier(s->comm));
		if (r >= 0)
			mpi[r] = 1 / (ns_now() - start);
		/* small integers sum exactly in any order, so both results must be equal */
		if (memcmp(s->leaf[0], s->out, s->n * sizeof(float)))
			return ns_fail(NS_INTERNAL, "bench: the tree's sum and MPI's differ on whole numbers");
	}
	return NS_OK;
}

static void record_both(struct ns_bench *b, const char *name, double *tree, double *mpi)
{
	double rate[4], limit[4];
	struct ns_measured *m;

	ns_bench_quartiles(tree, ROUNDS, rate);
	ns_bench_quartiles(mpi, ROUNDS, limit);
	m = &b->rows[b->count];
	b->count += b->count < NS_BENCH_ROWS - 1;
	*m = (struct ns_measured){.rate = rate[1],
				  .low = rate[0],
				  .high = rate[2],
				  .share = rate[1] / limit[1],
				  .bound = "MPI_Allreduce",
				  .unit = "sums"};
	snprintf(m->name, sizeof m->name, "%s", name);
	ns_log_event(b->job->log, "bench",
		     json_pack("{s:s, s:f, s:s, s:f, s:s, s:f, s:f}", "what", name, "rate", m->rate, "unit", "sums", "share", m->share, "of",
			       m->bound, "tree_ms", 1e3 / rate[1], "mpi_ms", 1e3 / limit[1]));
}

static enum ns_status one_size(struct ns_bench *b, const char *name, size_t n)
{
	struct sums s = {.comm = b->job->comm, .n = n, .virtual_ranks = NS_BENCH_VIRTUAL};
	double tree[ROUNDS], mpi[ROUNDS];
	enum ns_status status = NS_OK;
	int begin, end, v;

	while (s.virtual_ranks < s.comm->size)
		s.virtual_ranks *= 2;
	ns_comm_share(s.comm, s.comm->rank, s.virtual_ranks, &begin, &end);
	s.local = end - begin;
	s.leaf = calloc((size_t)s.local, sizeof *s.leaf);
	s.out = malloc(n * sizeof *s.out);
	for (v = 0; s.leaf && v < s.local; v++)
		if (!(s.leaf[v] = malloc(n * sizeof *s.leaf[v])))
			status = NS_NO_MEMORY;
	if (!s.leaf || !s.out || status != NS_OK)
		status = ns_fail(NS_NO_MEMORY, "out of memory for %d gradients", s.local);
	NS_GO(ns_job_agree(b->job, status));
	NS_GO(take_turns(&s, tree, mpi));
	if (s.comm->rank == 0)
		record_both(b, name, tree, mpi);
out:
	for (v = 0; s.leaf && v < s.local; v++)
		free(s.leaf[v]);
	free(s.leaf);
	free(s.out);
	return status;
}

enum ns_status ns_bench_comm(struct ns_bench *b)
{
	static const struct {
		const char *name;
		size_t n;
	} sizes[] = {{"deterministic sum, demo network", 78042}, {"deterministic sum, ResNet-18", 11173962}};
	size_t i;

	for (i = 0; i < sizeof sizes / sizeof *sizes && b->job->comm->size > 1; i++)
		if (ns_bench_is_selected(b, sizes[i].name))
			NS_TRY(one_size(b, sizes[i].name, sizes[i].n));
	return NS_OK;
}
