/* jobs/drift/json.c - drift.json: all that was found, in the order of docs/drift.md. */
#include "jobs/drift/drift_inner.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "host/stat/stat.h"

json_t *ns_drift_window_json(const struct ns_predictions *p)
{
	return json_pack("{s:s, s:I}", "digest", p->digest, "rows", (json_int_t)p->rows);
}

json_t *ns_drift_figures_json(json_t *json, const struct ns_drift_test *t)
{
	static const struct ns_json_field figures[] = {
		NS_JSON_FIELD(struct ns_drift_test, statistic, "statistic"),   NS_JSON_FIELD(struct ns_drift_test, p, "p"),
		NS_JSON_FIELD(struct ns_drift_test, p_adjusted, "p_adjusted"), NS_JSON_FIELD(struct ns_drift_test, effect, "effect"),
		NS_JSON_FIELD(struct ns_drift_test, effect_low, "effect_low"), NS_JSON_FIELD(struct ns_drift_test, effect_high, "effect_high"),
	};

	return ns_json_fields(json, figures, sizeof figures / sizeof *figures, t);
}

static json_t *test_json(const struct ns_drift_test *t)
{
	json_t *j = ns_drift_figures_json(NS_JSON_OBJECT({"kind", json_string(t->kind)}, {"column", json_string(t->column)},
							 {"slice", json_string(*t->slice ? t->slice : "all")},
							 {"detector", json_string(t->method->name)}),
					  t);

	json_object_set_new(j, "status", json_string(ns_drift_status_name(t->status)));
	if (t->note)
		json_object_set_new(j, "note", json_string(t->note));
	return j;
}

static json_t *top_json(const struct ns_drift *s)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < s->top_count; i++) {
		char id[24];
		int k = s->cur.pred ? s->cur.pred[s->top[i].row] : -1;

		snprintf(id, sizeof id, "%016llx", (unsigned long long)s->top[i].id);
		json_array_append_new(list, json_pack("{s:s, s:o, s:s?, s:I}", "id", id, "score", ns_json_real(s->top[i].score), "class",
						      k >= 0 && s->cur.names && k < s->cur.class_names ? s->cur.names[k] : NULL, "row",
						      (json_int_t)s->top[i].row));
	}
	return list;
}

static json_t *performance_json(const struct ns_drift *s)
{
	static const struct ns_json_field fields[] = {
		NS_JSON_FIELD(struct ns_drift, measured, "measured"),
		NS_JSON_FIELD(struct ns_drift, cbpe, "estimated"),
		NS_JSON_FIELD(struct ns_drift, measured_low, "low"),
		NS_JSON_FIELD(struct ns_drift, measured_high, "high"),
		NS_JSON_FIELD(struct ns_drift, audited, "audited"),
		NS_JSON_FIELD(struct ns_drift, suspects, "suspect_labels"),
		NS_JSON_FIELD(struct ns_drift, base, "baseline"),
		NS_JSON_FIELD(struct ns_drift, cbpe_ref, "estimated_baseline"),
		NS_JSON_FIELD(struct ns_drift, atc, "atc"),
		NS_JSON_FIELD(struct ns_drift, atc_ref, "atc_baseline"),
		NS_JSON_FIELD(struct ns_drift, cbpe_error, "estimated_error"),
		NS_JSON_FIELD(struct ns_drift, atc_error, "atc_error"),
		NS_JSON_FIELD(struct ns_drift, reweighted, "reweighted"),
	};
	json_t *json = ns_json_fields(json_object(), fields, sizeof fields / sizeof *fields, s);

	json_object_set_new(json, "method",
			    json_string("estimated: mean calibrated confidence (CBPE), an upper bound under covariate shift; measured: "
					"audited rows, Wilson"));
	return json;
}

