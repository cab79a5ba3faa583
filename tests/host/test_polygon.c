/* Outlines: areas and overlaps that follow from geometry, pixels by their middles; run lengths as pycocotools 2.0.11 writes them. */
#define _XOPEN_SOURCE 700 /* M_PI */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/outputs/outputs.h"

static const double square[] = {0, 0, 4, 0, 4, 4, 0, 4}, back[] = {0, 4, 4, 4, 4, 0, 0, 0}, moved[] = {2, 1, 6, 1, 6, 5, 2, 5},
		    away[] = {9, 9, 12, 9, 12, 12, 9, 12}, diamond[] = {2, -1, 5, 2, 2, 5, -1, 2}, arrow[] = {0, 0, 4, 0, 4, 4, 2, 2, 0, 4};

static void near(double found, double wanted)
{
	if (!(fabs(found - wanted) < 1e-12))
		fail_msg("%.15g, wanted %.15g", found, wanted);
}

static void test_overlaps(void **state)
{
	(void)state;
	near(ns_polygon_area(square, 4), 16);
	near(ns_polygon_area(back, 4), -16);
	near(ns_polygon_iou(square, 4, square, 4), 1);
	near(ns_polygon_iou(square, 4, back, 4), 1);
	near(ns_polygon_iou(back, 4, moved, 4), 6.0 / 26);
	near(ns_polygon_iou(moved, 4, back, 4), 6.0 / 26);
	near(ns_polygon_iou(square, 4, away, 4), 0);
	near(ns_polygon_iou(square, 4, diamond, 4), 14.0 / 20); /* four corners of 1/2 are cut off, and four of 1 stick out */
	near(ns_polygon_iou(arrow, 5, square, 4), 12.0 / 16);
	near(ns_polygon_iou((const double[]){1, 1, 1, 1, 1, 1}, 3, square, 4), 0);
}

/* A circle of 720 points keeps its area in 64; corners stay where an edge of hundreds of points goes; of a line nothing is left to fill. */
static void test_simplify(void **state)
{
	double xy[2 * 720];
	int i, n;

	(void)state;
	for (i = 0; i < 720; i++) {
		xy[2 * i] = 50 + 40 * cos(i * M_PI / 360);
		xy[2 * i + 1] = 50 + 40 * sin(i * M_PI / 360);
	}
	n = ns_polygon_simplify(xy, 720, 64);
	assert_true(n > 16 && n <= 64);
	assert_true(fabs(ns_polygon_area(xy, n) / (M_PI * 1600) - 1) < .02);
	for (i = 0; i < 300; i++) {
		xy[2 * i] = i / 50.;
		xy[2 * i + 1] = 0;
	}
	memcpy(xy + 600, (const double[]){6, 0, 6, 4, 0, 4}, 6 * sizeof *xy);
	n = ns_polygon_simplify(xy, 303, 64);
	assert_int_equal(n, 4);
	near(ns_polygon_area(xy, n), 24);
	for (i = 0; i < 300; i++)
		xy[2 * i] = xy[2 * i + 1] = i;
	assert_true(ns_polygon_simplify(xy, 300, 64) <= 64);
}

/* A pixel is inside where its middle is; an edge through middles belongs to one side alone. */
static void test_fill(void **state)
{
	int16_t mask[6 * 6] = {0};
	int i, n = 0;

	(void)state;
	assert_int_equal(ns_polygon_fill(arrow, 5, 6, 6, 7, mask), NS_OK);
	for (i = 0; i < 36; i++) {
		double x = i % 6 + .5, y = i / 6 + .5;
		int in = x < 4 && y < 4 && y < fmax(x, 4 - x);

		if (x < 4 && y == fmax(x, 4 - x)) /* its middle is on the outline */
			continue;
		assert_int_equal(mask[i], in ? 7 : 0);
		n += in;
	}
	assert_int_equal(n, 10);
	memset(mask, 0, sizeof mask);
	assert_int_equal(ns_polygon_fill((const double[]){-3, -3, 2.5, -3, 2.5, 9, -3, 9}, 4, 6, 6, 1, mask), NS_OK);
	assert_int_equal(ns_polygon_fill((const double[]){2.5, -3, 9, -3, 9, 9, 2.5, 9}, 4, 6, 6, 2, mask), NS_OK);
	for (i = 0; i < 36; i++)
		assert_int_equal(mask[i], i % 6 < 2 ? 1 : 2);
}

static void test_runs(void **state)
{
	static const int64_t wanted[] = {0, 1, 40, 7, 6, 7, 6, 3, 1, 3, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 68, 1};
	static const int64_t few[] = {3, 2, 4, 5};
	int64_t counts[100];
	int16_t mask[13 * 18] = {0};
	int i, n = ns_runs_of_text("01X16nN00LK0540000000000n1J", counts, 100);

	(void)state;
	assert_int_equal(n, 24);
	for (i = 0; i < n; i++)
		assert_int_equal(counts[i], wanted[i]);
	assert_true(ns_runs_fill(counts, n, 13, 17, 3, mask));
	for (i = 0; i < 13 * 17; i++) { /* a box with a hole, and two corners */
		int y = i / 17, x = i % 17, in = (y >= 2 && y < 9 && x >= 3 && x < 12 && !(y == 5 && x == 5)) || (!y && !x) || (y == 12 && x == 16);

		assert_int_equal(mask[i], in ? 3 : 0);
	}
	assert_false(ns_runs_fill(counts, n, 13, 18, 3, mask));
	assert_false(ns_runs_fill(counts, n - 1, 13, 17, 3, mask));
	assert_false(ns_runs_fill((const int64_t[]){200, 22}, 2, 13, 17, 3, mask));
	assert_int_equal(ns_runs_of_text("01X16nN", counts, 2), -1);
	assert_int_equal(ns_runs_of_text("0 1", counts, 100), -1);
	assert_int_equal(ns_runs_of_text("oooooooooooooooo", counts, 100), -1);
	assert_int_equal(ns_runs_of_text("oooooooo0", counts, 100), -1); /* more than 40 bits */
	assert_int_equal(ns_runs_of_text("ooooooo0", counts, 100), -1);	 /* and a number that no mask has */
	assert_int_equal(ns_runs_of_text("", counts, 100), 0);
	assert_int_equal(ns_runs_of_text("3243", counts, 100), 4); /* the first pixels are outside; the fourth number is the first difference */
	for (i = 0; i < 4; i++)
		assert_int_equal(counts[i], few[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_overlaps), cmocka_unit_test(test_simplify), cmocka_unit_test(test_fill),
					   cmocka_unit_test(test_runs)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
