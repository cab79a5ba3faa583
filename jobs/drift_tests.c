/* jobs/drift_tests.c - the detectors, each on its columns; what follows from them is in drift_verdict.c. */
#include "jobs/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/staged.h"
#include "host/shift/pca.h"
#include "host/shift/pvalue.h"
#include "kernels/formula/mmd.h"

#define PCA_DIM	 16
#define MMD_ROWS 10000 /* of each window, chosen by key: the test's power is plenty, its cost is quadratic */

/* a text that was cut by its bytes loses the beginning of a character at its end */
static void cut_utf8(char *text)
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

static int all_finite_column(const float *x, int64_t rows, int d, int c)
{
	int64_t i;

	for (i = 0; i < rows; i++)
		if (!isfinite(x[i * d + c]))
			return 0;
	return 1;
}

static struct ns_shift_test *add(struct ns_shift *s, const char *kind, const char *detector, const char *column)
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
	t->detector = detector;
	t->statistic = t->p = t->p_adjusted = t->effect = t->effect_low = t->effect_high = NAN;
	snprintf(t->column, sizeof t->column, "%.63s", column);
	cut_utf8(t->column);
	return t;
}

/* --- Kolmogorov-Smirnov, column by column, columns over workers --- */

struct ks {
	struct ns_shift *s;
	const float *ref, *cur;
	int d;
	double *out;
};

static enum ns_status ks_column(void *context, int task, int worker)
{
	struct ks *k = context;
	struct ns_device *dev = k->s->job->set->devices[worker];
	int64_t m = k->s->ref.rows, n = k->s->cur.rows, i;
	struct ns_op op = {.kind = NS_OP_KS, .u.ks = {m, n, 1}};
	float *x = malloc(sizeof *x * (size_t)(m + n));
	enum ns_status status;

	if (!x)
		return ns_fail(NS_NO_MEMORY, "no memory for a column");
	for (i = 0; i < m; i++)
		x[i] = k->ref[i * k->d + task];
	for (i = 0; i < n; i++)
		x[m + i] = k->cur[i * k->d + task];
	{
		struct ns_staged io = {{x, x + m}, {sizeof *x * (size_t)m, sizeof *x * (size_t)n}, {&k->out[task]}, {sizeof *k->out}};

		status = ns_staged_run(dev, k->s->job->set->queues[worker], &op, &io);
	}
	free(x);
	return status;
}

/* a constant column, or one of NaN, says nothing: it is listed as untested */
static const char *untestable(const float *ref, int64_t m, const float *cur, int64_t n, int d, int c)
{
	int64_t i;
	int varies = 0;

	for (i = 0; i < m; i++) {
		if (!isfinite(ref[i * d + c]))
			return "has values that are no finite numbers in the reference";
		varies |= ref[i * d + c] != ref[c];
	}
	for (i = 0; i < n; i++) {
		if (!isfinite(cur[i * d + c]))
			return "has values that are no finite numbers in the current window";
		varies |= cur[i * d + c] != ref[c];
	}
	return varies ? NULL : "is constant";
}

static enum ns_status ks_columns(struct ns_shift *s, const char *kind, const float *ref, const float *cur, int d,
				 char *const *names, const char *prefix)
{
	struct ks k = {s, ref, cur, d, calloc((size_t)d + 1, sizeof(double))};
	double m = (double)s->ref.rows, n = (double)s->cur.rows, half = 1.3581 * sqrt((m + n) / (m * n));
	enum ns_status status;
	int c;

	if (!k.out)
		return ns_fail(NS_NO_MEMORY, "no memory for %d columns", d);
	status = ns_pool_run(s->job->pool, d, ks_column, &k);
	for (c = 0; c < d && status == NS_OK; c++) {
		struct ns_shift_test *t;
		char name[64];

		snprintf(name, sizeof name, "%s%.48s", prefix, names ? names[c] : "");
		if (!names)
			snprintf(name, sizeof name, "%s%d", prefix, c);
		t = add(s, kind, "ks", name);
		if (!t) {
			status = ns_fail(NS_NO_MEMORY, "no memory for tests");
			break;
		}
		t->ref = ref + c;
		t->cur = cur + c;
		t->ref_stride = t->cur_stride = d;
		t->note = untestable(ref, s->ref.rows, cur, s->cur.rows, d, c);
		if (t->note) {
			t->broken = all_finite_column(ref, s->ref.rows, d, c) && !all_finite_column(cur, s->cur.rows, d, c);
			continue;
		}
		t->statistic = t->effect = k.out[c];
		t->effect_low = fmax(0, t->effect - half);
		t->effect_high = fmin(1, t->effect + half);
		t->p = ns_ks_p(k.out[c], s->ref.rows, s->cur.rows);
	}
	free(k.out);
	return status;
}

