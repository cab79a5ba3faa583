/* kernels/ref/move.c - elements to other places. */
#include "kernels/ref/ref.h"

#include <string.h>

static int64_t by_rule(int rule, int64_t p, int64_t size)
{
	int64_t period = rule == NS_MOVE_REFLECT ? 2 * size - 2 : size;

	if (rule == NS_MOVE_EDGE)
		return p < 0 ? 0 : p >= size ? size - 1 : p;
	if (period < 1)
		return 0;
	p = (p % period + period) % period;
	return p >= size ? period - p : p;
}

static enum ns_status move_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_move *v = &ns_ref_op(plan)->u.move;
	const int64_t *const stride[2] = {v->from_stride, v->to_stride};
	int64_t i, count = ns_box_count(&v->box), at[NS_RANK] = {0}, offset[2] = {v->from, v->to}, from;
	const char *x = a->in[NS_MOVE_X];
	char *y = a->out[NS_MOVE_Y];
	int d;

	(void)queue;
	for (i = 0; i < count; i++) {
		from = offset[0];
		if (v->rule != NS_MOVE_PLAIN)
			for (from = v->from, d = 0; d < v->box.rank; d++)
				from += by_rule(v->rule, at[d] + v->begin[d], v->size[d]) * v->from_stride[d];
		memcpy(y + offset[1] * v->bytes, x + from * v->bytes, (size_t)v->bytes);
		ns_ref_next(&v->box, at, stride, offset, 2);
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_move, "move/ref", NS_OP_MOVE, move_run, 0);
