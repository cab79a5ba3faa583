#include "host/report/report_inner.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

static const char style[] =
	":root{--ink:#1c2024;--dim:#60646c;--line:#d9dce0;--paper:#fff;--panel:#f6f7f9;--a:#8d9bb0;--b:#d6562b;--good:#1d7a4b;"
	"--bad:#b3261e;--warn:#9a6200}"
	"@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--dim:#a0a6ad;--line:#3a3f45;--paper:#15181b;--panel:#1e2226;"
	"--a:#7c8ca3;--b:#f0814f;--good:#5fc38f;--bad:#f2857c;--warn:#e0b050}}"
	"*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;"
	"max-width:62rem;padding:1.5rem}h1{font-size:1.7rem;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;"
	"border-bottom:1px solid var(--line);padding-bottom:.2rem}h3{font-size:1rem;margin:1.2rem 0 .4rem}"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}"
	"td,th{padding:.2rem .7rem .2rem 0;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}"
	"td:not(:last-child){white-space:nowrap}"
	"td:first-child,th:first-child{text-align:left}th{color:var(--dim);font-weight:600}"
	".wide{overflow-x:auto}.dim{color:var(--dim)}.verdict{font-size:1.15rem;padding:.8rem 1rem;background:var(--panel);"
	"border-left:5px solid var(--dim)}.verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}"
	".verdict.warn{border-color:var(--warn)}.good{color:var(--good)}.bad{color:var(--bad)}"
	".verdict.good,.verdict.bad,.verdict.warn{color:var(--ink)}td.note{text-align:left;white-space:normal}"
	".grid{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}figcaption{font-size:.8rem;color:var(--dim)}"
	"img{image-rendering:pixelated;display:block;background:var(--panel)}svg{max-width:100%;height:auto}"
	"svg text{fill:var(--ink);font:11px system-ui,sans-serif}svg .dim{fill:var(--dim)}"
	"code{font-size:.85em;word-break:break-all}details{margin:.5rem 0}summary{cursor:pointer}"
	"@media print{body{max-width:none}.wide{overflow:visible}td:not(:last-child){white-space:normal}details>*{display:block}}";

static void append(struct ns_html *h, const char *text, size_t n)
{
	if (h->len + n + 1 > h->capacity) {
		size_t capacity = (h->len + n + 1) * 2;
		char *more = realloc(h->text, capacity);

		if (!more) {
			h->failed = 1;
			return;
		}
		h->text = more;
		h->capacity = capacity;
	}
	memcpy(h->text + h->len, text, n);
	h->len += n;
	h->text[h->len] = 0;
}

static void append_escaped(struct ns_html *h, const char *text, size_t n)
{
	for (; n; n--, text++) {
		const char *entity = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : NULL;

		append(h, entity ? entity : text, entity ? strlen(entity) : 1);
	}
}

/* formatted, then escaped */
static void append_format(struct ns_html *h, const char *format, va_list args)
{
	char small[1024], *text = small;
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(small, sizeof small, format, args);
	if (n >= (int)sizeof small) {
		text = malloc((size_t)n + 1);
		if (text)
			vsnprintf(text, (size_t)n + 1, format, again);
	}
	va_end(again);
	if (!text || n < 0)
		h->failed = 1;
	else
		append_escaped(h, text, (size_t)n);
	if (text != small)
		free(text);
}

/* what a page shows of a string: all of it, or as many bytes as "%.16s" says, and no half of a character */
static void append_string(struct ns_html *h, const char *string, const char *spec)
{
	const char *dot = strchr(spec, '.');
	size_t n = strlen(string), most = dot ? strtoul(dot + 1, NULL, 10) : n;

	if (most > n)
		most = n;
	while (most < n && most && ((unsigned char)string[most] & 0xc0) == 0x80)
		most--;
	append_escaped(h, string, most);
}

