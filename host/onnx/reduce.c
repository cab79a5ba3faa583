/* host/onnx/reduce.c - operators over axes: sums and extremes, softmax, normalisation, losses. */
#include <math.h>

#include "host/onnx/import_inner.h"

/* Axes came from an attribute until 12 (ReduceSum) or 17 (the others). */
static enum ns_status reduce(struct ns_maker *m)
{
	int rank = ns_maker_in(m, 0)->box.rank, n, is_sum = m->row->what == NS_REDUCE_SUM;
	int64_t keep, noop;
	unsigned axes;

	NS_TRY(ns_maker_int(m, "keepdims", 1, &keep));
	NS_TRY(ns_maker_int(m, "noop_with_empty_axes", 0, &noop));
	NS_TRY(ns_maker_axes(m, rank, 1, is_sum ? 13 : 18, &axes, &n));
	if (n <= 0) {
		axes = noop ? 0 : (1u << rank) - 1; /* of one element each: x, or its square, its size, its logarithm */
	}
	return ns_dag_reduce(m->dag, m->in[0], m->row->what, axes, keep != 0, &m->out[0]);
}

static enum ns_status arg_reduce(struct ns_maker *m)
{
	int64_t axis, keep, last;
	int d;

	NS_TRY(ns_maker_int(m, "axis", 0, &axis));
	NS_TRY(ns_maker_int(m, "keepdims", 1, &keep));
	NS_TRY(ns_maker_int(m, "select_last_index", 0, &last));
	NS_TRY(ns_maker_axis(m, axis, ns_maker_in(m, 0)->box.rank, &d));
	return ns_dag_reduce(m->dag, m->in[0], m->row->what | (last ? 256 : 0), 1u << d, keep != 0, &m->out[0]);
}

static unsigned beyond_channels(int rank)
{
	return ((1u << rank) - 1) & ~3u;
}

static enum ns_status global_pool(struct ns_maker *m)
{
	int rank = ns_maker_in(m, 0)->box.rank;

	if (rank < 3)
		return ns_fail(NS_INVALID, "%d axes, expected at least 3", rank);
	return ns_dag_reduce(m->dag, m->in[0], m->row->what, beyond_channels(rank), 1, &m->out[0]);
}

/* Before version 13 the axes from the first on are one. */
static enum ns_status softmax(struct ns_maker *m)
{
	int d, rank = ns_maker_in(m, 0)->box.rank;
	int64_t axis;

	NS_TRY(ns_maker_int(m, "axis", m->opset < 13 ? 1 : -1, &axis));
	if (m->opset < 13 && axis == rank)
		return ns_fail(NS_INVALID, "axis %lld of %d", (long long)axis, rank);
	NS_TRY(ns_maker_axis(m, axis, rank, &d));
	return ns_dag_along(m->dag, m->in[0], m->row->what, d, m->opset < 13 ? rank : d + 1, &m->out[0]);
}

static enum ns_status cumsum(struct ns_maker *m)
{
	int64_t axis[1] = {0}, exclusive, reverse;
	int d, n;

	NS_TRY(ns_maker_int(m, "exclusive", 0, &exclusive));
	NS_TRY(ns_maker_int(m, "reverse", 0, &reverse));
	NS_TRY(ns_maker_list(m, 1, axis, 1, &n));
	NS_TRY(ns_maker_axis(m, axis[0], ns_maker_in(m, 0)->box.rank, &d));
	return ns_dag_along(m->dag, m->in[0], NS_ALONG_CUMSUM | (exclusive ? 256 : 0) | (reverse ? 512 : 0), d, d + 1, &m->out[0]);
}

/* --- normalisation --- */

/* (x - mean) / sqrt(var + eps), with mean and variance over `axes`; 1 / sqrt(...) too. In f32 at least: squares of half precision overflow. */
static enum ns_status standardise(struct ns_maker *m, int x, unsigned axes, double eps, int *y, int *mean, int *scale)
{
	const enum ns_dtype given = ns_dag_at(m->dag, x)->dtype, dtype = given == NS_F64 ? NS_F64 : NS_F32;
	struct ns_program p;
	int var, r;

