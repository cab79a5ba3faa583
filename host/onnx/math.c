/* host/onnx/math.c - operators that are formulas, and those that change types or scales. */
#include <math.h>
#include <string.h>

#include "host/onnx/import_inner.h"

/* what: the formula, and for those of truth that the result is one */
#define TRUTH 256

static enum ns_dtype type_of(const struct ns_maker *m, int what)
{
	return what & TRUTH ? NS_BOOL : ns_maker_in(m, (what & 255) == NS_PW_WHERE)->dtype;
}

static enum ns_status formula(struct ns_maker *m)
{
	return ns_dag_formula(m->dag, m->row->what & 255, m->in, m->ins, type_of(m, m->row->what), &m->out[0]);
}

/* Before version 7 slopes are of channels, and there were no other rules for how shapes go together. */
static enum ns_status prelu(struct ns_maker *m)
{
	struct ns_box slope = ns_maker_in(m, 1)->box;
	int rank = ns_maker_in(m, 0)->box.rank;

	if (m->opset < 7 && slope.rank == 1 && rank > 2) {
		for (; slope.rank < rank - 1; slope.rank++)
			slope.dim[slope.rank] = 1;
		NS_TRY(ns_dag_view(m->dag, m->in[1], &slope, &m->in[1]));
	}
	NS_TRY(formula(m));
	return ns_maker_same_box(m, m->out[0], m->in[0]);
}

/* Up to version 6 shapes went together only where an attribute said how. */
static enum ns_status arithmetic(struct ns_maker *m)
{
	int64_t axis, broadcast;

	NS_TRY(ns_maker_int(m, "broadcast", 0, &broadcast));
	NS_TRY(ns_maker_int(m, "axis", -1, &axis));
	if (ns_maker_attribute(m, "axis") && m->opset < 7) {
		struct ns_box box = ns_maker_in(m, 1)->box;
		int d, rank = ns_maker_in(m, 0)->box.rank;

		NS_TRY(ns_maker_axis(m, axis, rank, &d));
		while (box.rank < NS_RANK && box.rank + d < rank)
			box.dim[box.rank++] = 1;
		NS_TRY(ns_dag_view(m->dag, m->in[1], &box, &m->in[1]));
	}
	return formula(m);
}

static enum ns_status greater(struct ns_maker *m)
{
	int first = m->in[0];

	if (ns_maker_attribute(m, "axis") && m->opset < 7)
		return ns_fail(NS_DECLINED, "broadcasting along an axis");
	m->in[0] = m->in[1];
	m->in[1] = first;
	return formula(m);
}

/* Formulas whose further operands are attributes: "name" and what it is where it is not there. */
static enum ns_status with_attributes(struct ns_maker *m)
{
	static const struct {
		int code;
		const char *name[2];
		double fallback[2];
	} list[] = {{NS_PW_LEAKY, {"alpha"}, {0.01}},
		    {NS_PW_ELU, {"alpha"}, {1}},
		    {NS_PW_CELU, {"alpha"}, {1}},
		    {NS_PW_THRESHOLDED, {"alpha"}, {1}},
		    {NS_PW_SHRINK, {"bias", "lambd"}, {0, 0.5}},
		    {NS_PW_HARDSIGMOID, {"alpha", "beta"}, {0.2, 0.5}}};
	double value[2];
	size_t i;
	int k;

	for (i = 0; i < sizeof list / sizeof *list; i++) {
		if (list[i].code != m->row->what)
			continue;
		for (k = 0; k < 2 && list[i].name[k]; k++)
			NS_TRY(ns_maker_float(m, list[i].name[k], list[i].fallback[k], &value[k]));
		return ns_dag_formula_of(m->dag, m->row->what, m->in[0], value, k, type_of(m, 0), &m->out[0]);
	}
	return ns_fail(NS_INTERNAL, "formula %d has no attributes", m->row->what);
}

static enum ns_status is_inf(struct ns_maker *m)
{
	int64_t negative, positive;

	NS_TRY(ns_maker_int(m, "detect_negative", 1, &negative));
	NS_TRY(ns_maker_int(m, "detect_positive", 1, &positive));
	return ns_dag_formula_of(m->dag, NS_PW_IS_INF, m->in[0], (double[]){(double)negative, (double)positive}, 2, NS_BOOL, &m->out[0]);
}

