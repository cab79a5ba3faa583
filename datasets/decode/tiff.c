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

/* Colours and an alpha of their own, 8 bits each, in rows: libtiff would multiply them, and what was multiplied by 0 is lost. */
static int is_plain(TIFF *tiff)
{
	uint16_t bits = 1, samples = 1, kind = PHOTOMETRIC_MINISBLACK, planar = PLANARCONFIG_CONTIG;

	TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
	TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &kind);
	return bits == 8 && planar == PLANARCONFIG_CONTIG && !TIFFIsTiled(tiff) &&
	       ((samples == 4 && kind == PHOTOMETRIC_RGB) || (samples == 2 && kind == PHOTOMETRIC_MINISBLACK));
}

static enum ns_status read_plain(TIFF *tiff, struct ns_raster *out)
{
	uint16_t samples = 4;
	int y;

	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
	out->channels = samples;
	if (TIFFScanlineSize(tiff) != (tmsize_t)out->w * samples)
		return ns_fail(NS_BAD_DATA, "TIFF: its rows are of another length than its header says");
	NS_TRY(ns_raster_make(out));
	for (y = 0; y < out->h; y++)
		if (TIFFReadScanline(tiff, out->data + (size_t)y * (size_t)out->w * samples, (uint32_t)y, 0) != 1)
			return ns_fail(NS_BAD_DATA, "TIFF: damaged, or it ends in the middle");
	return NS_OK;
}

/* What libtiff makes of any kind: colours and alpha, multiplied where the file has them so. */
static enum ns_status read_any(TIFF *tiff, int alpha, struct ns_raster *out)
{
	uint32_t *pixels;
	TIFFRGBAImage image;
	char said[1024] = "";
	int64_t i;
	int k, read;

	out->channels = 4;
	NS_TRY(ns_raster_make(out));
	pixels = (uint32_t *)(void *)out->data;
	if (!TIFFRGBAImageBegin(&image, tiff, 1, said))
		return ns_fail(NS_BAD_DATA, "TIFF: %.200s", *said ? said : "a kind that libtiff does not turn into colours");
	if (!alpha)
		image.alpha = 0; /* another sample, or one that nobody is to be multiplied by */
	image.req_orientation = ORIENTATION_TOPLEFT;
	read = TIFFRGBAImageGet(&image, pixels, (uint32_t)out->w, (uint32_t)out->h);
	TIFFRGBAImageEnd(&image);
	if (!read)
		return ns_fail(NS_BAD_DATA, "TIFF: damaged, or it ends in the middle");
	for (i = 0; i < (int64_t)out->h * out->w; i++) {
		uint32_t x = pixels[i], a = alpha ? TIFFGetA(x) : 255, each[3] = {TIFFGetR(x), TIFFGetG(x), TIFFGetB(x)};

		for (k = 0; k < 3; k++) {
			uint32_t whole = a && a < 255 ? (each[k] * 255 + a / 2) / a : each[k];

			out->data[4 * i + k] = (uint8_t)(whole > 255 ? 255 : whole);
		}
		out->data[4 * i + 3] = (uint8_t)a;
	}
	return NS_OK;
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
		out->alpha = extras[0] == EXTRASAMPLE_ASSOCALPHA || (extras[0] == EXTRASAMPLE_UNASSALPHA && is_plain(tiff));
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
	uint16_t extra = 0, *extras, as = (uint16_t)ORIENTATION_TOPLEFT;
	enum ns_status status;

	(void)wanted;
	if (!tiff)
		return ns_fail(NS_BAD_DATA, "TIFF: its header is damaged");
	out->h = image->h;
	out->w = image->w;
	/* the orientation is left to whoever turns all formats: rows as they are stored, first row first */
	TIFFSetField(tiff, TIFFTAG_ORIENTATION, as);
	if (!TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra, &extras))
		extra = 0;
	if (extra && extras[0] == EXTRASAMPLE_UNASSALPHA && is_plain(tiff))
		status = read_plain(tiff, out);
	else
		status = read_any(tiff, extra && extras[0] == EXTRASAMPLE_ASSOCALPHA, out);
	TIFFClose(tiff);
	return status;
}

const struct ns_format ns_format_tiff = {"tiff", "TIFF", is_tiff, look_tiff, read_tiff};
