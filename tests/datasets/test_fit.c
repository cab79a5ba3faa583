/* tests/datasets/test_fit.c - scaling to the bit as Pillow 13.0 and OpenCV 5.0 scaled the same pixels, and where images lie on a network's canvas. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"

static uint8_t *noise(int64_t n)
{
	uint8_t *x = malloc((size_t)n);
	uint32_t s = 12345;
	int64_t i;

	assert_non_null(x);
	for (i = 0; i < n; i++) {
		s = s * 1664525 + 1013904223;
		x[i] = (uint8_t)(s >> 24);
	}
	return x;
}

/* FNV-1a */
static uint64_t digest(const uint8_t *x, int64_t n)
{
	uint64_t h = 0xcbf29ce484222325;
	int64_t i;

	for (i = 0; i < n; i++)
		h = (h ^ x[i]) * 0x100000001b3;
	return h;
}

/* What Image.resize() and cv2.resize() made of the same noise. */
static const struct {
	enum ns_filter filter;
	int xh, xw, c, h, w;
	uint64_t digest;
} peers[] = {
	{NS_FILTER_BILINEAR, 37, 53, 3, 20, 31, 0xf40d556fe905f8d0}, {NS_FILTER_BICUBIC, 37, 53, 3, 20, 31, 0x4b14135cc9e8e136},
	{NS_FILTER_LANCZOS, 37, 53, 3, 20, 31, 0xa61ab5bc1164237d},  {NS_FILTER_BOX, 37, 53, 3, 20, 31, 0x6de60712c9de54b7},
	{NS_FILTER_NEAREST, 37, 53, 3, 20, 31, 0xbe9a50dd38a5b0c9},  {NS_FILTER_OPENCV, 37, 53, 3, 20, 31, 0x79c2ecbe5160ed79},
	{NS_FILTER_BILINEAR, 20, 31, 3, 37, 53, 0xec3aeb9166f3de3f}, {NS_FILTER_BICUBIC, 20, 31, 3, 37, 53, 0x5fc268bba4b04da9},
	{NS_FILTER_LANCZOS, 20, 31, 3, 37, 53, 0xf8d4a7476d595de0},  {NS_FILTER_BOX, 20, 31, 3, 37, 53, 0x9217b63e190fd45c},
	{NS_FILTER_NEAREST, 20, 31, 3, 37, 53, 0xe554ea4458a3aa60},  {NS_FILTER_OPENCV, 20, 31, 3, 37, 53, 0xf04c78679b51a707},
	{NS_FILTER_BILINEAR, 64, 48, 3, 32, 24, 0x6896367b55763e28}, {NS_FILTER_BICUBIC, 64, 48, 3, 32, 24, 0x594e8381766d6024},
	{NS_FILTER_LANCZOS, 64, 48, 3, 32, 24, 0xe3187f990b200902},  {NS_FILTER_BOX, 64, 48, 3, 32, 24, 0xa02d0b0bcf85377e},
	{NS_FILTER_NEAREST, 64, 48, 3, 32, 24, 0x62d192a4deb8ba47},  {NS_FILTER_OPENCV, 64, 48, 3, 32, 24, 0x943149e8cf479c54},
	{NS_FILTER_BILINEAR, 33, 7, 1, 5, 7, 0x50a700674ede2ba8},    {NS_FILTER_BICUBIC, 33, 7, 1, 5, 7, 0xa0f6546b1e70ad88},
	{NS_FILTER_LANCZOS, 33, 7, 1, 5, 7, 0x6a1cb7ad60ed28b0},     {NS_FILTER_BOX, 33, 7, 1, 5, 7, 0xa120b27d7bc4d57a},
	{NS_FILTER_NEAREST, 33, 7, 1, 5, 7, 0xa53f21c9e5f012b0},     {NS_FILTER_OPENCV, 33, 7, 1, 5, 7, 0xf986a0864f74ce92},
	{NS_FILTER_BILINEAR, 9, 40, 1, 9, 13, 0xe2cbad557bc62959},   {NS_FILTER_BICUBIC, 9, 40, 1, 9, 13, 0x61b2bcc1f6cb6e4b},
	{NS_FILTER_LANCZOS, 9, 40, 1, 9, 13, 0xbe97305d9e80562b},    {NS_FILTER_BOX, 9, 40, 1, 9, 13, 0xe32cbeb499c1fcf7},
	{NS_FILTER_NEAREST, 9, 40, 1, 9, 13, 0x56bfdc4c1eac9589},    {NS_FILTER_OPENCV, 9, 40, 1, 9, 13, 0xf2b324834d355d4e},
	{NS_FILTER_BILINEAR, 5, 4, 3, 5, 4, 0x64a010da0fcdea50},     {NS_FILTER_BICUBIC, 5, 4, 3, 5, 4, 0x64a010da0fcdea50},
	{NS_FILTER_LANCZOS, 5, 4, 3, 5, 4, 0x64a010da0fcdea50},	     {NS_FILTER_BOX, 5, 4, 3, 5, 4, 0x64a010da0fcdea50},
	{NS_FILTER_NEAREST, 5, 4, 3, 5, 4, 0x64a010da0fcdea50},	     {NS_FILTER_OPENCV, 5, 4, 3, 5, 4, 0x64a010da0fcdea50},
	{NS_FILTER_BILINEAR, 100, 90, 3, 3, 2, 0x98b63cc246caa4a0},  {NS_FILTER_BICUBIC, 100, 90, 3, 3, 2, 0x65f8dc7579d5bbd5},
	{NS_FILTER_LANCZOS, 100, 90, 3, 3, 2, 0x5b775b007a33e540},   {NS_FILTER_BOX, 100, 90, 3, 3, 2, 0xde56f9af6833a7ea},
	{NS_FILTER_NEAREST, 100, 90, 3, 3, 2, 0x6a975eff5f0f493},    {NS_FILTER_OPENCV, 100, 90, 3, 3, 2, 0x96cb91de84306f58},
	{NS_FILTER_BILINEAR, 3, 2, 3, 50, 60, 0xb0995449ed76a55f},   {NS_FILTER_BICUBIC, 3, 2, 3, 50, 60, 0xf7e46af3646881c8},
	{NS_FILTER_LANCZOS, 3, 2, 3, 50, 60, 0x8dc0b8fa54fb5955},    {NS_FILTER_BOX, 3, 2, 3, 50, 60, 0x5799634e9f5b65ff},
	{NS_FILTER_NEAREST, 3, 2, 3, 50, 60, 0x5799634e9f5b65ff},    {NS_FILTER_OPENCV, 3, 2, 3, 50, 60, 0xa27a7fa17647c93b},
	{NS_FILTER_BILINEAR, 1, 1, 3, 4, 5, 0x2c100e581574c25},	     {NS_FILTER_BICUBIC, 1, 1, 3, 4, 5, 0x2c100e581574c25},
	{NS_FILTER_LANCZOS, 1, 1, 3, 4, 5, 0x2c100e581574c25},	     {NS_FILTER_BOX, 1, 1, 3, 4, 5, 0x2c100e581574c25},
	{NS_FILTER_NEAREST, 1, 1, 3, 4, 5, 0x2c100e581574c25},	     {NS_FILTER_OPENCV, 1, 1, 3, 4, 5, 0x2c100e581574c25},
};

