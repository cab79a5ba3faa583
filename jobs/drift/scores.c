/* jobs/drift/scores.c - effects of columns of values: their mean normal scores in the reference, and how far these spread. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/run/run.h"
#include "host/stat/stat.h"
#include "kernels/formula/sort.h"

#define FEW   8	     /* rows whose spread is not known */
#define LEAST 1e-6   /* variance of scores: of a column that says the same of every row */
#define MOST  100000 /* rows of a window that are scored, evenly spaced: more would not know a night better */

struct scores {
	const struct ns_drift *s;
	const struct ns_effects *e;
	int width;   /* doubles of a column: (mean, spread, missing) of tonight, then of each day */
	double *out; /* (columns, width) */
};

static double score_at(double less, double equal, double n)
{
	return ns_stat_normal_quantile((less + equal / 2 + .5) / (n + 1));
}

/*
 * The pool's own scores: their mean, 0 but where values are equal, and their variance, nearly 1. more: what is added to variances before they are compared, so that
 * the logarithm of their ratio, by root 2, has a deviation of 1/sqrt(rows) whatever the column.
 */
struct own {
	double mean, variance, more;
};

/*
 * A row's share in the variance has a deviation; of normal scores it is root 2 times the variance, and nothing is added. Of a column that is nearly constant the
 * variance hangs on few rows, and that they are missing on a night says little: then it is that of the scores, and at least that of one row that is not as the others.
 */
static struct own own_scores(const float *sorted, int64_t n)
{
	double sum[5] = {0}, last = score_at((double)n, 0, (double)n);
	double deviation;
	struct own o;
	int64_t i, end;
	int k;

	for (i = 0; i < n; i = end) {
		double z, power = 1;

		for (end = i + 1; end < n && sorted[end] == sorted[i]; end++)
			;
		z = score_at((double)i, (double)(end - i), (double)n);
		for (k = 0; k < 5; k++, power *= z)
			sum[k] += power * (double)(end - i) / (double)n;
	}
	o.mean = sum[1];
	o.variance = sum[2] - sum[1] * sum[1];
	deviation = sum[4] - 4 * sum[3] * o.mean + 6 * sum[2] * pow(o.mean, 2) - 3 * pow(o.mean, 4) - pow(o.variance, 2);
	deviation = fmax(sqrt(fmax(deviation, 0)), last * last / sqrt((double)n));
	o.more = fmax(0, deviation / sqrt(2) - o.variance);
	return o;
}

/* Phi^-1 of a value's mid-rank among n sorted ones */
static double score_of(const float *sorted, int64_t n, float x)
{
	int64_t low = 0, high = n, less;

	while (low < high) {
		int64_t at = low + (high - low) / 2;

		if (sorted[at] < x)
			low = at + 1;
		else
			high = at;
	}
	less = low;
	high = n;
	while (low < high) {
		int64_t at = low + (high - low) / 2;

		if (sorted[at] <= x)
			low = at + 1;
		else
			high = at;
	}
	return score_at((double)less, (double)(low - less), (double)n);
}

static int64_t step_of(int64_t rows)
{
	return (rows + MOST - 1) / MOST;
}

/*
 * The figures of a night's rows: those of `day` where `of` says which each row is of, or all. One value a sequence, where rows have sequences:
 * scratch (3, blocks).
 */
static void figures(const float *x, int64_t n, const int32_t *of, int32_t day, const float *sorted, int64_t m, const int32_t *block, int64_t blocks,
		    double *scratch, double out[3])
{
	double mean = 0, square = 0, units = 0, rows = 0, missing = 0;
	int64_t i;

	if (block)
		memset(scratch, 0, sizeof *scratch * 3 * (size_t)blocks);
	for (i = 0; i < n; i += step_of(n)) {
		double z;

		if (of && of[i] != day)
			continue;
		rows++;
		if (!isfinite(x[i])) {
			missing++;
			continue;
		}
		z = score_of(sorted, m, x[i]);
		if (block) {
			scratch[3 * block[i]] += z;
			scratch[3 * block[i] + 1] += z * z;
			scratch[3 * block[i] + 2]++;
			continue;
		}
		mean += z;
		square += z * z;
		units++;
	}
	for (i = 0; block && i < blocks; i++)
		if (scratch[3 * i + 2] > 0) {
			mean += scratch[3 * i] / scratch[3 * i + 2];
			square += scratch[3 * i + 1] / scratch[3 * i + 2];
			units++;
		}
	out[0] = units > 0 ? mean / units : NAN;
	out[1] = units >= FEW ? (square / units - out[0] * out[0]) * units / (units - 1) : NAN;
	out[2] = ns_effects_angle(missing, rows);
}

