/* jobs/train/fresh.c - the model that a training begins with: built by the configuration, or one that goes on. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/answer/answer.h"
#include "jobs/infer/infer.h"
#include "jobs/train/train_inner.h"

static enum ns_status arch_of(struct ns_job *job, const struct ns_shard_head *h, const char *path, enum ns_task task, struct ns_arch *arch)
{
	const struct ns_conf *c = job->conf;
	const char *family = ns_conf_text(c, "model.family");
	const json_t *input = ns_conf_node(c, "model.input");
	json_t *shape = input ? json_deep_copy(input) : json_pack("[i,i,i]", h->h, h->w, h->c), *json;
	enum ns_status status;

	if (!input && !h->h) {
		json_decref(shape);
		return ns_fail(NS_CONFIG, "%s: holds images as files; set model.input: [H, W, C] to which they are scaled", path);
	}
	json = json_pack("{s:s, s:s, s:O, s:i, s:s, s:o, s:i}", "family", ns_family_is_built(family) ? "resnet" : family, "block",
			 ns_conf_text(c, "model.block"), "blocks", ns_conf_node(c, "model.blocks"), "width", (int)ns_conf_int(c, "model.width"),
			 "stem", ns_conf_text(c, "model.stem"), "input", shape, "classes", task == NS_TASK_CLASSIFY ? h->class_count : 2);
	if (json)
		json_object_set_new(json, "epsilon", json_real(ns_conf_real(c, "model.epsilon")));
	status = json ? ns_arch_from_json(arch, json, "model") : ns_fail(NS_CONFIG, "model: expected blocks");
	json_decref(json);
	return status;
}

/* Mean and standard deviation of each channel over up to 4096 rows of the training data, chosen by key. */
static enum ns_status measure_pixels(struct ns_model *m, const struct ns_view *view, uint64_t seed)
{
	const struct ns_arch *a = &m->net.arch;
	size_t image = (size_t)a->h * (size_t)a->w * (size_t)a->c, i, capacity = 0;
	int64_t n = view->rows < 4096 ? view->rows : 4096, r;
	uint8_t *pixels = malloc(image), *buffer = NULL;
	double sum[4] = {0}, square[4] = {0}, count = (double)n * a->h * a->w;
	enum ns_status status = pixels ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for an image");
	int c;

	for (r = 0; r < n && status == NS_OK; r++) {
		struct ns_pick pick;

		ns_view_get(view, (int64_t)ns_permute((uint64_t)r, (uint64_t)view->rows, seed, NS_FOR_SHUFFLE, 0), &pick);
		status = ns_dataset_pixels(view->sets[pick.set], pick.row, a->h, a->w, a->c, pixels, &buffer, &capacity);
		for (i = 0; status == NS_OK && i < image; i++) {
			double v = pixels[i] / 255.0;

			sum[i % (size_t)a->c] += v;
			square[i % (size_t)a->c] += v * v;
		}
	}
	for (c = 0; c < a->c; c++) {
		double mean = sum[c] / count, var = square[c] / count - mean * mean;

		m->mean[c] = (float)mean;
		m->std[c] = var > 1e-6 ? (float)sqrt(var) : 1;
	}
	free(pixels);
	free(buffer);
	return status;
}

/* Keys that only some families have; a model that goes on has its own. */
static enum ns_status check_family(const struct ns_conf *conf, const char *from)
{
	static const struct {
		const char *key, *families;
	} rows[] = {{"model.block", "resnet"},	 {"model.stem", "resnet"},
		    {"model.epsilon", "resnet"}, {"model.patch", "resnext mobilenet convnext vit unet"},
		    {"model.heads", "vit"},	 {"model.groups", "resnext"}};
	const char *family = ns_conf_text(conf, "model.family");
	size_t i;

	if (from && ns_family_is_built(family))
		return ns_fail(NS_CONFIG, "model.family = '%s': is of a new network; %s goes on with what it is", family, from);
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *at = strstr(rows[i].families, family);
		size_t n = strlen(family);
		int has = at && (at == rows[i].families || at[-1] == ' ') && (!at[n] || at[n] == ' ');

		if (!has && ns_conf_given(conf, rows[i].key))
			return ns_fail(NS_CONFIG, "%s: is of %s, and model.family is %s", rows[i].key, rows[i].families, family);
	}
	return NS_OK;
}

/* How images come onto the canvas of a new network of another task, and how its outputs are read. */
static void put_reading(struct ns_model *m)
{
	const struct ns_arch *a = &m->net.arch;
	struct ns_reading r = {
		.fit = {.rule = a->task == NS_TASK_READ ? NS_FIT_CORNER : NS_FIT_STRETCH, .filter = NS_FILTER_BILINEAR, .h = a->h, .w = a->w},
		.score = .5,
		.iou = .5};

	json_object_set_new(m->facts, "fit", ns_reading_fit(&r));
	json_object_set_new(m->facts, "decode", ns_reading_decode(&r, a->task));
}

