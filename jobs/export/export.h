/* jobs/export/export.h - the verb export: a model leaves as ONNX. */
#ifndef NS_JOBS_EXPORT_H
#define NS_JOBS_EXPORT_H

#include "host/run/run.h"

/* Collective. */
enum ns_status ns_job_export(struct ns_job *job, int argc, char **argv);

#endif
