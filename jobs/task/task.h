/* jobs/task/task.h - the tasks of an array: what each publishes, and how they become one result. */
#ifndef NS_JOBS_TASK_H
#define NS_JOBS_TASK_H

#include "host/run/run.h"

/*
 * part.json in job->dir: what this part is and what `index` (taken over) the whole will want, with the digests of `files` (an
 * array of names below job->dir, taken over). Collective.
 */
enum ns_status ns_part_write(struct ns_job *job, json_t *index, json_t *files);
/* Lines that refuse images, from several files into job->dir's quarantine.jsonl, ordered by item; the files stay. rank 0 alone. */
enum ns_status ns_quarantine_join(struct ns_job *job, const json_t *files);
/* predictions.json in `dir` over files that are listed as {file, rows, sha256}; its digest. rank 0 alone. */
enum ns_status ns_predictions_index(const char *dir, const char *model, const char *dataset, json_t *files, char digest[NS_SHA256_HEX]);

/* the verb merge */
enum ns_status ns_job_merge(struct ns_job *job, int argc, char **argv);

#endif
