/* jobs/infer/target.c - what is true of an image of another task than classify, as a training reads it: from the row's annotation, where the image lies after fitting and augmentation. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/infer/infer_inner.h"
#include "kernels/formula/augment.h"

enum ns_status ns_row_said(const struct ns_dataset *data, int64_t row, const char *member, json_type type, json_t **said)
{
	int64_t i;
	const struct ns_shard *s = ns_dataset_at(data, row, &i);
	const struct ns_rows *rows = &s->rows;
	const uint64_t *at = rows->annotation_offset;
	json_error_t error;
	json_t *all;

	*said = NULL;
	if (!at || at[i + 1] == at[i])
		return NS_OK;
	all = json_loadb((const char *)rows->annotation + at[i], (size_t)(at[i + 1] - at[i]), 0, &error);
	if (!all)
		return ns_fail(NS_BAD_DATA, "%s: row %lld: its annotation is no JSON: %s", s->path, (long long)i, error.text);
	*said = json_incref(json_object_get(all, member));
	json_decref(all);
	if (json_is_null(*said)) { /* nobody said anything of it */
		json_decref(*said);
		*said = NULL;
	}
	if (*said && json_typeof(*said) != type) {
		json_decref(*said);
		*said = NULL;
		return ns_fail(NS_BAD_DATA, "%s: row %lld: its annotation's member '%s' is not what it should be: expected %s", s->path, (long long)i,
			       member,
			       type == JSON_OBJECT   ? "an object of numbers"
			       : type == JSON_STRING ? "a text"
						     : "a list");
	}
	return NS_OK;
}

static void tags_of(const struct ns_model *m, const json_t *said, float *to)
{
	const json_t *one;
	size_t i;
	int k;

	memset(to, 0, sizeof *to * (size_t)m->class_count);
	json_array_foreach(said, i, one) {
		k = ns_said_class(m->classes, m->class_count, json_string_value(one));
		if (k >= 0)
			to[k] = 1;
	}
}

static enum ns_status numbers_of(const struct ns_model *m, const json_t *said, int64_t row, float *to)
{
	int k;

	for (k = 0; k < m->class_count; k++) {
		const json_t *one = json_object_get(said, m->classes[k]);

		to[k] = json_is_number(one) ? (float)json_number_value(one) : NAN;
		if (json_is_number(one) && !isfinite(to[k]))
			return ns_fail(NS_BAD_DATA, "row %lld: its value '%s' is %g, which no float32 holds", (long long)row, m->classes[k],
				       json_number_value(one));
	}
	return NS_OK;
}

/* The pixel of the image over which the middle of a target's pixel lies; -1: none, beyond the image or what augmentation has moved into sight. */
static int64_t pixel_at(const struct ns_target *t, const struct ns_fitted *seen, int p, int q)
{
	const struct ns_augment_sample *a = seen->sample;
	const struct ns_placed *on = &seen->placed;
	/* places of pixels' middles on the canvas, counted from the middle of the first, as augmentation counts them */
	double y = (p + .5) * on->canvas_h / t->h - .5, x = (q + .5) * on->canvas_w / t->w - .5;
	double from_x = (a->map[0] * x + a->map[1] * y + a->map[2]) / 65536 + .5, from_y = (a->map[3] * x + a->map[4] * y + a->map[5]) / 65536 + .5;
	double u = floor((from_x - on->x) / on->across), v = floor((from_y - on->y) / on->down);

	if (from_x < 0 || from_y < 0 || from_x >= on->canvas_w || from_y >= on->canvas_h || u < 0 || v < 0 || u >= seen->w || v >= seen->h)
		return -1;
	return (int64_t)v * seen->w + (int64_t)u;
}

static enum ns_status pixels_of(const struct ns_feed *f, const json_t *said, int64_t row, const struct ns_fitted *seen, int32_t *to)
{
	const struct ns_model *m = f->model;
	int64_t n = (int64_t)seen->h * seen->w, at, unknown = 0, boxes = 0;
	int16_t *mask = malloc(sizeof *mask * (size_t)n), background = (int16_t)ns_said_background(m->classes, m->class_count);
	enum ns_status status;
	int p, q;

	if (!mask)
		return ns_fail(NS_NO_MEMORY, "row %lld: out of memory for a mask of %d x %d", (long long)row, seen->h, seen->w);
	for (at = 0; at < n; at++)
		mask[at] = background;
	status = ns_said_mask(said, m->classes, m->class_count, seen->h, seen->w, mask, row, &unknown, &boxes);
	for (p = 0; status == NS_OK && p < f->target.h; p++)
		for (q = 0; q < f->target.w; q++) {
			at = pixel_at(&f->target, seen, p, q);
			*to++ = at < 0 ? NS_SAID_UNKNOWN : mask[at];
		}
	free(mask);
	return status;
}

/* A text whose symbols the model does not have, or that is longer than its steps, is one that nobody knows. */
static void symbols_of(const struct ns_feed *f, const json_t *said, int32_t *to)
{
	const struct ns_model *m = f->model;
	int n = -1, steps = 0, k;

	if (said)
		n = ns_said_symbols(m->classes, m->class_count, f->blank_last, json_string_value(said), to, f->target.words);
	for (k = 1; k < n; k++)
		steps += to[k] == to[k - 1]; /* a blank between */
	if (n < 0 || n + steps > f->target.words)
		to[0] = -2;
	else if (n < f->target.words)
		to[n] = -1;
}

/* Is nothing of it known that could be learned? */
static int is_unknown(const struct ns_feed *f, const int32_t *to)
{
	int i;

	if (f->target.task != NS_TASK_READ && f->target.task != NS_TASK_SEGMENT)
		return 0;
	for (i = 0; i < (f->target.task == NS_TASK_READ ? 1 : f->target.words); i++)
		if (to[i] >= 0 || (f->target.task == NS_TASK_READ && to[i] == -1))
			return 0;
	return 1;
}

enum ns_status ns_feed_target(struct ns_feed *f, const struct ns_dataset *data, int64_t row, const struct ns_fitted *seen, int32_t *to)
{
	const enum ns_task task = f->target.task;
	enum ns_status status = NS_OK;
	json_t *said;

	NS_TRY(ns_row_said(data, row, f->member, task == NS_TASK_REGRESS ? JSON_OBJECT : task == NS_TASK_READ ? JSON_STRING : JSON_ARRAY, &said));
	if (task == NS_TASK_TAGS)
		tags_of(f->model, said, (float *)(void *)to);
	else if (task == NS_TASK_READ)
		symbols_of(f, said, to);
	else if (task == NS_TASK_REGRESS)
		status = numbers_of(f->model, said, row, (float *)(void *)to);
	else
		status = pixels_of(f, said, row, seen, to);
	json_decref(said);
	if (status != NS_OK)
		return status;
	__atomic_fetch_add(&f->shown, 1, __ATOMIC_RELAXED); /* by several workers */
	if (is_unknown(f, to))
		__atomic_fetch_add(&f->unknown, 1, __ATOMIC_RELAXED);
	return NS_OK;
}
