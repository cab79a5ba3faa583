/*
 * jobs/drift/nights.c - tonight's drift among the nights of the history. All nights are judged again from their effects, in their order, so that
 * nothing but the files is remembered: a night done twice, late, or left out for a month is what its file says.
 */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ASKED	 14 /* nights after an alarm in which estimates of accuracy are asked */
#define THURSDAY 3  /* 1970 began on one; weeks begin on Monday */

/* --- the columns: those of tonight, by families --- */

struct columns {
	struct ns_nights_config config;
	const struct ns_effect *of[NS_JUDGE_FAMILIES * NS_JUDGE_COLUMNS];
	int count, family[NS_JUDGE_FAMILIES]; /* NS_EFFECT_* of each */
};

static void find_columns(const struct ns_drift *s, struct columns *c)
{
	int f, i;

	memset(c, 0, sizeof *c);
	for (f = 0; f < NS_EFFECT_FAMILIES; f++) {
		int n = 0;

		for (i = 0; i < s->effects.count && n < NS_JUDGE_COLUMNS; i++)
			if ((int)s->effects.of[i].family == f) {
				c->of[c->count++] = &s->effects.of[i];
				n++;
			}
		if (n) {
			c->family[c->config.families] = f;
			c->config.columns[c->config.families++] = n;
		}
	}
}

static void values_of(const struct columns *c, const json_t *line, double *x)
{
	const json_t *effects = json_object_get(line, "effects");
	int i;

	for (i = 0; i < c->count; i++)
		x[i] = ns_json_number(json_object_get(effects, ns_effect_family(c->of[i]->family)), c->of[i]->name, NAN);
}

