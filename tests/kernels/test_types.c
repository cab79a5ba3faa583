/*
 * Ops on tensors of every type: CUDA (the simulator, or a GPU) against ref; what f32 does is test_tensor.c's. Without CUDA ref runs alone, which shows that it takes them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/backend.h"
#include "kernels/formula/pointwise.h"
#include "kernels/formula/typed.h"
#include "tests/splitmix.h"

static uint64_t seed = 23;
static int ran_on_cuda;

static int64_t among(int64_t low, int64_t high)
{
	return low + (int64_t)below(&seed, (uint64_t)(high - low + 1));
}

struct side { /* an input or output: its type and elements */
	enum ns_dtype dtype;
	int64_t n;
};

/* Random elements of a type, small whole numbers where it is one. */
static void fill(void *p, struct side x)
{
	int64_t i;

	for (i = 0; i < x.n; i++)
		if (ns_dtype_is_float(x.dtype))
			ns_typed_set(p, x.dtype, i, (double)among(-300, 300) / 100);
		else
			ns_typed_set_whole(p, x.dtype, i, among(x.dtype == NS_U64 || x.dtype == NS_U8 || x.dtype == NS_BOOL ? 0 : -5, 5));
}

/* Runs it on a device; out[]: of the host. */
static void run_sides(const struct ns_backend *b, const struct ns_op *op, void *const *in, const struct side *ins, int n, void **out,
		      const struct side *outs, int m)
{
	struct ns_args args = {0};
	struct ns_device *dev;
	struct ns_queue *queue;
	struct ns_plan *plan;
	size_t bytes;
	int k;

	assert_int_equal(b->open(&dev, 0), NS_OK);
	assert_int_equal(b->queue_make(&queue, dev), NS_OK);
	for (k = 0; k < n; k++) {
		bytes = (size_t)ins[k].n * ns_dtype_bytes(ins[k].dtype);
		assert_int_equal(b->mem_make((void **)(uintptr_t)&args.in[k], dev, bytes + 1), NS_OK);
		if (bytes)
			assert_int_equal(b->put(queue, (void *)(uintptr_t)args.in[k], in[k], bytes), NS_OK);
	}
	for (k = 0; k < m; k++)
		assert_int_equal(b->mem_make(&args.out[k], dev, (size_t)outs[k].n * ns_dtype_bytes(outs[k].dtype) + 1), NS_OK);
	if (ns_plan_make(&plan, dev, op) != NS_OK)
		fail_msg("%s", ns_message());
	assert_int_equal(b->mem_make(&args.workspace, dev, plan->workspace_bytes + 64), NS_OK);
	assert_int_equal(ns_plan_run(plan, &args, queue), NS_OK);
	for (k = 0; k < m; k++) {
		bytes = (size_t)outs[k].n * ns_dtype_bytes(outs[k].dtype);
		out[k] = malloc(bytes + 1);
		assert_int_equal(b->get(queue, out[k], args.out[k], bytes), NS_OK);
	}
	assert_int_equal(b->wait(queue), NS_OK);
	for (k = 0; k < n; k++)
		b->mem_free(dev, (void *)(uintptr_t)args.in[k]);
	for (k = 0; k < m; k++)
		b->mem_free(dev, args.out[k]);
	b->mem_free(dev, args.workspace);
	ns_plan_free(plan);
	b->queue_free(queue);
	b->close(dev);
}

/* CUDA against ref; given: the bytes of some inputs, others are random. */
static void as_ref(const struct ns_op *op, const struct side *ins, int n, void *const *given, const struct side *outs, int m)
{
	const struct ns_backend *cuda = ns_backend_find("cuda");
	void *in[8], *out[2][3];
	int64_t i;
	int k;

	for (k = 0; k < n; k++) {
		in[k] = malloc((size_t)ins[k].n * 8 + 8);
		if (given && given[k])
			memcpy(in[k], given[k], (size_t)ins[k].n * ns_dtype_bytes(ins[k].dtype));
		else
			fill(in[k], ins[k]);
	}
	run_sides(&ns_backend_ref, op, in, ins, n, out[0], outs, m);
	if (cuda)
		run_sides(cuda, op, in, ins, n, out[1], outs, m);
	for (k = 0; k < m; k++) {
		for (i = 0; cuda && i < outs[k].n; i++) {
			double a = ns_typed_get(out[0][k], outs[k].dtype, i), c = ns_typed_get(out[1][k], outs[k].dtype, i);

			if (a == c || (isnan(a) && isnan(c)))
				continue;
			if (!ns_dtype_is_float(outs[k].dtype) || !(fabs(a - c) <= (outs[k].dtype == NS_F32 ? 1e-5 : 1e-12) * (1 + fabs(a))))
				fail_msg("%s, %s: output %d, element %lld is %.12g, ref has %.12g", ns_op_name(op->kind),
					 ns_dtype_name(outs[k].dtype), k, (long long)i, c, a);
		}
		free(out[0][k]);
		if (cuda)
			free(out[1][k]);
	}
	for (k = 0; k < n; k++)
		free(in[k]);
	ran_on_cuda += cuda != NULL;
}

