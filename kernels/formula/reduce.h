/* kernels/formula/reduce.h - what is kept of the elements that a reduction has seen, one after the other, and what it makes of them. */
#ifndef NS_FORMULA_REDUCE_H
#define NS_FORMULA_REDUCE_H

#include "kernels/formula/typed.h"

struct ns_seen {
	double value, scale; /* of logsumexp: the sum is value * exp(scale) */
	int64_t whole, best;
	int64_t count;
};

/* Whole numbers stay such, but where a formula gives others. */
NS_FORMULA int ns_reduce_is_whole(const struct ns_op_reduce *v)
{
	return !ns_typed_is_float(v->dtype) && v->how != NS_REDUCE_LOGSUM && v->how != NS_REDUCE_LOGSUMEXP && v->how != NS_REDUCE_L2 &&
	       v->how != NS_REDUCE_MEAN;
}

NS_FORMULA int ns_better(const struct ns_op_reduce *v, double x, double best)
{
	if (best != best)
		return 0;
	if (x != x)
		return 1;
	if (x == best)
		return v->last;
	return v->how == NS_REDUCE_MAX || v->how == NS_REDUCE_ARGMAX ? x > best : x < best;
}

NS_FORMULA int ns_better_whole(const struct ns_op_reduce *v, int64_t x, int64_t best)
{
	if (v->dtype == NS_U64) { /* as signed numbers in the same order */
		x ^= INT64_MIN;
		best ^= INT64_MIN;
	}
	if (x == best)
		return v->last;
	return v->how == NS_REDUCE_MAX || v->how == NS_REDUCE_ARGMAX ? x > best : x < best;
}

NS_FORMULA void ns_reduce_add(const struct ns_op_reduce *v, struct ns_seen *s, double x)
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
		if (is_first || ns_better(v, x, s->value)) {
			s->value = x;
			s->best = s->count - 1;
		}
		return;
	default:
		s->value += x;
	}
}

NS_FORMULA void ns_reduce_add_whole(const struct ns_op_reduce *v, struct ns_seen *s, int64_t x)
{
	int is_first = !s->count++;

	if (v->how == NS_REDUCE_MAX || v->how == NS_REDUCE_MIN || v->how == NS_REDUCE_ARGMAX || v->how == NS_REDUCE_ARGMIN) {
		if (is_first || ns_better_whole(v, x, s->whole)) {
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

NS_FORMULA double ns_reduce_result(const struct ns_op_reduce *v, const struct ns_seen *s)
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
NS_FORMULA int64_t ns_reduce_none(const struct ns_op_reduce *v)
{
	if (v->how == NS_REDUCE_MAX || v->how == NS_REDUCE_MIN)
		return ns_typed_whole_of(v->how == NS_REDUCE_MAX ? -INFINITY : INFINITY, v->dtype);
	return v->how == NS_REDUCE_PROD;
}

#endif
