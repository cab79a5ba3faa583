/* Ops that look through windows, on the CPU's backend against ref: convolutions, the gradients of their weights, pooling. */
#include "tests/kernels/tensors.h"

#include "kernels/formula/packed.h"

static int64_t product(const int64_t *v, int n)
{
	int64_t p = 1;

	while (n--)
		p *= v[n];
	return p;
}

static int random_window(struct ns_window *w, int axes, int transposed)
{
	int d;

	memset(w, 0, sizeof *w);
	w->axes = axes;
	for (d = 0; d < axes; d++) {
		int64_t span;

		w->in[d] = among(1, axes == 3 ? 5 : 19);
		w->kernel[d] = d && among(0, 1) ? w->kernel[0] : among(1, 5); /* often square */
		w->stride[d] = among(1, 3);
		w->dilation[d] = among(1, 2);
		w->pad[d] = among(0, 4) ? among(0, 2) : 6;
		w->pad_end[d] = among(0, 4) ? among(0, 2) : 6;
		span = (w->kernel[d] - 1) * w->dilation[d] + 1;
		if (transposed)
			w->out[d] = (w->in[d] - 1) * w->stride[d] + span - w->pad[d] - w->pad_end[d];
		else if (w->in[d] + w->pad[d] + w->pad_end[d] < span)
			return 0;
		else
			w->out[d] = (w->in[d] + w->pad[d] + w->pad_end[d] - span) / w->stride[d] + 1;
		if (w->out[d] < 1)
			return 0;
	}
	return 1;
}