static int weekday(int64_t day)
{
	return (int)(((day + THURSDAY) % 7 + 7) % 7);
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The middle number of rows of all nights. */
static double usual_rows(const struct ns_drift *s)
{
	size_t n = json_array_size(s->past), i, k = 0;
	double *rows = malloc(sizeof *rows * (n + 1)), middle;

	if (!rows)
		return s->effects.rows;
	for (i = 0; i < n; i++) {
		double r = ns_json_number(json_array_get(s->past, i), "rows", 0);

		if (r > 0)
			rows[k++] = r;
	}
	rows[k++] = s->effects.rows;
	qsort(rows, k, sizeof *rows, by_number);
	middle = rows[k / 2];
	free(rows);
	return middle;
}

/* --- the nights, in their order --- */

struct replay {
	struct ns_drift *s;
	struct columns *c;
	struct ns_nights *nights;    /* of the effects */
	struct ns_nights *estimates; /* of confidence and ATC, how far they fell */
	double *x, *q;		     /* (columns); (past, families): distances of this release's nights */
	int64_t last_day;
	int any, judged;     /* judged: nights in q */
	int since_began;     /* nights since the first alarm of the latest ones that followed each other; -1: none */
	const char *data;    /* the images of the reference of the release at hand */
	unsigned char *keep; /* (columns): a night says the same of it whatever the model */
};

static enum ns_status learn_days(struct replay *r)
{
	const struct ns_effects *e = &r->s->effects;
	int d, i;

	for (d = 0; d < e->days; d++) {
		for (i = 0; i < r->c->count; i++)
			r->x[i] = r->c->of[i]->then[d];
		NS_TRY(ns_nights_learn(r->nights, r->x, weekday(e->day[d])));
	}
	return NS_OK;
}

/*
 * A release begins: its reference's days are learnt before its nights. Where another model is held to the images of before, it was made for the nights
 * since the change, and what they say of images is what is usual now; without a change, what the last nights say.
 */
static enum ns_status begin_release(struct replay *r, int first, int ours, const char *data)
{
	int same = *data && !strcmp(data, r->data), since = r->s->since_alarm >= 0 && r->s->since_alarm < ASKED ? r->since_began + 1 : ASKED;

	if (!first) {
		NS_TRY(ns_nights_renew(r->nights, same ? since : 0, r->keep));
		NS_TRY(ns_nights_renew(r->estimates, 0, NULL));
	}
	r->data = data;
	r->s->since_alarm = r->since_began = -1;
	return ours && (first || !same) ? learn_days(r) : NS_OK;
}

static enum ns_status judge_one(struct replay *r, const double *falls, double rows, int64_t day, struct ns_nights_verdict *v,
				struct ns_nights_verdict *e)
{
	int gap = r->any && day - r->last_day > 1;

	NS_TRY(ns_nights_judge(r->nights, r->x, rows, weekday(day), gap, v));
	NS_TRY(ns_nights_judge(r->estimates, falls, rows, weekday(day), gap, e));
	r->last_day = day;
	r->any = 1;
	if (v->alarm && (r->s->since_alarm < 0 || r->s->since_alarm >= ASKED))
		r->since_began = -1; /* another change than the last */
	r->since_began += v->alarm || r->since_began >= 0;
	r->s->since_alarm = v->alarm ? 0 : r->s->since_alarm < 0 ? -1 : r->s->since_alarm + 1;
	return NS_OK;
}

static enum ns_status past_nights(struct replay *r)
{
	const struct ns_drift *s = r->s;
	const char *reference = "";
	const json_t *line;
	size_t i;
	int f;

	json_array_foreach(s->past, i, line) {
		const char *of = ns_json_text(line, "reference");
		const json_t *fall = json_object_get(line, "falls");
		double falls[2] = {ns_json_number(fall, "confidence", NAN), ns_json_number(fall, "atc", NAN)};
		struct ns_nights_verdict v, e;
		int ours = !strcmp(of, s->ref.digest);

		if (!json_object_get(line, "effects")) /* written before nights were judged */
			continue;
		if (strcmp(of, reference))
			NS_TRY(begin_release(r, !*reference, ours, ns_json_text(line, "reference_data")));
		reference = of;
		values_of(r->c, line, r->x);
		NS_TRY(judge_one(r, falls, ns_json_number(line, "rows", 0), ns_drift_history_day(line), &v, &e));
		for (f = 0; ours && f < r->c->config.families; f++)
			r->q[r->judged * NS_JUDGE_FAMILIES + f] = v.q[f];
		r->judged += ours;
	}
	if (strcmp(reference, s->ref.digest))
		NS_TRY(begin_release(r, !*reference, 1, s->ref.dataset));
	return NS_OK;
}

static double least_of(double a, double b)
{
	return isnan(a) || b < a ? b : a;
}

/*
 * Estimated harm is asked in the nights after an alarm alone, so that its level is that of those nights: one-sided, tonight's and the average of .3, of
 * confidence and of ATC.
 */
static double estimate_level(const struct ns_drift *s)
{
	return s->false_alarms * NS_SHARE_ESTIMATED / (ASKED * s->false_alarms * NS_SHARE_DRIFT * 4);
}

static void ask_estimates(struct ns_drift *s, const struct ns_nights_verdict *e)
{
	int f;

	s->estimate_p = NAN;
	if (s->since_alarm < 0 || s->since_alarm >= ASKED)
		return;
	for (f = 0; f < 2; f++)
		if (s->fall_units[f] > 0)
			s->estimate_p = least_of(s->estimate_p, fmin(e->p[f][NS_JUDGE_TONIGHT], e->p[f][NS_JUDGE_WEEK]) / 2);
	s->estimate_level = estimate_level(s);
}

static void rank_tonight(struct replay *r)
{
	struct ns_drift *s = r->s;
	int f, i;

	s->families = r->c->config.families;
	s->ranked = r->judged;
	for (f = 0; f < s->families; f++) {
		s->family[f] = r->c->family[f];
		for (i = 0; i < r->judged; i++)
			s->rank[f] += r->q[i * NS_JUDGE_FAMILIES + f] > s->nights.q[f];
	}
}

enum ns_status ns_drift_judge_nights(struct ns_drift *s)
{
	struct columns *c = malloc(sizeof *c);
	struct replay r = {.s = s, .c = c, .data = "", .since_began = -1};
	struct ns_nights_config falls = {.families = 2, .columns = {1, 1}};
	struct ns_nights_verdict e;
	size_t n = s->past ? json_array_size(s->past) : 0;
	enum ns_status status = NS_OK;
	int i;

	s->since_alarm = s->since_change = -1;
	s->estimate_p = NAN;
	if (!c)
		return ns_fail(NS_NO_MEMORY, "out of memory for the nights");
	find_columns(s, c);
	if (!s->past || !c->count)
		goto out;
	r.x = malloc(sizeof *r.x * (size_t)c->count);
	r.q = malloc(sizeof *r.q * NS_JUDGE_FAMILIES * (n + 1));
	r.keep = malloc((size_t)c->count);
	for (i = 0; r.keep && i < c->count; i++)
		r.keep[i] = c->of[i]->family != NS_EFFECT_ROWS && c->of[i]->family != NS_EFFECT_OUTPUTS;
	NS_GO(r.x && r.q && r.keep ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the nights"));
	c->config.rows = falls.rows = usual_rows(s);
	c->config.budget = s->false_alarms * NS_SHARE_DRIFT;
	c->config.dated = s->effects.days > 0;
	falls.budget = 2 * estimate_level(s) * 365 * 2 * NS_JUDGE_MEMORIES;
	NS_GO(ns_nights_make(&r.nights, &c->config));
	NS_GO(ns_nights_make(&r.estimates, &falls));
	NS_GO(past_nights(&r));
	for (i = 0; i < c->count; i++)
		r.x[i] = c->of[i]->now;
	NS_GO(judge_one(&r, s->fall_units, s->effects.rows, s->day, &s->nights, &e));
	rank_tonight(&r);
	ask_estimates(s, &e);
	s->since_change = r.since_began;
out:
	ns_nights_free(r.nights);
	ns_nights_free(r.estimates);
	free(r.x);
	free(r.q);
	free(r.keep);
	free(c);
	return status;
}
