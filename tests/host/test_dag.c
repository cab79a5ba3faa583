/* Rewrites of graphs: what they make computes what was there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/dag/dag_inner.h"
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

/* --- places in memory --- */

enum { ROWS = 3, COLUMNS = 5, VALUES = 40, OUTPUTS = 3 };

/* The same random graph each time: formulas of any values so far, turned round, in other shapes, one behind the other and cut. from: the input, or a constant. */
static void random_graph(struct ns_dag *d, int from, uint64_t *by, int *outputs)
{
	const struct ns_box box = {2, {ROWS, COLUMNS}}, turned = {2, {COLUMNS, ROWS}};
	static const int codes[] = {NS_PW_ADD, NS_PW_SUB, NS_PW_MAX, NS_PW_MIN};
	int value[VALUES], n = 1, i, y;

	value[0] = from;
	while (n < VALUES) {
		int a = value[below(by, (uint64_t)n)], b = value[below(by, (uint64_t)n)];

		switch (below(by, 4)) {
		case 0:
			assert_int_equal(ns_dag_transpose(d, a, (const int[]){1, 0}, &y), NS_OK);
			assert_int_equal(ns_dag_view(d, y, &box, &y), NS_OK);
			break;
		case 1:
			assert_int_equal(ns_dag_view(d, a, &turned, &y), NS_OK);
			assert_int_equal(ns_dag_transpose(d, y, (const int[]){1, 0}, &y), NS_OK);
			break;
		case 2:
			assert_int_equal(ns_dag_concat(d, (const int[]){a, b}, 2, 0, &y), NS_OK);
			assert_int_equal(ns_dag_slice(d, y, (const int64_t[]){ROWS - 1, 0}, (const int64_t[]){1, 1}, &box, &y), NS_OK);
			break;
		default:
			assert_int_equal(ns_dag_formula(d, codes[below(by, 4)], (const int[]){a, b}, 2, NS_F32, &y), NS_OK);
		}
		value[n++] = y;
	}
	for (i = 0; i < OUTPUTS; i++)
		outputs[i] = value[(uint64_t)n / 2 + below(by, (uint64_t)n / 2)];
}

static int root(const struct ns_dag *d, int value)
{
	return d->values[value].same_as < 0 ? value : d->values[value].same_as;
}

/* No two values that are needed at the same time share a byte; counted in another way than places are found. */
static size_t check_places(const struct ns_dag *d, const int *outputs)
{
	int first[1000], last[1000], i, k, j;
	size_t at[1000], bytes, all = 0;
	char runs[1000];

	assert_true(d->value_count < 1000 && d->node_count < 1000);
	memset(runs, 1, sizeof runs);
	assert_int_equal(ns_dag_place(d, runs, outputs, OUTPUTS, at, &bytes), NS_OK);
	for (i = 0; i < d->value_count; i++)
		first[i] = last[i] = -1;
	for (i = 0; i < d->node_count; i++)
		for (k = 0; k < d->nodes[i].ins + d->nodes[i].outs; k++) {
			int v = root(d, k < d->nodes[i].ins ? d->nodes[i].in[k] : d->nodes[i].out[k - d->nodes[i].ins]);

			if (k >= d->nodes[i].ins && first[v] < 0)
				first[v] = i;
			last[v] = i;
		}
	for (i = 0; i < OUTPUTS; i++)
		last[root(d, outputs[i])] = d->node_count;
	for (i = 0; i < d->value_count; i++) {
		size_t mine = (size_t)ns_box_count(&d->values[i].box) * 4;

		assert_int_equal(at[i] == NS_DAG_NOWHERE, first[i] < 0);
		if (first[i] < 0)
			continue;
		all += mine;
		assert_true(at[i] % 64 == 0 && at[i] + mine <= bytes);
		for (j = 0; j < i; j++)
			if (first[j] >= 0 && first[i] <= last[j] && first[j] <= last[i])
				assert_true(at[i] + mine <= at[j] || at[j] + (size_t)ns_box_count(&d->values[j].box) * 4 <= at[i]);
	}
	return all > bytes ? all - bytes : 0;
}

/* Values that share places give what they give without. */
static void test_places(void **state)
{
	const struct ns_box box = {2, {ROWS, COLUMNS}};
	size_t saved = 0;
	int round, i, k;

	(void)state;
	for (round = 0; round < 100; round++) {
		uint64_t by = (uint64_t)round, again = by;
		float x[ROWS * COLUMNS], y[OUTPUTS][2 * ROWS * COLUMNS];
		int from, known[OUTPUTS], outputs[OUTPUTS];
		const struct ns_backend *b = &ns_backend_ref;
		struct ns_dag *d, *constants;
		struct ns_dag_exec *exec;
		struct ns_device *dev;
		struct ns_queue *queue;

		for (k = 0; k < ROWS * COLUMNS; k++)
			x[k] = uniform(-1, 1);
		assert_int_equal(ns_dag_make(&constants), NS_OK);
		assert_int_equal(ns_dag_constant(constants, NS_F32, &box, x, &from), NS_OK);
		random_graph(constants, from, &by, known);
		assert_int_equal(ns_dag_make(&d), NS_OK);
		assert_int_equal(ns_dag_input(d, NS_F32, &box, &from), NS_OK);
		random_graph(d, from, &again, outputs);
		saved += check_places(d, outputs);
		assert_int_equal(b->open(&dev, 0), NS_OK);
		assert_int_equal(b->queue_make(&queue, dev), NS_OK);
		assert_int_equal(ns_dag_exec_make(&exec, d, dev, outputs, OUTPUTS), NS_OK);
		assert_int_equal(ns_dag_exec_run(exec, (const void *const[]){x}, (void *const[]){y[0], y[1], y[2]}, queue), NS_OK);
		for (i = 0; i < OUTPUTS; i++)
			for (k = 0; k < ROWS * COLUMNS; k++)
				if ((double)y[i][k] != ns_dag_number(constants, known[i], k))
					fail_msg("graph %d, output %d, element %d: %g, expected %g", round, i, k, (double)y[i][k],
						 ns_dag_number(constants, known[i], k));
		ns_dag_exec_free(exec);
		b->queue_free(queue);
		b->close(dev);
		ns_dag_free(d);
		ns_dag_free(constants);
	}
	assert_true(saved > 20000); /* bytes: places are shared */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_affine), cmocka_unit_test(test_places)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
