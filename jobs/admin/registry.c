/* jobs/admin/registry.c - the verb registry: lists and shows its content, moves its refs, settles trials, verifies, collects garbage. */
#include "host/registry/registry.h"
#include "jobs/admin/registry_inner.h"
#include "jobs/release/release.h"

#include <string.h>
#include <time.h>
#include <stdlib.h>

/* The model of a release, where it is one; in a registry whose objects are gone the log is shown all the same. */
static void print_model(const char *registry, const char *digest)
{
	char model[NS_SHA256_HEX];

	if (ns_registry_model(registry, digest, model) != NS_OK)
		printf("  (its object cannot be read)");
	else if (strcmp(model, digest))
		printf("  (model %.12s)", model);
	putchar('\n');
}

static void print_entry(const char *registry, const json_t *e, int number)
{
	time_t t = (time_t)ns_json_number(e, "time", 0);
	struct tm *tm = gmtime(&t);
	char when[32] = "";

	if (tm)
		strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", tm);
	printf("%6d  %s  %.12s -> %.12s  %s", number, when, *ns_json_text(e, "old") ? ns_json_text(e, "old") : "(new)", ns_json_text(e, "new"),
	       ns_json_text(e, "why"));
	print_model(registry, ns_json_text(e, "new"));
}

static enum ns_status list(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	json_t *names, *n;
	size_t i;

	(void)job;
	(void)name;
	(void)digest;
	NS_TRY(ns_registry_names(registry, &names));
	json_array_foreach(names, i, n) {
		char now[NS_SHA256_HEX];

		NS_TRY(ns_registry_ref(registry, json_string_value(n), now));
		printf("%-16s %s", json_string_value(n), now);
		print_model(registry, now);
	}
	json_decref(names);
	return NS_OK;
}

/* Shows the object of a ref or a digest: JSON as text, of other objects only the size. */
static enum ns_status show(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	char path[NS_PATH_MAX], now[NS_SHA256_HEX], *text;
	size_t bytes;

	(void)job;
	(void)digest;
	if (strlen(name) < 8 || strspn(name, "0123456789abcdef") != strlen(name)) {
		NS_TRY(ns_registry_ref(registry, name, now));
		name = now;
	}
	NS_TRY(ns_registry_object(registry, name, path));
	NS_TRY(ns_read_file(path, &text, &bytes));
	if (memchr(text, 0, bytes))
		printf("%s: %zu bytes\n", path, bytes);
	else
		fwrite(text, 1, bytes, stdout);
	free(text);
	return NS_OK;
}

static void warn(struct ns_job *job, const char *warning)
{
	if (*warning)
		ns_log_warn(job->log, "%s", warning);
}

/* --- candidates on trial --- */

/* The newest state of a candidate's trial, by its digest or the first digits of it; *trial is NULL where it never was on trial. */
static enum ns_status find_trial(const struct ns_job *job, const char *registry, const char *digest, json_t **trial, char of[NS_SHA256_HEX])
{
	json_t *list, *entry;
	enum ns_status status = ns_registry_trials(registry, job->log, &list);
	size_t i;

	*trial = NULL;
	json_array_foreach(list, i, entry) {
		json_t *one = json_object_get(entry, "trial");

		if (strncmp(ns_json_text(one, "candidate"), digest, strlen(digest)) != 0)
			continue;
		json_decref(*trial);
		*trial = json_incref(one);
		snprintf(of, NS_SHA256_HEX, "%s", ns_json_text(entry, "digest"));
	}
	json_decref(list);
	return status;
}

/* A person's decision becomes the trial's newest state: who, and why. */
static enum ns_status settle(struct ns_job *job, const char *registry, json_t *trial, const char *was, const char *state, const char *why,
			     char digest[NS_SHA256_HEX])
{
	char who[NS_WHO], warning[512];

	json_object_set_new(trial, "state", json_string(state));
	json_object_set_new(trial, "who", ns_json_string(ns_who(who)));
	json_object_set_new(trial, "why", ns_json_string(why));
	NS_TRY(ns_registry_put_json(registry, trial, digest));
	NS_TRY(ns_registry_move(registry, "trial", digest, was, why, NULL, warning));
	warn(job, warning);
	return NS_OK;
}

/* The trial that a person decides on, in one of two states, and why. */
static enum ns_status trial_to_settle(struct ns_job *job, const char *registry, const char *digest, const char *state, const char * or,
				      json_t **trial, char was[NS_SHA256_HEX])
{
	char newest[NS_SHA256_HEX];
	const char *is;

	if (!ns_conf_text(job->conf, "registry.why"))
		return ns_fail(NS_USAGE, "registry: --why is required: who reads the log later wants to know");
	if (strlen(digest) < 8)
		return ns_fail(NS_USAGE, "registry: '%s' is no digest of a candidate, nor its first eight digits", digest);
	NS_TRY(find_trial(job, registry, digest, trial, was));
	if (!*trial)
		return ns_fail(NS_BAD_DATA, "%s: no candidate %.12s was ever on trial", registry, digest);
	NS_TRY(ns_registry_ref(registry, "trial", newest));
	is = ns_json_text(*trial, "state");
	if (!strcmp(newest, was) && (!strcmp(is, state) || !strcmp(is, or)))
		return NS_OK;
	return ns_fail(NS_REFUSED, "%s: the trial of candidate %.12s is %s%s, expected %s%s%s", registry, digest, is,
		       strcmp(newest, was) ? ", and another came after it" : "", state, strcmp(state, or) ? " or " : "", strcmp(state, or) ? or : "");
}

