/*
 * datasets/source/list.c - lists of image files: text (a path a line, and after a tab, or a space where that makes a file's name, its class),
 * JSON lines, a list in JSON, COCO's JSON, and CSV (csv.c). Paths are relative to the list; items stand in its order.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "datasets/objects/objects.h"
#include "datasets/source/list_inner.h"
#include "host/base/base.h"

static enum ns_status list_takes(const char *path, int *takes)
{
	NS_TRY(ns_is_dir(path, takes));
	*takes = !*takes && (ns_ends_like(path, ".txt") || ns_ends_like(path, ".csv") || ns_ends_like(path, ".tsv") || ns_ends_like(path, ".jsonl") ||
			     ns_ends_like(path, ".json"));
	return NS_OK;
}

/*
 * A line of text: a tab is no part of a name; a space may be, of the file's or of the class's, so it is asked whether the file is there, from the
 * last space to the first. A line that begins with # and names no file is a remark.
 */
static enum ns_status text_line(struct ns_files *f, char *line)
{
	char *tab, *space;

	line = ns_list_trim(line);
	tab = strchr(line, '\t');
	if (!*line)
		return NS_OK;
	if (tab) {
		*tab++ = 0;
		tab[strcspn(tab, "\t")] = 0;
		return ns_list_add(f, line, ns_list_trim(tab), NULL);
	}
	if (ns_list_has(f, line))
		return ns_list_add(f, line, "", NULL);
	for (space = line + strlen(line); space > line; space--)
		if (*space == ' ') {
			*space = 0;
			if (ns_list_has(f, line))
				return ns_list_add(f, line, ns_list_trim(space + 1), NULL);
			*space = ' ';
		}
	return *line == '#' ? NS_OK : ns_list_add(f, line, "", NULL);
}

/* The first member that is called so, as text; NULL: there is none, or it is null. */
static enum ns_status member(const json_t *json, const char *const *names, char number[32], const char **text)
{
	for (*text = NULL; *names && !*text; names++) {
		const json_t *value = json_object_get(json, *names);

		if (!value || json_is_null(value))
			continue;
		if (!json_is_integer(value) && !json_is_string(value))
			return ns_fail(NS_BAD_DATA, "\"%s\" is neither text nor a whole number", *names);
		if (json_is_integer(value))
			snprintf(number, 32, "%lld", (long long)json_integer_value(value));
		*text = json_is_string(value) ? json_string_value(value) : number;
	}
	return NS_OK;
}

/* The members that are neither a path nor a class. */
static json_t *others(const json_t *json)
{
	json_t *rest = json_deep_copy(json);
	size_t i;

	for (i = 0; ns_list_paths[i]; i++)
		json_object_del(rest, ns_list_paths[i]);
	for (i = 0; ns_list_classes[i]; i++)
		json_object_del(rest, ns_list_classes[i]);
	return rest;
}

/* An object of a list; where: what it is counted in, for messages. */
static enum ns_status json_item(struct ns_files *f, const json_t *json, const char *where, int64_t number)
{
	char digits[2][32];
	const char *path, *label;
	enum ns_status status = member(json, ns_list_paths, digits[0], &path);

	if (status == NS_OK)
		status = member(json, ns_list_classes, digits[1], &label);
	if (status != NS_OK)
		return ns_fail_in(status, "%s %lld", where, (long long)number);
	return path ? ns_list_add(f, path, label ? label : "", others(json))
		    : ns_fail(NS_BAD_DATA, "%s %lld names no file: expected \"path\" (or file, file_name, image)", where, (long long)number);
}

static enum ns_status json_line(struct ns_files *f, const char *line, int64_t number)
{
	json_error_t error;
	json_t *json;
	enum ns_status status;

	if (!line[strspn(line, " \t")] || *line == '#')
		return NS_OK;
	json = json_loads(line, 0, &error);
	if (!json)
		return ns_fail(NS_BAD_DATA, "line %lld is not JSON: %s", (long long)number, error.text);
	status = json_item(f, json, "line", number);
	json_decref(json);
	return status;
}

static enum ns_status coco_image(void *context, const char *file_name, const char *annotation)
{
	return ns_list_add(context, file_name, "", json_loads(annotation, 0, NULL));
}

/* COCO's file beside its images. They are often elsewhere: then nothing of it would be found. */
static enum ns_status read_coco(struct ns_files *f, const char *text, size_t bytes)
{
	int64_t i;

