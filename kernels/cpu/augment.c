/*
 * kernels/cpu/augment.c - the fused augmentation, a row at a time: coordinates, gather and blend, colour, interleave,
 * normalise, each a loop that vectorises. The bytes are ref's.
 *
 * The gather reads from a tile of 32-bit pixels with a border of two pixels of fill, to which coordinates are
 * clamped, so that no lane needs a test: RGBX where C = 3, the four neighbours of a bilinear cell where C = 1.
 */
#include "kernels/cpu/augment_inner.h"
#include "kernels/cpu/vec.h"

#include <stdlib.h>

#define BORDER 2

static size_t carve(struct ns_augment_space *s, const struct ns_op_augment *v, char *b)
{
	size_t q = (size_t)v->q + 16, rowc = q * 3, image = (size_t)v->p * (size_t)v->q * (size_t)v->c, at = 0;
	int i;

#define TAKE(field, type, count)                                                                                                                     \
	do {                                                                                                                                         \
		s->field = (type *)(void *)(b + at);                                                                                                 \
		at += ((count) * sizeof(type) + 127) / 64 * 64;                                                                                      \
	} while (0)
	TAKE(tile, uint32_t, ((size_t)v->h + 2 * BORDER + 1) * ((size_t)v->w + 2 * BORDER + 1));
	for (i = 0; i < 3; i++)
		TAKE(plane[i], int32_t, q);
	TAKE(at, int32_t, q);
	TAKE(wx, int32_t, q);
	TAKE(wy, int32_t, q);
	TAKE(top, uint64_t, q * 3 / 2 + 1);
	TAKE(bottom, uint64_t, q);
	TAKE(row, uint8_t, rowc);
	TAKE(image, uint8_t, image);
	TAKE(other, uint8_t, image);
	TAKE(scale, float, rowc);
	TAKE(shift, float, rowc);
	TAKE(wide, int64_t, rowc);
#undef TAKE
	return at;
}

/* --- geometry --- */

static void exact_row(const struct ns_op_augment *v, const struct ns_augment_sample *a, const uint8_t *x, uint8_t *y, int i)
{
	int sy = ns_map_y(a, 0, i) >> 16, x0 = ns_map_x(a, 0, i) >> 16, c = v->c, fill = v->config->fill, j, ch;
	int step = a->map[0] >> 16;
	const uint8_t *row = x + (int64_t)sy * v->w * c;

	if (sy < 0 || sy >= v->h) {
		memset(y, fill, (size_t)(v->q * c));
		return;
	}
	if (step == 1) {
		int from = x0 < 0 ? -x0 : 0, to = v->w - x0 < v->q ? v->w - x0 : v->q;

		from = from < v->q ? from : v->q;
		to = to < from ? from : to;
		memset(y, fill, (size_t)(from * c));
		memcpy(y + from * c, row + (x0 + from) * c, (size_t)((to - from) * c));
		memset(y + to * c, fill, (size_t)((v->q - to) * c));
		return;
	}
	for (j = 0; j < v->q; j++)
		for (ch = 0; ch < c; ch++)
			y[j * c + ch] = x0 - j < 0 || x0 - j >= v->w ? (uint8_t)fill : row[(x0 - j) * c + ch];
}

/* A row of pixels as words: each load reads one byte of the next pixel, except the last, which must not read beyond the row. */
static void tile_row(const struct ns_op_augment *v, uint32_t *restrict t, const uint8_t *restrict r)
{
	int w = v->w, j;

	if (v->c == 1) {
		for (j = 0; j < w; j++)
			t[j] = r[j];
		return;
	}
	for (j = 0; j < w - 1; j++) {
		uint32_t pixel;

		memcpy(&pixel, r + 3 * j, sizeof pixel);
		t[j] = pixel & 0xffffff;
	}
	t[j] = (uint32_t)r[3 * j] | (uint32_t)r[3 * j + 1] << 8 | (uint32_t)r[3 * j + 2] << 16;
}

