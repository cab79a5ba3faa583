/*
 * kernels/cuda/loss.cu - softmax cross-entropy with its gradient, and the prediction head: a warp a row, exponentials in
 * float, sums and logarithms in double.
 */
#include "kernels/cuda/cuda.h"

extern "C" {
#include "kernels/formula/loss.h"
}

#define ROWS 4 /* warps of a block */

/* index of the largest of x[0..k), the lowest where several are; NaN never wins */
template <class T> static __device__ inline int largest(const T *x, int k)
{
	int lane = (int)(threadIdx.x % 32), j, d, best = -1;
	float top = 0;

	for (j = lane; j < k; j += 32) {
		float v = ns_load(x + j);

		if (best < 0 || v > top) {
			top = v;
			best = j;
		}
	}
	for (d = 16; d; d /= 2) {
		float other = __shfl_xor_sync(NS_WARP, top, d);
		int at = __shfl_xor_sync(NS_WARP, best, d);

		if (at >= 0 && (best < 0 || other > top || (!(top > other) && at < best))) {
			top = other;
			best = at;
		}
	}
	return best;
}

/* log of the sum of exp(x / over), given the largest; the same in every lane */
template <class T> static __device__ inline double log_sum_exp(const T *x, int k, float top, float over)
{
	double sum = 0;
	int j;

	for (j = (int)(threadIdx.x % 32); j < k; j += 32)
		sum += exp(((double)ns_load(x + j) - (double)top) / (double)over);
	return (double)top / (double)over + log(ns_warp_sum(sum));
}

static __device__ inline double target_of(const struct ns_op_xent &v, const float *soft, const float *weights, int want, int j)
{
	double hard = v.soft ? (double)soft[j] : (double)(want == j), t = (1 - (double)v.smoothing) * hard + (double)v.smoothing / v.k;

	return v.weighted ? t * (double)weights[j] : t;
}

/* a row's loss and hit go to partial[row] and partial[n + row] */
template <class T>
static __global__ void xent(const struct ns_op_xent v, const T *x, const void *targets, const float *weights, T *dx, double *partial)
{
	int row = (int)(blockIdx.x * ROWS + threadIdx.x / 32), lane = (int)(threadIdx.x % 32), j, top, off, want;
	const float *soft = (const float *)targets + (int64_t)row * v.k;
	double lse, loss = 0, all = 1, slope = 1;

	if (row >= v.n)
		return; /* a whole warp leaves */
	x += (int64_t)row * v.k;
	dx += (int64_t)row * v.k;
	top = largest(x, v.k);
	lse = log_sum_exp(x, v.k, ns_load(x + top), 1.0f);
	want = v.soft ? largest(soft, v.k) : ((const int32_t *)targets)[row];
	off = want < 0;
	if (v.weighted) {
		for (all = 0, j = lane; j < v.k; j += 32)
			all += target_of(v, soft, weights, want, j);
		all = ns_warp_sum(all);
	}
	if (v.focal > 0 && !off)
		slope = ns_focal_slope((double)ns_load(x + want) - lse, (double)v.focal);
	for (j = lane; j < v.k; j += 32) {
		double logit = (double)ns_load(x + j), t = target_of(v, soft, weights, want, j);

		loss -= off || t == 0 ? 0 : t * (logit - lse); /* 0 * -infinity is 0 here */
		ns_store(dx + j, off ? 0.0f : (float)((double)v.scale * slope * (exp(logit - lse) * all - t)));
	}
	loss = ns_warp_sum(loss);
	if (v.focal > 0 && !off)
		loss *= ns_focal((double)ns_load(x + want) - lse, (double)v.focal);
	if (lane == 0) {
		partial[row] = loss;
		partial[v.n + row] = top == want;
	}
}

