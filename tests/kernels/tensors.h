/*
 * tests/kernels/tensors.h - ops on tensors of random shapes on the CPU's backend and, where there is one, CUDA, against ref: the first implementation that takes the op, with
 * memory of exactly the bytes that it may touch.
 */
#ifndef NST_TENSORS_H
#define NST_TENSORS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/backend.h"
#include "kernels/formula/pointwise.h"
#include "tests/splitmix.h"

static uint64_t seed = 11;

/* Who is to take it on the CPU, where that backend is (not on a machine without oneDNN). */
static inline void took(const char *who, const char *wanted)
{
	if (ns_backend_find("cpu"))
		assert_string_equal(who, wanted);
}

/* Of all cases a quarter, where NST_CASES asks for fewer: for sanitizers, which ask what is read, not for numbers. */
static inline int times(int n)
{
	return getenv("NST_CASES") && strcmp(getenv("NST_CASES"), "all") ? (n + 3) / 4 : n;
}

/* So many that they say something: of all cases, with the CPU's backend. */
static inline void enough(int are)
{
	assert_true(are || times(4) < 4 || !ns_backend_find("cpu"));
}

static inline int64_t among(int64_t low, int64_t high)
{
	return low + (int64_t)below(&seed, (uint64_t)(high - low + 1));
}

/* Bytes of the newest inputs, which a device with memory of its own has to be told. */
static struct {
	const void *p;
	size_t bytes;
} inputs[16];
static int inputs_made;

static inline void *input_of(void *p, size_t bytes)
{
	inputs[inputs_made % 16].p = p;
	inputs[inputs_made++ % 16].bytes = bytes;
	return p;
}

static inline size_t bytes_of(const void *p)
{
	int i;

	for (i = inputs_made - 1; p && i >= 0 && i > inputs_made - 17; i--)
		if (inputs[i % 16].p == p)
			return inputs[i % 16].bytes;
	if (p)
		fail_msg("an input whose size is not known");
	return 0;
}

static inline float *random_floats(int64_t n, double low, double high)
{
	float *p = input_of(malloc((size_t)(n ? n : 1) * sizeof *p), (size_t)n * sizeof *p);
	int64_t i;

	for (i = 0; i < n; i++)
		p[i] = (float)(low + (high - low) * (double)(draw(&seed) >> 11) * 0x1p-53);
	return p;
}

/* Runs `op` on one backend: n floats of the first output, and places of maxima where they are asked for. bytes: of each input. */
static inline void run_on(const struct ns_backend *backend, const struct ns_op *op, const void *const *in, const size_t *bytes, int ins, int64_t n,
			  const float *start, float *y, int64_t *which, char who[40])
{
	struct ns_args args = {0};
	struct ns_device *dev;
	struct ns_queue *queue;
	struct ns_plan *plan;
	void *prepared = NULL;
	const void *weights = NULL;
	int64_t i;
	int k;

	for (i = 0; i < n; i++)
		y[i] = start ? start[i] : NAN;
	assert_int_equal(backend->open(&dev, 0), NS_OK);
	assert_int_equal(backend->queue_make(&queue, dev), NS_OK);
	for (k = 0; k < ins; k++) {
		assert_int_equal(backend->mem_make((void **)(uintptr_t)&args.in[k], dev, bytes[k] + 1), NS_OK);
		if (in[k])
			assert_int_equal(backend->put(queue, (void *)(uintptr_t)args.in[k], in[k], bytes[k]), NS_OK);
	}
	assert_int_equal(backend->mem_make(&args.out[0], dev, (size_t)n * sizeof *y + 1), NS_OK);
	assert_int_equal(backend->mem_make(&args.out[1], dev, (size_t)n * sizeof *which + 1), NS_OK);
	assert_int_equal(backend->put(queue, args.out[0], y, (size_t)n * sizeof *y), NS_OK);
	assert_int_equal(backend->put(queue, args.out[1], which, (size_t)n * sizeof *which), NS_OK);
	assert_int_equal(ns_plan_make(&plan, dev, op), NS_OK);
	snprintf(who, 40, "%s", plan->impl->name);
	assert_int_equal(backend->mem_make(&args.workspace, dev, plan->workspace_bytes + 64), NS_OK);
	if (plan->prepared_bytes) { /* of a backend of the host */
		prepared = malloc(plan->prepared_bytes);
		plan->prepare(plan, args.in[NS_CONVOLVE_W], prepared);
		weights = args.in[NS_CONVOLVE_W];
		args.in[NS_CONVOLVE_W] = prepared;
	}
	assert_int_equal(ns_plan_run(plan, &args, queue), NS_OK);
	if (prepared)
		args.in[NS_CONVOLVE_W] = weights;
	free(prepared);
	assert_int_equal(backend->get(queue, y, args.out[0], (size_t)n * sizeof *y), NS_OK);
	assert_int_equal(backend->get(queue, which, args.out[1], (size_t)n * sizeof *which), NS_OK);
	assert_int_equal(backend->wait(queue), NS_OK);
	for (k = 0; k < ins; k++)
		backend->mem_free(dev, (void *)(uintptr_t)args.in[k]);
	backend->mem_free(dev, args.out[0]);
	backend->mem_free(dev, args.out[1]);
	backend->mem_free(dev, args.workspace);
	ns_plan_free(plan);
	backend->queue_free(queue);
	backend->close(dev);
}

