/* datasets/labels/labels.c - reads the answers of a registry, and joins them to predictions. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/labels/labels.h"

#include <stdlib.h>
#include <string.h>

#include "host/registry/registry.h"

#define SCHEMA "nightshift.answers/1"

static int by_image(const void *a, const void *b)
{
	const struct ns_answer *x = a, *y = b;
	int by;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	by = strcmp(x->by, y->by);
	return by ? by : (x->order > y->order) - (x->order < y->order);
}

static void free_answer(struct ns_answer *a)
{
	free(a->label);
	free(a->by);
}

void ns_labels_release(struct ns_labels *l)
{
	int64_t i;

	for (i = 0; i < l->count; i++)
		free_answer(&l->of[i]);
	free(l->of);
	json_decref(l->sets);
	memset(l, 0, sizeof *l);
}

int ns_labels_knows(const struct ns_labels *l, const char *dataset)
{
	return json_object_get(l->sets, dataset) != NULL;
}

static enum ns_status add_rows(struct ns_labels *l, const json_t *answers, const char *path, int order)
{
	const json_t *rows = json_object_get(answers, "rows"), *row;
	struct ns_answer *more = realloc(l->of, sizeof *more * ((size_t)l->count + json_array_size(rows) + 1));
	size_t i;

	if (!more)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its answers", path);
	l->of = more;
	json_array_foreach(rows, i, row) {
		const char *text = ns_json_text(row, "id"), *label = ns_json_text(row, "label");
		struct ns_answer *a = &l->of[l->count];
		char *end;

		*a = (struct ns_answer){.id = strtoull(text, &end, 16),
					.order = order,
					.measures = json_is_true(json_object_get(row, "measures")),
					.weight = ns_json_number(row, "weight", 1),
					.label = strdup(label),
					.by = strdup(ns_json_text(row, "by"))};
		l->count++;
		if (strlen(text) != 16 || *end || !*label)
			return ns_fail(NS_BAD_DATA, "%s: row %zu has id '%.40s' and label '%.80s', expected 16 hexadecimal digits and a name", path,
				       i, text, label);
		if (!(a->weight > 0 && a->weight < 1e9))
			return ns_fail(NS_BAD_DATA, "%s: row %zu has weight %g, expected a number above 0", path, i, a->weight);
		if (!a->label || !a->by)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for its answers", path);
	}
	return NS_OK;
}

/* Of what one person said of an image the newest stays. */
static void keep_newest(struct ns_labels *l)
{
	int64_t i, to = 0;

	if (l->count)
		qsort(l->of, (size_t)l->count, sizeof *l->of, by_image);
	for (i = 0; i < l->count; i++) {
		if (i + 1 < l->count && l->of[i + 1].id == l->of[i].id && !strcmp(l->of[i + 1].by, l->of[i].by)) {
			/* an image that was drawn at random once stays so, whoever asks for it again */
			if (l->of[i].measures && !l->of[i + 1].measures)
				l->of[i + 1].weight = l->of[i].weight;
			l->of[i + 1].measures |= l->of[i].measures;
			free_answer(&l->of[i]);
			continue;
		}
		l->of[to++] = l->of[i];
	}
	l->count = to;
}

enum ns_status ns_labels_read(struct ns_labels *l, const char *registry, const char *until)
{
	json_t *log = NULL, *entry;
	enum ns_status status;
	size_t i;
	int is;

	memset(l, 0, sizeof *l);
	NS_TRY(ns_registry_has(registry, "labels", &is));
	if (!is && !until)
		return NS_OK;
	if (is)
		NS_TRY(ns_registry_log(registry, "labels", &log));
	status = NS_OK;
	json_array_foreach(log, i, entry) {
		char path[NS_PATH_MAX];
		json_t *answers = NULL;

		if (until && !strcmp(l->digest, until))
			break;

		if (status == NS_OK)
			status = ns_registry_object(registry, ns_json_text(entry, "new"), path);
		if (status == NS_OK)
			status = ns_json_read(path, &answers, SCHEMA);
		if (status == NS_OK)
			status = add_rows(l, answers, path, (int)i);
		if (status == NS_OK && *ns_json_text(answers, "dataset")) {
			l->sets = l->sets ? l->sets : json_object();
			json_object_set_new(l->sets, ns_json_text(answers, "dataset"), json_true());
		}
		if (status == NS_OK)
			snprintf(l->digest, sizeof l->digest, "%s", ns_json_text(entry, "new"));
		json_decref(answers);
	}
	json_decref(log);
	if (status == NS_OK && until && strcmp(l->digest, until))
		status = ns_fail(NS_IO, "%s: the ref 'labels' never was %.12s", registry, until);
	if (status == NS_OK)
		keep_newest(l);
	return status;
}

/* The first answer to that image, l->count where there is none. */
static int64_t first_of(const struct ns_labels *l, uint64_t id)
{
	int64_t low = 0, high = l->count;

	while (low < high) {
		int64_t at = low + (high - low) / 2;

		if (l->of[at].id < id)
			low = at + 1;
		else
			high = at;
	}
	return low;
}

