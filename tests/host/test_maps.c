/* Regions and masks in maps that are drawn. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"

/* A rectangle of half-sides a and b around a point, turned; its pixels are those whose middles lie inside. */
static void draw(float *map, int h, int w, double x, double y, double a, double b, double angle, float value)
{
	int i, j;

	for (i = 0; i < h; i++)
		for (j = 0; j < w; j++) {
			double dx = j + .5 - x, dy = i + .5 - y, u = dx * cos(angle) + dy * sin(angle), v = -dx * sin(angle) + dy * cos(angle);

			if (fabs(u) <= a && fabs(v) <= b)
				map[i * w + j] = value;
		}
}

static void test_regions(void **state)
{
	enum { H = 100, W = 160 };
	static float map[H * W];
	struct ns_region *r;
	int n, k;

	(void)state;
	draw(map, H, W, 40, 20, 30, 8, 0, .9f);	  /* columns 10 to 69, rows 12 to 27 */
	draw(map, H, W, 110, 60, 30, 6, .3, .8f); /* turned by .3, downward to the right */
	draw(map, H, W, 10, 80, 1, 1, 0, .9f);	  /* too small */
	draw(map, H, W, 40, 80, 10, 5, 0, .35f);  /* not sure enough */
	assert_int_equal(ns_regions(map, H, W, .5, &r, &n), NS_OK);
	assert_int_equal(n, 2);
	{ /* 59 x 15, from pixel to pixel, grows by 59 * 15 * 1.6 / 148 */
		double grow = 59 * 15 * 1.6 / 148;
		const double x[4] = {10.5 - grow, 69.5 + grow, 69.5 + grow, 10.5 - grow}, y[4] = {12.5 - grow, 12.5 - grow, 27.5 + grow, 27.5 + grow};

		for (k = 0; k < 4; k++)
			assert_true(fabs(r[0].x[k] - x[k]) < 1e-9 && fabs(r[0].y[k] - y[k]) < 1e-9);
		assert_true(fabs(r[0].score - .9) < 1e-6);
	}
	{ /* within a pixel, as its edge is jagged */
		double grow = 60 * 12 * 1.6 / 144, a = 30 + grow, b = 6 + grow;
		static const int signs[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};

		for (k = 0; k < 4; k++) {
			double x = 110 + signs[k][0] * a * cos(.3) - signs[k][1] * b * sin(.3),
			       y = 60 + signs[k][0] * a * sin(.3) + signs[k][1] * b * cos(.3);

			if (hypot(r[1].x[k] - x, r[1].y[k] - y) > 1.5)
				fail_msg("corner %d at %g, %g, expected %g, %g", k, r[1].x[k], r[1].y[k], x, y);
		}
		assert_true(r[1].score > .7);
	}
	free(r);
	map[0] = NAN;
	assert_int_equal(ns_regions(map, H, W, .5, &r, &n), NS_BAD_DATA);
	free(r);
}

static void test_maps(void **state)
{
	const float three[12] = {1, 0, 5, 2, 1, 3, 4, 2, 0, -1, 6, 1}, one[4] = {.2f, .5f, .6f, 1}, logit[4] = {-.2f, .2f, 3, 0};
	const struct ns_output o3 = {"m", {4, {1, 3, 2, 2}}, three}, o1 = {"m", {4, {1, 1, 2, 2}}, one}, ol = {"m", {4, {1, 1, 2, 2}}, logit};
	uint8_t mask[4];
	float p[2];

	(void)state;
	assert_int_equal(ns_mask(&o3, NS_VALUES_UNKNOWN, mask), NS_OK);
	assert_memory_equal(mask, ((const uint8_t[]){0, 1, 2, 0}), 4); /* ties: the first */
	assert_int_equal(ns_mask(&o1, NS_VALUES_UNKNOWN, mask), NS_OK);
	assert_memory_equal(mask, ((const uint8_t[]){0, 0, 1, 1}), 4);
	assert_int_equal(ns_mask(&ol, NS_VALUES_UNKNOWN, mask), NS_OK);
	assert_memory_equal(mask, ((const uint8_t[]){0, 1, 1, 0}), 4);
	ns_tags((const float[]){.25f, 1}, 2, NS_VALUES_UNKNOWN, p);
	assert_true(fabs((double)p[0] - .25) < 1e-7 && p[1] == 1);
	ns_tags((const float[]){(float)log(3), 0}, 2, NS_VALUES_UNKNOWN, p);
	assert_true(fabs((double)p[0] - .75) < 1e-6);
	ns_tags((const float[]){(float)log(3), -1}, 2, NS_VALUES_UNKNOWN, p);
	assert_true(fabs((double)p[1] - 1 / (1 + exp(1))) < 1e-6);
}

static void test_region_edges(void **state)
{
	enum { H = 40, W = 40 };
	static float map[H * W];
	struct ns_region *r;
	int n, i;

	(void)state;
	draw(map, H, W, 15, 15, 8, 6, 0, .3f); /* exactly the level is outside */
	draw(map, H, W, 15, 15, 6, 4, 0, .9f);
	assert_int_equal(ns_regions(map, H, W, .5, &r, &n), NS_OK);
	assert_int_equal(n, 1);
	assert_true(fabs(r[0].y[0] - (11.5 - 11 * 7 * 1.6 / 36)) < 1e-9);
	free(r);
	memset(map, 0, sizeof map);
	for (i = 0; i < 12; i++) { /* two squares that touch at a corner */
		draw(map, H, W, 10, 10, 4, 4, 0, .9f);
		draw(map, H, W, 18, 18, 4, 4, 0, .9f);
	}
	assert_int_equal(ns_regions(map, H, W, .3, &r, &n), NS_OK);
	assert_int_equal(n, 1);
	free(r);
	map[3] = 1.5f;
	assert_int_equal(ns_regions(map, H, W, .3, &r, &n), NS_BAD_DATA);
	free(r);
}

static void test_mask_edges(void **state)
{
	static float channels[300];
	const float above[4] = {.2f, 3, 0, .4f};
	const struct ns_output o = {"m", {4, {1, 1, 2, 2}}, above}, all = {"m", {4, {1, 300, 1, 1}}, channels};
	uint8_t mask[4];

	(void)state;
	assert_int_equal(ns_mask(&o, NS_VALUES_UNKNOWN, mask), NS_OK); /* logits, as one is above 1 */
	assert_memory_equal(mask, ((const uint8_t[]){1, 1, 0, 1}), 4);
	assert_int_equal(ns_mask(&all, NS_VALUES_UNKNOWN, mask), NS_BAD_DATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_regions), cmocka_unit_test(test_maps), cmocka_unit_test(test_region_edges),
					   cmocka_unit_test(test_mask_edges)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
