/*
 * kernels/cpu/recurrent.c - RNN, GRU and LSTM with their usual activations: what the inputs give for all steps at once, then a product of matrices a step. Lengths, peepholes
 * and clipping are left to ref.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/fast.h"
#include "kernels/cpu/recurrent_inner.h"

struct run {
	const struct ns_op_recurrent *v;
	const float *r, *b;	  /* recurrent weights, biases or NULL */
	int64_t width;		  /* gates * h */
	float *given, *recurrent; /* of all steps (t, n, width); of this one (n, width) */
	float *h, *c;
};

static void lstm(const struct run *e, const float *x, const float *r, float *h, float *c)
{
	int64_t j, H = e->v->h;

	for (j = 0; j < H; j += 16) { /* i, o, f, c */
		int lanes = H - j < 16 ? (int)(H - j) : 16;
		v16f in = v16_fast_sigmoid(AT(x, 0) + AT(r, 0)), out = v16_fast_sigmoid(AT(x, 1) + AT(r, 1)),
		     forget = v16_fast_sigmoid(AT(x, 2) + AT(r, 2));
		v16f cell = forget * AT(c, 0) + in * v16_fast_tanh(AT(x, 3) + AT(r, 3));

		v16_store_f32(c + j, cell, lanes);
		v16_store_f32(h + j, out * v16_fast_tanh(cell), lanes);
	}
}

/* z, r, h; r holds what the hidden state gives. Without linear_before_reset the last gate's product is of r times h, which `hidden` has. */
static void gru(const struct run *e, const float *x, const float *r, const float *hidden, float *h)
{
	int64_t j, H = e->v->h;

	for (j = 0; j < H; j += 16) {
		int lanes = H - j < 16 ? (int)(H - j) : 16;
		v16f z = v16_fast_sigmoid(AT(x, 0) + AT(r, 0)), inner;

		inner = hidden ? AT(hidden, 0) : v16_fast_sigmoid(AT(x, 1) + AT(r, 1)) * AT(r, 2);
		v16_store_f32(h + j, (1.0f - z) * v16_fast_tanh(AT(x, 2) + inner) + z * AT(h, 0), lanes);
	}
}

static void rnn(const struct run *e, const float *x, const float *r, float *h)
{
	int64_t j, H = e->v->h;

	for (j = 0; j < H; j += 16) {
		int lanes = H - j < 16 ? (int)(H - j) : 16;

		v16_store_f32(h + j, v16_fast_tanh(AT(x, 0) + AT(r, 0)), lanes);
	}
}

static enum ns_status reset_states(const struct run *e, const float *x, float *reset, float *hidden)
{
	int64_t n, j, H = e->v->h;

	for (n = 0; n < e->v->n; n++, x += e->width)
		for (j = 0; j < H; j += 16) {
			int lanes = H - j < 16 ? (int)(H - j) : 16;
			const float *r = e->recurrent + n * e->width, *h = e->h + n * H;

			v16_store_f32(reset + n * H + j, v16_fast_sigmoid(AT(x, 1) + AT(r, 1)) * AT(h, 0), lanes);
		}
	start(hidden, e->v->n, H, e->b ? e->b + e->width + 2 * H : NULL);
	return times(hidden, e->v->n, H, H, reset, H, e->r + 2 * H * H);
}

static enum ns_status one_step(const struct run *e, int64_t t, float *y)
{
	const struct ns_op_recurrent *v = e->v;
	const float *x = e->given + t * v->n * e->width;
	float *reset = e->recurrent + v->n * e->width, *hidden = reset + v->n * v->h;
	int separate = v->how == NS_RECURRENT_GRU && !v->linear_before_reset;
	int64_t n;

	start(e->recurrent, v->n, e->width, e->b ? e->b + e->width : NULL);
	NS_TRY(times(e->recurrent, v->n, e->width, e->width, e->h, v->h, e->r));
	if (separate)
		NS_TRY(reset_states(e, x, reset, hidden));
	for (n = 0; n < v->n; n++, x += e->width) {
		const float *r = e->recurrent + n * e->width;
		float *h = e->h + n * v->h;

		if (v->how == NS_RECURRENT_LSTM)
			lstm(e, x, r, h, e->c + n * v->h);
		else if (v->how == NS_RECURRENT_GRU)
			gru(e, x, r, separate ? hidden + n * v->h : NULL, h);
		else
			rnn(e, x, r, h);
	}
	memcpy(y + t * v->n * v->h, e->h, sizeof *y * (size_t)(v->n * v->h));
	return NS_OK;
}

static enum ns_status recurrent_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_recurrent *v = &ns_cpu_op(plan)->u.recurrent;
	struct run e = {v,
			a->in[NS_RECURRENT_R],
			v->has[NS_RECURRENT_B] ? a->in[NS_RECURRENT_B] : NULL,
			gates(v) * v->h,
			a->workspace,
			NULL,
			a->out[NS_RECURRENT_H],
			a->out[NS_RECURRENT_C]};
	size_t state = sizeof(float) * (size_t)(v->n * v->h);
	int64_t s;

	(void)queue;
	e.recurrent = e.given + v->t * v->n * e.width;
	start(e.h, v->n, v->h, NULL);
	start(e.c, v->n, v->h, NULL);
	if (v->has[NS_RECURRENT_H0])
		memcpy(e.h, a->in[NS_RECURRENT_H0], state);
	if (v->has[NS_RECURRENT_C0])
		memcpy(e.c, a->in[NS_RECURRENT_C0], state);
	start(e.given, v->t * v->n, e.width, e.b);
	NS_TRY(times(e.given, v->t * v->n, e.width, e.width, a->in[NS_RECURRENT_X], v->i, a->in[NS_RECURRENT_W]));
	for (s = 0; s < v->t; s++)
		NS_TRY(one_step(&e, v->reverse ? v->t - 1 - s : s, a->out[NS_RECURRENT_Y]));
	return NS_OK;
}

static enum ns_status recurrent_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_recurrent *v = &op->u.recurrent;
	size_t floats;

	(void)dev;
	if (!is_usual(v))
		return NS_DECLINED;
	floats = (size_t)(gates(v) * v->h * v->n) * (size_t)(v->t + 1) + 2 * (size_t)(v->n * v->h);
	return ns_plain_plan_make(plan, op, floats * sizeof(float), recurrent_run);
}

const struct ns_impl ns_cpu_recurrent = {"recurrent/gemm", NS_OP_RECURRENT, recurrent_make};
