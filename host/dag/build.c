/* host/dag/build.c - formulas with broadcasting, reductions, matrices. */
#include <string.h>

#include "host/dag/dag.h"
#include "kernels/formula/pointwise.h"

/* --- programs --- */

void ns_program_begin(struct ns_program *p)
{
	memset(p, 0, sizeof *p);
}

int ns_program_input(struct ns_program *p, int value)
{
	if (p->v.inputs == NS_POINTWISE_IN)
		return p->failed = 1, 0;
	p->in[p->v.inputs] = value;
	return p->v.inputs++;
}

int ns_program_constant(struct ns_program *p, double constant)
{
	if (p->v.constants == NS_POINTWISE_CONSTANTS)
		return p->failed = 1, 0;
	p->v.constant[p->v.constants] = constant;
	return p->v.inputs + p->v.constants++;
}

int ns_program_step(struct ns_program *p, int code, int a, int b, int c)
{
	if (p->v.steps == NS_POINTWISE_STEPS)
		return p->failed = 1, 0;
	p->v.step[p->v.steps] = (struct ns_pw_step){(uint8_t)code, (uint8_t)a, (uint8_t)b, (uint8_t)c};
	return p->v.inputs + p->v.constants + p->v.steps++;
}

enum ns_status ns_dag_broadcast(const struct ns_box *a, const struct ns_box *b, struct ns_box *out)
{
	struct ns_box y = {.rank = a->rank > b->rank ? a->rank : b->rank};
	int d;

	for (d = 0; d < y.rank; d++) {
		int64_t m = d - (y.rank - a->rank) < 0 ? 1 : a->dim[d - (y.rank - a->rank)];
		int64_t n = d - (y.rank - b->rank) < 0 ? 1 : b->dim[d - (y.rank - b->rank)];

		if (m != n && m != 1 && n != 1)
			return ns_fail(NS_INVALID, "shapes do not go together: %lld and %lld, %d axes from the last", (long long)m, (long long)n,
				       y.rank - 1 - d);
		y.dim[d] = m == 1 ? n : m;
	}
	*out = y;
	return NS_OK;
}

/* Strides of a value that is broadcast to `out`. */
static void strides_in(const struct ns_box *box, const struct ns_box *out, int64_t stride[NS_RANK])
{
	int64_t own[NS_RANK];
	int d, lead = out->rank - box->rank;

	ns_box_strides(box, own);
	for (d = 0; d < NS_RANK; d++)
		stride[d] = d < lead || d >= out->rank || box->dim[d - lead] == 1 ? 0 : own[d - lead];
}

static enum ns_dtype compute_type(const struct ns_dag *dag, const struct ns_program *p, enum ns_dtype out)
{
	int k, floats = 0, wholes = 0, wide = out == NS_F64;

	for (k = 0; k < p->v.inputs; k++) {
		enum ns_dtype dtype = ns_dag_at(dag, p->in[k])->dtype;

		wide |= dtype == NS_F64;
		floats |= ns_dtype_is_float(dtype);
		wholes |= !ns_dtype_is_float(dtype) && ns_dtype_bytes(dtype) > 2; /* those of 16 bits are floats too */
	}
	if (!floats && !ns_dtype_is_float(out))
		return NS_I64;
	wholes |= !ns_dtype_is_float(out) && ns_dtype_bytes(out) > 2;
	return wide || wholes ? NS_F64 : NS_F32;
}

enum ns_status ns_dag_program(struct ns_dag *dag, struct ns_program *p, enum ns_dtype dtype, int *y)
{
	struct ns_op op = {.kind = NS_OP_POINTWISE};
	int k;