	NS_TRY(ns_dag_cast(m->dag, x, dtype, &x));
	NS_TRY(ns_dag_reduce(m->dag, x, NS_REDUCE_MEAN, axes, 1, mean));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_SUB, (int[]){x, *mean}, 2, dtype, y));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_MUL, (int[]){*y, *y}, 2, dtype, &var));
	NS_TRY(ns_dag_reduce(m->dag, var, NS_REDUCE_MEAN, axes, 1, &var));
	ns_program_begin(&p);
	r = ns_program_input(&p, var);
	r = ns_program_step(&p, NS_PW_ADD, r, ns_program_constant(&p, eps), 0);
	ns_program_step(&p, NS_PW_RECIPROCAL, ns_program_step(&p, NS_PW_SQRT, r, 0, 0), 0, 0);
	NS_TRY(ns_dag_program(m->dag, &p, dtype, scale));
	return ns_dag_formula(m->dag, NS_PW_MUL, (int[]){*y, *scale}, 2, given, y);
}

/* A list of channels as (C, 1, 1...) of a tensor of so many axes. */
static enum ns_status channels(struct ns_maker *m, int list, int rank, int *y)
{
	struct ns_box box = {.rank = rank - 1};
	int d;

	for (d = 1; d < box.rank; d++)
		box.dim[d] = 1;
	box.dim[0] = ns_box_count(&ns_dag_at(m->dag, list)->box);
	return ns_dag_view(m->dag, list, &box, y);
}

/* The file's tensor that input k is; -1. */
static int tensor_of(const struct ns_maker *m, int k)
{
	return m->o->values[m->o->uses[m->node->first_in + k]].tensor;
}

/* Means and variances of the batch in place of those given: parts 3 and 4. */
static enum ns_status of_batch(struct ns_maker *m, int rank, int *part)
{
	const struct ns_box box = ns_maker_in(m, 0)->box;
	double n = (double)ns_box_count(&box) / (double)box.dim[1], more[] = {n > 1 ? n / (n - 1) : 1};
	enum ns_dtype dtype = ns_maker_in(m, 0)->dtype;
	unsigned axes = ((1u << rank) - 1) & ~2u;
	struct ns_box kept = {rank - 1, {box.dim[1]}};
	int centred, d, list;

	if (tensor_of(m, 3) < 0 || tensor_of(m, 4) < 0)
		return NS_OK;
	for (d = 1; d < kept.rank; d++)
		kept.dim[d] = 1;
	NS_TRY(ns_dag_reduce_runs(m->dag, m->in[0], NS_REDUCE_MEAN, axes, &part[3]));
	NS_TRY(ns_dag_view(m->dag, part[3], &kept, &part[3]));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_SUB, (int[]){m->in[0], part[3]}, 2, dtype, &centred));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_MUL, (int[]){centred, centred}, 2, dtype, &part[4]));
	NS_TRY(ns_dag_reduce_runs(m->dag, part[4], NS_REDUCE_MEAN, axes, &part[4]));
	NS_TRY(ns_dag_view(m->dag, part[4], &kept, &part[4]));
	NS_TRY(ns_dag_formula_of(m->dag, NS_PW_MUL, part[4], more, 1, dtype, &list));
	m->batch[tensor_of(m, 3)] = part[3] + 1;
	m->batch[tensor_of(m, 4)] = list + 1;
	return NS_OK;
}

static enum ns_status batch_norm(struct ns_maker *m)
{
	const struct ns_dag_value *v = ns_maker_in(m, 0);
	enum ns_dtype dtype = v->dtype;
	int rank = v->box.rank, k, part[5], r[5];
	struct ns_program p;
	int64_t training, spatial;
	double eps, momentum;

