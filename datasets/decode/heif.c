/*
 * datasets/decode/heif.c - HEIC and AVIF by libheif: the image that the file shows, whole or in tiles, its crop, and its transparency.
 * Of a sequence it is the still image beside it, where there is one.
 */
#include "datasets/decode/heif_inner.h"

#include <libheif/heif.h>
#include <string.h>

#define TILES_MOST  1024
#define BESIDE_MOST 16	      /* items that speak of an image */
#define TILE_MOST   (1 << 20) /* pixels of a tile, or of what a crop leaves out, that an image of fewer may have */

enum {
	HVC1 = NS_HEIF_CODE('h', 'v', 'c', '1'),
	AV01 = NS_HEIF_CODE('a', 'v', '0', '1'),
	GRID = NS_HEIF_CODE('g', 'r', 'i', 'd'),
	DIMG = NS_HEIF_CODE('d', 'i', 'm', 'g'),
};

struct layout {
	struct ns_heif_item item;  /* what is shown */
	struct ns_heif_item first; /* what is coded: it, or the first of its tiles */
	int rows, columns;
	int canvas_h, canvas_w; /* of all that is coded, of which the crop is shown */
	int y, x, h, w;		/* the crop */
};

/* --- which files these are --- */

/* One of the file's brands is one of these. */
static int has_brand(const uint8_t *d, size_t bytes, const char *brands)
{
	struct ns_heif_span rest = {d, bytes}, in, whole;
	uint32_t type;
	size_t i, k;

	if (bytes < 12 || memcmp(d + 4, "ftyp", 4) || !ns_heif_box(&rest, &type, &in, &whole))
		return 0;
	for (i = 0; i + 4 <= in.bytes && i < 256; i += 4)
		for (k = 0; i != 4 && brands[k]; k += 4) /* at 4 there is a number */
			if (!memcmp(in.at + i, brands + k, 4))
				return 1;
	return 0;
}

static int is_avif(const uint8_t *d, size_t bytes)
{
	return has_brand(d, bytes, "avifavis");
}

static int is_heic(const uint8_t *d, size_t bytes)
{
	return !is_avif(d, bytes) && has_brand(d, bytes, "heicheixheimheishevchevxmif1msf1");
}

/* --- what the file shows --- */

static enum ns_status not_read(const struct ns_heif *f, uint32_t type)
{
	static const struct {
		uint32_t type;
		const char *what;
	} others[] = {{HVC1, "by HEVC"},
		      {AV01, "by AV1"},
		      {NS_HEIF_CODE('a', 'v', 'c', '1'), "by AVC"},
		      {NS_HEIF_CODE('v', 'v', 'c', '1'), "by VVC"},
		      {NS_HEIF_CODE('j', 'p', 'e', 'g'), "by JPEG"},
		      {NS_HEIF_CODE('j', '2', 'k', '1'), "by JPEG 2000"},
		      {NS_HEIF_CODE('u', 'n', 'c', 'i'), "as they are"},
		      {NS_HEIF_CODE('i', 'o', 'v', 'l'), "as an overlay of others"},
		      {NS_HEIF_CODE('i', 'd', 'e', 'n'), "as another image's"}};
	size_t i;

	for (i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i].type == type)
			return ns_fail(NS_BAD_DATA, "%s: its pixels are stored %s, which is not read", f->title, others[i].what);
	return ns_fail(NS_BAD_DATA, "%s: its pixels are stored in a way that is not read", f->title);
}

static uint32_t coding_of(const struct ns_heif *f)
{
	return *f->title == 'H' ? HVC1 : AV01;
}

static enum ns_status damaged_grid(const struct ns_heif *f)
{
	return ns_fail(NS_BAD_DATA, "%s: its tiles are damaged", f->title);
}

static enum ns_status read_grid(const struct ns_heif *f, struct layout *l)
{
	struct ns_heif_span parts[NS_HEIF_PARTS], s;
	uint32_t first;
	int wide, tiles;

