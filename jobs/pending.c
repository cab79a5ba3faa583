#include "jobs/jobs.h"
#define P(f) enum ns_status f(struct ns_job *j, int c, char **v){(void)j;(void)c;(void)v;return ns_fail(NS_INTERNAL,"pending");}
P(ns_job_drift) P(ns_job_night) P(ns_job_report) P(ns_job_bench)
enum ns_status ns_retrain(struct ns_job *job, const char *m){(void)job;(void)m;return NS_INTERNAL;}
