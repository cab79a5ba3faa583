/* jobs/answer/predictor.c - one worker's copy of a model, and a few executables of it where its canvas changes with the image. */
#include "jobs/answer/answer_inner.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

#define SIZES 8 /* of the canvas whose executables are kept; the one that was used longest ago goes */

struct ns_predictor {
	const struct ns_model *model;
	const struct ns_reading *reading;
	struct ns_device *dev, *own; /* own: that it opened itself */
	struct ns_queue *queue;
	struct ns_exec *exec;		  /* of classify */
	struct ns_raw *raw[SIZES], *last; /* last: the one of the last run */
	int64_t used[SIZES], runs;
	float *canvas;
	size_t room;
};

enum ns_status ns_predictor_make(struct ns_predictor **predictor, const struct ns_model *model, const struct ns_reading *reading,
				 struct ns_device *dev)
{
	const struct ns_backend *cpu = ns_backend_find("cpu");
	struct ns_predictor *p = calloc(1, sizeof *p);
	enum ns_status status = p ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a model");

	NS_GO(status);
	p->model = model;
	p->reading = reading;
	if (!dev || model->net.arch.task == NS_TASK_CLASSIFY) {
		NS_GO(cpu->open(&p->own, 0));
		dev = p->own;
	}
	p->dev = dev;
	NS_GO(dev->backend->queue_make(&p->queue, dev));
	if (model->net.arch.task == NS_TASK_CLASSIFY)
		NS_GO(ns_exec_infer_model(&p->exec, model, p->dev, p->queue, 1, NS_F32));
	*predictor = p;
	return NS_OK;
out:
	ns_predictor_free(p);
	return status;
}

void ns_predictor_free(struct ns_predictor *p)
{
	int i;

	if (!p)
		return;
	ns_exec_free(p->exec);
	for (i = 0; i < SIZES; i++)
		ns_raw_free(p->raw[i]);
	if (p->queue)
		p->dev->backend->queue_free(p->queue);
	if (p->own)
		p->own->backend->close(p->own);
	free(p->canvas);
	free(p);
}

/* The classes of the largest probabilities, best first; ties: the first. */
static enum ns_status classify(struct ns_predictor *p, json_t *result)
{
	json_t *list = json_array();
	struct ns_outputs out;
	int i, k, at, n = p->model->class_count, top = p->reading->top < n ? p->reading->top : n;
	unsigned char *told = calloc((size_t)n + 1, 1);
	enum ns_status status = told ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d classes", n);

	json_object_set_new(result, "classes", list);
	NS_GO(status);
	memcpy(ns_exec_images(p->exec), p->canvas,
	       sizeof *p->canvas * (size_t)p->reading->fit.h * (size_t)p->reading->fit.w * (size_t)p->model->net.arch.c);
	NS_GO(ns_exec_run(p->exec, &out));
	NS_GO(p->dev->backend->wait(p->queue));
	for (i = 0; i < top; i++) {
		for (at = -1, k = 0; k < n; k++)
			if (!told[k] && (at < 0 || out.prob[k] > out.prob[at]))
				at = k;
		told[at] = 1;
		json_array_append_new(
			list, NS_JSON_OBJECT({"class", ns_json_string(p->model->classes[at])}, {"probability", ns_json_real((double)out.prob[at])}));
	}
out:
	free(told);
	return status;
}

const float *ns_predictor_embedding(const struct ns_predictor *p, int *dim)
{
	*dim = p->last ? p->last->embedding_dim : 0;
	return *dim ? p->last->embedding : NULL;
}

/* The executable of that canvas, made where there is none. */
static enum ns_status executable(struct ns_predictor *p, int h, int w, struct ns_raw **raw)
{
	int i, oldest = 0;

	for (i = 0; i < SIZES; i++) {
		if (p->raw[i] && p->raw[i]->h == h && p->raw[i]->w == w)
			break;
		if (p->used[i] < p->used[oldest])
			oldest = i;
	}
	if (i == SIZES) {
		i = oldest;
		ns_raw_free(p->raw[i]);
		p->raw[i] = NULL;
		NS_TRY(ns_raw_make(&p->raw[i], p->model->onnx, &p->model->net.arch, p->dev, h, w));
	}
	p->used[i] = ++p->runs;
	*raw = p->raw[i];
	return NS_OK;
}

static enum ns_status room_for(struct ns_predictor *p, size_t floats)
{
	float *more = floats > p->room ? realloc(p->canvas, sizeof *more * floats) : p->canvas;

	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for a canvas of %zu numbers", floats);
	p->canvas = more;
	p->room = floats > p->room ? floats : p->room;
	return NS_OK;
}

enum ns_status ns_predictor_run(struct ns_predictor *p, const uint8_t *pixels, int h, int w, json_t **result)
{
	struct ns_sight s = {.model = p->model, .reading = p->reading, .h = h, .w = w};
	const int c = p->model->net.arch.c;
	struct ns_raw *raw;
	enum ns_status status;

	*result = json_pack("{s:i, s:i}", "width", w, "height", h);
	NS_GO(*result ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a result"));
	NS_GO(ns_fit_place(&p->reading->fit, h, w, &s.placed));
	NS_GO(room_for(p, (size_t)s.placed.canvas_h * (size_t)s.placed.canvas_w * (size_t)c));
	NS_GO(ns_fit_image(&p->reading->fit, &s.placed, pixels, h, w, c, p->model->mean, p->model->std, p->canvas));
	if (p->exec) {
		status = classify(p, *result);
		goto out;
	}
	NS_GO(executable(p, s.placed.canvas_h, s.placed.canvas_w, &raw));
	NS_GO(ns_raw_run(raw, p->canvas, p->queue));
	s.outputs = raw->outputs;
	s.count = raw->count;
	status = ns_task_read(&s, *result);
	p->last = raw;
out:
	if (status != NS_OK) {
		json_decref(*result);
		*result = NULL;
	}
	return status;
}
