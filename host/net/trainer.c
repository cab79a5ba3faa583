#include "host/net/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/net/checkpoint.h"
#include "host/net/exec.h"

struct trainer {
	struct ns_job *job;
	struct ns_model *model;
	struct ns_training *t;
	const struct ns_train_spec *s;
	int workers, first_rank, local; /* virtual ranks [first_rank, first_rank + local) are ours */
	struct ns_exec **exec;
	struct ns_flat flat;
	float *w, *m, *v, *average, *sum, **leaf; /* device memory, flat->total floats each */
	float *total;				    /* the sum of all leaves: `sum`, or the first leaf where it was folded there */
	float *there;				    /* device memory: HYPER_*, then the squared norm of the gradient */
	float *here;				    /* host memory for leaves that meet on the host, else NULL */
	void *packed;
	int32_t **labels;
	struct ns_plan **optim, **stats_ema, **w_ema, *norm2, *fold;
	float hyper[3 * NS_HYPER_COUNT]; /* of the optimiser, of running statistics, of plain addition */
	float tail[NS_TAIL_COUNT];	 /* of the sum */
	double gradient_norm2;
	void *norm_space;
	enum ns_dtype dtype;
	int64_t step, per_epoch;
	double loss, hits; /* of the epoch so far */
};

enum { HYPER_OPTIM = 0, HYPER_STATS = NS_HYPER_COUNT, HYPER_ADD = 2 * NS_HYPER_COUNT, NORM2_AT = 3 * NS_HYPER_COUNT + 1 };

static int64_t chunk(int64_t n, int i, int parts)
{
	return n * i / parts / 16 * 16;
}

/* the worker's part of [0, n): whole cache lines, the last takes the rest */
static void part_of(int64_t n, int i, int parts, int64_t *begin, int64_t *end)
{
	*begin = chunk(n, i, parts);
	*end = i == parts - 1 ? n : chunk(n, i + 1, parts);
}

static enum ns_status make_plan(struct trainer *r, int worker, enum ns_op_kind kind, int64_t n, struct ns_plan **plan)
{
	struct ns_op op = {.kind = kind};

	if (kind == NS_OP_NORM2)
		op.u.norm2.n = n;
	else
		op.u.ema.n = n;
	return ns_plan_make(plan, r->job->set->devices[worker], &op);
}

static enum ns_status memory(struct trainer *r, size_t bytes, void *out)
{
	void *p;

	NS_TRY(r->job->set->backend->mem_make(&p, r->job->set->devices[0], bytes));
	memcpy(out, &p, sizeof p);
	return NS_OK;
}

static enum ns_status make_optimiser(struct trainer *r, int worker)
{
	const struct ns_train_spec *s = r->s;
	struct ns_op op = {.kind = s->adamw ? NS_OP_ADAMW : NS_OP_SGD};
	int64_t begin, end, decay = s->decay_all ? r->flat.train : r->flat.decay;

	part_of(r->flat.train, worker, r->workers, &begin, &end);
	decay = decay < begin ? 0 : decay > end ? end - begin : decay - begin;
	op.u.optim = (struct ns_optim){end - begin,	       decay,		       (float)s->momentum,
				       (float)s->momentum,     (float)s->beta2,	       1e-8f,
				       (float)s->weight_decay, (float)s->clip,	       s->nesterov};
	NS_TRY(ns_plan_make(&r->optim[worker], r->job->set->devices[worker], &op));
	part_of(r->flat.statistics, worker, r->workers, &begin, &end);
	NS_TRY(make_plan(r, worker, NS_OP_EMA, end - begin, &r->w_ema[worker]));
	if (worker == 0) {
		NS_TRY(make_plan(r, 0, NS_OP_EMA, r->flat.statistics - r->flat.train, &r->stats_ema[0]));
		NS_TRY(make_plan(r, 0, NS_OP_NORM2, r->flat.train, &r->norm2));
		NS_TRY(memory(r, r->norm2->workspace_bytes + 64, &r->norm_space));
		NS_TRY(make_plan(r, 0, NS_OP_EMA, r->flat.total, &r->fold));
	}
	return NS_OK;
}

static enum ns_status make_arrays(struct trainer *r)
{
	size_t bytes = (size_t)r->flat.total * sizeof(float);
	int i;

