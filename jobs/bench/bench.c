/*
 * jobs/bench/bench.c - each part's speed on one core, or on one GPU, as a share of its limit, and the limits are measured in the same
 * run: a memory copy for what is bound by bytes, a loop of multiply-adds (on a GPU a matrix product) for what is bound by
 * arithmetic. Shares carry over to other machines; rates do not.
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/bench/bench_inner.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/graph/graph.h"

/* --- the limits --- */

struct copy {
	char *from, *to;
	size_t bytes;
};

static enum ns_status copy_once(void *context)
{
	struct copy *c = context;

	memcpy(c->to, c->from, c->bytes);
	c->from[c->to[c->bytes / 2] & 63]++; /* keeps the compiler from removing the copy */
	return NS_OK;
}

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#define CHAINS 12 /* independent: enough to hide the latency of an FMA on two ports, few enough for 16 registers */
#define ROUNDS 2000

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

/* The only function in which the compiler may contract a multiply and an add into an FMA: the FMA rate is measured. */
__attribute__((optimize("fp-contract=fast"))) static enum ns_status fma_once(void *context)
{
	vector *sink = context, a[CHAINS], x = *sink * 0 + 0.999f, y = *sink * 0 + 0.001f;
	int i, j;

	for (i = 0; i < CHAINS; i++)
		a[i] = *sink + (float)i;
	for (j = 0; j < ROUNDS; j++) {
#pragma GCC unroll 12
		for (i = 0; i < CHAINS; i++)
			a[i] = a[i] * x + y;
	}
	for (i = 0; i < CHAINS; i++)
		*sink += a[i] * 1e-9f;
	__asm__ volatile("" : "+m"(*sink)); /* keeps the compiler from removing the loop */
	return NS_OK;
}

#ifdef __AVX512BF16__
/* pairs of bf16 products, added into f32: 64 flop an instruction */
static enum ns_status fma_bf16_once(void *context)
{
	__m512 *sink = context, a[CHAINS];
	__m512bh x = (__m512bh)_mm512_set1_epi16(0x3c00), y = (__m512bh)_mm512_set1_epi16(0x3c00); /* 1/128 */
	int i, j;

	for (i = 0; i < CHAINS; i++)
		a[i] = _mm512_add_ps(*sink, _mm512_set1_ps((float)i)); /* different values, or the compiler would merge the chains */
	for (j = 0; j < ROUNDS; j++) {
#pragma GCC unroll 12
		for (i = 0; i < CHAINS; i++)
			a[i] = _mm512_dpbf16_ps(a[i], x, y);
		__asm__ volatile("" : "+v"(x)); /* keeps the product in the loop */
	}
	for (i = 0; i < CHAINS; i++)
		*sink = _mm512_add_ps(*sink, a[i]);
	__asm__ volatile("" : "+m"(*sink)); /* keeps the compiler from removing the loop */
	return NS_OK;
}

static enum ns_status bf16_limit(struct ns_bench *b)
{
	__m512 sink = _mm512_set1_ps(1);
	double rate[4];

	NS_TRY(ns_bench_clock(b, fma_bf16_once, &sink, 4.0 * CHAINS * 16 * ROUNDS, rate));
	b->fma_bf16 = rate[3];
	return NS_OK;
}
#else
static enum ns_status bf16_limit(struct ns_bench *b) /* without AVX512_BF16 the limit is that of f32 */
{
	b->fma_bf16 = b->fma;
	return NS_OK;
}
#endif

/* The limits of a GPU: a copy within its memory, and its library's fastest matrix product, as a 1x1 convolution. */
static enum ns_status device_copy(void *context)
{
	struct ns_bench_op *c = context;
	const struct ns_backend *d = c->b->dev->backend;
	int i;

	for (i = 0; i < c->b->rounds; i++)
		NS_TRY(d->copy(c->b->queue, c->args.out[0], c->args.in[0], (size_t)256 << 20));
	return d->wait(c->b->queue);
}