	NS_TRY(ns_coco_each(text, bytes, coco_image, f));
	for (i = 0; i < f->tree.count; i++)
		if (ns_list_has(f, f->tree.entries[i].path))
			return NS_OK;
	return ns_fail(NS_BAD_DATA, "none of its %lld images lies where it lies%s%s; ingest the folder that holds both", (long long)f->tree.count,
		       f->tree.count ? ", as does not " : "", f->tree.count ? f->tree.entries[0].path : "");
}

/* COCO's file, or a list of objects as JSON lines have them. */
static enum ns_status read_json(struct ns_files *f, const char *text, size_t bytes)
{
	json_error_t error;
	json_t *json, *one;
	enum ns_status status = NS_OK;
	size_t i;

	if (ns_coco_is(text, bytes))
		return read_coco(f, text, bytes);
	json = json_loadb(text, bytes, 0, &error);
	if (!json)
		return ns_fail(NS_BAD_DATA, "line %d is not JSON: %s", error.line, error.text);
	if (!json_is_array(json))
		status = ns_fail(NS_BAD_DATA, "is JSON, but neither a list of objects that name files (\"path\", \"label\") nor COCO's (\"images\", "
					      "\"annotations\")");
	for (i = 0; i < json_array_size(json) && status == NS_OK; i++) {
		one = json_array_get(json, i);
		status = json_item(f, one, "entry", (int64_t)i);
	}
	json_decref(json);
	return status;
}

static enum ns_status read_lines(struct ns_source *s, struct ns_files *f, char *text)
{
	int json = ns_ends_like(s->path, ".jsonl");
	char *line, *next;
	int64_t number = 0;
	enum ns_status status = NS_OK;

	for (line = text; line && *line && status == NS_OK; line = next) {
		next = line + strcspn(line, "\r\n"); /* lines end in LF, CR LF or CR */
		if (*next) {
			int both = *next == '\r' && next[1] == '\n';

			*next = 0;
			next += 1 + both;
		}
		number++;
		status = json ? json_line(f, line, number) : text_line(f, line);
	}
	return status;
}

/* A list says itself what is an item, and of which class: a name, or an index into names that were given. */
static enum ns_status label_all(struct ns_source *s, struct ns_files *f)
{
	const char *const *names = (const char *const *)f->classes;
	int given = s->class_count > 0;
	int32_t *labels = malloc(sizeof *labels * ((size_t)f->tree.count + 1));
	enum ns_status status = labels ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for labels", s->path);
	int64_t i;

	s->items = f->tree.count;
	if (status == NS_OK)
		status = ns_source_labels(s, names, f->tree.count, 1, labels);
	for (i = 0; i < f->tree.count && status == NS_OK; i++) {
		f->tree.entries[i].label = labels[i] == NS_LABEL_UNKNOWN && given ? ns_source_index(s, f->classes[i]) : labels[i];
		s->unknown += f->tree.entries[i].label == NS_LABEL_UNKNOWN;
	}
	free(labels);
	return status;
}

static enum ns_status list_open(struct ns_source *s)
{
	struct ns_files *f = s->state = calloc(1, sizeof *f);
	enum ns_status status;
	char *text, *begin, *slash;
	size_t bytes;

	if (!f)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	NS_TRY(ns_path(f->base, "%s", s->path));
	slash = strrchr(f->base, '/');
	if (slash)
		*slash = 0;
	else
		strcpy(f->base, ".");
	NS_TRY(ns_read_file(s->path, &text, &bytes));
	begin = !strncmp(text, "\xef\xbb\xbf", 3) ? text + 3 : text; /* some editors begin a file with a byte order mark */
	if (memchr(text, 0, bytes))
		status = ns_fail(NS_BAD_DATA, "%s: byte %td is a zero, so it is not a list (or it is damaged)", s->path,
				 (char *)memchr(text, 0, bytes) - text);
	else if (ns_ends_like(s->path, ".csv") || ns_ends_like(s->path, ".tsv"))
		status = ns_csv_read(s, f, begin);
	else if (ns_ends_like(s->path, ".json"))
		status = read_json(f, begin, bytes - (size_t)(begin - text));
	else
		status = read_lines(s, f, begin);
	if (status == NS_BAD_DATA && strncmp(ns_message(), s->path, strlen(s->path)) != 0)
		status = ns_fail_in(status, "%s", s->path);
	free(text);
	return status == NS_OK ? label_all(s, f) : status;
}

const struct ns_source_kind ns_source_list = {"list", list_takes, list_open, ns_files_get, ns_files_close, NULL, 0, ns_files_place};
