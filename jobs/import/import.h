/* jobs/import/import.h - the verb import: a file of weights becomes a model. */
#ifndef NS_JOBS_IMPORT_H
#define NS_JOBS_IMPORT_H

#include "host/run/run.h"

/* Collective. */
enum ns_status ns_job_import(struct ns_job *job, int argc, char **argv);

#endif
