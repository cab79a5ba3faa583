/*
 * jobs/drift/permute.c - permutation tests of whole rows: row blocks over ranks and workers; sums are integers, so the result is the same
 * for any distribution of the blocks.
 */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/run/run.h"
#include "kernels/formula/mmd.h"

static enum ns_status mmd_part(void *context, int task, int worker)
{
	struct ns_drift_permutation *g = context;
	struct ns_job *job = g->s->job;
	struct ns_device *dev = job->set->devices[worker];
	int p = g->s->permutations;
	int64_t total = g->m + g->n, blocks = (total + 15) / 16, at = (int64_t)job->comm->rank * g->per + task,
		all = (int64_t)job->comm->size * g->per, *out = g->sums + (int64_t)task * (2 * (p + 1) + 1);
	struct ns_op op = {.kind = NS_OP_MMD};
	size_t row = sizeof *g->x * (size_t)g->d, sums = sizeof *out * (size_t)(p + 1);
	struct ns_staged io = {{g->x, g->y},
			       {row * (size_t)g->m, row * (size_t)g->n},
			       {out, out + p + 1, out + 2 * (p + 1)},
			       {sums, sums, sizeof *out}};

	op.u.mmd = (struct ns_op_mmd){.m = g->m,
				      .n = g->n,
				      .row_begin = blocks * at / all * 16,
				      .row_end = at + 1 == all ? total : blocks * (at + 1) / all * 16,
				      .d = g->d,
				      .permutations = p,
				      .seed = g->s->seed,
				      .gamma = g->gamma,
				      .distance = g->distance,
				      .ref_blocks = g->ref_blocks,
				      .blocks = g->blocks};
	if (g->block) {
		io.in[NS_MMD_BLOCK] = g->block;
		io.in_bytes[NS_MMD_BLOCK] = sizeof *g->block * (size_t)total;
	}
	return ns_staged_run(dev, job->set->queues[worker], &op, &io);
}

float ns_drift_distance2(const float *x, const float *y, int d)
{
	float sum = 0;
	int c;

#pragma omp simd reduction(+ : sum)
	for (c = 0; c < d; c++)
		sum += (x[c] - y[c]) * (x[c] - y[c]);
	return sum;
}

/* unbiased MMD^2 from the sums of one permutation */
static double mmd2(double q, double s, double total, double m, double n)
{
	double one = 32767, xx = q / one, xy = (s - q) / one, yy = (total - 2 * s + q) / one;

	return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n);
}

/* Rows in group X under each permutation; it varies where blocks of different sizes are permuted. */
static enum ns_status group_sizes(const struct ns_drift_permutation *g, double *size)
{
	int64_t *rows = calloc((size_t)g->blocks + 1, sizeof *rows), i;
	uint32_t *bits = malloc(sizeof *bits * (size_t)(g->blocks / 32 + 1));
	int p;

	for (i = 0; rows && g->block && i < g->m + g->n; i++)
		rows[g->block[i]]++;
	for (p = 0; rows && bits && p <= g->s->permutations; p++) {
		size[p] = g->block ? 0 : (double)g->m;
		if (!g->block)
			continue;
		ns_mmd_members(bits, (uint32_t)g->ref_blocks, (uint32_t)g->blocks, g->s->seed, (uint32_t)p);
		for (i = 0; i < g->blocks; i++)
			size[p] += bits[i / 32] >> i % 32 & 1 ? (double)rows[i] : 0;
	}
	free(rows);
	free(bits);
	return rows && bits ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %lld blocks", (long long)g->blocks);
}

/* From the sums of all parts and ranks: the statistic, and p = (1 + #{permuted >= observed}) / (1 + P). */
static enum ns_status permuted(struct ns_drift_permutation *g, double *observed, double *p_value, double *deviations)
{
	double mean = 0, square = 0;
	struct ns_drift *s = g->s;
	int p = s->permutations, width = 2 * (p + 1) + 1, i, part, exceed = 0;
	int64_t *sum = calloc((size_t)width, sizeof *sum);
	double *size = malloc(sizeof *size * (size_t)(p + 1)), all = (double)(g->m + g->n);
	enum ns_status status = sum && size ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d permutations", p);

