/*
 * jobs/infer/answers.c - a model of another task than classify over a shard: each worker takes rows through its own copy of the model; on a GPU, whose memory the copies share, workers
 * take turns with a few. An answer is kept as JSON; what is watched for drift is kept as numbers: image statistics, the answer's own, an embedding.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/answer/answer.h"
#include "jobs/infer/infer_inner.h"
#include "kernels/formula/stats.h"

struct worker { /* on a device of its own: whatever the job has opened may be a GPU */
	struct ns_device *dev;
	struct ns_queue *queue;
	struct ns_plan *stats;
	void *workspace;
	uint8_t *buffer, *small; /* small: the image as ingest would scale it, for its statistics */
	size_t capacity;
};

/* A copy of the model, which one worker at a time runs. */
struct network {
	struct ns_predictor *predictor;
	pthread_mutex_t lock;
};

struct answers {
	struct ns_job *job;
	const struct ns_model *model;
	const struct ns_reading *reading;
	struct ns_dataset *data;
	struct worker *workers;
	struct network *networks;
	int count, network_count;
	int64_t first, rows;
	struct ns_predictions *p;
	char **texts; /* of each row */
	unsigned char *failed;
};

static enum ns_status statistics(struct answers *a, int worker, const uint8_t *pixels, int h, int w, float *out)
{
	const struct ns_arch *arch = &a->model->net.arch;
	struct worker *one = &a->workers[worker];
	struct ns_args args = {{one->small}, {out}, one->workspace};

	NS_TRY(ns_resize(pixels, h, w, arch->c, one->small, arch->h, arch->w));
	NS_TRY(ns_plan_run(one->stats, &args, one->queue));
	return one->dev->backend->wait(one->queue);
}

/* The embedding's size is known with the first answer; all have the same. */
static enum ns_status keep_embedding(struct answers *a, const struct ns_predictor *predictor, int64_t row)
{
	struct ns_matrix *m = &a->p->embedding;
	const float *x;
	int dim;

	x = ns_predictor_embedding(predictor, &dim);
	if (dim != m->d)
		return ns_fail(NS_BAD_DATA, "an embedding of %d numbers, where other rows have %d", dim, m->d);
	if (dim)
		memcpy(m->data + row * dim, x, sizeof *x * (size_t)dim);
	return NS_OK;
}

/* An image that the model makes no sense of has its error for an answer, and no numbers: one panorama among them does not cost a night. */
static enum ns_status no_answer(struct answers *a, int64_t row)
{
	json_t *result = NS_JSON_OBJECT({"error", ns_json_string(ns_message())});
	int k;

	free(a->texts[row]);
	a->texts[row] = result ? json_dumps(result, JSON_COMPACT) : NULL;
	json_decref(result);
	for (k = 0; k < a->p->monitor.d; k++)
		a->p->monitor.data[row * a->p->monitor.d + k] = NAN;
	for (k = 0; k < a->p->embedding.d; k++)
		a->p->embedding.data[row * a->p->embedding.d + k] = NAN;
	a->failed[row] = 1;
	return a->texts[row] ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the answer of row %lld", (long long)row);
}

static enum ns_status run(struct answers *a, struct ns_predictor *predictor, int64_t row, const uint8_t *pixels, int h, int w)
{
	enum ns_status status;
	json_t *result;

	status = ns_predictor_run(predictor, pixels, h, w, &result);
	if (status == NS_BAD_DATA)
		return no_answer(a, row);
	NS_TRY(status);
	ns_monitor_of(a->model, result, a->p->monitor.data + row * a->p->monitor.d);
	a->texts[row] = json_dumps(result, JSON_COMPACT | JSON_REAL_PRECISION(7));
	json_decref(result);
	status = a->texts[row] ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the answer of row %lld", (long long)row);
	NS_TRY(status);
	status = keep_embedding(a, predictor, row);
	return status == NS_BAD_DATA ? no_answer(a, row) : status;
}

