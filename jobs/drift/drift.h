/* jobs/drift/drift.h - how far a window has shifted, and whether the shift harms the model. */
#ifndef NS_JOBS_DRIFT_H
#define NS_JOBS_DRIFT_H

#include "host/run/run.h"

/* the verb drift */
enum ns_status ns_job_drift(struct ns_job *job, int argc, char **argv);

#endif
