/*
 * tests/datasets/test_decode.c - each format against samples that are known because this test has written them: lossless ones to the last
 * bit. What is composed, turned, made grey or refused follows a formula that is written here once more.
 */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>
#ifdef NS_GIF
#include <gif_lib.h>
#endif
#ifdef NS_TIFF
#include <tiffio.h>
#include <unistd.h>
#endif
#ifdef NS_WEBP
#include <webp/encode.h>
#endif

#include "datasets/decode/decode.h"
#include "host/base/base.h"

enum { H = 5, W = 7, MOST = 1 << 16 };

static uint8_t file[MOST];
static size_t size;

static void put(const void *data, size_t n)
{
	assert_true(size + n <= MOST);
	memcpy(file + size, data, n);
	size += n;
}

static void put_little(uint32_t x, int bytes)
{
	int i;

	for (i = 0; i < bytes; i++) {
		uint8_t byte = (uint8_t)(x >> 8 * i);

		put(&byte, 1);
	}
}

/* a sample that differs in every pixel and channel */
static uint8_t sample(int y, int x, int k)
{
	return (uint8_t)(37 * y + 11 * x + 71 * k + 3);
}

static uint8_t grey_of(const uint8_t *x)
{
	return (uint8_t)((19595 * x[0] + 38470 * x[1] + 7471 * x[2] + 32768) >> 16);
}

/* decodes `file`, whose pixels are wanted to be (h, w, c); the caller frees them */
static uint8_t *decoded(struct ns_decode_options options, int h, int w, int c, struct ns_image *image)
{
	uint8_t *pixels = NULL;
	int hh = 0, ww = 0, cc = 0;

	if (ns_decode(file, size, &options, &hh, &ww, &cc, &pixels, image) != NS_OK)
		fail_msg("is refused: %s", ns_message());
	assert_int_equal(hh, h);
	assert_int_equal(ww, w);
	assert_int_equal(cc, c);
	return pixels;
}

static void is_refused(const char *why)
{
	struct ns_decode_options options = {0};
	uint8_t *pixels = NULL;
	int h, w, c;

	assert_int_equal(ns_decode(file, size, &options, &h, &w, &c, &pixels, NULL), NS_BAD_DATA);
	if (!strstr(ns_message(), why))
		fail_msg("is refused as '%s', wanted '%s'", ns_message(), why);
}

/* the samples that sample() gives, of a file of c channels */
static void is_sampled(int c)
{
	uint8_t *pixels = decoded((struct ns_decode_options){0}, H, W, c, NULL);
	int y, x, k;

	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			for (k = 0; k < c; k++)
				assert_int_equal(pixels[(y * W + x) * c + k], sample(y, x, k));
	free(pixels);
}

/* --- PNG --- */

static void on_write(png_structp png, png_bytep data, size_t n)
{
	(void)png;
	put(data, n);
}

static void on_flush(png_structp png)
{
	(void)png;
}

struct png_made {
	int type, bits, channels, interlaced;
	double gamma;
	int clear; /* grey or palette index that is transparent, -1: none */
	const uint8_t *exif;
	size_t exif_bytes;
};

static void make_png(const struct png_made *m, int h, int w)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	png_color palette[256];
	uint8_t row[8 * 2 * W * 4] = {0}, none[256];
	int y, x, k, pass, passes;

	size = 0;
	png_set_write_fn(png, NULL, on_write, on_flush);
	png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, m->bits, m->type, m->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	for (k = 0; k < 256; k++) {
		palette[k] = (png_color){(png_byte)k, (png_byte)(255 - k), (png_byte)(k / 2)};
		none[k] = k == m->clear ? 0 : 255;
	}
	if (m->type == PNG_COLOR_TYPE_PALETTE)
		png_set_PLTE(png, info, palette, 256);
	if (m->clear >= 0 && m->type == PNG_COLOR_TYPE_PALETTE)
		png_set_tRNS(png, info, none, 256, NULL);
	if (m->clear >= 0 && m->type == PNG_COLOR_TYPE_GRAY)
		png_set_tRNS(png, info, NULL, 0, &(png_color_16){.gray = (png_uint_16)m->clear});
	if (m->gamma > 0)
		png_set_gAMA(png, info, m->gamma);
	if (m->exif)
		png_set_eXIf_1(png, info, (png_uint_32)m->exif_bytes, (png_bytep)(uintptr_t)m->exif);
	png_write_info(png, info);
	passes = png_set_interlace_handling(png);
	for (pass = 0; pass < passes; pass++)
		for (y = 0; y < h; y++) {
			for (x = 0; x < w; x++)
				for (k = 0; k < m->channels; k++) {
					uint8_t *to = row + (x * m->channels + k) * m->bits / 8;

					to[0] = sample(y, x, k);
					if (m->bits == 16)
						to[1] = (uint8_t)(y + x);
				}
			png_write_row(png, row);
		}
	png_write_end(png, info);
	png_destroy_write_struct(&png, &info);
}

