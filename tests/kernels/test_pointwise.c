/*
 * Formulas of POINTWISE: each derivative against a finite difference, in double; whole numbers at their edges; what types and conversions do; other programs that
 * the graph's builder does not make. And half precision, every number of it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/formula/pointwise.h"
#include "kernels/ref/ref.h"
#include "tests/splitmix.h"

/* y, and its derivatives by a and b, of a formula. */
static void at(int code, double a, double b, double c, double *y_of, double d[2])
{
	double y;

	(void)b, (void)c;
	switch (code) {
#define NS_CASE(name, operands, value, da, db, whole)                                                                                                \
	case NS_PW_##name:                                                                                                                           \
		y = (value);                                                                                                                         \
		d[0] = (da);                                                                                                                         \
		d[1] = (db);                                                                                                                         \
		break;
		NS_POINTWISE_FORMULAS(NS_CASE)
#undef NS_CASE
	default:
		y = d[0] = d[1] = 0;
	}
	(void)y;
	*y_of = y;
}

/* Places where the formula is smooth: inside of what asin, acosh and their kin take, and not near a kink. */
static double place(int code, int which, uint64_t *state)
{
	double u = (double)(draw(state) >> 11) * 0x1p-53;

	switch (code) {
	case NS_PW_ASIN:
	case NS_PW_ACOS:
	case NS_PW_ATANH:
		return 1.8 * u - 0.9;
	case NS_PW_ACOSH:
		return 1.2 + 2 * u;
	case NS_PW_LOG:
	case NS_PW_SQRT:
		return 0.2 + 3 * u;
	case NS_PW_POW:
		return which ? 3 * u - 1 : 0.3 + 2 * u;
	case NS_PW_CELU:
	case NS_PW_ELU:
	case NS_PW_LEAKY:
		return which ? 0.3 + u : 4 * u - 2;
	case NS_PW_HARDSIGMOID:
		return which == 2 ? 0.5 : which ? 0.2 : 4 * u - 2;
	case NS_PW_SHRINK:
		return which == 2 ? 0.5 : 4 * u - 2;
	case NS_PW_WHERE:
	case NS_PW_IS_INF:
		return which ? 4 * u - 2 : 1;
	default:
		return 6 * u - 3 + (which && fabs(6 * u - 3) < 0.2 ? 1 : 0);
	}
}

static void test_derivatives(void **state)
{
	uint64_t seed = 7;
	int code, i, k, checked = 0, smooth;

	(void)state;
	for (code = 0; code < NS_PW_COUNT; code++)
		for (i = 0; i < 400; i++) {
			double x[3], y, d[2], low, high, ignored[2], h = 1e-6, middle, slope[2];

			for (k = 0; k < 3; k++)
				x[k] = place(code, k, &seed);
			at(code, x[0], x[1], x[2], &y, d);
			for (k = 0; k < 2 && k < ns_formula_operands(code); k++) {
				double p[3] = {x[0], x[1], x[2]}, q[3] = {x[0], x[1], x[2]};

				p[k] += h;
				q[k] -= h;
				at(code, p[0], p[1], p[2], &high, ignored);
				at(code, q[0], q[1], q[2], &low, ignored);
				middle = (high - low) / (2 * h);
				slope[0] = (high - y) / h;
				slope[1] = (y - low) / h;
				smooth = fabs(slope[0] - slope[1]) < 1e-2 * (1 + fabs(middle)); /* no kink or step between */
				if (!smooth || !isfinite(middle))
					continue;
				checked++;
				if (!(fabs(d[k] - middle) <= 1e-4 * (1 + fabs(middle))))
					fail_msg("formula %d at %g %g %g: derivative %d is %.9g, differences give %.9g", code, x[0], x[1], x[2], k,
						 d[k], middle);
			}
		}
	assert_true(checked > 400 * NS_PW_COUNT * 3 / 4);
}