/* --- predicted classes --- */

static enum ns_status class_counts(struct ns_shift *s)
{
	int k = s->ref.classes ? s->ref.classes : s->ref.class_names;
	struct ns_shift_test *t;
	int64_t *count, i;
	double no_drift;

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
	t = add(s, "output", "chi2", "predicted class");
	if (t) {
		t->p = ns_chi2_counts(count, count + k, k, &t->statistic, &t->effect);
		t->effect_low = fmax(0, t->effect - 1.96 * sqrt(1.0 / (double)(s->ref.rows + s->cur.rows)));
		t->effect_high = fmin(1, t->effect + 1.96 * sqrt(1.0 / (double)(s->ref.rows + s->cur.rows)));
	}
	t = add(s, "output", "psi", "predicted class");
	if (t) { /* no p-value: shown beside its 95 % point without drift, decides nothing */
		t->statistic = t->effect = ns_psi(count, count + k, k, &no_drift);
		t->effect_high = no_drift;
		t->status = NS_SHIFT_UNTESTED;
		t->note = "descriptive; effect_high is its 95 % point without drift";
	}
	t = add(s, "output", "js", "predicted class");
	if (t) {
		t->statistic = t->effect = ns_js(count, count + k, k);
		t->status = NS_SHIFT_UNTESTED;
		t->note = "descriptive, nats";
	}
	free(count);
	return t ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for tests");
}

/* --- MMD: row blocks over ranks and workers; sums are integers, so nothing depends on who did which --- */

struct mmd {
	struct ns_shift *s;
	float *x, *y;
	int64_t m, n, *rows; /* rows: original number of each current row in y */
	int d, parts, per;
	float gamma;
	int64_t *sums; /* (parts, 2 (P + 1) + 1) */
};

static enum ns_status mmd_part(void *context, int task, int worker)
{
	struct mmd *g = context;
	struct ns_job *job = g->s->job;
	struct ns_device *dev = job->set->devices[worker];
	int p = g->s->permutations;
	int64_t total = g->m + g->n, blocks = (total + 15) / 16, at = (int64_t)job->comm->rank * g->per + task,
		all = (int64_t)job->comm->size * g->per, *out = g->sums + (int64_t)task * (2 * (p + 1) + 1);
	struct ns_op op = {.kind = NS_OP_MMD};
	size_t row = sizeof *g->x * (size_t)g->d, sums = sizeof *out * (size_t)(p + 1);
	struct ns_staged io = {{g->x, g->y}, {row * (size_t)g->m, row * (size_t)g->n}, {out, out + p + 1, out + 2 * (p + 1)}, {sums, sums, sizeof *out}};

	op.u.mmd = (struct ns_mmd){.m = g->m, .n = g->n, .row_begin = blocks * at / all * 16,
				   .row_end = at + 1 == all ? total : blocks * (at + 1) / all * 16, .d = g->d, .permutations = p,
				   .seed = g->s->seed, .gamma = g->gamma};
	return ns_staged_run(dev, job->set->queues[worker], &op, &io);
}

/* up to MMD_ROWS rows of x (rows, d), chosen by key */
static float *choose_rows(const float *x, int64_t rows, int d, uint64_t seed, int64_t *n, int64_t *chosen)
{
	float *y;
	int64_t i;

	*n = rows < MMD_ROWS ? rows : MMD_ROWS;
	y = malloc(sizeof *y * (size_t)(*n) * (size_t)d + 1);
	for (i = 0; y && i < *n; i++) {
		int64_t r = rows <= MMD_ROWS ? i : (int64_t)ns_permute((uint64_t)i, (uint64_t)rows, seed, NS_FOR_PERMUTE, 0);

		memcpy(y + i * d, x + r * d, sizeof *y * (size_t)d);
		if (chosen)
			chosen[i] = r;
	}
	return y;
}