static void png_gives_stored_samples(void **state)
{
	static const struct png_made kinds[] = {
		{PNG_COLOR_TYPE_GRAY, 8, 1, 0, 0, -1, NULL, 0},	     {PNG_COLOR_TYPE_GRAY, 16, 1, 0, 0, -1, NULL, 0},
		{PNG_COLOR_TYPE_RGB, 8, 3, 0, 0, -1, NULL, 0},	     {PNG_COLOR_TYPE_RGB, 16, 3, 1, 0, -1, NULL, 0},
		{PNG_COLOR_TYPE_RGB, 8, 3, 1, 0.55556, -1, NULL, 0}, {PNG_COLOR_TYPE_GRAY, 8, 1, 0, 1, -1, NULL, 0},
		{PNG_COLOR_TYPE_RGBA, 8, 4, 0, 0, -1, NULL, 0},	     {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2, 0, 0, -1, NULL, 0},
		{PNG_COLOR_TYPE_RGBA, 16, 4, 1, 0, -1, NULL, 0},
	};
	uint8_t *pixels;
	size_t i;
	int y, x;

	(void)state;
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		make_png(&kinds[i], H, W);
		is_sampled(kinds[i].channels < 3 ? 1 : 3);
	}
	make_png(&(struct png_made){.type = PNG_COLOR_TYPE_PALETTE, .bits = 8, .channels = 1, .clear = sample(1, 2, 0)}, H, W);
	pixels = decoded((struct ns_decode_options){0}, H, W, 3, NULL);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++) {
			assert_int_equal(pixels[(y * W + x) * 3], sample(y, x, 0));
			assert_int_equal(pixels[(y * W + x) * 3 + 1], 255 - sample(y, x, 0));
		}
	free(pixels);
	size -= 20;
	is_refused("PNG: ends in the middle");
}

static void transparency_is_dropped_or_composed(void **state)
{
	static const uint8_t behind[] = {0x20, 0x40, 0xff};
	struct ns_decode_options options = {.background = 0x2040ff + 1};
	struct ns_image image;
	uint8_t *pixels;
	int y, x, k;

	(void)state;
	make_png(&(struct png_made){.type = PNG_COLOR_TYPE_RGBA, .bits = 8, .channels = 4, .clear = -1}, H, W);
	pixels = decoded(options, H, W, 3, &image);
	assert_true(image.alpha);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			for (k = 0; k < 3; k++) {
				int a = sample(y, x, 3);

				assert_int_equal(pixels[(y * W + x) * 3 + k], (sample(y, x, k) * a + behind[k] * (255 - a) + 127) / 255);
			}
	free(pixels);
	/* a grey that is transparent shows the colour behind it, where colour is wanted, and its grey where grey is */
	make_png(&(struct png_made){.type = PNG_COLOR_TYPE_GRAY, .bits = 8, .channels = 1, .clear = sample(1, 2, 0)}, H, W);
	options.c = 3;
	pixels = decoded(options, H, W, 3, NULL);
	assert_memory_equal(pixels + (W + 2) * 3, behind, 3);
	assert_int_equal(pixels[(W + 3) * 3], sample(1, 3, 0));
	assert_int_equal(pixels[(W + 3) * 3 + 2], sample(1, 3, 0));
	free(pixels);
	options.c = 1;
	pixels = decoded(options, H, W, 1, NULL);
	assert_int_equal(pixels[W + 2], grey_of(behind));
	assert_int_equal(pixels[W + 3], sample(1, 3, 0));
	free(pixels);
}

