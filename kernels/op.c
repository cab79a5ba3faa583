#include "kernels/op.h"

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
		[NS_OP_POINTWISE] = "pointwise",
		[NS_OP_MOVE] = "move",
		[NS_OP_REDUCE] = "reduce",
		[NS_OP_CONTRACT] = "contract",
		[NS_OP_CONVOLVE] = "convolve",
		[NS_OP_CONVOLVE_WEIGHTS] = "convolve_weights",
		[NS_OP_CONVOLVE_THEN] = "convolve_then",
		[NS_OP_POOL_ND] = "pool_nd",
		[NS_OP_RESAMPLE] = "resample",
		[NS_OP_INDEX] = "index",
		[NS_OP_ALONG] = "along",
		[NS_OP_TOPK] = "topk",
		[NS_OP_RECURRENT] = "recurrent",
		[NS_OP_RECURRENT_BACK] = "recurrent_back",
		[NS_OP_CTC] = "ctc",
		[NS_OP_GRID] = "grid",
		[NS_OP_ROI] = "roi",
	};

	return names[kind];
}

int ns_op_conv_p(const struct ns_op_conv *conv)
{
	return (conv->h + 2 * conv->pad - conv->r) / conv->stride + 1;
}

int ns_op_conv_q(const struct ns_op_conv *conv)
{
	return (conv->w + 2 * conv->pad - conv->s) / conv->stride + 1;
}

int ns_op_pool_p(const struct ns_op_pool *pool)
{
	return (pool->h + 2 * pool->pad - pool->r) / pool->stride + 1;
}

int ns_op_pool_q(const struct ns_op_pool *pool)
{
	return (pool->w + 2 * pool->pad - pool->s) / pool->stride + 1;
}

/* --- valid shapes --- */

static enum ns_status wrong(const struct ns_op *op, const char *what, double found, const char *expected)
{
	return ns_fail(NS_INVALID, "%s: %s = %g, expected %s", ns_op_name(op->kind), what, found, expected);
}

/* Every size must be at least 1. */
static enum ns_status positive(const struct ns_op *op, const int *sizes, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (sizes[i] < 1)
			return wrong(op, "a size", sizes[i], "at least 1");
	return NS_OK;
}

/* A window of r x s with padding over h x w must overlap the image at every position and fit at least once. */
static enum ns_status window_fits(const struct ns_op *op, int h, int w, int r, int s, int pad)
{
	if (pad < 0 || pad >= (r < s ? r : s))
		return wrong(op, "padding", pad, "0 to the window's side less 1");
	if (r > h + 2 * pad || s > w + 2 * pad)
		return wrong(op, "the window", r > s ? r : s, "no larger than the padded image");
	return NS_OK;
}

static enum ns_status check_conv(const struct ns_op *op)
{
	const struct ns_op_conv *v = &op->u.conv;
	const int sizes[] = {v->n, v->h, v->w, v->c, v->k, v->r, v->s, v->stride};

	NS_TRY(positive(op, sizes, 8));
	if (v->flags & NS_CONV_BIAS && v->flags & NS_CONV_NORM)
		return wrong(op, "flags", v->flags, "bias or normalisation, not both");
	if (op->kind == NS_OP_CONV && v->flags & NS_CONV_NORM)
		return wrong(op, "flags", v->flags, "no normalisation: inference folds it into weights and bias");
	return window_fits(op, v->h, v->w, v->r, v->s, v->pad);
}

static enum ns_status check_pool(const struct ns_op *op)
{
	const struct ns_op_pool *v = &op->u.pool;
	const int sizes[] = {v->n, v->h, v->w, v->c, v->r, v->s, v->stride};

	NS_TRY(positive(op, sizes, 7));
	if (v->mode == NS_POOL_MAX && v->r * v->s > 256)
		return wrong(op, "the window's pixels", v->r * v->s, "at most 256: the index of the maximum is one byte");
	return window_fits(op, v->h, v->w, v->r, v->s, v->pad);
}

static enum ns_status check_image(const struct ns_op *op, int n, int h, int w, int c)
{
	const int sizes[] = {n, h, w, c};

