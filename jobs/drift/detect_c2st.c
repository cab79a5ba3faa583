/* jobs/drift/detect_c2st.c - the detector c2st, of whole rows. */
#include "jobs/drift/drift_inner.h"

#include <math.h>

#include "host/stat/stat.h"

static void c2st_sample(const struct ns_drift_sample *w, uint64_t seed, struct ns_drift_test *t)
{
	t->p = ns_stat_c2st(w->ref, w->ref_rows, w->cur, w->cur_rows, w->d, seed, &t->effect, &t->effect_low, &t->effect_high);
	t->statistic = t->effect;
	t->note = isnan(t->p) ? "needs eight rows on each side that vary" : NULL;
}

static enum ns_status c2st_rows(struct ns_drift *s, struct ns_drift_test *t)
{
	if (s->ref_block)
		t->note = "rows of a sequence are not independent";
	return t->note ? NS_OK : ns_drift_sampled(s, t, NS_DECIDING_ROWS, c2st_sample);
}

const struct ns_drift_detector ns_detector_c2st = {
	.name = "c2st",
	.title = "classifier two-sample test",
	.statistic = "accuracy on held-out rows",
	.effect = "accuracy, 1/2 is no difference; Wilson's interval",
	.meaning = "How often a linear classifier tells from a row which window it is of.",
	.source = "Lopez-Paz, Oquab 2017",
	.rows = c2st_rows,
};
