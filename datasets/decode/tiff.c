/* datasets/decode/tiff.c - TIFF by libtiff: the first page, of 1 to 16 bits a sample. */
#include "datasets/decode/tiff_inner.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const uint8_t *data;
	uint64_t bytes, at;
};

static int is_tiff(const uint8_t *d, size_t bytes)
{
	/* and BigTIFF's */
	return bytes > 8 && (!memcmp(d, "II*\0", 4) || !memcmp(d, "MM\0*", 4) || !memcmp(d, "II+\0", 4) || !memcmp(d, "MM\0+", 4));
}

static tmsize_t on_read(thandle_t handle, void *to, tmsize_t n)
{
	struct reader *r = handle;
	uint64_t there = r->at < r->bytes ? r->bytes - r->at : 0, take = (uint64_t)n < there ? (uint64_t)n : there;

	if (!take)
		return 0;
	memcpy(to, r->data + r->at, take);
	r->at += take;
	return (tmsize_t)take;
}

static tmsize_t on_write(thandle_t handle, void *from, tmsize_t n)
{
	(void)handle;
	(void)from;
	(void)n;
	return 0;
}

static toff_t on_seek(thandle_t handle, toff_t to, int whence)
{
	struct reader *r = handle;

	r->at = whence == SEEK_SET ? to : whence == SEEK_CUR ? r->at + to : r->bytes + to;
	return r->at;
}

static int on_close(thandle_t handle)
{
	(void)handle;
	return 0;
}

static toff_t on_size(thandle_t handle)
{
	return ((struct reader *)handle)->bytes;
}

/* libtiff 4.5 refuses small tiles that are not packed unless it sees the file as memory; it writes nothing there */
static int on_map(thandle_t handle, void **base, toff_t *size)
{
	struct reader *r = handle;

	*base = (void *)(uintptr_t)r->data;
	*size = r->bytes;
	return 1;
}

static void on_unmap(thandle_t handle, void *base, toff_t size)
{
	(void)handle;
	(void)base;
	(void)size;
}

static int on_said(TIFF *tiff, void *data, const char *module, const char *format, va_list arguments)
{
	(void)tiff;
	(void)data;
	(void)module;
	(void)format;
	(void)arguments;
	return 1;
}

/* libtiff's messages go to stderr unless told otherwise; what it refuses is said once, by us */
static TIFF *open_tiff(struct reader *r)
{
	TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
	TIFF *tiff;

	if (!options)
		return NULL;
	TIFFOpenOptionsSetErrorHandlerExtR(options, on_said, NULL);
	TIFFOpenOptionsSetWarningHandlerExtR(options, on_said, NULL);
	tiff = TIFFClientOpenExt("image", "r", r, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap, options);
	TIFFOpenOptionsFree(options);
	return tiff;
}

/* What libtiff makes of the other kinds: palettes, YCbCr, Lab. */
static enum ns_status read_colours(TIFF *tiff, struct ns_raster *out)
{
	uint32_t *pixels;
	TIFFRGBAImage image;
	char said[1024] = "";
	int64_t i;
	int read;

	out->channels = 4;
	NS_TRY(ns_raster_make(out));
	pixels = (uint32_t *)(void *)out->data;
	memset(pixels, 0, (size_t)out->h * (size_t)out->w * 4); /* of damaged files libtiff may leave some out */
	if (!TIFFRGBAImageBegin(&image, tiff, 1, said))
		return ns_fail(NS_BAD_DATA, "TIFF: %.200s", *said ? said : "a kind that libtiff does not turn into colours");
	image.req_orientation = ORIENTATION_TOPLEFT;
	read = TIFFRGBAImageGet(&image, pixels, (uint32_t)out->w, (uint32_t)out->h);
	TIFFRGBAImageEnd(&image);
	if (!read)
		return ns_fail(NS_BAD_DATA, "TIFF: damaged, or it ends in the middle");
	for (i = 0; i < (int64_t)out->h * out->w; i++) {
		uint32_t x = pixels[i];

		out->data[3 * i] = (uint8_t)TIFFGetR(x); /* in place: no pixel grows */
		out->data[3 * i + 1] = (uint8_t)TIFFGetG(x);
		out->data[3 * i + 2] = (uint8_t)TIFFGetB(x);
	}
	out->channels = 3;
	return NS_OK;
}

