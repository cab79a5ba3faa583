/*
 * host/graph/graph.h - models as graphs: architecture, weights in a file, a stored model, executables.
 */
#ifndef NS_GRAPH_H
#define NS_GRAPH_H

#include <jansson.h>
#include <stdint.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"
#include "host/run/run.h"
#include "kernels/op.h"

/*
 * --- arch: a model is a list of ops, built from a configuration.
 *
 * One builder makes CIFAR's ResNet-18 (basic [2,2,2,2], width 64, stem small), ResNet-50 (bottleneck [3,4,6,3],
 * stem imagenet) and the small networks (basic [1,1,1], width 16). Names are torchvision's.
 */

#define NS_CLASSES_MAX	  1000000
#define NS_CLASSIFIER_MAX ((int64_t)1 << 28) /* floats of its weights, or of the logits of a batch: 1 GiB, of which a training holds several */

/* What the outputs of a network mean: host/outputs says how. All but classify came as ONNX. */
enum ns_task {
	NS_TASK_CLASSIFY,
	NS_TASK_TAGS,	 /* several labels at once */
	NS_TASK_DETECT,	 /* boxes of objects */
	NS_TASK_SEGMENT, /* a class a pixel */
	NS_TASK_REGIONS, /* where there is text */
	NS_TASK_READ,	 /* the text of an image */
	NS_TASK_EMBED,	 /* a vector, to compare with others */
	NS_TASK_REGRESS, /* numbers with names */
	NS_TASK_RAW	 /* its outputs as they come */
};
int ns_task_find(const char *name); /* "classify", ...; -1: there is none */
const char *ns_task_name(enum ns_task task);

struct ns_arch {
	int bottleneck, imagenet_stem; /* else basic block, small stem */
	int blocks[8], stages, width;
	int h, w, c, classes;
	float epsilon; /* of its normalisations */
	/* of one that came as ONNX: how it is run (ns_foreign_probe()); then there are no blocks, no width, no stem */
	int onnx, channels_last, bgr, probabilities, alone, embedding,
		batch_norms; /* batch_norms: normalisations learn from batches, as they were built here */
	enum ns_task
		task; /* of others than classify, h and w are those of the canvas, which its preprocessing may make wider, and there may be no classes */
};

enum ns_layer_kind { NS_LAYER_CONV, NS_LAYER_MAXPOOL, NS_LAYER_AVGPOOL, NS_LAYER_LINEAR };

struct ns_layer {
	enum ns_layer_kind kind;
	int in, out, res;			  /* tensors; 0 is the image; res -1: none */
	int h, w, c, p, q, k;			  /* shapes of in and out, without the batch */
	int r, stride, pad, relu;		  /* square windows */
	int weight, gamma, beta, bias, mean, var; /* parameters, -1: none */
};

enum ns_param_kind { NS_PARAM_CONV, NS_PARAM_MATRIX, NS_PARAM_VECTOR, NS_PARAM_STATISTIC };

