/* host/graph/builder.c - see builder_inner.h. */
#include "host/graph/builder_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

static const char *new_name(struct ns_builder *b)
{
	if (b->count == NS_BUILDER_NAMES) {
		b->status = ns_fail(NS_CONFIG, "model: a network of more than %d nodes and weights", NS_BUILDER_NAMES);
		return b->names[0];
	}
	snprintf(b->names[b->count], sizeof *b->names, "v%d", b->count);
	return b->names[b->count++];
}

enum ns_status ns_builder_begin(struct ns_builder *b, uint64_t seed)
{
	*b = (struct ns_builder){.seed = seed, .names = calloc(NS_BUILDER_NAMES, sizeof *b->names)};
	return b->names ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a network");
}

enum ns_status ns_builder_end(struct ns_builder *b, char **bytes, size_t *n)
{
	struct ns_onnx_message out = {NULL, 0, 0, 0};

	NS_TRY(b->status);
	ns_onnx_put_model(&out, 17, &b->graph);
	if (out.failed) {
		ns_onnx_message_release(&out);
		return ns_fail(NS_NO_MEMORY, "out of memory for a network");
	}
	*bytes = out.bytes;
	*n = out.n;
	return NS_OK;
}

void ns_builder_release(struct ns_builder *b)
{
	ns_onnx_message_release(&b->graph);
	free(b->names);
	b->names = NULL;
}

/* --- weights --- */

const char *ns_build_weight(struct ns_builder *b, const int64_t *dims, int rank, double mean, double deviation)
{
	const char *name = new_name(b);
	int64_t i, n = 1;
	float *x;
	int d;

	for (d = 0; d < rank; d++)
		n *= dims[d];
	x = malloc(sizeof *x * (size_t)(n + 1));
	if (!x) {
		b->status = ns_fail(NS_NO_MEMORY, "out of memory for a weight of %lld numbers", (long long)n);
		return name;
	}
	b->stream++;
	for (i = 0; i < n; i++) {
		struct ns_philox r = deviation > 0 ? ns_draw(b->seed, NS_FOR_INIT, b->stream, (uint64_t)i, 0) : (struct ns_philox){{0}};
		double normal = deviation > 0 ? sqrt(-2 * log(1 - ns_uniform(r.v[0]))) * cos(6.283185307179586 * ns_uniform(r.v[1])) : 0;

		x[i] = (float)(mean + deviation * normal);
	}
	ns_onnx_put_tensor(&b->graph, name, NS_ONNX_FLOAT, dims, rank, x, sizeof *x * (size_t)n);
	free(x);
	return name;
}

const char *ns_build_wholes(struct ns_builder *b, const int64_t *values, int n)
{
	const char *name = new_name(b);
	const int64_t count = n;

	ns_onnx_put_tensor(&b->graph, name, NS_ONNX_INT64, &count, 1, values, sizeof *values * (size_t)n);
	return name;
}

const char *ns_build_number(struct ns_builder *b, float x)
{
	const char *name = new_name(b);

	ns_onnx_put_tensor(&b->graph, name, NS_ONNX_FLOAT, NULL, 0, &x, sizeof x);
	return name;
}

/* --- nodes --- */

static const char *end_node(struct ns_builder *b, struct ns_onnx_message *node, const char *name)
{
	ns_onnx_put_message(&b->graph, 1, node);
	return name;
}

const char *ns_build(struct ns_builder *b, const char *op, const char *x, const char *y, const char *z)
{
	return ns_build_with(b, op, x, y, z, NULL, 0);
}

const char *ns_build_with(struct ns_builder *b, const char *op, const char *x, const char *y, const char *z, const char *name, int64_t value)
{
	struct ns_onnx_message node = {NULL, 0, 0, 0};
	const char *out = new_name(b);

	ns_onnx_begin_node(&node, op, (const char *const[]){x, y, y ? z : NULL, NULL}, out);
	if (name)
		ns_onnx_put_whole(&node, name, value);
	return end_node(b, &node, out);
}

const char *ns_build_list(struct ns_builder *b, const char *op, const char *x, const char *name, const int64_t *values, int n)
{
	struct ns_onnx_message node = {NULL, 0, 0, 0};
	const char *out = new_name(b);

	ns_onnx_begin_node(&node, op, (const char *const[]){x, NULL}, out);
	ns_onnx_put_ints(&node, name, values, n);
	return end_node(b, &node, out);
}

const char *ns_build_conv(struct ns_builder *b, const char *x, int64_t in, int64_t out, int64_t k, int64_t stride, int64_t pad, int64_t groups,
			  int bias)
{
	const char *w = ns_build_weight(b, (const int64_t[]){out, in / groups, k, k}, 4, 0,
					sqrt(2.0 * (double)groups / ((double)out * (double)(k * k)))),
		   *c = bias ? ns_build_weight(b, &out, 1, 0, 0) : NULL, *y = new_name(b);
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	ns_onnx_begin_node(&node, "Conv", (const char *const[]){x, w, c, NULL}, y);
	ns_onnx_put_ints(&node, "strides", (const int64_t[]){stride, stride}, 2);
	ns_onnx_put_ints(&node, "pads", (const int64_t[]){pad, pad, pad, pad}, 4);
	ns_onnx_put_whole(&node, "group", groups);
	return end_node(b, &node, y);
}