static void tile_fill(const struct ns_op_augment *v, struct ns_augment_space *s, const uint8_t *x)
{
	int wide = v->w + 2 * BORDER + 1, high = v->h + 2 * BORDER + 1, i, j;
	uint32_t fill = (uint32_t)v->config->fill, all = v->c == 3 ? fill * 0x010101u : fill;

	for (i = 0; i < high; i++) {
		uint32_t *t = s->tile + (int64_t)i * wide;
		int inside = i >= BORDER && i < BORDER + v->h;

		for (j = 0; j < (inside ? BORDER : wide); j++)
			t[j] = all;
		if (inside)
			tile_row(v, t + BORDER, x + (int64_t)(i - BORDER) * v->w * v->c);
		for (j = v->w + BORDER; j < wide; j++)
			t[j] = all;
	}
	if (v->c == 3)
		return;
	for (i = 0; i < high; i++) /* the cell's four corners in one word, of which each held only its low byte */
		for (j = 0; j < wide; j++) {
			uint32_t *t = s->tile + (int64_t)i * wide + j;
			uint32_t right = j + 1 < wide ? t[1] & 255 : fill, down = i + 1 < high ? t[wide] & 255 : fill;
			uint32_t both = j + 1 < wide && i + 1 < high ? t[wide + 1] & 255 : fill;

			*t = (*t & 255) | right << 8 | down << 16 | both << 24;
		}
}

/*
 * Computes where the pixels of row i read: index into the tile, and weights in 1/256. What is constant along the row is
 * copied to locals first: values that may alias the results would keep the loop from being vectorised.
 */
static void locate_row(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s, int i)
{
	int32_t *restrict at = s->at, *restrict wx = s->wx, *restrict wy = s->wy;
	const int32_t u0 = ns_map_x(a, 0, i), t0 = ns_map_y(a, 0, i), du = a->map[0], dt = a->map[3];
	const int32_t w = v->w, h = v->h, wide = v->w + 2 * BORDER + 1, q = v->q;
	int32_t j;

#pragma omp simd
	for (j = 0; j < q; j++) {
		int32_t u = u0 + du * j, t = t0 + dt * j, x0 = u >> 16, y0 = t >> 16;

		x0 = x0 < -BORDER ? -BORDER : x0 > w ? w : x0;
		y0 = y0 < -BORDER ? -BORDER : y0 > h ? h : y0;
		at[j] = (y0 + BORDER) * wide + x0 + BORDER;
		wx[j] = u >> 8 & 255;
		wy[j] = t >> 8 & 255;
	}
}

/*
 * Three loops a row: coordinates; the gather, which no vector unit does faster than plain loads of two pixels at a
 * time; and the blend, two channels at a time in 16-bit halves (255 * 256 fits).
 */
static void affine_row3(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s, int i)
{
	const uint32_t *restrict tile = s->tile;
	int32_t *restrict r = s->plane[0], *restrict g = s->plane[1], *restrict b = s->plane[2];
	const int32_t *restrict at = s->at, *restrict wx = s->wx, *restrict wy = s->wy;
	uint64_t *restrict top = s->top, *restrict bottom = s->bottom;
	int wide = v->w + 2 * BORDER + 1, columns = v->q, j;

	locate_row(v, a, s, i);
	for (j = 0; j < columns; j++) {
		memcpy(&top[j], tile + at[j], sizeof *top);
		memcpy(&bottom[j], tile + at[j] + wide, sizeof *bottom);
	}
#pragma omp simd
	for (j = 0; j < columns; j++) {
		uint32_t fx = (uint32_t)wx[j], gx = 256 - fx, fy = (uint32_t)wy[j], gy = 256 - fy;
		uint32_t p = (uint32_t)top[j], q = (uint32_t)(top[j] >> 32), m = (uint32_t)bottom[j], n = (uint32_t)(bottom[j] >> 32);
		uint32_t t = (p & 0xff00ff) * gx + (q & 0xff00ff) * fx, tg = (p >> 8 & 255) * gx + (q >> 8 & 255) * fx;
		uint32_t d = (m & 0xff00ff) * gx + (n & 0xff00ff) * fx, dg = (m >> 8 & 255) * gx + (n >> 8 & 255) * fx;

		r[j] = (int32_t)(((t & 0xffff) * gy + (d & 0xffff) * fy + 32768) >> 16);
		g[j] = (int32_t)((tg * gy + dg * fy + 32768) >> 16);
		b[j] = (int32_t)(((t >> 16) * gy + (d >> 16) * fy + 32768) >> 16);
	}
}