static json_t *slices_json(const struct ns_drift *s)
{
	static const struct ns_json_field fields[] = {
		NS_JSON_FLAG(struct ns_slice, guarded, "guarded"),
		NS_JSON_FIELD(struct ns_slice, ref_rows, "reference_rows"),
		NS_JSON_FIELD(struct ns_slice, cur_rows, "current_rows"),
		NS_JSON_FIELD(struct ns_slice, moved, "moved"),
		NS_JSON_FIELD(struct ns_slice, column, "column"),
		NS_JSON_FIELD(struct ns_slice, confidence_ref, "confidence_reference"),
		NS_JSON_FIELD(struct ns_slice, confidence, "confidence"),
		NS_JSON_FIELD(struct ns_slice, base, "baseline"),
		NS_JSON_FIELD(struct ns_slice, measured, "measured"),
		NS_JSON_FIELD(struct ns_slice, low, "low"),
		NS_JSON_FIELD(struct ns_slice, high, "high"),
		NS_JSON_FIELD(struct ns_slice, audited, "audited"),
	};
	json_t *list = json_array();
	int i;

	for (i = 0; i < s->slice_count; i++) {
		const struct ns_slice *l = &s->slices[i];

		json_array_append_new(list, ns_json_fields(NS_JSON_OBJECT({"slice", json_string(l->name)},
									  {"status", json_string(ns_drift_status_name(l->status))}),
							   fields, sizeof fields / sizeof *fields, l));
	}
	return list;
}

static json_t *label_shift_json(const struct ns_drift *s)
{
	json_t *weights = json_array(), *low = json_array(), *high = json_array();
	int i;

	for (i = 0; s->weights && i < s->cur.prob.d; i++) {
		json_array_append_new(weights, ns_json_real(s->weights[i]));
		json_array_append_new(low, ns_json_real(s->weights_low ? s->weights_low[i] : NAN));
		json_array_append_new(high, ns_json_real(s->weights_high ? s->weights_high[i] : NAN));
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "weights", weights, "low", low, "high", high, "condition", ns_json_real(s->condition));
}

/* the alarm budget over many nights: how near tonight is to an alarm (1 is one), its level, and the alarms so far */
static json_t *budget_json(const struct ns_drift *s)
{
	if (!s->past)
		return json_null();
	return NS_JSON_OBJECT({"rule", json_string("tonight among the nights, at four memories: false alarms a year are the sum of the levels")},
			      {"false_alarms", json_real(s->false_alarms)}, {"windows", json_integer((json_int_t)s->window)},
			      {"alarms_before", json_integer((json_int_t)s->rejected_before)}, {"rejected", json_boolean(s->rejected)},
			      {"evidence", ns_json_real(s->evidence)}, {"p_needed", ns_json_real(s->level)});
}

/* Tonight among the nights of the history, family by family. */
static json_t *nights_json(const struct ns_drift *s)
{
	static const char *const memory[NS_JUDGE_MEMORIES] = {"tonight", "average of .3", "average of .1", "step"};
	json_t *families = json_array();
	int f, m;

	if (!s->past) {
		json_decref(families);
		return json_null();
	}
	for (f = 0; f < s->families; f++) {
		json_t *p = json_object();

		for (m = 0; m < NS_JUDGE_MEMORIES; m++)
			json_object_set_new(p, memory[m], ns_json_real(s->nights.p[f][m]));
		json_array_append_new(families, NS_JSON_OBJECT({"family", json_string(ns_effect_family(s->family[f]))}, {"p", p},
							       {"alarm", json_boolean(s->nights.families >> f & 1)},
							       {"nights_further_out", json_integer(s->rank[f])}));
	}
	return NS_JSON_OBJECT({"known", json_integer((json_int_t)s->nights.known)}, {"unseen", ns_json_real(s->nights.unseen)},
			      {"nights_of_this_release", json_integer(s->ranked)}, {"reference_days", json_integer(s->effects.days)},
			      {"nights_since_alarm", s->since_alarm < 0 ? json_null() : json_integer((json_int_t)s->since_alarm)},
			      {"families", families}, {"effects", ns_effects_json(&s->effects)}, {"estimate_p", ns_json_real(s->estimate_p)});
}

/* how often each detector alarms on random splits of the reference, where nothing has shifted */
static json_t *self_json(const struct ns_drift *s)
{
	json_t *all = json_object();
	int k;

	for (k = 0; k < NS_SELF_TEST_KINDS; k++) {
		double low, high;

		if (!s->self_rounds[k])
			continue;
		ns_stat_wilson(s->self_alarms[k], s->self_rounds[k], &low, &high);
		json_object_set_new(all, ns_drift_self_name(k),
				    json_pack("{s:I, s:I, s:f, s:f}", "rounds", (json_int_t)s->self_rounds[k], "alarms",
					      (json_int_t)s->self_alarms[k], "low", low, "high", high));
	}
	return all;
}

