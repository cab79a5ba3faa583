/* jobs/drift_page.c - drift.html: the verdict in words, then what moved, then how sure, then pictures, then every test. */
#include "jobs/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode.h"
#include "host/report/html.h"

static const char *class_of(enum ns_shift_status status)
{
	return status == NS_SHIFT_NONE ? "good" : status == NS_SHIFT_HARMFUL ? "bad" : "warn";
}

static const struct ns_shift_test *strongest(const struct ns_shift *s, const char *kind)
{
	const struct ns_shift_test *best = NULL;
	int i;

	for (i = 0; i < s->count; i++) {
		const struct ns_shift_test *t = &s->tests[i];

		if (!strcmp(t->kind, kind) && t->status != NS_SHIFT_UNTESTED && (!best || t->effect > best->effect))
			best = t;
	}
	return best;
}

static double mean_of(const float *x, int stride, int64_t n)
{
	double sum = 0;
	int64_t i;

	for (i = 0; i < n; i++)
		sum += (double)x[i * stride];
	return sum / (double)n;
}

/* "images became darker and blurrier": image statistics that moved materially, in words */
static void plain_words(const struct ns_shift *s, struct ns_html *h)
{
	static const char *const words[][3] = {{"brightness", "brighter", "darker"},	{"contrast", "richer in contrast", "flatter"},
					       {"saturation", "more colourful", "paler"}, {"sharpness", "sharper", "blurrier"},
					       {"noise", "noisier", "smoother"}};
	int i, said = 0;
	size_t w;

	for (i = 0; i < s->count; i++) {
		const struct ns_shift_test *t = &s->tests[i];

		if (strcmp(t->kind, "input") || t->status != NS_SHIFT_MATERIAL)
			continue;
		for (w = 0; w < sizeof words / sizeof *words; w++)
			if (!strcmp(words[w][0], t->column)) {
				int up = mean_of(t->cur, t->cur_stride, s->cur.rows) > mean_of(t->ref, t->ref_stride, s->ref.rows);

				ns_html_raw(h, "%s%s", said++ ? ", " : "Images became ", words[w][up ? 1 : 2]);
			}
	}
	if (said)
		ns_html_raw(h, ". ");
}

static void verdict(const struct ns_shift *s, struct ns_html *h)
{
	static const char *const words[] = {
		"No drift: the window looks like the reference.",
		"A statistically sure, but small difference: no action.",
		"The data has moved, but the model is not seen to suffer.",
		"The data has moved and the model suffers: a retraining is due.",
	};

	ns_html_raw(h, "<p class=\"verdict %s\"><strong>%s</strong><br>", class_of(s->status), words[s->status]);
	plain_words(s, h);
	if (!isnan(s->measured))
		ns_html_raw(h, "Accuracy, measured on %lld audited rows: %.1f&nbsp;%% (%.1f to %.1f); on the reference %.1f&nbsp;%%. ",
			    (long long)s->audited, 100 * s->measured, 100 * s->measured_low, 100 * s->measured_high, 100 * s->base);
	if (!isnan(s->cbpe))
		ns_html_raw(h, "Without labels: at most about %.1f&nbsp;%% (mean confidence; %.1f&nbsp;%% on the reference).", 100 * s->cbpe,
			    100 * s->cbpe_ref);
	ns_html_raw(h, "</p>\n");
}

#define BINS 30

static void picture(const struct ns_shift *s, struct ns_html *h, const struct ns_shift_test *t)
{
	double low = INFINITY, high = -INFINITY, a[BINS] = {0}, b[BINS] = {0};
	char title[128];
	int64_t i;

	for (i = 0; i < s->ref.rows; i++) {
		low = fmin(low, (double)t->ref[i * t->ref_stride]);
		high = fmax(high, (double)t->ref[i * t->ref_stride]);
	}
	for (i = 0; i < s->cur.rows; i++) {
		low = fmin(low, (double)t->cur[i * t->cur_stride]);
		high = fmax(high, (double)t->cur[i * t->cur_stride]);
	}
	if (!(high > low))
		return;
	for (i = 0; i < s->ref.rows; i++)
		a[(int)fmin(BINS - 1, BINS * ((double)t->ref[i * t->ref_stride] - low) / (high - low))] += 1 / (double)s->ref.rows;
	for (i = 0; i < s->cur.rows; i++)
		b[(int)fmin(BINS - 1, BINS * ((double)t->cur[i * t->cur_stride] - low) / (high - low))] += 1 / (double)s->cur.rows;
	snprintf(title, sizeof title, "%.40s: D = %.3f, %s", t->column, t->effect, ns_shift_name(t->status));
	ns_svg_histogram(h, title, a, b, BINS, low, high, "reference", "current");
}

static void pictures(const struct ns_shift *s, struct ns_html *h, const char *kind, const char *title, int most)
{
	char *shown = calloc((size_t)s->count + 1, 1);
	int n, i;

	ns_html_element(h, "h3", "%s", title);
	ns_html_raw(h, "<div class=\"grid\">");
	for (n = 0; shown && n < most; n++) { /* largest effects first */
		int best = -1;

		for (i = 0; i < s->count; i++)
			if (!shown[i] && !strcmp(s->tests[i].kind, kind) && s->tests[i].ref && s->tests[i].status != NS_SHIFT_UNTESTED &&
			    (best < 0 || s->tests[i].effect > s->tests[best].effect))
				best = i;
		if (best < 0)
			break;
		shown[best] = 1;
		picture(s, h, &s->tests[best]);
	}
	ns_html_raw(h, "</div>");
	free(shown);
}

