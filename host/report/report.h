/*
 * host/report/report.h - one self-contained page: text, tables and SVG plots, no script, no external resource.
 */
#ifndef NS_REPORT_H
#define NS_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

struct ns_html { /* grows; out of memory shows when it is written */
	char *text;
	size_t len, capacity;
	int failed;
};

void ns_html_begin(struct ns_html *h, const char *title);
/* Finish and write whole. */
enum ns_status ns_html_write(struct ns_html *h, const char *path);
void ns_html_release(struct ns_html *h);

/* The format is markup as it is; what its conversions put in is data and is escaped. */
void ns_html_raw(struct ns_html *h, const char *format, ...) NS_PRINTF(2, 3);
/* Markup as it is, all of it: never data from a file that another program may have written. */
void ns_html_markup(struct ns_html *h, const char *markup);
/* text from data: <, >, & and quotes become entities */
void ns_html_text(struct ns_html *h, const char *text);
/* <h2>, <p> ... around escaped text */
void ns_html_element(struct ns_html *h, const char *tag, const char *format, ...) NS_PRINTF(3, 4);
/* n cells of a row, or a row of them; "th" or "td" */
void ns_html_cells(struct ns_html *h, const char *cell, const char *const *cells, int n);
void ns_html_row(struct ns_html *h, const char *cell, const char *const *cells, int n);
/* a PNG as a data URI, `zoom` times its size in hard pixels */
/* A PNG file as a data: URI alone; h may be a zeroed one, whose text it then is. */
void ns_html_png_uri(struct ns_html *h, const uint8_t *png, size_t bytes);
void ns_html_png(struct ns_html *h, const uint8_t *png, size_t bytes, int w, int hh, int zoom, const char *alt);

/* Two distributions over the same bins, as overlaid shares. */
void ns_svg_histogram(struct ns_html *h, const char *title, const double *a, const double *b, int bins, double low, double high, const char *name_a,
		      const char *name_b);
/* The same, the size of a word, for a cell of a table; hidden from screen readers. */
void ns_svg_spark(struct ns_html *h, const double *a, const double *b, int bins);
/* Lines over x = 1..n; a NaN is a gap. */
void ns_svg_lines(struct ns_html *h, const char *title, const double *const *y, const char *const *names, int lines, int n, const char *x_name);
/*
 * Series over the same n points, as wide as the page: a dot each, that leads to href[i] and says label[i]; low and high, where given, are its interval; a NaN is a gap.
 * The scale is that of the values, and of `bottom` and `top` where these are numbers.
 */
struct ns_series {
	const char *name;
	const double *y, *low, *high;
};
void ns_svg_series(struct ns_html *h, const char *title, const struct ns_series *series, int count, int n, const char *const *label,
		   const char *const *href, double bottom, double top);
/* k x k counts, rows are truth; shares of a row are the shade. */
void ns_svg_confusion(struct ns_html *h, const char *title, const int64_t *counts, const char *const *names, int k);
/* Horizontal bars of shares 0..1 with intervals. */
void ns_svg_bars(struct ns_html *h, const char *title, const char *const *names, const double *value, const double *low, const double *high, int n);

#endif
