/*
 * kernels/cuda/optim.cu - squared norm, SGD, AdamW, moving average, over all parameters in one launch each (the norm in
 * two). A thread takes four neighbours, as 16 bytes where the arrays allow it.
 */
#include "kernels/cuda/cuda.h"

extern "C" {
#include "kernels/formula/optim.h"
}

#define THREADS 256

static int aligned(const void *const *p, int count)
{
	uintptr_t bits = 0;
	int i;

	for (i = 0; i < count; i++)
		bits |= (uintptr_t)p[i];
	return bits % 16 == 0;
}

/* four neighbours of an array; nothing beyond its end is touched */
struct four {
	float v[4];
};

template <int WHOLE> static __device__ inline four load4(const float *p, int64_t i, int64_t n)
{
	four f;
	int j;

	if (WHOLE && i + 4 <= n) {
		float4 x = *(const float4 *)(p + i);

		f.v[0] = x.x;
		f.v[1] = x.y;
		f.v[2] = x.z;
		f.v[3] = x.w;
		return f;
	}
	for (j = 0; j < 4; j++)
		f.v[j] = i + j < n ? p[i + j] : 0.0f;
	return f;
}

template <int WHOLE> static __device__ inline void store4(float *p, int64_t i, int64_t n, const four &f)
{
	int j;

	if (WHOLE && i + 4 <= n) {
		*(float4 *)(p + i) = make_float4(f.v[0], f.v[1], f.v[2], f.v[3]);
		return;
	}
	for (j = 0; j < 4 && i + j < n; j++)
		p[i + j] = f.v[j];
}

static __device__ inline int64_t first_of_four()
{
	return ((int64_t)blockIdx.x * THREADS + threadIdx.x) * 4;
}

/* --- the norm: a block of threads a stretch of NS_NORM2_BLOCK, then the tree of ns_tree_sum() --- */

static __global__ void norm2_stretches(const float *x, int64_t n, double *partial)
{
	NS_SHARED(double, sums, [THREADS / 32]);
	int64_t at = (int64_t)blockIdx.x * NS_NORM2_BLOCK + threadIdx.x;
	double sum = 0;
	int i;

	for (i = 0; i < NS_NORM2_BLOCK / THREADS; i++, at += THREADS) {
		double t = at < n ? (double)x[at] : 0.0;

		sum += t * t;
	}
	sum = ns_warp_sum(sum);
	if (threadIdx.x % 32 == 0)
		sums[threadIdx.x / 32] = sum;
	__syncthreads();
	if (threadIdx.x == 0) {
		for (i = 1; i < THREADS / 32; i++)
			sum += sums[i];
		partial[blockIdx.x] = sum;
	}
}

/*
 * The tree whose left half is the largest power of two below n adds neighbours at doubling distance: each block reduces TREE
 * of them to one, until one is left.
 */
#define TREE 1024

static __global__ void tree_level(const double *x, int64_t n, double *out)
{
	NS_SHARED(double, s, [TREE]);
	int64_t first = (int64_t)blockIdx.x * TREE;
	int here = n - first < TREE ? (int)(n - first) : TREE, stride, i;

	for (i = (int)threadIdx.x; i < here; i += THREADS)
		s[i] = x[first + i];
	__syncthreads();
	for (stride = 1; stride < here; stride *= 2) {
		for (i = (int)threadIdx.x * 2 * stride; i + stride < here; i += THREADS * 2 * stride)
			s[i] += s[i + stride];
		__syncthreads();
	}
	if (threadIdx.x == 0)
		out[blockIdx.x] = s[0];
}

static enum ns_status norm2_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	int64_t n = ns_cuda_op(plan)->u.norm2.n;
	unsigned blocks = ns_cuda_blocks(n, NS_NORM2_BLOCK), left;
	double *x;
	cudaStream_t stream = ns_cuda_stream(queue);

	NS_LAUNCH(norm2_stretches, blocks, THREADS, 0, stream, (const float *)a->in[NS_NORM2_X], n, (double *)a->workspace);
	x = (double *)a->workspace;
	do { /* a level's sums are stored after its inputs */
		left = ns_cuda_blocks(blocks, TREE);
		NS_LAUNCH(tree_level, left, THREADS, 0, stream, (const double *)x, (int64_t)blocks,
			  left == 1 ? (double *)a->out[NS_NORM2_Y] : x + blocks);
		x += blocks;
		blocks = left;
	} while (left > 1);
	return ns_cuda_launched(plan);
}

/* --- SGD, AdamW --- */

static __device__ inline float clip_scale(const struct ns_op_optim &o, const double *norm2)
{
	return o.clip > 0 ? ns_clip_scale(*norm2, o.clip) : 1.0f;
}

template <int WHOLE>
static __global__ void sgd(const struct ns_op_optim o, const float *grad, const float *hyper, const double *norm2, float *w, float *m)
{
	int64_t i = first_of_four();
	float scale, lr;
	four g, fw, fm;
	int j;

	if (i >= o.n)
		return;
	scale = clip_scale(o, norm2);
	lr = hyper[NS_HYPER_LR];
	g = load4<WHOLE>(grad, i, o.n);
	fw = load4<WHOLE>(w, i, o.n);
	fm = load4<WHOLE>(m, i, o.n);
	for (j = 0; j < 4; j++)
		ns_sgd_element(fw.v + j, fm.v + j, g.v[j], scale, lr, o.momentum, i + j < o.n_decay ? o.weight_decay : 0.0f, o.nesterov);
	store4<WHOLE>(w, i, o.n, fw);
	store4<WHOLE>(m, i, o.n, fm);
}

