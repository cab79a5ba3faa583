/* jobs/bench/bench.h - measures each part's speed as a share of its limit. */
#ifndef NS_JOBS_BENCH_H
#define NS_JOBS_BENCH_H

#include "host/run/run.h"

/* the verb bench */
enum ns_status ns_job_bench(struct ns_job *job, int argc, char **argv);

#endif
