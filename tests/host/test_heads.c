/* What the heads of detectors say, and which of two boxes that overlap is left, by hand. */
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

static void is_box(const struct ns_detection *d, double x0, double y0, double x1, double y1, double score, int cls)
{
	if (fabs((double)d->x0 - x0) > 1e-4 || fabs((double)d->y0 - y0) > 1e-4 || fabs((double)d->x1 - x1) > 1e-4 ||
	    fabs((double)d->y1 - y1) > 1e-4 || fabs((double)d->score - score) > 1e-6 || d->cls != cls)
		fail_msg("%g, %g to %g, %g: %g of class %d; expected %g, %g to %g, %g: %g of class %d", (double)d->x0, (double)d->y0, (double)d->x1,
			 (double)d->y1, (double)d->score, d->cls, x0, y0, x1, y1, score, cls);
}

static struct ns_detections detect(const char *head, const struct ns_output *outputs, int count, int h, int w, int classes)
{
	struct ns_detections d;

	if (ns_detect(ns_head_find(head), outputs, count, h, w, classes, .4, .5, &d) != NS_OK)
		fail_msg("%s: %s", head, ns_message());
	return d;
}

/* 32 x 64 pixels have 32 cells of 8, 8 of 16 and 2 of 32. */
static void test_yolox(void **state)
{
	float x[42 * 7] = {0}, *p;
	const struct ns_output o = {"y", {3, {1, 42, 7}}, x};
	struct ns_detections d;

	(void)state;
	p = x + 7 * (8 + 3); /* the second row of cells of 8, column 3 */
	p[0] = .5f;
	p[1] = .25f;
	p[2] = (float)log(2);
	p[4] = .9f;
	p[5] = .2f;
	p[6] = .8f;
	p = x + 7 * (32 + 8 + 1); /* the second cell of 32 */
	p[4] = 1;
	p[5] = .75f;
	p = x + 7 * 5; /* not enough together */
	p[4] = .6f;
	p[5] = .6f;
	d = detect("yolox", &o, 1, 32, 64, 2);
	assert_int_equal(d.n, 2);
	is_box(&d.at[1], 28 - 8, 10 - 4, 28 + 8, 10 + 4, .72, 1);
	is_box(&d.at[0], 32 - 16, 0 - 16, 32 + 16, 0 + 16, .75, 0);
	ns_detections_release(&d);
	assert_int_equal(ns_detect(ns_head_find("yolox"), &o, 1, 32, 96, 2, .4, .5, &d), NS_BAD_DATA);
	assert_non_null(strstr(ns_message(), "(1, 42, 7) for 96x32 pixels, expected (1, cells of"));
	ns_detections_release(&d);
	p[4] = NAN;
	assert_int_equal(ns_detect(ns_head_find("yolox"), &o, 1, 32, 64, 2, .4, .5, &d), NS_BAD_DATA);
	ns_detections_release(&d);
}

static void test_yolo(void **state)
{
	const float five[2 * 7] = {10, 20, 4, 8, .9f, .1f, .5f, 50, 60, 20, 10, .5f, 1, .2f};
	/* by rows: middles, sizes, then classes, a column each place */
	const float eight[6 * 3] = {10, 50, 90, 20, 60, 90, 4, 20, 6, 8, 10, 6, .1f, .7f, .2f, .5f, .2f, .3f};
	const struct ns_output o5 = {"y", {3, {1, 2, 7}}, five}, o8 = {"y", {3, {1, 6, 3}}, eight};
	struct ns_detections d;

	(void)state;
	d = detect("yolov5", &o5, 1, 100, 100, 2);
	assert_int_equal(d.n, 2);
	is_box(&d.at[0], 40, 55, 60, 65, .5, 0);
	is_box(&d.at[1], 8, 16, 12, 24, .45, 1);
	ns_detections_release(&d);
	d = detect("yolov8", &o8, 1, 100, 100, 2);
	assert_int_equal(d.n, 2);
	is_box(&d.at[0], 40, 55, 60, 65, .7, 0);
	is_box(&d.at[1], 8, 16, 12, 24, .5, 1);
	ns_detections_release(&d);
}

