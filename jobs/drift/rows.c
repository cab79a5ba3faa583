/* jobs/drift/rows.c - embeddings: the detectors of whole rows; samples are in sample.c, projections in project.c. */
#include "jobs/drift/drift_inner.h"

#include <stdatomic.h>
struct finite {
	int d;
	atomic_int broken;
};

static enum ns_status finite_rows(void *context, int64_t first, int64_t n, const float *x)
{
	struct finite *f = context;

	(void)first;
	if (!ns_drift_all_finite(x, n * f->d))
		atomic_store(&f->broken, 1);
	return NS_OK;
}

/* Collective. Are all values of a window finite? Ranks share its rows. */
static enum ns_status look_for_numbers(struct ns_drift *s, const struct ns_matrix *of, int *finite)
{
	struct finite f = {.d = of->d};
	enum ns_status status = ns_drift_each_row(s, of, finite_rows, &f);
	int64_t broken = atomic_load(&f.broken);

	status = ns_drift_gather(s, status, &broken, 1);
	*finite = !broken;
	return status;
}

enum ns_status ns_drift_test_rows(struct ns_drift *s)
{
	int ref, cur, i;

	NS_TRY(look_for_numbers(s, &s->ref.embedding, &ref));
	NS_TRY(look_for_numbers(s, &s->cur.embedding, &cur));
	if (!ref || !cur) {
		struct ns_drift_test *t = ns_drift_add(s, "embedding", &ns_detector_mmd, "embedding");

		if (t) {
			t->note = "has values that are no finite numbers";
			t->broken = ref;
		}
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
