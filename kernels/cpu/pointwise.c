/*
 * kernels/cpu/pointwise.c - programs of formulas in f32, a tile of 256 elements at a time: each step is a loop over the tile, which stays in the first-level cache.
 * Sums, products, quotients, roots and choices have ref's bits; exp, sigmoid, tanh and what is made of them are polynomials within a few units in the last place.
 * Formulas without a loop here are ref's, element by element.
 */
#include "kernels/formula/pointwise.h"

#include <stdlib.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/fast.h"
#include "kernels/cpu/program.h"

#define TILE	  256
#define REGISTERS (NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS)

/* --- formulas over a tile --- */

#define STEP(name, expression)                                                                                                                       \
	case NS_PW_##name:                                                                                                                           \
		for (i = 0; i < n; i++) {                                                                                                            \
			const float a = pa[i], b = pb[i], c = pc[i];                                                                                 \
                                                                                                                                                     \
			(void)b, (void)c;                                                                                                            \
			y[i] = (expression);                                                                                                         \
		}                                                                                                                                    \
		return;

#define VECTORS(name, expression)                                                                                                                    \
	case NS_PW_##name:                                                                                                                           \
		for (i = 0; i < n; i += 16) {                                                                                                        \
			const v16f a = v16_load_f32(pa + i, 16), b = v16_load_f32(pb + i, 16), c = v16_load_f32(pc + i, 16);                         \
                                                                                                                                                     \
			(void)b, (void)c;                                                                                                            \
			v16_store_f32(y + i, (expression), 16);                                                                                      \
		}                                                                                                                                    \
		return;

