/* host/registry/trials.c - reads states of candidates' trials, nightshift.trial/1: objects that the log of the ref `trial` names. */
#include "host/judge/judge.h"
#include "host/registry/registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "nightshift.trial/1"

static enum ns_status check(const json_t *trial, const char *path)
{
	static const char *const counts[] = {"rows", "labelled", "correct", "better", "worse"};
	const json_t *votes = json_object_get(trial, "votes"), *vote;
	double needed;
	int64_t value;
	size_t i, k;

	NS_TRY(ns_json_get_real(trial, "needed", path, &needed));
	if (needed < NS_GATE_EVIDENCE || !json_array_size(votes))
		return ns_fail(NS_BAD_DATA, "%s: needed is %g and there are %zu votes, expected at least %g and one", path, needed,
			       json_array_size(votes), NS_GATE_EVIDENCE);
	json_array_foreach(votes, i, vote)
		for (k = 0; k < sizeof counts / sizeof *counts; k++)
			NS_TRY(ns_json_get_int(vote, counts[k], path, 0, INT32_MAX, &value));
	return NS_OK;
}

json_t *ns_registry_trial(const char *registry, struct ns_log *log, const char *digest)
{
	char path[NS_PATH_MAX];
	json_t *trial = NULL;

	if (ns_registry_object(registry, digest, path) == NS_OK && ns_json_read(path, &trial, SCHEMA) == NS_OK && check(trial, path) == NS_OK)
		return trial;
	ns_log_warn(log, "a trial cannot be read, and counts as none: %s", ns_message());
	json_decref(trial);
	return NULL;
}

enum ns_status ns_registry_trials(const char *registry, struct ns_log *log, json_t **list)
{
	json_t *entries, *entry, *trial;
	size_t i;
	int is;

	*list = json_array();
	NS_TRY(ns_registry_has(registry, "trial", &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_registry_log(registry, "trial", &entries));
	json_array_foreach(entries, i, entry) {
		trial = ns_registry_trial(registry, log, ns_json_text(entry, "new"));
		json_array_append_new(*list,
				      NS_JSON_OBJECT({"digest", json_string(ns_json_text(entry, "new"))}, {"trial", trial ? trial : json_null()}));
	}
	json_decref(entries);
	return NS_OK;
}

int ns_trial_is(const json_t *trial, const char *state)
{
	return !strcmp(ns_json_text(trial, "state"), state);
}

double ns_trial_accuracy(const json_t *trial, double *labels)
{
	double right = 0, worth = 0, labelled = ns_json_number(trial, "labelled", 0);
	const json_t *vote;
	size_t i;

	json_array_foreach(json_object_get(trial, "votes"), i, vote) {
		double n = ns_json_number(vote, "labelled", 0), w = ns_json_number(vote, "worth", n);

		if (!(n > 0) || !(w > 0))
			continue;
		right += w * ns_json_number(vote, "accuracy", ns_json_number(vote, "correct", 0) / n);
		worth += w;
	}
	*labels = worth > 0 ? ns_json_number(trial, "rows", 0) * worth / labelled : 0;
	return worth > 0 ? right / worth : NAN;
}

int ns_trial_is_open(const json_t *trial, const char *production)
{
	return (ns_trial_is(trial, "waiting") || ns_trial_is(trial, "held")) && !strcmp(ns_json_text(trial, "production"), production);
}
