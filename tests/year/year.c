/*
 * tests/year/year.c - years of nights, simulated, judged by the program's own rules: the table of docs/judgement.md.
 *
 *	year [YEARS [PART...]]		parts: quiet wrong abrupt adapt harm guarded slow gate; without any, a short form of all, whose bounds are checked
 *
 * Effects are simulated, not images: a night's column is its day effect, its weekday's, a change, and sampling noise of its rows. Worlds come from
 * the tests' own generator. Exit code 1: a bound does not hold.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/judge/judge.h"
#include "tests/splitmix.h"
#include "tests/year/year.h"

#define STATISTICS  7
#define COLUMNS	    35
#define NIGHTS_MOST 400

uint64_t year_seed;
int year_failed;

double year_uniform(void)
{
	return ((double)(draw(&year_seed) >> 11) + .5) / 9007199254740992.;
}

double year_normal(void)
{
	return sqrt(-2 * log(year_uniform())) * cos(6.283185307179586 * year_uniform());
}

int year_by_int(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void year_bound(const char *what, double found, double error, double low, double high)
{
	int fine = found + 2.5 * error >= low && found - 2.5 * error <= high;

	if (!fine) {
		printf("FAILED: %s: %.3f +- %.3f, not from %g to %g\n", what, found, error, low, high);
		year_failed = 1;
	}
}

/* Student's t with df degrees, of variance 1; df 0: the normal. */
static double tailed(int df)
{
	double sum = 0;
	int i;

	for (i = 0; i < df; i++)
		sum += pow(year_normal(), 2);
	return df ? year_normal() / sqrt(sum / df) * sqrt((df - 2.) / df) : year_normal();
}

struct world {
	double day, memory; /* deviation of day effects, and what of them a night remembers */
	int tails;	    /* degrees of freedom of day effects */
	double weekend;	    /* of the first two statistics */
	double change;	    /* of the first four, from `at` on */
	int at;
	double rows, season, spoilt; /* spoilt: deviations of sampling noise that is more than independent rows would have */
};

/* A night's columns: statistics, components, of which four move with the statistics' mean, and outputs, which move half as far. */
static void spread(const double *statistic, double noise, double *x)
{
	double mean = 0;
	int j;

	for (j = 0; j < STATISTICS; j++)
		mean += statistic[j] / STATISTICS;
	for (j = 0; j < COLUMNS; j++)
		x[j] = (j < STATISTICS ? statistic[j] : j < STATISTICS + 4 ? mean : j < STATISTICS + 16 ? 0 : .5 * mean) + noise * year_normal();
}

static void make(const struct world *w, int nights, double (*x)[COLUMNS])
{
	double a[STATISTICS], phase[STATISTICS], statistic[STATISTICS];
	int t, j;

	for (t = 0; t < nights; t++) {
		for (j = 0; j < STATISTICS; j++) {
			double e = w->day * tailed(w->tails);

			if (!t) {
				a[j] = e;
				phase[j] = year_uniform();
			}
			a[j] = t ? w->memory * a[j] + sqrt(1 - w->memory * w->memory) * e : e;
			statistic[j] = a[j] + (t % 7 >= 5 && j < 2 ? w->weekend : 0) + (t >= w->at && j < 4 ? w->change : 0) +
				       w->season * (sin(6.2832 * (t / 365. + phase[j])) - sin(6.2832 * phase[j]));
		}
		spread(statistic, fmax(1, w->spoilt) / sqrt(w->rows), x[t]);
	}
}

static struct ns_nights *begin_as(const struct ns_nights_config *config)
{
	struct ns_nights *n;

	if (ns_nights_make(&n, config) != NS_OK)
		exit(2);
	return n;
}

static struct ns_nights *begin_dated(double rows, int dated)
{
	return begin_as(&(struct ns_nights_config){.families = 3, .columns = {STATISTICS, 16, 12}, .rows = rows, .budget = 1, .dated = dated});
}

static struct ns_nights *begin(double rows)
{
	return begin_dated(rows, 0);
}

static int judge(struct ns_nights *n, const double *x, double rows, int t)
{
	struct ns_nights_verdict v;

	if (ns_nights_judge(n, x, rows, t % 7, 0, &v) != NS_OK)
		exit(2);
	return v.alarm;
}

static double (*years_of(void))[COLUMNS]
{
	static double x[NIGHTS_MOST][COLUMNS];

	return x;
}

