/*
 * host/onnx/weights.c - the weights of a file that a training may change: which they are, by where operators take them, and which come last, before the classes. Files say it nowhere: an
 * initializer may be a kernel, a mean, or a bound.
 */
#include <stdlib.h>
#include <string.h>

#include "host/onnx/import_inner.h"
#include "host/onnx/read_inner.h"

#define MASK_LEAST 90.0f /* Swin's masks have 100, others 1e4 and more, or infinity */

enum { NOT, ANY, LIST }; /* LIST: where it has more than one number */

/* Inputs at which operators take what is learned. */
static const struct place {
	const char *op;
	unsigned inputs; /* bits */
	int what;
} places[] = {
	{"Conv", 6, ANY},
	{"ConvTranspose", 6, ANY},
	{"Gemm", 7, ANY},
	{"MatMul", 3, ANY},
	{"Einsum", 3, ANY},
	{"BatchNormalization", 6, ANY},
	{"LayerNormalization", 6, ANY},
	{"InstanceNormalization", 6, ANY},
	{"GroupNormalization", 6, ANY},
	{"PRelu", 2, ANY},
	{"LSTM", 14, ANY},
	{"GRU", 14, ANY},
	{"RNN", 14, ANY},
	{"Add", 3, LIST},
	{"Mul", 3, LIST},
	{"Gather", 1, LIST},
};
/* What passes its first input on, in another shape. */
static const char *const passes[] = {"Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"};

static int passes_on(struct ns_onnx_text op)
{
	size_t i;

	for (i = 0; i < sizeof passes / sizeof *passes; i++)
		if (ns_onnx_is(op, passes[i]))
			return 1;
	return 0;
}

static int use(const struct ns_onnx *o, const struct ns_onnx_node *n, int k)
{
	return k < n->ins ? o->uses[n->first_in + k] : -1;
}

static int made(const struct ns_onnx *o, const struct ns_onnx_node *n)
{
	return n->outs ? o->uses[n->first_out] : -1;
}

/* The tensor of a node that is a constant; -1. */
static int constant_of(const struct ns_onnx *o, const struct ns_onnx_node *n)
{
	const struct ns_onnx_attribute *a = &o->attributes[n->first_attribute];

	return ns_onnx_is(n->op, "Constant") && n->attributes == 1 && a->kind == NS_ONNX_T ? a->first : -1;
}

static void want(const struct ns_onnx *o, const struct ns_onnx_node *n, char *wanted)
{
	size_t i;
	int k, value = made(o, n);

	if (passes_on(n->op) && value >= 0 && use(o, n, 0) >= 0 && wanted[value] > wanted[use(o, n, 0)])
		wanted[use(o, n, 0)] = wanted[value];
	for (i = 0; i < sizeof places / sizeof *places; i++)
		for (k = 0; ns_onnx_is(n->op, places[i].op) && k < n->ins; k++)
			if (places[i].inputs >> k & 1 && use(o, n, k) >= 0 && wanted[use(o, n, k)] != ANY)
				wanted[use(o, n, k)] = (char)places[i].what;
}

/* Masks of attention, which are added as weights are: numbers that no weight has. */
static enum ns_status check_mask(const struct ns_onnx *o, int *tensor)
{
	const struct ns_onnx_tensor *t = &o->tensors[*tensor];
	float *x = malloc(sizeof *x * (size_t)t->count);
	enum ns_status status = x ? ns_onnx_floats(o, *tensor, x) : ns_fail(NS_NO_MEMORY, "%s: out of memory for a weight", o->path);
	int64_t i;

	for (i = 0; status == NS_OK && i < t->count; i++)
		if (!(x[i] > -MASK_LEAST && x[i] < MASK_LEAST))
			*tensor = -1, i = t->count;
	free(x);
	return status;
}

enum ns_status ns_onnx_trainable(const struct ns_onnx *o, int *tensors)
{
	char *wanted = calloc((size_t)o->value_count + 1, 1);
	enum ns_status status = NS_OK;
	int i;

