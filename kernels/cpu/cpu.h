/* kernels/cpu/cpu.h - one core: oneDNN for convolutions, vectors of 16 floats for the rest, over ref. */
#ifndef NS_CPU_H
#define NS_CPU_H

#include "kernels/backend.h"
#include "kernels/cpu/dnnl.h"

struct ns_cpu { /* a device */
	struct ns_device base;
	struct ns_dnnl *dnnl;
};

extern const struct ns_impl ns_cpu_augment, ns_cpu_stats, ns_cpu_conv, ns_cpu_conv_train, ns_cpu_conv_backward, ns_cpu_reorder, ns_cpu_pool,
	ns_cpu_pool_backward, ns_cpu_linear, ns_cpu_linear_backward, ns_cpu_xent, ns_cpu_head, ns_cpu_norm2, ns_cpu_sgd, ns_cpu_adamw, ns_cpu_ema,
	ns_cpu_ks, ns_cpu_mmd, ns_cpu_contract, ns_cpu_convolve, ns_cpu_convolve_last, ns_cpu_winograd, ns_cpu_convolve_then, ns_cpu_depthwise,
	ns_cpu_convolve_weights, ns_cpu_pointwise, ns_cpu_move, ns_cpu_reduce, ns_cpu_pool_nd, ns_cpu_along, ns_cpu_resample, ns_cpu_recurrent,
	ns_cpu_recurrent_back, ns_cpu_index;

static inline const struct ns_op *ns_cpu_op(const struct ns_plan *plan)
{
	return &((const struct ns_plain_plan *)plan)->op;
}

#endif
