/*
 * kernels/ref/recurrent_back.c - the gradient of RNN, GRU and LSTM: each image forward once more, its gates kept, and then back through its steps. In double, where states are those
 * of f32 that went forward.
 */
#include "kernels/formula/pointwise.h"
#include "kernels/ref/ref.h"

struct back {
	const struct ns_op_recurrent *v;
	const float *in[8], *dy, *dh, *dc;
	float *dx;
	int64_t gates, length;
	double *z, *y; /* of each step and gate: before its activation, and behind it */
	double *h, *c,
		*kept; /* of each step: the states before it, one step more than there are; of GRU what the last gate's product is of, or gives */
	double *dz, *dq, *du, *ds; /* of one step: of gates as x gives them; of the last gate as h gives it; of r h; of the state before */
	double *dw, *dr, *db, *dh0, *dc0;
};

static double activate(const struct ns_op_recurrent *v, int which, double x)
{
	return ns_formula(v->code[which], v->clip > 0 ? ns_clamp_f64(x, -v->clip, v->clip) : x, v->alpha[which], v->beta[which]);
}

static double slope(const struct ns_op_recurrent *v, int which, double x)
{
	if (v->clip > 0 && fabs(x) >= v->clip)
		return 0;
	return ns_formula_slope(v->code[which], 0, x, v->alpha[which], v->beta[which]);
}

static double given(const struct back *b, int64_t g, const float *x)
{
	double sum = b->in[NS_RECURRENT_B] ? (double)b->in[NS_RECURRENT_B][g] : 0;
	int64_t i;

	for (i = 0; i < b->v->i; i++)
		sum += (double)b->in[NS_RECURRENT_W][g * b->v->i + i] * (double)x[i];
	return sum;
}

static double recurrent(const struct back *b, int64_t g, const double *h)
{
	double sum = b->in[NS_RECURRENT_B] ? (double)b->in[NS_RECURRENT_B][b->gates * b->v->h + g] : 0;
	int64_t i;

	for (i = 0; i < b->v->h; i++)
		sum += (double)b->in[NS_RECURRENT_R][g * b->v->h + i] * h[i];
	return sum;
}

/* Gates of one step and the states after it. */
static void ahead(const struct back *b, const float *x, double *z, double *y, const double *h, const double *c, double *kept, double *h2, double *c2)
{
	const struct ns_op_recurrent *v = b->v;
	int64_t H = v->h, j, g, last = v->how == NS_RECURRENT_GRU ? 2 * H : b->gates * H;

	for (g = 0; g < last; g++) {
		z[g] = given(b, g, x) + recurrent(b, g, h);
		y[g] = activate(v, v->how == NS_RECURRENT_LSTM && g >= 3 * H ? 1 : 0, z[g]);
	}
	if (v->how == NS_RECURRENT_GRU && !v->linear_before_reset)
		for (j = 0; j < H; j++)
			kept[j] = y[H + j] * h[j];
	for (j = 0; j < H; j++) {
		if (v->how == NS_RECURRENT_RNN) {
			h2[j] = (double)(float)y[j];
		} else if (v->how == NS_RECURRENT_LSTM) { /* i, o, f, c */
			y[2 * H + j] = v->couple ? 1 - y[j] : y[2 * H + j];
			c2[j] = (double)(float)(y[2 * H + j] * c[j] + y[j] * y[3 * H + j]);
			h2[j] = (double)(float)(y[H + j] * activate(v, 2, c2[j]));
		} else { /* z, r, h */
			if (v->linear_before_reset)
				kept[j] = recurrent(b, 2 * H + j, h);
			z[2 * H + j] = given(b, 2 * H + j, x) + (v->linear_before_reset ? y[H + j] * kept[j] : recurrent(b, 2 * H + j, kept));
			y[2 * H + j] = activate(v, 1, z[2 * H + j]);
			h2[j] = (double)(float)((1 - y[j]) * y[2 * H + j] + y[j] * h[j]);
		}
	}
}