/* A product of (pixels, channels) and (channels, channels), enlarged until it takes 5 ms. */
static enum ns_status matrix_product(struct ns_bench *b, enum ns_dtype dtype, double *limit)
{
	struct ns_op op = {.kind = NS_OP_CONV};
	struct ns_bench_op r = {.b = b};
	void *block = NULL, *workspace = NULL;
	double flops, rate[4], start, seconds = 0;
	enum ns_status status = NS_OK;
	int c;

	for (c = 64; status == NS_OK && c <= 4096 && seconds < 0.005; c *= 4) {
		int n = c < 512 ? 1 : c / 512, rounds = b->rounds;
		size_t each = (size_t)(n * 1024 > c ? n * 1024 : c) * (size_t)c * 4;

		op.u.conv = (struct ns_op_conv){n, 32, 32, c, c, 1, 1, 1, 0, NS_CONV_BIAS, NS_BN_EPS, dtype};
		flops = 2.0 * n * 1024 * c * c;
		NS_GO(ns_plan_make(&r.plan, b->dev, &op));
		NS_GO(ns_bench_memory(b, 4 * each, &block));
		NS_GO(b->dev->backend->mem_make(&workspace, b->dev, r.plan->workspace_bytes + 64));
		r.args.in[NS_CONV_X] = block;
		r.args.in[NS_CONV_W] = (char *)block + each;
		r.args.in[NS_CONV_B] = (char *)block + 2 * each;
		r.args.out[NS_CONV_Y] = (char *)block + 3 * each;
		r.args.workspace = workspace;
		b->rounds = 2;
		status = ns_bench_op_once(&r); /* warm up */
		start = ns_now();
		if (status == NS_OK)
			status = ns_bench_op_once(&r);
		seconds = (ns_now() - start) / 2;
		b->rounds = rounds;
		if (status == NS_OK)
			status = ns_bench_clock(b, ns_bench_op_once, &r, rounds * flops, rate);
		if (status == NS_OK && rate[3] > *limit)
			*limit = rate[3];
	out:
		ns_plan_free(r.plan);
		if (block)
			b->dev->backend->mem_free(b->dev, block);
		if (workspace)
			b->dev->backend->mem_free(b->dev, workspace);
		r.plan = NULL;
		block = workspace = NULL;
	}
	return status;
}

static enum ns_status device_limits(struct ns_bench *b)
{
	struct ns_bench_op c = {.b = b};
	double rate[4];
	void *block = NULL;
	enum ns_status status;

	NS_GO(ns_bench_memory(b, (size_t)512 << 20, &block));
	c.args.in[0] = block;
	c.args.out[0] = (char *)block + ((size_t)256 << 20);
	NS_GO(ns_bench_clock(b, device_copy, &c, b->rounds * 2.0 * (256 << 20), rate));
	b->copy = rate[3];
	NS_GO(matrix_product(b, NS_F32, &b->fma));
	status = matrix_product(b, NS_BF16, &b->fma_bf16);
out:
	if (block)
		b->dev->backend->mem_free(b->dev, block);
	return status;
}

static enum ns_status core_limits(struct ns_bench *b)
{
	struct copy c = {NULL, NULL, (size_t)64 << 20};
	vector sink = {1};
	double rate[4];
	enum ns_status status;

	/* memory as ops get it: huge pages, each written once */
	status = b->dev->backend->mem_make((void **)&c.from, b->dev, c.bytes);
	if (status == NS_OK)
		status = b->dev->backend->mem_make((void **)&c.to, b->dev, c.bytes);
	if (status == NS_OK)
		memset(c.from, 1, c.bytes);
	status = status == NS_OK ? ns_bench_clock(b, copy_once, &c, 2.0 * (double)c.bytes, rate) : ns_fail(NS_NO_MEMORY, "out of memory for a copy");
	b->copy = rate[3]; /* the limit is the best observed rate */
	if (c.from)
		b->dev->backend->mem_free(b->dev, c.from);
	if (c.to)
		b->dev->backend->mem_free(b->dev, c.to);
	NS_TRY(status);
	NS_TRY(ns_bench_clock(b, fma_once, &sink, 2.0 * CHAINS * LANES * ROUNDS, rate));
	b->fma = rate[3];
	return bf16_limit(b);
}

