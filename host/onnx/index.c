/* host/onnx/index.c - operators by indices: gathered, scattered, the largest, one hot. */
#include <string.h>

#include "host/onnx/import_inner.h"

static enum ns_status wide(struct ns_maker *m, int x, int *y)
{
	return ns_dag_cast(m->dag, x, NS_I64, y);
}

static int64_t product(const struct ns_box *b, int from, int to)
{
	int64_t n = 1;
	int d;

	for (d = from; d < to; d++)
		n *= b->dim[d];
	return n;
}

/* Adds the op; data, indices and perhaps updates are its inputs. */
static enum ns_status add(struct ns_maker *m, const struct ns_op_index *v, int indices, int updates, const struct ns_box *out)
{
	struct ns_op op = {.kind = NS_OP_INDEX};
	int in[3] = {m->in[0], indices, updates}, n = v->how == NS_SCATTER_NOT ? 2 : 3;

	if (updates >= 0 && ns_dag_at(m->dag, updates)->dtype != ns_maker_in(m, 0)->dtype)
		return ns_fail(NS_INVALID, "updates of %s for data of %s", ns_dtype_name(ns_dag_at(m->dag, updates)->dtype),
			       ns_dtype_name(ns_maker_in(m, 0)->dtype));
	op.u.index = *v;
	op.u.index.dtype = ns_maker_in(m, 0)->dtype;
	op.u.index.data = ns_box_count(&ns_maker_in(m, 0)->box);
	NS_TRY(wide(m, indices, &in[1]));
	NS_TRY(ns_dag_value(m->dag, op.u.index.dtype, out, in, n, &m->out[0]));
	return ns_dag_add(m->dag, &op, in, n, &m->out[0], 1);
}

static enum ns_status gather_along(struct ns_maker *m, int indices, int axis)
{
	const struct ns_box data = ns_maker_in(m, 0)->box, at = ns_dag_at(m->dag, indices)->box;
	struct ns_box out = {.rank = data.rank + at.rank - 1};
	struct ns_op_index v = {.how = NS_SCATTER_NOT, .length = 1};

	if (out.rank > NS_RANK)
		return ns_fail(NS_DECLINED, "a result of %d axes", out.rank);
	memcpy(out.dim, data.dim, sizeof *out.dim * (size_t)axis);
	memcpy(out.dim + axis, at.dim, sizeof *out.dim * (size_t)at.rank);
	memcpy(out.dim + axis + at.rank, data.dim + axis + 1, sizeof *out.dim * (size_t)(data.rank - axis - 1));
	v.inner = product(&data, axis + 1, data.rank);
	v.size[0] = data.dim[axis];
	v.stride[0] = v.inner;
	v.tuples = (struct ns_box){2, {product(&data, 0, axis), ns_box_count(&at)}};
	v.base[0] = data.dim[axis] * v.inner;
	v.at[1] = 1;
	return add(m, &v, indices, -1, &out);
}

static enum ns_status gather(struct ns_maker *m)
{
	int64_t axis;
	int d;

	NS_TRY(ns_maker_int(m, "axis", 0, &axis));
	NS_TRY(ns_maker_axis(m, axis, ns_maker_in(m, 0)->box.rank, &d));
	return gather_along(m, m->in[1], d);
}

static enum ns_status scatter_how(struct ns_maker *m, int *how)
{
	static const char *const words[] = {"none", "add", "mul", "max", "min", NULL};

	NS_TRY(ns_maker_word(m, "reduction", words, 0, how));
	*how += NS_SCATTER_SET;
	return NS_OK;
}

/* what: 1 scatters. Indices of one axis, with the shape of the result (or of the updates). */
static enum ns_status elements(struct ns_maker *m)
{
	const struct ns_box data = ns_maker_in(m, 0)->box, at = ns_maker_in(m, 1)->box;
	struct ns_op_index v = {.how = NS_SCATTER_NOT, .length = 1, .inner = 1, .tuples = at};
	int64_t axis;
	int d, k;

	NS_TRY(ns_maker_int(m, "axis", 0, &axis));
	NS_TRY(ns_maker_axis(m, axis, data.rank, &d));
	if (m->row->what)
		NS_TRY(scatter_how(m, &v.how));
	if (at.rank != data.rank || (m->row->what && ns_box_count(&ns_maker_in(m, 2)->box) != ns_box_count(&at)))
		return ns_fail(NS_INVALID, "indices of %d axes for data of %d", at.rank, data.rank);
	ns_box_strides(&data, v.base);
	ns_box_strides(&at, v.at);
	for (k = 0; k < data.rank; k++)
		if (k != d && at.dim[k] > data.dim[k])
			return ns_fail(NS_INVALID, "axis %d of the indices is %lld, and of the data %lld", k, (long long)at.dim[k],
				       (long long)data.dim[k]);
	v.size[0] = data.dim[d];
	v.stride[0] = v.base[d];
	v.base[d] = 0;
	return add(m, &v, m->in[1], m->row->what ? m->in[2] : -1, m->row->what ? &data : &at);
}

