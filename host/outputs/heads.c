/* host/outputs/heads.c - how the tensors of detectors become boxes: a row for each kind of head. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"

#define CANDIDATES 30000 /* boxes above the score that are looked at; suppression compares them in pairs */

struct task { /* what a head is given */
	const struct ns_output *outputs;
	int count, h, w, classes;
	double score;
	struct ns_detections *d;
};

struct ns_head {
	const char *name;
	enum ns_status (*boxes)(const struct task *t);
	int suppresses; /* its boxes overlap */
};

static enum ns_status add(const struct task *t, double x0, double y0, double x1, double y1, double score, int cls)
{
	struct ns_detections *d = t->d;

	if (!isfinite(x0) || !isfinite(y0) || !isfinite(x1) || !isfinite(y1) || !isfinite(score))
		return ns_fail(NS_BAD_DATA, "a box at %g, %g to %g, %g with score %g, expected finite numbers", x0, y0, x1, y1, score);
	if (d->n == CANDIDATES)
		return ns_fail(NS_BAD_DATA, "more than %d boxes of a score of at least %g: a higher one is needed", CANDIDATES, t->score);
	if (d->n == d->room) {
		struct ns_detection *more = realloc(d->at, sizeof *more * (size_t)(2 * d->room + 64));

		if (!more)
			return ns_fail(NS_NO_MEMORY, "out of memory for %d boxes", d->n);
		d->at = more;
		d->room = 2 * d->room + 64;
	}
	d->at[d->n++] = (struct ns_detection){(float)x0, (float)y0, (float)x1, (float)y1, (float)score, cls};
	return NS_OK;
}

static enum ns_status add_middle(const struct task *t, double x, double y, double wide, double high, double score, int cls)
{
	return add(t, x - wide / 2, y - high / 2, x + wide / 2, y + high / 2, score, cls);
}

/* The index of the largest of n that lie `step` apart; the first of equals. */
static int largest(const float *x, int n, int64_t step)
{
	int i, best = 0;

	for (i = 1; i < n; i++)
		if (x[i * step] > x[best * step])
			best = i;
	return best;
}

static const char *shape(const struct ns_box *b, char text[100])
{
	int i, n = 0;

	text[n] = 0;
	for (i = 0; i < b->rank; i++)
		n += snprintf(text + n, 100 - (size_t)n, "%s%lld", i ? ", " : "", (long long)b->dim[i]);
	return text;
}

/* The first output of that many axes after a batch of 1 with these sizes, -1 for any, which is not `other`. */
static const struct ns_output *find_other(const struct task *t, const struct ns_output *other, int rank, int64_t a, int64_t b, int64_t c)
{
	const int64_t wanted[3] = {a, b, c};
	int i, k;

	for (i = 0; i < t->count; i++) {
		const struct ns_box *box = &t->outputs[i].box;
		int fits = box->rank == rank + 1 && box->dim[0] == 1 && &t->outputs[i] != other;

		for (k = 0; fits && k < rank; k++)
			fits = wanted[k] < 0 || wanted[k] == box->dim[k + 1];
		if (fits)
			return &t->outputs[i];
	}
	return NULL;
}

static const struct ns_output *find(const struct task *t, int rank, int64_t a, int64_t b, int64_t c)
{
	return find_other(t, NULL, rank, a, b, c);
}

/* Places (1, A, 4). Where scores are four as well, it is the one that has "box" in its name, or else the first. */
static const struct ns_output *find_places(const struct task *t)
{
	const struct ns_output *first = find(t, 2, -1, 4, -1), *second = first ? find_other(t, first, 2, -1, 4, -1) : NULL;

	return second && strstr(second->name, "box") && !strstr(first->name, "box") ? second : first;
}

static enum ns_status not_there(const struct task *t, const char *wanted)
{
	char all[400] = "", one[100];
	int i;

	for (i = 0; i < t->count && strlen(all) < 280; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s(%s)", i ? ", " : "", shape(&t->outputs[i].box, one));
	return ns_fail(NS_BAD_DATA, "the network gives %s for %dx%d pixels, expected %s with %d classes", all, t->w, t->h, wanted, t->classes);
}

/* --- YOLO --- */

static enum ns_status yolox(const struct task *t)
{
	static const int strides[] = {8, 16, 32};
	int64_t cells = 0;
	const struct ns_output *y;
	const float *p;
	int s, i, j;

	for (s = 0; s < 3; s++)
		cells += (int64_t)(t->h / strides[s]) * (t->w / strides[s]);
	y = find(t, 2, cells, 5 + t->classes, -1);
	if (!y)
		return not_there(t, "(1, cells of 8, 16 and 32 pixels, 5 + classes)");
	p = y->data;
	for (s = 0; s < 3; s++)
		for (i = 0; i < t->h / strides[s]; i++)
			for (j = 0; j < t->w / strides[s]; j++, p += 5 + t->classes) {
				int k = largest(p + 5, t->classes, 1);
				double score = (double)p[4] * (double)p[5 + k];

				if (!(score < t->score))
					NS_TRY(add_middle(t, ((double)p[0] + j) * strides[s], ((double)p[1] + i) * strides[s],
							  exp((double)p[2]) * strides[s], exp((double)p[3]) * strides[s], score, k));
			}
	return NS_OK;
}

static enum ns_status yolov5(const struct task *t)
{
	const struct ns_output *y = find(t, 2, -1, 5 + t->classes, -1);
	int64_t i;

