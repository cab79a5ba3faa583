/*
 * jobs/night/trial.c - a candidate on trial: rows that were labelled after the alarm judge it, night after night, until the evidence of a gain suffices, a
 * person decides, or too many nights have passed. It is an object of the registry, the ref `trial` names its newest state, and every change is a
 * compare-and-swap of that ref: of two nights, and of a night and a person, the second goes on from what the first left.
 */
#include "jobs/night/night_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/judge/judge.h"
#include "host/registry/registry.h"

#define SCHEMA "nightshift.trial/1"
#define TRIES  100 /* of a swap that others win */

/* --- the registry's copy; rank 0 alone --- */

enum ns_status ns_trial_newest(const struct ns_night *n, json_t **trial, char digest[NS_SHA256_HEX])
{
	*trial = NULL;
	NS_TRY(ns_registry_ref_if_there(n->registry, "trial", digest));
	if (*digest)
		*trial = ns_registry_trial(n->registry, n->job->log, digest);
	return NS_OK;
}

static enum ns_status write_here(const struct ns_night *n, const char *night, const json_t *trial)
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME + 16];

	snprintf(name, sizeof name, "%s/trial.json", night);
	return ns_json_write(ns_night_path(n, path, name), trial);
}

/* Puts it into the registry and swaps the ref; NS_REFUSED where somebody else has moved it. */
static enum ns_status swap(const struct ns_night *n, const json_t *trial, const char *expected, char digest[NS_SHA256_HEX])
{
	char warning[512];

	NS_TRY(ns_registry_put_json(n->registry, trial, digest));
	NS_TRY(ns_registry_move(n->registry, "trial", digest, expected, ns_json_text(trial, "state"), NULL, warning));
	if (*warning)
		ns_log_warn(n->job->log, "%s", warning);
	return NS_OK;
}

/* What earlier trials say of a new one. */
struct before {
	json_t *same;	  /* newest state of the trial that this very gate opened: NULL: none */
	int64_t attempts; /* other candidates that were held against this production */
	int turned_down;  /* this candidate was refused or rejected against it, by another gate */
};

static enum ns_status look_back(const struct ns_night *n, const char *production, const char *candidate, const char *gate, struct before *b)
{
	json_t *list, *entry, *seen = json_object();
	enum ns_status status;
	size_t i;

	memset(b, 0, sizeof *b);
	status = ns_registry_trials(n->registry, n->job->log, &list);
	json_array_foreach(list, i, entry) {
		json_t *old = json_object_get(entry, "trial");

		if (!strcmp(ns_json_text(old, "gate"), gate) && !strcmp(ns_json_text(old, "candidate"), candidate)) {
			json_decref(b->same);
			b->same = json_incref(old);
		} else if (!strcmp(ns_json_text(old, "production"), production)) {
			if (strcmp(ns_json_text(old, "candidate"), candidate))
				json_object_set_new(seen, ns_json_text(old, "candidate"), json_true());
			else
				b->turned_down |= ns_trial_is(old, "refused") || ns_trial_is(old, "rejected");
		}
	}
	b->attempts = (int64_t)json_object_size(seen);
	json_decref(list);
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

/* Sums and state by its votes. */
static void conclude(const struct ns_night *n, json_t *trial)
{
	static const char *const sums[] = {"rows", "labelled", "correct", "better", "worse"};
	double evidence = ns_gate_evidence(sum_of(trial, "better"), sum_of(trial, "worse"));
	int64_t nights = (int64_t)json_array_size(json_object_get(trial, "votes")) - 1;
	const char *state;
	size_t i;

	if (evidence >= log(ns_json_number(trial, "needed", NS_GATE_EVIDENCE)))
		state = !strcmp(n->approve, "person") ? "held" : "passed";
	else
		state = nights >= n->trial_nights ? "refused" : "waiting";
	for (i = 0; i < sizeof sums / sizeof *sums; i++)
		json_object_set_new(trial, sums[i], json_integer((json_int_t)sum_of(trial, sums[i])));
	json_object_set_new(trial, "log_evidence", json_real(evidence));
	json_object_set_new(trial, "state", json_string(state));
}

/* What is let through, or waits for a person, has the release under which it would be production. */
static enum ns_status add_release(const struct ns_night *n, const char *night, json_t *trial)
{
	char digest[NS_SHA256_HEX];

