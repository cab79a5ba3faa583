#define _XOPEN_SOURCE 700 /* M_PI */
#include "host/shift/pvalue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

static double clamp01(double p)
{
	return p < 0 ? 0 : p > 1 ? 1 : p;
}

/* 2 sum (-1)^(i-1) C(2n, n - ih) / C(2n, n) */
static double ks_equal(int64_t n, int64_t h)
{
	double base = 2 * lgamma((double)n + 1), sum = 0;
	int64_t i;

	if (h < 1) /* D is less than one row: windows that count as fewer rows than they have */
		return 1;
	for (i = 1; i * h <= n; i++) {
		double t = exp(base - lgamma((double)(n - i * h) + 1) - lgamma((double)(n + i * h) + 1));

		sum += i % 2 ? t : -t;
	}
	return clamp01(2 * sum);
}

/*
 * Share of lattice paths from (0,0) to (m,n) that leave |i/m - j/n| < d: row by row, each count divided by all paths to
 * that point, so that nothing overflows: P(i,j) = i/(i+j) P(i-1,j) + j/(i+j) P(i,j-1), with 1 outside. Only the band
 * inside is walked: 2 d of all cells.
 */
static double ks_paths(double d, int64_t m, int64_t n)
{
	double *row = malloc(sizeof *row * (size_t)(n + 1)), p, edge = d - 1e-12;
	int64_t i, j, first = 0, last = 0; /* of the band */

	if (!row)
		return NAN;
	for (j = 0; j <= n; j++)
		row[j] = (double)j / (double)n >= edge;
	for (i = 1; i <= m; i++) {
		double x = (double)i / (double)m;

		for (; first <= n && x - (double)first / (double)n >= edge; first++)
			row[first] = 1;
		while (last < n && (double)(last + 1) / (double)n - x < edge)
			last++;
		for (j = first; j <= last; j++)
			row[j] = ((double)i * row[j] + (j ? (double)j * row[j - 1] : 0)) / (double)(i + j);
	}
	p = row[n];
	free(row);
	return clamp01(p);
}

/* a (k x k) = b * c */
static void multiply(double *a, const double *b, const double *c, int k)
{
	int i, j, l;

	for (i = 0; i < k; i++)
		for (j = 0; j < k; j++) {
			double s = 0;

			for (l = 0; l < k; l++)
				s += b[i * k + l] * c[l * k + j];
			a[i * k + j] = s;
		}
}

/* v = h^n, with powers of ten taken out */
static void power(double *v, int *exponent, const double *h, int k, int64_t n, double *scratch)
{
	int64_t i;

	if (n == 1) {
		memcpy(v, h, sizeof *v * (size_t)(k * k));
		*exponent = 0;
		return;
	}
	power(v, exponent, h, k, n / 2, scratch);
	multiply(scratch, v, v, k);
	*exponent *= 2;
	if (n % 2)
		multiply(v, h, scratch, k);
	else
		memcpy(v, scratch, sizeof *v * (size_t)(k * k));
	if (v[(k / 2) * k + k / 2] > 1e140) {
		for (i = 0; i < k * k; i++)
			v[i] *= 1e-140;
		*exponent += 140;
	}
}

/* P(D_n < d), Marsaglia, Tsang and Wang */
static double mtw(double d, int64_t n)
{
	int k = (int)((double)n * d) + 1, m = 2 * k - 1, i, j, g, e;
	double t = k - (double)n * d, s, *h = calloc((size_t)(3 * m * m), sizeof *h), *v = h + m * m;
	int64_t q;

	if (!h)
		return NAN;
	for (i = 0; i < m; i++)
		for (j = 0; j < m; j++)
			h[i * m + j] = i - j + 1 >= 0;
	for (i = 0; i < m; i++) {
		h[i * m] -= pow(t, i + 1);
		h[(m - 1) * m + i] -= pow(t, m - i);
	}
	h[(m - 1) * m] += 2 * t - 1 > 0 ? pow(2 * t - 1, m) : 0;
	for (i = 0; i < m; i++)
		for (j = 0; j < m; j++)
			for (g = 1; i - j + 1 > 0 && g <= i - j + 1; g++)
				h[i * m + j] /= g;
	power(v, &e, h, m, n, h + 2 * m * m);
	s = v[(k - 1) * m + k - 1];
	for (q = 1; q <= n; q++) {
		s = s * (double)q / (double)n;
		if (s < 1e-140) {
			s *= 1e140;
			e -= 140;
		}
	}
	free(h);
	return s * pow(10, e);
}

/* P(sqrt(n) D_n <= z), Pelz and Good 1976, as Simard and L'Ecuyer 2011 give it; the error falls with n^-2: 3e-8 at a thousand */
static double pelz_good(double z, double n)
{
	double k0 = 0, k1 = 0, k2 = 0, k3 = 0, more2 = 0, more3 = 0, z2 = z * z, z4 = z2 * z2, z6 = z4 * z2, pi2 = M_PI * M_PI, root = sqrt(M_PI / 2);
	int k;

	for (k = 0; k < 40; k++) { /* k and -k - 1 are alike: h^2 = (k + 1/2)^2 */
		double h2 = (k + 0.5) * (k + 0.5), a = pi2 * h2, e = exp(-a / (2 * z2)), l2 = pi2 * (double)k * (double)k, el = exp(-l2 / (2 * z2));

		k0 += e;
		k1 += 2 * (a - z2) * e;
		k2 += 2 * (6 * z6 + 2 * z4 + (2 * z4 - 5 * z2) * a + (1 - 2 * z2) * a * a) * e;
		k3 += 2 * (a * a * a * (5 - 30 * z2) + a * a * (-60 * z2 + 212 * z4) + a * (135 * z4 - 96 * z6) - (30 * z6 + 90 * z4 * z4)) * e;
		more2 += 2 * l2 * el;
		more3 += 2 * (-l2 * l2 + 3 * l2 * z2) * el;
	}
	k0 *= sqrt(2 * M_PI) / z;
	k1 *= root / (6 * z4);
	k2 = k2 * root / (72 * z6 * z) - more2 * root / (36 * z2 * z);
	k3 = k3 * root / (6480 * z6 * z4) + more3 * root / (216 * z6);
	return k0 + k1 / sqrt(n) + k2 / n + k3 / (n * sqrt(n));
}

