/* tests/host/test_pvalue.c - the known answers of docs/drift.md, and calibration over many windows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "kernels/formula/random.h"

static void near(double got, double wanted, double tolerance)
{
	if (!(fabs(got - wanted) <= tolerance))
		fail_msg("got %.10g, wanted %.10g within %g", got, wanted, tolerance);
}

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double ks(double *x, int64_t m, double *y, int64_t n)
{
	int64_t i = 0, j = 0;
	double best = 0;

	qsort(x, (size_t)m, sizeof *x, by_double);
	qsort(y, (size_t)n, sizeof *y, by_double);
	while (i < m && j < n) {
		double v = x[i] < y[j] ? x[i] : y[j];

		while (i < m && x[i] <= v)
			i++;
		while (j < n && y[j] <= v)
			j++;
		best = fmax(best, fabs((double)i / (double)m - (double)j / (double)n));
	}
	return best;
}

static void ks_known(void **state)
{
	double x[300], y[300];
	int i;

	(void)state;
	near(ns_stat_ks_p(.061, 1000, 1000), .048397, 1e-6);
	/* all of one window beyond the other: 2 / C(m + n, n), also where the limit would say less */
	near(ns_stat_ks_p(1, 20000, 1) * 1e4, .9999500025, 1e-9);
	near(ns_stat_ks_p(1, 20000, 5) * 1e20, 7.494377624016, 1e-6);
	near(ns_stat_ks_p_asymptotic(1, 1000000, 3) * 1e17, 1.19999280003, 1e-6);
	near(ns_stat_ks_p_asymptotic(.9999999, 1000000, 3) * 1e17, 1.19999280003, 1e-6);
	near(ns_stat_ks_p(.4, 3, 200000), ns_stat_ks_p(.4, 200000, 3), 1e-12);
	assert_true(ns_stat_fisher((int64_t[]){3, 1}, (int64_t[]){1, 3}) > .4857 && ns_stat_fisher((int64_t[]){3, 1}, (int64_t[]){1, 3}) < .48572);
	near(ns_stat_ks_p_asymptotic(.061, 1000, 1000), .046421, 1e-6);
	for (i = 0; i < 200; i++)
		x[i] = (i + .5) / 200;
	for (i = 0; i < 300; i++)
		y[i] = pow((i + .5) / 300, 1.2);
	near(ks(x, 200, y, 300), .07, 1e-12);
	/* large windows, by an expansion; the last, 66,667 against one, also by Marsaglia, Tsang and Wang's matrix */
	near(ns_stat_ks_p_asymptotic(.0019, 1000000, 1000000), .054034070302, 1e-9);
	near(ns_stat_ks_p_asymptotic(.006, 200000, 100000), .016393017298, 1e-9);
	/* the one of 1,000, beside the matrix with 19 digits: the last term of the expansion is 1.5e-7 here */
	near(ns_stat_ks_p_asymptotic(.061, 2000, 2000), .00112039766089, 1e-8);
	/* four rows by hand: P(D < d) = 4! (2 d - 1/4)^4 up to 1/4, and P(D >= d) = 2 (1 - d)^4 from 3/4 on (Simard, L'Ecuyer 2011) */
	near(ns_stat_ks_p_asymptotic(.2, 8, 8), 1 - 24 * .15 * .15 * .15 * .15, 1e-12);
	near(ns_stat_ks_p_asymptotic(.8, 8, 8), 2 * .2 * .2 * .2 * .2, 1e-12);
	near(ns_stat_ks_p(.07, 200, 300), .582115, 1e-6);
	near(ns_stat_ks_p(0, 5, 7), 1, 0);
	near(ns_stat_ks_p(1, 3, 3), 0.1, 1e-12); /* 2 of C(6,3) = 20 labellings */
	/* scipy's ks_2samp, exact: equal sizes (the closed form), and nearly (lattice paths) */
	near(ns_stat_ks_p(.25, 40, 40), .164972699502, 1e-11);
	near(ns_stat_ks_p(.2621951219512195, 40, 41), .092620555148, 1e-11);
}

