/* host/dag/dag_inner.h - what the files of this room share. */
#ifndef NS_DAG_INNER_H
#define NS_DAG_INNER_H

#include "host/dag/dag.h"

#define NS_DAG_NOWHERE (~(size_t)0)
#define NS_DAG_GIVEN   ((size_t)1) /* of a place, while places are looked for: they are multiples of 64 */

/* The value in whose memory this one lies; -1 of -1. */
static inline int ns_dag_root(const struct ns_dag *d, int value)
{
	return value < 0 || d->values[value].same_as < 0 ? value : d->values[value].same_as;
}

/*
 * Places in one piece of memory of *bytes for what nodes write, of those nodes that run (runs, one a node): at (values), NS_DAG_NOWHERE of a value that no
 * such node writes. outputs stay whole to the end.
 */
enum ns_status ns_dag_place(const struct ns_dag *dag, const char *runs, const int *outputs, int n, size_t *at, size_t *bytes);

#endif
