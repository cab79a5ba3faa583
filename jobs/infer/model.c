/* jobs/infer/model.c - models by name, and the calibration of their confidence. */
#include "jobs/infer/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/train/train.h"
#include "host/registry/registry.h"

static enum ns_status from_folder(struct ns_model *m, const char *folder)
{
	char json[NS_PATH_MAX], weights[NS_PATH_MAX];

	int is;

	NS_TRY(ns_path(json, "%s/model.json", folder));
	NS_TRY(ns_path(weights, "%s/model.onnx", folder));
	NS_TRY(ns_is_file(weights, &is));
	if (!is)
		NS_TRY(ns_path(weights, "%s/model.safetensors", folder));
	return ns_model_read(m, json, weights);
}

static enum ns_status from_registry(struct ns_model *m, const char *registry, const char *name)
{
	char digest[NS_SHA256_HEX], model[NS_SHA256_HEX], json[NS_PATH_MAX], weights[NS_PATH_MAX];
	json_t *facts;
	enum ns_status status;

	if (strlen(name) >= 8 && strspn(name, "0123456789abcdef") == strlen(name))
		snprintf(digest, sizeof digest, "%.64s", name);
	else
		NS_TRY(ns_registry_ref(registry, name, digest));
	NS_TRY(ns_registry_model(registry, digest, model));
	NS_TRY(ns_registry_object(registry, model, json));
	NS_TRY(ns_json_read(json, &facts, "nightshift.model/1"));
	status = ns_registry_object(registry, ns_json_text(facts, "weights"), weights);
	json_decref(facts);
	NS_TRY(status);
	NS_TRY(ns_model_read(m, json, weights));
	if (!strncmp(m->digest, model, strlen(model)))
		return NS_OK;
	ns_model_release(m);
	return ns_fail(NS_DIGEST, "%s: its SHA-256 differs from the digest in its name; the object was changed", json);
}

enum ns_status ns_weights_file(const char *name, int *is)
{
	unsigned char first[9] = {0};
	int fd;

	NS_TRY(ns_is_file(name, is));
	if (!*is)
		return NS_OK;
	*is = 0;
	NS_TRY(ns_open(&fd, name, 0));
	(void)ns_read_at(fd, name, first, sizeof first, 0); /* a file that is shorter is none of these */
	close(fd);
	if (!memcmp(first, "PK\003\004", 4) || first[0] == 0x80)
		return ns_fail(
			NS_BAD_DATA,
			"%s: is a checkpoint of PyTorch, a program that Python would run; convert it where it came from: python -c 'import torch, "
			"safetensors.torch as s; s.save_file(torch.load(\"FILE\", weights_only=True), \"FILE.safetensors\")'",
			name);
	if (first[8] != '{')
		return ns_fail(NS_BAD_DATA, "%s: is neither safetensors nor the folder of a model%s", name,
			       strlen(name) > 5 && !strcmp(name + strlen(name) - 5, ".onnx") ? "; nightshift import makes a model of an ONNX file"
											     : "");
	*is = 1;
	return NS_OK;
}

enum ns_status ns_load_any_model(struct ns_job *job, struct ns_model *model, const char *name)
{
	enum ns_status status;
	int is;

	NS_TRY(ns_weights_file(name, &is));
	if (is)
		return ns_fail(NS_BAD_DATA, "%s: holds weights alone, without classes and preprocessing; nightshift import makes a model of them",
			       name);
	NS_TRY(ns_is_dir(name, &is));
	status = is ? from_folder(model, name) : from_registry(model, ns_conf_text(job->conf, "registry"), name);
	if (status == NS_OK)
		ns_job_input(job, "model", name, model->digest);
	return status;
}

enum ns_status ns_load_model(struct ns_job *job, struct ns_model *model, const char *name)
{
	enum ns_status status;

	NS_TRY(ns_load_any_model(job, model, name));
	status = ns_model_check_classifies(model, name);
	if (status != NS_OK)
		ns_model_release(model);
	return status;
}

static enum ns_status register_model(const struct ns_model *m, const char *registry, const char *folder, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], weights[NS_SHA256_HEX];

	NS_TRY(ns_path(path, "%s/%s", folder, ns_model_weights_name(m)));
	NS_TRY(ns_registry_put(registry, path, weights));
	NS_TRY(ns_path(path, "%s/model.json", folder));
	return ns_registry_put(registry, path, digest);
}

static enum ns_status write_weights(const struct ns_job *job, struct ns_model *m)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s/%s", job->dir, ns_model_weights_name(m)));
	NS_TRY(ns_model_write_weights(m, m->values, path));
	return ns_sha256_file(m->weights, path);
}

