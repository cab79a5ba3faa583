/* datasets/decode/heif_coded.c - one coded image of a HEIF file: what its stream's header says, and its pixels by libheif. */
#include "datasets/decode/heif_inner.h"

#include <libheif/heif.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { HVC1 = NS_HEIF_CODE('h', 'v', 'c', '1'), HVCC_HEAD = 22, NAL_SPS = 33 };

/* --- HEVC's sequence parameter set (ITU-T H.265, 7.3.2.2) --- */

struct bits {
	uint8_t bytes[256]; /* the fields that matter lie in fewer */
	size_t count, at;
};

/* without the bytes 3 that stand behind two zeros so that nothing looks like a start code */
static void unescape(struct ns_heif_span nal, struct bits *b)
{
	size_t i, zeros = 0;

	b->count = b->at = 0;
	for (i = 0; i < nal.bytes && b->count < sizeof b->bytes; i++) {
		if (zeros >= 2 && nal.at[i] == 3) {
			zeros = 0;
			continue;
		}
		zeros = nal.at[i] ? 0 : zeros + 1;
		b->bytes[b->count++] = nal.at[i];
	}
}

static uint32_t bit(struct bits *b)
{
	uint32_t x = b->at / 8 < b->count ? (uint32_t)b->bytes[b->at / 8] >> (7 - b->at % 8) & 1 : 0;

	b->at++;
	return x;
}

/* ue(v): as many zeros as bits follow the one */
static uint32_t number(struct bits *b)
{
	uint32_t x = 0;
	int n = 0, i;

	while (n < 31 && b->at / 8 < b->count && !bit(b))
		n++;
	for (i = 0; i < n; i++)
		x = x << 1 | bit(b);
	return x + (1u << n) - 1;
}

static int read_sps(struct ns_heif_span nal, struct ns_heif_item *item)
{
	static const uint32_t step_w[] = {1, 2, 2, 1}, step_h[] = {1, 2, 1, 1};
	uint32_t layers, i, chroma, w, h, cut_w = 0, cut_h = 0, depth;
	struct bits b;

	unescape(nal, &b);
	b.at = 16 + 4; /* the unit's header, and which video parameters */
	layers = bit(&b) << 2;
	layers |= bit(&b) << 1;
	layers |= bit(&b);
	b.at += 1 + 96; /* profile, tier and level of all layers, and then of some */
	for (i = 0, w = 0; i < layers; i++) {
		w += bit(&b) * 88;
		w += bit(&b) * 8;
	}
	b.at += (layers ? 2 * (8 - layers) : 0) + w;
	number(&b);
	chroma = number(&b);
	if (chroma > 3)
		return 0;
	b.at += chroma == 3;
	w = number(&b);
	h = number(&b);
	if (bit(&b)) { /* a window that is shown: left, right, top, bottom */
		cut_w = number(&b);
		cut_w += number(&b);
		cut_h = number(&b);
		cut_h += number(&b);
	}
	depth = number(&b);
	if (b.at > 8 * b.count || (cut_w | cut_h | w | h) > 65535 || cut_w * step_w[chroma] >= w || cut_h * step_h[chroma] >= h || depth > 8)
		return 0;
	item->w = (int)(w - cut_w * step_w[chroma]);
	item->h = (int)(h - cut_h * step_h[chroma]);
	item->bits = (int)depth + 8;
	item->grey = chroma == 0;
	return 1;
}

/* The sets of the box hvcC, of which all say the same. */
static int read_hvcc(struct ns_heif_span config, struct ns_heif_item *item)
{
	uint64_t arrays, units;
	int sets = 0;

	if (config.bytes < HVCC_HEAD || (config.at[21] & 3) != 3) /* lengths of four bytes, which is what libheif takes them for */
		return 0;
	config.at += HVCC_HEAD;
	config.bytes -= HVCC_HEAD;
	for (arrays = ns_heif_take(&config, 1); arrays && config.at; arrays--) {
		int type = (int)ns_heif_take(&config, 1) & 63;

		for (units = ns_heif_take(&config, 2); units && config.at; units--) {
			struct ns_heif_span nal = {NULL, (size_t)ns_heif_take(&config, 2)};
			struct ns_heif_item said = *item;

			if (!config.at || nal.bytes > config.bytes)
				return 0;
			nal.at = config.at;
			config.at += nal.bytes;
			config.bytes -= nal.bytes;
			if (nal.bytes < 2 || (nal.at[0] >> 1 & 63) != type)
				return 0;
			if (type != NAL_SPS || (nal.at[0] & 1) || nal.at[1] >> 3) /* of another layer, which is not decoded */
				continue;
			if (!read_sps(nal, &said) || (sets && (said.w != item->w || said.h != item->h)))
				return 0;
			*item = said;
			sets++;
		}
	}
	return config.at && sets;
}

