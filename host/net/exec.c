/* host/net/exec.c - see exec.h. Times: forward of layer i is step i, backward of it 2 L - i. */
#include "host/net/exec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/net/arena.h"
#include "host/net/model.h"

struct unit { /* one layer's plans and buffers; buffers are numbers, -1: none */
	const struct ns_layer *l;
	struct ns_plan *forward, *backward;
	struct ns_plan *pack_forward, *pack_backward, *to_flat, *from_flat; /* weights of convolutions */
	size_t packed_forward, packed_backward;				       /* offsets */
	int y, z, which, mean, invstd;
	int dx, dres, dy[2]; /* gradients: handed on, and received */
};

struct ns_exec {
	const struct ns_net *net;
	struct ns_device *dev;
	struct ns_queue *queue;
	int n, training;
	enum ns_dtype dtype;
	struct unit *units;
	struct ns_plan *loss, *head;
	struct ns_buffer *buffers;
	int buffer_count, buffer_room;
	int image, dlogits, prob, pred, entropy, margin, logits;
	int *tensor; /* tensor -> buffer */
	void *memory, *workspace, *folded;
	size_t packed_bytes;
};

/* --- buffers --- */

static int buffer(struct ns_exec *e, size_t bytes, int born, int dies)
{
	e->buffers[e->buffer_count] = (struct ns_buffer){bytes, born, dies, 0};
	return e->buffer_count++;
}

static void *at(const struct ns_exec *e, int b)
{
	return b < 0 ? NULL : (char *)e->memory + e->buffers[b].at;
}

static void extend(struct ns_exec *e, int b, int dies)
{
	if (b >= 0 && e->buffers[b].dies < dies)
		e->buffers[b].dies = dies;
}

static enum ns_dtype out_type(const struct ns_exec *e, const struct ns_layer *l)
{
	return l->kind == NS_LAYER_AVGPOOL || l->kind == NS_LAYER_LINEAR ? NS_F32 : e->dtype;
}

static size_t out_bytes(const struct ns_exec *e, const struct ns_layer *l)
{
	return (size_t)e->n * (size_t)l->p * (size_t)l->q * (size_t)l->k * ns_dtype_bytes(out_type(e, l));
}

static void plan_forward(struct ns_exec *e)
{
	int i, last = e->net->layer_count;

	e->image = e->tensor[0] = buffer(e, (size_t)e->n * (size_t)e->net->arch.h * (size_t)e->net->arch.w *
						    (size_t)e->net->arch.c * ns_dtype_bytes(e->dtype),
					 -1, 0);
	for (i = 0; i < last; i++) {
		struct unit *u = &e->units[i];
		const struct ns_layer *l = u->l;
		int back = 2 * last - i;

		u->y = e->tensor[l->out] = buffer(e, out_bytes(e, l), i, i);
		u->z = u->which = u->mean = u->invstd = -1;
		extend(e, e->tensor[l->in], i);
		if (l->res >= 0)
			extend(e, e->tensor[l->res], i);
		if (!e->training)
			continue;
		if (l->kind == NS_LAYER_CONV) {
			u->z = buffer(e, out_bytes(e, l), i, back);
			u->mean = buffer(e, (size_t)l->k * 4, i, back);
			u->invstd = buffer(e, (size_t)l->k * 4, i, back);
			extend(e, e->tensor[l->in], back);
			if (l->relu)
				extend(e, u->y, back);
		} else if (l->kind == NS_LAYER_MAXPOOL) {
			u->which = buffer(e, (size_t)e->n * (size_t)l->p * (size_t)l->q * (size_t)l->k, i, back);
		} else if (l->kind == NS_LAYER_LINEAR) {
			extend(e, e->tensor[l->in], back);
		}
	}
}

/* Each consumer of a tensor hands back one gradient; the producer takes up to two as a sum. */
static enum ns_status receive(struct ns_exec *e, int tensor, int gradient)
{
	int i;

