/* jobs/night/next.c - what a night came to, and what a person is to do: the first line of its page, and `next` of summary.json. */
#include "jobs/night/night_inner.h"

#include <math.h>
#include <string.h>

#include "host/judge/judge.h"
#include "host/registry/registry.h"

#define RECENT 14 /* days after a promotion in which harm speaks for going back */
#define MOST   100000

/* More labelled rows like those so far that would make the evidence suffice; -1: none would. */
static int64_t rows_wanted(const json_t *trial)
{
	double rows = ns_json_number(trial, "rows", 0), better = ns_json_number(trial, "better", 0), worse = ns_json_number(trial, "worse", 0);
	double needed = log(ns_json_number(trial, "needed", NS_GATE_EVIDENCE));
	int64_t more;

	if (rows < 1)
		return ns_gate_rows_wanted(.1, .9, exp(needed));
	if (better <= worse)
		return -1;
	for (more = 1; more < MOST; more += 1 + more / 50) {
		double times = (rows + (double)more) / rows;

		if (ns_gate_evidence((int64_t)(better * times), (int64_t)(worse * times + .5)) >= needed)
			return more;
	}
	return -1;
}

static json_t *next(const char *what, const char *say)
{
	return NS_JSON_OBJECT({"do", json_string(what)}, {"say", ns_json_string(say)});
}

static json_t *of_trial(const json_t *trial, const json_t *gate)
{
	const char *candidate = ns_json_text(trial, "candidate");
	int64_t more = rows_wanted(trial);
	char say[512], labels[128];
	const json_t *rule;
	size_t i;

	if (more < 0)
		snprintf(labels, sizeof labels, "so far nothing speaks for it");
	else
		snprintf(labels, sizeof labels, "about %lld more decide", (long long)more);
	if (ns_trial_is(trial, "passed"))
		return next("nothing", "A better model is in production.");
	if (ns_trial_is(trial, "held")) {
		snprintf(say, sizeof say,
			 "A better model waits for a person: nightshift registry approve %.12s --why ..., or reject; production is unchanged.",
			 candidate);
		return next("approve", say);
	}
	if (ns_trial_is(trial, "waiting")) {
		snprintf(say, sizeof say,
			 "A candidate is on trial and waits for labels: %.0f rows speak for it, %.0f against it; %s. Production is unchanged.",
			 ns_json_number(trial, "better", 0), ns_json_number(trial, "worse", 0), labels);
		return next("label", say);
	}
	snprintf(say, sizeof say, "The candidate was refused: in all its nights %.0f rows spoke for it and %.0f against it. Production is unchanged.",
		 ns_json_number(trial, "better", 0), ns_json_number(trial, "worse", 0));
	if (*ns_json_text(trial, "why"))
		snprintf(say, sizeof say, "The candidate was refused: %.200s. Production is unchanged.", ns_json_text(trial, "why"));
	json_array_foreach(json_object_get(gate, "rules"), i, rule)
		if (i && !json_is_true(json_object_get(rule, "held"))) {
			snprintf(say, sizeof say, "The candidate was refused, as this does not hold: %s. Production is unchanged.",
				 ns_json_text(rule, "rule"));
			break;
		}
	return next("look", say);
}

static json_t *of_drift(const json_t *drift)
{
	const char *what = ns_json_text(json_object_get(drift, "next"), "do"), *status = ns_json_text(drift, "status");
	const json_t *dead = json_object_get(json_object_get(drift, "next"), "dead");
	char say[512];

	if (!*what)
		return NULL;
	if (json_array_size(dead)) {
		snprintf(say, sizeof say, "Look at %s: it has no images, or all of them are alike.", json_string_value(json_array_get(dead, 0)));
		return next("look", say);
	}
	if (!strcmp(what, "label")) {
		snprintf(say, sizeof say,
			 "%s Label some of its images: %.0f have labels; with %.0f a gain of ten points is seen in nine of ten cases.",
			 !strcmp(status, "harmful")    ? "The model is estimated to suffer."
			 : !strcmp(status, "material") ? "The data has moved."
						       : "An alarm of an earlier night is still open.",
			 ns_json_number(json_object_get(drift, "next"), "labels", 0),
			 ns_json_number(json_object_get(drift, "next"), "labels_for_nine_of_ten", 0));
		return next("label", say);
	}
	if (!strcmp(what, "look")) {
		snprintf(say, sizeof say, "%s Look at its images.",
			 !strcmp(status, "harmful")    ? "The model suffers, and no retraining was asked for."
			 : !strcmp(status, "material") ? "The data has moved; the model is not seen to suffer."
						       : "An alarm of an earlier night is still open.");
		return next("look", say);
	}
	return NULL;
}

