/*
 * jobs/night/night.c - the whole chain: every step in turn (on one machine), one step as a job of its own (under Slurm), or only the
 * list of them.
 *
 * Every step is a job of its own whose result appears whole or not at all; published results are not computed again, so an interrupted
 * night resumes where it stopped. The night's commit record is run.json, written last.
 */
#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"
#include "jobs/night/night_inner.h"
#include "jobs/augment/augment.h"
#include "jobs/train/train.h"

#include <stdlib.h>
#include <string.h>

/* Digest of the configuration without the keys that may differ between the jobs of a night, because no bit of a result depends on them. */
static void digest_of(const struct ns_conf *conf, char hex[NS_SHA256_HEX])
{
	static const char *const free_to_differ[] = {"threads",	   "json",	 "force",      "out",	     "dry_run",	    "part", "comm.timeout",
						     "night.step", "night.task", "night.plan", "night.open", "night.tasks", NULL};
	json_t *all = ns_conf_nondefault(conf, free_to_differ);

	ns_train_plain(conf, all);
	ns_json_digest(hex, all);
	json_decref(all);
}

/* Reads {NAME of a night: its augment: list}; each is checked before the first hour of training. */
static enum ns_status read_recipes(const struct ns_night *n, json_t **recipes)
{
	const json_t *entry;
	struct ns_augment_config *config = calloc(1, sizeof *config);
	enum ns_status status = config ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a recipe");
	size_t i;

	*recipes = json_object();
	json_array_foreach(n->nights, i, entry) {
		const char *file = ns_json_text(entry, "recipe");
		json_t *recipe = NULL;

		if (!*file || status != NS_OK)
			continue;
		status = ns_night_recipe(file, &recipe);
		if (status == NS_OK)
			status = ns_recipe_parse(config, recipe, 28, 28, file);
		json_object_set_new(*recipes, ns_json_text(entry, "name"), ns_recipe_versioned(recipe, NS_RECIPE_VERSION));
		json_decref(recipe);
	}
	free(config);
	return status;
}

/* The recipes of a night.json: a list without a version is from before there were two. */
static json_t *recorded_recipes(const json_t *night)
{
	json_t *all = json_object(), *recipe;
	const char *name;

	NS_JSON_EACH(json_object_get(night, "recipes"), name, recipe)
		json_object_set_new(all, name, ns_recipe_versioned(recipe, 1));
	return all;
}

/*
 * night.json holds the digest of the configuration and the recipes as they were when the night began: editing one tonight affects tomorrow.
 * The first job of the night writes it.
 */
static enum ns_status begin_night(const struct ns_night *n, const json_t *recipes)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	enum ns_status status;
	json_t *old = NULL, *then = NULL;
	int is;

	digest_of(n->job->conf, hex);
	NS_GO(ns_exists(ns_night_path(n, path, "night.json"), &is));
	if (!is)
		NS_GO(ns_night_write_once(n, "night.json",
					  json_pack("{s:s, s:s, s:O}", "schema", "nightshift.night/1", "config", hex, "recipes", recipes)));
	NS_GO(ns_json_read(path, &old, "nightshift.night/1"));
	if (strcmp(hex, ns_json_text(old, "config")))
		status = ns_fail(NS_CONFIG, "%s: was begun with another configuration; use --force to start over", n->dir);
	then = recorded_recipes(old);
	if (status == NS_OK && recipes && !json_equal(recipes, then))
		status = ns_fail(NS_CONFIG, "%s: was begun with other recipes (night.json holds them); use --force to start over", n->dir);
out:
	json_decref(then);
	json_decref(old);
	return status;
}

/* Refuses a folder of another configuration. lone: other jobs work in the folder too. */
static enum ns_status open_folder(struct ns_night *n, int lone, const json_t *recipes)
{
	char path[NS_PATH_MAX];
	int is;

	if (!lone && !n->open)
		NS_TRY(ns_outdir_lock(&n->job->outdir, n->dir, "night"));
	if (n->force && (lone || n->open))
		return ns_fail(NS_USAGE, "night: --force and --step exclude each other; remove the result that should be computed again");
	if (n->force)
		NS_TRY(ns_outdir_clear(n->dir));
	NS_TRY(ns_mkdirs(ns_night_path(n, path, "steps")));
	NS_TRY(ns_exists(ns_night_path(n, path, "run.json"), &is));
	if (is && !lone)
		return ns_fail(NS_IO, "%s: this night is done; choose another --out, or use --force to run it again", n->dir);
	return begin_night(n, recipes);
}