/* what: 1 scatters. Tuples of the last axis of the indices name slices. */
static enum ns_status tuples(struct ns_maker *m)
{
	const struct ns_box data = ns_maker_in(m, 0)->box, at = ns_maker_in(m, 1)->box;
	struct ns_op_index v = {.how = NS_SCATTER_NOT, .next = 1};
	struct ns_box out = {0};
	int64_t batch, stride[NS_RANK];
	int d, length;

	NS_TRY(ns_maker_int(m, "batch_dims", 0, &batch));
	if (m->row->what)
		NS_TRY(scatter_how(m, &v.how));
	if (at.rank < 1 || batch < 0 || batch >= at.rank || batch >= data.rank || at.dim[at.rank - 1] < 1 || at.dim[at.rank - 1] > data.rank - batch)
		return ns_fail(NS_INVALID, "indices of %d axes, %lld of them batches, for data of %d", at.rank, (long long)batch, data.rank);
	for (d = 0; d < batch; d++)
		if (at.dim[d] != data.dim[d])
			return ns_fail(NS_INVALID, "batches of %lld and of %lld", (long long)at.dim[d], (long long)data.dim[d]);
	length = (int)at.dim[at.rank - 1];
	ns_box_strides(&data, stride);
	v.length = length;
	for (d = 0; d < length; d++) {
		v.size[d] = data.dim[batch + d];
		v.stride[d] = stride[batch + d];
	}
	v.inner = product(&data, (int)batch + length, data.rank);
	v.tuples = (struct ns_box){2, {product(&at, 0, (int)batch), product(&at, (int)batch, at.rank - 1)}};
	v.base[0] = product(&data, (int)batch, data.rank);
	v.at[0] = v.tuples.dim[1] * length;
	v.at[1] = length;
	if (m->row->what) {
		if (ns_box_count(&ns_maker_in(m, 2)->box) != v.tuples.dim[0] * v.tuples.dim[1] * v.inner)
			return ns_fail(NS_INVALID, "updates of %lld elements", (long long)ns_box_count(&ns_maker_in(m, 2)->box));
		return add(m, &v, m->in[1], m->in[2], &data);
	}
	for (d = 0; d < at.rank - 1; d++)
		out.dim[out.rank++] = at.dim[d];
	for (d = (int)batch + length; d < data.rank; d++) {
		if (out.rank == NS_RANK)
			return ns_fail(NS_DECLINED, "a result of more than %d axes", NS_RANK);
		out.dim[out.rank++] = data.dim[d];
	}
	return add(m, &v, m->in[1], -1, &out);
}

static enum ns_status topk(struct ns_maker *m)
{
	const struct ns_box b = ns_maker_in(m, 0)->box;
	struct ns_op op = {.kind = NS_OP_TOPK};
	struct ns_op_topk *v = &op.u.topk;
	struct ns_box out = b;
	int64_t axis, k[1] = {0}, largest, sorted;
	int d, n = 1;

	NS_TRY(ns_maker_int(m, "axis", -1, &axis));
	NS_TRY(ns_maker_int(m, "largest", 1, &largest));
	NS_TRY(ns_maker_int(m, "sorted", 1, &sorted));
	if (m->opset < 10)
		NS_TRY(ns_maker_int(m, "k", 0, &k[0]));
	else
		NS_TRY(ns_maker_list(m, 1, k, 1, &n));
	NS_TRY(ns_maker_axis(m, axis, b.rank, &d));
	if (n != 1 || k[0] < 0 || k[0] > b.dim[d])
		return ns_fail(NS_INVALID, "the %lld largest of %lld", (long long)k[0], (long long)b.dim[d]);
	out.dim[d] = k[0];
	*v = (struct ns_op_topk){.dtype = ns_maker_in(m, 0)->dtype,
				 .outer = product(&b, 0, d),
				 .n = b.dim[d],
				 .inner = product(&b, d + 1, b.rank),
				 .k = k[0]};
	v->smallest = !largest;
	NS_TRY(ns_dag_value(m->dag, v->dtype, &out, m->in, 1, &m->out[0]));
	NS_TRY(ns_dag_value(m->dag, NS_I64, &out, m->in, 1, &m->out[1]));
	return ns_dag_add(m->dag, &op, m->in, 1, m->out, 2);
}

/* indices, depth, (off, on) */
static enum ns_status one_hot(struct ns_maker *m)
{
	struct ns_box at = ns_maker_in(m, 0)->box, shown = at, list = {0}, one = {1, {1}};
	struct ns_program p;
	int64_t axis, i, step[NS_RANK] = {1}, depth;
	int d, k, index, classes, hit, off, on, r, zero, n;

