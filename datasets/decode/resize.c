/*
 * datasets/decode/resize.c - pixels to another size: rows are combined first, whole ones at a time, then columns. All sums are of whole numbers, so
 * a pixel is the same on every processor. Weights of rows have 24 bits of fraction, what a row of them gives has 8, and weights of columns have 16:
 * sums fit 32 bits, and a value is within 0.01 of the formula's before it is rounded, up to scales of a hundred.
 */
#include "datasets/decode/decode_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

enum { ROW_BITS = 24, BETWEEN_BITS = 8, COLUMN_BITS = 16 };
#define HALF(bits) (1u << ((bits)-1)) /* for rounding to nearest */

/* for each output pixel of one direction: its first source pixel, and the weights of that and those behind it, which are 0 behind the last */
struct taps {
	int *first, *count, most, used; /* used: the largest count */
	uint32_t *weight;		/* (outputs, most); those of an output add up to 1 exactly, so that a flat colour stays what it is */
};

static void taps_release(struct taps *t)
{
	free(t->first);
	free(t->count);
	free(t->weight);
}

/* Where the middle of output i lies among the source's pixels, whose own middles are whole numbers. */
static double centre_of(int i, int outputs, double middle, double scale)
{
	return middle - 0.5 + (i + 0.5 - outputs * 0.5) * scale;
}

/*
 * A triangle filter, as wide as one output pixel where it shrinks. The output's middle lies over `middle`; beyond pixels least to most the source
 * repeats them. What is rounded away from a weight goes to the next.
 */
static enum ns_status taps_make(struct taps *t, int outputs, int least, int most, double middle, double scale, int bits)
{
	double radius = scale > 1 ? scale : 1;
	const double one = 1 << bits;
	int i, k;

	t->most = (int)(2 * radius) + 3;
	t->first = malloc(sizeof *t->first * (size_t)outputs);
	t->count = malloc(sizeof *t->count * (size_t)outputs);
	t->weight = calloc((size_t)outputs * (size_t)t->most, sizeof *t->weight);
	if (!t->first || !t->count || !t->weight)
		return ns_fail(NS_NO_MEMORY, "out of memory for the weights of %d pixels", outputs);
	for (i = 0; i < outputs; i++) {
		double centre = centre_of(i, outputs, middle, scale), sum = 0, so_far = 0;
		int begin = (int)ceil(centre - radius), end = (int)floor(centre + radius);
		int low = begin < least ? least : begin > most ? most : begin, high = end > most ? most : end < least ? least : end;
		uint32_t *weight = t->weight + (int64_t)i * t->most, given = 0;

		for (k = begin; k <= end; k++)
			sum += fmax(0, 1 - fabs(k - centre) / radius);
		for (k = begin; k <= end; k++) {
			int at = (k < low ? low : k > high ? high : k) - low;
			uint32_t reached;

			so_far += fmax(0, 1 - fabs(k - centre) / radius);
			reached = (uint32_t)(so_far / sum * one + 0.5);
			if (at < t->most)
				weight[at] += reached - given;
			given = reached;
		}
		t->first[i] = low;
		t->count[i] = high - low + 1 < t->most ? high - low + 1 : t->most;
		t->used = t->count[i] > t->used ? t->count[i] : t->used;
	}
	return NS_OK;
}

struct rows { /* four of them, at a time, so that a sum is not stored for each */
	const uint8_t *at[4];
	uint32_t weight[4];
	uint32_t keep, base; /* of what the sum was: all bits or none; what is added besides */
	int bits;	     /* by which it is shifted to the right in the end */
};

static void add_rows(uint32_t *restrict sum, const struct rows *r, int64_t n)
{
	const uint8_t *restrict a = r->at[0], *restrict b = r->at[1], *restrict c = r->at[2], *restrict d = r->at[3];
	uint32_t wa = r->weight[0], wb = r->weight[1], wc = r->weight[2], wd = r->weight[3], keep = r->keep, base = r->base;
	int bits = r->bits;
	int64_t k;

#pragma omp simd
	for (k = 0; k < n; k++)
		sum[k] = ((sum[k] & keep) + base + a[k] * wa + b[k] * wb + c[k] * wc + d[k] * wd) >> bits;
}