/* The same with one channel: one word of the tile holds all four neighbours. */
static void affine_row1(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s, int i)
{
	const uint32_t *restrict tile = s->tile;
	int32_t *restrict r = s->plane[0], *restrict cell = s->plane[1];
	const int32_t *restrict at = s->at, *restrict wx = s->wx, *restrict wy = s->wy;
	int q = v->q, j;

	locate_row(v, a, s, i);
	for (j = 0; j < q; j++)
		cell[j] = (int32_t)tile[at[j]];
#pragma omp simd
	for (j = 0; j < q; j++) {
		int32_t p = cell[j];

		r[j] = ns_bilinear(p & 255, p >> 8 & 255, p >> 16 & 255, p >> 24 & 255, wx[j], wy[j]);
	}
}

/* --- planes of a row, and back --- */

static void split_row(const struct ns_op_augment *v, const struct ns_augment_space *s, const uint8_t *restrict x)
{
	int j;

	if (v->c == 1)
		for (j = 0; j < v->q; j++)
			s->plane[0][j] = x[j];
	else
		for (j = 0; j < v->q; j++) {
			s->plane[0][j] = x[3 * j];
			s->plane[1][j] = x[3 * j + 1];
			s->plane[2][j] = x[3 * j + 2];
		}
}

static void join_row(const struct ns_op_augment *v, const struct ns_augment_space *s, uint8_t *restrict y)
{
	const int32_t *restrict r = s->plane[0], *restrict g = s->plane[1], *restrict b = s->plane[2];
	int j;

	if (v->c == 1)
		for (j = 0; j < v->q; j++)
			y[j] = (uint8_t)r[j];
	else
		for (j = 0; j < v->q; j++) {
			y[3 * j] = (uint8_t)r[j];
			y[3 * j + 1] = (uint8_t)g[j];
			y[3 * j + 2] = (uint8_t)b[j];
		}
}

/* --- pixel by pixel --- */

static void colour_row(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s)
{
	int32_t *restrict r = s->plane[0], *restrict g = s->plane[1], *restrict b = s->plane[2], j;

	if (v->c == 1) {
#pragma omp simd
		for (j = 0; j < v->q; j++)
			r[j] = ns_colour(a->colour[0], r[j], r[j], r[j]);
		return;
	}
#pragma omp simd
	for (j = 0; j < v->q; j++) {
		int32_t x = r[j], y = g[j], z = b[j];

		r[j] = ns_colour(a->colour[0], x, y, z);
		g[j] = ns_colour(a->colour[1], x, y, z);
		b[j] = ns_colour(a->colour[2], x, y, z);
	}
}

static void hue_row(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s)
{
	int32_t *restrict r = s->plane[0], *restrict g = s->plane[1], *restrict b = s->plane[2], turn = a->hue, q = v->q, j;

#pragma omp simd
	for (j = 0; j < q; j++)
		ns_hue(&r[j], &g[j], &b[j], turn);
}

static void pointwise_row(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s, int i)
{
	int j, ch;

	if (a->has_colour)
		colour_row(v, a, s);
	if (a->hue && v->c == 3)
		hue_row(v, a, s);
	for (ch = 0; ch < v->c; ch++) {
		int32_t *restrict p = s->plane[ch];
		uint32_t first = (uint32_t)(i * v->q * v->c + ch), c = (uint32_t)v->c;

		if (a->gamma >= 0)
			for (j = 0; j < v->q; j++)
				p[j] = v->config->gamma_table[a->gamma][p[j]];
		if (a->noise) {
#pragma omp simd
			for (j = 0; j < v->q; j++)
				p[j] = ns_add_noise(p[j], a->noise, a->key, first + (uint32_t)j * c);
		}
		if (i >= a->cut[0] && i < a->cut[2])
			for (j = a->cut[1]; j < a->cut[3]; j++)
				p[j] = v->config->fill;
	}
}

