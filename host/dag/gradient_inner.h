/* host/dag/gradient_inner.h - what the rules of gradients share: one rule an op, which adds the nodes that carry a gradient from its output to its inputs. */
#ifndef NS_GRADIENT_INNER_H
#define NS_GRADIENT_INNER_H

#include "host/dag/dag_inner.h"

struct ns_backward {
	struct ns_dag *dag;
	int values;	  /* that there were before */
	char *needs;	  /* of each, by its root: it depends on what is asked for */
	int *gradient;	  /* so far, of the root's shape; -1: none yet */
	int *last_writer; /* node */
	int64_t *written; /* elements, by all its nodes */
};

/*
 * Carries g, the gradient of the node's first output as its memory lies, to its inputs. The node is a copy, as nodes move. NS_DECLINED, with the reason, where there is
 * no gradient.
 */
typedef enum ns_status ns_gradient_rule(struct ns_backward *b, int index, const struct ns_dag_node *n, int g);
ns_gradient_rule ns_gradient_pointwise, ns_gradient_move, ns_gradient_contract, ns_gradient_convolve, ns_gradient_pool, ns_gradient_reduce,
	ns_gradient_along, ns_gradient_index, ns_gradient_topk, ns_gradient_resample, ns_gradient_recurrent;

/* Is a gradient by this value asked for? -1, as inputs that are left out, is never. */
int ns_backward_wants(const struct ns_backward *b, int value);
/* Adds g, of as many elements, to what flows back to `value`. */
enum ns_status ns_backward_add(struct ns_backward *b, int value, int g);

#endif
