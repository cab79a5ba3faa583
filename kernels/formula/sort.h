/* kernels/formula/sort.h - radix sort of floats, for the CPU's KS and the host's other column tests. */
#ifndef NS_FORMULA_SORT_H
#define NS_FORMULA_SORT_H

#include <stdint.h>
#include <string.h>

#include "kernels/formula/inline.h"

/* unsigned keys in the order of the floats; -0 is 0, every NaN the same and last */
static inline uint32_t ns_float_key(float x)
{
	uint32_t u;

	if (x != x)
		return 0xffffffffu;
	u = ns_bits_of_f32(x + 0.0f);
	return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static inline float ns_float_of_key(uint32_t key)
{
	return ns_f32_of_bits(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

/* least significant digit first, three passes of 11 bits; the result is in `a` or `b` (n each), which is returned */
static inline uint32_t *ns_sort_keys(uint32_t *a, uint32_t *b, int64_t n)
{
	int pass;

	for (pass = 0; pass < 3; pass++) {
		int64_t count[2049] = {0}, i;
		int shift = pass * 11, d;
		uint32_t *t = a;

		for (i = 0; i < n; i++)
			count[(a[i] >> shift & 2047) + 1]++;
		for (d = 0; d < 2048; d++)
			count[d + 1] += count[d];
		for (i = 0; i < n; i++)
			b[count[a[i] >> shift & 2047]++] = a[i];
		a = b;
		b = t;
	}
	return a;
}

/* x (n) in place; scratch: 2 n words */
static inline void ns_sort_floats(float *x, int64_t n, uint32_t *scratch)
{
	uint32_t *sorted;
	int64_t i;

	for (i = 0; i < n; i++)
		scratch[i] = ns_float_key(x[i]);
	sorted = ns_sort_keys(scratch, scratch + n, n);
	for (i = 0; i < n; i++)
		x[i] = ns_float_of_key(sorted[i]);
}

#endif
