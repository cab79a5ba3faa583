/* jobs/night/site.c - site.html: all nights of a site on one page, drawn from the summaries and verdicts in their folders. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/night/night_inner.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/report/report.h"

#define LISTED 400 /* nights of the last table; each has its point in the plots */

enum { MEASURED, LOW, HIGH, ESTIMATED, BASELINE, IMAGES, SPREAD, EMBEDDINGS, OUTPUTS, GROUPS, MISSING, LABELS, ROWS, SECONDS, JOULES, FIGURES };
static const char *const families[] = {"images", "spread", "embeddings", "outputs", "groups", "missing"};

struct point {
	char *date, *folder, *night, *href, *status, *next, *say, *production, *release, *decided;
	int promoted, unfinished, alarm, at; /* at: in the order of their folders' names */
	double figure[FIGURES];
};

struct site {
	struct point *point;
	double *figure[FIGURES]; /* (count): the points' columns, for plots */
	const char **label, **href;
	int count, capacity, broken; /* broken: folders of nights whose records cannot be read */
	char first_broken[NS_PATH_MAX];
};

static char *copy(const char *text)
{
	return strdup(text ? text : "");
}

/* What a link says: bytes that are not plain are %XX. */
static char *link_to(const char *folder, const char *file)
{
	size_t n = strlen(folder) + strlen(file) + 2, to = 0, i;
	char *out = malloc(3 * n + 1);
	const char *parts[3] = {folder, "/", file};
	int p;

	for (p = 0; out && p < 3; p++)
		for (i = 0; parts[p][i]; i++) {
			unsigned char c = (unsigned char)parts[p][i];

			if (isalnum(c) || strchr("-_.~/", c))
				out[to++] = (char)c;
			else
				to += (size_t)sprintf(out + to, "%%%02X", c);
		}
	if (out)
		out[to] = 0;
	return out;
}

static void release(struct site *s)
{
	int i;

	for (i = 0; i < s->count; i++) {
		struct point *p = &s->point[i];

		free(p->date);
		free(p->folder);
		free(p->night);
		free(p->href);
		free(p->status);
		free(p->next);
		free(p->say);
		free(p->production);
		free(p->release);
		free(p->decided);
	}
	for (i = 0; i < FIGURES; i++)
		free(s->figure[i]);
	free(s->point);
	free(s->label);
	free(s->href);
}

static enum ns_status grow(struct site *s)
{
	struct point *more;

	if (s->count < s->capacity)
		return NS_OK;
	s->capacity = s->capacity ? 2 * s->capacity : 64;
	more = realloc(s->point, sizeof *more * (size_t)s->capacity);
	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d nights", s->capacity);
	s->point = more;
	return NS_OK;
}

/* --- what a night says --- */

/* How near a family came to an alarm: the least p of its memories, as a share of the level on a scale of logarithms; 1 is an alarm. */
static double nearness(const json_t *drift, const char *family)
{
	const json_t *nights = json_object_get(drift, "nights"), *one;
	double level = ns_json_number(json_object_get(drift, "alarm_budget"), "p_needed", NAN), least = NAN;
	const char *key;
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(nights, "families"), i, one)
		if (!strcmp(ns_json_text(one, "family"), family))
			NS_JSON_EACH(json_object_get(one, "p"), key, p)
				if (json_is_number(p) && !(json_number_value(p) >= least))
					least = json_number_value(p);
	return isnan(least) ? NAN : fmin(3, log(fmax(least, 1e-300)) / log(level));
}

static void take_drift(double figure[FIGURES], const json_t *drift)
{
	const json_t *all = json_object_get(json_object_get(drift, "accuracy"), "all"), *performance = json_object_get(drift, "performance");
	double y = ns_json_number(all, "accuracy", NAN), noise = ns_json_number(all, "noise", NAN);
	int f;

	figure[MEASURED] = y;
	figure[LOW] = y - 1.959964 * sqrt(noise);
	figure[HIGH] = y + 1.959964 * sqrt(noise);
	figure[ESTIMATED] = ns_json_number(performance, "estimated", NAN);
	figure[BASELINE] = ns_json_number(performance, "baseline", NAN);
	figure[LABELS] = ns_json_number(performance, "audited", NAN);
	figure[ROWS] = ns_json_number(json_object_get(drift, "current"), "rows", NAN);
	for (f = 0; f < 6; f++)
		figure[IMAGES + f] = nearness(drift, families[f]);
}

