/*
 * jobs/night.c - the whole chain on one machine: prepare, then each night in turn.
 *
 * Every step is a job of its own that appears whole or not at all; what was published is not done again, so a night
 * that was cut off goes on where it was. Its commit record is run.json, written last.
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/jobs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/registry/registry.h"

struct night {
	struct ns_job *job;
	const char *dir, *registry;
	json_t *summary;
	int refused;
};

/* --- calling jobs --- */

/* A job's configuration: the night's, with `settings` on top: "key", "value", ..., NULL. */
static enum ns_status step(struct night *n, enum ns_verb_id verb, const char *out, const char *source,
			   const char *const *settings, const json_t *recipe)
{
	char path[NS_PATH_MAX], record[NS_PATH_MAX];
	struct ns_conf conf;
	char *argv[2] = {(char *)(uintptr_t)source, NULL};
	enum ns_status status;

	NS_TRY(ns_path(path, "%s/%s", n->dir, out));
	NS_TRY(ns_path(record, "%s/run.json", path));
	if (ns_path_exists(record)) {
		ns_log_event(n->job->log, "kept", json_pack("{s:s}", "out", path));
		return NS_OK;
	}
	NS_TRY(ns_conf_copy(&conf, n->job->conf));
	ns_conf_put_text(&conf, "out", path);
	ns_conf_put(&conf, "force", json_false());
	for (; *settings; settings += 2)
		NS_GO(ns_conf_set(&conf, settings[0], settings[1], -1));
	if (recipe)
		ns_conf_put(&conf, "augment", json_deep_copy(recipe));
	status = ns_call(n->job, verb, &conf, source ? 1 : 0, argv);
	if (status != NS_OK)
		status = ns_fail_in(status, "%s", out);
out:
	ns_conf_release(&conf);
	return status;
}

static const char *in(const struct night *n, char path[NS_PATH_MAX], const char *name)
{
	if (ns_path(path, "%s/%s", n->dir, name) != NS_OK)
		path[0] = 0;
	return path;
}

static enum ns_status read_json(const struct night *n, const char *name, json_t **json)
{
	char path[NS_PATH_MAX];

	return ns_json_read(in(n, path, name), json, NULL);
}

static enum ns_status registry_move(struct night *n, const char *ref, const char *digest, const char *why, const char *evidence)
{
	enum ns_status status = NS_OK;

	if (n->job->comm->rank == 0)
		status = ns_registry_move(n->registry, ref, digest, NULL, why, evidence);
	return ns_job_agree(n->job, status);
}

static enum ns_status model_digest(const struct night *n, const char *folder, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], name[256];

	snprintf(name, sizeof name, "%s/model.json", folder);
	return ns_sha256_file(digest, in(n, path, name));
}

/* --- prepare --- */

/* {quiet: 500, changed: 500} for every night in the split */
static json_t *labelled(const struct night *n)
{
	const json_t *split = ns_conf_node(n->job->conf, "night.split");
	json_t *out = json_object(), *rows;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)split, name, rows)
		if (strcmp(name, "train") && strcmp(name, "reference"))
			json_object_set_new(out, name, json_integer(ns_conf_int(n->job->conf, "night.audited")));
	return out;
}

static enum ns_status prepare_data(struct night *n)
{
	char *split = json_dumps(ns_conf_node(n->job->conf, "night.split"), JSON_COMPACT);
	json_t *labels = labelled(n);
	char *text = json_dumps(labels, JSON_COMPACT);
	const char *const train[] = {"ingest.split", split, "ingest.labelled", text, NULL}, *const test[] = {NULL};
	enum ns_status status = split && text ? NS_OK : ns_fail(NS_CONFIG, "night.split: {train: .., reference: .., NAME: ..} is wanted");

	if (status == NS_OK)
		status = step(n, NS_VERB_INGEST, "prepare/data", ns_conf_text(n->job->conf, "night.train"), train, NULL);
	if (status == NS_OK)
		status = step(n, NS_VERB_INGEST, "prepare/test", ns_conf_text(n->job->conf, "night.test"), test, NULL);
	free(split);
	free(text);
	json_decref(labels);
	return status;
}

