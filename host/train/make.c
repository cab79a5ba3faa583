/* host/train/make.c - plans and memory of a training. */
#include "host/train/trainer_inner.h"

#include <stdlib.h>
#include <string.h>

static enum ns_status make_plan(struct ns_trainer *r, int lane, enum ns_op_kind kind, int64_t n, struct ns_plan **plan)
{
	struct ns_op op = {.kind = kind};

	if (kind == NS_OP_NORM2)
		op.u.norm2.n = n;
	else
		op.u.ema.n = n;
	return ns_plan_make(plan, r->job->set->devices[lane], &op);
}

static enum ns_status memory(struct ns_trainer *r, size_t bytes, void *out)
{
	void *p;

	NS_TRY(r->job->set->backend->mem_make(&p, r->job->set->devices[0], bytes));
	memcpy(out, &p, sizeof p);
	return NS_OK;
}

static enum ns_status make_segment(struct ns_trainer *r, int part, struct ns_segment *g)
{
	const struct ns_train_spec *s = r->s;
	struct ns_op op = {.kind = s->adamw ? NS_OP_ADAMW : NS_OP_SGD};
	int64_t n = g->end - g->begin, decay = (s->decay_all ? r->flat.train : r->flat.decay) - g->begin;

	decay = decay < 0 ? 0 : decay > n ? n : decay;
	op.u.optim = (struct ns_op_optim){
		n, decay, (float)s->momentum, (float)s->momentum, (float)s->beta2, 1e-8f, (float)s->weight_decay, (float)s->clip, s->nesterov};
	return ns_plan_make(&g->plan, r->job->set->devices[part], &op);
}

/* Pieces [begin, end) of a part whose parameters have one rate: all of it, or neighbours of one depth. */
static enum ns_status make_segments(struct ns_trainer *r, int part, int64_t begin, int64_t end)
{
	const struct ns_net *net = &r->model->net;
	struct ns_segment *g = r->optim[part] = calloc((size_t)net->trainable + 2, sizeof *g);
	int64_t to;
	int p;

	if (!g)
		return ns_fail(NS_NO_MEMORY, "out of memory for an optimiser");
	for (p = 0; p < net->trainable && begin < end; p++) {
		to = p == net->trainable - 1 || !r->depths ? r->flat.train : r->flat.at[p + 1];
		if (r->depths && p < net->trainable - 1 && net->params[p].depth == net->params[p + 1].depth)
			continue;
		to = to < end ? to : end;
		if (to <= begin)
			continue;
		*g = (struct ns_segment){begin, to, r->depths ? HYPER_ALL + net->params[p].depth * NS_HYPER_COUNT : HYPER_OPTIM, NULL};
		NS_TRY(make_segment(r, part, g++));
		begin = to;
	}
	return NS_OK;
}

static enum ns_status make_optimiser(struct ns_trainer *r, int part)
{
	int64_t begin, end;

	ns_trainer_part(r->flat.train, part, r->parts, &begin, &end);
	NS_TRY(make_segments(r, part, begin, end));
	ns_trainer_part(r->flat.statistics, part, r->parts, &begin, &end);
	if (end > begin) /* few numbers among many workers */
		NS_TRY(make_plan(r, part, NS_OP_EMA, end - begin, &r->w_ema[part]));
	if (part == 0) {
		if (r->flat.statistics > r->flat.train)
			NS_TRY(make_plan(r, 0, NS_OP_EMA, r->flat.statistics - r->flat.train, &r->stats_ema));
		NS_TRY(make_plan(r, 0, NS_OP_NORM2, r->flat.train, &r->norm2));
		NS_TRY(memory(r, r->norm2->workspace_bytes + 64, &r->norm_space));
	}
	return NS_OK;
}

static enum ns_status make_arrays(struct ns_trainer *r)
{
	size_t bytes = (size_t)(ns_comm_slice(r->job->comm, r->flat.total) * r->job->comm->size) * sizeof(float);
	int i;

	NS_TRY(memory(r, bytes, &r->w));
	NS_TRY(memory(r, bytes, &r->m));
	NS_TRY(memory(r, bytes, &r->sum));
	r->total = r->sum;
	NS_TRY(memory(r, (size_t)ns_trainer_numbers(r) * sizeof(float), &r->numbers));
	NS_TRY(memory(r, sizeof(double), &r->norm2_at));
	if (r->s->adamw)
		NS_TRY(memory(r, bytes, &r->v));
	if (r->s->ema > 0)
		NS_TRY(memory(r, bytes, &r->average));
	for (i = 0; i < r->local; i++)
		NS_TRY(memory(r, bytes, &r->leaf[i]));
	return memory(r, (size_t)ns_exec_packed_bytes(r->exec[0]), &r->packed);
}

static enum ns_status make_execs(struct ns_trainer *r)
{
	const struct ns_device_set *set = r->job->set;
	struct ns_target target;
	int i;

