/*
 * jobs/drift_slices.c - the same questions of parts of the window: each group of images, each predicted class. Their tests are a
 * family of their own, with their own share of alpha.
 */
#include "jobs/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/shift/pvalue.h"
#include "host/shift/twosample.h"
#include "kernels/formula/sort.h"

#define EXACT 1000000 /* cells up to which a slice's p is exact */

/* of[i] == value, counted */
static int64_t count_of(const int32_t *of, int64_t rows, int32_t value)
{
	int64_t i, n = 0;

	for (i = 0; i < rows; i++)
		n += of[i] == value;
	return n;
}

static void performance_of(struct ns_slice *l, const struct ns_predictions *p, const int32_t *of, const float *sure, double *confidence,
			   double *accuracy, int64_t *labelled, double *low, double *high)
{
	int64_t i, n = 0, hits = 0, rows = 0;
	double sum = 0;

	for (i = 0; i < p->rows; i++)
		if (of[i] == l->value) {
			rows++;
			sum += sure ? (double)sure[2 * i] : NAN;
			if (p->label && p->pred && p->label[i] >= 0) {
				n++;
				hits += p->label[i] == p->pred[i];
			}
		}
	*confidence = rows ? sum / (double)rows : NAN;
	*accuracy = n ? (double)hits / (double)n : NAN;
	*labelled = n;
	ns_wilson(hits, n, low, high);
	if (!n)
		*low = *high = NAN;
}

static void add_slice(struct ns_shift *s, const char *kind, const char *name, int32_t *of_ref, int32_t *of_cur, int32_t value)
{
	struct ns_slice *l = &s->slices[s->slice_count], found = {.of_ref = of_ref, .of_cur = of_cur, .value = value};
	double high;

	found.ref_rows = count_of(of_ref, s->ref.rows, value);
	found.cur_rows = count_of(of_cur, s->cur.rows, value);
	if (!found.ref_rows && !found.cur_rows)
		return;
	if (name)
		snprintf(found.name, sizeof found.name, "%s %.*s", kind, (int)(sizeof found.name - strlen(kind) - 2), name);
	else
		snprintf(found.name, sizeof found.name, "%s %d", kind, (int)value);
	ns_shift_cut_utf8(found.name);
	performance_of(&found, &s->ref, of_ref, s->ref_sure, &found.confidence_ref, &found.base, &found.base_rows, &found.base_low, &high);
	performance_of(&found, &s->cur, of_cur, s->cur_sure, &found.confidence, &found.measured, &found.audited, &found.low, &found.high);
	found.moved = NAN;
	found.status = found.ref_rows < NS_SLICE_ROWS || found.cur_rows < NS_SLICE_ROWS ? NS_SHIFT_UNTESTED : NS_SHIFT_NONE;
	*l = found;
	s->slice_count++;
}

