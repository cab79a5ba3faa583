/*
 * jobs/evaluate/maps.c - classes of pixels and regions of text against outlines that people drew. Pixels are counted over all images; of several objects the later lies above.
 * Where nothing was drawn the class is the background, if the model has one, else nobody knows.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/outputs/outputs.h"
#include "jobs/answer/answer.h"
#include "jobs/evaluate/evaluate_inner.h"

#define PIXELS_MOST ((int64_t)1 << 28)

/* --- classes of pixels --- */

struct pixels {
	int64_t *right, *found, *said;	     /* of each class */
	int64_t all, unknown, boxes, errors; /* boxes: objects without an outline; errors: rows that the model made no answer of */
	int16_t background;
};

static enum ns_status size_of(const json_t *answer, int64_t row, int *h, int *w)
{
	double height = ns_json_number(answer, "height", 0), width = ns_json_number(answer, "width", 0);

	if (!(height >= 1 && width >= 1 && height * width <= (double)PIXELS_MOST))
		return ns_fail(NS_BAD_DATA, "row %lld: an answer of %g x %g pixels", (long long)row, width, height);
	*h = (int)height;
	*w = (int)width;
	return NS_OK;
}

static void count_pixels(struct pixels *c, const int16_t *said, const int16_t *found, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++) {
		if (said[i] == NS_SAID_UNKNOWN)
			continue;
		c->all++;
		c->said[said[i]]++;
		if (found[i] >= 0)
			c->found[found[i]]++;
		c->right[said[i]] += said[i] == found[i];
	}
}

static enum ns_status take_mask(const struct ns_judged *r, int64_t row, const json_t *truth, const json_t *answer, void *to)
{
	struct pixels *c = to;
	const json_t *one;
	int16_t *said = NULL, *found = NULL;
	enum ns_status status;
	int64_t i, n;
	size_t k;
	int h, w;

	if (json_object_get(answer, "error")) { /* its size is not known either, so that its pixels can't be counted as missed */
		c->errors++;
		return NS_OK;
	}
	NS_TRY(size_of(answer, row, &h, &w));
	n = (int64_t)h * w;
	said = malloc(sizeof *said * (size_t)n);
	found = malloc(sizeof *found * (size_t)n);
	NS_GO(said && found ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the mask of row %lld", (long long)row));
	for (i = 0; i < n; i++) {
		said[i] = c->background;
		found[i] = -1;
	}
	NS_GO(ns_said_mask(json_object_get(truth, r->member), r->p->names, r->p->class_names, h, w, said, row, &c->unknown, &c->boxes));
	json_array_foreach(json_object_get(answer, "classes"), k, one)
		NS_GO(ns_said_runs(json_object_get(one, "rle"), h, w, (int16_t)ns_judged_class(r->p, ns_json_text(one, "class")), found, row));
	count_pixels(c, said, found, n);
	status = NS_OK;
out:
	free(said);
	free(found);
	return status;
}

static void tell_pixels(const struct ns_judged *r, const struct pixels *c)
{
	json_t *classes = json_object();
	int64_t right = 0;
	double sum = 0;
	int k, n = 0;

	for (k = 0; k < r->p->class_names; k++) {
		int64_t any = c->found[k] + c->said[k] - c->right[k];
		double iou = any ? (double)c->right[k] / (double)any : NAN;

		right += c->right[k];
		sum += any ? iou : 0;
		n += any > 0;
		ns_judged_put(classes, r->p->names[k], iou);
	}
	ns_judged_put(r->json, "mean_iou", n ? sum / n : NAN);
	ns_judged_put(r->json, "pixel_accuracy", c->all ? (double)right / (double)c->all : NAN);
	json_object_set_new(r->json, "pixels", json_integer(c->all));
	json_object_set_new(r->json, "objects_of_unknown_classes", json_integer(c->unknown));
	json_object_set_new(r->json, "objects_without_outline", json_integer(c->boxes));
	json_object_set_new(r->json, "rows_with_errors", json_integer(c->errors));
	json_object_set_new(r->json, "classes", classes);
}

enum ns_status ns_judge_masks(const struct ns_judged *r)
{
	size_t n = (size_t)r->p->class_names + 1;
	struct pixels c = {calloc(n, sizeof *c.right), calloc(n, sizeof *c.found), calloc(n, sizeof *c.said), 0, 0, 0, 0, NS_SAID_UNKNOWN};
	enum ns_status status = c.right && c.found && c.said ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for classes");

