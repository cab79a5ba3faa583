/* kernels/cpu/augment_stages.c - the loss of resolution and the blur of the fused augmentation, on whole images of bytes. */
#include "kernels/cpu/augment_inner.h"

static void coarse_row(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s, int i, uint8_t *low)
{
	int q = v->q, c = v->c, y, j, x, ch;

	memset(s->wide, 0, (size_t)(q * c) * sizeof *s->wide);
	for (y = i * v->p / a->low_h; y < v->p; y++) {
		int32_t weight = ns_overlap(i, y, a->low_h, v->p);

		if (!weight)
			break;
		for (x = 0; x < q * c; x++)
			s->wide[x] += weight * s->image[(int64_t)y * q * c + x];
	}
	for (j = 0; j < a->low_w; j++)
		for (ch = 0; ch < c; ch++) {
			int64_t sum = 0;

			for (x = j * q / a->low_w; x < q; x++) {
				int32_t weight = ns_overlap(j, x, a->low_w, q);

				if (!weight)
					break;
				sum += weight * s->wide[x * c + ch];
			}
			low[j * c + ch] = (uint8_t)ns_area_round(sum, (int64_t)v->p * q);
		}
}

void ns_augment_resolution(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s)
{
	uint8_t *low = s->other, *y = s->image;
	int i, j, ch, c = v->c;

	for (i = 0; i < a->low_h; i++)
		coarse_row(v, a, s, i, low + (int64_t)i * a->low_w * c);
	for (i = 0; i < v->p; i++) {
		int32_t ty = ns_upsample_at(i, a->low_h, v->p), fy = ty >> 8 & 255;
		const uint8_t *top = low + (int64_t)(ty >> 16) * a->low_w * c;
		const uint8_t *bottom = (ty >> 16) < a->low_h - 1 ? top + a->low_w * c : top;

		for (j = 0; j < v->q; j++) {
			int32_t tx = ns_upsample_at(j, a->low_w, v->q), x0 = tx >> 16, x1 = x0 + (x0 < a->low_w - 1);

			for (ch = 0; ch < c; ch++)
				*y++ = (uint8_t)ns_bilinear(top[x0 * c + ch], top[x1 * c + ch], bottom[x0 * c + ch], bottom[x1 * c + ch],
							    tx >> 8 & 255, fy);
		}
	}
}

/* Down the columns into `column`, then along the row; the margins repeat its ends, so that no step tests for them. */
static void blur_row(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s, int i)
{
	int c = v->c, n = v->q * c, radius = a->radius, margin = radius * c, d, x;
	uint32_t *restrict column = (uint32_t *)(void *)s->wide + NS_BLUR_RADIUS * c, *restrict sum = (uint32_t *)(void *)s->top;
	const uint8_t *restrict middle = s->other + (int64_t)i * n;
	uint8_t *restrict y = s->image + (int64_t)i * n;

	for (x = 0; x < n; x++)
		column[x] = (uint32_t)a->blur[0] * middle[x];
	for (d = 1; d <= radius; d++) {
		const uint8_t *restrict above = s->other + (int64_t)ns_clamp_i32(i - d, 0, v->p - 1) * n;
		const uint8_t *restrict below = s->other + (int64_t)ns_clamp_i32(i + d, 0, v->p - 1) * n;
		uint32_t weight = (uint32_t)a->blur[d];

		for (x = 0; x < n; x++)
			column[x] += weight * ((uint32_t)above[x] + below[x]);
	}
	for (x = 0; x < margin; x++) {
		column[-1 - x] = column[c - 1 - x % c];
		column[n + x] = column[n - c + x % c];
	}
	for (x = 0; x < n; x++)
		sum[x] = (uint32_t)a->blur[0] * column[x];
	for (d = 1; d <= radius; d++) {
		const uint32_t *restrict left = column - d * c, *restrict right = column + d * c;
		uint32_t weight = (uint32_t)a->blur[d];

		for (x = 0; x < n; x++)
			sum[x] += weight * (left[x] + right[x]);
	}
	for (x = 0; x < n; x++)
		y[x] = (uint8_t)ns_blur_round(sum[x]);
}

void ns_augment_blur(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s)
{
	int i;

	memcpy(s->other, s->image, (size_t)v->p * (size_t)v->q * (size_t)v->c);
	for (i = 0; i < v->p; i++)
		blur_row(v, a, s, i);
}
