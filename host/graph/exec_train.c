/* host/graph/exec_train.c - the backward pass, the flat arrays, and one step of one virtual rank. */
#include "host/graph/exec_inner.h"

#include <stdlib.h>
#include <string.h>

/* Each consumer of a tensor computes one gradient; the producer receives the sum of at most two. */
static enum ns_status receive(struct ns_exec *e, int tensor, int gradient)
{
	int i;

	for (i = 0; i < e->net->layer_count; i++) {
		struct ns_unit *u = &e->units[i];

		if (u->l->out != tensor)
			continue;
		ns_exec_extend(e, gradient, 2 * e->net->layer_count - i);
		if (u->dy[0] < 0)
			u->dy[0] = gradient;
		else if (u->dy[1] < 0)
			u->dy[1] = gradient;
		else
			return ns_fail(NS_INTERNAL, "tensor %d has more than two consumers", tensor);
	}
	return NS_OK;
}

static enum ns_status plan_backward(struct ns_exec *e)
{
	int i, last = e->net->layer_count;

	for (i = 0; i < last; i++)
		e->units[i].dy[0] = e->units[i].dy[1] = e->units[i].dx = e->units[i].dres = -1;
	e->dlogits = ns_exec_buffer(e, (size_t)e->n * (size_t)e->net->arch.classes * 4, last, last + 1);
	e->units[last - 1].dy[0] = e->dlogits;
	for (i = last - 1; i >= 0; i--) {
		struct ns_unit *u = &e->units[i];
		const struct ns_layer *l = u->l;
		int time = 2 * last - i;
		size_t in =
			(size_t)e->n * (size_t)l->h * (size_t)l->w * (size_t)l->c * ns_dtype_bytes(l->kind == NS_LAYER_LINEAR ? NS_F32 : e->dtype);

		if (l->in > 0) {
			u->dx = ns_exec_buffer(e, in, time, time);
			NS_TRY(receive(e, l->in, u->dx));
		}
		if (l->res > 0) {
			u->dres = ns_exec_buffer(e, ns_exec_out_bytes(e, l), time, time);
			NS_TRY(receive(e, l->res, u->dres));
		}
	}
	return NS_OK;
}

/* The classes' weights, where the device sees them. */
static enum ns_status put_class_weights(struct ns_exec *e, const struct ns_loss *loss)
{
	const struct ns_backend *b = e->dev->backend;
	size_t bytes = sizeof(float) * (size_t)e->net->arch.classes;

	if (!loss->weights)
		return NS_OK;
	NS_TRY(b->mem_make(&e->class_weights, e->dev, bytes));
	NS_TRY(b->put(e->queue, e->class_weights, loss->weights, bytes));
	return b->wait(e->queue);
}

static enum ns_status train_foreign(struct ns_exec **exec, const struct ns_model *m, struct ns_device *dev, struct ns_queue *queue, int n, int batch,
				    const struct ns_loss *loss)
{
	const struct ns_arch *a = &m->net.arch;
	enum ns_status status;
	struct ns_exec *e;

	NS_TRY(ns_exec_alloc(&e, &m->net, dev, queue, n, 1, NS_F32));
	NS_GO(ns_foreign_train_make(&e->learner, m, dev, n, batch, loss));
	NS_GO(dev->backend->mem_make(&e->images, dev, sizeof(float) * (size_t)n * (size_t)a->h * (size_t)a->w * (size_t)a->c));
	*exec = e;
	return NS_OK;
out:
	ns_exec_free(e);
	return status;
}

enum ns_status ns_exec_train(struct ns_exec **exec, const struct ns_model *m, struct ns_device *dev, struct ns_queue *queue, int n, int batch,
			     const struct ns_loss *loss, enum ns_dtype dtype)
{
	const struct ns_net *net = &m->net;
	struct ns_op op = {.kind = NS_OP_XENT};
	enum ns_status status;
	struct ns_exec *e;

	NS_TRY(ns_exec_check_logits(net, n));
	if (m->onnx)
		return train_foreign(exec, m, dev, queue, n, batch, loss);
	NS_TRY(ns_exec_alloc(&e, net, dev, queue, n, 1, dtype));
	ns_exec_plan_forward(e);
	NS_GO(plan_backward(e));
	NS_GO(ns_exec_compile(e));
	op.u.xent = ns_loss_op(loss, n, net->arch.classes, batch);
	NS_GO(put_class_weights(e, loss));
	NS_GO(ns_plan_make(&e->loss, dev, &op));
	ns_exec_extend(e, e->tensor[net->layers[net->layer_count - 1].out], net->layer_count);
	NS_GO(ns_exec_allocate(e));
	*exec = e;
	return NS_OK;
out:
	ns_exec_free(e);
	return status;
}

/* --- the flat arrays --- */

static const struct ns_unit *unit_of(const struct ns_exec *e, int param)
{
	int i;

	for (i = 0; i < e->net->layer_count; i++)
		if (e->units[i].l->weight == param)
			return &e->units[i];
	return NULL;
}

