/*
 * kernels/tensor.h - ops on tensors of any shape, as graphs of strangers need them.
 *
 * Shapes are boxes; where an op says how it walks, strides and offsets count elements and 0 repeats. The three that carry most names are POINTWISE, a short
 * program of formulas (kernels/formula/pointwise.h); MOVE, elements to other places; REDUCE. Where an op says (outer, n, inner), a tensor is seen as
 * outer x n x inner and the op works along n. Several ops may write parts of one tensor (concatenation is a MOVE each). Source: the operators of
 * https://onnx.ai/onnx/operators, of which these are the parts.
 */
#ifndef NS_TENSOR_H
#define NS_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

enum ns_dtype { NS_U8, NS_F32, NS_BF16, NS_F64, NS_F16, NS_BOOL, NS_I8, NS_U16, NS_I16, NS_U32, NS_I32, NS_U64, NS_I64, NS_DTYPES };

size_t ns_dtype_bytes(enum ns_dtype dtype);
const char *ns_dtype_name(enum ns_dtype dtype); /* "float32" */
int ns_dtype_is_float(enum ns_dtype dtype);

#define NS_RANK 8

struct ns_box {
	int rank;
	int64_t dim[NS_RANK];
};

int64_t ns_box_count(const struct ns_box *box);
/* ns_op_check()'s part. */
struct ns_op;
enum ns_status ns_tensor_check(const struct ns_op *op);
/* Products that it adds up: of convolutions and contractions; 0 of the others. */
int64_t ns_op_multiply_adds(const struct ns_op *op);
/* About how many steps it takes, whatever they are: to bound what a file of a stranger may ask for. */
double ns_op_work(const struct ns_op *op);
/* Strides of a dense row-major tensor; beyond the rank they are 0. */
void ns_box_strides(const struct ns_box *box, int64_t stride[NS_RANK]);

/*
 * Registers: the inputs, then the constants, then each step's value; the last step is what is stored. It computes in `compute`: F32 rounds constants, and after each step,
 * I64 is for whole numbers and truth, U64 where one of them is of 64 bits without a sign. Inputs of another type are converted as they are read, the result as it is stored: to whole numbers by truncation, NaN 0,
 * values outside to the nearest; whole numbers among themselves by their low bits.
 */
#define NS_POINTWISE_IN	       8
#define NS_POINTWISE_CONSTANTS 8
#define NS_POINTWISE_STEPS     64
struct ns_pw_step {
	uint16_t code;	 /* NS_PW_*, or NS_PW_SLOPE() of one */
	uint8_t a, b, c; /* registers */
};
struct ns_op_pointwise {
	enum ns_dtype compute, out_dtype, in_dtype[NS_POINTWISE_IN];
	int inputs, constants, steps;
	struct ns_box out;
	int64_t stride[NS_POINTWISE_IN][NS_RANK];
	struct ns_pw_step step[NS_POINTWISE_STEPS];
	double constant[NS_POINTWISE_CONSTANTS];
};

/* Element at position p of the box: out[to + p . to_stride] = in[from + r(p) . from_stride]; r is p, or where `rule` says so a position in `size`. */
enum { NS_MOVE_PLAIN, NS_MOVE_EDGE, NS_MOVE_REFLECT, NS_MOVE_WRAP };
struct ns_op_move {
	int bytes; /* of an element */
	struct ns_box box;
	int64_t from, to, from_stride[NS_RANK], to_stride[NS_RANK];
	int rule;
	int64_t begin[NS_RANK], size[NS_RANK]; /* r = rule(p + begin) */
};

enum {
	NS_REDUCE_SUM,
	NS_REDUCE_MEAN,
	NS_REDUCE_MAX,
	NS_REDUCE_MIN,
	NS_REDUCE_PROD,
	NS_REDUCE_L1,
	NS_REDUCE_L2,
	NS_REDUCE_LOGSUM,
	NS_REDUCE_LOGSUMEXP,
	NS_REDUCE_SUMSQUARE,
	NS_REDUCE_ARGMAX, /* of the only axis, i64; the first of equal ones, or with `last` the last */
	NS_REDUCE_ARGMIN
};
struct ns_op_reduce { /* y keeps its axes; those that are reduced have size 1 */
	enum ns_dtype dtype;
	int how, last;
	struct ns_box in;
	unsigned axes; /* bits */
};

