/* jobs/feed.c - rows of a view into a network: read or decode, augment, normalise, cast. */
#include "jobs/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "host/net/exec.h"
#include "kernels/formula/stats.h"

static enum ns_status worker_init(struct ns_feed *f, int index, enum ns_dtype dtype)
{
	struct ns_feed_worker *w = &f->workers[index];
	const struct ns_arch *a = &f->model->net.arch;
	struct ns_device *dev = f->job->set->devices[index];
	size_t image = (size_t)a->h * (size_t)a->w * (size_t)a->c;
	struct ns_op op = {.kind = NS_OP_AUGMENT};
	void *pixels, *samples;
	int c;

	op.u.augment = (struct ns_augment){.n = f->n, .h = a->h, .w = a->w, .c = a->c, .p = a->h, .q = a->w,
					   .out_dtype = dtype, .config = f->config};
	for (c = 0; c < a->c; c++) { /* y = (x / 255 - mean) / std */
		op.u.augment.scale[c] = (float)(1 / (255 * (double)f->model->std[c]));
		op.u.augment.shift[c] = (float)(-(double)f->model->mean[c] / (double)f->model->std[c]);
	}
	w->dtype = dtype;
	NS_TRY(ns_plan_make(&w->plan, dev, &op));
	NS_TRY(dev->backend->host_make(&pixels, dev, image * (size_t)f->n));
	w->pixels = pixels;
	NS_TRY(dev->backend->host_make(&samples, dev, (size_t)f->n * sizeof *w->samples));
	w->samples = samples;
	if (!dev->backend->host_memory) {
		NS_TRY(dev->backend->mem_make(&w->pixels_there, dev, image * (size_t)f->n));
		NS_TRY(dev->backend->mem_make(&w->samples_there, dev, (size_t)f->n * sizeof *w->samples));
	}
	return dev->backend->mem_make(&w->workspace, dev, w->plan->workspace_bytes);
}

enum ns_status ns_feed_init(struct ns_feed *f, struct ns_job *job, const struct ns_view *view,
			    const struct ns_model *model, const json_t *recipe, int n, int shuffle, enum ns_dtype dtype)
{
	const struct ns_arch *a = &model->net.arch;
	int i, workers = ns_pool_workers(job->pool);

	*f = (struct ns_feed){.view = view, .model = model, .job = job, .shuffle = shuffle, .n = n,
			      .seed = (uint64_t)ns_conf_int(job->conf, "seed")};
	f->config = calloc(1, sizeof *f->config);
	f->workers = calloc((size_t)workers, sizeof *f->workers);
	if (!f->config || !f->workers)
		return ns_fail(NS_NO_MEMORY, "no memory to feed %d workers", workers);
	NS_TRY(ns_recipe_parse(f->config, recipe, a->h, a->w, "augment"));
	for (i = 0; i < workers; i++)
		NS_TRY(worker_init(f, i, dtype));
	return NS_OK;
}

void ns_feed_release(struct ns_feed *f)
{
	int i;

	for (i = 0; f->workers && i < ns_pool_workers(f->job->pool); i++) {
		struct ns_feed_worker *w = &f->workers[i];
		struct ns_device *dev = f->job->set->devices[i];
		void *there[] = {w->workspace, w->pixels_there, w->samples_there, w->stats_there};
		size_t k;

		ns_plan_free(w->plan);
		free(w->buffer);
		dev->backend->host_free(dev, w->pixels);
		dev->backend->host_free(dev, w->samples);
		for (k = 0; k < sizeof there / sizeof *there; k++)
			if (there[k])
				dev->backend->mem_free(dev, there[k]);
	}
	free(f->workers);
	free(f->config);
	memset(f, 0, sizeof *f);
}

