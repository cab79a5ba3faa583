/*
 * kernels/cuda/cudnn_graph.cu - inference's convolution with bias, residual and ReLU as one cuDNN graph, in bf16 with sums in
 * f32: these need no pass over memory of their own. It uses cuDNN's backend interface, which is plain C.
 *
 * The first engine of cuDNN's ranking that is deterministic and needs at most WORKSPACE_MAX bytes is used. A shape without
 * such an engine is declined, and the plain interface (cudnn_conv.cu) is tried.
 */
#include "kernels/cuda/cudnn_handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKSPACE_MAX ((int64_t)512 << 20)
#define MOST	      40 /* descriptors of a graph */
#define RANKED	      16 /* engines of cuDNN's ranking that are tried */
#define POINTERS      5	 /* x, w, bias, residual, y: their numbers are 1 to 5 */

/* planning for a device that a JSON text describes needs a newer cuDNN than the rest */
#define FROM_JSON (CUDNN_VERSION >= 91900)

typedef cudnnBackendDescriptor_t descriptor;

struct graph_plan {
	struct ns_plain_plan plain;
	cudnnHandle_t handle; /* NULL: for the device that `properties` describes */
	descriptor properties;
	descriptor all[MOST]; /* everything that is to be destroyed */
	int count;
	descriptor ops[4], graph, plan, pack;
	int op_count;
	const void *packed[POINTERS + 1]; /* what `pack` holds: its pointers, then the workspace */
};

static enum ns_status check(cudnnStatus_t status, const char *what)
{
	char why[512] = "";

	if (status == CUDNN_STATUS_SUCCESS)
		return NS_OK;
	cudnnGetLastErrorString(why, sizeof why);
	return ns_fail(NS_NO_DEVICE, "cuDNN graph: %s: %s %s", what, cudnnGetErrorString(status), why);
}

static enum ns_status make_one(struct graph_plan *p, cudnnBackendDescriptorType_t type, descriptor *d)
{
	if (p->count == MOST)
		return ns_fail(NS_INTERNAL, "cuDNN graph: more than %d descriptors", MOST);
	NS_TRY(check(cudnnBackendCreateDescriptor(type, d), "creating a descriptor"));
	p->all[p->count++] = *d;
	return NS_OK;
}

static enum ns_status set(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
	char what[32];

	snprintf(what, sizeof what, "attribute %d", (int)name);
	return check(cudnnBackendSetAttribute(d, name, type, n, values), what);
}

static enum ns_status set_descriptor(descriptor d, cudnnBackendAttributeName_t name, descriptor value)
{
	return set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

/* Number 0: a virtual tensor, which is never in memory. Sizes are (N, C, H, W), the layout is (N, H, W, C). */
static enum ns_status tensor(struct graph_plan *p, int number, cudnnDataType_t type, int64_t n, int64_t c, int64_t h, int64_t w, descriptor *d)
{
	int64_t sizes[4] = {n, c, h, w}, strides[4] = {h * w * c, 1, w * c, c}, id = number ? number : 100 + p->count, align = 16;
	bool is_virtual = !number;

