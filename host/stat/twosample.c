/* host/stat/twosample.c - comparisons of one column: Cramer-von Mises, Wasserstein, energy, bins; and confident learning. */
#define _XOPEN_SOURCE 700 /* M_PI */
#include "host/stat/stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

/* --- one column --- */

/* K_nu(z): integral of exp(-z cosh t) cosh(nu t) over t > 0, to which the trapezoid rule converges to all digits; times exp(z) */
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
 * P(the limit > x) where 1 - cvm_cdf(x) is only rounding error: Smirnov's integral (1936), of which the first interval suffices for x > 3,
 * 2/pi int_pi^2pi exp(-x s^2 / 2) / s sqrt(s / -sin s) ds; with s = pi + u^2 it is even and smooth, and the trapezoid rule converges to all digits.
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

double ns_stat_cvm_p(double t, double m, double n)
{
	double all = m + n, mean = (1 + 1 / all) / 6;
	double variance = (all + 1) * (4 * m * n * all - 3 * (m * m + n * n) - 2 * m * n) / (45 * all * all * 4 * m * n);

	double x = variance > 0 ? 1.0 / 6 + (t - mean) / sqrt(45 * variance) : 0;

	return x > 3 ? cvm_tail(x) : 1 - cvm_cdf(x);
}

void ns_stat_column(const float *x, int64_t m, const float *y, int64_t n, struct ns_stat_column *s)
{
	double u_x = 0, u_y = 0, fm = (double)m, fn = (double)n, difference = 0, last = 0, share = 1 / (fm * fn);
	int64_t i = 0, j = 0, apart, most = 0; /* i / m - j / n in units of 1 / (m n): windows have fewer than 2^31 rows */

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
		if (llabs(apart) >=
		    most) { /* only here with divisions, those of the other KS implementations, so that it is the same to the last bit */
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

int ns_stat_quantile_bins(const float *x, int64_t m, const float *y, int64_t n, int bins, int64_t *ref, int64_t *cur)
{
	int64_t before = 0, now = 0;
	int b, count = 0;

	for (b = 1; b < bins; b++) {
		float edge = x[m * b / bins];
		int64_t i = below(x, m, edge);

		if (i == before) /* the same edge as before, or the minimum */
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

double ns_stat_poisson(double mean, uint32_t a, uint32_t b)
{
	double u = ns_uniform(a) + 0x1p-33, term = exp(-mean), sum = term, k = 0;

	if (mean > 50)
		return fmax(0, floor(mean + 0.5 + sqrt(mean) * sqrt(-2 * log(u)) * cos(6.283185307179586 * ns_uniform(b))));
	for (; sum < u && k < 400; sum += term)
		term *= mean / ++k;
	return k;
}

#define BOOTSTRAPS 200
#define GROUPS	   512 /* of neighbouring rows, from GROUPED rows on: the Poisson draws of a group's rows sum to one Poisson draw */
#define GROUPED	   4096

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The rows of both samples in order, divided into groups: each group's last value and its rows of either sample. */
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
		while (i < m && x[i] == v) /* ties stay in one group: F and G step only where ties end */
			i++;
		while (j < n && y[j] == v)
			j++;
		g->last[g->count] = (double)v;
		g->x[g->count] = (double)(i - i0);
		g->y[g->count] = (double)(j - j0);
	}
}

/* Integral of |F - G| for these counts; F and G are taken as constant between the ends of groups. */
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

enum ns_status ns_stat_wasserstein_interval(const float *x, int64_t m, const float *y, int64_t n, double counts_m, double counts_n, double estimate,
					    uint64_t seed, uint32_t column, double *low, double *high)
{
	struct groups *g = malloc(2 * sizeof *g), *drawn = g + 1;
	double distance[BOOTSTRAPS], whole, of_m = counts_m / (double)m, of_n = counts_n / (double)n;
	int b, k;

	if (!g)
		return ns_fail(NS_NO_MEMORY, "out of memory for a bootstrap of %lld rows", (long long)(m + n));
	group(g, x, m, y, n);
	whole = between(g, g->x, g->y, (double)m, (double)n);
	for (b = 0; b < BOOTSTRAPS; b++) {
		double count[2] = {0, 0};

		for (k = 0; k < g->count; k++) {
			struct ns_philox p = ns_draw(seed, NS_FOR_BOOTSTRAP, column, (uint64_t)k, (uint32_t)b);

			count[0] += drawn->x[k] = g->x[k] > 0 ? ns_stat_poisson(of_m * g->x[k], p.v[0], p.v[1]) : 0;
			count[1] += drawn->y[k] = g->y[k] > 0 ? ns_stat_poisson(of_n * g->y[k], p.v[2], p.v[3]) : 0;
		}
		distance[b] = between(g, drawn->x, drawn->y, count[0], count[1]);
	}
	qsort(distance, BOOTSTRAPS, sizeof *distance, by_double);
	/* the basic interval reflects about the estimate: resampled distances are biased upwards, the more so the smaller they are */
	*low = fmax(0, estimate + whole - distance[BOOTSTRAPS - 1 - BOOTSTRAPS * 25 / 1000]);
	*high = fmax(estimate, estimate + whole - distance[BOOTSTRAPS * 25 / 1000]);
	free(g);
	return NS_OK;
}

/* --- labels --- */

#define JOINT 1024 /* classes; of 100,000 the table would have 80 GB */

enum ns_status ns_stat_confident_init(struct ns_stat_confident *c, int k)
{
	*c = (struct ns_stat_confident){.k = k,
					.sum = calloc((size_t)k, sizeof *c->sum),
					.rows = calloc((size_t)k, sizeof *c->rows),
					.joint = k > JOINT ? NULL : calloc((size_t)k * (size_t)k, sizeof *c->joint)};
	if (c->sum && c->rows && (c->joint || k > JOINT))
		return NS_OK;
	ns_stat_confident_release(c);
	return ns_fail(NS_NO_MEMORY, "out of memory for the labels of %d classes", k);
}

void ns_stat_confident_release(struct ns_stat_confident *c)
{
	free(c->sum);
	free(c->rows);
	free(c->joint);
	memset(c, 0, sizeof *c);
}

void ns_stat_confident_learn(struct ns_stat_confident *c, const float *prob, const int32_t *label, int64_t rows)
{
	int64_t r;

	for (r = 0; r < rows; r++)
		if (label[r] >= 0 && label[r] < c->k) {
			c->sum[label[r]] += (double)prob[r * c->k + label[r]];
			c->rows[label[r]]++;
		}
}

double ns_stat_confident_threshold(const struct ns_stat_confident *c, int k)
{
	return c->rows[k] ? c->sum[k] / (double)c->rows[k] : INFINITY; /* no row is confident in a class without labels */
}

void ns_stat_confident_judge(struct ns_stat_confident *c, const float *prob, const int32_t *label, int64_t rows, uint8_t *suspect)
{
	int64_t r;
	int k;

	for (r = 0; r < rows; r++) {
		const float *p = prob + r * c->k;
		int best = -1;

		for (k = 0; k < c->k && label[r] >= 0 && label[r] < c->k; k++)
			if ((double)p[k] >= ns_stat_confident_threshold(c, k) - 1e-6 && (k == label[r] || p[k] > p[label[r]]) &&
			    (best < 0 || p[k] > p[best]))
				best = k;
		if (suspect)
			suspect[r] = best >= 0 && best != label[r];
		if (best < 0)
			continue;
		if (c->joint)
			c->joint[label[r] * c->k + best]++;
		c->suspects += best != label[r];
	}
}