/* a number as the conversion `spec` has it; longs: 0 int, 1 long or size_t, 2 long long */
static void append_number(struct ns_html *h, const char *spec, char kind, size_t longs, va_list *args)
{
	char text[512];

	if (kind == 'd' && longs == 2)
		snprintf(text, sizeof text, spec, va_arg(*args, long long));
	else if (kind == 'd' && longs)
		snprintf(text, sizeof text, spec, va_arg(*args, long));
	else if (kind == 'd')
		snprintf(text, sizeof text, spec, va_arg(*args, int));
	else if (kind == 'u' && longs == 2)
		snprintf(text, sizeof text, spec, va_arg(*args, unsigned long long));
	else if (kind == 'u' && longs)
		snprintf(text, sizeof text, spec, va_arg(*args, size_t));
	else if (kind == 'u')
		snprintf(text, sizeof text, spec, va_arg(*args, unsigned));
	else
		snprintf(text, sizeof text, spec, va_arg(*args, double));
	append(h, text, strlen(text));
}

/*
 * Conversion by conversion, so that what comes as an argument is data and is escaped, whatever the page's author forgot. Conversions are
 * those of pages: s d u f g e %, with flags, width, precision, l, ll and z.
 */
void ns_html_raw(struct ns_html *h, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	while (*format) {
		size_t plain = strcspn(format, "%"), flags, longs;
		char spec[24];

		append(h, format, plain);
		format += plain;
		if (!*format)
			break;
		flags = 1 + strspn(format + 1, "-+ #0123456789.");
		longs = strspn(format + flags, "lz");
		snprintf(spec, sizeof spec, "%.*s", (int)(flags + longs + 1), format);
		format += flags + longs;
		if (*format == '%')
			append(h, "%", 1);
		else if (*format == 's')
			append_string(h, va_arg(args, const char *), spec);
		else
			append_number(h, spec, *format, longs, &args);
		format++;
	}
	va_end(args);
}

void ns_html_markup(struct ns_html *h, const char *markup)
{
	append(h, markup, strlen(markup));
}

void ns_html_text(struct ns_html *h, const char *text)
{
	append_escaped(h, text, strlen(text));
}

void ns_html_element(struct ns_html *h, const char *tag, const char *format, ...)
{
	size_t n = strcspn(tag, " ");
	va_list args;

	append(h, "<", 1);
	append(h, tag, strlen(tag));
	append(h, ">", 1);
	va_start(args, format);
	append_format(h, format, args);
	va_end(args);
	append(h, "</", 2);
	append(h, tag, n);
	append(h, ">\n", 2);
}

void ns_html_begin(struct ns_html *h, const char *title)
{
	memset(h, 0, sizeof *h);
	ns_html_raw(h, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		       "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
	ns_html_text(h, title);
	ns_html_raw(h, "</title><style>");
	append(h, style, sizeof style - 1);
	ns_html_raw(h, "</style></head><body>\n");
}

enum ns_status ns_html_write(struct ns_html *h, const char *path)
{
	ns_html_raw(h, "</body></html>\n");
	if (h->failed)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for the page", path);
	return ns_write_file(path, h->text, h->len);
}

void ns_html_release(struct ns_html *h)
{
	free(h->text);
	memset(h, 0, sizeof *h);
}

void ns_html_cells(struct ns_html *h, const char *cell, const char *const *cells, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		ns_html_raw(h, "<%s>", cell);
		ns_html_text(h, cells[i]);
		ns_html_raw(h, "</%s>", cell);
	}
}

void ns_html_row(struct ns_html *h, const char *cell, const char *const *cells, int n)
{
	ns_html_raw(h, "<tr>");
	ns_html_cells(h, cell, cells, n);
	ns_html_raw(h, "</tr>\n");
}

void ns_html_png_uri(struct ns_html *h, const uint8_t *png, size_t bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i;

	ns_html_markup(h, "data:image/png;base64,");
	for (i = 0; i < bytes; i += 3) {
		uint32_t v = (uint32_t)png[i] << 16 | (i + 1 < bytes ? (uint32_t)png[i + 1] << 8 : 0) | (i + 2 < bytes ? png[i + 2] : 0);
		char four[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < bytes ? digits[v >> 6 & 63] : '=',
				i + 2 < bytes ? digits[v & 63] : '='};

		append(h, four, 4);
	}
}

void ns_html_png(struct ns_html *h, const uint8_t *png, size_t bytes, int w, int hh, int zoom, const char *alt)
{
	ns_html_raw(h, "<img width=\"%d\" height=\"%d\" alt=\"", w * zoom, hh * zoom);
	ns_html_text(h, alt);
	ns_html_raw(h, "\" src=\"");
	ns_html_png_uri(h, png, bytes);
	ns_html_raw(h, "\">");
}

