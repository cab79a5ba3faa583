/*
 * host/graph/learn.c - weights of graphs of ONNX, as values that a training may change, and values back as a file. The statistics of normalisations stay those of the file, which most files have
 * folded already; those of networks that are built here are measured (ns_arch.batch_norms).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/graph/graph.h"
#include "host/onnx/onnx.h"
#include "kernels/backend.h"
#include "kernels/formula/random.h"

/* Parameters that decay, of two axes and more, then the others; each in the order of the file. */
static void add_params(struct ns_net *net, const struct ns_onnx *o, const int *tensors, const int *depths, int decaying)
{
	int i;

	for (i = 0; i < o->value_count; i++) {
		const struct ns_onnx_tensor *t = tensors[i] < 0 ? NULL : &o->tensors[tensors[i]];
		struct ns_param *p = &net->params[net->param_count];

		if (!t || (t->rank > 1) != decaying)
			continue;
		*p = (struct ns_param){.kind = NS_PARAM_VECTOR,
				       .count = t->count,
				       .at = net->floats,
				       .value = i,
				       .tensor = tensors[i],
				       .depth = depths[i] < 0 ? 0 : depths[i]};
		snprintf(p->name, sizeof p->name, "%.*s", (int)(t->name.bytes < sizeof p->name ? t->name.bytes : sizeof p->name - 1), t->name.at);
		net->param_count++;
		net->floats += t->count;
	}
	if (decaying) {
		net->decaying = net->param_count;
		net->decay_floats = net->floats;
	}
}

/* Of networks that were built here: what their normalisations will have measured, after all that learns. */
static void add_statistics(struct ns_net *net, const struct ns_onnx *o, const int *tensors)
{
	int i;

	for (i = 0; i < o->value_count; i++) {
		const struct ns_onnx_tensor *t = tensors[i] < 0 ? NULL : &o->tensors[tensors[i]];

		if (!t)
			continue;
		net->params[net->param_count] =
			(struct ns_param){.kind = NS_PARAM_STATISTIC, .count = t->count, .at = net->floats, .value = i, .tensor = tensors[i]};
		snprintf(net->params[net->param_count].name, sizeof net->params->name, "statistic %d", net->param_count);
		net->param_count++;
		net->floats += t->count;
	}
}

static enum ns_status list_params(struct ns_net *net, const struct ns_onnx *o, const int *tensors)
{
	int i, n = 0, *depths = malloc(sizeof *depths * (size_t)(o->value_count + 1));
	enum ns_status status = depths ? ns_onnx_depths(o, tensors, depths) : ns_fail(NS_NO_MEMORY, "%s: out of memory", o->path);

	for (i = 0; i < o->value_count; i++)
		n += tensors[i] >= 0;
	free(net->params);
	net->params = calloc((size_t)o->value_count + 1, sizeof *net->params);
	if (status == NS_OK && !net->params)
		status = ns_fail(NS_NO_MEMORY, "%s: out of memory for %d weights", o->path, n);
	if (status != NS_OK) {
		free(depths);
		return status;
	}
	net->param_count = 0;
	net->floats = 0;
	add_params(net, o, tensors, depths, 1);
	add_params(net, o, tensors, depths, 0);
	net->trainable = net->param_count;
	net->train_floats = net->floats;
	if (net->arch.batch_norms && !net->arch.alone) {
		ns_onnx_statistics(o, depths);
		add_statistics(net, o, depths);
	}
	free(depths);
	return n ? NS_OK : ns_fail(NS_CONFIG, "%s: has no weight that a training could change", o->path);
}

static enum ns_status take_values(struct ns_model *m)
{
	int p;

	free(m->values);
	m->values = calloc((size_t)m->net.floats + 1, sizeof *m->values);
	if (!m->values)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld parameters", m->onnx->path, (long long)m->net.floats);
	for (p = 0; p < m->net.param_count; p++)
		NS_TRY(ns_onnx_floats(m->onnx, m->net.params[p].tensor, m->values + m->net.params[p].at));
	return NS_OK;
}

enum ns_status ns_model_learn(struct ns_model *m, const char *freeze)
{
	int *tensors = malloc(sizeof *tensors * (size_t)(m->onnx->value_count + 1));
	enum ns_status status = tensors ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", m->onnx->path);

	NS_GO(status);
	NS_GO(ns_onnx_trainable(m->onnx, tensors));
	if (freeze)
		NS_GO(ns_onnx_freeze(m->onnx, freeze, tensors));
	NS_GO(list_params(&m->net, m->onnx, tensors));
	status = take_values(m);
out:
	free(tensors);
	return status;
}