/*
 * The trial is settled first: killed in between, the same command promotes, as the trial is approved and production is what it was. The release is the one
 * that the night has put together, or, of a trial from before there were releases, today's with that model.
 */
static enum ns_status approve(struct ns_job *job, const char *registry, const char *digest, const char *unused)
{
	char was[NS_SHA256_HEX], now[NS_SHA256_HEX], model[NS_SHA256_HEX], state[NS_SHA256_HEX], release[NS_SHA256_HEX], warning[512];
	const char *why = ns_conf_text(job->conf, "registry.why"), *candidate;
	json_t *trial = NULL;
	enum ns_status status;

	(void)unused;
	NS_GO(trial_to_settle(job, registry, digest, "held", "approved", &trial, was));
	candidate = ns_json_text(trial, "candidate");
	NS_GO(ns_registry_production(registry, now, model));
	if (strcmp(model, ns_json_text(trial, "production")) && strcmp(model, candidate)) {
		status = ns_fail(NS_REFUSED, "%s: production is model %.12s by now, and the trial of %.12s was against %.12s; nothing was changed",
				 registry, model, candidate, ns_json_text(trial, "production"));
		goto out;
	}
	snprintf(release, sizeof release, "%s", ns_json_text(trial, "release"));
	if (!*release)
		NS_GO(ns_release_by_hand(registry, job->log, candidate, "approved", release));
	if (!strcmp(ns_json_text(trial, "state"), "approved"))
		snprintf(state, sizeof state, "%s", was);
	else
		NS_GO(settle(job, registry, trial, was, "approved", why, state));
	if (strcmp(model, candidate)) {
		NS_GO(ns_registry_move(registry, "production", release, now, why, state, warning));
		warn(job, warning);
	}
	printf("production: model %.12s -> %.12s\n", ns_json_text(trial, "production"), candidate);
out:
	json_decref(trial);
	return status;
}

static enum ns_status reject(struct ns_job *job, const char *registry, const char *digest, const char *unused)
{
	char was[NS_SHA256_HEX], now[NS_SHA256_HEX];
	json_t *trial = NULL;
	enum ns_status status;

	(void)unused;
	NS_GO(trial_to_settle(job, registry, digest, "held", "waiting", &trial, was));
	NS_GO(settle(job, registry, trial, was, "rejected", ns_conf_text(job->conf, "registry.why"), now));
	printf("candidate %.12s is rejected\n", ns_json_text(trial, "candidate"));
out:
	json_decref(trial);
	return status;
}

/* What a gate did not let through is promoted by somebody who says so, and why. */
static enum ns_status check_gate(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	char of[NS_SHA256_HEX];
	json_t *trial;
	const char *state;
	enum ns_status status = NS_OK;

	if (strcmp(name, "production"))
		return NS_OK;
	NS_TRY(find_trial(job, registry, digest, &trial, of));
	state = ns_json_text(trial, "state");
	if (trial && strcmp(state, "passed") && strcmp(state, "approved") &&
	    !(ns_conf_bool(job->conf, "registry.override") && ns_conf_text(job->conf, "registry.why")))
		status = ns_fail(
			NS_REFUSED,
			"the gate did not let model %.12s through: its trial is %s (object %.12s); --override and --why promote it all the same",
			digest, state, of);
	json_decref(trial);
	return status;
}

/* Two refs are histories of their own, which others write. */
static enum ns_status check_ref(const char *name)
{
	if (strcmp(name, "trial") && strcmp(name, "labels"))
		return NS_OK;
	return ns_fail(NS_USAGE, "registry: the ref '%s' is written by %s alone", name,
		       !strcmp(name, "trial") ? "gates, approve and reject" : "label");
}

/* What the ref is to name: a model, or, as production, a release of it. */
static enum ns_status target(struct ns_job *job, const char *registry, const char *name, const char *digest, char full[NS_SHA256_HEX])
{
	const char *why = ns_conf_text(job->conf, "registry.why");
	char path[NS_PATH_MAX], model[NS_SHA256_HEX];
	json_t *facts;
	size_t n;
	int is_release;

