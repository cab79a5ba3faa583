/*
 * jobs/drift/self.c - the nightly self-test: the reference against itself. It is split at random into two halves many times; each detector
 * with a p-value reports how often it would have raised a (false) alarm.
 *
 * The units of the split are sequences (drift.sequence_seconds), else stretches of consecutive rows: halves of a reference of bursts are
 * alike if single rows are assigned at random, and correlation between neighbours stays hidden. Without times single rows are assigned,
 * which tests the arithmetic alone.
 */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "host/run/run.h"
#include "kernels/formula/mmd.h"
#include "kernels/formula/sort.h"

#define SPLIT_ROWS    20000 /* rows of the reference that take part, chosen by key: they are kept in memory */
#define HALF	      2000  /* rows of a half, at most */
#define MMD_HALF      250
#define MMD_DRAWS     499	/* the smallest p, 1/500, is below MMD's share (a tenth) of an alpha of 5 % */
#define PICKED_FLOATS (1 << 20) /* that are read at once where few of many classes are picked */
#define ROWS_NEEDED   100	/* fewer are too few for a self-test */

#define STRETCHES     50

/* the self-test: rows of the reference with their columns */
struct self_test {
	struct ns_drift *s;
	int64_t rows, *row; /* indices in the reference */
	float *stats, *confidence, *prob, *embedding, *pca;
	int32_t *pred, *block; /* NULL: none */
	int32_t *of;	       /* the stretch of each row; NULL: each row is a unit of its own */
	int64_t stretches;
	int64_t half;
	float gamma;	 /* of MMD's kernel, as in the test of the window; 0: not tested */
	uint64_t *alarm; /* (rounds, NS_SELF_TEST_KINDS): 0, 1, or 2 where not tested; words of 8 bytes that ranks exchange */
};

static const char *const names[NS_SELF_TEST_KINDS] = {"ks", "cvm", "chi2", "mmd", "c2st", "all that decide"};

const char *ns_drift_self_name(int kind)
{
	return names[kind];
}

