/*
 * jobs/drift/history.c - past nights: drift.history is a folder, a file a window, each written whole, so that nights may run at the same time; and what
 * follows from them for a manifest: hysteresis, cool-down, a budget of manifests.
 *
 * A window is known again by what its rows say without their labels, so that one whose labels come late is judged again under its old number.
 */
#define _XOPEN_SOURCE 700
#include "host/base/base.h"
#include "jobs/drift/drift_inner.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA "nightshift.history/2"
#define BEFORE "nightshift.history/1" /* without effects: a window that counts, and of which no night can be learnt */
#define DAY    86400

static int is_line(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && !strcmp(name + n - 5, ".json") && name[0] != '.';
}

static int is_this(const struct ns_drift *s, const json_t *line)
{
	const char *identity = ns_json_text(line, "identity");

	return !strcmp(ns_json_text(line, "reference"), s->ref.digest) &&
	       (!strcmp(ns_json_text(line, "current"), s->cur.digest) || (*identity && !strcmp(identity, s->identity)));
}

static enum ns_status line_name(const struct ns_drift *s, char path[NS_PATH_MAX])
{
	return ns_path(path, "%s/%012lld-%.16s-%.16s.json", s->history, (long long)s->now, *s->identity ? s->identity : s->cur.digest, s->ref.digest);
}

static enum ns_status take_up(struct ns_drift *s, const json_t *line, const char *path)
{
	char name[NS_PATH_MAX];

	NS_TRY(ns_json_get_int(line, "time", path, 0, INT64_MAX, &s->now));
	NS_TRY(ns_json_get_int(line, "window", path, 1, INT64_MAX, &s->window));
	s->emitted_before = json_is_true(json_object_get(line, "emitted"));
	NS_TRY(line_name(s, name));
	if (strcmp(name, path))
		snprintf(s->replaces, sizeof s->replaces, "%s", path);
	return NS_OK;
}

static enum ns_status read_line(const char *path, json_t **line)
{
	const char *schema;
	int64_t window;

	NS_TRY(ns_json_read(path, line, NULL));
	schema = ns_json_text(*line, "schema");
	if (strcmp(schema, SCHEMA) && strcmp(schema, BEFORE)) {
		enum ns_status status = ns_fail(NS_BAD_DATA, "%s: schema '%s', expected %s or %s", path, schema, SCHEMA, BEFORE);

		json_decref(*line);
		*line = NULL;
		return status;
	}
	if (ns_json_get_int(*line, "window", path, 1, (int64_t)1 << 53, &window) != NS_OK) {
		json_decref(*line);
		*line = NULL;
		return ns_fail(NS_BAD_DATA, "%s: window is no number of a window, 1 and on", path);
	}
	return NS_OK;
}

/* Manifests of other windows, whatever their days: those that were judged after tonight's day count, too. */
static void count_emission(struct ns_drift *s, const json_t *line)
{
	double when = fmin(ns_json_number(line, "time", 0), (double)s->now); /* clocks jump: what is to come was no later than now */

	if (!json_is_true(json_object_get(line, "emitted")))
		return;
	s->last_emission = (int64_t)fmax((double)s->last_emission, when);
	s->emissions += when > (double)s->now - 30 * DAY;
}

/* Images that are gone by now neither teach nor count as labels that could. Rank 0 says it to all, as some ranks may see what others do not. */
static enum ns_status mark_gone(json_t *line)
{
	json_t *data = json_object_get(line, "data");
	int is;

	if (!*ns_json_text(data, "path"))
		return NS_OK;
	NS_TRY(ns_exists(ns_json_text(data, "path"), &is));
	return is || json_object_set_new(data, "gone", json_true()) == 0 ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the history");
}

/* Reads all lines. A window that was judged before keeps the time and number of its own line. */
static enum ns_status read_lines(struct ns_drift *s, const char *folder)
{
	char path[NS_PATH_MAX];
	struct ns_names list;
	size_t i;
	enum ns_status status;

