/* datasets/decode/decode.h - image files in memory to pixels, what their headers say, and pixels to another size. */
#ifndef NS_DECODE_H
#define NS_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#define NS_SIDE_MAX   16384
#define NS_PIXELS_MAX 134217728 /* default of ns_decode_options.pixels_max: 128 Mi */

/* what a file's header says, before any pixel is decoded */
struct ns_image {
	const char *kind; /* jpeg, png, webp, tiff, bmp, gif, pnm, heic, avif or jxl, by its first bytes */
	int h, w;	  /* as stored: an orientation above 4 exchanges them */
	int c;		  /* 1: grey, 3: colour */
	int bits;	  /* of a stored sample */
	int alpha;	  /* has transparency, of any kind */
	int orientation;  /* of EXIF or the container, 1 to 8 as EXIF has it; 1: upright, or not said */
	int profile;	  /* has an ICC profile, which is not applied */
	int position;	  /* EXIF says where it was taken */
	int placed;	  /* and that can be read: degrees, north and east positive */
	double latitude, longitude;
	int64_t time;	 /* EXIF's capture time as if it were UTC, seconds since 1970; 0: not said */
	char camera[64]; /* EXIF's make and model; "": not said */
	int warnings;	 /* of the decoder, about what left the pixels whole; ns_decode() alone counts them */
};

struct ns_decode_options {
	int c;		    /* 1 or 3 for that many channels, 0: as the file has it. Grey of colour is BT.601: (299 R + 587 G + 114 B) / 1000 */
	int as_stored;	    /* leaves EXIF's orientation unapplied */
	int background;	    /* 0xRRGGBB + 1: transparent pixels are composed over it; 0: alpha is dropped, the stored colour stays */
	int64_t pixels_max; /* 0: NS_PIXELS_MAX */
};

/* The formats that this build reads, "JPEG, PNG" and so on; cut off at n bytes. */
void ns_decode_formats(char *text, size_t n);
/* The header alone. NS_BAD_DATA: what it is, and why it is not taken; messages name no file. */
enum ns_status ns_image_look(const uint8_t *data, size_t bytes, struct ns_image *out);
/*
 * Stored samples: no gamma, no colour profile; 16 bits by their high byte; CMYK as Adobe stores it, by r = c k / 255. Of several images in a
 * file the first. *h, *w, *c: of the pixels, (h, w, c) in *pixels, which the caller frees. *image, which may be NULL: as
 * ns_image_look() fills it in, with the warnings. NS_BAD_DATA: damage, more than pixels_max, or what no decoder here reads.
 */
enum ns_status ns_decode(const uint8_t *data, size_t bytes, const struct ns_decode_options *options, int *h, int *w, int *c, uint8_t **pixels,
			 struct ns_image *image);
/*
 * Erases from a file's bytes where it was taken, as EXIF and XMP say it, without changing anything else, or how many they are: zeros in EXIF, blanks in
 * XMP; of a PNG in EXIF alone. Returns whether there was anything. A damaged file may have lost pixels by it.
 */
int ns_place_erase(uint8_t *data, size_t bytes);
/*
 * ns_decode() with options->c channels and ns_resize() of what it gives, to the bit, but of a JPEG that is not turned only what the result shows is
 * computed. pixels: (h, w, options->c), which the caller owns.
 */
enum ns_status ns_decode_cover(const uint8_t *data, size_t bytes, const struct ns_decode_options *options, int h, int w, uint8_t *pixels,
			       struct ns_image *image);
struct ns_part { /* corner and size, in pixels of an image that stands upright, unless options say as_stored */
	int y, x, h, w;
};
/*
 * A part of the image, scaled to pixels (h, w, options->c), which the caller owns: as ns_decode() and scaling what was cut out, but that only what
 * is needed is decoded, and a JPEG is scaled while it is decoded where the part shrinks to a quarter and less.
 */