static enum ns_status add_point(struct site *s, const char *root, const char *folder, const json_t *summary, const char *night)
{
	char path[NS_PATH_MAX], key[160];
	json_t *drift = NULL;
	struct point *p;
	int i, readable = ns_path(path, "%s/%s/%s/drift.json", root, folder, night) == NS_OK && ns_json_read_if_there(path, &drift, NULL) == NS_OK;

	NS_TRY(grow(s));
	p = &s->point[s->count];
	snprintf(key, sizeof key, "%s_status", night);
	*p = (struct point){.date = copy(ns_json_text(summary, "date")),
			    .folder = copy(folder),
			    .night = copy(night),
			    .href = link_to(folder, "night.html"),
			    .status = copy(!readable			 ? "unreadable"
					   : *ns_json_text(summary, key) ? ns_json_text(summary, key)
									 : "not measured"),
			    .next = copy(ns_json_text(json_object_get(summary, "next"), "do")),
			    .say = copy(ns_json_text(json_object_get(summary, "next"), "say")),
			    .production = copy(ns_json_text(summary, "production")),
			    .release = copy(ns_json_text(summary, "release")),
			    .decided = copy(ns_json_text(drift, "decided_by")),
			    .promoted = json_is_true(json_object_get(summary, "promoted")),
			    .unfinished = json_array_size(json_object_get(summary, "unfinished")) > 0,
			    .at = s->count};
	for (i = 0; i < FIGURES; i++)
		p->figure[i] = NAN;
	p->alarm = !strcmp(p->status, "material") || !strcmp(p->status, "harmful");
	p->figure[SECONDS] = ns_json_number(summary, "seconds", NAN);
	p->figure[JOULES] = ns_json_number(summary, "energy_joules", NAN);
	if (drift)
		take_drift(p->figure, drift);
	if (!readable && !s->broken++)
		snprintf(s->first_broken, sizeof s->first_broken, "%s", path);
	s->count++;
	json_decref(drift);
	return p->date && p->folder && p->night && p->href && p->status && p->next && p->say && p->production && p->release && p->decided
		       ? NS_OK
		       : ns_fail(NS_NO_MEMORY, "out of memory for %d nights", s->count);
}

static enum ns_status read_folder(struct site *s, const char *root, const char *folder)
{
	char path[NS_PATH_MAX];
	json_t *summary = NULL, *entry;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_path(path, "%s/%s/summary.json", root, folder));
	status = ns_json_read_if_there(path, &summary, "nightshift.summary/1");
	if (status != NS_OK) {
		if (!s->broken++)
			snprintf(s->first_broken, sizeof s->first_broken, "%s", path);
		return NS_OK;
	}
	json_array_foreach(json_object_get(summary, "nights"), i, entry) {
		if (status == NS_OK && json_is_string(entry))
			status = add_point(s, root, folder, summary, json_string_value(entry));
	}
	if (status == NS_OK && summary && !json_array_size(json_object_get(summary, "nights")))
		status = add_point(s, root, folder, summary, ""); /* it broke off before its first window */
	json_decref(summary);
	return status;
}

static int by_date(const void *a, const void *b)
{
	const struct point *x = a, *y = b;
	int d = strcmp(x->date, y->date);

	d = d ? d : strcmp(x->folder, y->folder);
	return d ? d : x->at - y->at; /* the nights of a folder as they were run */
}

/* In the order of dates; and the columns of what is drawn. */
static enum ns_status sort_points(struct site *s)
{
	int i, f, ok;

	qsort(s->point, (size_t)s->count, sizeof *s->point, by_date);
	s->label = calloc((size_t)s->count, sizeof *s->label);
	s->href = calloc((size_t)s->count, sizeof *s->href);
	ok = s->label && s->href;
	for (i = 0; ok && i < s->count; i++) {
		s->label[i] = *s->point[i].date ? s->point[i].date : s->point[i].folder;
		s->href[i] = s->point[i].href;
	}
	for (f = 0; ok && f < FIGURES; f++) {
		s->figure[f] = malloc(sizeof *s->figure[f] * (size_t)s->count);
		ok = s->figure[f] != NULL;
		for (i = 0; ok && i < s->count; i++)
			s->figure[f][i] = s->point[i].figure[f];
	}
	return ok ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d nights", s->count);
}

