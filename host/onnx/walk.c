/*
 * host/onnx/walk.c - protobuf's wire format: a key, then a varint, four bytes, eight bytes, or a length and as many bytes. Every length is inside its parent, and
 * messages are nested to a limit: files of strangers that are not so have crashed other readers.
 */
#include "host/onnx/walk_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEEPEST 24 /* a graph in an attribute of a node is three messages deeper */

enum ns_status ns_walk_fail(const struct ns_walk *w, const uint8_t *at, const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return ns_fail(NS_BAD_DATA, "%s: byte %zu, in %s: %s", w->of->path, (size_t)(at - w->of->data), w->what, text);
}

/* At most ten bytes; 0 where it does not end in time. */
static int varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	int shift;

	for (*value = 0, shift = 0; *at < end && shift < 70; shift += 7) {
		uint8_t byte = *(*at)++;

		if (shift == 63 && byte > 1)
			return 0;
		*value |= (uint64_t)(byte & 127) << shift;
		if (!(byte & 128))
			return 1;
	}
	return 0;
}

static uint64_t fixed(const uint8_t *at, int bytes)
{
	uint64_t value = 0;
	int i;

	for (i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

enum ns_status ns_walk_next(struct ns_walk *w, struct ns_field *f, int *more)
{
	const uint8_t *begin = w->at;
	uint64_t key, length;
	int bytes;

	*more = w->at < w->end;
	if (!*more)
		return NS_OK;
	if (!varint(&w->at, w->end, &key) || key >> 3 == 0 || key >> 3 > 536870911)
		return ns_walk_fail(w, begin, "no field begins here");
	f->number = (uint32_t)(key >> 3);
	f->wire = (enum ns_wire)(key & 7);
	f->at = w->at;
	f->bytes = 0;
	switch (f->wire) {
	case NS_WIRE_VARINT:
		return varint(&w->at, w->end, &f->value) ? NS_OK : ns_walk_fail(w, begin, "field %u is a number that does not end", f->number);
	case NS_WIRE_64:
	case NS_WIRE_32:
		bytes = f->wire == NS_WIRE_64 ? 8 : 4;
		if (w->end - w->at < bytes)
			return ns_walk_fail(w, begin, "field %u ends beyond it", f->number);
		f->value = fixed(w->at, bytes);
		w->at += bytes;
		return NS_OK;
	case NS_WIRE_BYTES:
		if (!varint(&w->at, w->end, &length) || length > (uint64_t)(w->end - w->at))
			return ns_walk_fail(w, begin, "field %u ends beyond it", f->number);
		f->at = w->at;
		f->bytes = (size_t)length;
		w->at += length;
		return NS_OK;
	}
	return ns_walk_fail(w, begin, "field %u is of wire type %u, which ONNX does not have", f->number, (unsigned)f->wire);
}

static enum ns_status is_bytes(const struct ns_walk *w, const struct ns_field *f)
{
	return f->wire == NS_WIRE_BYTES ? NS_OK : ns_walk_fail(w, f->at, "field %u is a number, expected bytes", f->number);
}

enum ns_status ns_walk_into(const struct ns_walk *w, const struct ns_field *f, const char *what, struct ns_walk *inner)
{
	NS_TRY(is_bytes(w, f));
	*inner = (struct ns_walk){w->of, f->at, f->at + f->bytes, what, w->depth + 1};
	return inner->depth <= DEEPEST ? NS_OK : ns_walk_fail(w, f->at, "messages are nested more than %d deep", DEEPEST);
}

/* Names go into messages and pages: UTF-8, and nothing that a terminal would act on. */
static int is_text(const uint8_t *at, size_t n)
{
	size_t i = 0, k, more;
	uint32_t code;

	while (i < n) {
		uint8_t c = at[i++];

		if (c < 0x20 || c == 0x7f)
			return 0;
		if (c < 0x80)
			continue;
		more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		code = c & (0x3f >> more);
		if (c < 0xc2 || c > 0xf4 || n - i < more)
			return 0;
		for (k = 0; k < more; k++) {
			if ((at[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (at[i++] & 0x3f);
		}
		if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) || (more == 3 && (code < 0x10000 || code > 0x10ffff)))
			return 0;
	}
	return 1;
}

enum ns_status ns_walk_text(const struct ns_walk *w, const struct ns_field *f, struct ns_onnx_text *text)
{
	NS_TRY(is_bytes(w, f));
	if (f->bytes > 4096 || !is_text(f->at, f->bytes))
		return ns_walk_fail(w, f->at, "field %u is no text of at most 4096 bytes in UTF-8", f->number);
	*text = (struct ns_onnx_text){(const char *)f->at, f->bytes};
	return NS_OK;
}

enum ns_status ns_walk_int(const struct ns_walk *w, const struct ns_field *f, int64_t low, int64_t high, int64_t *value)
{
	if (f->wire != NS_WIRE_VARINT)
		return ns_walk_fail(w, f->at, "field %u is no number", f->number);
	*value = (int64_t)f->value;
	return *value >= low && *value <= high ? NS_OK
					       : ns_walk_fail(w, f->at, "field %u is %lld, expected %lld to %lld", f->number, (long long)*value,
							      (long long)low, (long long)high);
}

enum ns_status ns_walk_packed(const struct ns_walk *w, const struct ns_field *f, size_t *at, uint64_t *value, int *more)
{
	const uint8_t *p = f->at + *at;

	if (f->wire != NS_WIRE_BYTES) { /* one by one */
		*more = !*at;
		*value = f->value;
		*at = 1;
		return NS_OK;
	}
	*more = *at < f->bytes;
	if (!*more)
		return NS_OK;
	if (!varint(&p, f->at + f->bytes, value))
		return ns_walk_fail(w, f->at + *at, "a number of field %u does not end", f->number);
	*at = (size_t)(p - f->at);
	return NS_OK;
}

enum ns_status ns_walk_text_in(const struct ns_walk *w, const struct ns_field *f, uint32_t number, struct ns_onnx_text *text)
{
	struct ns_field inner;
	struct ns_walk in;
	int more;

	*text = (struct ns_onnx_text){"", 0};
	NS_TRY(ns_walk_into(w, f, "a field of the graph", &in));
	for (;;) {
		NS_TRY(ns_walk_next(&in, &inner, &more));
		if (!more)
			return NS_OK;
		if (inner.number == number)
			NS_TRY(ns_walk_text(&in, &inner, text));
	}
}

enum ns_status ns_walk_copy(struct ns_walk *message, ns_walk_rule *rule, void *context, struct ns_onnx_message *out)
{
	struct ns_field f;
	int more, is;

	for (;;) {
		const uint8_t *from = message->at;

		NS_TRY(ns_walk_next(message, &f, &more));
		if (!more)
			return NS_OK;
		is = 0;
		NS_TRY(rule(context, message, &f, out, &is));
		if (!is)
			ns_onnx_put_raw(out, from, (size_t)(message->at - from));
	}
}

enum ns_status ns_walk_copy_into(const struct ns_walk *w, const struct ns_field *f, const char *what, ns_walk_rule *rule, void *context,
				 struct ns_onnx_message *out)
{
	struct ns_walk in;

	NS_TRY(ns_walk_into(w, f, what, &in));
	return ns_walk_copy(&in, rule, context, out);
}
