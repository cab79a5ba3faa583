/* host/onnx/place.c - operators that sample images at other places: resized, along grids, in regions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/onnx/import_inner.h"

enum { HALF_PIXEL, HALF_PIXEL_SYMMETRIC, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC, TF_HALF_PIXEL, TF_CROP };
enum { NEAREST, LINEAR, CUBIC };
enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };

struct resize {
	int mode, place, round, exclude, antialias, taps;
	double cubic, outside;
	int64_t n, m;
	double scale, start, end; /* of the axis at hand; the part of it that is cropped */
};

/* Where the middle of an output pixel lies in the input. */
static double place(const struct resize *r, int64_t i)
{
	double x = (double)i, n = (double)r->n, m = (double)r->m, adjust;

	switch (r->place) {
	case HALF_PIXEL_SYMMETRIC:
		adjust = m / (r->scale * n);
		return n / 2 * (1 - adjust) + (x + 0.5) / r->scale - 0.5;
	case PYTORCH_HALF_PIXEL:
		return m > 1 ? (x + 0.5) / r->scale - 0.5 : 0;
	case ALIGN_CORNERS:
		return m > 1 ? x * (n - 1) / (m - 1) : 0;
	case ASYMMETRIC:
		return x / r->scale;
	case TF_HALF_PIXEL:
		return (x + 0.5) / r->scale;
	case TF_CROP:
		return m > 1 ? r->start * (n - 1) + x * (r->end - r->start) * (n - 1) / (m - 1) : 0.5 * (r->start + r->end) * (n - 1);
	default:
		return (x + 0.5) / r->scale - 0.5;
	}
}

