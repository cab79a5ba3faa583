/*
 * kernels/cpu/pool_nd.c - windows over images of two axes in f32: maxima, with their places where they are asked for, and averages; planes by themselves, or channels last,
 * sixteen at a time. Sums run in double, as ref's do.
 */
#include "kernels/cpu/convolve_inner.h"
#include "kernels/cpu/fast.h"

struct span {
	int64_t begin, end; /* taps that lie inside */
};

static struct span taps(const struct ns_window *w, int d, int64_t out)
{
	int64_t first = out * w->stride[d] - w->pad[d], by = w->dilation[d];
	struct span s = {first >= 0 ? 0 : (-first + by - 1) / by, w->kernel[d]};

	while (s.end > s.begin && first + (s.end - 1) * by >= w->in[d])
		s.end--;
	return s;
}

/* Taps that lie in image and padding: what an average with padding divides by. */
static int64_t counted(const struct ns_window *w, int d, int64_t out)
{
	int64_t first = out * w->stride[d] - w->pad[d], n = 0, r;

	for (r = 0; r < w->kernel[d]; r++)
		n += first + r * w->dilation[d] < w->in[d] + w->pad_end[d];
	return n;
}

static float average(const struct ns_op_pool_nd *v, const float *x, int64_t p, int64_t q)
{
	const struct ns_window *w = &v->window;
	struct span rows = taps(w, 0, p), columns = taps(w, 1, q);
	int64_t r, s, first = (p * w->stride[0] - w->pad[0]) * w->in[1] + q * w->stride[1] - w->pad[1],
		      n = (rows.end - rows.begin) * (columns.end - columns.begin);
	double sum = 0;

	for (r = rows.begin; r < rows.end; r++)
		for (s = columns.begin; s < columns.end; s++)
			sum += (double)x[first + r * w->dilation[0] * w->in[1] + s * w->dilation[1]];
	if (v->with_padding)
		n = counted(w, 0, p) * counted(w, 1, q);
	return n ? (float)(sum / (double)n) : 0;
}

/* --- maxima: first of the rows of a window, then of its columns, both over whole rows of the image at once --- */

/* What is no number stays, as a maximum of it is none. */
static void larger(float *restrict y, const float *restrict x, int64_t stride, int64_t n)
{
	int64_t i;

	if (stride == 1)
		for (i = 0; i < n; i++)
			y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i];
	else
		for (i = 0; i < n; i++)
			y[i] = x[i * stride] > y[i] || x[i * stride] != x[i * stride] ? x[i * stride] : y[i];
}

static void nothing_yet(float *y, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++)
		y[i] = -INFINITY;
}

static void maximum_row(const struct ns_window *w, const float *rows, int64_t q0, int64_t q1, float *y)
{
	int64_t q, s;

	nothing_yet(y, w->out[1]);
	for (s = 0; q1 > q0 && s < w->kernel[1]; s++)
		larger(y + q0, rows + q0 * w->stride[1] - w->pad[1] + s * w->dilation[1], w->stride[1], q1 - q0);
	for (q = 0; q < w->out[1]; q++) {
		struct span columns = taps(w, 1, q);

		if (q >= q0 && q < q1)
			continue;
		for (s = columns.begin; s < columns.end; s++)
			larger(y + q, rows + q * w->stride[1] - w->pad[1] + s * w->dilation[1], 1, 1);
	}
}

static void maximum(const struct ns_window *w, const float *x, float *rows, float *y)
{
	int64_t p, r, q0, q1;

	middle(w, 1, &q0, &q1);
	for (p = 0; p < w->out[0]; p++, y += w->out[1]) {
		struct span s = taps(w, 0, p);

		nothing_yet(rows, w->in[1]);
		for (r = s.begin; r < s.end; r++)
			larger(rows, x + (p * w->stride[0] - w->pad[0] + r * w->dilation[0]) * w->in[1], 1, w->in[1]);
		maximum_row(w, rows, q0, q1, y);
	}
}

/* The same with the place of the first of the largest, as gradients want it: window by window. */
static void maximum_with_place(const struct ns_window *w, const float *x, int64_t plane, float *y, int64_t *which)
{
	int64_t p, q, r, s, at;

	for (p = 0; p < w->out[0]; p++) {
		struct span rows = taps(w, 0, p);

		for (q = 0; q < w->out[1]; q++) {
			struct span columns = taps(w, 1, q);
			int64_t first = (p * w->stride[0] - w->pad[0]) * w->in[1] + q * w->stride[1] - w->pad[1], best = -1;
			float largest = -INFINITY;

			for (r = rows.begin; r < rows.end; r++)
				for (s = columns.begin; s < columns.end; s++) {
					at = first + r * w->dilation[0] * w->in[1] + s * w->dilation[1];
					if (best < 0 || x[at] > largest || (x[at] != x[at] && largest == largest)) {
						largest = x[at];
						best = at;
					}
				}
			*y++ = largest;
			*which++ = plane + best;
		}
	}
}

