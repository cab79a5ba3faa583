/*
 * jobs/night/trial_votes.c - the votes of nights for and against a candidate on trial. Each night after the alarm keeps what both models say of its images, and
 * all nights are counted again each time: labels come late.
 */
#define _XOPEN_SOURCE 700
#include "jobs/night/night_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/labels/labels.h"
#include "host/registry/registry.h"
#include "jobs/evaluate/evaluate.h"

#define IMAGES "nightshift.images/1"

/* A night's vote; folder: where its predictions are, "" where they are not counted again. data: digest of its images */
static json_t *make_vote(const char *night, const char *folder, const char *data)
{
	return NS_JSON_OBJECT({"night", json_string(night)}, {"folder", ns_json_string(folder)}, {"data", json_string(data)},
			      {"rows", json_integer(0)}, {"labelled", json_integer(0)}, {"correct", json_integer(0)}, {"better", json_integer(0)},
			      {"worse", json_integer(0)});
}

static void put(json_t *vote, const char *key, int64_t value)
{
	json_object_set_new(vote, key, json_integer((json_int_t)value));
}

/* By the weights of its labels, and how many equal ones these are worth: what the model is held to, while each image is one vote. */
static void put_accuracy(json_t *vote, double accuracy, double worth)
{
	json_object_set_new(vote, "accuracy", ns_json_real(accuracy));
	json_object_set_new(vote, "worth", json_real(worth));
}

/* A vote names an object of the registry with the identities of its labelled images, so that none votes twice, whatever data sets it is in. */
static enum ns_status keep_images(const struct ns_night *n, const struct ns_predictions *p, const uint8_t *counts, json_t *vote)
{
	json_t *list = json_array(), *all;
	char digest[NS_SHA256_HEX], id[24];
	enum ns_status status;
	int64_t i;

	for (i = 0; p->label && p->id && i < p->rows; i++) {
		if (p->label[i] < 0 || (counts && !counts[i]))
			continue;
		snprintf(id, sizeof id, "%016llx", (unsigned long long)p->id[i]);
		json_array_append_new(list, json_string(id));
	}
	all = NS_JSON_OBJECT({"schema", json_string(IMAGES)}, {"images", list});
	status = all ? ns_registry_put_json(n->registry, all, digest) : ns_fail(NS_NO_MEMORY, "out of memory for the images of a vote");
	json_decref(all);
	if (status == NS_OK)
		json_object_set_new(vote, "images", json_string(digest));
	return status;
}

/* What production says of a night's images; no rows where it has said nothing. */
static enum ns_status open_night(const struct ns_night *n, const char *night, struct ns_predictions *p)
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME + 32];
	int is;

	*p = (struct ns_predictions){0};
	snprintf(name, sizeof name, "%s/predictions", night);
	NS_TRY(ns_exists(ns_night_path(n, path, name), &is));
	return is ? ns_predictions_open(p, path) : NS_OK;
}

enum ns_status ns_trial_first_vote(const struct ns_night *n, const char *night, const json_t *tonight, json_t **vote)
{
	const json_t *against = json_object_get(tonight, "against");
	struct ns_predictions p;
	enum ns_status status;

	*vote = NULL;
	NS_GO(open_night(n, night, &p));
	NS_GO(ns_labels_join_here(n->registry, &p));
	*vote = make_vote(night, "", p.dataset);
	NS_GO(*vote ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a vote"));
	if (p.rows)
		NS_GO(keep_images(n, &p, NULL, *vote));
	put(*vote, "rows", (int64_t)ns_json_number(against, "rows", 0));
	put(*vote, "better", (int64_t)ns_json_number(against, "better", 0));
	put(*vote, "worse", (int64_t)ns_json_number(against, "worse", 0));
	put(*vote, "labelled", (int64_t)ns_json_number(tonight, "rows", 0));
	put(*vote, "correct", (int64_t)ns_json_number(tonight, "correct", 0));
	put_accuracy(*vote, ns_json_number(tonight, "accuracy", NAN), ns_json_number(tonight, "worth", 0));
out:
	ns_predictions_release(&p);
	if (status == NS_OK)
		return status;
	json_decref(*vote);
	*vote = NULL;
	return status;
}

/* Identities of the images that taught a candidate, or have voted, ascending; none where nothing says so. */
struct taught {
	uint64_t *id;
	int64_t count;
};

/* The votes of a trial being counted, as tonight sees them. */
struct counting {
	const struct ns_night *n;
	json_t *trial;
	const char *tonight, *labels;	   /* tonight's folder; the newest answers of people, "": none */
	struct ns_predictions *production; /* what production says of tonight's images */
	struct taught taught;
};

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* By the selection among the evidence of its gate. */
static enum ns_status find_taught(const struct ns_night *n, const json_t *trial, struct taught *t)
{
	char path[NS_PATH_MAX];
	const char *digest;
	struct ns_selection s = {0};
	json_t *gate = NULL;
	enum ns_status status;

