/*
 * jobs/night/night_inner.h - a night as a list of steps. `nightshift night` runs it from front to back; slurm/submit.sh submits the same
 * list as a static graph, a job (or an array) a step, and every step looks for itself whether those before it were committed.
 *
 * Below the night's folder: night.json (whose configuration it is), the results of the steps under their names, steps/plan.json
 * (nightshift.plan/1) and steps/NAME.json (nightshift.step/1), what became of each.
 */
#ifndef NS_NIGHT_NIGHT_INNER_H
#define NS_NIGHT_NIGHT_INNER_H

#include "jobs/night/night.h"
#include "host/report/report.h"
#include "jobs/verb.h"

#define NS_STEP_NAME 200

struct ns_night;
struct ns_step;
typedef enum ns_status ns_step_fn(struct ns_night *n, const struct ns_step *s);

struct ns_step {
	char name[NS_STEP_NAME]; /* "changed/gate-old": also where its result lies */
	char night[65];		 /* "": the preparation */
	const char *stage;	 /* slurm/STAGE.sbatch has its resources */
	ns_step_fn *run;	 /* NULL: a verb, with these settings on top of the night's configuration */
	enum ns_verb_id verb;
	json_t *settings, *recipe; /* "key" -> text; augment: */
	char *source;		   /* operand of the verb, or NULL */
	int tasks;		   /* above 0: an array of so many, each with a part */
	int always;		   /* whatever became of those before it: the report, which tells of all others */
	int conditional;	   /* only where the night's verdict asked for a retraining */
	int pinned;		   /* its model is what was production when the night began */
	ns_step_fn *then;	   /* once the result is there, every time it is found there; may be NULL */
	int *after, after_count; /* whose results it reads, or whose moves it must see */
};

struct ns_night {
	struct ns_job *job;
	const char *dir, *registry;
	struct ns_step *steps;
	int count;
	json_t *recipes; /* NAME of a night -> its augment: list, as when it began */
	json_t *summary;
	int refused; /* a gate did */
	int settled; /* the report found steps that did not come to their end: they are done with, it has nothing to wait for */
};

/* The steps that the configuration asks for. arrays: with night.tasks jobs each for ingest and for the night's inference. */
enum ns_status ns_night_plan(struct ns_night *n, int arrays);
void ns_night_plan_free(struct ns_night *n);
/* nightshift.plan/1 */
json_t *ns_night_plan_json(const struct ns_night *n);
/* The night's recipe; its `augment:` list. */
enum ns_status ns_night_recipe(const char *file, json_t **recipe);

/* path = the night's folder / name; "" where it is too long */
const char *ns_night_in(const struct ns_night *n, char path[NS_PATH_MAX], const char *name);

/*
 * Collective. Run a step, or keep its result, and leave its record. lone: as a job of its own, that cannot know what became of
 * those before it and looks; -1 or the number of the array's task.
 */
enum ns_status ns_step_run(struct ns_night *n, const struct ns_step *s, int task, int lone);
/* Where the record of a step (or of a task, -1: none) lies. */
void ns_step_record_path(const char *dir, const char *name, int task, char path[NS_PATH_MAX]);
/* "done", "skipped", "failed", "blocked", "running" or "none"; the caller drops *record, which may be NULL */
const char *ns_step_state(const char *dir, const char *name, int task, json_t **record);

/* its record says so and its result is there */
int ns_step_is_done(const struct ns_night *n, const struct ns_step *s, int task);

/* Collective. What `auto` is for a verb in this night, as found out where it was first asked for: "cpu" or "cuda" (which
 * is then open), "f32" or "bf16". */
enum ns_status ns_night_device(struct ns_night *n, const char *verb, char device[NS_SHA256_HEX]);
enum ns_status ns_night_precision(struct ns_night *n, const char *verb, char precision[NS_SHA256_HEX]);
/* Collective. What was production when this night first asked. */
enum ns_status ns_night_production(struct ns_night *n, const char *night, char digest[NS_SHA256_HEX]);
/* How it went: the steps over time, and a table. Nothing where DIR has no steps/plan.json. */
struct ns_html;
void ns_night_graph(struct ns_html *h, const char *dir);
/* night.html from what lies in a night's folder: summary.json and the results of its jobs. */
enum ns_status ns_night_page(const char *dir);
/* Steps and hooks that are no verb: see jobs/night/gate.c and jobs/night/report.c. */
ns_step_fn ns_night_gate, ns_night_first_model, ns_night_candidate, ns_night_drift_copies, ns_night_report;

#endif
