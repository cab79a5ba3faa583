/* host/onnx/import_inner.h - what makers of nodes share: each turns one node into ops of a graph. */
#ifndef NS_ONNX_IMPORT_INNER_H
#define NS_ONNX_IMPORT_INNER_H

#include "host/dag/dag.h"
#include "host/onnx/onnx.h"
#include "kernels/formula/pointwise.h"

#define NS_ONNX_INS 64 /* inputs or outputs of a node that are held at once */

struct ns_onnx_row;
struct ns_maker { /* of one node */
	const struct ns_onnx *o;
	struct ns_dag *dag;
	const struct ns_onnx_node *node;
	const struct ns_onnx_row *row;
	const int *given; /* of each tensor of the file: a value of the graph in its place, counted from 1; 0: none. NULL: of none */
	int *batch;	  /* see ns_onnx_graph_given() */
	int opset, ins, outs;
	int in[NS_ONNX_INS], out[NS_ONNX_INS]; /* values of the graph; -1: left out. out: what the maker makes */
	unsigned char wanted[NS_ONNX_INS];     /* outputs that have a name */
};

/*
 * A maker returns NS_DECLINED, with the reason as its message, where this version does not compute the node, and NS_INVALID for one that is wrong. Outputs that
 * nobody names need not be made.
 */
typedef enum ns_status ns_onnx_maker(struct ns_maker *m);

struct ns_onnx_row {
	const char *op;
	ns_onnx_maker *make;
	int least, most;	/* inputs */
	int what;		/* the maker's own parameter */
	const char *attributes; /* that it may have */
};
extern const struct ns_onnx_row ns_onnx_math[], ns_onnx_shape[], ns_onnx_fresh[], ns_onnx_reduce[], ns_onnx_window[], ns_onnx_index[],
	ns_onnx_matrix[], ns_onnx_place[]; /* to a row without a name */

/* Attributes: of another kind than asked for is NS_INVALID. */
const struct ns_onnx_attribute *ns_maker_attribute(const struct ns_maker *m, const char *name);
enum ns_status ns_maker_int(const struct ns_maker *m, const char *name, int64_t fallback, int64_t *value);
enum ns_status ns_maker_float(const struct ns_maker *m, const char *name, double fallback, double *value);
enum ns_status ns_maker_text(const struct ns_maker *m, const char *name, const char *fallback, struct ns_onnx_text *value);
/* values NULL: it is not there */
enum ns_status ns_maker_ints(const struct ns_maker *m, const char *name, const int64_t **values, int *count);
/* One of a list of words, that ends with NULL. */
enum ns_status ns_maker_word(const struct ns_maker *m, const char *name, const char *const *words, int fallback, int *which);
/* The input that has this number, as whole numbers; NS_DECLINED where it is known only when the graph runs. count -1: it is left out. */
enum ns_status ns_maker_list(const struct ns_maker *m, int input, int64_t *values, int most, int *count);
/* Axes of an attribute, or from an opset on of an input; all of them where there is neither. */
enum ns_status ns_maker_axes(const struct ns_maker *m, int rank, int input, int since, unsigned *axes, int *count);
enum ns_status ns_maker_axis(const struct ns_maker *m, int64_t axis, int rank, int *which);
/* round(sum * sx * sw / sy) + zy, saturated: sums of whole numbers, scaled by inputs 1 (sx), 6 (sy) and 7 (zy) and by sw, which goes with the sums' shape. */
enum ns_status ns_maker_requantize(struct ns_maker *m, int sum, int sw, int *y);
/* NS_INVALID unless both have one shape: parameters may not make what they are applied to larger. */
enum ns_status ns_maker_same_box(const struct ns_maker *m, int a, int b);
/* Tensor `index` of the file as a constant of the graph, or what is given in its place. */
enum ns_status ns_maker_tensor(const struct ns_onnx *o, struct ns_dag *dag, const int *given, int index, int *value);

static inline const struct ns_dag_value *ns_maker_in(const struct ns_maker *m, int k)
{
	return ns_dag_at(m->dag, m->in[k]);
}

static inline int ns_maker_has(const struct ns_maker *m, int k)
{
	return k < m->ins && m->in[k] >= 0;
}

#endif
