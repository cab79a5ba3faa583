/* jobs/label/label.h - labels go out to people, and come in. */
#ifndef NS_JOBS_LABEL_H
#define NS_JOBS_LABEL_H

#include "host/run/run.h"

/* Collective. The verb label. */
enum ns_status ns_job_label(struct ns_job *job, int argc, char **argv);

#endif
