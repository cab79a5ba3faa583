/*
 * host/graph/export.c - a model as ONNX: of ours, node by node, with weights that point into model.safetensors or lie inside; of one that came as ONNX the file that it is. Either
 * with what prepares its pixels in front: bytes (n, h, w, c) go in, as a camera or a decoder gives them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/graph/graph.h"
#include "host/onnx/onnx.h"

#define IMAGES "images"
#define PREFIX "nightshift." /* of values in front of a stranger's graph, whose names may be any other */

struct writer {
	const struct ns_model *m;
	const struct ns_tensors *weights;
	int inside;
	struct ns_onnx_message *graph;
	enum ns_status status; /* of weights that were looked up */
};

static void end_node(struct writer *e, struct ns_onnx_message *node)
{
	ns_onnx_put_message(e->graph, 1, node);
}

static void plain(struct writer *e, const char *op, const char *a, const char *b, const char *out)
{
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	ns_onnx_begin_node(&node, op, (const char *const[]){a, b, NULL}, out);
	end_node(e, &node);
}

/* --- pixels --- */

static void channel_constants(struct ns_onnx_message *graph, const struct ns_model *m, int *n)
{
	float scale[4], shift[4];
	int64_t c = m->net.arch.c;
	int k;

	for (k = 0; k < c; k++) { /* y = (x / 255 - mean) / std */
		scale[k] = (float)(1 / (255 * (double)m->std[k]));
		shift[k] = (float)(-(double)m->mean[k] / (double)m->std[k]);
	}
	ns_onnx_put_tensor(graph, PREFIX "scale", NS_ONNX_FLOAT, &c, 1, scale, sizeof *scale * (size_t)c);
	ns_onnx_put_tensor(graph, PREFIX "shift", NS_ONNX_FLOAT, &c, 1, shift, sizeof *shift * (size_t)c);
	*n = (int)c;
}

/* Bytes to what the network takes, as the value `out`. */
static void prepare(struct writer *e, const char *out)
{
	const struct ns_arch *a = &e->m->net.arch;
	const int64_t shape[3] = {a->h, a->w, a->c};
	const char *last = a->bgr || !a->channels_last ? PREFIX "standardised" : out;
	struct ns_onnx_message node = {NULL, 0, 0, 0};
	int64_t turned[4] = {0};
	int c, k;

	ns_onnx_put_value(e->graph, 11, IMAGES, NS_ONNX_UINT8, "n", shape, 3);
	channel_constants(e->graph, e->m, &c);
	ns_onnx_begin_node(&node, "Cast", (const char *const[]){IMAGES, NULL}, PREFIX "pixels");
	ns_onnx_put_whole(&node, "to", NS_ONNX_FLOAT);
	end_node(e, &node);
	plain(e, "Mul", PREFIX "pixels", PREFIX "scale", PREFIX "scaled");
	plain(e, "Add", PREFIX "scaled", PREFIX "shift", last);
	if (a->bgr) {
		const int64_t n = c;

		for (k = 0; k < c; k++)
			turned[k] = c - 1 - k;
		ns_onnx_put_tensor(e->graph, PREFIX "bgr", NS_ONNX_INT64, &n, 1, turned, sizeof *turned * (size_t)c);
		ns_onnx_begin_node(&node, "Gather", (const char *const[]){last, PREFIX "bgr", NULL}, a->channels_last ? out : PREFIX "turned");
		ns_onnx_put_whole(&node, "axis", 3);
		end_node(e, &node);
	}
	if (a->channels_last)
		return;
	ns_onnx_begin_node(&node, "Transpose", (const char *const[]){a->bgr ? PREFIX "turned" : last, NULL}, out);
	ns_onnx_put_ints(&node, "perm", (const int64_t[]){0, 3, 1, 2}, 4);
	end_node(e, &node);
}

/* --- ours --- */

static void value_name(char name[24], int tensor)
{
	snprintf(name, 24, tensor ? "x%d" : "x", tensor);
}

