/* kernels/cpu/index.c - slices of f32 by their indices, a row of a slice at a time; scattered in the order of the tuples, as on ref. */
#include <string.h>

#include "kernels/cpu/cpu.h"

/* The slice's place; NS_BAD_DATA where an index is outside. */
static enum ns_status place(const struct ns_op_index *v, const int64_t *indices, int64_t base, int64_t *to)
{
	int64_t i;
	int l;

	for (*to = base, l = 0; l < v->length; l++) {
		i = indices[l * v->next];
		if (i < -v->size[l] || i >= v->size[l])
			return ns_fail(NS_BAD_DATA, "index: %lld is outside of an axis of %lld", (long long)i, (long long)v->size[l]);
		*to += (i < 0 ? i + v->size[l] : i) * v->stride[l];
	}
	return NS_OK;
}

static void slice(const struct ns_op_index *v, float *y, const float *data, const float *updates, int64_t t, int64_t at)
{
	int64_t i, n = v->inner;

	if (v->how == NS_SCATTER_NOT)
		memcpy(y + t * n, data + at, (size_t)n * sizeof *y);
	else if (v->how == NS_SCATTER_SET)
		memcpy(y + at, updates + t * n, (size_t)n * sizeof *y);
	else
		for (i = 0; i < n; i++)
			y[at + i] += updates[t * n + i];
}

static enum ns_status index_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_index *v = &ns_cpu_op(plan)->u.index;
	const int64_t *indices = a->in[NS_INDEX_AT];
	int64_t t, to, n = ns_box_count(&v->tuples), at[NS_RANK] = {0}, base = 0, from = 0;
	float *y = a->out[NS_INDEX_Y];
	int d;

	(void)queue;
	if (v->how != NS_SCATTER_NOT && v->data)
		memcpy(y, a->in[NS_INDEX_DATA], (size_t)v->data * sizeof *y);
	for (t = 0; t < n; t++) {
		NS_TRY(place(v, indices + from, base, &to));
		slice(v, y, a->in[NS_INDEX_DATA], a->in[NS_INDEX_UPDATES], t, to);
		for (d = v->tuples.rank - 1; d >= 0; d--) {
			base += v->base[d];
			from += v->at[d];
			if (++at[d] < v->tuples.dim[d])
				break;
			base -= v->base[d] * v->tuples.dim[d];
			from -= v->at[d] * v->tuples.dim[d];
			at[d] = 0;
		}
	}
	return NS_OK;
}

static enum ns_status index_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_index *v = &op->u.index;

	(void)dev;
	if (v->dtype != NS_F32 || v->how == NS_SCATTER_MUL || v->how == NS_SCATTER_MAX || v->how == NS_SCATTER_MIN)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, 0, index_run);
}

const struct ns_impl ns_cpu_index = {"index/slices", NS_OP_INDEX, index_make};