/* What weights of gate g learn of one step: d of its sum, u what its recurrent weights were multiplied by. */
static void learn(const struct back *b, int64_t g, const float *x, double d, double of_r, const double *u)
{
	const int64_t H = b->v->h;
	int64_t i;

	for (i = 0; i < b->v->i; i++)
		b->dw[g * b->v->i + i] += d * (double)x[i];
	for (i = 0; i < H; i++)
		b->dr[g * H + i] += of_r * u[i];
	b->db[g] += d;
	b->db[b->gates * H + g] += of_r;
}

/* ds: of the state after a step, and then of that before it, as far as it goes by itself; dz: of gates. */
static void gate_slopes(const struct back *b, const double *z, const double *y, const double *h, const double *c, const double *c2,
			const double *kept)
{
	const struct ns_op_recurrent *v = b->v;
	int64_t H = v->h, j;

	for (j = 0; j < H; j++) {
		double d = b->ds[j];

		if (v->how == NS_RECURRENT_RNN) {
			b->dz[j] = d * slope(v, 0, z[j]);
			b->ds[j] = 0;
		} else if (v->how == NS_RECURRENT_LSTM) {
			double cell = b->dc0[j] + d * y[H + j] * slope(v, 2, c2[j]);

			b->dz[j] = (cell * y[3 * H + j] - (v->couple ? cell * c[j] : 0)) * slope(v, 0, z[j]);
			b->dz[H + j] = d * activate(v, 2, c2[j]) * slope(v, 0, z[H + j]);
			b->dz[2 * H + j] = v->couple ? 0 : cell * c[j] * slope(v, 0, z[2 * H + j]);
			b->dz[3 * H + j] = cell * y[j] * slope(v, 1, z[3 * H + j]);
			b->dc0[j] = cell * y[2 * H + j];
			b->ds[j] = 0;
		} else {
			b->dz[j] = d * (h[j] - y[2 * H + j]) * slope(v, 0, z[j]);
			b->dz[2 * H + j] = d * (1 - y[j]) * slope(v, 1, z[2 * H + j]);
			b->dq[j] = v->linear_before_reset ? b->dz[2 * H + j] * y[H + j] : b->dz[2 * H + j];
			b->ds[j] = d * y[j];
		}
	}
	if (v->how == NS_RECURRENT_GRU)
		for (j = 0; j < H; j++) {
			int64_t i;

			for (b->du[j] = 0, i = 0; i < H; i++)
				b->du[j] += b->dq[i] * (double)b->in[NS_RECURRENT_R][(2 * H + i) * H + j];
			b->dz[H + j] = (v->linear_before_reset ? b->dz[2 * H + j] * kept[j] : b->du[j] * h[j]) * slope(v, 0, z[H + j]);
			b->ds[j] += v->linear_before_reset ? b->du[j] : b->du[j] * y[H + j];
		}
}

static void step_back(const struct back *b, const float *x, const double *h, const double *kept, float *dx)
{
	const struct ns_op_recurrent *v = b->v;
	int64_t H = v->h, g, i, rows = v->how == NS_RECURRENT_GRU ? 2 * H : b->gates * H;

	for (g = 0; g < b->gates * H; g++)
		learn(b, g, x, b->dz[g], g < rows ? b->dz[g] : b->dq[g - rows], g < rows || v->linear_before_reset ? h : kept);
	for (i = 0; i < H; i++)
		for (g = 0; g < rows; g++)
			b->ds[i] += b->dz[g] * (double)b->in[NS_RECURRENT_R][g * H + i];
	for (i = 0; dx && i < v->i; i++) {
		double sum = 0;

		for (g = 0; g < b->gates * H; g++)
			sum += b->dz[g] * (double)b->in[NS_RECURRENT_W][g * v->i + i];
		dx[i] = (float)sum;
	}
}

