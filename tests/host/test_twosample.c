/* tests/host/test_twosample.c - known answers of docs/drift.md, and that windows without drift alarm as often as they may. */
#define _XOPEN_SOURCE 700 /* M_PI */
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

static int by_float(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* normal by Box and Muller, keyed */
static float normal(uint64_t seed, uint64_t i)
{
	struct ns_philox r = ns_draw(seed, NS_FOR_NOISE, 0, i, 0);

	return (float)(sqrt(-2 * log(ns_uniform(r.v[0]) + 0x1p-33)) * cos(2 * M_PI * ns_uniform(r.v[1])));
}

static void column_known(void **state)
{
	float x[300], y[300], z[300];
	struct ns_stat_column s;
	int i;

	(void)state;
	for (i = 0; i < 200; i++)
		x[i] = (float)((i + .5) / 200);
	for (i = 0; i < 300; i++)
		y[i] = (float)pow((i + .5) / 300, 1.2);
	ns_stat_column(x, 200, y, 300, &s);
	near(s.ks, .07, 1e-9);
	near(s.cvm, .29506, 5e-6);
	near(ns_stat_cvm_p(s.cvm, 200, 300), .139754, 1e-6);
	near(s.wasserstein, .0454634, 1e-6);
	/* of the limit itself (mean 1/6, variance 1/45), by the series with sixty digits: where the doubles of 1 - F end, and far beyond */
	near(ns_stat_cvm_p(.46136, 1e9, 1e9), .0500003831, 1e-8);
	near(ns_stat_cvm_p(3, 1e9, 1e9) / 7.56774345931602e-8, 1, 1e-6);
	near(ns_stat_cvm_p(3.5, 1e9, 1e9) / 5.95671068021984e-9, 1, 1e-6);
	near(ns_stat_cvm_p(20, 1e9, 1e9) / 1.09720931656539e-44, 1, 1e-6);
	assert_true(ns_stat_cvm_p(652.7, 5000, 5000) < 1e-300 && ns_stat_cvm_p(1e6, 5000, 5000) >= 0);
	/* against itself and a constant more: that constant */
	for (i = 0; i < 300; i++)
		z[i] = y[i] + 16;
	ns_stat_column(y, 300, z, 300, &s);
	near(s.wasserstein, 16, 16e-6);
	assert_true(s.ks == 1);
	near(s.across, 16, .5);
	near(s.energy / (2 * s.across), 1, .1);
	ns_stat_column((float[]){3}, 1, (float[]){5}, 1, &s);
	near(s.energy, 4, 1e-12); /* 2 E|x - y|, which is all of it */
	near(s.across, 2, 1e-12);
	ns_stat_column((float[]){1, 1, 2, 2}, 4, (float[]){1, 2, 2, 3}, 4, &s);
	near(s.wasserstein, .5, 1e-12);
	near(s.energy, 2 * (.25 * .25 + .25 * .25), 1e-12);
	/* equal samples: no distance at all */
	ns_stat_column(x, 200, x, 200, &s);
	assert_true(s.ks == 0 && s.wasserstein == 0 && s.energy == 0);
	assert_true(ns_stat_cvm_p(s.cvm, 200, 200) > .999);
}

/* Cramer-von Mises by its definition on ranks that are counted one by one, with ties */
static void cvm_by_ranks(void **state)
{
	enum { M = 37, N = 23 };
	float x[M], y[N];
	struct ns_stat_column s;
	double u = 0;
	int i, j;

	(void)state;
	for (i = 0; i < M; i++)
		x[i] = (float)(ns_draw(3, NS_FOR_NOISE, 0, (uint64_t)i, 0).v[0] % 9);
	for (i = 0; i < N; i++)
		y[i] = (float)(ns_draw(4, NS_FOR_NOISE, 0, (uint64_t)i, 0).v[0] % 11);
	qsort(x, M, sizeof *x, by_float);
	qsort(y, N, sizeof *y, by_float);
	for (i = 0; i < M; i++) {
		double below = 0, same = 0;

		for (j = 0; j < M; j++)
			below += x[j] < x[i], same += x[j] == x[i];
		for (j = 0; j < N; j++)
			below += y[j] < x[i], same += y[j] == x[i];
		u += M * pow(below + (same + 1) / 2 - (i + 1), 2);
	}
	for (i = 0; i < N; i++) {
		double below = 0, same = 0;

		for (j = 0; j < M; j++)
			below += x[j] < y[i], same += x[j] == y[i];
		for (j = 0; j < N; j++)
			below += y[j] < y[i], same += y[j] == y[i];
		u += N * pow(below + (same + 1) / 2 - (i + 1), 2);
	}
	ns_stat_column(x, M, y, N, &s);
	near(s.cvm, u / ((double)M * N * (M + N)) - (4.0 * M * N - 1) / (6.0 * (M + N)), 1e-9);
}

static void counts_known(void **state)
{
	int64_t ref[10], cur[10], a[2] = {30, 70}, b[2] = {45, 55};
	double g, least, by_hand = 0, by_q;
	int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		ref[i] = 100;
		cur[i] = i == 0 ? 150 : i < 5 ? 100 : 90;
		by_hand += 100 * log(200 / (100 + (double)cur[i])) + (double)cur[i] * log(2 * (double)cur[i] / (100 + (double)cur[i]));
	}
	/* Williams: (2 + 2 - 1) (10 classes of about 2,000 / 200 each - 1) / (6 x 2,000 x 9) */
	for (by_q = -1, i = 0; i < 10; i++)
		by_q += 2000. / (100 + (double)cur[i]);
	near(ns_stat_g_counts(ref, cur, 10, &g, &least), ns_stat_chi2_sf(2 * by_hand / (1 + 3 * by_q / 108000), 9), 1e-12);
	near(g, 2 * by_hand, 1e-9);
	near(least, 95, 1e-9);
	/* Fisher's exact test of the same table: .040534; 20,000 draws know it to .0014 */
	near(ns_stat_chi2_draws(a, b, 2, 20000, 7), .040534, 4 * .0014);
	assert_true(ns_stat_chi2_draws(ref, ref, 10, 99, 1) == 1);
}