enum ns_status ns_feed_fill(void *context, int worker, int epoch, int64_t first, int n, void *images,
			    enum ns_dtype dtype, int32_t *labels)
{
	struct ns_feed *f = context;
	struct ns_feed_worker *w = &f->workers[worker];
	const struct ns_arch *a = &f->model->net.arch;
	size_t image = (size_t)a->h * (size_t)a->w * (size_t)a->c;
	struct ns_args args = {{w->pixels, w->samples}, {images}, w->workspace};
	struct ns_queue *queue = f->job->set->queues[worker];
	const struct ns_backend *b = f->job->set->backend;
	int i;

	if (n != f->n || dtype != w->dtype)
		return ns_fail(NS_INTERNAL, "a feed of %d images was asked for %d", f->n, n);
	for (i = 0; i < n; i++) {
		int64_t row = first + i < f->view->rows ? first + i : f->view->rows - 1;
		struct ns_dataset *set;
		struct ns_pick pick;

		if (f->shuffle)
			row = (int64_t)ns_permute((uint64_t)row, (uint64_t)f->view->rows, f->seed, NS_FOR_SHUFFLE, (uint32_t)epoch);
		ns_view_get(f->view, row, &pick);
		set = f->view->sets[pick.set];
		NS_TRY(ns_dataset_pixels(set, pick.row, a->h, a->w, a->c, w->pixels + (size_t)i * image, &w->buffer, &w->room));
		if (f->shuffle)
			ns_augment_draw(&w->samples[i], f->config, a->h, a->w, a->h, a->w, f->seed, (uint32_t)epoch,
					ns_dataset_id(set, pick.row), pick.repeat);
		else
			ns_augment_identity(&w->samples[i], a->h, a->w, a->h, a->w);
		labels[i] = first + i < f->view->rows ? pick.label : -1;
	}
	if (w->pixels_there) {
		NS_TRY(b->put(queue, w->pixels_there, w->pixels, image * (size_t)n));
		NS_TRY(b->put(queue, w->samples_there, w->samples, (size_t)n * sizeof *w->samples));
		args.in[NS_AUGMENT_X] = w->pixels_there;
		args.in[NS_AUGMENT_SAMPLES] = w->samples_there;
	}
	return ns_plan_run(w->plan, &args, queue);
}

/* --- inference over rows --- */

struct inference {
	struct ns_feed feed;
	struct ns_job *job;
	struct ns_exec **exec;
	struct ns_plan **stats;
	int32_t **labels;
	const struct ns_model *model;
	int64_t first, count, done;
	int batch;
	struct ns_inference *out;
	const char *label;
};

static enum ns_status one_batch(void *context, int task, int worker)
{
	struct inference *r = context;
	struct ns_inference *o = r->out;
	const struct ns_arch *a = &r->model->net.arch;
	int64_t at = (int64_t)task * r->batch, left = r->count - at, n = left < r->batch ? left : r->batch;
	int k = a->classes, d = r->model->net.embedding_dim;
	struct ns_queue *queue = r->job->set->queues[worker];
	const struct ns_backend *b = r->job->set->backend;
	struct ns_outputs y;

	NS_TRY(ns_feed_fill(&r->feed, worker, 0, r->first + at, r->batch, ns_exec_images(r->exec[worker]),
			    ns_exec_dtype(r->exec[worker]), r->labels[worker]));
	NS_TRY(ns_exec_run(r->exec[worker], &y));
	if (o->prob)
		NS_TRY(b->get(queue, o->prob + at * k, y.prob, (size_t)(n * k) * sizeof *o->prob));
	if (o->logits)
		NS_TRY(b->get(queue, o->logits + at * k, y.logits, (size_t)(n * k) * sizeof *o->logits));
	if (o->embedding)
		NS_TRY(b->get(queue, o->embedding + at * d, y.embedding, (size_t)(n * d) * sizeof *o->embedding));
	if (o->pred)
		NS_TRY(b->get(queue, o->pred + at, y.pred, (size_t)n * sizeof *o->pred));
	if (o->label)
		memcpy(o->label + at, r->labels[worker], (size_t)n * sizeof *o->label);
	if (o->stats) { /* of the last rows of a batch that is not full, those of padding are dropped */
		struct ns_feed_worker *w = &r->feed.workers[worker];
		struct ns_args args = {{w->pixels_there ? w->pixels_there : w->pixels}, {w->stats_there}, w->workspace};

		NS_TRY(ns_plan_run(r->stats[worker], &args, queue));
		NS_TRY(b->get(queue, o->stats + at * NS_STAT_COUNT, w->stats_there, (size_t)(n * NS_STAT_COUNT) * sizeof *o->stats));
	}
	NS_TRY(b->wait(queue));
	if (worker == 0)
		ns_log_progress(r->job->log, r->label, at + n, r->count, "images");
	return NS_OK;
}

