/*
 * jobs/drift/history.c - the verdicts of past windows and what follows for tonight: the alarm budget of many nights, hysteresis,
 * cool-down. drift.history is a folder, a file a window, each written whole, so that nights may run at the same time.
 *
 * The budget: e-LOND (Xu, Ramdas 2024), which keeps the expected share of false alarms among all alarms (FDR) below alpha under any
 * dependence of the nights; they do depend, because all are compared with one reference. A window's least corrected p becomes the
 * e-value 1 / (2 sqrt p) (Vovk, Wang 2021); it is an alarm from 1 / level on, level = alpha gamma_t (alarms so far + 1),
 * gamma_t = t^-1.6 / 2.2858.
 */
#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "nightshift.history/1"
#define DAY    86400.0

static int is_line(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && !strcmp(name + n - 5, ".json") && name[0] != '.';
}

static int is_this(const struct ns_drift *s, const json_t *line)
{
	return !strcmp(ns_json_text(line, "current"), s->cur.digest) && !strcmp(ns_json_text(line, "reference"), s->ref.digest);
}

static enum ns_status take_up(struct ns_drift *s, const json_t *line, const char *path)
{
	NS_TRY(ns_json_get_int(line, "time", path, 0, INT64_MAX, &s->now));
	NS_TRY(ns_json_get_int(line, "window", path, 1, INT64_MAX, &s->window));
	return ns_json_get_int(line, "rejected_before", path, 0, INT64_MAX, &s->rejected_before);
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
			status = ns_json_read(path, &line, SCHEMA);
		if (line && is_this(s, line)) {
			status = take_up(s, line, path);
		} else if (line) {
			json_array_append(s->past, line);
		}
		json_decref(line);
	}
	ns_names_release(&list);
	return status;
}

/* Drops windows that were first judged after this one: they are not its past. */
static void drop_later(struct ns_drift *s)
{
	size_t i;

	for (i = json_array_size(s->past); i-- > 0;)
		if (s->window && ns_json_number(json_array_get(s->past, i), "window", 0) >= (double)s->window)
			json_array_remove(s->past, i);
}

/* Rank 0 reads and broadcasts folder and clock: ranks that saw different ones would decide differently. */
enum ns_status ns_drift_history_read(struct ns_drift *s)
{
	const char *folder = s->history;
	int64_t facts[4] = {0};
	char *text = NULL;
	enum ns_status status = NS_OK;
	json_t *line;
	size_t i;

	s->level = s->evidence = NAN;
	s->now = ns_today();
	if (!folder)
		return ns_comm_broadcast(s->job->comm, &s->now, sizeof s->now, 0);
	s->past = json_array();
	if (s->job->comm->rank == 0) {
		status = read_lines(s, folder);
		drop_later(s);
		if (!s->window) {
			s->window = (int64_t)json_array_size(s->past) + 1;
			json_array_foreach(s->past, i, line)
				s->rejected_before += json_is_true(json_object_get(line, "rejected"));
		}
		text = json_dumps(s->past, JSON_COMPACT);
		if (status == NS_OK && !text)
			status = ns_fail(NS_NO_MEMORY, "out of memory for the history");
		facts[0] = s->now;
		facts[1] = s->window;
		facts[2] = s->rejected_before;
		facts[3] = text ? (int64_t)strlen(text) : 0;
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
	if (s->job->comm->rank) {
		json_decref(s->past);
		s->past = json_loads(text, 0, NULL);
	}
out:
	free(text);
	return status;
}

void ns_drift_history_level(struct ns_drift *s, double least_p)
{
	double level;

	if (!s->past)
		return;
	level = s->alpha * pow((double)s->window, -1.6) / 2.2858 * (double)(s->rejected_before + 1);
	s->evidence = isnan(least_p) ? 0 : 1 / (2 * sqrt(fmax(least_p, 1e-300)));
	s->level = level * level / 4; /* the p whose e-value is 1 / level */
	s->rejected = least_p <= s->level;
}

/* Does this status call for a manifest? */
static int calls(const struct ns_drift *s, const char *status)
{
	int material = !strcmp(s->emit_from, "material");

	return !strcmp(status, "harmful") || (material && !strcmp(status, "material"));
}

void ns_drift_policy(struct ns_drift *s)
{
	int wanted = s->hysteresis, budget = s->budget;
	double cooldown = s->cooldown_days;
	int row = 1, emitted = 0;
	double last = -INFINITY;
	size_t i, n = s->past ? json_array_size(s->past) : 0;

	s->emit = 0;
	if (!calls(s, ns_drift_status_name(s->status))) {
		snprintf(s->because, sizeof s->because, "the status is %s, drift.emit asks for %s", ns_drift_status_name(s->status), s->emit_from);
		return;
	}
	for (i = n; i-- > 0;) {
		const json_t *line = json_array_get(s->past, i);

		if (row == (int)(n - i) && calls(s, ns_json_text(line, "status")))
			row++;
		if (json_is_true(json_object_get(line, "emitted"))) {
			double when = ns_json_number(line, "time", 0);

			last = fmax(last, when);
			emitted += when > (double)s->now - 30 * DAY;
		}
	}
	if (row < wanted)
		snprintf(s->because, sizeof s->because, "%d window%s in a row called for it, drift.hysteresis wants %d", row, row > 1 ? "s" : "",
			 wanted);
	else if (cooldown > 0 && (double)s->now - last < cooldown * DAY)
		snprintf(s->because, sizeof s->because, "the last manifest is %.1f days old, drift.cooldown_days is %g",
			 ((double)s->now - last) / DAY, cooldown);
	else if (budget && emitted >= budget)
		snprintf(s->because, sizeof s->because, "%d manifests in the last 30 days, drift.budget is %d", emitted, budget);
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

enum ns_status ns_drift_history_write(struct ns_drift *s)
{
	const char *folder = s->history;
	char path[NS_PATH_MAX];
	json_t *line;
	enum ns_status status;

	if (!folder)
		return NS_OK;
	line = NS_JSON_OBJECT(
		{"schema", json_string(SCHEMA)}, {"time", json_integer((json_int_t)s->now)}, {"window", json_integer((json_int_t)s->window)},
		{"rejected_before", json_integer((json_int_t)s->rejected_before)}, {"rejected", json_boolean(s->rejected)},
		{"reference", json_string(s->ref.digest)}, {"current", json_string(s->cur.digest)},
		{"status", json_string(ns_drift_status_name(s->status))}, {"evidence", ns_json_real(s->evidence)}, {"level", ns_json_real(s->level)},
		{"alarm", json_boolean(s->status >= NS_DRIFT_MATERIAL && s->status <= NS_DRIFT_HARMFUL)}, {"emitted", json_boolean(s->emit)},
		{"effect", ns_json_real(ns_drift_largest_effect(s))}, {"estimated", ns_json_real(s->cbpe)}, {"measured", ns_json_real(s->measured)});
	if (!line)
		return ns_fail(NS_INTERNAL, "cannot write this window's line of the history as JSON");
	status = ns_mkdirs(folder);
	if (status == NS_OK)
		status = ns_path(path, "%s/%012lld-%.16s-%.16s.json", folder, (long long)s->now, s->cur.digest, s->ref.digest);
	if (status == NS_OK)
		status = ns_json_write(path, line);
	json_decref(line);
	return status;
}
