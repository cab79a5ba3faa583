/*
 * kernels/cuda/convolve.cu - convolutions of channels-first images over one to three axes, by groups, dilated, transposed; the gradient of their weights; pooling over windows.
 * Groups with channels enough are products of matrices whose patches are gathered on the fly; few channels (depthwise) and transposed ones are a thread a result.
 */
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/tensor.cuh"
#include "kernels/formula/packed.h"

struct sizes {
	int64_t in, out, taps; /* of a plane, of a kernel */
};

static int64_t product(const int64_t *v, int n)
{
	int64_t p = 1;

	while (n--)
		p *= v[n];
	return p;
}

static sizes sizes_of(const struct ns_window *w)
{
	sizes s = {product(w->in, w->axes), product(w->out, w->axes), product(w->kernel, w->axes)};

	return s;
}

/* Where in the input's plane tap `tap` of output `out` lies; -1: outside of it. */
static __device__ inline int64_t reach(const struct ns_window &w, int transposed, int64_t out, int64_t tap)
{
	int64_t at = 0, unit = 1;
	int d;

	for (d = w.axes - 1; d >= 0; d--) {
		int64_t p = out % w.out[d], r = tap % w.kernel[d], t;

		out /= w.out[d];
		tap /= w.kernel[d];
		t = transposed ? p + w.pad[d] - r * w.dilation[d] : p * w.stride[d] - w.pad[d] + r * w.dilation[d];
		if (transposed && t % w.stride[d])
			return -1;
		t = transposed ? t / w.stride[d] : t;
		if (t < 0 || t >= w.in[d])
			return -1;
		at += t * unit;
		unit *= w.in[d];
	}
	return at;
}

/* --- as products of matrices --- */

/* row (c, tap), column (n, place): what the tap sees. Product z is group z. */
struct patches {
	const float *x;
	struct ns_window w;
	sizes s;
	int64_t c, groups;
	__device__ void go(int64_t z)
	{
		x += z * c * s.in;
	}
	__device__ float at(int64_t i, int64_t j) const
	{
		int64_t from = reach(w, 0, j % s.out, i % s.taps);

		return from < 0 ? 0.0f : x[(j / s.out * groups * c + i / s.taps) * s.in + from];
	}
};

struct patches_turned {
	patches p;
	__device__ void go(int64_t z)
	{
		p.go(z);
	}
	__device__ float at(int64_t i, int64_t j) const
	{
		return p.at(j, i);
	}
};

struct group_rows { /* row-major matrices, one behind the other */
	const float *p;
	int64_t width, each;
	__device__ void go(int64_t z)
	{
		p += z * each;
	}
	__device__ float at(int64_t i, int64_t j) const
	{
		return p[i * width + j];
	}
};

/* (k, (n, place)) of images (N, groups K, places): read, or written with a bias */
struct images {
	float *y;
	const float *bias;
	int64_t k, groups, out;
	__device__ void go(int64_t z)
	{
		y += z * k * out;
		bias = bias ? bias + z * k : bias;
	}
	__device__ float *place(int64_t i, int64_t j) const
	{
		return y + (j / out * groups * k + i) * out + j % out;
	}
	__device__ float at(int64_t i, int64_t j) const
	{
		return *place(i, j);
	}
	__device__ void put(int64_t i, int64_t j, float sum) const
	{
		*place(i, j) = bias ? sum + bias[i] : sum;
	}
};

static int is_product(const struct ns_op_convolve *v, const sizes &s)
{
	return v->dtype == NS_F32 && !v->transposed && !v->last && v->k >= 8 && v->n * s.out <= (int64_t)GEMM_TILE * 65535;
}

/* --- a thread a result --- */

struct result { /* element i of y: of which image, channel, group and place */
	int64_t image, k, g, place;
};

static __device__ inline result result_of(const struct ns_op_convolve &v, const sizes &s, int64_t i)
{
	int64_t channels = v.groups * v.k, image = i / (channels * s.out), at = i % (channels * s.out), k = v.last ? at % channels : at / s.out;
	result r = {image, k, k / v.k, v.last ? at / channels : at % s.out};

	return r;
}

/* What a tap that lies at `from` reads of input channel c, and its weight. */
static __device__ inline int64_t x_at(const struct ns_op_convolve &v, const sizes &s, const result &r, int64_t c, int64_t from)
{
	return v.last ? ((r.image * s.in + from) * v.groups + r.g) * v.c + c : ((r.image * v.groups + r.g) * v.c + c) * s.in + from;
}