	NS_TRY(memory(r, bytes, &r->w));
	NS_TRY(memory(r, bytes, &r->m));
	NS_TRY(memory(r, bytes, &r->sum));
	NS_TRY(memory(r, (NORM2_AT + 2) * sizeof(float), &r->there));
	if (!r->job->set->backend->host_memory && r->job->comm->size > 1 &&
	    !(r->here = malloc(bytes * (size_t)(r->local + 1))))
		return ns_fail(NS_NO_MEMORY, "no memory for gradients on the host");
	if (r->s->adamw)
		NS_TRY(memory(r, bytes, &r->v));
	if (r->s->ema > 0)
		NS_TRY(memory(r, bytes, &r->average));
	for (i = 0; i < r->local; i++)
		NS_TRY(memory(r, bytes, &r->leaf[i]));
	return memory(r, (size_t)ns_exec_packed_bytes(r->exec[0]), &r->packed);
}

static enum ns_status make_execs(struct trainer *r)
{
	const struct ns_train_spec *s = r->s;
	int i, n = s->batch / s->virtual_ranks;

	for (i = 0; i < r->workers; i++) {
		NS_TRY(ns_exec_train(&r->exec[i], &r->model->net, r->job->set->devices[i], r->job->set->queues[i], n, s->batch,
				     (float)s->smoothing, r->dtype));
		r->labels[i] = calloc((size_t)n, sizeof **r->labels);
		if (!r->labels[i])
			return ns_fail(NS_NO_MEMORY, "no memory for labels");
	}
	return ns_exec_flat(r->exec[0], &r->flat);
}

static enum ns_status check_spec(const struct ns_train_spec *s, int ranks)
{
	int v = s->virtual_ranks;

	if (v < 1 || v & (v - 1) || v < ranks || v > 1024)
		return ns_fail(NS_CONFIG, "train.virtual_ranks = %d, wanted a power of two up to 1024 that is at least the %d ranks", v, ranks);
	if (s->batch % v || s->batch / v < 2)
		return ns_fail(NS_CONFIG, "train.batch = %d, wanted a multiple of train.virtual_ranks = %d, at least 2 images each",
			       s->batch, v);
	if (s->rows < s->batch)
		return ns_fail(NS_BAD_DATA, "training has %lld rows, but train.batch = %d", (long long)s->rows, s->batch);
	return NS_OK;
}

static void trainer_release(struct trainer *r)
{
	void (*drop)(struct ns_device *, void *) = r->job->set->backend->mem_free;
	struct ns_device *dev = r->job->set->devices[0];
	int i;

	if (!r->leaf)
		return; /* refused before anything was made */
	for (i = 0; i < r->workers; i++) {
		ns_plan_free(r->optim[i]);
		ns_plan_free(r->w_ema[i]);
		ns_plan_free(r->stats_ema[i]);
		ns_exec_free(r->exec[i]);
		free(r->labels[i]);
	}
	ns_plan_free(r->norm2);
	ns_plan_free(r->fold);
	free(r->here);
	drop(dev, r->norm_space);
	drop(dev, r->there);
	for (i = 0; i < r->local; i++)
		drop(dev, r->leaf[i]);
	drop(dev, r->w);
	drop(dev, r->m);
	drop(dev, r->v);
	drop(dev, r->average);
	drop(dev, r->sum);
	drop(dev, r->packed);
	ns_flat_release(&r->flat);
	free(r->exec);
	free(r->labels);
	free(r->optim);
	free(r->w_ema);
	free(r->stats_ema);
	free(r->leaf);
}

static enum ns_status trainer_init(struct trainer *r)
{
	int end, i, w = r->workers = ns_pool_workers(r->job->pool);

	NS_TRY(check_spec(r->s, r->job->comm->size));
	ns_comm_share(r->job->comm, r->job->comm->rank, r->s->virtual_ranks, &r->first_rank, &end);
	r->local = end - r->first_rank;
	r->per_epoch = r->s->rows / r->s->batch;
	r->exec = calloc((size_t)w, sizeof(void *));
	r->labels = calloc((size_t)w, sizeof(void *));
	r->optim = calloc((size_t)w, sizeof(void *));
	r->w_ema = calloc((size_t)w, sizeof(void *));
	r->stats_ema = calloc((size_t)w, sizeof(void *));
	r->leaf = calloc((size_t)r->local, sizeof(void *));
	if (!r->exec || !r->labels || !r->optim || !r->w_ema || !r->stats_ema || !r->leaf) {
		free(r->leaf);
		r->leaf = NULL;
		return ns_fail(NS_NO_MEMORY, "no memory for a trainer");
	}
	NS_TRY(make_execs(r));
	NS_TRY(make_arrays(r));
	for (i = 0; i < w; i++)
		NS_TRY(make_optimiser(r, i));
	return NS_OK;
}

