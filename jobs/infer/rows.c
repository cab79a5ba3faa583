/*
 * jobs/infer/rows.c - runs a network over the rows of a view. Where the host computes, each worker takes batches through its own
 * copy of the network. On a device with memory of its own there is one network and two slots: the host writes the next
 * batch and the copy travels while the device computes this one, which is recorded once and replayed.
 */
#include "jobs/infer/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/graph/graph.h"
#include "kernels/formula/stats.h"

#define SLOTS 2
#define PIECE 32 /* rows that one worker stages at a time for a device */

struct slot {		      /* a batch: one a worker where the host computes, else SLOTS of them */
	struct ns_exec *exec; /* the slots of a device share one */
	struct ns_plan *stats;
	void *stats_space;
	struct ns_outputs out;
	float *stats_out;   /* device memory */
	char *here, *there; /* staged rows: on the host, on the device */
	int32_t *labels;
	/* on a device only: */
	struct ns_queue *done;
	struct ns_graph *graph;
	float *back; /* host memory: prob, logits, embedding, stats, pred, one after the other */
	int64_t at;  /* the first row of the batch in flight; -1: none */
};

struct inference {
	struct ns_feed feed;
	struct ns_job *job;
	const struct ns_model *model;
	struct slot *slots;
	struct ns_queue *copies;
	int slot_count, batch;
	int64_t first, count;
	struct ns_inference *out;
	const char *label;
	int64_t staging; /* first row of the batch that workers are writing; `staged`: its slot */
	struct slot *staged;
};

/* one of the results, in the order of slot->back: floats a row, source, destination */
struct column {
	size_t each;
	const void *from;
	void *to;
};
#define COLUMNS 5

static void columns(const struct inference *r, const struct slot *s, struct column c[COLUMNS])
{
	size_t k = (size_t)r->model->net.arch.classes, d = (size_t)r->model->net.embedding_dim;
	struct ns_inference *o = r->out;

	c[0] = (struct column){k, s->out.prob, o->prob};
	c[1] = (struct column){k, s->out.logits, o->logits};
	c[2] = (struct column){d, s->out.embedding, o->embedding};
	c[3] = (struct column){NS_STAT_COUNT, s->stats_out, o->stats};
	c[4] = (struct column){1, s->out.pred, o->pred};
}

static int64_t rows_of(const struct inference *r, int64_t at)
{
	return r->count - at < r->batch ? r->count - at : r->batch;
}

/* Computes results in device memory from staged rows; those of padding are dropped later. */
static enum ns_status compute(struct inference *r, struct slot *s, int queue, const void *staged)
{
	struct ns_args a = {{staged}, {s->stats_out}, s->stats_space};

	NS_TRY(ns_feed_images(&r->feed, queue, staged, ns_exec_images(s->exec)));
	NS_TRY(ns_exec_run(s->exec, &s->out));
	return r->out->stats ? ns_plan_run(s->stats, &a, r->job->set->queues[queue]) : NS_OK;
}

/* --- where the host computes --- */

static enum ns_status one_batch(void *context, int task, int worker)
{
	struct inference *r = context;
	struct slot *s = &r->slots[worker];
	int64_t at = (int64_t)task * r->batch, n = rows_of(r, at);
	struct column c[COLUMNS];
	int i;

	NS_TRY(ns_feed_stage(&r->feed, worker, 0, r->first + at, r->batch, 0, r->batch, s->here, s->labels));
	NS_TRY(compute(r, s, worker, s->here));
	columns(r, s, c);
	for (i = 0; i < COLUMNS; i++)
		if (c[i].to)
			memcpy((float *)c[i].to + (size_t)at * c[i].each, c[i].from, (size_t)n * c[i].each * sizeof(float));
	if (r->out->label)
		memcpy(r->out->label + at, s->labels, (size_t)n * sizeof *s->labels);
	if (worker == 0)
		ns_log_progress(r->job->log, r->label, at + n, r->count, "images");
	return NS_OK;
}

/* --- on a device --- */

static enum ns_status stage_piece(void *context, int task, int worker)
{
	struct inference *r = context;
	int begin = task * PIECE, end = begin + PIECE < r->batch ? begin + PIECE : r->batch;

	return ns_feed_stage(&r->feed, worker, 0, r->first + r->staging, r->batch, begin, end, r->staged->here, r->staged->labels);
}

