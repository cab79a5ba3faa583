/* tests/kernels/test_formula.c - random numbers, permutations, exp, cos and sin, bfloat16. */
#include "tests/kernels/cases.h"

#include "kernels/formula/random.h"

#include <float.h>
#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define TURN	 6.28318530717958647692

/* known answers of Random123's kat_vectors (Salmon et al. 2011): zeros, ones, and the digits of pi */
static void test_philox4x32(void **state)
{
	static const struct {
		uint32_t ctr[4], key[2], want[4];
	} t[] = {
		{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		struct ns_philox ctr, r;

		memcpy(ctr.v, t[i].ctr, sizeof ctr.v);
		r = ns_philox4x32(ctr, t[i].key[0], t[i].key[1]);
		assert_memory_equal(r.v, t[i].want, sizeof r.v);
	}
}

static void test_philox2x32(void **state)
{
	static const uint32_t t[][5] = {{0, 0, 0, 0xff1dae59, 0x6cd10df2},
					{~0u, ~0u, ~0u, 0x2c3f628b, 0xab4fd7ad},
					{0x243f6a88, 0x85a308d3, 0x13198a2e, 0xdd7ce038, 0xf62a4c12}};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		uint64_t r = ns_philox2x32(t[i][0], t[i][1], t[i][2]);

		assert_int_equal((uint32_t)r, t[i][3]);
		assert_int_equal((uint32_t)(r >> 32), t[i][4]);
	}
}

/* a draw depends on every part of its identity */
static void test_draw_identity(void **state)
{
	const uint64_t base = ns_draw_u64(5, NS_FOR_INIT, 2, 9);

	(void)state;
	assert_int_equal(base, ns_draw_u64(5, NS_FOR_INIT, 2, 9));
	assert_int_not_equal(base, ns_draw_u64(5 + ((uint64_t)1 << 32), NS_FOR_INIT, 2, 9));
	assert_int_not_equal(base, ns_draw_u64(5, NS_FOR_SPLIT, 2, 9));
	assert_int_not_equal(base, ns_draw_u64(5, NS_FOR_INIT, 3, 9));
	assert_int_not_equal(base, ns_draw_u64(5, NS_FOR_INIT, 2, 9 + ((uint64_t)1 << 32)));
	assert_true(ns_uniform(~0u) < 1);
}

static void test_permute(void **state)
{
	static const uint64_t sizes[] = {1, 2, 3, 4, 5, 1000, 4096, 4097};
	uint8_t seen[4097];
	size_t i;
	uint64_t j;
	uint32_t epoch;

	(void)state;
	for (i = 0; i < COUNT(sizes); i++)
		for (epoch = 0; epoch < 3; epoch++) {
			memset(seen, 0, sizeof seen);
			for (j = 0; j < sizes[i]; j++) {
				uint64_t at = ns_permute(j, sizes[i], 17, NS_FOR_SHUFFLE, epoch);

				assert_true(at < sizes[i]);
				assert_false(seen[at]);
				seen[at] = 1;
			}
		}
}

/* another seed or epoch is another order: two random orders of 1000 agree in 1 place on average (Poisson) */
static void test_permute_keys(void **state)
{
	int seed = 0, epoch = 0, still = 0;
	uint64_t i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		uint64_t at = ns_permute(i, 1000, 1, NS_FOR_SHUFFLE, 0);

		still += at == i;
		seed += at == ns_permute(i, 1000, 2, NS_FOR_SHUFFLE, 0);
		epoch += at == ns_permute(i, 1000, 1, NS_FOR_SHUFFLE, 1);
	}
	assert_true(still < 8 && seed < 8 && epoch < 8);
	/* beyond 32 bits */
	for (i = 0; i < 100; i++)
		assert_true(ns_permute(((uint64_t)1 << 40) + i, ((uint64_t)1 << 40) + 1000, 1, NS_FOR_SPLIT, 0) < ((uint64_t)1 << 40) + 1000);
}

/* every order of three elements comes up, each 1/6 of 6000 times: standard deviation 29 */
static void test_permute_even(void **state)
{
	int count[27] = {0}, i, orders = 0;

	(void)state;
	for (i = 0; i < 6000; i++)
		count[ns_permute(0, 3, (uint64_t)i, NS_FOR_SPLIT, 0) * 9 + ns_permute(1, 3, (uint64_t)i, NS_FOR_SPLIT, 0) * 3 +
		      ns_permute(2, 3, (uint64_t)i, NS_FOR_SPLIT, 0)]++;
	for (i = 0; i < 27; i++) {
		orders += count[i] > 0;
		assert_true(!count[i] || (count[i] > 850 && count[i] < 1150));
	}
	assert_int_equal(orders, 6);
}