static enum ns_status swish(struct ns_maker *m)
{
	struct ns_program p;
	double alpha;
	int x, a;

	NS_TRY(ns_maker_float(m, "alpha", 1, &alpha));
	ns_program_begin(&p);
	x = ns_program_input(&p, m->in[0]);
	a = ns_program_constant(&p, alpha);
	a = ns_program_step(&p, NS_PW_SIGMOID, ns_program_step(&p, NS_PW_MUL, x, a, 0), 0, 0);
	ns_program_step(&p, NS_PW_MUL, x, a, 0);
	return ns_dag_program(m->dag, &p, type_of(m, 0), &m->out[0]);
}

static enum ns_status selu(struct ns_maker *m)
{
	struct ns_program p;
	double alpha, gamma;
	int x, a, g;

	NS_TRY(ns_maker_float(m, "alpha", 1.67326319217681884765625, &alpha));
	NS_TRY(ns_maker_float(m, "gamma", 1.05070102214813232421875, &gamma));
	ns_program_begin(&p);
	x = ns_program_input(&p, m->in[0]);
	a = ns_program_constant(&p, alpha);
	g = ns_program_constant(&p, gamma);
	ns_program_step(&p, NS_PW_MUL, ns_program_step(&p, NS_PW_ELU, x, a, 0), g, 0);
	return ns_dag_program(m->dag, &p, type_of(m, 0), &m->out[0]);
}

static enum ns_status gelu(struct ns_maker *m)
{
	static const char *const words[] = {"none", "tanh", NULL};
	int which;

	NS_TRY(ns_maker_word(m, "approximate", words, 0, &which));
	return ns_dag_formula(m->dag, which ? NS_PW_GELU_TANH : NS_PW_GELU, m->in, 1, type_of(m, 0), &m->out[0]);
}

/* Sum, Mean, Max, Min of any number: by eights. */
static enum ns_status variadic(struct ns_maker *m)
{
	enum ns_dtype dtype = type_of(m, 0);
	int done = 1, y = m->in[0], i;

	for (i = 0; i < m->ins; i++)
		if (m->in[i] < 0)
			return ns_fail(NS_INVALID, "input %d is left out", i);
	while (done < m->ins) {
		struct ns_program p;
		int k, r, n = m->ins - done < NS_POINTWISE_IN - 1 ? m->ins - done : NS_POINTWISE_IN - 1;

		ns_program_begin(&p);
		ns_program_input(&p, y);
		for (k = 0; k < n; k++)
			ns_program_input(&p, m->in[done + k]);
		for (r = 0, k = 0; k < n; k++)
			r = ns_program_step(&p, m->row->what == NS_PW_DIV ? NS_PW_ADD : m->row->what, r, k + 1, 0);
		NS_TRY(ns_dag_program(m->dag, &p, dtype, &y));
		done += n;
	}
	m->out[0] = y;
	if (m->row->what == NS_PW_DIV)
		return ns_dag_formula_of(m->dag, NS_PW_DIV, y, (double[]){m->ins}, 1, dtype, &m->out[0]);
	return NS_OK;
}

static enum ns_status modulo(struct ns_maker *m)
{
	int64_t fmod;

	NS_TRY(ns_maker_int(m, "fmod", 0, &fmod));
	return ns_dag_formula(m->dag, fmod ? NS_PW_FMOD : NS_PW_MOD, m->in, 2, type_of(m, 0), &m->out[0]);
}

static enum ns_status bit_shift(struct ns_maker *m)
{
	static const char *const words[] = {"LEFT", "RIGHT", NULL};
	int which;

	NS_TRY(ns_maker_word(m, "direction", words, 0, &which));
	return ns_dag_formula(m->dag, which ? NS_PW_SHIFT_RIGHT : NS_PW_SHIFT_LEFT, m->in, 2, type_of(m, 0), &m->out[0]);
}

/* Bounds were attributes before version 11. */
static enum ns_status clip(struct ns_maker *m)
{
	struct ns_program p;
	double low, high;
	int r, from, to;

