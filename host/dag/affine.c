/*
 * host/dag/affine.c - what scales and shifts each channel after a convolution goes into its weights and bias: normalisation with known statistics, scalars, per-channel
 * factors. The program has to be m x + c with m and c known for each channel, which is found by carrying both through it, in double.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/dag/dag.h"
#include "kernels/formula/pointwise.h"

struct line { /* m x + c */
	double m, c;
};

/* One step on lines; 0: the result is none. */
static int carry(int code, struct line a, struct line b, struct line c, struct line *y)
{
	int operands = ns_formula_operands(code);

	switch (code) {
	case NS_PW_COPY:
		*y = a;
		return 1;
	case NS_PW_NEG:
		*y = (struct line){-a.m, -a.c};
		return 1;
	case NS_PW_ADD:
		*y = (struct line){a.m + b.m, a.c + b.c};
		return 1;
	case NS_PW_SUB:
		*y = (struct line){a.m - b.m, a.c - b.c};
		return 1;
	case NS_PW_MUL:
		*y = (struct line){a.m * b.c + b.m * a.c, a.c * b.c};
		return a.m == 0 || b.m == 0;
	case NS_PW_DIV:
		*y = (struct line){a.m / b.c, a.c / b.c};
		return b.m == 0;
	default:
		*y = (struct line){0, ns_formula_any(code, a.c, b.c, c.c)};
		return a.m == 0 && (operands < 2 || b.m == 0) && (operands < 3 || c.m == 0);
	}
}

/* The program as a line of input `which`, for one channel; the others are constants of that channel. */
static int line_of(const struct ns_dag *d, const struct ns_dag_node *n, int which, int64_t channel, struct line *y)
{
	const struct ns_op_pointwise *v = &n->op.u.pointwise;
	struct line r[NS_POINTWISE_IN + NS_POINTWISE_CONSTANTS + NS_POINTWISE_STEPS];
	int k, at = 0;

	for (k = 0; k < v->inputs; k++)
		r[at++] = k == which ? (struct line){1, 0} : (struct line){0, ns_dag_number(d, n->in[k], channel * v->stride[k][1])};
	for (k = 0; k < v->constants; k++)
		r[at++] = (struct line){0, v->constant[k]};
	for (k = 0; k < v->steps; k++, at++)
		if (!carry(v->step[k].code, r[v->step[k].a], r[v->step[k].b], r[v->step[k].c], &r[at]))
			return 0;
	*y = r[at - 1];
	return isfinite(y->m) && isfinite(y->c);
}

/* Are all inputs but `which` constants that depend on the channel alone, and does `which` walk all of (N, channels, ...)? */
static int is_by_channel(const struct ns_dag *d, const struct ns_dag_node *n, int which, const struct ns_box *image)
{
	const struct ns_op_pointwise *v = &n->op.u.pointwise;
	int k, a;

	if (n->op.kind != NS_OP_POINTWISE || v->compute != NS_F32 || v->out_dtype != NS_F32 || v->out.rank != image->rank)
		return 0;
	for (a = 0; a < image->rank; a++)
		if (v->out.dim[a] != image->dim[a])
			return 0;
	for (k = 0; k < v->inputs; k++) {
		if (n->in[k] == n->in[which])
			continue;
		if (!ns_dag_is_constant(d, n->in[k]) || !ns_dag_at(d, n->in[k])->data)
			return 0;
		for (a = 0; a < image->rank; a++)
			if (a != 1 && v->stride[k][a])
				return 0;
	}
	return 1;
}

/* New weights and biases: rows of one output channel are times m, its bias becomes m b + c. */
static enum ns_status scaled(struct ns_dag *d, struct ns_dag_node *conv, const struct line *lines)
{
	struct ns_op_convolve v = conv->op.u.convolve;
	const struct ns_dag_value w = *ns_dag_at(d, conv->in[NS_CONVOLVE_W]);
	const float *old = w.data, *bias = v.bias ? ns_dag_at(d, conv->in[NS_CONVOLVE_B])->data : NULL;
	int64_t channels = v.groups * v.k, row = ns_box_count(&w.box) / channels, k, i;
	float *weights, *shifts;
	int made[2];

