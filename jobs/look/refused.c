/* jobs/look/refused.c - what ingest refused or passed over, by reason: from quarantine.jsonl and passed.jsonl beside the set. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/look/look_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reason {
	char *kind, *said, *first; /* said: by the first of this kind; first: its path */
	int64_t lines;
	int differ; /* the others say it with other numbers or names */
};

struct reasons {
	struct reason of[NS_LOOK_REASONS];
	int count;
	int64_t lines, others;
};

/* A reason without its numbers and without what is quoted in it, so that "18000 x 4 pixels" and "4 x 20000 pixels" are of a kind. */
static void kind_of(char *kind, const char *said)
{
	const char *close;

	while (*said) {
		if (*said >= '0' && *said <= '9') {
			*kind++ = '0';
			said += strspn(said, "0123456789");
		} else if (*said == '\'' && (close = strchr(said + 1, '\''))) {
			*kind++ = '\'';
			said = close + 1;
		} else {
			*kind++ = *said++;
		}
	}
	*kind = 0;
}

static enum ns_status count_line(struct reasons *r, const char *said, const char *path)
{
	char *kind = malloc(strlen(said) + 1);
	struct reason *one;
	int i;

	if (!kind)
		return ns_fail(NS_NO_MEMORY, "out of memory for a reason");
	kind_of(kind, said);
	for (i = 0; i < r->count && strcmp(r->of[i].kind, kind) != 0;)
		i++;
	one = &r->of[i < NS_LOOK_REASONS ? i : 0];
	r->lines++;
	if (i < r->count) {
		one->lines++;
		one->differ |= strcmp(one->said, said) != 0;
	} else if (i == NS_LOOK_REASONS) {
		r->others++;
	} else {
		*one = (struct reason){kind, strdup(said), strdup(path), 1, 0};
		r->count++;
		kind = NULL;
		if (!one->said || !one->first)
			return ns_fail(NS_NO_MEMORY, "out of memory for a reason");
	}
	free(kind);
	return NS_OK;
}

static enum ns_status read_lines(struct reasons *r, FILE *f, const char *path)
{
	enum ns_status status = NS_OK;
	size_t capacity = 0;
	char *line = NULL;
	int64_t number = 0;

	while (status == NS_OK && getline(&line, &capacity, f) >= 0) {
		json_t *json = json_loads(line, 0, NULL);

		number++;
		if (json_is_string(json_object_get(json, "reason")) && json_is_string(json_object_get(json, "path")))
			status = count_line(r, ns_json_text(json, "reason"), ns_json_text(json, "path"));
		else
			status = ns_fail(NS_BAD_DATA, "%s: line %lld is no JSON object with a path and a reason", path, (long long)number);
		json_decref(json);
	}
	if (status == NS_OK && ferror(f))
		status = ns_io_error(path, "read");
	free(line);
	return status;
}

static int by_lines(const void *a, const void *b)
{
	const struct reason *x = a, *y = b;

	return x->lines != y->lines ? (x->lines < y->lines) - (x->lines > y->lines) : strcmp(x->kind, y->kind);
}

static json_t *reasons_json(struct reasons *r, const char *file)
{
	json_t *list = json_array();
	int i;

	qsort(r->of, (size_t)r->count, sizeof *r->of, by_lines);
	for (i = 0; i < r->count; i++)
		json_array_append_new(list, NS_JSON_OBJECT({"reason", ns_json_string(r->of[i].said)}, {"lines", json_integer(r->of[i].lines)},
							   {"differ", json_boolean(r->of[i].differ)}, {"first", ns_json_string(r->of[i].first)}));
	return NS_JSON_OBJECT({"file", json_string(file)}, {"lines", json_integer(r->lines)}, {"reasons", list}, {"others", json_integer(r->others)});
}

static enum ns_status read_file(const char *path, const char *name, json_t **json)
{
	struct reasons *r = calloc(1, sizeof *r);
	enum ns_status status = r ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
	FILE *f = NULL;
	int fd = -1, i;

	NS_GO(status);
	NS_GO(ns_open(&fd, path, 0));
	f = fdopen(fd, "r");
	NS_GO(f ? NS_OK : ns_io_error(path, "open"));
	NS_GO(read_lines(r, f, path));
	*json = reasons_json(r, name);
out:
	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	for (i = 0; r && i < r->count; i++) {
		free(r->of[i].kind);
		free(r->of[i].said);
		free(r->of[i].first);
	}
	free(r);
	return status;
}

enum ns_status ns_look_refused(const char *path, const char *name, json_t **json)
{
	char file[NS_PATH_MAX], folder[NS_PATH_MAX], said[64];
	int is, above;

	NS_TRY(ns_is_dir(path, &is));
	if (is)
		NS_TRY(ns_path(folder, "%s", path));
	else
		NS_TRY(ns_path_parent(folder, path));
	for (above = 0; above < 2; above++) {
		snprintf(said, sizeof said, "%s%s", above ? "../" : "", name);
		NS_TRY(ns_path(file, "%s/%s", folder, said));
		NS_TRY(ns_is_file(file, &is));
		if (is)
			return read_file(file, said, json);
	}
	*json = json_null();
	return NS_OK;
}
