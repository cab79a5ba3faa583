/* jobs/night/plan.c - compiles the configuration of a night into its steps. A step is one call here. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/night/night_inner.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PREPARE_STEPS 8
#define NIGHT_STEPS   24

struct plan {
	struct ns_night *n;
	char base[NS_PATH_MAX]; /* the folder of data/train, data/reference and test */
	int capacity, tasks;
	enum ns_status status;
	const char *last; /* the step that the next night depends on: it may move production */
};

static struct ns_step *step_find(struct ns_night *n, const char *name)
{
	int i;

	for (i = 0; i < n->count; i++)
		if (!strcmp(n->steps[i].name, name))
			return &n->steps[i];
	return NULL;
}

/* Path of `what` in a night, or in the preparation where night is "". */
static void release_step(struct ns_step *s)
{
	json_decref(s->settings);
	json_decref(s->recipe);
	free(s->source);
	free(s->after);
	memset(s, 0, sizeof *s);
}

static struct ns_step *add(struct plan *p, const char *stage, enum ns_verb_id verb, const char *night, const char *what)
{
	struct ns_step *s;

	if (p->n->count == p->capacity) { /* the spare element behind the last: not a step, the plan fails */
		p->status = ns_fail(NS_INTERNAL, "step %s: the night has more than the %d steps that were counted", what, p->capacity);
		p->n->count--;
	}
	s = &p->n->steps[p->n->count++];
	release_step(s);
	snprintf(s->name, sizeof s->name, "%s/%s", *night ? night : "prepare", what);
	snprintf(s->night, sizeof s->night, "%s", night);
	s->stage = stage;
	s->verb = verb;
	s->settings = json_object();
	return s;
}

static void come_after(struct plan *p, struct ns_step *s, int before)
{
	int *more = realloc(s->after, (size_t)(s->after_count + 1) * sizeof *more);

	if (more) {
		s->after = more;
		s->after[s->after_count++] = before;
	} else {
		p->status = ns_fail(NS_NO_MEMORY, "out of memory for the steps of a night");
	}
}

/* Adds the steps that `s` depends on, by name; those that this night does not have (an earlier preparation) are left out. */
static void after(struct plan *p, struct ns_step *s, const char *format, ...)
{
	char name[2 * NS_STEP_NAME];
	struct ns_step *before;
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof name, format, args);
	va_end(args);
	before = step_find(p->n, name);
	if (before && before != s)
		come_after(p, s, (int)(before - p->n->steps));
}

static void set(struct ns_step *s, const char *key, const char *value)
{
	json_object_set_new(s->settings, key, json_string_nocheck(value)); /* may be a path, which need not be UTF-8 */
}

/* key = a path below the night's folder */
static void set_in(struct plan *p, struct ns_step *s, const char *key, const char *format, ...)
{
	char name[2 * NS_STEP_NAME], path[NS_PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof name, format, args);
	va_end(args);
	set(s, key, ns_night_path(p->n, path, name));
}

/* key = a path below the preparation's folder */
static void set_base(struct plan *p, struct ns_step *s, const char *key, const char *name)
{
	char path[NS_PATH_MAX];

	set(s, key, ns_path(path, "%s/%s", p->base, name) == NS_OK ? path : "");
}

/*
 * Under Slurm, a step that works shard by shard becomes an array of tasks that publish NAME.parts/00000 ..., and a merge that makes
 * NAME of them. `s` is the last step added; the returned step has its name.
 */
static struct ns_step *spread(struct plan *p, struct ns_step *s, const char *what)
{
	struct ns_step *whole;
	char path[NS_PATH_MAX];

	if (p->tasks < 2)
		return s;
	s->tasks = p->tasks;
	strncat(s->name, ".parts", sizeof s->name - strlen(s->name) - 1);
	whole = add(p, "merge", NS_VERB_MERGE, s->night, what);
	whole->source = strdup(ns_night_path(p->n, path, s->name));
	come_after(p, whole, (int)(s - p->n->steps));
	whole->conditional = s->conditional;
	return whole;
}