/* Both sums in one block: threads add rows in turn, then a tree adds the threads' sums. */
static __global__ void sum_rows(const double *partial, int n, float *loss, float *hits)
{
	NS_SHARED(double, sums, [2][256]);
	double a = 0, b = 0;
	int i, d;

	for (i = (int)threadIdx.x; i < n; i += 256) {
		a += partial[i];
		b += partial[n + i];
	}
	sums[0][threadIdx.x] = a;
	sums[1][threadIdx.x] = b;
	for (d = 128; d; d /= 2) {
		__syncthreads();
		if ((int)threadIdx.x < d) {
			sums[0][threadIdx.x] += sums[0][threadIdx.x + d];
			sums[1][threadIdx.x] += sums[1][threadIdx.x + d];
		}
	}
	if (threadIdx.x == 0) {
		*loss = (float)sums[0][0];
		*hits = (float)sums[1][0];
	}
}

static enum ns_status xent_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_xent *v = &ns_cuda_op(plan)->u.xent;
	cudaStream_t stream = ns_cuda_stream(queue);
	double *partial = (double *)a->workspace;
	unsigned blocks = ns_cuda_blocks(v->n, ROWS);

	if (v->dtype == NS_BF16)
		NS_LAUNCH(xent<ns_bf16>, blocks, 32 * ROWS, 0, stream, *v, (const ns_bf16 *)a->in[NS_XENT_X], a->in[NS_XENT_T],
			  (const float *)a->in[NS_XENT_WEIGHTS], (ns_bf16 *)a->out[NS_XENT_DX], partial);
	else
		NS_LAUNCH(xent<float>, blocks, 32 * ROWS, 0, stream, *v, (const float *)a->in[NS_XENT_X], a->in[NS_XENT_T],
			  (const float *)a->in[NS_XENT_WEIGHTS], (float *)a->out[NS_XENT_DX], partial);
	NS_LAUNCH(sum_rows, 1, 256, 0, stream, (const double *)partial, v->n, (float *)a->out[NS_XENT_LOSS], (float *)a->out[NS_XENT_HITS]);
	return ns_cuda_launched(plan);
}

static __global__ void head(const struct ns_op_head v, const float *x, float *prob, int32_t *pred, float *entropy, float *margin)
{
	int row = (int)(blockIdx.x * ROWS + threadIdx.x / 32), lane = (int)(threadIdx.x % 32), j, best;
	double lse, h = 0;
	float second = 0, first = 0;

	if (row >= v.n)
		return;
	x += (int64_t)row * v.k;
	prob += (int64_t)row * v.k;
	best = largest(x, v.k);
	lse = log_sum_exp(x, v.k, x[best], v.temperature);
	for (j = lane; j < v.k; j += 32) {
		double lp = (double)x[j] / (double)v.temperature - lse, p = exp(lp);
		float rounded = (float)p;

		prob[j] = rounded;
		h -= p * lp;
		if (j == best)
			first = rounded;
		else if (rounded > second)
			second = rounded;
	}
	h = ns_warp_sum(h);
	first = ns_warp_max(first);
	second = ns_warp_max(second);
	if (lane == 0) {
		pred[row] = best;
		entropy[row] = (float)h;
		margin[row] = (float)((double)first - (double)second);
	}
}

static enum ns_status head_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_head *v = &ns_cuda_op(plan)->u.head;

	NS_LAUNCH(head, ns_cuda_blocks(v->n, ROWS), 32 * ROWS, 0, ns_cuda_stream(queue), *v, (const float *)a->in[NS_HEAD_X],
		  (float *)a->out[NS_HEAD_PROB], (int32_t *)a->out[NS_HEAD_PRED], (float *)a->out[NS_HEAD_ENTROPY], (float *)a->out[NS_HEAD_MARGIN]);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_xent, "xent/cuda", NS_OP_XENT, op->u.xent.dtype != NS_F64, 2 * (size_t)op->u.xent.n * sizeof(double), xent_run);
NS_CUDA_IMPL(ns_cuda_head, "head/cuda", NS_OP_HEAD, 1, 0, head_run);