static void test_convolve(void **state)
{
	char who[40] = "";
	int i, plain = 0, taken = 0;

	(void)state;
	for (i = 0; i < times(600); i++) {
		struct ns_op op = {.kind = NS_OP_CONVOLVE};
		struct ns_op_convolve *v = &op.u.convolve;
		int64_t taps, x, w, y;
		const void *in[3];

		*v = (struct ns_op_convolve){.dtype = NS_F32,
					     .n = among(1, 2),
					     .groups = among(1, 3),
					     .c = among(1, 4),
					     .k = among(1, 5),
					     .transposed = i % 3 == 2};
		v->bias = (int)among(0, 1);
		if (i % 4 == 0) { /* depthwise */
			v->groups = among(1, 9);
			v->c = 1;
			v->k = among(1, 2);
		}
		if (!random_window(&v->window, (int)among(1, 3), v->transposed))
			continue;
		if (i % 7 == 0) { /* one pixel */
			int d;

			for (d = 0; d < v->window.axes; d++) {
				v->window.kernel[d] = v->window.stride[d] = v->window.dilation[d] = 1;
				v->window.pad[d] = v->window.pad_end[d] = 0;
				v->window.out[d] = v->window.in[d];
			}
			plain++;
		}
		taps = product(v->window.kernel, v->window.axes);
		x = v->n * v->groups * v->c * product(v->window.in, v->window.axes);
		w = v->groups * v->c * v->k * taps;
		y = v->n * v->groups * v->k * product(v->window.out, v->window.axes);
		in[0] = random_floats(x, -1, 1);
		in[1] = random_floats(w, -1, 1);
		in[2] = random_floats(v->groups * v->k, -1, 1);
		both(&op, in, 3, y, NULL, 1e-5, who);
		taken += !strcmp(who, "convolve/gemm");
		free((void *)(uintptr_t)in[0]);
		free((void *)(uintptr_t)in[1]);
		free((void *)(uintptr_t)in[2]);
	}
	enough(plain > 40 && taken > 300);
	{ /* more places than one tile of patches holds */
		struct ns_op op = {.kind = NS_OP_CONVOLVE,
				   .u.convolve = {.dtype = NS_F32,
						  .window = {2, {70, 90}, {70, 90}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
						  .n = 1,
						  .groups = 1,
						  .c = 8,
						  .k = 3}};
		const void *in[3] = {random_floats(8 * 70 * 90, -1, 1), random_floats(8 * 3 * 9, -1, 1), NULL};

		both(&op, in, 2, 3 * 70 * 90, NULL, 1e-5, who);
		free((void *)(uintptr_t)in[0]);
		free((void *)(uintptr_t)in[1]);
	}
}

/* Channels last, their weights packed: few and many channels, groups, depthwise ones; images that are one strip and that are several. */
static void test_convolve_last(void **state)
{
	char who[40] = "";
	int i, products = 0, depthwise = 0, winograd = 0;

	(void)state;
	for (i = 0; i < times(500); i++) {
		struct ns_op op = {.kind = NS_OP_CONVOLVE};
		struct ns_op_convolve *v = &op.u.convolve;
		const void *in[3];
		int64_t taps;
		int axes = i % 10 ? 2 : (int)among(1, 3);

		*v = (struct ns_op_convolve){.dtype = NS_F32,
					     .n = among(1, 2),
					     .groups = among(0, 2) ? 1 : among(1, 3),
					     .c = among(1, i % 4 == 1 ? 40 : 5),
					     .k = among(1, i % 4 == 2 ? 70 : 20),
					     .bias = (int)among(0, 1),
					     .last = 1};
		if (i % 3 == 0) {
			v->groups = among(1, 40);
			v->c = v->k = 1;
		}
		if (!random_window(&v->window, axes, 0))
			continue;
		if (i % 7 == 1)
			v->window = (struct ns_window){2, {11, 13}, {11, 13}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}};
		if (i % 7 == 2) /* windows that all lie inside */
			v->window = (struct ns_window){2, {9, 11}, {7, 9}, {3, 3}, {1, 1}, {1, 1}, {0}, {0}};
		if (i % 50 == 2) { /* more rows than one strip has */
			v->window = (struct ns_window){2, {70, 61}, {70, 61}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
			v->n = v->groups = 1;
			v->c = 12;
		}
		if (i % 4 == 3) { /* tiles of 2 x 2, whole ones and not, of several strips */
			const int64_t h = among(4, 20), wide = among(4, i % 8 == 3 ? 90 : 20), pad = among(0, 2);

			v->groups = 1;
			v->c = among(16, 40);
			v->k = among(16, 50);
			v->window = (struct ns_window){2,	   {h, wide}, {h + 2 * pad - 2, wide + 2 * pad - 2}, {3, 3}, {1, 1}, {1, 1},
						       {pad, pad}, {pad, pad}};
		}
		taps = product(v->window.kernel, v->window.axes);
		in[0] = random_floats(v->n * v->groups * v->c * product(v->window.in, v->window.axes), -1, 1);
		in[1] = random_floats(ns_packed_count(v, taps), -1, 1);
		in[2] = random_floats(v->groups * v->k, -1, 1);
		both(&op, in, 3, v->n * v->groups * v->k * product(v->window.out, v->window.axes), NULL, 1e-5, who);
		products += !strcmp(who, "convolve/last");
		depthwise += !strcmp(who, "convolve/depthwise");
		winograd += !strcmp(who, "convolve/winograd");
		free((void *)(uintptr_t)in[0]);
		free((void *)(uintptr_t)in[1]);
		free((void *)(uintptr_t)in[2]);
	}
	enough(products > 100 && depthwise > 60 && winograd > 80);
}

/* What is added, multiplied and cut off after a convolution: of the whole image, of each channel, of each image and channel, and a number. */
static void random_program(struct ns_op_convolve_then *v)
{
	struct ns_op_pointwise *p = &v->program;
	int64_t channels = v->convolve.groups * v->convolve.k, dense[NS_RANK];
	int k, d;

	*p = (struct ns_op_pointwise){.compute = NS_F32, .out_dtype = NS_F32, .inputs = (int)among(1, 4), .constants = 1, .constant = {0.3}};
	p->out = (struct ns_box){4, {v->convolve.n, v->convolve.window.out[0], v->convolve.window.out[1], channels}};
	ns_box_strides(&p->out, dense);
	v->self = (int)among(0, p->inputs - 1);
	for (k = 0; k < p->inputs; k++) {
		const int which = k == v->self ? 0 : (int)among(0, 5); /* 4: of each row of an image, 5: of each place */

		p->in_dtype[k] = NS_F32;
		for (d = 0; d < 4; d++)
			p->stride[k][d] = which == 0   ? dense[d]
					  : which == 3 ? 0
					  : which == 4 ? (d < 2 ? dense[d] / dense[1] : 0)
					  : which == 5 ? (d < 3 ? dense[d] / dense[2] : 0)
					  : d == 3     ? 1
						       : (d == 0 && which == 2 ? channels : 0);
		p->step[k] = (struct ns_pw_step){k % 2 ? NS_PW_MUL : NS_PW_ADD, (uint8_t)k, (uint8_t)(k ? p->inputs + k : p->inputs), 0};
	}
	p->step[k] = (struct ns_pw_step){among(0, 1) ? NS_PW_RELU : NS_PW_NEG, (uint8_t)(p->inputs + k), 0, 0};
	p->steps = p->inputs + 1;
}

static void test_convolve_then(void **state)
{
	char who[40] = "";
	int i, fused = 0;

	(void)state;
	for (i = 0; i < times(300); i++) {
		struct ns_op op = {.kind = NS_OP_CONVOLVE_THEN};
		struct ns_op_convolve *v = &op.u.convolve_then.convolve;
		const void *in[NS_OP_MAX_IN] = {0};
		int64_t y;
		int k, ins = NS_THEN_IN;

		*v = (struct ns_op_convolve){.dtype = NS_F32,
					     .n = among(1, 2),
					     .groups = among(0, 3) ? 1 : 2,
					     .c = among(1, 6),
					     .k = among(1, i % 4 ? 40 : 300),
					     .bias = (int)among(0, 1),
					     .last = 1};
		if (i % 3 == 0) {
			v->groups = among(1, 40);
			v->c = v->k = 1;
		}
		if (!random_window(&v->window, 2, 0))
			continue;
		if (i % 7 == 1)
			v->window = (struct ns_window){2, {11, 13}, {11, 13}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}};
		if (i % 5 == 2) { /* tiles of 2 x 2, of several strips */
			*v = (struct ns_op_convolve){.dtype = NS_F32, .n = 2, .groups = 1, .c = among(16, 40), .k = among(16, 90), .last = 1};
			v->window = (struct ns_window){2, {17, 30}, {17, 30}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
		}
		if (i % 60 == 7) { /* more places than a strip has, in short rows */
			*v = (struct ns_op_convolve){.dtype = NS_F32, .n = 1, .groups = 1, .c = 5, .k = 8, .last = 1};
			v->window = (struct ns_window){2, {400, 11}, {400, 11}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}};
		}
		random_program(&op.u.convolve_then);
		y = ns_box_count(&op.u.convolve_then.program.out);
		in[0] = random_floats(v->n * v->groups * v->c * product(v->window.in, 2), -1, 1);
		in[1] = random_floats(ns_packed_count(v, product(v->window.kernel, 2)), -1, 1);
		in[2] = random_floats(v->groups * v->k, -1, 1);
		for (k = 0; k + 1 < op.u.convolve_then.program.inputs; k++)
			in[ins++] = random_floats(y, -1, 1);
		both(&op, in, ins, y, NULL, 1e-5, who);
		fused += !strcmp(who, "convolve_then/last");
		while (ins-- > 0)
			free((void *)(uintptr_t)in[ins]);
	}
	enough(fused > 200);
}