static enum ns_status prepare(struct night *n)
{
	char data[NS_PATH_MAX], reference[NS_PATH_MAX], test[NS_PATH_MAX], predictions[NS_PATH_MAX], digest[NS_SHA256_HEX],
		now[NS_SHA256_HEX];
	int64_t missing = 0;

	NS_TRY(prepare_data(n));
	in(n, data, "prepare/data/train");
	in(n, reference, "prepare/data/reference");
	in(n, test, "prepare/test");
	in(n, predictions, "prepare/test-predictions");
	{
		const char *const train[] = {"data", data, "calibrate", reference, "val", reference, NULL};
		const char *const infer[] = {"data", test, "infer.model", "production", NULL};
		const char *const judge[] = {"predictions", predictions, NULL};

		NS_TRY(step(n, NS_VERB_TRAIN, "prepare/model", NULL, train, NULL));
		NS_TRY(model_digest(n, "prepare/model", digest));
		if (n->job->comm->rank == 0)
			missing = ns_registry_ref(n->registry, "production", now) != NS_OK;
		NS_TRY(ns_comm_broadcast(n->job->comm, &missing, sizeof missing, 0));
		if (missing)
			NS_TRY(registry_move(n, "production", digest, "first model of this site", NULL));
		NS_TRY(step(n, NS_VERB_INFER, "prepare/test-predictions", NULL, infer, NULL));
		NS_TRY(step(n, NS_VERB_EVALUATE, "prepare/test-evaluation", NULL, judge, NULL));
	}
	return NS_OK;
}

/* --- the gate --- */

/* Paired, on the same rows: surely better on the audited new ones, not worse on the old ones beyond what is allowed. */
static enum ns_status gate(struct night *n, const char *name, int *passed)
{
	char file[256], path[NS_PATH_MAX];
	double floor_old = ns_conf_real(n->job->conf, "gate.old_floor"), least = ns_conf_real(n->job->conf, "gate.old_estimate");
	json_t *old = NULL, *new = NULL, *a, *b, *json;
	enum ns_status status;
	int better, no_harm;

	snprintf(file, sizeof file, "%s/gate-old/evaluation.json", name);
	NS_GO(read_json(n, file, &old));
	snprintf(file, sizeof file, "%s/gate-new/evaluation.json", name);
	NS_GO(read_json(n, file, &new));
	a = json_object_get(old, "against");
	b = json_object_get(new, "against");
	better = ns_json_number(b, "low", -1) > 0;
	no_harm = ns_json_number(a, "low", -1) > floor_old && ns_json_number(a, "change", -1) > least;
	*passed = better && no_harm;
	json = json_pack("{s:s, s:b, s:[{s:s, s:b, s:O}, {s:s, s:b, s:O}]}", "schema", "nightshift.gate/1", "passed", *passed, "rules",
			 "rule", "on the gate's audited rows of this night the lower bound of the gain is above 0", "held", better, "measured", b,
			 "rule", "on the old test images the change keeps its lower bound and its estimate", "held", no_harm, "measured", a);
	json_object_set_new(json, "old_floor", json_real(floor_old));
	json_object_set_new(json, "old_estimate", json_real(least));
	snprintf(file, sizeof file, "%s/gate.json", name);
	status = ns_job_agree(n->job, n->job->comm->rank == 0 ? ns_json_write(in(n, path, file), json) : NS_OK);
	ns_log_event(n->job->log, "gate", json_pack("{s:s, s:b, s:o, s:o}", "night", name, "passed", *passed, "gain_new",
						    ns_json_real(ns_json_number(b, "change", NAN)), "change_old",
						    ns_json_real(ns_json_number(a, "change", NAN))));
	json_decref(json);
out:
	json_decref(old);
	json_decref(new);
	return status;
}

/* back, and forward again: that is one ref */
static enum ns_status show_rollback(struct night *n, const char *before, const char *after)
{
	char now[NS_SHA256_HEX];
	int ok = 0;

