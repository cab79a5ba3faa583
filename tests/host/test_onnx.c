/* Operators of ONNX by known answers that its own cases do not have: older meanings of a name, edges, directions, types that meet. The models are written here. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/onnx/onnx.h"

/* --- messages --- */

struct bytes {
	unsigned char at[4000];
	size_t n;
};

static void put_number(struct bytes *b, uint64_t n)
{
	for (; n > 127; n >>= 7)
		b->at[b->n++] = (unsigned char)(n & 127) | 128;
	b->at[b->n++] = (unsigned char)n;
}

static void put_int(struct bytes *b, int field, int64_t value)
{
	put_number(b, (uint64_t)field << 3);
	put_number(b, (uint64_t)value);
}

static void put_bytes(struct bytes *b, int field, const void *from, size_t n)
{
	put_number(b, (uint64_t)field << 3 | 2);
	put_number(b, n);
	memcpy(b->at + b->n, from, n);
	b->n += n;
}

static void put_text(struct bytes *b, int field, const char *text)
{
	put_bytes(b, field, text, strlen(text));
}

/* "axis=1 direction=reverse" */
static void put_attributes(struct bytes *node, const char *list)
{
	char name[40], value[60];
	int n;

	while (sscanf(list, " %39[^=]=%59s%n", name, value, &n) == 2) {
		struct bytes a = {.n = 0};
		char *end;
		int64_t i = strtoll(value, &end, 10);

		put_text(&a, 1, name);
		if (*value == '[') { /* [2,2] */
			for (end = value + 1; *end && *end != ']'; end += *end == ',')
				put_int(&a, 8, strtoll(end, &end, 10));
			put_int(&a, 20, 7);
		} else if (*end) {
			put_text(&a, 4, value);
			put_int(&a, 20, 3);
		} else {
			put_int(&a, 3, i);
			put_int(&a, 20, 2);
		}
		put_bytes(node, 5, a.at, a.n);
		list += n;
	}
}

struct given {
	enum ns_dtype dtype;
	struct ns_box box;
	const void *data;
};

/* One node of these inputs; its first outputs as constants of the graph, which the caller frees. */
static struct ns_dag *compute(const char *op, int opset, const char *attributes, const struct given *in, int ins, int *outputs, int outs)
{
	char path[] = "/tmp/nightshift-onnx.XXXXXX", name[8];
	struct bytes node = {.n = 0}, graph = {.n = 0}, model = {.n = 0}, set = {.n = 0};
	struct ns_onnx_feed feeds[8];
	struct ns_onnx *o;
	struct ns_dag *dag;
	int i, fd;

	for (i = 0; i < ins + outs; i++) {
		snprintf(name, sizeof name, "%c%d", i < ins ? 'x' : 'y', i < ins ? i : i - ins);
		put_text(&node, i < ins ? 1 : 2, i < ins && !in[i].data ? "" : name);
	}
	put_text(&node, 4, op);
	put_attributes(&node, attributes);
	put_bytes(&graph, 1, node.at, node.n);
	for (i = 0; i < ins + outs; i++) {
		struct bytes value = {.n = 0};

		snprintf(name, sizeof name, "%c%d", i < ins ? 'x' : 'y', i < ins ? i : i - ins);
		put_text(&value, 1, name);
		if (i >= ins || in[i].data)
			put_bytes(&graph, i < ins ? 11 : 12, value.at, value.n);
	}
	put_int(&set, 2, opset);
	put_bytes(&model, 8, set.at, set.n);
	put_bytes(&model, 7, graph.at, graph.n);
	fd = mkstemp(path);
	assert_int_equal(write(fd, model.at, model.n), model.n);
	close(fd);
	assert_int_equal(ns_onnx_read(&o, path), NS_OK);
	unlink(path);
	assert_int_equal(ns_dag_make(&dag), NS_OK);
	for (ins = 0, i = 0; i < 8; i++)
		if (i < o->inputs)
			feeds[ins++] = (struct ns_onnx_feed){0};
	for (fd = 0, i = 0; fd < ins; i++)
		if (in[i].data)
			feeds[fd++] = (struct ns_onnx_feed){.dtype = in[i].dtype, .box = in[i].box, .data = in[i].data};
	if (ns_onnx_graph(o, feeds, ins, dag, outputs) != NS_OK)
		fail_msg("%s: %s", op, ns_message());
	ns_onnx_free(o);
	return dag;
}

