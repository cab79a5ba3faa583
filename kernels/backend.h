/*
 * kernels/backend.h - the contract between host code and a device.
 *
 *	NS_TRY(ns_plan_make(&plan, dev, &op));    once per shape: checks, allocates
 *	NS_TRY(ns_plan_run(plan, &args, queue));  every batch: does neither
 *	NS_TRY(ns_queue_wait(queue));             asynchronous errors surface here
 *	ns_plan_free(plan);                       NULL is fine
 *
 * A plan is run by one thread at a time; two threads that do the same work hold a plan each. Nothing here
 * is collective: ranks meet only in host/comm/comm.h. Kernels start no threads: a CPU device is one core, and
 * the host gives each of its workers a queue of its own (decision 4: bits do not depend on thread counts).
 */
#ifndef NS_BACKEND_H
#define NS_BACKEND_H

#include "kernels/op.h"

struct ns_backend;

/* One GPU, or one core's share of the CPU. First member of a backend's own device. */
struct ns_device {
	const struct ns_backend *backend;
	const char *force; /* NS_FORCE: "conv/ref,xent/cpu"; borrowed; NULL: best first */
	/* called with every choice that ns_plan_make() makes; NULL is fine */
	void (*chosen)(void *user, const struct ns_op *op, const char *impl);
	void *chosen_user;
};

struct ns_queue; /* work on one device, done in order */
struct ns_graph; /* work that was recorded once, to be run many times */

struct ns_args { /* device memory, borrowed until the queue is idle */
	const void *in[NS_OP_MAX_IN];
	void *out[NS_OP_MAX_OUT]; /* overlaps no in[] */
	void *workspace;	  /* plan->workspace_bytes of scratch, 64-byte aligned */
};

struct ns_plan { /* first member of an implementation's own plan */
	const struct ns_impl *impl;
	size_t workspace_bytes;
	struct ns_layout w;  /* convolutions: the layout that in[NS_CONV_W / NS_CONVB_W] must have; bytes 0: not read */
	struct ns_layout dw; /* conv_backward: the layout of out[NS_CONVB_DW] */
	/*
	 * convolve, convolve_then, where the host computes: instead of in[NS_CONVOLVE_W] run() reads prepared_bytes that prepare() made of them, once for all
	 * runs; 0: it reads them as they are.
	 */
	size_t prepared_bytes;
	void (*prepare)(const struct ns_plan *plan, const void *weights, void *prepared);
	enum ns_status (*run)(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue);
	void (*free)(struct ns_plan *plan);
};

struct ns_impl {	  /* one way to compute one op */
	const char *name; /* "conv/dnnl", in logs and in NS_FORCE */
	enum ns_op_kind kind;
	/*
	 * Either accepts `op` and sets *plan, which the caller then owns, or returns NS_DECLINED and leaves *plan alone, and the
	 * next implementation is asked. This answer is the only statement of what an implementation supports.
	 */
	enum ns_status (*make)(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op);
};

