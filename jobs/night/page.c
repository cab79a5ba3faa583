/* jobs/night/page.c - night.html: what a person reads in the morning, drawn from the JSON that the jobs left. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/night/night_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/report/report.h"

static json_t *load(const char *dir, const char *a, const char *b)
{
	char path[NS_PATH_MAX];
	json_t *json;

	if (ns_path(path, "%s/%s%s%s", dir, a, *b ? "/" : "", b) != NS_OK || ns_json_read(path, &json, NULL) != NS_OK)
		return NULL;
	return json;
}

static double percent(const json_t *j, const char *key)
{
	return 100 * ns_json_number(j, key, NAN);
}

static void cell(char *text, size_t size, const char *format, double x)
{
	if (isnan(x))
		snprintf(text, size, "-");
	else
		snprintf(text, size, format, x);
}

/* metrics.jsonl as arrays: 0 loss, 1 accuracy, 2 validation */
static int read_metrics(const char *dir, const char *file, double *y[3], int most)
{
	char path[NS_PATH_MAX], *text, *line;
	size_t bytes;
	int n = 0;

	if (ns_path(path, "%s/%s", dir, file) != NS_OK || ns_read_file(path, &text, &bytes) != NS_OK)
		return 0;
	for (line = strtok(text, "\n"); line && n < most; line = strtok(NULL, "\n")) {
		json_t *j = json_loads(line, 0, NULL);

		y[0][n] = ns_json_number(j, "loss", NAN);
		y[1][n] = ns_json_number(j, "accuracy", NAN);
		y[2][n++] = ns_json_number(j, "val_accuracy", NAN);
		json_decref(j);
	}
	free(text);
	return n;
}

static void curves(struct ns_html *h, const char *dir, const char *file, const char *title)
{
	enum { MOST = 1000 };
	double *store = malloc(sizeof *store * 3 * MOST), *y[3] = {store, store + MOST, store + 2 * MOST};
	static const char *const loss[] = {"loss"}, *const accuracy[] = {"training", "reference"};
	const double *one[] = {y[0]}, *two[] = {y[1], y[2]};
	char text[128];
	int n = store ? read_metrics(dir, file, y, MOST) : 0;

	if (n) {
		ns_html_raw(h, "<div class=\"grid\">");
		snprintf(text, sizeof text, "%s: loss", title);
		ns_svg_lines(h, text, one, loss, 1, n, "epoch");
		snprintf(text, sizeof text, "%s: accuracy", title);
		ns_svg_lines(h, text, two, accuracy, isnan(y[2][0]) ? 1 : 2, n, "epoch");
		ns_html_raw(h, "</div>\n");
	}
	free(store);
}

#define CONFUSION 100 /* classes; a picture of more is large and cannot be read: evaluation.json has them */

static void confusion(struct ns_html *h, const json_t *e, const char *title)
{
	const json_t *rows = json_object_get(e, "confusion"), *names = json_object_get(e, "classes");
	int k = (int)json_array_size(rows), i, j;
	int64_t *count = k > CONFUSION ? NULL : calloc((size_t)k * (size_t)k + 1, sizeof *count);
	const char **name = calloc((size_t)k + 1, sizeof *name);

	for (i = 0; count && name && i < k; i++) {
		name[i] = json_string_value(json_array_get(names, (size_t)i));
		name[i] = name[i] ? name[i] : "";
		for (j = 0; j < k; j++)
			count[i * k + j] = json_integer_value(json_array_get(json_array_get(rows, (size_t)i), (size_t)j));
	}
	if (k && count && name)
		ns_svg_confusion(h, title, count, name, k);
	else if (k || json_object_get(e, "confusions"))
		ns_html_element(h, "p class=\"dim\"", "%s: which of its many classes are taken for which is in evaluation.json.", title);
	free(count);
	free(name);
}

