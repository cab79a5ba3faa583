/*
 * kernels/cuda/cuda.h - what every .cu file includes, and the only file that includes CUDA's own headers.
 *
 * With NS_CUDASIM the same sources compile for the processor (tests/cudasim), hence three words in place of CUDA's own:
 * NS_LAUNCH(kernel, grid, block, shared_bytes, stream, args...), NS_SHARED(type, name, [dims]) and
 * NS_SHARED_DYN(type, name). Rules that keep a kernel simulable: no thread waits for another block, every thread reaches
 * every barrier, whole warps shuffle, and code that runs under __CUDA_ARCH__ alone has a portable branch beside it.
 *
 * The whole folder is built with -fmad=false: a * b + c rounds twice, as on the CPU; fmaf() says where one rounding is
 * meant. Reductions have a fixed order, so that a plan gives the same bits every time.
 */
#ifndef NS_CUDA_H
#define NS_CUDA_H

#ifdef NS_CUDASIM
#include "cudasim.h"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#define NS_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
#define NS_SHARED(type, name, dims)			    __shared__ type name dims
#define NS_SHARED_DYN(type, name)                                                                                                                    \
	extern __shared__ __align__(16) unsigned char ns_shared_dynamic[];                                                                           \
	type *name = (type *)ns_shared_dynamic
#endif

extern "C" {
#include "kernels/backend.h"
#include "kernels/formula/inline.h"
}

#ifndef NS_CUDA_BUILT_FOR /* a list of architectures, from CMake */
#define NS_CUDA_BUILT_FOR "what nvcc takes by default"
#endif
#define NS_WARP 0xffffffffu

struct ns_cuda { /* a device */
	struct ns_device base;
	int index, count; /* among the GPUs in sight */
	void *cudnn;	  /* its handle, created with the first plan that needs one; cudnn_conv.cu */
	void (*cudnn_close)(void *handle);
	struct cudaDeviceProp prop;
};

struct ns_queue {
	struct ns_cuda *dev;
	cudaStream_t stream;
	cudaEvent_t event;
};

/* NS_OK, or an error whose message has `what` and CUDA's own text */
enum ns_status ns_cuda_status(cudaError_t error, const char *what);
/* the queue's stream; makes its device current for this thread */
cudaStream_t ns_cuda_stream(struct ns_queue *queue);
/* the status of this thread's last launches */
enum ns_status ns_cuda_launched(const struct ns_plan *plan);

static inline const struct ns_op *ns_cuda_op(const struct ns_plan *plan)
{
	return &((const struct ns_plain_plan *)plan)->op;
}

static inline unsigned ns_cuda_blocks(int64_t n, int each)
{
	return (unsigned)((n + each - 1) / each);
}

/* bfloat16 in memory; arithmetic is in float */
struct ns_bf16 {
	uint16_t bits;
};

static __device__ inline float ns_load(const float *p)
{
	return *p;
}

static __device__ inline float ns_load(const ns_bf16 *p)
{
	return ns_f32_of_bf16(p->bits);
}

static __device__ inline void ns_store(float *p, float x)
{
	*p = x;
}

static __device__ inline void ns_store(ns_bf16 *p, float x)
{
#ifdef __CUDA_ARCH__
	p->bits = __bfloat16_as_ushort(__float2bfloat16_rn(x)); /* one instruction; the same rounding */
#else
	p->bits = ns_bf16_of_f32(x);
#endif
}

/* V neighbours at once, V 8 (p at a multiple of 16 bytes) or 1 */
template <int V> static __device__ inline void ns_load_many(const float *p, float (&x)[V])
{
	if constexpr (V == 1) {
		x[0] = *p;
	} else {
		float4 a = ((const float4 *)p)[0], b = ((const float4 *)p)[1];

		x[0] = a.x;
		x[1] = a.y;
		x[2] = a.z;
		x[3] = a.w;
		x[4] = b.x;
		x[5] = b.y;
		x[6] = b.z;
		x[7] = b.w;
	}
}

template <int V> static __device__ inline void ns_store_many(float *p, const float (&x)[V])
{
	if constexpr (V == 1) {
		*p = x[0];
	} else {
		((float4 *)p)[0] = make_float4(x[0], x[1], x[2], x[3]);
		((float4 *)p)[1] = make_float4(x[4], x[5], x[6], x[7]);
	}
}

static __device__ inline void ns_bf16_unpair(uint32_t pair, float *x)
{
	x[0] = ns_f32_of_bits(pair << 16);
	x[1] = ns_f32_of_bits(pair & 0xffff0000u);
}

template <int V> static __device__ inline void ns_load_many(const ns_bf16 *p, float (&x)[V])
{
	if constexpr (V == 1) {
		x[0] = ns_load(p);
	} else {
		uint4 t = *(const uint4 *)p;

		ns_bf16_unpair(t.x, x);
		ns_bf16_unpair(t.y, x + 2);
		ns_bf16_unpair(t.z, x + 4);
		ns_bf16_unpair(t.w, x + 6);
	}
}

/* two in one word, the first below */
static __device__ inline uint32_t ns_bf16_pair(float low, float high)
{
#ifdef __CUDA_ARCH__
	__nv_bfloat162 t = __floats2bfloat162_rn(low, high);

	return *(const uint32_t *)&t;
#else
	return (uint32_t)ns_bf16_of_f32(high) << 16 | ns_bf16_of_f32(low);
#endif
}

template <int V> static __device__ inline void ns_store_many(ns_bf16 *p, const float (&x)[V])
{
	if constexpr (V == 1)
		ns_store(p, x[0]);
	else
		*(uint4 *)p = make_uint4(ns_bf16_pair(x[0], x[1]), ns_bf16_pair(x[2], x[3]), ns_bf16_pair(x[4], x[5]), ns_bf16_pair(x[6], x[7]));
}

/* The V of vector loads: 8 if `each` is a multiple of 8 and the pointers (NULL: none) are aligned to 16 bytes, else 1. */
static inline int ns_cuda_together(int64_t each, const void *const *p, int count)
{
	uintptr_t bits = 0;
	int i;

	for (i = 0; i < count; i++)
		bits |= (uintptr_t)p[i];
	return each % 8 == 0 && bits % 16 == 0 ? 8 : 1;
}

/* sums over a warp, the same tree in every lane */
template <class T> static __device__ inline T ns_warp_sum(T x)
{
	int d;

	for (d = 16; d; d /= 2)
		x += __shfl_xor_sync(NS_WARP, x, d);
	return x;
}

static __device__ inline float ns_warp_max(float x)
{
	int d;

	for (d = 16; d; d /= 2) {
		float y = __shfl_xor_sync(NS_WARP, x, d);

		x = x > y ? x : y;
	}
	return x;
}

/* make() of an op that takes every shape */
#define NS_CUDA_IMPL(var, label, op_kind, accepts, workspace, run)                                                                                   \
	static enum ns_status var##_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)                                       \
	{                                                                                                                                            \
		(void)dev;                                                                                                                           \
		if (!(accepts))                                                                                                                      \
			return NS_DECLINED;                                                                                                          \
		return ns_plain_plan_make(plan, op, (workspace), run);                                                                               \
	}                                                                                                                                            \
	extern "C" {                                                                                                                                 \
	extern const struct ns_impl var;                                                                                                             \
	}                                                                                                                                            \
	const struct ns_impl var = {label, op_kind, var##_make}

#endif