static void grey_is_bt601(void **state)
{
	uint8_t *pixels;
	int y, x;

	(void)state;
	make_png(&(struct png_made){.type = PNG_COLOR_TYPE_RGB, .bits = 8, .channels = 3, .clear = -1}, H, W);
	pixels = decoded((struct ns_decode_options){.c = 1}, H, W, 1, NULL);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++) {
			uint8_t colour[] = {sample(y, x, 0), sample(y, x, 1), sample(y, x, 2)};

			assert_int_equal(pixels[y * W + x], grey_of(colour));
		}
	free(pixels);
}

/* --- EXIF --- */

/* a folder of orientation, model and date, in either order of bytes */
static size_t make_exif(uint8_t *to, int orientation, int big)
{
	static const char model[] = "Lens 3", date[] = "2024:02:29 23:59:58";
	const struct {
		int tag, type, count, value;
	} entries[] = {{0x110, 2, 7, 50}, {0x112, 3, 1, orientation}, {0x132, 2, 20, 58}};
	size_t at = 0, i;
	int k;

#define PUT(x, n)                                                                                                                                    \
	for (k = 0; k < (n); k++)                                                                                                                    \
	to[at++] = (uint8_t)((unsigned)(x) >> 8 * (big ? (n)-1 - k : k))
	PUT(big ? 0x4d4d : 0x4949, 2);
	PUT(42, 2);
	PUT(8, 4);
	PUT(3, 2);
	for (i = 0; i < 3; i++) {
		PUT(entries[i].tag, 2);
		PUT(entries[i].type, 2);
		PUT(entries[i].count, 4);
		if (entries[i].type == 3) {
			PUT(entries[i].value, 2);
			PUT(0, 2);
		} else {
			PUT(entries[i].value, 4);
		}
	}
	PUT(0, 4);
#undef PUT
	memcpy(to + at, model, sizeof model);
	memcpy(to + at + 8, date, sizeof date);
	return at + 8 + sizeof date;
}

static void orientations_stand_upright(void **state)
{
	uint8_t exif[128], *pixels;
	struct ns_image image;
	int o, y, x;

	(void)state;
	for (o = 1; o <= 8; o++) {
		struct png_made made = {.type = PNG_COLOR_TYPE_GRAY, .bits = 8, .channels = 1, .clear = -1, .exif = exif};
		/* where the first stored row and column are: EXIF 2.3, 4.6.4 A */
		int h = o > 4 ? W : H, w = o > 4 ? H : W;

		made.exif_bytes = make_exif(exif, o, o % 2);
		make_png(&made, H, W);
		pixels = decoded((struct ns_decode_options){0}, h, w, 1, &image);
		assert_int_equal(image.orientation, o);
		assert_int_equal(image.time, 1709251198); /* date -u -d '2024-02-29 23:59:58' +%s */
		assert_string_equal(image.camera, "Lens 3");
		for (y = 0; y < H; y++)
			for (x = 0; x < W; x++) {
				int upright[9][2] = {{0, 0}, {y, x},	     {y, W - 1 - x},	     {H - 1 - y, W - 1 - x}, {H - 1 - y, x},
						     {x, y}, {x, H - 1 - y}, {W - 1 - x, H - 1 - y}, {W - 1 - x, y}};

				assert_int_equal(pixels[upright[o][0] * w + upright[o][1]], sample(y, x, 0));
			}
		free(pixels);
		pixels = decoded((struct ns_decode_options){.as_stored = 1}, H, W, 1, NULL);
		assert_int_equal(pixels[1], sample(0, 1, 0));
		free(pixels);
	}
}

/* --- JPEG --- */

/* one colour all over, of `parts` samples a pixel, so that what is lost is at most rounding */
static void make_jpeg(int parts, J_COLOR_SPACE space, const uint8_t *colour, int progressive)
{
	struct jpeg_error_mgr errors;
	struct jpeg_compress_struct jpeg = {.err = jpeg_std_error(&errors)};
	uint8_t row[16 * 4], *made = NULL;
	unsigned long bytes = 0;
	JSAMPROW rows = row;
	int y;

	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &made, &bytes);
	jpeg.image_width = jpeg.image_height = 16;
	jpeg.input_components = parts;
	jpeg.in_color_space = space;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, 100, TRUE);
	if (progressive)
		jpeg_simple_progression(&jpeg);
	jpeg_start_compress(&jpeg, TRUE);
	for (y = 0; y < 16 * parts; y++)
		row[y] = colour[y % parts];
	for (y = 0; y < 16; y++)
		jpeg_write_scanlines(&jpeg, &rows, 1);
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	size = 0;
	put(made, bytes);
	free(made);
}