/* Floats of the file's tensors, numbers by themselves left out. */
static int64_t floats_of(const struct ns_onnx *o)
{
	int64_t n = 0;
	int i;

	for (i = 0; i < o->tensor_count; i++)
		n += o->tensors[i].count > 1 && (o->tensors[i].type == NS_ONNX_FLOAT || o->tensors[i].type == NS_ONNX_FLOAT16 ||
						 o->tensors[i].type == NS_ONNX_BFLOAT16 || o->tensors[i].type == NS_ONNX_DOUBLE)
			     ? o->tensors[i].count
			     : 0;
	return n;
}

/* Its graph with gradients is made, for one image. fixed: floats of its file that would stay. */
static enum ns_status try_training(const struct ns_model *m, int *tensors, int64_t *parameters, int64_t *fixed)
{
	const struct ns_backend *cpu = ns_backend_find("cpu");
	struct ns_model copy = {0};
	struct ns_exec *exec = NULL;
	struct ns_device *dev = NULL;
	struct ns_loss loss = {.kind = NS_LOSS_SOFTMAX};
	enum ns_status status;

	while (loss.kind < NS_LOSS_KINDS - 1 && !ns_task_has_loss(m->net.arch.task, loss.kind)) /* the first of its task */
		loss.kind++;
	NS_GO(ns_model_copy(&copy, m));
	NS_GO(ns_model_learn(&copy, NULL));
	NS_GO(cpu->open(&dev, 0));
	NS_GO(ns_exec_train(&exec, &copy, dev, NULL, 1, 1, &loss, NS_F32));
	*tensors = copy.net.param_count;
	*parameters = copy.net.floats;
	*fixed = floats_of(m->onnx) - copy.net.floats;
	*fixed = *fixed < 0 ? 0 : *fixed;
out:
	ns_exec_free(exec);
	if (dev)
		cpu->close(dev);
	ns_model_release(&copy);
	return status;
}

enum ns_status ns_model_note_training(struct ns_model *m)
{
	int64_t parameters = 0, fixed = 0;
	int tensors = 0;
	size_t path = strlen(m->onnx->path);
	enum ns_status status = try_training(m, &tensors, &parameters, &fixed);
	const char *because = ns_message();

	if (status == NS_NO_MEMORY || status == NS_IO || status == NS_STOPPED || status == NS_INTERNAL)
		return status;
	if (!strncmp(because, m->onnx->path, path) && because[path] == ':')
		because += path + 2;
	json_object_set_new(m->facts, "trains",
			    status == NS_OK ? NS_JSON_OBJECT({"tensors", json_integer(tensors)}, {"parameters", json_integer(parameters)},
							     {"fixed", json_integer(fixed)})
					    : NS_JSON_OBJECT({"because", ns_json_string(because)}));
	return NS_OK;
}

/* The file with weights in place of its own, read again. */
static enum ns_status rewrite(const struct ns_onnx *o, const struct ns_onnx_weight *weights, int n, int classes, int wide, struct ns_onnx **made)
{
	struct ns_onnx_message out = {NULL, 0, 0, 0};
	enum ns_status status = ns_onnx_put_weights(o, weights, n, classes, wide, &out);

	if (status == NS_OK) {
		status = ns_onnx_read_bytes(made, out.bytes, out.n, o->path); /* which takes the bytes */
		memset(&out, 0, sizeof out);
	}
	ns_onnx_message_release(&out);
	return status;
}

enum ns_status ns_model_settle(struct ns_model *m)
{
	const struct ns_onnx *from = m->learns ? m->learns : m->onnx;
	struct ns_onnx_weight *weights;
	struct ns_onnx *made = NULL;
	enum ns_status status;
	int p, d;

	if (!m->onnx || !m->net.param_count)
		return NS_OK;
	weights = calloc((size_t)m->net.param_count, sizeof *weights);
	if (!weights)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its weights", m->onnx->path);
	for (p = 0; p < m->net.param_count; p++) {
		const struct ns_param *q = &m->net.params[p];
		const struct ns_onnx_tensor *t = &from->tensors[q->tensor];

		weights[p] = (struct ns_onnx_weight){.value = q->value, .rank = t->rank, .floats = m->values + q->at};
		for (d = 0; d < t->rank; d++)
			weights[p].dims[d] = t->dims[d];
	}
	status = rewrite(from, weights, m->net.param_count, 0, 0, &made);
	free(weights);
	NS_TRY(status);
	if (m->learns)
		ns_onnx_free(m->onnx);
	else
		m->learns = m->onnx;
	m->onnx = made;
	return NS_OK;
}

/* --- another head --- */

/* Rows of an axis: those of classes of the same names as before, the others drawn as a new layer's are. */
struct rows {
	const int *old; /* of each class, which it was; -1: it is new */
	int classes;
	uint64_t seed;
	double bound;
};

/* *made is the caller's. */
static enum ns_status make_rows(const struct ns_onnx *o, int tensor, int axis, const struct rows *r, int stream, float **made)
{
	const struct ns_onnx_tensor *t = &o->tensors[tensor];
	int64_t outer = 1, inner = 1, was = t->dims[axis], i, j, k;
	float *from = malloc(sizeof *from * (size_t)(t->count + 1)), *to = NULL;
	int d;