/* mean 0, standard deviation 209.0 of the noise: 40000 draws know the mean to 1.0 */
static void test_noise(void **state)
{
	double sum = 0, square = 0, n = 40000;
	int i;

	(void)state;
	for (i = 0; i < (int)n; i++) {
		int32_t t = ns_noise_bytes(0x123456789abcdefu, (uint32_t)i);

		assert_true(t >= -1020 && t <= 1020);
		sum += t;
		square += (double)t * t;
	}
	assert_true(fabs(sum / n) < 5);
	assert_true(fabs(sqrt(square / n) - 209.0) < 4);
}

/* units in the last place between x and the true value */
static double ulps(float x, double truth)
{
	float f = (float)truth;

	return fabs((double)x - truth) / (double)(nextafterf(f, INFINITY) - f);
}

static void test_exp(void **state)
{
	double worst = 0;
	int i;

	(void)state;
	for (i = 0; i < 870000; i++) {
		float x = -(float)i * 1e-4f;

		worst = fmax(worst, ulps(ns_exp_neg(x), exp((double)x)));
	}
	printf("ns_exp_neg: at most %.2f units in the last place off\n", worst);
	assert_true(worst <= 2);
	assert_true(ns_exp_neg(0.0f) == 1.0f && ns_exp_neg(-0.0f) == 1.0f);
	assert_true(ns_exp_neg(-1e-30f) == 1.0f);
	assert_true(ns_exp_neg(-87.0f) == 0.0f && ns_exp_neg(-1e30f) == 0.0f && ns_exp_neg(-INFINITY) == 0.0f);
	assert_true(ns_exp_neg(nextafterf(-87.0f, 0)) > FLT_MIN);
}

/* largest term left out of the series: (pi/4)^13 / 13! = 7e-12 for sin, (pi/4)^12 / 12! = 1.2e-10 for cos */
static void test_cos_sin(void **state)
{
	double c, s, worst = 0;
	int i;

	(void)state;
	for (i = -40000; i <= 40000; i++) {
		double turns = i / 9973.0;

		ns_cos_sin(turns, &c, &s);
		worst = fmax(worst, fmax(fabs(c - cos(turns * TURN)), fabs(s - sin(turns * TURN))));
	}
	printf("ns_cos_sin: at most %.2g off\n", worst);
	assert_true(worst < 1.3e-10);
	for (i = -8; i <= 8; i++) { /* quarters are exact: whole pixels stay whole pixels */
		static const double quarter[] = {1, 0, -1, 0};

		ns_cos_sin(i / 4.0, &c, &s);
		assert_true(c == quarter[i & 3] && s == quarter[(i + 3) & 3]);
	}
}

/* nearest bfloat16, ties to even, by looking at both neighbours */
static int is_nearest(float x, uint16_t h)
{
	double t = (double)ns_f32_of_bf16(h), d = fabs((double)x - t);
	double below = fabs((double)x - (double)ns_f32_of_bf16((uint16_t)(h - 1)));
	double above = fabs((double)x - (double)ns_f32_of_bf16((uint16_t)(h + 1)));

	return d <= below && d <= above && (!(d > 0) || (d < below && d < above) || !(h & 1));
}

static void test_bf16(void **state)
{
	uint32_t u, i;

	(void)state;
	for (u = 0; u < 0x10000; u++) { /* every bfloat16 is itself; NaN stays NaN */
		float x = ns_f32_of_bf16((uint16_t)u);

		if (isnan(x))
			assert_true(isnan(ns_f32_of_bf16(ns_bf16_of_f32(x))));
		else
			assert_int_equal(ns_bf16_of_f32(x), u);
	}
	for (i = 0; i < 1000000; i++) {
		uint32_t bits = i % 4 ? i * 2654435761u : (i * 40503u & 0xffff) << 16 | 0x8000; /* and the ties */
		float x = ns_f32_of_bits(bits);
		uint16_t h = ns_bf16_of_f32(x);

		if (isnan(x))
			assert_true(isnan(ns_f32_of_bf16(h)));
		else if (fabsf(x) < 3.3e38f && (h & 0x7fff))
			assert_true(is_nearest(x, h));
	}
	assert_int_equal(ns_bf16_of_f32(FLT_MAX), 0x7f80);
	assert_int_equal(ns_bf16_of_f32(-INFINITY), 0xff80);
	assert_true(isnan(ns_f32_of_bf16(ns_bf16_of_f32(ns_f32_of_bits(0x7f800001)))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_philox4x32), cmocka_unit_test(test_philox2x32),	cmocka_unit_test(test_draw_identity),
		cmocka_unit_test(test_permute),	   cmocka_unit_test(test_permute_keys), cmocka_unit_test(test_permute_even),
		cmocka_unit_test(test_noise),	   cmocka_unit_test(test_exp),		cmocka_unit_test(test_cos_sin),
		cmocka_unit_test(test_bf16),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
