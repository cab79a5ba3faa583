/*
 * Gradients of graphs: each rule against central differences in double, on small tensors whose values lie away from kinks; sums of what several readers send back; products
 * of matrices stay such; and what has no gradient is refused by name.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/dag/dag.h"
#include "kernels/formula/pointwise.h"
#include "tests/splitmix.h"

#define INPUTS 3
#define MOST   400 /* elements of a value */

static uint64_t seed = 11;

static double uniform(double low, double high)
{
	return low + (high - low) * (double)(draw(&seed) >> 11) * 0x1p-53;
}

#define OK(call) assert_int_equal((call), NS_OK)

struct row {
	const char *name;
	void (*make)(struct ns_dag *d, const int *in, int *y);
	struct ns_box box[INPUTS]; /* rank 0: there are no more */
	double low, high;
};

/* --- what is differentiated --- */

static int formula(struct ns_dag *d, int code, int a, int b, int n)
{
	int y;

	OK(ns_dag_formula(d, code, (const int[]){a, b}, n, NS_F64, &y));
	return y;
}

static void make_formulas(struct ns_dag *d, const int *in, int *y)
{
	int a = formula(d, NS_PW_MUL, in[0], in[1], 2), b = formula(d, NS_PW_SILU, a, 0, 1), c = formula(d, NS_PW_DIV, b, in[2], 2);

	*y = formula(d, NS_PW_SUB, formula(d, NS_PW_POW, c, in[2], 2), formula(d, NS_PW_MAX, in[0], in[1], 2), 2);
	*y = formula(d, NS_PW_ADD, *y, formula(d, NS_PW_MIN, in[0], in[2], 2), 2);
	*y = formula(d, NS_PW_MUL, formula(d, NS_PW_GELU, *y, 0, 1), *y, 2); /* read by two */
}

static void make_program(struct ns_dag *d, const int *in, int *y)
{
	struct ns_program p;
	int a, b, c, two, t;

	ns_program_begin(&p);
	a = ns_program_input(&p, in[0]);
	b = ns_program_input(&p, in[1]);
	c = ns_program_input(&p, in[2]);
	two = ns_program_constant(&p, 2);
	t = ns_program_step(&p, NS_PW_SUB, ns_program_step(&p, NS_PW_MUL, a, a, 0), ns_program_step(&p, NS_PW_NEG, b, 0, 0), 0);
	t = ns_program_step(&p, NS_PW_TANH, ns_program_step(&p, NS_PW_DIV, t, two, 0), 0, 0);
	t = ns_program_step(&p, NS_PW_WHERE, ns_program_step(&p, NS_PW_LESS, b, c, 0), t, ns_program_step(&p, NS_PW_MUL, t, c, 0));
	t = ns_program_step(&p, NS_PW_SUB, t, b, 0);
	(void)ns_program_step(&p, NS_PW_LEAKY, t, two, 0);
	OK(ns_dag_program(d, &p, NS_F64, y));
}

static void make_moves(struct ns_dag *d, const int *in, int *y)
{
	int t, u, parts[3];

	OK(ns_dag_transpose(d, in[0], (const int[]){2, 0, 1}, &t)); /* (4,2,3) */
	OK(ns_dag_view(d, t, &(struct ns_box){2, {8, 3}}, &t));
	OK(ns_dag_expand(d, in[1], &(struct ns_box){2, {5, 3}}, &u));
	parts[0] = t;
	parts[1] = u;
	parts[2] = t;
	OK(ns_dag_concat(d, parts, 3, 0, &t)); /* (21,3) */
	OK(ns_dag_slice(d, t, (const int64_t[]){19, 0}, (const int64_t[]){-2, 2}, &(struct ns_box){2, {9, 2}}, &t));
	OK(ns_dag_pad(d, t, (const int64_t[]){1, -1}, (const int64_t[]){0, 2}, NS_MOVE_PLAIN, -1, y));
}

