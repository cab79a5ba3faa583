/*
 * jobs/drift/sweep.c - rows and columns out of windows that need not fit into memory.
 *
 * Windows lie row by row, tests want columns. Ranks share the columns out; each reads the rows through, block by block, and keeps of each
 * block the columns that are its turn, as many as drift.memory has room for; what remains is another passage through the rows.
 */
#define _DEFAULT_SOURCE
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/stat/stat.h"
#include "host/run/run.h"
#include "kernels/formula/sort.h"
#include "datasets/predict/predict.h"

int ns_all_finite(const float *x, int64_t n)
{
	uint32_t most = 0;
	int64_t i;

#pragma omp simd reduction(max : most)
	for (i = 0; i < n; i++) {
		uint32_t u = ns_bits_of_f32(x[i]) & 0x7fffffffu;

		most = u > most ? u : most;
	}
	return most < 0x7f800000u;
}

/* --- rows, block by block --- */

#define BLOCK_BYTES (1 << 20) /* stays in the second cache while it is turned */

static int64_t block_rows(const struct ns_matrix *of)
{
	int64_t rows = BLOCK_BYTES / 4 / of->d;

	return rows < 16 ? 16 : rows > 16384 ? 16384 : rows;
}

static int blocks_of(const struct ns_matrix *of)
{
	return (int)((of->rows + block_rows(of) - 1) / block_rows(of));
}

/* of each worker, from block to block: what is asked of the system anew each time comes back as empty pages */
static enum ns_status make_rooms(const struct ns_drift *s, float ***rooms)
{
	*rooms = calloc((size_t)ns_workers_count(s->job->workers), sizeof **rooms);
	return *rooms ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for rows");
}

static void free_rooms(const struct ns_drift *s, float **rooms)
{
	int i;

	for (i = 0; rooms && i < ns_workers_count(s->job->workers); i++)
		free(rooms[i]);
	free(rooms);
}

/* block `at`: where its rows are, in memory or read into *room, which is made at the first: both windows have rows as wide */
static enum ns_status block_at(const struct ns_matrix *of, int at, int64_t *first, int64_t *n, const float **x, float **room)
{
	int64_t rows = block_rows(of);

	*first = at * rows;
	*n = of->rows - *first < rows ? of->rows - *first : rows;
	if (of->data) {
		*x = of->data + *first * of->d;
		return NS_OK;
	}
	if (!*room)
		*room = malloc(sizeof **room * (size_t)rows * (size_t)of->d);
	*x = *room;
	if (!*room)
		return ns_fail(NS_NO_MEMORY, "no memory for %lld rows of %d values", (long long)rows, of->d);
	return ns_matrix_read(of, *first, *n, *room);
}

struct passage {
	const struct ns_comm *comm;
	const struct ns_matrix *of;
	ns_rows_fn *fn;
	void *context;
	float **rooms;
};

static enum ns_status one_passage(void *context, int task, int worker)
{
	const struct passage *p = context;
	int at = task * p->comm->size + p->comm->rank;
	int64_t first, n;
	const float *x;

	if (at >= blocks_of(p->of))
		return NS_OK;
	NS_TRY(block_at(p->of, at, &first, &n, &x, &p->rooms[worker]));
	return p->fn(p->context, first, n, x);
}

enum ns_status ns_drift_each_row(struct ns_drift *s, const struct ns_matrix *of, ns_rows_fn *fn, void *context)
{
	struct passage p = {s->job->comm, of, fn, context, NULL};
	enum ns_status status = make_rooms(s, &p.rooms);

	if (status == NS_OK)
		status = ns_workers_run(s->job->workers, (blocks_of(of) + p.comm->size - 1) / p.comm->size, one_passage, &p);
	free_rooms(s, p.rooms);
	return status;
}

/* --- columns --- */

#define HUGE	 2097152
#define PASSAGES 8 /* through all rows; more are worth a word */

struct turn {
	const struct ns_columns *side[2]; /* the reference, the window */
	int first, count; /* columns of this passage */
	int64_t all;
	float *x; /* (count, all) */
	float **rooms;
	ns_column_fn *fn;
	void *context;
};

