/*
 * kernels/cpu/convolve_back.c - what runs against the direction of a convolution: transposed, which is also the gradient of its images, where patches are added up; and the
 * gradient of its weights, a product of gradients and patches.
 */
#include "kernels/cpu/convolve_inner.h"

/* Adds the share of one tap to the outputs that it reaches: from[i] to y[i * stride + tap * dilation - pad]. */
static void add_tap(const struct ns_window *w, const struct sizes *s, const float *from, const int64_t *tap, float *y)
{
	int64_t p, i, i0, i1, in[NS_AXES], width = w->in[w->axes - 1], first, stride = w->stride[w->axes - 1], row;
	float *to;
	int d;

	for (p = 0; p < s->in / width; p++, from += width) {
		split(p, w->in, w->axes - 1, in);
		for (row = 0, d = 0; row >= 0 && d < w->axes - 1; d++) {
			int64_t t = in[d] * w->stride[d] + tap[d] * w->dilation[d] - w->pad[d];

			row = t < 0 || t >= w->out[d] ? -1 : row * w->out[d] + t;
		}
		if (row < 0)
			continue;
		first = tap[d] * w->dilation[d] - w->pad[d];
		inside(first, stride, w->out[d], &i0, &i1);
		i1 = i1 < width ? i1 : width;
		to = y + row * w->out[d] + first;
		if (stride == 1)
			for (i = i0; i < i1; i++)
				to[i] += from[i];
		else
			for (i = i0; i < i1; i++)
				to[i * stride] += from[i];
	}
}

enum ns_status ns_cpu_transposed_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_convolve *v = &ns_cpu_op(plan)->u.convolve;
	const float *x = a->in[NS_CONVOLVE_X], *w = a->in[NS_CONVOLVE_W], *bias = a->in[NS_CONVOLVE_B];
	struct sizes s = sizes_of(&v->window);
	float *y = a->out[NS_CONVOLVE_Y], *shares = a->workspace;
	int64_t n, g, k, r, tap[NS_AXES];

	(void)queue;
	for (n = 0; n < v->n; n++)
		for (g = 0; g < v->groups; g++, x += v->c * s.in, y += v->k * s.out) {
			if (v->bias)
				fill_bias(y, bias + g * v->k, v->k, s.out);
			else
				memset(y, 0, sizeof *y * (size_t)(v->k * s.out));
			/* w is (C, K taps): its transpose times x gives each tap's share, (K taps, places) */
			NS_TRY(ns_gemm(v->k * s.taps, s.in, v->c, (struct ns_operand){w + g * v->c * v->k * s.taps, 1, v->k * s.taps},
				       (struct ns_operand){x, s.in, 1}, 0, shares, s.in));
			for (k = 0; k < v->k; k++)
				for (r = 0; r < s.taps; r++) {
					split(r, v->window.kernel, v->window.axes, tap);
					add_tap(&v->window, &s, shares + (k * s.taps + r) * s.in, tap, y + k * s.out);
				}
		}
	return NS_OK;
}

/* --- the gradient of weights --- */

/* Of one image and group: dw (K, C taps) += dy (K, places) times the patches' transpose, a tile of places at a time, in their order. */
static enum ns_status add_image(const struct ns_op_convolve *v, const struct sizes *s, const struct ns_args *a, const float *x, const float *dy,
				int first, float *dw)
{
	int64_t depth = v->c * s->taps, begin, end, tile = tile_of(v, s);

	if (is_plain(&v->window))
		return ns_gemm(v->k, v->c, s->out, (struct ns_operand){dy, s->out, 1}, (struct ns_operand){x, 1, s->out}, first ? 0 : 1, dw, v->c);
	for (begin = 0; begin < s->out; begin = end) {
		end = begin + tile < s->out ? begin + tile : s->out;
		ns_cpu_patches(&v->window, s, x, v->c, begin, end, a->workspace);
		NS_TRY(ns_gemm(v->k, depth, end - begin, (struct ns_operand){dy + begin, s->out, 1},
			       (struct ns_operand){a->workspace, 1, end - begin}, first && !begin ? 0 : 1, dw, depth));
	}
	return NS_OK;
}

static enum ns_status weights_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_convolve *v = &ns_cpu_op(plan)->u.convolve;
	const float *x = a->in[NS_CONVOLVE_WEIGHTS_X], *dy = a->in[NS_CONVOLVE_WEIGHTS_DY];
	struct sizes s = sizes_of(&v->window);
	float *dw = a->out[NS_CONVOLVE_WEIGHTS_DW];
	int64_t n, g;

	(void)queue;
	for (n = 0; n < v->n; n++)
		for (g = 0; g < v->groups; g++, x += v->c * s.in, dy += v->k * s.out)
			NS_TRY(add_image(v, &s, a, x, dy, n == 0, dw + g * v->k * v->c * s.taps));
	return NS_OK;
}

static enum ns_status weights_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_convolve *v = &op->u.convolve;
	struct sizes s = sizes_of(&v->window);

	(void)dev;
	if (v->dtype != NS_F32 || v->n < 1 || v->c < 1 || v->k < 1)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, (size_t)(tile_of(v, &s) * v->c * s.taps) * sizeof(float), weights_run);
}

const struct ns_impl ns_cpu_convolve_weights = {"convolve_weights/gemm", NS_OP_CONVOLVE_WEIGHTS, weights_make};
