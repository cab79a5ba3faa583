/* jobs/evaluate/evaluate.h - accuracy with intervals; paired comparison of two models on the same rows. */
#ifndef NS_JOBS_EVALUATE_H
#define NS_JOBS_EVALUATE_H

#include "host/run/run.h"

/* the verb evaluate */
enum ns_status ns_job_evaluate(struct ns_job *job, int argc, char **argv);

#endif