	if (!ns_trial_is(trial, "passed") && !ns_trial_is(trial, "held"))
		return NS_OK;
	NS_TRY(ns_night_release(n, night, trial, digest));
	json_object_set_new(trial, "release", json_string(digest));
	return NS_OK;
}

static void refuse(json_t *trial, const char *why)
{
	json_object_set_new(trial, "state", json_string("refused"));
	json_object_set_new(trial, "why", json_string(why));
}

/* seconds: of sequences, each of which votes once */
static json_t *new_trial(const struct ns_night *n, const char *candidate, const char *production, const char *gate, const struct before *b,
			 double seconds, json_t *vote)
{
	json_t *trial =
		NS_JSON_OBJECT({"schema", json_string(SCHEMA)}, {"candidate", json_string(candidate)}, {"production", json_string(production)},
			       {"gate", json_string(gate)}, {"attempt", json_integer((json_int_t)b->attempts + 1)},
			       {"needed", json_real(NS_GATE_EVIDENCE * pow(2, (double)b->attempts))}, {"sequence_seconds", json_real(seconds)},
			       {"votes", json_array()});

	json_array_append(json_object_get(trial, "votes"), vote);
	conclude(n, trial);
	return trial;
}

/* As the manifest has them, which knows what drift was configured with; a night without one says what it knows itself. */
static enum ns_status sequences_of(const struct ns_night *n, const char *night, double *seconds)
{
	json_t *manifest;

	*seconds = ns_conf_real(n->job->conf, "drift.sequence_seconds");
	NS_TRY(ns_night_load(n, night, "retrain.json", &manifest));
	*seconds = ns_json_number(json_object_get(json_object_get(json_object_get(manifest, "predicate"), "data"), "query"), "sequence_seconds",
				  *seconds);
	json_decref(manifest);
	return NS_OK;
}

/* One try to open it; *again: somebody else was quicker. */
static enum ns_status try_open(const struct ns_night *n, const char *night, const char *candidate, const char *production, const char *gate,
			       json_t *vote, int harmless, json_t **trial, int *again)
{
	char expected[NS_SHA256_HEX], digest[NS_SHA256_HEX];
	json_t *newest;
	struct before b;
	double seconds;
	enum ns_status status;
	int busy;

	*again = 0;
	NS_TRY(look_back(n, production, candidate, gate, &b));
	if (b.same) { /* this gate has been here, and was killed before its record */
		*trial = b.same;
		return write_here(n, night, *trial);
	}
	NS_TRY(ns_trial_newest(n, &newest, expected));
	busy = newest && ns_trial_is_open(newest, production) && strcmp(ns_json_text(newest, "candidate"), candidate);
	json_decref(newest);
	NS_TRY(sequences_of(n, night, &seconds));
	*trial = new_trial(n, candidate, production, gate, &b, seconds, vote);
	if (!harmless)
		refuse(*trial, "a rule of the gate does not hold");
	else if (b.turned_down)
		refuse(*trial, "this candidate was turned down before");
	else if (busy)
		refuse(*trial, "another candidate is on trial");
	status = add_release(n, night, *trial);
	if (status == NS_OK)
		status = write_here(n, night, *trial);
	if (status == NS_OK && !busy)
		status = swap(n, *trial, expected, digest);
	*again = status == NS_REFUSED;
	return status;
}

enum ns_status ns_trial_open(const struct ns_night *n, const char *night, const char *candidate, const char *production, const char *gate,
			     const json_t *tonight, int harmless, json_t **trial)
{
	json_t *vote;
	enum ns_status status;
	int again = 1, tries;

	*trial = NULL;
	NS_TRY(ns_trial_first_vote(n, night, tonight, &vote));
	status = NS_OK;
	for (tries = 0; again && tries < TRIES; tries++) {
		json_decref(*trial);
		*trial = NULL;
		status = try_open(n, night, candidate, production, gate, vote, harmless, trial, &again);
	}
	json_decref(vote);
	if (status == NS_OK)
		return status;
	json_decref(*trial);
	*trial = NULL;
	return status;
}

/* --- later nights --- */

/*
 * NIGHT/on-trial.json is linked once: which candidate was on trial when this night asked, and whether it, or one that waits for a person, keeps others from
 * being trained. A night that began under another production model has nothing to say of it.
 */
static enum ns_status pin(const struct ns_night *n, const char *night, json_t **on)
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME + 16], digest[NS_SHA256_HEX], release[NS_SHA256_HEX], now[NS_SHA256_HEX], ours[NS_SHA256_HEX] = "";
	json_t *trial = NULL, *facts;
	int is, open, asks;

	snprintf(name, sizeof name, "%s/on-trial.json", night);
	NS_TRY(ns_exists(ns_night_path(n, path, name), &is));
	if (is)
		return ns_json_read(path, on, "nightshift.on_trial/1");
	NS_TRY(ns_registry_production(n->registry, release, now));
	if (*now)
		NS_TRY(ns_night_production_known(n, night, ours));
	NS_TRY(ns_trial_newest(n, &trial, digest));
	open = trial && ns_trial_is_open(trial, now);
	asks = open && ns_trial_is(trial, "waiting") && !strcmp(ours, now);
	facts = NS_JSON_OBJECT({"schema", json_string("nightshift.on_trial/1")},
			       {"candidate", json_string(asks ? ns_json_text(trial, "candidate") : "")}, {"busy", json_boolean(open)});
	json_decref(trial);
	NS_TRY(ns_night_write_once(n, name, facts));
	return ns_json_read(path, on, "nightshift.on_trial/1");
}

