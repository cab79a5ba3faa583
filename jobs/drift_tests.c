/* jobs/drift_tests.c - the detectors of single columns and of counts; rows as a whole are in drift_rows.c, slices in drift_slices.c. */
#include "jobs/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/shift/pvalue.h"
#include "host/shift/twosample.h"
#include "host/staged.h"
#include "kernels/formula/sort.h"

/* a text that was cut by its bytes loses the beginning of a character at its end */
void ns_shift_cut_utf8(char *text)
{
	size_t n = strlen(text), back = 0;

	while (back < n && back < 4 && ((unsigned char)text[n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < n) {
		unsigned char lead = (unsigned char)text[n - 1 - back];
		size_t wants = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;

		if (wants > back)
			text[n - 1 - back] = 0;
	}
}

int ns_all_finite(const float *x, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return 0;
	return 1;
}

struct ns_shift_test *ns_shift_add(struct ns_shift *s, const char *kind, const char *method, const char *column)
{
	struct ns_shift_test *t;

	if (s->count == s->room) {
		int room = s->room ? 2 * s->room : 64;
		struct ns_shift_test *more = realloc(s->tests, sizeof *more * (size_t)room);

		if (!more)
			return NULL;
		s->tests = more;
		s->room = room;
	}
	t = &s->tests[s->count++];
	memset(t, 0, sizeof *t);
	t->kind = kind;
	t->of = -1;
	t->method = ns_shift_method(method);
	t->status = t->method->decides ? NS_SHIFT_UNTESTED : NS_SHIFT_DESCRIPTIVE; /* until it is decided */
	t->statistic = t->p = t->p_adjusted = t->effect = t->effect_low = t->effect_high = NAN;
	snprintf(t->column, sizeof t->column, "%.63s", column);
	ns_shift_cut_utf8(t->column);
	return t;
}

/* --- columns, over workers --- */

#define TILE 8 /* columns of a task, where there are enough */

struct columns {
	struct ns_shift *s;
	const float *ref, *cur;
	int d, tile;
	int first; /* number of the first column among all of this window, for its draws */
	struct column { /* words of 8 bytes: ranks hand them on as such */
		struct ns_column_shift shift;
		double m, n; /* rows that count */
		double ks_p, cvm_p, spread, low, high; /* of the reference: standard deviation; interval of Wasserstein's distance */
		int64_t note, broken; /* note: of untestable[] */
	} *out;
};

enum { TESTABLE, REF_NO_NUMBER, CUR_NO_NUMBER, CONSTANT };
static const char *const untestable[] = {NULL, "has values that are no finite numbers in the reference",
					 "has values that are no finite numbers in the current window", "is constant"};

/* a constant column, or one of NaN, says nothing: it is listed as untested */
static int64_t look_at(const float *x, int64_t m, int64_t n, int64_t *broken)
{
	int ref = ns_all_finite(x, m), cur = ns_all_finite(x + m, n);
	int64_t i;

	*broken = ref && !cur;
	if (!ref)
		return REF_NO_NUMBER;
	if (!cur)
		return CUR_NO_NUMBER;
	for (i = 1; i < m + n; i++)
		if (x[i] != x[0])
			return TESTABLE;
	return CONSTANT;
}

static double deviation(const float *x, int64_t n)
{
	double mean = 0, square = 0;
	int64_t i;

	for (i = 0; i < n; i++)
		mean += (double)x[i] / (double)n;
	for (i = 0; i < n; i++)
		square += ((double)x[i] - mean) * ((double)x[i] - mean);
	return n > 1 ? sqrt(square / (double)(n - 1)) : 0;
}

double ns_shift_cvm_p(double t, int64_t m, int64_t n, double counts_m, double counts_n)
{
	/* T grows with mn / (m + n) where windows differ; what of it is chance has its mean of about 1/6 whatever their size */
	return ns_cvm_p(t * (counts_m * counts_n / (counts_m + counts_n)) / ((double)m * (double)n / (double)(m + n)), counts_m, counts_n);
}

/* a column in x: m values of the reference, then n of the window; both are sorted */
static enum ns_status one_column(const struct columns *k, int c, int worker, float *x, uint32_t *scratch)
{
	struct ns_device *dev = k->s->job->set->devices[worker];
	struct column *out = &k->out[c];
	int64_t m = k->s->ref.rows, n = k->s->cur.rows;
	struct ns_op op = {.kind = NS_OP_KS, .u.ks = {m, n, 1}};
	double d;
	struct ns_staged io = {{x, x + m}, {sizeof *x * (size_t)m, sizeof *x * (size_t)n}, {&d}, {sizeof d}};

	out->note = look_at(x, m, n, &out->broken);
	if (out->note)
		return NS_OK;
	/* where the host computes it sorts anyway, for the others; a GPU sorts faster than that */
	if (!dev->backend->host_memory)
		NS_TRY(ns_staged_run(dev, k->s->job->set->queues[worker], &op, &io));
	out->spread = ns_shift_wants(k->s, "wasserstein") ? deviation(x, m) : 0; /* in the order of rows, as sums round */
	out->m = ns_shift_effective(x, k->s->ref_block, m, k->s->ref_blocks);
	out->n = ns_shift_effective(x + m, k->s->cur_block, n, k->s->cur_blocks);
	ns_sort_floats(x, m, scratch);
	ns_sort_floats(x + m, n, scratch);
	ns_column_shift(x, m, x + m, n, &out->shift);
	if (!dev->backend->host_memory)
		out->shift.ks = d;
	out->ks_p = ns_ks_p(out->shift.ks, (int64_t)out->m, (int64_t)out->n);
	if (ns_shift_wants(k->s, "cvm"))
		out->cvm_p = ns_shift_cvm_p(out->shift.cvm, m, n, out->m, out->n);
	if (!ns_shift_wants(k->s, "wasserstein"))
		return NS_OK;
	return ns_wasserstein_interval(x, m, x + m, n, out->shift.wasserstein, k->s->seed, (uint32_t)(k->first + c), &out->low, &out->high);
}

/* neighbours lie in the same lines of the cache: they are taken out of the rows together */
static enum ns_status one_tile(void *context, int task, int worker)
{
	struct columns *k = context;
	const struct ns_comm *comm = k->s->job->comm;
	int64_t m = k->s->ref.rows, n = k->s->cur.rows, all = m + n, i;
	int first = (task * comm->size + comm->rank) * k->tile, count = k->d - first < k->tile ? k->d - first : k->tile, c;
	float *x = malloc(sizeof *x * (size_t)all * (size_t)(count > 0 ? count : 1));
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)(m > n ? m : n));
	enum ns_status status = x && scratch ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for %d columns of %lld rows", count, (long long)all);

	for (i = 0; status == NS_OK && count > 0 && i < all; i++) {
		const float *row = i < m ? k->ref + i * k->d : k->cur + (i - m) * k->d;

		for (c = 0; c < count; c++)
			x[c * all + i] = row[first + c];
	}
	for (c = 0; status == NS_OK && c < count; c++)
		status = one_column(k, first + c, worker, x + c * all, scratch);
	free(x);
	free(scratch);
	return status;
}

