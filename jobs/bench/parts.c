/* jobs/bench/parts.c - the bench of single ops, of augmentation and of the loader. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/bench/bench_inner.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/shard/shard.h"
#include "host/graph/graph.h"
#include "jobs/augment/augment.h"

/* --- ops --- */

enum ns_status ns_bench_op_once(void *context)
{
	struct ns_bench_op *r = context;
	int i;

	for (i = 0; i < r->b->rounds; i++)
		NS_TRY(ns_plan_run(r->plan, &r->args, r->b->queue));
	return r->b->rounds > 1 ? r->b->dev->backend->wait(r->b->queue) : NS_OK;
}

enum ns_status ns_bench_memory(struct ns_bench *b, size_t bytes, void **mem)
{
	const struct ns_backend *d = b->dev->backend;
	size_t some = bytes < (size_t)16 << 20 ? bytes : (size_t)16 << 20, at;
	uint8_t *block = malloc(some + 1);
	uint32_t r = 1;
	enum ns_status status;

	NS_GO(block ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %zu bytes", some));
	for (at = 0; at + 1 < some; at += 2) {
		r = r * 1664525u + 1013904223u;
		block[at] = (uint8_t)(r >> 23);
		block[at + 1] = (uint8_t)(0x3f | r >> 31 << 7);
	}
	NS_GO(d->mem_make(mem, b->dev, bytes));
	for (at = 0; at < bytes; at += some)
		NS_GO(d->put(b->queue, (char *)*mem + at, block, bytes - at < some ? bytes - at : some));
	status = d->wait(b->queue);
out:
	free(block);
	return status;
}

/* All arguments point into one block, far enough apart for any of these ops. */
static enum ns_status one_op(struct ns_bench *b, const char *name, const struct ns_op *op, size_t each, double items, double flops, double bytes)
{
	struct ns_bench_op r = {.b = b};
	double rate[4];
	char *block = NULL;
	void *workspace = NULL;
	enum ns_status status;
	int i;

	if (!ns_bench_is_selected(b, name))
		return NS_OK;
	NS_TRY(ns_plan_make(&r.plan, b->dev, op));
	NS_GO(ns_bench_memory(b, each * (NS_OP_MAX_IN + NS_OP_MAX_OUT), (void **)&block));
	NS_GO(b->dev->backend->mem_make(&workspace, b->dev, r.plan->workspace_bytes + 64));
	for (i = 0; i < NS_OP_MAX_IN; i++)
		r.args.in[i] = block + each * (size_t)i;
	for (i = 0; i < NS_OP_MAX_OUT; i++)
		r.args.out[i] = block + each * (size_t)(NS_OP_MAX_IN + i);
	r.args.workspace = workspace;
	NS_GO(ns_bench_clock(b, ns_bench_op_once, &r, items * b->rounds, rate));
	ns_bench_record(b, name, op->kind == NS_OP_SGD || op->kind == NS_OP_EMA ? "parameters" : "images", rate, flops, bytes, b->fma);
out:
	ns_plan_free(r.plan);
	if (block)
		b->dev->backend->mem_free(b->dev, block);
	if (workspace)
		b->dev->backend->mem_free(b->dev, workspace);
	return status;
}

double ns_bench_inner_taps(int in, int out, int kernel, int stride, int pad)
{
	int sum = 0;
	int o, r;

	for (o = 0; o < out; o++)
		for (r = 0; r < kernel; r++)
			sum += o * stride + r - pad >= 0 && o * stride + r - pad < in;
	return sum;
}

static enum ns_status conv_ops(struct ns_bench *b)
{
	static const struct {
		int side, c, k, stride;
	} shapes[] = {{32, 64, 64, 1}, {16, 128, 128, 1}, {28, 16, 16, 1}, {14, 32, 32, 1}};
	static const enum ns_op_kind kinds[] = {NS_OP_CONV, NS_OP_CONV_TRAIN, NS_OP_CONV_BACKWARD};
	size_t i, k;

