/*
 * tests/tools/images.c - small images that can be learnt, as files: discs, squares, stripes, each at a random place.
 *
 *	images idx|png|jpeg FOLDER COUNT SEED      28 x 28 grey (idx) or 32 x 32 RGB in class folders
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "datasets/decode/decode.h"
#include "host/base/base.h"
#include "kernels/formula/random.h"

static const char *const classes[] = {"disc", "square", "stripes"};

static void draw(uint8_t *x, int side, int c, int kind, uint64_t id, uint64_t seed)
{
	struct ns_philox r = ns_draw(seed, NS_FOR_INIT, 0, id, 0);
	int cx = side / 3 + (int)(r.v[0] % (unsigned)(side / 3)), cy = side / 3 + (int)(r.v[1] % (unsigned)(side / 3)),
	    size = side / 6 + (int)(r.v[2] % (unsigned)(side / 8 + 1)), i, j, k;

	for (i = 0; i < side; i++)
		for (j = 0; j < side; j++) {
			int dx = j - cx, dy = i - cy, on = 0;

			if (kind == 0)
				on = dx * dx + dy * dy <= size * size;
			else if (kind == 1)
				on = abs(dx) <= size && abs(dy) <= size;
			else
				on = abs(dx) <= size && abs(dy) <= size && i % 4 < 2;
			for (k = 0; k < c; k++) {
				int v = (on ? 190 : 50) + ns_noise_bytes(id ^ seed, (uint32_t)((i * side + j) * c + k)) / 10;

				x[(i * side + j) * c + k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
			}
		}
}

static void be32(FILE *f, unsigned v)
{
	fputc((int)(v >> 24), f);
	fputc((int)(v >> 16 & 255), f);
	fputc((int)(v >> 8 & 255), f);
	fputc((int)(v & 255), f);
}

static int write_idx(const char *dir, int n, uint64_t seed)
{
	char path[NS_PATH_MAX];
	uint8_t x[28 * 28];
	FILE *images, *labels;
	int i;

	if (ns_path(path, "%s/images-idx3-ubyte", dir) != NS_OK || !(images = fopen(path, "wb")))
		return 1;
	if (ns_path(path, "%s/labels-idx1-ubyte", dir) != NS_OK || !(labels = fopen(path, "wb")))
		return 1;
	be32(images, 0x803);
	be32(images, (unsigned)n);
	be32(images, 28);
	be32(images, 28);
	be32(labels, 0x801);
	be32(labels, (unsigned)n);
	for (i = 0; i < n; i++) {
		draw(x, 28, 1, i % 3, (uint64_t)i, seed);
		fwrite(x, 1, sizeof x, images);
		fputc(i % 3, labels);
	}
	return fclose(images) || fclose(labels);
}

static int write_jpeg(const char *path, const uint8_t *x, int side)
{
	struct jpeg_error_mgr errors;
	struct jpeg_compress_struct jpeg = {.err = jpeg_std_error(&errors)}; /* an error ends the program */
	unsigned char *file = NULL;
	unsigned long bytes = 0;
	int bad, i;

	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &file, &bytes);
	jpeg.image_width = jpeg.image_height = (JDIMENSION)side;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, 95, TRUE);
	for (i = 0; i < 3; i++) /* 4:4:4 */
		jpeg.comp_info[i].h_samp_factor = jpeg.comp_info[i].v_samp_factor = 1;
	jpeg_start_compress(&jpeg, TRUE);
	for (i = 0; i < side; i++) {
		JSAMPROW row = (JSAMPROW)(uintptr_t)(x + (size_t)i * (size_t)side * 3);

		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	bad = ns_write_file(path, file, bytes) != NS_OK;
	free(file);
	return bad;
}

static int write_folder(const char *dir, int n, uint64_t seed, int jpeg)
{
	uint8_t x[32 * 32 * 3];
	char path[NS_PATH_MAX];
	int i;

	for (i = 0; i < n; i++) {
		if (ns_path(path, "%s/%s", dir, classes[i % 3]) != NS_OK || ns_mkdirs(path) != NS_OK)
			return 1;
		draw(x, 32, 3, i % 3, (uint64_t)i, seed);
		if (ns_path(path, "%s/%s/%05d.%s", dir, classes[i % 3], i, jpeg ? "jpg" : "png") != NS_OK)
			return 1;
		if (jpeg ? write_jpeg(path, x, 32) : ns_png_write(path, x, 32, 32, 3) != NS_OK)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int n;
	uint64_t seed;

	if (argc != 5 || ns_mkdirs(argv[2]) != NS_OK)
		return 64;
	n = atoi(argv[3]);
	seed = strtoull(argv[4], NULL, 10);
	if (!strcmp(argv[1], "idx"))
		return write_idx(argv[2], n, seed);
	return write_folder(argv[2], n, seed, !strcmp(argv[1], "jpeg"));
}
