/* kernels/tensor.c - types, boxes, and which ops on tensors are valid. */
#include "kernels/op.h"

size_t ns_dtype_bytes(enum ns_dtype dtype)
{
	static const size_t bytes[NS_DTYPES] = {[NS_U8] = 1,  [NS_F32] = 4, [NS_BF16] = 2, [NS_F64] = 8, [NS_F16] = 2, [NS_BOOL] = 1, [NS_I8] = 1,
						[NS_U16] = 2, [NS_I16] = 2, [NS_U32] = 4,  [NS_I32] = 4, [NS_U64] = 8, [NS_I64] = 8};

	return bytes[dtype];
}

const char *ns_dtype_name(enum ns_dtype dtype)
{
	static const char *const names[NS_DTYPES] = {"uint8",  "float32", "bfloat16", "float64", "float16", "bool", "int8",
						     "uint16", "int16",	  "uint32",   "int32",	 "uint64",  "int64"};

	return names[dtype];
}

int ns_dtype_is_float(enum ns_dtype dtype)
{
	return dtype == NS_F32 || dtype == NS_BF16 || dtype == NS_F64 || dtype == NS_F16;
}

int64_t ns_box_count(const struct ns_box *box)
{
	int64_t n = 1;
	int d;

	for (d = 0; d < box->rank; d++)
		n *= box->dim[d];
	return n;
}

void ns_box_strides(const struct ns_box *box, int64_t stride[NS_RANK])
{
	int64_t n = 1;
	int d;

	for (d = NS_RANK - 1; d >= 0; d--) {
		stride[d] = d < box->rank ? n : 0;
		n *= d < box->rank ? box->dim[d] : 1;
	}
}

int ns_pointwise_is_dense(const struct ns_op_pointwise *v, int input)
{
	int64_t dense[NS_RANK];
	int d;

	ns_box_strides(&v->out, dense);
	for (d = 0; d < v->out.rank; d++)
		if (v->out.dim[d] > 1 && v->stride[input][d] != dense[d])
			return 0;
	return 1;
}

/* Neighbouring axes that every input walks as one become one; a rank of 0 becomes 1. */
void ns_pointwise_collapse(struct ns_op_pointwise *v)
{
	int d, k, to = 0;

	if (!v->out.rank) {
		v->out = (struct ns_box){1, {1}};
		return;
	}
	for (d = 1; d < v->out.rank; d++) {
		int one = 1;

		for (k = 0; k < v->inputs; k++)
			one &= v->stride[k][to] == v->stride[k][d] * v->out.dim[d];
		if (one) {
			v->out.dim[to] *= v->out.dim[d];
		} else {
			v->out.dim[++to] = v->out.dim[d];
		}
		for (k = 0; k < v->inputs; k++)
			v->stride[k][to] = v->stride[k][d];
	}
	v->out.rank = to + 1;
}

void ns_move_collapse(struct ns_op_move *v)
{
	int d, to = 0;

	if (!v->box.rank) {
		v->box = (struct ns_box){1, {1}};
		return;
	}
	for (d = 1; d < v->box.rank; d++) {
		int one = v->from_stride[to] == v->from_stride[d] * v->box.dim[d] && v->to_stride[to] == v->to_stride[d] * v->box.dim[d];

		to += !one;
		v->box.dim[to] = one ? v->box.dim[to] * v->box.dim[d] : v->box.dim[d];
		v->from_stride[to] = v->from_stride[d];
		v->to_stride[to] = v->to_stride[d];
	}
	v->box.rank = to + 1;
}

/* --- valid ops --- */

static enum ns_status wrong(const struct ns_op *op, const char *what, int64_t found, const char *expected)
{
	return ns_fail(NS_INVALID, "%s: %s = %lld, expected %s", ns_op_name(op->kind), what, (long long)found, expected);
}

static enum ns_status check_box(const struct ns_op *op, const struct ns_box *box)
{
	int64_t n = 1;
	int d;

	if (box->rank < 0 || box->rank > NS_RANK)
		return wrong(op, "the rank", box->rank, "0 to 8");
	for (d = 0; d < box->rank; d++) {
		if (box->dim[d] < 0 || (box->dim[d] && n > INT64_MAX / 16 / box->dim[d]))
			return wrong(op, "a dimension", box->dim[d], "0 or more, and fewer elements than a memory has");
		n *= box->dim[d] ? box->dim[d] : 1;
	}
	return NS_OK;
}

static enum ns_status check_window(const struct ns_op *op, const struct ns_window *w)
{
	int i;

