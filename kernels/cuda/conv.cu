/*
 * kernels/cuda/conv.cu - convolutions as matrix products whose operands are gathered on the fly (implicit GEMM), for any
 * shape, with f32 sums: used where there is no cuDNN, and the reference for cuDNN's results.
 */
#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/norm.cuh"

struct shape {
	int h, w, c, k, r, s, p, q, stride, pad;
};

static shape shape_of(const struct ns_op_conv *v)
{
	shape g = {v->h, v->w, v->c, v->k, v->r, v->s, ns_op_conv_p(v), ns_op_conv_q(v), v->stride, v->pad};

	return g;
}

static int64_t rows_of(const struct ns_op_conv *v)
{
	return (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v);
}

/* row (n, p, q) of outputs, column (r, s, c) of the window: a pixel, or 0 in the padding */
template <class T> struct windows {
	const T *x;
	shape g;
	__device__ float at(int64_t row, int64_t column) const
	{
		int c = (int)(column % g.c), s = (int)(column / g.c % g.s), r = (int)(column / g.c / g.s);
		int q = (int)(row % g.q), p = (int)(row / g.q % g.p);
		int64_t n = row / g.q / g.p;
		int y = p * g.stride - g.pad + r, xx = q * g.stride - g.pad + s;

		return y < 0 || y >= g.h || xx < 0 || xx >= g.w ? 0.0f : ns_load(x + ((n * g.h + y) * g.w + xx) * g.c + c);
	}
};

/* row (n, y, x) of inputs, column (r, s, k): the gradient of the output that this tap fed, or 0 */
struct taps {
	const float *dz;
	shape g;
	__device__ float at(int64_t row, int64_t column) const
	{
		int k = (int)(column % g.k), s = (int)(column / g.k % g.s), r = (int)(column / g.k / g.s);
		int x = (int)(row % g.w), y = (int)(row / g.w % g.h), p = y + g.pad - r, q = x + g.pad - s;
		int64_t n = row / g.w / g.h;

		if (p < 0 || q < 0 || p % g.stride || q % g.stride || p / g.stride >= g.p || q / g.stride >= g.q)
			return 0.0f;
		return dz[((n * g.p + p / g.stride) * g.q + q / g.stride) * g.k + k];
	}
};

/* row (r, s, k), column c of the weights (K,R,S,C) */
struct turned {
	const float *w;
	shape g;
	__device__ float at(int64_t row, int64_t c) const
	{
		int64_t k = row % g.k, rs = row / g.k;

		return w[(k * g.r * g.s + rs) * g.c + c];
	}
};

template <class T> struct finish { /* bias, residual, ReLU */
	T *y;
	const float *bias;
	const T *residual;
	int relu;
	int64_t k;
	__device__ void put(int64_t i, int64_t j, float t) const
	{
		if (bias)
			t += bias[j];
		if (residual)
			t += ns_load(residual + i * k + j);
		ns_store(y + i * k + j, relu && !(t > 0) ? 0.0f : t);
	}
};

template <class T> static void convolve(const struct ns_op_conv *v, const struct ns_args *a, finish<T> out, cudaStream_t stream)
{
	windows<T> x = {(const T *)a->in[NS_CONV_X], shape_of(v)};
	int64_t terms = (int64_t)v->r * v->s * v->c;
	gemm_columns w = {(const float *)a->in[NS_CONV_W], terms};

	launch_gemm(x, w, out, rows_of(v), v->k, terms, stream);
}

template <class T> static enum ns_status forward(const struct ns_plan *plan, const struct ns_args *a, cudaStream_t stream)
{
	const struct ns_op_conv *v = &ns_cuda_op(plan)->u.conv;
	finish<T> y = {(T *)a->out[NS_CONV_Y], v->flags & NS_CONV_BIAS ? (const float *)a->in[NS_CONV_B] : NULL,
		       v->flags & NS_CONV_RESIDUAL ? (const T *)a->in[NS_CONV_RES] : NULL, v->flags & NS_CONV_RELU ? 1 : 0, v->k};
	finish<T> z = {(T *)a->out[NS_CONV_Z], NULL, NULL, 0, v->k};

	convolve<T>(v, a, v->flags & NS_CONV_NORM ? z : y, stream);
	if (v->flags & NS_CONV_NORM)
		norm_forward<T>(v, a, a->workspace, stream);
	return ns_cuda_launched(plan);
}

static enum ns_status conv_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	return ns_cuda_op(plan)->u.conv.dtype == NS_BF16 ? forward<ns_bf16>(plan, a, ns_cuda_stream(queue))
							 : forward<float>(plan, a, ns_cuda_stream(queue));
}

