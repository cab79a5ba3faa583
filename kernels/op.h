/*
 * kernels/op.h - the ops, their shapes and their arguments.
 *
 * Tensors are dense and row-major, images and activations NHWC. Convolution weights in canonical layout
 * are OHWI (K,R,S,C) f32; a plan may ask for another layout, see struct ns_layout. `dtype` is the type of
 * activations (x, y, and their gradients); parameters, statistics and their gradients are f32 (f64 where
 * dtype is NS_F64, which only ref computes: gradients are checked in it).
 */
#ifndef NS_OP_H
#define NS_OP_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"
#include "kernels/tensor.h"

enum ns_op_kind {
	NS_OP_AUGMENT,
	NS_OP_STATS,
	NS_OP_CONV,
	NS_OP_CONV_TRAIN,
	NS_OP_CONV_BACKWARD,
	NS_OP_REORDER,
	NS_OP_POOL,
	NS_OP_POOL_BACKWARD,
	NS_OP_LINEAR,
	NS_OP_LINEAR_BACKWARD,
	NS_OP_XENT,
	NS_OP_HEAD,
	NS_OP_NORM2,
	NS_OP_SGD,
	NS_OP_ADAMW,
	NS_OP_EMA,
	NS_OP_KS,
	NS_OP_MMD,
	NS_OP_POINTWISE, /* from here on: kernels/tensor.h */
	NS_OP_MOVE,
	NS_OP_REDUCE,
	NS_OP_CONTRACT,
	NS_OP_CONVOLVE,
	NS_OP_CONVOLVE_WEIGHTS,
	NS_OP_CONVOLVE_THEN,
	NS_OP_POOL_ND,
	NS_OP_RESAMPLE,
	NS_OP_INDEX,
	NS_OP_ALONG,
	NS_OP_TOPK,
	NS_OP_RECURRENT,
	NS_OP_RECURRENT_BACK,
	NS_OP_CTC,
	NS_OP_GRID,
	NS_OP_ROI,
	NS_OP_KINDS
};

/* "conv_train" for NS_OP_CONV_TRAIN: the part of an implementation's name before the slash. */
const char *ns_op_name(enum ns_op_kind kind);

/*
 * The layout of weights. native == NULL: canonical OHWI of `dtype`. Otherwise a layout of the backend's own,
 * which it compares and converts with NS_OP_REORDER; it lives as long as the plan that showed it.
 */
struct ns_layout {
	size_t bytes;
	enum ns_dtype dtype;
	const void *native;
};

/*
 * NS_INVALID, with the op and the number that is wrong, for invalid shapes: sizes below 1, windows that do not
 * fit, padding as wide as a window, flags that exclude each other. Every ns_plan_make() calls this first.
 */
struct ns_op;
enum ns_status ns_op_check(const struct ns_op *op);

enum {			     /* flags of the convolutions */
       NS_CONV_BIAS = 1,     /* y = ... + bias[k]; not with NORM, which has its own shift */
       NS_CONV_NORM = 2,     /* batch normalisation over N,H,W (training only: folded for inference) */
       NS_CONV_RELU = 4,     /* max(0, .) last */
       NS_CONV_RESIDUAL = 8, /* + residual, same shape as y, before the ReLU */
       NS_CONV_NO_DX = 16,   /* backward: the input's gradient is not computed (first layer) */
       NS_CONV_DY2 = 32	     /* backward: the gradient arrives as the sum of two tensors */
};

/* x (N,H,W,C) -> y (N,P,Q,K), P = (H + 2 pad - R) / stride + 1, likewise Q. Cross-correlation, as usual. */
struct ns_op_conv {
	int n, h, w, c, k, r, s, stride, pad;
	unsigned flags;
	float eps; /* of the normalisation */
	enum ns_dtype dtype;
};

int ns_op_conv_p(const struct ns_op_conv *conv);
int ns_op_conv_q(const struct ns_op_conv *conv);

enum { NS_POOL_MAX, NS_POOL_AVG };

/* x (N,H,W,C) -> y (N,P,Q,C). Average divides by the pixels inside the image. Max stores the index of the maximum. */
struct ns_op_pool {
	int n, h, w, c, r, s, stride, pad, mode;
	int dy2; /* backward: gradient as the sum of two tensors */
	enum ns_dtype dtype, out_dtype;
};

int ns_op_pool_p(const struct ns_op_pool *pool);
int ns_op_pool_q(const struct ns_op_pool *pool);

struct ns_op_linear {
	int n, d, k;
	enum ns_dtype dtype; /* F32 or F64 */
};

