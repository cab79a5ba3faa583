/* jobs/night/call.c - the verb of a step under its own configuration: what the night has pinned, what production names, the step's settings. */
#include "host/registry/registry.h"
#include "jobs/night/night_inner.h"

#include <string.h>

/* "auto/VALUE": nobody asked for it, and a model may know better. */
static void put_found(struct ns_conf *conf, const char *key, const char *value)
{
	char found[NS_SHA256_HEX + 8];

	snprintf(found, sizeof found, "auto/%s", value);
	ns_conf_put_text(conf, key, found);
}

/* What is left to be found out is found out once a night, and decides no bits twice. Collective. */
static enum ns_status pin_choices(struct ns_night *n, const struct ns_step *s, struct ns_conf *conf)
{
	const char *verb = s->verb == NS_VERB_TRAIN ? "train" : s->verb == NS_VERB_INFER ? "infer" : NULL;
	char value[NS_SHA256_HEX], key[32];

	if (!verb)
		return NS_OK;
	if (!strcmp(ns_conf_text(conf, "device"), "auto")) {
		NS_TRY(ns_night_device(n, verb, value));
		put_found(conf, "device", value);
	}
	snprintf(key, sizeof key, "%s.precision", verb);
	if (!strcmp(ns_conf_text(conf, key), "auto")) {
		NS_TRY(ns_night_precision(n, verb, value));
		put_found(conf, key, value);
	}
	return NS_OK;
}

/* What production names comes before what is configured: a release is one thing. Collective. */
static enum ns_status set_named(struct ns_night *n, const struct ns_step *s, struct ns_conf *conf)
{
	char digest[NS_SHA256_HEX], path[NS_PATH_MAX];

	if (s->verb == NS_VERB_DRIFT) {
		NS_TRY(ns_night_named(n, s->night, "", digest));
		ns_conf_put_text(conf, "drift.release", digest);
	}
	if (!s->named)
		return NS_OK;
	NS_TRY(ns_night_named(n, s->night, s->named, digest));
	if (!*digest)
		return NS_OK;
	NS_TRY(ns_registry_object(n->registry, digest, path));
	ns_log_event(n->job->log, "named",
		     json_pack("{s:s, s:s, s:s, s:s}", "step", s->name, "key", s->key, "by_release", path, "and_not",
			       ns_conf_text(conf, s->key) ? ns_conf_text(conf, s->key) : ""));
	ns_conf_put_text(conf, s->key, path);
	return NS_OK;
}

enum ns_status ns_step_call(struct ns_night *n, const struct ns_step *s, int task, const char *result)
{
	char *argv[2] = {s->source, NULL}, part[32], digest[NS_SHA256_HEX];
	const struct ns_backend *opened;
	struct ns_conf conf;
	enum ns_status status;
	const char *key;
	json_t *value;

	NS_TRY(ns_conf_copy(&conf, n->job->conf));
	ns_conf_put_text(&conf, "out", result);
	ns_conf_put(&conf, "force", json_false());
	json_object_foreach(s->settings, key, value)
		NS_GO(ns_conf_set(&conf, key, json_string_value(value), -1));
	NS_GO(set_named(n, s, &conf));
	NS_GO(pin_choices(n, s, &conf));
	if (s->model == NS_MODEL_PRODUCTION)
		NS_GO(ns_night_production(n, s->night, digest));
	if (s->model == NS_MODEL_TRIAL)
		NS_GO(ns_trial_candidate(n, s->night, digest));
	if (s->model == NS_MODEL_FIRST) {
		NS_GO(ns_job_agree(n->job, n->job->comm->rank == 0 ? ns_night_first(n, digest) : NS_OK));
		NS_GO(ns_comm_broadcast(n->job->comm, digest, sizeof digest, 0));
	}
	if (s->model != NS_MODEL_GIVEN)
		ns_conf_put_text(&conf, "infer.model", digest);
	if (task >= 0) {
		snprintf(part, sizeof part, "%d/%d", task, s->tasks);
		ns_conf_put_text(&conf, "part", part);
	}
	if (s->recipe)
		ns_conf_put(&conf, "augment", json_deep_copy(s->recipe));
	opened = n->job->set->count ? n->job->set->backend : NULL;
	status = n->job->call(n->job, s->verb, &conf, s->source ? 1 : 0, argv);
	if (status == NS_OK && opened && n->job->set->backend != opened) /* a model that knew better does not decide for the next step */
		status = ns_device_set_hold(n->job->set, opened->name, n->job->workers);
	if (status != NS_OK)
		status = ns_fail_in(status, "%s", s->name);
out:
	ns_conf_release(&conf);
	return status;
}
