/* jobs/train/train.h - a training as the configuration says, for the verb and for each round of a manifest. */
#ifndef NS_JOBS_TRAIN_H
#define NS_JOBS_TRAIN_H

#include "datasets/shard/shard.h"
#include "host/graph/graph.h"
#include "host/run/run.h"

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
/* What the configuration says, from --data: calibrated, with its baseline, published. Collective. */
enum ns_status ns_train_fresh(struct ns_job *job);

#endif
