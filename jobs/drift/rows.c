/* jobs/drift/rows.c - embeddings: the tests of whole rows; their projections are in project.c. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "host/run/run.h"
#include "kernels/formula/mmd.h"
#include "kernels/formula/sort.h"

#define MMD_ROWS    10000 /* of each window, chosen by key: enough power, and the cost is quadratic */
#define ENERGY_ROWS 2000  /* likewise, for energy and KID, which only support */

/* --- MMD: row blocks over ranks and workers; sums are integers, so the result is the same for any distribution of the blocks --- */

struct mmd {
	struct ns_drift *s;
	float *x, *y;
	int64_t m, n, *rows, *ref_rows; /* index in its window of each row of y and x */
	int32_t *block;			/* of each pooled row, the reference's first; NULL: rows are independent */
	int64_t ref_blocks, blocks;
	int d, per, distance;
	float gamma;
	int64_t *sums; /* (parts, 2 (P + 1) + 1) */
};

static enum ns_status mmd_part(void *context, int task, int worker)
{
	struct mmd *g = context;
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

static float distance2(const float *x, const float *y, int d)
{
	float sum = 0;
	int c;

#pragma omp simd reduction(+ : sum)
	for (c = 0; c < d; c++)
		sum += (x[c] - y[c]) * (x[c] - y[c]);
	return sum;
}

#define MEDIAN_ROWS 2000

static const float *pooled(const struct mmd *g, int64_t i)
{
	return i < g->m ? g->x + i * g->d : g->y + (i - g->m) * g->d;
}

/*
 * gamma = 1 / the lower median of squared distances over pairs of up to 2000 pooled rows. A bandwidth that depended on which window a row is
 * of would break the exchangeability that the permutation test needs, and small windows would alarm too often.
 */
static enum ns_status median_gamma(struct mmd *g)
{
	int64_t all = g->m + g->n, n = all < MEDIAN_ROWS ? all : MEDIAN_ROWS, i, j, k = 0, pairs = n * (n - 1) / 2;
	float *d2 = malloc(sizeof *d2 * (size_t)(pairs + 1)), median;
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)(pairs + 1));

	if (!d2 || !scratch) {
		free(d2);
		free(scratch);
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld distances", (long long)pairs);
	}
	for (i = 0; i < n; i++)
		for (j = i + 1; j < n; j++)
			d2[k++] = distance2(pooled(g, i * all / n), pooled(g, j * all / n), g->d);
	ns_sort_floats(d2, pairs, scratch);
	median = pairs ? d2[(pairs - 1) / 2] : 1;
	free(d2);
	free(scratch);
	g->gamma = median > 0 ? 1 / median : 1;
	return NS_OK;
}

/* gamma = 1 / an upper bound of all distances: twice the largest distance from the reference's mean */
static enum ns_status scale_distances(struct mmd *g)
{
	float *mean = calloc((size_t)g->d, sizeof *mean), most = 0;
	int64_t i;
	int c;

	if (!mean)
		return ns_fail(NS_NO_MEMORY, "out of memory for a mean");
	for (c = 0; c < g->d; c++) {
		double sum = 0;

		for (i = 0; i < g->m; i++)
			sum += (double)g->x[i * g->d + c];
		mean[c] = (float)(sum / (double)g->m);
	}
	for (i = 0; i < g->m; i++)
		most = fmaxf(most, distance2(g->x + i * g->d, mean, g->d));
	for (i = 0; i < g->n; i++)
		most = fmaxf(most, distance2(g->y + i * g->d, mean, g->d));
	free(mean);
	g->gamma = most > 0 ? 1 / (2 * sqrtf(most)) : 1;
	return NS_OK;
}

/* unbiased MMD^2 from the sums of one permutation */
static double mmd2(double q, double s, double total, double m, double n)
{
	double one = 32767, xx = q / one, xy = (s - q) / one, yy = (total - 2 * s + q) / one;

	return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n);
}

/* --- the witness function: mean kernel to the current window minus mean kernel to the reference; large where a row drifted most --- */

