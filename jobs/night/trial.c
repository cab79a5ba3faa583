/*
 * jobs/night/trial.c - a candidate on trial: rows that were labelled after the alarm judge it, night after night, until the evidence of a gain suffices, a
 * person decides, or too many nights have passed. It is an object of the registry, the ref `trial` names its newest state, and no clock is in it: a
 * step that runs again writes the same bytes.
 */
#include "jobs/night/night_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/labels/labels.h"
#include "datasets/predict/predict.h"
#include "host/judge/judge.h"
#include "host/registry/registry.h"

#define SCHEMA "nightshift.trial/1"

/* --- the registry's copy; rank 0 alone --- */

static enum ns_status newest(const struct ns_night *n, json_t **trial, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX];
	int is;

	*trial = NULL;
	*digest = 0;
	NS_TRY(ns_registry_has(n->registry, "trial", &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_registry_ref(n->registry, "trial", digest));
	NS_TRY(ns_registry_object(n->registry, digest, path));
	return ns_json_read(path, trial, SCHEMA);
}

int ns_trial_is(const json_t *trial, const char *state)
{
	return !strcmp(ns_json_text(trial, "state"), state);
}

/* Writes NIGHT/trial.json, puts it into the registry, and moves the ref. */
static enum ns_status keep(const struct ns_night *n, const char *night, const json_t *trial, const char *expected, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME], warning[512];

	snprintf(name, sizeof name, "%s/trial.json", night);
	NS_TRY(ns_json_write(ns_night_path(n, path, name), trial));
	NS_TRY(ns_registry_put(n->registry, path, digest));
	NS_TRY(ns_registry_move(n->registry, "trial", digest, expected, ns_json_text(trial, "state"), NULL, warning));
	if (*warning)
		ns_log_warn(n->job->log, "%s", warning);
	return NS_OK;
}

/* Candidates that were refused since production last moved: each further one needs twice the evidence. */
static enum ns_status earlier_attempts(const struct ns_night *n, const char *production, const char *candidate, int64_t *attempts)
{
	json_t *log = NULL, *entry, *seen = json_object();
	enum ns_status status;
	size_t i;
	int is;

	*attempts = 0;
	status = ns_registry_has(n->registry, "trial", &is);
	if (status != NS_OK || !is) {
		json_decref(seen);
		return status;
	}
	status = ns_registry_log(n->registry, "trial", &log);
	json_array_foreach(log, i, entry) {
		char path[NS_PATH_MAX];
		json_t *old = NULL;

		if (status == NS_OK && ns_registry_object(n->registry, ns_json_text(entry, "new"), path) == NS_OK)
			status = ns_json_read(path, &old, SCHEMA);
		if (old && !strcmp(ns_json_text(old, "production"), production) && strcmp(ns_json_text(old, "candidate"), candidate))
			json_object_set_new(seen, ns_json_text(old, "candidate"), json_true());
		json_decref(old);
	}
	*attempts = (int64_t)json_object_size(seen);
	json_decref(log);
	json_decref(seen);
	return status;
}

/* --- what the votes say --- */

static int64_t sum_of(const json_t *trial, const char *key)
{
	const json_t *one;
	int64_t sum = 0;
	size_t i;

	json_array_foreach(json_object_get(trial, "votes"), i, one)
		sum += (int64_t)ns_json_number(one, key, 0);
	return sum;
}

/* Its state by the votes so far; a person's decision is not undone. */
static void conclude(const struct ns_night *n, json_t *trial)
{
	int64_t better = sum_of(trial, "better"), worse = sum_of(trial, "worse");
	double evidence = ns_gate_evidence(better, worse);
	int64_t nights = (int64_t)json_array_size(json_object_get(trial, "votes")) - 1;
	const char *state;

	if (evidence >= log(ns_json_number(trial, "needed", NS_GATE_EVIDENCE)))
		state = n->by_person ? "held" : "passed";
	else
		state = nights >= n->trial_nights ? "refused" : "waiting";
	json_object_set_new(trial, "rows", json_integer((json_int_t)sum_of(trial, "rows")));
	json_object_set_new(trial, "correct", json_integer((json_int_t)sum_of(trial, "correct")));
	json_object_set_new(trial, "better", json_integer((json_int_t)better));
	json_object_set_new(trial, "worse", json_integer((json_int_t)worse));
	json_object_set_new(trial, "log_evidence", json_real(evidence));
	json_object_set_new(trial, "state", json_string(state));
}

