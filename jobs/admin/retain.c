/*
 * jobs/admin/retain.c - which results of old nights may go: data, predictions and models of nights that are done and older than `registry.days`, unless a
 * release or a trial needs them. What is small, and what pages are drawn from, stays.
 */
#define _XOPEN_SOURCE 700
#include "host/registry/registry.h"
#include "jobs/admin/registry_inner.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const keys[] = {"reference", "replay", "test"}; /* of a release */

struct retain {
	struct ns_job *job;
	const char *registry;
	double before; /* seconds since 1970: nights that ended later keep all */
	int remove;
	json_t *needed; /* path -> what for */
	int64_t went, bytes, kept;
};

/* --- what is needed --- */

static void need(struct retain *r, const char *path, const char *what, const char *of)
{
	char real[PATH_MAX], why[128];

	if (!*path || !realpath(path, real)) /* it is gone already, or on another machine's disk */
		return;
	snprintf(why, sizeof why, "%s %.12s", what, of);
	json_object_set_new(r->needed, real, json_string(why));
}

static enum ns_status need_lists(struct retain *r, const char *digest, const json_t *release)
{
	char path[NS_PATH_MAX];
	const json_t *entry;
	json_t *list;
	size_t i, k;

	for (k = 0; release && k < sizeof keys / sizeof *keys; k++) {
		if (!*ns_json_text(release, keys[k]))
			continue; /* it is older than lists, or the configuration's to say: see names_all() */
		NS_TRY(ns_registry_object(r->registry, ns_json_text(release, keys[k]), path));
		NS_TRY(ns_json_read(path, &list, "nightshift.sets/1"));
		json_array_foreach(json_object_get(list, "sets"), i, entry)
			need(r, ns_json_text(entry, "path"), keys[k], digest);
		json_decref(list);
	}
	return NS_OK;
}

/* Of production that does not say which rows it needs nothing is removed: some night's configuration knows, and is not at hand. */
static enum ns_status names_all(const struct retain *r)
{
	char digest[NS_SHA256_HEX], model[NS_SHA256_HEX];
	json_t *release;
	size_t k;
	int all;

	NS_TRY(ns_registry_production(r->registry, digest, model));
	if (!*digest)
		return ns_fail(NS_IO, "%s: has no ref 'production'", r->registry);
	NS_TRY(ns_registry_release(r->registry, digest, &release, model));
	for (all = release != NULL, k = 0; k < sizeof keys / sizeof *keys; k++)
		all &= *ns_json_text(release, keys[k]) != 0;
	json_decref(release);
	return all ? NS_OK
		   : ns_fail(NS_REFUSED,
			     "%s: production does not name its reference, replay and test, so nobody knows which nights it needs: registry upgrade PREPARATION, then retain",
			     r->registry);
}

/* Those of production and of the releases before it, so many in all: each once, however often production went back and forth. */
static enum ns_status need_releases(struct retain *r, int64_t releases)
{
	char model[NS_SHA256_HEX];
	json_t *log, *release, *seen = json_object();
	enum ns_status status;
	size_t i;

	NS_GO(ns_registry_log(r->registry, "production", &log));
	for (i = json_array_size(log); i-- > 0 && (int64_t)json_object_size(seen) < releases;) {
		const char *digest = ns_json_text(json_array_get(log, i), "new");

		json_object_set_new(seen, digest, json_true());
		NS_GO(ns_registry_release(r->registry, digest, &release, model));
		status = need_lists(r, digest, release);
		json_decref(release);
		NS_GO(status);
	}
out:
	json_decref(log);
	json_decref(seen);
	return status;
}

/* What the candidate was taught by: rows that its release will replay. */
static enum ns_status need_manifest(struct retain *r, const json_t *trial)
{
	char path[NS_PATH_MAX];
	json_t *gate = NULL, *manifest = NULL;
	const json_t *one;
	const char *digest;
	enum ns_status status;
	size_t i;

	NS_GO(ns_registry_object(r->registry, ns_json_text(trial, "gate"), path));
	NS_GO(ns_json_read(path, &gate, NULL));
	digest = ns_json_text(json_object_get(gate, "evidence"), "manifest");
	if (!*digest)
		goto out;
	NS_GO(ns_registry_object(r->registry, digest, path));
	NS_GO(ns_json_read(path, &manifest, NULL));
	json_array_foreach(json_object_get(json_object_get(json_object_get(manifest, "predicate"), "data"), "datasets"), i, one)
		need(r, ns_json_text(one, "path"), "open trial", ns_json_text(trial, "candidate"));
out:
	json_decref(gate);
	json_decref(manifest);
	return status;
}

/* The nights that vote are counted again until the trial is settled, and then their images are part of the release. */
static enum ns_status need_trial(struct retain *r)
{
	char digest[NS_SHA256_HEX], release[NS_SHA256_HEX], model[NS_SHA256_HEX];
	json_t *trial;
	const json_t *vote;
	enum ns_status status = NS_OK;
	size_t i;

