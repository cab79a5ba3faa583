/*
 * host/graph/foreign.c - models that came as ONNX: what their outputs are, found out by running them, and their inference. The network's input is put before theirs (NHWC, as
 * everything here is), its logits and its embedding behind.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/dag/dag.h"
#include "host/graph/exec_inner.h"
#include "host/onnx/onnx.h"
#include "kernels/formula/pointwise.h"
#include "kernels/formula/random.h"

struct ns_foreign {
	struct ns_dag *dag;
	struct ns_dag_exec *exec;
	int images; /* of one run: the batch, or 1 */
};

int ns_foreign_before_weights(const struct ns_dag *d, int value)
{
	int i, root = d->values[value].same_as >= 0 ? d->values[value].same_as : value;

	for (i = d->node_count - 1; i >= 0; i--) {
		const struct ns_dag_node *n = &d->nodes[i];
		int k = 0;

		if (n->out[0] != root)
			continue;
		if (n->op.kind == NS_OP_CONTRACT || n->op.kind == NS_OP_CONVOLVE)
			return n->in[0];
		while (k < n->ins && (n->in[k] < 0 || ns_dag_is_constant(d, n->in[k])))
			k++;
		if (k == n->ins)
			return -1;
		root = d->values[n->in[k]].same_as >= 0 ? d->values[n->in[k]].same_as : n->in[k];
	}
	return -1;
}

/* The first output that has so many numbers an image, as logits (n, classes); the file's other outputs are not read. */
enum ns_status ns_foreign_logits(struct ns_dag *d, const struct ns_onnx *o, const struct ns_arch *a, int n, const int *outputs, int *logits)
{
	static const double least[] = {1e-30};
	int i, y;

	for (i = 0; i < o->outputs; i++)
		if (outputs[i] >= 0 && !ns_dag_is_constant(d, outputs[i]) &&
		    ns_box_count(&ns_dag_at(d, outputs[i])->box) == (int64_t)n * a->classes && ns_dtype_is_float(ns_dag_at(d, outputs[i])->dtype))
			break;
	if (i == o->outputs)
		return ns_fail(NS_BAD_DATA, "%s: has no output of %d numbers for each of %d images", o->path, a->classes, n);
	NS_TRY(ns_dag_view(d, outputs[i], &(struct ns_box){2, {n, a->classes}}, &y));
	NS_TRY(ns_dag_cast(d, y, NS_F32, &y));
	*logits = y;
	if (!a->probabilities)
		return NS_OK;
	NS_TRY(ns_dag_formula_of(d, NS_PW_MAX, y, least, 1, NS_F32, &y));
	return ns_dag_formula(d, NS_PW_LOG, &y, 1, NS_F32, logits);
}

/* Inputs of the graph in place of the file's weights. */
static enum ns_status add_params(struct ns_dag *d, const struct ns_onnx *o, const struct ns_net *net, int *given)
{
	int p;

	for (p = 0; net && p < net->trainable; p++) {
		const struct ns_onnx_tensor *t = &o->tensors[net->params[p].tensor];
		struct ns_box box = {.rank = t->rank};

		memcpy(box.dim, t->dims, sizeof box.dim);
		NS_TRY(ns_dag_input(d, NS_F32, &box, &given[net->params[p].tensor]));
		given[net->params[p].tensor]++; /* counted from 1 */
	}
	return NS_OK;
}

enum ns_status ns_foreign_graph(const struct ns_onnx *o, const struct ns_arch *a, const struct ns_net *net, int *batch, int n, int h, int w,
				struct ns_dag **made, int *outputs)
{
	int *given = calloc((size_t)o->tensor_count + 1, sizeof *given);
	struct ns_onnx_feed feed = {.dtype = NS_F32};
	struct ns_box box = {4, {n, h, w, a->c}};
	enum ns_status status;
	struct ns_dag *d = NULL;
	int x;

