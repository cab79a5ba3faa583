/*
 * host/dag/join.c - a formula that alone reads a convolution, element by element, becomes one op with it, where the formula stood: the convolution is never stored.
 */
#include <stdlib.h>

#include "host/dag/dag_inner.h"

/* The input of a formula that is such a convolution, of several the last one made; -1: none. */
static int convolution_of(const struct ns_dag *d, const struct ns_dag_use *uses, const struct ns_dag_node *n)
{
	int k, i, best = -1, at = -1;

	for (k = 0; k < n->ins; k++) {
		const int root = ns_dag_root(d, n->in[k]);
		const struct ns_dag_use *u = &uses[root];
		int times = 0;

		for (i = 0; i < n->ins; i++)
			times += ns_dag_root(d, n->in[i]) == root;
		if (d->values[root].data || d->values[root].input >= 0 || u->kept || u->readers != 1 || u->writers != 1 || times != 1 ||
		    u->writer < at)
			continue;
		if (d->nodes[u->writer].op.kind != NS_OP_CONVOLVE || !d->nodes[u->writer].op.u.convolve.last ||
		    !ns_pointwise_is_dense(&n->op.u.pointwise, k) || ns_box_count(&d->values[root].box) != ns_box_count(&n->op.u.pointwise.out))
			continue;
		best = k;
		at = u->writer;
	}
	return best;
}

enum ns_status ns_dag_join(struct ns_dag *d, const int *outputs, int n)
{
	struct ns_dag_use *uses = calloc((size_t)d->value_count + 1, sizeof *uses);
	int j, k, self;

	if (!uses)
		return ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d values", d->value_count);
	ns_dag_count_uses(d, outputs, n, uses);
	for (j = 0; j < d->node_count; j++) {
		struct ns_dag_node old = d->nodes[j], *first, *joint = &d->nodes[j];

		if (!ns_dag_is_float_program(&old) || old.ins > NS_OP_MAX_IN - NS_THEN_IN + 1 || (self = convolution_of(d, uses, &old)) < 0)
			continue;
		first = &d->nodes[uses[ns_dag_root(d, old.in[self])].writer];
		joint->op = (struct ns_op){.kind = NS_OP_CONVOLVE_THEN,
					   .u.convolve_then = {.convolve = first->op.u.convolve, .program = old.op.u.pointwise, .self = self}};
		for (k = 0; k < NS_THEN_IN; k++)
			joint->in[k] = k < first->ins ? first->in[k] : -1;
		for (joint->ins = NS_THEN_IN, k = 0; k < old.ins; k++)
			if (k != self)
				joint->in[joint->ins++] = old.in[k];
		first->op.kind = NS_OP_KINDS;
	}
	free(uses);
	ns_dag_sweep(d);
	return NS_OK;
}
