/*
 * jobs/drift_self.c - the nightly self-test: the reference against itself. It is dealt into two halves many times, and each detector that
 * has a p-value says how often it would have cried out, where nothing can have moved.
 */
#include "jobs/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/shift/pvalue.h"
#include "host/shift/twosample.h"
#include "host/staged.h"
#include "kernels/formula/mmd.h"
#include "kernels/formula/sort.h"

#define HALF	    2000 /* rows of a half, at most */
#define MMD_HALF    250
#define MMD_DRAWS   199
#define ROWS_WANTED 100 /* fewer tell nothing */

struct deal {
	struct ns_shift *s;
	int64_t half;
	float gamma; /* MMD's, of the whole test; 0: not tested */
	uint8_t *alarm; /* (rounds, NS_SELF_KINDS): 0, 1, or 2 where it was not tested */
};

static const char *const names[NS_SELF_KINDS] = {"ks", "cvm", "chi2", "mmd", "c2st", "all that decide"};

const char *ns_shift_self_name(int kind)
{
	return names[kind];
}

/* columns of x (rows, d) in two halves: the least p of KS and of Cramer-von Mises over columns, and how many columns there are */
static void columns(const float *x, int d, const int64_t *row, int64_t half, float *a, uint32_t *scratch, double *ks, double *cvm, int *count)
{
	float *b = a + half;
	int64_t i;
	int c;

	for (c = 0; x && c < d; c++) {
		struct ns_column_shift shift;

		for (i = 0; i < half; i++) {
			a[i] = x[row[i] * d + c];
			b[i] = x[row[half + i] * d + c];
		}
		if (!ns_all_finite(a, half) || !ns_all_finite(b, half))
			continue;
		ns_sort_floats(a, half, scratch);
		ns_sort_floats(b, half, scratch);
		if (a[0] == b[0] && a[half - 1] == b[half - 1] && a[0] == a[half - 1])
			continue;
		ns_column_shift(a, half, b, half, &shift);
		*ks = fmin(*ks, ns_ks_p(shift.ks, half, half));
		*cvm = fmin(*cvm, shift.cvm_p);
		++*count;
	}
}

static double classes(const struct ns_predictions *p, const int64_t *row, int64_t half, uint64_t seed)
{
	int64_t *count, i;
	double statistic, v, least, result;
	int k = 1;

	for (i = 0; i < 2 * half; i++)
		k = p->pred[row[i]] >= k ? p->pred[row[i]] + 1 : k;
	count = calloc(2 * (size_t)k, sizeof *count);
	if (!count)
		return NAN;
	for (i = 0; i < 2 * half; i++)
		count[(i < half ? 0 : k) + p->pred[row[i]]]++;
	result = ns_chi2_counts(count, count + k, k, &statistic, &v);
	(void)ns_g_counts(count, count + k, k, &statistic, &least);
	if (least < 5)
		result = ns_chi2_draws(count, count + k, k, MMD_DRAWS, seed);
	free(count);
	return result;
}

static enum ns_status permuted(const struct deal *g, int worker, const float *x, int64_t n, uint64_t seed, double *p)
{
	const struct ns_shift *s = g->s;
	int d = s->ref.embedding_dim, i, exceed = 0;
	int64_t q[MMD_DRAWS + 1], r[MMD_DRAWS + 1], total;
	size_t bytes = sizeof *x * (size_t)n * (size_t)d;
	struct ns_op op = {.kind = NS_OP_MMD};
	struct ns_staged io = {{(void *)(uintptr_t)x, (void *)(uintptr_t)(x + n * d)}, {bytes, bytes}, {q, r, &total}, {sizeof q, sizeof r, sizeof total}};

	op.u.mmd = (struct ns_mmd){.m = n, .n = n, .row_end = 2 * n, .d = d, .permutations = MMD_DRAWS, .seed = seed, .gamma = g->gamma};
	NS_TRY(ns_staged_run(s->job->set->devices[worker], s->job->set->queues[worker], &op, &io));
	for (i = 1; i <= MMD_DRAWS; i++) /* halves are equal, so MMD^2 grows with 4 q - 2 s */
		exceed += 4 * q[i] - 4 * r[i] >= 4 * q[0] - 4 * r[0];
	*p = (1.0 + exceed) / (1.0 + MMD_DRAWS);
	return NS_OK;
}