enum ns_status ns_model_publish_weights(struct ns_job *job, struct ns_model *m)
{
	NS_TRY(ns_job_agree(job, job->comm->rank == 0 ? write_weights(job, m) : NS_OK));
	return ns_comm_broadcast(job->comm, m->weights, sizeof m->weights, 0);
}

enum ns_status ns_model_publish(struct ns_job *job, struct ns_model *m)
{
	char path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	json_t *json;

	if (job->comm->rank == 0) {
		NS_GO(*m->weights ? NS_OK : write_weights(job, m));
		NS_GO(ns_path(path, "%s/model.json", job->dir));
		json = ns_model_to_json(m, m->weights);
		status = json ? ns_json_write(path, json) : ns_fail(NS_INTERNAL, "cannot write the model as JSON");
		json_decref(json);
		if (status == NS_OK)
			status = register_model(m, ns_conf_text(job->conf, "registry"), job->dir, m->digest);
	}
out:
	NS_TRY(ns_job_agree(job, status));
	return ns_comm_broadcast(job->comm, m->digest, sizeof m->digest, 0);
}

/* --- temperature --- */

/* mean negative log-likelihood of softmax(logits * b) */
static double nll(const float *logits, const int32_t *label, int64_t n, int k, double b)
{
	double sum = 0;
	int64_t i, used = 0;
	int j;

	for (i = 0; i < n; i++, logits += k) {
		double top = -INFINITY, z = 0;

		if (label[i] < 0)
			continue;
		for (j = 0; j < k; j++)
			top = fmax(top, (double)logits[j]);
		for (j = 0; j < k; j++)
			z += exp(b * ((double)logits[j] - top));
		sum += log(z) - b * ((double)logits[label[i]] - top);
		used++;
	}
	return used ? sum / (double)used : 0;
}

/* Golden section search over log T in [log 1/20, log 20]; the likelihood has a single optimum in 1/T. */
static double fit_temperature(const float *logits, const int32_t *label, int64_t n, int k)
{
	double a = -3, b = 3, g = 0.6180339887498949, x = b - g * (b - a), y = a + g * (b - a);
	double fx = nll(logits, label, n, k, exp(-x)), fy = nll(logits, label, n, k, exp(-y));
	int i;

	for (i = 0; i < 40; i++) {
		if (fx < fy) {
			b = y;
			y = x;
			fy = fx;
			x = b - g * (b - a);
			fx = nll(logits, label, n, k, exp(-x));
		} else {
			a = x;
			x = y;
			fx = fy;
			y = a + g * (b - a);
			fy = nll(logits, label, n, k, exp(-y));
		}
	}
	return exp((a + b) / 2);
}

enum ns_status ns_calibrate(struct ns_job *job, struct ns_model *m, struct ns_dataset *data, enum ns_dtype dtype)
{
	struct ns_view view = {.sets = &data, .set_count = 1, .rows = data->rows};
	int k = m->net.arch.classes;
	struct ns_inference out = {.logits = malloc(sizeof(float) * (size_t)(data->rows * k)), .label = malloc(sizeof(int32_t) * (size_t)data->rows)};
	enum ns_status status = out.logits && out.label
					? NS_OK
					: ns_fail(NS_NO_MEMORY, "out of memory for calibrating %lld rows of %d classes", (long long)data->rows, k);
	int64_t labelled = 0, i;
	double t = 1;

	m->temperature = 1;
	if (status == NS_OK && job->comm->rank == 0)
		status = ns_infer_rows(job, m, &view, 0, data->rows, (int)ns_conf_int(job->conf, "infer.batch"), dtype, &out, "calibrate");
	for (i = 0; i < data->rows; i++)
		labelled += status == NS_OK && job->comm->rank == 0 && out.label[i] >= 0;
	if (status == NS_OK && job->comm->rank == 0 && !labelled)
		status = ns_fail(NS_BAD_DATA, "%s: no row has a label; a calibration needs labelled rows", data->path);
	if (status == NS_OK && job->comm->rank == 0) {
		t = fit_temperature(out.logits, out.label, data->rows, k);
		ns_log_event(job->log, "calibrated",
			     json_pack("{s:f, s:f, s:f}", "temperature", t, "nll_before", nll(out.logits, out.label, data->rows, k, 1), "nll_after",
				       nll(out.logits, out.label, data->rows, k, 1 / t)));
		if (t < 0.051 || t > 19.6)
			ns_log_warn(job->log, "the temperature %g is at the end of the searched range: do not rely on this model's confidence", t);
	}
	free(out.logits);
	free(out.label);
	NS_TRY(ns_job_agree(job, status));
	NS_TRY(ns_comm_broadcast(job->comm, &t, sizeof t, 0));
	m->temperature = t;
	return NS_OK;
}
