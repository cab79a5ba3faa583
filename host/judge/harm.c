/* host/judge/harm.c - the fall of accuracy that labels show: CUSUMs over nights, with thresholds from a simulation of the null as it will be run. */
#include "host/judge/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "kernels/formula/random.h"

#define YEAR	   365
#define MEMORY	   .7	/* of accuracy's day effects from night to night */
#define DAY_PRIOR  .02	/* their deviation, until nights say otherwise */
#define DAY_LEAST  .01	/* and never less */
#define DAY_WEIGHT 14	/* nights that the prior weighs */
#define LEARN	   14	/* nights whose labels join a young baseline */
#define YOUNG	   1000 /* labels of a baseline that needs no more */
#define DOUBT	   2	/* a CUSUM of so much keeps a night's labels out of it: a fall in the first nights is not what is usual */
#define YEARS	   400	/* of the simulation */
#define ALONE	   .1 /* share of the budget of one night by itself: CUSUMs are tuned to falls of five tolerances, and larger ones may be seen at once */

static const double days[NS_HARM_DAYS] = {.01, .015, .02, .03};

double ns_harm_noise(double within, double labels, double spread, double rows)
{
	return within / fmax(labels, 1e-9) + spread / fmax(rows, 1);
}

static double design(const struct ns_harm_world *w, int which)
{
	return which ? 5 * w->tolerance : w->tolerance * 5 / 3;
}

/* One night's step of a CUSUM: the log likelihood ratio of a fall d against none. */
static double step(double c, double y, double v, double d)
{
	return fmax(0, c - (d * y + d * d / 2) / v);
}

/* --- simulation --- */

struct stream {
	uint64_t seed, at;
};

static double uniform(struct stream *s)
{
	return ((double)(ns_draw_u64(s->seed, NS_FOR_NOISE, 0, s->at++) >> 11) + .5) / 9007199254740992.;
}

static double normal(struct stream *s)
{
	return ns_stat_normal_quantile(uniform(s));
}

/* By inversion where few are expected on one side, else by its normal limit. */
static double binomial(struct stream *s, double n, double p)
{
	double q = fmin(p, 1 - p), u, sum, term, k = 0;

	n = floor(n + .5);
	if (n <= 0 || p <= 0)
		return 0;
	if (p >= 1)
		return n;
	if (n * q > 20) {
		k = floor(n * q + sqrt(n * q * (1 - q)) * normal(s) + .5);
		k = fmin(n, fmax(0, k));
		return p > .5 ? n - k : k;
	}
	u = uniform(s);
	term = sum = exp(n * log1p(-q));
	while (u > sum && k < n) {
		term *= (n - k) / (k + 1) * q / (1 - q);
		sum += term;
		k++;
	}
	return p > .5 ? n - k : k;
}

/* Rows of two confidences, four of five of the higher, whose mean and variance are the release's. */
struct confidences {
	double high, low;
};

static struct confidences confidences_of(const struct ns_harm_world *w)
{
	double sd = sqrt(w->spread);
	struct confidences c = {fmin(.995, w->accuracy + sd / 2), fmax(.005, w->accuracy - 2 * sd)};

	if (c.high - c.low < 1e-3)
		c.low = c.high - 1e-3;
	return c;
}

/* A year of quiet nights: y of each, against the baseline as it begins. Half of accuracy's day effects the confidences see. */
static void simulate_year(const struct ns_harm_world *w, double day, struct stream *s, double y[YEAR])
{
	struct confidences c = confidences_of(w);
	double seen = 0, unseen = 0, scale = day * sqrt(.5), share = (w->accuracy - c.low) / (c.high - c.low);
	double highs = binomial(s, w->baseline, share);
	double base = (binomial(s, highs, c.high) + binomial(s, w->baseline - highs, c.low)) / w->baseline;
	int t;

	for (t = 0; t < YEAR; t++) {
		double hi, m, labelled, hits, all, rows = fmax(w->rows, w->labels);

		seen = t ? MEMORY * seen + scale * sqrt(1 - MEMORY * MEMORY) * normal(s) : scale * normal(s);
		unseen = t ? MEMORY * unseen + scale * sqrt(1 - MEMORY * MEMORY) * normal(s) : scale * normal(s);
		hi = fmin(1, fmax(0, share + seen / (c.high - c.low)));
		m = fmin(1 / c.high, fmax(0, 1 + unseen / fmax(w->accuracy, .05)));
		labelled = binomial(s, w->labels, hi);
		hits = binomial(s, labelled, c.high * m) + binomial(s, w->labels - labelled, fmin(1, c.low * m));
		all = labelled + binomial(s, fmax(w->rows - w->labels, 0), hi);
		y[t] = (all * c.high + (rows - all) * c.low) / rows +
		       (hits - labelled * c.high - (w->labels - labelled) * c.low) / fmax(w->labels, 1) - base;
	}
}

/* The labels that have joined a baseline, and by how much that has moved. */
struct joined {
	double nights, sum, labels;
};

static double moved(const struct joined *j, double baseline)
{
	return j->labels > 0 ? j->sum / (baseline + j->labels) : 0;
}

static void join(struct joined *j, double baseline, double y, double labels, double evidence)
{
	if (baseline >= YOUNG || j->nights >= LEARN)
		return;
	j->nights++;
	if (evidence >= DOUBT)
		return;
	j->sum += labels * y;
	j->labels += labels;
}