	NS_TRY(ns_registry_object(registry, digest, path));
	n = strlen(path); /* .../ab/cdef */
	snprintf(full, NS_SHA256_HEX, "%.2s%.62s", path + n - 65, path + n - 62);
	NS_TRY(ns_registry_release(registry, full, &facts, model));
	is_release = facts != NULL;
	json_decref(facts);
	if (is_release && strcmp(name, "production"))
		return ns_fail(NS_USAGE, "registry promote: %.12s is a release, and only production names one; expected a model", full);
	NS_TRY(ns_registry_object(registry, model, path));
	NS_TRY(ns_json_read(path, &facts, "nightshift.model/1")); /* a ref can only point to a model */
	json_decref(facts);
	NS_TRY(check_gate(job, registry, name, model));
	return strcmp(name, "production") ? NS_OK : ns_release_by_hand(registry, job->log, full, why ? why : "promoted by hand", full);
}

static enum ns_status promote(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	char full[NS_SHA256_HEX], warning[512];
	const char *why = ns_conf_text(job->conf, "registry.why");

	if (!digest)
		return ns_fail(NS_USAGE, "registry promote: expected NAME and DIGEST");
	if (strlen(name) >= 8 && strspn(name, "0123456789abcdef") == strlen(name))
		return ns_fail(NS_USAGE, "registry promote: '%s' would be read as a digest; choose another name for the ref", name);
	NS_TRY(check_ref(name));
	NS_TRY(target(job, registry, name, digest, full));
	NS_TRY(ns_registry_move(registry, name, full, NULL, why ? why : "promoted by hand", NULL, warning));
	warn(job, warning);
	return NS_OK;
}

static enum ns_status rollback(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	char now[NS_SHA256_HEX], before[NS_SHA256_HEX], warning[512];
	const char *why = ns_conf_text(job->conf, "registry.why");

	(void)digest;
	NS_TRY(check_ref(name));
	NS_TRY(ns_registry_ref(registry, name, now));
	NS_TRY(ns_registry_previous(registry, name, before));
	NS_TRY(ns_registry_move(registry, name, before, now, why ? why : "rolled back", NULL, warning));
	warn(job, warning);
	printf("%s: %.12s -> %.12s\n", name, now, before);
	return NS_OK;
}

static enum ns_status show_log(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	json_t *log, *entry;
	size_t i;

	(void)job;
	(void)digest;
	NS_TRY(ns_registry_log(registry, name, &log));
	json_array_foreach(log, i, entry)
		print_entry(registry, entry, (int)i + 1);
	json_decref(log);
	return NS_OK;
}

static enum ns_status verify(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	int64_t objects;

	(void)job;
	(void)name;
	(void)digest;
	NS_TRY(ns_registry_verify(registry, &objects));
	printf("%s: %lld objects and all refs are what they claim to be\n", registry, (long long)objects);
	return NS_OK;
}

static enum ns_status gc(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	int dry = ns_conf_bool(job->conf, "registry.dry");
	int64_t removed, bytes;

	(void)name;
	(void)digest;
	NS_TRY(ns_registry_gc(registry, ns_conf_real(job->conf, "registry.gc_hours"), dry, &removed, &bytes));
	printf("%s: %lld files, %lld bytes %s\n", registry, (long long)removed, (long long)bytes, dry ? "would be removed" : "removed");
	return NS_OK;
}

static const struct {
	const char *name;
	int operands, most; /* numbers after the action's name */
	enum ns_status (*run)(struct ns_job *, const char *registry, const char *name, const char *digest);
} actions[] = {{"list", 0, 0, list},
	       {"show", 1, 1, show},
	       {"promote", 2, 2, promote},
	       {"approve", 1, 1, approve},
	       {"reject", 1, 1, reject},
	       {"accept", 1, 1, ns_registry_accept},
	       {"rollback", 1, 1, rollback},
	       {"upgrade", 0, 1, ns_registry_upgrade},
	       {"log", 1, 1, show_log},
	       {"verify", 0, 0, verify},
	       {"gc", 0, 0, gc},
	       {"retain", 1, 1, ns_registry_retain}};
#define ACTIONS "list, show, promote, approve, reject, accept, rollback, upgrade, log, verify, gc or retain"

enum ns_status ns_job_registry(struct ns_job *job, int argc, char **argv)
{
	const char *registry = ns_conf_text(job->conf, "registry");
	size_t i;

	if (argc < 1)
		return ns_fail(NS_USAGE, "registry: expected an action: " ACTIONS);
	for (i = 0; i < sizeof actions / sizeof *actions; i++) {
		if (strcmp(actions[i].name, argv[0]))
			continue;
		if (argc - 1 < actions[i].operands || argc - 1 > actions[i].most)
			return ns_fail(NS_USAGE, "registry %s: expected %d operands%s", argv[0], actions[i].operands,
				       actions[i].most > actions[i].operands ? ", or one more" : "");
		if (job->comm->rank != 0)
			return NS_OK;
		return actions[i].run(job, registry, argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL);
	}
	return ns_fail(NS_USAGE, "registry: unknown action '%s'; expected " ACTIONS, argv[0]);
}