static int by_int(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

/* the distinct values of both windows, in order, at most `most`; returns how many there are, -1: no memory */
static int distinct(const struct ns_shift *s, const int32_t *a, const int32_t *b, int32_t *values, int most)
{
	int64_t all = s->ref.rows + s->cur.rows, i;
	int32_t *sorted = malloc(sizeof *sorted * (size_t)(all + 1));
	int n = 0;

	if (!sorted)
		return -1;
	memcpy(sorted, a, sizeof *a * (size_t)s->ref.rows);
	memcpy(sorted + s->ref.rows, b, sizeof *b * (size_t)s->cur.rows);
	qsort(sorted, (size_t)all, sizeof *sorted, by_int);
	for (i = 0; i < all; i++)
		if (sorted[i] >= 0 && (!n || sorted[i] != sorted[i - 1])) {
			if (n < most)
				values[n] = sorted[i];
			n++;
		}
	free(sorted);
	return n;
}

#define SLICES_MAX 256 /* of a kind */

static enum ns_status find_slices(struct ns_shift *s)
{
	int32_t values[SLICES_MAX];
	int i, n;

	s->slices = calloc(2 * SLICES_MAX, sizeof *s->slices);
	if (!s->slices)
		return ns_fail(NS_NO_MEMORY, "no memory for slices");
	if (s->ref.group && s->cur.group) {
		n = distinct(s, s->ref.group, s->cur.group, values, SLICES_MAX);
		if (n < 0)
			return ns_fail(NS_NO_MEMORY, "no memory for slices");
		if (n > SLICES_MAX)
			ns_log_warn(s->job->log, "%d groups: the first %d are looked at one by one", n, SLICES_MAX);
		for (i = 0; n > 1 && i < n && i < SLICES_MAX; i++)
			add_slice(s, "group", NULL, s->ref.group, s->cur.group, values[i]);
	}
	if (s->ref.pred && s->cur.pred) {
		n = distinct(s, s->ref.pred, s->cur.pred, values, SLICES_MAX);
		if (n < 0)
			return ns_fail(NS_NO_MEMORY, "no memory for slices");
		for (i = 0; n > 1 && i < n && i < SLICES_MAX; i++)
			add_slice(s, "class", s->cur.names && values[i] < s->cur.class_names ? s->cur.names[values[i]] : NULL, s->ref.pred, s->cur.pred,
				  values[i]);
	}
	return NS_OK;
}

/* --- tests: Kolmogorov-Smirnov on each image statistic and on the confidence --- */

struct job {
	struct ns_shift *s;
	int columns, stats;
	struct result {
		double d, p;
		int64_t note;
	} *out; /* (slices, columns); of words of 8 bytes, which ranks hand on */
};

static int64_t pick(const float *x, int stride, int column, const int32_t *of, int64_t rows, int32_t value, float *out)
{
	int64_t i, n = 0;

	for (i = 0; i < rows; i++)
		if (of[i] == value)
			out[n++] = x[i * stride + column];
	return n;
}

/* blocks of the slice's rows; NULL where rows are independent */
static const int32_t *pick_blocks(const int32_t *from, const int32_t *of, int64_t rows, int32_t value, int32_t *out)
{
	int64_t i, n = 0;

	for (i = 0; from && i < rows; i++)
		if (of[i] == value)
			out[n++] = from[i];
	return from ? out : NULL;
}

static enum ns_status one_slice(void *context, int task, int worker)
{
	struct job *j = context;
	const struct ns_shift *s = j->s;
	const struct ns_slice *l = &s->slices[task];
	float *x = malloc(sizeof *x * (size_t)(l->ref_rows + l->cur_rows + 1)), *y = x ? x + l->ref_rows : NULL;
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)(l->ref_rows + l->cur_rows + 1));
	int32_t *block = malloc(sizeof *block * (size_t)(l->ref_rows + l->cur_rows + 1));
	const int32_t *ref_block = NULL, *cur_block = NULL;
	int c, ours = task % s->job->comm->size == s->job->comm->rank && l->status != NS_SHIFT_UNTESTED && x && scratch && block;
	double em, en;

	(void)worker;
	if (ours) {
		ref_block = pick_blocks(s->ref_block, l->of_ref, s->ref.rows, l->value, block);
		cur_block = pick_blocks(s->cur_block, l->of_cur, s->cur.rows, l->value, block + l->ref_rows);
	}
	for (c = 0; ours && c < j->columns; c++) {
		struct result *r = &j->out[task * j->columns + c];
		int stat = c < j->stats, stride = stat ? s->ref.stat_count : 2, column = stat ? c : 0;
		int64_t m = pick(stat ? s->ref.stats : s->ref_sure, stride, column, l->of_ref, s->ref.rows, l->value, x);
		int64_t n = pick(stat ? s->cur.stats : s->cur_sure, stride, column, l->of_cur, s->cur.rows, l->value, y);
		struct ns_column_shift shift;

		r->p = r->d = NAN;
		if (!ns_all_finite(x, m) || !ns_all_finite(y, n)) {
			r->note = 1;
			continue;
		}
		em = ns_shift_effective(x, ref_block, m, s->ref_blocks);
		en = ns_shift_effective(y, cur_block, n, s->cur_blocks);
		ns_sort_floats(x, m, scratch);
		ns_sort_floats(y, n, scratch);
		if (x[0] == y[0] && x[m - 1] == y[n - 1] && x[0] == x[m - 1]) {
			r->note = 2;
			continue;
		}
		ns_column_shift(x, m, y, n, &shift);
		r->d = shift.ks;
		r->p = em * en <= EXACT ? ns_ks_p(r->d, (int64_t)em, (int64_t)en) : ns_ks_p_asymptotic(r->d, (int64_t)em, (int64_t)en);
	}
	free(scratch);
	free(block);
	free(x);
	return x && scratch && block ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for a slice");
}

