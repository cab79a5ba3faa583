/* host/outputs/ctc.c - a text from the probabilities of its symbols at each step, a blank among them (connectionist temporal classification). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"

/* Are they probabilities, each row adding up to 1? */
static int are_probabilities(const float *x, int steps, int symbols)
{
	int t, k;

	for (t = 0; t < steps; t++) {
		double sum = 0;

		for (k = 0; k < symbols; k++, x++) {
			if (!(*x >= 0 && *x <= 1.0001f))
				return 0;
			sum += (double)*x;
		}
		if (fabs(sum - 1) > 1e-3)
			return 0;
	}
	return 1;
}

static void softmax(float *x, int n)
{
	double top = (double)x[0], sum = 0;
	int k;

	for (k = 1; k < n; k++)
		top = fmax(top, (double)x[k]);
	for (k = 0; k < n; k++)
		sum += exp((double)x[k] - top);
	for (k = 0; k < n; k++)
		x[k] = (float)(exp((double)x[k] - top) / sum);
}

enum ns_status ns_ctc_steps(const struct ns_output *o, int *steps, int *symbols, float **p)
{
	const struct ns_box *b = &o->box;
	int64_t n = ns_box_count(b), i;
	int t;

	if (b->rank != 3 || (b->dim[0] != 1 && b->dim[1] != 1) || b->dim[2] < 2 || n < 1 || n > 1 << 28)
		return ns_fail(NS_BAD_DATA, "output '%s' has %d axes, expected (1, steps, symbols) or (steps, 1, symbols)", o->name, b->rank);
	*symbols = (int)b->dim[2];
	*steps = (int)(n / b->dim[2]);
	*p = malloc(sizeof **p * (size_t)n);
	if (!*p)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld probabilities", (long long)n);
	memcpy(*p, o->data, sizeof **p * (size_t)n);
	for (i = 0; i < n; i++)
		if (!isfinite((*p)[i]))
			return ns_fail(NS_BAD_DATA, "output '%s': element %lld is %g, expected a finite number", o->name, (long long)i,
				       (double)(*p)[i]);
	if (!are_probabilities(o->data, *steps, *symbols))
		for (t = 0; t < *steps; t++)
			softmax(*p + (int64_t)t * *symbols, *symbols);
	return NS_OK;
}

int ns_ctc_greedy(const float *p, int steps, int symbols, int blank, int *text, double *confidence)
{
	int t, k, last = -1, n = 0;

	*confidence = 0;
	for (t = 0; t < steps; t++, p += symbols) {
		int best = 0;

		for (k = 1; k < symbols; k++)
			if (p[k] > p[best])
				best = k;
		if (best != last && best != blank) {
			*confidence += (double)p[best];
			text[n++] = best;
		}
		last = best;
	}
	*confidence = n ? *confidence / n : 0;
	return n;
}

/* --- beam search over beginnings --- */

/*
 * Beginnings of texts are nodes of a tree. Each has the probabilities that the steps so far spell it with a blank at the end, and without one; a text is spelled
 * by many paths, whose probabilities add up.
 */
struct beginning {
	int parent, symbol;  /* -1 of the empty one */
	double blank, other; /* in the last step; those of the step that is computed: */
	double next_blank, next_other;
	int seen;	    /* it is among those of the step that is computed */
	int child, sibling; /* of the tree: the first, and the next of the same parent; 0: none */
};

struct search {
	struct beginning *tree;
	int n, room;
	int *live, *next; /* beginnings of the last step, and of this */
	int lives, nexts, nexts_room;
	int *symbols, symbol_count; /* by which beginnings grow in this step */
	unsigned char *chosen;
};

static int reach(struct search *s, int at)
{
	if (s->tree[at].seen)
		return at;
	if (s->nexts == s->nexts_room) {
		int *more = realloc(s->next, sizeof *more * (size_t)(2 * s->nexts_room + 64));

		if (!more)
			return -1;
		s->next = more;
		s->nexts_room = 2 * s->nexts_room + 64;
	}
	s->tree[at].seen = 1;
	s->tree[at].next_blank = s->tree[at].next_other = 0;
	s->next[s->nexts++] = at;
	return at;
}