/* Tests the columns of x (rows, d) between two halves: least p of KS and of Cramer-von Mises, number of columns tested. */
static void columns(const struct self_test *g, const float *x, int d, const int64_t *row, int64_t half, float *a, uint32_t *scratch, double *ks,
		    double *cvm, int *count)
{
	float *b = a + half;
	int32_t *block = (int32_t *)scratch; /* of both halves; read before scratch serves the sort */
	int64_t i;
	int c;

	for (c = 0; x && c < d; c++) {
		struct ns_stat_column shift;
		int64_t rows[2] = {0, 0}; /* whose value is a number */
		double m, n;

		for (i = 0; i < 2 * half; i++) {
			float value = x[row[i] * d + c];
			int second = i >= half;

			if (!isfinite(value))
				continue;
			if (g->block)
				block[(second ? half : 0) + rows[second]] = g->block[row[i]];
			(second ? b : a)[rows[second]++] = value;
		}
		if (!rows[0] || !rows[1])
			continue;
		m = g->block ? ns_drift_effective_rows(a, block, rows[0], g->stretches) : (double)rows[0];
		n = g->block ? ns_drift_effective_rows(b, block + half, rows[1], g->stretches) : (double)rows[1];
		ns_sort_floats(a, rows[0], scratch);
		ns_sort_floats(b, rows[1], scratch);
		if (a[0] == b[0] && a[rows[0] - 1] == b[rows[1] - 1] && a[0] == a[rows[0] - 1])
			continue;
		ns_stat_column(a, rows[0], b, rows[1], &shift);
		*ks = fmin(*ks, ns_stat_ks_p(shift.ks, (int64_t)m, (int64_t)n));
		*cvm = fmin(*cvm, ns_drift_cvm_p(shift.cvm, rows[0], rows[1], m, n));
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

static enum ns_status permuted(const struct self_test *g, int worker, const float *x, int64_t n, uint64_t seed, double *p)
{
	const struct ns_drift *s = g->s;
	int d = s->ref.embedding.d, i, exceed = 0;
	int64_t q[MMD_DRAWS + 1], r[MMD_DRAWS + 1], total;
	size_t bytes = sizeof *x * (size_t)n * (size_t)d;
	struct ns_op op = {.kind = NS_OP_MMD};
	struct ns_staged io = {{x, x + n * d}, {bytes, bytes}, {q, r, &total}, {sizeof q, sizeof r, sizeof total}};

	op.u.mmd = (struct ns_op_mmd){.m = n, .n = n, .row_end = 2 * n, .d = d, .permutations = MMD_DRAWS, .seed = seed, .gamma = g->gamma};
	NS_TRY(ns_staged_run(s->job->set->devices[worker], s->job->set->queues[worker], &op, &io));
	for (i = 1; i <= MMD_DRAWS; i++) /* with halves of equal size MMD^2 is an increasing function of q - r */
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

/* Cuts the rows, in order of time, into STRETCHES of equal size; none where there are fewer distinct times than that. */
static enum ns_status stretches(struct self_test *g)
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
		return ns_fail(NS_NO_MEMORY, "out of memory for a self-test");
	}
	for (i = 0; i < g->rows; i++)
		t[i] = (struct taken){g->block ? g->block[i] : p->time[g->row[i]], i};
	qsort(t, (size_t)g->rows, sizeof *t, by_time);
	for (i = 0; i < g->rows; i++) {
		distinct += i == 0 || t[i].time != t[i - 1].time;
		g->of[t[i].row] = (int32_t)(g->block ? distinct - 1 : i * STRETCHES / g->rows); /* each sequence is a stretch */
	}
	for (i = 0; g->block && i < g->rows; i++)
		g->block[i] = g->of[i]; /* renumbered: most sequences of a large reference have no row here */
	g->stretches = g->block ? distinct : STRETCHES;
	if (!g->block && distinct < STRETCHES) {
		free(g->of);
		g->of = NULL;
	}
	free(t);
	return NS_OK;
}

/* A random split: at most *half rows of each half, in row[0..) and row[*half..); *half becomes the size of the smaller one. */
static void random_split(const struct self_test *g, uint64_t seed, int64_t *row, int64_t *half)
{
	int64_t rows = g->rows, n[2] = {0, 0}, most = *half, i, less;

	for (i = 0; i < rows; i++) { /* in random order, so that rows beyond the capacity are dropped at random */
		int64_t r = (int64_t)ns_permute((uint64_t)i, (uint64_t)rows, seed, NS_FOR_SPLIT, 2);
		int64_t side =
			g->of ? (int64_t)ns_permute((uint64_t)g->of[r], (uint64_t)g->stretches, seed, NS_FOR_SPLIT, 3) * 2 / g->stretches : i % 2;

		if (n[side] < most)
			row[side * most + n[side]++] = r;
	}
	less = n[0] < n[1] ? n[0] : n[1];
	memmove(row + less, row + most, sizeof *row * (size_t)less);
	*half = less;
}

static enum ns_status one_split(void *context, int task, int worker)
{
	struct self_test *g = context;
	struct ns_drift *s = g->s;
	int64_t half = g->half, i, n;
	int d = s->ref.embedding.d, round = task * s->job->comm->size + s->job->comm->rank, count = 0, all;
	uint64_t *alarm = g->alarm + (int64_t)round * NS_SELF_TEST_KINDS, seed = s->seed + 7919u * (uint64_t)(round + 1);
	int64_t *row = malloc(sizeof *row * 2 * (size_t)half);
	float *a = malloc(sizeof *a * 2 * (size_t)half), *rows = malloc(sizeof *rows * (size_t)(2 * half * (d + 1)));
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)half);
	double ks = 1, cvm = 1, chi = NAN, mmd = NAN, c2st = NAN, joint, least, low, high, accuracy;
	enum ns_status status = row && a && rows && scratch ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a self-test");

	if (status != NS_OK || round >= s->self_test)
		goto out;
	random_split(g, seed, row, &half);
	for (i = 0; i < NS_SELF_TEST_KINDS; i++)
		alarm[i] = 2;
	if (half < 20)
		goto out;
	n = half < MMD_HALF ? half : MMD_HALF;
	columns(g, g->stats, s->ref.stats.d, row, half, a, scratch, &ks, &cvm, &count);
	columns(g, g->confidence, 2, row, half, a, scratch, &ks, &cvm, &count);
	columns(g, g->prob, s->picks ? s->picks : s->ref.prob.d, row, half, a, scratch, &ks, &cvm, &count);
	columns(g, g->pca, s->pca_dim, row, half, a, scratch, &ks, &cvm, &count);
	if (g->pred && !g->block) /* with sequences only columns are tested */
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
	all = count + !isnan(chi); /* Holm's first step, with the shares of alpha of a window's tests */
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

/* the chosen rows of a matrix; *x stays NULL where the matrix has no columns */
static enum ns_status gather(const struct self_test *g, const struct ns_matrix *of, float **x)
{
	if (!of->d)
		return NS_OK;
	*x = malloc(sizeof **x * (size_t)g->rows * (size_t)of->d);
	return *x ? ns_matrix_pick(of, g->row, g->rows, *x) : ns_fail(NS_NO_MEMORY, "out of memory for a self-test");
}

