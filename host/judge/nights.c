/*
 * host/judge/nights.c - tonight among the nights. Names follow docs/judgement.md: mu, the centre; b, weekdays; rho and phi, memory from night to night;
 * v, the variance of a column; nu, its degrees of freedom.
 */
#include "host/judge/nights_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"

#define WAIT_LESS 3 /* nights until one enters the usual, so that a lasting change is not learnt before it is seen */
#define WAIT_MOST 28
#define FLOOR	  .1 /* of a distance that may alarm */

static const double lambda[AVERAGES] = {1, .3, .1};

static enum ns_status no_memory(void)
{
	return ns_fail(NS_NO_MEMORY, "out of memory for the judgement of nights");
}

static void list_release(struct ns_nights_list *l)
{
	int i;

	for (i = 0; i < l->count; i++)
		free(l->night[i].x);
	free(l->night);
	memset(l, 0, sizeof *l);
}

void ns_nights_free(struct ns_nights *n)
{
	int i;

	if (!n)
		return;
	list_release(&n->usual);
	list_release(&n->waiting);
	for (i = 0; i < n->recent_count; i++)
		free(n->recent[i]);
	for (i = 0; i < NS_JUDGE_FAMILIES; i++)
		free(n->chol[i]);
	free(n->old);
	free(n->fresh);
	free(n->mu);
	free(n);
}

enum ns_status ns_nights_make(struct ns_nights **out, const struct ns_nights_config *config)
{
	struct ns_nights *n = *out = calloc(1, sizeof *n);
	int i;

	if (!n)
		return no_memory();
	n->of = *config;
	for (i = 0; i < config->families; i++) {
		if (config->columns[i] < 1 || config->columns[i] > NS_JUDGE_COLUMNS)
			return ns_fail(NS_INVALID, "a family of %d columns; 1 to %d are taken", config->columns[i], NS_JUDGE_COLUMNS);
		n->k += config->columns[i];
		n->chol[i] = calloc((size_t)config->columns[i] * (size_t)config->columns[i] + 1, sizeof(double));
		if (!n->chol[i])
			return no_memory();
	}
	n->opening = !config->dated;
	n->mu = calloc((size_t)n->k * (7 + 14 + AVERAGES) + 1, sizeof(double));
	n->fresh = calloc((size_t)n->k + 1, 1);
	if (!n->mu || !n->fresh)
		return no_memory();
	n->rho = n->mu + n->k;
	n->phi = n->rho + n->k;
	n->v = n->phi + n->k;
	n->last = n->v + n->k;
	n->known = n->last + n->k;
	n->pool = n->known + n->k;
	n->b = n->pool + n->k;
	n->kept = n->b + 7 * n->k;
	n->e = n->kept + 7 * n->k;
	for (i = 0; i < n->k; i++)
		n->pool[i] = 1;
	return NS_OK;
}

static enum ns_status list_add(struct ns_nights_list *l, const double *x, int k, int weekday, int quiet)
{
	double *copy = malloc(sizeof *copy * ((size_t)k + 1));
	struct ns_nights_night *more;

	if (l->count == l->capacity) {
		l->capacity = l->capacity ? 2 * l->capacity : 64;
		more = realloc(l->night, sizeof *more * (size_t)l->capacity);
		if (!more) {
			free(copy);
			return no_memory();
		}
		l->night = more;
	}
	if (!copy)
		return no_memory();
	memcpy(copy, x, sizeof *copy * (size_t)k);
	l->night[l->count++] = (struct ns_nights_night){copy, weekday, quiet};
	return NS_OK;
}

/* The first n nights are gone. */
static void list_drop(struct ns_nights_list *l, int n)
{
	int i;

	for (i = 0; i < n; i++)
		free(l->night[i].x);
	memmove(l->night, l->night + n, sizeof *l->night * (size_t)(l->count - n));
	l->count -= n;
}

enum ns_status ns_nights_learn(struct ns_nights *n, const double *x, int weekday)
{
	return list_add(&n->usual, x, n->k, weekday, 1);
}

/* --- judge: tonight against it --- */

/* z' R^-1 z, by solving L y = z */
static double distance(const double *l, int d, const double *z)
{
	double y[NS_JUDGE_COLUMNS], sum = 0;
	int i, t;

	for (i = 0; i < d; i++) {
		y[i] = z[i];
		for (t = 0; t < i; t++)
			y[i] -= l[i * d + t] * y[t];
		y[i] /= l[i * d + i];
		sum += y[i] * y[i];
	}
	return sum;
}

static double level_of(const struct ns_nights *n)
{
	return n->of.budget / 365 / (n->of.families * NS_JUDGE_MEMORIES);
}

/* Tests a family at one memory: x is the distance of each column, sd its deviation. */
static void test(const struct ns_nights *n, int f, int first, int memory, const double *x, const double *sd, const double *size,
		 struct ns_nights_verdict *out)
{
	int d = n->of.columns[f], j;
	double z[NS_JUDGE_COLUMNS], most = 0, q, p;