	NS_TRY(positive(op, sizes, 4));
	return c == 1 || c == 3 ? NS_OK : wrong(op, "channels", c, "1 or 3");
}

static enum ns_status check_flat(const struct ns_op *op, int64_t n, int64_t decay)
{
	if (n < 1)
		return wrong(op, "n", (double)n, "at least 1");
	return decay < 0 || decay > n ? wrong(op, "n_decay", (double)decay, "0 to n") : NS_OK;
}

enum ns_status ns_op_check(const struct ns_op *op)
{
	switch (op->kind) {
	case NS_OP_CONV:
	case NS_OP_CONV_TRAIN:
	case NS_OP_CONV_BACKWARD:
		return check_conv(op);
	case NS_OP_POOL:
	case NS_OP_POOL_BACKWARD:
		return check_pool(op);
	case NS_OP_AUGMENT:
		NS_TRY(check_image(op, op->u.augment.n, op->u.augment.h, op->u.augment.w, op->u.augment.c));
		return check_image(op, op->u.augment.n, op->u.augment.p, op->u.augment.q, op->u.augment.c);
	case NS_OP_STATS:
		return check_image(op, op->u.stats.n, op->u.stats.h, op->u.stats.w, op->u.stats.c);
	case NS_OP_NORM2:
		return check_flat(op, op->u.norm2.n, 0);
	case NS_OP_EMA:
		return check_flat(op, op->u.ema.n, 0);
	case NS_OP_SGD:
	case NS_OP_ADAMW:
		return check_flat(op, op->u.optim.n, op->u.optim.n_decay);
	case NS_OP_LINEAR:
	case NS_OP_LINEAR_BACKWARD:
		return positive(op, (const int[]){op->u.linear.n, op->u.linear.d, op->u.linear.k}, 3);
	case NS_OP_XENT:
		if (op->u.xent.focal != 0 && (!(op->u.xent.focal > 0) || op->u.xent.soft || op->u.xent.smoothing != 0))
			return wrong(op, "focal", (double)op->u.xent.focal, "more than 0, of labels without smoothing");
		return positive(op, (const int[]){op->u.xent.n, op->u.xent.k}, 2);
	case NS_OP_HEAD:
		NS_TRY(positive(op, (const int[]){op->u.head.n, op->u.head.k}, 2));
		return op->u.head.temperature > 0 ? NS_OK : wrong(op, "temperature", (double)op->u.head.temperature, "more than 0");
	case NS_OP_KS:
		return op->u.ks.m < 1 || op->u.ks.n < 1 || op->u.ks.d < 1 ? wrong(op, "rows or columns", 0, "at least 1") : NS_OK;
	case NS_OP_MMD:
		if (op->u.mmd.m < 1 || op->u.mmd.n < 1 || op->u.mmd.d < 1 || op->u.mmd.permutations < 0)
			return wrong(op, "rows, columns or permutations", 0, "at least 1");
		if (op->u.mmd.row_begin < 0 || op->u.mmd.row_begin > op->u.mmd.row_end || op->u.mmd.row_end > op->u.mmd.m + op->u.mmd.n)
			return wrong(op, "row_end", (double)op->u.mmd.row_end, "row_begin to m + n");
		if (op->u.mmd.blocks &&
		    (op->u.mmd.ref_blocks < 1 || op->u.mmd.ref_blocks >= op->u.mmd.blocks || op->u.mmd.blocks > op->u.mmd.m + op->u.mmd.n))
			return wrong(op, "ref_blocks", (double)op->u.mmd.ref_blocks, "1 to blocks - 1, and no more blocks than rows");
		return NS_OK;
	case NS_OP_REORDER:
		return positive(op, (const int[]){op->u.reorder.k, op->u.reorder.r, op->u.reorder.s, op->u.reorder.c}, 4);
	case NS_OP_KINDS:
		break;
	default:
		return ns_tensor_check(op);
	}
	return ns_fail(NS_INVALID, "op kind %d is unknown", (int)op->kind);
}
