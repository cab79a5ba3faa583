/*
 * jobs/night/graph.c - plots a night's steps over time with their waiting times, and a table of their resources. Sources are
 * steps/plan.json, the steps' records, and slurm/jobs.tsv where the night was submitted; an unfinished night is plotted as far as
 * it has come.
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/night/night_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/report/report.h"

#define WIDTH 930
#define LEFT  215 /* of the time axis, in pixels */
#define RIGHT 735
#define ROW   17
#define TOP   34

struct row {
	const char *name, *stage, *state;
	char why[300], host[64];
	int tasks, rank, starts;	     /* rank: of its state, see rank_of() */
	double submitted, first, start, end; /* Unix seconds; NAN: not known */
	double waiting, rate, memory, joules;
	const json_t *after;
};

struct graph {
	const char *dir;
	json_t *plan;
	struct row *row;
	int count;
	double from, to;
};

static double least(double a, double b)
{
	return isnan(a) || b < a ? b : a;
}

static double most(double a, double b)
{
	return isnan(a) || b > a ? b : a;
}

static double plus(double a, double b)
{
	return isnan(b) ? a : isnan(a) ? b : a + b;
}

/* Of several tasks the state with the highest rank is shown. */
static int rank_of(const char *state)
{
	static const char *const states[] = {"done", "skipped", "none", "running", "stopped", "blocked", "failed"};
	int i;

	for (i = 0; i < (int)(sizeof states / sizeof *states); i++)
		if (!strcmp(state, states[i]))
			return i;
	return 2;
}

static const char *name_of(int rank)
{
	static const char *const names[] = {"done", "skipped", "not begun", "running", "stopped", "blocked", "FAILED"};

	return names[rank];
}

/* Joules measured by Slurm, kept by slurm/step.sh; else by the nodes' own counters. */
static double joules_of(const struct graph *g, const struct row *r, int task, const json_t *record)
{
	char path[NS_PATH_MAX], *text;
	double joules = ns_json_number(record, "energy_joules", NAN);
	size_t bytes;

	ns_step_record_path(g->dir, r->name, task, path);
	if (strlen(path) < 6)
		return joules;
	strcpy(path + strlen(path) - strlen(".json"), ".joules");
	if (ns_read_file(path, &text, &bytes) == NS_OK) {
		joules = atof(text);
		free(text);
	}
	return joules;
}

/* Samples a second while the job ran; tasks run in parallel, so their rates add up. */
static double rate_of(const json_t *record, const json_t *counts)
{
	double rows = ns_json_number(counts, "rows", ns_json_number(counts, "in", NAN)), seconds = ns_json_number(record, "seconds", NAN);

	return ns_json_number(counts, "images_per_second", ns_json_number(counts, "rows_per_second", rows / seconds));
}

static void read_task(const struct graph *g, struct row *r, int task)
{
	json_t *record;
	const char *state = ns_step_state(g->dir, r->name, task, &record);
	const json_t *where = json_object_get(record, "where"), *counts = json_object_get(record, "counts");
	int starts = (int)ns_json_number(record, "starts", 0), restarts = atoi(ns_json_text(where, "SLURM_RESTART_COUNT"));

	if (rank_of(state) > r->rank) {
		r->rank = rank_of(state);
		r->state = name_of(r->rank);
		snprintf(r->why, sizeof r->why, "%.299s", ns_json_text(record, "why"));
		snprintf(r->host, sizeof r->host, "%.60s",
			 *ns_json_text(where, "SLURM_JOB_NODELIST") ? ns_json_text(where, "SLURM_JOB_NODELIST") : ns_json_text(where, "host"));
	}
	r->starts += starts > restarts + 1 ? starts : record ? restarts + 1 : 0;
	r->first = least(r->first, ns_json_number(record, "first_start", INFINITY));
	r->start = least(r->start, ns_json_number(record, "start", INFINITY));
	r->end = most(r->end, ns_json_number(record, "end", -INFINITY));
	r->rate = plus(r->rate, rate_of(record, counts));
	r->memory = most(r->memory, ns_json_number(record, "peak_memory_bytes", -INFINITY));
	r->joules = plus(r->joules, joules_of(g, r, task, record));
	json_decref(record);
}