static enum ns_status measure_limits(struct ns_bench *b)
{
	NS_TRY(b->dev->backend->host_memory ? core_limits(b) : device_limits(b));
	ns_log_event(b->job->log, "limits",
		     json_pack("{s:f, s:f, s:f}", "copy_GB_s", b->copy / 1e9, "fma_GF_s", b->fma / 1e9, "bf16_GF_s", b->fma_bf16 / 1e9));
	return NS_OK;
}

/* --- the report --- */

static json_t *to_json(const struct ns_bench *b)
{
	static const struct ns_json_field fields[] = {
		NS_JSON_FIELD(struct ns_measured, name, "name"),   NS_JSON_FIELD(struct ns_measured, unit, "unit"),
		NS_JSON_FIELD(struct ns_measured, rate, "rate"),   NS_JSON_FIELD(struct ns_measured, low, "low"),
		NS_JSON_FIELD(struct ns_measured, high, "high"),   NS_JSON_FIELD(struct ns_measured, share, "share"),
		NS_JSON_FIELD(struct ns_measured, flops, "flops"), NS_JSON_FIELD(struct ns_measured, bytes, "bytes"),
		NS_JSON_FIELD(struct ns_measured, bound, "bound"),
	};
	json_t *list = json_array();
	int i;

	for (i = 0; i < b->count; i++)
		json_array_append_new(list, ns_json_fields(json_object(), fields, sizeof fields / sizeof *fields, &b->rows[i]));
	return json_pack("{s:s, s:s, s:f, s:f, s:f, s:o}", "schema", "nightshift.bench/1", "device", b->job->set->description,
			 "copy_bytes_per_second", b->copy, "fma_flops_per_second", b->fma, "bf16_flops_per_second", b->fma_bf16, "results", list);
}

static enum ns_status measure(struct ns_bench *b)
{
	NS_TRY(measure_limits(b));
	NS_TRY(ns_bench_ops(b));
	NS_TRY(ns_bench_augment(b));
	NS_TRY(ns_bench_loader(b));
	NS_TRY(ns_bench_nets(b));
	return b->count ? NS_OK : ns_fail(NS_CONFIG, "bench.only = '%s': no measurement has this in its name", b->only);
}

enum ns_status ns_job_bench(struct ns_job *job, int argc, char **argv)
{
	struct ns_bench b = {.job = job,
			     .seconds = ns_conf_real(job->conf, "bench.seconds"),
			     .only = ns_conf_text(job->conf, "bench.only"),
			     .batch = (int)ns_conf_int(job->conf, "bench.batch")};
	const char *against = ns_conf_text(job->conf, "bench.against");
	json_t *json = NULL, *old = NULL;
	char path[NS_PATH_MAX];
	enum ns_status status;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "bench: takes no operand");
	if (against)
		NS_TRY(ns_json_read(against, &old, "nightshift.bench/1"));
	NS_GO(ns_device_set_open(job->set, job->conf, job->workers));
	NS_GO(ns_job_begin(job, 0));
	NS_GO(ns_bench_comm(&b));
	if (job->comm->rank == 0) { /* one core is measured, while the other ranks wait */
		b.dev = job->set->devices[0];
		b.queue = job->set->queues[0];
		b.rounds = b.dev->backend->host_memory ? 1 : 20;
		status = measure(&b);
		json = status == NS_OK ? to_json(&b) : NULL;
		if (json)
			status = ns_path(path, "%s/bench.json", job->dir);
		if (json && status == NS_OK)
			status = ns_json_write(path, json);
		if (json && status == NS_OK)
			status = ns_path(path, "%s/bench.html", job->dir);
		if (json && status == NS_OK)
			status = ns_bench_page(&b, old, path);
	}
	NS_GO(ns_job_agree(job, status));
	ns_job_count(job, "results", b.count);
	status = ns_job_publish(job);
out:
	json_decref(json);
	json_decref(old);
	return status;
}
