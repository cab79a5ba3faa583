/*
 * jobs/drift/self.c - the nightly self-test: the reference against itself. It is dealt into two halves many times, and each detector that
 * has a p-value says how often it would have cried out, where nothing should have moved.
 *
 * What is dealt is sequences (drift.sequence_seconds), else stretches of rows that were taken one after the other: were single rows
 * dealt, the halves of a reference of bursts would be as alike as those of any other. Where rows have no times, rows are dealt, and
 * the test is of the arithmetic alone.
 */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "host/run/run.h"
#include "kernels/formula/mmd.h"
#include "kernels/formula/sort.h"

#define DEALT	    20000 /* rows of the reference that are dealt, chosen by key: they are kept in memory */
#define HALF	    2000 /* rows of a half, at most */
#define MMD_HALF    250
#define MMD_DRAWS   499 /* p can be as small as MMD's share of an alpha of 5 % wants */
#define ROWS_WANTED 100 /* fewer tell nothing */

#define STRETCHES 50

/* rows of the reference, their columns beside each other */
struct deal {
	struct ns_drift *s;
	int64_t rows, *row; /* numbers in the reference */
	float *stats, *sure, *prob, *embedding, *pca;
	int32_t *pred, *block; /* NULL: there are none */
	int32_t *of; /* the stretch of each row; NULL: each row by itself */
	int64_t stretches;
	int64_t half;
	float gamma; /* MMD's, of the whole test; 0: not tested */
	uint64_t *alarm; /* (rounds, NS_SELF_KINDS): 0, 1, or 2 where it was not tested; words that ranks hand on */
};

static const char *const names[NS_SELF_KINDS] = {"ks", "cvm", "chi2", "mmd", "c2st", "all that decide"};

const char *ns_drift_self_name(int kind)
{
	return names[kind];
}

/* columns of x (rows, d) in two halves: the least p of KS and of Cramer-von Mises over columns, and how many columns there are */
static void columns(const struct deal *g, const float *x, int d, const int64_t *row, int64_t half, float *a, uint32_t *scratch, double *ks, double *cvm,
		    int *count)
{
	float *b = a + half;
	int32_t *block = (int32_t *)scratch; /* of either half, before they are sorted */
	int64_t i;
	int c;

	for (c = 0; x && c < d; c++) {
		struct ns_stat_column shift;
		double m = (double)half, n = (double)half;

		for (i = 0; i < half; i++) {
			a[i] = x[row[i] * d + c];
			b[i] = x[row[half + i] * d + c];
		}
		if (!ns_all_finite(a, half) || !ns_all_finite(b, half))
			continue;
		for (i = 0; g->block && i < 2 * half; i++)
			block[i] = g->block[row[i]];
		if (g->block) {
			m = ns_drift_effective(a, block, half, g->stretches);
			n = ns_drift_effective(b, block + half, half, g->stretches);
		}
		ns_sort_floats(a, half, scratch);
		ns_sort_floats(b, half, scratch);
		if (a[0] == b[0] && a[half - 1] == b[half - 1] && a[0] == a[half - 1])
			continue;
		ns_stat_column(a, half, b, half, &shift);
		*ks = fmin(*ks, ns_stat_ks_p(shift.ks, (int64_t)m, (int64_t)n));
		*cvm = fmin(*cvm, ns_drift_cvm_p(shift.cvm, half, half, m, n));
		++*count;
	}
}

static double classes(const int32_t *pred, const int64_t *row, int64_t half, uint64_t seed)
{
	int64_t *count, i;
	double statistic, v, least, result;
	int k = 1;

	for (i = 0; i < 2 * half; i++)
		k = pred[row[i]] >= k ? pred[row[i]] + 1 : k;
	count = calloc(2 * (size_t)k, sizeof *count);
	if (!count)
		return NAN;
	for (i = 0; i < 2 * half; i++)
		count[(i < half ? 0 : k) + pred[row[i]]]++;
	result = ns_stat_chi2_counts(count, count + k, k, &statistic, &v);
	(void)ns_stat_g_counts(count, count + k, k, &statistic, &least);
	if (least < 5)
		result = ns_stat_chi2_draws(count, count + k, k, MMD_DRAWS, seed);
	free(count);
	return result;
}

