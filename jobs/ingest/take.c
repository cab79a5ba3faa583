/*
 * jobs/ingest/take.c - items on their way into a shard: read one after the other, decoded, scaled and hashed by all workers, and appended in
 * their order, so that nothing depends on how many workers there are. While they work on a window of items, one of them reads the next, and one
 * appends the last.
 */
#define _POSIX_C_SOURCE 200809L
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/ingest/ingest_inner.h"

#define WINDOW_ITEMS 256
#define WINDOW_BYTES ((int64_t)64 << 20) /* of files and the pixels that they become, three times; one item may be larger */

struct window {
	struct ns_ingest *g;
	struct ns_taken item[WINDOW_ITEMS];
	int count;
};

static enum ns_status room(const struct ns_ingest *g, int c, uint8_t **pixels)
{
	*pixels = malloc((size_t)g->h * (size_t)g->w * (size_t)c);
	return *pixels ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", g->w, g->h);
}

/* The pixels of a file, of the size that is stored raw, or its own. */
static enum ns_status make_pixels(const struct ns_ingest *g, struct ns_taken *t)
{
	struct ns_decode_options options = {.c = g->raw ? g->c : 0,
					    .as_stored = g->as_stored,
					    .background = g->background,
					    .pixels_max = g->max_pixels};

	if (g->sized) {
		t->h = g->h;
		t->w = g->w;
		t->c = g->c;
		NS_TRY(room(g, g->c, &t->pixels));
		return ns_decode_cover(t->data, t->item.bytes, &options, g->h, g->w, t->pixels, &t->image);
	}
	NS_TRY(ns_decode(t->data, t->item.bytes, &options, &t->h, &t->w, &t->c, &t->pixels, &t->image));
	if (!g->raw || (t->h == g->h && t->w == g->w))
		return NS_OK;
	return ns_fail(NS_BAD_DATA,
		       "is %d x %d, but this data set stores %d x %d; --size HxW scales all to one size, "
		       "--encoding encoded keeps each as it is",
		       t->h, t->w, g->h, g->w);
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

/* The pixels that the item's id is of: its own, or those that are made of them. */
static enum ns_status make(const struct ns_ingest *g, struct ns_taken *t)
{
	t->h = t->item.h;
	t->w = t->item.w;
	t->c = t->item.c;
	if (!t->h)
		return make_pixels(g, t);
	if (g->raw && t->c != g->c) {
		NS_TRY(other_channels(t, g->c));
		t->c = g->c;
	}
	if (!g->sized || (t->h == g->h && t->w == g->w))
		return NS_OK;
	NS_TRY(room(g, t->c, &t->pixels));
	NS_TRY(ns_resize(t->data, t->h, t->w, t->c, t->pixels, g->h, g->w));
	t->h = g->h;
	t->w = g->w;
	return NS_OK;
}

#define TOGETHER 2 /* items that one task makes, so that their digests are computed side by side */

/* Ids of pixels and digests of files of n items. Those of about one length stand side by side. */
static enum ns_status digest(struct ns_taken *const *items, int n)
{
	struct ns_sha256_message messages[2 * TOGETHER];
	unsigned char tail[TOGETHER][NS_PIXEL_TAIL], hash[TOGETHER][32];
	int count = 0, i;

	for (i = 0; i < n; i++) {
		const struct ns_taken *t = items[i];

		ns_pixel_tail(t->h, t->w, t->c, tail[i]);
		messages[count++] = (struct ns_sha256_message){t->pixels ? t->pixels : t->data, tail[i], (size_t)t->h * (size_t)t->w * (size_t)t->c,
							       NS_PIXEL_TAIL, hash[i]};
	}
	for (i = 0; i < n; i++)
		if (!items[i]->item.h)
			messages[count++] = (struct ns_sha256_message){items[i]->data, "", items[i]->item.bytes, 0, items[i]->sha256};
	NS_TRY(ns_sha256_many(messages, count));
	for (i = 0; i < n; i++)
		items[i]->id = ns_pixel_id_of(hash[i]);
	return NS_OK;
}

/* What the shard keeps of an item; other pixels are let go. */
static void choose_stored(const struct ns_ingest *g, struct ns_taken *t)
{
	if (!g->raw) {
		free(t->pixels);
		t->pixels = NULL;
	}
	t->stored = t->pixels ? t->pixels : t->data;
	t->stored_bytes = g->raw ? (size_t)t->h * (size_t)t->w * (size_t)t->c : t->item.bytes;
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
	t->data = t->item.given ? t->item.given : malloc(t->item.bytes + 1);
	if (!t->data)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu bytes", t->item.name, t->item.bytes);
	if (!t->item.given)
		memcpy(t->data, t->item.data, t->item.bytes);
	t->item.data = t->item.given = NULL;
	if (t->item.annotation && !(t->annotation = strdup(t->item.annotation)))
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its annotation", t->item.name);
	t->item.annotation = NULL;
	*bytes += (int64_t)t->item.bytes + (int64_t)image.h * image.w * 4 + (int64_t)w->g->sized * w->g->h * w->g->w * w->g->c;
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
	if (g->keep_gps && t->image.placed)
		NS_TRY(ns_ingest_add_place(t));
	return ns_batch_append(b, t);
}

static void window_clear(struct window *w)
{
	int i;

	for (i = 0; i < w->count; i++) {
		free(w->item[i].annotation);
		free(w->item[i].data);
		free(w->item[i].pixels);
	}
	w->count = 0;
}

/* everything that workers do at a time */
struct belt {
	struct ns_ingest *g;
	struct ns_batch *b;
	const int64_t *items;
	int64_t n, at;				     /* at: the next item to be read */
	struct window *reading, *making, *appending; /* three windows, which change places */
	int together;				     /* items that a task makes: fewer where there are hardly more than workers */
};

static enum ns_status read_window(struct belt *t)
{
	int64_t bytes = 0;