static void test_peers(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof peers / sizeof *peers; i++) {
		int64_t n = (int64_t)peers[i].h * peers[i].w * peers[i].c;
		uint8_t *x = noise((int64_t)peers[i].xh * peers[i].xw * peers[i].c), *y = malloc((size_t)n);

		assert_non_null(y);
		assert_int_equal(ns_filter(peers[i].filter, x, peers[i].xh, peers[i].xw, peers[i].c, y, peers[i].h, peers[i].w), NS_OK);
		if (digest(y, n) != peers[i].digest)
			fail_msg("%s of %dx%dx%d to %dx%d", ns_filter_name(peers[i].filter), peers[i].xh, peers[i].xw, peers[i].c, peers[i].h,
				 peers[i].w);
		free(x);
		free(y);
	}
}

/* By hand, from the formulas of the programs that they are named after. */
static const struct {
	struct ns_fit fit;
	int xh, xw;
	struct ns_placed placed;
} places[] = {
	{{NS_FIT_STRETCH, NS_FILTER_BILINEAR, 32, 64, 0, 0, 0}, 100, 50, {32, 64, 0, 0, 32, 64, .32, 1.28}},
	/* torchvision: Resize(256), CenterCrop(224) of 480 x 640: 256 x 341, from row 16 and column 58 (58.5 rounds to even) */
	{{NS_FIT_COVER, NS_FILTER_BILINEAR, 224, 224, 256, 0, 0}, 480, 640, {224, 224, -16, -58, 256, 341, 256 / 480., 341 / 640.}},
	{{NS_FIT_COVER, NS_FILTER_BILINEAR, 224, 224, 0, 0, 0}, 448, 448, {224, 224, 0, 0, 224, 224, .5, .5}},
	/* YOLO: 1080 x 1920 into 640 x 640: 360 x 640, 140 rows above */
	{{NS_FIT_LETTERBOX, NS_FILTER_OPENCV, 640, 640, 0, 0, 114}, 1080, 1920, {640, 640, 140, 0, 360, 640, 1 / 3., 1 / 3.}},
	/* an odd rest: (416 - 277) / 2 - .1 = 69.4 */
	{{NS_FIT_LETTERBOX, NS_FILTER_OPENCV, 416, 416, 0, 0, 114}, 333, 500, {416, 416, 69, 0, 277, 416, 277 / 333., .832}},
	/* YOLOX: 333 * .832 = 277.056 */
	{{NS_FIT_CORNER, NS_FILTER_OPENCV, 416, 416, 0, 0, 114}, 333, 500, {416, 416, 0, 0, 277, 416, 277 / 333., .832}},
	/* PP-OCR's detector: 1200 x 900 at most 960 long: 960 x 720 in multiples of 32, 720 / 32 = 22.5 rounds to even */
	{{NS_FIT_WITHIN, NS_FILTER_OPENCV, 960, 960, 0, 32, 0}, 1200, 900, {960, 704, 0, 0, 960, 704, .8, 704 / 900.}},
	{{NS_FIT_WITHIN, NS_FILTER_OPENCV, 960, 960, 0, 32, 0}, 100, 10, {96, 32, 0, 0, 96, 32, .96, 3.2}},
	{{NS_FIT_WITHIN, NS_FILTER_OPENCV, 960, 960, 0, 32, 0}, 730, 100, {736, 96, 0, 0, 736, 96, 736 / 730., .96}}, /* 22.8 of 32 */
	{{NS_FIT_WITHIN, NS_FILTER_OPENCV, 960, 640, 0, 32, 0}, 1200, 900, {960, 704, 0, 0, 960, 704, .8, 704 / 900.}},
	{{NS_FIT_COVER, NS_FILTER_BILINEAR, 200, 100, 120, 0, 0}, 400, 400, {200, 100, 40, -10, 120, 120, .3, .3}},
	/* torchvision: Resize(30) of 90 x 66 is 40 x 30; CenterCrop pads what is too short, the smaller half before */
	{{NS_FIT_COVER, NS_FILTER_BILINEAR, 24, 40, 30, 0, 0}, 90, 66, {24, 40, -8, 5, 40, 30, 40 / 90., 30 / 66.}},
	{{NS_FIT_COVER, NS_FILTER_BILINEAR, 32, 32, 25, 0, 0}, 50, 50, {32, 32, 3, 3, 25, 25, .5, .5}},
	/* PaddleOCR cuts before it rounds: 720.4 is 720, 22.5 of 32, which rounds to 22 */
	{{NS_FIT_WITHIN, NS_FILTER_OPENCV, 960, 960, 0, 32, 0}, 730, 973, {704, 960, 0, 0, 704, 960, 704 / 730., 960 / 973.}},
	/* YOLOX cuts what floating point makes of 416 / 180: 415.99.. and 311.99.. */
	{{NS_FIT_CORNER, NS_FILTER_OPENCV, 416, 416, 0, 0, 114}, 135, 180, {416, 416, 0, 0, 311, 415, 311 / 135., 415 / 180.}},
	/* what is covered by area is not scaled to its whole length first */
	{{NS_FIT_COVER, NS_FILTER_AREA, 32, 32, 0, 0, 0}, 1, 16000, {32, 32, 0, -255984, 32, 512000, 32, 32}},
	{{NS_FIT_LETTERBOX, NS_FILTER_OPENCV, 416, 416, 0, 0, 114}, 500, 333, {416, 416, 0, 69, 416, 277, .832, 277 / 333.}},
	{{NS_FIT_LETTERBOX, NS_FILTER_OPENCV, 10, 10, 0, 0, 114}, 1, 1000, {10, 10, 4, 0, 1, 10, 1, .01}},
	/* PP-OCR's reader: 48 high, at least 320 wide */
	{{NS_FIT_HEIGHT, NS_FILTER_OPENCV, 48, 320, 0, 0, 127.5}, 40, 100, {48, 320, 0, 0, 48, 120, 1.2, 1.2}},
	{{NS_FIT_HEIGHT, NS_FILTER_OPENCV, 48, 320, 0, 0, 127.5}, 31, 301, {48, 466, 0, 0, 48, 466, 48 / 31., 466 / 301.}},
};

