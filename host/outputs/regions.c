/* host/outputs/regions.c - rectangles around connected pixels of a map of probabilities: differentiable binarisation's last step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"

#define LEAST_SIDE 3.0

struct point {
	double x, y;
};

struct map {
	const float *p;
	int h, w;
	unsigned char *seen;
	int *stack;		   /* pixels */
	struct point *edge, *hull; /* of one component: its pixels at either end of a row; its convex hull */
	int edges, hulls;
};

static int is_in(const struct map *m, int y, int x)
{
	return y >= 0 && y < m->h && x >= 0 && x < m->w && m->p[(int64_t)y * m->w + x] > (float)NS_REGION_LEVEL;
}

/* Marks the pixels that hang together with `start`, eight ways, and keeps those on the left or right of which there is none. */
static void flood(struct map *m, int start)
{
	int depth = 0, dy, dx;

	m->edges = 0;
	m->stack[depth++] = start;
	m->seen[start] = 1;
	while (depth) {
		int at = m->stack[--depth], y = at / m->w, x = at % m->w;

		if (!is_in(m, y, x - 1) || !is_in(m, y, x + 1))
			m->edge[m->edges++] = (struct point){x, y};
		for (dy = -1; dy <= 1; dy++)
			for (dx = -1; dx <= 1; dx++) {
				int next = at + dy * m->w + dx;

				if (is_in(m, y + dy, x + dx) && !m->seen[next]) {
					m->seen[next] = 1;
					m->stack[depth++] = next;
				}
			}
	}
}

static int by_place(const void *a, const void *b)
{
	const struct point *p = a, *q = b;

	if (p->x != q->x)
		return p->x < q->x ? -1 : 1;
	return (p->y > q->y) - (p->y < q->y);
}

static double cross(const struct point *o, const struct point *a, const struct point *b)
{
	return (a->x - o->x) * (b->y - o->y) - (a->y - o->y) * (b->x - o->x);
}

/* Andrew's monotone chain */
static void convex_hull(struct map *m)
{
	int i, n = 0, lower;

	qsort(m->edge, (size_t)m->edges, sizeof *m->edge, by_place);
	for (i = 0; i < m->edges; i++) {
		while (n >= 2 && cross(&m->hull[n - 2], &m->hull[n - 1], &m->edge[i]) <= 0)
			n--;
		m->hull[n++] = m->edge[i];
	}
	for (lower = n + 1, i = m->edges - 2; i >= 0; i--) {
		while (n >= lower && cross(&m->hull[n - 2], &m->hull[n - 1], &m->edge[i]) <= 0)
			n--;
		m->hull[n++] = m->edge[i];
	}
	m->hulls = n > 1 ? n - 1 : n;
}

/* A rectangle that may be turned: its middle, the direction of its first side (of length 1), its sides. */
struct rectangle {
	double x, y, ux, uy, wide, high;
};

/* The smallest one has a side along the hull. */
static struct rectangle smallest(const struct map *m)
{
	struct rectangle best = {m->hull[0].x, m->hull[0].y, 1, 0, 0, 0};
	double least = INFINITY;
	int i, k;

	for (i = 0; i < m->hulls && m->hulls > 1; i++) {
		const struct point *a = &m->hull[i], *b = &m->hull[(i + 1) % m->hulls];
		double length = hypot(b->x - a->x, b->y - a->y), ux = (b->x - a->x) / length, uy = (b->y - a->y) / length;
		double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};

		for (k = 0; k < m->hulls; k++) {
			double along = m->hull[k].x * ux + m->hull[k].y * uy, away = -m->hull[k].x * uy + m->hull[k].y * ux;

			low[0] = fmin(low[0], along);
			high[0] = fmax(high[0], along);
			low[1] = fmin(low[1], away);
			high[1] = fmax(high[1], away);
		}
		if ((high[0] - low[0]) * (high[1] - low[1]) < least - 1e-9) {
			double along = (low[0] + high[0]) / 2, away = (low[1] + high[1]) / 2;

			least = (high[0] - low[0]) * (high[1] - low[1]);
			best = (struct rectangle){along * ux - away * uy, along * uy + away * ux, ux, uy, high[0] - low[0], high[1] - low[1]};
		}
	}
	return best;
}