	for (; t->at < t->n && t->reading->count < WINDOW_ITEMS && bytes < WINDOW_BYTES; t->at++)
		NS_TRY(read_one(t->reading, t->items[2 * t->at], (int)t->items[2 * t->at + 1], &bytes));
	return NS_OK;
}

static enum ns_status append_window(struct belt *t)
{
	int i;

	for (i = 0; i < t->appending->count; i++)
		NS_TRY(settle(t->g, t->b, &t->appending->item[i]));
	window_clear(t->appending);
	return NS_OK;
}

/* Items side by side. What is wrong with an image is kept for its line of the quarantine. */
static enum ns_status keep_reason(struct ns_taken *t)
{
	if (t->status == NS_BAD_DATA && !*t->said)
		snprintf(t->said, sizeof t->said, "%s", ns_message());
	return t->status == NS_BAD_DATA ? NS_OK : t->status;
}

static enum ns_status make_some(const struct ns_ingest *g, struct ns_taken *items, int n)
{
	struct ns_taken *good[TOGETHER];
	int count = 0, i;

	for (i = 0; i < n; i++) {
		if (items[i].status == NS_OK)
			items[i].status = make(g, &items[i]);
		NS_TRY(keep_reason(&items[i]));
		if (items[i].status == NS_OK)
			good[count++] = &items[i];
	}
	NS_TRY(digest(good, count));
	for (i = 0; i < count; i++) {
		if (!good[i]->item.h && !g->raw && !g->keep_gps)
			good[i]->status = ns_ingest_forget_place(g, good[i]);
		NS_TRY(keep_reason(good[i]));
		choose_stored(g, good[i]);
	}
	return NS_OK;
}

/* Task 0 reads, task 1 appends, the others make the items, `together` each. */
static enum ns_status work(void *context, int task, int worker)
{
	struct belt *belt = context;
	int at = (task - 2) * belt->together, left = belt->making->count - at;

	(void)worker;
	if (task < 2)
		return task ? append_window(belt) : read_window(belt);
	return make_some(belt->g, &belt->making->item[at], left < belt->together ? left : belt->together);
}

/*
 * Images come and go by the thousand, and the memory of one serves the next: otherwise the C library gives each block of a quarter of a megabyte
 * back to the system, which clears it page by page when it is wanted again.
 */
static void keep_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_TOP_PAD, 1 << 20);
#endif
}

enum ns_status ns_ingest_take(struct ns_ingest *g, struct ns_batch *b, const int64_t *items, int64_t n, int64_t before)
{
	struct window *three = calloc(3, sizeof *three), *free_one;
	struct belt belt = {.g = g, .b = b, .items = items, .n = n, .reading = three, .making = three + 1, .appending = three + 2};
	enum ns_status status;
	int i;

	if (!three)
		return ns_fail(NS_NO_MEMORY, "out of memory for a window of images");
	for (i = 0; i < 3; i++)
		three[i].g = g;
	g->source.gives = 1;
	keep_memory();
	do {
		belt.together = belt.making->count < 2 * TOGETHER * ns_workers_count(g->job->workers) ? 1 : TOGETHER;
		NS_GO(ns_workers_run(g->job->workers, 2 + (belt.making->count + belt.together - 1) / belt.together, work, &belt));
		free_one = belt.appending;
		belt.appending = belt.making;
		belt.making = belt.reading;
		belt.reading = free_one;
		ns_log_progress(g->job->log, "ingest", before + belt.at, g->source.items, "images");
	} while (belt.making->count || belt.appending->count);
out:
	for (i = 0; i < 3; i++)
		window_clear(&three[i]);
	free(three);
	return status;
}
