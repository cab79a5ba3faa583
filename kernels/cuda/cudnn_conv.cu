/*
 * kernels/cuda/cudnn_conv.cu - convolutions by cuDNN through its plain C interface, NHWC, in bf16 (sums in f32, tensor
 * cores) or in true f32; normalisation, residual, ReLU and bias around them by our own kernels.
 *
 * Only deterministic algorithms are used, in the order in which cuDNN's heuristics rank them: no timing decides bits.
 * Weights are canonical (K,R,S,C) in the type of the activations; their gradient is returned in f32.
 */
#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/norm.cuh"

#include "kernels/cuda/cudnn_handle.h"

#include <stdlib.h>

#define WORKSPACE_MAX ((size_t)512 << 20)

struct cudnn_plan {
	struct ns_plain_plan plain;
	cudnnHandle_t handle;
	cudnnTensorDescriptor_t x, y;
	cudnnFilterDescriptor_t w;
	cudnnConvolutionDescriptor_t conv;
	cudnnConvolutionFwdAlgo_t forward;
	cudnnConvolutionBwdDataAlgo_t data;
	cudnnConvolutionBwdFilterAlgo_t filter;
	size_t scratch, dz_at, norm_at, dw_at; /* cuDNN's share of the workspace, which comes first; then ours */
};

static enum ns_status check(cudnnStatus_t status, const char *what)
{
	if (status == CUDNN_STATUS_SUCCESS)
		return NS_OK;
	return ns_fail(NS_NO_DEVICE, "cuDNN: %s: %s", what, cudnnGetErrorString(status));
}

static size_t round256(size_t n)
{
	return (n + 255) / 256 * 256;
}

static int64_t rows_of(const struct ns_op_conv *v)
{
	return (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v);
}

static size_t weights(const struct ns_op_conv *v)
{
	return (size_t)v->k * (size_t)v->r * (size_t)v->s * (size_t)v->c;
}

static void cudnn_free(struct ns_plan *plan)
{
	struct cudnn_plan *p = (struct cudnn_plan *)plan;

	if (p->x)
		cudnnDestroyTensorDescriptor(p->x);
	if (p->y)
		cudnnDestroyTensorDescriptor(p->y);
	if (p->w)
		cudnnDestroyFilterDescriptor(p->w);
	if (p->conv)
		cudnnDestroyConvolutionDescriptor(p->conv);
	free(p);
}

static void close_handle(void *handle)
{
	cudnnDestroy((cudnnHandle_t)handle);
}

enum ns_status ns_cudnn_handle(struct ns_cuda *dev, cudnnHandle_t *handle)
{
	cudaSetDevice(dev->index);
	if (!dev->cudnn) {
		NS_TRY(check(cudnnCreate(handle), "creating a handle"));
		dev->cudnn = *handle;
		dev->cudnn_close = close_handle;
	}
	*handle = (cudnnHandle_t)dev->cudnn;
	return NS_OK;
}

/* shapes: these need no device */
static enum ns_status describe(struct cudnn_plan *p, const struct ns_op_conv *v)
{
	cudnnDataType_t type = v->dtype == NS_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;

	NS_TRY(check(cudnnCreateTensorDescriptor(&p->x), "creating a descriptor"));
	NS_TRY(check(cudnnCreateTensorDescriptor(&p->y), "creating a descriptor"));
	NS_TRY(check(cudnnCreateFilterDescriptor(&p->w), "creating a descriptor"));
	NS_TRY(check(cudnnCreateConvolutionDescriptor(&p->conv), "creating a descriptor"));
	NS_TRY(check(cudnnSetTensor4dDescriptor(p->x, CUDNN_TENSOR_NHWC, type, v->n, v->c, v->h, v->w), "setting the input's shape"));
	NS_TRY(check(cudnnSetTensor4dDescriptor(p->y, CUDNN_TENSOR_NHWC, type, v->n, v->k, ns_op_conv_p(v), ns_op_conv_q(v)),
		     "setting the output's shape"));
	NS_TRY(check(cudnnSetFilter4dDescriptor(p->w, type, CUDNN_TENSOR_NHWC, v->k, v->c, v->r, v->s), "setting the filter's shape"));
	NS_TRY(check(cudnnSetConvolution2dDescriptor(p->conv, v->pad, v->pad, v->stride, v->stride, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
		     "setting the window"));
	return check(cudnnSetConvolutionMathType(p->conv, v->dtype == NS_BF16 ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH), "setting the arithmetic");
}

/* The first of cuDNN's ranking that works, is deterministic and needs at most WORKSPACE_MAX bytes; NS_DECLINED: none. */
template <class Perf, class Algo> static enum ns_status pick(const Perf *ranked, int count, Algo *algo, size_t *scratch)
{
	int i;

	for (i = 0; i < count; i++)
		if (ranked[i].status == CUDNN_STATUS_SUCCESS && ranked[i].determinism == CUDNN_DETERMINISTIC && ranked[i].memory <= WORKSPACE_MAX) {
			*algo = ranked[i].algo;
			*scratch = *scratch > ranked[i].memory ? *scratch : ranked[i].memory;
			return NS_OK;
		}
	return NS_DECLINED;
}

static enum ns_status choose_forward(struct cudnn_plan *p)
{
	cudnnConvolutionFwdAlgoPerf_t ranked[CUDNN_CONVOLUTION_FWD_ALGO_COUNT];
	int count = 0;

