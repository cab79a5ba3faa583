/* jobs/drift/detect_fid.c - the detector fid, of whole rows. */
#include "jobs/drift/drift_inner.h"

#include <math.h>

#include "host/stat/stat.h"

#define FRECHET_DIM 2048 /* most dimensions: its cost is cubic, seconds at this size */

static void fid_sample(const struct ns_drift_sample *w, uint64_t seed, struct ns_drift_test *t)
{
	(void)seed;
	t->statistic = ns_stat_fid(w->ref, w->ref_rows, w->cur, w->cur_rows, w->d);
	t->note = isnan(t->statistic) ? "needs two rows on each side" : NULL;
}

static enum ns_status fid_rows(struct ns_drift *s, struct ns_drift_test *t)
{
	if (s->ref.embedding.d > FRECHET_DIM)
		t->note = "more than 2,048 dimensions";
	return t->note ? NS_OK : ns_drift_sampled(s, t, NS_DECIDING_ROWS, fid_sample);
}

const struct ns_drift_detector ns_detector_fid = {
	.name = "fid",
	.title = "Frechet distance",
	.statistic = "squared distance of two normals",
	.effect = "none",
	.meaning = "Means and covariances of embeddings compared; no p-value.",
	.source = "Heusel et al. 2017",
	.rows = fid_rows,
};