	if (p->failed)
		return ns_fail(NS_INVALID, "pointwise: more than %d inputs, %d constants or %d steps", NS_POINTWISE_IN, NS_POINTWISE_CONSTANTS,
			       NS_POINTWISE_STEPS);
	p->v.out.rank = 0;
	for (k = 0; k < p->v.inputs; k++)
		NS_TRY(ns_dag_broadcast(&p->v.out, &ns_dag_at(dag, p->in[k])->box, &p->v.out));
	for (k = 0; k < p->v.inputs; k++) {
		p->v.in_dtype[k] = ns_dag_at(dag, p->in[k])->dtype;
		strides_in(&ns_dag_at(dag, p->in[k])->box, &p->v.out, p->v.stride[k]);
	}
	p->v.compute = compute_type(dag, p, dtype);
	p->v.out_dtype = dtype;
	op.u.pointwise = p->v;
	NS_TRY(ns_dag_value(dag, dtype, &p->v.out, p->in, p->v.inputs, y));
	return ns_dag_add(dag, &op, p->in, p->v.inputs, y, 1);
}

enum ns_status ns_dag_formula(struct ns_dag *dag, int code, const int *values, int n, enum ns_dtype dtype, int *y)
{
	struct ns_program p;
	int k, r[3] = {0, 0, 0};

	ns_program_begin(&p);
	for (k = 0; k < n; k++)
		r[k] = ns_program_input(&p, values[k]);
	ns_program_step(&p, code, r[0], r[1], r[2]);
	return ns_dag_program(dag, &p, dtype, y);
}

enum ns_status ns_dag_formula_of(struct ns_dag *dag, int code, int value, const double *constants, int n, enum ns_dtype dtype, int *y)
{
	struct ns_program p;
	int k, r[3] = {0, 0, 0};

	ns_program_begin(&p);
	r[0] = ns_program_input(&p, value);
	for (k = 0; k < n; k++)
		r[k + 1] = ns_program_constant(&p, constants[k]);
	ns_program_step(&p, code, r[0], r[1], r[2]);
	return ns_dag_program(dag, &p, dtype, y);
}

enum ns_status ns_dag_cast(struct ns_dag *dag, int x, enum ns_dtype dtype, int *y)
{
	*y = x;
	return ns_dag_at(dag, x)->dtype == dtype ? NS_OK : ns_dag_formula(dag, NS_PW_COPY, &x, 1, dtype, y);
}

enum ns_status ns_dag_fill(struct ns_dag *dag, enum ns_dtype dtype, const struct ns_box *box, double number, int *y)
{
	struct ns_program p;

	ns_program_begin(&p);
	ns_program_step(&p, NS_PW_COPY, ns_program_constant(&p, number), 0, 0);
	p.v.out = *box;
	p.v.compute = NS_F64;
	p.v.out_dtype = dtype;
	NS_TRY(ns_dag_value(dag, dtype, box, NULL, 0, y));
	return ns_dag_add(dag, &(struct ns_op){.kind = NS_OP_POINTWISE, .u.pointwise = p.v}, NULL, 0, y, 1);
}

/* --- over axes --- */

enum ns_status ns_dag_reduce(struct ns_dag *dag, int x, int how, unsigned axes, int keep, int *y)
{
	const struct ns_dag_value *v = ns_dag_at(dag, x);
	struct ns_op op = {.kind = NS_OP_REDUCE, .u.reduce = {.dtype = v->dtype, .how = how & 255, .last = how >> 8, .in = v->box, .axes = axes}};
	struct ns_box kept = v->box, out = {0};
	enum ns_dtype dtype = (how & 255) == NS_REDUCE_ARGMAX || (how & 255) == NS_REDUCE_ARGMIN ? NS_I64 : v->dtype;
	int d, full;

	for (d = 0; d < v->box.rank; d++) {
		if (axes >> d & 1)
			kept.dim[d] = 1;
		else
			out.dim[out.rank++] = v->box.dim[d];
	}
	NS_TRY(ns_dag_value(dag, dtype, &kept, &x, 1, &full));
	NS_TRY(ns_dag_add(dag, &op, &x, 1, &full, 1));
	*y = full;
	return keep ? NS_OK : ns_dag_view(dag, full, &out, y);
}

enum ns_status ns_dag_along(struct ns_dag *dag, int x, int how, int first, int last, int *y)
{
	const struct ns_dag_value *v = ns_dag_at(dag, x);
	struct ns_op op = {.kind = NS_OP_ALONG, .u.along = {.dtype = v->dtype, .how = how & 255, .exclusive = how >> 8 & 1, .reverse = how >> 9 & 1}};
	struct ns_op_along *a = &op.u.along;
	int d;

