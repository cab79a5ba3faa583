/* jobs/retrain/retrain.h - executes a retrain manifest; the verb train. */
#ifndef NS_JOBS_RETRAIN_H
#define NS_JOBS_RETRAIN_H

#include "host/run/run.h"

/* Collective. Executes retrain.json in two rounds; job->dir is open. */
enum ns_status ns_retrain(struct ns_job *job, const char *manifest);

/* the verb train */
enum ns_status ns_job_train(struct ns_job *job, int argc, char **argv);

#endif
