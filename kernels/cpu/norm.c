/*
 * kernels/cpu/norm.c - see norm.h. Channels go in chunks of 16 lanes, rows in blocks of NS_CPU_BLOCK: a block's
 * sums are accurate enough in f32, blocks are merged in double, always in the same order.
 */
#include "kernels/cpu/norm.h"
#include "kernels/cpu/vec.h"

#define INLINE static inline __attribute__((always_inline))

INLINE int lanes_at(int k, int c)
{
	return k - c < 16 ? k - c : 16;
}

/* The mean of one block of rows and the sum of squares about it: the second pass reads from the cache. */
INLINE void block_moments(const void *z, enum ns_dtype t, int64_t at, int64_t n, int k, int lanes, v16f *mean, v16f *square)
{
	v16f sum = v16_set(0), m, q = v16_set(0), d;
	int64_t i;

	for (i = 0; i < n; i++)
		sum += v16_load(z, t, at + i * k, lanes);
	m = sum * v16_set(1.0f / (float)n);
	for (i = 0; i < n; i++) {
		d = v16_load(z, t, at + i * k, lanes) - m;
		q += d * d;
	}
	*mean = m;
	*square = q;
}

INLINE void moments(const struct ns_norm *v, const void *z, enum ns_dtype t, double *sums)
{
	int64_t row;
	int c, i;

	memset(sums, 0, 2 * (size_t)v->k * sizeof *sums);
	for (row = 0; row < v->rows; row += NS_CPU_BLOCK) {
		int64_t n = v->rows - row < NS_CPU_BLOCK ? v->rows - row : NS_CPU_BLOCK;
		double weight = (double)row * (double)n / (double)(row + n), share = (double)n / (double)(row + n);

		for (c = 0; c < v->k; c += 16) {
			int lanes = lanes_at(v->k, c);
			v16f m, q;

			if (lanes == 16)
				block_moments(z, t, row * v->k + c, n, v->k, 16, &m, &q);
			else
				block_moments(z, t, row * v->k + c, n, v->k, lanes, &m, &q);
			for (i = 0; i < lanes; i++) { /* Chan, Golub, LeVeque 1979 */
				double *mean = sums + c + i, *square = mean + v->k, d = (double)m[i] - *mean;

				*mean += d * share;
				*square += (double)q[i] + d * d * weight;
			}
		}
	}
}

void ns_norm_moments(const struct ns_norm *v, const void *z, float *mean, float *invstd, float *sum_mean, float *sum_var, double *sums)
{
	double rows = (double)v->rows;
	int k;

	if (v->dtype == NS_BF16)
		moments(v, z, NS_BF16, sums);
	else
		moments(v, z, NS_F32, sums);
	for (k = 0; k < v->k; k++) {
		double square = sums[v->k + k];

		mean[k] = sum_mean[k] = (float)sums[k];
		invstd[k] = (float)(1 / sqrt(square / rows + (double)v->eps));
		sum_var[k] = (float)(square / (v->rows > 1 ? rows - 1 : rows));
	}
}

INLINE v16f activate(const struct ns_norm *v, v16f t, const void *res, enum ns_dtype type, int64_t at, int lanes)
{
	if (v->flags & NS_CONV_RESIDUAL)
		t += v16_load(res, type, at, lanes);
	return v->flags & NS_CONV_RELU ? v16_where_positive(t, t) : t;
}

/* the factors of chunk c: t = z * a + b */
INLINE void factors(const struct ns_norm *v, int c, int lanes, const float *mean, const float *invstd, const float *gamma, const float *beta,
		    const float *bias, v16f *a, v16f *b)
{
	*a = v16_set(1);
	*b = v16_set(0);
	if (v->flags & NS_CONV_NORM) {
		*a = v16_load_f32(invstd + c, lanes) * v16_load_f32(gamma + c, lanes);
		*b = v16_load_f32(beta + c, lanes) - v16_load_f32(mean + c, lanes) * *a;
	} else if (v->flags & NS_CONV_BIAS) {
		*b = v16_load_f32(bias + c, lanes);
	}
}

INLINE void apply(const struct ns_norm *v, void *y, const void *z, const void *res, enum ns_dtype t, int c, int lanes, v16f a, v16f b, int64_t begin,
		  int64_t end)
{
	int64_t i;

	for (i = begin; i < end; i++) {
		int64_t at = i * v->k + c;

		v16_store(y, t, at, activate(v, v16_load(z, t, at, lanes) * a + b, res, t, at, lanes), lanes);
	}
}

