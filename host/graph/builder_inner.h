/*
 * host/graph/builder_inner.h - networks that are built here as ONNX files: nodes one after the other, weights drawn as they are named. Values are named v1, v2 ...; a function returns the name of what
 * it adds, which is good until the builder goes. What fails is remembered, and told at the end.
 */
#ifndef NS_BUILDER_INNER_H
#define NS_BUILDER_INNER_H

#include "host/graph/graph.h"
#include "host/onnx/onnx.h"

#define NS_BUILDER_NAMES 4096

struct ns_builder {
	struct ns_onnx_message graph;
	char (*names)[24];
	int count; /* of values so far */
	uint64_t seed;
	uint32_t stream; /* of draws: one a weight */
	int logistic;	 /* the head's outputs are probabilities, each by itself */
	enum ns_status status;
};

enum ns_status ns_builder_begin(struct ns_builder *b, uint64_t seed);
/* The model's bytes, which become the caller's, or why not. */
enum ns_status ns_builder_end(struct ns_builder *b, char **bytes, size_t *n);
void ns_builder_release(struct ns_builder *b);

/* A weight of normal numbers of that deviation; 0: all are `mean`. */
const char *ns_build_weight(struct ns_builder *b, const int64_t *dims, int rank, double mean, double deviation);
const char *ns_build_wholes(struct ns_builder *b, const int64_t *values, int n);
const char *ns_build_number(struct ns_builder *b, float x);
/* An operator of up to three inputs (NULL: fewer) and no attributes. */
const char *ns_build(struct ns_builder *b, const char *op, const char *x, const char *y, const char *z);
/* The same with one attribute, of whole numbers or of one. */
const char *ns_build_list(struct ns_builder *b, const char *op, const char *x, const char *name, const int64_t *values, int n);
const char *ns_build_with(struct ns_builder *b, const char *op, const char *x, const char *y, const char *z, const char *name, int64_t value);

/* k x k kernels, padded to the same size but for the stride; bias: whether there is one. Weights as He et al. draw them, by fan out. */
const char *ns_build_conv(struct ns_builder *b, const char *x, int64_t in, int64_t out, int64_t k, int64_t stride, int64_t pad, int64_t groups,
			  int bias);
const char *ns_build_batch_norm(struct ns_builder *b, const char *x, int64_t channels);
/* Over the last axis. */
const char *ns_build_layer_norm(struct ns_builder *b, const char *x, int64_t channels);
/* x (..., in) to (..., out), weights of the deviation .02 as in vision transformers. */
const char *ns_build_dense(struct ns_builder *b, const char *x, int64_t in, int64_t out);
const char *ns_build_gelu(struct ns_builder *b, const char *x);
/* The largest of each kh x kw places, of which none is seen twice. */
const char *ns_build_max_pool(struct ns_builder *b, const char *x, int64_t kh, int64_t kw);
/* (steps, n, in) to (steps, n, 2 * hidden): an LSTM forward and one backward. */
const char *ns_build_lstm(struct ns_builder *b, const char *x, int64_t in, int64_t hidden);
/* (n, in) to the output `logits` of (n, classes), or `probabilities`. */
void ns_build_head(struct ns_builder *b, const char *x, int64_t in, int64_t classes);

#endif
