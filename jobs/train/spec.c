/* jobs/train/spec.c - what a training does, as the configuration says it. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "host/train/train.h"
#include "jobs/augment/augment.h"
#include "jobs/train/train.h"
#include "jobs/train/train_inner.h"

static enum ns_status check_words(const struct ns_conf *conf)
{
	static const struct {
		const char *key, *words[8], *expected;
	} rows[] = {{"train.optimizer", {"sgd", "adamw"}, "sgd or adamw"},
		    {"train.collective", {"auto", "nccl", "mpi"}, "auto, nccl or mpi"},
		    {"train.schedule", {"cosine", "constant"}, "cosine or constant"},
		    {"train.loss",
		     {"softmax", "focal", "binary", "smooth_l1", "dice", "iou", "ctc"},
		     "softmax, focal, binary, smooth_l1, dice, iou or ctc"},
		    {"train.sampling", {"shuffle", "balanced"}, "shuffle or balanced"},
		    {"train.keep", {"last", "best"}, "last or best"}};
	size_t i, k;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *word = ns_conf_text(conf, rows[i].key);

		for (k = 0; word && rows[i].words[k] && strcmp(rows[i].words[k], word); k++)
			;
		if (word && !rows[i].words[k])
			return ns_fail(NS_CONFIG, "%s = '%s', expected %s", rows[i].key, word, rows[i].expected);
	}
	return NS_OK;
}

static int is_focal(const struct ns_conf *conf)
{
	const char *word = ns_conf_text(conf, "train.loss");

	return word && !strcmp(word, "focal");
}

/* Keys that go together, or with a set to compare epochs by. */
static enum ns_status check_keys(const struct ns_conf *conf, const struct ns_train_options *o)
{
	int focal = is_focal(conf);

	if (focal && ns_conf_real(conf, "train.label_smoothing") > 0)
		return ns_fail(NS_CONFIG, "train.loss = 'focal': is of labels as they are, without train.label_smoothing");
	if (!focal && ns_conf_given(conf, "train.focal_gamma"))
		return ns_fail(NS_CONFIG, "train.focal_gamma: is of train.loss = focal");
	if (!o->val && !strcmp(ns_conf_text(conf, "train.keep"), "best"))
		return ns_fail(NS_CONFIG, "train.keep = 'best': epochs are compared by --val, and there is none%s",
			       o->base ? " in a round of a manifest" : "");
	if (!o->val && ns_conf_int(conf, "train.patience"))
		return ns_fail(NS_CONFIG, "train.patience: epochs are compared by --val, and there is none%s",
			       o->base ? " in a round of a manifest" : "");
	return NS_OK;
}

/* What only models that came as ONNX know, and what they do not. */
static enum ns_status check_origin(const struct ns_conf *conf, const struct ns_model *m)
{
	if (!m->onnx && ns_conf_text(conf, "train.freeze"))
		return ns_fail(
			NS_CONFIG,
			"train.freeze: is of models that came as ONNX; the normalisations of networks that are built here learn from every batch");
	if (m->onnx && !strcmp(ns_conf_text(conf, "train.precision"), "bf16"))
		return ns_fail(NS_CONFIG, "train.precision = 'bf16': the model is a graph of ONNX, which is trained in f32");
	return NS_OK;
}

static int has_weights(const struct ns_conf *conf)
{
	const json_t *given = ns_conf_node(conf, "train.class_weights");
	const char *word = json_string_value(given);

	return given && !(word && !strcmp(word, "none"));
}

/* The loss that is asked for, or the first of the model's task. */
static enum ns_status loss_of(const struct ns_conf *conf, const struct ns_model *m, enum ns_loss_kind *kind)
{
	static const char *const words[] = {"softmax", "binary", "smooth_l1", "dice", "iou", "ctc"};
	const enum ns_task task = m->net.arch.task;
	const char *word = is_focal(conf) ? "softmax" : ns_conf_text(conf, "train.loss");

