/*
 * kernels/cpu/convolve.c - convolution of channels-first images as products of matrices: of the image itself where the kernel is one pixel, else of its patches, a tile
 * of output places at a time; one channel by one kernel (depthwise) directly.
 */
#include "kernels/cpu/convolve_inner.h"

/* One row of patches: places [begin, end) of an output row, as one tap sees them. */
static void patch_row(const struct ns_window *w, const float *x, int64_t row, int64_t tap, int64_t begin, int64_t end, float *to)
{
	int d = w->axes - 1;
	int64_t stride = w->stride[d], first = tap * w->dilation[d] - w->pad[d], q0, q1, q;

	inside(first, stride, w->in[d], &q0, &q1);
	q0 = q0 < begin ? begin : q0;
	q1 = q1 > end ? end : q1;
	if (row < 0 || q0 >= q1) {
		memset(to, 0, sizeof *to * (size_t)(end - begin));
		return;
	}
	memset(to, 0, sizeof *to * (size_t)(q0 - begin));
	x += row + first;
	if (stride == 1)
		memcpy(to + (q0 - begin), x + q0, sizeof *to * (size_t)(q1 - q0));
	else if (stride == 2) /* a number that the compiler knows, for its vectors */
		for (q = q0; q < q1; q++)
			to[q - begin] = x[q * 2];
	else
		for (q = q0; q < q1; q++)
			to[q - begin] = x[q * stride];
	memset(to + (q1 - begin), 0, sizeof *to * (size_t)(end - q1));
}

/* The same of images of two axes: no place is taken apart by divisions. */
static void patches_of_images(const struct ns_window *w, const struct sizes *s, const float *x, int64_t channels, int64_t begin, int64_t end,
			      float *to)
{
	int64_t c, r, q, p, row, n = end - begin, first = begin / s->width, start = begin % s->width;

	for (c = 0; c < channels; c++, x += s->in)
		for (r = 0; r < w->kernel[0]; r++)
			for (q = 0; q < w->kernel[1]; q++, to += n) {
				int64_t at = 0, from = start, y = first * w->stride[0] - w->pad[0] + r * w->dilation[0];

				for (p = 0; p < n; p += at, from = 0, y += w->stride[0]) {
					at = s->width - from < n - p ? s->width - from : n - p;
					row = y >= 0 && y < w->in[0] ? y * w->in[1] : -1;
					patch_row(w, x, row, q, from, from + at, to + p);
				}
			}
}

void ns_cpu_patches(const struct ns_window *w, const struct sizes *s, const float *x, int64_t channels, int64_t begin, int64_t end, float *to)
{
	int64_t c, r, p, tap[NS_AXES], out[NS_AXES], n = end - begin;

	if (w->axes == 2) {
		patches_of_images(w, s, x, channels, begin, end, to);
		return;
	}
	for (c = 0; c < channels; c++, x += s->in)
		for (r = 0; r < s->taps; r++, to += n) {
			split(r, w->kernel, w->axes, tap);
			for (p = begin; p < end;) {
				int64_t q = p % s->width, last = q + end - p < s->width ? q + end - p : s->width;

				split(p / s->width, w->out, w->axes - 1, out);
				patch_row(w, x, input_row(w, out, tap), tap[w->axes - 1], q, last, to + (p - begin));
				p += last - q;
			}
		}
}

static enum ns_status by_patches(const struct ns_op_convolve *v, const struct ns_args *a, const float *x, const float *weights, float *y)
{
	struct sizes s = sizes_of(&v->window);
	int64_t depth = v->c * s.taps, begin, end, tile = tile_of(v, &s);
	float beta = v->bias ? 1 : 0;
	struct ns_operand w = {weights, depth, 1};