/* covariances of the same 60 random axes, lengths of which a third are 0: sum of (root - root)^2 */
static void commuting(void)
{
	enum { K = 60 };
	static double axis[K][K], s[K * K], t[K * K], mu[K];
	double wanted = 0;
	int a, b, i, j;

	for (a = 0; a < K; a++) { /* Gram and Schmidt, twice */
		for (i = 0; i < K; i++)
			axis[a][i] = (double)normal(11, (uint64_t)(a * K + i));
		for (j = 0; j < 2 * a; j++) {
			double dot = 0;

			for (b = j % a, i = 0; i < K; i++)
				dot += axis[a][i] * axis[b][i];
			for (i = 0; i < K; i++)
				axis[a][i] -= dot * axis[b][i];
		}
		for (mu[0] = 0, i = 0; i < K; i++)
			mu[0] += axis[a][i] * axis[a][i];
		for (i = 0; i < K; i++)
			axis[a][i] /= sqrt(mu[0]);
	}
	mu[0] = 0;
	for (a = 0; a < K; a++) {
		double before = a % 3 ? 1 + a * a : 0, now = a % 5 ? 2 + a : 0;

		wanted += (sqrt(before) - sqrt(now)) * (sqrt(before) - sqrt(now));
		for (i = 0; i < K; i++)
			for (j = 0; j < K; j++) {
				s[i * K + j] += before * axis[a][i] * axis[a][j];
				t[i * K + j] += now * axis[a][i] * axis[a][j];
			}
	}
	near(ns_stat_frechet(mu, s, mu, t, K) / wanted, 1, 1e-5); /* the root of a zero that is 1e-16 of the largest is 1e-8 of its root */
	near(ns_stat_frechet(mu, t, mu, s, K) / wanted, 1, 1e-5);
}

