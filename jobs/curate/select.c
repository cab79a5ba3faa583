/*
 * jobs/curate/select.c - the query of a manifest, which selects a retraining's rows: run when the manifest is written and again before it is executed.
 */
#include "jobs/curate/curate.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

static const char rule[] = "replay: first rows of the keyed permutation of dataset 0 that share no identity with the gate's half of dataset 1; "
			   "audited: labelled rows of dataset 1 that are not the gate's half; to_label: its other rows, less any that share an "
			   "identity with the gate's";
/* a manifest that was written under it is executed under it */
static const char former_rule[] = "replay: first rows of the keyed permutation of dataset 0; audited: labelled rows of dataset 1 that are not the "
				  "gate's half; to_label: its other rows, less any that share an identity with the gate's";

static json_t *plain_json(const struct ns_query *q)
{
	return json_pack("{s:I, s:I, s:I, s:s}", "seed", (json_int_t)q->seed, "replay", (json_int_t)q->replay, "audited_repeat",
			 (json_int_t)q->audited_repeat, "rule", q->former ? former_rule : rule);
}

json_t *ns_query_json(const struct ns_query *q)
{
	json_t *json = plain_json(q);

	if (json && *q->labels)
		json_object_set_new(json, "labels", json_string(q->labels));
	return json;
}

enum ns_status ns_query_read(struct ns_query *q, const json_t *json, const char *path)
{
	const json_t *seed = json_object_get(json, "seed"), *replay = json_object_get(json, "replay"),
		     *repeat = json_object_get(json, "audited_repeat");

	if (!json_is_integer(seed) || !json_is_integer(replay) || !json_is_integer(repeat) || json_integer_value(seed) < 0 ||
	    json_integer_value(replay) < 0 || json_integer_value(repeat) < 1 || json_integer_value(repeat) > 64)
		return ns_fail(NS_BAD_DATA, "%s: data.query: expected whole numbers: seed and replay of at least 0, audited_repeat of 1 to 64", path);
	if (strcmp(ns_json_text(json, "rule"), rule) && strcmp(ns_json_text(json, "rule"), former_rule))
		return ns_fail(NS_BAD_DATA, "%s: data.query.rule: unknown to this version; run drift again for a new manifest", path);
	*q = (struct ns_query){.seed = (uint64_t)json_integer_value(seed),
			       .replay = json_integer_value(replay),
			       .audited_repeat = json_integer_value(repeat),
			       .former = !strcmp(ns_json_text(json, "rule"), former_rule)};
	if (*ns_json_text(json, "labels") && !ns_is_sha256(ns_json_text(json, "labels")))
		return ns_fail(NS_BAD_DATA, "%s: data.query.labels: expected a digest", path);
	snprintf(q->labels, sizeof q->labels, "%s", ns_json_text(json, "labels"));
	return NS_OK;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void selection_put(struct ns_selection *s, uint32_t set, int64_t row, uint64_t id, int32_t label, uint8_t source, uint32_t repeat)
{
	int64_t i = s->rows++;

	s->set[i] = set;
	s->row[i] = (uint64_t)row;
	s->id[i] = id;
	s->label[i] = label;
	s->source[i] = source;
	s->repeat[i] = repeat;
}

/* ids and labels of the window's rows, and which of them the gate will use */
struct window {
	uint64_t *id, *gate_ids;
	int32_t *label;
	uint8_t *gate;
	int64_t gates;
};

static void window_release(struct window *w)
{
	free(w->id);
	free(w->gate_ids);
	free(w->label);
	free(w->gate);
}

/* The class that people agree on for an image, and whether it was drawn to measure; -1: none of this set's. */
static int32_t said(const struct ns_query *q, const struct ns_dataset *current, uint64_t id, int *measures)
{
	const struct ns_shard_head *head = ns_dataset_head(current);
	int disputed, k;
	const char *label = q->people ? ns_labels_of(q->people, id, &disputed, measures) : NULL;

	for (k = 0; label && k < head->class_count; k++)
		if (!strcmp(head->classes[k], label))
			return k;
	return -1;
}

/* The gate's half is one of the labels that measure, as drift and evaluate know them; those that teach are for the training alone. */
static enum ns_status look(struct window *w, const struct ns_dataset *current, const struct ns_query *q)
{
	int64_t n = current->rows, i;
	int32_t people;
	int measures;