static void one_image(struct back *b, int64_t n)
{
	const struct ns_op_recurrent *v = b->v;
	int64_t H = v->h, G = b->gates * H, s, t, j;
	const int32_t *lengths = (const int32_t *)(const void *)b->in[NS_RECURRENT_LENGTHS];

	b->length = lengths ? lengths[n] : v->t;
	b->length = b->length < 0 ? 0 : b->length > v->t ? v->t : b->length;
	for (j = 0; j < H; j++) {
		b->h[j] = b->in[NS_RECURRENT_H0] ? (double)b->in[NS_RECURRENT_H0][n * H + j] : 0;
		b->c[j] = b->in[NS_RECURRENT_C0] ? (double)b->in[NS_RECURRENT_C0][n * H + j] : 0;
		b->ds[j] = b->dh ? (double)b->dh[n * H + j] : 0;
		b->dc0[j] = b->dc ? (double)b->dc[n * H + j] : 0;
	}
	for (t = 0; b->dx && t < v->t; t++)
		for (j = 0; j < v->i; j++)
			b->dx[(t * v->n + n) * v->i + j] = 0;
	for (s = 0; s < b->length; s++) {
		t = v->reverse ? b->length - 1 - s : s;
		ahead(b, b->in[NS_RECURRENT_X] + (t * v->n + n) * v->i, b->z + s * G, b->y + s * G, b->h + s * H, b->c + s * H, b->kept + s * H,
		      b->h + (s + 1) * H, b->c + (s + 1) * H);
	}
	for (s = b->length - 1; s >= 0; s--) {
		t = v->reverse ? b->length - 1 - s : s;
		for (j = 0; b->dy && j < H; j++)
			b->ds[j] += (double)b->dy[(t * v->n + n) * H + j];
		gate_slopes(b, b->z + s * G, b->y + s * G, b->h + s * H, b->c + s * H, b->c + (s + 1) * H, b->kept + s * H);
		step_back(b, b->in[NS_RECURRENT_X] + (t * v->n + n) * v->i, b->h + s * H, b->kept + s * H,
			  b->dx ? b->dx + (t * v->n + n) * v->i : NULL);
	}
}

static int64_t gates_of(const struct ns_op_recurrent *v)
{
	return v->how == NS_RECURRENT_RNN ? 1 : v->how == NS_RECURRENT_GRU ? 3 : 4;
}

static int64_t doubles(const struct ns_op_recurrent *v)
{
	int64_t H = v->h, G = gates_of(v) * H;

	return 2 * v->t * G + 3 * (v->t + 1) * H + G + 4 * H + G * v->i + G * H + 2 * G;
}

static void put(float *to, const double *from, int64_t n)
{
	int64_t i;

	for (i = 0; to && i < n; i++)
		to[i] = (float)from[i];
}

static enum ns_status back_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_recurrent *v = &ns_ref_op(plan)->u.recurrent;
	struct back b = {.v = v, .gates = gates_of(v), .dx = a->out[NS_RECURRENT_DX]};
	int64_t H = v->h, G = b.gates * H, n;
	int k;

	(void)queue;
	for (k = 0; k < 8; k++)
		b.in[k] = v->has[k] ? a->in[k] : NULL;
	b.dy = a->in[NS_RECURRENT_DY];
	b.dh = a->in[NS_RECURRENT_DYH];
	b.dc = a->in[NS_RECURRENT_DYC];
	b.z = a->workspace;
	b.y = b.z + v->t * G;
	b.h = b.y + v->t * G;
	b.c = b.h + (v->t + 1) * H;
	b.kept = b.c + (v->t + 1) * H;
	b.dz = b.kept + (v->t + 1) * H;
	b.dq = b.dz + G;
	b.du = b.dq + H;
	b.ds = b.du + H;
	b.dc0 = b.ds + H;
	b.dw = b.dc0 + H;
	b.dr = b.dw + G * v->i;
	b.db = b.dr + G * H;
	memset(b.dw, 0, sizeof(double) * (size_t)(G * v->i + G * H + 2 * G));
	for (n = 0; n < v->n; n++) {
		one_image(&b, n);
		put(a->out[NS_RECURRENT_DH0] ? (float *)a->out[NS_RECURRENT_DH0] + n * H : NULL, b.ds, H);
		put(a->out[NS_RECURRENT_DC0] ? (float *)a->out[NS_RECURRENT_DC0] + n * H : NULL, b.dc0, H);
	}
	put(a->out[NS_RECURRENT_DW], b.dw, G * v->i);
	put(a->out[NS_RECURRENT_DR], b.dr, G * H);
	put(a->out[NS_RECURRENT_DB], b.db, 2 * G);
	return NS_OK;
}

NS_REF_IMPL(ns_ref_recurrent_back, "recurrent_back/ref", NS_OP_RECURRENT_BACK, back_run, sizeof(double) * (size_t)doubles(&op->u.recurrent));
