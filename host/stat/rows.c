/*
 * host/stat/rows.c - comparisons of whole rows: the classifier two-sample test, Frechet and kernel distances.
 */
#define _XOPEN_SOURCE 700
#include "host/stat/stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

/* --- the classifier --- */

/* Solves a x = b in place, a (d, d) symmetric and positive definite; returns 0 if it is not. */
static int cholesky_solve(double *a, double *b, int d)
{
	int i, j, l;

	for (j = 0; j < d; j++) {
		for (i = j; i < d; i++) {
			double sum = a[i * d + j];

			for (l = 0; l < j; l++)
				sum -= a[i * d + l] * a[j * d + l];
			if (i == j && !(sum > 0))
				return 0;
			a[i * d + j] = i == j ? sqrt(sum) : sum / a[j * d + j];
		}
	}
	for (i = 0; i < d; i++) {
		for (l = 0; l < i; l++)
			b[i] -= a[i * d + l] * b[l];
		b[i] /= a[i * d + i];
	}
	for (i = d; i-- > 0;) {
		for (l = i + 1; l < d; l++)
			b[i] -= a[l * d + i] * b[l];
		b[i] /= a[i * d + i];
	}
	return 1;
}

static void mean_of(const float *x, const int64_t *row, int64_t n, int d, double *mean)
{
	int64_t i;
	int c;

	memset(mean, 0, sizeof *mean * (size_t)d);
	for (i = 0; i < n; i++)
		for (c = 0; c < d; c++)
			mean[c] += (double)x[(row ? row[i] : i) * d + c] / (double)n;
}

/* s += sum of (x - mean)(x - mean)' * scale, lower half, then mirrored */
static void add_scatter(const float *x, const int64_t *row, int64_t n, int d, const double *mean, double scale, double *s)
{
	double *t = malloc(sizeof *t * (size_t)d);
	int64_t i;
	int a, b;

	for (i = 0; t && i < n; i++) {
		const float *r = x + (row ? row[i] : i) * d;

		for (a = 0; a < d; a++)
			t[a] = (double)r[a] - mean[a];
		for (a = 0; a < d; a++)
			for (b = 0; b <= a; b++)
				s[a * d + b] += t[a] * t[b] * scale;
	}
	for (a = 0; a < d; a++)
		for (b = 0; b < a; b++)
			s[b * d + a] = s[a * d + b];
	free(t);
}

#define C2ST_ROWS 10000 /* of each sample, at most */

double ns_stat_c2st(const float *x, int64_t m, const float *y, int64_t n, int d, uint64_t seed, double *accuracy, double *low, double *high)
{
	int64_t each = m < n ? m : n, half, i, hits = 0, *row[2];
	double *mean = calloc(3 * (size_t)d + (size_t)d * (size_t)d + 1, sizeof *mean), *other = mean + d, *w = other + d, *s = w + d, trace = 0,
	       middle = 0;
	double p = NAN;
	int c;

	*accuracy = *low = *high = NAN;
	each = each < C2ST_ROWS ? each : C2ST_ROWS;
	half = each / 2;
	row[0] = malloc(2 * sizeof **row * (size_t)(each + 1));
	row[1] = row[0] ? row[0] + each : NULL;
	if (!mean || !row[0] || each < 8)
		goto out;
	for (i = 0; i < each; i++) {
		row[0][i] = (int64_t)ns_permute((uint64_t)i, (uint64_t)m, seed, NS_FOR_PERMUTE, 1);
		row[1][i] = (int64_t)ns_permute((uint64_t)i, (uint64_t)n, seed, NS_FOR_PERMUTE, 2);
	}
	mean_of(x, row[0], half, d, mean);
	mean_of(y, row[1], half, d, other);
	add_scatter(x, row[0], half, d, mean, 1 / (double)(2 * half), s);
	add_scatter(y, row[1], half, d, other, 1 / (double)(2 * half), s);
	for (c = 0; c < d; c++)
		trace += s[c * d + c];
	if (!(trace > 0))
		goto out;
	/* the covariance is shrunk towards a multiple of the identity, the more the fewer rows there are per dimension */
	for (c = 0; c < d; c++)
		s[c * d + c] += trace / d * (1e-3 + (double)d / (double)(2 * half));
	for (c = 0; c < d; c++)
		w[c] = other[c] - mean[c];
	if (!cholesky_solve(s, w, d))
		goto out;
	for (c = 0; c < d; c++)
		middle += w[c] * (mean[c] + other[c]) / 2;
	for (i = half; i < each; i++) {
		double a = 0, b = 0;

		for (c = 0; c < d; c++) {
			a += w[c] * (double)x[row[0][i] * d + c];
			b += w[c] * (double)y[row[1][i] * d + c];
		}
		hits += (a < middle) + (b > middle);
	}
	*accuracy = (double)hits / (double)(2 * (each - half));
	ns_stat_wilson(hits, 2 * (each - half), low, high);
	p = ns_stat_binomial_sf(hits, 2 * (each - half), 0.5);
out:
	free(row[0]);
	free(mean);
	return p;
}