double ns_ks_p_asymptotic(double d, int64_t m, int64_t n)
{
	int64_t en = (int64_t)floor((double)m * (double)n / (double)(m + n) + 0.5), i;
	double x, sum = 0;

	if (en < 1 || d <= 0)
		return 1;
	if (d >= 1)
		return 0;
	/* the matrix has 2 n d rows: where it grows too large, the expansion; far out its difference from 1 is all rounding, and the
	 * limit with Stephens' correction is near */
	if ((double)en * d < 60 && (double)en * d * d < 18)
		return clamp01(1 - mtw(d, en));
	if ((double)en * d * d < 9)
		return clamp01(1 - pelz_good(sqrt((double)en) * d, (double)en));
	x = d * (sqrt((double)en) + 0.12 + 0.11 / sqrt((double)en));
	for (i = 1; i < 200; i++)
		sum += (i % 2 ? 1 : -1) * exp(-2 * (double)(i * i) * x * x);
	return clamp01(2 * sum);
}

double ns_ks_p(double d, int64_t m, int64_t n)
{
	if (m < 1 || n < 1 || !(d >= 0))
		return NAN;
	if (d == 0)
		return 1;
	if (m > 10000 || n > 10000)
		return ns_ks_p_asymptotic(d, m, n);
	return m == n ? ks_equal(n, (int64_t)floor((double)n * d + 0.5)) : ks_paths(d, m, n);
}

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
		return clamp01(1 - sum * front);
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
	return clamp01(front * h);
}

double ns_chi2_sf(double x, double df)
{
	return df <= 0 ? 1 : gamma_q(df / 2, x / 2);
}

/* rows of both samples; returns how many classes occur */
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

double ns_chi2_counts(const int64_t *ref, const int64_t *cur, int k, double *statistic, double *v)
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
	return ns_chi2_sf(x, used - 1);
}

double ns_g_counts(const int64_t *ref, const int64_t *cur, int k, double *statistic, double *least)
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
	/* Williams 1976: divided by its mean over the limit's, which small counts make larger than 1 */
	rows = (m + n) / m + (m + n) / n;
	return ns_chi2_sf(2 * g / (1 + (rows - 1) * (each - 1) / (6 * (m + n) * (used - 1))), used - 1);
}

/* sum over classes of cur^2 / all: with both margins given, chi-square grows with it */
static double spread(const int64_t *cur, const int64_t *all, int k)
{
	double sum = 0;
	int i;

	for (i = 0; i < k; i++)
		sum += all[i] ? (double)cur[i] * (double)cur[i] / (double)all[i] : 0;
	return sum;
}

double ns_chi2_draws(const int64_t *ref, const int64_t *cur, int k, int draws, uint64_t seed)
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
	for (t = 0; t < draws; t++) { /* the first n of a shuffle that goes on from the last one */
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

/* both are weighted sums of the same squares: to second order (1/m + 1/n) chi-square of k - 1, and an eighth of it */
double ns_psi_no_drift(int k, double m, double n)
{
	double low = 0, high = 10 + 3.0 * k;
	int i;

	for (i = 0; i < 100; i++) { /* the chi-square point by bisection */
		double mid = (low + high) / 2;

		if (ns_chi2_sf(mid, k - 1) > 0.05)
			low = mid;
		else
			high = mid;
	}
	return (1 / n + 1 / m) * low;
}

double ns_js_no_drift(int k, double m, double n)
{
	return ns_psi_no_drift(k, m, n) / 8;
}

double ns_psi(const int64_t *ref, const int64_t *cur, int k)
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

double ns_js(const int64_t *ref, const int64_t *cur, int k)
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

void ns_holm(const double *p, double *adjusted, int n)
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

void ns_benjamini_hochberg(const double *p, double *adjusted, int n)
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

double ns_bbse(const double *c, const double *mu, int k, double *w)
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

double ns_binomial_sf(int64_t k, int64_t n, double p)
{
	double sum = 0, base = lgamma((double)n + 1);
	int64_t i;

	for (i = k < 0 ? 0 : k; i <= n; i++)
		sum += exp(base - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) + (double)i * log(p) + (double)(n - i) * log1p(-p));
	return sum > 1 ? 1 : sum;
}

void ns_wilson(int64_t k, int64_t n, double *low, double *high)
{
	double z = 1.959963984540054, p = n ? (double)k / (double)n : 0, m = (double)n;
	double centre = (p + z * z / (2 * m)) / (1 + z * z / m);
	double half = z / (1 + z * z / m) * sqrt(p * (1 - p) / m + z * z / (4 * m * m));

	*low = n ? fmax(0, centre - half) : 0;
	*high = n ? fmin(1, centre + half) : 1;
}