	if (!ns_heif_parts(f, l->item.id, parts))
		return damaged_grid(f);
	s = *parts;
	if (ns_heif_take(&s, 1)) /* its version */
		return damaged_grid(f);
	wide = (int)ns_heif_take(&s, 1) & 1;
	l->rows = (int)ns_heif_take(&s, 1) + 1;
	l->columns = (int)ns_heif_take(&s, 1) + 1;
	l->w = (int)(ns_heif_take(&s, wide ? 4 : 2) & INT32_MAX);
	l->h = (int)(ns_heif_take(&s, wide ? 4 : 2) & INT32_MAX);
	tiles = l->rows * l->columns;
	if (tiles > TILES_MOST)
		return ns_fail(NS_BAD_DATA, "%s: %d tiles; at most %d are taken", f->title, tiles, TILES_MOST);
	if (!s.at || !ns_heif_refers(f, DIMG, l->item.id, 0, &first) || !ns_heif_refers(f, DIMG, l->item.id, tiles - 1, &first) ||
	    ns_heif_refers(f, DIMG, l->item.id, tiles, &first) || !ns_heif_refers(f, DIMG, l->item.id, 0, &first))
		return damaged_grid(f);
	NS_TRY(ns_heif_item(f, first, &l->first));
	if (l->first.type != coding_of(f))
		return not_read(f, l->first.type);
	NS_TRY(ns_heif_stream(f, &l->first));
	if (l->h < 1 || l->w < 1 || l->h > NS_SIDE_MAX || l->w > NS_SIDE_MAX)
		return ns_fail(NS_BAD_DATA, "%s: %d x %d pixels; sides of 1 to %d are taken", f->title, l->w, l->h, NS_SIDE_MAX);
	if (l->first.h * l->rows < l->h || l->first.w * l->columns < l->w || l->first.h * (l->rows - 1) >= l->h ||
	    l->first.w * (l->columns - 1) >= l->w)
		return damaged_grid(f);
	return NS_OK;
}

/* A fraction, rounded down; its terms have 32 bits. */
static int64_t quotient(int64_t x, int64_t y)
{
	return x / y - (x % y < 0);
}

/* Where a crop of n of `all` pixels begins, that lies over / under from the middle; -1: not within. */
static int crop_from(int64_t all, int64_t n, int64_t over, int64_t under)
{
	int64_t from;

	if (n < 1 || n > all || under < 1)
		return -1;
	from = quotient((all - n) * under + 2 * over, 2 * under);
	return from < 0 || from + n > all ? -1 : (int)from;
}

static int read_crop(struct layout *l)
{
	struct ns_heif_span s = l->item.clap;
	int64_t x[8];
	int i;

	if (!s.at)
		return 1;
	for (i = 0; i < 8; i++)
		x[i] = (int32_t)(uint32_t)ns_heif_take(&s, 4);
	if (!s.at || x[1] < 1 || x[3] < 1)
		return 0;
	l->w = (int)quotient(2 * x[0] + x[1], 2 * x[1]);
	l->h = (int)quotient(2 * x[2] + x[3], 2 * x[3]);
	l->x = crop_from(l->canvas_w, l->w, x[4], x[5]);
	l->y = crop_from(l->canvas_h, l->h, x[6], x[7]);
	return l->x >= 0 && l->y >= 0;
}

static enum ns_status read_layout(const struct ns_heif *f, uint32_t id, struct layout *l)
{
	int64_t coded, shown;

	*l = (struct layout){.rows = 1, .columns = 1};
	NS_TRY(ns_heif_item(f, id, &l->item));
	if (l->item.type == GRID) {
		NS_TRY(read_grid(f, l));
	} else if (l->item.type == coding_of(f)) {
		NS_TRY(ns_heif_stream(f, &l->item));
		l->first = l->item;
		l->h = l->first.h;
		l->w = l->first.w;
	} else {
		return not_read(f, l->item.type);
	}
	l->canvas_h = l->h;
	l->canvas_w = l->w;
	if (!read_crop(l))
		return ns_fail(NS_BAD_DATA, "%s: its crop is damaged", f->title);
	shown = (int64_t)l->h * l->w;
	coded = (int64_t)l->first.h * l->first.w;
	if (coded > 2 * shown + TILE_MOST || (int64_t)l->canvas_h * l->canvas_w > 2 * shown + TILE_MOST)
		return ns_fail(NS_BAD_DATA, "%s: codes %d x %d pixels for an image of %d x %d", f->title, l->first.w, l->first.h, l->w, l->h);
	return NS_OK;
}

