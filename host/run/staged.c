#include "host/run/run.h"

static size_t round256(size_t n)
{
	return (n + 255) / 256 * 256;
}

/* Where each slot lies in one block of device memory, behind the workspace; the block's size. */
static size_t lay_out(const struct ns_plan *plan, const struct ns_staged *s, int in_place, size_t in[NS_OP_MAX_IN], size_t out[NS_OP_MAX_OUT])
{
	size_t at = round256(plan->workspace_bytes + 64);
	int i;

	for (i = 0; !in_place && i < NS_OP_MAX_IN; i++) {
		in[i] = at;
		at += round256(s->in_bytes[i]);
	}
	for (i = 0; !in_place && i < NS_OP_MAX_OUT; i++) {
		out[i] = at;
		at += round256(s->out_bytes[i]);
	}
	return at;
}

enum ns_status ns_staged_keep(struct ns_device *dev, struct ns_queue *queue, const struct ns_plan *plan, const struct ns_staged *s, void **memory)
{
	const struct ns_backend *b = dev->backend;
	size_t in[NS_OP_MAX_IN], out[NS_OP_MAX_OUT];
	struct ns_args a = {{0}, {0}, NULL};
	size_t bytes = lay_out(plan, s, b->host_memory, in, out);
	char *block;
	enum ns_status status = NS_OK;
	int i;

	if (!*memory)
		NS_TRY(b->mem_make(memory, dev, bytes));
	block = *memory;
	a.workspace = block;
	for (i = 0; i < NS_OP_MAX_IN; i++) {
		a.in[i] = !s->in_bytes[i] ? NULL : b->host_memory ? s->in[i] : block + in[i];
		if (s->in_bytes[i] && !b->host_memory)
			NS_GO(b->put(queue, block + in[i], s->in[i], s->in_bytes[i]));
	}
	for (i = 0; i < NS_OP_MAX_OUT; i++)
		a.out[i] = !s->out_bytes[i] ? NULL : b->host_memory ? s->out[i] : (void *)(block + out[i]);
	NS_GO(ns_plan_run(plan, &a, queue));
	for (i = 0; !b->host_memory && i < NS_OP_MAX_OUT; i++)
		if (s->out_bytes[i])
			NS_GO(b->get(queue, s->out[i], a.out[i], s->out_bytes[i]));
	status = b->wait(queue);
out:
	return status;
}

enum ns_status ns_staged_plan(struct ns_device *dev, struct ns_queue *queue, const struct ns_plan *plan, const struct ns_staged *args)
{
	void *memory = NULL;
	enum ns_status status = ns_staged_keep(dev, queue, plan, args, &memory);

	dev->backend->mem_free(dev, memory);
	return status;
}

enum ns_status ns_staged_run(struct ns_device *dev, struct ns_queue *queue, const struct ns_op *op, const struct ns_staged *args)
{
	struct ns_plan *plan;
	enum ns_status status;

	NS_TRY(ns_plan_make(&plan, dev, op));
	status = ns_staged_plan(dev, queue, plan, args);
	ns_plan_free(plan);
	return status;
}