	for (j = 0; j < d; j++) {
		z[j] = isnan(x[first + j]) ? 0 : x[first + j] / sd[first + j];
		most = fmax(most, !size || isnan(size[first + j]) ? 0 : fabs(size[first + j]));
	}
	q = distance(n->chol[f], d, z);
	p = ns_stat_f_sf(q / d, d, n->df[f][memory == NS_JUDGE_STEP]);
	if (memory == NS_JUDGE_TONIGHT && size)
		out->q[f] = q;
	if (isnan(out->p[f][memory]) || p < out->p[f][memory])
		out->p[f][memory] = p;
	if (p < out->level && (!size || most >= FLOOR)) {
		out->alarm = 1;
		out->families |= 1u << f;
	}
}

static void test_all(const struct ns_nights *n, int memory, const double *x, const double *sd, const double *size, struct ns_nights_verdict *out)
{
	int f, first = 0;

	for (f = 0; f < n->of.families; first += n->of.columns[f++])
		test(n, f, first, memory, x, sd, size, out);
}

static enum ns_status remember(struct ns_nights *n, const double *x, int weekday, int quiet)
{
	double *copy = malloc(sizeof *copy * ((size_t)n->k + 1));
	int wait;

	if (!copy)
		return no_memory();
	memcpy(copy, x, sizeof *copy * (size_t)n->k);
	if (n->recent_count == RECENT) {
		free(n->recent[0]);
		memmove(n->recent, n->recent + 1, sizeof *n->recent * (RECENT - 1));
		memmove(n->recent_weekday, n->recent_weekday + 1, sizeof *n->recent_weekday * (RECENT - 1));
		n->recent_count--;
	}
	n->recent[n->recent_count] = copy;
	n->recent_weekday[n->recent_count++] = weekday;
	NS_TRY(list_add(&n->waiting, x, n->k, weekday, quiet));
	n->t++;
	n->since++;
	wait = (int)(n->t / 3);
	wait = wait < WAIT_LESS ? WAIT_LESS : wait > WAIT_MOST ? WAIT_MOST : wait;
	while (n->waiting.count > wait) {
		const struct ns_nights_night *first = n->waiting.night;

		NS_TRY(list_add(&n->usual, first->x, n->k, first->weekday, first->quiet));
		list_drop(&n->waiting, 1);
	}
	if (n->usual.count > 2 * WINDOW)
		list_drop(&n->usual, n->usual.count - WINDOW);
	return NS_OK;
}

/* Has the site left its pool? Nights 7, 14 and 28 of an undated pool: the mean of all of them. */
static void test_pool(const struct ns_nights *n, double *x, double *sd, struct ns_nights_verdict *out)
{
	int nights = n->usual.count + n->waiting.count, i, j;

	if (!n->opening || (n->t != 6 && n->t != 13 && n->t != 27) || !nights)
		return;
	for (j = 0; j < n->k; j++) {
		double known = 0;

		x[j] = 0;
		for (i = 0; i < nights; i++) {
			double value = (i < n->usual.count ? &n->usual.night[i] : &n->waiting.night[i - n->usual.count])->x[j];

			known += !isnan(value);
			x[j] += isnan(value) ? 0 : value;
		}
		x[j] /= fmax(known, 1);
		sd[j] = sqrt(n->v[j] * (1 + ns_nights_mean(n, j, known)));
	}
	test_all(n, NS_JUDGE_TONIGHT, x, sd, NULL, out);
}

/* The tests of tonight: c is its distance from the centre; scratch (2, k). */
static void test_tonight(struct ns_nights *n, const double *c, double fewer, double *x, double *sd, struct ns_nights_verdict *out)
{
	int l, j;

	for (l = 0; l < AVERAGES; l++) {
		double *e = n->e + l * n->k;

		for (j = 0; j < n->k; j++) {
			double spread = lambda[l] / (2 - lambda[l]) * (1 + 2 * (1 - lambda[l]) * n->rho[j] / (1 - (1 - lambda[l]) * n->phi[j]));

			if (!isnan(c[j]))
				e[j] += lambda[l] * (c[j] - e[j]);
			x[j] = isnan(c[j]) && !l ? NAN : e[j];
			sd[j] = sqrt(n->v[j] * (spread + ns_nights_centre(n, j)) + lambda[l] * lambda[l] * fewer);
		}
		test_all(n, l, x, sd, x, out);
	}
	for (j = 0; j < n->k; j++) {
		double rho = n->rho[j], m = ns_nights_centre(n, j);

		x[j] = c[j] - rho * n->last[j];
		sd[j] = sqrt(n->v[j] * (1 - rho * rho + m * (1 - rho) * (1 - rho)) + fewer);
	}
	if (n->has_last)
		test_all(n, NS_JUDGE_STEP, x, sd, c, out);
}

