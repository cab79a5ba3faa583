#include "host/run/run.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct worker {
	struct ns_workers *pool;
	pthread_t thread;
	int index;
};

struct ns_workers {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct worker *workers; /* worker 0 is the caller's own thread */
	int count, started, ready;
	ns_task_fn *fn;
	void *context;
	int tasks, next, busy, failed_task;
	unsigned generation;
	int leave;
	enum ns_status status;
	char message[1024];
};

static void note_failure(struct ns_workers *pool, int task, enum ns_status status)
{
	if (status == NS_OK || (pool->status != NS_OK && pool->failed_task < task))
		return;
	pool->status = status;
	pool->failed_task = task;
	strncpy(pool->message, ns_message(), sizeof pool->message - 1);
}

/* called with the lock held; takes tasks until none is left */
static void take_tasks(struct ns_workers *pool, int worker)
{
	while (pool->next < pool->tasks) {
		int task = pool->next++;
		enum ns_status status;

		pthread_mutex_unlock(&pool->lock);
		status = pool->fn(pool->context, task, worker);
		pthread_mutex_lock(&pool->lock);
		note_failure(pool, task, status);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct ns_workers *pool = w->pool;
	unsigned seen = 0;

	pthread_mutex_lock(&pool->lock);
	pool->ready++;
	pthread_cond_signal(&pool->done);
	for (;;) {
		while (!pool->leave && pool->generation == seen)
			pthread_cond_wait(&pool->work, &pool->lock);
		if (pool->leave)
			break;
		seen = pool->generation;
		pool->busy++;
		take_tasks(pool, w->index);
		if (--pool->busy == 0)
			pthread_cond_signal(&pool->done);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

enum ns_status ns_workers_make(struct ns_workers **made, int workers)
{
	struct ns_workers *pool = calloc(1, sizeof *pool);
	int i;

	if (!pool || !(pool->workers = calloc((size_t)workers, sizeof *pool->workers))) {
		free(pool);
		return ns_fail(NS_NO_MEMORY, "out of memory for workers");
	}
	pool->count = workers;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	for (i = 1; i < workers; i++) {
		pool->workers[i].pool = pool;
		pool->workers[i].index = i;
		if (pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i])) {
			ns_workers_free(pool);
			return ns_fail(NS_INTERNAL, "cannot start worker thread %d of %d", i + 1, workers);
		}
		pool->started = i;
	}
	/* a thread that is being started may hold locks of the allocator (AddressSanitizer's does), and a fork() would copy them held */
	pthread_mutex_lock(&pool->lock);
	while (pool->ready < pool->started)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	*made = pool;
	return NS_OK;
}

void ns_workers_free(struct ns_workers *pool)
{
	int i;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->leave = 1;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (i = 1; i <= pool->started; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->done);
	pthread_mutex_destroy(&pool->lock);
	free(pool->workers);
	free(pool);
}

int ns_workers_count(const struct ns_workers *pool)
{
	return pool->count;
}

enum ns_status ns_workers_run(struct ns_workers *pool, int tasks, ns_task_fn *fn, void *context)
{
	enum ns_status status;

	pthread_mutex_lock(&pool->lock);
	pool->fn = fn;
	pool->context = context;
	pool->tasks = tasks;
	pool->next = 0;
	pool->status = NS_OK;
	pool->generation++;
	if (tasks > 1)
		pthread_cond_broadcast(&pool->work);
	take_tasks(pool, 0);
	while (pool->busy)
		pthread_cond_wait(&pool->done, &pool->lock);
	status = pool->status;
	pthread_mutex_unlock(&pool->lock);
	return status == NS_OK ? NS_OK : ns_fail(status, "%s", pool->message);
}