	NS_GO(status);
	if (r->p->class_names > INT16_MAX)
		NS_GO(ns_fail(NS_BAD_DATA, "predictions of %d classes, expected at most %d for classes of pixels", r->p->class_names, INT16_MAX));
	c.background = (int16_t)ns_said_background(r->p->names, r->p->class_names);
	NS_GO(ns_judged_each(r, take_mask, &c));
	tell_pixels(r, &c);
out:
	free(c.right);
	free(c.found);
	free(c.said);
	return status;
}

/* --- regions: found where an outline overlaps by more than half, each once --- */

#define OVERLAP 0.5

struct regions {
	int64_t truths, found, matched;
	double iou; /* sum of those that match */
};

struct outline {
	double xy[2 * NS_POLYGON_MOST];
	int n, crowd, taken;
};

static enum ns_status outline_of(const json_t *one, int h, int w, int64_t row, struct outline *o)
{
	const json_t *drawn = ns_said_drawn(one), *shares = json_object_get(one, "polygon_normalized"), *box = json_object_get(one, "bbox"), *list;
	double *xy = NULL, x, y;
	int n;

	list = json_is_array(json_array_get(drawn, 0)) ? json_array_get(drawn, 0) : json_is_array(drawn) ? drawn : shares;
	memset(o, 0, sizeof *o);
	o->crowd = ns_json_number(one, "iscrowd", 0) > 0;
	if (list) {
		xy = ns_said_points(list, list == shares ? w : 1, list == shares ? h : 1, &n);
		if (!xy)
			return ns_fail(NS_BAD_DATA, "row %lld: an outline that is not at least three points x, y", (long long)row);
		o->n = ns_polygon_simplify(xy, n, NS_POLYGON_MOST);
		memcpy(o->xy, xy, 2 * sizeof *xy * (size_t)o->n);
		free(xy);
		return NS_OK;
	}
	if (json_array_size(box) != 4)
		return ns_fail(NS_BAD_DATA, "row %lld: an object without a segmentation, polygon_normalized or bbox", (long long)row);
	x = ns_judged_item(box, 0);
	y = ns_judged_item(box, 1);
	o->n = 4;
	memcpy(o->xy,
	       (const double[]){x, y, x + ns_judged_item(box, 2), y, x + ns_judged_item(box, 2), y + ns_judged_item(box, 3), x,
				y + ns_judged_item(box, 3)},
	       8 * sizeof *o->xy);
	return NS_OK;
}

/* The best of the outlines that are not taken; a crowd is never. */
static void match(struct regions *c, struct outline *truths, size_t n, const double *corners)
{
	struct outline *best = NULL;
	double most = OVERLAP;
	size_t i;

	for (i = 0; i < n; i++) {
		double iou = truths[i].taken ? 0 : ns_polygon_iou(truths[i].xy, truths[i].n, corners, 4);

		if (iou > most) {
			most = iou;
			best = &truths[i];
		}
	}
	if (best && best->crowd)
		return;
	c->found++;
	if (!best)
		return;
	best->taken = 1;
	c->matched++;
	c->iou += most;
}

static enum ns_status take_regions(const struct ns_judged *r, int64_t row, const json_t *truth, const json_t *answer, void *to)
{
	const json_t *objects = json_object_get(truth, r->member), *one;
	struct outline *truths = calloc(json_array_size(objects) + 1, sizeof *truths);
	struct regions *c = to;
	enum ns_status status = truths ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the outlines of row %lld", (long long)row);
	double corners[8];
	size_t i, k, n = 0;
	int h = 1, w = 1;

	if (status == NS_OK && !json_object_get(answer, "error"))
		status = size_of(answer, row, &h, &w);
	json_array_foreach(objects, i, one) {
		NS_GO(status);
		status = outline_of(one, h, w, row, &truths[n]);
		c->truths += !truths[n++].crowd;
	}
	NS_GO(status);
	json_array_foreach(json_object_get(answer, "regions"), i, one) { /* the best score first */
		for (k = 0; k < 4; k++) {
			corners[2 * k] = ns_judged_item(json_array_get(json_object_get(one, "corners"), k), 0);
			corners[2 * k + 1] = ns_judged_item(json_array_get(json_object_get(one, "corners"), k), 1);
		}
		match(c, truths, n, corners);
	}
out:
	free(truths);
	return status;
}

enum ns_status ns_judge_regions(const struct ns_judged *r)
{
	struct regions c = {0, 0, 0, 0};

	NS_TRY(ns_judged_each(r, take_regions, &c));
	json_object_set_new(r->json, "regions", json_integer(c.truths));
	json_object_set_new(r->json, "found", json_integer(c.found));
	json_object_set_new(r->json, "right", json_integer(c.matched));
	ns_judged_put(r->json, "precision", c.found ? (double)c.matched / (double)c.found : NAN);
	ns_judged_put(r->json, "recall", c.truths ? (double)c.matched / (double)c.truths : NAN);
	ns_judged_put(r->json, "f1", c.found + c.truths ? 2 * (double)c.matched / (double)(c.found + c.truths) : NAN);
	ns_judged_put(r->json, "mean_iou", c.matched ? c.iou / (double)c.matched : NAN);
	return NS_OK;
}
