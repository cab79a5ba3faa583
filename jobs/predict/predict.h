/* jobs/predict/predict.h - the verb predict: a model over image files as they lie. */
#ifndef NS_JOBS_PREDICT_H
#define NS_JOBS_PREDICT_H

#include "host/run/run.h"

/* One process. */
enum ns_status ns_job_predict(struct ns_job *job, int argc, char **argv);

#endif