	NS_TRY(ns_registry_ref_if_there(r->registry, "trial", digest));
	NS_TRY(ns_registry_production(r->registry, release, model));
	trial = *digest ? ns_registry_trial(r->registry, r->job->log, digest) : NULL;
	if (trial && ns_trial_is_open(trial, model)) {
		json_array_foreach(json_object_get(trial, "votes"), i, vote)
			need(r, ns_json_text(vote, "folder"), "open trial", ns_json_text(trial, "candidate"));
		status = need_manifest(r, trial);
	}
	json_decref(trial);
	return status;
}

/* Is it that folder, or in it? */
static int is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return !strncmp(path, folder, n) && (path[n] == 0 || path[n] == '/');
}

/* Why a result stays: something that is needed lies in it, or it in a folder that is needed; NULL: neither. */
static const char *needed_for(const struct retain *r, const char *result)
{
	const char *path;
	json_t *why;

	json_object_foreach(r->needed, path, why)
		if (is_below(path, result) || is_below(result, path))
			return json_string_value(why);
	return NULL;
}

/* --- the nights --- */

static int is_large(const json_t *run)
{
	static const char *const verbs[] = {"ingest", "augment", "train", "infer", "merge"};
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (!strcmp(ns_json_text(run, "verb"), verbs[i]))
			return 1;
	return 0;
}

static int64_t bytes_of(const char *folder, const json_t *run)
{
	char path[NS_PATH_MAX];
	const json_t *one;
	struct stat st;
	int64_t sum = 0;
	size_t i;

	json_array_foreach(json_object_get(run, "outputs"), i, one)
		if (ns_path(path, "%s/%s", folder, ns_json_text(one, "file")) == NS_OK && !stat(path, &st))
			sum += (int64_t)st.st_size;
	return sum;
}

static enum ns_status one_result(struct retain *r, const char *night, const char *step)
{
	char path[NS_PATH_MAX], record[NS_PATH_MAX], real[PATH_MAX];
	const char *why;
	json_t *run;
	int64_t bytes;
	int is;

	NS_TRY(ns_path(path, "%s/%s", night, step));
	NS_TRY(ns_path(record, "%s/run.json", path));
	NS_TRY(ns_json_read_if_there(record, &run, "nightshift.run/1"));
	is = run && is_large(run) && realpath(path, real);
	bytes = is ? bytes_of(path, run) : 0;
	json_decref(run);
	if (!is)
		return NS_OK;
	why = needed_for(r, real);
	if (why) {
		printf("keep    %s: %s\n", path, why);
		r->kept++;
		return NS_OK;
	}
	if (r->remove)
		NS_TRY(ns_ours_remove(path));
	printf("%s %s: %lld bytes\n", r->remove ? "removed" : "may go ", path, (long long)bytes);
	r->went++;
	r->bytes += bytes;
	return NS_OK;
}

/* A night that did not come to its end may go on, and one that ended lately may be asked about. */
static enum ns_status one_night(struct retain *r, const char *night)
{
	char path[NS_PATH_MAX];
	json_t *plan = NULL;
	const json_t *step;
	struct stat st;
	enum ns_status status = NS_OK;
	size_t i;

	NS_TRY(ns_path(path, "%s/run.json", night)); /* written last */
	if (stat(path, &st) || (double)st.st_mtime > r->before)
		return NS_OK;
	NS_TRY(ns_path(path, "%s/steps/plan.json", night));
	NS_TRY(ns_json_read_if_there(path, &plan, "nightshift.plan/1"));
	json_array_foreach(json_object_get(plan, "steps"), i, step)
		if (status == NS_OK)
			status = one_result(r, night, ns_json_text(step, "step"));
	json_decref(plan);
	return status;
}

static enum ns_status all_nights(struct retain *r, const char *nights)
{
	char path[NS_PATH_MAX];
	struct ns_names list;
	enum ns_status status = NS_OK;
	size_t i;
	int is;

	NS_TRY(ns_list(nights, &list));
	for (i = 0; i < list.count && status == NS_OK; i++) {
		if (list.name[i][0] == '.')
			continue;
		NS_GO(ns_path(path, "%s/%s", nights, list.name[i]));
		NS_GO(ns_is_dir(path, &is));
		status = is ? one_night(r, path) : NS_OK;
	}
out:
	ns_names_release(&list);
	return status;
}

enum ns_status ns_registry_retain(struct ns_job *job, const char *registry, const char *nights, const char *unused)
{
	struct retain r = {.job = job,
			   .registry = registry,
			   .before = (double)ns_today() - 86400 * ns_conf_real(job->conf, "registry.days"),
			   .remove = ns_conf_bool(job->conf, "registry.remove"),
			   .needed = json_object()};
	enum ns_status status;

	(void)unused;
	NS_GO(names_all(&r));
	NS_GO(need_releases(&r, ns_conf_int(job->conf, "registry.releases"))); /* what cannot be read removes nothing */
	NS_GO(need_trial(&r));
	NS_GO(all_nights(&r, nights));
	printf("%s: %lld results, %lld bytes %s; %lld are kept\n", nights, (long long)r.went, (long long)r.bytes, r.remove ? "removed" : "may go",
	       (long long)r.kept);
out:
	json_decref(r.needed);
	return status;
}
