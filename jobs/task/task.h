/* jobs/task/task.h - the tasks of an array: what each publishes, and how they become one result. */
#ifndef NS_JOBS_TASK_H
#define NS_JOBS_TASK_H

#include "host/run/run.h"

/*
 * Collective. Writes part.json to job->dir: which part it is, the `index` that the merged result needs, and the digests of `files` (an
 * array of names below job->dir). It takes over both references.
 */
enum ns_status ns_part_write(struct ns_job *job, json_t *index, json_t *files);
/* Rank 0 alone. Joins the lines of several quarantine files in job->dir's quarantine.jsonl, ordered by item; the files stay. */
enum ns_status ns_quarantine_join(struct ns_job *job, const json_t *files);
/* Rank 0 alone. Writes predictions.json to `dir`, over files listed as {file, rows, sha256}, and returns its digest. */
enum ns_status ns_predictions_index(const char *dir, const char *model, const char *dataset, json_t *files, char digest[NS_SHA256_HEX]);

/* the verb merge */
enum ns_status ns_job_merge(struct ns_job *job, int argc, char **argv);

#endif
