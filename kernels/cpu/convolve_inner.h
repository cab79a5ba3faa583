/* kernels/cpu/convolve_inner.h - what convolve.c, which goes forward, and convolve_back.c share: sizes of windows, and patches of images. */
#ifndef NS_CPU_CONVOLVE_INNER_H
#define NS_CPU_CONVOLVE_INNER_H

#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm.h"

#define TILE_FLOATS (1 << 16) /* of patches: they stay in the second-level cache */

struct sizes {
	int64_t in, out, taps; /* places of a plane, taps of a kernel */
	int64_t rows, width;   /* of the output: all axes but the last, and the last */
};

static inline struct sizes sizes_of(const struct ns_window *w)
{
	struct sizes s = {1, 1, 1, 1, w->out[w->axes - 1]};
	int d;

	for (d = 0; d < w->axes; d++) {
		s.in *= w->in[d];
		s.out *= w->out[d];
		s.taps *= w->kernel[d];
	}
	s.rows = s.out / s.width;
	return s;
}

static inline void split(int64_t i, const int64_t *size, int n, int64_t *at)
{
	for (n--; n >= 0; n--) {
		at[n] = i % size[n];
		i /= size[n];
	}
}

/* Where the input's row of this output row and tap begins; -1: outside. `to` and `from` walk as convolution does, or as its transpose. */
static inline int64_t input_row(const struct ns_window *w, const int64_t *out, const int64_t *tap)
{
	int64_t at = 0, t;
	int d;

	for (d = 0; d < w->axes - 1; d++) {
		t = out[d] * w->stride[d] - w->pad[d] + tap[d] * w->dilation[d];
		if (t < 0 || t >= w->in[d])
			return -1;
		at = at * w->in[d] + t;
	}
	return at * w->in[d];
}

/* Places q0 to q1 of an output row that one tap finds inside: x = q * stride + first. */
static inline void inside(int64_t first, int64_t stride, int64_t width, int64_t *q0, int64_t *q1)
{
	*q0 = first >= 0 ? 0 : (-first + stride - 1) / stride;
	*q1 = first >= width ? 0 : (width - 1 - first) / stride + 1;
}

/* Outputs [*q0, *q1) of an axis that find all their taps inside. */
static inline void middle(const struct ns_window *w, int d, int64_t *q0, int64_t *q1)
{
	int64_t ignored;

	inside(-w->pad[d], w->stride[d], w->in[d], q0, &ignored);
	inside((w->kernel[d] - 1) * w->dilation[d] - w->pad[d], w->stride[d], w->in[d], &ignored, q1);
	*q0 = *q0 > w->out[d] ? w->out[d] : *q0;
	*q1 = *q1 > w->out[d] ? w->out[d] : *q1 < *q0 ? *q0 : *q1;
}

static inline void fill_bias(float *y, const float *bias, int64_t channels, int64_t n)
{
	int64_t k, i;

	for (k = 0; k < channels; k++)
		for (i = 0; i < n; i++)
			y[k * n + i] = bias[k];
}

/* A kernel of one pixel, stride 1, no padding: the image is its own patches. */
static inline int is_plain(const struct ns_window *w)
{
	int d;

	for (d = 0; d < w->axes; d++)
		if (w->kernel[d] != 1 || w->stride[d] != 1 || w->pad[d] || w->out[d] != w->in[d])
			return 0;
	return 1;
}

static inline int64_t tile_of(const struct ns_op_convolve *v, const struct sizes *s)
{
	int64_t n = TILE_FLOATS / (v->c * s->taps);

	n = n < 64 ? 64 : n;
	return n < s->out ? n : s->out;
}

/* Patches of places [begin, end) of one image: row (c, tap), column place. */
void ns_cpu_patches(const struct ns_window *w, const struct sizes *s, const float *x, int64_t channels, int64_t begin, int64_t end, float *to);

/* What is to happen to elements [begin, end) of a result as soon as they are all there. */
struct ns_cpu_after {
	void (*go)(const struct ns_cpu_after *after, int64_t begin, int64_t end);
};
static inline void ns_cpu_done(const struct ns_cpu_after *after, int64_t begin, int64_t end)
{
	if (after)
		after->go(after, begin, end);
}
/* Channels last, for plans of those files: bytes of workspace, and the convolution; after: NULL, or what follows. Groups of several channels are done all at once. */
int ns_cpu_takes_last(const struct ns_op_convolve *v);
size_t ns_cpu_last_bytes(const struct ns_op_convolve *v);
void ns_cpu_last_run(const struct ns_op_convolve *v, const struct ns_args *args, const struct ns_cpu_after *after);
/* y (places, k) = x (places, c) times packed weights */
void ns_cpu_rows(int64_t places, int64_t c, int64_t k, const float *x, const float *w, float *y);
/* Those that take transformed weights. */
int ns_cpu_takes_winograd(const struct ns_op_convolve *v);
size_t ns_cpu_winograd_bytes(const struct ns_op_convolve *v);
size_t ns_cpu_winograd_weights(const struct ns_op_convolve *v); /* bytes */
void ns_cpu_winograd_prepare(const struct ns_op_convolve *v, const float *w, float *to);
void ns_cpu_winograd_run(const struct ns_op_convolve *v, const struct ns_args *args, const struct ns_cpu_after *after);
int ns_cpu_takes_depthwise(const struct ns_op_convolve *v);
void ns_cpu_depthwise_run(const struct ns_op_convolve *v, const struct ns_args *args, const struct ns_cpu_after *after);

/* Transposed, for a plan that convolve.c makes. */
enum ns_status ns_cpu_transposed_run(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue);

#endif
