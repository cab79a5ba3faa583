/*
 * Ops on tensors on the CPU's backend against ref. Moves, choices and plain arithmetic have the same bits; sums of products are within the rounding of their sums.
 */
#include "tests/kernels/tensors.h"

/* Slices gathered and scattered, twice to the same place too; a place outside is refused. */
static void test_index(void **state)
{
	static const int hows[] = {NS_SCATTER_NOT, NS_SCATTER_SET, NS_SCATTER_ADD, NS_SCATTER_MUL};
	char who[40] = "";
	int i, t;

	(void)state;
	for (i = 0; i < times(200); i++) {
		int64_t a = among(1, 5), b = among(1, 6), inner = among(1, 4), rows = among(1, 9),
			*at = input_of(malloc(sizeof *at * (size_t)(2 * rows)), sizeof *at * (size_t)(2 * rows));
		struct ns_op op = {.kind = NS_OP_INDEX,
				   .u.index = {.dtype = NS_F32,
					       .how = hows[i % 4],
					       .length = 2,
					       .tuples = {2, {rows, 1}},
					       .at = {2, 0},
					       .next = 1,
					       .size = {a, b},
					       .stride = {b * inner, inner},
					       .inner = inner,
					       .data = a * b * inner}};
		const void *in[3] = {random_floats(a * b * inner, -1, 1), at, random_floats(rows * inner, -1, 1)};

		for (t = 0; t < rows; t++) {
			at[2 * t] = among(-a, a - 1);
			at[2 * t + 1] = among(-b, b - 1);
		}
		both(&op, in, 3, i % 4 ? a * b * inner : rows * inner, NULL, 0, who);
		took(who, i % 4 == 3 ? "index/ref" : "index/slices");
		free((void *)(uintptr_t)in[0]);
		free(at);
		free((void *)(uintptr_t)in[2]);
	}
}

static void test_contract(void **state)
{
	char who[40] = "";
	int i, taken = 0;

	(void)state;
	for (i = 0; i < times(400); i++) {
		struct ns_op op = {.kind = NS_OP_CONTRACT, .u.contract = {.dtype = NS_F32, .out_dtype = NS_F32}};
		struct ns_op_contract *v = &op.u.contract;
		int64_t b = among(1, 3), m = among(1, 9), n = among(1, 9), k = among(1, 20);
		int ta = (int)among(0, 1), tb = (int)among(0, 1), share = (int)among(0, 1);
		const void *in[2] = {random_floats(b * m * k, -1, 1), random_floats(b * n * k, -1, 1)};

		v->out = (struct ns_box){3, {b, m, n}};
		v->sum = (struct ns_box){1, {k}};
		v->a_out[0] = m * k;
		v->b_out[0] = share ? 0 : n * k;
		v->a_out[1] = ta ? 1 : k;
		v->a_sum[0] = ta ? m : 1;
		v->b_sum[0] = tb ? 1 : n;
		v->b_out[2] = tb ? k : 1;
		both(&op, in, 2, b * m * n, NULL, 1e-5, who);
		taken += !strcmp(who, "contract/gemm");
		free((void *)(uintptr_t)in[0]);
		free((void *)(uintptr_t)in[1]);
	}
	enough(taken == 400);
	for (i = 0; i < 60;
	     i++) { /* two axes of a batch, one of which only one operand has; and rows that are all the same, which is no matrix as it lies */
		int64_t p = among(1, 3), q = among(2, 3), m = among(2, 5), n = among(1, 5), k = among(2, 6);
		struct ns_op op = {.kind = NS_OP_CONTRACT,
				   .u.contract = {.dtype = NS_F32,
						  .out_dtype = NS_F32,
						  .out = {4, {p, q, m, n}},
						  .sum = {1, {k}},
						  .a_out = {q * m * k, m * k, i % 3 ? k : 0},
						  .b_out = {0, k * n, 0, 1},
						  .a_sum = {1},
						  .b_sum = {n}}};
		const void *in[2] = {random_floats(p * q * m * k, -1, 1), random_floats(q * k * n, -1, 1)};

		both(&op, in, 2, p * q * m * n, NULL, 1e-5, who);
		took(who, i % 3 ? "contract/gemm" : "contract/ref");
		free((void *)(uintptr_t)in[0]);
		free((void *)(uintptr_t)in[1]);
	}
}