	NS_TRY(ns_maker_int(m, "axis", -1, &axis));
	if (!ns_dag_is_constant(m->dag, m->in[1]) || ns_box_count(&ns_maker_in(m, 1)->box) != 1)
		return ns_fail(NS_DECLINED, "a depth that is known only when it runs");
	depth = (int64_t)ns_dag_number(m->dag, m->in[1], 0);
	if (depth < 1 || depth > 1 << 28 || at.rank == NS_RANK || ns_box_count(&ns_maker_in(m, 2)->box) != 2)
		return ns_fail(NS_INVALID, "a depth of %lld", (long long)depth);
	NS_TRY(ns_maker_axis(m, axis, at.rank + 1, &d));
	for (shown.rank = list.rank = at.rank + 1, k = 0; k < shown.rank; k++) {
		shown.dim[k] = k < d ? at.dim[k] : k == d ? 1 : at.dim[k - 1];
		list.dim[k] = k == d ? depth : 1;
	}
	NS_TRY(ns_dag_constant(m->dag, NS_I64, &list, NULL, &classes));
	for (i = 0; i < depth; i++)
		((int64_t *)m->dag->values[classes].data)[i] = i;
	NS_TRY(ns_dag_view(m->dag, m->in[0], &shown, &index));
	ns_program_begin(&p); /* index < 0 ? index + depth : index */
	r = ns_program_input(&p, index);
	k = ns_program_input(&p, classes);
	zero = ns_program_constant(&p, 0);
	n = ns_program_constant(&p, (double)depth);
	r = ns_program_step(&p, NS_PW_WHERE, ns_program_step(&p, NS_PW_LESS, r, zero, 0), ns_program_step(&p, NS_PW_ADD, r, n, 0), r);
	ns_program_step(&p, NS_PW_EQUAL, r, k, 0);
	NS_TRY(ns_dag_program(m->dag, &p, NS_BOOL, &hit));
	NS_TRY(ns_dag_slice(m->dag, m->in[2], (int64_t[NS_RANK]){0}, step, &one, &off));
	NS_TRY(ns_dag_slice(m->dag, m->in[2], (int64_t[NS_RANK]){1}, step, &one, &on));
	return ns_dag_formula(m->dag, NS_PW_WHERE, (int[]){hit, on, off}, 3, ns_maker_in(m, 2)->dtype, &m->out[0]);
}

/* Which are kept decides the shape, so it has to be a constant. */
static enum ns_status compress(struct ns_maker *m)
{
	const struct ns_box flat = {1, {ns_box_count(&ns_maker_in(m, 0)->box)}};
	int64_t axis, i, n = 0, count = ns_box_count(&ns_maker_in(m, 1)->box);
	int d = 0, list;

	if (!ns_dag_is_constant(m->dag, m->in[1]))
		return ns_fail(NS_DECLINED, "a condition that is known only when it runs, and shapes depend on it");
	NS_TRY(ns_maker_int(m, "axis", 0, &axis));
	if (!ns_maker_attribute(m, "axis"))
		NS_TRY(ns_dag_view(m->dag, m->in[0], &flat, &m->in[0]));
	NS_TRY(ns_maker_axis(m, axis, ns_maker_in(m, 0)->box.rank, &d));
	NS_TRY(ns_dag_spend(m->dag, (double)count));
	for (i = 0; i < count; i++)
		n += ns_dag_whole(m->dag, m->in[1], i) != 0;
	NS_TRY(ns_dag_constant(m->dag, NS_I64, &(struct ns_box){1, {n}}, NULL, &list));
	for (n = 0, i = 0; i < count; i++)
		if (ns_dag_whole(m->dag, m->in[1], i))
			((int64_t *)m->dag->values[list].data)[n++] = i;
	return gather_along(m, list, d);
}

static enum ns_status nonzero(struct ns_maker *m)
{
	const struct ns_box b = ns_maker_in(m, 0)->box;
	int64_t i, n = 0, at, count = ns_box_count(&b), stride[NS_RANK], *to;
	int d;

	if (!ns_dag_is_constant(m->dag, m->in[0]))
		return ns_fail(NS_DECLINED, "its shape depends on values that are known only when it runs");
	NS_TRY(ns_dag_spend(m->dag, (double)count));
	for (i = 0; i < count; i++)
		n += ns_dag_number(m->dag, m->in[0], i) != 0;
	NS_TRY(ns_dag_constant(m->dag, NS_I64, &(struct ns_box){2, {b.rank, n}}, NULL, &m->out[0]));
	to = m->dag->values[m->out[0]].data;
	ns_box_strides(&b, stride);
	for (at = 0, i = 0; i < count; i++) {
		if (ns_dag_number(m->dag, m->in[0], i) == 0)
			continue;
		for (d = 0; d < b.rank; d++)
			to[d * n + at] = i / stride[d] % b.dim[d];
		at++;
	}
	return NS_OK;
}

const struct ns_onnx_row ns_onnx_index[] = {
	{"Gather", gather, 2, 2, 0, "axis"},
	{"GatherElements", elements, 2, 2, 0, "axis"},
	{"GatherND", tuples, 2, 2, 0, "batch_dims"},
	{"Scatter", elements, 3, 3, 1, "axis"},
	{"ScatterElements", elements, 3, 3, 1, "axis reduction"},
	{"ScatterND", tuples, 3, 3, 1, "reduction"},
	{"TopK", topk, 1, 2, 0, "axis k largest sorted"},
	{"OneHot", one_hot, 3, 3, 0, "axis"},
	{"Compress", compress, 2, 2, 0, "axis"},
	{"NonZero", nonzero, 1, 1, 0, ""},
	{0},
};