/* Windows that overlap: an element is read by several. A step is as long as what the inner axis covers, or shorter, or goes backwards. */
static void make_overlaps(struct ns_dag *d, const int *in, int *y)
{
	static const int64_t strides[3][2] = {{2, 1}, {1, 1}, {-2, 3}};
	int parts[3], k;

	for (k = 0; k < 3; k++) {
		struct ns_op op = {.kind = NS_OP_MOVE, .u.move = {.bytes = 8, .box = {2, {4, 3}}, .from = k == 2 ? 6 : 0}};

		memcpy(op.u.move.from_stride, strides[k], sizeof strides[k]);
		ns_box_strides(&op.u.move.box, op.u.move.to_stride);
		OK(ns_dag_value(d, NS_F64, &op.u.move.box, in, 1, &parts[k]));
		OK(ns_dag_add(d, &op, in, 1, &parts[k], 1));
	}
	OK(ns_dag_concat(d, parts, 3, 0, y));
}

static void make_rules(struct ns_dag *d, const int *in, int *y)
{
	static const int rules[] = {NS_MOVE_EDGE, NS_MOVE_REFLECT, NS_MOVE_WRAP};
	int i, t, sum = -1;

	for (i = 0; i < 3; i++) {
		OK(ns_dag_pad(d, in[0], (const int64_t[]){2, 1}, (const int64_t[]){1, 2}, rules[i], -1, &t));
		OK(ns_dag_formula_of(d, NS_PW_MUL, t, (const double[]){i + 1}, 1, NS_F64, &t));
		sum = sum < 0 ? t : formula(d, NS_PW_ADD, sum, t, 2);
	}
	*y = sum;
}

static void make_reductions(struct ns_dag *d, const int *in, int *y)
{
	static const int hows[] = {NS_REDUCE_SUM, NS_REDUCE_MEAN,   NS_REDUCE_MAX,	 NS_REDUCE_MIN,	     NS_REDUCE_L1,
				   NS_REDUCE_L2,  NS_REDUCE_LOGSUM, NS_REDUCE_SUMSQUARE, NS_REDUCE_LOGSUMEXP};
	int parts[9], k;

	for (k = 0; k < 9; k++)
		OK(ns_dag_reduce(d, in[0], hows[k], k % 2 ? 2 : 5, k % 3 == 0, &parts[k])); /* (2,3,4) */
	for (k = 0; k < 9; k++) {
		const struct ns_box *box = &ns_dag_at(d, parts[k])->box;

		OK(ns_dag_view(d, parts[k], &(struct ns_box){1, {ns_box_count(box)}}, &parts[k]));
	}
	OK(ns_dag_concat(d, parts, 9, 0, y));
}

static void make_matrices(struct ns_dag *d, const int *in, int *y)
{
	int t;

	OK(ns_dag_matmul(d, in[0], in[1], 0, NS_F64, &t)); /* (2,3,4) (4,5): one matrix for a batch */
	OK(ns_dag_matmul(d, t, in[2], 3, NS_F64, y));	   /* transposed (2,5,3) by (2,3): (2,5,2) */
}

static void make_vectors(struct ns_dag *d, const int *in, int *y)
{
	int t;

	OK(ns_dag_matmul(d, in[0], in[1], 0, NS_F64, &t));
	OK(ns_dag_matmul(d, in[2], in[0], 0, NS_F64, y));
	*y = formula(d, NS_PW_MUL, *y, t, 2);
}

static void make_attention(struct ns_dag *d, const int *in, int *y)
{
	int t;

	OK(ns_dag_matmul(d, in[0], in[1], 2, NS_F64, &t)); /* batches of both */
	OK(ns_dag_along(d, t, NS_ALONG_SOFTMAX, 2, 3, &t));
	OK(ns_dag_matmul(d, t, in[2], 0, NS_F64, y));
}

static void convolve(struct ns_dag *d, const int *in, const struct ns_op_convolve *v, int *y)
{
	struct ns_op op = {.kind = NS_OP_CONVOLVE, .u.convolve = *v};
	struct ns_box box = {v->window.axes + 2, {v->n, v->groups * v->k}};

	memcpy(box.dim + 2, v->window.out, sizeof *box.dim * (size_t)v->window.axes);
	OK(ns_dag_value(d, NS_F64, &box, in, 3, y));
	OK(ns_dag_add(d, &op, in, 3, y, 1));
}