static void floats_are(struct ns_dag *dag, int value, const double *wanted, int n)
{
	int i;

	assert_int_equal(ns_box_count(&ns_dag_at(dag, value)->box), n);
	for (i = 0; i < n; i++)
		if (!(fabs(ns_dag_number(dag, value, i) - wanted[i]) <= 1e-6))
			fail_msg("element %d is %.9g, expected %.9g", i, ns_dag_number(dag, value, i), wanted[i]);
}

#define F(...)                                                                                                                                       \
	(const float[])                                                                                                                              \
	{                                                                                                                                            \
		__VA_ARGS__                                                                                                                          \
	}
#define I(...)                                                                                                                                       \
	(const int64_t[])                                                                                                                            \
	{                                                                                                                                            \
		__VA_ARGS__                                                                                                                          \
	}
#define D(...)                                                                                                                                       \
	(const double[])                                                                                                                             \
	{                                                                                                                                            \
		__VA_ARGS__                                                                                                                          \
	}

/* A window that begins inside and ends beyond the padding counts what lies in image and padding alone. */
static void test_pool_edges(void **state)
{
	struct given x = {NS_F32, {3, {1, 1, 3}}, F(1, 2, 3)};
	struct ns_dag *dag;
	int y[2];

	(void)state;
	dag = compute("AveragePool", 11, "kernel_shape=[2] strides=[2] ceil_mode=1 count_include_pad=1", &x, 1, y, 1);
	floats_are(dag, y[0], D(1.5, 3), 2);
	ns_dag_free(dag);
	dag = compute("AveragePool", 11, "kernel_shape=[2] strides=[2] pads=[0,1] count_include_pad=1", &x, 1, y, 1);
	floats_are(dag, y[0], D(1.5, 1.5), 2);
	ns_dag_free(dag);
	dag = compute("AveragePool", 11, "kernel_shape=[2] strides=[2] pads=[0,1]", &x, 1, y, 1);
	floats_are(dag, y[0], D(1.5, 3), 2);
	ns_dag_free(dag);
	dag = compute("MaxPool", 11, "kernel_shape=[2] strides=[2] ceil_mode=1", &x, 1, y, 2);
	floats_are(dag, y[0], D(2, 3), 2);
	floats_are(dag, y[1], D(1, 2), 2);
	ns_dag_free(dag);
	dag = compute("MaxPool", 11, "kernel_shape=[2] dilations=[3] strides=[2] ceil_mode=1", &x, 1, y, 2); /* its second place is beyond */
	floats_are(dag, y[0], D(1), 1);
	ns_dag_free(dag);
	{ /* indices count over all planes */
		struct given two = {NS_F32, {3, {1, 2, 4}}, F(1, 2, 4, 3, 8, 7, 5, 6)};

		dag = compute("MaxPool", 11, "kernel_shape=[2] strides=[2]", &two, 1, y, 2);
		floats_are(dag, y[1], D(1, 2, 4, 7), 4);
		ns_dag_free(dag);
	}
}

/* Before version 13 all axes from the first on were one. */
static void test_softmax_versions(void **state)
{
	struct given x = {NS_F32, {3, {1, 2, 2}}, F(0, 0, 0, 0)};
	struct ns_dag *dag;
	int y;

	(void)state;
	dag = compute("Softmax", 11, "axis=1", &x, 1, &y, 1);
	floats_are(dag, y, D(.25, .25, .25, .25), 4);
	ns_dag_free(dag);
	dag = compute("Softmax", 13, "axis=1", &x, 1, &y, 1);
	floats_are(dag, y, D(.5, .5, .5, .5), 4);
	ns_dag_free(dag);
}

/* Axes were an attribute of ReduceSum until 12, and of ReduceMean until 17. */
static void test_reduce_versions(void **state)
{
	const struct given x[2] = {{NS_F32, {2, {2, 2}}, F(1, 2, 3, 4)}, {NS_I64, {1, {1}}, I(1)}};
	struct ns_dag *dag;
	int y;

	(void)state;
	dag = compute("ReduceSum", 11, "axes=[0] keepdims=0", x, 1, &y, 1);
	floats_are(dag, y, D(4, 6), 2);
	ns_dag_free(dag);
	dag = compute("ReduceSum", 13, "keepdims=0", x, 2, &y, 1);
	floats_are(dag, y, D(3, 7), 2);
	ns_dag_free(dag);
	dag = compute("ReduceMean", 13, "axes=[1] keepdims=0", x, 1, &y, 1);
	floats_are(dag, y, D(1.5, 3.5), 2);
	ns_dag_free(dag);
	dag = compute("ReduceMean", 18, "keepdims=0", x, 2, &y, 1);
	floats_are(dag, y, D(1.5, 3.5), 2);
	ns_dag_free(dag);
}

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

