/*
 * Channels last: random graphs of images - convolutions of every kind, formulas, means, pooling, slices, joins, shuffles, products - rewritten for inference and run on each
 * backend. The answer is the same graph of constants, which ref computes as it is built, in its order and without a rewrite.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/dag/dag.h"
#include "kernels/formula/pointwise.h"
#include "tests/splitmix.h"

enum { VALUES = 24, OUTPUTS = 4 };

static float *random_floats(uint64_t *by, int64_t n, double low, double high)
{
	float *p = malloc(sizeof *p * (size_t)(n + 1));
	int64_t i;

	for (i = 0; i < n; i++)
		p[i] = (float)(low + (high - low) * (double)(draw(by) >> 11) * 0x1p-53);
	return p;
}

static int known(struct ns_dag *d, uint64_t *by, const struct ns_box *box, double low, double high)
{
	float *p = random_floats(by, ns_box_count(box), low, high);
	int value;

	assert_int_equal(ns_dag_constant(d, NS_F32, box, p, &value), NS_OK);
	free(p);
	return value;
}

#define BOX(value) (ns_dag_at(d, value)->box)
#define MUST(call)                                                                                                                                   \
	do {                                                                                                                                         \
		if ((call) != NS_OK)                                                                                                                 \
			fail_msg("%s: %s", #call, ns_message());                                                                                     \
	} while (0)

static int convolution(struct ns_dag *d, uint64_t *by, int x)
{
	const struct ns_box b = BOX(x);
	const int kind = (int)below(by, 4); /* 0, 1: of all channels, 2: depthwise, 3: by groups where they fit */
	struct ns_op op = {.kind = NS_OP_CONVOLVE};
	struct ns_op_convolve *v = &op.u.convolve;
	struct ns_box out = b;
	double most;
	int in[3], y, a;

	*v = (struct ns_op_convolve){.dtype = NS_F32,
				     .n = b.dim[0],
				     .groups = 1,
				     .c = b.dim[1],
				     .k = ns_box_count(&b) <= 64 && below(by, 2) ? ns_box_count(&b) : 1 + (int64_t)below(by, 40)};
	if (kind == 2)
		*v = (struct ns_op_convolve){.dtype = NS_F32, .n = b.dim[0], .groups = b.dim[1], .c = 1, .k = 1};
	if (kind == 3 && b.dim[1] % 2 == 0)
		*v = (struct ns_op_convolve){.dtype = NS_F32, .n = b.dim[0], .groups = 2, .c = b.dim[1] / 2, .k = 8 + (int64_t)below(by, 4)};
	v->bias = (int)below(by, 2);
	v->window.axes = 2;
	for (a = 0; a < 2; a++) {
		v->window.in[a] = b.dim[2 + a];
		v->window.kernel[a] = b.dim[2 + a] < 3 ? 1 : 1 + 2 * (int64_t)below(by, 2);
		v->window.pad[a] = v->window.pad_end[a] = v->window.kernel[a] / 2;
		v->window.stride[a] = b.dim[2 + a] > 4 ? 1 + (int64_t)below(by, 2) : 1;
		v->window.dilation[a] = 1;
		out.dim[2 + a] = v->window.out[a] = (b.dim[2 + a] - 1) / v->window.stride[a] + 1;
	}
	out.dim[1] = v->groups * v->k;
	most = sqrt(3.0 / (double)(v->c * v->window.kernel[0] * v->window.kernel[1])); /* so that values neither grow nor vanish */
	in[0] = x;
	in[1] = known(d, by, &(struct ns_box){4, {v->groups * v->k, v->c, v->window.kernel[0], v->window.kernel[1]}}, -most, most);
	if (below(by, 12) == 0) { /* weights that are known only when it runs */
		MUST(ns_dag_reduce(d, x, NS_REDUCE_MEAN, 15, 0, &y));
		MUST(ns_dag_formula(d, NS_PW_SUB, (int[]){y, y}, 2, NS_F32, &y));
		MUST(ns_dag_formula(d, NS_PW_ADD, (int[]){in[1], y}, 2, NS_F32, &in[1]));
	}
	in[2] = v->bias ? known(d, by, &(struct ns_box){1, {v->groups * v->k}}, -1, 1) : -1;
	if (v->bias && ns_box_count(&b) == v->groups * v->k) /* one that is an image, seen as a list */
		MUST(ns_dag_view(d, x, &(struct ns_box){1, {v->groups * v->k}}, &in[2]));
	MUST(ns_dag_value(d, NS_F32, &out, in, 3, &y));
	MUST(ns_dag_add(d, &op, in, 3, &y, 1));
	return y;
}

