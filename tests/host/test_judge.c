/* tests/host/test_judge.c - judgement over nights: quantiles by scipy, a year's beginning by the rule written again in numpy, and closed forms. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/judge/judge.h"
#include "host/stat/stat.h"
#include "tests/splitmix.h"

static void near(double got, double wanted, double relative)
{
	if (!(fabs(got - wanted) <= relative * fabs(wanted) + 1e-300))
		fail_msg("got %.15g, wanted %.15g within %g", got, wanted, relative);
}

/* scipy 1.14 */
static void quantiles(void **state)
{
	(void)state;
	near(ns_stat_beta_cdf(.3, 2, 3), .3483, 1e-13);
	near(ns_stat_beta_cdf(.9, .5, 8), .9999999979425369, 1e-13);
	near(ns_stat_beta_cdf(.01, 30, 2), 3.07e-59, 1e-12);
	near(ns_stat_beta_cdf(.5, 100.5, 99.5), .4717552370729032, 1e-12);
	near(ns_stat_f_sf(3.2, 7, 12.5), .03529360633517447, 1e-12);
	near(ns_stat_f_sf(20, 16, 6), .0006789621491522492, 1e-12);
	near(ns_stat_f_sf(1.1, 12, 400), .3583540620484803, 1e-12);
	near(ns_stat_f_isf(2.28e-4, 7, 12.5), 10.473771825463317, 1e-11);
	near(ns_stat_f_isf(1e-5, 16, 6.2), 76.05487857981046, 1e-11);
	near(ns_stat_f_isf(.3, 12, 90), 1.193533190193041, 1e-11);
	near(ns_stat_t_sf(2.5, 6.5), .021764757424272183, 1e-12);
	near(ns_stat_t_sf(-1, 3), .8044988905221148, 1e-12);
	near(ns_stat_t_isf(.0044, 6.3), 3.740095435968038, 1e-11);
	near(ns_stat_t_isf(1e-6, 30), 5.871117120418882, 1e-11);
	near(ns_stat_t_isf(.7, 5), -.5594296444693603, 1e-11);
	assert_true(ns_stat_normal_quantile(.5) == 0);
	near(ns_stat_normal_quantile(.3), -.5244005127080409, 1e-14);
	near(ns_stat_normal_quantile(.02), -2.053748910631823, 1e-14);
	near(ns_stat_normal_quantile(1e-10), -6.361340902404056, 1e-14);
	near(ns_stat_normal_quantile(1 - 1e-12), 7.0344869100478356, 1e-10);
}

/* --- the first nights of a site, by an independent computation --- */

#define COLUMNS 35
#define NIGHTS	130

static const struct ns_nights_config config = {.families = 3, .columns = {7, 16, 12}, .rows = 1000, .budget = 1};

static double uniform(uint64_t *s)
{
	return (double)(draw(s) >> 11) / 9007199254740992.;
}

static double normal(uint64_t *s)
{
	double sum = -6;
	int i;

	for (i = 0; i < 12; i++)
		sum += uniform(s);
	return sum;
}

/* Day effects of .1 that remember .7; weekends are .3 brighter in two columns; four columns move by .5 on night 100 for good. */
static void world(double x[NIGHTS][COLUMNS])
{
	double a[COLUMNS] = {0};
	uint64_t s = 7;
	int t, j;

	for (t = 0; t < NIGHTS; t++)
		for (j = 0; j < COLUMNS; j++) {
			double e = normal(&s);

			a[j] = t ? .7 * a[j] + .1 * .714 * e : .1 * e;
			x[t][j] = a[j] + normal(&s) * .03 + (t % 7 >= 5 && j < 2 ? .3 : 0) + (t >= 100 && j < 4 ? .5 : 0);
		}
}

