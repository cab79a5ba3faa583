/* host/dag/gradient_index.c - gradients of what works by lists: slices by indices, the largest of a row, resizing. */
#include <stdlib.h>
#include <string.h>

#include "host/dag/gradient_inner.h"

/* A scatter of g into zeros of the root of `value`. */
static enum ns_status scatter(struct ns_backward *b, struct ns_op_index v, int indices, int g, int value)
{
	enum ns_dtype dtype = ns_dag_at(b->dag, g)->dtype;
	struct ns_op op = {.kind = NS_OP_INDEX, .u.index = v};
	struct ns_box flat = {1, {v.data}};
	int in[3] = {-1, indices, g}, dx;

	op.u.index.how = NS_SCATTER_ADD;
	NS_TRY(ns_dag_zeros(b->dag, dtype, v.data, g, &in[NS_INDEX_DATA]));
	NS_TRY(ns_dag_value(b->dag, dtype, &flat, in, 3, &dx));
	NS_TRY(ns_dag_add(b->dag, &op, in, 3, &dx, 1));
	return ns_backward_add(b, value, dx);
}

/* What a scatter wrote is of its updates; of what was set, nothing is the data's. */
static enum ns_status of_scatter(struct ns_backward *b, const struct ns_dag_node *n, int g)
{
	struct ns_op gather = n->op, clear = n->op;
	enum ns_dtype dtype = n->op.u.index.dtype;
	const struct ns_box updates = {1, {ns_box_count(&n->op.u.index.tuples) * n->op.u.index.inner}}, flat = {1, {n->op.u.index.data}};
	int in[3] = {g, n->in[NS_INDEX_AT], -1}, y;

	if (n->op.u.index.how != NS_SCATTER_SET && n->op.u.index.how != NS_SCATTER_ADD)
		return ns_fail(NS_DECLINED, "index: scattered by products, maxima or minima it has no gradient here");
	if (ns_backward_wants(b, n->in[NS_INDEX_UPDATES])) {
		gather.u.index.how = NS_SCATTER_NOT;
		NS_TRY(ns_dag_value(b->dag, dtype, &updates, in, 2, &y));
		NS_TRY(ns_dag_add(b->dag, &gather, in, 2, &y, 1));
		NS_TRY(ns_backward_add(b, n->in[NS_INDEX_UPDATES], y));
	}
	if (!ns_backward_wants(b, n->in[NS_INDEX_DATA]))
		return NS_OK;
	if (n->op.u.index.how == NS_SCATTER_ADD)
		return ns_backward_add(b, n->in[NS_INDEX_DATA], g);
	NS_TRY(ns_dag_zeros(b->dag, dtype, updates.dim[0], g, &in[NS_INDEX_UPDATES]));
	NS_TRY(ns_dag_value(b->dag, dtype, &flat, in, 3, &y));
	NS_TRY(ns_dag_add(b->dag, &clear, in, 3, &y, 1));
	return ns_backward_add(b, n->in[NS_INDEX_DATA], y);
}

enum ns_status ns_gradient_index(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	(void)index;
	if (n->op.u.index.how != NS_SCATTER_NOT)
		return of_scatter(b, n, g);
	return scatter(b, n->op.u.index, n->in[NS_INDEX_AT], g, n->in[NS_INDEX_DATA]);
}

enum ns_status ns_gradient_topk(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	const struct ns_op_topk *t = &n->op.u.topk;
	struct ns_op_index v = {.dtype = t->dtype,
				.length = 1,
				.tuples = {3, {t->outer, t->k, t->inner}},
				.base = {t->n * t->inner, 0, 1},
				.at = {t->k * t->inner, t->inner, 1},
				.size = {t->n},
				.stride = {t->inner},
				.inner = 1,
				.data = t->outer * t->n * t->inner};
	int indices = n->outs > 1 ? n->out[NS_TOPK_INDICES] : -1;

	if (indices < 0) { /* nobody asked for them before */
		NS_TRY(ns_dag_value(b->dag, NS_I64, &v.tuples, n->in, 1, &indices));
		b->dag->nodes[index].out[NS_TOPK_INDICES] = indices;
		b->dag->nodes[index].outs = 2;
	}
	return scatter(b, v, indices, g, n->in[NS_TOPK_X]);
}

