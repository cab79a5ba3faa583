/*
 * host/net/model.h - a model as it is kept: architecture, canonical weights, and what its user must know.
 */
#ifndef NS_MODEL_H
#define NS_MODEL_H

#include "host/net/arch.h"
#include "host/net/safetensors.h"

#define NS_BN_EPS 1e-5f

struct ns_model {
	struct ns_net net;
	float *values; /* net.floats: parameters in canonical layout, then running statistics */
	char **classes;
	int class_count;
	float mean[4], std[4];
	double temperature;
	char precision[8];
	char digest[NS_SHA256_HEX];  /* of model.json, where it was read from */
	char weights[NS_SHA256_HEX]; /* of model.safetensors, once the values are in one */
	json_t *facts;		    /* what else stands in model.json: parents, metrics, training data ... */
};

enum ns_status ns_model_make(struct ns_model *m, const struct ns_arch *arch, const char *const *classes, int n);
void ns_model_release(struct ns_model *m);
/* Kaiming normal (fan out) for convolutions, uniform for the classifier: torchvision's choice, keyed by seed. */
void ns_model_initialise(struct ns_model *m, uint64_t seed);
/* Weights in torchvision's names and layout. partial: a classifier of another size keeps its first values. */
enum ns_status ns_model_write_weights(const struct ns_model *m, const float *values, const char *path);
enum ns_status ns_model_read_weights(struct ns_model *m, const char *path, int partial);
/* model.json, with the digest of the weights file beside it */
json_t *ns_model_to_json(const struct ns_model *m, const char *weights_digest);
/* From model.json; the weights lie at `weights` and are checked against their digest. */
enum ns_status ns_model_read(struct ns_model *m, const char *json_path, const char *weights);
/* canonical OHWI <-> torch's OIHW */
void ns_to_torch(const struct ns_param *p, const float *ohwi, float *oihw);
void ns_from_torch(const struct ns_param *p, const float *oihw, float *ohwi);
int ns_torch_shape(const struct ns_param *p, int64_t dims[4]);

#endif
