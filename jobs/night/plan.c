/* jobs/night/plan.c - compiles the configuration of a night into its steps. A step is one call here. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/night/plan_inner.h"

#include <stdlib.h>
#include <string.h>

#define PREPARE_STEPS 8
#define NIGHT_STEPS   32

/*
 * Under Slurm, a step that works shard by shard becomes an array of tasks that publish NAME.parts/00000 ..., and a merge that makes
 * NAME of them. `s` is the last step added; the returned step has its name.
 */
static struct ns_step *spread(struct ns_plan_list *p, struct ns_step *s, const char *what)
{
	struct ns_step *whole;
	char path[NS_PATH_MAX];

	if (p->tasks < 2)
		return s;
	s->tasks = p->tasks;
	strncat(s->name, ".parts", sizeof s->name - strlen(s->name) - 1);
	whole = ns_plan_add(p, "merge", NS_VERB_MERGE, s->night, what);
	whole->source = strdup(ns_night_path(p->n, path, s->name));
	ns_plan_order(p, whole, (int)(s - p->n->steps));
	whole->only_if = s->only_if;
	return whole;
}

static void ingest(struct ns_plan_list *p, const char *night, const char *what, const char *source, const char *split, const char *labelled)
{
	const char *name = strrchr(what, '/');
	struct ns_step *s = ns_plan_add(p, "ingest", NS_VERB_INGEST, night, what);

	s->source = strdup(source);
	ns_plan_set(s, "ingest.name", name ? name + 1 : what);
	if (split)
		ns_plan_set(s, "ingest.split", split);
	if (split)
		ns_plan_set(s, "ingest.labelled", labelled);
	spread(p, s, what);
}

/* Predictions of the night's production model on `data`, a key's value. */
static struct ns_step *infer(struct ns_plan_list *p, const char *night, const char *what)
{
	struct ns_step *s = ns_plan_add(p, "infer", NS_VERB_INFER, night, what);

	s->model = NS_MODEL_PRODUCTION;
	ns_plan_after(p, s, "prepare/model");
	if (p->last)
		ns_plan_after(p, s, "%s", p->last);
	return s;
}

static struct ns_step *judge(struct ns_plan_list *p, const char *night, const char *what, const char *predictions, const char *against,
			     const char *rows)
{
	struct ns_step *s = ns_plan_add(p, "evaluate", NS_VERB_EVALUATE, night, what);

	ns_plan_set_in(p, s, "predictions", "%s/%s", *night ? night : "prepare", predictions);
	ns_plan_after(p, s, "%s/%s", *night ? night : "prepare", predictions);
	s->only_if = *night ? NS_IF_RETRAINED : NS_IF_ANYWAY;
	if (!against)
		return s;
	ns_plan_set_in(p, s, "evaluate.against", "%s/%s", night, against);
	ns_plan_set(s, "evaluate.rows", rows);
	ns_plan_after(p, s, "%s/%s", night, against);
	return s;
}

/* --- the preparation --- */

/* {quiet: 500, changed: 500}: audited rows of every night in the split. */
static json_t *labelled(const struct ns_night *n)
{
	json_t *out = json_object(), *rows;
	const char *name;

	NS_JSON_EACH(n->split, name, rows)
		if (strcmp(name, "train") && strcmp(name, "reference"))
			json_object_set_new(out, name, json_integer(n->audited));
	return out;
}

static void first_data(struct ns_plan_list *p)
{
	json_t *few = labelled(p->n);
	char *text = json_dumps(p->n->split, JSON_COMPACT), *labels = json_dumps(few, JSON_COMPACT);

	ingest(p, "", "data", p->n->train, text, labels);
	ingest(p, "", "test", p->n->test, NULL, NULL);
	free(text);
	free(labels);
	json_decref(few);
}

