/*
 * tests/datasets/test_part.c - parts of images: what is decoded of a JPEG alone is what a whole decoding has there, whatever its sampling; scaling
 * is compared with its formula, in double.
 */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "datasets/decode/decode.h"
#include "host/base/base.h"
#include "tests/splitmix.h"

enum { H = 150, W = 203 };

static uint8_t image[H * W * 3];

static void paint(void)
{
	uint64_t state = 5;
	int y, x, k;

	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			for (k = 0; k < 3; k++)
				image[(y * W + x) * 3 + k] = (uint8_t)(int)(128 + 70 * sin(0.06 * x + k) * cos(0.05 * y - k) +
									    30 * ((x / 20 + y / 15) % 2) + (int)below(&state, 20));
}

/* components: 1, 3 or, of ink, 4 */
static unsigned char *compress(int components, int h_samp, int v_samp, int progressive, int restarts, unsigned long *bytes)
{
	struct jpeg_compress_struct of;
	struct jpeg_error_mgr errors;
	unsigned char *out = NULL;
	uint8_t row[W * 4];
	int x, k;

	*bytes = 0;
	of.err = jpeg_std_error(&errors);
	jpeg_create_compress(&of);
	jpeg_mem_dest(&of, &out, bytes);
	of.image_width = W;
	of.image_height = H;
	of.input_components = components;
	of.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
	jpeg_set_defaults(&of);
	jpeg_set_quality(&of, 90, TRUE);
	of.comp_info[0].h_samp_factor = components == 3 ? h_samp : 1;
	of.comp_info[0].v_samp_factor = components == 3 ? v_samp : 1;
	of.restart_interval = (unsigned)restarts;
	if (progressive)
		jpeg_simple_progression(&of);
	jpeg_start_compress(&of, TRUE);
	while (of.next_scanline < H) {
		JSAMPROW rows[1] = {row};

		for (x = 0; x < W; x++)
			for (k = 0; k < components; k++)
				row[x * components + k] = k < 3 ? image[((int)of.next_scanline * W + x) * 3 + k] : 200;
		jpeg_write_scanlines(&of, rows, 1);
	}
	jpeg_finish_compress(&of);
	jpeg_destroy_compress(&of);
	return out;
}

/* one value of the triangle filter over pixels least to most of a line, in double */
static double along(const double *line, int least, int most, double middle, double scale, int i, int outputs)
{
	double radius = scale > 1 ? scale : 1, centre = middle - 0.5 + (i + 0.5 - outputs * 0.5) * scale, sum = 0, total = 0;
	int k;

	for (k = (int)floor(centre - radius); k <= (int)ceil(centre + radius); k++) {
		double weight = fmax(0, 1 - fabs(k - centre) / radius);

		total += weight;
		sum += weight * line[k < least ? least : k > most ? most : k];
	}
	return sum / total;
}

/* The part of whole pixels, scaled by the formula. */
static void scale_by_formula(const uint8_t *whole, int c, const struct ns_part *p, int h, int w, double *out)
{
	double *rows = malloc(sizeof *rows * (size_t)(h * W * c)), line[H > W ? H : W];
	int y, x, k, i;

	for (x = 0; x < W; x++)
		for (k = 0; k < c; k++) {
			for (y = 0; y < H; y++)
				line[y] = whole[(y * W + x) * c + k];
			for (i = 0; i < h; i++)
				rows[(i * W + x) * c + k] = along(line, p->y, p->y + p->h - 1, p->y + p->h * 0.5, (double)p->h / h, i, h);
		}
	for (y = 0; y < h; y++)
		for (k = 0; k < c; k++) {
			for (x = 0; x < W; x++)
				line[x] = rows[(y * W + x) * c + k];
			for (i = 0; i < w; i++)
				out[(y * w + i) * c + k] = along(line, p->x, p->x + p->w - 1, p->x + p->w * 0.5, (double)p->w / w, i, w);
		}
	free(rows);
}

static struct ns_part some_part(uint64_t *state)
{
	struct ns_part p = {.h = 1 + (int)below(state, H), .w = 1 + (int)below(state, W)};

