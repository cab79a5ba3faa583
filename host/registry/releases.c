/*
 * host/registry/releases.c - what the ref `production` names: a release, nightshift.release/1, whose model it is, or, in a registry that is older than
 * releases, or where a person promoted a model in one, that model alone.
 */
#include "host/registry/registry_inner.h"

#include <string.h>

#define SCHEMA "nightshift.release/1"

enum ns_status ns_registry_release(const char *registry, const char *digest, json_t **release, char model[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX];
	const char *schema;

	NS_TRY(ns_registry_object(registry, digest, path));
	NS_TRY(ns_json_read(path, release, NULL));
	schema = ns_json_text(*release, "schema");
	if (!strcmp(schema, SCHEMA) && ns_is_sha256(ns_json_text(*release, "model"))) {
		snprintf(model, NS_SHA256_HEX, "%s", ns_json_text(*release, "model"));
		return NS_OK;
	}
	if (!strcmp(schema, SCHEMA)) {
		enum ns_status status = ns_fail(NS_BAD_DATA, "%s: model is '%.70s', expected a digest", path, ns_json_text(*release, "model"));

		json_decref(*release);
		*release = NULL;
		return status;
	}
	json_decref(*release);
	*release = NULL;
	snprintf(model, NS_SHA256_HEX, "%s", digest);
	return NS_OK;
}

enum ns_status ns_registry_model(const char *registry, const char *digest, char model[NS_SHA256_HEX])
{
	json_t *release = NULL;

	NS_TRY(ns_registry_release(registry, digest, &release, model));
	json_decref(release);
	return NS_OK;
}

enum ns_status ns_registry_production(const char *registry, char digest[NS_SHA256_HEX], char model[NS_SHA256_HEX])
{
	*model = 0;
	NS_TRY(ns_registry_ref_if_there(registry, "production", digest));
	return *digest ? ns_registry_model(registry, digest, model) : NS_OK;
}

/* Says when and why production was what is missing, which is how one finds the night that has it. */
static enum ns_status name_entry(enum ns_status status, const json_t *entry, size_t number)
{
	return ns_fail_in(status, "entry %zu of production, of %.0f seconds since 1970 (%s; evidence %.12s)", number,
			  ns_json_number(entry, "time", 0), ns_json_text(entry, "why"),
			  *ns_json_text(entry, "evidence") ? ns_json_text(entry, "evidence") : "none");
}

enum ns_status ns_registry_production_log(const char *registry, json_t **log)
{
	char model[NS_SHA256_HEX];
	json_t *entry;
	enum ns_status status = NS_OK;
	size_t i;

	NS_TRY(ns_registry_log(registry, "production", log));
	json_array_foreach(*log, i, entry) {
		status = ns_registry_model(registry, ns_json_text(entry, "new"), model);
		if (status != NS_OK) {
			status = name_entry(status, entry, i + 1);
			break;
		}
		json_object_set_new(entry, "model", json_string(model));
	}
	if (status == NS_OK)
		return NS_OK;
	json_decref(*log);
	*log = NULL;
	return status;
}
