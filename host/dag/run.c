/* host/dag/run.c - a graph on a device: plans, one piece of memory for what its nodes make, constants put there once. */
#include <stdlib.h>
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "host/dag/dag_inner.h"

struct ns_dag_exec {
	const struct ns_dag *dag;
	struct ns_device *dev;
	int *outputs, output_count;
	struct ns_plan **plans; /* of each node; NULL: nobody needs it */
	void **made;		/* of each value: where it is; NULL: an input, a view, a constant of the host, or not needed */
	void **prepared;	/* of each node: its weights as its plan wants them; NULL: as they are */
	char *wanted, *held;	/* held: it has memory of its own, a constant */
	void *memory, *workspace;
};

/* From the outputs backwards: what is needed. */
static void mark(struct ns_dag_exec *e)
{
	const struct ns_dag *d = e->dag;
	int i, k;

	for (i = 0; i < e->output_count; i++)
		e->wanted[ns_dag_root(d, e->outputs[i])] = 1;
	for (i = d->node_count - 1; i >= 0; i--) {
		const struct ns_dag_node *n = &d->nodes[i];
		int wanted = 0;

		for (k = 0; k < n->outs; k++)
			wanted |= n->out[k] >= 0 && e->wanted[ns_dag_root(d, n->out[k])];
		for (k = 0; wanted && k < n->outs; k++)
			if (n->out[k] >= 0)
				e->wanted[ns_dag_root(d, n->out[k])] = 1;
		for (k = 0; wanted && k < n->ins; k++)
			if (n->in[k] >= 0)
				e->wanted[ns_dag_root(d, n->in[k])] = 1;
	}
}

static size_t bytes_of(const struct ns_dag_value *v)
{
	return (size_t)ns_box_count(&v->box) * ns_dtype_bytes(v->dtype);
}

/* Constants that the device does not see where they lie. */
static enum ns_status put_constants(struct ns_dag_exec *e, struct ns_queue *queue)
{
	const struct ns_backend *backend = e->dev->backend;
	const struct ns_dag *d = e->dag;
	int i;

	for (i = 0; i < d->value_count && !backend->host_memory; i++) {
		const struct ns_dag_value *v = &d->values[i];

		if (!e->wanted[i] || v->same_as >= 0 || !v->data)
			continue;
		NS_TRY(backend->mem_make(&e->made[i], e->dev, bytes_of(v) ? bytes_of(v) : 1));
		e->held[i] = 1;
		NS_TRY(backend->put(queue, e->made[i], v->data, bytes_of(v)));
	}
	return NS_OK;
}

/* Memory for what nodes write. A build with sanitizers fills it, so that what no node writes shows. */
static enum ns_status place(struct ns_dag_exec *e, const char *runs)
{
	const struct ns_backend *backend = e->dev->backend;
	size_t *at = malloc(sizeof *at * (size_t)(e->dag->value_count + 1)), bytes = 0;
	enum ns_status status = at ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d values", e->dag->value_count);
	int i;

	NS_GO(status);
	NS_GO(ns_dag_place(e->dag, runs, e->outputs, e->output_count, at, &bytes));
	if (bytes)
		NS_GO(backend->mem_make(&e->memory, e->dev, bytes));
#if defined(__SANITIZE_ADDRESS__)
	if (bytes && backend->host_memory)
		memset(e->memory, 0xff, bytes);
#endif
	for (i = 0; i < e->dag->value_count; i++)
		if (at[i] != NS_DAG_NOWHERE)
			e->made[i] = (char *)e->memory + at[i];
out:
	free(at);
	return status;
}

/* Weights that a plan wants otherwise. */
static enum ns_status prepare(struct ns_dag_exec *e, int i)
{
	const struct ns_plan *p = e->plans[i];

	if (!p->prepared_bytes)
		return NS_OK;
	if (!e->dag->values[e->dag->nodes[i].in[NS_CONVOLVE_W]].data)
		return ns_fail(NS_INVALID, "weights of a convolution with channels last that are not known before it runs");
	NS_TRY(e->dev->backend->mem_make(&e->prepared[i], e->dev, p->prepared_bytes));
	p->prepare(p, e->dag->values[e->dag->nodes[i].in[NS_CONVOLVE_W]].data, e->prepared[i]);
	return NS_OK;
}

static enum ns_status make(struct ns_dag_exec *e)
{
	const struct ns_dag *d = e->dag;
	const struct ns_backend *backend = e->dev->backend;
	struct ns_queue *queue;
	char *runs = calloc((size_t)d->node_count + 1, 1);
	size_t workspace = 0;
	enum ns_status status;
	int i, k;

	if (!runs)
		return ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d nodes", d->node_count);
	status = backend->queue_make(&queue, e->dev);
	if (status != NS_OK) {
		free(runs);
		return status;
	}
	NS_GO(put_constants(e, queue));
	for (i = 0; i < d->node_count; i++) {
		for (k = 0; k < d->nodes[i].outs; k++)
			runs[i] |= d->nodes[i].out[k] >= 0 && e->wanted[ns_dag_root(d, d->nodes[i].out[k])];
		if (!runs[i])
			continue;
		NS_GO(ns_plan_make(&e->plans[i], e->dev, &d->nodes[i].op));
		if (e->plans[i]->workspace_bytes > workspace)
			workspace = e->plans[i]->workspace_bytes;
		NS_GO(prepare(e, i));
	}
	NS_GO(place(e, runs));
	if (workspace)
		NS_GO(backend->mem_make(&e->workspace, e->dev, workspace));
	NS_GO(backend->wait(queue));
out:
	ns_queue_drain(backend, queue);
	backend->queue_free(queue);
	free(runs);
	return status;
}

