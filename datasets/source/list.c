/*
 * datasets/source/list.c - lists of image files: text (a path a line, and after a tab, or a space where that makes a file's name, its class), CSV,
 * and JSON lines. Paths are relative to the list; items stand in its order.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/source/files_inner.h"
#include "host/base/base.h"

/* what the column of the path, and that of the class, may be called */
static const char *const path_names[] = {"path", "file", "filename", "file_name", "filepath", "image", "image_path", "img", NULL};
static const char *const class_names[] = {"label", "class", "class_name", "classname", "category", "target", NULL};

static int is_one_of(const char *text, const char *const *names)
{
	for (; *names; names++)
		if (!strcasecmp(text, *names))
			return 1;
	return 0;
}

static int ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n > m && !strcasecmp(path + n - m, end);
}

static enum ns_status list_takes(const char *path, int *takes)
{
	NS_TRY(ns_is_dir(path, takes));
	*takes = !*takes && (ends_in(path, ".txt") || ends_in(path, ".csv") || ends_in(path, ".tsv") || ends_in(path, ".jsonl"));
	return NS_OK;
}

static enum ns_status add(struct ns_files *f, const char *path, const char *class_name)
{
	if (f->tree.count == f->capacity) {
		int64_t capacity = f->capacity ? 2 * f->capacity : 1024;
		char **classes = realloc(f->classes, sizeof *classes * (size_t)capacity);

		if (!classes)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for its list of files", f->base);
		f->classes = classes;
		f->capacity = capacity;
	}
	f->classes[f->tree.count] = strdup(class_name);
	return ns_tree_add(&f->tree, path, f->tree.count, NS_ENTRY_FILE, NULL);
}

/* Is there a file of this name, from where the list lies? */
static int is_there(const struct ns_files *f, const char *path)
{
	char full[NS_PATH_MAX];
	int is = 0;

	return ns_path(full, "%s%s%s", *path == '/' ? "" : f->base, *path == '/' ? "" : "/", path) == NS_OK && ns_exists(full, &is) == NS_OK && is;
}

static char *trimmed(char *text)
{
	size_t n;

	text += strspn(text, " \t");
	for (n = strlen(text); n && (text[n - 1] == ' ' || text[n - 1] == '\t');)
		text[--n] = 0;
	return text;
}

/* A line of text: a tab is no part of a name; a space may be, so it is asked whether the file is there. */
static enum ns_status text_line(struct ns_files *f, char *line)
{
	char *tab = strchr(line, '\t'), *space = strrchr(line, ' ');
	int apart;

	if (!*line)
		return NS_OK;
	if (tab || !space || is_there(f, line)) {
		if (tab)
			*tab++ = 0;
		return add(f, line, tab ? trimmed(tab) : "");
	}
	*space = 0;
	apart = is_there(f, trimmed(line));
	if (!apart)
		*space = ' ';
	return add(f, apart ? trimmed(line) : line, apart ? space + 1 : "");
}

/*
 * One value of a line of CSV, in place: quotes hold separators and, doubled, quotes; blanks around it are none of its. Returns the next value, NULL
 * behind the last.
 */
static char *csv_value(char *from, char separator, char **value)
{
	char *to, *end;

	while (*from == ' ' || (*from == '\t' && separator != '\t'))
		from++;
	*value = to = from;
	if (*from != '"') {
		end = strchr(from, separator);
		if (end)
			*end++ = 0;
		*value = trimmed(from);
		return end;
	}
	for (from++; *from && !(*from == '"' && from[1] != '"'); from++, to++) {
		from += *from == '"';
		*to = *from;
	}
	end = strchr(from, separator); /* nothing but blanks stands between a closing quote and the separator */
	*to = 0;
	return end ? end + 1 : NULL;
}

struct columns {
	int known, path, label; /* known: the first line was read; label -1: none */
};

/* The first line names the columns, or is the first image: a path, and its class. */
static enum ns_status take_names(struct columns *c, char *line, char separator, int *named)
{
	char *copy = strdup(line), *value, *next = copy;
	int i;

