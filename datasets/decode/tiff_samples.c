/*
 * datasets/decode/tiff_samples.c - the samples of a TIFF as they are stored: grey, RGB and CMYK of 1 to 16 bits, in strips or tiles, together or
 * a plane for each. libtiff's own way to colours multiplies by alpha, and what was multiplied by 0 is lost.
 */
#include <stdlib.h>
#include <string.h>

#include "datasets/decode/tiff_inner.h"

struct layout {
	uint16_t bits, samples, kind, planar;
	int colours, alpha, associated; /* samples of colour; alpha: is the next one; associated: colours are multiplied by it */
	uint32_t h, w, tile_h, tile_w;	/* tile_h: rows of a strip, too */
	int tiled;
};

static int layout_of(TIFF *tiff, struct layout *l)
{
	uint16_t extra = 0, *extras, ink = INKSET_CMYK;

	*l = (struct layout){.bits = 1, .samples = 1, .kind = PHOTOMETRIC_MINISBLACK, .planar = PLANARCONFIG_CONTIG, .tiled = TIFFIsTiled(tiff)};
	TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &l->bits);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &l->samples);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &l->planar);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_INKSET, &ink);
	TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &l->kind);
	TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &l->w);
	TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &l->h);
	if (!TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra, &extras))
		extra = 0;
	l->colours = l->kind == PHOTOMETRIC_MINISBLACK || l->kind == PHOTOMETRIC_MINISWHITE ? 1
		     : l->kind == PHOTOMETRIC_RGB					    ? 3
		     : l->kind == PHOTOMETRIC_SEPARATED && ink == INKSET_CMYK		    ? 4
											    : 0;
	l->associated = extra && extras[0] == EXTRASAMPLE_ASSOCALPHA;
	l->alpha = l->colours && l->colours != 4 && l->samples > l->colours && (l->associated || (extra && extras[0] == EXTRASAMPLE_UNASSALPHA));
	if (l->tiled) {
		TIFFGetField(tiff, TIFFTAG_TILELENGTH, &l->tile_h);
		TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &l->tile_w);
	} else {
		TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &l->tile_h);
		l->tile_h = l->tile_h > l->h ? l->h : l->tile_h;
		l->tile_w = l->w;
	}
	return l->colours && l->samples >= l->colours && l->bits >= 1 && l->bits <= 16 && l->tile_h && l->tile_w;
}

int ns_tiff_has_samples(TIFF *tiff, int *alpha)
{
	struct layout l;
	int is = layout_of(tiff, &l);

	*alpha = is && l.alpha;
	return is;
}

/* Sample i of a row of them, by its high byte, or spread over 0 to 255 where it has fewer bits. */
static int sample_at(const uint8_t *row, size_t i, int bits)
{
	uint32_t v = 0, k;
	uint16_t wide;

	if (bits == 8)
		return row[i];
	if (bits == 16) { /* libtiff has put it in this machine's order */
		memcpy(&wide, row + 2 * i, 2);
		return wide >> 8;
	}
	for (k = 0; k < (uint32_t)bits; k++) {
		size_t at = i * (size_t)bits + k;

		v = v << 1 | (row[at / 8] >> (7 - at % 8) & 1);
	}
	return bits > 8 ? (int)(v >> (bits - 8)) : (int)((v * 510 + ((1u << bits) - 1)) / (2 * ((1u << bits) - 1)));
}

/* A block of rows of `step` samples, of which those from `first` on belong to channels `to` and the next ones. */
static void take_block(const struct layout *l, const uint8_t *block, size_t row_bytes, uint32_t y0, uint32_t x0, int step, int to, int count,
		       struct ns_raster *out)
{
	uint32_t y, x;
	int k;

	for (y = 0; y < l->tile_h && y0 + y < l->h; y++)
		for (x = 0; x < l->tile_w && x0 + x < l->w; x++) {
			uint8_t *pixel = out->data + ((size_t)(y0 + y) * l->w + x0 + x) * (size_t)out->channels + to;

			for (k = 0; k < count; k++) {
				int v = sample_at(block + y * row_bytes, (size_t)x * (size_t)step + (size_t)k, l->bits);

				pixel[k] = (uint8_t)(l->kind == PHOTOMETRIC_MINISWHITE && to + k < l->colours ? 255 - v : v);
			}
		}
}

/* All blocks of one plane, or of all samples together. */
static enum ns_status read_plane(TIFF *tiff, const struct layout *l, uint8_t *block, tmsize_t bytes, int plane, int step, int count,
				 struct ns_raster *out)
{
	size_t row_bytes = ((size_t)l->tile_w * (size_t)step * l->bits + 7) / 8;
	uint32_t y, x;

	if ((tmsize_t)(row_bytes * l->tile_h) > bytes)
		return ns_fail(NS_BAD_DATA, "TIFF: its rows are of another length than its header says");
	for (y = 0; y < l->h; y += l->tile_h)
		for (x = 0; x < l->w; x += l->tile_w) {
			uint32_t rows = l->h - y < l->tile_h && !l->tiled ? l->h - y : l->tile_h;
			tmsize_t got;

			/* of a packed row that goes on behind its end, libtiff (by libdeflate) may write nothing, and says that it has read it */
			memset(block, 0, (size_t)bytes);
			got = l->tiled ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, x, y, 0, (uint16_t)plane), block, bytes)
				       : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y, (uint16_t)plane), block, bytes);

			if (got < (tmsize_t)(row_bytes * rows))
				return ns_fail(NS_BAD_DATA, "TIFF: damaged, or it ends in the middle");
			take_block(l, block, row_bytes, y, x, step, plane, count, out);
		}
	return NS_OK;
}

static uint8_t whole(int v, int alpha)
{
	int x = alpha && alpha < 255 ? (v * 255 + alpha / 2) / alpha : v;

	return (uint8_t)(x > 255 ? 255 : x);
}

/* Ink to light; what was multiplied by alpha is divided again. */
static void finish(const struct layout *l, struct ns_raster *out)
{
	int64_t i, n = (int64_t)out->h * out->w;
	int k;

	for (i = 0; l->colours == 4 && i < n; i++) {
		const uint8_t *x = out->data + 4 * i;
		int light = 255 - x[3];

		for (k = 0; k < 3; k++)
			out->data[3 * i + k] = (uint8_t)(((255 - x[k]) * light + 127) / 255); /* in place: no pixel grows */
	}
	if (l->colours == 4)
		out->channels = 3;
	for (i = 0; l->associated && l->alpha && i < n; i++) {
		uint8_t *x = out->data + i * out->channels;

		for (k = 0; k < l->colours; k++)
			x[k] = whole(x[k], x[l->colours]);
	}
}

enum ns_status ns_tiff_samples(TIFF *tiff, struct ns_raster *out)
{
	struct layout l;
	enum ns_status status = NS_OK;
	uint8_t *block;
	tmsize_t bytes;
	int plane;

	layout_of(tiff, &l);
	bytes = l.tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
	out->channels = l.colours + l.alpha;
	NS_TRY(ns_raster_make(out));
	block = malloc((size_t)bytes);
	if (!block)
		return ns_fail(NS_NO_MEMORY, "out of memory for a strip of a TIFF");
	if (l.planar == PLANARCONFIG_CONTIG)
		status = read_plane(tiff, &l, block, bytes, 0, l.samples, out->channels, out);
	else
		for (plane = 0; plane < out->channels && status == NS_OK; plane++)
			status = read_plane(tiff, &l, block, bytes, plane, 1, 1, out);
	free(block);
	if (status == NS_OK)
		finish(&l, out);
	return status;
}