/* the first line of it says what happened and what to do; what did not come about is said before all else */
static void unfinished(struct ns_html *h, const json_t *s)
{
	const json_t *first = json_array_get(json_object_get(s, "unfinished"), 0);

	if (!first)
		return;
	ns_html_raw(h, "The first: ");
	ns_html_text(h, ns_json_text(first, "step"));
	ns_html_raw(h, " (%s): ", ns_json_text(first, "state"));
	ns_html_text(h, ns_json_text(first, "why"));
	ns_html_raw(h, "<br>What was published before stays. The same command finishes the night when the cause is removed.<br>\n");
}

static const char *mood(const json_t *s)
{
	const char *what = ns_json_text(json_object_get(s, "next"), "do");

	return json_array_size(json_object_get(s, "unfinished")) || !strcmp(what, "rollback") ? "bad" : !strcmp(what, "nothing") ? "good" : "warn";
}

static void headline(struct ns_html *h, const json_t *s)
{
	const json_t *nights = json_object_get(s, "nights"), *advice = json_object_get(s, "next");
	int promoted = json_is_true(json_object_get(s, "promoted"));
	json_t *entry;
	size_t i;

	ns_html_raw(h, "<p class=\"verdict %s\"><strong>", mood(s));
	ns_html_text(h, *ns_json_text(advice, "say") ? ns_json_text(advice, "say")
			: promoted		     ? "A better model is in production."
						     : "Production is unchanged.");
	ns_html_raw(h, "</strong><br>");
	unfinished(h, s);
	json_array_foreach(nights, i, entry) {
		const char *name = json_string_value(entry);
		char key[160];

		if (!name)
			continue;

		snprintf(key, sizeof key, "%s_status", name);
		ns_html_raw(h, "Night &ldquo;");
		ns_html_text(h, name);
		ns_html_raw(h, "&rdquo;: drift <strong>%s</strong>. ", *ns_json_text(s, key) ? ns_json_text(s, key) : "not measured");
		snprintf(key, sizeof key, "%s_accuracy_after", name);
		if (!isnan(percent(s, key))) {
			double after = percent(s, key);

			snprintf(key, sizeof key, "%s_accuracy_before", name);
			ns_html_raw(h, "On images so changed the accuracy %s from %.1f&nbsp;%% to <strong>%.1f&nbsp;%%</strong>; ",
				    promoted ? "went" : "of the candidate would go", percent(s, key), after);
			ns_html_raw(h, "on the old ones from %.1f&nbsp;%% to %.1f&nbsp;%%. ", percent(s, "old_accuracy_before"),
				    percent(s, "old_accuracy_after"));
		}
	}
	ns_html_raw(h, "</p>\n");
}

static void accuracy_bars(struct ns_html *h, const json_t *s, const char *night)
{
	char keys[4][160], low[192], high[192];
	const char *names[4] = {"changed images, before", "changed images, after", "old images, before", "old images, after"};
	double v[4], l[4], u[4];
	int i;

	snprintf(keys[0], sizeof keys[0], "%s_accuracy_before", night);
	snprintf(keys[1], sizeof keys[1], "%s_accuracy_after", night);
	snprintf(keys[2], sizeof keys[2], "old_accuracy_before");
	snprintf(keys[3], sizeof keys[3], "old_accuracy_after");
	for (i = 0; i < 4; i++) {
		snprintf(low, sizeof low, "%s_low", keys[i]);
		snprintf(high, sizeof high, "%s_high", keys[i]);
		v[i] = ns_json_number(s, keys[i], NAN);
		l[i] = ns_json_number(s, low, NAN);
		u[i] = ns_json_number(s, high, NAN);
		if (isnan(v[i]))
			return;
	}
	ns_svg_bars(h, "Accuracy, with 95 % intervals", names, v, l, u, 4);
	ns_html_element(h, "p class=\"dim\"",
			"The figures on changed images come from the test images after the same change; no decision read them.");
}

