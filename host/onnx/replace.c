/* host/onnx/replace.c - a file with other weights: fields are copied as they are, but for those that say what is replaced, which are written anew at the end. */
#include <stdlib.h>
#include <string.h>

#include "host/onnx/read_inner.h"

struct replace {
	const struct ns_onnx *o;
	const struct ns_onnx_weight *weights;
	int n, classes, wide;
};

static int same(struct ns_onnx_text a, struct ns_onnx_text b)
{
	return a.bytes == b.bytes && !memcmp(a.at, b.at, a.bytes);
}

static const struct ns_onnx_weight *find(const struct replace *r, struct ns_onnx_text name)
{
	int i;

	for (i = 0; i < r->n; i++)
		if (same(r->o->values[r->weights[i].value].name, name))
			return &r->weights[i];
	return NULL;
}

/* An input or output of the graph, with other dimensions. */
static void declare(int field, const struct ns_onnx_value *v, const struct ns_onnx_dim *dims, int rank, struct ns_onnx_message *graph)
{
	struct ns_onnx_message value = {NULL, 0, 0, 0}, kind = {NULL, 0, 0, 0}, tensor = {NULL, 0, 0, 0}, shape = {NULL, 0, 0, 0},
			       dim = {NULL, 0, 0, 0};
	int i;

	for (i = 0; i < rank; i++) {
		if (dims[i].value >= 0)
			ns_onnx_put_int(&dim, 1, dims[i].value);
		else if (dims[i].name.bytes)
			ns_onnx_put_bytes(&dim, 2, dims[i].name.at, dims[i].name.bytes);
		ns_onnx_put_message(&shape, 1, &dim);
	}
	ns_onnx_put_int(&tensor, 1, v->type);
	ns_onnx_put_message(&tensor, 2, &shape);
	ns_onnx_put_message(&kind, 1, &tensor);
	ns_onnx_put_bytes(&value, 1, v->name.at, v->name.bytes);
	ns_onnx_put_message(&value, 2, &kind);
	ns_onnx_put_message(graph, field, &value);
}

/* Of the first output the last axis that is as long as there were classes has the new ones; of others it is not said how long such axes are. */
static void widen(const struct replace *r, struct ns_onnx_dim *dims, int rank, int is_first)
{
	int d;

	for (d = rank - 1; d >= 0; d--) {
		if (dims[d].value != r->classes || (is_first && !d && rank > 1))
			continue;
		dims[d].value = is_first ? r->wide : -1;
		if (is_first)
			return;
	}
}

/* Older files list weights among the inputs; outputs have other classes. 1: it was declared here. */
static int redeclare(const struct replace *r, uint32_t field, struct ns_onnx_text name, struct ns_onnx_message *graph)
{
	const struct ns_onnx_weight *w = find(r, name);
	struct ns_onnx_dim dims[NS_ONNX_RANK] = {{0}};
	int i, d;

	if (w) {
		for (d = 0; d < w->rank; d++)
			dims[d].value = w->dims[d];
		declare((int)field, &r->o->values[w->value], dims, w->rank, graph);
		return 1;
	}
	for (i = 0; field == 12 && r->wide && i < r->o->value_count; i++) {
		const struct ns_onnx_value *v = &r->o->values[i];

		if (!v->output || !same(v->name, name) || v->rank < 1)
			continue;
		memcpy(dims, v->dims, sizeof dims);
		widen(r, dims, v->rank, v->output == 1);
		declare(12, v, dims, v->rank, graph);
		return 1;
	}
	return 0;
}

/* What it replaces is left out, or declared in another way. */
static enum ns_status in_graph(void *context, const struct ns_walk *graph, const struct ns_field *f, struct ns_onnx_message *out, int *is)
{
	const struct replace *r = context;
	struct ns_onnx_text name, op;

	*is = f->number == 13 && r->wide;
	switch (f->number) {
	case 1: /* a node */
		NS_TRY(ns_walk_text_in(graph, f, 4, &op));
		NS_TRY(ns_walk_text_in(graph, f, 2, &name));
		*is = ns_onnx_is(op, "Constant") && find(r, name);
		return NS_OK;
	case 5: /* a weight */
		NS_TRY(ns_walk_text_in(graph, f, 8, &name));
		*is = find(r, name) != NULL;
		return NS_OK;
	case 11:
	case 12:
		NS_TRY(ns_walk_text_in(graph, f, 1, &name));
		*is = redeclare(r, f->number, name, out);
		return NS_OK;
	default:
		return NS_OK;
	}
}

static enum ns_status put_weight(const struct replace *r, const struct ns_onnx_weight *w, struct ns_onnx_message *graph)
{
	struct ns_onnx_text name = r->o->values[w->value].name;
	char *text = malloc(name.bytes + 1);
	size_t count = 1;
	int d;

	if (!text)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for a weight", r->o->path);
	memcpy(text, name.at, name.bytes);
	text[name.bytes] = 0;
	for (d = 0; d < w->rank; d++)
		count *= (size_t)w->dims[d];
	ns_onnx_put_tensor(graph, text, NS_ONNX_FLOAT, w->dims, w->rank, w->floats, count * sizeof(float));
	free(text);
	return NS_OK;
}

/* A property that names the classes there were. */
static enum ns_status names_classes(const struct ns_walk *model, const struct ns_field *f, int *is)
{
	static const char *const keys[] = {"names", "classes", "labels", "character"};
	struct ns_onnx_text key;
	size_t i;

	NS_TRY(ns_walk_text_in(model, f, 1, &key));
	for (*is = 0, i = 0; i < sizeof keys / sizeof *keys; i++)
		*is |= ns_onnx_is(key, keys[i]);
	return NS_OK;
}

static enum ns_status in_model(void *context, const struct ns_walk *model, const struct ns_field *f, struct ns_onnx_message *out, int *is)
{
	struct replace *r = context;
	struct ns_onnx_message graph = {NULL, 0, 0, 0};
	enum ns_status status;
	int i;

	if (f->number == 14 && r->wide)
		return names_classes(model, f, is);
	if (f->number != 7)
		return NS_OK;
	*is = 1;
	NS_GO(ns_walk_copy_into(model, f, "the graph", in_graph, r, &graph));
	for (i = 0; i < r->n; i++)
		NS_GO(put_weight(r, &r->weights[i], &graph));
	ns_onnx_put_message(out, 7, &graph);
out:
	ns_onnx_message_release(&graph);
	return status;
}

enum ns_status ns_onnx_put_weights(const struct ns_onnx *o, const struct ns_onnx_weight *weights, int n, int classes, int wide,
				   struct ns_onnx_message *out)
{
	struct replace r = {o, weights, n, classes, wide};
	struct ns_walk w = {o, o->data, o->data + o->bytes, "the model", 0};

	NS_TRY(ns_walk_copy(&w, in_model, &r, out));
	return out->failed ? ns_fail(NS_NO_MEMORY, "%s: out of memory for its weights", o->path) : NS_OK;
}