/* One element through a program of one step. */
static void run(int code, enum ns_dtype compute, enum ns_dtype in, enum ns_dtype out, const void *a, const void *b, void *y)
{
	struct ns_op op = {
		.kind = NS_OP_POINTWISE,
		.u.pointwise =
			{.compute = compute, .out_dtype = out, .in_dtype = {in, in}, .inputs = 2, .steps = 1, .step = {{(uint16_t)code, 0, 1, 1}}}};
	struct ns_args args = {.in = {a, b}, .out = {y}};
	struct ns_device *dev;
	struct ns_plan *plan;

	assert_int_equal(ns_backend_ref.open(&dev, 0), NS_OK);
	assert_int_equal(ns_plan_make(&plan, dev, &op), NS_OK);
	assert_int_equal(ns_plan_run(plan, &args, NULL), NS_OK);
	ns_plan_free(plan);
	ns_backend_ref.close(dev);
}

static int64_t whole(int code, int64_t a, int64_t b)
{
	int64_t y;

	run(code, NS_I64, NS_I64, NS_I64, &a, &b, &y);
	return y;
}

static void test_whole_numbers(void **state)
{
	(void)state;
	assert_true(whole(NS_PW_ADD, INT64_MAX, 1) == INT64_MIN); /* wraps */
	assert_true(whole(NS_PW_MUL, INT64_MIN, -1) == INT64_MIN);
	assert_true(whole(NS_PW_NEG, INT64_MIN, 0) == INT64_MIN);
	assert_true(whole(NS_PW_DIV, -7, 2) == -3); /* towards zero */
	assert_true(whole(NS_PW_DIV, INT64_MIN, -1) == INT64_MIN);
	assert_true(whole(NS_PW_DIV, 5, 0) == 0);
	assert_true(whole(NS_PW_MOD, -7, 3) == 2 && whole(NS_PW_MOD, 7, -3) == -2); /* the divisor's sign */
	assert_true(whole(NS_PW_FMOD, -7, 3) == -1 && whole(NS_PW_FMOD, 7, -3) == 1);
	assert_true(whole(NS_PW_POW, -3, 5) == -243 && whole(NS_PW_POW, 2, -1) == 0 && whole(NS_PW_POW, -1, -3) == -1);
	assert_true(whole(NS_PW_SHIFT_RIGHT, 1024, 3) == 128 && whole(NS_PW_SHIFT_LEFT, 3, 4) == 48 && whole(NS_PW_SHIFT_LEFT, 3, 64) == 0);
}

/* The remainder has the divisor's sign, -0 too, as Python's % has it; fmod() has the dividend's. */
static void test_modulo(void **state)
{
	static const double t[][4] = {{7.5, 2, 1.5, 1.5}, {-7.5, 2, 0.5, -1.5}, {7.5, -2, -0.5, 1.5}, {-7.5, -2, -1.5, -1.5},
				      {-6, 3, 0.0, -0.0}, {6, -3, -0.0, 0.0},	{-1, 1024, 1023, -1}, {5, INFINITY, 5, 5}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		double y[2];

		run(NS_PW_MOD, NS_F64, NS_F64, NS_F64, &t[i][0], &t[i][1], &y[0]);
		run(NS_PW_FMOD, NS_F64, NS_F64, NS_F64, &t[i][0], &t[i][1], &y[1]);
		assert_memory_equal(y, &t[i][2], sizeof y);
	}
}

