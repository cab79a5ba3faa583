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

/* Unless the user decides, the first images do: equal sizes are stored raw, others stay encoded. Channels: the largest number found. */
enum ns_status ns_ingest_encoding(struct ns_ingest *g)
{
	const char *encoding = g->wanted;
	int64_t i, looked = 0;
	int same = 1, mixed = 0;

	if (strcmp(encoding, "auto") && strcmp(encoding, "raw") && strcmp(encoding, "encoded"))
		return ns_fail(NS_CONFIG, "ingest.encoding = '%s', expected auto, raw or encoded", encoding);
	if (g->size)
		NS_TRY(parse_size(g, g->size));
	if (g->c)
		return NS_OK;
	for (i = 0; i < g->source.items && looked < 64; i++) {
		struct ns_item item;
		uint8_t *pixels = NULL;
		enum ns_status status = ns_source_get(&g->source, i, &item);
		int h, w, c = 0;

		if (status == NS_BAD_DATA)
			continue;
		NS_TRY(status);
		h = item.h;
		w = item.w;
		c = item.c;
		if (!h && ns_decode(item.data, item.bytes, &h, &w, &c, &pixels) != NS_OK)
			continue;
		free(pixels);
		if (!looked++) {
			g->h = g->sized ? g->h : h;
			g->w = g->sized ? g->w : w;
			g->c = c;
			g->encoding = item.h ? "raw" : ns_image_kind(item.data, item.bytes);
		}
		if (!item.h && strcmp(g->encoding, ns_image_kind(item.data, item.bytes)))
			mixed = 1;
		same &= h == g->h && w == g->w;
		g->c = c > g->c ? c : g->c;
	}
	if (!looked)
		return ns_fail(NS_BAD_DATA, "%s: none of its first images can be read (the first: %s)", g->source.path, ns_message());
	if (g->sized)
		return NS_OK;
	if (!strcmp(encoding, "raw") && !same)
		return ns_fail(NS_CONFIG, "%s: images are of several sizes; --size HxW says which one to store", g->source.path);
	if (!strcmp(encoding, "encoded") && !strcmp(g->encoding, "raw"))
		return ns_fail(NS_CONFIG, "%s: its images come raw; there is no encoding to keep", g->source.path);
	if (mixed && (!strcmp(encoding, "encoded") || !same))
		return ns_fail(NS_CONFIG, "%s: holds JPEG and PNG files; a data set keeps one kind; --size HxW stores both raw", g->source.path);
	g->raw = !strcmp(encoding, "raw") || (!strcmp(encoding, "auto") && same);
	return NS_OK;
}

/* A set's name is a folder beside the files that ingest itself writes. */
static enum ns_status check_set(const char *name, const json_t *rows)
{
	static const char *const taken[] = {"run.json", "part.json", "partial.json", "quarantine.jsonl"};
	size_t i;

	NS_TRY(ns_check_name("ingest.split", name));
	for (i = 0; i < sizeof taken / sizeof *taken; i++)
		if (!strcmp(name, taken[i]) || !strncmp(name, "quarantine.", strlen("quarantine.")))
			return ns_fail(NS_CONFIG, "ingest.split: '%s' is a file of ingest beside the data sets; choose another name", name);
	if (!json_is_integer(rows) || json_integer_value(rows) < 1)
		return ns_fail(NS_CONFIG, "ingest.split: %s: expected an integer number of rows", name);
	return NS_OK;
}

enum ns_status ns_ingest_sets(struct ns_ingest *g)
{
	const char *name = g->name, *base;
	int64_t first = 0;
	json_t *rows;
	int i;

	if (!g->split && !name && g->job->parts > 1)
		return ns_fail(NS_USAGE, "ingest: --name is required with --part, because the parts share it");
	if (!g->split) {
		base = strrchr(g->job->out, '/');
		g->sets[0] = (struct ns_ingest_set){.rows = g->source.items, .labelled = -1};
		snprintf(g->sets[0].name, sizeof g->sets[0].name, "%.127s", name ? name : base ? base + 1 : g->job->out);
		g->set_count = 1;
	}
	g->permuted = g->split != NULL;
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