static json_t *sequences_json(const struct ns_drift *s)
{
	if (!s->ref_block)
		return json_null();
	return json_pack("{s:I, s:I, s:f, s:f, s:s}", "reference_blocks", (json_int_t)s->ref_blocks, "current_blocks", (json_int_t)s->cur_blocks,
			 "reference_effective", s->ref_effective, "current_effective", s->cur_effective, "rule",
			 "effective: independent rows that would know a column's mean as well (design effect), of the column where they are fewest");
}

static json_t *methods_json(const struct ns_drift *s)
{
	json_t *all = json_object();
	int i;

	for (i = 0; i < s->count; i++) {
		const struct ns_drift_detector *m = s->tests[i].method;

		if (!json_object_get(all, m->name))
			json_object_set_new(all, m->name,
					    json_pack("{s:s, s:b, s:s, s:s, s:s, s:s}", "title", m->title, "decides", m->decides, "statistic",
						      m->statistic, "effect", m->effect, "meaning", m->meaning, "source", m->source));
	}
	return all;
}

#define WINDOWS 60

static void add_window(json_t *list, int64_t window, int64_t day, const json_t *data, int since)
{
	if (*ns_json_text(data, "digest") && !json_is_true(json_object_get(data, "gone")))
		json_array_append_new(list,
				      NS_JSON_OBJECT({"window", json_integer((json_int_t)window)}, {"day", json_integer((json_int_t)day)},
						     {"path", ns_json_string(ns_json_text(data, "path"))},
						     {"digest", json_string(ns_json_text(data, "digest"))}, {"since_change", json_boolean(since)}));
}

/* The newest windows of the history whose images are known, tonight's last: where they are, and which are since the first alarm of a change that is not over. */
static json_t *windows_json(const struct ns_drift *s)
{
	size_t n = s->past ? json_array_size(s->past) : 0, i;
	json_t *list = json_array(), *tonight = ns_drift_history_data(s);

	for (i = n > WINDOWS ? n - WINDOWS : 0; i < n; i++) {
		const json_t *line = json_array_get(s->past, i);

		add_window(list, (int64_t)ns_json_number(line, "window", 0), ns_drift_history_day(line), json_object_get(line, "data"),
			   (int64_t)(n - i) <= s->since_change);
	}
	add_window(list, s->window, s->day, tonight, s->since_change >= 0);
	json_decref(tonight);
	return list;
}

enum ns_status ns_drift_to_json(struct ns_drift *s)
{
	json_t *tests = json_array();
	int i;

	for (i = 0; i < s->count; i++)
		json_array_append_new(tests, test_json(&s->tests[i]));
	s->json = NS_JSON_OBJECT(
		{"schema", json_string("nightshift.drift/1")}, {"status", json_string(ns_drift_status_name(s->status))},
		{"summary", json_string(s->summary)}, {"reference", ns_drift_window_json(&s->ref)}, {"current", ns_drift_window_json(&s->cur)},
		{"alpha", json_real(s->alpha)}, {"correction", json_string(s->correction)}, {"seed", json_integer((json_int_t)s->seed)},
		{"permutations", json_integer(s->permutations)}, {"tests", tests}, {"methods", methods_json(s)}, {"slices", slices_json(s)},
		{"performance", performance_json(s)}, {"label_shift", label_shift_json(s)}, {"alarm_budget", budget_json(s)},
		{"nights", nights_json(s)}, {"windows", windows_json(s)}, {"accuracy", ns_drift_tracks_json(s)}, {"decided_by", json_string(s->said)},
		{"same_night", json_boolean(s->same_night)}, {"next", ns_drift_next_json(s)}, {"self_test", self_json(s)},
		{"sequences", sequences_json(s)}, {"manifest", json_pack("{s:b, s:s}", "emit", s->emit, "because", s->because)}, {"top", top_json(s)},
		{"quality", json_incref(s->quality)});
	return s->json ? NS_OK : ns_fail(NS_INTERNAL, "cannot build drift.json: a value is not representable in JSON, or out of memory");
}