	NS_TRY(ns_maker_int(m, "training_mode", 0, &training));
	NS_TRY(ns_maker_int(m, "spatial", 1, &spatial));
	NS_TRY(ns_maker_float(m, "epsilon", 1e-5, &eps));
	NS_TRY(ns_maker_float(m, "momentum", 0.9, &momentum));
	if (training || !spatial || rank < 2 || m->wanted[1])
		return ns_fail(NS_DECLINED, "normalisation of a model that is trained, or by places");
	for (part[0] = m->in[0], k = 1; k < 5; k++)
		NS_TRY(channels(m, m->in[k], rank, &part[k]));
	if (m->batch)
		NS_TRY(of_batch(m, rank, part));
	ns_program_begin(&p);
	for (k = 0; k < 5; k++) /* x, scale, shift, mean, variance */
		r[k] = ns_program_input(&p, part[k]);
	k = ns_program_constant(&p, eps);
	k = ns_program_step(&p, NS_PW_SQRT, ns_program_step(&p, NS_PW_ADD, r[4], k, 0), 0, 0);
	k = ns_program_step(&p, NS_PW_DIV, ns_program_step(&p, NS_PW_SUB, r[0], r[3], 0), k, 0);
	ns_program_step(&p, NS_PW_ADD, ns_program_step(&p, NS_PW_MUL, k, r[1], 0), r[2], 0);
	NS_TRY(ns_dag_program(m->dag, &p, dtype, &m->out[0]));
	return ns_maker_same_box(m, m->out[0], m->in[0]);
}

static enum ns_status affine(struct ns_maker *m, int x, int scale, int shift, int *y)
{
	enum ns_dtype dtype = ns_maker_in(m, 0)->dtype;

	NS_TRY(ns_dag_formula(m->dag, NS_PW_MUL, (int[]){x, scale}, 2, dtype, y));
	if (shift >= 0)
		NS_TRY(ns_dag_formula(m->dag, NS_PW_ADD, (int[]){*y, shift}, 2, dtype, y));
	return ns_maker_same_box(m, *y, x);
}

static enum ns_status instance_norm(struct ns_maker *m)
{
	int rank = ns_maker_in(m, 0)->box.rank, y, mean, scale, a, b;
	double eps;

	NS_TRY(ns_maker_float(m, "epsilon", 1e-5, &eps));
	if (rank < 3)
		return ns_fail(NS_INVALID, "%d axes, expected at least 3", rank);
	NS_TRY(standardise(m, m->in[0], beyond_channels(rank), eps, &y, &mean, &scale));
	NS_TRY(channels(m, m->in[1], rank, &a));
	NS_TRY(channels(m, m->in[2], rank, &b));
	return affine(m, y, a, b, &m->out[0]);
}

/* What is added to a variance, and the axes over which it is taken: from `axis` on. */
static enum ns_status epsilon_and_axes(struct ns_maker *m, double *eps, unsigned *axes)
{
	int rank = ns_maker_in(m, 0)->box.rank, d;
	int64_t axis, stash;

	NS_TRY(ns_maker_float(m, "epsilon", 1e-5, eps));
	NS_TRY(ns_maker_int(m, "axis", -1, &axis));
	NS_TRY(ns_maker_int(m, "stash_type", 1, &stash));
	NS_TRY(ns_maker_axis(m, axis, rank, &d));
	*axes = ((1u << rank) - 1) & ~((1u << d) - 1);
	return NS_OK;
}

static enum ns_status layer_norm(struct ns_maker *m)
{
	unsigned axes;
	double eps;
	int y;

	NS_TRY(epsilon_and_axes(m, &eps, &axes));
	NS_TRY(standardise(m, m->in[0], axes, eps, &y, &m->out[1], &m->out[2]));
	return affine(m, y, m->in[1], ns_maker_has(m, 2) ? m->in[2] : -1, &m->out[0]);
}

