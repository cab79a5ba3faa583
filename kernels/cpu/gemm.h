/* kernels/cpu/gemm.h - matrices of f32 in any strides, by oneDNN. */
#ifndef NS_CPU_GEMM_H
#define NS_CPU_GEMM_H

#include "kernels/backend.h"

struct ns_operand { /* element (i, j) at i * row + j * column; one of the two is 1, or there is one of those */
	const float *at;
	int64_t row, column;
};

/* c (m, n) dense in rows of ldc = a (m, k) b (k, n) + beta c */
enum ns_status ns_gemm(int64_t m, int64_t n, int64_t k, struct ns_operand a, struct ns_operand b, float beta, float *c, int64_t ldc);

#endif