/* x * clip(x + 3, 0, 6) / 6, as files write it; or something like it, which is another thing. */
static int hard_swish(struct ns_dag *d, int x, int spelling)
{
	const float by = spelling & 16 ? 5 : 6;
	int three, six, zero, y;

	MUST(ns_dag_constant(d, NS_F32, &(struct ns_box){0}, (float[]){spelling & 32 ? 2 : 3}, &three));
	MUST(ns_dag_constant(d, NS_F32, &(struct ns_box){0}, (float[]){spelling & 1 ? by : 1 / by}, &six));
	MUST(ns_dag_formula(d, NS_PW_ADD, spelling & 2 ? (int[]){x, three} : (int[]){three, x}, 2, NS_F32, &y));
	MUST(ns_dag_constant(d, NS_F32, &(struct ns_box){0}, NULL, &zero));
	MUST(ns_dag_formula(d, NS_PW_MAX, (int[]){y, zero}, 2, NS_F32, &y));
	MUST(ns_dag_formula_of(d, NS_PW_MIN, y, (double[]){6}, 1, NS_F32, &y));
	if (spelling & 4)
		MUST(ns_dag_formula(d, NS_PW_MUL, spelling & 8 ? (int[]){x, y} : (int[]){y, x}, 2, NS_F32, &y));
	MUST(ns_dag_formula(d, spelling & 1 ? NS_PW_DIV : NS_PW_MUL, (int[]){y, six}, 2, NS_F32, &y));
	if (!(spelling & 4))
		MUST(ns_dag_formula(d, NS_PW_MUL, spelling & 8 ? (int[]){x, y} : (int[]){y, x}, 2, NS_F32, &y));
	return y;
}

static int formula(struct ns_dag *d, uint64_t *by, int x)
{
	static const int codes[] = {NS_PW_RELU, NS_PW_SIGMOID, NS_PW_NEG, NS_PW_TANH};
	const struct ns_box b = BOX(x);
	int other, y;

	switch (below(by, 6)) {
	case 0:
		MUST(ns_dag_formula(d, NS_PW_SIGMOID, &x, 1, NS_F32, &other));
		MUST(ns_dag_formula(d, NS_PW_MUL, below(by, 2) ? (int[]){x, other} : (int[]){other, x}, 2, NS_F32, &y));
		return y;
	case 4:
		return hard_swish(d, x, (int)below(by, 64));
	case 1: /* by channel */
		other = known(d, by, &(struct ns_box){3, {b.dim[1], 1, 1}}, 0.5, 1.5);
		break;
	case 2: /* squeeze and excite */
		MUST(ns_dag_reduce(d, x, NS_REDUCE_MEAN, 12, 1, &other));
		break;
	case 3: /* by place */
		MUST(ns_dag_reduce(d, x, below(by, 2) ? NS_REDUCE_MAX : NS_REDUCE_MEAN, 2, 1, &other));
		break;
	default:
		MUST(ns_dag_formula(d, codes[below(by, 4)], &x, 1, NS_F32, &y));
		return y;
	}
	MUST(ns_dag_formula(d, below(by, 2) ? NS_PW_MUL : NS_PW_ADD, below(by, 2) ? (int[]){x, other} : (int[]){other, x}, 2, NS_F32, &y));
	return y;
}

static int pooled(struct ns_dag *d, uint64_t *by, int x)
{
	const struct ns_box b = BOX(x);
	struct ns_op op = {.kind = NS_OP_POOL_ND,
			   .u.pool_nd = {.dtype = NS_F32,
					 .planes = b.dim[0] * b.dim[1],
					 .inner = 1,
					 .how = below(by, 2) ? NS_WINDOW_MAX : NS_WINDOW_AVG,
					 .with_padding = (int)below(by, 2),
					 .window = {2, {b.dim[2], b.dim[3]}, {b.dim[2], b.dim[3]}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}}};
	int y;

	MUST(ns_dag_value(d, NS_F32, &b, &x, 1, &y));
	MUST(ns_dag_add(d, &op, &x, 1, &y, 1));
	return y;
}

