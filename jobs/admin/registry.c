/* jobs/admin/registry.c - the verb registry: lists and shows its content, moves its refs, verifies, collects garbage. */
#include "host/registry/registry.h"
#include "jobs/admin/admin.h"

#include <string.h>
#include <time.h>
#include <stdlib.h>

static void print_entry(const json_t *e, int number)
{
	time_t t = (time_t)ns_json_number(e, "time", 0);
	struct tm *tm = gmtime(&t);
	char when[32] = "";

	if (tm)
		strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", tm);
	printf("%6d  %s  %.12s -> %.12s  %s\n", number, when, *ns_json_text(e, "old") ? ns_json_text(e, "old") : "(new)", ns_json_text(e, "new"),
	       ns_json_text(e, "why"));
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
		printf("%-16s %s\n", json_string_value(n), now);
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

static enum ns_status promote(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	char path[NS_PATH_MAX], full[NS_SHA256_HEX], warning[512];
	const char *why = ns_conf_text(job->conf, "registry.why");
	json_t *facts;
	size_t n;

	if (!digest)
		return ns_fail(NS_USAGE, "registry promote: expected NAME and DIGEST");
	if (strlen(name) >= 8 && strspn(name, "0123456789abcdef") == strlen(name))
		return ns_fail(NS_USAGE, "registry promote: '%s' would be read as a digest; choose another name for the ref", name);
	NS_TRY(ns_registry_object(registry, digest, path));
	NS_TRY(ns_json_read(path, &facts, "nightshift.model/1")); /* a ref can only point to a model */
	json_decref(facts);
	n = strlen(path); /* .../ab/cdef */
	snprintf(full, sizeof full, "%.2s%.62s", path + n - 65, path + n - 62);
	NS_TRY(ns_registry_move(registry, name, full, NULL, why ? why : "promoted by hand", NULL, warning));
	warn(job, warning);
	return NS_OK;
}

static enum ns_status rollback(struct ns_job *job, const char *registry, const char *name, const char *digest)
{
	char now[NS_SHA256_HEX], before[NS_SHA256_HEX], warning[512];
	const char *why = ns_conf_text(job->conf, "registry.why");

	(void)digest;
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
		print_entry(entry, (int)i + 1);
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
	int operands; /* least number after the action's name */
	enum ns_status (*run)(struct ns_job *, const char *registry, const char *name, const char *digest);
} actions[] = {{"list", 0, list},     {"show", 1, show}, {"promote", 2, promote}, {"rollback", 1, rollback}, {"log", 1, show_log},
	       {"verify", 0, verify}, {"gc", 0, gc}};

enum ns_status ns_job_registry(struct ns_job *job, int argc, char **argv)
{
	const char *registry = ns_conf_text(job->conf, "registry");
	size_t i;

	if (argc < 1)
		return ns_fail(NS_USAGE, "registry: expected an action: list, show, promote, rollback, log, verify or gc");
	for (i = 0; i < sizeof actions / sizeof *actions; i++) {
		if (strcmp(actions[i].name, argv[0]))
			continue;
		if (argc - 1 < actions[i].operands || argc > 3)
			return ns_fail(NS_USAGE, "registry %s: expected %d operands", argv[0], actions[i].operands);
		if (job->comm->rank != 0)
			return NS_OK;
		return actions[i].run(job, registry, argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL);
	}
	return ns_fail(NS_USAGE, "registry: unknown action '%s'; expected list, show, promote, rollback, log, verify or gc", argv[0]);
}
