/* jobs/infer/infer.h - models by name, feeding rows to a network, predictions of a data set. */
#ifndef NS_JOBS_INFER_H
#define NS_JOBS_INFER_H

#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"
#include "host/graph/graph.h"
#include "host/run/run.h"
#include "kernels/formula/augment.h"

/* --- models --- */

/* Collective: every rank reads. `name` is a ref, a digest, or a folder that train has written. */
enum ns_status ns_load_model(struct ns_job *job, struct ns_model *model, const char *name);
/* The same, of any task: the other takes classifiers, and refuses the rest by name (NS_CONFIG). */
enum ns_status ns_load_any_model(struct ns_job *job, struct ns_model *model, const char *name);
/* Is it a file of weights alone, safetensors? A file that is none is named by what it is: PyTorch's pickle, ONNX. What is no file may be a ref: *is is 0. */
enum ns_status ns_weights_file(const char *name, int *is);
/* Collective. Writes model.safetensors to job->dir and its digest into the model; before model.json, which holds the digest of predictions. */
enum ns_status ns_model_publish_weights(struct ns_job *job, struct ns_model *model);
/* Collective. Writes model.json and, unless it exists, model.safetensors to job->dir, and both as objects. */
enum ns_status ns_model_publish(struct ns_job *job, struct ns_model *model);

/* --- feeding a network --- */

/* Feeds rows of a view to a network: the host reads or decodes pixels and makes random draws, the device augments and normalises. */
struct ns_feed {
	const struct ns_view *view;
	const struct ns_model *model;
	struct ns_job *job;
	struct ns_augment_config *config, *rest; /* owned; rest: without the random resized crop that is cut out of files */
	int windows;				 /* there is one */
	struct ns_fit fit;			 /* how files come onto the canvas, where the model says another way than ingest's */
	int fits;
	int shuffle, n;		   /* n: images at a time */
	int64_t *by_class, *first; /* of a balanced feed: rows of the view by class; where each class begins, and the end */
	int balanced;		   /* classes that have rows; 0: it is none */
	struct ns_target target;   /* what is true of an image; without anybody's word its class */
	const char *member;	   /* of other tasks than classify: of an annotation, that says it; borrowed */
	int blank_last;		   /* of read: which symbol is the blank; else it is the first */
	int64_t shown, unknown;	   /* of other tasks than classify: images so far, and those of which nothing could be learned */
	uint64_t seed;
	size_t bytes, samples_at; /* staged: pixels (n, h, w, c) u8, then n draws */
	struct ns_feed_worker {
		uint8_t *buffer; /* for encoded images */
		size_t capacity;
	} * workers;
	struct ns_feed_lane { /* one for each device of the set */
		struct ns_plan *plan;
		void *workspace;
	} * lanes;
};

/* recipe NULL: no augmentation. The caller releases *feed in any case. */
enum ns_status ns_feed_init(struct ns_feed *feed, struct ns_job *job, const struct ns_view *view, const struct ns_model *model, const json_t *recipe,
			    int n, int shuffle, enum ns_dtype dtype);
/* Of a feed that shuffles: each class that has rows comes as often, in turn; a class that is small comes again in another order. */
enum ns_status ns_feed_balance(struct ns_feed *feed);
void ns_feed_release(struct ns_feed *feed);
/* The two halves of struct ns_train_input. Rows beyond the view's end repeat its last and get label -1. */
enum ns_status ns_feed_stage(void *feed, int worker, int epoch, int64_t first, int n, int begin, int end, void *staged, int32_t *labels);
enum ns_status ns_feed_images(void *feed, int queue, const void *staged, void *images);
void ns_feed_expects(void *feed, const struct ns_target *target);

/* What a member of a row's annotation says, of this type; *said NULL: nobody said anything. The caller releases it. */
enum ns_status ns_row_said(const struct ns_dataset *data, int64_t row, const char *member, json_type type, json_t **said);

/* --- inference, for infer, train's validation and evaluate --- */

/* results a row, stored for all rows */
struct ns_inference {
	int64_t rows;
	int classes, dim;
	float *prob, *embedding, *stats, *logits; /* owned by the caller; NULL: not computed */
	int32_t *pred, *label;
};
/* Not collective: this process alone computes rows [first, first + count) of the view into out's arrays, from index 0. */
enum ns_status ns_infer_rows(struct ns_job *job, const struct ns_model *model, const struct ns_view *view, int64_t first, int64_t count, int batch,
			     enum ns_dtype dtype, struct ns_inference *out, const char *label);

/*
 * Collective: predictions of `model` on `data`, one file a shard, into job->dir/`folder` (NULL: job->dir itself), with
 * predictions.json; ranks take shards in turn. model_digest goes into the files.
 */
enum ns_status ns_predict(struct ns_job *job, const struct ns_model *model, const char *model_digest, struct ns_dataset *data, const char *folder,
			  enum ns_dtype dtype, char digest[NS_SHA256_HEX]);

/* Fit the temperature (least negative log-likelihood) on the labelled rows of `data`. Collective. */
enum ns_status ns_calibrate(struct ns_job *job, struct ns_model *model, struct ns_dataset *data, enum ns_dtype dtype);

/* the verb infer */
enum ns_status ns_job_infer(struct ns_job *job, int argc, char **argv);

#endif
