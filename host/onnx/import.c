/* host/onnx/import.c - a graph of ops of an ONNX file: node after node, what is constant computed at once, all that is refused told together. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/onnx/import_inner.h"

#define UNKNOWN -2 /* a value of a node that was refused, or that depends on one */

struct import {
	const struct ns_onnx *o;
	struct ns_dag *dag;
	const int *given;
	int *batch;
	int *value; /* of each of the file's, in the graph */
	int refused, told;
	char text[8000];
	size_t used;
};

static const struct ns_onnx_row *row_of(struct ns_onnx_text op)
{
	const struct ns_onnx_row *const tables[] = {ns_onnx_math,  ns_onnx_shape,  ns_onnx_reduce, ns_onnx_window,
						    ns_onnx_index, ns_onnx_matrix, ns_onnx_place,  ns_onnx_fresh};
	const struct ns_onnx_row *r;
	size_t i;

	for (i = 0; i < sizeof tables / sizeof *tables; i++)
		for (r = tables[i]; r->op; r++)
			if (ns_onnx_is(op, r->op))
				return r;
	return NULL;
}

static int opset_of(const struct ns_onnx *o, struct ns_onnx_text domain)
{
	int i, is_default = !domain.bytes || ns_onnx_is(domain, "ai.onnx");

	for (i = 0; i < o->opset_count; i++)
		if (is_default && (!o->opsets[i].domain.bytes || ns_onnx_is(o->opsets[i].domain, "ai.onnx")))
			return (int)o->opsets[i].version;
	return is_default ? 1 : 0;
}

static int knows(const char *list, struct ns_onnx_text name)
{
	const char *at = list;

	while (*at) {
		size_t n = strcspn(at, " ");

		if (n == name.bytes && !memcmp(at, name.at, n))
			return 1;
		at += n + (at[n] == ' ');
	}
	return 0;
}

/* What every node has to satisfy before its maker looks at it. */
static enum ns_status check(const struct ns_maker *m)
{
	const struct ns_onnx_node *n = m->node;
	int i;

	if (n->domain.bytes && !ns_onnx_is(n->domain, "ai.onnx"))
		return ns_fail(NS_DECLINED, "the domain '%.*s'", (int)n->domain.bytes, n->domain.at);
	if (n->graphs)
		return ns_fail(NS_DECLINED, "control flow");
	if (!m->row)
		return ns_fail(NS_DECLINED, "the operator");
	if (m->outs < 1)
		return ns_fail(NS_INVALID, "it has no output");
	if (m->ins < m->row->least || m->ins > m->row->most)
		return ns_fail(NS_INVALID, "it has %d inputs, expected %d to %d", m->ins, m->row->least, m->row->most);
	for (i = 0; i < m->row->least; i++)
		if (m->in[i] == -1)
			return ns_fail(NS_INVALID, "input %d is left out", i);
	for (i = 0; i < n->attributes; i++) {
		const struct ns_onnx_attribute *a = &m->o->attributes[n->first_attribute + i];

		if (!knows(m->row->attributes, a->name))
			return ns_fail(NS_DECLINED, "attribute '%.*s'", (int)(a->name.bytes < 60 ? a->name.bytes : 60), a->name.at);
	}
	return NS_OK;
}

static void tell(struct import *b, int index)
{
	const struct ns_onnx_node *n = &b->o->nodes[index];
	int wrote;

	b->refused++;
	if (b->used > sizeof b->text - 400)
		return;
	wrote = snprintf(b->text + b->used, sizeof b->text - b->used, "%snode %d (%.*s%s%.*s): %.200s", b->told ? "; " : "", index,
			 (int)(n->op.bytes < 60 ? n->op.bytes : 60), n->op.at, n->name.bytes ? " " : "",
			 (int)(n->name.bytes < 60 ? n->name.bytes : 60), n->name.at, ns_message());
	b->used += wrote > 0 ? (size_t)wrote : 0;
	b->told++;
}

static enum ns_status add_node(struct import *b, int index)
{
	const struct ns_onnx_node *n = &b->o->nodes[index];
	struct ns_maker m = {.o = b->o,
			     .dag = b->dag,
			     .given = b->given,
			     .batch = b->batch,
			     .node = n,
			     .row = row_of(n->op),
			     .opset = opset_of(b->o, (struct ns_onnx_text){"", 0})};
	enum ns_status status = NS_OK;
	int k, depends = 0;

