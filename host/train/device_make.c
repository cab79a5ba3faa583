/* host/train/device_make.c - records the steps of a device, and makes slots, memory and the exchange between ranks. */
#include "host/train/device_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/comm/comm.h"

static size_t round256(size_t n)
{
	return (n + 255) / 256 * 256;
}

/* --- recording --- */

/* y += x, rounded once: the same bits as the host's addition */
enum ns_status ns_device_add(struct ns_trainer *r, struct ns_plan *plan, float *y, const float *x)
{
	struct ns_args a = {{x, r->numbers + HYPER_ADD}, {y}, NULL};

	return ns_plan_run(plan, &a, r->job->set->queues[0]);
}

/* Adds the subtree [first, first + width) of our leaves into its first. */
static enum ns_status fold(struct ns_trainer *r, int first, int width)
{
	int s, i;

	for (s = 1; s < width; s *= 2)
		for (i = first; i + s < first + width; i += 2 * s)
			NS_TRY(ns_device_add(r, r->steps->fold, r->leaf[i], r->leaf[i + s]));
	return NS_OK;
}

static enum ns_status record_leaves(struct ns_trainer *r, const struct ns_device_slot *s)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_device_steps *d = r->steps;
	struct ns_queue **q = r->job->set->queues;
	int i;

	NS_TRY(b->copy(q[0], r->leaf[0] + r->flat.statistics, s->there + d->tail_at, NS_TAIL_COUNT * sizeof(float)));
	for (i = 1; i < r->lanes; i++)
		NS_TRY(b->after(q[i], q[0]));
	for (i = 0; i < r->local; i++) {
		const char *rows = s->there + d->rows_at + d->row_bytes * (size_t)i;

		NS_TRY(ns_trainer_leaf(r, i % r->lanes, i, rows, (const int32_t *)(const void *)(rows + d->label_at)));
	}
	for (i = 1; i < r->lanes; i++)
		NS_TRY(b->after(q[0], q[i]));
	if (r->job->comm->size == 1)
		return fold(r, 0, r->local);
	for (i = 0; i < d->meeting.count; i++)
		NS_TRY(fold(r, d->meeting.first[i] - r->first_rank, d->meeting.width[i]));
	return NS_OK;
}

static enum ns_status record_update(struct ns_trainer *r, const struct ns_device_slot *s)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_queue *q = r->job->set->queues[0];
	size_t tail = NS_TAIL_COUNT * sizeof(float);

	NS_TRY(ns_trainer_norm(r));
	NS_TRY(b->get(q, s->back, r->total + r->flat.statistics, tail));
	NS_TRY(b->get(q, s->back + tail, r->norm2_at, sizeof *r->norm2_at));
	NS_TRY(ns_trainer_update(r, 0, 0));
	return ns_trainer_prepare(r, 0, 0);
}

static enum ns_status both(struct ns_trainer *r, const struct ns_device_slot *s)
{
	NS_TRY(record_leaves(r, s));
	return record_update(r, s);
}

static enum ns_status record_graph(struct ns_trainer *r, const struct ns_device_slot *s,
				   enum ns_status (*work)(struct ns_trainer *, const struct ns_device_slot *), struct ns_graph **graph)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_queue *q = r->job->set->queues[0];
	struct ns_graph *dropped = NULL;
	char why[512];
	enum ns_status status;

	NS_TRY(b->record(q));
	status = work(r, s);
	if (status == NS_OK)
		return b->recorded(q, graph);
	snprintf(why, sizeof why, "%s", ns_message()); /* the recording must end all the same */
	if (b->recorded(q, &dropped) == NS_OK)
		b->graph_free(dropped);
	return ns_fail(status, "%s", why);
}

/*
 * Runs a step once without recording: libraries load code at first use, which may fail during a recording, and errors of the
 * kernels surface here. Nothing is trained yet: all arrays are zero before, and are set to zero again.
 */
