/* host/dag/gradient_steps.c - recurrent layers: one op carries what comes back to all steps, and to the last states, on to inputs, weights and first states. */
#include "host/dag/gradient_inner.h"

static int came_back(const struct ns_backward *b, const struct ns_dag_node *n, int out)
{
	return n->outs > out && n->out[out] >= 0 ? b->gradient[ns_dag_root(b->dag, n->out[out])] : -1;
}

enum ns_status ns_gradient_recurrent(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	static const int by[] = {NS_RECURRENT_X, NS_RECURRENT_W, NS_RECURRENT_R, NS_RECURRENT_B, NS_RECURRENT_H0, NS_RECURRENT_C0};
	struct ns_op op = n->op;
	int in[NS_OP_MAX_IN], out[6], k;

	(void)index;
	(void)g;
	if (n->op.u.recurrent.has[NS_RECURRENT_P])
		return ns_fail(NS_DECLINED, "recurrent: with peepholes it has no gradient here");
	op.kind = NS_OP_RECURRENT_BACK;
	for (k = 0; k < 8; k++)
		in[k] = k < n->ins ? n->in[k] : -1;
	for (k = 0; k < 3; k++)
		in[NS_RECURRENT_DY + k] = came_back(b, n, k);
	for (k = 0; k < 6; k++) {
		out[k] = -1;
		if (ns_backward_wants(b, in[by[k]]))
			NS_TRY(ns_dag_value(b->dag, NS_F32, &ns_dag_at(b->dag, in[by[k]])->box, in, 11, &out[k]));
	}
	for (k = 0; k < 6 && out[k] < 0; k++)
		;
	if (k == 6)
		return NS_OK;
	NS_TRY(ns_dag_add(b->dag, &op, in, 11, out, 6));
	for (k = 0; k < 6; k++)
		if (out[k] >= 0)
			NS_TRY(ns_backward_add(b, in[by[k]], out[k]));
	return NS_OK;
}