#define WITNESS_ROWS  2000 /* of each window that a row is compared with */
#define WITNESS_BLOCK 64   /* rows of a task */

struct witness {
	const struct mmd *g;
	double *score;
};

static enum ns_status witness_block(void *context, int task, int worker)
{
	const struct witness *w = context;
	const struct mmd *g = w->g;
	int64_t i, j, m = g->m < WITNESS_ROWS ? g->m : WITNESS_ROWS, n = g->n < WITNESS_ROWS ? g->n : WITNESS_ROWS;
	int64_t end = (int64_t)(task + 1) * WITNESS_BLOCK < g->n ? (int64_t)(task + 1) * WITNESS_BLOCK : g->n;

	(void)worker;
	for (i = (int64_t)task * WITNESS_BLOCK; i < end; i++) {
		double to_ref = 0, to_cur = 0;

		for (j = 0; j < m; j++)
			to_ref += (double)ns_exp_neg(-g->gamma * distance2(g->y + i * g->d, g->x + j * g->d, g->d));
		for (j = 0; j < n; j++)
			to_cur += (double)ns_exp_neg(-g->gamma * distance2(g->y + i * g->d, g->y + j * g->d, g->d));
		w->score[i] = to_cur / (double)n - to_ref / (double)m;
	}
	return NS_OK;
}

static enum ns_status witness(struct ns_drift *s, const struct mmd *g)
{
	struct witness w = {g, malloc(sizeof *w.score * (size_t)g->n)};
	enum ns_status status;
	int64_t i;
	int t;

	if (!w.score)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld scores", (long long)g->n);
	status = ns_workers_run(s->job->workers, (int)((g->n + WITNESS_BLOCK - 1) / WITNESS_BLOCK), witness_block, &w);
	for (i = 0; status == NS_OK && i < g->n; i++) {
		for (t = s->top_count < 24 ? s->top_count++ : 24; t > 0 && s->top[t - 1].score < w.score[i]; t--)
			if (t < 24)
				s->top[t] = s->top[t - 1];
		if (t < 24)
			s->top[t] = (struct ns_top){s->cur.id ? s->cur.id[g->rows[i]] : 0, g->rows[i], w.score[i]};
	}
	free(w.score);
	return status;
}

/* Rows in group X under each permutation; it varies where blocks of different sizes are permuted. */
static enum ns_status group_sizes(const struct mmd *g, double *size)
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
static enum ns_status permuted(struct mmd *g, double *observed, double *p_value)
{
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
	}
	*p_value = (1.0 + exceed) / (1.0 + p);
out:
	free(sum);
	free(size);
	return status;
}

/* Renumbers the blocks of the chosen rows without gaps, the reference's first. */
static enum ns_status number_blocks(struct mmd *g)
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

