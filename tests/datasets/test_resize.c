/* tests/datasets/test_resize.c - scaling by whole numbers beside its formula in double precision, and what must come out exactly. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode_inner.h"
#include "kernels/formula/random.h"

/* a pixel in double precision: a triangle as wide as a pixel of the result, or of the source where it grows, over a source that repeats its edges */
static double formula(const uint8_t *x, int xh, int xw, int c, double y0, double x0, double scale_y, double scale_x, int channel)
{
	double radius_y = fmax(scale_y, 1), radius_x = fmax(scale_x, 1), sum = 0, weights = 0;
	int i, j;

	for (i = (int)ceil(y0 - radius_y); i <= floor(y0 + radius_y); i++)
		for (j = (int)ceil(x0 - radius_x); j <= floor(x0 + radius_x); j++) {
			int at_y = i < 0 ? 0 : i >= xh ? xh - 1 : i, at_x = j < 0 ? 0 : j >= xw ? xw - 1 : j;
			double weight = (1 - fabs(i - y0) / radius_y) * (1 - fabs(j - x0) / radius_x);

			sum += weight * x[((int64_t)at_y * xw + at_x) * c + channel];
			weights += weight;
		}
	return sum / weights;
}

static uint8_t *noise(int h, int w, int c)
{
	uint8_t *x = malloc((size_t)h * (size_t)w * (size_t)c);
	int64_t i;

	assert_non_null(x);
	for (i = 0; i < (int64_t)h * w * c; i++)
		x[i] = (uint8_t)ns_draw_u64(3, NS_FOR_SPLIT, 0, (uint64_t)i);
	return x;
}

static const struct {
	int xh, xw, h, w;
} cases[] = {{375, 500, 224, 224}, {500, 375, 224, 224}, {33, 31, 31, 33}, {257, 31, 8, 1}, {31, 257, 1, 8}, {7, 5, 33, 31},  {1, 1, 9, 5},
	     {2, 3, 2, 3},	   {64, 64, 32, 32},	 {600, 601, 3, 2}, {1, 900, 1, 31}, {900, 1, 31, 1}, {40, 40, 39, 40}};

/* Of noise, which has the largest differences between neighbours: nowhere a step away, and on average near what rounding alone does. */
static void follows_the_formula(void **state)
{
	size_t k;
	int c, i, j, m;

	(void)state;
	for (k = 0; k < sizeof cases / sizeof *cases; k++)
		for (c = 1; c <= 3; c += 2) {
			int xh = cases[k].xh, xw = cases[k].xw, h = cases[k].h, w = cases[k].w;
			double scale = fmin((double)xh / h, (double)xw / w), far = 0, sum = 0;
			uint8_t *x = noise(xh, xw, c), *y = malloc((size_t)h * (size_t)w * (size_t)c + 1);

			assert_non_null(y);
			y[h * w * c] = 0x5a;
			assert_int_equal(ns_resize(x, xh, xw, c, y, h, w), NS_OK);
			assert_int_equal(y[h * w * c], 0x5a);
			for (i = 0; i < h; i++)
				for (j = 0; j < w; j++)
					for (m = 0; m < c; m++) {
						double wanted = formula(x, xh, xw, c, xh * 0.5 - 0.5 + (i + 0.5 - h * 0.5) * scale,
									xw * 0.5 - 0.5 + (j + 0.5 - w * 0.5) * scale, scale, scale, m);
						double off = fabs(y[(i * w + j) * c + m] - wanted);

						far = fmax(far, off);
						sum += fabs(y[(i * w + j) * c + m] - floor(wanted + 0.5));
					}
			if (far > 0.52 || sum / (h * w * c) > 0.02)
				fail_msg("%d x %d to %d x %d of %d: %g away, %g on average", xw, xh, w, h, c, far, sum / (h * w * c));
			free(x);
			free(y);
		}
}

static void flat_stays_flat(void **state)
{
	uint8_t *x = malloc(700 * 600 * 3), y[40 * 40 * 3];
	size_t k, i;
	int value;

	(void)state;
	assert_non_null(x);
	for (value = 0; value < 256; value += 17)
		for (k = 1; k < 40; k += 2) {
			memset(x, value, 700 * 600 * 3);
			assert_int_equal(ns_resize(x, 700, 600, 3, y, (int)k, 40 - (int)k), NS_OK);
			for (i = 0; i < k * (40 - k) * 3; i++)
				assert_int_equal(y[i], value);
		}
	free(x);
}

static void same_size_is_the_same(void **state)
{
	uint8_t *x = noise(37, 41, 3), y[37 * 41 * 3];

	(void)state;
	assert_int_equal(ns_resize(x, 37, 41, 3, y, 37, 41), NS_OK);
	assert_memory_equal(x, y, sizeof y);
	free(x);
}

/* The middle of 3 and 4, along a row and along a column. */
static void halves_are_rounded_up(void **state)
{
	const uint8_t x[6] = {3, 3, 3, 4, 4, 4};
	uint8_t y[3];

	(void)state;
	assert_int_equal(ns_resize_part(x, 1, 2, 3, &(struct ns_place){0, 0, 1, 2}, y, 1, 1), NS_OK);
	assert_int_equal(y[0], 4);
	assert_int_equal(ns_resize_part(x, 2, 1, 3, &(struct ns_place){0, 0, 2, 1}, y, 1, 1), NS_OK);
	assert_int_equal(y[2], 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(follows_the_formula), cmocka_unit_test(flat_stays_flat),
					   cmocka_unit_test(same_size_is_the_same), cmocka_unit_test(halves_are_rounded_up)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
