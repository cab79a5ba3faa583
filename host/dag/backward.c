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

enum ns_status ns_backward_sum(struct ns_backward *b, int g, unsigned axes, int *y)
{
	const struct ns_box box = ns_dag_at(b->dag, g)->box;
	unsigned run;
	int d = box.rank - 1;

	for (*y = g; d >= 0; d--) {
		for (run = 0; d >= 0 && (axes >> d & 1 || (run && box.dim[d] == 1)); d--)
			run |= 1u << d;
		if (run)
			NS_TRY(ns_dag_reduce(b->dag, *y, NS_REDUCE_SUM, run, 1, y));
	}
	return NS_OK;
}
