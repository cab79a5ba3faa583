/* datasets/decode/bmp.c - BMP of Windows and OS/2: 1 to 32 bits a pixel, plain, run-length encoded, or with masks. */
#include "datasets/decode/decode_inner.h"

#include <stdlib.h>
#include <string.h>

enum compression { PLAIN, RLE8, RLE4, MASKS, JPEG_INSIDE, PNG_INSIDE, ALPHA_MASKS };

struct header {
	int w, h, up, bits; /* up: the first row is the lowest */
	uint32_t compression, colours, mask[4];
	size_t pixels, palette, entry; /* where they begin; bytes of an entry of the palette */
};

static uint32_t little(const uint8_t *d, int bytes)
{
	uint32_t x = 0;
	int i;

	for (i = 0; i < bytes; i++)
		x |= (uint32_t)d[i] << 8 * i;
	return x;
}

static int is_bmp(const uint8_t *d, size_t bytes)
{
	uint32_t size = bytes > 26 ? little(d + 14, 4) : 0;

	return bytes > 26 && !memcmp(d, "BM", 2) && (size == 12 || (size >= 40 && size <= 124));
}

static enum ns_status read_masks(const uint8_t *d, size_t bytes, uint32_t size, struct header *out)
{
	static const uint32_t plain16[] = {0x7c00, 0x3e0, 0x1f, 0}, plain32[] = {0xff0000, 0xff00, 0xff, 0};
	int masks = out->compression == MASKS ? 3 : out->compression == ALPHA_MASKS ? 4 : 0, i;

	memcpy(out->mask, out->bits == 16 ? plain16 : plain32, sizeof out->mask);
	if (!masks)
		return NS_OK;
	if (bytes < 54 + 4 * (size_t)masks)
		return ns_fail(NS_BAD_DATA, "BMP: ends in its header");
	if (size >= 56) /* the mask of alpha is a field of these headers */
		masks = 4;
	for (i = 0; i < masks; i++)
		out->mask[i] = little(d + 54 + 4 * i, 4);
	if (size == 40)
		out->palette += 4 * (size_t)masks;
	return NS_OK;
}

static enum ns_status read_header(const uint8_t *d, size_t bytes, struct header *out)
{
	uint32_t size = little(d + 14, 4);
	int core = size == 12, h;

	*out = (struct header){.pixels = little(d + 10, 4), .palette = 14 + (size_t)size, .entry = core ? 3 : 4};
	if (bytes < 14 + (size_t)size)
		return ns_fail(NS_BAD_DATA, "BMP: ends in its header");
	out->w = (int)little(d + 18, core ? 2 : 4);
	h = core ? (int)little(d + 20, 2) : (int)little(d + 22, 4);
	out->bits = (int)little(d + (core ? 24 : 28), 2);
	out->compression = core ? PLAIN : little(d + 30, 4);
	out->colours = core ? 0 : little(d + 46, 4);
	out->up = h > 0;
	out->h = h > 0 ? h : h > -INT32_MAX ? -h : 0;
	if (out->compression > ALPHA_MASKS || out->compression == JPEG_INSIDE || out->compression == PNG_INSIDE)
		return ns_fail(NS_BAD_DATA, "BMP: compression %u is not read", out->compression);
	if (out->bits != 1 && out->bits != 2 && out->bits != 4 && out->bits != 8 && out->bits != 16 && out->bits != 24 && out->bits != 32)
		return ns_fail(NS_BAD_DATA, "BMP: %d bits a pixel", out->bits);
	if ((out->compression == RLE8 && out->bits != 8) || (out->compression == RLE4 && out->bits != 4) ||
	    ((out->compression == MASKS || out->compression == ALPHA_MASKS) && out->bits != 16 && out->bits != 32))
		return ns_fail(NS_BAD_DATA, "BMP: compression %u of %d bits a pixel", out->compression, out->bits);
	if (out->bits <= 8 && (!out->colours || out->colours > 1u << out->bits))
		out->colours = 1u << out->bits;
	if (out->bits <= 8 && (out->palette > bytes || bytes - out->palette < out->entry * out->colours))
		return ns_fail(NS_BAD_DATA, "BMP: ends in its table of colours");
	NS_TRY(read_masks(d, bytes, size, out));
	if (!out->pixels) /* some writers leave it out: pixels follow the table of colours */
		out->pixels = out->palette + (out->bits <= 8 ? out->entry * out->colours : 0);
	return out->pixels >= 14 + (size_t)size ? NS_OK : ns_fail(NS_BAD_DATA, "BMP: its pixels begin at byte %zu, within its header", out->pixels);
}