/* Each formula, with every kind of operand: dense, one for all, one a row, turned. */
static void test_pointwise(void **state)
{
	char who[40] = "";
	int code, i;

	(void)state;
	for (code = 0; code < NS_PW_SLOPE(NS_PW_COUNT, 0); code++) /* derivatives too */
		for (i = 0; i < times(24); i++) {
			struct ns_op op = {.kind = NS_OP_POINTWISE,
					   .u.pointwise = {.compute = NS_F32, .out_dtype = NS_F32, .in_dtype = {NS_F32, NS_F32, NS_F32}}};
			struct ns_op_pointwise *v = &op.u.pointwise;
			int64_t h = among(1, 4), r = among(1, 5), c = i % 3 ? among(1, 40) : among(200, 600);
			int exact = code != NS_PW_EXP && code != NS_PW_SIGMOID && code != NS_PW_SILU && code != NS_PW_TANH &&
				    code != NS_PW_HARDSWISH && code != NS_PW_HARDSIGMOID && code < NS_PW_COUNT,
			    k;
			const void *in[3];

			v->out = (struct ns_box){3, {h, r, c}};
			v->inputs = 3;
			v->constants = 1;
			v->constant[0] = 0.3;
			v->steps = 2;
			v->step[0] = (struct ns_pw_step){(uint16_t)code, 0, (uint8_t)(i % 5 == 4 ? 3 : 1), 2};
			v->step[1] = (struct ns_pw_step){NS_PW_ADD, 4, 0, 0};
			for (k = 0; k < 3; k++) {
				int kind = k ? (int)among(0, 3) : 0;

				ns_box_strides(&v->out, v->stride[k]);
				if (kind == 1)
					memset(v->stride[k], 0, sizeof v->stride[k]);
				if (kind == 2)
					v->stride[k][2] = 0;
				if (kind == 3) {
					v->stride[k][1] = 1;
					v->stride[k][2] = r;
				}
				in[k] = random_floats(h * r * c, i % 2 ? -3 : -100, i % 2 ? 3 : 100);
			}
			both(&op, in, 3, h * r * c, NULL, exact ? 0 : code < NS_PW_COUNT ? 1e-6 : 3e-6, who);
			took(who, "pointwise/tiles");
			for (k = 0; k < 3; k++)
				free((void *)(uintptr_t)in[k]);
		}
}

/* NaN, infinities and the ends of what is computed by polynomials. */
static void test_edges(void **state)
{
	static const int codes[] = {NS_PW_EXP, NS_PW_SIGMOID, NS_PW_SILU, NS_PW_TANH, NS_PW_RELU, NS_PW_MIN, NS_PW_MAX};
	static const float x[16] = {NAN, INFINITY, -INFINITY, 0, -0.0f, 88.8f, 88.6f, -87.2f, -87.4f, -104, 7.9f, -7.95f, 1e-6f, -1e-6f, 30, -30};
	char who[40] = "";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct ns_op op = {.kind = NS_OP_POINTWISE,
				   .u.pointwise = {.compute = NS_F32,
						   .out_dtype = NS_F32,
						   .in_dtype = {NS_F32},
						   .inputs = 1,
						   .steps = 1,
						   .out = {1, {16}},
						   .stride = {{1}}}};
		const void *in[1] = {x};

		op.u.pointwise.step[0] = (struct ns_pw_step){(uint16_t)codes[i], 0, 0, 0};
		(void)input_of((void *)(uintptr_t)x, sizeof x);
		both(&op, in, 1, 16, NULL, 1e-6, who);
	}
}

