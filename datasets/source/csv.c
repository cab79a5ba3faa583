/*
 * datasets/source/csv.c - lists in CSV (RFC 4180) and TSV. The first line names the columns where it names one of the path, or where its values
 * are no files and the second line's are; else it is the first image: a path, and its class.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/source/list_inner.h"
#include "host/base/base.h"

enum { VALUES_MAX = 1024 };

struct record {
	char *value[VALUES_MAX];
	int count;
	int64_t line; /* where it begins */
};

struct csv {
	char *at; /* the next record, NULL at the end */
	char separator;
	int64_t line;
};

static int is_one_of(const char *text, const char *const *names)
{
	for (; *names; names++)
		if (!strcasecmp(text, *names))
			return 1;
	return 0;
}

/* The end of a value in quotes: the closing one. Quotes within are doubled, and made one here; separators and line ends are its own, and counted. */
static char *close_quotes(char *from, char *to, int64_t *lines)
{
	for (; *from && !(*from == '"' && from[1] != '"'); from++, to++) {
		*lines += *from == '\n' || (*from == '\r' && from[1] != '\n');
		from += *from == '"';
		*to = *from;
	}
	if (!*from)
		return NULL;
	*to = 0;
	return from + 1;
}

/* Ends a record at its line's end, which may be LF, CR LF or CR. */
static void next_line(struct csv *c, char *end)
{
	c->at = *end ? end + 1 + (*end == '\r' && end[1] == '\n') : NULL;
	c->at = c->at && *c->at ? c->at : NULL;
	*end = 0;
}

static enum ns_status next_record(struct csv *c, struct record *r)
{
	char stops[4] = {c->separator, '\r', '\n', 0}, *from = c->at, *end;

	r->line = c->line++;
	for (r->count = 0;;) {
		char *value = from, stop;

		while (*from == ' ' || (*from == '\t' && c->separator != '\t'))
			from++;
		if (*from == '"') {
			end = close_quotes(from + 1, value = from, &c->line);
			if (!end)
				return ns_fail(NS_BAD_DATA, "line %lld: a quote is not closed", (long long)r->line);
			from = end + strcspn(end, stops); /* nothing but blanks stands between a closing quote and the separator */
		} else {
			from += strcspn(from, stops);
		}
		if (r->count == VALUES_MAX)
			return ns_fail(NS_BAD_DATA, "line %lld: more than %d values", (long long)r->line, VALUES_MAX);
		stop = *from;
		if (stop == c->separator)
			*from++ = 0;
		else
			next_line(c, from);
		r->value[r->count++] = ns_list_trim(value);
		if (stop != c->separator)
			return NS_OK;
	}
}

/* Is there nothing in it, or a remark, which begins with # and names no file? */
static int is_blank(const struct ns_files *f, const struct record *r)
{
	return (r->count == 1 && !*r->value[0]) || (*r->value[0] == '#' && !ns_list_has(f, r->value[0]));
}

struct columns {
	int path, label;	 /* -1: none */
	char *names[VALUES_MAX]; /* of a line that names them; else none */
	int count;
};

static void find_columns(struct columns *c, const struct record *r)
{
	int i;

	c->path = c->label = -1;
	for (i = 0; i < r->count; i++)
		if (c->path < 0 && is_one_of(r->value[i], ns_list_paths))
			c->path = i;
		else if (c->label < 0 && is_one_of(r->value[i], ns_list_classes))
			c->label = i;
}

/* The first value that is a file, or -1. */
static int find_file(const struct ns_files *f, const struct record *r)
{
	int i;

	for (i = 0; i < r->count; i++)
		if (*r->value[i] && ns_list_has(f, r->value[i]))
			return i;
	return -1;
}

/* What is said of columns that could be the class and are not called so. */
static enum ns_status tell_columns(struct ns_source *s, const struct record *r)
{
	char said[1024];
	size_t n = (size_t)snprintf(said, sizeof said,
				    "no column is called label, class, category or the like, so all images are unlabelled; there are");
	int i;

	for (i = 0; i < r->count && n < sizeof said - 80; i++)
		n += (size_t)snprintf(said + n, sizeof said - n, "%s '%.60s'", i ? "," : "", r->value[i]);
	return ns_source_note(s, said);
}

/*
 * Does the first record name the columns? It does where one is called as paths are. One whose values are no files, though the second has one, does
 * so in words of its own: its path is that one's column. Of two columns the other is the class, unless it is called as texts and tags are.
 */
