/*
 * kernels/cpu/norm.h - what surrounds a convolution in training: batch normalisation, bias, residual, ReLU.
 *
 * z, y, dy ... are (rows, K) of `dtype`; vectors over K are f32. `sums` is scratch of 4 K doubles.
 */
#ifndef NS_CPU_NORM_H
#define NS_CPU_NORM_H

#include "kernels/op.h"

struct ns_norm {
	int64_t rows;
	int k;
	unsigned flags; /* NS_CONV_* */
	float eps;
	enum ns_dtype dtype;
};

/* mean, 1/sqrt(var + eps), and mean and unbiased variance again for the running statistics */
void ns_norm_moments(const struct ns_norm *v, const void *z, float *mean, float *invstd, float *sum_mean, float *sum_var, double *sums);
/* y = act((z - mean) * invstd * gamma + beta + res), or act(z + bias + res) without NS_CONV_NORM */
void ns_norm_apply(const struct ns_norm *v, void *y, const void *z, const void *res, const float *mean, const float *invstd, const float *gamma,
		   const float *beta, const float *bias);
/* g = (dy + dy2) where y > 0; sums[k] = sum of g, sums[K + k] = sum of g * (z - mean) */
void ns_norm_unmask(const struct ns_norm *v, void *g, const void *dy, const void *dy2, const void *y, const void *z, const float *mean, double *sums);
/* dz = gamma invstd (g - sum g / rows - xhat * sum (g xhat) / rows); also dgamma, dbeta; dz may be g */
void ns_norm_backward(const struct ns_norm *v, void *dz, const void *g, const void *z, const float *mean, const float *invstd, const float *gamma,
		      float *dgamma, float *dbeta, const double *sums);

#endif
