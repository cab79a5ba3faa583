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
/* The text of the last field of that number in a message that is a field of this one; none: no bytes. */
enum ns_status ns_walk_text_in(const struct ns_walk *w, const struct ns_field *f, uint32_t number, struct ns_onnx_text *text);

/* Does the rule take this field: leave it out, or write it to `out` in its own way? *is: 0 before the call, 1 where it does. */
typedef enum ns_status ns_walk_rule(void *context, const struct ns_walk *message, const struct ns_field *f, struct ns_onnx_message *out, int *is);
/* The fields of a message as they are, to its end, but for those that the rule takes. */
enum ns_status ns_walk_copy(struct ns_walk *message, ns_walk_rule *rule, void *context, struct ns_onnx_message *out);
/* The same of a message that is a field of this one. */
enum ns_status ns_walk_copy_into(const struct ns_walk *w, const struct ns_field *f, const char *what, ns_walk_rule *rule, void *context,
				 struct ns_onnx_message *out);
enum ns_status ns_walk_fail(const struct ns_walk *w, const uint8_t *at, const char *format, ...) NS_PRINTF(3, 4);

/* Parts of messages that are written: bytes as they are, a number, a float, and bytes as a field. */
void ns_onnx_put_raw(struct ns_onnx_message *m, const void *from, size_t n);
void ns_onnx_put_int(struct ns_onnx_message *m, int field, int64_t value);
void ns_onnx_put_float(struct ns_onnx_message *m, int field, float value);
void ns_onnx_put_bytes(struct ns_onnx_message *m, int field, const void *from, size_t n);

#endif