	for (i = 0; i < e->net->layer_count; i++) {
		struct unit *u = &e->units[i];

		if (u->l->out != tensor)
			continue;
		extend(e, gradient, 2 * e->net->layer_count - i);
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
	e->dlogits = buffer(e, (size_t)e->n * (size_t)e->net->arch.classes * 4, last, last + 1);
	e->units[last - 1].dy[0] = e->dlogits;
	for (i = last - 1; i >= 0; i--) {
		struct unit *u = &e->units[i];
		const struct ns_layer *l = u->l;
		int time = 2 * last - i;
		size_t in = (size_t)e->n * (size_t)l->h * (size_t)l->w * (size_t)l->c *
			    ns_dtype_bytes(l->kind == NS_LAYER_LINEAR ? NS_F32 : e->dtype);

		if (l->in > 0) {
			u->dx = buffer(e, in, time, time);
			NS_TRY(receive(e, l->in, u->dx));
		}
		if (l->res > 0) {
			u->dres = buffer(e, out_bytes(e, l), time, time);
			NS_TRY(receive(e, l->res, u->dres));
		}
	}
	return NS_OK;
}

/* --- plans --- */

static unsigned conv_flags(const struct ns_exec *e, const struct unit *u)
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

static enum ns_status reorder(struct ns_exec *e, const struct ns_layer *l, struct ns_layout from, struct ns_layout to,
			      struct ns_plan **plan)
{
	struct ns_op op = {.kind = NS_OP_REORDER};

	op.u.reorder = (struct ns_reorder){l->k, l->r, l->r, l->c, from, to};
	return ns_plan_make(plan, e->dev, &op);
}

static struct ns_layout canonical(const struct ns_layer *l)
{
	struct ns_layout c = {(size_t)l->k * (size_t)l->r * (size_t)l->r * (size_t)l->c * 4, NS_F32, NULL};

	return c;
}

static size_t round64(size_t n)
{
	return (n + 63) / 64 * 64;
}

static enum ns_status compile_conv(struct ns_exec *e, struct unit *u)
{
	const struct ns_layer *l = u->l;
	struct ns_op op = {.kind = e->training ? NS_OP_CONV_TRAIN : NS_OP_CONV};

	op.u.conv = (struct ns_conv){e->n, l->h, l->w, l->c, l->k, l->r, l->r, l->stride, l->pad, conv_flags(e, u), NS_BN_EPS,
				     e->dtype};
	NS_TRY(ns_plan_make(&u->forward, e->dev, &op));
	u->packed_forward = e->packed_bytes;
	e->packed_bytes += round64(u->forward->w.bytes);
	if (!e->training)
		return reorder(e, l, canonical(l), u->forward->w, &u->pack_forward);
	op.kind = NS_OP_CONV_BACKWARD;
	NS_TRY(ns_plan_make(&u->backward, e->dev, &op));
	NS_TRY(reorder(e, l, u->backward->dw, u->forward->w, &u->pack_forward));
	if (u->dx >= 0) {
		u->packed_backward = e->packed_bytes;
		e->packed_bytes += round64(u->backward->w.bytes);
		NS_TRY(reorder(e, l, u->backward->dw, u->backward->w, &u->pack_backward));
	}
	NS_TRY(reorder(e, l, canonical(l), u->backward->dw, &u->to_flat));
	return reorder(e, l, u->backward->dw, canonical(l), &u->from_flat);
}

static enum ns_status compile_pool(struct ns_exec *e, struct unit *u)
{
	const struct ns_layer *l = u->l;
	struct ns_op op = {.kind = NS_OP_POOL};
	int average = l->kind == NS_LAYER_AVGPOOL;

	op.u.pool = (struct ns_pool){e->n, l->h, l->w, l->k, average ? l->h : l->r, average ? l->w : l->r, l->stride, l->pad,
				     average ? NS_POOL_AVG : NS_POOL_MAX, u->dy[1] >= 0, e->dtype, out_type(e, l)};
	NS_TRY(ns_plan_make(&u->forward, e->dev, &op));
	op.kind = NS_OP_POOL_BACKWARD;
	return e->training ? ns_plan_make(&u->backward, e->dev, &op) : NS_OK;
}

static enum ns_status compile_linear(struct ns_exec *e, struct unit *u)
{
	struct ns_op op = {.kind = NS_OP_LINEAR};

