/* host/outputs/polygon.c - outlines: filled into masks, overlapping; masks as run lengths. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/outputs/outputs.h"

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Where the outline crosses the line of that height, from left to right. */
static int crossings(const double *xy, int n, double y, double *at)
{
	int i, count = 0;

	for (i = 0; i < n; i++) {
		const double *p = xy + 2 * i, *q = xy + 2 * ((i + 1) % n);

		if ((p[1] <= y) != (q[1] <= y))
			at[count++] = p[0] + (y - p[1]) / (q[1] - p[1]) * (q[0] - p[0]);
	}
	qsort(at, (size_t)count, sizeof *at, by_size);
	return count;
}

enum ns_status ns_polygon_fill(const double *xy, int n, int h, int w, int16_t value, int16_t *mask)
{
	double *at = malloc(sizeof *at * (size_t)(n + 1));
	int y, k, count;

	if (!at)
		return ns_fail(NS_NO_MEMORY, "out of memory for an outline of %d points", n);
	for (y = 0; y < h; y++) {
		count = crossings(xy, n, y + 0.5, at);
		for (k = 0; k + 1 < count; k += 2) {
			double x = ceil(fmax(at[k] - 0.5, 0)), end = fmin(at[k + 1] - 0.5, w);

			for (; x < end; x++)
				mask[(int64_t)y * w + (int64_t)x] = value;
		}
	}
	free(at);
	return NS_OK;
}

double ns_polygon_area(const double *xy, int n)
{
	double sum = 0;
	int i;

	for (i = 0; i < n; i++) {
		const double *p = xy + 2 * i, *q = xy + 2 * ((i + 1) % n);

		sum += p[0] * q[1] - q[0] * p[1];
	}
	return sum / 2;
}

/* Points whose triangle with the one that stays before them and the one after them has less than `least` pixels have gone. */
static int without_flat(double *xy, int n, double least)
{
	int i, kept = 1;

	for (i = 1; i < n; i++) {
		const double *a = xy + 2 * (kept - 1), *b = xy + 2 * i, *c = xy + 2 * ((i + 1) % n);
		double twice = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);

		if (fabs(twice) / 2 < least)
			continue;
		memmove(xy + 2 * kept, b, 2 * sizeof *b);
		kept++;
	}
	return kept;
}

int ns_polygon_simplify(double *xy, int n, int most)
{
	double least = fabs(ns_polygon_area(xy, n)) * 1e-9 + 1e-9;

	for (; n > most; least *= 2)
		n = without_flat(xy, n, least);
	return n;
}

#define POINTS (8 * NS_POLYGON_MOST) /* of an outline that was cut: more are left out */

/* What of the outline lies to the left of the line from a to b (Sutherland, Hodgman 1974). */
static int clip(const double *in, int n, const double *a, const double *b, double *out)
{
	int i, count = 0;

	for (i = 0; i < n && count + 2 <= POINTS; i++) {
		const double *p = in + 2 * i, *q = in + 2 * ((i + 1) % n);
		double dp = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);
		double dq = (b[0] - a[0]) * (q[1] - a[1]) - (b[1] - a[1]) * (q[0] - a[0]), t;

		if (dp >= 0) {
			out[2 * count] = p[0];
			out[2 * count++ + 1] = p[1];
		}
		if ((dp >= 0) != (dq >= 0)) {
			t = dp / (dp - dq);
			out[2 * count] = p[0] + t * (q[0] - p[0]);
			out[2 * count++ + 1] = p[1] + t * (q[1] - p[1]);
		}
	}
	return count;
}

double ns_polygon_iou(const double *a, int n, const double *b, int m)
{
	double one[2 * POINTS], other[2 * POINTS], *from = one, *to = other, *t, both, all;
	double area_a = ns_polygon_area(a, n), area_b = ns_polygon_area(b, m);
	int i, count = n;

	memcpy(one, a, sizeof *a * 2 * (size_t)n);
	for (i = 0; i < m && count; i++) { /* the line goes round the inside on its left */
		const double *p = b + 2 * (area_b > 0 ? i : (i + 1) % m), *q = b + 2 * (area_b > 0 ? (i + 1) % m : i);

		count = clip(from, count, p, q, to);
		t = from;
		from = to;
		to = t;
	}
	both = count ? fabs(ns_polygon_area(from, count)) : 0;
	all = fabs(area_a) + fabs(area_b) - both;
	return all > 0 ? both / all : 0;
}

/* --- run lengths --- */

int ns_runs_of_text(const char *text, int64_t *counts, int most)
{
	int n = 0;

	while (*text) { /* numbers of 5 bits a character, the lowest first; from the third on, differences from the one before the last */
		int64_t x = 0;
		int k = 0, more = 1;

		while (more) {
			int c = *text++ - 48;

			if (c < 0 || c > 63 || k > 7) /* of 40 bits: more pixels than any mask has */
				return -1;
			x |= (int64_t)(c & 31) << 5 * k++;
			more = c & 32;
			if (!more && c & 16)
				x |= -((int64_t)1 << 5 * k);
		}
		if (n == most)
			return -1;
		counts[n] = n > 2 ? x + counts[n - 2] : x;
		if (counts[n] < 0 || counts[n] > INT32_MAX)
			return -1;
		n++;
	}
	return n;
}

int ns_runs_fill(const int64_t *counts, int n, int h, int w, int16_t value, int16_t *mask)
{
	int64_t at = 0, all = (int64_t)h * w, i;
	int k;

	for (k = 0; k < n; k++) {
		if (counts[k] < 0 || counts[k] > all - at)
			return 0;
		for (i = at; k % 2 && i < at + counts[k]; i++) /* down the columns */
			mask[i % h * w + i / h] = value;
		at += counts[k];
	}
	return at == all;
}
