/*
 * host/dag/layout.c - channels last: convolutions of known weights take images as (N, H, W, C) with packed weights, and what stands between them follows, so that channels are
 * turned only where a graph really mixes both. A value keeps its number where it is as it was; where only the turned one is made, it is turned back for whoever wants that.
 */
#include <stdlib.h>
#include <string.h>

#include "host/dag/dag_inner.h"
#include "host/dag/turn_inner.h"
#include "kernels/formula/packed.h"

struct layout {
	struct ns_dag *d;
	int values;    /* those that were there before */
	int *last;     /* of a value: the same with channels last; -1 */
	int *made_at;  /* writes of its root when that was made */
	int *writes;   /* of a root: how often it was written, in either way */
	int *writers;  /* of a root: nodes that do */
	int *move;     /* of a value that one MOVE makes: that node, from 1 */
	char *missing; /* of a root: only the one with channels last is made */
	struct ns_dag_packs packs;
};

/* --- values --- */

static const struct ns_box *box_of(const struct layout *l, int value)
{
	return &l->d->values[value].box;
}

/* Is an image there with channels last, whether or not it is as it was, too? */
static int is_there(const struct layout *l, int value)
{
	int root = ns_dag_root(l->d, value);

	if (value < 0 || box_of(l, value)->rank != 4)
		return 0;
	if (l->missing[root])
		return ns_box_equal(box_of(l, value), box_of(l, root));
	return l->last[value] >= 0 && l->made_at[value] == l->writes[root];
}

/* Does node `n` alone write all of its first output, an image? */
static int makes_image(const struct layout *l, const struct ns_dag_node *n)
{
	int y = n->out[0];

	return l->d->values[y].same_as < 0 && l->writers[y] == 1 && box_of(l, y)->rank == 4;
}

/* A MOVE of all of `from` to `to`, one of which has its channels last. */
static enum ns_status turn(struct layout *l, int from, int to, const struct ns_box *box, int to_last)
{
	struct ns_op op = {.kind = NS_OP_MOVE, .u.move = {.bytes = (int)ns_dtype_bytes(l->d->values[from].dtype), .box = *box}};
	int64_t first[4], last[4];

	ns_turn_strides(box, first, last);
	memcpy(op.u.move.from_stride, to_last ? first : last, sizeof first);
	memcpy(op.u.move.to_stride, to_last ? last : first, sizeof last);
	ns_sort_axes(&op.u.move);
	return ns_dag_add(l->d, &op, &from, 1, &to, 1);
}

/* Sees to it that the value is there as it was. */
static enum ns_status as_it_was(struct layout *l, int value)
{
	int root = ns_dag_root(l->d, value);
	struct ns_box box;

	if (value < 0 || root >= l->values || !l->missing[root])
		return NS_OK;
	l->missing[root] = 0;
	box = *box_of(l, root);
	return turn(l, l->last[root], root, &box, 0);
}

/* A MOVE makes this value: the same with channels last is another MOVE of what that reads, or a view of it; *made is -1 where neither can be. */
static enum ns_status from_source(struct layout *l, int value, const struct ns_box *box, int *made)
{
	const struct ns_dag_node *n = &l->d->nodes[l->move[value] - 1];
	const struct ns_box nhwc = ns_turned_box(box);
	struct ns_op op = n->op;
	int source = n->in[0], same;

	*made = -1;
	if (!ns_turn_side(&op.u.move, box, 0))
		return NS_OK;
	ns_sort_axes(&op.u.move);
	ns_move_collapse(&op.u.move);
	same = op.u.move.rule == NS_MOVE_PLAIN && op.u.move.box.rank == 1 && op.u.move.from_stride[0] == 1 && op.u.move.to_stride[0] == 1 &&
	       op.u.move.from == 0 && op.u.move.to == 0 && ns_box_count(box_of(l, source)) == ns_box_count(box);
	if (same)
		return ns_dag_view(l->d, source, &nhwc, made);
	op = n->op;
	(void)ns_turn_side(&op.u.move, box, 0);
	ns_sort_axes(&op.u.move);
	NS_TRY(ns_dag_value(l->d, l->d->values[value].dtype, &nhwc, &source, 1, made));
	return ns_dag_add(l->d, &op, &source, 1, made, 1);
}

/* The value with channels last. */
static enum ns_status channels_last(struct layout *l, int value, int *made)
{
	const struct ns_box box = *box_of(l, value), nhwc = ns_turned_box(&box);
	int root = ns_dag_root(l->d, value);