/* Windows that reach far beyond an image are not copied with their padding, whose size would be none or all memory. */
static void test_far(void **state)
{
	static const int64_t dilations[] = {1, 19173961, (int64_t)1 << 15};
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		const int64_t by = dilations[i];
		struct ns_op op = {.kind = NS_OP_CONVOLVE,
				   .u.convolve = {.dtype = NS_F32,
						  .window = {2, {4, 4}, {4, 4}, {3, 3}, {1, 1}, {by, 14 * by}, {by, 14 * by}, {by, 14 * by}},
						  .n = 1,
						  .groups = 1,
						  .c = 3,
						  .k = 20,
						  .last = 1}};
		char who[40] = "";
		const void *in[2] = {random_floats(4 * 4 * 3, -1, 1), random_floats(ns_packed_count(&op.u.convolve, 9), -1, 1)};

		both(&op, in, 2, 4 * 4 * 20, NULL, 1e-5, who);
		took(who, i ? "convolve/ref" : "convolve/last");
		free((void *)(uintptr_t)in[0]);
		free((void *)(uintptr_t)in[1]);
	}
}

/* A program of another size than the convolution, or that does not read it, is no op. */
static void test_then_check(void **state)
{
	struct ns_op op = {.kind = NS_OP_CONVOLVE_THEN,
			   .u.convolve_then.convolve = {.dtype = NS_F32,
							.window = {2, {4, 5}, {4, 5}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}},
							.n = 1,
							.groups = 1,
							.c = 2,
							.k = 3,
							.last = 1}};

	(void)state;
	random_program(&op.u.convolve_then);
	assert_int_equal(ns_op_check(&op), NS_OK);
	op.u.convolve_then.self = op.u.convolve_then.program.inputs;
	assert_int_equal(ns_op_check(&op), NS_INVALID);
	op.u.convolve_then.self = 0;
	op.u.convolve_then.program.out.dim[1] = 3;
	assert_int_equal(ns_op_check(&op), NS_INVALID);
	op.u.convolve_then.program.out.dim[1] = 4;
	op.u.convolve_then.convolve.transposed = 1;
	assert_int_equal(ns_op_check(&op), NS_INVALID);
}