/* One hidden value, two steps: by hand, in both directions. */
static void test_recurrent(void **state)
{
	const struct given rnn[4] = {{NS_F32, {3, {2, 1, 1}}, F(.5f, -1)},
				     {NS_F32, {3, {1, 1, 1}}, F(.7f)},
				     {NS_F32, {3, {1, 1, 1}}, F(-.3f)},
				     {NS_F32, {2, {1, 2}}, F(.1f, .2f)}};
	const struct given gru[4] = {{NS_F32, {3, {2, 1, 1}}, F(.5f, -1)},
				     {NS_F32, {3, {1, 3, 1}}, F(.7f, -.2f, .9f)},
				     {NS_F32, {3, {1, 3, 1}}, F(-.3f, .4f, .8f)},
				     {NS_F32, {2, {1, 6}}, F(.1f, .2f, .3f, -.1f, .05f, .6f)}};
	double h1 = tanh(.7 * .5 + .3), h2 = tanh(.7 * -1 + .3 - .3 * h1), b1 = tanh(.7 * -1 + .3), b0 = tanh(.7 * .5 + .3 - .3 * b1), h[2];
	struct ns_dag *dag;
	int y[2], reset;

	(void)state;
	dag = compute("RNN", 14, "hidden_size=1", rnn, 4, y, 2);
	floats_are(dag, y[0], D(h1, h2), 2);
	floats_are(dag, y[1], D(h2), 1);
	ns_dag_free(dag);
	dag = compute("RNN", 14, "hidden_size=1 direction=reverse", rnn, 4, y, 2);
	floats_are(dag, y[0], D(b0, b1), 2);
	floats_are(dag, y[1], D(b0), 1);
	ns_dag_free(dag);
	for (reset = 0; reset < 2; reset++) {
		double before = 0;
		int t;

		for (t = 0; t < 2; t++) {
			double x = t ? -1 : .5, z = sigmoid(.7 * x + .1 - .1 - .3 * before), r = sigmoid(-.2 * x + .2 + .05 + .4 * before);
			double inner = reset ? r * (.8 * before + .6) : .8 * (r * before) + .6, c = tanh(.9 * x + .3 + inner);

			before = h[t] = (1 - z) * c + z * before;
		}
		dag = compute("GRU", 14, reset ? "hidden_size=1 linear_before_reset=1" : "hidden_size=1", gru, 4, y, 2);
		floats_are(dag, y[0], h, 2);
		ns_dag_free(dag);
	}
}

/* Axes of 1 repeat where dots stand for them, whichever operand has them; an axis of one operand twice is its diagonal. */
static void test_einsum(void **state)
{
	const struct given ab[2] = {{NS_F32, {3, {2, 1, 2}}, F(1, 2, 3, 4)}, {NS_F32, {3, {1, 2, 1}}, F(10, 100)}};
	const struct given square = {NS_F32, {2, {2, 2}}, F(1, 2, 3, 4)};
	struct ns_dag *dag;
	int y;

	(void)state;
	dag = compute("Einsum", 12, "equation=...ij,...jk->...ik", ab, 2, &y, 1);
	floats_are(dag, y, D(210, 430), 2);
	ns_dag_free(dag);
	dag = compute("Einsum", 12, "equation=ii->i", &square, 1, &y, 1);
	floats_are(dag, y, D(1, 4), 2);
	ns_dag_free(dag);
	dag = compute("Einsum", 12, "equation=ij->", &square, 1, &y, 1);
	floats_are(dag, y, D(10), 1);
	ns_dag_free(dag);
}

/* A whole number to the power of a float stays one, exactly. */
static void test_types_that_meet(void **state)
{
	const struct given x[2] = {{NS_I64, {0}, I(3)}, {NS_F32, {0}, F(33)}};
	struct ns_dag *dag;
	int y;

	(void)state;
	dag = compute("Pow", 13, "", x, 2, &y, 1);
	assert_true(ns_dag_at(dag, y)->dtype == NS_I64 && ns_dag_whole(dag, y, 0) == 5559060566555523);
	ns_dag_free(dag);
}

