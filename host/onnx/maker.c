/* host/onnx/maker.c - what makers ask of a node: its attributes, its constant inputs, tensors. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/onnx/import_inner.h"
#include "host/onnx/read_inner.h"

/* --- attributes --- */

const struct ns_onnx_attribute *ns_maker_attribute(const struct ns_maker *m, const char *name)
{
	int i;

	for (i = 0; i < m->node->attributes; i++)
		if (ns_onnx_is(m->o->attributes[m->node->first_attribute + i].name, name))
			return &m->o->attributes[m->node->first_attribute + i];
	return NULL;
}

static enum ns_status wrong_kind(const char *name, const char *wanted)
{
	return ns_fail(NS_INVALID, "attribute '%s' is not %s", name, wanted);
}

enum ns_status ns_maker_int(const struct ns_maker *m, const char *name, int64_t fallback, int64_t *value)
{
	const struct ns_onnx_attribute *a = ns_maker_attribute(m, name);

	*value = a ? a->i : fallback;
	return !a || a->kind == NS_ONNX_I ? NS_OK : wrong_kind(name, "a whole number");
}

enum ns_status ns_maker_float(const struct ns_maker *m, const char *name, double fallback, double *value)
{
	const struct ns_onnx_attribute *a = ns_maker_attribute(m, name);

	*value = a ? (double)a->f : fallback;
	return !a || a->kind == NS_ONNX_F ? NS_OK : wrong_kind(name, "a float");
}

enum ns_status ns_maker_text(const struct ns_maker *m, const char *name, const char *fallback, struct ns_onnx_text *value)
{
	const struct ns_onnx_attribute *a = ns_maker_attribute(m, name);

	*value = a ? a->s : (struct ns_onnx_text){fallback, strlen(fallback)};
	return !a || a->kind == NS_ONNX_S ? NS_OK : wrong_kind(name, "a text");
}

enum ns_status ns_maker_ints(const struct ns_maker *m, const char *name, const int64_t **values, int *count)
{
	const struct ns_onnx_attribute *a = ns_maker_attribute(m, name);
	static const int64_t none[1];

	*count = a ? a->count : 0;
	*values = !a ? NULL : a->kind == NS_ONNX_INTS && a->count ? m->o->ints + a->first : none;
	return !a || a->kind == NS_ONNX_INTS || (a->kind == NS_ONNX_NOTHING && !a->count) ? NS_OK : wrong_kind(name, "a list of whole numbers");
}

enum ns_status ns_maker_word(const struct ns_maker *m, const char *name, const char *const *words, int fallback, int *which)
{
	struct ns_onnx_text text;
	int i;

	NS_TRY(ns_maker_text(m, name, words[fallback], &text));
	for (i = 0; words[i]; i++)
		if (ns_onnx_is(text, words[i])) {
			*which = i;
			return NS_OK;
		}
	return ns_fail(NS_DECLINED, "attribute '%s' is '%.*s'", name, (int)(text.bytes < 60 ? text.bytes : 60), text.at);
}

/* --- inputs that have to be known --- */

enum ns_status ns_maker_list(const struct ns_maker *m, int input, int64_t *values, int most, int *count)
{
	const struct ns_dag_value *v;
	int64_t n;
	int i;

	*count = -1;
	if (!ns_maker_has(m, input))
		return NS_OK;
	v = ns_maker_in(m, input);
	if (!ns_dag_is_constant(m->dag, m->in[input]))
		return ns_fail(NS_DECLINED, "input %d is known only when it runs, and shapes depend on it", input);
	n = ns_box_count(&v->box);
	if (ns_dtype_is_float(v->dtype) || n > most)
		return ns_fail(NS_INVALID, "input %d is %lld of %s, expected at most %d whole numbers", input, (long long)n, ns_dtype_name(v->dtype),
			       most);
	for (i = 0; i < (int)n; i++)
		values[i] = ns_dag_whole(m->dag, m->in[input], i);
	*count = (int)n;
	return NS_OK;
}

enum ns_status ns_maker_axis(const struct ns_maker *m, int64_t axis, int rank, int *which)
{
	(void)m;
	if (axis < -rank || axis >= rank)
		return ns_fail(NS_INVALID, "axis %lld of %d", (long long)axis, rank);
	*which = (int)(axis < 0 ? axis + rank : axis);
	return NS_OK;
}

enum ns_status ns_maker_axes(const struct ns_maker *m, int rank, int input, int since, unsigned *axes, int *count)
{
	int64_t list[NS_RANK];
	const int64_t *given = NULL;
	int i, n = -1, d;

	if (m->opset >= since) {
		NS_TRY(ns_maker_list(m, input, list, NS_RANK, &n));
		given = n >= 0 ? list : NULL;
	} else {
		NS_TRY(ns_maker_ints(m, "axes", &given, &n));
	}
	*count = given ? n : -1;
	for (*axes = 0, i = 0; given && i < n; i++) {
		NS_TRY(ns_maker_axis(m, given[i], rank, &d));
		if (*axes >> d & 1)
			return ns_fail(NS_INVALID, "axis %d is named twice", d);
		*axes |= 1u << d;
	}
	return NS_OK;
}

