/*
 * jobs/bench.c - each part's speed on one core as a share of its limit, and the limits are measured in the same run: a memory
 * copy for what is bound by bytes, a loop of multiply-adds for what is bound by arithmetic. Shares carry over to other
 * machines; rates do not.
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/jobs.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/net/exec.h"
#include "host/report/html.h"

#define REPEATS 7

struct measured {
	char name[64], unit[16];
	double rate, low, high; /* median and quartiles of items a second */
	double flops, bytes;	  /* of one item */
	double share;		  /* of its limit */
	const char *bound;
};

struct bench {
	struct ns_job *job;
	struct ns_device *dev;
	struct ns_queue *queue;
	double seconds, copy, fma; /* bytes/s read and written; flop/s */
	struct measured rows[64];
	int count;
};

typedef enum ns_status bench_fn(void *context);

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* median and quartiles of items a second; each repeat runs for a share of bench.seconds */
static enum ns_status clock_it(struct bench *b, bench_fn *fn, void *context, double items, double rate[3])
{
	double r[REPEATS];
	int i;

	NS_TRY(fn(context)); /* warm */
	for (i = 0; i < REPEATS; i++) {
		double start = ns_now(), t;
		int64_t n = 0;

		do {
			NS_TRY(fn(context));
			n++;
			t = ns_now() - start;
		} while (t < b->seconds / REPEATS);
		r[i] = (double)n * items / t;
	}
	qsort(r, REPEATS, sizeof *r, by_double);
	rate[0] = r[REPEATS / 4];
	rate[1] = r[REPEATS / 2];
	rate[2] = r[REPEATS - 1 - REPEATS / 4];
	return NS_OK;
}

static void record(struct bench *b, const char *name, const char *unit, const double rate[3], double flops, double bytes)
{
	struct measured *m = &b->rows[b->count++];
	double compute = flops > 0 ? b->fma / flops : INFINITY, memory = bytes > 0 ? b->copy / bytes : INFINITY;

	*m = (struct measured){.rate = rate[1], .low = rate[0], .high = rate[2], .flops = flops, .bytes = bytes};
	snprintf(m->name, sizeof m->name, "%s", name);
	snprintf(m->unit, sizeof m->unit, "%s", unit);
	m->bound = compute < memory ? "arithmetic" : "memory";
	m->share = rate[1] / fmin(compute, memory);
	ns_log_event(b->job->log, "bench", json_pack("{s:s, s:f, s:s, s:f, s:s}", "what", name, "rate", rate[1], "unit", unit, "share",
						     m->share, "of", m->bound));
}

/* --- the limits --- */

struct copy {
	char *from, *to;
	size_t bytes;
};

static enum ns_status copy_once(void *context)
{
	struct copy *c = context;

	memcpy(c->to, c->from, c->bytes);
	c->from[c->to[c->bytes / 2] & 63]++; /* so that no copy is left out */
	return NS_OK;
}

typedef float v16f __attribute__((vector_size(64)));

/* twelve independent chains of vectors: enough to hide the latency of an FMA on two ports */
static enum ns_status fma_once(void *context)
{
	v16f *sink = context, a[12], x = *sink * 0 + 0.999f, y = *sink * 0 + 0.001f;
	int i, j, l;

	for (i = 0; i < 12; i++)
		a[i] = *sink + (float)i;
	for (j = 0; j < 2000; j++) {
#pragma GCC unroll 12
		for (i = 0; i < 12; i++)
#pragma GCC unroll 16
			for (l = 0; l < 16; l++)
				a[i][l] = __builtin_fmaf(a[i][l], x[l], y[l]);
	}
	for (i = 0; i < 12; i++)
		*sink += a[i] * 1e-9f;
	return NS_OK;
}

static enum ns_status limits(struct bench *b)
{
	struct copy c = {.bytes = (size_t)64 << 20};
	v16f sink = {1};
	double rate[3];
	enum ns_status status;

