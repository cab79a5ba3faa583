/*
 * datasets/shard/open.c - a data set by its path: a folder, a file, or a list of them that is read as one, nightshift.sets/1.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets/shard/shard_inner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "host/base/base.h"

#define SCHEMA	  "nightshift.sets/1"
#define SETS_MOST 4096

static enum ns_status agree(struct ns_job *job, enum ns_status status)
{
	return job ? ns_job_agree(job, status) : status;
}

/* A list is JSON, and no HDF5 file begins as JSON does. */
static enum ns_status is_list(const char *path, int *is)
{
	char first[1] = {0};
	enum ns_status status;
	int fd;

	*is = 0;
	NS_TRY(ns_is_file(path, is));
	if (!*is)
		return NS_OK;
	NS_TRY(ns_open(&fd, path, 0));
	status = ns_read_at(fd, path, first, 1, 0);
	close(fd);
	*is = status == NS_OK && first[0] == '{';
	return status == NS_BAD_DATA ? NS_OK : status; /* an empty file is nothing; whoever opens it next says so */
}

enum ns_status ns_dataset_is(const char *path, int *is)
{
	char list[NS_PATH_MAX];
	int folder, predictions;

	NS_TRY(ns_is_dir(path, &folder));
	if (!folder) {
		NS_TRY(is_list(path, is));
		return *is ? NS_OK : ns_shard_is(path, is);
	}
	NS_TRY(ns_path(list, "%s/predictions.json", path));
	NS_TRY(ns_exists(list, &predictions));
	NS_TRY(ns_path(list, "%s/dataset.json", path));
	NS_TRY(ns_exists(list, is));
	*is &= !predictions;
	return NS_OK;
}

enum kind { FOLDER, A_FILE, LIST };

/* Collective. Rank 0 decides for all. */
static enum ns_status kind_of(struct ns_job *job, const char *path, int *kind)
{
	enum ns_status status;
	int folder = 0, list = 0, is;

	status = ns_exists(path, &is);
	if (status == NS_OK && !is)
		status = ns_fail(NS_IO, "%s: no such file or folder", path);
	if (status == NS_OK)
		status = ns_is_dir(path, &folder);
	if (status == NS_OK && !folder)
		status = is_list(path, &list);
	*kind = folder ? FOLDER : list ? LIST : A_FILE;
	status = agree(job, status);
	return status == NS_OK && job ? ns_comm_broadcast(job->comm, kind, sizeof *kind, 0) : status;
}

/* --- a list --- */

struct one { /* of the list */
	const json_t *entry, *rows, *labels;
	char where[NS_PATH_MAX]; /* for messages */
};

/* The numbers of its rows ascend; NULL: it has all. */
static enum ns_status read_rows(const struct one *o, const struct ns_dataset *part, int classes, int64_t **row)
{
	size_t n = json_array_size(o->rows), i;
	enum ns_status status = NS_OK;
	int64_t label;

	*row = NULL;
	if (o->labels && json_array_size(o->labels) != (o->rows ? n : (size_t)part->rows))
		return ns_fail(NS_BAD_DATA, "%s: has %zu labels, expected one for each of its rows", o->where, json_array_size(o->labels));
	for (i = 0; status == NS_OK && i < json_array_size(o->labels); i++)
		status = ns_json_int(json_array_get(o->labels, i), "a label", o->where, -1, classes - 1, &label);
	if (!o->rows || status != NS_OK)
		return status;
	if (!n)
		return ns_fail(NS_BAD_DATA, "%s: names no row", o->where);
	*row = malloc(sizeof **row * n);
	if (!*row)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu rows", o->where, n);
	for (i = 0; status == NS_OK && i < n; i++)
		status = ns_json_int(json_array_get(o->rows, i), "a row, which comes after the one before", o->where, i ? (*row)[i - 1] + 1 : 0,
				     part->rows - 1, &(*row)[i]);
	if (status == NS_OK)
		return status;
	free(*row);
	*row = NULL;
	return status;
}

static enum ns_status make_room(struct ns_dataset *d, int more)
{
	struct ns_shard **shards = realloc(d->shards, sizeof *shards * ((size_t)d->count + (size_t)more + 1));
	int64_t *first;

