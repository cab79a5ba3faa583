/* datasets/decode/decode.c - the table of formats, and from a file to the pixels that were asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode_inner.h"

static const struct ns_format *const formats[] = {&ns_format_jpeg, &ns_format_png,
#ifdef NS_WEBP
						  &ns_format_webp,
#endif
#ifdef NS_TIFF
						  &ns_format_tiff,
#endif
#ifdef NS_GIF
						  &ns_format_gif,
#endif
#ifdef NS_HEIF
						  &ns_format_avif, &ns_format_heic,
#endif
#ifdef NS_JXL
						  &ns_format_jxl,
#endif
						  &ns_format_bmp,  &ns_format_pnm,  NULL};

/* what is recognised so that a refusal can name it */
static const struct {
	const char *title;
	size_t at;
	const char *bytes;
	size_t n;
} strangers[] = {
	{"HEIC", 4, "ftyphei", 7},
	{"HEIC", 4, "ftypmif1", 8},
	{"HEIC, a sequence,", 4, "ftyphev", 7},
	{"HEIC, a sequence,", 4, "ftypmsf1", 8},
	{"AVIF", 4, "ftypavi", 7},
	{"JPEG XL", 0, "\xff\x0a", 2},
	{"JPEG XL", 0, "\0\0\0\x0cJXL ", 8},
	{"JPEG 2000", 0, "\0\0\0\x0cjP  ", 8},
	{"JPEG 2000", 0, "\xff\x4f\xff\x51", 4},
	{"WebP", 8, "WEBP", 4},
	{"TIFF", 0, "II*\0", 4},
	{"TIFF", 0, "MM\0*", 4},
	{"TIFF", 0, "II+\0", 4},
	{"TIFF", 0, "MM\0+", 4},
	{"a pointer of Git LFS, whose file was not fetched (git lfs pull),", 0, "version https://git-lfs", 23},
	{"XML, which may be a server's error or SVG,", 0, "<?xml", 5},
	{"PAM", 0, "P7\n", 3},
	{"PFM", 0, "PF\n", 3},
	{"PFM", 0, "Pf\n", 3},
	{"QOI", 0, "qoif", 4},
	{"DICOM", 128, "DICM", 4},
	{"HDF5, which is ingested by its own path and", 0, "\x89HDF\r\n", 6},
	{"an array of NumPy, which is ingested by its own path and", 0, "\x93NUMPY", 6},
	{"IDX, which is ingested by its own path and", 0, "\0\0\x08", 3},
	{"a video", 4, "ftyp", 4},
	{"gzip", 0, "\x1f\x8b", 2},
	{"text in JSON", 0, "{\"", 2},
	{"GIF", 0, "GIF8", 4},
	{"ICO", 0, "\0\0\1\0", 4},
	{"a Photoshop file", 0, "8BPS", 4},
	{"OpenEXR", 0, "\x76\x2f\x31\x01", 4},
	{"Radiance HDR", 0, "#?RADIANCE", 10},
	{"a PDF", 0, "%PDF", 4},
	{"a zip", 0, "PK\3\4", 4},
	{"a page of HTML", 0, "<!DOCTYPE", 9},
	{"a page of HTML", 0, "<!doctype", 9},
	{"a page of HTML", 0, "<html", 5},
	{"SVG", 0, "<svg", 4},
};

void ns_decode_formats(char *text, size_t n)
{
	size_t i, at = 0;

	for (i = 0; formats[i] && at < n; i++)
		at += (size_t)snprintf(text + at, n - at, "%s%s", i ? ", " : "", formats[i]->title);
}

static const struct ns_format *format_of(const uint8_t *data, size_t bytes)
{
	size_t i;

	for (i = 0; formats[i] && !formats[i]->is(data, bytes);)
		i++;
	return formats[i];
}

static enum ns_status not_read(const uint8_t *data, size_t bytes)
{
	size_t i;

	if (!bytes)
		return ns_fail(NS_BAD_DATA, "is an empty file");
	for (i = 0; i < sizeof strangers / sizeof *strangers; i++)
		if (bytes >= strangers[i].at + strangers[i].n && !memcmp(data + strangers[i].at, strangers[i].bytes, strangers[i].n))
			return ns_fail(NS_BAD_DATA, "is %s, which this build does not read", strangers[i].title);
	return ns_fail(NS_BAD_DATA, "is no image: its first bytes are those of no format that is read");
}

