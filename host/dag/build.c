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
	p->v.step[p->v.steps] = (struct ns_pw_step){(uint16_t)code, (uint8_t)a, (uint8_t)b, (uint8_t)c};
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
	int k, floats = 0, wholes = 0, wide = out == NS_F64, no_sign = 0;

	for (k = 0; k < p->v.inputs; k++) {
		enum ns_dtype dtype = ns_dag_at(dag, p->in[k])->dtype;

		wide |= dtype == NS_F64;
		floats |= ns_dtype_is_float(dtype);
		no_sign |= dtype == NS_U64;
		wholes |= !ns_dtype_is_float(dtype) && ns_dtype_bytes(dtype) > 2; /* those of 16 bits are floats too */
	}
	if (!floats && !ns_dtype_is_float(out))
		return no_sign ? NS_U64 : NS_I64;
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

enum ns_status ns_dag_zeros(struct ns_dag *dag, enum ns_dtype dtype, int64_t count, int beside, int *y)
{
	const struct ns_box flat = {1, {count}};
	struct ns_op clear = {.kind = NS_OP_MOVE, .u.move = {.bytes = (int)ns_dtype_bytes(dtype), .box = flat, .to_stride = {1}}};
	int zero;

	NS_TRY(ns_dag_constant(dag, dtype, &(struct ns_box){0}, NULL, &zero));
	NS_TRY(ns_dag_value(dag, dtype, &flat, &beside, 1, y));
	return ns_dag_add(dag, &clear, &zero, 1, y, 1);
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

enum ns_status ns_dag_reduce_runs(struct ns_dag *dag, int x, int how, unsigned axes, int *y)
{
	const struct ns_box box = ns_dag_at(dag, x)->box;
	unsigned run;
	int d = box.rank - 1;

	for (*y = x; d >= 0; d--) {
		for (run = 0; d >= 0 && (axes >> d & 1 || (run && box.dim[d] == 1)); d--)
			run |= 1u << d;
		if (run)
			NS_TRY(ns_dag_reduce(dag, *y, how, run, 1, y));
	}
	return NS_OK;
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

struct side { /* one operand: (batch..., rows, columns), whatever lies where */
	struct ns_box box, batch;
	int64_t row, column, rows, columns, step[NS_RANK];
};

/* is_right: a list is a column, else a row. */
static void side_of(const struct ns_dag_value *v, int turned, int is_right, struct side *s)
{
	int64_t stride[NS_RANK], t;

	s->box = v->box;
	if (s->box.rank == 1) {
		s->box = is_right ? (struct ns_box){2, {v->box.dim[0], 1}} : (struct ns_box){2, {1, v->box.dim[0]}};
		turned = 0;
	}
	ns_box_strides(&s->box, stride);
	s->batch = s->box;
	s->batch.rank -= 2;
	s->rows = s->box.dim[s->batch.rank];
	s->columns = s->box.dim[s->batch.rank + 1];
	s->row = stride[s->batch.rank];
	s->column = stride[s->batch.rank + 1];
	if (!turned)
		return;
	t = s->rows, s->rows = s->columns, s->columns = t;
	t = s->row, s->row = s->column, s->column = t;
}

enum ns_status ns_dag_matmul(struct ns_dag *dag, int a, int b, unsigned turned, enum ns_dtype out, int *y)
{
	const struct ns_dag_value *va = ns_dag_at(dag, a), *vb = ns_dag_at(dag, b);
	struct ns_op op = {.kind = NS_OP_CONTRACT, .u.contract = {.dtype = va->dtype, .out_dtype = out}};
	struct ns_op_contract *c = &op.u.contract;
	struct ns_box batch, shown;
	const int in[2] = {a, b};
	int d, is_row = va->box.rank == 1, is_column = vb->box.rank == 1, full;
	struct side x, w;

	if (va->dtype != vb->dtype)
		return ns_fail(NS_INVALID, "matrices of %s and of %s", ns_dtype_name(va->dtype), ns_dtype_name(vb->dtype));
	if (va->box.rank < 1 || vb->box.rank < 1)
		return ns_fail(NS_INVALID, "a number has no matrix product");
	side_of(va, turned & 1, 0, &x);
	side_of(vb, turned & 2, 1, &w);
	if (x.columns != w.rows)
		return ns_fail(NS_INVALID, "matrices do not go together: %lld columns and %lld rows", (long long)x.columns, (long long)w.rows);
	NS_TRY(ns_dag_broadcast(&x.batch, &w.batch, &batch));
	if (batch.rank + 2 > NS_RANK)
		return ns_fail(NS_INVALID, "matrices of more than %d axes", NS_RANK);
	strides_in(&x.batch, &batch, x.step);
	strides_in(&w.batch, &batch, w.step);
	shown = c->out = batch;
	for (d = 0; d < batch.rank; d++) { /* each of a batch is a matrix further */
		c->a_out[d] = x.step[d] * x.rows * x.columns;
		c->b_out[d] = w.step[d] * w.rows * w.columns;
	}
	c->out.rank += 2;
	c->out.dim[d] = x.rows;
	c->a_out[d] = x.row;
	c->out.dim[d + 1] = w.columns;
	c->b_out[d + 1] = w.column;
	c->sum = (struct ns_box){1, {x.columns}};
	c->a_sum[0] = x.column;
	c->b_sum[0] = w.row;
	if (!is_row)
		shown.dim[shown.rank++] = x.rows;
	if (!is_column)
		shown.dim[shown.rank++] = w.columns;
	NS_TRY(ns_dag_value(dag, out, &c->out, in, 2, &full));
	NS_TRY(ns_dag_add(dag, &op, in, 2, &full, 1));
	return ns_dag_view(dag, full, &shown, y);
}