	*t = (struct taught){NULL, 0};
	NS_TRY(ns_registry_object(n->registry, ns_json_text(trial, "gate"), path));
	NS_TRY(ns_json_read(path, &gate, NULL));
	digest = ns_json_text(json_object_get(gate, "evidence"), "selection");
	status = *digest ? ns_registry_object(n->registry, digest, path) : NS_OK;
	if (status == NS_OK && *digest)
		status = ns_selection_read(path, &s);
	json_decref(gate);
	if (status == NS_OK && s.rows) {
		t->id = s.id;
		t->count = s.rows;
		s.id = NULL;
		qsort(t->id, (size_t)t->count, sizeof *t->id, by_id);
	}
	ns_selection_release(&s);
	return status;
}

/* Those of a vote join them. */
static enum ns_status have_voted(const struct ns_night *n, const json_t *vote, struct taught *t)
{
	char path[NS_PATH_MAX];
	json_t *all = NULL;
	const json_t *list, *one;
	uint64_t *more;
	size_t i;

	if (!*ns_json_text(vote, "images"))
		return NS_OK;
	NS_TRY(ns_registry_object(n->registry, ns_json_text(vote, "images"), path));
	NS_TRY(ns_json_read(path, &all, IMAGES));
	list = json_object_get(all, "images");
	more = realloc(t->id, sizeof *more * ((size_t)t->count + json_array_size(list) + 1));
	if (!more) {
		json_decref(all);
		return ns_fail(NS_NO_MEMORY, "out of memory for the images of a vote");
	}
	t->id = more;
	json_array_foreach(list, i, one)
		if (json_is_string(one))
			t->id[t->count++] = strtoull(json_string_value(one), NULL, 16);
	json_decref(all);
	qsort(t->id, (size_t)t->count, sizeof *t->id, by_id);
	return NS_OK;
}

/* Rows that may judge: all but those of images that taught, or voted before. */
static uint8_t *rows_that_judge(const struct ns_predictions *p, const struct taught *t)
{
	uint8_t *counts = malloc((size_t)p->rows + 1);
	int64_t i;

	for (i = 0; counts && i < p->rows; i++)
		counts[i] = !t->count || !bsearch(&p->id[i], t->id, (size_t)t->count, sizeof *t->id, by_id);
	return counts;
}

static int is_pair(const struct ns_predictions *p, const struct ns_predictions *q)
{
	return p->rows == q->rows && p->id && q->id && p->pred && q->pred && p->prob.d && !strcmp(p->dataset, q->dataset);
}

/* Both models on the same images, with what people have answered by now. */
static enum ns_status count_pair(const struct counting *c, struct ns_predictions *candidate, struct ns_predictions *production, json_t *vote)
{
	int64_t count[3], labelled = 0, correct = 0, i;
	double all = 0, right = 0, squares = 0;
	json_t *worse = NULL;
	uint8_t *counts;
	enum ns_status status;

	NS_TRY(ns_labels_join_here(c->n->registry, candidate));
	/* one set of labels: those of the candidate's rows, which are the same images in the same order */
	free(production->label);
	production->label = NULL;
	if (!candidate->label)
		return NS_OK;
	counts = rows_that_judge(candidate, &c->taught);
	status = counts ? ns_evaluate_pairs(candidate, production, counts, ns_json_number(c->trial, "sequence_seconds", 0), count, &worse)
			: ns_fail(NS_NO_MEMORY, "out of memory for the votes of %lld rows", (long long)candidate->rows);
	json_decref(worse);
	for (i = 0; status == NS_OK && i < candidate->rows; i++) {
		double weight = candidate->weight ? (double)candidate->weight[i] : 1;

		if (!counts[i] || candidate->label[i] < 0)
			continue;
		labelled++;
		correct += candidate->label[i] == candidate->pred[i];
		all += weight;
		right += weight * (candidate->label[i] == candidate->pred[i]);
		squares += weight * weight;
	}
	if (status == NS_OK)
		status = keep_images(c->n, candidate, counts, vote);
	free(counts);
	NS_TRY(status);
	put(vote, "rows", count[0]);
	put(vote, "better", count[1]);
	put(vote, "worse", count[2]);
	put(vote, "labelled", labelled);
	put(vote, "correct", correct);
	put_accuracy(vote, labelled ? right / all : NAN, labelled ? all * all / squares : 0);
	return NS_OK;
}

static enum ns_status both_there(const char *folder, char candidate[NS_PATH_MAX], char production[NS_PATH_MAX], int *both)
{
	int is;

