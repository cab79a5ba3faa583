/* jobs/drift/detect_mmd.c - the detector mmd, of whole rows, and the rows that it says moved most. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/formula/mmd.h"
#include "kernels/formula/sort.h"

#define MEDIAN_ROWS 2000

static const float *pooled(const struct ns_drift_permutation *g, int64_t i)
{
	return i < g->m ? g->x + i * g->d : g->y + (i - g->m) * g->d;
}

/*
 * gamma = 1 / the lower median of squared distances over pairs of up to 2000 pooled rows. A bandwidth that depended on which window a row is
 * of would break the exchangeability that the permutation test needs, and small windows would alarm too often.
 */
static enum ns_status median_gamma(struct ns_drift_permutation *g)
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
			d2[k++] = ns_drift_distance2(pooled(g, i * all / n), pooled(g, j * all / n), g->d);
	ns_sort_floats(d2, pairs, scratch);
	median = pairs ? d2[(pairs - 1) / 2] : 1;
	free(d2);
	free(scratch);
	g->gamma = median > 0 ? 1 / median : 1;
	return NS_OK;
}

/* --- the witness function: mean kernel to the current window minus mean kernel to the reference; large where a row drifted most --- */

#define WITNESS_ROWS  2000 /* of each window that a row is compared with */
#define WITNESS_BLOCK 64   /* rows of a task */

struct witness {
	const struct ns_drift_permutation *g;
	double *score;
};

static enum ns_status witness_block(void *context, int task, int worker)
{
	const struct witness *w = context;
	const struct ns_drift_permutation *g = w->g;
	int64_t i, j, m = g->m < WITNESS_ROWS ? g->m : WITNESS_ROWS, n = g->n < WITNESS_ROWS ? g->n : WITNESS_ROWS;
	int64_t end = (int64_t)(task + 1) * WITNESS_BLOCK < g->n ? (int64_t)(task + 1) * WITNESS_BLOCK : g->n;

	(void)worker;
	for (i = (int64_t)task * WITNESS_BLOCK; i < end; i++) {
		double to_ref = 0, to_cur = 0;

		for (j = 0; j < m; j++)
			to_ref += (double)ns_exp_neg(-g->gamma * ns_drift_distance2(g->y + i * g->d, g->x + j * g->d, g->d));
		for (j = 0; j < n; j++)
			to_cur += (double)ns_exp_neg(-g->gamma * ns_drift_distance2(g->y + i * g->d, g->y + j * g->d, g->d));
		w->score[i] = to_cur / (double)n - to_ref / (double)m;
	}
	return NS_OK;
}

static enum ns_status witness(struct ns_drift *s, const struct ns_drift_permutation *g)
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

static enum ns_status mmd_effect(struct ns_drift_permutation *g, struct ns_drift_test *t)
{
	g->s->gamma = g->gamma;
	t->effect = sqrt(fmax(0, t->statistic)); /* MMD itself, between 0 and sqrt 2 */
	/* no interval: permutations show the spread without drift, not with this one */
	return g->s->job->comm->rank == 0 ? witness(g->s, g) : NS_OK;
}

static enum ns_status mmd_rows(struct ns_drift *s, struct ns_drift_test *t)
{
	return ns_drift_permuted(s, t, NS_DECIDING_ROWS, 0, median_gamma, mmd_effect);
}

const struct ns_drift_detector ns_detector_mmd = {
	.name = "mmd",
	.decides = 1,
	.title = "maximum mean discrepancy",
	.statistic = "unbiased MMD^2, Gaussian kernel",
	.effect = "MMD, 0 to sqrt 2",
	.meaning = "Whether embeddings as a whole come from where they came from; p by permutation.",
	.source = "Gretton et al. 2012",
	.rows = mmd_rows,
};