enum ns_status ns_shift_gather(struct ns_shift *s, enum ns_status status, void *words, size_t n)
{
	NS_TRY(ns_job_agree(s->job, status));
	return ns_comm_sum_i64(s->job->comm, words, n); /* all but one are 0: the bits stay what they are */
}

static enum ns_status three_tests(struct ns_shift *s, const struct columns *k, int c, const char *kind, const char *name)
{
	const struct column *o = &k->out[c];
	double m = o->note ? 1 : o->m, n = o->note ? 1 : o->n, half = 1.3581 * sqrt((m + n) / (m * n)), unit = o->spread > 0 ? o->spread : NAN;
	struct ns_shift_test *t;

	if (!ns_shift_wants(s, "ks") && !o->note)
		goto cvm;
	t = ns_shift_add(s, kind, "ks", name); /* what cannot be tested is said, whoever wanted to */
	if (!t)
		return ns_fail(NS_NO_MEMORY, "no memory for tests");
	t->ref = k->ref + c;
	t->cur = k->cur + c;
	t->ref_stride = t->cur_stride = k->d;
	t->note = untestable[o->note];
	t->broken = (int)o->broken;
	if (o->note)
		return NS_OK;
	t->statistic = t->effect = o->shift.ks;
	t->effect_low = fmax(0, t->effect - half);
	t->effect_high = fmin(1, t->effect + half);
	t->p = o->ks_p;
cvm:
	if (ns_shift_wants(s, "cvm") && !o->note) {
		t = ns_shift_add(s, kind, "cvm", name);
		if (!t)
			return ns_fail(NS_NO_MEMORY, "no memory for tests");
		t->statistic = o->shift.cvm;
		t->p = o->cvm_p;
	}
	if (!ns_shift_wants(s, "wasserstein") || o->note)
		return NS_OK;
	t = ns_shift_add(s, kind, "wasserstein", name);
	if (!t)
		return ns_fail(NS_NO_MEMORY, "no memory for tests");
	t->statistic = o->shift.wasserstein;
	t->effect = t->statistic / unit;
	t->effect_low = o->low / unit;
	t->effect_high = o->high / unit;
	if (isnan(unit))
		t->note = "the reference is constant: there is no unit for its effect";
	return NS_OK;
}

