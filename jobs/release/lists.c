/* jobs/release/lists.c - which data sets, and which of their rows, are the reference, the replay and the test of a release. */
#define _XOPEN_SOURCE 700
#include "jobs/release/lists_inner.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host/registry/registry.h"
#include "jobs/train/train.h"

const char *ns_release_key(enum ns_release_part part)
{
	static const char *const keys[] = {"reference", "replay", "test"};

	return keys[part];
}

/* Files of any kind, or pixels of one size. */
static const char *kind_of(const struct ns_dataset *d, char text[64])
{
	const struct ns_shard_head *h = ns_dataset_head(d);

	if (strcmp(h->encoding, "raw"))
		snprintf(text, 64, "files");
	else
		snprintf(text, 64, "%dx%dx%d", h->h, h->w, h->c);
	return text;
}

/* A batch holds images of all sets of a list: of the kind and size of the first. */
static int fits(const struct ns_release *r, enum ns_release_part part, const struct ns_dataset *d)
{
	const json_t *first = json_array_get(json_object_get(r->lists[part], "sets"), 0);
	const char *kind = ns_json_text(first, "kind");
	char ours[64];

	return !first || !*kind || !strcmp(kind, kind_of(d, ours));
}

enum ns_status ns_release_open(const struct ns_release *r, enum ns_release_part part, const char *path, const char *digest, struct ns_dataset **d)
{
	const char *what = ns_release_key(part);
	enum ns_status status;

	*d = NULL;
	status = ns_dataset_open(NULL, d, path, 0);
	if (status == NS_NO_MEMORY)
		return status;
	if (status != NS_OK) {
		ns_log_warn(r->log, "not part of the release's %s: %s", what, ns_message());
		return NS_OK;
	}
	if (*digest && strcmp((*d)->digest, digest)) {
		ns_log_warn(r->log, "not part of the release's %s: %s is %.12s by now, and was %.12s", what, path, (*d)->digest, digest);
	} else if (!fits(r, part, *d)) {
		ns_log_warn(r->log, "not part of the release's %s: images of %s are of another kind or size than those before", what, path);
	} else {
		return ns_train_keep_here(r->registry, *d);
	}
	ns_dataset_close(*d);
	*d = NULL;
	return NS_OK;
}

static json_t *in_hex(const char *path)
{
	char *hex = malloc(2 * strlen(path) + 1);
	json_t *text;
	size_t i;

	for (i = 0; hex && path[i]; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned)(unsigned char)path[i]);
	text = hex ? json_string(hex) : NULL;
	free(hex);
	return text;
}

enum ns_status ns_release_add(struct ns_release *r, enum ns_release_part part, const struct ns_dataset *d, const char *night, json_t *rows,
			      json_t *labels)
{
	char path[PATH_MAX], kind[64];
	json_t *list = r->lists[part], *entry;

	if (!list)
		list = r->lists[part] = NS_JSON_OBJECT({"schema", json_string("nightshift.sets/1")}, {"sets", json_array()});
	if (labels && !json_object_get(list, "classes"))
		json_object_set(list, "classes", r->classes);
	if (!realpath(d->path, path))
		snprintf(path, sizeof path, "%s", d->path);
	entry = NS_JSON_OBJECT({"path", ns_json_string(path)}, {"digest", json_string(d->digest)}, {"kind", json_string(kind_of(d, kind))},
			       {"night", ns_json_string(night)});
	if (entry && strcmp(ns_json_text(entry, "path"), path)) /* not UTF-8, so that the text is not the name */
		json_object_set_new(entry, "bytes", in_hex(path));
	if (rows)
		json_object_set_new(entry, "rows", rows);
	if (labels)
		json_object_set_new(entry, "labels", labels);
	return entry && json_array_append_new(json_object_get(list, "sets"), entry) == 0 ? NS_OK
											 : ns_fail(NS_NO_MEMORY, "out of memory for a release");
}

uint8_t *ns_release_has(const struct ns_release *r, enum ns_release_part part, const struct ns_dataset *d)
{
	uint8_t *has = calloc((size_t)d->rows + 1, 1);
	const json_t *entry, *rows, *row;
	size_t i, k;

	json_array_foreach(json_object_get(r->lists[part], "sets"), i, entry) {
		if (!has || strcmp(ns_json_text(entry, "digest"), d->digest))
			continue;
		rows = json_object_get(entry, "rows");
		if (!rows)
			memset(has, 1, (size_t)d->rows);
		json_array_foreach(rows, k, row)
			if (json_integer_value(row) >= 0 && json_integer_value(row) < d->rows)
				has[json_integer_value(row)] = 1;
	}
	return has;
}
