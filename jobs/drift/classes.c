/*
 * jobs/drift/classes.c - which classes' probabilities are tested one by one. Of more than NS_DRIFT_CLASSES those that are predicted most, over both
 * windows together, so that the choice tells nothing of which window a row is in and every test keeps its level; all others as their sum.
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/drift/drift_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counted {
	int64_t rows;
	int32_t class;
};

static int by_rows(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;

	return x->rows != y->rows ? (y->rows > x->rows) - (y->rows < x->rows) : (x->class > y->class) - (x->class < y->class);
}

int ns_drift_class_count(const struct ns_drift *s)
{
	const struct ns_predictions *side[2] = {&s->ref, &s->cur};
	int k = s->ref.prob.d ? s->ref.prob.d : s->ref.class_names, w;
	int64_t i;

	for (w = 0; w < 2; w++)
		for (i = 0; side[w]->pred && i < side[w]->rows; i++)
			k = side[w]->pred[i] >= k ? side[w]->pred[i] + 1 : k;
	return k;
}

static struct counted *count_classes(const struct ns_drift *s, int k)
{
	const struct ns_predictions *side[2] = {&s->ref, &s->cur};
	struct counted *count = calloc((size_t)k, sizeof *count);
	int64_t i;
	int w;

	for (i = 0; count && i < k; i++)
		count[i].class = (int32_t)i;
	for (w = 0; count && w < 2; w++)
		for (i = 0; side[w]->pred && i < side[w]->rows; i++)
			if (side[w]->pred[i] >= 0 && side[w]->pred[i] < k)
				count[side[w]->pred[i]].rows++;
	if (count)
		qsort(count, (size_t)k, sizeof *count, by_rows);
	return count;
}

static char *name_of(const struct ns_drift *s, int32_t class, int k)
{
	char text[64];

	if (class < 0)
		snprintf(text, sizeof text, "the other %d classes", k - (NS_DRIFT_CLASSES - 1));
	else if (s->ref.names && class < s->ref.class_names)
		return strdup(s->ref.names[class]);
	else
		snprintf(text, sizeof text, "%d", class);
	return strdup(text);
}

enum ns_status ns_drift_pick_classes(struct ns_drift *s)
{
	int k = s->ref.prob.d, i, n = 0;
	struct counted *count;

	if (k <= NS_DRIFT_CLASSES)
		return NS_OK;
	count = count_classes(s, k);
	s->picked = calloc((size_t)k, 1);
	s->pick = calloc(NS_DRIFT_CLASSES, sizeof *s->pick);
	s->pick_names = calloc(NS_DRIFT_CLASSES + 1, sizeof *s->pick_names);
	for (i = 0; count && s->picked && i < NS_DRIFT_CLASSES - 1; i++)
		s->picked[count[i].class] = 1;
	for (i = 0; count && s->picked && s->pick && i < k; i++) /* in the order of the classes, the sum at the end */
		if (s->picked[i])
			s->pick[n++] = i;
	free(count);
	if (n != NS_DRIFT_CLASSES - 1 || !s->pick_names)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d classes", k);
	s->pick[n] = -1;
	for (i = 0; i < NS_DRIFT_CLASSES; i++)
		if (!(s->pick_names[i] = name_of(s, s->pick[i], k)))
			return ns_fail(NS_NO_MEMORY, "out of memory for %d classes", k);
	s->picks = NS_DRIFT_CLASSES;
	return NS_OK;
}

struct ns_columns ns_drift_class_columns(const struct ns_drift *s, const struct ns_matrix *prob)
{
	return (struct ns_columns){.of = prob, .k = s->picks, .pick = s->pick, .picked = s->picked};
}

void ns_drift_take_classes(const struct ns_columns *v, const float *x, int64_t n, int first, int count, float *out)
{
	int64_t i;
	int c, j;

	for (i = 0; i < n; i++, x += v->of->d, out += count)
		for (c = 0; c < count; c++) {
			int32_t class = v->pick[first + c];
			double rest = 0;

			for (j = 0; class < 0 && j < v->of->d; j++)
				rest += v->picked[j] ? 0 : (double)x[j];
			out[c] = class < 0 ? (float)rest : x[class];
		}
}
