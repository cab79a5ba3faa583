/*
 * host/dag/dag.h - graphs of ops on tensors of known shapes.
 *
 * Values are numbered as they are made; a value is a constant (its data are on the host), an input, or written by nodes. A node whose inputs are all constants
 * is computed as it is added and does not stay. Functions return NS_INVALID where shapes or types do not go together, with a message that says which.
 */
#ifndef NS_DAG_H
#define NS_DAG_H

#include "kernels/backend.h"

struct ns_dag_value {
	enum ns_dtype dtype;
	struct ns_box box;
	void *data; /* of a constant; NULL: known when the graph runs */
	int owned;
	int same_as; /* the value in whose memory it lies, with another shape; -1 */
	int input;   /* its number among the inputs; -1 */
};

struct ns_dag_node {
	struct ns_op op;
	int in[NS_OP_MAX_IN], out[NS_OP_MAX_OUT], ins, outs;
};

struct ns_dag {
	struct ns_dag_value *values;
	struct ns_dag_node *nodes;
	int value_count, node_count, inputs, value_room, node_room;
	int64_t constant_bytes; /* of those that it owns, less those that a file holds */
	/* Steps that computing constants took, and may take: a few nodes of a hostile file could ask for any number. */
	double constant_work, work_most;
	struct ns_device *device; /* ref, for what is constant */
	struct ns_queue *queue;
};

enum ns_status ns_dag_make(struct ns_dag **dag);
void ns_dag_free(struct ns_dag *dag);

/* A dense tensor: data are copied, or zero where they are NULL. */
enum ns_status ns_dag_constant(struct ns_dag *dag, enum ns_dtype dtype, const struct ns_box *box, const void *data, int *value);
/* The same, of memory that stays where it is as long as the graph. */
enum ns_status ns_dag_borrow(struct ns_dag *dag, enum ns_dtype dtype, const struct ns_box *box, const void *data, int *value);
enum ns_status ns_dag_input(struct ns_dag *dag, enum ns_dtype dtype, const struct ns_box *box, int *value);
/* One that nodes are to write: `like` lists values on which it depends, which decides whether it is a constant. */
enum ns_status ns_dag_value(struct ns_dag *dag, enum ns_dtype dtype, const struct ns_box *box, const int *like, int n, int *value);
enum ns_status ns_dag_view(struct ns_dag *dag, int value, const struct ns_box *box, int *view);
/* Takes steps from what may be spent on constants; NS_INVALID where they are used up. */
enum ns_status ns_dag_spend(struct ns_dag *dag, double steps);
enum ns_status ns_dag_add(struct ns_dag *dag, const struct ns_op *op, const int *in, int ins, const int *out, int outs);

const struct ns_dag_value *ns_dag_at(const struct ns_dag *dag, int value);
int ns_dag_is_constant(const struct ns_dag *dag, int value);
/* Element i of a constant. */
double ns_dag_number(const struct ns_dag *dag, int value, int64_t i);
int64_t ns_dag_whole(const struct ns_dag *dag, int value, int64_t i);

/* --- build: what is commonly wanted --- */

/* A program under construction: registers are numbered as they come. */
struct ns_program {
	struct ns_op_pointwise v;
	int in[NS_POINTWISE_IN];
	int failed; /* there was no room for it */
};
void ns_program_begin(struct ns_program *p);
/* All inputs first, then all constants, then steps. */
int ns_program_input(struct ns_program *p, int value);
int ns_program_constant(struct ns_program *p, double constant);
int ns_program_step(struct ns_program *p, int code, int a, int b, int c);
/*
 * Broadcasts as NumPy does. It computes in f64 where an input is, or where floats meet whole numbers of 32 bits and more; in f32 where one is a float; else in
 * whole numbers.
 */
