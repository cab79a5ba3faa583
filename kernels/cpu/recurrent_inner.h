/* kernels/cpu/recurrent_inner.h - what recurrent.c, which goes forward, and recurrent_back.c share. */
#ifndef NS_CPU_RECURRENT_INNER_H
#define NS_CPU_RECURRENT_INNER_H

#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm.h"
#include "kernels/formula/pointwise.h"

/* Up to sixteen elements from the j-th on of gate `which`, of H. */
#define AT(p, which) v16_load_f32((p) + (which)*H + j, lanes)

static inline int64_t gates(const struct ns_op_recurrent *v)
{
	return v->how == NS_RECURRENT_RNN ? 1 : v->how == NS_RECURRENT_GRU ? 3 : 4;
}

static inline void start(float *rows, int64_t n, int64_t width, const float *bias)
{
	int64_t i;

	for (i = 0; i < n; i++)
		if (bias)
			memcpy(rows + i * width, bias, sizeof *rows * (size_t)width);
		else
			memset(rows + i * width, 0, sizeof *rows * (size_t)width);
}

/* y (n, width) += x (n, depth) w' , w (width, depth) */
static inline enum ns_status times(float *y, int64_t n, int64_t width, int64_t ldy, const float *x, int64_t depth, const float *w)
{
	return ns_gemm(n, width, depth, (struct ns_operand){x, depth, 1}, (struct ns_operand){w, 1, depth}, 1, y, ldy);
}

/* With the usual activations, and without lengths, peepholes and clipping, which are left to ref. */
static inline int is_usual(const struct ns_op_recurrent *v)
{
	static const int usual[3][3] = {{NS_PW_TANH}, {NS_PW_SIGMOID, NS_PW_TANH}, {NS_PW_SIGMOID, NS_PW_TANH, NS_PW_TANH}};
	int k;

	for (k = 0; k <= v->how; k++)
		if (v->code[k] != usual[v->how][k])
			return 0;
	return !v->has[NS_RECURRENT_LENGTHS] && !v->has[NS_RECURRENT_P] && !(v->clip > 0) && !v->couple && v->t > 0 && v->n > 0 && v->i > 0;
}

#endif