static void test_two_tensors(void **state)
{
	const float places[8] = {.1f, .2f, .5f, .6f, 0, 0, 1, 1}, with_background[6] = {.9f, .05f, .05f, .1f, .3f, .6f},
		    without[4] = {.1f, .45f, .2f, .3f};
	const float logits[6] = {0, (float)log(6), (float)log(3), 0, 0, 5}, middles[8] = {.5f, .5f, .2f, .4f, .5f, .5f, 1, 1};
	const struct ns_output s3[2] = {{"s", {3, {1, 2, 3}}, with_background}, {"b", {3, {1, 2, 4}}, places}};
	const struct ns_output s2[2] = {{"b", {3, {1, 2, 4}}, places}, {"s", {3, {1, 2, 2}}, without}};
	const struct ns_output q[2] = {{"z", {3, {1, 2, 3}}, logits}, {"b", {3, {1, 2, 4}}, middles}};
	struct ns_detections d;

	(void)state;
	d = detect("ssd", s3, 2, 50, 200, 2);
	assert_int_equal(d.n, 1);
	is_box(&d.at[0], 0, 0, 200, 50, .6, 1);
	ns_detections_release(&d);
	d = detect("ssd", s2, 2, 50, 200, 2);
	assert_int_equal(d.n, 1);
	is_box(&d.at[0], 20, 10, 100, 30, .45, 1);
	ns_detections_release(&d);
	d = detect("detr", q, 2, 50, 200, 2); /* 6 of 1 + 6 + 3; the second is nothing */
	assert_int_equal(d.n, 1);
	is_box(&d.at[0], 80, 15, 120, 35, .6, 1);
	ns_detections_release(&d);
}

/* 8 x 12 pixels: 2 x 3 cells */
static void test_centerface(void **state)
{
	const float heat[6] = {0, 0, 0, 0, .8f, 0};
	const float size[12] = {0, 0, 0, 0, (float)log(3), 0, 0, 0, 0, 0, (float)log(2), 0}, offset[12] = {0, 0, 0, 0, .25f, 0, 0, 0, 0, 0, .5f, 0};
	const struct ns_output o[3] = {{"heat", {4, {1, 1, 2, 3}}, heat}, {"size", {4, {1, 2, 2, 3}}, size}, {"offset", {4, {1, 2, 2, 3}}, offset}};
	struct ns_detections d;

	(void)state;
	d = detect("centerface", o, 3, 8, 12, 1);
	assert_int_equal(d.n, 1);
	is_box(&d.at[0], 8 - 4, 7 - 6, 8 + 4, 7 + 6, .8, 0);
	ns_detections_release(&d);
}

static void test_suppress(void **state)
{
	/* a, b overlap by 50 / 150, c is of another class and the same place as a, e ties with d and comes later in the same place */
	struct ns_detection in[5] = {{0, 0, 10, 10, .5f, 0},
				     {5, 0, 15, 10, .9f, 0},
				     {0, 0, 10, 10, .4f, 1},
				     {50, 50, 60, 60, .7f, 2},
				     {50, 50, 60, 61, .7f, 2}};
	struct ns_detections d = {malloc(sizeof in), 5, 5};

	(void)state;
	assert_non_null(d.at);
	memcpy(d.at, in, sizeof in);
	assert_true(fabs(ns_iou(&in[0], &in[1]) - 1 / 3.) < 1e-12);
	assert_true(ns_iou(&(struct ns_detection){0, 0, 0, 0, 0, 0}, &(struct ns_detection){0, 0, 0, 0, 0, 0}) == 0);
	assert_true(ns_iou(&(struct ns_detection){0, 0, 2, 2, 0, 0}, &(struct ns_detection){3, 0, 5, 2, 0, 0}) == 0);
	assert_int_equal(ns_suppress(&d, 1 / 3. + 1e-9), NS_OK); /* not more than */
	assert_int_equal(d.n, 4);
	is_box(&d.at[0], 5, 0, 15, 10, .9, 0);
	is_box(&d.at[1], 50, 50, 60, 60, .7, 2);
	is_box(&d.at[2], 0, 0, 10, 10, .5, 0);
	is_box(&d.at[3], 0, 0, 10, 10, .4, 1);
	assert_int_equal(ns_suppress(&d, 1 / 3. - 1e-9), NS_OK);
	assert_int_equal(d.n, 3);
	is_box(&d.at[2], 0, 0, 10, 10, .4, 1);
	ns_detections_release(&d);
}

