/*
 * kernels/cpu/recurrent_back.c - the gradient of RNN, GRU and LSTM with their usual activations: forward once more with the gates kept, back step by step, and then the weights' and
 * the inputs' gradients of all steps at once, as products of matrices.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/fast.h"
#include "kernels/cpu/recurrent_inner.h"

/* By step in the order of x, then image: gates behind their activations (width), the states before, and of GRU's last gate what it is of (r h), or what h gives. */
struct back {
	const struct ns_op_recurrent *v;
	const float *x, *w, *r, *b; /* b: biases or NULL */
	int64_t width;
	float *gate, *before, *cell, *kept;
	float *dz, *dq;		   /* of gates as x gives them; of GRU's last one as h gives it */
	float *now, *h, *c, *more; /* of one step: what h gives (n, width); states; (n, h) */
};

static int64_t floats(const struct ns_op_recurrent *v)
{
	const int64_t W = gates(v) * v->h;

	return v->t * v->n * (2 * W + 4 * v->h) + v->n * (W + 3 * v->h);
}

/* Where the arrays of a workspace are. */
static void lay_out(const struct ns_op_recurrent *v, float *at, struct back *b)
{
	const int64_t all = v->t * v->n, H = v->h, W = gates(v) * H;

	b->gate = at;
	b->before = b->gate + all * W;
	b->cell = b->before + all * H;
	b->kept = b->cell + all * H;
	b->dz = b->kept + all * H;
	b->dq = b->dz + all * W;
	b->now = b->dq + all * H;
	b->h = b->now + v->n * W;
	b->c = b->h + v->n * H;
	b->more = b->c + v->n * H;
}

/* --- forward --- */

static void activate(const struct back *b, int64_t row, int64_t j, int lanes)
{
	const int64_t H = b->v->h;
	float *y = b->gate + row * b->width, *h = b->h + row % b->v->n * H, *c = b->c + row % b->v->n * H;
	const float *r = b->now + row % b->v->n * b->width;

	if (b->v->how == NS_RECURRENT_LSTM) {
		const v16f in = v16_fast_sigmoid(AT(y, 0) + AT(r, 0)), out = v16_fast_sigmoid(AT(y, 1) + AT(r, 1)),
			   forget = v16_fast_sigmoid(AT(y, 2) + AT(r, 2)), new = v16_fast_tanh(AT(y, 3) + AT(r, 3)),
			   cell = forget *AT(c, 0) + in *new;

		v16_store_f32(y + j, in, lanes);
		v16_store_f32(y + H + j, out, lanes);
		v16_store_f32(y + 2 * H + j, forget, lanes);
		v16_store_f32(y + 3 * H + j, new, lanes);
		v16_store_f32(c + j, cell, lanes);
		v16_store_f32(h + j, out * v16_fast_tanh(cell), lanes);
		return;
	}
	if (b->v->how == NS_RECURRENT_RNN) {
		v16_store_f32(y + j, v16_fast_tanh(AT(y, 0) + AT(r, 0)), lanes);
		v16_store_f32(h + j, AT(y, 0), lanes);
		return;
	}
	v16_store_f32(y + j, v16_fast_sigmoid(AT(y, 0) + AT(r, 0)), lanes);
	v16_store_f32(y + H + j, v16_fast_sigmoid(AT(y, 1) + AT(r, 1)), lanes);
	v16_store_f32(b->kept + row * H + j, b->v->linear_before_reset ? AT(r, 2) : AT(y, 1) * AT(h, 0), lanes);
}

/* GRU's last gate, once r is known of all; more: what r h gives. */
static void last_gate(const struct back *b, int64_t row, int64_t j, int lanes)
{
	const int64_t H = b->v->h;
	float *y = b->gate + row * b->width, *h = b->h + row % b->v->n * H, *kept = b->kept + row * H, *more = b->more + row % b->v->n * H;
	const v16f new = v16_fast_tanh(AT(y, 2) + (b->v->linear_before_reset ? AT(y, 1) * AT(kept, 0) : AT(more, 0)));

	v16_store_f32(y + 2 * H + j, new, lanes);
	v16_store_f32(h + j, (1.0f - AT(y, 0)) * new + AT(y, 0) * AT(h, 0), lanes);
}

/* Something done to the states of each image of a step, sixteen of them at a time. */
typedef void on_states(const struct back *b, int64_t row, int64_t j, int lanes);

static void each(const struct back *b, int64_t t, on_states *go)
{
	const int64_t H = b->v->h;
	int64_t n, j;

	for (n = 0; n < b->v->n; n++)
		for (j = 0; j < H; j += 16)
			go(b, t * b->v->n + n, j, H - j < 16 ? (int)(H - j) : 16);
}