/* --- the byte row becomes output --- */

static void finish_row(const struct ns_op_augment *v, const struct ns_augment_space *s, const uint8_t *restrict x, void *out, int64_t at)
{
	const float *restrict scale = s->scale, *restrict shift = s->shift;
	int n = v->q * v->c, k;

	if (v->out_dtype == NS_U8) {
		memcpy((uint8_t *)out + at, x, (size_t)n);
	} else if (v->out_dtype == NS_BF16) {
		uint16_t *restrict y = (uint16_t *)out + at;

#pragma omp simd
		for (k = 0; k < n; k++)
			y[k] = ns_bf16_of_f32(ns_normalise(x[k], scale[k], shift[k]));
	} else {
		float *restrict y = (float *)out + at;

#pragma omp simd
		for (k = 0; k < n; k++)
			y[k] = ns_normalise(x[k], scale[k], shift[k]);
	}
}

static void image_geometry(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s, const uint8_t *x)
{
	int i;

	for (i = 0; i < v->p; i++) {
		uint8_t *y = s->image + (int64_t)i * v->q * v->c;

		if (a->exact) {
			exact_row(v, a, x, y, i);
		} else {
			if (v->c == 3)
				affine_row3(v, a, s, i);
			else
				affine_row1(v, a, s, i);
			join_row(v, s, y);
		}
	}
}

static void image_run(const struct ns_op_augment *v, const struct ns_augment_sample *a, struct ns_augment_space *s, const uint8_t *x, void *out,
		      int64_t at)
{
	int whole = a->low_h || a->radius;
	int pointwise = a->has_colour || a->hue || a->gamma >= 0 || a->noise || a->cut[2] > a->cut[0];
	int i, n = v->q * v->c;

	if (!a->exact)
		tile_fill(v, s, x);
	if (whole) {
		image_geometry(v, a, s, x);
		if (a->low_h)
			ns_augment_resolution(v, a, s);
		if (a->radius)
			ns_augment_blur(v, a, s);
	}
	for (i = 0; i < v->p; i++) {
		const uint8_t *row = s->row;
		int bytes = whole || a->exact;

		if (whole)
			row = s->image + (int64_t)i * n;
		else if (a->exact)
			exact_row(v, a, x, s->row, i);
		else if (v->c == 3)
			affine_row3(v, a, s, i);
		else
			affine_row1(v, a, s, i);
		if (pointwise) {
			if (bytes)
				split_row(v, s, row);
			pointwise_row(v, a, s, i);
		}
		if (pointwise || !bytes) {
			join_row(v, s, s->row);
			row = s->row;
		}
		finish_row(v, s, row, out, at + (int64_t)i * n);
	}
}

static enum ns_status augment_run(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue)
{
	const struct ns_op_augment *v = &ns_cpu_op(plan)->u.augment;
	int64_t in = (int64_t)v->h * v->w * v->c, out = (int64_t)v->p * v->q * v->c, n;
	struct ns_augment_space s;
	int k;

	(void)queue;
	carve(&s, v, args->workspace);
	for (k = 0; k < v->q * v->c; k++) {
		s.scale[k] = v->scale[k % v->c];
		s.shift[k] = v->shift[k % v->c];
	}
	for (n = 0; n < v->n; n++)
		image_run(v, (const struct ns_augment_sample *)args->in[NS_AUGMENT_SAMPLES] + n, &s, (const uint8_t *)args->in[NS_AUGMENT_X] + n * in,
			  args->out[NS_AUGMENT_Y], n * out);
	return NS_OK;
}

static enum ns_status make_augment(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_augment *v = &op->u.augment;
	static char base[64];
	struct ns_augment_space s;

	(void)dev;
	if ((v->c != 1 && v->c != 3) || v->out_dtype == NS_F64)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, carve(&s, v, base), augment_run);
}

const struct ns_impl ns_cpu_augment = {"augment/cpu", NS_OP_AUGMENT, make_augment};
