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
	int first;		    /* of the bootstrap's key: tests before these columns, so that no two columns share draws */
	struct column {		    /* words of 8 bytes, which ranks exchange */
		double m, n;	    /* effective number of rows */
		int64_t untestable; /* index into untestable[] */
		int64_t missing[2]; /* values that are no finite numbers, in each window */
		double design;	    /* design effect of their being missing, where rows form sequences */
		struct ns_histogram histogram;
		struct ns_drift_figures of[NS_DRIFT_DETECTORS]; /* of each detector of single columns */
	} * out;
};

enum { TESTABLE, REF_NO_NUMBER, CUR_NO_NUMBER, CONSTANT };
static const char *const untestable[] = {NULL, "has no finite number in the reference", "has no finite number in the current window", "is constant"};

/* The values of a column that are numbers: those that are not are a share of their own, which is tested as such. */
struct numbers {
	float *x, *y;
	int64_t m, n;
	const int32_t *ref_block, *cur_block; /* of each; NULL: rows are independent */
	int32_t *kept[2];		      /* owned */
};

/* A constant column, or one without numbers, cannot be tested: it is listed as untested. */
static int64_t look_at(const struct numbers *v)
{
	int64_t i;

	if (!v->m)
		return REF_NO_NUMBER;
	if (!v->n)
		return CUR_NO_NUMBER;
	for (i = 0; i < v->m; i++)
		if (v->x[i] != v->x[0])
			return TESTABLE;
	for (i = 0; i < v->n; i++)
		if (v->y[i] != v->x[0])
			return TESTABLE;
	return CONSTANT;
}

/* Design effect of a value's being missing, over both windows: a camera that drops out loses all of a sequence. */
static double missing_design(const struct ns_drift *s, const float *x)
{
	int64_t m = s->ref.rows, n = s->cur.rows, i;
	float *is = malloc(sizeof *is * (size_t)(m + n + 1));
	double design;

	if (!is)
		return NAN;
	for (i = 0; i < m + n; i++)
		is[i] = isfinite(x[i]) ? 0.f : 1.f;
	design = (double)m / ns_drift_effective_rows(is, s->ref_block, m, s->ref_blocks) / 2 +
		 (double)n / ns_drift_effective_rows(is + m, s->cur_block, n, s->cur_blocks) / 2;
	free(is);
	return design;
}

/* Closes the gaps that missing values leave, in place. */
static enum ns_status find_numbers(const struct ns_drift *s, float *x, struct column *out, struct numbers *v)
{
	int64_t m = s->ref.rows, n = s->cur.rows;

