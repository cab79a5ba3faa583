/* kernels/cuda/tensor.cuh - what the ops on tensors of any shape share: places by strides, and a thread an element over any number of them. */
#ifndef NS_CUDA_TENSOR_H
#define NS_CUDA_TENSOR_H

#include "kernels/cuda/cuda.h"

extern "C" {
#include "kernels/formula/typed.h"
}

#define TENSOR_THREADS 256
#define TENSOR_BLOCKS  65535 /* threads go on to further elements */

/* for (i = ...; i < n; i += ...) over all threads of the grid */
#define NS_CUDA_EACH(i, n) for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (int64_t)gridDim.x * blockDim.x)

static inline unsigned tensor_grid(int64_t n)
{
	int64_t blocks = (n + TENSOR_THREADS - 1) / TENSOR_THREADS;

	return (unsigned)(blocks < 1 ? 1 : blocks < TENSOR_BLOCKS ? blocks : TENSOR_BLOCKS);
}

struct strides { /* a copy for kernels: of a box, and of what walks it */
	int rank;
	int64_t dim[NS_RANK], step[NS_RANK];
};

static inline strides strides_of(const struct ns_box *box, const int64_t *step)
{
	strides s = {box->rank, {0}, {0}};

	memcpy(s.dim, box->dim, sizeof s.dim);
	memcpy(s.step, step, sizeof s.step);
	return s;
}

/* The offset of element i of the box, row by row. */
static __device__ inline int64_t offset_in(const strides &s, int64_t i)
{
	int64_t to = 0;
	int d;

	for (d = s.rank - 1; d >= 0; d--) {
		to += i % s.dim[d] * s.step[d];
		i /= s.dim[d];
	}
	return to;
}

#endif