	if (is_plain(&v->window))
		return ns_gemm(v->k, s.out, v->c, w, (struct ns_operand){x, s.out, 1}, beta, y, s.out);
	for (begin = 0; begin < s.out; begin = end) {
		end = begin + tile < s.out ? begin + tile : s.out;
		ns_cpu_patches(&v->window, &s, x, v->c, begin, end, a->workspace);
		NS_TRY(ns_gemm(v->k, end - begin, depth, w, (struct ns_operand){a->workspace, end - begin, 1}, beta, y + begin, s.out));
	}
	return NS_OK;
}

/* n places whose taps are all inside: y[q] += the taps of one row of the kernel, in their order. */
static inline __attribute__((always_inline)) void add_taps(float *restrict y, const float *restrict x, const float *w, int64_t taps, int64_t apart,
							   int64_t stride, int64_t n)
{
	int64_t q, r;

	for (q = 0; q < n; q++) {
		float t = y[q];

		for (r = 0; r < taps; r++)
			t += w[r] * x[q * stride + r * apart];
		y[q] = t;
	}
}

/* The same with numbers that the compiler knows, where they are usual. */
static void add_row(float *y, const float *x, const float *w, int64_t taps, int64_t apart, int64_t stride, int64_t n)
{
	if (apart == 1 && stride == 1 && taps == 3)
		add_taps(y, x, w, 3, 1, 1, n);
	else if (apart == 1 && stride == 1 && taps == 5)
		add_taps(y, x, w, 5, 1, 1, n);
	else if (apart == 1 && stride == 1 && taps == 7)
		add_taps(y, x, w, 7, 1, 1, n);
	else if (apart == 1 && stride == 2 && taps == 3)
		add_taps(y, x, w, 3, 1, 2, n);
	else if (apart == 1 && stride == 2 && taps == 5)
		add_taps(y, x, w, 5, 1, 2, n);
	else
		add_taps(y, x, w, taps, apart, stride, n);
}

/* Places [begin, end) of a row that not all taps find inside. */
static void edge(const struct ns_window *w, const float *x, const float *weights, float *y, int64_t begin, int64_t end)
{
	int d = w->axes - 1;
	int64_t q, r, at;

	for (q = begin; q < end; q++)
		for (r = 0; r < w->kernel[d]; r++) {
			at = q * w->stride[d] - w->pad[d] + r * w->dilation[d];
			if (at >= 0 && at < w->in[d])
				y[q] += weights[r] * x[at];
		}
}

/* One row of the kernel over one row of the image: the middle, where all taps are inside, and the edges. */
static void kernel_row(const struct ns_window *w, const float *x, const float *weights, float *y)
{
	int d = w->axes - 1;
	int64_t stride = w->stride[d], apart = w->dilation[d], taps = w->kernel[d], width = w->out[d], q0, q1;

	middle(w, w->axes - 1, &q0, &q1);
	edge(w, x, weights, y, 0, q0);
	if (q1 > q0)
		add_row(y + q0, x + (q0 * stride - w->pad[d]), weights, taps, apart, stride, q1 - q0);
	edge(w, x, weights, y, q1, width);
}

/* Square kernels that the compiler knows, over places whose taps are all inside: their rows at once, so that y is stored once. The order of sums is that of kernel_row(). */
static inline __attribute__((always_inline)) void add_square(float *restrict y, const float *restrict x, int64_t apart, const float *w, int64_t side,
							     int64_t stride, int64_t n)
{
	int64_t q, r, s;

	for (q = 0; q < n; q++) {
		float t = y[q];

		for (r = 0; r < side; r++)
			for (s = 0; s < side; s++)
				t += w[r * side + s] * x[r * apart + q * stride + s];
		y[q] = t;
	}
}

/* Is there such a kernel? */
static int is_square(const struct ns_window *w)
{
	int64_t side = w->kernel[0], stride = w->stride[1];

	return w->axes == 2 && w->kernel[1] == side && (side == 3 || side == 5) && w->dilation[0] == 1 && w->dilation[1] == 1 &&
	       (stride == 1 || stride == 2);
}