static enum ns_status permuted(const struct deal *g, int worker, const float *x, int64_t n, uint64_t seed, double *p)
{
	const struct ns_drift *s = g->s;
	int d = s->ref.embedding.d, i, exceed = 0;
	int64_t q[MMD_DRAWS + 1], r[MMD_DRAWS + 1], total;
	size_t bytes = sizeof *x * (size_t)n * (size_t)d;
	struct ns_op op = {.kind = NS_OP_MMD};
	struct ns_staged io = {{x, x + n * d}, {bytes, bytes}, {q, r, &total}, {sizeof q, sizeof r, sizeof total}};

	op.u.mmd = (struct ns_op_mmd){.m = n, .n = n, .row_end = 2 * n, .d = d, .permutations = MMD_DRAWS, .seed = seed, .gamma = g->gamma};
	NS_TRY(ns_staged_run(s->job->set->devices[worker], s->job->set->queues[worker], &op, &io));
	for (i = 1; i <= MMD_DRAWS; i++) /* halves are equal, so MMD^2 grows with 4 q - 2 s */
		exceed += 4 * q[i] - 4 * r[i] >= 4 * q[0] - 4 * r[0];
	*p = (1.0 + exceed) / (1.0 + MMD_DRAWS);
	return NS_OK;
}

struct taken {
	int64_t time, row;
};

static int by_time(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	return x->time != y->time ? (x->time > y->time) - (x->time < y->time) : (x->row > y->row) - (x->row < y->row);
}

/* rows in order of time, in STRETCHES of as many rows; where times do not tell them apart, none */
static enum ns_status stretches(struct deal *g)
{
	const struct ns_predictions *p = &g->s->ref;
	struct taken *t;
	int64_t i, distinct = 0;

	if (!p->time && !g->block)
		return NS_OK;
	t = malloc(sizeof *t * (size_t)g->rows);
	g->of = malloc(sizeof *g->of * (size_t)g->rows);
	if (!t || !g->of) {
		free(t);
		return ns_fail(NS_NO_MEMORY, "no memory for a self-test");
	}
	for (i = 0; i < g->rows; i++)
		t[i] = (struct taken){g->block ? g->block[i] : p->time[g->row[i]], i};
	qsort(t, (size_t)g->rows, sizeof *t, by_time);
	for (i = 0; i < g->rows; i++) {
		distinct += i == 0 || t[i].time != t[i - 1].time;
		g->of[t[i].row] = (int32_t)(g->block ? distinct - 1 : i * STRETCHES / g->rows); /* sequences are stretches of their own */
	}
	for (i = 0; g->block && i < g->rows; i++)
		g->block[i] = g->of[i]; /* numbered anew: of millions few have rows here */
	g->stretches = g->block ? distinct : STRETCHES;
	if (!g->block && distinct < STRETCHES) {
		free(g->of);
		g->of = NULL;
	}
	free(t);
	return NS_OK;
}

/* rows of the two halves, at most `half` of each: row[0..), row[half..); fewer than half of one: that many of both, in *half */
static void deal(const struct deal *g, uint64_t seed, int64_t *row, int64_t *half)
{
	int64_t rows = g->rows, n[2] = {0, 0}, most = *half, i, less;

	for (i = 0; i < rows; i++) { /* in random order, so that those who do not fit are any */
		int64_t r = (int64_t)ns_permute((uint64_t)i, (uint64_t)rows, seed, NS_FOR_SPLIT, 2);
		int64_t place = g->of ? (int64_t)ns_permute((uint64_t)g->of[r], (uint64_t)g->stretches, seed, NS_FOR_SPLIT, 3) * 2 / g->stretches : i % 2;

		if (n[place] < most)
			row[place * most + n[place]++] = r;
	}
	less = n[0] < n[1] ? n[0] : n[1];
	memmove(row + less, row + most, sizeof *row * (size_t)less);
	*half = less;
}

