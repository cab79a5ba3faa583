/* jobs/night/page_before.c - how good production was before the night, by the old test images: in the words of what it does. */
#include <math.h>
#include <string.h>

#include "host/base/base.h"
#include "host/report/report.h"
#include "jobs/night/night_inner.h"

static double share(const json_t *json, const char *key)
{
	return 100 * ns_json_number(json, key, NAN);
}

static void of_task(struct ns_html *h, const json_t *e, const char *task)
{
	if (!(ns_json_number(e, "labelled", 0) > 0))
		ns_html_element(h, "p", "Its task is %s; nobody said what is right of the old test images, or there is no measure of it.", task);
	else if (!strcmp(task, "read"))
		ns_html_element(
			h, "p",
			"%.2f %% of the old test images are read without a mistake (%.2f to %.2f); %.2f %% of characters are wrong (%.2f to %.2f).",
			share(e, "accuracy"), share(e, "low"), share(e, "high"), share(e, "character_error_rate"), share(e, "character_error_low"),
			share(e, "character_error_high"));
	else if (!strcmp(task, "detect"))
		ns_html_element(h, "p", "Average precision on the old test images: %.3f; %.3f at an overlap of a half. %.1f %% of objects are found.",
				ns_json_number(e, "ap", NAN), ns_json_number(e, "ap50", NAN), share(e, "recall"));
	else
		ns_html_element(h, "p", "Its task is %s; how near it comes on the old test images is in prepare/test-evaluation/evaluation.json.",
				task);
}

void ns_night_page_before(struct ns_html *h, const json_t *s, const json_t *e)
{
	ns_html_element(h, "h2", "Production before the night");
	if (!e)
		ns_html_element(h, "p", "Its accuracy on the old test images was not measured.");
	else if (*ns_json_text(e, "task"))
		of_task(h, e, ns_json_text(e, "task"));
	else
		ns_html_element(h, "p", "%.2f %% of the old test images are right (%.2f to %.2f); calibration error %.3f.",
				share(s, "production_accuracy"), share(s, "production_accuracy_low"), share(s, "production_accuracy_high"),
				ns_json_number(e, "calibration_error", NAN));
}