	c.from = calloc(c.bytes, 1);
	c.to = calloc(c.bytes, 1);
	status = c.from && c.to ? clock_it(b, copy_once, &c, 2.0 * (double)c.bytes, rate) : ns_fail(NS_NO_MEMORY, "no memory to copy");
	b->copy = rate[1];
	free(c.from);
	free(c.to);
	NS_TRY(status);
	NS_TRY(clock_it(b, fma_once, &sink, 2.0 * 12 * 16 * 2000, rate));
	b->fma = rate[1];
	ns_log_event(b->job->log, "limits", json_pack("{s:f, s:f}", "copy_GB_s", b->copy / 1e9, "fma_GF_s", b->fma / 1e9));
	return NS_OK;
}

/* --- ops --- */

struct op_run {
	struct ns_plan *plan;
	struct ns_args args;
	struct ns_queue *queue;
};

static enum ns_status op_once(void *context)
{
	struct op_run *r = context;

	return ns_plan_run(r->plan, &r->args, r->queue);
}

/* all arguments point into one block, far enough apart for any of these ops */
static enum ns_status bench_op(struct bench *b, const char *name, const struct ns_op *op, size_t each, double items, double flops,
			       double bytes)
{
	struct op_run r = {.queue = b->queue};
	double rate[3];
	char *block = NULL;
	void *workspace = NULL;
	enum ns_status status;
	int i;

	NS_TRY(ns_plan_make(&r.plan, b->dev, op));
	NS_GO(b->dev->backend->mem_make((void **)&block, b->dev, each * (NS_OP_MAX_IN + NS_OP_MAX_OUT)));
	NS_GO(b->dev->backend->mem_make(&workspace, b->dev, r.plan->workspace_bytes + 64));
	for (i = 0; i < NS_OP_MAX_IN; i++)
		r.args.in[i] = block + each * (size_t)i;
	for (i = 0; i < NS_OP_MAX_OUT; i++)
		r.args.out[i] = block + each * (size_t)(NS_OP_MAX_IN + i);
	r.args.workspace = workspace;
	NS_GO(clock_it(b, op_once, &r, items, rate));
	record(b, name, op->kind == NS_OP_SGD || op->kind == NS_OP_EMA ? "parameters" : "images", rate, flops, bytes);
out:
	ns_plan_free(r.plan);
	if (block)
		b->dev->backend->mem_free(b->dev, block);
	if (workspace)
		b->dev->backend->mem_free(b->dev, workspace);
	return status;
}

static enum ns_status conv_ops(struct bench *b)
{
	static const struct {
		int side, c, k, stride;
	} shapes[] = {{32, 64, 64, 1}, {16, 128, 128, 1}, {28, 16, 16, 1}, {14, 32, 32, 1}};
	static const enum ns_op_kind kinds[] = {NS_OP_CONV, NS_OP_CONV_TRAIN, NS_OP_CONV_BACKWARD};
	size_t i, k;

	for (i = 0; i < sizeof shapes / sizeof *shapes; i++)
		for (k = 0; k < 3; k++) {
			int s = shapes[i].side, c = shapes[i].c, n = 16;
			double flops = 2.0 * s * s * 9 * c * c * (kinds[k] == NS_OP_CONV_BACKWARD ? 2 : 1), bytes = 8.0 * s * s * c;
			struct ns_op op = {.kind = kinds[k]};
			char name[64];

			op.u.conv = (struct ns_conv){n, s, s, c, shapes[i].k, 3, 3, 1, 1, NS_CONV_RELU, NS_BN_EPS, NS_F32};
			op.u.conv.flags |= kinds[k] == NS_OP_CONV ? NS_CONV_BIAS : NS_CONV_NORM;
			snprintf(name, sizeof name, "%s 3x3 %dx%dx%d", ns_op_name(kinds[k]), s, s, c);
			NS_TRY(bench_op(b, name, &op, (size_t)n * (size_t)s * (size_t)s * (size_t)c * 4 + ((size_t)c * (size_t)c * 9 * 4 + 4096), n, flops,
					bytes));
		}
	return NS_OK;
}

static enum ns_status flat_ops(struct bench *b)
{
	int64_t n = 16 << 20; /* far beyond any cache */
	struct ns_op op = {.kind = NS_OP_SGD};