/* Twice as high, or half as wide. */
static int resized(struct ns_dag *d, uint64_t *by, int x)
{
	const int axis = 1 + (int)below(by, 3);
	struct ns_box b = BOX(x);
	struct ns_op op = {.kind = NS_OP_RESAMPLE, .u.resample = {.dtype = NS_F32, .outer = 1, .inner = 1, .n = b.dim[axis], .taps = 2}};
	int64_t m = axis == 2 && b.dim[axis] < 8 ? 2 * b.dim[axis] : (b.dim[axis] + 1) / 2, i;
	int32_t *index = malloc(sizeof *index * (size_t)(2 * m));
	float *weight = random_floats(by, 2 * m, 0, 0.5);
	int in[3] = {x}, y, a;

	for (a = 0; a < 4; a++)
		*(a < axis ? &op.u.resample.outer : &op.u.resample.inner) *= a == axis ? 1 : b.dim[a];
	for (i = 0; i < 2 * m; i++)
		index[i] = (int32_t)below(by, (uint64_t)b.dim[axis]);
	op.u.resample.m = b.dim[axis] = m;
	MUST(ns_dag_constant(d, NS_I32, &(struct ns_box){1, {2 * m}}, index, &in[1]));
	MUST(ns_dag_constant(d, NS_F32, &(struct ns_box){1, {2 * m}}, weight, &in[2]));
	MUST(ns_dag_value(d, NS_F32, &b, in, 3, &y));
	MUST(ns_dag_add(d, &op, in, 3, &y, 1));
	free(index);
	free(weight);
	return y;
}

/* Elements to other places: a slice, a border, channels dealt out, rows for columns. */
static int moved(struct ns_dag *d, uint64_t *by, int x)
{
	struct ns_box b = BOX(x);
	int64_t start[4] = {0}, step[4] = {1, 1, 1, 1}, before[4] = {0}, after[4] = {0};
	const int axis = 1 + (int)below(by, 3);
	int y;

	switch (below(by, 6)) {
	case 4: /* all of an image backwards: across its axes */
		MUST(ns_dag_view(d, x, &(struct ns_box){2, {b.dim[0], b.dim[1] * b.dim[2] * b.dim[3]}}, &y));
		start[1] = b.dim[1] * b.dim[2] * b.dim[3] - 1;
		step[1] = -1;
		MUST(ns_dag_slice(d, y, start, step, &(struct ns_box){2, {b.dim[0], start[1] + 1}}, &y));
		MUST(ns_dag_view(d, y, &b, &y));
		return y;
	case 0:
		step[axis] = b.dim[axis] > 3 ? (int64_t)below(by, 2) + 1 : 1;
		start[axis] = b.dim[axis] > 3 ? 1 : 0;
		b.dim[axis] = (b.dim[axis] - start[axis] - 1) / step[axis] + 1;
		MUST(ns_dag_slice(d, x, start, step, &b, &y));
		return y;
	case 1: /* the other way round */
		start[axis] = b.dim[axis] - 1;
		step[axis] = -1;
		MUST(ns_dag_slice(d, x, start, step, &b, &y));
		return y;
	case 2:
		if (b.dim[axis] < 3 || b.dim[axis] > 20)
			return x;
		before[axis] = 1;
		after[axis] = (int64_t)below(by, 2);
		MUST(ns_dag_pad(d, x, before, after, (int[]){NS_MOVE_PLAIN, NS_MOVE_EDGE, NS_MOVE_REFLECT, NS_MOVE_WRAP}[below(by, 4)], -1, &y));
		return y;
	case 3: /* a shuffle of channels */
		if (b.dim[1] % 2)
			return x;
		MUST(ns_dag_view(d, x, &(struct ns_box){5, {b.dim[0], 2, b.dim[1] / 2, b.dim[2], b.dim[3]}}, &y));
		MUST(ns_dag_transpose(d, y, (const int[]){0, 2, 1, 3, 4}, &y));
		MUST(ns_dag_view(d, y, &b, &y));
		return y;
	default:
		MUST(ns_dag_transpose(d, x, below(by, 2) ? (const int[]){0, 1, 3, 2} : (const int[]){0, 2, 3, 1}, &y));
		return y;
	}
}