static void ingest(struct plan *p, const char *night, const char *what, const char *source, const char *split, const char *labelled)
{
	const char *name = strrchr(what, '/');
	struct ns_step *s = add(p, "ingest", NS_VERB_INGEST, night, what);

	s->source = strdup(source);
	set(s, "ingest.name", name ? name + 1 : what);
	if (split)
		set(s, "ingest.split", split);
	if (split)
		set(s, "ingest.labelled", labelled);
	spread(p, s, what);
}

/* Predictions of the night's production model on `data`, a key's value. */
static struct ns_step *infer(struct plan *p, const char *night, const char *what)
{
	struct ns_step *s = add(p, "infer", NS_VERB_INFER, night, what);

	s->pinned = 1;
	after(p, s, "prepare/model");
	if (p->last)
		after(p, s, "%s", p->last);
	return s;
}

static struct ns_step *judge(struct plan *p, const char *night, const char *what, const char *predictions, const char *against, const char *rows)
{
	struct ns_step *s = add(p, "evaluate", NS_VERB_EVALUATE, night, what);

	set_in(p, s, "predictions", "%s/%s", *night ? night : "prepare", predictions);
	after(p, s, "%s/%s", *night ? night : "prepare", predictions);
	s->conditional = *night != 0;
	if (!against)
		return s;
	set_in(p, s, "evaluate.against", "%s/%s", night, against);
	set(s, "evaluate.rows", rows);
	after(p, s, "%s/%s", night, against);
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

static void first_data(struct plan *p)
{
	json_t *few = labelled(p->n);
	char *text = json_dumps(p->n->split, JSON_COMPACT), *labels = json_dumps(few, JSON_COMPACT);

	ingest(p, "", "data", p->n->train, text, labels);
	ingest(p, "", "test", p->n->test, NULL, NULL);
	free(text);
	free(labels);
	json_decref(few);
}

static void first_model(struct plan *p)
{
	struct ns_step *s = add(p, "train", NS_VERB_TRAIN, "", "model");

	set_base(p, s, "data", "data/train");
	set_base(p, s, "calibrate", "data/reference");
	set_base(p, s, "val", "data/reference");
	after(p, s, "prepare/data");
	s->then = ns_night_first_model;
}

static void prepare(struct plan *p)
{
	struct ns_step *s;

	if (!p->n->prepared) {
		first_data(p);
		first_model(p);
	}
	s = infer(p, "", "test-predictions");
	set_base(p, s, "data", "test");
	after(p, s, "prepare/test");
	judge(p, "", "test-evaluation", "test-predictions", NULL, NULL);
}

/* --- one night --- */

static void retrain(struct plan *p, const char *night, const char *data)
{
	struct ns_step *s = add(p, "train", NS_VERB_TRAIN, night, "candidate");

	set_in(p, s, "manifest", "%s/drift/retrain.json", night);
	after(p, s, "%s/drift", night);
	s->conditional = 1;
	s->then = ns_night_candidate;

	s = infer(p, night, "production-test");
	set_base(p, s, "data", "test");
	after(p, s, "prepare/test");
	after(p, s, "%s/drift", night);
	s->conditional = 1;

	s = add(p, "infer", NS_VERB_INFER, night, "candidate-test");
	set_base(p, s, "data", "test");
	set_in(p, s, "infer.model", "%s/candidate", night);
	after(p, s, "prepare/test");
	after(p, s, "%s/candidate", night);
	s->conditional = 1;
	judge(p, night, "gate-old", "candidate-test", "production-test", "all");

	s = add(p, "infer", NS_VERB_INFER, night, "candidate-night");
	set(s, "data", data);
	set_in(p, s, "infer.model", "%s/candidate", night);
	after(p, s, "%s/candidate", night);
	s->conditional = 1;
	judge(p, night, "gate-new", "candidate-night", "predictions", "gate");

	s = add(p, "gate", NS_VERBS, night, "gate");
	s->run = ns_night_gate;
	s->conditional = 1;
	after(p, s, "%s/gate-old", night);
	after(p, s, "%s/gate-new", night);
}

/* The figure that no decision reads: accuracy before and after on the old test images, changed in the same way. */
static void final_figure(struct plan *p, const char *night, json_t *recipe)
{
	struct ns_step *s = add(p, "augment", NS_VERB_AUGMENT, night, "final-data");

	set_base(p, s, "data", "test");
	s->recipe = json_incref(recipe);
	after(p, s, "prepare/test");
	after(p, s, "%s/drift", night);
	s->conditional = 1;

	s = infer(p, night, "final-before");
	set_in(p, s, "data", "%s/final-data", night);
	after(p, s, "%s/final-data", night);
	s->conditional = 1;

	s = add(p, "infer", NS_VERB_INFER, night, "final-after");
	set_in(p, s, "data", "%s/final-data", night);
	set_in(p, s, "infer.model", "%s/candidate", night);
	after(p, s, "%s/final-data", night);
	after(p, s, "%s/candidate", night);
	s->conditional = 1;
	judge(p, night, "final-before-evaluation", "final-before", NULL, NULL);
	judge(p, night, "final", "final-after", "final-before", "all");
}

/* The night's images: its rows of the split, or new ones from a source; changed by its recipe if it has one. */
static void night_data(struct plan *p, const char *night, const char *source, json_t *recipe, char data[NS_PATH_MAX], char *from)
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
	s = add(p, "augment", NS_VERB_AUGMENT, night, "data");
	set(s, "data", raw);
	s->recipe = json_incref(recipe);
	after(p, s, "%s", from);
	snprintf(from, NS_STEP_NAME, "%s/data", night);
	ns_night_path(p->n, data, from);
}

