/* host/onnx/message.c - messages of protobuf that grow in memory. */
#include <stdlib.h>
#include <string.h>

#include "host/onnx/walk_inner.h"

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

void ns_onnx_put_float(struct ns_onnx_message *m, int field, float value)
{
	add_number(m, (uint64_t)field << 3 | NS_WIRE_32);
	ns_onnx_put_raw(m, &value, sizeof value); /* little-endian, as the machine is */
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
