/* kernels/ref/pointwise.c - programs of formulas, element by element, in double or in whole numbers. */
#include "kernels/formula/pointwise.h"
#include "kernels/ref/ref.h"

static void in_floats(const struct ns_op_pointwise *v, const struct ns_args *a, int64_t i, const int64_t *at)
{
	double r[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS];
	int k, n = v->inputs;

	for (k = 0; k < n; k++)
		r[k] = ns_typed_get(a->in[k], v->in_dtype[k], at[k]);
	for (k = 0; k < v->constants; k++)
		r[n++] = v->compute == NS_F32 ? (double)(float)v->constant[k] : v->constant[k];
	for (k = 0; k < v->steps; k++, n++) {
		const struct ns_pw_step *s = &v->step[k];

		r[n] = ns_formula_any(s->code, r[s->a], r[s->b], r[s->c]);
		if (v->compute == NS_F32)
			r[n] = (double)(float)r[n];
	}
	ns_typed_set(a->out[NS_POINTWISE_Y], v->out_dtype, i, r[n - 1]);
}

static void in_whole_numbers(const struct ns_op_pointwise *v, const struct ns_args *a, int64_t i, const int64_t *at)
{
	int64_t r[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS];
	int k, n = v->inputs;

	for (k = 0; k < n; k++)
		r[k] = ns_dtype_is_float(v->in_dtype[k]) ? ns_typed_whole_of(ns_typed_get(a->in[k], v->in_dtype[k], at[k]), NS_I64)
							 : ns_typed_get_whole(a->in[k], v->in_dtype[k], at[k]);
	for (k = 0; k < v->constants; k++)
		r[n++] = ns_typed_whole_of(v->constant[k], NS_I64);
	for (k = 0; k < v->steps; k++, n++) {
		const struct ns_pw_step *s = &v->step[k];

		r[n] = (v->compute == NS_U64 ? ns_formula_unsigned : ns_formula_whole)(s->code, r[s->a], r[s->b], r[s->c]);
	}
	if (ns_dtype_is_float(v->out_dtype))
		ns_typed_set(a->out[NS_POINTWISE_Y], v->out_dtype, i, (double)r[n - 1]);
	else
		ns_typed_set_whole(a->out[NS_POINTWISE_Y], v->out_dtype, i, r[n - 1]);
}

static enum ns_status pointwise_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pointwise *v = &ns_ref_op(plan)->u.pointwise;
	const int64_t *stride[NS_POINTWISE_IN];
	int64_t i, count = ns_box_count(&v->out), at[NS_RANK] = {0}, offset[NS_POINTWISE_IN] = {0};
	int k;

	(void)queue;
	for (k = 0; k < v->inputs; k++)
		stride[k] = v->stride[k];
	for (i = 0; i < count; i++) {
		if (v->compute == NS_I64 || v->compute == NS_U64)
			in_whole_numbers(v, a, i, offset);
		else
			in_floats(v, a, i, offset);
		ns_ref_next(&v->out, at, stride, offset, v->inputs);
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_pointwise, "pointwise/ref", NS_OP_POINTWISE, pointwise_run, 0);