static void make_convolution(struct ns_dag *d, const int *in, int *y)
{
	convolve(d, in,
		 &(struct ns_op_convolve){
			 .dtype = NS_F64,
			 .window = {.axes = 2, .in = {5, 6}, .out = {3, 5}, .kernel = {3, 2}, .stride = {2, 1}, .dilation = {1, 2}, .pad = {1, 1}},
			 .n = 2,
			 .groups = 2,
			 .c = 2,
			 .k = 1,
			 .bias = 1},
		 y);
}

static void make_transposed(struct ns_dag *d, const int *in, int *y)
{
	convolve(d, in,
		 &(struct ns_op_convolve){
			 .dtype = NS_F64,
			 .window = {.axes = 2, .in = {3, 2}, .out = {6, 3}, .kernel = {3, 2}, .stride = {2, 1}, .dilation = {1, 1}, .pad = {1, 0}},
			 .n = 2,
			 .groups = 2,
			 .c = 1,
			 .k = 2,
			 .transposed = 1,
			 .bias = 1},
		 y);
}

static void make_line(struct ns_dag *d, const int *in, int *y)
{
	convolve(d, in,
		 &(struct ns_op_convolve){.dtype = NS_F64,
					  .window = {.axes = 1, .in = {9}, .out = {5}, .kernel = {3}, .stride = {2}, .dilation = {1}, .pad = {1}},
					  .n = 1,
					  .groups = 1,
					  .c = 2,
					  .k = 3,
					  .bias = 1},
		 y);
}

static void pool(struct ns_dag *d, int x, int how, int with_padding, int *y)
{
	struct ns_op op = {.kind = NS_OP_POOL_ND,
			   .u.pool_nd = {.dtype = NS_F64,
					 .inner = 1,
					 .window = {.axes = 2,
						    .in = {5, 4},
						    .out = {3, 2},
						    .kernel = {3, 3},
						    .stride = {2, 2},
						    .dilation = {1, 1},
						    .pad = {1, 1},
						    .pad_end = {1, 1}},
					 .planes = 4,
					 .how = how,
					 .with_padding = with_padding}};

	OK(ns_dag_value(d, NS_F64, &(struct ns_box){4, {2, 2, 3, 2}}, &x, 1, y));
	OK(ns_dag_add(d, &op, &x, 1, y, 1));
}

static void make_pools(struct ns_dag *d, const int *in, int *y)
{
	int parts[3];

	pool(d, in[0], NS_WINDOW_MAX, 0, &parts[0]);
	pool(d, in[0], NS_WINDOW_AVG, 0, &parts[1]);
	pool(d, in[0], NS_WINDOW_AVG, 1, &parts[2]);
	OK(ns_dag_concat(d, parts, 3, 1, y));
}

static void make_resample(struct ns_dag *d, const int *in, int *y)
{
	static const int32_t index[] = {0, 1, 1, 0, 2, 2, 2, -1, 1, 0};
	static const float weight[] = {0.5f, 0.25f, 1, 2, 0.5f, 0.125f, 3, 1, 1, -1};
	struct ns_op op = {.kind = NS_OP_RESAMPLE, .u.resample = {.dtype = NS_F64, .outer = 2, .n = 3, .inner = 2, .m = 5, .taps = 2, .outside = 0}};
	int ins[3] = {in[0]};

	OK(ns_dag_constant(d, NS_I32, &(struct ns_box){2, {5, 2}}, index, &ins[1]));
	OK(ns_dag_constant(d, NS_F32, &(struct ns_box){2, {5, 2}}, weight, &ins[2]));
	OK(ns_dag_value(d, NS_F64, &(struct ns_box){3, {2, 5, 2}}, in, 1, y));
	OK(ns_dag_add(d, &op, ins, 3, y, 1));
}