	ns_program_begin(&p);
	r = ns_program_input(&p, m->in[0]);
	if (m->opset < 11) {
		NS_TRY(ns_maker_float(m, "min", -HUGE_VAL, &low));
		NS_TRY(ns_maker_float(m, "max", HUGE_VAL, &high));
		from = ns_program_constant(&p, low);
		to = ns_program_constant(&p, high);
	} else {
		from = ns_maker_has(m, 1) ? ns_program_input(&p, m->in[1]) : -1;
		to = ns_maker_has(m, 2) ? ns_program_input(&p, m->in[2]) : -1;
	}
	if (from >= 0)
		r = ns_program_step(&p, NS_PW_MAX, r, from, 0);
	if (to >= 0)
		r = ns_program_step(&p, NS_PW_MIN, r, to, 0);
	if (!p.v.steps)
		ns_program_step(&p, NS_PW_COPY, r, 0, 0);
	return ns_dag_program(m->dag, &p, type_of(m, 0), &m->out[0]);
}

static enum ns_status cast(struct ns_maker *m)
{
	enum ns_dtype dtype = m->ins > 1 ? ns_maker_in(m, 1)->dtype : NS_F32;
	int64_t to;

	if (m->ins < 2) {
		NS_TRY(ns_maker_int(m, "to", 0, &to));
		NS_TRY(ns_onnx_dtype((int)to, &dtype));
	}
	return ns_dag_cast(m->dag, m->in[0], dtype, &m->out[0]);
}

/* Dropout is none where nothing is trained. */
static enum ns_status dropout(struct ns_maker *m)
{
	int64_t mode[1];
	int n;

	NS_TRY(ns_maker_list(m, 2, mode, 1, &n));
	if (n == 1 && mode[0] && (!ns_maker_has(m, 1) || !ns_dag_is_constant(m->dag, m->in[1]) || ns_dag_number(m->dag, m->in[1], 0) > 0))
		return ns_fail(NS_DECLINED, "dropout of a model that is trained");
	m->out[0] = m->in[0];
	return m->wanted[1] ? ns_dag_fill(m->dag, m->opset < 10 ? type_of(m, 0) : NS_BOOL, &ns_maker_in(m, 0)->box, 1, &m->out[1]) : NS_OK;
}

static enum ns_status same(struct ns_maker *m)
{
	m->out[0] = m->in[0];
	return NS_OK;
}

/* --- quantised --- */

/* A scale or zero point of one axis, with a shape that broadcasts. */
static enum ns_status per_axis(const struct ns_maker *m, int of, int rank, int64_t axis, int *value)
{
	struct ns_box box = {.rank = rank};
	int d, at;

	*value = of;
	if (ns_dag_at(m->dag, of)->box.rank != 1 || ns_box_count(&ns_dag_at(m->dag, of)->box) == 1)
		return ns_box_count(&ns_dag_at(m->dag, of)->box) == 1 ? ns_dag_view(m->dag, of, &(struct ns_box){0}, value)
								      : ns_fail(NS_DECLINED, "a scale of %d axes", ns_dag_at(m->dag, of)->box.rank);
	NS_TRY(ns_maker_axis(m, axis, rank, &at));
	for (d = 0; d < rank; d++)
		box.dim[d] = d == at ? ns_dag_at(m->dag, of)->box.dim[0] : 1;
	return ns_dag_view(m->dag, of, &box, value);
}

static void limits(enum ns_dtype dtype, double *low, double *high)
{
	int bits = (int)ns_dtype_bytes(dtype) * 8, is_signed = dtype == NS_I8 || dtype == NS_I16 || dtype == NS_I32;

	*low = is_signed ? -ldexp(1, bits - 1) : 0;
	*high = ldexp(1, is_signed ? bits - 1 : bits) - 1;
}

/* saturate(round(x / scale) + zero) */
static enum ns_status quantize_to(struct ns_maker *m, int x, int scale, int zero, enum ns_dtype dtype, int *y)
{
	struct ns_program p;
	double low, high;
	int r, s, z = -1, a, b;

	if (ns_dtype_is_float(dtype) || ns_dtype_bytes(dtype) > 4)
		return ns_fail(NS_DECLINED, "a zero point of %s", ns_dtype_name(dtype));
	limits(dtype, &low, &high);
	ns_program_begin(&p);
	r = ns_program_input(&p, x);
	s = ns_program_input(&p, scale);
	if (zero >= 0)
		z = ns_program_input(&p, zero);
	a = ns_program_constant(&p, low);
	b = ns_program_constant(&p, high);
	r = ns_program_step(&p, NS_PW_ROUND, ns_program_step(&p, NS_PW_DIV, r, s, 0), 0, 0);
	if (z >= 0)
		r = ns_program_step(&p, NS_PW_ADD, r, z, 0);
	r = ns_program_step(&p, NS_PW_MAX, r, a, 0);
	ns_program_step(&p, NS_PW_MIN, r, b, 0);
	return ns_dag_program(m->dag, &p, dtype, y);
}

