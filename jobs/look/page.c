/* jobs/look/page.c - look.html: what a person sees of a set that came today, drawn from look.json and from the images. */
#include "jobs/look/look_inner.h"

#include <string.h>

#define BAR_CLASSES 200 /* with a line of their own; of more, the sheet or look.json has the names */
#define BAR	    200

static int64_t whole(const json_t *json, const char *key)
{
	return json_integer_value(json_object_get(json, key));
}

static const char *count(char text[32], const json_t *json, const char *key)
{
	return ns_look_number(text, whole(json, key));
}

static void fact(struct ns_html *h, const char *name, const char *text)
{
	ns_html_raw(h, "<tr><td>%s</td><td style=\"text-align:left\">%s</td></tr>\n", name, text);
}

/* A table of names with their rows, each with a bar. */
static void bars(struct ns_html *h, const json_t *list, const char *what)
{
	const json_t *one;
	int64_t most = 1, all = 0;
	size_t i;
	char n[32];

	json_array_foreach(list, i, one) {
		most = whole(one, "rows") > most ? whole(one, "rows") : most;
		all += whole(one, "rows");
	}
	ns_html_raw(h, "<div class=\"wide\"><table><tr><th>%s</th><th>rows</th><th>share</th><th></th></tr>\n", what);
	json_array_foreach(list, i, one) {
		if (i == BAR_CLASSES)
			break;
		ns_html_raw(h, "<tr><td>%.120s</td><td>%s</td><td>%.1f %%</td><td>", ns_json_text(one, "name"), count(n, one, "rows"),
			    100.0 * (double)whole(one, "rows") / (double)(all ? all : 1));
		ns_html_raw(h,
			    "<svg aria-hidden=\"true\" width=\"%d\" height=\"12\"><rect x=\"0\" y=\"1\" width=\"%.1f\" height=\"10\" "
			    "fill=\"var(--a)\"/></svg></td></tr>\n",
			    BAR, BAR * (double)whole(one, "rows") / (double)most);
	}
	ns_html_raw(h, "</table></div>\n");
	if (i < json_array_size(list))
		ns_html_element(h, "p class=\"dim\"", "and %zu more, in look.json", json_array_size(list) - i);
}

/* Counts over equal bins; `low` and `high` are what stands at its ends. */
static void histogram(struct ns_html *h, const char *title, const json_t *bins, const char *low, const char *high)
{
	double most = 1, step = 280.0 / NS_LOOK_BINS;
	const json_t *one;
	size_t i;

	json_array_foreach(bins, i, one)
		most = json_number_value(one) > most ? json_number_value(one) : most;
	ns_html_raw(h,
		    "<figure><svg role=\"img\" width=\"300\" height=\"130\" viewBox=\"0 0 300 130\" aria-label=\"%s\">"
		    "<text x=\"10\" y=\"11\" font-weight=\"600\">%s</text>",
		    title, title);
	json_array_foreach(bins, i, one) {
		double bar = 85 * json_number_value(one) / most;

		if (json_integer_value(one))
			ns_html_raw(h, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--a)\"/>", 10 + (double)i * step,
				    110 - bar, step * .92, bar);
	}
	ns_html_raw(h,
		    "<line x1=\"10\" x2=\"290\" y1=\"110\" y2=\"110\" stroke=\"var(--dim)\"/>"
		    "<text class=\"dim\" x=\"10\" y=\"124\" text-anchor=\"start\">%s</text>"
		    "<text class=\"dim\" x=\"290\" y=\"124\" text-anchor=\"end\">%s</text></svg></figure>\n",
		    low, high);
}

static void spread(struct ns_html *h, const json_t *files, const char *what)
{
	const json_t *one = json_object_get(files, what);
	char title[96], low[32], high[32], median[32];

	snprintf(title, sizeof title, "%s: median %s", what, count(median, one, "median"));
	histogram(h, title, json_object_get(one, "histogram"), count(low, one, "min"), count(high, one, "max"));
}