static enum ns_status deliver(struct inference *r, struct slot *s)
{
	int64_t at = s->at, n = rows_of(r, at);
	const float *from = s->back;
	struct column c[COLUMNS];
	int i;

	if (at < 0)
		return NS_OK;
	s->at = -1;
	NS_TRY(r->job->set->backend->wait(s->done));
	columns(r, s, c);
	for (i = 0; i < COLUMNS; i++) {
		if (c[i].to)
			memcpy((float *)c[i].to + (size_t)at * c[i].each, from, (size_t)n * c[i].each * sizeof(float));
		from += (size_t)r->batch * c[i].each;
	}
	if (r->out->label)
		memcpy(r->out->label + at, s->labels, (size_t)n * sizeof *s->labels);
	ns_log_progress(r->job->log, r->label, at + n, r->count, "images");
	return NS_OK;
}

static enum ns_status over_device(struct inference *r)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_queue *q = r->job->set->queues[0];
	int64_t at;
	int i, next = 0;

	for (at = 0; at < r->count; at += r->batch, next = (next + 1) % SLOTS) {
		struct slot *s = &r->slots[next];

		NS_TRY(deliver(r, s));
		r->staging = at;
		r->staged = s;
		NS_TRY(ns_workers_run(r->job->workers, (r->batch + PIECE - 1) / PIECE, stage_piece, r));
		NS_TRY(b->put(r->copies, s->there, s->here, r->feed.bytes));
		NS_TRY(b->after(q, r->copies));
		NS_TRY(b->replay(q, s->graph));
		NS_TRY(b->after(s->done, q));
		s->at = at;
	}
	for (i = 0; i < SLOTS; i++)
		NS_TRY(deliver(r, &r->slots[(next + i) % SLOTS]));
	return NS_OK;
}

static enum ns_status slot_record(struct inference *r, struct slot *s)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_queue *q = r->job->set->queues[0];
	float *to = s->back;
	struct column c[COLUMNS];
	int i;

	/* one run without recording: libraries load code on first use, which a recording may not allow */
	NS_TRY(compute(r, s, 0, s->there));
	NS_TRY(b->wait(q));
	NS_TRY(b->record(q));
	NS_TRY(compute(r, s, 0, s->there));
	columns(r, s, c);
	for (i = 0; i < COLUMNS; i++) {
		if (c[i].to)
			NS_TRY(b->get(q, to, c[i].from, (size_t)r->batch * c[i].each * sizeof(float)));
		to += (size_t)r->batch * c[i].each;
	}
	return b->recorded(q, &s->graph);
}

/* --- making --- */

static enum ns_status make_slot(struct inference *r, int i, enum ns_dtype dtype)
{
	struct slot *s = &r->slots[i];
	const struct ns_arch *a = &r->model->net.arch;
	struct ns_op op = {.kind = NS_OP_STATS, .u.stats = {r->batch, a->h, a->w, a->c}};
	const struct ns_backend *b = r->job->set->backend;
	int queue = b->host_memory ? i : 0;
	struct ns_device *dev = r->job->set->devices[queue];
	void *staged, *stats;

	s->at = -1;
	if (!b->host_memory && i > 0)
		s->exec = r->slots[0].exec;
	else
		NS_TRY(ns_exec_infer_model(&s->exec, r->model, dev, r->job->set->queues[queue], r->batch, dtype));
	NS_TRY(ns_plan_make(&s->stats, dev, &op));
	NS_TRY(b->mem_make(&s->stats_space, dev, s->stats->workspace_bytes));
	NS_TRY(b->mem_make(&stats, dev, (size_t)r->batch * NS_STAT_COUNT * sizeof(float)));
	s->stats_out = stats;
	NS_TRY(b->host_make(&staged, dev, r->feed.bytes));
	s->here = staged;
	s->labels = calloc((size_t)r->batch, sizeof *s->labels);
	return s->labels ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for labels");
}

static enum ns_status make_device_slot(struct inference *r, struct slot *s)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_device *dev = r->job->set->devices[0];
	struct column c[COLUMNS];
	size_t floats = 0;
	void *p;
	int i;

	columns(r, s, c);
	for (i = 0; i < COLUMNS; i++)
		floats += c[i].each * (size_t)r->batch;
	NS_TRY(b->mem_make(&p, dev, r->feed.bytes));
	s->there = p;
	NS_TRY(b->host_make(&p, dev, floats * sizeof(float)));
	s->back = p;
	NS_TRY(b->queue_make(&s->done, dev));
	return slot_record(r, s);
}

