/* host/onnx/read.c - the messages of a model: its graph, and what is said of values. */
#define _POSIX_C_SOURCE 200809L
#include "host/onnx/read_inner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- what is said of a value --- */

static enum ns_status read_dim(const struct ns_walk *outer, const struct ns_field *field, struct ns_onnx_value *v)
{
	struct ns_onnx_dim d = {-1, {"", 0}};
	struct ns_field f;
	struct ns_walk w;
	int more;

	NS_TRY(ns_walk_into(outer, field, "a dimension", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number == 1)
			NS_TRY(ns_walk_int(&w, &f, INT64_MIN, INT64_MAX, &d.value));
		if (f.number == 2)
			NS_TRY(ns_walk_text(&w, &f, &d.name));
	}
	if (v->rank == NS_ONNX_RANK)
		return ns_walk_fail(outer, field->at, "a value of more than %d dimensions", NS_ONNX_RANK);
	v->dims[v->rank++] = d;
	return NS_OK;
}

/* TypeProto.Tensor, and its shape below it */
static enum ns_status tensor_type(const struct ns_walk *outer, const struct ns_field *field, struct ns_onnx_value *v)
{
	struct ns_walk w, shape;
	struct ns_field f, g;
	int64_t value;
	int more, inner;

	NS_TRY(ns_walk_into(outer, field, "a type", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			return NS_OK;
		if (f.number == 1) {
			NS_TRY(ns_walk_int(&w, &f, 0, INT32_MAX, &value));
			v->type = (int)value;
		}
		if (f.number != 2)
			continue;
		NS_TRY(ns_walk_into(&w, &f, "a shape", &shape));
		for (v->rank = 0;;) {
			NS_TRY(ns_walk_next(&shape, &g, &inner));
			if (!inner)
				break;
			if (g.number == 1)
				NS_TRY(read_dim(&shape, &g, v));
		}
	}
}

static enum ns_status read_info(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field, int *index)
{
	struct ns_onnx_value v = {.name = {"", 0}, .rank = -1}, *to;
	struct ns_walk w, type;
	struct ns_field f, g;
	int more, inner;

	NS_TRY(ns_walk_into(outer, field, "a value", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number == 1)
			NS_TRY(ns_walk_text(&w, &f, &v.name));
		if (f.number != 2)
			continue;
		NS_TRY(ns_walk_into(&w, &f, "a type", &type));
		for (;;) {
			NS_TRY(ns_walk_next(&type, &g, &inner));
			if (!inner)
				break;
			if (g.number == 1)
				NS_TRY(tensor_type(&type, &g, &v));
		}
	}
	if (!v.name.bytes)
		return ns_walk_fail(&w, field->at, "a value without a name");
	NS_TRY(ns_onnx_value_of(o, v.name, index));
	to = &o->values[*index];
	to->type = v.type;
	to->rank = v.rank;
	memcpy(to->dims, v.dims, sizeof to->dims);
	return NS_OK;
}

/* --- the graph and the model --- */

static enum ns_status graph_field(struct ns_onnx *o, struct ns_walk *w, const struct ns_field *f)
{
	int index;

	switch (f->number) {
	case 1:
		return ns_onnx_read_node(o, w, f);
	case 2:
		return ns_walk_text(w, f, &o->graph_name);
	case 5:
		NS_TRY(ns_onnx_read_tensor(o, w, f, &index));
		return ns_onnx_add_weight(o, w, f, index);
	case 11:
	case 12:
		NS_TRY(read_info(o, w, f, &index));
		if (f->number == 11 ? o->values[index].input : o->values[index].output)
			return ns_walk_fail(w, f->at, "'%.*s' is declared twice", (int)o->values[index].name.bytes, o->values[index].name.at);
		*(f->number == 11 ? &o->values[index].input : &o->values[index].output) = f->number == 11 ? ++o->inputs : ++o->outputs;
		return NS_OK;
	case 13:
		return read_info(o, w, f, &index);
	case 15:
		o->sparse++;
		return NS_OK;
	default:
		return NS_OK;
	}
}

static enum ns_status read_graph(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field)
{
	struct ns_field f;
	struct ns_walk w;
	int more;

	NS_TRY(ns_walk_into(outer, field, "the graph", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			return NS_OK;
		NS_TRY(graph_field(o, &w, &f));
	}
}

static enum ns_status read_opset(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field)
{
	struct ns_onnx_opset s = {{"", 0}, 0};
	struct ns_field f;
	struct ns_walk w;
	int more;

	NS_TRY(ns_walk_into(outer, field, "an opset", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number == 1)
			NS_TRY(ns_walk_text(&w, &f, &s.domain));
		if (f.number == 2)
			NS_TRY(ns_walk_int(&w, &f, 0, INT32_MAX, &s.version));
	}
	NS_TRY(NS_ONNX_GROW(o, opsets, opset_count, "opsets"));
	o->opsets[o->opset_count++] = s;
	return NS_OK;
}

static enum ns_status read_property(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field)
{
	struct ns_onnx_property p = {{"", 0}, {"", 0}};
	struct ns_field f;
	struct ns_walk w;
	int more;