/* x / sqrt(mean of x^2 + eps), times a scale */
static enum ns_status rms_norm(struct ns_maker *m)
{
	const enum ns_dtype given = ns_maker_in(m, 0)->dtype, dtype = given == NS_F64 ? NS_F64 : NS_F32;
	struct ns_program p;
	int square, r, x;
	unsigned axes;
	double eps;

	NS_TRY(epsilon_and_axes(m, &eps, &axes));
	NS_TRY(ns_dag_cast(m->dag, m->in[0], dtype, &x));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_MUL, (int[]){x, x}, 2, dtype, &square));
	NS_TRY(ns_dag_reduce(m->dag, square, NS_REDUCE_MEAN, axes, 1, &square));
	ns_program_begin(&p);
	r = ns_program_input(&p, square);
	r = ns_program_step(&p, NS_PW_ADD, r, ns_program_constant(&p, eps), 0);
	ns_program_step(&p, NS_PW_RECIPROCAL, ns_program_step(&p, NS_PW_SQRT, r, 0, 0), 0, 0);
	NS_TRY(ns_dag_program(m->dag, &p, dtype, &square));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_MUL, (int[]){x, square}, 2, given, &r));
	return affine(m, r, m->in[1], -1, &m->out[0]);
}

/* x / its L1 or L2 norm along an axis; where that is 0, 0 */
static enum ns_status lp_norm(struct ns_maker *m)
{
	enum ns_dtype dtype = ns_maker_in(m, 0)->dtype;
	int d, norm, zero, x[2];
	int64_t axis, p;

	NS_TRY(ns_maker_int(m, "axis", -1, &axis));
	NS_TRY(ns_maker_int(m, "p", 2, &p));
	NS_TRY(ns_maker_axis(m, axis, ns_maker_in(m, 0)->box.rank, &d));
	if (p != 1 && p != 2)
		return ns_fail(NS_INVALID, "a norm of %lld", (long long)p);
	NS_TRY(ns_dag_reduce(m->dag, m->in[0], p == 1 ? NS_REDUCE_L1 : NS_REDUCE_L2, 1u << d, 1, &norm));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_NOT, &norm, 1, dtype, &zero));
	x[0] = norm;
	x[1] = zero;
	NS_TRY(ns_dag_formula(m->dag, NS_PW_ADD, x, 2, dtype, &norm));
	x[0] = m->in[0];
	x[1] = norm;
	return ns_dag_formula(m->dag, NS_PW_DIV, x, 2, dtype, &m->out[0]);
}

static enum ns_status group_norm(struct ns_maker *m)
{
	const struct ns_box b = ns_maker_in(m, 0)->box;
	struct ns_box parts = {.rank = b.rank + 1};
	int64_t groups;
	int d, y, mean, scale, a, s;
	double eps;

	NS_TRY(ns_maker_int(m, "num_groups", 0, &groups));
	NS_TRY(ns_maker_float(m, "epsilon", 1e-5, &eps));
	if (b.rank < 3 || b.rank >= NS_RANK || groups < 1 || b.dim[1] % groups)
		return ns_fail(NS_INVALID, "%lld groups of %lld channels", (long long)groups, (long long)b.dim[1]);
	parts.dim[0] = b.dim[0];
	parts.dim[1] = groups;
	parts.dim[2] = b.dim[1] / groups;
	for (d = 2; d < b.rank; d++)
		parts.dim[d + 1] = b.dim[d];
	NS_TRY(ns_dag_view(m->dag, m->in[0], &parts, &y));
	NS_TRY(standardise(m, y, beyond_channels(parts.rank), eps, &y, &mean, &scale));
	if (m->opset < 21 && ns_box_count(&ns_maker_in(m, 1)->box) == groups) { /* one a group, as version 18 has it */
		NS_TRY(channels(m, m->in[1], parts.rank, &a));
		NS_TRY(channels(m, m->in[2], parts.rank, &s));
		NS_TRY(affine(m, y, a, s, &y));
		return ns_dag_view(m->dag, y, &b, &m->out[0]);
	}
	NS_TRY(ns_dag_view(m->dag, y, &b, &y));
	NS_TRY(channels(m, m->in[1], b.rank, &a));
	NS_TRY(channels(m, m->in[2], b.rank, &s));
	return affine(m, y, a, s, &m->out[0]);
}

