/* jobs/evaluate/evaluate_inner.h - what the files of this room share. */
#ifndef NS_EVALUATE_INNER_H
#define NS_EVALUATE_INNER_H

#include <jansson.h>

#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"
#include "jobs/evaluate/evaluate.h"

/* Does this row count: is it labelled, and in the requested half? */
static inline int ns_evaluate_counts(const struct ns_predictions *p, int64_t i, const uint8_t *gate)
{
	return p->label[i] >= 0 && (!gate || gate[i]);
}

/* Adds which classes are taken for which to `json`; labels and predictions are below p->prob.d. */
enum ns_status ns_evaluate_confusion(const struct ns_predictions *p, const uint8_t *gate, json_t *json);

/*
 * Of another task than classify: answers of p, opened with its results, against the annotations of data's rows, which are the same images; member: of the annotations, NULL: the
 * task's own; empty: that no row has any is an answer, and no error. Adds what is measured to `json`.
 */
enum ns_status ns_evaluate_answers(const struct ns_predictions *p, struct ns_dataset *data, const char *member, int empty, json_t *json);

#endif