	p.y = (int)below(state, (uint64_t)(H - p.h + 1));
	p.x = (int)below(state, (uint64_t)(W - p.w + 1));
	return p;
}

/* *furthest, *mean: how far values are from the formula's */
static void compare(const uint8_t *got, const double *want, int n, double *furthest, double *mean)
{
	int i;

	for (*furthest = *mean = i = 0; i < n; i++) {
		double off = fabs(got[i] - want[i]);

		*furthest = off > *furthest ? off : *furthest;
		*mean += off / n;
	}
}

static void check_file(const unsigned char *file, unsigned long bytes, const char *what)
{
	struct ns_decode_options options = {0};
	uint64_t state = 77;
	uint8_t *whole;
	int h, w, c, turn;

	assert_int_equal(ns_decode(file, bytes, &options, &h, &w, &c, &whole, NULL), NS_OK);
	options.c = c;
	for (turn = 0; turn < 120; turn++) {
		struct ns_part p = turn ? some_part(&state) : (struct ns_part){0, 0, H, W};
		int th = 1 + (int)below(&state, 60), tw = 1 + (int)below(&state, 60), shrinks = p.h >= 4 * th && p.w >= 4 * tw;
		uint8_t *got = malloc((size_t)(th * tw * c));
		double *want = malloc(sizeof *want * (size_t)(th * tw * c)), furthest, mean;

		if (ns_decode_part(file, bytes, &options, &p, th, tw, got) != NS_OK)
			fail_msg("%s: (%d, %d) of %d x %d is refused: %s", what, p.y, p.x, p.h, p.w, ns_message());
		scale_by_formula(whole, c, &p, th, tw, want);
		compare(got, want, th * tw * c, &furthest, &mean);
		/* rounded to nearest; a picture that was scaled while it was decoded is another way of averaging */
		if (shrinks ? mean > 2.5 : furthest > 0.51)
			fail_msg("%s: (%d, %d) of %d x %d to %d x %d: %.2f apart, %.2f in the mean", what, p.y, p.x, p.h, p.w, th, tw, furthest,
				 mean);
		free(got);
		free(want);
	}
	free(whole);
}

/* Scaled to cover in one step and in two: the same pixels, warnings and refusals, whatever is wrong with the file. */
static int covers_as_whole(const uint8_t *file, size_t bytes, int c, int th, int tw, const char *what)
{
	struct ns_decode_options options = {.c = c};
	struct ns_image said, whole_said;
	uint8_t *whole, *got = malloc((size_t)(th * tw * c) + 1), *want = malloc((size_t)(th * tw * c));
	int h, w;
	enum ns_status status = ns_decode_cover(file, bytes, &options, th, tw, got, &said), wanted;

	wanted = ns_decode(file, bytes, &options, &h, &w, &c, &whole, &whole_said);
	if (status != wanted)
		fail_msg("%s to %d x %d: one step gives %d, two give %d: %s", what, th, tw, (int)status, (int)wanted, ns_message());
	if (status == NS_OK) {
		assert_int_equal(ns_resize(whole, h, w, c, want, th, tw), NS_OK);
		if (memcmp(got, want, (size_t)(th * tw * c)) != 0)
			fail_msg("%s to %d x %d: one step gives other pixels than two", what, th, tw);
		assert_int_equal(said.warnings, whole_said.warnings);
		assert_int_equal(said.h, whole_said.h);
		free(whole);
	}
	free(got);
	free(want);
	return status == NS_OK;
}

