/* What a network's numbers mean: heads of detectors, suppression, texts, regions, masks, by hand or by trying everything. */
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
#include "kernels/formula/random.h"

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

/* --- texts --- */

static void test_greedy(void **state)
{
	/* blank a a blank a b b: "aab" */
	const float p[7 * 3] = {.8f, .1f, .1f, .1f, .7f, .2f, .2f, .5f, .3f, .6f, .3f, .1f, .1f, .9f, 0, .2f, .2f, .6f, .1f, .1f, .8f};
	const struct ns_output o = {"y", {3, {7, 1, 3}}, p};
	float *q;
	int text[7], steps, symbols;
	double sure;

	(void)state;
	assert_int_equal(ns_ctc_steps(&o, &steps, &symbols, &q), NS_OK);
	assert_true(steps == 7 && symbols == 3 && !memcmp(p, q, sizeof p));
	assert_int_equal(ns_ctc_greedy(q, 7, 3, 0, text, &sure), 3);
	assert_true(text[0] == 1 && text[1] == 1 && text[2] == 2);
	assert_true(fabs(sure - (.7 + .9 + .6) / 3) < 1e-6);
	assert_int_equal(ns_ctc_greedy(q, 7, 3, 1, text, &sure), 3); /* another blank: 0 0 2 */
	assert_true(text[0] == 0 && text[1] == 0 && text[2] == 2);
	free(q);
	{ /* logits become probabilities */
		const float z[4] = {0, (float)log(3), 0, 0};
		const struct ns_output l = {"z", {3, {1, 2, 2}}, z};

		assert_int_equal(ns_ctc_steps(&l, &steps, &symbols, &q), NS_OK);
		assert_true(steps == 2 && fabs((double)q[1] - .75) < 1e-6 && fabs((double)q[3] - .5) < 1e-6);
		free(q);
	}
}

/* The text of a path of symbols, as a number to the base 4. */
static int spelled(const int *path, int steps, int blank)
{
	int t, last = -1, value = 0;

	for (t = 0; t < steps; t++) {
		if (path[t] != blank && path[t] != last)
			value = 4 * value + path[t] + 1;
		last = path[t];
	}
	return value;
}

/* Against all paths, whose probabilities are added up for each text. */
static void test_beam(void **state)
{
	enum { STEPS = 6, SYMBOLS = 3, PATHS = 729 };
	int round, differs = 0;

	(void)state;
	for (round = 0; round < 200; round++) {
		float p[STEPS * SYMBOLS];
		double total[4096] = {0}, best = 0, sure, greedy_sure;
		int path[STEPS], text[STEPS], greedy[STEPS], i, t, n, value = 0, greedy_value = 0, blank = round % SYMBOLS;

		for (t = 0; t < STEPS; t++) {
			double sum = 0;

			for (i = 0; i < SYMBOLS; i++)
				sum += (double)(p[t * SYMBOLS + i] = (float)(.05 + ns_uniform(ns_draw(7, NS_FOR_SPLIT, (uint32_t)round,
												      (uint64_t)(t * SYMBOLS + i), 0)
												      .v[0])));
			for (i = 0; i < SYMBOLS; i++)
				p[t * SYMBOLS + i] /= (float)sum;
		}
		for (i = 0; i < PATHS; i++) {
			double product = 1;
			int rest = i;

			for (t = 0; t < STEPS; t++, rest /= SYMBOLS) {
				path[t] = rest % SYMBOLS;
				product *= (double)p[t * SYMBOLS + path[t]];
			}
			total[spelled(path, STEPS, blank)] += product;
		}
		for (i = 0; i < 4096; i++)
			best = fmax(best, total[i]);
		n = ns_ctc_beam(p, STEPS, SYMBOLS, blank, 200, text, &sure);
		for (t = 0; t < n; t++)
			value = 4 * value + text[t] + 1;
		assert_true(fabs(total[value] - best) < 1e-9 && fabs(sure - best) < 1e-6);
		n = ns_ctc_greedy(p, STEPS, SYMBOLS, blank, greedy, &greedy_sure);
		for (t = 0; t < n; t++)
			greedy_value = 4 * greedy_value + greedy[t] + 1;
		differs += greedy_value != value;
		assert_true(ns_ctc_beam(p, STEPS, SYMBOLS, blank, 1, text, &sure) >= 0);
	}
	assert_in_range(differs, 10, 190); /* the best path is not the best text */
}