static void chi2_known(void **state)
{
	int64_t ref[10], cur[10] = {150, 100, 100, 100, 100, 90, 90, 90, 90, 90};
	double statistic, v, p;
	int i;

	(void)state;
	for (i = 0; i < 10; i++)
		ref[i] = 100;
	p = ns_stat_chi2_counts(ref, cur, 10, &statistic, &v);
	near(statistic, 12.6316, 5e-5);
	near(v, sqrt(12.6315789 / 2000), 1e-8); /* Cramer's V is of both samples' rows */
	near(p, .179998, 1e-6);
	p = ns_stat_chi2_counts((int64_t[]){30, 70}, (int64_t[]){45, 55}, 2, &statistic, &v);
	near(p, .040872, 1e-6);
	p = ns_stat_chi2_counts((int64_t[]){30, 0}, (int64_t[]){45, 0}, 2, &statistic, &v);
	near(p, 1, 0);
	p = ns_stat_chi2_counts((int64_t[]){30, 0}, (int64_t[]){45, 9}, 2, &statistic, &v);
	assert_true(p > 0 && p < 1);
}

/* .1, .2, .3, .4 against even shares; and how often windows without drift are beyond the 95 % point, of a fine and a coarse table */
static void stability_known(void **state)
{
	int64_t even[4] = {2500000, 2500000, 2500000, 2500000}, steps[4] = {1000000, 2000000, 3000000, 4000000};
	int k, w, i, psi, js;

	(void)state;
	near(ns_stat_psi(steps, even, 4), .228217, 1e-6); /* half a count does not show among ten million */
	near(ns_stat_js(steps, even, 4), .166930 * .166930, 1e-6);
	near(ns_stat_js((int64_t[]){1, 0}, (int64_t[]){0, 1}, 2), log(2), 1e-12);
	for (k = 4; k <= 20; k += 16) {
		for (psi = js = w = 0; w < 2000; w++) {
			int64_t ref[20] = {0}, cur[20] = {0};

			for (i = 0; i < 3000; i++)
				(i < 2000 ? ref : cur)[ns_draw(3, NS_FOR_BOOTSTRAP, (uint32_t)k, (uint64_t)i, (uint32_t)w).v[0] % (uint32_t)k]++;
			psi += ns_stat_psi(ref, cur, k) > ns_stat_psi_no_drift(k, 2000, 1000);
			js += ns_stat_js(ref, cur, k) > ns_stat_js_no_drift(k, 2000, 1000);
		}
		near(psi / 2000., .05, .0146); /* three standard errors */
		near(js / 2000., .05, .0146);
	}
}

static void bbse_known(void **state)
{
	/* C(predicted given label) times the label's share is the joint that ns_stat_bbse takes */
	double given[9] = {.9, .2, .1, .05, .7, .1, .05, .1, .8}, p[3] = {.5, .3, .2}, mu[3] = {.29, .27, .44}, c[9], w[3];
	int i, j;

	(void)state;
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			c[3 * i + j] = given[3 * i + j] * p[j];
	assert_true(ns_stat_bbse(c, mu, 3, w) < 100);
	near(w[0], .4, 1e-9);
	near(w[1], 1, 1e-9);
	near(w[2], 2.5, 1e-9);
	assert_true(isinf(ns_stat_bbse((double[]){1, 1, 1, 1}, (double[]){.5, .5}, 2, w)));
}

static void corrections(void **state)
{
	double p[4] = {.01, .04, .03, .005}, a[4];

	(void)state;
	ns_stat_holm(p, a, 4);
	near(a[3], .02, 1e-12);
	near(a[0], .03, 1e-12);
	near(a[2], .06, 1e-12);
	near(a[1], .06, 1e-12);
	ns_stat_benjamini_hochberg(p, a, 4);
	near(a[3], .02, 1e-12);
	near(a[0], .02, 1e-12);
	near(a[1], .04, 1e-12);
}

