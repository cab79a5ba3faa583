/* jobs/label/queue.c - the queue as files: for this program, for scripts, for spreadsheets, for Label Studio. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/label/label_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ns_label_source(const struct ns_label_queue *q, int64_t row, char *text, size_t size)
{
	int64_t at;
	const struct ns_shard *s = ns_dataset_at(q->data, row, &at);
	size_t n = 0;
	const char *name = s ? ns_shard_source(s, at, &n) : NULL;

	snprintf(text, size, "%.*s", name ? (int)n : 0, name ? name : "");
}

json_t *ns_label_class(const struct ns_label_queue *q, int32_t k)
{
	return k >= 0 && q->p.names && k < q->p.class_names ? ns_json_string(q->p.names[k]) : json_null();
}

static json_t *row_json(const struct ns_label_queue *q, const struct ns_queue_row *r)
{
	char id[24], source[1024];

	snprintf(id, sizeof id, "%016llx", (unsigned long long)q->p.id[r->row]);
	ns_label_source(q, r->row, source, sizeof source);
	return NS_JSON_OBJECT({"id", json_string(id)}, {"row", json_integer((json_int_t)r->row)}, {"file", ns_json_string(source)},
			      {"why", json_string(ns_label_why_name(r->why))}, {"chance", ns_json_real(r->chance)},
			      {"predicted", q->p.pred ? ns_label_class(q, q->p.pred[r->row]) : json_null()});
}

/* --- lists, a line each --- */

/* A field of CSV, in quotes; what a spreadsheet would take for a formula stays text. */
static void add_field(FILE *to, const char *field, int last)
{
	const char *c;

	fputc('"', to);
	if (*field && strchr("=+-@\t", *field))
		fputc('\'', to);
	for (c = field; *c; c++) {
		if (*c == '"')
			fputc('"', to);
		fputc(*c, to);
	}
	fputs(last ? "\"\n" : "\",", to);
}

static void json_row(FILE *to, const json_t *row)
{
	(void)json_dumpf(row, to, JSON_COMPACT);
	fputc('\n', to);
}

static void csv_row(FILE *to, const json_t *row)
{
	double chance = ns_json_number(row, "chance", -1);
	char text[32] = "";

	if (chance >= 0)
		snprintf(text, sizeof text, "%.9g", chance);
	add_field(to, ns_json_text(row, "id"), 0);
	add_field(to, "", 0);
	add_field(to, "", 0);
	add_field(to, ns_json_text(row, "file"), 0);
	add_field(to, ns_json_text(row, "why"), 0);
	add_field(to, text, 0);
	add_field(to, ns_json_text(row, "predicted"), 1);
}

static enum ns_status write_list(const struct ns_label_queue *q, const char *name, const char *head, void (*one)(FILE *, const json_t *),
				 const json_t *rows)
{
	char path[NS_PATH_MAX], *text = NULL;
	size_t bytes = 0, i;
	FILE *to = open_memstream(&text, &bytes);
	const json_t *row;
	enum ns_status status;
	int fine;

	if (!to)
		return ns_fail(NS_NO_MEMORY, "out of memory for %s", name);
	fputs(head, to);
	json_array_foreach(rows, i, row)
		one(to, row);
	fine = !ferror(to);
	fine = !fclose(to) && fine;
	status = fine ? ns_path(path, "%s/%s", q->job->dir, name) : ns_fail(NS_NO_MEMORY, "out of memory for %s", name);
	if (status == NS_OK)
		status = ns_write_file(path, text, bytes);
	free(text);
	return status;
}

/* Tasks as Label Studio imports them; a site serves the files, so that `image` is their name. */
static enum ns_status write_label_studio(const struct ns_label_queue *q, const json_t *rows)
{
	char path[NS_PATH_MAX];
	json_t *tasks = json_array();
	const json_t *row;
	enum ns_status status;
	size_t i;

	json_array_foreach(rows, i, row)
		json_array_append_new(tasks, json_pack("{s:{s:O, s:O, s:O}}", "data", "nightshift_id", json_object_get(row, "id"), "image",
						       json_object_get(row, "file"), "why", json_object_get(row, "why")));
	status = ns_path(path, "%s/label-studio.json", q->job->dir);
	if (status == NS_OK)
		status = ns_json_write(path, tasks);
	json_decref(tasks);
	return status;
}

enum ns_status ns_label_write(const struct ns_label_queue *q)
{
	char path[NS_PATH_MAX];
	json_t *rows = json_array(), *classes = json_array(), *all;
	enum ns_status status;
	int64_t i;
	int k;

	for (i = 0; i < q->count; i++)
		json_array_append_new(rows, row_json(q, &q->rows[i]));
	for (k = 0; k < q->p.class_names; k++)
		json_array_append_new(classes, ns_json_string(q->p.names[k]));
	status = write_list(q, "queue.jsonl", "", json_row, rows);
	if (status == NS_OK)
		status = write_list(q, "queue.csv", "id,label,by,file,why,chance,predicted\n", csv_row, rows);
	if (status == NS_OK)
		status = write_label_studio(q, rows);
	all = NS_JSON_OBJECT({"schema", json_string(NS_QUEUE_SCHEMA)}, {"dataset", json_string(q->data->digest)},
			     {"predictions", json_string(q->p.digest)}, {"model", json_string(q->p.model)},
			     {"candidates", json_integer((json_int_t)q->candidates)}, {"chance", json_real(q->chance)}, {"classes", classes},
			     {"rows", rows});
	if (status == NS_OK)
		status = all ? ns_path(path, "%s/queue.json", q->job->dir) : ns_fail(NS_INTERNAL, "queue.json cannot be made");
	if (status == NS_OK)
		status = ns_json_write(path, all);
	json_decref(all);
	return status;
}