	NS_TRY(check(cudnnGetConvolutionForwardAlgorithm_v7(p->handle, p->x, p->w, p->conv, p->y, CUDNN_CONVOLUTION_FWD_ALGO_COUNT, &count, ranked),
		     "ranking algorithms"));
	return pick(ranked, count, &p->forward, &p->scratch);
}

static enum ns_status choose_backward(struct cudnn_plan *p, int dx)
{
	cudnnConvolutionBwdDataAlgoPerf_t data[CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT];
	cudnnConvolutionBwdFilterAlgoPerf_t filter[CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT];
	int count = 0;

	NS_TRY(check(cudnnGetConvolutionBackwardFilterAlgorithm_v7(p->handle, p->x, p->y, p->conv, p->w, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT,
								   &count, filter),
		     "ranking algorithms"));
	NS_TRY(pick(filter, count, &p->filter, &p->scratch));
	if (!dx)
		return NS_OK;
	NS_TRY(check(cudnnGetConvolutionBackwardDataAlgorithm_v7(p->handle, p->w, p->y, p->conv, p->x, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT, &count,
								 data),
		     "ranking algorithms"));
	return pick(data, count, &p->data, &p->scratch);
}

/* --- running --- */

template <class T> static enum ns_status forward(const struct cudnn_plan *p, const struct ns_args *a, cudaStream_t stream)
{
	const struct ns_op_conv *v = &p->plain.op.u.conv;
	const float one = 1, zero = 0;
	void *z = v->flags & NS_CONV_NORM ? a->out[NS_CONV_Z] : a->out[NS_CONV_Y];
	norm_line line = {NULL, NULL, NULL, v->flags & NS_CONV_BIAS ? (const float *)a->in[NS_CONV_B] : NULL};

	NS_TRY(check(cudnnSetStream(p->handle, stream), "choosing a stream"));
	NS_TRY(check(cudnnConvolutionForward(p->handle, &one, p->x, a->in[NS_CONV_X], p->w, a->in[NS_CONV_W], p->conv, p->forward, a->workspace,
					     p->scratch, &zero, p->y, z),
		     "running the convolution"));
	if (v->flags & NS_CONV_NORM)
		norm_forward<T>(v, a, (char *)a->workspace + p->norm_at, stream);
	else if (v->flags & (NS_CONV_BIAS | NS_CONV_RESIDUAL | NS_CONV_RELU))
		launch_norm_apply<T>((const T *)z, v->flags & NS_CONV_RESIDUAL ? (const T *)a->in[NS_CONV_RES] : NULL, line,
				     v->flags & NS_CONV_RELU ? 1 : 0, rows_of(v), v->k, (T *)z, stream);
	return ns_cuda_launched(&p->plain.base);
}

static enum ns_status forward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct cudnn_plan *p = (const struct cudnn_plan *)plan;

	return p->plain.op.u.conv.dtype == NS_BF16 ? forward<ns_bf16>(p, a, ns_cuda_stream(queue)) : forward<float>(p, a, ns_cuda_stream(queue));
}

