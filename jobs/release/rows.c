/* jobs/release/rows.c - labelled rows join a release: those that taught its model its replay, those that judged it its test. */
#include "jobs/release/lists_inner.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/labels/labels.h"
#include "datasets/predict/predict.h"
#include "host/registry/registry.h"

static enum ns_status read_selection(const struct ns_release *r, const char *digest, struct ns_selection *s)
{
	char path[NS_PATH_MAX];

	*s = (struct ns_selection){0};
	if (!*digest)
		return NS_OK;
	NS_TRY(ns_registry_object(r->registry, digest, path));
	return ns_selection_read(path, s);
}

/* Rows with labels by the model's classes: a list that has others cannot take them. */
static int takes_labels(const struct ns_release *r, enum ns_release_part part)
{
	const json_t *classes = json_object_get(r->lists[part], "classes");

	if (json_is_array(r->classes) && (!classes || json_equal(classes, r->classes)))
		return 1;
	ns_log_warn(r->log, "the release's %s stays as it was: its classes are not those of model %.12s", ns_release_key(part), r->model);
	return 0;
}

/* label (rows): of the rows that are added, -1 of others */
static enum ns_status add_rows(struct ns_release *r, enum ns_release_part part, const struct ns_dataset *d, const char *night, const int32_t *label)
{
	uint8_t *has = ns_release_has(r, part, d);
	json_t *rows = json_array(), *labels = json_array();
	int64_t i;

	if (!has || !rows || !labels) {
		free(has);
		json_decref(rows);
		json_decref(labels);
		return ns_fail(NS_NO_MEMORY, "out of memory for the rows of a release");
	}
	for (i = 0; i < d->rows; i++) {
		if (label[i] < 0 || has[i])
			continue;
		json_array_append_new(rows, json_integer((json_int_t)i));
		json_array_append_new(labels, json_integer(label[i]));
	}
	free(has);
	if (json_array_size(rows))
		return ns_release_add(r, part, d, night, rows, labels);
	json_decref(rows);
	json_decref(labels);
	return NS_OK;
}

static int32_t *no_labels(const struct ns_dataset *d)
{
	int32_t *label = malloc(sizeof *label * (size_t)(d->rows + 1));
	int64_t i;

	for (i = 0; label && i < d->rows; i++)
		label[i] = -1;
	return label;
}

/* Set k of the selection's; people's labels alone, as what the first round's model says is not known to be so. */
static enum ns_status taught_by(struct ns_release *r, const struct ns_selection *s, uint32_t k, const json_t *set)
{
	struct ns_dataset *d;
	int32_t *label;
	enum ns_status status;
	int64_t i, last = json_is_array(r->classes) ? (int64_t)json_array_size(r->classes) : 0;

	NS_TRY(ns_release_open(r, NS_RELEASE_REPLAY, ns_json_text(set, "path"), ns_json_text(set, "digest"), &d));
	if (!d)
		return NS_OK;
	label = no_labels(d);
	for (i = 0; label && i < s->rows; i++)
		if (s->set[i] == k && s->source[i] == NS_LABEL_HUMAN && s->row[i] < (uint64_t)d->rows && s->label[i] < last)
			label[s->row[i]] = s->label[i];
	status = label ? add_rows(r, NS_RELEASE_REPLAY, d, "taught the model", label) : ns_fail(NS_NO_MEMORY, "out of memory for a release");
	free(label);
	ns_dataset_close(d);
	return status;
}

enum ns_status ns_release_taught(struct ns_release *r, const json_t *manifest, const char *selection)
{
	const json_t *sets = json_object_get(json_object_get(json_object_get(manifest, "predicate"), "data"), "datasets");
	struct ns_selection s;
	enum ns_status status;
	uint32_t k;

	NS_GO(read_selection(r, selection, &s));
	for (k = 1; s.rows && k < json_array_size(sets) && takes_labels(r, NS_RELEASE_REPLAY); k++)
		NS_GO(taught_by(r, &s, k, json_array_get(sets, k)));
out:
	ns_selection_release(&s);
	return status;
}

/* Identities, ascending. */
struct ids {
	uint64_t *id;
	int64_t count;
};

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int is_among(const struct ids *s, uint64_t id)
{
	return s->count && bsearch(&id, s->id, (size_t)s->count, sizeof *s->id, by_id);
}

static enum ns_status images_of(const struct ns_release *r, const json_t *vote, struct ids *out)
{
	char path[NS_PATH_MAX];
	json_t *all, *one;
	const json_t *list;
	size_t i;

