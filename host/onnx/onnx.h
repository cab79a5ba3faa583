/*
 * host/onnx/onnx.h - an ONNX file, read where it lies (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): texts, attributes and weights point into the
 * mapped file, or into files of external data beside it. What is read is checked: lengths, names, the order of nodes, the sizes of weights.
 */
#ifndef NS_ONNX_H
#define NS_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/base.h"
#include "host/dag/dag.h"

struct ns_onnx_text { /* not terminated; valid UTF-8 without control characters */
	const char *at;
	size_t bytes;
};

/* TensorProto.DataType */
enum ns_onnx_type {
	NS_ONNX_UNDEFINED,
	NS_ONNX_FLOAT,
	NS_ONNX_UINT8,
	NS_ONNX_INT8,
	NS_ONNX_UINT16,
	NS_ONNX_INT16,
	NS_ONNX_INT32,
	NS_ONNX_INT64,
	NS_ONNX_STRING,
	NS_ONNX_BOOL,
	NS_ONNX_FLOAT16,
	NS_ONNX_DOUBLE,
	NS_ONNX_UINT32,
	NS_ONNX_UINT64,
	NS_ONNX_COMPLEX64,
	NS_ONNX_COMPLEX128,
	NS_ONNX_BFLOAT16,
	NS_ONNX_TYPES = 24 /* those of 17 to 23 have 8 bits or 4 */
};
const char *ns_onnx_type_name(int type);

#define NS_ONNX_RANK 8 /* dimensions of a tensor, at most */

struct ns_onnx_tensor { /* of an initializer, or an attribute */
	struct ns_onnx_text name;
	int type, rank;
	int64_t dims[NS_ONNX_RANK], count;
	/* where its values are: raw bytes, or a list of a field of its type (packed or not, `field` says which), or bytes of another file */
	const uint8_t *raw, *listed;
	size_t raw_bytes, listed_bytes;
	int field, strings;
	struct ns_onnx_text location; /* file beside the model; no bytes: it is in this one */
	int64_t offset, length;	      /* length -1: to the end */
};

struct ns_onnx_dim {
	int64_t value; /* below 0: a name, or nothing, says it */
	struct ns_onnx_text name;
};

struct ns_onnx_value { /* by the name that nodes use */
	struct ns_onnx_text name;
	int node, tensor;  /* that makes it, that it is; -1 */
	int input, output; /* of the graph: from 1 on, in their order; 0: it is none */
	int type, rank;	   /* NS_ONNX_UNDEFINED: not said, or no tensor; rank -1: not said */
	struct ns_onnx_dim dims[NS_ONNX_RANK];
};

/* AttributeProto.AttributeType */
enum ns_onnx_kind {
	NS_ONNX_NOTHING,
	NS_ONNX_F,
	NS_ONNX_I,
	NS_ONNX_S,
	NS_ONNX_T,
	NS_ONNX_G,
	NS_ONNX_FLOATS,
	NS_ONNX_INTS,
	NS_ONNX_STRINGS,
	NS_ONNX_OTHER
};

struct ns_onnx_attribute {
	struct ns_onnx_text name, s;
	enum ns_onnx_kind kind;
	float f;
	int64_t i;
	int first, count; /* of FLOATS and INTS: in the model's; of T: first is a tensor */
};

struct ns_onnx_node {
	struct ns_onnx_text op, domain, name;
	int first_in, ins, first_out, outs; /* in `uses`: values, -1: an input that is left out */
	int first_attribute, attributes;
	int graphs; /* inside its attributes: control flow */
};

