/* jobs/look/look.h - tells what a data set, or a folder of several, holds. */
#ifndef NS_JOBS_LOOK_H
#define NS_JOBS_LOOK_H

#include "host/run/run.h"

/* Collective. The verb look. */
enum ns_status ns_job_look(struct ns_job *job, int argc, char **argv);

#endif