	*v = (struct numbers){x, x + m, m, n, s->ref_block, s->cur_block, {NULL, NULL}};
	out->design = 1;
	if (ns_drift_all_finite(x, m + n))
		return NS_OK;
	if (s->ref_block)
		out->design = missing_design(s, x);
	if (isnan(out->design))
		return ns_fail(NS_NO_MEMORY, "out of memory for missing values of %lld rows", (long long)(m + n));
	NS_TRY(ns_drift_close_gaps(v->x, &v->m, &v->ref_block, &v->kept[0]));
	NS_TRY(ns_drift_close_gaps(v->y, &v->n, &v->cur_block, &v->kept[1]));
	out->missing[0] = m - v->m;
	out->missing[1] = n - v->n;
	return NS_OK;
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
static void fill_histogram(struct ns_histogram *p, const struct numbers *v)
{
	int64_t a = v->m / NS_HISTOGRAM_ROWS + 1, b = v->n / NS_HISTOGRAM_ROWS + 1;

	p->ref_mean = mean_of(v->x, v->m);
	p->cur_mean = mean_of(v->y, v->n);
	p->low = p->high = (double)v->x[0];
	widen(p, v->x, v->m, a);
	widen(p, v->y, v->n, b);
	if (!(p->high > p->low))
		return;
	fill(p->ref, p, v->x, v->m, a);
	fill(p->cur, p, v->y, v->n, b);
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

/* What detectors read from a column in order; the host's D equals that of any device. */
static enum ns_status sort_column(const struct numbers *v, struct ns_drift_column *c)
{
	uint32_t *scratch = malloc(sizeof *scratch * 2 * (size_t)(v->m > v->n ? v->m : v->n));

	if (!scratch)
		return ns_fail(NS_NO_MEMORY, "out of memory for sorting %lld rows", (long long)(v->m + v->n));
	c->deviation = deviation(v->x, v->m); /* before sorting, because sums round in row order */
	ns_sort_floats(v->x, v->m, scratch);
	ns_sort_floats(v->y, v->n, scratch);
	free(scratch);
	ns_stat_column(v->x, v->m, v->y, v->n, &c->shift);
	c->bins = ns_stat_quantile_bins(v->x, v->m, v->y, v->n, NS_DRIFT_BINS, c->ref_bins, c->cur_bins);
	return NS_OK;
}

/* Does any enabled detector of single columns need it in order? */
static int wants_order(const struct ns_drift *s)
{
	int i;

	for (i = 0; ns_drift_detectors[i]; i++)
		if (ns_drift_detectors[i]->in_order && ns_drift_is_enabled(s, ns_drift_detectors[i]))
			return 1;
	return 0;
}

static enum ns_status test_column(const struct columns *k, int column, int worker, const struct numbers *v)
{
	const struct ns_drift *s = k->s;
	struct column *out = &k->out[column];
	struct ns_drift_column c =
		{.ref = v->x, .cur = v->y, .ref_rows = v->m, .cur_rows = v->n, .seed = s->seed, .key = (uint32_t)(k->first + column)};
	int i;

	fill_histogram(&out->histogram, v);
	c.m = out->m = ns_drift_effective_rows(v->x, v->ref_block, v->m, s->ref_blocks);
	c.n = out->n = ns_drift_effective_rows(v->y, v->cur_block, v->n, s->cur_blocks);
	/* the device's plan is made for columns of which nothing is missing */
	NS_TRY(wants_order(s) || out->missing[0] || out->missing[1] ? sort_column(v, &c) : ks_alone(k, worker, v->x, &c.shift.ks));
	for (i = 0; ns_drift_detectors[i]; i++) {
		out->of[i] = (struct ns_drift_figures){NAN, NAN, NAN, NAN, NAN, 0};
		if (ns_drift_detectors[i]->column && ns_drift_is_enabled(s, ns_drift_detectors[i]))
			NS_TRY(ns_drift_detectors[i]->column(&c, &out->of[i]));
	}
	return NS_OK;
}

static enum ns_status one_column(void *context, int column, int worker, float *x)
{
	const struct columns *k = context;
	struct column *out = &k->out[column];
	struct numbers v;
	enum ns_status status = find_numbers(k->s, x, out, &v);

	if (status == NS_OK)
		out->untestable = look_at(&v);
	if (status == NS_OK && !out->untestable)
		status = test_column(k, column, worker, &v);
	free(v.kept[0]);
	free(v.kept[1]);
	return status;
}

enum ns_status ns_drift_gather(struct ns_drift *s, enum ns_status status, void *words, size_t n)
{
	NS_TRY(ns_job_agree(s->job, status));
	return ns_comm_sum_i64(s->job->comm, words, n); /* all ranks but one contribute 0, so the bits are preserved */
}

/* Adds the rows of a column: one of each detector, or, whatever drift.detectors names, one of KS that says why it cannot be tested. */
static enum ns_status add_column(struct ns_drift *s, const struct column *o, const char *kind, const char *name)
{
	int i;

	for (i = 0; ns_drift_detectors[i]; i++) {
		const struct ns_drift_detector *method = ns_drift_detectors[i];
		const struct ns_drift_figures *f = &o->of[i];
		struct ns_drift_test *t;

		if (o->untestable ? method != &ns_detector_ks : !method->column || !ns_drift_is_enabled(s, method))
			continue;
		t = ns_drift_add(s, kind, method, name);
		if (!t)
			return ns_fail(NS_NO_MEMORY, "out of memory for tests");
		if (method == &ns_detector_ks)
			t->histogram = o->histogram;
		t->note = o->untestable ? untestable[o->untestable] : f->noted ? method->column_note : NULL;
		if (o->untestable)
			continue;
		t->statistic = f->statistic;
		t->p = f->p;
		t->effect = f->effect;
		t->effect_low = f->low;
		t->effect_high = f->high;
	}
	return NS_OK;
}

enum ns_status ns_drift_columns(struct ns_drift *s, const char *kind, const struct ns_columns *ref, const struct ns_columns *cur, char *const *names,
				const char *prefix)
{
	int d = ref->k ? ref->k : ref->of->d, c;
	int workers = ns_workers_count(s->job->workers), w;
	struct columns k = {.s = s, .first = s->count};
	enum ns_status status;

	if (!ns_drift_is_enabled(s, &ns_detector_ks) && !wants_order(s))
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
		if (!k.out[c].untestable) {
			s->ref_effective = fmin(s->ref_effective, k.out[c].m);
			s->cur_effective = fmin(s->cur_effective, k.out[c].n);
		}
		status = add_column(s, &k.out[c], kind, name);
		if (status == NS_OK && !ref->directions) /* along directions a row is missing as a whole */
			status = ns_drift_missing(s, kind, name, k.out[c].missing, k.out[c].design);
	}
	free(k.out);
	return status;
}