	NS_TRY(ns_walk_into(outer, field, "a property", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number == 1 && f.wire == NS_WIRE_BYTES)
			p.key = (struct ns_onnx_text){(const char *)f.at, f.bytes};
		if (f.number == 2 && f.wire == NS_WIRE_BYTES)
			p.value = (struct ns_onnx_text){(const char *)f.at, f.bytes};
	}
	NS_TRY(NS_ONNX_GROW(o, properties, property_count, "properties"));
	o->properties[o->property_count++] = p;
	return NS_OK;
}

int ns_onnx_property(const struct ns_onnx *o, const char *key, struct ns_onnx_text *value)
{
	int i;

	for (i = 0; i < o->property_count; i++)
		if (ns_onnx_is(o->properties[i].key, key)) {
			*value = o->properties[i].value;
			return 1;
		}
	return 0;
}

static enum ns_status read_model(struct ns_onnx *o)
{
	struct ns_walk w = {o, o->data, o->data + o->bytes, "the model", 0};
	struct ns_field f;
	int more, graphs = 0;

	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number == 1)
			NS_TRY(ns_walk_int(&w, &f, 0, INT32_MAX, &o->ir_version));
		if (f.number == 2)
			NS_TRY(ns_walk_text(&w, &f, &o->producer));
		if (f.number == 3)
			NS_TRY(ns_walk_text(&w, &f, &o->producer_version));
		if (f.number == 8)
			NS_TRY(read_opset(o, &w, &f));
		if (f.number == 14)
			NS_TRY(read_property(o, &w, &f));
		o->functions += f.number == 25;
		if (f.number != 7)
			continue;
		if (graphs++)
			return ns_walk_fail(&w, f.at, "a second graph");
		NS_TRY(read_graph(o, &w, &f));
	}
	if (!graphs || !o->opset_count)
		return ns_fail(NS_BAD_DATA, "%s: has %s, so it is no model of ONNX", o->path, graphs ? "no opset" : "no graph");
	return ns_onnx_check_graph(o);
}

static enum ns_status map(struct ns_onnx *o)
{
	struct stat st;
	enum ns_status status = NS_OK;
	void *at;
	int fd;

	NS_TRY(ns_open(&fd, o->path, 0));
	if (fstat(fd, &st))
		status = ns_io_error(o->path, "cannot stat");
	else if (!st.st_size)
		status = ns_fail(NS_BAD_DATA, "%s: is empty", o->path);
	else if ((at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
		status = ns_io_error(o->path, "cannot be mapped");
	else {
		o->data = at;
		o->bytes = (size_t)st.st_size;
	}
	close(fd);
	return status;
}

static enum ns_status begin(struct ns_onnx **onnx, const char *path)
{
	struct ns_onnx *o = calloc(1, sizeof *o);

	if (o)
		o->rooms = calloc(1, sizeof *o->rooms);
	if (!o || !o->rooms || !(o->path = strdup(path))) {
		ns_onnx_free(o);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
	}
	o->producer = o->producer_version = o->graph_name = (struct ns_onnx_text){"", 0};
	*onnx = o;
	return NS_OK;
}

enum ns_status ns_onnx_read_bytes(struct ns_onnx **onnx, char *bytes, size_t n, const char *path)
{
	struct ns_onnx *o;
	enum ns_status status = begin(&o, path);

	if (status != NS_OK) {
		free(bytes);
		return status;
	}
	o->data = (const uint8_t *)bytes;
	o->bytes = n;
	o->own = 1;
	status = read_model(o);
	if (status == NS_OK)
		*onnx = o;
	else
		ns_onnx_free(o);
	return status;
}

enum ns_status ns_onnx_read(struct ns_onnx **onnx, const char *path)
{
	struct ns_onnx *o;
	enum ns_status status;

	NS_TRY(begin(&o, path));
	status = map(o);
	if (status == NS_OK)
		status = read_model(o);
	if (status != NS_OK)
		ns_onnx_free(o);
	else
		*onnx = o;
	return status;
}

void ns_onnx_free(struct ns_onnx *o)
{
	if (!o)
		return;
	if (o->own)
		free((void *)(uintptr_t)o->data);
	else if (o->data)
		munmap((void *)(uintptr_t)o->data, o->bytes);
	if (o->rooms)
		free(o->rooms->slot);
	free(o->rooms);
	free(o->opsets);
	free(o->properties);
	free(o->values);
	free(o->nodes);
	free(o->attributes);
	free(o->tensors);
	free(o->nested);
	free(o->uses);
	free(o->ints);
	free(o->floats);
	free(o->path);
	free(o);
}
