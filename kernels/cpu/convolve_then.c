/*
 * kernels/cpu/convolve_then.c - a convolution with channels last and then a program of it: each strip of results goes through the program while it is in the cache, in its place.
 */
#include <stddef.h>
#include <stdlib.h>

#include "kernels/cpu/convolve_inner.h"
#include "kernels/cpu/program.h"

struct then_plan {
	struct ns_plan base;
	struct ns_op_convolve convolve;
	struct ns_cpu_program program;
	size_t tiles; /* where the program's workspace begins */
	int self, depthwise, winograd;
};

struct program_after {
	struct ns_cpu_after base;
	const struct then_plan *plan;
	const void *in[NS_POINTWISE_IN];
	float *y;
	void *tiles;
};

static void go(const struct ns_cpu_after *after, int64_t begin, int64_t end)
{
	const struct program_after *t = (const struct program_after *)after;

	ns_cpu_program_run(&t->plan->program, t->in, t->plan->self, t->y, begin, end, t->tiles);
}

static enum ns_status then_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct then_plan *p = (const struct then_plan *)plan;
	struct program_after t = {.base.go = go, .plan = p, .y = a->out[NS_CONVOLVE_Y], .tiles = (char *)a->workspace + p->tiles};
	int k, from = NS_THEN_IN;

	(void)queue;
	for (k = 0; k < p->program.v.inputs; k++)
		t.in[k] = k == p->self ? t.y : a->in[from++];
	ns_cpu_program_begin(&p->program, t.tiles);
	if (p->winograd)
		ns_cpu_winograd_run(&p->convolve, a, &t.base);
	else if (p->depthwise)
		ns_cpu_depthwise_run(&p->convolve, a, &t.base);
	else
		ns_cpu_last_run(&p->convolve, a, &t.base);
	return NS_OK;
}

static void prepare(const struct ns_plan *plan, const void *weights, void *prepared)
{
	ns_cpu_winograd_prepare(&((const struct then_plan *)plan)->convolve, weights, prepared);
}

static void then_free(struct ns_plan *plan)
{
	free(plan);
}

static enum ns_status then_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_convolve_then *v = &op->u.convolve_then;
	int depthwise = ns_cpu_takes_depthwise(&v->convolve);
	struct then_plan *p;
	size_t bytes;

	(void)dev;
	if ((!depthwise && !ns_cpu_takes_last(&v->convolve)) || !ns_cpu_takes_program(&v->program) || !ns_pointwise_is_dense(&v->program, v->self))
		return NS_DECLINED;
	p = calloc(1, sizeof *p);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	p->convolve = v->convolve;
	p->depthwise = depthwise;
	p->self = v->self;
	ns_cpu_program_make(&p->program, &v->program);
	p->winograd = ns_cpu_takes_winograd(&v->convolve);
	bytes = p->winograd ? ns_cpu_winograd_bytes(&v->convolve) : depthwise ? 0 : ns_cpu_last_bytes(&v->convolve);
	p->tiles = (bytes + 63) / 64 * 64;
	p->base.prepared_bytes = p->winograd ? ns_cpu_winograd_weights(&v->convolve) : 0;
	p->base.prepare = prepare;
	p->base.workspace_bytes = p->tiles + p->program.workspace_bytes;
	p->base.run = then_run;
	p->base.free = then_free;
	*plan = &p->base;
	return NS_OK;
}

const struct ns_impl ns_cpu_convolve_then = {"convolve_then/last", NS_OP_CONVOLVE_THEN, then_make};