/* --- one step --- */

static double learning_rate(const struct trainer *r)
{
	const struct ns_train_spec *s = r->s;
	double total = (double)(r->per_epoch * s->epochs), warm = s->warmup_epochs * (double)r->per_epoch;
	double at = (double)r->step;

	if (at < warm)
		return s->lr * (at + 1) / (warm + 1);
	if (!s->cosine || total <= warm)
		return s->lr;
	return s->lr * 0.5 * (1 + cos(3.141592653589793 * (at - warm) / (total - warm)));
}

static void set_hyper(struct trainer *r)
{
	const struct ns_train_spec *s = r->s;
	double t = (double)r->step + 1, decay = s->ema < t / (9 + t) ? s->ema : t / (9 + t);

	r->hyper[NS_HYPER_LR] = (float)learning_rate(r);
	r->hyper[NS_HYPER_C1] = (float)(1 - pow(s->momentum, t));
	r->hyper[NS_HYPER_C2] = (float)(1 - pow(s->beta2, t));
	r->hyper[NS_HYPER_EMA_A] = (float)decay;
	r->hyper[NS_HYPER_EMA_B] = (float)(1 - decay);
	r->hyper[HYPER_STATS + NS_HYPER_EMA_A] = 0.9f; /* torchvision's momentum of 0.1 */
	r->hyper[HYPER_STATS + NS_HYPER_EMA_B] = 0.1f / (float)s->virtual_ranks;
	r->hyper[HYPER_ADD + NS_HYPER_EMA_A] = r->hyper[HYPER_ADD + NS_HYPER_EMA_B] = 1;
}

static enum ns_status virtual_rank(void *context, int task, int worker)
{
	struct trainer *r = context;
	const struct ns_train_spec *s = r->s;
	int n = s->batch / s->virtual_ranks, epoch = (int)(r->step / r->per_epoch);
	int64_t first = (r->step % r->per_epoch) * s->batch + (int64_t)(r->first_rank + task) * n;
	float tail[NS_TAIL_COUNT] = {0};

	tail[NS_TAIL_STOP] = task == 0 && ns_stop_requested();
	NS_TRY(r->job->set->backend->put(r->job->set->queues[worker], r->leaf[task] + r->flat.statistics, tail, sizeof tail));
	NS_TRY(r->t->fill(r->t->context, worker, epoch, first, n, ns_exec_images(r->exec[worker]), r->dtype,
			  r->labels[worker]));
	return ns_exec_step(r->exec[worker], &r->flat, r->w, r->packed, r->labels[worker], r->leaf[task]);
}

static enum ns_status update_part(void *context, int task, int worker)
{
	struct trainer *r = context;
	struct ns_queue *q = r->job->set->queues[worker];
	struct ns_args a = {{0}, {0}, NULL};
	int64_t begin, end;

	part_of(r->flat.train, task, r->workers, &begin, &end);
	a.in[NS_OPTIM_GRAD] = r->total + begin;
	a.in[NS_OPTIM_HYPER] = r->there + HYPER_OPTIM;
	a.in[NS_OPTIM_NORM2] = r->there + NORM2_AT;
	a.out[NS_OPTIM_W] = r->w + begin;
	a.out[NS_OPTIM_M] = r->m + begin;
	a.out[NS_OPTIM_V] = r->v ? r->v + begin : NULL;
	NS_TRY(ns_plan_run(r->optim[task], &a, q));
	if (task == 0) {
		struct ns_args stats = {{r->total + r->flat.train, r->there + HYPER_STATS}, {r->w + r->flat.train}, NULL};

		NS_TRY(ns_plan_run(r->stats_ema[0], &stats, q));
	}
	return r->job->set->backend->wait(q);
}

/* the average, and the weights in the layouts that the next step reads */
static enum ns_status prepare_part(void *context, int task, int worker)
{
	struct trainer *r = context;
	int64_t begin, end;

