/* jobs/night/night.h - the whole chain, and its page. */
#ifndef NS_JOBS_NIGHT_H
#define NS_JOBS_NIGHT_H

#include "host/run/run.h"

/* the verb night */
enum ns_status ns_job_night(struct ns_job *job, int argc, char **argv);
/* the verb report: night.html again, from the files in a night's folder */
enum ns_status ns_job_report(struct ns_job *job, int argc, char **argv);

#endif
