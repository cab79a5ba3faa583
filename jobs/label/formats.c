/* jobs/label/formats.c - answers as people and programs write them: JSON lines, CSV, Label Studio's export. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/label/label_inner.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void ns_given_release(struct ns_given_list *l)
{
	int64_t i;

	for (i = 0; i < l->count; i++) {
		free(l->of[i].label);
		free(l->of[i].by);
		free(l->of[i].when);
	}
	free(l->of);
	memset(l, 0, sizeof *l);
}

static enum ns_status give(struct ns_given_list *l, const char *path, int64_t line, const char *id, const char *label, const char *by,
			   const char *when)
{
	struct ns_given *g;

	if (strlen(id) != 16 || strspn(id, "0123456789abcdefABCDEF") != 16)
		return ns_fail(NS_BAD_DATA, "%s: line %lld: id is '%.40s', expected 16 hexadecimal digits", path, (long long)line, id);
	if (l->count == l->capacity) {
		int64_t capacity = l->capacity ? 2 * l->capacity : 256;
		struct ns_given *more = realloc(l->of, sizeof *more * (size_t)capacity);

		if (!more)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for its answers", path);
		l->of = more;
		l->capacity = capacity;
	}
	g = &l->of[l->count++];
	*g = (struct ns_given){strtoull(id, NULL, 16), strdup(label), strdup(by), strdup(when), line, path};
	return g->label && g->by && g->when ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its answers", path);
}

/* --- JSON lines: {"id": .., "label": .., "by": .., "time": ..}; a label of null is passed over --- */

static int is_text(const json_t *one, const char *key)
{
	const json_t *value = json_object_get(one, key);

	return !value || json_is_null(value) || json_is_string(value);
}

static enum ns_status json_lines(struct ns_given_list *l, const char *path, const char *text, size_t bytes, int64_t skipped, const char *by)
{
	size_t at = 0, end;
	int64_t line = skipped;

	for (; at < bytes; at = end + 1) {
		const char *stop = memchr(text + at, '\n', bytes - at);
		json_error_t error;
		json_t *one;
		enum ns_status status;

		end = stop ? (size_t)(stop - text) : bytes;
		line++;
		if (strspn(text + at, " \t\r\n") >= end - at) /* an empty line; the text ends with a zero */
			continue;
		one = json_loadb(text + at, end - at, 0, &error);
		if (!json_is_object(one)) {
			json_decref(one);
			return ns_fail(NS_BAD_DATA, "%s: line %lld is no JSON object%s: %s", path, (long long)line, stop ? "" : ", and does not end",
				       error.text);
		}
		if (!json_object_get(one, "label"))
			status = ns_fail(NS_BAD_DATA, "%s: line %lld has no label", path, (long long)line);
		else if (!is_text(one, "label") || !is_text(one, "by"))
			status = ns_fail(NS_BAD_DATA, "%s: line %lld: label and by are texts, or null", path, (long long)line);
		else if (*ns_json_text(one, "queue") && strcmp(ns_json_text(one, "queue"), l->queue))
			status =
				ns_fail(NS_BAD_DATA, "%s: line %lld answers another queue, %.12s", path, (long long)line, ns_json_text(one, "queue"));
		else
			status = give(l, path, line, ns_json_text(one, "id"), ns_json_text(one, "label"),
				      *ns_json_text(one, "by") ? ns_json_text(one, "by") : by, ns_json_text(one, "time"));
		json_decref(one);
		NS_TRY(status);
	}
	return NS_OK;
}

/* --- CSV with a header that has id and label, perhaps by; an empty label is passed over --- */

#define FIELDS 64

struct csv {
	const char *path;
	char *at, *end;
	int64_t line;
	char *field[FIELDS];
	int fields;
};

/* The next row, its fields unquoted in place. Returns 0 at the end. */
static enum ns_status next_row(struct csv *c, int *more)
{
	char *to;

	c->fields = 0;
	*more = c->at < c->end;
	if (!*more)
		return NS_OK;
	c->line++;
	for (;;) {
		int quoted = *c->at == '"', stop;

		if (c->fields == FIELDS)
			return ns_fail(NS_BAD_DATA, "%s: line %lld has more than %d fields", c->path, (long long)c->line, FIELDS);
		c->at += quoted;
		c->field[c->fields++] = to = c->at;
		while (c->at < c->end && (quoted ? *c->at != '"' || c->at[1] == '"' : *c->at != ',' && *c->at != '\n')) {
			c->at += quoted && *c->at == '"';
			*to++ = *c->at++;
		}
		if (quoted && c->at >= c->end)
			return ns_fail(NS_BAD_DATA, "%s: line %lld: its quotes do not end", c->path, (long long)c->line);
		c->at += quoted;
		while (c->at < c->end && *c->at == '\r')
			c->at++;
		if (c->at < c->end && *c->at != ',' && *c->at != '\n')
			return ns_fail(NS_BAD_DATA, "%s: line %lld: a field goes on after its quotes", c->path, (long long)c->line);
		stop = c->at >= c->end || *c->at == '\n';
		c->at += c->at < c->end;
		while (!quoted && to > c->field[c->fields - 1] && to[-1] == '\r')
			to--;
		*to = 0;
		if (stop)
			return NS_OK;
	}
}

