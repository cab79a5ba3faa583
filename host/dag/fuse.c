/*
 * host/dag/fuse.c - chains of formulas become one program: a value that one POINTWISE makes and only another reads, element by element, is never stored. Each step rounds as
 * it did, so the bits stay.
 */
#include <stdlib.h>
#include <string.h>

#include "host/dag/dag_inner.h"

#define STEPS_MOST 24 /* of what is made here: the registers of a tile stay in the first-level cache */

void ns_dag_count_uses(const struct ns_dag *d, const int *outputs, int n, struct ns_dag_use *uses)
{
	int i, k;

	for (i = 0; i < n; i++)
		uses[ns_dag_root(d, outputs[i])].kept = 1;
	for (i = 0; i < d->node_count; i++) {
		const struct ns_dag_node *node = &d->nodes[i];

		for (k = 0; k < node->ins; k++)
			if (node->in[k] >= 0 && !(uses[ns_dag_root(d, node->in[k])].readers && uses[ns_dag_root(d, node->in[k])].last_reader == i)) {
				uses[ns_dag_root(d, node->in[k])].readers++;
				uses[ns_dag_root(d, node->in[k])].last_reader = i;
			}
		for (k = 0; k < node->outs; k++)
			if (node->out[k] >= 0) {
				uses[ns_dag_root(d, node->out[k])].writers++;
				uses[ns_dag_root(d, node->out[k])].writer = i;
			}
	}
}

/* Does `to` read element for element what `from` writes? Of as many elements nothing is repeated, so strides are dense. */
static int reads_the_same(const struct ns_op_pointwise *to, const struct ns_op_pointwise *from)
{
	int a, d;

	if (ns_box_count(&to->out) != ns_box_count(&from->out))
		return 0;
	/* the same elements in the same order; the boxes may differ by axes of 1 */
	for (a = 0, d = 0; d < to->out.rank; d++) {
		if (to->out.dim[d] == 1)
			continue;
		while (a < from->out.rank && from->out.dim[a] == 1)
			a++;
		if (a == from->out.rank || from->out.dim[a++] != to->out.dim[d])
			return 0;
	}
	return 1;
}

/* Strides of an input of `from` in the box of `to`, which has the same axes but those of 1. */
static void strides_for(const struct ns_op_pointwise *to, const struct ns_op_pointwise *from, int k, int64_t stride[NS_RANK])
{
	int a = 0, d;

	for (d = 0; d < NS_RANK; d++)
		stride[d] = 0;
	for (d = 0; d < to->out.rank; d++) {
		if (to->out.dim[d] == 1)
			continue;
		while (from->out.dim[a] == 1)
			a++;
		stride[d] = from->stride[k][a++];
	}
}

struct merged {
	struct ns_op_pointwise v;
	int in[NS_POINTWISE_IN];
	int failed;
};

static int add_input(struct merged *m, int value, enum ns_dtype dtype, const int64_t stride[NS_RANK])
{
	int k;

	for (k = 0; k < m->v.inputs; k++)
		if (m->in[k] == value && !memcmp(m->v.stride[k], stride, sizeof m->v.stride[k]))
			return k;
	if (k == NS_POINTWISE_IN) {
		m->failed = 1;
		return 0;
	}
	m->in[k] = value;
	m->v.in_dtype[k] = dtype;
	memcpy(m->v.stride[k], stride, sizeof m->v.stride[k]);
	return m->v.inputs++;
}

/* The register of a constant, once of each bits, counted behind the inputs. */
static int add_constant(struct merged *m, double constant)
{
	int k;

	for (k = 0; k < m->v.constants; k++)
		if (!memcmp(&m->v.constant[k], &constant, sizeof constant))
			return k;
	if (k == NS_POINTWISE_CONSTANTS) {
		m->failed = 1;
		return 0;
	}
	m->v.constant[k] = constant;
	return m->v.constants++;
}

/* Steps of a program, whose registers are now elsewhere. map: of its inputs and constants, then of its steps. */
static int add_steps(struct merged *m, const struct ns_op_pointwise *p, int *map)
{
	int k, base = m->v.inputs + m->v.constants;

	for (k = 0; k < p->steps; k++) {
		const struct ns_pw_step *s = &p->step[k];

		if (m->v.steps == STEPS_MOST) {
			m->failed = 1;
			return 0;
		}
		m->v.step[m->v.steps] = (struct ns_pw_step){s->code, (uint8_t)map[s->a], (uint8_t)map[s->b], (uint8_t)map[s->c]};
		map[p->inputs + p->constants + k] = base + m->v.steps++;
	}
	return base + m->v.steps - 1;
}

