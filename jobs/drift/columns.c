/* jobs/drift/columns.c - the detectors of single columns. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/predict/predict.h"
#include "host/run/run.h"
#include "host/stat/stat.h"
#include "kernels/formula/sort.h"

struct columns {
	struct ns_drift *s;
	struct ns_plan **plans; /* of KS, and their device memory, one a worker */
	void **scratch;
	int first;	/* of the bootstrap's key: tests before these columns, so that no two columns share draws */
	struct column { /* words of 8 bytes, which ranks exchange */
		struct ns_stat_column shift;
		double m, n;			       /* effective number of rows */
		double ks_p, cvm_p, spread, low, high; /* spread: the reference's standard deviation; low, high: interval of Wasserstein's distance */
		double psi, js;
		int64_t bins;	      /* of psi and js */
		int64_t note, broken; /* note: index into untestable[] */
		struct ns_histogram histogram;
	} * out;
};

enum { TESTABLE, REF_NO_NUMBER, CUR_NO_NUMBER, CONSTANT };
static const char *const untestable[] = {NULL, "has values that are no finite numbers in the reference",
					 "has values that are no finite numbers in the current window", "is constant"};

/* A constant column, or one with NaN, cannot be tested: it is listed as untested. */
static int64_t look_at(const float *x, int64_t m, int64_t n, int64_t *broken)
{
	int ref = ns_drift_all_finite(x, m), cur = ns_drift_all_finite(x + m, n);
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

double ns_drift_cvm_p(double t, int64_t m, int64_t n, double counts_m, double counts_n)
{
	/* without drift T averages about 1/6 at any size; under drift it grows with mn / (m + n), which effective rows reduce */
	return ns_stat_cvm_p(t * (counts_m * counts_n / (counts_m + counts_n)) / ((double)m * (double)n / (double)(m + n)), counts_m, counts_n);
}

static void widen(struct ns_histogram *p, const float *x, int64_t n, int64_t step)
{
	int64_t i;

	for (i = 0; i < n; i += step) {
		p->low = fmin(p->low, (double)x[i]);
		p->high = fmax(p->high, (double)x[i]);
	}
}

static void fill(int32_t count[NS_HISTOGRAM_BINS], const struct ns_histogram *p, const float *x, int64_t n, int64_t step)
{
	int64_t i;

	for (i = 0; i < n; i += step)
		count[(int)fmin(NS_HISTOGRAM_BINS - 1, NS_HISTOGRAM_BINS * ((double)x[i] - p->low) / (p->high - p->low))]++;
}

static double mean_of(const float *x, int64_t n)
{
	double sum = 0;
	int64_t i;

#pragma omp simd reduction(+ : sum)
	for (i = 0; i < n; i++)
		sum += (double)x[i];
	return sum / (double)n;
}

/* Histograms of every a-th row of the reference and every b-th of the window, in row order; means are of all rows. */
static void fill_histogram(struct ns_histogram *p, const float *x, int64_t m, int64_t n)
{
	int64_t a = m / NS_HISTOGRAM_ROWS + 1, b = n / NS_HISTOGRAM_ROWS + 1;

	p->ref_mean = mean_of(x, m);
	p->cur_mean = mean_of(x + m, n);
	p->low = p->high = (double)x[0];
	widen(p, x, m, a);
	widen(p, x + m, n, b);
	if (!(p->high > p->low))
		return;
	fill(p->ref, p, x, m, a);
	fill(p->cur, p, x + m, n, b);
}

/* D from the device's own KS: a sort on a GPU, counting on a CPU */
static enum ns_status ks_alone(const struct columns *k, int worker, float *x, double *d)
{
	int64_t m = k->s->ref.rows, n = k->s->cur.rows;
	struct ns_device_set *set = k->s->job->set;
	struct ns_op op = {.kind = NS_OP_KS, .u.ks = {m, n, 1}};
	struct ns_staged io = {{x, x + m}, {sizeof *x * (size_t)m, sizeof *x * (size_t)n}, {d}, {sizeof *d}};

	if (!k->plans[worker])
		NS_TRY(ns_plan_make(&k->plans[worker], set->devices[worker], &op));
	return ns_staged_keep(set->devices[worker], set->queues[worker], k->plans[worker], &io, &k->scratch[worker]);
}

#define QUANTILES 10

static void in_bins(const float *x, int64_t m, int64_t n, struct column *out)
{
	int64_t ref[QUANTILES], cur[QUANTILES];

	out->bins = ns_stat_quantile_bins(x, m, x + m, n, QUANTILES, ref, cur);
	out->psi = ns_stat_psi(ref, cur, (int)out->bins);
	out->js = ns_stat_js(ref, cur, (int)out->bins);
}

/* All detectors that need a sorted column; the host's D equals that of any device. */
static enum ns_status in_order(const struct columns *k, int column, float *x, struct column *out)
{
	int64_t m = k->s->ref.rows, n = k->s->cur.rows;
	int wasserstein = ns_drift_is_enabled(k->s, "wasserstein");
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)(m > n ? m : n));

	if (!scratch)
		return ns_fail(NS_NO_MEMORY, "out of memory for sorting %lld rows", (long long)(m + n));
	out->spread = wasserstein ? deviation(x, m) : 0; /* before sorting, because sums round in row order */
	ns_sort_floats(x, m, scratch);
	ns_sort_floats(x + m, n, scratch);
	free(scratch);
	ns_stat_column(x, m, x + m, n, &out->shift);
	in_bins(x, m, n, out);
	if (ns_drift_is_enabled(k->s, "cvm"))
		out->cvm_p = ns_drift_cvm_p(out->shift.cvm, m, n, out->m, out->n);
	if (!wasserstein)
		return NS_OK;
	return ns_stat_wasserstein_interval(x, m, x + m, n, out->m, out->n, out->shift.wasserstein, k->s->seed, (uint32_t)(k->first + column),
					    &out->low, &out->high);
}

