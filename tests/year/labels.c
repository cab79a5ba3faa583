/* tests/year/labels.c - years of labels, simulated: the fall that they show, guarded classes, and a candidate against production. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/judge/judge.h"
#include "tests/year/year.h"

/* --- harm --- */

static double binomial(double n, double p)
{
	double k = 0;
	int i;

	if (n > 600)
		return fmin(n, fmax(0, floor(n * p + sqrt(n * p * (1 - p)) * year_normal() + .5)));
	for (i = 0; i < n; i++)
		k += year_uniform() < p;
	return k;
}

#define HIGH .97
#define LOW  .70
#define BASE .92

struct labels {
	double day, rows, labels, fall;
	int at;
	double reference; /* labelled rows of the reference */
};

/* Nights of labels until the verdict; false verdicts before. */
static int harm(const struct labels *w, const struct ns_harm *begun, int nights, int *wrong)
{
	struct ns_harm h = *begun;
	double share = (BASE - LOW) / (HIGH - LOW), seen_ = 0, unseen = 0, scale = w->day * sqrt(.5), base, n = binomial(w->reference, share);
	int t;

	base = (binomial(n, HIGH) + binomial(w->reference - n, LOW)) / w->reference;
	*wrong = 0;
	for (t = 0; t < nights; t++) {
		double fall = t >= w->at ? w->fall : 0, hi, m, high, hits, all, y, within;
		struct ns_harm_verdict v;

		seen_ = t ? .7 * seen_ + scale * .714 * year_normal() : scale * year_normal();
		unseen = t ? .7 * unseen + scale * .714 * year_normal() : scale * year_normal();
		hi = fmin(1, fmax(0, share + seen_ / (HIGH - LOW)));
		m = fmin(1 / HIGH, fmax(0, 1 + (unseen - fall) / BASE));
		high = binomial(w->labels, hi);
		hits = binomial(high, HIGH * m) + binomial(w->labels - high, LOW * m);
		all = high + binomial(w->rows - w->labels, hi);
		y = (all * HIGH + (w->rows - all) * LOW) / w->rows + (hits - high * HIGH - (w->labels - high) * LOW) / w->labels - base;
		within = share * HIGH * (1 - HIGH) + (1 - share) * LOW * (1 - LOW);
		ns_harm_judge(&h, y, ns_harm_noise(within, w->labels, share * (1 - share) * (HIGH - LOW) * (HIGH - LOW), w->rows), w->labels, &v);
		if (v.harmful && t >= w->at)
			return t - w->at + 1;
		*wrong += v.harmful;
	}
	return 999;
}

void year_harm(int years)
{
	static const struct {
		double day, labels, most;
		int median, nine; /* a fall of 5 points: nights, half and nine of ten */
	} rows[] = {{.01, 50, .3, 9, 20}, {.01, 250, .3, 3, 7}, {.01, 30, .3, 20, 60}, {.02, 250, .6, 8, 30}};
	int i, k, wrong, *nights = malloc(sizeof *nights * (size_t)(4 * years));

	for (k = 0; nights && k < 4; k++) {
		struct ns_harm h = {.world = {.accuracy = BASE,
					      .spread = .011,
					      .rows = 5000,
					      .labels = rows[k].labels,
					      .baseline = 5000,
					      .tolerance = .03,
					      .budget = .3}};
		struct labels w = {rows[k].day, 5000, rows[k].labels, 0, 999, 5000};
		double sum = 0;

		ns_harm_begin(&h, 1);
		for (i = 0; i < 4 * years; i++) {
			(void)harm(&w, &h, 365, &wrong);
			sum += wrong;
		}
		w.fall = .05;
		w.at = 99;
		for (i = 0; i < 4 * years; i++)
			nights[i] = harm(&w, &h, 199, &wrong);
		qsort(nights, (size_t)(4 * years), sizeof *nights, year_by_int);
		printf("  %3.0f labels, day effects of accuracy %.2f: %.2f false a year; a fall of 5 points on night %d (%d)\n", rows[k].labels,
		       rows[k].day, sum / (4 * years), nights[2 * years], nights[4 * years * 9 / 10]);
		year_bound("false harm", sum / (4 * years), sqrt(fmax(.1, sum / (4 * years)) / (4 * years)), 0, rows[k].most);
		year_bound("a fall of 5 points, half", nights[2 * years], 0, 1, rows[k].median + 2);
		year_bound("a fall of 5 points, nine of ten", nights[4 * years * 9 / 10], 0, 1, rows[k].nine * 1.5);
	}
	free(nights);
}

/* Ten guarded classes of 500 rows a night, which share .45 false verdicts a year: all ten together. */
void year_guarded(int years)
{
	static const double labels[] = {30, 100, 250, 500};
	int i, k, class, wrong, found[200];

	for (k = 0; k < 4; k++) {
		struct ns_harm h = {.world = {.accuracy = BASE,
					      .spread = .011,
					      .rows = 500,
					      .labels = labels[k] / 10,
					      .baseline = 500,
					      .tolerance = .03,
					      .budget = .045}};
		struct labels w = {.01, 500, labels[k] / 10, 0, 999, 500};
		double sum = 0;

		ns_harm_begin(&h, 1);
		for (i = 0; i < years; i++)
			for (class = 0; class < 10; class ++) {
				(void)harm(&w, &h, 365, &wrong);
				sum += wrong;
			}
		w.fall = .15;
		w.at = 99;
		for (i = 0; i < 200; i++)
			found[i] = harm(&w, &h, 199, &wrong);
		qsort(found, 200, sizeof *found, year_by_int);
		printf("  %3.0f labels in ten classes: %.2f false a year, all together; a class that falls by 15 points on night %d (%d)\n",
		       labels[k], sum / years, found[100], found[180]);
		year_bound("false harm of guarded classes", sum / years, sqrt(fmax(.2, sum / years) / years), 0, .6);
	}
}

/* --- the gate --- */

static void gate(double rows, double gain, double disagreement, int candidates, double low, double high, int night)
{
	int i, t, by[15] = {0};

	for (i = 0; i < candidates; i++) {
		int64_t b = 0, c = 0;

		for (t = 1; t <= 14; t++) {
			double differ = binomial(rows, disagreement), better = binomial(differ, (disagreement + gain) / 2 / disagreement);

			b += (int64_t)better;
			c += (int64_t)(differ - better);
			if (ns_gate_evidence(b, c) >= log(20))
				break;
		}
		for (; t <= 14; t++)
			by[t]++;
	}
	printf("  %3.0f rows a night, change %+.2f, disagreement %.2f: passed by night 1/7/14 %.4f %.4f %.4f\n", rows, gain, disagreement,
	       (double)by[1] / candidates, (double)by[7] / candidates, (double)by[14] / candidates);
	year_bound("the gate", (double)by[night] / candidates, sqrt(.05 * .95 / candidates), low, high);
}

void year_gate(int years)
{
	gate(120, 0, .1, 100 * years, 0, .05, 14);
	gate(250, 0, .3, 100 * years, 0, .05, 14);
	gate(120, -.01, .1, 100 * years, 0, .01, 14);
	gate(120, .05, .1, 10 * years, .9, 1, 7);
	gate(60, .1, .15, 10 * years, .95, 1, 7);
}