static enum ns_status one_deal(void *context, int task, int worker)
{
	struct deal *g = context;
	struct ns_drift *s = g->s;
	int64_t half = g->half, i, n;
	int d = s->ref.embedding.d, round = task * s->job->comm->size + s->job->comm->rank, count = 0, all;
	uint64_t *alarm = g->alarm + (int64_t)round * NS_SELF_KINDS, seed = s->seed + 7919u * (uint64_t)(round + 1);
	int64_t *row = malloc(sizeof *row * 2 * (size_t)half);
	float *a = malloc(sizeof *a * 2 * (size_t)half), *rows = malloc(sizeof *rows * (size_t)(2 * half * (d + 1)));
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)half);
	double ks = 1, cvm = 1, chi = NAN, mmd = NAN, c2st = NAN, joint, least, low, high, accuracy;
	enum ns_status status = row && a && rows && scratch ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for a self-test");

	if (status != NS_OK || round >= ns_conf_int(s->job->conf, "drift.self_test"))
		goto out;
	deal(g, seed, row, &half);
	for (i = 0; i < NS_SELF_KINDS; i++)
		alarm[i] = 2;
	if (half < 20)
		goto out;
	n = half < MMD_HALF ? half : MMD_HALF;
	columns(g, g->stats, s->ref.stats.d, row, half, a, scratch, &ks, &cvm, &count);
	columns(g, g->sure, 2, row, half, a, scratch, &ks, &cvm, &count);
	columns(g, g->prob, s->ref.prob.d, row, half, a, scratch, &ks, &cvm, &count);
	columns(g, g->pca, s->pca_dim, row, half, a, scratch, &ks, &cvm, &count);
	if (g->pred && !g->block) /* of sequences, columns alone */
		chi = classes(g->pred, row, half, seed);
	if (g->gamma > 0 && !g->block) {
		for (i = 0; i < half; i++) {
			memcpy(rows + i * d, g->embedding + row[i] * d, sizeof *rows * (size_t)d);
			memcpy(rows + (half + i) * d, g->embedding + row[half + i] * d, sizeof *rows * (size_t)d);
		}
		c2st = d > 256 ? NAN : ns_stat_c2st(rows, half, rows + half * d, half, d, seed, &accuracy, &low, &high);
		memmove(rows + n * d, rows + half * d, sizeof *rows * (size_t)(n * d));
		NS_GO(permuted(g, worker, rows, n, seed, &mmd));
	}
	all = count + !isnan(chi); /* Holm's first step, at the shares of alpha that a window's tests have */
	joint = isnan(mmd) ? 0 : all ? ns_drift_joint_share(s) : 1;
	least = fmin(all ? fmin(ks, isnan(chi) ? 1 : chi) * all / (1 - joint) : 1, joint > 0 ? mmd / joint : 1);
	alarm[0] = count ? ks * count < s->alpha : 2;
	alarm[1] = count ? cvm * count < s->alpha : 2;
	alarm[2] = isnan(chi) ? 2 : chi < s->alpha;
	alarm[3] = isnan(mmd) ? 2 : mmd <= s->alpha;
	alarm[4] = isnan(c2st) ? 2 : c2st < s->alpha;
	alarm[5] = all || joint > 0 ? least < s->alpha : 2;
out:
	free(row);
	free(a);
	free(rows);
	free(scratch);
	return status;
}

