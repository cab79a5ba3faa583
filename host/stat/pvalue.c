#include "host/stat/stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

/* upper regularised incomplete gamma: series below a + 1, continued fraction above (Numerical Recipes 6.2) */
static double gamma_q(double a, double x)
{
	double front, sum, term, n, b, c, d, h, delta;
	int i;

	if (x <= 0)
		return 1;
	front = exp(-x + a * log(x) - lgamma(a));
	if (x < a + 1) {
		for (sum = term = 1 / a, n = a; fabs(term) > fabs(sum) * 1e-16;)
			sum += term *= x / ++n;
		return fmin(1, fmax(0, 1 - sum * front));
	}
	b = x + 1 - a;
	c = 1e300;
	h = d = 1 / b;
	for (i = 1; i < 10000; i++) {
		double an = -i * (i - a);

		b += 2;
		d = 1 / (an * d + b);
		c = b + an / c;
		delta = c * d;
		h *= delta;
		if (fabs(delta - 1) < 1e-15)
			break;
	}
	return fmin(1, fmax(0, front * h));
}

double ns_stat_chi2_sf(double x, double df)
{
	return df <= 0 ? 1 : gamma_q(df / 2, x / 2);
}

/* m, n: rows of the samples; returns how many classes occur. */
static int margins(const int64_t *ref, const int64_t *cur, int k, double *m, double *n)
{
	int i, used = 0;

	*m = *n = 0;
	for (i = 0; i < k; i++) {
		*m += (double)ref[i];
		*n += (double)cur[i];
		used += ref[i] + cur[i] > 0;
	}
	return used;
}

double ns_stat_chi2_counts(const int64_t *ref, const int64_t *cur, int k, double *statistic, double *v)
{
	double m, n, x = 0;
	int i, used;

	*statistic = *v = 0;
	used = margins(ref, cur, k, &m, &n);
	if (used < 2 || m == 0 || n == 0)
		return 1;
	for (i = 0; i < k; i++) {
		double all = (double)(ref[i] + cur[i]), e = all * m / (m + n), f = all * n / (m + n);
		double d = fabs((double)ref[i] - e), yates = used == 2 ? fmin(0.5, d) : 0;

		if (all > 0)
			x += (d - yates) * (d - yates) * (1 / e + 1 / f);
	}
	*statistic = x;
	*v = sqrt(x / (m + n));
	return ns_stat_chi2_sf(x, used - 1);
}

double ns_stat_g_counts(const int64_t *ref, const int64_t *cur, int k, double *statistic, double *least)
{
	double m, n, g = 0, each = 0, rows;
	int i, used;

	*statistic = 0;
	*least = INFINITY;
	used = margins(ref, cur, k, &m, &n);
	if (used < 2 || m == 0 || n == 0)
		return 1;
	for (i = 0; i < k; i++) {
		double all = (double)(ref[i] + cur[i]), e = all * m / (m + n), f = all * n / (m + n);

		if (all == 0)
			continue;
		each += (m + n) / all;
		*least = fmin(*least, fmin(e, f));
		g += ref[i] ? (double)ref[i] * log((double)ref[i] / e) : 0;
		g += cur[i] ? (double)cur[i] * log((double)cur[i] / f) : 0;
	}
	*statistic = 2 * g;
	/* Williams 1976: G is divided by the ratio of its mean to that of chi-square, which is above 1 for small counts */
	rows = (m + n) / m + (m + n) / n;
	return ns_stat_chi2_sf(2 * g / (1 + (rows - 1) * (each - 1) / (6 * (m + n) * (used - 1))), used - 1);
}

/* Sum over classes of cur^2 / all, of which chi-square is an increasing function when both margins are fixed. */
static double spread(const int64_t *cur, const int64_t *all, int k)
{
	double sum = 0;
	int i;

	for (i = 0; i < k; i++)
		sum += all[i] ? (double)cur[i] * (double)cur[i] / (double)all[i] : 0;
	return sum;
}

