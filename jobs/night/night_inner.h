/*
 * jobs/night/night_inner.h - a night as a list of steps. `nightshift night` runs it from front to back; slurm/submit.sh submits the same
 * list as a static graph, a job (or an array) a step, and every step checks itself whether those before it were committed.
 *
 * Below the night's folder: night.json (whose configuration it is), the results of the steps under their names, steps/plan.json
 * (nightshift.plan/1) and steps/NAME.json (nightshift.step/1), the record of each step.
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

/* When a step has anything to do; what it depends on is known when it is asked. */
enum ns_step_if {
	NS_IF_ANYWAY,
	NS_IF_RETRAINED, /* the night's verdict asks for a retraining, and no candidate is on trial */
	NS_IF_NOT_FIRST, /* likewise, and production is not the site's first model */
	NS_IF_TRIAL,	 /* a candidate is on trial */
};

/* Of the registry, as it was when the night first asked. */
enum ns_step_model { NS_MODEL_GIVEN, NS_MODEL_PRODUCTION, NS_MODEL_FIRST, NS_MODEL_TRIAL };

struct ns_step {
	char name[NS_STEP_NAME]; /* "changed/gate-old": also the path of its result */
	char night[65];		 /* "": the preparation */
	const char *stage;	 /* its resources are in slurm/STAGE.sbatch */
	ns_step_fn *run;	 /* NULL: a verb, with `settings` on top of the night's configuration */
	enum ns_verb_id verb;
	json_t *settings, *recipe; /* "key" -> text; augment: */
	char *source;		   /* operand of the verb, or NULL */
	int tasks;		   /* above 0: an array of that many tasks, each with a part */
	int always;		   /* runs also if steps before it failed: the report, which covers all others */
	enum ns_step_if only_if;
	enum ns_step_model model; /* of an inference */
	const char *named,
		*key; /* what production names, the key of its release, is the value of that key; NULL: nothing; where it names none, `settings` */
	ns_step_fn *then;	 /* runs whenever the result exists, new or kept; may be NULL */
	int *after, after_count; /* steps whose results it reads or whose registry moves it must see */
};

struct ns_night {
	struct ns_job *job;
	/* settings, of the keys in the table of night.c */
	const char *dir, *registry, *step, *train, *test, *prepared; /* step: this one alone, or NULL: all */
	const json_t *nights, *split;
	int64_t task; /* of the step, -1: not given */
	int tasks, audited, plan_only, open, force, show_rollback;
	double old_floor, old_estimate;
	const char *approve, *site; /* approve: by whom what passed is promoted, auto or person */
	int64_t trial_nights;	    /* a candidate is on trial, at most */
	int64_t reference_rows;	    /* of windows that become a reference, at least: fewer say less than what they would replace */
	struct ns_step *steps;
	int count;
	json_t *recipes; /* NAME of a night -> its augment: list, as when it began */
	json_t *summary;
	int settled; /* the report found unfinished steps, which will not run any more: nothing to wait for */
};

/* Compiles the configuration into steps. arrays: ingest and the night's inference become arrays of night.tasks tasks. */
enum ns_status ns_night_plan(struct ns_night *n, int arrays);
void ns_night_plan_free(struct ns_night *n);
/* nightshift.plan/1 */
json_t *ns_night_plan_json(const struct ns_night *n);
/* Reads the `augment:` list of a recipe's file. */
enum ns_status ns_night_recipe(const char *file, json_t **recipe);

/* path = the night's folder / name; "" if too long */
const char *ns_night_path(const struct ns_night *n, char path[NS_PATH_MAX], const char *name);

/*
 * Collective. Runs a step, or keeps its result, and writes its record. lone: it is a job of its own, so it reads the records of the steps
 * before it. task: the number of the array's task, or -1.
 */
enum ns_status ns_step_run(struct ns_night *n, const struct ns_step *s, int task, int lone);
/* Collective. call.c: the verb under its own configuration: the night's, with the step's settings on top, and what production names. */
enum ns_status ns_step_call(struct ns_night *n, const struct ns_step *s, int task, const char *result);
/* Path of the record of a step, or of its task (-1: none). */
void ns_step_record_path(const char *dir, const char *name, int task, char path[NS_PATH_MAX]);
/* "done", "skipped", "failed", "blocked", "running" or "none"; the caller drops *record, which may be NULL */
const char *ns_step_state(const char *dir, const char *name, int task, json_t **record);

/* Does its record say done, and does its result exist? */
int ns_step_is_done(const struct ns_night *n, const struct ns_step *s, int task);