static void gate_table(struct ns_html *h, const json_t *g, const char *state)
{
	static const char *const head[] = {"held", "rows", "better", "worse", "change", "95 %", "p"};
	json_t *rule;
	size_t i;

	ns_html_element(h, "h3", "The gate: %s", *state ? state : json_is_true(json_object_get(g, "passed")) ? "passed" : "refused");
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 7);
	json_array_foreach(json_object_get(g, "rules"), i, rule) {
		const json_t *m = json_object_get(rule, "measured");
		char v[6][64];
		const char *cells[7] = {json_is_true(json_object_get(rule, "held")) ? "yes" : "NO", v[0], v[1], v[2], v[3], v[4], v[5]};

		/* a rule has a line of its own: a table that is wider than the page is cut off in print */
		ns_html_raw(h, "<tr><td colspan=\"7\" class=\"note\">%s</td></tr>\n", ns_json_text(rule, "rule"));
		cell(v[0], sizeof v[0], "%.0f", ns_json_number(m, "rows", NAN));
		cell(v[1], sizeof v[1], "%.0f", ns_json_number(m, "better", NAN));
		cell(v[2], sizeof v[2], "%.0f", ns_json_number(m, "worse", NAN));
		cell(v[3], sizeof v[3], "%+.2f points", percent(m, "change"));
		if (isnan(percent(m, "low")) || isnan(percent(m, "high")))
			snprintf(v[4], sizeof v[4], "-");
		else
			snprintf(v[4], sizeof v[4], "%+.2f to %+.2f", percent(m, "low"), percent(m, "high"));
		cell(v[5], sizeof v[5], "%.3g", ns_json_number(m, "p", NAN));
		ns_html_row(h, "td", cells, 7);
	}
	ns_html_raw(h, "</table></div>\n");
}

/* Which night that was: the last two parts of its folder; the first, whose folder nobody counts again, by its name alone. */
static const char *night_of(const json_t *vote)
{
	const char *folder = ns_json_text(vote, "folder"), *p = folder + strlen(folder);
	int parts = 2;

	if (!*folder)
		return ns_json_text(vote, "night");
	while (p > folder && (p[-1] != '/' || --parts))
		p--;
	return p;
}

/* what later nights' labels have said of a candidate */
static void trial_table(struct ns_html *h, const json_t *trial)
{
	static const char *const head[] = {"night", "rows", "for it", "against it"};
	json_t *one;
	size_t i;

	ns_html_element(h, "h3", "Candidate on trial: %s", ns_json_text(trial, "state"));
	ns_html_element(
		h, "p",
		"Evidence of a gain: %.3g; %.0f lets it through. At most one of twenty candidates that are as good as production ever gets so far, however often one looks.",
		exp(ns_json_number(trial, "log_evidence", 0)), ns_json_number(trial, "needed", 0));
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 4);
	json_array_foreach(json_object_get(trial, "votes"), i, one) {
		char v[3][32];
		const char *cells[4] = {night_of(one), v[0], v[1], v[2]};

		cell(v[0], sizeof v[0], "%.0f", ns_json_number(one, "rows", NAN));
		cell(v[1], sizeof v[1], "%.0f", ns_json_number(one, "better", NAN));
		cell(v[2], sizeof v[2], "%.0f", ns_json_number(one, "worse", NAN));
		ns_html_row(h, "td", cells, 4);
	}
	ns_html_raw(h, "</table></div>\n");
}