enum ns_status ns_dag_program(struct ns_dag *dag, struct ns_program *p, enum ns_dtype dtype, int *y);
/* One formula of one to three values. */
enum ns_status ns_dag_formula(struct ns_dag *dag, int code, const int *values, int n, enum ns_dtype dtype, int *y);
/* One formula of a value and up to two numbers. */
enum ns_status ns_dag_formula_of(struct ns_dag *dag, int code, int value, const double *constants, int n, enum ns_dtype dtype, int *y);
enum ns_status ns_dag_cast(struct ns_dag *dag, int x, enum ns_dtype dtype, int *y);
enum ns_status ns_dag_fill(struct ns_dag *dag, enum ns_dtype dtype, const struct ns_box *box, double number, int *y);
/* `count` zeros that are written when the graph runs, and take no room before; constant only where `beside` is. */
enum ns_status ns_dag_zeros(struct ns_dag *dag, enum ns_dtype dtype, int64_t count, int beside, int *y);
enum ns_status ns_dag_broadcast(const struct ns_box *a, const struct ns_box *b, struct ns_box *out);
enum ns_status ns_dag_reduce(struct ns_dag *dag, int x, int how, unsigned axes, int keep, int *y);
/* The same, axes kept, of sums, means and extremes: one run of neighbouring axes after the other, as a device is fast at that. */
enum ns_status ns_dag_reduce_runs(struct ns_dag *dag, int x, int how, unsigned axes, int *y);
/* Matrices of the last two axes, batches of those before, which broadcast. turned: bit 0: of a, bit 1: of b, rows and columns change places. */
enum ns_status ns_dag_matmul(struct ns_dag *dag, int a, int b, unsigned turned, enum ns_dtype out, int *y);
enum ns_status ns_dag_along(struct ns_dag *dag, int x, int how, int first, int last, int *y); /* axes first to last - 1 are one */

/* --- shape: other places --- */

enum ns_status ns_dag_transpose(struct ns_dag *dag, int x, const int *order, int *y);
/* y[p] = x[start + p * step] */
enum ns_status ns_dag_slice(struct ns_dag *dag, int x, const int64_t *start, const int64_t *step, const struct ns_box *box, int *y);
enum ns_status ns_dag_concat(struct ns_dag *dag, const int *x, int n, int axis, int *y);
enum ns_status ns_dag_expand(struct ns_dag *dag, int x, const struct ns_box *box, int *y);
/* rule: NS_MOVE_PLAIN fills with `fill`, a value of one element, or -1 for 0; negative pads crop. */
enum ns_status ns_dag_pad(struct ns_dag *dag, int x, const int64_t *before, const int64_t *after, int rule, int fill, int *y);

/* --- rewrites: for inference --- */

/* What scales and shifts channels after a convolution of known weights goes into them: equal but for rounding. Before ns_dag_fuse(). */
enum ns_status ns_dag_fold_affine(struct ns_dag *dag, const int *outputs, int n);
/* Nodes that a rewrite has marked as gone (their kind is NS_OP_KINDS) go. */
void ns_dag_sweep(struct ns_dag *dag);

/* Chains of f32 formulas become one node each; outputs stay. The bits of what is computed on ref do too. */
enum ns_status ns_dag_fuse(struct ns_dag *dag, const int *outputs, int n);

/* What is written as several formulas, and is one. After ns_dag_fuse(). */
void ns_dag_shorten(struct ns_dag *dag);
/* Convolutions of known weights, and what stands between them, take images with channels last: equal but for rounding. After the others. */
enum ns_status ns_dag_channels_last(struct ns_dag *dag, const int *outputs, int n);
/* A formula that alone reads a convolution with channels last becomes one op with it. */
enum ns_status ns_dag_join(struct ns_dag *dag, const int *outputs, int n);
/* All that this backend is faster with. */
enum ns_status ns_dag_for_inference(struct ns_dag *dag, const struct ns_backend *backend, const int *outputs, int n);

/* --- gradient: for training, before rewrites --- */

/*
 * Adds nodes that make the gradient of the sum of y * dy by each of n values, of that value's shape; 0 where nothing flows. NS_DECLINED, with the reason, where an op on the way
 * has none.
 */
enum ns_status ns_dag_gradient(struct ns_dag *dag, int y, int dy, const int *of, int n, int *gradients);

/* --- run --- */

struct ns_dag_exec;
/* Plans on the device of all nodes that `outputs` need, and memory for what they make. */
enum ns_status ns_dag_exec_make(struct ns_dag_exec **exec, const struct ns_dag *dag, struct ns_device *dev, const int *outputs, int n);
void ns_dag_exec_free(struct ns_dag_exec *exec);
/* Inputs and outputs in the device's memory, dense; outputs in the order of exec_make. */
enum ns_status ns_dag_exec_run(struct ns_dag_exec *exec, const void *const *inputs, void *const *outputs, struct ns_queue *queue);

#endif
