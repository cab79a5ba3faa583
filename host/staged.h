/*
 * host/staged.h - one run of an op whose arguments lie in host memory: carried to the device and back where the device has
 * memory of its own, used in place where it has not. For what runs seldom; what runs every batch keeps buffers of its own.
 */
#ifndef NS_STAGED_H
#define NS_STAGED_H

#include "kernels/backend.h"

struct ns_staged { /* bytes 0: the slot stays empty */
	const void *in[NS_OP_MAX_IN];
	size_t in_bytes[NS_OP_MAX_IN];
	void *out[NS_OP_MAX_OUT];
	size_t out_bytes[NS_OP_MAX_OUT];
};

/* Results are there when this returns. */
enum ns_status ns_staged_run(struct ns_device *dev, struct ns_queue *queue, const struct ns_op *op, const struct ns_staged *args);
/* The same with a plan that is already made, in memory that is made at the first run (*memory NULL) and is the caller's to free; all have the same sizes. */
enum ns_status ns_staged_keep(struct ns_device *dev, struct ns_queue *queue, const struct ns_plan *plan, const struct ns_staged *args, void **memory);
/* with a plan alone */
enum ns_status ns_staged_plan(struct ns_device *dev, struct ns_queue *queue, const struct ns_plan *plan, const struct ns_staged *args);

#endif