static void distances_known(void **state)
{
	double mu[3] = {0, 0, 0}, nu[3] = {1, 0, 0}, s[9] = {1, 0, 0, 0, 2, 0, 0, 0, 3}, t[9] = {2, 0, 0, 0, 2, 0, 0, 0, 1};
	double turned[9], c = cos(.7), n = sin(.7), r[9] = {c, -n, 0, n, c, 0, 0, 0, 1};
	float x[4] = {1, 0, 0, 1}, y[4] = {1, 1, 0, 0};
	int i, j, k, l;

	(void)state;
	near(ns_stat_frechet(mu, s, nu, t, 3), 1.707471, 1e-6);
	/* turning both leaves it as it is, but nothing is diagonal any more: T = R S R' beside itself is at distance 0 */
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			for (turned[i * 3 + j] = 0, k = 0; k < 3; k++)
				for (l = 0; l < 3; l++)
					turned[i * 3 + j] += r[i * 3 + k] * s[k * 3 + l] * r[j * 3 + l];
	near(ns_stat_frechet(mu, turned, mu, turned, 3), 0, 1e-7);
	commuting();
	/* by hand: (1 + x'y / 2)^3 over the pairs of {(1,0),(0,1)} and {(1,1),(0,0)} */
	near(ns_stat_kid(x, 2, y, 2, 2), 1 + 1 - 2 * (1.5 * 1.5 * 1.5 * 2 + 2) / 4, 1e-6);
}

static void confident_known(void **state)
{
	static const float first[8] = {.9f, .8f, .3f, .6f, .2f, .1f, .85f, .4f};
	static const int32_t label[8] = {0, 0, 0, 0, 1, 1, 1, 1};
	struct ns_stat_confident c;
	float prob[16];
	uint8_t suspect[8];
	int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		prob[2 * i] = first[i];
		prob[2 * i + 1] = 1 - first[i];
	}
	assert_int_equal(ns_stat_confident_init(&c, 2), NS_OK);
	ns_stat_confident_learn(&c, prob, label, 3); /* in two pieces */
	ns_stat_confident_learn(&c, prob + 6, label + 3, 5);
	ns_stat_confident_judge(&c, prob, label, 5, suspect);
	ns_stat_confident_judge(&c, prob + 10, label + 5, 3, suspect + 5);
	assert_int_equal(c.suspects, 2);
	near(ns_stat_confident_threshold(&c, 0), .65, 1e-6);
	near(ns_stat_confident_threshold(&c, 1), .6125, 1e-6);
	assert_true(c.joint[0] == 2 && c.joint[1] == 1 && c.joint[2] == 1 && c.joint[3] == 2);
	ns_stat_confident_release(&c);
	for (i = 0; i < 8; i++)
		assert_int_equal(suspect[i], i == 2 || i == 6);
}

/* a class that is labelled and never predicted has a threshold of 0, and no row is confident in it for that */
static void confident_in_no_class(void **state)
{
	static const float prob[] = {.95f, .05f, 0, .75f, .25f, 0, .05f, .95f, 0, .25f, .75f, 0, .95f, .05f, 0};
	static const int32_t label[] = {0, 0, 1, 1, 2};
	struct ns_stat_confident c;
	uint8_t suspect[5];

	(void)state;
	assert_int_equal(ns_stat_confident_init(&c, 3), NS_OK);
	ns_stat_confident_learn(&c, prob, label, 5);
	ns_stat_confident_judge(&c, prob, label, 5, suspect);
	assert_true(ns_stat_confident_threshold(&c, 2) == 0);
	assert_true(c.suspects == 1 && suspect[4] == 1); /* the one that is labelled 2, and surely 0 */
	ns_stat_confident_release(&c);
}