static void is_colour(const uint8_t *wanted, int c, struct ns_image *image)
{
	uint8_t *pixels = decoded((struct ns_decode_options){0}, 16, 16, c, image);
	int k;

	for (k = 0; k < c; k++)
		assert_in_range(pixels[133 * c + k] + 2, wanted[k], wanted[k] + 4);
	free(pixels);
}

static void jpeg_of_any_colours(void **state)
{
	static const uint8_t rgb[] = {200, 60, 30}, ink[] = {250, 100, 40, 200}, mixed[] = {196, 78, 31};
	struct ns_image image;
	int i;

	(void)state;
	make_jpeg(1, JCS_GRAYSCALE, rgb, 0);
	is_colour(rgb, 1, NULL);
	make_jpeg(3, JCS_RGB, rgb, 1);
	is_colour(rgb, 3, NULL);
	make_jpeg(4, JCS_CMYK, ink, 0); /* as Adobe stores it: 255 is no ink */
	is_colour(mixed, 3, NULL);
	make_jpeg(3, JCS_RGB, rgb, 0);
	size -= 2;
	for (i = 0; i < 64; i++) /* bytes before the end marker: a warning, and whole pixels */
		put("\x55\x55\x55\x55", 4);
	put("\xff\xd9", 2);
	is_colour(rgb, 3, &image);
	assert_true(image.warnings > 0);
	make_jpeg(3, JCS_RGB, rgb, 0);
	size -= 2; /* no end marker */
	is_colour(rgb, 3, NULL);
	size = size * 9 / 10;
	is_refused("JPEG: ");
	make_jpeg(3, JCS_RGB, rgb, 1);
	size -= 10; /* in the middle of the last scan of a progressive file */
	is_refused("JPEG: ");
}

/* Three scans, one a component, as old writers made them: cut between scans it lacks its colours, whatever end is put behind. */
static void jpeg_lacks_no_scan(void **state)
{
	static const uint8_t rgb[] = {200, 60, 30};
	static const jpeg_scan_info scans[] = {{1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
	struct jpeg_error_mgr errors;
	struct jpeg_compress_struct jpeg = {.err = jpeg_std_error(&errors)};
	uint8_t row[16 * 3], *made = NULL;
	unsigned long bytes = 0;
	JSAMPROW rows = row;
	size_t i, second = 0;

	(void)state;
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &made, &bytes);
	jpeg.image_width = jpeg.image_height = 16;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, 100, TRUE);
	jpeg.scan_info = scans;
	jpeg.num_scans = 3;
	jpeg_start_compress(&jpeg, TRUE);
	for (i = 0; i < sizeof row; i++)
		row[i] = rgb[i % 3];
	for (i = 0; i < 16; i++)
		jpeg_write_scanlines(&jpeg, &rows, 1);
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	size = 0;
	put(made, bytes);
	free(made);
	is_colour(rgb, 3, NULL);
	for (i = 0; i + 1 < size; i++)
		if (file[i] == 0xff && file[i + 1] == 0xda && ++second == 2)
			break;
	size = i; /* behind the first scan (tables of the second may remain) */
	is_refused("JPEG: ");
	put("\xff\xd9", 2);
	is_refused("JPEG: ends before its last scan");
	/* what a phone appends behind the end marker is no scan */
	make_jpeg(3, JCS_RGB, rgb, 0);
	for (i = 0; i < 2000; i++)
		put("\xff\xda\0\x0c", 4);
	is_colour(rgb, 3, NULL);
}

/* --- others --- */

static void bmp_rows(int bits, int up)
{
	int y, x, k;

	for (y = 0; y < H; y++) {
		for (x = 0; x < W; x++) {
			int row = up ? H - 1 - y : y;

			if (bits == 8)
				put_little(sample(row, x, 0), 1);
			else if (bits == 16) /* 5, 6 and 5 bits: the high ones of each sample */
				put_little((uint32_t)(sample(row, x, 0) >> 3 << 11 | sample(row, x, 1) >> 2 << 5 | sample(row, x, 2) >> 3), 2);
			else
				for (k = bits / 8; k-- > 0;) { /* blue first, what is left over last */
					uint32_t order[] = {sample(row, x, 2), sample(row, x, 1), sample(row, x, 0), 0};

					put_little(order[bits / 8 - 1 - k], 1);
				}
		}
		while ((size - 54) % 4 && bits == 24)
			put_little(0, 1);
		if (bits == 8)
			put_little(0, 1);
		if (bits == 16)
			put_little(0, 2);
	}
}

