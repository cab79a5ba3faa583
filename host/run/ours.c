#define _GNU_SOURCE
#include "host/run/run.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/base.h"

/* The names of the verbs' files, for folders without a list. A verb that writes another name adds it here: tests/jobs/place.sh kills each verb. */
static const char *const names[] = {
	"shard-[0-9]*.h5",
	"dataset.json",
	"quarantine.jsonl",
	"passed.jsonl",
	"quarantine.[0-9]*",
	"contact.png",
	"predictions-[0-9]*.h5",
	"predictions.json",
	"model.json",
	"model.safetensors",
	"model.onnx",
	"metrics*.jsonl",
	"labels.json",
	"[0-9]*.safetensors",
	"[0-9]*.json",
	"evaluation.json",
	"drift.json",
	"drift.html",
	"drift.fragment.html",
	"selection.h5",
	"retrain.json",
	"part.json",
	"bench.json",
	"bench.html",
	"bench.h5",
	"predict.json",
	"export.json",
	"predict.html",
	"picture-[0-9]*.png",
	"queue.json",
	"queue.jsonl",
	"queue.csv",
	"label-studio.json",
	"label.html",
	/* of a night */
	"night.html",
	"summary.json",
	"production.json",
	"gate.json",
	"rollback.json",
	"trial.json",
	"on-trial.json",
	"*.lock",
};
static const char *const step_names[] = {"*.json", "*.tries", "*.began", "*.joules", "*.tmp"};
static const char *const slurm_names[] = {"*.sbatch", "step.sh",   "site.conf",	  "plan.tsv", "night.yaml",
					  "jobs.tsv", "submitted", "submit.lock", ".new",     "*.out"};

/* records, in the order in which they are removed */
static const struct {
	const char *name, *schema;
} records[] = {{"night.json", "nightshift.night/1"}, {"run.json", "nightshift.run/1"}, {NS_MARKER, "nightshift.partial/1"}};
#define RECORDS (sizeof records / sizeof *records)

struct rules {
	json_t *listed; /* path below the folder that has the list -> true, folders with a / behind; NULL: there is none */
	int night;
	json_t *steps;	   /* of a night, where they are known: its steps -> true */
	const char *below; /* where we are, from there; "" at the top */
	int by_name;	   /* names that nightshift gives are ours, here and below */
	int old;	   /* they are ours below here: an old list, which has no subfolders */
	int remove;
};

static int is_record(const char *name)
{
	size_t i;

	for (i = 0; i < RECORDS; i++)
		if (!strcmp(name, records[i].name))
			return 1;
	return 0;
}

static int matches(const char *name, const char *const *patterns, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return 1;
	return 0;
}

#define MATCHES(name, table) matches(name, table, sizeof(table) / sizeof *(table))

static int has_our_name(const struct rules *r, const char *name)
{
	return MATCHES(name, names) || (!strncmp(r->below, "steps/", 6) && MATCHES(name, step_names)) ||
	       (!strncmp(r->below, "slurm/", 6) && MATCHES(name, slurm_names));
}

/* The record of ours that is `records[i]`: *json NULL where there is none, or another program's of that name. */
static enum ns_status read_record(const char *folder, size_t i, json_t **json)
{
	char path[NS_PATH_MAX];
	enum ns_status status;
	int is;

	*json = NULL;
	NS_TRY(ns_path(path, "%s/%s", folder, records[i].name));
	NS_TRY(ns_is_file(path, &is));
	if (!is)
		return NS_OK;
	status = ns_json_read(path, json, records[i].schema);
	return status == NS_BAD_DATA ? NS_OK : status;
}

static enum ns_status is_empty(const char *folder, int *is)
{
	struct ns_names list;
	size_t i;

	NS_TRY(ns_list(folder, &list));
	for (*is = 1, i = 0; i < list.count; i++) /* a marker that was still being written when its run was killed does not count */
		*is &= ns_is_temporary(list.name[i]);
	ns_names_release(&list);
	return NS_OK;
}

enum ns_status ns_ours_is(const char *folder, int *is)
{
	json_t *json;
	size_t i;

	NS_TRY(ns_is_dir(folder, is));
	if (!*is)
		return NS_OK;
	for (*is = 0, i = 0; i < RECORDS && !*is; i++) {
		NS_TRY(read_record(folder, i, &json));
		*is = json != NULL;
		json_decref(json);
	}
	return *is ? NS_OK : is_empty(folder, is);
}

/* What run.json lists, with the folders on the way; those of older versions list nothing in subfolders. */
static void take_list(struct rules *r, const json_t *run)
{
	char folder[NS_PATH_MAX];
	json_t *one;
	size_t i;

	r->listed = json_object();
	r->old = strcmp(ns_json_text(run, "outputs_of"), "tree") != 0;
	json_array_foreach(json_object_get(run, "outputs"), i, one) {
		const char *file = ns_json_text(one, "file"), *slash;

		json_object_set_new(r->listed, file, json_true());
		for (slash = strchr(file, '/'); slash; slash = strchr(slash + 1, '/'))
			if (ns_path(folder, "%.*s", (int)(slash - file) + 1, file) == NS_OK)
				json_object_set_new(r->listed, folder, json_true());
	}
}

/* The steps of a night, in whose folders its results lie; none where it was killed before it had a plan. */
static enum ns_status take_steps(struct rules *r, const char *folder)
{
	char path[NS_PATH_MAX];
	json_t *plan, *step;
	size_t i;

	NS_TRY(ns_path(path, "%s/steps/plan.json", folder));
	NS_TRY(ns_json_read_if_there(path, &plan, "nightshift.plan/1"));
	r->night = 1;
	r->steps = plan ? json_object() : NULL;
	json_array_foreach(json_object_get(plan, "steps"), i, step)
		json_object_set_new(r->steps, ns_json_text(step, "step"), json_true());
	json_decref(plan);
	return NS_OK;
}

