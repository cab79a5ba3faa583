#include "kernels/op.h"

size_t ns_dtype_bytes(enum ns_dtype dtype)
{
	static const size_t bytes[] = {[NS_U8] = 1, [NS_F32] = 4, [NS_BF16] = 2, [NS_F64] = 8};

	return bytes[dtype];
}

const char *ns_op_name(enum ns_op_kind kind)
{
	static const char *const names[NS_OP_KINDS] = {
		[NS_OP_AUGMENT] = "augment",
		[NS_OP_STATS] = "stats",
		[NS_OP_CONV] = "conv",
		[NS_OP_CONV_TRAIN] = "conv_train",
		[NS_OP_CONV_BACKWARD] = "conv_backward",
		[NS_OP_REORDER] = "reorder",
		[NS_OP_POOL] = "pool",
		[NS_OP_POOL_BACKWARD] = "pool_backward",
		[NS_OP_LINEAR] = "linear",
		[NS_OP_LINEAR_BACKWARD] = "linear_backward",
		[NS_OP_XENT] = "xent",
		[NS_OP_HEAD] = "head",
		[NS_OP_NORM2] = "norm2",
		[NS_OP_SGD] = "sgd",
		[NS_OP_ADAMW] = "adamw",
		[NS_OP_EMA] = "ema",
		[NS_OP_KS] = "ks",
		[NS_OP_MMD] = "mmd",
	};

	return names[kind];
}

int ns_conv_p(const struct ns_conv *conv)
{
	return (conv->h + 2 * conv->pad - conv->r) / conv->stride + 1;
}

int ns_conv_q(const struct ns_conv *conv)
{
	return (conv->w + 2 * conv->pad - conv->s) / conv->stride + 1;
}

int ns_pool_p(const struct ns_pool *pool)
{
	return (pool->h + 2 * pool->pad - pool->r) / pool->stride + 1;
}

int ns_pool_q(const struct ns_pool *pool)
{
	return (pool->w + 2 * pool->pad - pool->s) / pool->stride + 1;
}
