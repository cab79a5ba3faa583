/* datasets/decode/gif.c - GIF by giflib: the first frame, on its canvas. */
#include "datasets/decode/decode_inner.h"

#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const uint8_t *data;
	size_t bytes, at;
};

static int is_gif(const uint8_t *d, size_t bytes)
{
	return bytes > 13 && (!memcmp(d, "GIF87a", 6) || !memcmp(d, "GIF89a", 6));
}

/* The canvas. That a pixel is transparent is said by the first frame, behind extensions: it is found while reading. */
static enum ns_status look_gif(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	(void)bytes;
	out->w = data[6] | data[7] << 8;
	out->h = data[8] | data[9] << 8;
	return NS_OK;
}

static int on_read(GifFileType *gif, GifByteType *to, int n)
{
	struct reader *r = gif->UserData;
	size_t there = r->bytes - r->at, take = (size_t)n < there ? (size_t)n : there;

	memcpy(to, r->data + r->at, take);
	r->at += take;
	return (int)take;
}

/* Reads records to the first image; *clear: the index that is transparent, or -1. */
static int to_image(GifFileType *gif, int *clear)
{
	GifRecordType type = UNDEFINED_RECORD_TYPE;
	GraphicsControlBlock control;
	GifByteType *block;
	int code;

	for (*clear = -1; DGifGetRecordType(gif, &type) == GIF_OK && type != TERMINATE_RECORD_TYPE;) {
		if (type == IMAGE_DESC_RECORD_TYPE)
			return DGifGetImageDesc(gif) == GIF_OK;
		if (type != EXTENSION_RECORD_TYPE || DGifGetExtension(gif, &code, &block) != GIF_OK)
			return 0;
		for (; block;) {
			if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(*block, block + 1, &control) == GIF_OK)
				*clear = control.TransparentColor;
			if (DGifGetExtensionNext(gif, &block) != GIF_OK)
				return 0;
		}
	}
	return 0;
}

static enum ns_status read_frame(GifFileType *gif, int clear, struct ns_raster *out)
{
	static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
	const GifImageDesc *d = &gif->Image;
	const ColorMapObject *map = d->ColorMap ? d->ColorMap : gif->SColorMap;
	GifPixelType *line = malloc((size_t)d->Width + 1);
	enum ns_status status = line ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a line of a GIF");
	int pass, y, x;

	if (status == NS_OK && (int64_t)d->Width * d->Height > (int64_t)4 * out->h * out->w + 65536)
		status = ns_fail(NS_BAD_DATA, "GIF: a frame of %d x %d pixels on a canvas of %d x %d", d->Width, d->Height, out->w, out->h);
	if (status == NS_OK && !map)
		status = ns_fail(NS_BAD_DATA, "GIF: has no table of colours");
	for (pass = 0; status == NS_OK && pass < (d->Interlace ? 4 : 1); pass++)
		for (y = d->Interlace ? first[pass] : 0; status == NS_OK && y < d->Height; y += d->Interlace ? step[pass] : 1) {
			if (DGifGetLine(gif, line, d->Width) != GIF_OK)
				status = ns_fail(NS_BAD_DATA, "GIF: damaged, or it ends in the middle");
			for (x = 0; status == NS_OK && x < d->Width && d->Left + x < out->w && d->Top + y < out->h; x++) {
				uint8_t *to = out->data + ((size_t)(d->Top + y) * (size_t)out->w + (size_t)(d->Left + x)) * 4;

				if (line[x] >= map->ColorCount)
					continue;
				to[0] = map->Colors[line[x]].Red;
				to[1] = map->Colors[line[x]].Green;
				to[2] = map->Colors[line[x]].Blue;
				to[3] = line[x] == clear ? 0 : 255;
				out->clear |= line[x] == clear;
			}
		}
	free(line);
	return status;
}

static enum ns_status read_gif(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	struct reader r = {.data = data, .bytes = bytes};
	int error = 0, clear;
	GifFileType *gif = DGifOpen(&r, on_read, &error);
	enum ns_status status;

	(void)wanted;
	if (!gif)
		return ns_fail(NS_BAD_DATA, "GIF: its header is damaged");
	out->h = image->h;
	out->w = image->w;
	out->channels = 4;
	NS_GO(ns_raster_make(out));
	memset(out->data, 0, (size_t)out->h * (size_t)out->w * 4);
	status = to_image(gif, &clear) ? read_frame(gif, clear, out) : ns_fail(NS_BAD_DATA, "GIF: has no image");
out:
	DGifCloseFile(gif, &error);
	return status;
}

const struct ns_format ns_format_gif = {"gif", "GIF", is_gif, look_gif, read_gif, NULL, NULL};
