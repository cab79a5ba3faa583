/*
 * datasets/decode/resize.c - pixels to another size: rows are combined first, whole ones at a time, then columns. Each value is summed in the
 * order of its source pixels, in 32 bits, so that it is the same whatever the width of the processor's vectors.
 */
#include "datasets/decode/decode.h"

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
 * A triangle filter, as wide as one output pixel where it shrinks. The output's middle lies over the source's; beyond its ends the source
 * repeats its last pixel.
 */
static enum ns_status taps_make(struct taps *t, int outputs, int n, double scale)
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
		double centre = n * 0.5 - 0.5 + (i + 0.5 - outputs * 0.5) * scale, sum = 0;
		int begin = (int)ceil(centre - radius), end = (int)floor(centre + radius);
		int low = begin < 0 ? 0 : begin > n - 1 ? n - 1 : begin, high = end > n - 1 ? n - 1 : end < 0 ? 0 : end;
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

static uint8_t rounded(float x)
{
	return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x + 0.5f);
}

static void combine_columns(const float *row, const struct taps *across, int w, int c, uint8_t *y)
{
	int j, t, k;

	for (j = 0; j < w; j++) {
		const float *weight = across->weight + (int64_t)j * across->most, *x = row + (int64_t)across->first[j] * c;
		float sum[3] = {0, 0, 0};

		if (c == 3)
			for (t = 0; t < across->count[j]; t++, x += 3) {
				sum[0] += weight[t] * x[0];
				sum[1] += weight[t] * x[1];
				sum[2] += weight[t] * x[2];
			}
		else
			for (t = 0; t < across->count[j]; t++)
				sum[0] += weight[t] * x[t];
		for (k = 0; k < c; k++)
			*y++ = rounded(sum[k]);
	}
}

enum ns_status ns_resize(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	double scale = fmin((double)xh / h, (double)xw / w); /* the smaller: cover */
	struct taps down = {0}, across = {0};
	int64_t begin, end, i;
	float *row = malloc(sizeof *row * (size_t)xw * (size_t)c);
	enum ns_status status = row ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory while scaling %d x %d pixels", xw, xh);
	int t;

	NS_GO(status);
	NS_GO(taps_make(&down, h, xh, scale));
	NS_GO(taps_make(&across, w, xw, scale));
	begin = (int64_t)across.first[0] * c; /* what is cropped is not computed */
	end = (int64_t)(across.first[w - 1] + across.count[w - 1]) * c;
	for (i = 0; i < h; i++) {
		memset(row + begin, 0, sizeof *row * (size_t)(end - begin));
		for (t = 0; t < down.count[i]; t++)
			add_row(row + begin, x + (int64_t)(down.first[i] + t) * xw * c + begin, down.weight[i * down.most + t], end - begin);
		combine_columns(row, &across, w, c, y + i * w * c);
	}
out:
	taps_release(&down);
	taps_release(&across);
	free(row);
	return status;
}