static enum ns_status mean_variance(struct ns_maker *m)
{
	static const int64_t usual[] = {0, 2, 3};
	int rank = ns_maker_in(m, 0)->box.rank, n, i, d, mean, scale;
	const int64_t *list;
	unsigned axes = 0;

	NS_TRY(ns_maker_ints(m, "axes", &list, &n));
	for (i = 0; i < (list ? n : 3); i++) {
		NS_TRY(ns_maker_axis(m, (list ? list : usual)[i], rank, &d));
		axes |= 1u << d;
	}
	return standardise(m, m->in[0], axes, 1e-18, &m->out[0], &mean, &scale);
}

/* --- losses --- */

/* scores (N,C,d...) of log probabilities, labels (N,d...): minus what the label's class has, weighted, and their sum or mean */
static enum ns_status likelihood(struct ns_maker *m, int scores, int labels, int weights)
{
	static const char *const words[] = {"mean", "sum", "none", NULL};
	struct ns_dag *g = m->dag;
	enum ns_dtype dtype = ns_dag_at(g, scores)->dtype;
	const struct ns_box b = ns_dag_at(g, scores)->box;
	struct ns_box list = {2, {b.dim[1], 1}};
	int64_t ignore;
	int how, d, classes, hit, kept, loss, weight, shown, sum, rank = b.rank;
	const struct ns_onnx_attribute *a = ns_maker_attribute(m, "ignore_index");

	NS_TRY(ns_maker_word(m, "reduction", words, 0, &how));
	NS_TRY(ns_maker_int(m, "ignore_index", 0, &ignore));
	for (list.rank = rank - 1, d = 1; d < list.rank; d++)
		list.dim[d] = 1;
	NS_TRY(ns_dag_constant(g, NS_I64, &list, NULL, &classes));
	for (d = 0; d < b.dim[1]; d++)
		((int64_t *)g->values[classes].data)[d] = d;
	shown = labels;
	{
		struct ns_box wide = ns_dag_at(g, labels)->box;

		for (d = wide.rank++; d > 1; d--)
			wide.dim[d] = wide.dim[d - 1];
		wide.dim[1] = 1;
		NS_TRY(ns_dag_view(g, labels, &wide, &shown));
	}
	NS_TRY(ns_dag_formula(g, NS_PW_EQUAL, (int[]){classes, shown}, 2, NS_BOOL, &hit)); /* (N,C,d...) */
	if (a) {
		NS_TRY(ns_dag_formula_of(g, NS_PW_EQUAL, shown, (double[]){(double)ignore}, 1, NS_BOOL, &kept));
		NS_TRY(ns_dag_formula(g, NS_PW_NOT, &kept, 1, NS_BOOL, &kept));
		NS_TRY(ns_dag_formula(g, NS_PW_AND, (int[]){hit, kept}, 2, NS_BOOL, &hit));
	}
	NS_TRY(ns_dag_cast(g, hit, dtype, &weight));
	if (weights >= 0) {
		NS_TRY(ns_dag_view(g, weights, &list, &weights));
		NS_TRY(ns_dag_formula(g, NS_PW_MUL, (int[]){weight, weights}, 2, dtype, &weight));
	}
	NS_TRY(ns_dag_fill(g, dtype, &(struct ns_box){0}, 0, &sum));
	NS_TRY(ns_dag_formula(g, NS_PW_WHERE, (int[]){hit, scores, sum}, 3, dtype, &loss)); /* a score of -inf elsewhere is no matter */
	NS_TRY(ns_dag_formula(g, NS_PW_MUL, (int[]){loss, weight}, 2, dtype, &loss));
	NS_TRY(ns_dag_reduce(g, loss, NS_REDUCE_SUM, how == 2 ? 2u : (1u << rank) - 1, 0, &loss));
	NS_TRY(ns_dag_formula(g, NS_PW_NEG, &loss, 1, dtype, &m->out[0]));
	if (how)
		return NS_OK;
	NS_TRY(ns_dag_reduce(g, weight, NS_REDUCE_SUM, (1u << rank) - 1, 0, &sum));
	return ns_dag_formula(g, NS_PW_DIV, (int[]){m->out[0], sum}, 2, dtype, &m->out[0]);
}