enum ns_status ns_dag_exec_make(struct ns_dag_exec **exec, const struct ns_dag *dag, struct ns_device *dev, const int *outputs, int n)
{
	struct ns_dag_exec *e = calloc(1, sizeof *e);
	enum ns_status status;

	if (!e)
		return ns_fail(NS_NO_MEMORY, "out of memory for a graph");
	e->dag = dag;
	e->dev = dev;
	e->outputs = calloc((size_t)n + 1, sizeof *e->outputs);
	e->plans = calloc((size_t)dag->node_count + 1, sizeof(void *));
	e->made = calloc((size_t)dag->value_count + 1, sizeof(void *));
	e->wanted = calloc((size_t)dag->value_count + 1, 1);
	e->prepared = calloc((size_t)dag->node_count + 1, sizeof(void *));
	e->held = calloc((size_t)dag->value_count + 1, 1);
	if (!e->outputs || !e->plans || !e->made || !e->wanted || !e->held || !e->prepared) {
		ns_dag_exec_free(e);
		return ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d nodes", dag->node_count);
	}
	memcpy(e->outputs, outputs, sizeof *outputs * (size_t)n);
	e->output_count = n;
	mark(e);
	status = make(e);
	if (status == NS_OK)
		*exec = e;
	else
		ns_dag_exec_free(e);
	return status;
}

void ns_dag_exec_free(struct ns_dag_exec *e)
{
	int i;

	if (!e)
		return;
	for (i = 0; e->plans && i < e->dag->node_count; i++)
		ns_plan_free(e->plans[i]);
	for (i = 0; e->prepared && i < e->dag->node_count; i++)
		if (e->prepared[i])
			e->dev->backend->mem_free(e->dev, e->prepared[i]);
	for (i = 0; e->made && e->held && i < e->dag->value_count; i++)
		if (e->held[i])
			e->dev->backend->mem_free(e->dev, e->made[i]);
	if (e->memory)
		e->dev->backend->mem_free(e->dev, e->memory);
	if (e->workspace)
		e->dev->backend->mem_free(e->dev, e->workspace);
	free(e->outputs);
	free(e->plans);
	free(e->prepared);
	free(e->made);
	free(e->wanted);
	free(e->held);
	free(e);
}

static void *where(const struct ns_dag_exec *e, int value, const void *const *inputs)
{
	int root = ns_dag_root(e->dag, value);

	if (value < 0)
		return NULL;
	if (e->dag->values[root].input >= 0)
		return (void *)(uintptr_t)inputs[e->dag->values[root].input];
	return e->made[root] ? e->made[root] : e->dag->values[root].data;
}

/* Sets how this thread takes numbers below 2^-126, and gives what that was. */
static unsigned take_small(unsigned mode)
{
#if defined(__SSE__)
	unsigned was = _mm_getcsr();

	_mm_setcsr(mode);
	return was;
#else
	return mode;
#endif
}

static unsigned small_are_zero(void)
{
#if defined(__SSE__)
	return _mm_getcsr() | 0x8040; /* flush to zero, denormals are zero */
#else
	return 0;
#endif
}

static enum ns_status run_nodes(struct ns_dag_exec *e, const void *const *inputs, void *const *outputs, struct ns_queue *queue)
{
	const struct ns_dag *d = e->dag;
	const struct ns_backend *backend = e->dev->backend;
	int i, k;

	for (i = 0; i < d->node_count; i++) {
		const struct ns_dag_node *n = &d->nodes[i];
		struct ns_args args = {.workspace = e->workspace};

		if (!e->plans[i])
			continue;
		for (k = 0; k < n->ins; k++)
			args.in[k] = where(e, n->in[k], inputs);
		if (e->prepared[i])
			args.in[NS_CONVOLVE_W] = e->prepared[i];
		for (k = 0; k < n->outs; k++)
			args.out[k] = where(e, n->out[k], inputs);
		NS_TRY(ns_plan_run(e->plans[i], &args, queue));
	}
	for (i = 0; i < e->output_count; i++)
		NS_TRY((backend->copy ? backend->copy : backend->put)(queue, outputs[i], where(e, e->outputs[i], inputs),
								      bytes_of(&d->values[e->outputs[i]])));
	return NS_OK;
}

enum ns_status ns_dag_exec_run(struct ns_dag_exec *e, const void *const *inputs, void *const *outputs, struct ns_queue *queue)
{
	unsigned was = 0;
	enum ns_status status;

	if (e->dev->backend->flushes)
		was = take_small(small_are_zero());
	status = run_nodes(e, inputs, outputs, queue);
	if (e->dev->backend->flushes)
		(void)take_small(was);
	return status;
}
