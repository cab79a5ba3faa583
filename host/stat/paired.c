/* host/stat/paired.c - two answers to the same rows: McNemar's test, and the interval of the difference. */
#include "host/stat/stat.h"

#include <math.h>

#define Z 1.959963984540054

double ns_stat_mcnemar(int64_t b, int64_t c)
{
	int64_t n = b + c, k = b < c ? b : c, i;
	double sum = 0;

	for (i = 0; i <= k; i++)
		sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) - (double)n * log(2));
	return n ? fmin(1, 2 * sum) : 1;
}

/* Tango's score statistic for a difference d: how far b - c is from n d, in deviations under the most probable table with that difference. */
static double score(double n, double b, double c, double d)
{
	double B = (2 * n - b + c) * d - b - c, C = -c * d * (1 - d), q = (sqrt(fmax(0, B * B - 8 * n * C)) - B) / (4 * n);
	double v = n * (2 * q + d * (1 - d));

	if (v < 1e-12)
		return b - c - n * d > 1e-12 ? INFINITY : b - c - n * d < -1e-12 ? -INFINITY : 0;
	return (b - c - n * d) / sqrt(v);
}

/* The difference at which the score is z; it falls as the difference grows. */
static double at_score(double n, double b, double c, double z)
{
	double low = -1, high = 1;
	int i;

	for (i = 0; i < 60; i++) {
		double d = (low + high) / 2;

		if (score(n, b, c, d) > z)
			low = d;
		else
			high = d;
	}
	return (low + high) / 2;
}

/* The chance that a disagreement is for b, at its lower 97.5 % bound (Clopper, Pearson 1934). */
static double least_chance(double b, double c)
{
	double low = 0, high = 1;
	int i;

	if (b <= 0)
		return 0;
	for (i = 0; i < 60; i++) {
		double p = (low + high) / 2;

		if (1 - ns_stat_beta_cdf(1 - p, c + 1, b) < .025)
			low = p;
		else
			high = p;
	}
	return low;
}

void ns_stat_paired(int64_t rows, int64_t better, int64_t worse, double *low, double *high)
{
	double n = (double)rows, b = (double)better, c = (double)worse, differ = (b + c) / n;

	if (rows < 1) {
		*low = *high = NAN;
		return;
	}
	*low = at_score(n, b, c, Z);
	*high = at_score(n, b, c, -Z);
	/* exact given the disagreements, as McNemar's test is: the interval has 0 inside where that test is not significant */
	if (b + c > 0) {
		*low = fmin(*low, differ * (2 * least_chance(b, c) - 1));
		*high = fmax(*high, differ * (1 - 2 * least_chance(c, b)));
	}
}