static enum ns_status loss(struct ns_maker *m)
{
	const struct ns_box x = ns_maker_in(m, 0)->box, t = ns_maker_in(m, 1)->box;
	int scores = m->in[0];

	if (x.rank < 2 || t.rank != x.rank - 1 || x.rank == NS_RANK)
		return ns_fail(NS_INVALID, "scores of %d axes and labels of %d", x.rank, t.rank);
	if (m->row->what)
		NS_TRY(ns_dag_along(m->dag, scores, NS_ALONG_LOGSOFTMAX, 1, 2, &scores));
	m->out[1] = scores;
	return likelihood(m, scores, m->in[1], ns_maker_has(m, 2) ? m->in[2] : -1);
}

#define REDUCE(name, how)                                                                                                                            \
	{                                                                                                                                            \
		"Reduce" name, reduce, 1, 2, NS_REDUCE_##how, "axes keepdims noop_with_empty_axes"                                                   \
	}

const struct ns_onnx_row ns_onnx_reduce[] = {
	REDUCE("Sum", SUM),
	REDUCE("Mean", MEAN),
	REDUCE("Max", MAX),
	REDUCE("Min", MIN),
	REDUCE("Prod", PROD),
	REDUCE("L1", L1),
	REDUCE("L2", L2),
	REDUCE("LogSum", LOGSUM),
	REDUCE("LogSumExp", LOGSUMEXP),
	REDUCE("SumSquare", SUMSQUARE),
	{"ArgMax", arg_reduce, 1, 1, NS_REDUCE_ARGMAX, "axis keepdims select_last_index"},
	{"ArgMin", arg_reduce, 1, 1, NS_REDUCE_ARGMIN, "axis keepdims select_last_index"},
	{"GlobalAveragePool", global_pool, 1, 1, NS_REDUCE_MEAN, ""},
	{"GlobalMaxPool", global_pool, 1, 1, NS_REDUCE_MAX, ""},
	{"Softmax", softmax, 1, 1, NS_ALONG_SOFTMAX, "axis"},
	{"LogSoftmax", softmax, 1, 1, NS_ALONG_LOGSOFTMAX, "axis"},
	{"Hardmax", softmax, 1, 1, NS_ALONG_HARDMAX, "axis"},
	{"CumSum", cumsum, 2, 2, 0, "exclusive reverse"},
	{"BatchNormalization", batch_norm, 5, 5, 0, "epsilon momentum spatial training_mode is_test consumed_inputs"},
	{"InstanceNormalization", instance_norm, 3, 3, 0, "epsilon consumed_inputs"},
	{"LayerNormalization", layer_norm, 2, 3, 0, "axis epsilon stash_type"},
	{"RMSNormalization", rms_norm, 2, 2, 0, "axis epsilon stash_type"},
	{"LpNormalization", lp_norm, 1, 1, 0, "axis p"},
	{"GroupNormalization", group_norm, 3, 3, 0, "num_groups epsilon stash_type"},
	{"MeanVarianceNormalization", mean_variance, 1, 1, 0, "axes"},
	{"NegativeLogLikelihoodLoss", loss, 2, 3, 0, "ignore_index reduction"},
	{"SoftmaxCrossEntropyLoss", loss, 2, 3, 1, "ignore_index reduction"},
	{0},
};