	d->shards = shards ? shards : d->shards;
	first = shards ? realloc(d->first, sizeof *first * ((size_t)d->count + (size_t)more + 2)) : NULL;
	d->first = first ? first : d->first;
	if (!first)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %d shards", d->path, d->count + more);
	d->first[0] = 0;
	return NS_OK;
}

/* Images that a batch can hold together; a file says with each image how it is stored. */
static enum ns_status check_alike(const struct ns_dataset *d, const struct ns_shard *s)
{
	const struct ns_shard_head *a = &d->head->head, *b = &s->head;

	if (!strcmp(a->encoding, "raw") == !strcmp(b->encoding, "raw") && a->h == b->h && a->w == b->w && a->c == b->c)
		return NS_OK;
	return ns_fail(NS_BAD_DATA, "%s: %s %dx%dx%d, but %s, of the same list, is %s %dx%dx%d", s->path, b->encoding, b->h, b->w, b->c,
		       d->head->path, a->encoding, a->h, a->w, a->c);
}

/* row (n): numbers in a set whose row `first` is this shard's first */
static enum ns_status choose(struct ns_shard *s, const int64_t *row, int64_t n, int64_t first)
{
	int64_t *mine = malloc(sizeof *mine * (size_t)n), k;
	enum ns_status status;

	for (k = 0; mine && k < n; k++)
		mine[k] = row[k] - first;
	status = mine ? ns_shard_choose(s, mine, n) : ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld rows", s->path, (long long)n);
	free(mine);
	return status;
}

static void forget_classes(struct ns_shard *s)
{
	int k;

	for (k = 0; k < s->head.class_count; k++)
		free(s->head.classes[k]);
	s->head.class_count = 0;
}

/* Shards of the part become the list's: those of its rows that are named, and labelled as is said. */
static enum ns_status take_shards(struct ns_dataset *d, struct ns_dataset *part, const struct one *o, const int64_t *row)
{
	int64_t named = o->rows ? (int64_t)json_array_size(o->rows) : 0, at = 0, k, n;
	int i;

	NS_TRY(make_room(d, part->count));
	for (i = 0; i < part->count; i++) {
		struct ns_shard *s = part->shards[i];

		for (n = 0; o->rows && at + n < named && row[at + n] < part->first[i + 1]; n++)
			;
		if (o->rows && !n)
			continue;
		part->shards[i] = NULL;
		d->shards[d->count++] = s;
		d->first[d->count] = d->rows; /* until its rows are known */
		d->head = d->head ? d->head : s;
		NS_TRY(check_alike(d, s));
		NS_TRY(o->rows ? choose(s, row + at, n, part->first[i]) : NS_OK);
		for (k = 0; o->labels && k < s->rows.rows; k++)
			s->rows.label[k] = (int32_t)json_integer_value(json_array_get(o->labels, (size_t)(at + k)));
		for (k = 0; !o->labels && !s->head.class_count && k < s->rows.rows; k++)
			s->rows.label[k] = -1; /* of no class */
		if (o->labels)		       /* they are by the list's classes already */
			forget_classes(s);
		at += s->rows.rows;
		d->first[d->count] = d->rows += s->rows.rows;
	}
	return NS_OK;
}

/* The list's, or else those of the first set that has any. */
struct classes {
	char **names;
	int count;
};

static enum ns_status take_classes(struct classes *c, const char *const *names, size_t n, const char *path)
{
	struct ns_vocabulary seen = {0};
	enum ns_status status = NS_OK;
	int32_t number = 0;
	size_t i;

	c->names = calloc(n + 1, sizeof *c->names);
	c->count = (int)n;
	for (i = 0; c->names && i < n; i++) {
		if (!names[i])
			return ns_fail(NS_BAD_DATA, "%s: classes[%zu] is no text", path, i);
		if (!(c->names[i] = strdup(names[i])))
			break;
	}
	if (!c->names || i < n)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu classes", path, n);
	for (i = 0; i < n && status == NS_OK; i++) {
		status = ns_vocabulary_add(&seen, names[i], &number);
		if (status == NS_OK && (size_t)number != i)
			status = ns_fail(NS_BAD_DATA, "%s: class %zu is '%.80s', and so is class %d", path, i, names[i], number);
	}
	ns_vocabulary_release(&seen);
	return status;
}