	NS_TRY(registry_move(n, "production", before, "rollback, shown", NULL));
	NS_TRY(ns_registry_ref(n->registry, "production", now));
	ok = !strcmp(now, before);
	NS_TRY(ns_comm_barrier(n->job->comm));
	NS_TRY(registry_move(n, "production", after, "forward again", NULL));
	NS_TRY(ns_registry_ref(n->registry, "production", now));
	ok &= !strcmp(now, after);
	json_object_set_new(n->summary, "rolled_back_and_forward", json_boolean(ok));
	return ns_comm_barrier(n->job->comm);
}

/* --- retraining --- */

static enum ns_status predict_and_judge(struct night *n, const char *name, const char *what, const char *model,
					const char *data, const char *judged, const char *against, const char *rows)
{
	char out[256], data_path[NS_PATH_MAX], predictions[NS_PATH_MAX], against_path[NS_PATH_MAX];
	const char *const infer[] = {"data", in(n, data_path, data), "infer.model", model, NULL};

	snprintf(out, sizeof out, "%s/%s", name, what);
	NS_TRY(step(n, NS_VERB_INFER, out, NULL, infer, NULL));
	if (!judged)
		return NS_OK;
	in(n, predictions, out);
	in(n, against_path, against);
	{
		const char *const judge[] = {"predictions", predictions, "evaluate.against", against_path, "evaluate.rows", rows, NULL};

		snprintf(out, sizeof out, "%s/%s", name, judged);
		return step(n, NS_VERB_EVALUATE, out, NULL, judge, NULL);
	}
}

/* The figure that no decision reads: the old test images after the same change, before and after. */
static enum ns_status final_figure(struct night *n, const char *name, const json_t *recipe, const char *before,
				   const char *after)
{
	char out[256], data[256], first[256], test[NS_PATH_MAX];
	const char *const augment[] = {"data", in(n, test, "prepare/test"), NULL};

	snprintf(out, sizeof out, "%s/final-data", name);
	NS_TRY(step(n, NS_VERB_AUGMENT, out, NULL, augment, recipe));
	snprintf(data, sizeof data, "%s/final-data", name);
	snprintf(first, sizeof first, "%s/final-before", name);
	NS_TRY(predict_and_judge(n, name, "final-before", before, data, NULL, NULL, NULL));
	return predict_and_judge(n, name, "final-after", after, data, "final", first, "all");
}

static enum ns_status retrain(struct night *n, const char *name, const char *data, const json_t *recipe)
{
	char before[NS_SHA256_HEX], after[NS_SHA256_HEX], manifest[NS_PATH_MAX], out[256], old[256];
	const char *const train[] = {"manifest", manifest, NULL};
	int passed = 0;

	snprintf(out, sizeof out, "%s/retrain.json", name);
	in(n, manifest, out);
	NS_TRY(ns_registry_ref(n->registry, "production", before));
	snprintf(out, sizeof out, "%s/candidate", name);
	NS_TRY(step(n, NS_VERB_TRAIN, out, NULL, train, NULL));
	NS_TRY(model_digest(n, out, after));
	/* a night that goes on after its promotion finds production already moved: its parent is in the log */
	if (!strcmp(before, after))
		NS_TRY(ns_registry_previous(n->registry, "production", before));
	NS_TRY(registry_move(n, "candidate", after, "retrained", NULL));
	NS_TRY(predict_and_judge(n, name, "candidate-test", after, "prepare/test", "gate-old", "prepare/test-predictions", "all"));
	snprintf(old, sizeof old, "%s/predictions", name);
	NS_TRY(predict_and_judge(n, name, "candidate-night", after, data, "gate-new", old, "gate"));
	NS_TRY(gate(n, name, &passed));
	json_object_set_new(n->summary, "promoted", json_boolean(passed));
	if (passed) {
		char evidence[NS_SHA256_HEX], path[NS_PATH_MAX];

		snprintf(out, sizeof out, "%s/gate.json", name);
		NS_TRY(ns_sha256_file(evidence, in(n, path, out)));
		NS_TRY(registry_move(n, "production", after, "passed the gate", evidence));
		NS_TRY(show_rollback(n, before, after));
	} else {
		n->refused = 1;
	}
	return recipe ? final_figure(n, name, recipe, before, after) : NS_OK;
}