	if (status == NS_OK)
		status = group_sizes(g, size);
	if (status != NS_OK)
		goto out;
	for (part = 0; part < g->per; part++)
		for (i = 0; i < width; i++)
			sum[i] += g->sums[(int64_t)part * width + i];
	status = ns_comm_sum_i64(s->job->comm, sum, (size_t)width);
	*observed = mmd2((double)sum[0], (double)sum[p + 1], (double)sum[width - 1], size[0], all - size[0]);
	for (i = 1; i <= p; i++) {
		double v = mmd2((double)sum[i], (double)sum[p + 1 + i], (double)sum[width - 1], size[i], all - size[i]);

		exceed += !(v < *observed); /* NaN, where a group has one row, counts as at least as large */
		mean += v / p;
		square += v * v / p;
	}
	*deviations = (*observed - mean) / sqrt(square - mean * mean);
	*p_value = (1.0 + exceed) / (1.0 + p);
out:
	free(sum);
	free(size);
	return status;
}

/* Renumbers the blocks of the chosen rows without gaps, the reference's first. */
static enum ns_status number_blocks(struct ns_drift_permutation *g)
{
	const struct ns_drift *s = g->s;
	int64_t i, most = s->ref_blocks > s->cur_blocks ? s->ref_blocks : s->cur_blocks;
	int32_t *now;

	if (!s->ref_block)
		return NS_OK;
	now = malloc(sizeof *now * (size_t)(most + 1));
	g->block = malloc(sizeof *g->block * (size_t)(g->m + g->n));
	if (!now || !g->block) {
		free(now);
		return ns_fail(NS_NO_MEMORY, "out of memory for blocks");
	}
	memset(now, 0xff, sizeof *now * (size_t)(most + 1));
	for (i = 0; i < g->m; i++) {
		int32_t *b = &now[s->ref_block[g->ref_rows[i]]];

		if (*b < 0)
			*b = (int32_t)g->blocks++;
		g->block[i] = *b;
	}
	g->ref_blocks = g->blocks;
	memset(now, 0xff, sizeof *now * (size_t)(most + 1));
	for (i = 0; i < g->n; i++) {
		int32_t *b = &now[s->cur_block[g->rows[i]]];

		if (*b < 0)
			*b = (int32_t)g->blocks++;
		g->block[g->m + i] = *b;
	}
	free(now);
	return NS_OK;
}

enum ns_status ns_drift_permuted(struct ns_drift *s, struct ns_drift_test *t, int64_t most, int distance, ns_scale_fn *scale, ns_effect_fn *effect)
{
	int workers = ns_workers_count(s->job->workers);
	struct ns_drift_permutation g = {.s = s, .d = s->ref.embedding.d, .per = workers, .distance = distance};
	enum ns_status status;

	if (s->ref.rows < 2 || s->cur.rows < 2) {
		t->note = "needs at least two rows on each side";
		return NS_OK;
	}
	g.rows = malloc(2 * sizeof *g.rows * (size_t)most);
	g.ref_rows = g.rows ? g.rows + most : NULL;
	g.sums = calloc((size_t)workers * (2 * ((size_t)s->permutations + 1) + 1), sizeof *g.sums);
	NS_GO(g.rows && g.sums ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the sums of %s", t->method->name));
	NS_GO(ns_drift_choose_rows(&s->ref.embedding, most, s->seed, &g.x, &g.m, g.ref_rows));
	NS_GO(ns_drift_choose_rows(&s->cur.embedding, most, s->seed, &g.y, &g.n, g.rows));
	if (g.m < 2 || g.n < 2) {
		t->note = "needs at least two rows without missing values on each side";
		goto out;
	}
	NS_GO(number_blocks(&g));
	NS_GO(scale(&g));
	if (!(g.gamma > 0) || !isfinite(g.gamma)) {
		t->note = "distances are too large for arithmetic in 32 bits";
		goto out;
	}
	NS_GO(ns_workers_run(s->job->workers, g.per, mmd_part, &g));
	NS_GO(permuted(&g, &t->statistic, &t->p, &t->deviations));
	status = effect(&g, t);
out:
	free(g.x);
	free(g.y);
	free(g.rows);
	free(g.block);
	free(g.sums);
	return status;
}
