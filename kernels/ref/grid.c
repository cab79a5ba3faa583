/* kernels/ref/grid.c - images sampled at places that other tensors name: grids, and regions of interest. */
#include "kernels/ref/ref.h"

/* Into -0.5 ... size - 0.5, or between the centres of the corner pixels, by reflection at both ends. */
static double reflected(double x, double low, double high)
{
	double range = high - low, t;

	if (range <= 0)
		return 0;
	t = fmod(fabs(x - low), 2 * range);
	return low + (t > range ? 2 * range - t : t);
}

static double outside(const struct ns_op_grid *v, double x, int64_t size)
{
	if (v->outside == NS_OUTSIDE_BORDER)
		return x < 0 ? 0 : x > (double)size - 1 ? (double)size - 1 : x;
	if (v->outside == NS_OUTSIDE_REFLECT) {
		x = v->corners ? reflected(x, 0, (double)size - 1) : reflected(x, -0.5, (double)size - 0.5);
		return x < 0 ? 0 : x > (double)size - 1 ? (double)size - 1 : x;
	}
	return x;
}

static double pixel(const struct ns_op_grid *v, const void *x, int64_t plane, double y0, double x0)
{
	double row = outside(v, y0, v->h), column = outside(v, x0, v->w);

	if (!(row >= 0 && column >= 0 && row <= (double)v->h - 1 && column <= (double)v->w - 1)) /* NaN is nowhere */
		return 0;
	return ns_typed_get(x, v->dtype, plane + (int64_t)row * v->w + (int64_t)column);
}

static double cubic(double t)
{
	const double a = -0.75;

	t = fabs(t);
	return t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

static double sampled(const struct ns_op_grid *v, const void *x, int64_t plane, double row, double column)
{
	double sum = 0, y0, x0;
	int i, j, first = v->how == NS_SAMPLE_CUBIC ? -1 : 0, last = v->how == NS_SAMPLE_CUBIC ? 2 : 1;

	if (v->how == NS_SAMPLE_NEAREST)
		return pixel(v, x, plane, rint(row), rint(column));
	if (v->how == NS_SAMPLE_LINEAR) { /* the place is put inside, then its neighbours are taken */
		row = outside(v, row, v->h);
		column = outside(v, column, v->w);
	}
	y0 = floor(row);
	x0 = floor(column);
	for (i = first; i <= last; i++)
		for (j = first; j <= last; j++) {
			double wy = v->how == NS_SAMPLE_CUBIC ? cubic(row - y0 - i) : 1 - fabs(row - y0 - i);
			double wx = v->how == NS_SAMPLE_CUBIC ? cubic(column - x0 - j) : 1 - fabs(column - x0 - j);

			if (wy != 0 && wx != 0)
				sum += wy * wx * pixel(v, x, plane, y0 + i, x0 + j);
		}
	return sum;
}

static double place(double t, int64_t size, int corners)
{
	return corners ? (t + 1) / 2 * (double)(size - 1) : ((t + 1) * (double)size - 1) / 2;
}

static enum ns_status grid_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_grid *v = &ns_ref_op(plan)->u.grid;
	int64_t n, c, p, points = v->p * v->q;

	(void)queue;
	for (n = 0; n < v->n; n++)
		for (c = 0; c < v->c; c++)
			for (p = 0; p < points; p++) {
				double x = ns_typed_get(a->in[NS_GRID_GRID], v->dtype, (n * points + p) * 2);
				double y = ns_typed_get(a->in[NS_GRID_GRID], v->dtype, (n * points + p) * 2 + 1);

				ns_typed_set(a->out[NS_GRID_Y], v->dtype, (n * v->c + c) * points + p,
					     sampled(v, a->in[NS_GRID_X], (n * v->c + c) * v->h * v->w, place(y, v->h, v->corners),
						     place(x, v->w, v->corners)));
			}
	return NS_OK;
}

/* --- regions of interest --- */

#define SAMPLES	 512	 /* of a bin's side, at most */
#define FARTHEST 65536.0 /* pixels of a region's side: it is sampled at each */

