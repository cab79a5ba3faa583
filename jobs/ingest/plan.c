/* jobs/ingest/plan.c - decides what is written: how images are stored, and in which data sets. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/ingest/ingest_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"

static enum ns_status parse_size(struct ns_ingest *g, const char *text)
{
	char rest;
	int n = sscanf(text, "%dx%dx%d%c", &g->h, &g->w, &g->c, &rest);

	if ((n != 2 && n != 3) || g->h < 1 || g->w < 1 || g->h > 8192 || g->w > 8192 || (n == 3 && g->c != 1 && g->c != 3))
		return ns_fail(NS_CONFIG, "ingest.size = '%s', expected HxW or HxWxC with C 1 or 3", text);
	g->raw = g->sized = 1;
	return NS_OK;
}

/* --- how images are stored --- */

enum { RAW_ITEM, JPEG, PNG, OTHER, KINDS };

/* what all headers say together; words of 8 bytes, which ranks exchange */
struct survey {
	int64_t kinds[KINDS], colour; /* images of each kind, and with colour */
	int64_t bytes;		      /* of their files */
	int64_t least_h, most_h, least_w, most_w;
};

/* Counts an item of which this is the header. */
static void count(const struct ns_ingest *g, struct survey *s, const struct ns_item *item, const struct ns_image *header)
{
	struct ns_image image = *header;
	int h, w;

	if ((int64_t)image.h * image.w > g->max_pixels && !item->h)
		return;
	h = !item->h && !g->as_stored && image.orientation > 4 ? image.w : image.h;
	w = h == image.h ? image.w : image.h;
	s->kinds[item->h ? RAW_ITEM : !strcmp(image.kind, "jpeg") ? JPEG : !strcmp(image.kind, "png") ? PNG : OTHER]++;
	s->colour += image.c == 3;
	s->bytes += (int64_t)(item->bytes + item->left);
	s->least_h = h < s->least_h ? h : s->least_h;
	s->most_h = h > s->most_h ? h : s->most_h;
	s->least_w = w < s->least_w ? w : s->least_w;
	s->most_w = w > s->most_w ? w : s->most_w;
}

#define HEADER_BYTES ((size_t)16 << 10) /* nearly every JPEG's header lies within them, but for those with a thumbnail */

/*
 * Reads an item's header, of a file its beginning alone. In a JPEG nothing behind the header can change what it says, and a header that is cut
 * short is an error: then more is read. Of other formats all is read, since a header's fields may stand at their end.
 */
static enum ns_status look_at(struct ns_source *s, int64_t i, struct ns_item *item, struct ns_image *image)
{
	enum ns_status status, seen = NS_OK;

	for (s->most = HEADER_BYTES;; s->most = s->most && seen != NS_OK ? 16 * s->most : 0) {
		status = ns_source_get(s, i, item);
		*image = (struct ns_image){.h = item->h, .w = item->w, .c = item->c};
		if (status == NS_OK && !item->h)
			seen = ns_image_look(item->data, item->bytes, image);
		if (status != NS_OK || !item->left || (seen == NS_OK && !strcmp(image->kind, "jpeg")))
			break;
	}
	s->most = 0;
	return status == NS_OK ? seen : status;
}

/* This rank's share of the items. What cannot be read is left for the pass that stores images, which says so. */
static enum ns_status survey_share(struct ns_ingest *g, struct survey *s)
{
	int64_t begin = g->source.items * g->job->comm->rank / g->job->comm->size,
		end = g->source.items * (g->job->comm->rank + 1) / g->job->comm->size, i;

	s->least_h = s->least_w = INT64_MAX;
	for (i = begin; i < end; i++) {
		struct ns_item item;
		struct ns_image image;
		enum ns_status status = look_at(&g->source, i, &item, &image);

		if (status == NS_OK)
			count(g, s, &item, &image);
		else if (status != NS_BAD_DATA)
			return status;
		ns_log_progress(g->job->log, "headers", i - begin + 1, end - begin, "images");
	}
	return NS_OK;
}

/* Collective. Looks at the headers of all images, so that nothing depends on which are the first. */
static enum ns_status survey_all(struct ns_ingest *g, struct survey *all)
{
	int ranks = g->job->comm->size, r, k;
	struct survey *each = calloc((size_t)ranks, sizeof *each);
	enum ns_status status = each ? survey_share(g, &each[g->job->comm->rank]) : ns_fail(NS_NO_MEMORY, "out of memory for what the headers say");

