/*
 * tests/bench/gpu_ops.c - how fast the CUDA backend's ops are, one JSON line each: bytes and flops a second.
 * `gpu_ops NAME` measures those with that in their name, `gpu_ops small` runs tiny shapes, as a test.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/backend.h"
#include "kernels/formula/augment.h"
#include "kernels/formula/stats.h"

#define REPEATS 5

struct bench {
	struct ns_device *dev;
	struct ns_queue *queue;
	const struct ns_backend *b;
	char *block; /* device memory that all arguments lie in */
	size_t room;
	int small, failed;
	const char *only;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* best seconds of one run; <0: failed */
static double seconds(struct bench *x, const struct ns_plan *plan, const struct ns_args *a)
{
	double best = -1;
	int r, i, n = x->small ? 1 : 20;

	for (r = 0; r < (x->small ? 2 : REPEATS); r++) {
		double start = now(), t;

		for (i = 0; i < n; i++)
			if (ns_plan_run(plan, a, x->queue) != NS_OK)
				return -1;
		if (x->b->wait(x->queue) != NS_OK)
			return -1;
		t = (now() - start) / n;
		if (r && (best < 0 || t < best)) /* the first warms up */
			best = t;
	}
	return best;
}

/* in[] and out[] in bytes; `given` bytes of the host go into in[1] */
static void measure(struct bench *x, const char *what, const struct ns_op *op, const size_t *in, const size_t *out, double items, double bytes,
		    double flops, const void *given)
{
	struct ns_args a = {{0}, {0}, NULL};
	struct ns_plan *plan = NULL;
	size_t at = 0;
	double t = -1;
	int i;

	if (x->only && !strstr(what, x->only))
		return;
	if (ns_plan_make(&plan, x->dev, op) == NS_OK) {
		for (i = 0; i < NS_OP_MAX_IN; i++) {
			a.in[i] = in[i] ? x->block + at : NULL;
			at += (in[i] + 255) / 256 * 256;
		}
		for (i = 0; i < NS_OP_MAX_OUT; i++) {
			a.out[i] = out[i] ? x->block + at : NULL;
			at += (out[i] + 255) / 256 * 256;
		}
		a.workspace = x->block + at;
		if (at + plan->workspace_bytes > x->room)
			ns_fail(NS_NO_MEMORY, "%zu bytes are wanted", at + plan->workspace_bytes);
		else if (!given || (x->b->put(x->queue, (char *)(uintptr_t)a.in[1], given, in[1]) == NS_OK && x->b->wait(x->queue) == NS_OK))
			t = seconds(x, plan, &a);
	}
	if (t < 0) {
		printf("{\"what\": \"%s\", \"failed\": \"%s\"}\n", what, ns_message());
		x->failed = 1;
	} else {
		printf("{\"what\": \"%s\", \"impl\": \"%s\", \"us\": %.2f, \"items_per_second\": %.6g, \"GB_per_second\": %.5g, "
		       "\"TFLOP_per_second\": %.4g}\n",
		       what, plan->impl->name, t * 1e6, items / t, bytes / t / 1e9, flops / t / 1e12);
	}
	fflush(stdout);
	ns_plan_free(plan);
}

static void flat(struct bench *x)
{
	int64_t n = x->small ? 5000 : 64 << 20;
	size_t f = (size_t)n * 4;
	struct ns_op op = {.kind = NS_OP_EMA, .u.ema = {n}};

	measure(x, "ema 64 M", &op, (size_t[NS_OP_MAX_IN]){f, 64}, (size_t[NS_OP_MAX_OUT]){f}, (double)n, 12.0 * (double)n, 0, NULL);
	op = (struct ns_op){.kind = NS_OP_SGD};
	op.u.optim = (struct ns_op_optim){.n = n, .n_decay = n, .momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = 1};
	measure(x, "sgd 64 M, Nesterov", &op, (size_t[NS_OP_MAX_IN]){f, 64, 64}, (size_t[NS_OP_MAX_OUT]){f, f}, (double)n, 20.0 * (double)n, 0, NULL);
	op.kind = NS_OP_ADAMW;
	op.u.optim.beta1 = 0.9f;
	op.u.optim.beta2 = 0.999f;
	measure(x, "adamw 64 M", &op, (size_t[NS_OP_MAX_IN]){f, 64, 64}, (size_t[NS_OP_MAX_OUT]){f, f, f}, (double)n, 28.0 * (double)n, 0, NULL);
	op = (struct ns_op){.kind = NS_OP_NORM2, .u.norm2 = {n}};
	measure(x, "norm2 64 M", &op, (size_t[NS_OP_MAX_IN]){f}, (size_t[NS_OP_MAX_OUT]){64}, (double)n, 4.0 * (double)n, 0, NULL);
}