static enum ns_status quantize(struct ns_maker *m)
{
	int rank = ns_maker_in(m, 0)->box.rank, scale, zero = -1;
	int64_t axis;

	NS_TRY(ns_maker_int(m, "axis", 1, &axis));
	NS_TRY(per_axis(m, m->in[1], rank, axis, &scale));
	if (ns_maker_has(m, 2))
		NS_TRY(per_axis(m, m->in[2], rank, axis, &zero));
	return quantize_to(m, m->in[0], scale, zero, zero >= 0 ? ns_dag_at(m->dag, zero)->dtype : NS_U8, &m->out[0]);
}

static enum ns_status dequantize(struct ns_maker *m)
{
	int rank = ns_maker_in(m, 0)->box.rank, scale, zero, x = m->in[0];
	int64_t axis;

	NS_TRY(ns_maker_int(m, "axis", 1, &axis));
	NS_TRY(per_axis(m, m->in[1], rank, axis, &scale));
	if (ns_maker_has(m, 2)) {
		NS_TRY(per_axis(m, m->in[2], rank, axis, &zero));
		NS_TRY(ns_dag_formula(m->dag, NS_PW_SUB, (int[]){x, zero}, 2, NS_I32, &x));
	}
	return ns_dag_formula(m->dag, NS_PW_MUL, (int[]){x, scale}, 2, ns_maker_in(m, 1)->dtype, &m->out[0]);
}

/* The scale is taken over the whole input: over a batch, which would mix its images. Whoever runs batches asks for it image by image. */
static enum ns_status dynamic_quantize(struct ns_maker *m)
{
	struct ns_dag *g = m->dag;
	const unsigned all = (1u << ns_maker_in(m, 0)->box.rank) - 1;
	const double zero[] = {0}, by[] = {255};
	int low, high, scale, point;

	NS_TRY(ns_dag_reduce(g, m->in[0], NS_REDUCE_MIN, all, 0, &low));
	NS_TRY(ns_dag_reduce(g, m->in[0], NS_REDUCE_MAX, all, 0, &high));
	NS_TRY(ns_dag_formula_of(g, NS_PW_MIN, low, zero, 1, NS_F32, &low));
	NS_TRY(ns_dag_formula_of(g, NS_PW_MAX, high, zero, 1, NS_F32, &high));
	NS_TRY(ns_dag_formula(g, NS_PW_SUB, (int[]){high, low}, 2, NS_F32, &scale));
	NS_TRY(ns_dag_formula_of(g, NS_PW_DIV, scale, by, 1, NS_F32, &scale));
	NS_TRY(ns_dag_formula(g, NS_PW_NEG, &low, 1, NS_F32, &point));
	NS_TRY(quantize_to(m, point, scale, -1, NS_U8, &point));
	m->out[1] = scale;
	m->out[2] = point;
	return quantize_to(m, m->in[0], scale, point, NS_U8, &m->out[0]);
}

#define UNARY(name, code)                                                                                                                            \
	{                                                                                                                                            \
		name, formula, 1, 1, NS_PW_##code, "consumed_inputs"                                                                                 \
	}
#define BINARY(name, code)                                                                                                                           \
	{                                                                                                                                            \
		name, arithmetic, 2, 2, NS_PW_##code, "axis broadcast consumed_inputs"                                                               \
	}
#define TRUE2(name, code)                                                                                                                            \
	{                                                                                                                                            \
		name, arithmetic, 2, 2, NS_PW_##code | TRUTH, "axis broadcast"                                                                       \
	}

