/* kernels/ref/reduce.c - sums, extremes and their kin over any axes. */
#include "kernels/formula/reduce.h"
#include "kernels/ref/ref.h"

static enum ns_status reduce_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_reduce *v = &ns_ref_op(plan)->u.reduce;
	struct ns_box kept = v->in, gone = v->in;
	int64_t stride[NS_RANK], i, j, n, m, at[NS_RANK] = {0}, base[1] = {0};
	const int64_t *const strides[1] = {stride};
	int d, is_whole = ns_reduce_is_whole(v);

	(void)queue;
	ns_box_strides(&v->in, stride);
	for (d = 0; d < v->in.rank; d++)
		*(v->axes >> d & 1 ? &kept.dim[d] : &gone.dim[d]) = 1;
	n = ns_box_count(&kept);
	m = ns_box_count(&gone);
	for (i = 0; i < n; i++, ns_ref_next(&kept, at, strides, base, 1)) {
		int64_t inner[NS_RANK] = {0}, offset[1] = {base[0]};
		struct ns_seen s = {0};

		for (j = 0; j < m; j++, ns_ref_next(&gone, inner, strides, offset, 1)) {
			if (is_whole)
				ns_reduce_add_whole(v, &s, ns_typed_get_whole(a->in[NS_REDUCE_X], v->dtype, offset[0]));
			else
				ns_reduce_add(v, &s, ns_typed_get(a->in[NS_REDUCE_X], v->dtype, offset[0]));
		}
		if (v->how == NS_REDUCE_ARGMAX || v->how == NS_REDUCE_ARGMIN)
			((int64_t *)a->out[NS_REDUCE_Y])[i] = s.best;
		else if (is_whole)
			ns_typed_set_whole(a->out[NS_REDUCE_Y], v->dtype, i, m ? s.whole : ns_reduce_none(v));
		else
			ns_typed_set(a->out[NS_REDUCE_Y], v->dtype, i, ns_reduce_result(v, &s));
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_reduce, "reduce/ref", NS_OP_REDUCE, reduce_run, 0);
