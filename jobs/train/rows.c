/* jobs/train/rows.c - rows that a training can learn from, whatever its task. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "jobs/answer/answer.h"
#include "jobs/infer/infer.h"
#include "jobs/train/train_inner.h"

static const struct {
	enum ns_task task;
	const char *member; /* of an annotation */
	json_type type;
} rows[] = {{NS_TASK_TAGS, "tags", JSON_ARRAY},
	    {NS_TASK_REGRESS, "values", JSON_OBJECT},
	    {NS_TASK_SEGMENT, "objects", JSON_ARRAY},
	    {NS_TASK_READ, "text", JSON_STRING}};

static int row_of(enum ns_task task)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].task == task)
			return (int)i;
	return -1;
}

const char *ns_train_member(const struct ns_conf *conf, enum ns_task task)
{
	const char *given = ns_conf_text(conf, "train.truth");

	return row_of(task) < 0 ? NULL : given ? given : rows[row_of(task)].member;
}

/* Those with a class; every class must have some. */
static enum ns_status rows_with_class(struct ns_view *view, struct ns_dataset **data)
{
	const struct ns_shard_head *h = ns_dataset_head(*data);
	int64_t i, n = 0, *count = calloc((size_t)h->class_count + 1, sizeof *count);
	enum ns_status status = NS_OK;
	int k;

	if (!h->class_count) {
		free(count);
		return ns_fail(NS_BAD_DATA,
			       "%s: names no classes, so there is nothing to learn; ingest it with class folders, --like or ingest.classes",
			       (*data)->path);
	}
	*view = (struct ns_view){.sets = data, .set_count = 1, .rows = (*data)->rows};
	for (i = 0; count && i < view->rows; i++) {
		int32_t label = ns_dataset_label(*data, i);

		if (label >= 0) {
			count[label]++;
			n++;
		}
	}
	if (!count)
		status = ns_fail(NS_NO_MEMORY, "out of memory for counting classes");
	for (k = 0; status == NS_OK && k < h->class_count; k++)
		if (!count[k])
			status = ns_fail(NS_BAD_DATA, "%s: class %d ('%s') has no image", (*data)->path, k, h->classes[k]);
	free(count);
	if (status != NS_OK || n == view->rows)
		return status;
	view->picks = malloc(sizeof *view->picks * (size_t)n);
	if (!view->picks)
		return ns_fail(NS_NO_MEMORY, "out of memory for a view of %lld rows", (long long)n);
	for (n = 0, i = 0; i < view->rows; i++)
		if (ns_dataset_label(*data, i) >= 0)
			view->picks[n++] = (struct ns_pick){i, ns_dataset_label(*data, i), 0, 0};
	view->rows = n;
	return NS_OK;
}

enum ns_status ns_train_task(const struct ns_conf *conf, const struct ns_model *old, enum ns_task *task)
{
	const char *word = ns_conf_text(conf, "model.task");
	int found = ns_task_find(word);

	if (found < 0 || (found != NS_TASK_CLASSIFY && row_of((enum ns_task)found) < 0))
		return ns_fail(NS_CONFIG, "model.task = '%s', expected classify, tags, regress, segment or read", word);
	if (old->facts && ns_conf_given(conf, "model.task") && (enum ns_task)found != old->net.arch.task)
		return ns_fail(NS_CONFIG, "model.task = '%s', but the model that goes on has the task %s", word, ns_task_name(old->net.arch.task));
	*task = old->facts ? old->net.arch.task : (enum ns_task)found;
	return NS_OK;
}

/* --- names of a new network --- */

/* Each symbol of a text in UTF-8. */
static void add_symbols(json_t *set, const char *text)
{
	char symbol[8];
	size_t n;

	for (; *text; text += n) {
		for (n = 1; ((unsigned char)text[n] & 0xc0) == 0x80 && n < 4; n++)
			;
		memcpy(symbol, text, n);
		symbol[n] = 0;
		json_object_set_new(set, symbol, json_true());
	}
}