/* sum = n values of `count` rows of x, `stride` apart, by their weights */
static void combine_rows(const uint8_t *x, int64_t stride, const uint32_t *weight, int count, uint32_t *sum, int64_t n)
{
	int t, i;

	for (t = 0; t < count; t += 4) {
		struct rows r = {.keep = t ? ~0u : 0, .base = t ? 0 : HALF(ROW_BITS - BETWEEN_BITS)};

		for (i = 0; i < 4; i++) { /* behind the last: any row, by nothing */
			r.at[i] = x + (t + i < count ? t + i : t) * stride;
			r.weight[i] = t + i < count ? weight[t + i] : 0;
		}
		r.bits = t + 4 < count ? 0 : ROW_BITS - BETWEEN_BITS;
		add_rows(sum, &r, n);
	}
}

/* r, g and b of two pixels at once, and two values behind them by nothing */
typedef uint32_t eight __attribute__((vector_size(32)));

/* The weights as vectors, `pairs` for each output. */
static eight *weights_of_pairs(const struct taps *across, int w, int pairs)
{
	eight *of = aligned_alloc(sizeof *of, sizeof *of * (size_t)w * (size_t)pairs);
	int j, t, k;

	for (j = 0; of && j < w; j++)
		for (t = 0; t < 2 * pairs; t += 2) {
			eight *to = &of[(int64_t)j * pairs + t / 2];
			const uint32_t *weight = across->weight + (int64_t)j * across->most + t;

			*to = (eight){0};
			for (k = 0; k < 6; k++)
				(*to)[k] = t + k / 3 < across->most ? weight[k / 3] : 0;
		}
	return of;
}

/* Three channels. All outputs have as many taps as the one with the most, the last by nothing: a loop whose end is known costs less than they do. */
static void combine_colours(const uint32_t *row, const int *first, const eight *weight, int pairs, int w, uint32_t *out)
{
	int j, t;

	for (j = 0; j < w; j++) {
		const uint32_t *x = row + 3 * (int64_t)first[j];
		eight sum = {0}, pixels;

		for (t = 0; t < pairs; t++, x += 6) {
			memcpy(&pixels, x, sizeof pixels);
			sum += *weight++ * pixels;
		}
		sum += __builtin_shufflevector(sum, sum, 3, 4, 5, 6, 7, 7, 7, 7); /* the second pixel of each pair */
		memcpy(out + 3 * j, &sum, 4 * sizeof *out);			  /* the fourth is written over by the next pixel */
	}
}

static void combine_greys(const uint32_t *row, const struct taps *across, int w, uint32_t *out)
{
	int j, t;

	for (j = 0; j < w; j++) {
		const uint32_t *weight = across->weight + (int64_t)j * across->most, *x = row + across->first[j];
		uint32_t sum = 0;

#pragma omp simd reduction(+ : sum)
		for (t = 0; t < across->used; t++)
			sum += weight[t] * x[t];
		out[j] = sum;
	}
}

static void round_row(const uint32_t *restrict x, uint8_t *restrict y, int n)
{
	int k;

#pragma omp simd
	for (k = 0; k < n; k++)
		y[k] = (uint8_t)((x[k] + HALF(COLUMN_BITS + BETWEEN_BITS)) >> (COLUMN_BITS + BETWEEN_BITS));
}

