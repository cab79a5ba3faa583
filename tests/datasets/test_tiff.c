/*
 * tests/datasets/test_tiff.c - TIFF's layouts: grey, RGB and CMYK, of any depth, with and without more samples, in strips or tiles, together or
 * plane by plane. Each file's samples are known because this test has packed their bits.
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

#ifdef NS_TIFF
#include <tiffio.h>
#include <unistd.h>

#include "datasets/decode/decode.h"
#include "host/base/base.h"

enum { H = 21, W = 37, TILE = 16, MOST = 1 << 18 };

struct layout {
	int kind, colours, extra; /* extra: -1 no further sample, else what it is */
	int bits, planar, tiled, big, compression;
};

static uint8_t file[MOST];
static size_t size;

/* of `bits` bits; the sample behind the colours is 0 in the first rows, so that whoever multiplied by it is found */
static uint32_t sample(const struct layout *l, int y, int x, int k)
{
	uint32_t v = (uint32_t)(2654435761u * (uint32_t)(37 * y + 11 * x + 71 * k + 3)) >> (32 - l->bits);

	if (k == l->colours)
		return y < 4 ? 0 : (uint32_t)((1 << l->bits) - 1);
	return v;
}

/* a row of a block: `samples` samples of each of `wide` pixels from x0 on, the first of them `first` */
static void pack(const struct layout *l, uint8_t *row, size_t bytes, int y, int x0, int wide, int first, int samples)
{
	size_t at = 0;
	int x, k, b;

	memset(row, 0, bytes);
	for (x = x0; x < x0 + wide; x++)
		for (k = first; k < first + samples; k++) {
			uint32_t v = x < W && y < H ? sample(l, y, x, k) : 0;
			uint16_t two = (uint16_t)v;

			if (l->bits == 16)
				memcpy(row + at / 8, &two, 2); /* libtiff puts it in the file's order */
			for (b = 0; b < l->bits && l->bits != 16; b++)
				row[(at + (size_t)b) / 8] |= (uint8_t)((v >> (l->bits - 1 - b) & 1) << (7 - (at + (size_t)b) % 8));
			at += (size_t)l->bits;
		}
}

static void write_blocks(TIFF *tiff, const struct layout *l, int samples)
{
	int planes = l->planar == PLANARCONFIG_SEPARATE ? samples : 1, each = samples / planes, wide = l->tiled ? TILE : W, plane, y, x, i;
	size_t bytes = ((size_t)wide * (size_t)each * (size_t)l->bits + 7) / 8;
	uint8_t *block = malloc(bytes * TILE);
	uint32_t number = 0;

	for (plane = 0; plane < planes; plane++)
		for (y = 0; y < H; y += l->tiled ? TILE : 8)
			for (x = 0; x < W; x += wide) {
				int rows = l->tiled ? TILE : H - y < 8 ? H - y : 8;

				for (i = 0; i < rows; i++)
					pack(l, block + (size_t)i * bytes, bytes, y + i, x, wide, plane, each);
				if (l->tiled)
					assert_true(TIFFWriteEncodedTile(tiff, number++, block, (tmsize_t)bytes * rows) > 0);
				else
					assert_true(TIFFWriteEncodedStrip(tiff, number++, block, (tmsize_t)bytes * rows) > 0);
			}
	free(block);
}

static void make(const struct layout *l)
{
	char path[] = "/tmp/nightshift-tiff.XXXXXX";
	int fd = mkstemp(path), samples = l->colours + (l->extra >= 0);
	uint16_t extra = (uint16_t)l->extra;
	TIFF *tiff;
	FILE *f;

	assert_true(fd >= 0);
	tiff = TIFFFdOpen(fd, path, l->big ? "wb8" : "wl");
	assert_non_null(tiff);
	TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, W);
	TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, H);
	TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, l->bits);
	TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, samples);
	TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, l->kind);
	TIFFSetField(tiff, TIFFTAG_COMPRESSION, l->compression);
	TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, l->planar);
	if (l->extra >= 0)
		TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
	if (l->tiled) {
		TIFFSetField(tiff, TIFFTAG_TILEWIDTH, TILE);
		TIFFSetField(tiff, TIFFTAG_TILELENGTH, TILE);
	} else {
		TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 8);
	}
	write_blocks(tiff, l, samples);
	TIFFClose(tiff);
	f = fopen(path, "rb");
	assert_non_null(f);
	size = fread(file, 1, MOST, f);
	fclose(f);
	unlink(path);
}

