/* kernels/formula/optim.h - one parameter's step; see struct ns_op_optim in kernels/op.h. */
#ifndef NS_FORMULA_OPTIM_H
#define NS_FORMULA_OPTIM_H

#include "kernels/formula/inline.h"

/* SGD with momentum, as PyTorch does it (dampening 0): m starts at 0. */
NS_FORMULA void ns_sgd_element(float *w, float *m, float grad, float scale, float lr, float mu, float wd, int nesterov)
{
	float g = grad * scale + wd * *w;

	*m = mu * *m + g;
	*w -= lr * (nesterov ? g + mu * *m : *m);
}

/* c1 = 1 - beta1^t, c2 = 1 - beta2^t */
NS_FORMULA void ns_adamw_element(float *w, float *m, float *v, float grad, float scale, float lr, float beta1, float beta2, float c1, float c2,
				 float eps, float wd)
{
	float g = grad * scale;

	*w -= lr * wd * *w;
	*m = beta1 * *m + (1.0f - beta1) * g;
	*v = beta2 * *v + (1.0f - beta2) * g * g;
	*w -= lr * (*m / c1) / (sqrtf(*v / c2) + eps);
}

/* The factor that scales the gradient to a norm of at most `clip`. */
NS_FORMULA float ns_clip_scale(double norm2, float clip)
{
	double norm = sqrt(norm2);

	return clip > 0 && norm > clip ? (float)(clip / norm) : 1.0f;
}

/* sum of n >= 1 values in a binary tree whose left half is the largest power of two below n */
NS_FORMULA double ns_tree_sum(const double *x, int64_t n)
{
	int64_t half = 1;

	if (n == 1)
		return x[0];
	while (2 * half < n)
		half *= 2;
	return ns_tree_sum(x, half) + ns_tree_sum(x + half, n - half);
}

#endif
