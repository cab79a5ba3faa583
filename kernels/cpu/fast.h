/* kernels/cpu/fast.h - exp and what is made of it over sixteen lanes, as polynomials without a branch. */
#ifndef NS_CPU_FAST_H
#define NS_CPU_FAST_H

#include "kernels/cpu/vec.h"

static inline v16f v16_select(v16i mask, v16f a, v16f b)
{
	v16i x, y;

	memcpy(&x, &a, sizeof x);
	memcpy(&y, &b, sizeof y);
	x = (x & mask) | (y & ~mask);
	memcpy(&a, &x, sizeof a);
	return a;
}

static inline v16f v16_between(v16f x, float low, float high)
{
	return v16_select(x < low, v16_set(low), v16_select(x > high, v16_set(high), x));
}

static inline v16f v16_of_bits(v16i bits)
{
	v16f x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

/* Within [low, high]; what is no number stays. */
static inline v16f v16_limit(v16f x, float low, float high)
{
#if defined(__AVX512F__)
	return (v16f)_mm512_max_ps((__m512)v16_set(low), _mm512_min_ps((__m512)v16_set(high), (__m512)x));
#else
	return v16_select(x < low, v16_set(low), v16_select(x > high, v16_set(high), x));
#endif
}

/* x = n ln 2 + r of the nearest whole n: exp(r) by a polynomial, within 2 units in the last place. |x| below 100; of what is no number n is any. */
static inline v16f v16_exp_parts(v16f x, v16i *n)
{
	const float whole = 12582912.0f; /* 1.5 * 2^23: what is added to it is rounded to whole numbers */
	const v16f k = (x * 1.44269504f + whole) - whole;
	v16f r = x - k * 0.693359375f, p;

	r = r - k * -2.12194440e-4f;
	p = r * 1.9875691500e-4f + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	*n = __builtin_convertvector(k, v16i);
	return p * r * r + r + 1.0f;
}

/* exp() of a float: 2^n * exp(r), within 2 units in the last place; below -87.3 it is 0. */
static inline v16f v16_fast_exp(v16f x)
{
	v16i e;
	v16f p = v16_exp_parts(v16_limit(x, -87.3f, 89.0f), &e); /* exp(89) is infinite */

	p *= v16_of_bits(((e >> 1) + 127) << 23); /* in two: 2^128 is no float */
	p *= v16_of_bits((e - (e >> 1) + 127) << 23);
	return v16_select(x < -87.3f, v16_set(0), p);
}

/* Beyond 88.4 exp(-x) is infinite, which makes it 0, and below -87.3 it is 1 anyway. */
static inline v16f v16_fast_sigmoid(v16f x)
{
	v16i e;
	const v16f p = v16_exp_parts(v16_limit(-x, -87.3f, 89.0f), &e);

	return 1.0f / (1.0f + p * v16_of_bits((e + 127) << 23));
}

/* Odd over even polynomial up to 7.9, beyond which it is 1: within 4 units in the last place. */
static inline v16f v16_fast_tanh(v16f x)
{
	const v16f most = v16_set(7.9f);
	v16f t = v16_select(x < -most, -most, v16_select(x > most, most, x)), s = t * t, p, q;

	p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
	p = p * s + -8.60467152213735e-11f;
	p = p * s + 5.12229709037114e-08f;
	p = p * s + 1.48572235717979e-05f;
	p = p * s + 6.37261928875436e-04f;
	p = p * s + 4.89352455891786e-03f;
	q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
	q = q * s + 2.26843463243900e-03f;
	q = q * s + 4.89352518554385e-03f;
	return t * p / q;
}

#endif