static enum ns_status rehearse(struct ns_trainer *r, const struct ns_device_slot *s)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_queue *q = r->job->set->queues[0];
	float *own = r->numbers, *touched[] = {r->w, r->m, r->v, r->average};
	size_t bytes = (size_t)r->flat.total * sizeof(float), i;
	enum ns_status status;

	r->numbers = (float *)(void *)s->there;
	status = both(r, s);
	r->numbers = own;
	NS_TRY(status);
	for (i = 0; i < sizeof touched / sizeof *touched; i++)
		if (touched[i])
			NS_TRY(b->copy(q, touched[i], r->sum, bytes)); /* the sum is still zero */
	for (i = 0; i < (size_t)r->local; i++)
		NS_TRY(b->copy(q, r->leaf[i], r->sum, bytes));
	return b->wait(q);
}

static enum ns_status record_slot(struct ns_trainer *r, struct ns_device_slot *s)
{
	float *own = r->numbers;
	enum ns_status status;

	r->numbers = (float *)(void *)s->there; /* a step reads the numbers of its own slot */
	if (r->job->comm->size == 1) {
		status = record_graph(r, s, both, &s->leaves);
	} else {
		status = record_graph(r, s, record_leaves, &s->leaves);
		if (status == NS_OK)
			status = record_graph(r, s, record_update, &s->update);
	}
	r->numbers = own;
	return status;
}

/* --- making --- */

static enum ns_status memory(struct ns_trainer *r, size_t bytes, int pinned, void *out)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_device *dev = r->job->set->devices[0];
	void *p;

	NS_TRY(pinned ? b->host_make(&p, dev, bytes) : b->mem_make(&p, dev, bytes));
	if (pinned)
		memset(p, 0, bytes);
	memcpy(out, &p, sizeof p);
	return NS_OK;
}

static enum ns_status addition(struct ns_trainer *r, int64_t n, struct ns_plan **plan)
{
	struct ns_op op = {.kind = NS_OP_EMA, .u.ema = {n}};

	return ns_plan_make(plan, r->job->set->devices[0], &op);
}

static enum ns_status meet_by_nccl(struct ns_trainer *r)
{
	struct ns_device_meeting *m = &r->steps->meeting;
	struct ns_comm *comm = r->job->comm;
	int k, begin, end, width[64];

	m->all_first = calloc((size_t)r->s->virtual_ranks, sizeof *m->all_first);
	m->all_count = calloc((size_t)comm->size, sizeof *m->all_count);
	if (!m->all_first || !m->all_count)
		return ns_fail(NS_NO_MEMORY, "out of memory for the exchange between ranks");
	for (k = 0; k < comm->size; k++) {
		int first[64];

		ns_comm_share(comm, k, r->s->virtual_ranks, &begin, &end);
		m->all_count[k] = ns_comm_subtrees(begin, end, first, width);
		memcpy(m->all_first + m->total, first, sizeof *first * (size_t)m->all_count[k]);
		m->total += m->all_count[k];
	}
	m->count = ns_comm_subtrees(r->first_rank, r->first_rank + r->local, m->first, m->width);
	m->slice = ns_comm_slice(comm, r->flat.total);
	NS_TRY(memory(r, (size_t)(m->slice * m->total) * sizeof(float), 0, &m->receive));
	return addition(r, m->slice, &m->fold);
}

static enum ns_status meet_by_host(struct ns_trainer *r)
{
	struct ns_device_steps *d = r->steps;
	int i;

	NS_TRY(memory(r, (size_t)r->flat.total * sizeof(float) * (size_t)(r->local + 1), 1, &d->host));
	d->leaves = calloc((size_t)r->local, sizeof *d->leaves);
	if (!d->leaves)
		return ns_fail(NS_NO_MEMORY, "out of memory for the exchange between ranks");
	for (i = 0; i < r->local; i++)
		d->leaves[i] = d->host + (int64_t)(i + 1) * r->flat.total;
	return NS_OK;
}