/* the high byte, or fewer bits spread over 0 to 255 and rounded */
static int byte_of(const struct layout *l, int y, int x, int k)
{
	uint32_t v = sample(l, y, x, k), most = (1u << l->bits) - 1;
	int byte = (int)(l->bits >= 8 ? v >> (l->bits - 8) : (v * 255 * 2 + most) / (2 * most));

	return l->kind == PHOTOMETRIC_MINISWHITE && k == 0 ? 255 - byte : byte;
}

static int wanted(const struct layout *l, int y, int x, int k)
{
	int light = 255 - byte_of(l, y, x, 3);

	return l->colours == 4 ? ((255 - byte_of(l, y, x, k)) * light + 127) / 255 : byte_of(l, y, x, k);
}

static void check(const struct layout *l)
{
	struct ns_decode_options options = {0};
	struct ns_image image;
	uint8_t *pixels = NULL;
	int h, w, c, y, x, k, alpha = l->colours < 4 && (l->extra == EXTRASAMPLE_ASSOCALPHA || l->extra == EXTRASAMPLE_UNASSALPHA);

	make(l);
	if (ns_decode(file, size, &options, &h, &w, &c, &pixels, &image) != NS_OK)
		fail_msg("kind %d, %d bits, extra %d, planar %d, tiled %d: %s", l->kind, l->bits, l->extra, l->planar, l->tiled, ns_message());
	assert_int_equal(h, H);
	assert_int_equal(w, W);
	assert_int_equal(c, l->colours == 1 ? 1 : 3);
	assert_int_equal(image.alpha, alpha);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			for (k = 0; k < c; k++)
				if (pixels[(y * W + x) * c + k] != wanted(l, y, x, k))
					fail_msg("kind %d, %d bits, extra %d, planar %d, tiled %d: (%d, %d, %d) is %d, wanted %d", l->kind, l->bits,
						 l->extra, l->planar, l->tiled, y, x, k, pixels[(y * W + x) * c + k], wanted(l, y, x, k));
	free(pixels);
}

static void tiff_of_any_layout(void **state)
{
	static const int kinds[][2] = {{PHOTOMETRIC_MINISBLACK, 1}, {PHOTOMETRIC_MINISWHITE, 1}, {PHOTOMETRIC_RGB, 3}, {PHOTOMETRIC_SEPARATED, 4}};
	static const int extras[] = {-1, EXTRASAMPLE_UNSPECIFIED, EXTRASAMPLE_ASSOCALPHA, EXTRASAMPLE_UNASSALPHA};
	static const int bits[] = {1, 2, 4, 8, 10, 12, 16};
	size_t i, e, b;
	int planar, tiled;

	(void)state;
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (e = 0; e < sizeof extras / sizeof *extras; e++)
			for (b = 0; b < sizeof bits / sizeof *bits; b++)
				for (planar = PLANARCONFIG_CONTIG; planar <= PLANARCONFIG_SEPARATE; planar++)
					for (tiled = 0; tiled < 2; tiled++) {
						struct layout l = {
							kinds[i][0], kinds[i][1], extras[e],	    bits[b],
							planar,	     tiled,	  (int)(e + b) % 2, b % 2 ? COMPRESSION_LZW : COMPRESSION_NONE};

						check(&l);
					}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(tiff_of_any_layout)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
	puts("skipped: this build does not read TIFF");
	return 0;
}
#endif
