/*
 * kernels/formula/mmd.h - the quantised kernel matrix and the random permutations of the test.
 *
 * Kernel values are integers 0..NS_MMD_ONE, so every sum over them is exact and the exceedance counts are
 * the same for any tile, thread or rank. Quantising moves a value by at most 1.6e-5, at random.
 */
#ifndef NS_FORMULA_MMD_H
#define NS_FORMULA_MMD_H

#include "kernels/formula/random.h"

/* Adds one column to the squared distance, rounded once; (x - y)^2 = (y - x)^2 exactly, so K is symmetric to the bit. */
NS_FORMULA float ns_mmd_distance(float d2, float x, float y)
{
	float t = x - y;

	return fmaf(t, t, d2);
}

/* exp(-gamma d2), or max(0, 1 - gamma d), in NS_MMD_ONE = 32767 steps */
NS_FORMULA uint32_t ns_mmd_kernel(float d2, float gamma, int distance)
{
	float near = 1.0f - gamma * sqrtf(d2), k = distance ? (near > 0.0f ? near : 0.0f) : ns_exp_neg(-gamma * d2);

	return (uint32_t)(k * 32767.0f + 0.5f);
}

/*
 * Who is in group X under permutation p: bit i of bits[i / 32]; (total + 31) / 32 words, total < 2^32. p = 0 is the observed
 * grouping, the first m rows; the others are random subsets of m rows, all equally likely, keyed (seed, p), by Floyd's algorithm
 * (Bentley, Floyd 1987, "A sample of brilliance"): it needs only a bit a row, so it stays in a cache or in shared memory.
 */
NS_FORMULA uint32_t ns_mmd_candidate(uint32_t bits, uint32_t i)
{
	return (uint32_t)((uint64_t)bits * ((uint64_t)i + 1) >> 32); /* 0..i */
}

NS_FORMULA void ns_mmd_insert(uint32_t *bits, uint32_t candidate, uint32_t i) /* i itself if the candidate is already in the set */
{
	uint32_t at = bits[candidate / 32] >> candidate % 32 & 1 ? i : candidate;

	bits[at / 32] |= 1u << at % 32;
}

NS_FORMULA void ns_mmd_members(uint32_t *bits, uint32_t m, uint32_t total, uint64_t seed, uint32_t p)
{
	struct ns_philox r = {{0, 0, 0, 0}};
	uint32_t i, words = total / 32 + (total % 32 ? 1 : 0);

	for (i = 0; i < words; i++)
		bits[i] = 0;
	for (i = 0; i < m; i++) {
		uint32_t row = total - m + i;

		if (p && i % 4 == 0)
			r = ns_draw(seed, NS_FOR_PERMUTE, p, i / 4, 0);
		ns_mmd_insert(bits, p ? ns_mmd_candidate(r.v[i % 4], row) : i, row);
	}
}

#endif
