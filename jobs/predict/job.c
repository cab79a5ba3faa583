/* jobs/predict/job.c - the verb: files in their order, several at once, each with its own answer or its own error. */
#include "jobs/predict/predict_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"
#include "jobs/infer/infer.h"

#define ROUND 16 /* files for each worker before answers are told */

struct job {
	struct ns_job *job;
	struct ns_model model, then; /* then: reads what the first has found */
	struct ns_reading reading, then_reading;
	struct ns_predictor **predictors, **readers; /* of each worker */
	int workers;
	char **files;
	size_t file_count, first; /* first: of the round */
	json_t **results;	  /* of the round */
	json_t *all;
	int reads, failed;
};

/* --- files --- */

static enum ns_status add_file(struct job *j, const char *path)
{
	char **more = realloc(j->files, sizeof *more * (j->file_count + 1));

	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for %zu names", j->file_count);
	j->files = more;
	more[j->file_count] = malloc(strlen(path) + 1);
	if (!more[j->file_count])
		return ns_fail(NS_NO_MEMORY, "out of memory for %zu names", j->file_count);
	strcpy(more[j->file_count++], path);
	return NS_OK;
}

/* A file, or all files of a folder that are not hidden, in the order of their names. */
static enum ns_status add_path(struct job *j, const char *path)
{
	struct ns_names names;
	char file[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	size_t i, before = j->file_count;
	int is;

	NS_TRY(ns_is_dir(path, &is));
	if (!is)
		return add_file(j, path);
	NS_TRY(ns_list(path, &names));
	for (i = 0; i < names.count; i++) {
		NS_GO(ns_path(file, "%s/%s", path, names.name[i]));
		NS_GO(ns_is_file(file, &is));
		if (is && *names.name[i] != '.')
			NS_GO(add_file(j, file));
	}
	if (j->file_count == before)
		status = ns_fail(NS_BAD_DATA, "%s: holds no files", path);
out:
	ns_names_release(&names);
	return status;
}

/* --- one file --- */

/* The text of each place that was found; one that the reader can't take, too long a strip, has an error of its own. */
static enum ns_status read_places(struct job *j, int worker, const uint8_t *pixels, int h, int w, json_t *result)
{
	const char *list = ns_task_list(j->model.net.arch.task);
	const int c = j->model.net.arch.c;
	json_t *one, *text;
	size_t i;

	json_array_foreach(json_object_get(result, list), i, one) {
		uint8_t *part;
		enum ns_status status;
		int ph, pw;

		NS_TRY(ns_predict_crop(pixels, h, w, c, one, &part, &ph, &pw));
		status = ns_predictor_run(j->readers[worker], part, ph, pw, &text);
		free(part);
		if (status == NS_BAD_DATA) {
			json_object_set_new(one, "error", ns_json_string(ns_message()));
			continue;
		}
		NS_TRY(status);
		json_object_del(text, "width");
		json_object_del(text, "height");
		json_object_update(one, text);
		json_decref(text);
	}
	return NS_OK;
}

static enum ns_status write_picture(struct job *j, const char *data, size_t bytes, int number, json_t *result)
{
	const struct ns_decode_options colour = {.c = 3};
	char path[NS_PATH_MAX], name[32];
	uint8_t *pixels = NULL;
	enum ns_status status;
	int h, w, c;

	NS_TRY(ns_decode((const uint8_t *)data, bytes, &colour, &h, &w, &c, &pixels, NULL));
	snprintf(name, sizeof name, "picture-%05d.png", number);
	ns_predict_draw(result, pixels, h, w);
	NS_GO(ns_path(path, "%s/%s", j->job->dir, name));
	NS_GO(ns_png_write(path, pixels, h, w, c));
	json_object_set_new(result, "picture", json_string(name));
out:
	free(pixels);
	return status;
}

struct image {
	char *data; /* the file */
	size_t bytes;
	uint8_t *pixels;
	int h, w;
};

static enum ns_status open_image(const struct job *j, const char *file, struct image *x)
{
	const struct ns_decode_options options = {.c = j->model.net.arch.c};
	int c;

