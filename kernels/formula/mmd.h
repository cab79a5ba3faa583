/*
 * kernels/formula/mmd.h - the quantised kernel matrix and the random labellings of the permutation test.
 *
 * Kernel values are integers 0..NS_MMD_ONE, so every sum over them is exact and the exceedance counts are
 * the same for any tile, thread or rank. Quantising moves a value by at most 1.6e-5, at random.
 */
#ifndef NS_FORMULA_MMD_H
#define NS_FORMULA_MMD_H

#include "kernels/formula/random.h"

/* one column's part of the squared distance, rounded once; (x - y)^2 is the same either way round: K is symmetric to the bit */
NS_FORMULA float ns_mmd_distance(float d2, float x, float y)
{
	float t = x - y;

	return fmaf(t, t, d2);
}

/* exp(-gamma d2) in NS_MMD_ONE = 32767 steps */
NS_FORMULA uint32_t ns_mmd_kernel(float d2, float gamma)
{
	return (uint32_t)(ns_exp_neg(-gamma * d2) * 32767.0f + 0.5f);
}

/*
 * The rows that belong to group X under permutation p come first in order[0..m): p = 0 is the observed
 * labelling, others the first m steps of a Fisher-Yates shuffle of all `total` < 2^32 rows, keyed (seed, p).
 */
NS_FORMULA void ns_mmd_labels(uint32_t *order, uint32_t m, uint32_t total, uint64_t seed, uint32_t p)
{
	struct ns_philox r = {{0, 0, 0, 0}};
	uint32_t i;

	for (i = 0; i < total; i++)
		order[i] = i;
	for (i = 0; p && i < m; i++) {
		uint32_t j, t = order[i];

		if (i % 4 == 0)
			r = ns_draw(seed, NS_FOR_PERMUTE, p, i / 4, 0);
		j = i + (uint32_t)((uint64_t)r.v[i % 4] * (total - i) >> 32);
		order[i] = order[j];
		order[j] = t;
	}
}

#endif
