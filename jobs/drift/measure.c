/* jobs/drift/measure.c - measures a night: the effects of shares, and all of them together. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"

#define STATISTICS 32 /* image statistics that are judged, the first ones */
#define COMPONENTS 8
#define CLASSES	   20
#define GROUPS	   24

/* --- shares --- */

struct share {
	int32_t value;
	int64_t rows;
};

static int by_rows(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return x->rows != y->rows ? (y->rows > x->rows) - (y->rows < x->rows) : (x->value > y->value) - (x->value < y->value);
}

static double angle(double part, double of)
{
	return of > 0 ? 2 * asin(sqrt(part / of)) : NAN;
}

/* One value's share. */
static enum ns_status one_share(struct ns_drift *s, enum ns_effect_kind family, const char *prefix, const char *name, int32_t value,
				const int32_t *ref, const int32_t *cur)
{
	struct ns_effects *e = &s->effects;
	struct ns_effect *f = ns_effects_add(e, family, prefix, name);
	double *rows = calloc(2 * (size_t)e->days + 2, sizeof *rows), *here = rows + e->days, usual = 0, now = 0;
	int64_t i;
	int d;

	if (!f || !rows) {
		free(rows);
		return ns_fail(NS_NO_MEMORY, "out of memory for effects");
	}
	for (i = 0; i < s->ref.rows; i++) {
		d = e->days ? e->ref_day[i] : -1;
		usual += ref[i] == value;
		if (d >= 0) {
			rows[d]++;
			here[d] += ref[i] == value;
		}
	}
	for (i = 0; i < s->cur.rows; i++)
		now += cur[i] == value;
	usual = angle(usual, (double)s->ref.rows);
	f->now = angle(now, (double)s->cur.rows) - usual;
	for (d = 0; d < e->days; d++)
		f->then[d] = angle(here[d], rows[d]) - usual;
	free(rows);
	return NS_OK;
}

/* Values that the reference has: all but the last, whose share the others leave; of more than `most` the most frequent, in any order of releases. */
static enum ns_status shares(struct ns_drift *s, enum ns_effect_kind family, const char *prefix, const int32_t *ref, const int32_t *cur,
			     char *const *names, int named, int most)
{
	struct share *v;
	int64_t i;
	int k = 0, c, there;
	enum ns_status status = NS_OK;

	for (i = 0; i < s->ref.rows; i++)
		k = ref[i] >= k ? ref[i] + 1 : k;
	v = calloc((size_t)k + 1, sizeof *v);
	if (!v)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d shares", k);
	for (c = 0; c < k; c++)
		v[c].value = c;
	for (i = 0; i < s->ref.rows; i++)
		if (ref[i] >= 0)
			v[ref[i]].rows++;
	for (c = there = 0; c < k; c++)
		if (v[c].rows)
			v[there++] = v[c];
	if (there > most + 1)
		qsort(v, (size_t)there, sizeof *v, by_rows);
	for (c = 0; c < there - 1 && c < most && status == NS_OK; c++) {
		char number[16];

		snprintf(number, sizeof number, "%d", (int)v[c].value);
		status = one_share(s, family, prefix, names && v[c].value < named ? names[v[c].value] : number, v[c].value, ref, cur);
	}
	free(v);
	return status;
}

/* --- all of them --- */

/* Along directions that are fitted to the reference alone, so that they are the same every night. */
static enum ns_status components(struct ns_drift *s)
{
	const struct ns_matrix *of = &s->ref.embedding;
	int k = of->d < COMPONENTS ? of->d : COMPONENTS;
	double *mean = malloc(sizeof *mean * (size_t)of->d), *directions = malloc(sizeof *directions * (size_t)of->d * (size_t)k);
	int64_t rows;
	float *x = NULL;
	enum ns_status status = mean && directions ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a projection");

	if (status == NS_OK)
		status = ns_drift_choose_rows(of, NS_DECIDING_ROWS, s->seed, &x, &rows, NULL);
	if (status == NS_OK && rows > k) {
		NS_GO(ns_stat_pca_fit(s->job->workers, x, rows, of->d, k, mean, directions));
		NS_GO(ns_effects_scores(s, &(struct ns_columns){.of = of, .mean = mean, .directions = directions, .k = k},
					&(struct ns_columns){.of = &s->cur.embedding, .mean = mean, .directions = directions, .k = k}, NULL,
					"component ", NS_EFFECT_ROWS, k, 0));
	}
out:
	free(mean);
	free(directions);
	free(x);
	return status;
}

/*
 * MMD's statistic in deviations of its permutations: a number like the others, and the nights say how far it wanders. By its root, which is a distance: far from
 * the reference the square wanders the more, the larger it is.
 */
static enum ns_status rows_jointly(struct ns_drift *s)
{
	struct ns_effect *f;
	int i;

	for (i = 0; i < s->count; i++)
		if (s->tests[i].method == &ns_detector_mmd && isfinite(s->tests[i].deviations)) {
			f = ns_effects_add(&s->effects, NS_EFFECT_ROWS, "", "rows jointly");
			if (!f)
				return ns_fail(NS_NO_MEMORY, "out of memory for effects");
			f->now = copysign(sqrt(fabs(s->tests[i].deviations)), s->tests[i].deviations) / sqrt(s->effects.rows);
		}
	return NS_OK;
}

enum ns_status ns_drift_effects(struct ns_drift *s)
{
	static char *const names[] = {"confidence", "entropy"};
	struct ns_matrix ref = {.rows = s->ref.rows, .d = 2, .data = s->ref_confidence},
			 cur = {.rows = s->cur.rows, .d = 2, .data = s->cur_confidence};
	struct ns_columns a = {.of = &s->ref.stats}, b = {.of = &s->cur.stats}, c = {.of = &ref}, d = {.of = &cur};

	if (!s->history)
		return NS_OK;
	s->effects.rows = (double)(s->cur_block ? s->cur_blocks : s->cur.rows);
	NS_TRY(ns_effects_days(s, &s->effects));
	if (s->ref.stats.d && s->cur.stats.d)
		NS_TRY(ns_effects_scores(s, &a, &b, s->ref.stats_names, "", NS_EFFECT_IMAGES, STATISTICS, 1));
	if (s->ref.embedding.d && s->cur.embedding.d) {
		NS_TRY(components(s));
		NS_TRY(rows_jointly(s));
	}
	if (s->ref_confidence && s->cur_confidence)
		NS_TRY(ns_effects_scores(s, &c, &d, names, "", NS_EFFECT_OUTPUTS, 2, 0));
	if (s->ref.pred && s->cur.pred)
		NS_TRY(shares(s, NS_EFFECT_OUTPUTS, "class ", s->ref.pred, s->cur.pred, s->ref.names, s->ref.class_names, CLASSES));
	if (s->ref.group && s->cur.group)
		NS_TRY(shares(s, NS_EFFECT_GROUPS, "group ", s->ref.group, s->cur.group, s->ref.groups.words, s->ref.groups.count, GROUPS));
	return NS_OK;
}
