/*
 * kernels/cuda/reduce.cu - over axes: sums, extremes and their kin; softmax and running sums along one; the largest of a row. Sums of floats go through a fixed tree of a
 * warp where many terms meet in few results; the rest is a thread a result, its terms in their order.
 */
#include "kernels/cuda/tensor.cuh"

extern "C" {
#include "kernels/formula/reduce.h"
}

#define WARPS 8 /* a block */

/* --- REDUCE --- */

static __global__ void reduce_any(const struct ns_op_reduce v, const strides kept, const strides gone, int64_t n, int64_t m, const void *x, void *y)
{
	NS_CUDA_EACH(i, n)
	{
		int64_t base = offset_in(kept, i), j;
		struct ns_seen s = {0, 0, 0, 0, 0};
		int whole = ns_reduce_is_whole(&v);

		for (j = 0; j < m; j++)
			if (whole)
				ns_reduce_add_whole(&v, &s, ns_typed_get_whole(x, v.dtype, base + offset_in(gone, j)));
			else
				ns_reduce_add(&v, &s, ns_typed_get(x, v.dtype, base + offset_in(gone, j)));
		if (v.how == NS_REDUCE_ARGMAX || v.how == NS_REDUCE_ARGMIN)
			((int64_t *)y)[i] = s.best;
		else if (whole)
			ns_typed_set_whole(y, v.dtype, i, m ? s.whole : ns_reduce_none(&v));
		else
			ns_typed_set(y, v.dtype, i, ns_reduce_result(&v, &s));
	}
}

/* A warp a result: each lane its own terms, then a tree. */
static __global__ void reduce_sum(const strides kept, const strides gone, int64_t n, int64_t m, int mean, const float *x, float *y)
{
	int lane = (int)(threadIdx.x % 32);

	for (int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32; i < n; i += (int64_t)gridDim.x * WARPS) {
		int64_t base = offset_in(kept, i), j;
		double sum = 0;

		for (j = lane; j < m; j += 32)
			sum += (double)x[base + offset_in(gone, j)];
		sum = ns_warp_sum(sum);
		if (!lane)
			y[i] = (float)(mean ? sum / (double)m : sum);
	}
}

static enum ns_status reduce_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_reduce *v = &ns_cuda_op(plan)->u.reduce;
	struct ns_box kept = v->in, gone = v->in;
	int64_t step[NS_RANK], n, m;
	int d;

	ns_box_strides(&v->in, step);
	for (d = 0; d < v->in.rank; d++)
		*(v->axes >> d & 1 ? &kept.dim[d] : &gone.dim[d]) = 1;
	n = ns_box_count(&kept);
	m = ns_box_count(&gone);
	if (v->dtype == NS_F32 && (v->how == NS_REDUCE_SUM || v->how == NS_REDUCE_MEAN) && m >= 32)
		NS_LAUNCH(reduce_sum, tensor_grid(n * 32), 32 * WARPS, 0, ns_cuda_stream(queue), strides_of(&kept, step), strides_of(&gone, step), n,
			  m, v->how == NS_REDUCE_MEAN, (const float *)a->in[NS_REDUCE_X], (float *)a->out[NS_REDUCE_Y]);
	else
		NS_LAUNCH(reduce_any, tensor_grid(n), TENSOR_THREADS, 0, ns_cuda_stream(queue), *v, strides_of(&kept, step), strides_of(&gone, step),
			  n, m, a->in[NS_REDUCE_X], a->out[NS_REDUCE_Y]);
	return ns_cuda_launched(plan);
}

/* --- ALONG --- */

/* A warp a row of f32: its maximum, its sum of exponentials, its values. */
static __global__ void softmax_f32(const struct ns_op_along v, int64_t rows, const float *x, float *y)
{
	int lane = (int)(threadIdx.x % 32);

	for (int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32; row < rows; row += (int64_t)gridDim.x * WARPS) {
		int64_t at = row / v.inner * v.n * v.inner + row % v.inner, j;
		float most = -INFINITY, sum = 0, t;

		for (j = lane; j < v.n; j += 32) {
			t = x[at + j * v.inner];
			most = t > most ? t : most;
		}
		most = ns_warp_max(most);
		for (j = lane; j < v.n; j += 32)
			sum += expf(x[at + j * v.inner] - most);
		sum = ns_warp_sum(sum);
		for (j = lane; j < v.n; j += 32) {
			t = x[at + j * v.inner] - most;
			y[at + j * v.inner] = v.how == NS_ALONG_LOGSOFTMAX ? t - logf(sum) : expf(t) / sum;
		}
	}
}

static __device__ void softmax_any(const struct ns_op_along &v, int64_t at, const void *x, void *y)
{
	double most = -INFINITY, sum = 0, t;
	int64_t j, best = 0;

	for (j = 0; j < v.n; j++) {
		t = ns_typed_get(x, v.dtype, at + j * v.inner);
		if (t > most) {
			most = t;
			best = j;
		}
	}
	for (j = 0; j < v.n; j++)
		sum += exp(ns_typed_get(x, v.dtype, at + j * v.inner) - most);
	for (j = 0; j < v.n; j++) {
		t = ns_typed_get(x, v.dtype, at + j * v.inner) - most;
		ns_typed_set(y, v.dtype, at + j * v.inner,
			     v.how == NS_ALONG_HARDMAX	    ? (double)(j == best)
			     : v.how == NS_ALONG_LOGSOFTMAX ? t - log(sum)
							    : exp(t) / sum);
	}
}