enum ns_status ns_decode_part(const uint8_t *data, size_t bytes, const struct ns_decode_options *options, const struct ns_part *part, int h, int w,
			      uint8_t *pixels);
/* Pixels of xc channels with c of them, 1 or 3, as ns_decode() makes them; the caller frees *y. */
enum ns_status ns_channels(const uint8_t *x, int h, int w, int xc, int c, uint8_t **y);
/* Scale to cover h x w with the middle kept: area average down, bilinear up. */
enum ns_status ns_resize(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w);

/*
 * --- fit: onto the canvas of a network, by the rules and with the arithmetic of the programs in which networks are made.
 */

/* area is ns_resize()'s, of the rule cover alone; bilinear, bicubic, lanczos, box, nearest are Pillow's to the bit (and torchvision's of images); opencv is INTER_LINEAR. */
enum ns_filter {
	NS_FILTER_AREA,
	NS_FILTER_BILINEAR,
	NS_FILTER_BICUBIC,
	NS_FILTER_LANCZOS,
	NS_FILTER_BOX,
	NS_FILTER_NEAREST,
	NS_FILTER_OPENCV,
	NS_FILTERS
};
int ns_filter_find(const char *name); /* -1: there is none */
const char *ns_filter_name(enum ns_filter filter);
/* y (h, w, c) of x (xh, xw, c) */
enum ns_status ns_filter(enum ns_filter filter, const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w);

/*
 * cover: the shorter side becomes `resize` (0: what covers the canvas), the middle is kept, as torchvision's Resize and CenterCrop. stretch: to the canvas. letterbox: whole, in the
 * middle, as YOLO has it. corner: whole, in the upper left. within: no side longer than the canvas' longer one, sides multiples of `multiple`, and the canvas is the image.
 * height: as high as the canvas, at least as wide, and the canvas as wide as that.
 */
enum ns_fit_rule { NS_FIT_COVER, NS_FIT_STRETCH, NS_FIT_LETTERBOX, NS_FIT_CORNER, NS_FIT_WITHIN, NS_FIT_HEIGHT };
int ns_fit_find(const char *name); /* -1: there is none */
const char *ns_fit_name(enum ns_fit_rule rule);

struct ns_fit {
	enum ns_fit_rule rule;
	enum ns_filter filter;
	int h, w, resize, multiple;
	double fill; /* of what the image leaves of the canvas, as a pixel: 0 to 255 */
};

struct ns_placed {
	int canvas_h, canvas_w;
	int y, x, h, w;	     /* where the scaled image lies on it, perhaps beyond its edges */
	double down, across; /* pixels of the canvas for one of the image: image x = (canvas x - x) / across */
};

/* NS_CONFIG: filter and rule do not go together. */
enum ns_status ns_fit_check(const struct ns_fit *fit);
/* Where an image of xh x xw pixels lies. NS_BAD_DATA: it would be longer than NS_SIDE_MAX. */
enum ns_status ns_fit_place(const struct ns_fit *fit, int xh, int xw, struct ns_placed *placed);
/* out (canvas_h, canvas_w, c) = (pixel / 255 - mean) / std; mean and std (c). */
enum ns_status ns_fit_image(const struct ns_fit *fit, const struct ns_placed *placed, const uint8_t *x, int xh, int xw, int c, const float *mean,
			    const float *std, float *out);

/* The same as bytes: pixels (canvas_h, canvas_w, c), the fill to the nearest whole number. */
enum ns_status ns_fit_bytes(const struct ns_fit *fit, const struct ns_placed *placed, const uint8_t *x, int xh, int xw, int c, uint8_t *out);

enum ns_status ns_png_write(const char *path, const uint8_t *pixels, int h, int w, int c);
/* PNG in memory, for reports; the caller frees */
enum ns_status ns_png_encode(const uint8_t *pixels, int h, int w, int c, uint8_t **png, size_t *bytes);

#endif