	if (!y)
		return not_there(t, "(1, places, 5 + classes)");
	for (i = 0; i < y->box.dim[1]; i++) {
		const float *p = y->data + i * (5 + t->classes);
		int k = largest(p + 5, t->classes, 1);
		double score = (double)p[4] * (double)p[5 + k];

		if (!(score < t->score))
			NS_TRY(add_middle(t, (double)p[0], (double)p[1], (double)p[2], (double)p[3], score, k));
	}
	return NS_OK;
}

static enum ns_status yolov8(const struct task *t)
{
	const struct ns_output *y = find(t, 2, 4 + t->classes, -1, -1);
	int64_t i, n;

	if (!y)
		return not_there(t, "(1, 4 + classes, places)");
	n = y->box.dim[2];
	for (i = 0; i < n; i++) {
		const float *p = y->data + i;
		int k = largest(p + 4 * n, t->classes, n);
		double score = (double)p[(4 + k) * n];

		if (!(score < t->score))
			NS_TRY(add_middle(t, (double)p[0], (double)p[n], (double)p[2 * n], (double)p[3 * n], score, k));
	}
	return NS_OK;
}

/* --- two tensors: places and classes --- */

static enum ns_status ssd(const struct task *t)
{
	const struct ns_output *boxes = find_places(t), *scores = NULL;
	int64_t i, n = boxes ? boxes->box.dim[1] : 0;
	int background;

	for (background = 1; boxes && !scores && background >= 0; background--) {
		scores = find_other(t, boxes, 2, n, t->classes + background, -1);
		if (scores)
			break;
	}
	if (!scores)
		return not_there(t, "(1, places, 4) and (1, places, classes, perhaps with a background in front)");
	for (i = 0; i < n; i++) {
		const float *p = boxes->data + 4 * i, *s = scores->data + i * (t->classes + background) + background;
		int k = largest(s, t->classes, 1);

		if (!((double)s[k] < t->score))
			NS_TRY(add(t, (double)p[0] * t->w, (double)p[1] * t->h, (double)p[2] * t->w, (double)p[3] * t->h, (double)s[k], k));
	}
	return NS_OK;
}

static enum ns_status detr(const struct task *t)
{
	const struct ns_output *boxes = find_places(t), *logits = boxes ? find_other(t, boxes, 2, boxes->box.dim[1], t->classes + 1, -1) : NULL;
	int64_t i;
	int j;

	if (!logits)
		return not_there(t, "(1, places, 4) and (1, places, classes + 1)");
	for (i = 0; i < boxes->box.dim[1]; i++) {
		const float *p = boxes->data + 4 * i, *z = logits->data + i * (t->classes + 1);
		double sum = 0, top = (double)z[largest(z, t->classes + 1, 1)], score;
		int k = largest(z, t->classes, 1);

		for (j = 0; j <= t->classes; j++)
			sum += exp((double)z[j] - top);
		score = exp((double)z[k] - top) / sum;
		if (!(score < t->score))
			NS_TRY(add_middle(t, (double)p[0] * t->w, (double)p[1] * t->h, (double)p[2] * t->w, (double)p[3] * t->h, score, k));
	}
	return NS_OK;
}

/* --- middles on a grid --- */

static enum ns_status centerface(const struct task *t)
{
	enum { CELL = 4 };
	int64_t h = t->h / CELL, w = t->w / CELL, i, j, plane = h * w;
	const struct ns_output *heat = find(t, 3, t->classes, h, w), *size = NULL, *offset = NULL;
	int k;

	for (k = 0; k < t->count; k++) { /* two are alike: sizes come first */
		const struct ns_output *o = &t->outputs[k];

		if (o == heat || o->box.rank != 4 || o->box.dim[0] != 1 || o->box.dim[1] != 2 || o->box.dim[2] != h || o->box.dim[3] != w)
			continue;
		if (!size)
			size = o;
		else if (!offset)
			offset = o;
	}
	if (!heat || !offset)
		return not_there(t, "(1, classes, h / 4, w / 4), (1, 2, h / 4, w / 4) of sizes, and the same of offsets");
	for (i = 0; i < h; i++)
		for (j = 0; j < w; j++) {
			int64_t at = i * w + j;
			int cls = largest(heat->data + at, t->classes, plane);
			double score = (double)heat->data[cls * plane + at];

			if (score < t->score)
				continue;
			NS_TRY(add_middle(t, ((double)j + (double)offset->data[plane + at] + 0.5) * CELL,
					  ((double)i + (double)offset->data[at] + 0.5) * CELL, exp((double)size->data[plane + at]) * CELL,
					  exp((double)size->data[at]) * CELL, score, cls));
		}
	return NS_OK;
}

static const struct ns_head heads[] = {
	{"yolox", yolox, 1}, {"yolov5", yolov5, 1}, {"yolov8", yolov8, 1}, {"ssd", ssd, 1}, {"detr", detr, 0}, {"centerface", centerface, 1}, {0},
};

const struct ns_head *ns_head_find(const char *name)
{
	const struct ns_head *h = heads;

	while (h->name && strcmp(h->name, name))
		h++;
	return h->name ? h : NULL;
}

const char *ns_head_name(const struct ns_head *head)
{
	return head->name;
}

const char *ns_head_names(void)
{
	return "yolox, yolov5, yolov8, ssd, detr or centerface";
}

enum ns_status ns_detect(const struct ns_head *head, const struct ns_output *outputs, int count, int h, int w, int classes, double score, double iou,
			 struct ns_detections *d)
{
	struct task t = {outputs, count, h, w, classes, score, d};

	*d = (struct ns_detections){NULL, 0, 0};
	if (classes < 1)
		return ns_fail(NS_BAD_DATA, "a detector of no classes");
	NS_TRY(head->boxes(&t));
	return ns_suppress(d, head->suppresses ? iou : 1);
}
