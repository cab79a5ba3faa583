/*
 * kernels/ref/ref.h - plain C, one op a file: what each op means. Sums run in double whatever the dtype, and any
 * dtype is accepted (F64 too, in which gradients are checked against finite differences). Canonical layouts only.
 */
#ifndef NS_REF_H
#define NS_REF_H

#include "kernels/backend.h"
#include "kernels/formula/inline.h"

static inline double ns_ref_get(const void *p, enum ns_dtype dtype, int64_t i)
{
	switch (dtype) {
	case NS_U8:
		return ((const uint8_t *)p)[i];
	case NS_F32:
		return (double)((const float *)p)[i];
	case NS_BF16:
		return (double)ns_f32_of_bf16(((const uint16_t *)p)[i]);
	case NS_F64:
		break;
	}
	return ((const double *)p)[i];
}

static inline void ns_ref_set(void *p, enum ns_dtype dtype, int64_t i, double v)
{
	switch (dtype) {
	case NS_U8:
		((uint8_t *)p)[i] = (uint8_t)v;
		return;
	case NS_F32:
		((float *)p)[i] = (float)v;
		return;
	case NS_BF16:
		((uint16_t *)p)[i] = ns_bf16_of_f32((float)v);
		return;
	case NS_F64:
		break;
	}
	((double *)p)[i] = v;
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
	ns_ref_ks, ns_ref_mmd;

/* every implementation of ref, for the end of a backend's list */
#define NS_REF_ALL                                                                                                                                   \
	&ns_ref_augment, &ns_ref_stats, &ns_ref_conv, &ns_ref_conv_train, &ns_ref_conv_backward, &ns_ref_reorder, &ns_ref_pool,                      \
		&ns_ref_pool_backward, &ns_ref_linear, &ns_ref_linear_backward, &ns_ref_xent, &ns_ref_head, &ns_ref_norm2, &ns_ref_sgd,              \
		&ns_ref_adamw, &ns_ref_ema, &ns_ref_ks, &ns_ref_mmd

#endif