/* A parameter as the file of weights has it. */
static const char *weight(struct writer *e, int param)
{
	const struct ns_param *p = &e->m->net.params[param];
	const json_t *entry = json_object_get(e->weights->header, p->name), *shape = json_object_get(entry, "shape"),
		     *offsets = json_object_get(entry, "data_offsets");
	int64_t dims[4] = {0}, from = json_integer_value(json_array_get(offsets, 0)), bytes = json_integer_value(json_array_get(offsets, 1)) - from;
	int n = (int)json_array_size(shape), i;

	if (n < 1 || n > 4 || strcmp(ns_json_text(entry, "dtype"), "F32")) {
		e->status = ns_fail(NS_BAD_DATA, "%s: %s is not there in F32", e->weights->path, p->name);
		return p->name;
	}
	for (i = 0; i < n; i++)
		dims[i] = json_integer_value(json_array_get(shape, (size_t)i));
	if (e->inside)
		ns_onnx_put_tensor(e->graph, p->name, NS_ONNX_FLOAT, dims, n, e->weights->data + from, (size_t)bytes);
	else
		ns_onnx_put_external(e->graph, p->name, NS_ONNX_FLOAT, dims, n, "model.safetensors", e->weights->data - e->weights->bytes + from,
				     bytes);
	return p->name;
}

static void windows(struct ns_onnx_message *node, const struct ns_layer *l)
{
	ns_onnx_put_ints(node, "kernel_shape", (const int64_t[]){l->r, l->r}, 2);
	ns_onnx_put_ints(node, "strides", (const int64_t[]){l->stride, l->stride}, 2);
	ns_onnx_put_ints(node, "pads", (const int64_t[]){l->pad, l->pad, l->pad, l->pad}, 4);
}

static void convolution(struct writer *e, const struct ns_layer *l, const char *in, const char *out)
{
	const char *w = weight(e, l->weight), *gamma = weight(e, l->gamma), *beta = weight(e, l->beta), *mean = weight(e, l->mean),
		   *var = weight(e, l->var);
	char conv[32], norm[32], sum[32], res[24];
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	snprintf(conv, sizeof conv, "%s.conv", out);
	snprintf(norm, sizeof norm, "%s.norm", out);
	snprintf(sum, sizeof sum, "%s.sum", out);
	ns_onnx_begin_node(&node, "Conv", (const char *const[]){in, w, NULL}, conv);
	windows(&node, l);
	end_node(e, &node);
	ns_onnx_begin_node(&node, "BatchNormalization", (const char *const[]){conv, gamma, beta, mean, var, NULL},
			   l->relu || l->res >= 0 ? norm : out);
	ns_onnx_put_real(&node, "epsilon", e->m->net.arch.epsilon);
	end_node(e, &node);
	if (l->res >= 0) {
		value_name(res, l->res);
		plain(e, "Add", norm, res, l->relu ? sum : out);
	}
	if (l->relu)
		plain(e, "Relu", l->res >= 0 ? sum : norm, NULL, out);
}

static void layer(struct writer *e, const struct ns_layer *l)
{
	struct ns_onnx_message node = {NULL, 0, 0, 0};
	char in[24], out[24];

	value_name(in, l->in);
	value_name(out, l->out);
	switch (l->kind) {
	case NS_LAYER_CONV:
		convolution(e, l, in, out);
		return;
	case NS_LAYER_MAXPOOL:
		ns_onnx_begin_node(&node, "MaxPool", (const char *const[]){in, NULL}, out);
		windows(&node, l);
		end_node(e, &node);
		return;
	case NS_LAYER_AVGPOOL:
		plain(e, "GlobalAveragePool", in, NULL, "pooled");
		plain(e, "Flatten", "pooled", NULL, out);
		return;
	case NS_LAYER_LINEAR:
		ns_onnx_begin_node(&node, "Gemm", (const char *const[]){in, weight(e, l->weight), weight(e, l->bias), NULL}, "logits");
		ns_onnx_put_whole(&node, "transB", 1);
		end_node(e, &node);
	}
}

