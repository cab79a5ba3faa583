/*
 * datasets/source/follow.c - the list of what was taken before, which --follow reads and adds to: JSON lines, the first of them about the list itself,
 * then {path, bytes, time} of a file, an image's or an archive's.
 *
 * The list is written twice: before the data set is published, with the set's folder as `pending`, and after it without. A run that was killed between
 * has left `pending`, and whether that folder is there says whether what was added last has been taken.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/base.h"

struct seen {
	char *path;
	int64_t bytes, time;
};

struct ns_follow {
	char *file;
	struct seen *seen; /* sorted by path */
	int64_t count, capacity, passed;
	json_t *classes; /* names as the list has them, or NULL */
	json_t *sources; /* where they are */
	char *text;	 /* lines that stay, behind the first */
	size_t bytes;
	char digest[NS_SHA256_HEX]; /* of the list as it was read; "": there was none */
	json_t *added;		    /* {path, bytes, time} */
};

/* A path from the root. */
static enum ns_status absolute(char to[NS_PATH_MAX], const char *path)
{
	char here[NS_PATH_MAX];

	if (*path == '/')
		return ns_path(to, "%s", path);
	if (!getcwd(here, sizeof here))
		return ns_io_error(".", "cannot get the name of the working directory");
	return ns_path(to, "%s/%s", here, path);
}

/* A path as the list has it: from its own folder, if it is below that, so that both may move; else from the root. */
static enum ns_status place_of(const struct ns_follow *f, const char *path, char to[NS_PATH_MAX])
{
	char whole[NS_PATH_MAX], folder[NS_PATH_MAX];
	size_t n;

	NS_TRY(absolute(whole, path));
	while (whole[1] && whole[strlen(whole) - 1] == '/')
		whole[strlen(whole) - 1] = 0;
	NS_TRY(absolute(folder, f->file));
	n = (size_t)(strrchr(folder, '/') - folder) + 1;
	return ns_path(to, "%s", strncmp(whole, folder, n) || !whole[n] ? whole : whole + n);
}

/* The path of a place in the list. */
static enum ns_status path_of(const struct ns_follow *f, const char *place, char to[NS_PATH_MAX])
{
	char folder[NS_PATH_MAX];

	NS_TRY(absolute(folder, f->file));
	*strrchr(folder, '/') = 0;
	return ns_path(to, "%s%s%s", *place == '/' ? "" : folder, *place == '/' ? "" : "/", place);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->path, ((const struct seen *)b)->path);
}

static enum ns_status add_seen(struct ns_follow *f, const json_t *line, int64_t number)
{
	int64_t bytes, time;
	const char *path = ns_json_text(line, "path");
	char where[NS_PATH_MAX + 32];
	struct seen *more;

	snprintf(where, sizeof where, "%s, line %lld", f->file, (long long)number);
	NS_TRY(ns_json_get_int(line, "bytes", where, 0, INT64_MAX, &bytes));
	NS_TRY(ns_json_get_int(line, "time", where, INT64_MIN, INT64_MAX, &time));
	if (!*path)
		return ns_fail(NS_BAD_DATA, "%s: has no path", where);
	if (f->count == f->capacity) {
		f->capacity = f->capacity ? 2 * f->capacity : 1024;
		more = realloc(f->seen, sizeof *more * (size_t)f->capacity);
		if (!more)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld lines", f->file, (long long)f->capacity);
		f->seen = more;
	}
	f->seen[f->count] = (struct seen){strdup(path), bytes, time};
	return f->seen[f->count++].path ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its lines", f->file);
}

/* The first line. *lines: how many of the others count; -1: all. */
static enum ns_status read_head(struct ns_follow *f, const json_t *head, int64_t *lines)
{
	const json_t *pending = json_object_get(head, "pending");
	int there = 1;

	char path[NS_PATH_MAX], out[NS_PATH_MAX], hex[NS_SHA256_HEX];

