/* host/judge/nights_fit.c - what is usual: the centre, weekdays, memory, scale and correlation of the quiet nights. */
#include "host/judge/nights_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PRIOR_SD .2 /* of day effects */
#define PRIOR_DF 6.

static double clip(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

/* What a fit works on: the window's nights, and behind them those of earlier releases. */
struct work {
	const struct ns_nights_night *night; /* the window */
	int count, all;			     /* all: with the earlier ones, which come first in r */
	double *r;			     /* (all, k): residuals; NAN where a night is not quiet, or has no value */
};

/* The centre, and weekdays where they explain more than chance: kept where F > 2, times 1 - 1/F. */
static void fit_column(struct ns_nights *n, struct work *w, int j, int carried)
{
	double sum = 0, day[7] = {0}, count[7] = {0}, total = 0, between = 0, known = 0, f, share;
	double *r = w->r + (int64_t)(w->all - w->count) * n->k + j;
	int i, d;

	for (i = 0; i < w->count; i++)
		if (w->night[i].quiet && !isnan(w->night[i].x[j])) {
			sum += w->night[i].x[j] - (carried ? n->kept[w->night[i].weekday * n->k + j] : 0);
			known++;
		}
	n->known[j] = known;
	n->mu[j] = sum / fmax(known + n->pool[j], 1); /* a pool without dates is one night, at 0; of dated ones it costs little */
	for (i = 0; i < w->count; i++) {
		const struct ns_nights_night *a = &w->night[i];
		double back = carried ? n->kept[a->weekday * n->k + j] : 0;

		r[i * n->k] = a->quiet ? a->x[j] - back - n->mu[j] : NAN;
		if (isnan(r[i * n->k]))
			continue;
		day[a->weekday] += r[i * n->k];
		count[a->weekday]++;
		total += r[i * n->k] * r[i * n->k];
	}
	for (d = 0; d < 7; d++) {
		day[d] /= fmax(count[d], 1);
		between += count[d] * day[d] * day[d];
	}
	f = between / 6 / fmax((total - between) / fmax(known - 7, 1), 1e-12);
	share = known >= 21 && f > 2 ? 1 - 1 / f : 0;
	for (d = 0; d < 7; d++) {
		day[d] *= share;
		n->b[d * n->k + j] = day[d] + (carried ? n->kept[d * n->k + j] : 0);
	}
	for (i = 0; i < w->count; i++)
		r[i * n->k] -= day[w->night[i].weekday];
}

struct moments {
	double nights;	  /* with a value */
	double q, r1, r2; /* the sum of squares; correlations at one and two nights, with the bias of a short series added */
};

/* The mean product of residuals of column i on a night and of column j so many nights before; *nights: how many have both. */
static double product(const struct ns_nights *n, const struct work *w, int i, int j, int back, double *nights)
{
	double sum = 0;
	int t;

	*nights = 0;
	for (t = back; t < w->all; t++) {
		double p = w->r[t * n->k + i] * w->r[(t - back) * n->k + j];

		if (isnan(p))
			continue;
		sum += p;
		++*nights;
	}
	return sum / fmax(*nights, 1);
}

static struct moments moments_of(const struct ns_nights *n, const struct work *w, int j)
{
	struct moments m = {0, 0, 0, 0};
	double mean = product(n, w, j, j, 0, &m.nights), nights = fmax(m.nights, 1), pairs;

	m.q = mean * nights;
	mean = fmax(mean, 1e-12);
	m.r1 = clip(product(n, w, j, j, 1, &pairs) / mean, -1, 1);
	m.r1 = clip(m.r1 + (1 + 3 * clip(m.r1, 0, 1)) / nights, 0, .95);
	m.r2 = product(n, w, j, j, 2, &pairs) / mean + 3 / nights;
	return m;
}

/* Degrees of freedom that the tails allow: 4 + 6 / excess kurtosis, of residuals or (steps) of their innovations. */
static double tail_df(const struct ns_nights *n, const struct work *w, int first, int d, int steps)
{
	double two = 0, four = 0, count = 0;
	int i, j;

	if (w->all - steps <= 14)
		return 4 + 6 / .3;
	for (i = steps; i < w->all; i++)
		for (j = first; j < first + d; j++) {
			double z = w->r[i * n->k + j] / sqrt(n->v[j]);

			if (steps)
				z = (z - n->rho[j] * w->r[(i - 1) * n->k + j] / sqrt(n->v[j])) / sqrt(1 - n->rho[j] * n->rho[j]);
			if (isnan(z))
				continue;
			two += z * z;
			four += z * z * z * z;
			count++;
		}
	return 4 + 6 / fmax(four / pow(fmax(two, 1e-9), 2) * count - 3, .05);
}

/* L of A = L L', in place; a pivot that rounding has made negative is one of nothing. */
static void cholesky(double *a, int d)
{
	int i, j, t;

	for (j = 0; j < d; j++)
		for (i = j; i < d; i++) {
			double s = a[i * d + j];

			for (t = 0; t < j; t++)
				s -= a[i * d + t] * a[j * d + t];
			a[i * d + j] = i == j ? sqrt(fmax(s, 1e-9)) : s / a[j * d + j];
		}
}

/* Memory, scale and correlation of a family: each column's own, shrunk to the family's, and that to the prior. */
static void fit_family(struct ns_nights *n, const struct work *w, int f, int first, const struct moments *m)
{
	int d = n->of.columns[f], i, j;
	double r1 = 0, r2 = 0, nights = 0, pool, phi, nu[NS_JUDGE_COLUMNS], own[NS_JUDGE_COLUMNS], sum = 0, weight = 0, family, mean, alpha, both;
	double *c = n->chol[f];

	for (j = first; j < first + d; j++) {
		r1 += m[j].r1;
		r2 += m[j].r2;
		nights = fmax(nights, m[j].nights);
	}
	pool = nights > 14 ? r1 / d : .6;
	phi = nights > 28 ? clip(r2 / fmax(r1, .3), .7, .95) : .7;
	for (j = 0; j < d; j++) {
		double here = m[first + j].nights, at_least = fmax(here, 1);
		double rho = clip((here * m[first + j].r1 + 20 * pool) / (here + 20), 0, .95);

		n->rho[first + j] = rho;
		n->phi[first + j] = fmax(phi, rho);
		nu[j] = fmax(here * (1 - rho * rho) / (1 + rho * rho) - 1, 0);
		own[j] = m[first + j].q / at_least / fmax(1 - (1 + 2 * rho / (1 - n->phi[first + j])) / at_least, .3);
		sum += nu[j] * own[j];
		weight += nu[j];
	}
	family = (PRIOR_DF * (PRIOR_SD * PRIOR_SD + 1 / n->of.rows) + sum) / (PRIOR_DF + weight);
	mean = weight / d;
	for (j = 0; j < d; j++)
		n->v[first + j] = (PRIOR_DF * family + nu[j] * own[j]) / (PRIOR_DF + nu[j]);
	alpha = w->all && nights > 5 ? d / (d + mean) : 1;
	for (i = 0; i < d; i++)
		for (j = 0; j <= i; j++) {
			const struct moments *a = &m[first + i], *b = &m[first + j];
			double s = product(n, w, first + i, first + j, 0, &both);

			s /= sqrt(fmax(a->q / fmax(a->nights, 1), 1e-12) * fmax(b->q / fmax(b->nights, 1), 1e-12));
			c[i * d + j] = i == j ? 1 : (1 - alpha) * clip(s, -1, 1);
		}
	cholesky(c, d);
	for (i = 0; i < 2; i++)
		n->df[f][i] = fmin(PRIOR_DF + mean, tail_df(n, w, first, d, i));
}

enum ns_status ns_nights_fit(struct ns_nights *n)
{
	int count = n->usual.count < WINDOW ? n->usual.count : WINDOW, i, j, f, first = 0, carried = count < 21;
	struct work w = {n->usual.night + (n->usual.count - count), count, count + n->old_count, NULL};
	struct moments *m = malloc(sizeof *m * ((size_t)n->k + 1));

	w.r = calloc((size_t)w.all * (size_t)n->k + 1, sizeof *w.r);
	if (!m || !w.r) {
		free(m);
		free(w.r);
		return ns_fail(NS_NO_MEMORY, "out of memory for the judgement of nights");
	}
	if (n->old_count)
		memcpy(w.r, n->old, sizeof *w.r * (size_t)n->old_count * (size_t)n->k);
	n->quiet = 0;
	for (i = 0; i < count; i++)
		n->quiet += w.night[i].quiet;
	for (j = 0; j < n->k; j++) {
		fit_column(n, &w, j, carried);
		m[j] = moments_of(n, &w, j);
	}
	for (f = 0; f < n->of.families; first += n->of.columns[f++])
		fit_family(n, &w, f, first, m);
	free(m);
	free(w.r);
	return NS_OK;
}

double ns_nights_centre(const struct ns_nights *n, int j)
{
	return ns_nights_mean(n, j, n->known[j] + n->pool[j]);
}

double ns_nights_mean(const struct ns_nights *n, int j, double nights)
{
	return fmin(1, (1 + 2 * n->rho[j] / (1 - n->phi[j])) / fmax(nights, 1));
}