	NS_TRY(ns_read_file(file, &x->data, &x->bytes));
	return ns_decode((const uint8_t *)x->data, x->bytes, &options, &x->h, &x->w, &c, &x->pixels, NULL);
}

static enum ns_status look_at(struct job *j, int worker, int number, const struct image *x, json_t *result)
{
	json_t *found;

	NS_TRY(ns_predictor_run(j->predictors[worker], x->pixels, x->h, x->w, &found));
	json_object_update(result, found);
	json_decref(found);
	if (j->reads)
		NS_TRY(read_places(j, worker, x->pixels, x->h, x->w, result));
	return *j->job->dir ? write_picture(j, x->data, x->bytes, number, result) : NS_OK;
}

/* A file that can't be read, is no image, or of which the model makes no sense has an error for its result; what is wrong with the machine ends the job. */
static enum ns_status one_file(void *context, int task, int worker)
{
	struct job *j = context;
	const char *file = j->files[j->first + (size_t)task];
	json_t *result = NS_JSON_OBJECT({"file", ns_json_string(file)});
	struct image x = {NULL, 0, NULL, 0, 0};
	enum ns_status status;
	int its_own;

	j->results[task] = result;
	if (!result)
		return ns_fail(NS_NO_MEMORY, "out of memory for a result");
	status = open_image(j, file, &x);
	its_own = status == NS_BAD_DATA || status == NS_IO;
	if (status == NS_OK) {
		status = look_at(j, worker, (int)j->first + task, &x, result);
		its_own = status == NS_BAD_DATA;
	}
	if (its_own)
		json_object_set_new(result, "error", ns_json_string(ns_message()));
	free(x.pixels);
	free(x.data);
	return its_own ? NS_OK : status;
}

static void tell(struct job *j, json_t *result)
{
	if (json_object_get(result, "error")) {
		j->failed++;
		fprintf(stderr, "nightshift: %s: no prediction: %s\n", ns_json_text(result, "file"), ns_json_text(result, "error"));
	}
	if (ns_conf_bool(j->job->conf, "json")) {
		json_dumpf(result, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7));
		printf("\n");
	} else if (!json_object_get(result, "error")) {
		ns_predict_tell(result, j->model.net.arch.task, ns_conf_bool(j->job->conf, "predict.csv"));
	}
	if (j->all)
		json_array_append(j->all, result);
}

static enum ns_status all_files(struct job *j)
{
	const size_t most = (size_t)j->workers * ROUND;
	enum ns_status status = NS_OK;
	size_t i;

	j->results = calloc(most, sizeof *j->results);
	if (!j->results)
		return ns_fail(NS_NO_MEMORY, "out of memory for %zu results", most);
	for (j->first = 0; status == NS_OK && j->first < j->file_count; j->first += most) {
		size_t n = j->file_count - j->first < most ? j->file_count - j->first : most;

		status = ns_workers_run(j->job->workers, (int)n, one_file, j);
		for (i = 0; i < n; i++) {
			if (status == NS_OK)
				tell(j, j->results[i]);
			json_decref(j->results[i]);
			j->results[i] = NULL;
		}
	}
	free(j->results);
	return status;
}

/* --- the job --- */

static enum ns_status load(struct job *j, const char *model)
{
	const char *then = ns_conf_text(j->job->conf, "predict.then");
	enum ns_task task;
	int i;

