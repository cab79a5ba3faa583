/* host/onnx/walk_inner.h - fields of protobuf messages, one after the other. */
#ifndef NS_ONNX_WALK_INNER_H
#define NS_ONNX_WALK_INNER_H

#include "host/onnx/onnx.h"

struct ns_walk { /* of a message */
	const struct ns_onnx *of;
	const uint8_t *at, *end;
	const char *what; /* the message's name */
	int depth;
};

enum ns_wire { NS_WIRE_VARINT, NS_WIRE_64, NS_WIRE_BYTES, NS_WIRE_32 = 5 };

struct ns_field {
	uint32_t number;
	enum ns_wire wire;
	uint64_t value; /* of a varint, or the bits of a fixed number */
	const uint8_t *at;
	size_t bytes;
};

/* The next field; *more is 0 at the end. NS_BAD_DATA where it does not lie in its message. */
enum ns_status ns_walk_next(struct ns_walk *w, struct ns_field *f, int *more);
/* A message that is a field of this one. */
enum ns_status ns_walk_into(const struct ns_walk *w, const struct ns_field *f, const char *what, struct ns_walk *inner);
enum ns_status ns_walk_text(const struct ns_walk *w, const struct ns_field *f, struct ns_onnx_text *text);
enum ns_status ns_walk_int(const struct ns_walk *w, const struct ns_field *f, int64_t low, int64_t high, int64_t *value);
/* A repeated number that may be packed: the next of it; at: where it is in the field, 0 to begin. */
enum ns_status ns_walk_packed(const struct ns_walk *w, const struct ns_field *f, size_t *at, uint64_t *value, int *more);
enum ns_status ns_walk_fail(const struct ns_walk *w, const uint8_t *at, const char *format, ...) NS_PRINTF(3, 4);

#endif