static void bmp_header(int bits, int h, int compression, int extra)
{
	size = 0;
	put("BM", 2);
	put_little(0, 4);
	put_little(0, 4);
	put_little((uint32_t)(54 + extra), 4);
	put_little(40, 4);
	put_little(W, 4);
	put_little((uint32_t)h, 4);
	put_little(1, 2);
	put_little((uint32_t)bits, 2);
	put_little((uint32_t)compression, 4);
	put_little(0, 4);
	put_little(0, 4);
	put_little(0, 4);
	put_little(0, 4);
	put_little(0, 4);
}

static void bmp_of_any_depth(void **state)
{
	uint8_t *pixels;
	int i, y, x;

	(void)state;
	for (i = 0; i < 2; i++) {
		bmp_header(24, i ? -H : H, 0, 0);
		bmp_rows(24, !i);
		is_sampled(3);
		bmp_header(32, i ? -H : H, 0, 0);
		bmp_rows(32, !i);
		is_sampled(3);
	}
	size -= 9;
	is_refused("BMP: ends in the middle");
	bmp_header(8, H, 0, 1024);
	for (i = 0; i < 256; i++)
		put_little((uint32_t)i * 0x010101, 4);
	bmp_rows(8, 1);
	is_sampled(1);
	memset(file + 10, 0, 4); /* where the pixels begin is left out */
	is_sampled(1);
	file[10] = 40;
	is_refused("BMP: its pixels begin at byte 40, within its header");
	bmp_header(16, H, 3, 12);
	put_little(0xf800, 4);
	put_little(0x07e0, 4);
	put_little(0x001f, 4);
	bmp_rows(16, 1);
	pixels = decoded((struct ns_decode_options){0}, H, W, 3, NULL);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++) {
			assert_int_equal(pixels[(y * W + x) * 3], (sample(y, x, 0) >> 3) * 255 / 31);
			assert_int_equal(pixels[(y * W + x) * 3 + 1], (sample(y, x, 1) >> 2) * 255 / 63);
		}
	free(pixels);
	bmp_header(8, H, 1, 1024); /* runs: a row of sevens, then 1 2 3 and a skip; the rest is index 0 */
	for (i = 0; i < 256; i++)
		put_little((uint32_t)i * 0x010101, 4);
	put("\7\7\0\0\0\3\1\2\3\0\0\2\1\0\1\11\0\0\0\1", 20);
	pixels = decoded((struct ns_decode_options){0}, H, W, 1, NULL);
	for (x = 0; x < W; x++)
		assert_int_equal(pixels[(H - 1) * W + x], 7);
	assert_memory_equal(pixels + (H - 2) * W, "\1\2\3\0\11\0\0", 7);
	assert_int_equal(pixels[0], 0);
	free(pixels);
	bmp_header(8, H, 1, 1024); /* runs, and skips, far beyond the row's end */
	for (i = 0; i < 256; i++)
		put_little((uint32_t)i * 0x010101, 4);
	for (i = 0; i < 8000; i++)
		put(i % 2 ? "\0\2\377\0" : "\377\7\0\2\377\0", i % 2 ? 4 : 6);
	put("\0\1", 2);
	pixels = decoded((struct ns_decode_options){0}, H, W, 1, NULL);
	assert_int_equal(pixels[(H - 1) * W + W - 1], 7);
	assert_int_equal(pixels[0], 0);
	free(pixels);
}