enum ns_status ns_image_look(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	const struct ns_format *format = format_of(data, bytes);

	*out = (struct ns_image){.orientation = 1, .bits = 8, .c = 3};
	if (!format)
		return not_read(data, bytes);
	out->kind = format->kind;
	NS_TRY(format->look(data, bytes, out));
	if (out->h < 1 || out->w < 1 || out->h > NS_SIDE_MAX || out->w > NS_SIDE_MAX)
		return ns_fail(NS_BAD_DATA, "%s: %d x %d pixels; sides of 1 to %d are taken", format->title, out->w, out->h, NS_SIDE_MAX);
	return NS_OK;
}

/* Looks at a header, and refuses more pixels than are taken. */
static enum ns_status look_within(const uint8_t *data, size_t bytes, const struct ns_decode_options *options, struct ns_image *image)
{
	int64_t most = options->pixels_max ? options->pixels_max : NS_PIXELS_MAX;

	NS_TRY(ns_image_look(data, bytes, image));
	if ((int64_t)image->h * image->w > most)
		return ns_fail(NS_BAD_DATA, "%d x %d pixels; at most %lld are taken (ingest.max_pixels)", image->w, image->h, (long long)most);
	return NS_OK;
}

static enum ns_status to_channels(struct ns_raster *r, int c, int background)
{
	if (c == 3 && r->channels < 3)
		return ns_raster_widen(r, background);
	ns_raster_convert(r, c, background);
	return NS_OK;
}

enum ns_status ns_decode(const uint8_t *data, size_t bytes, const struct ns_decode_options *options, int *h, int *w, int *c, uint8_t **pixels,
			 struct ns_image *said)
{
	struct ns_raster r = {0};
	struct ns_image image;
	enum ns_status status;

	*pixels = NULL;
	NS_TRY(look_within(data, bytes, options, &image));
	*c = options->c ? options->c : image.c;
	NS_GO(format_of(data, bytes)->read(data, bytes, &image, *c, &r));
	NS_GO(to_channels(&r, *c, options->background));
	if (!options->as_stored)
		NS_GO(ns_raster_turn(&r, image.orientation));
	*h = r.h;
	*w = r.w;
	*pixels = r.data;
	image.warnings = r.warnings;
	image.alpha |= r.clear;
	if (said)
		*said = image;
	return NS_OK;
out:
	free(r.data);
	return status;
}

enum ns_status ns_decode_cover(const uint8_t *data, size_t bytes, const struct ns_decode_options *options, int h, int w, uint8_t *pixels,
			       struct ns_image *said)
{
	struct ns_raster r = {0};
	struct ns_part seen, at;
	const struct ns_format *format;
	struct ns_image image;
	enum ns_status status;
	int ih, iw, ic;

	NS_TRY(look_within(data, bytes, options, &image));
	format = format_of(data, bytes);
	if (!format->read_seen || (!options->as_stored && image.orientation > 1)) {
		NS_GO(ns_decode(data, bytes, options, &ih, &iw, &ic, &r.data, said));
		status = ns_resize(r.data, ih, iw, ic, pixels, h, w);
	} else {
		seen = ns_cover_part(image.h, image.w, h, w);
		NS_GO(format->read_seen(data, bytes, &image, options->c, &seen, &r, &at));
		NS_GO(to_channels(&r, options->c, options->background));
		status = ns_resize_cover(r.data, &at, image.h, image.w, options->c, pixels, h, w);
		image.warnings = r.warnings;
		if (said)
			*said = image;
	}
out:
	free(r.data);
	return status;
}

enum ns_status ns_decode_part(const uint8_t *data, size_t bytes, const struct ns_decode_options *options, const struct ns_part *part, int h, int w,
			      uint8_t *pixels)
{
	struct ns_place at = {part->y, part->x, part->h, part->w};
	struct ns_raster r = {0};
	const struct ns_format *format;
	struct ns_image image;
	enum ns_status status;
	int turned;

	NS_TRY(look_within(data, bytes, options, &image));
	format = format_of(data, bytes);
	turned = !options->as_stored && image.orientation > 1;
	if (format->read_part && !turned)
		NS_GO(format->read_part(data, bytes, &image, options->c, part, h, w, &r, &at));
	else
		NS_GO(format->read(data, bytes, &image, options->c, &r));
	NS_GO(to_channels(&r, options->c, options->background));
	if (turned)
		NS_GO(ns_raster_turn(&r, image.orientation));
	status = ns_resize_part(r.data, r.h, r.w, options->c, &at, pixels, h, w);
out:
	free(r.data);
	return status;
}
