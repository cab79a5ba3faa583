/* jobs/drift/performance.c - the model's accuracy on the window, estimated and measured, label shift, doubtful labels. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "kernels/formula/random.h"

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * ATC, average thresholded confidence (Garg et al. 2022): the threshold is such that the share of reference rows above it is the reference's
 * accuracy; the share of current rows above it, less that of the reference's own rows, which ties keep from the accuracy, is how far it fell.
 */
static enum ns_status atc(struct ns_drift *s)
{
	double *score = malloc(sizeof *score * (size_t)(s->ref.rows + 1)), threshold, above = 0, before = 0, m = s->ref_effective,
	       n = s->cur_effective;
	int64_t i, rows = s->ref.rows, at;

	if (!score)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld confidences", (long long)rows);
	for (i = 0; i < rows; i++)
		score[i] = (double)s->ref_confidence[2 * i];
	qsort(score, (size_t)rows, sizeof *score, by_double);
	at = (int64_t)((double)rows * (1 - s->base) + 0.5);
	threshold = score[at < 1 ? 0 : at > rows ? rows - 1 : at - 1];
	for (i = 0; i < s->cur.rows; i++)
		above += (double)s->cur_confidence[2 * i] > threshold;
	for (i = 0; i < rows; i++)
		before += score[i] > threshold;
	free(score);
	s->atc = above / (double)s->cur.rows;
	s->atc_ref = before / (double)rows;
	s->atc_error = sqrt(s->atc_ref * (1 - s->atc_ref) / m + s->atc * (1 - s->atc) / n);
	s->fall_units[1] = (s->atc_ref - s->atc) / sqrt(fmax(s->atc_ref * (1 - s->atc_ref), 1e-4));
	return NS_OK;
}

/* CBPE, confidence-based performance estimation: the mean confidence. */
static void cbpe(struct ns_drift *s)
{
	const float *side[2] = {s->ref_confidence, s->cur_confidence};
	const int64_t rows[2] = {s->ref.rows, s->cur.rows};
	double mean[2] = {0, 0}, square[2] = {0, 0};
	int64_t i;
	int w;

	for (w = 0; w < 2; w++) {
		for (i = 0; i < rows[w]; i++)
			mean[w] += (double)side[w][2 * i] / (double)rows[w];
		for (i = 0; i < rows[w]; i++)
			square[w] += ((double)side[w][2 * i] - mean[w]) * ((double)side[w][2 * i] - mean[w]) / (double)rows[w];
	}
	s->cbpe_ref = mean[0];
	s->cbpe = mean[1];
	s->cbpe_error = sqrt(square[0] / s->ref_effective + square[1] / s->cur_effective);
	s->fall_units[0] = (mean[0] - mean[1]) / sqrt(fmax(square[0], 1e-6));
}

enum ns_status ns_drift_accuracy(const struct ns_predictions *p, const int32_t *row, int64_t n, const int32_t *block, int64_t blocks,
				 double *accuracy, int64_t *labelled, double *low, double *high)
{
	float *hit = malloc(sizeof *hit * (size_t)(n + 1));
	int32_t *of = malloc(sizeof *of * (size_t)(n + 1));
	int64_t i, with = 0;
	double counts, hits = 0, all = 0, squares = 0; /* hits and all by their weights */

	for (i = 0; hit && of && p->label && p->pred && i < n; i++) {
		int64_t r = row ? row[i] : i;
		double weight = p->weight ? (double)p->weight[r] : 1;

		if (p->label[r] < 0)
			continue;
		of[with] = block ? block[r] : 0;
		hit[with] = (float)(p->label[r] == p->pred[r]);
		hits += weight * (p->label[r] == p->pred[r]);
		all += weight;
		squares += weight * weight;
		with++;
	}
	*labelled = with;
	*accuracy = with ? hits / all : NAN;
	*low = *high = NAN;
	if (with) { /* frames of a sequence are right or wrong together, and weights are unequal, so the interval is that of the effective number of rows */
		counts = ns_drift_effective_rows(hit, block ? of : NULL, with, blocks) * (all * all / squares / (double)with);
		ns_stat_wilson((int64_t)(hits / all * counts + 0.5), (int64_t)(counts + 0.5), low, high);
	}
	free(hit);
	free(of);
	return hit && of ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the labels of %lld rows", (long long)n);
}

