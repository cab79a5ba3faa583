/*
 * jobs/label/choose.c - which rows are to be labelled. A part is drawn at random among all that have no label, with chances that are kept: these measure how many
 * are right. The others teach: what people disagree on, what drifted most, what the model is least sure of, what is rarely predicted, what is far
 * from everything chosen so far.
 */
#include "jobs/label/label_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

#define POOL  2000 /* rows among which the diverse ones are sought */
#define BLOCK 1024

static const char *const names[NS_LABEL_WHYS] = {"random", "disputed", "drifted", "uncertain", "rare", "diverse"};

const char *ns_label_why_name(enum ns_label_why why)
{
	return names[why];
}

struct choice {
	struct ns_label_queue *q;
	int64_t *open;	  /* rows that have no label, or none that measures, `opens` of them */
	uint8_t *taken;	  /* (rows of p) */
	int64_t *first;	  /* (rows of p): the first row of its image, which stands for all of them */
	uint8_t *teaches; /* (rows of p): it has a label that was not drawn at random, so only chance asks for it again */
	int64_t opens, most;
};

struct scored {
	double score;
	uint64_t draw;
	int64_t row;
};

static int by_draw(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	return x->draw != y->draw ? (x->draw > y->draw) - (x->draw < y->draw) : (x->row > y->row) - (x->row < y->row);
}

/* the smallest scores first; of equal ones by the draw */
static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	return x->score != y->score ? (x->score > y->score) - (x->score < y->score) : by_draw(a, b);
}

static void take(struct choice *c, int64_t row, enum ns_label_why why)
{
	if (c->taken[row] || c->q->count == c->most)
		return;
	c->taken[row] = 1;
	c->q->rows[c->q->count++] = (struct ns_queue_row){row, why, NAN};
}

/* Takes up to n of the open rows with the smallest scores; of those that teach, as only chance asks again for what has a label. */
static enum ns_status take_least(struct choice *c, int64_t n, const double *score, enum ns_label_why why, uint64_t seed)
{
	struct scored *s = malloc(sizeof *s * (size_t)(c->opens + 1));
	int64_t i, k = 0, until = c->q->count + n;

	if (!s)
		return ns_fail(NS_NO_MEMORY, "out of memory for the order of %lld rows", (long long)c->opens);
	for (i = 0; i < c->opens; i++) {
		int64_t row = c->open[i];

		if (!c->taken[row] && !c->teaches[row])
			s[k++] = (struct scored){score[row], ns_draw_u64(seed, NS_FOR_AUDIT, 2 + (uint32_t)why, c->q->p.id[row]), row};
	}
	qsort(s, (size_t)k, sizeof *s, by_score);
	for (i = 0; i < k && c->q->count < until; i++)
		take(c, s[i].row, why);
	free(s);
	return NS_OK;
}

/* --- the random part --- */

struct strata {
	int32_t *of;	       /* (opens): the stratum of each open row */
	int64_t *rows, *taken; /* (count): open rows of each, and how many of them are drawn */
	double *expected;      /* (count): how many are drawn of it on average, over the lots of the last round */
	int count;
};

static enum ns_status find_strata(const struct choice *c, const char *by, struct strata *s)
{
	const struct ns_predictions *p = &c->q->p;
	int none = !strcmp(by, "none"), group = !strcmp(by, "group");
	const int32_t *value = group ? p->group : p->pred;
	int64_t i;

	if (!none && !group && strcmp(by, "class"))
		return ns_fail(NS_CONFIG, "label.strata = '%s', expected none, group or class", by);
	if (!none && !value)
		return ns_fail(NS_BAD_DATA, "label.strata = %s, but the predictions have no %s", by, group ? "group" : "pred");
	s->of = calloc((size_t)c->opens + 1, sizeof *s->of);
	if (!s->of)
		return ns_fail(NS_NO_MEMORY, "out of memory for the strata of %lld rows", (long long)c->opens);
	for (s->count = 1, i = 0; i < c->opens && !none; i++) {
		s->of[i] = value[c->open[i]] + 1; /* no group is one, too */
		s->count = s->of[i] >= s->count ? s->of[i] + 1 : s->count;
		if (s->of[i] < 0 || s->count > 1 << 24)
			return ns_fail(NS_BAD_DATA, "label.strata: row %lld is of %s %d", (long long)c->open[i], by, s->of[i] - 1);
	}
	s->rows = calloc((size_t)s->count, sizeof *s->rows);
	s->taken = calloc((size_t)s->count, sizeof *s->taken);
	s->expected = calloc((size_t)s->count, sizeof *s->expected);
	if (!s->rows || !s->taken || !s->expected)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d strata", s->count);
	for (i = 0; i < c->opens; i++)
		s->rows[s->of[i]]++;
	return NS_OK;
}

