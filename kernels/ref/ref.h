/*
 * kernels/ref/ref.h - plain C, one op a file: what each op means. Sums run in double whatever the dtype, and any
 * dtype is accepted (F64 too, in which gradients are checked against finite differences). Canonical layouts only.
 */
#ifndef NS_REF_H
#define NS_REF_H

#include "kernels/backend.h"
#include "kernels/formula/inline.h"

static inline int64_t ns_ref_get_whole(const void *p, enum ns_dtype dtype, int64_t i)
{
	switch (dtype) {
	case NS_I8:
		return ((const int8_t *)p)[i];
	case NS_U16:
		return ((const uint16_t *)p)[i];
	case NS_I16:
		return ((const int16_t *)p)[i];
	case NS_U32:
		return ((const uint32_t *)p)[i];
	case NS_I32:
		return ((const int32_t *)p)[i];
	case NS_U64:
	case NS_I64:
		return ((const int64_t *)p)[i];
	default:
		return ((const uint8_t *)p)[i];
	}
}

static inline void ns_ref_set_whole(void *p, enum ns_dtype dtype, int64_t i, int64_t v)
{
	switch (ns_dtype_bytes(dtype)) {
	case 1:
		((uint8_t *)p)[i] = dtype == NS_BOOL ? v != 0 : (uint8_t)v;
		return;
	case 2:
		((uint16_t *)p)[i] = (uint16_t)v;
		return;
	case 4:
		((uint32_t *)p)[i] = (uint32_t)v;
		return;
	default:
		((int64_t *)p)[i] = v;
	}
}

/* Truncated; NaN is 0, what is outside the type is its nearest. */
static inline int64_t ns_ref_whole_of(double v, enum ns_dtype dtype)
{
	int bits = (int)ns_dtype_bytes(dtype) * 8, is_signed = dtype == NS_I8 || dtype == NS_I16 || dtype == NS_I32 || dtype == NS_I64;
	double low = is_signed ? -ldexp(1, bits - 1) : 0, high = ldexp(1, is_signed ? bits - 1 : bits);

	if (!(v == v) || (v <= low && !is_signed))
		return 0;
	if (v >= high)
		return bits == 64 ? (is_signed ? INT64_MAX : -1) : (int64_t)high - 1;
	return v <= low ? (bits == 64 ? INT64_MIN : (int64_t)low) : v >= 0x1p63 ? (int64_t)(uint64_t)v : (int64_t)v;
}

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

static inline double ns_ref_get(const void *p, enum ns_dtype dtype, int64_t i)
{
	switch (dtype) {
	case NS_U8:
	case NS_BOOL:
		return ((const uint8_t *)p)[i];
	case NS_F32:
		return (double)((const float *)p)[i];
	case NS_BF16:
		return (double)ns_f32_of_bf16(((const uint16_t *)p)[i]);
	case NS_F16:
		return (double)ns_f32_of_f16(((const uint16_t *)p)[i]);
	case NS_F64:
		return ((const double *)p)[i];
	default:
		return dtype == NS_U64 ? (double)((const uint64_t *)p)[i] : (double)ns_ref_get_whole(p, dtype, i);
	}
}

static inline void ns_ref_set(void *p, enum ns_dtype dtype, int64_t i, double v)
{
	switch (dtype) {
	case NS_BOOL:
		((uint8_t *)p)[i] = v != 0;
		return;
	case NS_F32:
		((float *)p)[i] = (float)v;
		return;
	case NS_BF16:
		((uint16_t *)p)[i] = ns_bf16_of_f32((float)v);
		return;
	case NS_F16:
		((uint16_t *)p)[i] = ns_f16_of_f32((float)v);
		return;
	case NS_F64:
		((double *)p)[i] = v;
		return;
	default:
		ns_ref_set_whole(p, dtype, i, ns_ref_whole_of(v, dtype));
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
	ns_ref_pool_nd, ns_ref_resample, ns_ref_index, ns_ref_along, ns_ref_topk, ns_ref_recurrent, ns_ref_grid, ns_ref_roi;

/* every implementation of ref, for the end of a backend's list */
#define NS_REF_ALL                                                                                                                                   \
	&ns_ref_augment, &ns_ref_stats, &ns_ref_conv, &ns_ref_conv_train, &ns_ref_conv_backward, &ns_ref_reorder, &ns_ref_pool,                      \
		&ns_ref_pool_backward, &ns_ref_linear, &ns_ref_linear_backward, &ns_ref_xent, &ns_ref_head, &ns_ref_norm2, &ns_ref_sgd,              \
		&ns_ref_adamw, &ns_ref_ema, &ns_ref_ks, &ns_ref_mmd, &ns_ref_pointwise, &ns_ref_move, &ns_ref_reduce, &ns_ref_contract,              \
		&ns_ref_convolve, &ns_ref_convolve_weights, &ns_ref_pool_nd, &ns_ref_resample, &ns_ref_index, &ns_ref_along, &ns_ref_topk,           \
		&ns_ref_recurrent, &ns_ref_grid, &ns_ref_roi

#endif