static enum ns_status one_deal(void *context, int task, int worker)
{
	struct deal *g = context;
	struct ns_shift *s = g->s;
	const struct ns_predictions *p = &s->ref;
	int64_t half = g->half, i, n = half < MMD_HALF ? half : MMD_HALF;
	uint8_t *alarm = g->alarm + task * NS_SELF_KINDS;
	int64_t *row = malloc(sizeof *row * 2 * (size_t)half);
	float *a = malloc(sizeof *a * 2 * (size_t)half), *rows = malloc(sizeof *rows * (size_t)(2 * half * (p->embedding_dim + 1)));
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)half);
	double ks = 1, cvm = 1, chi = NAN, mmd = NAN, c2st = NAN, least, low, high, accuracy;
	int count = 0, all;
	uint64_t seed = s->seed + 7919u * (uint64_t)(task + 1);
	enum ns_status status = row && a && rows && scratch ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for a self-test");

	if (status != NS_OK)
		goto out;
	for (i = 0; i < 2 * half; i++)
		row[i] = (int64_t)ns_permute((uint64_t)i, (uint64_t)p->rows, seed, NS_FOR_SPLIT, 2);
	columns(p->stats, p->stat_count, row, half, a, scratch, &ks, &cvm, &count);
	columns(s->ref_sure, 2, row, half, a, scratch, &ks, &cvm, &count);
	columns(p->prob, p->classes, row, half, a, scratch, &ks, &cvm, &count);
	columns(s->ref_pca, s->pca_dim, row, half, a, scratch, &ks, &cvm, &count);
	if (p->pred)
		chi = classes(p, row, half, seed);
	if (g->gamma > 0) {
		int d = p->embedding_dim;

		for (i = 0; i < half; i++) {
			memcpy(rows + i * d, p->embedding + row[i] * d, sizeof *rows * (size_t)d);
			memcpy(rows + (half + i) * d, p->embedding + row[half + i] * d, sizeof *rows * (size_t)d);
		}
		c2st = d > 256 || s->ref_block ? NAN : ns_c2st(rows, half, rows + half * d, half, d, seed, &accuracy, &low, &high);
		memmove(rows + n * d, rows + half * d, sizeof *rows * (size_t)(n * d));
		NS_GO(permuted(g, worker, rows, n, seed, &mmd));
	}
	all = count + !isnan(chi) + !isnan(mmd);
	least = fmin(fmin(ks, isnan(chi) ? 1 : chi), isnan(mmd) ? 1 : mmd); /* Holm's first step */
	alarm[0] = count ? ks * count < s->alpha : 2;
	alarm[1] = count ? cvm * count < s->alpha : 2;
	alarm[2] = isnan(chi) ? 2 : chi < s->alpha;
	alarm[3] = isnan(mmd) ? 2 : mmd <= s->alpha;
	alarm[4] = isnan(c2st) ? 2 : c2st < s->alpha;
	alarm[5] = all ? least * all < s->alpha : 2;
out:
	free(row);
	free(a);
	free(rows);
	free(scratch);
	return status;
}

enum ns_status ns_shift_self_test(struct ns_shift *s, float gamma)
{
	int rounds = (int)ns_conf_int(s->job->conf, "drift.self_test"), r, k;
	struct deal g = {s, s->ref.rows / 2 < HALF ? s->ref.rows / 2 : HALF, s->ref_pca ? gamma : 0, NULL};
	enum ns_status status;

	if (!rounds || s->ref.rows < ROWS_WANTED)
		return NS_OK;
	g.alarm = calloc((size_t)rounds, NS_SELF_KINDS);
	NS_GO(g.alarm ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for a self-test"));
	NS_GO(ns_pool_run(s->job->pool, rounds, one_deal, &g));
	for (r = 0; r < rounds; r++)
		for (k = 0; k < NS_SELF_KINDS; k++) {
			s->self_rounds[k] += g.alarm[r * NS_SELF_KINDS + k] < 2;
			s->self_alarms[k] += g.alarm[r * NS_SELF_KINDS + k] == 1;
		}
out:
	free(g.alarm);
	return status;
}