static __device__ void running_sum(const struct ns_op_along &v, int64_t first, const void *x, void *y)
{
	uint64_t whole = 0, w;
	double sum = 0, t;

	for (int64_t j = 0; j < v.n; j++) {
		int64_t at = first + (v.reverse ? v.n - 1 - j : j) * v.inner;

		if (ns_typed_is_float(v.dtype)) {
			t = ns_typed_get(x, v.dtype, at);
			ns_typed_set(y, v.dtype, at, v.exclusive ? sum : sum + t);
			sum += t;
		} else {
			w = (uint64_t)ns_typed_get_whole(x, v.dtype, at);
			ns_typed_set_whole(y, v.dtype, at, (int64_t)(v.exclusive ? whole : whole + w));
			whole += w;
		}
	}
}

static __global__ void along_any(const struct ns_op_along v, int64_t rows, const void *x, void *y)
{
	NS_CUDA_EACH(row, rows)
	{
		int64_t at = row / v.inner * v.n * v.inner + row % v.inner;

		if (v.how == NS_ALONG_CUMSUM)
			running_sum(v, at, x, y);
		else
			softmax_any(v, at, x, y);
	}
}

static enum ns_status along_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_along *v = &ns_cuda_op(plan)->u.along;
	int64_t rows = v->outer * v->inner;

	if (v->dtype == NS_F32 && (v->how == NS_ALONG_SOFTMAX || v->how == NS_ALONG_LOGSOFTMAX))
		NS_LAUNCH(softmax_f32, tensor_grid(rows * 32), 32 * WARPS, 0, ns_cuda_stream(queue), *v, rows, (const float *)a->in[NS_ALONG_X],
			  (float *)a->out[NS_ALONG_Y]);
	else
		NS_LAUNCH(along_any, tensor_grid(rows), TENSOR_THREADS, 0, ns_cuda_stream(queue), *v, rows, a->in[NS_ALONG_X], a->out[NS_ALONG_Y]);
	return ns_cuda_launched(plan);
}

/* --- TOPK: a thread a row, which keeps the sorted list of the first k --- */

static __device__ inline int before(const struct ns_op_topk &v, const void *x, int64_t at, int64_t i, int64_t j)
{
	double a, b;

	if (!ns_typed_is_float(v.dtype)) {
		int64_t p = ns_typed_get_whole(x, v.dtype, at + i * v.inner), q = ns_typed_get_whole(x, v.dtype, at + j * v.inner);

		if (v.dtype == NS_U64) { /* as signed numbers in the same order */
			p ^= INT64_MIN;
			q ^= INT64_MIN;
		}
		return p == q ? i < j : v.smallest ? p < q : p > q;
	}
	a = ns_typed_get(x, v.dtype, at + i * v.inner);
	b = ns_typed_get(x, v.dtype, at + j * v.inner);
	if (a == b || (a != a && b != b))
		return i < j;
	return v.smallest ? b != b || a < b : a != a || a > b;
}

static __global__ void topk(const struct ns_op_topk v, int64_t rows, const void *x, void *y, int64_t *which)
{
	NS_CUDA_EACH(row, rows)
	{
		int64_t at = row / v.inner * v.n * v.inner + row % v.inner, to = row / v.inner * v.k * v.inner + row % v.inner, j, m;

		for (j = 0; j < v.n; j++) {
			for (m = j < v.k ? j : v.k; m > 0 && before(v, x, at, j, which[to + (m - 1) * v.inner]); m--)
				if (m < v.k)
					which[to + m * v.inner] = which[to + (m - 1) * v.inner];
			if (m < v.k)
				which[to + m * v.inner] = j;
		}
		for (m = 0; m < v.k; m++) {
			int64_t from = at + which[to + m * v.inner] * v.inner;

			if (ns_typed_is_float(v.dtype))
				ns_typed_set(y, v.dtype, to + m * v.inner, ns_typed_get(x, v.dtype, from));
			else
				ns_typed_set_whole(y, v.dtype, to + m * v.inner, ns_typed_get_whole(x, v.dtype, from));
		}
	}
}

static enum ns_status topk_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_topk *v = &ns_cuda_op(plan)->u.topk;
	int64_t rows = v->outer * v->inner;

	NS_LAUNCH(topk, tensor_grid(rows), TENSOR_THREADS, 0, ns_cuda_stream(queue), *v, rows, a->in[NS_TOPK_X], a->out[NS_TOPK_VALUES],
		  (int64_t *)a->out[NS_TOPK_INDICES]);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_reduce, "reduce/cuda", NS_OP_REDUCE, 1, 0, reduce_run);
NS_CUDA_IMPL(ns_cuda_along, "along/cuda", NS_OP_ALONG, 1, 0, along_run);
NS_CUDA_IMPL(ns_cuda_topk, "topk/cuda", NS_OP_TOPK, 1, 0, topk_run);