	for (d = 0; d < axis; d++)
		outer *= t->dims[d];
	for (d = axis + 1; d < t->rank; d++)
		inner *= t->dims[d];
	enum ns_status status = from ? ns_onnx_floats(o, tensor, from) : NS_NO_MEMORY;

	if (status == NS_OK)
		*made = to = malloc(sizeof *to * (size_t)(outer * r->classes * inner + 1));
	for (i = 0; to && i < outer; i++)
		for (k = 0; k < r->classes; k++)
			for (j = 0; j < inner; j++) {
				int64_t at = (i * r->classes + k) * inner + j;
				double u = ns_uniform(ns_draw(r->seed, NS_FOR_INIT, (uint32_t)stream, (uint64_t)at, 0).v[0]);

				to[at] = r->old[k] >= 0 ? from[(i * was + r->old[k]) * inner + j] : (float)((2 * u - 1) * r->bound);
			}
	free(from);
	return from && (to || status != NS_OK) ? status : ns_fail(NS_NO_MEMORY, "%s: out of memory for a new head", o->path);
}

static void dims_with(const struct ns_onnx_tensor *t, int axis, int classes, struct ns_onnx_weight *w)
{
	int d;

	w->rank = t->rank;
	for (d = 0; d < t->rank; d++)
		w->dims[d] = d == axis ? classes : t->dims[d];
}

/* The axis of a bias that is as long as it has numbers. */
static int long_axis(const struct ns_onnx_tensor *t)
{
	int d = t->rank - 1;

	while (d > 0 && t->dims[d] != t->count)
		d--;
	return d;
}

static enum ns_status put_head(const struct ns_onnx *o, const int *tensors, const struct ns_onnx_head *h, const struct rows *r, int was,
			       struct ns_onnx **made)
{
	struct ns_onnx_weight weights[2] = {{.value = h->weight}, {.value = h->bias}};
	float *weight = NULL, *bias = NULL;
	enum ns_status status;

	NS_GO(make_rows(o, tensors[h->weight], h->axis, r, 0, &weight));
	dims_with(&o->tensors[tensors[h->weight]], h->axis, r->classes, &weights[0]);
	weights[0].floats = weight;
	if (h->bias >= 0) {
		int axis = long_axis(&o->tensors[tensors[h->bias]]);

		NS_GO(make_rows(o, tensors[h->bias], axis, r, 1, &bias));
		dims_with(&o->tensors[tensors[h->bias]], axis, r->classes, &weights[1]);
		weights[1].floats = bias;
	}
	status = rewrite(o, weights, h->bias >= 0 ? 2 : 1, was, r->classes, made);
out:
	free(weight);
	free(bias);
	return status;
}

/* Which of the old classes each new one was. */
static int match(const struct ns_model *m, const char *const *classes, int n, int *old)
{
	int i, k, kept = 0;

	for (k = 0; k < n; k++) {
		for (i = 0; i < m->class_count && strcmp(m->classes[i], classes[k]); i++)
			;
		old[k] = i < m->class_count ? i : -1;
		kept += i < m->class_count;
	}
	return kept;
}

static enum ns_status other_classes(const struct ns_model *m, int n, enum ns_status status)
{
	return status == NS_DECLINED || status == NS_BAD_DATA
		       ? ns_fail_in(NS_CONFIG, "%s: its %d classes cannot become %d", m->onnx->path, m->net.arch.classes, n)
		       : status;
}

enum ns_status ns_model_new_head(struct ns_model *m, const char *const *classes, int n, uint64_t seed, int *kept)
{
	int *tensors = malloc(sizeof *tensors * (size_t)(m->onnx->value_count + 1)), *old = malloc(sizeof *old * (size_t)(n + 1));
	struct ns_arch arch = m->net.arch;
	struct ns_onnx_head head;
	struct ns_onnx *made = NULL;
	struct rows r = {.old = old, .classes = n, .seed = seed};
	enum ns_status status = tensors && old ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", m->onnx->path);

	NS_GO(status);
	*kept = match(m, classes, n, old);
	NS_GO(ns_onnx_trainable(m->onnx, tensors));
	NS_GO(other_classes(m, n, ns_onnx_find_head(m->onnx, tensors, arch.classes, &head)));
	r.bound = 1 / sqrt((double)m->onnx->tensors[tensors[head.weight]].count / arch.classes);
	NS_GO(put_head(m->onnx, tensors, &head, &r, arch.classes, &made));
	arch.classes = n;
	NS_GO(other_classes(m, n, ns_foreign_probe(&arch, made))); /* a shape that has the old number written in shows here */
	NS_GO(ns_model_name_classes(m, classes, n));
	m->net.arch = arch;
	ns_onnx_free(m->onnx);
	m->onnx = made;
	made = NULL;
out:
	ns_onnx_free(made);
	free(tensors);
	free(old);
	return status;
}
