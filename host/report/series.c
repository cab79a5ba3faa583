/* host/report/series.c - a plot over many nights, whose points lead to them. */
#include "host/report/report_inner.h"

#include <math.h>
#include <stdio.h>

#define WIDE   900.
#define LEFT   52.
#define RIGHT  884.
#define TOP    24.
#define BOTTOM 170.

struct scale {
	double low, high;
	int n;
};

static double at_x(const struct scale *s, int i)
{
	return s->n > 1 ? LEFT + (RIGHT - LEFT) * i / (s->n - 1) : (LEFT + RIGHT) / 2;
}

static double at_y(const struct scale *s, double y)
{
	return BOTTOM - (BOTTOM - TOP) * fmin(1, fmax(0, (y - s->low) / (s->high - s->low)));
}

static void widen(struct scale *s, const double *y, int n)
{
	int i;

	for (i = 0; y && i < n; i++)
		if (isfinite(y[i])) {
			s->low = fmin(s->low, y[i]);
			s->high = fmax(s->high, y[i]);
		}
}

static void intervals(struct ns_html *h, const struct scale *s, const struct ns_series *one, const char *colour)
{
	int i;

	for (i = 0; one->low && one->high && i < s->n; i++)
		if (isfinite(one->low[i]) && isfinite(one->high[i]))
			ns_html_raw(h, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" opacity=\".45\"/>", at_x(s, i),
				    at_x(s, i), at_y(s, one->low[i]), at_y(s, one->high[i]), colour);
}

static void dots(struct ns_html *h, const struct scale *s, const struct ns_series *one, const char *colour, const char *const *label,
		 const char *const *href)
{
	int i;

	for (i = 0; i < s->n; i++) {
		if (!isfinite(one->y[i]))
			continue;
		ns_html_raw(h, "<a href=\"%s\"><circle r=\"%s\" cx=\"%.1f\" cy=\"%.1f\" fill=\"%s\"><title>%s: %s %.4g</title></circle></a>", href[i],
			    s->n > 200 ? "1.6" : "3", at_x(s, i), at_y(s, one->y[i]), colour, label[i], one->name, one->y[i]);
	}
}

static void line(struct ns_html *h, const struct scale *s, const double *y, const char *colour)
{
	int i, open = 0;

	for (i = 0; i < s->n; i++) {
		if (!isfinite(y[i]) && open)
			ns_html_raw(h, "\"/>");
		if (!isfinite(y[i])) {
			open = 0;
			continue;
		}
		if (!open)
			ns_html_raw(h, "<polyline fill=\"none\" stroke-width=\"1\" stroke=\"%s\" points=\"", colour);
		open = 1;
		ns_html_raw(h, "%.1f,%.1f ", at_x(s, i), at_y(s, y[i]));
	}
	if (open)
		ns_html_raw(h, "\"/>");
}

void ns_svg_series(struct ns_html *h, const char *title, const struct ns_series *series, int count, int n, const char *const *label,
		   const char *const *href, double bottom, double top)
{
	static const char *const colours[] = {"var(--b)", "var(--a)", "var(--good)", "var(--warn)", "var(--bad)", "var(--ink)"};
	struct scale s = {isnan(bottom) ? INFINITY : bottom, isnan(top) ? -INFINITY : top, n};
	char text[32];
	int l, i, any = 0;

	for (l = 0; l < count; l++) {
		widen(&s, series[l].y, n);
		widen(&s, series[l].low, n);
		widen(&s, series[l].high, n);
	}
	for (l = 0; l < count; l++)
		for (i = 0; i < n; i++)
			any |= isfinite(series[l].y[i]);
	if (!any)
		return;
	if (!(s.high > s.low))
		s.high = s.low + 1;
	ns_svg_open(h, title, (int)WIDE, 212);
	ns_html_raw(h, "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" fill=\"none\" stroke=\"var(--line)\"/>", LEFT, TOP, RIGHT - LEFT,
		    BOTTOM - TOP);
	for (l = 0; l < count; l++) {
		intervals(h, &s, &series[l], colours[l % 6]);
		line(h, &s, series[l].y, colours[l % 6]);
		dots(h, &s, &series[l], colours[l % 6], label, href);
		ns_svg_legend(h, LEFT + 135 * l, 204, colours[l % 6], series[l].name);
	}
	ns_svg_number(text, sizeof text, s.high);
	ns_svg_text(h, LEFT - 4, TOP + 8, "end", text);
	ns_svg_number(text, sizeof text, s.low);
	ns_svg_text(h, LEFT - 4, BOTTOM, "end", text);
	ns_svg_text(h, LEFT, BOTTOM + 16, "start", label[0]);
	if (n > 1)
		ns_svg_text(h, RIGHT, BOTTOM + 16, "end", label[n - 1]);
	ns_html_raw(h, "</svg></figure>\n");
}
