/* jobs/train/train.c - trains a network, for the verb train and for each round of a manifest. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/train/train.h"
#include "jobs/train/train_inner.h"

#include <stdlib.h>
#include <string.h>
#include <math.h>

#include "host/registry/registry.h"
#include "host/train/train.h"
#include "jobs/augment/augment.h"
#include "jobs/infer/infer.h"

struct fit {
	struct ns_job *job;
	struct ns_model *model;
	struct ns_feed feed;
	struct ns_dataset *val;
	enum ns_dtype dtype;
	float *class_weights;
};

static enum ns_status after_epoch(void *context, int epoch, const float *values, json_t *line, double *metric)
{
	struct fit *f = context;
	struct ns_view view = {.sets = &f->val, .set_count = 1, .rows = f->val->rows};
	int64_t size = f->job->comm->size, rank = f->job->comm->rank, rows = view.rows;
	/* whole batches a rank, so that no row's result depends on the number of ranks */
	int64_t batch = ns_conf_int(f->job->conf, "infer.batch"), batches = (rows + batch - 1) / batch;
	int64_t first = batches * rank / size * batch, end = batches * (rank + 1) / size * batch, i, sums[2] = {0, 0};
	struct ns_inference out = {0};
	enum ns_status status = NS_OK;

	(void)epoch;
	(void)values;
	end = end < rows ? end : rows;
	out.pred = malloc(sizeof(int32_t) * (size_t)(end - first + 1));
	out.label = malloc(sizeof(int32_t) * (size_t)(end - first + 1));
	if (!out.pred || !out.label)
		status = ns_fail(NS_NO_MEMORY, "out of memory for the validation");
	if (status == NS_OK)
		status = ns_infer_rows(f->job, f->model, &view, first, end - first, (int)batch, f->dtype, &out, "validate");
	for (i = 0; status == NS_OK && i < end - first; i++) {
		sums[0] += out.label[i] >= 0 && out.pred[i] == out.label[i];
		sums[1] += out.label[i] >= 0;
	}
	free(out.pred);
	free(out.label);
	NS_TRY(ns_job_agree(f->job, status));
	NS_TRY(ns_comm_sum_i64(f->job->comm, sums, 2));
	*metric = sums[1] ? (double)sums[0] / (double)sums[1] : (double)NAN;
	json_object_set_new(line, "val_accuracy", sums[1] ? json_real((double)sums[0] / (double)sums[1]) : json_null());
	return NS_OK;
}

/* Digest of what must be equal for a checkpoint to be resumed: all that determines bits, not how often or where. */
static void digest_of(struct ns_job *job, const struct ns_model *m, const struct ns_view *view, const struct ns_train_options *o,
		      const struct ns_train_spec *spec, char digest[NS_SHA256_HEX])
{
	static const char *const free_to_differ[] = {"out",  "force",	  "json",    "threads", "train.checkpoint_steps", "registry",
						     "data", "train.val", "dry_run", "device",	"train.collective",	  "comm.timeout",
						     NULL};
	json_t *all = ns_conf_nondefault(job->conf, free_to_differ), *value;
	const char *key;
	int s;

	json_object_foreach(job->conf->values, key, value) /* alone or as a step of a night, submitted or not */
		if (!strncmp(key, "night.", 6))
			json_object_del(all, key);
	ns_train_plain(job->conf, all);
	json_object_set_new(all, "label", json_string(o->label));
	if (o->base) { /* a round of a manifest, which has these from there, and not from the configuration */
		json_object_set_new(all, "base", json_string(o->base));
		json_object_set_new(all, "round", json_pack("{s:i, s:f}", "epochs", o->epochs, "lr", o->lr));
	}
	if (!o->base && json_object_get(m->facts, "parents")) /* a name may mean another model tomorrow */
		json_object_set(all, "parents", json_object_get(m->facts, "parents"));
	if (m->onnx) /* a value that is the key's default says another thing where it is given */
		json_object_set_new(all, "tuned", json_pack("{s:f, s:f}", "lr", spec->lr, "clip", spec->clip));
	if (o->val && (spec->keep_best || spec->patience)) /* it decides which weights these are */
		json_object_set_new(all, "val", json_string(o->val->digest));
	json_object_set_new(all, "rows", json_integer(view->rows));
	for (s = 0; s < view->set_count; s++)
		json_object_set_new(all, view->sets[s]->digest, json_true());
	if (view->picks)
		json_object_set_new(all, "picks", json_integer((json_int_t)ns_xxh3(view->picks, sizeof *view->picks * (size_t)view->rows)));
	ns_json_digest(digest, all);
	json_decref(all);
}

/*
 * The device and the precision that nobody asked for ("auto", or what a night has found out for all of its models, "auto/VALUE"): one that came as ONNX is trained by
 * CPUs in f32. What is chosen stays in the configuration, which run.json keeps.
 */