/* of so many classes no table is kept, which would have the square of them; the answers are the same */
static void confident_in_many_classes(void **state)
{
	enum { K = 100000 };
	float *prob = calloc(2 * (size_t)K, sizeof *prob);
	int32_t label[2] = {K - 1, K - 2};
	struct ns_stat_confident c;
	uint8_t suspect[2];

	(void)state;
	prob[K - 1] = .9f;
	prob[K + K - 1] = .95f; /* labelled K - 2, but as surely K - 1 as the row before */
	prob[K + K - 2] = .05f;
	assert_int_equal(ns_stat_confident_init(&c, K), NS_OK);
	assert_null(c.joint);
	ns_stat_confident_learn(&c, prob, label, 2);
	ns_stat_confident_judge(&c, prob, label, 2, suspect);
	assert_true(c.suspects == 1 && suspect[0] == 0 && suspect[1] == 1);
	ns_stat_confident_release(&c);
	free(prob);
}

/* without drift: at most alpha + 2 standard errors of alarms, at every size; with it, alarms */
static void calibration(void **state)
{
	static const int sizes[] = {50, 200, 1000};
	enum { WINDOWS = 400, D = 8 };
	static float x[1000 * D], y[1000 * D];
	size_t z;

	(void)state;
	for (z = 0; z < sizeof sizes / sizeof *sizes; z++) {
		int n = sizes[z], w, i, windows = n > 200 ? WINDOWS / 2 : WINDOWS, cvm = 0, c2st = 0, draws = 0, g = 0, seen = 0, covered = 0;
		double most = .05 + 2 * sqrt(.05 * .95 / windows), statistic, least, accuracy, low, high;

		for (w = 0; w < windows; w++) {
			struct ns_stat_column s;
			int64_t ref[4] = {0}, cur[4] = {0};

			for (i = 0; i < n * D; i++) {
				x[i] = normal((uint64_t)w, (uint64_t)i);
				y[i] = normal((uint64_t)w + 10000, (uint64_t)i);
			}
			c2st += ns_stat_c2st(x, n, y, n, D, (uint64_t)w, &accuracy, &low, &high) < .05;
			for (i = 0; i < n; i++) {
				ref[x[i * D] < -1.8f ? 3 : x[i * D] < -1 ? 2 : x[i * D] < .5f]++;
				cur[y[i * D] < -1.8f ? 3 : y[i * D] < -1 ? 2 : y[i * D] < .5f]++;
			}
			g += ns_stat_g_counts(ref, cur, 4, &statistic, &least) < .05;
			if (n == 50)
				draws += ns_stat_chi2_draws(ref, cur, 4, 199, (uint64_t)w) <= .05;
			qsort(x, (size_t)n, sizeof *x, by_float);
			qsort(y, (size_t)n, sizeof *y, by_float);
			ns_stat_column(x, n, y, n, &s);
			cvm += ns_stat_cvm_p(s.cvm, n, n) < .05;
			if (w < 40 && n == 200) { /* a shift of 1 is inside the interval of its distance */
				for (i = 0; i < n; i++)
					y[i] += 1;
				ns_stat_column(x, n, y, n, &s);
				assert_int_equal(ns_stat_wasserstein_interval(x, n, y, n, n, n, s.wasserstein, (uint64_t)w, 0, &low, &high), NS_OK);
				seen += ns_stat_cvm_p(s.cvm, n, n) < 1e-4;
				covered += low <= 1 && high >= 1;
			}
		}
		if (cvm > most * windows || c2st > most * windows || draws > most * windows)
			fail_msg("of %d windows of %d rows without drift %d, %d, %d alarm", windows, n, cvm, c2st, draws);
		if (g > most * windows)
			fail_msg("G: of %d windows of %d rows without drift %d alarm", windows, n, g);
		if (n == 200 && (seen < 40 || covered < 34))
			fail_msg("of 40 shifts of 1 %d are seen, %d are covered", seen, covered);
	}
}