	NS_GO(ns_job_agree(g->job, status));
	NS_GO(ns_comm_sum_i64(g->job->comm, (int64_t *)(void *)each, sizeof *each / 8 * (size_t)ranks));
	*all = (struct survey){.least_h = INT64_MAX, .least_w = INT64_MAX};
	for (r = 0; r < ranks; r++) {
		for (k = 0; k < KINDS; k++)
			all->kinds[k] += each[r].kinds[k];
		all->colour += each[r].colour;
		all->bytes += each[r].bytes;
		all->least_h = each[r].least_h < all->least_h ? each[r].least_h : all->least_h;
		all->least_w = each[r].least_w < all->least_w ? each[r].least_w : all->least_w;
		all->most_h = each[r].most_h > all->most_h ? each[r].most_h : all->most_h;
		all->most_w = each[r].most_w > all->most_w ? each[r].most_w : all->most_w;
	}
out:
	free(each);
	return status;
}

#define RAW_IMAGE_MAX	((int64_t)1 << 18) /* bytes: larger images of files stay files, which are a tenth of it */
#define SHARD_BYTES_MAX ((int64_t)1 << 29) /* a shard is held in memory while it is filled */

/* Unless the user says how many rows a shard has, its bytes are bounded too. */
static void bound_shards(struct ns_ingest *g, int64_t image)
{
	int64_t rows = SHARD_BYTES_MAX / (image > 0 ? image : 1);

	g->image_bytes = image;
	if (!ns_conf_given(g->job->conf, "ingest.shard_rows"))
		g->shard_rows = rows < 16 ? 16 : rows < g->shard_rows ? rows : g->shard_rows;
}

/*
 * Unless the user decides, the headers do: small images of equal sizes are stored raw, others as the files came. One image with colour makes all
 * have it.
 */
enum ns_status ns_ingest_encoding(struct ns_ingest *g)
{
	const char *encoding = g->wanted;
	struct survey s = {0};
	int64_t files = 0, pixels;
	int same;

	if (strcmp(encoding, "auto") && strcmp(encoding, "raw") && strcmp(encoding, "encoded"))
		return ns_fail(NS_CONFIG, "ingest.encoding = '%s', expected auto, raw or encoded", encoding);
	if (g->size)
		NS_TRY(parse_size(g, g->size));
	if (!g->c) { /* --size has not said all */
		NS_TRY(survey_all(g, &s));
		files = s.kinds[JPEG] + s.kinds[PNG] + s.kinds[OTHER];
		if (!files && !s.kinds[RAW_ITEM])
			return ns_fail(NS_BAD_DATA, "%s: none of its images can be read (the last: %s)", g->source.path, ns_message());
		g->c = s.colour ? 3 : 1;
	}
	if (g->sized) {
		bound_shards(g, (int64_t)g->h * g->w * g->c);
		return NS_OK;
	}
	same = s.least_h == s.most_h && s.least_w == s.most_w;
	if (!strcmp(encoding, "raw") && !same)
		return ns_fail(NS_CONFIG, "%s: images are of several sizes; --size HxW says which one to store", g->source.path);
	if (s.kinds[RAW_ITEM] && (!strcmp(encoding, "encoded") || !same))
		return ns_fail(NS_CONFIG, "%s: %s come raw; there is no encoding to keep", g->source.path,
			       files ? "some of its images" : "its images");
	pixels = same ? s.most_h * s.most_w * g->c : 0;
	g->raw = !strcmp(encoding, "raw") || (!strcmp(encoding, "auto") && same && (s.kinds[RAW_ITEM] || pixels <= RAW_IMAGE_MAX));
	bound_shards(g, g->raw ? pixels : s.bytes / files);
	g->encoding = s.kinds[JPEG] == files ? "jpeg" : s.kinds[PNG] == files ? "png" : "files";
	g->h = (int)s.most_h;
	g->w = (int)s.most_w;
	return NS_OK;
}

/* --- which data sets are written --- */

/* A set's name is a folder beside the files that ingest itself writes. */
static enum ns_status check_set(const char *name, const json_t *rows)
{
	static const char *const taken[] = {"run.json", "part.json", "partial.json", "quarantine.jsonl", "passed.jsonl"};
	size_t i;

	NS_TRY(ns_check_name("ingest.split", name));
	for (i = 0; i < sizeof taken / sizeof *taken; i++)
		if (!strcmp(name, taken[i]) || !strncmp(name, "quarantine.", strlen("quarantine.")))
			return ns_fail(NS_CONFIG, "ingest.split: '%s' is a file of ingest beside the data sets; choose another name", name);
	if (!json_is_integer(rows) || json_integer_value(rows) < 1)
		return ns_fail(NS_CONFIG, "ingest.split: %s: expected an integer number of rows", name);
	return NS_OK;
}

