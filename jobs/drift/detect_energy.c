/* jobs/drift/detect_energy.c - the detector energy, of single columns and of whole rows. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>

static enum ns_status energy_column(const struct ns_drift_column *c, struct ns_drift_figures *f)
{
	f->statistic = c->shift.energy;
	f->effect = c->shift.energy / (2 * c->shift.across);
	return NS_OK;
}

/* gamma = 1 / an upper bound of all distances: twice the largest distance from the reference's mean */
static enum ns_status scale_distances(struct ns_drift_permutation *g)
{
	float *mean = calloc((size_t)g->d, sizeof *mean), most = 0;
	int64_t i;
	int c;

	if (!mean)
		return ns_fail(NS_NO_MEMORY, "out of memory for a mean");
	for (c = 0; c < g->d; c++) {
		double sum = 0;

		for (i = 0; i < g->m; i++)
			sum += (double)g->x[i * g->d + c];
		mean[c] = (float)(sum / (double)g->m);
	}
	for (i = 0; i < g->m; i++)
		most = fmaxf(most, ns_drift_distance2(g->x + i * g->d, mean, g->d));
	for (i = 0; i < g->n; i++)
		most = fmaxf(most, ns_drift_distance2(g->y + i * g->d, mean, g->d));
	free(mean);
	g->gamma = most > 0 ? 1 / (2 * sqrtf(most)) : 1;
	return NS_OK;
}

/* Statistic in the embeddings' unit; effect = its share of 2 E|x - y|: 0 for equal windows, 1 for two different constants. */
static enum ns_status energy_effect(struct ns_drift_permutation *g, struct ns_drift_test *t)
{
	double across = 0;
	int64_t i, j;

	for (i = 0; i < g->m; i++)
		for (j = 0; j < g->n; j++)
			across += sqrt((double)ns_drift_distance2(g->x + i * g->d, g->y + j * g->d, g->d));
	across *= 2 / ((double)g->m * (double)g->n);
	t->statistic /= (double)g->gamma;
	t->effect = across > 0 ? fmax(0, t->statistic / across) : 0;
	return NS_OK;
}

static enum ns_status energy_rows(struct ns_drift *s, struct ns_drift_test *t)
{
	return ns_drift_permuted(s, t, NS_SUPPORTING_ROWS, 1, scale_distances, energy_effect);
}

const struct ns_drift_detector ns_detector_energy = {
	.name = "energy",
	.title = "energy distance",
	.statistic = "2 E|x-y| - E|x-x'| - E|y-y'|",
	.effect = "its share of 2 E|x-y|",
	.meaning =
		"As MMD, but of plain distances, without a bandwidth to choose; of rows jointly p by permutation on up to 2,000 a side, of a column all rows and no p.",
	.source = "Szekely, Rizzo 2013",
	.column = energy_column,
	.in_order = 1,
	.rows = energy_rows,
};
