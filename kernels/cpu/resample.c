/*
 * kernels/cpu/resample.c - one axis to another size, in f32: rows of `inner` elements are added up as a whole, or, along the last axis, one line at a time. Sums are of floats
 * in the order of the taps; a single tap of weight 1 is a copy.
 */
#include "kernels/cpu/cpu.h"

#include <string.h>

static int is_copy(const struct ns_op_resample *v, const float *weight)
{
	int64_t j;

	for (j = 0; v->taps == 1 && j < v->m; j++)
		if (weight[j] < 1 || weight[j] > 1)
			return 0;
	return v->taps == 1;
}

/* y of inner elements: the sum of rows that index names. */
static void sum_rows(const struct ns_op_resample *v, const float *x, const int32_t *index, const float *weight, float *restrict y)
{
	int64_t i;
	int t;

	for (t = 0; t < v->taps; t++) {
		const float *restrict from = index[t] < 0 ? NULL : x + index[t] * v->inner;
		const float w = weight[t], outside = w * v->outside;

		if (!from)
			for (i = 0; i < v->inner; i++)
				y[i] = t ? y[i] + outside : outside;
		else if (t)
			for (i = 0; i < v->inner; i++)
				y[i] += w * from[i];
		else
			for (i = 0; i < v->inner; i++)
				y[i] = w * from[i];
	}
}

static void copy_rows(const struct ns_op_resample *v, const float *x, const int32_t *index, float *y)
{
	int64_t i;

	if (index[0] >= 0)
		memcpy(y, x + index[0] * v->inner, sizeof *y * (size_t)v->inner);
	else
		for (i = 0; i < v->inner; i++)
			y[i] = v->outside;
}

/* Along the last axis: outputs of one line. */
static void line(const struct ns_op_resample *v, const float *x, const int32_t *index, const float *weight, float *y)
{
	int64_t j;
	int t;

	for (j = 0; j < v->m; j++, index += v->taps, weight += v->taps) {
		float sum = 0;

		for (t = 0; t < v->taps; t++)
			sum += weight[t] * (index[t] < 0 ? v->outside : x[index[t]]);
		y[j] = sum;
	}
}

static void copy_line(const struct ns_op_resample *v, const float *x, const int32_t *index, float *y)
{
	int64_t j;

	for (j = 0; j < v->m; j++)
		y[j] = index[j] < 0 ? v->outside : x[index[j]];
}

static enum ns_status resample_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_resample *v = &ns_cpu_op(plan)->u.resample;
	const int32_t *index = a->in[NS_RESAMPLE_INDEX];
	const float *weight = a->in[NS_RESAMPLE_WEIGHT], *x = a->in[NS_RESAMPLE_X];
	float *y = a->out[NS_RESAMPLE_Y];
	const int copies = is_copy(v, weight);
	int64_t o, j;

	(void)queue;
	for (o = 0; o < v->outer; o++, x += v->n * v->inner, y += v->m * v->inner) {
		if (v->inner == 1 && copies)
			copy_line(v, x, index, y);
		else if (v->inner == 1)
			line(v, x, index, weight, y);
		else
			for (j = 0; j < v->m; j++)
				if (copies)
					copy_rows(v, x, index + j, y + j * v->inner);
				else
					sum_rows(v, x, index + j * v->taps, weight + j * v->taps, y + j * v->inner);
	}
	return NS_OK;
}

static enum ns_status resample_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	if (op->u.resample.dtype != NS_F32 || op->u.resample.taps < 1)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, 0, resample_run);
}

const struct ns_impl ns_cpu_resample = {"resample/rows", NS_OP_RESAMPLE, resample_make};
