/* jobs/drift/detect_psi.c - the detector psi, of single columns and of predicted classes. */
#include "jobs/drift/drift_inner.h"

#include <math.h>

#include "host/stat/stat.h"

static enum ns_status psi_column(const struct ns_drift_column *c, struct ns_drift_figures *f)
{
	f->statistic = f->effect = ns_stat_psi(c->ref_bins, c->cur_bins, c->bins);
	f->noted = c->bins < 2;
	f->high = f->noted ? NAN : ns_stat_psi_no_drift(c->bins, c->m, c->n);
	return NS_OK;
}

static enum ns_status psi_counts(const struct ns_drift_counts *c, struct ns_drift_test *t)
{
	t->statistic = t->effect = ns_stat_psi(c->ref, c->cur, c->k);
	t->effect_high = c->design * ns_stat_psi_no_drift(c->classes, (double)c->ref_rows, (double)c->cur_rows);
	return NS_OK;
}

const struct ns_drift_detector ns_detector_psi = {
	.name = "psi",
	.title = "population stability index",
	.statistic = "PSI",
	.effect = "PSI; as its high end the 95 % point without drift",
	.meaning =
		"What credit scoring calls stable (classes, or ten quantile bins of the reference): only to be read beside its 95 % point, which grows as windows shrink.",
	.source = "Yurdakul 2018",
	.column = psi_column,
	.in_order = 1,
	.column_note = "the reference is nearly constant: there are no bins",
	.counts = psi_counts,
};