	NS_TRY(make_one(p, CUDNN_BACKEND_TENSOR_DESCRIPTOR, d));
	NS_TRY(set(*d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type));
	NS_TRY(set(*d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes));
	NS_TRY(set(*d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
	NS_TRY(set(*d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id));
	NS_TRY(set(*d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align));
	NS_TRY(set(*d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual));
	return check(cudnnBackendFinalize(*d), "finishing a tensor");
}

static enum ns_status add_convolution(struct graph_plan *p, const struct ns_op_conv *v, descriptor x, descriptor w, descriptor y)
{
	int64_t two = 2, pad[2] = {v->pad, v->pad}, stride[2] = {v->stride, v->stride}, ones[2] = {1, 1};
	cudnnDataType_t sums = CUDNN_DATA_FLOAT;
	cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
	float alpha = 1, beta = 0;
	descriptor window, op;

	NS_TRY(make_one(p, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, &window));
	NS_TRY(set(window, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &two));
	NS_TRY(set(window, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums));
	NS_TRY(set(window, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
	NS_TRY(set(window, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad));
	NS_TRY(set(window, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad));
	NS_TRY(set(window, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones));
	NS_TRY(set(window, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride));
	NS_TRY(check(cudnnBackendFinalize(window), "finishing the window"));
	NS_TRY(make_one(p, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, &op));
	NS_TRY(set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, window));
	NS_TRY(set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x));
	NS_TRY(set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w));
	NS_TRY(set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y));
	NS_TRY(set(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha));
	NS_TRY(set(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta));
	NS_TRY(check(cudnnBackendFinalize(op), "finishing the convolution"));
	p->ops[p->op_count++] = op;
	return NS_OK;
}

/* y = mode(x, b); b NULL: of x alone */
static enum ns_status add_pointwise(struct graph_plan *p, cudnnPointwiseMode_t mode, descriptor x, descriptor b, descriptor y)
{
	cudnnDataType_t type = CUDNN_DATA_FLOAT;
	descriptor how, op;

	NS_TRY(make_one(p, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &how));
	NS_TRY(set(how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
	NS_TRY(set(how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type));
	NS_TRY(check(cudnnBackendFinalize(how), "finishing a pointwise operation"));
	NS_TRY(make_one(p, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, &op));
	NS_TRY(set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how));
	NS_TRY(set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x));
	if (b)
		NS_TRY(set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b));
	NS_TRY(set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y));
	NS_TRY(check(cudnnBackendFinalize(op), "finishing a pointwise operation"));
	p->ops[p->op_count++] = op;
	return NS_OK;
}

/* the result of an op: the output after the last one, else a virtual tensor */
static enum ns_status result(struct graph_plan *p, const struct ns_op_conv *v, int steps_left, descriptor *d)
{
	return tensor(p, steps_left ? 0 : POINTERS, steps_left ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16, v->n, v->k, ns_op_conv_p(v), ns_op_conv_q(v),
		      d);
}

static enum ns_status build(struct graph_plan *p, const struct ns_op_conv *v)
{
	int bias = v->flags & NS_CONV_BIAS ? 1 : 0, residual = v->flags & NS_CONV_RESIDUAL ? 1 : 0, relu = v->flags & NS_CONV_RELU ? 1 : 0;
	descriptor x, w, y, z, other;

	NS_TRY(tensor(p, 1, CUDNN_DATA_BFLOAT16, v->n, v->c, v->h, v->w, &x));
	NS_TRY(tensor(p, 2, CUDNN_DATA_BFLOAT16, v->k, v->c, v->r, v->s, &w));
	NS_TRY(result(p, v, bias + residual + relu, &y));
	NS_TRY(add_convolution(p, v, x, w, y));
	if (bias) {
		NS_TRY(tensor(p, 3, CUDNN_DATA_FLOAT, 1, v->k, 1, 1, &other));
		NS_TRY(result(p, v, residual + relu, &z));
		NS_TRY(add_pointwise(p, CUDNN_POINTWISE_ADD, y, other, z));
		y = z;
	}
	if (residual) {
		NS_TRY(tensor(p, 4, CUDNN_DATA_BFLOAT16, v->n, v->k, ns_op_conv_p(v), ns_op_conv_q(v), &other));
		NS_TRY(result(p, v, relu, &z));
		NS_TRY(add_pointwise(p, CUDNN_POINTWISE_ADD, y, other, z));
		y = z;
	}
	if (relu) {
		NS_TRY(result(p, v, 0, &z));
		NS_TRY(add_pointwise(p, CUDNN_POINTWISE_RELU_FWD, y, NULL, z));
	}
	NS_TRY(make_one(p, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &p->graph));
	if (p->handle)
		NS_TRY(set(p->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &p->handle));
	NS_TRY(set(p->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, p->op_count, p->ops));
	return check(cudnnBackendFinalize(p->graph), "finishing the graph");
}

