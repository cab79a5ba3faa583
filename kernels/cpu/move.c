/* kernels/cpu/move.c - elements to other places: axes that both sides walk as one are one, and what lies in one piece is copied in one. */
#include <string.h>

#include "kernels/cpu/cpu.h"

#define ROW(type)                                                                                                                                    \
	for (i = 0; i < n; i++)                                                                                                                      \
	((type *)to)[i * to_stride] = ((const type *)from)[i * from_stride]

static void row(int bytes, int64_t n, const char *from, int64_t from_stride, char *to, int64_t to_stride)
{
	int64_t i;

	if (from_stride == 1 && to_stride == 1)
		memcpy(to, from, (size_t)(n * bytes));
	else if (bytes == 4)
		ROW(uint32_t);
	else if (bytes == 8)
		ROW(uint64_t);
	else if (bytes == 2)
		ROW(uint16_t);
	else
		ROW(uint8_t);
}

static enum ns_status move_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_move *v = &ns_cpu_op(plan)->u.move;
	int64_t i, rows = 1, at[NS_RANK] = {0}, from = v->from, to = v->to;
	int d, axis = v->box.rank - 1;

	(void)queue;
	for (d = 0; d < axis; d++)
		rows *= v->box.dim[d];
	for (i = 0; v->box.dim[axis] > 0 && i < rows; i++) {
		row(v->bytes, v->box.dim[axis], (const char *)a->in[NS_MOVE_X] + from * v->bytes, v->from_stride[axis],
		    (char *)a->out[NS_MOVE_Y] + to * v->bytes, v->to_stride[axis]);
		for (d = axis - 1; d >= 0; d--) {
			from += v->from_stride[d];
			to += v->to_stride[d];
			if (++at[d] < v->box.dim[d])
				break;
			from -= v->from_stride[d] * v->box.dim[d];
			to -= v->to_stride[d] * v->box.dim[d];
			at[d] = 0;
		}
	}
	return NS_OK;
}

static enum ns_status move_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	struct ns_op own = *op;

	(void)dev;
	if (op->u.move.rule != NS_MOVE_PLAIN)
		return NS_DECLINED;
	ns_move_collapse(&own.u.move);
	return ns_plain_plan_make(plan, &own, 0, move_run);
}

const struct ns_impl ns_cpu_move = {"move/rows", NS_OP_MOVE, move_make};