	if (!copy)
		return ns_fail(NS_NO_MEMORY, "out of memory for the names of columns");
	*c = (struct columns){.known = 1, .path = -1, .label = -1};
	for (i = 0; next; i++) {
		next = csv_value(next, separator, &value);
		if (c->path < 0 && is_one_of(value, path_names))
			c->path = i;
		else if (c->label < 0 && is_one_of(value, class_names))
			c->label = i;
	}
	free(copy);
	*named = c->path >= 0;
	if (!*named && c->label >= 0)
		return ns_fail(NS_BAD_DATA,
			       "its first line names a class's column, but none of the file: expected one called path, file, filename, file_name, "
			       "filepath, image, image_path or img");
	c->path = *named ? c->path : 0;
	c->label = *named ? c->label : i > 1 ? 1 : -1;
	return NS_OK;
}

static enum ns_status csv_line(struct ns_files *f, char *line, int64_t number, char separator, struct columns *c)
{
	char *value, *next = line, *path = NULL, *label = NULL;
	int i, named = 0;

	if (!*line)
		return NS_OK;
	if (!c->known)
		NS_TRY(take_names(c, line, separator, &named));
	if (named)
		return NS_OK;
	for (i = 0; next; i++) {
		next = csv_value(next, separator, &value);
		path = i == c->path ? value : path;
		label = i == c->label ? value : label;
	}
	if (!path || !*path)
		return ns_fail(NS_BAD_DATA, "line %lld has %d values, but the path is value %d", (long long)number, i, c->path + 1);
	return add(f, path, label ? label : "");
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

static enum ns_status json_line(struct ns_files *f, const char *line, int64_t number)
{
	json_error_t error;
	json_t *json;
	char digits[2][32];
	const char *path, *label;
	enum ns_status status;

	if (!*line)
		return NS_OK;
	json = json_loads(line, 0, &error);
	if (!json)
		return ns_fail(NS_BAD_DATA, "line %lld is not JSON: %s", (long long)number, error.text);
	status = member(json, path_names, digits[0], &path);
	if (status == NS_OK)
		status = member(json, class_names, digits[1], &label);
	if (status != NS_OK)
		status = ns_fail_in(status, "line %lld", (long long)number);
	else
		status = path ? add(f, path, label ? label : "")
			      : ns_fail(NS_BAD_DATA, "line %lld names no file: expected \"path\" (or file, file_name, image)", (long long)number);
	json_decref(json);
	return status;
}

static enum ns_status read_lines(struct ns_source *s, struct ns_files *f, char *text)
{
	int csv = ends_in(s->path, ".csv") || ends_in(s->path, ".tsv"), json = ends_in(s->path, ".jsonl");
	char separator = ends_in(s->path, ".tsv") ? '\t' : ',', *line, *next;
	struct columns c = {0};
	int64_t number = 0;
	enum ns_status status = NS_OK;

	/* some editors begin a file with a byte order mark */
	for (line = !strncmp(text, "\xef\xbb\xbf", 3) ? text + 3 : text; line && *line && status == NS_OK; line = next) {
		next = line + strcspn(line, "\r\n"); /* lines end in LF, CR LF or CR */
		if (*next) {
			int both = *next == '\r' && next[1] == '\n';

			*next = 0;
			next += 1 + both;
		}
		number++;
		status = csv ? csv_line(f, line, number, separator, &c) : json ? json_line(f, line, number) : text_line(f, line);
	}
	return status == NS_BAD_DATA ? ns_fail_in(status, "%s", s->path) : status;
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
		status = ns_source_labels(s, names, f->tree.count, labels);
	for (i = 0; i < f->tree.count && status == NS_OK; i++)
		f->tree.entries[i].label = labels[i] == NS_LABEL_UNKNOWN && given ? ns_source_index(s, f->classes[i]) : labels[i];
	free(labels);
	return status;
}

static enum ns_status list_open(struct ns_source *s)
{
	struct ns_files *f = s->state = calloc(1, sizeof *f);
	enum ns_status status;
	char *text, *slash;
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
	if (memchr(text, 0, bytes))
		status = ns_fail(NS_BAD_DATA, "%s: byte %td is a zero, so it is not a list (or it is damaged)", s->path,
				 (char *)memchr(text, 0, bytes) - text);
	else
		status = read_lines(s, f, text);
	free(text);
	return status == NS_OK ? label_all(s, f) : status;
}

const struct ns_source_kind ns_source_list = {"list", list_takes, list_open, ns_files_get, ns_files_close, 0};