enum ns_status ns_trial_asked(const struct ns_night *n, const char *night, int *asked, int *busy)
{
	json_t *on;

	NS_TRY(pin(n, night, &on));
	*asked = *ns_json_text(on, "candidate") != 0;
	*busy = json_is_true(json_object_get(on, "busy"));
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

/*
 * One try to take this night into account; *trial is the newest state afterwards, NULL where the candidate is on trial no more. A state that somebody has
 * settled stays.
 */
static enum ns_status try_add(const struct ns_night *n, const char *night, const char *candidate, json_t **trial, char digest[NS_SHA256_HEX],
			      int *again)
{
	char expected[NS_SHA256_HEX], release[NS_SHA256_HEX], production[NS_SHA256_HEX];
	enum ns_status status;

	*again = 0;
	NS_TRY(ns_trial_newest(n, trial, expected));
	if (!*trial || strcmp(ns_json_text(*trial, "candidate"), candidate)) {
		json_decref(*trial);
		*trial = NULL;
		return NS_OK;
	}
	snprintf(digest, NS_SHA256_HEX, "%s", expected);
	NS_TRY(ns_registry_production(n->registry, release, production));
	if (!ns_trial_is(*trial, "waiting") || strcmp(ns_json_text(*trial, "production"), production))
		return write_here(n, night, *trial);
	NS_TRY(ns_trial_count(n, night, *trial));
	conclude(n, *trial);
	NS_TRY(add_release(n, night, *trial));
	NS_TRY(write_here(n, night, *trial));
	status = swap(n, *trial, expected, digest);
	*again = status == NS_REFUSED;
	return status;
}

/* Rank 0 alone. */
static enum ns_status add_night(const struct ns_night *n, const char *night, json_t **trial, char digest[NS_SHA256_HEX])
{
	char candidate[NS_SHA256_HEX];
	json_t *on;
	enum ns_status status = NS_OK;
	int again = 1, tries;

	*trial = NULL;
	NS_TRY(pin(n, night, &on));
	snprintf(candidate, sizeof candidate, "%s", ns_json_text(on, "candidate"));
	json_decref(on);
	for (tries = 0; again && tries < TRIES; tries++) {
		json_decref(*trial);
		*trial = NULL;
		status = try_add(n, night, candidate, trial, digest, &again);
	}
	return status;
}

static void tell(const struct ns_night *n, const char *night, const json_t *trial)
{
	ns_log_event(n->job->log, "trial",
		     json_pack("{s:s, s:s, s:O, s:O, s:O}", "night", night, "state", ns_json_text(trial, "state"), "better",
			       json_object_get(trial, "better"), "worse", json_object_get(trial, "worse"), "log_evidence",
			       json_object_get(trial, "log_evidence")));
}

enum ns_status ns_night_trial(struct ns_night *n, const struct ns_step *s)
{
	char names[4][NS_SHA256_HEX] = {"", "", "", ""}; /* the trial, the candidate, production, the candidate's release */
	json_t *trial = NULL;
	int64_t passed = 0;
	enum ns_status status = NS_OK;

	if (n->job->comm->rank == 0) {
		status = add_night(n, s->night, &trial, names[0]);
		passed = status == NS_OK && trial && ns_trial_is(trial, "passed");
		if (status == NS_OK && trial) {
			snprintf(names[1], sizeof names[1], "%s", ns_json_text(trial, "candidate"));
			snprintf(names[2], sizeof names[2], "%s", ns_json_text(trial, "production"));
			snprintf(names[3], sizeof names[3], "%s", ns_json_text(trial, "release"));
			tell(n, s->night, trial);
		}
		json_decref(trial);
	}
	NS_TRY(ns_job_agree(n->job, status));
	NS_TRY(ns_comm_broadcast(n->job->comm, &passed, sizeof passed, 0));
	NS_TRY(ns_comm_broadcast(n->job->comm, names, sizeof names, 0));
	return passed ? ns_night_promote(n, s->night, names[1], names[2], names[0], names[3]) : NS_OK;
}
