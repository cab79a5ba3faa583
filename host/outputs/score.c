/*
 * host/outputs/score.c - how good answers are: average precision as COCO counts it, and edits between texts. Source of the first: pycocotools' cocoeval.py, whose
 * order of ties and whose handling of what is ignored are kept, so that the figures are the same.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"

enum { LEVELS = 10, AREAS = 4, POINTS = 101, FOUND_MOST = 100 };
static const double area_low[AREAS] = {0, 0, 32 * 32, 96 * 96}, area_high[AREAS] = {1e10, 32 * 32, 96 * 96, 1e10};

/* one box that was found: its score, and at each level whether it is right, or does not count */
struct verdict {
	double score;
	int64_t at; /* order of images, and in each of scores */
	unsigned char right[LEVELS], ignored[LEVELS];
};

struct tally { /* of one class and range of areas */
	struct verdict *of;
	int64_t n, room, truths; /* truths: that count */
};

/* Share of the union, or where the truth is a crowd, of what was found. */
static double overlap(const struct ns_detection *d, const struct ns_truth *t)
{
	double w = fmin((double)d->x1, t->x1) - fmax((double)d->x0, t->x0), h = fmin((double)d->y1, t->y1) - fmax((double)d->y0, t->y0);
	double both = w > 0 && h > 0 ? w * h : 0, mine = ((double)d->x1 - (double)d->x0) * ((double)d->y1 - (double)d->y0);
	double all = t->crowd ? mine : mine + (t->x1 - t->x0) * (t->y1 - t->y0) - both;

	return all > 0 ? both / all : 0;
}

static int by_score(const void *x, const void *y)
{
	const struct verdict *a = x, *b = y;

	if (a->score != b->score)
		return a->score > b->score ? -1 : 1;
	return (a->at > b->at) - (a->at < b->at);
}

/* Of one image and class: boxes best first, truths with those that count first. */
struct pairing {
	const struct ns_detection *found[FOUND_MOST];
	const struct ns_truth **truth;
	unsigned char *ignored, *taken;
	int n, truths;
};

/* COCO's choice: each box in turn takes the truth that it overlaps most, one that counts before one that is ignored. */
static int match(const struct pairing *p, int d, double level)
{
	double best = fmin(level, 1 - 1e-10);
	int g, m = -1;

	for (g = 0; g < p->truths; g++) {
		double iou;

		if (p->taken[g] && !p->truth[g]->crowd)
			continue;
		if (m >= 0 && !p->ignored[m] && p->ignored[g])
			break;
		iou = overlap(p->found[d], p->truth[g]);
		if (iou < best)
			continue;
		best = iou;
		m = g;
	}
	return m;
}

static enum ns_status add(struct tally *t, const struct pairing *p, int area, int64_t *at)
{
	int d, level, m;

	if (t->n + p->n > t->room) {
		int64_t room = 2 * (t->n + p->n) + 64;
		struct verdict *more = realloc(t->of, sizeof *more * (size_t)room);

		if (!more)
			return ns_fail(NS_NO_MEMORY, "out of memory for %lld boxes", (long long)room);
		t->of = more;
		t->room = room;
	}
	for (d = 0; d < p->n; d++)
		t->of[t->n + d] = (struct verdict){.score = (double)p->found[d]->score, .at = (*at)++};
	for (level = 0; level < LEVELS; level++) {
		memset(p->taken, 0, (size_t)p->truths);
		for (d = 0; d < p->n; d++) {
			struct verdict *v = &t->of[t->n + d];
			const struct ns_detection *b = p->found[d];
			double size = ((double)b->x1 - (double)b->x0) * ((double)b->y1 - (double)b->y0);

			m = match(p, d, .5 + .05 * level);
			if (m >= 0)
				p->taken[m] = 1;
			v->right[level] = m >= 0;
			v->ignored[level] = m >= 0 ? p->ignored[m] : size < area_low[area] || size > area_high[area];
		}
	}
	t->n += p->n;
	return NS_OK;
}

/* The truths of a class, those that count before those that are ignored: crowds, and sizes beyond the range. */
static int choose_truths(struct pairing *p, const struct ns_scored_image *image, int cls, int area)
{
	int pass, i, counting = 0;

	p->truths = 0;
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < image->truths; i++) {
			const struct ns_truth *t = &image->truth[i];
			int ignored = t->crowd || t->area < area_low[area] || t->area > area_high[area];

			if (t->cls != cls || ignored != pass)
				continue;
			p->ignored[p->truths] = (unsigned char)ignored;
			p->truth[p->truths++] = t;
			counting += !ignored;
		}
	return counting;
}