static enum ns_status ahead(const struct back *b, int64_t t)
{
	const struct ns_op_recurrent *v = b->v;
	const int64_t H = v->h, states = v->n * H;

	memcpy(b->before + t * states, b->h, sizeof *b->h * (size_t)states);
	memcpy(b->cell + t * states, b->c, sizeof *b->c * (size_t)states);
	start(b->now, v->n, b->width, b->b ? b->b + b->width : NULL);
	NS_TRY(times(b->now, v->n, b->width, b->width, b->h, H, b->r));
	each(b, t, activate);
	if (v->how != NS_RECURRENT_GRU)
		return NS_OK;
	if (!v->linear_before_reset) {
		start(b->more, v->n, H, b->b ? b->b + b->width + 2 * H : NULL);
		NS_TRY(times(b->more, v->n, H, H, b->kept + t * states, H, b->r + 2 * H * H));
	}
	each(b, t, last_gate);
	return NS_OK;
}

/* --- back: h and c are now gradients of the states --- */

static void slopes(const struct back *b, int64_t row, int64_t j, int lanes)
{
	const int64_t H = b->v->h;
	const float *y = b->gate + row * b->width, *before = b->before + row * H, *cell = b->cell + row * H;
	float *dz = b->dz + row * b->width, *dh = b->h + row % b->v->n * H, *dc = b->c + row % b->v->n * H;
	const v16f d = AT(dh, 0), i = AT(y, 0);

	if (b->v->how == NS_RECURRENT_RNN) {
		v16_store_f32(dz + j, d * (1.0f - i * i), lanes);
		return;
	}
	if (b->v->how == NS_RECURRENT_LSTM) {
		const v16f out = AT(y, 1), forget = AT(y, 2), new = AT(y, 3), held = v16_fast_tanh(forget * AT(cell, 0) + i * new),
			   inner = AT(dc, 0) + d *out *(1.0f - held * held);

		v16_store_f32(dz + j, inner * new *i *(1.0f - i), lanes);
		v16_store_f32(dz + H + j, d * held * out * (1.0f - out), lanes);
		v16_store_f32(dz + 2 * H + j, inner * AT(cell, 0) * forget * (1.0f - forget), lanes);
		v16_store_f32(dz + 3 * H + j, inner * i * (1.0f - new *new), lanes);
		v16_store_f32(dc + j, inner * forget, lanes);
		return;
	}
	v16_store_f32(dz + j, d * (AT(before, 0) - AT(y, 2)) * i * (1.0f - i), lanes);
	v16_store_f32(dz + 2 * H + j, d * (1.0f - i) * (1.0f - AT(y, 2) * AT(y, 2)), lanes);
	v16_store_f32(b->dq + row * H + j, b->v->linear_before_reset ? AT(dz, 2) * AT(y, 1) : AT(dz, 2), lanes);
	v16_store_f32(dh + j, d * i, lanes);
}

/* GRU's reset gate; more: what dq gives through the last gate's weights. */
static void reset_slopes(const struct back *b, int64_t row, int64_t j, int lanes)
{
	const int64_t H = b->v->h;
	const float *y = b->gate + row * b->width, *before = b->before + row * H, *kept = b->kept + row * H, *more = b->more + row % b->v->n * H;
	float *dz = b->dz + row * b->width, *dh = b->h + row % b->v->n * H;
	const v16f r = AT(y, 1);

	v16_store_f32(dz + H + j, (b->v->linear_before_reset ? AT(dz, 2) * AT(kept, 0) : AT(more, 0) * AT(before, 0)) * r * (1.0f - r), lanes);
	v16_store_f32(dh + j, AT(dh, 0) + (b->v->linear_before_reset ? AT(more, 0) : AT(more, 0) * r), lanes);
}

/* y (n, width) = rows of d (n, depth) in rows of ldd, times w (depth, width), + beta y */
static enum ns_status through(float *y, int64_t n, int64_t width, const float *d, int64_t ldd, int64_t depth, const float *w, float beta)
{
	return ns_gemm(n, width, depth, (struct ns_operand){d, ldd, 1}, (struct ns_operand){w, width, 1}, beta, y, width);
}

static enum ns_status step_back(const struct back *b, int64_t t, const float *dy)
{
	const struct ns_op_recurrent *v = b->v;
	const int64_t H = v->h, states = v->n * H, is_gru = v->how == NS_RECURRENT_GRU;
	const float *dz = b->dz + t * v->n * b->width;
	int64_t i;