static void table(const struct ns_shift *s, struct ns_html *h)
{
	static const char *const head[] = {"column", "kind", "detector", "statistic", "p", "p adjusted", "effect", "status"};
	int i;

	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 8);
	for (i = 0; i < s->count; i++) {
		const struct ns_shift_test *t = &s->tests[i];
		char v[4][48];
		const char *cells[8] = {t->column, t->kind, t->detector, v[0], v[1], v[2], v[3], t->note ? t->note : ns_shift_name(t->status)};

		snprintf(v[0], sizeof v[0], isnan(t->statistic) ? "-" : "%.4g", t->statistic);
		snprintf(v[1], sizeof v[1], isnan(t->p) ? "-" : t->p < 1e-300 ? "< 1e-300" : "%.3g", t->p);
		snprintf(v[2], sizeof v[2], isnan(t->p_adjusted) ? "-" : t->p_adjusted < 1e-300 ? "< 1e-300" : "%.3g",
			 t->p_adjusted);
		if (isnan(t->effect_low))
			snprintf(v[3], sizeof v[3], isnan(t->effect) ? "-" : "%.3f", t->effect);
		else
			snprintf(v[3], sizeof v[3], "%.3f (%.3f to %.3f)", t->effect, t->effect_low, t->effect_high);
		ns_html_row(h, "td", cells, 8);
	}
	ns_html_raw(h, "</table></div>");
}

/* thumbnails of the rows that drifted most, where the images are at hand */
static enum ns_status thumbnails(const struct ns_shift *s, struct ns_html *h)
{
	const char *path = ns_conf_text(s->job->conf, "drift.current_data");
	struct ns_dataset *data;
	const struct ns_shard_head *head;
	uint8_t *pixels, *buffer = NULL, *png;
	size_t room = 0, bytes = 0;
	enum ns_status status = NS_OK;
	int i, hh, w, c;

	if (!path || !s->top_count)
		return NS_OK;
	NS_TRY(ns_dataset_open(&data, path));
	head = ns_dataset_head(data);
	hh = head->h ? head->h : 64;
	w = head->w ? head->w : 64;
	c = head->h ? head->c : 3;
	pixels = malloc((size_t)hh * (size_t)w * (size_t)c);
	ns_html_element(h, "h2", "Images that drifted most");
	ns_html_element(h, "p class=\"dim\"", "By the witness of the MMD test: far from the reference, near to others of this window.");
	ns_html_raw(h, "<div class=\"grid\">");
	for (i = 0; pixels && i < s->top_count && s->top[i].row < data->rows && status == NS_OK; i++) {
		int k = s->cur.pred ? s->cur.pred[s->top[i].row] : -1;
		const char *name = k >= 0 && k < s->cur.class_names ? s->cur.names[k] : "";

		status = ns_dataset_pixels(data, s->top[i].row, hh, w, c, pixels, &buffer, &room);
		if (status != NS_OK || ns_png_encode(pixels, hh, w, c, &png, &bytes) != NS_OK)
			break;
		ns_html_raw(h, "<figure>");
		ns_html_png(h, png, bytes, w, hh, w < 48 ? 2 : 1, name);
		ns_html_raw(h, "<figcaption>");
		ns_html_text(h, name);
		ns_html_raw(h, "</figcaption></figure>");
		free(png);
	}
	ns_html_raw(h, "</div>\n");
	free(pixels);
	free(buffer);
	ns_dataset_close(data);
	return status;
}

static void kinds(const struct ns_shift *s, struct ns_html *h)
{
	static const char *const names[][2] = {{"input", "Inputs"}, {"output", "Outputs"}, {"embedding", "Embeddings"}};
	size_t i;

	ns_html_raw(h, "<ul>");
	for (i = 0; i < 3; i++) {
		const struct ns_shift_test *t = strongest(s, names[i][0]);

		if (t)
			ns_html_element(h, "li", "%s: strongest in '%s' (%s, effect %.3f, adjusted p %s%.3g): %s", names[i][1], t->column, t->detector,
					t->effect, t->p_adjusted < 1e-300 ? "below " : "", fmax(t->p_adjusted, 1e-300),
					ns_shift_name(t->status));
		else
			ns_html_element(h, "li", "%s: not tested", names[i][1]);
	}
	ns_html_raw(h, "</ul>");
}

enum ns_status ns_shift_page(struct ns_shift *s, const char *path)
{
	const char *label = ns_conf_text(s->job->conf, "drift.label");
	char fragment[NS_PATH_MAX];
	struct ns_html h;
	enum ns_status status;
	size_t begin;

	ns_html_begin(&h, "nightshift: drift");
	ns_html_element(&h, "h1", "Drift%s%s", label ? ": " : "", label ? label : "");
	ns_html_element(&h, "p class=\"dim\"", "%lld current rows against %lld of the reference; %s over all tests at %g; %d permutations; seed %llu",
			(long long)s->cur.rows, (long long)s->ref.rows, ns_conf_text(s->job->conf, "drift.correction"), s->alpha,
			s->permutations, (unsigned long long)s->seed);
	begin = h.len;
	verdict(s, &h);
	ns_html_element(&h, "h2", "What moved");
	kinds(s, &h);
	pictures(s, &h, "input", "Image statistics", 6);
	pictures(s, &h, "output", "Outputs: probability of each class", 6);
	pictures(s, &h, "embedding", "Embeddings: principal components of the reference", 3);
	status = thumbnails(s, &h);
	/* verdict and pictures alone, for the page of the whole night */
	if (status == NS_OK)
		status = ns_path(fragment, "%s/drift.fragment.html", s->job->dir);
	if (status == NS_OK && !h.failed)
		status = ns_write_file(fragment, h.text + begin, h.len - begin);
	ns_html_element(&h, "h2", "Every test");
	table(s, &h);
	if (status == NS_OK)
		status = ns_html_write(&h, path);
	ns_html_release(&h);
	return status;
}
