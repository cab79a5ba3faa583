#include "datasets/decode/decode.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "host/base/base.h"

#define SIDE_MAX 16384

const char *ns_image_kind(const uint8_t *d, size_t bytes)
{
	if (bytes > 3 && d[0] == 0xff && d[1] == 0xd8 && d[2] == 0xff)
		return "jpeg";
	if (bytes > 8 && !memcmp(d, "\x89PNG\r\n\x1a\n", 8))
		return "png";
	return NULL;
}

/* scans of a JPEG file: its SOS markers. In between, 0xff is followed by 0 or by a restart marker. */
static int64_t count_scans(const uint8_t *data, size_t bytes)
{
	const uint8_t *at = data, *end = data + bytes;
	int64_t scans = 0;

	while (at < end && (at = memchr(at, 0xff, (size_t)(end - at))) && at + 1 < end) {
		scans += at[1] == 0xda;
		at += at[1] == 0xff ? 1 : 2;
	}
	return scans;
}

/*
 * Each scan of a progressive file is a pass over all its pixels, and costs a few bytes, so that a small file could keep a processor busy for
 * hours. An encoder writes about ten.
 */
#define SCANS_MOST 100
#define WORK_MOST  1500000000 /* pixels times scans */

static enum ns_status decode_jpeg(const uint8_t *data, size_t bytes, int *h, int *w, int *c, uint8_t **pixels)
{
	tjhandle tj = tjInitDecompress();
	int64_t scans = count_scans(data, bytes);
	int sampling, space;
	enum ns_status status = NS_OK;

	*pixels = NULL;
	if (!tj)
		return ns_fail(NS_NO_MEMORY, "out of memory for a JPEG decoder");
	if (tjDecompressHeader3(tj, data, bytes, w, h, &sampling, &space)) {
		status = ns_fail(NS_BAD_DATA, "JPEG: %s", tjGetErrorStr2(tj));
	} else if (*h < 1 || *w < 1 || *h > SIDE_MAX || *w > SIDE_MAX) {
		status = ns_fail(NS_BAD_DATA, "JPEG: %d x %d pixels; sides of 1 to %d are taken", *w, *h, SIDE_MAX);
	} else if (scans > SCANS_MOST || scans * *h * *w > WORK_MOST) {
		status = ns_fail(NS_BAD_DATA, "JPEG: %lld scans of %d x %d pixels; at most %d scans, and %d pixels in all scans together, are taken",
				 (long long)scans, *w, *h, SCANS_MOST, WORK_MOST);
	} else {
		if (*c == 0)
			*c = space == TJCS_GRAY ? 1 : 3;
		*pixels = malloc((size_t)*h * (size_t)*w * (size_t)*c);
		if (!*pixels)
			status = ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", *w, *h);
		else if (tjDecompress2(tj, data, bytes, *pixels, *w, 0, *h, *c == 1 ? TJPF_GRAY : TJPF_RGB, TJFLAG_STOPONWARNING))
			status = ns_fail(NS_BAD_DATA, "JPEG: %s", tjGetErrorStr2(tj));
	}
	tjDestroy(tj);
	if (status != NS_OK)
		free(*pixels);
	return status;
}

static enum ns_status decode_png(const uint8_t *data, size_t bytes, int *h, int *w, int *c, uint8_t **pixels)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	png_color black = {0, 0, 0}; /* behind what is transparent: without one libpng blends with what the memory held */
	enum ns_status status = NS_OK;

	*pixels = NULL;
	if (!png_image_begin_read_from_memory(&image, data, bytes))
		return ns_fail(NS_BAD_DATA, "PNG: %s", image.message);
	*h = (int)image.height;
	*w = (int)image.width;
	if (*c == 0)
		*c = image.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1;
	image.format = *c == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
	if (image.height > SIDE_MAX || image.width > SIDE_MAX)
		status = ns_fail(NS_BAD_DATA, "PNG: %u x %u pixels; sides of 1 to %d are taken", image.width, image.height, SIDE_MAX);
	else if (!(*pixels = malloc(PNG_IMAGE_SIZE(image))))
		status = ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", *w, *h);
	else if (!png_image_finish_read(&image, &black, *pixels, 0, NULL) || image.warning_or_error)
		status = ns_fail(NS_BAD_DATA, "PNG: %s", image.message);
	png_image_free(&image);
	if (status != NS_OK)
		free(*pixels);
	return status;
}

