/* host/train/update.c - what steps on host and device share: learning rate, leaves, norm, update, accounting. */
#include "host/train/trainer_inner.h"

#include <math.h>
#include <string.h>

static int64_t chunk(int64_t n, int i, int parts)
{
	return n * i / parts / 16 * 16;
}

void ns_trainer_part(int64_t n, int i, int parts, int64_t *begin, int64_t *end)
{
	*begin = chunk(n, i, parts);
	*end = i == parts - 1 ? n : chunk(n, i + 1, parts);
}

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

int ns_trainer_numbers(const struct ns_trainer *r)
{
	return HYPER_ALL + r->depths * NS_HYPER_COUNT;
}

void ns_trainer_hyper(const struct ns_trainer *r, float *hyper)
{
	const struct ns_train_spec *s = r->s;
	double t = (double)r->step + 1, decay = s->ema < t / (9 + t) ? s->ema : t / (9 + t);
	int d;

	hyper[NS_HYPER_LR] = (float)learning_rate(r);
	hyper[NS_HYPER_C1] = (float)(1 - pow(s->momentum, t));
	hyper[NS_HYPER_C2] = (float)(1 - pow(s->beta2, t));
	hyper[NS_HYPER_EMA_A] = (float)decay;
	hyper[NS_HYPER_EMA_B] = (float)(1 - decay);
	hyper[HYPER_STATS + NS_HYPER_EMA_A] = 0.9f; /* torchvision's momentum of 0.1 */
	hyper[HYPER_STATS + NS_HYPER_EMA_B] = 0.1f / (float)s->virtual_ranks;
	hyper[HYPER_ADD + NS_HYPER_EMA_A] = hyper[HYPER_ADD + NS_HYPER_EMA_B] = 1;
	for (d = 0; d < r->depths; d++) {
		float *own = hyper + HYPER_ALL + d * NS_HYPER_COUNT;

		memcpy(own, hyper, sizeof *own * NS_HYPER_COUNT);
		own[NS_HYPER_LR] = (float)(learning_rate(r) * pow(s->depth_decay, r->depths - 1 - d));
	}
}

int64_t ns_trainer_first(const struct ns_trainer *r, int task)
{
	return (r->step % r->per_epoch) * r->s->batch + (int64_t)(r->first_rank + task) * r->n;
}

enum ns_status ns_trainer_leaf(struct ns_trainer *r, int lane, int task, const void *staged, const int32_t *labels)
{
	const struct ns_train_input *input = &r->t->input;

	NS_TRY(input->images(input->context, lane, staged, ns_exec_images(r->exec[lane])));
	return ns_exec_step(r->exec[lane], &r->flat, r->w, r->packed, labels, r->leaf[task]);
}

enum ns_status ns_trainer_norm(struct ns_trainer *r)
{
	struct ns_args a = {{r->total}, {r->norm2_at}, r->norm_space};

	return ns_plan_run(r->norm2, &a, r->job->set->queues[0]);
}

enum ns_status ns_trainer_update(struct ns_trainer *r, int part, int lane)
{
	struct ns_queue *q = r->job->set->queues[lane];
	struct ns_args a = {{0}, {0}, NULL}, stats = {{r->total + r->flat.train, r->numbers + HYPER_STATS}, {r->w + r->flat.train}, NULL};
	const struct ns_segment *g;

	for (g = r->optim[part]; g->plan; g++) {
		a.in[NS_OPTIM_GRAD] = r->total + g->begin;
		a.in[NS_OPTIM_HYPER] = r->numbers + g->hyper;
		a.in[NS_OPTIM_NORM2] = r->norm2_at;
		a.out[NS_OPTIM_W] = r->w + g->begin;
		a.out[NS_OPTIM_M] = r->m + g->begin;
		a.out[NS_OPTIM_V] = r->v ? r->v + g->begin : NULL;
		NS_TRY(ns_plan_run(g->plan, &a, q));
	}
	return part || !r->stats_ema ? NS_OK : ns_plan_run(r->stats_ema, &stats, q);
}

enum ns_status ns_trainer_prepare(struct ns_trainer *r, int part, int lane)
{
	int64_t begin, end;

	if (r->average && r->w_ema[part]) {
		struct ns_args a = {{0}, {0}, NULL};

		ns_trainer_part(r->flat.statistics, part, r->parts, &begin, &end);
		a.in[NS_EMA_X] = r->w + begin;
		a.in[NS_EMA_HYPER] = r->numbers + HYPER_OPTIM;
		a.out[NS_EMA_Y] = r->average + begin;
		NS_TRY(ns_plan_run(r->w_ema[part], &a, r->job->set->queues[lane]));
	}
	/* one thread at a time may run a plan: a part is packed with the plans of the lane that runs it */
	return ns_exec_pack(r->exec[lane], &r->flat, r->w, r->packed, part, r->parts);
}

/* ReLU and max pooling drop a NaN, so a finite loss proves nothing: the gradient's norm is checked too. */
enum ns_status ns_trainer_account(struct ns_trainer *r, int64_t step, double rate, const float *tail, double norm2, int *stop)
{
	double loss = (double)tail[NS_TAIL_LOSS];

	if (!isfinite(loss) || !isfinite(norm2))
		return ns_fail(NS_BAD_DATA,
			       "the %s became %g at step %lld (learning rate %g): nothing is published; lower train.lr or set train.clip",
			       isfinite(loss) ? "gradient's norm" : "loss", isfinite(loss) ? sqrt(norm2) : loss, (long long)step, rate);
	r->gradient_norm2 = norm2;
	r->rate = rate;
	r->loss += loss;
	r->hits += (double)tail[NS_TAIL_HITS];
	*stop |= tail[NS_TAIL_STOP] > 0;
	if (!r->done++)
		r->t->first_step = ns_now() - r->job->log->start;
	return NS_OK;
}
