/* jobs/answer/reading.c - how a model's images are prepared and its outputs read, from and to model.json. */
#include "jobs/answer/answer_inner.h"

#include <math.h>
#include <string.h>

#include "host/base/base.h"

#define WHERE "model.json"

/* A number from 0 to `most`. */
static enum ns_status share(const json_t *json, const char *key, const char *where, double most, double *x)
{
	NS_TRY(ns_json_get_real(json, key, where, x));
	return *x >= 0 && *x <= most ? NS_OK : ns_fail(NS_BAD_DATA, "%s: %s = %g, expected 0 to %g", where, key, *x, most);
}

static enum ns_status fit_from_json(struct ns_fit *f, const json_t *json)
{
	const char *rule = ns_json_text(json, "rule"), *filter = ns_json_text(json, "filter");
	int found = ns_fit_find(rule);
	int64_t whole;

	if (found < 0)
		return ns_fail(NS_BAD_DATA, WHERE ": fit.rule is '%s', which this version does not know", rule);
	f->rule = (enum ns_fit_rule)found;
	found = ns_filter_find(filter);
	if (found < 0)
		return ns_fail(NS_BAD_DATA, WHERE ": fit.filter is '%s', which this version does not know", filter);
	f->filter = (enum ns_filter)found;
	NS_TRY(ns_json_get_int(json, "resize", WHERE ": fit", 0, NS_SIDE_MAX, &whole));
	f->resize = (int)whole;
	NS_TRY(ns_json_get_int(json, "multiple", WHERE ": fit", 0, 1024, &whole));
	f->multiple = (int)whole;
	NS_TRY(share(json, "fill", WHERE ": fit", 255, &f->fill));
	return ns_fit_check(f) == NS_OK ? NS_OK : NS_BAD_DATA;
}

static enum ns_status decode_from_json(struct ns_reading *r, const json_t *json, enum ns_task task)
{
	const char *head = ns_json_text(json, "head"), *blank = ns_json_text(json, "blank"), *outputs = ns_json_text(json, "outputs");

	if (task == NS_TASK_DETECT) {
		r->head = ns_head_find(head);
		if (!r->head)
			return ns_fail(NS_BAD_DATA, WHERE ": decode.head is '%s', expected %s", head, ns_head_names());
		NS_TRY(share(json, "iou", WHERE ": decode", 1, &r->iou));
	}
	if (json_object_get(json, "score"))
		NS_TRY(share(json, "score", WHERE ": decode", 1, &r->score));
	if (task == NS_TASK_READ && strcmp(blank, "first") && strcmp(blank, "last"))
		return ns_fail(NS_BAD_DATA, WHERE ": decode.blank is '%s', expected first or last", blank);
	r->blank_last = !strcmp(blank, "last");
	if (json_object_get(json, "outputs") && strcmp(outputs, "logits") && strcmp(outputs, "probabilities"))
		return ns_fail(NS_BAD_DATA, WHERE ": decode.outputs is '%s', expected logits or probabilities", outputs);
	r->values = !strcmp(outputs, "logits") ? NS_VALUES_LOGITS : !strcmp(outputs, "probabilities") ? NS_VALUES_PROBABILITIES : NS_VALUES_UNKNOWN;
	return NS_OK;
}

enum ns_status ns_reading_check(const struct ns_reading *r, enum ns_task task, int classes)
{
	if (task == NS_TASK_CLASSIFY && (r->fit.rule == NS_FIT_WITHIN || r->fit.rule == NS_FIT_HEIGHT))
		return ns_fail(NS_BAD_DATA, "a classifier's images are of one size, and the rule %s makes several", ns_fit_name(r->fit.rule));
	if ((task == NS_TASK_DETECT || task == NS_TASK_READ) && classes < 1)
		return ns_fail(NS_BAD_DATA, "its task is %s, and it has no names of what it should find", ns_task_name(task));
	return NS_OK;
}

enum ns_status ns_reading_of(struct ns_reading *r, const struct ns_model *m)
{
	const json_t *fit = json_object_get(m->facts, "fit"), *decode = json_object_get(m->facts, "decode");

	*r = (struct ns_reading){.fit = {.rule = NS_FIT_COVER, .filter = NS_FILTER_AREA, .h = m->net.arch.h, .w = m->net.arch.w},
				 .score = .5,
				 .iou = .5,
				 .top = 5};
	if (fit)
		NS_TRY(fit_from_json(&r->fit, fit));
	NS_TRY(ns_reading_check(r, m->net.arch.task, m->class_count));
	if (m->net.arch.task != NS_TASK_CLASSIFY)
		NS_TRY(decode_from_json(r, decode, m->net.arch.task));
	return NS_OK;
}

json_t *ns_reading_fit(const struct ns_reading *r)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:f}", "rule", ns_fit_name(r->fit.rule), "filter", ns_filter_name(r->fit.filter), "resize",
			 r->fit.resize, "multiple", r->fit.multiple, "fill", r->fit.fill);
}

json_t *ns_reading_decode(const struct ns_reading *r, enum ns_task task)
{
	json_t *json = json_object();

	if (task == NS_TASK_DETECT) {
		json_object_set_new(json, "head", json_string(ns_head_name(r->head)));
		json_object_set_new(json, "iou", json_real(r->iou));
	}
	if (task == NS_TASK_DETECT || task == NS_TASK_REGIONS || task == NS_TASK_TAGS)
		json_object_set_new(json, "score", json_real(r->score));
	if (r->values != NS_VALUES_UNKNOWN)
		json_object_set_new(json, "outputs", json_string(r->values == NS_VALUES_LOGITS ? "logits" : "probabilities"));
	if (task == NS_TASK_READ)
		json_object_set_new(json, "blank", json_string(r->blank_last ? "last" : "first"));
	return json;
}