	d->constant_bytes -= (channels * row + channels) * (int64_t)sizeof(float); /* in place of those that were there */
	NS_TRY(ns_dag_constant(d, NS_F32, &w.box, NULL, &made[0]));
	NS_TRY(ns_dag_constant(d, NS_F32, &(struct ns_box){1, {channels}}, NULL, &made[1]));
	weights = d->values[made[0]].data;
	shifts = d->values[made[1]].data;
	for (k = 0; k < channels; k++) {
		for (i = 0; i < row; i++)
			weights[k * row + i] = (float)((double)old[k * row + i] * lines[k].m);
		shifts[k] = (float)(lines[k].m * (bias ? (double)bias[k] : 0) + lines[k].c);
	}
	conv->in[NS_CONVOLVE_W] = made[0];
	conv->in[NS_CONVOLVE_B] = made[1];
	conv->ins = 3;
	conv->op.u.convolve.bias = 1;
	return NS_OK;
}

/* Node i is a convolution, j reads it alone: *took says whether j is in it now. */
static enum ns_status take(struct ns_dag *d, int i, int j, int *took)
{
	struct ns_dag_node *conv = &d->nodes[i], *n = &d->nodes[j];
	const struct ns_op_convolve *v = &conv->op.u.convolve;
	int64_t channels = v->groups * v->k, k;
	int which = 0, known = ns_dag_is_constant(d, conv->in[NS_CONVOLVE_W]) && (!v->bias || ns_dag_is_constant(d, conv->in[NS_CONVOLVE_B]));
	struct line *lines;
	enum ns_status status = NS_OK;

	*took = 0;
	while (which < n->ins && n->in[which] != conv->out[0])
		which++;
	/* a transposed one has its channels elsewhere */
	if (!known || v->transposed || v->dtype != NS_F32 || which == n->ins || !is_by_channel(d, n, which, &ns_dag_at(d, conv->out[0])->box))
		return NS_OK;
	for (k = 0; k < n->ins; k++) /* read in one place */
		if (k != which && n->in[k] == n->in[which])
			return NS_OK;
	lines = malloc(sizeof *lines * (size_t)channels);
	if (!lines)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld channels", (long long)channels);
	for (k = 0; k < channels; k++)
		if (!line_of(d, n, which, k, &lines[k]))
			break;
	if (k == channels) {
		status = scaled(d, conv, lines);
		conv->out[0] = n->out[0];
		n->op.kind = NS_OP_KINDS;
		*took = 1;
	}
	free(lines);
	return status;
}

enum ns_status ns_dag_fold_affine(struct ns_dag *d, const int *outputs, int n)
{
	int *readers = calloc((size_t)d->value_count + 1, sizeof *readers), *reader = calloc((size_t)d->value_count + 1, sizeof *reader);
	enum ns_status status = readers && reader ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d values", d->value_count);
	int i, k, took;

	for (i = 0; status == NS_OK && i < d->node_count; i++)
		for (k = 0; k < d->nodes[i].ins; k++)
			if (d->nodes[i].in[k] >= 0) {
				int value = d->nodes[i].in[k];

				readers[value]++;
				reader[value] = i;
				if (d->values[value].same_as >= 0) /* a view of it is another reader */
					readers[d->values[value].same_as] += 2;
			}
	for (i = 0; status == NS_OK && i < n; i++)
		readers[d->values[outputs[i]].same_as >= 0 ? d->values[outputs[i]].same_as : outputs[i]] += 2;
	for (i = 0; status == NS_OK && i < d->node_count; i++) {
		if (d->nodes[i].op.kind != NS_OP_CONVOLVE)
			continue;
		do
			took = 0;
		while (readers[d->nodes[i].out[0]] == 1 && (status = take(d, i, reader[d->nodes[i].out[0]], &took)) == NS_OK && took);
	}
	free(readers);
	free(reader);
	if (status == NS_OK)
		ns_dag_sweep(d);
	return status;
}