static int wants_order(const struct ns_drift *s)
{
	return ns_drift_is_enabled(s, "cvm") || ns_drift_is_enabled(s, "wasserstein") || ns_drift_is_enabled(s, "psi") ||
	       ns_drift_is_enabled(s, "js") || ns_drift_is_enabled(s, "energy");
}

static enum ns_status one_column(void *context, int column, int worker, float *x)
{
	const struct columns *k = context;
	struct column *out = &k->out[column];
	int64_t m = k->s->ref.rows, n = k->s->cur.rows;

	out->note = look_at(x, m, n, &out->broken);
	if (out->note)
		return NS_OK;
	fill_histogram(&out->histogram, x, m, n);
	out->m = ns_drift_effective_rows(x, k->s->ref_block, m, k->s->ref_blocks);
	out->n = ns_drift_effective_rows(x + m, k->s->cur_block, n, k->s->cur_blocks);
	if (wants_order(k->s))
		NS_TRY(in_order(k, column, x, out));
	else
		NS_TRY(ks_alone(k, worker, x, &out->shift.ks));
	out->ks_p = ns_stat_ks_p(out->shift.ks, (int64_t)out->m, (int64_t)out->n);
	return NS_OK;
}

enum ns_status ns_drift_gather(struct ns_drift *s, enum ns_status status, void *words, size_t n)
{
	NS_TRY(ns_job_agree(s->job, status));
	return ns_comm_sum_i64(s->job->comm, words, n); /* all ranks but one contribute 0, so the bits are preserved */
}

static enum ns_status ks_test(struct ns_drift *s, const struct column *o, const char *kind, const char *name)
{
	double half = o->note ? NAN : 1.3581 * sqrt((o->m + o->n) / (o->m * o->n));
	struct ns_drift_test *t = ns_drift_add(s, kind, "ks", name);