/* y[p] = sum over q of a[p . a_out + q . a_sum] * b[p . b_out + q . b_sum]: matrices by batches, and every einsum of two. Whole numbers add up in i32 or i64. */
struct ns_op_contract {
	enum ns_dtype dtype, out_dtype;
	struct ns_box out, sum;
	int64_t a_out[NS_RANK], b_out[NS_RANK], a_sum[NS_RANK], b_sum[NS_RANK];
};

/* Windows over up to three axes; pad: before, the end follows from `out`. */
#define NS_AXES 3
struct ns_window {
	int axes;
	int64_t in[NS_AXES], out[NS_AXES], kernel[NS_AXES], stride[NS_AXES], dilation[NS_AXES], pad[NS_AXES], pad_end[NS_AXES];
};

/*
 * x (N, groups * C, in...), w (groups * K, C, kernel...), y (N, groups * K, out...); transposed: w (groups * C, K, kernel...) and y[i * stride + r * dilation -
 * pad] += x[i] w[r]. in[2]: bias, groups * K, where there is one. Whole numbers: x, w i32, sums in i32.
 * last, of floats that are not transposed: channels are the last axis, x (N, in..., groups * C) and y (N, out..., groups * K), and w is as kernels/formula/packed.h says.
 */
struct ns_op_convolve {
	enum ns_dtype dtype;
	struct ns_window window;
	int64_t n, groups, c, k;
	int transposed, bias, last;
};

/*
 * CONVOLVE and then a program of its result, which is the program's input `self`, element by element. in: as CONVOLVE, then the program's inputs but `self`, in their order; the
 * convolution itself is not stored.
 */
struct ns_op_convolve_then {
	struct ns_op_convolve convolve;
	struct ns_op_pointwise program;
	int self;
};
#define NS_THEN_IN 3 /* where the program's inputs begin */

/* The gradient of the weights of CONVOLVE, not transposed and without a bias: in: x, and dy of y's shape; out: of w's shape. */

enum { NS_WINDOW_MAX, NS_WINDOW_AVG, NS_WINDOW_LP };
/* x (planes, in..., inner) -> y (planes, out..., inner); out[1], where asked for, of inner 1: the maximum's index in x, i64. */
struct ns_op_pool_nd {
	enum ns_dtype dtype;
	struct ns_window window;
	int64_t planes, inner;
	int how, p, with_padding, indices, column_major;
};

/* y[o, j, i] = sum over t of weight[j, t] * x[o, index[j, t], i]: every way to resize, along one axis. in: x, index i32, weight f32; index -1: `outside` */
struct ns_op_resample {
	enum ns_dtype dtype;
	int64_t outer, n, inner, m;
	int taps;
	float outside;
};

/*
 * Tuples of `length` indices (i64, negative ones count from the end) name slices of `inner` elements. in: data, indices [, updates]. Without scatter
 * y[t, i] = data[t . base + sum of index * stride + i]; with it y is data, and then y[the same] = updates[t, i], or what `how` says, in the order of t.
 */
enum { NS_SCATTER_NOT, NS_SCATTER_SET, NS_SCATTER_ADD, NS_SCATTER_MUL, NS_SCATTER_MAX, NS_SCATTER_MIN };
struct ns_op_index {
	enum ns_dtype dtype;
	int how, length;
	struct ns_box tuples;			  /* in order, they are those of updates or y */
	int64_t base[NS_RANK], at[NS_RANK], next; /* strides of data and of the indices by tuple; from one index of a tuple to the next */
	int64_t size[NS_RANK], stride[NS_RANK], inner, data;
};

enum { NS_ALONG_SOFTMAX, NS_ALONG_LOGSOFTMAX, NS_ALONG_HARDMAX, NS_ALONG_CUMSUM };
struct ns_op_along {
	enum ns_dtype dtype;
	int how, exclusive, reverse;
	int64_t outer, n, inner;
};

struct ns_op_topk { /* values, indices i64; of equal ones the lower index first */
	enum ns_dtype dtype;
	int64_t outer, n, inner, k;
	int smallest;
};

/*
 * One direction of an RNN, GRU or LSTM, gates in ONNX's order. in: x (T,N,I), w (G*H,I), r (G*H,H), b (2*G*H) or none, lengths i32 (N) or none, h0, c0 (N,H) or
 * none, peepholes (3*H) or none. out: y (T,N,H), h (N,H), c (N,H). Steps beyond a length are 0 in y.
 */
