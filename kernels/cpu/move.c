/* kernels/cpu/move.c - elements to other places: axes that both sides walk as one are one, and what lies in one piece is copied in one. */
#include <string.h>

#include "kernels/cpu/cpu.h"

#define SQUARE 32

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

/* Two axes, m and n: where the inner one is read across rows, in squares of what a cache holds; where it is short, along the other one. */
static void plane(int bytes, int64_t m, int64_t n, const char *from, const int64_t from_stride[2], char *to, const int64_t to_stride[2])
{
	int64_t i, j, k;

	if (n < 16 && m > n) {
		for (j = 0; j < n; j++)
			row(bytes, m, from + j * from_stride[1] * bytes, from_stride[0], to + j * to_stride[1] * bytes, to_stride[0]);
		return;
	}
	for (j = 0; j < n; j += SQUARE)
		for (i = 0; i < m; i += SQUARE)
			for (k = i; k < m && k < i + SQUARE; k++)
				row(bytes, n - j < SQUARE ? n - j : SQUARE, from + (k * from_stride[0] + j * from_stride[1]) * bytes, from_stride[1],
				    to + (k * to_stride[0] + j * to_stride[1]) * bytes, to_stride[1]);
}

/* Is it better done a plane at a time? */
static int by_planes(const struct ns_op_move *v)
{
	int axis = v->box.rank - 1;

	if (axis < 1)
		return 0;
	if (v->from_stride[axis] == 1 && v->to_stride[axis] == 1)
		return v->box.dim[axis] < 4 && v->box.dim[axis - 1] > v->box.dim[axis];
	return v->from_stride[axis - 1] == 1 || (v->box.dim[axis] < 16 && v->box.dim[axis - 1] > v->box.dim[axis]);
}

static enum ns_status move_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_move *v = &ns_cpu_op(plan)->u.move;
	int64_t i, rows = 1, at[NS_RANK] = {0}, from = v->from, to = v->to;
	int d, planes = by_planes(v), axis = v->box.rank - 1 - planes;

	(void)queue;
	for (d = 0; d < axis; d++)
		rows *= v->box.dim[d];
	for (i = 0; v->box.dim[axis] > 0 && i < rows; i++) {
		const char *x = (const char *)a->in[NS_MOVE_X] + from * v->bytes;
		char *y = (char *)a->out[NS_MOVE_Y] + to * v->bytes;

		if (planes)
			plane(v->bytes, v->box.dim[axis], v->box.dim[axis + 1], x, v->from_stride + axis, y, v->to_stride + axis);
		else
			row(v->bytes, v->box.dim[axis], x, v->from_stride[axis], y, v->to_stride[axis]);
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