static void square_row(const struct ns_window *w, const float *x, const float *weights, float *y, int64_t q0, int64_t q1)
{
	int64_t r, side = w->kernel[0], stride = w->stride[1], apart = w->in[1];
	const float *from = x + q0 * stride - w->pad[1];

	for (r = 0; r < side; r++)
		edge(w, x + r * apart, weights + r * side, y, 0, q0);
	if (side == 3 && stride == 1)
		add_square(y + q0, from, apart, weights, 3, 1, q1 - q0);
	else if (side == 3)
		add_square(y + q0, from, apart, weights, 3, 2, q1 - q0);
	else if (stride == 1)
		add_square(y + q0, from, apart, weights, 5, 1, q1 - q0);
	else
		add_square(y + q0, from, apart, weights, 5, 2, q1 - q0);
	for (r = 0; r < side; r++)
		edge(w, x + r * apart, weights + r * side, y, q1, w->out[1]);
}

/* One channel, one kernel. */
static void one_channel(const struct ns_window *w, const struct sizes *s, const float *x, const float *weights, float start, float *y)
{
	int64_t p, r, q, row, out[NS_AXES], tap[NS_AXES], across = w->kernel[w->axes - 1], q0, q1;
	int square = is_square(w);

	middle(w, w->axes - 1, &q0, &q1);
	for (p = 0; p < s->rows; p++, y += s->width) {
		int64_t first = square ? p * w->stride[0] - w->pad[0] : -1;

		for (q = 0; q < s->width; q++)
			y[q] = start;
		if (first >= 0 && first + w->kernel[0] <= w->in[0]) {
			square_row(w, x + first * w->in[1], weights, y, q0, q1);
			continue;
		}
		split(p, w->out, w->axes - 1, out);
		for (r = 0; r < s->taps; r += across) {
			split(r, w->kernel, w->axes, tap);
			row = input_row(w, out, tap);
			if (row >= 0)
				kernel_row(w, x + row, weights + r, y);
		}
	}
}

static enum ns_status convolve_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_convolve *v = &ns_cpu_op(plan)->u.convolve;
	const float *x = a->in[NS_CONVOLVE_X], *w = a->in[NS_CONVOLVE_W], *bias = a->in[NS_CONVOLVE_B];
	struct sizes s = sizes_of(&v->window);
	float *y = a->out[NS_CONVOLVE_Y];
	int64_t n, g, k;

	(void)queue;
	for (n = 0; n < v->n; n++)
		for (g = 0; g < v->groups; g++, x += v->c * s.in, y += v->k * s.out) {
			const float *own = w + g * v->k * v->c * s.taps;

			if (v->c == 1 && v->k <= 2 && !is_plain(&v->window)) {
				for (k = 0; k < v->k; k++)
					one_channel(&v->window, &s, x, own + k * s.taps, v->bias ? bias[g * v->k + k] : 0, y + k * s.out);
				continue;
			}
			if (v->bias)
				fill_bias(y, bias + g * v->k, v->k, s.out);
			NS_TRY(by_patches(v, a, x, own, y));
		}
	return NS_OK;
}

static enum ns_status convolve_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_convolve *v = &op->u.convolve;
	struct sizes s = sizes_of(&v->window);

	(void)dev;
	if (v->dtype != NS_F32 || v->c < 1 || v->k < 1 || v->last)
		return NS_DECLINED;
	if (v->transposed)
		return ns_plain_plan_make(plan, op, (size_t)(v->k * s.taps * s.in) * sizeof(float), ns_cpu_transposed_run);
	return ns_plain_plan_make(plan, op, (size_t)(tile_of(v, &s) * v->c * s.taps) * sizeof(float), convolve_run);
}

const struct ns_impl ns_cpu_convolve = {"convolve/gemm", NS_OP_CONVOLVE, convolve_make};