static enum ns_status list_classes(const json_t *json, const char *path, struct classes *c)
{
	const json_t *list = json_object_get(json, "classes");
	size_t n = json_array_size(list), i;
	const char **names;
	enum ns_status status;

	if (!list)
		return NS_OK;
	if (!n || n > INT32_MAX)
		return ns_fail(NS_BAD_DATA, "%s: classes is no list of names", path);
	names = calloc(n, sizeof *names);
	for (i = 0; names && i < n; i++)
		names[i] = json_string_value(json_array_get(list, i));
	status = names ? take_classes(c, names, n, path) : ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu classes", path, n);
	free(names);
	return status;
}

/* All of its shards, those of sets without classes too: which classes it has is known when all are open. */
static enum ns_status relabel(struct ns_dataset *d, const struct classes *c)
{
	int i;

	for (i = 0; c->count && i < d->count; i++)
		NS_TRY(ns_shard_relabel(d->shards[i], c->names, c->count));
	return NS_OK;
}

static enum ns_status check_keys(const json_t *object, const char *const *known, const char *where)
{
	const char *key;
	json_t *value;
	int i;

	NS_JSON_EACH(object, key, value) {
		for (i = 0; known[i] && strcmp(known[i], key); i++)
			;
		if (!known[i])
			return ns_fail(NS_BAD_DATA, "%s: unknown key '%.40s'", where, key);
	}
	return NS_OK;
}

/* The path of an entry; of one whose name is not UTF-8 `path` is for people, and `bytes` has it in hexadecimal. */
static enum ns_status path_of(const struct one *o, char path[NS_PATH_MAX])
{
	const char *hex = ns_json_text(o->entry, "bytes");
	size_t n = strlen(hex), i;
	unsigned byte;

	if (!n)
		return ns_path(path, "%s", ns_json_text(o->entry, "path"));
	for (i = 0; i < n / 2 && n / 2 < NS_PATH_MAX - 1; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1 || !byte)
			break;
		path[i] = (char)byte;
	}
	path[i] = 0;
	return n % 2 == 0 && i == n / 2 ? NS_OK : ns_fail(NS_BAD_DATA, "%s: bytes is '%.40s', expected a path in hexadecimal", o->where, hex);
}

/* Collective. One entry of the list: of the digest that it states. */
static enum ns_status open_entry(struct ns_job *job, struct ns_dataset **part, const struct one *o, const char *list)
{
	const char *slash = strrchr(list, '/');
	char path[NS_PATH_MAX], whole[NS_PATH_MAX];
	struct ns_dataset *d = *part = calloc(1, sizeof *d);
	enum ns_status status;
	int kind;

	NS_TRY(path_of(o, path));
	if (!*path)
		return ns_fail(NS_BAD_DATA, "%s: has no path", o->where);
	if (*path == '/' || !slash)
		NS_TRY(ns_path(whole, "%s", path));
	else
		NS_TRY(ns_path(whole, "%.*s/%s", (int)(slash - list), list, path));
	if (!d || !(d->path = strdup(whole)))
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", o->where);
	status = kind_of(job, whole, &kind);
	if (status == NS_OK && kind == LIST)
		status = ns_fail(NS_BAD_DATA, "%s: is a list itself, expected a data set", whole);
	if (status == NS_OK)
		status = kind == FOLDER ? ns_dataset_open_folder(job, d, 0) : ns_dataset_open_file(d);
	if (status == NS_OK && strcmp(d->digest, ns_json_text(o->entry, "digest")))
		status = ns_fail(NS_DIGEST, "%s: its digest is %.12s, expected %.12s; it is another data set", whole, d->digest,
				 ns_json_text(o->entry, "digest"));
	if (status == NS_OK && d->alone) /* a folder's shards were hashed whole */
		status = ns_shard_verify(d->shards[0]);
	status = agree(job, status);
	return status == NS_OK ? NS_OK
			       : ns_fail_in(status, "%s%s%s", o->where, *ns_json_text(o->entry, "night") ? ", of night " : "",
					    ns_json_text(o->entry, "night"));
}

/* What the list says but for where things lie, so that a set that was moved is the same one. */
static void remember(struct ns_dataset *d, const struct one *o)
{
	json_t *entry = NS_JSON_OBJECT({"digest", json_string(ns_json_text(o->entry, "digest"))});

	if (o->rows)
		json_object_set_new(entry, "rows", json_deep_copy(o->rows));
	if (o->labels)
		json_object_set_new(entry, "labels", json_deep_copy(o->labels));
	json_array_append_new(json_object_get(d->list, "sets"), entry);
}

