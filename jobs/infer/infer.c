/* jobs/infer/infer.c - runs a model over a data set: one file of predictions a shard, ranks take shards in turn. */
#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"
#include "jobs/infer/infer_inner.h"

#include <stdlib.h>
#include <string.h>

#include "host/train/train.h"
#include "kernels/formula/stats.h"
#include "jobs/task/task.h"

static char *stat_names[] = NS_STAT_NAMES; /* borrowed by the predictions that are written */

static enum ns_status alloc_columns(struct ns_predictions *p, struct ns_inference *out, int64_t n, int k, int d)
{
	size_t rows = (size_t)n + 1;

	p->rows = n;
	p->prob = (struct ns_matrix){.rows = n, .d = k, .data = malloc(rows * (size_t)k * sizeof(float))};
	p->embedding = (struct ns_matrix){.rows = n, .d = d, .data = malloc(rows * (size_t)d * sizeof(float))};
	p->stats = (struct ns_matrix){.rows = n, .d = NS_STAT_COUNT, .data = malloc(rows * NS_STAT_COUNT * sizeof(float))};
	out->prob = p->prob.data;
	out->embedding = p->embedding.data;
	out->stats = p->stats.data;
	out->pred = p->pred = malloc(rows * sizeof(int32_t));
	if (out->prob && out->embedding && out->stats && out->pred)
		return NS_OK;
	return ns_fail(NS_NO_MEMORY, "out of memory for %lld predictions of %d classes; smaller shards (ingest.shard_rows) need less", (long long)n,
		       k);
}

static enum ns_status predict_shard(struct ns_job *job, const struct ns_model *m, const char *model_digest, struct ns_dataset *data, int index,
				    const char *path, enum ns_dtype dtype)
{
	struct ns_shard *s = data->shards[index];
	/* batches end with the shard: the last is padded with the shard's last row */
	struct ns_view view = {.sets = &data, .set_count = 1, .rows = data->first[index + 1]};
	struct ns_predictions p = {.temperature = m->temperature, .names = m->classes, .class_names = m->class_count};
	struct ns_inference out = {0};
	struct ns_reading reading;
	enum ns_status status;

	if (m->net.arch.task == NS_TASK_CLASSIFY) {
		NS_GO(alloc_columns(&p, &out, s->rows.rows, m->net.arch.classes, m->net.embedding_dim));
		NS_GO(ns_infer_rows(job, m, &view, data->first[index], s->rows.rows, (int)ns_conf_int(job->conf, "infer.batch"), dtype, &out,
				    "infer"));
	} else {
		NS_GO(ns_reading_of(&reading, m));
		NS_GO(ns_infer_answers(job, m, &reading, data, index, &p));
	}
	snprintf(p.model, sizeof p.model, "%s", model_digest);
	snprintf(p.weights, sizeof p.weights, "%s", m->weights);
	snprintf(p.dataset, sizeof p.dataset, "%s", data->digest);
	p.stats_names = stat_names;
	p.id = s->rows.id;
	p.label = m->net.arch.task == NS_TASK_CLASSIFY ? s->rows.label : NULL; /* of classes, which other tasks have not */
	p.time = s->rows.time;
	p.group = s->rows.group;
	p.groups = (struct ns_vocabulary){.words = s->head.groups, .count = s->head.group_count}; /* borrowed */
	status = ns_predictions_write(path, &p);
out:
	ns_matrix_release(&p.prob);
	ns_matrix_release(&p.embedding);
	ns_matrix_release(&p.stats);
	ns_matrix_release(&p.monitor);
	ns_texts_free(p.monitor_names, p.monitor_named);
	free(p.result_offset);
	free(p.result);
	free(p.pred);
	return status;
}

static enum ns_status write_index(const char *dir, const struct ns_dataset *data, const char *model_digest, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	json_t *files = json_array();
	enum ns_status status;
	int i;

	for (i = 0; i < data->count; i++) {
		NS_GO(ns_path(path, "%s/predictions-%05d.h5", dir, i));
		NS_GO(ns_sha256_file(hex, path));
		json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "file", strrchr(path, '/') + 1, "rows",
						       (json_int_t)(data->first[i + 1] - data->first[i]), "sha256", hex));
	}
	status = ns_predictions_index(dir, model_digest, data->digest, files, digest);
out:
	json_decref(files);
	return status;
}

/* Publishes the part of an array's task: its files, and the index that the merged result needs. */
static enum ns_status write_part(struct ns_job *job, const struct ns_dataset *data, const char *model_digest)
{
	json_t *files = json_array();
	int i;

	for (i = 0; i < data->count; i++) {
		char name[32];

		snprintf(name, sizeof name, "predictions-%05d.h5", i);
		if (ns_job_part_of(job, i))
			json_array_append_new(files,
					      json_pack("{s:s, s:I}", "file", name, "rows", (json_int_t)(data->first[i + 1] - data->first[i])));
	}
	return ns_part_write(job, json_pack("{s:s, s:s, s:i}", "model", model_digest, "dataset", data->digest, "files", data->count), files);
}

enum ns_status ns_predict(struct ns_job *job, const struct ns_model *m, const char *model_digest, struct ns_dataset *data, const char *folder,
			  enum ns_dtype dtype, char digest[NS_SHA256_HEX])
{
	const struct ns_shard_head *h = ns_dataset_head(data);
	char dir[NS_PATH_MAX], path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	int i;

