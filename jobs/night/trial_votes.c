/*
 * jobs/night/trial_votes.c - the votes of nights for and against a candidate on trial. Each night after the alarm keeps what both models say of its images, and
 * all nights are counted again each time: labels come late.
 */
#define _XOPEN_SOURCE 700
#include "jobs/night/night_inner.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/labels/labels.h"
#include "host/registry/registry.h"
#include "jobs/evaluate/evaluate.h"

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

/* Which images a night's predictions are of; "" where there are none. */
static enum ns_status data_of(const struct ns_night *n, const char *night, char data[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME + 32];
	struct ns_predictions p = {0};
	enum ns_status status;
	int is;

	*data = 0;
	snprintf(name, sizeof name, "%s/predictions", night);
	NS_TRY(ns_exists(ns_night_path(n, path, name), &is));
	if (!is)
		return NS_OK;
	status = ns_predictions_open(&p, path);
	if (status == NS_OK)
		snprintf(data, NS_SHA256_HEX, "%s", p.dataset);
	ns_predictions_release(&p);
	return status;
}

enum ns_status ns_trial_first_vote(const struct ns_night *n, const char *night, const json_t *tonight, json_t **vote)
{
	const json_t *against = json_object_get(tonight, "against");
	char data[NS_SHA256_HEX];

	NS_TRY(data_of(n, night, data));
	*vote = make_vote(night, "", data);
	if (!*vote)
		return ns_fail(NS_NO_MEMORY, "out of memory for a vote");
	put(*vote, "rows", (int64_t)ns_json_number(against, "rows", 0));
	put(*vote, "better", (int64_t)ns_json_number(against, "better", 0));
	put(*vote, "worse", (int64_t)ns_json_number(against, "worse", 0));
	put(*vote, "labelled", (int64_t)ns_json_number(tonight, "rows", 0));
	put(*vote, "correct", (int64_t)ns_json_number(tonight, "correct", 0));
	return NS_OK;
}

/* Both models on the same images, with what people have answered by now. */
static enum ns_status count_pair(const struct ns_night *n, struct ns_predictions *candidate, struct ns_predictions *production, json_t *vote)
{
	int64_t count[3], labelled = 0, correct = 0, i;
	json_t *worse = NULL;

	NS_TRY(ns_labels_join_here(n->registry, "any", candidate));
	/* one set of labels: those of the candidate's rows, which are the same images in the same order */
	free(production->label);
	production->label = NULL;
	if (!candidate->label || !candidate->pred || !candidate->id)
		return NS_OK;
	NS_TRY(ns_evaluate_pairs(candidate, production, NULL, ns_conf_real(n->job->conf, "drift.sequence_seconds"), count, &worse));
	json_decref(worse);
	for (i = 0; i < candidate->rows; i++) {
		labelled += candidate->label[i] >= 0;
		correct += candidate->label[i] >= 0 && candidate->label[i] == candidate->pred[i];
	}
	put(vote, "rows", count[0]);
	put(vote, "better", count[1]);
	put(vote, "worse", count[2]);
	put(vote, "labelled", labelled);
	put(vote, "correct", correct);
	return NS_OK;
}

/*
 * A night whose folder is gone, or whose predictions are of other models by now, keeps the votes that it had; so does one that was counted with the same
 * answers of people. labels: the newest of those, "": none
 */
static enum ns_status count_again(const struct ns_night *n, const json_t *trial, const char *labels, json_t *vote)
{
	const char *folder = ns_json_text(vote, "folder");
	char candidate[NS_PATH_MAX], production[NS_PATH_MAX];
	struct ns_predictions p = {0}, q = {0};
	enum ns_status status;
	int is, both;

	if (!*folder || (json_object_get(vote, "labels") && !strcmp(ns_json_text(vote, "labels"), labels)))
		return NS_OK;
	NS_TRY(ns_path(candidate, "%s/trial-predictions", folder));
	NS_TRY(ns_path(production, "%s/predictions", folder));
	NS_TRY(ns_exists(candidate, &is));
	NS_TRY(ns_exists(production, &both));
	if (!is || !both)
		return NS_OK;
	status = ns_predictions_open(&p, candidate);
	if (status == NS_OK)
		status = ns_predictions_open(&q, production);
	if (status == NS_OK && !strcmp(p.model, ns_json_text(trial, "candidate")) && !strcmp(q.model, ns_json_text(trial, "production")))
		status = count_pair(n, &p, &q, vote);
	if (status == NS_OK)
		json_object_set_new(vote, "labels", json_string(labels));
	ns_predictions_release(&p);
	ns_predictions_release(&q);
	return status;
}

/* Have these images voted, or raised the alarm? The alarm's own vote is the first. */
static int has_data(const json_t *trial, const char *data)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(trial, "votes"), i, one)
		if (*data && !strcmp(ns_json_text(one, "data"), data))
			return 1;
	return 0;
}

static int has_night(const json_t *trial, const char *folder)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(trial, "votes"), i, one)
		if (i && !strcmp(ns_json_text(one, "folder"), folder))
			return 1;
	return 0;
}

enum ns_status ns_trial_count(const struct ns_night *n, const char *night, json_t *trial)
{
	char path[NS_PATH_MAX], folder[NS_PATH_MAX], data[NS_SHA256_HEX];
	char labels[NS_SHA256_HEX] = "";
	json_t *votes = json_object_get(trial, "votes"), *vote;
	size_t i;
	int is;

	if (!realpath(ns_night_path(n, path, night), folder))
		return ns_io_error(path, "cannot be followed");
	NS_TRY(data_of(n, night, data));
	NS_TRY(ns_registry_has(n->registry, "labels", &is));
	if (is)
		NS_TRY(ns_registry_ref(n->registry, "labels", labels));
	if (!has_night(trial, folder) && !has_data(trial, data))
		json_array_append_new(votes, make_vote(night, folder, data));
	json_array_foreach(votes, i, vote)
		if (i)
			NS_TRY(count_again(n, trial, labels, vote));
	return NS_OK;
}
