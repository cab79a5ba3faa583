/* jobs/drift/measure.c - measures a night: the effects of shares, and all of them together. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"

#define STATISTICS NS_JUDGE_COLUMNS /* image statistics that are judged, the first ones */
#define COMPONENTS 8
#define CLASSES	   20
#define GROUPS	   24

/* --- shares --- */

struct share {
	int32_t value;
	int64_t rows;
};

static int by_value(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

static int by_rows(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return x->rows != y->rows ? (y->rows > x->rows) - (y->rows < x->rows) : (x->value > y->value) - (x->value < y->value);
}

/* The values that occur, ascending, and how many rows each has; negative ones are none. */
static enum ns_status values_of(const int32_t *of, int64_t rows, struct share **out, int *count)
{
	int32_t *sorted = malloc(sizeof *sorted * (size_t)(rows + 1));
	struct share *v = malloc(sizeof *v * (size_t)(rows + 1));
	int64_t i;

	*count = 0;
	*out = v;
	if (!sorted || !v) {
		free(sorted);
		return ns_fail(NS_NO_MEMORY, "out of memory for the values of %lld rows", (long long)rows);
	}
	memcpy(sorted, of, sizeof *sorted * (size_t)rows);
	qsort(sorted, (size_t)rows, sizeof *sorted, by_value);
	for (i = 0; i < rows; i++) {
		if (sorted[i] < 0)
			continue;
		if (*count && v[*count - 1].value == sorted[i])
			v[*count - 1].rows++;
		else
			v[(*count)++] = (struct share){sorted[i], 1};
	}
	free(sorted);
	return NS_OK;
}

/* One value's share; of its rows those of the reference's days are counted anew. */
static enum ns_status one_share(struct ns_drift *s, enum ns_effect_kind family, const char *prefix, const char *name, const struct share *v,
				const int32_t *ref, const int32_t *cur)
{
	struct ns_effects *e = &s->effects;
	struct ns_effect *f = ns_effects_add(e, family, prefix, name);
	double *rows = calloc(2 * (size_t)e->days + 2, sizeof *rows), *here = rows + e->days, usual, now = 0;
	int64_t i;
	int d;

	if (!f || !rows) {
		free(rows);
		return ns_fail(NS_NO_MEMORY, "out of memory for effects");
	}
	for (i = 0; e->days && i < s->ref.rows; i++) {
		d = e->ref_day[i];
		if (d >= 0) {
			rows[d]++;
			here[d] += ref[i] == v->value;
		}
	}
	for (i = 0; i < s->cur.rows; i++)
		now += cur[i] == v->value;
	usual = ns_effects_angle((double)v->rows, (double)s->ref.rows);
	f->now = ns_effects_angle(now, (double)s->cur.rows) - usual;
	for (d = 0; d < e->days; d++)
		f->then[d] = ns_effects_angle(here[d], rows[d]) - usual;
	free(rows);
	return NS_OK;
}

/* The share of rows whose value the reference does not have: a new camera, a class that was never predicted. */
static enum ns_status new_share(struct ns_drift *s, enum ns_effect_kind family, const char *prefix, const struct share *v, int there,
				const int32_t *cur)
{
	struct ns_effect *f = ns_effects_add(&s->effects, family, prefix, "(new)");
	int64_t i, rows = 0;
	int d;

	if (!f)
		return ns_fail(NS_NO_MEMORY, "out of memory for effects");
	for (i = 0; i < s->cur.rows; i++)
		rows += cur[i] >= 0 && !bsearch(&cur[i], v, (size_t)there, sizeof *v, by_value);
	f->now = ns_effects_angle((double)rows, (double)s->cur.rows);
	for (d = 0; d < s->effects.days; d++)
		f->then[d] = 0;
	return NS_OK;
}

/* Values that the reference has: all but the last, whose share the others leave; of more than `most` the most frequent, in any order of releases. */
static enum ns_status shares(struct ns_drift *s, enum ns_effect_kind family, const char *prefix, const int32_t *ref, const int32_t *cur,
			     char *const *names, int named, int most)
{
	struct share *v;
	int c, there;
	enum ns_status status = values_of(ref, s->ref.rows, &v, &there);

	if (status == NS_OK)
		status = new_share(s, family, prefix, v, there, cur);
	if (status == NS_OK && there > most + 1)
		qsort(v, (size_t)there, sizeof *v, by_rows);
	for (c = 0; c < there - 1 && c < most && status == NS_OK; c++) {
		char number[16];

		snprintf(number, sizeof number, "%d", (int)v[c].value);
		status = one_share(s, family, prefix, names && v[c].value < named ? names[v[c].value] : number, &v[c], ref, cur);
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
	struct ns_columns a = {.of = &s->ref.stats}, b = {.of = &s->cur.stats}, c = {.of = &ref}, d = {.of = &cur}, e = {.of = &s->ref.monitor},
			  f = {.of = &s->cur.monitor};

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
	if (s->ref.monitor.d && s->cur.monitor.d)
		NS_TRY(ns_effects_scores(s, &e, &f, s->ref.monitor_names, "", NS_EFFECT_OUTPUTS, STATISTICS, 0));
	if (s->ref_confidence && s->cur_confidence)
		NS_TRY(ns_effects_scores(s, &c, &d, names, "", NS_EFFECT_OUTPUTS, 2, 0));
	if (s->ref.pred && s->cur.pred)
		NS_TRY(shares(s, NS_EFFECT_OUTPUTS, "class ", s->ref.pred, s->cur.pred, s->ref.names, s->ref.class_names, CLASSES));
	if (s->ref.group && s->cur.group)
		NS_TRY(shares(s, NS_EFFECT_GROUPS, "group ", s->ref.group, s->cur.group, s->ref.groups.words, s->ref.groups.count, GROUPS));
	return NS_OK;
}