/* p of the three families at each memory, by numpy and scipy from the rule's own simulation; the release is renewed from three nights before 110, of which its pool is none */
static const struct {
	int t;
	double p[12];
} wanted[] = {
	{0, {0.9965417129, 0.9986200254, 0.9999770928, 0.9999964299, 0.9999999987, 0.9999999998, 0.9999999966, 1, 1, NAN, NAN, NAN}},
	{1,
	 {0.9947383781, 0.9976330464, 0.9997547839, 0.999977686, 0.9999975635, 0.9999999766, 0.9999999579, 1, 1, 0.9019644458, 0.9985670645,
	  0.9830762358}},
	{5,
	 {0.7588220903, 0.999658444, 0.9978134349, 0.9989810992, 0.9999867952, 0.999944984, 0.9999983762, 0.9999999973, 0.9999999593, 0.3559780752,
	  0.9979325541, 0.9862161541}},
	{20,
	 {0.2499563158, 0.4761296307, 0.886303749, 0.3393047851, 0.3928934744, 0.9004025508, 0.8077966761, 0.8400792411, 0.9916076296, 0.723344419,
	  0.7799468278, 0.7943921871}},
	{35,
	 {0.09983235584, 0.1779998588, 0.3032553129, 0.17876805, 0.3297739371, 0.1760404898, 0.7018640045, 0.646175149, 0.3770912728, 0.01604108963,
	  0.1733136543, 0.4772699095}},
	{62,
	 {0.6880475291, 0.6540831398, 0.448315942, 0.447958532, 0.4585874559, 0.4567697399, 0.6236090436, 0.4595845337, 0.2885392955, 0.7672266065,
	  0.516724739, 0.1860333426}},
	{99,
	 {0.7896586662, 0.2063952506, 0.4812663204, 0.9817862592, 0.4400718366, 0.7459716893, 0.9799512884, 0.3828070793, 0.6694069049, 0.6151534276,
	  0.09471897268, 0.6651141535}},
	{100,
	 {2.015748553e-08, 0.5081893832, 0.1906508896, 0.01534647621, 0.3881509476, 0.5352585185, 0.3841294008, 0.3560109085, 0.6999504466,
	  2.858050022e-11, 0.6228580458, 0.4473825571}},
	{112,
	 {0.7640325527, 0.9136500417, 0.05764618404, 0.9244694537, 0.9976180011, 0.6325808238, 0.9992376368, 0.9999999571, 0.9992985159, 0.5766445082,
	  0.8960428957, 0.1252714541}},
	{129,
	 {0.151854114, 0.9263393944, 0.08714121185, 0.3739561049, 0.8613129913, 0.0191999817, 0.7365337589, 0.8460680377, 0.04764323441, 0.3526901172,
	  0.77497579, 0.124503217}},
};

static void first_nights(void **state)
{
	static double x[NIGHTS][COLUMNS];
	struct ns_nights *n;
	struct ns_nights_verdict v;
	size_t w = 0;
	int t, i;

	(void)state;
	world(x);
	assert_int_equal(ns_nights_make(&n, &config), NS_OK);
	for (t = 0; t < NIGHTS; t++) {
		if (t == 110)
			assert_int_equal(ns_nights_renew(n, 3, NULL), NS_OK);
		assert_int_equal(ns_nights_judge(n, x[t], 1000, t % 7, 0, &v), NS_OK);
		assert_int_equal(v.alarm, t >= 100 && t < 110);
		if (w == sizeof wanted / sizeof *wanted || t != wanted[w].t)
			continue;
		for (i = 0; i < 12; i++) {
			double p = v.p[i % 3][i / 3];

			if (isnan(wanted[w].p[i]) ? !isnan(p) : !(fabs(p - wanted[w].p[i]) <= 1e-5 * fabs(wanted[w].p[i]) + 1e-14))
				fail_msg("night %d, family %d, memory %d: p %.10g, wanted %.10g", t, i % 3, i / 3, p, wanted[w].p[i]);
		}
		w++;
	}
	assert_int_equal(w, sizeof wanted / sizeof *wanted);
	ns_nights_free(n);
}

/* A column without values is left out; a night of few rows is judged by what few rows can say; a gap forgets last night's step. */
static void odd_nights(void **state)
{
	static double x[NIGHTS][COLUMNS];
	struct ns_nights *n[2];
	struct ns_nights_verdict v[2];
	int t, i, j;

	(void)state;
	world(x);
	for (i = 0; i < 2; i++)
		assert_int_equal(ns_nights_make(&n[i], &config), NS_OK);
	for (t = 0; t < 99; t++)
		for (i = 0; i < 2; i++)
			assert_int_equal(ns_nights_judge(n[i], x[t], 1000, t % 7, 0, &v[i]), NS_OK);
	for (j = 0; j < 4; j++)
		x[99][j] += .4;
	assert_int_equal(ns_nights_judge(n[0], x[99], 1000, 99 % 7, 0, &v[0]), NS_OK);
	assert_int_equal(ns_nights_judge(n[1], x[99], 20, 99 % 7, 1, &v[1]), NS_OK);
	assert_true(v[0].alarm && !v[1].alarm);
	assert_true(isnan(v[1].p[0][NS_JUDGE_STEP]) && !isnan(v[0].p[0][NS_JUDGE_STEP]));
	assert_true(v[0].unseen > .05 && v[0].unseen < .5);
	for (j = 0; j < COLUMNS; j++)
		x[100][j] = j < 7 ? NAN : x[98][j];
	assert_int_equal(ns_nights_judge(n[0], x[100], 1000, 100 % 7, 0, &v[0]), NS_OK);
	near(v[0].p[0][NS_JUDGE_TONIGHT], 1, 1e-12);
	assert_false(v[0].alarm);
	for (i = 0; i < 2; i++)
		ns_nights_free(n[i]);
}

