/* jobs/bench/page.c - bench.html: the roofline and the table. */
#include "jobs/bench/bench_inner.h"

#include <math.h>
#include <string.h>

#include "host/report/report.h"

/* Formats 12,345 as 12.3 k: at most four digits. */
static void si(char text[32], double v)
{
	static const char *const unit[] = {"", " k", " M", " G", " T"};
	int i = 0;

	for (; v >= 1000 && i < 4; i++)
		v /= 1000;
	snprintf(text, 32, "%.*f%s", v < 10 ? 2 : v < 100 ? 1 : 0, v, unit[i]);
}

/* The roofline plot, log-log: arithmetic intensity against flop rate, both roofs, each op with flops and bytes by its row's number. */
static void roofline(struct ns_html *h, const struct ns_bench *b)
{
	double x0 = -1, x1 = 4, y1 = log10(b->fma) + 0.2, y0 = y1 - 2.2, ridge = log10(b->fma / b->copy);
	char text[32];
	int i;

#define X(v) (60 + 520 * ((v)-x0) / (x1 - x0))
#define Y(v) (290 - 260 * ((v)-y0) / (y1 - y0))
	ns_html_raw(h, "<figure><svg role=\"img\" width=\"620\" height=\"340\" viewBox=\"0 0 620 340\" aria-label=\"roofline: see the table\">"
		       "<rect x=\"60\" y=\"30\" width=\"520\" height=\"260\" fill=\"none\" stroke=\"var(--line)\"/>");
	for (i = (int)x0; i <= (int)x1; i++)
		ns_html_raw(h, "<text class=\"dim\" x=\"%.1f\" y=\"305\" text-anchor=\"middle\">%g</text>", X(i), pow(10, i));
	for (i = (int)ceil(y0); i <= (int)y1; i++) {
		si(text, pow(10, i));
		ns_html_raw(h, "<text class=\"dim\" x=\"55\" y=\"%.1f\" text-anchor=\"end\">%s</text>", Y(i) + 4, text);
	}
	ns_html_raw(h, "<polyline fill=\"none\" stroke=\"var(--a)\" stroke-width=\"2\" points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f\"/>",
		    X(fmax(x0, y0 - log10(b->copy))), Y(fmax(y0, log10(b->copy) + x0)), X(ridge), Y(log10(b->fma)), X(x1), Y(log10(b->fma)));
	for (i = 0; i < b->count; i++) {
		const struct ns_measured *m = &b->rows[i];

		if (m->flops > 0 && m->bytes > 0)
			ns_html_raw(h,
				    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"var(--b)\"><title>%s</title></circle>"
				    "<text x=\"%.1f\" y=\"%.1f\" font-size=\"10\">%d</text>",
				    X(log10(m->flops / m->bytes)), Y(log10(m->flops * m->rate)), m->name, X(log10(m->flops / m->bytes)) + 5,
				    Y(log10(m->flops * m->rate)) + 4 + 9 * (i % 3), i + 1);
	}
	ns_html_raw(h,
		    "<text class=\"dim\" x=\"320\" y=\"328\" text-anchor=\"middle\">flop a byte</text>"
		    "<text class=\"dim\" x=\"60\" y=\"22\">flop a second; line: copy and f32 arithmetic peak of this run; numbers: rows of the table"
		    "</text></svg></figure>\n");
#undef X
#undef Y
}

/* Describes a change of rate; only intervals that do not overlap count as one. */
static const char *compare_words(const struct ns_measured *m, const json_t *old, double *ratio)
{
	double rate = ns_json_number(old, "rate", 0), low = ns_json_number(old, "low", 0), high = ns_json_number(old, "high", 0);

	*ratio = rate > 0 ? m->rate / rate : NAN;
	if (m->low > high && *ratio > 1.02)
		return "faster";
	if (m->high < low && *ratio < 0.98)
		return "SLOWER";
	return "the same within the noise";
}

static const json_t *row_find(const json_t *old, const char *name)
{
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(old, "results"), i, e)
		if (!strcmp(ns_json_text(e, "name"), name))
			return e;
	return NULL;
}

enum ns_status ns_bench_page(const struct ns_bench *b, const json_t *old, const char *path)
{
	static const char *const head[] = {"what", "rate a second", "middle half", "share of its limit", "limit", "against before"};
	struct ns_html h;
	enum ns_status status;
	int i;

	ns_html_begin(&h, "nightshift: bench");
	ns_html_element(&h, "h1", "Bench");
	ns_html_element(&h, "p class=\"dim\"", "%s. %s; copy %.1f GB/s (read + written), %s %.0f GF/s (bf16: %.0f), all measured in this run.",
			b->job->set->description, b->rounds > 1 ? "One GPU" : "One core", b->copy / 1e9,
			b->rounds > 1 ? "matrix product" : "FMA peak", b->fma / 1e9, b->fma_bf16 / 1e9);
	roofline(&h, b);
	ns_html_raw(&h, "<div class=\"wide\"><table>");
	ns_html_row(&h, "th", head, old ? 6 : 5);
	for (i = 0; i < b->count; i++) {
		const struct ns_measured *m = &b->rows[i];
		const json_t *was = row_find(old, m->name);
		char v[5][80] = {"", "", "", "", ""}, low[32], high[32], rate[32];
		const char *cells[6] = {v[4], v[0], v[1], v[2], m->bound, v[3]};
		double ratio;

		si(rate, m->rate);
		si(low, m->low);
		si(high, m->high);
		snprintf(v[0], sizeof v[0], "%s %s", rate, m->unit);
		snprintf(v[1], sizeof v[1], "%s to %s", low, high);
		snprintf(v[4], sizeof v[4], "%d. %s", i + 1, m->name);
		snprintf(v[2], sizeof v[2], "%.0f %%", 100 * m->share);
		if (was) {
			const char *words = compare_words(m, was, &ratio);

			snprintf(v[3], sizeof v[3], "%.2f x: %s", ratio, words);
		}
		ns_html_row(&h, "td", cells, old ? 6 : 5);
	}
	ns_html_raw(&h, "</table></div>\n");
	status = ns_html_write(&h, path);
	ns_html_release(&h);
	return status;
}
