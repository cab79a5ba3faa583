/*
 * jobs/jobs.h - the verbs, and what several of them share.
 */
#ifndef NS_JOBS_H
#define NS_JOBS_H

#include "datasets/dataset.h"
#include "datasets/predictions.h"
#include "host/job.h"
#include "host/net/model.h"
#include "kernels/formula/augment.h"

enum ns_verb_id {
	NS_VERB_INGEST,
	NS_VERB_AUGMENT,
	NS_VERB_TRAIN,
	NS_VERB_INFER,
	NS_VERB_EVALUATE,
	NS_VERB_DRIFT,
	NS_VERB_REGISTRY,
	NS_VERB_MERGE,
	NS_VERB_NIGHT,
	NS_VERB_REPORT,
	NS_VERB_DOCTOR,
	NS_VERB_BENCH,
	NS_VERBS
};

struct ns_verb {
	const char *name, *operands, *help;
	int needs_out;
	enum ns_status (*run)(struct ns_job *job, int argc, char **argv);
};

extern const struct ns_verb ns_verbs[NS_VERBS];
extern const struct ns_key ns_keys[];

/* nightshift VERB --man: the verb's manual page, in roff */
void ns_man_page(FILE *f, int verb);

/* Run one verb as a part of another: same ranks, workers and devices, its own configuration. Collective. */
enum ns_status ns_call(struct ns_job *caller, enum ns_verb_id verb, struct ns_conf *conf, int argc, char **argv);

enum ns_status ns_job_ingest(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_augment(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_train(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_infer(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_evaluate(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_drift(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_registry(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_merge(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_night(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_report(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_doctor(struct ns_job *job, int argc, char **argv);
enum ns_status ns_job_bench(struct ns_job *job, int argc, char **argv);

/* The text of a key that must be given. */
enum ns_status ns_need(struct ns_job *job, const char *key, const char *flag, const char **text);

/* --- models --- */

/* A ref, a digest, or a folder left by train. Collective: every rank reads. */
enum ns_status ns_load_model(struct ns_job *job, struct ns_model *model, const char *name);
/* Objects for both files of a model folder; the digest of model.json. rank 0 alone. */
enum ns_status ns_register_model(const char *registry, const char *folder, char digest[NS_SHA256_HEX]);

/* --- augmentation --- */

/* `augment:` as a list of named operations in the order in which they act; NULL: none. */
enum ns_status ns_recipe_parse(struct ns_augment_config *config, const json_t *list, int h, int w, const char *where);

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

/* --- the tasks of an array --- */

/*
 * part.json in job->dir: what this part is and what `index` (taken over) the whole will want, with the digests of `files` (an
 * array of names below job->dir, taken over). Collective.
 */
enum ns_status ns_part_write(struct ns_job *job, json_t *index, json_t *files);
/* Lines that refuse images, from several files into job->dir's quarantine.jsonl, ordered by item; the files stay. rank 0 alone. */
enum ns_status ns_quarantine_join(struct ns_job *job, const json_t *files);
/* predictions.json in `dir` over files that are listed as {file, rows, sha256}; its digest. rank 0 alone. */
enum ns_status ns_predictions_index(const char *dir, const char *model, const char *dataset, json_t *files, char digest[NS_SHA256_HEX]);

/* --- training, for train and for a manifest's rounds --- */

struct ns_train_options {
	const char *label, *checkpoint; /* folder below job->dir for checkpoints; "" none */
	const char *metrics;		  /* file below job->dir */
	int epochs;			  /* 0: train.epochs */
	int checkpoint_last;		  /* a checkpoint at the end too */
	double lr;			  /* 0: train.lr */
	struct ns_dataset *val;		  /* or NULL */
};
enum ns_status ns_fit(struct ns_job *job, struct ns_model *model, const struct ns_view *view,
		      const struct ns_train_options *options);
/* model.safetensors in job->dir, and its digest in the model: before model.json, which holds that of what the model predicts. Collective. */
enum ns_status ns_keep_weights(struct ns_job *job, struct ns_model *model);
/* model.json, model.safetensors (unless it is there) in job->dir and both as objects. Collective. */
enum ns_status ns_keep_model(struct ns_job *job, struct ns_model *model);
/* Execute retrain.json: two rounds. Collective; job->dir is open. */
enum ns_status ns_retrain(struct ns_job *job, const char *manifest);

/* --- which rows a retraining uses; select.c --- */

struct ns_query { /* with the rule that select.c has */
	uint64_t seed;
	int64_t replay, audited_repeat; /* old rows shown again; times an epoch shows an audited row */
};
struct ns_selected {
	int64_t replayed, audited, pool, excluded;
};
json_t *ns_query_json(const struct ns_query *q);
enum ns_status ns_query_read(struct ns_query *q, const json_t *json, const char *path); /* path: for messages */
/* rows of training data to replay, and of the window by its labels; the caller releases *s */
enum ns_status ns_query_run(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *current, struct ns_selection *s,
			    struct ns_selected *count);
/* runs it again: NS_DIGEST where another row comes out */
enum ns_status ns_query_check(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *current, const struct ns_selection *s);

/* seconds since 1970, or SOURCE_DATE_EPOCH (reproducible-builds.org), with which the same night gives the same bytes another day */
int64_t ns_today(void);

/* night.html from what lies in a night's folder: summary.json and the results of its jobs. */
enum ns_status ns_night_page(const char *dir);

/*
 * A night's audited (labelled) rows in two halves that never mix: gate[i] = 1 for the gate's, 0 for all others. Half of them,
 * chosen by a keyed draw on their identity, so that select, train and gate agree. NULL: no memory.
 */
uint8_t *ns_gate_rows(const uint64_t *id, const int32_t *label, int64_t n, uint64_t seed);

#endif