double ns_stat_chi2_draws(const int64_t *ref, const int64_t *cur, int k, int draws, uint64_t seed)
{
	int64_t *all = calloc(2 * (size_t)k + 1, sizeof *all), *drawn = all + k, m = 0, n = 0, i, at;
	int32_t *rows;
	double observed;
	int c, t, far = 0;

	if (!all)
		return NAN;
	for (c = 0; c < k; c++) {
		all[c] = ref[c] + cur[c];
		m += ref[c];
		n += cur[c];
	}
	rows = malloc(sizeof *rows * (size_t)(m + n + 1));
	if (!rows) {
		free(all);
		return NAN;
	}
	for (c = 0, at = 0; c < k; c++)
		for (i = 0; i < all[c]; i++)
			rows[at++] = c;
	observed = spread(cur, all, k) - 1e-9;
	for (t = 0; t < draws; t++) { /* the first n of a partial shuffle, which continues from the previous one's order */
		memset(drawn, 0, sizeof *drawn * (size_t)k);
		for (i = 0; i < n; i++) {
			uint32_t bits = ns_draw(seed, NS_FOR_PERMUTE, (uint32_t)t, (uint64_t)i, 1).v[0];
			int64_t j = i + (int64_t)((uint64_t)bits * (uint64_t)(m + n - i) >> 32);
			int32_t row = rows[j];

			rows[j] = rows[i];
			rows[i] = row;
			drawn[row]++;
		}
		far += spread(drawn, all, k) >= observed;
	}
	free(rows);
	free(all);
	return (1.0 + far) / (1.0 + draws);
}

/* Without drift, to second order, PSI is (1/m + 1/n) times chi-square of k - 1 degrees, and Jensen-Shannon an eighth of PSI. */
double ns_stat_psi_no_drift(int k, double m, double n)
{
	double low = 0, high = 10 + 3.0 * k;
	int i;

	for (i = 0; i < 100; i++) { /* the 95 % point of chi-square by bisection */
		double mid = (low + high) / 2;

		if (ns_stat_chi2_sf(mid, k - 1) > 0.05)
			low = mid;
		else
			high = mid;
	}
	return (1 / n + 1 / m) * low;
}

double ns_stat_js_no_drift(int k, double m, double n)
{
	return ns_stat_psi_no_drift(k, m, n) / 8;
}

double ns_stat_psi(const int64_t *ref, const int64_t *cur, int k)
{
	double m = 0, n = 0, sum = 0;
	int i;

	for (i = 0; i < k; i++) {
		m += (double)ref[i] + 0.5;
		n += (double)cur[i] + 0.5;
	}
	for (i = 0; i < k; i++) {
		double p = ((double)ref[i] + 0.5) / m, q = ((double)cur[i] + 0.5) / n;

		sum += (p - q) * log(p / q);
	}
	return sum;
}

double ns_stat_js(const int64_t *ref, const int64_t *cur, int k)
{
	double m = 0, n = 0, sum = 0;
	int i;

	for (i = 0; i < k; i++) {
		m += (double)ref[i];
		n += (double)cur[i];
	}
	for (i = 0; m > 0 && n > 0 && i < k; i++) {
		double p = (double)ref[i] / m, q = (double)cur[i] / n, h = (p + q) / 2;

		sum += (p > 0 ? p * log(p / h) : 0) / 2 + (q > 0 ? q * log(q / h) : 0) / 2;
	}
	return sum;
}

struct ranked {
	double p;
	int i;
};

static int by_p(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->p != y->p ? (x->p > y->p) - (x->p < y->p) : x->i - y->i;
}

static struct ranked *rank(const double *p, int n)
{
	struct ranked *r = malloc(sizeof *r * (size_t)(n + 1));
	int i;

	for (i = 0; r && i < n; i++)
		r[i] = (struct ranked){p[i], i};
	if (r)
		qsort(r, (size_t)n, sizeof *r, by_p);
	return r;
}

void ns_stat_holm(const double *p, double *adjusted, int n)
{
	struct ranked *r = rank(p, n);
	double most = 0;
	int i;

	for (i = 0; i < n; i++)
		adjusted[i] = 1;
	for (i = 0; r && i < n; i++) {
		most = fmax(most, fmin(1, (n - i) * r[i].p));
		adjusted[r[i].i] = most;
	}
	free(r);
}