/* --- Frechet's distance --- */

/* a = L L', lower half in place, the upper half 0. A pivot below 1e-14 of the largest diagonal entry is a direction without variance: its column is 0. */
static void cholesky(double *a, int d)
{
	double most = 0;
	int i, j, l;

	for (i = 0; i < d; i++)
		most = fmax(most, a[(int64_t)i * d + i]);
	for (j = 0; j < d; j++) {
		double *aj = a + (int64_t)j * d, pivot = aj[j];

		for (l = 0; l < j; l++)
			pivot -= aj[l] * aj[l];
		pivot = pivot > 1e-14 * most ? sqrt(pivot) : 0;
		for (i = j + 1; i < d; i++) {
			double *ai = a + (int64_t)i * d, sum = 0;

#pragma omp simd reduction(+ : sum)
			for (l = 0; l < j; l++)
				sum += ai[l] * aj[l];
			ai[j] = pivot > 0 ? (ai[j] - sum) / pivot : 0;
		}
		aj[j] = pivot;
		memset(aj + j + 1, 0, sizeof *aj * (size_t)(d - j - 1));
	}
}

/* c = L' t L, which has the eigenvalues of S t where S = L L' */
static void sandwich(const double *low, const double *t, double *between, double *c, int d)
{
	int i, j, l;

	memset(between, 0, sizeof *between * (size_t)d * (size_t)d);
	for (i = 0; i < d; i++) /* t L */
		for (l = 0; l < d; l++)
			for (j = 0; j <= l; j++)
				between[(int64_t)i * d + j] += t[(int64_t)i * d + l] * low[(int64_t)l * d + j];
	memset(c, 0, sizeof *c * (size_t)d * (size_t)d);
	for (l = 0; l < d; l++) /* L' (t L) */
		for (i = 0; i <= l; i++)
			for (j = 0; j < d; j++)
				c[(int64_t)i * d + j] += low[(int64_t)l * d + i] * between[(int64_t)l * d + j];
}

/* Reduces symmetric a (d, d), which is overwritten, by Householder reflections to its diagonal and the squares beside it; scratch: 2 d. */
static void tridiagonal(double *a, int d, double *diagonal, double *beside2, double *scratch)
{
	double *v = scratch, *w = scratch + d;
	int i, j, k;

	for (k = 0; k < d; k++) {
		double norm = 0, dot = 0, length = 0;

		diagonal[k] = a[(int64_t)k * d + k];
		for (i = k + 1; i < d; i++)
			norm += a[(int64_t)k * d + i] * a[(int64_t)k * d + i];
		beside2[k] = norm;
		if (k + 2 >= d || !(norm > 0))
			continue;
		memcpy(v, a + (int64_t)k * d, sizeof *v * (size_t)d);
		v[k + 1] += v[k + 1] < 0 ? -sqrt(norm) : sqrt(norm);
		for (i = k + 1; i < d; i++)
			length += v[i] * v[i];
		for (i = k + 1; i < d; i++) { /* w = 2 A v / v'v, less its projection on v */
			double sum = 0;

#pragma omp simd reduction(+ : sum)
			for (j = k + 1; j < d; j++)
				sum += a[(int64_t)i * d + j] * v[j];
			w[i] = 2 * sum / length;
			dot += w[i] * v[i];
		}
		for (i = k + 1; i < d; i++)
			w[i] -= dot / length * v[i];
		for (i = k + 1; i < d; i++)
			for (j = k + 1; j < d; j++)
				a[(int64_t)i * d + j] -= v[i] * w[j] + w[i] * v[j];
	}
}

