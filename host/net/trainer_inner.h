/*
 * host/net/trainer_inner.h - the state of one training: for trainer.c (steps), trainer_make.c (plans and memory) and
 * trainer_checkpoint.c alone.
 */
#ifndef NS_TRAINER_INNER_H
#define NS_TRAINER_INNER_H

#include "host/net/checkpoint.h"
#include "host/net/exec.h"
#include "host/net/trainer.h"

struct ns_trainer {
	struct ns_job *job;
	struct ns_model *model;
	struct ns_training *t;
	const struct ns_train_spec *s;
	int workers, first_rank, local; /* virtual ranks [first_rank, first_rank + local) are ours */
	struct ns_exec **exec;
	struct ns_flat flat;
	float *w, *m, *v, *average, *sum, **leaf; /* device memory, flat->total floats each */
	float *total;				    /* the sum of all leaves: `sum`, or the first leaf where it was folded there */
	float *there;				    /* device memory: HYPER_*, then the squared norm of the gradient */
	float *here;				    /* host memory for leaves that meet on the host, else NULL */
	void *packed;
	int32_t **labels;
	struct ns_plan **optim, **stats_ema, **w_ema, *norm2, *fold;
	float hyper[3 * NS_HYPER_COUNT]; /* of the optimiser, of running statistics, of plain addition */
	float tail[NS_TAIL_COUNT];	 /* of the sum */
	double gradient_norm2;
	void *norm_space;
	enum ns_dtype dtype;
	int64_t step, per_epoch;
	double loss, hits; /* of the epoch so far */
};

/* where things lie in hyper[] and in there[] */
enum { HYPER_OPTIM = 0, HYPER_STATS = NS_HYPER_COUNT, HYPER_ADD = 2 * NS_HYPER_COUNT, NORM2_AT = 3 * NS_HYPER_COUNT + 1 };

/* the worker's part of [0, n): whole cache lines, the last takes the rest */
void ns_trainer_part(int64_t n, int i, int parts, int64_t *begin, int64_t *end);
/* Plans, device memory. Released by ns_trainer_release(), also when it failed halfway. */
enum ns_status ns_trainer_init(struct ns_trainer *r);
void ns_trainer_release(struct ns_trainer *r);
/* Collective. */
enum ns_status ns_trainer_save(struct ns_trainer *r);
enum ns_status ns_trainer_restore(struct ns_trainer *r);

#endif
