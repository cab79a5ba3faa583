/* datasets/decode/tiff.c - TIFF by libtiff: the first page, of 1 to 16 bits a sample. */
#include "datasets/decode/decode_inner.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

struct reader {
	const uint8_t *data;
	uint64_t bytes, at;
};

static int is_tiff(const uint8_t *d, size_t bytes)
{
	return bytes > 8 && (!memcmp(d, "II*\0", 4) || !memcmp(d, "MM\0*", 4));
}

static tmsize_t on_read(thandle_t handle, void *to, tmsize_t n)
{
	struct reader *r = handle;
	uint64_t there = r->at < r->bytes ? r->bytes - r->at : 0, take = (uint64_t)n < there ? (uint64_t)n : there;

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

/* libtiff's messages go to stderr unless told otherwise; what it refuses is said once, by us */
static TIFF *open_tiff(struct reader *r)
{
	TIFFSetErrorHandler(NULL);
	TIFFSetWarningHandler(NULL);
	return TIFFClientOpen("image", "rm", r, on_read, on_write, on_seek, on_close, on_size, NULL, NULL);
}

static enum ns_status look_tiff(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	struct reader r = {.data = data, .bytes = bytes};
	TIFF *tiff = open_tiff(&r);
	uint32_t w = 0, h = 0, length;
	uint16_t bits = 1, samples = 1, kind = PHOTOMETRIC_MINISBLACK, format = SAMPLEFORMAT_UINT, extra = 0, *extras;
	void *profile;

	if (!tiff)
		return ns_fail(NS_BAD_DATA, "TIFF: its header is damaged");
	TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &w);
	TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &h);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
	TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &kind);
	if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra, &extras) && extra)
		out->alpha = extras[0] != EXTRASAMPLE_UNSPECIFIED;
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

static enum ns_status read_tiff(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	struct reader r = {.data = data, .bytes = bytes};
	TIFF *tiff = open_tiff(&r);
	uint16_t as = (uint16_t)ORIENTATION_TOPLEFT;
	enum ns_status status;
	uint32_t *pixels;
	int64_t i;
	int k;

	(void)wanted;
	if (!tiff)
		return ns_fail(NS_BAD_DATA, "TIFF: its header is damaged");
	out->h = image->h;
	out->w = image->w;
	out->channels = 4;
	NS_GO(ns_raster_make(out));
	pixels = (uint32_t *)(void *)out->data;
	/* the orientation is left to whoever turns all formats: rows as they are stored, first row first */
	TIFFSetField(tiff, TIFFTAG_ORIENTATION, as);
	if (!TIFFReadRGBAImageOriented(tiff, (uint32_t)out->w, (uint32_t)out->h, pixels, ORIENTATION_TOPLEFT, 1)) {
		status = ns_fail(NS_BAD_DATA, "TIFF: damaged, it ends in the middle, or a kind that libtiff does not turn into colours");
		goto out;
	}
	for (i = 0; i < (int64_t)out->h * out->w; i++) {
		uint32_t x = pixels[i], alpha = TIFFGetA(x), each[3] = {TIFFGetR(x), TIFFGetG(x), TIFFGetB(x)};

		for (k = 0; k < 3; k++) /* libtiff gives colours multiplied by alpha */
			out->data[4 * i + k] =
				(uint8_t)(alpha && alpha < 255 ? (each[k] * 255 + alpha / 2) / alpha > 255 ? 255 : (each[k] * 255 + alpha / 2) / alpha
							       : each[k]);
		out->data[4 * i + 3] = (uint8_t)alpha;
	}
out:
	TIFFClose(tiff);
	return status;
}

const struct ns_format ns_format_tiff = {"tiff", "TIFF", is_tiff, look_tiff, read_tiff};