/*
 * As many of each as there are, round by round. Of a last round that has not enough for all, lots say which get one more: then each has the same chance of it,
 * and with fewer rows than strata none is left out for ever.
 */
static enum ns_status divide(struct strata *s, int64_t n, uint64_t seed)
{
	struct scored *lot = malloc(sizeof *lot * (size_t)s->count);
	int64_t open, each, i;
	int k;

	if (!lot)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d strata", s->count);
	for (;;) {
		for (open = 0, k = 0; k < s->count; k++)
			if (s->taken[k] < s->rows[k])
				lot[open++] = (struct scored){0, ns_draw_u64(seed, NS_FOR_AUDIT, 2 + NS_LABEL_WHYS, (uint64_t)k), k};
		if (!open || n < open)
			break;
		each = n / open;
		for (i = 0; i < open; i++) {
			int64_t left = s->rows[lot[i].row] - s->taken[lot[i].row], more = left < each ? left : each;

			s->taken[lot[i].row] += more;
			n -= more;
		}
	}
	for (k = 0; k < s->count; k++)
		s->expected[k] = (double)s->taken[k];
	for (i = 0; i < open; i++)
		s->expected[lot[i].row] += (double)n / (double)open;
	qsort(lot, (size_t)open, sizeof *lot, by_draw);
	for (i = 0; i < open && i < n; i++)
		s->taken[lot[i].row]++;
	free(lot);
	return NS_OK;
}

/* Of each stratum those with the least draws, in the order of the draws; each row is kept with the chance that it had. */
static enum ns_status take_random(struct choice *c, int64_t n, const char *by, uint64_t seed)
{
	struct strata s = {NULL, NULL, NULL, NULL, 0};
	struct scored *order = malloc(sizeof *order * (size_t)(c->opens + 1));
	int64_t *left = NULL, i;
	enum ns_status status;