static void probabilities(struct writer *e)
{
	const float inverse = (float)(1 / e->m->temperature);
	const int64_t k = e->m->net.arch.classes;
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	ns_onnx_put_tensor(e->graph, "calibration", NS_ONNX_FLOAT, NULL, 0, &inverse, sizeof inverse);
	plain(e, "Mul", "logits", "calibration", "calibrated");
	ns_onnx_begin_node(&node, "Softmax", (const char *const[]){"calibrated", NULL}, "probabilities");
	ns_onnx_put_whole(&node, "axis", 1);
	end_node(e, &node);
	ns_onnx_put_value(e->graph, 12, "logits", NS_ONNX_FLOAT, "n", &k, 1);
	ns_onnx_put_value(e->graph, 12, "probabilities", NS_ONNX_FLOAT, "n", &k, 1);
}

static enum ns_status ours(const struct ns_model *m, const struct ns_tensors *weights, int prepared, int inside, struct ns_onnx_message *out)
{
	const struct ns_arch *a = &m->net.arch;
	struct ns_onnx_message graph = {NULL, 0, 0, 0};
	struct writer e = {m, weights, inside, &graph, NS_OK};
	int i;

	ns_onnx_put_text(&graph, 2, "nightshift");
	if (prepared)
		prepare(&e, "x");
	else
		ns_onnx_put_value(&graph, 11, "x", NS_ONNX_FLOAT, "n", (const int64_t[]){a->c, a->h, a->w}, 3);
	for (i = 0; i < m->net.layer_count; i++)
		layer(&e, &m->net.layers[i]);
	probabilities(&e);
	ns_onnx_put_model(out, 17, &graph);
	return e.status;
}

/* --- a stranger's --- */

static enum ns_status strangers(const struct ns_model *m, struct ns_onnx_message *out)
{
	const struct ns_onnx *o = m->onnx;
	struct ns_onnx_message front = {NULL, 0, 0, 0};
	struct writer e = {m, NULL, 1, &front, NS_OK};
	enum ns_status status;
	char *name;
	int i = 0;

	while (i < o->value_count && !(o->values[i].input && o->values[i].tensor < 0))
		i++;
	if (i == o->value_count)
		return ns_fail(NS_BAD_DATA, "%s: has no input", o->path);
	name = malloc(o->values[i].name.bytes + 1);
	if (!name)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path);
	memcpy(name, o->values[i].name.at, o->values[i].name.bytes);
	name[o->values[i].name.bytes] = 0;
	prepare(&e, name);
	status = ns_onnx_in_front(o, name, &front, out);
	ns_onnx_message_release(&front);
	free(name);
	return status;
}

enum ns_status ns_model_to_onnx(const struct ns_model *m, const char *weights, int prepared, int inside, const char *path)
{
	struct ns_tensors t = {NULL, NULL, 0, NULL, NULL, 0};
	struct ns_onnx_message out = {NULL, 0, 0, 0};
	enum ns_status status;

	if (m->onnx && !prepared)
		return ns_write_file(path, m->onnx->data, m->onnx->bytes);
	if (m->onnx) {
		NS_GO(strangers(m, &out));
	} else {
		NS_GO(ns_tensors_read(&t, weights));
		NS_GO(ours(m, &t, prepared, inside, &out));
	}
	if (out.n > INT32_MAX)
		NS_GO(ns_fail(NS_CONFIG, "%s: would have %zu bytes, and a file of ONNX less than 2 GiB: expected weights beside it", path, out.n));
	status = out.failed ? ns_fail(NS_NO_MEMORY, "%s: out of memory for a model", path) : ns_write_file(path, out.bytes, out.n);
out:
	ns_onnx_message_release(&out);
	ns_tensors_release(&t);
	return status;
}
