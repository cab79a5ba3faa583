/*
 * jobs/bench/nets.c - the bench of whole networks on one core: inference, and whole training steps through the trainer
 * (forward, backward, the tree sum of the virtual ranks, optimiser, weights repacked).
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/bench/bench_inner.h"

#include <stdlib.h>
#include <string.h>

#include "host/graph/graph.h"
#include "host/train/train.h"
#include "kernels/formula/random.h"

static const char *const classes[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

static double net_flops(const struct ns_net *net)
{
	double sum = 0;
	int i;

	for (i = 0; i < net->layer_count; i++) {
		const struct ns_layer *l = &net->layers[i];

		if (l->kind == NS_LAYER_CONV)
			sum += 2 * ns_bench_inner_taps(l->h, l->p, l->r, l->stride, l->pad) *
			       ns_bench_inner_taps(l->w, l->q, l->r, l->stride, l->pad) * l->k * l->c;
		else if (l->kind == NS_LAYER_LINEAR)
			sum += 2.0 * l->k * l->c;
	}
	return sum;
}

struct infer {
	struct ns_bench *b;
	struct ns_exec *exec;
};

static enum ns_status infer_once(void *context)
{
	struct infer *r = context;
	struct ns_outputs out;

	NS_TRY(ns_exec_run(r->exec, &out));
	return r->b->dev->backend->wait(r->b->queue);
}

static enum ns_status inference(struct ns_bench *b, const char *name, const struct ns_arch *arch, enum ns_dtype dtype)
{
	struct infer r = {b, NULL};
	struct ns_model m = {0};
	double rate[4];
	enum ns_status status;

	if (!ns_bench_is_selected(b, name))
		return NS_OK;
	NS_GO(ns_model_make(&m, arch, classes, 10));
	ns_model_initialise(&m, 1);
	NS_GO(ns_exec_infer(&r.exec, &m.net, b->dev, b->queue, b->batch, dtype, 1, m.values));
	NS_GO(ns_bench_clock(b, infer_once, &r, b->batch, rate));
	ns_bench_record(b, name, "images", rate, net_flops(&m.net), 0, dtype == NS_BF16 ? b->fma_bf16 : b->fma);
out:
	ns_exec_free(r.exec);
	ns_model_release(&m);
	return status;
}

/* --- training: whole steps of the trainer, from images in memory to updated weights and their average --- */

#define MAX_STEPS 4096

struct steps {
	struct ns_bench *b;
	void *images; /* one virtual rank's */
	size_t bytes;
	int count;
	double at[MAX_STEPS + 1];
};

/* Called for the first rows of each step, so its times are those of the steps. */
static enum ns_status stage(void *context, int worker, int epoch, int64_t first, int n, int begin, int end, void *staged, int32_t *labels)
{
	struct steps *s = context;
	size_t each = s->bytes / (size_t)n;
	int i;

	(void)worker;
	(void)epoch;
	if (begin == 0 && first % ((int64_t)n * NS_BENCH_VIRTUAL) == 0 && s->count <= MAX_STEPS)
		s->at[s->count++] = ns_now();
	memcpy((char *)staged + each * (size_t)begin, (char *)s->images + each * (size_t)begin, each * (size_t)(end - begin));
	for (i = begin; i < end; i++)
		labels[i] = (int32_t)(first + i) % 10;
	return NS_OK;
}

static enum ns_status images(void *context, int queue, const void *staged, void *to)
{
	struct steps *s = context;
	struct ns_device_set *set = s->b->job->set;

	if (!set->backend->host_memory)
		return set->backend->copy(set->queues[queue], to, staged, s->bytes);
	memcpy(to, staged, s->bytes);
	return NS_OK;
}

static void noise(void *images, int64_t values, enum ns_dtype dtype)
{
	int64_t i;

	for (i = 0; i < values; i++) {
		float x = (float)ns_draw(1, NS_FOR_NOISE, 0, (uint64_t)i, 0).v[0] * 0x1p-31f - 1;

		if (dtype == NS_BF16)
			((uint16_t *)images)[i] = ns_bf16_of_f32(x);
		else
			((float *)images)[i] = x;
	}
}

/* Runs `count` steps and leaves their times in s. */
static enum ns_status take_steps(struct ns_bench *b, struct ns_model *m, enum ns_dtype dtype, int count, struct steps *s)
{
	struct ns_training *t = calloc(1, sizeof *t);
	struct ns_comm self;
	struct ns_job alone = *b->job; /* one rank and one worker, whatever this process has */
	enum ns_status status;