enum ns_status ns_shift_columns(struct ns_shift *s, const char *kind, const float *ref, const float *cur, int d, char *const *names,
				const char *prefix)
{
	int ranks = s->job->comm->size, share = d / (2 * ranks * ns_pool_workers(s->job->pool)), tiles;
	struct columns k = {s, ref, cur, d, share < 1 ? 1 : share > TILE ? TILE : share, s->count, NULL};
	enum ns_status status;
	int c;

	if (!ns_shift_wants(s, "ks") && !ns_shift_wants(s, "cvm") && !ns_shift_wants(s, "wasserstein"))
		return NS_OK;
	k.out = calloc((size_t)d + 1, sizeof *k.out);
	tiles = (d + k.tile - 1) / k.tile;
	status = k.out ? ns_pool_run(s->job->pool, (tiles + ranks - 1) / ranks, one_tile, &k) : ns_fail(NS_NO_MEMORY, "no memory for %d columns", d);
	status = ns_shift_gather(s, status, k.out, sizeof *k.out / 8 * (size_t)d);
	for (c = 0; c < d && status == NS_OK; c++) {
		char name[64];

		if (names)
			snprintf(name, sizeof name, "%s%.48s", prefix, names[c]);
		else
			snprintf(name, sizeof name, "%s%d", prefix, c);
		if (!k.out[c].note) {
			s->ref_effective = fmin(s->ref_effective, k.out[c].m);
			s->cur_effective = fmin(s->cur_effective, k.out[c].n);
		}
		status = three_tests(s, &k, c, kind, name);
	}
	free(k.out);
	return status;
}

/* --- predicted classes --- */

#define EXPECTED 5 /* fewer in a cell, and chi-square's p is counted over drawn tables */

/* of the indicator of each class, the mean of both windows' */
static double class_design(struct ns_shift *s, const int64_t *ref, const int64_t *cur, int k)
{
	int64_t rows = s->ref.rows > s->cur.rows ? s->ref.rows : s->cur.rows, i;
	float *is = malloc(sizeof *is * (size_t)(rows + 1));
	double sum = 0, counts;
	int c, n = 0;

	for (c = 0; is && c < k; c++) {
		if (!ref[c] && !cur[c])
			continue;
		for (i = 0; i < s->ref.rows; i++)
			is[i] = (float)(s->ref.pred[i] == c);
		counts = ns_shift_effective(is, s->ref_block, s->ref.rows, s->ref_blocks);
		s->ref_effective = fmin(s->ref_effective, counts);
		sum += (double)s->ref.rows / counts;
		for (i = 0; i < s->cur.rows; i++)
			is[i] = (float)(s->cur.pred[i] == c);
		counts = ns_shift_effective(is, s->cur_block, s->cur.rows, s->cur_blocks);
		s->cur_effective = fmin(s->cur_effective, counts);
		sum += (double)s->cur.rows / counts;
		n += 2;
	}
	free(is);
	return n ? fmax(1, sum / n) : 1;
}

static enum ns_status count_tests(struct ns_shift *s, const int64_t *ref, const int64_t *cur, int k)
{
	struct ns_shift_test unwanted = {0};
	int c, classes = 0;

	double no_drift, least, v, wide = 1.96 * sqrt(1.0 / (double)(s->ref.rows + s->cur.rows)), g, g_p = ns_g_counts(ref, cur, k, &g, &least);
	struct ns_shift_test *t = ns_shift_wants(s, "chi2") ? ns_shift_add(s, "output", "chi2", "predicted class") : &unwanted;