	if (!t)
		return ns_fail(NS_NO_MEMORY, "out of memory for tests");
	t->histogram = o->histogram;
	t->note = untestable[o->note];
	t->broken = (int)o->broken;
	if (o->note)
		return NS_OK;
	t->statistic = t->effect = o->shift.ks;
	t->effect_low = fmax(0, t->effect - half);
	t->effect_high = fmin(1, t->effect + half);
	t->p = o->ks_p;
	return NS_OK;
}

/* Adds the supporting detectors: statistic, p, effect with its interval; NaN where there is none. */
static enum ns_status others(struct ns_drift *s, const struct column *o, const char *kind, const char *name)
{
	double unit = o->spread > 0 ? o->spread : NAN;
	const struct {
		const char *method;
		double statistic, p, effect, low, high;
		const char *note;
	} all[] = {
		{"cvm", o->shift.cvm, o->cvm_p, NAN, NAN, NAN, NULL},
		{"wasserstein", o->shift.wasserstein, NAN, o->shift.wasserstein / unit, o->low / unit, o->high / unit,
		 isnan(unit) ? "the reference is constant: there is no unit for its effect" : NULL},
		{"energy", o->shift.energy, NAN, o->shift.energy / (2 * o->shift.across), NAN, NAN, NULL},
		{"psi", o->psi, NAN, o->psi, NAN, o->bins < 2 ? NAN : ns_stat_psi_no_drift((int)o->bins, o->m, o->n),
		 o->bins < 2 ? "the reference is nearly constant: there are no bins" : NULL},
		{"js", o->js, NAN, o->js, NAN, o->bins < 2 ? NAN : ns_stat_js_no_drift((int)o->bins, o->m, o->n), NULL},
	};
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++) {
		struct ns_drift_test *t = ns_drift_is_enabled(s, all[i].method) ? ns_drift_add(s, kind, all[i].method, name) : NULL;

		if (!ns_drift_is_enabled(s, all[i].method))
			continue;
		if (!t)
			return ns_fail(NS_NO_MEMORY, "out of memory for tests");
		t->statistic = all[i].statistic;
		t->p = all[i].p;
		t->effect = all[i].effect;
		t->effect_low = all[i].low;
		t->effect_high = all[i].high;
		t->note = all[i].note;
	}
	return NS_OK;
}

enum ns_status ns_drift_columns(struct ns_drift *s, const char *kind, const struct ns_columns *ref, const struct ns_columns *cur, char *const *names,
				const char *prefix)
{
	int d = ref->directions ? ref->k : ref->of->d, c;
	int workers = ns_workers_count(s->job->workers), w;
	struct columns k = {.s = s, .first = s->count};
	enum ns_status status;

	if (!ns_drift_is_enabled(s, "ks") && !wants_order(s))
		return NS_OK;
	k.out = calloc((size_t)d + 1, sizeof *k.out);
	k.plans = calloc((size_t)workers, sizeof *k.plans);
	k.scratch = calloc((size_t)workers, sizeof *k.scratch);
	status = k.out && k.plans && k.scratch ? ns_drift_each_column(s, ref, cur, one_column, &k)
					       : ns_fail(NS_NO_MEMORY, "out of memory for %d columns", d);
	for (w = 0; k.plans && k.scratch && w < workers; w++) {
		ns_plan_free(k.plans[w]);
		s->job->set->devices[w]->backend->mem_free(s->job->set->devices[w], k.scratch[w]);
	}
	free(k.plans);
	free(k.scratch);
	status = ns_drift_gather(s, status, k.out, sizeof *k.out / 8 * (size_t)d);
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
		/* an untestable column is listed under KS, whatever drift.detectors names */
		if (ns_drift_is_enabled(s, "ks") || k.out[c].note)
			status = ks_test(s, &k.out[c], kind, name);
		if (status == NS_OK && !k.out[c].note)
			status = others(s, &k.out[c], kind, name);
	}
	free(k.out);
	return status;
}
