/*
 * host/train/device.c - steps on a device with memory of its own, without the host in between.
 *
 * A step's work is recorded once and replayed. There are two slots: while the device computes the step in one, the host writes
 * rows, labels and hyperparameters of the next into the other, and the copy runs on a queue of its own. Only the step after the
 * next waits for a step, because it reuses the slot; so a step's results are known two steps later, or at once where an epoch
 * ends or a checkpoint is due.
 *
 * Several ranks add their gradients between the backward pass and the optimiser, in the tree of ns_comm_tree_sum(), to the same
 * bits: through NCCL if each has a GPU and the library, else through the host, which the log says.
 */
#include "host/train/device_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/comm/comm.h"

#define PIECE 64 /* rows that one worker stages at a time */

/* --- the sum over ranks --- */

/* Each rank receives its slice of every subtree's sum, finishes the tree, and sends the slice to all. */
static enum ns_status sum_by_nccl(struct ns_trainer *r)
{
	struct ns_device_meeting *m = &r->steps->meeting;
	const struct ns_backend *b = r->job->set->backend;
	struct ns_queue *q = r->job->set->queues[0];
	void *stream = b->native(q);
	float *at[1024] = {NULL}, *to = m->receive;
	int ranks = r->job->comm->size, v = r->s->virtual_ranks, i, k, s;

	NS_TRY(ns_nccl_begin(m->nccl));
	for (k = 0; k < ranks; k++) {
		for (i = 0; i < m->count; i++)
			NS_TRY(ns_nccl_send(m->nccl, r->leaf[m->first[i] - r->first_rank] + m->slice * k, m->slice, k, stream));
		for (i = 0; i < m->all_count[k]; i++, to += m->slice)
			NS_TRY(ns_nccl_receive(m->nccl, to, m->slice, k, stream));
	}
	NS_TRY(ns_nccl_end(m->nccl));
	for (i = 0; i < m->total; i++)
		at[m->all_first[i]] = m->receive + m->slice * i;
	for (s = 1; s < v; s *= 2)
		for (i = 0; i < v; i += 2 * s)
			if (at[i] && at[i + s]) {
				NS_TRY(ns_device_add(r, m->fold, at[i], at[i + s]));
				at[i + s] = NULL;
			}
	NS_TRY(b->copy(q, r->sum + m->slice * r->job->comm->rank, at[0], (size_t)m->slice * sizeof(float)));
	return ns_nccl_gather(m->nccl, r->sum, m->slice, stream);
}

static enum ns_status sum_by_host(struct ns_trainer *r)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_device_steps *d = r->steps;
	struct ns_queue *q = r->job->set->queues[0];
	size_t n = (size_t)r->flat.total;
	int i;

	for (i = 0; i < r->local; i++)
		NS_TRY(b->get(q, d->leaves[i], r->leaf[i], n * sizeof(float)));
	NS_TRY(b->wait(q));
	NS_TRY(ns_comm_tree_sum(r->job->comm, r->s->virtual_ranks, d->leaves, n, d->host));
	return b->put(q, r->sum, d->host, n * sizeof(float));
}

/* --- a step --- */

struct staging {
	struct ns_trainer *r;
	struct ns_device_slot *s;
	int pieces; /* of a virtual rank */
};

static enum ns_status stage(void *context, int task, int worker)
{
	struct staging *g = context;
	struct ns_trainer *r = g->r;
	const struct ns_train_input *input = &r->t->input;
	int rank = task / g->pieces, begin = task % g->pieces * PIECE, end = begin + PIECE < r->n ? begin + PIECE : r->n;
	char *rows = g->s->here + r->steps->rows_at + r->steps->row_bytes * (size_t)rank;

	return input->stage(input->context, worker, (int)(r->step / r->per_epoch), ns_trainer_first(r, rank), r->n, begin, end, rows,
			    (int32_t *)(void *)(rows + r->steps->label_at));
}

/* The device's errors surface when the host waits: the message names the step and the last checkpoint. */
static enum ns_status lost(const struct ns_trainer *r, int64_t step, enum ns_status status)
{
	if (status != NS_NO_DEVICE)
		return status;
	if (r->saved < 0)
		return ns_fail_in(status, "train: step %lld (nothing is published, and there is no checkpoint yet)", (long long)step);
	return ns_fail_in(status, "train: step %lld (nothing is published; the checkpoint of step %lld is in %s)", (long long)step,
			  (long long)r->saved, r->t->checkpoint_dir);
}

static enum ns_status finish(struct ns_trainer *r, struct ns_device_slot *s, int *stop)
{
	float tail[NS_TAIL_COUNT];
	double norm2;
	int64_t step = s->step;

	if (step < 0)
		return NS_OK;
	s->step = -1;
	NS_TRY(lost(r, step, r->job->set->backend->wait(s->done)));
	if (r->steps->meeting.nccl)
		NS_TRY(lost(r, step, ns_nccl_check(r->steps->meeting.nccl)));
	memcpy(tail, s->back, sizeof tail);
	memcpy(&norm2, s->back + sizeof tail, sizeof norm2);
	return ns_trainer_account(r, step, (double)((const float *)(const void *)s->here)[NS_HYPER_LR], tail, norm2, stop);
}

static enum ns_status launch(struct ns_trainer *r, struct ns_device_slot *s)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_device_steps *d = r->steps;
	struct ns_queue *q = r->job->set->queues[0];
	float *own = r->numbers;
	enum ns_status status = NS_OK;

	NS_TRY(b->put(d->copies, s->there, s->here, d->bytes));
	NS_TRY(b->after(q, d->copies));
	NS_TRY(b->replay(q, s->leaves));
	if (s->update) {
		r->numbers = (float *)(void *)s->there;
		status = d->meeting.nccl ? sum_by_nccl(r) : sum_by_host(r);
		r->numbers = own;
		NS_TRY(status);
		NS_TRY(b->replay(q, s->update));
	}
	return b->after(s->done, q);
}

enum ns_status ns_device_step(struct ns_trainer *r, int *stop)
{
	struct ns_device_steps *d = r->steps;
	struct ns_device_slot *s = &d->slots[d->next];
	struct staging g = {r, s, (r->n + PIECE - 1) / PIECE};
	float tail[NS_TAIL_COUNT] = {0};

	NS_TRY(finish(r, s, stop));
	if (*stop) /* all ranks learn it from the same step */
		return NS_OK;
	ns_trainer_hyper(r, (float *)(void *)s->here);
	tail[NS_TAIL_STOP] = (float)ns_stop_requested();
	memcpy(s->here + d->tail_at, tail, sizeof tail);
	NS_TRY(ns_workers_run(r->job->workers, r->local * g.pieces, stage, &g));
	NS_TRY(lost(r, r->step, launch(r, s)));
	s->step = r->step++;
	d->next = (d->next + 1) % NS_DEVICE_SLOTS;
	return NS_OK;
}

enum ns_status ns_device_drain(struct ns_trainer *r, int *stop)
{
	struct ns_device_steps *d = r->steps;
	int i;

	for (i = 0; i < NS_DEVICE_SLOTS; i++) /* the older first */
		NS_TRY(finish(r, &d->slots[(d->next + i) % NS_DEVICE_SLOTS], stop));
	return NS_OK;
}