/* evaluation: of the candidate against production; NULL: tonight has no labels for it */
static json_t *votes_of(const char *night, const char *predictions, const json_t *evaluation)
{
	const json_t *against = json_object_get(evaluation, "against");

	return NS_JSON_OBJECT({"night", json_string(night)}, {"predictions", json_string(predictions)},
			      {"rows", json_integer((json_int_t)ns_json_number(against, "rows", 0))},
			      {"correct", json_integer((json_int_t)ns_json_number(evaluation, "correct", 0))},
			      {"better", json_integer((json_int_t)ns_json_number(against, "better", 0))},
			      {"worse", json_integer((json_int_t)ns_json_number(against, "worse", 0))});
}

enum ns_status ns_trial_open(const struct ns_night *n, const char *night, const char *candidate, const char *production, const char *gate,
			     const json_t *tonight, int harmless, json_t **trial)
{
	char digest[NS_SHA256_HEX];
	int64_t attempts;
	enum ns_status status;

	*trial = NULL;
	NS_TRY(earlier_attempts(n, production, candidate, &attempts));
	*trial = NS_JSON_OBJECT({"schema", json_string(SCHEMA)}, {"candidate", json_string(candidate)}, {"production", json_string(production)},
				{"gate", json_string(gate)}, {"attempt", json_integer((json_int_t)attempts + 1)},
				{"needed", json_real(NS_GATE_EVIDENCE * pow(2, (double)attempts))}, {"votes", json_array()});
	if (!*trial)
		return ns_fail(NS_NO_MEMORY, "out of memory for the trial of a candidate");
	json_array_append_new(json_object_get(*trial, "votes"), votes_of(night, "", tonight));
	conclude(n, *trial);
	if (!harmless)
		json_object_set_new(*trial, "state", json_string("refused"));
	status = keep(n, night, *trial, NULL, digest);
	if (status == NS_OK)
		return status;
	json_decref(*trial);
	*trial = NULL;
	return status;
}

/* --- later nights --- */

/* Are there labels among tonight's rows? */
static enum ns_status has_labels(const struct ns_night *n, const char *night, int *yes)
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME];
	struct ns_predictions p = {0};
	struct ns_labels l = {0};
	enum ns_status status;
	int64_t i;

	*yes = 0;
	snprintf(name, sizeof name, "%s/predictions", night);
	status = ns_predictions_open(&p, ns_night_path(n, path, name));
	if (status == NS_OK)
		status = ns_labels_read(&l, n->registry, NULL);
	for (i = 0; status == NS_OK && i < p.rows; i++) {
		int disputed, measures = 0;

		*yes |= (p.label && p.label[i] >= 0) || (p.id && l.count && ns_labels_of(&l, p.id[i], &disputed, &measures) && measures);
	}
	ns_predictions_release(&p);
	ns_labels_release(&l);
	return status;
}

/* NIGHT/on-trial.json is linked once: which candidate was on trial when this night asked, and whether tonight has labels for it. */
static enum ns_status pin(const struct ns_night *n, const char *night, json_t **on)
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME], digest[NS_SHA256_HEX], now[NS_SHA256_HEX] = "", *text;
	json_t *trial, *facts;
	enum ns_status status;
	int is, labels = 0, open, won;

	snprintf(name, sizeof name, "%s/on-trial.json", night);
	NS_TRY(ns_exists(ns_night_path(n, path, name), &is));
	if (is)
		return ns_json_read(path, on, "nightshift.on_trial/1");
	NS_TRY(newest(n, &trial, digest));
	status = ns_registry_has(n->registry, "production", &is);
	if (status == NS_OK && is)
		status = ns_registry_ref(n->registry, "production", now);
	open = trial && ns_trial_is(trial, "waiting") && !strcmp(ns_json_text(trial, "production"), now);
	if (status == NS_OK && open)
		status = has_labels(n, night, &labels);
	facts = NS_JSON_OBJECT({"schema", json_string("nightshift.on_trial/1")},
			       {"candidate", json_string(open ? ns_json_text(trial, "candidate") : "")}, {"trial", json_string(open ? digest : "")},
			       {"labels", json_boolean(labels)});
	json_decref(trial);
	text = facts ? json_dumps(facts, JSON_INDENT(1)) : NULL;
	json_decref(facts);
	if (status == NS_OK)
		status = text ? ns_link_file(path, text, strlen(text), &won) : ns_fail(NS_NO_MEMORY, "out of memory for %s", path);
	free(text);
	return status == NS_OK ? ns_json_read(path, on, "nightshift.on_trial/1") : status;
}

