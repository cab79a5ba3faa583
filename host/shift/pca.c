#include "host/shift/pca.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

static void covariance(const float *x, int64_t n, int d, const double *mean, double *c)
{
	double *row = c + (int64_t)d * d;
	int64_t i;
	int a, b;

	memset(c, 0, sizeof *c * (size_t)d * (size_t)d);
	for (i = 0; i < n; i++) {
		for (a = 0; a < d; a++)
			row[a] = (double)x[i * d + a] - mean[a];
		for (a = 0; a < d; a++) {
			double t = row[a], *to = c + (int64_t)a * d;

			for (b = 0; b < d; b++)
				to[b] += t * row[b];
		}
	}
}

/* rows of v become orthonormal, one after the other */
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

enum ns_status ns_pca_fit(const float *x, int64_t n, int d, int k, double *mean, double *v)
{
	double *c = malloc(sizeof *c * (size_t)(d + 1) * (size_t)d), *next = malloc(sizeof *next * (size_t)k * (size_t)d);
	int64_t i;
	int a, b, t, round;

	if (!c || !next) {
		free(c);
		free(next);
		return ns_fail(NS_NO_MEMORY, "no memory for principal components of %d dimensions", d);
	}
	memset(mean, 0, sizeof *mean * (size_t)d);
	for (i = 0; i < n; i++)
		for (a = 0; a < d; a++)
			mean[a] += (double)x[i * d + a] / (double)n;
	covariance(x, n, d, mean, c);
	for (t = 0; t < k; t++)
		for (a = 0; a < d; a++)
			v[(int64_t)t * d + a] = ns_uniform(ns_draw(1, NS_FOR_PROJECT, (uint32_t)t, (uint64_t)a, 0).v[0]) - 0.5;
	orthonormal(v, k, d);
	for (round = 0; round < 60; round++) {
		for (t = 0; t < k; t++)
			for (a = 0; a < d; a++) {
				double sum = 0;

				for (b = 0; b < d; b++)
					sum += c[(int64_t)a * d + b] * v[(int64_t)t * d + b];
				next[(int64_t)t * d + a] = sum;
			}
		memcpy(v, next, sizeof *v * (size_t)k * (size_t)d);
		orthonormal(v, k, d);
	}
	free(c);
	free(next);
	return NS_OK;
}

void ns_pca_apply(const float *y, int64_t rows, int d, int k, const double *mean, const double *v, float *out)
{
	int64_t i;
	int a, t;

	for (i = 0; i < rows; i++)
		for (t = 0; t < k; t++) {
			double sum = 0;

			for (a = 0; a < d; a++)
				sum += ((double)y[i * d + a] - mean[a]) * v[(int64_t)t * d + a];
			out[i * k + t] = (float)sum;
		}
}
