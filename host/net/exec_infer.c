/* host/net/exec_infer.c - inference: normalisation folded into the weights, then forward and the prediction head. */
#include "host/net/exec_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
		bias += ns_exec_round64((size_t)net->layers[i].k * 4);
	if (status == NS_OK)
		status = e->dev->backend->mem_make(&e->folded, e->dev, bias + (size_t)net->embedding_dim * (size_t)net->arch.classes * 4);
	bias = e->packed_bytes;
	for (i = 0; i < net->layer_count && status == NS_OK; i++) {
		struct ns_unit *u = &e->units[i];
		float *b = (float *)(void *)((char *)e->folded + bias);

		u->packed_backward = bias; /* inference has no backward weights: here the bias lies */
		bias += ns_exec_round64((size_t)u->l->k * 4);
		if (u->l->kind == NS_LAYER_CONV) {
			fold(net, u->l, values, w, b);
			status = ns_exec_run1(e, u->pack_forward, w, (char *)e->folded + u->packed_forward);
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

	NS_TRY(ns_exec_alloc(&e, net, dev, queue, n, 0, dtype));
	ns_exec_plan_forward(e);
	NS_GO(ns_exec_compile(e));
	op.u.head = (struct ns_head){n, k, temperature};
	NS_GO(ns_plan_make(&e->head, dev, &op));
	e->logits = e->units[last - 1].y;
	ns_exec_extend(e, e->logits, last + 1);
	ns_exec_extend(e, e->units[last - 2].y, last + 1);
	e->prob = ns_exec_buffer(e, (size_t)n * (size_t)k * 4, last, last + 1);
	e->pred = ns_exec_buffer(e, (size_t)n * 4, last, last + 1);
	e->entropy = ns_exec_buffer(e, (size_t)n * 4, last, last + 1);
	e->margin = ns_exec_buffer(e, (size_t)n * 4, last, last + 1);
	NS_GO(ns_exec_allocate(e));
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
		struct ns_unit *u = &e->units[i];
		struct ns_args a = {.workspace = e->workspace};

		a.in[0] = ns_exec_at(e, e->tensor[u->l->in]);
		a.out[0] = ns_exec_at(e, u->y);
		if (u->l->kind == NS_LAYER_CONV || u->l->kind == NS_LAYER_LINEAR) {
			a.in[1] = (const char *)e->folded + u->packed_forward; /* weights, then bias, for both kinds */
			a.in[2] = (const char *)e->folded + u->packed_backward;
			a.in[NS_CONV_RES] = u->l->res >= 0 ? ns_exec_at(e, e->tensor[u->l->res]) : NULL;
		}
		NS_TRY(ns_plan_run(u->forward, &a, e->queue));
	}
	h.in[NS_HEAD_X] = ns_exec_at(e, e->logits);
	h.out[NS_HEAD_PROB] = ns_exec_at(e, e->prob);
	h.out[NS_HEAD_PRED] = ns_exec_at(e, e->pred);
	h.out[NS_HEAD_ENTROPY] = ns_exec_at(e, e->entropy);
	h.out[NS_HEAD_MARGIN] = ns_exec_at(e, e->margin);
	NS_TRY(ns_plan_run(e->head, &h, e->queue));
	*out = (struct ns_outputs){ns_exec_at(e, e->prob),   ns_exec_at(e, e->units[last - 2].y), ns_exec_at(e, e->entropy),
				   ns_exec_at(e, e->margin), ns_exec_at(e, e->logits),		    ns_exec_at(e, e->pred)};
	return e->dev->backend->wait(e->queue);
}
