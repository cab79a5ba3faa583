/* jobs/answer/tasks.c - what the outputs of each task become: names, numbers and places in the image. */
#include "jobs/answer/answer_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

static json_t *class_name(const struct ns_sight *s, int k)
{
	return k < s->model->class_count ? ns_json_string(s->model->classes[k]) : json_sprintf("%d", k);
}

/* The first output as a list of numbers, all of them finite. */
static enum ns_status numbers(const struct ns_sight *s, int *n)
{
	const struct ns_output *o = &s->outputs[0];
	int64_t count = s->count ? ns_box_count(&o->box) : 0, i;

	if (count < 1 || count > 1 << 24)
		return ns_fail(NS_BAD_DATA, "the network's first output has %lld numbers, expected 1 to %d", (long long)count, 1 << 24);
	for (i = 0; i < count; i++)
		if (!isfinite(o->data[i]))
			return ns_fail(NS_BAD_DATA, "output '%s': element %lld is %g, expected a finite number", o->name, (long long)i,
				       (double)o->data[i]);
	*n = (int)count;
	return NS_OK;
}

static enum ns_status named_numbers(const struct ns_sight *s, int *n)
{
	NS_TRY(numbers(s, n));
	return *n == s->model->class_count ? NS_OK
					   : ns_fail(NS_BAD_DATA, "output '%s' has %d numbers, but the model has %d names", s->outputs[0].name, *n,
						     s->model->class_count);
}

static enum ns_status tags(const struct ns_sight *s, json_t *result)
{
	json_t *list = json_array();
	float *p;
	int i, n;

	json_object_set_new(result, "tags", list);
	NS_TRY(named_numbers(s, &n));
	p = malloc(sizeof *p * (size_t)n);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d tags", n);
	ns_tags(s->outputs[0].data, n, s->reading->values, p);
	for (i = 0; i < n; i++)
		if ((double)p[i] >= s->reading->score)
			json_array_append_new(list, NS_JSON_OBJECT({"tag", class_name(s, i)}, {"probability", json_real((double)p[i])}));
	free(p);
	return NS_OK;
}

/* From the canvas into the image, no farther than its edges. */
static double across(const struct ns_sight *s, double x)
{
	return fmin(fmax((x - s->placed.x) / s->placed.across, 0), s->w);
}

static double down(const struct ns_sight *s, double y)
{
	return fmin(fmax((y - s->placed.y) / s->placed.down, 0), s->h);
}

static enum ns_status detect(const struct ns_sight *s, json_t *result)
{
	json_t *list = json_array();
	struct ns_detections d;
	enum ns_status status;
	int i;

	json_object_set_new(result, "boxes", list);
	status = ns_detect(s->reading->head, s->outputs, s->count, s->placed.canvas_h, s->placed.canvas_w, s->model->class_count, s->reading->score,
			   s->reading->iou, &d);
	for (i = 0; status == NS_OK && i < d.n; i++) {
		const struct ns_detection *b = &d.at[i];
		double x0 = across(s, (double)b->x0), y0 = down(s, (double)b->y0), x1 = across(s, (double)b->x1), y1 = down(s, (double)b->y1);

		if (x1 > x0 && y1 > y0) /* else it lies where the canvas is filled */
			json_array_append_new(list, NS_JSON_OBJECT({"class", class_name(s, b->cls)}, {"score", json_real((double)b->score)},
								   {"box", json_pack("[f, f, f, f]", x0, y0, x1, y1)}));
	}
	ns_detections_release(&d);
	return status;
}

static enum ns_status regions(const struct ns_sight *s, json_t *result)
{
	const struct ns_output *o = &s->outputs[0];
	json_t *list = json_array();
	struct ns_region *r = NULL;
	enum ns_status status;
	int i, k, n = 0;

	json_object_set_new(result, "regions", list);
	if (s->count < 1 || o->box.rank != 4 || ns_box_count(&o->box) != (int64_t)s->placed.canvas_h * s->placed.canvas_w)
		return ns_fail(NS_BAD_DATA, "the network's first output is no map of %dx%d probabilities", s->placed.canvas_w, s->placed.canvas_h);
	status = ns_regions(o->data, s->placed.canvas_h, s->placed.canvas_w, s->reading->score, &r, &n);
	for (i = 0; status == NS_OK && i < n; i++) {
		json_t *corners = json_array();

		for (k = 0; k < 4; k++)
			json_array_append_new(corners, json_pack("[f, f]", across(s, r[i].x[k]), down(s, r[i].y[k])));
		json_array_append_new(list, NS_JSON_OBJECT({"score", json_real(r[i].score)}, {"corners", corners}));
	}
	free(r);
	return status;
}

