/* host/stat/ks.c - p of Kolmogorov-Smirnov's D: exact for small windows, by the one-sample distribution for large ones. */
#define _XOPEN_SOURCE 700 /* M_PI */
#include "host/stat/stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_CELLS 1e8 /* m n up to which lattice paths are counted: 10,000 rows of both, or a million against a hundred */

static double clamp01(double p)
{
	return p < 0 ? 0 : p > 1 ? 1 : p;
}

/* 2 sum (-1)^(i-1) C(2n, n - ih) / C(2n, n) */
static double ks_equal(int64_t n, int64_t h)
{
	double base = 2 * lgamma((double)n + 1), sum = 0;
	int64_t i;

	if (h < 1) /* D is less than 1 / n: the window counts as fewer rows than it has */
		return 1;
	for (i = 1; i * h <= n; i++) {
		double t = exp(base - lgamma((double)(n - i * h) + 1) - lgamma((double)(n + i * h) + 1));

		sum += i % 2 ? t : -t;
	}
	return clamp01(2 * sum);
}

/*
 * Share of lattice paths from (0,0) to (m,n) that leave |i/m - j/n| < d: row by row, each count divided by all paths to
 * that point, so that nothing overflows: P(i,j) = i/(i+j) P(i-1,j) + j/(i+j) P(i,j-1), with 1 outside. Only the cells inside
 * the band are computed: a share 2 d of all.
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

/* P that all of one window lie below all of the other: 1 / C(m + n, n) */
static double apart(int64_t m, int64_t n)
{
	return exp(lgamma((double)m + 1) + lgamma((double)n + 1) - lgamma((double)(m + n) + 1));
}

/* No D is less probable than D = 1, which two orders of the rows give: a limit that says less is beyond its reach. */
static double at_least(double p, int64_t m, int64_t n)
{
	return clamp01(fmax(p, 2 * apart(m, n)));
}

double ns_stat_ks_p_asymptotic(double d, int64_t m, int64_t n)
{
	int64_t en = (int64_t)floor((double)m * (double)n / (double)(m + n) + 0.5), i;
	double x, sum = 0;

	if (en < 1 || d <= 0)
		return 1;
	if (d >= 1)
		return 2 * apart(m, n);
	/* the matrix has 2 n d rows: where that is too large, the expansion is used; in the far tail 1 - P is only rounding error,
	 * and the limit with Stephens' correction is accurate */
	if ((double)en * d < 60 && (double)en * d * d < 18)
		return at_least(1 - mtw(d, en), m, n);
	if ((double)en * d * d < 9)
		return at_least(1 - pelz_good(sqrt((double)en) * d, (double)en), m, n);
	x = d * (sqrt((double)en) + 0.12 + 0.11 / sqrt((double)en));
	for (i = 1; i < 200; i++)
		sum += (i % 2 ? 1 : -1) * exp(-2 * (double)(i * i) * x * x);
	return at_least(2 * sum, m, n);
}

double ns_stat_ks_p(double d, int64_t m, int64_t n)
{
	if (m < 1 || n < 1 || !(d >= 0))
		return NAN;
	if (d == 0)
		return 1;
	if ((double)m * (double)n > EXACT_CELLS)
		return ns_stat_ks_p_asymptotic(d, m, n);
	return m == n ? ks_equal(n, (int64_t)floor((double)n * d + 0.5)) : m < n ? ks_paths(d, n, m) : ks_paths(d, m, n);
}