/* The first side points to the right, and down by at most 45 degrees. Sides go from the middle of a pixel to that of another, as those do who made the rule. */
static struct rectangle upright(struct rectangle r)
{
	int turns;

	for (turns = 0; turns < 4 && !(r.ux > 0 && r.uy > -r.ux && r.uy <= r.ux); turns++) {
		double ux = r.ux, wide = r.wide;

		r.ux = -r.uy;
		r.uy = ux;
		r.wide = r.high;
		r.high = wide;
	}
	r.x += .5;
	r.y += .5;
	return r;
}

static void corners(const struct rectangle *r, struct ns_region *out)
{
	static const int signs[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
	int k;

	for (k = 0; k < 4; k++) {
		double a = signs[k][0] * r->wide / 2, b = signs[k][1] * r->high / 2;

		out->x[k] = r->x + a * r->ux - b * r->uy;
		out->y[k] = r->y + a * r->uy + b * r->ux;
	}
}

/* Mean probability of the pixels whose middles lie inside. */
static double score_of(const struct map *m, const struct rectangle *r)
{
	double reach = hypot(r->wide, r->high) / 2, sum = 0;
	int y, x, n = 0;

	for (y = (int)fmax(0, floor(r->y - reach)); y < m->h && y <= r->y + reach; y++)
		for (x = (int)fmax(0, floor(r->x - reach)); x < m->w && x <= r->x + reach; x++) {
			double dx = x + .5 - r->x, dy = y + .5 - r->y;

			if (fabs(dx * r->ux + dy * r->uy) > r->wide / 2 || fabs(-dx * r->uy + dy * r->ux) > r->high / 2)
				continue;
			sum += (double)m->p[(int64_t)y * m->w + x];
			n++;
		}
	return n ? sum / n : 0;
}

static enum ns_status add(struct ns_region **list, int *n, const struct ns_region *r)
{
	struct ns_region *more = realloc(*list, sizeof *more * (size_t)(*n + 1));

	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d regions", *n);
	*list = more;
	more[(*n)++] = *r;
	return NS_OK;
}

static enum ns_status one_region(struct map *m, double score, struct ns_region **list, int *n)
{
	struct ns_region region;
	struct rectangle r;
	double grow;

	convex_hull(m);
	r = upright(smallest(m));
	if (fmin(r.wide, r.high) < LEAST_SIDE)
		return NS_OK;
	region.score = score_of(m, &r);
	if (region.score < score)
		return NS_OK;
	grow = r.wide * r.high * NS_REGION_GROW / (2 * (r.wide + r.high));
	r.wide += 2 * grow;
	r.high += 2 * grow;
	corners(&r, &region);
	return add(list, n, &region);
}

enum ns_status ns_regions(const float *p, int h, int w, double score, struct ns_region **regions, int *n)
{
	const size_t pixels = (size_t)h * (size_t)w;
	struct map m = {p,
			h,
			w,
			calloc(pixels, 1),
			malloc(pixels * sizeof *m.stack),
			malloc((pixels + 1) * sizeof *m.edge),
			malloc((2 * pixels + 2) * sizeof *m.hull),
			0,
			0};
	enum ns_status status =
		m.seen && m.stack && m.edge && m.hull ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for regions of %dx%d pixels", w, h);
	int i;

	*regions = NULL;
	*n = 0;
	for (i = 0; status == NS_OK && i < (int)pixels; i++) {
		if (!(p[i] >= 0 && p[i] <= 1))
			status = ns_fail(NS_BAD_DATA, "pixel %d of the map of text is %g, expected a probability", i, (double)p[i]);
		if (status != NS_OK || m.seen[i] || !is_in(&m, i / w, i % w))
			continue;
		flood(&m, i);
		status = one_region(&m, score, regions, n);
	}
	free(m.seen);
	free(m.stack);
	free(m.edge);
	free(m.hull);
	return status;
}
