/* kernels/ref/optim.c - squared norm, SGD, AdamW, moving average, over all parameters at once. */
#include "kernels/formula/optim.h"
#include "kernels/ref/ref.h"

static enum ns_status norm2_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	int64_t n = ns_ref_op(plan)->u.norm2.n, i, block, blocks = (n + NS_NORM2_BLOCK - 1) / NS_NORM2_BLOCK;
	const float *x = a->in[NS_NORM2_X];
	double *partial = a->workspace;

	(void)queue;
	for (block = 0; block < blocks; block++) {
		int64_t end = (block + 1) * NS_NORM2_BLOCK;

		partial[block] = 0;
		for (i = block * NS_NORM2_BLOCK; i < n && i < end; i++)
			partial[block] += (double)x[i] * (double)x[i];
	}
	*(double *)a->out[NS_NORM2_Y] = ns_tree_sum(partial, blocks);
	return NS_OK;
}

static float clip_scale(const struct ns_op_optim *v, const struct ns_args *a)
{
	return v->clip > 0 ? ns_clip_scale(*(const double *)a->in[NS_OPTIM_NORM2], v->clip) : 1.0f;
}

static enum ns_status sgd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_optim *v = &ns_ref_op(plan)->u.optim;
	const float *grad = a->in[NS_OPTIM_GRAD], *hyper = a->in[NS_OPTIM_HYPER];
	float *w = a->out[NS_OPTIM_W], *m = a->out[NS_OPTIM_M], scale = clip_scale(v, a);
	int64_t i;

	(void)queue;
	for (i = 0; i < v->n; i++)
		ns_sgd_element(w + i, m + i, grad[i], scale, hyper[NS_HYPER_LR], v->momentum, i < v->n_decay ? v->weight_decay : 0, v->nesterov);
	return NS_OK;
}

static enum ns_status adamw_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_optim *o = &ns_ref_op(plan)->u.optim;
	const float *grad = a->in[NS_OPTIM_GRAD], *hyper = a->in[NS_OPTIM_HYPER];
	float *w = a->out[NS_OPTIM_W], *m = a->out[NS_OPTIM_M], *v = a->out[NS_OPTIM_V], scale = clip_scale(o, a);
	int64_t i;

	(void)queue;
	for (i = 0; i < o->n; i++)
		ns_adamw_element(w + i, m + i, v + i, grad[i], scale, hyper[NS_HYPER_LR], o->beta1, o->beta2, hyper[NS_HYPER_C1], hyper[NS_HYPER_C2],
				 o->eps, i < o->n_decay ? o->weight_decay : 0);
	return NS_OK;
}

static enum ns_status ema_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	int64_t n = ns_ref_op(plan)->u.ema.n, i;
	const float *x = a->in[NS_EMA_X], *hyper = a->in[NS_EMA_HYPER];
	float *y = a->out[NS_EMA_Y];

	(void)queue;
	for (i = 0; i < n; i++)
		y[i] = hyper[NS_HYPER_EMA_A] * y[i] + hyper[NS_HYPER_EMA_B] * x[i];
	return NS_OK;
}

NS_REF_IMPL(ns_ref_norm2, "norm2/ref", NS_OP_NORM2, norm2_run, (size_t)(op->u.norm2.n / NS_NORM2_BLOCK + 1) * sizeof(double));
NS_REF_IMPL(ns_ref_sgd, "sgd/ref", NS_OP_SGD, sgd_run, 0);
NS_REF_IMPL(ns_ref_adamw, "adamw/ref", NS_OP_ADAMW, adamw_run, 0);
NS_REF_IMPL(ns_ref_ema, "ema/ref", NS_OP_EMA, ema_run, 0);
