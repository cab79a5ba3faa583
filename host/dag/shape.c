/* host/dag/shape.c - other orders, parts, joins: all of them moves. */
#include "host/dag/dag.h"

/* A move of the whole of `box`, with these strides; y is dense. */
static enum ns_status move(struct ns_dag *dag, int x, const struct ns_box *box, struct ns_op_move m, int *y)
{
	struct ns_op op = {.kind = NS_OP_MOVE};
	enum ns_dtype dtype = ns_dag_at(dag, x)->dtype;

	m.bytes = (int)ns_dtype_bytes(dtype);
	m.box = *box;
	ns_box_strides(box, m.to_stride);
	op.u.move = m;
	NS_TRY(ns_dag_value(dag, dtype, box, &x, 1, y));
	return ns_dag_add(dag, &op, &x, 1, y, 1);
}

enum ns_status ns_dag_transpose(struct ns_dag *dag, int x, const int *order, int *y)
{
	const struct ns_box *from = &ns_dag_at(dag, x)->box;
	struct ns_box box = {.rank = from->rank};
	struct ns_op_move m = {0};
	int64_t stride[NS_RANK];
	unsigned seen = 0;
	int d;

	ns_box_strides(from, stride);
	for (d = 0; d < from->rank; d++) {
		if (order[d] < 0 || order[d] >= from->rank || seen >> order[d] & 1)
			return ns_fail(NS_INVALID, "axis %d is no axis of %d, or is named twice", order[d], from->rank);
		seen |= 1u << order[d];
		box.dim[d] = from->dim[order[d]];
		m.from_stride[d] = stride[order[d]];
	}
	return move(dag, x, &box, m, y);
}

enum ns_status ns_dag_slice(struct ns_dag *dag, int x, const int64_t *start, const int64_t *step, const struct ns_box *box, int *y)
{
	const struct ns_box *from = &ns_dag_at(dag, x)->box;
	struct ns_op_move m = {0};
	int64_t stride[NS_RANK];
	int d;

	ns_box_strides(from, stride);
	for (d = 0; d < from->rank; d++) {
		int64_t last = box->dim[d] > 1 ? start[d] + (box->dim[d] - 1) * step[d] : start[d];

		if (box->dim[d] > 0 && (start[d] < 0 || start[d] >= from->dim[d] || last < 0 || last >= from->dim[d]))
			return ns_fail(NS_INVALID, "a slice from %lld to %lld of an axis of %lld", (long long)start[d], (long long)last,
				       (long long)from->dim[d]);
		if (box->dim[d] < 1)
			continue;
		m.from += start[d] * stride[d];
		m.from_stride[d] = box->dim[d] > 1 ? step[d] * stride[d] : 0;
	}
	return move(dag, x, box, m, y);
}

enum ns_status ns_dag_concat(struct ns_dag *dag, const int *x, int n, int axis, int *y)
{
	struct ns_box box = ns_dag_at(dag, x[0])->box;
	enum ns_dtype dtype = ns_dag_at(dag, x[0])->dtype;
	int64_t at = 0;
	int k, d;

	for (k = 1; k < n; k++) {
		const struct ns_dag_value *v = ns_dag_at(dag, x[k]);

		if (v->box.rank != box.rank || v->dtype != dtype)
			return ns_fail(NS_INVALID, "parts of %d axes of %s and of %d axes of %s", box.rank, ns_dtype_name(dtype), v->box.rank,
				       ns_dtype_name(v->dtype));
		for (d = 0; d < box.rank; d++)
			if (d != axis && v->box.dim[d] != box.dim[d])
				return ns_fail(NS_INVALID, "parts whose axis %d is %lld and %lld", d, (long long)box.dim[d],
					       (long long)v->box.dim[d]);
		box.dim[axis] += v->box.dim[axis];
	}
	NS_TRY(ns_dag_value(dag, dtype, &box, x, n, y));
	for (k = 0; k < n; k++) {
		struct ns_op op = {.kind = NS_OP_MOVE, .u.move = {.bytes = (int)ns_dtype_bytes(dtype), .box = ns_dag_at(dag, x[k])->box}};
		struct ns_op_move *m = &op.u.move;

		ns_box_strides(&m->box, m->from_stride);
		ns_box_strides(&box, m->to_stride);
		m->to = at * m->to_stride[axis];
		at += m->box.dim[axis];
		NS_TRY(ns_dag_add(dag, &op, &x[k], 1, y, 1));
	}
	return NS_OK;
}

