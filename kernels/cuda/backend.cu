/* kernels/cuda/backend.cu - the CUDA backend: device, memory, queues, and the table of its implementations. */
#include "kernels/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
extern const struct ns_backend ns_backend_cuda;
extern const struct ns_impl ns_cuda_augment, ns_cuda_stats, ns_cuda_conv, ns_cuda_conv_train, ns_cuda_conv_backward, ns_cuda_reorder, ns_cuda_pool,
	ns_cuda_pool_backward, ns_cuda_linear, ns_cuda_linear_backward, ns_cuda_xent, ns_cuda_head, ns_cuda_norm2, ns_cuda_sgd, ns_cuda_adamw,
	ns_cuda_ema, ns_cuda_ks, ns_cuda_mmd_tensor, ns_cuda_mmd, ns_cuda_pointwise, ns_cuda_move, ns_cuda_index, ns_cuda_resample, ns_cuda_reduce,
	ns_cuda_along, ns_cuda_topk, ns_cuda_contract, ns_cuda_convolve, ns_cuda_convolve_weights, ns_cuda_pool_nd, ns_cuda_recurrent, ns_cuda_ctc;
#ifdef NS_CUDNN
extern const struct ns_impl ns_cudnn_graph, ns_cudnn_conv, ns_cudnn_conv_train, ns_cudnn_conv_backward;
#endif
}

enum ns_status ns_cuda_status(cudaError_t error, const char *what)
{
	if (error == cudaSuccess)
		return NS_OK;
	cudaGetLastError(); /* the error is reported here; the next call must not see it again */
	return ns_fail(error == cudaErrorMemoryAllocation ? NS_NO_MEMORY : NS_NO_DEVICE, "CUDA: %s: %s", what, cudaGetErrorString(error));
}

cudaStream_t ns_cuda_stream(struct ns_queue *queue)
{
	cudaSetDevice(queue->dev->index);
	return queue->stream;
}

enum ns_status ns_cuda_launched(const struct ns_plan *plan)
{
	return ns_cuda_status(cudaGetLastError(), plan->impl ? plan->impl->name : "launch");
}

static enum ns_status no_device(cudaError_t error)
{
	int driver = 0, runtime = 0;

	cudaGetLastError();
	cudaDriverGetVersion(&driver);
	cudaRuntimeGetVersion(&runtime);
	if (error != cudaErrorInsufficientDriver)
		return ns_fail(NS_NO_DEVICE, "device cuda: the driver shows no GPU on this machine");
	if (!driver)
		return ns_fail(NS_NO_DEVICE, "device cuda: this machine has no GPU driver");
	return ns_fail(NS_NO_DEVICE, "device cuda: the GPU's driver is made for CUDA %d.%d, this build wants %d.%d", driver / 1000,
		       driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
}

static __global__ void probe()
{
}

/* Does this build have machine code for this GPU, or PTX to compile? */
static enum ns_status check_architecture(const struct ns_cuda *d)
{
	struct cudaFuncAttributes a;

	if (cudaFuncGetAttributes(&a, (const void *)probe) == cudaSuccess)
		return NS_OK;
	cudaGetLastError();
	return ns_fail(NS_NO_DEVICE, "device cuda: %s is sm_%d%d, but this build is for %s; configure with -DNS_CUDA_ARCHITECTURES=%d%d-real",
		       d->prop.name, d->prop.major, d->prop.minor, NS_CUDA_BUILT_FOR, d->prop.major, d->prop.minor);
}

static enum ns_status cuda_open(struct ns_device **dev, int index)
{
	struct ns_cuda *d;
	int count = 0; /* an old driver does not write it */
	cudaError_t error = cudaGetDeviceCount(&count);
	enum ns_status status;