/* Collective. The meaning of `auto` for a verb in this night, as the first job that asked determined it: "cpu" or "cuda" (which is then
 * open), "f32" or "bf16". */
enum ns_status ns_night_device(struct ns_night *n, const char *verb, char device[NS_SHA256_HEX]);
enum ns_status ns_night_precision(struct ns_night *n, const char *verb, char precision[NS_SHA256_HEX]);
/* Collective. The production model of when this night first asked; what the release that it was names under `key`, "" where it names nothing, or, under "", that
 * release itself. */
enum ns_status ns_night_production(struct ns_night *n, const char *night, char digest[NS_SHA256_HEX]);
enum ns_status ns_night_named(struct ns_night *n, const char *night, const char *key, char digest[NS_SHA256_HEX]);
/* What this night came to and what is to be done: {do, say}; the caller drops it, also on failure. */
/* The file b of the folder a; *json is NULL where the night has no such file, and one that cannot be read is an error. */
enum ns_status ns_night_load(const struct ns_night *n, const char *a, const char *b, json_t **json);
/* Links a file in place, once; it takes json. */
enum ns_status ns_night_write_once(const struct ns_night *n, const char *name, json_t *json);
enum ns_status ns_night_next(const struct ns_night *n, size_t unfinished, json_t **out);
/* Appends the steps over time and a table; nothing where DIR has no steps/plan.json. */
struct ns_html;
void ns_night_graph(struct ns_html *h, const char *dir);
/* summary.json, and the evaluation of the test set, NULL where there is none */
void ns_night_page_before(struct ns_html *h, const json_t *summary, const json_t *evaluation);
/* Writes night.html from the files in a night's folder: summary.json and the results of its jobs. */
enum ns_status ns_night_page(const char *dir);
/* Steps and hooks that are not verbs: see jobs/night/gate.c and jobs/night/report.c. */
ns_step_fn ns_night_gate, ns_night_trial, ns_night_first_model, ns_night_candidate, ns_night_drift_copies, ns_night_report;

/* Rank 0 alone. The production model of this night, and the site's first one; "" where there is none yet. */
enum ns_status ns_night_production_known(const struct ns_night *n, const char *night, char digest[NS_SHA256_HEX]);
enum ns_status ns_night_first(const struct ns_night *n, char digest[NS_SHA256_HEX]);
/*
 * Collective. Makes the candidate production, under its release, unless this gate has done so already and was killed before its record; then, where
 * night.show_rollback asks for it, back and forward again.
 */
enum ns_status ns_night_promote(struct ns_night *n, const char *night, const char *candidate, const char *production, const char *evidence,
				const char *release);

/*
 * --- release.c; rank 0 alone ---
 *
 * Puts the release of a candidate that its trial lets through into the registry: that of production with the rows that taught it, those that voted for it,
 * and, where there are enough, the windows since the alarm as its reference.
 */
enum ns_status ns_night_release(const struct ns_night *n, const char *night, const json_t *trial, char digest[NS_SHA256_HEX]);
/* That of a site's first model: the sets of the preparation. */
enum ns_status ns_night_first_release(const struct ns_night *n, const char *model, char digest[NS_SHA256_HEX]);
/* The folder of data/train, data/reference and test. */
enum ns_status ns_night_base(const struct ns_night *n, char path[NS_PATH_MAX]);

/*
 * --- trial.c: a candidate on trial, nightshift.trial/1; rank 0 alone, but for ns_trial_candidate() ---
 *
 * Opens one: tonight's evaluation against production, or NULL for no votes; not harmless: it is refused at once. The caller drops *trial.
 */
enum ns_status ns_trial_open(const struct ns_night *n, const char *night, const char *candidate, const char *production, const char *gate,
			     const json_t *tonight, int harmless, json_t **trial);
/* The newest state; *trial is NULL where there is none that can be read. */
enum ns_status ns_trial_newest(const struct ns_night *n, json_t **trial, char digest[NS_SHA256_HEX]);
/* Was a candidate on trial when this night first asked, and may no other be trained? */
enum ns_status ns_trial_asked(const struct ns_night *n, const char *night, int *asked, int *busy);
/* Collective. That candidate; "" where there is none. */
enum ns_status ns_trial_candidate(struct ns_night *n, const char *night, char digest[NS_SHA256_HEX]);
/* trial_votes.c: the vote of the night of the alarm; and all later ones, counted again, this night's among them */
enum ns_status ns_trial_first_vote(const struct ns_night *n, const char *night, const json_t *tonight, json_t **vote);
enum ns_status ns_trial_count(const struct ns_night *n, const char *night, json_t *trial);

#endif
