/*
 * host/dag/place.c - where values lie in one piece of memory: two that are never needed at once may share a place. Nodes run in their order, so a value lives from the first node
 * that writes it to the last that reads or writes it; what is an output lives to the end.
 */
#include <stdlib.h>
#include <string.h>

#include "host/dag/dag_inner.h"

#define ALIGN ((size_t)64) /* bytes: a line of the cache, and what vector instructions like */

struct hole {
	size_t at, bytes;
};

struct memory {
	struct hole *holes; /* free, in order, never two that touch */
	int count;
	size_t end;
};

/* The smallest hole that is large enough, or the end. */
static size_t take(struct memory *m, size_t bytes)
{
	int i, best = -1;
	size_t at;

	for (i = 0; i < m->count; i++)
		if (m->holes[i].bytes >= bytes && (best < 0 || m->holes[i].bytes < m->holes[best].bytes))
			best = i;
	if (best < 0 && m->count && m->holes[m->count - 1].at + m->holes[m->count - 1].bytes == m->end) {
		at = m->holes[--m->count].at; /* the last one grows */
		m->end = at + bytes;
		return at;
	}
	if (best < 0) {
		at = m->end;
		m->end += bytes;
		return at;
	}
	at = m->holes[best].at;
	m->holes[best].at += bytes;
	m->holes[best].bytes -= bytes;
	if (!m->holes[best].bytes)
		memmove(m->holes + best, m->holes + best + 1, sizeof *m->holes * (size_t)(--m->count - best));
	return at;
}

static void give(struct memory *m, size_t at, size_t bytes)
{
	int i = 0;

	while (i < m->count && m->holes[i].at < at)
		i++;
	if (i && m->holes[i - 1].at + m->holes[i - 1].bytes == at) {
		m->holes[--i].bytes += bytes;
	} else {
		memmove(m->holes + i + 1, m->holes + i, sizeof *m->holes * (size_t)(m->count++ - i));
		m->holes[i] = (struct hole){at, bytes};
	}
	if (i + 1 < m->count && m->holes[i].at + m->holes[i].bytes == m->holes[i + 1].at) {
		m->holes[i].bytes += m->holes[i + 1].bytes;
		memmove(m->holes + i + 1, m->holes + i + 2, sizeof *m->holes * (size_t)(--m->count - i - 1));
	}
}

static size_t room_of(const struct ns_dag_value *v)
{
	size_t bytes = (size_t)ns_box_count(&v->box) * ns_dtype_bytes(v->dtype);

	return (bytes ? bytes + ALIGN - 1 : ALIGN) / ALIGN * ALIGN;
}

/* The last node that touches each value; -1: none does. */
static void find_ends(const struct ns_dag *d, const char *runs, int *last)
{
	int i, k;

	for (i = 0; i < d->value_count; i++)
		last[i] = -1;
	for (i = 0; i < d->node_count; i++) {
		const struct ns_dag_node *n = &d->nodes[i];

		for (k = 0; runs[i] && k < n->ins; k++)
			if (n->in[k] >= 0)
				last[ns_dag_root(d, n->in[k])] = i;
		for (k = 0; runs[i] && k < n->outs; k++)
			if (n->out[k] >= 0)
				last[ns_dag_root(d, n->out[k])] = i;
	}
}

static void walk(const struct ns_dag *d, const char *runs, const int *last, struct memory *m, size_t *at)
{
	int i, k, v;

	for (i = 0; i < d->node_count; i++) {
		const struct ns_dag_node *n = &d->nodes[i];

		for (k = 0; runs[i] && k < n->outs; k++) {
			v = ns_dag_root(d, n->out[k]);
			if (v >= 0 && at[v] == NS_DAG_NOWHERE)
				at[v] = take(m, room_of(&d->values[v]));
		}
		for (k = 0; runs[i] && k < n->ins + n->outs; k++) {
			v = ns_dag_root(d, k < n->ins ? n->in[k] : n->out[k - n->ins]);
			if (v < 0 || at[v] == NS_DAG_NOWHERE || last[v] != i || at[v] & NS_DAG_GIVEN)
				continue;
			give(m, at[v], room_of(&d->values[v]));
			at[v] |= NS_DAG_GIVEN; /* once, though a node may read it twice */
		}
	}
	for (i = 0; i < d->value_count; i++)
		if (at[i] != NS_DAG_NOWHERE)
			at[i] &= ~NS_DAG_GIVEN;
}

enum ns_status ns_dag_place(const struct ns_dag *d, const char *runs, const int *outputs, int n, size_t *at, size_t *bytes)
{
	int *last = malloc(sizeof *last * (size_t)(d->value_count + 1)), i;
	struct memory m = {malloc(sizeof *m.holes * (size_t)(d->value_count + 1)), 0, 0};
	enum ns_status status = last && m.holes ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d values", d->value_count);

	if (status == NS_OK) {
		for (i = 0; i < d->value_count; i++)
			at[i] = NS_DAG_NOWHERE;
		find_ends(d, runs, last);
		for (i = 0; i < n; i++)
			if (outputs[i] >= 0)
				last[ns_dag_root(d, outputs[i])] = d->node_count;
		walk(d, runs, last, &m, at);
		*bytes = m.end;
	}
	free(last);
	free(m.holes);
	return status;
}
