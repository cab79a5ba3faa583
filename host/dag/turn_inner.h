/* host/dag/turn_inner.h - images of (N, C, H, W), box b, become those whose channels are last. */
#ifndef NS_DAG_TURN_INNER_H
#define NS_DAG_TURN_INNER_H

#include "host/dag/dag.h"

int ns_box_equal(const struct ns_box *a, const struct ns_box *b);
/* (N, H, W, C) */
struct ns_box ns_turned_box(const struct ns_box *b);
/* Are both the same bytes? */
int ns_turn_is_same(const struct ns_box *b);
/* The strides of each axis of (N, C, H, W), and those of the same axes where channels are last. */
void ns_turn_strides(const struct ns_box *b, int64_t from[4], int64_t to[4]);
/* Places offset + p . stride, p in `dim`; 0: they step across axes, and nothing was changed. */
int ns_turn_places(const struct ns_box *b, int rank, const int64_t *dim, int64_t *stride, int64_t *offset);
/* The same of one side of a MOVE; from: it reads the image, else it writes it. */
int ns_turn_side(struct ns_op_move *v, const struct ns_box *b, int from);
/* Axes of a MOVE in the order in which they are written, those of one place last or gone. */
void ns_sort_axes(struct ns_op_move *v);
/* A list of something of each axis. */
void ns_turn_list(int64_t *list);
/* (outer, n, inner) of an axis; 0: they are of none. */
int ns_turn_line(const struct ns_box *b, int64_t *outer, int64_t n, int64_t *inner);

#endif