static enum ns_status read_site(struct site *s, const char *root)
{
	struct ns_names list;
	enum ns_status status = NS_OK;
	size_t i;

	NS_TRY(ns_list(root, &list));
	for (i = 0; i < list.count && status == NS_OK; i++)
		if (list.name[i][0] != '.')
			status = read_folder(s, root, list.name[i]);
	ns_names_release(&list);
	NS_TRY(status);
	if (!s->count)
		return ns_fail(NS_BAD_DATA, "%s: holds no folder of a night with a summary.json", root);
	return sort_points(s);
}

/* --- the page --- */

static void headline(const struct site *s, struct ns_html *h)
{
	const struct point *last = &s->point[s->count - 1];
	int alarms = 0, promoted = 0, unfinished = 0, i;

	for (i = 0; i < s->count; i++) {
		alarms += s->point[i].alarm;
		promoted += s->point[i].promoted && (i == 0 || strcmp(s->point[i].folder, s->point[i - 1].folder));
		unfinished += s->point[i].unfinished && (i == 0 || strcmp(s->point[i].folder, s->point[i - 1].folder));
	}
	ns_html_raw(h, "<p class=\"verdict %s\"><strong>%s</strong><br>%d nights from %s to %s: %d alarms, %d promotions",
		    !strcmp(last->next, "nothing") ? "good" : "warn", last->say, s->count, s->label[0], s->label[s->count - 1], alarms, promoted);
	if (unfinished)
		ns_html_raw(h, ", %d that did not come to their end", unfinished);
	ns_html_raw(h, ". Production is model %.12s.</p>\n", *last->production ? last->production : "none");
	if (s->broken)
		ns_html_element(h, "p class=\"bad\"", "%d records of nights cannot be read; the first is %s.", s->broken, s->first_broken);
}

static void plots(const struct site *s, struct ns_html *h)
{
	double *const *f = s->figure;
	const struct ns_series accuracy[] = {{"measured", f[MEASURED], f[LOW], f[HIGH]},
					     {"estimated", f[ESTIMATED], NULL, NULL},
					     {"baseline", f[BASELINE], NULL, NULL}};
	const struct ns_series drift[] = {{"images", f[IMAGES], NULL, NULL},	     {"spread", f[SPREAD], NULL, NULL},
					  {"embeddings", f[EMBEDDINGS], NULL, NULL}, {"outputs", f[OUTPUTS], NULL, NULL},
					  {"groups", f[GROUPS], NULL, NULL},	     {"missing", f[MISSING], NULL, NULL}};
	const struct ns_series labels[] = {{"labels", f[LABELS], NULL, NULL}}, rows[] = {{"rows", f[ROWS], NULL, NULL}};
	const struct ns_series seconds[] = {{"seconds", f[SECONDS], NULL, NULL}}, joules[] = {{"joules", f[JOULES], NULL, NULL}};

	ns_html_element(h, "h2", "Accuracy");
	ns_svg_series(h, "Accuracy, by labels with 95 % intervals, and estimated without", accuracy, 3, s->count, s->label, s->href, NAN, NAN);
	ns_html_element(h, "h2", "Drift");
	ns_svg_series(h, "How near to an alarm, by kind: log p over log of its level, 1 is one (at most 3 are drawn)", drift, 6, s->count, s->label,
		      s->href, 0, 1);
	ns_html_element(h, "h2", "Rows, labels, cost");
	ns_svg_series(h, "Labelled rows", labels, 1, s->count, s->label, s->href, 0, NAN);
	ns_svg_series(h, "Rows", rows, 1, s->count, s->label, s->href, 0, NAN);
	ns_svg_series(h, "Seconds", seconds, 1, s->count, s->label, s->href, 0, NAN);
	ns_svg_series(h, "Energy, where the kernel tells it", joules, 1, s->count, s->label, s->href, 0, NAN);
}

