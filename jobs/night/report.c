/* jobs/night/report.c - the last step: writes the night's results, and its unfinished steps, as summary.json and a page. */
#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"
#include "host/run/run.h"
#include "host/registry/registry.h"
#include "jobs/night/night_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Adds an accuracy with its interval from an evaluation; nothing where the night has none. */
static enum ns_status put_accuracy(struct ns_night *n, const char *key, const char *a, const char *b)
{
	char name[192];
	json_t *e;

	NS_TRY(ns_night_load(n, a, b, &e));
	if (!e)
		return NS_OK;
	json_object_set_new(n->summary, key, ns_json_real(ns_json_number(e, "accuracy", NAN)));
	snprintf(name, sizeof name, "%s_low", key);
	json_object_set_new(n->summary, name, ns_json_real(ns_json_number(e, "low", NAN)));
	snprintf(name, sizeof name, "%s_high", key);
	json_object_set_new(n->summary, name, ns_json_real(ns_json_number(e, "high", NAN)));
	json_decref(e);
	return NS_OK;
}

/* Adds the gate's decision once its step is done, that is, after its promotion. */
static enum ns_status put_gate(struct ns_night *n, const char *night)
{
	json_t *gate, *back = NULL, *trial = NULL, *record = NULL;
	char step[NS_STEP_NAME];
	enum ns_status status;

	NS_TRY(ns_night_load(n, night, "gate.json", &gate));
	status = ns_night_load(n, night, "rollback.json", &back);
	snprintf(step, sizeof step, "%s/gate", night);
	if (status == NS_OK)
		status = ns_night_load(n, night, "trial.json", &trial);
	if (status == NS_OK && trial && !strcmp(ns_step_state(n->dir, step, -1, &record), gate ? "done" : "skipped")) {
		if (ns_trial_is(trial, "passed"))
			json_object_set_new(n->summary, "promoted", json_true());
		if (json_is_true(json_object_get(back, "rolled_back_and_forward")))
			json_object_set_new(n->summary, "rolled_back_and_forward", json_true());
	}
	json_decref(record);
	json_decref(trial);
	json_decref(gate);
	json_decref(back);
	return status;
}

static enum ns_status put_night(struct ns_night *n, const char *night)
{
	char key[160];
	json_t *drift;

	NS_TRY(ns_night_load(n, night, "drift.json", &drift));
	snprintf(key, sizeof key, "%s_status", night);
	json_object_set_new(n->summary, key, drift ? json_string(ns_json_text(drift, "status")) : json_null());
	json_decref(drift);
	snprintf(key, sizeof key, "%s_accuracy_before", night);
	NS_TRY(put_accuracy(n, key, night, "final-before-evaluation/evaluation.json"));
	snprintf(key, sizeof key, "%s_accuracy_after", night);
	NS_TRY(put_accuracy(n, key, night, "final/evaluation.json"));
	NS_TRY(put_accuracy(n, "old_accuracy_after", night, "gate-old/evaluation.json"));
	return put_gate(n, night);
}

/* Lists unfinished steps and tasks, each with its reason; *first: start of the earliest step; *energy: joules of all that say so, or NAN. */
static json_t *unfinished(const struct ns_night *n, double *first, double *energy)
{
	json_t *list = json_array();
	int i, t;

	for (i = 0; i < n->count; i++) {
		const struct ns_step *s = &n->steps[i];

		for (t = s->tasks ? 0 : -1; !s->always && t < (s->tasks ? s->tasks : 0); t++) {
			json_t *record;
			const char *state = ns_step_state(n->dir, s->name, t, &record);
			double start = ns_json_number(record, "start", INFINITY);

			*first = start < *first ? start : *first;
			if (!isnan(ns_json_number(record, "energy_joules", NAN)))
				*energy = (isnan(*energy) ? 0 : *energy) + ns_json_number(record, "energy_joules", 0);
			if (strcmp(state, "done") && strcmp(state, "skipped"))
				json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s}", "step", s->name, "task", t, "state", state, "why",
								      ns_json_text(record, "why")));
			json_decref(record);
		}
	}
	return list;
}

static json_t *run_record(struct ns_night *n)
{
	return json_pack("{s:s, s:s, s:o, s:i, s:i, s:s, s:f}", "schema", "nightshift.run/1", "verb", "night", "config",
			 ns_json_clean(n->job->conf->values), "ranks", n->job->comm->size, "threads", ns_workers_count(n->job->workers), "device",
			 n->job->set->description, "seconds", ns_now() - n->job->start);
}

/* Removes the parts of arrays, whose content is in the merged results. */
static enum ns_status drop_parts(const struct ns_night *n)
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME + 16];
	int i, t, is;

	for (i = 0; i < n->count; i++) {
		const struct ns_step *s = &n->steps[i];

		if (!s->tasks)
			continue;
		snprintf(name, sizeof name, "%.*s/run.json", (int)(strlen(s->name) - strlen(".parts")), s->name);
		NS_TRY(ns_exists(ns_night_path(n, path, name), &is));
		for (t = 0; is && t < s->tasks; t++) {
			snprintf(name, sizeof name, "%s/%05d", s->name, t);
			if (ns_ours_remove(ns_night_path(n, path, name)) != NS_OK)
				ns_log_warn(n->job->log, "%s", ns_message());
		}
		if (is) /* fails, as it should, where somebody else's files are there */
			rmdir(ns_night_path(n, path, s->name));
	}
	return NS_OK;
}