static void augment(struct bench *x, int side, int n, enum ns_dtype type, const char *what)
{
	static struct ns_augment_config g;
	struct ns_augment_sample *s;
	struct ns_op op = {.kind = NS_OP_AUGMENT};
	size_t each = (size_t)side * (size_t)side * 3, out = each * (type == NS_BF16 ? 2 : 4);
	int i;

	n = x->small ? 3 : n;
	g = (struct ns_augment_config){.version = 2, .aspect = {1, 1}, .order = {NS_AUGMENT_ROTATE, NS_AUGMENT_ZOOM, NS_AUGMENT_FLIP}, .ordered = 3};
	g.op[NS_AUGMENT_ROTATE] = (struct ns_augment_op){1, 1, {-15, 15}};
	g.op[NS_AUGMENT_ZOOM] = (struct ns_augment_op){1, 1, {0.9, 1.1}};
	g.op[NS_AUGMENT_FLIP] = (struct ns_augment_op){1, 0.5, {0, 0}};
	for (i = NS_AUGMENT_BRIGHTNESS; i <= NS_AUGMENT_SATURATION; i++)
		g.op[i] = (struct ns_augment_op){1, 1, {0.6, 1.4}};
	g.op[NS_AUGMENT_HUE] = (struct ns_augment_op){1, 1, {-0.1, 0.1}};
	ns_augment_prepare(&g, side, side);
	s = calloc((size_t)n, sizeof *s);
	for (i = 0; s && i < n; i++)
		ns_augment_draw(&s[i], &g, side, side, side, side, 1, 0, (uint64_t)i, 0);
	op.u.augment = (struct ns_op_augment){n, side, side, 3, side, side, type, {0.01f, 0.01f, 0.01f}, {0}, &g};
	measure(x, what, &op, (size_t[NS_OP_MAX_IN]){each * (size_t)n, sizeof *s * (size_t)n}, (size_t[NS_OP_MAX_OUT]){out * (size_t)n}, n,
		(double)n * (double)(each + out), 0, s);
	free(s);
}

static void convolutions(struct bench *x)
{
	static const int shapes[][5] = {{128, 32, 64, 64, 3},
					{128, 16, 128, 128, 3},
					{128, 8, 256, 256, 3},
					{128, 4, 512, 512, 3},
					{128, 56, 64, 256, 1}};
	static const enum ns_op_kind kinds[] = {NS_OP_CONV, NS_OP_CONV_TRAIN, NS_OP_CONV_BACKWARD};
	size_t i, k;

	for (i = 0; i < (x->small ? 1 : sizeof shapes / sizeof *shapes); i++)
		for (k = 0; k < 3; k++) {
			int n = x->small ? 1 : shapes[i][0], s = x->small ? 4 : shapes[i][1], c = x->small ? 8 : shapes[i][2],
			    o = x->small ? 8 : shapes[i][3], r = shapes[i][4], back = kinds[k] == NS_OP_CONV_BACKWARD;
			size_t in = (size_t)n * (size_t)s * (size_t)s * (size_t)c * 2, y = (size_t)n * (size_t)s * (size_t)s * (size_t)o * 2,
			       w = (size_t)o * (size_t)r * (size_t)r * (size_t)c * 4, v = (size_t)o * 4;
			struct ns_op op = {.kind = kinds[k]};
			char what[96];

			op.u.conv =
				(struct ns_op_conv){n, s, s, c, o, r, r, 1, r / 2, NS_CONV_RELU | (k ? NS_CONV_NORM : NS_CONV_BIAS), 1e-5f, NS_BF16};
			snprintf(what, sizeof what, "%s %dx%d %dx%dx%d to %d, n %d, bf16", ns_op_name(kinds[k]), r, r, s, s, c, o, n);
			measure(x, what, &op, back ? (size_t[NS_OP_MAX_IN]){in, w, v, y, v, v, y, y, 0} : (size_t[NS_OP_MAX_IN]){in, w, v, 0, v, v},
				back ? (size_t[NS_OP_MAX_OUT]){in, w, v, v, v} : (size_t[NS_OP_MAX_OUT]){y, y, v, v, v, v}, n,
				(double)(in + y) * (back ? 3 : 1), 2.0 * n * s * s * o * c * r * r * (back ? 2 : 1), NULL);
		}
}