/* --- plots --- */

void ns_svg_open(struct ns_html *h, const char *title, int w, int hh)
{
	ns_html_raw(h, "<figure><svg role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" aria-label=\"", w, hh, w, hh);
	ns_html_text(h, title);
	ns_html_raw(h, "\"><text x=\"0\" y=\"11\" font-weight=\"600\">");
	ns_html_text(h, title);
	ns_html_raw(h, "</text>");
}

void ns_svg_text(struct ns_html *h, double x, double y, const char *anchor, const char *text)
{
	ns_html_raw(h, "<text class=\"dim\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	ns_html_text(h, text);
	ns_html_raw(h, "</text>");
}

void ns_svg_number(char *text, size_t size, double x)
{
	snprintf(text, size, "%.3g", x);
}

void ns_svg_legend(struct ns_html *h, double x, double y, const char *colour, const char *name)
{
	ns_html_raw(h, "<rect x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"9\" fill=\"%s\"/>", x, y - 8, colour);
	ns_svg_text(h, x + 13, y, "start", name);
}

void ns_svg_histogram(struct ns_html *h, const char *title, const double *a, const double *b, int bins, double low, double high, const char *name_a,
		      const char *name_b)
{
	double most = 1e-12, step = 270.0 / bins;
	char text[32];
	int i;

	for (i = 0; i < bins; i++)
		most = fmax(most, fmax(a[i], b[i]));
	ns_svg_open(h, title, 290, 150);
	for (i = 0; i < bins; i++) {
		double x = 10 + i * step, ha = 90 * a[i] / most, hb = 90 * b[i] / most;

		ns_html_raw(h, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--a)\" opacity=\".55\"/>", x, 115 - ha,
			    step * .96, ha);
		ns_html_raw(h, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--b)\" opacity=\".5\"/>", x, 115 - hb,
			    step * .96, hb);
	}
	ns_html_raw(h, "<line x1=\"10\" x2=\"280\" y1=\"115\" y2=\"115\" stroke=\"var(--dim)\"/>");
	ns_svg_number(text, sizeof text, low);
	ns_svg_text(h, 10, 128, "start", text);
	ns_svg_number(text, sizeof text, high);
	ns_svg_text(h, 280, 128, "end", text);
	ns_svg_legend(h, 10, 145, "var(--a)", name_a);
	ns_svg_legend(h, 120, 145, "var(--b)", name_b);
	ns_html_raw(h, "</svg></figure>\n");
}

#define SPARK 18 /* height */

static void steps(struct ns_html *h, const double *x, int bins, double most, const char *colour)
{
	int i;

	ns_html_raw(h, "<path fill=\"%s\" opacity=\".55\" d=\"M0 %d", colour, SPARK);
	for (i = 0; i < bins; i++)
		ns_html_raw(h, "V%.0fh2", SPARK * (1 - x[i] / most));
	ns_html_raw(h, "V%dz\"/>", SPARK);
}

void ns_svg_spark(struct ns_html *h, const double *a, const double *b, int bins)
{
	double most = 1e-12;
	int i;

	for (i = 0; i < bins; i++)
		most = fmax(most, fmax(a[i], b[i]));
	ns_html_raw(h, "<svg aria-hidden=\"true\" width=\"%d\" height=\"%d\">", 2 * bins, SPARK);
	steps(h, a, bins, most, "var(--a)");
	steps(h, b, bins, most, "var(--b)");
	ns_html_raw(h, "</svg>");
}

