/* Average precision: as pycocotools says, and by hand. */
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

static uint32_t lcg = 99;

static int next(int n)
{
	lcg = lcg * 1664525 + 1013904223;
	return (int)(lcg >> 8) % n;
}

static struct ns_truth truth_at(int x, int y, int w, int h)
{
	return (struct ns_truth){.x0 = x, .y0 = y, .x1 = x + w, .y1 = y + h};
}

static void found_at(struct ns_detections *d, int x, int y, int w, int h, int cls, int score)
{
	d->at[d->n++] = (struct ns_detection){(float)x, (float)y, (float)(x + w), (float)(y + h), (float)score / 64, cls};
}

/* One image of the generator that pycocotools was given, too. */
static void draw_image(struct ns_truth *truth, int *truths, struct ns_detections *d)
{
	int n = next(5), k, more, around;

	for (*truths = 0; *truths < n; ++*truths) {
		struct ns_truth *t = &truth[*truths];
		int x = next(300), y = next(300), w = 4 + next(180), h = 4 + next(180), share;

		*t = truth_at(x, y, w, h);
		t->cls = next(3);
		t->crowd = next(10) == 0;
		share = next(4);
		t->area = (double)(w * h * (share + 5) / 8);
		for (around = next(3); around > 0; around--) {
			int dx = next(31) - 15, dy = next(31) - 15, dw = next(21) - 10, dh = next(21) - 10, cls = next(6) ? t->cls : next(3);

			found_at(d, x + dx, y + dy, w + dw > 2 ? w + dw : 2, h + dh > 2 ? h + dh : 2, cls, next(50));
		}
	}
	for (more = next(3), k = 0; k < more; k++) {
		int cls = next(3), x = next(300), y = next(300), w = 4 + next(100), h = 4 + next(100);

		found_at(d, x, y, w, h, cls, next(50));
	}
}

/* The figures of pycocotools 2.0.11 for the same 114 boxes of people and 180 found, crowds and ties among them. */
static void test_average_precision(void **state)
{
	enum { IMAGES = 60 };
	static struct ns_truth truth[IMAGES][5];
	static struct ns_detection found[IMAGES][24];
	static struct ns_scored_image images[IMAGES];
	struct ns_average_precision ap;
	double by_class[3];
	const double wanted[7] = {0.094379390, 0.226819237, 0.042207623, 0, 0.082793224, 0.407002843, 0.265852483},
		     classes[3] = {0.110868538, 0.065497211, 0.106772422};
	const double *got = &ap.ap;
	int i, truths, all = 0;

	(void)state;
	for (i = 0; i < IMAGES; i++) {
		struct ns_detections d = {found[i], 0, 24};

		draw_image(truth[i], &truths, &d);
		assert_int_equal(ns_suppress(&d, 1), NS_OK); /* sorts */
		images[i] = (struct ns_scored_image){truth[i], found[i], truths, d.n};
		all += d.n;
	}
	assert_int_equal(all, 180);
	assert_int_equal(ns_average_precision(images, IMAGES, 3, &ap, by_class), NS_OK);
	for (i = 0; i < 7; i++)
		if (fabs(got[i] - wanted[i]) > 1e-8)
			fail_msg("figure %d is %.9f, pycocotools has %.9f", i, got[i], wanted[i]);
	for (i = 0; i < 3; i++)
		assert_true(fabs(by_class[i] - classes[i]) < 1e-8);
}

/* By hand: one box of two is found, and one that is none; nothing at all; nobody said anything. */
static void test_average_precision_by_hand(void **state)
{
	const struct ns_truth truth[2] = {{0, 0, 100, 100, 1e4, 0, 0}, {200, 0, 300, 100, 1e4, 0, 0}};
	const struct ns_detection found[2] = {{0, 0, 100, 100, .9f, 0}, {500, 500, 600, 600, .95f, 0}};
	struct ns_scored_image image = {truth, found, 2, 2};
	struct ns_average_precision ap;
	double by_class[2];

	(void)state;
	assert_int_equal(ns_average_precision(&image, 1, 2, &ap, by_class), NS_OK);
	/* precision 1/2 at shares of recall up to 1/2, of which there are 51 among 101 */
	assert_true(fabs(ap.ap - .5 * 51 / 101) < 1e-9 && fabs(ap.recall - .5) < 1e-12 && fabs(ap.large - ap.ap) < 1e-12 && isnan(ap.small) &&
		    isnan(by_class[1]));
	image.n = 0;
	assert_int_equal(ns_average_precision(&image, 1, 2, &ap, NULL), NS_OK);
	assert_true(ap.ap == 0 && ap.recall == 0);
	image.truths = 0;
	image.n = 2;
	assert_int_equal(ns_average_precision(&image, 1, 2, &ap, NULL), NS_OK);
	assert_true(isnan(ap.ap));
}

static void test_precision_edges(void **state)
{
	const struct ns_truth one = {0, 0, 10, 10, 100, 0, 0}, pair[2] = {{0, 0, 10, 10, 100, 0, 0}, {0, 0, 10, 6, 60, 0, 1}};
	const struct ns_detection half = {0, 0, 10, 5, .9f, 0}, most = {0, 0, 10, 6, .9f, 0};
	struct ns_scored_image image = {&one, &half, 1, 1};
	struct ns_average_precision ap;

	(void)state;
	assert_int_equal(ns_average_precision(&image, 1, 1, &ap, NULL), NS_OK);
	assert_true(fabs(ap.ap50 - 1) < 1e-9); /* exactly a half */
	image = (struct ns_scored_image){pair, &most, 2, 1};
	assert_int_equal(ns_average_precision(&image, 1, 1, &ap, NULL), NS_OK);
	assert_true(fabs(ap.ap50 - 1) < 1e-9); /* one that counts goes before a crowd that it covers better */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_average_precision), cmocka_unit_test(test_average_precision_by_hand),
					   cmocka_unit_test(test_precision_edges)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