/* Rows of in[0] by a list, twice the same one; then in[1] set into them, and added. */
static void make_index(struct ns_dag *d, const int *in, int *y)
{
	static const int64_t rows[] = {3, 0, -1, 1}, places[] = {1, -1};
	struct ns_op op = {
		.kind = NS_OP_INDEX,
		.u.index = {.dtype = NS_F64, .length = 1, .tuples = {1, {4}}, .at = {1}, .size = {4}, .stride = {3}, .inner = 3, .data = 12}};
	int ins[3] = {in[0]}, t;

	OK(ns_dag_constant(d, NS_I64, &(struct ns_box){1, {4}}, rows, &ins[1]));
	OK(ns_dag_value(d, NS_F64, &(struct ns_box){2, {4, 3}}, in, 1, &t));
	OK(ns_dag_add(d, &op, ins, 2, &t, 1));
	OK(ns_dag_constant(d, NS_I64, &(struct ns_box){1, {2}}, places, &ins[1]));
	op.u.index.tuples.dim[0] = 2;
	ins[2] = in[1];
	for (op.u.index.how = NS_SCATTER_SET; op.u.index.how <= NS_SCATTER_ADD; op.u.index.how++) {
		ins[0] = t;
		OK(ns_dag_value(d, NS_F64, &(struct ns_box){2, {4, 3}}, ins, 3, &t));
		OK(ns_dag_add(d, &op, ins, 3, &t, 1));
		t = formula(d, NS_PW_TANH, t, 0, 1);
	}
	*y = t;
}

static void make_along(struct ns_dag *d, const int *in, int *y)
{
	static const int hows[] = {NS_ALONG_SOFTMAX, NS_ALONG_LOGSOFTMAX,      NS_ALONG_CUMSUM,		NS_ALONG_CUMSUM | 1 << 8,
				   NS_ALONG_HARDMAX, NS_ALONG_CUMSUM | 1 << 9, NS_ALONG_CUMSUM | 3 << 8};
	int parts[7], k;

	for (k = 0; k < 7; k++)
		OK(ns_dag_along(d, in[0], hows[k], 1, 2, &parts[k]));
	OK(ns_dag_concat(d, parts, 7, 0, y));
}

static void make_topk(struct ns_dag *d, const int *in, int *y)
{
	struct ns_op op = {.kind = NS_OP_TOPK, .u.topk = {.dtype = NS_F64, .outer = 2, .n = 5, .inner = 2, .k = 3}};
	int out[2] = {-1, -1};

	OK(ns_dag_value(d, NS_F64, &(struct ns_box){3, {2, 3, 2}}, in, 1, &out[0]));
	OK(ns_dag_add(d, &op, in, 1, out, 1));
	*y = out[0];
}

static const struct row rows[] = {
	{"formulas", make_formulas, {{3, {2, 3, 4}}, {1, {4}}, {3, {2, 1, 1}}}, 0.5, 2},
	{"a program", make_program, {{2, {3, 4}}, {2, {3, 1}}, {1, {1}}}, 0.2, 1.5},
	{"moves", make_moves, {{3, {2, 3, 4}}, {2, {1, 3}}}, -1, 1},
	{"windows that overlap", make_overlaps, {{1, {13}}}, -1, 1},
	{"rules of padding", make_rules, {{2, {4, 3}}}, -1, 1},
	{"reductions", make_reductions, {{3, {2, 3, 4}}}, 0.5, 3},
	{"matrices", make_matrices, {{3, {2, 3, 4}}, {2, {4, 5}}, {2, {2, 3}}}, -1, 1},
	{"vectors", make_vectors, {{2, {3, 3}}, {1, {3}}, {1, {3}}}, -1, 1},
	{"attention", make_attention, {{3, {2, 3, 4}}, {3, {2, 5, 4}}, {3, {2, 5, 2}}}, -1, 1},
	{"convolution", make_convolution, {{4, {2, 4, 5, 6}}, {4, {2, 2, 3, 2}}, {1, {2}}}, -1, 1},
	{"transposed", make_transposed, {{4, {2, 2, 3, 2}}, {4, {2, 2, 3, 2}}, {1, {4}}}, -1, 1},
	{"one axis", make_line, {{3, {1, 2, 9}}, {3, {3, 2, 3}}, {1, {3}}}, -1, 1},
	{"pools", make_pools, {{4, {2, 2, 5, 4}}}, -1, 1},
	{"resampling", make_resample, {{3, {2, 3, 2}}}, -1, 1},
	{"indices", make_index, {{2, {4, 3}}, {2, {2, 3}}}, -1, 1},
	{"along an axis", make_along, {{3, {2, 3, 2}}}, -1, 1},
	{"the largest", make_topk, {{3, {2, 5, 2}}}, -1, 1},
};

/* --- against differences --- */

