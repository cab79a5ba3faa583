/* host/judge/gate.c - a candidate against production, by the rows of which one of them alone is right. */
#include "host/judge/judge.h"

#include <math.h>

#include "host/stat/stat.h"

double ns_gate_evidence(int64_t b, int64_t c)
{
	double x = (double)b + 1, y = (double)c + 1;

	/* the likelihood of b and c, averaged over chances from 1/2 to 1, over that of 1/2: 2 * 2^n B(x, y) P(Beta(x, y) > 1/2) */
	return (x + y - 1) * log(2.) + lgamma(x) + lgamma(y) - lgamma(x + y) + log(fmax(ns_stat_beta_cdf(.5, y, x), 1e-300));
}

/* P(Bin(n, p) = k) */
static double binomial(double n, double k, double p)
{
	if (p <= 0 || p >= 1)
		return p <= 0 ? k <= 0 : k >= n;
	return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p));
}

/* The fewest of n disagreements that must be for the candidate; n + 1: none suffice. */
static int64_t least_votes(int64_t n, double evidence)
{
	int64_t low = n / 2, high = n + 1;

	while (low < high) {
		int64_t b = (low + high) / 2;

		if (b <= n && ns_gate_evidence(b, n - b) < log(evidence))
			low = b + 1;
		else
			high = b;
	}
	return low;
}

double ns_gate_power(int64_t rows, double gain, double evidence)
{
	double differ = fmin(1, gain + NS_GATE_OTHERS), better = (differ + gain) / 2 / differ, sum = 0;
	double middle = (double)rows * differ, wide = 8 * sqrt(middle + 1);
	int64_t n, low = (int64_t)fmax(0, floor(middle - wide)), high = (int64_t)fmin((double)rows, ceil(middle + wide));

	for (n = low; n <= high; n++)
		sum += ns_stat_binomial_sf(least_votes(n, evidence), n, better) * binomial((double)rows, (double)n, differ);
	return fmin(1, sum);
}

int64_t ns_gate_rows_wanted(double gain, double chance, double evidence)
{
	int64_t low = 1, high = 1;

	while (high < NS_GATE_MOST && ns_gate_power(high, gain, evidence) < chance)
		high *= 2;
	for (low = high / 2; high - low > 1;) {
		int64_t rows = (low + high) / 2;

		if (ns_gate_power(rows, gain, evidence) < chance)
			low = rows;
		else
			high = rows;
	}
	return high;
}