/* Sets are in hvcC alone, as hvc1 means: one among the pixels might be of any size. */
static int is_stream(struct ns_heif_span data)
{
	while (data.bytes) {
		size_t n = (size_t)ns_heif_take(&data, 4);

		if (!data.at || n > data.bytes || n < 2 || (data.at[0] >> 1 & 63) == NAL_SPS)
			return 0;
		data.at += n;
		data.bytes -= n;
	}
	return 1;
}

static int read_av1c(const struct ns_heif *f, struct ns_heif_span config, struct ns_heif_item *item)
{
	struct ns_heif_span parts[NS_HEIF_PARTS];

	ns_heif_take(&config, 4);
	return config.at && (ns_heif_av1_stream(&config, item) || (ns_heif_parts(f, item->id, parts) && ns_heif_av1_stream(parts, item)));
}

enum ns_status ns_heif_stream(const struct ns_heif *f, struct ns_heif_item *item)
{
	struct ns_heif_span rest = item->config, in, whole;
	uint32_t type = 0, wanted = item->type == HVC1 ? NS_HEIF_CODE('h', 'v', 'c', 'C') : NS_HEIF_CODE('a', 'v', '1', 'C');

	if (!ns_heif_box(&rest, &type, &in, &whole) || type != wanted || !(item->type == HVC1 ? read_hvcc(in, item) : read_av1c(f, in, item)))
		return ns_fail(NS_BAD_DATA, "%s: its stream's header is damaged", f->title);
	if (item->w < 1 || item->h < 1 || item->w > NS_SIDE_MAX || item->h > NS_SIDE_MAX)
		return ns_fail(NS_BAD_DATA, "%s: codes %d x %d pixels; sides of 1 to %d are taken", f->title, item->w, item->h, NS_SIDE_MAX);
	return NS_OK;
}

/* --- a file with that image alone --- */

struct writer {
	uint8_t *data; /* NULL: counts */
	size_t bytes;
};

static void put(struct writer *w, const void *data, size_t n)
{
	if (w->data)
		memcpy(w->data + w->bytes, data, n);
	w->bytes += n;
}

static void put_number(struct writer *w, uint64_t x, int n)
{
	while (n--) {
		uint8_t byte = (uint8_t)(x >> 8 * n);

		put(w, &byte, 1);
	}
}

static size_t begin(struct writer *w, const char *type)
{
	put(w, "\0\0\0\0", 4);
	put(w, type, 4);
	return w->bytes - 8;
}

static void end(struct writer *w, size_t box)
{
	struct writer size = {w->data, box};

	put_number(&size, w->bytes - box, 4);
}

static void write_properties(struct writer *w, const struct ns_heif_item *item)
{
	size_t iprp = begin(w, "iprp"), ipco = begin(w, "ipco"), box = begin(w, "ispe");

	put_number(w, 0, 4);
	put_number(w, (uint64_t)item->w, 4);
	put_number(w, (uint64_t)item->h, 4);
	end(w, box);
	put(w, item->config.at, item->config.bytes);
	if (item->nclx.at)
		put(w, item->nclx.at, item->nclx.bytes);
	end(w, ipco);
	box = begin(w, "ipma");
	put(w, "\0\0\0\0\0\0\0\1\0\1", 10); /* of one item, number 1 */
	put(w, item->nclx.at ? "\3\1\202\3" : "\2\1\202", item->nclx.at ? 4 : 3);
	end(w, box);
	end(w, iprp);
}