static int ran_on_cuda;

/* On ref, the CPU and, where there is one, CUDA; who[]: who took it on the CPU. CUDA's sums of f32 may be wider of the mark. */
static inline void both(const struct ns_op *op, const void *const *in, int ins, int64_t n, const float *start, double within, char who[40])
{
	const struct ns_backend *backends[3] = {&ns_backend_ref, ns_backend_find("cpu"), ns_backend_find("cuda")};
	int places = op->kind == NS_OP_POOL_ND && op->u.pool_nd.indices, b;
	int64_t *which[3], i;
	char names[3][40];
	size_t bytes[NS_OP_MAX_IN] = {0};
	float *y[3];

	for (b = 0; b < ins; b++)
		bytes[b] = bytes_of(in[b]);
	*names[1] = 0;
	for (b = 0; b < 3; b++) {
		y[b] = NULL;
		which[b] = NULL;
		if (!backends[b])
			continue;
		y[b] = malloc((size_t)(n ? n : 1) * sizeof(float));
		which[b] = calloc((size_t)n + 1, sizeof *which[b]);
		run_on(backends[b], op, in, bytes, ins, n, start, y[b], which[b], names[b]);
		for (i = 0; b && i < n; i++) {
			double a = (double)y[0][i], c = (double)y[b][i], most = b == 2 && within < 1e-6 ? 1e-6 : within;

			if (places && which[0][i] != which[b][i])
				fail_msg("%s: the maximum %lld is at %lld, ref has %lld", names[b], (long long)i, (long long)which[b][i],
					 (long long)which[0][i]);
			if (a == c || (isnan(a) && isnan(c)))
				continue;
			if (isinf(a) || isinf(c) || !(fabs(a - c) <= most * (1 + fabs(a))))
				fail_msg("%s: element %lld is %.9g, ref has %.9g", names[b], (long long)i, c, a);
		}
	}
	ran_on_cuda += backends[2] != NULL;
	strcpy(who, names[1]);
	while (b-- > 0) {
		free(y[b]);
		free(which[b]);
	}
}

/* What a program says at its end, and its exit status: red where there is CUDA and nothing ran on it. */
static inline int told(const char *program, int failed)
{
	if (ns_backend_find("cuda"))
		printf("%s: cuda: tensor/cuda ran %d cases, declined 0\n", program, ran_on_cuda);
	return failed ? failed : ns_backend_find("cuda") && !ran_on_cuda;
}

#endif
