/*
 * kernels/cpu/vec.h - vectors of sixteen lanes, which the compiler maps to the instruction set at hand.
 *
 * Loads and stores of fewer than 16 lanes fill with 0 and touch nothing beyond. Activations are f32 or bf16; sums
 * are f32 over at most NS_CPU_BLOCK rows, then double.
 */
#ifndef NS_CPU_VEC_H
#define NS_CPU_VEC_H

#ifdef __FMA__
#include <immintrin.h>
#endif
#include <math.h>

#include "kernels/formula/inline.h"
#include "kernels/op.h"

typedef float v16f __attribute__((vector_size(64)));
typedef int32_t v16i __attribute__((vector_size(64)));
typedef uint32_t v16u __attribute__((vector_size(64)));
typedef uint16_t v16h __attribute__((vector_size(32)));

#define NS_CPU_BLOCK 64

static inline v16f v16_set(float x)
{
	return (v16f){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

static inline v16f v16_load_f32(const float *p, int lanes)
{
	v16f v = {0};

#if defined(__AVX512F__)
	if (lanes != 16)
		return (v16f)_mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), p);
#endif
	memcpy(&v, p, lanes == 16 ? sizeof v : (size_t)lanes * sizeof *p);
	return v;
}

static inline void v16_store_f32(float *p, v16f v, int lanes)
{
#if defined(__AVX512F__)
	if (lanes != 16) {
		_mm512_mask_storeu_ps(p, (__mmask16)((1u << lanes) - 1), (__m512)v);
		return;
	}
#endif
	memcpy(p, &v, lanes == 16 ? sizeof v : (size_t)lanes * sizeof *p);
}

static inline v16f v16_load_bf16(const uint16_t *p, int lanes)
{
	v16h h = {0};
	v16u u;
	v16f v;

	memcpy(&h, p, lanes == 16 ? sizeof h : (size_t)lanes * sizeof *p);
	u = __builtin_convertvector(h, v16u) << 16;
	memcpy(&v, &u, sizeof v);
	return v;
}

static inline void v16_store_bf16(uint16_t *p, v16f v, int lanes)
{
	v16u u, nan, r;
	v16h h;

	memcpy(&u, &v, sizeof u);
	nan = (v16u)((u & 0x7fffffff) > 0x7f800000);
	r = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
	r = (nan & ((u >> 16) | 0x40)) | (~nan & r);
	h = __builtin_convertvector(r, v16h);
	memcpy(p, &h, lanes == 16 ? sizeof h : (size_t)lanes * sizeof *p);
}

/* dtype is a constant where these are inlined: no branch is left */
static inline v16f v16_load(const void *p, enum ns_dtype dtype, int64_t at, int lanes)
{
	return dtype == NS_BF16 ? v16_load_bf16((const uint16_t *)p + at, lanes) : v16_load_f32((const float *)p + at, lanes);
}

static inline void v16_store(void *p, enum ns_dtype dtype, int64_t at, v16f v, int lanes)
{
	if (dtype == NS_BF16)
		v16_store_bf16((uint16_t *)p + at, v, lanes);
	else
		v16_store_f32((float *)p + at, v, lanes);
}

static inline v16f v16_max(v16f a, v16f b)
{
	v16i mask = a > b, x, y;

	memcpy(&x, &a, sizeof x);
	memcpy(&y, &b, sizeof y);
	x = (x & mask) | (y & ~mask);
	memcpy(&a, &x, sizeof a);
	return a;
}

/* lanes where c is not positive become 0 (NaN too) */
static inline v16f v16_where_positive(v16f c, v16f v)
{
	v16i mask = c > 0, bits;

	memcpy(&bits, &v, sizeof bits);
	bits &= mask;
	memcpy(&v, &bits, sizeof v);
	return v;
}

/* a * b + c, rounded once */
static inline v16f v16_fma(v16f a, v16f b, v16f c)
{
#if defined(__AVX512F__)
	return (v16f)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
	__m256 x[2], y[2], z[2];

	memcpy(x, &a, sizeof x);
	memcpy(y, &b, sizeof y);
	memcpy(z, &c, sizeof z);
	z[0] = _mm256_fmadd_ps(x[0], y[0], z[0]);
	z[1] = _mm256_fmadd_ps(x[1], y[1], z[1]);
	memcpy(&c, z, sizeof c);
	return c;
#else
	int i;

	for (i = 0; i < 16; i++)
		c[i] = fmaf(a[i], b[i], c[i]);
	return c;
#endif
}

/* ns_exp_neg() of each lane: the same operations in the same order, the same bits */
static inline v16f v16_exp_neg(v16f x)
{
	v16f low = v16_set(-87.0f), t, n, r, p;
	v16i inside = x > low, e, bits, most;

	memcpy(&bits, &x, sizeof bits);
	memcpy(&most, &low, sizeof most);
	bits = (bits & inside) | (most & ~inside);
	memcpy(&t, &bits, sizeof t);
	e = __builtin_convertvector(t * 1.44269504f - 0.5f, v16i);
	n = __builtin_convertvector(e, v16f);
	r = t - n * 0.693359375f;
	r = r - n * -2.12194440e-4f;
	p = r * 1.9841270e-4f + 1.3888889e-3f;
	p = p * r + 8.3333333e-3f;
	p = p * r + 4.1666667e-2f;
	p = p * r + 1.6666667e-1f;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	e = (e + 127) << 23;
	memcpy(&t, &e, sizeof t);
	p *= t;
	memcpy(&bits, &p, sizeof bits);
	bits &= inside;
	memcpy(&p, &bits, sizeof p);
	return p;
}

static inline float v16_sum(v16f v)
{
	float t[16];
	int i, half;

	memcpy(t, &v, sizeof t);
	for (half = 8; half; half /= 2)
		for (i = 0; i < half; i++)
			t[i] += t[i + half];
	return t[0];
}

#endif
