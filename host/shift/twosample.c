/* host/shift/twosample.c - Cramer-von Mises, Wasserstein, energy, the classifier test, Frechet and kernel distances. */
#define _XOPEN_SOURCE 700 /* M_PI */
#include "host/shift/twosample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/shift/pvalue.h"
#include "kernels/formula/random.h"

/* --- one column --- */

/* K_nu(z): integral of exp(-z cosh t) cosh(nu t) over t > 0, which the trapezoid rule does to all digits; times exp(z) */
static double bessel_k_scaled(double nu, double z)
{
	double sum = 0.5, h = 1.0 / 64, t;

	for (t = h; z * (cosh(t) - 1) < 745; t += h)
		sum += exp(-z * (cosh(t) - 1)) * cosh(nu * t);
	return sum * h;
}

/* P(limit of Cramer-von Mises <= x), Anderson and Darling 1952 */
static double cvm_cdf(double x)
{
	double sum = 0, binomial = 1; /* (-1)^j C(-1/2, j) = (2j - 1)!! / (2j)!! */
	int j;

	if (x <= 0)
		return 0;
	for (j = 0; j < 50; j++) {
		double a = 4 * j + 1, z = a * a / (16 * x), term = binomial * sqrt(a) * exp(-2 * z) * bessel_k_scaled(0.25, z);

		sum += term;
		if (term < 1e-17 * sum || z > 350)
			break;
		binomial *= (2 * j + 1.0) / (2 * j + 2.0);
	}
	sum /= M_PI * sqrt(x);
	return sum < 0 ? 0 : sum > 1 ? 1 : sum;
}

/*
 * P(the limit > x) where 1 less the sum above has no digits left: Smirnov's integral (1936), of which the first piece is all from x = 3 on,
 * 2/pi int_pi^2pi exp(-x s^2 / 2) / s sqrt(s / -sin s) ds; with s = pi + u^2 it is even and smooth, and the trapezoid rule does it.
 */
static double cvm_tail(double x)
{
	double sum = 2 / sqrt(M_PI) / 2, h = fmin(sqrt(2), sqrt(40 / (M_PI * x))) / 400;
	int i;

	for (i = 1; i <= 400; i++) {
		double u = i * h, s = M_PI + u * u;

		sum += 2 * u / s * sqrt(s / sin(u * u)) * exp(-x * (s * s - M_PI * M_PI) / 2);
	}
	return 2 / M_PI * h * sum * exp(-x * M_PI * M_PI / 2);
}

double ns_cvm_p(double t, double m, double n)
{
	double all = m + n, mean = (1 + 1 / all) / 6;
	double variance = (all + 1) * (4 * m * n * all - 3 * (m * m + n * n) - 2 * m * n) / (45 * all * all * 4 * m * n);

	double x = variance > 0 ? 1.0 / 6 + (t - mean) / sqrt(45 * variance) : 0;

	return x > 3 ? cvm_tail(x) : 1 - cvm_cdf(x);
}

void ns_column_shift(const float *x, int64_t m, const float *y, int64_t n, struct ns_column_shift *s)
{
	double u_x = 0, u_y = 0, fm = (double)m, fn = (double)n, difference = 0, last = 0, share = 1 / (fm * fn);
	int64_t i = 0, j = 0, apart, most = 0; /* i / m - j / n in parts of 1 / (m n): windows have less than 2^31 rows */

	memset(s, 0, sizeof *s);
	while (i < m || j < n) {
		float v = j >= n || (i < m && x[i] <= y[j]) ? x[i] : y[j];
		int64_t i0 = i, j0 = j;
		double middle, width = i + j > 0 ? (double)v - last : 0;

		s->wasserstein += fabs(difference) * width;
		s->energy += 2 * difference * difference * width;
		if (width > 0) {
			double f = (double)i / fm, g = (double)j / fn;

			s->across += (f * (1 - g) + g * (1 - f)) * width;
		}
		while (i < m && x[i] == v)
			i++;
		while (j < n && y[j] == v)
			j++;
		/* ranks within each sample and the midrank of the tie in both together */
		middle = (double)(i0 + j0) + ((double)(i - i0 + j - j0) + 1) / 2;
		for (; i0 < i; i0++)
			u_x += (middle - (double)(i0 + 1)) * (middle - (double)(i0 + 1));
		for (; j0 < j; j0++)
			u_y += (middle - (double)(j0 + 1)) * (middle - (double)(j0 + 1));
		apart = i * n - j * m;
		difference = (double)apart * share;
		last = (double)v;
		if (llabs(apart) >= most) { /* divided here alone, and as everywhere, so that it is the same to the last bit */
			most = llabs(apart);
			s->ks = fmax(s->ks, fabs((double)i / fm - (double)j / fn));
		}
	}
	s->cvm = (fm * u_x + fn * u_y) / (fm * fn * (fm + fn)) - (4 * fm * fn - 1) / (6 * (fm + fn));
}

