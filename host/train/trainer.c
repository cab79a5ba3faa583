/* host/train/trainer.c - steps where the host computes, and epochs; see trainer_inner.h. */
#include "host/train/trainer_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- a step where the host computes --- */

static enum ns_status virtual_rank(void *context, int task, int worker)
{
	struct ns_trainer *r = context;
	const struct ns_train_input *input = &r->t->input;
	float *tail = r->leaf[task] + r->flat.statistics;

	memset(tail, 0, NS_TAIL_COUNT * sizeof *tail);
	tail[NS_TAIL_STOP] = task == 0 && ns_stop_requested();
	NS_TRY(input->stage(input->context, worker, (int)(r->step / r->per_epoch), ns_trainer_first(r, task), r->n, 0, r->n, r->staged[worker],
			    r->labels[worker]));
	return ns_trainer_leaf(r, worker, task, r->staged[worker], r->labels[worker]);
}

static enum ns_status update_part(void *context, int task, int worker)
{
	return ns_trainer_update(context, task, worker);
}

static enum ns_status prepare_part(void *context, int task, int worker)
{
	return ns_trainer_prepare(context, task, worker);
}

static enum ns_status host_step(struct ns_trainer *r, int *stop)
{
	ns_trainer_hyper(r, r->numbers);
	NS_TRY(ns_workers_run(r->job->workers, r->local, virtual_rank, r));
	NS_TRY(ns_comm_tree_sum(r->job->comm, r->s->virtual_ranks, r->leaf, (size_t)r->flat.total, r->sum));
	NS_TRY(ns_trainer_norm(r));
	NS_TRY(ns_trainer_account(r, r->step, (double)r->numbers[NS_HYPER_LR], r->sum + r->flat.statistics, *r->norm2_at, stop));
	NS_TRY(ns_workers_run(r->job->workers, r->parts, update_part, r));
	NS_TRY(ns_workers_run(r->job->workers, r->parts, prepare_part, r));
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

		more = text ? realloc(all, len + n + 2) : NULL;
		if (!more) {
			free(text);
			free(all);
			return ns_job_agree(r->job, ns_fail(NS_NO_MEMORY, "out of memory for metrics"));
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
	int64_t i;

	NS_TRY(ns_exec_from_flat(r->exec[0], &r->flat, r->average ? r->average : r->w, r->model->values));
	for (i = 0; i < r->model->net.floats; i++) /* a last step's, which no loss has shown */
		if (!isfinite(r->model->values[i]))
			return ns_fail(NS_BAD_DATA, "a weight became %g at step %lld: nothing is published; lower train.lr or set train.clip",
				       (double)r->model->values[i], (long long)r->step);
	return ns_model_settle(r->model);
}

/* Keeps what it has where the epoch is better than all before; the first is. */
static enum ns_status compare(struct ns_trainer *r, int epoch, double metric)
{
	if (isnan(metric) && (r->best || r->s->patience))
		return ns_fail(NS_BAD_DATA, "epoch %d has no accuracy to compare it by: the rows of --val have no labels", epoch);
	if (r->best_epoch && !(metric > r->best_metric))
		return NS_OK;
	r->best_metric = metric;
	r->best_epoch = epoch;
	if (r->best)
		memcpy(r->best, r->model->values, sizeof *r->best * (size_t)r->model->net.floats);
	return NS_OK;
}

static int is_over(const struct ns_trainer *r)
{
	return r->s->patience > 0 && r->best_epoch && r->step / r->per_epoch - r->best_epoch >= r->s->patience;
}

static enum ns_status end_epoch(struct ns_trainer *r)
{
	double rows = (double)(r->per_epoch * r->s->batch);
	int epoch = (int)(r->step / r->per_epoch);
	json_t *line =
		json_pack("{s:i, s:I, s:o, s:o, s:f, s:o}", "epoch", epoch, "step", (json_int_t)r->step, "loss", ns_json_real(r->loss / rows),
			  "accuracy", ns_json_real(r->hits / rows), "learning_rate", r->rate, "gradient_norm", ns_json_real(sqrt(r->gradient_norm2)));
	enum ns_status status = NS_OK;
	double metric = (double)NAN;

	if (r->t->after_epoch) {
		status = keep_values(r);
		if (status == NS_OK)
			status = r->t->after_epoch(r->t->context, epoch, r->model->values, line, &metric);
		if (status == NS_OK)
			status = compare(r, epoch, metric);
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

	while (r->step < total && !stop && !is_over(r)) {
		int save, whole;

		NS_TRY(r->steps ? ns_device_step(r, &stop) : host_step(r, &stop));
		whole = r->step % r->per_epoch == 0;
		save = stop || (s->checkpoint_steps > 0 && r->step % s->checkpoint_steps == 0 && r->step < total) ||
		       (s->checkpoint_last && r->step == total);
		if (r->steps && (whole || save))
			NS_TRY(ns_device_drain(r, &stop));
		ns_log_progress(r->job->log, s->label, r->step * s->batch, total * s->batch, "images");
		if (whole)
			NS_TRY(end_epoch(r));
		if (save || stop)
			NS_TRY(ns_trainer_save(r));
	}
	if (begun == r->step) /* resumed at its end: the metrics file is written all the same */
		NS_TRY(write_metrics(r));
	r->t->steps = r->step;
	r->t->seconds = ns_now() - start;
	r->t->images_per_second = r->t->seconds > 0 ? (double)((r->step - begun) * s->batch) / r->t->seconds : 0;
	if (stop && r->step < total && !is_over(r))
		return ns_fail(NS_STOPPED, "stopped at step %lld of %lld; a checkpoint is in %s", (long long)r->step, (long long)total,
			       r->t->checkpoint_dir);
	if (!r->best)
		return keep_values(r);
	r->t->best_epoch = r->best_epoch;
	memcpy(r->model->values, r->best, sizeof *r->best * (size_t)r->model->net.floats);
	return ns_model_settle(r->model);
}

enum ns_status ns_train(struct ns_job *job, struct ns_model *model, struct ns_training *training)
{
	struct ns_trainer r = {.job = job, .model = model, .t = training, .s = &training->spec, .saved = -1};
	enum ns_status status;

	NS_TRY(ns_device_set_open(job->set, job->conf, job->workers));
	training->metrics = json_array();
	ns_stop_install();
	NS_GO(ns_training_precision(job, training, &r.dtype));
	strcpy(model->precision, r.dtype == NS_BF16 ? "bf16" : "f32");
	NS_GO(ns_trainer_init(&r));
	if (!job->set->backend->host_memory)
		NS_GO(ns_device_steps_make(&r));
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
