/* jobs/drift/detect_kid.c - the detector kid, of whole rows. */
#include "jobs/drift/drift_inner.h"

#include <math.h>

#include "host/stat/stat.h"

static void kid_sample(const struct ns_drift_sample *w, uint64_t seed, struct ns_drift_test *t)
{
	(void)seed;
	t->statistic = ns_stat_kid(w->ref, w->ref_rows, w->cur, w->cur_rows, w->d);
	t->note = isnan(t->statistic) ? "needs two rows on each side" : NULL;
}

static enum ns_status kid_rows(struct ns_drift *s, struct ns_drift_test *t)
{
	return ns_drift_sampled(s, t, NS_SUPPORTING_ROWS, kid_sample);
}

const struct ns_drift_detector ns_detector_kid = {
	.name = "kid",
	.title = "kernel distance",
	.statistic = "unbiased, cubic kernel, may be negative",
	.effect = "none",
	.meaning = "As FID, but unbiased for small windows; no p-value.",
	.source = "Binkowski et al. 2018",
	.rows = kid_rows,
};