static enum ns_status csv_rows(struct ns_given_list *l, const char *path, char *text, size_t bytes, int64_t skipped, const char *by)
{
	struct csv c = {.path = path, .at = text, .end = text + bytes, .line = skipped};
	int id = -1, label = -1, who = -1, more, i, columns;

	NS_TRY(next_row(&c, &more));
	columns = c.fields;
	for (i = 0; i < c.fields; i++) {
		if ((!strcmp(c.field[i], "id") && id >= 0) || (!strcmp(c.field[i], "label") && label >= 0))
			return ns_fail(NS_BAD_DATA, "%s: its first line names the column %s twice", path, c.field[i]);
		id = !strcmp(c.field[i], "id") ? i : id;
		label = !strcmp(c.field[i], "label") ? i : label;
		who = !strcmp(c.field[i], "by") ? i : who;
	}
	if (id < 0 || label < 0)
		return ns_fail(NS_BAD_DATA, "%s: its first line names no column %s", path, id < 0 ? "id" : "label");
	for (;;) {
		NS_TRY(next_row(&c, &more));
		if (!more)
			return NS_OK;
		if (c.fields == 1 && !*c.field[0])
			continue;
		if (c.fields != columns)
			return ns_fail(NS_BAD_DATA, "%s: line %lld has %d fields, its first line has %d", path, (long long)c.line, c.fields, columns);
		NS_TRY(give(l, path, c.line, c.field[id], c.field[label], who >= 0 && *c.field[who] ? c.field[who] : by, ""));
	}
}

/* --- Label Studio's export: a list of tasks, each with annotations, whose results are choices --- */

static const char *choice_of(const json_t *annotation)
{
	const json_t *result, *choices;
	size_t i;

	json_array_foreach(json_object_get(annotation, "result"), i, result) {
		choices = json_object_get(json_object_get(result, "value"), "choices");
		if (json_array_size(choices) == 1)
			return json_string_value(json_array_get(choices, 0));
	}
	return NULL;
}

/* who: a user's address, or his number */
static void annotator(const json_t *annotation, const char *by, char *who, size_t size)
{
	const json_t *of = json_object_get(annotation, "completed_by");

	if (json_is_integer(of))
		snprintf(who, size, "user %lld", (long long)json_integer_value(of));
	else if (json_is_integer(json_object_get(of, "id")) && !*ns_json_text(of, "email"))
		snprintf(who, size, "user %lld", (long long)json_integer_value(json_object_get(of, "id")));
	else if (*ns_json_text(of, "email"))
		snprintf(who, size, "%s", ns_json_text(of, "email"));
	else
		snprintf(who, size, "%s", by);
}

static enum ns_status label_studio(struct ns_given_list *l, const char *path, const json_t *tasks, const char *by)
{
	const json_t *task, *annotation;
	size_t i, j;

	json_array_foreach(tasks, i, task) {
		const char *id = ns_json_text(json_object_get(task, "data"), "nightshift_id");

		if (!*id)
			return ns_fail(NS_BAD_DATA, "%s: task %zu has no data.nightshift_id: is it of a queue of ours?", path, i + 1);
		json_array_foreach(json_object_get(task, "annotations"), j, annotation) {
			const char *label = choice_of(annotation);
			char who[128];

			annotator(annotation, by, who, sizeof who);
			if (!label && !json_is_true(json_object_get(annotation, "was_cancelled")))
				return ns_fail(NS_BAD_DATA, "%s: task %zu: an annotation has no result with one choice", path, i + 1);
			NS_TRY(give(l, path, (int64_t)i + 1, id, label ? label : "", who, ns_json_text(annotation, "created_at")));
		}
	}
	return NS_OK;
}

enum ns_status ns_given_read(struct ns_given_list *l, const char *path, const char *by)
{
	char *text;
	size_t bytes, at;
	json_t *tasks;
	json_error_t error;
	int64_t skipped = 0;
	enum ns_status status;

	NS_TRY(ns_read_file(path, &text, &bytes));
	at = bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
	for (; at < bytes && isspace((unsigned char)text[at]); at++)
		skipped += text[at] == '\n';
	if (memchr(text, 0, bytes)) {
		free(text);
		return ns_fail(NS_BAD_DATA, "%s: has bytes of zero: it is no text", path);
	}
	if (at < bytes && text[at] == '[') {
		tasks = json_loadb(text + at, bytes - at, 0, &error);
		status = json_is_array(tasks) ? label_studio(l, path, tasks, by)
					      : ns_fail(NS_BAD_DATA, "%s: line %d: %s", path, error.line, error.text);
		json_decref(tasks);
	} else if (at < bytes && text[at] == '{') {
		status = json_lines(l, path, text + at, bytes - at, skipped, by);
	} else {
		status = csv_rows(l, path, text + at, bytes - at, skipped, by);
	}
	free(text);
	return status;
}