static enum ns_status build_with_names(struct ns_job *job, struct ns_model *m, const struct ns_arch *arch, enum ns_task task,
				       const struct ns_view *view, const char *const *names, int n)
{
	const uint64_t seed = (uint64_t)ns_conf_int(job->conf, "seed");
	struct ns_design d = {.family = ns_conf_text(job->conf, "model.family"),
			      .stages = arch->stages,
			      .width = arch->width,
			      .patch = (int)ns_conf_int(job->conf, "model.patch"),
			      .heads = (int)ns_conf_int(job->conf, "model.heads"),
			      .groups = (int)ns_conf_int(job->conf, "model.groups"),
			      .h = arch->h,
			      .w = arch->w,
			      .c = arch->c,
			      .classes = n,
			      .task = task};
	int i;

	for (i = 0; i < d.stages; i++)
		d.blocks[i] = arch->blocks[i];
	NS_TRY(ns_model_build(m, &d, names, seed));
	NS_TRY(measure_pixels(m, view, seed));
	if (task != NS_TASK_CLASSIFY)
		put_reading(m);
	NS_TRY(ns_model_note_training(m));
	NS_TRY(ns_model_learn(m, NULL));
	ns_log_event(job->log, "built",
		     json_pack("{s:s, s:i, s:i, s:I}", "family", d.family, "names", n, "tensors", m->net.trainable, "parameters",
			       (json_int_t)m->net.train_floats));
	return NS_OK;
}

/* A network of another family than ResNet. */
static enum ns_status build_family(struct ns_job *job, struct ns_model *m, struct ns_dataset *data, const struct ns_view *view, enum ns_task task)
{
	const struct ns_shard_head *h = ns_dataset_head(data);
	struct ns_arch arch;
	char **names = NULL;
	enum ns_status status;
	int n = 0, i;

	if (ns_conf_text(job->conf, "train.freeze"))
		return ns_fail(NS_CONFIG, "train.freeze: is of a model that goes on (--from); of a new network there is nothing to keep");
	NS_TRY(arch_of(job, h, data->path, task, &arch)); /* what it checks and finds holds for these too */
	if (task == NS_TASK_CLASSIFY)
		return build_with_names(job, m, &arch, task, view, (const char *const *)h->classes, h->class_count);
	status = ns_train_names(job, task, view, &names, &n);
	if (status == NS_OK)
		status = build_with_names(job, m, &arch, task, view, (const char *const *)names, n);
	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return status;
}

/* A network that the configuration describes, or a file's; old: a model to start from, or NULL. */
static enum ns_status build_model(struct ns_job *job, struct ns_model *m, struct ns_dataset *data, const struct ns_view *view,
				  const struct ns_model *old)
{
	const struct ns_shard_head *h = ns_dataset_head(data);
	const char *from = ns_conf_text(job->conf, "model.from");
	uint64_t seed = (uint64_t)ns_conf_int(job->conf, "seed");
	struct ns_found found = {.names = NULL};
	struct ns_arch arch;
	enum ns_status status;

	NS_TRY(arch_of(job, h, data->path, NS_TASK_CLASSIFY, &arch));
	if (from && !old) {
		NS_TRY(ns_found_read(&found, from));
		NS_GO(ns_train_arch_of_file(job, &found, &arch));
	}
	NS_GO(ns_model_make(m, &arch, (const char *const *)h->classes, h->class_count));
	ns_model_initialise(m, seed);
	NS_GO(measure_pixels(m, view, seed));
	if (from)
		status = old ? ns_train_start_from(m, old, from) : ns_train_take_file(job, m, &found);
out:
	ns_found_release(&found);
	return status;
}

enum ns_status ns_train_open_from(struct ns_job *job, struct ns_model *old)
{
	const char *from = ns_conf_text(job->conf, "model.from");
	int is_file = 0;

	NS_TRY(from ? ns_weights_file(from, &is_file) : NS_OK);
	return from && !is_file ? ns_load_any_model(job, old, from) : NS_OK;
}

enum ns_status ns_train_new_model(struct ns_job *job, struct ns_model *m, struct ns_dataset *data, const struct ns_view *view,
				  const struct ns_model *old, enum ns_task task)
{
	const struct ns_shard_head *h = ns_dataset_head(data);
	const char *from = ns_conf_text(job->conf, "model.from"), *family = ns_conf_text(job->conf, "model.family");
	enum ns_status status;

	NS_TRY(check_family(job->conf, from));
	if (task != NS_TASK_CLASSIFY && !old && !ns_family_is_built(family))
		return ns_fail(NS_CONFIG, "model.task = '%s': is of families that are built as graphs, and model.family is %s", ns_task_name(task),
			       family);
	if (ns_family_is_built(family))
		status = build_family(job, m, data, view, task);
	else
		status = old && old->onnx ? ns_train_tune(job, m, old, h, from) : build_model(job, m, data, view, old);
	if (status == NS_OK)
		json_object_set_new(m->facts, "training_data", json_string(data->digest));
	return status;
}
