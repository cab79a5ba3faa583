/* jobs/release/release.c - a release from the one before, from a preparation, from the windows since a change. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/release/lists_inner.h"

#include <stdlib.h>
#include <string.h>

#include "host/registry/registry.h"

#define SCHEMA	   "nightshift.release/1"
#define REFERENCES 60 /* windows of a reference, at most: the newest */

/* --- how it begins --- */

/* The lists of the release before, those of them that it has. */
static enum ns_status take_lists(struct ns_release *r, const char *previous)
{
	char path[NS_PATH_MAX], model[NS_SHA256_HEX];
	json_t *before = NULL;
	enum ns_status status = NS_OK;
	int k;

	if (!*previous)
		return NS_OK;
	NS_TRY(ns_registry_release(r->registry, previous, &before, model));
	snprintf(r->previous, sizeof r->previous, "%s", previous);
	for (k = 0; before && k < NS_RELEASE_PARTS; k++) {
		const char *digest = ns_json_text(before, ns_release_key((enum ns_release_part)k));

		if (!*digest)
			continue;
		NS_GO(ns_registry_object(r->registry, digest, path));
		NS_GO(ns_json_read(path, &r->lists[k], "nightshift.sets/1"));
	}
out:
	json_decref(before);
	return status == NS_OK ? NS_OK : ns_fail_in(status, "release %.12s, before this one", previous);
}

static enum ns_status take_base(struct ns_release *r, const char *base)
{
	static const char *const names[] = {"data/reference", "data/train", "test"};
	char path[NS_PATH_MAX];
	struct ns_dataset *d;
	enum ns_status status;
	int k, is;

	for (k = 0; base && k < NS_RELEASE_PARTS; k++) {
		if (r->lists[k])
			continue;
		NS_TRY(ns_path(path, "%s/%s", base, names[k]));
		NS_TRY(ns_exists(path, &is));
		if (!is) { /* a preparation need not have all: what is not there is the configuration's to say */
			ns_log_warn(r->log, "the release names no %s: there is no %s", ns_release_key((enum ns_release_part)k), path);
			continue;
		}
		NS_TRY(ns_release_open(r, (enum ns_release_part)k, path, "", &d));
		status = d ? ns_release_add(r, (enum ns_release_part)k, d, "the preparation", NULL, NULL) : NS_OK;
		ns_dataset_close(d);
		NS_TRY(status);
	}
	return NS_OK;
}

enum ns_status ns_release_begin(struct ns_release *r, const char *registry, struct ns_log *log, const char *model, const char *previous,
				const char *base)
{
	char path[NS_PATH_MAX];

	*r = (struct ns_release){.registry = registry, .log = log};
	snprintf(r->model, sizeof r->model, "%s", model);
	NS_TRY(ns_registry_object(registry, model, path));
	NS_TRY(ns_json_read(path, &r->facts, "nightshift.model/1"));
	r->classes = json_object_get(r->facts, "classes");
	NS_TRY(take_lists(r, previous));
	return take_base(r, base);
}

void ns_release_end(struct ns_release *r)
{
	int k;

	for (k = 0; k < NS_RELEASE_PARTS; k++)
		json_decref(r->lists[k]);
	json_decref(r->facts);
}

/* --- its reference --- */

static enum ns_status add_window(struct ns_release *r, const json_t *w, int64_t *rows)
{
	struct ns_dataset *d;
	enum ns_status status;
	char night[64];

	snprintf(night, sizeof night, "window %.0f", ns_json_number(w, "window", 0));
	NS_TRY(ns_release_open(r, NS_RELEASE_REFERENCE, ns_json_text(w, "path"), ns_json_text(w, "digest"), &d));
	if (!d)
		return NS_OK;
	*rows += d->rows;
	status = ns_release_add(r, NS_RELEASE_REFERENCE, d, night, NULL, NULL);
	ns_dataset_close(d);
	return status;
}

enum ns_status ns_release_windows(struct ns_release *r, const json_t *windows, int64_t least, int *moved)
{
	json_t *before = r->lists[NS_RELEASE_REFERENCE];
	size_t n = json_array_size(windows), i;
	enum ns_status status = NS_OK;
	int64_t rows = 0;

	r->lists[NS_RELEASE_REFERENCE] = NULL;
	for (i = n > REFERENCES ? n - REFERENCES : 0; i < n && status == NS_OK; i++)
		status = add_window(r, json_array_get(windows, i), &rows);
	*moved = status == NS_OK && rows > 0 && rows >= least;
	if (*moved) {
		json_decref(before);
		return NS_OK;
	}
	json_decref(r->lists[NS_RELEASE_REFERENCE]);
	r->lists[NS_RELEASE_REFERENCE] = before;
	return status;
}

/* --- into the registry --- */

enum ns_status ns_release_put(struct ns_release *r, const char *how, json_t *evidence, json_t *thresholds, char digest[NS_SHA256_HEX])
{
	json_t *json = NS_JSON_OBJECT({"schema", json_string(SCHEMA)}, {"model", json_string(r->model)}, {"previous", json_string(r->previous)},
				      {"how", json_string(how)},
				      {"calibration", NS_JSON_OBJECT({"temperature", ns_json_real(ns_json_number(r->facts, "temperature", 1))})},
				      {"thresholds", thresholds}, {"evidence", evidence});
	char list[NS_SHA256_HEX];
	enum ns_status status = json ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a release");
	int k;

	for (k = 0; status == NS_OK && k < NS_RELEASE_PARTS; k++) {
		const char *key = ns_release_key((enum ns_release_part)k);

		json_object_set_new(json, key, json_null());
		if (!r->lists[k])
			continue;
		status = ns_registry_put_json(r->registry, r->lists[k], list);
		json_object_set_new(json, key, json_string(list));
	}
	if (status == NS_OK)
		status = ns_registry_put_json(r->registry, json, digest);
	json_decref(json);
	return status;
}

/* The newest release under which the model was production; "": none. */
static enum ns_status find_former(const char *registry, const char *model, char release[NS_SHA256_HEX])
{
	json_t *log, *entry;
	size_t i;

	*release = 0;
	NS_TRY(ns_registry_production_log(registry, &log));
	json_array_foreach(log, i, entry)
		if (!strcmp(ns_json_text(entry, "model"), model))
			snprintf(release, NS_SHA256_HEX, "%s", ns_json_text(entry, "new"));
	json_decref(log);
	return NS_OK;
}

enum ns_status ns_release_by_hand(const char *registry, struct ns_log *log, const char *digest, const char *how, char release[NS_SHA256_HEX])
{
	char model[NS_SHA256_HEX], now[NS_SHA256_HEX], of[NS_SHA256_HEX], former[NS_SHA256_HEX];
	struct ns_release r = {0};
	json_t *json;
	enum ns_status status;
	int is_release;

	NS_TRY(ns_registry_release(registry, digest, &json, model));
	is_release = json != NULL;
	json_decref(json);
	NS_TRY(ns_registry_production(registry, now, of));
	if (*now && !is_release) {
		NS_TRY(find_former(registry, model, former));
		if (!*former && strcmp(now, of)) { /* production is a release of another model */
			NS_GO(ns_release_begin(&r, registry, log, model, now, NULL));
			NS_GO(ns_release_put(&r, how, json_object(), json_object(), former));
		}
		if (*former) {
			snprintf(release, NS_SHA256_HEX, "%s", former);
			goto out;
		}
	}
	status = NS_OK;
	if (release != digest)
		snprintf(release, NS_SHA256_HEX, "%s", digest);
out:
	ns_release_end(&r);
	return status;
}