enum ns_status ns_decode(const uint8_t *data, size_t bytes, int *h, int *w, int *c, uint8_t **pixels)
{
	const char *kind = ns_image_kind(data, bytes);

	if (!kind)
		return ns_fail(NS_BAD_DATA, "is neither JPEG nor PNG");
	return *kind == 'j' ? decode_jpeg(data, bytes, h, w, c, pixels) : decode_png(data, bytes, h, w, c, pixels);
}

/* weight and first source pixel of a triangle filter, as wide as one output pixel where it shrinks */
static int taps(double *weight, int capacity, double centre, double scale, int n, int *first)
{
	double radius = scale > 1 ? scale : 1, sum = 0;
	int i, count = 0, end = (int)floor(centre + radius);

	*first = (int)ceil(centre - radius);
	for (i = *first; i <= end && count < capacity; i++) {
		double t = 1 - fabs(i - centre) / radius;

		weight[count++] = t > 0 ? t : 0;
		sum += t > 0 ? t : 0;
	}
	for (i = 0; i < count; i++)
		weight[i] /= sum > 0 ? sum : 1;
	(void)n;
	return count;
}

static int inside(int i, int n)
{
	return i < 0 ? 0 : i >= n ? n - 1 : i;
}

enum ns_status ns_resize(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w)
{
	double scale = fmin((double)xh / h, (double)xw / w); /* the smaller: cover */
	int capacity = (int)(2 * scale) + 4, i, j, k, t, ch;
	double *weight = malloc(sizeof *weight * (size_t)capacity);
	float *rows = malloc(sizeof *rows * (size_t)xh * (size_t)w * (size_t)c);

	if (!weight || !rows) {
		free(weight);
		free(rows);
		return ns_fail(NS_NO_MEMORY, "out of memory while scaling %d x %d pixels", xw, xh);
	}
	for (j = 0; j < w; j++) {
		int first, n = taps(weight, capacity, xw * 0.5 - 0.5 + (j + 0.5 - w * 0.5) * scale, scale, xw, &first);

		for (i = 0; i < xh; i++)
			for (ch = 0; ch < c; ch++) {
				double sum = 0;

				for (t = 0; t < n; t++)
					sum += weight[t] * x[((int64_t)i * xw + inside(first + t, xw)) * c + ch];
				rows[((int64_t)i * w + j) * c + ch] = (float)sum;
			}
	}
	for (i = 0; i < h; i++) {
		int first, n = taps(weight, capacity, xh * 0.5 - 0.5 + (i + 0.5 - h * 0.5) * scale, scale, xh, &first);

		for (k = 0; k < w * c; k++) {
			double sum = 0.5;

			for (t = 0; t < n; t++)
				sum += weight[t] * (double)rows[(int64_t)inside(first + t, xh) * w * c + k];
			y[(int64_t)i * w * c + k] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
		}
	}
	free(weight);
	free(rows);
	return NS_OK;
}

enum ns_status ns_png_encode(const uint8_t *pixels, int h, int w, int c, uint8_t **png, size_t *bytes)
{
	png_image image = {.version = PNG_IMAGE_VERSION,
			   .width = (png_uint_32)w,
			   .height = (png_uint_32)h,
			   .format = c == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
	png_alloc_size_t n = PNG_IMAGE_PNG_SIZE_MAX(image);

	*png = malloc(n);
	if (!*png)
		return ns_fail(NS_NO_MEMORY, "out of memory for a PNG of %d x %d", w, h);
	if (!png_image_write_to_memory(&image, *png, &n, 0, pixels, 0, NULL)) {
		free(*png);
		return ns_fail(NS_INTERNAL, "PNG: %s", image.message);
	}
	*bytes = n;
	return NS_OK;
}

enum ns_status ns_png_write(const char *path, const uint8_t *pixels, int h, int w, int c)
{
	enum ns_status status;
	uint8_t *png = NULL;
	size_t bytes = 0;

	NS_TRY(ns_png_encode(pixels, h, w, c, &png, &bytes));
	status = ns_write_file(path, png, bytes);
	free(png);
	return status;
}