struct ns_onnx {
	char *path;
	const uint8_t *data; /* the mapping, or memory of its own */
	size_t bytes;
	int own;
	int64_t ir_version;
	struct ns_onnx_text producer, producer_version, graph_name;
	struct ns_onnx_opset {
		struct ns_onnx_text domain;
		int64_t version;
	} * opsets;
	struct ns_onnx_property { /* what its makers say of it, by a name; any bytes */
		struct ns_onnx_text key, value;
	} * properties;
	struct ns_onnx_value *values;
	struct ns_onnx_node *nodes;
	struct ns_onnx_attribute *attributes;
	struct ns_onnx_tensor *tensors;
	struct ns_onnx_text *nested; /* operators of graphs inside nodes, one each time */
	int *uses;
	int64_t *ints;
	float *floats;
	int opset_count, property_count, value_count, node_count, attribute_count, tensor_count, nested_count, use_count, int_count, float_count;
	int inputs, outputs;
	int functions, sparse; /* of the model, of the graph: read by nobody here */
	struct ns_onnx_rooms *rooms;
};

/*
 * NS_BAD_DATA names the byte, node or value that is wrong, NS_IO a file that cannot be read. Every node's inputs are made by nodes before it, are weights, or
 * inputs of the graph; every name is made once.
 */
enum ns_status ns_onnx_read(struct ns_onnx **onnx, const char *path);
/* The same of bytes in memory, which it takes in any case; path: for messages. */
enum ns_status ns_onnx_read_bytes(struct ns_onnx **onnx, char *bytes, size_t n, const char *path);
void ns_onnx_free(struct ns_onnx *onnx);
int ns_onnx_is(struct ns_onnx_text text, const char *word);
/* Is there a property of that name? */
int ns_onnx_property(const struct ns_onnx *onnx, const char *key, struct ns_onnx_text *value);
/* Is it an ONNX file, by its name or its first bytes? */
enum ns_status ns_onnx_file(const char *path, int *is);
/* Weights that lie in files of their own: each is a plain file in the model's folder, holds what is said of it, and no two overlap but whole. *bytes: of all. */
enum ns_status ns_onnx_check_external(const struct ns_onnx *onnx, int64_t *bytes);

/* --- the graph --- */

struct ns_onnx_feed { /* what an input is; data NULL: it is known when the graph runs */
	enum ns_dtype dtype;
	struct ns_box box;
	const void *data;
	int value; /* or a value that the graph has already, counted from 1 */
};
/*
 * Makes ops of all nodes, in a graph that has nothing but what feeds name. feeds: of the inputs that are no weights, in their order, as are outputs.
 * NS_BAD_DATA lists every node that this version does not compute, with the reason. The graph borrows from the file.
 */
enum ns_status ns_onnx_graph(const struct ns_onnx *onnx, const struct ns_onnx_feed *feeds, int n, struct ns_dag *dag, int *outputs);
/*
 * The same, with values of the graph in place of tensors: of each tensor of the file, a value counted from 1, or 0. batch: normalisations take means and variances of the batch, and what
 * they were (variances by n - 1) is written there for the tensors of those that they would have taken, as values counted from 1; NULL: they do not.
 */
enum ns_status ns_onnx_graph_given(const struct ns_onnx *onnx, const struct ns_onnx_feed *feeds, int n, const int *given, int *batch,
				   struct ns_dag *dag, int *outputs);
/* Of a TensorProto.DataType; NS_DECLINED: values of that type are not computed here. */
enum ns_status ns_onnx_dtype(int type, enum ns_dtype *dtype);
/* Is there a maker of this operator? */
int ns_onnx_knows(struct ns_onnx_text op);

/* --- weights, for training --- */

/*
 * The weights that a training may change: what convolutions, products and normalisations multiply by and add, of float32, by the names of values. Numbers by themselves are none, nor are
 * statistics. tensors: of each value of the file, its tensor, or -1.
 */