static double cubic(double a, double t)
{
	t = fabs(t);
	return t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

static int32_t inside(const struct resize *r, double x)
{
	return (int32_t)(x < 0 ? 0 : x > (double)r->n - 1 ? (double)r->n - 1 : x);
}

/* The filter is as wide as an output pixel where it is larger than one of the input and antialiasing is asked for. */
static double filter(const struct resize *r, double distance)
{
	distance *= r->antialias && r->scale < 1 ? r->scale : 1;
	return r->mode == CUBIC ? cubic(r->cubic, distance) : fmax(1 - fabs(distance), 0);
}

static int reach(const struct resize *r)
{
	double width = r->mode == CUBIC ? 2 : 1;

	return r->mode == NEAREST ? 0 : -(int)floor(-width / (r->antialias && r->scale < 1 ? r->scale : 1)) - 1;
}

static void taps_of(const struct resize *r, double x, int32_t *index, float *weight)
{
	double first = floor(x), sum = 0, w;
	int t, pass, normalised = r->exclude || r->antialias;

	if (r->mode == NEAREST) {
		*weight = 1;
		*index = inside(r, r->round == FLOOR ? first : r->round == CEIL ? ceil(x) : r->round == PREFER_CEIL ? floor(x + 0.5) : ceil(x - 0.5));
		return;
	}
	for (pass = 0; pass < 2; pass++)
		for (t = 0; t < r->taps; t++) {
			double at = first + t - reach(r);

			w = r->exclude && (at < 0 || at > (double)r->n - 1) ? 0 : filter(r, x - at);
			if (!pass)
				sum += w;
			index[t] = inside(r, at);
			weight[t] = (float)(normalised ? w / sum : w);
		}
}

/* One axis: a table of taps, which the op applies. */
static enum ns_status resample(struct ns_maker *m, int x, int axis, const struct resize *r, int *y)
{
	struct ns_box b = ns_dag_at(m->dag, x)->box, table = {2, {r->m, r->taps}};
	struct ns_op op = {.kind = NS_OP_RESAMPLE,
			   .u.resample = {.dtype = ns_dag_at(m->dag, x)->dtype, .outer = 1, .n = r->n, .inner = 1, .m = r->m}};
	struct ns_op_resample *v = &op.u.resample;
	int64_t i;
	int d, in[3] = {x, -1, -1};

	for (d = 0; d < b.rank; d++)
		*(d < axis ? &v->outer : &v->inner) *= d == axis ? 1 : b.dim[d];
	v->taps = r->taps;
	v->outside = (float)r->outside;
	NS_TRY(ns_dag_constant(m->dag, NS_I32, &table, NULL, &in[1]));
	NS_TRY(ns_dag_constant(m->dag, NS_F32, &table, NULL, &in[2]));
	for (i = 0; i < r->m; i++) {
		int32_t *index = (int32_t *)m->dag->values[in[1]].data + i * r->taps;
		float *weight = (float *)m->dag->values[in[2]].data + i * r->taps;
		double at = place(r, i);

		taps_of(r, at, index, weight);
		if (r->place != TF_CROP || (at >= 0 && at <= (double)r->n - 1))
			continue;
		for (d = 0; d < r->taps; d++) {
			index[d] = -1;
			weight[d] = d == 0;
		}
	}
	b.dim[axis] = r->m;
	NS_TRY(ns_dag_value(m->dag, v->dtype, &b, in, 3, y));
	return ns_dag_add(m->dag, &op, in, 3, y, 1);
}

static enum ns_status settings(struct ns_maker *m, struct resize *r)
{
	static const char *const modes[] = {"nearest", "linear", "cubic", NULL}, *const rounds[] = {"round_prefer_floor", "round_prefer_ceil",
												    "floor", "ceil", NULL};
	static const char *const places[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
					     "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize", NULL};
	static const char *const old[] = {"nearest", "linear", "bilinear", NULL};
	int64_t exclude, antialias;

	NS_TRY(ns_maker_word(m, "mode", m->opset < 11 ? old : modes, 0, &r->mode));
	if (m->opset < 11 && r->mode == 2)
		r->mode = LINEAR;
	NS_TRY(ns_maker_word(m, "coordinate_transformation_mode", places, m->opset < 11 ? ASYMMETRIC : HALF_PIXEL, &r->place));
	NS_TRY(ns_maker_word(m, "nearest_mode", rounds, m->opset < 11 ? FLOOR : PREFER_FLOOR, &r->round));
	NS_TRY(ns_maker_int(m, "exclude_outside", 0, &exclude));
	NS_TRY(ns_maker_int(m, "antialias", 0, &antialias));
	NS_TRY(ns_maker_float(m, "cubic_coeff_a", -0.75, &r->cubic));
	NS_TRY(ns_maker_float(m, "extrapolation_value", 0, &r->outside));
	r->exclude = exclude != 0;
	r->antialias = antialias != 0;
	return NS_OK;
}

/* The input, or attribute of Upsample 7, that has this number; NULL: it is left out or empty. */
static enum ns_status floats(struct ns_maker *m, int input, double *values, int rank, int *there)
{
	int i;

	*there = 0;
	if (!ns_maker_has(m, input) || !ns_box_count(&ns_maker_in(m, input)->box))
		return NS_OK;
	if (!ns_dag_is_constant(m->dag, m->in[input]))
		return ns_fail(NS_DECLINED, "input %d is known only when it runs, and shapes depend on it", input);
	if (ns_box_count(&ns_maker_in(m, input)->box) != rank)
		return ns_fail(NS_INVALID, "input %d has %lld elements, expected %d", input, (long long)ns_box_count(&ns_maker_in(m, input)->box),
			       rank);
	for (i = 0; i < rank; i++)
		values[i] = ns_dag_number(m->dag, m->in[input], i);
	*there = 1;
	return NS_OK;
}

/* Of n axes: sizes and scales; what is not given follows from what is. */
static enum ns_status scales_of(struct ns_maker *m, const struct ns_box *b, const int *axes, int n, double *scales, double *sizes)
{
	static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
	const struct ns_onnx_attribute *a = ns_maker_attribute(m, "scales");
	int i, by_scale = 0, by_size = 0, policy;
	double one = 0;

	NS_TRY(ns_maker_word(m, "keep_aspect_ratio_policy", policies, 0, &policy));
	if (m->row->what && m->opset < 9) { /* Upsample 7 */
		if (!a || a->kind != NS_ONNX_FLOATS || a->count != n)
			return ns_fail(NS_INVALID, "scales of other than %d axes", n);
		for (i = 0; i < n; i++)
			scales[i] = (double)m->o->floats[a->first + i];
		by_scale = 1;
	} else {
		NS_TRY(floats(m, m->opset < 11 ? 1 : 2, scales, n, &by_scale));
		if (m->opset >= 11)
			NS_TRY(floats(m, 3, sizes, n, &by_size));
	}
	if (by_scale + by_size != 1)
		return ns_fail(NS_INVALID, "%s", by_scale ? "both scales and sizes" : "neither scales nor sizes");
	for (i = 0; i < n; i++) {
		double was = (double)b->dim[axes[i]];

		if (by_scale)
			sizes[i] = floor(was * scales[i]);
		else
			scales[i] = sizes[i] / was;
		one = !i || (policy == 1 ? scales[i] < one : scales[i] > one) ? scales[i] : one;
	}
	for (i = 0; by_size && policy && i < n; i++) { /* the same for all axes */
		scales[i] = one;
		sizes[i] = floor(one * (double)b->dim[axes[i]] + 0.5);
	}
	return NS_OK;
}

static enum ns_status axes_of(struct ns_maker *m, int rank, int *axes, int *n)
{
	const int64_t *given;
	int i;

	NS_TRY(ns_maker_ints(m, "axes", &given, n));
	if (!given)
		for (*n = rank, i = 0; i < rank; i++)
			axes[i] = i;
	if (*n > rank)
		return ns_fail(NS_INVALID, "%d axes of %d", *n, rank);
	for (i = 0; given && i < *n; i++)
		NS_TRY(ns_maker_axis(m, given[i], rank, &axes[i]));
	return NS_OK;
}

static enum ns_status resize(struct ns_maker *m)
{
	const struct ns_box b = ns_maker_in(m, 0)->box;
	double scales[NS_RANK], sizes[NS_RANK], roi[2 * NS_RANK];
	struct resize r = {0};
	int i, n, axes[NS_RANK], y = m->in[0], has_roi = 0;

	NS_TRY(settings(m, &r));
	NS_TRY(axes_of(m, b.rank, axes, &n));
	NS_TRY(scales_of(m, &b, axes, n, scales, sizes));
	if (r.place == TF_CROP)
		NS_TRY(floats(m, 1, roi, 2 * n, &has_roi));
	if (r.place == TF_CROP && !has_roi)
		return ns_fail(NS_INVALID, "a crop without a region");
	for (i = 0; i < n; i++) {
		if (!(sizes[i] >= 1 && sizes[i] < 1 << 28) || b.dim[axes[i]] < 1 || b.dim[axes[i]] > 1 << 28 || !(scales[i] > 0))
			return ns_fail(NS_INVALID, "axis %d of %lld would become one of %g", axes[i], (long long)b.dim[axes[i]], sizes[i]);
		r.n = b.dim[axes[i]];
		r.m = (int64_t)sizes[i];
		r.scale = scales[i];
		r.start = has_roi ? roi[i] : 0;
		r.end = has_roi ? roi[n + i] : 1;
		r.taps = r.mode == NEAREST ? 1 : 2 + 2 * reach(&r);
		if (r.n != r.m || r.scale != 1 || r.start != 0 || r.end != 1)
			NS_TRY(resample(m, y, axes[i], &r, &y));
	}
	m->out[0] = y;
	return NS_OK;
}

static enum ns_status grid_sample(struct ns_maker *m)
{
	static const char *const modes[] = {"nearest", "bilinear", "bicubic", "linear", "cubic", NULL}, *const pads[] = {"zeros", "border",
															 "reflection", NULL};
	const struct ns_box x = ns_maker_in(m, 0)->box, g = ns_maker_in(m, 1)->box;
	struct ns_op op = {.kind = NS_OP_GRID};
	struct ns_op_grid *v = &op.u.grid;
	struct ns_box out;
	int64_t corners;

	NS_TRY(ns_maker_word(m, "mode", modes, 1, &v->how));
	v->how -= v->how > NS_SAMPLE_CUBIC ? 2 : 0; /* version 20 has other names for the same */
	NS_TRY(ns_maker_word(m, "padding_mode", pads, 0, &v->outside));
	NS_TRY(ns_maker_int(m, "align_corners", 0, &corners));
	if (x.rank != 4 || g.rank != 4 || g.dim[3] != 2 || g.dim[0] != x.dim[0] || ns_maker_in(m, 1)->dtype != ns_maker_in(m, 0)->dtype)
		return ns_fail(NS_DECLINED, "images of %d axes and a grid of %d", x.rank, g.rank);
	out = (struct ns_box){4, {x.dim[0], x.dim[1], g.dim[1], g.dim[2]}};
	v->dtype = ns_maker_in(m, 0)->dtype;
	v->n = x.dim[0];
	v->c = x.dim[1];
	v->h = x.dim[2];
	v->w = x.dim[3];
	v->p = g.dim[1];
	v->q = g.dim[2];
	v->corners = corners != 0;
	NS_TRY(ns_dag_value(m->dag, v->dtype, &out, m->in, 2, &m->out[0]));
	return ns_dag_add(m->dag, &op, m->in, 2, m->out, 1);
}

static enum ns_status roi_align(struct ns_maker *m)
{
	static const char *const modes[] = {"avg", "max", NULL}, *const places[] = {"half_pixel", "output_half_pixel", NULL};
	const struct ns_box x = ns_maker_in(m, 0)->box, r = ns_maker_in(m, 1)->box;
	struct ns_op op = {.kind = NS_OP_ROI};
	struct ns_op_roi *v = &op.u.roi;
	struct ns_box out;
	int64_t ratio, p, q;
	int where, in[3] = {m->in[0], m->in[1], m->in[2]};
	double scale;

	NS_TRY(ns_maker_word(m, "mode", modes, 0, &v->max));
	NS_TRY(ns_maker_word(m, "coordinate_transformation_mode", places, m->opset < 16 ? 1 : 0, &where));
	NS_TRY(ns_maker_int(m, "sampling_ratio", 0, &ratio));
	NS_TRY(ns_maker_int(m, "output_height", 1, &p));
	NS_TRY(ns_maker_int(m, "output_width", 1, &q));
	NS_TRY(ns_maker_float(m, "spatial_scale", 1, &scale));
	if (x.rank != 4 || x.dim[2] < 1 || x.dim[3] < 1 || ns_maker_in(m, 1)->dtype != ns_maker_in(m, 0)->dtype || r.rank != 2 || r.dim[1] != 4 ||
	    ns_box_count(&ns_maker_in(m, 2)->box) != r.dim[0] || p < 1 || q < 1 || p > 1 << 20 || q > 1 << 20 || ratio < 0 || ratio > 1 << 10)
		return ns_fail(NS_INVALID, "images of %d axes, regions of %d", x.rank, r.rank);
	out = (struct ns_box){4, {r.dim[0], x.dim[1], p, q}};
	*v = (struct ns_op_roi){.dtype = ns_maker_in(m, 0)->dtype,
				.n = x.dim[0],
				.c = x.dim[1],
				.h = x.dim[2],
				.w = x.dim[3],
				.rois = r.dim[0],
				.p = p,
				.q = q,
				.ratio = (int)ratio,
				.max = v->max,
				.half = where == 0,
				.scale = (float)scale};
	NS_TRY(ns_dag_cast(m->dag, m->in[2], NS_I64, &in[2]));
	NS_TRY(ns_dag_value(m->dag, v->dtype, &out, in, 3, &m->out[0]));
	return ns_dag_add(m->dag, &op, in, 3, m->out, 1);
}

const struct ns_onnx_row ns_onnx_place[] = {
	{"Resize", resize, 1, 4, 0,
	 "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value keep_aspect_ratio_policy mode nearest_mode"},
	{"Upsample", resize, 1, 2, 1, "mode scales"},
	{"GridSample", grid_sample, 2, 2, 0, "align_corners mode padding_mode"},
	{"RoiAlign", roi_align, 3, 3, 0, "coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale"},
	{0},
};
