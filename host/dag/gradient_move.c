/* host/dag/gradient_move.c - gradients of what takes elements from other places: moves, and products over any axes. */
#include <stdlib.h>
#include <string.h>

#include "host/dag/gradient_inner.h"

/* --- MOVE --- */

/* The part of g that the move wrote, in the order in which it read. */
static enum ns_status part_of(struct ns_backward *b, const struct ns_op_move *m, int g, int *part)
{
	const struct ns_dag_value *v = ns_dag_at(b->dag, g);
	enum ns_dtype dtype = v->dtype;
	struct ns_op op = {.kind = NS_OP_MOVE, .u.move = {.bytes = (int)ns_dtype_bytes(dtype), .box = m->box, .from = m->to}};
	int64_t dense[NS_RANK];
	int d, same = !m->to && ns_box_count(&m->box) == ns_box_count(&v->box);

	ns_box_strides(&m->box, dense);
	for (d = 0; d < m->box.rank; d++)
		same &= m->box.dim[d] < 2 || m->to_stride[d] == dense[d];
	if (same)
		return ns_dag_view(b->dag, g, &m->box, part);
	memcpy(op.u.move.from_stride, m->to_stride, sizeof m->to_stride);
	memcpy(op.u.move.to_stride, dense, sizeof dense);
	NS_TRY(ns_dag_value(b->dag, dtype, &m->box, &g, 1, part));
	return ns_dag_add(b->dag, &op, &g, 1, part, 1);
}

/* Does the move read every element at most once, where those that it repeats are left out? */
static int reads_once(const struct ns_op_move *m)
{
	int64_t reach = 0, stride, next;
	char done[NS_RANK] = {0};
	int d, i, smallest;

	if (m->rule != NS_MOVE_PLAIN)
		return 0;
	for (i = 0; i < m->box.rank; i++) { /* from the smallest stride up */
		for (smallest = -1, next = 0, d = 0; d < m->box.rank; d++) {
			stride = m->from_stride[d] < 0 ? -m->from_stride[d] : m->from_stride[d];
			if (!done[d] && (smallest < 0 || stride < next)) {
				smallest = d;
				next = stride;
			}
		}
		done[smallest] = 1;
		if (m->box.dim[smallest] < 2 || !next)
			continue;
		if (next <= reach)
			return 0;
		reach += next * (m->box.dim[smallest] - 1);
	}
	return 1;
}

/* Where in x each element of the box was read: the move itself, of a list of places. */
static enum ns_status places(struct ns_backward *b, const struct ns_op_move *m, int64_t count, int *list)
{
	struct ns_op op = {.kind = NS_OP_MOVE, .u.move = *m};
	const struct ns_box flat = {1, {count}}, of = {1, {ns_box_count(&m->box)}};
	int64_t i, *all;
	int iota;

	NS_TRY(ns_dag_constant(b->dag, NS_I64, &flat, NULL, &iota));
	for (all = ns_dag_at(b->dag, iota)->data, i = 0; i < count; i++)
		all[i] = i;
	op.u.move.bytes = (int)sizeof *all;
	op.u.move.to = 0;
	ns_box_strides(&m->box, op.u.move.to_stride);
	NS_TRY(ns_dag_value(b->dag, NS_I64, &of, &iota, 1, list));
	return ns_dag_add(b->dag, &op, &iota, 1, list, 1);
}

/* Adds each element of g to where the list says, in `count` zeros. */
static enum ns_status add_at(struct ns_backward *b, int g, int list, int64_t count, int *dx)
{
	enum ns_dtype dtype = ns_dag_at(b->dag, g)->dtype;
	const struct ns_box flat = {1, {count}};
	struct ns_op op = {.kind = NS_OP_INDEX,
			   .u.index = {.dtype = dtype,
				       .how = NS_SCATTER_ADD,
				       .length = 1,
				       .tuples = {1, {ns_box_count(&ns_dag_at(b->dag, g)->box)}},
				       .at = {1},
				       .size = {count},
				       .stride = {1},
				       .inner = 1,
				       .data = count}};
	int in[3] = {-1, list, g};

	NS_TRY(ns_dag_zeros(b->dag, dtype, count, g, &in[NS_INDEX_DATA]));
	NS_TRY(ns_dag_value(b->dag, dtype, &flat, in, 3, dx));
	return ns_dag_add(b->dag, &op, in, 3, dx, 1);
}

/* Puts each element of the part back where it was read; 0 where none was. */
static enum ns_status put_back(struct ns_backward *b, const struct ns_op_move *m, int part, int64_t count, int *dx)
{
	enum ns_dtype dtype = ns_dag_at(b->dag, part)->dtype;
	struct ns_op op = {.kind = NS_OP_MOVE, .u.move = {.bytes = (int)ns_dtype_bytes(dtype), .box = m->box, .to = m->from}};
	struct ns_op_move *back = &op.u.move;
	const struct ns_box flat = {1, {count}};
	int d;

	for (d = 0; d < m->box.rank; d++)
		back->box.dim[d] = m->from_stride[d] || m->box.dim[d] < 1 ? m->box.dim[d] : 1;
	ns_box_strides(&back->box, back->from_stride);
	memcpy(back->to_stride, m->from_stride, sizeof m->from_stride);
	if (ns_box_count(&back->box) < count)
		NS_TRY(ns_dag_zeros(b->dag, dtype, count, part, dx));
	else
		NS_TRY(ns_dag_value(b->dag, dtype, &flat, &part, 1, dx));
	return ns_dag_add(b->dag, &op, &part, 1, dx, 1);
}