static void strongest_tests(struct ns_html *h, const json_t *drift)
{
	static const char *const head[] = {"column", "kind", "detector", "p adjusted", "effect", "status"};
	json_t *tests = json_object_get(drift, "tests"), *t;
	char *shown = calloc(json_array_size(tests) + 1, 1);
	int n;
	size_t i;

	ns_html_raw(h, "<details open><summary>The strongest of %zu tests</summary><div class=\"wide\"><table>", json_array_size(tests));
	ns_html_row(h, "th", head, 6);
	for (n = 0; shown && n < 10; n++) {
		const json_t *best = NULL;
		size_t at = 0;
		char v[2][48];

		json_array_foreach(tests, i, t)
			if (!shown[i] && strcmp(ns_json_text(t, "status"), "untested") && strcmp(ns_json_text(t, "status"), "descriptive") &&
			    !strcmp(ns_json_text(t, "slice"), "all") &&
			    (!best || ns_json_number(t, "effect", 0) > ns_json_number(best, "effect", 0))) {
				best = t;
				at = i;
			}
		if (!best)
			break;
		shown[at] = 1;
		cell(v[0], sizeof v[0], ns_json_number(best, "p_adjusted", 1) < 1e-300 ? "< 1e-300" : "%.3g",
		     ns_json_number(best, "p_adjusted", NAN));
		cell(v[1], sizeof v[1], "%.3f", ns_json_number(best, "effect", NAN));
		{
			const char *cells[6] = {ns_json_text(best, "column"), ns_json_text(best, "kind"), ns_json_text(best, "detector"), v[0], v[1],
						ns_json_text(best, "status")};

			ns_html_row(h, "td", cells, 6);
		}
	}
	ns_html_raw(h, "</table></div><p class=\"dim\">All of them: ");
	free(shown);
}

static void fragment(struct ns_html *h, const char *dir, const char *night)
{
	char path[NS_PATH_MAX], *text;
	size_t bytes;

	if (ns_path(path, "%s/%s/drift/drift.fragment.html", dir, night) == NS_OK && ns_read_file(path, &text, &bytes) == NS_OK) {
		ns_html_markup(h, text);
		free(text);
	}
}

static void one_night(struct ns_html *h, const char *dir, const json_t *s, const char *night)
{
	json_t *drift = load(dir, night, "drift.json"), *gate = load(dir, night, "gate.json"), *final = load(dir, night, "final/evaluation.json"),
	       *candidate = load(dir, night, "candidate/run.json"), *trial = load(dir, night, "trial.json");
	char file[256];

	ns_html_raw(h, "<h2>Night &ldquo;");
	ns_html_text(h, night);
	ns_html_raw(h, "&rdquo;</h2>\n");
	fragment(h, dir, night);
	if (drift) {
		strongest_tests(h, drift);
		ns_html_raw(h, "<a href=\"%s/drift.html\">drift.html</a></p></details>\n", night);
	}
	if (gate) {
		const json_t *counts = json_object_get(candidate, "counts");

		ns_html_element(h, "h2", "Retraining after it");
		ns_html_element(
			h, "p",
			"%.0f rows were selected by the manifest; the model of the first round was sure enough of %.0f unlabelled ones to label them.",
			ns_json_number(counts, "selected", 0), ns_json_number(counts, "labelled_by_model", 0));
		snprintf(file, sizeof file, "%s/candidate/metrics-1.jsonl", night);
		curves(h, dir, file, "Round 1");
		snprintf(file, sizeof file, "%s/candidate/metrics.jsonl", night);
		curves(h, dir, file, "Round 2");
		gate_table(h, gate, ns_json_text(trial, "state"));
		accuracy_bars(h, s, night);
		if (final)
			confusion(h, final, "New model on changed test images");
	}
	if (trial)
		trial_table(h, trial);
	json_decref(drift);
	json_decref(gate);
	json_decref(final);
	json_decref(candidate);
	json_decref(trial);
}

static void lineage_row(struct ns_html *h, const char *what, const char *digest, const char *from)
{
	ns_html_raw(h, "<tr><td>%s</td><td><code>%.16s</code></td><td><code>%.16s</code></td></tr>\n", what, digest, from);
}