static float distance2(const float *x, const float *y, int d)
{
	float sum = 0;
	int c;

#pragma omp simd reduction(+ : sum)
	for (c = 0; c < d; c++)
		sum += (x[c] - y[c]) * (x[c] - y[c]);
	return sum;
}

static int by_float(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* lower median of squared distances over pairs of up to 2000 reference rows */
static enum ns_status median_gamma(struct mmd *g)
{
	int64_t n = g->m < 2000 ? g->m : 2000, i, j, k = 0, pairs = n * (n - 1) / 2;
	float *d2 = malloc(sizeof *d2 * (size_t)(pairs + 1)), median;

	if (!d2)
		return ns_fail(NS_NO_MEMORY, "no memory for %lld distances", (long long)pairs);
	for (i = 0; i < n; i++)
		for (j = i + 1; j < n; j++)
			d2[k++] = distance2(g->x + i * g->d, g->x + j * g->d, g->d);
	qsort(d2, (size_t)pairs, sizeof *d2, by_float);
	median = pairs ? d2[(pairs - 1) / 2] : 1;
	free(d2);
	g->gamma = median > 0 ? 1 / median : 1;
	return NS_OK;
}

/* unbiased MMD^2 from the sums of one labelling */
static double mmd2(double q, double s, double total, double m, double n)
{
	double one = 32767, xx = q / one, xy = (s - q) / one, yy = (total - 2 * s + q) / one;

	return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n);
}

/* mean kernel to the current window minus mean kernel to the reference: where the two differ most (Gretton 2012) */
static void witness(struct ns_shift *s, const struct mmd *g)
{
	int64_t i, j, m = g->m < 2000 ? g->m : 2000, n = g->n < 2000 ? g->n : 2000;
	int t;

	for (i = 0; i < g->n; i++) {
		double to_ref = 0, to_cur = 0, score;

		for (j = 0; j < m; j++)
			to_ref += (double)ns_exp_neg(-g->gamma * distance2(g->y + i * g->d, g->x + j * g->d, g->d));
		for (j = 0; j < n; j++)
			to_cur += (double)ns_exp_neg(-g->gamma * distance2(g->y + i * g->d, g->y + j * g->d, g->d));
		score = to_cur / (double)n - to_ref / (double)m;
		for (t = s->top_count < 24 ? s->top_count++ : 24; t > 0 && s->top[t - 1].score < score; t--)
			if (t < 24)
				s->top[t] = s->top[t - 1];
		if (t < 24)
			s->top[t] = (struct ns_top){s->cur.id ? s->cur.id[g->rows[i]] : 0, g->rows[i], score};
	}
}

static enum ns_status mmd_finish(struct mmd *g)
{
	struct ns_shift *s = g->s;
	int p = s->permutations, width = 2 * (p + 1) + 1, i, part, exceed = 0;
	int64_t *sum = calloc((size_t)width, sizeof *sum);
	struct ns_shift_test *t = add(s, "embedding", "mmd", "embedding");
	double m = (double)g->m, n = (double)g->n, observed;

	if (!sum || !t) {
		free(sum);
		return ns_fail(NS_NO_MEMORY, "no memory for %d permutations", p);
	}
	for (part = 0; part < g->per; part++)
		for (i = 0; i < width; i++)
			sum[i] += g->sums[(int64_t)part * width + i];
	NS_TRY(ns_comm_sum_i64(s->job->comm, sum, (size_t)width));
	observed = mmd2((double)sum[0], (double)sum[p + 1], (double)sum[width - 1], m, n);
	for (i = 1; i <= p; i++) {
		double v = mmd2((double)sum[i], (double)sum[p + 1 + i], (double)sum[width - 1], m, n);

		exceed += v >= observed;
	}
	free(sum);
	t->statistic = observed;
	t->p = (1.0 + exceed) / (1.0 + p);
	t->effect = sqrt(fmax(0, observed)); /* the distance itself, between 0 and sqrt 2 */
	/* no interval: the spread of the permutations is that of no drift, not of this one */
	return NS_OK;
}

