/* datasets/decode/pnm.c - PBM, PGM and PPM, as numbers or as bytes. */
#include "datasets/decode/decode_inner.h"

#include <string.h>

struct header {
	int kind; /* 1 to 6, as in P1 to P6 */
	int w, h, most;
	size_t at; /* of the first pixel */
};

static int is_space(uint8_t x)
{
	return x == ' ' || (x >= '\t' && x <= '\r');
}

static int is_pnm(const uint8_t *d, size_t bytes)
{
	return bytes > 7 && d[0] == 'P' && d[1] >= '1' && d[1] <= '6' && (is_space(d[2]) || d[2] == '#');
}

static void skip_space(const uint8_t *d, size_t bytes, size_t *at)
{
	while (*at < bytes && (is_space(d[*at]) || d[*at] == '#')) {
		if (d[*at] == '#')
			while (*at < bytes && d[*at] != '\n' && d[*at] != '\r')
				(*at)++;
		else
			(*at)++;
	}
}

/* The next number, behind white space and comments; -1: none. */
static int number(const uint8_t *d, size_t bytes, size_t *at)
{
	int x = 0, digits = 0;

	skip_space(d, bytes, at);
	for (; *at < bytes && d[*at] >= '0' && d[*at] <= '9' && digits < 9; digits++)
		x = 10 * x + d[(*at)++] - '0';
	return digits ? x : -1;
}

static enum ns_status read_header(const uint8_t *data, size_t bytes, struct header *p)
{
	*p = (struct header){.kind = data[1] - '0', .at = 2, .most = 1};
	p->w = number(data, bytes, &p->at);
	p->h = number(data, bytes, &p->at);
	if (p->kind % 3 != 1)
		p->most = number(data, bytes, &p->at);
	if (p->w < 0 || p->h < 0 || p->most < 1 || p->most > 65535 || p->at >= bytes)
		return ns_fail(NS_BAD_DATA, "PNM: its header is damaged");
	p->at += p->kind > 3; /* one white space before bytes */
	return NS_OK;
}

static enum ns_status look_pnm(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	struct header p;

	NS_TRY(read_header(data, bytes, &p));
	out->h = p.h;
	out->w = p.w;
	out->c = p.kind % 3 ? 1 : 3;
	out->bits = p.most > 255 ? 16 : p.most > 1 ? 8 : 1;
	return NS_OK;
}

/* a sample of 0 to most, as 0 to 255; 16 bits by their high byte, as in all formats */
static uint8_t scaled(int x, int most)
{
	x = x > most ? most : x;
	return (uint8_t)(most == 255 ? x : most == 65535 ? x >> 8 : (x * 255 + most / 2) / most);
}

static enum ns_status read_bits(const uint8_t *data, size_t bytes, const struct header *p, struct ns_raster *out)
{
	size_t stride = ((size_t)p->w + 7) / 8;
	int x, y;

	if (p->at > bytes || (bytes - p->at) / stride < (size_t)p->h)
		return ns_fail(NS_BAD_DATA, "PNM: ends in the middle");
	for (y = 0; y < p->h; y++)
		for (x = 0; x < p->w; x++) /* 1 is black */
			out->data[(size_t)y * (size_t)p->w + (size_t)x] =
				data[p->at + stride * (size_t)y + (size_t)(x / 8)] >> (7 - x % 8) & 1 ? 0 : 255;
	return NS_OK;
}

static enum ns_status read_pnm(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	struct header p;
	size_t i, n, wide;

	(void)wanted;
	NS_TRY(read_header(data, bytes, &p));
	out->h = p.h;
	out->w = p.w;
	out->channels = image->c;
	NS_TRY(ns_raster_make(out));
	n = (size_t)p.h * (size_t)p.w * (size_t)out->channels;
	if (p.kind == 4)
		return read_bits(data, bytes, &p, out);
	wide = p.most > 255 ? 2 : 1;
	if (p.kind > 3 && (p.at > bytes || (bytes - p.at) / wide < n))
		return ns_fail(NS_BAD_DATA, "PNM: ends in the middle");
	for (i = 0; i < n; i++) {
		int x;

		if (p.kind == 1) { /* digits of a bitmap need no space between them */
			skip_space(data, bytes, &p.at);
			x = p.at < bytes && (data[p.at] == '0' || data[p.at] == '1') ? data[p.at++] == '0' : -1;
		} else if (p.kind < 4) {
			x = number(data, bytes, &p.at);
		} else {
			x = wide == 2 ? data[p.at + 2 * i] << 8 | data[p.at + 2 * i + 1] : data[p.at + i];
		}
		if (x < 0)
			return ns_fail(NS_BAD_DATA, "PNM: ends in the middle");
		out->data[i] = scaled(x, p.most);
	}
	return NS_OK;
}

const struct ns_format ns_format_pnm = {"pnm", "PNM", is_pnm, look_pnm, read_pnm, NULL, NULL};