	op.u.optim = (struct ns_optim){.n = n, .n_decay = n, .momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = 1};
	NS_TRY(bench_op(b, "sgd, Nesterov", &op, (size_t)n * 4, (double)n, 0, 20));
	op = (struct ns_op){.kind = NS_OP_EMA, .u.ema = {n}};
	return bench_op(b, "ema", &op, (size_t)n * 4, (double)n, 0, 12);
}

/* --- augmentation --- */

struct augment_run {
	struct op_run op;
	struct ns_augment_config config;
	struct ns_augment_sample *samples;
	int side, n;
};

static enum ns_status augment_once(void *context)
{
	struct augment_run *r = context;
	int i;

	for (i = 0; i < r->n; i++) /* drawing is part of the work */
		ns_augment_draw(&r->samples[i], &r->config, r->side, r->side, r->side, r->side, 1, 0, (uint64_t)i, 0);
	return op_once(&r->op);
}

static enum ns_status bench_augment(struct bench *b, const char *name, const char *recipe, int side)
{
	struct augment_run r = {.side = side, .n = side > 100 ? 16 : 256, .op.queue = b->queue};
	size_t values = (size_t)side * (size_t)side * 3 * (size_t)r.n;
	struct ns_op op = {.kind = NS_OP_AUGMENT};
	void *workspace = NULL, *x = NULL, *y = NULL;
	json_t *list = NULL;
	double rate[3];
	enum ns_status status;
	int c;

	r.samples = calloc((size_t)r.n, sizeof *r.samples);
	NS_GO(ns_yaml_parse(&list, recipe, strlen(recipe), name));
	NS_GO(ns_recipe_parse(&r.config, list, side, side, name));
	op.u.augment = (struct ns_augment){r.n, side, side, 3, side, side, NS_F32, {0}, {0}, &r.config};
	for (c = 0; c < 3; c++)
		op.u.augment.scale[c] = 1 / 64.0f;
	NS_GO(ns_plan_make(&r.op.plan, b->dev, &op));
	NS_GO(b->dev->backend->mem_make(&workspace, b->dev, r.op.plan->workspace_bytes));
	NS_GO(b->dev->backend->mem_make(&x, b->dev, values));
	NS_GO(b->dev->backend->mem_make(&y, b->dev, values * 4));
	r.op.args = (struct ns_args){{x, r.samples}, {y}, workspace};
	NS_GO(clock_it(b, augment_once, &r, r.n, rate));
	record(b, name, "images", rate, 0, 5.0 * side * side * 3);
out:
	json_decref(list);
	ns_plan_free(r.op.plan);
	free(r.samples);
	if (workspace)
		b->dev->backend->mem_free(b->dev, workspace);
	if (x)
		b->dev->backend->mem_free(b->dev, x);
	if (y)
		b->dev->backend->mem_free(b->dev, y);
	return status;
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

static enum ns_status bench_loader(struct bench *b)
{
	char path[NS_PATH_MAX], *names[] = {(char *)(uintptr_t)"a"};
	struct ns_shard_head head = {.encoding = "raw", .dataset = "bench", .classes = names, .class_count = 1, .groups = names,
				     .group_count = 1, .h = 32, .w = 32, .c = 3};
	struct ns_rows rows = {.rows = 16384};
	struct load l = {.fd = -1};
	uint8_t *image = calloc(16384, 3072);
	double read[3], raw[3];
	enum ns_status status;