/* As channels first have them: the same sums of the same products. */
static void test_packed(void **state)
{
	static const int64_t shapes[][5] = {{1, 3, 20, 9, 0}, {3, 2, 17, 4, 0}, {7, 1, 1, 9, 0}, {2, 1, 3, 1, 0}}; /* groups, c, k, taps */
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct ns_op_convolve v = {.groups = shapes[i][0], .c = shapes[i][1], .k = shapes[i][2]};
		int64_t taps = shapes[i][3], count = ns_packed_count(&v, taps), g, k, c, r, at, seen = 0;
		char *taken = calloc((size_t)count, 1);

		assert_int_equal(count, v.c == 1 && v.k == 1 ? taps * v.groups : v.groups * ((v.k + 15) / 16) * 16 * v.c * taps);

		for (g = 0; g < v.groups; g++)
			for (k = 0; k < v.k; k++)
				for (c = 0; c < v.c; c++)
					for (r = 0; r < taps; r++) {
						at = ns_packed_at(&v, taps, g, k, c, r);
						assert_true(at >= 0 && at < count && !taken[at]);
						taken[at] = 1;
						seen++;
					}
		assert_int_equal(seen, v.groups * v.k * v.c * taps);
		free(taken);
	}
}

static void test_convolve_weights(void **state)
{
	char who[40] = "";
	int i, many = 0;

	(void)state;
	for (i = 0; i < times(400); i++) {
		struct ns_op op = {.kind = NS_OP_CONVOLVE_WEIGHTS};
		struct ns_op_convolve *v = &op.u.convolve;
		const void *in[2];
		int large = i % 50 == 0; /* more places than one tile of patches holds */

		*v = (struct ns_op_convolve){.dtype = NS_F32, .n = among(1, 3), .groups = among(1, 3), .c = among(1, 4), .k = among(1, 5)};
		if (i % 4 == 0) { /* depthwise */
			v->groups = among(1, 9);
			v->c = v->k = 1;
		}
		if (!random_window(&v->window, (int)among(1, 3), 0))
			continue;
		if (large)
			*v = (struct ns_op_convolve){.dtype = NS_F32,
						     .window = {2, {70, 90}, {70, 90}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
						     .n = 2,
						     .groups = 1,
						     .c = 8,
						     .k = 3};
		in[0] = random_floats(v->n * v->groups * v->c * product(v->window.in, v->window.axes), -1, 1);
		in[1] = random_floats(v->n * v->groups * v->k * product(v->window.out, v->window.axes), -1, 1);
		both(&op, in, 2, v->groups * v->k * v->c * product(v->window.kernel, v->window.axes), NULL, large ? 1e-3 : 1e-5, who);
		took(who, "convolve_weights/gemm");
		many++;
		free((void *)(uintptr_t)in[0]);
		free((void *)(uintptr_t)in[1]);
	}
	enough(many > 200);
}

static void test_pool(void **state)
{
	char who[40] = "";
	int i, pools = 0;

	(void)state;
	for (i = 0; i < times(500); i++) {
		struct ns_op op = {.kind = NS_OP_POOL_ND,
				   .u.pool_nd = {.dtype = NS_F32,
						 .planes = among(1, 3),
						 .inner = i % 3 || i % 4 == 1 ? 1 : among(1, 40),
						 .how = i % 2 ? NS_WINDOW_MAX : NS_WINDOW_AVG,
						 .indices = i % 4 == 1}};
		struct ns_op_pool_nd *v = &op.u.pool_nd;
		const void *in[1];

		v->with_padding = i % 4 == 0;
		if (!random_window(&v->window, 2, 0))
			continue;
		if (i % 5 == 0) /* one more that begins inside, as rounding up gives */
			v->window.out[1] += v->window.out[1] * v->window.stride[1] < v->window.in[1] + v->window.pad[1];
		in[0] = random_floats(v->planes * v->window.in[0] * v->window.in[1] * v->inner, -1, 1);
		if (i % 7 == 0) /* a maximum of what is no number is none */
			((float *)(uintptr_t)in[0])[among(0, v->planes * v->window.in[0] * v->window.in[1] * v->inner - 1)] = NAN;
		both(&op, in, 1, v->planes * v->window.out[0] * v->window.out[1] * v->inner, NULL, 1e-6, who);
		pools += !strcmp(who, "pool_nd/windows");
		free((void *)(uintptr_t)in[0]);
	}
	enough(pools > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_convolve),	 cmocka_unit_test(test_convolve_last), cmocka_unit_test(test_convolve_then),
		cmocka_unit_test(test_then_check),	 cmocka_unit_test(test_far),	       cmocka_unit_test(test_packed),
		cmocka_unit_test(test_convolve_weights), cmocka_unit_test(test_pool)};

	return told("windows", cmocka_run_group_tests(tests, NULL, NULL));
}