static void classifier_sees(void **state)
{
	enum { N = 300, D = 8 };
	static float x[N * D], y[N * D];
	double accuracy, low, high;
	int i;

	(void)state;
	for (i = 0; i < N * D; i++) {
		x[i] = normal(1, (uint64_t)i);
		y[i] = normal(2, (uint64_t)i) + (i % D == 3 ? 1.5f : 0);
	}
	assert_true(ns_stat_c2st(x, N, y, N, D, 5, &accuracy, &low, &high) < 1e-6);
	/* two normals 1.5 apart: the best rule is right with P(Z < .75) = .773 */
	near(accuracy, .773, .06);
	assert_true(low < .773 && high > .773);
	assert_true(isnan(ns_stat_c2st(x, 7, y, N, D, 5, &accuracy, &low, &high)));
	/* a unit that never fires: its column of zeros makes the covariance singular, and the others still tell */
	for (i = 5; i < N * D; i += D)
		x[i] = y[i] = 0;
	assert_true(ns_stat_c2st(x, N, y, N, D, 5, &accuracy, &low, &high) < 1e-6);
	near(accuracy, .773, .06);
}

/*
 * Two even samples of [0, 1), one of them moved by 5: the distance is the difference of the means, and the interval the normal one of it.
 * A percentile of 200 draws is known to a fifth of the standard error, the mean of twenty to a twentieth.
 */
static void interval_known(void **state)
{
	enum { N = 300, M = 200, SEEDS = 20 };
	float x[M], y[N];
	double low, high, below = 0, above = 0, error = sqrt(1. / 12 / M + 1. / 12 / N);
	int i;

	(void)state;
	for (i = 0; i < M; i++)
		x[i] = (float)((i + .5) / M);
	for (i = 0; i < N; i++)
		y[i] = (float)(5 + (i + .5) / N);
	for (i = 0; i < SEEDS; i++) {
		assert_int_equal(ns_stat_wasserstein_interval(x, M, y, N, M, N, 5, (uint64_t)i, 0, &low, &high), NS_OK);
		below += (5 - low) / error / SEEDS;
		above += (high - 5) / error / SEEDS;
	}
	near(below, 1.96, .2);
	near(above, 1.96, .2);
}

/* ten bins between quantiles of the reference; ties make them fewer, and nothing is counted twice or lost */
static void quantile_bins(void **state)
{
	float x[100], y[50], flat[4] = {1, 1, 1, 1}, some[5] = {0, 1, 1, 1, 7};
	int64_t ref[10], cur[10], all = 0;
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		x[i] = (float)i;
	for (i = 0; i < 50; i++)
		y[i] = (float)(i < 10 ? -5 : i < 40 ? 95 : 1000);
	assert_int_equal(ns_stat_quantile_bins(x, 100, y, 50, 10, ref, cur), 10);
	for (i = 0; i < 10; i++)
		assert_int_equal(ref[i], 10);
	assert_true(cur[0] == 10 && cur[9] == 40 && cur[5] == 0);
	assert_int_equal(ns_stat_quantile_bins(flat, 4, y, 50, 10, ref, cur), 1);
	assert_true(ref[0] == 4 && cur[0] == 50);
	i = ns_stat_quantile_bins(some, 5, y, 50, 10, ref, cur);
	assert_int_equal(i, 3); /* below 1, from 1, from 7 */
	while (i-- > 0)
		all += ref[i] + cur[i];
	assert_int_equal(all, 55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(column_known),		 cmocka_unit_test(quantile_bins),
		cmocka_unit_test(cvm_by_ranks),		 cmocka_unit_test(counts_known),
		cmocka_unit_test(distances_known),	 cmocka_unit_test(confident_known),
		cmocka_unit_test(confident_in_no_class), cmocka_unit_test(confident_in_many_classes),
		cmocka_unit_test(calibration),		 cmocka_unit_test(classifier_sees),
		cmocka_unit_test(interval_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