/* The item that is the transparency of this one; 0: there is none. */
static uint32_t alpha_of(const struct ns_heif *f, uint32_t id)
{
	struct ns_heif_item item;
	uint32_t from;
	int n;

	for (n = 0; n < BESIDE_MOST && ns_heif_referrer(f, NS_HEIF_CODE('a', 'u', 'x', 'l'), id, n, &from); n++)
		if (ns_heif_item(f, from, &item) == NS_OK && item.is_alpha)
			return from;
	return 0;
}

/* The first that is said of the image; its bytes begin with how far behind them the TIFF folder lies. */
static void read_exif(const struct ns_heif *f, struct ns_image *out)
{
	struct ns_heif_span parts[NS_HEIF_PARTS], s;
	struct ns_heif_item item;
	uint32_t from;
	size_t skip;
	int n;

	for (n = 0; n < BESIDE_MOST && ns_heif_referrer(f, NS_HEIF_CODE('c', 'd', 's', 'c'), f->primary, n, &from); n++) {
		if (ns_heif_item(f, from, &item) != NS_OK || item.type != NS_HEIF_CODE('E', 'x', 'i', 'f'))
			continue;
		if (!ns_heif_parts(f, from, parts))
			return;
		s = *parts;
		skip = (size_t)ns_heif_take(&s, 4);
		if (s.at && skip < s.bytes)
			ns_exif_read(s.at + skip, s.bytes - skip, out);
		return;
	}
}

static enum ns_status look(const char *title, const uint8_t *data, size_t bytes, struct ns_image *out)
{
	struct layout l;
	struct ns_heif f;

	NS_TRY(ns_heif_open(&f, title, data, bytes));
	NS_TRY(read_layout(&f, f.primary, &l));
	out->h = l.h;
	out->w = l.w;
	out->c = l.first.grey ? 1 : 3;
	out->bits = l.first.bits;
	out->alpha = alpha_of(&f, f.primary) != 0;
	out->profile = l.item.profile || l.first.profile;
	read_exif(&f, out);
	out->orientation = l.item.orientation; /* writers leave EXIF's as the camera had it, and readers follow the boxes */
	return NS_OK;
}

static enum ns_status look_heic(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	return look("HEIC", data, bytes, out);
}

static enum ns_status look_avif(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	return look("AVIF", data, bytes, out);
}

/* --- its pixels --- */

/* A plane's samples to every channels-th byte from `to` on; of n bits the high 8. */
static enum ns_status copy_plane(const struct heif_image *image, enum heif_channel channel, const struct ns_heif_item *item, int y0, int x0,
				 const struct ns_raster *out, int k)
{
	int bits = heif_image_get_bits_per_pixel_range(image, channel), stride, y, x;
	const uint8_t *plane = heif_image_get_plane_readonly(image, channel, &stride);
	int from_y = y0 < 0 ? -y0 : 0, from_x = x0 < 0 ? -x0 : 0, to_y = out->h - y0 < item->h ? out->h - y0 : item->h,
	    to_x = out->w - x0 < item->w ? out->w - x0 : item->w;

	if (!plane || bits < 8 || bits > 16 || heif_image_get_width(image, channel) != item->w || heif_image_get_height(image, channel) != item->h)
		return NS_BAD_DATA;
	for (y = from_y; y < to_y; y++) {
		const uint8_t *row = plane + (size_t)y * (size_t)stride;
		uint8_t *to = out->data + ((size_t)(y0 + y) * (size_t)out->w + (size_t)(x0 + from_x)) * (size_t)out->channels + k;

		for (x = from_x; x < to_x; x++, to += out->channels) {
			uint16_t wide = row[bits > 8 ? 2 * x : x];

			if (bits > 8)
				memcpy(&wide, row + 2 * x, 2);
			*to = (uint8_t)(wide >> (bits - 8));
		}
	}
	return NS_OK;
}

/* Puts a coded image where it belongs: its colours into the first `count` channels from k on. */
static enum ns_status place(const struct ns_heif *f, const struct ns_heif_item *item, int y0, int x0, struct ns_raster *out, int k, int count)
{
	static const enum heif_channel colours[] = {heif_channel_R, heif_channel_G, heif_channel_B};
	struct heif_image *image;
	enum ns_status status;
	int i, grey;

