/*
 * jobs/night/pin.c - decisions that are made once for a whole night, by the first job that asks, on any node: the production model,
 * and a verb's device and precision where the configuration leaves them open. Tasks of an array, and restarted steps, follow the file
 * that the first job has linked.
 */
#include "host/base/base.h"
#include "jobs/night/night_inner.h"

#include <string.h>

#include "host/train/train.h"
#include "host/registry/registry.h"

typedef enum ns_status decide_fn(struct ns_night *n, char value[NS_SHA256_HEX]);

/* rank 0 alone */
static enum ns_status look_up(const char *path, char value[NS_SHA256_HEX])
{
	json_t *json;

	NS_TRY(ns_json_read(path, &json, "nightshift.pin/1"));
	snprintf(value, NS_SHA256_HEX, "%s", ns_json_text(json, "value"));
	json_decref(json);
	return NS_OK;
}

/* rank 0 alone */
static enum ns_status pin_put(const char *path, const char *what, const char *value)
{
	char text[256];
	int won;

	snprintf(text, sizeof text, "{\"schema\": \"nightshift.pin/1\", \"what\": \"%s\", \"value\": \"%s\"}\n", what, value);
	return ns_link_file(path, text, strlen(text), &won);
}

/* Collective, as `decide` is. */
static enum ns_status pinned(struct ns_night *n, const char *folder, const char *what, decide_fn *decide, char value[NS_SHA256_HEX])
{
	char dir[NS_PATH_MAX], path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	int first = n->job->comm->rank == 0, is = 0;
	int64_t found = 0;

	NS_TRY(ns_path(path, "%s/%s.json", ns_night_path(n, dir, folder), what));
	memset(value, 0, NS_SHA256_HEX);
	if (first) {
		status = ns_mkdirs(dir);
		if (status == NS_OK)
			status = ns_exists(path, &is);
		found = is;
	}
	NS_TRY(ns_job_agree(n->job, status));
	NS_TRY(ns_comm_broadcast(n->job->comm, &found, sizeof found, 0));
	if (!found) {
		NS_TRY(decide(n, value));
		NS_TRY(ns_job_agree(n->job, first ? pin_put(path, what, value) : NS_OK));
	}
	NS_TRY(ns_job_agree(n->job, first ? look_up(path, value) : NS_OK));
	return ns_comm_broadcast(n->job->comm, value, NS_SHA256_HEX, 0);
}

static enum ns_status production_now(struct ns_night *n, char value[NS_SHA256_HEX])
{
	return ns_job_agree(n->job, n->job->comm->rank == 0 ? ns_registry_ref(n->registry, "production", value) : NS_OK);
}

static enum ns_status device_here(struct ns_night *n, char value[NS_SHA256_HEX])
{
	NS_TRY(ns_device_set_open(n->job->set, n->job->conf, n->job->workers));
	snprintf(value, NS_SHA256_HEX, "%s", n->job->set->backend->name);
	return NS_OK;
}

/* Measured on the open device, which is the night's. */
static enum ns_status precision_here(struct ns_night *n, char value[NS_SHA256_HEX])
{
	enum ns_dtype dtype;

	NS_TRY(ns_device_set_open(n->job->set, n->job->conf, n->job->workers));
	NS_TRY(ns_choose_precision(n->job, "auto", &dtype));
	snprintf(value, NS_SHA256_HEX, "%s", dtype == NS_BF16 ? "bf16" : "f32");
	return NS_OK;
}

/* rank 0 alone: of what the night has pinned, its model, or what it names */
static enum ns_status resolve(const struct ns_night *n, const char *pinned, const char *key, char digest[NS_SHA256_HEX])
{
	json_t *release = NULL;
	enum ns_status status = ns_registry_release(n->registry, pinned, &release, digest);

	if (status == NS_OK && key)
		snprintf(digest, NS_SHA256_HEX, "%s", *key ? ns_json_text(release, key) : pinned);
	json_decref(release);
	return status == NS_OK ? NS_OK : ns_fail_in(status, "production of this night is %.12s", pinned);
}

static enum ns_status pinned_production(struct ns_night *n, const char *night, const char *key, char digest[NS_SHA256_HEX])
{
	char value[NS_SHA256_HEX];

	NS_TRY(pinned(n, *night ? night : "prepare", "production", production_now, value));
	memset(digest, 0, NS_SHA256_HEX);
	NS_TRY(ns_job_agree(n->job, n->job->comm->rank == 0 ? resolve(n, value, key, digest) : NS_OK));
	return ns_comm_broadcast(n->job->comm, digest, NS_SHA256_HEX, 0);
}

enum ns_status ns_night_production(struct ns_night *n, const char *night, char digest[NS_SHA256_HEX])
{
	return pinned_production(n, night, NULL, digest);
}

enum ns_status ns_night_named(struct ns_night *n, const char *night, const char *key, char digest[NS_SHA256_HEX])
{
	return pinned_production(n, night, key, digest);
}

enum ns_status ns_night_production_known(const struct ns_night *n, const char *night, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME], value[NS_SHA256_HEX];
	int is;

	snprintf(name, sizeof name, "%s/production.json", night);
	NS_TRY(ns_exists(ns_night_path(n, path, name), &is));
	NS_TRY(is ? look_up(path, value) : ns_registry_ref(n->registry, "production", value));
	return resolve(n, value, NULL, digest);
}

enum ns_status ns_night_first(const struct ns_night *n, char digest[NS_SHA256_HEX])
{
	json_t *log;
	enum ns_status status;

	NS_TRY(ns_registry_log(n->registry, "production", &log));
	status = resolve(n, ns_json_text(json_array_get(log, 0), "new"), NULL, digest);
	json_decref(log);
	return status;
}

/* A file a verb, such as steps/device.infer.json: training and inference may run on different kinds of nodes. */
static enum ns_status of_verb(struct ns_night *n, const char *what, const char *verb, decide_fn *decide, char value[NS_SHA256_HEX])
{
	char name[64];

	snprintf(name, sizeof name, "%s.%s", what, verb);
	return pinned(n, "steps", name, decide, value);
}

enum ns_status ns_night_device(struct ns_night *n, const char *verb, char device[NS_SHA256_HEX])
{
	NS_TRY(of_verb(n, "device", verb, device_here, device));
	return ns_device_set_hold(n->job->set, device, n->job->workers); /* what `auto` has opened here may differ from the night's */
}

enum ns_status ns_night_precision(struct ns_night *n, const char *verb, char precision[NS_SHA256_HEX])
{
	return of_verb(n, "precision", verb, precision_here, precision);
}
