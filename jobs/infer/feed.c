/* jobs/infer/feed.c - feeds rows of a view to a network: read or decode, random draws; then augment, normalise, cast. */
#include "jobs/infer/infer.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/answer/answer.h"
#include "jobs/augment/augment.h"
#include "jobs/infer/infer_inner.h"

static size_t image_bytes(const struct ns_feed *f)
{
	const struct ns_arch *a = &f->model->net.arch;

	return (size_t)a->h * (size_t)a->w * (size_t)a->c;
}

static enum ns_status make_context(struct ns_feed *f, int index, enum ns_dtype dtype)
{
	struct ns_feed_lane *l = &f->lanes[index];
	const struct ns_arch *a = &f->model->net.arch;
	struct ns_device *dev = f->job->set->devices[index];
	struct ns_op op = {.kind = NS_OP_AUGMENT};
	int c;

	op.u.augment =
		(struct ns_op_augment){.n = f->n, .h = a->h, .w = a->w, .c = a->c, .p = a->h, .q = a->w, .out_dtype = dtype, .config = f->config};
	for (c = 0; c < a->c; c++) { /* y = (x / 255 - mean) / std */
		op.u.augment.scale[c] = (float)(1 / (255 * (double)f->model->std[c]));
		op.u.augment.shift[c] = (float)(-(double)f->model->mean[c] / (double)f->model->std[c]);
	}
	NS_TRY(ns_plan_make(&l->plan, dev, &op));
	return dev->backend->mem_make(&l->workspace, dev, l->plan->workspace_bytes);
}

enum ns_status ns_feed_init(struct ns_feed *f, struct ns_job *job, const struct ns_view *view, const struct ns_model *model, const json_t *recipe,
			    int n, int shuffle, enum ns_dtype dtype)
{
	const struct ns_arch *a = &model->net.arch;
	struct ns_reading reading;
	int i, workers = ns_workers_count(job->workers);

	*f = (struct ns_feed){.view = view, .model = model, .job = job, .shuffle = shuffle, .n = n, .seed = (uint64_t)ns_conf_int(job->conf, "seed")};
	NS_TRY(ns_reading_of(&reading, model));
	f->fit = reading.fit;
	if (reading.fit.rule == NS_FIT_HEIGHT) /* of one size, as a batch has: lines of text with their ends filled */
		f->fit.rule = NS_FIT_CORNER;
	f->blank_last = reading.blank_last;
	f->fits = reading.fit.filter != NS_FILTER_AREA;
	f->samples_at = (image_bytes(f) * (size_t)n + 63) / 64 * 64;
	f->bytes = f->samples_at + (size_t)n * sizeof(struct ns_augment_sample);
	f->config = calloc(2, sizeof *f->config);
	f->rest = f->config ? f->config + 1 : NULL;
	f->workers = calloc((size_t)workers, sizeof *f->workers);
	f->lanes = calloc((size_t)job->set->count, sizeof *f->lanes);
	if (!f->config || !f->workers || !f->lanes)
		return ns_fail(NS_NO_MEMORY, "out of memory for the feed of %d workers", workers);
	NS_TRY(ns_recipe_parse(f->config, recipe, a->h, a->w, "augment"));
	*f->rest = *f->config;
	f->windows = shuffle && ns_augment_window_first(f->rest);
	for (i = 0; i < job->set->count; i++)
		NS_TRY(make_context(f, i, dtype));
	return NS_OK;
}

void ns_feed_release(struct ns_feed *f)
{
	int i;

	for (i = 0; f->workers && i < ns_workers_count(f->job->workers); i++)
		free(f->workers[i].buffer);
	for (i = 0; f->lanes && i < f->job->set->count; i++) {
		struct ns_device *dev = f->job->set->devices[i];

		ns_plan_free(f->lanes[i].plan);
		if (f->lanes[i].workspace)
			dev->backend->mem_free(dev, f->lanes[i].workspace);
	}
	free(f->workers);
	free(f->lanes);
	free(f->by_class);
	free(f->first);
	free(f->config);
	memset(f, 0, sizeof *f);
}

enum ns_status ns_feed_balance(struct ns_feed *f)
{
	int classes = f->model->class_count, k, to = 0;
	int64_t i, at;
	struct ns_pick pick;

	f->by_class = malloc(sizeof *f->by_class * (size_t)(f->view->rows + 1));
	f->first = calloc((size_t)classes + 2, sizeof *f->first);
	if (!f->by_class || !f->first)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld rows by their classes", (long long)f->view->rows);
	for (i = 0; i < f->view->rows; i++) { /* first[k + 1]: rows of class k, then where they begin, then where they end */
		ns_view_get(f->view, i, &pick);
		if (pick.label >= 0 && pick.label < classes)
			f->first[pick.label + 2]++;
	}
	for (k = 2; k <= classes + 1; k++)
		f->first[k] += f->first[k - 1];
	for (i = 0; i < f->view->rows; i++) {
		ns_view_get(f->view, i, &pick);
		if (pick.label >= 0 && pick.label < classes)
			f->by_class[f->first[pick.label + 1]++] = i;
	}
	for (k = 0; k < classes; k++) { /* those without rows go */
		at = f->first[k];
		if (f->first[k + 1] > at)
			f->first[to++] = at;
	}
	f->first[to] = f->first[classes];
	f->balanced = to;
	return to ? NS_OK : ns_fail(NS_BAD_DATA, "no row has a label, so that classes cannot come as often as each other");
}