/* Mean precision over 101 shares of recall, each the best at that share and beyond; *recall: of all. */
static double precision(const struct tally *t, int level, double *recall)
{
	double right = 0, wrong = 0, sum = 0, *at = calloc((size_t)t->n + 1, sizeof *at), *of = calloc((size_t)t->n + 1, sizeof *of);
	int64_t i, n = 0, k = 0;
	int point;

	if (!at || !of) {
		free(at);
		free(of);
		return -1;
	}
	for (i = 0; i < t->n; i++) {
		const struct verdict *v = &t->of[i];

		right += v->right[level] && !v->ignored[level];
		wrong += !v->right[level] && !v->ignored[level];
		at[n] = right / (double)t->truths;
		of[n++] = right / (right + wrong + 2.220446049250313e-16);
	}
	*recall = n ? at[n - 1] : 0;
	for (i = n - 1; i > 0; i--)
		of[i - 1] = fmax(of[i - 1], of[i]);
	for (point = 0; point < POINTS; point++) {
		while (k < n && at[k] < point * .01)
			k++;
		sum += k < n ? of[k] : 0;
	}
	free(at);
	free(of);
	return sum / POINTS;
}

struct sums { /* over classes that have truths */
	double ap, ap50, ap75, recall;
	int classes;
};

static enum ns_status class_of_area(const struct ns_scored_image *images, int64_t n, int cls, int area, struct pairing *p, struct sums *s, double *ap)
{
	struct tally t = {NULL, 0, 0, 0};
	enum ns_status status = NS_OK;
	int64_t i, order = 0;
	double one, recall, recalls = 0;
	int level, k;

	*ap = NAN;
	for (i = 0; status == NS_OK && i < n; i++) {
		p->n = 0;
		for (k = 0; k < images[i].n && p->n < FOUND_MOST; k++)
			if (images[i].found[k].cls == cls)
				p->found[p->n++] = &images[i].found[k];
		t.truths += choose_truths(p, &images[i], cls, area);
		if (p->n || p->truths)
			status = add(&t, p, area, &order);
	}
	if (status == NS_OK && t.truths) {
		if (t.n)
			qsort(t.of, (size_t)t.n, sizeof *t.of, by_score);
		for (level = 0, *ap = 0; level < LEVELS && status == NS_OK; level++) {
			one = precision(&t, level, &recall);
			if (one < 0)
				status = ns_fail(NS_NO_MEMORY, "out of memory for %lld boxes", (long long)t.n);
			*ap += one / LEVELS;
			recalls += recall / LEVELS;
			s->ap50 += level == 0 ? one : 0;
			s->ap75 += level == 5 ? one : 0;
		}
		s->ap += *ap;
		s->recall += recalls;
		s->classes++;
	}
	free(t.of);
	return status;
}

enum ns_status ns_average_precision(const struct ns_scored_image *images, int64_t n, int classes, struct ns_average_precision *out, double *by_class)
{
	struct pairing p = {.n = 0};
	struct sums sums[AREAS] = {{0}};
	enum ns_status status;
	double ap;
	int64_t i;
	int most = 1, cls, area;

	for (i = 0; i < n; i++)
		most = images[i].truths > most ? images[i].truths : most;
	p.truth = calloc((size_t)most, sizeof(void *));
	p.ignored = calloc((size_t)most, 1);
	p.taken = calloc((size_t)most, 1);
	NS_GO(p.truth && p.ignored && p.taken ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d boxes", most));
	for (cls = 0; cls < classes; cls++)
		for (area = 0; area < AREAS; area++) {
			NS_GO(class_of_area(images, n, cls, area, &p, &sums[area], &ap));
			if (area == 0 && by_class)
				by_class[cls] = ap;
		}
	*out = (struct ns_average_precision){sums[0].ap / sums[0].classes,    sums[0].ap50 / sums[0].classes, sums[0].ap75 / sums[0].classes,
					     sums[1].ap / sums[1].classes,    sums[2].ap / sums[2].classes,   sums[3].ap / sums[3].classes,
					     sums[0].recall / sums[0].classes};
	status = NS_OK;
out:
	free(p.truth);
	free(p.ignored);
	free(p.taken);
	return status;
}

/* --- texts --- */

/* Code points of UTF-8, which is valid here as JSON holds nothing else; returns how many. */
static int code_points(const char *text, uint32_t *out)
{
	int n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c & 0xc0) == 0x80 && n)
			out[n - 1] = out[n - 1] << 6 | (c & 0x3f);
		else
			out[n++] = c < 0x80 ? c : c < 0xe0 ? c & 0x1f : c < 0xf0 ? c & 0x0f : c & 0x07;
	}
	return n;
}

int ns_edits(const char *a, const char *b, int *length)
{
	size_t bytes = strlen(a) + strlen(b) + 2;
	uint32_t *x = malloc(sizeof *x * bytes), *y = malloc(sizeof *y * bytes);
	int *row = malloc(sizeof *row * bytes), i, j, n, m, corner, above, least;

	if (!x || !y || !row) {
		free(x);
		free(y);
		free(row);
		return -1;
	}
	n = code_points(a, x);
	m = *length = code_points(b, y);
	for (j = 0; j <= m; j++)
		row[j] = j;
	for (i = 1; i <= n; i++) {
		corner = row[0];
		row[0] = i;
		for (j = 1; j <= m; j++) {
			above = row[j];
			least = corner + (x[i - 1] != y[j - 1]);
			least = above + 1 < least ? above + 1 : least;
			row[j] = row[j - 1] + 1 < least ? row[j - 1] + 1 : least;
			corner = above;
		}
	}
	n = row[m];
	free(x);
	free(y);
	free(row);
	return n;
}