static void test_move(void **state)
{
	char who[40] = "";
	int i;

	(void)state;
	for (i = 0; i < times(300); i++) {
		struct ns_op op = {.kind = NS_OP_MOVE, .u.move = {.bytes = 4}};
		struct ns_op_move *v = &op.u.move;
		int64_t d[3] = {among(1, 5), among(1, 6), among(1, 7)}, skip = among(0, 1), n = d[0] * d[1] * d[2],
			strides[3] = {d[1] * d[2], d[2], 1};
		int order[3] = {(int)among(0, 2), 0, 0}, k;
		const void *in[1] = {random_floats(2 * n, -1, 1)};
		float *start = random_floats(2 * n, -1, 1);

		order[1] = (order[0] + (int)among(1, 2)) % 3;
		order[2] = 3 - order[0] - order[1];
		v->box.rank = 3;
		for (k = 0; k < 3; k++) { /* any order of axes, backwards here and there, into every second place or all of them */
			int back = among(0, 4) == 0;

			v->box.dim[k] = d[order[k]];
			v->from_stride[k] = back ? -strides[order[k]] : strides[order[k]];
			v->from += back ? (d[order[k]] - 1) * strides[order[k]] : 0;
		}
		ns_box_strides(&v->box, v->to_stride);
		for (k = 0; k < 3; k++)
			v->to_stride[k] *= 1 + skip;
		if (!skip && i % 2) /* a part of something larger, as joins write */
			v->to_stride[0] += among(0, v->box.dim[1] * v->box.dim[2]);
		v->to = skip;
		both(&op, in, 1, 2 * n, start, 0, who);
		took(who, "move/rows");
		free(start);
		free((void *)(uintptr_t)in[0]);
	}
}

static void test_reduce(void **state)
{
	static const int hows[] = {NS_REDUCE_SUM, NS_REDUCE_MEAN, NS_REDUCE_MAX, NS_REDUCE_MIN};
	char who[40] = "";
	int i, taken = 0;

	(void)state;
	for (i = 0; i < times(300); i++) {
		struct ns_op op = {
			.kind = NS_OP_REDUCE,
			.u.reduce = {.dtype = NS_F32, .how = hows[i % 4], .in = {4, {among(1, 4), among(1, 4), among(1, 5), among(1, 6)}}}};
		int64_t n = 1, kept = 1;
		const void *in[1];
		int d;

		if (i % 5 == 0) /* more than a vector, in lines or in rows */
			op.u.reduce.in = (struct ns_box){4, {among(1, 2), among(1, 3), among(1, 60), among(1, 60)}};
		op.u.reduce.axes = (unsigned)among(0, 15);
		for (d = 0; d < 4; d++) {
			n *= op.u.reduce.in.dim[d];
			kept *= op.u.reduce.axes >> d & 1 ? 1 : op.u.reduce.in.dim[d];
		}
		in[0] = random_floats(n, -1, 1);
		if (i % 9 == 0)
			((float *)(uintptr_t)in[0])[among(0, n - 1)] = NAN;
		both(&op, in, 1, kept, NULL, 1e-7, who);
		taken += !strcmp(who, "reduce/lines");
		free((void *)(uintptr_t)in[0]);
	}
	enough(taken > 200);
}

static void test_along(void **state)
{
	char who[40] = "";
	int i;

	(void)state;
	for (i = 0; i < times(200); i++) {
		struct ns_op op = {.kind = NS_OP_ALONG, .u.along = {.dtype = NS_F32, .outer = among(1, 3), .n = among(1, 50), .inner = among(1, 4)}};
		int64_t n = op.u.along.outer * op.u.along.n * op.u.along.inner;
		const void *in[1];

		if (i % 10 == 0) { /* beyond a block, with what is left over */
			op.u.along.n = among(1000, 3000);
			op.u.along.inner = 1;
			n = op.u.along.outer * op.u.along.n;
		}
		in[0] = random_floats(n, i % 4 ? -20 : -500, i % 4 ? 20 : 500);
		both(&op, in, 1, n, NULL, 1e-6, who);
		took(who, "along/lines");
		free((void *)(uintptr_t)in[0]);
	}
}