static void first_model(struct ns_plan_list *p)
{
	struct ns_step *s = ns_plan_add(p, "train", NS_VERB_TRAIN, "", "model");

	ns_plan_set_base(p, s, "data", "data/train");
	ns_plan_set_base(p, s, "calibrate", "data/reference");
	ns_plan_set_base(p, s, "val", "data/reference");
	ns_plan_after(p, s, "prepare/data");
	s->then = ns_night_first_model;
}

static void prepare(struct ns_plan_list *p)
{
	struct ns_step *s;

	if (!p->n->prepared) {
		first_data(p);
		first_model(p);
	}
	s = infer(p, "", "test-predictions");
	ns_plan_set_base(p, s, "data", "test");
	ns_plan_after(p, s, "prepare/test");
	s = judge(p, "", "test-evaluation", "test-predictions", NULL, NULL);
	ns_plan_set_base(p, s, "data", "test"); /* of a model that does not classify: its annotations say what is right */
	ns_plan_set(s, "evaluate.empty", "true");
}

/* --- one night --- */

/* Images of a test set are no sequences, whatever the times of their files: each votes. */
static void by_image(struct ns_step *s)
{
	ns_plan_set(s, "drift.sequence_seconds", "0");
}

/* No ratchet: a candidate is also held to the first model that this site had in production. */
static void against_first(struct ns_plan_list *p, const char *night)
{
	struct ns_step *s = infer(p, night, "first-test");

	s->model = NS_MODEL_FIRST;
	s->only_if = NS_IF_NOT_FIRST;
	ns_plan_set_named(p, s, "data", "test", "test");
	ns_plan_after(p, s, "prepare/test");
	ns_plan_after(p, s, "%s/drift", night);
	s = judge(p, night, "gate-first", "candidate-test", "first-test", "all");
	by_image(s);
	s->only_if = NS_IF_NOT_FIRST;
}

/* A candidate of an earlier night that is on trial is judged by tonight's labelled rows. */
static void try_candidate(struct ns_plan_list *p, const char *night, const char *data)
{
	struct ns_step *s = infer(p, night, "trial-predictions");

	s->model = NS_MODEL_TRIAL;
	s->only_if = NS_IF_TRIAL;
	ns_plan_set(s, "data", data);
	ns_plan_after(p, s, "%s/predictions", night);
	s = ns_plan_add(p, "gate", NS_VERBS, night, "trial");
	s->run = ns_night_trial;
	s->only_if = NS_IF_TRIAL;
	ns_plan_after(p, s, "%s/predictions", night);
	ns_plan_after(p, s, "%s/trial-predictions", night);
}

static void retrain(struct ns_plan_list *p, const char *night, const char *data)
{
	struct ns_step *s = ns_plan_add(p, "train", NS_VERB_TRAIN, night, "candidate");

	ns_plan_set_in(p, s, "manifest", "%s/drift/retrain.json", night);
	ns_plan_after(p, s, "%s/drift", night);
	s->only_if = NS_IF_RETRAINED;
	s->then = ns_night_candidate;

	s = infer(p, night, "production-test");
	ns_plan_set_named(p, s, "data", "test", "test");
	ns_plan_after(p, s, "prepare/test");
	ns_plan_after(p, s, "%s/drift", night);
	s->only_if = NS_IF_RETRAINED;

	s = ns_plan_add(p, "infer", NS_VERB_INFER, night, "candidate-test");
	ns_plan_set_named(p, s, "data", "test", "test");
	ns_plan_set_in(p, s, "infer.model", "%s/candidate", night);
	ns_plan_after(p, s, "prepare/test");
	ns_plan_after(p, s, "%s/candidate", night);
	s->only_if = NS_IF_RETRAINED;
	by_image(judge(p, night, "gate-old", "candidate-test", "production-test", "all"));
	against_first(p, night);

	s = ns_plan_add(p, "infer", NS_VERB_INFER, night, "candidate-night");
	ns_plan_set(s, "data", data);
	ns_plan_set_in(p, s, "infer.model", "%s/candidate", night);
	ns_plan_after(p, s, "%s/candidate", night);
	s->only_if = NS_IF_RETRAINED;
	s = judge(p, night, "gate-new", "candidate-night", "predictions", "gate");
	ns_plan_set(s, "evaluate.empty", "true");
	ns_plan_set_in(p, s, "evaluate.manifest", "%s/drift/retrain.json", night);

	s = ns_plan_add(p, "gate", NS_VERBS, night, "gate");
	s->run = ns_night_gate;
	s->only_if = NS_IF_RETRAINED;
	ns_plan_after(p, s, "%s/gate-old", night);
	ns_plan_after(p, s, "%s/gate-first", night);
	ns_plan_after(p, s, "%s/gate-new", night);
	ns_plan_after(p, s, "%s/trial", night);
}