const char *ns_labels_of(const struct ns_labels *l, uint64_t id, int *disputed, int *measures)
{
	int64_t first = first_of(l, id), i;

	*disputed = *measures = 0;
	for (i = first; i < l->count && l->of[i].id == id; i++) {
		*disputed |= strcmp(l->of[i].label, l->of[first].label) != 0;
		*measures |= l->of[i].measures;
	}
	return i > first && !*disputed ? l->of[first].label : NULL;
}

/* The weight of a label that measures, 1 of any other. */
static double weight_of(const struct ns_labels *l, uint64_t id)
{
	int64_t i;

	for (i = first_of(l, id); i < l->count && l->of[i].id == id; i++)
		if (l->of[i].measures)
			return l->of[i].weight;
	return 1;
}

/* --- joined to predictions --- */

static int32_t class_of(const struct ns_predictions *p, const char *label)
{
	int k;

	for (k = 0; p->names && k < p->class_names; k++)
		if (!strcmp(p->names[k], label))
			return k;
	return -1;
}

/* What is joined to rows: the class of each that gets one, else -1, and its weight; weighted: one of them is not 1. */
struct joined {
	int32_t *label;
	float *weight;
	int64_t count, weighted;
};

static enum ns_status joined_make(struct joined *j, const struct ns_predictions *p)
{
	*j = (struct joined){malloc(sizeof *j->label * (size_t)p->rows), malloc(sizeof *j->weight * (size_t)p->rows), 0, 0};
	return j->label && j->weight ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the labels of %lld rows", (long long)p->rows);
}

static void joined_release(struct joined *j)
{
	free(j->label);
	free(j->weight);
}

/* Rank 0. */
static enum ns_status find(const char *registry, const char *until, const struct ns_predictions *p, struct joined *j, char digest[NS_SHA256_HEX])
{
	struct ns_labels l;
	enum ns_status status = ns_labels_read(&l, registry, strcmp(until, "any") ? until : NULL);
	int64_t i;

	for (i = 0; status == NS_OK && l.count && i < p->rows; i++) {
		int disputed, measures;
		const char *name = !p->label || p->label[i] < 0 ? ns_labels_of(&l, p->id[i], &disputed, &measures) : NULL;

		j->label[i] = name && measures ? class_of(p, name) : -1;
		j->weight[i] = j->label[i] >= 0 ? (float)weight_of(&l, p->id[i]) : 1;
		j->count += j->label[i] >= 0;
		j->weighted += j->weight[i] < 1 || j->weight[i] > 1;
	}
	snprintf(digest, NS_SHA256_HEX, "%s", l.digest);
	ns_labels_release(&l);
	return status;
}

/* p's afterwards, where it had none; else they fill what p's does not say. */
static void fill(struct ns_predictions *p, struct joined *j)
{
	int64_t i;

	if (p->weight) {
		for (i = 0; i < p->rows; i++)
			p->weight[i] = j->label[i] >= 0 ? j->weight[i] : p->weight[i];
	} else if (j->weighted) {
		p->weight = j->weight;
		j->weight = NULL;
	}
	if (!p->label) {
		p->label = j->label;
		j->label = NULL;
		return;
	}
	for (i = 0; i < p->rows; i++)
		p->label[i] = j->label[i] >= 0 ? j->label[i] : p->label[i];
}

static int can_join(const char *registry, const char *until, const struct ns_predictions *p)
{
	return registry && *until && p->id && p->names && p->rows;
}

enum ns_status ns_labels_join_here(const char *registry, struct ns_predictions *p)
{
	char digest[NS_SHA256_HEX];
	struct joined j;
	enum ns_status status;

	if (!can_join(registry, "any", p))
		return NS_OK;
	status = joined_make(&j, p);
	if (status == NS_OK)
		status = find(registry, "any", p, &j, digest);
	if (status == NS_OK && j.count)
		fill(p, &j);
	joined_release(&j);
	return status;
}

enum ns_status ns_labels_join(struct ns_job *job, const char *registry, const char *until, struct ns_predictions *p, int64_t *joined,
			      char digest[NS_SHA256_HEX])
{
	char limit[NS_SHA256_HEX];
	struct joined j;
	int64_t facts[2];
	enum ns_status status;

	snprintf(limit, sizeof limit, "%s", until); /* it may be `digest` */
	*joined = 0;
	memset(digest, 0, NS_SHA256_HEX);
	if (!can_join(registry, limit, p))
		return NS_OK;
	status = joined_make(&j, p);
	if (status == NS_OK && job->comm->rank == 0)
		status = find(registry, limit, p, &j, digest);
	NS_GO(ns_job_agree(job, status));
	facts[0] = j.count;
	facts[1] = j.weighted;
	NS_GO(ns_comm_broadcast(job->comm, facts, sizeof facts, 0));
	NS_GO(ns_comm_broadcast(job->comm, digest, NS_SHA256_HEX, 0));
	*joined = j.count = facts[0];
	j.weighted = facts[1];
	if (!*joined)
		goto out;
	NS_GO(ns_comm_broadcast(job->comm, j.label, sizeof *j.label * (size_t)p->rows, 0));
	NS_GO(ns_comm_broadcast(job->comm, j.weight, sizeof *j.weight * (size_t)p->rows, 0));
	fill(p, &j);
out:
	joined_release(&j);
	return status;
}