static enum ns_status read_head(struct ns_source *s, const struct ns_files *f, const struct record *first, const struct record *second,
				struct columns *c, int *named)
{
	/* what is said of an image in words of its own is no class of it */
	static const char *const said[] = {"text", "texts", "transcription", "transcript", "words", "caption", "captions", "tags", NULL};
	int file;

	find_columns(c, first);
	*named = c->path >= 0;
	if (!*named && find_file(f, first) < 0 && second->count == first->count && (file = find_file(f, second)) >= 0 &&
	    !ns_is_image_name(first->value[file])) { /* else it is the first image, and is not there */
		*named = 1;
		c->path = file;
	} else if (!*named && c->label >= 0 && find_file(f, first) < 0) {
		return ns_fail(NS_BAD_DATA, "its first line names a class's column, but none of the file: expected one called path, file, filename, "
					    "file_name, filepath, image, image_path or img");
	}
	if (!*named) {
		file = find_file(f, first);
		c->path = file == 1 ? 1 : 0;
		c->label = first->count > 1 ? 1 - c->path : -1;
		return NS_OK;
	}
	for (c->count = 0; c->count < first->count; c->count++)
		c->names[c->count] = first->value[c->count]; /* the text outlives the record */
	if (c->label < 0 && first->count == 2 && !is_one_of(first->value[1 - c->path], said))
		c->label = 1 - c->path;
	return c->label < 0 && first->count > 1 ? tell_columns(s, first) : NS_OK;
}

/* The other columns of a record: a value that is a number in JSON is one, an empty one is left out. */
static json_t *others(const struct record *r, const struct columns *c)
{
	json_t *object = json_object(), *value;
	int i;

	for (i = 0; i < r->count && i < c->count; i++) {
		if (i == c->path || i == c->label || !*r->value[i] || !*c->names[i])
			continue;
		value = json_loads(r->value[i], JSON_DECODE_ANY, NULL);
		if (!json_is_number(value)) {
			json_decref(value);
			value = ns_json_string(r->value[i]);
		}
		json_object_set_new(object, c->names[i], value);
	}
	return object;
}

static enum ns_status take(struct ns_files *f, const struct record *r, const struct columns *c)
{
	if (is_blank(f, r))
		return NS_OK;
	if (c->path >= r->count || !*r->value[c->path])
		return ns_fail(NS_BAD_DATA, "line %lld has %d value%s, but the path is value %d", (long long)r->line, r->count,
			       r->count == 1 ? "" : "s", c->path + 1);
	return ns_list_add(f, r->value[c->path], c->label >= 0 && c->label < r->count ? r->value[c->label] : "", others(r, c));
}

/* The separator is the one that the first line has most of: a spreadsheet of some countries writes semicolons. */
static char separator_of(const struct ns_source *s, const char *text)
{
	static const char kinds[] = ",;\t";
	size_t n = strlen(s->path), line = strcspn(text, "\r\n"), most = 0, i, k;
	char best = n > 4 && !strcasecmp(s->path + n - 4, ".tsv") ? '\t' : ',';

	for (k = 0; best == ',' && kinds[k]; k++) {
		size_t count = 0;
		int quoted = 0;

		for (i = 0; i < line; i++) {
			quoted ^= text[i] == '"';
			count += !quoted && text[i] == kinds[k];
		}
		if (count > most) {
			most = count;
			best = k ? kinds[k] : ',';
		}
		if (k == 0 && most)
			break; /* commas decide wherever there are any */
	}
	return best;
}

enum ns_status ns_csv_read(struct ns_source *s, struct ns_files *f, char *text)
{
	struct csv csv = {*text ? text : NULL, separator_of(s, text), 1};
	struct record *two = calloc(2, sizeof *two);
	struct columns *c = calloc(1, sizeof *c);
	enum ns_status status = two && c ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a line");
	int named;

	while (status == NS_OK && csv.at && (!two[0].count || is_blank(f, &two[0])))
		status = next_record(&csv, &two[0]);
	while (status == NS_OK && csv.at && (!two[1].count || is_blank(f, &two[1])))
		status = next_record(&csv, &two[1]);
	if (status != NS_OK || !two[0].count)
		goto out;
	NS_GO(read_head(s, f, &two[0], &two[1], c, &named));
	if (!named)
		NS_GO(take(f, &two[0], c));
	if (two[1].count)
		NS_GO(take(f, &two[1], c));
	while (csv.at) {
		NS_GO(next_record(&csv, &two[0]));
		NS_GO(take(f, &two[0], c));
	}
out:
	free(two);
	free(c);
	return status;
}
