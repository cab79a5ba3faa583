/* kernels/ref/augment.c - the fused augmentation, stage by stage and pixel by pixel. */
#include "kernels/formula/augment.h"
#include "kernels/ref/ref.h"

static int32_t pixel(const uint8_t *x, int h, int w, int c, int i, int j, int ch, int fill)
{
	return i < 0 || j < 0 || i >= h || j >= w ? fill : x[((int64_t)i * w + j) * c + ch];
}

static void geometry(const struct ns_op_augment *v, const struct ns_augment_sample *a, const uint8_t *x, uint8_t *y)
{
	int i, j, ch, fill = v->config->fill;

	for (i = 0; i < v->p; i++)
		for (j = 0; j < v->q; j++) {
			int32_t u = ns_map_x(a, j, i), t = ns_map_y(a, j, i);
			int x0 = u >> 16, y0 = t >> 16, fx = u >> 8 & 255, fy = t >> 8 & 255;

			for (ch = 0; ch < v->c; ch++)
				*y++ = (uint8_t)ns_bilinear(pixel(x, v->h, v->w, v->c, y0, x0, ch, fill),
							    pixel(x, v->h, v->w, v->c, y0, x0 + 1, ch, fill),
							    pixel(x, v->h, v->w, v->c, y0 + 1, x0, ch, fill),
							    pixel(x, v->h, v->w, v->c, y0 + 1, x0 + 1, ch, fill), fx, fy);
		}
}

static int32_t coarse(const struct ns_op_augment *v, const struct ns_augment_sample *a, const uint8_t *x, int i, int j, int ch)
{
	int64_t sum = 0;
	int y, xx;

	for (y = 0; y < v->p; y++)
		for (xx = 0; xx < v->q; xx++)
			sum += (int64_t)ns_overlap(i, y, a->low_h, v->p) * ns_overlap(j, xx, a->low_w, v->q) *
			       x[((int64_t)y * v->q + xx) * v->c + ch];
	return ns_area_round(sum, (int64_t)v->p * v->q);
}

static void resolution(const struct ns_op_augment *v, const struct ns_augment_sample *a, uint8_t *x, uint8_t *low)
{
	int i, j, ch;

	for (i = 0; i < a->low_h; i++)
		for (j = 0; j < a->low_w; j++)
			for (ch = 0; ch < v->c; ch++)
				low[((int64_t)i * a->low_w + j) * v->c + ch] = (uint8_t)coarse(v, a, x, i, j, ch);
	for (i = 0; i < v->p; i++)
		for (j = 0; j < v->q; j++)
			for (ch = 0; ch < v->c; ch++) {
				int32_t ty = ns_upsample_at(i, a->low_h, v->p), tx = ns_upsample_at(j, a->low_w, v->q);
				int y0 = ty >> 16, x0 = tx >> 16, y1 = y0 + (y0 < a->low_h - 1), x1 = x0 + (x0 < a->low_w - 1);

				*x++ = (uint8_t)ns_bilinear(low[((int64_t)y0 * a->low_w + x0) * v->c + ch],
							    low[((int64_t)y0 * a->low_w + x1) * v->c + ch],
							    low[((int64_t)y1 * a->low_w + x0) * v->c + ch],
							    low[((int64_t)y1 * a->low_w + x1) * v->c + ch], tx >> 8 & 255, ty >> 8 & 255);
			}
}

static void blur(const struct ns_op_augment *v, const struct ns_augment_sample *a, uint8_t *x, uint8_t *copy)
{
	int i, j, ch, dy, dx, r = a->radius;

	memcpy(copy, x, (size_t)v->p * (size_t)v->q * (size_t)v->c);
	for (i = 0; i < v->p; i++)
		for (j = 0; j < v->q; j++)
			for (ch = 0; ch < v->c; ch++) {
				uint32_t sum = 0;

				for (dy = -r; dy <= r; dy++)
					for (dx = -r; dx <= r; dx++)
						sum += (uint32_t)(a->blur[dy < 0 ? -dy : dy] * a->blur[dx < 0 ? -dx : dx]) *
						       copy[((int64_t)ns_clamp_i32(i + dy, 0, v->p - 1) * v->q + ns_clamp_i32(j + dx, 0, v->q - 1)) *
								    v->c +
							    ch];
				*x++ = (uint8_t)ns_blur_round(sum);
			}
}

/* one pixel's r, g, b after colour and hue */
static void coloured(const struct ns_op_augment *v, const struct ns_augment_sample *a, const uint8_t *x, int32_t rgb[3])
{
	int32_t r = x[0], g = v->c > 1 ? x[1] : r, b = v->c > 1 ? x[2] : r;
	int ch;

	for (ch = 0; ch < 3; ch++)
		rgb[ch] = a->has_colour ? ns_colour(a->colour[ch], r, g, b) : ch == 0 ? r : ch == 1 ? g : b;
	if (a->hue && v->c > 1)
		ns_hue(&rgb[0], &rgb[1], &rgb[2], a->hue);
}

/* colour, hue, gamma, noise, cutout: pixel by pixel, in place */
static void pointwise(const struct ns_op_augment *v, const struct ns_augment_sample *a, uint8_t *x)
{
	int i, j, ch;

	for (i = 0; i < v->p; i++)
		for (j = 0; j < v->q; j++, x += v->c) {
			int32_t rgb[3];
			int cut = i >= a->cut[0] && i < a->cut[2] && j >= a->cut[1] && j < a->cut[3];

			coloured(v, a, x, rgb);
			for (ch = 0; ch < v->c; ch++) {
				int32_t t = rgb[ch];

				if (a->gamma >= 0)
					t = v->config->gamma_table[a->gamma][t];
				if (a->noise)
					t = ns_add_noise(t, a->noise, a->key, (uint32_t)((i * v->q + j) * v->c + ch));
				x[ch] = (uint8_t)(cut ? v->config->fill : t);
			}
		}
}

static enum ns_status augment_run(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue)
{
	const struct ns_op_augment *v = &ns_ref_op(plan)->u.augment;
	int64_t out = (int64_t)v->p * v->q * v->c, in = (int64_t)v->h * v->w * v->c, i;
	uint8_t *t = args->workspace, *copy = t + out;
	int n;

	(void)queue;
	for (n = 0; n < v->n; n++) {
		const struct ns_augment_sample *a = (const struct ns_augment_sample *)args->in[NS_AUGMENT_SAMPLES] + n;

		geometry(v, a, (const uint8_t *)args->in[NS_AUGMENT_X] + n * in, t);
		if (a->low_h)
			resolution(v, a, t, copy);
		if (a->radius)
			blur(v, a, t, copy);
		pointwise(v, a, t);
		for (i = 0; i < out; i++)
			ns_typed_set(args->out[NS_AUGMENT_Y], v->out_dtype, n * out + i,
				     v->out_dtype == NS_U8 ? t[i] : (double)ns_normalise(t[i], v->scale[i % v->c], v->shift[i % v->c]));
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_augment, "augment/ref", NS_OP_AUGMENT, augment_run,
	    2 * (size_t)op->u.augment.p * (size_t)op->u.augment.q * (size_t)op->u.augment.c);