	m.ins = n->ins;
	m.outs = n->outs;
	while (m.ins > 0 && b->o->uses[n->first_in + m.ins - 1] < 0) /* those that are left out at the end */
		m.ins--;
	if (m.ins > NS_ONNX_INS || m.outs > NS_ONNX_INS)
		status = ns_fail(NS_DECLINED, "more than %d inputs or outputs", NS_ONNX_INS);
	for (k = 0; status == NS_OK && k < m.ins; k++) {
		int use = b->o->uses[n->first_in + k];

		m.in[k] = use < 0 ? -1 : b->value[use];
		depends |= m.in[k] == UNKNOWN;
	}
	for (k = 0; status == NS_OK && k < m.outs; k++) {
		m.out[k] = UNKNOWN;
		m.wanted[k] = b->o->uses[n->first_out + k] >= 0;
	}
	if (status == NS_OK && !depends)
		status = check(&m);
	if (status == NS_OK && !depends)
		status = m.row->make(&m);
	for (k = 0; status == NS_OK && !depends && k < m.outs; k++)
		if (m.wanted[k] && m.out[k] < 0)
			status = ns_fail(NS_DECLINED, "output %d, which is not made here", k);
	if (status == NS_DECLINED)
		tell(b, index);
	else if (status == NS_INVALID)
		return ns_fail(NS_BAD_DATA, "%s: node %d (%.*s%s%.*s): %.300s", b->o->path, index, (int)n->op.bytes, n->op.at,
			       n->name.bytes ? " " : "", (int)n->name.bytes, n->name.at, ns_message());
	else if (status != NS_OK)
		return status;
	for (k = 0; k < n->outs; k++)
		if (b->o->uses[n->first_out + k] >= 0)
			b->value[b->o->uses[n->first_out + k]] = status == NS_OK && !depends && k < m.outs ? m.out[k] : UNKNOWN;
	return NS_OK;
}

/* Values by their place among the inputs, or outputs, of the file. */
static void in_order(const struct ns_onnx *o, int outputs, int *list)
{
	int i;

	for (i = 0; i < o->value_count; i++)
		if (outputs ? o->values[i].output : o->values[i].input)
			list[(outputs ? o->values[i].output : o->values[i].input) - 1] = i;
}

static enum ns_status add_weights(struct import *b)
{
	const struct ns_onnx *o = b->o;
	enum ns_status status;
	int i;

	for (i = 0; i < o->value_count; i++) {
		b->value[i] = UNKNOWN;
		if (o->values[i].tensor < 0)
			continue;
		status = ns_maker_tensor(o, b->dag, b->given, o->values[i].tensor, &b->value[i]);
		if (status == NS_DECLINED)
			return ns_fail(NS_BAD_DATA, "%s: weight '%.*s': %s are not computed here", o->path, (int)o->values[i].name.bytes,
				       o->values[i].name.at, ns_message());
		NS_TRY(status);
	}
	return NS_OK;
}

static enum ns_status add_inputs(struct import *b, const struct ns_onnx_feed *feeds, int n, const int *inputs)
{
	const struct ns_onnx *o = b->o;
	int i, k = 0;

	for (i = 0; i < o->inputs; i++) {
		if (o->values[inputs[i]].tensor >= 0)
			continue;
		if (k == n)
			return ns_fail(NS_BAD_DATA, "%s: has more than %d inputs", o->path, n);
		if (feeds[k].value)
			b->value[inputs[i]] = feeds[k].value - 1;
		else if (feeds[k].data)
			NS_TRY(ns_dag_borrow(b->dag, feeds[k].dtype, &feeds[k].box, feeds[k].data, &b->value[inputs[i]]));
		else
			NS_TRY(ns_dag_input(b->dag, feeds[k].dtype, &feeds[k].box, &b->value[inputs[i]]));
		k++;
	}
	return k == n ? NS_OK : ns_fail(NS_BAD_DATA, "%s: has %d inputs, expected %d", o->path, k, n);
}

int ns_onnx_knows(struct ns_onnx_text op)
{
	return row_of(op) != NULL;
}

enum ns_status ns_onnx_graph_given(const struct ns_onnx *o, const struct ns_onnx_feed *feeds, int n, const int *given, int *batch, struct ns_dag *dag,
				   int *outputs)
{
	struct import *b = calloc(1, sizeof *b);
	int *ordered = calloc((size_t)o->inputs + (size_t)o->outputs + 1, sizeof *ordered);
	enum ns_status status;
	int64_t external;
	int i;

	if (b)
		b->value = calloc((size_t)o->value_count + 1, sizeof *b->value);
	NS_GO(b && b->value && ordered ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path));
	b->o = o;
	b->dag = dag;
	b->given = given;
	b->batch = batch;
	NS_GO(o->functions || o->sparse ? ns_fail(NS_BAD_DATA, "%s: has %s of its own, which this version does not compute", o->path,
						  o->functions ? "functions" : "sparse weights")
					: NS_OK);
	in_order(o, 0, ordered);
	in_order(o, 1, ordered + o->inputs);
	NS_GO(ns_onnx_check_external(o, &external));
	NS_GO(add_weights(b));
	NS_GO(add_inputs(b, feeds, n, ordered));
	for (i = 0; i < o->node_count; i++)
		NS_GO(add_node(b, i));
	if (b->refused)
		NS_GO(ns_fail(NS_BAD_DATA, "%s: this version does not compute %d of its %d nodes: %s%s", o->path, b->refused, o->node_count, b->text,
			      b->told < b->refused ? "; and others" : ""));
	for (i = 0; i < o->outputs; i++)
		outputs[i] = b->value[ordered[o->inputs + i]];
out:
	free(ordered);
	if (b)
		free(b->value);
	free(b);
	return status;
}

enum ns_status ns_onnx_graph(const struct ns_onnx *o, const struct ns_onnx_feed *feeds, int n, struct ns_dag *dag, int *outputs)
{
	return ns_onnx_graph_given(o, feeds, n, NULL, NULL, dag, outputs);
}
