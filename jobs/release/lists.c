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

static int is_alike(const struct ns_dataset *a, const struct ns_dataset *b)
{
	const struct ns_shard_head *x = ns_dataset_head(a), *y = ns_dataset_head(b);

	return !strcmp(x->encoding, "raw") == !strcmp(y->encoding, "raw") && x->h == y->h && x->w == y->w && x->c == y->c;
}

/* A batch holds images of all sets of a list. */
static enum ns_status fits(const struct ns_release *r, enum ns_release_part part, const struct ns_dataset *d, int *is)
{
	const json_t *first = json_array_get(json_object_get(r->lists[part], "sets"), 0);
	struct ns_dataset *other;

	*is = 1;
	if (!first)
		return NS_OK;
	if (ns_dataset_open(NULL, &other, ns_json_text(first, "path"), 0) != NS_OK)
		return ns_fail_in(NS_IO, "the %s of production cannot be read", ns_release_key(part));
	*is = is_alike(d, other);
	ns_dataset_close(other);
	return NS_OK;
}

enum ns_status ns_release_open(const struct ns_release *r, enum ns_release_part part, const char *path, const char *digest, struct ns_dataset **d)
{
	const char *what = ns_release_key(part);
	enum ns_status status;
	int is;

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
	} else {
		status = fits(r, part, *d, &is);
		if (status == NS_OK && is)
			return ns_train_keep_here(r->registry, *d);
		if (status == NS_OK)
			ns_log_warn(r->log, "not part of the release's %s: images of %s are of another kind or size than those before", what, path);
	}
	ns_dataset_close(*d);
	*d = NULL;
	return status;
}

enum ns_status ns_release_add(struct ns_release *r, enum ns_release_part part, const struct ns_dataset *d, const char *night, json_t *rows,
			      json_t *labels)
{
	char path[PATH_MAX];
	json_t *list = r->lists[part], *entry;

	if (!list)
		list = r->lists[part] = NS_JSON_OBJECT({"schema", json_string("nightshift.sets/1")}, {"sets", json_array()});
	if (labels && !json_object_get(list, "classes"))
		json_object_set(list, "classes", r->classes);
	if (!realpath(d->path, path))
		snprintf(path, sizeof path, "%s", d->path);
	entry = NS_JSON_OBJECT({"path", ns_json_string(path)}, {"digest", json_string(d->digest)}, {"night", ns_json_string(night)});
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