static enum ns_status answer(struct answers *a, int worker, int64_t row, const uint8_t *pixels, int h, int w)
{
	struct network *one = &a->networks[worker % a->network_count];
	enum ns_status status;

	NS_TRY(statistics(a, worker, pixels, h, w, a->p->stats.data + row * NS_STAT_COUNT));
	pthread_mutex_lock(&one->lock);
	status = run(a, one->predictor, row, pixels, h, w);
	pthread_mutex_unlock(&one->lock);
	return status;
}

static enum ns_status one_row(void *context, int task, int worker)
{
	struct answers *a = context;
	struct worker *one = &a->workers[worker];
	uint8_t *pixels = NULL;
	enum ns_status status;
	int64_t in_shard;
	int h, w;

	NS_TRY(ns_dataset_image(a->data, a->first + task, a->model->net.arch.c, &h, &w, &pixels, &one->buffer, &one->capacity));
	status = answer(a, worker, task, pixels, h, w);
	free(pixels);
	if (worker == 0)
		ns_log_progress(a->job->log, "infer", task + 1, a->rows, "images");
	return status == NS_OK ? NS_OK : ns_fail_in(status, "%s: row %d", ns_dataset_at(a->data, a->first + task, &in_shard)->path, task);
}

static enum ns_status make_worker(struct answers *a, int i)
{
	const struct ns_arch *arch = &a->model->net.arch;
	struct ns_op op = {.kind = NS_OP_STATS, .u.stats = {1, arch->h, arch->w, arch->c}};
	const struct ns_backend *cpu = ns_backend_find("cpu");
	struct worker *w = &a->workers[i];

	NS_TRY(cpu->open(&w->dev, 0));
	NS_TRY(cpu->queue_make(&w->queue, w->dev));
	NS_TRY(ns_plan_make(&w->stats, w->dev, &op));
	NS_TRY(cpu->mem_make(&w->workspace, w->dev, w->stats->workspace_bytes));
	w->small = malloc((size_t)arch->h * (size_t)arch->w * (size_t)arch->c);
	return w->small ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for an image");
}

/* The network on what the job has opened, images and answers on the processor. */
static enum ns_status make_networks(struct answers *a)
{
	const struct ns_device_set *set = a->job->set;
	int apart = set->backend && !set->backend->host_memory, n = apart && a->count > NS_DEVICE_QUEUES ? NS_DEVICE_QUEUES : a->count, i;

	a->networks = calloc((size_t)n, sizeof *a->networks);
	if (!a->networks)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d copies of a model", n);
	for (i = 0; i < n; i++) {
		pthread_mutex_init(&a->networks[i].lock, NULL);
		a->network_count++;
		NS_TRY(ns_predictor_make(&a->networks[i].predictor, a->model, a->reading, apart ? set->devices[i % set->count] : NULL));
	}
	return NS_OK;
}

/* How wide an embedding is: as it is of an image of the canvas' size, whatever the rows are. */
static enum ns_status learn_embedding(struct answers *a)
{
	const struct ns_arch *arch = &a->model->net.arch;
	uint8_t *grey = calloc((size_t)arch->h * (size_t)arch->w, (size_t)arch->c);
	json_t *result = NULL;
	enum ns_status status;

	if (!grey)
		return ns_fail(NS_NO_MEMORY, "out of memory for an image");
	memset(grey, 128, (size_t)arch->h * (size_t)arch->w * (size_t)arch->c);
	status = ns_predictor_run(a->networks[0].predictor, grey, arch->h, arch->w, &result);
	free(grey);
	json_decref(result);
	NS_TRY(status);
	ns_predictor_embedding(a->networks[0].predictor, &a->p->embedding.d);
	return NS_OK;
}

static enum ns_status make(struct answers *a)
{
	int i;

