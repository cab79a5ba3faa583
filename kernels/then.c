/* kernels/then.c - a convolution and then a program of it, as two plans of the same device: for those that have nothing better. */
#include <stdlib.h>

#include "kernels/backend.h"

struct then_plan {
	struct ns_plan base;
	struct ns_plan *convolve, *program;
	size_t between; /* bytes of what the convolution makes, which lies in the workspace */
	int self, inputs;
};

static enum ns_status then_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct then_plan *p = (const struct then_plan *)plan;
	struct ns_args first = *a, second = *a;
	int k, from = NS_THEN_IN;

	first.out[0] = a->workspace;
	first.workspace = second.workspace = (char *)a->workspace + p->between;
	for (k = 0; k < p->inputs; k++)
		second.in[k] = k == p->self ? a->workspace : a->in[from++];
	NS_TRY(ns_plan_run(p->convolve, &first, queue));
	return ns_plan_run(p->program, &second, queue);
}

static void prepare(const struct ns_plan *plan, const void *weights, void *prepared)
{
	const struct then_plan *p = (const struct then_plan *)plan;

	p->convolve->prepare(p->convolve, weights, prepared);
}

static void then_free(struct ns_plan *plan)
{
	struct then_plan *p = (struct then_plan *)plan;

	ns_plan_free(p->convolve);
	ns_plan_free(p->program);
	free(p);
}

static enum ns_status then_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_convolve_then *v = &op->u.convolve_then;
	struct then_plan *p = calloc(1, sizeof *p);
	struct ns_op one = {.kind = NS_OP_CONVOLVE, .u.convolve = v->convolve};
	enum ns_status status = p ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	size_t most;

	NS_GO(status);
	p->base.run = then_run;
	p->base.free = then_free;
	p->self = v->self;
	p->inputs = v->program.inputs;
	NS_GO(ns_plan_make(&p->convolve, dev, &one));
	one = (struct ns_op){.kind = NS_OP_POINTWISE, .u.pointwise = v->program};
	NS_GO(ns_plan_make(&p->program, dev, &one));
	most = p->convolve->workspace_bytes > p->program->workspace_bytes ? p->convolve->workspace_bytes : p->program->workspace_bytes;
	p->between = ((size_t)ns_box_count(&v->program.out) * ns_dtype_bytes(v->convolve.dtype) + 63) / 64 * 64;
	p->base.workspace_bytes = p->between + most;
	p->base.prepared_bytes = p->convolve->prepared_bytes;
	p->base.prepare = prepare;
	*plan = &p->base;
	return NS_OK;
out:
	if (p)
		then_free(&p->base);
	return status;
}

const struct ns_impl ns_any_convolve_then = {"convolve_then/two", NS_OP_CONVOLVE_THEN, then_make};
