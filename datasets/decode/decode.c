/* datasets/decode/decode.c - the table of formats, and from a raster to the pixels that were asked for. */
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
						  &ns_format_bmp,  &ns_format_pnm, NULL};

/* what is recognised so that a refusal can name it */
static const struct {
	const char *kind, *title;
	size_t at;
	const char *bytes;
	size_t n;
} strangers[] = {
	{"heic", "HEIC", 4, "ftyphei", 7},
	{"heic", "HEIC", 4, "ftypmif1", 8},
	{"avif", "AVIF", 4, "ftypavi", 7},
	{"jxl", "JPEG XL", 0, "\xff\x0a", 2},
	{"jxl", "JPEG XL", 0, "\0\0\0\x0cJXL ", 8},
	{"jp2", "JPEG 2000", 0, "\0\0\0\x0cjP  ", 8},
	{"jp2", "JPEG 2000", 0, "\xff\x4f\xff\x51", 4},
	{"webp", "WebP", 8, "WEBP", 4},
	{"tiff", "TIFF", 0, "II*\0", 4},
	{"tiff", "TIFF", 0, "MM\0*", 4},
	{"gif", "GIF", 0, "GIF8", 4},
	{"ico", "ICO", 0, "\0\0\1\0", 4},
	{"psd", "a Photoshop file", 0, "8BPS", 4},
	{"exr", "OpenEXR", 0, "\x76\x2f\x31\x01", 4},
	{"hdr", "Radiance HDR", 0, "#?RADIANCE", 10},
	{"pdf", "a PDF", 0, "%PDF", 4},
	{"zip", "a zip", 0, "PK\3\4", 4},
	{"html", "a page of HTML", 0, "<!DOCTYPE", 9},
	{"html", "a page of HTML", 0, "<!doctype", 9},
	{"html", "a page of HTML", 0, "<html", 5},
	{"svg", "SVG", 0, "<svg", 4},
};

static const struct ns_format *format_of(const uint8_t *data, size_t bytes)
{
	size_t i;

	for (i = 0; formats[i] && !formats[i]->is(data, bytes);)
		i++;
	return formats[i];
}

const char *ns_image_kind(const uint8_t *data, size_t bytes)
{
	const struct ns_format *format = format_of(data, bytes);

	return format ? format->kind : NULL;
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

enum ns_status ns_raster_make(struct ns_raster *out)
{
	out->data = malloc((size_t)out->h * (size_t)out->w * (size_t)out->channels);
	return out->data ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", out->w, out->h);
}

/* BT.601 as Pillow rounds it */
static uint8_t luma(const uint8_t *x)
{
	return (uint8_t)((x[0] * 19595u + x[1] * 38470u + x[2] * 7471u + 0x8000u) >> 16);
}

/* Drops alpha or composes it, and makes c channels, in place: no pixel grows before the ones after it are read. */
static void convert(struct ns_raster *r, int c, int background)
{
	int colours = r->channels < 3 ? 1 : 3, alpha = r->channels == colours + 1, k;
	int64_t i, n = (int64_t)r->h * r->w;
	uint8_t behind[3] = {(uint8_t)((background - 1) >> 16), (uint8_t)((background - 1) >> 8), (uint8_t)(background - 1)}, grey = luma(behind);

	if (!alpha && colours == c)
		return;
	for (i = 0; i < n; i++) {
		const uint8_t *from = r->data + i * r->channels;
		uint8_t x[3];

		for (k = 0; k < colours; k++)
			x[k] = !alpha || !background
				       ? from[k]
				       : (uint8_t)((from[k] * from[colours] + (colours == 1 ? grey : behind[k]) * (255 - from[colours]) + 127) / 255);
		if (c == 1)
			r->data[i] = colours == 1 ? x[0] : luma(x);
		else
			memcpy(r->data + i * 3, x, 3); /* colours is 3: grey to colour goes through widen() */
	}
	r->channels = c;
}

/* Grey (and alpha) to colour: pixels grow, so from the last to the first in a larger block. */
static enum ns_status widen(struct ns_raster *r, int background)
{
	int64_t i, n = (int64_t)r->h * r->w;
	uint8_t *more;

	/* a coloured background colours what is behind grey: alpha goes first to RGBA */
	if (r->channels == 2 && background) {
		more = realloc(r->data, (size_t)n * 4);
		if (!more)
			return ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", r->w, r->h);
		for (r->data = more, i = n; i-- > 0;) {
			more[4 * i + 3] = more[2 * i + 1];
			more[4 * i] = more[4 * i + 1] = more[4 * i + 2] = more[2 * i];
		}
		r->channels = 4;
		convert(r, 3, background);
		return NS_OK;
	}
	convert(r, 1, 0);
	more = realloc(r->data, (size_t)n * 3);
	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", r->w, r->h);
	for (r->data = more, i = n; i-- > 0;)
		more[3 * i] = more[3 * i + 1] = more[3 * i + 2] = more[i];
	r->channels = 3;
	return NS_OK;
}

/* Turns pixels upright: EXIF's 2 and 4 mirror, 3 is half a turn, 5 to 8 exchange rows and columns. */
static enum ns_status turn(struct ns_raster *r, int orientation)
{
	int h = orientation > 4 ? r->w : r->h, w = orientation > 4 ? r->h : r->w, y, x, c = r->channels;
	uint8_t *out;

	if (orientation < 2)
		return NS_OK;
	out = malloc((size_t)h * (size_t)w * (size_t)c);
	if (!out)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", w, h);
	for (y = 0; y < h; y++)
		for (x = 0; x < w; x++) {
			int flip_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
			int flip_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
			int fy = orientation > 4 ? (flip_x ? r->h - 1 - x : x) : flip_y ? r->h - 1 - y : y;
			int fx = orientation > 4 ? (flip_y ? r->w - 1 - y : y) : flip_x ? r->w - 1 - x : x;

			memcpy(out + ((int64_t)y * w + x) * c, r->data + ((int64_t)fy * r->w + fx) * c, (size_t)c);
		}
	free(r->data);
	r->data = out;
	r->h = h;
	r->w = w;
	return NS_OK;
}

enum ns_status ns_decode(const uint8_t *data, size_t bytes, const struct ns_decode_options *options, int *h, int *w, int *c, uint8_t **pixels,
			 struct ns_image *said)
{
	int64_t most = options->pixels_max ? options->pixels_max : NS_PIXELS_MAX;
	struct ns_raster r = {0};
	struct ns_image image;
	enum ns_status status;

	*pixels = NULL;
	NS_TRY(ns_image_look(data, bytes, &image));
	if ((int64_t)image.h * image.w > most)
		return ns_fail(NS_BAD_DATA, "%d x %d pixels; at most %lld are taken (ingest.max_pixels)", image.w, image.h, (long long)most);
	*c = options->c ? options->c : image.c;
	NS_GO(format_of(data, bytes)->read(data, bytes, &image, *c, &r));
	if (*c == 3 && r.channels < 3)
		NS_GO(widen(&r, options->background));
	else
		convert(&r, *c, options->background);
	if (!options->as_stored)
		NS_GO(turn(&r, image.orientation));
	*h = r.h;
	*w = r.w;
	*pixels = r.data;
	image.warnings = r.warnings;
	if (said)
		*said = image;
	return NS_OK;
out:
	free(r.data);
	return status;
}
