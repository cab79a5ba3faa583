/* host/graph/exec.c - buffers, plans and memory of a compiled network; see exec_inner.h. */
#include "host/graph/exec_inner.h"

#include <stdlib.h>
#include <string.h>

/* --- buffers --- */

int ns_exec_buffer(struct ns_exec *e, size_t bytes, int born, int dies)
{
	e->buffers[e->buffer_count] = (struct ns_buffer){bytes, born, dies, 0};
	return e->buffer_count++;
}

void *ns_exec_at(const struct ns_exec *e, int b)
{
	return b < 0 ? NULL : (char *)e->memory + e->buffers[b].at;
}

void ns_exec_extend(struct ns_exec *e, int b, int dies)
{
	if (b >= 0 && e->buffers[b].dies < dies)
		e->buffers[b].dies = dies;
}

static enum ns_dtype out_type(const struct ns_exec *e, const struct ns_layer *l)
{
	return l->kind == NS_LAYER_AVGPOOL || l->kind == NS_LAYER_LINEAR ? NS_F32 : e->dtype;
}

size_t ns_exec_out_bytes(const struct ns_exec *e, const struct ns_layer *l)
{
	return (size_t)e->n * (size_t)l->p * (size_t)l->q * (size_t)l->k * ns_dtype_bytes(out_type(e, l));
}

void ns_exec_plan_forward(struct ns_exec *e)
{
	int i, last = e->net->layer_count;

	e->image = e->tensor[0] = ns_exec_buffer(
		e, (size_t)e->n * (size_t)e->net->arch.h * (size_t)e->net->arch.w * (size_t)e->net->arch.c * ns_dtype_bytes(e->dtype), -1, 0);
	for (i = 0; i < last; i++) {
		struct ns_unit *u = &e->units[i];
		const struct ns_layer *l = u->l;
		int back = 2 * last - i;

		u->y = e->tensor[l->out] = ns_exec_buffer(e, ns_exec_out_bytes(e, l), i, i);
		u->z = u->which = u->mean = u->invstd = -1;
		ns_exec_extend(e, e->tensor[l->in], i);
		if (l->res >= 0)
			ns_exec_extend(e, e->tensor[l->res], i);
		if (!e->training)
			continue;
		if (l->kind == NS_LAYER_CONV) {
			u->z = ns_exec_buffer(e, ns_exec_out_bytes(e, l), i, back);
			u->mean = ns_exec_buffer(e, (size_t)l->k * 4, i, back);
			u->invstd = ns_exec_buffer(e, (size_t)l->k * 4, i, back);
			ns_exec_extend(e, e->tensor[l->in], back);
			if (l->relu)
				ns_exec_extend(e, u->y, back);
		} else if (l->kind == NS_LAYER_MAXPOOL) {
			u->which = ns_exec_buffer(e, (size_t)e->n * (size_t)l->p * (size_t)l->q * (size_t)l->k, i, back);
		} else if (l->kind == NS_LAYER_LINEAR) {
			ns_exec_extend(e, e->tensor[l->in], back);
		}
	}
}

/* --- plans --- */

static unsigned conv_flags(const struct ns_exec *e, const struct ns_unit *u)
{
	const struct ns_layer *l = u->l;
	unsigned flags = e->training ? NS_CONV_NORM : NS_CONV_BIAS;

	if (l->relu)
		flags |= NS_CONV_RELU;
	if (l->res >= 0)
		flags |= NS_CONV_RESIDUAL;
	if (l->in == 0)
		flags |= NS_CONV_NO_DX;
	if (e->training && u->dy[1] >= 0)
		flags |= NS_CONV_DY2;
	return flags;
}

static enum ns_status reorder(struct ns_exec *e, const struct ns_layer *l, struct ns_layout from, struct ns_layout to, struct ns_plan **plan)
{
	struct ns_op op = {.kind = NS_OP_REORDER};

	op.u.reorder = (struct ns_op_reorder){l->k, l->r, l->r, l->c, from, to};
	return ns_plan_make(plan, e->dev, &op);
}

static struct ns_layout canonical(const struct ns_layer *l)
{
	struct ns_layout c = {(size_t)l->k * (size_t)l->r * (size_t)l->r * (size_t)l->c * 4, NS_F32, NULL};

