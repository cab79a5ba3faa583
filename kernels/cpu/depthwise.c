/*
 * kernels/cpu/depthwise.c - one channel by one kernel, of channels-last images: sixteen channels of a few places beside each other stay in registers while the taps go by.
 * Each result is its bias and then those of its taps that are inside, in their order, so its bits depend on no tile.
 */
#include "kernels/cpu/convolve_inner.h"
#include "kernels/cpu/vec.h"
#include "kernels/formula/packed.h"

#define PLACES 8

struct taps { /* those that are inside */
	int64_t row, rows, column, columns;
};

static inline __attribute__((always_inline)) void tile(const int places, const struct ns_op_convolve *v, const struct taps *t, const float *x,
						       const float *w, const float *bias, float *y, int lanes)
{
	const struct ns_window *o = &v->window;
	int64_t apart = v->groups, place = o->stride[1] * apart, r, s;
	const v16f start = bias ? v16_load_f32(bias, lanes) : v16_set(0);
	v16f sum[PLACES];
	int i;

	for (i = 0; i < places; i++)
		sum[i] = start;
	for (r = t->row; r < t->rows; r++)
		for (s = t->column; s < t->columns; s++) {
			const v16f weights = v16_load_f32(w + (r * o->kernel[1] + s) * apart, lanes);
			const float *from = x + (r * o->dilation[0] * o->in[1] + s * o->dilation[1]) * apart;

#pragma GCC unroll 8
			for (i = 0; i < places; i++)
				sum[i] = v16_fma(v16_load_f32(from + i * place, lanes), weights, sum[i]);
		}
	for (i = 0; i < places; i++)
		v16_store_f32(y + i * apart, sum[i], lanes);
}

/* `places` outputs of a row that have the same taps inside; x: where tap 0 of the first lies, or would. */
static void run_of(const struct ns_op_convolve *v, const struct taps *t, int64_t places, const float *x, const float *w, const float *bias, float *y)
{
	int64_t q, c, channels = v->groups, step = v->window.stride[1] * channels;

	for (q = 0; q + PLACES <= places; q += PLACES)
		for (c = 0; c < channels; c += 16)
			if (channels - c >= 16)
				tile(PLACES, v, t, x + q * step + c, w + c, bias ? bias + c : NULL, y + q * channels + c, 16);
			else
				tile(PLACES, v, t, x + q * step + c, w + c, bias ? bias + c : NULL, y + q * channels + c, (int)(channels - c));
	for (; q < places; q++)
		for (c = 0; c < channels; c += 16)
			tile(1, v, t, x + q * step + c, w + c, bias ? bias + c : NULL, y + q * channels + c,
			     channels - c < 16 ? (int)(channels - c) : 16);
}

/* Taps of an axis that are inside, for one output. */
static void reach(const struct ns_window *w, int d, int64_t out, int64_t *begin, int64_t *end)
{
	int64_t first = out * w->stride[d] - w->pad[d], by = w->dilation[d];

	inside(first, by, w->in[d], begin, end);
	*end = *end < w->kernel[d] ? *end : w->kernel[d];
}

static void row_of(const struct ns_op_convolve *v, int64_t p, const float *x, const float *w, const float *bias, float *y)
{
	const struct ns_window *o = &v->window;
	int64_t q, many, q0, q1, step = o->stride[1] * v->groups;
	struct taps t;

	reach(o, 0, p, &t.row, &t.rows);
	middle(o, 1, &q0, &q1);
	x += ((p * o->stride[0] - o->pad[0]) * o->in[1] - o->pad[1]) * v->groups;
	for (q = 0; q < o->out[1]; q += many) {
		many = q == q0 && q1 > q0 ? q1 - q0 : 1;
		reach(o, 1, q, &t.column, &t.columns);
		run_of(v, &t, many, x + q * step, w, bias, y + q * v->groups);
	}
}

void ns_cpu_depthwise_run(const struct ns_op_convolve *v, const struct ns_args *a, const struct ns_cpu_after *after)
{
	const struct ns_window *o = &v->window;
	const float *x = a->in[NS_CONVOLVE_X];
	float *y = a->out[NS_CONVOLVE_Y];
	int64_t n, p, row = o->out[1] * v->groups, at = 0;

	for (n = 0; n < v->n; n++, x += o->in[0] * o->in[1] * v->groups)
		for (p = 0; p < o->out[0]; p++, at += row) {
			row_of(v, p, x, a->in[NS_CONVOLVE_W], v->bias ? a->in[NS_CONVOLVE_B] : NULL, y + at);
			ns_cpu_done(after, at, at + row);
		}
}

int ns_cpu_takes_depthwise(const struct ns_op_convolve *v)
{
	return v->dtype == NS_F32 && v->last && v->window.axes == 2 && ns_packed_is_depthwise(v);
}

static enum ns_status depthwise_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	(void)queue;
	ns_cpu_depthwise_run(&ns_cpu_op(plan)->u.convolve, a, NULL);
	return NS_OK;
}

static enum ns_status depthwise_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	return ns_cpu_takes_depthwise(&op->u.convolve) ? ns_plain_plan_make(plan, op, 0, depthwise_run) : NS_DECLINED;
}

const struct ns_impl ns_cpu_depthwise = {"convolve/depthwise", NS_OP_CONVOLVE, depthwise_make};