/* --- RESAMPLE: the same op the other way round --- */

struct lists { /* for every source, which outputs took it, and by how much: `taps` of them, the rest with weight 0 */
	int64_t *count;
	int32_t *index;
	float *weight;
	int taps;
};

/* Puts what output i / taps took into the list of its source, or counts it alone. */
static void fill(const struct ns_dag *d, const struct ns_op_resample *v, const int *in, struct lists *l)
{
	int64_t i, j;

	memset(l->count, 0, sizeof *l->count * (size_t)v->n);
	for (i = 0; i < v->m * v->taps; i++) {
		j = ns_dag_whole(d, in[NS_RESAMPLE_INDEX], i);
		if (j < 0)
			continue;
		if (l->index) {
			l->index[j * l->taps + l->count[j]] = (int32_t)(i / v->taps);
			l->weight[j * l->taps + l->count[j]] = (float)ns_dag_number(d, in[NS_RESAMPLE_WEIGHT], i);
		}
		l->count[j]++;
	}
}

static enum ns_status turn_round(const struct ns_dag *d, const struct ns_op_resample *v, const int *in, struct lists *l)
{
	size_t n;
	int64_t i;

	l->count = calloc((size_t)v->n + 1, sizeof *l->count);
	if (!l->count)
		return ns_fail(NS_NO_MEMORY, "out of memory for a resizing of %lld places", (long long)v->n);
	fill(d, v, in, l);
	for (l->taps = 1, i = 0; i < v->n; i++)
		l->taps = l->count[i] > l->taps ? (int)l->count[i] : l->taps;
	n = (size_t)v->n * (size_t)l->taps + 1;
	l->index = calloc(n, sizeof *l->index);
	l->weight = calloc(n, sizeof *l->weight);
	if (!l->index || !l->weight)
		return ns_fail(NS_NO_MEMORY, "out of memory for a resizing of %lld places", (long long)v->n);
	fill(d, v, in, l);
	return NS_OK;
}

enum ns_status ns_gradient_resample(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	const struct ns_op_resample v = n->op.u.resample;
	struct ns_op op = {.kind = NS_OP_RESAMPLE, .u.resample = v};
	struct ns_box box = {3, {v.outer, v.n, v.inner}}, list;
	struct lists l = {NULL, NULL, NULL, 0};
	enum ns_status status;
	int in[3] = {g}, dx;

	(void)index;
	if (!ns_dag_is_constant(b->dag, n->in[NS_RESAMPLE_INDEX]) || !ns_dag_is_constant(b->dag, n->in[NS_RESAMPLE_WEIGHT]))
		return ns_fail(NS_DECLINED, "resample: by sizes that are known only as it runs it has no gradient here");
	NS_GO(turn_round(b->dag, &v, n->in, &l));
	op.u.resample.n = v.m;
	op.u.resample.m = v.n;
	op.u.resample.taps = l.taps;
	list = (struct ns_box){2, {v.n, l.taps}};
	NS_GO(ns_dag_constant(b->dag, NS_I32, &list, l.index, &in[NS_RESAMPLE_INDEX]));
	NS_GO(ns_dag_constant(b->dag, NS_F32, &list, l.weight, &in[NS_RESAMPLE_WEIGHT]));
	NS_GO(ns_dag_value(b->dag, v.dtype, &box, in, 1, &dx));
	NS_GO(ns_dag_add(b->dag, &op, in, 3, &dx, 1));
	status = ns_backward_add(b, n->in[NS_RESAMPLE_X], dx);
out:
	free(l.count);
	free(l.index);
	free(l.weight);
	return status;
}