static void quiet(const char *name, struct world w, int years, double most)
{
	double(*x)[COLUMNS] = years_of(), sum = 0, squares = 0, month = 0, error;
	int i, t;

	for (i = 0; i < years; i++) {
		struct ns_nights *n = begin(w.rows);
		int alarms = 0;

		make(&w, 365, x);
		for (t = 0; t < 365; t++) {
			int alarm = judge(n, x[t], w.rows, t);

			alarms += alarm;
			month += t < 28 && alarm;
		}
		sum += alarms;
		squares += alarms * alarms;
		ns_nights_free(n);
	}
	error = sqrt(fmax(squares / years - pow(sum / years, 2), .25) / years);
	printf("  %-46s %4.0f rows: %.2f +- %.2f material nights a year, %.2f in the first month\n", name, w.rows, sum / years, error, month / years);
	year_bound(name, sum / years, error, 0, most);
}

static void part_quiet(int years)
{
	static const double rows[] = {200, 1000, 5000};
	int i;

	for (i = 0; i < 3; i++)
		quiet("day effects .1", (struct world){.day = .1, .memory = .7, .at = 999, .rows = rows[i]}, years, 1.5);
	for (i = 0; i < 3; i++)
		quiet("day effects .2", (struct world){.day = .2, .memory = .7, .at = 999, .rows = rows[i]}, years, 1.5);
	for (i = 0; i < 3; i++)
		quiet("day effects .1, weekends +.3", (struct world){.day = .1, .memory = .7, .at = 999, .weekend = .3, .rows = rows[i]}, years, 1.5);
}

/* Worlds that the rule does not assume: what is printed is what it costs; the loose bounds are of nothing breaking. */
static void part_wrong(int years)
{
	quiet("no day effects, weekends +.3", (struct world){.day = 1e-6, .memory = .7, .at = 999, .weekend = .3, .rows = 200}, years, 1.5);
	quiet("day effects that remember .9", (struct world){.day = .2, .memory = .9, .at = 999, .rows = 200}, years, 5);
	quiet("tails of t with 3", (struct world){.day = .2, .memory = .7, .tails = 3, .at = 999, .rows = 200}, years, 5);
	quiet("bursts that nobody told of", (struct world){.day = .1, .memory = .7, .at = 999, .rows = 200, .spoilt = 3.2}, years, 1.5);
	quiet("a season of .3", (struct world){.day = .1, .memory = .7, .at = 999, .rows = 200, .season = .3}, years, 20);
}

/* The night on which a lasting change is seen, from 1 on; 99: not within 31. */
static int seen(const struct world *w)
{
	double(*x)[COLUMNS] = years_of();
	struct ns_nights *n = begin(w->rows);
	int t, found = 99;

	make(w, w->at + 31, x);
	for (t = 0; t < w->at + 31 && found == 99; t++)
		if (judge(n, x[t], w->rows, t) && t >= w->at)
			found = t - w->at + 1;
	ns_nights_free(n);
	return found;
}

static void abrupt(struct world w, int years, int night, double least)
{
	static const int nights[] = {1, 2, 3, 5, 7, 14, 30};
	int i, k, count[7] = {0}, by = 0;

	for (i = 0; i < years; i++) {
		int found = seen(&w);

		by += found <= night;
		for (k = 0; k < 7; k++)
			count[k] += found <= nights[k];
	}
	printf("  +%.1f in four of seven on night %d, day effects %.1f, %4.0f rows: by night 1/2/3/5/7/14/30", w.change, w.at + 1, w.day, w.rows);
	for (k = 0; k < 7; k++)
		printf(" %.2f", (double)count[k] / years);
	printf("\n");
	year_bound("a lasting change", (double)by / years, sqrt(.09 / years), least, 1);
}

static void part_abrupt(int years)
{
	abrupt((struct world){.day = .1, .memory = .7, .change = .3, .at = 99, .rows = 200}, 2 * years, 5, .9);
	abrupt((struct world){.day = .1, .memory = .7, .change = .3, .at = 99, .rows = 1000}, 2 * years, 1, .9);
	abrupt((struct world){.day = .2, .memory = .7, .change = .5, .at = 99, .rows = 200}, years, 7, .85);
}