	rows.label = calloc(16384, 4);
	rows.group = calloc(16384, 4);
	rows.id = calloc(16384, 8);
	rows.time = calloc(16384, 8);
	l.pixels = malloc(256 * 3072);
	if (!image || !rows.label || !rows.group || !rows.id || !rows.time || !l.pixels) {
		status = ns_fail(NS_NO_MEMORY, "no memory for a shard");
		goto out;
	}
	NS_GO(ns_path(path, "%s/bench.h5", b->job->dir));
	NS_GO(ns_shard_write(path, &head, &rows, image, NULL));
	NS_GO(ns_shard_open(&l.shard, path));
	l.fd = open(path, O_RDONLY);
	l.raw = 1;
	NS_GO(clock_it(b, load_once, &l, 256, raw));
	l.raw = 0;
	NS_GO(clock_it(b, load_once, &l, 256, read));
	record(b, "shard read, 256 at a time", "images", read, 0, 3072 * 2);
	b->rows[b->count - 1].share = read[1] / raw[1];
	b->rows[b->count - 1].bound = "pread";
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

/* --- whole networks, one core --- */

struct net_run {
	struct ns_exec *exec;
	struct ns_flat flat;
	float *w, *grad;
	void *packed;
	int32_t labels[64];
};

static enum ns_status train_once(void *context)
{
	struct net_run *r = context;

	return ns_exec_step(r->exec, &r->flat, r->w, r->packed, r->labels, r->grad);
}

static enum ns_status infer_once(void *context)
{
	struct ns_outputs out;

	return ns_exec_run(((struct net_run *)context)->exec, &out);
}

static double net_flops(const struct ns_net *net)
{
	double sum = 0;
	int i;

	for (i = 0; i < net->layer_count; i++) {
		const struct ns_layer *l = &net->layers[i];

		if (l->kind == NS_LAYER_CONV)
			sum += 2.0 * l->p * l->q * l->k * l->r * l->r * l->c;
		else if (l->kind == NS_LAYER_LINEAR)
			sum += 2.0 * l->k * l->c;
	}
	return sum;
}

static enum ns_status bench_net(struct bench *b, const char *name, const struct ns_arch *arch, enum ns_dtype dtype, int n)
{
	static const char *const classes[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
	struct net_run r = {0};
	struct ns_model m = {0};
	double rate[3], flops;
	char text[64];
	enum ns_status status;

	NS_GO(ns_model_make(&m, arch, classes, 10));
	ns_model_initialise(&m, 1);
	flops = net_flops(&m.net);
	NS_GO(ns_exec_infer(&r.exec, &m.net, b->dev, b->queue, 4 * n, dtype, 1, m.values));
	NS_GO(clock_it(b, infer_once, &r, 4 * n, rate));
	snprintf(text, sizeof text, "inference %s, %s", name, dtype == NS_BF16 ? "bf16" : "f32");
	record(b, text, "images", rate, flops, 0);
	ns_exec_free(r.exec);
	r.exec = NULL;
	NS_GO(ns_exec_train(&r.exec, &m.net, b->dev, b->queue, n, 4 * n, 0, dtype));
	NS_GO(ns_exec_flat(r.exec, &r.flat));
	NS_GO(b->dev->backend->mem_make((void **)&r.w, b->dev, (size_t)r.flat.total * 4));
	NS_GO(b->dev->backend->mem_make((void **)&r.grad, b->dev, (size_t)r.flat.total * 4));
	NS_GO(b->dev->backend->mem_make(&r.packed, b->dev, (size_t)ns_exec_packed_bytes(r.exec)));
	NS_GO(ns_exec_to_flat(r.exec, &r.flat, m.values, r.w));
	NS_GO(ns_exec_pack(r.exec, &r.flat, r.w, r.packed, 0, 1));
	NS_GO(clock_it(b, train_once, &r, n, rate));
	snprintf(text, sizeof text, "training %s, %s", name, dtype == NS_BF16 ? "bf16" : "f32");
	record(b, text, "images", rate, 3 * flops, 0);
out:
	ns_exec_free(r.exec);
	ns_flat_release(&r.flat);
	b->dev->backend->mem_free(b->dev, r.w);
	b->dev->backend->mem_free(b->dev, r.grad);
	b->dev->backend->mem_free(b->dev, r.packed);
	ns_model_release(&m);
	return status;
}

static enum ns_status nets(struct bench *b)
{
	struct ns_arch demo = {.blocks = {1, 1, 1}, .stages = 3, .width = 16, .h = 28, .w = 28, .c = 1, .classes = 10};
	struct ns_arch resnet18 = {.blocks = {2, 2, 2, 2}, .stages = 4, .width = 64, .h = 32, .w = 32, .c = 3, .classes = 10};
	struct ns_op probe = {.kind = NS_OP_CONV, .u.conv = {1, 8, 8, 16, 16, 3, 3, 1, 1, 0, NS_BN_EPS, NS_BF16}};
	struct ns_plan *plan = NULL;
	int bf16 = ns_plan_make(&plan, b->dev, &probe) == NS_OK && !strstr(plan->impl->name, "/ref");

