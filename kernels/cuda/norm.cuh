/*
 * kernels/cuda/norm.cuh - what surrounds a convolution in training, whoever computes the convolution: batch normalisation
 * with residual and ReLU, fused to as few passes over memory as its sums allow, forward and backward.
 *
 * Channels lie next to each other (NHWC): a warp reads 32 channels of a row. Rows are cut into stretches of NORM_ROWS, each
 * summed on its own (mean and squares about it, so that a large mean costs no digits), then put together in order in double
 * (Chan, Golub, LeVeque 1983).
 */
#ifndef NS_CUDA_NORM_H
#define NS_CUDA_NORM_H

#include "kernels/cuda/cuda.h"

#define NORM_ROWS 512
#define NORM_THREADS 256

/* bytes of scratch: two doubles a channel and stretch, two floats a channel */
static inline size_t norm_workspace(int64_t rows, int k)
{
	return ((size_t)ns_cuda_blocks(rows, NORM_ROWS) * 2 * sizeof(double) + 2 * sizeof(float)) * (size_t)k;
}

/* the thread's channel, and its first row of NORM_THREADS / 32 in the stretch */
static __device__ inline int channel_of()
{
	return (int)(blockIdx.x * 32 + threadIdx.x % 32);
}

/* sums over the rows of a stretch, for each of 32 channels; every thread gets its channel's */
static __device__ inline float over_rows(float x, float (&sums)[NORM_THREADS / 32][32])
{
	int lane = (int)(threadIdx.x % 32), i;
	float sum = 0;

	__syncthreads(); /* the last sums have been read */
	sums[threadIdx.x / 32][lane] = x;
	__syncthreads();
	for (i = 0; i < NORM_THREADS / 32; i++)
		sum += sums[i][lane];
	return sum;
}

/* mean and sum of squares about it, of each stretch */
template <class T> static __global__ void norm_moments(const T *z, int64_t rows, int k, double *partial)
{
	NS_SHARED(float, sums, [NORM_THREADS / 32][32]);
	int64_t begin = (int64_t)blockIdx.y * NORM_ROWS, end = begin + NORM_ROWS < rows ? begin + NORM_ROWS : rows, i;
	int c = channel_of();
	float sum = 0, mean, square = 0;

	for (i = begin + threadIdx.x / 32; c < k && i < end; i += NORM_THREADS / 32)
		sum += ns_load(z + i * k + c);
	mean = over_rows(sum, sums) / (float)(end - begin);
	for (i = begin + threadIdx.x / 32; c < k && i < end; i += NORM_THREADS / 32) {
		float d = ns_load(z + i * k + c) - mean;

		square += d * d;
	}
	square = over_rows(square, sums);
	if (threadIdx.x < 32 && c < k) {
		partial[((int64_t)blockIdx.y * k + c) * 2] = (double)mean;
		partial[((int64_t)blockIdx.y * k + c) * 2 + 1] = (double)square;
	}
}

struct norm_statistics {
	float *mean, *invstd, *sum_mean, *sum_var;
};

static __global__ void norm_together(const double *partial, int64_t rows, int k, float eps, norm_statistics s)
{
	int c = (int)(blockIdx.x * 32 + threadIdx.x);
	double n = 0, mean = 0, square = 0;
	int64_t at;

	if (c >= k)
		return;
	for (at = 0; at * NORM_ROWS < rows; at++) {
		double m = (double)((at + 1) * NORM_ROWS < rows ? NORM_ROWS : rows - at * NORM_ROWS), d = partial[(at * k + c) * 2] - mean;

		mean += d * m / (n + m);
		square += partial[(at * k + c) * 2 + 1] + d * d * n * m / (n + m);
		n += m;
	}
	s.mean[c] = (float)mean;
	s.invstd[c] = (float)(1 / sqrt(square / n + (double)eps));
	s.sum_mean[c] = (float)mean;
	s.sum_var[c] = (float)(rows > 1 ? square / (n - 1) : square / n);
}