/* Stored as another type: truncated, NaN 0, the nearest of what is outside; whole numbers by their low bits. */
static void test_conversions(void **state)
{
	static const double from[] = {2.9, -2.9, 1e30, -1e30, NAN, 127.6, 255.9, -0.5};
	static const int64_t i8[] = {2, -2, 127, -128, 0, 127, 127, 0}, u8[] = {2, 0, 255, 0, 0, 127, 255, 0};
	double zero = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof from / sizeof *from; i++) {
		int8_t s;
		uint8_t u;
		int64_t l;
		uint64_t ul;

		run(NS_PW_ADD, NS_F64, NS_F64, NS_I8, &from[i], &zero, &s);
		run(NS_PW_ADD, NS_F64, NS_F64, NS_U8, &from[i], &zero, &u);
		run(NS_PW_ADD, NS_F64, NS_F64, NS_I64, &from[i], &zero, &l);
		run(NS_PW_ADD, NS_F64, NS_F64, NS_U64, &from[i], &zero, &ul);
		assert_int_equal(s, i8[i]);
		assert_int_equal(u, u8[i]);
		assert_true(l == (i == 2 ? INT64_MAX : i == 3 ? INT64_MIN : isnan(from[i]) ? 0 : (int64_t)from[i]));
		assert_true(ul == (i == 2 ? UINT64_MAX : from[i] > 0 ? (uint64_t)from[i] : 0));
	}
	{
		int64_t a = 300, b = 0;
		uint8_t low;

		run(NS_PW_ADD, NS_I64, NS_I64, NS_U8, &a, &b, &low);
		assert_int_equal(low, 44);
	}
	{
		float a = 16777216, b = 1, y; /* rounds after each step: 2^24 + 1 is no float */
		double wide;

		run(NS_PW_ADD, NS_F32, NS_F32, NS_F32, &a, &b, &y);
		run(NS_PW_ADD, NS_F64, NS_F32, NS_F64, &a, &b, &wide);
		assert_true(y == 16777216 && wide == 16777217.0);
		run(NS_PW_ADD, NS_F32, NS_F32, NS_F64, &a, &b, &wide);
		assert_true(wide == 16777216.0);
	}
}

static void test_half(void **state)
{
	uint32_t u, i;

	(void)state;
	for (u = 0; u < 65536; u++) { /* each of them, by another arithmetic, and back */
		int exponent = (int)(u >> 10 & 31), sign = u >> 15 ? -1 : 1;
		float x = ns_f32_of_f16((uint16_t)u);

		if (exponent == 31) {
			assert_true(u & 0x3ff ? isnan(x) : isinf(x) && (x > 0) == (sign > 0));
		} else {
			double wanted = exponent ? ldexp(1024 + (u & 0x3ff), exponent - 25) : ldexp(u & 0x3ff, -24);

			assert_true((double)x == sign * wanted);
		}
		if (isnan(x))
			assert_true(isnan(ns_f32_of_f16(ns_f16_of_f32(x))));
		else
			assert_int_equal(ns_f16_of_f32(x), u);
	}
	for (i = 0; i < 1000000; i++) { /* to the nearest, and at a tie to the even one */
		float x = ns_f32_of_bits((i * 2654435761u & 0x9fffffff) + 0x30000000u);
		uint16_t h;
		double d, under, over;

		if (i % 4 == 0)
			x = 0.5f * (ns_f32_of_f16((uint16_t)(i % 31743)) + ns_f32_of_f16((uint16_t)(i % 31743 + 1)));
		if (!(fabsf(x) < 65504))
			continue;
		h = ns_f16_of_f32(x);
		d = fabs((double)x - (double)ns_f32_of_f16(h));
		under = h & 0x7fff ? fabs((double)x - (double)ns_f32_of_f16((uint16_t)(h - 1))) : INFINITY;
		over = (h & 0x7fff) < 0x7bff ? fabs((double)x - (double)ns_f32_of_f16((uint16_t)(h + 1))) : INFINITY;
		assert_true(d <= under && d <= over);
		if (d == under || d == over)
			assert_true(!(h & 1));
	}
	assert_int_equal(ns_f16_of_f32(65519.99f), 0x7bff);
	assert_int_equal(ns_f16_of_f32(65520.0f), 0x7c00);
	assert_int_equal(ns_f16_of_f32(-INFINITY), 0xfc00);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_derivatives), cmocka_unit_test(test_whole_numbers), cmocka_unit_test(test_modulo),
					   cmocka_unit_test(test_conversions), cmocka_unit_test(test_half)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
