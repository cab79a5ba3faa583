/*
 * onnx_run - an ONNX file on inputs of raw bytes: what it answers, and how long that takes. The engine's side of tests/models.py.
 *
 *	onnx_run BACKEND REPEAT OUT MODEL [FILE:TYPE:2,3,4 ...]
 *
 * BACKEND: ref or cpu. Inputs in the model's order, TYPE as ns_dtype_name() has it. Output K goes into OUT.K; a line each says its type and shape, and a last one
 * the milliseconds that import, plans and the fastest of REPEAT runs took, and the ops.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "host/onnx/onnx.h"

#define MOST 32

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int fail(const char *what)
{
	fprintf(stderr, "onnx_run: %s\n", what);
	return 1;
}

/* FILE:TYPE:DIMS */
static void *read_input(char *text, struct ns_onnx_feed *feed)
{
	char *type = strchr(text, ':'), *dims = type ? strchr(type + 1, ':') : NULL, *end;
	void *data;
	size_t n;
	FILE *f;
	int k;

	if (!dims)
		return NULL;
	*type++ = *dims++ = 0;
	for (k = 0; k < NS_DTYPES && strcmp(ns_dtype_name((enum ns_dtype)k), type); k++)
		;
	if (k == NS_DTYPES)
		return NULL;
	feed->dtype = (enum ns_dtype)k;
	for (feed->box.rank = 0; *dims && feed->box.rank < NS_RANK; dims = end + (*end == ','))
		feed->box.dim[feed->box.rank++] = strtoll(dims, &end, 10);
	feed->data = NULL;
	n = (size_t)ns_box_count(&feed->box) * ns_dtype_bytes(feed->dtype);
	data = malloc(n + 64);
	f = fopen(text, "rb");
	if (!f || fread(data, 1, n, f) != n) {
		free(data);
		data = NULL;
	}
	if (f)
		fclose(f);
	return data;
}

static int write_output(const char *out, int k, const struct ns_dag_value *v, const void *data)
{
	char path[600];
	FILE *f;
	int d;

	snprintf(path, sizeof path, "%s.%d", out, k);
	f = fopen(path, "wb");
	if (!f || fwrite(data, ns_dtype_bytes(v->dtype), (size_t)ns_box_count(&v->box), f) != (size_t)ns_box_count(&v->box))
		return 0;
	fclose(f);
	printf("%s", ns_dtype_name(v->dtype));
	for (d = 0; d < v->box.rank; d++)
		printf(" %lld", (long long)v->box.dim[d]);
	printf("\n");
	return 1;
}

static int compute(const struct ns_backend *backend, int repeat, const char *out, const struct ns_onnx *o, const struct ns_onnx_feed *feeds,
		   const void *const *inputs, int n, double begin)
{
	struct ns_dag *dag;
	struct ns_dag_exec *exec;
	struct ns_device *dev;
	struct ns_queue *queue;
	void *memory[MOST];
	double imported, planned, best = 1e300;
	int outputs[MOST], k;

	if (ns_dag_make(&dag) != NS_OK || ns_onnx_graph(o, feeds, n, dag, outputs) != NS_OK ||
	    ns_dag_for_inference(dag, backend, outputs, o->outputs) != NS_OK)
		return fail(ns_message());
	imported = now();
	if (backend->open(&dev, 0) != NS_OK || backend->queue_make(&queue, dev) != NS_OK ||
	    ns_dag_exec_make(&exec, dag, dev, outputs, o->outputs) != NS_OK)
		return fail(ns_message());
	planned = now();
	for (k = 0; k < o->outputs; k++)
		if (backend->mem_make(&memory[k], dev, (size_t)ns_box_count(&ns_dag_at(dag, outputs[k])->box) * 8 + 8) != NS_OK)
			return fail(ns_message());
	for (k = 0; k < repeat; k++) {
		double t = now();

		if (ns_dag_exec_run(exec, inputs, memory, queue) != NS_OK || backend->wait(queue) != NS_OK)
			return fail(ns_message());
		t = now() - t;
		best = t < best ? t : best;
	}
	for (k = 0; k < o->outputs; k++)
		if (!write_output(out, k, ns_dag_at(dag, outputs[k]), memory[k]))
			return fail("cannot write an output");
	printf("ms %.3f %.3f %.3f ops %d\n", imported - begin, planned - imported, best, dag->node_count);
	return 0;
}

int main(int argc, char **argv)
{
	const struct ns_backend *backend = argc > 4 ? ns_backend_find(argv[1]) : NULL;
	struct ns_onnx_feed feeds[MOST] = {{0}};
	const void *inputs[MOST];
	struct ns_onnx *o;
	double begin;
	int k;

	if (!backend || argc - 5 > MOST)
		return fail("usage: onnx_run BACKEND REPEAT OUT MODEL [FILE:TYPE:DIMS ...]");
	for (k = 0; k < argc - 5; k++)
		if (!(inputs[k] = read_input(argv[5 + k], &feeds[k])))
			return fail("an input cannot be read");
	begin = now();
	if (ns_onnx_read(&o, argv[4]) != NS_OK || o->outputs > MOST)
		return fail(ns_message());
	return compute(backend, atoi(argv[2]), argv[3], o, feeds, inputs, argc - 5, begin);
}
