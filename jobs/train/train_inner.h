/* jobs/train/train_inner.h - where a training starts. */
#ifndef NS_TRAIN_INNER_H
#define NS_TRAIN_INNER_H

#include "host/graph/graph.h"
#include "host/run/run.h"

/*
 * What the file's shapes say, where the configuration says nothing; where it says another thing, that is an error. Its classes need not be those of the
 * data: then the classifier is a new one.
 */
enum ns_status ns_train_arch_of_file(struct ns_job *job, const struct ns_found *f, struct ns_arch *arch);
/* Takes the weights, and says what was done with the classifier. */
enum ns_status ns_train_take_file(struct ns_job *job, struct ns_model *m, const struct ns_found *f);
/* Starts with the weights of a model of ours: a ref, a digest, or a folder. */
enum ns_status ns_train_start_from(struct ns_job *job, struct ns_model *m, const char *from);

#endif