void ns_svg_lines(struct ns_html *h, const char *title, const double *const *y, const char *const *names, int lines, int n, const char *x_name)
{
	static const char *const colours[] = {"var(--b)", "var(--a)", "var(--good)", "var(--warn)"};
	double low = INFINITY, high = -INFINITY;
	char text[32];
	int l, i;

	for (l = 0; l < lines; l++)
		for (i = 0; i < n; i++)
			if (isfinite(y[l][i])) {
				low = fmin(low, y[l][i]);
				high = fmax(high, y[l][i]);
			}
	if (!(high > low))
		high = low + 1;
	ns_svg_open(h, title, 380, 190);
	ns_html_raw(h, "<rect x=\"45\" y=\"20\" width=\"320\" height=\"120\" fill=\"none\" stroke=\"var(--line)\"/>");
	for (l = 0; l < lines; l++) {
		ns_html_raw(h, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"", colours[l % 4]);
		for (i = 0; i < n; i++)
			if (isfinite(y[l][i]))
				ns_html_raw(h, "%.1f,%.1f ", 45 + (n > 1 ? 320.0 * i / (n - 1) : 160), 140 - 120 * (y[l][i] - low) / (high - low));
		ns_html_raw(h, "\"/>");
		if (n == 1 && isfinite(y[l][0])) /* a line of one point would not be seen */
			ns_html_raw(h, "<circle r=\"3\" cx=\"205\" cy=\"%.1f\" fill=\"%s\"/>", 140 - 120 * (y[l][0] - low) / (high - low),
				    colours[l % 4]);
		ns_svg_legend(h, 45 + 110 * l, 182, colours[l % 4], names[l]);
	}
	ns_svg_number(text, sizeof text, high);
	ns_svg_text(h, 40, 28, "end", text);
	ns_svg_number(text, sizeof text, low);
	ns_svg_text(h, 40, 140, "end", text);
	snprintf(text, sizeof text, "%d", n);
	ns_svg_text(h, 45, 156, "start", "1");
	ns_svg_text(h, 365, 156, "end", text);
	ns_svg_text(h, 205, 156, "middle", x_name);
	ns_html_raw(h, "</svg></figure>\n");
}

void ns_svg_confusion(struct ns_html *h, const char *title, const int64_t *counts, const char *const *names, int k)
{
	int cell = k > 20 ? 12 : 30, left = 80, i, j, width = left + k * cell + 50;

	ns_svg_open(h, title, width < 240 ? 240 : width, 50 + k * cell + 60);
	for (i = 0; i < k; i++) {
		int64_t all = 0;

		for (j = 0; j < k; j++)
			all += counts[i * k + j];
		ns_svg_text(h, left - 5, 40 + (i + 0.7) * cell, "end", names[i]);
		for (j = 0; j < k; j++) {
			double share = all ? (double)counts[i * k + j] / (double)all : 0;

			ns_html_raw(h, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\" fill-opacity=\"%.2f\"/>", left + j * cell,
				    40 + i * cell, cell - 1, cell - 1, i == j ? "var(--good)" : "var(--b)", share > 0 ? 0.06 + 0.9 * share : 0.02);
			if (k <= 20 && counts[i * k + j])
				ns_html_raw(h, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" style=\"font-size:9px\">%lld</text>",
					    left + (j + 0.5) * cell, 40 + (i + 0.65) * cell, (long long)counts[i * k + j]);
		}
	}
	for (j = 0; k <= 20 && j < k; j++) {
		ns_html_raw(h, "<text class=\"dim\" transform=\"translate(%.1f %d) rotate(40)\">", left + (j + 0.3) * cell, 52 + k * cell);
		ns_html_text(h, names[j]);
		ns_html_raw(h, "</text>");
	}
	ns_svg_text(h, 0, 30, "start", "truth down, predicted across");
	ns_html_raw(h, "</svg></figure>\n");
}

void ns_svg_bars(struct ns_html *h, const char *title, const char *const *names, const double *value, const double *low, const double *high, int n)
{
	int i;

	ns_svg_open(h, title, 520, 30 + 26 * n);
	for (i = 0; i < n; i++) {
		double y = 24 + 26 * i;
		char text[32];

		ns_svg_text(h, 190, y + 13, "end", names[i]);
		ns_html_raw(h, "<rect x=\"200\" y=\"%.1f\" width=\"%.1f\" height=\"16\" fill=\"%s\" opacity=\".8\"/>", y, 250 * value[i],
			    i % 2 ? "var(--b)" : "var(--a)");
		ns_html_raw(h, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--ink)\" stroke-width=\"2\"/>", 200 + 250 * low[i],
			    200 + 250 * high[i], y + 8, y + 8);
		snprintf(text, sizeof text, "%.1f %%", 100 * value[i]);
		ns_svg_text(h, 460, y + 13, "start", text);
	}
	ns_html_raw(h, "</svg></figure>\n");
}