/* A set of the items of one split; first: of how many items are in the sets before it. */
static enum ns_status add_split(struct ns_ingest *g, int split, int64_t *first)
{
	struct ns_ingest_set *p = &g->sets[g->set_count];
	int64_t i;

	if (g->set_count == (int)(sizeof g->sets / sizeof *g->sets))
		return ns_fail(NS_BAD_DATA, "%s: has more splits than the %d that are taken", g->source.path, g->set_count);
	g->set_count++;
	*p = (struct ns_ingest_set){.first = *first, .labelled = -1, .items = malloc(sizeof *p->items * (size_t)(g->source.items + 1))};
	if (!p->items)
		return ns_fail(NS_NO_MEMORY, "out of memory for the items of a split");
	snprintf(p->name, sizeof p->name, "%.127s", g->source.splits[split]);
	for (i = 0; i < g->source.items; i++)
		if (g->source.split_of[i] == split)
			p->items[p->rows++] = i;
	*first += p->rows;
	if (!p->rows && g->before) { /* this split has nothing new */
		free(p->items);
		*p = (struct ns_ingest_set){0};
		g->set_count--;
		return NS_OK;
	}
	return g->folders ? ns_check_name("split", p->name) : NS_OK;
}

/* The splits that were found, or the one that was asked for, as sets. */
static enum ns_status take_splits(struct ns_ingest *g)
{
	int64_t first = 0;
	int i, one = -1;

	for (i = 0; i < g->source.split_count; i++)
		if (!strcmp(g->source.splits[i], g->splits))
			one = i;
	if (one < 0 && strcmp(g->splits, "auto"))
		return ns_fail(NS_CONFIG, "ingest.splits = '%s', expected auto, pool, or a split of %s%s%s", g->splits, g->source.path,
			       g->source.split_count ? ", such as " : ", which has none", g->source.split_count ? g->source.splits[0] : "");
	g->folders = one < 0;
	for (i = 0; i < g->source.split_count; i++)
		if (one < 0 || one == i)
			NS_TRY(add_split(g, i, &first));
	return NS_OK;
}

enum ns_status ns_ingest_sets(struct ns_ingest *g)
{
	const char *name = g->name, *base;
	int64_t first = 0;
	json_t *rows;
	int i;

	if (!g->split &&
	    ((g->source.split_count > 1 && !name && strcmp(g->splits, "pool")) || (strcmp(g->splits, "auto") && strcmp(g->splits, "pool")))) {
		NS_TRY(take_splits(g));
	} else if (!g->split) {
		if (!name && g->job->parts > 1)
			return ns_fail(NS_USAGE, "ingest: --name is required with --part, because the parts share it");
		base = strrchr(g->job->out, '/');
		g->sets[0] = (struct ns_ingest_set){.rows = g->source.items, .labelled = -1};
		snprintf(g->sets[0].name, sizeof g->sets[0].name, "%.127s", name ? name : base ? base + 1 : g->job->out);
		g->set_count = 1;
	}
	g->permuted = g->split != NULL;
	g->folders |= g->permuted;
	NS_JSON_EACH(g->split, name, rows) {
		struct ns_ingest_set *p = &g->sets[g->set_count++];

		NS_TRY(check_set(name, rows));
		if (g->set_count == 32)
			return ns_fail(NS_CONFIG, "ingest.split: at most 31 data sets are made at once, '%s' exceeds that", name);
		snprintf(p->name, sizeof p->name, "%.127s", name);
		p->first = first;
		p->rows = json_integer_value(rows);
		p->labelled = json_is_integer(json_object_get(g->labelled, name)) ? json_integer_value(json_object_get(g->labelled, name)) : -1;
		first += p->rows;
	}
	NS_JSON_EACH(g->labelled, name, rows)
		if (!json_object_get(g->split, name))
			return ns_fail(NS_CONFIG, "ingest.labelled: %s is not in ingest.split", name);
	if (first > g->source.items)
		return ns_fail(NS_CONFIG, "ingest.split asks for %lld rows, but %s has %lld", (long long)first, g->source.path,
			       (long long)g->source.items);
	for (i = 0; i < g->set_count; i++)
		g->sets[i].shards = (int)((g->sets[i].rows + g->shard_rows - 1) / g->shard_rows);
	return NS_OK;
}