/* Removes temporary files of killed steps: every other step has ended, so nobody uses them. */
static enum ns_status sweep(const struct ns_night *n)
{
	const json_t *entry;
	char path[NS_PATH_MAX];
	size_t i;
	int is;

	NS_TRY(ns_sweep_temporary(n->dir));
	NS_TRY(ns_sweep_temporary(ns_night_path(n, path, "steps")));
	NS_TRY(ns_exists(ns_night_path(n, path, "prepare"), &is));
	if (is)
		NS_TRY(ns_sweep_temporary(path));
	json_array_foreach(n->nights, i, entry) {
		NS_TRY(ns_exists(ns_night_path(n, path, ns_json_text(entry, "name")), &is));
		if (is)
			NS_TRY(ns_sweep_temporary(path));
	}
	return NS_OK;
}

static enum ns_status write_all(struct ns_night *n, double seconds)
{
	const json_t *list = json_object_get(n->summary, "unfinished");
	char path[NS_PATH_MAX];
	enum ns_status status;
	json_t *run;

	json_object_set_new(n->summary, "seconds", json_real(seconds));
	NS_TRY(ns_json_write(ns_night_path(n, path, "summary.json"), n->summary));
	NS_TRY(ns_night_page(n->dir));
	if (json_array_size(list)) {
		const json_t *one = json_array_get(list, 0);

		n->settled = 1;
		return ns_fail(NS_IO, "%zu steps of this night were not finished (the first: %s, %s); see %s/night.html", json_array_size(list),
			       ns_json_text(one, "step"), ns_json_text(one, "state"), n->dir);
	}
	NS_TRY(drop_parts(n));
	NS_TRY(sweep(n));
	run = run_record(n);
	status = run ? ns_json_write(ns_night_path(n, path, "run.json"), run) : ns_fail(NS_INTERNAL, "cannot build the night's run.json");
	json_decref(run);
	return status;
}

static void date_of(char text[32])
{
	time_t t = (time_t)ns_today();
	struct tm tm;

	text[0] = 0;
	if (gmtime_r(&t, &tm))
		strftime(text, 32, "%Y-%m-%d", &tm);
}

/* What is to be done, and whose night this is: site, date, the production model when it ended. */
static enum ns_status put_next(struct ns_night *n, size_t unfinished)
{
	char date[32], release[NS_SHA256_HEX], production[NS_SHA256_HEX];
	json_t *advice = NULL;
	enum ns_status status;

	status = ns_night_next(n, unfinished, &advice);
	json_object_set_new(n->summary, "next", advice ? advice : json_null());
	NS_TRY(status);
	date_of(date);
	json_object_set_new(n->summary, "date", json_string(date));
	json_object_set_new(n->summary, "site", n->site ? ns_json_string(n->site) : json_null());
	NS_TRY(ns_registry_production(n->registry, release, production));
	json_object_set_new(n->summary, "production", *production ? json_string(production) : json_null());
	json_object_set_new(n->summary, "release", strcmp(release, production) ? json_string(release) : json_null());
	return NS_OK;
}

enum ns_status ns_night_report(struct ns_night *n, const struct ns_step *s)
{
	const json_t *entry;
	json_t *names = json_array(), *list;
	double first = INFINITY, energy = NAN, seconds = ns_now() - n->job->start;
	enum ns_status status = NS_OK;
	size_t i;

	(void)s;
	n->summary =
		json_pack("{s:s, s:b, s:b, s:o}", "schema", "nightshift.summary/1", "promoted", 0, "rolled_back_and_forward", 0, "nights", names);
	status = put_accuracy(n, "production_accuracy", "prepare", "test-evaluation/evaluation.json");
	if (status == NS_OK)
		status = put_accuracy(n, "old_accuracy_before", "prepare", "test-evaluation/evaluation.json");
	json_array_foreach(n->nights, i, entry) {
		json_array_append_new(names, json_string(ns_json_text(entry, "name")));
		if (status == NS_OK)
			status = put_night(n, ns_json_text(entry, "name"));
	}
	list = unfinished(n, &first, &energy);
	json_object_set_new(n->summary, "unfinished", list);
	json_object_set_new(n->summary, "energy_joules", ns_json_real(energy));
	if (status == NS_OK && n->job->comm->rank == 0) /* others may not see the registry */
		status = put_next(n, json_array_size(list));
	if (n->step)
		seconds = (double)time(NULL) - first;
	if (status == NS_OK && n->job->comm->rank == 0)
		status = write_all(n, seconds);
	return ns_job_agree(n->job, status);
}

enum ns_status ns_night_drift_copies(struct ns_night *n, const struct ns_step *s)
{
	static const char *const files[] = {"drift.json", "drift.html", "retrain.json", "selection.h5"};
	enum ns_status status = NS_OK;
	size_t i, bytes;
	char *data;
	int is;

	for (i = 0; n->job->comm->rank == 0 && i < sizeof files / sizeof *files; i++) {
		char name[2 * NS_STEP_NAME], from[NS_PATH_MAX], to[NS_PATH_MAX];

		snprintf(name, sizeof name, "%s/%s", s->name, files[i]);
		NS_GO(ns_exists(ns_night_path(n, from, name), &is));
		if (!is)
			continue;
		snprintf(name, sizeof name, "%s/%s", s->night, files[i]);
		NS_GO(ns_read_file(from, &data, &bytes));
		status = ns_write_file(ns_night_path(n, to, name), data, bytes);
		free(data);
		NS_GO(status);
	}
out:
	return ns_job_agree(n->job, status);
}
