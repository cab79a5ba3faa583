/* kernels/ref/pointwise.c - programs of formulas, element by element, in double or in whole numbers. */
#include "kernels/formula/pointwise.h"
#include "kernels/ref/ref.h"

static int64_t whole_formula(int code, int64_t a, int64_t b, int64_t c)
{
	(void)b, (void)c;
	switch (code) {
#define NS_CASE(name, operands, y, da, db, whole)                                                                                                    \
	case NS_PW_##name:                                                                                                                           \
		return (whole);
		NS_POINTWISE_FORMULAS(NS_CASE)
#undef NS_CASE
	default:
		return 0;
	}
}

/* What differs where the highest bit is no sign. */
static int64_t unsigned_formula(int code, int64_t a, int64_t b, int64_t c)
{
	uint64_t x = (uint64_t)a, y = (uint64_t)b;

	switch (code) {
	case NS_PW_DIV:
		return y ? (int64_t)(x / y) : 0;
	case NS_PW_MOD:
	case NS_PW_FMOD:
		return y ? (int64_t)(x % y) : 0;
	case NS_PW_MIN:
		return x < y ? a : b;
	case NS_PW_MAX:
		return x > y ? a : b;
	case NS_PW_LESS:
		return x < y;
	case NS_PW_LESS_EQUAL:
		return x <= y;
	case NS_PW_SIGN:
		return x != 0;
	case NS_PW_ABS:
	case NS_PW_RELU:
		return a;
	case NS_PW_SHIFT_RIGHT:
		return y > 63 ? 0 : (int64_t)(x >> y);
	default:
		return whole_formula(code, a, b, c);
	}
}

static void in_floats(const struct ns_op_pointwise *v, const struct ns_args *a, int64_t i, const int64_t *at)
{
	double r[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS];
	int k, n = v->inputs;

	for (k = 0; k < n; k++)
		r[k] = ns_ref_get(a->in[k], v->in_dtype[k], at[k]);
	for (k = 0; k < v->constants; k++)
		r[n++] = v->compute == NS_F32 ? (double)(float)v->constant[k] : v->constant[k];
	for (k = 0; k < v->steps; k++, n++) {
		const struct ns_pw_step *s = &v->step[k];

		r[n] = ns_formula_any(s->code, r[s->a], r[s->b], r[s->c]);
		if (v->compute == NS_F32)
			r[n] = (double)(float)r[n];
	}
	ns_ref_set(a->out[NS_POINTWISE_Y], v->out_dtype, i, r[n - 1]);
}

static void in_whole_numbers(const struct ns_op_pointwise *v, const struct ns_args *a, int64_t i, const int64_t *at)
{
	int64_t r[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS];
	int k, n = v->inputs;

	for (k = 0; k < n; k++)
		r[k] = ns_dtype_is_float(v->in_dtype[k]) ? ns_ref_whole_of(ns_ref_get(a->in[k], v->in_dtype[k], at[k]), NS_I64)
							 : ns_ref_get_whole(a->in[k], v->in_dtype[k], at[k]);
	for (k = 0; k < v->constants; k++)
		r[n++] = ns_ref_whole_of(v->constant[k], NS_I64);
	for (k = 0; k < v->steps; k++, n++) {
		const struct ns_pw_step *s = &v->step[k];

		r[n] = (v->compute == NS_U64 ? unsigned_formula : whole_formula)(s->code, r[s->a], r[s->b], r[s->c]);
	}
	if (ns_dtype_is_float(v->out_dtype))
		ns_ref_set(a->out[NS_POINTWISE_Y], v->out_dtype, i, (double)r[n - 1]);
	else
		ns_ref_set_whole(a->out[NS_POINTWISE_Y], v->out_dtype, i, r[n - 1]);
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