/*
 * Softmax cross-entropy of N rows over K classes; target t = (1 - smoothing) * onehot or soft + smoothing / K.
 * loss[0] = sum of the rows' losses, hits[0] = rows whose largest logit is the (largest) target;
 * dx = scale * (softmax - t). Rows with a label < 0 add nothing and get no gradient.
 * weighted: t is multiplied by its class's weight, as PyTorch's cross_entropy does; dx = scale * (softmax * (sum of t) - t).
 * focal > 0, of labels without smoothing: a row's loss is multiplied by (1 - p)^focal, p its label's probability (Lin et al. 2017).
 */
struct ns_op_xent {
	int n, k;
	int soft; /* targets are (N,K) f32 instead of labels i32 (N) */
	float smoothing, scale;
	enum ns_dtype dtype;
	int weighted; /* in[NS_XENT_WEIGHTS]: f32 (K) */
	float focal;
};

/*
 * Prediction head: prob = softmax(logits / temperature), pred = argmax (lowest index on a tie),
 * entropy in nats, margin = largest minus second largest probability.
 */
struct ns_op_head {
	int n, k;
	float temperature;
};

/*
 * Optimisers over the flat array of all parameters. hyper (f32, device): see NS_HYPER_*. norm2 (f64) is the
 * squared norm of the gradient; the gradient is scaled by min(1, clip / sqrt(norm2)) where clip > 0.
 * Weight decay applies to the first n_decay elements.
 *	SGD:   g = grad * s + wd * w;  m = mu * m + g;  w -= lr * (nesterov ? g + mu * m : m)
 *	AdamW: w -= lr * wd * w;  m,v as usual;  w -= lr * (m / c1) / (sqrt(v / c2) + eps)   (Loshchilov, Hutter 2019)
 */
struct ns_op_optim {
	int64_t n, n_decay;
	float momentum, beta1, beta2, eps, weight_decay, clip;
	int nesterov;
};
enum { NS_HYPER_LR, NS_HYPER_C1, NS_HYPER_C2, NS_HYPER_EMA_A, NS_HYPER_EMA_B, NS_HYPER_COUNT };

/* y = a * y + b * x over n elements, a and b read from hyper: EMA of weights, running statistics. */
struct ns_op_ema {
	int64_t n;
};

struct ns_op_norm2 { /* sum of squares in f64: blocks of NS_NORM2_BLOCK, then a binary tree over the blocks */
	int64_t n;
};
#define NS_NORM2_BLOCK 4096

/* x (N,H,W,C) u8 -> y (N,P,Q,C) u8, or normalised f32 / bf16. */
struct ns_augment_config; /* kernels/formula/augment.h */
struct ns_op_augment {
	int n, h, w, c, p, q;
	enum ns_dtype out_dtype;
	float scale[4], shift[4]; /* y = u8 * scale[c] + shift[c], two roundings */
	const struct ns_augment_config *config;
};

/* Image statistics, f32 (N, NS_STAT_COUNT), see kernels/formula/stats.h. */
struct ns_op_stats {
	int n, h, w, c;
};

/* ref (M,D), cur (N,D) f32 -> d[D] f64, the two-sample Kolmogorov-Smirnov statistic of each column. */
struct ns_op_ks {
	int64_t m, n;
	int d;
};

/*
 * MMD^2 (maximum mean discrepancy) of ref (M,D) and cur (N,D) under RBF kernel exp(-gamma d^2) or, with `distance`, under
 * 1 - gamma d (0 from 1 / gamma on), which makes it gamma times the energy distance (Sejdinovic et al. 2013); observed and for
 * `permutations` random permutations keyed (seed, p). The kernel matrix is quantised to NS_MMD_ONE steps, so all sums are
 * integers and equal for any tile or rank. Rows [row_begin, row_end) of the pooled matrix are summed here; the
 * caller adds the outputs of all parts: out q[p] = w_p' K w_p, s[p] = r' w_p (i64, p = 0 observed), total S.
 *
 * With `blocks`, rows that belong together stay together: in[NS_MMD_BLOCK] (M + N, i32) is each row's block below `blocks`, the
 * first `ref_blocks` of which are the reference's, and blocks are permuted; how many rows are in group X then differs.
 */
struct ns_op_mmd {
	int64_t m, n, row_begin, row_end;
	int d, permutations;
	uint64_t seed;
	float gamma;
	int distance;
	int64_t ref_blocks, blocks; /* 0: each row by itself */
};
#define NS_MMD_ONE 32767

struct ns_op_reorder { /* convolution weights of this shape, from one layout to another */
	int k, r, s, c;
	struct ns_layout from, to;
};