static void pnm_of_any_kind(void **state)
{
	char text[32];
	int kind, y, x, k;
	uint8_t *pixels;

	(void)state;
	for (kind = 2; kind <= 6; kind++) {
		int c = kind % 3 ? 1 : 3;

		if (kind == 4)
			continue;
		size = 0;
		put(text, (size_t)snprintf(text, sizeof text, "P%d # so\n %d\n%d 255\n", kind, W, H));
		for (y = 0; y < H; y++)
			for (x = 0; x < W; x++)
				for (k = 0; k < c; k++)
					if (kind > 3)
						put_little(sample(y, x, k), 1);
					else
						put(text, (size_t)snprintf(text, sizeof text, "%d ", sample(y, x, k)));
		is_sampled(c);
		size -= 6;
		is_refused("PNM: ends in the middle");
	}
	size = 0;
	put("P4 9 2\n\x80\x80\x01\x00", 11);
	pixels = decoded((struct ns_decode_options){0}, 2, 9, 1, NULL);
	assert_memory_equal(pixels, "\0\377\377\377\377\377\377\377\0\377\377\377\377\377\377\377\0\377", 18);
	free(pixels);
	size = 0;
	put("P1 3 1 101", 10);
	pixels = decoded((struct ns_decode_options){0}, 1, 3, 1, NULL);
	assert_memory_equal(pixels, "\0\377\0", 3);
	free(pixels);
	size = 0;
	put("P1\n3 1\n# of 2010\n1#10\n01", 24); /* digits of a remark are no pixels */
	pixels = decoded((struct ns_decode_options){0}, 1, 3, 1, NULL);
	assert_memory_equal(pixels, "\0\377\0", 3);
	free(pixels);
	size = 0;
	put("P5 2 1 65535\n\x12\xff\xfe\x00", 17);
	pixels = decoded((struct ns_decode_options){0}, 1, 2, 1, NULL);
	assert_memory_equal(pixels, "\x12\xfe", 2);
	free(pixels);
}

#ifdef NS_WEBP
static void webp_without_loss(void **state)
{
	uint8_t rgba[H * W * 4], *made = NULL;
	int y, x, k;

	(void)state;
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			for (k = 0; k < 4; k++)
				rgba[(y * W + x) * 4 + k] = (uint8_t)(k < 3 ? sample(y, x, k) : 255 - 8 * y);
	size = WebPEncodeLosslessRGBA(rgba, W, H, W * 4, &made);
	memcpy(file, made, size);
	WebPFree(made);
	is_sampled(3);
	size -= 8;
	is_refused("WebP: ");
}
#endif

#ifdef NS_TIFF
/* the fourth sample, `extra`, is 0, 8, 16.. in the rows of an image, so that whoever multiplied by it is found */
static void make_tiff(int bits, int samples, int kind, int compression, int orientation, int format, uint16_t extra)
{
	char path[] = "/tmp/nightshift-tiff.XXXXXX";
	uint8_t row[W * 4 * 4];
	TIFF *tiff;
	FILE *f;
	int y, x, k, fd = mkstemp(path);

	assert_true(fd >= 0);
	tiff = TIFFFdOpen(fd, path, "w");
	assert_non_null(tiff);
	TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, W);
	TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, H);
	TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits);
	TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, samples);
	TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, format);
	TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, kind);
	TIFFSetField(tiff, TIFFTAG_COMPRESSION, compression);
	TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
	TIFFSetField(tiff, TIFFTAG_ORIENTATION, orientation);
	if (samples == 4)
		TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
	for (y = 0; y < H; y++) {
		memset(row, 0, sizeof row);
		for (x = 0; x < W; x++)
			for (k = 0; k < samples; k++) {
				uint8_t value = k == 3				 ? (uint8_t)(8 * y)
						: kind == PHOTOMETRIC_MINISWHITE ? (uint8_t)(255 - sample(y, x, k))
										 : sample(y, x, k);
				uint16_t wide = (uint16_t)(value << 8 | value);

				memcpy(row + (x * samples + k) * bits / 8, bits == 16 ? (void *)&wide : (void *)&value, (size_t)(bits == 16 ? 2 : 1));
			}
		assert_true(TIFFWriteScanline(tiff, row, (uint32_t)y, 0) == 1);
	}
	TIFFClose(tiff);
	f = fopen(path, "rb");
	assert_non_null(f);
	size = fread(file, 1, MOST, f);
	fclose(f);
	unlink(path);
}

/* Tiles of 16 x 16 hold 256 bytes: libtiff 4.5 takes such only where it sees the file as memory. */
static void tiff_of_small_tiles(void **state)
{
	uint8_t tile[16 * 16] = {0};
	char path[] = "/tmp/nightshift-tiff.XXXXXX";
	int y, x, fd = mkstemp(path);
	TIFF *tiff;
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	tiff = TIFFFdOpen(fd, path, "w");
	assert_non_null(tiff);
	TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, W);
	TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, H);
	TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
	TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
	TIFFSetField(tiff, TIFFTAG_TILEWIDTH, 16);
	TIFFSetField(tiff, TIFFTAG_TILELENGTH, 16);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			tile[16 * y + x] = sample(y, x, 0);
	assert_true(TIFFWriteTile(tiff, tile, 0, 0, 0, 0) == sizeof tile);
	TIFFClose(tiff);
	f = fopen(path, "rb");
	assert_non_null(f);
	size = fread(file, 1, MOST, f);
	fclose(f);
	unlink(path);
	is_sampled(1);
}