static enum ns_status record(struct ns_shift *s, const struct job *j)
{
	int i, c;

	for (i = 0; i < s->slice_count; i++)
		for (c = 0; s->slices[i].status != NS_SHIFT_UNTESTED && c < j->columns; c++) {
			const struct result *r = &j->out[i * j->columns + c];
			int stat = c < j->stats;
			double m = (double)s->slices[i].ref_rows, n = (double)s->slices[i].cur_rows, half = 1.3581 * sqrt((m + n) / (m * n));
			struct ns_shift_test *t =
				ns_shift_add(s, stat ? "input" : "output", "ks", stat ? s->ref.stats_names[c] : "confidence");

			if (!t)
				return ns_fail(NS_NO_MEMORY, "no memory for tests");
			snprintf(t->slice, sizeof t->slice, "%s", s->slices[i].name);
			t->of = i;
			t->statistic = t->effect = r->d;
			t->p = r->p;
			t->note = r->note == 1 ? "has values that are no finite numbers" : r->note == 2 ? "is constant" : NULL;
			if (!isnan(r->d)) {
				t->effect_low = fmax(0, r->d - half);
				t->effect_high = fmin(1, r->d + half);
			}
		}
	return NS_OK;
}

/* drift.guarded: names of slices, "group 3" or "class bag", whose harm is the whole window's */
static enum ns_status guard(struct ns_shift *s)
{
	const json_t *list = ns_conf_node(s->job->conf, "drift.guarded"), *one;
	size_t at;
	int i;

	if (!json_is_array(list))
		return ns_fail(NS_CONFIG, "drift.guarded: a list of names is wanted, such as [group 3, class bag]");

	json_array_foreach(list, at, one) {
		const char *name = json_string_value(one);
		int found = 0;

		for (i = 0; name && i < s->slice_count; i++)
			if (!strcmp(s->slices[i].name, name))
				found = s->slices[i].guarded = 1;
		if (!name)
			return ns_fail(NS_CONFIG, "drift.guarded: names are wanted, such as \"group 3\" or \"class bag\"");
		if (!found)
			ns_log_warn(s->job->log, "drift.guarded: no row of either window is in '%s'", name);
	}
	return NS_OK;
}

enum ns_status ns_shift_test_slices(struct ns_shift *s)
{
	struct job j = {.s = s, .stats = s->ref.stats && s->cur.stats && s->ref.stats_names ? s->ref.stat_count : 0};
	enum ns_status status;

	if (ns_conf_bool(s->job->conf, "drift.slices"))
		NS_TRY(find_slices(s));
	NS_TRY(guard(s));
	if (!ns_shift_wants(s, "ks"))
		return NS_OK;
	j.columns = j.stats + (s->ref_sure && s->cur_sure);
	if (!j.columns || !s->slice_count)
		return NS_OK;
	j.out = calloc((size_t)s->slice_count * (size_t)j.columns, sizeof *j.out);
	status = j.out ? ns_pool_run(s->job->pool, s->slice_count, one_slice, &j) : ns_fail(NS_NO_MEMORY, "no memory for slices");
	NS_GO(ns_shift_gather(s, status, j.out, sizeof *j.out / 8 * (size_t)s->slice_count * (size_t)j.columns));
	status = record(s, &j);
out:
	free(j.out);
	return status;
}