/* Rows times a known matrix: along the last axis, or of all that an image has. */
static int product(struct ns_dag *d, uint64_t *by, int x)
{
	const struct ns_box b = BOX(x);
	int64_t m = 1 + (int64_t)below(by, 20);
	int w, y, z, turned = (int)below(by, 2);

	switch (below(by, 7)) {
	case 0: /* a matrix for each channel */
		w = known(d, by, &(struct ns_box){3, {b.dim[1], b.dim[3], m}}, -0.5, 0.5);
		MUST(ns_dag_matmul(d, x, w, 0, NS_F32, &y));
		return y;
	case 1: /* the same matrix both ways round */
		w = known(d, by, &(struct ns_box){2, {b.dim[3], b.dim[3]}}, -0.5, 0.5);
		MUST(ns_dag_matmul(d, x, w, 0, NS_F32, &y));
		MUST(ns_dag_matmul(d, x, w, 2, NS_F32, &z));
		MUST(ns_dag_formula(d, NS_PW_ADD, (int[]){y, z}, 2, NS_F32, &y));
		return y;
	case 2: /* each number by itself */
		w = known(d, by, &(struct ns_box){2, {1, 1}}, -1.5, 1.5);
		MUST(ns_dag_view(d, x, &(struct ns_box){2, {ns_box_count(&b), 1}}, &y));
		MUST(ns_dag_matmul(d, y, w, 0, NS_F32, &y));
		MUST(ns_dag_view(d, y, &b, &y));
		return y;
	case 4: { /* rows in another order than they lie in, as an einsum may have them */
		struct ns_op op = {.kind = NS_OP_CONTRACT};
		struct ns_op_contract *v = &op.u.contract;
		const int64_t rows = b.dim[0] * b.dim[1];

		w = known(d, by, &(struct ns_box){2, {b.dim[3], m}}, -0.5, 0.5);
		*v = (struct ns_op_contract){.dtype = NS_F32,
					     .out_dtype = NS_F32,
					     .out = {3, {b.dim[2], rows, m}},
					     .sum = {1, {b.dim[3]}},
					     .a_out = {b.dim[3], b.dim[2] * b.dim[3], 0},
					     .b_out = {0, 0, 1},
					     .a_sum = {1},
					     .b_sum = {m}};
		MUST(ns_dag_value(d, NS_F32, &v->out, (int[]){x, w}, 2, &y));
		MUST(ns_dag_add(d, &op, (int[]){x, w}, 2, &y, 1));
		MUST(ns_dag_view(d, y, &(struct ns_box){4, {1, b.dim[2], rows, m}}, &y));
		return y;
	}
	case 3: /* rows of a turned image */
		MUST(ns_dag_transpose(d, x, (const int[]){0, 1, 3, 2}, &y));
		w = known(d, by, &(struct ns_box){2, {b.dim[2], m}}, -0.5, 0.5);
		MUST(ns_dag_matmul(d, y, w, 0, NS_F32, &y));
		return y;
	default:
		break;
	}

	if (below(by, 2)) {
		w = known(d, by, turned ? &(struct ns_box){2, {m, b.dim[3]}} : &(struct ns_box){2, {b.dim[3], m}}, -0.5, 0.5);
		MUST(ns_dag_matmul(d, x, w, turned ? 2 : 0, NS_F32, &y));
		return y;
	}
	MUST(ns_dag_view(d, x, &(struct ns_box){2, {b.dim[0], b.dim[1] * b.dim[2] * b.dim[3]}}, &y));
	w = known(d, by, &(struct ns_box){2, {b.dim[1] * b.dim[2] * b.dim[3], m}}, -0.2, 0.2);
	MUST(ns_dag_matmul(d, y, w, 0, NS_F32, &y));
	MUST(ns_dag_view(d, y, &(struct ns_box){4, {b.dim[0], m, 1, 1}}, &y));
	return y;
}

/* With another of the same size but for channels, behind each other, or added where they are alike; of a third of them the axis is another one. */
static int with_another(struct ns_dag *d, uint64_t *by, const int *values, int n, int x)
{
	const struct ns_box b = BOX(x);
	const int axis = (int)below(by, 3) ? 1 : 2 + (int)below(by, 2);
	int k, y, a;

	for (k = n - 1; k >= 0; k--) {
		const struct ns_box o = BOX(values[k]);
		int alike = 1;

		for (a = 0; a < 4; a++)
			alike &= a == axis || o.dim[a] == b.dim[a];
		if (!alike || values[k] == x)
			continue;
		if (o.dim[axis] == b.dim[axis])
			MUST(ns_dag_formula(d, NS_PW_ADD, (int[]){x, values[k]}, 2, NS_F32, &y));
		else if (o.dim[axis] + b.dim[axis] > 60)
			continue;
		else
			MUST(ns_dag_concat(d, (const int[]){values[k], x, x}, 2 + (o.dim[axis] + 2 * b.dim[axis] < 40), axis, &y));
		return y;
	}
	return x;
}

