/* kernels/cpu/optim.c - optimisers over all parameters at once, vectorised; the formula is ref's. */
#include "kernels/cpu/cpu.h"
#include "kernels/formula/optim.h"

static float clip_scale(const struct ns_op_optim *v, const struct ns_args *a)
{
	return v->clip > 0 ? ns_clip_scale(*(const double *)a->in[NS_OPTIM_NORM2], v->clip) : 1.0f;
}

static void sgd_span(float *restrict w, float *restrict m, const float *restrict grad, int64_t n, float scale, float lr, float mu, float wd,
		     int nesterov)
{
	int64_t i;

	if (nesterov) {
#pragma omp simd
		for (i = 0; i < n; i++)
			ns_sgd_element(w + i, m + i, grad[i], scale, lr, mu, wd, 1);
	} else {
#pragma omp simd
		for (i = 0; i < n; i++)
			ns_sgd_element(w + i, m + i, grad[i], scale, lr, mu, wd, 0);
	}
}

static enum ns_status sgd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_optim *v = &ns_cpu_op(plan)->u.optim;
	const float *grad = a->in[NS_OPTIM_GRAD], *hyper = a->in[NS_OPTIM_HYPER];
	float *w = a->out[NS_OPTIM_W], *m = a->out[NS_OPTIM_M], scale = clip_scale(v, a), lr = hyper[NS_HYPER_LR];
	int64_t d = v->n_decay;

	(void)queue;
	sgd_span(w, m, grad, d, scale, lr, v->momentum, v->weight_decay, v->nesterov);
	sgd_span(w + d, m + d, grad + d, v->n - d, scale, lr, v->momentum, 0, v->nesterov);
	return NS_OK;
}

static enum ns_status adamw_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_optim *o = &ns_cpu_op(plan)->u.optim;
	const float *restrict grad = a->in[NS_OPTIM_GRAD], *hyper = a->in[NS_OPTIM_HYPER];
	float *restrict w = a->out[NS_OPTIM_W], *restrict m = a->out[NS_OPTIM_M], *restrict v = a->out[NS_OPTIM_V];
	float scale = clip_scale(o, a), lr = hyper[NS_HYPER_LR], c1 = hyper[NS_HYPER_C1], c2 = hyper[NS_HYPER_C2];
	int64_t i;

	(void)queue;
#pragma omp simd
	for (i = 0; i < o->n_decay; i++)
		ns_adamw_element(w + i, m + i, v + i, grad[i], scale, lr, o->beta1, o->beta2, c1, c2, o->eps, o->weight_decay);
#pragma omp simd
	for (i = o->n_decay; i < o->n; i++)
		ns_adamw_element(w + i, m + i, v + i, grad[i], scale, lr, o->beta1, o->beta2, c1, c2, o->eps, 0);
	return NS_OK;
}

static enum ns_status ema_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	int64_t n = ns_cpu_op(plan)->u.ema.n, i;
	const float *restrict x = a->in[NS_EMA_X], *hyper = a->in[NS_EMA_HYPER];
	float *restrict y = a->out[NS_EMA_Y], p = hyper[NS_HYPER_EMA_A], q = hyper[NS_HYPER_EMA_B];

	(void)queue;
#pragma omp simd
	for (i = 0; i < n; i++)
		y[i] = p * y[i] + q * x[i];
	return NS_OK;
}

static double block_norm2(const float *x, int64_t n)
{
	double t[8] = {0};
	int64_t i;
	int j;

	for (i = 0; i + 8 <= n; i += 8)
		for (j = 0; j < 8; j++)
			t[j] += (double)x[i + j] * (double)x[i + j];
	for (; i < n; i++)
		t[0] += (double)x[i] * (double)x[i];
	return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]));
}

static enum ns_status norm2_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	int64_t n = ns_cpu_op(plan)->u.norm2.n, blocks = (n + NS_NORM2_BLOCK - 1) / NS_NORM2_BLOCK, b;
	double *partial = a->workspace;

	(void)queue;
	for (b = 0; b < blocks; b++) {
		int64_t begin = b * NS_NORM2_BLOCK, left = n - begin;

		partial[b] = block_norm2((const float *)a->in[NS_NORM2_X] + begin, left < NS_NORM2_BLOCK ? left : NS_NORM2_BLOCK);
	}
	*(double *)a->out[NS_NORM2_Y] = ns_tree_sum(partial, blocks);
	return NS_OK;
}

#define MAKE(name, run, workspace)                                                                                                                   \
	static enum ns_status make_##name(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)                                      \
	{                                                                                                                                            \
		(void)dev;                                                                                                                           \
		return ns_plain_plan_make(plan, op, (workspace), run);                                                                               \
	}

MAKE(norm2, norm2_run, (size_t)(op->u.norm2.n / NS_NORM2_BLOCK + 1) * sizeof(double))
MAKE(sgd, sgd_run, 0)
MAKE(adamw, adamw_run, 0)
MAKE(ema, ema_run, 0)

const struct ns_impl ns_cpu_norm2 = {"norm2/cpu", NS_OP_NORM2, make_norm2};
const struct ns_impl ns_cpu_sgd = {"sgd/cpu", NS_OP_SGD, make_sgd};
const struct ns_impl ns_cpu_adamw = {"adamw/cpu", NS_OP_ADAMW, make_adamw};
const struct ns_impl ns_cpu_ema = {"ema/cpu", NS_OP_EMA, make_ema};
