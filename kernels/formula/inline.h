/*
 * kernels/formula/inline.h - per-element maths, compiled by the C compiler and by nvcc alike.
 *
 * A formula is a NS_FORMULA function: no memory of its own, no library call whose last bit may differ
 * between devices (sqrt is correctly rounded everywhere). The whole tree is built with -ffp-contract=off
 * (-fmad=false under nvcc), so that a * b + c rounds twice everywhere, unless fma is asked for by name.
 */
#ifndef NS_FORMULA_INLINE_H
#define NS_FORMULA_INLINE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define NS_FORMULA static __host__ __device__ inline
#else
#define NS_FORMULA static inline
#endif

NS_FORMULA int32_t ns_clamp_i32(int32_t x, int32_t low, int32_t high)
{
	return x < low ? low : x > high ? high : x;
}

NS_FORMULA uint32_t ns_bits_of_f32(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof u);
	return u;
}

NS_FORMULA float ns_f32_of_bits(uint32_t u)
{
	float x;

	memcpy(&x, &u, sizeof x);
	return x;
}

/* bfloat16: the upper half of an f32; rounding to nearest even, NaN stays NaN. */
NS_FORMULA float ns_f32_of_bf16(uint16_t h)
{
	return ns_f32_of_bits((uint32_t)h << 16);
}

NS_FORMULA uint16_t ns_bf16_of_f32(float x)
{
	uint32_t u = ns_bits_of_f32(x);
	uint32_t nan = (u & 0x7fffffff) > 0x7f800000;
	uint32_t r = (u + 0x7fff + ((u >> 16) & 1)) >> 16;

	return (uint16_t)(nan ? (u >> 16) | 0x40 : r);
}

/* IEEE's half precision, with subnormal numbers; rounding to nearest even, too large becomes infinite. */
NS_FORMULA float ns_f32_of_f16(uint16_t x)
{
	uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = (x >> 10) & 31;
	float small = (float)(x & 0x3ff) * 0x1p-24f;

	if (!exponent) /* zero and subnormal numbers */
		return sign ? -small : small;
	return ns_f32_of_bits(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (uint32_t)(x & 0x3ff) << 13);
}

NS_FORMULA uint16_t ns_f16_of_f32(float x)
{
	uint32_t u = ns_bits_of_f32(x), sign = (u >> 16) & 0x8000, rest = u & 0x7fffffff, r;

	if (rest > 0x7f800000) /* NaN */
		return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x1ff));
	if (rest < 0x38800000) /* a multiple of 2^-24, which the sum with 1/2 rounds to */
		return (uint16_t)(sign | (ns_bits_of_f32(ns_f32_of_bits(rest) + 0.5f) - 0x3f000000));
	r = rest + 0xfff + ((rest >> 13) & 1);
	return (uint16_t)(sign | (r >= 0x47800000 ? 0x7c00 : (r - 0x38000000) >> 13));
}

/*
 * exp(x) for x <= 0 in f32, the same bits on every device: 2^n * p(r), Cody-Waite reduction and a
 * degree 7 polynomial; within 2 units in the last place. Below -87 it is 0.
 */
NS_FORMULA float ns_exp_neg(float x)
{
	float t = x > -87.0f ? x : -87.0f, n, r, p;
	int32_t e = (int32_t)(t * 1.44269504f - 0.5f); /* truncation rounds to nearest for t <= 0 */

	n = (float)e;
	r = t - n * 0.693359375f;
	r = r - n * -2.12194440e-4f;
	p = 1.9841270e-4f;
	p = p * r + 1.3888889e-3f;
	p = p * r + 8.3333333e-3f;
	p = p * r + 4.1666667e-2f;
	p = p * r + 1.6666667e-1f;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	return x > -87.0f ? p * ns_f32_of_bits((uint32_t)(e + 127) << 23) : 0.0f;
}

/* cos and sin of `turns` full turns, in double, from +, - and * alone: the same bits everywhere. */
NS_FORMULA void ns_cos_sin(double turns, double *c, double *s)
{
	double q = floor(turns * 4.0 + 0.5), x = (turns * 4.0 - q) * 1.57079632679489661923, y = x * x;
	int quadrant = (int)(q - 4.0 * floor(q * 0.25));
	double sn, cs;

	sn = x * (1 + y * (-1. / 6 + y * (1. / 120 + y * (-1. / 5040 + y * (1. / 362880 - y * (1. / 39916800))))));
	cs = 1 + y * (-1. / 2 + y * (1. / 24 + y * (-1. / 720 + y * (1. / 40320 - y * (1. / 3628800)))));
	*c = quadrant == 0 ? cs : quadrant == 1 ? -sn : quadrant == 2 ? -cs : sn;
	*s = quadrant == 0 ? sn : quadrant == 1 ? cs : quadrant == 2 ? -sn : -cs;
}

#endif