template <class T> static enum ns_status backward(const struct cudnn_plan *p, const struct ns_args *a, cudaStream_t stream)
{
	const struct ns_op_conv *v = &p->plain.op.u.conv;
	const float one = 1, zero = 0;
	char *space = (char *)a->workspace;
	T *dz = (T *)(space + p->dz_at);
	int narrow = v->dtype == NS_BF16;
	void *dw = narrow ? space + p->dw_at : a->out[NS_CONVB_DW];

	NS_TRY(check(cudnnSetStream(p->handle, stream), "choosing a stream"));
	norm_backward<T, T>(v, a, space + p->norm_at, dz, stream);
	NS_TRY(check(cudnnConvolutionBackwardFilter(p->handle, &one, p->x, a->in[NS_CONVB_X], p->y, dz, p->conv, p->filter, space, p->scratch, &zero,
						    p->w, dw),
		     "computing the weights' gradient"));
	if (narrow)
		launch_convert<ns_bf16, float>((const ns_bf16 *)dw, (float *)a->out[NS_CONVB_DW], (int64_t)weights(v), stream);
	if (!(v->flags & NS_CONV_NO_DX))
		NS_TRY(check(cudnnConvolutionBackwardData(p->handle, &one, p->w, a->in[NS_CONVB_W], p->y, dz, p->conv, p->data, space, p->scratch,
							  &zero, p->x, a->out[NS_CONVB_DX]),
			     "computing the input's gradient"));
	return ns_cuda_launched(&p->plain.base);
}

static enum ns_status backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct cudnn_plan *p = (const struct cudnn_plan *)plan;

	return p->plain.op.u.conv.dtype == NS_BF16 ? backward<ns_bf16>(p, a, ns_cuda_stream(queue)) : backward<float>(p, a, ns_cuda_stream(queue));
}

/* --- plans --- */

static void share_workspace(struct cudnn_plan *p, const struct ns_op_conv *v, int back)
{
	size_t each = ns_dtype_bytes(v->dtype), at = round256(p->scratch);

	p->dz_at = at;
	at += back ? round256((size_t)rows_of(v) * (size_t)v->k * each) : 0;
	p->norm_at = at;
	at += round256(norm_workspace(rows_of(v), v->k));
	p->dw_at = at;
	at += back ? round256(weights(v) * each) : 0;
	p->plain.base.workspace_bytes = at;
}

static enum ns_status make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op, int back)
{
	const struct ns_op_conv *v = &op->u.conv;
	struct cudnn_plan *p;
	enum ns_status status;

	if (v->dtype != NS_F32 && v->dtype != NS_BF16)
		return NS_DECLINED;
	p = (struct cudnn_plan *)calloc(1, sizeof *p);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	p->plain.op = *op;
	p->plain.base.run = back ? backward_run : forward_run;
	p->plain.base.free = cudnn_free;
	p->plain.base.w.bytes = weights(v) * ns_dtype_bytes(v->dtype);
	p->plain.base.w.dtype = v->dtype;
	p->plain.base.dw.bytes = weights(v) * sizeof(float);
	p->plain.base.dw.dtype = NS_F32;
	status = ns_cudnn_handle((struct ns_cuda *)dev, &p->handle);
	if (status == NS_OK)
		status = describe(p, v);
	if (status == NS_OK)
		status = back ? choose_backward(p, !(v->flags & NS_CONV_NO_DX)) : choose_forward(p);
	share_workspace(p, v, back);
	if (status != NS_OK)
		cudnn_free(&p->plain.base);
	else
		*plan = &p->plain.base;
	return status;
}

static enum ns_status make_forward(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	return make(plan, dev, op, 0);
}

static enum ns_status make_backward(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	return make(plan, dev, op, 1);
}

extern "C" {
extern const struct ns_impl ns_cudnn_conv, ns_cudnn_conv_train, ns_cudnn_conv_backward;
}
const struct ns_impl ns_cudnn_conv = {"conv/cudnn", NS_OP_CONV, make_forward};
const struct ns_impl ns_cudnn_conv_train = {"conv_train/cudnn", NS_OP_CONV_TRAIN, make_forward};
const struct ns_impl ns_cudnn_conv_backward = {"conv_backward/cudnn", NS_OP_CONV_BACKWARD, make_backward};

/* For tests without a device: the output's shape (N, K, P, Q) according to cuDNN. */
extern "C" enum ns_status ns_cudnn_output_of(const struct ns_op_conv *conv, int sizes[4]);

enum ns_status ns_cudnn_output_of(const struct ns_op_conv *conv, int sizes[4])
{
	struct cudnn_plan *p = (struct cudnn_plan *)calloc(1, sizeof *p);
	enum ns_status status;

	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	status = describe(p, conv);
	if (status == NS_OK)
		status = check(cudnnGetConvolution2dForwardOutputDim(p->conv, p->x, p->w, sizes, sizes + 1, sizes + 2, sizes + 3),
			       "computing the output's shape");
	cudnn_free(&p->plain.base);
	return status;
}
