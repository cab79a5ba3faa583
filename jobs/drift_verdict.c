/* jobs/drift_verdict.c - how well the model does on the window, estimated and measured, and the decision. */
#include "jobs/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/shift/pvalue.h"

#define NS_AUDIT_ENOUGH 30 /* audited rows from which on what they measure counts */

/* --- performance --- */

static double top_probability(const struct ns_predictions *p, int64_t i)
{
	double top = 0;
	int k;

	for (k = 0; k < p->classes; k++)
		top = fmax(top, (double)p->prob[i * p->classes + k]);
	return top;
}

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* ATC (Garg et al. 2022): the share of current scores strictly above the threshold that fits the reference's accuracy */
static double atc(const struct ns_shift *s)
{
	double *score = malloc(sizeof *score * (size_t)(s->ref.rows + 1)), threshold, above = 0;
	int64_t i, n = s->ref.rows, at;

	if (!score)
		return NAN;
	for (i = 0; i < n; i++)
		score[i] = top_probability(&s->ref, i);
	qsort(score, (size_t)n, sizeof *score, by_double);
	at = (int64_t)((double)n * (1 - s->base) + 0.5);
	threshold = score[at < 1 ? 0 : at > n ? n - 1 : at - 1];
	for (i = 0; i < s->cur.rows; i++)
		above += top_probability(&s->cur, i) > threshold;
	free(score);
	return above / (double)s->cur.rows;
}

static double labelled_accuracy(const struct ns_predictions *p, int64_t *n, double *low, double *high)
{
	int64_t i, hits = 0;

	*n = 0;
	for (i = 0; p->label && p->pred && i < p->rows; i++) {
		*n += p->label[i] >= 0;
		hits += p->label[i] >= 0 && p->label[i] == p->pred[i];
	}
	ns_wilson(hits, *n, low, high);
	if (!*n)
		*low = *high = NAN;
	return *n ? (double)hits / (double)*n : NAN;
}

static enum ns_status label_shift(struct ns_shift *s)
{
	int k = s->ref.classes, a;
	double *c = calloc((size_t)(k * k + k), sizeof *c), *mu = c + k * k;
	int64_t i, n = 0;

	s->weights = calloc((size_t)k + 1, sizeof *s->weights);
	if (!c || !s->weights) {
		free(c);
		return ns_fail(NS_NO_MEMORY, "no memory for label shift");
	}
	for (i = 0; i < s->ref.rows; i++)
		if (s->ref.label[i] >= 0) {
			c[s->ref.pred[i] * k + s->ref.label[i]]++;
			n++;
		}
	for (a = 0; a < k * k; a++)
		c[a] /= (double)n;
	for (i = 0; i < s->cur.rows; i++)
		mu[s->cur.pred[i]] += 1 / (double)s->cur.rows;
	s->condition = ns_bbse(c, mu, k, s->weights);
	if (!(s->condition < 1000)) { /* weights from such a matrix mean nothing: refused, with the number that says why */
		free(s->weights);
		s->weights = NULL;
	}
	free(c);
	return NS_OK;
}

enum ns_status ns_shift_performance(struct ns_shift *s)
{
	int64_t n = 0, i;

	s->cbpe = s->cbpe_ref = s->atc = s->condition = NAN;
	s->base = labelled_accuracy(&s->ref, &n, &s->base_low, &s->base_high);
	s->measured = labelled_accuracy(&s->cur, &s->audited, &s->measured_low, &s->measured_high);
	if (s->ref.prob && s->cur.prob) {
		s->cbpe = s->cbpe_ref = 0;
		for (i = 0; i < s->ref.rows; i++)
			s->cbpe_ref += top_probability(&s->ref, i) / (double)s->ref.rows;
		for (i = 0; i < s->cur.rows; i++)
			s->cbpe += top_probability(&s->cur, i) / (double)s->cur.rows;
		if (n)
			s->atc = atc(s);
	}
	if (n == s->ref.rows && s->ref.pred && s->cur.pred && s->ref.classes)
		return label_shift(s);
	return NS_OK;
}

/* --- the verdict --- */

static int harmful(const struct ns_shift *s)
{
	double base = isnan(s->base) ? s->cbpe_ref : s->base;

	if (!isnan(s->measured) && s->audited >= NS_AUDIT_ENOUGH) /* measured beats estimated: it fell by more than chance and tolerance */
		return s->measured_high < base && s->measured < base - s->tolerance;
	return (!isnan(s->cbpe) && s->cbpe < s->cbpe_ref - s->tolerance) || (!isnan(s->atc) && s->atc < base - s->tolerance);
}

void ns_shift_decide(struct ns_shift *s)
{
	double *p = malloc(sizeof *p * 2 * (size_t)(s->count + 1)), *adjusted = p + s->count;
	int i, n = 0, bh = !strcmp(ns_conf_text(s->job->conf, "drift.correction"), "bh");

	for (i = 0; p && i < s->count; i++)
		if (!isnan(s->tests[i].p))
			p[n++] = s->tests[i].p;
	if (p && bh)
		ns_benjamini_hochberg(p, adjusted, n);
	else if (p)
		ns_holm(p, adjusted, n);
	s->status = NS_SHIFT_NONE;
	for (i = n = 0; p && i < s->count; i++) {
		struct ns_shift_test *t = &s->tests[i];

		if (isnan(t->p)) {
			t->status = NS_SHIFT_UNTESTED;
			continue;
		}
		t->p_adjusted = adjusted[n++];
		/* BH rejects at <= alpha, Holm below it */
		if (bh ? t->p_adjusted > s->alpha : t->p_adjusted >= s->alpha)
			t->status = NS_SHIFT_NONE;
		else
			t->status = t->effect >= s->min_effect ? NS_SHIFT_MATERIAL : NS_SHIFT_STATISTICAL;
		if (t->status > s->status)
			s->status = t->status;
	}
	/* an estimate of harm counts where something has moved; harm that was measured counts by itself (concept drift) */
	if ((s->status == NS_SHIFT_MATERIAL || (!isnan(s->measured) && s->audited >= NS_AUDIT_ENOUGH)) && harmful(s))
		s->status = NS_SHIFT_HARMFUL;
	/* what became no number has shifted, whatever a test can say of it */
	for (i = 0; i < s->count; i++)
		if (s->tests[i].broken && s->status < NS_SHIFT_MATERIAL)
			s->status = NS_SHIFT_MATERIAL;
	free(p);
}