	if (l->missing[root] && ns_box_equal(box_of(l, root), &box)) {
		*made = l->last[root];
		return NS_OK;
	}
	NS_TRY(as_it_was(l, value));
	if (ns_turn_is_same(&box))
		return ns_dag_view(l->d, value, &nhwc, made);
	if (l->last[value] < 0 || l->made_at[value] != l->writes[root]) {
		l->made_at[value] = l->writes[root];
		l->last[value] = -1;
		if (l->move[value])
			NS_TRY(from_source(l, value, &box, &l->last[value]));
		if (l->last[value] < 0) {
			NS_TRY(ns_dag_value(l->d, l->d->values[value].dtype, &nhwc, &value, 1, &l->last[value]));
			NS_TRY(turn(l, value, l->last[value], &box, 1));
		}
	}
	*made = l->last[value];
	return NS_OK;
}

/* What a node writes with channels last in place of an image: *made. */
static enum ns_status write_last(struct layout *l, int image, const struct ns_dag_node *n, int *made)
{
	const struct ns_box box = *box_of(l, image), nhwc = ns_turned_box(&box);

	l->writes[image]++;
	*made = image;
	if (ns_turn_is_same(&box))
		return NS_OK;
	if (!l->missing[image])
		NS_TRY(ns_dag_value(l->d, l->d->values[image].dtype, &nhwc, n->in, n->ins, &l->last[image]));
	l->missing[image] = 1;
	l->made_at[image] = l->writes[image];
	*made = l->last[image];
	return NS_OK;
}

static enum ns_status add(struct layout *l, const struct ns_dag_node *n)
{
	return ns_dag_add(l->d, &n->op, n->in, n->ins, n->out, n->outs);
}

/* --- nodes as they are --- */

static enum ns_status keep(struct layout *l, const struct ns_dag_node *n)
{
	int k;

	for (k = 0; k < n->ins; k++)
		if (n->in[k] >= 0)
			NS_TRY(as_it_was(l, n->in[k]));
	for (k = 0; k < n->outs; k++) /* where several nodes write it, some have written the other one */
		if (n->out[k] >= 0) {
			NS_TRY(as_it_was(l, n->out[k]));
			l->writes[ns_dag_root(l->d, n->out[k])]++;
		}
	NS_TRY(add(l, n));
	if (n->op.kind == NS_OP_MOVE && makes_image(l, n))
		l->move[n->out[0]] = l->d->node_count;
	return NS_OK;
}

/* --- convolutions --- */

static int takes_convolution(const struct layout *l, const struct ns_dag_node *n)
{
	const struct ns_op_convolve *v = &n->op.u.convolve;

	if (v->dtype != NS_F32 || v->window.axes != 2 || v->transposed || v->last || !ns_packed_is_near(&v->window))
		return 0;
	if (!l->d->values[n->in[NS_CONVOLVE_W]].data || box_of(l, n->in[NS_CONVOLVE_X])->rank != 4 || !makes_image(l, n))
		return 0;
	return v->groups == 1 || (v->c == 1 && v->k == 1) || (v->c >= 4 && v->k >= 8);
}

static enum ns_status convolve(struct layout *l, const struct ns_dag_node *old)
{
	struct ns_dag_node n = *old;

	NS_TRY(channels_last(l, old->in[NS_CONVOLVE_X], &n.in[NS_CONVOLVE_X]));
	NS_TRY(ns_dag_pack(l->d, &l->packs, &old->op.u.convolve, old->in[NS_CONVOLVE_W], NULL, &n.in[NS_CONVOLVE_W]));
	if (n.ins > NS_CONVOLVE_B)
		NS_TRY(as_it_was(l, n.in[NS_CONVOLVE_B])); /* it may be one that is computed */
	n.op.u.convolve.last = 1;
	NS_TRY(write_last(l, old->out[0], &n, &n.out[0]));
	return add(l, &n);
}

/* A product of rows with a known matrix is a convolution of as many pixels. */
static enum ns_status product(struct layout *l, const struct ns_dag_node *old)
{
	const struct ns_op_contract *v = &old->op.u.contract;
	struct ns_dag_node n = *old;
	struct ns_op_convolve c;
	int64_t strides[2];

	if (!l->d->values[old->in[NS_CONTRACT_B]].data || !ns_dag_is_rows(v, box_of(l, old->in[NS_CONTRACT_A]), &c, strides))
		return keep(l, old);
	n.op = (struct ns_op){.kind = NS_OP_CONVOLVE, .u.convolve = c};
	NS_TRY(ns_dag_pack(l->d, &l->packs, &c, old->in[NS_CONTRACT_B], strides, &n.in[NS_CONVOLVE_W]));
	return keep(l, &n);
}