static enum ns_status settle(struct ns_job *job, const struct ns_model *m)
{
	const char *device = ns_conf_text(job->conf, "device"), *precision = ns_conf_text(job->conf, "train.precision");

	if (!strncmp(precision, "auto/", 5))
		ns_conf_put_text(job->conf, "train.precision", m->onnx ? "f32" : precision + 5);
	if (m->onnx && !strncmp(device, "auto", 4)) {
		ns_conf_put_text(job->conf, "device", "cpu");
		return ns_device_set_hold(job->set, "cpu", job->workers);
	}
	if (!strncmp(device, "auto/", 5))
		ns_conf_put_text(job->conf, "device", device + 5);
	return ns_device_set_open(job->set, job->conf, job->workers);
}

static enum ns_status prepare(struct fit *f, struct ns_training *t, const struct ns_view *view, const struct ns_train_options *o)
{
	struct ns_job *job = f->job;

	NS_TRY(settle(job, f->model));
	NS_TRY(ns_train_spec_of(job->conf, f->model, view, o, &t->spec, &f->class_weights));
	if (job->comm->rank == 0 && t->spec.warmup_epochs > 0 && t->spec.warmup_epochs >= t->spec.epochs)
		ns_log_warn(job->log,
			    "train.warmup_epochs = %g, and training ends after %d: the learning rate %g is never reached, or only at the end",
			    t->spec.warmup_epochs, t->spec.epochs, t->spec.lr);
	digest_of(job, f->model, view, o, &t->spec, t->config_digest);
	if (*o->checkpoint)
		NS_TRY(ns_path(t->checkpoint_dir, "%s/%s", job->dir, o->checkpoint));
	NS_TRY(ns_path(t->metrics_path, "%s/%s", job->dir, o->metrics));
	return NS_OK;
}

/* Texts with other symbols, or longer than the network's steps, and masks without a known pixel: some are said, and of nothing else there is no model. */
static enum ns_status tell_unknown(struct ns_job *job, const struct ns_feed *feed)
{
	int64_t counts[2] = {feed->shown, feed->unknown};

	NS_TRY(ns_comm_sum_i64(job->comm, counts, 2));
	if (counts[1] && counts[1] == counts[0])
		return ns_fail(NS_BAD_DATA,
			       "of none of the %lld images that were shown anything could be learned: texts have other symbols than the model, or "
			       "more than it has steps (%d), or no pixel is known",
			       (long long)counts[0], feed->target.words);
	if (counts[1] && job->comm->rank == 0)
		ns_log_warn(job->log,
			    "of %lld of the %lld images that were shown nothing could be learned: other symbols, longer texts, or no known pixel",
			    (long long)counts[1], (long long)counts[0]);
	return NS_OK;
}

enum ns_status ns_train_fit(struct ns_job *job, struct ns_model *model, const struct ns_view *view, const struct ns_train_options *o)
{
	struct fit f = {.job = job, .model = model, .val = o->val};
	struct ns_training t = {.context = &f};
	enum ns_dtype dtype;
	enum ns_status status;

	NS_GO(prepare(&f, &t, view, o));
	t.after_epoch = o->val ? after_epoch : NULL;
	/* decided once, so that feeding and computing agree; inside ns_train a checkpoint's own precision takes precedence */
	NS_GO(ns_training_precision(job, &t, &dtype));
	ns_conf_put_text(job->conf, "train.precision", t.spec.precision); /* holds for a second round too, and is stored in run.json */
	f.dtype = dtype;
	*model->weights = 0; /* the values no longer equal those of the file they came from */
	NS_GO(ns_feed_init(&f.feed, job, view, model, ns_conf_node(job->conf, "augment"), t.spec.batch / t.spec.virtual_ranks, 1, dtype));
	if (!strcmp(ns_conf_text(job->conf, "train.sampling"), "balanced"))
		NS_GO(ns_feed_balance(&f.feed));
	f.feed.member = ns_train_member(job->conf, model->net.arch.task);
	t.input = (struct ns_train_input){&f.feed, f.feed.bytes, ns_feed_expects, ns_feed_stage, ns_feed_images};
	NS_GO(ns_train(job, model, &t));
	NS_GO(tell_unknown(job, &f.feed));
	if (f.feed.target.logits || f.feed.target.probabilities)
		json_object_set_new(json_object_get(model->facts, "decode"), "outputs",
				    json_string(f.feed.target.logits ? "logits" : "probabilities"));
	ns_log_event(job->log, "trained",
		     json_pack("{s:s, s:I, s:f, s:f, s:f}", "what", o->label, "steps", (json_int_t)t.steps, "seconds", t.seconds, "images_per_second",
			       t.images_per_second, "first_step_at", t.first_step));
	ns_job_count(job, "images_per_second", (int64_t)t.images_per_second);
	json_object_set_new(model->facts, "training",
			    json_pack("{s:s, s:I, s:I}", "what", o->label, "steps", (json_int_t)t.steps, "rows", (json_int_t)view->rows));
	if (t.best_epoch)
		json_object_set_new(json_object_get(model->facts, "training"), "best_epoch", json_integer(t.best_epoch));
out:
	free(f.class_weights);
	ns_feed_release(&f.feed);
	json_decref(t.metrics);
	return status;
}

