/* host/onnx/write.c - ONNX files, written: messages of protobuf that grow in memory, and the few of ONNX's that an export is made of. */
#include <stdlib.h>
#include <string.h>

#include "host/onnx/read_inner.h"

void ns_onnx_put_raw(struct ns_onnx_message *m, const void *from, size_t n)
{
	char *more;

	if (m->failed)
		return;
	if (m->n + n > m->room) {
		more = realloc(m->bytes, 2 * (m->n + n) + 256);
		m->failed = !more;
		if (!more)
			return;
		m->bytes = more;
		m->room = 2 * (m->n + n) + 256;
	}
	if (n)
		memcpy(m->bytes + m->n, from, n);
	m->n += n;
}

static void add_number(struct ns_onnx_message *m, uint64_t x)
{
	unsigned char byte;

	for (; x > 127; x >>= 7) {
		byte = (unsigned char)(x & 127) | 128;
		ns_onnx_put_raw(m, &byte, 1);
	}
	byte = (unsigned char)x;
	ns_onnx_put_raw(m, &byte, 1);
}

void ns_onnx_put_int(struct ns_onnx_message *m, int field, int64_t value)
{
	add_number(m, (uint64_t)field << 3 | NS_WIRE_VARINT);
	add_number(m, (uint64_t)value);
}

void ns_onnx_put_bytes(struct ns_onnx_message *m, int field, const void *from, size_t n)
{
	add_number(m, (uint64_t)field << 3 | NS_WIRE_BYTES);
	add_number(m, n);
	ns_onnx_put_raw(m, from, n);
}

void ns_onnx_put_text(struct ns_onnx_message *m, int field, const char *text)
{
	ns_onnx_put_bytes(m, field, text, strlen(text));
}

void ns_onnx_put_message(struct ns_onnx_message *m, int field, struct ns_onnx_message *inner)
{
	m->failed |= inner->failed;
	ns_onnx_put_bytes(m, field, inner->bytes, inner->n);
	ns_onnx_message_release(inner);
}

void ns_onnx_message_release(struct ns_onnx_message *m)
{
	free(m->bytes);
	memset(m, 0, sizeof *m);
}

/* --- ONNX's --- */

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

void ns_onnx_put_real(struct ns_onnx_message *node, const char *name, float value)
{
	struct ns_onnx_message a = {NULL, 0, 0, 0};

	ns_onnx_put_text(&a, 1, name);
	add_number(&a, 2 << 3 | NS_WIRE_32);
	ns_onnx_put_raw(&a, &value, sizeof value); /* little-endian, as the machine is */
	ns_onnx_put_int(&a, 20, 1);		   /* FLOAT */
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

/* Fields of the graph as they are, but for the declaration of the input that others now make. */
static enum ns_status copy_graph(const struct ns_walk *model, const struct ns_field *field, const char *input, struct ns_onnx_message *graph)
{
	struct ns_onnx_text name;
	struct ns_field f, inner_field;
	struct ns_walk w, inner;
	int more, its_own;

	NS_TRY(ns_walk_into(model, field, "the graph", &w));
	for (;;) {
		const uint8_t *from = w.at;

		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			return NS_OK;
		its_own = 0;
		if (f.number == 11) {
			NS_TRY(ns_walk_into(&w, &f, "an input", &inner));
			for (;;) {
				NS_TRY(ns_walk_next(&inner, &inner_field, &more));
				if (!more)
					break;
				if (inner_field.number != 1)
					continue;
				NS_TRY(ns_walk_text(&inner, &inner_field, &name));
				its_own = ns_onnx_is(name, input);
			}
		}
		if (!its_own)
			ns_onnx_put_raw(graph, from, (size_t)(w.at - from));
	}
}

enum ns_status ns_onnx_in_front(const struct ns_onnx *o, const char *input, struct ns_onnx_message *front, struct ns_onnx_message *out)
{
	struct ns_walk w = {o, o->data, o->data + o->bytes, "the model", 0};
	struct ns_field f;
	int more;

	for (;;) {
		const uint8_t *from = w.at;

		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number != 7) {
			ns_onnx_put_raw(out, from, (size_t)(w.at - from));
			continue;
		}
		NS_TRY(copy_graph(&w, &f, input, front));
		ns_onnx_put_message(out, 7, front);
	}
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

/* A weight: as it is, or with its values in place of where they lie. */
static enum ns_status copy_weight(const struct ns_walk *graph, const struct ns_field *field, struct ns_onnx_message *out, int *moved)
{
	struct ns_onnx_message m = {NULL, 0, 0, 0};
	const struct ns_onnx_tensor *t = NULL;
	struct ns_onnx_text name = {"", 0};
	struct ns_field f;
	struct ns_walk w;
	enum ns_status status;
	int more;

	NS_GO(ns_walk_into(graph, field, "a tensor", &w));
	for (;;) {
		const uint8_t *from = w.at;

		NS_GO(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number == 8)
			NS_GO(ns_walk_text(&w, &f, &name));
		if (f.number != 13 && f.number != 14)
			ns_onnx_put_raw(&m, from, (size_t)(w.at - from));
	}
	t = find_weight(graph->of, name);
	if (t) {
		NS_GO(put_values(graph->of, t, &m));
		++*moved;
		ns_onnx_put_message(out, 5, &m);
	} else {
		ns_onnx_put_bytes(out, 5, field->at, field->bytes);
	}
out:
	ns_onnx_message_release(&m);
	return status;
}

static enum ns_status copy_weights(const struct ns_walk *model, const struct ns_field *field, struct ns_onnx_message *graph, int *moved)
{
	struct ns_field f;
	struct ns_walk w;
	int more;

	NS_TRY(ns_walk_into(model, field, "the graph", &w));
	for (;;) {
		const uint8_t *from = w.at;

		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			return NS_OK;
		if (f.number == 5)
			NS_TRY(copy_weight(&w, &f, graph, moved));
		else
			ns_onnx_put_raw(graph, from, (size_t)(w.at - from));
	}
}

enum ns_status ns_onnx_put_inside(const struct ns_onnx *o, struct ns_onnx_message *out)
{
	struct ns_walk w = {o, o->data, o->data + o->bytes, "the model", 0};
	struct ns_onnx_message graph = {NULL, 0, 0, 0};
	enum ns_status status;
	struct ns_field f;
	int64_t bytes;
	int more, moved = 0, wanted = 0, i;

	NS_TRY(ns_onnx_check_external(o, &bytes));
	if ((uint64_t)bytes + o->bytes > INT32_MAX)
		return ns_fail(NS_BAD_DATA, "%s: has %lld bytes of weights in other files; a model here is one file of less than 2 GiB", o->path,
			       (long long)bytes);
	for (i = 0; i < o->tensor_count; i++)
		wanted += o->tensors[i].location.bytes > 0;
	for (;;) {
		const uint8_t *from = w.at;

		NS_GO(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number == 7) {
			NS_GO(copy_weights(&w, &f, &graph, &moved));
			ns_onnx_put_message(out, 7, &graph);
		} else {
			ns_onnx_put_raw(out, from, (size_t)(w.at - from));
		}
	}
	status = moved != wanted ? ns_fail(NS_BAD_DATA, "%s: has constants of nodes in other files, which are not put inside", o->path)
		 : out->failed	 ? ns_fail(NS_NO_MEMORY, "%s: out of memory for its weights", o->path)
				 : NS_OK;
out:
	ns_onnx_message_release(&graph);
	return status;
}
