/* kernels/ref/index.c - slices by their indices: gathered, or scattered in a fixed order. */
#include "kernels/ref/ref.h"

#include <string.h>

/* The slice's place; NS_BAD_DATA where an index is outside. */
static enum ns_status place(const struct ns_op_index *v, const int64_t *indices, int64_t at, int64_t base, int64_t *to)
{
	int l;

	for (*to = base, l = 0; l < v->length; l++) {
		int64_t i = indices[at + l * v->next];

		if (i < -v->size[l] || i >= v->size[l])
			return ns_fail(NS_BAD_DATA, "index: %lld is outside of an axis of %lld", (long long)i, (long long)v->size[l]);
		*to += (i < 0 ? i + v->size[l] : i) * v->stride[l];
	}
	return NS_OK;
}

static void combine(const struct ns_op_index *v, void *y, int64_t to, const void *x, int64_t from)
{
	double a = ns_typed_get(y, v->dtype, to), b = ns_typed_get(x, v->dtype, from);
	int64_t p, q;

	if (ns_dtype_is_float(v->dtype)) {
		ns_typed_set(y, v->dtype, to,
			     v->how == NS_SCATTER_ADD	? a + b
			     : v->how == NS_SCATTER_MUL ? a * b
			     : v->how == NS_SCATTER_MAX ? (a > b ? a : b)
							: (a < b ? a : b));
		return;
	}
	p = ns_typed_get_whole(y, v->dtype, to);
	q = ns_typed_get_whole(x, v->dtype, from);
	ns_typed_set_whole(y, v->dtype, to,
			   v->how == NS_SCATTER_ADD   ? (int64_t)((uint64_t)p + (uint64_t)q)
			   : v->how == NS_SCATTER_MUL ? (int64_t)((uint64_t)p * (uint64_t)q)
			   : v->how == NS_SCATTER_MAX ? (p > q ? p : q)
						      : (p < q ? p : q));
}

static enum ns_status index_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_index *v = &ns_ref_op(plan)->u.index;
	const int64_t *const stride[2] = {v->base, v->at};
	int64_t t, i, to, n = ns_box_count(&v->tuples), at[NS_RANK] = {0}, offset[2] = {0, 0};
	size_t bytes = ns_dtype_bytes(v->dtype);
	char *y = a->out[NS_INDEX_Y];

	(void)queue;
	if (v->how != NS_SCATTER_NOT)
		memcpy(y, a->in[NS_INDEX_DATA], (size_t)v->data * bytes);
	for (t = 0; t < n; t++, ns_ref_next(&v->tuples, at, stride, offset, 2)) {
		NS_TRY(place(v, a->in[NS_INDEX_AT], offset[1], offset[0], &to));
		if (v->how == NS_SCATTER_NOT)
			memcpy(y + (size_t)(t * v->inner) * bytes, (const char *)a->in[NS_INDEX_DATA] + (size_t)to * bytes, (size_t)v->inner * bytes);
		else if (v->how == NS_SCATTER_SET)
			memcpy(y + (size_t)to * bytes, (const char *)a->in[NS_INDEX_UPDATES] + (size_t)(t * v->inner) * bytes,
			       (size_t)v->inner * bytes);
		else
			for (i = 0; i < v->inner; i++)
				combine(v, y, to + i, a->in[NS_INDEX_UPDATES], t * v->inner + i);
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_index, "index/ref", NS_OP_INDEX, index_run, 0);
