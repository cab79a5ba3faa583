/* jobs/drift/page.c - drift.html: the verdict in words, then what moved, then how sure, then pictures, then every test. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"
#include "host/report/report.h"
#include "host/stat/stat.h"
#include "datasets/shard/shard.h"

static const char *class_of(enum ns_drift_status status)
{
	return status == NS_DRIFT_NONE ? "good" : status == NS_DRIFT_HARMFUL ? "bad" : "warn";
}

static const struct ns_drift_test *strongest(const struct ns_drift *s, const char *kind)
{
	const struct ns_drift_test *best = NULL;
	int i;

	for (i = 0; i < s->count; i++) {
		const struct ns_drift_test *t = &s->tests[i];

		if (!strcmp(t->kind, kind) && !*t->slice && t->status <= NS_DRIFT_HARMFUL && (!best || t->effect > best->effect))
			best = t;
	}
	return best;
}

/* What a person is to do, in the first line. */
static void what_next(const struct ns_drift *s, struct ns_html *h)
{
	if (s->dead)
		ns_html_raw(h, "Look at %s: it has no images, or all are alike.", ns_drift_dead(s));
	else if (!strcmp(s->next, "label"))
		ns_html_raw(h, "Label some of its images: %lld have labels, and with %lld a gain of ten points is seen in nine of ten cases.",
			    (long long)s->audited, (long long)s->wanted);
	else if (!strcmp(s->next, "look"))
		ns_html_markup(h, "Look at its images, below.");
	else if (s->on_trial && s->open >= 0)
		ns_html_markup(h, "A candidate is on trial against this model: the labels of these nights judge it.");
	else if (s->emit && s->power >= .9)
		ns_html_raw(h, "A new model is trained and judged: with %lld labelled rows a gain of ten points passes in nine of ten cases or more.",
			    (long long)s->audited);
	else if (s->emit)
		ns_html_raw(
			h,
			"A new model is trained and judged: with %lld labelled rows a gain of ten points passes in %.0f of 10 cases; %lld more make it "
			"9 of 10.",
			(long long)s->audited, 10 * s->power, (long long)(s->wanted - s->audited));
	else
		ns_html_markup(h, "Nothing is to be done.");
	if (s->open > 0)
		ns_html_raw(h, " An alarm of %d night%s ago is still open.", s->open, s->open > 1 ? "s" : "");
}

static void verdict(const struct ns_drift *s, struct ns_html *h)
{
	static const char *const words[][2] = {
		{"No drift: the window looks like the reference.", "Nothing out of the ordinary among the nights."},
		{"A statistically sure, but small difference: no action.", "An unusual night, as there are some every year: no action."},
		{"The data has moved, but the model is not seen to suffer.", "The data has moved, but the model is not seen to suffer."},
		{"The data has moved and the model suffers: a retraining is due.", "The model suffers: a retraining is due."},
	};
	const char *said = s->on_trial && s->status == NS_DRIFT_HARMFUL ? "The model suffers." : words[s->status][s->past != NULL];

	ns_html_raw(h, "<p class=\"verdict %s\"><strong>%s ", class_of(s->status), said);
	what_next(s, h);
	ns_html_raw(h, "</strong><br>");
	if (*s->summary) {
		ns_html_text(h, s->summary);
		ns_html_raw(h, " ");
	}
	if (!isnan(s->measured)) {
		ns_html_raw(h, "Accuracy, measured on %lld audited rows: %.1f&nbsp;%% (%.1f to %.1f)", (long long)s->audited, 100 * s->measured,
			    100 * s->measured_low, 100 * s->measured_high);
		if (!isnan(s->base))
			ns_html_raw(h, "; on the reference %.1f&nbsp;%%", 100 * s->base);
		ns_html_markup(h, ". ");
	}
	if (!isnan(s->cbpe))
		ns_html_raw(h, "Without labels: at most about %.1f&nbsp;%% (mean confidence; %.1f&nbsp;%% on the reference). ", 100 * s->cbpe,
			    100 * s->cbpe_ref);
	ns_html_raw(h, "%s: ", s->emit ? "A retraining is asked for" : "No retraining is asked for");
	ns_html_text(h, s->because);
	ns_html_raw(h, ".");
	ns_html_raw(h, "</p>\n");
}

