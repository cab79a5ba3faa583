/* jobs/drift/sample.c - samples of whole rows, for the tests that hold them in memory. */
#include "jobs/drift/drift_inner.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

int64_t ns_drift_whole_rows(float *x, int64_t rows, int d, int64_t *number)
{
	int64_t i, n = 0;

	for (i = 0; i < rows; i++) {
		if (!ns_drift_all_finite(x + i * d, d))
			continue;
		if (n < i)
			memcpy(x + n * d, x + i * d, sizeof *x * (size_t)d);
		if (number)
			number[n] = number[i];
		n++;
	}
	return n;
}

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
	if (status == NS_OK)
		*n = ns_drift_whole_rows(*x, *n, of->d, chosen);
	free(row);
	return status;
}

enum ns_status ns_drift_sampled(struct ns_drift *s, struct ns_drift_test *t, int64_t most, ns_sample_fn *figures)
{
	struct ns_drift_sample w = {.d = s->ref.embedding.d};
	float *x = NULL, *y = NULL;
	enum ns_status status = NS_OK;

	NS_GO(ns_drift_choose_rows(&s->ref.embedding, most, s->seed, &x, &w.ref_rows, NULL));
	NS_GO(ns_drift_choose_rows(&s->cur.embedding, most, s->seed, &y, &w.cur_rows, NULL));
	w.ref = x;
	w.cur = y;
	figures(&w, s->seed, t);
out:
	free(x);
	free(y);
	return status;
}