/* Does this engine give the same bits every time? */
static int is_deterministic(descriptor config)
{
	cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
	descriptor engine = NULL;
	int64_t count = 0, got = 0, i;
	int deterministic = 0;

	if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
		return 0;
	if (cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &got, &engine) == CUDNN_STATUS_SUCCESS &&
	    cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count,
				     notes) == CUDNN_STATUS_SUCCESS)
		for (deterministic = 1, i = 0; i < count; i++)
			deterministic &= notes[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
	cudnnBackendDestroyDescriptor(engine);
	return deterministic;
}

/* sets the device that an execution plan is for */
static cudnnStatus_t on_device(const struct graph_plan *p, descriptor plan)
{
#if FROM_JSON
	if (!p->handle)
		return cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p->properties);
#endif
	return cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &p->handle);
}

/* Plans with this configuration; returns 0 if it cannot be built or needs more than WORKSPACE_MAX bytes. */
static int plan_with(struct graph_plan *p, descriptor config)
{
	descriptor plan;
	int64_t bytes = -1, got = 0;
	cudnnStatus_t status;

	if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan) != CUDNN_STATUS_SUCCESS)
		return 0;
	status = on_device(p, plan);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendFinalize(plan);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &got, &bytes);
	if (!p->handle && status == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER) { /* compiled, but there is no device to load it */
		status = CUDNN_STATUS_SUCCESS;
		bytes = 0;
	}
	if (status != CUDNN_STATUS_SUCCESS || bytes < 0 || bytes > WORKSPACE_MAX || p->count > MOST - 2) {
		cudnnBackendDestroyDescriptor(plan);
		return 0;
	}
	p->plan = p->all[p->count++] = plan;
	p->plain.base.workspace_bytes = (size_t)bytes;
	return 1;
}

static enum ns_status choose(struct graph_plan *p)
{
	cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
	descriptor heuristics, ranked[RANKED] = {NULL};
	int64_t count = 0, i;
	enum ns_status status = NS_DECLINED;

	NS_TRY(make_one(p, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics));
	NS_TRY(set_descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, p->graph));
	NS_TRY(set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
#if FROM_JSON
	if (!p->handle)
		NS_TRY(set_descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, p->properties));
#endif
	NS_TRY(check(cudnnBackendFinalize(heuristics), "ranking engines"));
	for (i = 0; i < RANKED; i++)
		NS_GO(check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &ranked[i]), "creating a descriptor"));
	NS_GO(check(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, RANKED, &count, ranked),
		    "ranking engines"));
	status = NS_DECLINED;
	for (i = 0; i < count && i < RANKED && status == NS_DECLINED; i++)
		if (is_deterministic(ranked[i]) && plan_with(p, ranked[i])) {
			p->all[p->count++] = ranked[i]; /* lives as long as its plan */
			ranked[i] = NULL;
			status = NS_OK;
		}
out:
	for (i = 0; i < RANKED; i++)
		if (ranked[i])
			cudnnBackendDestroyDescriptor(ranked[i]);
	return status;
}

/* --- running --- */

static enum ns_status pack(struct graph_plan *p, const void *const *pointers)
{
	static const int64_t numbers[POINTERS] = {1, 2, 3, 4, POINTERS};
	int64_t present[POINTERS], n = 0, i;
	const void *given[POINTERS];

	if (p->pack && !memcmp(p->packed, pointers, sizeof p->packed))
		return NS_OK;
	if (p->pack)
		cudnnBackendDestroyDescriptor(p->pack);
	p->pack = NULL;
	for (i = 0; i < POINTERS; i++)
		if (pointers[i]) {
			present[n] = numbers[i];
			given[n++] = pointers[i];
		}
	NS_TRY(check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &p->pack), "creating a descriptor"));
	NS_TRY(set(p->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, present));
	NS_TRY(set(p->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, given));
	NS_TRY(set(p->pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &pointers[POINTERS]));
	NS_TRY(check(cudnnBackendFinalize(p->pack), "finishing the arguments"));
	memcpy(p->packed, pointers, sizeof p->packed);
	return NS_OK;
}