struct ns_target ns_exec_target(const struct ns_exec *e)
{
	return e->learner ? ns_foreign_target(e->learner) : (struct ns_target){NS_TASK_CLASSIFY, 1, 1, 1, 0, 0};
}

enum ns_status ns_exec_flat(const struct ns_exec *e, struct ns_flat *f)
{
	int p, n = e->net->param_count;
	int64_t at_float = 0;

	f->at = calloc((size_t)n, sizeof *f->at);
	f->count = calloc((size_t)n, sizeof *f->count);
	if (!f->at || !f->count) {
		ns_flat_release(f);
		return ns_fail(NS_NO_MEMORY, "out of memory for a parameter table");
	}
	for (p = 0; p < n; p++) {
		const struct ns_param *q = &e->net->params[p];
		const struct ns_unit *u = q->kind == NS_PARAM_CONV ? unit_of(e, p) : NULL;

		f->at[p] = at_float;
		f->count[p] = u ? (int64_t)(u->backward->dw.bytes / 4) : q->count;
		at_float += (f->count[p] + 15) / 16 * 16; /* vectors start on whole cache lines */
		if (p == e->net->decaying - 1)
			f->decay = at_float;
		if (p == e->net->trainable - 1)
			f->train = at_float;
	}
	f->statistics = at_float;
	f->total = at_float + NS_TAIL_COUNT;
	return NS_OK;
}

void ns_flat_release(struct ns_flat *f)
{
	free(f->at);
	free(f->count);
	memset(f, 0, sizeof *f);
}

int64_t ns_exec_packed_bytes(const struct ns_exec *e)
{
	return (int64_t)e->packed_bytes;
}

enum ns_status ns_exec_pack(struct ns_exec *e, const struct ns_flat *f, const float *weights, void *packed, int part, int parts)
{
	int i;

	for (i = part; i < e->net->layer_count; i += parts) {
		struct ns_unit *u = &e->units[i];

		if (u->pack_forward)
			NS_TRY(ns_exec_run1(e, u->pack_forward, weights + f->at[u->l->weight], (char *)packed + u->packed_forward));
		if (u->pack_backward)
			NS_TRY(ns_exec_run1(e, u->pack_backward, weights + f->at[u->l->weight], (char *)packed + u->packed_backward));
	}
	return NS_OK;
}

/*
 * Canonical values are in host memory, flat arrays on the device: weights of convolutions go through a staging buffer, from
 * which they are reordered; the rest is copied as it is.
 */
static enum ns_status carry(struct ns_exec *e, const struct ns_flat *f, float *canonical, float *flat, int to_flat)
{
	const struct ns_backend *b = e->dev->backend;
	size_t most = 0;
	void *stage;
	enum ns_status status = NS_OK;
	int p;

	for (p = 0; p < e->net->param_count; p++)
		most = e->net->params[p].count * (int64_t)sizeof(float) > (int64_t)most ? (size_t)e->net->params[p].count * sizeof(float) : most;
	NS_TRY(b->mem_make(&stage, e->dev, most));
	for (p = 0; p < e->net->param_count; p++) {
		const struct ns_param *q = &e->net->params[p];
		const struct ns_unit *u = q->kind == NS_PARAM_CONV ? unit_of(e, p) : NULL;
		size_t bytes = (size_t)q->count * sizeof(float);
		void *there = u ? stage : (void *)(flat + f->at[p]);

		if (!to_flat && u)
			NS_GO(ns_exec_run1(e, u->from_flat, flat + f->at[p], stage));
		NS_GO(to_flat ? b->put(e->queue, there, canonical + q->at, bytes) : b->get(e->queue, canonical + q->at, there, bytes));
		if (to_flat && u)
			NS_GO(ns_exec_run1(e, u->to_flat, stage, flat + f->at[p]));
	}
out:
	if (status == NS_OK)
		status = b->wait(e->queue);
	b->mem_free(e->dev, stage);
	return status;
}

enum ns_status ns_exec_to_flat(struct ns_exec *e, const struct ns_flat *f, const float *canonical, float *out)
{
	return carry(e, f, (float *)(uintptr_t)canonical, out, 1);
}

enum ns_status ns_exec_from_flat(struct ns_exec *e, const struct ns_flat *f, const float *in, float *canonical)
{
	return carry(e, f, canonical, (float *)(uintptr_t)in, 0);
}

/* --- one step of one virtual rank --- */

static enum ns_status forward(struct ns_exec *e, const struct ns_flat *f, const float *w, const void *packed, float *grad)
{
	int i;

