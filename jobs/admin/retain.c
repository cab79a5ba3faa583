/*
 * jobs/admin/retain.c - which results of old nights may go: data, predictions and models of nights that are done and older than `registry.days`, unless a
 * release or a trial needs them. What is small, what pages are drawn from, and what a site was prepared with, stays.
 *
 * What is needed is known by the digests of data sets, not by their paths: the same disk may be mounted elsewhere. Where one of those that production, a release
 * that a rollback goes to, or an open trial names is not where it should be, nothing is removed: then somebody looks from a place where things lie otherwise.
 */
#define _XOPEN_SOURCE 700
#include "host/registry/registry.h"
#include "jobs/admin/registry_inner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const keys[] = {"reference", "replay", "test"}; /* of a release */

struct retain {
	struct ns_job *job;
	const char *registry;
	double before; /* seconds since 1970: nights that ended later keep all */
	int remove;
	json_t *needed;	  /* digest of a data set -> what for */
	json_t *voting;	  /* device and inode of a night's folder -> what for */
	json_t *releases; /* digest of what production ever named -> true */
	int64_t went, bytes, kept, nights, left;
};

/* --- what is needed --- */

/* Of a data set in a folder; "" where there is none. */
static void digest_of(const char *folder, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX];
	json_t *json = NULL;

	*digest = 0;
	if (ns_path(path, "%s/dataset.json", folder) != NS_OK || ns_json_read_if_there(path, &json, "nightshift.dataset/1") != NS_OK)
		return;
	snprintf(digest, NS_SHA256_HEX, "%s", ns_json_text(json, "digest"));
	json_decref(json);
}

/* It must be where the registry says, seen from here. A file alone, which no list states a digest of, is nobody's result. */
static enum ns_status need(struct retain *r, const char *path, const char *digest, const char *what, const char *of)
{
	char found[NS_SHA256_HEX], why[128];
	int is;

	snprintf(why, sizeof why, "%s %.12s", what, of);
	json_object_set_new(r->needed, digest, json_string(why));
	NS_TRY(ns_is_dir(path, &is));
	digest_of(path, found);
	if (is ? strcmp(found, digest) : ns_exists(path, &is) != NS_OK || !is)
		return ns_fail(
			NS_REFUSED,
			"%s: data set %.12s, %s, is not there as seen from here: nothing is removed. Mount it where it was, or roll back to a release "
			"that needs it not",
			path, digest, why);
	return NS_OK;
}

static enum ns_status need_lists(struct retain *r, const char *digest)
{
	char path[NS_PATH_MAX], model[NS_SHA256_HEX];
	const json_t *entry;
	json_t *release = NULL, *list = NULL;
	enum ns_status status;
	size_t i, k;

	NS_GO(ns_registry_release(r->registry, digest, &release, model));
	for (k = 0; release && k < sizeof keys / sizeof *keys; k++) {
		if (!*ns_json_text(release, keys[k]))
			continue; /* it is older than lists, or the configuration's to say: see names_all() */
		NS_GO(ns_registry_object(r->registry, ns_json_text(release, keys[k]), path));
		NS_GO(ns_json_read(path, &list, "nightshift.sets/1"));
		json_array_foreach(json_object_get(list, "sets"), i, entry)
			if (!*ns_json_text(entry, "bytes")) /* a path that is no text is looked for by its digest alone */
				NS_GO(need(r, ns_json_text(entry, "path"), ns_json_text(entry, "digest"), keys[k], digest));
			else
				json_object_set_new(r->needed, ns_json_text(entry, "digest"), json_string(keys[k]));
		json_decref(list);
		list = NULL;
	}
out:
	json_decref(list);
	json_decref(release);
	return status;
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
			     "%s: production does not name its reference, replay and test, so nobody knows which nights it needs: registry upgrade "
			     "PREPARATION, then retain",
			     r->registry);
}

/* Production's, and those of the releases that rollbacks go to, one after the other: so many in all. */
static enum ns_status need_releases(struct retain *r, int64_t releases)
{
	json_t *stack = NULL, *log = NULL, *entry;
	enum ns_status status;
	size_t i, n;