	op.u.linear = (struct ns_linear){e->n, u->l->c, u->l->k, NS_F32};
	NS_TRY(ns_plan_make(&u->forward, e->dev, &op));
	op.kind = NS_OP_LINEAR_BACKWARD;
	return e->training ? ns_plan_make(&u->backward, e->dev, &op) : NS_OK;
}

static enum ns_status compile(struct ns_exec *e)
{
	int i;

	for (i = 0; i < e->net->layer_count; i++) {
		struct unit *u = &e->units[i];

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

static enum ns_status allocate(struct ns_exec *e)
{
	size_t total, workspace = 64;
	int i;

	NS_TRY(ns_arena_plan(e->buffers, e->buffer_count, &total));
	NS_TRY(e->dev->backend->mem_make(&e->memory, e->dev, total));
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
	return e->dev->backend->mem_make(&e->workspace, e->dev, workspace);
}

static enum ns_status exec_alloc(struct ns_exec **made, const struct ns_net *net, struct ns_device *dev,
				 struct ns_queue *queue, int n, int training, enum ns_dtype dtype)
{
	struct ns_exec *e = calloc(1, sizeof *e);
	int i;

	if (!e)
		return ns_fail(NS_NO_MEMORY, "no memory for a compiled network");
	*e = (struct ns_exec){.net = net, .dev = dev, .queue = queue, .n = n, .training = training, .dtype = dtype};
	e->units = calloc((size_t)net->layer_count, sizeof *e->units);
	e->tensor = calloc((size_t)net->tensors + 1, sizeof *e->tensor);
	e->buffers = calloc((size_t)(10 * net->layer_count + 16), sizeof *e->buffers);
	if (!e->units || !e->tensor || !e->buffers) {
		ns_exec_free(e);
		return ns_fail(NS_NO_MEMORY, "no memory for a compiled network");
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
		struct unit *u = &e->units[i];

		ns_plan_free(u->pack_forward);
		ns_plan_free(u->pack_backward);
		ns_plan_free(u->to_flat);
		ns_plan_free(u->from_flat);
		ns_plan_free(u->forward);
		ns_plan_free(u->backward);
	}
	ns_plan_free(e->loss);
	ns_plan_free(e->head);
	if (e->memory)
		e->dev->backend->mem_free(e->dev, e->memory);
	if (e->workspace)
		e->dev->backend->mem_free(e->dev, e->workspace);
	if (e->folded)
		e->dev->backend->mem_free(e->dev, e->folded);
	free(e->units);
	free(e->tensor);
	free(e->buffers);
	free(e);
}

enum ns_status ns_exec_train(struct ns_exec **exec, const struct ns_net *net, struct ns_device *dev,
			     struct ns_queue *queue, int n, int batch, float smoothing, enum ns_dtype dtype)
{
	struct ns_op op = {.kind = NS_OP_XENT};
	enum ns_status status;
	struct ns_exec *e;

	NS_TRY(exec_alloc(&e, net, dev, queue, n, 1, dtype));
	plan_forward(e);
	NS_GO(plan_backward(e));
	NS_GO(compile(e));
	op.u.xent = (struct ns_xent){n, net->arch.classes, 0, smoothing, 1.0f / (float)batch, NS_F32};
	NS_GO(ns_plan_make(&e->loss, dev, &op));
	extend(e, e->tensor[net->layers[net->layer_count - 1].out], net->layer_count);
	NS_GO(allocate(e));
	*exec = e;
	return NS_OK;
out:
	ns_exec_free(e);
	return status;
}

void *ns_exec_images(struct ns_exec *e)
{
	return at(e, e->image);
}

enum ns_dtype ns_exec_dtype(const struct ns_exec *e)
{
	return e->dtype;
}

/* --- the flat arrays --- */

static const struct unit *unit_of(const struct ns_exec *e, int param)
{
	int i;

	for (i = 0; i < e->net->layer_count; i++)
		if (e->units[i].l->weight == param)
			return &e->units[i];
	return NULL;
}

enum ns_status ns_exec_flat(const struct ns_exec *e, struct ns_flat *f)
{
	int p, n = e->net->param_count;
	int64_t at_float = 0;

	f->at = calloc((size_t)n, sizeof *f->at);
	f->count = calloc((size_t)n, sizeof *f->count);
	if (!f->at || !f->count) {
		ns_flat_release(f);
		return ns_fail(NS_NO_MEMORY, "no memory for a parameter table");
	}
	for (p = 0; p < n; p++) {
		const struct ns_param *q = &e->net->params[p];
		const struct unit *u = q->kind == NS_PARAM_CONV ? unit_of(e, p) : NULL;

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

static enum ns_status run1(struct ns_exec *e, struct ns_plan *plan, const void *x, void *y)
{
	struct ns_args args = {.in = {x}, .out = {y}, .workspace = e->workspace};

	return ns_plan_run(plan, &args, e->queue);
}

enum ns_status ns_exec_pack(struct ns_exec *e, const struct ns_flat *f, const float *weights, void *packed, int part,
			    int parts)
{
	int i;

	for (i = part; i < e->net->layer_count; i += parts) {
		struct unit *u = &e->units[i];

		if (u->pack_forward)
			NS_TRY(run1(e, u->pack_forward, weights + f->at[u->l->weight], (char *)packed + u->packed_forward));
		if (u->pack_backward)
			NS_TRY(run1(e, u->pack_backward, weights + f->at[u->l->weight], (char *)packed + u->packed_backward));
	}
	return NS_OK;
}

enum ns_status ns_exec_to_flat(struct ns_exec *e, const struct ns_flat *f, const float *canonical_values, float *out)
{
	int p;

	memset(out, 0, (size_t)f->total * sizeof *out);
	for (p = 0; p < e->net->param_count; p++) {
		const struct ns_param *q = &e->net->params[p];
		const struct unit *u = q->kind == NS_PARAM_CONV ? unit_of(e, p) : NULL;

		if (u)
			NS_TRY(run1(e, u->to_flat, canonical_values + q->at, out + f->at[p]));
		else
			memcpy(out + f->at[p], canonical_values + q->at, (size_t)q->count * sizeof *out);
	}
	return NS_OK;
}

enum ns_status ns_exec_from_flat(struct ns_exec *e, const struct ns_flat *f, const float *in, float *canonical_values)
{
	int p;

	for (p = 0; p < e->net->param_count; p++) {
		const struct ns_param *q = &e->net->params[p];
		const struct unit *u = q->kind == NS_PARAM_CONV ? unit_of(e, p) : NULL;

		if (u)
			NS_TRY(run1(e, u->from_flat, in + f->at[p], canonical_values + q->at));
		else
			memcpy(canonical_values + q->at, in + f->at[p], (size_t)q->count * sizeof *in);
	}
	return NS_OK;
}

/* --- one step of one virtual rank --- */

static enum ns_status forward(struct ns_exec *e, const struct ns_flat *f, const float *w, const void *packed, float *grad)
{
	int i;

	for (i = 0; i < e->net->layer_count; i++) {
		struct unit *u = &e->units[i];
		const struct ns_layer *l = u->l;
		struct ns_args a = {.workspace = e->workspace};
		const void *x = at(e, e->tensor[l->in]);

		a.in[0] = x;
		a.out[0] = at(e, u->y);
		if (l->kind == NS_LAYER_CONV) {
			a.in[NS_CONV_W] = (const char *)packed + u->packed_forward;
			a.in[NS_CONV_RES] = l->res >= 0 ? at(e, e->tensor[l->res]) : NULL;
			a.in[NS_CONV_GAMMA] = w + f->at[l->gamma];
			a.in[NS_CONV_BETA] = w + f->at[l->beta];
			a.out[NS_CONV_Z] = at(e, u->z);
			a.out[NS_CONV_MEAN] = at(e, u->mean);
			a.out[NS_CONV_INVSTD] = at(e, u->invstd);
			a.out[NS_CONV_SUM_MEAN] = grad + f->at[l->mean];
			a.out[NS_CONV_SUM_VAR] = grad + f->at[l->var];
		} else if (l->kind == NS_LAYER_LINEAR) {
			a.in[NS_LINEAR_W] = w + f->at[l->weight];
			a.in[NS_LINEAR_B] = w + f->at[l->bias];
		} else {
			a.out[NS_POOL_WHICH] = at(e, u->which);
		}
		NS_TRY(ns_plan_run(u->forward, &a, e->queue));
	}
	return NS_OK;
}

static enum ns_status backward(struct ns_exec *e, const struct ns_flat *f, const float *w, const void *packed, float *grad)
{
	int i;

	for (i = e->net->layer_count - 1; i >= 0; i--) {
		struct unit *u = &e->units[i];
		const struct ns_layer *l = u->l;
		struct ns_args a = {.workspace = e->workspace};

		a.out[0] = at(e, u->dx);
		if (l->kind == NS_LAYER_CONV) {
			a.in[NS_CONVB_X] = at(e, e->tensor[l->in]);
			a.in[NS_CONVB_W] = (const char *)packed + u->packed_backward;
			a.in[NS_CONVB_GAMMA] = w + f->at[l->gamma];
			a.in[NS_CONVB_Z] = at(e, u->z);
			a.in[NS_CONVB_MEAN] = at(e, u->mean);
			a.in[NS_CONVB_INVSTD] = at(e, u->invstd);
			a.in[NS_CONVB_Y] = at(e, u->y);
			a.in[NS_CONVB_DY] = at(e, u->dy[0]);
			a.in[NS_CONVB_DY2] = at(e, u->dy[1]);
			a.out[NS_CONVB_DW] = grad + f->at[l->weight];
			a.out[NS_CONVB_DGAMMA] = grad + f->at[l->gamma];
			a.out[NS_CONVB_DBETA] = grad + f->at[l->beta];
			a.out[NS_CONVB_DRES] = at(e, u->dres);
		} else if (l->kind == NS_LAYER_LINEAR) {
			a.in[NS_LINEARB_X] = at(e, e->tensor[l->in]);
			a.in[NS_LINEARB_W] = w + f->at[l->weight];
			a.in[NS_LINEARB_DY] = at(e, u->dy[0]);
			a.out[NS_LINEARB_DW] = grad + f->at[l->weight];
			a.out[NS_LINEARB_DB] = grad + f->at[l->bias];
		} else {
			a.in[NS_POOLB_DY] = at(e, u->dy[0]);
			a.in[NS_POOLB_WHICH] = at(e, u->which);
			a.in[NS_POOLB_DY2] = at(e, u->dy[1]);
		}
		NS_TRY(ns_plan_run(u->backward, &a, e->queue));
	}
	return NS_OK;
}

enum ns_status ns_exec_step(struct ns_exec *e, const struct ns_flat *f, const float *weights, const void *packed,
			    const int32_t *labels, float *grad)
{
	struct ns_args a = {.workspace = e->workspace};

	NS_TRY(forward(e, f, weights, packed, grad));
	a.in[NS_XENT_X] = at(e, e->units[e->net->layer_count - 1].y);
	a.in[NS_XENT_T] = labels;
	a.out[NS_XENT_DX] = at(e, e->dlogits);
	a.out[NS_XENT_LOSS] = grad + f->statistics + NS_TAIL_LOSS;
	a.out[NS_XENT_HITS] = grad + f->statistics + NS_TAIL_HITS;
	NS_TRY(ns_plan_run(e->loss, &a, e->queue));
	NS_TRY(backward(e, f, weights, packed, grad));
	return e->dev->backend->wait(e->queue);
}

/* --- inference --- */

/* w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma / sqrt(var + eps) */
static void fold(const struct ns_net *net, const struct ns_layer *l, const float *values, float *w, float *b)
{
	const float *gamma = values + net->params[l->gamma].at, *beta = values + net->params[l->beta].at;
	const float *mean = values + net->params[l->mean].at, *var = values + net->params[l->var].at;
	const float *from = values + net->params[l->weight].at;
	int64_t each = (int64_t)l->r * l->r * l->c, i;
	int k;

	for (k = 0; k < l->k; k++) {
		double s = (double)gamma[k] / sqrt((double)var[k] + (double)NS_BN_EPS);

		b[k] = (float)((double)beta[k] - (double)mean[k] * s);
		for (i = 0; i < each; i++)
			w[k * each + i] = (float)((double)from[k * each + i] * s);
	}
}

static enum ns_status pack_folded(struct ns_exec *e, const float *values)
{
	const struct ns_net *net = e->net;
	size_t bias = e->packed_bytes;
	float *w = malloc(sizeof *w * (size_t)net->floats);
	enum ns_status status = w ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory to fold weights");
	int i;

	for (i = 0; i < net->layer_count; i++)
		bias += round64((size_t)net->layers[i].k * 4);
	if (status == NS_OK)
		status = e->dev->backend->mem_make(&e->folded, e->dev, bias + (size_t)net->embedding_dim * (size_t)net->arch.classes * 4);
	bias = e->packed_bytes;
	for (i = 0; i < net->layer_count && status == NS_OK; i++) {
		struct unit *u = &e->units[i];
		float *b = (float *)(void *)((char *)e->folded + bias);

		u->packed_backward = bias; /* inference has no backward weights: here the bias lies */
		bias += round64((size_t)u->l->k * 4);
		if (u->l->kind == NS_LAYER_CONV) {
			fold(net, u->l, values, w, b);
			status = run1(e, u->pack_forward, w, (char *)e->folded + u->packed_forward);
		} else if (u->l->kind == NS_LAYER_LINEAR) {
			memcpy(b, values + net->params[u->l->bias].at, (size_t)u->l->k * 4);
			u->packed_forward = bias;
			memcpy((char *)e->folded + bias, values + net->params[u->l->weight].at, (size_t)u->l->k * (size_t)u->l->c * 4);
		}
	}
	free(w);
	return status;
}

enum ns_status ns_exec_infer(struct ns_exec **exec, const struct ns_net *net, struct ns_device *dev,
			     struct ns_queue *queue, int n, enum ns_dtype dtype, float temperature, const float *values)
{
	struct ns_op op = {.kind = NS_OP_HEAD};
	int last = net->layer_count, k = net->arch.classes;
	enum ns_status status;
	struct ns_exec *e;

	NS_TRY(exec_alloc(&e, net, dev, queue, n, 0, dtype));
	plan_forward(e);
	NS_GO(compile(e));
	op.u.head = (struct ns_head){n, k, temperature};
	NS_GO(ns_plan_make(&e->head, dev, &op));
	e->logits = e->units[last - 1].y;
	extend(e, e->logits, last + 1);
	extend(e, e->units[last - 2].y, last + 1);
	e->prob = buffer(e, (size_t)n * (size_t)k * 4, last, last + 1);
	e->pred = buffer(e, (size_t)n * 4, last, last + 1);
	e->entropy = buffer(e, (size_t)n * 4, last, last + 1);
	e->margin = buffer(e, (size_t)n * 4, last, last + 1);
	NS_GO(allocate(e));
	NS_GO(pack_folded(e, values));
	*exec = e;
	return NS_OK;
out:
	ns_exec_free(e);
	return status;
}

enum ns_status ns_exec_run(struct ns_exec *e, struct ns_outputs *out)
{
	struct ns_args h = {.workspace = e->workspace};
	int i, last = e->net->layer_count;

	for (i = 0; i < last; i++) {
		struct unit *u = &e->units[i];
		struct ns_args a = {.workspace = e->workspace};

		a.in[0] = at(e, e->tensor[u->l->in]);
		a.out[0] = at(e, u->y);
		if (u->l->kind == NS_LAYER_CONV || u->l->kind == NS_LAYER_LINEAR) {
			a.in[1] = (const char *)e->folded + u->packed_forward; /* weights, then bias, for both kinds */
			a.in[2] = (const char *)e->folded + u->packed_backward;
			a.in[NS_CONV_RES] = u->l->res >= 0 ? at(e, e->tensor[u->l->res]) : NULL;
		}
		NS_TRY(ns_plan_run(u->forward, &a, e->queue));
	}
	h.in[NS_HEAD_X] = at(e, e->logits);
	h.out[NS_HEAD_PROB] = at(e, e->prob);
	h.out[NS_HEAD_PRED] = at(e, e->pred);
	h.out[NS_HEAD_ENTROPY] = at(e, e->entropy);
	h.out[NS_HEAD_MARGIN] = at(e, e->margin);
	NS_TRY(ns_plan_run(e->head, &h, e->queue));
	*out = (struct ns_outputs){at(e, e->prob),   at(e, e->units[last - 2].y), at(e, e->entropy),
				   at(e, e->margin), at(e, e->logits),		    at(e, e->pred)};
	return e->dev->backend->wait(e->queue);
}