static double finite(double x)
{
	return isfinite(x) ? x : NAN;
}

static void read_row(const struct graph *g, struct row *r, const json_t *step)
{
	int t;

	*r = (struct row){.name = ns_json_text(step, "step"),
			  .stage = ns_json_text(step, "stage"),
			  .state = "",
			  .rank = -1,
			  .submitted = NAN,
			  .first = NAN,
			  .start = NAN,
			  .end = NAN,
			  .waiting = NAN,
			  .rate = NAN,
			  .memory = NAN,
			  .joules = NAN};
	r->tasks = (int)fmin(fmax(ns_json_number(step, "tasks", 0), 0), 100000); /* the limit of --part */
	r->after = json_object_get(step, "after");
	for (t = r->tasks ? 0 : -1; t < (r->tasks ? r->tasks : 0); t++)
		read_task(g, r, t);
	r->first = finite(r->first);
	r->start = finite(r->start);
	r->end = finite(r->end);
	r->memory = finite(r->memory);
}

/* Reads lines of JOB, STEP, Unix seconds of submission, the newest last. */
static void read_submissions(struct graph *g)
{
	char path[NS_PATH_MAX], *text, *line, *rest = NULL, name[NS_STEP_NAME];
	size_t bytes;
	double at;
	int i;

	if (ns_path(path, "%s/slurm/jobs.tsv", g->dir) != NS_OK || ns_read_file(path, &text, &bytes) != NS_OK)
		return;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%*s %199s %lf", name, &at) == 2)
			for (i = 0; i < g->count; i++)
				if (!strcmp(g->row[i].name, name) && !(g->row[i].first < at)) /* a later line is a resubmission of a finished step */
					g->row[i].submitted = at;
	free(text);
}

static struct row *row_find(const struct graph *g, const char *name)
{
	int i;

	for (i = 0; name && i < g->count; i++)
		if (!strcmp(g->row[i].name, name))
			return &g->row[i];
	return NULL;
}

/* A step waits from its submission, or the end of the last step before it if that is later. */
static void reckon(struct graph *g)
{
	int i;
	size_t k;
	json_t *name;

	g->from = g->to = NAN;
	for (i = 0; i < g->count; i++) {
		struct row *r = &g->row[i];
		double ready = r->submitted;

		json_array_foreach(r->after, k, name) {
			const struct row *before = row_find(g, json_string_value(name));

			if (before && !isnan(before->end))
				ready = most(ready, before->end);
		}
		if (!isnan(ready) && !isnan(r->first))
			r->waiting = r->first > ready ? r->first - ready : 0;
		g->from = isnan(r->first) ? g->from : least(g->from, isnan(r->submitted) ? r->first : least(r->submitted, r->first));
		g->to = isnan(r->end) ? g->to : most(g->to, r->end);
		g->to = isnan(r->start) ? g->to : most(g->to, r->start);
	}
	if (!(g->to > g->from) || !isfinite(g->to - g->from))
		g->to = g->from + 1;
}

static double x_of(const struct graph *g, double t)
{
	return LEFT + (RIGHT - LEFT) * (t - g->from) / (g->to - g->from);
}

static double y_of(int i)
{
	return TOP + ROW * i;
}

static void box(struct ns_html *h, double x1, double x2, double y, const char *fill, double opacity)
{
	ns_html_raw(h, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"9\" fill=\"%s\" opacity=\"%.2f\"/>", x1, y + 3,
		    x2 - x1 > 1.5 ? x2 - x1 : 1.5, fill, opacity);
}