/* Alpha of its own that is not of 8 bits, or in a plane of its own, is dropped: colours are not multiplied by it. */
static void tiff_with_alpha_beside(void **state)
{
	uint16_t extra = EXTRASAMPLE_UNASSALPHA;
	char path[] = "/tmp/nightshift-tiff.XXXXXX";
	uint8_t row[W];
	int y, x, k, fd = mkstemp(path);
	TIFF *tiff;
	FILE *f;

	(void)state;
	make_tiff(16, 4, PHOTOMETRIC_RGB, COMPRESSION_NONE, 1, SAMPLEFORMAT_UINT, extra);
	is_sampled(3);
	assert_true(fd >= 0);
	tiff = TIFFFdOpen(fd, path, "w");
	assert_non_null(tiff);
	TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, W);
	TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, H);
	TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
	TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 4);
	TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
	TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
	TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_SEPARATE);
	for (k = 0; k < 4; k++)
		for (y = 0; y < H; y++) {
			for (x = 0; x < W; x++)
				row[x] = k == 3 ? (uint8_t)(8 * y) : sample(y, x, k);
			assert_true(TIFFWriteScanline(tiff, row, (uint32_t)y, (uint16_t)k) == 1);
		}
	TIFFClose(tiff);
	f = fopen(path, "rb");
	assert_non_null(f);
	size = fread(file, 1, MOST, f);
	fclose(f);
	unlink(path);
	is_sampled(3);
}

static void tiff_of_any_depth(void **state)
{
	uint8_t *pixels;

	(void)state;
	make_tiff(8, 1, PHOTOMETRIC_MINISBLACK, COMPRESSION_NONE, 1, SAMPLEFORMAT_UINT, EXTRASAMPLE_UNASSALPHA);
	is_sampled(1);
	make_tiff(8, 1, PHOTOMETRIC_MINISWHITE, COMPRESSION_LZW, 1, SAMPLEFORMAT_UINT, EXTRASAMPLE_UNASSALPHA);
	is_sampled(1);
	make_tiff(8, 3, PHOTOMETRIC_RGB, COMPRESSION_ADOBE_DEFLATE, 1, SAMPLEFORMAT_UINT, EXTRASAMPLE_UNASSALPHA);
	is_sampled(3);
	make_tiff(16, 3, PHOTOMETRIC_RGB, COMPRESSION_LZW, 1, SAMPLEFORMAT_UINT, EXTRASAMPLE_UNASSALPHA);
	is_sampled(3);
	make_tiff(8, 4, PHOTOMETRIC_RGB, COMPRESSION_NONE, 1, SAMPLEFORMAT_UINT, EXTRASAMPLE_UNASSALPHA);
	is_sampled(3);
	pixels = decoded((struct ns_decode_options){.background = 0x000000 + 1}, H, W, 3, NULL);
	assert_int_equal(pixels[0], 0); /* the first row is wholly transparent */
	assert_int_equal(pixels[4 * W * 3], (sample(4, 0, 0) * 32 + 127) / 255);
	free(pixels);
	make_tiff(8, 4, PHOTOMETRIC_RGB, COMPRESSION_LZW, 1, SAMPLEFORMAT_UINT, EXTRASAMPLE_UNSPECIFIED); /* as an infrared channel is */
	is_sampled(3);
	make_tiff(8, 1, PHOTOMETRIC_MINISBLACK, COMPRESSION_NONE, 6, SAMPLEFORMAT_UINT, EXTRASAMPLE_UNASSALPHA);
	pixels = decoded((struct ns_decode_options){0}, W, H, 1, NULL);
	assert_int_equal(pixels[0], sample(H - 1, 0, 0)); /* the first stored row is on the right */
	assert_int_equal(pixels[H - 1], sample(0, 0, 0));
	free(pixels);
	pixels = decoded((struct ns_decode_options){.as_stored = 1}, H, W, 1, NULL);
	assert_int_equal(pixels[W - 1], sample(0, W - 1, 0));
	free(pixels);
	make_tiff(32, 1, PHOTOMETRIC_MINISBLACK, COMPRESSION_NONE, 1, SAMPLEFORMAT_IEEEFP, EXTRASAMPLE_UNASSALPHA);
	is_refused("floating point");
}
#endif