/* Chooses rows, computes the sums of all permutations, the statistic and p; `then` sets the effect. */
static enum ns_status permute(struct ns_drift *s, int64_t most, int distance, enum ns_status (*then)(struct mmd *, struct ns_drift_test *),
			      const char *method)
{
	int workers = ns_workers_count(s->job->workers);
	struct mmd g = {.s = s, .d = s->ref.embedding.d, .per = workers, .distance = distance};
	struct ns_drift_test *t;
	enum ns_status status;

	if (!ns_drift_is_enabled(s, method))
		return NS_OK;
	t = ns_drift_add(s, "embedding", method, "embedding");
	if (!t)
		return ns_fail(NS_NO_MEMORY, "out of memory for tests");
	if (s->ref.rows < 2 || s->cur.rows < 2) {
		t->note = "needs at least two rows on each side";
		t->status = NS_DRIFT_UNTESTED;
		return NS_OK;
	}
	g.rows = malloc(2 * sizeof *g.rows * (size_t)most);
	g.ref_rows = g.rows ? g.rows + most : NULL;
	g.sums = calloc((size_t)workers * (2 * ((size_t)s->permutations + 1) + 1), sizeof *g.sums);
	NS_GO(g.rows && g.sums ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %s", method));
	NS_GO(ns_drift_choose_rows(&s->ref.embedding, most, s->seed, &g.x, &g.m, g.ref_rows));
	NS_GO(ns_drift_choose_rows(&s->cur.embedding, most, s->seed, &g.y, &g.n, g.rows));
	NS_GO(number_blocks(&g));
	NS_GO(distance ? scale_distances(&g) : median_gamma(&g));
	if (!(g.gamma > 0) || !isfinite(g.gamma)) {
		t->status = NS_DRIFT_UNTESTED;
		t->note = "distances are too large for arithmetic in 32 bits";
		goto out;
	}
	NS_GO(ns_workers_run(s->job->workers, g.per, mmd_part, &g));
	NS_GO(permuted(&g, &t->statistic, &t->p));
	status = then(&g, t);
out:
	free(g.x);
	free(g.y);
	free(g.rows);
	free(g.block);
	free(g.sums);
	return status;
}

static enum ns_status mmd_seen(struct mmd *g, struct ns_drift_test *t)
{
	g->s->gamma = g->gamma;
	t->effect = sqrt(fmax(0, t->statistic)); /* MMD itself, between 0 and sqrt 2 */
	/* no interval: permutations show the spread without drift, not with this one */
	return g->s->job->comm->rank == 0 ? witness(g->s, g) : NS_OK;
}

/* Statistic in the embeddings' unit; effect = its share of 2 E|x - y|: 0 for equal windows, 1 for two different constants. */
static enum ns_status energy_seen(struct mmd *g, struct ns_drift_test *t)
{
	double across = 0;
	int64_t i, j;

	for (i = 0; i < g->m; i++)
		for (j = 0; j < g->n; j++)
			across += sqrt((double)distance2(g->x + i * g->d, g->y + j * g->d, g->d));
	across *= 2 / ((double)g->m * (double)g->n);
	t->statistic /= (double)g->gamma;
	t->effect = across > 0 ? fmax(0, t->statistic / across) : 0;
	return NS_OK;
}

/* --- all of them --- */

struct finite {
	int d;
	atomic_int broken;
};

static enum ns_status finite_rows(void *context, int64_t first, int64_t n, const float *x)
{
	struct finite *f = context;

	(void)first;
	if (!ns_drift_all_finite(x, n * f->d))
		atomic_store(&f->broken, 1);
	return NS_OK;
}

/* Collective. Are all values of a window finite? Ranks share its rows. */
static enum ns_status look_for_numbers(struct ns_drift *s, const struct ns_matrix *of, int *finite)
{
	struct finite f = {.d = of->d};
	enum ns_status status = ns_drift_each_row(s, of, finite_rows, &f);
	int64_t broken = atomic_load(&f.broken);

	status = ns_drift_gather(s, status, &broken, 1);
	*finite = !broken;
	return status;
}

enum ns_status ns_drift_test_rows(struct ns_drift *s)
{
	int random = (int)ns_conf_int(s->job->conf, "drift.projections"), ref, cur;

	NS_TRY(look_for_numbers(s, &s->ref.embedding, &ref));
	NS_TRY(look_for_numbers(s, &s->cur.embedding, &cur));
	if (!ref || !cur) {
		struct ns_drift_test *t = ns_drift_add(s, "embedding", "mmd", "embedding");

		if (t) {
			t->note = "has values that are no finite numbers";
			t->broken = ref;
		}
		return t ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for tests");
	}
	if (ns_drift_is_enabled(s, "ks"))
		NS_TRY(ns_drift_components(s));
	if (random && ns_drift_is_enabled(s, "ks"))
		NS_TRY(ns_drift_projections(s, random));
	NS_TRY(permute(s, MMD_ROWS, 0, mmd_seen, "mmd"));
	NS_TRY(permute(s, ENERGY_ROWS, 1, energy_seen, "energy"));
	NS_TRY(ns_drift_whole_rows(s, "c2st", MMD_ROWS));
	NS_TRY(ns_drift_whole_rows(s, "fid", MMD_ROWS));
	return ns_drift_whole_rows(s, "kid", ENERGY_ROWS);
}