static enum ns_status one_column(void *context, int column, int worker, float *x)
{
	const struct scores *c = context;
	const struct ns_drift *s = c->s;
	int64_t m = s->ref.rows, n = s->cur.rows, i, k = 0, blocks = s->ref_blocks > s->cur_blocks ? s->ref_blocks : s->cur_blocks;
	float *sorted = malloc(sizeof *sorted * (size_t)(m + 1)); /* the pool */
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)(m + 1));
	double *sums = malloc(sizeof *sums * 3 * (size_t)(blocks + 1)), *out = c->out + (int64_t)column * c->width, seen = 0, whole;
	struct own own;
	int d;

	(void)worker;
	for (i = 0; sorted && i < m; i += step_of(m), seen++)
		if (isfinite(x[i]))
			sorted[k++] = x[i];
	if (sorted && scratch && sums) {
		ns_sort_floats(sorted, k, scratch);
		figures(x + m, n, NULL, 0, sorted, k, s->cur_block, s->cur_blocks, sums, out);
		for (d = 0; d < c->e->days; d++)
			figures(x, m, c->e->ref_day, d, sorted, k, s->ref_block, s->ref_blocks, sums, out + 3 * (d + 1));
		whole = ns_effects_angle(seen - (double)k, seen);
		own = own_scores(sorted, k);
		for (d = 0; d <= c->e->days; d++) {
			out[3 * d] -= own.mean;
			if (!isnan(out[3 * d + 1])) /* fmax() would make a number of it */
				out[3 * d + 1] = log(fmax(out[3 * d + 1] + own.more, LEAST) / fmax(own.variance + own.more, LEAST)) / sqrt(2);
			out[3 * d + 2] -= whole;
		}
	}
	free(sorted);
	free(scratch);
	free(sums);
	return sorted && scratch && sums ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the scores of %lld rows", (long long)(m + n));
}

static enum ns_status take(struct ns_effects *e, enum ns_effect_kind family, const char *prefix, const char *name, const double *out)
{
	struct ns_effect *f = ns_effects_add(e, family, prefix, name);
	int d;

	if (!f)
		return ns_fail(NS_NO_MEMORY, "out of memory for effects");
	f->now = out[0];
	for (d = 0; d < e->days; d++)
		f->then[d] = out[3 * (d + 1)];
	return NS_OK;
}

/* Adds the first `most` columns to a family; spread: and their spread and missing values to theirs. */
enum ns_status ns_effects_scores(struct ns_drift *s, const struct ns_columns *ref, const struct ns_columns *cur, char *const *names,
				 const char *prefix, enum ns_effect_kind family, int most, int spread)
{
	struct ns_effects *e = &s->effects;
	int d = ref->k ? ref->k : ref->of->d, c;
	struct scores k = {s, e, 3 * (e->days + 1), NULL};
	enum ns_status status;

	k.out = calloc((size_t)d * (size_t)k.width + 1, sizeof *k.out);
	status = k.out ? ns_drift_each_column(s, ref, cur, one_column, &k) : ns_fail(NS_NO_MEMORY, "out of memory for the effects of %d columns", d);
	NS_GO(ns_drift_gather(s, status, k.out, (size_t)d * (size_t)k.width));
	for (c = 0; c < d && c < most; c++) {
		const double *out = k.out + (int64_t)c * k.width;
		char number[16];

		snprintf(number, sizeof number, "%d", c);
		NS_GO(take(e, family, prefix, names ? names[c] : number, out));
		if (!spread)
			continue;
		NS_GO(take(e, NS_EFFECT_SPREAD, prefix, names ? names[c] : number, out + 1));
		NS_GO(take(e, NS_EFFECT_MISSING, prefix, names ? names[c] : number, out + 2));
	}
out:
	free(k.out);
	return status;
}