static enum ns_status make(struct inference *r, enum ns_dtype dtype)
{
	const struct ns_backend *b = r->job->set->backend;
	int i, count = b->host_memory ? ns_workers_count(r->job->workers) : SLOTS;

	NS_TRY(ns_feed_init(&r->feed, r->job, r->feed.view, r->model, NULL, r->batch, 0, dtype));
	r->slots = calloc((size_t)count, sizeof *r->slots);
	if (!r->slots)
		return ns_fail(NS_NO_MEMORY, "out of memory for inference");
	r->slot_count = count;
	for (i = 0; i < count; i++)
		NS_TRY(make_slot(r, i, dtype));
	if (b->host_memory)
		return NS_OK;
	NS_TRY(b->queue_make(&r->copies, r->job->set->devices[0]));
	for (i = 0; i < count; i++)
		NS_TRY(make_device_slot(r, &r->slots[i]));
	return NS_OK;
}

static void inference_release(struct inference *r)
{
	const struct ns_backend *b = r->job->set->backend;
	int i;

	if (!b->host_memory && r->copies) { /* a failure may have left work in the queues */
		ns_queue_drain(b, r->copies);
		ns_queue_drain(b, r->job->set->queues[0]);
	}
	for (i = 0; i < r->slot_count; i++) {
		struct slot *s = &r->slots[i];
		struct ns_device *dev = r->job->set->devices[b->host_memory ? i : 0];

		if (b->host_memory || i == 0)
			ns_exec_free(s->exec);
		ns_plan_free(s->stats);
		b->mem_free(dev, s->stats_space);
		b->mem_free(dev, s->stats_out);
		b->host_free(dev, s->here);
		free(s->labels);
		if (b->host_memory)
			continue;
		b->graph_free(s->graph);
		b->queue_free(s->done);
		b->mem_free(dev, s->there);
		b->host_free(dev, s->back);
	}
	b->queue_free(r->copies);
	free(r->slots);
	ns_feed_release(&r->feed);
}

/* Values that are not finite are refused here, by name: no test, selection or confidence is defined on them. */
static enum ns_status check_column(const struct inference *r, const char *what, const float *x, int each)
{
	const struct ns_shard *shard;
	int64_t i, in_shard;
	struct ns_pick pick;

	for (i = 0; x && i < r->count * each; i++) {
		if (isfinite(x[i]))
			continue;
		ns_view_get(r->feed.view, r->first + i / each, &pick);
		shard = ns_dataset_at(r->feed.view->sets[pick.set], pick.row, &in_shard);
		return ns_fail(NS_BAD_DATA, "%s: row %lld: the model gives %s[%lld] = %g, expected a finite number", shard->path, (long long)in_shard,
			       what, (long long)(i % each), (double)x[i]);
	}
	return NS_OK;
}

static enum ns_status check_outputs(const struct inference *r)
{
	int k = r->model->net.arch.classes;

	NS_TRY(check_column(r, "logits", r->out->logits, k));
	NS_TRY(check_column(r, "prob", r->out->prob, k));
	NS_TRY(check_column(r, "embedding", r->out->embedding, r->model->net.embedding_dim));
	return check_column(r, "stats", r->out->stats, NS_STAT_COUNT);
}

enum ns_status ns_infer_rows(struct ns_job *job, const struct ns_model *model, const struct ns_view *view, int64_t first, int64_t count, int batch,
			     enum ns_dtype dtype, struct ns_inference *out, const char *label)
{
	struct inference r = {.job = job, .model = model, .first = first, .count = count, .batch = batch, .out = out, .label = label};
	enum ns_status status;

	if (count == 0)
		return NS_OK;
	NS_TRY(ns_device_set_open(job->set, job->conf, job->workers));
	r.feed.view = view;
	NS_GO(make(&r, dtype));
	if (job->set->backend->host_memory)
		status = ns_workers_run(job->workers, (int)((count + batch - 1) / batch), one_batch, &r);
	else
		status = over_device(&r);
	if (status == NS_OK)
		status = check_outputs(&r);
out:
	inference_release(&r);
	return status;
}