/* The figure that no decision reads: accuracy before and after on the old test images, changed in the same way. */
static void final_figure(struct ns_plan_list *p, const char *night, json_t *recipe)
{
	struct ns_step *s = ns_plan_add(p, "augment", NS_VERB_AUGMENT, night, "final-data");

	ns_plan_set_base(p, s, "data", "test");
	s->recipe = json_incref(recipe);
	ns_plan_after(p, s, "prepare/test");
	ns_plan_after(p, s, "%s/drift", night);
	s->only_if = NS_IF_RETRAINED;

	s = infer(p, night, "final-before");
	ns_plan_set_in(p, s, "data", "%s/final-data", night);
	ns_plan_after(p, s, "%s/final-data", night);
	s->only_if = NS_IF_RETRAINED;

	s = ns_plan_add(p, "infer", NS_VERB_INFER, night, "final-after");
	ns_plan_set_in(p, s, "data", "%s/final-data", night);
	ns_plan_set_in(p, s, "infer.model", "%s/candidate", night);
	ns_plan_after(p, s, "%s/final-data", night);
	ns_plan_after(p, s, "%s/candidate", night);
	s->only_if = NS_IF_RETRAINED;
	judge(p, night, "final-before-evaluation", "final-before", NULL, NULL);
	by_image(judge(p, night, "final", "final-after", "final-before", "all"));
}

/* The night's images: its rows of the split, or new ones from a source; changed by its recipe if it has one. */
static void night_data(struct ns_plan_list *p, const char *night, const char *source, json_t *recipe, char data[NS_PATH_MAX], char *from)
{
	char raw[NS_PATH_MAX], name[NS_STEP_NAME];
	struct ns_step *s;

	if (*source) {
		snprintf(from, NS_STEP_NAME, "%s/images", night);
		snprintf(name, sizeof name, "%s", from);
		ingest(p, night, "images", source, NULL, NULL);
	} else {
		snprintf(from, NS_STEP_NAME, "prepare/data");
		snprintf(name, sizeof name, "prepare/data/%s", night);
	}
	ns_night_path(p->n, raw, name);
	snprintf(data, NS_PATH_MAX, "%s", raw);
	if (!recipe)
		return;
	s = ns_plan_add(p, "augment", NS_VERB_AUGMENT, night, "data");
	ns_plan_set(s, "data", raw);
	s->recipe = json_incref(recipe);
	ns_plan_after(p, s, "%s", from);
	snprintf(from, NS_STEP_NAME, "%s/data", night);
	ns_night_path(p->n, data, from);
}

