#define _XOPEN_SOURCE 700
#include "host/graph/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/onnx/onnx.h"
#include "kernels/formula/random.h"

enum ns_status ns_model_make(struct ns_model *m, const struct ns_arch *arch, const char *const *classes, int n)
{
	int i;

	memset(m, 0, sizeof *m);
	m->temperature = 1;
	strcpy(m->precision, "f32");
	for (i = 0; i < 4; i++)
		m->std[i] = 1;
	NS_TRY(ns_net_build(&m->net, arch));
	m->values = calloc((size_t)m->net.floats + 1, sizeof *m->values);
	m->classes = calloc((size_t)n + 1, sizeof *m->classes);
	m->facts = json_object();
	if (!m->values || !m->classes || !m->facts) {
		long long floats = m->net.floats;

		ns_model_release(m);
		return ns_fail(NS_NO_MEMORY, "out of memory for a model of %lld parameters", floats);
	}
	for (i = 0; i < n; i++)
		m->classes[m->class_count++] = strdup(classes[i]);
	return NS_OK;
}

enum ns_status ns_model_name_classes(struct ns_model *m, const char *const *classes, int n)
{
	char **names = calloc((size_t)n + 1, sizeof *names);
	int i;

	for (i = 0; names && i < n && (names[i] = strdup(classes[i])); i++)
		;
	if (!names || i < n) {
		while (names && i > 0)
			free(names[--i]);
		free(names);
		return ns_fail(NS_NO_MEMORY, "out of memory for %d names of classes", n);
	}
	for (i = 0; i < m->class_count; i++)
		free(m->classes[i]);
	free(m->classes);
	m->classes = names;
	m->class_count = n;
	return NS_OK;
}

static enum ns_status copy_file(const struct ns_onnx *from, struct ns_onnx **onnx)
{
	char *bytes = malloc(from->bytes + 1);

	if (!bytes)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for a copy", from->path);
	memcpy(bytes, from->data, from->bytes);
	return ns_onnx_read_bytes(onnx, bytes, from->bytes, from->path);
}

void ns_model_copy_reading(struct ns_model *m, const struct ns_model *from)
{
	static const char *const keys[] = {"fit", "decode", "trains"};
	size_t i;

	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if (json_object_get(from->facts, keys[i]))
			json_object_set(m->facts, keys[i], json_object_get(from->facts, keys[i]));
}

enum ns_status ns_model_copy(struct ns_model *m, const struct ns_model *from)
{
	enum ns_status status;

	NS_TRY(ns_model_make(m, &from->net.arch, (const char *const *)from->classes, from->class_count));
	memcpy(m->mean, from->mean, sizeof m->mean);
	memcpy(m->std, from->std, sizeof m->std);
	m->temperature = from->temperature;
	ns_model_copy_reading(m, from);
	if (!from->onnx) {
		memcpy(m->values, from->values, sizeof *m->values * (size_t)m->net.floats);
		return NS_OK;
	}
	status = copy_file(from->onnx, &m->onnx);
	if (status != NS_OK)
		ns_model_release(m);
	return status;
}

void ns_model_release(struct ns_model *m)
{
	int i;

	for (i = 0; i < m->class_count; i++)
		free(m->classes[i]);
	free(m->classes);
	free(m->values);
	ns_onnx_free(m->onnx);
	ns_onnx_free(m->learns);
	json_decref(m->facts);
	ns_net_release(&m->net);
	memset(m, 0, sizeof *m);
}

static double normal(struct ns_philox r)
{
	return sqrt(-2 * log(1 - ns_uniform(r.v[0]))) * cos(6.283185307179586 * ns_uniform(r.v[1]));
}

void ns_model_initialise(struct ns_model *m, uint64_t seed)
{
	int p;

	for (p = 0; p < m->net.param_count; p++) {
		const struct ns_param *q = &m->net.params[p];
		int norm = strstr(q->name, "bn") || strstr(q->name, "downsample.1");
		double fan_out = (double)q->k * q->r * q->s, bound = 1 / sqrt((double)m->net.embedding_dim);
		float *w = m->values + q->at;
		int64_t i;

		for (i = 0; i < q->count; i++) {
			struct ns_philox r = ns_draw(seed, NS_FOR_INIT, (uint32_t)p, (uint64_t)i, 0);

			if (q->kind == NS_PARAM_CONV)
				w[i] = (float)(normal(r) * sqrt(2 / fan_out));
			else if (norm)
				w[i] = strstr(q->name, "weight") || strstr(q->name, "running_var") ? 1 : 0;
			else
				w[i] = (float)((2 * ns_uniform(r.v[0]) - 1) * bound);
		}
	}
}