/* --- one night --- */

static enum ns_status copy_results(struct night *n, const char *name)
{
	static const char *const files[] = {"drift.json", "drift.html", "retrain.json", "selection.h5"};
	size_t i, bytes;
	char *data;

	if (n->job->comm->rank != 0)
		return NS_OK;
	for (i = 0; i < sizeof files / sizeof *files; i++) {
		char file[256], from[NS_PATH_MAX], to[NS_PATH_MAX];
		enum ns_status status;

		snprintf(file, sizeof file, "%s/drift/%s", name, files[i]);
		if (!ns_path_exists(in(n, from, file)))
			continue;
		snprintf(file, sizeof file, "%s/%s", name, files[i]);
		NS_TRY(ns_read_file(from, &data, &bytes));
		status = ns_write_file(in(n, to, file), data, bytes);
		free(data);
		NS_TRY(status);
	}
	return NS_OK;
}

static enum ns_status read_recipe(const char *file, json_t **recipe)
{
	json_t *tree = NULL;

	NS_TRY(ns_yaml_read(&tree, file));
	*recipe = json_incref(json_object_get(tree, "augment"));
	json_decref(tree);
	return *recipe ? NS_OK : ns_fail(NS_CONFIG, "%s: has no augment: list", file);
}

static enum ns_status drift_step(struct night *n, const char *name, const char *data)
{
	char out[256], rows[256], reference[NS_PATH_MAX], current[NS_PATH_MAX], current_data[NS_PATH_MAX], replay[NS_PATH_MAX];

	snprintf(out, sizeof out, "%s/predictions", name);
	snprintf(rows, sizeof rows, "%s/reference", name);
	in(n, reference, rows);
	in(n, current, out);
	in(n, current_data, data);
	in(n, replay, "prepare/data/train");
	snprintf(out, sizeof out, "%s/drift", name);
	{
		const char *const settings[] = {"drift.reference", reference,	    "drift.current", current, "drift.current_data", current_data,
						"drift.replay_data", replay, "drift.label", name, NULL};

		return step(n, NS_VERB_DRIFT, out, NULL, settings, NULL);
	}
}

static enum ns_status run_night(struct night *n, const char *name, const json_t *recipe)
{
	char data[256], raw[NS_PATH_MAX], out[256], manifest[NS_PATH_MAX], file[256], key[160];
	json_t *drift = NULL;

	snprintf(data, sizeof data, "prepare/data/%s", name);
	if (recipe) {
		const char *const augment[] = {"data", in(n, raw, data), NULL};

		snprintf(data, sizeof data, "%s/data", name);
		NS_TRY(step(n, NS_VERB_AUGMENT, data, NULL, augment, recipe));
	}
	snprintf(out, sizeof out, "%s/predictions", name);
	{
		const char *const infer[] = {"data", in(n, raw, data), "infer.model", "production", NULL};

		NS_TRY(step(n, NS_VERB_INFER, out, NULL, infer, NULL));
	}
	/* the reference rows by the same model: production may have changed since they were first predicted */
	snprintf(out, sizeof out, "%s/reference", name);
	{
		const char *const infer[] = {"data", in(n, raw, "prepare/data/reference"), "infer.model", "production", NULL};

		NS_TRY(step(n, NS_VERB_INFER, out, NULL, infer, NULL));
	}
	NS_TRY(drift_step(n, name, data));
	NS_TRY(ns_job_agree(n->job, copy_results(n, name)));
	snprintf(file, sizeof file, "%s/drift.json", name);
	NS_TRY(ns_comm_barrier(n->job->comm));
	NS_TRY(read_json(n, file, &drift));
	snprintf(key, sizeof key, "%s_status", name);
	json_object_set_new(n->summary, key, json_string(ns_json_text(drift, "status")));
	json_decref(drift);
	snprintf(file, sizeof file, "%s/retrain.json", name);
	if (!ns_path_exists(in(n, manifest, file)))
		return NS_OK;
	return retrain(n, name, data, recipe);
}