	ns_plan_free(plan);
	NS_TRY(bench_net(b, "demo network", &demo, NS_F32, 16));
	if (bf16)
		NS_TRY(bench_net(b, "demo network", &demo, NS_BF16, 16));
	NS_TRY(bench_net(b, "ResNet-18 (CIFAR)", &resnet18, NS_F32, 16));
	return bf16 ? bench_net(b, "ResNet-18 (CIFAR)", &resnet18, NS_BF16, 16) : NS_OK;
}

/* --- the report --- */

static json_t *to_json(const struct bench *b)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < b->count; i++) {
		const struct measured *m = &b->rows[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "name", m->name, "unit", m->unit, "rate",
						      m->rate, "low", m->low, "high", m->high, "share", m->share, "flops", m->flops, "bytes",
						      m->bytes, "bound", m->bound));
	}
	return json_pack("{s:s, s:s, s:f, s:f, s:o}", "schema", "nightshift.bench/1", "device", b->job->set->description,
			 "copy_bytes_per_second", b->copy, "fma_flops_per_second", b->fma, "results", list);
}

/* log-log: arithmetic intensity across, flop rate up, the two roofs, and each op that has flops and bytes */
static void roofline(struct ns_html *h, const struct bench *b)
{
	double x0 = -2, x1 = 4, y1 = log10(b->fma) + 0.3, y0 = y1 - 4, ridge = log10(b->fma / b->copy);
	int i;

#define X(v) (50 + 500 * ((v) - x0) / (x1 - x0))
#define Y(v) (290 - 260 * ((v) - y0) / (y1 - y0))
	ns_html_raw(h, "<figure><svg role=\"img\" width=\"600\" height=\"330\" viewBox=\"0 0 600 330\" aria-label=\"roofline\">"
		       "<rect x=\"50\" y=\"30\" width=\"500\" height=\"260\" fill=\"none\" stroke=\"var(--line)\"/>");
	ns_html_raw(h, "<polyline fill=\"none\" stroke=\"var(--a)\" stroke-width=\"2\" points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f\"/>",
		    X(fmax(x0, y0 - log10(b->copy))), Y(fmax(y0, log10(b->copy) + x0)), X(ridge), Y(log10(b->fma)), X(x1), Y(log10(b->fma)));
	for (i = 0; i < b->count; i++) {
		const struct measured *m = &b->rows[i];

		if (m->flops > 0 && m->bytes > 0)
			ns_html_raw(h, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"var(--b)\"><title>%s</title></circle>",
				    X(log10(m->flops / m->bytes)), Y(log10(m->flops * m->rate)), m->name);
	}
	ns_html_raw(h, "<text class=\"dim\" x=\"300\" y=\"315\" text-anchor=\"middle\">flop a byte (log)</text>"
		       "<text class=\"dim\" x=\"50\" y=\"22\">flop a second (log); line: copy and FMA peak of this run</text></svg></figure>\n");
#undef X
#undef Y
}

/* words for a change: intervals that do not overlap are a change */
static const char *compare_words(const struct measured *m, const json_t *old, double *ratio)
{
	double rate = ns_json_number(old, "rate", 0), low = ns_json_number(old, "low", 0), high = ns_json_number(old, "high", 0);

	*ratio = rate > 0 ? m->rate / rate : NAN;
	if (m->low > high && *ratio > 1.02)
		return "faster";
	if (m->high < low && *ratio < 0.98)
		return "SLOWER";
	return "the same within the noise";
}

static const json_t *find(const json_t *old, const char *name)
{
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(old, "results"), i, e)
		if (!strcmp(ns_json_text(e, "name"), name))
			return e;
	return NULL;
}

