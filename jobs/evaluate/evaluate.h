/* jobs/evaluate/evaluate.h - accuracy with intervals; paired comparison of two models on the same rows. */
#ifndef NS_JOBS_EVALUATE_H
#define NS_JOBS_EVALUATE_H

#include "datasets/predict/predict.h"
#include "host/run/run.h"

/*
 * Of the labelled images of p (with gate: of its rows alone) the votes: count[0] of them, count[1] where p alone is right, count[2] where q is; one an
 * image, and one a sequence where seconds is above 0. *worse: classes that are surely worse, which the caller drops. NS_BAD_DATA: other images.
 */
enum ns_status ns_evaluate_pairs(const struct ns_predictions *p, const struct ns_predictions *q, const uint8_t *gate, double seconds,
				 int64_t count[3], json_t **worse);

/* the verb evaluate */
enum ns_status ns_job_evaluate(struct ns_job *job, int argc, char **argv);

#endif
