/*
 * tests/bench/gpu_nets.c - whole networks on a GPU, one JSON line each: training steps through the trainer (images from pinned
 * memory, forward, backward, optimiser, average, as one graph) and inference as a graph. `gpu_nets NAME` measures the networks of that name; `gpu_nets small` runs tiny shapes, as
 * a test. Links the host's half of training without MPI and HDF5.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/run/run.h"
#include "host/graph/graph.h"
#include "host/train/train.h"
#include "kernels/formula/random.h"

#define MAX_STEPS 1024

struct bench {
	struct ns_job job;
	struct ns_comm comm;
	struct ns_log log;
	struct ns_device_set set;
	int small, failed;
};

struct steps {
	struct bench *b;
	void *images; /* one batch's, as the network takes them */
	size_t bytes;
	int count, batch;
	double at[MAX_STEPS];
};

static const struct network {
	const char *what;
	struct ns_arch arch;
	int batch, virtual_ranks;
} networks[] = {
	{"resnet18 cifar, n 128", {.blocks = {2, 2, 2, 2}, .stages = 4, .width = 64, .h = 32, .w = 32, .c = 3, .classes = 10}, 128, 1},
	{"resnet18 cifar, n 512", {.blocks = {2, 2, 2, 2}, .stages = 4, .width = 64, .h = 32, .w = 32, .c = 3, .classes = 10}, 512, 1},
	{"resnet18 cifar, n 512, 4 virtual ranks",
	 {.blocks = {2, 2, 2, 2}, .stages = 4, .width = 64, .h = 32, .w = 32, .c = 3, .classes = 10},
	 512,
	 4},
	{"resnet50, n 64",
	 {.bottleneck = 1, .imagenet_stem = 1, .blocks = {3, 4, 6, 3}, .stages = 4, .width = 64, .h = 224, .w = 224, .c = 3, .classes = 1000},
	 64,
	 1},
	{"resnet50, n 256",
	 {.bottleneck = 1, .imagenet_stem = 1, .blocks = {3, 4, 6, 3}, .stages = 4, .width = 64, .h = 224, .w = 224, .c = 3, .classes = 1000},
	 256,
	 1},
};

static void say(struct bench *b, const char *kind, const struct network *n, double seconds, enum ns_status status)
{
	if (status != NS_OK) {
		printf("{\"what\": \"%s %s\", \"failed\": \"%s\"}\n", kind, n->what, ns_message());
		b->failed = 1;
	} else {
		printf("{\"what\": \"%s %s\", \"impl\": \"nightshift\", \"us\": %.1f, \"items_per_second\": %.6g, \"GB_per_second\": 0, "
		       "\"TFLOP_per_second\": 0}\n",
		       kind, n->what, seconds * 1e6, n->batch / seconds);
	}
	fflush(stdout);
}

static enum ns_status model_of(struct ns_model *m, const struct ns_arch *arch)
{
	const char **names = calloc((size_t)arch->classes, sizeof *names);
	char(*text)[8] = calloc((size_t)arch->classes, sizeof *text);
	enum ns_status status = NS_OK;
	int i;

	if (!names || !text)
		status = ns_fail(NS_NO_MEMORY, "no memory for names");
	for (i = 0; status == NS_OK && i < arch->classes; i++) {
		snprintf(text[i], sizeof text[i], "%d", i);
		names[i] = text[i];
	}
	if (status == NS_OK)
		status = ns_model_make(m, arch, names, arch->classes);
	if (status == NS_OK)
		ns_model_initialise(m, 1);
	free(names);
	free(text);
	return status;
}

/* bf16, about 1 in size, of either sign: zeros would run faster */
static void fill(uint16_t *v, size_t bytes)
{
	uint32_t r = 1;
	size_t i;

	for (i = 0; i < bytes / 2; i++) {
		r = r * 1664525u + 1013904223u;
		v[i] = (uint16_t)(0x3f00u | (r >> 31 << 15) | (r >> 23 & 0xffu));
	}
}

/* asked for the first rows of each step: that is the clock */
static enum ns_status stage(void *context, int worker, int epoch, int64_t first, int n, int begin, int end, void *staged, int32_t *labels)
{
	struct steps *s = context;
	size_t each = s->bytes / (size_t)n;
	int i;

	(void)worker;
	(void)epoch;
	if (begin == 0 && first % s->batch == 0 && s->count < MAX_STEPS)
		s->at[s->count++] = ns_now();
	memcpy((char *)staged + each * (size_t)begin, (char *)s->images + each * (size_t)begin, each * (size_t)(end - begin));
	for (i = begin; i < end; i++)
		labels[i] = (int32_t)(first + i) % 10;
	return NS_OK;
}

static enum ns_status images(void *context, int lane, const void *staged, void *to)
{
	struct steps *s = context;

	return s->b->set.backend->copy(s->b->set.queues[lane], to, staged, s->bytes);
}

/* seconds a step, of the fastest quarter of steps in a row: others may share the machine */
static enum ns_status train(struct bench *b, const struct network *n, int steps, double *seconds)
{
	struct ns_training *t = calloc(1, sizeof *t);
	struct steps *s = calloc(1, sizeof *s);
	struct ns_model m = {0};
	enum ns_status status = t && s ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for training");
	int i, quarter = steps / 4;

