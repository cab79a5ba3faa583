/* jobs/drift/project.c - embeddings along a few directions, each a column like any other: principal components and random projections. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>

#include "host/stat/stat.h"
#include "kernels/formula/random.h"

#define PCA_DIM	   16
#define PCA_VALUES 10000000 /* at most, in the rows to which components are fitted */

/* Rows of the pooled windows, chosen by key. */
static enum ns_status pooled_rows(const struct ns_drift *s, float **x, int64_t *n)
{
	int64_t m = s->ref.rows, all = m + s->cur.rows, most = PCA_VALUES / s->ref.embedding.d, i, *row, ref = 0;
	enum ns_status status;

	most = most < 1000 ? 1000 : most;
	*n = all < most ? all : most;
	*x = malloc(sizeof **x * (size_t)*n * (size_t)s->ref.embedding.d);
	row = malloc(sizeof *row * (size_t)*n);
	for (i = 0; row && i < *n; i++) {
		row[i] = all <= most ? i : (int64_t)ns_permute((uint64_t)i, (uint64_t)all, s->seed, NS_FOR_PERMUTE, 3);
		if (row[i] < m) { /* keeps the reference's rows in front */
			int64_t t = row[ref];

			row[ref++] = row[i];
			if (ref - 1 < i)
				row[i] = t;
		}
	}
	for (i = ref; row && i < *n; i++)
		row[i] -= m;
	status = *x && row ? ns_matrix_pick(&s->ref.embedding, row, ref, *x) : ns_fail(NS_NO_MEMORY, "out of memory for a projection");
	if (status == NS_OK)
		status = ns_matrix_pick(&s->cur.embedding, row + ref, *n - ref, *x + ref * s->ref.embedding.d);
	if (status == NS_OK)
		*n = ns_drift_whole_rows(*x, *n, s->ref.embedding.d, NULL);
	free(row);
	return status;
}

/* Fitted to both windows: directions fitted to the reference alone would spread its rows more than new ones, without any drift. */
enum ns_status ns_drift_components(struct ns_drift *s)
{
	int d = s->ref.embedding.d;
	int64_t n;
	float *x = NULL;
	enum ns_status status;

	s->pca_dim = d < PCA_DIM ? d : PCA_DIM;
	s->pca_mean = malloc(sizeof *s->pca_mean * (size_t)d);
	s->pca = malloc(sizeof *s->pca * (size_t)d * (size_t)s->pca_dim);
	NS_GO(s->pca_mean && s->pca ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a projection"));
	NS_GO(pooled_rows(s, &x, &n));
	NS_GO(ns_stat_pca_fit(s->job->workers, x, n, d, s->pca_dim, s->pca_mean, s->pca));
	status = ns_drift_columns(
		s, "embedding", &(struct ns_columns){.of = &s->ref.embedding, .mean = s->pca_mean, .directions = s->pca, .k = s->pca_dim},
		&(struct ns_columns){.of = &s->cur.embedding, .mean = s->pca_mean, .directions = s->pca, .k = s->pca_dim}, NULL, "component ");
out:
	free(x);
	return status;
}

/* Gaussian directions, a function of seed and dimension alone, so that every window of that dimension has the same. */
enum ns_status ns_drift_projections(struct ns_drift *s, int k)
{
	int d = s->ref.embedding.d, t, c;
	double *mean = calloc((size_t)d, sizeof *mean), *directions = malloc(sizeof *directions * (size_t)d * (size_t)k);
	enum ns_status status = mean && directions ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a projection");

	for (t = 0; status == NS_OK && t < k; t++)
		for (c = 0; c < d; c++) {
			struct ns_philox r = ns_draw(s->seed, NS_FOR_PROJECT, (uint32_t)t, (uint64_t)c, 1);

			directions[(int64_t)t * d + c] =
				sqrt(-2 * log(ns_uniform(r.v[0]) + 0x1p-33)) * cos(6.283185307179586 * ns_uniform(r.v[1])) / sqrt(d);
		}
	if (status == NS_OK)
		status = ns_drift_columns(
			s, "embedding", &(struct ns_columns){.of = &s->ref.embedding, .mean = mean, .directions = directions, .k = k},
			&(struct ns_columns){.of = &s->cur.embedding, .mean = mean, .directions = directions, .k = k}, NULL, "projection ");
	free(mean);
	free(directions);
	return status;
}
