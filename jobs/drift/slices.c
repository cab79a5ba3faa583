/*
 * jobs/drift/slices.c - tests slices of the window: each group of images, each predicted class. Their tests are a family of
 * their own, with its own share of alpha.
 */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "kernels/formula/sort.h"

#define EXACT 1000000 /* cells up to which a slice's p is exact */

/* mean of the largest probabilities */
static double mean_confidence(const float *confidence, const int32_t *row, int64_t n)
{
	double sum = 0;
	int64_t i;

	for (i = 0; confidence && i < n; i++)
		sum += (double)confidence[2 * (int64_t)row[i]];
	return confidence && n ? sum / (double)n : NAN;
}

static enum ns_status add_slice(struct ns_drift *s, const char *kind, const char *name, int32_t value, struct ns_slice found)
{
	double high;

	if (name)
		snprintf(found.name, sizeof found.name, "%s %.*s", kind, (int)(sizeof found.name - strlen(kind) - 2), name);
	else
		snprintf(found.name, sizeof found.name, "%s %d", kind, (int)value);
	ns_drift_cut_utf8(found.name);
	found.confidence_ref = mean_confidence(s->ref_confidence, found.ref, found.ref_rows);
	found.confidence = mean_confidence(s->cur_confidence, found.cur, found.cur_rows);
	NS_TRY(ns_drift_accuracy(&s->ref, found.ref, found.ref_rows, s->ref_block, s->ref_blocks, &found.base, &found.base_rows, &found.base_low,
				 &high));
	NS_TRY(ns_drift_accuracy(&s->cur, found.cur, found.cur_rows, s->cur_block, s->cur_blocks, &found.measured, &found.audited, &found.low,
				 &found.high));
	found.moved = NAN;
	found.status = found.ref_rows < NS_SLICE_ROWS || found.cur_rows < NS_SLICE_ROWS ? NS_DRIFT_UNTESTED : NS_DRIFT_NONE;
	s->slices[s->slice_count++] = found;
	return NS_OK;
}

#define SLICES_MAX 256 /* of a kind */

