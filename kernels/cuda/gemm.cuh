/*
 * kernels/cuda/gemm.cuh - c(i, j) = sum over t of a(i, t) * b(t, j) in float, for operands that are functions, as a
 * convolution or a linear layer gathers them. 32 x 32 outputs a block, four a thread, tiles of 32 terms through shared memory;
 * terms are added in order, so the bits do not depend on the tiling of i and j.
 *
 * An operand is a struct of plain values with  __device__ float at(int64_t row, int64_t column) const.
 * A result is one with                         __device__ void put(int64_t i, int64_t j, float sum) const.
 */
#ifndef NS_CUDA_GEMM_H
#define NS_CUDA_GEMM_H

#include "kernels/cuda/cuda.h"

#define GEMM_TILE    32
#define GEMM_THREADS 256

template <class A, class B, class C> static __device__ void gemm_block(const A &a, const B &b, const C &c, int64_t m, int64_t n, int64_t terms)
{
	/* one more column, so that neither rows nor columns have bank conflicts */
	NS_SHARED(float, as, [GEMM_TILE][GEMM_TILE + 1]);
	NS_SHARED(float, bs, [GEMM_TILE][GEMM_TILE + 1]);
	int x = (int)(threadIdx.x % GEMM_TILE), y = (int)(threadIdx.x / GEMM_TILE), k, t;
	int64_t i0 = (int64_t)blockIdx.x * GEMM_TILE, j0 = (int64_t)blockIdx.y * GEMM_TILE, t0;
	float sum[4] = {0, 0, 0, 0};

	for (t0 = 0; t0 < terms; t0 += GEMM_TILE) {
		for (k = 0; k < 4; k++) {
			int64_t row = y + 8 * k;

			as[row][x] = i0 + row < m && t0 + x < terms ? a.at(i0 + row, t0 + x) : 0.0f;
			bs[row][x] = t0 + row < terms && j0 + x < n ? b.at(t0 + row, j0 + x) : 0.0f;
		}
		__syncthreads();
		for (t = 0; t < GEMM_TILE; t++)
			for (k = 0; k < 4; k++)
				sum[k] = fmaf(as[y + 8 * k][t], bs[t][x], sum[k]);
		__syncthreads();
	}
	for (k = 0; k < 4; k++)
		if (i0 + y + 8 * k < m && j0 + x < n)
			c.put(i0 + y + 8 * k, j0 + x, sum[k]);
}

template <class A, class B, class C> static __global__ void gemm(const A a, const B b, const C c, int64_t m, int64_t n, int64_t terms)
{
	gemm_block(a, b, c, m, n, terms);
}

/* One of many products: the third axis of the grid, from z on. Operands and result have  __device__ void go(int64_t z), which goes to those of product z. */
template <class A, class B, class C> static __global__ void gemm_many(A a, B b, C c, int64_t m, int64_t n, int64_t terms, int64_t z)
{
	z += (int64_t)blockIdx.z;
	a.go(z);
	b.go(z);
	c.go(z);
	gemm_block(a, b, c, m, n, terms);
}

template <class A, class B, class C>
static inline void launch_gemm_many(const A &a, const B &b, const C &c, int64_t m, int64_t n, int64_t terms, int64_t many, cudaStream_t stream)
{
	int64_t z, most = 65535;

	for (z = 0; z < many; z += most)
		NS_LAUNCH((gemm_many<A, B, C>),
			  dim3(ns_cuda_blocks(m, GEMM_TILE), ns_cuda_blocks(n, GEMM_TILE), (unsigned)(many - z < most ? many - z : most)),
			  GEMM_THREADS, 0, stream, a, b, c, m, n, terms, z);
}

template <class A, class B, class C>
static inline void launch_gemm(const A &a, const B &b, const C &c, int64_t m, int64_t n, int64_t terms, cudaStream_t stream)
{
	NS_LAUNCH((gemm<A, B, C>), dim3(ns_cuda_blocks(m, GEMM_TILE), ns_cuda_blocks(n, GEMM_TILE)), GEMM_THREADS, 0, stream, a, b, c, m, n, terms);
}

/* --- operands that many share --- */

struct gemm_rows { /* p[row * width + column] */
	const float *p;
	int64_t width;
	__device__ float at(int64_t i, int64_t j) const
	{
		return p[i * width + j];
	}
};

struct gemm_columns { /* the transpose of it */
	const float *p;
	int64_t width;
	__device__ float at(int64_t i, int64_t j) const
	{
		return p[j * width + i];
	}
};

struct gemm_store { /* c[i * width + j], with bias[j] where there is one */
	float *p;
	const float *bias;
	int64_t width;
	__device__ void put(int64_t i, int64_t j, float sum) const
	{
		p[i * width + j] = bias ? sum + bias[j] : sum;
	}
};

struct gemm_store_many { /* one c[i * width + j] behind the other */
	float *p;
	int64_t width, each;
	__device__ void go(int64_t z)
	{
		p += z * each;
	}
	__device__ void put(int64_t i, int64_t j, float sum) const
	{
		p[i * width + j] = sum;
	}
};

/* out[j] = sum of p(rows, width) over its rows, in order: a thread a column, four partial sums */
static __global__ void column_sums(const float *p, int64_t rows, int width, float *out)
{
	int j = (int)(blockIdx.x * 32 + threadIdx.x), k;
	float sum[4] = {0, 0, 0, 0};
	int64_t i;

	if (j >= width)
		return;
	for (i = 0; i < rows; i += 4)
		for (k = 0; k < 4; k++)
			sum[k] += i + k < rows ? p[(i + k) * width + j] : 0.0f;
	out[j] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static inline void launch_column_sums(const float *p, int64_t rows, int width, float *out, cudaStream_t stream)
{
	NS_LAUNCH(column_sums, ns_cuda_blocks(width, 32), 32, 0, stream, p, rows, width, out);
}

#endif