enum ns_status ns_onnx_trainable(const struct ns_onnx *onnx, int *tensors);
/* Leaves out of the list what the value of that name depends on, itself among it; NS_CONFIG where there is none of that name. */
enum ns_status ns_onnx_freeze(const struct ns_onnx *onnx, const char *name, int *tensors);
/* How deep each weight of the list lies, by values of the file: convolutions and products with weights of it are counted from 0 on, others belong to the one before. */
enum ns_status ns_onnx_depths(const struct ns_onnx *onnx, const int *tensors, int *depths);
/* Means and variances of its normalisations: of each value of the file, its tensor, or -1. */
void ns_onnx_statistics(const struct ns_onnx *onnx, int *tensors);
/* The values of a tensor of float32. */
enum ns_status ns_onnx_floats(const struct ns_onnx *onnx, int tensor, float *to);

struct ns_onnx_head { /* the last weights before the first output, where nothing but shapes and softmax comes after: values of the file, and the axis of the classes */
	int weight, bias, axis; /* bias -1: there is none */
};
/* NS_DECLINED, with the reason, where it is not so. */
enum ns_status ns_onnx_find_head(const struct ns_onnx *onnx, const int *tensors, int classes, struct ns_onnx_head *head);

struct ns_onnx_message;
struct ns_onnx_weight { /* what a value of the file is to be */
	int value, rank;
	int64_t dims[NS_ONNX_RANK];
	const float *floats;
};
/*
 * The file with n weights in place of those of the same names. classes, wide (0: as they were): the first output has so many where it had `classes`, and what the file says of shapes between
 * and of the classes' names is left out.
 */
enum ns_status ns_onnx_put_weights(const struct ns_onnx *onnx, const struct ns_onnx_weight *weights, int n, int classes, int wide,
				   struct ns_onnx_message *out);

/* --- writing --- */

struct ns_onnx_message { /* of protobuf; zeroed to begin; grows, and remembers that memory ran out */
	char *bytes;
	size_t n, room;
	int failed;
};
void ns_onnx_message_release(struct ns_onnx_message *m);
void ns_onnx_put_text(struct ns_onnx_message *m, int field, const char *text);
/* It takes the inner message, which is empty afterwards. */
void ns_onnx_put_message(struct ns_onnx_message *m, int field, struct ns_onnx_message *inner);

/* A node: begun, then its attributes, then put into the graph as field 1. ins ends with NULL. */
void ns_onnx_begin_node(struct ns_onnx_message *node, const char *op, const char *const *ins, const char *out);
void ns_onnx_put_ints(struct ns_onnx_message *node, const char *name, const int64_t *values, int n);
void ns_onnx_put_whole(struct ns_onnx_message *node, const char *name, int64_t value);
void ns_onnx_put_word(struct ns_onnx_message *node, const char *name, const char *word);
void ns_onnx_put_real(struct ns_onnx_message *node, const char *name, float value);
/* field 11: an input, 12: an output; of (batch, dims) */
void ns_onnx_put_value(struct ns_onnx_message *graph, int field, const char *name, enum ns_onnx_type type, const char *batch, const int64_t *dims,
		       int n);
/* A weight: its bytes, or where in a file beside the model they are. */
void ns_onnx_put_tensor(struct ns_onnx_message *graph, const char *name, enum ns_onnx_type type, const int64_t *dims, int n, const void *raw,
			size_t bytes);
void ns_onnx_put_external(struct ns_onnx_message *graph, const char *name, enum ns_onnx_type type, const int64_t *dims, int n, const char *file,
			  int64_t offset, int64_t bytes);
/* It takes the graph. */
void ns_onnx_put_model(struct ns_onnx_message *m, int64_t opset, struct ns_onnx_message *graph);
/* The file with its weights of other files inside. NS_BAD_DATA: they are not as they should be, or too many. */
enum ns_status ns_onnx_put_inside(const struct ns_onnx *onnx, struct ns_onnx_message *out);
/* The file as it is, but that fields of `front` (nodes, weights, an input) stand before its graph's, and make its input of that name. It takes front. */
enum ns_status ns_onnx_in_front(const struct ns_onnx *onnx, const char *input, struct ns_onnx_message *front, struct ns_onnx_message *out);

#endif