/* All of the file but its pixels, which lie behind it; `from` of them is where that is. */
static void write_head(struct writer *w, const struct ns_heif_item *item, size_t from, size_t bytes)
{
	int hevc = item->type == HVC1;
	size_t box = begin(w, "ftyp"), meta, list;

	put(w, hevc ? "heic\0\0\0\0mif1heic" : "avif\0\0\0\0mif1avif", 16);
	end(w, box);
	meta = begin(w, "meta");
	put_number(w, 0, 4);
	box = begin(w, "hdlr");
	put(w, "\0\0\0\0\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0", 25);
	end(w, box);
	box = begin(w, "pitm");
	put(w, "\0\0\0\0\0\1", 6);
	end(w, box);
	box = begin(w, "iloc");
	put(w, "\0\0\0\0\x44\0\0\1\0\1\0\0\0\1", 14); /* numbers of four bytes, one item, number 1, in one part */
	put_number(w, from, 4);
	put_number(w, bytes, 4);
	end(w, box);
	list = begin(w, "iinf");
	put(w, "\0\0\0\0\0\1", 6);
	box = begin(w, "infe");
	put(w, "\2\0\0\0\0\1\0\0", 8);
	put(w, hevc ? "hvc1" : "av01", 5);
	end(w, box);
	end(w, list);
	write_properties(w, item);
	end(w, meta);
}

/* The caller frees *file. */
static enum ns_status make_file(const struct ns_heif *f, const struct ns_heif_item *item, uint8_t **file, size_t *bytes)
{
	struct ns_heif_span parts[NS_HEIF_PARTS];
	struct writer w = {NULL, 0};
	size_t pixels = 0, at;
	int count = ns_heif_parts(f, item->id, parts), i;

	for (i = 0; i < count; i++)
		pixels += parts[i].bytes;
	if (!pixels || pixels > f->all.bytes || pixels > INT32_MAX / 2) /* parts may be the same bytes again and again */
		return ns_fail(NS_BAD_DATA, "%s: damaged, or it ends in the middle", f->title);
	write_head(&w, item, 0, 0);
	*bytes = w.bytes + 8 + pixels;
	*file = malloc(*bytes);
	if (!*file)
		return ns_fail(NS_NO_MEMORY, "out of memory for a coded image of %zu bytes", *bytes);
	at = w.bytes + 8;
	w = (struct writer){*file, 0};
	write_head(&w, item, at, pixels);
	put_number(&w, 8 + pixels, 4);
	put(&w, "mdat", 4);
	for (i = 0; i < count; i++)
		put(&w, parts[i].at, parts[i].bytes);
	if (item->type == HVC1 && !is_stream((struct ns_heif_span){*file + at, pixels}))
		return ns_fail(NS_BAD_DATA, "%s: damaged, or it ends in the middle", f->title);
	return NS_OK;
}

static void begin_libheif(void)
{
	ns_heif_use_dav1d();
	ns_heif_use_de265();
}

enum ns_status ns_heif_decode(const struct ns_heif *f, const struct ns_heif_item *item, struct heif_image **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct heif_context *context = NULL;
	struct heif_image_handle *handle = NULL;
	enum ns_status status;
	uint8_t *file = NULL;
	struct heif_error error;
	size_t bytes;

	*out = NULL;
	pthread_once(&once, begin_libheif);
	NS_GO(make_file(f, item, &file, &bytes));
	context = heif_context_alloc();
	if (!context)
		NS_GO(ns_fail(NS_NO_MEMORY, "out of memory for a decoder of %s", f->title));
	heif_context_set_max_decoding_threads(context, 0); /* in this one */
	error = heif_context_read_from_memory_without_copy(context, file, bytes, NULL);
	if (!error.code)
		error = heif_context_get_primary_image_handle(context, &handle);
	if (!error.code)
		error = heif_decode_image(handle, out, heif_colorspace_undefined, heif_chroma_undefined, NULL);
	if (error.code || heif_image_get_primary_width(*out) != item->w || heif_image_get_primary_height(*out) != item->h)
		status = ns_fail(NS_BAD_DATA, "%s: damaged, or it ends in the middle", f->title);
out:
	if (status != NS_OK) {
		heif_image_release(*out);
		*out = NULL;
	}
	heif_image_handle_release(handle);
	heif_context_free(context);
	free(file);
	return status;
}
