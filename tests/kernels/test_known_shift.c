/* tests/kernels/test_known_shift.c - KS and MMD with answers worked out elsewhere, and MMD by plain loops. */
#include "tests/kernels/cases.h"

#include "kernels/formula/mmd.h"
#include "kernels/formula/random.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const backends[] = {"ref", "cpu"};

static double ks(const char *backend, const float *x, int64_t m, const float *y, int64_t n)
{
	struct nst_case c = {.label = "ks", .op = {.kind = NS_OP_KS, .u.ks = {m, n, 1}}};
	void *out[NS_OP_MAX_OUT];
	double d;

	nst_given(&c, NS_KS_REF, NST_F32, m, x);
	nst_given(&c, NS_KS_CUR, NST_F32, n, y);
	nst_out(&c, NS_KS_D, NST_F64, 1, 0);
	nst_run_best(backend, &c, out);
	memcpy(&d, out[NS_KS_D], sizeof d);
	nst_outputs_free(out);
	return d;
}

static void test_ks(void **state)
{
	float x[1000], y[1000];
	size_t b, i;

	(void)state;
	for (b = 0; b < COUNT(backends); b++) {
		for (i = 0; i < 1000; i++) {
			x[i] = (float)(i * 7 % 1000);
			y[i] = (float)(i * 13 % 1000) + 60.5f;
		}
		assert_true(fabs(ks(backends[b], x, 1000, y, 1000) - 0.061) < 1e-12);
		assert_true(ks(backends[b], x, 1000, x, 1000) == 0);
		assert_true(fabs(ks(backends[b], x, 1000, x, 10) - ks(backends[b], x, 10, x, 1000)) < 1e-12);
		for (i = 0; i < 200; i++)
			x[i] = (float)(((double)i + 0.5) / 200);
		for (i = 0; i < 300; i++)
			y[i] = (float)pow(((double)i + 0.5) / 300, 1.2);
		assert_true(fabs(ks(backends[b], x, 200, y, 300) - 0.07) < 1e-12);
		for (i = 0; i < 200; i++) { /* ties: {0 x 100, 1 x 100} against {0 x 150, 1 x 50} */
			x[i] = (float)(i % 2);
			y[i] = (float)(i % 4 == 0);
		}
		assert_true(fabs(ks(backends[b], x, 200, y, 200) - 0.25) < 1e-12);
	}
}

/* --- MMD --- */

enum { M = 64, N = 48, D = 8, ALL = M + N };

static void fixture(float *x)
{
	int i, d;

	for (i = 0; i < M; i++)
		for (d = 0; d < D; d++)
			x[i * D + d] = (float)((131 * i + 17 * d + 7 * i * d) % 257 / 256.0);
	for (i = 0; i < N; i++)
		for (d = 0; d < D; d++)
			x[(M + i) * D + d] = (float)((131 * i + 17 * d + 7 * i * d + 5) % 257 / 256.0 + 0.1);
}

struct sums {
	int64_t q[64], s[64], total;
};

/* adds the rows [begin, end) to `t` */
static void mmd(const char *backend, const float *x, struct ns_op_mmd v, struct sums *t)
{
	struct nst_case c = {.label = "mmd", .op = {.kind = NS_OP_MMD, .u.mmd = v}};
	void *out[NS_OP_MAX_OUT];
	int p;

	nst_given(&c, NS_MMD_REF, NST_F32, v.m * v.d, x);
	nst_given(&c, NS_MMD_CUR, NST_F32, v.n * v.d, x + v.m * v.d);
	nst_out(&c, NS_MMD_Q, NST_I64, v.permutations + 1, 0);
	nst_out(&c, NS_MMD_S, NST_I64, v.permutations + 1, 0);
	nst_out(&c, NS_MMD_TOTAL, NST_I64, 1, 0);
	nst_run_best(backend, &c, out);
	for (p = 0; p <= v.permutations; p++) {
		t->q[p] += ((const int64_t *)out[NS_MMD_Q])[p];
		t->s[p] += ((const int64_t *)out[NS_MMD_S])[p];
	}
	t->total += *(const int64_t *)out[NS_MMD_TOTAL];
	nst_outputs_free(out);
}

/* MMD^2_u: Sxx = q, Sxy = s - q, Syy = S - 2 s + q */
static double unbiased(const struct sums *t, int p, double m, double n)
{
	double xx = (double)t->q[p], xy = (double)(t->s[p] - t->q[p]), yy = (double)(t->total - 2 * t->s[p] + t->q[p]);

	return (xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n)) / NS_MMD_ONE;
}