static void random_graph(struct ns_dag *d, int from, uint64_t *by, int *outputs)
{
	int value[VALUES], n = 1, y, k;

	value[0] = from;
	while (n < VALUES) {
		int x = value[n - 1 - (below(by, 3) ? 0 : (int)below(by, n < 3 ? (uint64_t)n : 3))];

		switch (below(by, 12)) {
		case 0:
			y = pooled(d, by, x);
			break;
		case 1:
			y = resized(d, by, x);
			break;
		case 2:
			y = moved(d, by, x);
			break;
		case 3:
			y = product(d, by, x);
			break;
		case 4:
			k = 1 + (int)below(by, 3);
			MUST(ns_dag_along(d, x, NS_ALONG_SOFTMAX, k, k + 1, &y));
			break;
		case 5:
		case 6:
			y = with_another(d, by, value, n, x);
			break;
		case 7:
		case 8:
			y = formula(d, by, x);
			break;
		default:
			y = convolution(d, by, x);
		}
		value[n++] = y;
	}
	for (k = 0; k < OUTPUTS; k++)
		outputs[k] = value[VALUES - 1 - 2 * k];
}

static double largest_of(const struct ns_dag *d, int value)
{
	int64_t i, n = ns_box_count(&ns_dag_at(d, value)->box);
	double most = 0;

	for (i = 0; i < n; i++)
		most = fmax(most, fabs(ns_dag_number(d, value, i)));
	return most;
}

/* Runs the rewritten graph; how: the rewrites of that backend, or all of them. */
static void check(const struct ns_backend *b, struct ns_dag *d, const int *outputs, const struct ns_box *box, const float *x,
		  const struct ns_dag *expected, const int *answers, int round)
{
	void *in, *out[OUTPUTS];
	struct ns_dag_exec *exec;
	struct ns_device *dev;
	struct ns_queue *queue;
	int k;

	MUST(b->open(&dev, 0));
	MUST(b->queue_make(&queue, dev));
	MUST(b->mem_make(&in, dev, (size_t)ns_box_count(box) * sizeof *x));
	MUST(b->put(queue, in, x, (size_t)ns_box_count(box) * sizeof *x));
	if (ns_dag_exec_make(&exec, d, dev, outputs, OUTPUTS) != NS_OK)
		fail_msg("graph %d on %s: %s", round, b->name, ns_message());
	for (k = 0; k < OUTPUTS; k++)
		MUST(b->mem_make(&out[k], dev, (size_t)ns_box_count(&ns_dag_at(d, outputs[k])->box) * sizeof *x));
	MUST(ns_dag_exec_run(exec, (const void *const[]){in}, out, queue));
	for (k = 0; k < OUTPUTS; k++) {
		int64_t i, n = ns_box_count(&ns_dag_at(d, outputs[k])->box);
		float *y = malloc(sizeof *y * (size_t)n);
		double most = largest_of(expected, answers[k]);

		MUST(b->get(queue, y, out[k], sizeof *y * (size_t)n));
		MUST(b->wait(queue));
		for (i = 0; i < n; i++)
			if (!(fabs((double)y[i] - ns_dag_number(expected, answers[k], i)) <= 3e-4 * most + 1e-6))
				fail_msg("graph %d on %s, output %d, element %lld: %g, expected %g", round, b->name, k, (long long)i, (double)y[i],
					 ns_dag_number(expected, answers[k], i));
		free(y);
		b->mem_free(dev, out[k]);
	}
	b->mem_free(dev, in);
	ns_dag_exec_free(exec);
	b->queue_free(queue);
	b->close(dev);
}