/* without drift a test at 5 % alarms in 5 % of windows, at every size: 400 windows, two standard errors */
static void calibrated(void **state)
{
	static const int64_t sizes[][2] = {{50, 50}, {50, 80}, {200, 200}, {500, 200}};
	double x[500], y[500];
	size_t s;
	int w, i;

	(void)state;
	for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		int alarms = 0;

		for (w = 0; w < 400; w++) {
			for (i = 0; i < sizes[s][0]; i++)
				x[i] = ns_uniform(ns_draw(7, NS_FOR_BOOTSTRAP, (uint32_t)w, (uint64_t)i, (uint32_t)s).v[0]);
			for (i = 0; i < sizes[s][1]; i++)
				y[i] = ns_uniform(ns_draw(8, NS_FOR_BOOTSTRAP, (uint32_t)w, (uint64_t)i, (uint32_t)s).v[0]);
			alarms += ns_stat_ks_p(ks(x, sizes[s][0], y, sizes[s][1]), sizes[s][0], sizes[s][1]) < .05;
		}
		assert_true(alarms <= 400 * (.05 + 2 * sqrt(.05 * .95 / 400)));
	}
}

static void binomial_known(void **state)
{
	(void)state; /* sums of integers and rationals */
	near(ns_stat_binomial_sf(0, 10, .3), 1, 1e-12);
	near(ns_stat_binomial_sf(6, 10, .5), 386. / 1024, 1e-12);
	near(ns_stat_binomial_sf(10, 10, .5), 1. / 1024, 1e-15);
	near(ns_stat_binomial_sf(5, 40, .05), .04802826, 1e-7);
	near(ns_stat_binomial_sf(11, 10, .5), 0, 0);
}

/* The interval's ends are the two shares p with |k/n - p| = z sqrt(p (1 - p) / n); statsmodels' proportion_confint has the constants. */
static void wilson_known(void **state)
{
	double low, high;
	int64_t n;

	(void)state;
	ns_stat_wilson(15, 20, &low, &high);
	near(low, .5312991223812559, 1e-12);
	near(high, .8881382985923344, 1e-12);
	ns_stat_wilson(10, 10, &low, &high);
	near(low, .7224672001371106, 1e-12);
	ns_stat_wilson(0, 0, &low, &high);
	assert_true(low == 0 && high == 1);
	for (n = 1; n <= 1000; n++) { /* no share is printed as -0.0 or as 100.0 % and a rounding error more */
		ns_stat_wilson(0, n, &low, &high);
		assert_true(low >= 0 && low < 1e-12);
		ns_stat_wilson(n, n, &low, &high);
		assert_true(high <= 1 && high > 1 - 1e-12);
	}
}

static void principal_direction(void **state)
{
	float x[200 * 3], out[200];
	double mean[3], v[3];
	struct ns_workers *workers;
	int i;

	(void)state;
	for (i = 0; i < 200; i++) { /* a line along (1, 2, 2) / 3 */
		float t = (float)(i - 100);

		x[3 * i] = 1 + t;
		x[3 * i + 1] = 2 + 2 * t;
		x[3 * i + 2] = 3 + 2 * t;
	}
	assert_int_equal(ns_workers_make(&workers, 2), NS_OK);
	assert_int_equal(ns_stat_pca_fit(workers, x, 200, 3, 1, mean, v), NS_OK);
	ns_workers_free(workers);
	near(fabs(v[0]), 1. / 3, 1e-6);
	near(fabs(v[1]), 2. / 3, 1e-6);
	assert_int_equal(ns_stat_pca_apply(x, 200, 3, 1, mean, v, out), NS_OK);
	near(fabs((double)out[0] - (double)out[1]), 3, 1e-4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(ks_known),	      cmocka_unit_test(chi2_known),	     cmocka_unit_test(bbse_known),
					   cmocka_unit_test(corrections),     cmocka_unit_test(calibrated),	     cmocka_unit_test(binomial_known),
					   cmocka_unit_test(stability_known), cmocka_unit_test(principal_direction), cmocka_unit_test(wilson_known)};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