template <class T> static enum ns_status backward(const struct ns_plan *plan, const struct ns_args *a, cudaStream_t stream)
{
	const struct ns_op_conv *v = &ns_cuda_op(plan)->u.conv;
	int64_t rows = rows_of(v), window = (int64_t)v->r * v->s * v->c;
	float *dz = (float *)a->workspace;
	gemm_columns by_channel = {dz, v->k};
	windows<T> x = {(const T *)a->in[NS_CONVB_X], shape_of(v)};
	gemm_store dw = {(float *)a->out[NS_CONVB_DW], NULL, window};
	taps fed = {dz, shape_of(v)};
	turned w = {(const float *)a->in[NS_CONVB_W], shape_of(v)};
	finish<T> dx = {(T *)a->out[NS_CONVB_DX], NULL, NULL, 0, v->c};

	norm_backward<T, float>(v, a, dz + (rows * v->k + 1) / 2 * 2, dz, stream);
	launch_gemm(by_channel, x, dw, v->k, window, rows, stream);
	if (!(v->flags & NS_CONV_NO_DX))
		launch_gemm(fed, w, dx, (int64_t)v->n * v->h * v->w, v->c, (int64_t)v->r * v->s * v->k, stream);
	return ns_cuda_launched(plan);
}

static enum ns_status backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	return ns_cuda_op(plan)->u.conv.dtype == NS_BF16 ? backward<ns_bf16>(plan, a, ns_cuda_stream(queue))
							 : backward<float>(plan, a, ns_cuda_stream(queue));
}

static enum ns_status make(struct ns_plan **plan, const struct ns_op *op, size_t workspace,
			   enum ns_status (*run)(const struct ns_plan *, const struct ns_args *, struct ns_queue *))
{
	const struct ns_op_conv *v = &op->u.conv;

	if (v->dtype != NS_F32 && v->dtype != NS_BF16)
		return NS_DECLINED;
	NS_TRY(ns_plain_plan_make(plan, op, workspace, run));
	(*plan)->w.bytes = (*plan)->dw.bytes = (size_t)v->k * (size_t)v->r * (size_t)v->s * (size_t)v->c * sizeof(float);
	(*plan)->w.dtype = (*plan)->dw.dtype = NS_F32;
	return NS_OK;
}

static enum ns_status make_conv(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	return make(plan, op, 0, conv_run);
}

static enum ns_status make_train(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	return make(plan, op, norm_workspace(rows_of(&op->u.conv), op->u.conv.k), conv_run);
}

static enum ns_status make_backward(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	int64_t rows = rows_of(&op->u.conv);

	(void)dev;
	return make(plan, op, (size_t)(rows * op->u.conv.k + 1) * sizeof(float) + norm_workspace(rows, op->u.conv.k), backward_run);
}

/* --- reorder: between canonical layouts only the type can change --- */

template <class F, class T> static void reorder(const struct ns_args *a, int64_t n, cudaStream_t stream)
{
	launch_convert<F, T>((const F *)a->in[NS_REORDER_X], (T *)a->out[NS_REORDER_Y], n, stream);
}

static enum ns_status reorder_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_reorder *o = &ns_cuda_op(plan)->u.reorder;
	int64_t n = (int64_t)o->k * o->r * o->s * o->c;
	cudaStream_t stream = ns_cuda_stream(queue);

	if (o->from.dtype == NS_F32 && o->to.dtype == NS_F32)
		reorder<float, float>(a, n, stream);
	else if (o->from.dtype == NS_F32)
		reorder<float, ns_bf16>(a, n, stream);
	else if (o->to.dtype == NS_F32)
		reorder<ns_bf16, float>(a, n, stream);
	else
		reorder<ns_bf16, ns_bf16>(a, n, stream);
	return ns_cuda_launched(plan);
}

static int convertible(const struct ns_layout *l)
{
	return !l->native && (l->dtype == NS_F32 || l->dtype == NS_BF16);
}

NS_CUDA_IMPL(ns_cuda_reorder, "reorder/cuda", NS_OP_REORDER, convertible(&op->u.reorder.from) && convertible(&op->u.reorder.to), 0, reorder_run);

extern "C" {
extern const struct ns_impl ns_cuda_conv, ns_cuda_conv_train, ns_cuda_conv_backward;
}
const struct ns_impl ns_cuda_conv = {"conv/cuda", NS_OP_CONV, make_conv};
const struct ns_impl ns_cuda_conv_train = {"conv_train/cuda", NS_OP_CONV_TRAIN, make_train};
const struct ns_impl ns_cuda_conv_backward = {"conv_backward/cuda", NS_OP_CONV_BACKWARD, make_backward};
