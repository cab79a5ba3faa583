/* host/dag/packed.c - known weights as convolutions with channels last take them, and products of matrices that are such convolutions. */
#include <stdlib.h>

#include "host/dag/dag_inner.h"
#include "kernels/formula/packed.h"

static void pack(const struct ns_op_convolve *v, int64_t taps, const float *from, int64_t by_k, int64_t by_c, float *to)
{
	int64_t g, k, c, r, i;

	if (ns_packed_is_depthwise(v)) {
		for (r = 0; r < taps; r++)
			for (g = 0; g < v->groups; g++)
				*to++ = from[g * by_k + r];
		return;
	}
	for (g = 0; g < v->groups; g++, from += v->k * by_k)
		for (k = 0; k < v->k; k += NS_PACKED)
			for (r = 0; r < taps; r++)
				for (c = 0; c < v->c; c++)
					for (i = k; i < k + NS_PACKED; i++)
						*to++ = i < v->k ? from[i * by_k + c * by_c + r] : 0;
}

static int is_same(const struct ns_dag_packed *p, const struct ns_op_convolve *v, int weights, int64_t by_k, int64_t by_c)
{
	return p->weights == weights && p->groups == v->groups && p->c == v->c && p->k == v->k && p->by_k == by_k && p->by_c == by_c;
}

enum ns_status ns_dag_pack(struct ns_dag *d, struct ns_dag_packs *packs, const struct ns_op_convolve *v, int weights, const int64_t *strides,
			   int *made)
{
	int64_t taps = v->window.kernel[0] * v->window.kernel[1], count = ns_packed_count(v, taps);
	int64_t by_k = strides ? strides[0] : v->c * taps, by_c = strides ? strides[1] : taps;
	struct ns_dag_packed *p;
	int i;

	for (i = 0; i < packs->count; i++)
		if (is_same(&packs->list[i], v, weights, by_k, by_c)) {
			*made = packs->list[i].made;
			return NS_OK;
		}
	p = realloc(packs->list, sizeof *p * (size_t)(packs->count + 1));
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d values", d->value_count);
	packs->list = p;
	d->constant_bytes -=
		v->groups * v->k * v->c * taps * (int64_t)sizeof(float); /* in place of those that were there, but for what is filled up */
	NS_TRY(ns_dag_constant(d, NS_F32, &(struct ns_box){1, {count}}, NULL, made));
	pack(v, taps, d->values[weights].data, by_k, by_c, d->values[*made].data);
	packs->list[packs->count++] = (struct ns_dag_packed){weights, *made, v->groups, v->c, v->k, by_k, by_c};
	return NS_OK;
}

int ns_dag_is_rows(const struct ns_op_contract *v, const struct ns_box *a, struct ns_op_convolve *c, int64_t strides[2])
{
	int d, columns = v->out.rank - 1;
	int64_t rows = 1, depth = v->sum.rank == 1 ? v->sum.dim[0] : 0;

	if (v->dtype != NS_F32 || v->out_dtype != NS_F32 || columns < 0 || depth < 1 || v->a_out[columns] || (depth > 1 && v->a_sum[0] != 1))
		return 0;
	for (d = columns - 1; d >= 0; d--) { /* rows lie one behind the other, and all meet the same matrix */
		if (v->out.dim[d] > 1 && (v->b_out[d] || v->a_out[d] != rows * depth))
			return 0;
		rows *= v->out.dim[d];
	}
	if (ns_box_count(a) != rows * depth)
		return 0;
	*c = (struct ns_op_convolve){.dtype = NS_F32, .n = 1, .groups = 1, .c = depth, .k = v->out.dim[columns], .last = 1};
	c->window = (struct ns_window){.axes = 2, .in = {1, rows}, .out = {1, rows}, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
	strides[0] = v->b_out[columns];
	strides[1] = v->b_sum[0];
	return c->k >= NS_PACKED / 2; /* of fewer columns most would be filled up */
}