static enum ns_status put_text(const struct ns_sight *s, const int *text, int n, int blank, double confidence, json_t *result)
{
	size_t bytes = 1;
	const char *symbol;
	char *utf8;
	int i;

	for (i = 0; i < n; i++)
		bytes += strlen(s->model->classes[text[i] - (text[i] > blank)]);
	utf8 = calloc(bytes, 1);
	if (!utf8)
		return ns_fail(NS_NO_MEMORY, "out of memory for a text of %d symbols", n);
	for (i = 0, bytes = 0; i < n; i++, bytes += strlen(symbol)) {
		symbol = s->model->classes[text[i] - (text[i] > blank)];
		memcpy(utf8 + bytes, symbol, strlen(symbol));
	}
	json_object_set_new(result, "text", ns_json_string(utf8));
	json_object_set_new(result, "confidence", json_real(confidence));
	free(utf8);
	return NS_OK;
}

static enum ns_status read_text(const struct ns_sight *s, json_t *result)
{
	int steps, symbols, blank, n, *text = NULL;
	float *p = NULL;
	enum ns_status status;
	double confidence = 0;

	NS_GO(s->count ? ns_ctc_steps(&s->outputs[0], &steps, &symbols, &p) : ns_fail(NS_BAD_DATA, "the network has no output"));
	if (symbols != s->model->class_count + 1)
		NS_GO(ns_fail(NS_BAD_DATA, "the network has %d symbols, a blank among them, but the model has %d names, expected %d", symbols,
			      s->model->class_count, symbols - 1));
	text = malloc(sizeof *text * (size_t)(steps + 1));
	NS_GO(text ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a text of %d steps", steps));
	blank = s->reading->blank_last ? symbols - 1 : 0;
	n = s->reading->beam ? ns_ctc_beam(p, steps, symbols, blank, s->reading->beam, text, &confidence)
			     : ns_ctc_greedy(p, steps, symbols, blank, text, &confidence);
	NS_GO(n < 0 ? ns_fail(NS_NO_MEMORY, "out of memory for the beginnings of a text") : put_text(s, text, n, blank, confidence, result));
out:
	free(text);
	free(p);
	return status;
}

/* Of a class: its run lengths down the columns, off and on in turns, as COCO counts them. */
struct run_lengths {
	json_t *counts;	     /* NULL: no pixel is of this class */
	int64_t pixels, end; /* how many are, and where the last run of them ends */
};

/* Of every class at once; of: 256 of them, zeroed. */
static void run_lengths(const uint8_t *mask, int h, int w, struct run_lengths *of)
{
	const int64_t all = (int64_t)h * w;
	struct run_lengths *r;
	int64_t from, to;
	int cls;

#define DOWN(i) mask[(i) % h * w + (i) / h]
	for (from = 0; from < all; from = to) {
		cls = DOWN(from);
		for (to = from + 1; to < all && DOWN(to) == cls; to++)
			;
		r = &of[cls];
		if (!r->counts)
			r->counts = json_array();
		json_array_append_new(r->counts, json_integer(from - r->end));
		json_array_append_new(r->counts, json_integer(to - from));
		r->pixels += to - from;
		r->end = to;
	}
#undef DOWN
	for (cls = 0; cls < 256; cls++)
		if (of[cls].counts && of[cls].end < all)
			json_array_append_new(of[cls].counts, json_integer(all - of[cls].end));
}

/* A mask of the canvas as one of the image: each pixel has what lies over its middle. */
static void to_image(const struct ns_sight *s, const uint8_t *mask, int mh, int mw, uint8_t *out)
{
	int x, y;

	for (y = 0; y < s->h; y++)
		for (x = 0; x < s->w; x++) {
			double v = ((y + .5) * s->placed.down + s->placed.y) * mh / s->placed.canvas_h;
			double u = ((x + .5) * s->placed.across + s->placed.x) * mw / s->placed.canvas_w;
			int i = (int)fmin(fmax(floor(v), 0), mh - 1), j = (int)fmin(fmax(floor(u), 0), mw - 1);

			out[(int64_t)y * s->w + x] = mask[(int64_t)i * mw + j];
		}
}

static enum ns_status segment(const struct ns_sight *s, json_t *result)
{
	const struct ns_output *o = &s->outputs[0];
	const size_t pixels = (size_t)s->h * (size_t)s->w;
	json_t *list = json_array();
	uint8_t *mask, *image;
	struct run_lengths of[256] = {{NULL, 0, 0}};
	enum ns_status status;
	int k;

