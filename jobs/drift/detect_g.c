/* jobs/drift/detect_g.c - the detector g, of predicted classes. */
#include "jobs/drift/drift_inner.h"

#include "host/stat/stat.h"

static enum ns_status g_counts(const struct ns_drift_counts *c, struct ns_drift_test *t)
{
	double least, chi2;

	t->p = ns_stat_g_counts(c->ref, c->cur, c->k, &t->statistic, &least);
	ns_stat_chi2_counts(c->ref, c->cur, c->k, &chi2, &t->effect);
	if (c->sequences)
		t->p = ns_stat_chi2_sf(t->statistic / c->design, c->classes - 1);
	return NS_OK;
}

const struct ns_drift_detector ns_detector_g = {
	.name = "g",
	.title = "G",
	.statistic = "2 sum O ln (O / E)",
	.effect = "Cramer's V",
	.meaning = "The likelihood's version of chi-square; supports it.",
	.source = "Sokal, Rohlf 1981; corrected as by Williams 1976",
	.counts = g_counts,
};