	for (i = 0; i < sizeof shapes / sizeof *shapes; i++)
		for (k = 0; k < 3; k++) {
			int s = shapes[i].side, c = shapes[i].c, n = 16;
			double t = ns_bench_inner_taps(s, s, 3, 1, 1), flops = 2 * t * t * c * c * (kinds[k] == NS_OP_CONV_BACKWARD ? 2 : 1),
			       bytes = 8.0 * s * s * c;
			struct ns_op op = {.kind = kinds[k]};
			char name[64];

			op.u.conv = (struct ns_op_conv){n, s, s, c, shapes[i].k, 3, 3, 1, 1, NS_CONV_RELU, NS_BN_EPS, NS_F32};
			op.u.conv.flags |= kinds[k] == NS_OP_CONV ? NS_CONV_BIAS : NS_CONV_NORM;
			snprintf(name, sizeof name, "%s 3x3 %dx%dx%d", ns_op_name(kinds[k]), s, s, c);
			NS_TRY(one_op(b, name, &op, (size_t)n * (size_t)s * (size_t)s * (size_t)c * 4 + ((size_t)c * (size_t)c * 9 * 4 + 4096), n,
				      flops, bytes));
		}
	return NS_OK;
}

static enum ns_status flat_ops(struct ns_bench *b)
{
	int64_t n = 16 << 20; /* far beyond any cache */
	struct ns_op op = {.kind = NS_OP_SGD};

	op.u.optim = (struct ns_op_optim){.n = n, .n_decay = n, .momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = 1};
	NS_TRY(one_op(b, "sgd, Nesterov", &op, (size_t)n * 4, (double)n, 0, 20));
	op = (struct ns_op){.kind = NS_OP_EMA, .u.ema = {n}};
	return one_op(b, "ema", &op, (size_t)n * 4, (double)n, 0, 12);
}

enum ns_status ns_bench_ops(struct ns_bench *b)
{
	NS_TRY(conv_ops(b));
	return flat_ops(b);
}

/* --- augmentation --- */

struct augment_run {
	struct ns_bench_op op;
	struct ns_augment_config config;
	struct ns_augment_sample *samples; /* of the host */
	void *drawn;			   /* in device memory, where that is another */
	int side, n;
};

static enum ns_status augment_once(void *context)
{
	struct augment_run *r = context;
	int i;

	for (i = 0; i < r->n; i++) /* the random draws are part of the work */
		ns_augment_draw(&r->samples[i], &r->config, r->side, r->side, r->side, r->side, 1, 0, (uint64_t)i, 0);
	if (r->drawn)
		NS_TRY(r->op.b->dev->backend->put(r->op.b->queue, r->drawn, r->samples, (size_t)r->n * sizeof *r->samples));
	return ns_bench_op_once(&r->op);
}

static enum ns_status augment(struct ns_bench *b, const char *name, const char *recipe, int side)
{
	struct augment_run r = {.side = side, .n = (side > 100 ? 16 : 256) * (b->rounds > 1 ? 16 : 1), .op.b = b};
	size_t values = (size_t)side * (size_t)side * 3 * (size_t)r.n;
	struct ns_op op = {.kind = NS_OP_AUGMENT};
	void *workspace = NULL, *x = NULL, *y = NULL;
	json_t *list = NULL;
	double rate[4];
	enum ns_status status;
	int c;

