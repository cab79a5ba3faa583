/* datasets/decode/decode_inner.h - what the formats share: their table, rasters, EXIF. */
#ifndef NS_DECODE_DECODE_INNER_H
#define NS_DECODE_DECODE_INNER_H

#include "datasets/decode/decode.h"
#include "host/base/base.h"

struct ns_raster {
	uint8_t *data; /* (h, w, channels); the caller of a format's read frees it, whatever it returned */
	int h, w;
	int channels; /* 1: grey, 2: grey and alpha, 3: RGB, 4: RGB and alpha; not premultiplied */
	int warnings; /* about what left the pixels whole */
	int clear;    /* a pixel is transparent, which the header had not said */
};

struct ns_place { /* of a part in a raster that may be scaled, in its pixels */
	double y, x, h, w;
};

/* A format: a row of the table in decode.c. Both functions see bytes that `is` has taken. */
struct ns_format {
	const char *kind, *title;
	int (*is)(const uint8_t *data, size_t bytes);
	/* Fills in what it knows of *out, which holds kind, and the defaults. NS_BAD_DATA: damaged, or a kind of it that is not read. */
	enum ns_status (*look)(const uint8_t *data, size_t bytes, struct ns_image *out);
	/* image: as look() has found it; wanted: channels that the caller will make of it, 1 or 3 */
	enum ns_status (*read)(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out);
	/*
	 * NULL, or decodes what is needed of a part of the stored image that will be scaled to h x w: more than it, or fewer pixels where it shrinks
	 * to half and less. *at: where the part lies in the raster.
	 */
	enum ns_status (*read_part)(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, const struct ns_part *part, int h,
				    int w, struct ns_raster *out, struct ns_place *at);
	/* NULL, or as read(), but that pixels outside `seen` may be left out. *at: what the raster is of the stored image. */
	enum ns_status (*read_seen)(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, const struct ns_part *seen,
				    struct ns_raster *out, struct ns_part *at);
};
extern const struct ns_format ns_format_jpeg, ns_format_png, ns_format_webp, ns_format_tiff, ns_format_bmp, ns_format_gif, ns_format_pnm,
	ns_format_heic, ns_format_avif, ns_format_jxl;

/* out->data for out->h x out->w x out->channels */
enum ns_status ns_raster_make(struct ns_raster *out);
/* Drops alpha or composes it, and makes c channels, in place: no pixel grows before the ones after it are read. */
void ns_raster_convert(struct ns_raster *r, int c, int background);
/* Grey (and alpha) to colour: pixels grow, so from the last to the first in a larger block. */
enum ns_status ns_raster_widen(struct ns_raster *r, int background);
/* Turns pixels upright: EXIF's 2 and 4 mirror, 3 is half a turn, 5 to 8 exchange rows and columns. */
enum ns_status ns_raster_turn(struct ns_raster *r, int orientation);
/* What of an image of xh x xw is shown where it is scaled to cover h x w. */
struct ns_part ns_cover_part(int xh, int xw, int h, int w);
/* ns_resize() of an image of xh x xw, of which x is the part `at`, with c channels: all that is shown, or more. */
enum ns_status ns_resize_cover(const uint8_t *x, const struct ns_part *at, int xh, int xw, int c, uint8_t *y, int h, int w);
/* Scales the part `at` of x (xh, xw, c) to y (h, w, c), with nothing of what lies around it. */
enum ns_status ns_resize_part(const uint8_t *x, int xh, int xw, int c, const struct ns_place *at, uint8_t *y, int h, int w);
/* EXIF, which is a TIFF folder: orientation, capture time, camera, whether a place is there. What is damaged is left out. */
void ns_exif_read(const uint8_t *exif, size_t bytes, struct ns_image *out);
/* Zeros in place of what EXIF says of a place; 1: it said something. */
int ns_exif_erase_place(uint8_t *exif, size_t bytes);

#endif