/* Between four pixels; one of -1 to 0 is at the edge, and farther out there is nothing. With max the largest weighted neighbour is taken. */
static double bilinear(const struct ns_op_roi *v, const void *x, int64_t plane, double row, double column)
{
	int64_t y0, x0, y1, x1;
	double fy, fx, part[4];

	if (row < -1 || row > (double)v->h || column < -1 || column > (double)v->w)
		return 0;
	row = row < 0 ? 0 : row;
	column = column < 0 ? 0 : column;
	y0 = (int64_t)row < v->h - 1 ? (int64_t)row : v->h - 1;
	x0 = (int64_t)column < v->w - 1 ? (int64_t)column : v->w - 1;
	y1 = y0 < v->h - 1 ? y0 + 1 : y0;
	x1 = x0 < v->w - 1 ? x0 + 1 : x0;
	fy = y1 == y0 ? 0 : row - (double)y0;
	fx = x1 == x0 ? 0 : column - (double)x0;
	part[0] = (1 - fy) * (1 - fx) * ns_typed_get(x, v->dtype, plane + y0 * v->w + x0);
	part[1] = (1 - fy) * fx * ns_typed_get(x, v->dtype, plane + y0 * v->w + x1);
	part[2] = fy * (1 - fx) * ns_typed_get(x, v->dtype, plane + y1 * v->w + x0);
	part[3] = fy * fx * ns_typed_get(x, v->dtype, plane + y1 * v->w + x1);
	return v->max ? fmax(fmax(part[0], part[1]), fmax(part[2], part[3])) : part[0] + part[1] + part[2] + part[3];
}

static double bin(const struct ns_op_roi *v, const void *x, int64_t plane, const double box[4], int64_t p, int64_t q)
{
	double high = box[3] - box[1], wide = box[2] - box[0], sum = 0, best = -INFINITY, t;
	int64_t i, j, rows, columns;

	if (!v->half) {
		high = fmax(high, 1);
		wide = fmax(wide, 1);
	}
	rows = v->ratio > 0 ? v->ratio : (int64_t)ceil(high / (double)v->p);
	columns = v->ratio > 0 ? v->ratio : (int64_t)ceil(wide / (double)v->q);
	rows = rows > SAMPLES ? SAMPLES : rows; /* more than pixels that any image here has */
	columns = columns > SAMPLES ? SAMPLES : columns;
	for (i = 0; i < rows; i++)
		for (j = 0; j < columns; j++) {
			t = bilinear(v, x, plane, box[1] + high / (double)v->p * ((double)p + ((double)i + 0.5) / (double)rows),
				     box[0] + wide / (double)v->q * ((double)q + ((double)j + 0.5) / (double)columns));
			sum += t;
			best = fmax(best, t);
		}
	return rows * columns < 1 ? 0 : v->max ? best : sum / (double)(rows * columns);
}

static enum ns_status roi_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_roi *v = &ns_ref_op(plan)->u.roi;
	const int64_t *batch = a->in[NS_ROI_BATCH];
	int64_t r, c, p, q, i = 0;

	(void)queue;
	for (r = 0; r < v->rois; r++) {
		double box[4];
		int k;

		if (batch[r] < 0 || batch[r] >= v->n)
			return ns_fail(NS_BAD_DATA, "roi: region %lld is of image %lld of %lld", (long long)r, (long long)batch[r], (long long)v->n);
		for (k = 0; k < 4; k++)
			box[k] = ns_typed_get(a->in[NS_ROI_ROIS], v->dtype, r * 4 + k) * (double)v->scale - (v->half ? 0.5 : 0);
		if (!(fabs(box[2] - box[0]) <= FARTHEST && fabs(box[3] - box[1]) <= FARTHEST))
			return ns_fail(NS_BAD_DATA, "roi: region %lld is %g by %g, expected at most %g", (long long)r, box[2] - box[0],
				       box[3] - box[1], FARTHEST);
		for (c = 0; c < v->c; c++)
			for (p = 0; p < v->p; p++)
				for (q = 0; q < v->q; q++)
					ns_typed_set(a->out[NS_ROI_Y], v->dtype, i++,
						     bin(v, a->in[NS_ROI_X], (batch[r] * v->c + c) * v->h * v->w, box, p, q));
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_grid, "grid/ref", NS_OP_GRID, grid_run, 0);
NS_REF_IMPL(ns_ref_roi, "roi/ref", NS_OP_ROI, roi_run, 0);
