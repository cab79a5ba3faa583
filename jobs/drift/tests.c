/* jobs/drift/tests.c - runs all tests; those of counts are here, of columns in columns.c, of whole rows in rows.c, of slices in slices.c. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"

/* --- predicted classes --- */

/* Mean design effect of the indicators of the classes, over both windows. */
static double class_design(struct ns_drift *s, const int64_t *ref, const int64_t *cur, int k)
{
	int64_t rows = s->ref.rows > s->cur.rows ? s->ref.rows : s->cur.rows, i;
	float *is = malloc(sizeof *is * (size_t)(rows + 1));
	double sum = 0, counts;
	int c, n = 0;

	for (c = 0; is && c < k && n < 2 * NS_DRIFT_CLASSES; c++) { /* a pass over all rows for each: of more classes they say no more */
		if ((!ref[c] && !cur[c]) || (s->picked && (c >= s->ref.prob.d || !s->picked[c])))
			continue;
		for (i = 0; i < s->ref.rows; i++)
			is[i] = (float)(s->ref.pred[i] == c);
		counts = ns_drift_effective_rows(is, s->ref_block, s->ref.rows, s->ref_blocks);
		s->ref_effective = fmin(s->ref_effective, counts);
		sum += (double)s->ref.rows / counts;
		for (i = 0; i < s->cur.rows; i++)
			is[i] = (float)(s->cur.pred[i] == c);
		counts = ns_drift_effective_rows(is, s->cur_block, s->cur.rows, s->cur_blocks);
		s->cur_effective = fmin(s->cur_effective, counts);
		sum += (double)s->cur.rows / counts;
		n += 2;
	}
	free(is);
	return !is ? NAN : n ? fmax(1, sum / n) : 1;
}

static enum ns_status count_tests(struct ns_drift *s, const int64_t *ref, const int64_t *cur, int k)
{
	struct ns_drift_counts c = {.ref = ref,
				    .cur = cur,
				    .k = k,
				    .ref_rows = s->ref.rows,
				    .cur_rows = s->cur.rows,
				    .sequences = s->ref_block != NULL,
				    .design = 1,
				    .permutations = s->permutations,
				    .seed = s->seed};
	int i;

	for (i = 0; i < k; i++)
		c.classes += ref[i] + cur[i] > 0;
	if (c.sequences && c.classes > 1) /* Rao and Scott 1984: chi-square and G are divided by the classes' mean design effect */
		c.design = class_design(s, ref, cur, k);
	if (isnan(c.design))
		return ns_fail(NS_NO_MEMORY, "out of memory for the classes of sequences");
	for (i = 0; ns_drift_detectors[i]; i++) {
		const struct ns_drift_detector *method = ns_drift_detectors[i];
		struct ns_drift_test *t;

		if (!method->counts || !ns_drift_is_enabled(s, method) || (c.classes < 2 && !method->decides))
			continue;
		t = ns_drift_add(s, "output", method, "predicted class");
		if (!t)
			return ns_fail(NS_NO_MEMORY, "out of memory for tests");
		if (c.classes < 2)
			t->note = "is constant";
		else
			NS_TRY(method->counts(&c, t));
	}
	return NS_OK;
}

static enum ns_status class_counts(struct ns_drift *s)
{
	int k = ns_drift_class_count(s);
	int64_t *count, i;
	enum ns_status status;

	count = calloc(2 * (size_t)(k + 1), sizeof *count);
	if (!count)
		return ns_fail(NS_NO_MEMORY, "out of memory for class counts");
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

/* --- the model's confidence --- */

struct confidence {
	const struct ns_predictions *p;
	float *out; /* (rows, 2): the largest probability, and the entropy in nats */
};

static enum ns_status confidence_of_rows(void *context, int64_t first, int64_t n, const float *x)
{
	const struct confidence *u = context;
	int k = u->p->prob.d, c;
	int64_t i;

	NS_TRY(ns_predictions_check_prob(u->p, first, n, x));
	for (i = 0; i < n; i++) {
		float top = 0;
		double entropy = 0;

		for (c = 0; c < k; c++) {
			float p = x[i * k + c];

			top = p > top ? p : top;
			entropy -= p > 0 ? (double)p * log((double)p) : 0;
		}
		u->out[2 * (first + i)] = top;
		u->out[2 * (first + i) + 1] = (float)entropy;
	}
	return NS_OK;
}

/* Collective. Ranks share the rows; the two floats of a row are one word of 8 bytes. */
static enum ns_status confidences(struct ns_drift *s, const struct ns_predictions *p, float **out)
{
	struct confidence u = {p, calloc((size_t)p->rows + 1, 2 * sizeof *u.out)};
	enum ns_status status =
		u.out ? ns_drift_each_row(s, &p->prob, confidence_of_rows, &u) : ns_fail(NS_NO_MEMORY, "out of memory for confidences");

	*out = u.out;
	return ns_drift_gather(s, status, u.out, (size_t)p->rows);
}

static enum ns_status output_tests(struct ns_drift *s)
{
	static char *const names[] = {"confidence", "entropy"};
	struct ns_matrix ref = {.rows = s->ref.rows, .d = 2}, cur = {.rows = s->cur.rows, .d = 2};
	struct ns_columns of[2];

	NS_TRY(confidences(s, &s->ref, &s->ref_confidence));
	NS_TRY(confidences(s, &s->cur, &s->cur_confidence));
	ref.data = s->ref_confidence;
	cur.data = s->cur_confidence;
	NS_TRY(ns_drift_columns(s, "output", &(struct ns_columns){.of = &ref}, &(struct ns_columns){.of = &cur}, names, ""));
	of[0] = ns_drift_class_columns(s, &s->ref.prob);
	of[1] = ns_drift_class_columns(s, &s->cur.prob);
	return ns_drift_columns(s, "output", &of[0], &of[1], s->picks ? s->pick_names : s->ref.names, "P: ");
}

enum ns_status ns_drift_test_all(struct ns_drift *s)
{
	NS_TRY(ns_drift_pick_classes(s));
	if (s->ref.stats.d && s->cur.stats.d)
		NS_TRY(ns_drift_columns(s, "input", &(struct ns_columns){.of = &s->ref.stats}, &(struct ns_columns){.of = &s->cur.stats},
					s->ref.stats_names, ""));
	if (s->ref.monitor.d && s->cur.monitor.d)
		NS_TRY(ns_drift_columns(s, "output", &(struct ns_columns){.of = &s->ref.monitor}, &(struct ns_columns){.of = &s->cur.monitor},
					s->ref.monitor_names, ""));
	if (s->ref.prob.d && s->cur.prob.d)
		NS_TRY(output_tests(s));
	if (s->ref.pred && s->cur.pred)
		NS_TRY(class_counts(s));
	if (s->ref.embedding.d && s->cur.embedding.d)
		NS_TRY(ns_drift_test_rows(s));
	if (!s->count)
		return ns_fail(NS_BAD_DATA, "the two windows have no column in common that a detector of drift.detectors tests");
	NS_TRY(ns_drift_test_slices(s));
	return ns_drift_self_test(s);
}