static void picture(struct ns_html *h, const struct ns_drift_test *t)
{
	const struct ns_histogram *p = &t->histogram;
	double a[NS_HISTOGRAM_BINS], b[NS_HISTOGRAM_BINS];
	char title[128], column[41];

	ns_drift_shares(p, a, b);
	snprintf(column, sizeof column, "%s", t->column);
	ns_drift_cut_utf8(column);
	snprintf(title, sizeof title, "%s: D = %.3f, %s", column, t->effect, ns_drift_status_name(t->status));
	ns_svg_histogram(h, title, a, b, NS_HISTOGRAM_BINS, p->low, p->high, "reference", "current");
}

static void pictures(const struct ns_drift *s, struct ns_html *h, const char *kind, const char *title, int most)
{
	char *shown = calloc((size_t)s->count + 1, 1);
	int n, i;

	ns_html_element(h, "h3", "%s", title);
	ns_html_raw(h, "<div class=\"grid\">");
	for (n = 0; shown && n < most; n++) { /* largest effects first */
		int best = -1;

		for (i = 0; i < s->count; i++)
			if (!shown[i] && !strcmp(s->tests[i].kind, kind) && ns_drift_has_histogram(&s->tests[i]) &&
			    s->tests[i].status <= NS_DRIFT_HARMFUL && (best < 0 || s->tests[i].effect > s->tests[best].effect))
				best = i;
		if (best < 0)
			break;
		shown[best] = 1;
		picture(h, &s->tests[best]);
	}
	ns_html_raw(h, "</div>");
	free(shown);
}

#define ROWS   400 /* of a plot: a page stays small whatever the data; drift.json has all */
#define NIGHTS 60  /* of the past, in the picture */

/* Tonight among the nights, family by family; and what it is blind to. */
static void families(const struct ns_drift *s, struct ns_html *h)
{
	static const char *const head[] = {"family", "tonight", "some nights", "a month", "step", "further out"};
	static const int memory[] = {NS_JUDGE_TONIGHT, NS_JUDGE_WEEK, NS_JUDGE_MONTH, NS_JUDGE_STEP};
	int f, m;

	if (!s->families)
		return;
	ns_html_element(
		h, "p",
		"%lld quiet nights are known%s. On its first night a change of all image statistics by less than about %.2f deviations is not seen; "
		"smaller ones are seen as they last. A season is a change until a second year is known.",
		(long long)s->nights.known + s->effects.days,
		s->effects.days ? ", those of the reference's days among them" : ", and the reference has no dates", s->nights.unseen);
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 6);
	for (f = 0; f < s->families; f++) {
		char p[4][24], rank[48];
		const char *cells[6] = {ns_effect_family(s->family[f]), p[0], p[1], p[2], p[3], rank};

		for (m = 0; m < 4; m++)
			if (isnan(s->nights.p[f][memory[m]]))
				snprintf(p[m], sizeof p[m], "-");
			else
				snprintf(p[m], sizeof p[m], "%.2g", s->nights.p[f][memory[m]]);
		snprintf(rank, sizeof rank, "%d of %d nights", s->rank[f], s->ranked);
		ns_html_row(h, "td", cells, 6);
	}
	ns_html_raw(h, "</table></div>");
}

static void nights(const struct ns_drift *s, struct ns_html *h)
{
	static const char *const effects[] = {"largest effect"}, *const sure[] = {"estimated", "measured"};
	double effect[NIGHTS + 1], estimated[NIGHTS + 1], measured[NIGHTS + 1];
	const double *one[] = {effect}, *two[] = {estimated, measured};
	size_t n = s->past ? json_array_size(s->past) : 0, first = n > NIGHTS ? n - NIGHTS : 0, i;

	if (!s->past)
		return;
	ns_html_element(h, "h2", "Past windows");
	ns_html_element(
		h, "p",
		"Window %lld of this history; %lld of those before it were alarms. Tonight is judged among the nights, as one of them: to be one more "
		"alarm, its least p must be below %.2g, so that of drift no more than %g alarms a year are false.",
		(long long)s->window, (long long)s->rejected_before, s->level, s->false_alarms * NS_SHARE_DRIFT);
	families(s, h);
	for (i = first; i < n; i++) {
		const json_t *line = json_array_get(s->past, i);

		effect[i - first] = ns_json_number(line, "effect", NAN);
		estimated[i - first] = ns_json_number(line, "estimated", NAN);
		measured[i - first] = ns_json_number(line, "measured", NAN);
	}
	effect[n - first] = ns_drift_largest_effect(s);
	estimated[n - first] = s->cbpe;
	measured[n - first] = s->measured;
	if (n - first < 1)
		return;
	ns_html_raw(h, "<div class=\"grid\">");
	ns_svg_lines(h, "Largest effect", one, effects, 1, (int)(n - first + 1), "window");
	ns_svg_lines(h, "Accuracy", two, sure, 2, (int)(n - first + 1), "window");
	ns_html_raw(h, "</div>");
}

