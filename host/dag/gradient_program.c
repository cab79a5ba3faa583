/*
 * host/dag/gradient_program.c - the gradient of a program of formulas is a program: its own steps, and from the last to the first what each contributes, by the
 * derivatives of the table of formulas.
 */
#include <string.h>

#include "host/dag/gradient_inner.h"
#include "kernels/formula/pointwise.h"

#define REGISTERS (NS_POINTWISE_IN + 1 + NS_POINTWISE_CONSTANTS + 1 + NS_POINTWISE_STEPS)
#define LONG	  (2 * NS_POINTWISE_STEPS) /* registers are numbered in a byte */

/*
 * A program that may be longer than one of the graph's, until what nobody reads has gone. Registers: inputs of the program, the gradient, its constants and 0, then
 * steps.
 */
struct draft {
	const struct ns_op_pointwise *v;
	int g, zero, first; /* registers: the gradient, the constant 0, the first step */
	struct ns_pw_step step[LONG];
	int steps, failed;
	int adjoint[REGISTERS]; /* of the inputs and steps: a register; -1: none yet */
};

static int add(struct draft *t, int code, int a, int b, int c)
{
	if (t->steps == LONG)
		return t->failed = 1, 0;
	t->step[t->steps] = (struct ns_pw_step){(uint16_t)code, (uint8_t)a, (uint8_t)b, (uint8_t)c};
	return t->first + t->steps++;
}

/* A register of the program, in the draft. */
static int moved(const struct draft *t, int r)
{
	return r < t->v->inputs ? r : r < t->v->inputs + t->v->constants ? r + 1 : r + 2;
}

static void send(struct draft *t, int to, int term)
{
	t->adjoint[to] = t->adjoint[to] < 0 ? term : add(t, NS_PW_ADD, t->adjoint[to], term, 0);
}

/* Steps, and which of two values it is: nothing flows there. */
static int is_flat(int code, int which)
{
	return (code == NS_PW_WHERE && !which) || code == NS_PW_SIGN || (code >= NS_PW_FLOOR && code <= NS_PW_TRUNC) ||
	       (code >= NS_PW_EQUAL && code <= NS_PW_NOT) || (code >= NS_PW_IS_NAN && code <= NS_PW_BIT_NOT);
}

/* What a step sends back to operand `which` of a, b, c; g: what came to it. */
static int term_of(struct draft *t, const struct ns_pw_step *s, int which, int g)
{
	const int r[3] = {s->a, s->b, s->c};

	switch (s->code) {
	case NS_PW_ADD:
	case NS_PW_COPY:
		return g;
	case NS_PW_SUB:
		return which ? add(t, NS_PW_NEG, g, 0, 0) : g;
	case NS_PW_NEG:
		return add(t, NS_PW_NEG, g, 0, 0);
	case NS_PW_MUL:
		return add(t, NS_PW_MUL, g, r[1 - which], 0);
	case NS_PW_WHERE:
		return add(t, NS_PW_WHERE, r[0], which == 1 ? g : t->zero, which == 1 ? t->zero : g);
	default:
		if (which == 2 || s->code >= NS_PW_COUNT) { /* bounds and the like, which nothing learns, and what is a derivative already */
			t->failed = 1;
			return 0;
		}
		return add(t, NS_PW_MUL, g, add(t, NS_PW_SLOPE(s->code, which), s->a, s->b, s->c), 0);
	}
}

/* Which registers depend on input k. */
static void depends_on(const struct draft *t, int k, char *depends)
{
	int i, j;

	memset(depends, 0, REGISTERS);
	depends[k] = 1;
	for (i = 0; i < t->v->steps; i++) {
		const struct ns_pw_step *s = &t->step[i];
		const int r[3] = {s->a, s->b, s->c};

		for (j = 0; j < ns_formula_operands(s->code); j++)
			depends[t->first + i] |= depends[r[j]];
	}
}