	NS_TRY(ns_path(candidate, "%s/trial-predictions", folder));
	NS_TRY(ns_path(production, "%s/predictions", folder));
	NS_TRY(ns_exists(candidate, &is));
	NS_TRY(ns_exists(production, both));
	*both &= is;
	return NS_OK;
}

static enum ns_status count_again(const struct counting *c, json_t *vote)
{
	char candidate[NS_PATH_MAX], production[NS_PATH_MAX];
	const char *folder = ns_json_text(vote, "folder");
	struct ns_predictions p = {0}, other = {0}, *q = strcmp(folder, c->tonight) ? &other : c->production;
	enum ns_status status;
	int both;

	NS_TRY(both_there(folder, candidate, production, &both));
	if (!both)
		return NS_OK;
	status = ns_predictions_open(&p, candidate);
	if (status == NS_OK && q == &other)
		status = ns_predictions_open(q, production);
	if (status == NS_OK && !strcmp(p.model, ns_json_text(c->trial, "candidate")) && !strcmp(q->model, ns_json_text(c->trial, "production")) &&
	    is_pair(&p, q))
		status = count_pair(c, &p, q, vote);
	ns_predictions_release(&p);
	ns_predictions_release(&other);
	return status;
}

/* The vote whose `key` says that; -1: there is none. The first is the alarm's own, from no folder. */
static int find_vote(const json_t *trial, const char *key, const char *text)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(trial, "votes"), i, one)
		if (*text && !strcmp(ns_json_text(one, key), text))
			return (int)i;
	return -1;
}

/* Tonight's vote is added, once; images that voted from a folder that is gone by now are counted in this one. */
static enum ns_status add_vote(const char *night, const char *folder, const char *data, json_t *trial)
{
	json_t *votes = json_object_get(trial, "votes"), *old;
	char candidate[NS_PATH_MAX], production[NS_PATH_MAX];
	int at = find_vote(trial, "data", data), both;

	if (find_vote(trial, "folder", folder) >= 0)
		return NS_OK;
	if (at < 0) {
		json_array_append_new(votes, make_vote(night, folder, data));
		return NS_OK;
	}
	old = json_array_get(votes, (size_t)at);
	if (at == 0 || both_there(ns_json_text(old, "folder"), candidate, production, &both) != NS_OK || both)
		return NS_OK;
	json_object_set_new(old, "folder", ns_json_string(folder));
	return NS_OK;
}

/*
 * A night whose folder is gone, or whose predictions are of other models by now or cannot be read, keeps the votes that it had; so does one that was counted
 * with the same answers of people.
 */
static enum ns_status count_one(const struct counting *c, json_t *vote)
{
	const char *folder = ns_json_text(vote, "folder");
	enum ns_status status;

	if (!*folder || (json_object_get(vote, "labels") && !strcmp(ns_json_text(vote, "labels"), c->labels)))
		return NS_OK;
	status = count_again(c, vote);
	if (status != NS_OK && (status == NS_NO_MEMORY || !strcmp(folder, c->tonight)))
		return status;
	if (status == NS_OK)
		json_object_set_new(vote, "labels", json_string(c->labels));
	else
		ns_log_warn(c->n->job->log, "the votes of %s cannot be counted again, and stay as they were: %s", folder, ns_message());
	return NS_OK;
}

static enum ns_status count_all(struct counting *c)
{
	json_t *vote;
	size_t i;

	json_array_foreach(json_object_get(c->trial, "votes"), i, vote) {
		if (i)
			NS_TRY(count_one(c, vote));
		NS_TRY(have_voted(c->n, vote, &c->taught));
	}
	return NS_OK;
}

enum ns_status ns_trial_count(const struct ns_night *n, const char *night, json_t *trial)
{
	char path[NS_PATH_MAX], folder[NS_PATH_MAX], labels[NS_SHA256_HEX] = "";
	struct ns_predictions production;
	struct counting c = {.n = n, .trial = trial, .tonight = folder, .labels = labels, .production = &production};
	enum ns_status status;

	if (!realpath(ns_night_path(n, path, night), folder))
		return ns_io_error(path, "cannot be followed");
	NS_TRY(ns_registry_ref_if_there(n->registry, "labels", labels));
	NS_GO(open_night(n, night, &production));
	NS_GO(add_vote(night, folder, production.dataset, trial));
	NS_GO(find_taught(n, trial, &c.taught));
	status = count_all(&c);
out:
	free(c.taught.id);
	ns_predictions_release(&production);
	return status;
}
