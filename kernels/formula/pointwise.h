/*
 * kernels/formula/pointwise.h - the formulas that programs of POINTWISE are made of: one row each, with its derivatives.
 *
 *	X(NAME, operands, y of a b c, dy/da, dy/db, y in whole numbers)
 *
 * An activation is added by a row here and nothing else. Where a formula has a kink its derivative there is that of the side on which it is 0, as is usual.
 * Whole numbers wrap around; a formula that they do not have is NS_NONE.
 */
#ifndef NS_FORMULA_POINTWISE_H
#define NS_FORMULA_POINTWISE_H

#include "kernels/formula/inline.h"

#define NS_NONE		 0
#define NS_WRAP(e)	 ((int64_t)(e))
#define NS_U(x)		 ((uint64_t)(x))

#define NS_SQRT1_2	 0.70710678118654752440
#define NS_2_SQRTPI	 1.12837916709551257390
#define NS_SQRT2_PI	 0.79788456080286535588
#define NS_NORMAL_CDF(x) (0.5 * (1 + erf((x)*NS_SQRT1_2)))

#define NS_POINTWISE_FORMULAS(X)                                                                                                                     \
	X(ADD, 2, a + b, 1, 1, NS_WRAP(NS_U(a) + NS_U(b)))                                                                                           \
	X(SUB, 2, a - b, 1, -1, NS_WRAP(NS_U(a) - NS_U(b)))                                                                                          \
	X(MUL, 2, a *b, b, a, NS_WRAP(NS_U(a) * NS_U(b)))                                                                                            \
	X(DIV, 2, a / b, 1 / b, -y / b, ns_divide(a, b))                                                                                             \
	X(POW, 2, pow(a, b), b == 0 ? 0 : b * pow(a, b - 1), a > 0 ? y * log(a) : 0, ns_power(a, b))                                                 \
	X(MIN, 2, a < b || a != a ? a : b, a < b, !(a < b), a < b ? a : b)                                                                           \
	X(MAX, 2, a > b || a != a ? a : b, a > b, !(a > b), a > b ? a : b)                                                                           \
	X(MOD, 2, ns_modulo_f64(a, b), 1, -floor(a / b), ns_modulo(a, b))                                                                            \
	X(FMOD, 2, fmod(a, b), 1, -trunc(a / b), ns_remainder(a, b))                                                                                 \
	X(NEG, 1, -a, -1, 0, NS_WRAP(0 - NS_U(a)))                                                                                                   \
	X(ABS, 1, fabs(a), (a > 0) - (a < 0), 0, a < 0 ? NS_WRAP(0 - NS_U(a)) : a)                                                                   \
	X(SIGN, 1, a > 0 ? 1 : a < 0 ? -1 : a, 0, 0, (a > 0) - (a < 0))                                                                              \
	X(COPY, 1, a, 1, 0, a)                                                                                                                       \
	X(SQRT, 1, sqrt(a), 0.5 / y, 0, NS_NONE)                                                                                                     \
	X(RECIPROCAL, 1, 1 / a, -y * y, 0, NS_NONE)                                                                                                  \
	X(EXP, 1, exp(a), y, 0, NS_NONE)                                                                                                             \
	X(LOG, 1, log(a), 1 / a, 0, NS_NONE)                                                                                                         \
	X(SIN, 1, sin(a), cos(a), 0, NS_NONE)                                                                                                        \
	X(COS, 1, cos(a), -sin(a), 0, NS_NONE)                                                                                                       \
	X(TAN, 1, tan(a), 1 + y * y, 0, NS_NONE)                                                                                                     \
	X(ASIN, 1, asin(a), 1 / sqrt(1 - a * a), 0, NS_NONE)                                                                                         \
	X(ACOS, 1, acos(a), -1 / sqrt(1 - a * a), 0, NS_NONE)                                                                                        \
	X(ATAN, 1, atan(a), 1 / (1 + a * a), 0, NS_NONE)                                                                                             \
	X(SINH, 1, sinh(a), cosh(a), 0, NS_NONE)                                                                                                     \
	X(COSH, 1, cosh(a), sinh(a), 0, NS_NONE)                                                                                                     \
	X(TANH, 1, tanh(a), 1 - y * y, 0, NS_NONE)                                                                                                   \
	X(ASINH, 1, asinh(a), 1 / sqrt(a * a + 1), 0, NS_NONE)                                                                                       \
	X(ACOSH, 1, acosh(a), 1 / sqrt(a * a - 1), 0, NS_NONE)                                                                                       \
	X(ATANH, 1, atanh(a), 1 / (1 - a * a), 0, NS_NONE)                                                                                           \
	X(ERF, 1, erf(a), NS_2_SQRTPI *exp(-a *a), 0, NS_NONE)                                                                                       \
	X(FLOOR, 1, floor(a), 0, 0, a)                                                                                                               \
	X(CEIL, 1, ceil(a), 0, 0, a)                                                                                                                 \
	X(ROUND, 1, rint(a), 0, 0, a) /* halves to even */                                                                                           \
	X(TRUNC, 1, trunc(a), 0, 0, a)                                                                                                               \
	X(RELU, 1, a > 0 || a != a ? a : 0, a > 0, 0, a > 0 ? a : 0)                                                                                 \
	X(SIGMOID, 1, ns_logistic(a), y *(1 - y), 0, NS_NONE)                                                                                        \
	X(LEAKY, 2, a < 0 ? a * b : a, a < 0 ? b : 1, a < 0 ? a : 0, a < 0 ? NS_WRAP(NS_U(a) * NS_U(b)) : a)                                         \
	X(ELU, 2, a < 0 ? b * expm1(a) : a, a < 0 ? b * exp(a) : 1, a < 0 ? expm1(a) : 0, NS_NONE)                                                   \
	X(CELU, 2, a < 0 ? b * expm1(a / b) : a, a < 0 ? exp(a / b) : 1, a < 0 ? expm1(a / b) - a / b * exp(a / b) : 0, NS_NONE)                     \
	X(SOFTPLUS, 1, a > 0 ? a + log1p(exp(-a)) : log1p(exp(a)), ns_logistic(a), 0, NS_NONE)                                                       \
	X(SOFTSIGN, 1, a / (1 + fabs(a)), 1 / ((1 + fabs(a)) * (1 + fabs(a))), 0, NS_NONE)                                                           \
	X(THRESHOLDED, 2, a > b ? a : 0, a > b, 0, a > b ? a : 0)                                                                                    \
	X(HARDSIGMOID, 3, ns_clamp_f64(b *a + c, 0, 1), y > 0 && y < 1 ? b : 0, y > 0 && y < 1 ? a : 0, NS_NONE)                                     \
	X(HARDSWISH, 1, a *ns_clamp_f64(a / 6 + 0.5, 0, 1), a <= -3 ? 0 : a >= 3 ? 1 : a / 3 + 0.5, 0, NS_NONE)                                      \
	X(SILU, 1, a *ns_logistic(a), ns_logistic(a) + y * (1 - ns_logistic(a)), 0, NS_NONE)                                                         \
	X(MISH, 1, a *tanh(log1p(exp(a))), ns_mish_slope(a), 0, NS_NONE)                                                                             \
	X(GELU, 1, a *NS_NORMAL_CDF(a), NS_NORMAL_CDF(a) + a * 0.5 * NS_SQRT1_2 * NS_2_SQRTPI * exp(-a * a / 2), 0, NS_NONE)                         \
	X(GELU_TANH, 1, 0.5 * a * (1 + tanh(NS_SQRT2_PI * (a + 0.044715 * a * a * a))), ns_gelu_tanh_slope(a), 0, NS_NONE)                           \
	X(SHRINK, 3, a<-c ? a + b : a> c ? a - b : 0, a<-c || a> c, a<-c ? 1 : a> c ? -1 : 0, a<-c ? a + b : a> c ? a - b : 0)                       \
	X(EQUAL, 2, a == b, 0, 0, a == b)                                                                                                            \
	X(LESS, 2, a < b, 0, 0, a < b)                                                                                                               \
	X(LESS_EQUAL, 2, a <= b, 0, 0, a <= b)                                                                                                       \
	X(AND, 2, a != 0 && b != 0, 0, 0, a != 0 && b != 0)                                                                                          \
	X(OR, 2, a != 0 || b != 0, 0, 0, a != 0 || b != 0)                                                                                           \
	X(XOR, 2, (a != 0) != (b != 0), 0, 0, (a != 0) != (b != 0))                                                                                  \
	X(NOT, 1, a == 0, 0, 0, a == 0)                                                                                                              \
	X(WHERE, 3, a != 0 ? b : c, 0, a != 0, a != 0 ? b : c)                                                                                       \
	X(IS_NAN, 1, a != a, 0, 0, 0)                                                                                                                \
	X(IS_INF, 3, (b != 0 && a == -INFINITY) || (c != 0 && a == INFINITY), 0, 0, 0)                                                               \
	X(SHIFT_LEFT, 2, NS_NONE, 0, 0, b<0 || b> 63 ? 0 : NS_WRAP(NS_U(a) << b))                                                                    \
	X(SHIFT_RIGHT, 2, NS_NONE, 0, 0, a >> (b < 0 || b > 63 ? 63 : b))                                                                            \
	X(BIT_AND, 2, NS_NONE, 0, 0, a &b)                                                                                                           \
	X(BIT_OR, 2, NS_NONE, 0, 0, a | b)                                                                                                           \
	X(BIT_XOR, 2, NS_NONE, 0, 0, a ^ b)                                                                                                          \
	X(BIT_NOT, 1, NS_NONE, 0, 0, ~a)

