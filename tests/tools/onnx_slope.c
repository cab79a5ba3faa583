/*
 * onnx_slope - the gradient of an ONNX file by its weights, against a difference: the sum of its first output times random numbers is to grow along the gradient by the gradient's squared length.
 *
 *	onnx_slope MODEL N C H W	or, of images with channels last, N H W C
 *
 * Prints the weights that learn, their numbers, the relative error, and the milliseconds of a forward pass and of one with the gradient.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/onnx/onnx.h"
#include "kernels/formula/pointwise.h"
#include "kernels/formula/random.h"

#define MOST 4096

static struct ns_dag_exec *forward, *both;
static struct ns_device *dev;
static struct ns_queue *queue;
static const void *in[MOST];
static void *out[MOST];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(enum ns_status status)
{
	if (status == NS_OK)
		return;
	fprintf(stderr, "onnx_slope: %s\n", ns_message());
	exit(1);
}

static void fill(float *x, int64_t n, int stream)
{
	int64_t i;

	for (i = 0; i < n; i++)
		x[i] = (float)(2 * ns_uniform(ns_draw(3, NS_FOR_INIT, (uint32_t)stream, (uint64_t)i, 0).v[0]) - 1);
}

/* The sum of y times dy, and the milliseconds that it took. */
static double loss(const float *dy, int64_t n, double *ms)
{
	double sum = 0, begin = now();
	int64_t i;

	must(ns_dag_exec_run(forward, in, out, queue));
	*ms = now() - begin;
	for (i = 0; i < n; i++)
		sum += (double)((const float *)out[0])[i] * (double)dy[i];
	return sum;
}

static int weights(const struct ns_onnx *o, const int *tensors, int *list)
{
	int i, n = 0, k;

	for (i = 0; i < o->value_count && n < MOST - 3; i++) {
		for (k = 0; k < n && list[k] != tensors[i]; k++)
			;
		if (tensors[i] >= 0 && k == n)
			list[n++] = tensors[i];
	}
	return n;
}

/* The graph with its weights as inputs after the image; y: its first output. */
static struct ns_dag *graph(const struct ns_onnx *o, const struct ns_box *image, const int *list, int n, int *params, int *y)
{
	struct ns_onnx_feed feed = {.dtype = NS_F32, .box = *image};
	int *given = calloc((size_t)o->tensor_count + 1, sizeof *given), outputs[64], k;
	struct ns_dag *d;

	must(ns_dag_make(&d));
	must(ns_dag_input(d, NS_F32, image, &feed.value));
	feed.value++;
	for (k = 0; k < n; k++) {
		const struct ns_onnx_tensor *t = &o->tensors[list[k]];
		struct ns_box box = {.rank = t->rank};

		memcpy(box.dim, t->dims, sizeof box.dim);
		must(ns_dag_input(d, NS_F32, &box, &params[k]));
		given[list[k]] = params[k] + 1;
	}
	must(ns_onnx_graph_given(o, &feed, 1, given, NULL, d, outputs));
	must(ns_dag_cast(d, outputs[0], NS_F32, y));
	free(given);
	return d;
}

/* Each weight h times its gradient further. */
static void step(const struct ns_onnx *o, const int *list, int n, double h)
{
	int64_t j;
	int k;

	for (k = 0; k < n; k++)
		for (j = 0; j < o->tensors[list[k]].count; j++)
			((float *)(uintptr_t)in[1 + k])[j] += (float)h * ((float *)out[1 + k])[j];
}

int main(int argc, char **argv)
{
	struct ns_box image = {argc - 2, {0}};
	int *tensors, list[MOST], params[MOST], gradients[MOST], n, i, k, y, dy;
	double square = 0, ms[2], high, low, h, found, size = 0;
	struct ns_dag *plain, *dag;
	struct ns_onnx *o;
	int64_t count, numbers = 0, j;
	float *d;

	if (argc != 6)
		return fprintf(stderr, "usage: onnx_slope MODEL N C H W\n"), 1;
	for (i = 0; i < 4; i++)
		image.dim[i] = atoll(argv[2 + i]);
	must(ns_onnx_read(&o, argv[1]));
	tensors = calloc((size_t)o->value_count + 1, sizeof *tensors);
	must(ns_onnx_trainable(o, tensors));
	n = weights(o, tensors, list);
	in[0] = malloc(sizeof(float) * (size_t)ns_box_count(&image));
	fill((float *)(uintptr_t)in[0], ns_box_count(&image), 0);
	for (k = 0; k < n; k++) {
		in[1 + k] = malloc(sizeof(float) * (size_t)o->tensors[list[k]].count);
		out[1 + k] = malloc(sizeof(float) * (size_t)o->tensors[list[k]].count);
		must(ns_onnx_floats(o, list[k], (float *)(uintptr_t)in[1 + k]));
		numbers += o->tensors[list[k]].count;
	}
	must(ns_backend_find("cpu")->open(&dev, 0));
	must(dev->backend->queue_make(&queue, dev));
	plain = graph(o, &image, list, n, params, &y);
	must(ns_dag_exec_make(&forward, plain, dev, &y, 1));
	count = ns_box_count(&ns_dag_at(plain, y)->box);
	out[0] = malloc(sizeof(float) * (size_t)count);
	d = malloc(sizeof *d * (size_t)count);
	fill(d, count, 1);
	dag = graph(o, &image, list, n, params, &y);
	must(ns_dag_borrow(dag, NS_F32, &ns_dag_at(dag, y)->box, d, &dy));
	must(ns_dag_gradient(dag, y, dy, params, n, gradients));
	must(ns_dag_fuse(dag, gradients, n));
	must(ns_dag_exec_make(&both, dag, dev, gradients, n));
	for (i = 0; i < 2; i++) {
		ms[1] = now();
		must(ns_dag_exec_run(both, in, out + 1, queue));
		ms[1] = now() - ms[1];
	}
	for (k = 0; k < n; k++)
		for (j = 0; j < o->tensors[list[k]].count; j++)
			square += pow((double)((float *)out[1 + k])[j], 2);
	(void)loss(d, count, &ms[0]);
	for (j = 0; j < count; j++)
		size += pow((double)((const float *)out[0])[j] * (double)d[j], 2);
	h = 1e-3 * sqrt(size) / square; /* so far that the sum grows by a thousandth of its terms' length */
	step(o, list, n, h);
	high = loss(d, count, &ms[0]);
	step(o, list, n, -2 * h);
	low = loss(d, count, &ms[0]);
	found = (high - low) / (2 * h);
	printf("weights %d numbers %lld slope %.6g wanted %.6g apart %.2g ms %.1f %.1f\n", n, (long long)numbers, found, square,
	       fabs(found - square) / square, ms[0], ms[1]);
	return 0;
}
