/* host/outputs/suppress.c - of boxes that overlap the best stays: greedy non-maximum suppression, exact. */
#include <stdlib.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"

void ns_detections_release(struct ns_detections *d)
{
	free(d->at);
	*d = (struct ns_detections){NULL, 0, 0};
}

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static double area(const struct ns_detection *a)
{
	return larger(0, (double)a->x1 - (double)a->x0) * larger(0, (double)a->y1 - (double)a->y0);
}

double ns_iou(const struct ns_detection *a, const struct ns_detection *b)
{
	double wide = smaller((double)a->x1, (double)b->x1) - larger((double)a->x0, (double)b->x0);
	double high = smaller((double)a->y1, (double)b->y1) - larger((double)a->y0, (double)b->y0);
	double both = wide > 0 && high > 0 ? wide * high : 0, all = area(a) + area(b) - both;

	return all > 0 ? both / all : 0;
}

struct ranked {
	struct ns_detection box;
	int at;
};

static int by_score(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	if (a->box.score != b->box.score)
		return a->box.score > b->box.score ? -1 : 1;
	return a->at - b->at;
}

enum ns_status ns_suppress(struct ns_detections *d, double iou)
{
	struct ranked *r = malloc(sizeof *r * (size_t)(d->n + 1));
	int i, j, kept = 0;

	if (!r)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d boxes", d->n);
	for (i = 0; i < d->n; i++)
		r[i] = (struct ranked){d->at[i], i};
	qsort(r, (size_t)d->n, sizeof *r, by_score);
	for (i = 0; i < d->n; i++) {
		for (j = 0; j < kept; j++)
			if (d->at[j].cls == r[i].box.cls && ns_iou(&d->at[j], &r[i].box) > iou)
				break;
		if (j == kept)
			d->at[kept++] = r[i].box;
	}
	d->n = kept;
	free(r);
	return NS_OK;
}