/* The change of every column of the first family that would be seen on its first night. */
static double unseen(const struct ns_nights *n)
{
	double critical = n->of.columns[0] * ns_stat_f_isf(level_of(n), n->of.columns[0], n->df[0][0]), sum = 0, z[NS_JUDGE_COLUMNS];
	int d = n->of.columns[0], j;

	for (j = 0; j < d; j++) {
		z[j] = 1 / sqrt(n->v[j] * (1 + ns_nights_centre(n, j)));
	}
	sum = distance(n->chol[0], d, z);
	return sqrt(critical / sum);
}

/* The first night of what is fresh is its centre. */
static enum ns_status settle(struct ns_nights *n, double *x, double *first, int weekday)
{
	int j, any = 0;

	for (j = 0; j < n->k; j++) {
		first[j] = n->fresh[j] ? x[j] : NAN;
		if (isnan(first[j]))
			continue;
		any = 1;
		n->fresh[j] = 0;
		x[j] = NAN;
	}
	return any ? list_add(&n->usual, first, n->k, weekday, 1) : NS_OK;
}

enum ns_status ns_nights_judge(struct ns_nights *n, const double *tonight, double rows, int weekday, int gap, struct ns_nights_verdict *out)
{
	double *c = malloc(sizeof *c * 4 * ((size_t)n->k + 1)), *x = c + 3 * n->k, fewer = rows > 0 ? fmax(0, 1 / rows - 1 / n->of.rows) : 0;
	enum ns_status status = c ? NS_OK : no_memory();
	int f, m, j;

	*out = (struct ns_nights_verdict){.level = level_of(n)};
	for (f = 0; f < NS_JUDGE_FAMILIES; f++)
		for (out->q[f] = NAN, m = 0; m < NS_JUDGE_MEMORIES; m++)
			out->p[f][m] = NAN;
	NS_GO(status);
	memcpy(x, tonight, sizeof *x * (size_t)n->k);
	NS_GO(settle(n, x, c, weekday));
	if (n->since < 28 || n->t % 7 == 0)
		NS_GO(ns_nights_fit(n));
	n->has_last &= !gap;
	for (j = 0; j < n->k; j++)
		c[j] = x[j] - n->mu[j] - n->b[weekday * n->k + j];
	test_tonight(n, c, fewer, c + n->k, c + 2 * n->k, out);
	test_pool(n, c + n->k, c + 2 * n->k, out);
	out->unseen = unseen(n);
	out->known = (int64_t)n->quiet;
	if (out->alarm)
		memset(n->e, 0, sizeof *n->e * AVERAGES * (size_t)n->k);
	memcpy(n->last, c, sizeof *c * (size_t)n->k);
	n->has_last = !out->alarm;
	status = remember(n, x, weekday, !out->alarm);
out:
	free(c);
	return status;
}

/* Residuals of this release's quiet nights join those of earlier ones. */
static enum ns_status carry(struct ns_nights *n)
{
	int all = n->old_count + n->usual.count, skip = all > WINDOW ? all - WINDOW : 0, i, j, to = 0;
	double *old = calloc((size_t)(all - skip) * (size_t)n->k + 1, sizeof *old);

	if (!old)
		return no_memory();
	for (i = skip; i < all; i++, to++) {
		const struct ns_nights_night *a = i < n->old_count ? NULL : &n->usual.night[i - n->old_count];

		for (j = 0; j < n->k; j++)
			old[to * n->k + j] = !a ? n->old[i * n->k + j] : a->quiet ? a->x[j] - n->mu[j] - n->b[a->weekday * n->k + j] : NAN;
	}
	free(n->old);
	n->old = old;
	n->old_count = to;
	return NS_OK;
}

enum ns_status ns_nights_renew(struct ns_nights *n, int nights, const unsigned char *keep)
{
	int i, j;

	NS_TRY(carry(n));
	memcpy(n->kept, n->b, sizeof *n->b * 7 * (size_t)n->k);
	list_release(&n->usual);
	list_release(&n->waiting);
	nights = nights < n->recent_count ? nights : n->recent_count;
	for (j = 0; j < n->k; j++) {
		n->fresh[j] = nights > 0 && keep && !keep[j];
		n->pool[j] = nights > 0 ? 0 : 1;
	}
	for (i = n->recent_count - nights; i < n->recent_count; i++) {
		NS_TRY(list_add(&n->usual, n->recent[i], n->k, n->recent_weekday[i], 1));
		for (j = 0; keep && j < n->k; j++)
			if (!keep[j])
				n->usual.night[n->usual.count - 1].x[j] = NAN;
	}
	memset(n->e, 0, sizeof *n->e * AVERAGES * (size_t)n->k);
	n->has_last = 0;
	n->since = 0;
	n->opening = 0;
	return ns_nights_fit(n);
}
