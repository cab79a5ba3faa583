/*
 * datasets/decode/filter.c - pixels to another size by the arithmetic of the programs in which models were made, to the bit: Pillow's resampling
 * (which torchvision uses), whose filters widen where they shrink, and OpenCV's INTER_LINEAR, whose filter does not. Sources: Pillow's
 * src/libImaging/Resample.c and OpenCV's modules/imgproc/src/resize.cpp say what is rounded where. Rows come first here as in Pillow up to 12; Pillow 13 takes
 * columns first for some sizes that shrink much, which rounds differently.
 */
#include "datasets/decode/decode_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

/* --- Pillow's --- */

#define FRACTION 22 /* bits of a weight: an 8-bit pixel times one, and the sign, leave two */

static double triangle(double x)
{
	x = fabs(x);
	return x < 1 ? 1 - x : 0;
}

/* Keys' cubic, a = -1/2 */
static double cubic(double x)
{
	x = fabs(x);
	if (x < 1)
		return (1.5 * x - 2.5) * x * x + 1;
	return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static double sinc(double x)
{
	x *= 3.14159265358979323846;
	return fabs(x) > 0 ? sin(x) / x : 1;
}

static double lanczos(double x)
{
	return fabs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static double box(double x)
{
	return x > -0.5 && x <= 0.5 ? 1 : 0;
}

static const struct filter {
	double support;
	double (*at)(double x);
} filters[NS_FILTERS] = {
	[NS_FILTER_BILINEAR] = {1, triangle},
	[NS_FILTER_BICUBIC] = {2, cubic},
	[NS_FILTER_LANCZOS] = {3, lanczos},
	[NS_FILTER_BOX] = {.5, box},
};

static const char *const names[] = {"area", "bilinear", "bicubic", "lanczos", "box", "nearest", "opencv", NULL};

int ns_filter_find(const char *name)
{
	return ns_word_find(names, name);
}

const char *ns_filter_name(enum ns_filter filter)
{
	return names[filter];
}

/* of each output: its first source pixel, how many, and their weights */
struct weights {
	int *first, *count, most;
	int32_t *of; /* (outputs, most) */
};

static void weights_release(struct weights *w)
{
	free(w->first);
	free(w->count);
	free(w->of);
}

static enum ns_status weights_make(struct weights *w, const struct filter *f, int inputs, int outputs)
{
	const double scale = (double)inputs / outputs, wide = scale > 1 ? scale : 1, support = f->support * wide;
	double *k;
	int i, x;

	w->most = (int)ceil(support) * 2 + 1;
	w->first = malloc(sizeof *w->first * (size_t)outputs);
	w->count = malloc(sizeof *w->count * (size_t)outputs);
	w->of = calloc((size_t)outputs * (size_t)w->most, sizeof *w->of);
	k = malloc(sizeof *k * (size_t)w->most);
	if (!w->first || !w->count || !w->of || !k) {
		free(k);
		return ns_fail(NS_NO_MEMORY, "out of memory for the weights of %d pixels", outputs);
	}
	for (i = 0; i < outputs; i++) {
		double centre = (i + 0.5) * scale, sum = 0;
		int begin = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);

		begin = begin < 0 ? 0 : begin;
		end = end > inputs ? inputs : end;
		for (x = begin; x < end; x++)
			sum += k[x - begin] = f->at((x - centre + 0.5) * (1 / wide));
		for (x = begin; x < end; x++) {
			double share = sum != 0 ? k[x - begin] / sum : k[x - begin];

			w->of[(int64_t)i * w->most + x - begin] = (int32_t)(share * (1 << FRACTION) + (share < 0 ? -0.5 : 0.5));
		}
		w->first[i] = begin;
		w->count[i] = end - begin;
	}
	free(k);
	return NS_OK;
}

static uint8_t rounded(int32_t sum)
{
	sum >>= FRACTION;
	return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One direction: pixels of `inner` elements side by side; lines begin x_line and y_line elements apart. */
static void along(const struct weights *w, const uint8_t *x, int64_t x_line, uint8_t *y, int64_t y_line, int lines, int outputs, int64_t inner)
{
	int line, i, k;
	int64_t e;

	for (line = 0; line < lines; line++)
		for (i = 0; i < outputs; i++) {
			const int32_t *weight = w->of + (int64_t)i * w->most;
			const uint8_t *from = x + line * x_line + w->first[i] * inner;
			uint8_t *to = y + line * y_line + i * inner;

			for (e = 0; e < inner; e++) {
				int32_t sum = 1 << (FRACTION - 1);

				for (k = 0; k < w->count[i]; k++)
					sum += from[k * inner + e] * weight[k];
				to[e] = rounded(sum);
			}
		}
}

/* Rows are made narrower or wider first, then there are fewer or more of them; a side that keeps its length is left alone. */
static enum ns_status as_pillow(const struct filter *f, const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	struct weights across = {NULL, NULL, 0, NULL}, down = {NULL, NULL, 0, NULL};
	const int64_t row = (int64_t)w * c;
	uint8_t *between = NULL;
	enum ns_status status = NS_OK;

	if (xw != w) {
		between = xh != h ? malloc((size_t)xh * (size_t)row) : y;
		NS_GO(between ? weights_make(&across, f, xw, w) : ns_fail(NS_NO_MEMORY, "out of memory for %d rows of pixels", xh));
		along(&across, x, (int64_t)xw * c, between, row, xh, w, c);
		x = between;
	}
	if (xh != h) {
		NS_GO(weights_make(&down, f, xh, h));
		along(&down, x, 0, y, 0, 1, h, row);
	} else if (xw == w) {
		memcpy(y, x, (size_t)h * (size_t)row);
	}
out:
	weights_release(&across);
	weights_release(&down);
	if (between != y)
		free(between);
	return status;
}

/* --- the nearest pixel: that over which an output's middle lies; Pillow adds up steps, with their rounding --- */

static enum ns_status nearest(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	const double down = (double)xh / h, across = (double)xw / w;
	double p = down * 0.5, q;
	int i, j;

	for (i = 0; i < h; i++, p += down)
		for (j = 0, q = across * 0.5; j < w; j++, q += across, y += c) {
			int64_t row = p < xh ? (int64_t)p : xh - 1, column = q < xw ? (int64_t)q : xw - 1;

			memcpy(y, x + (row * xw + column) * c, (size_t)c);
		}
	return NS_OK;
}

/* --- OpenCV's: between two pixels, whatever the scale --- */

enum { OPENCV_BITS = 11 };

struct pair { /* the two pixels of an output, and the weight of each, of 1 << OPENCV_BITS */
	int a, b, wa, wb;
};

/* Beyond the edges columns have one pixel, of the whole weight; rows have the same one twice, each with its own, which rounds differently. */
static struct pair *pairs_make(int inputs, int outputs, int rows)
{
	struct pair *p = malloc(sizeof *p * (size_t)outputs);
	const double scale = (double)inputs / outputs;
	int i;

	for (i = 0; p && i < outputs; i++) {
		float at = (float)((i + 0.5) * scale - 0.5);
		int a = (int)floorf(at), b = a + 1;

		at -= (float)a;
		if (!rows && (a < 0 || a >= inputs - 1))
			at = 0;
		a = a < 0 ? 0 : a < inputs ? a : inputs - 1;
		b = b < inputs ? b : inputs - 1;
		p[i] = (struct pair){a, b, (int)lrintf((1 - at) * (1 << OPENCV_BITS)), (int)lrintf(at * (1 << OPENCV_BITS))};
	}
	return p;
}

/* Exactly half of both sides is the mean of four pixels there. */
static void halve(const uint8_t *x, int xw, int c, uint8_t *y, int h, int w)
{
	int i, j, k;

	for (i = 0; i < h; i++)
		for (j = 0; j < w; j++)
			for (k = 0; k < c; k++) {
				const uint8_t *p = x + ((int64_t)2 * i * xw + 2 * j) * c + k, *q = p + (int64_t)xw * c;

				*y++ = (uint8_t)((p[0] + p[c] + q[0] + q[c] + 2) >> 2);
			}
}

static enum ns_status as_opencv(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	struct pair *across = pairs_make(xw, w, 0), *down = pairs_make(xh, h, 1);
	int i, j, k;

	if (!across || !down) {
		free(across);
		free(down);
		return ns_fail(NS_NO_MEMORY, "out of memory for the weights of %d pixels", w);
	}
	if (xh == 2 * h && xw == 2 * w)
		halve(x, xw, c, y, h, w);
	else
		for (i = 0; i < h; i++)
			for (j = 0; j < w; j++)
				for (k = 0; k < c; k++) {
					const uint8_t *p = x + (int64_t)down[i].a * xw * c + k, *q = x + (int64_t)down[i].b * xw * c + k;
					int s = p[across[j].a * c] * across[j].wa + p[across[j].b * c] * across[j].wb;
					int t = q[across[j].a * c] * across[j].wa + q[across[j].b * c] * across[j].wb;

					*y++ = (uint8_t)((((down[i].wa * (s >> 4)) >> 16) + ((down[i].wb * (t >> 4)) >> 16) + 2) >> 2);
				}
	free(across);
	free(down);
	return NS_OK;
}

enum ns_status ns_filter(enum ns_filter filter, const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	if (filter == NS_FILTER_AREA)
		return ns_resize(x, xh, xw, c, y, h, w);
	if (filter == NS_FILTER_NEAREST)
		return nearest(x, xh, xw, c, y, h, w);
	if (filter == NS_FILTER_OPENCV)
		return as_opencv(x, xh, xw, c, y, h, w);
	return as_pillow(&filters[filter], x, xh, xw, c, y, h, w);
}