static void program_types(enum ns_dtype in, enum ns_dtype compute, enum ns_dtype out)
{
	int code, whole = compute == NS_I64 || compute == NS_U64;

	for (code = 0; code < NS_PW_COUNT; code++) {
		struct ns_op op = {.kind = NS_OP_POINTWISE,
				   .u.pointwise = {.compute = compute,
						   .out_dtype = out,
						   .in_dtype = {in, in, NS_BOOL},
						   .inputs = 3,
						   .constants = 1,
						   .constant = {1.5},
						   .steps = 2,
						   .out = {2, {3, 5}},
						   .stride = {{5, 1}, {1, 3}, {0, 1}},
						   .step = {{(uint16_t)code, 0, 1, 2}, {NS_PW_ADD, 4, 3, 0}}}};

		if (!whole && code >= NS_PW_SHIFT_LEFT)
			continue;
		as_ref(&op, (const struct side[]){{in, 15}, {in, 15}, {NS_BOOL, 5}}, 3, NULL, &(struct side){out, 15}, 1);
	}
}

static void test_types(void **state)
{
	static const enum ns_dtype types[] = {NS_F32, NS_F64, NS_F16, NS_BF16, NS_I64, NS_U64, NS_I32, NS_U8, NS_BOOL};
	int t, how;

	(void)state;
	program_types(NS_F32, NS_F32, NS_U8);
	program_types(NS_F16, NS_F32, NS_BF16);
	program_types(NS_F64, NS_F64, NS_F64);
	program_types(NS_I64, NS_I64, NS_I64);
	program_types(NS_U64, NS_U64, NS_F32);
	program_types(NS_F32, NS_I64, NS_BOOL);
	for (t = 0; t < 9; t++) {
		enum ns_dtype type = types[t];
		const struct side x = {type, 2 * 3 * 4}, along = {type, 2 * 5 * 3};

		for (how = 0; how <= NS_REDUCE_ARGMIN; how++) {
			struct ns_op op = {.kind = NS_OP_REDUCE,
					   .u.reduce = {.dtype = type,
							.how = how,
							.last = t % 2,
							.in = {3, {2, 3, 4}},
							.axes = how >= NS_REDUCE_ARGMAX ? 2 : 5}};

			as_ref(&op, &x, 1, NULL, &(struct side){how >= NS_REDUCE_ARGMAX ? NS_I64 : type, how >= NS_REDUCE_ARGMAX ? 8 : 3}, 1);
		}
		for (how = 0; how < 7; how++) {
			struct ns_op op = {.kind = NS_OP_ALONG,
					   .u.along = {.dtype = type,
						       .how = how < 3 ? how : NS_ALONG_CUMSUM,
						       .exclusive = how & 1,
						       .reverse = how >> 1 & 1,
						       .outer = 2,
						       .n = 5,
						       .inner = 3}};

			if (how >= 3 || ns_dtype_is_float(type))
				as_ref(&op, &along, 1, NULL, &along, 1);
		}
		as_ref(&(struct ns_op){.kind = NS_OP_TOPK, .u.topk = {.dtype = type, .outer = 2, .n = 5, .inner = 3, .k = 2, .smallest = t % 2}},
		       &along, 1, NULL, (const struct side[]){{type, 12}, {NS_I64, 12}}, 2);
		as_ref(&(struct ns_op){.kind = NS_OP_RESAMPLE,
				       .u.resample = {.dtype = type, .outer = 2, .n = 5, .inner = 3, .m = 2, .taps = 2, .outside = 1}},
		       (const struct side[]){{type, 30}, {NS_I32, 4}, {NS_F32, 4}}, 3, (void *const[]){NULL, (int32_t[]){0, 4, -1, 2}, NULL},
		       &(struct side){type, 12}, 1);
		for (how = NS_SCATTER_NOT; how <= NS_SCATTER_MIN; how++)
			as_ref(&(struct ns_op){.kind = NS_OP_INDEX,
					       .u.index = {.dtype = type,
							   .how = how,
							   .length = 1,
							   .tuples = {1, {4}},
							   .at = {1},
							   .size = {5},
							   .stride = {2},
							   .inner = 2,
							   .data = 10}},
			       (const struct side[]){{type, 10}, {NS_I64, 4}, {type, 8}}, 3, (void *const[]){NULL, (int64_t[]){3, -1, 3, 0}, NULL},
			       &(struct side){type, how == NS_SCATTER_NOT ? 8 : 10}, 1);
	}
}