static void test_places(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof places / sizeof *places; i++) {
		const struct ns_placed *w = &places[i].placed;
		struct ns_placed p;

		assert_int_equal(ns_fit_place(&places[i].fit, places[i].xh, places[i].xw, &p), NS_OK);
		if (p.canvas_h != w->canvas_h || p.canvas_w != w->canvas_w || p.y != w->y || p.x != w->x || p.h != w->h || p.w != w->w ||
		    fabs(p.down - w->down) > 1e-12 || fabs(p.across - w->across) > 1e-12)
			fail_msg("%s of %dx%d: %dx%d at %d, %d on %dx%d, %g and %g", ns_fit_name(places[i].fit.rule), places[i].xh, places[i].xw, p.h,
				 p.w, p.y, p.x, p.canvas_h, p.canvas_w, p.down, p.across);
	}
}

/* Exactly half of one side alone is no mean of four; what would be too long is refused. */
static void test_edges(void **state)
{
	const struct ns_fit high = {NS_FIT_HEIGHT, NS_FILTER_OPENCV, 48, 320, 0, 0, 0}, cut = {NS_FIT_COVER, NS_FILTER_AREA, 8, 8, 10, 0, 0};
	uint8_t x[4 * 48], y[2 * 20];
	struct ns_placed p;
	int i, j;

	(void)state;
	for (i = 0; i < 4; i++)
		for (j = 0; j < 48; j++)
			x[i * 48 + j] = (uint8_t)(5 * j);
	assert_int_equal(ns_filter(NS_FILTER_OPENCV, x, 4, 48, 1, y, 2, 20), NS_OK);
	for (j = 0; j < 20; j++)
		assert_true(fabs(y[j] - 5 * ((j + .5) * 2.4 - .5)) <= 1);
	assert_int_equal(ns_fit_place(&high, 10, 5000, &p), NS_BAD_DATA);
	assert_int_equal(ns_fit_check(&cut), NS_CONFIG);
}

