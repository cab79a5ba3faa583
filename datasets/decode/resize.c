/*
 * datasets/decode/resize.c - pixels to another size: rows are combined first, whole ones at a time, then columns. Each value is summed in the
 * order of its source pixels, in 32 bits, so that it is the same whatever the width of the processor's vectors.
 */
#include "datasets/decode/decode_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

/* for each output pixel of one direction: its first source pixel, and the weights of that and those behind it */
struct taps {
	int *first, *count, most;
	float *weight; /* (outputs, most) */
};

static void taps_release(struct taps *t)
{
	free(t->first);
	free(t->count);
	free(t->weight);
}

/*
 * A triangle filter, as wide as one output pixel where it shrinks. The output's middle lies over `middle`; beyond pixels least to most the source
 * repeats them.
 */
static enum ns_status taps_make(struct taps *t, int outputs, int least, int most, double middle, double scale)
{
	double radius = scale > 1 ? scale : 1;
	int i, k;

	t->most = (int)(2 * radius) + 3;
	t->first = malloc(sizeof *t->first * (size_t)outputs);
	t->count = malloc(sizeof *t->count * (size_t)outputs);
	t->weight = calloc((size_t)outputs * (size_t)t->most, sizeof *t->weight);
	if (!t->first || !t->count || !t->weight)
		return ns_fail(NS_NO_MEMORY, "out of memory for the weights of %d pixels", outputs);
	for (i = 0; i < outputs; i++) {
		double centre = middle - 0.5 + (i + 0.5 - outputs * 0.5) * scale, sum = 0;
		int begin = (int)ceil(centre - radius), end = (int)floor(centre + radius);
		int low = begin < least ? least : begin > most ? most : begin, high = end > most ? most : end < least ? least : end;
		float *weight = t->weight + (int64_t)i * t->most;

		for (k = begin; k <= end; k++)
			sum += fmax(0, 1 - fabs(k - centre) / radius);
		for (k = begin; k <= end; k++) {
			int at = (k < low ? low : k > high ? high : k) - low;

			if (at < t->most)
				weight[at] += (float)(fmax(0, 1 - fabs(k - centre) / radius) / sum);
		}
		t->first[i] = low;
		t->count[i] = high - low + 1 < t->most ? high - low + 1 : t->most;
	}
	return NS_OK;
}

static void add_row(float *restrict sum, const uint8_t *restrict row, float weight, int64_t n)
{
	int64_t k;

#pragma omp simd
	for (k = 0; k < n; k++)
		sum[k] += weight * (float)row[k];
}

/* All of a row at once: to nearest, within a byte. */
static void round_row(const float *restrict x, uint8_t *restrict y, int n)
{
	int k;

#pragma omp simd
	for (k = 0; k < n; k++) {
		float v = x[k] + 0.5f;

		v = v < 0 ? 0 : v;
		y[k] = (uint8_t)(int32_t)(v > 255 ? 255 : v);
	}
}

/* r, g, b and what stands behind them, at once; each is summed in the order of its source pixels */
typedef float four __attribute__((vector_size(16)));

static void combine_columns(const float *restrict row, const struct taps *across, int w, int c, float *restrict out)
{
	int j, t;

	for (j = 0; j < w; j++) {
		const float *weight = across->weight + (int64_t)j * across->most, *x = row + (int64_t)across->first[j] * c;
		four sum = {0, 0, 0, 0}, pixel;

		if (c == 3) {
			for (t = 0; t < across->count[j]; t++, x += 3) {
				memcpy(&pixel, x, sizeof pixel);
				sum += weight[t] * pixel;
			}
			memcpy(out + 3 * j, &sum, sizeof sum); /* the fourth is written over by the next pixel */
		} else {
			float one = 0;

			for (t = 0; t < across->count[j]; t++)
				one += weight[t] * x[t];
			out[j] = one;
		}
	}
}

static enum ns_status resize(const uint8_t *x, int xw, int c, const struct taps *down, const struct taps *across, uint8_t *y, int h, int w)
{
	/* one value more behind each, which is read or written with the last pixel */
	float *row = calloc(((size_t)xw + (size_t)w) * (size_t)c + 2, sizeof *row), *out = row + (int64_t)xw * c + 1;
	int64_t begin = (int64_t)across->first[0] * c, end = (int64_t)(across->first[w - 1] + across->count[w - 1]) * c, i;
	int t;

	if (!row)
		return ns_fail(NS_NO_MEMORY, "out of memory while scaling rows of %d pixels", xw);
	for (i = 0; i < h; i++) { /* what is cropped is not computed */
		memset(row + begin, 0, sizeof *row * (size_t)(end - begin));
		for (t = 0; t < down->count[i]; t++)
			add_row(row + begin, x + (int64_t)(down->first[i] + t) * xw * c + begin, down->weight[i * down->most + t], end - begin);
		combine_columns(row, across, w, c, out);
		round_row(out, y + i * w * c, w * c);
	}
	free(row);
	return NS_OK;
}

enum ns_status ns_resize(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	double scale = fmin((double)xh / h, (double)xw / w); /* the smaller: cover */
	struct taps down = {0}, across = {0};
	enum ns_status status = taps_make(&down, h, 0, xh - 1, xh * 0.5, scale);

	if (status == NS_OK)
		status = taps_make(&across, w, 0, xw - 1, xw * 0.5, scale);
	if (status == NS_OK)
		status = resize(x, xw, c, &down, &across, y, h, w);
	taps_release(&down);
	taps_release(&across);
	return status;
}

enum ns_status ns_resize_part(const uint8_t *x, int xh, int xw, int c, const struct ns_place *at, uint8_t *y, int h, int w)
{
	struct taps down = {0}, across = {0};
	int bottom = (int)ceil(at->y + at->h) - 1, right = (int)ceil(at->x + at->w) - 1;
	enum ns_status status = taps_make(&down, h, (int)at->y, bottom < xh ? bottom : xh - 1, at->y + at->h * 0.5, at->h / h);

	if (status == NS_OK)
		status = taps_make(&across, w, (int)at->x, right < xw ? right : xw - 1, at->x + at->w * 0.5, at->w / w);
	if (status == NS_OK)
		status = resize(x, xw, c, &down, &across, y, h, w);
	taps_release(&down);
	taps_release(&across);
	return status;
}
