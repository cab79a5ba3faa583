/*
 * kernels/cpu/ks.c - Kolmogorov-Smirnov without sorting. Values are counted in ordered buckets, so that both distribution functions
 * are known exactly at every bucket's edge. Within a bucket of a reference rows and c current rows the difference is largest if all a
 * come before all c, or all c before all a. Only buckets whose bound reaches the largest difference so far are split, recursively, by
 * the same method. Differences are integers, |i n - j m|, so the order of the search does not matter: the result is that of sorting,
 * to the last bit.
 */
#include <stdlib.h>

#include "kernels/cpu/cpu.h"
#include "kernels/formula/sort.h"

#define BUCKETS 32768	      /* at most: their counts stay in the level 2 cache */
#define FEW	48	      /* parts of at most so many rows are sorted */
#define PENDING (2 * BUCKETS) /* capacity of the stack; a part with more buckets than fit is sorted */
#define STRIPE	1024	      /* values whose buckets are computed in one vectorised loop */

struct count {
	int32_t x, y;
};

/* rows of both in one bucket, and how many rows precede it; `at`: offset of its values in its area */
struct part {
	int64_t m, n, i, j, at;
	int area;
};

struct search {
	int64_t m, n, most; /* rows of both; largest |i n - j m| so far */
	double best;
	float *area[2];	      /* (m + n) each: a part in one is split into the other */
	struct count *count;  /* (BUCKETS) */
	int64_t *place;	      /* (BUCKETS): where the next value of each bucket that is split goes; -1: not split */
	struct part *pending; /* (PENDING) */
	int waiting;
};

/* A group of ties ends where the distribution functions are i / m and j / n: keep the largest difference. */
static void keep_largest(struct search *s, int64_t i, int64_t j)
{
	int64_t apart = llabs(i * s->n - j * s->m);

	if (apart < s->most)
		return;
	s->most = apart;
	s->best = fmax(s->best, fabs((double)i / (double)s->m - (double)j / (double)s->n));
}

/* Could the difference within this bucket reach the largest so far? */
static int may_reach(const struct search *s, int64_t i, int64_t j, int64_t a, int64_t c)
{
	int64_t apart = i * s->n - j * s->m;

	return a && c && (apart + a * s->n >= s->most || c * s->m - apart >= s->most);
}

static void merge(struct search *s, const uint32_t *x, int64_t m, const uint32_t *y, int64_t n, int64_t i0, int64_t j0)
{
	int64_t i = 0, j = 0;

	while (i < m && j < n) {
		uint32_t v = x[i] <= y[j] ? x[i] : y[j];

		while (i < m && x[i] == v)
			i++;
		while (j < n && y[j] == v)
			j++;
		keep_largest(s, i0 + i, j0 + j);
	}
}

static void insert(uint32_t *x, int64_t n)
{
	int64_t i, j;

	for (i = 1; i < n; i++) {
		uint32_t v = x[i];

		for (j = i; j > 0 && x[j - 1] > v; j--)
			x[j] = x[j - 1];
		x[j] = v;
	}
}

static void keys(uint32_t *to, const float *x, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++)
		to[i] = ns_float_key(x[i]);
}

static void by_few(struct search *s, const float *x, int64_t m, const float *y, int64_t n, int64_t i0, int64_t j0)
{
	uint32_t a[FEW];

	keys(a, x, m);
	keys(a + m, y, n);
	insert(a, m);
	insert(a + m, n);
	merge(s, a, m, a + m, n, i0, j0);
}

/* For parts with values that are not finite, and where the stack of pending parts is full. */
static enum ns_status by_sorting(struct search *s, const float *x, int64_t m, const float *y, int64_t n, int64_t i0, int64_t j0)
{
	uint32_t *a = malloc(sizeof *a * 2 * (size_t)(m + n)), *b = a + 2 * m;

	if (!a)
		return ns_fail(NS_NO_MEMORY, "out of memory for sorting %lld values", (long long)(m + n));
	keys(a, x, m);
	keys(b, y, n);
	merge(s, ns_sort_keys(a, a + m, m), m, ns_sort_keys(b, b + n, n), n, i0, j0);
	free(a);
	return NS_OK;
}

/* Buckets of equal width or, if these would put most values into a few, of equal numbers of floats (almost a logarithmic scale). */
struct grid {
	float low, scale;
	uint32_t low_key;
	int by_key, shift, buckets;
};

