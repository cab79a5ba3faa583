/* jobs/drift/whole.c - tests of whole rows that hold a sample of them in memory: C2ST, FID, KID. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "kernels/formula/random.h"

#define FRECHET_DIM 2048 /* most dimensions for FID: its cost is cubic, seconds at this size */

/* Up to `most` rows, chosen by key: *x (n, d), which the caller frees in any case; their indices in `chosen` (most), or NULL. */
enum ns_status ns_drift_choose_rows(const struct ns_matrix *of, int64_t most, uint64_t seed, float **x, int64_t *n, int64_t *chosen)
{
	int64_t i, *row;
	enum ns_status status;

	*n = of->rows < most ? of->rows : most;
	*x = malloc(sizeof **x * (size_t)*n * (size_t)of->d + 1);
	row = malloc(sizeof *row * (size_t)(*n + 1));
	for (i = 0; row && i < *n; i++)
		row[i] = of->rows <= most ? i : (int64_t)ns_permute((uint64_t)i, (uint64_t)of->rows, seed, NS_FOR_PERMUTE, 0);
	if (row && chosen)
		memcpy(chosen, row, sizeof *row * (size_t)*n);
	status = *x && row ? ns_matrix_pick(of, row, *n, *x) : ns_fail(NS_NO_MEMORY, "out of memory for %lld rows", (long long)*n);
	free(row);
	return status;
}

/* --- the classifier two-sample test (C2ST), the Frechet (FID) and the kernel distance (KID) --- */

enum ns_status ns_drift_whole_rows(struct ns_drift *s, const char *method, int64_t most)
{
	int d = s->ref.embedding.d;
	struct ns_drift_test *t;
	int64_t m, n;
	float *x = NULL, *y = NULL;
	enum ns_status status = NS_OK;

	if (!ns_drift_is_enabled(s, method))
		return NS_OK;
	t = ns_drift_add(s, "embedding", method, "embedding");
	if (!t)
		return ns_fail(NS_NO_MEMORY, "out of memory for tests");
	if (!strcmp(method, "c2st") && s->ref_block)
		t->note = "rows of a sequence are not independent";
	else if (!strcmp(method, "fid") && d > FRECHET_DIM)
		t->note = "more than 2,048 dimensions";
	if (t->note)
		goto out;
	NS_GO(ns_drift_choose_rows(&s->ref.embedding, most, s->seed, &x, &m, NULL));
	NS_GO(ns_drift_choose_rows(&s->cur.embedding, most, s->seed, &y, &n, NULL));
	if (!strcmp(method, "c2st")) {
		t->p = ns_stat_c2st(x, m, y, n, d, s->seed, &t->effect, &t->effect_low, &t->effect_high);
		t->statistic = t->effect;
		t->note = isnan(t->p) ? "needs eight rows on each side that vary" : NULL;
	} else {
		t->statistic = !strcmp(method, "fid") ? ns_stat_fid(x, m, y, n, d) : ns_stat_kid(x, m, y, n, d);
		t->note = isnan(t->statistic) ? "needs two rows on each side" : NULL;
	}
out:
	if (t->note)
		t->status = NS_DRIFT_UNTESTED;
	free(x);
	free(y);
	return status;
}