enum { NS_RECURRENT_RNN, NS_RECURRENT_GRU, NS_RECURRENT_LSTM };
struct ns_op_recurrent {
	int how, reverse, linear_before_reset, couple;
	int64_t t, n, i, h;
	int code[3]; /* activations: NS_PW_* of one operand or with constants alpha, beta as b and c */
	double alpha[3], beta[3], clip;
	int has[8];
};

/*
 * Connectionist temporal classification: logits (N,T,K) f32, texts i32 (N, most), each up to -1; -2 first: it is not known. out: dx = scale * gradient, the sum of losses, and how many
 * texts the largest logits say. A text that is not known, or does not fit into T steps, adds nothing and has no gradient.
 */
struct ns_op_ctc {
	int64_t n, t, k, most;
	int blank;
	float scale;
};

enum { NS_SAMPLE_NEAREST, NS_SAMPLE_LINEAR, NS_SAMPLE_CUBIC };
enum { NS_OUTSIDE_ZERO, NS_OUTSIDE_BORDER, NS_OUTSIDE_REFLECT };
struct ns_op_grid { /* x (N,C,H,W), grid (N,P,Q,2) of x and y in -1..1 -> y (N,C,P,Q) */
	enum ns_dtype dtype;
	int64_t n, c, h, w, p, q;
	int how, outside, corners;
};

struct ns_op_roi { /* x (N,C,H,W), rois (R,4), batch i64 (R) -> y (R,C,P,Q) */
	enum ns_dtype dtype;
	int64_t n, c, h, w, rois, p, q;
	int ratio, max, half;
	float scale;
};

/* Neighbouring axes that all sides walk as one become one, and a rank of 0 becomes 1: the same elements in the same order. */
void ns_pointwise_collapse(struct ns_op_pointwise *v);

/* Is this input walked as the result lies, element by element, with nothing repeated or left out? */
int ns_pointwise_is_dense(const struct ns_op_pointwise *v, int input);
void ns_move_collapse(struct ns_op_move *v); /* NS_MOVE_PLAIN */

enum { NS_POINTWISE_X };
enum { NS_POINTWISE_Y };
enum { NS_MOVE_X };
enum { NS_MOVE_Y };
enum { NS_REDUCE_X };
enum { NS_REDUCE_Y };
enum { NS_CONTRACT_A, NS_CONTRACT_B };
enum { NS_CONTRACT_Y };
enum { NS_CTC_X, NS_CTC_TEXT };
enum { NS_CTC_DX, NS_CTC_LOSS, NS_CTC_HITS };
enum { NS_CONVOLVE_X, NS_CONVOLVE_W, NS_CONVOLVE_B };
enum { NS_CONVOLVE_Y };
enum { NS_CONVOLVE_WEIGHTS_X, NS_CONVOLVE_WEIGHTS_DY };
enum { NS_CONVOLVE_WEIGHTS_DW };
enum { NS_POOL_ND_X };
enum { NS_POOL_ND_Y, NS_POOL_ND_WHICH };
enum { NS_RESAMPLE_X, NS_RESAMPLE_INDEX, NS_RESAMPLE_WEIGHT };
enum { NS_RESAMPLE_Y };
enum { NS_INDEX_DATA, NS_INDEX_AT, NS_INDEX_UPDATES };
enum { NS_INDEX_Y };
enum { NS_ALONG_X };
enum { NS_ALONG_Y };
enum { NS_TOPK_X };
enum { NS_TOPK_VALUES, NS_TOPK_INDICES };
enum { NS_RECURRENT_X, NS_RECURRENT_W, NS_RECURRENT_R, NS_RECURRENT_B, NS_RECURRENT_LENGTHS, NS_RECURRENT_H0, NS_RECURRENT_C0, NS_RECURRENT_P };
enum { NS_RECURRENT_Y, NS_RECURRENT_H, NS_RECURRENT_C };
/* The gradient of RECURRENT, without peepholes. in: as that, then of y, of h and of c, each or none. out: of x, w, r, b, h0 and c0; NULL: not asked for. */
enum { NS_RECURRENT_DY = 8, NS_RECURRENT_DYH, NS_RECURRENT_DYC };
enum { NS_RECURRENT_DX, NS_RECURRENT_DW, NS_RECURRENT_DR, NS_RECURRENT_DB, NS_RECURRENT_DH0, NS_RECURRENT_DC0 };
enum { NS_GRID_X, NS_GRID_GRID };
enum { NS_GRID_Y };
enum { NS_ROI_X, NS_ROI_ROIS, NS_ROI_BATCH };
enum { NS_ROI_Y };

#endif
