/* jobs/train/train_inner.h - where a training starts. */
#ifndef NS_TRAIN_INNER_H
#define NS_TRAIN_INNER_H

#include "datasets/shard/shard.h"
#include "host/graph/graph.h"
#include "host/run/run.h"

/* The model that model.from names; nothing is done where it names none, or a file of weights. */
enum ns_status ns_train_open_from(struct ns_job *job, struct ns_model *old);
/* The model that a training by the configuration begins with, for the classes of the data; old: what model.from names, NULL: no model. */
enum ns_status ns_train_new_model(struct ns_job *job, struct ns_model *m, struct ns_dataset *data, const struct ns_view *view,
				  const struct ns_model *old, enum ns_task task);
/* The member of an annotation that says what a model of another task than classify is to learn; NULL: it is of a task that is not trained. */
const char *ns_train_member(const struct ns_conf *conf, enum ns_task task);
/* The task of a training: that of the model that goes on, or the configuration's. */
enum ns_status ns_train_task(const struct ns_conf *conf, const struct ns_model *old, enum ns_task *task);
/* The view of all rows that can be learned from: those with a class, every class having some, or of other tasks those of which an annotation says something. */
enum ns_status ns_train_rows(struct ns_job *job, const struct ns_model *old, enum ns_task task, struct ns_dataset **data, struct ns_view *view);
/* What annotations name, in order; of pixels the background first. The caller frees each, and the list. */
enum ns_status ns_train_names(struct ns_job *job, enum ns_task task, const struct ns_view *view, char ***names, int *n);
/* What a training of `m` on the view does; weights: of the classes, which become the caller's. NS_CONFIG: keys that do not go together. */
struct ns_train_spec;
struct ns_train_options;
enum ns_status ns_train_spec_of(const struct ns_conf *conf, const struct ns_model *m, const struct ns_view *view,
				const struct ns_train_options *options, struct ns_train_spec *spec, float **weights);
/*
 * What the file's shapes say, where the configuration says nothing; where it says another thing, that is an error. Its classes need not be those of the
 * data: then the classifier is a new one.
 */
enum ns_status ns_train_arch_of_file(struct ns_job *job, const struct ns_found *f, struct ns_arch *arch);
/* Takes the weights, and says what was done with the classifier. */
enum ns_status ns_train_take_file(struct ns_job *job, struct ns_model *m, const struct ns_found *f);
/* Starts with the weights of a model of ours, which `from` named, of the same architecture. */
enum ns_status ns_train_start_from(struct ns_model *m, const struct ns_model *old, const char *from);
/* Goes on with a model that came as ONNX: its graph, and where the data has other classes, other last weights. Says which weights learn. */
enum ns_status ns_train_tune(struct ns_job *job, struct ns_model *m, const struct ns_model *old, const struct ns_shard_head *h, const char *from);

#endif
