/* jobs/task/part.c - writes what one task of an array publishes, and the indexes over the parts of all tasks. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/task/task.h"

#include <stdlib.h>
#include <string.h>

/* --- a part, as its task writes it --- */

/* Digest of what all parts must agree on: the configuration without the keys that say where and how a part is computed. */
static void digest_of(const struct ns_job *job, char digest[NS_SHA256_HEX])
{
	static const char *const free_to_differ[] = {"out", "part", "force", "json", "threads", "dry_run", "comm.timeout", NULL};
	json_t *all = ns_conf_nondefault(job->conf, free_to_differ), *value;
	const char *key;

	json_object_foreach(job->conf->values, key, value) /* the same work alone or as a step of a night */
		if (!strncmp(key, "night.", 6))
			json_object_del(all, key);
	json_object_set_new(all, "verb", json_string(job->verb));
	ns_json_digest(digest, all);
	json_decref(all);
}

static enum ns_status write_part(struct ns_job *job, json_t *index, json_t *files)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	json_t *json = NULL, *file;
	enum ns_status status;
	size_t i;

	json_array_foreach(files, i, file) {
		NS_GO(ns_path(path, "%s/%s", job->dir, ns_json_text(file, "file")));
		NS_GO(ns_sha256_file(hex, path));
		json_object_set_new(file, "sha256", json_string(hex));
	}
	digest_of(job, hex);
	json = json_pack("{s:s, s:s, s:i, s:i, s:s, s:O, s:O}", "schema", "nightshift.part/1", "verb", job->verb, "part", job->part, "parts",
			 job->parts, "of", hex, "index", index, "files", files);
	NS_GO(ns_path(path, "%s/part.json", job->dir));
	status = json ? ns_json_write(path, json) : ns_fail(NS_INTERNAL, "%s: cannot be written as JSON", path);
out:
	json_decref(json);
	return status;
}

enum ns_status ns_part_write(struct ns_job *job, json_t *index, json_t *files)
{
	enum ns_status status = ns_job_agree(job, job->comm->rank == 0 ? write_part(job, index, files) : NS_OK);

	json_decref(index);
	json_decref(files);
	return status;
}

/* --- quarantine --- */

static int by_item(const void *a, const void *b)
{
	const char *x = strstr(*(char *const *)a, "\"item\":"), *y = strstr(*(char *const *)b, "\"item\":");
	long long i = x ? atoll(x + 7) : 0, j = y ? atoll(y + 7) : 0;

	return (i > j) - (i < j);
}

struct lines {
	char **line;
	size_t count, capacity;
};

static enum ns_status add_lines(struct lines *l, const char *path)
{
	char *text, *at, *rest = NULL;
	enum ns_status status = NS_OK;
	size_t bytes;

	NS_TRY(ns_read_file(path, &text, &bytes));
	for (at = strtok_r(text, "\n", &rest); at && status == NS_OK; at = strtok_r(NULL, "\n", &rest)) {
		if (l->count == l->capacity) {
			char **more = realloc(l->line, (2 * l->capacity + 64) * sizeof *more);

			if (more)
				l->line = more;
			l->capacity = more ? 2 * l->capacity + 64 : l->capacity;
		}
		if (l->count == l->capacity || !(l->line[l->count] = strdup(at)))
			status = ns_fail(NS_NO_MEMORY, "%s: out of memory for its lines", path);
		else
			l->count++;
	}
	free(text);
	return status;
}

enum ns_status ns_quarantine_join(struct ns_job *job, const json_t *files)
{
	char path[NS_PATH_MAX], *all = NULL;
	struct lines l = {0};
	enum ns_status status;
	json_t *file;
	size_t i, bytes = 0;

	json_array_foreach(files, i, file)
		NS_GO(add_lines(&l, json_string_value(file)));
	if (l.count)
		qsort(l.line, l.count, sizeof *l.line, by_item);
	NS_GO(ns_path(path, "%s/quarantine.jsonl", job->dir));
	for (i = 0; i < l.count; i++)
		bytes += strlen(l.line[i]) + 1;
	NS_GO((all = malloc(bytes + 1)) ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu lines", path, l.count));
	for (bytes = 0, i = 0; i < l.count; i++)
		bytes += (size_t)sprintf(all + bytes, "%s\n", l.line[i]);
	status = ns_write_file(path, all, bytes);
out:
	for (i = 0; i < l.count; i++)
		free(l.line[i]);
	free(l.line);
	free(all);
	return status;
}

/* --- predictions --- */

enum ns_status ns_predictions_index(const char *dir, const char *model, const char *dataset, json_t *files, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX];
	json_int_t rows = 0;
	json_t *json, *file;
	enum ns_status status;
	size_t i;

	json_array_foreach(files, i, file)
		rows += json_integer_value(json_object_get(file, "rows"));
	ns_json_digest(digest, files);
	json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:O}", "schema", "nightshift.predictions/1", "model", model, "dataset", dataset, "digest", digest,
			 "rows", rows, "files", files);
	status = ns_path(path, "%s/predictions.json", dir);
	if (status == NS_OK)
		status = json ? ns_json_write(path, json) : ns_fail(NS_INTERNAL, "%s: cannot be written as JSON", path);
	json_decref(json);
	return status;
}