/* --- channels last --- */

/* Sixteen channels of one place, or fewer; x: at the image's first pixel, apart: floats between pixels */
static v16f largest_of(const struct ns_window *w, struct span rows, struct span columns, const float *x, int64_t apart, int lanes)
{
	v16f y = v16_set(-INFINITY);
	int64_t r, s;

	for (r = rows.begin; r < rows.end; r++)
		for (s = columns.begin; s < columns.end; s++) {
			const v16f t = v16_load_f32(x + (r * w->dilation[0] * w->in[1] + s * w->dilation[1]) * apart, lanes);

			y = v16_select((t > y) | (t != t), t, y);
		}
	return y;
}

static v16f mean_of(const struct ns_window *w, struct span rows, struct span columns, const float *x, int64_t apart, int lanes, double n)
{
	double sum[16] = {0};
	int64_t r, s;
	v16f y;
	int i;

	for (r = rows.begin; r < rows.end; r++)
		for (s = columns.begin; s < columns.end; s++) {
			const v16f t = v16_load_f32(x + (r * w->dilation[0] * w->in[1] + s * w->dilation[1]) * apart, lanes);

			for (i = 0; i < 16; i++)
				sum[i] += (double)t[i];
		}
	for (i = 0; i < 16; i++)
		y[i] = n > 0 ? (float)(sum[i] / n) : 0;
	return y;
}

static void channels_last(const struct ns_op_pool_nd *v, const float *x, float *y)
{
	const struct ns_window *w = &v->window;
	int64_t k, p, q, c;

	for (k = 0; k < v->planes; k++, x += w->in[0] * w->in[1] * v->inner)
		for (p = 0; p < w->out[0]; p++)
			for (q = 0; q < w->out[1]; q++, y += v->inner) {
				struct span rows = taps(w, 0, p), columns = taps(w, 1, q);
				/* of a window that begins before the image its tap 0 lies there, and is not read */
				int64_t first = ((p * w->stride[0] - w->pad[0]) * w->in[1] + q * w->stride[1] - w->pad[1]) * v->inner,
					n = v->with_padding ? counted(w, 0, p) * counted(w, 1, q)
							    : (rows.end - rows.begin) * (columns.end - columns.begin);

				for (c = 0; c < v->inner; c += 16) {
					int lanes = v->inner - c < 16 ? (int)(v->inner - c) : 16;

					v16_store_f32(y + c,
						      v->how == NS_WINDOW_MAX ? largest_of(w, rows, columns, x + first + c, v->inner, lanes)
									      : mean_of(w, rows, columns, x + first + c, v->inner, lanes, (double)n),
						      lanes);
				}
			}
}

static enum ns_status pool_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool_nd *v = &ns_cpu_op(plan)->u.pool_nd;
	const int64_t in = v->window.in[0] * v->window.in[1], out = v->window.out[0] * v->window.out[1];
	const float *x = a->in[NS_POOL_ND_X];
	float *y = a->out[NS_POOL_ND_Y];
	int64_t k, p, q;

	(void)queue;
	if (v->inner > 1) {
		channels_last(v, x, y);
		return NS_OK;
	}
	for (k = 0; k < v->planes; k++, x += in, y += out) {
		if (v->indices) {
			maximum_with_place(&v->window, x, k * in, y, (int64_t *)a->out[NS_POOL_ND_WHICH] + k * out);
			continue;
		}
		if (v->how == NS_WINDOW_MAX) {
			maximum(&v->window, x, a->workspace, y);
			continue;
		}
		for (p = 0; p < v->window.out[0]; p++)
			for (q = 0; q < v->window.out[1]; q++)
				y[p * v->window.out[1] + q] = average(v, x, p, q);
	}
	return NS_OK;
}

static enum ns_status pool_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_pool_nd *v = &op->u.pool_nd;

	(void)dev;
	if (v->dtype != NS_F32 || v->window.axes != 2 || (v->indices && (v->how != NS_WINDOW_MAX || v->column_major)) || v->how == NS_WINDOW_LP)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, v->how == NS_WINDOW_MAX && v->inner == 1 ? (size_t)v->window.in[1] * sizeof(float) : 0, pool_run);
}

const struct ns_impl ns_cpu_pool_nd = {"pool_nd/windows", NS_OP_POOL_ND, pool_make};