	for (*kind = NS_LOSS_SOFTMAX; *kind < NS_LOSS_KINDS; ++*kind)
		if (ns_task_has_loss(task, *kind) && (!word || !strcmp(word, words[*kind])))
			break;
	if (*kind == NS_LOSS_KINDS)
		return word ? ns_fail(NS_CONFIG, "train.loss = '%s': is not of models of the task %s", ns_conf_text(conf, "train.loss"),
				      ns_task_name(task))
			    : ns_fail(NS_CONFIG, "model.from: a model of the task %s is not trained here", ns_task_name(task));
	if (task != NS_TASK_CLASSIFY && (is_focal(conf) || ns_conf_real(conf, "train.label_smoothing") > 0 || has_weights(conf) ||
					 strcmp(ns_conf_text(conf, "train.sampling"), "shuffle")))
		return ns_fail(
			NS_CONFIG,
			"focal loss, train.label_smoothing, train.class_weights and train.sampling: are of one class an image, and the task is %s",
			ns_task_name(task));
	return NS_OK;
}

/*
 * The highest learning rate: a round's own, the configuration's, or what suits the optimiser; a tenth of it where normalisations do not learn from batches, but for a new
 * network with adamw, which has its steps in proportion by itself and nothing to forget.
 */
static double rate_of(const struct ns_conf *c, const struct ns_train_options *o, int tuned)
{
	int adamw = !strcmp(ns_conf_text(c, "train.optimizer"), "adamw"), is_new = !o->base && !ns_conf_text(c, "model.from");
	double rate = adamw ? 0.001 : 0.1;

	if (o->lr > 0)
		return o->lr;
	if (ns_conf_node(c, "train.lr"))
		return ns_conf_real(c, "train.lr");
	return tuned && !(adamw && is_new) ? rate / 10 : rate;
}

static void from_conf(struct ns_train_spec *s, const struct ns_conf *c, const struct ns_train_options *o, int tuned, int64_t rows)
{
	*s = (struct ns_train_spec){.batch = (int)ns_conf_int(c, "train.batch"),
				    .virtual_ranks = (int)ns_conf_int(c, "train.virtual_ranks"),
				    .epochs = o->epochs ? o->epochs : (int)ns_conf_int(c, "train.epochs"),
				    .checkpoint_steps = (int)ns_conf_int(c, "train.checkpoint_steps"),
				    .checkpoint_last = o->checkpoint_last,
				    .rows = rows,
				    .collective = ns_conf_text(c, "train.collective"),
				    .adamw = !strcmp(ns_conf_text(c, "train.optimizer"), "adamw"),
				    .nesterov = ns_conf_bool(c, "train.nesterov"),
				    .decay_all = ns_conf_bool(c, "train.decay_all"),
				    .lr = rate_of(c, o, tuned),
				    .momentum = ns_conf_real(c, "train.momentum"),
				    .beta2 = ns_conf_real(c, "train.beta2"),
				    .weight_decay = ns_conf_real(c, "train.weight_decay"),
				    .warmup_epochs = ns_conf_real(c, "train.warmup_epochs"),
				    .loss = {.smoothing = (float)ns_conf_real(c, "train.label_smoothing"),
					     .focal = is_focal(c) ? (float)ns_conf_real(c, "train.focal_gamma") : 0},
				    .keep_best = !strcmp(ns_conf_text(c, "train.keep"), "best"),
				    .patience = (int)ns_conf_int(c, "train.patience"),
				    .depth_decay = ns_conf_real(c, "train.depth_decay"),
				    .ema = ns_conf_real(c, "train.ema"),
				    .clip = tuned && !ns_conf_given(c, "train.clip") ? 1 : ns_conf_real(c, "train.clip"),
				    .cosine = !strcmp(ns_conf_text(c, "train.schedule"), "cosine"),
				    .seed = (uint64_t)ns_conf_int(c, "seed"),
				    .label = o->label};
	snprintf(s->precision, sizeof s->precision, "%s", ns_conf_text(c, "train.precision"));
}