static enum ns_status look_tiff(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	struct reader r = {.data = data, .bytes = bytes};
	TIFF *tiff = open_tiff(&r);
	uint32_t w = 0, h = 0, length;
	uint16_t bits = 1, samples = 1, kind = PHOTOMETRIC_MINISBLACK, format = SAMPLEFORMAT_UINT;
	void *profile;

	if (!tiff)
		return ns_fail(NS_BAD_DATA, "TIFF: its header is damaged");
	TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &w);
	TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &h);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
	TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &kind);
	ns_tiff_has_samples(tiff, &out->alpha);
	out->profile = TIFFGetField(tiff, TIFFTAG_ICCPROFILE, &length, &profile) == 1;
	TIFFClose(tiff);
	ns_exif_read(data, bytes, out); /* a TIFF's first folder has EXIF's entries */
	out->h = h > INT32_MAX ? INT32_MAX : (int)h;
	out->w = w > INT32_MAX ? INT32_MAX : (int)w;
	out->bits = bits;
	out->c = kind == PHOTOMETRIC_MINISBLACK || kind == PHOTOMETRIC_MINISWHITE ? 1 : 3;
	if (format != SAMPLEFORMAT_UINT || bits > 16)
		return ns_fail(NS_BAD_DATA, "TIFF: samples of %d bits%s; whole numbers of up to 16 are taken", bits,
			       format == SAMPLEFORMAT_IEEEFP ? " in floating point"
			       : format == SAMPLEFORMAT_INT  ? " with a sign"
							     : "");
	return NS_OK;
}

/*
 * libtiff unpacks into a strip or a tile that is as large as the header says, 65,535 samples a pixel and tiles of any side, and clears it first: a
 * few bytes would ask for as much memory as there is. What is taken is 16 bytes a pixel, eight samples of 16 bits, or 4 MiB, a tile around a small
 * image.
 */
static enum ns_status check_piece(TIFF *tiff, const struct ns_image *image)
{
	uint64_t bytes = TIFFIsTiled(tiff) ? TIFFTileSize64(tiff) : TIFFStripSize64(tiff), pixels = (uint64_t)image->h * (uint64_t)image->w;

	uint64_t pieces = TIFFIsTiled(tiff) ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);

	/* and all of them together, each of which is unpacked whole, are at most four times as many */
	if (!bytes || bytes > 16 * pixels + (4 << 20) || pieces > (64 * pixels + (64 << 20)) / bytes)
		return ns_fail(NS_BAD_DATA, "TIFF: strips or tiles of %llu bytes in an image of %d x %d pixels", (unsigned long long)bytes, image->w,
			       image->h);
	return NS_OK;
}

static enum ns_status read_tiff(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	struct reader r = {.data = data, .bytes = bytes};
	TIFF *tiff = open_tiff(&r);
	enum ns_status status;
	int alpha;

	(void)wanted;
	if (!tiff)
		return ns_fail(NS_BAD_DATA, "TIFF: its header is damaged");
	out->h = image->h;
	out->w = image->w;
	/* the orientation is left to whoever turns all formats: rows as they are stored, first row first */
	TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
	status = check_piece(tiff, image);
	if (status == NS_OK)
		status = ns_tiff_has_samples(tiff, &alpha) ? ns_tiff_samples(tiff, out) : read_colours(tiff, out);
	TIFFClose(tiff);
	return status;
}

const struct ns_format ns_format_tiff = {"tiff", "TIFF", is_tiff, look_tiff, read_tiff, NULL, NULL};