struct ns_param {
	char name[64];
	enum ns_param_kind kind;
	int k, r, s, c;	   /* conv: OHWI; matrix: (k, c); vectors: k */
	int64_t count, at; /* floats; where it begins in the canonical array of its group */
	int depth;	   /* of its layer, from 0 on: convolutions and products, in their order */
	int value, tensor; /* of a model that came as ONNX: of its file */
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

/*
 * --- safetensors: tensors in a common file format: 8 bytes length, a JSON header, the data.
 * (huggingface/safetensors, little-endian; F32 is written, and F16, BF16 and F64 are read too.)
 */

struct ns_tensor_out {
	const char *name;
	int rank;
	int64_t dims[4];
	const float *data;
};

struct ns_tensors { /* a file that was read */
	char *path, *bytes;
	size_t size;
	json_t *header;
	const char *data;
	size_t data_bytes;
};

/* sha256: set to the digest of the bytes before they are written, or NULL */
enum ns_status ns_tensors_write(const char *path, const struct ns_tensor_out *tensors, int n, const json_t *metadata, char *sha256);
enum ns_status ns_tensors_read(struct ns_tensors *t, const char *path);
void ns_tensors_release(struct ns_tensors *t);
/* Values of the expected shape, converted to float; NS_BAD_DATA names what differs. */
enum ns_status ns_tensors_get(const struct ns_tensors *t, const char *name, int rank, const int64_t *dims, float *out);
int ns_tensors_has(const struct ns_tensors *t, const char *name);
const char *ns_tensors_metadata(const struct ns_tensors *t, const char *key);

/*
 * --- found: weights of a ResNet in a file that others wrote, by torchvision's names: those of timm are the same, those of Hugging Face are translated, and
 * one prefix that all have (module., backbone.) is left out. Counters of batches are no weights.
 */
struct ns_found {
	struct ns_tensors t;
	json_t *names; /* torchvision's -> the file's */
	char prefix[128];
	int renamed; /* from Hugging Face's */
};

enum ns_status ns_found_read(struct ns_found *f, const char *path);
void ns_found_release(struct ns_found *f);
/* What the shapes say of the network: all but the size of its images and epsilon; classes 0: there is no classifier. NS_BAD_DATA: what else it is. */
enum ns_status ns_found_arch(const struct ns_found *f, struct ns_arch *arch);
enum ns_status ns_found_get(const struct ns_found *f, const char *name, int rank, const int64_t *dims, float *out);
/* NS_BAD_DATA where the file has tensors that the network does not ask for. */
enum ns_status ns_found_check_left(const struct ns_found *f, const struct ns_net *net);

/*
 * --- model: a stored model: architecture, canonical weights, and what inference needs.
 */

#define NS_BN_EPS 1e-5f /* of normalisations, where nobody says another */

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
	struct ns_onnx *onnx;	     /* of one that came as ONNX: its file, and then there are values only of what it learns */
	struct ns_onnx *learns;	     /* the file that it began with, where a training has changed it: graphs borrow from it */
	json_t *facts;		     /* other members of model.json: parents, metrics, training data ... */
};

enum ns_status ns_model_make(struct ns_model *m, const struct ns_arch *arch, const char *const *classes, int n);
void ns_model_release(struct ns_model *m);
/* Kaiming normal (fan out) for convolutions, uniform for the classifier: torchvision's choice, keyed by seed. */
void ns_model_initialise(struct ns_model *m, uint64_t seed);
/* A model of its own with the same weights, classes, preprocessing and reading of outputs; other facts are not copied. */
enum ns_status ns_model_copy(struct ns_model *m, const struct ns_model *from);
/* How images are fitted, outputs are decoded, and whether it can be trained, as `from` says in its facts. */
void ns_model_copy_reading(struct ns_model *m, const struct ns_model *from);
/* Other names of its classes, which n may be more or fewer than before. */
enum ns_status ns_model_name_classes(struct ns_model *m, const char *const *classes, int n);
/*
 * Of one that came as ONNX: its values become those of the weights that a training may change, but for those on which the value `freeze` of its file depends (NULL: all). NS_CONFIG where there is no
 * such value, or nothing is left.
 */
enum ns_status ns_model_learn(struct ns_model *m, const char *freeze);
/* The values become the file's weights; nothing is done where it did not come as ONNX, or learns nothing. */
enum ns_status ns_model_settle(struct ns_model *m);
/*
 * Of one that came as ONNX: its last weights become those of n other classes; rows of classes of the same names (*kept of them) stay, others are drawn by the seed. NS_CONFIG where it has no such last
 * weights. Before ns_model_learn().
 */