	if (error != cudaSuccess || count < 1)
		return no_device(error);
	index %= count; /* more ranks than GPUs share them */
	d = (struct ns_cuda *)calloc(1, sizeof *d);
	if (!d)
		return ns_fail(NS_NO_MEMORY, "out of memory for a device");
	d->base.backend = &ns_backend_cuda;
	d->index = index;
	d->count = count;
	status = ns_cuda_status(cudaSetDevice(index), "choosing the GPU");
	if (status == NS_OK)
		status = ns_cuda_status(cudaGetDeviceProperties(&d->prop, index), "asking the GPU");
	if (status == NS_OK)
		status = check_architecture(d);
	if (status != NS_OK)
		free(d);
	else
		*dev = &d->base;
	return status;
}

static void cuda_close(struct ns_device *dev)
{
	struct ns_cuda *d = (struct ns_cuda *)dev;

	if (d && d->cudnn)
		d->cudnn_close(d->cudnn);
	free(d);
}

static enum ns_status mem_make(void **mem, struct ns_device *dev, size_t bytes)
{
	size_t spare = 0, all = 0;
	char what[128];

	cudaError_t error;

	cudaSetDevice(((struct ns_cuda *)dev)->index);
	error = cudaMalloc(mem, bytes ? bytes : 1);
	snprintf(what, sizeof what, "%zu bytes of device memory", bytes);
	if (error == cudaErrorMemoryAllocation) {
		cudaMemGetInfo(&spare, &all);
		snprintf(what, sizeof what, "%zu bytes of device memory, of which %zu of %zu are free", bytes, spare, all);
	}
	NS_TRY(ns_cuda_status(error, what));
	NS_TRY(ns_cuda_status(cudaMemsetAsync(*mem, 0, bytes, 0), what));
	return ns_cuda_status(cudaStreamSynchronize(0), what);
}

static void mem_free(struct ns_device *dev, void *mem)
{
	cudaSetDevice(((struct ns_cuda *)dev)->index);
	cudaFree(mem);
}

static enum ns_status host_make(void **mem, struct ns_device *dev, size_t bytes)
{
	char what[64];

	cudaSetDevice(((struct ns_cuda *)dev)->index);
	snprintf(what, sizeof what, "%zu bytes of pinned memory", bytes);
	return ns_cuda_status(cudaMallocHost(mem, bytes ? bytes : 1), what);
}

static void host_free(struct ns_device *dev, void *mem)
{
	cudaSetDevice(((struct ns_cuda *)dev)->index);
	cudaFreeHost(mem);
}

static void queue_free(struct ns_queue *queue)
{
	if (!queue)
		return;
	if (queue->event)
		cudaEventDestroy(queue->event);
	if (queue->stream)
		cudaStreamDestroy(queue->stream);
	free(queue);
}

static enum ns_status queue_make(struct ns_queue **queue, struct ns_device *dev)
{
	struct ns_queue *q = (struct ns_queue *)calloc(1, sizeof *q);
	enum ns_status status;

	if (!q)
		return ns_fail(NS_NO_MEMORY, "out of memory for a queue");
	q->dev = (struct ns_cuda *)dev;
	cudaSetDevice(q->dev->index);
	status = ns_cuda_status(cudaStreamCreateWithFlags(&q->stream, cudaStreamNonBlocking), "making a stream");
	if (status == NS_OK)
		status = ns_cuda_status(cudaEventCreateWithFlags(&q->event, cudaEventDisableTiming), "making an event");
	if (status != NS_OK)
		queue_free(q);
	else
		*queue = q;
	return status;
}

static enum ns_status put(struct ns_queue *queue, void *dst, const void *src, size_t bytes)
{
	return ns_cuda_status(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, ns_cuda_stream(queue)), "copy to the GPU");
}

static enum ns_status get(struct ns_queue *queue, void *dst, const void *src, size_t bytes)
{
	return ns_cuda_status(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, ns_cuda_stream(queue)), "copy from the GPU");
}

static enum ns_status copy(struct ns_queue *queue, void *dst, const void *src, size_t bytes)
{
	return ns_cuda_status(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, ns_cuda_stream(queue)), "copy on the GPU");
}

static enum ns_status after(struct ns_queue *queue, struct ns_queue *other)
{
	NS_TRY(ns_cuda_status(cudaEventRecord(other->event, ns_cuda_stream(other)), "ordering streams"));
	return ns_cuda_status(cudaStreamWaitEvent(ns_cuda_stream(queue), other->event, 0), "ordering streams");
}

static enum ns_status wait(struct ns_queue *queue)
{
	return ns_cuda_status(cudaStreamSynchronize(ns_cuda_stream(queue)), "work on the GPU");
}

