/*
 * datasets/decode/heif_inner.h - HEIF's boxes (ISO/IEC 23008-12 in 14496-12's), and the images that are coded in them.
 *
 * A file's boxes are read here and never by libheif: what it is given is one coded image at a time, in a file of a few boxes that is written
 * here. So no header makes it allocate, and grids, crops, turns and transparency mean what heif.c says.
 */
#ifndef NS_DECODE_HEIF_INNER_H
#define NS_DECODE_HEIF_INNER_H

#include "datasets/decode/decode_inner.h"

struct heif_image; /* libheif's */

#define NS_HEIF_CODE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

struct ns_heif_span { /* bytes of the file */
	const uint8_t *at;
	size_t bytes;
};

struct ns_heif {
	const char *title; /* HEIC or AVIF */
	struct ns_heif_span all;
	struct ns_heif_span iloc, iinf, iref, iprp, ipco, idat; /* what is in these boxes; empty: there is none */
	uint32_t primary;					/* the item that the file shows */
};

struct ns_heif_item {
	uint32_t id, type;
	struct ns_heif_span config; /* the box hvcC or av1C, with its header */
	struct ns_heif_span nclx;   /* the box colr that has a matrix, with its header */
	int profile;		    /* has an ICC profile */
	int is_alpha;		    /* says that it is the transparency of another item */
	int orientation;	    /* as EXIF's, of the boxes irot and imir */
	struct ns_heif_span clap;   /* what is in the box of that name: a crop */
	int h, w, bits, grey;	    /* as coded: ns_heif_stream() fills these in */
};

/* The first n bytes as a big-endian number, taken off. Of fewer it takes all, and at is NULL from then on. */
uint64_t ns_heif_take(struct ns_heif_span *s, size_t n);
/* The next box: its type, what is in it, and it as a whole. 0: there is none. */
int ns_heif_box(struct ns_heif_span *rest, uint32_t *type, struct ns_heif_span *in, struct ns_heif_span *whole);

enum ns_status ns_heif_open(struct ns_heif *f, const char *title, const uint8_t *data, size_t bytes);
/* NS_BAD_DATA: there is no such item. */
enum ns_status ns_heif_item(const struct ns_heif *f, uint32_t id, struct ns_heif_item *item);
/* The parts of an item's bytes, in their order; their number, 0: there are none, too many, or one outside the file. */
#define NS_HEIF_PARTS 32
int ns_heif_parts(const struct ns_heif *f, uint32_t id, struct ns_heif_span *parts);
/* The n-th item that `from` refers to by `type`; 0: there are no more. */
int ns_heif_refers(const struct ns_heif *f, uint32_t type, uint32_t from, int n, uint32_t *to);
/* The n-th item that refers to `to` by `type`; 0: there are no more. */
int ns_heif_referrer(const struct ns_heif *f, uint32_t type, uint32_t to, int n, uint32_t *from);

/* What the stream's own header says of a coded item, hvc1 or av01. */
enum ns_status ns_heif_stream(const struct ns_heif *f, struct ns_heif_item *item);
/* Decodes a coded item of that size: planes of R, G and B, or of Y alone. The caller releases *out. */
enum ns_status ns_heif_decode(const struct ns_heif *f, const struct ns_heif_item *item, struct heif_image **out);
/* Makes dav1d libheif's decoder of AV1, with one thread and a limit of its memory; to be called once. */
void ns_heif_use_dav1d(void);
/* The same for libde265 and HEVC. */
void ns_heif_use_de265(void);
/* The same of AV1's sequence header; 0: there is none in those bytes. */
int ns_heif_av1_stream(const struct ns_heif_span *bytes, struct ns_heif_item *item);

#endif
