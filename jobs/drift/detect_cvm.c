/* jobs/drift/detect_cvm.c - the detector cvm, of single columns. */
#include "jobs/drift/drift_inner.h"

#include "host/stat/stat.h"

double ns_drift_cvm_p(double t, int64_t m, int64_t n, double counts_m, double counts_n)
{
	/* without drift T averages about 1/6 at any size; under drift it grows with mn / (m + n), which effective rows reduce */
	return ns_stat_cvm_p(t * (counts_m * counts_n / (counts_m + counts_n)) / ((double)m * (double)n / (double)(m + n)), counts_m, counts_n);
}

static enum ns_status cvm_column(const struct ns_drift_column *c, struct ns_drift_figures *f)
{
	f->statistic = c->shift.cvm;
	f->p = ns_drift_cvm_p(c->shift.cvm, c->ref_rows, c->cur_rows, c->m, c->n);
	return NS_OK;
}

const struct ns_drift_detector ns_detector_cvm = {
	.name = "cvm",
	.title = "Cramer-von Mises",
	.statistic = "T",
	.effect = "none",
	.meaning = "The squared gap over all values: as KS, but it weighs the whole distribution; supports KS where both agree.",
	.source = "Anderson 1962; limit by Anderson, Darling 1952",
	.column = cvm_column,
	.in_order = 1,
};