static void one_night(struct ns_plan_list *p, const char *night, const char *source, json_t *recipe)
{
	char data[NS_PATH_MAX], from[NS_STEP_NAME], history[NS_PATH_MAX];
	struct ns_step *s;

	night_data(p, night, source, recipe, data, from);
	s = infer(p, night, "predictions");
	ns_plan_set(s, "data", data);
	ns_plan_after(p, s, "%s", from);
	spread(p, s, "predictions");
	/* the reference rows are predicted again, because production may have changed since */
	s = infer(p, night, "reference");
	ns_plan_set_named(p, s, "data", "reference", "data/reference");
	ns_plan_after(p, s, "prepare/data");
	spread(p, s, "reference");

	s = ns_plan_add(p, "drift", NS_VERB_DRIFT, night, "drift");
	ns_plan_set_in(p, s, "drift.reference", "%s/reference", night);
	ns_plan_set_in(p, s, "drift.current", "%s/predictions", night);
	ns_plan_set(s, "drift.current_data", data);
	if (!ns_conf_text(p->n->job->conf, "drift.history")) /* a site judges its nights among themselves */
		ns_plan_set(s, "drift.history", ns_path(history, "%s.history", p->n->registry) == NS_OK ? history : "");
	ns_plan_set_named(p, s, "drift.replay_data", "replay", "data/train");
	ns_plan_set(s, "drift.label", night);
	ns_plan_after(p, s, "%s/predictions", night);
	ns_plan_after(p, s, "%s/reference", night);
	s->then = ns_night_drift_copies;

	try_candidate(p, night, data);
	retrain(p, night, data);
	if (recipe)
		final_figure(p, night, recipe);
	s = ns_plan_find(p->n, p->n->steps[p->n->count - 1].name);
	for (; s->run != ns_night_gate; s--) /* back to the gate of this night */
		;
	p->last = s->name;
}

/* The report depends on every step that no other step depends on. */
static void report(struct ns_plan_list *p)
{
	struct ns_step *s = ns_plan_add(p, "report", NS_VERBS, "", "report");
	int i, j, k, waited;

	snprintf(s->name, sizeof s->name, "report");
	s->run = ns_night_report;
	s->always = 1;
	for (i = 0; i < p->n->count - 1; i++) {
		for (waited = 0, j = 0; j < p->n->count - 1; j++)
			for (k = 0; k < p->n->steps[j].after_count; k++)
				waited |= p->n->steps[j].after[k] == i;
		if (!waited)
			ns_plan_order(p, s, i);
	}
}

enum ns_status ns_night_recipe(const char *file, json_t **recipe)
{
	json_t *tree = NULL;

	NS_TRY(ns_yaml_read(&tree, file));
	*recipe = json_incref(json_object_get(tree, "augment"));
	json_decref(tree);
	return *recipe ? NS_OK : ns_fail(NS_CONFIG, "%s: has no augment: list", file);
}

enum ns_status ns_night_plan(struct ns_night *n, int arrays)
{
	const json_t *entry;
	struct ns_plan_list p = {.n = n, .tasks = arrays ? n->tasks : 0};
	size_t i;

	p.capacity = PREPARE_STEPS + NIGHT_STEPS * (int)json_array_size(n->nights) + 1;
	n->steps = calloc((size_t)p.capacity, sizeof *n->steps);
	if (!n->steps)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d steps", p.capacity);
	NS_TRY(ns_night_base(n, p.base));
	prepare(&p);
	json_array_foreach(n->nights, i, entry) {
		const char *name = ns_json_text(entry, "name");

		one_night(&p, name, ns_json_text(entry, "source"), json_object_get(n->recipes, name));
	}
	report(&p);
	return p.status;
}

void ns_night_plan_free(struct ns_night *n)
{
	int i;

	for (i = 0; n->steps && i < n->count; i++)
		ns_plan_release(&n->steps[i]);
	free(n->steps);
	n->steps = NULL;
}

json_t *ns_night_plan_json(const struct ns_night *n)
{
	json_t *list = json_array();
	int i, k;

	for (i = 0; i < n->count; i++) {
		const struct ns_step *s = &n->steps[i];
		json_t *names = json_array();

		for (k = 0; k < s->after_count; k++)
			json_array_append_new(names, json_string(n->steps[s->after[k]].name));
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:i, s:b, s:o}", "step", s->name, "stage", s->stage, "night", s->night,
						      "tasks", s->tasks, "conditional", s->only_if != NS_IF_ANYWAY, "after", names));
	}
	return json_pack("{s:s, s:o}", "schema", "nightshift.plan/1", "steps", list);
}