	NS_GO(given ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path));
	NS_GO(ns_dag_make(&d));
	NS_GO(ns_dag_input(d, NS_F32, &box, &x));
	NS_GO(add_params(d, o, net, given));
	if (a->bgr)
		NS_GO(ns_dag_slice(d, x, (const int64_t[]){0, 0, 0, a->c - 1}, (const int64_t[]){1, 1, 1, -1}, &box, &x));
	if (!a->channels_last)
		NS_GO(ns_dag_transpose(d, x, (const int[]){0, 3, 1, 2}, &x));
	feed.box = ns_dag_at(d, x)->box;
	feed.value = x + 1;
	NS_GO(ns_onnx_graph_given(o, &feed, 1, given, batch, d, outputs));
	*made = d;
	d = NULL;
out:
	ns_dag_free(d);
	free(given);
	return status;
}

/* The graph of n images; outputs: logits, embedding. */
static enum ns_status make_graph(const struct ns_onnx *o, const struct ns_arch *a, const struct ns_backend *backend, int n, struct ns_dag **made,
				 int out[2], int *embedding_dim)
{
	int *outputs = calloc((size_t)o->outputs + 1, sizeof *outputs);
	enum ns_status status = outputs ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path);
	struct ns_dag *d = NULL;
	int64_t wide;

	NS_GO(status);
	NS_GO(ns_foreign_graph(o, a, NULL, NULL, n, a->h, a->w, &d, outputs));
	NS_GO(ns_foreign_logits(d, o, a, n, outputs, &out[0]));
	out[1] = ns_foreign_before_weights(d, out[0]);
	wide = out[1] < 0 ? 0 : ns_box_count(&ns_dag_at(d, out[1])->box);
	if (out[1] < 0 || ns_dag_is_constant(d, out[1]) || wide % n || wide / n > NS_EMBEDDING_MOST || ns_dag_at(d, out[1])->dtype != NS_F32)
		out[1] = out[0];
	*embedding_dim = (int)(ns_box_count(&ns_dag_at(d, out[1])->box) / n);
	NS_GO(ns_dag_for_inference(d, backend, out, 2));
	*made = d;
	d = NULL;
out:
	free(outputs);
	ns_dag_free(d);
	return status;
}

/* --- what it is --- */

static enum ns_status run_once(const struct ns_onnx *o, const struct ns_arch *a, int n, const float *images, float *logits)
{
	const struct ns_backend *backend = ns_backend_find("cpu");
	struct ns_dag_exec *exec = NULL;
	struct ns_device *dev = NULL;
	struct ns_queue *queue = NULL;
	struct ns_dag *d = NULL;
	float *embedding = NULL;
	enum ns_status status;
	int out[2], dim;

	NS_GO(make_graph(o, a, backend, n, &d, out, &dim));
	embedding = malloc(sizeof *embedding * (size_t)dim * (size_t)n);
	NS_GO(embedding ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path));
	NS_GO(backend->open(&dev, 0));
	NS_GO(backend->queue_make(&queue, dev));
	NS_GO(ns_dag_exec_make(&exec, d, dev, out, 2));
	NS_GO(ns_dag_exec_run(exec, (const void *const[]){images}, (void *const[]){logits, embedding}, queue));
	NS_GO(backend->wait(queue));
out:
	ns_dag_exec_free(exec);
	if (queue)
		backend->queue_free(queue);
	if (dev)
		backend->close(dev);
	ns_dag_free(d);
	free(embedding);
	return status;
}

static int is_distribution(const float *p, int k)
{
	double sum = 0;
	int i;

	for (i = 0; i < k; i++) {
		if (!(p[i] >= 0 && p[i] <= 1.0001f))
			return 0;
		sum += (double)p[i];
	}
	return fabs(sum - 1) < 1e-3;
}

/* Together each image has to have what it has alone; a 1 that was written into a shape shows as an error, or as other numbers. */
static int agree(const float *together, const float *alone, int n)
{
	double most = 0, apart = 0;
	int i;

	for (i = 0; i < n; i++) {
		most = fmax(most, fabs((double)alone[i]));
		apart = fmax(apart, fabs((double)alone[i] - (double)together[i]));
	}
	return apart <= 1e-4 * most + 1e-6;
}