/* Pixels on the canvas: the image's, and what fills the rest. */
static void test_image(void **state)
{
	const struct ns_fit fit = {NS_FIT_LETTERBOX, NS_FILTER_NEAREST, 4, 2, 0, 0, 51};
	const float mean[3] = {.1f, .2f, .3f}, std[3] = {1, .5f, .25f};
	const uint8_t x[12] = {0, 51, 102, 153, 204, 255, 10, 20, 30, 40, 50, 60};
	struct ns_placed p;
	float y[24];
	int k;

	(void)state;
	assert_int_equal(ns_fit_place(&fit, 2, 2, &p), NS_OK);
	assert_int_equal(p.y, 1);
	assert_int_equal(ns_fit_image(&fit, &p, x, 2, 2, 3, mean, std, y), NS_OK);
	for (k = 0; k < 3; k++) {
		assert_true(fabs((double)y[k] - (double)((.2f - mean[k]) / std[k])) < 1e-6);			    /* filled */
		assert_true(fabs((double)y[6 + k] - (double)(((float)x[k] / 255 - mean[k]) / std[k])) < 1e-6);	    /* the first pixel */
		assert_true(fabs((double)y[15 + k] - (double)(((float)x[9 + k] / 255 - mean[k]) / std[k])) < 1e-6); /* the last */
	}
}

/* The filter that covers is what ingest uses, and goes with no other rule. */
static void test_area(void **state)
{
	const struct ns_fit fit = {NS_FIT_COVER, NS_FILTER_AREA, 8, 8, 0, 0, 0}, other = {NS_FIT_STRETCH, NS_FILTER_AREA, 8, 8, 0, 0, 0};
	const float mean[1] = {0}, std[1] = {1};
	uint8_t *x = noise(20 * 30), same[64];
	struct ns_placed p;
	float y[64];
	int i;

	(void)state;
	assert_int_equal(ns_fit_check(&other), NS_CONFIG);
	assert_int_equal(ns_fit_check(&fit), NS_OK);
	assert_int_equal(ns_fit_place(&fit, 20, 30, &p), NS_OK);
	assert_int_equal(ns_fit_image(&fit, &p, x, 20, 30, 1, mean, std, y), NS_OK);
	assert_int_equal(ns_resize(x, 20, 30, 1, same, 8, 8), NS_OK);
	for (i = 0; i < 64; i++)
		assert_true(fabs((double)y[i] * 255 - same[i]) < 1e-4);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_peers), cmocka_unit_test(test_places), cmocka_unit_test(test_image),
					   cmocka_unit_test(test_area), cmocka_unit_test(test_edges)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