#define BOOTSTRAPS 200

/* A bootstrap draw of a cell; `share` is its effective over its actual number of rows, which are not independent. */
static double resample(const struct ns_drift *s, double count, double share, int round, int cell)
{
	struct ns_philox r = ns_draw(s->seed, NS_FOR_BOOTSTRAP, (uint32_t)round, (uint64_t)cell, 1);

	return count > 0 ? ns_stat_poisson(share * count, r.v[0], r.v[1]) : 0;
}

/* 95 % percentile intervals of the weights, by a Poisson bootstrap of every cell of both tables. */
static void weight_intervals(struct ns_drift *s, const double *counts, const double *seen, int k)
{
	double *c = malloc(sizeof *c * (size_t)(k * k + 2 * k)), *mu = c + k * k, *w = mu + k, *all = malloc(sizeof *all * (size_t)k * BOOTSTRAPS);
	int b, a, n = 0;

	for (b = 0; c && all && b < BOOTSTRAPS; b++) {
		double total = 0, rows = 0;

		for (a = 0; a < k * k; a++)
			total += c[a] = resample(s, counts[a], s->ref_effective / (double)s->ref.rows, b, a);
		for (a = 0; a < k; a++)
			rows += mu[a] = resample(s, seen[a], s->cur_effective / (double)s->cur.rows, b, k * k + a);
		for (a = 0; a < k * k; a++)
			c[a] /= fmax(1, total);
		for (a = 0; a < k; a++)
			mu[a] /= fmax(1, rows);
		if (ns_stat_bbse(c, mu, k, w) < 1e6) {
			for (a = 0; a < k; a++)
				all[a * BOOTSTRAPS + n] = w[a];
			n++;
		}
	}
	s->weights_low = malloc(sizeof(double) * (size_t)k);
	s->weights_high = malloc(sizeof(double) * (size_t)k);
	for (a = 0; s->weights_low && s->weights_high && a < k; a++) {
		s->weights_low[a] = s->weights_high[a] = NAN;
		if (n < BOOTSTRAPS / 2)
			continue;
		qsort(all + a * BOOTSTRAPS, (size_t)n, sizeof *all, by_double);
		s->weights_low[a] = all[a * BOOTSTRAPS + n * 25 / 1000];
		s->weights_high[a] = all[a * BOOTSTRAPS + n - 1 - n * 25 / 1000];
	}
	free(c);
	free(all);
}

static enum ns_status label_shift(struct ns_drift *s)
{
	int k = s->ref.prob.d, a;
	double *c, *mu, *counts, *seen;
	int64_t i, n = 0;

	if (k > NS_BBSE_CLASSES)
		return NS_OK;
	for (i = 0; i < s->ref.rows; i++)
		if (s->ref.pred[i] >= k || s->ref.label[i] >= k)
			return NS_OK;
	for (i = 0; i < s->cur.rows; i++)
		if (s->cur.pred[i] >= k) /* the reference's confusion matrix does not have this class */
			return NS_OK;
	c = calloc((size_t)(2 * (k * k + k)), sizeof *c);
	mu = c + k * k;
	counts = mu + k;
	seen = counts + k * k;
	s->weights = calloc((size_t)k + 1, sizeof *s->weights);
	if (!c || !s->weights) {
		free(c);
		return ns_fail(NS_NO_MEMORY, "out of memory for label shift");
	}
	for (i = 0; i < s->ref.rows; i++)
		if (s->ref.label[i] >= 0) {
			counts[s->ref.pred[i] * k + s->ref.label[i]]++;
			n++;
		}
	for (i = 0; i < s->cur.rows; i++)
		seen[s->cur.pred[i]]++;
	for (a = 0; a < k * k; a++)
		c[a] = counts[a] / (double)n;
	for (a = 0; a < k; a++)
		mu[a] = seen[a] / (double)s->cur.rows;
	s->condition = ns_stat_bbse(c, mu, k, s->weights);
	if (!(s->condition < 1000)) { /* so ill-conditioned that the weights would be noise: refused, the condition number is reported */
		free(s->weights);
		s->weights = NULL;
	} else {
		weight_intervals(s, counts, seen, k);
		/* the accuracy under label shift alone */
		for (a = 0, s->reweighted = 0; a < k; a++)
			s->reweighted += fmax(0, s->weights[a]) * c[a * k + a];
		s->reweighted = fmin(1, s->reweighted);
	}
	free(c);
	return NS_OK;
}

