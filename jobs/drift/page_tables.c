/* jobs/drift/page_tables.c - the tables of the page: every test, every slice, what the detectors are. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/report/report.h"

int ns_drift_has_histogram(const struct ns_drift_test *t)
{
	return t->histogram.high > t->histogram.low;
}

void ns_drift_shares(const struct ns_histogram *p, double *a, double *b)
{
	double before = 0, now = 0;
	int i;

	for (i = 0; i < NS_HISTOGRAM_BINS; i++) {
		before += p->ref[i];
		now += p->cur[i];
	}
	for (i = 0; i < NS_HISTOGRAM_BINS; i++) {
		a[i] = p->ref[i] / before;
		b[i] = p->cur[i] / now;
	}
}

static void number(char text[48], const char *format, double x)
{
	snprintf(text, 48, isnan(x) ? "-" : format, x);
}

static void p_value(char text[48], double p)
{
	snprintf(text, 48, isnan(p) ? "-" : p < 1e-300 ? "< 1e-300" : "%.3g", p);
}

static void percent(char text[48], double x)
{
	number(text, "%.1f %%", 100 * x);
}

#define ROWS 400 /* of a table: a page stays small whatever the data; drift.json has all */

static void spark(struct ns_html *h, const struct ns_drift_test *t)
{
	double a[NS_HISTOGRAM_BINS], b[NS_HISTOGRAM_BINS];

	ns_html_raw(h, "<td>");
	if (ns_drift_has_histogram(t)) {
		ns_drift_shares(&t->histogram, a, b);
		ns_svg_spark(h, a, b, NS_HISTOGRAM_BINS);
	}
	ns_html_raw(h, "</td>");
}

void ns_drift_page_table(const struct ns_drift *s, struct ns_html *h, int deciding)
{
	static const char *const head[] = {"slice", "detector", "statistic", "p", "p adjusted", "effect", "status"};
	int i, shown = 0;

	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_markup(h, deciding ? "<tr><th>column</th><th>before, now</th>" : "<tr><th>column</th>");
	ns_html_cells(h, "th", head, 7);
	ns_html_raw(h, "</tr>\n");
	for (i = 0; i < s->count; i++) {
		const struct ns_drift_test *t = &s->tests[i];
		char v[4][48];
		const char *cells[8] = {t->column,
					*t->slice ? t->slice : "all",
					t->method->name,
					v[0],
					v[1],
					v[2],
					v[3],
					t->status == NS_DRIFT_UNTESTED && t->note ? t->note : ns_drift_status_name(t->status)};

		if (t->method->decides != deciding)
			continue;
		if (*t->slice && t->status == NS_DRIFT_NONE) /* of slices what moved: the rest is in drift.json */
			continue;
		if (shown++ == ROWS)
			break;
		number(v[0], "%.4g", t->statistic);
		p_value(v[1], t->p);
		p_value(v[2], t->p_adjusted);
		if (isnan(t->effect_low) && !isnan(t->effect_high))
			snprintf(v[3], sizeof v[3], "%.3f (no drift: %.3f)", t->effect, t->effect_high);
		else if (isnan(t->effect_low))
			number(v[3], "%.3f", t->effect);
		else
			snprintf(v[3], sizeof v[3], "%.3f (%.3f to %.3f)", t->effect, t->effect_low, t->effect_high);
		ns_html_raw(h, "<tr>");
		ns_html_cells(h, "td", cells, 1);
		if (deciding)
			spark(h, t);
		ns_html_cells(h, "td", cells + 1, 7);
		ns_html_raw(h, "</tr>\n");
	}
	ns_html_raw(h, "</table></div>");
	if (i < s->count)
		ns_html_element(h, "p class=\"dim\"", "The rest is in drift.json.");
}

/* how often windows without drift would have looked like this, and what the words of the table mean */
void ns_drift_page_detectors(const struct ns_drift *s, struct ns_html *h)
{
	const struct ns_drift_detector *const *one;
	int i;

	ns_html_raw(h, "<dl>");
	for (one = ns_drift_detectors; *one; one++) {
		const struct ns_drift_detector *m = *one;

		for (i = 0; i < s->count && s->tests[i].method != m;)
			i++;
		if (i == s->count)
			continue;
		ns_html_element(h, "dt", "%s: %s%s", m->name, m->title, m->decides ? " (decides)" : "");
		ns_html_element(h, "dd", "%s Statistic: %s. Effect: %s. %s.", m->meaning, m->statistic, m->effect, m->source);
	}
	ns_html_raw(h, "</dl>");
}

void ns_drift_page_slices(const struct ns_drift *s, struct ns_html *h)
{
	static const char *const head[] = {"slice", "rows before",     "rows now", "moved most", "effect", "confidence before",
					   "now",   "accuracy before", "measured", "labelled",	 "status"};
	int i, shown = 0;

	if (!s->slice_count)
		return;
	ns_html_element(h, "h2", "Slices");
	ns_html_element(h, "p class=\"dim\"",
			"Groups of images, and rows by the class that is predicted for them; a slice is tested from %d rows on each side on.",
			NS_SLICE_ROWS);
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 11);
	for (i = 0; i < s->slice_count && shown < ROWS; i++, shown++) {
		const struct ns_slice *l = &s->slices[i];
		char v[8][48], name[NS_SLICE_NAME + 16];
		const char *cells[11] = {name,
					 v[0],
					 v[1],
					 l->column,
					 v[2],
					 v[3],
					 v[4],
					 v[5],
					 v[6],
					 v[7],
					 l->status == NS_DRIFT_UNTESTED ? "too few rows" : ns_drift_status_name(l->status)};

		snprintf(name, sizeof name, "%s%s", l->name, l->guarded ? " (guarded)" : "");
		number(v[0], "%.0f", (double)l->ref_rows);
		number(v[1], "%.0f", (double)l->cur_rows);
		number(v[2], "%.3f", l->moved);
		percent(v[3], l->confidence_ref);
		percent(v[4], l->confidence);
		percent(v[5], l->base);
		percent(v[6], l->measured);
		number(v[7], "%.0f", (double)l->audited);
		ns_html_row(h, "td", cells, 11);
	}
	ns_html_raw(h, "</table></div>");
}