/* The program of `from` and then that of `to`; 0: it does not fit into one. */
static int merge(const struct ns_dag *d, const struct ns_dag_node *from, const struct ns_dag_node *to, int value, struct merged *m)
{
	const struct ns_op_pointwise *p = &from->op.u.pointwise, *q = &to->op.u.pointwise;
	int first[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS],
		second[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS];
	int64_t stride[NS_RANK];
	int k, made;

	memset(m, 0, sizeof *m);
	m->v.out = q->out;
	m->v.compute = q->compute;
	m->v.out_dtype = q->out_dtype;
	for (k = 0; k < p->inputs; k++) {
		strides_for(q, p, k, stride);
		first[k] = add_input(m, from->in[k], p->in_dtype[k], stride);
	}
	for (k = 0; k < q->inputs; k++)
		second[k] = ns_dag_root(d, to->in[k]) == value ? -1 : add_input(m, to->in[k], q->in_dtype[k], q->stride[k]);
	for (k = 0; k < p->constants; k++)
		first[p->inputs + k] = m->v.inputs + add_constant(m, p->constant[k]);
	for (k = 0; k < q->constants; k++)
		second[q->inputs + k] = m->v.inputs + add_constant(m, q->constant[k]);
	made = add_steps(m, p, first);
	for (k = 0; k < q->inputs; k++)
		second[k] = second[k] < 0 ? made : second[k];
	(void)add_steps(m, q, second);
	return !m->failed;
}

int ns_dag_is_float_program(const struct ns_dag_node *n)
{
	return n->op.kind == NS_OP_POINTWISE && n->op.u.pointwise.compute == NS_F32 && n->op.u.pointwise.out_dtype == NS_F32;
}

/* What `from` read is read by `to`, which may have read it before. */
static void hand_over(const struct ns_dag *d, const struct ns_dag_node *from, const struct ns_dag_node *to, struct ns_dag_use *uses)
{
	int k, i;

	for (k = 0; k < from->ins; k++) {
		int root = ns_dag_root(d, from->in[k]), seen = 0;

		for (i = 0; i < k; i++)
			seen |= ns_dag_root(d, from->in[i]) == root;
		if (seen)
			continue;
		for (i = 0; i < to->ins; i++)
			seen |= ns_dag_root(d, to->in[i]) == root;
		uses[root].readers -= seen;
	}
}

/* Takes what makes one of node j's inputs into it; 1: it did. */
static int take_one(struct ns_dag *d, struct ns_dag_use *uses, int j)
{
	struct ns_dag_node *to = &d->nodes[j];
	struct merged m;
	int i;

	for (i = 0; i < to->ins; i++) {
		int value = ns_dag_root(d, to->in[i]);
		const struct ns_dag_use *u = &uses[value];
		const struct ns_dag_node *from;

		if (d->values[value].data || d->values[value].input >= 0 || u->kept || u->readers != 1 || u->writers != 1)
			continue;
		from = &d->nodes[u->writer];
		if (!ns_dag_is_float_program(from))
			continue;
		if (!reads_the_same(&to->op.u.pointwise, &from->op.u.pointwise) || !merge(d, from, to, value, &m))
			continue;
		hand_over(d, from, to, uses);
		d->nodes[u->writer].op.kind = NS_OP_KINDS;
		to->op.u.pointwise = m.v;
		to->ins = m.v.inputs;
		memcpy(to->in, m.in, sizeof m.in);
		return 1;
	}
	return 0;
}

/* Inputs that are one known number become constants, as far as there is room for them. */
static void take_numbers(const struct ns_dag *d, struct ns_dag_node *n)
{
	const struct ns_op_pointwise *p = &n->op.u.pointwise;
	int map[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS], number[NS_POINTWISE_IN], k;
	struct merged m = {.v = {.out = p->out, .compute = p->compute, .out_dtype = p->out_dtype}};

	if (p->steps > STEPS_MOST)
		return;
	for (k = 0; k < p->constants; k++)
		map[p->inputs + k] = add_constant(&m, p->constant[k]);
	for (k = 0; k < p->inputs; k++) {
		const struct ns_dag_value *v = ns_dag_at(d, n->in[k]);

		number[k] = v->data && v->dtype == NS_F32 && ns_box_count(&v->box) == 1 && m.v.constants < NS_POINTWISE_CONSTANTS;
		map[k] = number[k] ? add_constant(&m, ns_dag_number(d, n->in[k], 0)) : add_input(&m, n->in[k], p->in_dtype[k], p->stride[k]);
	}
	for (k = 0; k < p->inputs + p->constants; k++)
		map[k] += k >= p->inputs || number[k] ? m.v.inputs : 0;
	(void)add_steps(&m, p, map);
	if (m.failed)
		return;
	n->op.u.pointwise = m.v;
	n->ins = m.v.inputs;
	memcpy(n->in, m.in, sizeof m.in);
}

enum ns_status ns_dag_fuse(struct ns_dag *d, const int *outputs, int n)
{
	struct ns_dag_use *uses = calloc((size_t)d->value_count + 1, sizeof *uses);
	int j;

	if (!uses)
		return ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d values", d->value_count);
	for (j = 0; j < d->node_count; j++)
		if (ns_dag_is_float_program(&d->nodes[j]))
			take_numbers(d, &d->nodes[j]);
	ns_dag_count_uses(d, outputs, n, uses);
	for (j = 0; j < d->node_count; j++)
		while (ns_dag_is_float_program(&d->nodes[j]) && take_one(d, uses, j))
			;
	free(uses);
	ns_dag_sweep(d);
	return NS_OK;
}
