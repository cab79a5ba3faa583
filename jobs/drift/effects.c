/*
 * jobs/drift/effects.c - what a night says of each column, as one signed number that is 0 with a deviation of 1 / sqrt(rows) where nothing happens. Of
 * a column of values: the mean normal score of its rows, Phi^-1 of their ranks in the reference, and by the logarithm how far the scores spread about it, less the reference's own. Of a share (a
 * class, a group, missing values): the difference of 2 arcsin sqrt(share). Nights are judged by these, not by their rows: docs/judgement.md.
 */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DATED	  3  /* days with enough rows make a reference a dated one */
#define DAY_ROWS  20 /* of a day */
#define DAYS	  180
#define A_DAY	  86400
#define YEAR_1971 (365 * (int64_t)A_DAY)

static const char *const families[NS_EFFECT_FAMILIES] = {"images", "spread", "embeddings", "outputs", "groups", "missing"};

const char *ns_effect_family(int family)
{
	return families[family];
}

void ns_effects_release(struct ns_effects *e)
{
	int i;

	for (i = 0; i < e->count; i++)
		free(e->of[i].then);
	free(e->of);
	free(e->day);
	free(e->ref_day);
	memset(e, 0, sizeof *e);
}

json_t *ns_effects_json(const struct ns_effects *e)
{
	json_t *all = json_object();
	int i;

	for (i = 0; i < e->count; i++) {
		const char *family = ns_effect_family(e->of[i].family);
		json_t *of = json_object_get(all, family);

		if (!of) {
			of = json_object();
			json_object_set_new(all, family, of);
		}
		json_object_set_new(of, e->of[i].name, ns_json_real(e->of[i].now));
	}
	return all;
}

double ns_effects_angle(double part, double of)
{
	return of > 0 ? 2 * asin(sqrt(part / of)) : NAN;
}

struct ns_effect *ns_effects_add(struct ns_effects *e, enum ns_effect_kind family, const char *prefix, const char *name)
{
	struct ns_effect *more = realloc(e->of, sizeof *more * (size_t)(e->count + 1)), *f;
	int i;

	if (!more)
		return NULL;
	e->of = more;
	f = &e->of[e->count];
	*f = (struct ns_effect){.family = family, .now = NAN, .then = malloc(sizeof *f->then * (size_t)(e->days + 1))};
	snprintf(f->name, sizeof f->name, "%s%.48s", prefix, name);
	ns_drift_cut_utf8(f->name);
	for (i = 0; i < e->count; i++)
		if (e->of[i].family == family && !strcmp(e->of[i].name, f->name)) { /* names that are alike as far as they go */
			snprintf(f->name + (strlen(f->name) > 52 ? 52 : strlen(f->name)), 12, "#%d", e->count);
			break;
		}
	for (i = 0; f->then && i < e->days; i++)
		f->then[i] = NAN;
	e->count += f->then != NULL;
	return f->then ? f : NULL;
}

/* --- the days of the reference --- */

static int by_day(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t day_of(int64_t time)
{
	return time / A_DAY; /* none is negative */
}

/* The reference's last days that have enough rows: none where it has no times, or fewer days than say anything of days. */
enum ns_status ns_effects_days(const struct ns_drift *s, struct ns_effects *e)
{
	int64_t m = s->ref.rows, *all, i, k;

	if (!s->ref.time)
		return NS_OK;
	all = malloc(sizeof *all * (size_t)(m + 1));
	e->day = malloc(sizeof *e->day * DAYS);
	e->ref_day = malloc(sizeof *e->ref_day * (size_t)(m + 1));
	if (!all || !e->day || !e->ref_day) {
		free(all);
		return ns_fail(NS_NO_MEMORY, "out of memory for the days of %lld rows", (long long)m);
	}
	for (i = 0; i < m; i++)
		all[i] = day_of(s->ref.time[i] > YEAR_1971 ? s->ref.time[i] : 0); /* what is before is a counter, not a time */
	qsort(all, (size_t)m, sizeof *all, by_day);
	for (i = m; i > 0 && e->days < DAYS; i = k) {
		for (k = i; k > 0 && all[k - 1] == all[i - 1]; k--)
			;
		if (i - k >= DAY_ROWS)
			e->day[e->days++] = all[i - 1];
	}
	free(all);
	for (k = 0; k < e->days / 2; k++) { /* found backwards */
		int64_t t = e->day[k];

		e->day[k] = e->day[e->days - 1 - k];
		e->day[e->days - 1 - k] = t;
	}
	e->days = e->days < DATED ? 0 : e->days;
	for (i = 0; e->days && i < m; i++) {
		int64_t day = day_of(s->ref.time[i] > YEAR_1971 ? s->ref.time[i] : 0),
			*at = bsearch(&day, e->day, (size_t)e->days, sizeof day, by_day);

		e->ref_day[i] = at ? (int32_t)(at - e->day) : -1;
	}
	return NS_OK;
}