	for (i = 0; i < e->net->layer_count; i++) {
		struct ns_unit *u = &e->units[i];
		const struct ns_layer *l = u->l;
		struct ns_args a = {.workspace = e->workspace};
		const void *x = ns_exec_at(e, e->tensor[l->in]);

		a.in[0] = x;
		a.out[0] = ns_exec_at(e, u->y);
		if (l->kind == NS_LAYER_CONV) {
			a.in[NS_CONV_W] = (const char *)packed + u->packed_forward;
			a.in[NS_CONV_RES] = l->res >= 0 ? ns_exec_at(e, e->tensor[l->res]) : NULL;
			a.in[NS_CONV_GAMMA] = w + f->at[l->gamma];
			a.in[NS_CONV_BETA] = w + f->at[l->beta];
			a.out[NS_CONV_Z] = ns_exec_at(e, u->z);
			a.out[NS_CONV_MEAN] = ns_exec_at(e, u->mean);
			a.out[NS_CONV_INVSTD] = ns_exec_at(e, u->invstd);
			a.out[NS_CONV_SUM_MEAN] = grad + f->at[l->mean];
			a.out[NS_CONV_SUM_VAR] = grad + f->at[l->var];
		} else if (l->kind == NS_LAYER_LINEAR) {
			a.in[NS_LINEAR_W] = w + f->at[l->weight];
			a.in[NS_LINEAR_B] = w + f->at[l->bias];
		} else {
			a.out[NS_POOL_WHICH] = ns_exec_at(e, u->which);
		}
		NS_TRY(ns_plan_run(u->forward, &a, e->queue));
	}
	return NS_OK;
}

static enum ns_status backward(struct ns_exec *e, const struct ns_flat *f, const float *w, const void *packed, float *grad)
{
	int i;

	for (i = e->net->layer_count - 1; i >= 0; i--) {
		struct ns_unit *u = &e->units[i];
		const struct ns_layer *l = u->l;
		struct ns_args a = {.workspace = e->workspace};

		a.out[0] = ns_exec_at(e, u->dx);
		if (l->kind == NS_LAYER_CONV) {
			a.in[NS_CONVB_X] = ns_exec_at(e, e->tensor[l->in]);
			a.in[NS_CONVB_W] = (const char *)packed + u->packed_backward;
			a.in[NS_CONVB_GAMMA] = w + f->at[l->gamma];
			a.in[NS_CONVB_Z] = ns_exec_at(e, u->z);
			a.in[NS_CONVB_MEAN] = ns_exec_at(e, u->mean);
			a.in[NS_CONVB_INVSTD] = ns_exec_at(e, u->invstd);
			a.in[NS_CONVB_Y] = ns_exec_at(e, u->y);
			a.in[NS_CONVB_DY] = ns_exec_at(e, u->dy[0]);
			a.in[NS_CONVB_DY2] = ns_exec_at(e, u->dy[1]);
			a.out[NS_CONVB_DW] = grad + f->at[l->weight];
			a.out[NS_CONVB_DGAMMA] = grad + f->at[l->gamma];
			a.out[NS_CONVB_DBETA] = grad + f->at[l->beta];
			a.out[NS_CONVB_DRES] = ns_exec_at(e, u->dres);
		} else if (l->kind == NS_LAYER_LINEAR) {
			a.in[NS_LINEARB_X] = ns_exec_at(e, e->tensor[l->in]);
			a.in[NS_LINEARB_W] = w + f->at[l->weight];
			a.in[NS_LINEARB_DY] = ns_exec_at(e, u->dy[0]);
			a.out[NS_LINEARB_DW] = grad + f->at[l->weight];
			a.out[NS_LINEARB_DB] = grad + f->at[l->bias];
		} else {
			a.in[NS_POOLB_DY] = ns_exec_at(e, u->dy[0]);
			a.in[NS_POOLB_WHICH] = ns_exec_at(e, u->which);
			a.in[NS_POOLB_DY2] = ns_exec_at(e, u->dy[1]);
		}
		NS_TRY(ns_plan_run(u->backward, &a, e->queue));
	}
	return NS_OK;
}

enum ns_status ns_exec_step(struct ns_exec *e, const struct ns_flat *f, const float *weights, const void *packed, const int32_t *labels, float *grad)
{
	struct ns_args a = {.workspace = e->workspace};

	if (e->learner)
		return ns_foreign_train_step(e->learner, f, e->images, weights, labels, grad, e->queue);
	NS_TRY(forward(e, f, weights, packed, grad));
	a.in[NS_XENT_X] = ns_exec_at(e, e->units[e->net->layer_count - 1].y);
	a.in[NS_XENT_T] = labels;
	a.in[NS_XENT_WEIGHTS] = e->class_weights;
	a.out[NS_XENT_DX] = ns_exec_at(e, e->dlogits);
	a.out[NS_XENT_LOSS] = grad + f->statistics + NS_TAIL_LOSS;
	a.out[NS_XENT_HITS] = grad + f->statistics + NS_TAIL_HITS;
	NS_TRY(ns_plan_run(e->loss, &a, e->queue));
	return backward(e, f, weights, packed, grad);
}
