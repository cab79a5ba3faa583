/*
 * jobs/ingest/take.c - items on their way into a shard: read one after the other, decoded, scaled and hashed by all workers, and appended in
 * their order, so that nothing depends on how many workers there are.
 */
#include <stdlib.h>
#include <string.h>

#include "jobs/ingest/ingest_inner.h"

#define WINDOW_ITEMS 256
#define WINDOW_BYTES ((int64_t)256 << 20) /* of files and the pixels that they become; one item may be larger */

struct window {
	struct ns_ingest *g;
	struct ns_taken item[WINDOW_ITEMS];
	int count;
};

/* The pixels of a file, of the size that is stored raw, or its own. */
static enum ns_status make_pixels(const struct ns_ingest *g, struct ns_taken *t, uint8_t **pixels, int *h, int *w, int *c)
{
	struct ns_decode_options options = {.c = g->raw ? g->c : 0,
					    .as_stored = g->as_stored,
					    .background = g->background,
					    .pixels_max = g->max_pixels};
	uint8_t *scaled;
	enum ns_status status;

	NS_TRY(ns_decode(t->data, t->item.bytes, &options, h, w, c, pixels, &t->image));
	if (!g->raw || (*h == g->h && *w == g->w))
		return NS_OK;
	if (!g->sized)
		return ns_fail(NS_BAD_DATA,
			       "is %d x %d, but this data set stores %d x %d; --size HxW scales all to one size, "
			       "--encoding encoded keeps each as it is",
			       *h, *w, g->h, g->w);
	scaled = malloc((size_t)g->h * (size_t)g->w * (size_t)*c);
	status = scaled ? ns_resize(*pixels, *h, *w, *c, scaled, g->h, g->w) : ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", g->w, g->h);
	free(*pixels);
	*pixels = scaled;
	*h = g->h;
	*w = g->w;
	return status;
}

/* Pixels of grey as colour, or of colour as grey, in place of the item's own. */
static enum ns_status other_channels(struct ns_taken *t, int c)
{
	uint8_t *made;

	NS_TRY(ns_channels(t->data, t->item.h, t->item.w, t->item.c, c, &made));
	free(t->data);
	t->data = made;
	t->item.bytes = (size_t)t->item.h * (size_t)t->item.w * (size_t)c;
	t->item.c = c;
	return NS_OK;
}

static enum ns_status make(const struct ns_ingest *g, struct ns_taken *t)
{
	int h = t->item.h, w = t->item.w, c = t->item.c;
	uint8_t *pixels = NULL;
	enum ns_status status = NS_OK;

	if (h > 0 && g->raw && c != g->c) {
		NS_TRY(other_channels(t, g->c));
		c = g->c;
	}
	if (h > 0 && g->sized && (h != g->h || w != g->w)) { /* pixels of another size */
		pixels = malloc((size_t)g->h * (size_t)g->w * (size_t)c);
		NS_GO(pixels ? ns_resize(t->data, h, w, c, pixels, g->h, g->w)
			     : ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", g->w, g->h));
		h = g->h;
		w = g->w;
	} else if (h == 0) {
		NS_GO(make_pixels(g, t, &pixels, &h, &w, &c));
		NS_GO(ns_sha256_concat(t->sha256, t->data, t->item.bytes, "", 0));
	}
	NS_GO(ns_pixel_id(pixels ? pixels : t->data, h, w, c, &t->id));
	t->stored = t->data;
	t->stored_bytes = t->item.bytes;
	if (g->raw) {
		t->stored_bytes = (size_t)h * (size_t)w * (size_t)c;
		t->stored = pixels ? pixels : t->data;
		t->pixels = pixels;
		return NS_OK;
	}
out:
	free(pixels);
	return status;
}

/* One item, by a worker. What is wrong with an image is kept for its line of the quarantine. */
static enum ns_status make_one(void *context, int task, int worker)
{
	struct window *w = context;
	struct ns_taken *t = &w->item[task];

	(void)worker;
	if (t->status == NS_OK)
		t->status = make(w->g, t);
	if (t->status == NS_BAD_DATA && !*t->said)
		snprintf(t->said, sizeof t->said, "%s", ns_message());
	return t->status == NS_BAD_DATA ? NS_OK : t->status;
}

/* Reads the next item into the window; *bytes grows by what it takes, with its pixels. */
static enum ns_status read_one(struct window *w, int64_t number, int keep_label, int64_t *bytes)
{
	struct ns_taken *t = &w->item[w->count];
	struct ns_image image = {0};

	memset(t, 0, sizeof *t);
	t->number = number;
	t->keep_label = keep_label;
	t->image.orientation = 1;
	t->status = ns_source_get(&w->g->source, number, &t->item);
	if (t->status == NS_BAD_DATA)
		snprintf(t->said, sizeof t->said, "%s", ns_message());
	else if (t->status != NS_OK)
		return t->status;
	w->count++;
	if (t->status == NS_BAD_DATA)
		return NS_OK;
	if (!t->item.h)
		(void)ns_image_look(t->item.data, t->item.bytes, &image); /* what is wrong with it, decoding says */
	t->data = malloc(t->item.bytes + 1);
	if (!t->data)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu bytes", t->item.name, t->item.bytes);
	memcpy(t->data, t->item.data, t->item.bytes);
	t->item.data = NULL;
	*bytes += (int64_t)t->item.bytes + (int64_t)image.h * image.w * 4;
	return NS_OK;
}

/* Into the batch, or the quarantine. */
static enum ns_status settle(struct ns_ingest *g, struct ns_batch *b, struct ns_taken *t)
{
	if (t->status == NS_BAD_DATA)
		return ns_ingest_refuse(g, t);
	g->turned += t->image.orientation > 1;
	g->transparent += t->image.alpha;
	g->profiles += t->image.profile;
	g->warned += t->image.warnings > 0;
	g->taken++;
	return ns_batch_append(b, t);
}

enum ns_status ns_ingest_take(struct ns_ingest *g, struct ns_batch *b, const int64_t *items, int64_t n, int64_t *at)
{
	struct window *w = calloc(1, sizeof *w);
	int64_t bytes = 0;
	enum ns_status status;
	int i;

	if (!w)
		return ns_fail(NS_NO_MEMORY, "out of memory for a window of images");
	w->g = g;
	for (; *at < n && w->count < WINDOW_ITEMS && bytes < WINDOW_BYTES; (*at)++)
		NS_GO(read_one(w, items[2 * *at], (int)items[2 * *at + 1], &bytes));
	NS_GO(ns_workers_run(g->job->workers, w->count, make_one, w));
	for (i = 0; i < w->count; i++)
		NS_GO(settle(g, b, &w->item[i]));
out:
	for (i = 0; i < WINDOW_ITEMS; i++) {
		free(w->item[i].data);
		free(w->item[i].pixels);
	}
	free(w);
	return status;
}