static __device__ inline int64_t w_at(const struct ns_op_convolve &v, const sizes &s, const result &r, int64_t c, int64_t tap)
{
	if (v.last)
		return ns_packed_at(&v, s.taps, r.g, r.k % v.k, c, tap);
	return (v.transposed ? (r.g * v.c + c) * v.k + r.k % v.k : r.k * v.c + c) * s.taps + tap;
}

static __global__ void convolve_any(const struct ns_op_convolve v, const sizes s, int64_t n, const void *x, const void *w, const void *bias, void *y)
{
	NS_CUDA_EACH(i, n)
	{
		const result of = result_of(v, s, i);
		int64_t r, c;
		int is_float = ns_typed_is_float(v.dtype);
		uint64_t whole = 0;
		double sum = 0;

		for (r = 0; r < s.taps; r++) {
			int64_t from = reach(v.window, v.transposed, of.place, r);

			for (c = 0; from >= 0 && c < v.c; c++) {
				int64_t at = x_at(v, s, of, c, from), wt = w_at(v, s, of, c, r);

				if (is_float)
					sum += ns_typed_get(x, v.dtype, at) * ns_typed_get(w, v.dtype, wt);
				else
					whole += (uint64_t)ns_typed_get_whole(x, v.dtype, at) * (uint64_t)ns_typed_get_whole(w, v.dtype, wt);
			}
		}
		if (is_float)
			ns_typed_set(y, v.dtype, i, v.bias ? sum + ns_typed_get(bias, v.dtype, of.k) : sum);
		else
			ns_typed_set_whole(y, v.dtype, i, (int64_t)(whole + (v.bias ? (uint64_t)ns_typed_get_whole(bias, v.dtype, of.k) : 0)));
	}
}

/* The same of f32, with sums of f32: what depthwise convolutions take. */
static __global__ void convolve_f32(const struct ns_op_convolve v, const sizes s, int64_t n, const float *x, const float *w, const float *bias,
				    float *y)
{
	NS_CUDA_EACH(i, n)
	{
		const result of = result_of(v, s, i);
		float sum = v.bias ? bias[of.k] : 0.0f;
		int64_t r, c;

		for (r = 0; r < s.taps; r++) {
			int64_t from = reach(v.window, v.transposed, of.place, r);

			for (c = 0; from >= 0 && c < v.c; c++)
				sum = fmaf(x[x_at(v, s, of, c, from)], w[w_at(v, s, of, c, r)], sum);
		}
		y[i] = sum;
	}
}

static enum ns_status convolve_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_convolve *v = &ns_cuda_op(plan)->u.convolve;
	const float *x = (const float *)a->in[NS_CONVOLVE_X], *w = (const float *)a->in[NS_CONVOLVE_W],
		    *bias = v->bias ? (const float *)a->in[NS_CONVOLVE_B] : NULL;
	cudaStream_t stream = ns_cuda_stream(queue);
	sizes s = sizes_of(&v->window);
	float *y = (float *)a->out[NS_CONVOLVE_Y];
	int64_t n = v->n * v->groups * v->k * s.out, depth = v->c * s.taps;

	if (is_product(v, s)) {
		group_rows weights = {w, depth, v->k * depth};
		patches seen = {x, v->window, s, v->c, v->groups};
		images to = {y, bias, v->k, v->groups, s.out};

		launch_gemm_many(weights, seen, to, v->k, v->n * s.out, depth, v->groups, stream);
	} else if (v->dtype == NS_F32) {
		NS_LAUNCH(convolve_f32, tensor_grid(n), TENSOR_THREADS, 0, stream, *v, s, n, x, w, bias, y);
	} else {
		NS_LAUNCH(convolve_any, tensor_grid(n), TENSOR_THREADS, 0, stream, *v, s, n, a->in[NS_CONVOLVE_X], a->in[NS_CONVOLVE_W],
			  a->in[NS_CONVOLVE_B], a->out[NS_CONVOLVE_Y]);
	}
	return ns_cuda_launched(plan);
}

/* --- the gradient of weights: (K, C taps) is gradients (K, places) times patches, turned --- */