/* rank 0 alone */
static enum ns_status open_night(struct ns_night *n, int lone)
{
	char path[NS_PATH_MAX];
	json_t *recipes = NULL;
	enum ns_status status;
	int begun;

	/* a step of a night that has begun uses the recipes in night.json */
	status = ns_exists(ns_night_path(n, path, "night.json"), &begun);
	if (status == NS_OK && (!lone || !begun))
		status = read_recipes(n, &recipes);
	if (status == NS_OK)
		status = open_folder(n, lone, recipes);
	json_decref(recipes);
	return status;
}

/* Writes steps/plan.json, for the report and for people. */
static enum ns_status keep_plan(const struct ns_night *n)
{
	char path[NS_PATH_MAX];
	int is;

	NS_TRY(ns_exists(ns_night_path(n, path, "steps/plan.json"), &is));
	return is ? NS_OK : ns_night_write_once(n, "steps/plan.json", ns_night_plan_json(n));
}

/* Collective. Reads the recipes from the night.json that rank 0 has written or found. */
static enum ns_status take_recipes(struct ns_night *n)
{
	char path[NS_PATH_MAX];
	json_t *json;

	NS_TRY(ns_json_read(ns_night_path(n, path, "night.json"), &json, "nightshift.night/1"));
	n->recipes = recorded_recipes(json);
	json_decref(json);
	return NS_OK;
}

/*
 * The name of a night is its folder, a column of the plan, and a part of the names of its jobs and records. A name that the night's folder
 * uses for something else, or that another night has, would mix two results.
 */
static enum ns_status check_night_name(const json_t *nights, const char *name, size_t i)
{
	static const char *const taken[] = {"prepare",	"steps",      "slurm",	    "registry",	    "report",
					    "run.json", "night.json", "night.html", "summary.json", "partial.json"};
	char key[64];
	size_t k;

	snprintf(key, sizeof key, "night.nights[%zu].name", i);
	if (json_is_number(json_object_get(json_array_get(nights, i), "name")))
		return ns_fail(NS_CONFIG, "%s is a number, expected a name: write it in quotes", key);
	NS_TRY(ns_check_name(key, name));
	for (k = 0; k < sizeof taken / sizeof *taken; k++)
		if (!strcmp(name, taken[k]))
			return ns_fail(NS_CONFIG, "%s = '%s', which a night's folder uses itself; choose another name", key, name);
	for (k = 0; k < i; k++)
		if (!strcmp(name, ns_json_text(json_array_get(nights, k), "name")))
			return ns_fail(NS_CONFIG, "%s = '%s', which is also the name of night.nights[%zu]; give each night a name of its own", key,
				       name, k);
	return NS_OK;
}

static enum ns_status check_night(const struct ns_night *n, size_t i)
{
	static const char *const known[] = {"name", "source", "recipe", NULL};
	const json_t *entry = json_array_get(n->nights, i);
	const char *name = ns_json_text(entry, "name"), *key;
	json_t *value;

	NS_JSON_EACH(entry, key, value)
		if (strcmp(key, known[0]) && strcmp(key, known[1]) && strcmp(key, known[2]))
			return ns_fail(NS_CONFIG, "night.nights[%zu]: unknown key '%s', expected name, source or recipe", i, key);
	NS_TRY(check_night_name(n->nights, name, i));
	if (!*ns_json_text(entry, "source") && (n->prepared || !json_object_get(n->split, name)))
		return ns_fail(NS_CONFIG, "night.nights[%zu]: '%s' has no source: of its own, and no rows in night.split", i, name);
	return NS_OK;
}

static enum ns_status check_conf(const struct ns_night *n)
{
	static const char *const needed[] = {"night.train", "night.test", "night.split"};
	const char *name;
	json_t *rows;
	size_t i;

	if (!n->dir)
		return ns_fail(NS_USAGE, "night: --out is required (or a --config that sets it)");
	for (i = 0; i < sizeof needed / sizeof *needed; i++)
		if (!n->prepared && !ns_conf_node(n->job->conf, needed[i]))
			return ns_fail(NS_USAGE, "night: --%s is required, or --night.prepared (an earlier preparation)", needed[i]);
		else if (n->prepared && ns_conf_node(n->job->conf, needed[i]))
			return ns_fail(NS_CONFIG, "night: %s and night.prepared exclude each other: the preparation is done already", needed[i]);
	if (strcmp(n->approve, "auto") && strcmp(n->approve, "person"))
		return ns_fail(NS_CONFIG, "night.approve = '%s', expected auto or person", n->approve);
	if (!json_array_size(n->nights))
		return ns_fail(NS_CONFIG, "night.nights: expected a list of {name: .., source: .., recipe: ..}");
	NS_JSON_EACH(n->split, name, rows)
		NS_TRY(ns_check_name("night.split", name));
	for (i = 0; i < json_array_size(n->nights); i++)
		NS_TRY(check_night(n, i));
	return NS_OK;
}