	*lines = -1;
	if (strcmp(ns_json_text(head, "schema"), "nightshift.follow/1") != 0)
		return ns_fail(NS_BAD_DATA, "%s: its first line has the schema '%s', expected nightshift.follow/1", f->file,
			       ns_json_text(head, "schema"));
	if (!json_equal(json_object_get(head, "sources"), f->sources))
		return ns_fail(
			NS_CONFIG, "%s: is of other sources, the first of them %s; name another file, or change its first line if they have moved",
			f->file,
			json_array_size(json_object_get(head, "sources")) ? json_string_value(json_array_get(json_object_get(head, "sources"), 0))
									  : "unknown");
	f->classes = json_incref(json_object_get(head, "classes"));
	if (!pending)
		return NS_OK;
	NS_TRY(ns_json_get_int(pending, "lines", f->file, 0, INT64_MAX, lines));
	/* another set may be there from before, which this one was to replace */
	NS_TRY(path_of(f, ns_json_text(pending, "out"), out));
	NS_TRY(ns_path(path, "%s/%s", out, ns_json_text(pending, "file")));
	NS_TRY(ns_exists(path, &there));
	if (there)
		NS_TRY(ns_sha256_file(hex, path));
	*lines = there && !strcmp(hex, ns_json_text(pending, "sha256")) ? -1 : *lines;
	return NS_OK;
}

/* All lines; those that do not count are dropped from the text. */
static enum ns_status read_lines(struct ns_follow *f, char *text)
{
	char *line, *next, *body = NULL, *end;
	int64_t number = 0, lines = -1;
	enum ns_status status = NS_OK;

	for (line = text; *line && status == NS_OK && (lines < 0 || number <= lines); line = next) {
		json_t *json;

		end = line + strcspn(line, "\n");
		if (!*end)
			return ns_fail(NS_BAD_DATA, "%s: line %lld does not end: the list was cut", f->file, (long long)number + 1);
		next = end + 1;
		json = json_loadb(line, (size_t)(end - line), 0, NULL);
		if (!json_is_object(json))
			status = ns_fail(NS_BAD_DATA, "%s: line %lld is not an object of JSON", f->file, (long long)number + 1);
		else
			status = number ? add_seen(f, json, number + 1) : read_head(f, json, &lines);
		json_decref(json);
		body = number++ ? body : next;
		f->bytes = (size_t)(next - (body ? body : next));
	}
	if (status != NS_OK || !f->bytes)
		return status;
	f->text = malloc(f->bytes);
	if (!f->text)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its lines", f->file);
	memcpy(f->text, body, f->bytes);
	return NS_OK;
}

/* Where the sources are; and whether the list has a place. */
static enum ns_status name_all(struct ns_follow *f, char *const *sources, int n)
{
	char path[NS_PATH_MAX];
	int i, is;

	f->sources = json_array();
	for (i = 0; i < n; i++) {
		NS_TRY(place_of(f, sources[i], path));
		json_array_append_new(f->sources, ns_json_string(path));
	}
	NS_TRY(path_of(f, "", path));
	NS_TRY(ns_is_dir(path, &is));
	return is ? NS_OK : ns_fail(NS_CONFIG, "ingest.follow: %s: there is no such folder", path);
}

enum ns_status ns_follow_open(struct ns_follow **follow, const char *path, char *const *sources, int n)
{
	struct ns_follow *f = *follow = calloc(1, sizeof *f);
	enum ns_status status;
	char *text;
	size_t bytes;
	int is;

