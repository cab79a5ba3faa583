#include "host/stat/stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

#define BAND 32 /* rows of the covariance in a task */
#define ROWS 4	/* rows of x that are added at once */

struct moments {
	const float *x;
	const double *mean;
	double *c;
	int64_t n;
	int d;
};

/* rows [band, band + BAND) of the sum of (x - mean)(x - mean)', up to the diagonal */
static enum ns_status one_band(void *context, int task, int worker)
{
	const struct moments *m = context;
	int first = task * BAND, last = first + BAND < m->d ? first + BAND : m->d, a, b, r;
	double *row = malloc(sizeof *row * ROWS * (size_t)last), *at[ROWS];
	int64_t i;

	(void)worker;
	if (!row)
		return ns_fail(NS_NO_MEMORY, "out of memory for a covariance of %d dimensions", m->d);
	for (r = 0; r < ROWS; r++)
		at[r] = row + (int64_t)r * last;
	for (i = 0; i < m->n; i += ROWS) {
		for (r = 0; r < ROWS; r++)
			for (b = 0; b < last; b++)
				at[r][b] = i + r < m->n ? (double)m->x[(i + r) * m->d + b] - m->mean[b] : 0;
		for (a = first; a < last; a++) {
			double *to = m->c + (int64_t)a * m->d;

			for (b = 0; b <= a; b++)
				to[b] += at[0][a] * at[0][b] + at[1][a] * at[1][b] + (at[2][a] * at[2][b] + at[3][a] * at[3][b]);
		}
	}
	free(row);
	return NS_OK;
}

static enum ns_status covariance(struct ns_workers *workers, struct moments *m)
{
	int a, b, d = m->d;

	memset(m->c, 0, sizeof *m->c * (size_t)d * (size_t)d);
	NS_TRY(ns_workers_run(workers, (d + BAND - 1) / BAND, one_band, m));
	for (a = 0; a < d; a++)
		for (b = 0; b < a; b++)
			m->c[(int64_t)b * d + a] = m->c[(int64_t)a * d + b];
	return NS_OK;
}

/* Gram-Schmidt: makes the rows of v orthonormal. */
static void orthonormal(double *v, int k, int d)
{
	int i, j, a;

	for (i = 0; i < k; i++) {
		double *vi = v + (int64_t)i * d, norm = 0;

		for (j = 0; j < i; j++) {
			double dot = 0;

			for (a = 0; a < d; a++)
				dot += vi[a] * v[(int64_t)j * d + a];
			for (a = 0; a < d; a++)
				vi[a] -= dot * v[(int64_t)j * d + a];
		}
		for (a = 0; a < d; a++)
			norm += vi[a] * vi[a];
		norm = norm > 1e-300 ? 1 / sqrt(norm) : 0;
		for (a = 0; a < d; a++)
			vi[a] *= norm;
	}
}

#define ROUNDS 60   /* at most */
#define STILL  1e-9 /* a round that adds less than this share of the variance is the last */

struct iteration {
	const double *c, *v;
	double *next;
	int d, k;
};

/* rows [band, band + BAND) of C V' */
static enum ns_status one_product(void *context, int task, int worker)
{
	const struct iteration *g = context;
	int first = task * BAND, last = first + BAND < g->d ? first + BAND : g->d, a, b, t;

	(void)worker;
	for (t = 0; t < g->k; t++)
		for (a = first; a < last; a++) {
			const double *row = g->c + (int64_t)a * g->d, *v = g->v + (int64_t)t * g->d;
			double sum = 0;

#pragma omp simd reduction(+ : sum)
			for (b = 0; b < g->d; b++)
				sum += row[b] * v[b];
			g->next[(int64_t)t * g->d + a] = sum;
		}
	return NS_OK;
}

/* Iterates v (k, d) to the principal directions: the variance along it grows each round, until it no longer does. */
static enum ns_status iterate(struct ns_workers *workers, const double *c, int d, int k, double *v, double *next)
{
	struct iteration g = {c, v, next, d, k};
	double found = 0, before;
	int64_t i;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		NS_TRY(ns_workers_run(workers, (d + BAND - 1) / BAND, one_product, &g));
		before = found;
		for (found = 0, i = 0; i < (int64_t)k * d; i++)
			found += v[i] * next[i];
		memcpy(v, next, sizeof *v * (size_t)k * (size_t)d);
		orthonormal(v, k, d);
		if (round && found - before <= STILL * found)
			break;
	}
	return NS_OK;
}

enum ns_status ns_stat_pca_fit(struct ns_workers *workers, const float *x, int64_t n, int d, int k, double *mean, double *v)
{
	double *c = malloc(sizeof *c * (size_t)d * (size_t)d), *next = malloc(sizeof *next * (size_t)k * (size_t)d);
	struct moments m = {x, mean, c, n, d};
	enum ns_status status = c && next ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for principal components of %d dimensions", d);
	int64_t i;
	int a, t;

	if (status != NS_OK)
		goto out;
	memset(mean, 0, sizeof *mean * (size_t)d);
	for (i = 0; i < n; i++)
		for (a = 0; a < d; a++)
			mean[a] += (double)x[i * d + a] / (double)n;
	NS_GO(covariance(workers, &m));
	for (t = 0; t < k; t++)
		for (a = 0; a < d; a++)
			v[(int64_t)t * d + a] = ns_uniform(ns_draw(1, NS_FOR_PROJECT, (uint32_t)t, (uint64_t)a, 0).v[0]) - 0.5;
	orthonormal(v, k, d);
	status = iterate(workers, c, d, k, v, next);
out:
	free(c);
	free(next);
	return status;
}

#define LANES 16 /* directions at once */

enum ns_status ns_stat_pca_apply(const float *y, int64_t rows, int d, int k, const double *mean, const double *v, float *out)
{
	double *turned = malloc(sizeof *turned * LANES * (size_t)d);
	int64_t i;
	int a, t, first;

	if (!turned)
		return ns_fail(NS_NO_MEMORY, "out of memory for a projection from %d dimensions", d);
	for (first = 0; first < k; first += LANES) {
		for (a = 0; a < d; a++)
			for (t = 0; t < LANES; t++)
				turned[a * LANES + t] = first + t < k ? v[(int64_t)(first + t) * d + a] : 0;
		for (i = 0; i < rows; i++) {
			double sum[LANES] = {0};

			for (a = 0; a < d; a++) {
				double x = (double)y[i * d + a] - mean[a];

				for (t = 0; t < LANES; t++)
					sum[t] += x * turned[a * LANES + t];
			}
			for (t = 0; t < LANES && first + t < k; t++)
				out[i * k + first + t] = (float)sum[t];
		}
	}
	free(turned);
	return NS_OK;
}