void ns_norm_apply(const struct ns_norm *v, void *y, const void *z, const void *res, const float *mean, const float *invstd, const float *gamma,
		   const float *beta, const float *bias)
{
	int64_t row;
	int c;

	for (row = 0; row < v->rows; row += NS_CPU_BLOCK) {
		int64_t end = v->rows - row < NS_CPU_BLOCK ? v->rows : row + NS_CPU_BLOCK;

		for (c = 0; c < v->k; c += 16) {
			int lanes = lanes_at(v->k, c);
			v16f a, b;

			factors(v, c, lanes, mean, invstd, gamma, beta, bias, &a, &b);
			if (lanes < 16)
				apply(v, y, z, res, v->dtype, c, lanes, a, b, row, end);
			else if (v->dtype == NS_BF16)
				apply(v, y, z, res, NS_BF16, c, 16, a, b, row, end);
			else
				apply(v, y, z, res, NS_F32, c, 16, a, b, row, end);
		}
	}
}

struct unmask {
	void *g;
	const void *dy, *dy2, *y, *z;
};

INLINE void unmask(const struct ns_norm *v, const struct unmask *p, enum ns_dtype t, int c, int lanes, v16f mean, int64_t begin, int64_t end,
		   v16f *sum, v16f *dot)
{
	v16f s = v16_set(0), d = v16_set(0);
	int64_t i;

	for (i = begin; i < end; i++) {
		int64_t at = i * v->k + c;
		v16f g = v16_load(p->dy, t, at, lanes);

		if (v->flags & NS_CONV_DY2)
			g += v16_load(p->dy2, t, at, lanes);
		if (v->flags & NS_CONV_RELU)
			g = v16_where_positive(v16_load(p->y, t, at, lanes), g);
		s += g;
		if (v->flags & NS_CONV_NORM)
			d += g * (v16_load(p->z, t, at, lanes) - mean);
		v16_store(p->g, t, at, g, lanes);
	}
	*sum = s;
	*dot = d;
}

void ns_norm_unmask(const struct ns_norm *v, void *g, const void *dy, const void *dy2, const void *y, const void *z, const float *mean, double *sums)
{
	struct unmask p = {g, dy, dy2, y, z};
	int64_t row;
	int c, i;

	memset(sums, 0, 2 * (size_t)v->k * sizeof *sums);
	for (row = 0; row < v->rows; row += NS_CPU_BLOCK) {
		int64_t end = v->rows - row < NS_CPU_BLOCK ? v->rows : row + NS_CPU_BLOCK;

		for (c = 0; c < v->k; c += 16) {
			int lanes = lanes_at(v->k, c);
			v16f m = v->flags & NS_CONV_NORM ? v16_load_f32(mean + c, lanes) : v16_set(0), s, d;

			if (lanes < 16)
				unmask(v, &p, v->dtype, c, lanes, m, row, end, &s, &d);
			else if (v->dtype == NS_BF16)
				unmask(v, &p, NS_BF16, c, 16, m, row, end, &s, &d);
			else
				unmask(v, &p, NS_F32, c, 16, m, row, end, &s, &d);
			for (i = 0; i < lanes; i++) {
				sums[c + i] += (double)s[i];
				sums[v->k + c + i] += (double)d[i];
			}
		}
	}
}

INLINE void backward(const struct ns_norm *v, void *dz, const void *g, const void *z, enum ns_dtype t, int c, int lanes, v16f a, v16f b, v16f o,
		     int64_t begin, int64_t end)
{
	int64_t i;

	for (i = begin; i < end; i++) {
		int64_t at = i * v->k + c;

		v16_store(dz, t, at, v16_load(g, t, at, lanes) * a + (v16_load(z, t, at, lanes) * b + o), lanes);
	}
}

void ns_norm_backward(const struct ns_norm *v, void *dz, const void *g, const void *z, const float *mean, const float *invstd, const float *gamma,
		      float *dgamma, float *dbeta, const double *sums)
{
	int64_t row;
	int c, k;

	for (k = 0; k < v->k; k++) {
		dbeta[k] = (float)sums[k];
		dgamma[k] = (float)(sums[v->k + k] * (double)invstd[k]);
	}
	for (row = 0; row < v->rows; row += NS_CPU_BLOCK) {
		int64_t end = v->rows - row < NS_CPU_BLOCK ? v->rows : row + NS_CPU_BLOCK;

		for (c = 0; c < v->k; c += 16) {
			int lanes = lanes_at(v->k, c);
			v16f inv = v16_load_f32(invstd + c, lanes), a = inv * v16_load_f32(gamma + c, lanes);
			v16f n = v16_set(1.0f / (float)v->rows);
			/* dz = a g + b z + o, the same for all rows of a channel */
			v16f b = v16_set(0) - a * inv * v16_load_f32(dgamma + c, lanes) * n;
			v16f o = v16_set(0) - a * v16_load_f32(dbeta + c, lanes) * n - b * v16_load_f32(mean + c, lanes);

			if (lanes < 16)
				backward(v, dz, g, z, v->dtype, c, lanes, a, b, o, row, end);
			else if (v->dtype == NS_BF16)
				backward(v, dz, g, z, NS_BF16, c, 16, a, b, o, row, end);
			else
				backward(v, dz, g, z, NS_F32, c, 16, a, b, o, row, end);
		}
	}
}
