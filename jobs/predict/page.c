/* jobs/predict/page.c - predict.html: pictures with what was found in them, and the words beside. */
#include "jobs/predict/predict_inner.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"
#include "host/report/report.h"

#define PICTURES 100 /* on the page; all are in predict.json */
#define LINES	 12  /* of one picture */

/* One row of a result: its texts and numbers, without lists. */
static void line(struct ns_html *h, const json_t *one)
{
	const char *name;
	const json_t *value;
	int n = 0;

	ns_html_raw(h, "<li>");
	NS_JSON_EACH(one, name, value) {
		if (json_is_string(value))
			ns_html_raw(h, "%s%s", n++ ? ", " : "", json_string_value(value));
		else if (json_is_number(value))
			ns_html_raw(h, "%s%s %.3g", n++ ? ", " : "", name, json_number_value(value));
	}
	ns_html_raw(h, "</li>\n");
}

/* Pictures are files beside the page: of a hundred photos it would be gigabytes. */
static void figure(struct ns_html *h, const json_t *result, enum ns_task task)
{
	const char *name = ns_task_list(task);
	const json_t *list = name ? json_object_get(result, name) : NULL, *one;
	size_t i;

	ns_html_element(h, "h2", "%s", ns_json_text(result, "file"));
	if (json_object_get(result, "error")) {
		ns_html_element(h, "p", "%s", ns_json_text(result, "error"));
		return;
	}
	if (json_object_get(result, "picture"))
		ns_html_raw(h, "<img loading=\"lazy\" style=\"max-width:100%%\" alt=\"%s\" src=\"%s\">\n", ns_json_text(result, "file"),
			    ns_json_text(result, "picture"));
	if (!name && json_object_get(result, "text"))
		ns_html_element(h, "p", "%s (confidence %.3g)", ns_json_text(result, "text"),
				json_number_value(json_object_get(result, "confidence")));
	if (name && !json_array_size(list))
		ns_html_element(h, "p", "Nothing was found.");
	ns_html_raw(h, "<ul>\n");
	json_array_foreach(list, i, one)
		if (i < LINES)
			line(h, one);
	ns_html_raw(h, "</ul>\n");
	if (json_array_size(list) > LINES)
		ns_html_element(h, "p class=\"dim\"", "and %zu more, in predict.json", json_array_size(list) - LINES);
}

enum ns_status ns_predict_page(const char *folder, const json_t *results, const char *model, enum ns_task task)
{
	struct ns_html h = {0};
	char path[NS_PATH_MAX];
	enum ns_status status;
	const json_t *one;
	size_t i;

	ns_html_begin(&h, "Predictions");
	ns_html_element(&h, "p", "%s, task %s, over %zu files.", model, ns_task_name(task), json_array_size(results));
	if (json_array_size(results) > PICTURES)
		ns_html_element(&h, "p", "The first %d are shown here; predict.json has all.", PICTURES);
	json_array_foreach(results, i, one)
		if (i < PICTURES)
			figure(&h, one, task);
	NS_GO(ns_path(path, "%s/predict.html", folder));
	status = ns_html_write(&h, path);
out:
	ns_html_release(&h);
	return status;
}
