/* jobs/drift/rows.c - embeddings: the detectors of whole rows; samples are in sample.c, projections in project.c. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdatomic.h>

struct finite {
	int d;
	atomic_llong broken; /* rows with a value that is no number */
};

static enum ns_status finite_rows(void *context, int64_t first, int64_t n, const float *x)
{
	struct finite *f = context;
	long long broken = 0;
	int64_t i;

	(void)first;
	for (i = 0; i < n; i++)
		broken += !ns_drift_all_finite(x + i * f->d, f->d);
	atomic_fetch_add(&f->broken, broken);
	return NS_OK;
}

/* Collective. Rows of a window that are not whole. Ranks share them. */
static enum ns_status look_for_numbers(struct ns_drift *s, const struct ns_matrix *of, int64_t *broken)
{
	struct finite f = {.d = of->d};
	enum ns_status status = ns_drift_each_row(s, of, finite_rows, &f);

	*broken = atomic_load(&f.broken);
	return ns_drift_gather(s, status, broken, 1);
}

/* Design effect of a row's being broken is not known without another pass; sequences lose all of their rows or none. */
static double broken_design(const struct ns_drift *s)
{
	return s->ref_block ? fmax(1, fmax((double)s->ref.rows / (double)s->ref_blocks, (double)s->cur.rows / (double)s->cur_blocks)) : 1;
}

enum ns_status ns_drift_test_rows(struct ns_drift *s)
{
	int64_t broken[2];
	int i;

	NS_TRY(look_for_numbers(s, &s->ref.embedding, &broken[0]));
	NS_TRY(look_for_numbers(s, &s->cur.embedding, &broken[1]));
	NS_TRY(ns_drift_missing(s, "embedding", "embedding", broken, broken_design(s)));
	if (broken[0] == s->ref.rows || broken[1] == s->cur.rows) {
		struct ns_drift_test *t = ns_drift_add(s, "embedding", &ns_detector_mmd, "embedding");

		if (t)
			t->note = broken[0] == s->ref.rows ? "has no row of finite numbers in the reference"
							   : "has no row of finite numbers in the current window";
		return t ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for tests");
	}
	if (ns_drift_is_enabled(s, &ns_detector_ks))
		NS_TRY(ns_drift_components(s));
	if (s->projections && ns_drift_is_enabled(s, &ns_detector_ks))
		NS_TRY(ns_drift_projections(s, s->projections));
	for (i = 0; ns_drift_detectors[i]; i++) {
		const struct ns_drift_detector *method = ns_drift_detectors[i];
		struct ns_drift_test *t;

		if (!method->rows || !ns_drift_is_enabled(s, method))
			continue;
		t = ns_drift_add(s, "embedding", method, "embedding");
		NS_TRY(t ? method->rows(s, t) : ns_fail(NS_NO_MEMORY, "out of memory for tests"));
		if (t->note)
			t->status = NS_DRIFT_UNTESTED;
	}
	return NS_OK;
}