	json_object_set_new(result, "classes", list);
	if (s->count < 1 || o->box.rank != 4)
		return ns_fail(NS_BAD_DATA, "the network's first output is no map (1, classes, h, w)");
	mask = malloc((size_t)(o->box.dim[2] * o->box.dim[3]) + 1);
	image = malloc(pixels + 1);
	status = mask && image ? ns_mask(o, s->reading->values, mask) : ns_fail(NS_NO_MEMORY, "out of memory for masks of %dx%d", s->w, s->h);
	if (status == NS_OK) {
		to_image(s, mask, (int)o->box.dim[2], (int)o->box.dim[3], image);
		run_lengths(image, s->h, s->w, of);
	}
	for (k = 0; k < 256; k++)
		if (of[k].counts)
			json_array_append_new(list,
					      NS_JSON_OBJECT({"class", class_name(s, k)}, {"id", json_integer(k)},
							     {"share", json_real((double)of[k].pixels / (double)pixels)},
							     {"rle", json_pack("{s:[i, i], s:o}", "size", s->h, s->w, "counts", of[k].counts)}));
	free(mask);
	free(image);
	return status;
}

static enum ns_status embed(const struct ns_sight *s, json_t *result)
{
	json_t *list = json_array();
	int i, n;

	json_object_set_new(result, "embedding", list);
	NS_TRY(numbers(s, &n));
	for (i = 0; i < n; i++)
		json_array_append_new(list, json_real((double)s->outputs[0].data[i]));
	return NS_OK;
}

static enum ns_status regress(const struct ns_sight *s, json_t *result)
{
	json_t *list = json_array();
	int i, n;

	json_object_set_new(result, "values", list);
	NS_TRY(named_numbers(s, &n));
	for (i = 0; i < n; i++)
		json_array_append_new(list, NS_JSON_OBJECT({"name", class_name(s, i)}, {"value", json_real((double)s->outputs[0].data[i])}));
	return NS_OK;
}

static enum ns_status raw(const struct ns_sight *s, json_t *result)
{
	json_t *list = json_array();
	int64_t k;
	int i;

	json_object_set_new(result, "outputs", list);
	for (i = 0; i < s->count; i++) {
		const struct ns_output *o = &s->outputs[i];
		json_t *shape = json_array(), *values = json_array();

		for (k = 0; k < o->box.rank; k++)
			json_array_append_new(shape, json_integer(o->box.dim[k]));
		for (k = 0; k < ns_box_count(&o->box); k++)
			json_array_append_new(values, ns_json_real((double)o->data[k]));
		json_array_append_new(list, NS_JSON_OBJECT({"name", ns_json_string(o->name)}, {"shape", shape}, {"values", values}));
	}
	return NS_OK;
}

static const struct row {
	enum ns_task task;
	enum ns_status (*read)(const struct ns_sight *sight, json_t *result);
	const char *list, *columns;
} rows[] = {
	{NS_TASK_CLASSIFY, NULL, "classes", "class probability"},
	{NS_TASK_TAGS, tags, "tags", "tag probability"},
	{NS_TASK_DETECT, detect, "boxes", "class score box"},
	{NS_TASK_SEGMENT, segment, "classes", "class share"},
	{NS_TASK_REGIONS, regions, "regions", "score corners"},
	{NS_TASK_READ, read_text, NULL, "text confidence"},
	{NS_TASK_EMBED, embed, NULL, "embedding"},
	{NS_TASK_REGRESS, regress, "values", "name value"},
	{NS_TASK_RAW, raw, "outputs", "name shape values"},
};

static const struct row *row_of(enum ns_task task)
{
	const struct row *r = rows;

	while (r->task != task)
		r++;
	return r;
}

enum ns_status ns_task_read(const struct ns_sight *sight, json_t *result)
{
	return row_of(sight->model->net.arch.task)->read(sight, result);
}

const char *ns_task_list(enum ns_task task)
{
	return row_of(task)->list;
}

const char *ns_task_columns(enum ns_task task)
{
	return row_of(task)->columns;
}
