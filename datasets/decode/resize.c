/* datasets/decode/resize.c - pixels to another size. */
#include "datasets/decode/decode.h"

#include <math.h>
#include <stdlib.h>

#include "host/base/base.h"

/* weight and first source pixel of a triangle filter, as wide as one output pixel where it shrinks */
static int taps(double *weight, int capacity, double centre, double scale, int n, int *first)
{
	double radius = scale > 1 ? scale : 1, sum = 0;
	int i, count = 0, end = (int)floor(centre + radius);

	*first = (int)ceil(centre - radius);
	for (i = *first; i <= end && count < capacity; i++) {
		double t = 1 - fabs(i - centre) / radius;

		weight[count++] = t > 0 ? t : 0;
		sum += t > 0 ? t : 0;
	}
	for (i = 0; i < count; i++)
		weight[i] /= sum > 0 ? sum : 1;
	(void)n;
	return count;
}

static int inside(int i, int n)
{
	return i < 0 ? 0 : i >= n ? n - 1 : i;
}

enum ns_status ns_resize(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	double scale = fmin((double)xh / h, (double)xw / w); /* the smaller: cover */
	int capacity = (int)(2 * scale) + 4, i, j, k, t, ch;
	double *weight = malloc(sizeof *weight * (size_t)capacity);
	float *rows = malloc(sizeof *rows * (size_t)xh * (size_t)w * (size_t)c);

	if (!weight || !rows) {
		free(weight);
		free(rows);
		return ns_fail(NS_NO_MEMORY, "out of memory while scaling %d x %d pixels", xw, xh);
	}
	for (j = 0; j < w; j++) {
		int first, n = taps(weight, capacity, xw * 0.5 - 0.5 + (j + 0.5 - w * 0.5) * scale, scale, xw, &first);

		for (i = 0; i < xh; i++)
			for (ch = 0; ch < c; ch++) {
				double sum = 0;

				for (t = 0; t < n; t++)
					sum += weight[t] * x[((int64_t)i * xw + inside(first + t, xw)) * c + ch];
				rows[((int64_t)i * w + j) * c + ch] = (float)sum;
			}
	}
	for (i = 0; i < h; i++) {
		int first, n = taps(weight, capacity, xh * 0.5 - 0.5 + (i + 0.5 - h * 0.5) * scale, scale, xh, &first);

		for (k = 0; k < w * c; k++) {
			double sum = 0.5;

			for (t = 0; t < n; t++)
				sum += weight[t] * (double)rows[(int64_t)inside(first + t, xh) * w * c + k];
			y[(int64_t)i * w * c + k] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
		}
	}
	free(weight);
	free(rows);
	return NS_OK;
}
