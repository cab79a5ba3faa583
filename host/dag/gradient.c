/*
 * host/dag/gradient.c - gradients are nodes of the same graph: from the last node to the first, each op's rule carries what flows into its output on to its inputs. Where
 * several readers send back, the sum is in the order of the nodes, so the bits are the same on every run.
 */
#include <stdlib.h>
#include <string.h>

#include "host/dag/gradient_inner.h"

static ns_gradient_rule *const rules[NS_OP_KINDS] = {
	[NS_OP_POINTWISE] = ns_gradient_pointwise, [NS_OP_MOVE] = ns_gradient_move,	      [NS_OP_REDUCE] = ns_gradient_reduce,
	[NS_OP_CONTRACT] = ns_gradient_contract,   [NS_OP_CONVOLVE] = ns_gradient_convolve,   [NS_OP_POOL_ND] = ns_gradient_pool,
	[NS_OP_RESAMPLE] = ns_gradient_resample,   [NS_OP_INDEX] = ns_gradient_index,	      [NS_OP_ALONG] = ns_gradient_along,
	[NS_OP_TOPK] = ns_gradient_topk,	   [NS_OP_RECURRENT] = ns_gradient_recurrent,
};

/* --- what depends on what is asked for --- */

static void mark(struct ns_backward *b, const int *of, int n)
{
	const struct ns_dag *d = b->dag;
	int i, k, any;

	for (i = 0; i < n; i++)
		b->needs[ns_dag_root(d, of[i])] = 1;
	for (i = 0; i < d->node_count; i++) {
		const struct ns_dag_node *node = &d->nodes[i];

		for (any = 0, k = 0; k < node->ins; k++)
			any |= ns_backward_wants(b, node->in[k]);
		for (k = 0; k < node->outs; k++) {
			int root = ns_dag_root(d, node->out[k]);

			if (root < 0)
				continue;
			b->needs[root] |= any && ns_dtype_is_float(d->values[root].dtype);
			b->last_writer[root] = i;
			b->written[root] += node->op.kind == NS_OP_MOVE ? ns_box_count(&node->op.u.move.box) : ns_box_count(&d->values[root].box);
		}
	}
}

static enum ns_status allocate(struct ns_backward *b)
{
	size_t n = (size_t)b->values + 1;
	int i;

	b->needs = calloc(n, sizeof *b->needs);
	b->gradient = calloc(n, sizeof *b->gradient);
	b->last_writer = calloc(n, sizeof *b->last_writer);
	b->written = calloc(n, sizeof *b->written);
	if (!b->needs || !b->gradient || !b->last_writer || !b->written)
		return ns_fail(NS_NO_MEMORY, "out of memory for the gradient of a graph of %d values", b->values);
	for (i = 0; i < b->values; i++)
		b->gradient[i] = -1;
	return NS_OK;
}

static enum ns_status one_node(struct ns_backward *b, int index)
{
	const struct ns_dag_node node = b->dag->nodes[index];
	int k, wanted = 0, g = node.outs ? b->gradient[ns_dag_root(b->dag, node.out[0])] : -1, arrives = g >= 0,
	       states = node.op.kind == NS_OP_RECURRENT;

	for (k = 0; k < node.ins; k++)
		wanted |= ns_backward_wants(b, node.in[k]);
	for (k = 1; wanted && k < node.outs; k++) { /* indices have none, and others than these and the states of recurrent layers have one output */
		int more = node.out[k] >= 0 && b->gradient[ns_dag_root(b->dag, node.out[k])] >= 0;

		if (more && !states)
			return ns_fail(NS_DECLINED, "%s: output %d has no gradient here", ns_op_name(node.op.kind), k);
		arrives |= more;
	}
	if (!wanted || !arrives)
		return NS_OK;
	if (!rules[node.op.kind])
		return ns_fail(NS_DECLINED, "%s has no gradient here", ns_op_name(node.op.kind));
	return rules[node.op.kind](b, index, &node, g);
}

enum ns_status ns_dag_gradient(struct ns_dag *dag, int y, int dy, const int *of, int n, int *gradients)
{
	struct ns_backward b = {.dag = dag, .values = dag->value_count};
	enum ns_status status;
	int i;

	NS_GO(allocate(&b));
	mark(&b, of, n);
	if (ns_backward_wants(&b, y))
		NS_GO(ns_backward_add(&b, y, dy));
	for (i = dag->node_count - 1; i >= 0; i--)
		NS_GO(one_node(&b, i));
	for (i = 0; i < n; i++) {
		const struct ns_dag_value *v = ns_dag_at(dag, of[i]);

		gradients[i] = b.gradient[ns_dag_root(dag, of[i])];
		NS_GO(gradients[i] >= 0 ? ns_dag_view(dag, gradients[i], &v->box, &gradients[i])
					: ns_dag_fill(dag, v->dtype, &v->box, 0, &gradients[i]));
	}
out:
	free(b.needs);
	free(b.gradient);
	free(b.last_writer);
	free(b.written);
	return status;
}