	NS_TRY(ns_heif_decode(f, item, &image));
	grey = heif_image_get_colorspace(image) == heif_colorspace_monochrome;
	for (i = 0, status = NS_OK; i < count && status == NS_OK; i++)
		status = copy_plane(image, grey ? heif_channel_Y : colours[i], item, y0, x0, out, k + i);
	out->warnings += heif_image_get_decoding_warnings(image, 0, NULL, 0) > 0;
	heif_image_release(image);
	return status == NS_OK ? NS_OK : ns_fail(NS_BAD_DATA, "%s: damaged, or it ends in the middle", f->title);
}

static enum ns_status read_tiles(const struct ns_heif *f, const struct layout *l, struct ns_raster *out, int k, int count)
{
	int i, n = l->rows * l->columns;

	for (i = 0; i < n; i++) {
		int y = i / l->columns * l->first.h - l->y, x = i % l->columns * l->first.w - l->x;
		struct ns_heif_item tile = l->first;
		uint32_t id;

		if (l->item.type == GRID) {
			if (!ns_heif_refers(f, DIMG, l->item.id, i, &id))
				return damaged_grid(f);
			NS_TRY(ns_heif_item(f, id, &tile));
			if (tile.type != l->first.type)
				return damaged_grid(f);
			NS_TRY(ns_heif_stream(f, &tile));
			if (tile.h != l->first.h || tile.w != l->first.w)
				return damaged_grid(f);
			tile.nclx = tile.nclx.at ? tile.nclx : l->item.nclx;
		}
		if (y < out->h && x < out->w && y + tile.h > 0 && x + tile.w > 0) /* the crop may leave out all of it */
			NS_TRY(place(f, &tile, y, x, out, k, count));
	}
	return NS_OK;
}

/* Colours that were multiplied by their alpha, made again: what it says is rounded, so this is too. */
static void divide(struct ns_raster *r)
{
	size_t n = (size_t)r->h * (size_t)r->w;
	uint8_t *p = r->data;
	int k, a;

	for (; n; n--, p += r->channels)
		for (k = 0, a = p[r->channels - 1]; a && k < r->channels - 1; k++)
			p[k] = (uint8_t)(p[k] >= a ? 255 : (p[k] * 255 + a / 2) / a);
}

static enum ns_status read_heif(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	struct layout l, alpha;
	struct ns_heif f;
	uint32_t id, to;
	int colours, n;

	(void)wanted;
	NS_TRY(ns_heif_open(&f, *image->kind == 'h' ? "HEIC" : "AVIF", data, bytes));
	NS_TRY(read_layout(&f, f.primary, &l));
	id = alpha_of(&f, f.primary);
	colours = l.first.grey ? 1 : 3;
	out->h = image->h;
	out->w = image->w;
	out->channels = colours + (id != 0);
	NS_TRY(ns_raster_make(out));
	NS_TRY(read_tiles(&f, &l, out, 0, colours));
	if (!id)
		return NS_OK;
	NS_TRY(read_layout(&f, id, &alpha));
	if (alpha.canvas_h != l.canvas_h || alpha.canvas_w != l.canvas_w)
		return ns_fail(NS_BAD_DATA, "%s: its transparency is %d x %d, and it is %d x %d", f.title, alpha.w, alpha.h, l.w, l.h);
	alpha.y = l.y; /* what crops and turns the image holds for it too, whether or not that is said once more */
	alpha.x = l.x;
	NS_TRY(read_tiles(&f, &alpha, out, colours, 1));
	for (n = 0; n < BESIDE_MOST && ns_heif_refers(&f, NS_HEIF_CODE('p', 'r', 'e', 'm'), f.primary, n, &to); n++)
		if (to == id) {
			divide(out);
			break;
		}
	return NS_OK;
}

const struct ns_format ns_format_heic = {"heic", "HEIC", is_heic, look_heic, read_heif, NULL, NULL};
const struct ns_format ns_format_avif = {"avif", "AVIF", is_avif, look_avif, read_heif, NULL, NULL};