struct ns_backend {			    /* one kind of device */
	const char *name;		    /* "ref", "cpu", "cuda": the value of --device */
	const struct ns_impl *const *impls; /* best first, NULL at the end */
	enum ns_status (*open)(struct ns_device **dev, int index);
	void (*close)(struct ns_device *dev);
	enum ns_status (*mem_make)(void **mem, struct ns_device *dev, size_t bytes); /* zeroed */
	void (*mem_free)(struct ns_device *dev, void *mem);
	/* host memory with which put() and get() need not wait: pinned for a GPU */
	enum ns_status (*host_make)(void **mem, struct ns_device *dev, size_t bytes);
	void (*host_free)(struct ns_device *dev, void *mem);
	enum ns_status (*queue_make)(struct ns_queue **queue, struct ns_device *dev);
	void (*queue_free)(struct ns_queue *queue);
	/* in the queue's order; host memory that is not from host_make() has been read (put) or written (get) on return */
	enum ns_status (*put)(struct ns_queue *queue, void *dst, const void *src, size_t bytes);
	enum ns_status (*get)(struct ns_queue *queue, void *dst, const void *src, size_t bytes);
	enum ns_status (*copy)(struct ns_queue *queue, void *dst, const void *src, size_t bytes); /* within device memory */
	enum ns_status (*after)(struct ns_queue *queue, struct ns_queue *other);		  /* what follows in `queue` waits for `other` */
	enum ns_status (*wait)(struct ns_queue *queue);
	/*
	 * Between record() and recorded(), work given to the queue, and to queues that are put after() it, is recorded instead of
	 * executed; the queue must be put after() those queues again before recorded(). replay() executes it with the recorded
	 * addresses; host memory among them must be from host_make(). All four are NULL where the host itself computes.
	 */
	enum ns_status (*record)(struct ns_queue *queue);
	enum ns_status (*recorded)(struct ns_queue *queue, struct ns_graph **graph);
	enum ns_status (*replay)(struct ns_queue *queue, struct ns_graph *graph);
	void (*graph_free)(struct ns_graph *graph); /* NULL is fine */
	void *(*native)(struct ns_queue *queue);    /* its cudaStream_t, for NCCL; NULL where the host computes */
	/* the identity of the hardware: equal for two ranks that share a GPU */
	void (*identify)(struct ns_device *dev, unsigned char id[16]);
	/* one line that names hardware, instruction set and library versions, within which results have the same bits */
	void (*describe)(struct ns_device *dev, char *text, size_t size);
	int host_memory;   /* device memory can be read and written by the host */
	int channels_last; /* graphs are faster with images whose channels are last */
	int flushes;	   /* in graphs numbers below 2^-126 are 0: a processor takes a hundred times as long for them */
};

/* NS_CONFIG: the name is unknown; NS_NO_DEVICE, with the reason: CUDA is not in this build, or its module cannot be opened */
enum ns_status ns_backend_get(const struct ns_backend **backend, const char *name);
const struct ns_backend *ns_backend_find(const char *name); /* NULL where ns_backend_get() fails */

enum ns_status ns_plan_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op);
enum ns_status ns_plan_run(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue);
void ns_plan_free(struct ns_plan *plan);
/* NS_CONFIG if a name in dev->force is no implementation of this backend. */
enum ns_status ns_force_check(const struct ns_device *dev);
/* Uses the implementation of this name, wherever it stands in the table: for tests and benchmarks. */
enum ns_status ns_plan_make_by(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op, const char *impl);

/* Waits before what the queue works on is released, and ignores an error: the message of the first failure is kept. */
void ns_queue_drain(const struct ns_backend *backend, struct ns_queue *queue);

/* For backends whose memory is the host's: ref and cpu share these. */
enum ns_status ns_hostmem_make(void **mem, struct ns_device *dev, size_t bytes);
void ns_hostmem_free(struct ns_device *dev, void *mem);
enum ns_status ns_hostmem_copy(struct ns_queue *queue, void *dst, const void *src, size_t bytes);
enum ns_status ns_host_queue_make(struct ns_queue **queue, struct ns_device *dev);
void ns_host_queue_free(struct ns_queue *queue);
enum ns_status ns_host_queue_after(struct ns_queue *queue, struct ns_queue *other);
enum ns_status ns_host_queue_wait(struct ns_queue *queue);

/* For implementations without state of their own: a plan that is nothing but a copy of its op. */
struct ns_plain_plan {
	struct ns_plan base;
	struct ns_op op;
};
enum ns_status ns_plain_plan_make(struct ns_plan **plan, const struct ns_op *op, size_t workspace_bytes,
				  enum ns_status (*run)(const struct ns_plan *, const struct ns_args *, struct ns_queue *));

/* For every backend: implementations that ask the device for others. */
extern const struct ns_impl ns_any_convolve_then;

extern const struct ns_backend ns_backend_ref, ns_backend_cpu;

#endif
