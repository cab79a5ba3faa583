/* jobs/infer/infer.h - models by name, rows into a network, predictions of a data set. */
#ifndef NS_JOBS_INFER_H
#define NS_JOBS_INFER_H

#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"
#include "host/graph/graph.h"
#include "host/run/run.h"
#include "kernels/formula/augment.h"

/* --- models --- */

/* A ref, a digest, or a folder left by train. Collective: every rank reads. */
enum ns_status ns_load_model(struct ns_job *job, struct ns_model *model, const char *name);
/* model.safetensors in job->dir, and its digest in the model: before model.json, which holds that of what the model predicts. Collective. */
enum ns_status ns_keep_weights(struct ns_job *job, struct ns_model *model);
/* model.json, model.safetensors (unless it is there) in job->dir and both as objects. Collective. */
enum ns_status ns_keep_model(struct ns_job *job, struct ns_model *model);

/* --- feeding a network --- */

/* Rows of a view into a network: the host reads or decodes pixels and draws, the device augments and normalises. */
struct ns_feed {
	const struct ns_view *view;
	const struct ns_model *model;
	struct ns_job *job;
	struct ns_augment_config *config; /* owned */
	int shuffle, n;			  /* n: images at a time */
	uint64_t seed;
	size_t bytes, samples_at; /* staged: pixels (n, h, w, c) u8, then n draws */
	struct ns_feed_worker {
		uint8_t *buffer; /* for what is decoded */
		size_t room;
	} *workers;
	struct ns_feed_lane { /* one a device of the set */
		struct ns_plan *plan;
		void *workspace;
	} *lanes;
};

/* recipe NULL: images as they are. Release it in any case. */
enum ns_status ns_feed_init(struct ns_feed *feed, struct ns_job *job, const struct ns_view *view,
			    const struct ns_model *model, const json_t *recipe, int n, int shuffle, enum ns_dtype dtype);
void ns_feed_release(struct ns_feed *feed);
/* The two halves of struct ns_train_input. Rows beyond the view's end repeat its last and get label -1. */
enum ns_status ns_feed_stage(void *feed, int worker, int epoch, int64_t first, int n, int begin, int end, void *staged,
			     int32_t *labels);
enum ns_status ns_feed_images(void *feed, int lane, const void *staged, void *images);

/* --- inference, for infer, train's validation and evaluate --- */

/* Logits or probabilities of all rows of a view, spread over ranks and workers: what each row gives is stored. */
struct ns_inference {
	int64_t rows;
	int classes, dim;
	float *prob, *embedding, *stats, *logits; /* caller's, or NULL where not wanted */
	int32_t *pred, *label;
};
/* Not collective: this process alone computes rows [first, first + count) of the view into out's arrays from 0 on. */
enum ns_status ns_infer_rows(struct ns_job *job, const struct ns_model *model, const struct ns_view *view, int64_t first,
			     int64_t count, int batch, enum ns_dtype dtype, struct ns_inference *out, const char *label);

/*
 * Collective: predictions of `model` on `data`, one file a shard, into job->dir/`folder` (NULL: job->dir itself), with
 * predictions.json; ranks take shards in turn. model_digest goes into the files.
 */
enum ns_status ns_predict(struct ns_job *job, const struct ns_model *model, const char *model_digest,
			  struct ns_dataset *data, const char *folder, enum ns_dtype dtype, char digest[NS_SHA256_HEX]);

/* Fit the temperature (least negative log-likelihood) on the labelled rows of `data`. Collective. */
enum ns_status ns_calibrate(struct ns_job *job, struct ns_model *model, struct ns_dataset *data, enum ns_dtype dtype);

/* the verb infer */
enum ns_status ns_job_infer(struct ns_job *job, int argc, char **argv);

#endif
