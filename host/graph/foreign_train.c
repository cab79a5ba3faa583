/*
 * host/graph/foreign_train.c - one step of one virtual rank of a model that came as ONNX: its graph with its weights as inputs, a loss behind it (goal.c), and gradients, which are nodes of the
 * same graph. Where the batch was found not to be safe, images go through one by one and their gradients are added up in their order.
 */
#include <stdlib.h>
#include <string.h>

#include "host/dag/dag.h"
#include "host/graph/exec_inner.h"
#include "host/graph/goal_inner.h"
#include "host/onnx/onnx.h"

enum { LOSS, HITS, FIRST }; /* outputs of the graph, then gradients */

struct ns_foreign_train {
	const struct ns_net *net;
	struct ns_dag *dag;
	struct ns_dag_exec *exec;
	int images, runs; /* of one run, and runs of a step */
	struct ns_target target;
	const void **in;
	void **out;
	float *part; /* of one run, where there are several: laid out as grad */
};

static int input_value(const struct ns_dag *d, int input)
{
	int i = 0;

	while (d->values[i].input != input)
		i++;
	return i;
}

static enum ns_status make_graph(struct ns_foreign_train *f, const struct ns_model *m, int batch, const struct ns_loss *loss, int *outputs)
{
	const struct ns_net *net = &m->net;
	int *values = calloc((size_t)m->onnx->outputs + (size_t)net->param_count + 1, sizeof *values), *params = values;
	int measures = net->param_count > net->trainable; /* statistics, of batches */
	int *measured = measures ? calloc((size_t)m->onnx->tensor_count + 1, sizeof *measured) : NULL;
	enum ns_status status = values && (measured || !measures) ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", m->onnx->path);
	struct ns_goal goal;
	int p;

	NS_GO(status);
	NS_GO(ns_foreign_graph(m->onnx, &net->arch, net, measured, f->images, net->arch.h, net->arch.w, &f->dag, values));
	NS_GO(ns_goal_add(f->dag, m, f->images, values, loss, batch, &goal));
	f->target = goal.target;
	params = values + m->onnx->outputs;
	for (p = 0; p < net->trainable; p++)
		params[p] = input_value(f->dag, 1 + p);
	outputs[LOSS] = goal.loss;
	outputs[HITS] = goal.hits;
	status = ns_dag_gradient(f->dag, goal.y, goal.dy, params, net->trainable, outputs + FIRST);
	if (status == NS_DECLINED)
		status = ns_fail_in(NS_CONFIG, "%s: cannot be trained", m->onnx->path);
	NS_GO(status);
	for (p = net->trainable; p < net->param_count; p++) {
		outputs[FIRST + p] = measured[net->params[p].tensor] - 1;
		if (outputs[FIRST + p] < 0)
			NS_GO(ns_fail(NS_INTERNAL, "%s: a statistic that no normalisation makes", m->onnx->path));
	}
	status = ns_dag_fuse(f->dag, outputs, FIRST + net->param_count);
out:
	free(measured);
	free(values);
	return status;
}

enum ns_status ns_foreign_train_make(struct ns_foreign_train **learner, const struct ns_model *m, struct ns_device *dev, int n, int batch,
				     const struct ns_loss *loss)
{
	struct ns_foreign_train *f = calloc(1, sizeof *f);
	size_t many = (size_t)m->net.param_count + FIRST + 1;
	int *outputs = calloc(many, sizeof *outputs);
	enum ns_status status = f && outputs ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", m->onnx->path);

	NS_GO(status);
	if (!dev->backend->host_memory)
		NS_GO(ns_fail(NS_CONFIG, "%s: is a graph of ONNX, which is trained on CPUs alone (device: cpu)", m->onnx->path));
	f->net = &m->net;
	/* of other tasks nobody has found out whether a batch is safe, but of those that are built here, with statistics of batches */
	f->images = m->net.arch.alone || (m->net.arch.task != NS_TASK_CLASSIFY && !m->net.arch.batch_norms) ? 1 : n;
	f->runs = n / f->images;
	f->in = calloc(many, sizeof *f->in);
	f->out = calloc(many, sizeof *f->out);
	NS_GO(f->in && f->out ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", m->onnx->path));
	NS_GO(make_graph(f, m, batch, loss, outputs));
	NS_GO(ns_dag_exec_make(&f->exec, f->dag, dev, outputs, FIRST + m->net.param_count));
	*learner = f;
	f = NULL;
out:
	ns_foreign_train_free(f);
	free(outputs);
	return status;
}

void ns_foreign_train_free(struct ns_foreign_train *f)
{
	if (!f)
		return;
	ns_dag_exec_free(f->exec);
	ns_dag_free(f->dag);
	free(f->in);
	free(f->out);
	free(f->part);
	free(f);
}

struct ns_target ns_foreign_target(const struct ns_foreign_train *f)
{
	return f->target;
}

/* One run into `grad`, laid out as flat arrays are. */
static enum ns_status run(struct ns_foreign_train *f, const struct ns_flat *flat, const float *images, const float *weights, const int32_t *labels,
			  float *grad, struct ns_queue *queue)
{
	int p;

	f->in[0] = images;
	for (p = 0; p < f->net->param_count; p++) {
		if (p < f->net->trainable)
			f->in[1 + p] = weights + flat->at[p];
		f->out[FIRST + p] = grad + flat->at[p];
	}
	f->in[1 + f->net->trainable] = labels;
	f->out[LOSS] = grad + flat->statistics + NS_TAIL_LOSS;
	f->out[HITS] = grad + flat->statistics + NS_TAIL_HITS;
	return ns_dag_exec_run(f->exec, f->in, f->out, queue);
}

/* What a run gave, on top of those before. */
static void add_up(const struct ns_foreign_train *f, const struct ns_flat *flat, const float *part, float *grad)
{
	int64_t i;
	int p;

	for (p = 0; p < f->net->param_count; p++)
		for (i = flat->at[p]; i < flat->at[p] + flat->count[p]; i++)
			grad[i] += part[i];
	grad[flat->statistics + NS_TAIL_LOSS] += part[flat->statistics + NS_TAIL_LOSS];
	grad[flat->statistics + NS_TAIL_HITS] += part[flat->statistics + NS_TAIL_HITS];
}

enum ns_status ns_foreign_train_step(struct ns_foreign_train *f, const struct ns_flat *flat, const float *images, const float *weights,
				     const int32_t *labels, float *grad, struct ns_queue *queue)
{
	const struct ns_arch *a = &f->net->arch;
	size_t pixels = (size_t)a->h * (size_t)a->w * (size_t)a->c * (size_t)f->images;
	int i;

	NS_TRY(run(f, flat, images, weights, labels, grad, queue));
	if (f->runs > 1 && !f->part) {
		f->part = calloc((size_t)flat->total, sizeof *f->part);
		if (!f->part)
			return ns_fail(NS_NO_MEMORY, "out of memory for gradients of %lld weights", (long long)flat->train);
	}
	for (i = 1; i < f->runs; i++) {
		NS_TRY(run(f, flat, images + (size_t)i * pixels, weights, labels + (int64_t)i * f->images * f->target.words, f->part, queue));
		add_up(f, flat, f->part, grad);
	}
	return NS_OK;
}
