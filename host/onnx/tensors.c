/* host/onnx/tensors.c - weights, and tensors in attributes: where their values are. */
#define _POSIX_C_SOURCE 200809L
#include "host/onnx/read_inner.h"

static enum ns_status external(const struct ns_walk *w, struct ns_onnx_tensor *t)
{
	struct ns_walk inner = *w;
	struct ns_onnx_text key = {"", 0}, value = {"", 0};
	struct ns_field f;
	int64_t number = 0;
	size_t i;
	int more;

	for (;;) {
		NS_TRY(ns_walk_next(&inner, &f, &more));
		if (!more)
			break;
		if (f.number == 1)
			NS_TRY(ns_walk_text(&inner, &f, &key));
		if (f.number == 2)
			NS_TRY(ns_walk_text(&inner, &f, &value));
	}
	if (ns_onnx_is(key, "location")) {
		t->location = value;
		return NS_OK;
	}
	if (!ns_onnx_is(key, "offset") && !ns_onnx_is(key, "length"))
		return NS_OK; /* a checksum */
	for (i = 0; i < value.bytes; i++) {
		if (value.at[i] < '0' || value.at[i] > '9' || number > (INT64_MAX - 9) / 10)
			return ns_walk_fail(w, w->at, "external data: %.*s is '%.*s', expected a number", (int)key.bytes, key.at,
					    (int)(value.bytes < 40 ? value.bytes : 40), value.at);
		number = 10 * number + (value.at[i] - '0');
	}
	*(key.bytes && key.at[0] == 'o' ? &t->offset : &t->length) = number;
	return NS_OK;
}

#define PLACES_MOST ((int64_t)1 << 44) /* as many as a value of a graph may have */

static enum ns_status add_dim(const struct ns_walk *w, const struct ns_field *f, struct ns_onnx_tensor *t)
{
	int64_t all = 1; /* places, as if no dimension were 0 */
	size_t at = 0;
	uint64_t value;
	int more, i;

	for (i = 0; i < t->rank; i++)
		all *= t->dims[i] ? t->dims[i] : 1;
	for (;;) {
		NS_TRY(ns_walk_packed(w, f, &at, &value, &more));
		if (!more)
			return NS_OK;
		if (t->rank == NS_ONNX_RANK)
			return ns_walk_fail(w, f->at, "a tensor of more than %d dimensions", NS_ONNX_RANK);
		if ((int64_t)value < 0 || (value && all > PLACES_MOST / (int64_t)value))
			return ns_walk_fail(w, f->at, "dimension %d is %lld, which no tensor has", t->rank, (long long)value);
		t->dims[t->rank++] = (int64_t)value;
		t->count *= (int64_t)value;
		all *= value ? (int64_t)value : 1;
	}
}

/* Lists of numbers of one field: packed, they lie in one piece; one by one, only a single one is taken. */
static enum ns_status listed(const struct ns_walk *w, const struct ns_field *f, struct ns_onnx_tensor *t)
{
	static const unsigned char scalar[1] = {0};

	if (t->field && (t->field != (int)f->number || f->wire == NS_WIRE_BYTES))
		return ns_walk_fail(w, f->at, "a tensor with values in several fields");
	if (f->wire != NS_WIRE_BYTES && !t->field)
		t->listed = f->at;
	t->field = (int)f->number;
	if (f->wire == NS_WIRE_BYTES) {
		t->listed = f->at;
		t->listed_bytes = f->bytes;
	} else {
		t->strings++; /* values that lie one by one, with a key before each */
	}
	t->listed = t->listed ? t->listed : scalar;
	return NS_OK;
}

static enum ns_status tensor_field(struct ns_walk *w, const struct ns_field *f, struct ns_onnx_tensor *t)
{
	struct ns_walk inner;
	int64_t value;

	switch (f->number) {
	case 1:
		return add_dim(w, f, t);
	case 2:
		NS_TRY(ns_walk_int(w, f, 0, INT32_MAX, &value));
		t->type = (int)value;
		return NS_OK;
	case 4:
	case 5:
	case 7:
	case 10:
	case 11:
		return listed(w, f, t);
	case 6:
		t->field = 6;
		t->strings++;
		return NS_OK;
	case 8:
		return ns_walk_text(w, f, &t->name);
	case 9:
		NS_TRY(ns_walk_into(w, f, "raw_data", &inner));
		t->raw = f->at;
		t->raw_bytes = f->bytes;
		return NS_OK;
	case 13:
		NS_TRY(ns_walk_into(w, f, "external_data", &inner));
		return external(&inner, t);
	default:
		return NS_OK;
	}
}

enum ns_status ns_onnx_read_tensor(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field, int *index)
{
	struct ns_onnx_tensor t = {.count = 1, .length = -1, .name = {"", 0}, .location = {"", 0}};
	struct ns_field f;
	struct ns_walk w;
	int more;

	NS_TRY(ns_walk_into(outer, field, "a tensor", &w));
	for (;;) {
		NS_TRY(ns_walk_next(&w, &f, &more));
		if (!more)
			break;
		NS_TRY(tensor_field(&w, &f, &t));
	}
	NS_TRY(ns_onnx_check_tensor(o, &w, &t));
	NS_TRY(NS_ONNX_GROW(o, tensors, tensor_count, "tensors"));
	*index = o->tensor_count;
	o->tensors[o->tensor_count++] = t;
	return NS_OK;
}
