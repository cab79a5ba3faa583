/* kernels/cuda/convert.cuh - values from one type to another, 8 a thread where the arrays allow it. */
#ifndef NS_CUDA_CONVERT_H
#define NS_CUDA_CONVERT_H

#include "kernels/cuda/cuda.h"

#define CONVERT_THREADS 256

template <class F, class T, int V> static __global__ void convert(const F *x, T *y, int64_t n)
{
	int64_t i = ((int64_t)blockIdx.x * CONVERT_THREADS + threadIdx.x) * V;
	float t[V];

	if (i >= n)
		return;
	ns_load_many<V>(x + i, t);
	ns_store_many<V>(y + i, t);
}

template <class F, class T> static void launch_convert(const F *x, T *y, int64_t n, cudaStream_t stream)
{
	const void *all[] = {x, y};

	if (ns_cuda_together(n, all, 2) == 8)
		NS_LAUNCH((convert<F, T, 8>), ns_cuda_blocks(n, 8 * CONVERT_THREADS), CONVERT_THREADS, 0, stream, x, y, n);
	else
		NS_LAUNCH((convert<F, T, 1>), ns_cuda_blocks(n, CONVERT_THREADS), CONVERT_THREADS, 0, stream, x, y, n);
}

#endif