static enum ns_status resize(const uint8_t *x, int xw, int c, const struct taps *down, const struct taps *across, uint8_t *y, int h, int w)
{
	/* behind the row: what is read by nothing; behind the result: what is written with its last pixel */
	int pairs = (across->used + 1) / 2;
	size_t wide = ((size_t)xw + (size_t)pairs * 2) * (size_t)c + 2;
	uint32_t *row = calloc(wide + (size_t)w * (size_t)c + 1, sizeof *row), *out = row + wide;
	eight *weight = c == 3 ? weights_of_pairs(across, w, pairs) : NULL;
	int64_t begin = (int64_t)across->first[0] * c, end = (int64_t)(across->first[w - 1] + across->count[w - 1]) * c, i;
	enum ns_status status = row && (weight || c != 3) ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory while scaling rows of %d pixels", xw);

	for (i = 0; i < h && status == NS_OK; i++) { /* what is cropped is not computed */
		combine_rows(x + (int64_t)down->first[i] * xw * c + begin, (int64_t)xw * c, down->weight + i * down->most, down->count[i],
			     row + begin, end - begin);
		if (c == 3)
			combine_colours(row, across->first, weight, pairs, w, out);
		else
			combine_greys(row, across, w, out);
		round_row(out, y + i * w * c, w * c);
	}
	free(row);
	free(weight);
	return status;
}

/* source pixels to a pixel of the result: the smaller of both, to cover */
static double cover_scale(int xh, int xw, int h, int w)
{
	return fmin((double)xh / h, (double)xw / w);
}

/* first and count of the source's n pixels that m pixels of the result are made of */
static void cover_range(int n, int m, double scale, int *first, int *count)
{
	double radius = fmax(scale, 1);
	int begin = (int)ceil(centre_of(0, m, n * 0.5, scale) - radius), end = (int)floor(centre_of(m - 1, m, n * 0.5, scale) + radius);

	*first = begin < 0 ? 0 : begin;
	*count = (end < n ? end + 1 : n) - *first;
}

struct ns_part ns_cover_part(int xh, int xw, int h, int w)
{
	double scale = cover_scale(xh, xw, h, w);
	struct ns_part seen;

	cover_range(xh, h, scale, &seen.y, &seen.h);
	cover_range(xw, w, scale, &seen.x, &seen.w);
	return seen;
}

static void taps_move(struct taps *t, int outputs, int by)
{
	int i;

	for (i = 0; i < outputs; i++)
		t->first[i] -= by;
}

enum ns_status ns_resize_cover(const uint8_t *x, const struct ns_part *at, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	double scale = cover_scale(xh, xw, h, w);
	struct taps down = {0}, across = {0};
	enum ns_status status;

	NS_GO(taps_make(&down, h, 0, xh - 1, xh * 0.5, scale, ROW_BITS));
	NS_GO(taps_make(&across, w, 0, xw - 1, xw * 0.5, scale, COLUMN_BITS));
	taps_move(&down, h, at->y);
	taps_move(&across, w, at->x);
	status = resize(x, at->w, c, &down, &across, y, h, w);
out:
	taps_release(&down);
	taps_release(&across);
	return status;
}

enum ns_status ns_resize(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	return ns_resize_cover(x, &(struct ns_part){0, 0, xh, xw}, xh, xw, c, y, h, w);
}

enum ns_status ns_resize_part(const uint8_t *x, int xh, int xw, int c, const struct ns_place *at, uint8_t *y, int h, int w)
{
	struct taps down = {0}, across = {0};
	int bottom = (int)ceil(at->y + at->h) - 1, right = (int)ceil(at->x + at->w) - 1;
	enum ns_status status = taps_make(&down, h, (int)at->y, bottom < xh ? bottom : xh - 1, at->y + at->h * 0.5, at->h / h, ROW_BITS);

	if (status == NS_OK)
		status = taps_make(&across, w, (int)at->x, right < xw ? right : xw - 1, at->x + at->w * 0.5, at->w / w, COLUMN_BITS);
	if (status == NS_OK)
		status = resize(x, xw, c, &down, &across, y, h, w);
	taps_release(&down);
	taps_release(&across);
	return status;
}
