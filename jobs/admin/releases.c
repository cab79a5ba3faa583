/* jobs/admin/releases.c - a person changes what production names beside its model: an alarm is accepted, an old registry is upgraded. */
#include "host/registry/registry.h"
#include "jobs/admin/registry_inner.h"
#include "jobs/release/release.h"

#include <math.h>
#include <string.h>

static enum ns_status move(struct ns_job *job, const char *registry, const char *release, const char *was, const char *why, const char *evidence)
{
	char warning[512];

	NS_TRY(ns_registry_move(registry, "production", release, was, why, evidence, warning));
	if (*warning)
		ns_log_warn(job->log, "%s", warning);
	return NS_OK;
}

/* --- an alarm is accepted --- */

/* The night judged what production is now, where it says which: what was accepted already, or moved since, is not what a person has looked at. */
static enum ns_status check_judged(const char *night, const char *now)
{
	char path[NS_PATH_MAX];
	json_t *pin;
	enum ns_status status = NS_OK;

	NS_TRY(ns_path(path, "%s/production.json", night));
	NS_TRY(ns_json_read_if_there(path, &pin, "nightshift.pin/1"));
	if (pin && strcmp(ns_json_text(pin, "value"), now))
		status = ns_fail(NS_REFUSED, "%s: was judged under release %.12s, and production is %.12s by now; nothing was changed", night,
				 ns_json_text(pin, "value"), now);
	json_decref(pin);
	return status;
}

/* Windows since the first alarm of the change, tonight's among them. */
static enum ns_status changed_windows(const char *night, const json_t *drift, json_t **windows)
{
	const json_t *one;
	size_t i;

	*windows = json_array();
	json_array_foreach(json_object_get(drift, "windows"), i, one)
		if (json_is_true(json_object_get(one, "since_change")))
			json_array_append_new(*windows, json_deep_copy(one));
	return json_array_size(*windows)
		       ? NS_OK
		       : ns_fail(NS_USAGE,
				 "registry accept: %s/drift.json has no alarm that is open, of which the images are known: nothing to accept", night);
}

enum ns_status ns_registry_accept(struct ns_job *job, const char *registry, const char *night, const char *unused)
{
	char path[NS_PATH_MAX], now[NS_SHA256_HEX], model[NS_SHA256_HEX], evidence[NS_SHA256_HEX], digest[NS_SHA256_HEX];
	const char *why = ns_conf_text(job->conf, "registry.why");
	json_t *drift = NULL, *windows = NULL;
	struct ns_release r = {0};
	enum ns_status status;
	int moved;

	(void)unused;
	if (!why)
		return ns_fail(NS_USAGE, "registry: --why is required: who reads the log later wants to know");
	NS_GO(ns_path(path, "%s/drift.json", night));
	NS_GO(ns_json_read(path, &drift, "nightshift.drift/1"));
	NS_GO(changed_windows(night, drift, &windows));
	NS_GO(ns_registry_production(registry, now, model));
	NS_GO(*now ? NS_OK : ns_fail(NS_IO, "%s: has no ref 'production'", registry));
	NS_GO(check_judged(night, now));
	NS_GO(ns_release_begin(&r, registry, job->log, model, now, NULL));
	NS_GO(ns_release_windows(&r, windows, 1, &moved));
	NS_GO(moved ? NS_OK : ns_fail(NS_IO, "%s: the images of the windows since the change are gone: nothing to accept", night));
	NS_GO(ns_registry_put(registry, path, evidence));
	/* no labels: the model is held to what it does from now on, not to what its gate said of other images */
	NS_GO(ns_release_put(&r, "an alarm was accepted", NS_JSON_OBJECT({"drift", json_string(evidence)}),
			     NS_JSON_OBJECT({"accuracy", json_null()}, {"labels", json_integer(0)}), digest));
	NS_GO(move(job, registry, digest, now, why, evidence));
	printf("production: model %.12s as before; its reference is %zu window%s since the change (release %.12s)\n", model, json_array_size(windows),
	       json_array_size(windows) == 1 ? "" : "s", digest);
out:
	ns_release_end(&r);
	json_decref(drift);
	json_decref(windows);
	return status;
}

/* --- an old registry --- */