	if (w->axes < 1 || w->axes > NS_AXES)
		return wrong(op, "spatial axes", w->axes, "1 to 3");
	for (i = 0; i < w->axes; i++)
		if (w->in[i] < 1 || w->out[i] < 1 || w->kernel[i] < 1 || w->stride[i] < 1 || w->dilation[i] < 1)
			return wrong(op, "a size of axis", i, "sizes, strides and dilations of at least 1");
	return NS_OK;
}

static enum ns_status check_program(const struct ns_op *op)
{
	const struct ns_op_pointwise *v = &op->u.pointwise;
	int i, known = v->inputs + v->constants;

	NS_TRY(check_box(op, &v->out));
	if (v->inputs < 0 || v->inputs > NS_POINTWISE_IN || v->constants < 0 || v->constants > NS_POINTWISE_CONSTANTS)
		return wrong(op, "inputs", v->inputs, "at most 8, and at most 8 constants");
	if (v->steps < 1 || v->steps > NS_POINTWISE_STEPS)
		return wrong(op, "steps", v->steps, "1 to 64");
	for (i = 0; i < v->steps; i++, known++)
		if (v->step[i].a >= known || v->step[i].b >= known || v->step[i].c >= known)
			return wrong(op, "step", i, "registers that are known before it");
	return NS_OK;
}

/* Both of its ops, and what is between them. */
static enum ns_status check_then(const struct ns_op *op)
{
	const struct ns_op_convolve_then *v = &op->u.convolve_then;
	const struct ns_op first = {.kind = NS_OP_CONVOLVE, .u.convolve = v->convolve}, second = {.kind = NS_OP_POINTWISE, .u.pointwise = v->program};
	int64_t count = v->convolve.n * v->convolve.groups * v->convolve.k;
	int d;

	NS_TRY(ns_tensor_check(&first));
	NS_TRY(ns_tensor_check(&second));
	if (v->self < 0 || v->self >= v->program.inputs || v->program.inputs - 1 > NS_OP_MAX_IN - NS_THEN_IN)
		return wrong(op, "the convolution among the program's inputs", v->self, "one of up to 7");
	for (d = 0; d < v->convolve.window.axes; d++)
		count *= v->convolve.window.out[d];
	return ns_box_count(&v->program.out) == count
		       ? NS_OK
		       : wrong(op, "elements of the program", ns_box_count(&v->program.out), "those of the convolution");
}

enum ns_status ns_tensor_check(const struct ns_op *op)
{
	switch (op->kind) {
	case NS_OP_POINTWISE:
		return check_program(op);
	case NS_OP_MOVE:
		return check_box(op, &op->u.move.box);
	case NS_OP_REDUCE:
		return check_box(op, &op->u.reduce.in);
	case NS_OP_CONTRACT:
		NS_TRY(check_box(op, &op->u.contract.out));
		return check_box(op, &op->u.contract.sum);
	case NS_OP_CONVOLVE:
	case NS_OP_CONVOLVE_WEIGHTS:
		if (op->u.convolve.last && (op->u.convolve.transposed || op->kind != NS_OP_CONVOLVE || !ns_dtype_is_float(op->u.convolve.dtype)))
			return wrong(op, "channels last", 1, "none, of whole numbers, transposed or gradients of weights");
		return check_window(op, &op->u.convolve.window);
	case NS_OP_CONVOLVE_THEN:
		return check_then(op);
	case NS_OP_POOL_ND:
		if (op->u.pool_nd.inner < 1 || (op->u.pool_nd.inner > 1 && op->u.pool_nd.indices))
			return wrong(op, "inner elements", op->u.pool_nd.inner, "at least 1, and 1 where places are asked for");
		return check_window(op, &op->u.pool_nd.window);
	case NS_OP_INDEX:
		if (op->u.index.length < 1 || op->u.index.length > NS_RANK)
			return wrong(op, "indices of a tuple", op->u.index.length, "1 to 8");
		return check_box(op, &op->u.index.tuples);
	case NS_OP_TOPK:
		return op->u.topk.k < 0 || op->u.topk.k > op->u.topk.n ? wrong(op, "k", op->u.topk.k, "0 to n") : NS_OK;
	case NS_OP_RECURRENT_BACK:
		return op->u.recurrent.has[NS_RECURRENT_P] ? wrong(op, "peepholes", 1, "none") : NS_OK;
	case NS_OP_CTC:
		if (op->u.ctc.n < 1 || op->u.ctc.t < 1 || op->u.ctc.k < 2 || op->u.ctc.most < 1 || op->u.ctc.most > op->u.ctc.t)
			return wrong(op, "symbols of a text", op->u.ctc.most, "1 to as many as there are steps, and two symbols to tell apart");
		return op->u.ctc.blank < 0 || op->u.ctc.blank >= op->u.ctc.k ? wrong(op, "the blank", op->u.ctc.blank, "one of the symbols") : NS_OK;
	case NS_OP_RESAMPLE:
		return op->u.resample.taps < 1 ? wrong(op, "taps", op->u.resample.taps, "at least 1") : NS_OK;
	default:
		return NS_OK;
	}
}

