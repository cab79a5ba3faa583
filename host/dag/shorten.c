/*
 * host/dag/shorten.c - what a file writes as several formulas, and is one: x * clip(x + 3, 0, 6) / 6 in its spellings, x * sigmoid(x). Equal but for rounding.
 */
#include <math.h>

#include "host/dag/dag_inner.h"
#include "kernels/formula/pointwise.h"

struct reader { /* of a program: how often each register is read */
	struct ns_op_pointwise *v;
	int reads[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS];
};

static void count_reads(struct reader *r)
{
	int k;

	for (k = 0; k < NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS; k++)
		r->reads[k] = 0;
	for (k = 0; k < r->v->steps; k++) {
		const struct ns_pw_step *s = &r->v->step[k];
		int operands = ns_formula_operands(s->code);

		r->reads[s->a]++;
		r->reads[s->b] += operands > 1;
		r->reads[s->c] += operands > 2;
	}
}

/* The step that makes a register, if it is of this code and read once; NULL. */
static const struct ns_pw_step *made_by(const struct reader *r, int reg, int code)
{
	int k = reg - r->v->inputs - r->v->constants;

	return k >= 0 && r->v->step[k].code == code && r->reads[reg] == 1 ? &r->v->step[k] : NULL;
}

static int is_number(const struct reader *r, int reg, double number)
{
	int k = reg - r->v->inputs;

	return k >= 0 && k < r->v->constants && fabs(r->v->constant[k] - number) <= 1e-6 * fabs(number);
}

/* A step of two operands in either order, one of which is a number: the other; -1. */
static int beside_number(const struct reader *r, const struct ns_pw_step *s, double number)
{
	return !s ? -1 : is_number(r, s->b, number) ? s->a : is_number(r, s->a, number) ? s->b : -1;
}

/* x of clip(x + 3, 0, 6); -1: it is none */
static int clipped(const struct reader *r, int reg)
{
	int in = beside_number(r, made_by(r, reg, NS_PW_MIN), 6), x;

	x = in >= 0 ? beside_number(r, made_by(r, in, NS_PW_MAX), 0) : -1;
	if (x < 0) {
		in = beside_number(r, made_by(r, reg, NS_PW_MAX), 0);
		x = in >= 0 ? beside_number(r, made_by(r, in, NS_PW_MIN), 6) : -1;
	}
	return x < 0 ? -1 : beside_number(r, made_by(r, x, NS_PW_ADD), 3);
}

/* What a step divides by 6; -1: it does not. */
static int sixth(const struct reader *r, const struct ns_pw_step *s)
{
	if (!s)
		return -1;
	if (s->code == NS_PW_DIV)
		return is_number(r, s->b, 6) ? s->a : -1;
	return s->code == NS_PW_MUL ? beside_number(r, s, 1.0 / 6) : -1;
}

static int sixth_of(const struct reader *r, int reg)
{
	int y = sixth(r, made_by(r, reg, NS_PW_DIV));

	return y >= 0 ? y : sixth(r, made_by(r, reg, NS_PW_MUL));
}

/* x of x * clip(x + 3, 0, 6), whose operands are a and b, in either order. */
static int clipped_times(const struct reader *r, int a, int b)
{
	return clipped(r, a) == b ? b : clipped(r, b) == a ? a : -1;
}

/* x of a step that is hard-swish of it; -1: it is none */
static int hard_swish(const struct reader *r, const struct ns_pw_step *s)
{
	int y = sixth(r, s), u;
	const struct ns_pw_step *product = y >= 0 ? made_by(r, y, NS_PW_MUL) : NULL;

	if (product && clipped_times(r, product->a, product->b) >= 0)
		return clipped_times(r, product->a, product->b);
	if (s->code != NS_PW_MUL)
		return -1;
	u = sixth_of(r, s->a);
	if (u >= 0 && clipped(r, u) == s->b)
		return s->b;
	u = sixth_of(r, s->b);
	return u >= 0 && clipped(r, u) == s->a ? s->a : -1;
}

/* x of x * sigmoid(x); -1: it is none */
static int silu(const struct reader *r, const struct ns_pw_step *s)
{
	const struct ns_pw_step *a = made_by(r, s->a, NS_PW_SIGMOID), *b = made_by(r, s->b, NS_PW_SIGMOID);

	if (s->code != NS_PW_MUL)
		return -1;
	return a && a->a == s->b ? s->b : b && b->a == s->a ? s->a : -1;
}

/* Steps that nobody reads go. */
static void sweep(struct reader *r)
{
	struct ns_op_pointwise *v = r->v;
	int map[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS], base = v->inputs + v->constants, k, n = 0, gone;

	do { /* one that goes may have been the only one that read another */
		count_reads(r);
		for (gone = 0, n = 0, k = 0; k < base; k++)
			map[k] = k;
		for (k = 0; k < v->steps; k++) {
			const struct ns_pw_step s = v->step[k];

			if (k < v->steps - 1 && !r->reads[base + k]) {
				gone = 1;
				continue;
			}
			map[base + k] = base + n;
			v->step[n++] = (struct ns_pw_step){s.code, (uint8_t)map[s.a], (uint8_t)map[s.b], (uint8_t)map[s.c]};
		}
		v->steps = n;
	} while (gone);
}

void ns_dag_shorten(struct ns_dag *d)
{
	int i, k, x;

	for (i = 0; i < d->node_count; i++) {
		struct reader r = {.v = &d->nodes[i].op.u.pointwise};
		int found = 0;

		if (!ns_dag_is_float_program(&d->nodes[i]))
			continue;
		count_reads(&r);
		for (k = 0; k < r.v->steps; k++) {
			const struct ns_pw_step *step = &r.v->step[k];
			int is_silu = (x = silu(&r, step)) >= 0;

			x = is_silu ? x : hard_swish(&r, step);
			if (x >= 0) {
				r.v->step[k] = (struct ns_pw_step){is_silu ? NS_PW_SILU : NS_PW_HARDSWISH, (uint8_t)x, (uint8_t)x, (uint8_t)x};
				found = 1;
			}
		}
		if (found)
			sweep(&r);
	}
}
