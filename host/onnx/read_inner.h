/* host/onnx/read_inner.h - between the reader, its lists and its checks. */
#ifndef NS_ONNX_READ_INNER_H
#define NS_ONNX_READ_INNER_H

#include "host/onnx/walk_inner.h"

struct ns_onnx_rooms { /* capacities of the lists of the same names; names by their hashes */
	int opsets, properties, values, nodes, attributes, tensors, nested, uses, ints, floats;
	int32_t *slot;
	uint64_t slots; /* a power of two */
};

/* Room for one more of a list. */
enum ns_status ns_onnx_grow(void **list, int *capacity, int count, size_t each, const char *path, const char *what);
#define NS_ONNX_GROW(o, list, count, what) ns_onnx_grow((void **)&(o)->list, &(o)->rooms->list, (o)->count, sizeof *(o)->list, (o)->path, what)
/* The value of that name, which is made where it is new. */
enum ns_status ns_onnx_value_of(struct ns_onnx *o, struct ns_onnx_text name, int *value);
/* One more use, which is of the node that is being read. */
enum ns_status ns_onnx_use(struct ns_onnx *o, int value);
enum ns_status ns_onnx_read_tensor(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field, int *index);
enum ns_status ns_onnx_read_node(struct ns_onnx *o, const struct ns_walk *outer, const struct ns_field *field);

/* Are its values as many as its shape has? Those that lie in another file are looked for later. */
enum ns_status ns_onnx_check_tensor(const struct ns_onnx *o, const struct ns_walk *w, const struct ns_onnx_tensor *t);
/* Tensor `index` is the value of its name, which nothing else is. */
enum ns_status ns_onnx_add_weight(struct ns_onnx *o, const struct ns_walk *w, const struct ns_field *f, int index);
/* The values of a weight of another file, a plain one in the model's folder: `bytes` of them. */
enum ns_status ns_onnx_read_beside(const struct ns_onnx *o, const struct ns_onnx_tensor *t, size_t bytes, void *to);
int64_t ns_onnx_tensor_bytes(const struct ns_onnx_tensor *t);
/* Each value is made once, before it is used. */
enum ns_status ns_onnx_check_graph(struct ns_onnx *o);

#endif