/* --- formulas --- */

/* Is an image of the result's size there with channels last? */
static int takes_formula(const struct layout *l, const struct ns_dag_node *n)
{
	const struct ns_box *out = &n->op.u.pointwise.out;
	int k;

	if (out->rank != 4 || !makes_image(l, n) || !ns_box_equal(out, box_of(l, n->out[0])) || ns_turn_is_same(out))
		return 0;
	for (k = 0; k < n->ins; k++)
		if (is_there(l, n->in[k]) && ns_box_equal(box_of(l, n->in[k]), out))
			return 1;
	return 0;
}

static enum ns_status formula(struct layout *l, const struct ns_dag_node *old)
{
	struct ns_dag_node n = *old;
	struct ns_op_pointwise *v = &n.op.u.pointwise;
	int k;

	for (k = 0; k < n.ins; k++) {
		const struct ns_box box = *box_of(l, n.in[k]);
		int64_t offset = 0;
		int whole;

		whole = ns_box_equal(&box, &v->out);
		if (whole) {
			NS_TRY(channels_last(l, n.in[k], &n.in[k]));
			whole = ns_turn_places(&box, 4, v->out.dim, v->stride[k], &offset);
			if (!whole)
				return ns_fail(NS_INTERNAL, "layout: an input of a formula is not read as it lies");
		} else {
			NS_TRY(as_it_was(l, n.in[k]));
		}
		ns_turn_list(v->stride[k]);
	}
	ns_turn_list(v->out.dim);
	NS_TRY(write_last(l, old->out[0], &n, &n.out[0]));
	return add(l, &n);
}

/* --- what goes over axes --- */

/* The only node that makes an image, of one that is there with channels last. */
static int follows(const struct layout *l, const struct ns_dag_node *n)
{
	return is_there(l, n->in[0]) && makes_image(l, n);
}

static enum ns_status reduce(struct layout *l, const struct ns_dag_node *old)
{
	struct ns_dag_node n = *old;
	unsigned axes = old->op.u.reduce.axes;

	NS_TRY(channels_last(l, n.in[0], &n.in[0]));
	ns_turn_list(n.op.u.reduce.in.dim);
	n.op.u.reduce.axes = (axes & 1) | (axes >> 2 & 1) << 1 | (axes >> 3 & 1) << 2 | (axes >> 1 & 1) << 3;
	NS_TRY(write_last(l, old->out[0], &n, &n.out[0]));
	return add(l, &n);
}

static enum ns_status pool(struct layout *l, const struct ns_dag_node *old)
{
	struct ns_dag_node n = *old;
	struct ns_op_pool_nd *v = &n.op.u.pool_nd;

	v->inner = box_of(l, n.in[0])->dim[1];
	v->planes = box_of(l, n.in[0])->dim[0];
	NS_TRY(channels_last(l, n.in[0], &n.in[0]));
	NS_TRY(write_last(l, old->out[0], &n, &n.out[0]));
	return add(l, &n);
}

static enum ns_status along(struct layout *l, const struct ns_dag_node *old)
{
	struct ns_dag_node n = *old;
	const struct ns_box *b = box_of(l, n.in[0]);
	int turns = n.op.kind == NS_OP_RESAMPLE ? ns_turn_line(b, &n.op.u.resample.outer, n.op.u.resample.n, &n.op.u.resample.inner)
						: ns_turn_line(b, &n.op.u.along.outer, n.op.u.along.n, &n.op.u.along.inner);

	if (!turns)
		return keep(l, old);
	NS_TRY(channels_last(l, n.in[0], &n.in[0]));
	NS_TRY(write_last(l, old->out[0], &n, &n.out[0]));
	return add(l, &n);
}

/* --- moves --- */

/* Do all nodes that write this image do so by MOVEs, and most of its elements come from images with channels last? */
static int moves_last(const struct layout *l, const struct ns_dag_node *nodes, int count, int image)
{
	int64_t last = 0, all = 0;
	int i;

	for (i = 0; i < count; i++) {
		const struct ns_dag_node *n = &nodes[i];
		struct ns_op_move v = n->op.u.move;

		if (n->op.kind == NS_OP_KINDS || n->out[0] < 0 || ns_dag_root(l->d, n->out[0]) != image)
			continue;
		if (n->op.kind != NS_OP_MOVE || n->out[0] != image || !ns_turn_side(&v, box_of(l, image), 0))
			return 0;
		all += ns_box_count(&v.box);
		if (is_there(l, ns_dag_root(l->d, n->in[0])) && ns_turn_side(&v, box_of(l, ns_dag_root(l->d, n->in[0])), 1))
			last += ns_box_count(&v.box);
	}
	return 2 * last > all;
}