/* of sizes that leave out columns, rows, both ends or nothing; whole, and with a byte changed or the end missing */
static void covers_of(unsigned char *file, unsigned long bytes, const char *what)
{
	static const int sizes[][2] = {{224, 224}, {60, 20}, {20, 60}, {150, 100}, {150, 203}, {149, 203}, {7, 90}, {90, 7}, {1, 1}, {300, 10}};
	uint64_t state = 99;
	size_t i, good = 0, turns = 150;

	for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
		assert_true(covers_as_whole(file, bytes, i % 2 ? 3 : 1, sizes[i][0], sizes[i][1], what));
	for (i = 2; i < 200; i += 4) { /* enlarged, where an edge's pixels count most: as columns, and as rows */
		assert_true(covers_as_whole(file, bytes, 3, 2 * H, (int)i, what));
		assert_true(i % 3 || covers_as_whole(file, bytes, 3, (int)i, 2 * W, what));
	}
	for (i = 0; i < turns; i++) {
		size_t at = i % 3 ? 200 + below(&state, bytes - 200) : bytes - 1 - below(&state, 40);
		unsigned char before = file[at];
		const int *size = sizes[i % 7];

		file[at] ^= (unsigned char)(1 + below(&state, 255));
		good += (size_t)covers_as_whole(file, i % 5 ? bytes : at, 3, size[0], size[1], what);
		file[at] = before;
	}
	assert_in_range(good, 1, turns - 1); /* some were refused, and some were not */
}

static void covers_of_a_jpeg(void **state)
{
	static const struct {
		int components, h, v, progressive, restarts;
	} kinds[] = {{3, 1, 1, 0, 0}, {3, 2, 1, 0, 5}, {3, 2, 2, 0, 0}, {3, 2, 2, 0, 7}, {3, 2, 2, 1, 0}, {3, 1, 2, 0, 0},
		     {3, 4, 1, 0, 0}, {3, 1, 2, 1, 0}, {1, 1, 1, 0, 0}, {4, 1, 1, 0, 0}, {4, 1, 1, 1, 0}};
	size_t i;

	(void)state;
	paint();
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		unsigned long bytes;
		unsigned char *file = compress(kinds[i].components, kinds[i].h, kinds[i].v, kinds[i].progressive, kinds[i].restarts, &bytes);
		char what[64];

		snprintf(what, sizeof what, "%d components, %d x %d, %s", kinds[i].components, kinds[i].h, kinds[i].v,
			 kinds[i].progressive ? "progressive" : "sequential");
		covers_of(file, bytes, what);
		free(file);
	}
}

static void parts_of_a_jpeg(void **state)
{
	static const int samplings[][2] = {{1, 1}, {2, 1}, {2, 2}, {1, 2}, {4, 1}};
	size_t i;
	int progressive;

	(void)state;
	paint();
	for (i = 0; i < sizeof samplings / sizeof *samplings; i++)
		for (progressive = 0; progressive < 2; progressive++) {
			unsigned long bytes;
			unsigned char *file = compress(3, samplings[i][0], samplings[i][1], progressive, progressive ? 0 : 5, &bytes);
			char what[64];

			snprintf(what, sizeof what, "sampling %d x %d%s", samplings[i][0], samplings[i][1], progressive ? ", progressive" : "");
			check_file(file, bytes, what);
			free(file);
		}
}

static void parts_of_grey_and_ink(void **state)
{
	unsigned long bytes;
	unsigned char *file = compress(1, 1, 1, 0, 0, &bytes);

	(void)state;
	check_file(file, bytes, "grey");
	free(file);
	file = compress(4, 1, 1, 0, 0, &bytes);
	check_file(file, bytes, "ink");
	free(file);
}

/* A format that is decoded whole. */
static void parts_of_a_png(void **state)
{
	uint8_t *png;
	size_t bytes;

	(void)state;
	assert_int_equal(ns_png_encode(image, H, W, 3, &png, &bytes), NS_OK);
	{
		struct ns_decode_options options = {.c = 3};
		struct ns_part p = {20, 30, 64, 48};
		uint8_t got[64 * 48 * 3];
		int y;

		assert_int_equal(ns_decode_part(png, bytes, &options, &p, 64, 48, got), NS_OK);
		for (y = 0; y < 64; y++)
			assert_memory_equal(got + y * 48 * 3, image + ((y + 20) * W + 30) * 3, 48 * 3);
	}
	free(png);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(covers_of_a_jpeg), cmocka_unit_test(parts_of_a_jpeg),
					   cmocka_unit_test(parts_of_grey_and_ink), cmocka_unit_test(parts_of_a_png)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