#define SLOPE(name, which, expression)                                                                                                               \
	case NS_PW_SLOPE(NS_PW_##name, which):                                                                                                       \
		for (i = 0; i < n; i += 16) {                                                                                                        \
			const v16f a = v16_load_f32(pa + i, 16), b = v16_load_f32(pb + i, 16), c = v16_load_f32(pc + i, 16);                         \
                                                                                                                                                     \
			(void)a, (void)b, (void)c;                                                                                                   \
			v16_store_f32(y + i, (expression), 16);                                                                                      \
		}                                                                                                                                    \
		return;

static inline v16f truth(v16i mask)
{
	return v16_select(mask, v16_set(1), v16_set(0));
}

/* The derivative of y = logistic(x), and of x y. */
static inline v16f sigmoid_slope(v16f x)
{
	const v16f y = v16_fast_sigmoid(x);

	return y * (1 - y);
}

static inline v16f silu_slope(v16f x)
{
	const v16f y = v16_fast_sigmoid(x);

	return y + x * y * (1 - y);
}

static inline v16f tanh_slope(v16f x)
{
	const v16f y = v16_fast_tanh(x);

	return 1 - y * y;
}

/* Derivatives, and whatever has no loop of its own. n: a multiple of 16 */
static void slope(int code, int n, const float *restrict pa, const float *restrict pb, const float *restrict pc, float *restrict y)
{
	int i;

	switch (code) {
		SLOPE(DIV, 0, 1.0f / b)
		SLOPE(DIV, 1, -(a / b) / b)
		SLOPE(MIN, 0, truth(a < b))
		SLOPE(MIN, 1, truth(~(a < b)))
		SLOPE(MAX, 0, truth(a > b))
		SLOPE(MAX, 1, truth(~(a > b)))
		SLOPE(ABS, 0, truth(a > 0) - truth(a < 0))
		SLOPE(RECIPROCAL, 0, -1.0f / (a * a))
		SLOPE(EXP, 0, v16_fast_exp(a))
		SLOPE(LOG, 0, 1.0f / a)
		SLOPE(ERF, 0, 1.12837917f * v16_fast_exp(-a * a))
		SLOPE(RELU, 0, truth(a > 0))
		SLOPE(SIGMOID, 0, sigmoid_slope(a))
		SLOPE(SILU, 0, silu_slope(a))
		SLOPE(TANH, 0, tanh_slope(a))
		SLOPE(LEAKY, 0, v16_select(a < 0, b, v16_set(1)))
		SLOPE(LEAKY, 1, v16_select(a < 0, a, v16_set(0)))
		SLOPE(HARDSIGMOID, 0, v16_select((b * a + c > 0) & (b * a + c < 1), b, v16_set(0)))
		SLOPE(HARDSWISH, 0, v16_select(a <= -3, v16_set(0), v16_select(a >= 3, v16_set(1), a * 0.33333333f + 0.5f)))
	default:
		for (i = 0; i < n; i++)
			y[i] = (float)ns_formula_any(code, (double)pa[i], (double)pb[i], (double)pc[i]);
	}
}

/* n: a multiple of 16 */
static void step(int code, int n, const float *restrict pa, const float *restrict pb, const float *restrict pc, float *restrict y)
{
	int i;

	switch (code) {
		STEP(ADD, a + b)
		STEP(SUB, a - b)
		STEP(MUL, a * b)
		STEP(DIV, a / b)
		STEP(NEG, -a)
		STEP(ABS, fabsf(a))
		STEP(COPY, a)
		STEP(SQRT, sqrtf(a))
		STEP(RECIPROCAL, 1.0f / a)
		VECTORS(MIN, v16_select((a < b) | (a != a), a, b))
		VECTORS(MAX, v16_select((a > b) | (a != a), a, b))
		VECTORS(RELU, v16_select((a > 0) | (a != a), a, v16_set(0)))
		VECTORS(LEAKY, v16_select(a < 0, a * b, a))
		VECTORS(HARDSIGMOID, v16_between(b * a + c, 0, 1))
		VECTORS(HARDSWISH, a * v16_between(a * 0.16666667f + 0.5f, 0, 1))
		VECTORS(WHERE, v16_select(a != 0, b, c))
		VECTORS(EXP, v16_fast_exp(a))
		VECTORS(SIGMOID, v16_fast_sigmoid(a))
		VECTORS(SILU, a * v16_fast_sigmoid(a))
		VECTORS(TANH, v16_fast_tanh(a))
	default:
		slope(code, n, pa, pb, pc, y);
	}
}

/* --- tiles --- */

/* `rows` rows of `inner` elements of an input, in its tile or, where they may be read there, where they lie. */
static const float *load(const float *x, int64_t row, int64_t stride, int rows, int inner, int in_place, float *tile)
{
	int i, j, n = rows * inner, whole = (n + 15) / 16 * 16;
	float *to = tile;

	if (in_place && stride == 1 && (rows == 1 || row == inner) && n % 16 == 0)
		return x;
	if (stride == 0 && (rows == 1 || row == 0)) {
		for (i = 0; i < whole; i++)
			tile[i] = *x;
		return tile;
	}
	for (j = 0; j < rows; j++, x += row, to += inner)
		if (stride == 1)
			memcpy(to, x, sizeof *to * (size_t)inner);
		else
			for (i = 0; i < inner; i++)
				to[i] = x[i * stride];
	for (i = n; i < whole; i++) /* nobody reads them, but they are computed */
		tile[i] = tile[0];
	return tile;
}

struct part { /* of the result that is computed at once */
	const float *from[NS_POINTWISE_IN];
	int rows, inner, self; /* self: the input that is the result's own place; -1 */
};

static void one_tile(const struct ns_op_pointwise *v, const struct part *t, float *y, float (*tiles)[TILE])
{
	const float *r[REGISTERS];
	int k, last = v->inputs + v->constants + v->steps - 1, axis = v->out.rank - 1, n = t->rows * t->inner;
	float whole[TILE];

	for (k = 0; k < v->inputs; k++)
		r[k] = load(t->from[k], axis ? v->stride[k][axis - 1] : 0, v->stride[k][axis], t->rows, t->inner, k != t->self, tiles[k]);
	for (; k <= last; k++)
		r[k] = tiles[k];
	for (k = 0; k < v->steps; k++) {
		const struct ns_pw_step *s = &v->step[k];
		int to = v->inputs + v->constants + k;

		step(s->code, (n + 15) / 16 * 16, r[s->a], r[s->b], r[s->c], to < last ? tiles[to] : n % 16 ? whole : y);
	}
	if (n % 16)
		memcpy(y, whole, sizeof *y * (size_t)n);
}

/* --- programs --- */

int ns_cpu_takes_program(const struct ns_op_pointwise *v)
{
	int k, all = v->compute == NS_F32 && v->out_dtype == NS_F32;

	for (k = 0; k < v->inputs; k++)
		all &= v->in_dtype[k] == NS_F32;
	return all;
}

void ns_cpu_program_make(struct ns_cpu_program *p, const struct ns_op_pointwise *v)
{
	p->v = *v;
	p->count = ns_box_count(&v->out);
	ns_pointwise_collapse(&p->v);
	p->workspace_bytes = sizeof(float) * TILE * REGISTERS;
}

void ns_cpu_program_begin(const struct ns_cpu_program *p, void *workspace)
{
	float(*tiles)[TILE] = workspace;
	int k, i;

	for (k = 0; k < p->v.constants; k++)
		for (i = 0; i < TILE; i++)
			tiles[p->v.inputs + k][i] = (float)p->v.constant[k];
}

/* Where the inputs are at a place of the result. */
struct walk {
	int64_t place[NS_RANK], at[NS_POINTWISE_IN];
};

static void start_at(const struct ns_op_pointwise *v, int64_t row, struct walk *w)
{
	int d, k;

	memset(w, 0, sizeof *w);
	for (d = v->out.rank - 2; d >= 0; d--) {
		w->place[d] = row % v->out.dim[d];
		row /= v->out.dim[d];
		for (k = 0; k < v->inputs; k++)
			w->at[k] += w->place[d] * v->stride[k][d];
	}
}

/* `rows` rows on, which are of one line of rows. */
static void go_on(const struct ns_op_pointwise *v, int64_t rows, struct walk *w)
{
	int d, k;

	for (d = v->out.rank - 2; d >= 0; d--, rows = 1) {
		for (k = 0; k < v->inputs; k++)
			w->at[k] += rows * v->stride[k][d];
		w->place[d] += rows;
		if (w->place[d] < v->out.dim[d])
			break;
		for (k = 0; k < v->inputs; k++)
			w->at[k] -= v->stride[k][d] * v->out.dim[d];
		w->place[d] = 0;
	}
}

void ns_cpu_program_run(const struct ns_cpu_program *p, const void *const *in, int self, float *y, int64_t begin, int64_t end, void *workspace)
{
	const struct ns_op_pointwise *v = &p->v;
	int axis = v->out.rank - 1, k;
	int64_t inner = v->out.dim[axis], column, rows, n;
	struct part t = {.self = self};
	struct walk w;

	if (begin >= end)
		return;
	start_at(v, begin / inner, &w);
	for (column = begin % inner; begin < end; begin += n) {
		rows = axis ? v->out.dim[axis - 1] - w.place[axis - 1] : 1;
		rows = rows < TILE / inner ? rows : TILE / inner;
		rows = rows < (end - begin) / inner ? rows : (end - begin) / inner;
		rows = column || rows < 1 ? 1 : rows;
		n = rows > 1 ? rows * inner : inner - column < TILE ? inner - column : TILE;
		n = n < end - begin ? n : end - begin;
		t.rows = (int)rows;
		t.inner = (int)(n / rows);
		for (k = 0; k < v->inputs; k++)
			t.from[k] = (const float *)in[k] + w.at[k] + column * v->stride[k][axis];
		one_tile(v, &t, y + begin, workspace);
		column = rows > 1 ? inner : column + n;
		if (column == inner) {
			go_on(v, rows, &w);
			column = 0;
		}
	}
}

struct pointwise_plan {
	struct ns_plan base;
	struct ns_cpu_program program;
};

static enum ns_status pointwise_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_cpu_program *p = &((const struct pointwise_plan *)plan)->program;

	(void)queue;
	ns_cpu_program_begin(p, a->workspace);
	ns_cpu_program_run(p, a->in, -1, a->out[NS_POINTWISE_Y], 0, p->count, a->workspace);
	return NS_OK;
}

static void pointwise_free(struct ns_plan *plan)
{
	free(plan);
}

static enum ns_status pointwise_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	struct pointwise_plan *p;

	(void)dev;
	if (!ns_cpu_takes_program(&op->u.pointwise))
		return NS_DECLINED;
	p = calloc(1, sizeof *p);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	ns_cpu_program_make(&p->program, &op->u.pointwise);
	p->base.run = pointwise_run;
	p->base.free = pointwise_free;
	p->base.workspace_bytes = p->program.workspace_bytes;
	*plan = &p->base;
	return NS_OK;
}

const struct ns_impl ns_cpu_pointwise = {"pointwise/tiles", NS_OP_POINTWISE, pointwise_make};