/* The beginning that is `at` and then the symbol; -1: no memory. */
static int longer(struct search *s, int at, int symbol)
{
	int child;

	for (child = s->tree[at].child; child; child = s->tree[child].sibling)
		if (s->tree[child].symbol == symbol)
			return reach(s, child);
	if (s->n == s->room) {
		struct beginning *more = realloc(s->tree, sizeof *more * (size_t)(2 * s->room + 64));

		if (!more)
			return -1;
		s->tree = more;
		s->room = 2 * s->room + 64;
	}
	s->tree[s->n] = (struct beginning){.parent = at, .symbol = symbol, .sibling = s->tree[at].child};
	s->tree[at].child = s->n;
	return reach(s, s->n++);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void choose(struct search *s, int symbol)
{
	if (!s->chosen[symbol])
		s->symbols[s->symbol_count++] = symbol;
	s->chosen[symbol] = 1;
}

/*
 * Symbols by which a beginning may grow at a step: the most probable ones, of which there are enough that no other can be among the best, and those by which it
 * may become another that lives, whose probability it adds to.
 */
static void choose_symbols(struct search *s, const float *p, int symbols, int blank, int beam)
{
	int most = beam + 2, i, k;

	for (i = 0; i < s->symbol_count; i++)
		s->chosen[s->symbols[i]] = 0;
	for (s->symbol_count = 0, k = 0; k < symbols; k++) {
		if (k == blank || (s->symbol_count == most && !(p[k] > p[s->symbols[most - 1]])))
			continue;
		i = s->symbol_count < most ? s->symbol_count++ : most - 1;
		for (; i > 0 && p[k] > p[s->symbols[i - 1]]; i--)
			s->symbols[i] = s->symbols[i - 1];
		s->symbols[i] = k;
	}
	for (i = 0; i < s->symbol_count; i++)
		s->chosen[s->symbols[i]] = 1;
	for (i = 0; i < s->lives; i++)
		if (s->tree[s->live[i]].symbol >= 0)
			choose(s, s->tree[s->live[i]].symbol);
	qsort(s->symbols, (size_t)s->symbol_count, sizeof *s->symbols, by_number);
}

/* One step: each beginning stays itself, by a blank or by its last symbol again, or grows by a symbol. */
static int advance(struct search *s, const float *p, int blank)
{
	int i, j, at;

	s->nexts = 0;
	for (i = 0; i < s->lives; i++) {
		int from = s->live[i];
		double all = s->tree[from].blank + s->tree[from].other;

		if (reach(s, from) < 0)
			return -1;
		s->tree[from].next_blank += all * (double)p[blank];
		if (s->tree[from].symbol >= 0)
			s->tree[from].next_other += s->tree[from].other * (double)p[s->tree[from].symbol];
		for (j = 0; j < s->symbol_count; j++) {
			int k = s->symbols[j];
			double grown = k == s->tree[from].symbol ? s->tree[from].blank : all; /* twice the same one has a blank between */

			if (!(grown * (double)p[k] > 0))
				continue;
			at = longer(s, from, k);
			if (at < 0)
				return -1;
			s->tree[at].next_other += grown * (double)p[k];
		}
	}
	return 0;
}

/* The `beam` most probable go on; ties: those that were made first. Probabilities are scaled to a sum of 1 as they would vanish; returns the logarithm of the scale. */
static double keep_best(struct search *s, int beam)
{
	double sum = 0;
	int i, j;

	for (i = 0; i < s->nexts; i++) {
		struct beginning *b = &s->tree[s->next[i]];

		b->seen = 0;
		b->blank = b->next_blank;
		b->other = b->next_other;
	}
	for (i = 0; i < beam && i < s->nexts; i++) { /* a few of many: selection */
		int best = i, t;

		for (j = i + 1; j < s->nexts; j++) {
			double a = s->tree[s->next[j]].blank + s->tree[s->next[j]].other,
			       b = s->tree[s->next[best]].blank + s->tree[s->next[best]].other;

			if (a > b || (!(a < b) && s->next[j] < s->next[best]))
				best = j;
		}
		t = s->next[i];
		s->live[i] = s->next[best];
		s->next[best] = t;
		sum += s->tree[s->live[i]].blank + s->tree[s->live[i]].other;
	}
	s->lives = i;
	for (i = 0; sum > 0 && i < s->lives; i++) {
		s->tree[s->live[i]].blank /= sum;
		s->tree[s->live[i]].other /= sum;
	}
	return log(sum);
}

int ns_ctc_beam(const float *p, int steps, int symbols, int blank, int beam, int *text, double *confidence)
{
	struct search s = {.tree = calloc(64, sizeof *s.tree),
			   .n = 1,
			   .room = 64,
			   .live = calloc((size_t)beam, sizeof *s.live),
			   .lives = 1,
			   .symbols = calloc((size_t)(2 * beam + 2), sizeof(int)),
			   .chosen = calloc((size_t)symbols, 1)};
	double scale = 0;
	int t, at, n = -1, ok = s.tree && s.live && s.symbols && s.chosen;

	if (ok)
		s.tree[0] = (struct beginning){.parent = -1, .symbol = -1, .blank = 1};
	for (t = 0; ok && t < steps; t++) {
		choose_symbols(&s, p + (int64_t)t * symbols, symbols, blank, beam);
		ok = advance(&s, p + (int64_t)t * symbols, blank) == 0;
		if (ok)
			scale += keep_best(&s, beam);
	}
	if (ok) {
		at = s.live[0];
		*confidence = exp(scale) * (s.tree[at].blank + s.tree[at].other);
		for (n = 0, t = at; s.tree[t].parent >= 0; t = s.tree[t].parent)
			n++;
		for (t = n; s.tree[at].parent >= 0; at = s.tree[at].parent)
			text[--t] = s.tree[at].symbol;
	}
	free(s.tree);
	free(s.live);
	free(s.next);
	free(s.symbols);
	free(s.chosen);
	return n;
}