enum ns_status ns_train_keep_here(const char *registry, const struct ns_dataset *data)
{
	char path[NS_PATH_MAX], digest[NS_SHA256_HEX];
	enum ns_status status;
	json_t *json;
	int is;

	if (data->list)
		return ns_registry_put_canonical(registry, data->list, digest);
	NS_TRY(ns_is_dir(data->path, &is)); /* of a list of one set as it is, who wrote the list has kept that set's */
	if (!is)
		return NS_OK;
	NS_TRY(ns_path(path, "%s/dataset.json", data->path));
	NS_TRY(ns_json_read(path, &json, "nightshift.dataset/1"));
	status = ns_registry_put_canonical(registry, json_object_get(json, "shards"), digest);
	json_decref(json);
	return status;
}

enum ns_status ns_train_keep_data(struct ns_job *job, const struct ns_dataset *data)
{
	return ns_job_agree(job, job->comm->rank == 0 ? ns_train_keep_here(ns_conf_text(job->conf, "registry"), data) : NS_OK);
}

static enum ns_status open_other(struct ns_job *job, const char *key, struct ns_dataset **other, struct ns_dataset *data)
{
	const char *path = ns_conf_text(job->conf, key);
	const struct ns_shard_head *a, *b;

	if (!path)
		return NS_OK;
	NS_TRY(ns_dataset_open(job, other, path, 0));
	a = ns_dataset_head(*other);
	b = ns_dataset_head(data);
	return ns_classes_agree((const char *const *)a->classes, a->class_count, path, (const char *const *)b->classes, b->class_count, data->path);
}

/* What compares epochs by accuracy, or watches classes, is of classifiers. */
static enum ns_status check_task(const struct ns_conf *conf, enum ns_task task)
{
	static const char *const keys[] = {"train.val", "train.calibrate"};
	size_t i;

	for (i = 0; task != NS_TASK_CLASSIFY && i < sizeof keys / sizeof *keys; i++)
		if (ns_conf_text(conf, keys[i]))
			return ns_fail(NS_CONFIG, "%s: is of classifiers; what a model of the task %s has learned, infer and evaluate say", keys[i],
				       ns_task_name(task));
	return NS_OK;
}

enum ns_status ns_train_fresh(struct ns_job *job)
{
	struct ns_train_options o = {.label = "train", .checkpoint = "checkpoint", .metrics = "metrics.jsonl"};
	struct ns_dataset *data = NULL, *val = NULL, *reference = NULL;
	struct ns_model model = {0}, old = {0};
	struct ns_view view = {0};
	char baseline[NS_SHA256_HEX];
	enum ns_status status;
	enum ns_task task;
	const char *path;

	NS_TRY(ns_job_require(job, "data", "data", &path));
	NS_GO(ns_dataset_open(job, &data, path, 0));
	NS_GO(ns_train_open_from(job, &old));
	NS_GO(ns_train_task(job->conf, &old, &task));
	NS_GO(check_task(job->conf, task));
	NS_GO(open_other(job, "train.val", &val, data));
	NS_GO(open_other(job, "train.calibrate", &reference, data));
	NS_GO(ns_train_rows(job, &old, task, &data, &view));
	NS_GO(ns_dataset_verify(job, data));
	NS_GO(ns_job_begin(job, 1));
	NS_GO(ns_train_new_model(job, &model, data, &view, old.facts ? &old : NULL, task));
	o.val = val;
	NS_GO(ns_train_fit(job, &model, &view, &o));
	if (reference) {
		enum ns_dtype dtype = strcmp(model.precision, "bf16") ? NS_F32 : NS_BF16;

		NS_GO(ns_calibrate(job, &model, reference, dtype));
		NS_GO(ns_model_publish_weights(job, &model));
		/* model.json holds the baseline's digest, so the baseline cannot hold model.json's and has the weights' instead */
		NS_GO(ns_predict(job, &model, "", reference, "baseline", dtype, baseline));
		json_object_set_new(model.facts, "baseline", json_string(baseline));
	}
	NS_GO(ns_train_keep_data(job, data));
	NS_GO(ns_model_publish(job, &model));
	ns_job_input(job, "dataset", path, data->digest);
	ns_job_count(job, "rows", view.rows);
	status = ns_job_publish(job);
out:
	ns_model_release(&model);
	ns_model_release(&old);
	ns_view_release(&view);
	ns_dataset_close(data);
	ns_dataset_close(val);
	ns_dataset_close(reference);
	return status;
}
