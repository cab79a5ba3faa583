/*
 * host/pool.h - this rank's workers: one thread a core, each single-threaded inside.
 *
 * What runs where never decides a bit: tasks are numbered, and their results are combined by number.
 */
#ifndef NS_POOL_H
#define NS_POOL_H

#include "kernels/status.h"

struct ns_pool;

/* One task: `task` of 0..tasks-1 on worker `worker` of 0..workers-1. */
typedef enum ns_status ns_task_fn(void *context, int task, int worker);

enum ns_status ns_pool_make(struct ns_pool **pool, int workers);
void ns_pool_free(struct ns_pool *pool); /* NULL is fine */
int ns_pool_workers(const struct ns_pool *pool);
/* Run all tasks, and wait. The first failure (by task number) is returned, its message handed over. */
enum ns_status ns_pool_run(struct ns_pool *pool, int tasks, ns_task_fn *fn, void *context);

#endif