void ns_stat_benjamini_hochberg(const double *p, double *adjusted, int n)
{
	struct ranked *r = rank(p, n);
	double least = 1;
	int i;

	for (i = 0; i < n; i++)
		adjusted[i] = 1;
	for (i = n - 1; r && i >= 0; i--) {
		least = fmin(least, r[i].p * n / (i + 1));
		adjusted[r[i].i] = least;
	}
	free(r);
}

static double norm1(const double *a, int k)
{
	double most = 0;
	int i, j;

	for (j = 0; j < k; j++) {
		double sum = 0;

		for (i = 0; i < k; i++)
			sum += fabs(a[i * k + j]);
		most = fmax(most, sum);
	}
	return most;
}

double ns_stat_bbse(const double *c, const double *mu, int k, double *w)
{
	int width = 2 * k, i, j, col;
	double *a = calloc((size_t)(k * width + k * k), sizeof *a), *inverse = a + k * width, condition;

	if (!a)
		return INFINITY;
	for (i = 0; i < k; i++) {
		memcpy(a + i * width, c + i * k, sizeof *a * (size_t)k);
		a[i * width + k + i] = 1;
	}
	for (col = 0; col < k; col++) { /* Gauss-Jordan, largest pivot */
		int best = col;

		for (i = col + 1; i < k; i++)
			if (fabs(a[i * width + col]) > fabs(a[best * width + col]))
				best = i;
		if (fabs(a[best * width + col]) < 1e-12) {
			free(a);
			return INFINITY;
		}
		for (j = 0; best != col && j < width; j++) {
			double t = a[col * width + j];

			a[col * width + j] = a[best * width + j];
			a[best * width + j] = t;
		}
		for (i = 0; i < k; i++) {
			double f = (i == col ? 0 : a[i * width + col] / a[col * width + col]);

			for (j = 0; f != 0 && j < width; j++)
				a[i * width + j] -= f * a[col * width + j];
		}
		for (j = 0, condition = a[col * width + col]; j < width; j++)
			a[col * width + j] /= condition;
	}
	for (i = 0; i < k; i++) {
		w[i] = 0;
		for (j = 0; j < k; j++) {
			inverse[i * k + j] = a[i * width + k + j];
			w[i] += inverse[i * k + j] * mu[j];
		}
	}
	condition = norm1(c, k) * norm1(inverse, k);
	free(a);
	return condition;
}

static double log_choose(double n, double k)
{
	return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

double ns_stat_fisher(const int64_t ref[2], const int64_t cur[2])
{
	double m = (double)(ref[0] + ref[1]), n = (double)(cur[0] + cur[1]), k = (double)(ref[1] + cur[1]), all = log_choose(m + n, k);
	double here = log_choose(m, (double)ref[1]) + log_choose(n, (double)cur[1]) - all, sum = 0, x;

	for (x = fmax(0, k - n); x <= fmin(m, k); x++) {
		double p = log_choose(m, x) + log_choose(n, k - x) - all;

		if (p <= here + 1e-7)
			sum += exp(p);
	}
	return fmin(1, sum);
}

double ns_stat_binomial_sf(int64_t k, int64_t n, double p)
{
	double sum = 0, base = lgamma((double)n + 1);
	int64_t i;

	for (i = k < 0 ? 0 : k; i <= n; i++)
		sum += exp(base - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) + (double)i * log(p) + (double)(n - i) * log1p(-p));
	return sum > 1 ? 1 : sum;
}

void ns_stat_wilson(int64_t k, int64_t n, double *low, double *high)
{
	double z = 1.959963984540054, p = n ? (double)k / (double)n : 0, m = (double)n;
	double centre = (p + z * z / (2 * m)) / (1 + z * z / m);
	double half = z / (1 + z * z / m) * sqrt(p * (1 - p) / m + z * z / (4 * m * m));

	*low = n ? fmax(0, centre - half) : 0;
	*high = n ? fmin(1, centre + half) : 1;
}