	if (!t)
		return ns_fail(NS_NO_MEMORY, "no memory for tests");
	t->p = ns_chi2_counts(ref, cur, k, &t->statistic, &t->effect);
	v = t->effect;
	for (c = 0; c < k; c++)
		classes += ref[c] + cur[c] > 0;
	if (classes < 2) {
		t->p = t->statistic = t->effect = NAN;
		t->note = "is constant";
		return NS_OK;
	}
	if (s->ref_block) { /* Rao and Scott 1984: both by the mean design effect of their classes */
		double design = class_design(s, ref, cur, k);

		t->p = ns_chi2_sf(t->statistic / design, classes - 1);
		g_p = ns_chi2_sf(g / design, classes - 1);
		t->note = "rows of a sequence are not independent: divided by the design effect";
	}
	t->effect_low = fmax(0, v - wide);
	t->effect_high = fmin(1, v + wide);
	if (least < EXPECTED && !s->ref_block) {
		t->p = ns_chi2_draws(ref, cur, k, s->permutations, s->seed);
		t->note = "a class is expected fewer than five times: p by permutation";
		if (isnan(t->p))
			return ns_fail(NS_NO_MEMORY, "no memory for drawn tables");
	}
	t = ns_shift_wants(s, "g") ? ns_shift_add(s, "output", "g", "predicted class") : &unwanted;
	if (!t)
		return ns_fail(NS_NO_MEMORY, "no memory for tests");
	t->statistic = g;
	t->p = g_p;
	t->effect = v;
	t = ns_shift_wants(s, "psi") ? ns_shift_add(s, "output", "psi", "predicted class") : &unwanted;
	if (!t)
		return ns_fail(NS_NO_MEMORY, "no memory for tests");
	t->statistic = t->effect = ns_psi(ref, cur, k, &no_drift);
	t->effect_high = no_drift;
	t->note = "effect_high is its 95 % point without drift";
	t = ns_shift_wants(s, "js") ? ns_shift_add(s, "output", "js", "predicted class") : &unwanted;
	if (!t)
		return ns_fail(NS_NO_MEMORY, "no memory for tests");
	t->statistic = t->effect = ns_js(ref, cur, k);
	return NS_OK;
}

static enum ns_status class_counts(struct ns_shift *s)
{
	int k = s->ref.classes ? s->ref.classes : s->ref.class_names;
	int64_t *count, i;
	enum ns_status status;

	for (i = 0; i < s->ref.rows; i++)
		k = s->ref.pred[i] >= k ? s->ref.pred[i] + 1 : k;
	for (i = 0; i < s->cur.rows; i++)
		k = s->cur.pred[i] >= k ? s->cur.pred[i] + 1 : k;
	count = calloc(2 * (size_t)(k + 1), sizeof *count);
	if (!count)
		return ns_fail(NS_NO_MEMORY, "no memory for class counts");
	for (i = 0; i < s->ref.rows; i++)
		if (s->ref.pred[i] >= 0)
			count[s->ref.pred[i]]++;
	for (i = 0; i < s->cur.rows; i++)
		if (s->cur.pred[i] >= 0)
			count[k + s->cur.pred[i]]++;
	status = count_tests(s, count, count + k, k);
	free(count);
	return status;
}

/* (rows, 2): the largest probability, and the entropy in nats */
static float *how_sure(const struct ns_predictions *p)
{
	float *out = malloc(sizeof *out * 2 * (size_t)p->rows + 1);
	int64_t i;
	int k;

	for (i = 0; out && i < p->rows; i++) {
		float top = 0;
		double entropy = 0;

		for (k = 0; k < p->classes; k++) {
			float x = p->prob[i * p->classes + k];

			top = x > top || x != x ? x : top;
			entropy -= x > 0 ? (double)x * log((double)x) : x != x ? NAN : 0;
		}
		out[2 * i] = top;
		out[2 * i + 1] = (float)entropy;
	}
	return out;
}

static enum ns_status output_tests(struct ns_shift *s)
{
	static char *const names[] = {(char *)(uintptr_t)"confidence", (char *)(uintptr_t)"entropy"};

	s->ref_sure = how_sure(&s->ref);
	s->cur_sure = how_sure(&s->cur);
	if (!s->ref_sure || !s->cur_sure)
		return ns_fail(NS_NO_MEMORY, "no memory for confidences");
	NS_TRY(ns_shift_columns(s, "output", s->ref_sure, s->cur_sure, 2, names, ""));
	return ns_shift_columns(s, "output", s->ref.prob, s->cur.prob, s->ref.classes, s->ref.names, "P: ");
}

enum ns_status ns_shift_test_all(struct ns_shift *s)
{
	if (s->ref.stats && s->cur.stats)
		NS_TRY(ns_shift_columns(s, "input", s->ref.stats, s->cur.stats, s->ref.stat_count, s->ref.stats_names, ""));
	if (s->ref.prob && s->cur.prob)
		NS_TRY(output_tests(s));
	if (s->ref.pred && s->cur.pred)
		NS_TRY(class_counts(s));
	if (s->ref.embedding && s->cur.embedding)
		NS_TRY(ns_shift_test_rows(s));
	if (!s->count)
		return ns_fail(NS_BAD_DATA, "the two windows have no column in common that drift.detectors test");
	NS_TRY(ns_shift_test_slices(s));
	return ns_shift_self_test(s);
}