/* which classes are taken for which, before and now, where rows of both are labelled */
static void confusions(const struct ns_drift *s, struct ns_html *h)
{
	const struct ns_predictions *side[2] = {&s->ref, &s->cur};
	const char *title[2] = {"Reference", "Current"};
	int k = s->cur.class_names, w;
	int64_t *count, i;

	if (k < 2 || k > 30 || !s->cur.names || isnan(s->base) || isnan(s->measured) || s->audited < NS_SLICE_ROWS)
		return;
	count = malloc(sizeof *count * (size_t)k * (size_t)k);
	ns_html_element(h, "h2", "What is taken for what");
	ns_html_element(h, "p class=\"dim\"", "Labelled rows: a row of the picture is a true class, a column a predicted one.");
	ns_html_raw(h, "<div class=\"grid\">");
	for (w = 0; count && w < 2; w++) {
		memset(count, 0, sizeof *count * (size_t)k * (size_t)k);
		for (i = 0; i < side[w]->rows; i++)
			if (side[w]->label[i] >= 0 && side[w]->label[i] < k && side[w]->pred[i] < k)
				count[side[w]->label[i] * k + side[w]->pred[i]]++;
		ns_svg_confusion(h, title[w], count, (const char *const *)s->cur.names, k);
	}
	ns_html_raw(h, "</div>");
	free(count);
}

static void self_test(const struct ns_drift *s, struct ns_html *h)
{
	const char *name[NS_SELF_TEST_KINDS];
	double rate[NS_SELF_TEST_KINDS], low[NS_SELF_TEST_KINDS], high[NS_SELF_TEST_KINDS];
	int k, n = 0;

	for (k = 0; k < NS_SELF_TEST_KINDS; k++)
		if (s->self_rounds[k]) {
			name[n] = ns_drift_self_name(k);
			rate[n] = (double)s->self_alarms[k] / (double)s->self_rounds[k];
			ns_stat_wilson(s->self_alarms[k], s->self_rounds[k], &low[n], &high[n]);
			n++;
		}
	if (!n)
		return;
	ns_html_element(h, "h2", "Self-test");
	ns_html_element(
		h, "p class=\"dim\"",
		"The reference, dealt in two halves %lld times, by stretches of time where rows have times, and tested against itself: the share of alarms, with its 95 %% interval. "
		"Sound detectors stay at %.0f %% or below.",
		(long long)s->self_rounds[NS_SELF_TEST_KINDS - 1], 100 * s->alpha);
	ns_svg_bars(h, "False alarms", name, rate, low, high, n);
}

static void label_mix(const struct ns_drift *s, struct ns_html *h)
{
	static const char *const head[] = {"class", "weight", "95 %"};
	int i;

	if (!s->weights && isnan(s->condition))
		return;
	ns_html_element(h, "h2", "Mix of classes");
	if (!s->weights) {
		ns_html_element(h, "p", "Not estimated: the reference's confusion matrix has condition number %.3g.", s->condition);
		return;
	}
	ns_html_element(h, "p class=\"dim\"",
			"How much more often than before each class occurs, if nothing but the mix has changed (black-box shift estimation, "
			"condition number %.3g); accuracy would then be %.1f %%.",
			s->condition, 100 * s->reweighted);
	for (i = 0; i < s->cur.prob.d && s->weights[i] >= 0;)
		i++;
	if (i < s->cur.prob.d)
		ns_html_element(h, "p", "A weight below 0 cannot be: more than the mix of classes has changed, so none of these should be believed.");
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 3);
	for (i = 0; i < s->cur.prob.d && i < ROWS; i++) {
		char name[64], w[48], wide[48];
		const char *cells[3] = {name, w, wide};

		snprintf(name, sizeof name, "%.60s", s->cur.names && i < s->cur.class_names ? s->cur.names[i] : "");
		ns_drift_cut_utf8(name);
		if (!*name)
			snprintf(name, sizeof name, "%d", i);
		snprintf(w, sizeof w, isnan(s->weights[i]) ? "-" : "%.2f", s->weights[i]);
		if (s->weights_low && !isnan(s->weights_low[i]))
			snprintf(wide, sizeof wide, "%.2f to %.2f", s->weights_low[i], s->weights_high[i]);
		else
			snprintf(wide, sizeof wide, "-");
		ns_html_row(h, "td", cells, 3);
	}
	ns_html_raw(h, "</table></div>");
}