/* Convolutions that have their channels last, and those that are one op with a formula. */
static void count(const struct ns_dag *d, int *last, int *joint, int *first)
{
	int i;

	for (i = 0; i < d->node_count; i++) {
		*last += d->nodes[i].op.kind == NS_OP_CONVOLVE && d->nodes[i].op.u.convolve.last;
		*first += d->nodes[i].op.kind == NS_OP_CONVOLVE && !d->nodes[i].op.u.convolve.last;
		*joint += d->nodes[i].op.kind == NS_OP_CONVOLVE_THEN;
	}
}

static void test_layout(void **state)
{
	const struct ns_backend *backends[] = {&ns_backend_ref, ns_backend_find("cpu"), ns_backend_find("cuda")};
	int round, last = 0, joint = 0, first = 0, rounds = getenv("NST_CASES") && strcmp(getenv("NST_CASES"), "all") ? 100 : 1500;
	struct ns_device *dev;
	uint64_t seed = 17;
	size_t i;

	(void)state;
	if (backends[2] && backends[2]->open(&dev, 0) != NS_OK) /* a module without a device */
		backends[2] = NULL;
	else if (backends[2])
		backends[2]->close(dev);
	for (round = 0; round < rounds; round++) {
		const struct ns_box box = {
			4,
			{1 + (int64_t)below(&seed, 2), 1 + (int64_t)below(&seed, 6), 2 + (int64_t)below(&seed, 9), 2 + (int64_t)below(&seed, 9)}};
		const uint64_t drawn = draw(&seed);
		float *x = random_floats(&seed, ns_box_count(&box), -1, 1);
		int answers[OUTPUTS], from;
		struct ns_dag *expected;
		uint64_t by = drawn;

		MUST(ns_dag_make(&expected));
		MUST(ns_dag_constant(expected, NS_F32, &box, x, &from));
		random_graph(expected, from, &by, answers);
		for (i = 0; i < sizeof backends / sizeof *backends; i++) {
			int outputs[OUTPUTS];
			struct ns_dag *d;

			if (!backends[i])
				continue;
			by = drawn;
			MUST(ns_dag_make(&d));
			MUST(ns_dag_input(d, NS_F32, &box, &from));
			random_graph(d, from, &by, outputs);
			MUST(ns_dag_for_inference(d, backends[i], outputs, OUTPUTS));
			if (!backends[i]->channels_last) { /* all the same: each backend has these ops */
				ns_dag_shorten(d);
				MUST(ns_dag_channels_last(d, outputs, OUTPUTS));
				MUST(ns_dag_join(d, outputs, OUTPUTS));
			}
			check(backends[i], d, outputs, &box, x, expected, answers, round);
			count(d, &last, &joint, &first);
			ns_dag_free(d);
		}
		ns_dag_free(expected);
		free(x);
	}
	printf("layout: %d convolutions with channels last, %d of them one with a formula, %d as they were\n", last + joint, joint, first);
	assert_true(2 * joint > rounds && last > rounds && 4 * first < last);
}

/* --- what it must not cost --- */

static int nodes_of(const struct ns_dag *d, enum ns_op_kind kind)
{
	int i, n = 0;

	for (i = 0; i < d->node_count; i++)
		n += d->nodes[i].op.kind == kind;
	return n;
}

