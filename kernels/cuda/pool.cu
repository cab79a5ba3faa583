/*
 * kernels/cuda/pool.cu - max and average pooling. Forward a thread an output; backward a thread an input, which gathers
 * from the windows that contain it, so that the order of the sum is fixed.
 */
#include "kernels/cuda/cuda.h"

#define THREADS 256

struct span {
	int y0, y1, x0, x1; /* the window inside the image */
};

static __device__ inline span window(const struct ns_op_pool &v, int p, int q)
{
	int y = p * v.stride - v.pad, x = q * v.stride - v.pad;
	span s = {y < 0 ? 0 : y, y + v.r > v.h ? v.h : y + v.r, x < 0 ? 0 : x, x + v.s > v.w ? v.w : x + v.s};

	return s;
}

/*
 * Both kernels: a thread takes V neighbouring channels (8, or 1) of a pixel; blockIdx.y walks over images, so that indices
 * fit in 32 bits for the divisions.
 */
template <int V> static __device__ inline void store_places(uint8_t *p, const int (&x)[V])
{
	if constexpr (V == 1)
		*p = (uint8_t)x[0];
	else
		*(uint2 *)p = make_uint2((uint32_t)(x[0] | x[1] << 8 | x[2] << 16) | (uint32_t)x[3] << 24,
					 (uint32_t)(x[4] | x[5] << 8 | x[6] << 16) | (uint32_t)x[7] << 24);
}

template <int V> static __device__ inline void load_places(const uint8_t *p, int (&x)[V])
{
	int j;

	if constexpr (V == 1) {
		x[0] = *p;
	} else {
		uint2 t = *(const uint2 *)p;

		for (j = 0; j < 4; j++) {
			x[j] = (int)(t.x >> 8 * j & 255);
			x[4 + j] = (int)(t.y >> 8 * j & 255);
		}
	}
}

template <class T, class O, int V> static __global__ void pool(const struct ns_op_pool v, int P, int Q, const T *x, O *y, uint8_t *which)
{
	unsigned at = blockIdx.x * THREADS + threadIdx.x, channels = (unsigned)v.c / V;
	int c = (int)(at % channels) * V, q = (int)(at / channels % (unsigned)Q), p = (int)(at / channels / (unsigned)Q), n, i, j, k;
	int top = p * v.stride - v.pad, left = q * v.stride - v.pad;
	span s = window(v, p, q);
	float share = 1.0f;

	if (p >= P)
		return;
	if (v.mode != NS_POOL_MAX)
		share = (float)((s.y1 - s.y0) * (s.x1 - s.x0));
	for (n = (int)blockIdx.y; n < v.n; n += (int)gridDim.y) {
		const T *image = x + (int64_t)n * v.h * v.w * v.c + c;
		int64_t out = (((int64_t)n * P + p) * Q + q) * v.c + c;
		float best[V], t[V];
		int winner[V];

		for (k = 0; k < V; k++) {
			best[k] = v.mode == NS_POOL_MAX ? -INFINITY : 0.0f;
			winner[k] = (s.y0 - top) * v.s + s.x0 - left;
		}
		for (i = s.y0; i < s.y1; i++)
			for (j = s.x0; j < s.x1; j++) {
				ns_load_many<V>(image + (int64_t)(i * v.w + j) * v.c, t);
				for (k = 0; k < V; k++)
					if (v.mode != NS_POOL_MAX) {
						best[k] += t[k];
					} else if (t[k] > best[k]) {
						best[k] = t[k];
						winner[k] = (i - top) * v.s + j - left;
					}
			}
		for (k = 0; k < V; k++)
			t[k] = v.mode == NS_POOL_MAX ? best[k] : best[k] / share;
		ns_store_many<V>(y + out, t);
		if (v.mode == NS_POOL_MAX && which)
			store_places<V>(which + out, winner);
	}
}