	if (r->average) {
		struct ns_args a = {{0}, {0}, NULL};

		part_of(r->flat.statistics, task, r->workers, &begin, &end);
		a.in[NS_EMA_X] = r->w + begin;
		a.in[NS_EMA_HYPER] = r->there + HYPER_OPTIM;
		a.out[NS_EMA_Y] = r->average + begin;
		NS_TRY(ns_plan_run(r->w_ema[task], &a, r->job->set->queues[worker]));
	}
	/* plans belong to their worker: part `task` is packed by whoever runs it */
	NS_TRY(ns_exec_pack(r->exec[worker], &r->flat, r->w, r->packed, task, r->workers));
	return r->job->set->backend->wait(r->job->set->queues[worker]);
}

/*
 * The sum over all virtual ranks in the one fixed tree. On a device with memory of its own a lone rank folds its leaves
 * there (y = 1 y + 1 x rounds once: the same bits); several ranks meet on the host.
 */
static enum ns_status sum_leaves(struct trainer *r)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_queue *q = r->job->set->queues[0];
	size_t n = (size_t)r->flat.total;
	float *leaves[1024];
	int i, s;

	r->total = r->sum;
	if (b->host_memory)
		return ns_comm_tree_sum(r->job->comm, r->s->virtual_ranks, r->leaf, n, r->sum);
	if (r->job->comm->size == 1) {
		for (s = 1; s < r->local; s *= 2)
			for (i = 0; i + s < r->local; i += 2 * s) {
				struct ns_args a = {{r->leaf[i + s], r->there + HYPER_ADD}, {r->leaf[i]}, NULL};

				NS_TRY(ns_plan_run(r->fold, &a, q));
			}
		r->total = r->leaf[0];
		return NS_OK;
	}
	for (i = 0; i < r->local; i++) {
		leaves[i] = r->here + (size_t)(i + 1) * n;
		NS_TRY(b->get(q, leaves[i], r->leaf[i], n * sizeof(float)));
	}
	NS_TRY(b->wait(q));
	NS_TRY(ns_comm_tree_sum(r->job->comm, r->s->virtual_ranks, leaves, n, r->here));
	return b->put(q, r->sum, r->here, n * sizeof(float));
}

/* ReLU and max pooling swallow a NaN, so a finite loss is no proof: the gradient is looked at too */
static enum ns_status check_finite(struct trainer *r)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_queue *q = r->job->set->queues[0];
	struct ns_args a = {{r->total}, {r->there + NORM2_AT}, r->norm_space};
	double loss;

	NS_TRY(ns_plan_run(r->norm2, &a, q));
	NS_TRY(b->get(q, &r->gradient_norm2, r->there + NORM2_AT, sizeof r->gradient_norm2));
	NS_TRY(b->get(q, r->tail, r->total + r->flat.statistics, sizeof r->tail));
	NS_TRY(b->wait(q));
	loss = (double)r->tail[NS_TAIL_LOSS];
	if (isfinite(loss) && isfinite(r->gradient_norm2))
		return NS_OK;
	return ns_fail(NS_BAD_DATA, "the %s became %g at step %lld (learning rate %g): nothing is published; lower train.lr or set train.clip",
		       isfinite(loss) ? "gradient's norm" : "loss", isfinite(loss) ? sqrt(r->gradient_norm2) : loss, (long long)r->step,
		       (double)r->hyper[NS_HYPER_LR]);
}

static enum ns_status take_step(struct trainer *r, int *stop)
{
	set_hyper(r);
	NS_TRY(r->job->set->backend->put(r->job->set->queues[0], r->there, r->hyper, sizeof r->hyper));
	NS_TRY(ns_pool_run(r->job->pool, r->local, virtual_rank, r));
	NS_TRY(sum_leaves(r));
	NS_TRY(check_finite(r));
	NS_TRY(ns_pool_run(r->job->pool, r->workers, update_part, r));
	NS_TRY(ns_pool_run(r->job->pool, r->workers, prepare_part, r));
	r->loss += (double)r->tail[NS_TAIL_LOSS];
	r->hits += (double)r->tail[NS_TAIL_HITS];
	*stop = r->tail[NS_TAIL_STOP] > 0;
	r->step++;
	return NS_OK;
}

/* --- checkpoints --- */

static enum ns_status checkpoint_arrays(struct trainer *r, struct ns_checkpoint *c)
{
	float *flat[4] = {r->w, r->m, r->v, r->average};
	int i;

