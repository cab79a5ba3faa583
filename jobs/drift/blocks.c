/*
 * jobs/drift/blocks.c - frames that were taken one after the other are not independent rows: one burst of a camera in the dark is not a
 * hundred dark images. Rows of one group whose times follow within drift.sequence_seconds form a block. Permutation tests permute blocks;
 * other tests use, column by column, the effective number of rows: that of independent rows whose mean has the same variance (Kish 1965,
 * "Survey Sampling": rows divided by the design effect 1 + (rows of a block - 1) x correlation within blocks).
 */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>

#include "datasets/predict/predict.h"

enum ns_status ns_drift_find_sequences(struct ns_drift *s)
{
	double seconds = s->sequence_seconds;

	s->ref_effective = (double)s->ref.rows;
	s->cur_effective = (double)s->cur.rows;
	if (!(seconds > 0))
		return NS_OK;
	if (!s->ref.group || !s->ref.time || !s->cur.group || !s->cur.time)
		return ns_fail(NS_BAD_DATA, "drift.sequence_seconds = %g needs the columns group and time on both sides", seconds);
	NS_TRY(ns_predictions_sequences(&s->ref, seconds, &s->ref_block, &s->ref_blocks));
	return ns_predictions_sequences(&s->cur, seconds, &s->cur_block, &s->cur_blocks);
}

enum ns_status ns_drift_close_gaps(float *x, int64_t *rows, const int32_t **block, int32_t **kept)
{
	int64_t i, n = 0;

	if (*block)
		*kept = malloc(sizeof **kept * (size_t)(*rows + 1));
	if (*block && !*kept)
		return ns_fail(NS_NO_MEMORY, "out of memory for the sequences of %lld rows", (long long)*rows);
	for (i = 0; i < *rows; i++)
		if (isfinite(x[i])) {
			if (*block)
				(*kept)[n] = (*block)[i];
			x[n++] = x[i];
		}
	*block = *kept;
	*rows = n;
	return NS_OK;
}

double ns_drift_effective_rows(const float *x, const int32_t *block, int64_t rows, int64_t blocks)
{
	double *sum, *count, mean = 0, between = 0, within = 0, squares = 0, typical, even, correlation;
	int64_t i, used = 0; /* blocks with rows here; a slice may lack some */

	if (!block || rows < 2)
		return (double)rows;
	sum = calloc(2 * (size_t)blocks, sizeof *sum);
	if (!sum)
		return 1; /* out of memory: the most cautious answer */
	count = sum + blocks;
	for (i = 0; i < rows; i++) {
		sum[block[i]] += (double)x[i];
		count[block[i]]++;
		mean += (double)x[i] / (double)rows;
	}
	for (i = 0; i < blocks; i++)
		used += count[i] > 0;
	for (i = 0; i < blocks; i++) {
		double here = sum[i] / fmax(1, count[i]) - mean;

		between += count[i] * here * here;
		squares += count[i] * count[i];
	}
	for (i = 0; i < rows; i++) {
		double apart = (double)x[i] - sum[block[i]] / count[block[i]];

		within += apart * apart;
	}
	free(sum);
	if (used < 2 || used == rows)
		return used < 2 ? 1 : (double)rows;
	typical = squares / (double)rows;		      /* mean block size, weighted by rows */
	even = ((double)rows - typical) / (double)(used - 1); /* the block size n0 of a one-way analysis of variance */
	between /= (double)(used - 1);
	within /= (double)(rows - used);
	correlation = between + (even - 1) * within > 0 ? (between - within) / (between + (even - 1) * within) : 1;
	correlation = correlation < 0 ? 0 : correlation;
	return fmax(1, (double)rows / (1 + (typical - 1) * correlation));
}