enum ns_status ns_model_new_head(struct ns_model *m, const char *const *classes, int n, uint64_t seed, int *kept);
/* Of a graph of ONNX: whether it can be trained here becomes the fact `trains` of it, with what learns of it, or with the reason why it can't. Before ns_model_learn(). */
enum ns_status ns_model_note_training(struct ns_model *m);
/* Weights in torchvision's names and layout. */
enum ns_status ns_model_write_weights(const struct ns_model *m, const float *values, const char *path);
/* Weights of a file; new_head: the classifier keeps the values that it has. */
enum ns_status ns_model_take(struct ns_model *m, const struct ns_found *f, int new_head);
/* model.json, with the digest of the weights file beside it */
json_t *ns_model_to_json(const struct ns_model *m, const char *weights_digest);
/*
 * Writes it as ONNX, opset 17: input `x` of standardised pixels (n, c, h, w), outputs `logits` and `probabilities`; weights are external data of the file `weights`, which has to lie
 * beside `path` as model.safetensors, or inside. One that came as ONNX is its own file. prepared: the input is `images`, bytes (n, h, w, c) in the order RGB, and what
 * makes pixels of them is a part of the graph.
 */
enum ns_status ns_model_to_onnx(const struct ns_model *m, const char *weights, int prepared, int inside, const char *path);
/* Reads model.json; the weights are read from `weights` and checked against their digest. */
enum ns_status ns_model_read(struct ns_model *m, const char *json_path, const char *weights);

/*
 * --- families: networks beside ResNets that are built here, as ONNX files. One is a row of families.c.
 */
struct ns_design {
	const char *family;
	int blocks[8], stages, width, patch, heads, groups; /* patch 0: by the images' size; of convolutional ones it is the stride of the first */
	int h, w, c, classes;				    /* classes: names; readers have a blank beside them */
	enum ns_task task;
};
int ns_family_is_built(const char *name);
/* Weights are drawn by the seed. NS_CONFIG: sizes that do not go together. */
enum ns_status ns_model_build(struct ns_model *m, const struct ns_design *design, const char *const *classes, uint64_t seed);

/*
 * --- foreign: models that came as ONNX, classifiers of one input.
 */
#define NS_EMBEDDING_MOST 65536 /* numbers of an image; one that would be wider is its logits */

/*
 * h, w, c, classes and channels_last are given. Runs it on two random images, alone and together, and sets probabilities (each output sums to 1: their logarithms are
 * taken as logits), alone (batches do not give what images alone do: rows are run one by one) and embedding (what the last weights read, or else the logits).
 * NS_BAD_DATA where no output has so many classes, or one is not finite, or the graph is refused.
 */
enum ns_status ns_foreign_probe(struct ns_arch *arch, const struct ns_onnx *onnx);
/* All outputs, of one image at a time, of a model that came as ONNX. */
struct ns_raw {
	int count;
	struct ns_output *outputs; /* their names, shapes and numbers: of the last run, in f32 */
	char **names;
	struct ns_dag *dag;
	float *embedding; /* of the last run: what the last weights before the first output read, each channel's mean over places; NULL: there are none */
	int embedding_dim;
	struct ns_dag_exec *exec;
	struct ns_device *dev;
	size_t image_bytes;
	void *image, **there; /* of a device with memory of its own: the image, and what is made of it, the embedding last */
	int h, w;
};
/* For images of h x w pixels, as long as `onnx` lives. NS_BAD_DATA where the graph can't be made for that size. */
enum ns_status ns_raw_make(struct ns_raw **raw, const struct ns_onnx *onnx, const struct ns_arch *arch, struct ns_device *dev, int h, int w);
void ns_raw_free(struct ns_raw *raw);
/* image (h, w, c) in the host's memory; waits */
enum ns_status ns_raw_run(struct ns_raw *raw, const float *image, struct ns_queue *queue);
/* The file of its weights: "model.onnx" or "model.safetensors". */
const char *ns_model_weights_name(const struct ns_model *m);
/* NS_CONFIG for one of another task than classify: `verb` does not take it. */
enum ns_status ns_model_check_classifies(const struct ns_model *m, const char *name);

/*
 * --- exec: a network compiled into plans for one worker: forward for inference, or forward and backward of
 * one virtual rank. After making, running allocates nothing.
 *
 * Parameters live outside, in the layouts that the plans ask for (struct ns_weights), and are shared by all workers.
 */

/*
 * The training state's layout: for each parameter its offset in the flat arrays (weights, gradients, momentum, ...),
 * in the layout of the gradient, so that optimisers are element by element; then running statistics; then the tail.
 */