static enum ns_status run_nights(struct night *n)
{
	const json_t *nights = ns_conf_node(n->job->conf, "night.nights");
	json_t *entry, *list = json_array();
	size_t i;

	json_object_set_new(n->summary, "nights", list);
	json_array_foreach(nights, i, entry) {
		const char *name = ns_json_text(entry, "name"), *recipe = ns_json_text(entry, "recipe");
		json_t *list_of_ops = NULL;
		enum ns_status status = NS_OK;

		json_array_append_new(list, json_string(name));
		if (*recipe)
			status = read_recipe(recipe, &list_of_ops);
		if (status == NS_OK)
			status = run_night(n, name, list_of_ops);
		json_decref(list_of_ops);
		NS_TRY(status);
	}
	return NS_OK;
}

/* --- the summary --- */

static void put_accuracy(json_t *summary, const char *key, const json_t *e)
{
	char name[64];

	json_object_set_new(summary, key, ns_json_real(ns_json_number(e, "accuracy", NAN)));
	snprintf(name, sizeof name, "%s_low", key);
	json_object_set_new(summary, name, ns_json_real(ns_json_number(e, "low", NAN)));
	snprintf(name, sizeof name, "%s_high", key);
	json_object_set_new(summary, name, ns_json_real(ns_json_number(e, "high", NAN)));
}

/* evaluate one predictions folder's accuracy from its evaluation, or skip what this night did not do */
static void summarise(struct night *n, const char *key, const char *file)
{
	char path[NS_PATH_MAX];
	json_t *e;

	if (!ns_path_exists(in(n, path, file)) || ns_json_read(path, &e, NULL) != NS_OK)
		return;
	put_accuracy(n->summary, key, e);
	json_decref(e);
}

static enum ns_status finish(struct night *n)
{
	const json_t *nights = json_object_get(n->summary, "nights");
	char path[NS_PATH_MAX], predictions[NS_PATH_MAX], file[256], key[160];
	enum ns_status status = NS_OK;
	json_t *entry;
	size_t i;

	summarise(n, "production_accuracy", "prepare/test-evaluation/evaluation.json");
	summarise(n, "old_accuracy_before", "prepare/test-evaluation/evaluation.json");
	json_array_foreach(nights, i, entry) {
		const char *name = json_string_value(entry);
		const char *const judge[] = {"predictions", predictions, NULL};

		snprintf(file, sizeof file, "%s/final-before", name);
		if (ns_path_exists(in(n, predictions, file))) {
			snprintf(file, sizeof file, "%s/final-before-evaluation", name);
			NS_TRY(step(n, NS_VERB_EVALUATE, file, NULL, judge, NULL));
		}
		snprintf(file, sizeof file, "%s/final-before-evaluation/evaluation.json", name);
		snprintf(key, sizeof key, "%s_accuracy_before", name);
		summarise(n, key, file);
		snprintf(file, sizeof file, "%s/final/evaluation.json", name);
		snprintf(key, sizeof key, "%s_accuracy_after", name);
		summarise(n, key, file);
		snprintf(file, sizeof file, "%s/gate-old/evaluation.json", name);
		summarise(n, "old_accuracy_after", file);
	}
	json_object_set_new(n->summary, "seconds", json_real(ns_now() - n->job->start));
	if (n->job->comm->rank == 0) {
		status = ns_json_write(in(n, path, "summary.json"), n->summary);
		if (status == NS_OK)
			status = ns_night_page(n->dir);
	}
	return ns_job_agree(n->job, status);
}

