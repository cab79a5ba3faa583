/*
 * kernels/cuda/pointwise.cu - programs of formulas: a thread an element, its registers its own. In f32 the usual formulas are floats; whatever has no row here is the
 * table's, in double, rounded after each step as on ref. Whole numbers and mixed types go the second way.
 */
#include "kernels/cuda/tensor.cuh"

extern "C" {
#include "kernels/formula/pointwise.h"
}

#define REGISTERS (NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS)

struct inputs {
	const void *at[NS_POINTWISE_IN];
};

static __device__ inline float sigmoid_of(float a)
{
	float e = expf(a < 0 ? a : -a);

	return a < 0 ? e / (1 + e) : 1 / (1 + e);
}

static __device__ inline float between(float x, float low, float high)
{
	return x < low ? low : x > high ? high : x;
}

static __device__ float formula_f32(int code, float a, float b, float c)
{
	switch (code) {
	case NS_PW_ADD:
		return a + b;
	case NS_PW_SUB:
		return a - b;
	case NS_PW_MUL:
		return a * b;
	case NS_PW_DIV:
		return a / b;
	case NS_PW_NEG:
		return -a;
	case NS_PW_ABS:
		return fabsf(a);
	case NS_PW_COPY:
		return a;
	case NS_PW_SQRT:
		return sqrtf(a);
	case NS_PW_RECIPROCAL:
		return 1.0f / a;
	case NS_PW_MIN:
		return a < b || a != a ? a : b;
	case NS_PW_MAX:
		return a > b || a != a ? a : b;
	case NS_PW_RELU:
		return a > 0 || a != a ? a : 0.0f;
	case NS_PW_LEAKY:
		return a < 0 ? a * b : a;
	case NS_PW_HARDSIGMOID:
		return between(b * a + c, 0, 1);
	case NS_PW_HARDSWISH:
		return a * between(a * 0.16666667f + 0.5f, 0, 1);
	case NS_PW_WHERE:
		return a != 0 ? b : c;
	case NS_PW_EXP:
		return expf(a);
	case NS_PW_SIGMOID:
		return sigmoid_of(a);
	case NS_PW_SILU:
		return a * sigmoid_of(a);
	case NS_PW_TANH:
		return tanhf(a);
	case NS_PW_ERF:
		return erff(a);
	case NS_PW_SLOPE(NS_PW_RELU, 0):
		return a > 0;
	default:
		return (float)ns_formula_any(code, (double)a, (double)b, (double)c);
	}
}

static __global__ void program_f32(const struct ns_op_pointwise v, const inputs in, int64_t n, float *y)
{
	NS_CUDA_EACH(i, n)
	{
		int64_t at[NS_POINTWISE_IN] = {0}, rest = i;
		float r[REGISTERS];
		int d, k, count = v.inputs;

		for (d = v.out.rank - 1; d >= 0; d--) {
			int64_t p = rest % v.out.dim[d];

			rest /= v.out.dim[d];
			for (k = 0; k < v.inputs; k++)
				at[k] += p * v.stride[k][d];
		}
		for (k = 0; k < v.inputs; k++)
			r[k] = ((const float *)in.at[k])[at[k]];
		for (k = 0; k < v.constants; k++)
			r[count++] = (float)v.constant[k];
		for (k = 0; k < v.steps; k++, count++)
			r[count] = formula_f32(v.step[k].code, r[v.step[k].a], r[v.step[k].b], r[v.step[k].c]);
		y[i] = r[count - 1];
	}
}

static __device__ void in_floats(const struct ns_op_pointwise &v, const inputs &in, const int64_t *at, int64_t i, void *y)
{
	double r[REGISTERS];
	int k, n = v.inputs;

	for (k = 0; k < n; k++)
		r[k] = ns_typed_get(in.at[k], v.in_dtype[k], at[k]);
	for (k = 0; k < v.constants; k++)
		r[n++] = v.compute == NS_F32 ? (double)(float)v.constant[k] : v.constant[k];
	for (k = 0; k < v.steps; k++, n++) {
		r[n] = ns_formula_any(v.step[k].code, r[v.step[k].a], r[v.step[k].b], r[v.step[k].c]);
		if (v.compute == NS_F32)
			r[n] = (double)(float)r[n];
	}
	ns_typed_set(y, v.out_dtype, i, r[n - 1]);
}

static __device__ void in_whole_numbers(const struct ns_op_pointwise &v, const inputs &in, const int64_t *at, int64_t i, void *y)
{
	int64_t r[REGISTERS];
	int k, n = v.inputs;

	for (k = 0; k < n; k++)
		r[k] = ns_typed_is_float(v.in_dtype[k]) ? ns_typed_whole_of(ns_typed_get(in.at[k], v.in_dtype[k], at[k]), NS_I64)
							: ns_typed_get_whole(in.at[k], v.in_dtype[k], at[k]);
	for (k = 0; k < v.constants; k++)
		r[n++] = ns_typed_whole_of(v.constant[k], NS_I64);
	for (k = 0; k < v.steps; k++, n++) {
		const struct ns_pw_step s = v.step[k];

		r[n] = v.compute == NS_U64 ? ns_formula_unsigned(s.code, r[s.a], r[s.b], r[s.c]) : ns_formula_whole(s.code, r[s.a], r[s.b], r[s.c]);
	}
	if (ns_typed_is_float(v.out_dtype))
		ns_typed_set(y, v.out_dtype, i, (double)r[n - 1]);
	else
		ns_typed_set_whole(y, v.out_dtype, i, r[n - 1]);
}

static __global__ void program_any(const struct ns_op_pointwise v, const inputs in, int64_t n, void *y)
{
	NS_CUDA_EACH(i, n)
	{
		int64_t at[NS_POINTWISE_IN] = {0}, rest = i;
		int d, k;

		for (d = v.out.rank - 1; d >= 0; d--) {
			int64_t p = rest % v.out.dim[d];

			rest /= v.out.dim[d];
			for (k = 0; k < v.inputs; k++)
				at[k] += p * v.stride[k][d];
		}
		if (v.compute == NS_I64 || v.compute == NS_U64)
			in_whole_numbers(v, in, at, i, y);
		else
			in_floats(v, in, at, i, y);
	}
}

static enum ns_status pointwise_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	struct ns_op_pointwise v = ns_cuda_op(plan)->u.pointwise;
	int64_t n = ns_box_count(&v.out);
	int k, all = v.compute == NS_F32 && v.out_dtype == NS_F32;
	inputs in;

	for (k = 0; k < v.inputs; k++) {
		in.at[k] = a->in[k];
		all &= v.in_dtype[k] == NS_F32;
	}
	ns_pointwise_collapse(&v);
	if (all)
		NS_LAUNCH(program_f32, tensor_grid(n), TENSOR_THREADS, 0, ns_cuda_stream(queue), v, in, n, (float *)a->out[NS_POINTWISE_Y]);
	else
		NS_LAUNCH(program_any, tensor_grid(n), TENSOR_THREADS, 0, ns_cuda_stream(queue), v, in, n, a->out[NS_POINTWISE_Y]);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_pointwise, "pointwise/cuda", NS_OP_POINTWISE, 1, 0, pointwise_run);
