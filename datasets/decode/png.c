/* datasets/decode/png.c - PNG by libpng: stored samples, without colour management. */
#include "datasets/decode/decode_inner.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const uint8_t *data;
	size_t bytes, at;
	char said[128];
	int warnings;
};

static int is_png(const uint8_t *d, size_t bytes)
{
	return bytes > 8 && !memcmp(d, "\x89PNG\r\n\x1a\n", 8);
}

static void on_error(png_structp png, png_const_charp text)
{
	struct reader *r = png_get_error_ptr(png);

	snprintf(r->said, sizeof r->said, "%.120s", text);
	longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	struct reader *r = png_get_error_ptr(png);

	(void)text;
	r->warnings++;
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
	struct reader *r = png_get_io_ptr(png);

	if (n > r->bytes - r->at)
		png_error(png, "ends in the middle");
	memcpy(to, r->data + r->at, n);
	r->at += n;
}

static uint32_t big32(const uint8_t *d)
{
	return (uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 | (uint32_t)d[2] << 8 | d[3];
}

/* The header's fields, and what stands in chunks before the pixels; EXIF may stand behind them. */
static enum ns_status look_png(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	size_t at = 8, n;

	if (bytes < 33 || memcmp(data + 12, "IHDR", 4))
		return ns_fail(NS_BAD_DATA, "PNG: ends in its header");
	if (big32(data + 16) > INT32_MAX || big32(data + 20) > INT32_MAX)
		return ns_fail(NS_BAD_DATA, "PNG: %u x %u pixels", big32(data + 16), big32(data + 20));
	out->w = (int)big32(data + 16);
	out->h = (int)big32(data + 20);
	out->bits = data[24];
	out->c = data[25] & 2 ? 3 : 1; /* a palette has this bit, too */
	out->alpha = (data[25] & 4) != 0;
	for (; at + 12 <= bytes; at += n + 12) {
		n = big32(data + at);
		if (n > bytes - at - 12)
			break;
		out->alpha |= !memcmp(data + at + 4, "tRNS", 4);
		out->profile |= !memcmp(data + at + 4, "iCCP", 4);
		if (!memcmp(data + at + 4, "eXIf", 4))
			ns_exif_read(data + at + 8, n, out);
	}
	return NS_OK;
}

/* libpng would read, check, and warn of what nobody here uses */
static const png_byte unread[] = "iCCP\0gAMA\0cHRM\0sRGB\0sBIT\0bKGD\0hIST\0pHYs\0sPLT\0tIME\0tEXt\0zTXt\0iTXt\0eXIf\0oFFs\0pCAL\0sCAL";

static void read_rows(png_structp png, png_infop info, struct ns_raster *out)
{
	int y, passes, pass;

	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, unread, (int)(sizeof unread / 5));
	png_set_user_limits(png, NS_SIDE_MAX * 4, NS_SIDE_MAX * 4); /* what is larger the caller has refused */
	png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
	png_set_benign_errors(png, 1);
	png_read_info(png, info);
	png_set_expand(png); /* palettes, 1, 2 and 4 bits, transparent colours */
	png_set_strip_16(png);
	passes = png_set_interlace_handling(png);
	png_read_update_info(png, info);
	out->h = (int)png_get_image_height(png, info);
	out->w = (int)png_get_image_width(png, info);
	out->channels = png_get_channels(png, info);
	if (ns_raster_make(out) != NS_OK)
		return;
	for (pass = 0; pass < passes; pass++)
		for (y = 0; y < out->h; y++)
			png_read_row(png, out->data + (size_t)y * (size_t)out->w * (size_t)out->channels, NULL);
	png_read_end(png, NULL);
}

static enum ns_status read_png(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	struct reader r = {.data = data, .bytes = bytes};
	png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
	png_infop info = png ? png_create_info_struct(png) : NULL;

	(void)image;
	(void)wanted;
	if (!info) {
		png_destroy_read_struct(&png, NULL, NULL);
		return ns_fail(NS_NO_MEMORY, "out of memory for a PNG decoder");
	}
	if (setjmp(png_jmpbuf(png))) {
		png_destroy_read_struct(&png, &info, NULL);
		return ns_fail(NS_BAD_DATA, "PNG: %s", r.said);
	}
	png_set_read_fn(png, &r, on_read);
	read_rows(png, info, out);
	png_destroy_read_struct(&png, &info, NULL);
	out->warnings = r.warnings;
	return out->data ? NS_OK : NS_NO_MEMORY;
}

const struct ns_format ns_format_png = {"png", "PNG", is_png, look_png, read_png, NULL, NULL};

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