	*out = (struct ids){NULL, 0};
	if (!*ns_json_text(vote, "images"))
		return NS_OK;
	NS_TRY(ns_registry_object(r->registry, ns_json_text(vote, "images"), path));
	NS_TRY(ns_json_read(path, &all, "nightshift.images/1"));
	list = json_object_get(all, "images");
	out->id = malloc(sizeof *out->id * (json_array_size(list) + 1));
	json_array_foreach(list, i, one)
		if (out->id && json_is_string(one))
			out->id[out->count++] = strtoull(json_string_value(one), NULL, 16);
	json_decref(all);
	if (!out->id)
		return ns_fail(NS_NO_MEMORY, "out of memory for the images of a vote");
	qsort(out->id, (size_t)out->count, sizeof *out->id, by_id);
	return NS_OK;
}

/* The model's class of that name; -1: it has none. */
static int32_t class_of(const struct ns_release *r, const char *name)
{
	const json_t *one;
	size_t k;

	json_array_foreach(r->classes, k, one)
		if (name && json_is_string(one) && !strcmp(json_string_value(one), name))
			return (int32_t)k;
	return -1;
}

struct judged {
	struct ns_release *r;
	const struct ns_labels *people;
	struct ids taught;
};

/* A row's own label comes first. */
static int32_t label_of(const struct judged *j, const struct ns_dataset *d, int64_t row)
{
	const struct ns_shard_head *h = ns_dataset_head(d);
	int32_t label = ns_dataset_label(d, row);
	int disputed, measures;

	if (label >= 0)
		return label < h->class_count ? class_of(j->r, h->classes[label]) : -1;
	return class_of(j->r, ns_labels_of(j->people, ns_dataset_id(d, row), &disputed, &measures));
}

static enum ns_status judged_by(const struct judged *j, const json_t *window, const json_t *vote)
{
	struct ns_dataset *d = NULL;
	struct ids images;
	int32_t *label = NULL;
	enum ns_status status;
	char night[128];
	int64_t i;

	NS_GO(images_of(j->r, vote, &images));
	NS_GO(ns_release_open(j->r, NS_RELEASE_TEST, ns_json_text(window, "path"), ns_json_text(window, "digest"), &d));
	if (!d)
		goto out;
	label = no_labels(d);
	NS_GO(label ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a release"));
	for (i = 0; i < d->rows; i++)
		if (is_among(&images, ns_dataset_id(d, i)) && !is_among(&j->taught, ns_dataset_id(d, i)))
			label[i] = label_of(j, d, i);
	snprintf(night, sizeof night, "%.80s, window %.0f, voted for the model", ns_json_text(vote, "night"), ns_json_number(window, "window", 0));
	status = add_rows(j->r, NS_RELEASE_TEST, d, night, label);
out:
	free(images.id);
	free(label);
	ns_dataset_close(d);
	return status;
}

/* The window of these images; NULL: not one of them. */
static const json_t *find_window(const json_t *windows, const char *digest)
{
	const json_t *one;
	size_t i;

	json_array_foreach(windows, i, one)
		if (*digest && !strcmp(ns_json_text(one, "digest"), digest))
			return one;
	return NULL;
}

enum ns_status ns_release_judged(struct ns_release *r, const json_t *windows, const json_t *votes, const char *selection)
{
	struct ns_selection s = {0};
	struct ns_labels people = {0};
	struct judged j = {.r = r, .people = &people};
	const json_t *vote;
	enum ns_status status;
	size_t i;

	NS_GO(ns_labels_read(&people, r->registry, NULL));
	NS_GO(read_selection(r, selection, &s));
	j.taught = (struct ids){s.id, s.rows};
	if (s.rows)
		qsort(s.id, (size_t)s.rows, sizeof *s.id, by_id);
	json_array_foreach(votes, i, vote) {
		const json_t *window = find_window(windows, ns_json_text(vote, "data"));

		if (!(ns_json_number(vote, "rows", 0) > 0) || !takes_labels(r, NS_RELEASE_TEST))
			continue;
		if (window)
			NS_GO(judged_by(&j, window, vote));
		else
			ns_log_warn(r->log, "the rows of %s that voted are not part of the release's test: the history does not say where they are",
				    ns_json_text(vote, "night"));
	}
out:
	ns_selection_release(&s);
	ns_labels_release(&people);
	return status;
}