static void to_torch(const struct ns_param *p, const float *x, float *y)
{
	int k, c, i, n = p->r * p->s;

	for (k = 0; k < p->k; k++)
		for (c = 0; c < p->c; c++)
			for (i = 0; i < n; i++)
				y[((int64_t)k * p->c + c) * n + i] = x[((int64_t)k * n + i) * p->c + c];
}

static void from_torch(const struct ns_param *p, const float *x, float *y)
{
	int k, c, i, n = p->r * p->s;

	for (k = 0; k < p->k; k++)
		for (c = 0; c < p->c; c++)
			for (i = 0; i < n; i++)
				y[((int64_t)k * n + i) * p->c + c] = x[((int64_t)k * p->c + c) * n + i];
}

static int torch_shape(const struct ns_param *p, int64_t dims[4])
{
	dims[0] = p->k;
	dims[1] = p->c;
	dims[2] = p->r;
	dims[3] = p->s;
	return p->kind == NS_PARAM_CONV ? 4 : p->kind == NS_PARAM_MATRIX ? 2 : 1;
}

enum ns_status ns_model_write_weights(const struct ns_model *m, const float *values, const char *path)
{
	int n = m->net.param_count, p;
	struct ns_tensor_out *out = calloc((size_t)n + 1, sizeof *out);
	float *torch = malloc(sizeof *torch * ((size_t)m->net.floats + 1));
	enum ns_status status;

	if (!out || !torch) {
		free(out);
		free(torch);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for the weights", path);
	}
	if (m->onnx) {
		free(out);
		free(torch);
		return ns_write_file(path, m->onnx->data, m->onnx->bytes);
	}
	for (p = 0; p < n; p++) {
		const struct ns_param *q = &m->net.params[p];

		to_torch(q, values + q->at, torch + q->at);
		out[p].name = q->name;
		out[p].rank = torch_shape(q, out[p].dims);
		out[p].data = torch + q->at;
	}
	status = ns_tensors_write(path, out, n, NULL, NULL);
	free(out);
	free(torch);
	return status;
}

/* One NaN, infinity or negative variance makes every output of a network invalid. */
static enum ns_status check_values(const struct ns_param *p, const float *x, const char *path)
{
	int variance = strstr(p->name, "running_var") != NULL;
	int64_t i;

	for (i = 0; i < p->count; i++)
		if (!isfinite(x[i]) || (variance && x[i] < 0))
			return ns_fail(NS_BAD_DATA, "%s: %s[%lld] is %g, expected a %s", path, p->name, (long long)i, (double)x[i],
				       variance ? "variance of at least 0" : "finite number");
	return NS_OK;
}

enum ns_status ns_model_take(struct ns_model *m, const struct ns_found *f, int new_head)
{
	float *torch = malloc(sizeof *torch * (size_t)m->net.floats);
	enum ns_status status = torch ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for the weights", f->t.path);
	int p;

	for (p = 0; p < m->net.param_count && status == NS_OK; p++) {
		const struct ns_param *q = &m->net.params[p];
		int64_t dims[4];
		int rank = torch_shape(q, dims);

		if (new_head && !strncmp(q->name, "fc.", 3))
			continue;
		status = ns_found_get(f, q->name, rank, dims, torch);
		if (status == NS_OK)
			status = check_values(q, torch, f->t.path);
		if (status == NS_OK)
			from_torch(q, torch, m->values + q->at);
	}
	free(torch);
	return status;
}

/* All of them, and nothing else is there. */
static enum ns_status read_weights(struct ns_model *m, const char *path)
{
	struct ns_found f;
	enum ns_status status;

	NS_TRY(ns_found_read(&f, path));
	status = ns_found_check_left(&f, &m->net);
	if (status == NS_OK)
		status = ns_model_take(m, &f, 0);
	ns_found_release(&f);
	return status;
}

const char *ns_model_weights_name(const struct ns_model *m)
{
	return m->net.arch.onnx ? "model.onnx" : "model.safetensors";
}

enum ns_status ns_model_check_classifies(const struct ns_model *m, const char *name)
{
	return m->net.arch.task == NS_TASK_CLASSIFY
		       ? NS_OK
		       : ns_fail(NS_CONFIG, "%s: its task is %s: predict runs it; here a model that classifies is expected", name,
				 ns_task_name(m->net.arch.task));
}