/* Lines from the end of each step to the start of the steps after it. */
static void draw_lines(struct ns_html *h, const struct graph *g)
{
	json_t *name;
	size_t k;
	int i;

	ns_html_raw(h, "<g fill=\"none\" stroke=\"var(--dim)\" stroke-width=\".7\" opacity=\".45\">");
	for (i = 0; i < g->count; i++)
		json_array_foreach(g->row[i].after, k, name) {
			const struct row *r = &g->row[i], *before = row_find(g, json_string_value(name));
			double x;

			if (!before || isnan(before->end) || isnan(r->first))
				continue;
			x = x_of(g, before->end);
			ns_html_raw(h, "<path d=\"M%.1f %.1fV%.1fH%.1f\"/>", x, y_of((int)(before - g->row)) + 7.5, y_of(i) + 7.5, x_of(g, r->first));
		}
	ns_html_raw(h, "</g>");
}

static const char *colour_of(const struct row *r)
{
	return !strcmp(r->state, "FAILED") || !strcmp(r->state, "blocked")    ? "var(--bad)"
	       : !strcmp(r->state, "done")				      ? "var(--good)"
	       : !strcmp(r->state, "running") || !strcmp(r->state, "stopped") ? "var(--warn)"
									      : "var(--a)";
}

static void seconds_text(char *text, size_t size, double s)
{
	if (isnan(s))
		snprintf(text, size, "-");
	else if (s < 100)
		snprintf(text, size, s < 10 ? "%.2f s" : "%.1f s", s);
	else if (s < 7200)
		snprintf(text, size, "%.0f min %02.0f s", floor(s / 60), fmod(floor(s), 60));
	else
		snprintf(text, size, "%.0f h %02.0f min", floor(s / 3600), fmod(floor(s / 60), 60));
}

static void draw_row(struct ns_html *h, const struct graph *g, int i)
{
	const struct row *r = &g->row[i];
	double y = y_of(i);
	int extra = r->starts - (r->tasks ? r->tasks : 1);
	char time[48];

	ns_html_raw(h, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, y + 11);
	ns_html_text(h, r->name);
	ns_html_raw(h, "</text>");
	if (!isnan(r->waiting))
		box(h, x_of(g, r->first - r->waiting), x_of(g, r->first), y, "var(--a)", .25);
	if (r->start > r->first)
		box(h, x_of(g, r->first), x_of(g, r->start), y, "var(--warn)", .4);
	if (!isnan(r->start))
		box(h, x_of(g, r->start), x_of(g, isnan(r->end) ? g->to : r->end), y, colour_of(r), .9);
	seconds_text(time, sizeof time, r->end - r->start);
	ns_html_raw(h, "<text class=\"dim\" x=\"%d\" y=\"%.1f\">%s", RIGHT + 8, y + 11, r->state);
	if (!strcmp(r->state, "done"))
		ns_html_raw(h, ", %s", time);
	if (extra > 0)
		ns_html_raw(h, ", %d restart%s", extra, extra == 1 ? "" : "s");
	ns_html_raw(h, "</text>");
}

