/*
 * jobs/infer/answers.c - a model of another task than classify over a shard: each worker takes rows through its own copy of the model. An answer is kept as JSON; what is watched
 * for drift is kept as numbers: image statistics, the answer's own, an embedding.
 */
#include <stdlib.h>
#include <string.h>

#include "jobs/answer/answer.h"
#include "jobs/infer/infer_inner.h"
#include "kernels/formula/stats.h"

struct worker {
	struct ns_predictor *predictor;
	struct ns_plan *stats;
	void *workspace;
	uint8_t *buffer, *small; /* small: the image as ingest would scale it, for its statistics */
	size_t capacity;
};

struct answers {
	struct ns_job *job;
	const struct ns_model *model;
	const struct ns_reading *reading;
	struct ns_dataset *data;
	struct worker *workers;
	int count;
	int64_t first, rows;
	struct ns_predictions *p;
	char **texts; /* of each row */
};

static enum ns_status statistics(struct answers *a, int worker, const uint8_t *pixels, int h, int w, float *out)
{
	const struct ns_arch *arch = &a->model->net.arch;
	struct worker *one = &a->workers[worker];
	struct ns_args args = {{one->small}, {out}, one->workspace};

	NS_TRY(ns_resize(pixels, h, w, arch->c, one->small, arch->h, arch->w));
	NS_TRY(ns_plan_run(one->stats, &args, a->job->set->queues[worker]));
	return a->job->set->backend->wait(a->job->set->queues[worker]);
}

/* The embedding's size is known with the first answer; all have the same. */
static enum ns_status keep_embedding(struct answers *a, const struct ns_predictor *predictor, int64_t row)
{
	struct ns_matrix *m = &a->p->embedding;
	const float *x;
	int dim;

	x = ns_predictor_embedding(predictor, &dim);
	if (dim != m->d)
		return ns_fail(NS_BAD_DATA, "row %lld has an embedding of %d numbers, those before it have %d", (long long)row, dim, m->d);
	if (dim)
		memcpy(m->data + row * dim, x, sizeof *x * (size_t)dim);
	return NS_OK;
}

static enum ns_status answer(struct answers *a, int worker, int64_t row, const uint8_t *pixels, int h, int w)
{
	struct worker *one = &a->workers[worker];
	enum ns_status status;
	json_t *result;

	NS_TRY(statistics(a, worker, pixels, h, w, a->p->stats.data + row * NS_STAT_COUNT));
	NS_TRY(ns_predictor_run(one->predictor, pixels, h, w, &result));
	ns_monitor_of(a->model, result, a->p->monitor.data + row * a->p->monitor.d);
	a->texts[row] = json_dumps(result, JSON_COMPACT | JSON_REAL_PRECISION(7));
	json_decref(result);
	status = a->texts[row] ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the answer of row %lld", (long long)row);
	return status == NS_OK ? keep_embedding(a, one->predictor, row) : status;
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
	struct ns_device *dev = a->job->set->devices[i];
	struct worker *w = &a->workers[i];

	NS_TRY(ns_predictor_make(&w->predictor, a->model, a->reading));
	NS_TRY(ns_plan_make(&w->stats, dev, &op));
	NS_TRY(dev->backend->mem_make(&w->workspace, dev, w->stats->workspace_bytes));
	w->small = malloc((size_t)arch->h * (size_t)arch->w * (size_t)arch->c);
	return w->small ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for an image");
}

/* A first row is answered to learn how wide an embedding is; it is answered again with the others. */
static enum ns_status make(struct answers *a)
{
	const int c = a->model->net.arch.c;
	struct worker *one;
	uint8_t *pixels;
	json_t *result;
	enum ns_status status;
	int i, h, w;

	a->count = ns_workers_count(a->job->workers);
	a->workers = calloc((size_t)a->count, sizeof *a->workers);
	a->texts = calloc((size_t)a->rows + 1, sizeof *a->texts);
	if (!a->workers || !a->texts)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d workers", a->count);
	for (i = 0; i < a->count; i++)
		NS_TRY(make_worker(a, i));
	if (!a->rows)
		return NS_OK;
	one = a->workers;
	NS_TRY(ns_dataset_image(a->data, a->first, c, &h, &w, &pixels, &one->buffer, &one->capacity));
	status = ns_predictor_run(one->predictor, pixels, h, w, &result);
	free(pixels);
	NS_TRY(status);
	json_decref(result);
	ns_predictor_embedding(one->predictor, &a->p->embedding.d);
	a->p->embedding.data = calloc((size_t)a->rows + 1, sizeof(float) * (size_t)(a->p->embedding.d + 1));
	return a->p->embedding.data ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for embeddings");
}

static void release(struct answers *a)
{
	int64_t row;
	int i;

	for (i = 0; a->workers && i < a->count; i++) {
		struct worker *w = &a->workers[i];

		ns_predictor_free(w->predictor);
		ns_plan_free(w->stats);
		if (w->workspace)
			a->job->set->backend->mem_free(a->job->set->devices[i], w->workspace);
		free(w->buffer);
		free(w->small);
	}
	for (row = 0; a->texts && row < a->rows; row++)
		free(a->texts[row]);
	free(a->workers);
	free(a->texts);
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
out:
	release(&a);
	return status;
}
