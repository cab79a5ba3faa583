/* jobs/label/queue.c - the queue as files: for this program, for scripts, for spreadsheets, for Label Studio. */
#include "jobs/label/label_inner.h"

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
			      {"why", json_string(ns_label_why_name(r->why))},
			      {"chance", r->why == NS_LABEL_RANDOM ? json_real(q->chance) : json_null()},
			      {"predicted", q->p.pred ? ns_label_class(q, q->p.pred[r->row]) : json_null()});
}

/* --- text that grows --- */

struct text {
	char *of;
	size_t len, capacity;
};

static void add(struct text *t, const char *more, size_t n)
{
	if (t->len + n + 1 > t->capacity) {
		char *of = realloc(t->of, 2 * (t->len + n) + 256);

		if (!of) {
			free(t->of);
			t->of = NULL;
			t->capacity = t->len = 0;
			return;
		}
		t->of = of;
		t->capacity = 2 * (t->len + n) + 256;
	}
	memcpy(t->of + t->len, more, n);
	t->len += n;
	t->of[t->len] = 0;
}

/* A field of CSV, in quotes; what a spreadsheet would take for a formula stays text. */
static void add_field(struct text *t, const char *field, int last)
{
	const char *c;

	add(t, "\"", 1);
	if (*field && strchr("=+-@\t", *field))
		add(t, "'", 1);
	for (c = field; *c; c++) {
		if (*c == '"')
			add(t, "\"", 1);
		add(t, c, 1);
	}
	add(t, last ? "\"\n" : "\",", 2);
}

static enum ns_status write_text(const struct ns_label_queue *q, const char *name, struct text *t)
{
	char path[NS_PATH_MAX];
	enum ns_status status = t->of || !t->len ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %s", name);

	if (status == NS_OK)
		status = ns_path(path, "%s/%s", q->job->dir, name);
	if (status == NS_OK)
		status = ns_write_file(path, t->of ? t->of : "", t->len);
	free(t->of);
	return status;
}

static enum ns_status write_lines(const struct ns_label_queue *q, const json_t *rows)
{
	struct text lines = {NULL, 0, 0}, csv = {NULL, 0, 0};
	const json_t *row;
	size_t i;

	add(&csv, "id,label,by,file,why,chance,predicted\n", 38);
	json_array_foreach(rows, i, row) {
		char *line = json_dumps(row, JSON_COMPACT), chance[32] = "";
		double c = ns_json_number(row, "chance", -1);

		if (!line)
			return ns_fail(NS_NO_MEMORY, "out of memory for a queue");
		add(&lines, line, strlen(line));
		add(&lines, "\n", 1);
		free(line);
		if (c >= 0)
			snprintf(chance, sizeof chance, "%.9g", c);
		add_field(&csv, ns_json_text(row, "id"), 0);
		add_field(&csv, "", 0);
		add_field(&csv, "", 0);
		add_field(&csv, ns_json_text(row, "file"), 0);
		add_field(&csv, ns_json_text(row, "why"), 0);
		add_field(&csv, chance, 0);
		add_field(&csv, ns_json_text(row, "predicted"), 1);
	}
	NS_TRY(write_text(q, "queue.jsonl", &lines));
	return write_text(q, "queue.csv", &csv);
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
	status = write_lines(q, rows);
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