/* Extends [low, high] by the values; returns whether all are finite. */
static int range(const float *x, int64_t n, float *low, float *high)
{
	uint32_t size = 0;
	float l = *low, h = *high;
	int64_t i;

#pragma omp simd reduction(max : size, h) reduction(min : l)
	for (i = 0; i < n; i++) {
		uint32_t u = ns_bits_of_f32(x[i]) & 0x7fffffffu;

		size = u > size ? u : size;
		l = x[i] < l ? x[i] : l;
		h = x[i] > h ? x[i] : h;
	}
	*low = l;
	*high = h;
	return size < 0x7f800000u;
}

/* Subtraction and multiplication round monotonically: a larger value is never in an earlier bucket. */
static void buckets_of(const struct grid *g, const float *x, int n, int32_t *of)
{
	int i;

	if (!g->by_key) {
#pragma omp simd
		for (i = 0; i < n; i++)
			of[i] = (int32_t)((x[i] - g->low) * g->scale);
		return;
	}
#pragma omp simd
	for (i = 0; i < n; i++)
		of[i] = (int32_t)((ns_float_key(x[i]) - g->low_key) >> g->shift);
}

#define SAMPLE 512

/* How many pairs of a sample of 512 values share one of 512 sections of the grid. */
static int64_t crowded(const struct grid *g, const float *x, int64_t n)
{
	int32_t of[SAMPLE], count[SAMPLE + 1] = {0};
	float sample[SAMPLE];
	int64_t pairs = 0;
	int i;

	for (i = 0; i < SAMPLE; i++)
		sample[i] = x[i * n / SAMPLE];
	buckets_of(g, sample, SAMPLE, of);
	for (i = 0; i < SAMPLE; i++)
		pairs += count[(int64_t)of[i] * SAMPLE / g->buckets]++;
	return pairs;
}

/* Equal widths are used only if the width is finite and a sample spreads at least as well over them. */
static void lay_grid(struct grid *g, const struct part *p, const float *x, float low, float high)
{
	uint32_t keys = ns_float_key(high) - ns_float_key(low);
	int64_t all = p->m + p->n;
	struct grid other;

	g->buckets = all / 16 < BUCKETS ? (int)(all / 16) + 2 : BUCKETS;
	g->low = low;
	g->scale = (float)(g->buckets - 1) / (high - low);
	g->low_key = ns_float_key(low);
	g->by_key = 0;
	other = *g;
	other.by_key = 1;
	for (other.shift = 0; keys >> other.shift >= (uint32_t)g->buckets;)
		other.shift++;
	if (!isfinite(high - low) || !isfinite(g->scale) || (p->m >= SAMPLE && crowded(&other, x, p->m) < crowded(g, x, p->m)))
		*g = other;
}

/* `count` points to the first bucket's x or y; the next bucket's is two further. */
static void count_values(int32_t *count, const struct grid *g, const float *x, int64_t n)
{
	int32_t of[STRIPE];
	int64_t first;
	int i, k;

	for (first = 0; first < n; first += STRIPE) {
		k = n - first < STRIPE ? (int)(n - first) : STRIPE;
		buckets_of(g, x + first, k, of);
		for (i = 0; i < k; i++)
			count[2 * of[i]]++;
	}
}

/* Moves the values of the buckets that are split to their new parts. */
static void move(struct search *s, const struct grid *g, const float *x, int64_t n, float *to)
{
	int32_t of[STRIPE];
	int64_t first;
	int i, k;

	for (first = 0; first < n; first += STRIPE) {
		k = n - first < STRIPE ? (int)(n - first) : STRIPE;
		buckets_of(g, x + first, k, of);
		for (i = 0; i < k; i++)
			if (s->place[of[i]] >= 0)
				to[s->place[of[i]]++] = x[first + i];
	}
}

/* All edges are evaluated before any bucket is split: the larger the difference so far, the fewer buckets may reach it. */
static void evaluate_edges(struct search *s, const struct grid *g, int64_t i, int64_t j)
{
	int b;

	for (b = 0; b < g->buckets; b++)
		if (s->count[b].x | s->count[b].y) {
			i += s->count[b].x;
			j += s->count[b].y;
			keep_largest(s, i, j);
		}
}

