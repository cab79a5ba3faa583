/* kernels/cpu/reduce.c - over neighbouring axes of f32: sums, means and extremes, softmax; windows of images. Sums run in double, as ref's do. */
#include <math.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/fast.h"

/* The axes that are reduced have to be neighbours: outer x n x inner. */
static int neighbours(const struct ns_op_reduce *v, int64_t *outer, int64_t *n, int64_t *inner)
{
	int d, state = 0;

	*outer = *n = *inner = 1;
	for (d = 0; d < v->in.rank; d++) {
		int reduced = v->axes >> d & 1;

		if (v->in.dim[d] == 1)
			continue;
		state += state == 0 && reduced;
		state += state == 1 && !reduced;
		if (state == 2 && reduced)
			return 0;
		*(state == 0 ? outer : state == 1 ? n : inner) *= v->in.dim[d];
	}
	return *n >= 1 && *outer >= 1 && *inner >= 1;
}

static float reduce_line(int how, const float *x, int64_t n, int64_t stride)
{
	double sum = 0;
	float best = x[0];
	int64_t i;

	if (how == NS_REDUCE_MAX) {
		for (i = 1; i < n; i++)
			best = x[i * stride] > best || x[i * stride] != x[i * stride] ? x[i * stride] : best;
		return best;
	}
	if (how == NS_REDUCE_MIN) {
		for (i = 1; i < n; i++)
			best = x[i * stride] < best || x[i * stride] != x[i * stride] ? x[i * stride] : best;
		return best;
	}
	for (i = 0; i < n; i++)
		sum += (double)x[i * stride];
	return (float)(how == NS_REDUCE_MEAN ? sum / (double)n : sum);
}

static enum ns_status reduce_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_reduce *v = &ns_cpu_op(plan)->u.reduce;
	const float *x = a->in[NS_REDUCE_X];
	float *y = a->out[NS_REDUCE_Y];
	int64_t outer, n, inner, o, i;

	(void)queue;
	(void)neighbours(v, &outer, &n, &inner);
	for (o = 0; o < outer; o++, x += n * inner)
		for (i = 0; i < inner; i++)
			*y++ = reduce_line(v->how, x + i, n, inner);
	return NS_OK;
}

static enum ns_status reduce_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_reduce *v = &op->u.reduce;
	int64_t outer, n, inner;

	(void)dev;
	if (v->dtype != NS_F32 || (v->how != NS_REDUCE_SUM && v->how != NS_REDUCE_MEAN && v->how != NS_REDUCE_MAX && v->how != NS_REDUCE_MIN) ||
	    !neighbours(v, &outer, &n, &inner))
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, 0, reduce_run);
}

const struct ns_impl ns_cpu_reduce = {"reduce/lines", NS_OP_REDUCE, reduce_make};

/* --- softmax --- */

#define BLOCK 1024 /* elements whose sum is of floats, lane by lane, before it goes into the whole's, which is a double */

static double sum_of_lanes(v16f x)
{
	double sum = 0;
	int i;

	for (i = 0; i < 16; i++)
		sum += (double)x[i];
	return sum;
}

/* A line without gaps, of at least 16. */
static void softmax_line(const float *x, float *y, int64_t n)
{
	v16f most = v16_load_f32(x, 16), sums, e, scale;
	float max = -INFINITY;
	double sum = 0;
	int64_t i, end;

	for (i = 16; i + 16 <= n; i += 16) {
		v16f t = v16_load_f32(x + i, 16);

		most = v16_select(t > most, t, most);
	}
	for (end = 0; end < 16; end++)
		max = most[end] > max ? most[end] : max;
	for (; i < n; i++)
		max = x[i] > max ? x[i] : max;
	for (i = 0; i < n; i = end) {
		end = i + BLOCK < n ? i + BLOCK : n;
		for (sums = v16_set(0); i + 16 <= end; i += 16) {
			e = v16_fast_exp(v16_load_f32(x + i, 16) - max);
			v16_store_f32(y + i, e, 16);
			sums += e;
		}
		for (sum += sum_of_lanes(sums); i < end; i++) {
			y[i] = v16_fast_exp(v16_set(x[i] - max))[0];
			sum += (double)y[i];
		}
	}
	scale = v16_set((float)(1 / sum));
	for (i = 0; i + 16 <= n; i += 16)
		v16_store_f32(y + i, v16_load_f32(y + i, 16) * scale, 16);
	for (; i < n; i++)
		y[i] *= scale[0];
}

static enum ns_status along_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_along *v = &ns_cpu_op(plan)->u.along;
	int64_t o, i, j;

	(void)queue;
	for (o = 0; v->inner == 1 && v->n >= 16 && o < v->outer; o++)
		softmax_line((const float *)a->in[NS_ALONG_X] + o * v->n, (float *)a->out[NS_ALONG_Y] + o * v->n, v->n);
	for (; o < v->outer; o++)
		for (i = 0; i < v->inner; i++) {
			const float *x = (const float *)a->in[NS_ALONG_X] + o * v->n * v->inner + i;
			float *y = (float *)a->out[NS_ALONG_Y] + o * v->n * v->inner + i, max = -INFINITY;
			double sum = 0;

			for (j = 0; j < v->n; j++)
				max = x[j * v->inner] > max ? x[j * v->inner] : max;
			for (j = 0; j < v->n; j++) {
				float e = expf(x[j * v->inner] - max);

				y[j * v->inner] = e;
				sum += (double)e;
			}
			for (j = 0; j < v->n; j++)
				y[j * v->inner] = (float)((double)y[j * v->inner] / sum);
		}
	return NS_OK;
}

static enum ns_status along_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	if (op->u.along.dtype != NS_F32 || op->u.along.how != NS_ALONG_SOFTMAX)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, 0, along_run);
}

const struct ns_impl ns_cpu_along = {"along/lines", NS_OP_ALONG, along_make};

/* --- windows of two axes --- */

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

/* Outputs [*q0, *q1) of an axis find all their taps inside. */
static void whole(const struct ns_window *w, int d, int64_t *q0, int64_t *q1)
{
	int64_t reach = (w->kernel[d] - 1) * w->dilation[d] - w->pad[d], last = w->in[d] - 1 - reach;

	*q0 = (w->pad[d] + w->stride[d] - 1) / w->stride[d];
	*q1 = last < 0 ? 0 : last / w->stride[d] + 1;
	*q0 = *q0 < w->out[d] ? *q0 : w->out[d];
	*q1 = *q1 < *q0 ? *q0 : *q1 < w->out[d] ? *q1 : w->out[d];
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

	whole(w, 1, &q0, &q1);
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

static enum ns_status pool_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool_nd *v = &ns_cpu_op(plan)->u.pool_nd;
	const int64_t in = v->window.in[0] * v->window.in[1], out = v->window.out[0] * v->window.out[1];
	const float *x = a->in[NS_POOL_ND_X];
	float *y = a->out[NS_POOL_ND_Y];
	int64_t k, p, q;

	(void)queue;
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
	return ns_plain_plan_make(plan, op, v->how == NS_WINDOW_MAX ? (size_t)v->window.in[1] * sizeof(float) : 0, pool_run);
}

const struct ns_impl ns_cpu_pool_nd = {"pool_nd/windows", NS_OP_POOL_ND, pool_make};