static void draw_axis(struct ns_html *h, const struct graph *g)
{
	static const double steps[] = {1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
	double step = steps[0], t;
	char text[48];
	size_t i;

	for (i = 0; i < sizeof steps / sizeof *steps && (g->to - g->from) / step > 7; i++)
		step = steps[i];
	if ((g->to - g->from) / step > 7) /* not plausible, but a damaged record may say so */
		step = (g->to - g->from) / 7;
	for (t = 0; t <= g->to - g->from; t += step) {
		double x = x_of(g, g->from + t);

		seconds_text(text, sizeof text, t);
		if (t < 100)
			snprintf(text, sizeof text, "%.0f s", t);
		ns_html_raw(
			h,
			"<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\" stroke=\"var(--line)\"/><text class=\"dim\" x=\"%.1f\" y=\"%d\">%s</text>",
			x, x, TOP - 4, y_of(g->count), x + 2, TOP - 8, text);
	}
}

static void draw(struct ns_html *h, const struct graph *g)
{
	int i;

	ns_html_raw(
		h,
		"<div class=\"wide\"><figure><svg role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" aria-label=\"The steps of the night over "
		"time; the table below has the same figures\">",
		WIDTH, TOP + ROW * g->count + 6, WIDTH, TOP + ROW * g->count + 6);
	draw_axis(h, g);
	draw_lines(h, g);
	for (i = 0; i < g->count; i++)
		draw_row(h, g, i);
	ns_html_raw(h, "</svg><figcaption>Pale: waiting for nodes, once what it comes after had ended. Orange: earlier attempts, and waiting to "
		       "be started again. A line leads from a step's end to the beginning of one that needed it.</figcaption></figure></div>\n");
}

static void figure(char *text, size_t size, const char *format, double x)
{
	if (isnan(x))
		snprintf(text, size, "-");
	else
		snprintf(text, size, format, x);
}

static void table(struct ns_html *h, const struct graph *g)
{
	static const char *const head[] = {"step", "state", "waited", "ran", "restarts", "samples/s", "peak memory", "energy", "where"};
	int i;

	ns_html_raw(h, "<details open><summary>Each step in figures</summary><div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 9);
	for (i = 0; i < g->count; i++) {
		const struct row *r = &g->row[i];
		char name[NS_STEP_NAME + 32], wait[48], ran[48], restarts[16], rate[32], memory[32], joules[32];
		const char *cells[] = {name, r->state, wait, ran, restarts, rate, memory, joules, r->host};
		int extra = r->starts - (r->tasks ? r->tasks : 1);

		snprintf(name, sizeof name, r->tasks ? "%s (%d tasks)" : "%s", r->name, r->tasks);
		seconds_text(wait, sizeof wait, r->waiting);
		seconds_text(ran, sizeof ran, r->end - r->start);
		snprintf(restarts, sizeof restarts, "%d", extra > 0 ? extra : 0);
		figure(rate, sizeof rate, "%.0f", r->rate);
		figure(memory, sizeof memory, "%.0f MiB", r->memory / 1048576);
		figure(joules, sizeof joules, "%.0f J", r->joules);
		ns_html_row(h, "td", cells, 9);
	}
	ns_html_raw(h, "</table></div></details>\n");
}

static void complaints(struct ns_html *h, const struct graph *g)
{
	int i;

	for (i = 0; i < g->count; i++) {
		const struct row *r = &g->row[i];

		if (!*r->why || r->rank < 2)
			continue;
		ns_html_raw(h, "<p><strong class=\"bad\">%s</strong>: ", r->state);
		ns_html_text(h, r->name);
		ns_html_raw(h, " &ndash; ");
		ns_html_text(h, r->why);
		ns_html_raw(h, "</p>\n");
	}
}

void ns_night_graph(struct ns_html *h, const char *dir)
{
	struct graph g = {.dir = dir};
	char path[NS_PATH_MAX];
	const json_t *steps;
	int i;

	if (ns_path(path, "%s/steps/plan.json", dir) != NS_OK || ns_json_read(path, &g.plan, "nightshift.plan/1") != NS_OK)
		return;
	steps = json_object_get(g.plan, "steps");
	g.count = (int)json_array_size(steps);
	g.row = calloc((size_t)g.count + 1, sizeof *g.row);
	for (i = 0; g.row && i < g.count; i++)
		read_row(&g, &g.row[i], json_array_get(steps, (size_t)i));
	if (g.row) {
		read_submissions(&g);
		reckon(&g);
		ns_html_element(h, "h2", "How the night went");
		complaints(h, &g);
		if (!isnan(g.from))
			draw(h, &g);
		table(h, &g);
	}
	free(g.row);
	json_decref(g.plan);
}
