/* host/net/trainer.c - steps and epochs; see trainer.h. */
#include "host/net/trainer_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double learning_rate(const struct ns_trainer *r)
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

static void set_hyper(struct ns_trainer *r)
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
	struct ns_trainer *r = context;
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
	struct ns_trainer *r = context;
	struct ns_queue *q = r->job->set->queues[worker];
	struct ns_args a = {{0}, {0}, NULL};
	int64_t begin, end;

	ns_trainer_part(r->flat.train, task, r->workers, &begin, &end);
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
	struct ns_trainer *r = context;
	int64_t begin, end;

	if (r->average) {
		struct ns_args a = {{0}, {0}, NULL};

		ns_trainer_part(r->flat.statistics, task, r->workers, &begin, &end);
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
static enum ns_status sum_leaves(struct ns_trainer *r)
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
static enum ns_status check_finite(struct ns_trainer *r)
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

static enum ns_status take_step(struct ns_trainer *r, int *stop)
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

/* --- epochs --- */

static enum ns_status write_metrics(struct ns_trainer *r)
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

static enum ns_status keep_values(struct ns_trainer *r)
{
	return ns_exec_from_flat(r->exec[0], &r->flat, r->average ? r->average : r->w, r->model->values);
}

static enum ns_status end_epoch(struct ns_trainer *r)
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

static enum ns_status run(struct ns_trainer *r)
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
			NS_TRY(ns_trainer_save(r));
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
	struct ns_trainer r = {.job = job, .model = model, .t = training, .s = &training->spec};
	enum ns_status status;

	NS_TRY(ns_device_set_open(job->set, job->conf, job->pool));
	training->metrics = json_array();
	ns_stop_install();
	NS_GO(ns_training_precision(job, training, &r.dtype));
	strcpy(model->precision, r.dtype == NS_BF16 ? "bf16" : "f32");
	NS_GO(ns_trainer_init(&r));
	NS_GO(ns_exec_to_flat(r.exec[0], &r.flat, model->values, r.w));
	if (r.average)
		NS_GO(ns_exec_to_flat(r.exec[0], &r.flat, model->values, r.average));
	if (training->checkpoint_dir[0])
		NS_GO(ns_trainer_restore(&r));
	NS_GO(ns_exec_pack(r.exec[0], &r.flat, r.w, r.packed, 0, 1));
	NS_GO(run(&r));
out:
	ns_stop_remove();
	ns_trainer_release(&r);
	return status;
}