	a->count = ns_workers_count(a->job->workers);
	a->workers = calloc((size_t)a->count, sizeof *a->workers);
	a->texts = calloc((size_t)a->rows + 1, sizeof *a->texts);
	a->failed = calloc((size_t)a->rows + 1, 1);
	if (!a->workers || !a->texts || !a->failed)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d workers", a->count);
	for (i = 0; i < a->count; i++)
		NS_TRY(make_worker(a, i));
	NS_TRY(make_networks(a));
	NS_TRY(learn_embedding(a));
	a->p->embedding.data = calloc((size_t)a->rows + 1, sizeof(float) * (size_t)(a->p->embedding.d + 1));
	return a->p->embedding.data ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for embeddings");
}

static void release(struct answers *a)
{
	int64_t row;
	int i;

	for (i = 0; a->workers && i < a->count; i++) {
		struct worker *w = &a->workers[i];

		ns_plan_free(w->stats);
		if (w->workspace)
			w->dev->backend->mem_free(w->dev, w->workspace);
		if (w->queue)
			w->dev->backend->queue_free(w->queue);
		if (w->dev)
			w->dev->backend->close(w->dev);
		free(w->buffer);
		free(w->small);
	}
	for (i = 0; i < a->network_count; i++) {
		ns_predictor_free(a->networks[i].predictor);
		pthread_mutex_destroy(&a->networks[i].lock);
	}
	for (row = 0; a->texts && row < a->rows; row++)
		free(a->texts[row]);
	free(a->workers);
	free(a->networks);
	free(a->texts);
	free(a->failed);
}

static void tell_failed(const struct answers *a)
{
	int64_t i, n = 0;

	for (i = 0; i < a->rows; i++)
		n += a->failed[i];
	if (n)
		ns_log_warn(a->job->log, "%lld of %lld rows have no answer; each says why", (long long)n, (long long)a->rows);
}

/* Texts end to end. */
static enum ns_status join(const struct answers *a)
{
	uint64_t bytes = 0;
	int64_t i;

	a->p->result_offset = malloc(sizeof *a->p->result_offset * (size_t)(a->rows + 1));
	if (!a->p->result_offset)
		return ns_fail(NS_NO_MEMORY, "out of memory for the answers of %lld rows", (long long)a->rows);
	for (i = 0; i < a->rows; i++) {
		a->p->result_offset[i] = bytes;
		bytes += strlen(a->texts[i]);
	}
	a->p->result_offset[a->rows] = bytes;
	a->p->result = malloc((size_t)bytes + 1);
	if (!a->p->result)
		return ns_fail(NS_NO_MEMORY, "out of memory for the answers of %lld rows", (long long)a->rows);
	for (i = 0; i < a->rows; i++)
		memcpy(a->p->result + a->p->result_offset[i], a->texts[i], strlen(a->texts[i]));
	return NS_OK;
}

enum ns_status ns_infer_answers(struct ns_job *job, const struct ns_model *model, const struct ns_reading *reading, struct ns_dataset *data,
				int shard, struct ns_predictions *p)
{
	struct answers a = {.job = job, .model = model, .reading = reading, .data = data, .first = data->first[shard], .p = p};
	enum ns_status status;

	a.rows = data->first[shard + 1] - a.first;
	p->rows = a.rows;
	snprintf(p->task, sizeof p->task, "%s", ns_task_name(model->net.arch.task));
	NS_GO(ns_monitor_names(model, &p->monitor_names, &p->monitor_named));
	p->monitor = (struct ns_matrix){.rows = a.rows, .d = p->monitor_named, .data = calloc((size_t)a.rows + 1, NS_MONITOR_MOST * sizeof(float))};
	p->stats = (struct ns_matrix){.rows = a.rows, .d = NS_STAT_COUNT, .data = calloc((size_t)a.rows + 1, NS_STAT_COUNT * sizeof(float))};
	p->embedding.rows = a.rows;
	NS_GO(p->monitor.data && p->stats.data ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %lld rows", (long long)a.rows));
	NS_GO(make(&a));
	NS_GO(ns_workers_run(job->workers, (int)a.rows, one_row, &a));
	status = join(&a);
	tell_failed(&a);
out:
	release(&a);
	return status;
}
