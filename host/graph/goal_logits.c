/* host/graph/goal_logits.c - logits of a file whose outputs are probabilities: what its own softmax or logistic function reads, or the logarithms of what they make. */
#include "host/graph/exec_inner.h"
#include "host/graph/goal_inner.h"
#include "host/onnx/onnx.h"
#include "kernels/formula/pointwise.h"

/* What a softmax over all classes makes its outputs of; the value itself where none does. */
static int before_softmax(const struct ns_dag *d, int value, int classes, int64_t inner)
{
	int i, root = ns_dag_at(d, value)->same_as >= 0 ? ns_dag_at(d, value)->same_as : value;

	for (i = d->node_count - 1; i >= 0; i--) {
		const struct ns_dag_node *n = &d->nodes[i];

		if (n->out[0] == root)
			return n->op.kind == NS_OP_ALONG && n->op.u.along.how == NS_ALONG_SOFTMAX && n->op.u.along.n == classes &&
					       n->op.u.along.inner == inner
				       ? n->in[0]
				       : value;
	}
	return value;
}

/* Logits as they are before a softmax of the file's own: cross-entropy has one. */
enum ns_status ns_goal_logits(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, int *logits)
{
	struct ns_arch plain = m->net.arch;
	int value;

	plain.probabilities = 0;
	NS_TRY(ns_foreign_logits(d, m->onnx, &plain, n, outputs, logits));
	if (!m->net.arch.probabilities)
		return NS_OK;
	value = before_softmax(d, *logits, plain.classes, 1);
	if (value != *logits)
		return ns_dag_view(d, value, &(struct ns_box){2, {n, plain.classes}}, logits);
	return ns_foreign_logits(d, m->onnx, &m->net.arch, n, outputs, logits);
}

/* What a logistic function makes its outputs of; the value itself where none does. */
static int before_sigmoid(const struct ns_dag *d, int value)
{
	int i, root = ns_dag_at(d, value)->same_as >= 0 ? ns_dag_at(d, value)->same_as : value;

	for (i = d->node_count - 1; i >= 0; i--) {
		const struct ns_dag_node *n = &d->nodes[i];

		if (n->out[0] == root)
			return n->op.kind == NS_OP_POINTWISE && n->ins == 1 && n->op.u.pointwise.steps == 1 &&
					       n->op.u.pointwise.step[0].code == NS_PW_SIGMOID
				       ? n->in[0]
				       : value;
	}
	return value;
}

/* What a node clips or moves, and does nothing else to; -1: it does. */
static int passed_on(const struct ns_dag *d, const struct ns_dag_node *n)
{
	const struct ns_op_pointwise *v = &n->op.u.pointwise;
	int k, from = -1, others = 0;

	if (n->op.kind == NS_OP_MOVE)
		return n->in[0];
	if (n->op.kind != NS_OP_POINTWISE)
		return -1;
	for (k = 0; k < n->ins; k++)
		if (!ns_dag_is_constant(d, n->in[k])) {
			others += from >= 0;
			from = n->in[k];
		}
	for (k = 0; k < v->steps; k++)
		others += v->step[k].code != NS_PW_MIN && v->step[k].code != NS_PW_MAX && v->step[k].code != NS_PW_COPY;
	return others ? -1 : from;
}

enum { OF_NEITHER, OF_SOFTMAX, OF_SIGMOID };

/* What made probabilities of it before it was turned or clipped. */
static int comes_from(const struct ns_dag *d, int value)
{
	int i, root = ns_dag_at(d, value)->same_as >= 0 ? ns_dag_at(d, value)->same_as : value;

	for (i = d->node_count - 1; i >= 0; i--) {
		const struct ns_dag_node *n = &d->nodes[i];

		if (n->out[0] != root)
			continue;
		if (n->op.kind == NS_OP_ALONG)
			return n->op.u.along.how == NS_ALONG_SOFTMAX ? OF_SOFTMAX : OF_NEITHER;
		if (n->op.kind == NS_OP_POINTWISE && n->ins == 1 && n->op.u.pointwise.step[n->op.u.pointwise.steps - 1].code == NS_PW_SIGMOID)
			return OF_SIGMOID;
		value = passed_on(d, n);
		if (value < 0)
			return OF_NEITHER;
		root = ns_dag_at(d, value)->same_as >= 0 ? ns_dag_at(d, value)->same_as : value;
	}
	return OF_NEITHER;
}

/* Logits of a value of this box: what its softmax reads, or, where that is not the last that is done, the logarithm of its probabilities. */
enum ns_status ns_goal_before_softmax(struct ns_dag *d, int x, int classes, int64_t inner, int *y)
{
	static const double least[] = {1e-30};
	const struct ns_box b = ns_dag_at(d, x)->box;
	int value = before_softmax(d, x, classes, inner);

	if (value != x)
		return ns_dag_view(d, value, &b, y);
	*y = x;
	if (comes_from(d, x) != OF_SOFTMAX)
		return NS_OK;
	NS_TRY(ns_dag_formula_of(d, NS_PW_MAX, x, least, 1, NS_F32, y));
	return ns_dag_formula(d, NS_PW_LOG, y, 1, NS_F32, y);
}

/* The same of a logistic function: log p - log(1 - p). */
enum ns_status ns_goal_before_sigmoid(struct ns_dag *d, int x, int *y)
{
	static const double low[] = {1e-7}, high[] = {1 - 1e-7}, one[] = {1};
	const struct ns_box b = ns_dag_at(d, x)->box;
	int value = before_sigmoid(d, x), rest;

	if (value != x)
		return ns_dag_view(d, value, &b, y);
	*y = x;
	if (comes_from(d, x) != OF_SIGMOID)
		return NS_OK;
	NS_TRY(ns_dag_formula_of(d, NS_PW_MAX, x, low, 1, NS_F32, &x));
	NS_TRY(ns_dag_formula_of(d, NS_PW_MIN, x, high, 1, NS_F32, &x));
	NS_TRY(ns_dag_formula_of(d, NS_PW_SUB, x, one, 1, NS_F32, &rest));
	NS_TRY(ns_dag_formula(d, NS_PW_NEG, &rest, 1, NS_F32, &rest));
	NS_TRY(ns_dag_formula(d, NS_PW_DIV, (int[]){x, rest}, 2, NS_F32, y));
	return ns_dag_formula(d, NS_PW_LOG, y, 1, NS_F32, y);
}