/* What its gate's labels said of the model, and the evidence; nothing where it never was on trial. */
static enum ns_status of_trial(const struct ns_job *job, const char *registry, const char *model, json_t *evidence, json_t *thresholds)
{
	json_t *list, *entry;
	enum ns_status status = ns_registry_trials(registry, job->log, &list);
	size_t i;

	json_array_foreach(list, i, entry) {
		const json_t *trial = json_object_get(entry, "trial");
		double labels, accuracy = ns_trial_accuracy(trial, &labels);

		if (strcmp(ns_json_text(trial, "candidate"), model) || !(labels > 0))
			continue;
		json_object_set_new(evidence, "trial", json_string(ns_json_text(entry, "digest")));
		json_object_set_new(evidence, "gate", json_string(ns_json_text(trial, "gate")));
		json_object_set_new(thresholds, "accuracy", json_real(accuracy));
		json_object_set_new(thresholds, "labels", json_real(labels));
	}
	json_decref(list);
	return status;
}

/* How many of its lists production names; none where it is a model alone. */
static enum ns_status names_how_many(const char *registry, const char *now, int *named)
{
	char model[NS_SHA256_HEX];
	json_t *release = NULL;
	int k;

	*named = 0;
	NS_TRY(ns_registry_release(registry, now, &release, model));
	for (k = 0; release && k < NS_RELEASE_PARTS; k++)
		*named += *ns_json_text(release, ns_release_key((enum ns_release_part)k)) != 0;
	json_decref(release);
	return NS_OK;
}

static void tell(const struct ns_release *r, const json_t *evidence, const char *digest)
{
	const json_t *entry;
	size_t i;
	int k;

	printf("production: model %.12s is release %.12s now\n", r->model, digest);
	for (k = 0; k < NS_RELEASE_PARTS; k++) {
		const char *key = ns_release_key((enum ns_release_part)k);

		if (!r->lists[k])
			printf("  %s: not known; nights take it from their configuration\n", key);
		json_array_foreach(json_object_get(r->lists[k], "sets"), i, entry)
			printf("  %s: %s (%.12s)\n", key, ns_json_text(entry, "path"), ns_json_text(entry, "digest"));
	}
	if (json_object_size(evidence))
		printf("  evidence: trial %.12s\n", ns_json_text(evidence, "trial"));
	else
		printf("  evidence: none, it was never on trial\n");
	printf("  earlier entries of the log stay as they are: a rollback to one of them moves the model alone\n");
}

enum ns_status ns_registry_upgrade(struct ns_job *job, const char *registry, const char *prepared, const char *unused)
{
	char now[NS_SHA256_HEX], model[NS_SHA256_HEX], digest[NS_SHA256_HEX];
	const char *why = ns_conf_text(job->conf, "registry.why");
	json_t *evidence = json_object(), *thresholds = json_object();
	struct ns_release r = {0};
	enum ns_status status;
	int named, found, anew, k;

	(void)unused;
	NS_GO(ns_registry_production(registry, now, model));
	NS_GO(*now ? NS_OK : ns_fail(NS_IO, "%s: has no ref 'production'", registry));
	NS_GO(names_how_many(registry, now, &named));
	anew = prepared && ns_conf_bool(job->conf, "registry.override");
	if (named == NS_RELEASE_PARTS && !anew) {
		printf("production: is release %.12s already, which names all; nothing was changed (--override takes the sets of a preparation instead)\n",
		       now);
		goto out;
	}
	NS_GO(ns_release_begin(&r, registry, job->log, model, anew ? "" : now, prepared));
	snprintf(r.previous, sizeof r.previous, "%s", now);
	for (k = 0, found = 0; k < NS_RELEASE_PARTS; k++)
		found += r.lists[k] != NULL;
	if (anew ? found < NS_RELEASE_PARTS : found == named)
		NS_GO(ns_fail(NS_USAGE, "registry upgrade: %s%s; nothing was changed", prepared ? prepared : "no preparation is named",
			      prepared ? ": has not what is missing of data/reference, data/train and test"
				       : ", so there is nothing that production could name"));
	NS_GO(of_trial(job, registry, model, evidence, thresholds));
	NS_GO(ns_release_put(&r, "upgraded", json_incref(evidence), json_incref(thresholds), digest));
	NS_GO(move(job, registry, digest, now, why ? why : "upgraded to a release", NULL));
	tell(&r, evidence, digest);
out:
	ns_release_end(&r);
	json_decref(evidence);
	json_decref(thresholds);
	return status;
}