static void one_night(struct plan *p, const char *night, const char *source, json_t *recipe)
{
	char data[NS_PATH_MAX], from[NS_STEP_NAME];
	struct ns_step *s;

	night_data(p, night, source, recipe, data, from);
	s = infer(p, night, "predictions");
	set(s, "data", data);
	after(p, s, "%s", from);
	spread(p, s, "predictions");
	/* the reference rows are predicted again, because production may have changed since */
	s = infer(p, night, "reference");
	set_base(p, s, "data", "data/reference");
	after(p, s, "prepare/data");
	spread(p, s, "reference");

	s = add(p, "drift", NS_VERB_DRIFT, night, "drift");
	set_in(p, s, "drift.reference", "%s/reference", night);
	set_in(p, s, "drift.current", "%s/predictions", night);
	set(s, "drift.current_data", data);
	set_base(p, s, "drift.replay_data", "data/train");
	set(s, "drift.label", night);
	after(p, s, "%s/predictions", night);
	after(p, s, "%s/reference", night);
	s->then = ns_night_drift_copies;

	retrain(p, night, data);
	if (recipe)
		final_figure(p, night, recipe);
	s = step_find(p->n, p->n->steps[p->n->count - 1].name);
	for (; s->verb != NS_VERBS; s--) /* back to the gate of this night */
		;
	p->last = s->name;
}

/* The report depends on every step that no other step depends on. */
static void report(struct plan *p)
{
	struct ns_step *s = add(p, "report", NS_VERBS, "", "report");
	int i, j, k, waited;

	snprintf(s->name, sizeof s->name, "report");
	s->run = ns_night_report;
	s->always = 1;
	for (i = 0; i < p->n->count - 1; i++) {
		for (waited = 0, j = 0; j < p->n->count - 1; j++)
			for (k = 0; k < p->n->steps[j].after_count; k++)
				waited |= p->n->steps[j].after[k] == i;
		if (!waited)
			come_after(p, s, i);
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
	struct plan p = {.n = n, .tasks = arrays ? n->tasks : 0};
	size_t i;

	p.capacity = PREPARE_STEPS + NIGHT_STEPS * (int)json_array_size(n->nights) + 1;
	n->steps = calloc((size_t)p.capacity, sizeof *n->steps);
	if (!n->steps)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d steps", p.capacity);
	if (n->prepared)
		NS_TRY(ns_path(p.base, "%s", n->prepared));
	else
		ns_night_path(n, p.base, "prepare");
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
		release_step(&n->steps[i]);
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
						      "tasks", s->tasks, "conditional", s->conditional, "after", names));
	}
	return json_pack("{s:s, s:o}", "schema", "nightshift.plan/1", "steps", list);
}