/* y = relu((z - mean) * invstd * gamma + beta + residual), each part where it is there */
template <class T>
static __global__ void norm_apply(const T *z, const T *residual, const float *mean, const float *invstd, const float *gamma,
				  const float *beta, int relu, int64_t count, int k, T *y)
{
	int64_t i = (int64_t)blockIdx.x * NORM_THREADS + threadIdx.x;
	int c = (int)(i % k);
	float t;

	if (i >= count)
		return;
	t = (ns_load(z + i) - mean[c]) * (invstd[c] * gamma[c]) + beta[c];
	if (residual)
		t += ns_load(residual + i);
	ns_store(y + i, relu && !(t > 0) ? 0.0f : t);
}

template <class T> static void norm_forward(const struct ns_conv *v, const struct ns_args *a, void *workspace, cudaStream_t stream)
{
	int64_t rows = (int64_t)v->n * ns_conv_p(v) * ns_conv_q(v);
	norm_statistics s = {(float *)a->out[NS_CONV_MEAN], (float *)a->out[NS_CONV_INVSTD], (float *)a->out[NS_CONV_SUM_MEAN],
			     (float *)a->out[NS_CONV_SUM_VAR]};
	const T *z = (const T *)a->out[NS_CONV_Z], *residual = v->flags & NS_CONV_RESIDUAL ? (const T *)a->in[NS_CONV_RES] : NULL;
	double *partial = (double *)workspace;

	NS_LAUNCH(norm_moments<T>, dim3(ns_cuda_blocks(v->k, 32), ns_cuda_blocks(rows, NORM_ROWS)), NORM_THREADS, 0, stream, z, rows, v->k,
		  partial);
	NS_LAUNCH(norm_together, ns_cuda_blocks(v->k, 32), 32, 0, stream, (const double *)partial, rows, v->k, v->eps, s);
	NS_LAUNCH(norm_apply<T>, ns_cuda_blocks(rows * v->k, NORM_THREADS), NORM_THREADS, 0, stream, z, residual, (const float *)s.mean,
		  (const float *)s.invstd, (const float *)a->in[NS_CONV_GAMMA], (const float *)a->in[NS_CONV_BETA],
		  v->flags & NS_CONV_RELU ? 1 : 0, rows * v->k, v->k, (T *)a->out[NS_CONV_Y]);
}

/* --- backward (Ioffe, Szegedy 2015) --- */

struct norm_back { /* NULL: that part is not there */
	const void *dy, *dy2, *y, *z;
	const float *mean, *invstd, *gamma;
	void *dres;
	int64_t rows;
	int k;
};

/* the gradient behind the activation */
template <class T> static __device__ inline float unmasked(const norm_back &b, int64_t i)
{
	float g = ns_load((const T *)b.dy + i);

	if (b.dy2)
		g += ns_load((const T *)b.dy2 + i);
	return b.y && !(ns_load((const T *)b.y + i) > 0) ? 0.0f : g;
}

/* sums of g and g * xhat over each stretch; without a mean, of g alone */
template <class T> static __global__ void norm_back_sums(const norm_back b, double *partial)
{
	NS_SHARED(float, sums, [NORM_THREADS / 32][32]);
	int64_t begin = (int64_t)blockIdx.y * NORM_ROWS, end = begin + NORM_ROWS < b.rows ? begin + NORM_ROWS : b.rows, i;
	int c = channel_of(), live = c < b.k;
	float mean = live && b.mean ? b.mean[c] : 0.0f, invstd = live && b.mean ? b.invstd[c] : 0.0f, sum = 0, dot = 0;

	for (i = begin + threadIdx.x / 32; live && i < end; i += NORM_THREADS / 32) {
		float g = unmasked<T>(b, i * b.k + c);

		sum += g;
		if (b.mean)
			dot += g * ((ns_load((const T *)b.z + i * b.k + c) - mean) * invstd);
	}
	sum = over_rows(sum, sums);
	dot = over_rows(dot, sums);
	if (threadIdx.x < 32 && live) {
		partial[((int64_t)blockIdx.y * b.k + c) * 2] = (double)sum;
		partial[((int64_t)blockIdx.y * b.k + c) * 2 + 1] = (double)dot;
	}
}