static void test_heads_edges(void **state)
{
	static float many[33000 * 6];
	const float tie[7] = {10, 20, 4, 8, 1, .6f, .6f}, twins[8] = {.5f, .5f, .2f, .2f, .5f, .5f, .2f, .2f}, sure[6] = {5, 0, 0, 5, 0, 0};
	const float corners[8] = {0, 0, .5f, .5f, .5f, .5f, 1, 1}, scores[6] = {.1f, .2f, .7f, .6f, .1f, .2f};
	const float four[8] = {.1f, .2f, .7f, .3f, .9f, .05f, .05f, 0}, exactly[2] = {.4f, .1f}, one_box[4] = {0, 0, 1, 1}, bad[2] = {NAN, .9f};
	const struct ns_output five = {"y", {3, {1, 1, 7}}, tie}, two = {"y", {3, {2, 42, 7}}, many}, all = {"y", {3, {1, 33000, 6}}, many};
	const struct ns_output detr[2] = {{"boxes", {3, {1, 2, 4}}, twins}, {"z", {3, {1, 2, 3}}, sure}};
	const struct ns_output plain[2] = {{"a", {3, {1, 2, 4}}, corners}, {"s", {3, {1, 2, 3}}, scores}};
	const struct ns_output named[2] = {{"s", {3, {1, 2, 4}}, four}, {"pred_boxes", {3, {1, 2, 4}}, corners}};
	const struct ns_output level[2] = {{"b", {3, {1, 1, 4}}, one_box}, {"s", {3, {1, 1, 2}}, exactly}},
			       no[2] = {{"b", {3, {1, 1, 4}}, one_box}, {"s", {3, {1, 1, 2}}, bad}};
	struct ns_detections d;
	int i;

	(void)state;
	d = detect("yolov5", &five, 1, 100, 100, 2);
	is_box(&d.at[0], 8, 16, 12, 24, .6, 0); /* the first of two classes */
	ns_detections_release(&d);
	assert_int_equal(ns_detect(ns_head_find("yolox"), &two, 1, 32, 64, 2, .4, .5, &d), NS_BAD_DATA); /* two images */
	ns_detections_release(&d);
	d = detect("ssd", plain, 2, 100, 100, 3);
	assert_int_equal(d.n, 2);
	is_box(&d.at[0], 0, 0, 50, 50, .7, 2);
	ns_detections_release(&d);
	d = detect("ssd", named, 2, 100, 100, 3); /* three classes and a background are four, too */
	assert_int_equal(d.n, 1);
	is_box(&d.at[0], 0, 0, 50, 50, .7, 1);
	ns_detections_release(&d);
	assert_int_equal(ns_detect(ns_head_find("ssd"), level, 2, 10, 10, 2, (double).4f, .5, &d), NS_OK);
	assert_int_equal(d.n, 1); /* exactly the least score */
	ns_detections_release(&d);
	assert_int_equal(ns_detect(ns_head_find("ssd"), no, 2, 10, 10, 2, .4, .5, &d), NS_BAD_DATA);
	ns_detections_release(&d);
	d = detect("detr", detr, 2, 100, 100, 2); /* it is trained to say each thing once: nothing is suppressed */
	assert_int_equal(d.n, 2);
	ns_detections_release(&d);
	for (i = 0; i < 33000; i++)
		many[6 * i + 4] = many[6 * i + 5] = 1;
	assert_int_equal(ns_detect(ns_head_find("yolov5"), &all, 1, 100, 100, 1, .4, .5, &d), NS_BAD_DATA);
	assert_non_null(strstr(ns_message(), "more than 30000 boxes"));
	ns_detections_release(&d);
}

/* Two classes: the map of middles looks as the sizes do. */
static void test_centerface_classes(void **state)
{
	const float heat[4] = {.9f, 0, 0, .2f}, size[4] = {0, 0, 0, 0}, offset[4] = {.5f, 0, .5f, 0};
	const struct ns_output o[3] = {{"heat", {4, {1, 2, 1, 2}}, heat}, {"size", {4, {1, 2, 1, 2}}, size}, {"offset", {4, {1, 2, 1, 2}}, offset}};
	struct ns_detections d = detect("centerface", o, 3, 4, 8, 2);

	(void)state;
	assert_int_equal(d.n, 1);
	is_box(&d.at[0], 4 - 2, 4 - 2, 4 + 2, 4 + 2, .9, 0);
	ns_detections_release(&d);
}

static void test_overlap_exactly(void **state)
{
	const struct ns_detection in[2] = {{0, 0, 10, 10, .9f, 0}, {0, 0, 10, 5, .8f, 0}};
	struct ns_detections d = {malloc(sizeof in), 2, 2};

	(void)state;
	assert_non_null(d.at);
	memcpy(d.at, in, sizeof in);
	assert_int_equal(ns_suppress(&d, .5), NS_OK);
	assert_int_equal(d.n, 2);
	ns_detections_release(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_yolox),
					   cmocka_unit_test(test_yolo),
					   cmocka_unit_test(test_two_tensors),
					   cmocka_unit_test(test_centerface),
					   cmocka_unit_test(test_suppress),
					   cmocka_unit_test(test_heads_edges),
					   cmocka_unit_test(test_centerface_classes),
					   cmocka_unit_test(test_overlap_exactly)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