	if (!t)
		return ns_fail(NS_NO_MEMORY, "out of memory for training");
	alone.workers = NULL;
	alone.comm = &self;
	t->spec = (struct ns_train_spec){.batch = b->batch,
					 .virtual_ranks = NS_BENCH_VIRTUAL,
					 .epochs = 1,
					 .rows = (int64_t)count * b->batch,
					 .nesterov = 1,
					 .lr = 0.01,
					 .momentum = 0.9,
					 .weight_decay = 5e-4,
					 .seed = 1,
					 .label = "train"};
	strcpy(t->spec.precision, dtype == NS_BF16 ? "bf16" : "f32");
	t->input = (struct ns_train_input){s, s->bytes, NULL, stage, images};
	s->b = b;
	s->count = 0;
	NS_GO(ns_comm_self(&self));
	NS_GO(ns_workers_make(&alone.workers, 1));
	NS_GO(ns_train(&alone, m, t));
	s->at[s->count] = ns_now();
out:
	ns_workers_free(alone.workers);
	json_decref(t->metrics);
	free(t);
	return status;
}

static enum ns_status training(struct ns_bench *b, const char *name, const struct ns_arch *arch, enum ns_dtype dtype)
{
	struct steps *s = NULL;
	struct ns_model m = {0};
	double rate[4], once;
	int i, n = b->batch / NS_BENCH_VIRTUAL, count;
	enum ns_status status;

	if (!ns_bench_is_selected(b, name))
		return NS_OK;
	NS_GO(ns_model_make(&m, arch, classes, 10));
	ns_model_initialise(&m, 1);
	s = calloc(1, sizeof *s);
	if (s)
		s->bytes = (size_t)n * (size_t)arch->h * (size_t)arch->w * (size_t)arch->c * (dtype == NS_BF16 ? 2 : 4);
	if (!s || !(s->images = calloc(s->bytes, 1))) {
		status = ns_fail(NS_NO_MEMORY, "out of memory for images");
		goto out;
	}
	noise(s->images, (int64_t)n * arch->h * arch->w * arch->c, dtype);
	NS_GO(take_steps(b, &m, dtype, 2, s));
	once = s->at[2] - s->at[1];
	count = (int)(b->seconds / once) + 4;
	NS_GO(take_steps(b, &m, dtype, count < MAX_STEPS ? count : MAX_STEPS, s));
	for (i = 1; i < s->count - 1; i++) /* the first step warms up, the last includes the end of an epoch */
		s->at[i] = b->batch / (s->at[i + 1] - s->at[i]);
	ns_bench_quartiles(s->at + 1, s->count - 2, rate);
	ns_bench_record(b, name, "images", rate, 3 * net_flops(&m.net), 0, dtype == NS_BF16 ? b->fma_bf16 : b->fma);
out:
	if (s)
		free(s->images);
	free(s);
	ns_model_release(&m);
	return status;
}

static enum ns_status both(struct ns_bench *b, const char *name, const struct ns_arch *arch, enum ns_dtype dtype)
{
	char text[64];

	snprintf(text, sizeof text, "inference %s, %s", name, dtype == NS_BF16 ? "bf16" : "f32");
	NS_TRY(inference(b, text, arch, dtype));
	snprintf(text, sizeof text, "training %s, %s", name, dtype == NS_BF16 ? "bf16" : "f32");
	return training(b, text, arch, dtype);
}

enum ns_status ns_bench_nets(struct ns_bench *b)
{
	struct ns_arch demo = {.blocks = {1, 1, 1}, .stages = 3, .width = 16, .h = 28, .w = 28, .c = 1, .classes = 10};
	struct ns_arch resnet18 = {.blocks = {2, 2, 2, 2}, .stages = 4, .width = 64, .h = 32, .w = 32, .c = 3, .classes = 10};
	struct ns_op probe = {.kind = NS_OP_CONV, .u.conv = {1, 8, 8, 16, 16, 3, 3, 1, 1, 0, NS_BN_EPS, NS_BF16}};
	struct ns_plan *plan = NULL;
	int bf16 = ns_plan_make(&plan, b->dev, &probe) == NS_OK && !strstr(plan->impl->name, "/ref");

	ns_plan_free(plan);
	NS_TRY(both(b, "demo network", &demo, NS_F32));
	if (bf16)
		NS_TRY(both(b, "demo network", &demo, NS_BF16));
	NS_TRY(both(b, "ResNet-18 (CIFAR)", &resnet18, NS_F32));
	return bf16 ? both(b, "ResNet-18 (CIFAR)", &resnet18, NS_BF16) : NS_OK;
}