/* The row of the view at a position of the epoch, and how often it has come before in it. */
static int64_t row_at(const struct ns_feed *f, int epoch, int64_t position, int *again)
{
	int64_t k, j, n;

	*again = 0;
	if (!f->shuffle)
		return position;
	if (!f->balanced)
		return (int64_t)ns_permute((uint64_t)position, (uint64_t)f->view->rows, f->seed, NS_FOR_SHUFFLE, (uint32_t)epoch);
	k = position % f->balanced;
	j = position / f->balanced;
	n = f->first[k + 1] - f->first[k];
	*again = (int)(j / n);
	return f->by_class[f->first[k] + (int64_t)ns_permute((uint64_t)(j % n), (uint64_t)n, f->seed + (uint64_t)k, NS_FOR_SHUFFLE,
							     (uint32_t)epoch * 65537u + (uint32_t)*again)];
}

#define REPEATS 64 /* that a manifest asks for at most; a row that balancing shows again has draws beyond them: another augmentation each time */

struct draw { /* of one image of a set of files */
	const struct ns_feed *feed;
	uint64_t id;
	uint32_t epoch, repeat;
};

static int choose_window(void *context, int h, int w, struct ns_part *part)
{
	const struct draw *d = context;
	struct ns_augment_window at;
	int happens = ns_augment_window_draw(d->feed->rest, h, w, d->feed->seed, d->epoch, d->id, d->repeat, &at);

	if (happens)
		*part = (struct ns_part){at.y, at.x, at.h, at.w};
	return happens;
}

/* A whole image, as the model's own pipeline prepares it; seen: where it is then. */
static enum ns_status fit_image(const struct ns_feed *f, struct ns_feed_worker *w, const struct ns_dataset *set, int64_t row, uint8_t *pixels,
				struct ns_fitted *seen)
{
	const int c = f->model->net.arch.c;
	uint8_t *image = NULL;
	enum ns_status status;

	NS_TRY(ns_dataset_image(set, row, c, &seen->h, &seen->w, &image, &w->buffer, &w->capacity));
	status = ns_fit_place(&f->fit, seen->h, seen->w, &seen->placed);
	if (status == NS_OK)
		status = ns_fit_bytes(&f->fit, &seen->placed, image, seen->h, seen->w, c, pixels);
	free(image);
	return status;
}

/*
 * The pixels of one image, and its draw. Of files, a random resized crop that the recipe lists first is cut out of the image before it is scaled, so
 * that a small window has all the pixels that there are; other operations act on what the device is given.
 */
static enum ns_status stage_one(const struct ns_feed *f, struct ns_feed_worker *w, int epoch, const struct ns_pick *pick, int again, uint8_t *pixels,
				struct ns_augment_sample *sample, struct ns_fitted *seen)
{
	const struct ns_arch *a = &f->model->net.arch;
	const struct ns_dataset *set = f->view->sets[pick->set];
	int is_class = f->target.task == NS_TASK_CLASSIFY, cut = is_class && f->windows && ns_dataset_has_files(set);
	struct draw draw = {f, ns_dataset_id(set, pick->row), (uint32_t)epoch, pick->repeat + (uint32_t)again * REPEATS};

	if (cut)
		NS_TRY(ns_dataset_part(set, pick->row, choose_window, &draw, a->h, a->w, a->c, pixels, &w->buffer, &w->capacity));
	else if (!is_class || (f->fits && ns_dataset_has_files(set)))
		NS_TRY(fit_image(f, w, set, pick->row, pixels, seen));
	else
		NS_TRY(ns_dataset_pixels(set, pick->row, a->h, a->w, a->c, pixels, &w->buffer, &w->capacity));
	if (f->shuffle)
		ns_augment_draw(sample, cut ? f->rest : f->config, a->h, a->w, a->h, a->w, f->seed, draw.epoch, draw.id, draw.repeat);
	else
		ns_augment_identity(sample, a->h, a->w, a->h, a->w);
	return NS_OK;
}

enum ns_status ns_feed_stage(void *context, int worker, int epoch, int64_t first, int n, int begin, int end, void *staged, int32_t *labels)
{
	struct ns_feed *f = context;
	struct ns_feed_worker *w = &f->workers[worker];
	struct ns_augment_sample *samples = (void *)((char *)staged + f->samples_at);
	int i, again;

	if (n != f->n)
		return ns_fail(NS_INTERNAL, "a feed was made for %d images at a time, but asked for %d", f->n, n);
	for (i = begin; i < end; i++) {
		int64_t row = first + i < f->view->rows ? first + i : f->view->rows - 1;
		struct ns_pick pick;
		struct ns_fitted seen = {.sample = &samples[i]};

		row = row_at(f, epoch, row, &again);
		ns_view_get(f->view, row, &pick);
		NS_TRY(stage_one(f, w, epoch, &pick, again, (uint8_t *)staged + (size_t)i * image_bytes(f), &samples[i], &seen));
		if (f->target.task == NS_TASK_CLASSIFY)
			labels[i] = first + i < f->view->rows ? pick.label : -1;
		else
			NS_TRY(ns_feed_target(f, f->view->sets[pick.set], pick.row, &seen, labels + (int64_t)i * f->target.words));
	}
	return NS_OK;
}

enum ns_status ns_feed_images(void *context, int queue, const void *staged, void *images)
{
	struct ns_feed *f = context;
	struct ns_args args = {{staged, (const char *)staged + f->samples_at}, {images}, f->lanes[queue].workspace};

	return ns_plan_run(f->lanes[queue].plan, &args, f->job->set->queues[queue]);
}

void ns_feed_expects(void *context, const struct ns_target *target)
{
	struct ns_feed *f = context;

	f->target = *target;
}