template <class T, class O, int V, int MAX>
static __global__ void pool_backward(const struct ns_op_pool v, int P, int Q, const O *dy, const O *dy2, const uint8_t *which, T *dx)
{
	unsigned at = blockIdx.x * THREADS + threadIdx.x, channels = (unsigned)v.c / V;
	int c = (int)(at % channels) * V, x = (int)(at / channels % (unsigned)v.w), y = (int)(at / channels / (unsigned)v.w), n, p, q, k;
	/* windows that contain this pixel: from the first that ends after it to the last that does not begin after it */
	int p0 = y + v.pad < v.r ? 0 : (y + v.pad - v.r) / v.stride + 1, q0 = x + v.pad < v.s ? 0 : (x + v.pad - v.s) / v.stride + 1;

	if (y >= v.h)
		return;
	for (n = (int)blockIdx.y; n < v.n; n += (int)gridDim.y) {
		float sum[V], g[V], more[V];

		for (k = 0; k < V; k++)
			sum[k] = 0;
		for (p = p0; p < P && p * v.stride - v.pad <= y; p++)
			for (q = q0; q < Q && q * v.stride - v.pad <= x; q++) {
				int64_t out = (((int64_t)n * P + p) * Q + q) * v.c + c;

				ns_load_many<V>(dy + out, g);
				if (v.dy2) {
					ns_load_many<V>(dy2 + out, more);
					for (k = 0; k < V; k++)
						g[k] += more[k];
				}
				if (MAX) {
					int here = (y - p * v.stride + v.pad) * v.s + x - q * v.stride + v.pad, place[V];

					load_places<V>(which + out, place);
					for (k = 0; k < V; k++)
						sum[k] += place[k] == here ? g[k] : 0.0f;
				} else {
					span s = window(v, p, q);
					float share = (float)((s.y1 - s.y0) * (s.x1 - s.x0));

					for (k = 0; k < V; k++)
						sum[k] += g[k] / share;
				}
			}
		ns_store_many<V>(dx + (((int64_t)n * v.h + y) * v.w + x) * v.c + c, sum);
	}
}

static dim3 grid_of(const struct ns_op_pool *v, int height, int width, int together)
{
	return dim3(ns_cuda_blocks((int64_t)height * width * (v->c / together), THREADS), (unsigned)(v->n < 65535 ? v->n : 65535));
}

template <class T, class O> static enum ns_status launch_pool(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool *v = &ns_cuda_op(plan)->u.pool;
	const void *all[] = {a->in[NS_POOL_X], a->out[NS_POOL_Y], a->out[NS_POOL_WHICH]};
	int P = ns_op_pool_p(v), Q = ns_op_pool_q(v), together = ns_cuda_together(v->c, all, 3);
	const T *x = (const T *)a->in[NS_POOL_X];
	O *y = (O *)a->out[NS_POOL_Y];
	uint8_t *which = (uint8_t *)a->out[NS_POOL_WHICH];

	if (together == 8)
		NS_LAUNCH((pool<T, O, 8>), grid_of(v, P, Q, 8), THREADS, 0, ns_cuda_stream(queue), *v, P, Q, x, y, which);
	else
		NS_LAUNCH((pool<T, O, 1>), grid_of(v, P, Q, 1), THREADS, 0, ns_cuda_stream(queue), *v, P, Q, x, y, which);
	return ns_cuda_launched(plan);
}

template <class T, class O> static enum ns_status launch_back(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool *v = &ns_cuda_op(plan)->u.pool;
	const void *all[] = {a->in[NS_POOLB_DY], v->dy2 ? a->in[NS_POOLB_DY2] : NULL, v->mode == NS_POOL_MAX ? a->in[NS_POOLB_WHICH] : NULL,
			     a->out[NS_POOLB_DX]};
	int P = ns_op_pool_p(v), Q = ns_op_pool_q(v), together = ns_cuda_together(v->c, all, 4);
	const O *dy = (const O *)a->in[NS_POOLB_DY], *dy2 = (const O *)a->in[NS_POOLB_DY2];
	const uint8_t *which = (const uint8_t *)a->in[NS_POOLB_WHICH];
	T *dx = (T *)a->out[NS_POOLB_DX];

	if (together == 8 && v->mode == NS_POOL_MAX)
		NS_LAUNCH((pool_backward<T, O, 8, 1>), grid_of(v, v->h, v->w, 8), THREADS, 0, ns_cuda_stream(queue), *v, P, Q, dy, dy2, which, dx);
	else if (together == 8)
		NS_LAUNCH((pool_backward<T, O, 8, 0>), grid_of(v, v->h, v->w, 8), THREADS, 0, ns_cuda_stream(queue), *v, P, Q, dy, dy2, which, dx);
	else if (v->mode == NS_POOL_MAX)
		NS_LAUNCH((pool_backward<T, O, 1, 1>), grid_of(v, v->h, v->w, 1), THREADS, 0, ns_cuda_stream(queue), *v, P, Q, dy, dy2, which, dx);
	else
		NS_LAUNCH((pool_backward<T, O, 1, 0>), grid_of(v, v->h, v->w, 1), THREADS, 0, ns_cuda_stream(queue), *v, P, Q, dy, dy2, which, dx);
	return ns_cuda_launched(plan);
}

static int types(const struct ns_op *op) /* 0: declined */
{
	const struct ns_op_pool *v = &op->u.pool;
	int small = (int64_t)v->h * v->w * v->c < INT32_MAX; /* an image */
	int known = small && (v->dtype == NS_F32 || v->dtype == NS_BF16) && (v->out_dtype == NS_F32 || v->out_dtype == NS_BF16);

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