enum ns_status ns_trial_asked(const struct ns_night *n, const char *night, int labelled, int *is)
{
	json_t *on;

	NS_TRY(pin(n, night, &on));
	*is = *ns_json_text(on, "candidate") && (!labelled || json_is_true(json_object_get(on, "labels")));
	json_decref(on);
	return NS_OK;
}

enum ns_status ns_trial_candidate(struct ns_night *n, const char *night, char digest[NS_SHA256_HEX])
{
	enum ns_status status = NS_OK;
	json_t *on = NULL;

	memset(digest, 0, NS_SHA256_HEX);
	if (n->job->comm->rank == 0)
		status = pin(n, night, &on);
	if (status == NS_OK && on)
		snprintf(digest, NS_SHA256_HEX, "%s", ns_json_text(on, "candidate"));
	json_decref(on);
	NS_TRY(ns_job_agree(n->job, status));
	return ns_comm_broadcast(n->job->comm, digest, NS_SHA256_HEX, 0);
}

static int has_night(const json_t *trial, const char *night, const char *predictions)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(trial, "votes"), i, one)
		if (!strcmp(ns_json_text(one, "night"), night) && !strcmp(ns_json_text(one, "predictions"), predictions))
			return 1;
	return 0;
}

/* Rank 0 alone: adds tonight's votes to the trial that was open when the night asked. */
static enum ns_status add_votes(struct ns_night *n, const char *night, json_t **out, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME + 32], was[NS_SHA256_HEX], now[NS_SHA256_HEX];
	json_t *on, *trial = NULL, *evaluation = NULL, *index = NULL;
	enum ns_status status;

	NS_TRY(pin(n, night, &on));
	snprintf(was, sizeof was, "%s", ns_json_text(on, "trial"));
	NS_GO(ns_registry_object(n->registry, was, path));
	NS_GO(ns_json_read(path, &trial, SCHEMA));
	snprintf(name, sizeof name, "%s/predictions/predictions.json", night);
	NS_GO(ns_json_read(ns_night_path(n, path, name), &index, NULL));
	snprintf(name, sizeof name, "%s/trial-votes/evaluation.json", night);
	NS_GO(ns_json_read_if_there(ns_night_path(n, path, name), &evaluation, NULL));
	if (!has_night(trial, night, ns_json_text(index, "digest")))
		json_array_append_new(json_object_get(trial, "votes"), votes_of(night, ns_json_text(index, "digest"), evaluation));
	conclude(n, trial);
	NS_GO(ns_registry_ref(n->registry, "trial", now));
	/* run again after its own move, the ref names what is written here; moved by somebody else, it is theirs */
	status = keep(n, night, trial, strcmp(now, was) ? now : was, digest);
	*out = json_incref(trial);
out:
	json_decref(on);
	json_decref(trial);
	json_decref(evaluation);
	json_decref(index);
	return status;
}

enum ns_status ns_night_trial(struct ns_night *n, const struct ns_step *s)
{
	char digest[NS_SHA256_HEX] = "", candidate[NS_SHA256_HEX] = "", production[NS_SHA256_HEX] = "";
	json_t *trial = NULL;
	int64_t passed = 0;
	enum ns_status status = NS_OK;

	if (n->job->comm->rank == 0) {
		status = add_votes(n, s->night, &trial, digest);
		passed = trial && ns_trial_is(trial, "passed");
		if (trial) {
			snprintf(candidate, sizeof candidate, "%s", ns_json_text(trial, "candidate"));
			snprintf(production, sizeof production, "%s", ns_json_text(trial, "production"));
			ns_log_event(n->job->log, "trial",
				     json_pack("{s:s, s:s, s:O, s:O, s:O}", "night", s->night, "state", ns_json_text(trial, "state"), "better",
					       json_object_get(trial, "better"), "worse", json_object_get(trial, "worse"), "log_evidence",
					       json_object_get(trial, "log_evidence")));
		}
		json_decref(trial);
	}
	NS_TRY(ns_job_agree(n->job, status));
	NS_TRY(ns_comm_broadcast(n->job->comm, &passed, sizeof passed, 0));
	NS_TRY(ns_comm_broadcast(n->job->comm, digest, sizeof digest, 0));
	NS_TRY(ns_comm_broadcast(n->job->comm, candidate, sizeof candidate, 0));
	NS_TRY(ns_comm_broadcast(n->job->comm, production, sizeof production, 0));
	return passed ? ns_night_promote(n, s->night, candidate, production, digest) : NS_OK;
}