#define LABELS 4096 /* labelled rows whose probabilities are read together */

struct doubt {
	const struct ns_predictions *p;
	int64_t *row; /* the labelled rows, n of them */
	int64_t n;
	float *prob;
	int32_t *label;
	struct ns_stat_confident c;
};

static enum ns_status look_at_labels(struct doubt *q, int judge)
{
	int64_t first, n, i;

	for (first = 0; first < q->n; first += LABELS) {
		n = q->n - first < LABELS ? q->n - first : LABELS;
		NS_TRY(ns_matrix_pick(&q->p->prob, q->row + first, n, q->prob));
		for (i = 0; i < n; i++) {
			NS_TRY(ns_predictions_check_prob(q->p, q->row[first + i], 1, q->prob + i * q->p->prob.d));
			q->label[i] = q->p->label[q->row[first + i]];
		}
		if (judge)
			ns_stat_confident_judge(&q->c, q->prob, q->label, n, NULL);
		else
			ns_stat_confident_learn(&q->c, q->prob, q->label, n);
	}
	return NS_OK;
}

/* Counts labels of audited rows that confident learning flags as wrong: one pass for its thresholds, one to judge. */
static enum ns_status doubt_labels(struct ns_drift *s)
{
	struct doubt q = {.p = &s->cur,
			  .row = malloc(sizeof *q.row * (size_t)(s->cur.rows + 1)),
			  .prob = malloc(sizeof *q.prob * LABELS * (size_t)s->cur.prob.d),
			  .label = malloc(sizeof *q.label * LABELS)};
	enum ns_status status =
		q.row && q.prob && q.label ? ns_stat_confident_init(&q.c, s->cur.prob.d) : ns_fail(NS_NO_MEMORY, "out of memory for labels");
	int64_t i;

	if (status != NS_OK)
		goto out;
	for (i = 0; i < s->cur.rows; i++)
		if (s->cur.label[i] >= 0 && s->cur.label[i] < s->cur.prob.d)
			q.row[q.n++] = i;
	NS_GO(look_at_labels(&q, 0));
	NS_GO(look_at_labels(&q, 1));
	s->suspects = q.c.suspects;
out:
	ns_stat_confident_release(&q.c);
	free(q.row);
	free(q.prob);
	free(q.label);
	return status;
}

enum ns_status ns_drift_performance(struct ns_drift *s)
{
	int64_t n = 0;

	s->cbpe = s->cbpe_ref = s->atc = s->atc_ref = s->condition = s->reweighted = s->cbpe_error = s->atc_error = NAN;
	s->fall_units[0] = s->fall_units[1] = NAN;
	NS_TRY(ns_drift_accuracy(&s->ref, NULL, s->ref.rows, s->ref_block, s->ref_blocks, &s->base, &n, &s->base_low, &s->base_high));
	s->base_rows = n;
	NS_TRY(ns_drift_accuracy(&s->cur, NULL, s->cur.rows, s->cur_block, s->cur_blocks, &s->measured, &s->audited, &s->measured_low,
				 &s->measured_high));
	if (s->ref_confidence && s->cur_confidence) {
		cbpe(s);
		if (n)
			NS_TRY(atc(s));
	}
	NS_TRY(ns_drift_tracks(s));
	if (s->audited && s->cur.prob.d)
		NS_TRY(doubt_labels(s));
	if (n == s->ref.rows && s->ref.pred && s->cur.pred && s->ref.prob.d)
		return label_shift(s);
	return NS_OK;
}