static void overview(struct ns_html *h, const json_t *set)
{
	const json_t *stored = json_object_get(set, "stored"), *same = json_object_get(set, "duplicates");
	char text[256], a[32], b[32], c[32];

	ns_html_raw(h, "<div class=\"wide\"><table>");
	snprintf(text, sizeof text, "%s: %s labelled, %s unlabelled", count(a, set, "rows"), count(b, set, "labelled"), count(c, set, "unlabelled"));
	fact(h, "rows", text);
	if (json_object_get(stored, "height"))
		snprintf(text, sizeof text, "raw, %lld x %lld x %lld", (long long)whole(stored, "height"), (long long)whole(stored, "width"),
			 (long long)whole(stored, "channels"));
	else
		snprintf(text, sizeof text, "files as they came (%s)", ns_json_text(stored, "encoding"));
	fact(h, "stored", text);
	snprintf(text, sizeof text, "%s; %s", count(a, set, "shards"), ns_look_bytes(b, (double)whole(set, "bytes")));
	fact(h, "shards", text);
	snprintf(text, sizeof text, "%s row%s whose pixels an earlier row has", count(a, same, "rows"), whole(same, "rows") == 1 ? "" : "s");
	if (json_is_integer(json_object_get(same, "files")))
		snprintf(text + strlen(text), sizeof text - strlen(text), "; %s whose file is the same", count(b, same, "files"));
	fact(h, "duplicates", text);
	snprintf(text, sizeof text, "%s image%s, in %s rows", count(a, same, "conflicts"), whole(same, "conflicts") == 1 ? "" : "s",
		 count(b, same, "conflict_rows"));
	fact(h, "in several classes", text);
	snprintf(text, sizeof text, "%.3f on average, standard deviation %.3f", ns_json_number(json_object_get(set, "brightness"), "mean", 0),
		 ns_json_number(json_object_get(set, "brightness"), "std", 0));
	fact(h, "brightness", text);
	snprintf(text, sizeof text, "%.3f and %.3f on average", ns_json_number(set, "contrast", 0), ns_json_number(set, "saturation", 0));
	fact(h, "contrast, saturation", text);
	ns_html_raw(h, "</table></div>\n<div style=\"margin-top:1rem\">");
	histogram(h, "brightness of the images", json_object_get(json_object_get(set, "brightness"), "histogram"), "0", "1");
	ns_html_raw(h, "</div>\n");
}

static void files_of(struct ns_html *h, const json_t *set)
{
	const json_t *files = json_object_get(set, "files"), *captured = json_object_get(files, "captured");
	char text[256], a[32], b[32], c[32];

	ns_html_element(h, "h3", "Files");
	if (!json_is_object(files)) {
		ns_html_element(h, "p", "The rows were no files of their own, or it is not known what they were.");
		return;
	}
	ns_html_raw(h, "<div class=\"grid\">");
	spread(h, files, "width");
	spread(h, files, "height");
	spread(h, files, "bytes");
	ns_html_raw(h, "</div>\n");
	ns_html_raw(h, "<div class=\"wide\"><table>");
	fact(h, "grey", count(a, files, "grey"));
	fact(h, "turned by EXIF's orientation", count(a, files, "turned"));
	if (json_is_integer(json_object_get(captured, "first")))
		snprintf(text, sizeof text, "%s to %s; %s do not say when", ns_look_time(a, whole(captured, "first")),
			 ns_look_time(b, whole(captured, "last")), count(c, captured, "without"));
	else
		snprintf(text, sizeof text, "no file says when");
	fact(h, "captured", text);
	fact(h, "say where they were taken", count(a, files, "positions"));
	snprintf(text, sizeof text, "%s; %s files name none", count(a, files, "camera_count"), count(b, files, "without_camera"));
	fact(h, "cameras", text);
	ns_html_raw(h, "</table></div>\n<div class=\"grid\" style=\"gap:2rem;margin-top:1rem\">");
	bars(h, json_object_get(files, "formats"), "format");
	if (whole(files, "camera_count"))
		bars(h, json_object_get(files, "cameras"), "camera");
	ns_html_raw(h, "</div>\n");
}

static enum ns_status section(struct ns_html *h, const struct ns_look_job *k, const struct ns_look_set *set)
{
	const json_t *json = set->figures;