	NS_GO(ns_registry_stack(r->registry, "production", &stack));
	n = json_array_size(stack);
	for (i = 0; i < n && (int64_t)i < releases; i++)
		NS_GO(need_lists(r, json_string_value(json_array_get(stack, n - 1 - i))));
	NS_GO(ns_registry_log(r->registry, "production", &log));
	json_array_foreach(log, i, entry)
		json_object_set_new(r->releases, ns_json_text(entry, "new"), json_true());
out:
	json_decref(stack);
	json_decref(log);
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
		if (*ns_json_text(one, "digest") && *ns_json_text(one, "path"))
			NS_GO(need(r, ns_json_text(one, "path"), ns_json_text(one, "digest"), "open trial", ns_json_text(trial, "candidate")));
out:
	json_decref(gate);
	json_decref(manifest);
	return status;
}

static int place_of(const char *folder, char text[64])
{
	struct stat st;

	if (stat(folder, &st))
		return 0;
	snprintf(text, 64, "%llu %llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return 1;
}

/* The nights that vote are counted again until the trial is settled, and then their images are part of the release. */
static enum ns_status need_votes(struct retain *r, const json_t *trial)
{
	const json_t *vote;
	char place[64];
	size_t i;

	json_array_foreach(json_object_get(trial, "votes"), i, vote) {
		const char *folder = ns_json_text(vote, "folder"), *data = ns_json_text(vote, "data");

		if (*data)
			json_object_set_new(r->needed, data, json_string("open trial"));
		if (!*folder)
			continue;
		if (!place_of(folder, place))
			return ns_fail(
				NS_REFUSED,
				"%s: a night that votes on candidate %.12s is not there as seen from here: nothing is removed before the trial ends",
				folder, ns_json_text(trial, "candidate"));
		json_object_set_new(r->voting, place, json_string("open trial"));
	}
	return NS_OK;
}

/* Of the newest trial, unless it came to nothing: also what waits for a person, or was let through a moment ago. */
static enum ns_status need_trial(struct retain *r)
{
	char digest[NS_SHA256_HEX];
	json_t *trial;
	enum ns_status status = NS_OK;

	NS_TRY(ns_registry_ref_if_there(r->registry, "trial", digest));
	if (!*digest)
		return NS_OK;
	trial = ns_registry_trial(r->registry, r->job->log, digest);
	if (!trial)
		return ns_fail(NS_REFUSED, "%s: the newest trial, %.12s, cannot be read, so nobody knows what it needs: nothing is removed",
			       r->registry, digest);
	if (!ns_trial_is(trial, "refused") && !ns_trial_is(trial, "rejected")) {
		if (ns_trial_is(trial, "waiting") || ns_trial_is(trial, "held")) {
			status = need_votes(r, trial);
			if (status == NS_OK)
				status = need_manifest(r, trial);
		}
		if (status == NS_OK && *ns_json_text(trial, "release") && !json_object_get(r->releases, ns_json_text(trial, "release")))
			status = need_lists(r, ns_json_text(trial, "release"));
	}
	json_decref(trial);
	return status;
}

/* --- the nights --- */

/* What data sets lie in a result: itself, or those of a split below it. NULL: none that is needed. */
static const char *needed_in(const struct retain *r, const char *result)
{
	char path[NS_PATH_MAX], digest[NS_SHA256_HEX];
	const char *why = NULL;
	struct ns_names list;
	size_t i;

	digest_of(result, digest);
	if (*digest)
		return json_string_value(json_object_get(r->needed, digest));
	if (ns_list(result, &list) != NS_OK)
		return "it cannot be read";
	for (i = 0; i < list.count && !why; i++) {
		if (ns_path(path, "%s/%s", result, list.name[i]) != NS_OK)
			continue;
		digest_of(path, digest);
		why = *digest ? json_string_value(json_object_get(r->needed, digest)) : NULL;
	}
	ns_names_release(&list);
	return why;
}

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

static void leave(struct retain *r, const char *path, const char *why)
{
	printf("leave   %s: %s\n", path, why);
	r->left++;
}

/* What is not ours alone is left, and said; the others go on. */
static void let_go(struct retain *r, const char *path, int64_t bytes)
{
	if ((r->remove ? ns_ours_remove(path) : ns_ours_check(path)) != NS_OK) {
		leave(r, path, ns_message());
		return;
	}
	printf("%s %s: %lld bytes\n", r->remove ? "removed" : "may go ", path, (long long)bytes);
	r->went++;
	r->bytes += bytes;
}

static enum ns_status one_result(struct retain *r, const char *night, const char *step, const char *voting)
{
	char path[NS_PATH_MAX], record[NS_PATH_MAX];
	struct stat st;
	const char *why;
	json_t *run;
	int64_t bytes;
	int is;

	NS_TRY(ns_path(path, "%s/%s", night, step));
	if (lstat(path, &st))
		return NS_OK;
	if (S_ISLNK(st.st_mode)) { /* somebody has moved it to another place, which is that somebody's */
		leave(r, path, "is a link");
		return NS_OK;
	}
	NS_TRY(ns_path(record, "%s/run.json", path));
	NS_TRY(ns_json_read_if_there(record, &run, "nightshift.run/1"));
	is = run && is_large(run);
	bytes = is ? bytes_of(path, run) : 0;
	json_decref(run);
	if (!is)
		return NS_OK;
	why = voting ? voting : needed_in(r, path);
	/* a preparation is what nights are configured with, whatever a release says */
	if (!why && (!strcmp(step, "prepare/data") || !strcmp(step, "prepare/test")))
		why = "a preparation";
	if (why) {
		printf("keep    %s: %s\n", path, why);
		r->kept++;
		return NS_OK;
	}
	let_go(r, path, bytes);
	return NS_OK;
}

/* Was its production ever that of this registry? Nights of several sites may lie side by side. */
static enum ns_status is_of_registry(const struct retain *r, const char *night, const json_t *plan, int *is)
{
	char path[NS_PATH_MAX], name[NS_SHA256_HEX * 2];
	const json_t *step;
	json_t *pin;
	size_t i;

	*is = 0;
	json_array_foreach(json_object_get(plan, "steps"), i, step) {
		const char *window = ns_json_text(step, "night");

		snprintf(name, sizeof name, "%.64s", *window ? window : "prepare");
		NS_TRY(ns_path(path, "%s/%s/production.json", night, name));
		NS_TRY(ns_json_read_if_there(path, &pin, "nightshift.pin/1"));
		*is |= json_object_get(r->releases, ns_json_text(pin, "value")) != NULL;
		json_decref(pin);
	}
	return NS_OK;
}

static enum ns_status all_results(struct retain *r, const char *night, const json_t *plan)
{
	char path[NS_PATH_MAX], place[64];
	const char *voting;
	const json_t *step;
	size_t i;
	int ours;

	NS_TRY(is_of_registry(r, night, plan, &ours));
	if (!ours) {
		leave(r, night, "is a night of another registry");
		return NS_OK;
	}
	json_array_foreach(json_object_get(plan, "steps"), i, step) {
		const char *window = ns_json_text(step, "night");

		NS_TRY(ns_path(path, "%s/%s", night, *window ? window : "prepare"));
		voting = place_of(path, place) ? json_string_value(json_object_get(r->voting, place)) : NULL;
		NS_TRY(one_result(r, night, ns_json_text(step, "step"), voting));
	}
	return NS_OK;
}

/* A night that did not come to its end may go on, and one that ended lately may be asked about. */
static enum ns_status one_night(struct retain *r, const char *night)
{
	char path[NS_PATH_MAX];
	json_t *plan = NULL;
	struct stat st;
	enum ns_status status;

	NS_TRY(ns_path(path, "%s/steps/plan.json", night));
	NS_TRY(ns_json_read_if_there(path, &plan, "nightshift.plan/1"));
	if (!plan)
		return NS_OK;
	r->nights++;
	status = ns_path(path, "%s/run.json", night); /* written last */
	if (status == NS_OK && !stat(path, &st) && (double)st.st_mtime <= r->before)
		status = all_results(r, night, plan);
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
	if (status == NS_OK && !r->nights)
		status = ns_fail(NS_USAGE, "%s: holds no folder of a night", nights);
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
			   .needed = json_object(),
			   .voting = json_object(),
			   .releases = json_object()};
	enum ns_status status;

	(void)unused;
	NS_GO(names_all(&r));
	NS_GO(need_releases(&r, ns_conf_int(job->conf, "registry.releases"))); /* what cannot be read removes nothing */
	NS_GO(need_trial(&r));
	NS_GO(all_nights(&r, nights));
	printf("%s: %lld results, %lld bytes %s; %lld are kept", nights, (long long)r.went, (long long)r.bytes, r.remove ? "removed" : "may go",
	       (long long)r.kept);
	if (r.left)
		printf(", %lld were left as they are", (long long)r.left);
	putchar('\n');
out:
	json_decref(r.needed);
	json_decref(r.voting);
	json_decref(r.releases);
	return status;
}
