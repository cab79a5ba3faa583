/* jobs/admin/admin.h - the registry by hand, and what this machine has. */
#ifndef NS_JOBS_ADMIN_H
#define NS_JOBS_ADMIN_H

#include "host/run/run.h"

/* the verb registry */
enum ns_status ns_job_registry(struct ns_job *job, int argc, char **argv);
/* the verb doctor */
enum ns_status ns_job_doctor(struct ns_job *job, int argc, char **argv);

#endif