static enum ns_status mmd_test(struct ns_shift *s)
{
	int workers = ns_pool_workers(s->job->pool);
	struct mmd g = {.s = s, .d = s->ref.embedding_dim, .per = workers};
	enum ns_status status;

	g.rows = malloc(sizeof *g.rows * MMD_ROWS);
	g.x = choose_rows(s->ref.embedding, s->ref.rows, g.d, s->seed, &g.m, NULL);
	g.y = g.rows ? choose_rows(s->cur.embedding, s->cur.rows, g.d, s->seed, &g.n, g.rows) : NULL;
	g.sums = calloc((size_t)workers * (2 * ((size_t)s->permutations + 1) + 1), sizeof *g.sums);
	status = g.x && g.y && g.sums ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for the MMD test");
	if (status == NS_OK && (g.m < 2 || g.n < 2)) {
		struct ns_shift_test *t = add(s, "embedding", "mmd", "embedding");

		if (t)
			t->note = "needs at least two rows on each side";
		goto out;
	}
	if (status == NS_OK)
		status = median_gamma(&g);
	if (status == NS_OK)
		status = ns_pool_run(s->job->pool, g.per, mmd_part, &g);
	if (status == NS_OK)
		status = mmd_finish(&g);
	if (status == NS_OK && s->job->comm->rank == 0)
		witness(s, &g);
out:
	free(g.x);
	free(g.y);
	free(g.rows);
	free(g.sums);
	return status;
}

static enum ns_status project(struct ns_shift *s)
{
	int d = s->ref.embedding_dim, k = d < PCA_DIM ? d : PCA_DIM;
	double *mean = malloc(sizeof *mean * (size_t)d), *directions = malloc(sizeof *directions * (size_t)(d * k));
	enum ns_status status = mean && directions ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for a projection");

	s->pca_dim = k;
	s->ref_pca = malloc(sizeof(float) * (size_t)(s->ref.rows * k) + 1);
	s->cur_pca = malloc(sizeof(float) * (size_t)(s->cur.rows * k) + 1);
	if (!s->ref_pca || !s->cur_pca)
		status = ns_fail(NS_NO_MEMORY, "no memory for a projection");
	if (status == NS_OK)
		status = ns_pca_fit(s->ref.embedding, s->ref.rows, d, k, mean, directions);
	if (status == NS_OK) {
		ns_pca_apply(s->ref.embedding, s->ref.rows, d, k, mean, directions, s->ref_pca);
		ns_pca_apply(s->cur.embedding, s->cur.rows, d, k, mean, directions, s->cur_pca);
	}
	free(mean);
	free(directions);
	return status;
}

static enum ns_status embedding_tests(struct ns_shift *s)
{
	int d = s->ref.embedding_dim;

	if (!all_finite_column(s->ref.embedding, s->ref.rows * d, 1, 0) || !all_finite_column(s->cur.embedding, s->cur.rows * d, 1, 0)) {
		struct ns_shift_test *t = add(s, "embedding", "mmd", "embedding");

		if (t) {
			t->note = "has values that are no finite numbers";
			t->broken = all_finite_column(s->ref.embedding, s->ref.rows * s->ref.embedding_dim, 1, 0);
		}
		return NS_OK;
	}
	NS_TRY(project(s));
	NS_TRY(ks_columns(s, "embedding", s->ref_pca, s->cur_pca, s->pca_dim, NULL, "component "));
	return mmd_test(s);
}

enum ns_status ns_shift_test_all(struct ns_shift *s)
{
	if (s->ref.stats && s->cur.stats)
		NS_TRY(ks_columns(s, "input", s->ref.stats, s->cur.stats, s->ref.stat_count, s->ref.stats_names, ""));
	if (s->ref.prob && s->cur.prob)
		NS_TRY(ks_columns(s, "output", s->ref.prob, s->cur.prob, s->ref.classes, s->ref.names, "P: "));
	if (s->ref.pred && s->cur.pred)
		NS_TRY(class_counts(s));
	if (s->ref.embedding && s->cur.embedding)
		NS_TRY(embedding_tests(s));
	if (!s->count)
		return ns_fail(NS_BAD_DATA, "the two windows have no column in common: nothing can be tested");
	return NS_OK;
}
