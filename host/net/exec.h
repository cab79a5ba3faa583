/*
 * host/net/exec.h - a network compiled into plans for one worker: forward for inference, or forward and backward of
 * one virtual rank. After making, running allocates nothing.
 *
 * Parameters live outside, in the layouts that the plans ask for (struct ns_weights), and are shared by all workers.
 */
#ifndef NS_EXEC_H
#define NS_EXEC_H

#include "host/job.h"
#include "host/net/arch.h"

/*
 * The training state's layout: for each parameter where it lies in the flat arrays (weights, gradients, momentum, ...),
 * in the layout of the gradient, so that optimisers are element by element; then running statistics; then the tail.
 */
struct ns_flat {
	int64_t *at, *count; /* per parameter, floats */
	int64_t decay, train, statistics, total; /* ends: decaying, trainable, with statistics, with the tail */
};
enum { NS_TAIL_LOSS, NS_TAIL_HITS, NS_TAIL_STOP, NS_TAIL_COUNT = 16 };

struct ns_exec;

/* Training: `n` images a virtual rank, gradients scaled by 1 / batch. */
enum ns_status ns_exec_train(struct ns_exec **exec, const struct ns_net *net, struct ns_device *dev,
			     struct ns_queue *queue, int n, int batch, float smoothing, enum ns_dtype dtype);
/* Inference of `n` images; packs its own folded weights from canonical values. */
enum ns_status ns_exec_infer(struct ns_exec **exec, const struct ns_net *net, struct ns_device *dev,
			     struct ns_queue *queue, int n, enum ns_dtype dtype, float temperature, const float *values);
void ns_exec_free(struct ns_exec *exec);

/* where the images go, (n, h, w, c) of dtype: device memory of this worker */
void *ns_exec_images(struct ns_exec *exec);
enum ns_dtype ns_exec_dtype(const struct ns_exec *exec);

/* --- training --- */
enum ns_status ns_exec_flat(const struct ns_exec *exec, struct ns_flat *flat);
void ns_flat_release(struct ns_flat *flat);
/* floats of the packed weights that forward and backward read, made from the flat weights by pack() */
int64_t ns_exec_packed_bytes(const struct ns_exec *exec);
enum ns_status ns_exec_pack(struct ns_exec *exec, const struct ns_flat *flat, const float *weights, void *packed,
			    int part, int parts);
/* canonical values of trainable parameters <-> flat array */
enum ns_status ns_exec_to_flat(struct ns_exec *exec, const struct ns_flat *flat, const float *canonical, float *out);
enum ns_status ns_exec_from_flat(struct ns_exec *exec, const struct ns_flat *flat, const float *in, float *canonical);
/* one virtual rank, labels in device memory: grad (flat->total) is written whole. The caller waits. */
enum ns_status ns_exec_step(struct ns_exec *exec, const struct ns_flat *flat, const float *weights, const void *packed,
			    const int32_t *labels, float *grad);

/* --- inference --- */
struct ns_outputs { /* device memory of this worker, valid until the next run */
	const float *prob, *embedding, *entropy, *margin, *logits;
	const int32_t *pred;
};
/* The caller waits. */
enum ns_status ns_exec_run(struct ns_exec *exec, struct ns_outputs *out);

#endif
