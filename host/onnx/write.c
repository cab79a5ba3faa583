/* host/onnx/write.c - ONNX files, written: the few messages of ONNX's that an export is made of, and files that are changed on their way. */
#include <stdlib.h>
#include <string.h>

#include "host/onnx/read_inner.h"

void ns_onnx_put_ints(struct ns_onnx_message *node, const char *name, const int64_t *values, int n)
{
	struct ns_onnx_message a = {NULL, 0, 0, 0};
	int i;

	ns_onnx_put_text(&a, 1, name);
	for (i = 0; i < n; i++)
		ns_onnx_put_int(&a, 8, values[i]);
	ns_onnx_put_int(&a, 20, 7); /* INTS */
	ns_onnx_put_message(node, 5, &a);
}

void ns_onnx_put_whole(struct ns_onnx_message *node, const char *name, int64_t value)
{
	struct ns_onnx_message a = {NULL, 0, 0, 0};

	ns_onnx_put_text(&a, 1, name);
	ns_onnx_put_int(&a, 3, value);
	ns_onnx_put_int(&a, 20, 2); /* INT */
	ns_onnx_put_message(node, 5, &a);
}

void ns_onnx_put_word(struct ns_onnx_message *node, const char *name, const char *word)
{
	struct ns_onnx_message a = {NULL, 0, 0, 0};

	ns_onnx_put_text(&a, 1, name);
	ns_onnx_put_text(&a, 4, word);
	ns_onnx_put_int(&a, 20, 3); /* STRING */
	ns_onnx_put_message(node, 5, &a);
}

void ns_onnx_put_real(struct ns_onnx_message *node, const char *name, float value)
{
	struct ns_onnx_message a = {NULL, 0, 0, 0};

	ns_onnx_put_text(&a, 1, name);
	ns_onnx_put_float(&a, 2, value);
	ns_onnx_put_int(&a, 20, 1); /* FLOAT */
	ns_onnx_put_message(node, 5, &a);
}

void ns_onnx_begin_node(struct ns_onnx_message *node, const char *op, const char *const *ins, const char *out)
{
	for (; *ins; ins++)
		ns_onnx_put_text(node, 1, *ins);
	ns_onnx_put_text(node, 2, out);
	ns_onnx_put_text(node, 3, out); /* a node is called as what it makes */
	ns_onnx_put_text(node, 4, op);
}

void ns_onnx_put_value(struct ns_onnx_message *graph, int field, const char *name, enum ns_onnx_type type, const char *batch, const int64_t *dims,
		       int n)
{
	struct ns_onnx_message value = {NULL, 0, 0, 0}, kind = {NULL, 0, 0, 0}, tensor = {NULL, 0, 0, 0}, shape = {NULL, 0, 0, 0},
			       dim = {NULL, 0, 0, 0};
	int i;

	ns_onnx_put_text(&dim, 2, batch);
	ns_onnx_put_message(&shape, 1, &dim);
	for (i = 0; i < n; i++) {
		ns_onnx_put_int(&dim, 1, dims[i]);
		ns_onnx_put_message(&shape, 1, &dim);
	}
	ns_onnx_put_int(&tensor, 1, type);
	ns_onnx_put_message(&tensor, 2, &shape);
	ns_onnx_put_message(&kind, 1, &tensor);
	ns_onnx_put_text(&value, 1, name);
	ns_onnx_put_message(&value, 2, &kind);
	ns_onnx_put_message(graph, field, &value);
}

static void begin_tensor(struct ns_onnx_message *t, const char *name, enum ns_onnx_type type, const int64_t *dims, int n)
{
	int i;

	for (i = 0; i < n; i++)
		ns_onnx_put_int(t, 1, dims[i]);
	ns_onnx_put_int(t, 2, type);
	ns_onnx_put_text(t, 8, name);
}

void ns_onnx_put_tensor(struct ns_onnx_message *graph, const char *name, enum ns_onnx_type type, const int64_t *dims, int n, const void *raw,
			size_t bytes)
{
	struct ns_onnx_message t = {NULL, 0, 0, 0};

	begin_tensor(&t, name, type, dims, n);
	ns_onnx_put_bytes(&t, 9, raw, bytes);
	ns_onnx_put_message(graph, 5, &t);
}

void ns_onnx_put_external(struct ns_onnx_message *graph, const char *name, enum ns_onnx_type type, const int64_t *dims, int n, const char *file,
			  int64_t offset, int64_t bytes)
{
	struct ns_onnx_message t = {NULL, 0, 0, 0}, entry = {NULL, 0, 0, 0};
	char number[2][24];
	int i;

	snprintf(number[0], sizeof number[0], "%lld", (long long)offset);
	snprintf(number[1], sizeof number[1], "%lld", (long long)bytes);
	begin_tensor(&t, name, type, dims, n);
	for (i = 0; i < 3; i++) {
		static const char *const keys[] = {"location", "offset", "length"};

		ns_onnx_put_text(&entry, 1, keys[i]);
		ns_onnx_put_text(&entry, 2, i ? number[i - 1] : file);
		ns_onnx_put_message(&t, 13, &entry);
	}
	ns_onnx_put_int(&t, 14, 1); /* EXTERNAL */
	ns_onnx_put_message(graph, 5, &t);
}

void ns_onnx_put_model(struct ns_onnx_message *m, int64_t opset, struct ns_onnx_message *graph)
{
	struct ns_onnx_message set = {NULL, 0, 0, 0};

	ns_onnx_put_int(m, 1, 8); /* the version of the format that has opset 17 */
	ns_onnx_put_text(m, 2, "nightshift");
	ns_onnx_put_int(&set, 2, opset);
	ns_onnx_put_message(m, 8, &set);
	ns_onnx_put_message(m, 7, graph);
}