const char *ns_build_batch_norm(struct ns_builder *b, const char *x, int64_t channels)
{
	const char *scale = ns_build_weight(b, &channels, 1, 1, 0), *shift = ns_build_weight(b, &channels, 1, 0, 0),
		   *mean = ns_build_weight(b, &channels, 1, 0, 0), *var = ns_build_weight(b, &channels, 1, 1, 0), *y = new_name(b);
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	ns_onnx_begin_node(&node, "BatchNormalization", (const char *const[]){x, scale, shift, mean, var, NULL}, y);
	ns_onnx_put_real(&node, "epsilon", NS_BN_EPS);
	return end_node(b, &node, y);
}

const char *ns_build_layer_norm(struct ns_builder *b, const char *x, int64_t channels)
{
	const char *scale = ns_build_weight(b, &channels, 1, 1, 0), *shift = ns_build_weight(b, &channels, 1, 0, 0), *y = new_name(b);
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	ns_onnx_begin_node(&node, "LayerNormalization", (const char *const[]){x, scale, shift, NULL}, y);
	ns_onnx_put_whole(&node, "axis", -1);
	ns_onnx_put_real(&node, "epsilon", 1e-6f);
	return end_node(b, &node, y);
}

const char *ns_build_dense(struct ns_builder *b, const char *x, int64_t in, int64_t out)
{
	const char *w = ns_build_weight(b, (const int64_t[]){in, out}, 2, 0, 0.02), *c = ns_build_weight(b, &out, 1, 0, 0);

	return ns_build(b, "Add", ns_build(b, "MatMul", x, w, NULL), c, NULL);
}

const char *ns_build_gelu(struct ns_builder *b, const char *x)
{
	const char *t = ns_build(b, "Erf", ns_build(b, "Mul", x, ns_build_number(b, 0.70710678f), NULL), NULL, NULL);

	t = ns_build(b, "Mul", x, ns_build(b, "Add", t, ns_build_number(b, 1), NULL), NULL);
	return ns_build(b, "Mul", t, ns_build_number(b, 0.5f), NULL);
}

const char *ns_build_max_pool(struct ns_builder *b, const char *x, int64_t kh, int64_t kw)
{
	const char *y = new_name(b);
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	ns_onnx_begin_node(&node, "MaxPool", (const char *const[]){x, NULL}, y);
	ns_onnx_put_ints(&node, "kernel_shape", (const int64_t[]){kh, kw}, 2);
	ns_onnx_put_ints(&node, "strides", (const int64_t[]){kh, kw}, 2);
	return end_node(b, &node, y);
}

const char *ns_build_lstm(struct ns_builder *b, const char *x, int64_t in, int64_t hidden)
{
	const double deviation = 1 / sqrt(3.0 * (double)hidden); /* that of numbers drawn evenly up to 1 / sqrt(hidden) */
	const char *w = ns_build_weight(b, (const int64_t[]){2, 4 * hidden, in}, 3, 0, deviation),
		   *r = ns_build_weight(b, (const int64_t[]){2, 4 * hidden, hidden}, 3, 0, deviation),
		   *c = ns_build_weight(b, (const int64_t[]){2, 8 * hidden}, 2, 0, 0), *y = new_name(b);
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	ns_onnx_begin_node(&node, "LSTM", (const char *const[]){x, w, r, c, NULL}, y);
	ns_onnx_put_whole(&node, "hidden_size", hidden);
	ns_onnx_put_word(&node, "direction", "bidirectional");
	y = ns_build_list(b, "Transpose", end_node(b, &node, y), "perm", (const int64_t[]){0, 2, 1, 3}, 4);
	return ns_build(b, "Reshape", y, ns_build_wholes(b, (const int64_t[]){0, 0, 2 * hidden}, 3), NULL);
}

void ns_build_head(struct ns_builder *b, const char *x, int64_t in, int64_t classes)
{
	const char *w = ns_build_weight(b, (const int64_t[]){classes, in}, 2, 0, 1 / sqrt(3.0 * (double)in)),
		   *c = ns_build_weight(b, &classes, 1, 0, 0);
	struct ns_onnx_message node = {NULL, 0, 0, 0};

	ns_onnx_begin_node(&node, "Gemm", (const char *const[]){x, w, c, NULL}, "logits");
	ns_onnx_put_whole(&node, "transB", 1);
	(void)end_node(b, &node, "logits");
	x = b->logistic ? ns_build(b, "Sigmoid", "logits", NULL, NULL) : "logits";
	ns_onnx_put_value(&b->graph, 12, x, NS_ONNX_FLOAT, "n", &classes, 1);
}
