/* host/dag/dag_inner.h - what the files of this room share. */
#ifndef NS_DAG_INNER_H
#define NS_DAG_INNER_H

#include "host/dag/dag.h"

#define NS_DAG_NOWHERE (~(size_t)0)
#define NS_DAG_GIVEN   ((size_t)1) /* of a place, while places are looked for: they are multiples of 64 */

/* The value in whose memory this one lies; -1 of -1. */
static inline int ns_dag_root(const struct ns_dag *d, int value)
{
	return value < 0 || d->values[value].same_as < 0 ? value : d->values[value].same_as;
}

struct ns_dag_use {					 /* of each value, with its views */
	int readers, last_reader, writers, writer, kept; /* nodes, each once; kept: an output */
};

/* uses: zeros, one a value */
void ns_dag_count_uses(const struct ns_dag *dag, const int *outputs, int n, struct ns_dag_use *uses);
/* A POINTWISE that computes in f32 and makes f32. */
int ns_dag_is_float_program(const struct ns_dag_node *node);

struct ns_dag_packed { /* weights that were packed, and as what */
	int weights, made;
	int64_t groups, c, k, by_k, by_c;
};
struct ns_dag_packs { /* the caller frees the list */
	struct ns_dag_packed *list;
	int count;
};

/*
 * The weights of a convolution, constants as (groups * K, C, taps), as another constant, packed (kernels/formula/packed.h). strides: NULL, or of one tap and one group those of k
 * and c, where they lie otherwise. What was packed before in the same way is not packed again.
 */
enum ns_status ns_dag_pack(struct ns_dag *dag, struct ns_dag_packs *packs, const struct ns_op_convolve *v, int weights, const int64_t *strides,
			   int *made);
/* Is it a product of rows, a of this box, with one matrix? Then c is the same as a convolution with channels last, and strides are those of its weights. */
int ns_dag_is_rows(const struct ns_op_contract *v, const struct ns_box *a, struct ns_op_convolve *c, int64_t strides[2]);

/*
 * Places in one piece of memory of *bytes for what nodes write, of those nodes that run (runs, one a node): at (values), NS_DAG_NOWHERE of a value that no
 * such node writes. outputs stay whole to the end.
 */
enum ns_status ns_dag_place(const struct ns_dag *dag, const char *runs, const int *outputs, int n, size_t *at, size_t *bytes);

#endif