	*c = (struct ns_checkpoint){.step = r->step, .floats = r->model->net.floats, .loss = r->loss, .hits = r->hits};
	memcpy(c->config_digest, r->t->config_digest, sizeof c->config_digest);
	strcpy(c->precision, r->dtype == NS_BF16 ? "bf16" : "f32");
	for (i = 0; i < 4; i++)
		if (flat[i] && !(c->arrays[i] = malloc(sizeof(float) * (size_t)c->floats)))
			return ns_fail(NS_NO_MEMORY, "no memory for a checkpoint");
	return NS_OK;
}

static void checkpoint_free(struct ns_checkpoint *c)
{
	int i;

	for (i = 0; i < 4; i++)
		free(c->arrays[i]);
}

static enum ns_status save(struct trainer *r)
{
	float *flat[4] = {r->w, r->m, r->v, r->average};
	struct ns_checkpoint c;
	enum ns_status status;
	int i;

	if (!r->t->checkpoint_dir[0])
		return NS_OK;
	if (r->job->comm->rank != 0)
		return ns_job_agree(r->job, NS_OK);
	status = checkpoint_arrays(r, &c);
	for (i = 0; i < 4 && status == NS_OK; i++)
		if (flat[i])
			status = ns_exec_from_flat(r->exec[0], &r->flat, flat[i], c.arrays[i]);
	c.metrics = r->t->metrics;
	if (status == NS_OK)
		status = ns_checkpoint_write(r->t->checkpoint_dir, &c);
	checkpoint_free(&c);
	return ns_job_agree(r->job, status);
}

/* rank 0 reads, everyone gets it; the precision of a resumed run is that of the checkpoint */
static enum ns_status restore(struct trainer *r)
{
	float *flat[4] = {r->w, r->m, r->v, r->average};
	struct ns_checkpoint c;
	enum ns_status status;
	int i;

	NS_TRY(checkpoint_arrays(r, &c));
	status = r->job->comm->rank == 0 ? ns_checkpoint_read(r->t->checkpoint_dir, &c, r->job->log) : NS_OK;
	NS_GO(ns_job_agree(r->job, status));
	NS_GO(ns_comm_broadcast(r->job->comm, &c.step, sizeof c.step, 0));
	if (c.step < 0)
		goto out;
	for (i = 0; i < 4; i++)
		if (flat[i]) {
			NS_GO(ns_comm_broadcast(r->job->comm, c.arrays[i], sizeof(float) * (size_t)c.floats, 0));
			NS_GO(ns_exec_to_flat(r->exec[0], &r->flat, c.arrays[i], flat[i]));
		}
	NS_GO(ns_comm_broadcast(r->job->comm, &c.loss, sizeof c.loss, 0));
	NS_GO(ns_comm_broadcast(r->job->comm, &c.hits, sizeof c.hits, 0));
	if (r->job->comm->rank == 0 && c.metrics)
		json_array_extend(r->t->metrics, c.metrics);
	r->step = c.step;
	r->loss = c.loss;
	r->hits = c.hits;
	ns_log_event(r->job->log, "resumed", json_pack("{s:I, s:s}", "step", (json_int_t)c.step, "from", r->t->checkpoint_dir));
out:
	if (r->job->comm->rank == 0)
		json_decref(c.metrics);
	checkpoint_free(&c);
	return status;
}

/* what precision a checkpoint was made in, before anything is compiled */
enum ns_status ns_training_precision(struct ns_job *job, struct ns_training *t, enum ns_dtype *dtype)
{
	struct ns_checkpoint c = {.step = -1};
	char wanted[8];

	memcpy(wanted, t->spec.precision, sizeof wanted);
	memcpy(c.config_digest, t->config_digest, sizeof c.config_digest);
	if (t->checkpoint_dir[0] && job->comm->rank == 0) {
		NS_TRY(ns_checkpoint_read(t->checkpoint_dir, &c, job->log));
		if (c.step >= 0)
			memcpy(wanted, c.precision, sizeof wanted);
		json_decref(c.metrics);
	}
	NS_TRY(ns_comm_broadcast(job->comm, wanted, sizeof wanted, 0));
	NS_TRY(ns_choose_precision(job, wanted, dtype));
	strcpy(t->spec.precision, *dtype == NS_BF16 ? "bf16" : "f32");
	return NS_OK;
}

/* --- epochs --- */

