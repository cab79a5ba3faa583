/* jobs/drift/detect_ks.c - the detector ks, of single columns. */
#include "jobs/drift/drift_inner.h"

#include <math.h>

#include "host/stat/stat.h"

static enum ns_status ks_column(const struct ns_drift_column *c, struct ns_drift_figures *f)
{
	double half = 1.3581 * sqrt((c->m + c->n) / (c->m * c->n));

	f->statistic = f->effect = c->shift.ks;
	f->low = fmax(0, f->effect - half);
	f->high = fmin(1, f->effect + half);
	f->p = ns_stat_ks_p(c->shift.ks, (int64_t)c->m, (int64_t)c->n);
	return NS_OK;
}

const struct ns_drift_detector ns_detector_ks = {
	.name = "ks",
	.decides = 1,
	.title = "Kolmogorov-Smirnov",
	.statistic = "D",
	.effect = "D, 0 to 1, with its 95 % band",
	.meaning = "The largest gap between the shares of rows below any value; sees moves of the middle of a distribution best.",
	.source = "Hodges 1957; Marsaglia, Tsang, Wang 2003",
	.column = ks_column,
};
