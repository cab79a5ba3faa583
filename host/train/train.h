/*
 * host/train/train.h - data-parallel training: virtual ranks, one fixed tree, optimiser, checkpoint.
 *
 * A global batch is `virtual_ranks` parts, each computed alone (normalisation statistics included). Their gradients
 * are summed in one fixed binary tree, whatever the number of ranks and workers, so weights after N steps are equal
 * bit for bit. Rows are requested by their position in the epoch; the caller maps positions to rows.
 */
#ifndef NS_TRAIN_H
#define NS_TRAIN_H

#include "host/graph/graph.h"
#include "host/run/run.h"

struct ns_train_spec {
	int batch, virtual_ranks, epochs, checkpoint_steps;
	int checkpoint_last; /* also write one at the end, because work follows this training */
	int64_t rows;	     /* of an epoch; floor(rows / batch) steps use them */
	int adamw, nesterov, decay_all;
	double lr, momentum, beta2, weight_decay, warmup_epochs, ema, clip;
	struct ns_loss loss;	/* its weights are borrowed */
	int cosine;		/* else constant */
	int keep_best;		/* of all epochs the weights with the largest metric, else those of the last */
	int patience;		/* epochs without a larger metric, after which it ends; 0: it does not */
	double depth_decay;	/* the rate of a layer before another is this times the other's; 1: all have the same */
	char precision[8];	/* auto, f32, bf16 */
	const char *collective; /* how GPUs exchange gradients: auto, nccl, mpi; borrowed, read with several ranks only */
	uint64_t seed;
	const char *label; /* for the progress bar */
};

/*
 * The source of images, for `n` rows at a time: the host stages bytes, and the device makes images of them. The next step is
 * staged while a device computes this one.
 */
struct ns_train_input {
	void *context;
	size_t bytes; /* staged, of n rows */
	/* before the first is staged: what labels of an image are; NULL: a class is all that it gives */
	void (*expects)(void *context, const struct ns_target *target);
	/* host memory: rows [begin, end) of the n that start at `first` in `epoch`'s order, and what is true of them, target.words each; several workers
	 * may do parts of the same n rows at once */
	enum ns_status (*stage)(void *context, int worker, int epoch, int64_t first, int n, int begin, int end, void *staged, int32_t *labels);
	/* device memory: images (n, h, w, c) in the network's type from what was staged, with the queue and plans of `lane` */
	enum ns_status (*images)(void *context, int lane, const void *staged, void *images);
};
/*
 * Called after each epoch, on all ranks, with the values that would be stored; may add to `line` of metrics.jsonl. *metric: by which epochs are compared, the same on all
 * ranks; NaN: there is none.
 */
typedef enum ns_status ns_epoch_fn(void *context, int epoch, const float *values, json_t *line, double *metric);

struct ns_training { /* collective */
	struct ns_train_spec spec;
	struct ns_train_input input;
	ns_epoch_fn *after_epoch;				     /* NULL is fine */
	void *context;						     /* of after_epoch */
	char config_digest[NS_SHA256_HEX];			     /* a checkpoint of another configuration is refused */
	char metrics_path[NS_PATH_MAX], checkpoint_dir[NS_PATH_MAX]; /* "" : none */
	/* results */
	int64_t steps;
	int best_epoch;				       /* the one whose weights are kept, from 1 on; 0: the last */
	double seconds, images_per_second, first_step; /* first_step: seconds from the start of the process */
	json_t *metrics;			       /* a line an epoch */
};

/*
 * The precision of this training: that of a checkpoint to resume from, else as spec.precision says. Collective.
 * Fixes spec.precision, so that asking twice gives the same answer.
 */
enum ns_status ns_training_precision(struct ns_job *job, struct ns_training *training, enum ns_dtype *dtype);

/* Train `model` in place: on return its values are the average (or the last) weights. NS_STOPPED: checkpoint written. */
enum ns_status ns_train(struct ns_job *job, struct ns_model *model, struct ns_training *training);

/* f32 or bf16, whichever a representative convolution runs faster in, measured on rank 0. Collective. */
enum ns_status ns_choose_precision(struct ns_job *job, const char *wanted, enum ns_dtype *dtype);

#endif