enum ns_status ns_dag_expand(struct ns_dag *dag, int x, const struct ns_box *box, int *y)
{
	const struct ns_box *from = &ns_dag_at(dag, x)->box;
	struct ns_op_move m = {0};
	int64_t stride[NS_RANK];
	int d, lead = box->rank - from->rank;

	ns_box_strides(from, stride);
	for (d = 0; d < from->rank; d++) {
		if (from->dim[d] != box->dim[d + lead] && from->dim[d] != 1)
			return ns_fail(NS_INVALID, "axis %d of %lld cannot become one of %lld", d, (long long)from->dim[d],
				       (long long)box->dim[d + lead]);
		m.from_stride[d + lead] = from->dim[d] == 1 ? 0 : stride[d];
	}
	return move(dag, x, box, m, y);
}

/* The inner part of a padded tensor, or by a rule all of it. */
static enum ns_status pad_move(struct ns_dag *dag, int x, const int64_t *before, const struct ns_box *out, int rule, int y)
{
	const struct ns_dag_value *v = ns_dag_at(dag, x);
	struct ns_op op = {.kind = NS_OP_MOVE, .u.move = {.bytes = (int)ns_dtype_bytes(v->dtype), .box = *out, .rule = rule}};
	struct ns_op_move *m = &op.u.move;
	int d;

	ns_box_strides(&v->box, m->from_stride);
	ns_box_strides(out, m->to_stride);
	for (d = 0; d < out->rank; d++) {
		int64_t first = before[d] < 0 ? 0 : before[d], from = before[d] < 0 ? -before[d] : 0, n = v->box.dim[d] - from;

		if (rule != NS_MOVE_PLAIN) {
			m->begin[d] = -before[d];
			m->size[d] = v->box.dim[d];
			if (out->dim[d] && v->box.dim[d] < 1)
				return ns_fail(NS_INVALID, "nothing to pad axis %d with", d);
			continue;
		}
		m->box.dim[d] = n < out->dim[d] - first ? n : out->dim[d] - first;
		if (m->box.dim[d] < 0)
			m->box.dim[d] = 0;
		m->from += from * m->from_stride[d];
		m->to += first * m->to_stride[d];
	}
	return ns_dag_add(dag, &op, &x, 1, &y, 1);
}

enum ns_status ns_dag_pad(struct ns_dag *dag, int x, const int64_t *before, const int64_t *after, int rule, int fill, int *y)
{
	const struct ns_dag_value *v = ns_dag_at(dag, x);
	struct ns_box out = v->box;
	enum ns_dtype dtype = v->dtype;
	const int like[2] = {x, fill};
	int d, zero = fill;

	for (d = 0; d < out.rank; d++) {
		out.dim[d] += before[d] + after[d];
		if (out.dim[d] < 0)
			return ns_fail(NS_INVALID, "axis %d would have %lld elements", d, (long long)out.dim[d]);
	}
	if (rule != NS_MOVE_PLAIN) {
		NS_TRY(ns_dag_value(dag, dtype, &out, &x, 1, y));
		return pad_move(dag, x, before, &out, rule, *y);
	}
	if (fill < 0)
		NS_TRY(ns_dag_constant(dag, dtype, &(struct ns_box){0}, NULL, &zero));
	NS_TRY(ns_dag_value(dag, dtype, &out, like, 2, y));
	{
		struct ns_op op = {.kind = NS_OP_MOVE, .u.move = {.bytes = (int)ns_dtype_bytes(dtype), .box = out}};

		ns_box_strides(&out, op.u.move.to_stride);
		NS_TRY(ns_dag_add(dag, &op, &zero, 1, y, 1));
	}
	return pad_move(dag, x, before, &out, rule, *y);
}