/* How many eigenvalues are below x: the negative pivots of T - x (Givens 1954). */
static int below(const double *diagonal, const double *beside2, int d, double x)
{
	double pivot = 1;
	int i, count = 0;

	for (i = 0; i < d; i++) {
		pivot = diagonal[i] - x - (i ? beside2[i - 1] / pivot : 0);
		if (fabs(pivot) < 1e-300)
			pivot = -1e-300;
		count += pivot < 0;
	}
	return count;
}

/* Sum of the square roots of the eigenvalues, which are negative only by rounding; each is found by bisection. */
static double sum_of_roots(const double *diagonal, const double *beside2, int d)
{
	double most = 0, sum = 0;
	int i, round;

	for (i = 0; i < d; i++)
		most = fmax(most, fabs(diagonal[i]) + sqrt(beside2[i]) + (i ? sqrt(beside2[i - 1]) : 0));
	for (i = 0; i < d; i++) {
		double low = 0, high = most;

		for (round = 0; round < 60 && high > low; round++) {
			double middle = (low + high) / 2;

			if (below(diagonal, beside2, d, middle) > i)
				high = middle;
			else
				low = middle;
		}
		sum += sqrt((low + high) / 2);
	}
	return sum;
}

double ns_stat_frechet(const double *mu, const double *s, const double *nu, const double *t, int d)
{
	size_t square = (size_t)d * (size_t)d;
	double *low = malloc(sizeof *low * (3 * square + 4 * (size_t)d)), *c = low + square, *scratch = c + square, *rest = scratch + square, sum = 0;
	int i;

	if (!low)
		return NAN;
	memcpy(low, s, sizeof *low * square);
	cholesky(low, d);
	sandwich(low, t, scratch, c, d);
	tridiagonal(c, d, rest, rest + d, rest + 2 * d);
	for (i = 0; i < d; i++)
		sum += (mu[i] - nu[i]) * (mu[i] - nu[i]) + s[(int64_t)i * d + i] + t[(int64_t)i * d + i];
	sum -= 2 * sum_of_roots(rest, rest + d, d);
	free(low);
	return sum;
}

double ns_stat_fid(const float *x, int64_t m, const float *y, int64_t n, int d)
{
	size_t square = (size_t)d * (size_t)d;
	double *mu = calloc(2 * (square + (size_t)d), sizeof *mu), *nu = mu + d, *s = nu + d, *t = s + square, distance = NAN;

	if (mu && m > 1 && n > 1) {
		mean_of(x, NULL, m, d, mu);
		mean_of(y, NULL, n, d, nu);
		add_scatter(x, NULL, m, d, mu, 1 / (double)(m - 1), s);
		add_scatter(y, NULL, n, d, nu, 1 / (double)(n - 1), t);
		distance = ns_stat_frechet(mu, s, nu, t, d);
	}
	free(mu);
	return distance;
}

/* mean of (a'b / d + 1)^3 over pairs, of different rows where a is b */
static double cubic(const float *a, int64_t m, const float *b, int64_t n, int d)
{
	double sum = 0;
	int64_t i, j;
	int c;

	for (i = 0; i < m; i++)
		for (j = 0; j < n; j++) {
			float dot = 0;
			double k;

			if (a == b && i == j)
				continue;
#pragma omp simd reduction(+ : dot)
			for (c = 0; c < d; c++)
				dot += a[i * d + c] * b[j * d + c];
			k = (double)dot / d + 1;
			sum += k * k * k;
		}
	return sum / ((double)m * (double)(a == b ? n - 1 : n));
}

double ns_stat_kid(const float *x, int64_t m, const float *y, int64_t n, int d)
{
	return m < 2 || n < 2 ? NAN : cubic(x, m, x, m, d) + cubic(y, n, y, n, d) - 2 * cubic(x, m, y, n, d);
}
