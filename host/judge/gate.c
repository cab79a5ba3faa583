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
