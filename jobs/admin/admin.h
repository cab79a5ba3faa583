/* jobs/admin/admin.h - registry operations by hand, and a check of this machine. */
#ifndef NS_JOBS_ADMIN_H
#define NS_JOBS_ADMIN_H

#include "host/run/run.h"

/* the verb registry */
enum ns_status ns_job_registry(struct ns_job *job, int argc, char **argv);
/* the verb doctor */
enum ns_status ns_job_doctor(struct ns_job *job, int argc, char **argv);

#endif