/* Prints a line a step for slurm/submit.sh: name, stage, tasks, state, and the steps that it depends on. */
static void print_plan(const struct ns_night *n)
{
	int i, k;

	for (i = 0; i < n->count; i++) {
		const struct ns_step *s = &n->steps[i];
		int t, done = 0, all = s->tasks ? s->tasks : 1;

		for (t = 0; t < all; t++)
			done += ns_step_is_done(n, s, s->tasks ? t : -1);
		printf("%s\t%s\t%d\t%s\t", s->name, s->stage, s->tasks, done == all ? "done" : "open");
		for (k = 0; k < s->after_count; k++)
			printf("%s%s", k ? "," : "", n->steps[s->after[k]].name);
		printf("%s\n", s->after_count ? "" : "-");
	}
}

static enum ns_status one_step(struct ns_night *n)
{
	int64_t task = n->task;
	const char *slurm = getenv("SLURM_ARRAY_TASK_ID");
	int i;

	for (i = 0; i < n->count && strcmp(n->steps[i].name, n->step); i++)
		;
	if (i == n->count)
		return ns_fail(NS_USAGE, "night: has no step '%s'; --plan lists them", n->step);
	if (!n->steps[i].tasks)
		return ns_step_run(n, &n->steps[i], -1, 1);
	if (task < 0 && slurm)
		task = atoll(slurm);
	if (task < 0 || task >= n->steps[i].tasks)
		return ns_fail(NS_USAGE, "night: step %s is an array: expected --task 0 to %d", n->step, n->steps[i].tasks - 1);
	return ns_step_run(n, &n->steps[i], (int)task, 1);
}

static enum ns_status all_steps(struct ns_night *n)
{
	int i;

	for (i = 0; i < n->count; i++)
		NS_TRY(ns_step_run(n, &n->steps[i], -1, 0));
	ns_log_event(n->job->log, "night", json_pack("{s:s+, s:f}", "report", n->dir, "/night.html", "seconds", ns_now() - n->job->start));
	return NS_OK;
}

#define READ(member, key) NS_CONF_FIELD(struct ns_night, member, key)
static const struct ns_conf_field settings[] = {
	READ(dir, "out"),
	READ(registry, "registry"),
	READ(step, "night.step"),
	READ(train, "night.train"),
	READ(test, "night.test"),
	READ(prepared, "night.prepared"),
	READ(nights, "night.nights"),
	READ(split, "night.split"),
	READ(task, "night.task"),
	READ(tasks, "night.tasks"),
	READ(audited, "night.audited"),
	READ(plan_only, "night.plan"),
	READ(open, "night.open"),
	READ(force, "force"),
	READ(show_rollback, "night.show_rollback"),
	READ(approve, "night.approve"),
	READ(site, "night.site"),
	READ(trial_nights, "gate.nights"),
	READ(reference_rows, "gate.reference_rows"),
	READ(old_floor, "gate.old_floor"),
	READ(old_estimate, "gate.old_estimate"),
};
#undef READ

enum ns_status ns_job_night(struct ns_job *job, int argc, char **argv)
{
	struct ns_night n = {.job = job};
	enum ns_status status;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "night: takes no operand; --config is required");
	ns_conf_read(job->conf, settings, sizeof settings / sizeof *settings, &n);
	NS_TRY(check_conf(&n));
	if (!n.plan_only || n.open) {
		NS_GO(ns_job_agree(job, job->comm->rank == 0 ? open_night(&n, n.step != NULL) : NS_OK));
		NS_GO(ns_job_agree(job, take_recipes(&n)));
	} else {
		NS_GO(read_recipes(&n, &n.recipes));
	}
	NS_GO(ns_night_plan(&n, n.step || n.plan_only));
	if (n.job->comm->rank == 0 && (!n.plan_only || n.open))
		status = keep_plan(&n);
	NS_GO(ns_job_agree(job, status));
	if (n.plan_only && job->comm->rank == 0)
		print_plan(&n);
	if (!n.plan_only)
		status = n.step ? one_step(&n) : all_steps(&n);
out:
	ns_night_plan_free(&n);
	json_decref(n.recipes);
	json_decref(n.summary);
	return status;
}