static enum ns_status graph_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	struct graph_plan *p = (struct graph_plan *)(uintptr_t)plan; /* the plan caches its arguments; one thread at a time runs it */
	unsigned flags = p->plain.op.u.conv.flags;
	const void *pointers[POINTERS + 1] = {a->in[NS_CONV_X],
					      a->in[NS_CONV_W],
					      flags & NS_CONV_BIAS ? a->in[NS_CONV_B] : NULL,
					      flags & NS_CONV_RESIDUAL ? a->in[NS_CONV_RES] : NULL,
					      a->out[NS_CONV_Y],
					      a->workspace};

	NS_TRY(check(cudnnSetStream(p->handle, ns_cuda_stream(queue)), "choosing a stream"));
	NS_TRY(pack(p, pointers));
	NS_TRY(check(cudnnBackendExecute(p->handle, p->plan, p->pack), "running the graph"));
	return ns_cuda_launched(plan);
}

/* --- plans --- */

static void graph_free(struct ns_plan *plan)
{
	struct graph_plan *p = (struct graph_plan *)plan;

	if (p->pack)
		cudnnBackendDestroyDescriptor(p->pack);
	while (p->count)
		cudnnBackendDestroyDescriptor(p->all[--p->count]);
	free(p);
}

/* tensor cores need rows of channels in multiples of 16 bytes */
static int fits(const struct ns_op_conv *v)
{
	return v->dtype == NS_BF16 && v->c % 8 == 0 && v->k % 8 == 0 && !(v->flags & NS_CONV_NORM);
}

static struct graph_plan *start(const struct ns_op *op)
{
	const struct ns_op_conv *v = &op->u.conv;
	struct graph_plan *p = (struct graph_plan *)calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->plain.op = *op;
	p->plain.base.run = graph_run;
	p->plain.base.free = graph_free;
	p->plain.base.w.bytes = (size_t)v->k * (size_t)v->r * (size_t)v->s * (size_t)v->c * 2;
	p->plain.base.w.dtype = NS_BF16;
	return p;
}

static enum ns_status graph_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	struct graph_plan *p;
	enum ns_status status;

	if (!fits(&op->u.conv))
		return NS_DECLINED;
	p = start(op);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	status = ns_cudnn_handle((struct ns_cuda *)dev, &p->handle);
	/* a graph that this cuDNN rejects, or has no engine for, is declined */
	if (status == NS_OK && (build(p, &op->u.conv) != NS_OK || choose(p) != NS_OK))
		status = NS_DECLINED;
	if (status != NS_OK)
		graph_free(&p->plain.base);
	else
		*plan = &p->plain.base;
	return status;
}

extern "C" {
extern const struct ns_impl ns_cudnn_graph;
#if FROM_JSON
enum ns_status ns_cudnn_graph_for(const struct ns_op_conv *conv, const char *device, size_t *workspace);
#endif
}
const struct ns_impl ns_cudnn_graph = {"conv/graph", NS_OP_CONV, graph_make};

#if FROM_JSON
/*
 * For tests without a device: builds, ranks and plans for the device that a JSON text describes, as graph_make() does for one
 * that is there. NS_DECLINED: cuDNN has no deterministic engine.
 */
enum ns_status ns_cudnn_graph_for(const struct ns_op_conv *conv, const char *device, size_t *workspace)
{
	struct ns_op op = {};
	struct graph_plan *p;
	enum ns_status status;

	op.kind = NS_OP_CONV;
	op.u.conv = *conv;
	if (!fits(conv))
		return NS_DECLINED;
	p = start(&op);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	NS_GO(make_one(p, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &p->properties));
	NS_GO(set(p->properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(device) + 1, device));
	NS_GO(check(cudnnBackendFinalize(p->properties), "describing the device"));
	NS_GO(build(p, conv));
	NS_GO(choose(p));
	*workspace = p->plain.base.workspace_bytes;
out:
	graph_free(&p->plain.base);
	return status;
}
#endif