struct ns_flat {
	int64_t *at, *count;			 /* per parameter, floats */
	int64_t decay, train, statistics, total; /* ends: decaying, trainable, with statistics, with the tail */
};
enum { NS_TAIL_LOSS, NS_TAIL_HITS, NS_TAIL_STOP, NS_TAIL_COUNT = 16 };

struct ns_exec;

enum ns_loss_kind { NS_LOSS_SOFTMAX, NS_LOSS_BINARY, NS_LOSS_SMOOTH_L1, NS_LOSS_DICE, NS_LOSS_IOU, NS_LOSS_CTC, NS_LOSS_KINDS };
struct ns_loss { /* softmax cross-entropy with what changes it, see struct ns_op_xent; or one of another kind */
	float smoothing, focal;
	const float *weights; /* of each class, on the host; NULL: none */
	enum ns_loss_kind kind;
};
int ns_task_has_loss(enum ns_task task, enum ns_loss_kind kind);
int ns_task_trains(enum ns_task task); /* is there any? */

/*
 * What is true of an image, as a training reads it: words of 4 bytes. classify: its class, -1 unknown; segment: the class of each of h x w pixels, -1 unknown; read: symbols of its
 * text up to -1, -2 first: nobody knows it; tags: 1 or 0 of each
 * name, and regress a number of each, as f32, NaN where nobody said it.
 */
struct ns_target {
	enum ns_task task;
	int words, h, w;
	int logits, probabilities; /* of tags, and of masks of one channel: what the network's outputs were found to be */
};
/* Training: `n` images a virtual rank, gradients scaled by 1 / batch. One that came as ONNX learns in NS_F32 (ns_model_learn()). */
enum ns_status ns_exec_train(struct ns_exec **exec, const struct ns_model *m, struct ns_device *dev, struct ns_queue *queue, int n, int batch,
			     const struct ns_loss *loss, enum ns_dtype dtype);
/* Inference of `n` images; packs its own folded weights from canonical values. */
enum ns_status ns_exec_infer(struct ns_exec **exec, const struct ns_net *net, struct ns_device *dev, struct ns_queue *queue, int n,
			     enum ns_dtype dtype, float temperature, const float *values);
/* The same of a model, whatever it came as; one that came as ONNX is computed in NS_F32. */
enum ns_status ns_exec_infer_model(struct ns_exec **exec, const struct ns_model *m, struct ns_device *dev, struct ns_queue *queue, int n,
				   enum ns_dtype dtype);
void ns_exec_free(struct ns_exec *exec);

/* the input of images, (n, h, w, c) of dtype: device memory of this worker */
void *ns_exec_images(struct ns_exec *exec);

/* --- training --- */
struct ns_target ns_exec_target(const struct ns_exec *exec);
enum ns_status ns_exec_flat(const struct ns_exec *exec, struct ns_flat *flat);
void ns_flat_release(struct ns_flat *flat);
/* floats of the packed weights that forward and backward read, made from the flat weights by pack() */
int64_t ns_exec_packed_bytes(const struct ns_exec *exec);
enum ns_status ns_exec_pack(struct ns_exec *exec, const struct ns_flat *flat, const float *weights, void *packed, int part, int parts);
/* canonical values of trainable parameters <-> flat array */
enum ns_status ns_exec_to_flat(struct ns_exec *exec, const struct ns_flat *flat, const float *canonical, float *out);
enum ns_status ns_exec_from_flat(struct ns_exec *exec, const struct ns_flat *flat, const float *in, float *canonical);
/* one virtual rank, what is true of its images in device memory: grad (flat->total) is overwritten. The caller waits. */
enum ns_status ns_exec_step(struct ns_exec *exec, const struct ns_flat *flat, const float *weights, const void *packed, const int32_t *labels,
			    float *grad);

/* --- inference --- */
struct ns_outputs { /* device memory of this worker, valid until the next run */
	const float *prob, *embedding, *entropy, *margin, *logits;
	const int32_t *pred;
};
/* The caller waits. */
enum ns_status ns_exec_run(struct ns_exec *exec, struct ns_outputs *out);

#endif