/* Index of a value among n ascending ones, or -1 - the index at which it would be inserted. */
static int index_of(const int32_t *values, int n, int32_t value)
{
	int low = 0, high = n;

	while (low < high) {
		int middle = (low + high) / 2;

		if (values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && values[low] == value ? low : -1 - low;
}

/* The smallest SLICES_MAX distinct values >= 0, ascending; *more: there are others. */
static void distinct(const int32_t *of, int64_t rows, int32_t values[SLICES_MAX], int *n, int *more)
{
	int64_t i;

	for (i = 0; i < rows; i++) {
		int at = of[i] < 0 ? 0 : -1 - index_of(values, *n, of[i]);

		if (of[i] < 0 || at < 0)
			continue;
		*more |= *n == SLICES_MAX;
		if (at == SLICES_MAX)
			continue;
		*n -= *n == SLICES_MAX; /* the largest is dropped */
		memmove(values + at + 1, values + at, sizeof *values * (size_t)(*n - at));
		values[at] = of[i];
		++*n;
	}
}

/* Row indices, grouped by value in the order of `values`; count (n): rows of each. */
static int32_t *sort_rows(const int32_t *of, int64_t rows, const int32_t *values, int n, int64_t *count)
{
	int64_t at[SLICES_MAX], i;
	int32_t *list = malloc(sizeof *list * (size_t)(rows + 1));
	int k;

	memset(count, 0, sizeof *count * (size_t)n);
	for (i = 0; i < rows; i++) {
		k = index_of(values, n, of[i]);
		if (k >= 0)
			count[k]++;
	}
	for (at[0] = 0, k = 1; k < n; k++)
		at[k] = at[k - 1] + count[k - 1];
	for (i = 0; list && i < rows; i++) {
		k = index_of(values, n, of[i]);
		if (k >= 0)
			list[at[k]++] = (int32_t)i;
	}
	return list;
}

static enum ns_status find_kind(struct ns_drift *s, const char *kind, const int32_t *ref, const int32_t *cur, char *const *names, int named,
				int32_t **lists)
{
	int64_t count[2][SLICES_MAX], at[2] = {0, 0};
	int32_t values[SLICES_MAX];
	int n = 0, more = 0, i;

	distinct(ref, s->ref.rows, values, &n, &more);
	distinct(cur, s->cur.rows, values, &n, &more);
	if (more)
		ns_log_warn(s->job->log, "more than %d values of %s: only the first %d are tested as slices", SLICES_MAX, kind, SLICES_MAX);
	if (n < 2)
		return NS_OK;
	lists[0] = sort_rows(ref, s->ref.rows, values, n, count[0]);
	lists[1] = sort_rows(cur, s->cur.rows, values, n, count[1]);
	if (!lists[0] || !lists[1])
		return ns_fail(NS_NO_MEMORY, "out of memory for slices");
	for (i = 0; i < n; i++) {
		NS_TRY(add_slice(
			s, kind, values[i] < named ? names[values[i]] : NULL, values[i],
			(struct ns_slice){.ref = lists[0] + at[0], .cur = lists[1] + at[1], .ref_rows = count[0][i], .cur_rows = count[1][i]}));
		at[0] += count[0][i];
		at[1] += count[1][i];
	}
	return NS_OK;
}

static enum ns_status find_slices(struct ns_drift *s)
{
	s->slices = calloc(2 * SLICES_MAX, sizeof *s->slices);
	if (!s->slices)
		return ns_fail(NS_NO_MEMORY, "out of memory for slices");
	if (s->ref.group && s->cur.group)
		NS_TRY(find_kind(s, "group", s->ref.group, s->cur.group, s->ref.groups.words, s->ref.groups.count, s->slice_rows));
	if (s->ref.pred && s->cur.pred)
		NS_TRY(find_kind(s, "class", s->ref.pred, s->cur.pred, s->cur.names, s->cur.names ? s->cur.class_names : 0, s->slice_rows + 2));
	return NS_OK;
}

/* --- tests: Kolmogorov-Smirnov on each image statistic and on the confidence --- */

struct job {
	struct ns_drift *s;
	int columns, stats, first; /* first: index of the first of the columns at hand */
	struct result {
		double d, p;
		int64_t note, constant; /* constant: now, and not before */
	} * out;			/* (slices, columns); words of 8 bytes, which ranks exchange */
};

/* Copies a slice's values of a column that are numbers, and *n is how many; returns the blocks of their rows, or NULL where rows have none. */
static const int32_t *pick(const float *x, const int32_t *row, int64_t *n, const int32_t *block_of, float *out, int32_t *block)
{
	int64_t i, k = 0;

	for (i = 0; i < *n; i++)
		if (isfinite(x[row[i]])) {
			if (block_of)
				block[k] = block_of[row[i]];
			out[k++] = x[row[i]];
		}
	*n = k;
	return block_of ? block : NULL;
}

/* scratch: twice as many words as the slice has rows */
static void one_slice(const struct ns_drift *s, const struct ns_slice *l, const float *x, float *out, uint32_t *scratch, struct result *r)
{
	int64_t m = l->ref_rows, n = l->cur_rows;
	float *y = out + m;
	const int32_t *before = pick(x, l->ref, &m, s->ref_block, out, (int32_t *)scratch);
	const int32_t *now = pick(x + s->ref.rows, l->cur, &n, s->cur_block, y, (int32_t *)scratch + l->ref_rows);
	struct ns_stat_column shift;
	double em, en;

	r->p = r->d = NAN;
	r->note = 1;
	if (!m || !n)
		return;
	em = ns_drift_effective_rows(out, before, m, s->ref_blocks);
	en = ns_drift_effective_rows(y, now, n, s->cur_blocks);
	ns_sort_floats(out, m, scratch);
	ns_sort_floats(y, n, scratch);
	r->constant = y[0] == y[n - 1] && out[0] < out[m - 1];
	r->note = 2;
	if (out[0] == y[0] && out[m - 1] == y[n - 1] && out[0] == out[m - 1])
		return;
	r->note = 0;
	ns_stat_column(out, m, y, n, &shift);
	r->d = shift.ks;
	r->p = em * en <= EXACT ? ns_stat_ks_p(r->d, (int64_t)em, (int64_t)en) : ns_stat_ks_p_asymptotic(r->d, (int64_t)em, (int64_t)en);
}

static enum ns_status all_slices(void *context, int column, int worker, float *x)
{
	struct job *j = context;
	const struct ns_drift *s = j->s;
	int64_t all = s->ref.rows + s->cur.rows;
	float *y = malloc(sizeof *y * (size_t)all);
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)all);
	enum ns_status status = y && scratch ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for slices of %lld rows", (long long)all);
	int i;

	(void)worker;
	for (i = 0; status == NS_OK && i < s->slice_count; i++)
		if (s->slices[i].status != NS_DRIFT_UNTESTED)
			one_slice(s, &s->slices[i], x, y, scratch, &j->out[i * j->columns + j->first + column]);
	free(y);
	free(scratch);
	return status;
}