/* What a release takes for usual: the nights since the change, or, with `windows` of them as its reference, what is told from their mean. */
static void renew(struct ns_nights *n, int windows, double (*x)[COLUMNS], int nights)
{
	double mean[COLUMNS] = {0};
	int t, j;

	if (ns_nights_renew(n, windows ? 0 : 3, NULL) != NS_OK)
		exit(2);
	for (t = 102 - windows; t < 102; t++)
		for (j = 0; j < COLUMNS; j++)
			mean[j] += x[t][j] / windows;
	for (t = 102 - windows; t < nights; t++)
		for (j = 0; j < COLUMNS; j++)
			x[t][j] -= mean[j];
	for (t = 102 - windows; windows > 1 && t < 102; t++) /* one window alone is a pool */
		if (ns_nights_learn(n, x[t], t % 7) != NS_OK)
			exit(2);
}

/* After an adaptation. windows: of the reference that moved, or 0: it stays, and the centre moves to three nights since the change. */
static void adapt(double rows, int windows, int years)
{
	struct world w = {.day = .1, .memory = .7, .weekend = .3, .change = .6, .at = 99, .rows = rows};
	double(*x)[COLUMNS] = years_of();
	char what[64] = "";
	int next = 0, later = 0, i, t;

	for (i = 0; i < years; i++) {
		struct ns_nights *n = begin_dated(w.rows, windows > 1);

		make(&w, 162, x);
		for (t = 0; t < 162; t++) {
			int alarm = judge(n, x[t], w.rows, t);

			next += t == 102 && alarm;
			later += t > 101 && alarm;
			if (t == 101)
				renew(n, windows, x, 162);
		}
		ns_nights_free(n);
	}
	if (windows)
		snprintf(what, sizeof what, ", %d window%s for a reference", windows, windows == 1 ? "" : "s");
	printf("  adapted, %4.0f rows%s: material on the next window %.3f, in 60 nights %.2f\n", w.rows, what, (double)next / years,
	       (double)later / years);
	year_bound("the window after an adaptation", (double)next / years, sqrt(.01 / years), 0, .02);
	year_bound("nights after an adaptation", (double)later / years, sqrt(.7 / years), 0, 1);
}

static void part_adapt(int years)
{
	static const int windows[] = {0, 1, 2, 3};
	static const double rows[] = {200, 1000, 5000};
	int i, k;

	for (i = 0; i < 4; i++)
		for (k = 0; k < 3; k++)
			adapt(rows[k], windows[i], years);
}

/* --- a slow change without labels --- */

#define CHANGED	  .01  /* more changed images a night */
#define LOST	  .398 /* accuracy that a changed image loses, .928 to .53; the mean confidence shows half of it, ATC two thirds */
#define SHOWN	  .199
#define SHOWN_ATC .265
#define ASKED	  14 /* nights after an alarm in which estimates are asked: jobs/drift/nights.c */
#define TOLERANCE .03

/* What drift measures of the demonstration's night, of which all images are changed: statistics, components, outputs. */
static const double moved[COLUMNS] = {-.49, -1.99, 0, -3.72, -3.72, -1.57, -3.74, -.41, -.54, .5,  .62, -1.5, .2,   1.04, .74, 0,   0, 0,
				      0,    0,	   0, 0,     0,	    -1.26, 1.41,  .22,	-.21, -.3, -.1, -.57, -.24, -.31, .03, .64, 0};

struct slow {
	int material, harmful; /* nights from the first changed one on */
	int wrong;	       /* harmful nights before */
};