	*w = (struct window){malloc(sizeof *w->id * (size_t)(n + 1)), malloc(sizeof *w->gate_ids * (size_t)(n + 1)),
			     malloc(sizeof *w->label * (size_t)(n + 1)), NULL, 0};
	for (i = 0; w->id && w->label && i < n; i++) {
		w->id[i] = ns_dataset_id(current, i);
		w->label[i] = ns_dataset_label(current, i);
		people = w->label[i] < 0 ? said(q, current, w->id[i], &measures) : -1;
		w->label[i] = people >= 0 && measures ? people : w->label[i];
	}
	w->gate = w->id && w->label && w->gate_ids ? ns_gate_rows(w->id, w->label, n, q->seed) : NULL;
	if (!w->gate)
		return ns_fail(NS_NO_MEMORY, "out of memory for a selection from %lld rows", (long long)n);
	for (i = 0; i < n; i++)
		if (w->gate[i])
			w->gate_ids[w->gates++] = w->id[i];
	for (i = 0; i < n; i++)
		w->label[i] = w->label[i] < 0 ? said(q, current, w->id[i], &measures) : w->label[i];
	qsort(w->gate_ids, (size_t)w->gates, sizeof *w->gate_ids, by_id);
	return NS_OK;
}

/* is it an image that the gate will judge by? To train on it would be to know the answer */
static int is_gates(const struct window *w, uint64_t id)
{
	return bsearch(&id, w->gate_ids, (size_t)w->gates, sizeof *w->gate_ids, by_id) != NULL;
}

enum ns_status ns_query_run(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *current, struct ns_selection *s,
			    struct ns_selected *count)
{
	int64_t want = q->replay < replay->rows ? q->replay : replay->rows, i;
	struct window w;
	enum ns_status status = look(&w, current, q);

	memset(count, 0, sizeof *count);
	if (status == NS_OK)
		status = ns_selection_alloc(s, want + current->rows);
	if (status != NS_OK)
		goto out;
	s->rows = 0;
	for (i = 0; i < replay->rows && count->replayed < want; i++) {
		int64_t row = (int64_t)ns_permute((uint64_t)i, (uint64_t)replay->rows, q->seed, NS_FOR_SPLIT, 1);

		if (!q->former && is_gates(&w, ns_dataset_id(replay, row)))
			continue;
		selection_put(s, 0, row, ns_dataset_id(replay, row), ns_dataset_label(replay, row), NS_LABEL_HUMAN, 1);
		count->replayed++;
	}
	for (i = 0; i < current->rows; i++) {
		if (w.gate[i] || is_gates(&w, w.id[i])) {
			count->excluded++;
		} else if (w.label[i] >= 0) {
			selection_put(s, 1, i, w.id[i], w.label[i], NS_LABEL_HUMAN, (uint32_t)q->audited_repeat);
			count->audited++;
		} else {
			selection_put(s, 1, i, w.id[i], -1, NS_LABEL_MODEL, 1);
			count->pool++;
		}
	}
out:
	window_release(&w);
	return status;
}

/* Index of the first row in which two selections differ; -1: none. */
static int64_t first_difference(const struct ns_selection *a, const struct ns_selection *b)
{
	int64_t i, n = a->rows < b->rows ? a->rows : b->rows;

	for (i = 0; i < n; i++)
		if (a->set[i] != b->set[i] || a->row[i] != b->row[i] || a->id[i] != b->id[i] || a->label[i] != b->label[i] ||
		    a->source[i] != b->source[i] || a->repeat[i] != b->repeat[i])
			return i;
	return a->rows == b->rows ? -1 : n;
}

enum ns_status ns_query_check(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *current,
			      const struct ns_selection *s)
{
	struct ns_selection again = {0};
	struct ns_selected count;
	enum ns_status status = ns_query_run(q, replay, current, &again, &count);
	int64_t at = status == NS_OK ? first_difference(s, &again) : -1;

	if (at >= 0)
		status = ns_fail(NS_DIGEST, "selection.h5: row %lld of %lld is not what data.query selects, which selects %lld rows", (long long)at,
				 (long long)s->rows, (long long)again.rows);
	ns_selection_release(&again);
	return status;
}