/* The register of the gradient by input k; -1: it does not flow there. */
static int write_draft(struct draft *t, int k)
{
	const struct ns_op_pointwise *v = t->v;
	char depends[REGISTERS];
	int i, j;

	t->g = v->inputs;
	t->zero = v->inputs + 1 + v->constants;
	t->first = t->zero + 1;
	t->steps = t->failed = 0;
	for (i = 0; i < REGISTERS; i++)
		t->adjoint[i] = -1;
	for (i = 0; i < v->steps; i++)
		(void)add(t, v->step[i].code, moved(t, v->step[i].a), moved(t, v->step[i].b), moved(t, v->step[i].c));
	depends_on(t, k, depends);
	t->adjoint[t->first + v->steps - 1] = t->g;
	for (i = v->steps - 1; i >= 0; i--) {
		const struct ns_pw_step s = t->step[i];
		const int r[3] = {s.a, s.b, s.c};

		for (j = 0; t->adjoint[t->first + i] >= 0 && j < ns_formula_operands(s.code); j++)
			if (depends[r[j]] && !is_flat(s.code, j))
				send(t, r[j], term_of(t, &s, j, t->adjoint[t->first + i]));
	}
	return t->adjoint[k];
}

/* What `result` needs of the draft, as a program. */
static enum ns_status trim(const struct draft *t, const int *in, int g, int result, struct ns_program *p)
{
	char used[REGISTERS + LONG] = {0};
	int map[REGISTERS + LONG], i, j, constants = t->v->constants;

	used[result] = 1;
	for (i = t->steps - 1; i >= 0; i--) {
		const int r[3] = {t->step[i].a, t->step[i].b, t->step[i].c};

		for (j = 0; used[t->first + i] && j < ns_formula_operands(t->step[i].code); j++)
			used[r[j]] = 1;
	}
	used[t->g] = 1; /* its shape is the program's */
	ns_program_begin(p);
	memset(map, 0, sizeof map);
	for (i = 0; i <= t->v->inputs; i++)
		if (used[i])
			map[i] = ns_program_input(p, i < t->v->inputs ? in[i] : g);
	for (i = 0; i <= constants; i++)
		if (used[t->g + 1 + i])
			map[t->g + 1 + i] = ns_program_constant(p, i < constants ? t->v->constant[i] : 0);
	for (i = 0; i < t->steps; i++)
		if (used[t->first + i])
			map[t->first + i] = ns_program_step(p, t->step[i].code, map[t->step[i].a], map[t->step[i].b], map[t->step[i].c]);
	if (result < t->first)
		(void)ns_program_step(p, NS_PW_COPY, map[result], 0, 0);
	return t->failed || p->failed
		       ? ns_fail(NS_DECLINED, "pointwise: a gradient of more than %d steps, or by a bound of a formula", NS_POINTWISE_STEPS)
		       : NS_OK;
}

/* Sums over the axes along which the input was repeated. */
static enum ns_status gather(struct ns_backward *b, const struct ns_op_pointwise *v, int k, int value, int g)
{
	unsigned axes = 0;
	int d;

	for (d = 0; d < v->out.rank; d++)
		if (v->out.dim[d] > 1 && !v->stride[k][d])
			axes |= 1u << d;
	if (axes)
		NS_TRY(ns_dag_reduce_runs(b->dag, g, NS_REDUCE_SUM, axes, &g));
	return ns_backward_add(b, value, g);
}

enum ns_status ns_gradient_pointwise(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	const struct ns_op_pointwise *v = &n->op.u.pointwise;
	struct draft t = {.v = v};
	struct ns_program p;
	int k, result, made;

	(void)index;
	NS_TRY(ns_dag_view(b->dag, g, &v->out, &g));
	for (k = 0; k < v->inputs; k++) {
		if (!ns_backward_wants(b, n->in[k]))
			continue;
		result = write_draft(&t, k);
		if (result < 0)
			continue;
		made = g;
		if (result != t.g || t.failed) {
			NS_TRY(trim(&t, n->in, g, result, &p));
			NS_TRY(ns_dag_program(b->dag, &p, ns_dag_at(b->dag, n->in[k])->dtype, &made));
		}
		NS_TRY(gather(b, v, k, n->in[k], made));
	}
	return NS_OK;
}