static void night_row(const struct site *s, struct ns_html *h, int i)
{
	const struct point *p = &s->point[i];
	char measured[32], labels[32];

	snprintf(measured, sizeof measured, isnan(s->figure[MEASURED][i]) ? "-" : "%.1f %%", 100 * s->figure[MEASURED][i]);
	snprintf(labels, sizeof labels, isnan(s->figure[LABELS][i]) ? "-" : "%.0f", s->figure[LABELS][i]);
	ns_html_raw(h, "<tr><td><a href=\"%s\">%s</a></td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", p->href, s->label[i],
		    p->night, p->unfinished ? "unfinished" : p->status, measured, labels, p->promoted ? "promoted" : p->next);
	/* what is long has a line of its own: a table that is wider than the page is cut off in print */
	ns_html_raw(h, "<tr><td colspan=\"6\" class=\"note dim\">%s%s%s</td></tr>\n", p->decided, *p->decided ? ". " : "", p->say);
}

/* which: 0 alarms and promotions, 1 all of the last nights */
static void table(const struct site *s, struct ns_html *h, int which)
{
	static const char *const head[] = {"date", "night", "drift", "accuracy", "labels", "next"};
	int i, first = which && s->count > LISTED ? s->count - LISTED : 0;

	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 6);
	for (i = s->count - 1; i >= first; i--)
		if (which || s->point[i].alarm || s->point[i].promoted || s->point[i].unfinished)
			night_row(s, h, i);
	ns_html_raw(h, "</table></div>\n");
}

/* The same model with another reference, as one that a person accepted an alarm for, is another release. */
static int is_same(const struct point *a, const struct point *b)
{
	return !strcmp(a->production, b->production) && !strcmp(a->release, b->release);
}

static void releases(const struct site *s, struct ns_html *h)
{
	static const char *const head[] = {"since", "model", "release", "nights"};
	int i, end;

	ns_html_element(h, "h2", "Releases");
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 4);
	for (i = 0; i < s->count; i = end) {
		for (end = i + 1; end < s->count && is_same(&s->point[end], &s->point[i]); end++)
			;
		ns_html_raw(h, "<tr><td>%s</td><td><code>%.16s</code></td><td><code>%.16s</code></td><td>%d</td></tr>\n", s->label[i],
			    s->point[i].production, *s->point[i].release ? s->point[i].release : "-", end - i);
	}
	ns_html_raw(h, "</table></div>\n");
}

static enum ns_status site_page(const char *root)
{
	struct site s = {NULL};
	char path[NS_PATH_MAX];
	struct ns_html h;
	enum ns_status status = read_site(&s, root);

	if (status == NS_OK)
		status = ns_path(path, "%s/site.html", root);
	if (status == NS_OK) {
		ns_html_begin(&h, "nightshift: all nights");
		ns_html_element(&h, "h1", "All nights");
		headline(&s, &h);
		plots(&s, &h);
		ns_html_element(&h, "h2", "Alarms, and what came of them");
		table(&s, &h, 0);
		releases(&s, &h);
		ns_html_raw(&h, "<details><summary>The last %d nights</summary>", s.count < LISTED ? s.count : LISTED);
		table(&s, &h, 1);
		ns_html_raw(&h, "</details>");
		status = ns_html_write(&h, path);
		ns_html_release(&h);
	}
	release(&s);
	return status;
}

enum ns_status ns_job_report(struct ns_job *job, int argc, char **argv)
{
	const char *night = ns_conf_text(job->conf, "report.night"), *site = ns_conf_text(job->conf, "report.site");
	enum ns_status status = NS_OK;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "report: takes no operand; --night FOLDER or --site FOLDER is wanted");
	if (!night == !site)
		return ns_fail(NS_USAGE, "report: --night FOLDER or --site FOLDER is wanted, and not both");
	if (job->comm->rank == 0)
		status = night ? ns_night_page(night) : site_page(site);
	NS_TRY(ns_job_agree(job, status));
	ns_log_event(job->log, "report", json_pack("{s:o}", night ? "night" : "site", ns_json_string(night ? night : site)));
	return NS_OK;
}
