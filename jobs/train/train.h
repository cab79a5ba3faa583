/* jobs/train/train.h - training by the configuration, for the verb and for each round of a manifest. */
#ifndef NS_JOBS_TRAIN_H
#define NS_JOBS_TRAIN_H

#include "datasets/shard/shard.h"
#include "host/graph/graph.h"
#include "host/run/run.h"

struct ns_train_options {
	const char *label, *checkpoint; /* checkpoint: folder below job->dir; "": none */
	const char *metrics;		/* file below job->dir */
	int epochs;			/* 0: train.epochs */
	int checkpoint_last;		/* a checkpoint at the end too */
	double lr;			/* 0: train.lr */
	const char *base;		/* digest of the model that a manifest starts from; NULL: it is not a round of one */
	struct ns_dataset *val;		/* or NULL */
};
/*
 * Puts what a digest is made of into the form that it has always had, though defaults and meanings have changed since: the rate that is trained at
 * where it is not 0.1, which was the default; version 1 of augmentations as its list alone.
 */
void ns_train_plain(const struct ns_conf *conf, json_t *all);
/* Collective. Trains `model` on the rows of `view`. */
enum ns_status ns_train_fit(struct ns_job *job, struct ns_model *model, const struct ns_view *view, const struct ns_train_options *options);
/*
 * Collective. The list of a data set's shards becomes an object of the registry, whose digest is the data set's: who asks what a model was trained on finds
 * there which files. A single shard has no list.
 */
enum ns_status ns_train_keep_data(struct ns_job *job, const struct ns_dataset *data);
enum ns_status ns_train_keep_here(const char *registry, const struct ns_dataset *data); /* the same, for a rank that is alone with it */
/* Collective. Trains from --data by the configuration, calibrates, predicts the baseline, publishes. */
enum ns_status ns_train_fresh(struct ns_job *job);

#endif