/* Products and windows of other types than f32, and what is no matrix; one of every kind of recurrent layer, wider than a block has threads. */
static void test_types_of_products(void **state)
{
	static const enum ns_dtype types[] = {NS_F64, NS_I32, NS_F32};
	int t, how;

	(void)state;
	for (t = 0; t < 3; t++) {
		enum ns_dtype type = types[t];
		struct ns_op contract = {.kind = NS_OP_CONTRACT,
					 .u.contract = {.dtype = type,
							.out_dtype = type == NS_I32 ? NS_I64 : type,
							.out = {1, {3}},
							.sum = {2, {2, 4}},
							.a_out = {8},
							.b_out = {0},
							.a_sum = {4, 1},
							.b_sum = {1, 2}}};
		struct ns_op convolve = {.kind = NS_OP_CONVOLVE,
					 .u.convolve = {.dtype = type,
							.window = {2, {5, 4}, {3, 3}, {3, 2}, {2, 1}, {1, 1}, {1, 0}, {1, 0}},
							.n = 2,
							.groups = 2,
							.c = 2,
							.k = 1,
							.bias = 1}};

		as_ref(&contract, (const struct side[]){{type, 24}, {type, 8}}, 2, NULL, &(struct side){contract.u.contract.out_dtype, 3}, 1);
		as_ref(&convolve, (const struct side[]){{type, 160}, {type, 24}, {type, 2}}, 3, NULL, &(struct side){type, 36}, 1);
		convolve.u.convolve.transposed = 1;
		convolve.u.convolve.window = (struct ns_window){2, {3, 3}, {5, 4}, {3, 2}, {2, 1}, {1, 1}, {1, 0}, {1, 0}};
		as_ref(&convolve, (const struct side[]){{type, 72}, {type, 24}, {type, 2}}, 3, NULL, &(struct side){type, 80}, 1);
		for (how = NS_WINDOW_MAX; type != NS_I32 && how <= NS_WINDOW_LP; how++)
			as_ref(&(struct ns_op){.kind = NS_OP_POOL_ND,
					       .u.pool_nd = {.dtype = type,
							     .inner = 1,
							     .window = {2, {5, 4}, {3, 3}, {3, 2}, {2, 1}, {1, 1}, {1, 0}, {1, 0}},
							     .planes = 2,
							     .how = how,
							     .p = 3,
							     .with_padding = 1,
							     .indices = 1,
							     .column_major = 1}},
			       &(struct side){type, 40}, 1, NULL, (const struct side[]){{type, 18}, {NS_I64, 18}}, 2);
	}
	for (how = 0; how < 3; how++) {
		int64_t g = how == NS_RECURRENT_RNN ? 1 : how == NS_RECURRENT_GRU ? 3 : 4, h = 300;
		struct ns_op op = {.kind = NS_OP_RECURRENT,
				   .u.recurrent = {.how = how,
						   .t = 3,
						   .n = 2,
						   .i = 2,
						   .h = h,
						   .reverse = 1,
						   .clip = 0.9,
						   .code = {how ? NS_PW_SIGMOID : NS_PW_TANH, NS_PW_TANH, NS_PW_TANH},
						   .has = {1, 1, 1, 1, 1, 1, how == NS_RECURRENT_LSTM, how == NS_RECURRENT_LSTM}}};

		as_ref(&op,
		       (const struct side[]){{NS_F32, 12},
					     {NS_F32, g * h * 2},
					     {NS_F32, g * h * h},
					     {NS_F32, 2 * g * h},
					     {NS_I32, 2},
					     {NS_F32, 2 * h},
					     {NS_F32, 2 * h},
					     {NS_F32, 3 * h}},
		       8, (void *const[8]){[4] = (int32_t[]){3, 1}}, (const struct side[]){{NS_F32, 6 * h}, {NS_F32, 2 * h}, {NS_F32, 2 * h}}, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_types), cmocka_unit_test(test_types_of_products)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	if (ns_backend_find("cuda"))
		printf("types: cuda: types/cuda ran %d cases, declined 0\n", ran_on_cuda);
	return failed ? failed : ns_backend_find("cuda") && !ran_on_cuda;
}