struct ns_op {
	enum ns_op_kind kind;
	union {
		struct ns_op_augment augment;
		struct ns_op_stats stats;
		struct ns_op_conv conv; /* CONV, CONV_TRAIN, CONV_BACKWARD */
		struct ns_op_reorder reorder;
		struct ns_op_pool pool; /* POOL, POOL_BACKWARD */
		struct ns_op_linear linear;
		struct ns_op_xent xent;
		struct ns_op_head head;
		struct ns_op_norm2 norm2;
		struct ns_op_optim optim; /* SGD, ADAMW */
		struct ns_op_ema ema;
		struct ns_op_ks ks;
		struct ns_op_mmd mmd;
		struct ns_op_pointwise pointwise;
		struct ns_op_move move;
		struct ns_op_reduce reduce;
		struct ns_op_contract contract;
		struct ns_op_convolve convolve; /* CONVOLVE, CONVOLVE_WEIGHTS */
		struct ns_op_convolve_then convolve_then;
		struct ns_op_pool_nd pool_nd;
		struct ns_op_resample resample;
		struct ns_op_index index;
		struct ns_op_along along;
		struct ns_op_topk topk;
		struct ns_op_recurrent recurrent; /* RECURRENT, RECURRENT_BACK */
		struct ns_op_ctc ctc;
		struct ns_op_grid grid;
		struct ns_op_roi roi;
	} u;
};

/* Indices into ns_args: op by op, in[] then out[]. Those marked (opt) are read only with their flag. */
enum { NS_AUGMENT_X, NS_AUGMENT_SAMPLES };
enum { NS_AUGMENT_Y };
enum { NS_STATS_X };
enum { NS_STATS_Y };
enum { NS_CONV_X, NS_CONV_W, NS_CONV_B, NS_CONV_RES, NS_CONV_GAMMA, NS_CONV_BETA };
enum { NS_CONV_Y, NS_CONV_Z, NS_CONV_MEAN, NS_CONV_INVSTD, NS_CONV_SUM_MEAN, NS_CONV_SUM_VAR };
/* training saves z = conv(x), mean and 1/sqrt(var + eps) of the batch; sum_mean, sum_var (var with n-1) are
 * for the running statistics. Backward: */
enum { NS_CONVB_X, NS_CONVB_W, NS_CONVB_GAMMA, NS_CONVB_Z, NS_CONVB_MEAN, NS_CONVB_INVSTD, NS_CONVB_Y, NS_CONVB_DY, NS_CONVB_DY2 };
enum { NS_CONVB_DX, NS_CONVB_DW, NS_CONVB_DB, NS_CONVB_DGAMMA, NS_CONVB_DBETA, NS_CONVB_DRES };
enum { NS_REORDER_X };
enum { NS_REORDER_Y };
enum { NS_POOL_X };
enum { NS_POOL_Y, NS_POOL_WHICH };
enum { NS_POOLB_DY, NS_POOLB_WHICH, NS_POOLB_DY2 };
enum { NS_POOLB_DX };
enum { NS_LINEAR_X, NS_LINEAR_W, NS_LINEAR_B }; /* w (K,D) */
enum { NS_LINEAR_Y };
enum { NS_LINEARB_X, NS_LINEARB_W, NS_LINEARB_DY };
enum { NS_LINEARB_DX, NS_LINEARB_DW, NS_LINEARB_DB };
enum { NS_XENT_X, NS_XENT_T, NS_XENT_WEIGHTS /* (opt) */ };
enum { NS_XENT_DX, NS_XENT_LOSS, NS_XENT_HITS }; /* loss, hits: f32 (f64 for F64) */
enum { NS_HEAD_X };
enum { NS_HEAD_PROB, NS_HEAD_PRED, NS_HEAD_ENTROPY, NS_HEAD_MARGIN };
enum { NS_NORM2_X };
enum { NS_NORM2_Y };
enum { NS_OPTIM_GRAD, NS_OPTIM_HYPER, NS_OPTIM_NORM2 };
enum { NS_OPTIM_W, NS_OPTIM_M, NS_OPTIM_V };
enum { NS_EMA_X, NS_EMA_HYPER };
enum { NS_EMA_Y };
enum { NS_KS_REF, NS_KS_CUR };
enum { NS_KS_D };
enum { NS_MMD_REF, NS_MMD_CUR, NS_MMD_BLOCK /* (opt) */ };
enum { NS_MMD_Q, NS_MMD_S, NS_MMD_TOTAL };

#define NS_OP_MAX_IN  11
#define NS_OP_MAX_OUT 6

#endif