enum ns_status ns_gradient_move(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	const struct ns_op_move *m = &n->op.u.move;
	int64_t count = ns_box_count(&ns_dag_at(b->dag, ns_dag_root(b->dag, n->in[0]))->box);
	const int root = ns_dag_root(b->dag, n->out[0]);
	int part, list, d;
	unsigned repeated = 0;

	if (b->written[root] > ns_box_count(&ns_dag_at(b->dag, root)->box) && b->last_writer[root] != index)
		return ns_fail(NS_DECLINED, "move: what it wrote was written again, by a value that is learned");
	NS_TRY(part_of(b, m, g, &part));
	if (!reads_once(m)) {
		NS_TRY(places(b, m, count, &list));
		NS_TRY(add_at(b, part, list, count, &part));
		return ns_backward_add(b, n->in[0], part);
	}
	for (d = 0; d < m->box.rank && d < NS_RANK; d++)
		repeated |= (unsigned)(!m->from_stride[d] && m->box.dim[d] > 1) << d;
	if (repeated)
		NS_TRY(ns_dag_reduce_runs(b->dag, part, NS_REDUCE_SUM, repeated, &part));
	NS_TRY(put_back(b, m, part, count, &part));
	return ns_backward_add(b, n->in[0], part);
}

/* --- CONTRACT --- */

struct axis {
	int64_t size, own, other, g; /* strides: in the operand, in the other operand, in the gradient */
};

/* Axes of the operand, from the largest stride to the smallest, and those that are summed over. 0: its elements are not each named once. */
static int axes_of(const struct ns_op_contract *v, int is_b, int64_t count, struct axis *kept, int *keep, struct axis *summed, int *sum)
{
	int64_t dense[NS_RANK], n = 1;
	int d, i, k;

	ns_box_strides(&v->out, dense);
	for (*keep = *sum = 0, d = 0; d < v->out.rank + v->sum.rank; d++) {
		int s = d - v->out.rank, inner = s >= 0;
		int64_t a = inner ? v->a_sum[s] : v->a_out[d], w = inner ? v->b_sum[s] : v->b_out[d];
		struct axis x = {inner ? v->sum.dim[s] : v->out.dim[d], is_b ? w : a, is_b ? a : w, inner ? 0 : dense[d]};

		if (x.size == 1)
			continue;
		if (!x.own) {
			summed[(*sum)++] = x;
			continue;
		}
		for (i = *keep; i > 0 && kept[i - 1].own < x.own; i--)
			kept[i] = kept[i - 1];
		kept[i] = x;
		++*keep;
	}
	for (k = *keep - 1; k >= 0; n *= kept[k--].size)
		if (kept[k].own != n)
			return 0;
	return n == count;
}

/* Sums that both walk as one are one. */
static void join(struct axis *summed, int *sum)
{
	int i, to = 0;

	for (i = 1; i < *sum; i++) {
		if (summed[to].other == summed[i].other * summed[i].size && summed[to].g == summed[i].g * summed[i].size)
			summed[to] = (struct axis){summed[to].size * summed[i].size, 0, summed[i].other, summed[i].g};
		else
			summed[++to] = summed[i];
	}
	*sum = *sum ? to + 1 : 0;
}

static enum ns_status by_operand(struct ns_backward *b, const struct ns_dag_node *n, int which, int g)
{
	const struct ns_op_contract *v = &n->op.u.contract;
	int64_t count = ns_box_count(&ns_dag_at(b->dag, ns_dag_root(b->dag, n->in[which]))->box);
	struct axis kept[2 * NS_RANK], summed[2 * NS_RANK];
	struct ns_op op = {.kind = NS_OP_CONTRACT, .u.contract = {.dtype = v->dtype, .out_dtype = v->dtype}};
	struct ns_op_contract *c = &op.u.contract;
	int keep, sum, d, turn, in[2], y;

	if (!axes_of(v, which, count, kept, &keep, summed, &sum))
		return ns_fail(NS_DECLINED, "contract: an operand whose elements are not each named once has no gradient here");
	if (keep > NS_RANK - 2 || sum > NS_RANK)
		return ns_fail(NS_DECLINED, "contract: of %d axes that stay and %d that go, it has no gradient here", keep, sum);
	join(summed, &sum);
	while (keep < 2) /* so that it is a matrix */
		kept[keep++] = (struct axis){1, 1, 0, 0};
	turn = kept[keep - 1].g != 0; /* rows are the first operand's */
	c->out.rank = keep;
	for (d = 0; d < keep; d++) {
		c->out.dim[d] = kept[d].size;
		c->a_out[d] = turn ? kept[d].other : kept[d].g;
		c->b_out[d] = turn ? kept[d].g : kept[d].other;
	}
	if (!sum)
		summed[sum++] = (struct axis){1, 0, 1, 1};
	c->sum.rank = sum;
	for (d = 0; d < sum; d++) {
		c->sum.dim[d] = summed[d].size;
		c->a_sum[d] = turn ? summed[d].other : summed[d].g;
		c->b_sum[d] = turn ? summed[d].g : summed[d].other;
	}
	in[turn ? 1 : 0] = g;
	in[turn ? 0 : 1] = n->in[1 - which];
	NS_TRY(ns_dag_value(b->dag, v->dtype, &c->out, in, 2, &y));
	NS_TRY(ns_dag_add(b->dag, &op, in, 2, &y, 1));
	return ns_backward_add(b, n->in[which], y);
}

enum ns_status ns_gradient_contract(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	int k;

	(void)index;
	if (n->op.u.contract.dtype != n->op.u.contract.out_dtype)
		return ns_fail(NS_DECLINED, "contract: into another type it has no gradient here");
	for (k = 0; k < 2; k++)
		if (ns_backward_wants(b, n->in[k]))
			NS_TRY(by_operand(b, n, k, g));
	return NS_OK;
}