static enum ns_status write_metrics(struct trainer *r)
{
	char *all = NULL;
	size_t i, len = 0;
	enum ns_status status;
	json_t *line;

	if (r->job->comm->rank != 0 || !r->t->metrics_path[0])
		return ns_job_agree(r->job, NS_OK);
	json_array_foreach(r->t->metrics, i, line) {
		char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)), *more;
		size_t n = text ? strlen(text) : 0;

		more = realloc(all, len + n + 2);
		if (!more || !text) {
			free(text);
			free(all);
			return ns_job_agree(r->job, ns_fail(NS_NO_MEMORY, "no memory for metrics"));
		}
		all = more;
		memcpy(all + len, text, n);
		len += n;
		all[len++] = '\n';
		free(text);
	}
	status = ns_write_file(r->t->metrics_path, all ? all : "", len);
	free(all);
	return ns_job_agree(r->job, status);
}

static enum ns_status keep_values(struct trainer *r)
{
	return ns_exec_from_flat(r->exec[0], &r->flat, r->average ? r->average : r->w, r->model->values);
}

static enum ns_status end_epoch(struct trainer *r)
{
	double rows = (double)(r->per_epoch * r->s->batch);
	int epoch = (int)(r->step / r->per_epoch);
	json_t *line = json_pack("{s:i, s:I, s:o, s:f, s:f, s:o}", "epoch", epoch, "step", (json_int_t)r->step, "loss",
				 ns_json_real(r->loss / rows), "accuracy", r->hits / rows, "learning_rate",
				 (double)r->hyper[NS_HYPER_LR], "gradient_norm", ns_json_real(sqrt(r->gradient_norm2)));
	enum ns_status status = NS_OK;

	if (r->t->after_epoch) {
		status = keep_values(r);
		if (status == NS_OK)
			status = r->t->after_epoch(r->t->context, epoch, r->model->values, line);
	}
	r->loss = r->hits = 0;
	json_array_append(r->t->metrics, line);
	ns_log_event(r->job->log, "epoch", line);
	return status == NS_OK ? write_metrics(r) : status;
}

static enum ns_status run(struct trainer *r)
{
	const struct ns_train_spec *s = r->s;
	int64_t total = r->per_epoch * s->epochs, begun = r->step;
	double start = ns_now();
	int stop = 0;

	while (r->step < total && !stop) {
		NS_TRY(take_step(r, &stop));
		if (r->step == begun + 1)
			r->t->first_step = ns_now() - r->job->log->start;
		ns_log_progress(r->job->log, s->label, r->step * s->batch, total * s->batch, "images");
		if (r->step % r->per_epoch == 0)
			NS_TRY(end_epoch(r));
		if (stop || (s->checkpoint_steps > 0 && r->step % s->checkpoint_steps == 0 && r->step < total))
			NS_TRY(save(r));
	}
	r->t->steps = r->step;
	r->t->seconds = ns_now() - start;
	r->t->images_per_second = r->t->seconds > 0 ? (double)((r->step - begun) * s->batch) / r->t->seconds : 0;
	if (stop && r->step < total)
		return ns_fail(NS_STOPPED, "stopped at step %lld of %lld; a checkpoint is in %s", (long long)r->step,
			       (long long)total, r->t->checkpoint_dir);
	return keep_values(r);
}

enum ns_status ns_train(struct ns_job *job, struct ns_model *model, struct ns_training *training)
{
	struct trainer r = {.job = job, .model = model, .t = training, .s = &training->spec};
	enum ns_status status;

	NS_TRY(ns_device_set_open(job->set, job->conf, job->pool));
	training->metrics = json_array();
	ns_stop_install();
	NS_GO(ns_training_precision(job, training, &r.dtype));
	strcpy(model->precision, r.dtype == NS_BF16 ? "bf16" : "f32");
	NS_GO(trainer_init(&r));
	NS_GO(ns_exec_to_flat(r.exec[0], &r.flat, model->values, r.w));
	if (r.average)
		NS_GO(ns_exec_to_flat(r.exec[0], &r.flat, model->values, r.average));
	if (training->checkpoint_dir[0])
		NS_GO(restore(&r));
	NS_GO(ns_exec_pack(r.exec[0], &r.flat, r.w, r.packed, 0, 1));
	NS_GO(run(&r));
out:
	ns_stop_remove();
	trainer_release(&r);
	return status;
}
