/* host/graph/goal_inner.h - what a graph of ONNX is trained for: a loss of its task behind its outputs. */
#ifndef NS_GRAPH_GOAL_INNER_H
#define NS_GRAPH_GOAL_INNER_H

#include "host/dag/dag.h"
#include "host/graph/graph.h"

struct ns_goal {
	int y, dy;	/* a value, and the gradient of the loss by it */
	int loss, hits; /* of one number each: sums over images; hits NaN: the task has no right and wrong */
	struct ns_target target;
};

/*
 * Adds the loss of n images, whose gradient is scaled by 1 / batch, and an input of what is true of them, the last one of the graph. outputs: of the file. NS_CONFIG: this loss is
 * not one of the task's.
 */
enum ns_status ns_goal_add(struct ns_dag *dag, const struct ns_model *m, int n, const int *outputs, const struct ns_loss *loss, int batch,
			   struct ns_goal *goal);

/* Of a classifier: logits (n, classes). */
enum ns_status ns_goal_logits(struct ns_dag *dag, const struct ns_model *m, int n, const int *outputs, int *logits);
/* The same of any value, of its box, whose softmax goes over so many classes, `inner` elements from each other; and of a logistic function. */
enum ns_status ns_goal_before_softmax(struct ns_dag *dag, int x, int classes, int64_t inner, int *y);
enum ns_status ns_goal_before_sigmoid(struct ns_dag *dag, int x, int *y);

#endif
