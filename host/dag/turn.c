/* host/dag/turn.c - places in (N, C, H, W), and where the same elements are in (N, H, W, C). */
#include <stdlib.h>
#include <string.h>

#include "host/dag/turn_inner.h"

struct ns_box ns_turned_box(const struct ns_box *b)
{
	return (struct ns_box){4, {b->dim[0], b->dim[2], b->dim[3], b->dim[1]}};
}

/* Both are the same bytes. */
int ns_turn_is_same(const struct ns_box *b)
{
	return b->dim[1] == 1 || b->dim[2] * b->dim[3] == 1;
}

int ns_box_equal(const struct ns_box *a, const struct ns_box *b)
{
	return a->rank == b->rank && !memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->rank);
}

/* The strides of each axis of (N, C, H, W), and those of the same axes where channels are last. */
void ns_turn_strides(const struct ns_box *b, int64_t from[4], int64_t to[4])
{
	const int64_t *n = b->dim;

	from[3] = 1;
	from[2] = n[3];
	from[1] = n[3] * n[2];
	from[0] = n[3] * n[2] * n[1];
	to[1] = 1;
	to[3] = n[1];
	to[2] = n[1] * n[3];
	to[0] = n[1] * n[3] * n[2];
}

/* The axis along which a step goes. Of those that would do it is the outermost; -1: none. */
static int axis_of_step(const struct ns_box *b, const int64_t from[4], int64_t step)
{
	int a;

	for (a = 0; a < 4; a++)
		if (b->dim[a] > 1 && from[a] <= llabs(step) && step % from[a] == 0)
			return a;
	return -1;
}

/* Places offset + p . stride in (N, C, H, W), p in `dim`, become those with channels last; 0: they step across axes. */
int ns_turn_places(const struct ns_box *b, int rank, const int64_t *dim, int64_t *stride, int64_t *offset)
{
	int64_t from[4], to[4], low[4], high[4], start[4], turned_stride[NS_RANK] = {0}, at = *offset;
	int a, d;

	ns_turn_strides(b, from, to);
	for (a = 0; a < 4; a++) {
		start[a] = low[a] = high[a] = at / from[a];
		at %= from[a];
	}
	for (d = 0; d < rank; d++) {
		int64_t reach;

		if (dim[d] <= 1 || !stride[d])
			continue;
		a = axis_of_step(b, from, stride[d]);
		if (a < 0)
			return 0;
		reach = stride[d] / from[a] * (dim[d] - 1);
		low[a] += reach < 0 ? reach : 0;
		high[a] += reach > 0 ? reach : 0;
		turned_stride[d] = stride[d] / from[a] * to[a];
	}
	for (a = 0, at = 0; a < 4; a++) {
		if (low[a] < 0 || high[a] >= b->dim[a])
			return 0;
		at += start[a] * to[a];
	}
	memcpy(stride, turned_stride, sizeof *stride * (size_t)rank);
	*offset = at;
	return 1;
}

/* One side of a MOVE; from: it reads the value, else it writes it. */
int ns_turn_side(struct ns_op_move *v, const struct ns_box *b, int from)
{
	/* what is read by a rule is a place in `size` */
	return ns_turn_places(b, v->box.rank, from && v->rule != NS_MOVE_PLAIN ? v->size : v->box.dim, from ? v->from_stride : v->to_stride,
			      from ? &v->from : &v->to);
}

/* Axes in the order in which they are written, those of one place last. */
void ns_sort_axes(struct ns_op_move *v)
{
	int d, e;

	for (d = 1; d < v->box.rank; d++)
		for (e = d; e > 0 && v->box.dim[e] > 1 && (v->box.dim[e - 1] == 1 || llabs(v->to_stride[e]) > llabs(v->to_stride[e - 1])); e--) {
			int64_t *const lists[] = {v->box.dim, v->from_stride, v->to_stride, v->begin, v->size};
			size_t k;

			for (k = 0; k < sizeof lists / sizeof *lists; k++) {
				int64_t t = lists[k][e];

				lists[k][e] = lists[k][e - 1];
				lists[k][e - 1] = t;
			}
		}
	while (v->rule == NS_MOVE_PLAIN && v->box.rank > 1 && v->box.dim[v->box.rank - 1] == 1)
		v->box.rank--;
}

/* Axes (N, C, H, W) of a list become (N, H, W, C). */
void ns_turn_list(int64_t *list)
{
	const int64_t c = list[1];

	list[1] = list[2];
	list[2] = list[3];
	list[3] = c;
}

/* (outer, n, inner) of an axis of an image become those with channels last; 0: they are of none. */
int ns_turn_line(const struct ns_box *b, int64_t *outer, int64_t n, int64_t *inner)
{
	int64_t from[4], to[4], elements = ns_box_count(b);
	int a;

	ns_turn_strides(b, from, to);
	for (a = 0; a < 4; a++)
		if (b->dim[a] == n && from[a] == *inner && elements == *outer * n * *inner)
			break;
	if (a == 4)
		return 0;
	*inner = to[a];
	*outer = elements / n / to[a];
	return 1;
}