static enum ns_status look_bmp(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	struct header b;
	uint32_t i;

	NS_TRY(read_header(data, bytes, &b));
	out->h = b.h;
	out->w = b.w;
	out->alpha = b.bits > 8 && b.mask[3];
	out->c = 1;
	for (i = 0; i < b.colours && b.bits <= 8; i++) {
		const uint8_t *x = data + b.palette + b.entry * i;

		if (x[0] != x[1] || x[1] != x[2])
			out->c = 3;
	}
	if (b.bits > 8)
		out->c = 3;
	return NS_OK;
}

/* the bits under a mask, as 0 to 255 */
static uint8_t under(uint32_t x, uint32_t mask)
{
	int at = mask ? __builtin_ctz(mask) : 0;
	uint64_t most = mask >> at;

	return (uint8_t)(most ? (uint64_t)((x & mask) >> at) * 255 / most : 0);
}

static void put_row(const uint8_t *from, const struct header *b, const uint8_t *palette, struct ns_raster *out, uint8_t *to)
{
	int x, k, bytes = b->bits / 8;

	for (x = 0; x < b->w; x++, to += out->channels) {
		if (b->bits <= 8) {
			uint32_t index = (uint32_t)from[x * b->bits / 8] >> (8 - b->bits - x * b->bits % 8) & ((1u << b->bits) - 1);
			const uint8_t *colour = palette + b->entry * (index < b->colours ? index : 0);

			for (k = 0; k < 3; k++)
				to[k] = colour[2 - k];
		} else if (b->bits == 24) {
			for (k = 0; k < 3; k++)
				to[k] = from[3 * x + 2 - k];
		} else {
			for (k = 0; k < out->channels; k++)
				to[k] = under(little(from + x * bytes, bytes), b->mask[k]);
		}
	}
}

/* Run-length encoded indices to one byte each, rows from the lowest on; what no run sets is index 0. */
static enum ns_status unpack(const uint8_t *d, size_t bytes, const struct header *b, uint8_t *index)
{
	int four = b->compression == RLE4, x = 0, y = 0, i;
	size_t at = b->pixels;

	memset(index, 0, (size_t)b->h * (size_t)b->w);
	while (at + 2 <= bytes && y < b->h) {
		int n = d[at], v = d[at + 1], literal = !n && v > 2;

		at += 2;
		if (!n && v == 1)
			return NS_OK;
		if (!n && v == 2) {
			if (at + 2 > bytes)
				break;
			x = x + d[at] < b->w ? x + d[at] : b->w; /* what lies beyond a row is nowhere */
			y += d[at + 1];
			at += 2;
			continue;
		}
		if (!n && v == 0) {
			x = 0;
			y++;
			continue;
		}
		n = literal ? v : n;
		if (literal && bytes - at < (size_t)(four ? (n + 1) / 2 : n))
			break;
		for (i = 0; i < n && x < b->w; i++, x++) {
			int byte = literal ? d[at + (size_t)(four ? i / 2 : i)] : v;

			index[(size_t)y * (size_t)b->w + (size_t)x] = (uint8_t)(four ? i % 2 ? byte & 15 : byte >> 4 : byte);
		}
		if (literal)
			at += (size_t)((four ? (n + 1) / 2 : n) + 1) / 2 * 2;
	}
	return y >= b->h ? NS_OK : ns_fail(NS_BAD_DATA, "BMP: ends in the middle");
}

static enum ns_status read_bmp(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	struct header b;
	uint8_t *index = NULL;
	const uint8_t *rows;
	enum ns_status status = NS_OK;
	size_t stride;
	int y;

	(void)wanted;
	NS_TRY(read_header(data, bytes, &b));
	out->h = b.h;
	out->w = b.w;
	out->channels = image->alpha ? 4 : 3;
	if (b.compression == RLE8 || b.compression == RLE4) {
		index = malloc((size_t)b.h * (size_t)b.w);
		NS_GO(index ? unpack(data, bytes, &b, index) : ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", b.w, b.h));
		b.bits = 8;
		rows = index;
		stride = (size_t)b.w;
	} else {
		stride = ((size_t)b.w * (size_t)b.bits + 31) / 32 * 4;
		if (b.pixels > bytes || (bytes - b.pixels) / stride < (size_t)b.h)
			return ns_fail(NS_BAD_DATA, "BMP: ends in the middle");
		rows = data + b.pixels;
	}
	NS_GO(ns_raster_make(out));
	for (y = 0; y < b.h; y++)
		put_row(rows + stride * (size_t)(b.up ? b.h - 1 - y : y), &b, data + b.palette, out,
			out->data + (size_t)y * (size_t)b.w * (size_t)out->channels);
out:
	free(index);
	return status;
}

const struct ns_format ns_format_bmp = {"bmp", "BMP", is_bmp, look_bmp, read_bmp, NULL, NULL};