	a->outer = a->n = a->inner = 1;
	for (d = 0; d < v->box.rank; d++)
		*(d < first ? &a->outer : d < last ? &a->n : &a->inner) *= v->box.dim[d];
	NS_TRY(ns_dag_value(dag, v->dtype, &v->box, &x, 1, y));
	return ns_dag_add(dag, &op, &x, 1, y, 1);
}

/* --- matrices --- */

enum ns_status ns_dag_matmul(struct ns_dag *dag, int a, int b, enum ns_dtype out, int *y)
{
	struct ns_box x = ns_dag_at(dag, a)->box, w = ns_dag_at(dag, b)->box, batch_x, batch_w, batch, shown;
	struct ns_op op = {.kind = NS_OP_CONTRACT};
	struct ns_op_contract *c = &op.u.contract;
	int64_t sx[NS_RANK], sw[NS_RANK], bx[NS_RANK], bw[NS_RANK];
	const int in[2] = {a, b};
	int d, row = x.rank == 1, column = w.rank == 1, full;

	if (ns_dag_at(dag, a)->dtype != ns_dag_at(dag, b)->dtype)
		return ns_fail(NS_INVALID, "matrices of %s and of %s", ns_dtype_name(ns_dag_at(dag, a)->dtype),
			       ns_dtype_name(ns_dag_at(dag, b)->dtype));
	if (x.rank < 1 || w.rank < 1)
		return ns_fail(NS_INVALID, "a number has no matrix product");
	if (row)
		x = (struct ns_box){2, {1, x.dim[0]}};
	if (column)
		w = (struct ns_box){2, {w.dim[0], 1}};
	if (x.dim[x.rank - 1] != w.dim[w.rank - 2])
		return ns_fail(NS_INVALID, "matrices do not go together: %lld columns and %lld rows", (long long)x.dim[x.rank - 1],
			       (long long)w.dim[w.rank - 2]);
	batch_x = x;
	batch_w = w;
	batch_x.rank -= 2;
	batch_w.rank -= 2;
	NS_TRY(ns_dag_broadcast(&batch_x, &batch_w, &batch));
	ns_box_strides(&x, sx);
	ns_box_strides(&w, sw);
	/* strides of the batches are those of the whole tensors: each is a matrix times that of the batch alone */
	strides_in(&batch_x, &batch, bx);
	strides_in(&batch_w, &batch, bw);
	c->dtype = ns_dag_at(dag, a)->dtype;
	c->out_dtype = out;
	c->out = batch;
	for (d = 0; d < batch.rank; d++) {
		c->a_out[d] = bx[d] * x.dim[x.rank - 2] * x.dim[x.rank - 1];
		c->b_out[d] = bw[d] * w.dim[w.rank - 2] * w.dim[w.rank - 1];
	}
	if (batch.rank + 2 > NS_RANK)
		return ns_fail(NS_INVALID, "matrices of more than %d axes", NS_RANK);
	c->out.rank = batch.rank + 2;
	c->out.dim[batch.rank] = x.dim[x.rank - 2];
	c->a_out[batch.rank] = sx[x.rank - 2];
	c->out.dim[batch.rank + 1] = w.dim[w.rank - 1];
	c->b_out[batch.rank + 1] = sw[w.rank - 1];
	c->sum = (struct ns_box){1, {x.dim[x.rank - 1]}};
	c->a_sum[0] = sx[x.rank - 1];
	c->b_sum[0] = sw[w.rank - 2];
	shown = batch;
	if (!row)
		shown.dim[shown.rank++] = x.dim[x.rank - 2];
	if (!column)
		shown.dim[shown.rank++] = w.dim[w.rank - 1];
	NS_TRY(ns_dag_value(dag, out, &c->out, in, 2, &full));
	NS_TRY(ns_dag_add(dag, &op, in, 2, &full, 1));
	return ns_dag_view(dag, full, &shown, y);
}