	for (i = 0; i < r->lanes; i++) {
		NS_TRY(ns_exec_train(&r->exec[i], r->model, set->devices[i], set->queues[i], r->n, r->s->batch, &r->s->loss, r->dtype));
		if (!set->backend->host_memory)
			continue;
		NS_TRY(set->backend->host_make(&r->staged[i], set->devices[i], r->t->input.bytes));
		r->labels[i] = calloc((size_t)r->n * (size_t)ns_exec_target(r->exec[i]).words, sizeof **r->labels);
		if (!r->labels[i])
			return ns_fail(NS_NO_MEMORY, "out of memory for labels");
	}
	target = ns_exec_target(r->exec[0]);
	if (r->t->input.expects)
		r->t->input.expects(r->t->input.context, &target);
	else if (target.task != NS_TASK_CLASSIFY)
		return ns_fail(NS_INTERNAL, "a training of the task %s is fed with classes", ns_task_name(target.task));
	return ns_exec_flat(r->exec[0], &r->flat);
}

static enum ns_status check_spec(const struct ns_train_spec *s, int ranks)
{
	int v = s->virtual_ranks;

	if (v < 1 || v & (v - 1) || v < ranks || v > 1024)
		return ns_fail(NS_CONFIG, "train.virtual_ranks = %d, expected a power of two up to 1024 that is at least the %d ranks", v, ranks);
	if (s->batch % v || s->batch / v < 2)
		return ns_fail(NS_CONFIG, "train.batch = %d, expected a multiple of train.virtual_ranks = %d, at least 2 images each", s->batch, v);
	if (s->rows < s->batch)
		return ns_fail(NS_BAD_DATA, "training has %lld rows, expected at least train.batch = %d", (long long)s->rows, s->batch);
	return NS_OK;
}

void ns_trainer_release(struct ns_trainer *r)
{
	const struct ns_backend *b = r->job->set->backend;
	struct ns_device *dev = r->job->set->devices[0];
	struct ns_segment *g;
	int i;

	if (!r->leaf)
		return; /* refused before anything was made */
	ns_device_steps_free(r);
	for (i = 0; i < r->lanes; i++) {
		ns_exec_free(r->exec[i]);
		b->host_free(r->job->set->devices[i], r->staged[i]);
		free(r->labels[i]);
	}
	for (i = 0; i < r->parts; i++) {
		for (g = r->optim[i]; g && g->plan; g++)
			ns_plan_free(g->plan);
		free(r->optim[i]);
		ns_plan_free(r->w_ema[i]);
	}
	ns_plan_free(r->stats_ema);
	ns_plan_free(r->norm2);
	for (i = 0; i < r->local; i++)
		b->mem_free(dev, r->leaf[i]);
	b->mem_free(dev, r->norm_space);
	b->mem_free(dev, r->numbers);
	b->mem_free(dev, r->norm2_at);
	b->mem_free(dev, r->w);
	b->mem_free(dev, r->m);
	b->mem_free(dev, r->v);
	b->mem_free(dev, r->average);
	b->mem_free(dev, r->sum);
	b->mem_free(dev, r->packed);
	ns_flat_release(&r->flat);
	free(r->best);
	free(r->exec);
	free(r->staged);
	free(r->labels);
	free(r->optim);
	free(r->w_ema);
	free(r->leaf);
}

enum ns_status ns_trainer_init(struct ns_trainer *r)
{
	const struct ns_device_set *set = r->job->set;
	int end, i;

	NS_TRY(check_spec(r->s, r->job->comm->size));
	ns_comm_share(r->job->comm, r->job->comm->rank, r->s->virtual_ranks, &r->first_rank, &end);
	r->n = r->s->batch / r->s->virtual_ranks;
	r->local = end - r->first_rank;
	r->per_epoch = r->s->rows / r->s->batch;
	for (i = 0; r->s->depth_decay < 1 && i < r->model->net.trainable; i++)
		r->depths = r->model->net.params[i].depth >= r->depths ? r->model->net.params[i].depth + 1 : r->depths;
	r->parts = set->backend->host_memory ? ns_workers_count(r->job->workers) : 1;
	r->lanes = set->backend->host_memory ? r->parts : set->count < r->local ? set->count : r->local;
	r->exec = calloc((size_t)r->lanes, sizeof(void *));
	r->staged = calloc((size_t)r->lanes, sizeof(void *));
	r->labels = calloc((size_t)r->lanes, sizeof(void *));
	r->optim = calloc((size_t)r->parts, sizeof(void *));
	r->w_ema = calloc((size_t)r->parts, sizeof(void *));
	r->leaf = calloc((size_t)r->local, sizeof(void *));
	if (!r->exec || !r->staged || !r->labels || !r->optim || !r->w_ema || !r->leaf) {
		free(r->leaf);
		r->leaf = NULL;
		return ns_fail(NS_NO_MEMORY, "out of memory for a trainer");
	}
	if (r->s->keep_best && !(r->best = calloc((size_t)(r->model->net.floats + 1), sizeof *r->best)))
		return ns_fail(NS_NO_MEMORY, "out of memory for the best weights");
	NS_TRY(make_execs(r));
	NS_TRY(make_arrays(r));
	for (i = 0; i < r->parts; i++)
		NS_TRY(make_optimiser(r, i));
	return NS_OK;
}
