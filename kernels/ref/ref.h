/*
 * kernels/ref/ref.h - plain C, one op a file: what each op means. Sums run in double whatever the dtype, and any
 * dtype is accepted (F64 too, in which gradients are checked against finite differences). Canonical layouts only.
 */
#ifndef NS_REF_H
#define NS_REF_H

#include "kernels/backend.h"
#include "kernels/formula/inline.h"
#include "kernels/formula/typed.h"

/* The next position of a box, row by row; offsets of n lists of strides follow it. */
static inline void ns_ref_next(const struct ns_box *box, int64_t at[NS_RANK], const int64_t *const stride[], int64_t *offset, int n)
{
	int d, k;

	for (d = box->rank - 1; d >= 0; d--) {
		for (k = 0; k < n; k++)
			offset[k] += stride[k][d];
		if (++at[d] < box->dim[d])
			return;
		for (k = 0; k < n; k++)
			offset[k] -= stride[k][d] * box->dim[d];
		at[d] = 0;
	}
}

/* the type of parameters and statistics beside activations of `dtype` */
static inline enum ns_dtype ns_ref_param(enum ns_dtype dtype)
{
	return dtype == NS_F64 ? NS_F64 : NS_F32;
}

static inline const struct ns_op *ns_ref_op(const struct ns_plan *plan)
{
	return &((const struct ns_plain_plan *)plan)->op;
}

/* make() of an op of which ref supports every shape */
#define NS_REF_IMPL(var, label, op_kind, run, workspace)                                                                                             \
	static enum ns_status var##_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)                                       \
	{                                                                                                                                            \
		(void)dev;                                                                                                                           \
		return ns_plain_plan_make(plan, op, (workspace), run);                                                                               \
	}                                                                                                                                            \
	const struct ns_impl var = {label, op_kind, var##_make}

extern const struct ns_impl ns_ref_augment, ns_ref_stats, ns_ref_conv, ns_ref_conv_train, ns_ref_conv_backward, ns_ref_reorder, ns_ref_pool,
	ns_ref_pool_backward, ns_ref_linear, ns_ref_linear_backward, ns_ref_xent, ns_ref_head, ns_ref_norm2, ns_ref_sgd, ns_ref_adamw, ns_ref_ema,
	ns_ref_ks, ns_ref_mmd, ns_ref_pointwise, ns_ref_move, ns_ref_reduce, ns_ref_contract, ns_ref_convolve, ns_ref_convolve_weights,
	ns_ref_pool_nd, ns_ref_resample, ns_ref_index, ns_ref_along, ns_ref_topk, ns_ref_recurrent, ns_ref_grid, ns_ref_roi, ns_ref_ctc,
	ns_ref_recurrent_back;

/* every implementation of ref, for the end of a backend's list */
#define NS_REF_ALL                                                                                                                                   \
	&ns_ref_augment, &ns_ref_stats, &ns_ref_conv, &ns_ref_conv_train, &ns_ref_conv_backward, &ns_ref_reorder, &ns_ref_pool,                      \
		&ns_ref_pool_backward, &ns_ref_linear, &ns_ref_linear_backward, &ns_ref_xent, &ns_ref_head, &ns_ref_norm2, &ns_ref_sgd,              \
		&ns_ref_adamw, &ns_ref_ema, &ns_ref_ks, &ns_ref_mmd, &ns_ref_pointwise, &ns_ref_move, &ns_ref_reduce, &ns_ref_contract,              \
		&ns_ref_convolve, &ns_ref_convolve_weights, &ns_ref_pool_nd, &ns_ref_resample, &ns_ref_index, &ns_ref_along, &ns_ref_topk,           \
		&ns_ref_recurrent, &ns_ref_grid, &ns_ref_roi, &ns_ref_ctc, &ns_ref_recurrent_back, &ns_any_convolve_then

#endif