enum ns_status ns_foreign_probe(struct ns_arch *a, const struct ns_onnx *o)
{
	size_t pixels = (size_t)a->h * (size_t)a->w * (size_t)a->c, i;
	float *images = malloc(sizeof *images * 2 * pixels), *alone = malloc(sizeof *alone * 2 * (size_t)a->classes),
	      *both = malloc(sizeof *both * 2 * (size_t)a->classes);
	enum ns_status status = images && alone && both ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for two images", o->path);
	struct ns_dag *d = NULL;
	int out[2], k;

	NS_GO(status);
	a->onnx = 1;
	a->probabilities = a->alone = 0;
	NS_GO(make_graph(o, a, &ns_backend_ref, 1, &d, out, &a->embedding));
	for (i = 0; i < 2 * pixels; i++) /* as pixels are that are standardised */
		images[i] = (float)(4 * ns_uniform(ns_draw(1, NS_FOR_INIT, 0, (uint64_t)i, 0).v[0]) - 2);
	for (k = 0; k < 2; k++)
		NS_GO(run_once(o, a, 1, images + (size_t)k * pixels, alone + k * a->classes));
	for (i = 0; i < 2 * (size_t)a->classes; i++)
		if (!isfinite(alone[i]))
			NS_GO(ns_fail(NS_BAD_DATA, "%s: output %zu of a random image is %g, expected a finite number", o->path,
				      i % (size_t)a->classes, (double)alone[i]));
	a->probabilities = is_distribution(alone, a->classes) && is_distribution(alone + a->classes, a->classes);
	a->alone = 1;
	if (run_once(o, &(struct ns_arch){.h = a->h, .w = a->w, .c = a->c, .classes = a->classes, .channels_last = a->channels_last, .bgr = a->bgr},
		     2, images, both) == NS_OK)
		a->alone = !agree(both, alone, 2 * a->classes);
	status = NS_OK;
out:
	ns_dag_free(d);
	free(images);
	free(alone);
	free(both);
	return status;
}

/* --- inference --- */

enum ns_status ns_foreign_make(struct ns_foreign **foreign, const struct ns_onnx *o, const struct ns_arch *a, struct ns_device *dev, int n)
{
	struct ns_foreign *f = calloc(1, sizeof *f);
	enum ns_status status = f ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path);
	int out[2], dim;

	NS_GO(status);
	/* where the host computes each image is by itself: products of matrices round by how many rows they have, and bits are not to depend on a batch */
	f->images = a->alone || dev->backend->host_memory ? 1 : n;
	NS_GO(make_graph(o, a, dev->backend, f->images, &f->dag, out, &dim));
	if (dim != a->embedding)
		NS_GO(ns_fail(NS_BAD_DATA, "%s: its embedding has %d numbers, but the model's has %d", o->path, dim, a->embedding));
	NS_GO(ns_dag_exec_make(&f->exec, f->dag, dev, out, 2));
	*foreign = f;
	return NS_OK;
out:
	ns_foreign_free(f);
	return status;
}

void ns_foreign_free(struct ns_foreign *f)
{
	if (!f)
		return;
	ns_dag_exec_free(f->exec);
	ns_dag_free(f->dag);
	free(f);
}

enum ns_status ns_foreign_run(struct ns_foreign *f, const struct ns_arch *a, int n, const float *images, float *logits, float *embedding,
			      struct ns_queue *queue)
{
	size_t pixels = (size_t)a->h * (size_t)a->w * (size_t)a->c;
	int i;

	for (i = 0; i < n; i += f->images)
		NS_TRY(ns_dag_exec_run(f->exec, (const void *const[]){images + (size_t)i * pixels},
				       (void *const[]){logits + (size_t)i * (size_t)a->classes, embedding + (size_t)i * (size_t)a->embedding},
				       queue));
	return NS_OK;
}