static enum ns_status weights_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_convolve *v = &ns_cuda_op(plan)->u.convolve;
	sizes s = sizes_of(&v->window);
	int64_t depth = v->c * s.taps;
	images dy = {(float *)(uintptr_t)a->in[NS_CONVOLVE_WEIGHTS_DY], NULL, v->k, v->groups, s.out};
	patches_turned seen = {{(const float *)a->in[NS_CONVOLVE_WEIGHTS_X], v->window, s, v->c, v->groups}};
	gemm_store_many dw = {(float *)a->out[NS_CONVOLVE_WEIGHTS_DW], depth, v->k * depth};

	launch_gemm_many(dy, seen, dw, v->k, depth, v->n * s.out, v->groups, ns_cuda_stream(queue));
	return ns_cuda_launched(plan);
}

/* --- pooling --- */

static __device__ inline int in_padding(const struct ns_window &w, int64_t out, int64_t tap)
{
	int d;

	for (d = w.axes - 1; d >= 0; d--) {
		int64_t t = out % w.out[d] * w.stride[d] - w.pad[d] + tap % w.kernel[d] * w.dilation[d];

		out /= w.out[d];
		tap /= w.kernel[d];
		if (t < -w.pad[d] || t >= w.in[d] + w.pad_end[d])
			return 0;
	}
	return 1;
}

/* Indices count over all planes; by columns, each plane's positions do. */
static __device__ int64_t name_of(const struct ns_op_pool_nd &v, int64_t plane, int64_t at)
{
	int64_t by_column = 0, place[NS_AXES];
	int d;

	if (!v.column_major || at < 0)
		return plane + at;
	for (d = v.window.axes - 1; d >= 0; d--) {
		place[d] = at % v.window.in[d];
		at /= v.window.in[d];
	}
	for (d = v.window.axes - 1; d >= 0; d--)
		by_column = by_column * v.window.in[d] + place[d];
	return plane + by_column;
}

static __global__ void pool_nd(const struct ns_op_pool_nd v, const sizes s, int64_t n, const void *x, void *y, int64_t *which)
{
	NS_CUDA_EACH(i, n)
	{
		int64_t place = i / v.inner % s.out, plane = i / v.inner / s.out * s.in, best = -1, many = 0, r;
		double sum = v.how == NS_WINDOW_MAX ? -INFINITY : 0;

		for (r = 0; r < s.taps; r++) {
			int64_t at = reach(v.window, 0, place, r);
			double t;

			many += at >= 0 || (v.with_padding && in_padding(v.window, place, r));
			if (at < 0)
				continue;
			t = ns_typed_get(x, v.dtype, (plane + at) * v.inner + i % v.inner);
			if (v.how != NS_WINDOW_MAX) {
				sum += v.how == NS_WINDOW_LP ? pow(fabs(t), (double)v.p) : t;
			} else if (best < 0 || t > sum || (t != t && sum == sum)) {
				sum = t;
				best = at;
			}
		}
		ns_typed_set(y, v.dtype, i,
			     v.how == NS_WINDOW_AVG  ? (many ? sum / (double)many : 0)
			     : v.how == NS_WINDOW_LP ? pow(sum, 1.0 / v.p)
						     : sum);
		if (v.indices)
			which[i] = name_of(v, plane, best);
	}
}

static enum ns_status pool_nd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool_nd *v = &ns_cuda_op(plan)->u.pool_nd;
	sizes s = sizes_of(&v->window);
	int64_t n = v->planes * s.out * v->inner;

	NS_LAUNCH(pool_nd, tensor_grid(n), TENSOR_THREADS, 0, ns_cuda_stream(queue), *v, s, n, a->in[NS_POOL_ND_X], a->out[NS_POOL_ND_Y],
		  (int64_t *)a->out[NS_POOL_ND_WHICH]);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_convolve, "convolve/cuda", NS_OP_CONVOLVE, 1, 0, convolve_run);
NS_CUDA_IMPL(ns_cuda_convolve_weights, "convolve_weights/cuda", NS_OP_CONVOLVE_WEIGHTS,
	     op->u.convolve.dtype == NS_F32 && op->u.convolve.c * sizes_of(&op->u.convolve.window).taps <= (int64_t)GEMM_TILE * 65535, 0,
	     weights_run);
NS_CUDA_IMPL(ns_cuda_pool_nd, "pool_nd/cuda", NS_OP_POOL_ND, 1, 0, pool_nd_run);