struct run {
	struct ns_dag *d;
	struct ns_dag_exec *exec;
	struct ns_device *dev;
	struct ns_queue *queue;
	int in[INPUTS + 1], inputs, y, gradient[INPUTS];
	double x[INPUTS + 1][MOST], out[MOST], slope[INPUTS][MOST];
};

static void begin(struct run *r, const struct row *row)
{
	int outputs[INPUTS + 1], k;

	OK(ns_dag_make(&r->d));
	for (r->inputs = 0; r->inputs < INPUTS && row->box[r->inputs].rank; r->inputs++)
		OK(ns_dag_input(r->d, NS_F64, &row->box[r->inputs], &r->in[r->inputs]));
	row->make(r->d, r->in, &r->y);
	OK(ns_dag_input(r->d, NS_F64, &ns_dag_at(r->d, r->y)->box, &r->in[r->inputs]));
	if (ns_dag_gradient(r->d, r->y, r->in[r->inputs], r->in, r->inputs, r->gradient) != NS_OK)
		fail_msg("%s: %s", row->name, ns_message());
	outputs[0] = r->y;
	for (k = 0; k < r->inputs; k++) {
		outputs[k + 1] = r->gradient[k];
		assert_int_equal(ns_box_count(&ns_dag_at(r->d, r->gradient[k])->box), ns_box_count(&row->box[k]));
	}
	OK(ns_backend_ref.open(&r->dev, 0));
	OK(ns_backend_ref.queue_make(&r->queue, r->dev));
	OK(ns_dag_exec_make(&r->exec, r->d, r->dev, outputs, r->inputs + 1));
}

static void end(struct run *r)
{
	ns_dag_exec_free(r->exec);
	ns_backend_ref.queue_free(r->queue);
	ns_backend_ref.close(r->dev);
	ns_dag_free(r->d);
}

static double compute(struct run *r)
{
	const void *in[INPUTS + 1];
	void *out[INPUTS + 1];
	double sum = 0;
	int64_t i;
	int k;

	for (k = 0; k <= r->inputs; k++)
		in[k] = r->x[k];
	out[0] = r->out;
	for (k = 0; k < r->inputs; k++)
		out[k + 1] = r->slope[k];
	OK(ns_dag_exec_run(r->exec, in, out, r->queue));
	for (i = 0; i < ns_box_count(&ns_dag_at(r->d, r->y)->box); i++)
		sum += r->out[i] * r->x[r->inputs][i];
	return sum;
}

static void check(const struct row *row)
{
	struct run *r = calloc(1, sizeof *r);
	double high, low, middle, found, h = 1e-6;
	int64_t i;
	int k;

	assert_non_null(r);
	begin(r, row);
	for (k = 0; k <= r->inputs; k++)
		for (i = 0; i < MOST; i++)
			r->x[k][i] = k < r->inputs ? uniform(row->low, row->high) : uniform(-1, 1);
	for (k = 0; k < r->inputs; k++)
		for (i = 0; i < ns_box_count(&row->box[k]); i++) {
			double was = r->x[k][i];

			(void)compute(r);
			found = r->slope[k][i];
			r->x[k][i] = was + h;
			high = compute(r);
			r->x[k][i] = was - h;
			low = compute(r);
			r->x[k][i] = was;
			middle = (high - low) / (2 * h);
			if (!(fabs(found - middle) <= 2e-6 * (1 + fabs(middle))))
				fail_msg("%s: input %d, element %lld: gradient %.9g, differences give %.9g", row->name, k, (long long)i, found,
					 middle);
		}
	end(r);
	free(r);
}

static void test_rules(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		check(&rows[i]);
}