	if (!f)
		return ns_fail(NS_NO_MEMORY, "out of memory");
	f->file = strdup(path);
	f->added = json_array();
	NS_TRY(name_all(f, sources, n));
	NS_TRY(ns_exists(path, &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_read_file(path, &text, &bytes));
	ns_sha256(f->digest, text, bytes);
	status = read_lines(f, text);
	free(text);
	if (f->count)
		qsort(f->seen, (size_t)f->count, sizeof *f->seen, by_path);
	return status;
}

void ns_follow_close(struct ns_follow *f)
{
	int64_t i;

	if (!f)
		return;
	for (i = 0; i < f->count; i++)
		free(f->seen[i].path);
	free(f->seen);
	free(f->text);
	free(f->file);
	json_decref(f->classes);
	json_decref(f->sources);
	json_decref(f->added);
	free(f);
}

const json_t *ns_follow_classes(const struct ns_follow *f)
{
	return f->classes;
}

int64_t ns_follow_passed(const struct ns_follow *f)
{
	return f->passed;
}

static int has(const struct ns_follow *f, const struct seen *what)
{
	int64_t low = 0, high = f->count;

	while (low < high) {
		int64_t middle = (low + high) / 2;

		if (strcmp(f->seen[middle].path, what->path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < f->count && !strcmp(f->seen[low].path, what->path); low++) /* a file that has changed stands there more than once */
		if (f->seen[low].bytes == what->bytes && f->seen[low].time == what->time)
			return 1;
	return 0;
}

enum ns_status ns_follow_takes(struct ns_follow *f, const char *name, const char *path, int keep, int *takes)
{
	json_t *text = ns_json_string(name);
	struct seen what = {(char *)(uintptr_t)json_string_value(text), 0, 0};
	struct stat st;

	*takes = 1;
	if (!text)
		return ns_fail(NS_NO_MEMORY, "out of memory for a file's name");
	if (stat(path, &st)) { /* not there: whoever reads it says so */
		json_decref(text);
		return errno != EACCES && !ns_errno_is_data(errno) ? ns_io_error(path, "cannot stat") : NS_OK;
	}
	what.bytes = (int64_t)st.st_size;
	what.time = (int64_t)st.st_mtime;
	*takes = !has(f, &what);
	f->passed += !*takes;
	if (*takes && keep)
		json_array_append_new(f->added,
				      json_pack("{s:O, s:I, s:I}", "path", text, "bytes", (json_int_t)what.bytes, "time", (json_int_t)what.time));
	json_decref(text);
	return NS_OK;
}

/* The list is as it was read: another job has not added to it meanwhile. */
static enum ns_status check_unchanged(const struct ns_follow *f)
{
	char now[NS_SHA256_HEX] = "";
	int is;

	NS_TRY(ns_exists(f->file, &is));
	if (is)
		NS_TRY(ns_sha256_file(now, f->file));
	return strcmp(now, f->digest)
		       ? ns_fail(NS_BAD_DATA, "%s: has changed since it was read: another job follows it; nothing was published", f->file)
		       : NS_OK;
}

static int write_line(FILE *to, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	int fine = text && fputs(text, to) >= 0 && fputc('\n', to) >= 0;

	free(text);
	json_decref(json);
	return fine;
}

/* The whole list; pending: of what is added, or NULL: its set is there. */
static enum ns_status write_all(struct ns_follow *f, json_t *pending)
{
	char *text = NULL;
	size_t bytes = 0, i;
	FILE *to = open_memstream(&text, &bytes);
	json_t *head = json_pack("{s:s, s:O, s:O?}", "schema", "nightshift.follow/1", "sources", f->sources, "classes", f->classes), *line;
	int64_t lines = 0;
	enum ns_status status = NS_OK;
	int fine = to != NULL;

	for (i = 0; i < f->bytes; i++)
		lines += f->text[i] == '\n';
	if (pending) {
		json_object_set_new(pending, "lines", json_integer(lines));
		json_object_set_new(head, "pending", pending);
	}
	fine = fine && write_line(to, json_incref(head)) && (!f->bytes || fwrite(f->text, f->bytes, 1, to) == 1);
	json_array_foreach(f->added, i, line)
		fine = fine && write_line(to, json_incref(line));
	fine = to && !fclose(to) && fine;
	json_decref(head);
	status = fine ? ns_write_file(f->file, text, bytes) : ns_fail(NS_NO_MEMORY, "%s: out of memory for its lines", f->file);
	if (status == NS_OK)
		ns_sha256(f->digest, text, bytes);
	free(text);
	return status;
}

enum ns_status ns_follow_begin(struct ns_follow *f, const char *dir, const char *out, const char *file, char *const *classes, int n)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	int i;

	NS_TRY(check_unchanged(f));
	json_decref(f->classes);
	f->classes = json_array();
	for (i = 0; i < n; i++)
		json_array_append_new(f->classes, ns_json_string(classes[i]));
	NS_TRY(ns_path(path, "%s/%s", dir, file));
	NS_TRY(ns_sha256_file(hex, path));
	NS_TRY(place_of(f, out, path));
	return write_all(f, json_pack("{s:o, s:s, s:s}", "out", ns_json_string(path), "file", file, "sha256", hex));
}

enum ns_status ns_follow_end(struct ns_follow *f)
{
	NS_TRY(check_unchanged(f));
	return write_all(f, NULL);
}