/* x (n, stride), columns [0, count), into columns of `all` values from `to` on; sixteen of each at a time, which are lines of the cache */
static void turn_block(const float *x, int64_t n, int stride, int count, float *to, int64_t all)
{
	int64_t i, i0;
	int c, c0;

	for (i0 = 0; i0 < n; i0 += 16)
		for (c0 = 0; c0 < count; c0 += 16)
			for (c = c0; c < count && c < c0 + 16; c++)
				for (i = i0; i < n && i < i0 + 16; i++)
					to[c * all + i] = x[i * stride + c];
}

static enum ns_status one_block(void *context, int task, int worker)
{
	const struct turn *t = context;
	int second = task >= blocks_of(t->side[0]->of);
	const struct ns_columns *v = t->side[second];
	float *along, *to = t->x + (second ? t->side[0]->of->rows : 0);
	int d = v->of->d;
	int64_t first, n;
	const float *x;
	enum ns_status status;

	NS_TRY(block_at(v->of, task - (second ? blocks_of(t->side[0]->of) : 0), &first, &n, &x, &t->rooms[worker]));
	if (!v->directions) {
		turn_block(x + t->first, n, d, t->count, to + first, t->all);
		return NS_OK;
	}
	along = malloc(sizeof *along * (size_t)n * (size_t)t->count);
	if (!along)
		return ns_fail(NS_NO_MEMORY, "no memory for a projection of %lld rows", (long long)n);
	status = ns_stat_pca_apply(x, n, d, t->count, v->mean, v->directions + (int64_t)t->first * d, along);
	if (status == NS_OK)
		turn_block(along, n, t->count, t->count, to + first, t->all);
	free(along);
	return status;
}

static enum ns_status one_turn(void *context, int task, int worker)
{
	const struct turn *t = context;

	return t->fn(t->context, t->first + task, worker, t->x + task * t->all);
}

/* gigabytes in pages of 4 KiB are half a million calls of the system's: large ones, where it has them */
static float *large(int64_t count)
{
	size_t bytes = (sizeof(float) * (size_t)count + HUGE - 1) / HUGE * HUGE;
	float *x = aligned_alloc(HUGE, bytes);

	if (x)
		(void)madvise(x, bytes, MADV_HUGEPAGE); /* a wish: without it all is as it was */
	return x;
}

enum ns_status ns_drift_each_column(struct ns_drift *s, const struct ns_columns *ref, const struct ns_columns *cur, ns_column_fn *fn, void *context)
{
	const struct ns_comm *comm = s->job->comm;
	int64_t d = ref->directions ? ref->k : ref->of->d, all = ref->of->rows + cur->of->rows;
	int64_t room = ns_conf_int(s->job->conf, "drift.memory") * 1048576 / (4 * all), workers = ns_workers_count(s->job->workers);
	int begin = (int)(d * comm->rank / comm->size), end = (int)(d * (comm->rank + 1) / comm->size);
	struct turn t = {{ref, cur}, begin, end - begin, all, NULL, NULL, fn, context};
	enum ns_status status;

	if (begin == end)
		return NS_OK;
	/* whoever tests a column takes up to three times its room beside it, for its order and its slices */
	room = room > 4 * workers ? room - 3 * workers : room / 4;
	t.count = room < 1 ? 1 : t.count > room ? (int)room : t.count;
	if ((end - begin) / t.count > PASSAGES)
		ns_log_warn(s->job->log, "%d columns of %lld rows are read in %d passages; a larger drift.memory or more ranks make them fewer", end - begin,
			    (long long)all, (end - begin + t.count - 1) / t.count);
	t.x = large(t.count * all);
	status = t.x ? make_rooms(s, &t.rooms)
		     : ns_fail(NS_NO_MEMORY, "no memory for %d columns of %lld rows; drift.memory makes them fewer", t.count, (long long)all);
	for (; status == NS_OK && t.first < end; t.first += t.count) {
		t.count = t.count < end - t.first ? t.count : end - t.first;
		status = ns_workers_run(s->job->workers, blocks_of(ref->of) + blocks_of(cur->of), one_block, &t);
		if (status == NS_OK)
			status = ns_workers_run(s->job->workers, t.count, one_turn, &t);
	}
	free_rooms(s, t.rooms);
	free(t.x);
	return status;
}