static enum ns_status inference_init(struct inference *r, enum ns_dtype dtype)
{
	int i, workers = ns_pool_workers(r->job->pool);
	const struct ns_arch *a = &r->model->net.arch;
	struct ns_op op = {.kind = NS_OP_STATS, .u.stats = {r->batch, a->h, a->w, a->c}};
	void *stats;

	NS_TRY(ns_feed_init(&r->feed, r->job, r->feed.view, r->model, NULL, r->batch, 0, dtype));
	r->exec = calloc((size_t)workers, sizeof *r->exec);
	r->labels = calloc((size_t)workers, sizeof *r->labels);
	r->stats = calloc((size_t)workers, sizeof *r->stats);
	if (!r->exec || !r->labels || !r->stats)
		return ns_fail(NS_NO_MEMORY, "no memory for inference");
	for (i = 0; i < workers; i++) {
		NS_TRY(ns_exec_infer(&r->exec[i], &r->model->net, r->job->set->devices[i], r->job->set->queues[i], r->batch, dtype,
				     (float)r->model->temperature, r->model->values));
		r->labels[i] = calloc((size_t)r->batch, sizeof **r->labels);
		NS_TRY(ns_plan_make(&r->stats[i], r->job->set->devices[i], &op));
		NS_TRY(r->job->set->backend->mem_make(&stats, r->job->set->devices[i], (size_t)r->batch * NS_STAT_COUNT * sizeof(float)));
		r->feed.workers[i].stats_there = stats;
		if (r->stats[i]->workspace_bytes > r->feed.workers[i].plan->workspace_bytes) {
			r->job->set->backend->mem_free(r->job->set->devices[i], r->feed.workers[i].workspace);
			NS_TRY(r->job->set->backend->mem_make(&r->feed.workers[i].workspace, r->job->set->devices[i],
							      r->stats[i]->workspace_bytes));
		}
	}
	return NS_OK;
}

enum ns_status ns_infer_rows(struct ns_job *job, const struct ns_model *model, const struct ns_view *view, int64_t first,
			     int64_t count, int batch, enum ns_dtype dtype, struct ns_inference *out, const char *label)
{
	struct inference r = {.job = job, .model = model, .first = first, .count = count, .batch = batch, .out = out,
			      .label = label};
	int i, workers = ns_pool_workers(job->pool);
	enum ns_status status;

	if (count == 0)
		return NS_OK;
	NS_TRY(ns_device_set_open(job->set, job->conf, job->pool));
	r.feed.view = view;
	status = inference_init(&r, dtype);
	if (status == NS_OK)
		status = ns_pool_run(job->pool, (int)((count + batch - 1) / batch), one_batch, &r);
	for (i = 0; i < workers; i++) {
		if (r.exec)
			ns_exec_free(r.exec[i]);
		if (r.stats)
			ns_plan_free(r.stats[i]);
		if (r.labels)
			free(r.labels[i]);
	}
	free(r.exec);
	free(r.stats);
	free(r.labels);
	ns_feed_release(&r.feed);
	return status;
}