static enum ns_status sgd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_optim *o = &ns_cuda_op(plan)->u.optim;
	const float *grad = (const float *)a->in[NS_OPTIM_GRAD], *hyper = (const float *)a->in[NS_OPTIM_HYPER];
	const double *norm2 = (const double *)a->in[NS_OPTIM_NORM2];
	float *w = (float *)a->out[NS_OPTIM_W], *m = (float *)a->out[NS_OPTIM_M];
	const void *all[] = {grad, w, m};
	unsigned blocks = ns_cuda_blocks(o->n, 4 * THREADS);

	if (aligned(all, 3))
		NS_LAUNCH(sgd<1>, blocks, THREADS, 0, ns_cuda_stream(queue), *o, grad, hyper, norm2, w, m);
	else
		NS_LAUNCH(sgd<0>, blocks, THREADS, 0, ns_cuda_stream(queue), *o, grad, hyper, norm2, w, m);
	return ns_cuda_launched(plan);
}

template <int WHOLE>
static __global__ void adamw(const struct ns_op_optim o, const float *grad, const float *hyper, const double *norm2, float *w, float *m, float *v)
{
	int64_t i = first_of_four();
	float scale, lr, c1, c2;
	four g, fw, fm, fv;
	int j;

	if (i >= o.n)
		return;
	scale = clip_scale(o, norm2);
	lr = hyper[NS_HYPER_LR];
	c1 = hyper[NS_HYPER_C1];
	c2 = hyper[NS_HYPER_C2];
	g = load4<WHOLE>(grad, i, o.n);
	fw = load4<WHOLE>(w, i, o.n);
	fm = load4<WHOLE>(m, i, o.n);
	fv = load4<WHOLE>(v, i, o.n);
	for (j = 0; j < 4; j++)
		ns_adamw_element(fw.v + j, fm.v + j, fv.v + j, g.v[j], scale, lr, o.beta1, o.beta2, c1, c2, o.eps,
				 i + j < o.n_decay ? o.weight_decay : 0.0f);
	store4<WHOLE>(w, i, o.n, fw);
	store4<WHOLE>(m, i, o.n, fm);
	store4<WHOLE>(v, i, o.n, fv);
}

static enum ns_status adamw_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_optim *o = &ns_cuda_op(plan)->u.optim;
	const float *grad = (const float *)a->in[NS_OPTIM_GRAD], *hyper = (const float *)a->in[NS_OPTIM_HYPER];
	const double *norm2 = (const double *)a->in[NS_OPTIM_NORM2];
	float *w = (float *)a->out[NS_OPTIM_W], *m = (float *)a->out[NS_OPTIM_M], *v = (float *)a->out[NS_OPTIM_V];
	const void *all[] = {grad, w, m, v};
	unsigned blocks = ns_cuda_blocks(o->n, 4 * THREADS);

	if (aligned(all, 4))
		NS_LAUNCH(adamw<1>, blocks, THREADS, 0, ns_cuda_stream(queue), *o, grad, hyper, norm2, w, m, v);
	else
		NS_LAUNCH(adamw<0>, blocks, THREADS, 0, ns_cuda_stream(queue), *o, grad, hyper, norm2, w, m, v);
	return ns_cuda_launched(plan);
}

/* --- y = a y + b x --- */

template <int WHOLE> static __global__ void ema(int64_t n, const float *x, const float *hyper, float *y)
{
	int64_t i = first_of_four();
	float a, b;
	four fx, fy;
	int j;

	if (i >= n)
		return;
	a = hyper[NS_HYPER_EMA_A];
	b = hyper[NS_HYPER_EMA_B];
	fx = load4<WHOLE>(x, i, n);
	fy = load4<WHOLE>(y, i, n);
	for (j = 0; j < 4; j++)
		fy.v[j] = a * fy.v[j] + b * fx.v[j];
	store4<WHOLE>(y, i, n, fy);
}

static enum ns_status ema_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	int64_t n = ns_cuda_op(plan)->u.ema.n;
	const float *x = (const float *)a->in[NS_EMA_X], *hyper = (const float *)a->in[NS_EMA_HYPER];
	float *y = (float *)a->out[NS_EMA_Y];
	const void *all[] = {x, y};
	unsigned blocks = ns_cuda_blocks(n, 4 * THREADS);

	if (aligned(all, 2))
		NS_LAUNCH(ema<1>, blocks, THREADS, 0, ns_cuda_stream(queue), n, x, hyper, y);
	else
		NS_LAUNCH(ema<0>, blocks, THREADS, 0, ns_cuda_stream(queue), n, x, hyper, y);
	return ns_cuda_launched(plan);
}

/* bytes of all levels: each has at most 1 / TREE of the one before, rounded up */
static size_t norm2_workspace(int64_t n)
{
	return ((size_t)(n / NS_NORM2_BLOCK + 1) / (TREE - 1) * TREE + TREE + 8) * sizeof(double);
}

NS_CUDA_IMPL(ns_cuda_norm2, "norm2/cuda", NS_OP_NORM2, 1, norm2_workspace(op->u.norm2.n), norm2_run);
NS_CUDA_IMPL(ns_cuda_sgd, "sgd/cuda", NS_OP_SGD, 1, 0, sgd_run);
NS_CUDA_IMPL(ns_cuda_adamw, "adamw/cuda", NS_OP_ADAMW, 1, 0, adamw_run);
NS_CUDA_IMPL(ns_cuda_ema, "ema/cuda", NS_OP_EMA, 1, 0, ema_run);
