/*
 * host/net/arch.h - a model is a list of ops, built from a configuration.
 *
 * One builder makes CIFAR's ResNet-18 (basic [2,2,2,2], width 64, stem small), ResNet-50 (bottleneck [3,4,6,3],
 * stem imagenet) and the small networks (basic [1,1,1], width 16). Names are torchvision's.
 */
#ifndef NS_ARCH_H
#define NS_ARCH_H

#include <jansson.h>
#include <stdint.h>

#include "kernels/op.h"

struct ns_arch {
	int bottleneck, imagenet_stem; /* else basic block, small stem */
	int blocks[8], stages, width;
	int h, w, c, classes;
};

enum ns_layer_kind { NS_LAYER_CONV, NS_LAYER_MAXPOOL, NS_LAYER_AVGPOOL, NS_LAYER_LINEAR };

struct ns_layer {
	enum ns_layer_kind kind;
	int in, out, res;	   /* tensors; 0 is the image; res -1: none */
	int h, w, c, p, q, k;	   /* shapes of in and out, without the batch */
	int r, stride, pad, relu; /* square windows */
	int weight, gamma, beta, bias, mean, var; /* parameters, -1: none */
};

enum ns_param_kind { NS_PARAM_CONV, NS_PARAM_MATRIX, NS_PARAM_VECTOR, NS_PARAM_STATISTIC };

struct ns_param {
	char name[64];
	enum ns_param_kind kind;
	int k, r, s, c;	    /* conv: OHWI; matrix: (k, c); vectors: k */
	int64_t count, at; /* floats; where it begins in the canonical array of its group */
};

struct ns_net {
	struct ns_arch arch;
	struct ns_layer *layers;
	int layer_count, tensors;
	struct ns_param *params; /* trainable ones first (weights that decay before those that do not), statistics last */
	int param_count, trainable, decaying;
	int64_t floats, train_floats, decay_floats; /* canonical: all, trainable, decaying */
	int embedding_dim;
};

enum ns_status ns_arch_from_json(struct ns_arch *arch, const json_t *json, const char *where);
json_t *ns_arch_to_json(const struct ns_arch *arch);
enum ns_status ns_net_build(struct ns_net *net, const struct ns_arch *arch);
void ns_net_release(struct ns_net *net);
int ns_net_param(const struct ns_net *net, const char *name); /* -1: none */

#endif