	if (!ns_bench_is_selected(b, name))
		return NS_OK;
	r.samples = calloc((size_t)r.n, sizeof *r.samples);
	NS_GO(ns_yaml_parse(&list, recipe, strlen(recipe), name));
	NS_GO(ns_recipe_parse(&r.config, list, side, side, name));
	op.u.augment = (struct ns_op_augment){r.n, side, side, 3, side, side, NS_F32, {0}, {0}, &r.config};
	for (c = 0; c < 3; c++)
		op.u.augment.scale[c] = 1 / 64.0f;
	NS_GO(ns_plan_make(&r.op.plan, b->dev, &op));
	NS_GO(b->dev->backend->mem_make(&workspace, b->dev, r.op.plan->workspace_bytes));
	NS_GO(ns_bench_memory(b, values, &x));
	NS_GO(b->dev->backend->mem_make(&y, b->dev, values * 4));
	if (!b->dev->backend->host_memory)
		NS_GO(b->dev->backend->mem_make(&r.drawn, b->dev, (size_t)r.n * sizeof *r.samples));
	r.op.args = (struct ns_args){{x, r.drawn ? r.drawn : r.samples}, {y}, workspace};
	NS_GO(ns_bench_clock(b, augment_once, &r, (double)r.n * b->rounds, rate));
	ns_bench_record(b, name, "images", rate, 0, 5.0 * side * side * 3, b->fma);
out:
	json_decref(list);
	ns_plan_free(r.op.plan);
	free(r.samples);
	if (workspace)
		b->dev->backend->mem_free(b->dev, workspace);
	if (r.drawn)
		b->dev->backend->mem_free(b->dev, r.drawn);
	if (x)
		b->dev->backend->mem_free(b->dev, x);
	if (y)
		b->dev->backend->mem_free(b->dev, y);
	return status;
}

enum ns_status ns_bench_augment(struct ns_bench *b)
{
	static const char plain[] = "[{crop: {padding: 4}}, {flip: 0.5}]";
	static const char full[] = "[{rotate: [-15, 15]}, {zoom: [0.9, 1.1]}, {flip: 0.5}, {brightness: [0.6, 1.4]}, {contrast: [0.6, 1.4]}, "
				   "{saturation: [0.6, 1.4]}, {hue: [-0.1, 0.1]}]";

	NS_TRY(augment(b, "augment 32 px: crop, flip", plain, 32));
	NS_TRY(augment(b, "augment 32 px: affine, colour", full, 32));
	return augment(b, "augment 256 px: affine, colour", full, 256);
}

/* --- the loader beside pread --- */

struct load {
	struct ns_shard *shard;
	uint8_t *pixels;
	int fd;
	int64_t at;
	int raw;
};

static enum ns_status load_once(void *context)
{
	struct load *l = context;
	size_t image = (size_t)l->shard->head.h * (size_t)l->shard->head.w * (size_t)l->shard->head.c;

	l->at = (l->at + 256) % (l->shard->rows.rows - 256);
	if (!l->raw)
		return ns_shard_read(l->shard, l->at, 256, l->pixels);
	return ns_read_at(l->fd, "bench", l->pixels, 256 * image, (uint64_t)l->shard->image_at + (uint64_t)l->at * image);
}

enum ns_status ns_bench_loader(struct ns_bench *b)
{
	static const char name[] = "shard read, 256 at a time";
	char path[NS_PATH_MAX], *names[] = {"a"};
	struct ns_shard_head head = {.encoding = "raw",
				     .dataset = "bench",
				     .classes = names,
				     .class_count = 1,
				     .groups = names,
				     .group_count = 1,
				     .h = 32,
				     .w = 32,
				     .c = 3};
	struct ns_rows rows = {.rows = 16384};
	struct load l = {.fd = -1};
	struct ns_measured *m;
	uint8_t *image = NULL;
	double read[4], raw[4];
	enum ns_status status;

	if (!ns_bench_is_selected(b, name))
		return NS_OK;
	image = calloc(16384, 3072);
	rows.label = calloc(16384, 4);
	rows.group = calloc(16384, 4);
	rows.id = calloc(16384, 8);
	rows.time = calloc(16384, 8);
	l.pixels = malloc(256 * 3072);
	if (!image || !rows.label || !rows.group || !rows.id || !rows.time || !l.pixels) {
		status = ns_fail(NS_NO_MEMORY, "out of memory for a shard");
		goto out;
	}
	NS_GO(ns_path(path, "%s/bench.h5", b->job->dir));
	NS_GO(ns_shard_write(path, &head, &rows, image, NULL));
	NS_GO(ns_shard_open(&l.shard, path));
	l.fd = open(path, O_RDONLY);
	l.raw = 1;
	NS_GO(ns_bench_clock(b, load_once, &l, 256, raw));
	l.raw = 0;
	NS_GO(ns_bench_clock(b, load_once, &l, 256, read));
	m = ns_bench_record(b, name, "images", read, 0, 3072 * 2, b->fma);
	m->share = read[1] / raw[1];
	m->bound = "pread";
out:
	if (l.fd >= 0)
		close(l.fd);
	ns_shard_close(l.shard);
	if (status == NS_OK)
		unlink(path);
	free(image);
	free(l.pixels);
	ns_rows_release(&rows);
	return status;
}
