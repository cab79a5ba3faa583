/* host/onnx/nodes.c - nodes, and their attributes. */
#define _POSIX_C_SOURCE 200809L
#include "host/onnx/read_inner.h"

#include <string.h>

static enum ns_status add_ints(struct ns_onnx *o, const struct ns_walk *w, const struct ns_field *f, struct ns_onnx_attribute *a)
{
	size_t at = 0;
	uint64_t value;
	int more;

	for (a->first = a->count ? a->first : o->int_count;;) {
		NS_TRY(ns_walk_packed(w, f, &at, &value, &more));
		if (!more)
			return NS_OK;
		NS_TRY(NS_ONNX_GROW(o, ints, int_count, "numbers"));
		o->ints[o->int_count++] = (int64_t)value;
		a->count++;
	}
}

static float float_of(const uint8_t *at)
{
	uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
	float value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

static enum ns_status add_floats(struct ns_onnx *o, const struct ns_walk *w, const struct ns_field *f, struct ns_onnx_attribute *a)
{
	size_t i, n = f->wire == NS_WIRE_BYTES ? f->bytes : 4;

	if (n % 4 || (f->wire != NS_WIRE_BYTES && f->wire != NS_WIRE_32))
		return ns_walk_fail(w, f->at, "field %u is no list of floats", f->number);
	for (a->first = a->count ? a->first : o->float_count, i = 0; i < n; i += 4) {
		NS_TRY(NS_ONNX_GROW(o, floats, float_count, "numbers"));
		o->floats[o->float_count++] = float_of(f->at + i);
		a->count++;
	}
	return NS_OK;
}

/* Operators of a graph inside a node: their names alone, so that whoever refuses them can say which. */
static enum ns_status read_nested(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field)
{
	struct ns_walk w, node, attribute;
	struct ns_field f, g, h;
	int more, inner, last;

	NS_TRY(ns_walk_into(outer, field, "a graph in an attribute", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			return NS_OK;
		if (f.number != 1)
			continue;
		NS_TRY(ns_walk_into(&w, &f, "a node of such a graph", &node));
		for (;;) {
			NS_TRY(ns_walk_next(&node, &g, &inner));
			if (!inner)
				break;
			if (g.number == 4) {
				NS_TRY(NS_ONNX_GROW(o, nested, nested_count, "operators"));
				NS_TRY(ns_walk_text(&node, &g, &o->nested[o->nested_count]));
				o->nested_count++;
			}
			if (g.number != 5)
				continue;
			NS_TRY(ns_walk_into(&node, &g, "its attribute", &attribute));
			for (;;) {
				NS_TRY(ns_walk_next(&attribute, &h, &last));
				if (!last)
					break;
				if (h.number == 6 || h.number == 11)
					NS_TRY(read_nested(o, &attribute, &h));
			}
		}
	}
}

static enum ns_status attribute_field(struct ns_onnx *o, struct ns_walk *w, const struct ns_field *f, struct ns_onnx_attribute *a, int *graphs)
{
	switch (f->number) {
	case 1:
		return ns_walk_text(w, f, &a->name);
	case 2:
		if (f->wire != NS_WIRE_32)
			return ns_walk_fail(w, f->at, "field 2 is no float");
		a->f = float_of(f->at);
		a->kind = NS_ONNX_F;
		return NS_OK;
	case 3:
		a->kind = NS_ONNX_I;
		return ns_walk_int(w, f, INT64_MIN, INT64_MAX, &a->i);
	case 4:
		a->kind = NS_ONNX_S;
		a->s = (struct ns_onnx_text){(const char *)f->at, f->bytes}; /* bytes, which need be no text */
		return f->wire == NS_WIRE_BYTES ? NS_OK : ns_walk_fail(w, f->at, "field 4 is a number, expected bytes");
	case 5:
		a->kind = NS_ONNX_T;
		return ns_onnx_read_tensor(o, w, f, &a->first);
	case 6:
	case 11:
		a->kind = NS_ONNX_G;
		++*graphs;
		return read_nested(o, w, f);
	case 7:
		a->kind = NS_ONNX_FLOATS;
		return add_floats(o, w, f, a);
	case 8:
		a->kind = NS_ONNX_INTS;
		return add_ints(o, w, f, a);
	case 9:
		a->kind = NS_ONNX_STRINGS;
		a->count++;
		return NS_OK;
	case 10:
	case 14:
	case 15:
	case 22:
	case 23:
		a->kind = NS_ONNX_OTHER;
		return NS_OK;
	default:
		return NS_OK;
	}
}

static enum ns_status read_attribute(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field, int *graphs)
{
	struct ns_onnx_attribute a = {.name = {"", 0}, .s = {"", 0}};
	enum ns_onnx_kind before;
	struct ns_field f;
	struct ns_walk w;
	int more;

	NS_TRY(ns_walk_into(outer, field, "an attribute", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		before = a.kind;
		NS_TRY(attribute_field(o, &w, &f, &a, graphs));
		if (before != NS_ONNX_NOTHING && a.kind != before)
			return ns_walk_fail(&w, f.at, "an attribute with values of two kinds");
	}
	if (!a.name.bytes)
		return ns_walk_fail(&w, field->at, "an attribute without a name");
	NS_TRY(NS_ONNX_GROW(o, attributes, attribute_count, "attributes"));
	o->attributes[o->attribute_count++] = a;
	return NS_OK;
}

/* --- nodes --- */

static enum ns_status node_fields(struct ns_onnx *o, struct ns_walk w, struct ns_onnx_node *n, uint32_t which)
{
	struct ns_onnx_text name;
	struct ns_field f;
	int more, value;

	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			return NS_OK;
		if (f.number != which)
			continue;
		if (which == 5) {
			NS_TRY(read_attribute(o, &w, &f, &n->graphs));
			n->attributes++;
			continue;
		}
		NS_TRY(ns_walk_text(&w, &f, &name));
		value = -1;
		if (name.bytes)
			NS_TRY(ns_onnx_value_of(o, name, &value));
		NS_TRY(ns_onnx_use(o, value));
		++*(which == 1 ? &n->ins : &n->outs);
	}
}

enum ns_status ns_onnx_read_node(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field)
{
	struct ns_onnx_node n = {.op = {"", 0}, .domain = {"", 0}, .name = {"", 0}};
	struct ns_field f;
	struct ns_walk w, again;
	int more;

	NS_TRY(ns_walk_into(outer, field, "a node", &w));
	again = w;
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		if (f.number == 3)
			NS_TRY(ns_walk_text(&w, &f, &n.name));
		if (f.number == 4)
			NS_TRY(ns_walk_text(&w, &f, &n.op));
		if (f.number == 7)
			NS_TRY(ns_walk_text(&w, &f, &n.domain));
	}
	if (!n.op.bytes)
		return ns_walk_fail(&again, field->at, "a node without an operator");
	n.first_in = o->use_count;
	NS_TRY(node_fields(o, again, &n, 1));
	n.first_out = o->use_count;
	NS_TRY(node_fields(o, again, &n, 2));
	n.first_attribute = o->attribute_count;
	NS_TRY(node_fields(o, again, &n, 5));
	NS_TRY(NS_ONNX_GROW(o, nodes, node_count, "nodes"));
	o->nodes[o->node_count++] = n;
	return NS_OK;
}
