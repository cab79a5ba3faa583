/* host/train/trainer_checkpoint.c - saving a training in a checkpoint, and resuming it. */
#include "host/train/trainer_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum ns_status checkpoint_arrays(struct ns_trainer *r, struct ns_checkpoint *c)
{
	float *flat[NS_CHECKPOINT_BEST] = {r->w, r->m, r->v, r->average};
	int i;

	*c = (struct ns_checkpoint){.step = r->step, .floats = r->model->net.floats, .loss = r->loss, .hits = r->hits};
	memcpy(c->config_digest, r->t->config_digest, sizeof c->config_digest);
	strcpy(c->precision, r->dtype == NS_BF16 ? "bf16" : "f32");
	for (i = 0; i < NS_CHECKPOINT_ARRAYS; i++)
		if ((i == NS_CHECKPOINT_BEST ? r->best : flat[i]) && !(c->arrays[i] = malloc(sizeof(float) * (size_t)c->floats)))
			return ns_fail(NS_NO_MEMORY, "out of memory for a checkpoint");
	return NS_OK;
}

static void checkpoint_free(struct ns_checkpoint *c)
{
	int i;

	for (i = 0; i < NS_CHECKPOINT_ARRAYS; i++)
		free(c->arrays[i]);
}

enum ns_status ns_trainer_save(struct ns_trainer *r)
{
	float *flat[NS_CHECKPOINT_BEST] = {r->w, r->m, r->v, r->average};
	struct ns_checkpoint c;
	enum ns_status status;
	int i;

	if (!r->t->checkpoint_dir[0])
		return NS_OK;
	r->saved = r->step;
	if (r->job->comm->rank != 0)
		return ns_job_agree(r->job, NS_OK);
	status = checkpoint_arrays(r, &c);
	if (status == NS_OK && r->best)
		memcpy(c.arrays[NS_CHECKPOINT_BEST], r->best, sizeof *r->best * (size_t)c.floats);
	for (i = 0; i < NS_CHECKPOINT_BEST && status == NS_OK; i++)
		if (flat[i])
			status = ns_exec_from_flat(r->exec[0], &r->flat, flat[i], c.arrays[i]);
	c.metrics = r->t->metrics;
	if (status == NS_OK)
		status = ns_checkpoint_write(r->t->checkpoint_dir, &c);
	checkpoint_free(&c);
	return ns_job_agree(r->job, status);
}

/* The best epoch so far, by the lines of those that are over, which rank 0 has. */
static enum ns_status find_best(struct ns_trainer *r)
{
	const json_t *line;
	size_t i;

	json_array_foreach(r->t->metrics, i, line) {
		double metric = ns_json_number(line, "val_accuracy", (double)NAN);

		if (metric > r->best_metric || !r->best_epoch) {
			r->best_metric = metric;
			r->best_epoch = (int)i + 1;
		}
	}
	NS_TRY(ns_comm_broadcast(r->job->comm, &r->best_metric, sizeof r->best_metric, 0));
	return ns_comm_broadcast(r->job->comm, &r->best_epoch, sizeof r->best_epoch, 0);
}

/* Rank 0 reads and broadcasts; the precision of a resumed run is that of the checkpoint. */
enum ns_status ns_trainer_restore(struct ns_trainer *r)
{
	float *flat[NS_CHECKPOINT_BEST] = {r->w, r->m, r->v, r->average};
	struct ns_checkpoint c;
	enum ns_status status;
	int i;

	NS_TRY(checkpoint_arrays(r, &c));
	status = r->job->comm->rank == 0 ? ns_checkpoint_read(r->t->checkpoint_dir, &c, r->job->log) : NS_OK;
	NS_GO(ns_job_agree(r->job, status));
	NS_GO(ns_comm_broadcast(r->job->comm, &c.step, sizeof c.step, 0));
	if (c.step < 0)
		goto out;
	if (r->best) {
		NS_GO(ns_comm_broadcast(r->job->comm, c.arrays[NS_CHECKPOINT_BEST], sizeof *r->best * (size_t)c.floats, 0));
		memcpy(r->best, c.arrays[NS_CHECKPOINT_BEST], sizeof *r->best * (size_t)c.floats);
	}
	for (i = 0; i < NS_CHECKPOINT_BEST; i++)
		if (flat[i]) {
			NS_GO(ns_comm_broadcast(r->job->comm, c.arrays[i], sizeof(float) * (size_t)c.floats, 0));
			NS_GO(ns_exec_to_flat(r->exec[0], &r->flat, c.arrays[i], flat[i]));
		}
	NS_GO(ns_comm_broadcast(r->job->comm, &c.loss, sizeof c.loss, 0));
	NS_GO(ns_comm_broadcast(r->job->comm, &c.hits, sizeof c.hits, 0));
	if (r->job->comm->rank == 0 && c.metrics)
		json_array_extend(r->t->metrics, c.metrics);
	NS_GO(find_best(r));
	r->step = r->saved = c.step;
	r->loss = c.loss;
	r->hits = c.hits;
	ns_log_event(r->job->log, "resumed", json_pack("{s:I, s:s}", "step", (json_int_t)c.step, "from", r->t->checkpoint_dir));
out:
	if (r->job->comm->rank == 0)
		json_decref(c.metrics);
	checkpoint_free(&c);
	return status;
}

/* The precision must be known before anything is compiled, so the checkpoint is read for it alone. */
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