/* --- graphs --- */

struct ns_graph {
	cudaGraphExec_t exec;
};

static enum ns_status record(struct ns_queue *queue)
{
	return ns_cuda_status(cudaStreamBeginCapture(ns_cuda_stream(queue), cudaStreamCaptureModeThreadLocal), "recording a graph");
}

static enum ns_status recorded(struct ns_queue *queue, struct ns_graph **graph)
{
	struct ns_graph *g = (struct ns_graph *)calloc(1, sizeof *g);
	cudaGraph_t made = NULL;
	enum ns_status status = ns_cuda_status(cudaStreamEndCapture(ns_cuda_stream(queue), &made), "recording a graph");

	if (!g && status == NS_OK)
		status = ns_fail(NS_NO_MEMORY, "out of memory for a graph");
	if (status == NS_OK)
		status = ns_cuda_status(cudaGraphInstantiate(&g->exec, made, 0), "making a graph");
	if (made)
		cudaGraphDestroy(made);
	if (status != NS_OK)
		free(g);
	else
		*graph = g;
	return status;
}

static enum ns_status replay(struct ns_queue *queue, struct ns_graph *graph)
{
	return ns_cuda_status(cudaGraphLaunch(graph->exec, ns_cuda_stream(queue)), "starting a graph");
}

static void graph_free(struct ns_graph *graph)
{
	if (graph)
		cudaGraphExecDestroy(graph->exec);
	free(graph);
}

static void *native(struct ns_queue *queue)
{
	return ns_cuda_stream(queue); /* also makes its device current for this thread, as NCCL requires */
}

static void identify(struct ns_device *dev, unsigned char id[16])
{
	memcpy(id, &((const struct ns_cuda *)dev)->prop.uuid, 16);
}

static void describe(struct ns_device *dev, char *text, size_t size)
{
	const struct ns_cuda *d = (const struct ns_cuda *)dev;
	int driver = 0, runtime = 0;

	cudaDriverGetVersion(&driver);
	cudaRuntimeGetVersion(&runtime);
	snprintf(text, size, "%s, sm_%d%d, GPU %d of the %d in sight, CUDA run time %d.%d, driver %d.%d", d->prop.name, d->prop.major, d->prop.minor,
		 d->index, d->count, runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10);
}

/* best first; ref is not at the end: it cannot read device memory */
static const struct ns_impl *const impls[] = {&ns_cuda_augment,
					      &ns_cuda_stats,
#ifdef NS_CUDNN
					      &ns_cudnn_graph,
					      &ns_cudnn_conv,
					      &ns_cudnn_conv_train,
					      &ns_cudnn_conv_backward,
#endif
					      &ns_cuda_conv,
					      &ns_cuda_conv_train,
					      &ns_cuda_conv_backward,
					      &ns_cuda_reorder,
					      &ns_cuda_pool,
					      &ns_cuda_pool_backward,
					      &ns_cuda_linear,
					      &ns_cuda_linear_backward,
					      &ns_cuda_xent,
					      &ns_cuda_head,
					      &ns_cuda_norm2,
					      &ns_cuda_sgd,
					      &ns_cuda_adamw,
					      &ns_cuda_ema,
					      &ns_cuda_ks,
					      &ns_cuda_mmd_tensor,
					      &ns_cuda_mmd,
					      &ns_cuda_pointwise,
					      &ns_cuda_move,
					      &ns_cuda_index,
					      &ns_cuda_resample,
					      &ns_cuda_reduce,
					      &ns_cuda_along,
					      &ns_cuda_topk,
					      &ns_cuda_contract,
					      &ns_cuda_convolve,
					      &ns_cuda_convolve_weights,
					      &ns_cuda_pool_nd,
					      &ns_cuda_recurrent,
					      &ns_cuda_ctc,
					      &ns_any_convolve_then,
					      NULL};

const struct ns_backend ns_backend_cuda = {"cuda",     impls,	   cuda_open,  cuda_close, mem_make, mem_free, host_make, host_free,
					   queue_make, queue_free, put,	       get,	   copy,     after,    wait,	  record,
					   recorded,   replay,	   graph_free, native,	   identify, describe, 0, 0, 0};
