/* host/report/report_inner.h - what plots are drawn with. */
#ifndef NS_REPORT_INNER_H
#define NS_REPORT_INNER_H

#include "host/report/report.h"

/* Begins a figure with an SVG of so many units. */
void ns_svg_open(struct ns_html *h, const char *title, int w, int hh);
void ns_svg_text(struct ns_html *h, double x, double y, const char *anchor, const char *text);
void ns_svg_number(char *text, size_t size, double x); /* with the digits that a scale needs */
void ns_svg_legend(struct ns_html *h, double x, double y, const char *colour, const char *name);

#endif