/* a matrix's rows that are dealt; *x stays NULL where there is none */
static enum ns_status gather(const struct deal *g, const struct ns_matrix *of, float **x)
{
	if (!of->d)
		return NS_OK;
	*x = malloc(sizeof **x * (size_t)g->rows * (size_t)of->d);
	return *x ? ns_matrix_pick(of, g->row, g->rows, *x) : ns_fail(NS_NO_MEMORY, "no memory for a self-test");
}

static enum ns_status of_each(const struct deal *g, const int32_t *all, int32_t **x)
{
	int64_t i;

	if (!all)
		return NS_OK;
	*x = malloc(sizeof **x * (size_t)g->rows);
	for (i = 0; *x && i < g->rows; i++)
		(*x)[i] = all[g->row[i]];
	return *x ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for a self-test");
}

static enum ns_status choose(struct deal *g)
{
	const struct ns_drift *s = g->s;
	int64_t all = s->ref.rows, i;
	struct ns_matrix sure = {.rows = all, .d = s->ref_sure ? 2 : 0, .data = s->ref_sure};

	g->rows = all < DEALT ? all : DEALT;
	g->row = malloc(sizeof *g->row * (size_t)g->rows);
	if (!g->row)
		return ns_fail(NS_NO_MEMORY, "no memory for a self-test");
	for (i = 0; i < g->rows; i++)
		g->row[i] = all <= DEALT ? i : (int64_t)ns_permute((uint64_t)i, (uint64_t)all, s->seed, NS_FOR_SPLIT, 4);
	NS_TRY(gather(g, &s->ref.stats, &g->stats));
	NS_TRY(gather(g, &sure, &g->sure));
	NS_TRY(gather(g, &s->ref.prob, &g->prob));
	if (s->pca || s->gamma > 0)
		NS_TRY(gather(g, &s->ref.embedding, &g->embedding));
	if (s->pca) {
		g->pca = malloc(sizeof *g->pca * (size_t)g->rows * (size_t)s->pca_dim);
		if (!g->pca)
			return ns_fail(NS_NO_MEMORY, "no memory for a self-test");
		NS_TRY(ns_stat_pca_apply(g->embedding, g->rows, s->ref.embedding.d, s->pca_dim, s->pca_mean, s->pca, g->pca));
	}
	NS_TRY(of_each(g, s->ref.pred, &g->pred));
	return of_each(g, s->ref_block, &g->block);
}

static void release(struct deal *g)
{
	free(g->row);
	free(g->stats);
	free(g->sure);
	free(g->prob);
	free(g->embedding);
	free(g->pca);
	free(g->pred);
	free(g->block);
	free(g->of);
	free(g->alarm);
}

enum ns_status ns_drift_self_test(struct ns_drift *s)
{
	int rounds = (int)ns_conf_int(s->job->conf, "drift.self_test"), ranks = s->job->comm->size, r, k;
	struct deal g = {.s = s, .gamma = s->pca ? s->gamma : 0};
	enum ns_status status;

	if (!rounds || s->ref.rows < ROWS_WANTED)
		return NS_OK;
	g.alarm = calloc((size_t)rounds, NS_SELF_KINDS * sizeof *g.alarm);
	status = g.alarm ? choose(&g) : ns_fail(NS_NO_MEMORY, "no memory for a self-test");
	if (status == NS_OK)
		status = stretches(&g);
	g.half = g.rows / 2 < HALF ? g.rows / 2 : HALF;
	if (status == NS_OK)
		status = ns_workers_run(s->job->workers, (rounds + ranks - 1) / ranks, one_deal, &g);
	NS_GO(ns_drift_gather(s, status, g.alarm, (size_t)rounds * NS_SELF_KINDS));
	for (r = 0; r < rounds; r++)
		for (k = 0; k < NS_SELF_KINDS; k++) {
			s->self_rounds[k] += g.alarm[r * NS_SELF_KINDS + k] < 2;
			s->self_alarms[k] += g.alarm[r * NS_SELF_KINDS + k] == 1;
		}
out:
	release(&g);
	return status;
}
