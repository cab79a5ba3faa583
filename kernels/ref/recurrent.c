/* kernels/ref/recurrent.c - RNN, GRU and LSTM, step by step, in f32 with sums in double. */
#include "kernels/formula/pointwise.h"
#include "kernels/ref/ref.h"

struct cell {
	const struct ns_op_recurrent *v;
	const float *x, *w, *r, *b, *h0, *c0, *p;
	const int32_t *lengths;
	float *y, *h, *c;
	double *gate; /* G * H of the image at hand, then what R h gives, then the state before */
	double *recurrent, *before;
};

static double activate(const struct ns_op_recurrent *v, int which, double x)
{
	if (v->clip > 0)
		x = ns_clamp_f64(x, -v->clip, v->clip);
	return ns_formula(v->code[which], x, v->alpha[which], v->beta[which]);
}

static int gates(const struct ns_op_recurrent *v)
{
	return v->how == NS_RECURRENT_RNN ? 1 : v->how == NS_RECURRENT_GRU ? 3 : 4;
}

/* gate = W x + bias of W, recurrent = R h + bias of R */
static void products(const struct cell *e, const float *x, const float *h)
{
	const struct ns_op_recurrent *v = e->v;
	int64_t g, i, n = gates(v) * v->h;

	for (g = 0; g < n; g++) {
		e->gate[g] = e->b ? (double)e->b[g] : 0;
		e->recurrent[g] = e->b ? (double)e->b[n + g] : 0;
		for (i = 0; i < v->i; i++)
			e->gate[g] += (double)e->w[g * v->i + i] * (double)x[i];
		for (i = 0; i < v->h; i++)
			e->recurrent[g] += (double)e->r[g * v->h + i] * (double)h[i];
	}
}

static void step_lstm(const struct cell *e, float *h, float *c)
{
	const struct ns_op_recurrent *v = e->v;
	int64_t j, H = v->h;

	for (j = 0; j < H; j++) { /* i, o, f, c */
		double before = (double)c[j], in, out, forget, cell;

		in = activate(v, 0, e->gate[j] + e->recurrent[j] + (e->p ? (double)e->p[j] * before : 0));
		forget = activate(v, 0, e->gate[2 * H + j] + e->recurrent[2 * H + j] + (e->p ? (double)e->p[2 * H + j] * before : 0));
		if (v->couple)
			forget = 1 - in;
		cell = forget * before + in * activate(v, 1, e->gate[3 * H + j] + e->recurrent[3 * H + j]);
		out = activate(v, 0, e->gate[H + j] + e->recurrent[H + j] + (e->p ? (double)e->p[H + j] * cell : 0));
		c[j] = (float)cell;
		h[j] = (float)(out * activate(v, 2, cell));
	}
}

static void step_gru(const struct cell *e, float *h)
{
	const struct ns_op_recurrent *v = e->v;
	int64_t j, i, H = v->h;

	for (j = 0; j < H; j++) { /* z, r, h */
		e->before[j] = (double)h[j];
		e->gate[j] = activate(v, 0, e->gate[j] + e->recurrent[j]);
		e->gate[H + j] = activate(v, 0, e->gate[H + j] + e->recurrent[H + j]);
	}
	for (j = 0; j < H; j++) {
		double hidden = e->gate[H + j] * e->recurrent[2 * H + j];

		if (!v->linear_before_reset) {
			hidden = e->b ? (double)e->b[5 * H + j] : 0;
			for (i = 0; i < H; i++)
				hidden += (double)e->r[(2 * H + j) * H + i] * (e->gate[H + i] * e->before[i]);
		}
		hidden = activate(v, 1, e->gate[2 * H + j] + hidden);
		h[j] = (float)((1 - e->gate[j]) * hidden + e->gate[j] * e->before[j]);
	}
}

static void one_image(const struct cell *e, int64_t n)
{
	const struct ns_op_recurrent *v = e->v;
	int64_t j, s, t, length = e->lengths ? e->lengths[n] : v->t;
	float *h = e->h + n * v->h, *c = e->c + n * v->h;

	length = length < 0 ? 0 : length > v->t ? v->t : length;
	for (j = 0; j < v->h; j++) {
		h[j] = e->h0 ? e->h0[n * v->h + j] : 0;
		c[j] = e->c0 ? e->c0[n * v->h + j] : 0;
	}
	for (t = 0; t < v->t; t++)
		for (j = 0; j < v->h; j++)
			e->y[(t * v->n + n) * v->h + j] = 0;
	for (s = 0; s < length; s++) {
		t = v->reverse ? length - 1 - s : s;
		products(e, e->x + (t * v->n + n) * v->i, h);
		if (v->how == NS_RECURRENT_LSTM)
			step_lstm(e, h, c);
		else if (v->how == NS_RECURRENT_GRU)
			step_gru(e, h);
		else
			for (j = 0; j < v->h; j++)
				h[j] = (float)activate(v, 0, e->gate[j] + e->recurrent[j]);
		for (j = 0; j < v->h; j++)
			e->y[(t * v->n + n) * v->h + j] = h[j];
	}
}

static enum ns_status recurrent_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_recurrent *v = &ns_ref_op(plan)->u.recurrent;
	const void *in[8];
	double *scratch = a->workspace;
	int64_t n;
	int k;

	(void)queue;
	for (k = 0; k < 8; k++)
		in[k] = v->has[k] ? a->in[k] : NULL;
	for (n = 0; n < v->n; n++)
		one_image(&(struct cell){v, in[NS_RECURRENT_X], in[NS_RECURRENT_W], in[NS_RECURRENT_R], in[NS_RECURRENT_B], in[NS_RECURRENT_H0],
					 in[NS_RECURRENT_C0], in[NS_RECURRENT_P], in[NS_RECURRENT_LENGTHS], a->out[NS_RECURRENT_Y],
					 a->out[NS_RECURRENT_H], a->out[NS_RECURRENT_C], scratch, scratch + 4 * v->h, scratch + 8 * v->h},
			  n);
	return NS_OK;
}

NS_REF_IMPL(ns_ref_recurrent, "recurrent/ref", NS_OP_RECURRENT, recurrent_run, (size_t)op->u.recurrent.h * 9 * sizeof(double));