static int64_t alarms(const struct ns_harm_world *w, const double *y, int years, double v, double h)
{
	int64_t count = 0;
	int i, t, k;

	for (i = 0; i < years; i++) {
		double c[2] = {0, 0};
		struct joined base = {0, 0, 0};

		for (t = 0; t < YEAR; t++) {
			double here = y[(int64_t)i * YEAR + t];

			for (k = 0; k < 2; k++)
				c[k] = step(c[k], here - moved(&base, w->baseline), v, design(w, k));
			join(&base, w->baseline, here, w->labels, fmax(c[0], c[1]));
			if (c[0] > h || c[1] > h) {
				count++;
				c[0] = c[1] = 0;
			}
		}
	}
	return count;
}

double ns_harm_threshold(const struct ns_harm_world *w, double day, int years, uint64_t seed)
{
	double *y = malloc(sizeof *y * YEAR * (size_t)years), low = 1, high = 40, v;
	struct stream s = {seed, 0};
	struct confidences c = confidences_of(w);
	double share = (w->accuracy - c.low) / (c.high - c.low), within = share * c.high * (1 - c.high) + (1 - share) * c.low * (1 - c.low);
	int i;

	if (!y)
		return high; /* of no memory: nothing alarms that should not */
	for (i = 0; i < years; i++)
		simulate_year(w, day, &s, y + (int64_t)i * YEAR);
	v = ns_harm_noise(within, w->labels, share * (1 - share) * (c.high - c.low) * (c.high - c.low), w->rows) + day * day;
	for (i = 0; i < 14; i++) {
		double h = (low + high) / 2;

		if ((double)alarms(w, y, years, v, h) > (1 - ALONE) * w->budget * years)
			low = h;
		else
			high = h;
	}
	free(y);
	return high;
}

/* --- the verdict --- */

void ns_harm_begin(struct ns_harm *h, uint64_t seed)
{
	int i;

	for (i = 0; i < NS_HARM_DAYS; i++)
		if (!(h->threshold[i] > 0))
			h->threshold[i] = ns_harm_threshold(&h->world, days[i], YEARS, seed);
	if (!(h->day > 0))
		h->day = DAY_PRIOR;
}

/* The threshold for the day effects that are assumed, between those that were simulated. */
static double threshold_now(const struct ns_harm *h)
{
	int i = 1;

	while (i < NS_HARM_DAYS - 1 && days[i] < h->day)
		i++;
	return h->threshold[i - 1] + (h->threshold[i] - h->threshold[i - 1]) * fmin(1, fmax(0, (h->day - days[i - 1]) / (days[i] - days[i - 1])));
}

/* Day effects by the nights themselves, shrunk to the prior; looked at again after 14, 28, 56, 98 nights and every 56. */
static void learn(struct ns_harm *h, double y, double w)
{
	double delta = y - h->mean, k = ++h->nights, v;

	h->mean += delta / k;
	h->m2 += delta * (y - h->mean);
	h->noise += (w - h->noise) / k;
	if (k != 14 && k != 28 && k != 56 && k != 98 && (k < 98 || fmod(k, 56) != 0))
		return;
	k = fmin(k, YEAR);
	v = h->m2 / (h->nights - 1) - h->noise;
	h->day = sqrt(fmax(DAY_LEAST * DAY_LEAST, (DAY_WEIGHT * DAY_PRIOR * DAY_PRIOR + k * v) / (DAY_WEIGHT + k)));
}

/* Is one night's fall alone beyond what a year of nights shows? */
static int falls_alone(const struct ns_harm_world *w, double y, double v, double labels)
{
	double base = w->baseline > 0 ? fmax(w->accuracy * (1 - w->accuracy), .25 / (w->baseline + 4)) / w->baseline : 1;

	return labels > 2 && -y / sqrt(v + base) > ns_stat_t_isf(fmin(.5, ALONE * w->budget / YEAR), labels - 1);
}

void ns_harm_judge(struct ns_harm *h, double y, double w, double labels, struct ns_harm_verdict *out)
{
	double v = w + h->day * h->day, limit = threshold_now(h), raw = y;
	struct joined base = {h->learnt, h->baseline, h->baseline_n};
	int k, most;

	y -= moved(&base, h->world.baseline);
	for (k = 0; k < 2; k++) {
		h->c[k] = step(h->c[k], y, v, design(&h->world, k));
		h->weight[k] = h->c[k] > 0 ? h->weight[k] + 1 / v : 0;
		h->sum[k] = h->c[k] > 0 ? h->sum[k] + y / v : 0;
	}
	most = h->c[1] > h->c[0];
	join(&base, h->world.baseline, raw, labels, h->c[most]);
	h->learnt = base.nights;
	h->baseline = base.sum;
	h->baseline_n = base.labels;
	*out = (struct ns_harm_verdict){.fall = NAN, .low = NAN, .high = NAN, .evidence = h->c[most] / limit};
	if (h->weight[most] > 0) {
		out->fall = -h->sum[most] / h->weight[most];
		out->low = out->fall - 1.959964 / sqrt(h->weight[most]);
		out->high = out->fall + 1.959964 / sqrt(h->weight[most]);
	}
	out->harmful = (h->c[most] > limit || falls_alone(&h->world, y, v, labels)) && out->fall >= h->world.tolerance;
	if (out->harmful) {
		memset(h->c, 0, sizeof h->c);
		memset(h->weight, 0, sizeof h->weight);
		memset(h->sum, 0, sizeof h->sum);
	}
	learn(h, y, w);
}