/* The confidence: the first of the two columns confidence and entropy. */
static enum ns_status confidence_alone(void *context, int column, int worker, float *x)
{
	return column ? NS_OK : all_slices(context, column, worker, x);
}

static enum ns_status record_slices(struct ns_drift *s, const struct job *j)
{
	int i, c;

	for (i = 0; i < s->slice_count; i++) {
		s->slices[i].constant = j->stats > 0;
		for (c = 0; s->slices[i].status != NS_DRIFT_UNTESTED && c < j->columns; c++) {
			const struct result *r = &j->out[i * j->columns + c];
			int stat = c < j->stats;
			double m = (double)s->slices[i].ref_rows, n = (double)s->slices[i].cur_rows, half = 1.3581 * sqrt((m + n) / (m * n));
			struct ns_drift_test *t =
				ns_drift_add(s, stat ? "input" : "output", &ns_detector_ks, stat ? s->ref.stats_names[c] : "confidence");

			if (!t)
				return ns_fail(NS_NO_MEMORY, "out of memory for tests");
			snprintf(t->slice, sizeof t->slice, "%s", s->slices[i].name);
			t->of = i;
			t->statistic = t->effect = r->d;
			t->p = r->p;
			t->note = r->note == 1 ? "has no finite numbers" : r->note == 2 ? "is constant" : NULL;
			s->slices[i].constant &= !stat || r->constant || r->note == 2;
			if (!isnan(r->d)) {
				t->effect_low = fmax(0, r->d - half);
				t->effect_high = fmin(1, r->d + half);
			}
		}
		s->slices[i].constant &= s->slices[i].status != NS_DRIFT_UNTESTED;
	}
	return NS_OK;
}

/* drift.guarded: names of slices, "group 3" or "class bag"; harm to one of them is harm to the window */
static enum ns_status guard(struct ns_drift *s)
{
	const json_t *list = s->guarded, *one;
	size_t at;
	int i;

	if (!json_is_array(list))
		return ns_fail(NS_CONFIG, "drift.guarded: expected a list of names, such as [group 3, class bag]");

	json_array_foreach(list, at, one) {
		const char *name = json_string_value(one);
		int found = 0;

		for (i = 0; name && i < s->slice_count; i++)
			if (!strcmp(s->slices[i].name, name))
				found = s->slices[i].guarded = 1;
		if (!name)
			return ns_fail(NS_CONFIG, "drift.guarded: expected names, such as \"group 3\" or \"class bag\"");
		if (!found)
			ns_log_warn(s->job->log, "drift.guarded: no row of either window belongs to '%s'", name);
	}
	return NS_OK;
}

static enum ns_status test_columns(struct ns_drift *s, struct job *j)
{
	struct ns_matrix ref = {.rows = s->ref.rows, .d = 2, .data = s->ref_confidence},
			 cur = {.rows = s->cur.rows, .d = 2, .data = s->cur_confidence};

	if (j->stats)
		NS_TRY(ns_drift_each_column(s, &(struct ns_columns){.of = &s->ref.stats}, &(struct ns_columns){.of = &s->cur.stats}, all_slices, j));
	j->first = j->stats;
	return ref.data && cur.data ? ns_drift_each_column(s, &(struct ns_columns){.of = &ref}, &(struct ns_columns){.of = &cur}, confidence_alone, j)
				    : NS_OK;
}

enum ns_status ns_drift_test_slices(struct ns_drift *s)
{
	struct job j = {.s = s, .stats = s->ref.stats.d && s->cur.stats.d && s->ref.stats_names ? s->ref.stats.d : 0};
	enum ns_status status;

	if (s->by_slices)
		NS_TRY(find_slices(s));
	NS_TRY(guard(s));
	if (!ns_drift_is_enabled(s, &ns_detector_ks))
		return NS_OK;
	j.columns = j.stats + (s->ref_confidence && s->cur_confidence);
	if (!j.columns || !s->slice_count)
		return NS_OK;
	j.out = calloc((size_t)s->slice_count * (size_t)j.columns, sizeof *j.out);
	status = j.out ? test_columns(s, &j) : ns_fail(NS_NO_MEMORY, "out of memory for slices");
	NS_GO(ns_drift_gather(s, status, j.out, sizeof *j.out / 8 * (size_t)s->slice_count * (size_t)j.columns));
	status = record_slices(s, &j);
out:
	free(j.out);
	return status;
}