#define NS_PW_CODE(name, operands, y, da, db, whole) NS_PW_##name,
enum { NS_POINTWISE_FORMULAS(NS_PW_CODE) NS_PW_COUNT };
#undef NS_PW_CODE

NS_FORMULA double ns_logistic(double x)
{
	double e = exp(x < 0 ? x : -x);

	return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

NS_FORMULA double ns_clamp_f64(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

/* with the divisor's sign, -0 too */
NS_FORMULA double ns_modulo_f64(double a, double b)
{
	double m = fmod(a, b);

	return m == 0 ? copysign(0.0, b) : (m < 0) != (b < 0) ? m + b : m;
}

NS_FORMULA double ns_mish_slope(double x)
{
	double t = tanh(log1p(exp(x)));

	return t + x * (1 - t * t) * ns_logistic(x);
}

NS_FORMULA double ns_gelu_tanh_slope(double x)
{
	double t = tanh(NS_SQRT2_PI * (x + 0.044715 * x * x * x));

	return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * NS_SQRT2_PI * (1 + 3 * 0.044715 * x * x);
}

/* The value of a row; NS_PW_* of a table that is newer give 0. */
NS_FORMULA double ns_formula(int code, double a, double b, double c)
{
	(void)b, (void)c;
	switch (code) {
#define NS_PW_CASE(name, operands, y, da, db, whole)                                                                                                 \
	case NS_PW_##name:                                                                                                                           \
		return (y);
		NS_POINTWISE_FORMULAS(NS_PW_CASE)
#undef NS_PW_CASE
	default:
		return 0;
	}
}

/* The code of a row's derivative by its first operand (which 0) or its second, of the same operands. */
#define NS_PW_SLOPE(code, which) (NS_PW_COUNT + 2 * (code) + (which))

NS_FORMULA double ns_formula_slope(int code, int which, double a, double b, double c)
{
	const double y = ns_formula(code, a, b, c);

	(void)y;
	switch (code) {
#define NS_PW_CASE(name, operands, y, da, db, whole)                                                                                                 \
	case NS_PW_##name:                                                                                                                           \
		return which ? (db) : (da);
		NS_POINTWISE_FORMULAS(NS_PW_CASE)
#undef NS_PW_CASE
	default:
		return 0;
	}
}

/* The value of a row, or of a derivative. */
NS_FORMULA double ns_formula_any(int code, double a, double b, double c)
{
	int slope = code - NS_PW_COUNT;

	return slope < 0 ? ns_formula(code, a, b, c) : ns_formula_slope(slope / 2, slope % 2, a, b, c);
}

/* How many operands a row, or a derivative of one, reads: the others of a step name any register. */
NS_FORMULA int ns_formula_operands(int code)
{
	switch (code < NS_PW_COUNT ? code : (code - NS_PW_COUNT) / 2) {
#define NS_PW_CASE(name, operands, y, da, db, whole)                                                                                                 \
	case NS_PW_##name:                                                                                                                           \
		return operands;
		NS_POINTWISE_FORMULAS(NS_PW_CASE)
#undef NS_PW_CASE
	default:
		return 0;
	}
}

/* Whole numbers by 0 give 0, as there is nothing that they could give. */
NS_FORMULA int64_t ns_divide(int64_t a, int64_t b)
{
	return b == 0 ? 0 : b == -1 ? NS_WRAP(0 - NS_U(a)) : a / b;
}

NS_FORMULA int64_t ns_remainder(int64_t a, int64_t b)
{
	return b == 0 || b == -1 ? 0 : a % b;
}

/* with the divisor's sign */
NS_FORMULA int64_t ns_modulo(int64_t a, int64_t b)
{
	int64_t m = ns_remainder(a, b);

	return m && (m < 0) != (b < 0) ? m + b : m;
}

NS_FORMULA int64_t ns_power(int64_t a, int64_t b)
{
	uint64_t y = 1, x = NS_U(a);

	if (b < 0)
		return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
	for (; b; b >>= 1, x *= x)
		y *= b & 1 ? x : 1;
	return (int64_t)y;
}

/* The value of a row in whole numbers. */
NS_FORMULA int64_t ns_formula_whole(int code, int64_t a, int64_t b, int64_t c)
{
	(void)b, (void)c;
	switch (code) {
#define NS_PW_CASE(name, operands, y, da, db, whole)                                                                                                 \
	case NS_PW_##name:                                                                                                                           \
		return (whole);
		NS_POINTWISE_FORMULAS(NS_PW_CASE)
#undef NS_PW_CASE
	default:
		return 0;
	}
}

/* What differs where the highest bit is no sign. */
NS_FORMULA int64_t ns_formula_unsigned(int code, int64_t a, int64_t b, int64_t c)
{
	uint64_t x = (uint64_t)a, y = (uint64_t)b;

	switch (code) {
	case NS_PW_DIV:
		return y ? (int64_t)(x / y) : 0;
	case NS_PW_MOD:
	case NS_PW_FMOD:
		return y ? (int64_t)(x % y) : 0;
	case NS_PW_MIN:
		return x < y ? a : b;
	case NS_PW_MAX:
		return x > y ? a : b;
	case NS_PW_LESS:
		return x < y;
	case NS_PW_LESS_EQUAL:
		return x <= y;
	case NS_PW_SIGN:
		return x != 0;
	case NS_PW_ABS:
	case NS_PW_RELU:
		return a;
	case NS_PW_SHIFT_RIGHT:
		return y > 63 ? 0 : (int64_t)(x >> y);
	default:
		return ns_formula_whole(code, a, b, c);
	}
}

#endif
