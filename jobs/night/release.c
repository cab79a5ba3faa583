/* jobs/night/release.c - the release under which a model of this night becomes production, and what tonight's production names. */
#include "jobs/night/night_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/registry/registry.h"
#include "jobs/release/release.h"

enum ns_status ns_night_base(const struct ns_night *n, char path[NS_PATH_MAX])
{
	if (n->prepared)
		return ns_path(path, "%s", n->prepared);
	ns_night_path(n, path, "prepare");
	return NS_OK;
}

/* An object among a gate's evidence; *json is NULL where it has none of that name, or one that is not JSON. */
static enum ns_status evidence_of(const struct ns_night *n, const json_t *gate, const char *name, json_t **json)
{
	const char *digest = ns_json_text(json_object_get(gate, "evidence"), name);
	char path[NS_PATH_MAX];

	*json = NULL;
	if (!*digest)
		return NS_OK;
	NS_TRY(ns_registry_object(n->registry, digest, path));
	return ns_json_read(path, json, NULL);
}

/* Is it one of the manifest's windows? Its images taught the model, which is surer of them than it will be of others. */
static int has_taught(const json_t *manifest, const char *digest)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(json_object_get(manifest, "predicate"), "data"), "datasets"), i, one)
		if (!strcmp(ns_json_text(one, "digest"), digest))
			return 1;
	return 0;
}

/* The windows after the one that called for the model, but for those that taught it. */
static json_t *windows_after(const json_t *windows, const json_t *manifest)
{
	const json_t *sets = json_object_get(json_object_get(json_object_get(manifest, "predicate"), "data"), "datasets"), *w;
	const char *alarm = ns_json_text(json_array_get(sets, 1), "digest");
	json_t *after = json_array();
	int seen = 0;
	size_t i;

	json_array_foreach(windows, i, w) {
		if (seen && !has_taught(manifest, ns_json_text(w, "digest")))
			json_array_append_new(after, json_deep_copy(w));
		seen |= *alarm && !strcmp(ns_json_text(w, "digest"), alarm);
	}
	return after;
}

/* What argued for it: the gate's evidence, and the gate. */
static json_t *evidence_json(const json_t *gate, const char *digest)
{
	json_t *all = json_deep_copy(json_object_get(gate, "evidence"));

	all = all ? all : json_object();
	json_object_set_new(all, "gate", json_string(digest));
	return all;
}

static json_t *thresholds(const json_t *trial)
{
	double labels, accuracy = ns_trial_accuracy(trial, &labels);

	return NS_JSON_OBJECT({"accuracy", ns_json_real(accuracy)}, {"labels", json_real(labels)});
}

/* The model's own rows: what it was taught by, what judged it, what is usual now. */
static enum ns_status add_rows(const struct ns_night *n, struct ns_release *r, const json_t *gate, const json_t *manifest, const json_t *windows,
			       const json_t *trial)
{
	const char *selection = ns_json_text(json_object_get(gate, "evidence"), "selection");
	json_t *after = windows_after(windows, manifest);
	enum ns_status status = after ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a release");
	int moved;

	if (status == NS_OK)
		status = ns_release_taught(r, manifest, selection);
	if (status == NS_OK)
		status = ns_release_judged(r, windows, json_object_get(trial, "votes"), selection);
	if (status == NS_OK)
		status = ns_release_windows(r, after, n->reference_rows, &moved);
	json_decref(after);
	return status;
}

enum ns_status ns_night_release(const struct ns_night *n, const char *night, const json_t *trial, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], base[NS_PATH_MAX], now[NS_SHA256_HEX], model[NS_SHA256_HEX];
	json_t *gate = NULL, *manifest = NULL, *drift = NULL;
	struct ns_release r = {0};
	enum ns_status status;

	NS_GO(ns_registry_production(n->registry, now, model));
	NS_GO(ns_registry_object(n->registry, ns_json_text(trial, "gate"), path));
	NS_GO(ns_json_read(path, &gate, NULL));
	NS_GO(evidence_of(n, gate, "manifest", &manifest));
	NS_GO(ns_night_load(n, night, "drift.json", &drift));
	NS_GO(ns_night_base(n, base));
	NS_GO(ns_release_begin(&r, n->registry, n->job->log, ns_json_text(trial, "candidate"), now, base));
	NS_GO(add_rows(n, &r, gate, manifest, json_object_get(drift, "windows"), trial));
	status = ns_release_put(&r, "passed its gate", evidence_json(gate, ns_json_text(trial, "gate")), thresholds(trial), digest);
out:
	ns_release_end(&r);
	json_decref(gate);
	json_decref(manifest);
	json_decref(drift);
	return status;
}

enum ns_status ns_night_first_release(const struct ns_night *n, const char *model, char digest[NS_SHA256_HEX])
{
	char base[NS_PATH_MAX];
	struct ns_release r = {0};
	enum ns_status status;

	NS_GO(ns_night_base(n, base));
	NS_GO(ns_release_begin(&r, n->registry, n->job->log, model, "", base));
	status = ns_release_put(&r, "first model of this site", json_object(), json_object(), digest);
out:
	ns_release_end(&r);
	return status;
}
