/* jobs/drift/next.c - what a person is to do: cameras that are dead, an alarm that is still open, and whether labels suffice to judge a new model. */
#include "jobs/drift/drift_inner.h"

#include <string.h>

#define LASTS	 14 /* quiet nights after which an alarm is closed */
#define EXPECTED 20 /* rows of a group that should be there */
#define GAIN	 .1 /* of accuracy, for which the power is said */
#define ALIKE	 .9 /* chance at which labels suffice */

/* A group whose images all say the same, or that should be there and is not. */
static int is_dead(const struct ns_drift *s, const struct ns_slice *l)
{
	double expected = (double)l->ref_rows / (double)s->ref.rows * (double)s->cur.rows;

	if (strncmp(l->name, "group ", 6) || l->ref_rows < NS_SLICE_ROWS)
		return 0;
	return (!l->cur_rows && expected >= EXPECTED) || l->constant;
}

/* Nights since an alarm of this release that nothing has closed; -1: none is open. */
static int nights_open(const struct ns_drift *s)
{
	size_t i;
	int ago = 0;

	if (s->status == NS_DRIFT_MATERIAL || s->status == NS_DRIFT_HARMFUL)
		return 0;
	for (i = s->past ? json_array_size(s->past) : 0; i-- > 0;) {
		const json_t *line = json_array_get(s->past, i);

		if (strcmp(ns_json_text(line, "reference"), s->ref.digest))
			continue;
		ago++;
		if (ago > LASTS)
			return -1;
		if (json_is_true(json_object_get(line, "alarm")))
			return ago;
	}
	return -1;
}

/* Labels a night suffice to judge a model in some nights, or they are asked for. */
static const char *by_labels(const struct ns_drift *s)
{
	if (*s->cur.task) /* of another task than classify nothing here is taught */
		return "look";
	return s->taught >= s->least_labels ? "look" : "label";
}

void ns_drift_next(struct ns_drift *s)
{
	int i;

	s->open = nights_open(s);
	s->power = ns_gate_power(s->audited, GAIN, NS_GATE_EVIDENCE);
	s->wanted = ns_gate_rows_wanted(GAIN, ALIKE, NS_GATE_EVIDENCE);
	for (i = 0; i < s->slice_count; i++)
		s->dead += is_dead(s, &s->slices[i]);
	if (s->dead)
		s->next = "look";
	else if (s->on_trial && s->open >= 0) /* what was to be done was done: labels decide */
		s->next = strcmp(by_labels(s), "label") ? "nothing" : "label";
	else
		s->next = s->open >= 0 && !s->emit ? by_labels(s) : "nothing";
}

const char *ns_drift_dead(const struct ns_drift *s)
{
	int i;

	for (i = 0; i < s->slice_count; i++)
		if (is_dead(s, &s->slices[i]))
			return s->slices[i].name;
	return NULL;
}

json_t *ns_drift_next_json(const struct ns_drift *s)
{
	json_t *dead = json_array();
	int i;

	for (i = 0; i < s->slice_count; i++)
		if (is_dead(s, &s->slices[i]))
			json_array_append_new(dead, json_string(s->slices[i].name));
	return NS_JSON_OBJECT({"do", json_string(s->next)}, {"nights_since_alarm", s->open < 0 ? json_null() : json_integer(s->open)}, {"dead", dead},
			      {"labels", json_integer((json_int_t)s->audited)}, {"gain", json_real(GAIN)}, {"chance", json_real(s->power)},
			      {"labels_for_nine_of_ten", json_integer((json_int_t)s->wanted)});
}
