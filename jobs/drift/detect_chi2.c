/* jobs/drift/detect_chi2.c - the detector chi2, of predicted classes. */
#include "jobs/drift/drift_inner.h"

#include <math.h>

#include "host/stat/stat.h"

#define EXPECTED 5 /* below this expected count in a cell, its p comes from random tables with the same margins */

static enum ns_status chi2_counts(const struct ns_drift_counts *c, struct ns_drift_test *t)
{
	double wide = 1.96 * sqrt(1.0 / (double)(c->ref_rows + c->cur_rows)), g, least;

	t->p = ns_stat_chi2_counts(c->ref, c->cur, c->k, &t->statistic, &t->effect);
	t->effect_low = fmax(0, t->effect - wide);
	t->effect_high = fmin(1, t->effect + wide);
	if (c->sequences) {
		t->p = ns_stat_chi2_sf(t->statistic / c->design, c->classes - 1);
		t->note = "rows of a sequence are not independent: divided by the design effect";
		return NS_OK;
	}
	ns_stat_g_counts(c->ref, c->cur, c->k, &g, &least);
	if (least >= EXPECTED)
		return NS_OK;
	t->p = ns_stat_chi2_draws(c->ref, c->cur, c->k, c->permutations, c->seed);
	t->note = "a class is expected fewer than five times: p by permutation";
	return isnan(t->p) ? ns_fail(NS_NO_MEMORY, "out of memory for drawn tables") : NS_OK;
}

const struct ns_drift_detector ns_detector_chi2 = {
	.name = "chi2",
	.decides = 1,
	.title = "chi-square",
	.statistic = "chi-square of the 2 x K table",
	.effect = "Cramer's V",
	.meaning = "Whether classes are predicted as often as before; permuted where a class is expected fewer than five times.",
	.source = "Pearson 1900",
	.counts = chi2_counts,
};