void ns_train_plain(const struct ns_conf *conf, json_t *all)
{
	const struct ns_train_options none = {0};
	json_t *recipe = ns_recipe_versioned(json_object_get(all, "augment"), NS_RECIPE_VERSION);
	double rate = rate_of(conf, &none, 0);

	if (recipe)
		json_object_set(all, "augment",
				json_integer_value(json_object_get(recipe, "version")) == 1 ? json_object_get(recipe, "operations") : recipe);
	json_decref(recipe);
	if (json_object_get(all, "train.loss") && !strcmp(ns_json_text(all, "train.loss"), "softmax")) /* what it was where nobody said one */
		json_object_del(all, "train.loss");
	if (rate == 0.1)
		json_object_del(all, "train.lr");
	else if (!ns_conf_node(conf, "train.lr"))
		json_object_set_new(all, "train.lr", json_real(rate));
}

/* Rows of each class, in a view. */
static enum ns_status count_rows(const struct ns_view *view, int classes, int64_t *count)
{
	struct ns_pick pick;
	int64_t i;

	for (i = 0; i < view->rows; i++) {
		ns_view_get(view, i, &pick);
		if (pick.label >= 0 && pick.label < classes)
			count[pick.label]++;
	}
	return NS_OK;
}

/* rows / (classes * rows of the class): the mean of all rows is 1. */
static enum ns_status balance(const struct ns_view *view, int classes, float *weights)
{
	int64_t *count = calloc((size_t)classes + 1, sizeof *count), all = 0;
	int k, found = 0;
	enum ns_status status = count ? count_rows(view, classes, count) : ns_fail(NS_NO_MEMORY, "out of memory for counting classes");

	for (k = 0; status == NS_OK && k < classes; k++) {
		all += count[k];
		found += count[k] > 0;
	}
	for (k = 0; status == NS_OK && k < classes; k++)
		weights[k] = count[k] ? (float)((double)all / ((double)found * (double)count[k])) : 0;
	free(count);
	return status;
}

/* train.class_weights: *weights is the caller's; NULL: there are none. */
static enum ns_status class_weights(const struct ns_conf *conf, const struct ns_model *m, const struct ns_view *view, float **weights)
{
	const json_t *given = ns_conf_node(conf, "train.class_weights"), *one;
	const char *word = json_string_value(given);
	int k, n = m->class_count;
	double x;

	*weights = NULL;
	if (!has_weights(conf))
		return NS_OK;
	if (word ? strcmp(word, "balanced") != 0 : !json_is_array(given) || (int)json_array_size(given) != n)
		return ns_fail(NS_CONFIG, "train.class_weights: expected none, balanced, or a list of %d numbers, one for each class", n);
	*weights = calloc((size_t)n + 1, sizeof **weights);
	if (!*weights)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d weights of classes", n);
	if (word)
		return balance(view, n, *weights);
	for (k = 0; k < n; k++) {
		one = json_array_get(given, (size_t)k);
		x = json_is_number(one) ? json_number_value(one) : -1;
		if (!(x >= 0 && x <= 1e6))
			return ns_fail(NS_CONFIG, "train.class_weights: number %d is not within 0 and 1e6", k);
		(*weights)[k] = (float)x;
	}
	return NS_OK;
}

enum ns_status ns_train_spec_of(const struct ns_conf *conf, const struct ns_model *m, const struct ns_view *view, const struct ns_train_options *o,
				struct ns_train_spec *spec, float **weights)
{
	NS_TRY(check_words(conf));
	NS_TRY(check_keys(conf, o));
	NS_TRY(check_origin(conf, m));
	from_conf(spec, conf, o, m->onnx && !m->net.arch.batch_norms, view->rows);
	if (m->onnx)
		strcpy(spec->precision, "f32");
	NS_TRY(loss_of(conf, m, &spec->loss.kind));
	NS_TRY(class_weights(conf, m, view, weights));
	spec->loss.weights = *weights;
	return NS_OK;
}