const struct ns_onnx_row ns_onnx_math[] = {
	BINARY("Add", ADD),
	BINARY("Sub", SUB),
	BINARY("Mul", MUL),
	BINARY("Div", DIV),
	BINARY("Pow", POW),
	{"PRelu", prelu, 2, 2, NS_PW_LEAKY, "consumed_inputs"},
	TRUE2("Equal", EQUAL),
	TRUE2("Less", LESS),
	TRUE2("LessOrEqual", LESS_EQUAL),
	{"Greater", greater, 2, 2, NS_PW_LESS | TRUTH, "axis broadcast"},
	{"GreaterOrEqual", greater, 2, 2, NS_PW_LESS_EQUAL | TRUTH, "axis broadcast"},
	TRUE2("And", AND),
	TRUE2("Or", OR),
	TRUE2("Xor", XOR),
	BINARY("BitwiseAnd", BIT_AND),
	BINARY("BitwiseOr", BIT_OR),
	BINARY("BitwiseXor", BIT_XOR),
	UNARY("BitwiseNot", BIT_NOT),
	UNARY("Abs", ABS),
	UNARY("Neg", NEG),
	UNARY("Sign", SIGN),
	UNARY("Floor", FLOOR),
	UNARY("Ceil", CEIL),
	UNARY("Round", ROUND),
	UNARY("Sqrt", SQRT),
	UNARY("Reciprocal", RECIPROCAL),
	UNARY("Exp", EXP),
	UNARY("Log", LOG),
	UNARY("Sin", SIN),
	UNARY("Cos", COS),
	UNARY("Tan", TAN),
	UNARY("Asin", ASIN),
	UNARY("Acos", ACOS),
	UNARY("Atan", ATAN),
	UNARY("Sinh", SINH),
	UNARY("Cosh", COSH),
	UNARY("Tanh", TANH),
	UNARY("Asinh", ASINH),
	UNARY("Acosh", ACOSH),
	UNARY("Atanh", ATANH),
	UNARY("Erf", ERF),
	UNARY("Relu", RELU),
	UNARY("Sigmoid", SIGMOID),
	UNARY("Softplus", SOFTPLUS),
	UNARY("Softsign", SOFTSIGN),
	UNARY("HardSwish", HARDSWISH),
	UNARY("Mish", MISH),
	{"Not", formula, 1, 1, NS_PW_NOT | TRUTH, ""},
	{"IsNaN", formula, 1, 1, NS_PW_IS_NAN | TRUTH, ""},
	{"IsInf", is_inf, 1, 1, 0, "detect_negative detect_positive"},
	{"Where", formula, 3, 3, NS_PW_WHERE, ""},
	{"LeakyRelu", with_attributes, 1, 1, NS_PW_LEAKY, "alpha consumed_inputs"},
	{"Elu", with_attributes, 1, 1, NS_PW_ELU, "alpha consumed_inputs"},
	{"Celu", with_attributes, 1, 1, NS_PW_CELU, "alpha"},
	{"ThresholdedRelu", with_attributes, 1, 1, NS_PW_THRESHOLDED, "alpha"},
	{"Shrink", with_attributes, 1, 1, NS_PW_SHRINK, "bias lambd"},
	{"HardSigmoid", with_attributes, 1, 1, NS_PW_HARDSIGMOID, "alpha beta consumed_inputs"},
	{"Selu", selu, 1, 1, 0, "alpha gamma consumed_inputs"},
	{"Swish", swish, 1, 1, 0, "alpha"},
	{"Gelu", gelu, 1, 1, 0, "approximate"},
	{"Max", variadic, 1, NS_ONNX_INS, NS_PW_MAX, "consumed_inputs"},
	{"Min", variadic, 1, NS_ONNX_INS, NS_PW_MIN, "consumed_inputs"},
	{"Sum", variadic, 1, NS_ONNX_INS, NS_PW_ADD, "consumed_inputs"},
	{"Mean", variadic, 1, NS_ONNX_INS, NS_PW_DIV, "consumed_inputs"},
	{"Mod", modulo, 2, 2, 0, "fmod"},
	{"BitShift", bit_shift, 2, 2, 0, "direction"},
	{"Clip", clip, 1, 3, 0, "min max consumed_inputs"},
	{"Cast", cast, 1, 1, 0, "to"},
	{"CastLike", cast, 2, 2, 0, ""},
	{"Dropout", dropout, 1, 3, 0, "ratio seed is_test consumed_inputs"},
	{"Identity", same, 1, 1, 0, ""},
	{"QuantizeLinear", quantize, 2, 3, 0, "axis"},
	{"DequantizeLinear", dequantize, 2, 3, 0, "axis"},
	{"DynamicQuantizeLinear", dynamic_quantize, 1, 1, 0, ""},
	{0},
};