/* Reductions that leave every axis are of one element each; of nothing, a maximum is below all numbers. */
static void test_reductions_of_little(void **state)
{
	const struct given x = {NS_F32, {2, {2, 1}}, F(-3, 2)}, none = {NS_F32, {2, {0, 3}}, F(0)};
	struct ns_dag *dag;
	int y;

	(void)state;
	dag = compute("ReduceSumSquare", 18, "noop_with_empty_axes=1", &x, 1, &y, 1);
	floats_are(dag, y, D(9, 4), 2);
	ns_dag_free(dag);
	dag = compute("ReduceL1", 18, "noop_with_empty_axes=1", &x, 1, &y, 1);
	floats_are(dag, y, D(3, 2), 2);
	ns_dag_free(dag);
	dag = compute("ReduceMax", 20, "keepdims=0", &none, 1, &y, 1);
	assert_true(ns_dag_number(dag, y, 0) == -INFINITY);
	ns_dag_free(dag);
	dag = compute("ReduceMin", 20, "keepdims=0", &none, 1, &y, 1);
	assert_true(ns_dag_number(dag, y, 0) == INFINITY);
	ns_dag_free(dag);
}

/* Numbers whose highest bit is no sign. */
static void test_unsigned(void **state)
{
	const uint64_t high = (uint64_t)1 << 63;
	const uint64_t a[3] = {high + 6, 5, high}, two[1] = {2};
	const struct given x[2] = {{NS_U64, {1, {3}}, a}, {NS_U64, {1, {1}}, two}};
	const struct given top[2] = {{NS_U64, {1, {3}}, a}, {NS_I64, {1, {1}}, I(2)}};
	struct ns_dag *dag;
	int y[2];

	(void)state;
	dag = compute("Div", 14, "", x, 2, y, 1);
	assert_true(ns_dag_whole(dag, y[0], 0) == (int64_t)((high >> 1) + 3) && ns_dag_whole(dag, y[0], 1) == 2);
	ns_dag_free(dag);
	dag = compute("Greater", 13, "", x, 2, y, 1);
	floats_are(dag, y[0], D(1, 1, 1), 3);
	ns_dag_free(dag);
	dag = compute("BitShift", 11, "direction=RIGHT", x, 2, y, 1);
	assert_true(ns_dag_whole(dag, y[0], 0) == (int64_t)((high >> 2) + 1));
	ns_dag_free(dag);
	dag = compute("ReduceMax", 18, "keepdims=0", x, 1, y, 1);
	assert_true((uint64_t)ns_dag_whole(dag, y[0], 0) == high + 6);
	ns_dag_free(dag);
	dag = compute("TopK", 11, "", top, 2, y, 2);
	assert_true((uint64_t)ns_dag_whole(dag, y[0], 0) == high + 6 && ns_dag_whole(dag, y[1], 1) == 2);
	ns_dag_free(dag);
}

/* Means and squares of half precision are taken in f32: 300 squared is more than it holds. Version 18's groups have one scale each. */
static void test_norms(void **state)
{
	const uint16_t half[2] = {0x5cb0, 0xdcb0}, ones[2] = {0x3c00, 0x3c00}; /* +-300 */
	const struct given layer[2] = {{NS_F16, {2, {1, 2}}, half}, {NS_F16, {1, {2}}, ones}};
	const struct given group[3] = {{NS_F32, {3, {1, 4, 1}}, F(1, 3, 5, 9)}, {NS_F32, {1, {2}}, F(1, 10)}, {NS_F32, {1, {2}}, F(0, 100)}};
	struct ns_dag *dag;
	int y;

	(void)state;
	dag = compute("LayerNormalization", 17, "", layer, 2, &y, 1);
	floats_are(dag, y, D(1, -1), 2);
	ns_dag_free(dag);
	dag = compute("GroupNormalization", 18, "num_groups=2", group, 3, &y, 1);
	assert_true(fabs(ns_dag_number(dag, y, 0) + 1) < 1e-4 && fabs(ns_dag_number(dag, y, 1) - 1) < 1e-4);
	assert_true(fabs(ns_dag_number(dag, y, 2) - 90) < 1e-4 && fabs(ns_dag_number(dag, y, 3) - 110) < 1e-4);
	ns_dag_free(dag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pool_edges),
					   cmocka_unit_test(test_softmax_versions),
					   cmocka_unit_test(test_reduce_versions),
					   cmocka_unit_test(test_recurrent),
					   cmocka_unit_test(test_einsum),
					   cmocka_unit_test(test_types_that_meet),
					   cmocka_unit_test(test_reductions_of_little),
					   cmocka_unit_test(test_unsigned),
					   cmocka_unit_test(test_norms)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
