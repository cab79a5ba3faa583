/*
 * host/graph/exec_inner.h - what a compiled network is made of: for exec.c (buffers and plans), exec_train.c and
 * exec_infer.c alone. Times of buffers: layer i runs forward in step i, backward in step 2 L - i.
 */
#ifndef NS_EXEC_INNER_H
#define NS_EXEC_INNER_H

#include "host/graph/arena_inner.h"
#include "host/graph/graph.h"

struct ns_unit { /* one layer's plans and buffers; buffers are indices, -1: none */
	const struct ns_layer *l;
	struct ns_plan *forward, *backward;
	struct ns_plan *pack_forward, *pack_backward, *to_flat, *from_flat; /* weights of convolutions */
	size_t packed_forward, packed_backward;				    /* offsets */
	int y, z, which, mean, invstd;
	int dx, dres, dy[2]; /* gradients: computed (dx, dres), and received (dy) */
};

struct ns_exec {
	const struct ns_net *net;
	struct ns_device *dev;
	struct ns_queue *queue;
	int n, chunks, training; /* n images at a time; inference takes a batch in chunks of that, see exec_infer.c */
	enum ns_dtype dtype;
	struct ns_unit *units;
	struct ns_plan *loss, *head;
	void *class_weights; /* of the loss; NULL: there are none */
	struct ns_buffer *buffers;
	int buffer_count, buffer_room;
	int image, dlogits;
	int *tensor; /* tensor -> buffer */
	void *memory, *workspace, *folded;
	void *images, *results; /* inference: of the whole batch */
	size_t packed_bytes;
	struct ns_foreign_train *learner; /* training: then there are no units */
	struct ns_foreign *foreign;	  /* inference: the same */
};

struct ns_onnx;
enum ns_status ns_foreign_make(struct ns_foreign **foreign, const struct ns_onnx *onnx, const struct ns_arch *arch, struct ns_device *dev, int n);
/*
 * The graph of an ONNX file for n images (n, h, w, c) of f32, which are put before its own input: their colours turned round and their channels moved, where it takes
 * them so. outputs (onnx->outputs): values, -1 for one that is not there.
 */
struct ns_dag;
/* net: its parameters that learn are inputs too, after the images, in their order; NULL: none are. batch: see ns_onnx_graph_given(). */
enum ns_status ns_foreign_graph(const struct ns_onnx *onnx, const struct ns_arch *arch, const struct ns_net *net, int *batch, int n, int h, int w,
				struct ns_dag **dag, int *outputs);
/* The first output that has as many numbers an image as there are classes, as logits (n, classes). */
enum ns_status ns_foreign_logits(struct ns_dag *dag, const struct ns_onnx *onnx, const struct ns_arch *arch, int n, const int *outputs, int *logits);
/* What the last product of matrices or convolution before `value` reads; -1: there is none. */
int ns_foreign_before_weights(const struct ns_dag *dag, int value);
void ns_foreign_free(struct ns_foreign *foreign);
/* n images (NHWC), logits (n, classes), embedding (n, arch->embedding) */
enum ns_status ns_foreign_run(struct ns_foreign *foreign, const struct ns_arch *arch, int n, const float *images, float *logits, float *embedding,
			      struct ns_queue *queue);

/* Of n rows of `classes` logits, gradients scaled by 1 / batch. */
static inline struct ns_op_xent ns_loss_op(const struct ns_loss *loss, int n, int classes, int batch)
{
	return (struct ns_op_xent){.n = n,
				   .k = classes,
				   .smoothing = loss->smoothing,
				   .scale = 1.0f / (float)batch,
				   .dtype = NS_F32,
				   .weighted = loss->weights != NULL,
				   .focal = loss->focal};
}

/* --- training one that came as ONNX: foreign_train.c --- */

struct ns_foreign_train;
/* `n` images a virtual rank; gradients are scaled by 1 / batch. */
enum ns_status ns_foreign_train_make(struct ns_foreign_train **learner, const struct ns_model *m, struct ns_device *dev, int n, int batch,
				     const struct ns_loss *loss);
struct ns_target ns_foreign_target(const struct ns_foreign_train *learner);
void ns_foreign_train_free(struct ns_foreign_train *learner);
/* images (n, h, w, c), labels (n); grad (flat->total) is overwritten */
enum ns_status ns_foreign_train_step(struct ns_foreign_train *learner, const struct ns_flat *flat, const float *images, const float *weights,
				     const int32_t *labels, float *grad, struct ns_queue *queue);

/* Adds a buffer that is alive from one step to another; returns its index. */
int ns_exec_buffer(struct ns_exec *e, size_t bytes, int born, int dies);
void ns_exec_extend(struct ns_exec *e, int buffer, int dies);
/* its address; NULL for -1 */
void *ns_exec_at(const struct ns_exec *e, int buffer);
/* bytes of a layer's output */
size_t ns_exec_out_bytes(const struct ns_exec *e, const struct ns_layer *l);
size_t ns_exec_round64(size_t n);

/* NS_CONFIG where the logits of n images would be more than NS_CLASSIFIER_MAX. */
enum ns_status ns_exec_check_logits(const struct ns_net *net, int n);
/* To be called in this order: the object, buffers of the forward pass, plans, memory. */
enum ns_status ns_exec_alloc(struct ns_exec **made, const struct ns_net *net, struct ns_device *dev, struct ns_queue *queue, int n, int training,
			     enum ns_dtype dtype);
void ns_exec_plan_forward(struct ns_exec *e);
enum ns_status ns_exec_compile(struct ns_exec *e);
enum ns_status ns_exec_allocate(struct ns_exec *e);

/* Runs a plan of one input and one output. */
enum ns_status ns_exec_run1(struct ns_exec *e, struct ns_plan *plan, const void *x, void *y);

#endif
