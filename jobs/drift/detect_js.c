/* jobs/drift/detect_js.c - the detector js, of single columns and of predicted classes. */
#include "jobs/drift/drift_inner.h"

#include <math.h>

#include "host/stat/stat.h"

static enum ns_status js_column(const struct ns_drift_column *c, struct ns_drift_figures *f)
{
	f->statistic = f->effect = ns_stat_js(c->ref_bins, c->cur_bins, c->bins);
	f->noted = c->bins < 2;
	f->high = f->noted ? NAN : ns_stat_js_no_drift(c->bins, c->m, c->n);
	return NS_OK;
}

static enum ns_status js_counts(const struct ns_drift_counts *c, struct ns_drift_test *t)
{
	t->statistic = t->effect = ns_stat_js(c->ref, c->cur, c->k);
	t->effect_high = c->design * ns_stat_js_no_drift(c->classes, (double)c->ref_rows, (double)c->cur_rows);
	return NS_OK;
}

const struct ns_drift_detector ns_detector_js = {
	.name = "js",
	.title = "Jensen-Shannon divergence",
	.statistic = "nats, at most ln 2",
	.effect = "the divergence; as its high end the 95 % point without drift",
	.meaning = "How surprised one window's code would be by the other.",
	.source = "Lin 1991",
	.column = js_column,
	.in_order = 1,
	.counts = js_counts,
};
