/* host/graph/raw.c - all outputs of a model that came as ONNX, an image at a time, for those tasks whose outputs are not one row of classes. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "host/dag/dag.h"
#include "host/graph/exec_inner.h"
#include "host/onnx/onnx.h"

/* Output i of the file, the name of which is kept beside the numbers. */
static enum ns_status name_output(struct ns_raw *r, const struct ns_onnx *o, int i, const struct ns_box *box)
{
	int k;

	for (k = 0; k < o->value_count; k++)
		if (o->values[k].output == i + 1)
			r->names[i] = strndup(o->values[k].name.at, o->values[k].name.bytes);
	r->outputs[i].name = r->names[i];
	r->outputs[i].box = *box;
	r->outputs[i].data = calloc((size_t)ns_box_count(box) + 1, sizeof(float));
	return r->names[i] && r->outputs[i].data ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for output %d", o->path, i);
}

/* A vector for each image, to measure drift in: of the task embed the output itself. */
static enum ns_status embed(struct ns_raw *r, const struct ns_arch *a, int output, int *value)
{
	int from = a->task == NS_TASK_EMBED ? output : ns_foreign_before_weights(r->dag, output);
	const struct ns_dag_value *v = from < 0 ? NULL : ns_dag_at(r->dag, from);
	int64_t dim;
	int last;

	if (!v || !v->box.rank || ns_dag_is_constant(r->dag, from) || v->dtype != NS_F32)
		return NS_OK;
	last = v->box.rank == 4 ? 1 : v->box.rank - 1; /* channels come first in images, and last in sequences */
	dim = a->task == NS_TASK_EMBED ? ns_box_count(&v->box) : v->box.dim[last];
	if (dim < 1 || dim > NS_EMBEDDING_MOST)
		return NS_OK;
	r->embedding = calloc((size_t)dim, sizeof *r->embedding);
	if (!r->embedding)
		return ns_fail(NS_NO_MEMORY, "out of memory for an embedding of %lld numbers", (long long)dim);
	r->embedding_dim = (int)dim;
	*value = from;
	return a->task == NS_TASK_EMBED ? NS_OK : ns_dag_reduce(r->dag, from, NS_REDUCE_MEAN, ((1u << v->box.rank) - 1) & ~(1u << last), 0, value);
}

static size_t output_bytes(const struct ns_raw *r, int i)
{
	return sizeof(float) * (size_t)(i < r->count ? ns_box_count(&r->outputs[i].box) : r->embedding_dim);
}

/* The device's memory for the image and for what is made of it. */
static enum ns_status reserve(struct ns_raw *r, const struct ns_arch *a)
{
	int i;

	r->image_bytes = sizeof(float) * (size_t)r->h * (size_t)r->w * (size_t)a->c;
	r->there = calloc((size_t)r->count + 2, sizeof *r->there);
	if (!r->there)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d outputs", r->count);
	NS_TRY(r->dev->backend->mem_make(&r->image, r->dev, r->image_bytes));
	for (i = 0; i <= r->count; i++)
		NS_TRY(r->dev->backend->mem_make(&r->there[i], r->dev, output_bytes(r, i) + 4));
	return NS_OK;
}

static enum ns_status make(struct ns_raw *r, const struct ns_onnx *o, const struct ns_arch *a, struct ns_device *dev, int *values)
{
	int i, all;

	NS_TRY(ns_foreign_graph(o, a, NULL, NULL, 1, r->h, r->w, &r->dag, values));
	for (i = 0; i < o->outputs; i++) {
		if (values[i] < 0)
			return ns_fail(NS_BAD_DATA, "%s: output %d is not made", o->path, i);
		NS_TRY(ns_dag_cast(r->dag, values[i], NS_F32, &values[i]));
		NS_TRY(name_output(r, o, i, &ns_dag_at(r->dag, values[i])->box));
		r->count++;
	}
	NS_TRY(embed(r, a, values[0], &values[r->count]));
	all = r->count + (r->embedding_dim > 0);
	NS_TRY(ns_dag_for_inference(r->dag, dev->backend, values, all));
	NS_TRY(ns_dag_exec_make(&r->exec, r->dag, dev, values, all));
	return dev->backend->host_memory ? NS_OK : reserve(r, a);
}

enum ns_status ns_raw_make(struct ns_raw **raw, const struct ns_onnx *o, const struct ns_arch *a, struct ns_device *dev, int h, int w)
{
	struct ns_raw *r = calloc(1, sizeof *r);
	int *values = calloc((size_t)o->outputs + 2, sizeof *values);
	enum ns_status status = NS_NO_MEMORY;

	if (r) {
		r->h = h;
		r->w = w;
		r->dev = dev;
		r->outputs = calloc((size_t)o->outputs + 1, sizeof *r->outputs);
		r->names = calloc((size_t)o->outputs + 1, sizeof *r->names);
	}
	if (!r || !values || !r->outputs || !r->names)
		ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path);
	else
		status = make(r, o, a, dev, values);
	free(values);
	if (status == NS_OK)
		*raw = r;
	else
		ns_raw_free(r);
	return status;
}

void ns_raw_free(struct ns_raw *r)
{
	int i;

	if (!r)
		return;
	for (i = 0; r->there && i <= r->count; i++)
		r->dev->backend->mem_free(r->dev, r->there[i]);
	if (r->image)
		r->dev->backend->mem_free(r->dev, r->image);
	free(r->there);
	ns_dag_exec_free(r->exec);
	ns_dag_free(r->dag);
	for (i = 0; r->outputs && r->names && i < r->count + 1; i++) { /* the last may be half made; there is room for one more than all */
		free(r->names[i]);
		free((void *)(uintptr_t)r->outputs[i].data);
	}
	free(r->embedding);
	free(r->outputs);
	free(r->names);
	free(r);
}

/* On a device with memory of its own: there, and what came out back. */
static enum ns_status run_there(struct ns_raw *r, const float *image, void *const *to, struct ns_queue *queue)
{
	const struct ns_backend *b = r->dev->backend;
	int i;

	NS_TRY(b->put(queue, r->image, image, r->image_bytes));
	NS_TRY(ns_dag_exec_run(r->exec, (const void *const[]){r->image}, r->there, queue));
	for (i = 0; i < r->count + (r->embedding_dim > 0); i++)
		NS_TRY(b->get(queue, to[i], r->there[i], output_bytes(r, i)));
	return NS_OK;
}

enum ns_status ns_raw_run(struct ns_raw *r, const float *image, struct ns_queue *queue)
{
	void **to = calloc((size_t)r->count + 2, sizeof *to);
	enum ns_status status;
	int i;

	if (!to)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d outputs", r->count);
	for (i = 0; i < r->count; i++)
		to[i] = (void *)(uintptr_t)r->outputs[i].data;
	to[i] = r->embedding;
	status = r->there ? run_there(r, image, to, queue) : ns_dag_exec_run(r->exec, (const void *const[]){image}, to, queue);
	if (status == NS_OK)
		status = r->dev->backend->wait(queue);
	free(to);
	return status;
}
