/*
 * host/train/trainer_inner.h - the state of one training: for trainer.c (epochs, and steps where the host computes),
 * update.c, make.c, trainer_checkpoint.c, and device.c and device_make.c (steps on a device with memory of its own) alone.
 */
#ifndef NS_TRAINER_INNER_H
#define NS_TRAINER_INNER_H

#include "host/train/checkpoint_inner.h"
#include "host/graph/graph.h"
#include "host/train/train.h"

struct ns_segment { /* elements of the flat arrays with one learning rate */
	int64_t begin, end;
	int hyper; /* where its numbers begin */
	struct ns_plan *plan;
};

struct ns_trainer {
	struct ns_job *job;
	struct ns_model *model;
	struct ns_training *t;
	const struct ns_train_spec *s;
	int lanes;		  /* compiled networks, each with a queue: one a worker where the host computes, else up to `local` */
	int parts;		  /* of the flat arrays at once: one a worker where the host computes, else one */
	int n, first_rank, local; /* virtual ranks [first_rank, first_rank + local) of n images are ours */
	struct ns_exec **exec;
	struct ns_flat flat;
	float *w, *m, *v, *average, *sum, **leaf; /* device memory, flat->total floats each, rounded up to whole slices */
	float *total;				  /* the sum of all leaves: `sum`, or the first leaf if they are added up there */
	float *numbers;				  /* device memory: HYPER_* of the step */
	double *norm2_at;			  /* device memory: the squared norm of the gradient */
	void *packed, *norm_space;
	void **staged; /* where the host computes: a worker's rows and labels */
	int32_t **labels;
	struct ns_segment **optim; /* of each part: pieces of one rate, to one of no elements */
	struct ns_plan **w_ema, *stats_ema, *norm2;
	struct ns_device_steps *steps; /* steps in flight on a device; NULL where the host computes */
	double gradient_norm2, rate;   /* of the last completed step */
	enum ns_dtype dtype;
	int64_t step, per_epoch; /* steps begun: all complete where the host computes, and after ns_device_drain() */
	int64_t done, saved;	 /* steps that this process completed; the last checkpoint's step, -1: none */
	double loss, hits;	 /* of the epoch so far */
	float *best;		 /* canonical values of the best epoch so far; NULL: the last epoch's are kept */
	double best_metric;
	int best_epoch, depths; /* depths: of layers, where rates differ by them; else 0 */
};

/* offsets in numbers[], the hyperparameters of a step; with rates by depth, those of each depth come after all */
enum { HYPER_OPTIM = 0, HYPER_STATS = NS_HYPER_COUNT, HYPER_ADD = 2 * NS_HYPER_COUNT, HYPER_ALL = 3 * NS_HYPER_COUNT };

/* The worker's part of [0, n): whole cache lines, the last gets the rest. */
void ns_trainer_part(int64_t n, int i, int parts, int64_t *begin, int64_t *end);
/* Plans, device memory. Released by ns_trainer_release(), also when it failed halfway. */
enum ns_status ns_trainer_init(struct ns_trainer *r);
void ns_trainer_release(struct ns_trainer *r);

/* --- parts of a step --- */

void ns_trainer_hyper(const struct ns_trainer *r, float *hyper);
/* Floats of it. */
int ns_trainer_numbers(const struct ns_trainer *r);
/* The first row, as a position in the epoch, of our virtual rank `task` in this step. */
int64_t ns_trainer_first(const struct ns_trainer *r, int task);
/* Runs forward and backward of one virtual rank; the gradient goes into its leaf. */
enum ns_status ns_trainer_leaf(struct ns_trainer *r, int lane, int task, const void *staged, const int32_t *labels);
enum ns_status ns_trainer_norm(struct ns_trainer *r);
/* part `part` of the optimiser and of running statistics; then of the average, and of the weights that the next step reads */
enum ns_status ns_trainer_update(struct ns_trainer *r, int part, int lane);
enum ns_status ns_trainer_prepare(struct ns_trainer *r, int part, int lane);
/* Accounts for a completed step, in the order of steps, by its tail of the sum, squared norm of the gradient and learning rate. */
enum ns_status ns_trainer_account(struct ns_trainer *r, int64_t step, double rate, const float *tail, double norm2, int *stop);

/*
 * Steps on a device: ns_device_step() begins the next and accounts for the one before the last, ns_device_drain() for all
 * that have begun. Collective.
 */
enum ns_status ns_device_steps_make(struct ns_trainer *r); /* to be called before weights are set: it leaves them zero */
void ns_device_steps_free(struct ns_trainer *r);
enum ns_status ns_device_step(struct ns_trainer *r, int *stop);
enum ns_status ns_device_drain(struct ns_trainer *r, int *stop);

/* Collective. */
enum ns_status ns_trainer_save(struct ns_trainer *r);
enum ns_status ns_trainer_restore(struct ns_trainer *r);

#endif