/* how many of x (n), sorted, are less than v */
static int64_t below(const float *x, int64_t n, float v)
{
	int64_t low = 0, high = n;

	while (low < high) {
		int64_t middle = (low + high) / 2;

		if (x[middle] < v)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int ns_quantile_bins(const float *x, int64_t m, const float *y, int64_t n, int bins, int64_t *ref, int64_t *cur)
{
	int64_t before = 0, now = 0;
	int b, count = 0;

	for (b = 1; b < bins; b++) {
		float edge = x[m * b / bins];
		int64_t i = below(x, m, edge);

		if (i == before) /* the edge before, or the least of all */
			continue;
		ref[count] = i - before;
		cur[count] = below(y, n, edge) - now;
		before += ref[count];
		now += cur[count++];
	}
	ref[count] = m - before;
	cur[count] = n - now;
	return count + 1;
}

double ns_poisson(double mean, uint32_t a, uint32_t b)
{
	double u = ns_uniform(a) + 0x1p-33, term = exp(-mean), sum = term, k = 0;

	if (mean > 50)
		return fmax(0, floor(mean + 0.5 + sqrt(mean) * sqrt(-2 * log(u)) * cos(6.283185307179586 * ns_uniform(b))));
	for (; sum < u && k < 400; sum += term)
		term *= mean / ++k;
	return k;
}

#define BOOTSTRAPS 200
#define GROUPS	   512 /* of rows next to each other, where there are GROUPED or more: a group's draws sum to one of its own */
#define GROUPED	   4096

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* rows of both in order, a group of them after the other; the last value of each, and how many rows of either it has */
struct groups {
	int count;
	double last[GROUPED], x[GROUPED], y[GROUPED];
};

static void group(struct groups *g, const float *x, int64_t m, const float *y, int64_t n)
{
	int64_t all = m + n, wanted = all < GROUPED ? all : GROUPS, i = 0, j = 0;

	for (g->count = 0; i + j < all; g->count++) {
		int64_t i0 = i, j0 = j;
		float v = 0;

		while (i + j < all * (g->count + 1) / wanted || i + j == i0 + j0)
			v = j >= n || (i < m && x[i] <= y[j]) ? x[i++] : y[j++];
		while (i < m && x[i] == v) /* F and G are known where ties end */
			i++;
		while (j < n && y[j] == v)
			j++;
		g->last[g->count] = (double)v;
		g->x[g->count] = (double)(i - i0);
		g->y[g->count] = (double)(j - j0);
	}
}

/* integral of |F - G| of these counts, F and G known where groups end */
static double between(const struct groups *g, const double *x, const double *y, double m, double n)
{
	double f = 0, h = 0, sum = 0;
	int k;

	for (k = 0; k + 1 < g->count; k++) {
		f += x[k];
		h += y[k];
		sum += fabs(f / fmax(1, m) - h / fmax(1, n)) * (g->last[k + 1] - g->last[k]);
	}
	return sum;
}

enum ns_status ns_wasserstein_interval(const float *x, int64_t m, const float *y, int64_t n, double counts_m, double counts_n, double estimate,
				       uint64_t seed, uint32_t column, double *low, double *high)
{
	struct groups *g = malloc(2 * sizeof *g), *drawn = g + 1;
	double distance[BOOTSTRAPS], whole, of_m = counts_m / (double)m, of_n = counts_n / (double)n;
	int b, k;

	if (!g)
		return ns_fail(NS_NO_MEMORY, "no memory for a bootstrap of %lld rows", (long long)(m + n));
	group(g, x, m, y, n);
	whole = between(g, g->x, g->y, (double)m, (double)n);
	for (b = 0; b < BOOTSTRAPS; b++) {
		double count[2] = {0, 0};

		for (k = 0; k < g->count; k++) {
			struct ns_philox p = ns_draw(seed, NS_FOR_BOOTSTRAP, column, (uint64_t)k, (uint32_t)b);

			count[0] += drawn->x[k] = g->x[k] > 0 ? ns_poisson(of_m * g->x[k], p.v[0], p.v[1]) : 0;
			count[1] += drawn->y[k] = g->y[k] > 0 ? ns_poisson(of_n * g->y[k], p.v[2], p.v[3]) : 0;
		}
		distance[b] = between(g, drawn->x, drawn->y, count[0], count[1]);
	}
	qsort(distance, BOOTSTRAPS, sizeof *distance, by_double);
	/* turned about the estimate ("basic"): drawn again, a distance is larger than it was, the more so the smaller it is */
	*low = fmax(0, estimate + whole - distance[BOOTSTRAPS - 1 - BOOTSTRAPS * 25 / 1000]);
	*high = fmax(estimate, estimate + whole - distance[BOOTSTRAPS * 25 / 1000]);
	free(g);
	return NS_OK;
}

/* --- the classifier --- */

/* solves a x = b in place (a symmetric, positive definite, (d, d)); 0 where it is not */
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

double ns_c2st(const float *x, int64_t m, const float *y, int64_t n, int d, uint64_t seed, double *accuracy, double *low, double *high)
{
	int64_t each = m < n ? m : n, half, i, hits = 0, *row[2];
	double *mean = calloc(3 * (size_t)d + (size_t)d * (size_t)d + 1, sizeof *mean), *other = mean + d, *w = other + d, *s = w + d, trace = 0, middle = 0;
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
	/* shrunk towards a ball, the more the fewer rows there are for each dimension */
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
	ns_wilson(hits, 2 * (each - half), low, high);
	p = ns_binomial_sf(hits, 2 * (each - half), 0.5);
out:
	free(row[0]);
	free(mean);
	return p;
}

/* --- distances of embeddings --- */

/* eigenvalues of symmetric a (d, d), which is destroyed; v (d, d), its rows the vectors, or NULL. Jacobi, cyclic. */
static void eigen(double *a, double *v, double *values, int d)
{
	int i, j, l, round;

	for (i = 0; v && i < d * d; i++)
		v[i] = i % (d + 1) == 0;
	for (round = 0; round < 60; round++) {
		double off = 0, all = 0;

		for (i = 0; i < d; i++)
			for (j = 0; j < d; j++) {
				off += i == j ? 0 : a[i * d + j] * a[i * d + j];
				all += a[i * d + j] * a[i * d + j];
			}
		if (off <= 1e-28 * all)
			break;
		for (i = 0; i < d; i++)
			for (j = i + 1; j < d; j++) {
				double apq = a[i * d + j], theta, t, c, s;

				if (fabs(apq) < 1e-300)
					continue;
				theta = (a[j * d + j] - a[i * d + i]) / (2 * apq);
				t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
				c = 1 / sqrt(t * t + 1);
				s = t * c;
				for (l = 0; l < d; l++) {
					double x = a[i * d + l], y = a[j * d + l];

					a[i * d + l] = c * x - s * y;
					a[j * d + l] = s * x + c * y;
				}
				for (l = 0; l < d; l++) {
					double x = a[l * d + i], y = a[l * d + j];

					a[l * d + i] = c * x - s * y;
					a[l * d + j] = s * x + c * y;
				}
				for (l = 0; v && l < d; l++) {
					double x = v[i * d + l], y = v[j * d + l];

					v[i * d + l] = c * x - s * y;
					v[j * d + l] = s * x + c * y;
				}
			}
	}
	for (i = 0; i < d; i++)
		values[i] = a[i * d + i];
}

static void product(const double *a, const double *b, double *c, int d)
{
	int i, j, l;

	memset(c, 0, sizeof *c * (size_t)d * (size_t)d);
	for (i = 0; i < d; i++)
		for (l = 0; l < d; l++)
			for (j = 0; j < d; j++)
				c[i * d + j] += a[i * d + l] * b[l * d + j];
}

double ns_frechet(const double *mu, const double *s, const double *nu, const double *t, int d)
{
	size_t square = (size_t)d * (size_t)d;
	double *a = malloc(sizeof *a * (4 * square + (size_t)d)), *v = a + square, *root = v + square, *b = root + square, *values = b + square, sum = 0;
	int i, j, l;

	if (!a)
		return NAN;
	memcpy(a, s, sizeof *a * square);
	eigen(a, v, values, d);
	for (i = 0; i < d; i++) /* S^1/2 = V' sqrt(L) V */
		for (j = 0; j < d; j++) {
			root[i * d + j] = 0;
			for (l = 0; l < d; l++)
				root[i * d + j] += v[l * d + i] * sqrt(fmax(0, values[l])) * v[l * d + j];
		}
	product(root, t, a, d);
	product(a, root, b, d); /* (S T)^1/2 has the eigenvalues of (S^1/2 T S^1/2)^1/2 */
	for (i = 0; i < d; i++)
		for (j = 0; j < i; j++)
			b[i * d + j] = b[j * d + i] = (b[i * d + j] + b[j * d + i]) / 2;
	eigen(b, NULL, values, d);
	for (i = 0; i < d; i++)
		sum += (mu[i] - nu[i]) * (mu[i] - nu[i]) + s[i * d + i] + t[i * d + i] - 2 * sqrt(fmax(0, values[i]));
	free(a);
	return sum;
}

double ns_fid(const float *x, int64_t m, const float *y, int64_t n, int d)
{
	size_t square = (size_t)d * (size_t)d;
	double *mu = calloc(2 * (square + (size_t)d), sizeof *mu), *nu = mu + d, *s = nu + d, *t = s + square, distance = NAN;

	if (mu && m > 1 && n > 1) {
		mean_of(x, NULL, m, d, mu);
		mean_of(y, NULL, n, d, nu);
		add_scatter(x, NULL, m, d, mu, 1 / (double)(m - 1), s);
		add_scatter(y, NULL, n, d, nu, 1 / (double)(n - 1), t);
		distance = ns_frechet(mu, s, nu, t, d);
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

double ns_kid(const float *x, int64_t m, const float *y, int64_t n, int d)
{
	return m < 2 || n < 2 ? NAN : cubic(x, m, x, m, d) + cubic(y, n, y, n, d) - 2 * cubic(x, m, y, n, d);
}

/* --- labels --- */

enum ns_status ns_confident_init(struct ns_confident *c, int k)
{
	*c = (struct ns_confident){.k = k, .sum = calloc((size_t)k, sizeof *c->sum), .rows = calloc((size_t)k, sizeof *c->rows),
				   .joint = calloc((size_t)k * (size_t)k, sizeof *c->joint)};
	if (c->sum && c->rows && c->joint)
		return NS_OK;
	ns_confident_release(c);
	return ns_fail(NS_NO_MEMORY, "no memory for the labels of %d classes", k);
}

void ns_confident_release(struct ns_confident *c)
{
	free(c->sum);
	free(c->rows);
	free(c->joint);
	memset(c, 0, sizeof *c);
}

void ns_confident_learn(struct ns_confident *c, const float *prob, const int32_t *label, int64_t rows)
{
	int64_t r;

	for (r = 0; r < rows; r++)
		if (label[r] >= 0 && label[r] < c->k) {
			c->sum[label[r]] += (double)prob[r * c->k + label[r]];
			c->rows[label[r]]++;
		}
}

double ns_confident_threshold(const struct ns_confident *c, int k)
{
	return c->rows[k] ? c->sum[k] / (double)c->rows[k] : INFINITY; /* nobody is confident in a class without labels */
}

void ns_confident_judge(struct ns_confident *c, const float *prob, const int32_t *label, int64_t rows, uint8_t *suspect)
{
	int64_t r;
	int k;

	for (r = 0; r < rows; r++) {
		const float *p = prob + r * c->k;
		int best = -1;

		for (k = 0; k < c->k && label[r] >= 0 && label[r] < c->k; k++)
			if ((double)p[k] >= ns_confident_threshold(c, k) - 1e-6 && (best < 0 || p[k] > p[best]))
				best = k;
		if (suspect)
			suspect[r] = best >= 0 && best != label[r];
		if (best < 0)
			continue;
		c->joint[label[r] * c->k + best]++;
		c->suspects += best != label[r];
	}
}
