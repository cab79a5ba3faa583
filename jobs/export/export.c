/* jobs/export/export.c - model.onnx, the weights that it points to, and export.json with classes and preprocessing, in one folder. */
#include <stdio.h>
#include <string.h>

#include "host/graph/graph.h"
#include "jobs/export/export.h"
#include "jobs/infer/infer.h"

/* Mean and deviation in the order of the input's channels. */
static json_t *in_order(const json_t *preprocess, int turned)
{
	json_t *json = json_deep_copy(preprocess), *list;
	const char *key;
	size_t i, n;

	json_object_foreach(json, key, list) {
		n = json_array_size(list);
		for (i = 0; turned && i < n / 2; i++) {
			json_t *last = json_incref(json_array_get(list, n - 1 - i));

			json_array_set(list, n - 1 - i, json_array_get(list, i));
			json_array_set_new(list, i, last);
		}
	}
	return json;
}

/* What whoever runs the file has to know: its input, how images become that, its classes. */
static json_t *facts(const struct ns_model *m, int prepared)
{
	const struct ns_arch *a = &m->net.arch;
	const int turned = a->bgr && !prepared;
	json_t *model = ns_model_to_json(m, m->weights), *json, *shape;
	static const char *const keys[] = {"classes", "fit", "decode", "temperature"};
	size_t i;

	if (prepared || a->channels_last)
		shape = json_pack("[s, i, i, i]", "n", a->h, a->w, a->c);
	else
		shape = json_pack("[s, i, i, i]", "n", a->c, a->h, a->w);
	json = NS_JSON_OBJECT({"schema", json_string("nightshift.export/1")}, {"model", json_string(m->digest)},
			      {"task", json_string(ns_task_name(a->task))},
			      {"input", NS_JSON_OBJECT({"type", json_string(prepared ? "uint8" : "float32")}, {"shape", shape},
						       {"colours", json_string(turned ? "bgr" : "rgb")})},
			      {"preprocess", prepared ? json_null() : in_order(json_object_get(model, "preprocess"), turned)});
	for (i = 0; json && i < sizeof keys / sizeof *keys; i++)
		if (json_object_get(model, keys[i]))
			json_object_set(json, keys[i], json_object_get(model, keys[i]));
	json_decref(model);
	return json;
}

/* Rank 0. */
static enum ns_status write_all(struct ns_job *job, const struct ns_model *m)
{
	const int inside = ns_conf_bool(job->conf, "export.inside"), prepared = ns_conf_bool(job->conf, "export.preprocessing");
	char weights[NS_PATH_MAX], path[NS_PATH_MAX];
	enum ns_status status;
	json_t *json;

	NS_TRY(ns_path(weights, "%s/model.safetensors", job->dir));
	if (!m->onnx)
		NS_TRY(ns_model_write_weights(m, m->values, weights));
	NS_TRY(ns_path(path, "%s/model.onnx", job->dir));
	NS_TRY(ns_model_to_onnx(m, weights, prepared, inside, path));
	if (!m->onnx && inside)
		NS_TRY(ns_remove_file(weights));
	json = facts(m, prepared);
	if (!json)
		return ns_fail(NS_NO_MEMORY, "out of memory for export.json");
	NS_TRY(ns_path(path, "%s/export.json", job->dir));
	status = ns_json_write(path, json);
	json_decref(json);
	return status;
}

enum ns_status ns_job_export(struct ns_job *job, int argc, char **argv)
{
	struct ns_model m = {0};
	enum ns_status status;

	if (argc != 1)
		return ns_fail(NS_USAGE, "export: expected a model: nightshift export MODEL --out DIR");
	NS_GO(ns_load_any_model(job, &m, argv[0]));
	NS_GO(ns_job_begin(job, 0));
	NS_GO(ns_job_agree(job, job->comm->rank == 0 ? write_all(job, &m) : NS_OK));
	status = ns_job_publish(job);
out:
	ns_model_release(&m);
	return status;
}