/* A folder that belongs to another configuration is not gone on with. */
static enum ns_status open_folder(struct night *n)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	json_t *conf = json_copy(n->job->conf->values), *old = NULL;
	enum ns_status status;

	json_object_del(conf, "threads");
	json_object_del(conf, "json");
	json_object_del(conf, "force");
	ns_json_digest(hex, conf);
	json_decref(conf);
	NS_TRY(ns_place_lock(&n->job->place, n->dir, "night"));
	if (ns_conf_bool(n->job->conf, "force"))
		NS_TRY(ns_place_clear(n->dir, "night.json"));
	NS_TRY(ns_mkdirs(n->dir));
	in(n, path, "run.json");
	if (ns_path_exists(path))
		return ns_fail(NS_IO, "%s: this night is done; name another --out, or say --force to run it again", n->dir);
	in(n, path, "night.json");
	if (ns_path_exists(path)) {
		NS_TRY(ns_json_read(path, &old, "nightshift.night/1"));
		status = strcmp(hex, ns_json_text(old, "config"))
				 ? ns_fail(NS_CONFIG, "%s: was begun with another configuration; say --force to begin anew", n->dir)
				 : NS_OK;
		json_decref(old);
		return status;
	}
	old = json_pack("{s:s, s:s}", "schema", "nightshift.night/1", "config", hex);
	status = ns_json_write(path, old);
	json_decref(old);
	return status;
}

static enum ns_status check_conf(struct ns_job *job)
{
	static const char *const wanted[] = {"out", "night.train", "night.test"};
	const json_t *nights = ns_conf_node(job->conf, "night.nights"), *entry;
	size_t i;

	for (i = 0; i < sizeof wanted / sizeof *wanted; i++)
		if (!ns_conf_text(job->conf, wanted[i]))
			return ns_fail(NS_USAGE, "night: --%s is wanted (or a --config that says it)", wanted[i]);
	if (!json_array_size(nights))
		return ns_fail(NS_CONFIG, "night.nights: a list of {name: .., recipe: ..} is wanted");
	/* every night is looked at before the first hour of training */
	json_array_foreach(nights, i, entry) {
		const char *name = ns_json_text(entry, "name"), *file = ns_json_text(entry, "recipe");
		struct ns_augment_config *config = calloc(1, sizeof *config);
		json_t *recipe = NULL;
		enum ns_status status = config ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for a recipe");

		if (!*name || strchr(name, '/') || *name == '.' || strlen(name) > 64)
			status = ns_fail(NS_CONFIG, "night.nights[%zu]: a plain name of at most 64 letters is wanted", i);
		if (status == NS_OK && *file)
			status = read_recipe(file, &recipe);
		if (status == NS_OK && *file)
			status = ns_recipe_parse(config, recipe, 28, 28, file);
		json_decref(recipe);
		free(config);
		NS_TRY(status);
	}
	return NS_OK;
}

enum ns_status ns_job_night(struct ns_job *job, int argc, char **argv)
{
	struct night n = {.job = job, .dir = ns_conf_text(job->conf, "out"), .registry = ns_conf_text(job->conf, "registry")};
	enum ns_status status;
	char path[NS_PATH_MAX];
	json_t *run;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "night: takes no operand; --config is wanted");
	NS_TRY(check_conf(job));
	NS_TRY(ns_job_agree(job, job->comm->rank == 0 ? open_folder(&n) : NS_OK));
	n.summary = json_pack("{s:s, s:b, s:b}", "schema", "nightshift.summary/1", "promoted", 0, "rolled_back_and_forward", 0);
	NS_GO(prepare(&n));
	NS_GO(run_nights(&n));
	NS_GO(finish(&n));
	run = json_pack("{s:s, s:s, s:O, s:i, s:i, s:s, s:f}", "schema", "nightshift.run/1", "verb", "night", "config", job->conf->values,
			"ranks", job->comm->size, "threads", ns_pool_workers(job->pool), "device", job->set->description, "seconds",
			ns_now() - job->start);
	NS_GO(ns_job_agree(job, job->comm->rank == 0 ? ns_json_write(in(&n, path, "run.json"), run) : NS_OK));
	json_decref(run);
	ns_log_event(job->log, "night", json_pack("{s:s+, s:f}", "report", n.dir, "/night.html", "seconds", ns_now() - job->start));
	if (n.refused)
		status = ns_fail(NS_REFUSED, "the gate refused the candidate; production stays (see %s/night.html)", n.dir);
out:
	json_decref(n.summary);
	return status;
}