static void dated_reference(void **state)
{
	static double x[NIGHTS][COLUMNS];
	struct ns_nights_config of = config;
	struct ns_nights *n;
	struct ns_nights_verdict v;
	int t, j;

	(void)state;
	world(x);
	of.dated = 1;
	assert_int_equal(ns_nights_make(&n, &of), NS_OK);
	for (t = 0; t < 56; t++)
		assert_int_equal(ns_nights_learn(n, x[t], t % 7), NS_OK);
	for (j = 0; j < 4; j++)
		x[56][j] += .6;
	assert_int_equal(ns_nights_judge(n, x[56], 1000, 56 % 7, 0, &v), NS_OK);
	assert_true(v.alarm && v.known == 56);
	ns_nights_free(n);
	of.columns[1] = NS_JUDGE_COLUMNS + 1;
	assert_int_equal(ns_nights_make(&n, &of), NS_INVALID);
	ns_nights_free(n);
}

/* By an independent formula (scipy); seven for it and none against are the fewest that pass at 20. */
static void gate(void **state)
{
	(void)state;
	near(ns_gate_evidence(7, 0), 3.4618220035, 1e-9);
	near(ns_gate_evidence(0, 7), -2.0794415417, 1e-9);
	near(ns_gate_evidence(30, 12), 2.9149936531, 1e-9);
	near(ns_gate_evidence(200, 150), 1.5574507558, 1e-9);
	assert_true(fabs(ns_gate_evidence(0, 0)) < 1e-12);
	assert_true(ns_gate_evidence(7, 0) >= log(20) && ns_gate_evidence(6, 0) < log(20));
	assert_true(isfinite(ns_gate_evidence(0, 5000)));
	/* scipy, by the sums over disagreements and their split */
	near(ns_gate_power(60, .1, 20), .23616875794651257, 1e-9);
	near(ns_gate_power(60, .1, 40), .1585265845261292, 1e-9);
	near(ns_gate_power(120, .05, 20), .16575913957371174, 1e-9);
	assert_int_equal(ns_gate_rows_wanted(.1, .9, 20), 217);
	assert_true(ns_gate_power(0, .1, 20) == 0);
}

/* With y at a fall of exactly the first design, C grows by d^2 / 2v a night: the night of the verdict is known. */
static void harm_known(void **state)
{
	struct ns_harm h = {.world = {.accuracy = .9, .spread = .01, .rows = 1000, .labels = 100, .baseline = 5000, .tolerance = .03, .budget = .3}};
	struct ns_harm_verdict v;
	double w = ns_harm_noise(.08, 100, .01, 1000), each = .05 * .05 / 2 / (w + .0004);
	int i, t;

	(void)state;
	near(w, .00081, 1e-12);
	h.day = .02;
	for (i = 0; i < NS_HARM_DAYS; i++)
		h.threshold[i] = 6.5 * each;
	for (t = 1; t <= 7; t++) {
		ns_harm_judge(&h, -.05, w, 100, &v);
		assert_int_equal(v.harmful, t == 7);
		near(v.fall, .05, 1e-12);
		near(v.high - v.low, 2 * 1.959964 * sqrt((w + .0004) / t), 1e-9);
	}
	assert_true(h.c[0] == 0 && h.c[1] == 0);
	for (t = 0; t < 3000; t++) { /* a fall below the tolerance is evidence, too, and no harm */
		ns_harm_judge(&h, -.029, w, 100, &v);
		assert_false(v.harmful);
	}
	assert_true(h.c[0] > h.threshold[0]);
}

/* The threshold is that of the budget: half as many alarms by other years of the same world, twice as many, are as they must be. */
static void harm_threshold(void **state)
{
	struct ns_harm_world world = {.accuracy = .92, .spread = .011, .rows = 5000, .labels = 100, .baseline = 5000, .tolerance = .03, .budget = .3};
	double few, usual, many, day;

	(void)state;
	usual = ns_harm_threshold(&world, .01, 200, 1);
	day = ns_harm_threshold(&world, .03, 200, 1);
	world.budget = .1;
	few = ns_harm_threshold(&world, .01, 200, 1);
	world.budget = 1;
	many = ns_harm_threshold(&world, .01, 200, 1);
	assert_true(many < usual && usual < few);
	assert_true(usual > 2 && usual < 12 && day > 2 && day < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(quantiles),	      cmocka_unit_test(first_nights), cmocka_unit_test(odd_nights),
					   cmocka_unit_test(dated_reference), cmocka_unit_test(gate),	      cmocka_unit_test(harm_known),
					   cmocka_unit_test(harm_threshold)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
