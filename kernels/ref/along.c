/* kernels/ref/along.c - along one axis: softmax and its kin, running sums, the largest values, resampling. */
#include "kernels/ref/ref.h"

struct line { /* of x: element j is at + j * inner */
	int64_t at, n, inner;
};

static void softmax(const struct ns_op_along *v, const struct ns_args *a, struct line l)
{
	const void *x = a->in[NS_ALONG_X];
	void *y = a->out[NS_ALONG_Y];
	double max = -INFINITY, sum = 0, t;
	int64_t j, best = 0;

	for (j = 0; j < l.n; j++) {
		t = ns_typed_get(x, v->dtype, l.at + j * l.inner);
		if (t > max) {
			max = t;
			best = j;
		}
	}
	for (j = 0; j < l.n; j++)
		sum += exp(ns_typed_get(x, v->dtype, l.at + j * l.inner) - max);
	for (j = 0; j < l.n; j++) {
		t = ns_typed_get(x, v->dtype, l.at + j * l.inner) - max;
		ns_typed_set(y, v->dtype, l.at + j * l.inner,
			     v->how == NS_ALONG_HARDMAX	     ? j == best
			     : v->how == NS_ALONG_LOGSOFTMAX ? t - log(sum)
							     : exp(t) / sum);
	}
}

static void running_sum(const struct ns_op_along *v, const struct ns_args *a, struct line l)
{
	int64_t j, at;
	uint64_t whole = 0, w;
	double sum = 0, t;

	for (j = 0; j < l.n; j++) {
		at = l.at + (v->reverse ? l.n - 1 - j : j) * l.inner;
		if (ns_dtype_is_float(v->dtype)) {
			t = ns_typed_get(a->in[NS_ALONG_X], v->dtype, at);
			ns_typed_set(a->out[NS_ALONG_Y], v->dtype, at, v->exclusive ? sum : sum + t);
			sum += t;
		} else {
			w = (uint64_t)ns_typed_get_whole(a->in[NS_ALONG_X], v->dtype, at);
			ns_typed_set_whole(a->out[NS_ALONG_Y], v->dtype, at, (int64_t)(v->exclusive ? whole : whole + w));
			whole += w;
		}
	}
}

static enum ns_status along_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_along *v = &ns_ref_op(plan)->u.along;
	int64_t o, i;

	(void)queue;
	for (o = 0; o < v->outer; o++)
		for (i = 0; i < v->inner; i++) {
			struct line l = {o * v->n * v->inner + i, v->n, v->inner};

			if (v->how == NS_ALONG_CUMSUM)
				running_sum(v, a, l);
			else
				softmax(v, a, l);
		}
	return NS_OK;
}

/* Does x[i] come before x[j]? NaN is larger than all, and of equal ones the first is. */
static int before(const struct ns_op_topk *v, const void *x, int64_t at, int64_t i, int64_t j)
{
	double a, b;

	if (!ns_dtype_is_float(v->dtype)) {
		int64_t p = ns_typed_get_whole(x, v->dtype, at + i * v->inner), q = ns_typed_get_whole(x, v->dtype, at + j * v->inner);

		if (v->dtype == NS_U64) { /* as signed numbers in the same order */
			p ^= INT64_MIN;
			q ^= INT64_MIN;
		}
		return p == q ? i < j : v->smallest ? p < q : p > q;
	}
	a = ns_typed_get(x, v->dtype, at + i * v->inner);
	b = ns_typed_get(x, v->dtype, at + j * v->inner);
	if (a == b || (a != a && b != b))
		return i < j;
	return v->smallest ? b != b || a < b : a != a || a > b;
}

static enum ns_status topk_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_topk *v = &ns_ref_op(plan)->u.topk;
	const void *x = a->in[NS_TOPK_X];
	int64_t o, i, j, m, *which = a->out[NS_TOPK_INDICES];

	(void)queue;
	for (o = 0; o < v->outer; o++)
		for (i = 0; i < v->inner; i++) {
			int64_t at = o * v->n * v->inner + i, to = o * v->k * v->inner + i;

			for (j = 0; j < v->n; j++) { /* into the sorted list of the first k */
				for (m = j < v->k ? j : v->k; m > 0 && before(v, x, at, j, which[to + (m - 1) * v->inner]); m--)
					if (m < v->k)
						which[to + m * v->inner] = which[to + (m - 1) * v->inner];
				if (m < v->k)
					which[to + m * v->inner] = j;
			}
			for (m = 0; m < v->k; m++) {
				int64_t from = at + which[to + m * v->inner] * v->inner;

				if (ns_dtype_is_float(v->dtype))
					ns_typed_set(a->out[NS_TOPK_VALUES], v->dtype, to + m * v->inner, ns_typed_get(x, v->dtype, from));
				else
					ns_typed_set_whole(a->out[NS_TOPK_VALUES], v->dtype, to + m * v->inner,
							   ns_typed_get_whole(x, v->dtype, from));
			}
		}
	return NS_OK;
}

static enum ns_status resample_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_resample *v = &ns_ref_op(plan)->u.resample;
	const int32_t *index = a->in[NS_RESAMPLE_INDEX];
	const float *weight = a->in[NS_RESAMPLE_WEIGHT];
	int64_t o, j, i;
	int t;

	(void)queue;
	for (o = 0; o < v->outer; o++)
		for (j = 0; j < v->m; j++)
			for (i = 0; i < v->inner; i++) {
				double y = 0;

				for (t = 0; t < v->taps; t++) {
					int32_t k = index[j * v->taps + t];

					y += (double)weight[j * v->taps + t] *
					     (k < 0 ? (double)v->outside
						    : ns_typed_get(a->in[NS_RESAMPLE_X], v->dtype, (o * v->n + k) * v->inner + i));
				}
				if (!ns_dtype_is_float(v->dtype))
					y = rint(y);
				ns_typed_set(a->out[NS_RESAMPLE_Y], v->dtype, (o * v->m + j) * v->inner + i, y);
			}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_along, "along/ref", NS_OP_ALONG, along_run, 0);
NS_REF_IMPL(ns_ref_topk, "topk/ref", NS_OP_TOPK, topk_run, 0);
NS_REF_IMPL(ns_ref_resample, "resample/ref", NS_OP_RESAMPLE, resample_run, 0);