/* Where nothing flows the gradient is 0; where an op has none, it says so. */
static void test_without(void **state)
{
	struct ns_op op = {.kind = NS_OP_REDUCE, .u.reduce = {.dtype = NS_F64, .how = NS_REDUCE_PROD, .in = {1, {3}}, .axes = 1}};
	struct ns_dag *d;
	int x, other, y, dy, gradient[2];

	(void)state;
	OK(ns_dag_make(&d));
	OK(ns_dag_input(d, NS_F64, &(struct ns_box){1, {3}}, &x));
	OK(ns_dag_input(d, NS_F64, &(struct ns_box){1, {3}}, &other));
	OK(ns_dag_formula(d, NS_PW_FLOOR, &x, 1, NS_F64, &y));
	OK(ns_dag_input(d, NS_F64, &(struct ns_box){1, {3}}, &dy));
	OK(ns_dag_gradient(d, y, dy, (const int[]){other, x}, 2, gradient));
	assert_true(ns_dag_is_constant(d, gradient[0]));
	assert_true(ns_dag_number(d, gradient[0], 0) == 0);
	OK(ns_dag_value(d, NS_F64, &(struct ns_box){1, {1}}, &x, 1, &y));
	OK(ns_dag_add(d, &op, &x, 1, &y, 1));
	OK(ns_dag_input(d, NS_F64, &(struct ns_box){1, {1}}, &dy));
	assert_int_equal(ns_dag_gradient(d, y, dy, &x, 1, gradient), NS_DECLINED);
	assert_non_null(strstr(ns_message(), "reduce: products have no gradient"));
	ns_dag_free(d);
}

/* Gradients of a product of matrices are products that a device has a kernel for, whichever operand they are of and whichever is turned. */
static void test_products(void **state)
{
	struct ns_device *cpu;
	int turned, k, found = 0;

	(void)state;
	OK(ns_backend_cpu.open(&cpu, 0));
	for (turned = 0; turned < 4; turned++) {
		struct ns_dag *d;
		int in[2], y, dy, gradient[2];

		OK(ns_dag_make(&d));
		OK(ns_dag_input(d, NS_F32, &(struct ns_box){2, {turned & 1 ? 4 : 2, turned & 1 ? 2 : 4}}, &in[0]));
		OK(ns_dag_input(d, NS_F32, &(struct ns_box){2, {turned & 2 ? 3 : 4, turned & 2 ? 4 : 3}}, &in[1]));
		OK(ns_dag_matmul(d, in[0], in[1], (unsigned)turned, NS_F32, &y));
		OK(ns_dag_input(d, NS_F32, &(struct ns_box){2, {2, 3}}, &dy));
		OK(ns_dag_gradient(d, y, dy, in, 2, gradient));
		for (k = 0; k < d->node_count; k++) {
			struct ns_plan *plan;

			if (d->nodes[k].op.kind != NS_OP_CONTRACT)
				continue;
			OK(ns_plan_make(&plan, cpu, &d->nodes[k].op));
			assert_string_equal(plan->impl->name, "contract/gemm");
			ns_plan_free(plan);
			found++;
		}
		ns_dag_free(d);
	}
	assert_int_equal(found, 12); /* each product, and by each operand */
	ns_backend_cpu.close(cpu);
}

/* What goes through another type comes back in its own. */
static void test_casts(void **state)
{
	static const double x[3] = {1, -2, 3}, dy[3] = {0.5, 4, -0.25}, two[] = {2};
	const enum ns_dtype through[] = {NS_F32, NS_F16, NS_BF16};
	size_t t;

	(void)state;
	for (t = 0; t < 3; t++) {
		struct run r = {.inputs = 0};
		double found[3];
		int k, a;

		OK(ns_dag_make(&r.d));
		OK(ns_dag_input(r.d, NS_F64, &(struct ns_box){1, {3}}, &r.in[0]));
		OK(ns_dag_input(r.d, NS_F64, &(struct ns_box){1, {3}}, &r.in[1]));
		OK(ns_dag_cast(r.d, r.in[0], through[t], &a));
		OK(ns_dag_formula_of(r.d, NS_PW_MUL, a, two, 1, through[t], &a));
		OK(ns_dag_cast(r.d, a, NS_F64, &r.y));
		OK(ns_dag_gradient(r.d, r.y, r.in[1], r.in, 1, r.gradient));
		assert_int_equal(ns_dag_at(r.d, r.gradient[0])->dtype, NS_F64);
		OK(ns_backend_ref.open(&r.dev, 0));
		OK(ns_backend_ref.queue_make(&r.queue, r.dev));
		OK(ns_dag_exec_make(&r.exec, r.d, r.dev, r.gradient, 1));
		OK(ns_dag_exec_run(r.exec, (const void *const[]){x, dy}, (void *const[]){found}, r.queue));
		for (k = 0; k < 3; k++)
			assert_true(found[k] == 2 * dy[k]);
		end(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_products), cmocka_unit_test(test_casts),
					   cmocka_unit_test(test_without)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
