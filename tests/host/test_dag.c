/* Rewrites of graphs: what they make computes what was there. */
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

enum { N = 2, C = 3, K = 4, H = 5, W = 6 };

static uint64_t seed = 5;

static float uniform(double low, double high)
{
	return (float)(low + (high - low) * (double)(draw(&seed) >> 11) * 0x1p-53);
}

static int constant(struct ns_dag *d, const struct ns_box *box, double low, double high)
{
	float values[K * C * 9];
	int64_t i, n = ns_box_count(box);
	int value;

	for (i = 0; i < n; i++)
		values[i] = uniform(low, high);
	assert_int_equal(ns_dag_constant(d, NS_F32, box, values, &value), NS_OK);
	return value;
}

/* A convolution and then a few steps by channel, at random; returns the output. */
static int chain(struct ns_dag *d, int bias, int steps)
{
	static const int codes[] = {NS_PW_ADD, NS_PW_SUB, NS_PW_MUL, NS_PW_DIV, NS_PW_NEG};
	const struct ns_box image = {4, {N, C, H, W}}, channels = {3, {K, 1, 1}}, made = {4, {N, K, H, W}}, none = {0};
	struct ns_op op = {.kind = NS_OP_CONVOLVE,
			   .u.convolve = {.dtype = NS_F32,
					  .window = {2, {H, W}, {H, W}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
					  .n = N,
					  .groups = 1,
					  .c = C,
					  .k = K}};
	int in[3], y, i;

	assert_int_equal(ns_dag_input(d, NS_F32, &image, &in[0]), NS_OK);
	in[1] = constant(d, &(struct ns_box){4, {K, C, 3, 3}}, -1, 1);
	in[2] = bias ? constant(d, &(struct ns_box){1, {K}}, -1, 1) : -1;
	op.u.convolve.bias = bias;
	assert_int_equal(ns_dag_value(d, NS_F32, &made, in, 3, &y), NS_OK);
	assert_int_equal(ns_dag_add(d, &op, in, 3, &y, 1), NS_OK);
	for (i = 0; i < steps; i++) {
		int code = codes[below(&seed, 5)], other = constant(d, below(&seed, 2) ? &channels : &none, 0.5, 2),
		    turned = below(&seed, 2) && code != NS_PW_DIV;

		assert_int_equal(ns_dag_formula(d, code, turned ? (int[]){other, y} : (int[]){y, other}, code == NS_PW_NEG ? 1 : 2, NS_F32, &y),
				 NS_OK);
		if (code == NS_PW_NEG && turned) /* that was of the constant */
			assert_int_equal(ns_dag_formula(d, NS_PW_ADD, (int[]){y, other}, 2, NS_F32, &y), NS_OK);
	}
	return y;
}

static void run(const struct ns_dag *d, int output, const float *x, float *y)
{
	const struct ns_backend *b = &ns_backend_ref;
	struct ns_dag_exec *exec;
	struct ns_device *dev;
	struct ns_queue *queue;

	assert_int_equal(b->open(&dev, 0), NS_OK);
	assert_int_equal(b->queue_make(&queue, dev), NS_OK);
	assert_int_equal(ns_dag_exec_make(&exec, d, dev, &output, 1), NS_OK);
	assert_int_equal(ns_dag_exec_run(exec, (const void *const[]){x}, (void *const[]){y}, queue), NS_OK);
	ns_dag_exec_free(exec);
	b->queue_free(queue);
	b->close(dev);
}

static void test_affine(void **state)
{
	int i, k, folded = 0;

	(void)state;
	for (i = 0; i < 200; i++) {
		float x[N * C * H * W], before[N * K * H * W], after[N * K * H * W], largest = 0;
		uint64_t again = seed;
		struct ns_dag *d;
		int y, nodes;

		for (k = 0; k < N * C * H * W; k++)
			x[k] = uniform(-1, 1);
		assert_int_equal(ns_dag_make(&d), NS_OK);
		y = chain(d, i % 2, i % 5);
		if (ns_dag_is_constant(d, y)) { /* a negated constant is one */
			ns_dag_free(d);
			continue;
		}
		nodes = d->node_count;
		run(d, y, x, before);
		assert_int_equal(ns_dag_fold_affine(d, &y, 1), NS_OK);
		run(d, y, x, after);
		folded += nodes > 1 && d->node_count == 1;
		for (k = 0; k < N * K * H * W; k++)
			largest = fabsf(before[k]) > largest ? fabsf(before[k]) : largest;
		for (k = 0; k < N * K * H * W; k++)
			if (!(fabsf(before[k] - after[k]) <= 1e-5f * largest))
				fail_msg("chain %d (%llu): element %d was %g and is %g", i, (unsigned long long)again, k, (double)before[k],
					 (double)after[k]);
		ns_dag_free(d);
	}
	assert_true(folded > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_affine)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