/* train.collective: auto, nccl or mpi */
static enum ns_status choose_meeting(struct ns_trainer *r)
{
	const char *wanted = r->s->collective;
	struct ns_device_steps *d = r->steps;
	unsigned char id[16];
	enum ns_status status;

	if (r->job->comm->size == 1) {
		r->total = r->leaf[0];
		return NS_OK;
	}
	if (!strcmp(wanted, "mpi")) {
		ns_log_event(r->job->log, "collective", json_pack("{s:s}", "by", "MPI, through the host"));
		return meet_by_host(r);
	}
	r->job->set->backend->identify(r->job->set->devices[0], id);
	status = ns_nccl_open(&d->meeting.nccl, r->job->comm, id);
	if (status == NS_OK) {
		ns_log_event(r->job->log, "collective", json_pack("{s:s}", "by", ns_nccl_version(d->meeting.nccl)));
		return meet_by_nccl(r);
	}
	if (!strcmp(wanted, "nccl") || status != NS_NO_DEVICE)
		return status;
	ns_log_event(r->job->log, "collective", json_pack("{s:s, s:s}", "by", "MPI, through the host", "because", ns_message()));
	return meet_by_host(r);
}

static enum ns_status make_slot(struct ns_trainer *r, struct ns_device_slot *s)
{
	NS_TRY(memory(r, r->steps->bytes, 1, &s->here));
	NS_TRY(memory(r, r->steps->bytes, 0, &s->there));
	NS_TRY(memory(r, 256, 1, &s->back));
	s->step = -1;
	return r->job->set->backend->queue_make(&s->done, r->job->set->devices[0]);
}

enum ns_status ns_device_steps_make(struct ns_trainer *r)
{
	struct ns_device_steps *d = r->steps = calloc(1, sizeof *d);
	int i;

	if (!d)
		return ns_fail(NS_NO_MEMORY, "out of memory for steps");
	d->tail_at = round256((size_t)ns_trainer_numbers(r) * sizeof(float));
	d->rows_at = d->tail_at + 256;
	d->label_at = round256(r->t->input.bytes);
	d->row_bytes = d->label_at + round256((size_t)r->n * sizeof(int32_t));
	d->bytes = d->rows_at + d->row_bytes * (size_t)r->local;
	NS_TRY(r->job->set->backend->queue_make(&d->copies, r->job->set->devices[0]));
	NS_TRY(addition(r, r->flat.total, &d->fold));
	NS_TRY(choose_meeting(r));
	for (i = 0; i < NS_DEVICE_SLOTS; i++) {
		NS_TRY(make_slot(r, &d->slots[i]));
		if (i == 0)
			NS_TRY(rehearse(r, &d->slots[i]));
		NS_TRY(record_slot(r, &d->slots[i]));
	}
	return NS_OK;
}

void ns_device_steps_free(struct ns_trainer *r)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_device *dev = r->job->set->devices[0];
	struct ns_device_steps *d = r->steps;
	int i;

	if (!d)
		return;
	for (i = 0; i < r->lanes; i++) /* a failed step may have left work in the queues */
		ns_queue_drain(b, r->job->set->queues[i]);
	for (i = 0; i < NS_DEVICE_SLOTS; i++) {
		struct ns_device_slot *s = &d->slots[i];

		b->graph_free(s->leaves);
		b->graph_free(s->update);
		b->queue_free(s->done);
		b->host_free(dev, s->here);
		b->host_free(dev, s->back);
		b->mem_free(dev, s->there);
	}
	b->queue_free(d->copies);
	ns_plan_free(d->fold);
	b->host_free(dev, d->host);
	free(d->leaves);
	ns_nccl_close(d->meeting.nccl);
	ns_plan_free(d->meeting.fold);
	b->mem_free(dev, d->meeting.receive);
	free(d->meeting.all_first);
	free(d->meeting.all_count);
	free(d);
	r->steps = NULL;
}
