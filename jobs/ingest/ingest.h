/* jobs/ingest/ingest.h - images into shards. */
#ifndef NS_JOBS_INGEST_H
#define NS_JOBS_INGEST_H

#include "host/run/run.h"

/* the verb ingest */
enum ns_status ns_job_ingest(struct ns_job *job, int argc, char **argv);

#endif