/* nodes: this one and those behind it */
static enum ns_status move(struct layout *l, const struct ns_dag_node *nodes, int count)
{
	const struct ns_box box = *box_of(l, nodes->out[0]);
	struct ns_dag_node n = *nodes;
	int image = n.out[0], root = ns_dag_root(l->d, n.in[0]), to_last = 0;

	if (box.rank == 4 && l->d->values[image].same_as < 0 && !ns_turn_is_same(&box))
		to_last = l->missing[image] || (!l->writes[image] && moves_last(l, nodes, count, image));
	if ((l->missing[root] || (to_last && is_there(l, root))) && ns_turn_side(&n.op.u.move, box_of(l, root), 1))
		n.in[0] = l->last[root];
	else
		NS_TRY(as_it_was(l, n.in[0]));
	if (to_last)
		(void)ns_turn_side(&n.op.u.move, &box, 0);
	ns_sort_axes(&n.op.u.move);
	if (!to_last)
		return keep(l, &n);
	NS_TRY(write_last(l, image, &n, &n.out[0]));
	return add(l, &n);
}

/* --- the graph --- */

static enum ns_status one(struct layout *l, const struct ns_dag_node *nodes, int count)
{
	switch (nodes->op.kind) {
	case NS_OP_CONVOLVE:
		return takes_convolution(l, nodes) ? convolve(l, nodes) : keep(l, nodes);
	case NS_OP_POINTWISE:
		return takes_formula(l, nodes) ? formula(l, nodes) : keep(l, nodes);
	case NS_OP_REDUCE:
		return follows(l, nodes) ? reduce(l, nodes) : keep(l, nodes);
	case NS_OP_POOL_ND:
		return follows(l, nodes) && !nodes->op.u.pool_nd.indices && nodes->op.u.pool_nd.window.axes == 2 ? pool(l, nodes) : keep(l, nodes);
	case NS_OP_RESAMPLE:
	case NS_OP_ALONG:
		return follows(l, nodes) ? along(l, nodes) : keep(l, nodes);
	case NS_OP_MOVE:
		return move(l, nodes, count);
	case NS_OP_CONTRACT:
		return product(l, nodes);
	default:
		return keep(l, nodes);
	}
}

static enum ns_status rewrite(struct layout *l, const struct ns_dag_node *nodes, int count, const int *outputs, int n)
{
	int i, k;

	for (i = 0; i < l->values; i++)
		l->last[i] = -1;
	for (i = 0; i < count; i++)
		for (k = 0; k < nodes[i].outs; k++)
			if (nodes[i].out[k] >= 0)
				l->writers[ns_dag_root(l->d, nodes[i].out[k])]++;
	for (i = 0; i < count; i++)
		NS_TRY(one(l, nodes + i, count - i));
	for (i = 0; i < n; i++)
		NS_TRY(as_it_was(l, outputs[i]));
	return NS_OK;
}

enum ns_status ns_dag_for_inference(struct ns_dag *d, const struct ns_backend *backend, const int *outputs, int n)
{
	NS_TRY(ns_dag_fold_affine(d, outputs, n));
	NS_TRY(ns_dag_fuse(d, outputs, n));
	if (!backend->channels_last)
		return NS_OK;
	ns_dag_shorten(d);
	NS_TRY(ns_dag_channels_last(d, outputs, n));
	return ns_dag_join(d, outputs, n);
}

enum ns_status ns_dag_channels_last(struct ns_dag *d, const int *outputs, int n)
{
	size_t room = (size_t)d->value_count + 1;
	struct layout l = {.d = d, .values = d->value_count, .missing = calloc(room, 1)};
	int *lists = calloc(5 * room, sizeof *lists), count = d->node_count;
	struct ns_dag_node *nodes = malloc(sizeof *nodes * ((size_t)count + 1));
	enum ns_status status = lists && nodes && l.missing ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d values", d->value_count);

	if (status == NS_OK) {
		l.last = lists;
		l.made_at = lists + room;
		l.writes = lists + 2 * room;
		l.writers = lists + 3 * room;
		l.move = lists + 4 * room;
		memcpy(nodes, d->nodes, sizeof *nodes * (size_t)count);
		d->node_count = 0;
		status = rewrite(&l, nodes, count, outputs, n);
	}
	free(lists);
	free(nodes);
	free(l.missing);
	free(l.packs.list);
	return status;
}