static enum ns_status write_page(const struct bench *b, const json_t *old, const char *path)
{
	static const char *const head[] = {"what", "rate", "middle half", "share of its limit", "limit", "against before"};
	struct ns_html h;
	enum ns_status status;
	int i;

	ns_html_begin(&h, "nightshift: bench");
	ns_html_element(&h, "h1", "Bench");
	ns_html_element(&h, "p class=\"dim\"", "%s. One core; copy %.1f GB/s (read + written), FMA peak %.0f GF/s, both measured in this run.",
			b->job->set->description, b->copy / 1e9, b->fma / 1e9);
	roofline(&h, b);
	ns_html_raw(&h, "<div class=\"wide\"><table>");
	ns_html_row(&h, "th", head, 6);
	for (i = 0; i < b->count; i++) {
		const struct measured *m = &b->rows[i];
		const json_t *was = find(old, m->name);
		char v[4][80] = {"", "", "", ""};
		const char *cells[6] = {m->name, v[0], v[1], v[2], m->bound, v[3]};
		double ratio;

		snprintf(v[0], sizeof v[0], "%.4g %s/s", m->rate, m->unit);
		snprintf(v[1], sizeof v[1], "%.4g to %.4g", m->low, m->high);
		snprintf(v[2], sizeof v[2], "%.0f %%", 100 * m->share);
		if (was) {
			const char *words = compare_words(m, was, &ratio);

			snprintf(v[3], sizeof v[3], "%.2f x: %s", ratio, words);
		}
		ns_html_row(&h, "td", cells, 6);
	}
	ns_html_raw(&h, "</table></div>\n");
	status = ns_html_write(&h, path);
	ns_html_release(&h);
	return status;
}

static enum ns_status measure(struct bench *b)
{
	static const char plain[] = "[{crop: {padding: 4}}, {flip: 0.5}]";
	static const char full[] = "[{rotate: [-15, 15]}, {zoom: [0.9, 1.1]}, {flip: 0.5}, {brightness: [0.6, 1.4]}, {contrast: [0.6, 1.4]}, "
				   "{saturation: [0.6, 1.4]}, {hue: [-0.1, 0.1]}]";

	NS_TRY(limits(b));
	NS_TRY(conv_ops(b));
	NS_TRY(flat_ops(b));
	NS_TRY(bench_augment(b, "augment 32 px: crop, flip", plain, 32));
	NS_TRY(bench_augment(b, "augment 32 px: affine, colour", full, 32));
	NS_TRY(bench_augment(b, "augment 256 px: affine, colour", full, 256));
	NS_TRY(bench_loader(b));
	return nets(b);
}

enum ns_status ns_job_bench(struct ns_job *job, int argc, char **argv)
{
	struct bench b = {.job = job, .seconds = ns_conf_real(job->conf, "bench.seconds")};
	const char *against = ns_conf_text(job->conf, "bench.against");
	json_t *json = NULL, *old = NULL;
	char path[NS_PATH_MAX];
	enum ns_status status;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "bench: takes no operand");
	if (against)
		NS_TRY(ns_json_read(against, &old, "nightshift.bench/1"));
	NS_GO(ns_device_set_open(job->set, job->conf, job->pool));
	NS_GO(ns_job_begin(job, 0));
	if (job->comm->rank == 0) { /* one core is measured: the other ranks keep still */
		b.dev = job->set->devices[0];
		b.queue = job->set->queues[0];
		status = measure(&b);
		json = status == NS_OK ? to_json(&b) : NULL;
		if (json)
			status = ns_path(path, "%s/bench.json", job->dir);
		if (json && status == NS_OK)
			status = ns_json_write(path, json);
		if (json && status == NS_OK)
			status = ns_path(path, "%s/bench.html", job->dir);
		if (json && status == NS_OK)
			status = write_page(&b, old, path);
	}
	NS_GO(ns_job_agree(job, status));
	ns_job_count(job, "results", b.count);
	status = ns_job_publish(job);
out:
	json_decref(json);
	json_decref(old);
	return status;
}