	NS_TRY(ns_list_if_there(folder, &list));
	for (status = NS_OK, i = 0; i < list.count; i++) {
		json_t *line = NULL;

		if (!is_line(list.name[i]))
			continue;
		if (status == NS_OK)
			status = ns_path(path, "%s/%s", folder, list.name[i]);
		if (status == NS_OK)
			status = read_line(path, &line);
		if (line && is_this(s, line)) {
			status = take_up(s, line, path);
		} else if (line) {
			status = status == NS_OK ? mark_gone(line) : status;
			json_array_append(s->past, line);
		}
		json_decref(line);
	}
	ns_names_release(&list);
	return status;
}

/* --- the order of nights --- */

int64_t ns_drift_history_day(const json_t *line)
{
	return (int64_t)ns_json_number(line, "day", floor(ns_json_number(line, "time", 0) / DAY));
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The day of tonight's rows, by the middle of their times, or else that of the clock. */
static enum ns_status find_day(struct ns_drift *s)
{
	int64_t n = s->cur.rows, *all, middle;

	s->dated = 0;
	s->day = s->now / DAY;
	if (!s->cur.time || !n)
		return NS_OK;
	all = malloc(sizeof *all * (size_t)n);
	if (!all)
		return ns_fail(NS_NO_MEMORY, "out of memory for the times of %lld rows", (long long)n);
	memcpy(all, s->cur.time, sizeof *all * (size_t)n);
	qsort(all, (size_t)n, sizeof *all, by_time);
	middle = all[n / 2];
	free(all);
	if (middle > 365 * (int64_t)DAY) { /* what is before 1971 is a counter, not a time */
		s->dated = 1;
		s->day = middle / DAY;
	}
	return NS_OK;
}

struct place {
	double day, window;
	json_t *line;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->day != y->day ? (x->day > y->day) - (x->day < y->day) : (x->window > y->window) - (x->window < y->window);
}

/*
 * Nights are in the order of their rows' days where all of them, and tonight's, have times: then a night may come late. Otherwise in the order in
 * which they were judged, by number: clocks jump. Those after tonight are not its past, and are dropped.
 */
static enum ns_status put_in_order(struct ns_drift *s)
{
	size_t n = json_array_size(s->past), i;
	struct place *p = calloc(n + 1, sizeof *p);
	json_t *line, *kept = json_array();
	int dated = s->dated;

	if (!p || !kept) {
		free(p);
		json_decref(kept);
		return ns_fail(NS_NO_MEMORY, "out of memory for the history");
	}
	json_array_foreach(s->past, i, line)
		dated &= json_is_true(json_object_get(line, "dated"));
	json_array_foreach(s->past, i, line) {
		p[i].day = dated ? (double)ns_drift_history_day(line) : 0;
		p[i].window = ns_json_number(line, "window", 0);
		p[i].line = line;
	}
	qsort(p, n, sizeof *p, by_place);
	for (i = 0; i < n; i++) {
		double day = dated ? (double)s->day : 0;

		if (p[i].day < day || (p[i].day == day && p[i].window < (double)s->window))
			json_array_append(kept, p[i].line);
	}
	free(p);
	json_decref(s->past);
	s->past = kept;
	return NS_OK;
}

static enum ns_status read_all(struct ns_drift *s)
{
	enum ns_status status = read_lines(s, s->history);
	int known = s->window > 0;
	json_t *line;
	size_t i;

	json_array_foreach(s->past, i, line) {
		count_emission(s, line);
		if (!known)
			s->window = (int64_t)fmax((double)s->window, ns_json_number(line, "window", 0));
	}
	s->window += !known;
	if (status == NS_OK)
		status = find_day(s);
	if (status == NS_OK)
		status = put_in_order(s);
	json_array_foreach(s->past, i, line)
		s->rejected_before += json_is_true(json_object_get(line, "rejected"));
	return status;
}

/* A number of the rows' ids and times, in any order: two nights of a dead camera say the same, and are two. */
static int64_t sum_of_rows(const struct ns_drift *s)
{
	uint64_t sum = 0;
	int64_t i;

	for (i = 0; i < s->cur.rows; i++)
		sum += (s->cur.id ? s->cur.id[i] : 0) * 0x9e3779b97f4a7c15u + (s->cur.time ? (uint64_t)s->cur.time[i] : 0) * 0xbf58476d1ce4e5b9u;
	return (int64_t)(sum >> 1);
}

/* Rank 0 reads and broadcasts folder and clock: ranks that saw different ones would decide differently. */
enum ns_status ns_drift_history_read(struct ns_drift *s)
{
	int64_t facts[9] = {0};
	char *text = NULL;
	enum ns_status status = NS_OK;
	json_t *effects;

	s->level = s->evidence = NAN;
	s->now = ns_today();
	if (!s->history)
		return ns_comm_broadcast(s->job->comm, &s->now, sizeof s->now, 0);
	s->past = json_array();
	effects = ns_effects_json(&s->effects);
	if (json_object_size(effects)) {
		json_object_set_new(effects, "rows", json_integer((json_int_t)s->cur.rows));
		json_object_set_new(effects, "ids", json_integer((json_int_t)sum_of_rows(s)));
		ns_json_digest(s->identity, effects);
	}
	json_decref(effects);
	if (s->job->comm->rank == 0) {
		status = read_all(s);
		text = json_dumps(s->past, JSON_COMPACT);
		if (status == NS_OK && !text)
			status = ns_fail(NS_NO_MEMORY, "out of memory for the history");
		facts[0] = s->now;
		facts[1] = s->window;
		facts[2] = s->rejected_before;
		facts[3] = text ? (int64_t)strlen(text) : 0;
		facts[4] = s->day;
		facts[5] = s->dated;
		facts[6] = s->last_emission;
		facts[7] = s->emissions;
		facts[8] = s->emitted_before;
	}
	NS_GO(ns_job_agree(s->job, status));
	NS_GO(ns_comm_broadcast(s->job->comm, facts, sizeof facts, 0));
	if (s->job->comm->rank)
		text = calloc((size_t)facts[3] + 1, 1);
	NS_GO(ns_job_agree(s->job, text ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the history")));
	NS_GO(ns_comm_broadcast(s->job->comm, text, (size_t)facts[3], 0));
	s->now = facts[0];
	s->window = facts[1];
	s->rejected_before = facts[2];
	s->day = facts[4];
	s->dated = (int)facts[5];
	s->last_emission = facts[6];
	s->emissions = (int)facts[7];
	s->emitted_before = (int)facts[8];
	if (s->job->comm->rank) {
		json_decref(s->past);
		s->past = json_loads(text, 0, NULL);
	}
out:
	free(text);
	return status;
}

/* --- the policy --- */

/* Does this status call for a manifest? */
static int calls(const struct ns_drift *s, const char *status)
{
	int material = !strcmp(s->emit_from, "material");

	return !strcmp(status, "harmful") || (material && !strcmp(status, "material"));
}

/* Labels that speak of what is there now: tonight's, and those of the nights since the change. */
static int64_t labels_since_change(const struct ns_drift *s)
{
	size_t n = s->past ? json_array_size(s->past) : 0, i;
	int64_t labels = s->audited;

	for (i = 0; i < n && (int64_t)i < s->since_change; i++) {
		const json_t *data = json_object_get(json_array_get(s->past, n - 1 - i), "data");

		if (!json_is_true(json_object_get(data, "gone")))
			labels += (int64_t)fmin(1e9, fmax(0, ns_json_number(data, "labels", 0)));
	}
	return labels;
}

void ns_drift_policy(struct ns_drift *s)
{
	int wanted = s->hysteresis, budget = s->budget;
	double cooldown = s->cooldown_days;
	int row = 1;
	size_t i, n = s->past ? json_array_size(s->past) : 0;

	s->emit = 0;
	s->taught = s->earlier ? labels_since_change(s) : s->audited;
	if (!calls(s, ns_drift_status_name(s->status))) {
		snprintf(s->because, sizeof s->because, "the status is %s, drift.emit asks for %s", ns_drift_status_name(s->status), s->emit_from);
		return;
	}
	for (i = n; i-- > 0;) {
		const json_t *line = json_array_get(s->past, i);

		if (row == (int)(n - i) && calls(s, ns_json_text(line, "status")))
			row++;
	}
	if (row < wanted)
		snprintf(s->because, sizeof s->because, "%d window%s in a row called for it, drift.hysteresis wants %d", row, row > 1 ? "s" : "",
			 wanted);
	else if (cooldown > 0 && s->last_emission && (double)(s->now - s->last_emission) < cooldown * DAY)
		snprintf(s->because, sizeof s->because, "the last manifest is %.1f days old, drift.cooldown_days is %g",
			 (double)(s->now - s->last_emission) / DAY, cooldown);
	else if (budget && s->emissions >= budget)
		snprintf(s->because, sizeof s->because, "%d manifests in the last 30 days, drift.budget is %d", s->emissions, budget);
	else if (s->untrained)
		snprintf(s->because, sizeof s->because, "the model is one that is not trained here: another has to be imported and promoted");
	else if (s->on_trial)
		snprintf(s->because, sizeof s->because, "a candidate is on trial against this model, and no other is trained meanwhile");
	else if (s->taught < s->least_labels)
		snprintf(
			s->because, sizeof s->because,
			"%lld rows have labels since the change, retrain.labels is %lld: without them a new model can be neither taught nor judged, so labels are asked for",
			(long long)s->taught, (long long)s->least_labels);
	else
		s->emit = snprintf(s->because, sizeof s->because, "the status is %s", ns_drift_status_name(s->status)) > 0;
}

double ns_drift_largest_effect(const struct ns_drift *s)
{
	double effect = NAN;
	int i;

	for (i = 0; i < s->count; i++)
		if (s->tests[i].status <= NS_DRIFT_HARMFUL && !*s->tests[i].slice)
			effect = fmax(s->tests[i].effect, effect); /* fmax ignores a NaN */
	return effect;
}

json_t *ns_drift_history_data(const struct ns_drift *s)
{
	char path[PATH_MAX];

	if (!s->current_data || !*s->cur.dataset)
		return json_null();
	if (!realpath(s->current_data, path))
		snprintf(path, sizeof path, "%s", s->current_data);
	return NS_JSON_OBJECT({"path", ns_json_string(path)}, {"digest", json_string(s->cur.dataset)},
			      {"labels", json_integer((json_int_t)s->audited)});
}

enum ns_status ns_drift_history_write(struct ns_drift *s)
{
	char path[NS_PATH_MAX];
	json_t *line;
	enum ns_status status;

	if (!s->history)
		return NS_OK;
	line = NS_JSON_OBJECT({"schema", json_string(SCHEMA)}, {"time", json_integer((json_int_t)s->now)},
			      {"window", json_integer((json_int_t)s->window)}, {"day", json_integer((json_int_t)s->day)},
			      {"dated", json_boolean(s->dated)}, {"rejected", json_boolean(s->rejected)}, {"reference", json_string(s->ref.digest)},
			      {"reference_data", json_string(s->ref.dataset)}, {"current", json_string(s->cur.digest)},
			      {"identity", json_string(s->identity)}, {"status", json_string(ns_drift_status_name(s->status))},
			      {"evidence", ns_json_real(s->evidence)}, {"level", ns_json_real(s->level)},
			      {"alarm", json_boolean(s->status >= NS_DRIFT_MATERIAL && s->status <= NS_DRIFT_HARMFUL)},
			      {"emitted", json_boolean(s->emit || s->emitted_before)}, {"effect", ns_json_real(ns_drift_largest_effect(s))},
			      {"estimated", ns_json_real(s->cbpe)}, {"measured", ns_json_real(s->measured)}, {"rows", ns_json_real(s->effects.rows)},
			      {"effects", ns_effects_json(&s->effects)},
			      {"falls", NS_JSON_OBJECT({"confidence", ns_json_real(s->fall_units[0])}, {"atc", ns_json_real(s->fall_units[1])})},
			      {"tracks", ns_drift_tracks_json(s)}, {"data", ns_drift_history_data(s)});
	if (!line)
		return ns_fail(NS_INTERNAL, "cannot write this window's line of the history as JSON");
	status = ns_mkdirs(s->history);
	if (status == NS_OK)
		status = line_name(s, path);
	if (status == NS_OK)
		status = ns_json_write(path, line);
	/* from here on the window has its new line; the old one would only be the same number again */
	if (status == NS_OK && *s->replaces && unlink(s->replaces) && errno != ENOENT)
		status = ns_fail(NS_IO, "%s: %s", s->replaces, strerror(errno));
	json_decref(line);
	return status;
}
