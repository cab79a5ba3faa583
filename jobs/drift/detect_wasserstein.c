/* jobs/drift/detect_wasserstein.c - the detector wasserstein, of single columns. */
#include "jobs/drift/drift_inner.h"

#include <math.h>

#include "host/stat/stat.h"

static enum ns_status wasserstein_column(const struct ns_drift_column *c, struct ns_drift_figures *f)
{
	double unit = c->deviation > 0 ? c->deviation : NAN, low, high;

	NS_TRY(ns_stat_wasserstein_interval(c->ref, c->ref_rows, c->cur, c->cur_rows, c->m, c->n, c->shift.wasserstein, c->seed, c->key, &low,
					    &high));
	f->statistic = c->shift.wasserstein;
	f->effect = c->shift.wasserstein / unit;
	f->low = low / unit;
	f->high = high / unit;
	f->noted = isnan(unit);
	return NS_OK;
}

const struct ns_drift_detector ns_detector_wasserstein = {
	.name = "wasserstein",
	.title = "Wasserstein-1",
	.statistic = "in the column's unit",
	.effect = "divided by the reference's standard deviation, 95 % by bootstrap",
	.meaning = "How far values would have to be carried, on average, to turn one window into the other.",
	.source = "Vaserstein 1969",
	.column = wasserstein_column,
	.in_order = 1,
	.column_note = "the reference is constant: there is no unit for its effect",
};