/* The rules of a folder that has records of its own; *has says whether it has. */
static enum ns_status own_rules(const char *folder, struct rules *r, int *has)
{
	json_t *json;
	size_t i;

	for (*has = 0, i = 0; i < RECORDS; i++) {
		NS_TRY(read_record(folder, i, &json));
		if (!json)
			continue;
		if (!*has)
			*r = (struct rules){.below = "", .remove = r->remove};
		*has = 1;
		if (strcmp(records[i].name, "run.json"))
			r->by_name = 1;
		else
			take_list(r, json);
		json_decref(json);
		if (!strcmp(records[i].name, "night.json"))
			NS_TRY(take_steps(r, folder));
	}
	return NS_OK;
}

/* Is this the result of a step ("quiet/drift"), of one of its tasks ("quiet/predictions.parts/00003"), or what a killed one left? */
static int is_of_step(const json_t *steps, const char *below)
{
	static const char *const ends[] = {"", ".partial", ".replaced", ".parts"};
	char name[NS_PATH_MAX];
	size_t i, n = strlen(below) - 1, k; /* without the / behind */

	for (i = 0; i < sizeof ends / sizeof *ends; i++) {
		const char *at = *ends[i] ? strstr(below, ends[i]) : below + n;

		k = at ? (size_t)(at - below) : 0;
		if (k && ns_path(name, "%.*s", (int)k, below) == NS_OK && json_object_get(steps, name))
			return 1;
	}
	return 0;
}

/* May a folder with records of its own lie inside another? Results of steps lie in a night; any other was put there by a user. */
static int is_expected(const struct rules *above)
{
	return above->night && (!above->steps || is_of_step(above->steps, above->below));
}

static int is_listed(const struct rules *r, const char *name)
{
	char path[NS_PATH_MAX];

	return r->listed && ns_path(path, "%s%s", r->below, name) == NS_OK && json_object_get(r->listed, path);
}

/* Is a file with a record's name one of ours, not another program's? */
static enum ns_status is_ours(const char *folder, const char *name, int *ours)
{
	json_t *json;
	size_t i;

	for (i = 0; strcmp(records[i].name, name); i++)
		;
	NS_TRY(read_record(folder, i, &json));
	*ours = json != NULL;
	json_decref(json);
	return NS_OK;
}

static enum ns_status take_file(const char *folder, const char *name, const char *path, const struct stat *st, const struct rules *r)
{
	int ours = ns_is_temporary(name) || is_listed(r, name) || (r->by_name && has_our_name(r, name));

	if (is_record(name))
		NS_TRY(is_ours(folder, name, &ours));
	if (!S_ISLNK(st->st_mode) && !(S_ISREG(st->st_mode) && ours))
		return ns_fail(NS_IO, "%s: is not one of the files of this result, so nothing is removed; move it away, or name another --out", path);
	return r->remove ? ns_remove_file(path) : NS_OK;
}

static enum ns_status walk(const char *folder, const struct rules *inherited, int keep);

/* a folder below: it has its own records, or goes by the list of the one above it */
static enum ns_status take_folder(const char *name, const char *path, const struct rules *above)
{
	char below[NS_PATH_MAX];
	struct rules r = *above;

	NS_TRY(ns_path(below, "%s%s/", above->below, name));
	r.below = below;
	r.by_name |= r.old;
	return walk(path, &r, 0);
}

static enum ns_status take_one(const char *folder, const char *name, const struct rules *r, int records_now)
{
	char path[NS_PATH_MAX];
	struct stat st;

	NS_TRY(ns_path(path, "%s/%s", folder, name));
	if (lstat(path, &st))
		return errno == ENOENT ? NS_OK : ns_io_error(path, "cannot stat");
	if (is_record(name) != records_now)
		return NS_OK;
	if (S_ISDIR(st.st_mode))
		return take_folder(name, path, r);
	return take_file(folder, name, path, &st, r);
}

static enum ns_status walk(const char *folder, const struct rules *inherited, int keep)
{
	struct rules r = *inherited;
	struct ns_names list = {0};
	enum ns_status status;
	int has = 0, last;
	size_t i;

	NS_GO(own_rules(folder, &r, &has));
	if (has && *inherited->below && !is_expected(inherited))
		NS_GO(ns_fail(NS_IO, "%s: is a result of its own inside another, so nothing is removed; move it away, or name another --out",
			      folder));
	NS_GO(ns_list(folder, &list));
	for (last = 0; last < 2; last++)
		for (i = 0; i < list.count; i++)
			NS_GO(take_one(folder, list.name[i], &r, last));
	if (r.remove && !keep && rmdir(folder))
		status = ns_io_error(folder, "cannot remove");
out:
	if (has) {
		json_decref(r.listed);
		json_decref(r.steps);
	}
	ns_names_release(&list);
	return status;
}

enum ns_status ns_ours_check(const char *folder)
{
	struct rules none = {.below = ""};
	int is;

	NS_TRY(ns_ours_is(folder, &is));
	return is ? walk(folder, &none, 1) : ns_fail(NS_IO, "%s: exists and is not a result of nightshift; name another --out", folder);
}

static enum ns_status remove_below(const char *folder, int keep)
{
	struct rules rules = {.below = "", .remove = 1};
	int is;

	NS_TRY(ns_exists(folder, &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_ours_check(folder));
	return walk(folder, &rules, keep);
}

enum ns_status ns_ours_remove(const char *folder)
{
	return remove_below(folder, 0);
}

enum ns_status ns_ours_empty(const char *folder)
{
	return remove_below(folder, 1);
}