static void warnings(const struct ns_drift *s, struct ns_html *h)
{
	size_t i;
	json_t *one;

	if (json_array_size(s->quality))
		ns_html_element(h, "h2", "What could not be judged");
	ns_html_raw(h, "<ul>");
	json_array_foreach(s->quality, i, one)
		ns_html_element(h, "li", "%s", ns_json_text(one, "detail"));
	ns_html_raw(h, "</ul>");
}

/* thumbnails of the rows that drifted most, where the images are at hand */
static enum ns_status thumbnails(const struct ns_drift *s, struct ns_html *h)
{
	const char *path = s->current_data;
	struct ns_dataset *data;
	const struct ns_shard_head *head;
	uint8_t *pixels, *buffer = NULL, *png;
	size_t room = 0, bytes = 0;
	enum ns_status status = NS_OK;
	int i, hh, w, c;

	if (!path || !s->top_count)
		return NS_OK;
	NS_TRY(ns_dataset_open(NULL, &data, path, 0));
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

static void kinds(const struct ns_drift *s, struct ns_html *h)
{
	static const char *const names[][2] = {{"input", "Inputs"}, {"output", "Outputs"}, {"embedding", "Embeddings"}};
	size_t i;

	ns_html_raw(h, "<ul>");
	for (i = 0; i < 3; i++) {
		const struct ns_drift_test *t = strongest(s, names[i][0]);

		if (t)
			ns_html_element(h, "li", "%s: strongest in '%s' (%s, effect %.3f, adjusted p %s%.3g): %s", names[i][1], t->column,
					t->method->name, t->effect, t->p_adjusted < 1e-300 ? "below " : "", fmax(t->p_adjusted, 1e-300),
					ns_drift_status_name(t->status));
		else
			ns_html_element(h, "li", "%s: not tested", names[i][1]);
	}
	ns_html_raw(h, "</ul>");
}

enum ns_status ns_drift_page(struct ns_drift *s, const char *path)
{
	const char *label = s->label;
	char fragment[NS_PATH_MAX];
	struct ns_html h;
	enum ns_status status;
	size_t begin;

	ns_html_begin(&h, "nightshift: drift");
	ns_html_element(&h, "h1", "Drift%s%s", label ? ": " : "", label ? label : "");
	ns_html_element(&h, "p class=\"dim\"", "%lld current rows against %lld of the reference; %s over all tests at %g; %d permutations; seed %llu",
			(long long)s->cur.rows, (long long)s->ref.rows, s->correction, s->alpha, s->permutations, (unsigned long long)s->seed);
	if (s->ref_block)
		ns_html_element(&h, "p class=\"dim\"",
				"Rows of a sequence belong together: %lld sequences before, %lld now, which count as no more than %.0f and %.0f "
				"independent rows.",
				(long long)s->ref_blocks, (long long)s->cur_blocks, s->ref_effective, s->cur_effective);
	begin = h.len;
	verdict(s, &h);
	ns_html_element(&h, "h2", "What moved");
	kinds(s, &h);
	pictures(s, &h, "input", "Image statistics", 6);
	pictures(s, &h, "output", "Outputs: how sure the model is", 6);
	pictures(s, &h, "embedding", "Embeddings: principal components of both windows", 3);
	status = thumbnails(s, &h);
	/* verdict and pictures alone, for the page of the whole night */
	if (status == NS_OK)
		status = ns_path(fragment, "%s/drift.fragment.html", s->job->dir);
	if (status == NS_OK && !h.failed)
		status = ns_write_file(fragment, h.text + begin, h.len - begin);
	ns_drift_page_slices(s, &h);
	confusions(s, &h);
	nights(s, &h);
	self_test(s, &h);
	label_mix(s, &h);
	warnings(s, &h);
	ns_html_element(&h, "h2", "Every test");
	ns_drift_page_table(s, &h, 1);
	ns_html_raw(&h, "<details><summary>What supports or describes them, and decides nothing</summary>");
	ns_drift_page_table(s, &h, 0);
	ns_html_raw(&h, "</details>");
	ns_html_element(&h, "h3", "What the words mean");
	ns_drift_page_detectors(s, &h);
	if (status == NS_OK)
		status = ns_html_write(&h, path);
	ns_html_release(&h);
	return status;
}