/* the chosen rows of the probabilities, of many classes those that are tested alone */
static enum ns_status gather_classes(struct self_test *g)
{
	struct ns_columns v = ns_drift_class_columns(g->s, &g->s->ref.prob);
	int64_t step = v.of->d ? 1 + PICKED_FLOATS / v.of->d : 1, at, n;
	enum ns_status status = NS_OK;
	float *rows;

	if (!v.pick || !v.of->d)
		return gather(g, v.of, &g->prob);
	g->prob = malloc(sizeof *g->prob * (size_t)g->rows * (size_t)v.k);
	rows = malloc(sizeof *rows * (size_t)step * (size_t)v.of->d);
	if (!g->prob || !rows)
		status = ns_fail(NS_NO_MEMORY, "out of memory for a self-test");
	for (at = 0; status == NS_OK && at < g->rows; at += n) {
		n = g->rows - at < step ? g->rows - at : step;
		status = ns_matrix_pick(v.of, g->row + at, n, rows);
		if (status == NS_OK)
			ns_drift_take_classes(&v, rows, n, 0, v.k, g->prob + at * v.k);
	}
	free(rows);
	return status;
}

static enum ns_status of_each(const struct self_test *g, const int32_t *all, int32_t **x)
{
	int64_t i;

	if (!all)
		return NS_OK;
	*x = malloc(sizeof **x * (size_t)g->rows);
	for (i = 0; *x && i < g->rows; i++)
		(*x)[i] = all[g->row[i]];
	return *x ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a self-test");
}

static enum ns_status choose(struct self_test *g)
{
	const struct ns_drift *s = g->s;
	int64_t all = s->ref.rows, i;
	struct ns_matrix confidence = {.rows = all, .d = s->ref_confidence ? 2 : 0, .data = s->ref_confidence};

	g->rows = all < SPLIT_ROWS ? all : SPLIT_ROWS;
	g->row = malloc(sizeof *g->row * (size_t)g->rows);
	if (!g->row)
		return ns_fail(NS_NO_MEMORY, "out of memory for a self-test");
	for (i = 0; i < g->rows; i++)
		g->row[i] = all <= SPLIT_ROWS ? i : (int64_t)ns_permute((uint64_t)i, (uint64_t)all, s->seed, NS_FOR_SPLIT, 4);
	NS_TRY(gather(g, &s->ref.stats, &g->stats));
	NS_TRY(gather(g, &confidence, &g->confidence));
	NS_TRY(gather_classes(g));
	if (s->pca || s->gamma > 0)
		NS_TRY(gather(g, &s->ref.embedding, &g->embedding));
	if (s->pca) {
		g->pca = malloc(sizeof *g->pca * (size_t)g->rows * (size_t)s->pca_dim);
		if (!g->pca)
			return ns_fail(NS_NO_MEMORY, "out of memory for a self-test");
		NS_TRY(ns_stat_pca_apply(g->embedding, g->rows, s->ref.embedding.d, s->pca_dim, s->pca_mean, s->pca, g->pca));
	}
	NS_TRY(of_each(g, s->ref.pred, &g->pred));
	return of_each(g, s->ref_block, &g->block);
}

static void self_test_release(struct self_test *g)
{
	free(g->row);
	free(g->stats);
	free(g->confidence);
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
	int rounds = s->self_test, ranks = s->job->comm->size, r, k;
	struct self_test g = {.s = s, .gamma = s->pca ? s->gamma : 0};
	enum ns_status status;

	if (!rounds || s->ref.rows < ROWS_NEEDED)
		return NS_OK;
	g.alarm = calloc((size_t)rounds, NS_SELF_TEST_KINDS * sizeof *g.alarm);
	status = g.alarm ? choose(&g) : ns_fail(NS_NO_MEMORY, "out of memory for a self-test");
	if (status == NS_OK)
		status = stretches(&g);
	g.half = g.rows / 2 < HALF ? g.rows / 2 : HALF;
	if (status == NS_OK)
		status = ns_workers_run(s->job->workers, (rounds + ranks - 1) / ranks, one_split, &g);
	NS_GO(ns_drift_gather(s, status, g.alarm, (size_t)rounds * NS_SELF_TEST_KINDS));
	for (r = 0; r < rounds; r++)
		for (k = 0; k < NS_SELF_TEST_KINDS; k++) {
			s->self_rounds[k] += g.alarm[r * NS_SELF_TEST_KINDS + k] < 2;
			s->self_alarms[k] += g.alarm[r * NS_SELF_TEST_KINDS + k] == 1;
		}
out:
	self_test_release(&g);
	return status;
}