enum ns_status ns_maker_requantize(struct ns_maker *m, int sum, int sw, int *y)
{
	static const int scalars[] = {1, 6, 7};
	enum ns_dtype dtype = ns_maker_in(m, 7)->dtype;
	struct ns_program p;
	int r, s[3], w, low, high, k;

	if (dtype != NS_U8 && dtype != NS_I8)
		return ns_fail(NS_DECLINED, "a zero point of %s", ns_dtype_name(dtype));
	ns_program_begin(&p);
	r = ns_program_input(&p, sum);
	w = ns_program_input(&p, sw);
	for (k = 0; k < 3; k++) {
		NS_TRY(ns_dag_view(m->dag, m->in[scalars[k]], &(struct ns_box){0}, &s[k]));
		s[k] = ns_program_input(&p, s[k]);
	}
	low = ns_program_constant(&p, dtype == NS_I8 ? -128 : 0);
	high = ns_program_constant(&p, dtype == NS_I8 ? 127 : 255);
	w = ns_program_step(&p, NS_PW_DIV, ns_program_step(&p, NS_PW_MUL, s[0], w, 0), s[1], 0);
	r = ns_program_step(&p, NS_PW_ROUND, ns_program_step(&p, NS_PW_MUL, r, w, 0), 0, 0);
	r = ns_program_step(&p, NS_PW_MAX, ns_program_step(&p, NS_PW_ADD, r, s[2], 0), low, 0);
	ns_program_step(&p, NS_PW_MIN, r, high, 0);
	return ns_dag_program(m->dag, &p, dtype, y);
}

enum ns_status ns_maker_same_box(const struct ns_maker *m, int a, int b)
{
	const struct ns_box *x = &ns_dag_at(m->dag, a)->box, *y = &ns_dag_at(m->dag, b)->box;
	int d, same = x->rank == y->rank;

	for (d = 0; same && d < x->rank; d++)
		same = x->dim[d] == y->dim[d];
	return same ? NS_OK : ns_fail(NS_INVALID, "parameters of another shape than what they are applied to has");
}

/* --- tensors --- */

enum ns_status ns_onnx_dtype(int type, enum ns_dtype *dtype)
{
	static const int dtypes[NS_ONNX_TYPES] = {-1,	  NS_F32, NS_U8, NS_I8, NS_U16,	 NS_I16, NS_I32, NS_I64, -1, NS_BOOL, NS_F16, NS_F64,
						  NS_U32, NS_U64, -1,	 -1,	NS_BF16, -1,	 -1,	 -1,	 -1, -1,      -1,     -1};

	if (type < 0 || type >= NS_ONNX_TYPES || dtypes[type] < 0)
		return ns_fail(NS_DECLINED, "values of type %s", ns_onnx_type_name(type));
	*dtype = (enum ns_dtype)dtypes[type];
	return NS_OK;
}

static uint64_t next_varint(const uint8_t **at, const uint8_t *end)
{
	uint64_t value = 0;
	int shift;

	for (shift = 0; *at < end && shift < 70; shift += 7) {
		uint8_t byte = *(*at)++;

		value |= shift < 64 ? (uint64_t)(byte & 127) << shift : 0;
		if (!(byte & 128))
			break;
	}
	return value;
}

/* Values of a field that lists them, 4 or 8 bytes each or as varints, into their own type. */
static enum ns_status from_list(const struct ns_onnx *o, const struct ns_onnx_tensor *t, enum ns_dtype dtype, void *to)
{
	const uint8_t *at = t->listed, *end = t->listed_bytes ? at + t->listed_bytes : o->data + o->bytes;
	size_t bytes = ns_dtype_bytes(dtype);
	int64_t i;

	if (!t->listed_bytes && t->strings > 1)
		return ns_fail(NS_DECLINED, "tensor '%.*s' has its values one by one, not packed", (int)t->name.bytes, t->name.at);
	if (t->field == 4 || t->field == 10) {
		memcpy(to, at, (size_t)t->count * bytes);
		return NS_OK;
	}
	for (i = 0; i < t->count; i++) {
		uint64_t value = next_varint(&at, end);

		memcpy((char *)to + (size_t)i * bytes, &value, bytes); /* little-endian, as everything here is */
	}
	return NS_OK;
}

enum ns_status ns_maker_tensor(const struct ns_onnx *o, struct ns_dag *dag, const int *given, int index, int *value)
{
	const struct ns_onnx_tensor *t = &o->tensors[index];
	struct ns_box box = {.rank = t->rank};
	enum ns_dtype dtype;
	size_t bytes;
	void *to;

	if (given && given[index]) {
		*value = given[index] - 1;
		return NS_OK;
	}
	memcpy(box.dim, t->dims, sizeof box.dim);
	NS_TRY(ns_onnx_dtype(t->type, &dtype));
	bytes = (size_t)t->count * ns_dtype_bytes(dtype);
	if (t->raw && (uintptr_t)t->raw % 8 == 0)
		return ns_dag_borrow(dag, dtype, &box, t->raw, value);
	dag->constant_bytes -= (int64_t)bytes; /* as the file holds them, they are no more than it is */
	NS_TRY(ns_dag_constant(dag, dtype, &box, t->raw, value));
	to = dag->values[*value].data;
	return t->raw || !bytes ? NS_OK : t->location.bytes ? ns_onnx_read_beside(o, t, bytes, to) : from_list(o, t, dtype, to);
}