static enum ns_status take_entry(struct ns_job *job, struct ns_dataset *d, const json_t *json, size_t i, struct classes *c)
{
	struct one o = {.entry = json_array_get(json_object_get(json, "sets"), i)};
	struct ns_dataset *part = NULL;
	const struct ns_shard_head *head;
	static const char *const known[] = {"path", "bytes", "digest", "kind", "night", "rows", "labels", NULL};
	int64_t *row = NULL;
	enum ns_status status;

	o.rows = json_object_get(o.entry, "rows");
	o.labels = json_object_get(o.entry, "labels");
	NS_GO(ns_path(o.where, "%s: sets[%zu]", d->path, i));
	NS_GO(check_keys(o.entry, known, o.where));
	if ((o.rows && !json_is_array(o.rows)) || (o.labels && (!json_is_array(o.labels) || !json_object_get(json, "classes"))))
		NS_GO(ns_fail(NS_BAD_DATA, "%s: expected lists of rows and of labels, and of labels the list's classes", o.where));
	NS_GO(open_entry(job, &part, &o, d->path));
	NS_GO(read_rows(&o, part, c->count, &row));
	head = ns_dataset_head(part);
	if (!c->count && head->class_count)
		NS_GO(take_classes(c, (const char *const *)head->classes, (size_t)head->class_count, o.where));
	NS_GO(take_shards(d, part, &o, row));
	remember(d, &o);
out:
	free(row);
	ns_dataset_close(part);
	return status;
}

/* Of one set as it is the digest is its own: naming it in a list makes it no other. */
static void name_it(struct ns_dataset *d)
{
	const json_t *sets = json_object_get(d->list, "sets"), *only = json_array_get(sets, 0);

	snprintf(d->name, sizeof d->name, "a list of %zu sets", json_array_size(sets));
	ns_json_digest(d->digest, d->list);
	if (json_array_size(sets) > 1 || json_object_get(only, "rows") || json_object_get(only, "labels") || json_object_get(d->list, "classes"))
		return;
	snprintf(d->digest, sizeof d->digest, "%s", ns_json_text(only, "digest"));
	json_decref(d->list);
	d->list = NULL;
}

static enum ns_status open_list(struct ns_job *job, struct ns_dataset *d)
{
	static const char *const known[] = {"schema", "sets", "classes", NULL};
	struct classes c = {NULL, 0};
	json_t *json = NULL;
	enum ns_status status = ns_json_read(d->path, &json, SCHEMA);
	size_t n = json_array_size(json_object_get(json, "sets")), i;

	NS_GO(agree(job, status));
	if (n < 1 || n > SETS_MOST)
		NS_GO(ns_fail(NS_BAD_DATA, "%s: sets has %zu data sets, expected 1 to %d", d->path, n, SETS_MOST));
	NS_GO(check_keys(json, known, d->path));
	NS_GO(list_classes(json, d->path, &c));
	d->list = NS_JSON_OBJECT({"schema", json_string(SCHEMA)}, {"sets", json_array()});
	if (json_object_get(json, "classes"))
		json_object_set(d->list, "classes", json_object_get(json, "classes"));
	for (i = 0; i < n; i++)
		NS_GO(take_entry(job, d, json, i, &c));
	NS_GO(relabel(d, &c));
	name_it(d);
out:
	if (c.names)
		ns_texts_free(c.names, c.count);
	json_decref(json);
	return status;
}

enum ns_status ns_dataset_open(struct ns_job *job, struct ns_dataset **data, const char *path, int mine)
{
	struct ns_dataset *d = calloc(1, sizeof *d);
	enum ns_status status;
	int kind;

	if (!d || !(d->path = strdup(path))) {
		free(d);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
	}
	status = kind_of(job, path, &kind);
	if (status == NS_OK)
		status = kind == LIST ? open_list(job, d) : kind == FOLDER ? ns_dataset_open_folder(job, d, mine) : ns_dataset_open_file(d);
	if (status != NS_OK)
		ns_dataset_close(d);
	else
		*data = d;
	return status;
}
