/* kernels/ref/reduce.c - sums, extremes and their kin over any axes. */
#include "kernels/ref/ref.h"

struct seen {
	double value, scale; /* of logsumexp: the sum is value * exp(scale) */
	int64_t whole, best;
	int64_t count;
};

static int better(const struct ns_op_reduce *v, double x, double best)
{
	if (best != best)
		return 0;
	if (x != x)
		return 1;
	if (x == best)
		return v->last;
	return v->how == NS_REDUCE_MAX || v->how == NS_REDUCE_ARGMAX ? x > best : x < best;
}

static int better_whole(const struct ns_op_reduce *v, int64_t x, int64_t best)
{
	if (v->dtype == NS_U64) { /* as signed numbers in the same order */
		x ^= INT64_MIN;
		best ^= INT64_MIN;
	}
	if (x == best)
		return v->last;
	return v->how == NS_REDUCE_MAX || v->how == NS_REDUCE_ARGMAX ? x > best : x < best;
}

static void add(const struct ns_op_reduce *v, struct seen *s, double x)
{
	int is_first = !s->count++;

	switch (v->how) {
	case NS_REDUCE_PROD:
		s->value = is_first ? x : s->value * x;
		return;
	case NS_REDUCE_L1:
		s->value += fabs(x);
		return;
	case NS_REDUCE_L2:
	case NS_REDUCE_SUMSQUARE:
		s->value += x * x;
		return;
	case NS_REDUCE_LOGSUMEXP:
		if (is_first || x > s->scale) {
			s->value = is_first ? 1 : s->value * exp(s->scale - x) + 1;
			s->scale = x;
		} else {
			s->value += x == s->scale ? 1 : exp(x - s->scale);
		}
		return;
	case NS_REDUCE_MAX:
	case NS_REDUCE_MIN:
	case NS_REDUCE_ARGMAX:
	case NS_REDUCE_ARGMIN:
		if (is_first || better(v, x, s->value)) {
			s->value = x;
			s->best = s->count - 1;
		}
		return;
	default:
		s->value += x;
	}
}

static void add_whole(const struct ns_op_reduce *v, struct seen *s, int64_t x)
{
	int is_first = !s->count++;

	if (v->how == NS_REDUCE_MAX || v->how == NS_REDUCE_MIN || v->how == NS_REDUCE_ARGMAX || v->how == NS_REDUCE_ARGMIN) {
		if (is_first || better_whole(v, x, s->whole)) {
			s->whole = x;
			s->best = s->count - 1;
		}
		return;
	}
	if (v->how == NS_REDUCE_L1)
		x = x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
	if (v->how == NS_REDUCE_L2 || v->how == NS_REDUCE_SUMSQUARE)
		x = (int64_t)((uint64_t)x * (uint64_t)x);
	s->whole = is_first		      ? x
		   : v->how == NS_REDUCE_PROD ? (int64_t)((uint64_t)s->whole * (uint64_t)x)
					      : (int64_t)((uint64_t)s->whole + (uint64_t)x);
}

static double result(const struct ns_op_reduce *v, const struct seen *s)
{
	switch (v->how) {
	case NS_REDUCE_MEAN:
		return s->value / (double)s->count;
	case NS_REDUCE_L2:
		return sqrt(s->value);
	case NS_REDUCE_LOGSUM:
		return log(s->value);
	case NS_REDUCE_LOGSUMEXP:
		return s->count ? s->scale + log(s->value) : -INFINITY;
	case NS_REDUCE_PROD:
		return s->count ? s->value : 1;
	case NS_REDUCE_MAX:
		return s->count ? s->value : -INFINITY;
	case NS_REDUCE_MIN:
		return s->count ? s->value : INFINITY;
	default:
		return s->value;
	}
}

/* Of nothing: what any number would replace. */
static int64_t whole_of_none(const struct ns_op_reduce *v)
{
	if (v->how == NS_REDUCE_MAX || v->how == NS_REDUCE_MIN)
		return ns_ref_whole_of(v->how == NS_REDUCE_MAX ? -INFINITY : INFINITY, v->dtype);
	return v->how == NS_REDUCE_PROD;
}

static enum ns_status reduce_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_reduce *v = &ns_ref_op(plan)->u.reduce;
	struct ns_box kept = v->in, gone = v->in;
	int64_t stride[NS_RANK], i, j, n, m, at[NS_RANK] = {0}, base[1] = {0};
	const int64_t *const strides[1] = {stride};
	int d, is_whole = !ns_dtype_is_float(v->dtype) && v->how != NS_REDUCE_LOGSUM && v->how != NS_REDUCE_LOGSUMEXP && v->how != NS_REDUCE_L2 &&
			  v->how != NS_REDUCE_MEAN;

	(void)queue;
	ns_box_strides(&v->in, stride);
	for (d = 0; d < v->in.rank; d++)
		*(v->axes >> d & 1 ? &kept.dim[d] : &gone.dim[d]) = 1;
	n = ns_box_count(&kept);
	m = ns_box_count(&gone);
	for (i = 0; i < n; i++, ns_ref_next(&kept, at, strides, base, 1)) {
		int64_t inner[NS_RANK] = {0}, offset[1] = {base[0]};
		struct seen s = {0};

		for (j = 0; j < m; j++, ns_ref_next(&gone, inner, strides, offset, 1)) {
			if (is_whole)
				add_whole(v, &s, ns_ref_get_whole(a->in[NS_REDUCE_X], v->dtype, offset[0]));
			else
				add(v, &s, ns_ref_get(a->in[NS_REDUCE_X], v->dtype, offset[0]));
		}
		if (v->how == NS_REDUCE_ARGMAX || v->how == NS_REDUCE_ARGMIN)
			((int64_t *)a->out[NS_REDUCE_Y])[i] = s.best;
		else if (is_whole)
			ns_ref_set_whole(a->out[NS_REDUCE_Y], v->dtype, i, m ? s.whole : whole_of_none(v));
		else
			ns_ref_set(a->out[NS_REDUCE_Y], v->dtype, i, result(v, &s));
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_reduce, "reduce/ref", NS_OP_REDUCE, reduce_run, 0);