/* Pushes a part for each bucket that may reach the largest difference, x then y in the other area; returns 0 if the stack is full. */
static int split_part(struct search *s, const struct grid *g, const struct part *p, const float *x, const float *y)
{
	int64_t i = p->i, j = p->j, at = p->at;
	float *to = s->area[!p->area];
	int b, first = s->waiting;

	for (b = 0; b < g->buckets; b++) {
		int64_t a = s->count[b].x, c = s->count[b].y;

		s->place[b] = -1;
		if (may_reach(s, i, j, a, c)) {
			if (s->waiting == PENDING) {
				s->waiting = first;
				return 0;
			}
			s->pending[s->waiting++] = (struct part){a, c, i, j, at, !p->area};
			s->place[b] = at;
			at += a + c;
		}
		i += a;
		j += c;
	}
	if (s->waiting == first)
		return 1;
	move(s, g, x, p->m, to); /* afterwards each place is where its bucket's y begin */
	move(s, g, y, p->n, to);
	return 1;
}

static enum ns_status search_part(struct search *s, const struct part *p, const float *x, const float *y)
{
	int64_t all = p->m + p->n;
	float low = x[0], high = x[0];
	struct grid g;
	int finite;

	if (all <= FEW) {
		by_few(s, x, p->m, y, p->n, p->i, p->j);
		return NS_OK;
	}
	finite = range(x, p->m, &low, &high) & range(y, p->n, &low, &high);
	if (finite && low == high) { /* one group of ties: only its end counts */
		keep_largest(s, p->i + p->m, p->j + p->n);
		return NS_OK;
	}
	if (!finite)
		return by_sorting(s, x, p->m, y, p->n, p->i, p->j);
	lay_grid(&g, p, x, low, high);
	memset(s->count, 0, sizeof *s->count * (size_t)g.buckets);
	count_values(&s->count->x, &g, x, p->m);
	count_values(&s->count->y, &g, y, p->n);
	evaluate_edges(s, &g, p->i, p->j);
	return split_part(s, &g, p, x, y) ? NS_OK : by_sorting(s, x, p->m, y, p->n, p->i, p->j);
}

static size_t carve(struct search *s, const struct ns_op_ks *v, void *base)
{
	size_t all = (size_t)(v->m + v->n), at = 0;
	char *b = base;

	s->pending = (struct part *)(void *)b;
	at += PENDING * sizeof *s->pending;
	s->place = (int64_t *)(void *)(b + at);
	at += BUCKETS * sizeof *s->place;
	s->count = (struct count *)(void *)(b + at);
	at += BUCKETS * sizeof *s->count;
	s->area[0] = (float *)(void *)(b + at); /* its pages are touched only as far as buckets are split */
	at += all * sizeof(float);
	s->area[1] = (float *)(void *)(b + at);
	return at + all * sizeof(float);
}

static enum ns_status one_column(struct search *s, const float *x, const float *y, double *d)
{
	struct part whole = {s->m, s->n, 0, 0, 0, 1};

	s->most = 0;
	s->best = 0;
	s->waiting = 0;
	NS_TRY(search_part(s, &whole, x, y));
	while (s->waiting) {
		struct part p = s->pending[--s->waiting];
		const float *values = s->area[p.area] + p.at;

		if (may_reach(s, p.i, p.j, p.m, p.n))
			NS_TRY(search_part(s, &p, values, values + p.m));
	}
	*d = s->best;
	return NS_OK;
}

static const float *column(const float *x, int64_t n, int stride, float *scratch)
{
	int64_t i;

	if (stride == 1)
		return x;
	for (i = 0; i < n; i++)
		scratch[i] = x[i * stride];
	return scratch;
}

static enum ns_status ks_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_ks *v = &ns_cpu_op(plan)->u.ks;
	struct search s = {.m = v->m, .n = v->n};
	float *scratch = (float *)(void *)((char *)a->workspace + carve(&s, v, a->workspace));
	int c;

	(void)queue;
	for (c = 0; c < v->d; c++) {
		const float *x = column((const float *)a->in[NS_KS_REF] + c, v->m, v->d, scratch);
		const float *y = column((const float *)a->in[NS_KS_CUR] + c, v->n, v->d, scratch + v->m);

		NS_TRY(one_column(&s, x, y, (double *)a->out[NS_KS_D] + c));
	}
	return NS_OK;
}

static enum ns_status make_ks(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_ks *v = &op->u.ks;
	struct search s;

	(void)dev;
	if (v->m >= 1LL << 31 || v->n >= 1LL << 31) /* i n - j m could overflow 64 bits */
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, carve(&s, v, NULL) + (v->d > 1 ? sizeof(float) * (size_t)(v->m + v->n) : 0), ks_run);
}

const struct ns_impl ns_cpu_ks = {"ks/cpu", NS_OP_KS, make_ks};
