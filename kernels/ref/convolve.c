/* kernels/ref/convolve.c - convolution over one to three axes, by groups, dilated, transposed; pooling over windows. */
#include "kernels/formula/packed.h"
#include "kernels/ref/ref.h"

static int64_t product(const int64_t *v, int n)
{
	int64_t p = 1;
	int i;

	for (i = 0; i < n; i++)
		p *= v[i];
	return p;
}

static void split(int64_t i, const int64_t *size, int n, int64_t *at)
{
	for (n--; n >= 0; n--) {
		at[n] = i % size[n];
		i /= size[n];
	}
}

/* Where in the input the tap of this output lies; -1: outside of it. */
static int64_t tap(const struct ns_window *w, int transposed, const int64_t *out, const int64_t *kernel)
{
	int64_t at = 0, t;
	int d;

	for (d = 0; d < w->axes; d++) {
		if (transposed) {
			t = out[d] + w->pad[d] - kernel[d] * w->dilation[d];
			if (t % w->stride[d])
				return -1;
			t /= w->stride[d];
		} else {
			t = out[d] * w->stride[d] - w->pad[d] + kernel[d] * w->dilation[d];
		}
		if (t < 0 || t >= w->in[d])
			return -1;
		at = at * w->in[d] + t;
	}
	return at;
}

static double one(const struct ns_op_convolve *v, const struct ns_args *a, int64_t n, int64_t k, const int64_t *out, uint64_t *whole)
{
	const struct ns_window *w = &v->window;
	int64_t c, r, at, kernel[NS_AXES], taps = product(w->kernel, w->axes), plane = product(w->in, w->axes), g = k / v->k, x, y;
	double sum = 0;

	for (*whole = 0, r = 0; r < taps; r++) {
		split(r, w->kernel, w->axes, kernel);
		at = tap(w, v->transposed, out, kernel);
		for (c = 0; at >= 0 && c < v->c; c++) {
			x = v->last ? (n * plane + at) * v->groups * v->c + g * v->c + c : ((n * v->groups + g) * v->c + c) * plane + at;
			y = v->last	    ? ns_packed_at(v, taps, g, k % v->k, c, r)
			    : v->transposed ? ((g * v->c + c) * v->k + k % v->k) * taps + r
					    : (k * v->c + c) * taps + r;
			if (ns_dtype_is_float(v->dtype))
				sum += ns_typed_get(a->in[NS_CONVOLVE_X], v->dtype, x) * ns_typed_get(a->in[NS_CONVOLVE_W], v->dtype, y);
			else
				*whole += (uint64_t)ns_typed_get_whole(a->in[NS_CONVOLVE_X], v->dtype, x) *
					  (uint64_t)ns_typed_get_whole(a->in[NS_CONVOLVE_W], v->dtype, y);
		}
	}
	return sum;
}

static enum ns_status convolve_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_convolve *v = &ns_ref_op(plan)->u.convolve;
	int64_t i, n, k, p, out[NS_AXES], plane = product(v->window.out, v->window.axes), channels = v->groups * v->k;
	uint64_t whole;
	double y;

	(void)queue;
	for (n = 0; n < v->n; n++)
		for (k = 0; k < channels; k++)
			for (p = 0; p < plane; p++) {
				i = v->last ? (n * plane + p) * channels + k : (n * channels + k) * plane + p;
				split(p, v->window.out, v->window.axes, out);
				y = one(v, a, n, k, out, &whole);
				if (ns_dtype_is_float(v->dtype))
					ns_typed_set(a->out[NS_CONVOLVE_Y], v->dtype, i,
						     v->bias ? y + ns_typed_get(a->in[NS_CONVOLVE_B], v->dtype, k) : y);
				else
					ns_typed_set_whole(
						a->out[NS_CONVOLVE_Y], v->dtype, i,
						(int64_t)(whole + (v->bias ? (uint64_t)ns_typed_get_whole(a->in[NS_CONVOLVE_B], v->dtype, k) : 0)));
			}
	return NS_OK;
}