	return c;
}

size_t ns_exec_round64(size_t n)
{
	return (n + 63) / 64 * 64;
}

static enum ns_status compile_conv(struct ns_exec *e, struct ns_unit *u)
{
	const struct ns_layer *l = u->l;
	struct ns_op op = {.kind = e->training ? NS_OP_CONV_TRAIN : NS_OP_CONV};

	op.u.conv =
		(struct ns_op_conv){e->n, l->h, l->w, l->c, l->k, l->r, l->r, l->stride, l->pad, conv_flags(e, u), e->net->arch.epsilon, e->dtype};
	NS_TRY(ns_plan_make(&u->forward, e->dev, &op));
	u->packed_forward = e->packed_bytes;
	e->packed_bytes += ns_exec_round64(u->forward->w.bytes);
	if (!e->training)
		return reorder(e, l, canonical(l), u->forward->w, &u->pack_forward);
	op.kind = NS_OP_CONV_BACKWARD;
	NS_TRY(ns_plan_make(&u->backward, e->dev, &op));
	NS_TRY(reorder(e, l, u->backward->dw, u->forward->w, &u->pack_forward));
	if (u->dx >= 0 && !u->forward->w.native && !u->backward->w.native && u->forward->w.dtype == u->backward->w.dtype) {
		u->packed_backward = u->packed_forward; /* both canonical: one copy serves */
	} else if (u->dx >= 0) {
		u->packed_backward = e->packed_bytes;
		e->packed_bytes += ns_exec_round64(u->backward->w.bytes);
		NS_TRY(reorder(e, l, u->backward->dw, u->backward->w, &u->pack_backward));
	}
	NS_TRY(reorder(e, l, canonical(l), u->backward->dw, &u->to_flat));
	return reorder(e, l, u->backward->dw, canonical(l), &u->from_flat);
}

static enum ns_status compile_pool(struct ns_exec *e, struct ns_unit *u)
{
	const struct ns_layer *l = u->l;
	struct ns_op op = {.kind = NS_OP_POOL};
	int average = l->kind == NS_LAYER_AVGPOOL;

	op.u.pool = (struct ns_op_pool){e->n,
					l->h,
					l->w,
					l->k,
					average ? l->h : l->r,
					average ? l->w : l->r,
					l->stride,
					l->pad,
					average ? NS_POOL_AVG : NS_POOL_MAX,
					u->dy[1] >= 0,
					e->dtype,
					out_type(e, l)};
	NS_TRY(ns_plan_make(&u->forward, e->dev, &op));
	op.kind = NS_OP_POOL_BACKWARD;
	return e->training ? ns_plan_make(&u->backward, e->dev, &op) : NS_OK;
}

static enum ns_status compile_linear(struct ns_exec *e, struct ns_unit *u)
{
	struct ns_op op = {.kind = NS_OP_LINEAR};

	op.u.linear = (struct ns_op_linear){e->n, u->l->c, u->l->k, NS_F32};
	NS_TRY(ns_plan_make(&u->forward, e->dev, &op));
	op.kind = NS_OP_LINEAR_BACKWARD;
	return e->training ? ns_plan_make(&u->backward, e->dev, &op) : NS_OK;
}

enum ns_status ns_exec_compile(struct ns_exec *e)
{
	int i;

	for (i = 0; i < e->net->layer_count; i++) {
		struct ns_unit *u = &e->units[i];

		if (u->l->kind == NS_LAYER_CONV)
			NS_TRY(compile_conv(e, u));
		else if (u->l->kind == NS_LAYER_LINEAR)
			NS_TRY(compile_linear(e, u));
		else
			NS_TRY(compile_pool(e, u));
	}
	return NS_OK;
}

static void most(size_t *bytes, const struct ns_plan *plan)
{
	if (plan && plan->workspace_bytes > *bytes)
		*bytes = plan->workspace_bytes;
}

static enum ns_status reserve(struct ns_exec *e, void **mem, size_t bytes, const char *what)
{
	enum ns_status status = e->dev->backend->mem_make(mem, e->dev, bytes);

	if (status == NS_OK)
		return NS_OK;
	return ns_fail_in(status, "%s %d images at a time (%s)", what, e->n, e->training ? "training" : "inference");
}

