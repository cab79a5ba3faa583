/* datasets/decode/raster.c - from what a decoder gives to grey or colour, composed and upright. */
#include "datasets/decode/decode_inner.h"

#include <stdlib.h>
#include <string.h>

enum ns_status ns_raster_make(struct ns_raster *out)
{
	out->data = malloc((size_t)out->h * (size_t)out->w * (size_t)out->channels);
	return out->data ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", out->w, out->h);
}

/* a sample over the colour behind it, by its alpha */
static uint8_t over(int sample, int alpha, int behind)
{
	return (uint8_t)((sample * alpha + behind * (255 - alpha) + 127) / 255);
}

/* BT.601 as Pillow rounds it */
static uint8_t luma(const uint8_t *x)
{
	return (uint8_t)((x[0] * 19595u + x[1] * 38470u + x[2] * 7471u + 0x8000u) >> 16);
}

void ns_raster_convert(struct ns_raster *r, int c, int background)
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
			x[k] = alpha && background ? over(from[k], from[colours], colours == 1 ? grey : behind[k]) : from[k];
		if (c == 1)
			r->data[i] = colours == 1 ? x[0] : luma(x);
		else
			memcpy(r->data + i * 3, x, 3); /* colours is 3: grey to colour goes through ns_raster_widen() */
	}
	r->channels = c;
}

enum ns_status ns_raster_widen(struct ns_raster *r, int background)
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
		ns_raster_convert(r, 3, background);
		return NS_OK;
	}
	ns_raster_convert(r, 1, 0);
	more = realloc(r->data, (size_t)n * 3);
	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", r->w, r->h);
	for (r->data = more, i = n; i-- > 0;)
		more[3 * i] = more[3 * i + 1] = more[3 * i + 2] = more[i];
	r->channels = 3;
	return NS_OK;
}

enum ns_status ns_channels(const uint8_t *x, int h, int w, int xc, int c, uint8_t **y)
{
	struct ns_raster r = {.h = h, .w = w, .channels = xc};
	enum ns_status status = ns_raster_make(&r);

	if (status == NS_OK)
		memcpy(r.data, x, (size_t)h * (size_t)w * (size_t)xc);
	if (status == NS_OK && c > xc)
		status = ns_raster_widen(&r, 0);
	else if (status == NS_OK)
		ns_raster_convert(&r, c, 0);
	if (status != NS_OK)
		free(r.data);
	*y = status == NS_OK ? r.data : NULL;
	return status;
}

enum ns_status ns_raster_turn(struct ns_raster *r, int orientation)
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