/* Each weight's gradient: over images and places, in their order, what the tap reads times the gradient of what it went into. */
static enum ns_status convolve_weights_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_convolve *v = &ns_ref_op(plan)->u.convolve;
	const struct ns_window *w = &v->window;
	int64_t i = 0, n, k, c, r, p, at, kernel[NS_AXES], out[NS_AXES], taps = product(w->kernel, w->axes), in = product(w->in, w->axes),
		places = product(w->out, w->axes);
	double sum;

	(void)queue;
	for (k = 0; k < v->groups * v->k; k++)
		for (c = 0; c < v->c; c++)
			for (r = 0; r < taps; r++, i++) {
				split(r, w->kernel, w->axes, kernel);
				for (sum = 0, n = 0; n < v->n; n++)
					for (p = 0; p < places; p++) {
						split(p, w->out, w->axes, out);
						at = tap(w, 0, out, kernel);
						if (at < 0)
							continue;
						at += ((n * v->groups + k / v->k) * v->c + c) * in;
						sum += ns_typed_get(a->in[NS_CONVOLVE_WEIGHTS_X], v->dtype, at) *
						       ns_typed_get(a->in[NS_CONVOLVE_WEIGHTS_DY], v->dtype, (n * v->groups * v->k + k) * places + p);
					}
				ns_typed_set(a->out[NS_CONVOLVE_WEIGHTS_DW], v->dtype, i, sum);
			}
	return NS_OK;
}

/* --- pooling --- */

/* Is this tap in the image with its padding? Windows that begin late may end beyond both. */
static int in_padding(const struct ns_window *w, const int64_t *out, const int64_t *kernel)
{
	int d;

	for (d = 0; d < w->axes; d++) {
		int64_t t = out[d] * w->stride[d] - w->pad[d] + kernel[d] * w->dilation[d];

		if (t < -w->pad[d] || t >= w->in[d] + w->pad_end[d])
			return 0;
	}
	return 1;
}

/* x: from its element `first` on, of every inner-th */
static double pooled(const struct ns_op_pool_nd *v, const void *x, int64_t first, const int64_t *out, int64_t *best)
{
	const struct ns_window *w = &v->window;
	int64_t r, at, kernel[NS_AXES], taps = product(w->kernel, w->axes), n = 0;
	double y = v->how == NS_WINDOW_MAX ? -INFINITY : 0, t;

	for (*best = -1, r = 0; r < taps; r++) {
		split(r, w->kernel, w->axes, kernel);
		at = tap(w, 0, out, kernel);
		n += at >= 0 || (v->with_padding && in_padding(w, out, kernel));
		if (at < 0)
			continue;
		t = ns_typed_get(x, v->dtype, first + at * v->inner);
		if (v->how == NS_WINDOW_MAX) {
			if (*best < 0 || t > y || (t != t && y == y)) {
				y = t;
				*best = at;
			}
		} else {
			y += v->how == NS_WINDOW_LP ? pow(fabs(t), v->p) : t;
		}
	}
	return v->how == NS_WINDOW_AVG ? (n ? y / (double)n : 0) : v->how == NS_WINDOW_LP ? pow(y, 1.0 / v->p) : y;
}

/* Indices count over all planes; by columns, each plane's positions do. */
static int64_t name_of(const struct ns_op_pool_nd *v, int64_t plane, int64_t at)
{
	const struct ns_window *w = &v->window;
	int64_t by_column = 0, place[NS_AXES];
	int d;

	if (!v->column_major || at < 0)
		return plane + at;
	split(at, w->in, w->axes, place);
	for (d = w->axes - 1; d >= 0; d--)
		by_column = by_column * w->in[d] + place[d];
	return plane + by_column;
}

static enum ns_status pool_nd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool_nd *v = &ns_ref_op(plan)->u.pool_nd;
	int64_t i = 0, k, p, c, best, out[NS_AXES], in = product(v->window.in, v->window.axes), plane = product(v->window.out, v->window.axes);

	(void)queue;
	for (k = 0; k < v->planes; k++)
		for (p = 0; p < plane; p++) {
			split(p, v->window.out, v->window.axes, out);
			for (c = 0; c < v->inner; c++, i++) {
				ns_typed_set(a->out[NS_POOL_ND_Y], v->dtype, i, pooled(v, a->in[NS_POOL_ND_X], k * in * v->inner + c, out, &best));
				if (v->indices)
					((int64_t *)a->out[NS_POOL_ND_WHICH])[i] = name_of(v, k * in, best);
			}
		}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_convolve, "convolve/ref", NS_OP_CONVOLVE, convolve_run, 0);
NS_REF_IMPL(ns_ref_convolve_weights, "convolve_weights/ref", NS_OP_CONVOLVE_WEIGHTS, convolve_weights_run, 0);
NS_REF_IMPL(ns_ref_pool_nd, "pool_nd/ref", NS_OP_POOL_ND, pool_nd_run, 0);