static void add_names(json_t *set, json_t *said)
{
	const char *key;
	json_t *one;
	size_t i;

	json_array_foreach(said, i, one) {
		const char *name = json_is_object(one) ? ns_json_text(one, "category") : json_string_value(one);

		if (name && *name)
			json_object_set_new(set, name, json_true());
	}
	if (json_is_object(said))
		json_object_foreach(said, key, one)
			if (json_is_number(one))
				json_object_set_new(set, key, json_true());
	if (json_is_string(said))
		add_symbols(set, json_string_value(said));
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, but for the background of pixels, which is first. */
static enum ns_status list_names(json_t *set, enum ns_task task, char ***names, int *n)
{
	size_t count = json_object_size(set);
	const char *key;
	json_t *one;
	int first = 0;

	*n = 0;
	*names = calloc(count + 2, sizeof **names);
	if (!*names)
		return ns_fail(NS_NO_MEMORY, "out of memory for %zu names", count);
	if (task == NS_TASK_SEGMENT) {
		(*names)[(*n)++] = strdup("background");
		json_object_del(set, "background");
		first = 1;
	}
	json_object_foreach(set, key, one)
		(*names)[(*n)++] = strdup(key);
	for (size_t i = 0; i < (size_t)*n; i++)
		if (!(*names)[i])
			return ns_fail(NS_NO_MEMORY, "out of memory for %zu names", count);
	qsort(*names + first, (size_t)(*n - first), sizeof **names, by_bytes);
	return NS_OK;
}

enum ns_status ns_train_names(struct ns_job *job, enum ns_task task, const struct ns_view *view, char ***names, int *n)
{
	json_t *set = json_object(), *said;
	struct ns_pick pick;
	int k = row_of(task);
	enum ns_status status = k < 0 ? ns_fail(NS_INTERNAL, "names of the task %s are asked for", ns_task_name(task)) : NS_OK;
	int64_t i;

	for (i = 0; status == NS_OK && i < view->rows; i++) {
		ns_view_get(view, i, &pick);
		status = ns_row_said(view->sets[pick.set], pick.row, ns_train_member(job->conf, task), rows[k].type, &said);
		if (status == NS_OK)
			add_names(set, said);
		json_decref(said);
	}
	if (status == NS_OK)
		status = list_names(set, task, names, n);
	if (status == NS_OK && *n < (task == NS_TASK_SEGMENT ? 2 : 1))
		status = ns_fail(NS_BAD_DATA, "%s: its annotations name nothing that could be learned", view->sets[0]->path);
	json_decref(set);
	return status;
}

/* --- rows --- */

/* Names in what is said of a row that the model does not have: it can't learn them. */
static int64_t strangers(const struct ns_model *m, const json_t *said)
{
	const char *key;
	json_t *one;
	int64_t n = 0;
	size_t i;

	if (json_is_string(said))
		return ns_said_symbols(m->classes, m->class_count, 0, json_string_value(said), NULL, 0) < 0;
	json_array_foreach(said, i, one) {
		const char *name = json_is_object(one) ? ns_json_text(one, "category") : json_string_value(one);

		n += ns_said_class(m->classes, m->class_count, name) < 0;
	}
	if (json_is_object(said))
		json_object_foreach((json_t *)(uintptr_t)said, key, one)
			n += ns_said_class(m->classes, m->class_count, key) < 0;
	return n;
}

/* Those of which an annotation has the member. */
static enum ns_status rows_with_word(struct ns_job *job, const struct ns_model *m, const char *member, json_type type, struct ns_dataset **data,
				     struct ns_view *view)
{
	int64_t i, n = 0, unknown = 0;
	json_t *said;

	*view = (struct ns_view){.sets = data, .set_count = 1, .picks = malloc(sizeof *view->picks * ((size_t)(*data)->rows + 1))};
	if (!view->picks)
		return ns_fail(NS_NO_MEMORY, "out of memory for a view of %lld rows", (long long)(*data)->rows);
	for (i = 0; i < (*data)->rows; i++) {
		NS_TRY(ns_row_said(*data, i, member, type, &said));
		if (!said)
			continue;
		unknown += m->facts ? strangers(m, said) : 0;
		view->picks[n++] = (struct ns_pick){i, 0, 0, 0};
		json_decref(said);
	}
	view->rows = n;
	if (!n)
		return ns_fail(NS_BAD_DATA, "%s: no row's annotation has a member '%s' that says what is to be learned; train.truth names another",
			       (*data)->path, member);
	if (unknown && job->comm->rank == 0)
		ns_log_warn(job->log, "%s: %lld of what its annotations name the model has no name for: that is not learned", (*data)->path,
			    (long long)unknown);
	return NS_OK;
}

enum ns_status ns_train_rows(struct ns_job *job, const struct ns_model *old, enum ns_task task, struct ns_dataset **data, struct ns_view *view)
{
	struct ns_reading reading;
	int k = row_of(task);

	if (task == NS_TASK_CLASSIFY)
		return ns_conf_text(job->conf, "train.truth") ? ns_fail(NS_CONFIG, "train.truth: is of other tasks than classify")
							      : rows_with_class(view, data);
	if (k < 0 || (old->facts && !old->onnx))
		return ns_fail(NS_CONFIG, "model.from: a model of the task %s is not trained here", ns_task_name(task));
	if (old->facts)
		NS_TRY(ns_reading_of(&reading, old));
	if (old->facts && reading.fit.rule == NS_FIT_WITHIN)
		return ns_fail(NS_CONFIG, "model.from: its images come in several sizes (fit %s), and those of a training have one",
			       ns_fit_name(reading.fit.rule));
	return rows_with_word(job, old, ns_train_member(job->conf, task), rows[k].type, data, view);
}