/* A year of such nights, of which the last 60 hold more changed images each; outputs follow the day effects of the statistics by half. */
static void creep(double rows, int quiet_nights, int slow_nights, struct slow *out)
{
	double level = .1 / (ASKED * .5 * 4), a[STATISTICS] = {0}, statistic[STATISTICS], x[COLUMNS];
	struct ns_nights *n = begin(rows), *e = begin_as(&(struct ns_nights_config){.families = 2,
										    .columns = {1, 1},
										    .rows = rows,
										    .budget = 2 * level * 365 * 2 * NS_JUDGE_MEMORIES});
	int t, j, since = ASKED;

	*out = (struct slow){99, 99, 0};
	for (t = 0; t < quiet_nights + slow_nights && out->harmful == 99; t++) {
		double share = fmax(0, CHANGED * (t - quiet_nights + 1)), mean = 0, falls[2], p = 1;
		struct ns_nights_verdict v;
		int f;

		for (j = 0; j < STATISTICS; j++) {
			a[j] = t ? .7 * a[j] + sqrt(1 - .49) * .1 * year_normal() : .1 * year_normal();
			mean += a[j] / STATISTICS;
			statistic[j] = a[j];
		}
		spread(statistic, 1 / sqrt(rows), x);
		for (j = 0; j < COLUMNS; j++)
			x[j] += moved[j] * share;
		since = judge(n, x, rows, t) ? 0 : since + 1;
		if (!since && t >= quiet_nights && out->material == 99)
			out->material = t - quiet_nights + 1;
		falls[0] = SHOWN * share / sqrt(.011) + .5 * mean + year_normal() / sqrt(rows);
		falls[1] = SHOWN_ATC * share / sqrt(.928 * .072) + .5 * mean + year_normal() / sqrt(rows);
		if (ns_nights_judge(e, falls, rows, t % 7, 0, &v) != NS_OK)
			exit(2);
		for (f = 0; f < 2; f++)
			if (falls[f] > 0)
				p = fmin(p, fmin(v.p[f][NS_JUDGE_TONIGHT], v.p[f][NS_JUDGE_WEEK]) / 2);
		if (since < ASKED && p < level && fmax(falls[0] * sqrt(.011), falls[1] * sqrt(.928 * .072)) >= TOLERANCE) {
			out->wrong += t < quiet_nights;
			out->harmful = t >= quiet_nights ? t - quiet_nights + 1 : 99;
		}
	}
	ns_nights_free(n);
	ns_nights_free(e);
}

static void part_slow(int years)
{
	int i, *material = malloc(sizeof *material * (size_t)years), *harmful = malloc(sizeof *harmful * (size_t)years);
	double wrong = 0;
	struct slow s;

	for (i = 0; material && harmful && i < years; i++) {
		creep(1000, 99, 60, &s);
		material[i] = s.material;
		harmful[i] = s.harmful;
		creep(1000, 365, 0, &s);
		wrong += s.wrong;
	}
	if (material && harmful) {
		qsort(material, (size_t)years, sizeof *material, year_by_int);
		qsort(harmful, (size_t)years, sizeof *harmful, year_by_int);
		printf("  1 %% more changed images a night, 1000 rows, no labels: labels are asked for on night %d (%d), %.1f (%.1f) points lost; harmful on "
		       "night %d (%d), %.1f (%.1f) points; %.2f false a year\n",
		       material[years / 2], material[years * 9 / 10], 100 * CHANGED * LOST * material[years / 2],
		       100 * CHANGED * LOST * material[years * 9 / 10], harmful[years / 2], harmful[years * 9 / 10],
		       100 * CHANGED * LOST * harmful[years / 2], 100 * CHANGED * LOST * harmful[years * 9 / 10], wrong / years);
		year_bound("labels are asked for, half", 100 * CHANGED * LOST * material[years / 2], .2, 0, 3.5);
		year_bound("estimated harm, nine of ten", 100 * CHANGED * LOST * harmful[years * 9 / 10], .2, 0, 5);
		year_bound("false estimated harm", wrong / years, sqrt(.1 / years), 0, .25);
	}
	free(material);
	free(harmful);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name, *what;
		void (*run)(int years);
	} parts[] = {{"quiet", "quiet nights, a budget of one alarm a year", part_quiet},
		     {"wrong", "quiet nights of worlds that the rule does not assume", part_wrong},
		     {"abrupt", "a lasting change", part_abrupt},
		     {"adapt", "after an adaptation", part_adapt},
		     {"harm", "the fall that labels show, a budget of .3 a year", year_harm},
		     {"guarded", "ten guarded classes, a budget of .45 a year together", year_guarded},
		     {"slow", "a slow change without labels", part_slow},
		     {"gate", "a candidate against production, 1 of 20", year_gate}};
	int years = argc > 1 ? atoi(argv[1]) : 12, k;
	size_t i;

	for (i = 0; i < sizeof parts / sizeof *parts; i++) {
		int wanted = argc < 3;

		for (k = 2; k < argc; k++)
			wanted |= !strcmp(argv[k], parts[i].name);
		if (!wanted)
			continue;
		year_seed = 100 + i;
		printf("%s: %s\n", parts[i].name, parts[i].what);
		parts[i].run(years > 0 ? years : 1);
		fflush(stdout);
	}
	return year_failed;
}