/* --- something in front of a file's graph --- */

struct front {
	const char *input; /* that others now make */
	struct ns_onnx_message *graph;
};

static enum ns_status without_input(void *context, const struct ns_walk *graph, const struct ns_field *f, struct ns_onnx_message *out, int *is)
{
	const struct front *front = context;
	struct ns_onnx_text name;

	(void)out;
	if (f->number != 11)
		return NS_OK;
	NS_TRY(ns_walk_text_in(graph, f, 1, &name));
	*is = ns_onnx_is(name, front->input);
	return NS_OK;
}

static enum ns_status behind(void *context, const struct ns_walk *model, const struct ns_field *f, struct ns_onnx_message *out, int *is)
{
	struct front *front = context;

	if (f->number != 7)
		return NS_OK;
	NS_TRY(ns_walk_copy_into(model, f, "the graph", without_input, front, front->graph));
	ns_onnx_put_message(out, 7, front->graph);
	*is = 1;
	return NS_OK;
}

enum ns_status ns_onnx_in_front(const struct ns_onnx *o, const char *input, struct ns_onnx_message *front, struct ns_onnx_message *out)
{
	struct ns_walk w = {o, o->data, o->data + o->bytes, "the model", 0};

	NS_TRY(ns_walk_copy(&w, behind, &(struct front){input, front}, out));
	return out->failed ? ns_fail(NS_NO_MEMORY, "%s: out of memory for a copy", o->path) : NS_OK;
}

/* --- weights of other files, put inside --- */

static const struct ns_onnx_tensor *find_weight(const struct ns_onnx *o, struct ns_onnx_text name)
{
	int i;

	for (i = 0; i < o->tensor_count; i++)
		if (o->tensors[i].location.bytes && o->tensors[i].name.bytes == name.bytes && !memcmp(o->tensors[i].name.at, name.at, name.bytes))
			return &o->tensors[i];
	return NULL;
}

static enum ns_status put_values(const struct ns_onnx *o, const struct ns_onnx_tensor *t, struct ns_onnx_message *m)
{
	size_t n = (size_t)ns_onnx_tensor_bytes(t);
	char *values = malloc(n + 1);
	enum ns_status status = values ? ns_onnx_read_beside(o, t, n, values) : ns_fail(NS_NO_MEMORY, "%s: out of memory for a weight", o->path);

	if (status == NS_OK)
		ns_onnx_put_bytes(m, 9, values, n);
	free(values);
	return status;
}

struct inside {
	struct ns_onnx_message graph;
	int moved;
};

static enum ns_status without_place(void *context, const struct ns_walk *tensor, const struct ns_field *f, struct ns_onnx_message *out, int *is)
{
	(void)context;
	(void)tensor;
	(void)out;
	*is = f->number == 13 || f->number == 14;
	return NS_OK;
}

/* A weight: as it is, or with its values in place of where they lie. */
static enum ns_status with_values(void *context, const struct ns_walk *graph, const struct ns_field *f, struct ns_onnx_message *out, int *is)
{
	struct inside *inside = context;
	struct ns_onnx_message m = {NULL, 0, 0, 0};
	const struct ns_onnx_tensor *t;
	struct ns_onnx_text name;
	enum ns_status status;

	if (f->number != 5)
		return NS_OK;
	NS_TRY(ns_walk_text_in(graph, f, 8, &name));
	t = find_weight(graph->of, name);
	if (!t)
		return NS_OK;
	*is = 1;
	inside->moved++;
	NS_GO(ns_walk_copy_into(graph, f, "a tensor", without_place, NULL, &m));
	NS_GO(put_values(graph->of, t, &m));
	ns_onnx_put_message(out, 5, &m);
out:
	ns_onnx_message_release(&m);
	return status;
}

static enum ns_status with_weights(void *context, const struct ns_walk *model, const struct ns_field *f, struct ns_onnx_message *out, int *is)
{
	struct inside *inside = context;

	if (f->number != 7)
		return NS_OK;
	NS_TRY(ns_walk_copy_into(model, f, "the graph", with_values, inside, &inside->graph));
	ns_onnx_put_message(out, 7, &inside->graph);
	*is = 1;
	return NS_OK;
}

enum ns_status ns_onnx_put_inside(const struct ns_onnx *o, struct ns_onnx_message *out)
{
	struct ns_walk w = {o, o->data, o->data + o->bytes, "the model", 0};
	struct inside inside = {{NULL, 0, 0, 0}, 0};
	enum ns_status status;
	int64_t bytes;
	int wanted = 0, i;

	NS_TRY(ns_onnx_check_external(o, &bytes));
	if ((uint64_t)bytes + o->bytes > INT32_MAX)
		return ns_fail(NS_BAD_DATA, "%s: has %lld bytes of weights in other files; a model here is one file of less than 2 GiB", o->path,
			       (long long)bytes);
	for (i = 0; i < o->tensor_count; i++)
		wanted += o->tensors[i].location.bytes > 0;
	NS_GO(ns_walk_copy(&w, with_weights, &inside, out));
	status = inside.moved != wanted ? ns_fail(NS_BAD_DATA, "%s: has constants of nodes in other files, which are not put inside", o->path)
		 : out->failed		? ns_fail(NS_NO_MEMORY, "%s: out of memory for its weights", o->path)
					: NS_OK;
out:
	ns_onnx_message_release(&inside.graph);
	return status;
}