enum ns_status ns_exec_allocate(struct ns_exec *e)
{
	size_t total, workspace = 64;
	int i;

	NS_TRY(ns_arena_plan(e->buffers, e->buffer_count, &total));
	NS_TRY(reserve(e, &e->memory, total, "activations of"));
	for (i = 0; i < e->net->layer_count; i++) {
		most(&workspace, e->units[i].forward);
		most(&workspace, e->units[i].backward);
		most(&workspace, e->units[i].pack_forward);
		most(&workspace, e->units[i].pack_backward);
		most(&workspace, e->units[i].to_flat);
		most(&workspace, e->units[i].from_flat);
	}
	most(&workspace, e->loss);
	most(&workspace, e->head);
	return reserve(e, &e->workspace, workspace, "scratch of the plans for");
}

enum ns_status ns_exec_check_logits(const struct ns_net *net, int n)
{
	int64_t logits = (int64_t)n * net->arch.classes;

	if (logits <= NS_CLASSIFIER_MAX)
		return NS_OK;
	return ns_fail(NS_CONFIG, "%d images x %d classes are %lld logits at a time, expected at most 2^28 (1 GiB); a smaller batch has fewer", n,
		       net->arch.classes, (long long)logits);
}

enum ns_status ns_exec_alloc(struct ns_exec **made, const struct ns_net *net, struct ns_device *dev, struct ns_queue *queue, int n, int training,
			     enum ns_dtype dtype)
{
	struct ns_exec *e = calloc(1, sizeof *e);
	int i;

	if (!e)
		return ns_fail(NS_NO_MEMORY, "out of memory for a compiled network");
	*e = (struct ns_exec){.net = net, .dev = dev, .queue = queue, .n = n, .training = training, .dtype = dtype};
	e->units = calloc((size_t)net->layer_count + 1, sizeof *e->units);
	e->tensor = calloc((size_t)net->tensors + 1, sizeof *e->tensor);
	e->buffers = calloc((size_t)(10 * net->layer_count + 16), sizeof *e->buffers);
	if (!e->units || !e->tensor || !e->buffers) {
		ns_exec_free(e);
		return ns_fail(NS_NO_MEMORY, "out of memory for a compiled network");
	}
	for (i = 0; i < net->layer_count; i++) {
		e->units[i].l = &net->layers[i];
		e->units[i].dx = e->units[i].dres = e->units[i].dy[0] = e->units[i].dy[1] = -1;
	}
	*made = e;
	return NS_OK;
}

void ns_exec_free(struct ns_exec *e)
{
	int i;

	if (!e)
		return;
	for (i = 0; e->units && i < e->net->layer_count; i++) {
		struct ns_unit *u = &e->units[i];

		ns_plan_free(u->pack_forward);
		ns_plan_free(u->pack_backward);
		ns_plan_free(u->to_flat);
		ns_plan_free(u->from_flat);
		ns_plan_free(u->forward);
		ns_plan_free(u->backward);
	}
	ns_foreign_free(e->foreign);
	ns_foreign_train_free(e->learner);
	ns_plan_free(e->loss);
	ns_plan_free(e->head);
	if (e->memory)
		e->dev->backend->mem_free(e->dev, e->memory);
	if (e->workspace)
		e->dev->backend->mem_free(e->dev, e->workspace);
	if (e->folded)
		e->dev->backend->mem_free(e->dev, e->folded);
	if (e->class_weights)
		e->dev->backend->mem_free(e->dev, e->class_weights);
	if (e->images)
		e->dev->backend->mem_free(e->dev, e->images);
	if (e->results)
		e->dev->backend->mem_free(e->dev, e->results);
	free(e->units);
	free(e->tensor);
	free(e->buffers);
	free(e);
}

void *ns_exec_images(struct ns_exec *e)
{
	return e->images ? e->images : ns_exec_at(e, e->image);
}

enum ns_status ns_exec_run1(struct ns_exec *e, struct ns_plan *plan, const void *x, void *y)
{
	struct ns_args args = {.in = {x}, .out = {y}, .workspace = e->workspace};

	return ns_plan_run(plan, &args, e->queue);
}