	for (i = 0; dy && i < states; i++)
		b->h[i] += dy[t * states + i];
	each(b, t, slopes);
	if (!is_gru)
		return through(b->h, v->n, H, dz, b->width, b->width, b->r, 0);
	NS_TRY(through(b->more, v->n, H, b->dq + t * states, H, H, b->r + 2 * H * H, 0));
	each(b, t, reset_slopes);
	return through(b->h, v->n, H, dz, b->width, 2 * H, b->r, 1);
}

/* --- all steps --- */

/* y (width, depth) = d' x, of rows of d in rows of ldd */
static enum ns_status turned(float *y, int64_t width, int64_t depth, int64_t rows, const float *d, int64_t ldd, const float *x)
{
	return ns_gemm(width, depth, rows, (struct ns_operand){d, 1, ldd}, (struct ns_operand){x, depth, 1}, 0, y, depth);
}

static void columns(float *to, const float *d, int64_t rows, int64_t ldd, int64_t n)
{
	int64_t i, k;

	for (k = 0; k < n; k++) {
		double sum = 0;

		for (i = 0; i < rows; i++)
			sum += (double)d[i * ldd + k];
		to[k] = (float)sum;
	}
}

static enum ns_status of_weights(const struct back *b, const struct ns_args *a)
{
	const struct ns_op_recurrent *v = b->v;
	const int64_t H = v->h, rows = v->t * v->n, W = b->width, plain = v->how == NS_RECURRENT_GRU ? 2 * H : W;
	float *dr = a->out[NS_RECURRENT_DR], *db = a->out[NS_RECURRENT_DB];

	if (a->out[NS_RECURRENT_DX])
		NS_TRY(through(a->out[NS_RECURRENT_DX], rows, v->i, b->dz, W, W, b->w, 0));
	if (a->out[NS_RECURRENT_DW])
		NS_TRY(turned(a->out[NS_RECURRENT_DW], W, v->i, rows, b->dz, W, b->x));
	if (dr)
		NS_TRY(turned(dr, plain, H, rows, b->dz, W, b->before));
	if (dr && plain < W)
		NS_TRY(turned(dr + plain * H, H, H, rows, b->dq, H, v->linear_before_reset ? b->before : b->kept));
	if (db) {
		columns(db, b->dz, rows, W, W);
		memcpy(db + W, db, sizeof *db * (size_t)plain);
		if (plain < W)
			columns(db + W + plain, b->dq, rows, H, H);
	}
	return NS_OK;
}

static void put_states(float *to, const void *from, size_t bytes)
{
	if (from)
		memcpy(to, from, bytes);
	else
		memset(to, 0, bytes);
}

static enum ns_status back_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_recurrent *v = &ns_cpu_op(plan)->u.recurrent;
	struct back b = {.v = v, .width = gates(v) * v->h};
	const size_t states = sizeof(float) * (size_t)(v->n * v->h);
	int64_t s;

	(void)queue;
	lay_out(v, a->workspace, &b);
	b.x = a->in[NS_RECURRENT_X];
	b.w = a->in[NS_RECURRENT_W];
	b.r = a->in[NS_RECURRENT_R];
	b.b = v->has[NS_RECURRENT_B] ? a->in[NS_RECURRENT_B] : NULL;
	put_states(b.h, v->has[NS_RECURRENT_H0] ? a->in[NS_RECURRENT_H0] : NULL, states);
	put_states(b.c, v->has[NS_RECURRENT_C0] ? a->in[NS_RECURRENT_C0] : NULL, states);
	start(b.gate, v->t * v->n, b.width, b.b);
	NS_TRY(times(b.gate, v->t * v->n, b.width, b.width, b.x, v->i, b.w));
	for (s = 0; s < v->t; s++)
		NS_TRY(ahead(&b, v->reverse ? v->t - 1 - s : s));
	put_states(b.h, a->in[NS_RECURRENT_DYH], states);
	put_states(b.c, a->in[NS_RECURRENT_DYC], states);
	for (s = v->t - 1; s >= 0; s--)
		NS_TRY(step_back(&b, v->reverse ? v->t - 1 - s : s, a->in[NS_RECURRENT_DY]));
	if (a->out[NS_RECURRENT_DH0])
		memcpy(a->out[NS_RECURRENT_DH0], b.h, states);
	if (a->out[NS_RECURRENT_DC0])
		memcpy(a->out[NS_RECURRENT_DC0], b.c, states);
	return of_weights(&b, a);
}

static enum ns_status back_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_recurrent *v = &op->u.recurrent;

	(void)dev;
	if (!is_usual(v))
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, sizeof(float) * (size_t)floats(v), back_run);
}

const struct ns_impl ns_cpu_recurrent_back = {"recurrent_back/gemm", NS_OP_RECURRENT_BACK, back_make};