	if (!wanted)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path);
	for (i = 0; i < o->value_count; i++)
		tensors[i] = o->values[i].tensor;
	for (i = o->node_count - 1; i >= 0; i--) {
		want(o, &o->nodes[i], wanted);
		if (made(o, &o->nodes[i]) >= 0)
			tensors[made(o, &o->nodes[i])] = constant_of(o, &o->nodes[i]);
	}
	for (i = 0; status == NS_OK && i < o->value_count; i++) {
		const struct ns_onnx_tensor *t = tensors[i] < 0 ? NULL : &o->tensors[tensors[i]];

		if (!t || !wanted[i] || t->type != NS_ONNX_FLOAT || t->count < 1 || (wanted[i] == LIST && t->count < 2))
			tensors[i] = -1;
		else if (wanted[i] == LIST)
			status = check_mask(o, &tensors[i]);
	}
	free(wanted);
	return status;
}

void ns_onnx_statistics(const struct ns_onnx *o, int *tensors)
{
	int i, k;

	for (i = 0; i < o->value_count; i++)
		tensors[i] = -1;
	for (i = 0; i < o->node_count; i++)
		for (k = 3; k < 5 && ns_onnx_is(o->nodes[i].op, "BatchNormalization"); k++)
			if (use(o, &o->nodes[i], k) >= 0 && o->tensors[o->values[use(o, &o->nodes[i], k)].tensor].type == NS_ONNX_FLOAT)
				tensors[use(o, &o->nodes[i], k)] = o->values[use(o, &o->nodes[i], k)].tensor;
}

enum ns_status ns_onnx_freeze(const struct ns_onnx *o, const char *name, int *tensors)
{
	char *under = calloc((size_t)o->value_count + 1, 1);
	int i, k, j, found = 0;

	if (!under)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path);
	for (i = 0; i < o->value_count; i++)
		found |= under[i] = (char)ns_onnx_is(o->values[i].name, name);
	for (i = o->node_count - 1; i >= 0; i--) {
		const struct ns_onnx_node *n = &o->nodes[i];

		for (j = 0, k = 0; k < n->outs; k++)
			j |= o->uses[n->first_out + k] >= 0 && under[o->uses[n->first_out + k]];
		for (k = 0; j && k < n->ins; k++)
			if (use(o, n, k) >= 0)
				under[use(o, n, k)] = 1;
	}
	for (i = 0; i < o->value_count; i++)
		if (under[i])
			tensors[i] = -1;
	free(under);
	return found ? NS_OK : ns_fail(NS_CONFIG, "%s: has no value or weight of the name '%s'", o->path, name);
}

static int is_product(struct ns_onnx_text op)
{
	return ns_onnx_is(op, "Conv") || ns_onnx_is(op, "ConvTranspose") || ns_onnx_is(op, "Gemm") || ns_onnx_is(op, "MatMul") ||
	       ns_onnx_is(op, "Einsum") || ns_onnx_is(op, "LSTM") || ns_onnx_is(op, "GRU") || ns_onnx_is(op, "RNN");
}

enum ns_status ns_onnx_depths(const struct ns_onnx *o, const int *tensors, int *depths)
{
	int *from = malloc(sizeof *from * (size_t)(o->value_count + 1)), depth = -1, i, k, any;

	if (!from)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path);
	for (i = 0; i < o->value_count; i++) {
		from[i] = i;
		depths[i] = -1;
	}
	for (i = 0; i < o->node_count; i++) {
		const struct ns_onnx_node *n = &o->nodes[i];

		if (passes_on(n->op) && made(o, n) >= 0 && use(o, n, 0) >= 0)
			from[made(o, n)] = from[use(o, n, 0)];
		for (any = 0, k = 0; k < n->ins; k++)
			any |= use(o, n, k) >= 0 && tensors[from[use(o, n, k)]] >= 0;
		depth += any && is_product(n->op);
		for (k = 0; any && !passes_on(n->op) && k < n->ins; k++) {
			int value = use(o, n, k) < 0 ? -1 : from[use(o, n, k)];

			if (value >= 0 && tensors[value] >= 0 && depths[value] < 0) /* where it is used first */
				depths[value] = depth < 0 ? 0 : depth;
		}
	}
	free(from);
	return NS_OK;
}