/* Prefix beam search in its plainest form: every text of every step by every symbol, texts as numbers to the base 10. */
struct plain {
	uint64_t text;
	double blank, other;
	int last;
};

static struct plain *of_text(struct plain *list, int *n, uint64_t text, int last)
{
	int i;

	for (i = 0; i < *n; i++)
		if (list[i].text == text)
			return &list[i];
	list[*n] = (struct plain){text, 0, 0, last};
	return &list[(*n)++];
}

static uint64_t plain_beam(const float *p, int steps, int symbols, int blank, int beam)
{
	struct plain live[8] = {{0, 1, 0, -1}}, next[100];
	int lives = 1, n, t, i, k;

	for (t = 0; t < steps; t++, p += symbols) {
		for (n = 0, i = 0; i < lives; i++) {
			double all = live[i].blank + live[i].other;

			of_text(next, &n, live[i].text, live[i].last)->blank += all * (double)p[blank];
			if (live[i].last >= 0)
				of_text(next, &n, live[i].text, live[i].last)->other += live[i].other * (double)p[live[i].last];
			for (k = 0; k < symbols; k++)
				if (k != blank)
					of_text(next, &n, live[i].text * 10 + (uint64_t)k + 1, k)->other +=
						(k == live[i].last ? live[i].blank : all) * (double)p[k];
		}
		for (lives = 0; lives < beam && lives < n; lives++) {
			for (k = lives, i = lives; i < n; i++)
				if (next[i].blank + next[i].other > next[k].blank + next[k].other)
					k = i;
			live[lives] = next[k];
			next[k] = next[lives];
		}
	}
	return live[0].text;
}

/* Beams narrower than the alphabet: symbols that are left out of a step change no answer. */
static void test_narrow_beam(void **state)
{
	enum { STEPS = 12, SYMBOLS = 9 };
	int round, beam, i, t, text[STEPS], n;

	(void)state;
	for (round = 0; round < 300; round++)
		for (beam = 1; beam <= 4; beam++) {
			float p[STEPS * SYMBOLS];
			uint64_t value = 0;
			double sure;

			for (t = 0; t < STEPS; t++) {
				double sum = 0;

				for (i = 0; i < SYMBOLS; i++) {
					double u = ns_uniform(ns_draw(8, NS_FOR_SPLIT, (uint32_t)round, (uint64_t)(t * SYMBOLS + i), 0).v[0]);

					sum += (double)(p[t * SYMBOLS + i] = (float)(.01 + u * u * u));
				}
				for (i = 0; i < SYMBOLS; i++)
					p[t * SYMBOLS + i] /= (float)sum;
			}
			n = ns_ctc_beam(p, STEPS, SYMBOLS, round % SYMBOLS, beam, text, &sure);
			for (i = 0; i < n; i++)
				value = value * 10 + (uint64_t)text[i] + 1;
			if (value != plain_beam(p, STEPS, SYMBOLS, round % SYMBOLS, beam))
				fail_msg("round %d, beam %d: %llu, expected %llu", round, beam, (unsigned long long)value,
					 (unsigned long long)plain_beam(p, STEPS, SYMBOLS, round % SYMBOLS, beam));
		}
}

/* --- regions --- */

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
	assert_int_equal(ns_mask(&o3, mask), NS_OK);
	assert_memory_equal(mask, ((const uint8_t[]){0, 1, 2, 0}), 4); /* ties: the first */
	assert_int_equal(ns_mask(&o1, mask), NS_OK);
	assert_memory_equal(mask, ((const uint8_t[]){0, 0, 1, 1}), 4);
	assert_int_equal(ns_mask(&ol, mask), NS_OK);
	assert_memory_equal(mask, ((const uint8_t[]){0, 1, 1, 0}), 4);
	ns_tags((const float[]){.25f, 1}, 2, p);
	assert_true(fabs((double)p[0] - .25) < 1e-7 && p[1] == 1);
	ns_tags((const float[]){(float)log(3), 0}, 2, p);
	assert_true(fabs((double)p[0] - .75) < 1e-6);
	ns_tags((const float[]){(float)log(3), -1}, 2, p);
	assert_true(fabs((double)p[1] - 1 / (1 + exp(1))) < 1e-6);
}