static void test_mmd_fixture(void **state)
{
	/* 0.5 / 32767 = 1.5e-5 a pair at worst, averaged over thousands of pairs */
	static const double want[][2] = {{1 / 1.32196045, 0.02496243}, {0.5, 0.02691362}};
	float x[ALL * D], small[] = {0, 0, 1, 0, 0, 2, 1, 1, 2, 1};
	size_t b, g;

	(void)state;
	fixture(x);
	for (b = 0; b < COUNT(backends); b++) {
		struct ns_op_mmd v = {3, 2, 0, 5, 2, 0, 1, 0.5f, 0, 0, 0};
		struct sums t = {0};

		mmd(backends[b], small, v, &t);
		assert_true(fabs(unbiased(&t, 0, 3, 2) - 0.2564013) < 3e-5);
		/* 1 - d / 4: a quarter of the energy distance 2 E|x - y| - E|x - x'| - E|y - y'| = .4929029 by hand */
		v.gamma = .25f;
		v.distance = 1;
		memset(&t, 0, sizeof t);
		mmd(backends[b], small, v, &t);
		assert_true(fabs(4 * unbiased(&t, 0, 3, 2) - 0.4929029) < 12e-5);
		for (g = 0; g < COUNT(want); g++) {
			v = (struct ns_op_mmd){M, N, 0, ALL, D, 0, 1, (float)want[g][0], 0, 0, 0};
			memset(&t, 0, sizeof t);
			mmd(backends[b], x, v, &t);
			assert_true(fabs(unbiased(&t, 0, M, N) - want[g][1]) < 2e-6);
		}
	}
}

/* N(0, I) in 8 dimensions against the same, .5 apart on one axis, k = exp(-d^2 / 8): the mean over many draws is known */
static void test_mmd_normal(void **state)
{
	enum { ROWS = 400, DRAWS = 200 };
	struct ns_op_mmd v = {ROWS, ROWS, 0, 2 * ROWS, D, 0, 1, 0.125f, 0, 0, 0};
	float *x = malloc(sizeof *x * 2 * ROWS * D);
	double mean = 0;
	int w, i;

	(void)state;
	assert_non_null(x);
	for (w = 0; w < DRAWS; w++) {
		struct sums t = {0};

		for (i = 0; i < 2 * ROWS * D; i++) {
			struct ns_philox r = ns_draw(77, NS_FOR_BOOTSTRAP, (uint32_t)w, (uint64_t)i, 0);

			x[i] = (float)(sqrt(-2 * log(ns_uniform(r.v[0]) + 0x1p-33)) * cos(6.283185307179586 * ns_uniform(r.v[1])));
			x[i] += i >= ROWS * D && i % D == 0 ? 0.5f : 0;
		}
		mmd("cpu", x, v, &t);
		mean += unbiased(&t, 0, ROWS, ROWS) / DRAWS;
	}
	free(x);
	if (!(fabs(mean - .008145) < .0006))
		fail_msg("mean MMD^2 of %d draws is %.6f, .008145 +- .0006 is known", DRAWS, mean);
}

static void test_mmd_splits(void **state)
{
	static const int cuts[][4] = {{0, ALL, ALL, ALL}, {0, 1, 2, ALL}, {0, 16, 64, ALL}, {0, 37, 101, ALL}};
	float x[ALL * D];
	struct sums whole = {0};
	size_t b, i;
	int k;

	(void)state;
	fixture(x);
	mmd("ref", x, (struct ns_op_mmd){M, N, 0, ALL, D, 40, 5, 0.7f, 0, 0, 0}, &whole);
	for (b = 0; b < COUNT(backends); b++)
		for (i = 0; i < COUNT(cuts); i++) {
			struct sums t = {0};

			for (k = 0; k < 3; k++)
				mmd(backends[b], x, (struct ns_op_mmd){M, N, cuts[i][k], cuts[i][k + 1], D, 40, 5, 0.7f, 0, 0, 0}, &t);
			assert_memory_equal(&t, &whole, sizeof t);
		}
}

/* clusters far apart: no labelling comes near the observed one */
static void test_mmd_disjoint(void **state)
{
	float x[ALL * D];
	size_t b;
	int i, p;

	(void)state;
	fixture(x);
	for (i = M * D; i < ALL * D; i++)
		x[i] += 10;
	for (b = 0; b < COUNT(backends); b++) {
		struct sums t = {0};

		mmd(backends[b], x, (struct ns_op_mmd){M, N, 0, ALL, D, 63, 9, 0.7f, 0, 0, 0}, &t);
		for (p = 1; p <= 63; p++)
			assert_true(unbiased(&t, p, M, N) < unbiased(&t, 0, M, N));
	}
}

/* each labelling picks m different rows, every row about equally often: 2000 * 5 / 12 = 833, deviation 22 */
static void test_mmd_labels(void **state)
{
	enum { ROWS = 12, PICK = 5, TIMES = 2000 };
	uint32_t bits, pairs = 0, count[ROWS] = {0}, p, i;

	(void)state;
	ns_mmd_members(&bits, PICK, ROWS, 3, 0);
	assert_int_equal(bits, (1u << PICK) - 1);
	for (p = 1; p <= TIMES; p++) {
		ns_mmd_members(&bits, PICK, ROWS, 3, p);
		assert_int_equal(__builtin_popcount(bits), PICK);
		assert_int_equal(bits >> ROWS, 0);
		for (i = 0; i < ROWS; i++)
			count[i] += bits >> i & 1;
		pairs += (bits & 0x801) == 0x801;
	}
	/* the first and the last together: 5 / 12 * 4 / 11 of the time, 303, deviation 16 */
	assert_true(pairs > 230 && pairs < 376);
	for (i = 0; i < ROWS; i++)
		assert_true(count[i] > 733 && count[i] < 933);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ks),	   cmocka_unit_test(test_mmd_fixture),	cmocka_unit_test(test_mmd_normal),
		cmocka_unit_test(test_mmd_splits), cmocka_unit_test(test_mmd_disjoint), cmocka_unit_test(test_mmd_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