	NS_GO(order ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the order of %lld rows", (long long)c->opens));
	NS_GO(find_strata(c, by, &s));
	NS_GO(divide(&s, n, seed));
	left = malloc(sizeof *left * (size_t)s.count);
	NS_GO(left ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d strata", s.count));
	memcpy(left, s.taken, sizeof *left * (size_t)s.count);
	for (i = 0; i < c->opens; i++) /* the score is where it stands among the open rows */
		order[i] = (struct scored){(double)i, ns_draw_u64(seed, NS_FOR_AUDIT, 2 + NS_LABEL_RANDOM, c->q->p.id[c->open[i]]), c->open[i]};
	qsort(order, (size_t)c->opens, sizeof *order, by_draw);
	for (i = 0; i < c->opens; i++) {
		int32_t k = s.of[(int64_t)order[i].score];

		if (!left[k] || c->taken[order[i].row] || c->q->count == c->most)
			continue;
		left[k]--;
		take(c, order[i].row, NS_LABEL_RANDOM);
		c->q->rows[c->q->count - 1].chance = s.expected[k] / (double)s.rows[k];
	}
out:
	free(order);
	free(left);
	free(s.of);
	free(s.rows);
	free(s.taken);
	free(s.expected);
	return status;
}

/*
 * Rows whose images have no label yet, one of each image; what people disagree on is taken at once. An image whose label only teaches may be drawn
 * again: left out, the random part would be one of what is easy.
 */
static enum ns_status find_open(struct choice *c)
{
	struct ns_label_queue *q = c->q;
	struct scored *s = malloc(sizeof *s * (size_t)(q->p.rows + 1));
	int64_t i;

	if (!s)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld rows", (long long)q->p.rows);
	for (i = 0; i < q->p.rows; i++)
		s[i] = (struct scored){0, q->p.id[i], i};
	qsort(s, (size_t)q->p.rows, sizeof *s, by_score);
	for (i = 0; i < q->p.rows; i++) {
		int64_t row = s[i].row;
		int disputed, measures;

		c->first[row] = i && s[i].draw == s[i - 1].draw ? c->first[s[i - 1].row] : row;
		if ((i && s[i].draw == s[i - 1].draw) || (q->p.label && q->p.label[row] >= 0))
			continue;
		c->teaches[row] = ns_labels_of(&q->known, q->p.id[row], &disputed, &measures) != NULL;
		if (disputed)
			take(c, row, NS_LABEL_DISPUTED);
		else if (!measures)
			c->open[c->opens++] = row;
	}
	free(s);
	return NS_OK;
}

/* --- what teaches --- */

/* margin (rows): the largest probability less the second; rare (rows): how often the row's class is predicted. */
static enum ns_status figures(const struct ns_label_queue *q, double *margin, double *rare)
{
	int k = q->p.prob.d, classes = 1, j;
	float *prob = k ? malloc(sizeof *prob * BLOCK * (size_t)k) : NULL;
	int64_t *count, first, n, i;
	enum ns_status status = prob || !k ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for probabilities");

	for (first = 0; k && status == NS_OK && first < q->p.rows; first += n) {
		n = q->p.rows - first < BLOCK ? q->p.rows - first : BLOCK;
		status = ns_predictions_prob(&q->p, first, n, prob);
		for (i = 0; status == NS_OK && i < n; i++) {
			float top = -1, second = -1;

			for (j = 0; j < k; j++) {
				float x = prob[i * k + j];

				second = x > top ? top : x > second ? x : second;
				top = x > top ? x : top;
			}
			margin[first + i] = (double)(top - (second < 0 ? 0 : second));
		}
	}
	free(prob);
	for (i = 0; q->p.pred && i < q->p.rows; i++)
		classes = q->p.pred[i] >= classes ? q->p.pred[i] + 1 : classes;
	count = calloc((size_t)classes, sizeof *count);
	if (!count)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d classes", classes);
	for (i = 0; q->p.pred && i < q->p.rows; i++)
		count[q->p.pred[i] < 0 ? 0 : q->p.pred[i]]++;
	for (i = 0; q->p.pred && i < q->p.rows; i++)
		rare[i] = (double)count[q->p.pred[i] < 0 ? 0 : q->p.pred[i]];
	free(count);
	return status;
}

/* The rows that moved most, by a drift.json of these predictions. */
static enum ns_status take_drifted(struct choice *c, const char *path, int64_t n)
{
	json_t *drift = NULL;
	const json_t *one;
	int64_t until = c->q->count + n;
	size_t i;

	if (!path)
		return NS_OK;
	NS_TRY(ns_json_read(path, &drift, "nightshift.drift/1"));
	if (strcmp(ns_json_text(json_object_get(drift, "current"), "digest"), c->q->p.digest)) {
		json_decref(drift);
		return ns_fail(NS_BAD_DATA, "%s: is of other predictions than those to be labelled", path);
	}
	json_array_foreach(json_object_get(drift, "top"), i, one) {
		int64_t row = (int64_t)ns_json_number(one, "row", -1);
		int disputed, measures;

		if (c->q->count < until && row >= 0 && row < c->q->p.rows && !(c->q->p.label && c->q->p.label[row] >= 0) &&
		    !ns_labels_of(&c->q->known, c->q->p.id[row], &disputed, &measures))
			take(c, c->first[row], NS_LABEL_DRIFTED);
	}
	json_decref(drift);
	return NS_OK;
}

static double apart(const float *x, const float *y, int d)
{
	double sum = 0;
	int i;

	for (i = 0; i < d; i++)
		sum += (double)(x[i] - y[i]) * (double)(x[i] - y[i]);
	return sum;
}

/* One after the other the row that is furthest from all chosen ones (Sener, Savarese 2018: k-center, greedily). */
static enum ns_status take_diverse(struct choice *c, int64_t n, uint64_t seed)
{
	struct ns_label_queue *q = c->q;
	int d = q->p.embedding.d;
	int64_t pool = 0, i, until = q->count + n, *row = malloc(sizeof *row * (POOL + 1));
	float *x = malloc(sizeof *x * POOL * (size_t)(d + 1)), *chosen = malloc(sizeof *chosen * (size_t)(d + 1));
	double *far = malloc(sizeof *far * POOL);
	enum ns_status status = row && x && chosen && far ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for diverse rows");

	for (i = 0; status == NS_OK && d && i < c->opens && pool < POOL; i++) {
		int64_t at = c->open[c->opens <= POOL ? i : (int64_t)ns_permute((uint64_t)i, (uint64_t)c->opens, seed, NS_FOR_PERMUTE, 7)];

		if (!c->taken[at] && !c->teaches[at])
			row[pool++] = at;
	}
	if (status == NS_OK && pool)
		status = ns_matrix_pick(&q->p.embedding, row, pool, x);
	for (i = 0; status == NS_OK && i < pool; i++) /* a row that is not whole is far from nothing */
		far[i] = isfinite(apart(x + i * d, x + i * d, d)) ? INFINITY : NAN;
	for (i = 0; status == NS_OK && pool && i < until; i++) { /* those that were chosen before come first, then each new one */
		int64_t best = -1, j;

		if (i >= q->count) {
			for (j = 0; j < pool; j++)
				if (!c->taken[row[j]] && !isnan(far[j]) && (best < 0 || far[j] > far[best]))
					best = j;
			if (best < 0 || q->count == c->most)
				break;
			take(c, row[best], NS_LABEL_DIVERSE);
		}
		status = ns_matrix_pick(&q->p.embedding, &q->rows[i].row, 1, chosen);
		for (j = 0; status == NS_OK && j < pool; j++) {
			double here = apart(x + j * d, chosen, d);

			if (here < far[j])
				far[j] = here;
		}
	}
	free(row);
	free(x);
	free(chosen);
	free(far);
	return status;
}

static enum ns_status take_teaching(struct choice *c, const char *drifted, uint64_t seed)
{
	int64_t rows = c->q->p.rows, n = c->most - c->q->count;
	double *margin = calloc((size_t)rows + 1, sizeof *margin), *rare = calloc((size_t)rows + 1, sizeof *rare);
	enum ns_status status = margin && rare ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %lld rows", (long long)rows);

	NS_GO(status);
	NS_GO(figures(c->q, margin, rare));
	NS_GO(take_drifted(c, drifted, n / 4));
	if (c->q->p.prob.d)
		NS_GO(take_least(c, n * 2 / 5, margin, NS_LABEL_UNCERTAIN, seed));
	if (c->q->p.pred)
		NS_GO(take_least(c, n / 5, rare, NS_LABEL_RARE, seed));
	NS_GO(take_diverse(c, c->most - c->q->count, seed));
	if (c->q->count < c->most && c->q->p.prob.d)
		status = take_least(c, c->most - c->q->count, margin, NS_LABEL_UNCERTAIN, seed);
out:
	free(margin);
	free(rare);
	return status;
}

enum ns_status ns_label_choose(struct ns_label_queue *q, int64_t most, double measure, const char *strata, const char *drifted, uint64_t seed)
{
	struct choice c = {.q = q, .most = most};
	int64_t random;
	enum ns_status status;

	q->rows = malloc(sizeof *q->rows * (size_t)(most + 1));
	c.open = malloc(sizeof *c.open * (size_t)(q->p.rows + 1));
	c.taken = calloc((size_t)q->p.rows + 1, 1);
	c.teaches = calloc((size_t)q->p.rows + 1, 1);
	c.first = malloc(sizeof *c.first * (size_t)(q->p.rows + 1));
	NS_GO(q->rows && c.open && c.taken && c.teaches && c.first
		      ? NS_OK
		      : ns_fail(NS_NO_MEMORY, "out of memory for a queue of %lld rows", (long long)most));
	NS_GO(find_open(&c));
	if (!q->p.prob.d && !q->p.embedding.d) /* nothing says what would teach */
		measure = 1;
	random = (int64_t)ceil((double)(most - q->count) * measure);
	random = random < c.opens ? random : c.opens;
	q->candidates = c.opens;
	q->chance = c.opens ? (double)random / (double)c.opens : 0;
	NS_GO(take_random(&c, random, strata, seed));
	status = take_teaching(&c, drifted, seed);
out:
	free(c.open);
	free(c.taken);
	free(c.teaches);
	free(c.first);
	return status;
}