/* A residual block of images whose channels come last anyway: no element is moved on the way in, once on the way out. */
static void test_no_moves(void **state)
{
	const struct ns_box box = {4, {1, 8, 9, 16}};
	uint64_t by = 3;
	struct ns_dag *d;
	int x, y, z, k, output, moves = 0, i;

	(void)state;
	MUST(ns_dag_make(&d));
	MUST(ns_dag_input(d, NS_F32, &box, &x));
	MUST(ns_dag_transpose(d, x, (const int[]){0, 3, 1, 2}, &x));
	for (y = x, k = 0; k < 3; k++) {
		const struct ns_box b = BOX(y);
		struct ns_op op = {.kind = NS_OP_CONVOLVE,
				   .u.convolve = {.dtype = NS_F32,
						  .window = {2, {8, 9}, {8, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
						  .n = 1,
						  .groups = 1,
						  .c = 16,
						  .k = 16}};
		int in[2] = {y, known(d, &by, &(struct ns_box){4, {16, 16, 3, 3}}, -1, 1)};

		MUST(ns_dag_value(d, NS_F32, &b, in, 2, &z));
		MUST(ns_dag_add(d, &op, in, 2, &z, 1));
		if (k == 2)
			MUST(ns_dag_formula(d, NS_PW_ADD, (int[]){z, x}, 2, NS_F32, &z));
		y = hard_swish(d, z, k);
	}
	output = y;
	MUST(ns_dag_for_inference(d, ns_backend_find("cpu") ? ns_backend_find("cpu") : &ns_backend_ref, &output, 1));
	if (ns_backend_find("cpu")) {
		assert_int_equal(nodes_of(d, NS_OP_CONVOLVE_THEN), 3);
		assert_int_equal(nodes_of(d, NS_OP_POINTWISE), 0);
		for (i = 0; i < d->node_count; i++) {
			const struct ns_op_convolve_then *v = &d->nodes[i].op.u.convolve_then;

			if (d->nodes[i].op.kind == NS_OP_CONVOLVE_THEN) {
				assert_int_equal(v->program.steps, v->program.inputs); /* hard-swish is one step, the sum another */
				assert_int_equal(v->program.step[v->program.steps - 1].code, NS_PW_HARDSWISH);
			}
			moves += d->nodes[i].op.kind == NS_OP_MOVE;
		}
		assert_int_equal(moves, 2); /* the file's own, which nobody needs any more, and the one on the way out */
	}
	ns_dag_free(d);
}

/* What a processor is slow with is 0 while a graph runs on the CPU's backend, which leaves the thread as it found it; ref has the numbers as they are. */
static void test_small_numbers(void **state)
{
	const struct ns_backend *backends[] = {&ns_backend_ref, ns_backend_find("cpu")};
	const float small = 1e-40f;
	volatile float after;
	float y = 1;
	size_t i;

	(void)state;
	for (i = 0; i < 2 && backends[i]; i++) {
		struct ns_dag_exec *exec;
		struct ns_device *dev;
		struct ns_queue *queue;
		struct ns_dag *d;
		int x, twice;

		MUST(ns_dag_make(&d));
		MUST(ns_dag_input(d, NS_F32, &(struct ns_box){0}, &x));
		MUST(ns_dag_formula(d, NS_PW_ADD, (int[]){x, x}, 2, NS_F32, &twice));
		MUST(backends[i]->open(&dev, 0));
		MUST(backends[i]->queue_make(&queue, dev));
		MUST(ns_dag_exec_make(&exec, d, dev, &twice, 1));
		MUST(ns_dag_exec_run(exec, (const void *const[]){&small}, (void *const[]){&y}, queue));
		if (i == 0)
			assert_true(y == small + small && y != 0);
		else
			assert_true(y == 0);
		after = small;
		after = after + after;
		assert_true(after != 0);
		ns_dag_exec_free(exec);
		backends[i]->queue_free(queue);
		backends[i]->close(dev);
		ns_dag_free(d);
	}
}

/* Constants are the same if their bits are: a quotient by 0 is not one by -0. */
static void test_zeros(void **state)
{
	const float x = 1;
	struct ns_dag_exec *exec;
	struct ns_device *dev;
	struct ns_queue *queue;
	struct ns_dag *d;
	int in, a, b, y;
	float found;

	(void)state;
	MUST(ns_dag_make(&d));
	MUST(ns_dag_input(d, NS_F32, &(struct ns_box){0}, &in));
	MUST(ns_dag_formula_of(d, NS_PW_DIV, in, (double[]){0}, 1, NS_F32, &a));
	MUST(ns_dag_formula_of(d, NS_PW_DIV, in, (double[]){-0.0}, 1, NS_F32, &b));
	MUST(ns_dag_formula(d, NS_PW_SUB, (int[]){a, b}, 2, NS_F32, &y));
	MUST(ns_dag_fuse(d, &y, 1));
	assert_int_equal(d->node_count, 1);
	MUST(ns_backend_ref.open(&dev, 0));
	MUST(ns_backend_ref.queue_make(&queue, dev));
	MUST(ns_dag_exec_make(&exec, d, dev, &y, 1));
	MUST(ns_dag_exec_run(exec, (const void *const[]){&x}, (void *const[]){&found}, queue));
	assert_true(isinf(found) && found > 0);
	ns_dag_exec_free(exec);
	ns_backend_ref.queue_free(queue);
	ns_backend_ref.close(dev);
	ns_dag_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout), cmocka_unit_test(test_no_moves), cmocka_unit_test(test_small_numbers),
					   cmocka_unit_test(test_zeros)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