json_t *ns_model_to_json(const struct ns_model *m, const char *weights_digest)
{
	json_t *classes = json_array(), *mean = json_array(), *std = json_array(), *json;
	int i;

	for (i = 0; i < m->class_count; i++)
		json_array_append_new(classes, json_string(m->classes[i]));
	for (i = 0; i < m->net.arch.c; i++) {
		json_array_append_new(mean, json_real((double)m->mean[i]));
		json_array_append_new(std, json_real((double)m->std[i]));
	}
	json = json_pack("{s:s, s:o, s:s, s:o, s:{s:o, s:o}, s:f, s:s}", "schema", "nightshift.model/1", "architecture",
			 ns_arch_to_json(&m->net.arch), "weights", weights_digest, "classes", classes, "preprocess", "mean", mean, "std", std,
			 "temperature", m->temperature, "precision", m->precision);
	json_object_update_missing(json, m->facts);
	return json;
}

/* Reads one number a channel; deviations must be above 0. */
static enum ns_status channel_values(const json_t *pre, const char *key, int channels, const char *path, float *out)
{
	const json_t *list = json_object_get(pre, key);
	int deviation = !strcmp(key, "std"), i;
	char name[32];
	double x;

	if ((int)json_array_size(list) != channels)
		return ns_fail(NS_BAD_DATA, "%s: preprocess.%s has %zu numbers, expected one for each of %d channels", path, key,
			       json_array_size(list), channels);
	for (i = 0; i < channels; i++) {
		snprintf(name, sizeof name, "preprocess.%s[%d]", key, i);
		NS_TRY(ns_json_finite(json_array_get(list, (size_t)i), name, path, &x));
		out[i] = (float)x;
		if (!isfinite(out[i]) || (deviation && !(out[i] > 0)))
			return ns_fail(NS_BAD_DATA, "%s: %s = %g, expected a finite number%s", path, name, x, deviation ? " above 0" : "");
	}
	return NS_OK;
}

static enum ns_status from_json(struct ns_model *m, const json_t *json, const char *path)
{
	const json_t *classes = json_object_get(json, "classes"), *pre = json_object_get(json, "preprocess");
	const char **names;
	struct ns_arch arch;
	enum ns_status status;
	size_t i, n = json_array_size(classes);

	if (ns_arch_from_json(&arch, json_object_get(json, "architecture"), path) != NS_OK)
		return NS_BAD_DATA;
	if (n != (size_t)arch.classes)
		return ns_fail(NS_BAD_DATA, "%s: architecture has %d classes, but the list of classes has %zu", path, arch.classes, n);
	names = malloc(sizeof *names * n);
	if (!names)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu class names", path, n);
	for (i = 0, status = NS_OK; i < n && status == NS_OK; i++)
		if (!(names[i] = json_string_value(json_array_get(classes, i))))
			status = ns_fail(NS_BAD_DATA, "%s: class %zu is not a string", path, i);
	if (status == NS_OK)
		status = ns_model_make(m, &arch, names, (int)n);
	free(names);
	NS_TRY(status);
	NS_TRY(channel_values(pre, "mean", arch.c, path, m->mean));
	NS_TRY(channel_values(pre, "std", arch.c, path, m->std));
	NS_TRY(ns_json_get_real(json, "temperature", path, &m->temperature));
	if (!((float)m->temperature > 0) || !isfinite((float)m->temperature))
		return ns_fail(NS_BAD_DATA, "%s: temperature = %g, expected more than 0", path, m->temperature);
	if (strcmp(ns_json_text(json, "precision"), "f32") && strcmp(ns_json_text(json, "precision"), "bf16"))
		return ns_fail(NS_BAD_DATA, "%s: precision is '%.20s', expected f32 or bf16", path, ns_json_text(json, "precision"));
	snprintf(m->precision, sizeof m->precision, "%s", ns_json_text(json, "precision"));
	json_object_update(m->facts, (json_t *)(uintptr_t)json);
	return NS_OK;
}

enum ns_status ns_model_read(struct ns_model *m, const char *json_path, const char *weights)
{
	char hex[NS_SHA256_HEX];
	enum ns_status status;
	json_t *json;

	memset(m, 0, sizeof *m);
	NS_TRY(ns_json_read(json_path, &json, "nightshift.model/1"));
	NS_GO(from_json(m, json, json_path));
	NS_GO(ns_sha256_file(hex, weights));
	if (strcmp(hex, ns_json_text(json, "weights"))) {
		status = ns_fail(NS_DIGEST, "%s: its SHA-256 is %.12s..., but %s has %.12s...", weights, hex, json_path,
				 ns_json_text(json, "weights"));
		goto out;
	}
	NS_GO(m->net.arch.onnx ? ns_onnx_read(&m->onnx, weights) : read_weights(m, weights));
	memcpy(m->weights, hex, sizeof m->weights);
	status = ns_sha256_file(m->digest, json_path);
out:
	json_decref(json);
	if (status != NS_OK)
		ns_model_release(m);
	return status;
}