enum ns_status ns_onnx_floats(const struct ns_onnx *o, int tensor, float *to)
{
	struct ns_dag *d = NULL;
	enum ns_status status;
	int value;

	NS_GO(ns_dag_make(&d));
	NS_GO(ns_maker_tensor(o, d, NULL, tensor, &value));
	memcpy(to, ns_dag_at(d, value)->data, sizeof *to * (size_t)o->tensors[tensor].count);
out:
	ns_dag_free(d);
	return status;
}

/* --- the last weights --- */

static const struct ns_onnx_attribute *attribute(const struct ns_onnx *o, const struct ns_onnx_node *n, const char *name)
{
	int i;

	for (i = 0; i < n->attributes; i++)
		if (ns_onnx_is(o->attributes[n->first_attribute + i].name, name))
			return &o->attributes[n->first_attribute + i];
	return NULL;
}

static int is_after_head(struct ns_onnx_text op)
{
	return passes_on(op) || ns_onnx_is(op, "Softmax") || ns_onnx_is(op, "LogSoftmax") || ns_onnx_is(op, "Dropout");
}

/* The node of the weights, of the axis of classes: it must be as long as there are classes. */
static enum ns_status take_weights(const struct ns_onnx *o, const struct ns_onnx_node *n, const int *tensors, int classes, struct ns_onnx_head *h)
{
	const struct ns_onnx_attribute *turned = attribute(o, n, "transB");
	const struct ns_onnx_tensor *t;
	int bias = ns_onnx_is(n->op, "MatMul") ? -1 : use(o, n, 2);

	h->weight = use(o, n, 1);
	if (h->weight < 0 || tensors[h->weight] < 0)
		return ns_fail(NS_DECLINED, "its last %.*s has no weights of its own", (int)n->op.bytes, n->op.at);
	t = &o->tensors[tensors[h->weight]];
	h->axis = ns_onnx_is(n->op, "Conv") ? 0 : ns_onnx_is(n->op, "Gemm") && turned && turned->i ? 0 : t->rank - 1;
	if (t->rank < 2 || t->dims[h->axis] != classes)
		return ns_fail(NS_DECLINED, "its last weights '%.*s' are not of %d classes", (int)t->name.bytes, t->name.at, classes);
	if (bias < 0)
		return NS_OK;
	if (h->bias >= 0 || tensors[bias] < 0 || o->tensors[tensors[bias]].count != classes)
		return ns_fail(NS_DECLINED, "the bias of its last weights is not one number a class");
	h->bias = bias;
	return NS_OK;
}

enum ns_status ns_onnx_find_head(const struct ns_onnx *o, const int *tensors, int classes, struct ns_onnx_head *h)
{
	int value = -1, i, k;

	*h = (struct ns_onnx_head){-1, -1, 0};
	for (i = 0; i < o->value_count; i++)
		if (o->values[i].output == 1)
			value = i;
	for (i = o->node_count - 1; value >= 0 && i >= 0; i--) {
		const struct ns_onnx_node *n = &o->nodes[i];

		if (made(o, n) != value)
			continue;
		if (is_after_head(n->op)) {
			value = use(o, n, 0);
		} else if (ns_onnx_is(n->op, "Add") && h->bias < 0) {
			k = use(o, n, 0) >= 0 && tensors[use(o, n, 0)] >= 0 ? 0 : 1;
			h->bias = use(o, n, k);
			if (h->bias < 0 || tensors[h->bias] < 0 || o->tensors[tensors[h->bias]].count != classes)
				return ns_fail(NS_DECLINED, "its last sum is not one number a class");
			value = use(o, n, 1 - k);
		} else if (ns_onnx_is(n->op, "Gemm") || ns_onnx_is(n->op, "MatMul") || ns_onnx_is(n->op, "Conv")) {
			return take_weights(o, n, tensors, classes, h);
		} else {
			return ns_fail(NS_DECLINED, "before its classes comes %.*s, and not a product or a convolution", (int)n->op.bytes, n->op.at);
		}
	}
	return ns_fail(NS_DECLINED, "no product or convolution comes before its classes");
}