#ifdef NS_GIF
static int on_gif(GifFileType *gif, const GifByteType *data, int n)
{
	(void)gif;
	put(data, (size_t)n);
	return n;
}

static void gif_first_frame(void **state)
{
	GraphicsControlBlock control = {.TransparentColor = 2};
	GifColorType colours[4] = {{10, 20, 30}, {200, 100, 50}, {1, 2, 3}, {255, 255, 255}};
	GifByteType block[4], row[3];
	ColorMapObject *map = GifMakeMapObject(4, colours);
	GifFileType *gif;
	struct ns_image image;
	uint8_t *pixels;
	int error, frame, y, x;

	(void)state;
	size = 0;
	gif = EGifOpen(NULL, on_gif, &error);
	assert_non_null(gif);
	EGifSetGifVersion(gif, true);
	EGifPutScreenDesc(gif, 4, 3, 8, 0, map);
	GifFreeMapObject(map);
	for (frame = 0; frame < 2; frame++) {
		EGifGCBToExtension(&control, block);
		EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, 4, block);
		EGifPutImageDesc(gif, 1, 1, 3, 2, frame == 0, NULL); /* interlaced, below and right of the canvas's corner */
		for (y = 0; y < 2; y++) {
			for (x = 0; x < 3; x++)
				row[x] = (GifByteType)(frame ? 3 : (y + x) % 3);
			EGifPutLine(gif, row, 3);
		}
	}
	EGifCloseFile(gif, &error);
	pixels = decoded((struct ns_decode_options){.background = 0x808080 + 1}, 3, 4, 3, &image);
	assert_true(image.alpha);
	for (y = 0; y < 3; y++)
		for (x = 0; x < 4; x++) {
			int index = y && x ? (y - 1 + x - 1) % 3 : 2;
			uint8_t wanted = index == 2 ? 0x80 : colours[index].Red;

			assert_int_equal(pixels[(y * 4 + x) * 3], wanted);
		}
	free(pixels);
}
#endif

static void refusals_name_what_it_is(void **state)
{
	struct ns_decode_options options = {.pixels_max = H * W - 1};
	uint8_t *pixels;
	int h, w, c;

	(void)state;
	size = 0;
	is_refused("empty");
	put("\0\0\0\x18"
	    "ftypheic....",
	    16);
	is_refused("HEIC"); /* by name or, where HEIC is read, as a header that ends: test_decode_more.c */
	size = 0;
	put("<html>404</html>", 16);
	is_refused("HTML");
	size = 0;
	put("hello, world ...", 16);
	is_refused("no image");
	make_png(&(struct png_made){.type = PNG_COLOR_TYPE_RGB, .bits = 8, .channels = 3, .clear = -1}, H, W);
	assert_int_equal(ns_decode(file, size, &options, &h, &w, &c, &pixels, NULL), NS_BAD_DATA);
	assert_non_null(strstr(ns_message(), "at most 34"));
	options.pixels_max = H * W;
	assert_int_equal(ns_decode(file, size, &options, &h, &w, &c, &pixels, NULL), NS_OK);
	free(pixels);
	memcpy(file + 16, "\0\1\0\0\0\1\0\0", 8); /* 65,536 x 65,536 */
	is_refused("65536 x 65536");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(png_gives_stored_samples),
		cmocka_unit_test(transparency_is_dropped_or_composed),
		cmocka_unit_test(grey_is_bt601),
		cmocka_unit_test(orientations_stand_upright),
		cmocka_unit_test(jpeg_of_any_colours),
		cmocka_unit_test(jpeg_lacks_no_scan),
		cmocka_unit_test(bmp_of_any_depth),
		cmocka_unit_test(pnm_of_any_kind),
#ifdef NS_WEBP
		cmocka_unit_test(webp_without_loss),
#endif
#ifdef NS_TIFF
		cmocka_unit_test(tiff_of_any_depth),
		cmocka_unit_test(tiff_of_small_tiles),
		cmocka_unit_test(tiff_with_alpha_beside),
#endif
#ifdef NS_GIF
		cmocka_unit_test(gif_first_frame),
#endif
		cmocka_unit_test(refusals_name_what_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