static void test_resample(void **state)
{
	char who[40] = "";
	int i, k;

	(void)state;
	for (i = 0; i < times(300); i++) {
		struct ns_op op = {.kind = NS_OP_RESAMPLE,
				   .u.resample = {.dtype = NS_F32,
						  .outer = among(1, 3),
						  .n = among(1, 20),
						  .inner = i % 2 ? 1 : among(1, 40),
						  .m = among(1, 30),
						  .taps = i % 3 ? (int)among(1, 5) : 1,
						  .outside = .5f}};
		struct ns_op_resample *v = &op.u.resample;
		float *weight = random_floats(v->m * v->taps, -1, 1);
		int32_t *index = input_of(malloc(sizeof *index * (size_t)(v->m * v->taps)), sizeof *index * (size_t)(v->m * v->taps));
		const void *in[3] = {random_floats(v->outer * v->n * v->inner, -1, 1), index, weight};

		for (k = 0; k < v->m * v->taps; k++) {
			index[k] = (int32_t)among(i % 4 ? 0 : -1, v->n - 1);
			if (i % 3 == 0)
				weight[k] = 1; /* the nearest pixel */
		}
		both(&op, in, 3, v->outer * v->m * v->inner, NULL, 1e-6, who);
		took(who, "resample/rows");
		for (k = 0; k < 3; k++)
			free((void *)(uintptr_t)in[k]);
	}
}

/* One direction of each kind, with and without biases and states; what is not taken is ref's. */
static void test_recurrent(void **state)
{
	char who[40] = "";
	int i, k, taken = 0;

	(void)state;
	for (i = 0; i < times(240); i++) {
		struct ns_op op = {.kind = NS_OP_RECURRENT,
				   .u.recurrent = {.how = i % 3, .t = among(1, 6), .n = among(1, 3), .i = among(1, 5), .h = among(1, 20)}};
		struct ns_op_recurrent *v = &op.u.recurrent;
		int64_t g = i % 3 == 0 ? 1 : i % 3 == 1 ? 3 : 4;
		const int64_t counts[8] = {v->t * v->n * v->i, g * v->h * v->i, g * v->h * v->h, 2 * g * v->h, 0, v->n * v->h, v->n * v->h, 3 * v->h};
		float *out[2][3];
		struct ns_args args = {0};
		int b;

		v->code[0] = i % 3 ? NS_PW_SIGMOID : NS_PW_TANH;
		v->code[1] = v->code[2] = NS_PW_TANH;
		v->reverse = (int)among(0, 1);
		v->linear_before_reset = (int)among(0, 1);
		for (k = 0; k < 8; k++) {
			v->has[k] = k < 3 || (k != 4 && k != 7 && among(0, 1)) || (k == 7 && v->how == NS_RECURRENT_LSTM && i % 5 == 0);
			args.in[k] = v->has[k] ? random_floats(counts[k], -1, 1) : NULL;
		}
		for (b = 0; b < 2; b++) {
			const struct ns_backend *cpu = ns_backend_find("cpu"), *backend = b && cpu ? cpu : &ns_backend_ref;
			struct ns_device *dev;
			struct ns_plan *plan;

			for (k = 0; k < 3; k++)
				args.out[k] = out[b][k] = random_floats(k ? v->n * v->h : v->t * v->n * v->h, -1, 1);
			assert_int_equal(backend->open(&dev, 0), NS_OK);
			assert_int_equal(ns_plan_make(&plan, dev, &op), NS_OK);
			snprintf(who, sizeof who, "%s", plan->impl->name);
			args.workspace = malloc(plan->workspace_bytes);
			assert_int_equal(ns_plan_run(plan, &args, NULL), NS_OK);
			free(args.workspace);
			ns_plan_free(plan);
			backend->close(dev);
		}
		taken += !strcmp(who, "recurrent/gemm");
		for (k = 0; k < 3; k++) {
			int64_t j, n = k ? v->n * v->h : v->t * v->n * v->h;

			for (j = 0; j < n; j++)
				if (!(fabs((double)out[0][k][j] - (double)out[1][k][j]) < 1e-5))
					fail_msg("%s, kind %d: output %d, element %lld is %g, ref has %g", who, v->how, k, (long long)j,
						 (double)out[1][k][j], (double)out[0][k][j]);
			free(out[0][k]);
			free(out[1][k]);
		}
		for (k = 0; k < 8; k++)
			free((void *)(uintptr_t)args.in[k]);
	}
	enough(taken > 180);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_index), cmocka_unit_test(test_contract), cmocka_unit_test(test_pointwise),
					   cmocka_unit_test(test_edges), cmocka_unit_test(test_move),	  cmocka_unit_test(test_reduce),
					   cmocka_unit_test(test_along), cmocka_unit_test(test_resample), cmocka_unit_test(test_recurrent)};

	return told("tensor", cmocka_run_group_tests(tests, NULL, NULL));
}
