/*
 * host/workers.h - this rank's workers: one thread a core, each single-threaded inside.
 *
 * What runs where never decides a bit: tasks are numbered, and their results are combined by number.
 */
#ifndef NS_WORKERS_H
#define NS_WORKERS_H

#include "kernels/status.h"

struct ns_workers;

/* One task: `task` of 0..tasks-1 on worker `worker` of 0..workers-1. */
typedef enum ns_status ns_task_fn(void *context, int task, int worker);

enum ns_status ns_workers_make(struct ns_workers **workers, int count);
void ns_workers_free(struct ns_workers *workers); /* NULL is fine */
int ns_workers_count(const struct ns_workers *workers);
/* Run all tasks, and wait. The first failure (by task number) is returned, its message handed over. */
enum ns_status ns_workers_run(struct ns_workers *workers, int tasks, ns_task_fn *fn, void *context);

#endif