int64_t ns_op_multiply_adds(const struct ns_op *op)
{
	const struct ns_op_convolve *v = op->kind == NS_OP_CONVOLVE_THEN ? &op->u.convolve_then.convolve : &op->u.convolve;
	const struct ns_window *w = &v->window;
	int64_t n;
	int d;

	if (op->kind == NS_OP_CONTRACT)
		return ns_box_count(&op->u.contract.out) * ns_box_count(&op->u.contract.sum);
	if (op->kind != NS_OP_CONVOLVE && op->kind != NS_OP_CONVOLVE_WEIGHTS && op->kind != NS_OP_CONVOLVE_THEN)
		return 0;
	for (n = v->n * v->groups * v->k * v->c, d = 0; d < w->axes; d++)
		n *= (v->transposed ? w->in[d] : w->out[d]) * w->kernel[d];
	return n;
}

/* Loops over the sizes of something that is empty run as well. */
static double at_least_1(int64_t n)
{
	return n > 1 ? (double)n : 1;
}

static double window_work(const struct ns_window *w)
{
	double n = 1;
	int d;

	for (d = 0; d < w->axes; d++)
		n *= at_least_1(w->out[d]) * at_least_1(w->kernel[d]);
	return n;
}

static double box_work(const struct ns_box *box)
{
	double n = 1;
	int d;

	for (d = 0; d < box->rank; d++)
		n *= at_least_1(box->dim[d]);
	return n;
}

double ns_op_work(const struct ns_op *op)
{
	switch (op->kind) {
	case NS_OP_POINTWISE:
		return box_work(&op->u.pointwise.out) * (1 + op->u.pointwise.steps);
	case NS_OP_MOVE:
		return box_work(&op->u.move.box);
	case NS_OP_REDUCE:
		return box_work(&op->u.reduce.in);
	case NS_OP_CONTRACT:
		return box_work(&op->u.contract.out) * box_work(&op->u.contract.sum);
	case NS_OP_CONVOLVE:
	case NS_OP_CONVOLVE_WEIGHTS:
		return window_work(&op->u.convolve.window) * at_least_1(op->u.convolve.n) * at_least_1(op->u.convolve.groups) *
		       at_least_1(op->u.convolve.c) * at_least_1(op->u.convolve.k);
	case NS_OP_CONVOLVE_THEN:
		return (double)ns_op_multiply_adds(op) + box_work(&op->u.convolve_then.program.out) * (1 + op->u.convolve_then.program.steps);
	case NS_OP_POOL_ND:
		return window_work(&op->u.pool_nd.window) * at_least_1(op->u.pool_nd.planes) * at_least_1(op->u.pool_nd.inner);
	case NS_OP_RESAMPLE:
		return at_least_1(op->u.resample.outer) * at_least_1(op->u.resample.m) * at_least_1(op->u.resample.inner) * op->u.resample.taps;
	case NS_OP_INDEX:
		return box_work(&op->u.index.tuples) * at_least_1(op->u.index.inner) + at_least_1(op->u.index.data);
	case NS_OP_ALONG:
		return at_least_1(op->u.along.outer) * at_least_1(op->u.along.n) * at_least_1(op->u.along.inner) * 3;
	case NS_OP_TOPK:
		return at_least_1(op->u.topk.outer) * at_least_1(op->u.topk.n) * at_least_1(op->u.topk.inner) * at_least_1(1 + op->u.topk.k);
	case NS_OP_RECURRENT:
	case NS_OP_RECURRENT_BACK:
		return at_least_1(op->u.recurrent.t) * at_least_1(op->u.recurrent.n) * at_least_1(op->u.recurrent.h) * 4 *
		       at_least_1(op->u.recurrent.i + op->u.recurrent.h);
	case NS_OP_CTC:
		return at_least_1(op->u.ctc.n) * at_least_1(op->u.ctc.t) * (at_least_1(op->u.ctc.k) + 6 * at_least_1(op->u.ctc.most));
	case NS_OP_GRID:
		return at_least_1(op->u.grid.n) * at_least_1(op->u.grid.c) * at_least_1(op->u.grid.p) * at_least_1(op->u.grid.q) * 16;
	case NS_OP_ROI:
		return at_least_1(op->u.roi.rois) * at_least_1(op->u.roi.c) * at_least_1(op->u.roi.p) * at_least_1(op->u.roi.q) *
		       (op->u.roi.ratio > 0 ? (double)op->u.roi.ratio * op->u.roi.ratio : 4096);
	default:
		return 0;
	}
}