static void others(struct bench *x)
{
	struct ns_op op = {.kind = NS_OP_STATS};
	static int32_t labels[4096];
	int i, n = x->small ? 3 : 4096, k = 1000;
	int64_t m = x->small ? 50 : 10000, rows = x->small ? 50 : 1 << 20;
	int d = 32, columns = x->small ? 3 : 64, perms = x->small ? 9 : 999;

	for (i = 0; i < n; i++)
		labels[i] = i * 7 % k;
	op.u.stats = (struct ns_op_stats){n, 64, 64, 3};
	measure(x, "stats 64 px", &op, (size_t[NS_OP_MAX_IN]){(size_t)n * 12288}, (size_t[NS_OP_MAX_OUT]){(size_t)n * 28}, n, (double)n * 12288, 0,
		NULL);
	op = (struct ns_op){.kind = NS_OP_XENT};
	op.u.xent = (struct ns_op_xent){.n = n, .k = k, .smoothing = 0.1f, .scale = 1, .dtype = NS_F32};
	measure(x, "xent 4096 x 1000", &op, (size_t[NS_OP_MAX_IN]){(size_t)n * (size_t)k * 4, (size_t)n * 4},
		(size_t[NS_OP_MAX_OUT]){(size_t)n * (size_t)k * 4, 64, 64}, n, 8.0 * n * k, 0, labels);
	op = (struct ns_op){.kind = NS_OP_KS, .u.ks = {rows, rows, columns}};
	measure(x, "ks, 1 M + 1 M rows, 64 columns", &op,
		(size_t[NS_OP_MAX_IN]){(size_t)rows * (size_t)columns * 4, (size_t)rows * (size_t)columns * 4},
		(size_t[NS_OP_MAX_OUT]){(size_t)columns * 8}, (double)rows * 2 * columns, 8.0 * (double)rows * columns, 0, NULL);
	op = (struct ns_op){.kind = NS_OP_MMD};
	op.u.mmd = (struct ns_op_mmd){m, m, 0, 2 * m, d, perms, 1, 0.02f, 0, 0, 0};
	measure(x, "mmd, 10,000 + 10,000 rows, 999 permutations", &op, (size_t[NS_OP_MAX_IN]){(size_t)m * (size_t)d * 4, (size_t)m * (size_t)d * 4},
		(size_t[NS_OP_MAX_OUT]){(size_t)(perms + 1) * 8, (size_t)(perms + 1) * 8, 64}, (double)(4 * m * m), 0,
		4.0 * (double)(m * m) * (perms + 3.0 * d), NULL);
}

/* never timed on zeros, which run faster: all of it is pairs of bf16 about 1 in size, of either sign, which are f32 as well */
static enum ns_status fill(struct bench *x)
{
	size_t some = x->room < (size_t)64 << 20 ? x->room : (size_t)64 << 20, at;
	uint16_t *v = malloc(some);
	uint32_t r = 1;
	enum ns_status status = v ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for %zu bytes", some);

	for (at = 0; v && at < some / 2; at++) {
		r = r * 1664525u + 1013904223u;
		v[at] = (uint16_t)(0x3f00u | (r >> 31 << 15) | (r >> 23 & 0xffu));
	}
	for (at = 0; status == NS_OK && at < x->room; at += some)
		status = x->b->put(x->queue, x->block + at, v, some);
	if (status == NS_OK)
		status = x->b->wait(x->queue);
	free(v);
	return status;
}

int main(int argc, char **argv)
{
	struct bench x = {.small = argc > 1 && !strcmp(argv[1], "small")};
	char text[512];
	void *block;

	x.only = argc > 1 && !x.small ? argv[1] : NULL;
	x.room = x.small ? (size_t)16 << 20 : (size_t)8 << 30;
	if (ns_backend_get(&x.b, "cuda") != NS_OK || x.b->open(&x.dev, 0) != NS_OK || x.b->queue_make(&x.queue, x.dev) != NS_OK ||
	    x.b->mem_make(&block, x.dev, x.room) != NS_OK) {
		fprintf(stderr, "gpu_ops: %s\n", ns_message());
		return 69;
	}
	x.block = block;
	if (fill(&x) != NS_OK) {
		fprintf(stderr, "gpu_ops: %s\n", ns_message());
		return 69;
	}
	x.b->describe(x.dev, text, sizeof text);
	printf("{\"device\": \"%s\"}\n", text);
	flat(&x);
	augment(&x, 32, 8192, NS_BF16, "augment 32 px, affine + colour, to bf16");
	augment(&x, 32, 8192, NS_F32, "augment 32 px, affine + colour, to f32");
	augment(&x, 256, 256, NS_BF16, "augment 256 px, affine + colour, to bf16");
	convolutions(&x);
	others(&x);
	x.b->mem_free(x.dev, block);
	x.b->queue_free(x.queue);
	x.b->close(x.dev);
	return x.failed ? 70 : 0;
}