/* what came from what, by the first digits of its digest; model.json has all of them */
static void lineage(struct ns_html *h, const char *dir, const json_t *s, const json_t *nights)
{
	static const char *const head[] = {"what", "digest", "from"};
	json_t *m = load(dir, "prepare/model/model.json", ""), *entry;
	size_t i;

	ns_html_element(h, "h2", "Lineage");
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 3);
	if (m)
		lineage_row(h, "first model: weights, from the data set", ns_json_text(m, "weights"), ns_json_text(m, "training_data"));
	json_decref(m);
	if (*ns_json_text(s, "release"))
		lineage_row(h, "production: its release, of the model", ns_json_text(s, "release"), ns_json_text(s, "production"));
	json_array_foreach(nights, i, entry) {
		json_t *c = load(dir, json_string_value(entry), "candidate/model.json");
		const char *parent = json_string_value(json_array_get(json_object_get(c, "parents"), 0));

		if (c) {
			lineage_row(h, "candidate: weights, from the selection", ns_json_text(c, "weights"), ns_json_text(c, "training_data"));
			lineage_row(h, "its manifest, from the parent model", ns_json_text(c, "manifest"), parent ? parent : "");
		}
		json_decref(c);
	}
	ns_html_raw(h, "</table></div>\n");
}

/* a night that is under way, or that broke off before its report: as far as it came */
static enum ns_status young_night(const char *dir)
{
	char path[NS_PATH_MAX];
	struct ns_html h;
	enum ns_status status;
	int is;

	NS_TRY(ns_path(path, "%s/steps/plan.json", dir));
	NS_TRY(ns_exists(path, &is));
	if (!is)
		return ns_fail(NS_IO, "%s: has neither summary.json nor steps/plan.json; is it the folder of a night?", dir);
	ns_html_begin(&h, "nightshift: the night");
	ns_html_element(&h, "h1", "The night");
	ns_html_raw(&h, "<p class=\"verdict warn\"><strong>This night has no report yet.</strong><br>It is under way, or it broke off.</p>\n");
	ns_night_graph(&h, dir);
	status = ns_path(path, "%s/night.html", dir);
	if (status == NS_OK)
		status = ns_html_write(&h, path);
	ns_html_release(&h);
	return status;
}

enum ns_status ns_night_page(const char *dir)
{
	json_t *s = load(dir, "summary.json", ""), *e = load(dir, "prepare/test-evaluation/evaluation.json", ""), *entry;
	const json_t *nights = json_object_get(s, "nights");
	char path[NS_PATH_MAX];
	struct ns_html h;
	enum ns_status status;
	size_t i;

	if (!s)
		return young_night(dir);
	ns_html_begin(&h, "nightshift: the night");
	ns_html_element(&h, "h1", "The night");
	headline(&h, s);
	if (*ns_json_text(s, "date"))
		ns_html_element(&h, "p class=\"dim\"", "%s%s%s; production is model %.12s.", ns_json_text(s, "date"),
				*ns_json_text(s, "site") ? ", " : "", ns_json_text(s, "site"),
				*ns_json_text(s, "production") ? ns_json_text(s, "production") : "none");
	ns_html_element(&h, "p class=\"dim\"", "Took %.0f seconds. Every figure here is also in summary.json and in the JSON of its job.",
			ns_json_number(s, "seconds", 0));
	ns_night_page_before(&h, s, e);
	curves(&h, dir, "prepare/model/metrics.jsonl", "Training");
	if (e && !*ns_json_text(e, "task"))
		confusion(&h, e, "Production on the old test images");
	json_array_foreach(nights, i, entry)
		if (json_is_string(entry))
			one_night(&h, dir, s, json_string_value(entry));
	lineage(&h, dir, s, nights);
	ns_night_graph(&h, dir);
	status = ns_path(path, "%s/night.html", dir);
	if (status == NS_OK)
		status = ns_html_write(&h, path);
	ns_html_release(&h);
	json_decref(s);
	json_decref(e);
	return status;
}