/* Harm that labels show soon after a promotion speaks for going back. */
static enum ns_status of_promotion(const struct ns_night *n, const char *night, const json_t *drift, json_t **out)
{
	char judged[NS_SHA256_HEX];
	json_t *log = NULL;
	const json_t *last;
	double when;
	char say[256];
	int is;

	if (!json_is_true(json_object_get(json_object_get(json_object_get(drift, "accuracy"), "all"), "harmful")))
		return NS_OK;
	NS_TRY(ns_registry_has(n->registry, "production", &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_night_production_known(n, night, judged));
	NS_TRY(ns_registry_production_log(n->registry, &log));
	last = json_array_get(log, json_array_size(log) - 1);
	when = ns_json_number(last, "time", 0);
	if (json_array_size(log) > 1 && !strcmp(ns_json_text(last, "model"), judged) && *ns_json_text(last, "evidence") &&
	    (double)ns_today() - when < RECENT * 86400.) {
		snprintf(say, sizeof say, "The model that was promoted %.0f days ago suffers, by labels: nightshift registry rollback production.",
			 fmax(0, ((double)ns_today() - when) / 86400));
		*out = next("rollback", say);
	}
	json_decref(log);
	return NS_OK;
}

static int urgency(const json_t *one)
{
	static const char *const order[] = {"nothing", "label", "look", "approve", "rollback"};
	int i, found = -1;

	for (i = 0; i < 5; i++)
		if (!strcmp(ns_json_text(one, "do"), order[i]))
			found = i;
	return found;
}

static void take(json_t **best, json_t *one)
{
	/* a promotion is what happened, and nothing is to be done; of equal urgency the later night speaks */
	if (one && urgency(one) >= urgency(*best)) {
		json_decref(*best);
		*best = one;
	} else {
		json_decref(one);
	}
}

/* The trial that is open in the registry, where there is one. */
static enum ns_status still_open(const struct ns_night *n, const char *night, json_t **trial)
{
	char digest[NS_SHA256_HEX], production[NS_SHA256_HEX];
	int is;

	NS_TRY(ns_registry_has(n->registry, "production", &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_night_production_known(n, night, production));
	NS_TRY(ns_trial_newest(n, trial, digest));
	if (*trial && ns_trial_is_open(*trial, production))
		return NS_OK;
	json_decref(*trial);
	*trial = NULL;
	return NS_OK;
}

static enum ns_status of_night(const struct ns_night *n, const char *night, json_t **best)
{
	json_t *drift = NULL, *trial = NULL, *gate = NULL, *back = NULL;
	enum ns_status status;

	NS_GO(ns_night_load(n, night, "drift.json", &drift));
	NS_GO(ns_night_load(n, night, "trial.json", &trial));
	NS_GO(ns_night_load(n, night, "gate.json", &gate));
	if (!trial) /* what waits is said on every night */
		NS_GO(still_open(n, night, &trial));
	/* of a change for which a candidate is on trial, or was let through, the trial speaks; a dead camera is another matter */
	if (drift && (!trial || ns_trial_is(trial, "refused") || json_array_size(json_object_get(json_object_get(drift, "next"), "dead"))))
		take(best, of_drift(drift));
	if (trial)
		take(best, of_trial(trial, gate));
	if (drift && !gate)
		NS_GO(of_promotion(n, night, drift, &back));
	take(best, back);
out:
	json_decref(drift);
	json_decref(trial);
	json_decref(gate);
	return status;
}

enum ns_status ns_night_next(const struct ns_night *n, size_t unfinished, json_t **out)
{
	const json_t *entry;
	char say[128];
	enum ns_status status = NS_OK;
	size_t i;

	*out = next("nothing", "Nothing out of the ordinary. Production is unchanged.");
	json_array_foreach(n->nights, i, entry)
		if (status == NS_OK)
			status = of_night(n, ns_json_text(entry, "name"), out);
	if (!unfinished || status != NS_OK)
		return status;
	json_decref(*out);
	snprintf(say, sizeof say, "%zu step%s of this night did not come to %s end.", unfinished, unfinished == 1 ? "" : "s",
		 unfinished == 1 ? "its" : "their");
	*out = next("look", say);
	return NS_OK;
}