	if (status == NS_OK)
		status = model_of(&m, &n->arch);
	if (status != NS_OK)
		goto out;
	s->b = b;
	s->batch = n->batch;
	s->bytes = (size_t)(n->batch / n->virtual_ranks) * (size_t)n->arch.h * (size_t)n->arch.w * (size_t)n->arch.c * 2;
	s->images = malloc(s->bytes);
	t->spec = (struct ns_train_spec){.batch = n->batch,
					 .virtual_ranks = n->virtual_ranks,
					 .epochs = 1,
					 .rows = (int64_t)steps * n->batch,
					 .nesterov = 1,
					 .lr = 0.01,
					 .momentum = 0.9,
					 .weight_decay = 5e-4,
					 .ema = 0.999,
					 .seed = 1,
					 .label = "train"};
	strcpy(t->spec.precision, "bf16");
	t->input = (struct ns_train_input){s, s->bytes, NULL, stage, images};
	NS_GO(s->images ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for images"));
	fill(s->images, s->bytes);
	NS_GO(ns_train(&b->job, &m, t));
	*seconds = 1e9;
	for (i = quarter; i + quarter < s->count; i++) /* the first steps warm up */
		if ((s->at[i + quarter] - s->at[i]) / quarter < *seconds)
			*seconds = (s->at[i + quarter] - s->at[i]) / quarter;
out:
	if (s)
		free(s->images);
	free(s);
	if (t)
		json_decref(t->metrics);
	free(t);
	ns_model_release(&m);
	return status;
}

static enum ns_status infer(struct bench *b, const struct network *n, int repeats, double *seconds)
{
	const struct ns_backend *d = b->set.backend;
	struct ns_queue *q = b->set.queues[0];
	struct ns_exec *exec = NULL;
	struct ns_graph *graph = NULL;
	struct ns_outputs out;
	struct ns_model m = {0};
	size_t bytes = (size_t)n->batch * (size_t)n->arch.h * (size_t)n->arch.w * (size_t)n->arch.c * 2;
	uint16_t *pixels = malloc(bytes);
	enum ns_status status;
	int r, i;

	NS_GO(pixels ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for images"));
	fill(pixels, bytes);
	NS_GO(model_of(&m, &n->arch));
	NS_GO(ns_exec_infer(&exec, &m.net, b->set.devices[0], q, n->batch, NS_BF16, 1, m.values));
	NS_GO(d->put(q, ns_exec_images(exec), pixels, bytes));
	NS_GO(ns_exec_run(exec, &out));
	NS_GO(d->wait(q));
	NS_GO(d->record(q));
	NS_GO(ns_exec_run(exec, &out));
	NS_GO(d->recorded(q, &graph));
	for (r = 0; r < 5; r++) {
		double start = ns_now(), t;

		for (i = 0; i < repeats; i++)
			NS_GO(d->replay(q, graph));
		NS_GO(d->wait(q));
		t = (ns_now() - start) / repeats;
		*seconds = r == 0 || t < *seconds ? t : *seconds;
	}
out:
	ns_queue_drain(d, q);
	if (d->graph_free)
		d->graph_free(graph);
	ns_exec_free(exec);
	ns_model_release(&m);
	free(pixels);
	return status;
}

static enum ns_status open_bench(struct bench *b)
{
	struct ns_workers *workers;

	ns_log_init(&b->log, 1, 0); /* of another rank than 0: silent */
	NS_TRY(ns_comm_self(&b->comm));
	NS_TRY(ns_workers_make(&workers, b->small ? 1 : 8));
	b->job = (struct ns_job){.verb = "bench", .comm = &b->comm, .log = &b->log, .workers = workers, .set = &b->set};
	return ns_device_set_open_by(&b->set, "cuda", workers);
}

int main(int argc, char **argv)
{
	static struct bench b;
	size_t i;

	b.small = argc > 1 && !strcmp(argv[1], "small");
	if (open_bench(&b) != NS_OK) {
		fprintf(stderr, "gpu_nets: %s\n", ns_message());
		return 69;
	}
	printf("{\"device\": \"%s\"}\n", b.set.description);
	for (i = 0; i < sizeof networks / sizeof *networks; i++) {
		struct network n = networks[i];
		double seconds = 0;
		enum ns_status status;

		if (argc > 1 && !b.small && !strstr(n.what, argv[1]))
			continue;
		if (b.small) {
			n.arch.h = n.arch.w = n.arch.imagenet_stem ? 32 : 8;
			n.arch.width = 8;
			n.arch.classes = 10;
			n.batch = 2 * n.virtual_ranks;
			n.arch.blocks[0] = n.arch.blocks[1] = n.arch.stages = 1;
		}
		status = train(&b, &n, b.small ? 4 : 100, &seconds);
		say(&b, "train", &n, seconds, status);
		status = infer(&b, &n, b.small ? 1 : 20, &seconds);
		say(&b, "infer", &n, seconds, status);
	}
	ns_workers_free(b.job.workers);
	ns_device_set_close(&b.set);
	return b.failed ? 70 : 0;
}