	NS_TRY(ns_load_any_model(j->job, &j->model, model));
	NS_TRY(ns_reading_of(&j->reading, &j->model));
	task = j->model.net.arch.task;
	j->reading.top = (int)ns_conf_int(j->job->conf, "predict.top");
	j->reading.beam = (int)ns_conf_int(j->job->conf, "predict.beam");
	if (ns_conf_given(j->job->conf, "predict.score"))
		j->reading.score = ns_conf_real(j->job->conf, "predict.score");
	if (then) {
		if (task != NS_TASK_DETECT && task != NS_TASK_REGIONS)
			return ns_fail(NS_CONFIG, "--then: %s finds no places (its task is %s): expected one that detects, or finds regions", model,
				       ns_task_name(task));
		NS_TRY(ns_load_any_model(j->job, &j->then, then));
		NS_TRY(ns_reading_of(&j->then_reading, &j->then));
		j->then_reading.beam = j->reading.beam;
		j->reads = 1;
		if (j->then.net.arch.task != NS_TASK_READ || j->then.net.arch.c != j->model.net.arch.c)
			return ns_fail(NS_CONFIG, "--then: %s: its task is %s, of %d channels; expected one that reads, of %d", then,
				       ns_task_name(j->then.net.arch.task), j->then.net.arch.c, j->model.net.arch.c);
	}
	j->workers = ns_workers_count(j->job->workers);
	j->predictors = calloc((size_t)j->workers, sizeof(void *));
	j->readers = calloc((size_t)j->workers, sizeof(void *));
	if (!j->predictors || !j->readers)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d workers", j->workers);
	for (i = 0; i < j->workers; i++) {
		NS_TRY(ns_predictor_make(&j->predictors[i], &j->model, &j->reading, NULL));
		if (j->reads)
			NS_TRY(ns_predictor_make(&j->readers[i], &j->then, &j->then_reading, NULL));
	}
	return NS_OK;
}

static enum ns_status publish(struct job *j, const char *model)
{
	char path[NS_PATH_MAX];
	enum ns_status status;
	json_t *json = NS_JSON_OBJECT({"schema", json_string("nightshift.predict/1")}, {"model", json_string(j->model.digest)},
				      {"task", json_string(ns_task_name(j->model.net.arch.task))}, {"results", json_incref(j->all)});

	NS_GO(json ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for what was found"));
	NS_GO(ns_path(path, "%s/predict.json", j->job->dir));
	NS_GO(ns_json_write(path, json));
	NS_GO(ns_predict_page(j->job->dir, j->all, model, j->model.net.arch.task));
	ns_job_count(j->job, "files", (int64_t)j->file_count);
	status = ns_job_publish(j->job);
out:
	json_decref(json);
	return status;
}

static void release(struct job *j)
{
	size_t i;

	for (i = 0; i < (size_t)j->workers; i++) {
		if (j->predictors)
			ns_predictor_free(j->predictors[i]);
		if (j->readers)
			ns_predictor_free(j->readers[i]);
	}
	free(j->predictors);
	free(j->readers);
	for (i = 0; i < j->file_count; i++)
		free(j->files[i]);
	free(j->files);
	json_decref(j->all);
	ns_model_release(&j->model);
	ns_model_release(&j->then);
}

enum ns_status ns_job_predict(struct ns_job *job, int argc, char **argv)
{
	struct job j = {.job = job};
	enum ns_status status;
	int i;

	if (argc < 2)
		return ns_fail(NS_USAGE, "predict: expected a model and images: nightshift predict MODEL FILES... [--out DIR]");
	if (job->comm->size > 1)
		return ns_fail(NS_USAGE, "predict: works in one process; infer runs a model over a data set on many");
	if (ns_conf_text(job->conf, "out") && ns_conf_bool(job->conf, "predict.csv"))
		return ns_fail(NS_USAGE,
			       "predict: --csv writes to the terminal, and --out a folder: expected one of them; predict.json in it has all");
	NS_GO(load(&j, argv[0]));
	for (i = 1; i < argc; i++)
		NS_GO(add_path(&j, argv[i]));
	if (ns_conf_text(job->conf, "out")) {
		NS_GO(ns_job_begin(job, 0));
		j.all = json_array();
		NS_GO(j.all ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for what is found"));
	}
	if (ns_conf_bool(job->conf, "predict.csv") && !ns_conf_bool(job->conf, "json"))
		ns_predict_tell_columns(j.model.net.arch.task, j.reads);
	NS_GO(all_files(&j));
	if (j.all)
		NS_GO(publish(&j, argv[0]));
	if (j.failed)
		status = ns_fail(NS_BAD_DATA, "%d of %zu files have no prediction; each was named", j.failed, j.file_count);
out:
	release(&j);
	return status;
}
