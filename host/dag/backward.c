/* host/dag/backward.c - what flows back to each value so far. */
#include "host/dag/gradient_inner.h"
#include "kernels/formula/pointwise.h"

int ns_backward_wants(const struct ns_backward *b, int value)
{
	return value >= 0 && b->needs[ns_dag_root(b->dag, value)];
}

enum ns_status ns_backward_add(struct ns_backward *b, int value, int g)
{
	int root = ns_dag_root(b->dag, value), *sum = &b->gradient[root];

	NS_TRY(ns_dag_cast(b->dag, g, b->dag->values[root].dtype, &g)); /* a Cast passes on what it got, in the type of its output */
	NS_TRY(ns_dag_view(b->dag, g, &b->dag->values[root].box, &g));
	if (*sum < 0) {
		*sum = g;
		return NS_OK;
	}
	return ns_dag_formula(b->dag, NS_PW_ADD, (const int[]){*sum, g}, 2, b->dag->values[root].dtype, sum);
}
