/*
 * kernels/cuda/pool.cu - max and average pooling. Forward a thread an output; backward a thread an input, which gathers
 * from the windows that hold it, so that nothing is added up in a random order.
 */
#include "kernels/cuda/cuda.h"

#define THREADS 256

struct span {
	int y0, y1, x0, x1; /* the window inside the image */
};

static __device__ inline span window(const struct ns_pool &v, int p, int q)
{
	int y = p * v.stride - v.pad, x = q * v.stride - v.pad;
	span s = {y < 0 ? 0 : y, y + v.r > v.h ? v.h : y + v.r, x < 0 ? 0 : x, x + v.s > v.w ? v.w : x + v.s};

	return s;
}

template <class T, class O>
static __global__ void pool(const struct ns_pool v, int P, int Q, const T *x, O *y, uint8_t *which)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, rest = at;
	int c, p, q, n, i, j, winner;
	float best = -INFINITY, sum = 0;
	span s;

	if (at >= (int64_t)v.n * P * Q * v.c)
		return;
	c = (int)(rest % v.c);
	q = (int)((rest /= v.c) % Q);
	p = (int)((rest /= Q) % P);
	n = (int)(rest / P);
	s = window(v, p, q);
	winner = (s.y0 - (p * v.stride - v.pad)) * v.s + s.x0 - (q * v.stride - v.pad);
	for (i = s.y0; i < s.y1; i++)
		for (j = s.x0; j < s.x1; j++) {
			float t = ns_load(x + (((int64_t)n * v.h + i) * v.w + j) * v.c + c);

			sum += t;
			if (t > best) {
				best = t;
				winner = (i - (p * v.stride - v.pad)) * v.s + j - (q * v.stride - v.pad);
			}
		}
	ns_store(y + at, v.mode == NS_POOL_MAX ? best : sum / (float)((s.y1 - s.y0) * (s.x1 - s.x0)));
	if (v.mode == NS_POOL_MAX && which)
		which[at] = (uint8_t)winner;
}

template <class T, class O>
static __global__ void pool_backward(const struct ns_pool v, int P, int Q, const O *dy, const O *dy2, const uint8_t *which, T *dx)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, rest = at, out;
	int c, y, x, n, p, q;
	float sum = 0;

	if (at >= (int64_t)v.n * v.h * v.w * v.c)
		return;
	c = (int)(rest % v.c);
	x = (int)((rest /= v.c) % v.w);
	y = (int)((rest /= v.w) % v.h);
	n = (int)(rest / v.h);
	/* the first window that ends behind this pixel, and on until one begins behind it */
	for (p = y + v.pad < v.r ? 0 : (y + v.pad - v.r) / v.stride + 1; p < P && p * v.stride - v.pad <= y; p++)
		for (q = x + v.pad < v.s ? 0 : (x + v.pad - v.s) / v.stride + 1; q < Q && q * v.stride - v.pad <= x; q++) {
			span s = window(v, p, q);
			float g;

			out = (((int64_t)n * P + p) * Q + q) * v.c + c;
			if (v.mode == NS_POOL_MAX && which[out] != (y - p * v.stride + v.pad) * v.s + x - q * v.stride + v.pad)
				continue;
			g = ns_load(dy + out) + (v.dy2 ? ns_load(dy2 + out) : 0.0f);
			sum += v.mode == NS_POOL_MAX ? g : g / (float)((s.y1 - s.y0) * (s.x1 - s.x0));
		}
	ns_store(dx + at, sum);
}

template <class T, class O> static enum ns_status launch_pool(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_pool *v = &ns_cuda_op(plan)->u.pool;
	int P = ns_pool_p(v), Q = ns_pool_q(v);

	NS_LAUNCH((pool<T, O>), ns_cuda_blocks((int64_t)v->n * P * Q * v->c, THREADS), THREADS, 0, ns_cuda_stream(queue), *v, P, Q,
		  (const T *)a->in[NS_POOL_X], (O *)a->out[NS_POOL_Y], (uint8_t *)a->out[NS_POOL_WHICH]);
	return ns_cuda_launched(plan);
}

template <class T, class O> static enum ns_status launch_back(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_pool *v = &ns_cuda_op(plan)->u.pool;

	NS_LAUNCH((pool_backward<T, O>), ns_cuda_blocks((int64_t)v->n * v->h * v->w * v->c, THREADS), THREADS, 0, ns_cuda_stream(queue), *v,
		  ns_pool_p(v), ns_pool_q(v), (const O *)a->in[NS_POOLB_DY], (const O *)a->in[NS_POOLB_DY2],
		  (const uint8_t *)a->in[NS_POOLB_WHICH], (T *)a->out[NS_POOLB_DX]);
	return ns_cuda_launched(plan);
}

static int types(const struct ns_op *op) /* 0: declined */
{
	const struct ns_pool *v = &op->u.pool;
	int known = (v->dtype == NS_F32 || v->dtype == NS_BF16) && (v->out_dtype == NS_F32 || v->out_dtype == NS_BF16);

	return known ? 1 + (v->dtype == NS_BF16) + 2 * (v->out_dtype == NS_BF16) : 0;
}

static enum ns_status pool_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	switch (types(ns_cuda_op(plan))) {
	case 1:
		return launch_pool<float, float>(plan, a, queue);
	case 2:
		return launch_pool<ns_bf16, float>(plan, a, queue);
	case 3:
		return launch_pool<float, ns_bf16>(plan, a, queue);
	default:
		return launch_pool<ns_bf16, ns_bf16>(plan, a, queue);
	}
}

static enum ns_status pool_backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	switch (types(ns_cuda_op(plan))) {
	case 1:
		return launch_back<float, float>(plan, a, queue);
	case 2:
		return launch_back<ns_bf16, float>(plan, a, queue);
	case 3:
		return launch_back<float, ns_bf16>(plan, a, queue);
	default:
		return launch_back<ns_bf16, ns_bf16>(plan, a, queue);
	}
}

NS_CUDA_IMPL(ns_cuda_pool, "pool/cuda", NS_OP_POOL, types(op), 0, pool_run);
NS_CUDA_IMPL(ns_cuda_pool_backward, "pool_backward/cuda", NS_OP_POOL_BACKWARD, types(op), 0, pool_backward_run);