	if (h->class_count && m->net.arch.task == NS_TASK_CLASSIFY) /* else its images are unlabelled, and of no classes of their own */
		NS_TRY(ns_classes_agree((const char *const *)h->classes, h->class_count, data->path, (const char *const *)m->classes, m->class_count,
					"the model"));
	NS_TRY(ns_path(dir, "%s%s%s", job->dir, folder ? "/" : "", folder ? folder : ""));
	NS_TRY(ns_job_agree(job, job->comm->rank == 0 ? ns_mkdirs(dir) : NS_OK));
	for (i = 0; i < data->count && status == NS_OK; i++) {
		if (!ns_job_is_mine(job, i))
			continue;
		status = ns_path(path, "%s/predictions-%05d.h5", dir, i);
		if (status == NS_OK)
			status = predict_shard(job, m, model_digest, data, i, path, dtype);
	}
	NS_TRY(ns_job_agree(job, status));
	if (job->parts > 1)
		return write_part(job, data, model_digest);
	NS_TRY(ns_job_agree(job, job->comm->rank == 0 ? write_index(dir, data, model_digest, digest) : NS_OK));
	return ns_comm_broadcast(job->comm, digest, NS_SHA256_HEX, 0);
}

/* What fails on the device is of the model: the device itself still answers. */
static int answers(const struct ns_device_set *set)
{
	void *memory;

	if (set->backend->mem_make(&memory, set->devices[0], 256) != NS_OK)
		return 0;
	set->backend->mem_free(set->devices[0], memory);
	return set->backend->wait(set->queues[0]) == NS_OK;
}

/*
 * The device and the precision that nobody asked for, as in jobs/train: a model that came as ONNX is computed in f32, and by CPUs where it has operators that no kernel of
 * the GPU supports. Each rank finds out by itself, of the same graph.
 */
static enum ns_status settle(struct ns_job *job, const struct ns_model *m)
{
	struct ns_device_set *set = job->set;
	const struct ns_arch *arch = &m->net.arch;
	const char *device = ns_conf_text(job->conf, "device");
	struct ns_exec *exec = NULL;
	struct ns_raw *raw = NULL;
	enum ns_status status;
	char why[1024];

	if (m->onnx && !strncmp(ns_conf_text(job->conf, "infer.precision"), "auto", 4))
		ns_conf_put_text(job->conf, "infer.precision", "f32");
	if (strncmp(device, "auto", 4) != 0)
		return NS_OK;
	if (m->onnx && !set->backend->host_memory) {
		status = arch->task == NS_TASK_CLASSIFY ? ns_exec_infer_model(&exec, m, set->devices[0], set->queues[0], 1, NS_F32)
							: ns_raw_make(&raw, m->onnx, arch, set->devices[0], arch->h, arch->w);
		ns_exec_free(exec);
		ns_raw_free(raw);
		snprintf(why, sizeof why, "%s", ns_message());
		if (status == NS_NO_DEVICE && answers(set)) {
			ns_log_warn(job->log, "the model runs on CPUs: %s", why);
			NS_TRY(ns_device_set_hold(set, "cpu", job->workers));
		} else if (status != NS_OK && status != NS_BAD_DATA) /* bad data: of this size; rows may have others */
			return ns_fail(status, "%s", why);
	}
	if (!strncmp(device, "auto/", 5))
		ns_conf_put_text(job->conf, "device", set->backend->name);
	return NS_OK;
}

enum ns_status ns_job_infer(struct ns_job *job, int argc, char **argv)
{
	struct ns_dataset *data = NULL;
	struct ns_model model = {0};
	char digest[NS_SHA256_HEX];
	const char *path;
	enum ns_dtype dtype;
	enum ns_status status;
	double start = ns_now();
	int64_t rows = 0;
	int i;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "infer: takes no operand; --model and --data are required");
	NS_TRY(ns_job_require(job, "data", "data", &path));
	NS_GO(ns_dataset_open(job, &data, path, 1));
	NS_GO(ns_load_any_model(job, &model, ns_conf_text(job->conf, "infer.model")));
	NS_GO(ns_device_set_open(job->set, job->conf, job->workers));
	NS_GO(ns_dataset_verify(job, data));
	NS_GO(settle(job, &model));
	NS_GO(ns_choose_precision(job, ns_conf_text(job->conf, "infer.precision"), &dtype));
	if (model.net.arch.onnx && dtype != NS_F32)
		NS_GO(ns_fail(NS_CONFIG, "infer.precision = bf16: %s came as ONNX, which is computed in f32",
			      ns_conf_text(job->conf, "infer.model")));
	/* stored for run.json and the part's record: merge refuses parts of different precision */
	ns_conf_put_text(job->conf, "infer.precision", dtype == NS_BF16 ? "bf16" : "f32");
	NS_GO(ns_job_begin(job, 0));
	NS_GO(ns_predict(job, &model, model.digest, data, NULL, dtype, digest));
	ns_job_input(job, "dataset", path, data->digest);
	for (i = 0; i < data->count; i++)
		if (ns_job_part_of(job, i))
			rows += data->first[i + 1] - data->first[i];
	ns_job_count(job, "rows", rows);
	ns_job_count(job, "rows_per_second", (int64_t)((double)rows / (ns_now() - start)));
	status = ns_job_publish(job);
out:
	ns_model_release(&model);
	ns_dataset_close(data);
	return status;
}