static __global__ void norm_back_together(const double *partial, int64_t rows, int k, float *dbeta, float *dgamma, float *means)
{
	int c = (int)(blockIdx.x * 32 + threadIdx.x);
	double sum = 0, dot = 0;
	int64_t at;

	if (c >= k)
		return;
	for (at = 0; at * NORM_ROWS < rows; at++) {
		sum += partial[(at * k + c) * 2];
		dot += partial[(at * k + c) * 2 + 1];
	}
	dbeta[c] = (float)sum;
	if (dgamma)
		dgamma[c] = (float)dot;
	means[2 * c] = (float)(sum / (double)rows);
	means[2 * c + 1] = (float)(dot / (double)rows);
}

/* dz, and the residual's gradient; without normalisation dz is the gradient itself */
template <class T, class G> static __global__ void norm_back_apply(const norm_back b, const float *means, G *dz)
{
	int64_t i = (int64_t)blockIdx.x * NORM_THREADS + threadIdx.x;
	int c = (int)(i % b.k);
	float g;

	if (i >= b.rows * b.k)
		return;
	g = unmasked<T>(b, i);
	if (b.dres)
		ns_store((T *)b.dres + i, g);
	if (b.mean) {
		float xhat = (ns_load((const T *)b.z + i) - b.mean[c]) * b.invstd[c];

		g = b.gamma[c] * b.invstd[c] * (g - means[2 * c] - xhat * means[2 * c + 1]);
	}
	ns_store(dz + i, g);
}

/* everything between dy and dz; workspace of norm_workspace() */
template <class T, class G>
static void norm_backward(const struct ns_conv *v, const struct ns_args *a, void *workspace, G *dz, cudaStream_t stream)
{
	int64_t rows = (int64_t)v->n * ns_conv_p(v) * ns_conv_q(v);
	int norm = v->flags & NS_CONV_NORM ? 1 : 0;
	norm_back b = {a->in[NS_CONVB_DY],
		       v->flags & NS_CONV_DY2 ? a->in[NS_CONVB_DY2] : NULL,
		       v->flags & NS_CONV_RELU ? a->in[NS_CONVB_Y] : NULL,
		       a->in[NS_CONVB_Z],
		       norm ? (const float *)a->in[NS_CONVB_MEAN] : NULL,
		       (const float *)a->in[NS_CONVB_INVSTD],
		       (const float *)a->in[NS_CONVB_GAMMA],
		       v->flags & NS_CONV_RESIDUAL ? a->out[NS_CONVB_DRES] : NULL,
		       rows,
		       v->k};
	double *partial = (double *)workspace;
	float *means = (float *)(partial + 2 * (size_t)v->k * ns_cuda_blocks(rows, NORM_ROWS));

	if (norm || v->flags & NS_CONV_BIAS) {
		NS_LAUNCH(norm_back_sums<T>, dim3(ns_cuda_blocks(v->k, 32), ns_cuda_blocks(rows, NORM_ROWS)), NORM_THREADS, 0, stream, b,
			  partial);
		NS_LAUNCH(norm_back_together, ns_cuda_blocks(v->k, 32), 32, 0, stream, (const double *)partial, rows, v->k,
			  (float *)a->out[norm ? NS_CONVB_DBETA : NS_CONVB_DB], norm ? (float *)a->out[NS_CONVB_DGAMMA] : (float *)NULL, means);
	}
	NS_LAUNCH((norm_back_apply<T, G>), ns_cuda_blocks(rows * v->k, NORM_THREADS), NORM_THREADS, 0, stream, b, (const float *)means, dz);
}

#endif
