/*
 * jobs/drift/sweep.c - reads rows and columns of windows that need not fit into memory.
 *
 * Windows are stored row by row, tests need columns. Ranks share the columns; each rank reads all rows, block by block, and keeps as many of
 * its columns as fit into drift.memory; the remaining columns take another pass over the rows.
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

int ns_drift_all_finite(const float *x, int64_t n)
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

#define BLOCK_BYTES (1 << 20) /* stays in the L2 cache while it is transposed */

static int64_t block_rows(const struct ns_matrix *of)
{
	int64_t rows = BLOCK_BYTES / 4 / of->d;

	return rows < 16 ? 16 : rows > 16384 ? 16384 : rows;
}

static int blocks_of(const struct ns_matrix *of)
{
	return (int)((of->rows + block_rows(of) - 1) / block_rows(of));
}

/* One buffer a worker, kept from block to block: memory allocated anew for each block costs page faults. */
static enum ns_status make_scratch(const struct ns_drift *s, float ***scratch)
{
	*scratch = calloc((size_t)ns_workers_count(s->job->workers), sizeof **scratch);
	return *scratch ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for rows");
}

static void free_scratch(const struct ns_drift *s, float **scratch)
{
	int i;

	for (i = 0; scratch && i < ns_workers_count(s->job->workers); i++)
		free(scratch[i]);
	free(scratch);
}

/* Rows of block `at`: in memory, or read into *scratch, which the first call allocates (rows of both windows have equal width). */
static enum ns_status block_at(const struct ns_matrix *of, int at, int64_t *first, int64_t *n, const float **x, float **scratch)
{
	int64_t rows = block_rows(of);

	*first = at * rows;
	*n = of->rows - *first < rows ? of->rows - *first : rows;
	if (of->data) {
		*x = of->data + *first * of->d;
		return NS_OK;
	}
	if (!*scratch)
		*scratch = malloc(sizeof **scratch * (size_t)rows * (size_t)of->d);
	*x = *scratch;
	if (!*scratch)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld rows of %d values", (long long)rows, of->d);
	return ns_matrix_read(of, *first, *n, *scratch);
}

struct pass {
	const struct ns_comm *comm;
	const struct ns_matrix *of;
	ns_rows_fn *fn;
	void *context;
	float **scratch;
};

static enum ns_status one_pass_block(void *context, int task, int worker)
{
	const struct pass *p = context;
	int at = task * p->comm->size + p->comm->rank;
	int64_t first, n;
	const float *x;

	if (at >= blocks_of(p->of))
		return NS_OK;
	NS_TRY(block_at(p->of, at, &first, &n, &x, &p->scratch[worker]));
	return p->fn(p->context, first, n, x);
}

enum ns_status ns_drift_each_row(struct ns_drift *s, const struct ns_matrix *of, ns_rows_fn *fn, void *context)
{
	struct pass p = {s->job->comm, of, fn, context, NULL};
	enum ns_status status = make_scratch(s, &p.scratch);

	if (status == NS_OK)
		status = ns_workers_run(s->job->workers, (blocks_of(of) + p.comm->size - 1) / p.comm->size, one_pass_block, &p);
	free_scratch(s, p.scratch);
	return status;
}

/* --- columns --- */

#define HUGE   2097152
#define PASSES 8 /* over all rows; more are worth a warning */

struct turn {
	const struct ns_columns *side[2]; /* the reference, the window */
	int first, count;		  /* columns of this pass */
	int64_t all;
	float *x; /* (count, all) */
	float **scratch;
	ns_column_fn *fn;
	void *context;
};

/* Transposes columns [0, count) of x (n, stride) into columns of `all` values at `to`, in tiles of 16 x 16, whose rows are cache lines. */
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

	NS_TRY(block_at(v->of, task - (second ? blocks_of(t->side[0]->of) : 0), &first, &n, &x, &t->scratch[worker]));
	if (!v->k) {
		turn_block(x + t->first, n, d, t->count, to + first, t->all);
		return NS_OK;
	}
	along = malloc(sizeof *along * (size_t)n * (size_t)t->count);
	if (!along)
		return ns_fail(NS_NO_MEMORY, "out of memory for a projection of %lld rows", (long long)n);
	status = NS_OK;
	if (v->pick)
		ns_drift_take_classes(v, x, n, t->first, t->count, along);
	else
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

/* Gigabytes in pages of 4 KiB mean half a million page faults, so huge pages are requested. */
static float *large(int64_t count)
{
	size_t bytes = (sizeof(float) * (size_t)count + HUGE - 1) / HUGE * HUGE;
	float *x = aligned_alloc(HUGE, bytes);

	if (x)
		(void)madvise(x, bytes, MADV_HUGEPAGE); /* a hint: nothing depends on it */
	return x;
}

enum ns_status ns_drift_each_column(struct ns_drift *s, const struct ns_columns *ref, const struct ns_columns *cur, ns_column_fn *fn, void *context)
{
	const struct ns_comm *comm = s->job->comm;
	int64_t d = ref->k ? ref->k : ref->of->d, all = ref->of->rows + cur->of->rows;
	int64_t fit = s->memory * 1048576 / (4 * all), workers = ns_workers_count(s->job->workers);
	int begin = (int)(d * comm->rank / comm->size), end = (int)(d * (comm->rank + 1) / comm->size);
	struct turn t = {{ref, cur}, begin, end - begin, all, NULL, NULL, fn, context};
	enum ns_status status;

	if (begin == end)
		return NS_OK;
	/* a worker that tests a column needs up to three columns of scratch beside it, for sorting and slices */
	fit = fit > 4 * workers ? fit - 3 * workers : fit / 4;
	t.count = fit < 1 ? 1 : t.count > fit ? (int)fit : t.count;
	if ((end - begin) / t.count > PASSES)
		ns_log_warn(s->job->log, "%d columns of %lld rows are read in %d passes; a larger drift.memory or more ranks reduce them",
			    end - begin, (long long)all, (end - begin + t.count - 1) / t.count);
	t.x = large(t.count * all);
	status = t.x ? make_scratch(s, &t.scratch)
		     : ns_fail(NS_NO_MEMORY, "out of memory for %d columns of %lld rows; a smaller drift.memory needs less", t.count, (long long)all);
	for (; status == NS_OK && t.first < end; t.first += t.count) {
		t.count = t.count < end - t.first ? t.count : end - t.first;
		status = ns_workers_run(s->job->workers, blocks_of(ref->of) + blocks_of(cur->of), one_block, &t);
		if (status == NS_OK)
			status = ns_workers_run(s->job->workers, t.count, one_turn, &t);
	}
	free_scratch(s, t.scratch);
	free(t.x);
	return status;
}