	ns_html_element(h, k->folder ? "h2" : "h1", "%s", k->folder ? ns_json_text(json, "folder") : ns_json_text(json, "name"));
	ns_html_element(h, "p class=\"dim\"", "Data set %s", ns_json_text(json, "digest"));
	overview(h, json);
	ns_html_element(h, "h3", "Classes");
	if (json_is_number(json_object_get(json, "imbalance")))
		ns_html_element(h, "p", "%zu classes; the largest has %.4g times the rows of the smallest; without rows: %lld.",
				json_array_size(json_object_get(json, "classes")), ns_json_number(json, "imbalance", 0),
				(long long)whole(json, "empty_classes"));
	if (json_array_size(json_object_get(json, "classes")))
		bars(h, json_object_get(json, "classes"), "class");
	else
		ns_html_element(h, "p", "The set names no classes.");
	NS_TRY(ns_look_page_sheet(h, k, set));
	files_of(h, json);
	if (json_array_size(json_object_get(json, "groups")) > 1)
		bars(h, json_object_get(json, "groups"), "group");
	return ns_look_page_strange(h, k, set);
}

static void refused(struct ns_html *h, const json_t *list, const char *title)
{
	static const char *const head[] = {"reason", "count", "the first"};
	const json_t *one;
	size_t i;
	char n[32];

	if (!json_is_object(list))
		return;
	ns_html_element(h, "h2", "%s", title);
	ns_html_element(h, "p", "%s, as %s says.", count(n, list, "lines"), ns_json_text(list, "file"));
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 3);
	json_array_foreach(json_object_get(list, "reasons"), i, one) {
		ns_html_raw(h, "<tr><td style=\"white-space:normal\">%s%s</td><td>%s</td><td>%s</td></tr>\n", ns_json_text(one, "reason"),
			    json_is_true(json_object_get(one, "differ")) ? ", or alike" : "", count(n, one, "lines"), ns_json_text(one, "first"));
	}
	ns_html_raw(h, "</table></div>\n");
	if (whole(list, "others"))
		ns_html_element(h, "p class=\"dim\"", "%s for other reasons", count(n, list, "others"));
}

static enum ns_status sets_table(struct ns_html *h, const struct ns_look_job *k)
{
	static const char *const head[] = {"set", "rows", "unlabelled", "classes", "duplicates", "in several classes"},
				 *const both[] = {"two sets", "images in both", "rows of the first", "of the second", "under another class"};
	const json_t *one;
	json_t *said = ns_json_string(k->path);
	size_t i;
	char v[5][32];

	ns_html_element(h, "h1", "%s", json_string_value(said));
	json_decref(said);
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", head, 6);
	json_array_foreach(json_object_get(k->all, "sets"), i, one) {
		const json_t *same = json_object_get(one, "duplicates");
		const char *cells[6] = {
			ns_json_text(one, "folder"),	count(v[0], one, "rows"),
			count(v[1], one, "unlabelled"), ns_look_number(v[2], (int64_t)json_array_size(json_object_get(one, "classes"))),
			count(v[3], same, "rows"),	count(v[4], same, "conflicts")};

		ns_html_row(h, "td", cells, 6);
	}
	ns_html_raw(h, "</table></div>\n");
	if (k->count < 2)
		return NS_OK;
	ns_html_element(h, "h2", "What two sets share");
	ns_html_raw(h, "<div class=\"wide\"><table>");
	ns_html_row(h, "th", both, 5);
	json_array_foreach(json_object_get(k->all, "between"), i, one) {
		ns_html_raw(h, "<tr><td>%.100s and %.100s</td>", ns_json_text(one, "a"), ns_json_text(one, "b"));
		ns_html_raw(h, "<td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", count(v[0], one, "images"), count(v[1], one, "rows_a"),
			    count(v[2], one, "rows_b"), count(v[3], one, "conflicts"));
	}
	ns_html_raw(h, "</table></div>\n");
	return ns_look_page_leaks(h, k);
}

enum ns_status ns_look_page(const struct ns_look_job *k, const char *path)
{
	struct ns_html h;
	enum ns_status status = NS_OK;
	int i;

	ns_html_begin(&h, "nightshift: look");
	if (k->folder)
		NS_GO(sets_table(&h, k));
	for (i = 0; i < k->count; i++)
		NS_GO(section(&h, k, &k->sets[i]));
	refused(&h, json_object_get(k->all, "refused"), "Refused");
	refused(&h, json_object_get(k->all, "passed"), "Passed over");
	status = ns_html_write(&h, path);
out:
	ns_html_release(&h);
	return status;
}