/* --- how good it is --- */

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

static void test_edits(void **state)
{
	static const struct {
		const char *a, *b;
		int edits, length;
	} cases[] = {{"kitten", "sitting", 3, 7},
		     {"", "abc", 3, 3},
		     {"abc", "", 3, 0},
		     {"same", "same", 0, 4},
		     {"Gr\xc3\xb6\xc3\x9f"
		      "e",
		      "Grosse", 3, 6},
		     {"\xe7\x96\x97"
		      "a",
		      "a", 1, 1},
		     {"ab", "ba", 2, 2},
		     {"flaw", "lawn", 2, 4}};
	size_t i;
	int length;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(ns_edits(cases[i].a, cases[i].b, &length), cases[i].edits);
		assert_int_equal(length, cases[i].length);
	}
}

/* --- ties, bounds and what is no answer --- */

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

static void test_ctc_edges(void **state)
{
	const float low[2] = {.2f, .4f}, below[3] = {-.5f, .7f, .8f}, tie[3] = {.4f, .4f, .2f}, twins[3] = {.2f, .4f, .4f}, many[30] = {0};
	const struct ns_output o1 = {"z", {3, {1, 1, 2}}, low}, o2 = {"z", {3, {1, 1, 3}}, below}, o3 = {"z", {3, {2, 5, 3}}, many};
	float *p = NULL;
	int steps, symbols, text[4];
	double sure;

	(void)state;
	assert_int_equal(ns_ctc_steps(&o1, &steps, &symbols, &p), NS_OK); /* within 0 to 1, but their sum is not 1 */
	assert_true(fabs((double)p[0] - 1 / (1 + exp(.2))) < 1e-6);
	free(p);
	assert_int_equal(ns_ctc_steps(&o2, &steps, &symbols, &p), NS_OK); /* their sum is 1, but one is below 0 */
	assert_true(p[0] > 0 && fabs((double)p[2] - exp(.8) / (exp(-.5) + exp(.7) + exp(.8))) < 1e-6);
	free(p);
	p = NULL;
	assert_int_equal(ns_ctc_steps(&o3, &steps, &symbols, &p), NS_BAD_DATA); /* two texts */
	free(p);
	assert_int_equal(ns_ctc_greedy(tie, 1, 3, 0, text, &sure), 0); /* the first of two, a blank */
	assert_int_equal(ns_ctc_beam(twins, 1, 3, 0, 3, text, &sure), 1);
	assert_int_equal(text[0], 1);
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
	assert_int_equal(ns_mask(&o, mask), NS_OK); /* logits, as one is above 1 */
	assert_memory_equal(mask, ((const uint8_t[]){1, 1, 0, 1}), 4);
	assert_int_equal(ns_mask(&all, mask), NS_BAD_DATA);
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
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_yolox),
					   cmocka_unit_test(test_yolo),
					   cmocka_unit_test(test_two_tensors),
					   cmocka_unit_test(test_centerface),
					   cmocka_unit_test(test_suppress),
					   cmocka_unit_test(test_greedy),
					   cmocka_unit_test(test_beam),
					   cmocka_unit_test(test_narrow_beam),
					   cmocka_unit_test(test_regions),
					   cmocka_unit_test(test_maps),
					   cmocka_unit_test(test_average_precision),
					   cmocka_unit_test(test_average_precision_by_hand),
					   cmocka_unit_test(test_edits),
					   cmocka_unit_test(test_heads_edges),
					   cmocka_unit_test(test_centerface_classes),
					   cmocka_unit_test(test_overlap_exactly),
					   cmocka_unit_test(test_ctc_edges),
					   cmocka_unit_test(test_region_edges),
					   cmocka_unit_test(test_mask_edges),
					   cmocka_unit_test(test_precision_edges)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
